/*
 * What durable records say, as messages for people: which workflow has
 * started, succeeded, failed, which step, which event. On the service's
 * thread; the log limits floods.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/service_priv.h"

#define PATH_SHOWN 255

/* The row of a workflow that changed in the same commit, or NULL. */
static const struct workflow_row *row_of(const struct record *records,
                                         size_t count, struct id workflow)
{
    for (size_t i = 0; i < count; i++) {
        if ((records[i].kind == RECORD_WORKFLOW_NEW ||
             records[i].kind == RECORD_WORKFLOW_SET) &&
            id_eq(records[i].workflow.id, workflow)) {
            return &records[i].workflow;
        }
    }
    return NULL;
}

/* The step's name, if the version in force is the workflow's. */
static struct str step_name(const struct service *s,
                            const struct workflow_row *row, uint32_t step_no)
{
    const struct runbook *rb =
        s->generation != NULL
            ? generation_runbook(s->generation, row->runbook_path)
            : NULL;
    bool same = rb != NULL &&
                memcmp(&rb->hash, &row->runbook_hash, sizeof(rb->hash)) == 0;
    return same && step_no < rb->step_count ? rb->steps[step_no].name
                                            : STR_NULL;
}

static void tell_workflow(struct service *s, const struct workflow_row *row,
                          enum log_message message)
{
    char id[ID_TEXT_SIZE];
    const struct log_fields fields = {.message = message,
                                      .event = row->event_id,
                                      .workflow = row->id,
                                      .runbook = row->runbook_path};
    const char *colon = row->error.len != 0 ? ": " : "";
    id_format(row->id, ID_PREFIX_WORKFLOW, id);
    if (message == LOG_WORKFLOW_UNSTARTABLE) {
        service_tell(s, &fields,
                     "%s of %.*s failed before its first step%s"
                     "%.*s",
                     id, STR_ARG(row->runbook_path), colon,
                     STR_ARG(row->error));
    } else {
        service_tell(s, &fields, "workflow %s %s%s (%.*s)%s%.*s", id,
                     workflow_status_name(row->status),
                     row->dry_run ? ", a dry run" : "",
                     STR_ARG(row->runbook_path), colon, STR_ARG(row->error));
    }
}

static void workflow_changed(struct service *s, const struct workflow_row *row)
{
    switch (row->status) {
    case WORKFLOW_SUCCEEDED:
        tell_workflow(s, row, LOG_WORKFLOW_SUCCEEDED);
        break;
    case WORKFLOW_FAILED:
        tell_workflow(s, row, LOG_WORKFLOW_FAILED);
        break;
    case WORKFLOW_HELD:
        tell_workflow(s, row, LOG_WORKFLOW_HELD);
        break;
    case WORKFLOW_CANCELLED:
    case WORKFLOW_KILLED:
        tell_workflow(s, row, LOG_WORKFLOW_STOPPED);
        break;
    case WORKFLOW_QUEUED:
    case WORKFLOW_RUNNING:
    case WORKFLOW_WAITING:
    case WORKFLOW_STATUSES:
        break;
    }
}

static void workflow_born(struct service *s, const struct workflow_row *row)
{
    if (row->status == WORKFLOW_FAILED) {
        tell_workflow(s, row, LOG_WORKFLOW_UNSTARTABLE);
    } else {
        workflow_changed(s, row);
    }
}

/* "step 2 (Verify) of wf-… (remediation/x.yaml)" */
static void describe_step(const struct attempt_row *a,
                          const struct log_fields *fields, char out[512])
{
    char id[ID_TEXT_SIZE];
    id_format(a->key.workflow_id, ID_PREFIX_WORKFLOW, id);
    bool named = fields->step_name.len != 0;
    (void)snprintf(out, 512, "step %u%s%.*s%s of %s%s%.*s%s", fields->step,
                   named ? " (" : "", STR_ARG(fields->step_name),
                   named ? ")" : "", id, fields->runbook.len != 0 ? " (" : "",
                   STR_ARG(str_slice(fields->runbook, 0, PATH_SHOWN)),
                   fields->runbook.len != 0 ? ")" : "");
}

static void step_failed(struct service *s, const struct attempt_row *a,
                        const struct log_fields *fields)
{
    char what[512];
    char how[64] = "";
    describe_step(a, fields, what);
    if (a->term_signal != 0) {
        (void)snprintf(how, sizeof(how), ", signal %d", a->term_signal);
    } else if (a->exit_code > 0) {
        (void)snprintf(how, sizeof(how), ", exit status %d", a->exit_code);
    }
    service_tell(s, fields, "%s: attempt %u %s%s%s%.*s", what, a->key.attempt,
                 attempt_state_name(a->state), how,
                 a->error.len != 0 ? ": " : "", STR_ARG(a->error));
}

