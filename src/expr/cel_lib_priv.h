/*
 * What the parts of the function library share. One thread per evaluation.
 */
#pragma once

#include "base/strbuf.h"
#include "expr/cel_env.h"
#include "expr/cel_text.h"

struct cel_library {
    const struct cel_function *rows;
    uint32_t count;
};

extern const struct cel_library cel_lib_operators;
extern const struct cel_library cel_lib_core;
extern const struct cel_library cel_lib_convert;
extern const struct cel_library cel_lib_time;
extern const struct cel_library cel_lib_strings;
extern const struct cel_library cel_lib_pattern;
extern const struct cel_library cel_lib_math;
extern const struct cel_library cel_lib_net;
extern const struct cel_library cel_lib_encode;
extern const struct cel_library cel_lib_optional;
extern const struct cel_library cel_lib_lists;
extern const struct cel_library cel_lib_ops;

/* Short names for the tables of rows. */
#define CEL_G CEL_STYLE_GLOBAL
#define CEL_M CEL_STYLE_MEMBER
#define CEL_GM CEL_STYLE_BOTH

#define CEL_LIBRARY(rows_)                                                     \
    {                                                                          \
        .rows = (rows_), .count = ARRAY_LEN(rows_)                             \
    }

/* container[index] and container[?index]; what a map or list gives. */
struct cel_value cel_lookup(struct cel_run *run, struct cel_value container,
                            struct cel_value key, bool is_optional);

/* The text built in b as a string value; used up if it did not fit. */
struct cel_value cel_take_text(struct cel_run *run, const struct strbuf *b);

/* A buffer that cannot outgrow what is left of the budget. */
struct strbuf cel_text_buffer(const struct cel_run *run);

/* string.format: the text of the pattern with its clauses filled. */
struct cel_value cel_format(struct cel_run *run, const struct cel_value *args);
