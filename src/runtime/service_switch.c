/*
 * The kill switch: the files of os/kill_switch.h. The service looks at them
 * before anything can begin, and then SWITCH_LOOK_MS after SWITCH_LOOK_MS, so
 * that it does not matter who has put it on and how. The executor looks for
 * itself at every start it is asked for: between two looks of ours nothing
 * begins either.
 *
 * Whoever turns it here is a job of one thread, so turns have an order, and
 * nobody else waits for the disk. On takes effect when it is asked for: until
 * the file is written, or for good if it cannot be, the switch is `forced`. Off
 * comes after its row of the audit trail, and takes off only what was there
 * when it was asked for: any later on, whoever it came from, wins.
 */
#include <errno.h>
#include <syslog.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/kill_switch.h"
#include "runtime/service_priv.h"

#define SWITCH_LOOK_MS 250
#define TURNS_MAX 64
#define ROW_BYTES SERVICE_TURN_ROW_BYTES

#define SWITCH_ROOT 0
#define SWITCH_OURS 1
#define SWITCH_PATHS 8

struct killing {
    struct service *service;
    struct arena arena; /* of the paths, which others may still read */
    sd_event_source *timer;
    struct pool *turner; /* one thread */
    /* Of the service's thread: */
    struct kill_switch now;
    const char *where; /* the file, while it is on */
    bool remembered;   /* the store says that it is on */
    /* Under this lock: */
    pthread_mutex_t lock;
    /* root's (NULL: there is none), the one that is turned here, and those that
     * were before a reload: whoever knows those only is obeyed, too. */
    const char *paths[SWITCH_PATHS];
    uint64_t ons;     /* how often it was asked to be on */
    uint32_t turning; /* turns that are not done yet */
    bool ending;
    bool forced; /* on, whatever the files say */
    char forced_text[KILL_SWITCH_TEXT_SIZE];
    uint64_t forced_ms;
    bool known_on; /* as the last turn here has left it, or the last look that
                      was told */
};

/* ---- looking ------------------------------------------------------------- */

static void tell(const struct killing *k)
{
    if (k->now.on) {
        service_log(k->service, LOG_WARNING,
                    "the kill switch is on, nothing begins: %s (%s)",
                    k->now.text[0] != '\0' ? k->now.text : "nobody says why",
                    k->where != NULL ? k->where : "not in a file");
    } else {
        service_log(k->service, LOG_NOTICE, "the kill switch is off");
    }
}

/* What waits in the queue may say that something is over: while events are not
 * taken the engine starts nothing of itself either. */
void service_hold_claims(struct service *s)
{
    bool paused = controls_paused(s->controls);
    committer_hold_claims(s->committer, paused || service_switch_is_on(s));
    if (!s->ending && paused != s->engine_paused) {
        s->engine_paused = paused;
        runtime_pause(s->runtime, paused);
    }
}

/* While events may not start anything, they wait in the queue. */
static void publish(struct killing *k)
{
    struct service *s = k->service;
    pthread_mutex_lock(&s->status_lock);
    s->status.killed = k->now.on;
    s->status.killed_where = k->where;
    memcpy(s->status.killed_text, k->now.text, sizeof(k->now.text));
    pthread_mutex_unlock(&s->status_lock);
    service_hold_claims(s);
}

static void take(struct killing *k, const struct kill_switch *now)
{
    bool turned = now->on != k->now.on;
    k->now = *now;
    publish(k);
    if (turned) {
        tell(k);
        runtime_switch(k->service->runtime, now->on, now->since_ms);
    }
}

static void copy_paths(struct killing *k, const char *ret[SWITCH_PATHS])
{
    pthread_mutex_lock(&k->lock);
    memcpy(ret, k->paths, sizeof(k->paths));
    pthread_mutex_unlock(&k->lock);
}

static void look(struct killing *k, struct kill_switch *ret)
{
    const char *paths[SWITCH_PATHS];
    const char *where = NULL;
    copy_paths(k, paths);
    kill_switch_look_at(paths, SWITCH_PATHS, ret, &where);
    k->where = ret->on ? where : NULL;
    pthread_mutex_lock(&k->lock);
    if (ret->on && where != paths[SWITCH_ROOT] && k->turning == 0) {
        k->forced = false; /* the file is the truth */
    } else if (!ret->on && k->forced) {
        *ret = (struct kill_switch){.on = true, .since_ms = k->forced_ms};
        memcpy(ret->text, k->forced_text, sizeof(ret->text));
    }
    pthread_mutex_unlock(&k->lock);
}

