#include <errno.h>
#include <string.h>

#include "expr/cel_lib_priv.h"
#include "expr/re.h"

static struct re_program *compile(struct cel_run *run, struct cel_value pattern,
                                  struct cel_value *ret_error)
{
    struct re_program *p = NULL;
    struct err e = ERR_INIT;
    int r = re_compile_live(cel_text(pattern), run, &p, &e);
    if (r < 0) {
        *ret_error = r == -EDQUOT
                         ? cel_spent(run)
                         : cel_fail(run, CEL_FAULT_ARGUMENT,
                                    "not a regular expression: %s", e.message);
        return NULL;
    }
    return p;
}

static struct cel_value matches(struct cel_run *run,
                                const struct cel_value *args)
{
    struct cel_value error = cel_null();
    bool found = false;
    const struct re_program *p = compile(run, args[1], &error);
    if (p == NULL) {
        return error;
    }
    return re_search(p, cel_text(args[0]), run, &found) ? cel_bool(found)
                                                        : cel_spent(run);
}

/* The first group if there is one, else the whole match. */
static struct str wanted(const struct re_program *p, struct str text,
                         const struct re_match *m)
{
    size_t group = re_group_count(p) == 0 ? 0 : 1;
    if (m->from[group] < 0 || m->to[group] < 0) {
        return STR("");
    }
    return str_slice(text, (size_t)m->from[group], (size_t)m->to[group]);
}

static struct cel_value extract(struct cel_run *run,
                                const struct cel_value *args)
{
    struct cel_value error = cel_null();
    struct re_match m;
    bool found = false;
    const struct re_program *p = compile(run, args[1], &error);
    if (p == NULL) {
        return error;
    }
    if (!re_find(p, cel_text(args[0]), 0, run, &found, &m)) {
        return cel_spent(run);
    }
    if (!found) {
        return cel_none();
    }
    return cel_some(run, cel_string(wanted(p, cel_text(args[0]), &m)));
}

/* Where to look behind a match: one further if it was empty. */
static size_t behind(const struct re_match *m, struct str text)
{
    size_t at = (size_t)m->to[0];
    if (m->to[0] > m->from[0]) {
        return at;
    }
    at++;
    while (at < text.len && ((unsigned char)text.at[at] & 0xC0) == 0x80) {
        at++;
    }
    return at;
}

static struct cel_value extract_all(struct cel_run *run,
                                    const struct cel_value *args)
{
    struct cel_value error = cel_null();
    struct str text = cel_text(args[0]);
    struct cel_value *items = NULL;
    uint32_t count = 0;
    uint32_t cap = 0;
    bool found = true;
    const struct re_program *p = compile(run, args[1], &error);
    for (size_t at = 0; p != NULL && at <= text.len;) {
        struct re_match m;
        if (!re_find(p, text, at, run, &found, &m)) {
            return cel_spent(run);
        }
        if (!found) {
            break;
        }
        if (count == cap) {
            cap = cap == 0 ? 8 : cap * 2;
            struct cel_value *more = cel_alloc(run, cap, sizeof(*more));
            if (more == NULL) {
                return cel_spent(run);
            }
            if (count != 0) {
                memcpy(more, items, count * sizeof(*more));
            }
            items = more;
        }
        items[count++] = cel_string(wanted(p, text, &m));
        at = behind(&m, text);
    }
    return p == NULL ? error : cel_new_list(run, items, count);
}

/* \0 to \9 in the replacement are the groups, \\ is a backslash. */
static void add_replacement(struct str to, struct str text,
                            const struct re_match *m, struct strbuf *out)
{
    for (size_t i = 0; i < to.len; i++) {
        if (to.at[i] != '\\' || i + 1 == to.len) {
            strbuf_addch(out, to.at[i]);
            continue;
        }
        char c = to.at[++i];
        if (c >= '0' && c <= '9') {
            size_t g = (size_t)(c - '0');
            if (m->from[g] >= 0 && m->to[g] >= 0) {
                strbuf_add(
                    out, str_slice(text, (size_t)m->from[g], (size_t)m->to[g]));
            }
        } else {
            strbuf_addch(out, c);
        }
    }
}

static struct cel_value replace(struct cel_run *run,
                                const struct cel_value *args)
{
    CLEANUP(strbuf_deinit) struct strbuf out = cel_text_buffer(run);
    struct cel_value error = cel_null();
    struct str text = cel_text(args[0]);
    size_t done = 0;
    bool found = true;
    const struct re_program *p = compile(run, args[1], &error);
    if (p == NULL) {
        return error;
    }
    for (size_t at = 0; found && at <= text.len && !out.full;) {
        struct re_match m;
        if (!re_find(p, text, at, run, &found, &m)) {
            return cel_spent(run);
        }
        if (found) {
            strbuf_add(&out, str_slice(text, done, (size_t)m.from[0]));
            add_replacement(cel_text(args[2]), text, &m, &out);
            done = (size_t)m.to[0];
            at = behind(&m, text);
        }
    }
    strbuf_add(&out, str_slice(text, done, text.len));
    return cel_take_text(run, &out);
}

#define S &cel_type_string

static const struct cel_type *const string_param[] = {&cel_type_string};
static const struct cel_type optional_string = {.kind = CEL_OPTIONAL,
                                                .name = {"optional_type", 13},
                                                .param_count = 1,
                                                .params = string_param};

static const struct cel_function rows[] = {
    {"matches",
     CEL_GM,
     2,
     {S, S},
     &cel_type_bool,
     matches,
     "True if the pattern (RE2 syntax) is found in the text."},
    {"regex.extract",
     CEL_G,
     2,
     {S, S},
     &optional_string,
     extract,
     "The first group of the first match, if there is one."},
    {"regex.extractAll",
     CEL_G,
     2,
     {S, S},
     &cel_type_list_string,
     extract_all,
     "The first group of every match."},
    {"regex.replace",
     CEL_G,
     3,
     {S, S, S},
     S,
     replace,
     "With every match replaced; \\1 is its first group."},
};

const struct cel_library cel_lib_pattern = CEL_LIBRARY(rows);
