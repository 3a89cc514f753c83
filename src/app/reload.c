#include "app/reload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "api/put.h"
#include "app/config_files.h"
#include "app/config_host.h"
#include "app/log.h"
#include "base/mem.h"
#include "data/timestamp.h"
#include "integrations/integrations.h"
#include "os/clock.h"
#include "runtime/service.h"

#define PROBLEMS_MAX_BYTES (256UL * 1024)

/* The options that a reload changes, in the audit trail. */
#define CHANGES_MAX_BYTES (8UL * 1024 * 1024)

/* How often the files are looked at. */
#define LOOK_USEC 2000000ULL

struct reload {
    const struct config_sources *sources;
    const struct config *started;
    struct service *service;
    struct integrations *integrations;
    pthread_mutex_t lock; /* one reading at a time, while it is recorded too */
    struct config *last;  /* read since; NULL: none was */
    pthread_mutex_t status_lock;     /* for moments only */
    struct api_config_status status; /* of the last reading */
    sd_event_source *timer;          /* NULL: nobody looks at the files */
    uint64_t seen;    /* the files' mark at the last look that found others */
    uint64_t refused; /* their mark when they were not taken */
};

struct reload *reload_new(const struct config_sources *sources,
                          const struct config *started)
{
    struct reload *r = MEM_NEW(struct reload);
    r->sources = sources;
    r->started = started;
    r->status = (struct api_config_status){
        .ok = true, .loaded_ms = os_epoch_ms(), .file = sources->path};
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->status_lock, NULL);
    return r;
}

void reload_free(struct reload *r)
{
    if (r != NULL) {
        sd_event_source_disable_unref(r->timer);
        config_free(r->last);
        pthread_mutex_destroy(&r->lock);
        pthread_mutex_destroy(&r->status_lock);
        mem_free(r);
    }
}

void reload_set_service(struct reload *r, struct service *service,
                        struct integrations *integrations)
{
    r->service = service;
    r->integrations = integrations;
}

static void set_status(struct reload *r, const struct api_config_status *status)
{
    pthread_mutex_lock(&r->status_lock);
    r->status = *status;
    pthread_mutex_unlock(&r->status_lock);
}

static void port_status(void *context, struct api_config_status *ret)
{
    struct reload *r = context;
    pthread_mutex_lock(&r->status_lock);
    *ret = r->status;
    pthread_mutex_unlock(&r->status_lock);
}

static const struct config *in_force(const struct reload *r)
{
    return r->last != NULL ? r->last : r->started;
}

/* ---- are the files still those that were read? ----------------------------
 */

/* What was refused is gone, and the files are again those in force. */
static void take_back(struct reload *r)
{
    if (r->refused == 0 || config_files_mark(r->sources) == r->refused) {
        return; /* the same files are refused: for what is around them */
    }
    r->refused = 0;
    pthread_mutex_lock(&r->status_lock);
    r->status.ok = true;
    r->status.error[0] = '\0';
    pthread_mutex_unlock(&r->status_lock);
    log_tell(LOG_CONFIG_LOADED,
             "the configuration's files are again those that are in force");
}

/* Returns whether they are to be read again now: who writes several files, or
 * one in pieces, is given the time from one look to the next, and what has been
 * refused is not looked at again until it is something else. */
static bool look(struct reload *r)
{
    struct strbuf text = STRBUF_INIT(16UL * 1024);
    bool stale = config_is_stale(in_force(r), r->sources, &text);
    uint64_t mark = stale ? config_files_mark(r->sources) : 0;
    bool settled = stale && mark == r->seen;
    r->seen = mark;
    if (!stale) {
        take_back(r);
    }
    pthread_mutex_lock(&r->status_lock);
    (void)snprintf(r->status.changed, sizeof(r->status.changed), "%.*s",
                   STR_ARG(strbuf_str(&text)));
    pthread_mutex_unlock(&r->status_lock);
    strbuf_deinit(&text);
    return settled && in_force(r)->config_auto_reload && mark != r->refused;
}

/* ---- what is said about it ------------------------------------------------
 */

static void add_keys(struct strbuf *out, const struct config_keys *keys)
{
    strbuf_addch(out, '[');
    for (uint32_t i = 0; i < keys->count; i++) {
        strbuf_addf(out, "%s\"%s\"", i != 0 ? "," : "", keys->keys[i]);
    }
    strbuf_addch(out, ']');
}

static void log_keys(const struct config_keys *keys, const char *what)
{
    struct strbuf list = STRBUF_INIT(16UL * 1024);
    for (uint32_t i = 0; i < keys->count; i++) {
        strbuf_addf(&list, "%s%s", i != 0 ? ", " : "", keys->keys[i]);
    }
    if (keys->count != 0) {
        log_warning("%s: %s", what, strbuf_str(&list).at);
    }
    strbuf_deinit(&list);
}

