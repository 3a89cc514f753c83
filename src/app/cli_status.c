/*
 * adctl status: what the engine says of itself, in a few lines.
 */
#include <string.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

struct status {
    struct cli *cli;
    const json_t *health;
    const json_t *metrics; /* NULL: they could not be had */
    bool waits;            /* something waits for a person */
};

static const json_t *check_of(const struct status *s, const char *name)
{
    return json_object_get(json_object_get(s->health, "checks"), name);
}

/* "name          ✓ ok  text" */
static void print_word(const struct status *s, const char *name,
                       const char *word, const char *text)
{
    struct strbuf line = STRBUF_INIT(64 * 1024);
    cli_add_status(s->cli, &line, word);
    (void)fprintf(s->cli->out, "%-14s%s%s%s\n", name, strbuf_str(&line).at,
                  text[0] != '\0' ? "  " : "", text);
    strbuf_deinit(&line);
}

static void print_line(const struct status *s, const char *name, bool ok,
                       const char *text)
{
    print_word(s, name, ok ? "ok" : "failed", text);
}

/* What to do, below its line. */
static void print_next(const struct status *s, const char *next)
{
    if (next[0] != '\0') {
        (void)fprintf(s->cli->out, "%-14stry: %s\n", "", next);
    }
}

/* One that was restored takes events, but what it lost must be known. */
static void print_store(const struct status *s)
{
    const json_t *store = check_of(s, "store");
    const json_t *disk = check_of(s, "disk");
    const json_t *restored = json_object_get(store, "restored");
    if (json_is_object(restored)) {
        print_word(s, "store", "warning",
                   cli_text(s->cli, "restored from %s",
                            cli_get(s->cli, restored, "backup")));
        (void)fprintf(s->cli->out, "%-14sthen: adctl backup acknowledge\n", "");
    } else if (json_is_false(json_object_get(disk, "ok"))) {
        print_line(s, "store", false, cli_get(s->cli, disk, "error"));
    } else {
        print_line(s, "store", json_is_true(json_object_get(store, "ok")),
                   cli_get(s->cli, store, "error"));
    }
}

static void print_executor(const struct status *s)
{
    const json_t *executor = check_of(s, "executor");
    print_line(s, "executor", json_is_true(json_object_get(executor, "ok")),
               cli_get(s->cli, executor, "error"));
}

static void print_queue(const struct status *s)
{
    struct cli *cli = s->cli;
    const json_t *queue = check_of(s, "queue");
    const char *depth = cli_text(
        cli, "%s of at most %s events wait%s", cli_get(cli, queue, "depth"),
        cli_get(cli, queue, "limit"),
        cli_get_number(queue, "depth") >= cli_get_number(queue, "limit")
            ? ": new ones are refused"
            : "");
    if (json_is_true(json_object_get(queue, "paused"))) {
        print_word(s, "queue", "paused",
                   cli_text(cli, "by %s; %s", cli_who(cli, queue, "paused_by"),
                            depth));
        (void)fprintf(cli->out,
                      "%-14snothing starts until: adctl queue "
                      "resume\n",
                      "");
    } else {
        print_line(s, "queue", json_is_true(json_object_get(queue, "ok")),
                   depth);
    }
}

/* Said only when something is wrong. */
static void print_backup(const struct status *s)
{
    struct cli *cli = s->cli;
    const json_t *backup = check_of(s, "backup");
    const json_t *age = json_object_get(backup, "age_seconds");
    if (backup == NULL || json_is_true(json_object_get(backup, "ok"))) {
        return;
    }
    print_word(s, "backups", "warning",
               json_is_number(age)
                   ? cli_text(cli, "the newest was made %s ago",
                              cli_span(cli, json_number_value(age)))
                   : "there is none");
    print_next(s, cli_get(cli, backup, "hint"));
}

