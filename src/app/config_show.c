/*
 * What is in force and who said so, and what a check has found: for a person
 * and for programs.
 */
#include <string.h>

#include "app/config_value.h"

#define VALUE_MAX_BYTES (1024UL * 1024)

static bool is_secret(const struct config_option *o)
{
    return (o->flags & CONFIG_SECRET) != 0;
}

/* Appends the value as YAML, a secret as "***"; false when it is not set. */
static bool add_shown(const struct config_option *o, const struct config *c,
                      struct strbuf *out)
{
    struct strbuf value = STRBUF_INIT(VALUE_MAX_BYTES);
    bool set = config_value_add(o, c, &value);
    if (o->type == CONFIG_TOKENS) {
        set = c->token_count != 0;
    }
    if (set) {
        strbuf_add(out, is_secret(o) ? STR("\"***\"") : strbuf_str(&value));
    }
    strbuf_deinit(&value);
    return set;
}

static void add_origin(const struct config_origin *from, struct strbuf *out)
{
    if (from->source == NULL) {
        strbuf_addc(out, "default");
        return;
    }
    strbuf_add_visible(out, str_c(from->source));
    if (from->at.line != 0) {
        strbuf_addf(out, ":%u", from->at.line);
    }
}

void config_add_origins(const struct config *c, struct strbuf *out)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        strbuf_addf(out, "%s: ", o->key);
        if (!add_shown(o, c, out)) {
            strbuf_addc(out, "null");
        }
        strbuf_addc(out, "  # ");
        add_origin(&c->origins[i], out);
        strbuf_addch(out, '\n');
    }
}

/* ---- JSON --------------------------------------------------------------- */

static void add_text_or_null(struct strbuf *out, const char *text)
{
    if (text == NULL || text[0] == '\0') {
        strbuf_addc(out, "null");
    } else {
        strbuf_add_json_quoted(out, str_c(text));
    }
}

static void add_number_or_null(struct strbuf *out, uint32_t number)
{
    if (number == 0) {
        strbuf_addc(out, "null");
    } else {
        strbuf_addf(out, "%u", number);
    }
}

/* Words and durations are bare in YAML and need quotes here; everything else
 * that is printed as YAML is JSON too. */
static void add_json_value(const struct config_option *o,
                           const struct config *c, struct strbuf *out)
{
    struct strbuf value = STRBUF_INIT(VALUE_MAX_BYTES);
    if (!add_shown(o, c, &value)) {
        strbuf_addc(out, "null");
    } else if (o->type == CONFIG_ENUM || o->type == CONFIG_DURATION) {
        strbuf_add_json_quoted(out, strbuf_str(&value));
    } else {
        strbuf_add(out, strbuf_str(&value));
    }
    strbuf_deinit(&value);
}

static void add_files(const struct config *c, struct strbuf *out)
{
    strbuf_addc(out, "\"files\": [");
    for (size_t i = 0; c != NULL && c->files[i] != NULL; i++) {
        strbuf_addc(out, i != 0 ? ", " : "");
        strbuf_add_json_quoted(out, str_c(c->files[i]));
    }
    strbuf_addc(out, "]");
}

void config_add_origins_json(const struct config *c, struct strbuf *out)
{
    strbuf_addc(out, "{");
    add_files(c, out);
    strbuf_addc(out, ", \"options\": [");
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        const struct config_origin *from = &c->origins[i];
        strbuf_addc(out, i != 0 ? ",\n" : "\n");
        strbuf_addf(out, "{\"key\": \"%s\", \"value\": ", o->key);
        add_json_value(o, c, out);
        strbuf_addf(out, ", \"secret\": %s, \"reload\": %s, \"origin\": ",
                    is_secret(o) ? "true" : "false",
                    (o->flags & CONFIG_RELOAD) != 0 ? "true" : "false");
        strbuf_add_json_quoted(
            out, str_c(from->source != NULL ? from->source : "default"));
        strbuf_addc(out, ", \"line\": ");
        add_number_or_null(out, from->at.line);
        strbuf_addch(out, '}');
    }
    strbuf_addc(out, "\n]}\n");
}

void config_add_changed_json(const struct config *c,
                             const struct config_keys *keys, struct strbuf *out)
{
    uint32_t k = 0; /* both are in the order of the table */
    strbuf_addch(out, '{');
    for (size_t i = 0; i < config_option_count && k < keys->count; i++) {
        const struct config_option *o = &config_options[i];
        if (strcmp(o->key, keys->keys[k]) == 0) {
            strbuf_addf(out, "%s\"%s\": ", k != 0 ? ", " : "", o->key);
            add_json_value(o, c, out);
            k++;
        }
    }
    strbuf_addch(out, '}');
}

static void add_problem(const struct config_report *r,
                        const struct config_problem *p, struct strbuf *out)
{
    strbuf_addc(out, "{\"file\": ");
    strbuf_add_json_quoted(out, str_c(p->file != NULL ? p->file : r->file));
    strbuf_addc(out, ", \"line\": ");
    add_number_or_null(out, p->err.at.line);
    strbuf_addc(out, ", \"column\": ");
    add_number_or_null(out, p->err.at.column);
    strbuf_addc(out, ", \"field\": ");
    add_text_or_null(out, p->err.field);
    strbuf_addc(out, ", \"message\": ");
    add_text_or_null(out, p->err.message);
    strbuf_addc(out, ", \"hint\": ");
    add_text_or_null(out, p->err.hint);
    strbuf_addch(out, '}');
}

void config_report_add_problems(const struct config_report *r, bool warnings,
                                struct strbuf *out)
{
    bool first = true;
    strbuf_addch(out, '[');
    VEC_EACH (&r->problems, i) {
        if (r->problems.at[i].warning == warnings) {
            strbuf_addc(out, first ? "" : ", ");
            add_problem(r, &r->problems.at[i], out);
            first = false;
        }
    }
    strbuf_addch(out, ']');
}

void config_report_add_json(const struct config_report *r,
                            const struct config *c, struct strbuf *out)
{
    strbuf_addf(out, "{\"valid\": %s, \"file\": ",
                c != NULL && r->error_count == 0 ? "true" : "false");
    strbuf_add_json_quoted(out, str_c(r->file));
    strbuf_addc(out, ", ");
    add_files(c, out);
    strbuf_addc(out, ", \"errors\": ");
    config_report_add_problems(r, false, out);
    strbuf_addc(out, ", \"warnings\": ");
    config_report_add_problems(r, true, out);
    strbuf_addc(out, "}\n");
}
