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
#include "app/cli_site.h"
#include "base/map.h"
#include "base/vec.h"
#include "match/twins.h"
#include "repo/repo.h"

/* A file of the command line that is here. */
struct here {
    const char *path;
    const char *inside; /* in the configured repository; NULL: elsewhere */
    int result;         /* of reading it */
    struct runbook *rb;
    struct runbook_report report;
};

struct tally {
    struct cli *cli;
    struct config *config;         /* NULL: there is none here */
    struct cli_site site;          /* of it */
    struct generation *repository; /* of it; NULL: not asked for yet */
    VEC(struct here) here;
    struct generation *given; /* of those that are here and load */
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

/* As the engine of the configuration loads them, if there is one. */
static struct runbook_defaults defaults_of(const struct tally *t)
{
    return t->config != NULL ? config_runbook_defaults(t->config)
                             : RUNBOOK_DEFAULTS;
}

static void load_here(struct tally *t, const char *path)
{
    const struct runbook_defaults defaults = defaults_of(t);
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    struct here h = {
        .path = path,
        .inside = t->config != NULL ? cli_site_path(&t->site, path) : NULL,
        .result = read_here(path, &text),
    };
    if (h.result == 0) {
        if (runbook_load(str_c(h.inside != NULL ? h.inside : path),
                         strbuf_str(&text), &defaults, &h.rb, &h.report) < 0) {
            h.rb = NULL; /* the report says why */
        }
    }
    VEC_PUSH(&t->here, h);
}

/* Those that load, each path once, to be looked at together. */
static void make_given(struct tally *t)
{
    VEC(struct generation_file) files = {0};
    struct map seen = MAP_INIT;
    VEC_EACH (&t->here, i) {
        const struct here *h = &t->here.at[i];
        if (h->rb != NULL && map_put(&seen, str_c(h->path), t) == NULL) {
            struct generation_file f = {.path = str_c(h->path),
                                        .state = FILE_LOADED,
                                        .runbook = runbook_ref(h->rb)};
            VEC_PUSH(&files, f);
        }
    }
    t->given = generation_new(files.at, (uint32_t)files.count, STR(""), 1,
                              t->cli->now_ms);
    VEC_DEINIT(&files);
    map_deinit(&seen);
}

static void load_all_here(struct tally *t)
{
    for (size_t i = 0; i < t->cli->words.count; i++) {
        struct stat st;
        const char *path = t->cli->words.at[i];
        if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
            load_here(t, path);
        }
    }
    make_given(t);
}

static void free_here(struct tally *t)
{
    VEC_EACH (&t->here, i) {
        runbook_unref(t->here.at[i].rb);
        runbook_report_deinit(&t->here.at[i].report);
    }
    VEC_DEINIT(&t->here);
    generation_unref(t->given);
    generation_unref(t->repository);
}

static int load_folder(const struct tally *t, const char *folder,
                       struct generation **ret, struct err *reterr)
{
    struct repo *repo = NULL;
    struct repo_changes changes;
    int r = repo_open(str_c(folder), &repo, reterr);
    if (r == 0) {
        const struct runbook_defaults defaults = defaults_of(t);
        const struct repo_load_options how = {
            .defaults = &defaults,
            .number = 1,
            .now_ms = t->cli->now_ms,
        };
        r = repo_load(repo, &how, ret, &changes, reterr);
    }
    repo_close(repo);
    return r;
}

/* ---- where it stands ------------------------------------------------------
 */

static void note_twin(struct tally *t, json_t *item, const char *path,
                      const struct generation *g,
                      const struct generation_file *f)
{
    struct err e = ERR_INIT;
    struct twin twin = {.kind = TWIN_NONE};
    if (g != NULL && f != NULL) {
        twin = generation_twin(g, f, NULL, NULL);
    }
    if (twin.kind != TWIN_NONE) {
        twin_explain(&twin, &e);
        note(t, item, path, true, &e);
    }
}

/* A file of the repository: would the executor run it, and can the engine read
 * it? */
static void note_place(struct tally *t, json_t *item, const char *path,
                       struct str inside, const struct runbook *rb)
{
    struct err e = ERR_INIT;
    if (cli_site_reads(&t->site, path, &e) < 0) {
        note(t, item, path, false, &e);
    }
    e = (struct err)ERR_INIT;
    if (cli_site_trusts(&t->site, inside, &e) < 0) {
        note(t, item, path, false, &e);
    }
    e = (struct err)ERR_INIT;
    if (rb != NULL && cli_site_permits(&t->site, rb, &e) < 0) {
        err_hint(&e, "executor.run_as_allowed in %s",
                 t->config->files[0] != NULL ? t->config->files[0]
                                             : CONFIG_PATH_DEFAULT);
        note(t, item, path, false, &e);
    }
}

