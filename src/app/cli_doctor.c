/*
 * adctl doctor: one check after another, each with what to do. Those that
 * need no engine look at this machine, so that they also help while it is
 * down.
 */
#include "app/cli_doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "app/config.h"
#include "app/config_files.h"
#include "match/twins.h"
#include "repo/repo.h"

#define QUEUE_LONG 0.5 /* of its limit */

static const char *const verdict_names[] = {"ok", "warning", "failed",
                                            "skipped"};

void doctor_say(struct visit *v, enum finding verdict, const char *next,
                const char *fmt, ...)
{
    struct strbuf raw = STRBUF_INIT(16 * 1024);
    va_list args;
    va_start(args, fmt);
    strbuf_addv(&raw, fmt, args);
    va_end(args);
    json_t *item = json_pack("{s:s, s:s, s:s*, s:s?}", "check", v->check,
                             "status", verdict_names[verdict], "detail",
                             strbuf_str(&raw).at, "next", next);
    v->bad += verdict == BAD ? 1 : 0;
    v->warnings += verdict == WARNING ? 1 : 0;
    if (item != NULL) {
        (void)json_array_append_new(v->items, item);
    }
    strbuf_deinit(&raw);
}

const json_t *doctor_health(const struct visit *v, const char *name)
{
    return json_object_get(json_object_get(v->health.body, "checks"), name);
}

bool doctor_is_well(const struct visit *v, const char *name)
{
    return json_is_true(json_object_get(doctor_health(v, name), "ok"));
}

bool doctor_is_known(const struct visit *v)
{
    return doctor_health(v, "store") != NULL;
}

/* ---- the engine --------------------------------------------------------- */

static void check_server(struct visit *v)
{
    struct cli *cli = v->cli;
    struct cli_answer a;
    cli_send(cli, &(struct cli_request){.method = "GET", .path = "/-/healthy"},
             &a);
    if (a.status == 200 || a.status == 503) {
        doctor_say(v, GOOD, NULL, "%s answers", cli->server);
    } else if (a.status != 0) {
        doctor_say(v, BAD, "adctl doctor --server URL",
                   "what answers at %s is not the engine", cli->server);
    } else {
        doctor_say(v, BAD,
                   cli_is_here(cli)
                       ? "systemctl status autonomous-devops, or journalctl -u "
                         "autonomous-devops -n 50"
                       : "adctl doctor on the engine's own machine",
                   "%s: %s", cli->server, a.why);
    }
    cli_answer_deinit(&a);
}

static void check_access(struct visit *v)
{
    struct cli *cli = v->cli;
    cli_send(cli, &(struct cli_request){.method = "GET", .path = "/api/health"},
             &v->health);
    if (v->health.status == 0) {
        doctor_say(v, SKIPPED, NULL, "the engine is not reachable");
    } else if (v->health.status == 401 || v->health.status == 403) {
        const char *why = cli_get_raw(v->health.body, "error");
        doctor_say(
            v, BAD,
            "sudo adctl doctor, join the group autonomous-devops, or give "
            "--token-file FILE",
            "%s", why != NULL ? why : "the engine does not know you");
    } else if (doctor_is_known(v)) {
        doctor_say(v, GOOD, NULL, "the engine answers you");
    } else {
        doctor_say(v, BAD, "adctl doctor --server URL",
                   "%s/api/health answered %ld", cli->server, v->health.status);
    }
}

static void check_version(struct visit *v)
{
    const char *engine = cli_get_raw(v->health.body, "version");
    if (engine == NULL) {
        doctor_say(v, SKIPPED, NULL, "the engine's is not known");
    } else if (strcmp(engine, ADP_VERSION) == 0) {
        doctor_say(v, GOOD, NULL, "%s, the same as the engine's", ADP_VERSION);
    } else {
        doctor_say(v, WARNING, "install the same package on both sides",
                   "adctl is %s, the engine %s", ADP_VERSION, engine);
    }
}

