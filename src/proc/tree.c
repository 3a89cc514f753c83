#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/cgroup.h"
#include "os/fd.h"
#include "os/process.h"
#include "proc/executor_priv.h"
#include "proc/tree_priv.h"

/* So often is a tree without a group looked at while it is being stopped. */
#define FREEZE_ROUNDS 64
#define EMPTY_LOOKS 8
#define CHILDREN_MAX_BYTES (1024UL * 1024)
#define LEFTOVER_LOOKS 1000
#define LEFTOVER_PAUSE_US 2000

void tree_init(struct tree *t, struct group_pool *pool, const char *mark)
{
    *t = (struct tree){.pool = pool, .mark = mark};
    t->group = group_take(pool, &t->slot);
    list_push(&pool->trees, &t->node);
}

bool tree_replace_group(struct tree *t)
{
    if (t->group >= 0) {
        group_give_back(t->pool, t->slot, t->group, true);
    }
    group_forget_idle(t->pool);
    t->group = group_take(t->pool, &t->slot);
    return t->group >= 0;
}

void tree_started(struct tree *t, pid_t main)
{
    struct os_process p;
    t->main = t->session = main;
    if (t->group < 0 && os_process_read(main, &p) == 0) {
        t->start_ticks = p.start_ticks;
    }
}

void tree_deinit(struct tree *t)
{
    list_remove(&t->node);
    if (t->group >= 0) {
        group_give_back(t->pool, t->slot, t->group, t->group_spent);
        t->group = -1;
    }
}

/* ---- trees in a group -----------------------------------------------------
 */

struct members {
    VEC(struct os_process) all;
    int signal;
};

static void note_member(void *context, pid_t pid)
{
    struct members *m = context;
    struct os_process p;
    if (os_process_read(pid, &p) == 0) {
        VEC_PUSH(&m->all, p);
    }
}

/* On a second look: a number that is still in the group, and still has the
 * start time that was read in between, was no other process then. */
static void signal_member(void *context, pid_t pid)
{
    const struct members *m = context;
    VEC_EACH (&m->all, i) {
        if (m->all.at[i].pid == pid) {
            (void)!os_process_signal(&m->all.at[i], m->signal);
            return;
        }
    }
}

static uint32_t signal_group(struct tree *t, int signal)
{
    struct members m = {.signal = signal};
    int count = os_cgroup_each(t->group, note_member, &m);
    if (signal == SIGKILL) {
        t->group_spent = true;
        (void)!os_cgroup_kill(t->group);
    } else if (signal != 0) {
        (void)!os_cgroup_each(t->group, signal_member, &m);
    }
    VEC_DEINIT(&m.all);
    return count > 0 ? (uint32_t)count : 0;
}

/* ---- trees by descent and mark --------------------------------------------
 */

struct candidate {
    struct os_process process;
    bool member;
};

struct scan {
    VEC(struct candidate) all; /* by number */
};

static bool collect(void *context, const struct os_process *p)
{
    struct scan *s = context;
    VEC_PUSH(&s->all, (struct candidate){.process = *p});
    return true;
}

static int by_pid(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;
    return (x->process.pid > y->process.pid) -
           (x->process.pid < y->process.pid);
}

static bool is_member(const struct scan *s, pid_t pid)
{
    const struct candidate key = {.process = {.pid = pid}};
    const struct candidate *hit =
        bsearch(&key, s->all.at, s->all.count, sizeof(*s->all.at), by_pid);
    return hit != NULL && hit->member;
}

/* The tree whose main process this is, or in whose session it is. */
static const struct tree *tree_of(const struct group_pool *pool, pid_t pid,
                                  pid_t session)
{
    LIST_EACH (&pool->trees, node) {
        const struct tree *t = CONTAINER_OF(node, struct tree, node);
        if ((pid != 0 && t->main == pid) ||
            (session != 0 && t->session == session)) {
            return t;
        }
    }
    return NULL;
}

static bool is_marked_by_any(const struct group_pool *pool, pid_t pid)
{
    LIST_EACH (&pool->trees, node) {
        const struct tree *t = CONTAINER_OF(node, struct tree, node);
        if (os_process_has_env(pid, str_c(t->mark))) {
            return true;
        }
    }
    return false;
}

/* Is it the root of a part of the tree: the main process, one of its session,
 * or an orphan of the step? */
static bool is_root(const struct tree *t, const struct os_process *p)
{
    if (p->start_ticks < t->start_ticks) {
        return false;
    }
    if (p->pid == t->main || p->session == t->session) {
        return true;
    }
    if (p->parent != getpid() || tree_of(t->pool, p->pid, p->session) != NULL) {
        return false;
    }
    return os_process_has_env(p->pid, str_c(t->mark)) ||
           !is_marked_by_any(t->pool, p->pid);
}

/* Marks the roots, then whatever has a member as its parent, until nothing
 * changes. */
