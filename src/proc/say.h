/*
 * What the executor says on stderr, which is the journal's or a file that the
 * engine writes to as well. Any thread.
 */
#pragma once

#include <syslog.h>

#include "base/attr.h"

/* What is said from now on: this priority and the more urgent ones. */
void executor_say_up_to(int priority);

/* One line: LOG_ERR, LOG_WARNING, LOG_NOTICE or LOG_INFO, and a sentence
 * without an end. For the journal with the priority in front, else as the
 * engine's log has it: the time and the word for the priority. */
void executor_say(int priority, const char *fmt, ...) PRINTF_LIKE(2, 3);
