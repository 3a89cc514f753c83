#include "proc/say.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "data/timestamp.h"
#include "os/clock.h"
#include "os/journal.h"

#define LINE_MAX_BYTES 4096

static int least = LOG_DEBUG; /* set before there is a second thread */

void executor_say_up_to(int priority)
{
    least = priority;
}

static const char *word(int priority)
{
    return priority <= LOG_ERR       ? "ERROR"
           : priority == LOG_WARNING ? "WARNING"
                                     : "INFO";
}

void executor_say(int priority, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT(LINE_MAX_BYTES);
    char time[TIMESTAMP_TEXT_SIZE];
    va_list args;
    if (priority > least) {
        return;
    }
    va_start(args, fmt);
    if (os_stderr_is_journal()) {
        strbuf_addf(&text, "<%d>executor: ", priority);
    } else {
        timestamp_format(os_epoch_ms(), time);
        strbuf_addf(&text, "%s %s executor: ", time, word(priority));
    }
    strbuf_addv(&text, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "%s\n", strbuf_str(&text).at);
    strbuf_deinit(&text);
}
