#include "lint/lint_priv.h"

#include <stdio.h>
#include <string.h>

#include "expr/template.h"

const char *lint_severity_name(enum lint_severity s)
{
    static const char *const names[LINT_SEVERITIES] = {
        [LINT_NOTE] = "note",
        [LINT_WARNING] = "warning",
        [LINT_ERROR] = "error",
    };
    return names[s];
}

const struct lint_rule *lint_rule(struct str id, const char **ret_nearest)
{
    enum { MOST = 64 };
    const char *names[MOST];
    size_t count = 0;
    for (size_t i = 0; i < lint_rule_count; i++) {
        if (str_eq_c(id, lint_rules[i].id)) {
            return &lint_rules[i];
        }
        if (count < MOST) {
            names[count++] = lint_rules[i].id;
        }
    }
    *ret_nearest = str_nearest(id, names, count);
    return NULL;
}

/* ---- places ---------------------------------------------------------------
 */

/* Line `number`, from 1, without its end. */
static struct str line_of(struct str text, uint32_t number)
{
    struct str rest = text;
    for (uint32_t i = 1;; i++) {
        ptrdiff_t end = str_find(rest, '\n');
        size_t len = end >= 0 ? (size_t)end : rest.len;
        if (i == number || end < 0) {
            return i == number ? str_slice(rest, 0, len) : STR_NULL;
        }
        rest = str_slice(rest, len + 1, rest.len);
    }
}

static uint32_t characters(struct str s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += ((unsigned char)s.at[i] & 0xC0) != 0x80 ? 1 : 0;
    }
    return n;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct place place_in(const struct lint *l, const struct yaml_node *n,
                             uint32_t offset)
{
    struct place at = yaml_place(n);
    struct str value = yaml_text(n);
    size_t from = 0;
    uint32_t lines = 0;
    for (size_t i = 0; i < MIN((size_t)offset, value.len); i++) {
        if (value.at[i] == '\n') {
            from = i + 1;
            lines++;
        }
    }
    while (from < offset && is_blank(value.at[from])) {
        from++;
    }
    struct str wanted = str_slice(value, from, value.len);
    ptrdiff_t end = str_find(wanted, '\n');
    wanted = str_slice(wanted, 0, end >= 0 ? (size_t)end : wanted.len);
    struct str line = line_of(l->text, at.line + lines);
    const char *found = wanted.len != 0 && line.len != 0
                            ? memmem(line.at, line.len, wanted.at, wanted.len)
                            : NULL;
    if (found == NULL) {
        return at;
    }
    size_t behind = (size_t)(found - line.at) + (offset - from);
    return (struct place){
        .line = at.line + lines,
        .column = 1 + characters(str_slice(line, 0, behind)),
    };
}

/* ---- findings -------------------------------------------------------------
 */

PRINTF_LIKE(3, 0)
static struct err *add(struct lint *l, struct place at, const char *fmt,
                       va_list args)
{
    if (l->report->findings.count >= LINT_MAX_FINDINGS) {
        l->report->cut = true;
        return &l->dropped;
    }
    VEC_PUSH(&l->report->findings, (struct lint_finding){.rule = l->rule});
    struct err *e = &l->report->findings.at[l->report->findings.count - 1].err;
    e->at = at;
    (void)vsnprintf(e->message, sizeof(e->message), fmt, args);
    err_field(e, "%s", l->field);
    err_hint(e, "%s", l->rule->fix);
    return e;
}

struct err *lint_add(struct lint *l, struct place at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    struct err *e = add(l, at, fmt, args);
    va_end(args);
    return e;
}

struct err *lint_add_in(struct lint *l, const struct lint_script *s,
                        uint32_t offset, const char *fmt, ...)
{
    struct place at = s->text != NULL ? place_in(l, s->text, offset)
                                      : yaml_place(yaml_item(s->argv, offset));
    va_list args;
    va_start(args, fmt);
    struct err *e = add(l, at, fmt, args);
    va_end(args);
    return e;
}

/* ---- steps ----------------------------------------------------------------
 */

bool lint_is_one_of(struct str s, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (str_eq_c(s, *words)) {
            return true;
        }
    }
    return false;
}

struct str lint_base_name(struct str path)
{
    for (size_t i = path.len; i > 0; i--) {
        if (path.at[i - 1] == '/') {
            return str_slice(path, i, path.len);
        }
    }
    return path;
}

const char *const lint_shells[] = {"sh", "bash", "dash", "zsh", "ksh", NULL};

static bool is_shell(struct str program)
{
    return lint_is_one_of(lint_base_name(program), lint_shells);
}

