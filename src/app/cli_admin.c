/*
 * adctl queue, worker, poison: what operators look at and change.
 */
#include <stdio.h>
#include <string.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

static int post(struct cli *cli, const char *path, json_t *body, json_t **ret)
{
    struct cli_request request = {.method = "POST", .path = path, .body = body};
    return cli_call(cli, &request, NULL, ret);
}

/* Prints the answer as it is in the machine formats; false for tables. */
static bool print_answer(struct cli *cli, json_t *answer)
{
    if (cli->format == CLI_TABLE || cli->format == CLI_WIDE ||
        cli->format == CLI_NAME) {
        return false;
    }
    cli_json_times(answer);
    cli_print_json(cli, answer);
    return true;
}

/* "alert 3, metric 2" */
static const char *list_counts(struct cli *cli, const json_t *answer,
                               const char *key)
{
    struct strbuf out = STRBUF_INIT(64 * 1024);
    const char *name = NULL;
    json_t *count = NULL;
    json_t *counts = json_object_get(answer, key);
    json_object_foreach (counts, name, count) {
        strbuf_addc(&out, out.len != 0 ? ", " : "");
        strbuf_add_visible(&out, str_c(name));
        strbuf_addf(&out, " %lld", (long long)json_integer_value(count));
    }
    const char *text = cli_text(cli, "%s", out.len != 0 ? out.at : "");
    strbuf_deinit(&out);
    return text;
}

/* ---- queue --------------------------------------------------------------- */

int cli_queue_show(struct cli *cli)
{
    static const struct {
        const char *title, *key;
    } lists[] = {{"types", "event_type_distribution"},
                 {"severities", "by_severity"},
                 {"sources", "by_source"},
                 {"priorities", "by_priority"}};
    json_auto_t *q = NULL;
    int r = cli_fetch(cli, "/api/admin/queue-analysis", "adctl doctor", &q);
    if (r != 0 || print_answer(cli, q)) {
        return r;
    }
    bool paused = json_is_true(json_object_get(q, "paused"));
    cli_print_field(cli, "processing", paused ? "paused" : "on");
    cli_print_field(cli, "waiting",
                    cli_text(cli, "%s of at most %s",
                             cli_get(cli, q, "queue_depth"),
                             cli_get(cli, q, "queue_limit")));
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        cli_print_field(cli, lists[i].title, list_counts(cli, q, lists[i].key));
    }
    size_t rules = json_array_size(json_object_get(q, "priority_rules"));
    if (rules != 0) {
        cli_print_field(
            cli, "rules",
            cli_text(cli, "%zu set; see: adctl queue priority", rules));
    }
    bool empty = cli_get_number(q, "queue_depth") == 0;
    if (!empty) {
        cli_print_field(cli, "oldest", cli_age(cli, q, "oldest_received_at"));
    }
    cli_print_field(cli, "rates",
                    cli_text(cli, "%.1f/s in, %.1f/s done",
                             cli_get_number(q, "ingestion_rate"),
                             cli_get_number(q, "processing_rate")));
    if (!empty) {
        bool known =
            json_is_number(json_object_get(q, "estimated_drain_seconds"));
        cli_print_field(cli, "empty in",
                        known ? cli_seconds(cli, q, "estimated_drain_seconds")
                              : "it does not get shorter");
    }
    if (paused && cli->terminal.tty) {
        cli_note(cli, "to process them: adctl queue resume");
    }
    return CLI_OK;
}

/* A change of the queue: what the answer says in one line. */
static int change_queue(struct cli *cli, const char *path, const char *key,
                        const char *what, const char *next)
{
    json_auto_t *answer = NULL;
    int r = post(cli, path, NULL, &answer);
    if (r != 0 || print_answer(cli, answer)) {
        return r;
    }
    if (key != NULL) {
        (void)fprintf(cli->out, "%s %s\n", cli_get(cli, answer, key), what);
    } else {
        (void)fprintf(cli->out, "%s, %s waiting\n", what,
                      cli_get(cli, answer, "event_queue_depth"));
    }
    if (next != NULL && cli->terminal.tty) {
        cli_note(cli, "next: %s", next);
    }
    return CLI_OK;
}

