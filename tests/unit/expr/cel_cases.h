/*
 * For the tests of CEL: evaluate a text and compare what comes with a text.
 * One thread.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "expr/cel.h"
#include "expr/cel_text.h"

struct cel_case {
    const char *expr;
    const char *wanted; /* the value as a literal, or "error: ..." */
};

/* The value as a literal; "error: message" of the evaluation; "issue: line:
 * column: message" where it was refused before. Free with mem_free. */
static inline char *cel_case_text(const struct cel_env *env,
                                  const struct cel_input *input,
                                  struct cel_budget budget, const char *expr)
{
    struct strbuf out = STRBUF_INIT(1UL << 20);
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    struct arena a = ARENA_INIT;
    if (cel_program_new(env, str_c(expr), &a, &p, &issue) < 0) {
        strbuf_addf(&out, "issue: %u:%u: %s", issue.err.at.line,
                    issue.err.at.column, issue.err.message);
        if (issue.err.hint[0] != '\0') {
            strbuf_addf(&out, " (%s)", issue.err.hint);
        }
    } else {
        cel_text_literal(cel_program_run(p, input, budget, &a), &out);
    }
    arena_deinit(&a);
    return strbuf_take(&out);
}

static inline void cel_cases_check(const struct cel_env *env,
                                   const struct cel_input *input,
                                   const struct cel_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *got =
            cel_case_text(env, input, CEL_BUDGET_DEFAULT, cases[i].expr);
        if (strcmp(got, cases[i].wanted) != 0) {
            print_message("%s\n  gives  %s\n  wanted %s\n", cases[i].expr, got,
                          cases[i].wanted);
        }
        assert_string_equal(got, cases[i].wanted);
        mem_free(got);
    }
}
