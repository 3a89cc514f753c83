/*
 * Requests to the engine. A request that fails prints what is wrong and what
 * to try next, and gives the exit status; commands only pass it on.
 */
#pragma once

#include <jansson.h>

#include "app/cli.h"
#include "base/strbuf.h"

#define CLI_SERVER_DEFAULT "http://127.0.0.1:9000"
#define CLI_ANSWER_MAX_BYTES (64 * 1024 * 1024)

/* Takes --server, AD_SERVER, --token-file and AD_TOKEN_FILE; without a server,
 * server.listen of the configuration that can be read, or the default. 0 or an
 * exit status (printed). */
NODISCARD int cli_connect_options(struct cli *cli);

/* Is the server's URL one of this machine? */
bool cli_is_local(const char *server);

/* Is the engine that is asked on this machine? */
bool cli_is_here(const struct cli *cli);

/* An answer, whatever its status; deinit it. */
struct cli_answer {
    long status;  /* 0: no answer */
    json_t *body; /* NULL: not JSON */
    struct strbuf text;
    int64_t date;   /* by the server's clock, epoch seconds; <= 0: unknown */
    bool timed_out; /* it was asked, and did not answer */
    char why[256];  /* why there was none */
};

void cli_answer_deinit(struct cli_answer *a);

struct cli_request {
    const char *method;  /* "GET", "POST" */
    const char *path;    /* with the query, percent-encoded */
    const json_t *body;  /* NULL: none */
    struct str text;     /* a body that is text already */
    const char *key;     /* Idempotency-Key, NULL: none */
    uint64_t timeout_ms; /* until the answer is whole; 0: 30 s */
};

/* Sends it and takes what comes. Prints nothing. */
void cli_send(struct cli *cli, const struct cli_request *request,
              struct cli_answer *ret);

/* Sends it and wants a 2xx with a JSON object: 0 and a new reference in *ret,
 * or an exit status with the reason printed. `next` is what to try when the
 * thing is not found, NULL: nothing. */
NODISCARD int cli_call(struct cli *cli, const struct cli_request *request,
                       const char *next, json_t **ret);

/* The same for an answer that is a JSON array. */
NODISCARD int cli_fetch_array(struct cli *cli, const char *path,
                              const char *next, json_t **ret);

/* cli_call for GET. */
NODISCARD int cli_fetch(struct cli *cli, const char *path, const char *next,
                        json_t **ret);

/* Prints what an answer that is no success says; gives the exit status. */
int cli_explain(struct cli *cli, const struct cli_answer *a, const char *next);

/* Reads /api/stream until the end of the connection; calls line for every
 * line without its end. `last_id` NULL: from now. 0, or an exit status
 * (printed) when the stream cannot be opened at all. */
typedef void cli_line_fn(void *context, struct str line);
NODISCARD int cli_stream(struct cli *cli, const char *last_id,
                         cli_line_fn *line, void *context);

/* What the engine gives of events and workflows for --since alone. */
#define CLI_EXPORT_ROWS 100000

/* A list of the engine, of which --filter, --limit and --cursor choose. */
struct cli_list {
    const char *path;    /* with the query of all other flags */
    const char *member;  /* the array of the answer */
    const char *next;    /* what to try when it is not found */
    uint64_t since_rows; /* how many --since gives without --limit; 0: 50 */
};

/* cli_fetch for the list. With a filter it asks until there are as many rows
 * as wanted or no more, and says on stderr of how many the filter had no
 * value. */
NODISCARD int cli_fetch_list(struct cli *cli, const struct cli_list *list,
                             json_t **ret);

/* Appends the text percent-encoded; '/' stays when `path` is set. */
void cli_add_encoded(struct strbuf *out, const char *text, bool path);

/* Appends "?name=value" or "&name=value" for each flag of the names that was
 * given; names end with NULL. */
void cli_add_query(struct cli *cli, struct strbuf *path,
                   const char *const *flags);

/* The full id of a word: a full id, a unique prefix, @latest or @failed;
 * kind is "events" or "workflows". 0 or an exit status (printed). */
NODISCARD int cli_resolve(struct cli *cli, const char *kind, const char *word,
                          const char **ret);

/* How many characters of the ids in the list tell them apart. */
size_t cli_short_id(const json_t *items);

void cli_http_deinit(struct cli *cli);
