/*
 * Reading the value of one option from its YAML node, private to the
 * configuration's own files. Everything that is wrong goes into the report.
 */
#pragma once

#include "app/config_table.h"
#include "data/yaml.h"

/* What one load works on; all borrowed. */
struct config_reader {
    struct config *config;
    struct config_report *report;
    const char *source;      /* what is being read; the configuration's */
    const char *file;        /* the same, the report's */
    bool is_file;            /* so that lines and columns mean something */
    bool beside_engine;      /* as in config_sources */
    const char *environment; /* the same */
};

/* ---- loading, in this order (config.c) ----------------------------------- */

/* A new configuration that holds the defaults, and an empty report. */
void config_read_begin(struct config_reader *r, const char *name,
                       struct config_report *report);

/* Names what is read from now on. */
void config_read_source(struct config_reader *r, const char *source,
                        bool is_file);

/* Takes over what the text of a configuration file sets. */
void config_read_text(struct config_reader *r, struct str text);

/* Takes over "section.key=value". */
void config_read_override(struct config_reader *r, const char *assignment);

/* Checks the whole. 0 with the configuration in *ret; -EINVAL, it is freed. */
NODISCARD int config_read_finish(struct config_reader *r, struct config **ret);

/* Adds a problem about the field at the node (NULL: no place). */
void config_complain(struct config_reader *r, const char *field,
                     const struct err *e);
void config_warn(struct config_reader *r, const char *field,
                 const struct err *e);

/* A warning about what may well be meant so. */
void config_remark(struct config_reader *r, const char *field,
                   const struct err *e);

/* Reads the option's value and stores it in the configuration. A value that
 * is wrong is reported and leaves the field as it was. */
void config_value_set(struct config_reader *r, const struct config_option *o,
                      const struct yaml_node *n);

/* The text of a scalar with ${NAME} replaced, in the arena. Returns 0, 1 when
 * a credential's variable is missing (reported as a warning), or a negative
 * errno (reported). */
NODISCARD int config_value_text(struct config_reader *r,
                                const struct config_option *o,
                                const struct yaml_node *n, const char **ret);

/* The same, checked as a text of the option's type. */
NODISCARD int config_value_checked(struct config_reader *r,
                                   const struct config_option *o,
                                   const struct yaml_node *n, const char **ret);

/* Is this a list, and not too long a one? Complains when it is not. */
bool config_value_is_list(struct config_reader *r,
                          const struct config_option *o,
                          const struct yaml_node *n);

/* Notes which fields of integrations somebody has set, which is all that
 * overrules the API's settings, and warns of secrets that would go over http
 * and of keys that are not enough (config_partners.c). */
void config_check_partners(struct config_reader *r);

/* Reads executor.run_as_allowed (config_run_as.c). */
void config_run_as_set(struct config_reader *r, const struct config_option *o,
                       const struct yaml_node *n);

/* Whether two lists are the same; appends one as YAML. */
bool config_run_as_same(const struct executor_run_as *a,
                        const struct executor_run_as *b);
void config_run_as_add(const struct executor_run_as *list, struct strbuf *out);

/* Reads security.tokens (config_tokens.c). */
void config_tokens_set(struct config_reader *r, const struct config_option *o,
                       const struct yaml_node *n);

/* Appends the value as YAML, secret or not; false when it is not set, or a
 * list of tokens (config_print.c). */
bool config_value_add(const struct config_option *o, const struct config *c,
                      struct strbuf *out);
