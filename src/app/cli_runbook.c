/*
 * adctl runbook: list, show, run. validate is in cli_validate.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "app/cli_wait.h"
#include "data/json.h"
#include "os/fd.h"

/* More than any parameter may have. */
#define VALUE_MAX_BYTES 4096

static const struct cli_column runbook_columns[] = {
    {"PATH", CLI_FLEX},
    {"STATE", CLI_STATUS},
    {"NAME", CLI_FLEX},
    {"STEPS", CLI_RIGHT},
    {"TRIGGERS", CLI_RIGHT | CLI_ONLY_WIDE},
    {"CATEGORY", CLI_FLEX | CLI_ONLY_WIDE},
    {"DESCRIPTION", CLI_FLEX | CLI_ONLY_WIDE},
    {NULL, 0},
};

/* A member that is a list or already its length. */
static const char *count_of(struct cli *cli, const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    return json_is_array(value) ? cli_text(cli, "%zu", json_array_size(value))
                                : cli_get(cli, o, key);
}

/* One that an operator has disabled is loaded, but starts with no event. */
static const char *state_of(struct cli *cli, const json_t *rb)
{
    return json_is_false(json_object_get(rb, "enabled"))
               ? "disabled"
               : cli_get(cli, rb, "state");
}

static void add_runbook(struct cli_table *t, const json_t *rb)
{
    struct cli *cli = t->cli;
    cli_cell(t, cli_get(cli, rb, "path"));
    cli_cell(t, state_of(cli, rb));
    cli_cell(t, cli_get(cli, rb, "name"));
    cli_cell(t, count_of(cli, rb, "steps"));
    cli_cell(t, count_of(cli, rb, "triggers"));
    cli_cell(t, cli_get(cli, rb, "category"));
    cli_cell(t, cli_get(cli, rb, "description"));
}

static void add_rejected(struct cli_table *t, const json_t *file)
{
    cli_cell(t, cli_get(t->cli, file, "path"));
    cli_cell(t, "rejected");
    for (unsigned c = 2; c < t->column_count; c++) {
        cli_cell(t, NULL);
    }
}

