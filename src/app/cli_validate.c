/*
 * adctl runbook validate: files here by the loader itself, so that it works
 * with the engine down and before a commit; other paths by the engine.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "match/generation.h"
#include "repo/repo.h"

struct tally {
    struct cli *cli;
    json_t *items; /* {path, valid, errors, warnings} for machine formats */
    unsigned files;
    unsigned errors;
    unsigned warnings;
};

/* "path:line:column: error: field: message (hint)". */
static void print_problem(struct tally *t, const char *path, bool warning,
                          const struct err *e)
{
    struct cli *cli = t->cli;
    struct strbuf line = STRBUF_INIT(16 * 1024);
    strbuf_add_visible(&line, str_c(path));
    if (e->at.line != 0) {
        strbuf_addf(&line, ":%u:%u", e->at.line, e->at.column);
    }
    strbuf_addf(&line, ": %s: ", warning ? "warning" : "error");
    if (e->field[0] != '\0') {
        strbuf_add_visible(&line, str_c(e->field));
        strbuf_addc(&line, ": ");
    }
    strbuf_add_visible(&line, str_c(e->message));
    if (e->hint[0] != '\0') {
        strbuf_addc(&line, " (");
        strbuf_add_visible(&line, str_c(e->hint));
        strbuf_addc(&line, ")");
    }
    if (cli->format == CLI_TABLE || cli->format == CLI_WIDE) {
        (void)fprintf(cli->out, "%s\n", line.at);
    }
    strbuf_deinit(&line);
    *(warning ? &t->warnings : &t->errors) += 1;
}

static void record(struct tally *t, json_t *item, bool warning,
                   const struct err *e)
{
    json_t *p = json_pack("{s:i, s:i, s:s, s:s, s:s}", "line", (int)e->at.line,
                          "column", (int)e->at.column, "field", e->field,
                          "message", e->message, "hint", e->hint);
    const char *key = warning ? "warnings" : "errors";
    (void)json_array_append_new(json_object_get(item, key),
                                p != NULL ? p : json_object());
    if (!warning) {
        (void)json_object_set_new(item, "valid", json_false());
    }
    (void)t;
}

static json_t *begin_file(struct tally *t, const char *path)
{
    json_t *item = json_pack("{s:s, s:b, s:[], s:[]}", "path", path, "valid", 1,
                             "errors", "warnings");
    t->files++;
    if (item == NULL) {
        item = json_object(); /* a path that is not UTF-8 */
    }
    (void)json_array_append_new(t->items, item);
    return item;
}

static void note(struct tally *t, json_t *item, const char *path, bool warning,
                 const struct err *e)
{
    record(t, item, warning, e);
    print_problem(t, path, warning, e);
}

static void say_good(struct tally *t, const char *path, unsigned errors,
                     unsigned warnings)
{
    struct cli *cli = t->cli;
    if (t->errors == errors && t->warnings == warnings &&
        (cli->format == CLI_TABLE || cli->format == CLI_WIDE)) {
        struct strbuf safe = STRBUF_INIT(16 * 1024);
        strbuf_add_visible(&safe, str_c(path));
        (void)fprintf(cli->out, "%s: ok\n", strbuf_str(&safe).at);
        strbuf_deinit(&safe);
    }
}

/* ---- files here --------------------------------------------------------- */

static int read_here(const char *path, struct strbuf *text)
{
    char room[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t len = fd >= 0 ? 1 : -1;
    while (len > 0 && !text->full) {
        len = read(fd, room, sizeof(room));
        if (len > 0) {
            strbuf_add(text, str_n(room, (size_t)len));
        }
    }
    int r = len < 0 ? -errno : text->full ? -E2BIG : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return r;
}

static void check_here(struct tally *t, const char *path)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    struct runbook_report report = {0};
    struct runbook *rb = NULL;
    unsigned errors = t->errors;
    unsigned warnings = t->warnings;
    json_t *item = begin_file(t, path);
    int r = read_here(path, &text);
    if (r < 0) {
        struct err e = ERR_INIT;
        (void)err_set(&e, r, "cannot read the file: %s",
                      r == -E2BIG ? "larger than 1 MiB" : strerror(-r));
        note(t, item, path, false, &e);
        return;
    }
    r = runbook_load(str_c(path), strbuf_str(&text), &RUNBOOK_DEFAULTS, &rb,
                     &report);
    VEC_EACH (&report.problems, i) {
        note(t, item, path, report.problems.at[i].warning,
             &report.problems.at[i].err);
    }
    if (r == 0) {
        runbook_unref(rb);
    }
    say_good(t, path, errors, warnings);
    runbook_report_deinit(&report);
}

/* ---- a folder ----------------------------------------------------------- */

static void check_generation(struct tally *t, const struct generation *g,
                             const char *folder)
{
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct generation_file *f = &g->files[i];
        const char *path =
            cli_text(t->cli, "%s/%.*s", folder, STR_ARG(f->path));
        unsigned errors = t->errors;
        unsigned warnings = t->warnings;
        json_t *item = begin_file(t, path);
        for (uint32_t p = 0; p < f->problem_count; p++) {
            /* Only a file that was refused has errors. */
            note(t, item, path, f->state == FILE_LOADED, &f->problems[p]);
        }
        say_good(t, path, errors, warnings);
    }
}

