#include "model/trigger_watch.h"

#include <inttypes.h>

#include "data/duration.h"
#include "data/timestamp.h"

bool trigger_watch_any(const struct trigger_watch *w)
{
    return w->on_resolve != RESOLVE_UNSAID || w->for_ms != 0 ||
           w->absent_ms != 0 || w->changes_most != 0;
}

bool trigger_watch_resolves(const struct trigger_watch *w)
{
    return trigger_watch_any(w) && w->absent_ms == 0;
}

int trigger_subject(const struct trigger_watch *w,
                    const struct dedup_part *parts, uint32_t count,
                    const struct event *e, struct arena *a, struct str *ret)
{
    if (count != 0 || w->absent_ms != 0) {
        return trigger_key(parts, count, e, a, ret);
    }
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(1024);
    strbuf_addf(&text, "alert=%.*s", STR_ARG(e->fingerprint));
    *ret = arena_str(a, strbuf_str(&text));
    return 0;
}

uint64_t watch_calm_ms(const struct trigger_watch *w,
                       const struct watch_row *row, uint64_t now_ms)
{
    if (w->changes_most == 0 || row->change_count <= w->changes_most) {
        return 0;
    }
    uint32_t first = row->change_count - w->changes_most - 1;
    uint64_t calm_ms = row->changes_ms[first] + w->changes_within_ms;
    return calm_ms > now_ms ? calm_ms : 0;
}

uint64_t watch_ready_ms(const struct trigger_watch *w,
                        const struct watch_row *row, uint64_t now_ms)
{
    uint64_t long_ms = row->since_ms + w->for_ms;
    uint64_t calm_ms = watch_calm_ms(w, row, now_ms);
    return MAX(long_ms > now_ms ? long_ms : 0, calm_ms);
}

/* ---- telling ------------------------------------------------------------- */

const char *watch_wait_name(const struct trigger_watch *w,
                            const struct watch_row *row, uint64_t now_ms)
{
    if (row->due_ms == 0) {
        return "";
    }
    if (w->absent_ms != 0) {
        return "absent";
    }
    return watch_calm_ms(w, row, now_ms) != 0 ? "flapping" : "for";
}

static void add_flapping(const struct trigger_watch *w,
                         const struct watch_row *row, struct strbuf *out)
{
    char within[DURATION_TEXT_SIZE];
    duration_format(w->changes_within_ms, within);
    strbuf_addf(out,
                "flapping: its state has changed %" PRIu32
                " times within %s, more than %" PRIu32,
                row->change_count, within, w->changes_most);
}

static void add_for(const struct trigger_watch *w, const struct watch_row *row,
                    uint64_t now_ms, struct strbuf *out)
{
    char passed[DURATION_TEXT_SIZE];
    char all[DURATION_TEXT_SIZE];
    uint64_t passed_ms = now_ms > row->since_ms ? now_ms - row->since_ms : 0;
    duration_format(passed_ms - passed_ms % 1000, passed);
    duration_format(w->for_ms, all);
    strbuf_addf(out, "for: it has been firing for %s of %s", passed, all);
}

static void add_absent(const struct trigger_watch *w,
                       const struct watch_row *row, uint64_t now_ms,
                       struct strbuf *out)
{
    char passed[DURATION_TEXT_SIZE];
    char all[DURATION_TEXT_SIZE];
    uint64_t passed_ms = now_ms > row->seen_ms ? now_ms - row->seen_ms : 0;
    duration_format(passed_ms - passed_ms % 1000, passed);
    duration_format(w->absent_ms, all);
    strbuf_addf(out, "absent: nothing has come for %s of %s", passed, all);
}

void watch_explain(const struct trigger_watch *w, const struct watch_row *row,
                   uint64_t now_ms, struct strbuf *out)
{
    char due[TIMESTAMP_TEXT_SIZE];
    if (row->due_ms == 0) {
        return;
    }
    if (w->absent_ms != 0) {
        add_absent(w, row, now_ms, out);
    } else if (watch_calm_ms(w, row, now_ms) != 0) {
        add_flapping(w, row, out);
    } else {
        add_for(w, row, now_ms, out);
    }
    timestamp_format(row->due_ms, due);
    strbuf_addf(out, "; due at %s%s", due,
                w->absent_ms != 0 ? "" : " unless it resolves");
    if (row->key.len != 0) {
        strbuf_addf(out, "; key %.*s", STR_ARG(row->key));
    }
}
