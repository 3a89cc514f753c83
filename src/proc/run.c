/*
 * The life of one attempt:
 *
 *   RUNNING ──exit──────────────> (tree empty?) ──yes──> ENDED
 *      │ time limit, STOP              │ no: leftovers
 *      ▼                               ▼
 *   STOPPING ──grace over──> KILLING ──tree empty──────> ENDED
 *
 * The attempt has ended when its main process has been reaped and nothing of
 * its tree is left, never before. What SIGKILL does not end is given up after a
 * while: its outcome is unknown, and it keeps its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/fd.h"
#include "proc/executor_priv.h"
#include "proc/run_plan_priv.h"
#include "proc/say.h"

#define LEFTOVER_GRACE_MS 2000
#define DRAIN_READS 256
#define POLL_FIRST_MS 1
#define POLL_MAX_MS 50
#define KILL_TOLD_MS 10000
#define POLL_TOLD_MS 1000
#define REFRESH_MS 1000
/* What was held and what has come, if each byte became a mark. */
#define REDACTED_MAX_BYTES                                                     \
    (sizeof(REDACT_MARK) * (REDACT_HELD_MAX_BYTES + EXEC_CHUNK_MAX_BYTES))

static int on_timer(sd_event_source *source, uint64_t usec, void *context);

/* ---- time --------------------------------------------------------------- */

/* Counted from now, not from when the loop woke up, which may have been a
 * spawned process ago; and one more, because the clock is cut to milliseconds:
 * nothing is ever ended early. */
static void set_timer(struct run *r, uint64_t in_ms)
{
    uint64_t at_us = (os_monotonic_ms() + in_ms + 1) * 1000;
    int e = 0;
    if (r->timer == NULL) {
        e = sd_event_add_time(r->x->event, &r->timer, CLOCK_MONOTONIC, at_us,
                              1000, on_timer, r);
    } else {
        e = sd_event_source_set_time(r->timer, at_us);
        e = e < 0 ? e : sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
    }
    ASSERT(e >= 0); /* a step without a time limit must not exist */
}

static uint64_t next_poll_ms(struct run *r)
{
    uint64_t in_ms = MIN((uint64_t)POLL_FIRST_MS << MIN(r->polls, 10U),
                         (uint64_t)POLL_MAX_MS);
    r->polls++;
    return in_ms;
}

/* While main lives, its end wakes us; afterwards nothing but the clock does. */
static void await_grace(struct run *r)
{
    uint64_t now = os_monotonic_ms();
    uint64_t left = r->kill_at_ms > now ? r->kill_at_ms - now : 0;
    set_timer(r, r->exited ? MIN(left, next_poll_ms(r)) : left);
}

/* TERM to all, KILL to whoever is left after the grace. Returns how many
 * processes there were. */
static uint32_t begin_to_stop(struct run *r, uint64_t grace_ms)
{
    r->phase = RUN_STOPPING;
    /* The clock is cut to milliseconds: one more, so never too early. */
    r->kill_at_ms = os_monotonic_ms() + grace_ms + 1;
    r->polls = 0;
    uint32_t count = tree_signal(&r->tree, SIGTERM);
    await_grace(r);
    return count;
}

/* ---- output ---------------------------------------------------------------
 */

/* Secrets are taken out before anything is kept or told. */
static void take_output(struct run *r, enum output_stream stream,
                        struct str data, bool last)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(REDACTED_MAX_BYTES);
    redact(&r->redactor, &r->redacted[stream], data, last, &text);
    ASSERT(strbuf_error(&text) == 0);
    told_add(r, stream, strbuf_str(&text));
    for (struct str rest = strbuf_str(&text); rest.len != 0;) {
        struct str piece = str_slice(rest, 0, EXEC_CHUNK_MAX_BYTES);
        output_add(&r->output, stream, os_epoch_ms(), piece);
        rest = str_slice(rest, piece.len, rest.len);
    }
}

/* Kept or not, it costs us time, and whoever reads it as much. */
static void check_amount(struct run *r)
{
    uint64_t most = r->limits.output_bytes;
    if (most != 0 && r->output.written_bytes > most &&
        r->phase == RUN_RUNNING) {
        r->wrote_too_much = true;
        run_stop(r, false, r->grace_ms);
    }
}

/* Returns whether there was something. */
static bool read_output(struct run *r, sd_event_source **source,
                        enum output_stream stream)
{
    if (*source == NULL) {
        return false;
    }
    char buffer[EXEC_CHUNK_MAX_BYTES];
    ssize_t n =
        read(sd_event_source_get_io_fd(*source), buffer, sizeof(buffer));
    if (n > 0) {
        take_output(r, stream, str_n(buffer, (size_t)n), false);
        check_amount(r);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        *source = sd_event_source_disable_unref(*source);
    }
    return n > 0;
}