static int check_folder(struct tally *t, const char *folder)
{
    struct repo *repo = NULL;
    struct generation *g = NULL;
    struct repo_changes changes;
    struct err e = ERR_INIT;
    int r = repo_open(str_c(folder), &repo, &e);
    if (r == 0) {
        const struct repo_load_options how = {
            .defaults = &RUNBOOK_DEFAULTS,
            .number = 1,
            .now_ms = t->cli->now_ms,
        };
        r = repo_load(repo, &how, &g, &changes, &e);
    }
    if (r == 0) {
        check_generation(t, g, folder);
        generation_unref(g);
    }
    repo_close(repo);
    if (r < 0) {
        return cli_fail(t->cli, r == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED, NULL,
                        "%s", e.message);
    }
    return 0;
}

/* ---- the engine's repository -------------------------------------------- */

static void take_remote(struct tally *t, json_t *item, const char *path,
                        const json_t *list, bool warning)
{
    size_t i = 0;
    json_t *p = NULL;
    json_array_foreach (list, i, p) {
        struct err e = ERR_INIT;
        e.at.line = (uint32_t)cli_get_number(p, "line");
        e.at.column = (uint32_t)cli_get_number(p, "column");
        err_field(&e, "%s", cli_get(t->cli, p, "field"));
        err_hint(&e, "%s", cli_get(t->cli, p, "hint"));
        (void)err_set(&e, -EINVAL, "%s", cli_get(t->cli, p, "message"));
        note(t, item, path, warning, &e);
    }
}

/* The file is not here; when the engine cannot say either, that is the news. */
static int ask_engine(struct cli *cli, const char *path, const json_t *body,
                      json_t **ret)
{
    struct cli_answer a;
    int r = 0;
    if (path[0] == '/') {
        return cli_fail(cli, CLI_NOT_FOUND, NULL, "there is no file %s", path);
    }
    cli_send(cli,
             &(struct cli_request){.method = "POST",
                                   .path = "/api/runbooks/validate",
                                   .body = body},
             &a);
    if (a.status == 200) {
        *ret = json_incref(a.body);
    } else if (a.status == 0) {
        r = cli_fail(cli, CLI_UNREACHABLE, "adctl doctor",
                     "there is no file %s here, and the engine at %s cannot be "
                     "asked for it: %s",
                     path, cli->server, a.why);
    } else {
        r = cli_explain(cli, &a, "adctl runbook list");
    }
    cli_answer_deinit(&a);
    return r;
}

static int check_remote(struct tally *t, const char *path)
{
    json_auto_t *answer = NULL;
    json_auto_t *body = json_pack("{s:s}", "runbook_path", path);
    if (body == NULL) {
        return cli_fail(t->cli, CLI_USAGE, NULL, "\"%s\" is not UTF-8 text",
                        path);
    }
    int r = ask_engine(t->cli, path, body, &answer);
    if (r != 0) {
        return r;
    }
    unsigned errors = t->errors;
    unsigned warnings = t->warnings;
    json_t *item = begin_file(t, path);
    take_remote(t, item, path, json_object_get(answer, "errors"), false);
    take_remote(t, item, path, json_object_get(answer, "warnings"), true);
    say_good(t, path, errors, warnings);
    return 0;
}

/* ---- the command -------------------------------------------------------- */

static int check_all(struct tally *t)
{
    struct cli *cli = t->cli;
    const char *folder = cli_value(cli, "all");
    int r = folder != NULL ? check_folder(t, folder) : 0;
    for (size_t i = 0; r == 0 && i < cli->words.count; i++) {
        const char *path = cli->words.at[i];
        struct stat st;
        if (stat(path, &st) != 0) {
            r = check_remote(t, path);
        } else if (S_ISDIR(st.st_mode)) {
            r = cli_fail(cli, CLI_USAGE,
                         cli_text(cli, "adctl runbook validate --all %s", path),
                         "%s is a folder", path);
        } else {
            check_here(t, path);
        }
    }
    return r;
}

int cli_runbook_validate(struct cli *cli)
{
    json_auto_t *items = json_array();
    struct tally t = {.cli = cli, .items = items};
    if (cli->words.count == 0 && !cli_has(cli, "all")) {
        return cli_fail(cli, CLI_USAGE, "adctl runbook validate --all .",
                        "name a file, a path of the repository, or --all "
                        "DIR");
    }
    int r = check_all(&t);
    if (r != 0) {
        return r;
    }
    if (!cli_print_items(cli, items, NULL, "path") && t.files > 1) {
        (void)fprintf(cli->out, "%u files, %u error%s, %u warning%s\n", t.files,
                      t.errors, t.errors == 1 ? "" : "s", t.warnings,
                      t.warnings == 1 ? "" : "s");
    }
    return t.errors != 0 ? CLI_FAILED : t.warnings != 0 ? CLI_FINDINGS : CLI_OK;
}
