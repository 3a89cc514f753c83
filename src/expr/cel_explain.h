/*
 * Why an expression has its value: the same evaluation as that of
 * cel_program_spend, in the same budget, with the value of every term (a part
 * of the expression that is worth a line) as it was met. What && and || did
 * not have to look at stays without one. For people who ask; it parses the
 * expression again. Pure; any thread.
 */
#pragma once

#include "expr/cel.h"

/* Terms that are kept of one expression; the rest is counted. */
#define CEL_TERMS_MAX 100

struct cel_term {
    struct str text; /* as it is written; borrowed from the program */
    uint32_t offset; /* of text in the expression */
    uint32_t depth;  /* the whole expression: 0 */
    uint32_t times;  /* it was looked at: 0 unless it mattered; a macro's body
                        once per element */
    struct cel_value value; /* the last time, an error among them */
};

struct cel_explanation {
    struct cel_value value; /* of the whole */
    struct cel_term *terms; /* outer ones before those inside, from the left */
    uint32_t term_count;    /* at most CEL_TERMS_MAX */
    uint32_t left_out;
};

/* Evaluates and takes what it used off the budget. Everything in *ret lives as
 * long as the arena, the program and the variables. */
void cel_program_explain(const struct cel_program *p,
                         const struct cel_input *input,
                         struct cel_budget *budget, struct arena *a,
                         struct cel_explanation *ret);
