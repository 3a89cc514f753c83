/*
 * The pool of control groups, for tree.c. One thread.
 */
#pragma once

#include "proc/executor_priv.h"

/* A group that holds nothing; -1: none to be had, the mark does instead. */
int group_take(struct group_pool *pool, uint32_t *ret_slot);

/* Closes and removes what group_take would give again. */
void group_forget_idle(struct group_pool *pool);

/* Takes an empty group back, descriptor and all. A spent one, in which
 * cgroup.kill was used, is not given out again. */
void group_give_back(struct group_pool *pool, uint32_t slot, int group,
                     bool spent);