static int on_output(sd_event_source *source, int fd, uint32_t events,
                     void *context)
{
    struct run *r = context;
    (void)fd;
    (void)events;
    if (source == r->out) {
        (void)read_output(r, &r->out, OUTPUT_STDOUT);
    } else {
        (void)read_output(r, &r->err, OUTPUT_STDERR);
    }
    attempts_pump_one(r);
    return 0;
}

/* What the pipes still hold when nobody of the step is left. Whoever was
 * handed an end of them and writes on is not waited for. */
static void drain(struct run *r)
{
    const struct {
        sd_event_source **source;
        enum output_stream stream;
    } pipes[] = {{&r->out, OUTPUT_STDOUT}, {&r->err, OUTPUT_STDERR}};
    for (size_t i = 0; i < ARRAY_LEN(pipes); i++) {
        int n = 0;
        while (n < DRAIN_READS &&
               read_output(r, pipes[i].source, pipes[i].stream)) {
            n++;
        }
        *pipes[i].source = sd_event_source_disable_unref(*pipes[i].source);
        take_output(r, pipes[i].stream, STR(""), true);
        redact_stream_deinit(&r->redacted[pipes[i].stream]);
    }
}

/* ---- the end ----------------------------------------------------------------
 */

static void set_error(struct run *r, const char *text)
{
    mem_free(r->error);
    r->error = str_dup(str_c(text));
    r->row.error = str_c(r->error);
}

/* Nothing of its tree is left. */
static void give_back(struct run *r, bool ran)
{
    struct executor *x = r->x;
    r->timer = sd_event_source_disable_unref(r->timer);
    if (r->has_tree) {
        tree_deinit(&r->tree);
        r->has_tree = false;
    }
    if (r->folder.fd >= 0) {
        folder_give_back(&x->folders, &r->folder);
    }
    if (ran) {
        x->running--;
    }
}

/* "exited with status 1" helps nobody at night; what the program said last, in
 * its own words and without secrets, most often does. */
static void quote_last_line(struct run *r)
{
    struct str line = output_last_line(&r->output);
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(8UL * OUTPUT_LAST_LINE_BYTES);
    if (r->error == NULL && line.len != 0) {
        strbuf_add_visible(&text, line);
        set_error(r, strbuf_str(&text).at);
    }
}

/* The row is final: gives back what the run held of the system, unless it
 * hangs. */
static void finish(struct run *r, enum attempt_state state)
{
    struct executor *x = r->x;
    struct err err = ERR_INIT;
    drain(r);
    redactor_deinit(&r->redactor);
    if (!told_end(r, state, &err)) {
        set_error(r, err.message);
        state = ATTEMPT_FAILED;
    }
    told_free(r);
    output_finish(&r->output, os_epoch_ms());
    attempts_count(r);
    if (state == ATTEMPT_FAILED) {
        quote_last_line(r);
    }
    if (state == ATTEMPT_SUCCEEDED && r->last_step) {
        bindings_end(x, r->key.workflow_id);
    }
    r->row.state = state;
    r->row.finished_ms = os_epoch_ms();
    r->row.output_bytes = r->output.written_bytes;
    r->row.output_truncated = r->output.dropped_bytes != 0;
    bool ran = r->phase != RUN_ENDED;
    r->phase = RUN_ENDED;
    if (r->hangs) {
        x->hanging++;
    } else {
        give_back(r, ran);
    }
    attempts_pump_one(r);
    executor_settle(x);
}

/* A limit that has ended the step is its error. */
static void name_limit(struct run *r)
{
    const struct step_end end = {
        .exit_code = r->row.exit_code,
        .signal = r->row.term_signal,
        .cpu_ms = r->cpu_ms,
        .wrote_too_much = r->wrote_too_much,
    };
    char text[STEP_LIMIT_TEXT_SIZE];
    if (step_limit_hit(&r->limits, &end, text)) {
        set_error(r, text);
    }
}

static enum attempt_state final_state(struct run *r)
{
    if (r->timed_out) {
        return ATTEMPT_TIMED_OUT;
    }
    if (r->cancelled) {
        return ATTEMPT_CANCELLED;
    }
    if (r->interrupted) {
        /* What it makes of our TERM is not its outcome. */
        set_error(r, "the executor was stopped while the step ran");
        return ATTEMPT_UNKNOWN;
    }
    if (r->row.exit_code == 0 && r->row.term_signal == 0 &&
        !r->wrote_too_much) {
        return ATTEMPT_SUCCEEDED;
    }
    name_limit(r);
    return ATTEMPT_FAILED;
}

