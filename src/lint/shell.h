/*
 * A look at shell text (the language of /bin/sh, with what bash adds) that is
 * good enough to point at what is unsafe in it: simple commands with their
 * words, expansions, redirections, and how they hang together. It is no
 * parser: it accepts everything, and what it does not understand it passes
 * over. Pure; one script by one thread.
 *
 * Offsets are bytes in the text. Texts are in the arena or borrowed from the
 * text, which has to live as long as the script.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/vec.h"

/* Substitutions and blocks within each other; what is deeper is not seen. */
#define SHELL_DEPTH_MAX 16
#define SHELL_BLOCKS_MAX 32

#define SHELL_NONE UINT32_MAX

/* $NAME, ${NAME...}, $1, $?; command substitutions are commands instead. */
struct shell_expansion {
    struct str name;
    uint32_t offset;
    bool splits;  /* not quoted where the shell splits and globs */
    bool guarded; /* ${NAME:?...}, ${NAME:-default}: never empty */
};

struct shell_word {
    struct str text; /* without quotes; expansions as they are written */
    uint32_t offset;
    uint32_t first_expansion;
    uint32_t expansion_count;
    bool quoted;      /* some of it */
    bool leads;       /* begins with an expansion */
    bool substitutes; /* has a command substitution */
};

struct shell_redirect {
    bool writes;
    uint32_t word;
};

enum shell_op {
    SHELL_END,  /* of the text or of a substitution */
    SHELL_NEXT, /* newline or ; */
    SHELL_AND,
    SHELL_OR,
    SHELL_PIPE,
    SHELL_BACKGROUND
};

struct shell_command {
    uint32_t offset;
    uint32_t first_word; /* assignments first, then the program */
    uint32_t word_count;
    uint32_t assignment_count;
    uint32_t first_redirect;
    uint32_t redirect_count;
    uint32_t first_inner; /* from there to this one: its substitutions */
    uint32_t piped_from;  /* the command in front of it, or SHELL_NONE */
    enum shell_op before; /* what joins it to the one in front */
    enum shell_op after;
    bool condition; /* of if, while, until; behind ! */
    bool lost;      /* its failure is not seen: others follow */
};

struct shell_script {
    VEC(struct shell_command) commands; /* inner ones before outer ones */
    VEC(struct shell_word) words;
    VEC(struct shell_expansion) expansions;
    VEC(struct shell_redirect) redirects;
    bool errexit; /* set -e */
};

/* Scans the text; free with shell_script_deinit. */
void shell_scan(struct str text, struct arena *a, struct shell_script *ret);
void shell_script_deinit(struct shell_script *s);

/* Word i of a command, without its assignments; "" past the last. The first
 * is the program. */
struct str shell_arg(const struct shell_script *s,
                     const struct shell_command *c, uint32_t i);
const struct shell_word *shell_arg_word(const struct shell_script *s,
                                        const struct shell_command *c,
                                        uint32_t i);

/* How many words shell_arg has: the program counts. */
uint32_t shell_argc(const struct shell_command *c);
