#include "app/cli_wait.h"

#include <string.h>
#include <time.h>

#include "app/cli_busy.h"
#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "os/clock.h"

#define WAIT_DEFAULT_MS (10ULL * 60 * 1000)

void cli_pause(unsigned *round)
{
    static const long pauses_ms[] = {20, 50, 100, 200, 500, 1000};
    long ms = pauses_ms[MIN(*round, ARRAY_LEN(pauses_ms) - 1)];
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (*round)++;
    (void)nanosleep(&t, NULL);
}

/* ---- one workflow ------------------------------------------------------- */

static const struct cli_column step_columns[] = {
    {"STEP", CLI_RIGHT}, {"STATUS", CLI_STATUS},
    {"NAME", CLI_FLEX},  {"ATTEMPTS", CLI_RIGHT},
    {"EXIT", CLI_RIGHT}, {"ERROR", CLI_BELOW},
    {"TOOK", CLI_RIGHT}, {NULL, 0},
};

const char *cli_step_name(struct cli *cli, const json_t *step)
{
    const char *name = cli_get(cli, step, "name");
    const char *section = cli_get(cli, step, "section");
    return section[0] == '\0' || strcmp(section, "steps") == 0
               ? name
               : cli_text(cli, "%s (%s)", name, section);
}

void cli_print_steps(struct cli *cli, const json_t *workflow)
{
    struct cli_table t;
    size_t i = 0;
    json_t *step = NULL;
    cli_table_init(&t, cli, step_columns);
    json_array_foreach (json_object_get(workflow, "steps"), i, step) {
        const json_t *tries = json_object_get(step, "attempts");
        size_t count = json_array_size(tries);
        const json_t *last =
            count != 0 ? json_array_get(tries, count - 1) : NULL;
        const char *signal = cli_get(cli, last, "signal");
        cli_cell(&t, cli_text(cli, "%zu", i + 1));
        cli_cell(&t, cli_get(cli, step, "status"));
        cli_cell(&t, cli_step_name(cli, step));
        cli_cell(&t, cli_text(cli, "%zu", count));
        cli_cell(&t, signal[0] != '\0' ? cli_text(cli, "SIG%s", signal)
                                       : cli_get(cli, last, "exit_code"));
        cli_cell(&t, cli_get(cli, last, "error"));
        cli_cell(&t, cli_seconds(cli, last, "duration_seconds"));
    }
    cli_table_print(&t);
}

static const struct {
    const char *status;
    int code;
} ends[] = {
    {"succeeded", CLI_OK},  {"failed", CLI_FAILED}, {"cancelled", CLI_FAILED},
    {"killed", CLI_FAILED}, {"held", CLI_PENDING},
};

/* The exit status of a workflow that has ended (or waits for a person), or
 * -1 while it runs. */
static int result_of(const json_t *workflow)
{
    const char *status = cli_get_raw(workflow, "status");
    for (size_t i = 0; status != NULL && i < ARRAY_LEN(ends); i++) {
        if (strcmp(ends[i].status, status) == 0) {
            return ends[i].code;
        }
    }
    return -1;
}

/* What a person would call a change: status and step. */
static const char *state_of(struct cli *cli, const json_t *w)
{
    return cli_text(cli, "%s|%s", cli_get(cli, w, "status"),
                    cli_get(cli, w, "current_step"));
}

/* One line, which a terminal need not wrap. */
static void print_change(struct cli *cli, const json_t *w)
{
    CLEANUP(strbuf_deinit) struct strbuf line = STRBUF_INIT(64 * 1024);
    const char *id = cli_get(cli, w, "id");
    const char *status = cli_get(cli, w, "status");
    const char *step = cli_get(cli, w, "current_step");
    const char *error = cli_get(cli, w, "error");
    const char *more = cli_text(cli, "%s%s%s%s", step[0] != '\0' ? "  " : "",
                                step, error[0] != '\0' ? "  " : "", error);
    size_t used = strlen(id) + 2 + strlen(status) + 2;
    strbuf_addf(&line, "%s  ", id);
    cli_add_status(cli, &line, status);
    if (!cli->terminal.tty || cli->terminal.columns <= used) {
        strbuf_addc(&line, more);
    } else {
        (void)cli_add_cut(cli, &line, str_c(more),
                          cli->terminal.columns - used);
    }
    (void)fprintf(cli->out, "%s\n", strbuf_str(&line).at);
}

