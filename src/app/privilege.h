/*
 * Who the engine runs as. Main thread, before there are others.
 */
#pragma once

#include "base/err.h"

/* Becomes the owner of the state folder when we are root and it belongs to
 * somebody else, for good, so that no file of root's is left in it: the
 * daemon that systemd starts could not use those. A folder that is missing or
 * root's changes nothing. 0, or a negative errno with a message. */
NODISCARD int privilege_drop(const char *state_directory, struct err *reterr);

/* No core file, and no other process of our user may look into our memory,
 * where secrets are. After privilege_drop, which undoes it. */
NODISCARD int privilege_harden(struct err *reterr);