/* What a check of the engine says of itself; false: nothing. */
static bool say_as_told(struct visit *v, const json_t *check)
{
    const char *warning = cli_get_raw(check, "warning");
    const char *error = cli_get_raw(check, "error");
    const char *next = cli_get_raw(check, "hint");
    bool ok = json_is_true(json_object_get(check, "ok"));
    if (ok && warning != NULL) {
        doctor_say(v, WARNING, next, "%s", warning);
    } else if (!ok) {
        doctor_say(v, BAD, next, "%s",
                   error != NULL ? error : "the engine says no more of it");
    }
    return !ok || warning != NULL;
}

/* What the engine has read is not what a file says now. */
static void check_in_force(struct visit *v)
{
    const json_t *known = doctor_health(v, "config");
    if (known == NULL) {
        doctor_say(v, SKIPPED, NULL, "the engine does not say");
    } else if (!say_as_told(v, known)) {
        doctor_say(v, GOOD, NULL, "the configuration was loaded %s ago",
                   cli_age(v->cli, known, "loaded_at"));
    }
}

static void check_store(struct visit *v)
{
    const json_t *restored =
        json_object_get(doctor_health(v, "store"), "restored");
    if (!doctor_is_known(v)) {
        doctor_say(v, SKIPPED, NULL, "the engine does not say");
    } else if (doctor_is_well(v, "store") && !doctor_is_well(v, "disk")) {
        doctor_say(v, BAD, NULL, "it refuses events: the disk is full");
    } else if (doctor_is_well(v, "store")) {
        doctor_say(v, GOOD, NULL, "it takes events");
    } else if (json_is_object(restored)) {
        doctor_say(v, WARNING,
                   "adctl backup acknowledge, once what is held is known",
                   "restored from %s; it takes events",
                   cli_get(v->cli, restored, "backup"));
    } else {
        doctor_say(v, BAD,
                   "journalctl -u autonomous-devops -n 50, then restart it",
                   "it has failed: no event is accepted");
    }
}

static void check_executor(struct visit *v)
{
    if (!doctor_is_known(v)) {
        doctor_say(v, SKIPPED, NULL, "the engine does not say");
    } else if (doctor_is_well(v, "executor")) {
        doctor_say(v, GOOD, NULL, "it is connected");
    } else {
        doctor_say(v, BAD, "journalctl -t autonomous-devops -n 50",
                   "it is not connected: no step can run");
    }
}

static void check_queue(struct visit *v)
{
    const json_t *queue = doctor_health(v, "queue");
    double depth = cli_get_number(queue, "depth");
    double limit = cli_get_number(queue, "limit");
    if (!doctor_is_known(v)) {
        doctor_say(v, SKIPPED, NULL, "the engine does not say");
    } else if (json_is_true(json_object_get(queue, "paused"))) {
        doctor_say(
            v, BAD, "adctl queue resume", "paused by %s: %s, nothing starts%s",
            cli_who(v->cli, queue, "paused_by"),
            depth == 1 ? "1 event waits"
                       : cli_text(v->cli, "%.0f events wait", depth),
            depth >= limit ? "; it is full: new events are refused (503)" : "");
    } else if (!doctor_is_well(v, "queue")) {
        doctor_say(v, BAD, "adctl event list --status queued",
                   "full: %.0f events wait, new ones are refused (503)", depth);
    } else {
        doctor_say(v, depth > limit * QUEUE_LONG ? WARNING : GOOD,
                   depth > limit * QUEUE_LONG
                       ? "adctl event list --status queued"
                       : NULL,
                   "%.0f of at most %.0f events wait", depth, limit);
    }
}

/* What waits for a person. */
static void check_people(struct visit *v)
{
    static const struct {
        const char *ledger, *word, *next, *one, *text;
    } rows[] = {
        {"workflows", "held", "adctl workflow list --status held", "workflow",
         "held for a decision"},
        {"events", "poison", "adctl event list --status poison", "event",
         "set aside: processing failed"},
    };
    const json_t *ledger = json_object_get(v->metrics, "ledger");
    unsigned before = v->warnings;
    if (ledger == NULL) {
        doctor_say(v, SKIPPED, NULL, "the engine does not say");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double count = cli_get_number(json_object_get(ledger, rows[i].ledger),
                                      rows[i].word);
        if (count > 0) {
            doctor_say(v, WARNING, rows[i].next, "%s %s",
                       cli_count(v->cli, count, rows[i].one), rows[i].text);
        }
    }
    if (v->warnings == before) {
        doctor_say(v, GOOD, NULL, "nothing waits for a decision");
    }
}