static void attempt_changed(struct service *s, const struct attempt_row *a,
                            const struct workflow_row *row)
{
    char what[512];
    struct log_fields fields = {.workflow = a->key.workflow_id,
                                .step = a->key.step_no + 1};
    if (row != NULL) {
        fields.event = row->event_id;
        fields.runbook = row->runbook_path;
        fields.step_name = step_name(s, row, a->key.step_no);
    }
    switch (a->state) {
    case ATTEMPT_SUCCEEDED:
    case ATTEMPT_PASSED:
        fields.message = LOG_STEP_SUCCEEDED;
        describe_step(a, &fields, what);
        service_tell(s, &fields, "%s succeeded", what);
        break;
    case ATTEMPT_FAILED:
    case ATTEMPT_TIMED_OUT:
    case ATTEMPT_UNKNOWN:
    case ATTEMPT_REFUSED:
    case ATTEMPT_CANCELLED:
        fields.message = LOG_STEP_FAILED;
        step_failed(s, a, &fields);
        break;
    case ATTEMPT_STARTING:
    case ATTEMPT_RUNNING:
    case ATTEMPT_SKIPPED:
    case ATTEMPT_STATES:
        break;
    }
}

static void attempt_intended(struct service *s, const struct attempt_row *a,
                             const struct workflow_row *row)
{
    char what[512];
    struct log_fields fields = {.message = LOG_STEP_STARTED,
                                .workflow = a->key.workflow_id,
                                .step = a->key.step_no + 1};
    if (row != NULL) {
        fields.event = row->event_id;
        fields.runbook = row->runbook_path;
        fields.step_name = step_name(s, row, a->key.step_no);
    }
    if (row != NULL && a->key.step_no == 0 && a->key.attempt == 1) {
        struct log_fields start = fields;
        char id[ID_TEXT_SIZE];
        id_format(row->id, ID_PREFIX_WORKFLOW, id);
        start.message = LOG_WORKFLOW_STARTED;
        start.step = 0;
        start.step_name = STR_NULL;
        service_tell(s, &start, "workflow %s started (%.*s) by %.*s", id,
                     STR_ARG(row->runbook_path), STR_ARG(row->requested_by));
    }
    describe_step(a, &fields, what);
    service_tell(s, &fields, "%s: attempt %u starts", what, a->key.attempt);
}

static void event_done(struct service *s, const struct record_event_done *done)
{
    char id[ID_TEXT_SIZE];
    struct log_fields fields = {.event = done->event_id};
    const char *words = NULL;
    if (done->status == EVENT_POISON) {
        fields.message = LOG_EVENT_POISON;
        words = "was set aside as poison";
    } else if (done->status == EVENT_ERROR) {
        fields.message = LOG_EVENT_FAILED;
        words = "could not be processed and is tried again";
    } else if (done->status == EVENT_SUPPRESSED) {
        fields.message = LOG_EVENT_SUPPRESSED;
        words = "was suppressed";
    } else if (done->undecided) {
        fields.message = LOG_EVENT_UNDECIDED;
        words = "may have started less than it should";
    } else {
        return;
    }
    id_format(done->event_id, ID_PREFIX_EVENT, id);
    service_tell(s, &fields, "event %s %s%s%.*s", id, words,
                 done->error.len != 0 ? ": " : "", STR_ARG(done->error));
}

void service_tell_change(struct service *s, const struct audit_row *row)
{
    service_tell(s, &(struct log_fields){.message = LOG_CHANGE},
                 "%.*s: %.*s%s%.*s%s%.*s", STR_ARG(row->who),
                 STR_ARG(row->action), row->subject.len != 0 ? " " : "",
                 STR_ARG(row->subject), row->after.len != 0 ? " " : "",
                 STR_ARG(row->after));
}

void service_tell_records(struct service *s, const struct record *records,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct record *r = &records[i];
        switch ((int)r->kind) {
        case RECORD_WORKFLOW_NEW:
            workflow_born(s, &r->workflow);
            break;
        case RECORD_WORKFLOW_SET:
            workflow_changed(s, &r->workflow);
            break;
        case RECORD_ATTEMPT_NEW:
            if (!attempt_state_is_final(r->attempt.state)) {
                attempt_intended(
                    s, &r->attempt,
                    row_of(records, count, r->attempt.key.workflow_id));
            }
            break;
        case RECORD_ATTEMPT_SET:
            attempt_changed(s, &r->attempt,
                            row_of(records, count, r->attempt.key.workflow_id));
            break;
        case RECORD_EVENT_DONE:
            event_done(s, &r->event_done);
            break;
        case RECORD_AUDIT:
            service_tell_change(s, &r->audit);
            break;
        default:
            break;
        }
    }
}
