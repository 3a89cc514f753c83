#include "model/guards.h"

#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"
#include "data/duration.h"
#include "data/timestamp.h"
#include "model/params.h"

bool guard_is_row(const struct memory_row *row)
{
    return row->trigger.len != 0 && row->trigger.at[0] == '@';
}

/* No trigger's name has a space. */
void guard_escalated_key(struct str trigger, struct str key, struct strbuf *out)
{
    strbuf_addf(out, "%.*s %.*s", STR_ARG(trigger), STR_ARG(key));
}

void guard_escalated_parts(struct str kept, struct str *ret_trigger,
                           struct str *ret_key)
{
    ptrdiff_t at = str_find(kept, ' ');
    size_t end = at >= 0 ? (size_t)at : kept.len;
    *ret_trigger = str_slice(kept, 0, end);
    *ret_key = str_slice(kept, MIN(end + 1, kept.len), kept.len);
}

struct trigger_limits guard_rate_limits(const struct guard_rate *rate)
{
    return (struct trigger_limits){.runs_most = rate->most,
                                   .runs_within_ms = rate->within_ms};
}

struct guard_breaker guard_breaker_of(const struct guard_config *config,
                                      const struct runbook_guards *own)
{
    if (own->breaker_off) {
        return (struct guard_breaker){.failures = 0};
    }
    return own->breaker_given ? own->breaker : config->breaker;
}

uint64_t guard_max_age_ms(const struct guard_config *config,
                          const struct runbook_guards *own)
{
    return own->max_age_ms != 0 ? own->max_age_ms : config->max_age_ms;
}

/* ---- the target ---------------------------------------------------------- */

const char *guard_on_limit_name(size_t on_limit)
{
    static const char *const names[ON_LIMITS] = {"queue", "drop", "replace"};
    return on_limit < ON_LIMITS ? names[on_limit] : NULL;
}

struct target_source {
    const struct runbook *rb;
    struct str params_json;
};

/* What is empty is taken for missing, never for "all". */
static int text_of(void *context, const struct template_part *part,
                   struct arena *a, struct str *ret, struct err *reterr)
{
    const struct target_source *from = context;
    struct str path = part->text;
    struct str root = STR_NULL;
    struct str name = STR_NULL;
    (void)reterr;
    if (!template_path_next(&path, &root) || !str_eq_c(root, "parameters") ||
        !template_path_next(&path, &name)) {
        return -ENOENT;
    }
    int r = params_text(from->rb, from->params_json, name, a, ret);
    return r == 0 && ret->len == 0 ? -ENOENT : r;
}

static bool names_something(struct str target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.at[i] != ' ' && target.at[i] != '*') {
            return true;
        }
    }
    return false;
}

int guard_target(const struct runbook *rb, struct str params_json,
                 struct arena *a, struct str *ret, struct err *reterr)
{
    struct target_source values = {rb, params_json};
    struct str own = STR_NULL;
    if (guard_names_self(params_json, &own)) {
        return err_set(reterr, -EPERM,
                       "self: '%.*s' is the platform itself, which no workflow "
                       "may change; do that by hand",
                       STR_ARG(own));
    }
    const struct template_source from = {text_of, &values};
    if (rb->guards.target == NULL) {
        *ret = STR("");
        return 0;
    }
    int r = template_fill(rb->guards.target, &from, GUARD_TARGET_MAX_BYTES, a,
                          ret, reterr);
    if (r == -ENOENT) {
        return err_set(reterr, r,
                       "target: %s has no value, and nothing runs without a "
                       "target; give it one",
                       reterr->field);
    }
    if (r < 0) {
        return err_set(reterr, r, "target: it is over %d bytes",
                       GUARD_TARGET_MAX_BYTES);
    }
    if (!names_something(*ret)) {
        return err_set(reterr, -EINVAL,
                       "target: '%.*s' names nothing, and is not taken for "
                       "all; give the parameters a value",
                       STR_ARG(*ret));
    }
    return 0;
}

/* ---- the breaker --------------------------------------------------------- */

