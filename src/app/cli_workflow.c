/*
 * adctl workflow: list, show, logs, cancel, kill, retry, rerun.
 */
#include <string.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "app/cli_wait.h"

static const struct cli_column workflow_columns[] = {
    {"ID", 0},
    {"STATUS", CLI_STATUS},
    {"RUNBOOK", CLI_FLEX},
    {"STEP", CLI_FLEX},
    {"RESULT", CLI_ONLY_WIDE},
    {"BY", CLI_FLEX | CLI_ONLY_WIDE},
    {"ERROR", CLI_FLEX | CLI_ONLY_WIDE},
    {"TOOK", CLI_RIGHT},
    {"AGE", CLI_RIGHT},
    {NULL, 0},
};

/* A dry run has run nothing: it must not look like a success. */
static const char *status_of(struct cli *cli, const json_t *w)
{
    return json_is_true(json_object_get(w, "dry_run"))
               ? "dry_run"
               : cli_get(cli, w, "status");
}

static void add_row(struct cli_table *t, const json_t *w, size_t id_len)
{
    struct cli *cli = t->cli;
    const char *id = cli_get(cli, w, "id");
    cli_cell(t, cli->format == CLI_WIDE
                    ? id
                    : cli_text(cli, "%.*s", (int)id_len, id));
    cli_cell(t, status_of(cli, w));
    cli_cell(t, cli_get(cli, w, "runbook"));
    cli_cell(t, cli_get(cli, w, "current_step"));
    cli_cell(t, cli_get(cli, w, "result"));
    cli_cell_who(t, w, "requested_by");
    cli_cell(t, cli_get(cli, w, "error"));
    cli_cell(t, cli_seconds(cli, w, "duration_seconds"));
    cli_cell(t, cli_age(cli, w, "created_at"));
}

int cli_workflow_list(struct cli *cli)
{
    static const char *const flags[] = {"status", "runbook", "since", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    json_t *w = NULL;
    const char *event = cli_value(cli, "event");
    int r = event != NULL ? cli_resolve(cli, "events", event, &event) : 0;
    if (r != 0) {
        return r;
    }
    strbuf_addc(&path, "/api/workflows");
    if (event != NULL) {
        strbuf_addf(&path, "?event=%s", event);
    }
    cli_add_query(cli, &path, flags);
    const struct cli_list list = {
        path.at, "workflows", "adctl workflow list --help", CLI_EXPORT_ROWS};
    r = cli_fetch_list(cli, &list, &answer);
    if (r != 0) {
        return r;
    }
    json_t *workflows = json_object_get(answer, "workflows");
    if (cli_print_items(cli, workflows, cli_get_raw(answer, "next_cursor"),
                        "id")) {
        return CLI_OK;
    }
    size_t id_len = cli_short_id(workflows);
    cli_table_init(&t, cli, workflow_columns);
    json_array_foreach (workflows, i, w) {
        add_row(&t, w, id_len);
    }
    cli_table_print(&t);
    if (cli->terminal.tty && json_array_size(workflows) == 0) {
        cli_note(cli, "no workflows; start one: adctl runbook run RUNBOOK");
    }
    return CLI_OK;
}

/* The full id of the command's first word. */
static int resolve(struct cli *cli, const char **ret)
{
    return cli_resolve(cli, "workflows", cli_word(cli, 0), ret);
}

int cli_workflow_show(struct cli *cli)
{
    static const struct {
        const char *title, *member;
    } fields[] = {
        {"runbook", "runbook"},       {"name", "runbook_name"},
        {"commit", "commit"},         {"event", "event_id"},
        {"key", "trigger_key"},       {"requested by", "requested_by"},
        {"parameters", "parameters"}, {"result", "result"},
        {"step", "current_step"},     {"stop", "stop_requested"},
        {"error", "error"},
    };
    json_auto_t *w = NULL;
    const char *id = NULL;
    int r = resolve(cli, &id);
    if (r == 0) {
        r = cli_fetch(cli, cli_text(cli, "/api/workflows/%s", id),
                      "adctl workflow list", &w);
    }
    if (r != 0 || cli_print_item(cli, w, "id")) {
        return r;
    }
    struct strbuf status = STRBUF_INIT(256);
    cli_add_status(cli, &status, status_of(cli, w));
    cli_print_field(cli, "id", cli_get(cli, w, "id"));
    (void)fprintf(cli->out, "%-14s%s\n", "status", strbuf_str(&status).at);
    strbuf_deinit(&status);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        cli_print_field(cli, fields[i].title,
                        cli_who(cli, w, fields[i].member));
    }
    cli_print_field(cli, "created",
                    cli_text(cli, "%s (%s ago)",
                             cli_get(cli, w, "created_at_iso"),
                             cli_age(cli, w, "created_at")));
    cli_print_field(cli, "took", cli_seconds(cli, w, "duration_seconds"));
    (void)fputc('\n', cli->out);
    cli_print_steps(cli, w);
    return CLI_OK;
}

