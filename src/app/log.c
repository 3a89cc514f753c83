#define SD_JOURNAL_SUPPRESS_LOCATION
#include "app/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "data/timestamp.h"
#include "os/clock.h"
#include "os/journal.h"

#define LINE_MAX_BYTES 4096
#define FIELDS_MAX 12

static atomic_int threshold = LOG_LEVEL_INFO;
static atomic_bool for_journal;
static struct log_ports ports;

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
    atomic_store(&for_journal, os_stderr_is_journal());
}

void log_set_ports(const struct log_ports *p)
{
    ports = p != NULL ? *p : (struct log_ports){0};
}

static enum log_level level_of(int priority)
{
    if (priority <= LOG_ERR) {
        return LOG_LEVEL_ERROR;
    }
    if (priority <= LOG_WARNING) {
        return LOG_LEVEL_WARNING;
    }
    return priority <= LOG_INFO ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
}

/* ---- floods -------------------------------------------------------------- */

struct limit {
    uint64_t since_ms; /* of the window */
    uint32_t written;
    uint64_t left_out;
};

static pthread_mutex_t limits_lock = PTHREAD_MUTEX_INITIALIZER;
static struct limit limits[LOG_MESSAGES];

static uint64_t now_ms(void)
{
    return ports.now_ms != NULL ? ports.now_ms() : os_monotonic_ms();
}

/* Whether one more message of this kind is written; *ret_left_out is how many
 * of the window before were not. */
static bool admit(enum log_message m, uint64_t *ret_left_out)
{
    uint64_t now = now_ms();
    pthread_mutex_lock(&limits_lock);
    struct limit *l = &limits[m];
    *ret_left_out = 0;
    if (l->written == 0 || now - l->since_ms >= LOG_WINDOW_MS) {
        *ret_left_out = l->left_out;
        *l = (struct limit){.since_ms = now};
    }
    bool good = l->written < LOG_BURST;
    l->written += good;
    l->left_out += !good;
    pthread_mutex_unlock(&limits_lock);
    return good;
}

/* ---- writing ------------------------------------------------------------- */

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
    if (ports.line != NULL) {
        ports.line(line.at);
    } else {
        /* Nobody is left to tell when stderr fails. */
        ssize_t written = write(STDERR_FILENO, line.at, line.len);
        (void)written;
    }
    strbuf_deinit(&line);
}

struct entry {
    struct strbuf texts[FIELDS_MAX];
    struct iovec fields[FIELDS_MAX];
    int count;
};

/* One field as NAME=TEXT; the journal takes bytes, so line ends in a path
 * cannot make another field. */
static void add_field(struct entry *e, const char *name, struct str text)
{
    if (text.len == 0) {
        return;
    }
    struct strbuf *b = &e->texts[e->count++];
    *b = STRBUF_INIT(LINE_MAX_BYTES * 4);
    strbuf_addf(b, "%s=", name);
    strbuf_add_visible(b, text);
}

static void add_id(struct entry *e, const char *name, const char *prefix,
                   struct id id)
{
    char text[ID_TEXT_SIZE];
    if (!id_is_null(id)) {
        id_format(id, prefix, text);
        add_field(e, name, str_c(text));
    }
}

static void add_fields(struct entry *e, const struct log_fields *f)
{
    const struct log_message_row *row = log_message_row(f->message);
    char number[16];
    if (row != NULL) {
        add_field(e, "MESSAGE_ID", str_c(row->id));
        add_field(e, "ADP_MESSAGE", str_c(row->name));
    }
    add_id(e, "ADP_EVENT", ID_PREFIX_EVENT, f->event);
    add_id(e, "ADP_WORKFLOW", ID_PREFIX_WORKFLOW, f->workflow);
    add_field(e, "ADP_RUNBOOK", f->runbook);
    if (f->step != 0) {
        (void)snprintf(number, sizeof(number), "%u", f->step);
        add_field(e, "ADP_STEP", str_c(number));
    }
    add_field(e, "ADP_STEP_NAME", f->step_name);
}