static void check_integrations(struct visit *v)
{
    const json_t *known = doctor_health(v, "integrations");
    double used = cli_get_number(known, "used");
    if (known == NULL) {
        doctor_say(v, SKIPPED, NULL, "the engine does not say");
    } else if (!say_as_told(v, known)) {
        doctor_say(v, GOOD, NULL, "%s",
                   used > 0
                       ? cli_text(v->cli, "%.0f in use, none unhealthy", used)
                       : "none is in use");
    }
}

/* Whatever else the engine looks at. */
static void check_others(struct visit *v)
{
    static const char *const told[] = {"store",    "disk",        "executor",
                                       "runbooks", "config",      "queue",
                                       "backup",   "integrations"};
    const char *name = NULL;
    json_t *check = NULL;
    json_object_foreach (json_object_get(v->health.body, "checks"), name,
                         check) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(told); i++) {
            known = known || strcmp(told[i], name) == 0;
        }
        if (!known) {
            v->check = cli_text(v->cli, "%s", name);
            (void)say_as_told(v, check);
        }
    }
}

/* ---- this machine ------------------------------------------------------- */

const char *doctor_config_path(const struct visit *v)
{
    const char *path = cli_value(v->cli, "config");
    if (path != NULL) {
        return path;
    }
    return access(CONFIG_PATH_DEFAULT, F_OK) == 0 ? CONFIG_PATH_DEFAULT : NULL;
}

/* The engine of this configuration is the one to ask, unless the caller names
 * another: what is told next must be about one engine. */
static void take_server(struct visit *v)
{
    struct cli *cli = v->cli;
    const struct config *c = v->config;
    const char *given = getenv("AD_SERVER");
    const char *url =
        config_server_url(c->listen, c->tls_cert != NULL, &cli->arena);
    if (url != NULL && cli_value(cli, "server") == NULL &&
        (given == NULL || given[0] == '\0')) {
        cli->server = url;
        cli->configured = true;
    }
}

static size_t count_remarks(const struct config_report *report)
{
    size_t count = 0;
    VEC_EACH (&report->problems, i) {
        count += report->problems.at[i].remark ? 1 : 0;
    }
    return count;
}

static void check_config(struct visit *v)
{
    struct config_report report = {0};
    const char *path = doctor_config_path(v);
    if (!cli_is_here(v->cli)) {
        v->no_config = "the engine is on another machine";
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
        return;
    }
    v->no_config = "the configuration cannot be read";
    int r = config_load(path, &v->config, &report);
    const char *next = cli_text(v->cli, "autonomous-devops check-config %s",
                                path != NULL ? path : "");
    size_t remarks = count_remarks(&report);
    if (r == 0) {
        take_server(v);
    }
    if (r == -ENOENT || (path != NULL && access(path, F_OK) < 0)) {
        doctor_say(v, BAD, "adctl doctor --config FILE", "there is no file %s",
                   path);
    } else if (r == -EACCES) {
        doctor_say(v, WARNING, "sudo adctl doctor", "%s may not be read by you",
                   path);
    } else if (r < 0) {
        doctor_say(v, BAD, next, "%s has %s", path,
                   cli_count(v->cli, report.error_count, "error"));
    } else if (report.problems.count > remarks) {
        doctor_say(v, WARNING, next, "%s has %s", path,
                   cli_count(v->cli, (double)(report.problems.count - remarks),
                             "warning"));
    } else if (remarks != 0) {
        doctor_say(v, GOOD, next, "%s, with %s", path,
                   cli_count(v->cli, (double)remarks, "remark"));
    } else {
        doctor_say(v, GOOD, NULL, "%s",
                   path != NULL ? path : "no file: the defaults are in force");
    }
    config_report_deinit(&report);
}

static void say_runbook_warnings(struct visit *v, const char *first,
                                 unsigned count, const char *next)
{
    if (count != 0) {
        doctor_say(v, WARNING, next, "%s%s", first,
                   count > 1 ? cli_text(v->cli, " (and %u more)", count - 1)
                             : "");
    }
}

