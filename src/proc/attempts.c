/*
 * What the engine asks about attempts, and telling it what became of them.
 * Everything is idempotent by the attempt's key.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/kill_switch.h"
#include "proc/executor_priv.h"

/* Attempts in memory, whatever their state, and output of those that ended. */
#define KEPT_MAX 8192
#define KEPT_MAX_BYTES (256ULL * 1024 * 1024)

#define STOPPED_EARLY "it was stopped before it began"

static struct str key_bytes(const struct attempt_key *key)
{
    return str_n((const char *)key, sizeof(*key));
}

_Static_assert(sizeof(struct attempt_key) == 24,
               "the key of the table has no padding");

void attempts_name(const struct attempt_key *key, char out[ATTEMPT_NAME_SIZE])
{
    char id[ID_TEXT_SIZE];
    id_format(key->workflow_id, ID_PREFIX_WORKFLOW, id);
    (void)snprintf(out, ATTEMPT_NAME_SIZE, "%s.%u.%u", id, key->step_no,
                   key->attempt);
}

struct run *attempts_new(struct executor *x, const struct attempt_key *key)
{
    struct run *r = MEM_NEW(struct run);
    r->x = x;
    r->key = *key;
    r->phase = RUN_ENDED; /* nothing runs yet */
    r->folder.fd = -1;
    r->attached = true;
    r->row = (struct attempt_row){.key = *key,
                                  .state = ATTEMPT_STARTING,
                                  .executor = x->id,
                                  .exit_code = -1,
                                  .error = STR("")};
    attempts_name(key, r->name);
    (void)snprintf(r->mark, sizeof(r->mark), "ADP_ATTEMPT_ID=%s", r->name);
    output_init(&r->output, x->options.output_keep_bytes);
    redactor_init(&r->redactor);
    redact_stream_init(&r->redacted[OUTPUT_STDOUT]);
    redact_stream_init(&r->redacted[OUTPUT_STDERR]);
    ASSERT(map_put(&x->runs, key_bytes(&r->key), r) == NULL);
    return r;
}

void attempts_count(struct run *r)
{
    ASSERT(r->kept_bytes == 0);
    r->kept_bytes = output_kept_bytes(&r->output);
    r->x->kept_bytes += r->kept_bytes;
}

static struct run *find(struct executor *x, const struct attempt_key *key)
{
    return map_get(&x->runs, key_bytes(key));
}

struct run *attempts_by_pid(struct executor *x, pid_t pid)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&x->runs, &cursor)) != NULL) {
        struct run *r = entry->value;
        if (r->has_tree && !r->exited && r->tree.main == pid) {
            return r;
        }
    }
    return NULL;
}

/* ---- telling
 * ----------------------------------------------------------------- */

static void rewind_run(struct run *r)
{
    r->attached = true;
    r->started_sent = false;
    r->ended_sent = false;
    r->cursor = (struct output_cursor){0};
}

static bool send_started(struct run *r)
{
    if (r->started_sent || r->row.pid == 0) {
        return true;
    }
    struct exec_message m = {
        .kind = EXEC_STARTED,
        .started = {.key = r->key,
                    .pid = r->row.pid,
                    .started_ms = r->row.started_ms},
    };
    r->started_sent = link_send(r->x, &m);
    return r->started_sent;
}

static bool send_output(struct run *r)
{
    for (;;) {
        struct output_cursor next = r->cursor;
        struct exec_message m = {.kind = EXEC_OUTPUT};
        if (!output_next(&r->output, &next, &m.output)) {
            return true;
        }
        m.output.key = r->key;
        if (!link_send(r->x, &m)) {
            return false;
        }
        r->cursor = next;
    }
}

/* In this order: STARTED, all output, ENDED. */
void attempts_pump_one(struct run *r)
{
    if (!r->attached || !link_is_up(r->x) || r->ended_sent ||
        !send_started(r) || !send_output(r) || r->phase != RUN_ENDED) {
        return;
    }
    struct exec_message m = {.kind = EXEC_ENDED, .ended = r->row};
    r->ended_sent = link_send(r->x, &m);
}

void attempts_pump(struct executor *x)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&x->runs, &cursor)) != NULL) {
        attempts_pump_one(entry->value);
    }
}

void attempts_attach(struct executor *x)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&x->runs, &cursor)) != NULL) {
        struct run *r = entry->value;
        rewind_run(r);
        r->attached = r->phase == RUN_ENDED;
        attempts_pump_one(r);
    }
}

/* ---- asking
 * ------------------------------------------------------------------- */

/* Nobody knows what an earlier life of ours did, nor, where that was not seen,
 * whether all that it started has ended. */
static void answer_for(struct executor *x, const struct attempt_key *key,
                       struct id life)
{
    bool proved = guard_proved(x, life) && !x->groups.undead;
    struct exec_message m = {
        .kind = EXEC_ENDED,
        .ended = {.key = *key,
                  .state = ATTEMPT_UNKNOWN,
                  .executor = life,
                  .finished_ms = os_epoch_ms(),
                  .exit_code = -1,
                  .maybe_alive = !proved,
                  .error = proved
                               ? STR("the executor that was asked for it is "
                                     "gone")
                               : STR("the executor that was asked for it was "
                                     "killed together with its guard")},
    };
    (void)link_send(x, &m);
}

