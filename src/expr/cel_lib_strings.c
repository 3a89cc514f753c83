#include <string.h>

#include "expr/cel_lib_priv.h"
#include "expr/utf8.h"

/* Strings are counted in characters; everything takes one pass or two. */

static bool charge_text(struct cel_run *run, struct cel_value v)
{
    return cel_charge(run, v.more / 16);
}

static struct cel_value bad_index(struct cel_run *run, int64_t i)
{
    return cel_fail(run, CEL_FAULT_RANGE, "index out of range: %lld",
                    (long long)i);
}

static struct cel_value char_at(struct cel_run *run,
                                const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    size_t count = utf8_count(s);
    int64_t i = args[1].i;
    if (!charge_text(run, args[0])) {
        return cel_spent(run);
    }
    if (i < 0 || (uint64_t)i > count) {
        return bad_index(run, i);
    }
    size_t at = utf8_offset(s, (size_t)i);
    size_t end = at;
    if (at < s.len) {
        (void)utf8_next(s, &end);
    }
    return cel_string(str_slice(s, at, end));
}

/* The first place of the part at or behind byte `from`, or -1. */
static ptrdiff_t find_from(struct str s, struct str part, size_t from)
{
    if (part.len == 0) {
        return (ptrdiff_t)from;
    }
    if (from >= s.len || s.len - from < part.len) {
        return -1;
    }
    const char *at = memmem(s.at + from, s.len - from, part.at, part.len);
    return at == NULL ? -1 : at - s.at;
}

static struct cel_value index_of_from(struct cel_run *run,
                                      const struct cel_value *args, int64_t i)
{
    struct str s = cel_text(args[0]);
    if (!charge_text(run, args[0])) {
        return cel_spent(run);
    }
    if (i < 0 || (uint64_t)i > utf8_count(s)) {
        return bad_index(run, i);
    }
    ptrdiff_t at = find_from(s, cel_text(args[1]), utf8_offset(s, (size_t)i));
    if (at < 0) {
        return cel_int(-1);
    }
    return cel_int((int64_t)utf8_count(str_slice(s, 0, (size_t)at)));
}

static struct cel_value index_of(struct cel_run *run,
                                 const struct cel_value *args)
{
    return index_of_from(run, args, 0);
}

static struct cel_value index_of_at(struct cel_run *run,
                                    const struct cel_value *args)
{
    return index_of_from(run, args, args[2].i);
}

/* The last place that begins at or before byte `from`, or -1. */
static struct cel_value last_from(struct cel_run *run,
                                  const struct cel_value *args, size_t from)
{
    struct str s = cel_text(args[0]);
    struct str part = cel_text(args[1]);
    if (part.len > s.len) {
        return cel_int(-1);
    }
    size_t at = MIN(from, s.len - part.len);
    for (;; at--) {
        if (!cel_charge(run, 1 + part.len / 64)) {
            return cel_spent(run);
        }
        if (part.len == 0 || memcmp(s.at + at, part.at, part.len) == 0) {
            return cel_int((int64_t)utf8_count(str_slice(s, 0, at)));
        }
        if (at == 0) {
            return cel_int(-1);
        }
    }
}

static struct cel_value last_index_of(struct cel_run *run,
                                      const struct cel_value *args)
{
    return last_from(run, args, args[0].more);
}

static struct cel_value last_index_of_at(struct cel_run *run,
                                         const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    int64_t i = args[2].i;
    if (!charge_text(run, args[0])) {
        return cel_spent(run);
    }
    if (i < 0 || (uint64_t)i > utf8_count(s)) {
        return bad_index(run, i);
    }
    return last_from(run, args, utf8_offset(s, (size_t)i));
}

static struct cel_value in_case(struct cel_run *run, struct cel_value v,
                                char first, char last)
{
    struct cel_value copy = cel_copy_text(run, CEL_STRING, cel_text(v));
    if (copy.kind == CEL_ERROR) {
        return copy;
    }
    char *text = (char *)(uintptr_t)copy.text;
    for (uint32_t i = 0; i < copy.more; i++) {
        if (text[i] >= first && text[i] <= last) {
            text[i] = (char)(text[i] ^ 0x20);
        }
    }
    return copy;
}

static struct cel_value lower_ascii(struct cel_run *run,
                                    const struct cel_value *args)
{
    return in_case(run, args[0], 'A', 'Z');
}

static struct cel_value upper_ascii(struct cel_run *run,
                                    const struct cel_value *args)
{
    return in_case(run, args[0], 'a', 'z');
}