static void count_rejected(struct visit *v, const struct generation *g)
{
    uint32_t rejected = 0;
    const struct generation_file *first = NULL;
    for (uint32_t i = 0; i < g->file_count; i++) {
        if (g->files[i].state != FILE_LOADED) {
            rejected++;
            first = first != NULL ? first : &g->files[i];
        }
    }
    if (first != NULL) {
        doctor_say(v, BAD,
                   cli_text(v->cli, "adctl runbook validate --all %s",
                            v->config->repository),
                   "%u of %u files have errors, %.*s first", rejected,
                   g->file_count, STR_ARG(first->path));
    } else {
        doctor_say(v, g->file_count != 0 ? GOOD : WARNING,
                   g->file_count != 0
                       ? NULL
                       : cli_text(v->cli, "put a runbook into %s",
                                  v->config->repository),
                   "%u runbooks in %s", g->file_count, v->config->repository);
    }
}

/* Of all of them: which are disabled is the engine's to know. */
static void tell_neighbours(struct visit *v, const struct generation *g)
{
    const char *first = NULL;
    unsigned count = 0;
    for (uint32_t i = 0; i < g->file_count; i++) {
        struct err e = ERR_INIT;
        struct twin t = generation_twin(g, &g->files[i], NULL, NULL);
        if (t.kind != TWIN_NONE && count++ == 0) {
            twin_explain(&t, &e);
            first = cli_text(v->cli, "%.*s: %s", STR_ARG(g->files[i].path),
                             e.message);
        }
    }
    say_runbook_warnings(v, first, count,
                         cli_text(v->cli, "adctl runbook validate --all %s",
                                  v->config->repository));
}

/* The files themselves, when the engine cannot be asked. */
static void check_repository(struct visit *v)
{
    struct repo *repo = NULL;
    struct generation *g = NULL;
    struct repo_changes changes;
    struct err e = ERR_INIT;
    int r = repo_open(str_c(v->config->repository), &repo, &e);
    if (r == 0) {
        const struct runbook_defaults defaults =
            config_runbook_defaults(v->config);
        const struct repo_load_options how = {
            .defaults = &defaults,
            .number = 1,
            .now_ms = v->cli->now_ms,
        };
        r = repo_load(repo, &how, &g, &changes, &e);
    }
    if (r == 0) {
        count_rejected(v, g);
        tell_neighbours(v, g);
        generation_unref(g);
    } else {
        const char *file = v->config->files[0];
        doctor_say(v, BAD,
                   file != NULL ? cli_text(v->cli,
                                           "mend runbooks.repository in %s, or "
                                           "make the folder",
                                           file)
                                : "adctl doctor --config FILE",
                   "%s", e.message);
    }
    repo_close(repo);
}

/* The first that the executor will not run, and how many there are. */
static void tell_refused(struct visit *v, const json_t *runbooks, double count)
{
    size_t i = 0;
    json_t *rb = NULL;
    json_array_foreach (runbooks, i, rb) {
        const char *path = cli_get(v->cli, rb, "path");
        if (strcmp(cli_get(v->cli, rb, "state"), "refused") == 0) {
            doctor_say(v, BAD, cli_text(v->cli, "adctl runbook show %s", path),
                       "the executor refuses %s%s: %s", path,
                       count > 1 ? cli_text(v->cli, " and %.0f more", count - 1)
                                 : "",
                       cli_get(v->cli, rb, "refusal"));
            return;
        }
    }
    doctor_say(v, BAD, "adctl runbook list", "the executor refuses %.0f",
               count);
}

static void tell_runbook_warnings(struct visit *v, const json_t *runbooks)
{
    const char *first = NULL;
    unsigned count = 0;
    size_t i = 0;
    json_t *rb = NULL;
    json_array_foreach (runbooks, i, rb) {
        const json_t *list = json_object_get(rb, "warnings");
        if (json_array_size(list) != 0 && count++ == 0) {
            first =
                cli_text(v->cli, "%s: %s", cli_get(v->cli, rb, "path"),
                         cli_get(v->cli, json_array_get(list, 0), "message"));
        }
    }
    say_runbook_warnings(v, first, count, "adctl runbook list");
}

