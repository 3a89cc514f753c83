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
#include "app/config_host.h"

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
    const char *paths[] = {c->repository, c->state_directory, folder, file};
    unsigned findings = v->warnings + v->bad;
    unsigned seen = 0;
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
