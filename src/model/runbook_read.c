#include "model/runbook_paths.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "data/duration.h"

/* ---- place and problems ------------------------------------------------- */

size_t loader_enter(struct loader *l, const char *fmt, ...)
{
    size_t mark = l->field_len;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(l->field + mark, sizeof(l->field) - mark, fmt, args);
    va_end(args);
    ASSERT(n >= 0);
    l->field_len = MIN(mark + (size_t)n, sizeof(l->field) - 1);
    return mark;
}

void loader_leave(struct loader *l, size_t mark)
{
    l->field_len = mark;
    l->field[mark] = '\0';
}

/* No more are kept: nobody needs their place. */
static bool is_full(const struct loader *l, bool warning)
{
    const struct runbook_report *r = l->report;
    size_t same = warning ? r->problems.count - r->error_count : r->error_count;
    return same >= RUNBOOK_MAX_ERRORS;
}

/* A new problem, or the dropped one when there are too many: each kind has
 * its own limit, so that warnings never hide an error. */
static struct err *add_problem(struct loader *l, bool warning)
{
    struct runbook_report *r = l->report;
    if (is_full(l, warning)) {
        return &l->dropped;
    }
    VEC_PUSH(&r->problems, (struct runbook_problem){.warning = warning});
    r->error_count += warning ? 0 : 1;
    struct err *e = &r->problems.at[r->problems.count - 1].err;
    const char *field = l->field[0] == '.' ? l->field + 1 : l->field;
    err_field(e, "%s", field);
    return e;
}

PRINTF_LIKE(4, 0)
static struct err *add_message(struct loader *l, bool warning, struct place at,
                               const char *fmt, va_list args)
{
    struct err *e = add_problem(l, warning);
    e->errnum = -EINVAL;
    e->at = at;
    (void)vsnprintf(e->message, sizeof(e->message), fmt, args);
    return e;
}

struct err *loader_error(struct loader *l, const struct yaml_node *n,
                         const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    struct err *e = add_message(l, false, yaml_place(n), fmt, args);
    va_end(args);
    return e;
}

struct err *loader_warning(struct loader *l, struct place at, const char *fmt,
                           ...)
{
    va_list args;
    va_start(args, fmt);
    struct err *e = add_message(l, true, at, fmt, args);
    va_end(args);
    return e;
}

struct err *loader_error_in(struct loader *l, const struct yaml_node *n,
                            size_t offset, const char *fmt, ...)
{
    struct place at =
        is_full(l, false) ? yaml_place(n) : yaml_where(n, l->rb->text, offset);
    va_list args;
    va_start(args, fmt);
    struct err *e = add_message(l, false, at, fmt, args);
    va_end(args);
    return e;
}

void loader_issue(struct loader *l, const struct yaml_node *n,
                  const struct cel_issue *issue)
{
    struct err *e =
        loader_error_in(l, n, issue->offset, "%s", issue->err.message);
    err_hint(e, "%s", issue->err.hint);
}

void loader_issue_warning(struct loader *l, const struct yaml_node *n,
                          const struct cel_issue *issue)
{
    struct place at = is_full(l, true)
                          ? yaml_place(n)
                          : yaml_where(n, l->rb->text, issue->offset);
    err_hint(loader_warning(l, at, "%s", issue->err.message), "%s",
             issue->err.hint);
}

void loader_report(struct loader *l, const struct yaml_node *n,
                   const struct err *e)
{
    struct err *added = add_problem(l, false);
    char field[sizeof(added->field)];
    memcpy(field, added->field, sizeof(field));
    *added = *e;
    memcpy(added->field, field, sizeof(field));
    if (added->at.line == 0) {
        added->at = yaml_place(n);
    }
}

/* ---- values ------------------------------------------------------------- */

static bool is_collection(struct loader *l, const struct yaml_node *n,
                          enum yaml_kind kind, size_t max)
{
    const char *what = kind == YAML_SEQUENCE ? "list" : "mapping";
    if (yaml_kind(n) != kind) {
        (void)loader_error(l, n, "expected a %s, got %s", what,
                           yaml_kind_text(n));
        return false;
    }
    if (yaml_count(n) > max) {
        (void)loader_error(l, n, "this %s has %zu entries, %zu are allowed",
                           what, yaml_count(n), max);
        return false;
    }
    return true;
}