static void say_restart(const struct config_keys *keys, char *ret, size_t size)
{
    if (keys->count != 0) {
        (void)snprintf(ret, size, "takes effect at a restart only: %s",
                       keys->keys[0]);
    }
    if (keys->count > 1) {
        size_t len = strlen(ret);
        (void)snprintf(ret + len, size - len, " and %u more", keys->count - 1);
    }
}

static void log_problems(const struct config_report *report)
{
    struct strbuf text = STRBUF_INIT(PROBLEMS_MAX_BYTES);
    config_report_add_text(report, &text);
    struct str rest = strbuf_str(&text);
    while (rest.len != 0) {
        size_t end = (size_t)str_find(rest, '\n'); /* every line has one */
        log_warning("%.*s", (int)end, rest.at);
        rest = str_slice(rest, end + 1, rest.len);
    }
    strbuf_deinit(&text);
}

/* "FILE:LINE: FIELD: MESSAGE" of the first error. */
static void first_error(const struct config_report *report, struct err *reterr)
{
    VEC_EACH (&report->problems, i) {
        const struct config_problem *p = &report->problems.at[i];
        if (p->warning) {
            continue;
        }
        char line[16] = "";
        if (p->err.at.line != 0) {
            (void)snprintf(line, sizeof(line), ":%u", p->err.at.line);
        }
        (void)err_set(reterr, -EINVAL, "%s%s: %s%s%s", p->file, line,
                      p->err.field, p->err.field[0] != '\0' ? ": " : "",
                      p->err.message);
        return;
    }
    (void)err_set(reterr, -EINVAL, "it cannot be read");
}

/* ---- putting it in force ---------------------------------------------------
 */

static void configured(struct service_request *request)
{
    if (request->result < 0) {
        log_error("the workers could not be set up as configured: %s",
                  strerror(-request->result));
    }
    mem_free((char *)(uintptr_t)request->configure.kill_switch);
    mem_free(request);
}

/* Options that the API has set to something else: the configuration's value
 * does not count until that is withdrawn. */
static void add_not_in_force(struct reload *r, const struct config *after,
                             struct strbuf *ret)
{
    static const char key[] = "engine.event_processing.workers";
    struct controls *controls = service_controls(r->service);
    const struct setting_row *row = controls_scaled(controls);
    uint32_t workers = controls_workers(controls);
    put_open(ret, "not_in_force", '[');
    if (row != NULL && workers != config_engine(after).workers) {
        char when[TIMESTAMP_TEXT_SIZE];
        timestamp_format(MIN(row->at_ms, TIMESTAMP_MAX_MS), when);
        put_open(ret, NULL, '{');
        put_text_c(ret, "key", key);
        put_u64(ret, "value", workers);
        put_text(ret, "by", row->by);
        put_instant(ret, "at", row->at_ms);
        put_close(ret, '}');
        log_warning("%s is not in force: set to %u by %.*s at %s; to go back: "
                    "adctl worker scale default",
                    key, workers, STR_ARG(row->by), when);
    }
    put_close(ret, ']');
    controls_unref(controls);
}

/* Options of the executor are its own to read again. */
static bool is_for_executor(const struct config_keys *changed)
{
    for (uint32_t i = 0; i < changed->count; i++) {
        if (str_starts(str_c(changed->keys[i]), STR("executor.")) ||
            str_eq_c(STR("security.kill_switch"), changed->keys[i])) {
            return true;
        }
    }
    return false;
}

static void put_in_force(struct reload *r, const struct config *after,
                         const struct config_keys *changed)
{
    struct service_request *request = MEM_NEW(struct service_request);
    request->kind = SERVICE_CONFIGURE;
    request->configure.engine = config_engine(after);
    request->configure.keep = after->keep;
    request->configure.executor = is_for_executor(changed);
    struct arena a = ARENA_INIT;
    request->configure.kill_switch =
        str_dup(str_c(config_kill_switch(after, &a)));
    arena_deinit(&a);
    request->done = configured;
    service_post(r->service, request);
    integrations_configure(r->integrations, after->integrations);
    log_init(after->log_level);
}

/* Values of what differs, before and after; secrets are hidden. */
static int record(const struct api_config_recorder *recorder,
                  const struct config *before, const struct config *after,
                  const struct config_keys *changed)
{
    struct strbuf texts[] = {STRBUF_INIT(CHANGES_MAX_BYTES),
                             STRBUF_INIT(CHANGES_MAX_BYTES)};
    config_add_changed_json(before, changed, &texts[0]);
    config_add_changed_json(after, changed, &texts[1]);
    int r = strbuf_error(&texts[0]);
    if (r == 0) {
        r = strbuf_error(&texts[1]);
    }
    if (r == 0) {
        r = recorder->record(recorder->context, strbuf_str(&texts[0]),
                             strbuf_str(&texts[1]));
    }
    strbuf_deinit(&texts[0]);
    strbuf_deinit(&texts[1]);
    return r;
}

