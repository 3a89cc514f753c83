/*
 * The daemon's log: one line per message on stderr, for a person or for the
 * journal ("<4>..." priorities when systemd reads stderr). Text that came
 * from outside is made visible (no control bytes, no bidi). Secrets never
 * come here. Any thread; a line is written in one piece.
 */
#pragma once

#include "base/attr.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

/* What is written from now on: this level and the more urgent ones. */
void log_init(enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same for an already formatted message with a syslog(3) priority. */
void log_syslog(int priority, const char *message);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
