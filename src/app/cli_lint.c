/*
 * adctl lint: files and folders here, without the engine. How it is printed is
 * in cli_lint_formats.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_editing.h"
#include "match/generation.h"
#include "os/fd.h"
#include "repo/repo.h"

#define STANDARD_INPUT "-"

static int read_text(const char *path, struct strbuf *out)
{
    if (strcmp(path, STANDARD_INPUT) == 0) {
        return os_read_all(STDIN_FILENO, out);
    }
    CLEANUP(os_closep) int fd = -1;
    int r = os_open_regular(path, &fd);
    return r < 0 ? r : os_read_all(fd, out);
}

static int look_at(struct cli_lint_run *run, const char *path)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    struct lint_report report;
    int r = read_text(path, &text);
    if (r < 0) {
        return cli_fail(run->cli, r == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED,
                        NULL, "cannot read %s: %s", path,
                        r == -E2BIG    ? "it is larger than 1 MiB"
                        : r == -EINVAL ? "it is no regular file"
                                       : strerror(-r));
    }
    (cli_has(run->cli, "more") ? lint_runbook_more : lint_runbook)(
        str_c(path), strbuf_str(&text), &RUNBOOK_DEFAULTS, &report);
    cli_lint_add(run, path, &report);
    lint_report_deinit(&report);
    return 0;
}

/* The files that the engine would load from the folder. */
static int look_below(struct cli_lint_run *run, const char *folder)
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
    for (uint32_t i = 0; r == 0 && i < g->file_count; i++) {
        struct str path = g->files[i].path;
        r = look_at(run,
                    strcmp(folder, ".") == 0
                        ? cli_text(run->cli, "%.*s", STR_ARG(path))
                        : cli_text(run->cli, "%s/%.*s", folder, STR_ARG(path)));
    }
    generation_unref(g);
    return r;
}

/* Without the slash that completion leaves behind a folder. */
static const char *tidy_folder(struct cli *cli, const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return cli_text(cli, "%.*s", (int)len, path);
}

static int look_at_word(struct cli_lint_run *run, const char *path)
{
    struct stat st;
    if (strcmp(path, STANDARD_INPUT) != 0 && stat(path, &st) == 0 &&
        S_ISDIR(st.st_mode)) {
        return look_below(run, tidy_folder(run->cli, path));
    }
    return look_at(run, path);
}

/* -f wins over -o; both know json. */
static const char *format_of(struct cli *cli)
{
    const char *format = cli_value(cli, "format");
    bool machine = cli->format != CLI_TABLE && cli->format != CLI_WIDE;
    return format != NULL ? format : machine ? "json" : "text";
}

int cli_lint(struct cli *cli)
{
    json_auto_t *items = json_array();
    struct cli_lint_run run = {
        .cli = cli, .items = items, .format = format_of(cli)};
    int r = 0;
    if (cli_has(cli, "rules")) {
        cli_lint_print_rules(cli);
        return CLI_OK;
    }
    if (cli->words.count == 0) {
        r = look_below(&run, ".");
    }
    for (size_t i = 0; r == 0 && i < cli->words.count; i++) {
        r = look_at_word(&run, cli->words.at[i]);
    }
    if (r != 0) {
        return r;
    }
    cli_lint_print(&run);
    return run.counts[LINT_ERROR] != 0     ? CLI_FAILED
           : run.counts[LINT_WARNING] != 0 ? CLI_FINDINGS
                                           : CLI_OK;
}