/* ---- rows of the audit trail --------------------------------------------- */

static struct str describe(char *to, bool on, const char *text)
{
    CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT(ROW_BYTES);
    strbuf_addf(&out, "{\"on\":%s,\"reason\":", on ? "true" : "false");
    if (on && text[0] != '\0') {
        strbuf_add_json_quoted(&out, str_c(text));
    } else {
        strbuf_addc(&out, "null");
    }
    strbuf_addch(&out, '}');
    ASSERT(strbuf_error(&out) == 0 && out.len < ROW_BYTES);
    memcpy(to, out.at, out.len);
    return str_n(to, out.len);
}

struct found {
    struct service_request request;
    char before[ROW_BYTES];
    char after[ROW_BYTES];
};

static void found_told(struct service_request *request)
{
    struct found *f = CONTAINER_OF(request, struct found, request);
    if (request->result < 0) {
        service_log(request->service, LOG_WARNING,
                    "the store does not know how the kill switch stands");
    }
    mem_free(f);
}

/* The store knows that it is on and since when, so that time limits stand still
 * also over the end of an engine that never saw it off. */
static void remember(struct killing *k)
{
    struct found *f = MEM_NEW(struct found);
    uint64_t since_ms = k->now.since_ms != 0 ? k->now.since_ms : os_epoch_ms();
    k->remembered = k->now.on;
    if (k->now.on) {
        (void)snprintf(f->after, sizeof(f->after), "%llu",
                       (unsigned long long)since_ms);
    }
    f->request = (struct service_request){
        .kind = SERVICE_CHANGE,
        .service = k->service,
        .requested_by = STR("engine"),
        .change = {.setting = {.key = STR(CONTROL_SWITCHED),
                               .value = str_c(f->after)},
                   .told = true,
                   .beside = true},
        .done = found_told,
    };
    service_change(k->service, &f->request);
}

/* Somebody has turned it, and not by asking us. */
static void tell_found(struct killing *k, const struct kill_switch *before,
                       const struct kill_switch *now)
{
    bool was_on = !now->on;
    struct found *f = MEM_NEW(struct found);
    f->request = (struct service_request){
        .kind = SERVICE_CHANGE,
        .service = k->service,
        .requested_by = STR("file"),
        .change = {.audit = {.action = STR("kill-switch.turn"),
                             .before =
                                 describe(f->before, was_on, before->text),
                             .after = describe(f->after, now->on, now->text)},
                   .told = true,
                   .beside = true},
        .done = found_told,
    };
    service_change(k->service, &f->request);
}

