/*
 * What a step may use at most. From the executor's own configuration, never
 * from the engine. Pure arithmetic and texts; the executor's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

/* 0: no limit but the executor's own. */
struct step_limits {
    uint64_t address_space_bytes; /* of each process */
    uint64_t cpu_ms;              /* of each process */
    uint64_t file_bytes;          /* of each file that one writes */
    uint64_t output_bytes;        /* of an attempt, kept or not */
    uint32_t open_files;          /* of each process */
    uint32_t processes;           /* of the user, all together */
};

/* As the table of options has them. */
#define STEP_LIMITS_DEFAULT                                                    \
    ((struct step_limits){.address_space_bytes = 64ULL << 30,                  \
                          .cpu_ms = 24ULL * 3600 * 1000,                       \
                          .file_bytes = 16ULL << 30,                           \
                          .output_bytes = 1ULL << 30,                          \
                          .open_files = 65536,                                 \
                          .processes = 8192})

/* One for setrlimit. */
struct step_rlimit {
    int resource;
    rlim_t soft;
    rlim_t hard;
};

#define STEP_RLIMITS_MAX 8

/* Fills ret; returns how many there are. Those of the kernel's that are not
 * configured (no core file, little locked memory) are among them. */
size_t step_rlimits(const struct step_limits *l,
                    struct step_rlimit ret[STEP_RLIMITS_MAX]);

/* How a step ended that nobody stopped. */
struct step_end {
    int exit_code;       /* -1: by a signal */
    int signal;          /* 0: none */
    uint64_t cpu_ms;     /* that it and those it waited for have used */
    bool wrote_too_much; /* it was ended for that */
};

#define STEP_LIMIT_TEXT_SIZE 160

/* Did a limit end it? Then also which one, as a sentence that names the
 * option. What a program makes of a refused allocation, open file or process
 * is its own exit status: that cannot be told from any other. */
bool step_limit_hit(const struct step_limits *l, const struct step_end *end,
                    char ret[STEP_LIMIT_TEXT_SIZE]);
