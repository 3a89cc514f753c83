/*
 * The kill switch: a file. While it exists nothing begins: the engine starts
 * no workflow and no step, and the executor refuses whatever it is asked to
 * start. A file, because it needs neither the store nor the engine nor the
 * network: touch puts it on, rm takes it off, and it outlives every process
 * and the machine's next boot. Its first line says who put it on and why.
 *
 * There may be several: each of them is enough.
 *
 * Stateless; any thread, any process. Whoever turns one with this module waits
 * for others who do: a second at most.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

#define KILL_SWITCH_TEXT_SIZE 256

struct kill_switch {
    bool on;
    /* When on: the file's first line, printable, cut when it is long; what is
     * wrong, when nobody can tell whether the file exists. "": it is empty. */
    char text[KILL_SWITCH_TEXT_SIZE];
    uint64_t since_ms; /* epoch; 0: nobody knows */
    /* Which file that is, and in which state. */
    dev_t device;
    ino_t inode;
    struct timespec changed;
};

/* Looks. Not there is off; anything but that is on, also what cannot be looked
 * at: who cannot know whether it may act does not. */
void kill_switch_look(const char *path, struct kill_switch *ret);

/* The first of these that is on, and where it is; NULLs are passed over. Off:
 * *ret_path says nothing. */
void kill_switch_look_at(const char *const *paths, size_t count,
                         struct kill_switch *ret, const char **ret_path);

/* Puts it on with this line in it. The text of one that is on already stays as
 * it is. The folder above is made if only that is missing. When it returns 0
 * the file is on the disk; a disk so full that the line has no room still takes
 * the file. Errors: errno, negative. */
NODISCARD int kill_switch_set(const char *path, struct str text,
                              struct err *reterr);

/* Takes it off; 0 also when it was off. With seen (NULL: whatever there is)
 * only what was seen: -EEXIST when somebody has put it on since. -EAGAIN:
 * somebody else is at it for long. */
NODISCARD int kill_switch_clear(const char *path,
                                const struct kill_switch *seen,
                                struct err *reterr);
