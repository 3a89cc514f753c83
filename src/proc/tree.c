#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/cgroup.h"
#include "os/fd.h"
#include "os/process.h"
#include "proc/executor_priv.h"

#define GROUPS_IDLE_MAX 128
#define LEFTOVER_LOOKS 1000
#define LEFTOVER_PAUSE_US 2000

/* ---- the pool of control groups -------------------------------------------
 */

static void group_name(const struct group_pool *pool, uint32_t slot,
                       char out[64])
{
    (void)snprintf(out, 64, "%s-%u", pool->name, slot);
}

void group_pool_init(struct group_pool *pool, const char *name)
{
    *pool = (struct group_pool){0};
    (void)snprintf(pool->name, sizeof(pool->name), "%s", name);
    if (os_cgroup_own(pool->folder) < 0) {
        return;
    }
    char probe[64];
    int group = -1;
    group_name(pool, 0, probe);
    if (os_cgroup_make(pool->folder, probe, &group) == 0) {
        pool->usable = spawn_probe_group(group) == 0;
        os_close(group);
    }
    pool->made = 1;
    if (pool->usable) {
        VEC_PUSH(&pool->idle, 0);
    }
}

static void remove_group(const struct group_pool *pool, uint32_t slot)
{
    char name[64];
    int folder = -1;
    group_name(pool, slot, name);
    if (os_cgroup_open(pool->folder, &folder) == 0) {
        (void)!os_cgroup_remove(folder, name);
        os_close(folder);
    }
}

void group_pool_deinit(struct group_pool *pool)
{
    VEC_EACH (&pool->idle, i) {
        remove_group(pool, pool->idle.at[i]);
    }
    VEC_DEINIT(&pool->idle);
}

static int take_group(struct group_pool *pool, uint32_t *ret_slot)
{
    if (!pool->usable) {
        return -1;
    }
    uint32_t slot = pool->made;
    if (pool->idle.count != 0) {
        slot = pool->idle.at[--pool->idle.count];
    } else {
        pool->made++;
    }
    char name[64];
    int group = -1;
    group_name(pool, slot, name);
    if (os_cgroup_make(pool->folder, name, &group) < 0) {
        return -1; /* the mark does instead */
    }
    *ret_slot = slot;
    return group;
}

void tree_init(struct tree *t, struct group_pool *pool, const char *mark)
{
    *t = (struct tree){.mark = mark};
    t->group = take_group(pool, &t->slot);
}

void tree_deinit(struct tree *t, struct group_pool *pool)
{
    if (t->group < 0) {
        return;
    }
    os_closep(&t->group);
    if (pool->idle.count < GROUPS_IDLE_MAX) {
        VEC_PUSH(&pool->idle, t->slot);
    } else {
        remove_group(pool, t->slot);
    }
}

/* ---- processes by mark ------------------------------------------------------
 */

struct scan {
    VEC(struct os_process) all;
};

static bool collect(void *context, const struct os_process *p)
{
    struct scan *s = context;
    VEC_PUSH(&s->all, *p);
    return true;
}

static const struct os_process *find(const struct scan *s, pid_t pid)
{
    VEC_EACH (&s->all, i) {
        if (s->all.at[i].pid == pid) {
            return &s->all.at[i];
        }
    }
    return NULL;
}

/* Ours by descent: as a subreaper we inherit every orphan below us. */
static bool is_descendant(const struct scan *s, const struct os_process *p,
                          pid_t ancestor)
{
    for (int depth = 0; p != NULL && depth < 1000; depth++) {
        if (p->parent == ancestor) {
            return true;
        }
        p = find(s, p->parent);
    }
    return false;
}

/* Does the process belong to the step: below its main process, in its
 * session, or marked? A process that has hidden its mark and left the session
 * still has a marked or known parent, until that ends; then the orphan is our
 * own child without a mark, and belongs to nobody but a step. */
