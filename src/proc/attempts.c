/*
 * What the engine asks about attempts, and telling it what became of them.
 * Everything is idempotent by the attempt's key.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"
#include "proc/executor_priv.h"

static struct str key_bytes(const struct attempt_key *key)
{
    return str_n((const char *)key, sizeof(*key));
}

_Static_assert(sizeof(struct attempt_key) == 24,
               "the key of the table has no padding");

struct run *attempts_new(struct executor *x, const struct attempt_key *key)
{
    struct run *r = MEM_NEW(struct run);
    char id[ID_TEXT_SIZE];
    r->x = x;
    r->key = *key;
    r->phase = RUN_ENDED; /* nothing runs yet */
    r->report = -1;
    r->attached = true;
    r->row = (struct attempt_row){.key = *key,
                                  .state = ATTEMPT_STARTING,
                                  .executor = x->id,
                                  .exit_code = -1,
                                  .error = STR("")};
    id_format(key->workflow_id, ID_PREFIX_WORKFLOW, id);
    (void)snprintf(r->name, sizeof(r->name), "%s.%u.%u", id, key->step_no,
                   key->attempt);
    (void)snprintf(r->mark, sizeof(r->mark), "ADP_ATTEMPT_ID=%s", r->name);
    output_init(&r->output, x->options.output_keep_bytes);
    ASSERT(map_put(&x->runs, key_bytes(&r->key), r) == NULL);
    return r;
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
        if (r->phase != RUN_ENDED && !r->exited && r->tree.main == pid) {
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

/* An attempt that was decided for another life of ours, and of which nothing
 * was kept: nobody knows what it did. */
static void answer_unknown(struct executor *x, const struct exec_message *m)
{
    struct exec_message answer = {
        .kind = EXEC_ENDED,
        .ended = {.key = m->start.key,
                  .state = ATTEMPT_UNKNOWN,
                  .executor = m->start.executor,
                  .finished_ms = os_epoch_ms(),
                  .exit_code = -1,
                  .error = STR("the executor that was asked for it is gone")},
    };
    (void)link_send(x, &answer);
}

static void take_start(struct executor *x, const struct exec_message *m)
{
    struct run *r = find(x, &m->start.key);
    if (r != NULL) {
        rewind_run(r);
        attempts_pump_one(r);
    } else if (!id_eq(m->start.executor, x->id)) {
        answer_unknown(x, m);
    } else {
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
    if (r == NULL) {
        r = attempts_new(x, &m->stop.key);
        r->cancelled = true;
        run_conclude(r, ATTEMPT_CANCELLED, "it was stopped before it began");
        return;
    }
    if (!r->attached) {
        rewind_run(r);
    }
    if (r->phase != RUN_ENDED) {
        r->cancelled = r->cancelled || !r->timed_out;
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
    spool_forget(x, r);
    (void)map_remove(&x->runs, key_bytes(&r->key));
    run_free(r);
    executor_settle(x);
}

static void take_pin(struct executor *x, const struct exec_message *m)
{
    struct err err = ERR_INIT;
    struct exec_message answer = {
        .kind = EXEC_PINNED,
        .pin = {.path = m->pin.path, .hash = m->pin.hash, .error = STR("")},
    };
    if (versions_pin(x, m->pin.path, &m->pin.hash, &err) < 0) {
        answer.pin.error = str_c(err.message);
    }
    (void)link_send(x, &answer);
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
    case EXEC_KINDS:
        return; /* link.c lets none of these through */
    }
}
