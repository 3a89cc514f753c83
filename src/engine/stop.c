#include "engine/engine_priv.h"

#include <errno.h>

#include "base/assert.h"
#include "engine/guards.h"

void stop_finish(struct engine *e, struct flow *f)
{
    ASSERT(f->row.stop != STOP_NONE && !flow_in_flight(f));
    enum workflow_status to =
        f->row.stop == STOP_KILL ? WORKFLOW_KILLED : WORKFLOW_CANCELLED;
    flow_finish(e, f, to, f->row.error); /* still what one must know */
}

static struct str add_state(struct strbuf *out, const struct flow *f)
{
    bool asked = f->row.stop != STOP_NONE;
    strbuf_addf(out, "{\"status\":\"%s\",\"stop_requested\":%s%s%s}",
                workflow_status_name(f->row.status), asked ? "\"" : "",
                asked ? workflow_stop_name(f->row.stop) : "null",
                asked ? "\"" : "");
    return strbuf_str(out);
}

void stop_flow(struct engine *e, struct flow *f, enum stop_request how,
               struct str by)
{
    ASSERT(how > f->row.stop);
    flow_touch(e, f);
    f->row.stop = how;
    f->row.stopped_by = flow_own(&f->stopped_by, by);
    if (!flow_in_flight(f)) {
        course_stop(e, f);
    } else if (course_is_stopped(f)) {
        attempts_stop(e, f, f->row.stop == STOP_KILL);
    }
}

/* Who changes something stands in the trail, in the same commit. */
void stop_audited(struct engine *e, struct flow *f, enum stop_request how,
                  struct str by, struct str audit)
{
    ASSERT(how > f->row.stop);
    CLEANUP(strbuf_deinit) struct strbuf before = STRBUF_INIT(256);
    CLEANUP(strbuf_deinit) struct strbuf after = STRBUF_INIT(256);
    char id[ID_TEXT_SIZE];
    struct audit_row row = {.at_ms = e->now_ms,
                            .who = by,
                            .action = audit,
                            .before = add_state(&before, f)};
    id_format(f->row.id, ID_PREFIX_WORKFLOW, id);
    row.subject = str_c(id);
    stop_flow(e, f, how, by);
    row.after = add_state(&after, f);
    if (row.action.len != 0) {
        effects_audit(e->fx, &row);
    }
}

void stop_requested(struct engine *e, const struct fact *fact)
{
    struct action answer = {
        .kind = ENGINE_ACT_REPLY,
        .reply = {.reply = fact->stop.reply,
                  .result = -ENOENT,
                  .workflow_id = fact->stop.workflow_id},
    };
    struct flow *f = flow_find(e, fact->stop.workflow_id);
    if (f != NULL) {
        /* A kill after a cancel escalates; a weaker or repeated request is
         * answered and changes nothing. */
        if (fact->stop.how > f->row.stop) {
            stop_audited(e, f, fact->stop.how, fact->stop.requested_by,
                         fact->stop.audit);
        }
        answer.reply.result = 0;
        answer.reply.status = f->row.status;
    }
    effects_action(e->fx, answer);
}
