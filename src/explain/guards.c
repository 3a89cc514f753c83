/* The limits of a trigger, in numbers, from what is remembered of a key. */
#include <inttypes.h>

#include "data/duration.h"
#include "explain/explain.h"

#define TEXT_MAX_BYTES 2048

static struct str text_of(struct strbuf *text, struct arena *a)
{
    struct str copy = arena_str(a, strbuf_str(text));
    strbuf_deinit(text);
    return copy;
}

static struct explain_guard cooldown(const struct trigger_limits *l,
                                     const struct memory_row *row,
                                     const struct memory_state *s,
                                     struct arena *a)
{
    char all[DURATION_TEXT_SIZE];
    char passed[DURATION_TEXT_SIZE];
    char id[ID_TEXT_SIZE];
    struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    duration_format(l->cooldown_ms, all);
    if (row->start_count == 0) {
        strbuf_addf(&text, "%s between starts; none is remembered", all);
    } else {
        duration_format(s->cool_passed_ms - s->cool_passed_ms % 1000, passed);
        id_format(row->last_workflow, ID_PREFIX_WORKFLOW, id);
        strbuf_addf(&text, "%s of %s have passed since %s started", passed, all,
                    id);
    }
    return (struct explain_guard){.name = "cooldown",
                                  .holds_back = s->cool_until_ms != 0,
                                  .until_ms = s->cool_until_ms,
                                  .text = text_of(&text, a)};
}

static struct explain_guard max_runs(const struct trigger_limits *l,
                                     const struct memory_state *s,
                                     struct arena *a)
{
    char within[DURATION_TEXT_SIZE];
    struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    bool spent = s->runs >= l->runs_most;
    duration_format(l->runs_within_ms, within);
    strbuf_addf(&text,
                "%" PRIu32 " of %" PRIu32 " workflows were started within %s",
                s->runs, l->runs_most, within);
    return (struct explain_guard){.name = "max_runs",
                                  .holds_back = spent,
                                  .until_ms = spent ? s->runs_until_ms : 0,
                                  .text = text_of(&text, a)};
}

/* The event that makes it enough starts a workflow: one more is counted. */
static struct explain_guard count(const struct trigger_limits *l,
                                  const struct memory_state *s, struct arena *a)
{
    char within[DURATION_TEXT_SIZE];
    struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    duration_format(l->count_within_ms, within);
    strbuf_addf(&text, "%" PRIu32 " of %" PRIu32 " events have come within %s",
                s->events, l->count_least, within);
    return (struct explain_guard){.name = "count",
                                  .holds_back = s->events + 1 < l->count_least,
                                  .text = text_of(&text, a)};
}

/* What the event lacks of its key. */
static struct explain_guard no_key(struct str part, struct arena *a)
{
    struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    strbuf_addf(&text, "the event has no %.*s, which dedup asks for",
                STR_ARG(part));
    return (struct explain_guard){
        .name = "dedup", .holds_back = true, .text = text_of(&text, a)};
}

uint32_t explain_guards(const struct trigger *t, const struct event *e,
                        const struct memory_row *row, uint64_t now_ms,
                        struct arena *a,
                        struct explain_guard ret[EXPLAIN_GUARDS_MAX])
{
    static const struct memory_row nothing;
    const struct trigger_limits *l = &t->limits;
    struct str key = STR_NULL;
    uint32_t n = 0;
    if (!trigger_limits_any(l)) {
        return 0;
    }
    if (trigger_key(t->dedup, t->dedup_count, e, a, &key) < 0) {
        ret[n++] = no_key(key, a);
        return n;
    }
    row = row != NULL ? row : &nothing;
    struct memory_state s = memory_state_at(l, row, now_ms, now_ms);
    if (l->cooldown_ms != 0) {
        ret[n++] = cooldown(l, row, &s, a);
    }
    if (l->runs_most != 0) {
        ret[n++] = max_runs(l, &s, a);
    }
    if (l->count_least != 0) {
        ret[n++] = count(l, &s, a);
    }
    return n;
}