int cli_queue_drain(struct cli *cli)
{
    return change_queue(cli, "/api/admin/drain-queue", "drained",
                        "events set aside, processing paused",
                        "adctl queue resume, and perhaps adctl queue replay");
}

int cli_queue_pause(struct cli *cli)
{
    return change_queue(cli, "/api/admin/pause-processing", NULL,
                        "processing paused", "adctl queue resume");
}

int cli_queue_resume(struct cli *cli)
{
    return change_queue(cli, "/api/admin/resume-processing", NULL,
                        "processing resumed", NULL);
}

int cli_queue_replay(struct cli *cli)
{
    return change_queue(cli, "/api/admin/replay-drained", "replayed",
                        "drained events queued again", NULL);
}

int cli_queue_clear(struct cli *cli)
{
    return change_queue(cli, "/api/admin/clear-drained", "cleared",
                        "drained events put away", NULL);
}

/* A whole number out of a word. */
static int read_number(struct cli *cli, const char *word, json_t **ret)
{
    uint64_t n = 0;
    if (str_to_u64(str_c(word), 0, 1000000, &n) < 0) {
        return cli_fail(cli, CLI_USAGE, NULL, "\"%s\" is not a whole number",
                        word);
    }
    *ret = json_integer((json_int_t)n);
    return 0;
}

static const struct cli_column rule_columns[] = {
    {"TYPE", CLI_FLEX}, {"SEVERITY", CLI_FLEX}, {"PRIORITY", CLI_RIGHT},
    {"BY", CLI_FLEX},   {"AGE", CLI_RIGHT},     {NULL, 0},
};

static const char *any_or(struct cli *cli, const json_t *rule, const char *key)
{
    const char *text = cli_get(cli, rule, key);
    return text[0] != '\0' ? text : "(any)";
}

static int list_rules(struct cli *cli)
{
    json_auto_t *q = NULL;
    struct cli_table t;
    size_t i = 0;
    json_t *rule = NULL;
    int r = cli_fetch(cli, "/api/admin/queue-analysis", "adctl doctor", &q);
    json_t *rules = json_object_get(q, "priority_rules");
    if (r != 0 || cli_print_items(cli, rules, NULL, "priority")) {
        return r;
    }
    cli_table_init(&t, cli, rule_columns);
    json_array_foreach (rules, i, rule) {
        cli_cell(&t, any_or(cli, rule, "type"));
        cli_cell(&t, any_or(cli, rule, "severity"));
        cli_cell(&t, cli_get(cli, rule, "priority"));
        cli_cell_who(&t, rule, "by");
        cli_cell(&t, cli_age(cli, rule, "at"));
    }
    cli_table_print(&t);
    if (json_array_size(rules) == 0) {
        cli_note(cli, "no priority was set; as in: adctl queue priority 1 "
                      "--type alert");
    }
    return CLI_OK;
}

int cli_queue_priority(struct cli *cli)
{
    static const char *const words[] = {"type", "severity"};
    const char *word = cli_word(cli, 0);
    json_auto_t *body = json_object();
    json_auto_t *answer = NULL;
    json_t *priority = json_null(); /* withdraws the rule */
    if (word == NULL) {
        return list_rules(cli);
    }
    bool none = strcmp(word, "none") == 0;
    int r = none ? 0 : read_number(cli, word, &priority);
    if (r != 0) {
        return r;
    }
    (void)json_object_set_new(body, "priority", priority);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *value = cli_value(cli, words[i]);
        if (value != NULL) {
            (void)json_object_set_new(body, words[i], json_string(value));
        }
    }
    r = post(cli, "/api/admin/set-event-priority", body, &answer);
    if (r != 0 || print_answer(cli, answer)) {
        return r;
    }
    if (none) {
        (void)fputs("withdrawn, for events to come\n", cli->out);
    } else {
        (void)fprintf(cli->out, "priority %s, %s queued events moved\n",
                      cli_get(cli, answer, "priority"),
                      cli_get(cli, answer, "reordered"));
    }
    return CLI_OK;
}

/* ---- workers ------------------------------------------------------------- */