/* In the repository its neighbours count, elsewhere those given with it. */
static void note_neighbours(struct tally *t, json_t *item, const char *path,
                            const char *inside)
{
    struct err ignored = ERR_INIT;
    if (inside == NULL) {
        note_twin(t, item, path, t->given,
                  generation_file(t->given, str_c(path)));
        return;
    }
    if (t->repository == NULL &&
        load_folder(t, t->site.repository, &t->repository, &ignored) < 0) {
        return; /* who may not look there is told nothing of it */
    }
    note_twin(t, item, path, t->repository,
              generation_file(t->repository, str_c(inside)));
}

static const struct here *find_here(const struct tally *t, const char *path)
{
    VEC_EACH (&t->here, i) {
        if (strcmp(t->here.at[i].path, path) == 0) {
            return &t->here.at[i];
        }
    }
    return NULL;
}

static void check_here(struct tally *t, const struct here *h)
{
    unsigned errors = t->errors;
    unsigned warnings = t->warnings;
    json_t *item = begin_file(t, h->path);
    const char *inside = h->inside;
    if (h->result < 0) {
        struct err e = ERR_INIT;
        (void)err_set(&e, h->result, "cannot read the file: %s",
                      h->result == -E2BIG ? "larger than 1 MiB"
                                          : strerror(-h->result));
        note(t, item, h->path, false, &e);
        return;
    }
    VEC_EACH (&h->report.problems, i) {
        note(t, item, h->path, h->report.problems.at[i].warning,
             &h->report.problems.at[i].err);
    }
    if (inside != NULL) {
        note_place(t, item, h->path, str_c(inside), h->rb);
    }
    if (h->rb != NULL) {
        note_neighbours(t, item, h->path, inside);
    }
    say_good(t, h->path, errors, warnings);
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
        const char *inside =
            t->config != NULL ? cli_site_path(&t->site, path) : NULL;
        if (inside != NULL) {
            /* Of a folder within it the runbooks have other names. */
            bool whole = str_eq_c(f->path, inside);
            note_place(t, item, path, str_c(inside), whole ? f->runbook : NULL);
        }
        note_twin(t, item, path, g, f);
        say_good(t, path, errors, warnings);
    }
}

static int check_folder(struct tally *t, const char *folder)
{
    struct generation *g = NULL;
    struct err e = ERR_INIT;
    int r = load_folder(t, folder, &g, &e);
    if (r < 0) {
        return cli_fail(t->cli, r == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED, NULL,
                        "%s", e.message);
    }
    check_generation(t, g, folder);
    generation_unref(g);
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
            check_here(t, find_here(t, path));
        }
    }
    return r;
}

/* The configuration says where runbooks stand and who may run as whom. One that
 * is asked for must be good; the default's own faults are for others. */
static int look_around(struct tally *t)
{
    struct cli *cli = t->cli;
    const char *path = cli_value(cli, "config");
    struct config_report report = {0};
    bool asked = path != NULL;
    if (!asked && access(CONFIG_PATH_DEFAULT, R_OK) < 0) {
        return 0;
    }
    const struct config_sources from = {
        .path = asked ? path : CONFIG_PATH_DEFAULT, .beside_engine = true};
    int r = config_load_from(&from, &t->config, &report);
    config_report_deinit(&report);
    if (r < 0) {
        return !asked ? 0
                      : cli_fail(cli, CLI_FAILED,
                                 cli_text(cli,
                                          "autonomous-devops check-config "
                                          "%s",
                                          path),
                                 "%s is no configuration to go by", path);
    }
    cli_site_open(cli, t->config, &t->site);
    return 0;
}

static int validate(struct tally *t)
{
    struct cli *cli = t->cli;
    int r = check_all(t);
    if (r != 0) {
        return r;
    }
    if (!cli_print_items(cli, t->items, NULL, "path") && t->files > 1) {
        (void)fprintf(cli->out, "%u files, %u error%s, %u warning%s\n",
                      t->files, t->errors, t->errors == 1 ? "" : "s",
                      t->warnings, t->warnings == 1 ? "" : "s");
    }
    return t->errors != 0     ? CLI_FAILED
           : t->warnings != 0 ? CLI_FINDINGS
                              : CLI_OK;
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
    int r = look_around(&t);
    if (r == 0) {
        load_all_here(&t);
        r = validate(&t);
        free_here(&t);
    }
    if (t.config != NULL) {
        cli_site_deinit(&t.site);
        config_free(t.config);
    }
    return r;
}