bool loader_is_list(struct loader *l, const struct yaml_node *n, size_t max)
{
    return is_collection(l, n, YAML_SEQUENCE, max);
}

bool loader_is_map(struct loader *l, const struct yaml_node *n, size_t max)
{
    return is_collection(l, n, YAML_MAPPING, max);
}

static bool has_control(struct str s, bool block)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        bool blank = c == '\t' || c == '\n' || c == '\r';
        if ((c < 0x20 && !(block && blank)) || c == 0x7F) {
            return true;
        }
    }
    return false;
}

bool loader_read_text(struct loader *l, const struct yaml_node *n, size_t max,
                      bool block, struct str *ret)
{
    struct err e = ERR_INIT;
    struct str text = STR_NULL;
    if (yaml_string(n, &text, &e) < 0) {
        loader_report(l, n, &e);
        return false;
    }
    if (text.len == 0 || text.len > max) {
        (void)loader_error(l, n, "expected a text of 1 to %zu bytes, got %zu",
                           max, text.len);
        return false;
    }
    if (has_control(text, block)) {
        (void)loader_error(l, n,
                           block ? "a text holds no control characters"
                                 : "expected one line without control "
                                   "characters");
        return false;
    }
    *ret = arena_str(&l->rb->arena, text);
    return true;
}

bool loader_read_template(struct loader *l, const struct yaml_node *n,
                          struct template *ret)
{
    struct err e = ERR_INIT;
    struct str text = STR_NULL;
    int r = yaml_string(n, &text, &e);
    if (r == 0 && text.len > RUNBOOK_COMMAND_MAX_BYTES) {
        r = yaml_err(&e, n, -E2BIG, "expected at most %d bytes, got %zu",
                     RUNBOOK_COMMAND_MAX_BYTES, text.len);
    }
    if (r < 0) {
        loader_report(l, n, &e);
        return false;
    }
    struct cel_issue issue = CEL_ISSUE_INIT;
    if (template_parse(text, &l->rb->arena, ret, &issue) < 0) {
        loader_issue(l, n, &issue);
        return false;
    }
    return true;
}

bool loader_read_duration(struct loader *l, const struct yaml_node *n,
                          uint64_t min, uint64_t max, uint64_t *ret)
{
    struct str text = yaml_text(n);
    uint64_t ms = 0;
    if (text.len == 0 || duration_parse(text, &ms) < 0) {
        err_hint(loader_error(l, n, "expected a duration, got %s '%.*s'",
                              yaml_kind_text(n), (int)MIN(text.len, 60U),
                              text.len != 0 ? text.at : ""),
                 "write seconds (300) or units (5m, 1h30m, 250ms)");
        return false;
    }
    if (ms < min || ms > max) {
        char low[DURATION_TEXT_SIZE];
        char high[DURATION_TEXT_SIZE];
        duration_format(min, low);
        duration_format(max, high);
        (void)loader_error(l, n, "%.*s is not between %s and %s", STR_ARG(text),
                           low, high);
        return false;
    }
    *ret = ms;
    return true;
}

/* ---- by kind ------------------------------------------------------------ */

static void *field_at(void *object, size_t offset)
{
    return (char *)object + offset;
}

static bool read_line(struct loader *l, const struct yaml_node *n,
                      const struct key *k, struct str *ret)
{
    struct str text = STR_NULL;
    if (!loader_read_text(l, n, k->max, k->kind == KEY_BLOCK, &text)) {
        return false;
    }
    if (k->valid != NULL && !k->valid(text)) {
        (void)loader_error(l, n, "expected %s, got '%.*s'", k->expected,
                           STR_ARG(text));
        return false;
    }
    *ret = text;
    return true;
}

static void read_lines(struct loader *l, const struct yaml_node *n,
                       const struct key *k, void *object)
{
    bool is_list = yaml_kind(n) == YAML_SEQUENCE;
    if (is_list && !loader_is_list(l, n, RUNBOOK_MAX_VALUES)) {
        return;
    }
    size_t count = is_list ? yaml_count(n) : 1;
    if (count == 0) {
        (void)loader_error(l, n,
                           "an empty list means nothing here; leave "
                           "'%s' away",
                           k->name);
        return;
    }
    struct str *texts = ARENA_ARRAY(&l->rb->arena, count, struct str);
    for (size_t i = 0; i < count; i++) {
        size_t mark = is_list ? loader_enter(l, "[%zu]", i) : l->field_len;
        (void)read_line(l, is_list ? yaml_item(n, i) : n, k, &texts[i]);
        loader_leave(l, mark);
    }
    *(struct str **)field_at(object, k->offset) = texts;
    *(uint32_t *)field_at(object, k->count_offset) = (uint32_t)count;
}

