/*
 * Has it helped? The probe of `verify` runs again and again: it must pass
 * within a time, and then go on to pass for another. What counts is how many
 * probes in a row have passed, not when: nobody makes it hold for longer by
 * setting the clock. A probe changes nothing, so one whose outcome is unknown
 * has just not passed.
 */
#include "engine/course.h"

#include <inttypes.h>

#include "base/assert.h"
#include "engine/engine_priv.h"

static uint32_t passes_needed(const struct step *s)
{
    return 1 + (uint32_t)((s->hold_ms + s->interval_ms - 1) / s->interval_ms);
}

/* Only a probe that has run can say that nothing has become better. */
static enum workflow_result verdict_of(const struct attempt_row *a)
{
    bool ran = a != NULL &&
               (a->state == ATTEMPT_FAILED || a->state == ATTEMPT_TIMED_OUT ||
                a->state == ATTEMPT_CANCELLED || a->state == ATTEMPT_PASSED);
    return ran ? RESULT_INEFFECTIVE : RESULT_UNVERIFIED;
}

static void add_time(struct strbuf *out, uint64_t ms)
{
    strbuf_addf(out, "%" PRIu64 " s", ms / 1000);
}

void verify_failed(struct engine *e, struct flow *f)
{
    const struct step *s = flow_step(f);
    const struct attempt_row *a = flow_attempt(f);
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(2048);
    strbuf_addc(&text, "the steps ran, but were not seen to help: ");
    if (a != NULL && a->state != ATTEMPT_PASSED) {
        attempts_describe(f, &text);
    } else {
        strbuf_addf(&text, "%s held %" PRIu32 " of %" PRIu32 " times",
                    a != NULL ? "the probe" : "no probe could run: it",
                    f->passes, passes_needed(s));
    }
    strbuf_addc(&text, "; it had to hold within ");
    add_time(&text, s->within_ms);
    if (s->hold_ms != 0) {
        strbuf_addc(&text, " and for ");
        add_time(&text, s->hold_ms);
    }
    f->row.result = verdict_of(a);
    course_go(e, f, COURSE_FAILED, strbuf_str(&text));
}

void verify_decide(struct engine *e, struct flow *f)
{
    const struct step *s = flow_step(f);
    const struct attempt_row *a = flow_attempt(f);
    if (f->passes >= passes_needed(s)) {
        f->row.result = RESULT_VERIFIED;
        course_go(e, f, COURSE_DONE, STR(""));
    } else if (flow_expired(e, f) || a->key.attempt >= s->max_attempts) {
        verify_failed(e, f);
    } else {
        flow_wait(e, f, s->interval_ms);
    }
}