/* "-c", "-ec": short options with a c. */
static bool takes_program(struct str arg)
{
    return arg.len > 1 && arg.at[0] == '-' && arg.at[1] != '-' &&
           str_find(arg, 'c') > 0;
}

/* The text that argv gives to a shell as a program ("sh -c TEXT"), or NULL. */
static const struct yaml_node *shell_argument(const struct yaml_node *argv)
{
    if (yaml_count(argv) < 3 || !is_shell(yaml_text(yaml_item(argv, 0)))) {
        return NULL;
    }
    for (size_t i = 1; i + 1 < yaml_count(argv); i++) {
        struct str arg = yaml_text(yaml_item(argv, i));
        if (!str_starts(arg, STR("-"))) {
            return NULL;
        }
        if (takes_program(arg)) {
            return yaml_item(argv, i + 1);
        }
    }
    return NULL;
}

static bool shell_stops(const struct yaml_node *argv)
{
    struct str first = yaml_text(yaml_item(argv, 1));
    return str_starts(first, STR("-")) && str_find(first, 'e') > 0;
}

/* argv as the one command that it is; offsets are the numbers of elements. */
static void scan_argv(const struct yaml_node *argv, struct shell_script *ret)
{
    struct shell_command c = {.piped_from = SHELL_NONE,
                              .before = SHELL_NEXT,
                              .word_count = (uint32_t)yaml_count(argv)};
    for (uint32_t i = 0; i < c.word_count; i++) {
        struct str text = yaml_text(yaml_item(argv, i));
        bool dynamic = template_is_dynamic(text);
        VEC_PUSH(&ret->words,
                 (struct shell_word){.text = text,
                                     .offset = i,
                                     .first_expansion =
                                         (uint32_t)ret->expansions.count,
                                     .expansion_count = dynamic ? 1 : 0,
                                     .quoted = true,
                                     .leads = str_starts(text, STR("${{"))});
        if (dynamic) {
            VEC_PUSH(&ret->expansions,
                     (struct shell_expansion){.name = LINT_PARAM, .offset = i});
        }
    }
    VEC_PUSH(&ret->commands, c);
}

static void look_at_script(struct lint *l, struct lint_script *s)
{
    for (size_t r = 0; r < lint_rule_count; r++) {
        l->rule = &lint_rules[r];
        if (l->rule->script != NULL) {
            l->rule->script(l, s);
        }
    }
    shell_script_deinit(&s->shell);
}

static void look_at_text(struct lint *l, const struct yaml_node *text,
                         bool errexit)
{
    struct lint_script s = {.text = text};
    /* The loader refuses what is longer. */
    shell_scan(str_slice(yaml_text(text), 0, LINT_SCRIPT_MAX_BYTES), &l->arena,
               &s.shell);
    s.errexit = errexit || s.shell.errexit;
    look_at_script(l, &s);
}

static void look_at_argv(struct lint *l, const struct yaml_node *argv)
{
    struct lint_script s = {.argv = argv};
    scan_argv(argv, &s.shell);
    look_at_script(l, &s);
    const struct yaml_node *text = shell_argument(argv);
    if (text != NULL) {
        look_at_text(l, text, shell_stops(argv));
    }
}

/* The caller has said where it stands. */
static void look_at_step(struct lint *l, const struct yaml_node *node)
{
    const struct yaml_node *command = yaml_get(node, STR("command"));
    const struct yaml_node *argv = yaml_get(node, STR("argv"));
    for (size_t r = 0; r < lint_rule_count; r++) {
        l->rule = &lint_rules[r];
        if (l->rule->step != NULL) {
            l->rule->step(l, node);
        }
    }
    if (command != NULL) {
        look_at_text(l, command, false);
    }
    if (argv != NULL && yaml_kind(argv) == YAML_SEQUENCE &&
        yaml_count(argv) > 0) {
        look_at_argv(l, argv);
    }
}

static void look_at_section(struct lint *l, const char *section)
{
    const struct yaml_node *steps =
        l->root != NULL ? yaml_get(l->root, str_c(section)) : NULL;
    if (steps == NULL || yaml_kind(steps) != YAML_SEQUENCE) {
        return;
    }
    for (size_t i = 0; i < yaml_count(steps); i++) {
        const struct yaml_node *node = yaml_item(steps, i);
        const struct yaml_node *back = yaml_get(node, STR("rollback"));
        (void)snprintf(l->field, sizeof(l->field), "%s[%zu]", section, i);
        if (yaml_kind(node) == YAML_MAPPING) {
            look_at_step(l, node);
        }
        if (back != NULL && yaml_kind(back) == YAML_MAPPING) {
            (void)snprintf(l->field, sizeof(l->field), "%s[%zu].rollback",
                           section, i);
            look_at_step(l, back);
        }
    }
    l->field[0] = '\0';
}

