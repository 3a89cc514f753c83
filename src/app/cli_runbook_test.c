/*
 * adctl runbook test: plays the `tests:` of runbooks here, in virtual time,
 * with the engine's own matcher and state machine; no engine is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_output.h"
#include "app/cli_trial.h"
#include "model/runbook_load.h"
#include "os/fd.h"
#include "os/zone.h"
#include "repo/repo.h"
#include "trial/play.h"

#define STANDARD_OUTPUT "-"

struct run {
    struct cli *cli;
    const struct event_zones *zones;
    json_t *items;
    bool shows; /* lines for people */
    unsigned files;
    unsigned untested; /* files without tests */
    unsigned passed;
    unsigned failed;
    unsigned broken; /* files that do not load */
};

static int zone_of(void *context, struct str name, int64_t seconds,
                   int32_t *ret)
{
    return zones_offset(context, name, seconds, ret);
}

static json_t *text(struct str s)
{
    return json_stringn_nocheck(s.at != NULL ? s.at : "", s.len);
}

static json_t *differences_of(const struct play_verdict *v)
{
    json_t *all = json_array();
    VEC_EACH (&v->differences, i) {
        const struct play_difference *d = &v->differences.at[i];
        (void)json_array_append_new(
            all, json_pack("{s:o, s:o, s:o}", "what", text(d->what), "expected",
                           text(d->expected), "got", text(d->got)));
    }
    return all;
}

static json_t *story_of(const struct play_verdict *v)
{
    json_t *all = json_array();
    VEC_EACH (&v->story, i) {
        (void)json_array_append_new(all, text(v->story.at[i]));
    }
    return all;
}

static void print_visible(struct cli *cli, const char *before, struct str s)
{
    CLEANUP(strbuf_deinit) struct strbuf line = STRBUF_INIT(512 * 1024);
    strbuf_addc(&line, before);
    strbuf_add_visible(&line, s);
    (void)fprintf(cli->out, "%s\n", strbuf_str(&line).at);
}

static void print_test(struct run *run, const struct runbook_test *test,
                       const struct play_verdict *v)
{
    struct cli *cli = run->cli;
    bool passed = v->differences.count == 0;
    print_visible(cli, passed ? "  ok    " : "  FAIL  ", test->name);
    if (passed) {
        return;
    }
    VEC_EACH (&v->differences, i) {
        const struct play_difference *d = &v->differences.at[i];
        print_visible(cli, "        ", d->what);
        print_visible(cli, "          expected  ", d->expected);
        print_visible(cli, "          got       ", d->got);
    }
    (void)fprintf(cli->out, "        what happened (the test is in line %u):\n",
                  test->at.line);
    VEC_EACH (&v->story, i) {
        print_visible(cli, "          ", v->story.at[i]);
    }
}

static void play_one(struct run *run, const char *path, struct runbook *rb,
                     const struct runbook_test *test)
{
    struct play_verdict v;
    play_test(rb, test, run->zones, &v);
    bool passed = v.differences.count == 0;
    run->passed += passed;
    run->failed += !passed;
    (void)json_array_append_new(
        run->items,
        json_pack("{s:s, s:o, s:i, s:b, s:f, s:o, s:o}", "path", path, "test",
                  text(test->name), "line", (int)test->at.line, "passed",
                  (int)passed, "virtual_seconds", (double)v.virtual_ms / 1000,
                  "differences", differences_of(&v), "story", story_of(&v)));
    if (run->shows) {
        print_test(run, test, &v);
    }
    play_verdict_deinit(&v);
}

static void play_runbook(struct run *run, const char *path, struct runbook *rb)
{
    run->files++;
    run->untested += rb->test_count == 0;
    if (run->shows && rb->test_count != 0) {
        print_visible(run->cli, "", str_c(path));
    }
    for (uint32_t i = 0; i < rb->test_count; i++) {
        play_one(run, path, rb, &rb->tests[i]);
    }
}

static void add_broken(struct run *run, const char *path, const struct err *e)
{
    struct cli *cli = run->cli;
    const char *why =
        cli_text(cli, "%s%s%s%s%s%s", e->field, e->field[0] != '\0' ? ": " : "",
                 e->message, e->hint[0] != '\0' ? " (" : "", e->hint,
                 e->hint[0] != '\0' ? ")" : "");
    run->files++;
    run->broken++;
    if (run->shows) {
        print_visible(cli, "",
                      str_c(cli_text(cli, "%s:%u:%u: %s", path, e->at.line,
                                     e->at.column, why)));
        print_visible(cli, "  FAIL  ", STR("it does not load"));
    }
    (void)json_array_append_new(
        run->items,
        json_pack("{s:s, s:b, s:s}", "path", path, "passed", 0, "error", why));
}

static const struct err *first_error(const struct runbook_report *r)
{
    VEC_EACH (&r->problems, i) {
        if (!r->problems.at[i].warning) {
            return &r->problems.at[i].err;
        }
    }
    return NULL;
}

