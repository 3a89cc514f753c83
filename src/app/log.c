#include "app/log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "data/timestamp.h"
#include "os/clock.h"

#define LINE_MAX_BYTES 4096

static atomic_int threshold = LOG_LEVEL_INFO;
static atomic_bool for_journal;

static const struct {
    const char *name;
    int priority;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"ERROR", LOG_ERR},
    [LOG_LEVEL_WARNING] = {"WARNING", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"INFO", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"DEBUG", LOG_DEBUG},
};

void log_init(enum log_level level)
{
    atomic_store(&threshold, (int)level);
    atomic_store(&for_journal, getenv("JOURNAL_STREAM") != NULL);
}

static void write_line(enum log_level level, struct str message)
{
    struct strbuf line = STRBUF_INIT(LINE_MAX_BYTES * 4);
    if (atomic_load(&for_journal)) {
        strbuf_addf(&line, "<%d>", levels[level].priority);
    } else {
        char now[TIMESTAMP_TEXT_SIZE];
        timestamp_format(os_epoch_ms(), now);
        strbuf_addf(&line, "%s ", now);
    }
    strbuf_addf(&line, "%s ", levels[level].name);
    strbuf_add_visible(&line, message);
    strbuf_addch(&line, '\n');
    /* Nobody is left to tell when stderr fails. */
    ssize_t written = write(STDERR_FILENO, line.at, line.len);
    (void)written;
    strbuf_deinit(&line);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if ((int)level > atomic_load(&threshold)) {
        return;
    }
    struct strbuf message = STRBUF_INIT(LINE_MAX_BYTES);
    va_list args;
    va_start(args, fmt);
    strbuf_addv(&message, fmt, args);
    va_end(args);
    write_line(level, strbuf_error(&message) < 0 ? STR("(message too long)")
                                                 : strbuf_str(&message));
    strbuf_deinit(&message);
}

void log_syslog(int priority, const char *message)
{
    enum log_level level = LOG_LEVEL_DEBUG;
    if (priority <= LOG_ERR) {
        level = LOG_LEVEL_ERROR;
    } else if (priority <= LOG_WARNING) {
        level = LOG_LEVEL_WARNING;
    } else if (priority <= LOG_INFO) {
        level = LOG_LEVEL_INFO;
    }
    log_line(level, "%s", message);
}