static void kill_tree(struct run *r)
{
    uint32_t count = tree_signal(&r->tree, SIGKILL);
    if (r->phase == RUN_STOPPING) {
        r->row.survivors = MAX(r->row.survivors, count);
    }
    r->phase = RUN_KILLING;
    r->killed_ms = os_monotonic_ms();
    r->polls = 0;
    set_timer(r, next_poll_ms(r));
}

/* True when it ended here. */
static bool end_if_empty(struct run *r)
{
    if (!r->exited || !tree_is_empty(&r->tree)) {
        return false;
    }
    finish(r, final_state(r));
    return true;
}

/* What KILL does not end is not waited for without end: what becomes of the
 * attempt is for a person. It keeps its place, and is looked at now and then,
 * because its processes do. */
static void give_up(struct run *r, uint32_t count)
{
    char text[160];
    struct err err = ERR_INIT;
    if (guard_doubt(r->x, &err) < 0) {
        executor_say(LOG_ERR, "%s", err.message);
    }
    (void)snprintf(text, sizeof(text),
                   "%" PRIu32 " of its processes do not end after SIGKILL: "
                   "they hang in the kernel; see ps -eo pid,stat,wchan,args",
                   count);
    set_error(r, text);
    r->hangs = true;
    r->row.maybe_alive = true;
    r->row.survivors = MAX(r->row.survivors, count);
    set_timer(r, POLL_TOLD_MS);
    finish(r, ATTEMPT_UNKNOWN);
}

static void look_at_hanging(struct run *r)
{
    struct executor *x = r->x;
    if (!r->exited || !tree_is_empty(&r->tree)) {
        (void)tree_signal(&r->tree, SIGKILL);
        set_timer(r, POLL_TOLD_MS);
        return;
    }
    executor_say(LOG_NOTICE, "all processes of %s have ended", r->name);
    r->hangs = false;
    x->hanging--;
    give_back(r, true);
    if (r->forgotten) {
        attempts_drop(r);
    } else {
        executor_settle(x);
    }
}

static uint64_t hang_ms(const struct executor *x)
{
    return x->options.hang_ms != 0 ? x->options.hang_ms : EXECUTOR_HANG_MS;
}

/* What was being forked, or has joined since. */
static void kill_again(struct run *r)
{
    uint32_t count = tree_signal(&r->tree, SIGKILL);
    uint64_t since_ms = os_monotonic_ms() - r->killed_ms;
    if (since_ms >= hang_ms(r->x)) {
        give_up(r, count);
        return;
    }
    if (!r->told && since_ms >= KILL_TOLD_MS) {
        r->told = true;
        executor_say(LOG_ERR,
                     "%" PRIu32 " processes of %s have not ended "
                     "%d s after SIGKILL; the step waits for them",
                     count, r->name, KILL_TOLD_MS / 1000);
    }
    set_timer(r, r->told ? POLL_TOLD_MS : next_poll_ms(r));
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct run *r = context;
    (void)source;
    (void)usec;
    switch (r->phase) {
    case RUN_RUNNING:
        r->timed_out = true;
        run_stop(r, false, r->grace_ms);
        break;
    case RUN_STOPPING:
        if (end_if_empty(r)) {
            break;
        }
        if (os_monotonic_ms() >= r->kill_at_ms) {
            kill_tree(r);
        } else {
            await_grace(r);
        }
        break;
    case RUN_KILLING:
        if (!end_if_empty(r)) {
            kill_again(r);
        }
        break;
    case RUN_ENDED:
        look_at_hanging(r);
        break;
    }
    return 0;
}

void run_stop(struct run *r, bool kill, uint64_t grace_ms)
{
    if (r->phase == RUN_ENDED || r->phase == RUN_KILLING) {
        return;
    }
    if (kill) {
        kill_tree(r);
        return;
    }
    if (r->phase == RUN_STOPPING) {
        return;
    }
    (void)begin_to_stop(r, grace_ms);
}

