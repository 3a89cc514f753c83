/*
 * adctl: the command line. What one run of it knows, how it ends, and the
 * words it was given. The commands stand in one table (cli_commands.h) from
 * which parsing, help, completion and the manual page derive.
 *
 * One thread. Strings of the command line live as long as the run; everything
 * else that a command makes goes into the run's arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/vec.h"

/* How a run ends: adctl help exit-codes, adctl(1). */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_FINDINGS = 3,
    CLI_DENIED = 4,
    CLI_NOT_FOUND = 5,
    CLI_CONFLICT = 6,
    CLI_TIMEOUT = 7,
    CLI_PENDING = 8,
    CLI_UNREACHABLE = 9
};

enum cli_format {
    CLI_TABLE,
    CLI_WIDE,
    CLI_JSON,
    CLI_JSONL,
    CLI_NAME,
    CLI_FORMATS
};

extern const char *const cli_format_names[CLI_FORMATS + 1];

/* Is this the name of a format? */
bool cli_format_of(const char *word, enum cli_format *ret);

struct cli_flag;
struct cli_command;

/* A flag as it was given; value is NULL for a switch. */
struct cli_given {
    const struct cli_flag *flag;
    const char *value;
};

/* What the output goes to, and what it can show. */
struct cli_terminal {
    bool tty;
    bool colour;
    bool unicode;     /* symbols beyond ASCII */
    bool header;      /* of tables */
    unsigned columns; /* tables fit into these; 0: no limit */
};

struct cli {
    struct arena arena;
    FILE *out;
    FILE *err;
    struct cli_terminal terminal;
    enum cli_format format;
    const struct cli_command *command; /* NULL: none named */
    VEC(const char *) words;           /* behind the command's own */
    VEC(struct cli_given) given;
    bool help;
    const char *server;    /* URL without a slash at the end */
    bool configured;       /* it is that of this machine's configuration */
    const char *token;     /* NULL: none */
    uint64_t now_ms;       /* what ages are relative to */
    void *curl;            /* of cli_http.c, NULL until the first request */
    struct cli_busy *busy; /* of cli_busy.c; NULL: nothing is said */
};

/* The value of a flag, the last one given; NULL if it was not. */
const char *cli_value(const struct cli *cli, const char *name);

/* Was the switch given? */
bool cli_has(const struct cli *cli, const char *name);

/* Word i behind the command; NULL past the last. */
const char *cli_word(const struct cli *cli, size_t i);

/* Prints "adctl: MESSAGE" and, when `next` is not NULL, the command to try
 * next, both safe for a terminal. Returns code, so that a command can end
 * with it. */
int cli_fail(struct cli *cli, int code, const char *next, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* The same without ending: a remark on stderr. */
void cli_note(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Text in the run's arena. */
const char *cli_text(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A whole number out of a flag: `fallback` when it was not given. Returns 0
 * or CLI_USAGE (printed). */
NODISCARD int cli_number(struct cli *cli, const char *flag, uint64_t max,
                         uint64_t fallback, uint64_t *ret);

/* A duration out of a flag in milliseconds; as cli_number. */
NODISCARD int cli_duration(struct cli *cli, const char *flag, uint64_t fallback,
                           uint64_t *ret);

/* Parses the command line and runs it; for main and for tests. Returns the
 * exit status. `cli` needs out, err, terminal and now_ms. */
int cli_main(struct cli *cli, int argc, char *const *argv);

/* Frees what a run holds. */
void cli_deinit(struct cli *cli);
