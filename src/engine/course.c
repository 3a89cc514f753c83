#include "engine/course.h"

#include <inttypes.h>

#include "base/assert.h"
#include "engine/engine_priv.h"

#define ERROR_MAX_BYTES 4096

static enum step_section section_of(const struct flow *f)
{
    return flow_step(f)->section;
}

/* ---- what comes next ----------------------------------------------------- */

static bool has_succeeded(const struct flow *f, uint32_t step_no)
{
    const struct attempt_row *a = flow_result(f, step_no);
    return a != NULL && a->state == ATTEMPT_SUCCEEDED;
}

/* The rollback of the last step before `end` that has one and succeeded. */
static uint32_t rollback_before(const struct flow *f, uint32_t end)
{
    const struct runbook *rb = f->runbook;
    for (uint32_t i = end; i-- > 0;) {
        if (rb->steps[i].section == SECTION_STEPS &&
            rb->steps[i].rollback != 0 && has_succeeded(f, i)) {
            return rb->steps[i].rollback;
        }
    }
    return rb->step_count;
}

/* The first step of the first of these sections that the runbook has. */
static uint32_t first_of(const struct flow *f, enum step_section one,
                         enum step_section other)
{
    uint32_t found = runbook_section(f->runbook, one);
    return found != f->runbook->step_count ? found
                                           : runbook_section(f->runbook, other);
}

/* Behind a failure: rollbacks of the steps before `end`, then the others. */
static uint32_t failing(const struct flow *f, uint32_t end)
{
    uint32_t back = rollback_before(f, end);
    return back != f->runbook->step_count
               ? back
               : first_of(f, SECTION_ON_FAILURE, SECTION_FINALLY);
}

/* The next step of the same section, or the first one of another (of
 * STEP_SECTIONS there is none). */
static uint32_t following(const struct flow *f, enum step_section other)
{
    const struct runbook *rb = f->runbook;
    uint32_t next = f->row.step_no + 1;
    return next < rb->step_count && rb->steps[next].section == section_of(f)
               ? next
               : runbook_section(rb, other);
}

static uint32_t after_step(const struct flow *f, enum course how)
{
    uint32_t next = f->row.step_no + 1;
    if (how != COURSE_DONE) {
        return failing(f, f->row.step_no);
    }
    return next < f->runbook->step_count &&
                   f->runbook->steps[next].section == SECTION_STEPS
               ? next
               : first_of(f, SECTION_VERIFY, SECTION_FINALLY);
}

static uint32_t after_diagnosis(const struct flow *f, enum course how)
{
    return how == COURSE_LATE ? failing(f, 0) : following(f, SECTION_STEPS);
}

/* A rollback that fails stops: the rest is for people. */
static uint32_t after_rollback(const struct flow *f, enum course how)
{
    return how == COURSE_DONE
               ? failing(f, flow_step(f)->rollback)
               : first_of(f, SECTION_ON_FAILURE, SECTION_FINALLY);
}

uint32_t course_next(const struct flow *f, enum course how)
{
    uint32_t none = f->runbook->step_count;
    if (how == COURSE_CANCELLED) {
        return section_of(f) == SECTION_FINALLY
                   ? f->row.step_no
                   : runbook_section(f->runbook, SECTION_FINALLY);
    }
    switch (section_of(f)) {
    case SECTION_DIAGNOSE:
        return after_diagnosis(f, how);
    case SECTION_STEPS:
        return after_step(f, how);
    case SECTION_VERIFY:
        return how == COURSE_DONE ? runbook_section(f->runbook, SECTION_FINALLY)
                                  : failing(f, none);
    case SECTION_ROLLBACK:
        return after_rollback(f, how);
    case SECTION_ON_FAILURE: /* all are tried: they depend on nothing */
        return how == COURSE_LATE ? runbook_section(f->runbook, SECTION_FINALLY)
                                  : following(f, SECTION_FINALLY);
    case SECTION_FINALLY:
        return how == COURSE_LATE ? none : following(f, STEP_SECTIONS);
    case STEP_SECTIONS:
        break;
    }
    UNREACHABLE();
}

/* ---- going on ------------------------------------------------------------ */

bool course_is_stopped(const struct flow *f)
{
    return f->row.stop == STOP_KILL ||
           (f->row.stop == STOP_CANCEL && section_of(f) != SECTION_FINALLY);
}

static bool is_after(enum step_section section)
{
    return section == SECTION_ROLLBACK || section == SECTION_ON_FAILURE ||
           section == SECTION_FINALLY;
}

