/*
 * The kill switch: a file. While it exists nothing begins: the engine starts
 * no workflow and no step, and the executor refuses whatever it is asked to
 * start. A file, because it needs neither the store nor the engine nor the
 * network: touch puts it on, rm takes it off, and it outlives every process
 * and the machine's next boot. Its first line says who put it on and why.
 *
 * Stateless; any thread, any process.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

#define KILL_SWITCH_TEXT_SIZE 256

struct kill_switch {
    bool on;
    /* When on: the file's first line, printable, cut when it is long; what is
     * wrong, when nobody can tell whether the file exists. "": it is empty. */
    char text[KILL_SWITCH_TEXT_SIZE];
};

/* Looks. Not there is off; anything but that is on, also what cannot be looked
 * at: who cannot know whether it may act does not. */
void kill_switch_look(const char *path, struct kill_switch *ret);

/* Puts it on with this line in it. One that is on already stays as it is. The
 * folder above is made if only that is missing. When it returns 0 the file is
 * on the disk; a disk so full that the line has no room still takes the file.
 * Errors: errno, negative. */
NODISCARD int kill_switch_set(const char *path, struct str text,
                              struct err *reterr);

/* Takes it off; 0 also when it was off. */
NODISCARD int kill_switch_clear(const char *path, struct err *reterr);