/* ---- logs --------------------------------------------------------------- */

struct log_view {
    struct cli *cli;
    json_t *items; /* of -o json */
    bool raw;
    const char *only; /* step, NULL: all */
    char step[256];   /* of the line before */
    double attempt;   /* of the line before */
    bool mid_line;    /* the piece before did not end its line */
};

/* "--- STEP", and which attempt when it is not the first. */
static void add_heading(struct log_view *v, const json_t *chunk,
                        struct strbuf *out)
{
    const char *step = cli_get(v->cli, chunk, "step");
    double attempt = cli_get_number(chunk, "attempt");
    if (strcmp(v->step, step) == 0 && v->attempt == attempt) {
        return;
    }
    if (v->only == NULL || attempt > 1) {
        strbuf_addf(out, "%s--- %s", v->mid_line ? "\n" : "", step);
        if (attempt > 1) {
            strbuf_addf(out, ", attempt %.0f", attempt);
        }
        strbuf_addch(out, '\n');
    }
    (void)snprintf(v->step, sizeof(v->step), "%s", step);
    v->attempt = attempt;
}

/* Pieces come as they were written, so a line may come in several. */
static void print_piece(struct log_view *v, const json_t *chunk)
{
    struct cli *cli = v->cli;
    const char *step = cli_get(cli, chunk, "step");
    const json_t *text = json_object_get(chunk, "text");
    struct str rest = str_n(json_string_value(text), json_string_length(text));
    struct strbuf out = STRBUF_INIT(4 * 1024 * 1024);
    if (v->only != NULL && strcmp(v->only, step) != 0) {
        return;
    }
    add_heading(v, chunk, &out);
    while (rest.len != 0) {
        ptrdiff_t end = str_find(rest, '\n');
        size_t len = end >= 0 ? (size_t)end : rest.len;
        if (v->raw) {
            strbuf_add(&out, str_slice(rest, 0, len));
        } else {
            strbuf_add_visible(&out, str_slice(rest, 0, len));
        }
        v->mid_line = end < 0;
        if (end >= 0) {
            strbuf_addch(&out, '\n');
        }
        rest = str_slice(rest, len + 1, rest.len);
    }
    (void)fwrite(strbuf_str(&out).at, 1, out.len, cli->out);
    strbuf_deinit(&out);
}

static void print_chunks(struct log_view *v, json_t *chunks)
{
    struct cli *cli = v->cli;
    size_t i = 0;
    json_t *chunk = NULL;
    json_array_foreach (chunks, i, chunk) {
        if (cli->format == CLI_TABLE || cli->format == CLI_WIDE) {
            print_piece(v, chunk);
        } else if (v->only == NULL ||
                   strcmp(cli_get(cli, chunk, "step"), v->only) == 0) {
            (void)json_array_append(v->items, chunk);
        }
    }
    if (cli->format == CLI_JSONL) { /* as they come */
        (void)cli_print_items(cli, v->items, NULL, "step");
        (void)json_array_clear(v->items);
    }
    (void)fflush(cli->out);
}

/* A step that the workflow does not have writes nothing, ever. */
static int check_step(struct cli *cli, const char *id, const char *name)
{
    enum { MOST = 64 };
    json_auto_t *w = NULL;
    const char *names[MOST];
    size_t count = 0;
    size_t i = 0;
    json_t *step = NULL;
    int r = cli_fetch(cli, cli_text(cli, "/api/workflows/%s", id),
                      "adctl workflow list", &w);
    if (r != 0) {
        return r;
    }
    json_array_foreach (json_object_get(w, "steps"), i, step) {
        const char *have = cli_get_raw(step, "name");
        if (have != NULL && strcmp(have, name) == 0) {
            return 0;
        }
        if (have != NULL && count < MOST) {
            names[count++] = have;
        }
    }
    const char *near = str_nearest(str_c(name), names, count);
    return cli_fail(cli, CLI_NOT_FOUND,
                    near != NULL ? cli_text(cli, "--step '%s'", near)
                                 : cli_text(cli, "adctl workflow show %s", id),
                    "the workflow %s has no step \"%s\"", id, name);
}