static int fetch_list(struct cli *cli, json_t **ret)
{
    static const char *const category[] = {"category", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    const char *search = cli_value(cli, "search");
    if (search != NULL) {
        if (cli_has(cli, "category")) {
            return cli_fail(cli, CLI_USAGE, NULL,
                            "--search and --category exclude each other");
        }
        strbuf_addc(&path, "/api/runbooks/search?q=");
        cli_add_encoded(&path, search, false);
    } else {
        strbuf_addc(&path, "/api/runbooks");
        cli_add_query(cli, &path, category);
    }
    const struct cli_list list = {path.at, "runbooks", "adctl doctor", 0};
    return cli_fetch_list(cli, &list, ret);
}

/* Names few enough to be typed; the command can be run as it stands. */
static void tell_rejected(struct cli *cli, const json_t *rejected)
{
    enum { SHOWN = 3 };
    struct strbuf paths = STRBUF_INIT(16 * 1024);
    size_t count = json_array_size(rejected);
    for (size_t i = 0; i < count && i < SHOWN; i++) {
        strbuf_addf(&paths, " %s",
                    cli_get(cli, json_array_get(rejected, i), "path"));
    }
    if (count != 0) {
        cli_note(cli, "%zu rejected; %s: adctl runbook validate%s", count,
                 count > SHOWN ? "the first" : "see", paths.at);
    }
    strbuf_deinit(&paths);
}

/* Those that no step of would run, whatever asks for it. */
static void tell_refused(struct cli *cli, const json_t *runbooks)
{
    unsigned count = 0;
    const char *path = NULL;
    size_t i = 0;
    json_t *rb = NULL;
    json_array_foreach (runbooks, i, rb) {
        if (strcmp(cli_get(cli, rb, "state"), "refused") == 0) {
            count++;
            path = path != NULL ? path : cli_get(cli, rb, "path");
        }
    }
    if (count != 0) {
        cli_note(cli, "%u refused by the executor; why: adctl runbook show %s",
                 count, path);
    }
}

static void tell_warnings(struct cli *cli, const json_t *runbooks)
{
    enum { SHOWN = 4 };
    size_t count = 0;
    size_t i = 0;
    json_t *rb = NULL;
    json_array_foreach (runbooks, i, rb) {
        size_t k = 0;
        json_t *w = NULL;
        json_array_foreach (json_object_get(rb, "warnings"), k, w) {
            if (count++ < SHOWN) {
                cli_note(cli, "%s: %s", cli_get(cli, rb, "path"),
                         cli_get(cli, w, "message"));
            }
        }
    }
    if (count > SHOWN) {
        cli_note(cli, "%zu more warnings; see: adctl runbook list -o json",
                 count - SHOWN);
    }
}

static void tell_disabled(struct cli *cli, const json_t *runbooks)
{
    unsigned count = 0;
    const char *path = NULL;
    size_t i = 0;
    json_t *rb = NULL;
    json_array_foreach (runbooks, i, rb) {
        if (strcmp(state_of(cli, rb), "disabled") == 0) {
            count++;
            path = path != NULL ? path : cli_get(cli, rb, "path");
        }
    }
    if (count != 0) {
        cli_note(cli, "%u disabled; who and why: adctl runbook show %s", count,
                 path);
    }
}

int cli_runbook_list(struct cli *cli)
{
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    json_t *row = NULL;
    int r = fetch_list(cli, &answer);
    if (r != 0) {
        return r;
    }
    const json_t *rejected = json_object_get(answer, "rejected");
    if (!cli_print_items(cli, json_object_get(answer, "runbooks"), NULL,
                         "path")) {
        cli_table_init(&t, cli, runbook_columns);
        json_array_foreach (json_object_get(answer, "runbooks"), i, row) {
            add_runbook(&t, row);
        }
        json_array_foreach (rejected, i, row) {
            add_rejected(&t, row);
        }
        cli_table_print(&t);
    }
    tell_rejected(cli, rejected);
    tell_refused(cli, json_object_get(answer, "runbooks"));
    tell_disabled(cli, json_object_get(answer, "runbooks"));
    tell_warnings(cli, json_object_get(answer, "runbooks"));
    return CLI_OK;
}

/* ---- show --------------------------------------------------------------- */

static const struct cli_column param_columns[] = {
    {"PARAMETER", CLI_FLEX},   {"TYPE", 0},
    {"REQUIRED", 0},           {"DEFAULT", CLI_FLEX},
    {"DESCRIPTION", CLI_FLEX}, {NULL, 0},
};

static void print_parameters(struct cli *cli, const json_t *rb)
{
    const json_t *params = json_object_get(rb, "parameters");
    struct cli_table t;
    size_t i = 0;
    json_t *p = NULL;
    if (json_array_size(params) == 0) {
        return;
    }
    (void)fputc('\n', cli->out);
    cli_table_init(&t, cli, param_columns);
    json_array_foreach (params, i, p) {
        cli_cell(&t, cli_get(cli, p, "name"));
        cli_cell(&t, cli_get(cli, p, "type"));
        cli_cell(&t,
                 json_is_true(json_object_get(p, "required")) ? "yes" : "no");
        cli_cell(&t, cli_get(cli, p, "default"));
        cli_cell(&t, cli_get(cli, p, "description"));
    }
    cli_table_print(&t);
}

static void print_errors(struct cli *cli, const json_t *file)
{
    size_t i = 0;
    json_t *e = NULL;
    json_array_foreach (json_object_get(file, "errors"), i, e) {
        const char *hint = cli_get(cli, e, "hint");
        const char *place =
            cli_get_number(e, "line") > 0
                ? cli_text(cli, "%s:%s: ", cli_get(cli, e, "line"),
                           cli_get(cli, e, "column"))
                : "";
        (void)fprintf(cli->out, "  %s%s%s%s%s\n", place,
                      cli_get(cli, e, "message"), hint[0] != '\0' ? " (" : "",
                      hint, hint[0] != '\0' ? ")" : "");
    }
}

/* Who has disabled it, when and why. */
static void print_disabled(struct cli *cli, const json_t *rb)
{
    const char *reason = cli_get(cli, rb, "disabled_reason");
    if (!json_is_false(json_object_get(rb, "enabled"))) {
        return;
    }
    cli_print_field(cli, "disabled by",
                    cli_text(cli, "%s, %s (%s ago)",
                             cli_who(cli, rb, "disabled_by"),
                             cli_get(cli, rb, "disabled_at_iso"),
                             cli_age(cli, rb, "disabled_at")));
    cli_print_field(cli, "reason",
                    reason[0] != '\0' ? reason : "none was given");
    cli_print_field(
        cli, "enable it",
        cli_text(cli, "adctl runbook enable %s", cli_get(cli, rb, "path")));
}

/* Why the executor would not run it, and what else is wrong with it. */
static void print_findings(struct cli *cli, const json_t *rb)
{
    const char *refusal = cli_get(cli, rb, "refusal");
    size_t i = 0;
    json_t *w = NULL;
    if (refusal[0] != '\0') {
        cli_print_field(cli, "refused", refusal);
        cli_print_field(cli, "then", "adctl reload");
    }
    json_array_foreach (json_object_get(rb, "warnings"), i, w) {
        const char *hint = cli_get(cli, w, "hint");
        cli_print_field(cli, "warning", cli_get(cli, w, "message"));
        if (hint[0] != '\0') {
            cli_print_field(cli, "", hint);
        }
    }
}

static void print_runbook(struct cli *cli, const json_t *rb)
{
    static const char *const fields[] = {"path", "name", "category",
                                         "description", "hash"};
    struct strbuf state = STRBUF_INIT(256);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        cli_print_field(cli, fields[i], cli_get(cli, rb, fields[i]));
    }
    cli_add_status(cli, &state, state_of(cli, rb));
    (void)fprintf(cli->out, "%-14s%s\n", "state", strbuf_str(&state).at);
    strbuf_deinit(&state);
    print_findings(cli, rb);
    print_disabled(cli, rb);
    cli_print_field(
        cli, "concurrency",
        cli_get_number(rb, "concurrency") > 0
            ? cli_text(cli, "%s at a time", cli_get(cli, rb, "concurrency"))
            : "no limit of its own");
    cli_print_field(cli, "timeout",
                    json_is_number(json_object_get(rb, "timeout_seconds"))
                        ? cli_seconds(cli, rb, "timeout_seconds")
                        : "as configured");
    cli_print_field(cli, "steps", count_of(cli, rb, "steps"));
    cli_print_field(cli, "triggers", count_of(cli, rb, "triggers"));
    print_parameters(cli, rb);
}

