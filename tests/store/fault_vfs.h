/*
 * A shim between SQLite and the disk that fails the nth write or sync, tears
 * a write in two, or cuts the power: then a random part of what was written
 * since the last sync of each file is lost. One store at a time, one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"

enum fault_kind {
    FAULT_NONE,
    FAULT_WRITE_IO,   /* the nth write fails, once */
    FAULT_WRITE_FULL, /* the nth write finds the disk full, once */
    FAULT_SYNC_IO,    /* the nth sync fails, once */
    FAULT_TORN,       /* half of the nth write, then nothing any more */
    FAULT_POWER,      /* before the nth write or sync the power goes */
    FAULT_KINDS
};

extern const char *const fault_names[FAULT_KINDS];

/* Puts the shim under every connection opened from now on. */
void fault_vfs_install(void);

/* Starts to count; forgets what was written before. */
void fault_vfs_arm(enum fault_kind kind, uint64_t nth);

/* Has it happened? */
bool fault_vfs_fired(void);

/* From now on nothing reaches the disk: the process is as good as killed. */
void fault_vfs_die(void);

/* No faults any more. After FAULT_POWER, and when every file is closed, first
 * loses what was not synced. */
void fault_vfs_restore(struct prng *p);
