#include "app/cli_wait.h"

#include <string.h>
#include <time.h>

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
    {"EXIT", CLI_RIGHT}, {"ERROR", CLI_FLEX},
    {"TOOK", CLI_RIGHT}, {NULL, 0},
};

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
        cli_cell(&t, cli_get(cli, step, "name"));
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

static void show_change(struct cli *cli, json_t *w)
{
    if (cli->format == CLI_JSON || cli->format == CLI_JSONL) {
        cli_json_times(w);
        cli_print_json(cli, w);
    } else if (cli->format != CLI_NAME) {
        struct strbuf line = STRBUF_INIT(64 * 1024);
        const char *step = cli_get(cli, w, "current_step");
        const char *error = cli_get(cli, w, "error");
        cli_add_status(cli, &line, cli_get(cli, w, "status"));
        if (step[0] != '\0') {
            strbuf_addf(&line, "  %s", step);
        }
        if (error[0] != '\0') {
            strbuf_addf(&line, "  %s", error);
        }
        (void)fprintf(cli->out, "%s  %s\n", cli_get(cli, w, "id"),
                      strbuf_str(&line).at);
        strbuf_deinit(&line);
    }
    (void)fflush(cli->out);
}

/* `stopping`: the end was asked for, so no end is bad. */
static int finish(struct cli *cli, const json_t *w, int code, bool stopping)
{
    const char *id = cli_get(cli, w, "id");
    if (cli->format == CLI_TABLE || cli->format == CLI_WIDE) {
        cli_print_steps(cli, w);
    }
    if (stopping && code != CLI_PENDING) {
        return CLI_OK;
    }
    if (code == CLI_FAILED) {
        (void)cli_fail(cli, code, cli_text(cli, "adctl workflow logs %s", id),
                       "the workflow %s is %s", id, cli_get(cli, w, "status"));
    } else if (code == CLI_PENDING) {
        (void)cli_fail(cli, code, cli_text(cli, "adctl workflow show %s", id),
                       "the workflow %s is held: an operator must decide", id);
    }
    return code;
}

static int wait_until(struct cli *cli, const char *id, uint64_t deadline_ms,
                      bool stopping)
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
            show_change(cli, w);
            before = state;
            round = 0;
        }
        if (code >= 0) {
            return finish(cli, w, code, stopping);
        }
        if (os_monotonic_ms() >= deadline_ms) {
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
    return r == 0 ? wait_until(cli, id, os_monotonic_ms() + timeout, false) : r;
}

int cli_wait_stopped(struct cli *cli, const char *id)
{
    uint64_t timeout = 0;
    int r = cli_duration(cli, "timeout", WAIT_DEFAULT_MS, &timeout);
    return r == 0 ? wait_until(cli, id, os_monotonic_ms() + timeout, true) : r;
}

/* ---- what an event started ---------------------------------------------- */

static bool is_settled(const char *status)
{
    return status != NULL && strcmp(status, "queued") != 0 &&
           strcmp(status, "processing") != 0 && strcmp(status, "error") != 0;
}

static int wait_workflows(struct cli *cli, const json_t *event,
                          uint64_t deadline_ms)
{
    size_t i = 0;
    json_t *w = NULL;
    int worst = CLI_OK;
    json_array_foreach (json_object_get(event, "workflows"), i, w) {
        int r = wait_until(cli, cli_get(cli, w, "id"), deadline_ms, false);
        worst = worst == CLI_OK ? r : worst;
    }
    if (i == 0) {
        cli_note(cli, "the event is %s and started no workflow",
                 cli_get(cli, event, "status"));
    }
    return worst;
}

int cli_wait_event(struct cli *cli, const char *id)
{
    unsigned round = 0;
    uint64_t timeout = 0;
    int r = cli_duration(cli, "timeout", WAIT_DEFAULT_MS, &timeout);
    uint64_t deadline_ms = os_monotonic_ms() + timeout;
    while (r == 0) {
        json_auto_t *e = NULL;
        r = cli_fetch(cli, cli_text(cli, "/api/events/%s", id),
                      "adctl event list", &e);
        if (r == 0 && is_settled(cli_get_raw(e, "status"))) {
            return wait_workflows(cli, e, deadline_ms);
        }
        if (r == 0 && os_monotonic_ms() >= deadline_ms) {
            return cli_fail(
                cli, CLI_TIMEOUT, cli_text(cli, "adctl event show %s", id),
                "the event %s is still %s", id, cli_get(cli, e, "status"));
        }
        if (r == 0) {
            cli_pause(&round);
        }
    }
    return r;
}
