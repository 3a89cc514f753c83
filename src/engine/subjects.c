/*
 * The live workflows of each subject, oldest first. Nothing is stored of it:
 * it follows from the rows of the workflows and the versions that they pinned.
 */
#include "base/assert.h"
#include "engine/engine_priv.h"

static struct str name_of(struct strbuf *room, const struct flow *f)
{
    return memory_name(room, f->row.runbook_path,
                       f->runbook->triggers[f->row.trigger_no].name,
                       f->row.subject);
}

void subject_join(struct engine *e, struct flow *f)
{
    list_init(&f->siblings);
    if (f->row.subject.len == 0 ||
        f->row.trigger_no >= f->runbook->trigger_count) {
        return;
    }
    CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(65536);
    struct str name = name_of(&room, f);
    struct subject *s = map_get(&e->watches.subjects, name);
    if (s == NULL) {
        s = MEM_NEW(struct subject);
        s->name = str_n(str_dup(name), name.len);
        list_init(&s->flows);
        (void)map_put(&e->watches.subjects, s->name, s);
    }
    f->subject = s;
    list_push(&s->flows, &f->siblings);
}

void subject_leave(struct engine *e, struct flow *f)
{
    struct subject *s = f->subject;
    list_remove(&f->siblings);
    f->subject = NULL;
    if (s == NULL || !list_empty(&s->flows)) {
        return;
    }
    (void)map_remove(&e->watches.subjects, s->name);
    mem_free((char *)(uintptr_t)s->name.at);
    mem_free(s);
}

uint32_t subject_cancel(struct engine *e, struct str path, struct str trigger,
                        struct str key)
{
    CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(65536);
    const struct subject *s =
        map_get(&e->watches.subjects, memory_name(&room, path, trigger, key));
    uint32_t count = 0;
    if (s == NULL) {
        return 0;
    }
    LIST_EACH_SAFE (&s->flows, it, after) {
        struct flow *f = CONTAINER_OF(it, struct flow, siblings);
        if (f->row.status != WORKFLOW_HELD &&
            !workflow_status_is_final(f->row.status) &&
            f->row.stop == STOP_NONE) {
            stop_audited(e, f, STOP_CANCEL, STR("resolved"),
                         STR("workflow.cancel"));
            count++;
        }
    }
    return count;
}

void subjects_check(const struct engine *e)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->watches.subjects, &cursor)) != NULL) {
        const struct subject *s = entry->value;
        INVARIANT("I8", !list_empty(&s->flows));
        LIST_EACH (&s->flows, it) {
            const struct flow *f = CONTAINER_OF(it, struct flow, siblings);
            INVARIANT("I8", f->subject == s && f->row.subject.len != 0);
        }
    }
}