static const struct cli_column worker_columns[] = {
    {"ID", CLI_RIGHT},        {"STATUS", CLI_STATUS},
    {"DONE", CLI_RIGHT},      {"EVENT", CLI_FLEX},
    {"PROCESSED", CLI_RIGHT}, {"BUSY", CLI_RIGHT},
    {"SINCE", CLI_RIGHT},     {NULL, 0},
};

/* Said when an operator has set another number than the configuration. */
static void note_origin(struct cli *cli, const json_t *answer,
                        const char *workers)
{
    if (json_is_string(json_object_get(answer, "set_by"))) {
        cli_note(cli,
                 "%s set by %s %s ago, and lasts; the configuration says %s; "
                 "to go back: adctl worker scale default",
                 cli_get(cli, answer, workers), cli_who(cli, answer, "set_by"),
                 cli_age(cli, answer, "set_at"),
                 cli_get(cli, answer, "configured"));
    }
}

int cli_worker_list(struct cli *cli)
{
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    size_t stuck = 0;
    json_t *w = NULL;
    static const struct cli_list list = {"/api/admin/workers", "workers",
                                         "adctl doctor", 0};
    int r = cli_fetch_list(cli, &list, &answer);
    if (r != 0) {
        return r;
    }
    if (cli_print_items(cli, json_object_get(answer, "workers"), NULL, "id")) {
        note_origin(cli, answer, "count"); /* not in an array of workers */
        return CLI_OK;
    }
    cli_table_init(&t, cli, worker_columns);
    json_array_foreach (json_object_get(answer, "workers"), i, w) {
        const json_t *task = json_object_get(w, "current_task");
        const char *status = cli_get(cli, w, "status");
        stuck += strcmp(status, "stuck") == 0 ? 1 : 0;
        cli_cell(&t, cli_get(cli, w, "id"));
        cli_cell(&t, status);
        cli_cell(&t, json_is_object(task)
                         ? cli_text(cli, "%s/%s", cli_get(cli, task, "done"),
                                    cli_get(cli, task, "events"))
                         : "");
        cli_cell(&t, cli_get(cli, task, "event"));
        cli_cell(&t, cli_get(cli, w, "events_processed"));
        cli_cell(&t, cli_text(cli, "%.0f%%",
                              cli_get_number(w, "utilization") * 100));
        cli_cell(&t, json_is_object(task) ? cli_age(cli, task, "since") : "");
    }
    cli_table_print(&t);
    note_origin(cli, answer, "count");
    if (stuck != 0) {
        cli_note(cli, "%zu stuck; to replace them: adctl worker restart",
                 stuck);
    }
    return CLI_OK;
}

int cli_worker_scale(struct cli *cli)
{
    json_auto_t *body = json_object();
    json_auto_t *answer = NULL;
    json_t *workers = json_null(); /* that of the configuration */
    bool scale = strcmp(cli_word(cli, 0), "default") != 0;
    int r = scale ? read_number(cli, cli_word(cli, 0), &workers) : 0;
    if (r == 0) {
        (void)json_object_set_new(body, "workers", workers);
        r = post(cli, "/api/admin/scale-workers", body, &answer);
    }
    if (r == 0 && !print_answer(cli, answer)) {
        (void)fprintf(cli->out, "%s workers%s\n",
                      cli_get(cli, answer, "workers"),
                      scale ? "" : ", as configured");
        note_origin(cli, answer, "workers");
    }
    return r;
}

int cli_worker_restart(struct cli *cli)
{
    json_auto_t *answer = NULL;
    int r = post(cli, "/api/admin/restart-workers", NULL, &answer);
    if (r != 0 || print_answer(cli, answer)) {
        return r;
    }
    if (cli_get_number(answer, "stuck") > 0) {
        (void)fprintf(cli->out, "%s workers restarted, %s were stuck\n",
                      cli_get(cli, answer, "workers"),
                      cli_get(cli, answer, "stuck"));
    } else {
        (void)fprintf(cli->out,
                      "none of %s workers is stuck: none was "
                      "replaced\n",
                      cli_get(cli, answer, "workers"));
    }
    return r;
}

/* ---- poison messages ----------------------------------------------------- */

#define POISON "/api/admin/poison-messages"