static void find_members(const struct tree *t, struct scan *s)
{
    VEC_EACH (&s->all, i) {
        s->all.at[i].member = is_root(t, &s->all.at[i].process);
    }
    bool changed = true;
    while (changed) {
        changed = false;
        VEC_EACH (&s->all, i) {
            struct candidate *c = &s->all.at[i];
            if (!c->member && is_member(s, c->process.parent)) {
                c->member = changed = true;
            }
        }
    }
}

static bool is_gone(const struct os_process *p)
{
    return p->state == 'Z' || p->state == 'X';
}

/* One look at all processes: sends the signal to those of the tree that live
 * (0: to none) and counts them; *ret_awake: how many of them are not stopped.
 */
static uint32_t look(const struct tree *t, int signal, uint32_t *ret_awake)
{
    struct scan s = {0};
    uint32_t count = 0;
    uint32_t awake = 0;
    if (os_process_each(collect, &s) < 0) {
        *ret_awake = 1;
        return 1; /* nothing is proved */
    }
    qsort(s.all.at, s.all.count, sizeof(*s.all.at), by_pid);
    find_members(t, &s);
    VEC_EACH (&s.all, i) {
        const struct candidate *c = &s.all.at[i];
        if (!c->member || is_gone(&c->process)) {
            continue;
        }
        count++;
        awake += c->process.state == 'T' ? 0 : 1;
        if (signal != 0) {
            (void)!os_process_signal(&c->process, signal);
        }
    }
    VEC_DEINIT(&s.all);
    *ret_awake = awake;
    return count;
}

/* What forks faster than one can kill is stopped first, one by one, until
 * nobody is left awake to fork. */
static uint32_t kill_scattered(const struct tree *t)
{
    uint32_t most = 0;
    uint32_t awake = 1;
    for (int i = 0; i < FREEZE_ROUNDS && awake != 0; i++) {
        uint32_t count = look(t, SIGSTOP, &awake);
        most = MAX(most, count);
    }
    (void)look(t, SIGKILL, &awake);
    return most;
}

/* Whether there is a child of ours that is no step's main process: whoever
 * lost its parent is one. Where the kernel does not tell: true. */
static bool has_orphans(const struct group_pool *pool)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(CHILDREN_MAX_BYTES);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children",
                   (int)getpid());
    if (os_read_file(AT_FDCWD, path, &text) < 0) {
        return true;
    }
    struct str rest = strbuf_str(&text);
    while (rest.len > 0) {
        uint64_t pid = 0;
        ptrdiff_t space = str_find(rest, ' ');
        size_t len = space < 0 ? rest.len : (size_t)space;
        if (str_to_u64(str_slice(rest, 0, len), 1, INT32_MAX, &pid) < 0 ||
            tree_of(pool, (pid_t)pid, 0) == NULL) {
            return true;
        }
        rest = str_slice(rest, len + 1, rest.len);
    }
    return false;
}

/* ---- either way -----------------------------------------------------------
 */

uint32_t tree_signal(struct tree *t, int signal)
{
    uint32_t awake = 0;
    if (t->group >= 0) {
        return signal_group(t, signal);
    }
    return signal == SIGKILL ? kill_scattered(t) : look(t, signal, &awake);
}

bool tree_is_empty(const struct tree *t)
{
    uint32_t awake = 0;
    if (t->group >= 0) {
        return os_cgroup_populated(t->group) == 0;
    }
    /* All that the main process left behind hangs below an orphan of ours. */
    if (t->main == 0 && !has_orphans(t->pool)) {
        return true;
    }
    /* One walk through /proc can miss a process that forks and ends while we
     * walk. Nobody is missed every time. */
    for (int i = 0; i < EMPTY_LOOKS; i++) {
        if (look(t, 0, &awake) != 0) {
            return false;
        }
    }
    return true;
}

uint32_t tree_kill_children(void)
{
    /* A child that nothing ties to another tree belongs to this one. */
    struct group_pool pool = {0};
    struct tree all = {.pool = &pool, .group = -1, .session = -1, .mark = "="};
    list_init(&pool.trees);
    return kill_scattered(&all);
}

/* ---- leftovers ------------------------------------------------------------
 */

struct leftovers {
    const char *mark;
    uint32_t count;
};

static bool kill_marked(void *context, const struct os_process *p)
{
    struct leftovers *l = context;
    if (p->pid != getpid() && !is_gone(p) &&
        os_process_has_env(p->pid, str_c(l->mark))) {
        l->count++;
        (void)!os_process_signal(p, SIGKILL);
    }
    return true;
}

uint32_t tree_kill_leftovers(const struct group_pool *pool, const char *mark)
{
    uint32_t most = 0;
    for (int i = 0; i < LEFTOVER_LOOKS; i++) {
        struct leftovers l = {.mark = mark};
        if (os_process_each(kill_marked, &l) < 0 || l.count == 0) {
            break;
        }
        most = MAX(most, l.count);
        (void)usleep(LEFTOVER_PAUSE_US); /* until they are gone */
    }
    return pool->leftovers + most;
}
