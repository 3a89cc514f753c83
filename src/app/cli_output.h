/*
 * What adctl prints: tables that fit the terminal, statuses as word, symbol
 * and colour, ages, and JSON. Text from the server is made visible before it
 * goes anywhere, on a terminal or not.
 */
#pragma once

#include <jansson.h>

#include "app/cli.h"
#include "base/strbuf.h"

/* Finds out what the streams and the environment allow. */
void cli_terminal_detect(struct cli_terminal *t, FILE *out);

/* ---- tables ------------------------------------------------------------- */

#define CLI_COLUMNS_MAX 12

enum cli_column_flags {
    CLI_RIGHT = 1,     /* numbers */
    CLI_FLEX = 2,      /* gives up width when the table is too wide */
    CLI_ONLY_WIDE = 4, /* only with -o wide */
    CLI_STATUS = 8,    /* symbol and colour by the word */
    CLI_BELOW = 16     /* goes below its row when the table is too wide: what
                          people must be able to read to its end */
};

struct cli_column {
    const char *title; /* upper case; NULL ends the list */
    unsigned flags;
};

/* A table under construction; cells are text in the run's arena. */
struct cli_table {
    struct cli *cli;
    const struct cli_column *columns;
    unsigned column_count;
    VEC(const char *) cells; /* row by row */
    bool below;              /* columns that may are below their rows */
};

void cli_table_init(struct cli_table *t, struct cli *cli,
                    const struct cli_column *columns);

/* Adds the next cell of the row; NULL and "" show as "-". The text is copied
 * and made visible. */
void cli_cell(struct cli_table *t, const char *text);

/* A cell that says who: an identity as cli_who has it. */
void cli_cell_who(struct cli_table *t, const json_t *row, const char *key);

/* Prints the table and frees it. */
void cli_table_print(struct cli_table *t);

/* Columns that a UTF-8 text takes on a terminal. */
size_t cli_width(struct str text);

/* "✓ succeeded" in the terminal's terms, with colour. */
void cli_add_status(const struct cli *cli, struct strbuf *out,
                    const char *status);

/* Appends the text cut to `room` columns, with a mark where it was cut;
 * returns the columns. */
size_t cli_add_cut(const struct cli *cli, struct strbuf *out, struct str text,
                   size_t room);

/* ---- values ------------------------------------------------------------- */

/* A string member as visible text in the arena; "" if absent or null. A
 * number or boolean is written. */
const char *cli_get(struct cli *cli, const json_t *object, const char *key);

/* The member as it is, for requests; NULL if it is no string. */
const char *cli_get_raw(const json_t *object, const char *key);

/* A member that says who has done something: "uid:1001 alice" when the server
 * is this host and the user has a name here, else as it is. */
const char *cli_who(struct cli *cli, const json_t *object, const char *key);

double cli_get_number(const json_t *object, const char *key);

/* "1 event", "2 events". */
const char *cli_count(struct cli *cli, double n, const char *one);

/* "5s", "3m", "2h", "9d". */
const char *cli_span(struct cli *cli, double seconds);

/* "3s", "5m", "2h", "4d": how long ago the instant `key` (epoch seconds) is;
 * "-" if it is null. */
const char *cli_age(struct cli *cli, const json_t *object, const char *key);

/* "0.3s", "12s", "3m4s" of a member in seconds; "-" if it is null. */
const char *cli_seconds(struct cli *cli, const json_t *object, const char *key);

/* ---- JSON --------------------------------------------------------------- */

/* Turns instants into RFC 3339: X and X_iso become X. In place, deep. */
void cli_json_times(json_t *json);

/* Prints one value: indented with -o json, else on one line. Control and
 * direction characters are escaped. */
void cli_print_json(struct cli *cli, const json_t *json);

/* Prints a list in the machine formats: {"items": [...], "next_cursor": ...},
 * one item per line, or the member `name` of each. False for tables: then
 * nothing is printed. */
bool cli_print_items(struct cli *cli, json_t *items, const char *cursor,
                     const char *name);

/* The same for one resource. */
bool cli_print_item(struct cli *cli, json_t *item, const char *name);

/* A "key  value" line of a resource; on a terminal a long value goes on below
 * itself. Nothing for an empty value. */
void cli_print_field(struct cli *cli, const char *title, const char *value);

/* What a line says of itself. */
enum cli_mark { CLI_YES, CLI_NO, CLI_WARN, CLI_VALUE, CLI_UNSEEN };

/* "    ✓ text", indented; on a terminal a long text goes on below itself. */
void cli_print_marked(struct cli *cli, unsigned indent, enum cli_mark mark,
                      const char *text);
