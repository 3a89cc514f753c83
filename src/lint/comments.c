/*
 * "# lint: allow RULE REASON": which lines it is about, and whether it says
 * what it must.
 */
#include <string.h>

#include "lint/lint_priv.h"

#define MARK STR("lint: allow")

/* One comment. Lines from `from` to `to` are what it is about. */
struct allow {
    const struct lint_rule *rule;
    uint32_t line;
    uint32_t column;
    uint32_t from;
    uint32_t to;
    bool used;
};

struct lines {
    VEC(struct str) at;
};

struct allows {
    VEC(struct allow) at;
};

static void split(struct str text, struct lines *ret)
{
    struct str rest = text;
    while (rest.len != 0) {
        ptrdiff_t end = str_find(rest, '\n');
        size_t len = end >= 0 ? (size_t)end : rest.len;
        VEC_PUSH(&ret->at, str_slice(rest, 0, len));
        rest = str_slice(rest, len + 1, rest.len);
    }
}

static size_t indent_of(struct str line)
{
    size_t n = 0;
    while (n < line.len && line.at[n] == ' ') {
        n++;
    }
    return n;
}

static bool is_skipped(struct str line)
{
    struct str rest = str_trim(line);
    return rest.len == 0 || rest.at[0] == '#' || rest.at[0] == '\r';
}

/* The next line that says something, and all below it that stand deeper. */
static void cover_next(const struct lines *lines, struct allow *a)
{
    size_t i = a->line; /* index of the line behind the comment's */
    while (i < lines->at.count && is_skipped(lines->at.at[i])) {
        i++;
    }
    a->from = (uint32_t)i + 1;
    a->to = a->from;
    if (i >= lines->at.count) {
        return;
    }
    size_t indent = indent_of(lines->at.at[i]);
    for (size_t j = i + 1; j < lines->at.count; j++) {
        if (str_trim(lines->at.at[j]).len == 0) {
            continue;
        }
        if (indent_of(lines->at.at[j]) <= indent) {
            return;
        }
        a->to = (uint32_t)j + 1;
    }
}

/* What stands behind "lint:" of a comment; STR_NULL if the line has none. */
static struct str behind_mark(struct str line, size_t *ret_hash)
{
    struct str rest = line;
    for (;;) {
        ptrdiff_t hash = str_find(rest, '#');
        if (hash < 0) {
            return STR_NULL;
        }
        rest = str_slice(rest, (size_t)hash + 1, rest.len);
        struct str comment = str_trim(rest);
        if (str_starts(comment, MARK)) {
            *ret_hash = (size_t)(rest.at - line.at) - 1;
            return str_trim(str_slice(comment, MARK.len, comment.len));
        }
    }
}

static void speak(struct lint *l, const char *rule)
{
    const char *nearest = NULL;
    l->rule = lint_rule(str_c(rule), &nearest);
}

static void read_allow(struct lint *l, const struct lines *lines, size_t i,
                       struct allows *ret)
{
    size_t hash = 0;
    struct str line = lines->at.at[i];
    struct str rest = behind_mark(line, &hash);
    if (rest.at == NULL) {
        return;
    }
    ptrdiff_t blank = str_find(rest, ' ');
    struct str id = str_slice(rest, 0, blank >= 0 ? (size_t)blank : rest.len);
    struct str reason = str_trim(str_slice(rest, id.len, rest.len));
    const char *nearest = NULL;
    struct allow a = {.rule = lint_rule(id, &nearest),
                      .line = (uint32_t)i + 1,
                      .column = (uint32_t)hash + 1};
    struct place at = {.line = a.line, .column = a.column};
    speak(l, RULE_BAD_ALLOW);
    if (a.rule == NULL) {
        struct err *e = lint_add(l, at, "there is no rule '%.*s'",
                                 (int)MIN(id.len, 60U), id.at);
        if (nearest != NULL) {
            err_hint(e, "did you mean '%s'?", nearest);
        }
    } else if (str_eq_c(id, RULE_ERROR) || str_eq_c(id, RULE_BAD_ALLOW)) {
        (void)lint_add(l, at, "%s cannot be allowed", a.rule->id);
    } else if (reason.len == 0) {
        (void)lint_add(l, at, "the reason is missing");
    } else {
        a.from = a.to = a.line;
        if (str_trim(str_slice(line, 0, hash)).len == 0) {
            cover_next(lines, &a);
        }
        VEC_PUSH(&ret->at, a);
    }
}

static bool is_allowed(struct allows *allows, const struct lint_finding *f)
{
    bool allowed = false;
    VEC_EACH (&allows->at, i) {
        struct allow *a = &allows->at.at[i];
        if (a->rule == f->rule && f->err.at.line >= a->from &&
            f->err.at.line <= a->to) {
            a->used = true;
            allowed = true;
        }
    }
    return allowed;
}

static void drop_allowed(struct lint *l, struct allows *allows)
{
    struct lint_report *r = l->report;
    size_t kept = 0;
    VEC_EACH (&r->findings, i) {
        if (is_allowed(allows, &r->findings.at[i])) {
            r->allowed++;
        } else {
            r->findings.at[kept++] = r->findings.at[i];
        }
    }
    r->findings.count = kept;
}

void lint_apply_comments(struct lint *l)
{
    struct lines lines = {0};
    struct allows allows = {0};
    split(l->text, &lines);
    VEC_EACH (&lines.at, i) {
        read_allow(l, &lines, i, &allows);
    }
    drop_allowed(l, &allows);
    speak(l, RULE_UNUSED_ALLOW);
    VEC_EACH (&allows.at, i) {
        const struct allow *a = &allows.at.at[i];
        if (!a->used && (l->more || !a->rule->asked)) {
            (void)lint_add(l,
                           (struct place){.line = a->line, .column = a->column},
                           "%s finds nothing here", a->rule->id);
        }
    }
    VEC_DEINIT(&lines.at);
    VEC_DEINIT(&allows.at);
}