static json_t *find_path(const json_t *list, const char *path)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach (list, i, row) {
        const char *have = cli_get_raw(row, "path");
        if (have != NULL && strcmp(have, path) == 0) {
            return row;
        }
    }
    return NULL;
}

static const char *nearest_path(const json_t *list, const char *path)
{
    enum { MOST = 1000 };
    const char *paths[MOST];
    size_t count = 0;
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach (list, i, row) {
        const char *have = cli_get_raw(row, "path");
        if (have != NULL && count < MOST) {
            paths[count++] = have;
        }
    }
    return str_nearest(str_c(path), paths, count);
}

int cli_runbook_show(struct cli *cli)
{
    json_auto_t *answer = NULL;
    const char *path = cli_word(cli, 0);
    int r = cli_fetch(cli, "/api/runbooks", "adctl doctor", &answer);
    if (r != 0) {
        return r;
    }
    const json_t *runbooks = json_object_get(answer, "runbooks");
    json_t *rb = find_path(runbooks, path);
    json_t *bad = find_path(json_object_get(answer, "rejected"), path);
    if (rb != NULL) {
        if (!cli_print_item(cli, rb, "path")) {
            print_runbook(cli, rb);
        }
        return CLI_OK;
    }
    if (bad != NULL) {
        r = cli_fail(cli, CLI_FAILED,
                     cli_text(cli, "adctl runbook validate %s", path),
                     "the runbook %s is refused:", path);
        print_errors(cli, bad);
        return r;
    }
    const char *near = nearest_path(runbooks, path);
    return cli_fail(cli, CLI_NOT_FOUND,
                    near != NULL ? cli_text(cli, "adctl runbook show %s", near)
                                 : "adctl runbook list",
                    "there is no runbook %s", path);
}

