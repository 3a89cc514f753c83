/*
 * What can be said about an integration: one table of fields, which the
 * configuration file fills and the API changes. Pure except for URL parsing;
 * any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/integration.h"

#define FIELD_TEXT_MAX_BYTES 4096
#define FIELD_CHANNEL_MAX_BYTES 80
#define FIELDS_MAX 24 /* in the table */
#define FIELD_LIST_MAX 64

/* One partner system; what it does not have stays unset (NULL, 0). Texts are
 * NUL-terminated and somebody else's. */
struct integration_config {
    bool configured; /* it stands in the file */
    uint32_t set;    /* what does: bit per field of the table, FIELD_ENABLED */
    bool enabled;
    const char *url;
    const char *api_url;
    const char *bearer_token;
    const char *api_key;
    const char *routing_key;
    const char *webhook_url;
    const char *channel;
    const char *const *notify_on; /* lists end in NULL */
    const char *const *targets;
    const char *const *metrics;
    uint64_t scrape_interval_ms;
    uint64_t resend_interval_ms;
    uint64_t timeout_ms;
    uint64_t sample_limit;    /* of one scrape */
    uint64_t body_size_limit; /* the same, bytes */
    bool honor_labels;
    bool insecure_http; /* secrets may go over http to any host */
};

enum field_kind {
    FIELD_URL,
    FIELD_SECRET,
    FIELD_SECRET_URL, /* a URL that is a secret itself */
    FIELD_TEXT,
    FIELD_DURATION, /* no text from here on: uint64_t milliseconds */
    FIELD_NUMBER,   /* uint64_t */
    FIELD_BOOL,
    FIELD_WORDS, /* a list from here on: of enum notice_kind */
    FIELD_URLS,
    FIELD_RULES /* sample_rule.h */
};

#define FIELD_ENABLED FIELDS_MAX /* "enabled" is no row of the table */

struct integration_field {
    const char *name;
    enum field_kind kind;
    uint32_t of;       /* bit per enum integration */
    size_t offset;     /* in struct integration_config */
    size_t target;     /* secrets: where the URL stands that they are sent to */
    uint64_t min, max; /* of FIELD_DURATION, in ms, and FIELD_NUMBER */
};

extern const struct integration_field integration_fields[];
extern const size_t integration_field_count;

/* The field of this integration, or NULL. */
const struct integration_field *integration_field_find(enum integration which,
                                                       const char *name);

bool field_is_secret(const struct integration_field *f);
bool field_is_list(const struct integration_field *f);
bool field_is_text(const struct integration_field *f); /* secrets included */

/* The value of a text, a list (NULL: not set), a number, a truth. */
const char *field_text(const struct integration_config *c,
                       const struct integration_field *f);
const char *const *field_list(const struct integration_config *c,
                              const struct integration_field *f);
uint64_t field_number(const struct integration_config *c,
                      const struct integration_field *f);
bool field_bool(const struct integration_config *c,
                const struct integration_field *f);

/* Sets a text; the arena keeps a copy. NULL unsets it. */
void field_set_text(struct integration_config *c,
                    const struct integration_field *f, const char *text,
                    struct arena *a);

/* Checks one element of a list, as field_check. */
NODISCARD int field_check_element(const struct integration_field *f,
                                  struct str text, struct err *reterr);

/* Checks a value from outside: 0, or -EINVAL or -ERANGE with the field and
 * what it expects. */
NODISCARD int field_check(const struct integration_field *f,
                          const json_t *value, struct err *reterr);

/* Puts a value that field_check has passed; not for secrets. */
void field_set_json(struct integration_config *c,
                    const struct integration_field *f, const json_t *value,
                    struct arena *a);

/* The value as JSON, null if it is not set: durations in seconds. A new
 * reference. Not for secrets. */
json_t *field_json(const struct integration_config *c,
                   const struct integration_field *f);

/* A copy whose texts are in the arena. */
struct integration_config
integration_config_copy(const struct integration_config *from, struct arena *a);

/* Do both say the same, and leave the same to the defaults? */
bool integration_config_equal(const struct integration_config *a,
                              const struct integration_config *b);

/* Has it all that it needs to work? Else *ret_missing names what it lacks. */
bool integration_config_complete(enum integration which,
                                 const struct integration_config *c,
                                 const char **ret_missing);
