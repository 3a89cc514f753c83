/*
 * Removing a folder and all that is in it, without following symlinks and
 * without ever leaving the folder it is told to work in. Any thread.
 */
#pragma once

#include "base/attr.h"

/* Removes `name` (one path segment) in the open folder, with everything below
 * it. 0 also when it is not there; -ELOOP if it is nested deeper than 200
 * folders; else the first error, with what could be removed gone. */
NODISCARD int os_remove_tree(int folder, const char *name);