/* ---- run ---------------------------------------------------------------- */

/* A value as JSON when it is a number or a boolean ("threshold=90"), else as
 * text: the runbook's own declaration checks it. */
static json_t *param_value(const char *text)
{
    json_t *value = NULL;
    struct err e = ERR_INIT;
    if (json_read(str_c(text), NULL, &value, &e) == 0) {
        if (json_is_number(value) || json_is_boolean(value)) {
            return value;
        }
        json_decref(value);
    }
    return json_string(text);
}

/* The declared type of a parameter, or NULL when the list does not say. */
static const char *declared_type(const json_t *rb, const char *name)
{
    size_t i = 0;
    json_t *p = NULL;
    json_array_foreach (json_object_get(rb, "parameters"), i, p) {
        const char *have = cli_get_raw(p, "name");
        if (have != NULL && strcmp(have, name) == 0) {
            return cli_get_raw(p, "type");
        }
    }
    return NULL;
}

static bool is_numeric(const char *type)
{
    return type == NULL || strcmp(type, "integer") == 0 ||
           strcmp(type, "number") == 0 || strcmp(type, "boolean") == 0;
}

/* A value from a file or, as "-", from standard input: what a command line
 * says can be read by everybody on the host. Without the line's end. */
static int read_value(struct cli *cli, const char *path, const char **ret)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(VALUE_MAX_BYTES);
    bool is_file = strcmp(path, "-") != 0;
    int fd =
        is_file ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;
    int r = fd < 0 ? -errno : os_read_all(fd, &text);
    if (is_file) {
        os_close(fd);
    }
    if (r < 0) {
        return cli_fail(
            cli, CLI_USAGE, NULL, "--param-file: cannot read %s: %s", path,
            r == -E2BIG ? "it is too long for a parameter" : strerror(-r));
    }
    struct str value = strbuf_str(&text);
    while (value.len > 0 && (value.at[value.len - 1] == '\n' ||
                             value.at[value.len - 1] == '\r')) {
        value.len--;
    }
    *ret = arena_strdup(&cli->arena, value);
    if (text.at != NULL) {
        explicit_bzero(text.at, text.len);
    }
    return 0;
}

static int add_param(struct cli *cli, const json_t *rb,
                     const struct cli_given *g, json_t *params)
{
    const char *equals = strchr(g->value, '=');
    bool from_file = strcmp(g->flag->name, "param-file") == 0;
    if (equals == NULL || equals == g->value) {
        return cli_fail(cli, CLI_USAGE,
                        cli_text(cli, "--%s %s", g->flag->name,
                                 from_file ? "name=file" : "name=value"),
                        "--%s: \"%s\" is not %s", g->flag->name, g->value,
                        g->flag->value);
    }
    const char *name =
        cli_text(cli, "%.*s", (int)(equals - g->value), g->value);
    const char *text = equals + 1;
    int r = from_file ? read_value(cli, equals + 1, &text) : 0;
    if (r != 0) {
        return r;
    }
    json_t *value = is_numeric(declared_type(rb, name)) ? param_value(text)
                                                        : json_string(text);
    if (json_object_get(params, name) != NULL) {
        json_decref(value);
        return cli_fail(cli, CLI_USAGE, NULL, "--%s: %s is given twice",
                        g->flag->name, name);
    }
    if (json_object_set_new(params, name, value) < 0) {
        return cli_fail(cli, CLI_USAGE, NULL, "--%s: %s is not UTF-8 text",
                        g->flag->name, name);
    }
    return 0;
}