static const struct cli_column poison_columns[] = {
    {"ID", 0},           {"TYPE", CLI_FLEX},   {"SOURCE", CLI_FLEX},
    {"ERROR", CLI_FLEX}, {"TRIES", CLI_RIGHT}, {"AGE", CLI_RIGHT},
    {NULL, 0},
};

int cli_poison_list(struct cli *cli)
{
    static const char *const flags[] = {"type", "severity", "source", "since",
                                        NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    json_t *e = NULL;
    strbuf_addc(&path, POISON);
    cli_add_query(cli, &path, flags);
    const struct cli_list list = {path.at, "poison_messages",
                                  "adctl poison list --help", 0};
    int r = cli_fetch_list(cli, &list, &answer);
    json_t *events = json_object_get(answer, "poison_messages");
    if (r != 0 || cli_print_items(cli, events,
                                  cli_get_raw(answer, "next_cursor"), "id")) {
        return r;
    }
    size_t id_len = cli_short_id(events);
    cli_table_init(&t, cli, poison_columns);
    json_array_foreach (events, i, e) {
        const char *id = cli_get(cli, e, "id");
        cli_cell(&t, cli->format == CLI_WIDE
                         ? id
                         : cli_text(cli, "%.*s", (int)id_len, id));
        cli_cell(&t, cli_get(cli, e, "type"));
        cli_cell(&t, cli_get(cli, e, "source"));
        cli_cell(&t, cli_get(cli, e, "error"));
        cli_cell(&t, cli_get(cli, e, "attempts"));
        cli_cell(&t, cli_age(cli, e, "received_at"));
    }
    cli_table_print(&t);
    if (cli->terminal.tty && json_array_size(events) != 0) {
        cli_note(cli, "next: adctl poison show ID, requeue ID or clear ID");
    }
    return CLI_OK;
}

int cli_poison_show(struct cli *cli)
{
    static const char *const fields[] = {"id",     "type",       "severity",
                                         "source", "error",      "attempts",
                                         "labels", "annotations"};
    json_auto_t *e = NULL;
    const char *id = NULL;
    int r = cli_resolve(cli, "events", cli_word(cli, 0), &id);
    if (r == 0) {
        r = cli_fetch(cli, cli_text(cli, POISON "/%s", id), "adctl poison list",
                      &e);
    }
    if (r != 0 || cli_print_item(cli, e, "id")) {
        return r;
    }
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        cli_print_field(cli, fields[i], cli_get(cli, e, fields[i]));
    }
    cli_print_field(cli, "received",
                    cli_text(cli, "%s (%s ago)",
                             cli_get(cli, e, "received_at_iso"),
                             cli_age(cli, e, "received_at")));
    return CLI_OK;
}

/* One by its id, or all with --every. */
static int move_poison(struct cli *cli, bool requeue)
{
    json_auto_t *answer = NULL;
    const char *id = cli_word(cli, 0);
    bool all = cli_has(cli, "every");
    if ((id != NULL) == all) {
        return cli_fail(cli, CLI_USAGE, "adctl poison list",
                        "say which: an ID, or --every");
    }
    struct cli_request request = {
        .method = "POST",
        .path = requeue ? "/api/admin/requeue-poison-messages"
                        : "/api/admin/clear-poison-messages"};
    int r = id != NULL ? cli_resolve(cli, "events", id, &id) : 0;
    if (id != NULL && r == 0) {
        request.method = requeue ? "POST" : "DELETE";
        request.path =
            cli_text(cli, POISON "/%s%s", id, requeue ? "/requeue" : "");
    }
    if (r == 0) {
        r = cli_call(cli, &request, "adctl poison list", &answer);
    }
    if (r != 0 || print_answer(cli, answer)) {
        return r;
    }
    if (id != NULL) {
        (void)fprintf(cli->out, "%s %s\n", cli_get(cli, answer, "id"),
                      cli_get(cli, answer, "status"));
    } else {
        (void)fprintf(cli->out, "%s %s\n",
                      cli_get(cli, answer, requeue ? "requeued" : "cleared"),
                      requeue ? "events queued again" : "events put away");
    }
    return CLI_OK;
}

int cli_poison_requeue(struct cli *cli)
{
    return move_poison(cli, true);
}

int cli_poison_clear(struct cli *cli)
{
    return move_poison(cli, false);
}
