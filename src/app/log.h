/*
 * The daemon's log. When systemd's journal reads stderr, messages go to it with
 * their fields (MESSAGE_ID, ADP_MESSAGE, ADP_EVENT, ADP_WORKFLOW, ADP_RUNBOOK,
 * ADP_STEP, ADP_STEP_NAME); else one line per message goes to stderr, for a
 * person. Text that came from outside is made visible (no control bytes, no
 * bidi). Secrets never come here. Messages with a row (telemetry/log_messages)
 * are limited, because events come in any number: LOG_BURST of a kind in
 * LOG_WINDOW_MS, then only how many more there were. Any thread; a line is
 * written in one piece.
 */
#pragma once

#include <stdbool.h>
#include <sys/uio.h>

#include "base/attr.h"
#include "telemetry/log_messages.h"

#define LOG_BURST 100
#define LOG_WINDOW_MS 10000

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

/* What is written from now on: this level and the more urgent ones. */
void log_init(enum log_level level);

/* Whether messages of this level are written. */
bool log_is_on(enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A message of the table, at its level. */
void log_tell(enum log_message message, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same for an already formatted message with a syslog(3) priority; fields
 * NULL: none. */
void log_syslog(int priority, const char *message);
void log_syslog_with(int priority, const char *message,
                     const struct log_fields *fields);

/* Tells how many messages were left out in windows that are over. Call it now
 * and then. */
void log_flush(void);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* For tests: what to use in place of sd_journal_sendv, stderr and the clock;
 * NULL: the real ones. */
struct log_ports {
    int (*journal)(const struct iovec *fields, int count);
    void (*line)(const char *line);
    uint64_t (*now_ms)(void);
};
void log_set_ports(const struct log_ports *ports);
