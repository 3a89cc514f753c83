#include <string.h>

#include "expr/cel_lib_priv.h"
#include "expr/utf8.h"

struct strbuf cel_text_buffer(const struct cel_run *run)
{
    return STRBUF_INIT(run->bytes);
}

struct cel_value cel_take_text(struct cel_run *run, const struct strbuf *b)
{
    if (b->full || !cel_charge(run, b->len / 16)) {
        return cel_spent(run);
    }
    return cel_copy_text(run, CEL_STRING, strbuf_str(b));
}

static struct cel_value size_text(struct cel_run *run,
                                  const struct cel_value *args)
{
    if (!cel_charge(run, args[0].more / 64)) {
        return cel_spent(run);
    }
    return cel_int((int64_t)utf8_count(cel_text(args[0])));
}

static struct cel_value size_bytes(struct cel_run *run,
                                   const struct cel_value *args)
{
    (void)run;
    return cel_int(args[0].more);
}

static struct cel_value size_list(struct cel_run *run,
                                  const struct cel_value *args)
{
    (void)run;
    return cel_int(args[0].list->count);
}

static struct cel_value size_map(struct cel_run *run,
                                 const struct cel_value *args)
{
    (void)run;
    return cel_int(cel_map_count(args[0].map));
}

static struct cel_value identity(struct cel_run *run,
                                 const struct cel_value *args)
{
    (void)run;
    return args[0];
}

static struct cel_value type_of(struct cel_run *run,
                                const struct cel_value *args)
{
    (void)run;
    return cel_type_value(cel_type_of(args[0]));
}

static struct cel_value starts_with(struct cel_run *run,
                                    const struct cel_value *args)
{
    (void)run;
    return cel_bool(str_starts(cel_text(args[0]), cel_text(args[1])));
}

static struct cel_value ends_with(struct cel_run *run,
                                  const struct cel_value *args)
{
    (void)run;
    return cel_bool(str_ends(cel_text(args[0]), cel_text(args[1])));
}

static struct cel_value contains(struct cel_run *run,
                                 const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    struct str part = cel_text(args[1]);
    if (!cel_charge(run, s.len / 16)) {
        return cel_spent(run);
    }
    return cel_bool(part.len == 0 || (s.len != 0 && memmem(s.at, s.len, part.at,
                                                           part.len) != NULL));
}

#define TEXT_TEST(name_, call_, doc_)                                          \
    {                                                                          \
        (name_), CEL_M, 2, {&cel_type_string, &cel_type_string},               \
            &cel_type_bool, (call_), (doc_)                                    \
    }

static const struct cel_function rows[] = {
    {"size",
     CEL_GM,
     1,
     {&cel_type_string},
     &cel_type_int,
     size_text,
     "The number of characters."},
    {"size",
     CEL_GM,
     1,
     {&cel_type_bytes},
     &cel_type_int,
     size_bytes,
     "The number of bytes."},
    {"size",
     CEL_GM,
     1,
     {&cel_type_list_a},
     &cel_type_int,
     size_list,
     "The number of elements."},
    {"size",
     CEL_GM,
     1,
     {&cel_type_map_ab},
     &cel_type_int,
     size_map,
     "The number of keys."},
    {"dyn",
     CEL_G,
     1,
     {&cel_type_a},
     &cel_type_dyn,
     identity,
     "The value, of a type that the checker does not ask about."},
    {"type",
     CEL_G,
     1,
     {&cel_type_a},
     &cel_type_type_a,
     type_of,
     "The type of the value: type(1) == int."},
    TEXT_TEST("startsWith", starts_with, "True if the text begins with it."),
    TEXT_TEST("endsWith", ends_with, "True if the text ends with it."),
    TEXT_TEST("contains", contains, "True if it stands in the text."),
};

const struct cel_library cel_lib_core = CEL_LIBRARY(rows);
