/*
 * What the memory driver offers beyond the port: the simulator and the tests
 * make it crash and fail. Its rows live as long as the instance. It keeps
 * every semantic of the port, so it is also the reference that the other
 * drivers are compared with.
 *
 * Threads: one writer, and readers on any thread (a lock is held from begin
 * to commit or rollback; the thread inside a transaction must not read).
 */
#pragma once

#include "store/store.h"

/* The process died and another one opens the store: what is not committed is
 * gone, a new session owns the live workflows, and claimed events are queued
 * again. Readers stay open. */
void store_memory_crash(struct store *s, const struct store_options *options,
                        struct store_opened *ret_opened);

/* How a commit may fail. */
enum memory_fault {
    MEMORY_FAULT_NONE,
    MEMORY_FAULT_NOSPC,   /* -ENOSPC, nothing is kept */
    MEMORY_FAULT_IO,      /* -EIO, nothing is kept */
    MEMORY_FAULT_UNKNOWN, /* -EIO, although everything is kept */
};

/* Lets the nth commit from now (1: the next) fail in this way, once. */
void store_memory_fail(struct store *s, enum memory_fault fault, uint32_t nth);

/* The same for `times` commits in a row. */
void store_memory_fail_times(struct store *s, enum memory_fault fault,
                             uint32_t nth, uint32_t times);
