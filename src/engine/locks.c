/*
 * I5: two workflows with the same target never run at once, whatever their
 * runbooks. The target follows from the pinned runbook and the parameters, so
 * a lock is nothing that is stored or given back: it belongs to the oldest live
 * flow of its target.
 */
#include "engine/engine_priv.h"

#include <inttypes.h>

#include "base/assert.h"
#include "engine/guards.h"

void lock_join(struct engine *e, struct flow *f)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct err ignored = ERR_INIT;
    struct str target = STR_NULL;
    /* It was looked at before the workflow was born. */
    if (guard_target(f->runbook, f->row.parameters, &a, &target, &ignored) <
            0 ||
        target.len == 0) {
        return;
    }
    struct lock *lock = map_get(&e->locks, target);
    if (lock == NULL) {
        lock = MEM_NEW(struct lock);
        lock->target = str_dup(target);
        list_init(&lock->line);
        (void)map_put(&e->locks, str_n(lock->target, target.len), lock);
    }
    lock->flows++;
    f->lock = lock;
}

void lock_leave(struct engine *e, struct flow *f)
{
    struct lock *lock = f->lock;
    f->lock = NULL;
    if (lock == NULL || --lock->flows > 0) {
        return;
    }
    ASSERT(list_empty(&lock->line));
    (void)map_remove(&e->locks, str_c(lock->target));
    mem_free(lock->target);
    mem_free(lock);
}

void lock_had(struct engine *e, struct flow *f)
{
    (void)e;
    if (f->lock == NULL) {
        return;
    }
    if (f->lock->owner == NULL) {
        f->lock->owner = f;
    } else {
        INVARIANT("I5", f->row.status == WORKFLOW_HELD);
        f->lock->doubted = true;
    }
}

/* Said once, when it begins to wait; true as long as it does. */
static void say_behind(struct engine *e, struct flow *f)
{
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(GUARD_TARGET_MAX_BYTES + 1024);
    const struct flow *owner = f->lock->owner;
    char id[ID_TEXT_SIZE];
    uint32_t before = 0;
    LIST_EACH (&f->lock->line, it) {
        before++;
    }
    id_format(owner->row.id, ID_PREFIX_WORKFLOW, id);
    strbuf_addf(&text, "target %s: waits for its turn behind %s (%.*s)",
                f->lock->target, id, STR_ARG(owner->row.runbook_path));
    if (before != 0) {
        strbuf_addf(&text, " and %" PRIu32 " more", before);
    }
    flow_touch(e, f);
    f->row.error = flow_own(&f->error, strbuf_str(&text));
}

bool lock_take(struct engine *e, struct flow *f)
{
    struct lock *lock = f->lock;
    if (lock == NULL) {
        return true;
    }
    if (lock->owner == NULL) {
        lock->owner = f;
    }
    if (lock->owner == f) {
        return true;
    }
    if (f->row.error.len == 0) {
        say_behind(e, f);
    }
    list_push(&lock->line, &f->place);
    f->lane->waiting++;
    return false;
}

void lock_step_out(struct engine *e, struct flow *f)
{
    (void)e;
    if (f->lock != NULL && f->lock->owner != f) {
        list_remove(&f->place);
        f->lane->waiting--;
        f->lock->doubted = f->lock->doubted || f->row.status == WORKFLOW_HELD;
    }
}

/* Of those that stood in line and are HELD now, the oldest. */
static struct flow *next_doubted(const struct engine *e, struct lock *lock)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while (lock->doubted && (entry = map_next(&e->flows, &cursor)) != NULL) {
        struct flow *f = entry->value;
        if (f->lock == lock && f->row.status == WORKFLOW_HELD) {
            return f;
        }
    }
    lock->doubted = false;
    return NULL;
}

void lock_release(struct engine *e, struct flow *f)
{
    struct lock *lock = f->lock;
    if (lock == NULL || lock->owner != f) {
        return;
    }
    lock->owner = next_doubted(e, lock);
    struct list *node = lock->owner == NULL ? list_pop(&lock->line) : NULL;
    if (node == NULL) {
        return;
    }
    struct flow *next = CONTAINER_OF(node, struct flow, place);
    lock->owner = next;
    next->lane->waiting--;
    flow_touch(e, next);
    next->row.error = flow_own(&next->error, STR(""));
    lane_queue(e, next);
}

void locks_check(const struct engine *e)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&e->flows, &cursor)) != NULL) {
        const struct flow *f = entry->value;
        if (f->lock == NULL) {
            continue;
        }
        const struct flow *owner = f->lock->owner;
        INVARIANT("I5", !flow_holds_place(f->row.status) || owner == f);
        INVARIANT("I7", owner != NULL && owner->lock == f->lock &&
                            flow_find(e, owner->row.id) == owner);
        INVARIANT("I5",
                  owner->order <= f->order || f->row.status == WORKFLOW_HELD);
    }
}
