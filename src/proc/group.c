/*
 * The pool of control groups. A group in which cgroup.kill was used is never
 * used again: the kernel numbers these kills to catch a fork that is under way,
 * and (6.18 at least) compares, for a process born in another group than its
 * parent's, the parent's number with the new group's. Where they differ it
 * kills the newborn.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "os/cgroup.h"
#include "os/fd.h"
#include "proc/tree_priv.h"

#define IDLE_MAX 128
#define EMPTY_LOOKS 2500
#define EMPTY_PAUSE_US 2000
#define NAME_SIZE 64

static void group_name(const struct group_pool *pool, uint32_t slot,
                       char out[NAME_SIZE])
{
    (void)snprintf(out, NAME_SIZE, "%s-%u", pool->name, slot);
}

static void count_process(void *context, pid_t pid)
{
    (void)pid;
    (*(uint32_t *)context)++;
}

/* Kills what the group holds and removes it; returns how many there were. What
 * cannot die yet (it waits for a disk) keeps its group and stays killed. */
static uint32_t clear_group(int folder, const char *name, bool *undead)
{
    uint32_t count = 0;
    int group = -1;
    if (os_open_folder(folder, name, 0755, &group) < 0) {
        return 0;
    }
    (void)!os_cgroup_each(group, count_process, &count);
    (void)!os_cgroup_kill(group);
    for (int i = 0; i < EMPTY_LOOKS && os_cgroup_populated(group) == 1; i++) {
        (void)usleep(EMPTY_PAUSE_US);
    }
    *undead = *undead || os_cgroup_populated(group) == 1;
    os_close(group);
    (void)!os_cgroup_remove(folder, name);
    return count;
}

/* Groups with our prefix are an earlier life's: nobody else uses our spool. */
static uint32_t clear_groups(struct group_pool *pool)
{
    int folder = -1;
    DIR *dir =
        os_cgroup_open(pool->folder, &folder) < 0 ? NULL : fdopendir(folder);
    if (dir == NULL) {
        os_close(folder);
        return 0;
    }
    uint32_t count = 0;
    char prefix[NAME_SIZE];
    int len = snprintf(prefix, sizeof(prefix), "%s-", pool->name);
    ASSERT(len > 0 && (size_t)len < sizeof(prefix));
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        if (d->d_type == DT_DIR &&
            str_starts(str_c(d->d_name), str_n(prefix, (size_t)len))) {
            count += clear_group(dirfd(dir), d->d_name, &pool->undead);
        }
    }
    (void)closedir(dir);
    return count;
}

static void remove_group(const struct group_pool *pool, uint32_t slot)
{
    char name[NAME_SIZE];
    int folder = -1;
    group_name(pool, slot, name);
    if (os_cgroup_open(pool->folder, &folder) == 0) {
        (void)!os_cgroup_remove(folder, name);
        os_close(folder);
    }
}

static int make_group(struct group_pool *pool, uint32_t slot)
{
    char name[NAME_SIZE];
    int group = -1;
    group_name(pool, slot, name);
    int e = os_cgroup_make(pool->folder, name, &group);
    return e < 0 ? e : group;
}

void group_pool_init(struct group_pool *pool, const char *name)
{
    *pool = (struct group_pool){0};
    list_init(&pool->trees);
    (void)snprintf(pool->name, sizeof(pool->name), "%s", name);
    if (os_cgroup_own(pool->folder) < 0) {
        return;
    }
    pool->leftovers = clear_groups(pool);
    int group = make_group(pool, pool->made);
    if (group < 0) {
        return;
    }
    pool->made++;
    pool->usable = spawn_probe_group(group) == 0;
    group_give_back(pool, 0, group, false);
}

void group_forget_idle(struct group_pool *pool)
{
    VEC_EACH (&pool->idle, i) {
        os_close(pool->idle.at[i].group);
        remove_group(pool, pool->idle.at[i].slot);
    }
    pool->idle.count = 0;
}

void group_pool_deinit(struct group_pool *pool)
{
    group_forget_idle(pool);
    VEC_DEINIT(&pool->idle);
}

int group_take(struct group_pool *pool, uint32_t *ret_slot)
{
    if (!pool->usable) {
        return -1;
    }
    if (pool->idle.count != 0) {
        struct idle_group idle = pool->idle.at[--pool->idle.count];
        *ret_slot = idle.slot;
        return idle.group;
    }
    int group = make_group(pool, pool->made);
    if (group < 0) {
        return -1;
    }
    *ret_slot = pool->made++;
    return group;
}

void group_give_back(struct group_pool *pool, uint32_t slot, int group,
                     bool spent)
{
    if (!spent && pool->idle.count < IDLE_MAX) {
        VEC_PUSH(&pool->idle, (struct idle_group){slot, group});
    } else {
        os_close(group);
        remove_group(pool, slot);
    }
}