static void read_count(struct loader *l, const struct yaml_node *n,
                       const struct key *k, uint32_t *ret)
{
    struct err e = ERR_INIT;
    int64_t value = 0;
    if (yaml_int(n, (int64_t)k->min, (int64_t)k->max, &value, &e) < 0) {
        loader_report(l, n, &e);
        return;
    }
    *ret = (uint32_t)value;
}

static void read_bool(struct loader *l, const struct yaml_node *n, bool *ret)
{
    struct err e = ERR_INIT;
    if (yaml_bool(n, ret, &e) < 0) {
        loader_report(l, n, &e);
    }
}

static void read_key(struct loader *l, const struct yaml_node *n,
                     const struct key *k, void *object)
{
    void *field = field_at(object, k->offset);
    switch (k->kind) {
    case KEY_LINE:
    case KEY_BLOCK:
        (void)read_line(l, n, k, field);
        break;
    case KEY_BOOL:
        read_bool(l, n, field);
        break;
    case KEY_COUNT:
        read_count(l, n, k, field);
        break;
    case KEY_DURATION:
        (void)loader_read_duration(l, n, k->min, k->max, field);
        break;
    case KEY_LINES:
        read_lines(l, n, k, object);
        break;
    case KEY_READ:
        k->read(l, n, object);
        break;
    }
}

/* ---- mappings ----------------------------------------------------------- */

static bool table_has(const struct key_table *t, struct str name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (str_eq_c(name, t->keys[i].name)) {
            return true;
        }
    }
    return false;
}

static void hint_names(struct err *e, const struct key_table *t,
                       struct str unknown)
{
    enum { MOST = 32 };
    const char *names[MOST];
    struct strbuf all = STRBUF_INIT(sizeof(e->hint) - 1);
    ASSERT(t->count <= MOST);
    for (size_t i = 0; i < t->count; i++) {
        names[i] = t->keys[i].name;
        strbuf_addf(&all, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    const char *nearest = str_nearest(unknown, names, t->count);
    if (nearest != NULL) {
        err_hint(e, "did you mean '%s'?", nearest);
    } else {
        err_hint(e, "the keys are %s", strbuf_str(&all).at);
    }
    strbuf_deinit(&all);
}

static void report_unknown(struct loader *l, const struct yaml_node *n,
                           const struct key_table *t)
{
    for (size_t i = 0; i < yaml_count(n); i++) {
        struct str name = yaml_text(yaml_key(n, i));
        if (table_has(t, name)) {
            continue;
        }
        int shown = (int)MIN(name.len, 64U);
        size_t mark = loader_enter(l, ".%.*s", shown, name.at);
        struct err *e =
            l->defaults->unknown_keys_warn
                ? loader_warning(l, yaml_place(yaml_key(n, i)),
                                 "%s has no key '%.*s': it is ignored", t->what,
                                 shown, name.at)
                : loader_error(l, yaml_key(n, i), "%s has no key '%.*s'",
                               t->what, shown, name.at);
        hint_names(e, t, name);
        loader_leave(l, mark);
    }
}

void loader_read_map(struct loader *l, const struct yaml_node *n,
                     const struct key_table *table, void *object)
{
    if (!loader_is_map(l, n, SIZE_MAX)) {
        return;
    }
    report_unknown(l, n, table);
    for (size_t i = 0; i < table->count; i++) {
        const struct key *k = &table->keys[i];
        const struct yaml_node *value = yaml_get(n, str_c(k->name));
        if (value == NULL && k->required) {
            (void)loader_error(l, n, "%s needs '%s'", table->what, k->name);
        }
        if (value == NULL) {
            continue;
        }
        size_t mark = loader_enter(l, ".%s", k->name);
        read_key(l, value, k, object);
        loader_leave(l, mark);
    }
}