/* limit < 0: all of them. */
static struct cel_value
replace_some(struct cel_run *run, const struct cel_value *args, int64_t limit)
{
    struct str s = cel_text(args[0]);
    struct str from = cel_text(args[1]);
    struct str to = cel_text(args[2]);
    CLEANUP(strbuf_deinit) struct strbuf out = cel_text_buffer(run);
    size_t at = 0;
    if (!charge_text(run, args[0])) {
        return cel_spent(run);
    }
    for (int64_t n = 0; (limit < 0 || n < limit) && !out.full; n++) {
        ptrdiff_t found = find_from(s, from, at);
        if (found < 0 || !cel_charge(run, 1)) {
            break;
        }
        strbuf_add(&out, str_slice(s, at, (size_t)found));
        strbuf_add(&out, to);
        at = (size_t)found + from.len;
        if (from.len == 0) {
            /* Between all characters, before the first and behind the last. */
            if (at >= s.len) {
                break;
            }
            size_t next = at;
            (void)utf8_next(s, &next);
            strbuf_add(&out, str_slice(s, at, next));
            at = next;
        }
    }
    strbuf_add(&out, str_slice(s, at, s.len));
    return cel_take_text(run, &out);
}

static struct cel_value replace(struct cel_run *run,
                                const struct cel_value *args)
{
    return replace_some(run, args, -1);
}

static struct cel_value replace_n(struct cel_run *run,
                                  const struct cel_value *args)
{
    return replace_some(run, args, args[3].i);
}

/* How many pieces, at most `limit`. */
static uint32_t count_pieces(struct str s, struct str by, int64_t limit)
{
    uint32_t count = 1;
    if (by.len == 0) {
        size_t all = utf8_count(s);
        return (uint32_t)(limit >= 0 && (uint64_t)limit < all ? (size_t)limit
                                                              : all);
    }
    ptrdiff_t at = find_from(s, by, 0);
    while (at >= 0 && (limit < 0 || count < limit)) {
        count++;
        at = find_from(s, by, (size_t)at + by.len);
    }
    return count;
}

static struct cel_value split_some(struct cel_run *run,
                                   const struct cel_value *args, int64_t limit)
{
    struct str s = cel_text(args[0]);
    struct str by = cel_text(args[1]);
    if (!charge_text(run, args[0])) {
        return cel_spent(run);
    }
    uint32_t count = limit == 0 ? 0 : count_pieces(s, by, limit);
    struct cel_value *items = cel_alloc(run, count, sizeof(*items));
    size_t at = 0;
    if (items == NULL || !cel_charge(run, count)) {
        return cel_spent(run);
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t end = s.len;
        if (i + 1 < count && by.len != 0) {
            end = (size_t)find_from(s, by, at);
        } else if (i + 1 < count) {
            end = at;
            (void)utf8_next(s, &end);
        }
        items[i] = cel_string(str_slice(s, at, end));
        at = end + by.len;
    }
    return cel_new_list(run, items, count);
}

static struct cel_value split(struct cel_run *run, const struct cel_value *args)
{
    return split_some(run, args, -1);
}

static struct cel_value split_n(struct cel_run *run,
                                const struct cel_value *args)
{
    return split_some(run, args, args[2].i);
}

static struct cel_value cut(struct cel_run *run, const struct cel_value *args,
                            bool has_end)
{
    struct str s = cel_text(args[0]);
    if (!charge_text(run, args[0])) {
        return cel_spent(run);
    }
    int64_t count = (int64_t)utf8_count(s);
    int64_t from = args[1].i;
    int64_t to = has_end ? args[2].i : count;
    if (from < 0 || from > count) {
        return bad_index(run, from);
    }
    if (to < 0 || to > count) {
        return bad_index(run, to);
    }
    if (from > to) {
        return cel_fail(run, CEL_FAULT_RANGE,
                        "invalid substring range. start: %lld, end: %lld",
                        (long long)from, (long long)to);
    }
    return cel_string(
        str_slice(s, utf8_offset(s, (size_t)from), utf8_offset(s, (size_t)to)));
}

static struct cel_value substring(struct cel_run *run,
                                  const struct cel_value *args)
{
    return cut(run, args, false);
}

static struct cel_value substring_to(struct cel_run *run,
                                     const struct cel_value *args)
{
    return cut(run, args, true);
}