/* "5 in force, 1 rejected, 1 disabled, 1 refused by the executor" */
static void print_runbooks(const struct status *s)
{
    struct cli *cli = s->cli;
    const json_t *runbooks = check_of(s, "runbooks");
    double disabled = cli_get_number(runbooks, "disabled");
    double refused = cli_get_number(runbooks, "refused");
    const char *text = cli_text(
        cli, "%.0f in force, %s rejected%s%s",
        cli_get_number(runbooks, "loaded") - disabled,
        cli_get(cli, runbooks, "rejected"),
        disabled > 0 ? cli_text(cli, ", %.0f disabled", disabled) : "",
        refused > 0 ? cli_text(cli, ", %.0f refused by the executor", refused)
                    : "");
    print_line(s, "runbooks", json_is_true(json_object_get(runbooks, "ok")),
               text);
    if (cli_get_number(runbooks, "rejected") + disabled + refused > 0) {
        print_next(s, "adctl runbook list");
    }
    if (json_is_true(json_object_get(runbooks, "stale"))) {
        (void)fprintf(cli->out, "%-14s%s\n", "",
                      cli_get(cli, runbooks, "error"));
        print_next(s, cli_get(cli, runbooks, "hint"));
    }
}

/* Nothing of partners that nobody uses. */
static void print_integrations(const struct status *s)
{
    struct cli *cli = s->cli;
    const json_t *partners = check_of(s, "integrations");
    const char *warning = cli_get(cli, partners, "warning");
    double used = cli_get_number(partners, "used");
    if (warning[0] != '\0') {
        print_word(s, "integrations", "warning", warning);
        print_next(s, cli_get(cli, partners, "hint"));
    } else if (used > 0) {
        print_line(s, "integrations", true, cli_text(cli, "%.0f in use", used));
    }
}

/* Any other check: said only when there is something to say. */
static void print_other(const struct status *s, const char *name,
                        const json_t *check)
{
    struct cli *cli = s->cli;
    const char *warning = cli_get(cli, check, "warning");
    if (!json_is_true(json_object_get(check, "ok"))) {
        print_word(s, name, "failed", cli_get(cli, check, "error"));
    } else if (warning[0] != '\0') {
        print_word(s, name, "warning", warning);
    } else {
        return;
    }
    print_next(s, cli_get(cli, check, "hint"));
}

/* Those that are always said, or in words of their own. */
static const struct {
    const char *name;
    void (*print)(const struct status *s);
} rows[] = {
    {"store", print_store},       {"executor", print_executor},
    {"runbooks", print_runbooks}, {"queue", print_queue},
    {"backup", print_backup},     {"integrations", print_integrations},
};

static bool has_row(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void print_checks(const struct status *s)
{
    const char *name = NULL;
    json_t *check = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rows[i].print(s);
    }
    json_object_foreach (json_object_get(s->health, "checks"), name, check) {
        if (!has_row(name)) {
            print_other(s, name, check);
        }
    }
}

/* What waits for a person; nothing is said when there is nothing. */
static const struct {
    const char *ledger, *word, *one, *next;
} people[] = {
    {"workflows", "held", "workflow", "adctl workflow list --status held"},
    {"events", "poison", "event", "adctl event list --status poison"},
};

static double waiting(const struct status *s, size_t i)
{
    const json_t *ledger = json_object_get(s->metrics, "ledger");
    return cli_get_number(json_object_get(ledger, people[i].ledger),
                          people[i].word);
}

static void find_waiting(struct status *s)
{
    const char *name = NULL;
    json_t *check = NULL;
    s->waits = cli_get_number(check_of(s, "runbooks"), "disabled") > 0;
    json_object_foreach (json_object_get(s->health, "checks"), name, check) {
        s->waits = s->waits || cli_get_raw(check, "warning") != NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(people); i++) {
        s->waits = s->waits || waiting(s, i) > 0;
    }
}

static void print_people(const struct status *s)
{
    for (size_t i = 0; i < ARRAY_LEN(people); i++) {
        if (waiting(s, i) > 0) {
            print_word(s, "decisions", "warning",
                       cli_text(s->cli, "%s %s; see: %s",
                                cli_count(s->cli, waiting(s, i), people[i].one),
                                people[i].word, people[i].next));
        }
    }
}