static int print_logs(struct log_view *v, const char *id)
{
    struct cli *cli = v->cli;
    bool follow = cli_has(cli, "follow");
    double after = 0;
    unsigned round = 0;
    int r = v->only != NULL ? check_step(cli, id, v->only) : 0;
    while (r == 0) {
        json_auto_t *page = NULL;
        const char *query =
            after > 0 ? cli_text(cli, "?after=%.0f", after) : "";
        r = cli_fetch(cli, cli_text(cli, "/api/workflows/%s/logs%s", id, query),
                      "adctl workflow list", &page);
        if (r != 0) {
            break;
        }
        json_t *chunks = json_object_get(page, "logs");
        print_chunks(v, chunks);
        after = MAX(after, cli_get_number(page, "next_after"));
        if (json_array_size(chunks) != 0) {
            round = 0;
            continue;
        }
        if (!follow || json_is_true(json_object_get(page, "complete"))) {
            break;
        }
        cli_pause(&round);
    }
    return r;
}

int cli_workflow_logs(struct cli *cli)
{
    json_auto_t *items = json_array();
    struct log_view v = {.cli = cli,
                         .items = items,
                         .raw = cli_has(cli, "raw"),
                         .only = cli_value(cli, "step")};
    const char *id = NULL;
    if (cli->format == CLI_NAME) {
        return cli_fail(cli, CLI_USAGE, "adctl workflow logs ID -o jsonl",
                        "what steps wrote has no names");
    }
    int r = resolve(cli, &id);
    r = r == 0 ? print_logs(&v, id) : r;
    if (r == 0 && cli->format == CLI_JSON) {
        (void)cli_print_items(cli, items, NULL, "step");
    }
    if (v.mid_line) {
        (void)fputc('\n', cli->out);
    }
    return r;
}

/* ---- cancel, kill ------------------------------------------------------- */

static int stop(struct cli *cli, const char *how)
{
    json_auto_t *answer = NULL;
    const char *id = NULL;
    int r = resolve(cli, &id);
    if (r == 0) {
        struct cli_request request = {
            .method = "POST",
            .path = cli_text(cli, "/api/workflows/%s/%s", id, how)};
        r = cli_call(cli, &request, cli_text(cli, "adctl workflow show %s", id),
                     &answer);
    }
    if (r != 0) {
        return r;
    }
    if (cli_has(cli, "wait")) {
        return cli_wait_stopped(cli, id);
    }
    if (!cli_print_item(cli, answer, "id")) {
        struct strbuf status = STRBUF_INIT(256);
        cli_add_status(cli, &status, cli_get(cli, answer, "status"));
        (void)fprintf(cli->out, "%s  %s  %s requested\n",
                      cli_get(cli, answer, "id"), strbuf_str(&status).at, how);
        strbuf_deinit(&status);
    }
    return CLI_OK;
}

int cli_workflow_cancel(struct cli *cli)
{
    return stop(cli, "cancel");
}

int cli_workflow_kill(struct cli *cli)
{
    return stop(cli, "kill");
}

/* ---- retry, rerun ------------------------------------------------------- */

static int again(struct cli *cli, const char *how, const char *from)
{
    json_auto_t *answer = NULL;
    json_auto_t *body =
        from != NULL ? json_pack("{s:s}", "from", from) : json_object();
    const char *id = NULL;
    if (body == NULL) {
        return cli_fail(cli, CLI_USAGE, "adctl workflow show ID",
                        "\"%s\" is not UTF-8 text", from != NULL ? from : "");
    }
    int r = resolve(cli, &id);
    if (r == 0) {
        struct cli_request request = {
            .method = "POST",
            .path = cli_text(cli, "/api/workflows/%s/%s", id, how),
            .body = body};
        r = cli_call(cli, &request, cli_text(cli, "adctl workflow show %s", id),
                     &answer);
    }
    if (r != 0) {
        return r;
    }
    const char *made = cli_get(cli, answer, "workflow_id");
    bool follow = cli_has(cli, "wait");
    if (follow && cli->format == CLI_JSON) {
        return cli_wait_workflow(cli, made); /* one document, at the end */
    }
    if (!cli_print_item(cli, answer, "workflow_id")) {
        struct strbuf status = STRBUF_INIT(256);
        cli_add_status(cli, &status, cli_get(cli, answer, "status"));
        (void)fprintf(cli->out, "%s  %s  from \"%s\"\n", made,
                      strbuf_str(&status).at, cli_get(cli, answer, "from"));
        strbuf_deinit(&status);
    }
    return follow ? cli_wait_workflow(cli, made) : CLI_OK;
}

int cli_workflow_retry(struct cli *cli)
{
    return again(cli, "retry", cli_value(cli, "from"));
}

int cli_workflow_rerun(struct cli *cli)
{
    return again(cli, "rerun", NULL);
}