/* -o json gives one document, at the end; -o jsonl a line for each change. */
static void show_change(struct cli *cli, json_t *w)
{
    if (cli->format == CLI_JSONL) {
        cli_json_times(w);
        cli_print_json(cli, w);
    } else if (cli->format == CLI_TABLE || cli->format == CLI_WIDE) {
        print_change(cli, w);
    }
    (void)fflush(cli->out);
}

enum waiting {
    WAITING_END,  /* of a workflow: its end is the result */
    WAITING_STOP, /* the end was asked for, so no end is bad */
    WAITING_PART  /* one of an event's: the event is the document */
};

static void print_document(struct cli *cli, json_t *w, enum waiting waiting)
{
    if (cli->format == CLI_JSON && waiting != WAITING_PART) {
        cli_json_times(w);
        cli_print_json(cli, w);
    }
}

/* One that failed before its first step has no output to be read. */
static const char *next_of_failed(struct cli *cli, const json_t *w)
{
    const char *id = cli_get(cli, w, "id");
    return json_is_null(json_object_get(w, "started_at"))
               ? cli_text(cli, "adctl explain workflow %s", id)
               : cli_text(cli, "adctl workflow logs %s", id);
}

static int finish(struct cli *cli, json_t *w, int code, enum waiting waiting)
{
    const char *id = cli_get(cli, w, "id");
    print_document(cli, w, waiting);
    if (cli->format == CLI_TABLE || cli->format == CLI_WIDE) {
        cli_print_steps(cli, w);
    }
    if (waiting == WAITING_STOP && code != CLI_PENDING) {
        return CLI_OK;
    }
    if (code == CLI_FAILED) {
        (void)cli_fail(cli, code, next_of_failed(cli, w),
                       strcmp(cli_get(cli, w, "status"), "failed") == 0
                           ? "the workflow %s has %s"
                           : "the workflow %s was %s",
                       id, cli_get(cli, w, "status"));
    } else if (code == CLI_PENDING) {
        (void)cli_fail(cli, code, cli_text(cli, "adctl workflow show %s", id),
                       "the workflow %s is held: an operator must decide", id);
    }
    return code;
}

static const char *waiting_text(struct cli *cli, const json_t *w)
{
    const char *step = cli_get(cli, w, "current_step");
    return step[0] != '\0'
               ? cli_text(cli, "waiting for the end of the step \"%s\"", step)
               : "waiting for the workflow";
}

static int wait_until(struct cli *cli, const char *id, uint64_t deadline_ms,
                      enum waiting waiting)
{
    unsigned round = 0;
    const char *before = "";
    for (;;) {
        json_auto_t *w = NULL;
        int r = cli_fetch(cli, cli_text(cli, "/api/workflows/%s", id),
                          "adctl workflow list", &w);
        if (r != 0) {
            return r;
        }
        const char *state = state_of(cli, w);
        int code = result_of(w);
        if (strcmp(state, before) != 0) {
            cli_busy(cli, NULL);
            show_change(cli, w);
            cli_busy(cli, waiting_text(cli, w));
            before = state;
            round = 0;
        }
        if (code >= 0) {
            cli_busy(cli, NULL);
            return finish(cli, w, code, waiting);
        }
        if (os_monotonic_ms() >= deadline_ms) {
            cli_busy(cli, NULL);
            print_document(cli, w, waiting);
            return cli_fail(cli, CLI_TIMEOUT,
                            cli_text(cli, "adctl workflow show %s", id),
                            "the workflow %s has not ended in time; it goes "
                            "on",
                            id);
        }
        cli_pause(&round);
    }
}

int cli_wait_workflow(struct cli *cli, const char *id)
{
    uint64_t timeout = 0;
    int r = cli_duration(cli, "timeout", WAIT_DEFAULT_MS, &timeout);
    return r == 0
               ? wait_until(cli, id, os_monotonic_ms() + timeout, WAITING_END)
               : r;
}

int cli_wait_stopped(struct cli *cli, const char *id)
{
    uint64_t timeout = 0;
    int r = cli_duration(cli, "timeout", WAIT_DEFAULT_MS, &timeout);
    return r == 0
               ? wait_until(cli, id, os_monotonic_ms() + timeout, WAITING_STOP)
               : r;
}