static bool belongs(const struct tree *t, const struct scan *s,
                    const struct os_process *p)
{
    if (p->pid == getpid() || p->state == 'Z' || p->state == 'X') {
        return false;
    }
    if (p->pid == t->main || p->session == t->session ||
        (t->main != 0 && is_descendant(s, p, t->main))) {
        return true;
    }
    if (!is_descendant(s, p, getpid())) {
        return false;
    }
    for (int depth = 0; p != NULL && p->pid != getpid() && depth < 1000;
         depth++) {
        if (os_process_has_env(p->pid, str_c(t->mark))) {
            return true;
        }
        p = find(s, p->parent);
    }
    return false;
}

static uint32_t signal_marked(const struct tree *t, int signal)
{
    struct scan s = {0};
    uint32_t count = 0;
    if (os_process_each(collect, &s) == 0) {
        VEC_EACH (&s.all, i) {
            if (!belongs(t, &s, &s.all.at[i])) {
                continue;
            }
            count++;
            if (signal != 0) {
                (void)!os_process_signal(&s.all.at[i], signal);
            }
        }
    }
    VEC_DEINIT(&s.all);
    return count;
}

/* ---- the tree
 * ---------------------------------------------------------------- */

struct group_signal {
    int signal;
    uint32_t count;
};

static void signal_one(void *context, pid_t pid)
{
    struct group_signal *g = context;
    g->count++;
    if (g->signal != SIGKILL) {
        (void)kill(pid, g->signal);
    }
}

uint32_t tree_signal(const struct tree *t, int signal)
{
    if (t->group < 0) {
        return signal_marked(t, signal);
    }
    struct group_signal g = {.signal = signal};
    (void)!os_cgroup_each(t->group, signal_one, &g);
    if (signal == SIGKILL) {
        (void)!os_cgroup_kill(t->group);
    }
    return g.count;
}

/* Whether we have any child at all: an orphan of a step is always one. Cheap,
 * where the kernel tells children. */
static bool has_children(void)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(1024 * 1024);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children",
                   (int)getpid());
    if (os_read_file(AT_FDCWD, path, &text) < 0) {
        return true; /* not told: look closely */
    }
    return text.len != 0;
}

bool tree_is_empty(const struct tree *t)
{
    if (t->group >= 0) {
        return os_cgroup_populated(t->group) == 0;
    }
    if (t->main == 0 && !has_children()) {
        return true;
    }
    return signal_marked(t, 0) == 0;
}

/* ---- leftovers
 * --------------------------------------------------------------- */

struct leftovers {
    const char *mark;
    uint32_t count;
};

static bool kill_marked(void *context, const struct os_process *p)
{
    struct leftovers *l = context;
    if (p->pid != getpid() && p->state != 'Z' &&
        os_process_has_env(p->pid, str_c(l->mark))) {
        l->count++;
        (void)!os_process_signal(p, SIGKILL);
    }
    return true;
}

static void ignore_process(void *context, pid_t pid)
{
    (void)pid;
    (*(uint32_t *)context)++;
}

/* The groups of an earlier life have the same names: all are emptied. */
static uint32_t kill_groups(const struct group_pool *pool)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; pool->usable; slot++) {
        char path[sizeof(pool->folder) + 80];
        char name[64];
        int group = -1;
        group_name(pool, slot, name);
        (void)snprintf(path, sizeof(path), "%s/%s", pool->folder, name);
        if (os_cgroup_open(path, &group) < 0) {
            break;
        }
        (void)!os_cgroup_each(group, ignore_process, &count);
        (void)!os_cgroup_kill(group);
        os_close(group);
    }
    return count;
}

uint32_t tree_kill_leftovers(const struct group_pool *pool, const char *mark)
{
    uint32_t count = kill_groups(pool);
    for (int look = 0; look < LEFTOVER_LOOKS; look++) {
        struct leftovers l = {.mark = mark};
        if (os_process_each(kill_marked, &l) < 0 || l.count == 0) {
            break;
        }
        count = MAX(count, l.count);
        (void)usleep(LEFTOVER_PAUSE_US); /* until they are gone */
    }
    return count;
}
