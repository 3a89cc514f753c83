/*
 * adctl doctor: what can be seen on this machine, with or without the engine.
 */
#include "app/cli_doctor.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "app/cli_output.h"
#include "app/cli_site.h"
#include "app/config_host.h"
#include "repo/repo.h"

#define MIB (1024ULL * 1024)
#define FREE_LOW_BYTES (1024 * MIB)
#define FREE_TOO_LOW_BYTES (64 * MIB)
#define SKEW_MAX_SECONDS 5

static const char *folder_of(struct cli *cli, const char *file)
{
    const char *slash = strrchr(file, '/');
    if (slash == NULL) {
        return ".";
    }
    return slash == file ? "/"
                         : cli_text(cli, "%.*s", (int)(slash - file), file);
}

/* Problems of one kind: the first is shown, with how many there are. */
struct findings {
    struct err first;
    unsigned count;
};

static void add_finding(struct findings *f, const struct err *e)
{
    if (f->count++ == 0) {
        f->first = *e;
    }
}

static void say_findings(struct visit *v, const struct findings *f,
                         const char *next)
{
    const char *hint = f->first.hint[0] != '\0' ? f->first.hint : next;
    if (f->count == 1) {
        doctor_say(v, BAD, hint, "%s", f->first.message);
    } else if (f->count > 1) {
        doctor_say(v, BAD, hint, "%s (and %u more)", f->first.message,
                   f->count - 1);
    }
}

/* Every file of the repository, as the executor and the engine see it. */
static void look_at_repository(struct visit *v, const struct cli_site *site)
{
    struct findings trust = {.count = 0};
    struct findings reads = {.count = 0};
    struct repo *repo = NULL;
    struct generation *g = NULL;
    struct repo_changes changes;
    struct err e = ERR_INIT;
    const struct runbook_defaults defaults = config_runbook_defaults(v->config);
    const struct repo_load_options how = {
        .defaults = &defaults, .number = 1, .now_ms = v->cli->now_ms};
    if (site->repository == NULL ||
        repo_open(str_c(site->repository), &repo, &e) < 0) {
        return; /* another check tells of it */
    }
    bool known = repo_load(repo, &how, &g, &changes, &e) == 0;
    e = (struct err)ERR_INIT;
    bool whole = cli_site_trusts(site, STR(""), &e) == 0;
    if (!whole) { /* nothing in there is trusted, then */
        add_finding(&trust, &e);
    }
    for (uint32_t i = 0; known && i < g->file_count; i++) {
        const struct generation_file *f = &g->files[i];
        const char *file =
            cli_text(v->cli, "%s/%.*s", site->repository, STR_ARG(f->path));
        e = (struct err)ERR_INIT;
        if (whole && cli_site_trusts(site, f->path, &e) < 0) {
            add_finding(&trust, &e);
        }
        e = (struct err)ERR_INIT;
        if (cli_site_reads(site, file, &e) < 0) {
            add_finding(&reads, &e);
        }
    }
    generation_unref(g);
    repo_close(repo);
    const char *next =
        cli_text(v->cli, "adctl runbook validate --all %s", site->repository);
    say_findings(v, &trust, next);
    say_findings(v, &reads, next);
}

/* The engine starts without what it cannot read, or not at all. */
static void look_at_configuration(struct visit *v, const struct cli_site *site)
{
    struct findings reads = {.count = 0};
    for (size_t i = 0; v->config->files[i] != NULL; i++) {
        struct err e = ERR_INIT;
        if (cli_site_reads(site, v->config->files[i], &e) < 0) {
            add_finding(&reads, &e);
        }
    }
    say_findings(v, &reads, NULL);
}

/* Whoever writes a runbook, the state or the configuration decides what the
 * executor runs. */
void doctor_permissions(struct visit *v)
{
    const struct config *c = v->config;
    if (c == NULL) {
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
        return;
    }
    const char *file = c->files[0];
    const char *folder =
        folder_of(v->cli, file != NULL ? file : CONFIG_PATH_DEFAULT);
    struct cli_site site;
    cli_site_open(v->cli, c, &site);
    /* Of the repository the executor's own word counts, where it has one. */
    const char *paths[] = {c->state_directory, folder, file,
                           site.trusts_few ? NULL : c->repository};
    unsigned findings = v->warnings + v->bad;
    unsigned seen = site.repository != NULL;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const char *who =
            paths[i] != NULL ? config_host_writers(paths[i]) : NULL;
        seen += who != NULL;
        if (who != NULL && who[0] != '\0') {
            doctor_say(v, strcmp(who, "everybody") == 0 ? BAD : WARNING,
                       cli_text(v->cli, "chmod go-w %s", paths[i]),
                       "%s may write to %s", who, paths[i]);
        }
    }
    look_at_repository(v, &site);
    look_at_configuration(v, &site);
    cli_site_deinit(&site);
    if (seen == 0) {
        doctor_say(v, SKIPPED, NULL,
                   "there is nothing at %s, %s and %s that can be looked at",
                   c->repository, c->state_directory, folder);
    } else if (v->warnings + v->bad == findings) {
        doctor_say(v, GOOD, NULL,
                   "only owners write runbooks, state and configuration");
    }
}

/* ---- the machine ---------------------------------------------------------
 */

void doctor_space(struct visit *v)
{
    const char *folder = v->config != NULL ? v->config->state_directory : NULL;
    struct statvfs fs;
    if (doctor_is_known(v) && !doctor_is_well(v, "disk")) {
        doctor_say(v, BAD,
                   "df -h, then make room: events are taken again by itself",
                   "the disk is full: the engine refuses events (507)");
        return;
    }
    if (folder == NULL) {
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
        return;
    }
    if (statvfs(folder, &fs) < 0) {
        int error = errno;
        doctor_say(v, SKIPPED, error == EACCES ? "sudo adctl doctor" : NULL,
                   "%s: %s", folder, strerror(error));
        return;
    }
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    enum finding verdict = free_bytes < FREE_TOO_LOW_BYTES ? BAD
                           : free_bytes < FREE_LOW_BYTES   ? WARNING
                                                           : GOOD;
    doctor_say(v, verdict,
               verdict == GOOD ? NULL : cli_text(v->cli, "df -h %s", folder),
               "%llu MiB free for %s", (unsigned long long)(free_bytes / MIB),
               folder);
}

void doctor_clock(struct visit *v)
{
    struct timex t = {.modes = 0};
    int64_t now = (int64_t)(v->cli->now_ms / 1000);
    int64_t skew = v->health.date > 0 ? now - v->health.date : 0;
    if (skew > SKEW_MAX_SECONDS || skew < -SKEW_MAX_SECONDS) {
        doctor_say(v, WARNING, "timedatectl status, on both sides",
                   "this clock and the engine's differ by %lld s",
                   (long long)skew);
    } else if (adjtimex(&t) == TIME_ERROR) {
        doctor_say(v, WARNING, "timedatectl set-ntp true",
                   "nothing keeps the clock: ages may be wrong");
    } else {
        doctor_say(v, GOOD, NULL, "it is kept in step");
    }
}