bool course_is_closing(const struct flow *f)
{
    return is_after(section_of(f));
}

void course_blame(struct flow *f, struct str why)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(ERROR_MAX_BYTES);
    strbuf_add(&text, f->row.error);
    strbuf_addc(&text, f->row.error.len != 0 && why.len != 0 ? "; then " : "");
    strbuf_add(&text, why);
    if (strbuf_error(&text) == 0) { /* enough has been said otherwise */
        f->row.error = flow_own(&f->error, strbuf_str(&text));
    }
}

static void end(struct engine *e, struct flow *f)
{
    if (f->row.stop != STOP_NONE) {
        stop_finish(e, f);
    } else if (f->row.error.len != 0) {
        flow_finish(e, f, WORKFLOW_FAILED, f->row.error);
    } else {
        if (f->row.result == RESULT_NONE) {
            f->row.result = RESULT_UNVERIFIED;
        }
        flow_finish(e, f, WORKFLOW_SUCCEEDED, STR(""));
    }
}

/* Sections that come when the steps are over have a time of their own, so that
 * one which was too slow does not take it from them. */
static void enter(struct engine *e, struct flow *f, uint32_t step_no)
{
    enum step_section from = section_of(f);
    attempts_drop_deferred(e, f);
    list_remove(&f->place);
    flow_touch(e, f);
    if (f->row.status == WORKFLOW_WAITING) {
        flow_move(e, f, WORKFLOW_RUNNING);
        f->row.wake_ms = 0;
    }
    f->row.step_no = step_no;
    if (section_of(f) == SECTION_VERIFY) {
        f->row.deadline_ms =
            e->now_ms + flow_step(f)->within_ms + flow_step(f)->hold_ms;
    } else if (section_of(f) != from && course_is_closing(f)) {
        f->row.deadline_ms =
            MAX(f->row.deadline_ms, e->now_ms + RUNBOOK_SECTION_MS);
    }
    attempts_next(e, f);
}

void course_go(struct engine *e, struct flow *f, enum course how,
               struct str why)
{
    ASSERT(!flow_in_flight(f));
    bool matters = how == COURSE_LATE || section_of(f) != SECTION_DIAGNOSE;
    if (matters && why.len != 0) {
        course_blame(f, why);
    }
    uint32_t next = course_next(f, how);
    if (next == f->runbook->step_count) {
        end(e, f);
    } else {
        enter(e, f, next);
    }
}

void course_late(struct engine *e, struct flow *f)
{
    if (section_of(f) == SECTION_VERIFY) {
        verify_failed(e, f);
        return;
    }
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(256);
    if (course_is_closing(f)) {
        strbuf_addf(&text, "%s timed out after %d s",
                    step_section_name(section_of(f)),
                    RUNBOOK_SECTION_MS / 1000);
    } else {
        strbuf_addf(&text, "workflow timed out after %" PRIu64 " s",
                    (f->row.deadline_ms - f->row.started_ms) / 1000);
    }
    course_go(e, f, COURSE_LATE, strbuf_str(&text));
}

static bool has_begun(const struct flow *f)
{
    for (uint32_t i = 0; i < f->runbook->step_count; i++) {
        if (flow_result(f, i) != NULL) {
            return true;
        }
    }
    return false;
}

/* What is held was left to an operator, who has decided. */
void course_stop(struct engine *e, struct flow *f)
{
    ASSERT(f->row.stop != STOP_NONE && !flow_in_flight(f));
    bool open = f->row.stop == STOP_CANCEL && flow_holds_place(f->row.status);
    if (!open || !has_begun(f)) {
        stop_finish(e, f);
    } else if (course_is_stopped(f)) {
        course_go(e, f, COURSE_CANCELLED, STR(""));
    }
}

/* ---- what must stay true ------------------------------------------------- */

void course_check(const struct flow *f)
{
    enum step_section section = section_of(f);
    bool open = flow_holds_place(f->row.status);
    bool failing = section == SECTION_ROLLBACK || section == SECTION_ON_FAILURE;
    INVARIANT("I3", !failing || f->row.error.len != 0);
    INVARIANT("I3", section != SECTION_ROLLBACK ||
                        has_succeeded(f, flow_step(f)->rollback));
    INVARIANT("I3", !open || course_is_closing(f) || f->row.error.len == 0);
    INVARIANT("I3", !open || flow_in_flight(f) || !course_is_stopped(f));
}