static int take(struct reload *r, struct config *after,
                const struct config_report *report,
                const struct api_config_recorder *recorder, struct strbuf *ret)
{
    const struct config *before = in_force(r);
    struct config_keys changed = config_changed(before, after, false);
    struct config_keys restart = config_changed(r->started, after, true);
    int result =
        recorder != NULL ? record(recorder, before, after, &changed) : 0;
    if (result < 0) {
        log_warning("configuration not reloaded, the old one stays: the audit "
                    "trail did not take it: %s",
                    strerror(-result));
        config_free(after);
        return result;
    }
    strbuf_addc(ret, "\"changed\":");
    add_keys(ret, &changed);
    strbuf_addc(ret, ",\"restart_required\":");
    add_keys(ret, &restart);
    add_not_in_force(r, after, ret);
    strbuf_addc(ret, ",\"warnings\":");
    config_report_add_problems(report, true, ret);
    put_in_force(r, after, &changed);
    config_free(r->last);
    r->last = after;
    struct api_config_status status = {
        .ok = true, .loaded_ms = os_epoch_ms(), .file = r->sources->path};
    say_restart(&restart, status.restart, sizeof(status.restart));
    set_status(r, &status);
    log_tell(LOG_CONFIG_LOADED, "configuration reloaded: %u options changed",
             changed.count);
    log_keys(&restart, "takes effect at a restart only");
    return 0;
}

static void refuse(struct reload *r, const struct config_report *report,
                   struct strbuf *ret, struct err *reterr)
{
    first_error(report, reterr);
    strbuf_addc(ret, "\"errors\":");
    config_report_add_problems(report, false, ret);
    strbuf_addc(ret, ",\"warnings\":");
    config_report_add_problems(report, true, ret);
    struct api_config_status status;
    port_status(r, &status);
    status.ok = false;
    (void)snprintf(status.error, sizeof(status.error), "%s", reterr->message);
    set_status(r, &status);
    log_tell(LOG_CONFIG_FAILED,
             "configuration not reloaded, the old one stays: %s",
             reterr->message);
}

/* The lock is the caller's. */
static int read_again(struct reload *r,
                      const struct api_config_recorder *recorder,
                      struct strbuf *ret, struct err *reterr)
{
    struct config_report report = {0};
    struct config *after = NULL;
    uint64_t mark = config_files_mark(r->sources); /* before they are read */
    int result = config_load_from(r->sources, &after, &report);
    result = result == 0 ? config_check_host(after, &report) : result;
    log_problems(&report);
    if (result < 0) {
        config_free(after);
        refuse(r, &report, ret, reterr);
        r->refused = mark;
        result = -EINVAL;
    } else {
        result = take(r, after, &report, recorder, ret);
        r->refused = result == 0 ? 0 : r->refused;
    }
    config_report_deinit(&report);
    return result;
}

int reload_now(struct reload *r, const struct api_config_recorder *recorder,
               struct strbuf *ret, struct err *reterr)
{
    pthread_mutex_lock(&r->lock);
    int result = read_again(r, recorder, ret, reterr);
    pthread_mutex_unlock(&r->lock);
    return result;
}

/* ---- by itself -------------------------------------------------------------
 */

static void by_itself(struct reload *r)
{
    struct strbuf ignored = STRBUF_INIT(1024UL * 1024);
    struct err err = ERR_INIT;
    log_info("the configuration's files have changed: reading them again");
    (void)read_again(r, NULL, &ignored, &err); /* it logs */
    strbuf_deinit(&ignored);
}

static int on_look(sd_event_source *source, uint64_t usec, void *context)
{
    struct reload *r = context;
    (void)usec;
    if (pthread_mutex_trylock(&r->lock) == 0) { /* else they are being read */
        if (look(r)) {
            by_itself(r);
        }
        pthread_mutex_unlock(&r->lock);
    }
    (void)sd_event_source_set_time_relative(source, LOOK_USEC);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int reload_watch(struct reload *r, sd_event *loop)
{
    int result = sd_event_add_time_relative(loop, &r->timer, CLOCK_MONOTONIC,
                                            LOOK_USEC, 0, on_look, r);
    return result < 0 ? result : 0;
}

/* ---- the API's view ---------------------------------------------------------
 */

static int port_reload(void *context,
                       const struct api_config_recorder *recorder,
                       struct strbuf *ret, struct err *reterr)
{
    return reload_now(context, recorder, ret, reterr);
}

struct api_config reload_port(struct reload *r)
{
    return (struct api_config){
        .reload = port_reload, .status = port_status, .context = r};
}
