/*
 * The table of configuration options, private to the configuration's own
 * files. A new option is a new row here and a field of struct config.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "app/config.h"

enum config_type {
    CONFIG_BOOL,
    CONFIG_U32,
    CONFIG_U64,
    CONFIG_DURATION, /* uint64_t milliseconds */
    CONFIG_SIZE,     /* uint64_t bytes */
    CONFIG_ENUM,     /* uint32_t index into names */
    CONFIG_TEXT,     /* const char * from here on */
    CONFIG_NAME,     /* a user, a group */
    CONFIG_PATH,     /* absolute */
    CONFIG_HTTP_URL,
    CONFIG_ADDRESS,     /* numeric address and port */
    CONFIG_STORAGE_URL, /* also fills storage_path, state_directory */
    CONFIG_HOSTS,       /* const char *const * */
    CONFIG_RUN_AS,      /* const struct executor_run_as * */
    CONFIG_URLS,        /* const char *const * */
    CONFIG_RULES,       /* const char *const *: of samples */
    CONFIG_NOTICES,     /* const char *const *: names of notice kinds */
    CONFIG_TOKENS,      /* tokens, token_count */
    CONFIG_TYPES
};

enum config_flags {
    CONFIG_RELOAD = 1,     /* takes effect without a restart */
    CONFIG_SECRET = 2,     /* never shown */
    CONFIG_CREDENTIAL = 4, /* a missing ${VARIABLE} only unsets it */
};

struct config_option {
    const char *key; /* dotted */
    enum config_type type;
    unsigned flags;
    size_t offset;       /* of the field in struct config */
    const char *initial; /* the default as YAML; NULL: not set */
    uint64_t min;        /* numbers, sizes, milliseconds */
    uint64_t max;
    const char *const *names; /* enums, NULL-terminated */
    const char *example;      /* as YAML, when there is no default */
    const char *help;         /* sentences, without markup */
};

/* The options in the order of the sample file; a section's options stand
 * together. */
extern const struct config_option config_options[];
extern const size_t config_option_count;

/* The option of this dotted key, or NULL. */
const struct config_option *config_option_named(const char *key);

/* What a section is for: rows of key and sentence. */
struct config_section {
    const char *key;
    const char *help;
};

extern const struct config_section config_sections[];
extern const size_t config_section_count;

/* "integrations.NAME" to its number, INTEGRATIONS if it is none of them. */
const char *config_integration_key(enum integration name);

/* The word for a type in the manual: "a duration", "true or false". */
const char *config_type_text(enum config_type type);
