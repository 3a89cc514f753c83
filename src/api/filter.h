/*
 * filter=EXPR of every list: a condition in CEL about each row, evaluated on
 * what the answer would show of it and nothing else. Rows of which it is not
 * true are left out. One for which it has no value (a label that is missing)
 * is left out too, and counted with the first reason in the answer.
 *
 * A request looks at a bounded number of rows with a bounded amount of work;
 * where that ends, next_cursor continues, even if nothing was found yet.
 * `limit` counts the rows that are shown.
 */
#pragma once

#include "api/api_priv.h"
#include "expr/cel.h"
#include "store/reader.h"

/* Rows that one request looks at, and the units it spends on all of them (less
 * on the server's thread); reading a row takes some, too. It ends while a whole
 * row's budget is left, so no row fails because of those before it. */
#define API_FILTER_ROWS_MAX 20000U
#define API_FILTER_UNITS_MAX 20000000
#define API_FILTER_SERVER_UNITS_MAX 1000000
#define API_FILTER_BYTES_PER_UNIT 8U

struct filter {
    struct call *call;
    struct cel_program *program; /* NULL: none was given, everything is shown */
    const struct cel_type *row;  /* of a row as JSON; NULL: an event */
    struct zones *zones;
    struct cel_budget left;
    struct arena arena; /* of one row */
    struct cel_value value;
    uint64_t now_ms;
    uint32_t looked_at;
    uint32_t failed;
    struct cel_issue first; /* why it failed for the first of those */
};

/* Reads the call's filter. False when it has answered: it is no condition, and
 * where. Close it in any case. */
NODISCARD bool filter_open(struct call *c, struct filter *ret);
void filter_close(struct filter *f);

/* Is the event shown? */
bool filter_keeps_event(struct filter *f, const struct event_view *v);

/* Is the row shown that was just appended to the answer as one object, from
 * this length on? If not, it is taken off again. */
bool filter_keeps_row(struct filter *f, size_t from);

/* False: no more rows in this request; the answer is full, or the filter has
 * done what one request may. */
bool filter_goes_on(const struct filter *f);

/* A list whose rows are read page by page. */
struct filter_list {
    /* Reads at most so many rows, those behind the last one that was put; the
     * arena is reset before the next call. 0, or the reader's error. */
    int (*read)(void *context, struct filter *f, uint32_t limit,
                struct arena *page, uint32_t *ret_count);
    /* Appends row i of those read, if the filter keeps it: is it shown? */
    bool (*put)(void *context, struct filter *f, uint32_t i);
    void *context;
};

/* Shows at most `limit` rows; *ret_given: how many were; *ret_more: there may
 * be more behind the last one that was put. 0, or the reader's error. */
int filter_pages(struct filter *f, const struct filter_list *list,
                 uint32_t limit, uint32_t *ret_given, bool *ret_more);

/* For a list with no room for "filter" (an array): answers 200, or 400 where
 * the filter had no value for a row. */
void filter_answer_bare(const struct filter *f);

/* Answers 200 with what was put, or what the reader's error means. */
void filter_answer(const struct filter *f, int r);

/* "filter": what was looked at and what failed; nothing without a filter. */
void filter_put(const struct filter *f);
