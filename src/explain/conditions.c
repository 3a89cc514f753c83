#include "explain/conditions.h"

#include "base/assert.h"

/* A list of words, or a value, is cut here; labels are shorter. */
#define TEXT_MAX_BYTES 4096

static bool is_one_of(struct str s, const struct str *words, uint32_t count)
{
    bool found = false;
    for (uint32_t i = 0; i < count && !found; i++) {
        found = str_eq(s, words[i]);
    }
    return found;
}

static bool state_holds(const struct trigger *t, const struct event *e)
{
    bool resolved = e->state == EVENT_RESOLVED;
    return t->state == TRIGGER_ON_ANY ||
           resolved == (t->state == TRIGGER_ON_RESOLVED);
}

/* ---- counting ------------------------------------------------------------ */

static void count_one(struct near *n, bool holds)
{
    n->met += holds;
    n->failed += !holds;
}

static void count_matchers(struct near *n, const struct trigger *t,
                           const struct event *e, bool patterns, int *left)
{
    for (uint32_t i = 0; i < t->matcher_count; i++) {
        const struct matcher *m = &t->matchers[i];
        if ((m->pattern != NULL) != patterns ||
            (patterns && n->failed != 0 && *left <= 0)) {
            continue;
        }
        int r = matcher_holds(m, &e->labels);
        if (patterns) {
            *left -= r < 0 ? EXPLAIN_PATTERN_LIMIT_COSTS : 1;
        }
        if (r < 0) {
            n->undecided = true;
        } else {
            count_one(n, r == 1);
        }
    }
}

struct near conditions_count(const struct trigger *t, const struct event *e,
                             int *patterns)
{
    struct near n = {0};
    if (t->type.len != 0) {
        count_one(&n, str_eq(t->type, e->type));
    }
    if (t->state != TRIGGER_ON_ANY) {
        count_one(&n, state_holds(t, e));
    }
    if (t->severity_count != 0) {
        count_one(&n, is_one_of(e->severity, t->severities, t->severity_count));
    }
    if (t->source_count != 0) {
        count_one(&n, is_one_of(e->source, t->sources, t->source_count));
    }
    count_matchers(&n, t, e, false, patterns);
    count_matchers(&n, t, e, true, patterns);
    n.undecided = n.undecided && n.failed == 0;
    return n;
}

/* ---- telling ------------------------------------------------------------- */

static struct str words_text(const struct str *words, uint32_t count,
                             struct arena *a)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        strbuf_addc(&text, i == 0 ? "" : i + 1 < count ? ", " : " or ");
        strbuf_add(&text, words[i]);
    }
    return arena_str(a, strbuf_str(&text));
}

static const char *state_wanted(enum trigger_state wanted)
{
    switch (wanted) {
    case TRIGGER_ON_FIRING:
        return "not resolved";
    case TRIGGER_ON_RESOLVED:
        return "resolved";
    case TRIGGER_ON_ANY:
        break;
    }
    UNREACHABLE();
}

static void add_matcher(const struct matcher *m, const struct event *e,
                        struct arena *a, struct explain_condition *ret)
{
    static const char *const signs[] = {
        [MATCH_EQ] = "=",
        [MATCH_NE] = "!=",
        [MATCH_RE] = "=~",
        [MATCH_NRE] = "!~",
    };
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES + 8);
    strbuf_addf(&text, "label %.*s", STR_ARG(m->name));
    ret->what = arena_str(a, strbuf_str(&text));
    strbuf_reset(&text);
    strbuf_addf(&text, "%s ", signs[m->op]);
    if (m->value.len != 0) {
        strbuf_add(&text, m->value);
    } else {
        strbuf_addc(&text, "\"\"");
    }
    ret->wanted = arena_str(a, strbuf_str(&text));
    ret->actual = labels_get(&e->labels, m->name);
    ret->holds = matcher_holds(m, &e->labels);
}

uint32_t conditions_list(const struct trigger *t, const struct event *e,
                         struct arena *a, struct explain_condition **ret)
{
    struct explain_condition *all =
        ARENA_ARRAY(a, t->matcher_count + 4, struct explain_condition);
    uint32_t n = 0;
    if (t->type.len != 0) {
        all[n++] = (struct explain_condition){STR("type"), t->type, e->type,
                                              str_eq(t->type, e->type)};
    }
    if (t->state != TRIGGER_ON_ANY) {
        all[n++] = (struct explain_condition){
            STR("state"), str_c(state_wanted(t->state)),
            str_c(event_state_name(e->state)), state_holds(t, e)};
    }
    if (t->severity_count != 0) {
        all[n++] = (struct explain_condition){
            STR("severity"), words_text(t->severities, t->severity_count, a),
            e->severity,
            is_one_of(e->severity, t->severities, t->severity_count)};
    }
    if (t->source_count != 0) {
        all[n++] = (struct explain_condition){
            STR("source"), words_text(t->sources, t->source_count, a),
            e->source, is_one_of(e->source, t->sources, t->source_count)};
    }
    for (uint32_t i = 0; i < t->matcher_count; i++) {
        add_matcher(&t->matchers[i], e, a, &all[n++]);
    }
    *ret = all;
    return n;
}
