#include "proc/limits.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/attr.h"
#include "data/duration.h"

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* select() cannot have more: who can says so by raising the soft limit. */
#define OPEN_FILES_AT_FIRST 1024
/* From SIGXCPU, which can be caught, to SIGKILL. */
#define CPU_GRACE_S 5
#define SHELL_SIGNAL_BASE 128 /* how a shell tells the signal of its child */
#define SIZE_TEXT_SIZE 32

static rlim_t or_none(uint64_t value)
{
    return value != 0 ? (rlim_t)value : RLIM_INFINITY;
}

size_t step_rlimits(const struct step_limits *l,
                    struct step_rlimit ret[STEP_RLIMITS_MAX])
{
    rlim_t space = or_none(l->address_space_bytes);
    rlim_t file = or_none(l->file_bytes);
    rlim_t users = or_none(l->processes);
    rlim_t files = or_none(l->open_files);
    rlim_t cpu = or_none((l->cpu_ms + 999) / 1000);
    const struct step_rlimit all[] = {
        {RLIMIT_CORE, 0, 0},
        {RLIMIT_MEMLOCK, 64 * KIB, 8 * MIB},
        {RLIMIT_NOFILE, MIN(files, (rlim_t)OPEN_FILES_AT_FIRST), files},
        {RLIMIT_NPROC, users, users}, /* root has none */
        {RLIMIT_FSIZE, file, file},
        {RLIMIT_AS, space, space},
        {RLIMIT_CPU, cpu, cpu == RLIM_INFINITY ? cpu : cpu + CPU_GRACE_S},
    };
    _Static_assert(ARRAY_LEN(all) <= STEP_RLIMITS_MAX, "they fit");
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        ret[i] = all[i];
    }
    return ARRAY_LEN(all);
}

/* ---- what ended it -------------------------------------------------------
 */

static const char *size_text(uint64_t bytes, char ret[SIZE_TEXT_SIZE])
{
    static const struct {
        uint64_t bytes;
        const char *name;
    } units[] = {{GIB, "GiB"}, {MIB, "MiB"}, {KIB, "KiB"}, {1, "bytes"}};
    size_t i = 0;
    while (bytes % units[i].bytes != 0) {
        i++;
    }
    (void)snprintf(ret, SIZE_TEXT_SIZE, "%" PRIu64 " %s",
                   bytes / units[i].bytes, units[i].name);
    return ret;
}

/* Its own process, or one that its shell has waited for last. */
static bool ended_by(const struct step_end *end, int signal)
{
    return end->signal == signal ||
           (end->signal == 0 && end->exit_code == SHELL_SIGNAL_BASE + signal);
}

static bool used_its_cpu(const struct step_limits *l,
                         const struct step_end *end)
{
    return l->cpu_ms != 0 &&
           (ended_by(end, SIGXCPU) ||
            (ended_by(end, SIGKILL) && end->cpu_ms >= l->cpu_ms));
}

bool step_limit_hit(const struct step_limits *l, const struct step_end *end,
                    char ret[STEP_LIMIT_TEXT_SIZE])
{
    char size[SIZE_TEXT_SIZE];
    char time[DURATION_TEXT_SIZE];
    if (end->wrote_too_much) {
        (void)snprintf(ret, STEP_LIMIT_TEXT_SIZE,
                       "it wrote more than %s (executor.limits.output)",
                       size_text(l->output_bytes, size));
        return true;
    }
    if (used_its_cpu(l, end)) {
        duration_format(l->cpu_ms, time);
        (void)snprintf(ret, STEP_LIMIT_TEXT_SIZE,
                       "a process of it has used %s of CPU time "
                       "(executor.limits.cpu_time)",
                       time);
        return true;
    }
    if (l->file_bytes != 0 && ended_by(end, SIGXFSZ)) {
        (void)snprintf(ret, STEP_LIMIT_TEXT_SIZE,
                       "a process of it wrote a file of more than %s "
                       "(executor.limits.file_size)",
                       size_text(l->file_bytes, size));
        return true;
    }
    return false;
}