/* An attempt of the same step of which processes are left that do not end. */
static const struct run *find_hanging(struct executor *x,
                                      const struct attempt_key *key)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while (x->hanging != 0 && (entry = map_next(&x->runs, &cursor)) != NULL) {
        const struct run *r = entry->value;
        if (r->hangs && id_eq(r->key.workflow_id, key->workflow_id) &&
            r->key.step_no == key->step_no) {
            return r;
        }
    }
    return NULL;
}

/* Ends an attempt of which nothing is kept. */
static void answer(struct executor *x, const struct attempt_key *key,
                   struct id life, enum attempt_state state, const char *error)
{
    struct exec_message m = {
        .kind = EXEC_ENDED,
        .ended = {.key = *key,
                  .state = state,
                  .executor = life,
                  .finished_ms = os_epoch_ms(),
                  .exit_code = -1,
                  .error = str_c(error)},
    };
    (void)link_send(x, &m);
}

/* An engine that never forgets must not fill our memory. */
static bool is_full(const struct executor *x)
{
    return map_count(&x->runs) >= KEPT_MAX || x->kept_bytes >= KEPT_MAX_BYTES;
}

/* The engine does not ask while the kill switch is on; what it had asked for
 * before, or asks because somebody else is in it, does not begin. Nothing is
 * kept of it: who wants it may ask again. */
static bool defer(struct executor *x, const struct attempt_key *key)
{
    struct kill_switch k;
    const char *where = NULL;
    char text[KILL_SWITCH_TEXT_SIZE + 64];
    kill_switch_look_at(x->options.kill_switches, EXECUTOR_SWITCHES, &k,
                        &where);
    if (k.on) {
        (void)snprintf(text, sizeof(text), "the kill switch is on: %s",
                       k.text[0] != '\0' ? k.text : "nobody says why");
        struct exec_message m = {
            .kind = EXEC_DEFERRED,
            .deferred = {.key = *key, .error = str_c(text)}};
        (void)link_send(x, &m);
    }
    return k.on;
}

static void take_start(struct executor *x, const struct exec_message *m)
{
    struct run *r = find(x, &m->start.key);
    if (r != NULL) {
        rewind_run(r);
        attempts_pump_one(r);
    } else if (!id_eq(m->start.executor, x->id)) {
        answer_for(x, &m->start.key, m->start.executor);
    } else if (is_full(x)) {
        answer(x, &m->start.key, x->id, ATTEMPT_REFUSED,
               "too many outcomes wait for the engine to store them");
    } else if (find_hanging(x, &m->start.key) != NULL) {
        answer(x, &m->start.key, x->id, ATTEMPT_REFUSED,
               "processes of an earlier attempt have not ended");
    } else if (!defer(x, &m->start.key)) {
        r = attempts_new(x, &m->start.key);
        if (x->ending) {
            run_conclude(r, ATTEMPT_REFUSED, "the executor is being stopped");
        } else {
            run_start(r, m);
        }
    }
    executor_settle(x);
}

static void take_stop(struct executor *x, const struct exec_message *m)
{
    struct run *r = find(x, &m->stop.key);
    if (r == NULL && is_full(x)) {
        /* Not kept, but neither can a START of it succeed now. */
        answer(x, &m->stop.key, x->id, ATTEMPT_CANCELLED, STOPPED_EARLY);
        return;
    }
    if (r == NULL) {
        r = attempts_new(x, &m->stop.key);
        r->cancelled = true;
        run_conclude(r, ATTEMPT_CANCELLED, STOPPED_EARLY);
        return;
    }
    if (!r->attached) {
        rewind_run(r);
    }
    if (r->phase != RUN_ENDED) {
        /* What only tidies up after its main process has its outcome. */
        r->cancelled = r->cancelled || (!r->timed_out && !r->exited);
        run_stop(r, m->stop.kill, m->stop.grace_ms);
    }
    attempts_pump_one(r);
}

static void take_forget(struct executor *x, const struct exec_message *m)
{
    struct run *r = find(x, &m->forget.key);
    if (r == NULL || r->phase != RUN_ENDED) {
        return;
    }
    if (r->hangs) {
        r->forgotten = true;
        return;
    }
    attempts_drop(r);
}

void attempts_drop(struct run *r)
{
    struct executor *x = r->x;
    spool_forget(x, r);
    (void)map_remove(&x->runs, key_bytes(&r->key));
    run_free(r);
    executor_settle(x);
}

static void take_pin(struct executor *x, const struct exec_message *m)
{
    struct err err = ERR_INIT;
    struct exec_message pinned = {
        .kind = EXEC_PINNED,
        .pin = {.path = m->pin.path, .hash = m->pin.hash, .error = STR("")},
    };
    if (versions_pin(x, m->pin.path, &m->pin.hash, &err) < 0) {
        pinned.pin.error = str_c(err.message);
    }
    (void)link_send(x, &pinned);
}

void attempts_take(struct executor *x, const struct exec_message *m)
{
    switch (m->kind) {
    case EXEC_START:
        take_start(x, m);
        return;
    case EXEC_STOP:
        take_stop(x, m);
        return;
    case EXEC_FORGET:
        take_forget(x, m);
        return;
    case EXEC_PIN:
        take_pin(x, m);
        return;
    case EXEC_HELLO:
    case EXEC_WELCOME:
    case EXEC_STARTED:
    case EXEC_OUTPUT:
    case EXEC_ENDED:
    case EXEC_PINNED:
    case EXEC_DEFERRED:
    case EXEC_KINDS:
        return; /* link.c lets none of these through */
    }
}