/* "2 running, 5 succeeded": the words of a ledger that are not 0. */
static const char *counts(struct cli *cli, json_t *ledger)
{
    struct strbuf text = STRBUF_INIT(4096);
    const char *word = NULL;
    json_t *count = NULL;
    json_object_foreach (ledger, word, count) {
        if (json_number_value(count) > 0) {
            strbuf_addf(&text, "%s%.0f %s", text.len != 0 ? ", " : "",
                        json_number_value(count), word);
        }
    }
    const char *copy =
        cli_text(cli, "%s", text.len != 0 ? text.at : "none so far");
    strbuf_deinit(&text);
    return copy;
}

static void print_numbers(const struct status *s)
{
    struct cli *cli = s->cli;
    const json_t *ledger = json_object_get(s->metrics, "ledger");
    if (s->metrics == NULL) {
        return;
    }
    cli_print_field(cli, "events",
                    counts(cli, json_object_get(ledger, "events")));
    cli_print_field(cli, "workflows",
                    counts(cli, json_object_get(ledger, "workflows")));
    cli_print_field(cli, "last minute",
                    cli_text(cli, "%.0f events",
                             cli_get_number(s->metrics, "events_per_minute")));
    const json_t *ended = json_object_get(ledger, "workflows");
    bool any = cli_get_number(ended, "succeeded") > 0 ||
               cli_get_number(ended, "failed") > 0 ||
               cli_get_number(ended, "killed") > 0;
    cli_print_field(
        cli, "last hour",
        any ? cli_text(
                  cli, "%.1f %% of the workflows succeeded",
                  100 * cli_get_number(s->metrics, "workflow_success_rate_1h"))
            : "no workflow has ended yet");
}

static void print_status(const struct status *s)
{
    struct cli *cli = s->cli;
    struct strbuf line = STRBUF_INIT(4096);
    cli_add_status(cli, &line, cli_get(cli, s->health, "status"));
    (void)fprintf(cli->out, "%-14s%s\n", "engine", strbuf_str(&line).at);
    strbuf_deinit(&line);
    cli_print_field(cli, "server", cli->server);
    cli_print_field(cli, "version", cli_get(cli, s->health, "version"));
    cli_print_field(cli, "up for",
                    cli_seconds(cli, s->health, "uptime_seconds"));
    print_checks(s);
    print_people(s);
    print_numbers(s);
}

/* The numbers are an extra: without them the state is shown all the same. */
static json_t *fetch_metrics(struct cli *cli)
{
    struct cli_answer a;
    cli_send(cli,
             &(struct cli_request){.method = "GET", .path = "/api/metrics"},
             &a);
    json_t *metrics = a.status == 200 ? json_incref(a.body) : NULL;
    cli_answer_deinit(&a);
    return metrics;
}

int cli_status(struct cli *cli)
{
    struct cli_answer a;
    cli_send(cli, &(struct cli_request){.method = "GET", .path = "/api/health"},
             &a);
    const char *word = cli_get_raw(a.body, "status");
    if ((a.status != 200 && a.status != 503) || word == NULL) {
        int code = cli_explain(cli, &a, NULL);
        cli_answer_deinit(&a);
        return code;
    }
    json_auto_t *metrics = fetch_metrics(cli);
    struct status s = {.cli = cli, .health = a.body, .metrics = metrics};
    json_auto_t *both = json_pack("{s:s, s:O, s:O?}", "server", cli->server,
                                  "health", a.body, "metrics", metrics);
    bool well = strcmp(word, "ok") == 0;
    find_waiting(&s);
    if (cli->format == CLI_NAME) {
        (void)fprintf(cli->out, "%s\n", cli_get(cli, a.body, "status"));
    } else if (!cli_print_item(cli, both, "server")) {
        print_status(&s);
    }
    if (!well) {
        cli_note(cli, "not everything is well; try: adctl doctor");
    }
    cli_answer_deinit(&a);
    return !well ? CLI_FAILED : s.waits ? CLI_FINDINGS : CLI_OK;
}