/* ---- one file -------------------------------------------------------------
 */

static void take_loader(struct lint *l, const struct runbook_report *report)
{
    const char *nearest = NULL;
    VEC_EACH (&report->problems, i) {
        const struct runbook_problem *p = &report->problems.at[i];
        const char *rule = p->warning ? RULE_WARNING : RULE_ERROR;
        if (strstr(p->err.message, "a shell command is constant text") !=
            NULL) {
            rule = RULE_TEMPLATE;
        }
        l->rule = lint_rule(str_c(rule), &nearest);
        struct err *e = lint_add(l, p->err.at, "%s", p->err.message);
        *e = p->err;
    }
}

static void look(struct lint *l)
{
    for (size_t r = 0; r < lint_rule_count; r++) {
        l->rule = &lint_rules[r];
        if (l->rule->file != NULL && (l->more || !l->rule->asked)) {
            l->rule->file(l);
        }
    }
    for (unsigned i = 0; i < STEP_SECTIONS; i++) {
        look_at_section(l, step_section_name((enum step_section)i));
    }
    const struct yaml_node *verify =
        l->root != NULL ? yaml_get(l->root, STR("verify")) : NULL;
    if (verify != NULL && yaml_kind(verify) == YAML_MAPPING) {
        (void)snprintf(l->field, sizeof(l->field), "verify");
        look_at_step(l, verify);
        l->field[0] = '\0';
    }
}

static bool is_later(const struct err *a, const struct err *b)
{
    return a->at.line > b->at.line ||
           (a->at.line == b->at.line && a->at.column > b->at.column);
}

static void sort(struct lint_report *r)
{
    for (size_t i = 1; i < r->findings.count; i++) {
        struct lint_finding f = r->findings.at[i];
        size_t j = i;
        while (j > 0 && is_later(&r->findings.at[j - 1].err, &f.err)) {
            r->findings.at[j] = r->findings.at[j - 1];
            j--;
        }
        r->findings.at[j] = f;
    }
}

/* Messages quote the file: one line of plain text each. */
static void tidy(char *text)
{
    bool valid = str_is_utf8(str_c(text));
    for (char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if (c < 0x20 || c == 0x7F || (c >= 0x80 && !valid)) {
            *at = '?';
        }
    }
}

static void finish(struct lint_report *r)
{
    sort(r);
    VEC_EACH (&r->findings, i) {
        tidy(r->findings.at[i].err.message);
        tidy(r->findings.at[i].err.hint);
        r->counts[r->findings.at[i].rule->severity]++;
    }
}

static void lint_text(struct str path, struct str text,
                      const struct runbook_defaults *defaults, bool more,
                      struct lint_report *ret)
{
    static const struct yaml_limits limits = {.bytes = RUNBOOK_MAX_BYTES,
                                              .depth = RUNBOOK_MAX_DEPTH,
                                              .nodes = RUNBOOK_MAX_NODES};
    struct lint l = {.text = text, .more = more, .report = ret};
    struct runbook_report loaded = {0};
    struct runbook *rb = NULL;
    struct err ignored = ERR_INIT; /* the loader says the same */
    CLEANUP(yaml_doc_freep) struct yaml_doc *doc = NULL;
    *ret = (struct lint_report){.cut = false};
    arena_init(&l.arena);
    int r = runbook_load(path, text, defaults, &rb, &loaded);
    take_loader(&l, &loaded);
    if (r == 0) {
        runbook_unref(rb);
    }
    runbook_report_deinit(&loaded);
    if (yaml_parse(text, &limits, &doc, &ignored) == 0) {
        l.root = yaml_root(doc);
    }
    look(&l);
    lint_apply_comments(&l);
    finish(ret);
    arena_deinit(&l.arena);
}

void lint_runbook(struct str path, struct str text,
                  const struct runbook_defaults *defaults,
                  struct lint_report *ret)
{
    lint_text(path, text, defaults, false, ret);
}

void lint_runbook_more(struct str path, struct str text,
                       const struct runbook_defaults *defaults,
                       struct lint_report *ret)
{
    lint_text(path, text, defaults, true, ret);
}

void lint_report_deinit(struct lint_report *r)
{
    VEC_DEINIT(&r->findings);
}