/* ---- what an event started ---------------------------------------------- */

static bool is_settled(const char *status)
{
    return status != NULL && strcmp(status, "queued") != 0 &&
           strcmp(status, "processing") != 0 && strcmp(status, "error") != 0;
}

/* Why the event started nothing, as far as it says. */
static void tell_nothing_started(struct cli *cli, const json_t *event)
{
    const char *error = cli_get(cli, event, "error");
    const char *status = cli_get(cli, event, "status");
    const char *id = cli_get(cli, event, "id");
    if (error[0] != '\0') {
        cli_note(cli, "the event is %s and started no workflow: %s", status,
                 error);
    } else if (strcmp(status, "processed") == 0) {
        cli_note(cli,
                 "the event started no workflow: no runbook in force has "
                 "a trigger for it; see: adctl explain event %s",
                 id);
    } else {
        cli_note(cli, "the event is %s and started no workflow", status);
    }
}

static int wait_workflows(struct cli *cli, const json_t *event,
                          uint64_t deadline_ms)
{
    size_t i = 0;
    json_t *w = NULL;
    int worst = CLI_OK;
    json_array_foreach (json_object_get(event, "workflows"), i, w) {
        int r =
            wait_until(cli, cli_get(cli, w, "id"), deadline_ms, WAITING_PART);
        worst = worst == CLI_OK ? r : worst;
    }
    if (i == 0) {
        tell_nothing_started(cli, event);
    }
    return worst;
}

/* The event as it is now, with its workflows: the document of -o json. */
static void print_event(struct cli *cli, const char *path)
{
    json_auto_t *e = NULL;
    if (cli->format == CLI_JSON &&
        cli_fetch(cli, path, "adctl event list", &e) == 0) {
        cli_json_times(e);
        cli_print_json(cli, e);
    }
}

static bool is_paused(struct cli *cli)
{
    struct cli_answer a;
    cli_send(cli, &(struct cli_request){.method = "GET", .path = "/api/health"},
             &a);
    const json_t *queue =
        json_object_get(json_object_get(a.body, "checks"), "queue");
    bool paused = json_is_true(json_object_get(queue, "paused"));
    cli_answer_deinit(&a);
    return paused;
}

static int event_timeout(struct cli *cli, const char *id, const char *status)
{
    bool paused = is_paused(cli);
    return cli_fail(cli, CLI_TIMEOUT,
                    paused ? "adctl queue resume"
                           : cli_text(cli, "adctl event show %s", id),
                    "the event %s is still %s%s", id, status,
                    paused ? ": event processing is paused" : "");
}

/* Waits until the event is out of the queue; *ret is its answer then. */
static int wait_settled(struct cli *cli, const char *path, const char *id,
                        uint64_t deadline_ms, json_t **ret)
{
    enum { ROUND_OF_DOUBT = 4 }; /* by then it should have been taken */
    cli_busy(cli, "waiting for the event to be processed");
    for (unsigned round = 0;;) {
        json_auto_t *e = NULL;
        int r = cli_fetch(cli, path, "adctl event list", &e);
        if (r != 0) {
            return r;
        }
        if (is_settled(cli_get_raw(e, "status"))) {
            cli_busy(cli, NULL);
            *ret = json_incref(e);
            return 0;
        }
        if (os_monotonic_ms() >= deadline_ms) {
            return event_timeout(cli, id, cli_get(cli, e, "status"));
        }
        if (round == ROUND_OF_DOUBT && is_paused(cli)) {
            cli_note(cli, "event processing is paused: the event waits until "
                          "somebody runs: adctl queue resume");
            cli_busy(cli, "waiting for event processing to be resumed");
        }
        cli_pause(&round);
    }
}

int cli_wait_event(struct cli *cli, const char *id)
{
    json_auto_t *event = NULL;
    uint64_t timeout = 0;
    const char *path = cli_text(cli, "/api/events/%s", id);
    int r = cli_duration(cli, "timeout", WAIT_DEFAULT_MS, &timeout);
    uint64_t deadline_ms = os_monotonic_ms() + timeout;
    r = r == 0 ? wait_settled(cli, path, id, deadline_ms, &event) : r;
    r = r == 0 ? wait_workflows(cli, event, deadline_ms) : r;
    print_event(cli, path);
    return r;
}
