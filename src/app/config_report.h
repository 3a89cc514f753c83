/*
 * What loading a configuration found: errors and warnings with their places.
 * Owns its strings; the thread that loads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "base/vec.h"

struct config;

struct config_problem {
    bool warning;
    bool remark;      /* a warning about what may well be meant so */
    const char *file; /* the report's */
    struct err err;
};

/* What a load found, in the order of the files; at most CONFIG_MAX_PROBLEMS
 * errors, the last of which then says that there are more. */
struct config_report {
    struct arena arena;
    const char *file; /* as it was given */
    VEC(struct config_problem) problems;
    uint32_t error_count;
};

void config_report_deinit(struct config_report *r);

/* Appends one line per problem, "FILE:LINE:COLUMN: error: FIELD: MESSAGE
 * (HINT)", safe for a terminal. */
void config_report_add_text(const struct config_report *r, struct strbuf *out);

/* Appends the outcome of a load as a JSON object: valid, file, files, errors,
 * warnings (lists of problems). c is NULL when the load failed. */
void config_report_add_json(const struct config_report *r,
                            const struct config *c, struct strbuf *out);

/* Appends a JSON list of its errors or warnings. */
void config_report_add_problems(const struct config_report *r, bool warnings,
                                struct strbuf *out);