static uint64_t milliseconds(const struct timeval *t)
{
    return (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000;
}

void run_exited(struct run *r, const siginfo_t *info,
                const struct rusage *usage)
{
    r->exited = true;
    r->cpu_ms = milliseconds(&usage->ru_utime) + milliseconds(&usage->ru_stime);
    r->tree.main = 0;
    if (r->hangs) {
        set_timer(r, 0);
        return;
    }
    if (info->si_code == CLD_EXITED) {
        r->row.exit_code = info->si_status;
    } else {
        r->row.exit_code = -1;
        r->row.term_signal = info->si_status;
    }
    if (end_if_empty(r)) {
        return;
    }
    /* A step that is over leaves nothing behind. */
    if (r->phase == RUN_RUNNING) {
        uint64_t grace_ms = MIN(r->grace_ms, (uint64_t)LEFTOVER_GRACE_MS);
        r->row.survivors = begin_to_stop(r, grace_ms);
    } else {
        r->polls = 0;
        set_timer(r, next_poll_ms(r));
    }
}

void run_conclude(struct run *r, enum attempt_state state, const char *error)
{
    if (error != NULL) {
        set_error(r, error);
    }
    finish(r, state);
}

void run_free(struct run *r)
{
    ASSERT(r->phase == RUN_ENDED);
    r->timer = sd_event_source_disable_unref(r->timer);
    if (r->has_tree) {
        list_remove(&r->tree.node); /* hangs: nothing of it is used again */
        os_close(r->tree.group);
        os_close(r->folder.fd);
    }
    r->x->kept_bytes -= r->kept_bytes;
    output_deinit(&r->output);
    mem_free(r->error);
    mem_free(r->outputs);
    mem_free(r);
}

/* ---- the start
 * ---------------------------------------------------------------- */

static int watch_output(struct run *r, const struct spawned *spawned)
{
    const struct {
        sd_event_source **source;
        int fd;
    } pipes[] = {{&r->out, spawned->out}, {&r->err, spawned->err}};
    int result = 0;
    for (size_t i = 0; i < ARRAY_LEN(pipes); i++) {
        int e = sd_event_add_io(r->x->event, pipes[i].source, pipes[i].fd,
                                EPOLLIN, on_output, r);
        if (e < 0) {
            os_close(pipes[i].fd);
            result = e;
            continue;
        }
        e = sd_event_source_set_io_fd_own(*pipes[i].source, true);
        ASSERT(e >= 0);
    }
    return result;
}

/* An empty group of ours is anybody's to remove, who may write there: one more
 * try, in a new one. */
static int spawn(struct run *r, struct spawn_request *request,
                 struct spawned *ret, struct err *reterr)
{
    request->group = r->tree.group;
    int e = spawn_start(request, ret, reterr);
    if (request->group >= 0 && e == -ENODEV && tree_replace_group(&r->tree)) {
        request->group = r->tree.group;
        e = spawn_start(request, ret, reterr);
    }
    return e;
}

static int begin(struct run *r, struct run_plan *p,
                 const struct exec_message *m, struct err *reterr)
{
    struct executor *x = r->x;
    ASSERT(p->runbook != NULL);
    const struct step *step = &p->runbook->steps[r->key.step_no];
    tree_init(&r->tree, &x->groups, r->mark);
    r->has_tree = true;
    int e = r->tree.group < 0 ? guard_doubt(x, reterr) : 0;
    if (e < 0) {
        return e;
    }
    struct spawn_request request = {
        .argv = p->step.argv,
        .env = p->env,
        .folder = r->folder.fd,
        .user = p->as.has_user ? &p->as.user : NULL,
        .limits = x->options.limits,
    };
    struct spawned spawned;
    e = spawn(r, &request, &spawned, reterr);
    if (e < 0) {
        return e;
    }
    r->limits = x->options.limits;
    tree_started(&r->tree, spawned.pid);
    r->row.pid = (uint32_t)spawned.pid;
    r->row.started_ms = os_epoch_ms();
    r->row.state = ATTEMPT_RUNNING;
    r->grace_ms = m->start.grace_ms;
    r->phase = RUN_RUNNING;
    x->running++;
    uint64_t limit_ms = step->timeout_ms;
    if (m->start.timeout_ms != 0) {
        limit_ms = MIN(limit_ms, m->start.timeout_ms);
    }
    set_timer(r, limit_ms);
    if (watch_output(r, &spawned) < 0) {
        set_error(r, "its output could not be watched");
    }
    return 0;
}

/* The configuration may have changed since the engine connected: it is read
 * again before a step is refused, but not for each of many. */
static bool has_place(struct executor *x)
{
    uint64_t now_ms = os_monotonic_ms();
    if (x->running >= x->options.max_running &&
        now_ms - x->refreshed_ms >= REFRESH_MS) {
        x->refreshed_ms = now_ms;
        link_refresh_options(x);
    }
    return x->running < x->options.max_running;
}

void run_start(struct run *r, const struct exec_message *m)
{
    struct err err = ERR_INIT;
    struct run_plan plan = {0};
    int e = 0;
    if (!has_place(r->x)) {
        e = err_set(&err, -EAGAIN,
                    "the executor runs %u steps already%s "
                    "(executor.max_running)",
                    r->x->running,
                    r->x->hanging != 0 ? ", some of which do not end" : "");
    } else {
        e = run_plan_make(r, m, &plan, &err);
    }
    if (e == 0) {
        told_begin(r, plan.runbook);
    }
    e = e < 0 ? e : begin(r, &plan, m, &err);
    run_plan_deinit(&plan);
    if (e < 0) {
        run_conclude(r, ATTEMPT_REFUSED, err.message);
    } else {
        attempts_pump_one(r);
    }
}