static int test_file(struct run *run, const char *path)
{
    CLEANUP(strbuf_deinit)
    struct strbuf source = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    CLEANUP(os_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int r = fd < 0 ? -errno : os_read_all(fd, &source);
    if (r < 0) {
        return cli_fail(run->cli, r == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED,
                        NULL, "cannot read %s: %s", path,
                        r == -E2BIG ? "it is larger than 1 MiB" : strerror(-r));
    }
    struct runbook_report report;
    struct runbook *rb = NULL;
    if (runbook_load(str_c(path), strbuf_str(&source), &RUNBOOK_DEFAULTS, &rb,
                     &report) < 0) {
        add_broken(run, path, first_error(&report));
    } else {
        play_runbook(run, path, rb);
    }
    runbook_unref(rb);
    runbook_report_deinit(&report);
    return 0;
}

static void test_generation(struct run *run, const char *folder,
                            const struct generation *g)
{
    bool here = strcmp(folder, ".") == 0;
    for (uint32_t i = 0; i < g->file_count; i++) {
        const struct generation_file *f = &g->files[i];
        const char *path = cli_text(run->cli, "%s%s%.*s", here ? "" : folder,
                                    here ? "" : "/", STR_ARG(f->path));
        if (f->runbook == NULL) {
            add_broken(run, path, &f->problems[0]);
        } else {
            play_runbook(run, path, f->runbook);
        }
    }
}

/* The files that the engine would load from the folder. */
static int test_folder(struct run *run, const char *folder)
{
    const struct repo_load_options how = {
        .defaults = &RUNBOOK_DEFAULTS,
        .number = 1,
        .now_ms = run->cli->now_ms,
    };
    struct repo *repo = NULL;
    struct generation *g = NULL;
    struct repo_changes changes;
    struct err e = ERR_INIT;
    int r = repo_open(str_c(folder), &repo, &e);
    r = r == 0 ? repo_load(repo, &how, &g, &changes, &e) : r;
    repo_close(repo);
    if (r < 0) {
        return cli_fail(run->cli, r == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED,
                        NULL, "%s", e.message);
    }
    test_generation(run, folder, g);
    generation_unref(g);
    return 0;
}

static int test_word(struct run *run, const char *path)
{
    struct stat st;
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--; /* that completion leaves behind a folder */
    }
    path = cli_text(run->cli, "%.*s", (int)len, path);
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? test_folder(run, path)
                                                       : test_file(run, path);
}

static int write_junit(struct run *run)
{
    const char *path = cli_value(run->cli, "junit");
    CLEANUP(strbuf_deinit) struct strbuf xml = STRBUF_INIT(CLI_JUNIT_MAX_BYTES);
    if (path == NULL) {
        return 0;
    }
    cli_junit_add(run->items, &xml);
    bool standard = strcmp(path, STANDARD_OUTPUT) == 0;
    int fd = standard
                 ? STDOUT_FILENO
                 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int r = fd < 0 ? -errno : strbuf_error(&xml);
    (void)fflush(run->cli->out);
    r = r < 0 ? r : os_write_all(fd, strbuf_str(&xml));
    if (fd >= 0 && !standard) {
        os_close(fd);
    }
    return r == 0 ? 0
                  : cli_fail(run->cli, CLI_FAILED, NULL, "cannot write %s: %s",
                             path, strerror(-r));
}

static void print_sums(struct run *run)
{
    struct cli *cli = run->cli;
    (void)fprintf(cli->out, "%s in %s: %u passed, %u failed",
                  cli_count(cli, run->passed + run->failed, "test"),
                  cli_count(cli, run->files, "file"), run->passed, run->failed);
    if (run->broken != 0) {
        (void)fprintf(cli->out, ", %s not loaded",
                      cli_count(cli, run->broken, "file"));
    }
    if (run->untested != 0) {
        (void)fprintf(cli->out, "; without tests: %s",
                      cli_count(cli, run->untested, "file"));
    }
    (void)fputc('\n', cli->out);
}

static int finish(struct run *run)
{
    int r = write_junit(run);
    if (r != 0) {
        return r;
    }
    if (run->shows) {
        print_sums(run);
    } else if (run->cli->format != CLI_TABLE && run->cli->format != CLI_WIDE) {
        (void)cli_print_items(run->cli, run->items, NULL, "test");
    }
    if (run->failed != 0 || run->broken != 0) {
        return CLI_FAILED;
    }
    return run->passed != 0
               ? CLI_OK
               : cli_fail(run->cli, CLI_FINDINGS, "man 5 runbook",
                          "no test was found: they stand below tests: in a "
                          "runbook");
}

int cli_runbook_test(struct cli *cli)
{
    CLEANUP(zones_freep) struct zones *zones = zones_new(ZONES_FOLDER);
    const struct event_zones offsets = {zone_of, zones};
    json_auto_t *items = json_array();
    const char *junit = cli_value(cli, "junit");
    bool on_stdout = junit != NULL && strcmp(junit, STANDARD_OUTPUT) == 0;
    struct run run = {
        .cli = cli,
        .zones = &offsets,
        .items = items,
        .shows =
            !on_stdout && (cli->format == CLI_TABLE || cli->format == CLI_WIDE),
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < cli->words.count; i++) {
        r = test_word(&run, cli->words.at[i]);
    }
    return r != 0 ? r : finish(&run);
}
