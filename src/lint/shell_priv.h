/*
 * Inside of the scanner of shell text: where it stands, and what reads words.
 * Only shell*.c include this. Pure.
 */
#pragma once

#include "lint/shell.h"

#define HEREDOCS_MAX 8

struct scanner {
    struct str text;
    size_t at;
    struct arena *arena;
    struct shell_script *out;
    unsigned depth;
    struct str heredocs[HEREDOCS_MAX];
    unsigned heredoc_count;
};

/* The character so many behind the next; NUL past the end. */
char shell_peek(const struct scanner *s, size_t ahead);
bool shell_at_end(const struct scanner *s);

/* Does a word end at this character? */
bool shell_ends_word(char c);

/* How long the name is that begins at `from`; 0 if none does. */
size_t shell_name_length(const struct scanner *s, size_t from);

/* One word from here; its expansions go to the script, and do not split if
 * this is a place where the shell does not. */
struct shell_word shell_read_word(struct scanner *s, bool splits);

/* "<(COMMANDS)" as a word that substitutes. */
struct shell_word shell_read_process(struct scanner *s);

/* Past "((...))", from its first parenthesis. */
void shell_skip_arithmetic(struct scanner *s);

/* A list of commands, to the end of the text or past the ) that ends it. */
void shell_scan_list(struct scanner *s);