static bool send_entry(struct entry *e)
{
    for (int i = 0; i < e->count; i++) {
        e->fields[i] = (struct iovec){.iov_base = e->texts[i].at,
                                      .iov_len = e->texts[i].len};
    }
    return (ports.journal != NULL ? ports.journal(e->fields, e->count)
                                  : sd_journal_sendv(e->fields, e->count)) >= 0;
}

/* The text keeps the level's word: people look for it with grep. */
static bool write_entry(enum log_level level, struct str message,
                        const struct log_fields *fields)
{
    struct entry e = {.count = 0};
    struct strbuf text = STRBUF_INIT(LINE_MAX_BYTES * 4);
    char priority[8];
    (void)snprintf(priority, sizeof(priority), "%d", levels[level].priority);
    strbuf_addf(&text, "%s ", levels[level].name);
    strbuf_add(&text, message);
    add_field(&e, "MESSAGE", strbuf_str(&text));
    add_field(&e, "PRIORITY", str_c(priority));
    add_field(&e, "SYSLOG_IDENTIFIER", STR("autonomous-devops"));
    if (fields != NULL) {
        add_fields(&e, fields);
    }
    bool sent = send_entry(&e);
    for (int i = 0; i < e.count; i++) {
        strbuf_deinit(&e.texts[i]);
    }
    strbuf_deinit(&text);
    return sent;
}

static void put(enum log_level level, struct str message,
                const struct log_fields *fields)
{
    if (!atomic_load(&for_journal) || !write_entry(level, message, fields)) {
        write_line(level, message);
    }
}

static void tell_left_out(enum log_message m, uint64_t count)
{
    const struct log_fields fields = {.message = LOG_SUPPRESSED};
    struct strbuf text = STRBUF_INIT(256);
    if (count != 0) {
        strbuf_addf(&text, "%llu more messages like %s were not logged",
                    (unsigned long long)count, log_message_row(m)->name);
        put(LOG_LEVEL_WARNING, strbuf_str(&text), &fields);
    }
    strbuf_deinit(&text);
}

bool log_is_on(enum log_level level)
{
    return (int)level <= atomic_load(&threshold);
}

static void write_message(enum log_level level, struct str message,
                          const struct log_fields *fields)
{
    uint64_t left_out = 0;
    if (!log_is_on(level)) {
        return;
    }
    if (fields != NULL && fields->message != LOG_MESSAGE_NONE) {
        if (!admit(fields->message, &left_out)) {
            return;
        }
        tell_left_out(fields->message, left_out);
    }
    put(level, message, fields);
}

void log_flush(void)
{
    uint64_t now = now_ms();
    for (int m = 0; m < LOG_MESSAGES; m++) {
        struct limit *l = &limits[m];
        uint64_t left_out = 0;
        pthread_mutex_lock(&limits_lock);
        if (l->written != 0 && now - l->since_ms >= LOG_WINDOW_MS) {
            left_out = l->left_out;
            *l = (struct limit){0};
        }
        pthread_mutex_unlock(&limits_lock);
        tell_left_out((enum log_message)m, left_out);
    }
}

/* ---- the ways in --------------------------------------------------------- */

static void write_formatted(enum log_level level,
                            const struct log_fields *fields, const char *fmt,
                            va_list args) PRINTF_LIKE(3, 0);

static void write_formatted(enum log_level level,
                            const struct log_fields *fields, const char *fmt,
                            va_list args)
{
    struct strbuf message = STRBUF_INIT(LINE_MAX_BYTES);
    strbuf_addv(&message, fmt, args);
    write_message(level,
                  strbuf_error(&message) < 0 ? STR("(message too long)")
                                             : strbuf_str(&message),
                  fields);
    strbuf_deinit(&message);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    write_formatted(level, NULL, fmt, args);
    va_end(args);
}

void log_tell(enum log_message message, const char *fmt, ...)
{
    const struct log_fields fields = {.message = message};
    va_list args;
    va_start(args, fmt);
    write_formatted(level_of(log_message_row(message)->priority), &fields, fmt,
                    args);
    va_end(args);
}

void log_syslog(int priority, const char *message)
{
    log_syslog_with(priority, message, NULL);
}

void log_syslog_with(int priority, const char *message,
                     const struct log_fields *fields)
{
    write_message(level_of(priority), str_c(message), fields);
}