/* True once when what was seen is not what turns here have made of it. */
static bool is_found(struct killing *k, bool on)
{
    pthread_mutex_lock(&k->lock);
    bool found = k->turning == 0 && k->known_on != on && !k->service->ending;
    if (found) {
        k->known_on = on;
    }
    pthread_mutex_unlock(&k->lock);
    return found;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct killing *k = context;
    struct kill_switch before = k->now;
    struct kill_switch now;
    (void)usec;
    look(k, &now);
    if (is_found(k, now.on)) {
        tell_found(k, &before, &now);
    }
    if (now.on != k->now.on || strcmp(now.text, k->now.text) != 0) {
        take(k, &now);
    }
    if (k->now.on != k->remembered && !k->service->ending) {
        remember(k);
    }
    service_maybe_end(k->service); /* it waits for turns as well */
    (void)sd_event_source_set_time_relative(source, SWITCH_LOOK_MS * 1000ULL);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* ---- turning ------------------------------------------------------------- */

/* Nothing of ours touches it after this, but for its own thread at the end. */
static void finish(struct service_turn *t, int result)
{
    struct killing *k = t->service->killing;
    t->result = result;
    t->done(t);
    pthread_mutex_lock(&k->lock);
    k->turning--;
    pthread_mutex_unlock(&k->lock);
}

static void submit(struct service_turn *t, pool_job_fn *run)
{
    struct killing *k = t->service->killing;
    pool_job_init(&t->job, run);
    pthread_mutex_lock(&k->lock);
    int r = k->ending ? -ECANCELED : pool_submit(k->turner, &t->job);
    pthread_mutex_unlock(&k->lock);
    if (r < 0) {
        finish(t, err_set(&t->err, r, "too much is asked of the kill switch"));
    }
}

static int clear_all(struct service_turn *t, const char *const *paths)
{
    int r = kill_switch_clear(paths[SWITCH_OURS], &t->seen, &t->err);
    for (size_t i = SWITCH_OURS + 1; r == 0 && i < SWITCH_PATHS; i++) {
        r = paths[i] != NULL ? kill_switch_clear(paths[i], NULL, &t->err) : 0;
    }
    return r;
}

/* On the turner's thread. */
static void take_off(struct pool_job *job)
{
    struct service_turn *t = CONTAINER_OF(job, struct service_turn, job);
    struct killing *k = t->service->killing;
    const char *paths[SWITCH_PATHS];
    copy_paths(k, paths);
    pthread_mutex_lock(&k->lock);
    bool again = k->ons != t->order;
    pthread_mutex_unlock(&k->lock);
    int r = again ? err_set(&t->err, -EEXIST,
                            "the kill switch has been put on again meanwhile")
                  : clear_all(t, paths);
    pthread_mutex_lock(&k->lock);
    if (r == 0 && k->ons == t->order) {
        k->forced = false;
        k->known_on = false;
    }
    pthread_mutex_unlock(&k->lock);
    finish(t, r);
}

/* On the service's thread. */
static void turn_told(struct service_request *request)
{
    struct service_turn *t =
        CONTAINER_OF(request, struct service_turn, request);
    t->audited = request->result == 0;
    if (t->on) {
        finish(t, t->result);
    } else if (request->result < 0) {
        finish(t, err_set(&t->err, -EIO,
                          "the store did not take the change, so the kill "
                          "switch stays on; try again, or remove its file"));
    } else {
        submit(t, take_off);
    }
}

static void post_row(struct service_turn *t, const struct kill_switch *before,
                     const struct kill_switch *after)
{
    t->request = (struct service_request){
        .kind = SERVICE_CHANGE,
        .requested_by = t->who,
        .change = {.audit = {.action = t->action,
                             .before = describe(t->row_before, before->on,
                                                before->text),
                             .after = describe(t->row_after, after->on,
                                               after->text)},
                   .told = true,
                   .beside = true},
        .done = turn_told,
    };
    service_post(t->service, &t->request);
}

/* On the turner's thread. */
static void put_on(struct pool_job *job)
{
    struct service_turn *t = CONTAINER_OF(job, struct service_turn, job);
    struct killing *k = t->service->killing;
    struct kill_switch before;
    const char *paths[SWITCH_PATHS];
    copy_paths(k, paths);
    kill_switch_look(paths[SWITCH_OURS], &before);
    t->result = kill_switch_set(paths[SWITCH_OURS], t->text, &t->err);
    if (t->result == 0) {
        kill_switch_look(paths[SWITCH_OURS], &t->now);
    } else {
        err_hint(&t->err, "it is on until the engine ends, and only for the "
                          "engine: mend this and put it on again");
        t->now = (struct kill_switch){.on = true};
        (void)snprintf(t->now.text, sizeof(t->now.text), "%.*s",
                       STR_ARG(t->text));
    }
    pthread_mutex_lock(&k->lock);
    k->known_on = true;
    k->forced = k->forced && (t->result < 0 || k->ons != t->order);
    pthread_mutex_unlock(&k->lock);
    post_row(t, &before, &t->now);
}

/* The same; its row goes in here, behind those of every turn before it. */
static void prepare_off(struct pool_job *job)
{
    struct service_turn *t = CONTAINER_OF(job, struct service_turn, job);
    struct killing *k = t->service->killing;
    struct kill_switch root = {.on = false};
    const struct kill_switch off = {.on = false};
    const char *paths[SWITCH_PATHS];
    copy_paths(k, paths);
    if (paths[SWITCH_ROOT] != NULL) {
        kill_switch_look(paths[SWITCH_ROOT], &root);
    }
    if (root.on) {
        err_hint(&t->err, "sudo adctl kill-switch off --lock");
        finish(t, err_set(&t->err, -EPERM,
                          "the kill switch is locked by the file %s, which "
                          "only root may remove",
                          paths[SWITCH_ROOT]));
        return;
    }
    kill_switch_look(paths[SWITCH_OURS], &t->seen);
    post_row(t, &t->seen, &off);
}

void service_turn(struct service *s, struct service_turn *t)
{
    struct killing *k = s->killing;
    t->service = s;
    t->err = ERR_INIT;
    t->now = (struct kill_switch){.on = false};
    t->audited = false;
    pthread_mutex_lock(&k->lock);
    k->turning++;
    if (t->on) {
        k->ons++;
        if (!k->forced) {
            k->forced_ms = os_epoch_ms();
            (void)snprintf(k->forced_text, sizeof(k->forced_text), "%.*s",
                           STR_ARG(t->text));
        }
        k->forced = true;
    }
    t->order = k->ons;
    pthread_mutex_unlock(&k->lock);
    submit(t, t->on ? put_on : prepare_off);
}

/* ---- life ---------------------------------------------------------------- */

int service_switch_start(struct service *s, struct err *reterr)
{
    struct killing *k = MEM_NEW(struct killing);
    struct kill_switch now;
    k->service = s;
    k->paths[SWITCH_OURS] =
        arena_strdup(&k->arena, str_c(s->options.kill_switch));
    if (s->options.root_kill_switch != NULL) {
        k->paths[SWITCH_ROOT] =
            arena_strdup(&k->arena, str_c(s->options.root_kill_switch));
    }
    pthread_mutex_init(&k->lock, NULL);
    s->killing = k;
    int r = pool_start("switch", 1, TURNS_MAX, &k->turner);
    if (r < 0) {
        return err_set(reterr, r, "cannot start a thread");
    }
    look(k, &now);
    uint64_t since_ms = controls_switched_ms(s->controls);
    k->known_on = k->remembered = since_ms != 0;
    if (k->remembered && !now.on) {
        /* Turned off while no engine was there: the next look sees that. */
        now = (struct kill_switch){.on = true, .since_ms = since_ms};
        (void)snprintf(now.text, sizeof(now.text),
                       "it was on when the engine ended");
    } else if (k->remembered) {
        now.since_ms = MIN(now.since_ms, since_ms);
    }
    take(k, &now);
    r = sd_event_add_time_relative(s->event, &k->timer, CLOCK_MONOTONIC,
                                   SWITCH_LOOK_MS * 1000ULL, 0, on_timer, k);
    return r < 0 ? err_set(reterr, r, "cannot watch the kill switch") : 0;
}

bool service_switch_busy(const struct service *s)
{
    if (s->killing == NULL) {
        return false;
    }
    pthread_mutex_lock(&s->killing->lock);
    bool busy = s->killing->turning != 0;
    pthread_mutex_unlock(&s->killing->lock);
    return busy;
}

void service_switch_end(struct service *s)
{
    struct killing *k = s->killing;
    if (k != NULL && k->turner != NULL) {
        struct pool *turner = k->turner;
        pthread_mutex_lock(&k->lock);
        k->ending = true;
        pthread_mutex_unlock(&k->lock);
        pool_stop(turner);
        k->turner = NULL;
    }
}

void service_switch_free(struct service *s)
{
    struct killing *k = s->killing;
    if (k != NULL) {
        service_switch_end(s);
        sd_event_source_unref(k->timer);
        pthread_mutex_destroy(&k->lock);
        arena_deinit(&k->arena);
        mem_free(k);
        s->killing = NULL;
    }
}

bool service_switch_is_on(const struct service *s)
{
    return s->killing != NULL && s->killing->now.on;
}

const char *service_switch_path(const struct service *s)
{
    const char *paths[SWITCH_PATHS];
    copy_paths(s->killing, paths);
    return paths[SWITCH_OURS];
}

void service_switch_move(struct service *s, const char *path)
{
    struct killing *k = s->killing;
    if (str_eq_c(str_c(path), k->paths[SWITCH_OURS])) {
        return;
    }
    pthread_mutex_lock(&k->lock);
    /* The oldest goes, of more moves than anybody makes in one life. */
    memmove(&k->paths[SWITCH_OURS + 1], &k->paths[SWITCH_OURS],
            (SWITCH_PATHS - SWITCH_OURS - 1) * sizeof(k->paths[0]));
    k->paths[SWITCH_OURS] = arena_strdup(&k->arena, str_c(path));
    pthread_mutex_unlock(&k->lock);
}