/* White space of Unicode. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static struct cel_value trim(struct cel_run *run, const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    size_t from = s.len;
    size_t to = 0;
    if (!charge_text(run, args[0])) {
        return cel_spent(run);
    }
    for (size_t at = 0; at < s.len;) {
        size_t start = at;
        if (!is_space(utf8_next(s, &at))) {
            from = MIN(from, start);
            to = at;
        }
    }
    return cel_string(str_slice(s, MIN(from, to), to));
}

static struct cel_value join_with(struct cel_run *run,
                                  const struct cel_list *list, struct str by)
{
    CLEANUP(strbuf_deinit) struct strbuf out = cel_text_buffer(run);
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i].kind != CEL_STRING) {
            return cel_no_overload(run, "join", &list->items[i], 1);
        }
        if (!cel_charge(run, 1) || out.full) {
            return cel_spent(run);
        }
        strbuf_add(&out, i == 0 ? STR("") : by);
        strbuf_add(&out, cel_text(list->items[i]));
    }
    return cel_take_text(run, &out);
}

static struct cel_value join(struct cel_run *run, const struct cel_value *args)
{
    return join_with(run, args[0].list, STR(""));
}

static struct cel_value join_by(struct cel_run *run,
                                const struct cel_value *args)
{
    return join_with(run, args[0].list, cel_text(args[1]));
}

static struct cel_value reverse(struct cel_run *run,
                                const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    char *text = cel_alloc(run, s.len + 1, 1);
    if (text == NULL || !charge_text(run, args[0])) {
        return cel_spent(run);
    }
    for (size_t at = 0; at < s.len;) {
        size_t start = at;
        (void)utf8_next(s, &at);
        memcpy(text + (s.len - at), s.at + start, at - start);
    }
    return cel_string(str_n(text, s.len));
}

static struct cel_value quote(struct cel_run *run, const struct cel_value *args)
{
    CLEANUP(strbuf_deinit) struct strbuf out = cel_text_buffer(run);
    if (!charge_text(run, args[0])) {
        return cel_spent(run);
    }
    cel_text_quoted(cel_text(args[0]), &out);
    return cel_take_text(run, &out);
}

#define S &cel_type_string
#define I &cel_type_int

static const struct cel_function rows[] = {
    {"charAt", CEL_M, 2, {S, I}, S, char_at, "The character at the index."},
    {"indexOf",
     CEL_M,
     2,
     {S, S},
     I,
     index_of,
     "Where the part begins first, or -1."},
    {"indexOf",
     CEL_M,
     3,
     {S, S, I},
     I,
     index_of_at,
     "Where the part begins first, from the index on, or -1."},
    {"lastIndexOf",
     CEL_M,
     2,
     {S, S},
     I,
     last_index_of,
     "Where the part begins last, or -1."},
    {"lastIndexOf",
     CEL_M,
     3,
     {S, S, I},
     I,
     last_index_of_at,
     "Where the part begins last, up to the index, or -1."},
    {"lowerAscii", CEL_M, 1, {S}, S, lower_ascii, "With A-Z as a-z."},
    {"upperAscii", CEL_M, 1, {S}, S, upper_ascii, "With a-z as A-Z."},
    {"replace",
     CEL_M,
     3,
     {S, S, S},
     S,
     replace,
     "With every first text replaced by the second."},
    {"replace",
     CEL_M,
     4,
     {S, S, S, I},
     S,
     replace_n,
     "With at most so many replaced."},
    {"split",
     CEL_M,
     2,
     {S, S},
     &cel_type_list_string,
     split,
     "The pieces between the separators."},
    {"split",
     CEL_M,
     3,
     {S, S, I},
     &cel_type_list_string,
     split_n,
     "At most so many pieces."},
    {"substring", CEL_M, 2, {S, I}, S, substring, "From the index on."},
    {"substring",
     CEL_M,
     3,
     {S, I, I},
     S,
     substring_to,
     "From the first index to the second, which is not part of it."},
    {"trim", CEL_M, 1, {S}, S, trim, "Without white space at both ends."},
    {"join", CEL_M, 1, {&cel_type_list_string}, S, join, "All texts as one."},
    {"join",
     CEL_M,
     2,
     {&cel_type_list_string, S},
     S,
     join_by,
     "All texts as one, with a separator between them."},
    {"reverse", CEL_M, 1, {S}, S, reverse, "The characters backwards."},
    {"strings.quote",
     CEL_G,
     1,
     {S},
     S,
     quote,
     "In double quotes, with escapes."},
    {"format",
     CEL_M,
     2,
     {S, &cel_type_list_dyn},
     S,
     cel_format,
     "With %s %d %f %e %b %o %x %X filled from the list."},
};

const struct cel_library cel_lib_strings = CEL_LIBRARY(rows);
