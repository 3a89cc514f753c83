/*
 * Whether what we write to stderr goes to systemd's journal. Any thread.
 */
#pragma once

#include <stdbool.h>

/* systemd says which stream is the journal's; stderr may have been sent
 * elsewhere since. */
bool os_stderr_is_journal(void);
