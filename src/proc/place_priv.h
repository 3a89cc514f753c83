/*
 * Inside the executor: what a step occupies, its processes and its folder.
 * One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/err.h"
#include "base/list.h"
#include "base/vec.h"

struct group_pool;
struct spawn_user;

/* ---- tree.c ----------------------------------------------------------------
 * Everything that a step has started, double forks and new sessions included:
 * a control group of its own where one can be had; else, because orphans come
 * to us as their subreaper, all that descends from its main process, stands in
 * its session, or is an orphan that carries the step's mark. An orphan that
 * nothing ties to any step (it left the session and hid the mark) counts to
 * every step that was there before it: what cannot be told apart is ended with
 * the first of them. */
struct tree {
    struct list node; /* of the pool's trees */
    struct group_pool *pool;
    int group;            /* cgroup, or -1 */
    uint32_t slot;        /* of the pool of groups */
    pid_t main;           /* 0 when it has been reaped */
    pid_t session;        /* what main was, for good */
    uint64_t start_ticks; /* of main */
    bool group_spent;     /* cgroup.kill was used: see group.c */
    const char *mark;     /* environment entry "ADP_ATTEMPT_ID=…" */
};

/* Control groups are made once and used again: making one costs as much as
 * starting a process. */
struct idle_group {
    uint32_t slot;
    int group;
};

struct group_pool {
    char folder[1024];
    char name[32]; /* prefix of the groups' names */
    bool usable;
    VEC(struct idle_group) idle;
    uint32_t made;
    uint32_t leftovers; /* processes found in groups of an earlier life */
    bool undead;        /* some of them do not end */
    struct list trees;  /* those in use */
};

/* Ends what groups of this name still hold from an earlier life, then finds
 * out whether new ones can be had. The pool must not move afterwards. */
void group_pool_init(struct group_pool *pool, const char *name);
void group_pool_deinit(struct group_pool *pool);

/* Prepares a tree before its first process; mark stays the caller's. */
void tree_init(struct tree *t, struct group_pool *pool, const char *mark);

/* Nothing can be born in the tree's group: somebody has removed it, empty as
 * it was. Takes a new one, and forgets those that were kept, which may have
 * been removed as well. False: there is none to be had. */
NODISCARD bool tree_replace_group(struct tree *t);

/* The main process has been started; it has not been reaped yet. */
void tree_started(struct tree *t, pid_t main);

/* An empty tree goes back to the pool. */
void tree_deinit(struct tree *t);

/* Sends the signal to every process of the tree; SIGKILL also catches what is
 * being forked meanwhile. Returns how many processes there were. */
uint32_t tree_signal(struct tree *t, int signal);

/* True when no process of the tree is left: proof, not hope. */
bool tree_is_empty(const struct tree *t);

/* SIGKILL to all that descends from this process; returns how many. */
uint32_t tree_kill_children(void);

/* Ends what an earlier life left behind; returns how many processes, those of
 * the groups included. */
uint32_t tree_kill_leftovers(const struct group_pool *pool, const char *mark);

/* ---- folder.c ---------------------------------------------------------------
 * The private folders in which steps run, below the work folder. */
#define FOLDER_NAME_SIZE 32

struct folder {
    uint32_t slot;
    uid_t uid;
    gid_t gid;
    int fd; /* -1: none */
    /* Of one that serves again: when it was last changed, and whether that was
     * so long before it was given out that a later change shows. */
    struct timespec changed;
    bool shows_change;
};

struct folder_pool {
    int work; /* borrowed */
    uint32_t made;
    VEC(struct folder) idle;
};

/* Removes what an earlier life left in the work folder. */
void folder_pool_init(struct folder_pool *pool, int work);
void folder_pool_deinit(struct folder_pool *pool);

/* An empty folder that is this user's (NULL: ours) alone; or -errno. */
NODISCARD int folder_take(struct folder_pool *pool,
                          const struct spawn_user *user, struct folder *ret);

/* Nobody of the step is left: empties, removes or keeps it for another. */
void folder_give_back(struct folder_pool *pool, struct folder *f);

/* Its name in the work folder. */
void folder_name(const struct folder *f, char out[FOLDER_NAME_SIZE]);