static int add_params(struct cli *cli, const json_t *rb, json_t *params)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < cli->given.count; i++) {
        const struct cli_given *g = &cli->given.at[i];
        if (strcmp(g->flag->name, "param") == 0 ||
            strcmp(g->flag->name, "param-file") == 0) {
            r = add_param(cli, rb, g, params);
        }
    }
    return r;
}

static void print_plan_guards(struct cli *cli, const json_t *answer)
{
    size_t i = 0;
    json_t *guard = NULL;
    bool any = false;
    if (cli_get(cli, answer, "target")[0] != '\0') {
        (void)fprintf(cli->out, "target: %s\n", cli_get(cli, answer, "target"));
    }
    json_array_foreach (json_object_get(answer, "guards"), i, guard) {
        if (json_is_true(json_object_get(guard, "holds_back"))) {
            (void)fprintf(cli->out, "held back now by %s: %s\n",
                          cli_get(cli, guard, "guard"),
                          cli_get(cli, guard, "text"));
            any = true;
        }
    }
    if (!any) {
        (void)fprintf(cli->out, "nothing holds it back now\n");
    }
}

static void print_plan_end(struct cli *cli, const json_t *answer)
{
    const char *id = cli_get(cli, answer, "plan_id");
    if (json_array_size(json_object_get(answer, "missing_parameters")) == 0 &&
        id[0] != '\0') {
        (void)fprintf(cli->out,
                      "run exactly this: adctl runbook run --plan %s\n", id);
    }
}

static void print_plan_conditions(struct cli *cli, const json_t *answer)
{
    size_t i = 0;
    json_t *step = NULL;
    json_array_foreach (json_object_get(answer, "plan"), i, step) {
        const char *when = cli_get(cli, step, "when");
        if (when[0] != '\0' && strcmp(when, "-") != 0) {
            (void)fprintf(cli->out, "step %zu only runs when %s\n", i + 1,
                          when);
        }
    }
}

static const char *what_it_does(struct cli *cli, const json_t *step)
{
    const char *command = cli_get(cli, step, "command");
    if (strcmp(cli_get(cli, step, "action"), "wait") == 0) {
        return cli_text(cli, "wait %s", cli_seconds(cli, step, "for_seconds"));
    }
    return command[0] != '\0' ? command : cli_get(cli, step, "argv");
}

static void print_plan(struct cli *cli, const json_t *answer)
{
    static const struct cli_column columns[] = {
        {"STEP", CLI_RIGHT},    {"NAME", CLI_FLEX},      {"RUNS", CLI_FLEX},
        {"TIMEOUT", CLI_RIGHT}, {"ATTEMPTS", CLI_RIGHT}, {NULL, 0},
    };
    struct cli_table t;
    size_t i = 0;
    json_t *step = NULL;
    cli_table_init(&t, cli, columns);
    json_array_foreach (json_object_get(answer, "plan"), i, step) {
        cli_cell(&t, cli_text(cli, "%zu", i + 1));
        cli_cell(&t, cli_step_name(cli, step));
        cli_cell(&t, what_it_does(cli, step));
        cli_cell(&t, cli_seconds(cli, step, "timeout_seconds"));
        cli_cell(&t, cli_get(cli, step, "max_attempts"));
    }
    cli_table_print(&t);
    print_plan_conditions(cli, answer);
    print_plan_guards(cli, answer);
    const json_t *missing = json_object_get(answer, "missing_parameters");
    json_array_foreach (missing, i, step) {
        struct strbuf name = STRBUF_INIT(4096);
        strbuf_add_visible(&name, str_c(json_string_value(step)));
        (void)fprintf(cli->out, "a run needs: -p %s=VALUE\n",
                      strbuf_str(&name).at);
        strbuf_deinit(&name);
    }
    print_plan_end(cli, answer);
}

/* The command that helps: the right path, the errors of the file, the way to
 * enable it, or its parameters. */