/* What the engine has loaded. */
static void check_loaded(struct visit *v, const json_t *known)
{
    double disabled = cli_get_number(known, "disabled");
    double rejected = cli_get_number(known, "rejected");
    double refused = cli_get_number(known, "refused");
    struct cli_answer list;
    cli_send(v->cli,
             &(struct cli_request){.method = "GET", .path = "/api/runbooks"},
             &list);
    const json_t *runbooks = json_object_get(list.body, "runbooks");
    bool stale = json_is_true(json_object_get(known, "stale"));
    bool told = stale && say_as_told(v, known);
    if (!told && (rejected > 0 || refused == 0)) {
        doctor_say(v,
                   rejected > 0   ? BAD
                   : disabled > 0 ? WARNING
                                  : GOOD,
                   rejected > 0 || disabled > 0 ? "adctl runbook list" : NULL,
                   "%.0f in force, %.0f rejected%s",
                   cli_get_number(known, "loaded") - disabled, rejected,
                   disabled > 0 ? cli_text(v->cli, ", %.0f disabled", disabled)
                                : "");
    }
    if (refused > 0) {
        tell_refused(v, runbooks, refused);
    }
    tell_runbook_warnings(v, runbooks);
    cli_answer_deinit(&list);
}

static void check_runbooks(struct visit *v)
{
    const json_t *known = doctor_health(v, "runbooks");
    if (known != NULL) {
        check_loaded(v, known);
    } else if (v->config != NULL) {
        check_repository(v);
    } else {
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
    }
}

/* ---- the command -------------------------------------------------------- */

/* In this order: later ones use what earlier ones found. */
static const struct {
    const char *name;
    void (*run)(struct visit *v);
} checks[] = {
    {"configuration", check_config},
    {"service", doctor_service},
    {"server", check_server},
    {"access", check_access},
    {"version", check_version},
    {"in force", check_in_force},
    {"store", check_store},
    {"executor", check_executor},
    {"queue", check_queue},
    {"runbooks", check_runbooks},
    {"integrations", check_integrations},
    {"permissions", doctor_permissions},
    {"steps", doctor_steps},
    {"programs", doctor_programs},
    {"folders", doctor_folders},
    {"backups", doctor_backups},
    {"disk space", doctor_space},
    {"clock", doctor_clock},
    {"decisions", check_people},
    {"others", check_others},
};

static void print_checks(const struct visit *v)
{
    struct cli *cli = v->cli;
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach (v->items, i, item) {
        struct strbuf line = STRBUF_INIT(4096);
        const char *status = cli_get(cli, item, "status");
        const char *next = cli_get(cli, item, "next");
        cli_add_status(cli, &line, status);
        (void)fprintf(cli->out, "%s%*s%-14s%s\n", strbuf_str(&line).at,
                      (int)(strlen("warning") - strlen(status) + 2), "",
                      cli_get(cli, item, "check"),
                      cli_get(cli, item, "detail"));
        if (next[0] != '\0') {
            (void)fprintf(cli->out, "%11stry: %s\n", "", next);
        }
        strbuf_deinit(&line);
    }
}

static json_t *fetch_metrics(struct visit *v)
{
    struct cli_answer a;
    cli_send(v->cli,
             &(struct cli_request){.method = "GET", .path = "/api/metrics"},
             &a);
    json_t *metrics = a.status == 200 ? json_incref(a.body) : NULL;
    cli_answer_deinit(&a);
    return metrics;
}

int cli_doctor(struct cli *cli)
{
    json_auto_t *items = json_array();
    struct visit v = {.cli = cli, .items = items};
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        v.check = checks[i].name;
        checks[i].run(&v);
        if (i == 0) { /* the configuration says whom to ask */
            v.metrics = fetch_metrics(&v);
        }
    }
    if (!cli_print_items(cli, items, NULL, "check")) {
        print_checks(&v);
    }
    json_decref(v.metrics);
    cli_answer_deinit(&v.health);
    config_free(v.config);
    return v.bad != 0 ? CLI_FAILED : v.warnings != 0 ? CLI_FINDINGS : CLI_OK;
}
