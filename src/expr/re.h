/*
 * Regular expressions in the syntax of RE2, searched in time linear in the
 * text: a program is run over it with all its states at once (Pike's way), so
 * no pattern can make it slow. Text is UTF-8; what is not matches nothing but
 * negated classes and the dot.
 *
 * Understood: literals, . [a-z] [^a-z] [[:alpha:]] \d \w \s \D \W \S \b \B
 * ^ $ \A \z ( ) (?: ) (?P<name> ) | * + ? {n,m} and their lazy forms, \Q..\E,
 * \x41 \x{1F600} \n \t, and the flags i m s U. Refused: look-around and
 * backreferences, which have no linear form, and \p classes. Pure; a program
 * is immutable, any thread.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "expr/cel_value.h"

/* Most instructions of one program. */
#define RE_PROGRAM_MAX 2000
/* The same of one that is made while an expression runs. */
#define RE_LIVE_PROGRAM_MAX 500

/* Groups that are kept: the whole match and nine more. */
#define RE_GROUPS 10

struct re_program;

struct re_match {
    /* Byte offsets; -1: the group is not part of the match. */
    ptrdiff_t from[RE_GROUPS];
    ptrdiff_t to[RE_GROUPS];
};

/* Compiles the pattern into the arena, in time bounded by its length and max,
 * whatever it repeats. Returns 0, -EBADMSG (not a pattern) or -E2BIG (over max
 * instructions, or too much to do for those that there are). */
NODISCARD int re_compile(struct str pattern, uint32_t max, struct arena *a,
                         struct re_program **ret, struct err *reterr);

/* The same while an expression runs, into its arena and at most
 * RE_LIVE_PROGRAM_MAX large. What it costs is taken off the run's budget;
 * -EDQUOT when that is used up. */
NODISCARD int re_compile_live(struct str pattern, struct cel_run *run,
                              struct re_program **ret, struct err *reterr);

/* How many groups the pattern has, without the whole. */
uint32_t re_group_count(const struct re_program *p);

/* Whether the pattern is found anywhere in the text. False when the budget
 * is used up. */
NODISCARD bool re_search(const struct re_program *p, struct str text,
                         struct cel_run *run, bool *ret);

/* The leftmost match at or behind byte `from`: *ret_found, and where. False
 * when the budget is used up. */
NODISCARD bool re_find(const struct re_program *p, struct str text, size_t from,
                       struct cel_run *run, bool *ret_found,
                       struct re_match *ret);