static uint32_t failures_since(const struct memory_row *row, uint64_t from_ms,
                               uint64_t within_ms)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < row->event_count; i++) {
        n += row->events_ms[i] + within_ms > from_ms;
    }
    return n;
}

/* It opens with the failure that makes it so many in the window that ends with
 * it, and stays so until a probe has succeeded, or it is forgotten. */
struct breaker_view breaker_at(const struct guard_breaker *b,
                               const struct memory_row *row, uint64_t now_ms)
{
    struct breaker_view v = {.state = BREAKER_CLOSED};
    if (b->failures == 0 || row == NULL || row->event_count == 0) {
        return v;
    }
    uint64_t last_ms = row->events_ms[row->event_count - 1];
    v.failures = failures_since(row, last_ms, b->within_ms);
    if (v.failures < b->failures) {
        v.failures = failures_since(row, now_ms, b->within_ms);
        return v;
    }
    v.opened_ms = last_ms;
    v.until_ms = last_ms + b->open_ms;
    v.state = now_ms < v.until_ms ? BREAKER_OPEN : BREAKER_HALF_OPEN;
    return v;
}

const char *breaker_state_name(enum breaker_state s)
{
    switch (s) {
    case BREAKER_CLOSED:
        return "closed";
    case BREAKER_OPEN:
        return "open";
    case BREAKER_HALF_OPEN:
        return "half-open";
    }
    UNREACHABLE();
}

/* ---- telling ------------------------------------------------------------- */

static void add_instant(struct strbuf *out, uint64_t ms)
{
    char text[TIMESTAMP_TEXT_SIZE];
    timestamp_format(MIN(ms, TIMESTAMP_MAX_MS), text);
    strbuf_addc(out, text);
}

void guard_explain_rate(struct str path, const struct guard_rate *rate,
                        uint32_t runs, uint64_t until_ms, struct strbuf *out)
{
    char within[DURATION_TEXT_SIZE];
    duration_format(rate->within_ms, within);
    strbuf_addf(out,
                "max_starts: %" PRIu32 " of %" PRIu32
                " workflows of %s were started within %s; the next may start "
                "at ",
                runs, rate->most,
                path.len == 0 ? "all runbooks" : "this runbook", within);
    add_instant(out, until_ms);
}

void guard_explain_escalated(struct id told, uint64_t until_ms, struct str path,
                             struct strbuf *out)
{
    char id[ID_TEXT_SIZE];
    id_format(told, ID_PREFIX_WORKFLOW, id);
    strbuf_addf(out, "escalated by %s: nothing is started for it before ", id);
    add_instant(out, until_ms);
    strbuf_addf(out, ", or: adctl guard reset %.*s", STR_ARG(path));
}

/* In whole minutes, so that a backlog has few different reasons. */
void guard_explain_age(uint64_t age_ms, uint64_t max_ms, struct strbuf *out)
{
    char age[DURATION_TEXT_SIZE];
    char max[DURATION_TEXT_SIZE];
    uint64_t unit_ms = age_ms >= 600000 ? 60000 : 1000;
    duration_format(age_ms - age_ms % unit_ms, age);
    duration_format(max_ms, max);
    strbuf_addf(out,
                "max_age: the event is %s old, of at most %s; if it still "
                "holds, start the runbook by hand",
                age, max);
}

void guard_explain_breaker(const struct guard_breaker *b,
                           const struct breaker_view *v,
                           const struct memory_row *row, struct strbuf *out)
{
    char within[DURATION_TEXT_SIZE];
    char id[ID_TEXT_SIZE];
    duration_format(b->within_ms, within);
    strbuf_addf(out,
                "breaker: %s, since %" PRIu32 " of %" PRIu32
                " workflows failed within %s; ",
                breaker_state_name(v->state), v->failures, b->failures, within);
    if (v->state == BREAKER_HALF_OPEN) {
        id_format(row->last_workflow, ID_PREFIX_WORKFLOW, id);
        strbuf_addf(out, "its probe %s has not ended", id);
        return;
    }
    strbuf_addc(out, "a probe may start at ");
    add_instant(out, v->until_ms);
    strbuf_addc(out, ", or: adctl guard reset ");
    strbuf_add(out, row->runbook_path);
}
