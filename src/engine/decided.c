#include "engine/decided.h"

#include <string.h>

#include "base/assert.h"

/* Sentences about an event are told until they are so long together. */
#define TOLD_MAX_BYTES 2048

static struct str name_of(const struct runbook *rb, uint32_t trigger_no)
{
    ASSERT(trigger_no < rb->trigger_count);
    return rb->triggers[trigger_no].name;
}

/* "PATH, trigger NAME: " stands in front of what is told. */
static struct str reason_of(struct str path, struct str trigger,
                            struct str told)
{
    size_t len = path.len + trigger.len + strlen(", trigger : ");
    return str_slice(told, MIN(len, told.len), told.len);
}

void decided_tell(struct strbuf *all, struct str one)
{
    if (all->len < TOLD_MAX_BYTES && one.len != 0) {
        strbuf_addc(all, all->len != 0 ? "; " : "");
        strbuf_add(all, one);
    }
}

void decided_held(struct decision *d, const struct fact_match *match,
                  struct str told)
{
    struct str path = match->runbook->path;
    struct str trigger = name_of(match->runbook, match->trigger_no);
    const struct held h = {.runbook = path,
                           .trigger = trigger,
                           .reason = reason_of(path, trigger, told)};
    decision_add(d, &h);
}

void decided_before(struct decision *d, const struct fact_event *event,
                    struct strbuf *all)
{
    for (uint32_t i = 0; i < event->held_count; i++) {
        const struct fact_held *f = &event->held[i];
        const struct held h = {.runbook = f->runbook->path,
                               .trigger = name_of(f->runbook, f->trigger_no),
                               .guard = hold_name(f->kind),
                               .reason = f->why};
        decision_add(d, &h);
        decided_tell(all, f->told);
    }
}

void decided_done(struct engine *e, const struct decision *d, struct str digest,
                  struct record_event_done *done)
{
    done->decision = decision_json(d, digest, &e->fx->arena);
    memcpy(done->held, d->counts, sizeof(done->held));
}