static const char *next_for(struct cli *cli, const char *path,
                            const struct cli_answer *a)
{
    const char *code = cli_get_raw(a->body, "code");
    if (path != NULL && code != NULL && strcmp(code, "runbook_disabled") == 0) {
        return cli_text(cli, "adctl runbook enable %s", path);
    }
    if (path == NULL) { /* of a plan, which says it by itself */
        return code != NULL && strcmp(code, "plan_changed") == 0
                   ? "adctl runbook run RUNBOOK --dry-run"
                   : NULL;
    }
    if (code != NULL && strcmp(code, "runbook_invalid") == 0) {
        return cli_text(cli, "adctl runbook validate %s", path);
    }
    return a->status == 404 ? "adctl runbook list"
                            : cli_text(cli, "adctl runbook show %s", path);
}

static int post_run(struct cli *cli, const char *path, const json_t *body,
                    json_t **ret)
{
    struct cli_answer a;
    int r = 0;
    cli_send(cli,
             &(struct cli_request){.method = "POST",
                                   .path = "/api/runbooks/execute",
                                   .body = body},
             &a);
    if (a.status == 200 || a.status == 202) {
        *ret = json_incref(a.body);
    } else {
        r = cli_explain(cli, &a, next_for(cli, path, &a));
    }
    cli_answer_deinit(&a);
    return r;
}

static int execute_plan(struct cli *cli, const char *plan, json_t **ret)
{
    if (cli_word(cli, 0) != NULL || cli_has(cli, "param") ||
        cli_has(cli, "param-file") || cli_has(cli, "dry-run")) {
        return cli_fail(cli, CLI_USAGE, "adctl runbook run --help",
                        "a plan is run as it was made: --plan stands alone");
    }
    json_auto_t *body = json_pack("{s:s}", "plan", plan);
    if (body == NULL) {
        return cli_fail(cli, CLI_USAGE, "adctl runbook run RUNBOOK --dry-run",
                        "\"%s\" is not UTF-8 text", plan);
    }
    return post_run(cli, NULL, body, ret);
}

static int execute(struct cli *cli, json_t **ret)
{
    const char *path = cli_word(cli, 0);
    const char *plan = cli_value(cli, "plan");
    if (plan != NULL) {
        return execute_plan(cli, plan, ret);
    }
    if (path == NULL) {
        return cli_fail(cli, CLI_USAGE, "adctl runbook list",
                        "say which runbook to run");
    }
    json_auto_t *list = NULL;
    json_auto_t *params = json_object();
    struct cli_answer known;
    /* Types only matter when there are values; without the list the engine
     * still checks them. */
    if (cli_has(cli, "param") || cli_has(cli, "param-file")) {
        cli_send(
            cli,
            &(struct cli_request){.method = "GET", .path = "/api/runbooks"},
            &known);
        list = json_incref(known.body);
        cli_answer_deinit(&known);
    }
    int r = add_params(cli, find_path(json_object_get(list, "runbooks"), path),
                       params);
    if (r != 0) {
        return r;
    }
    json_auto_t *body =
        json_pack("{s:s, s:O, s:b}", "runbook", path, "parameters", params,
                  "dry_run", cli_has(cli, "dry-run") ? 1 : 0);
    if (body == NULL) {
        return cli_fail(cli, CLI_USAGE, "adctl runbook list",
                        "\"%s\" is not UTF-8 text", path);
    }
    return post_run(cli, path, body, ret);
}

int cli_runbook_run(struct cli *cli)
{
    json_auto_t *answer = NULL;
    int r = execute(cli, &answer);
    if (r != 0) {
        return r;
    }
    const char *id = cli_get(cli, answer, "workflow_id");
    bool follow = cli_has(cli, "wait") && !cli_has(cli, "dry-run");
    if (follow && cli->format == CLI_JSON) {
        /* One document, at the end: the workflow. */
    } else if (cli->format == CLI_JSON || cli->format == CLI_JSONL) {
        cli_print_json(cli, answer);
    } else if (cli_has(cli, "dry-run")) {
        print_plan(cli, answer);
    } else {
        (void)fprintf(cli->out, "%s\n", id);
    }
    if (follow) {
        (void)fflush(cli->out);
        return cli_wait_workflow(cli, id);
    }
    return CLI_OK;
}
