/* How the guards that are no trigger's own (model/guards.h) stand, for an
 * explanation: rates of starts, the breaker, and what was escalated. */
#include <errno.h>
#include <inttypes.h>

#include "api/api_priv.h"
#include "api/explain_json.h"
#include "data/duration.h"
#include "model/guards.h"

#define TEXT_MAX_BYTES 4096
#define KEY_MAX_BYTES 4096

/* 0 with the row, an empty one if there is none, or the error. */
static int read_row(struct call *c, struct memory_name name,
                    struct memory_row *ret)
{
    *ret = (struct memory_row){.trigger = STR("")};
    int r = c->reader->ops->memory(c->reader, &name, call_arena(c), ret);
    return r == -ENOENT ? 0 : r;
}

static int put_rate(struct call *c, struct str path,
                    const struct guard_rate *rate, uint64_t now_ms)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    struct memory_name name = {path, GUARD_STARTS, STR("")};
    struct trigger_limits l = guard_rate_limits(rate);
    struct memory_row row;
    int r = rate->most != 0 ? read_row(c, name, &row) : 0;
    if (r < 0 || rate->most == 0) {
        return r;
    }
    struct memory_state s = memory_state_at(&l, &row, now_ms, now_ms);
    struct explain_guard g = {.name = "max_starts",
                              .holds_back = s.runs >= rate->most};
    if (g.holds_back) {
        g.until_ms = s.runs_until_ms;
        guard_explain_rate(path, rate, s.runs, s.runs_until_ms, &text);
    } else {
        char within[DURATION_TEXT_SIZE];
        duration_format(rate->within_ms, within);
        strbuf_addf(&text,
                    "%" PRIu32 " of %" PRIu32
                    " workflows of %s were started within %s",
                    s.runs, rate->most,
                    path.len == 0 ? "all runbooks" : "this runbook", within);
    }
    g.text = strbuf_str(&text);
    explain_put_guard(call_out(c), &g);
    return 0;
}

static int put_breaker(struct call *c, const struct runbook *rb,
                       const struct guard_breaker *b, uint64_t now_ms)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    struct memory_name name = {rb->path, GUARD_BREAKER, STR("")};
    struct memory_row row;
    int r = b->failures != 0 ? read_row(c, name, &row) : 0;
    if (r < 0 || b->failures == 0) {
        return r;
    }
    struct breaker_view v = breaker_at(b, &row, now_ms);
    struct explain_guard g = {
        .name = "breaker",
        .holds_back = v.state == BREAKER_OPEN ||
                      (v.state == BREAKER_HALF_OPEN && row.start_count != 0),
        .until_ms = v.state == BREAKER_OPEN ? v.until_ms : 0};
    if (g.holds_back) {
        guard_explain_breaker(b, &v, &row, &text);
    } else {
        strbuf_addf(&text, "%s: %" PRIu32 " of %" PRIu32 " failures",
                    breaker_state_name(v.state), v.failures, b->failures);
    }
    g.text = strbuf_str(&text);
    explain_put_guard(call_out(c), &g);
    return 0;
}

int explain_put_guards(struct call *c, const struct runbook *rb,
                       const struct guard_config *config, uint64_t now_ms)
{
    struct guard_breaker b = guard_breaker_of(config, &rb->guards);
    int r = put_breaker(c, rb, &b, now_ms);
    r = r < 0 ? r : put_rate(c, rb->path, &rb->guards.starts, now_ms);
    return r < 0 ? r : put_rate(c, STR(""), &config->starts, now_ms);
}

int explain_put_escalated(struct call *c, const struct runbook *rb,
                          const struct trigger *t, const struct event *e,
                          uint64_t now_ms)
{
    CLEANUP(strbuf_deinit) struct strbuf kept = STRBUF_INIT(KEY_MAX_BYTES);
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    struct memory_row row;
    struct str key = STR("");
    if (!t->limits.escalate ||
        trigger_key(t->dedup, t->dedup_count, e, call_arena(c), &key) < 0) {
        return 0; /* what an event lacks is said already */
    }
    guard_escalated_key(t->name, key, &kept);
    struct memory_name name = {rb->path, GUARD_ESCALATED, strbuf_str(&kept)};
    int r = read_row(c, name, &row);
    uint64_t until_ms =
        row.start_count != 0 ? row.starts_ms[0] + t->limits.runs_within_ms : 0;
    if (r == 0 && now_ms < until_ms) {
        guard_explain_escalated(row.last_workflow, until_ms, rb->path, &text);
        const struct explain_guard g = {.name = "escalated",
                                        .holds_back = true,
                                        .until_ms = until_ms,
                                        .text = strbuf_str(&text)};
        explain_put_guard(call_out(c), &g);
    }
    return r;
}
