/*
 * What a person reads about the configuration: problems, the sample file, the
 * options of the manual page, and what a reload cannot change.
 */
#include "app/config.h"

#include <string.h>

#include "app/config_value.h"
#include "base/assert.h"
#include "data/duration.h"

#define LINE_COLUMNS 79

/* ---- problems ----------------------------------------------------------- */

void config_report_add_text(const struct config_report *r, struct strbuf *out)
{
    VEC_EACH (&r->problems, i) {
        const struct config_problem *p = &r->problems.at[i];
        strbuf_add_visible(out, str_c(p->file != NULL ? p->file : r->file));
        if (p->err.at.line != 0) {
            strbuf_addf(out, ":%u:%u", p->err.at.line, p->err.at.column);
        }
        strbuf_addf(out, ": %s: ", p->warning ? "warning" : "error");
        if (p->err.field[0] != '\0') {
            strbuf_add_visible(out, str_c(p->err.field));
            strbuf_addc(out, ": ");
        }
        strbuf_add_visible(out, str_c(p->err.message));
        if (p->err.hint[0] != '\0') {
            strbuf_addc(out, " (");
            strbuf_add_visible(out, str_c(p->err.hint));
            strbuf_addc(out, ")");
        }
        strbuf_addch(out, '\n');
    }
}

/* ---- reloading ---------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool same_list(const char *const *a, const char *const *b)
{
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

static bool same_tokens(const struct config *a, const struct config *b)
{
    bool same = a->token_count == b->token_count;
    for (uint32_t i = 0; same && i < a->token_count; i++) {
        same = strcmp(a->tokens[i].name, b->tokens[i].name) == 0 &&
               a->tokens[i].scopes == b->tokens[i].scopes &&
               memcmp(a->tokens[i].sha256, b->tokens[i].sha256,
                      sizeof(a->tokens[i].sha256)) == 0;
    }
    return same;
}

static bool same_value(const struct config_option *o, const struct config *a,
                       const struct config *b)
{
    const void *one = (const char *)a + o->offset;
    const void *two = (const char *)b + o->offset;
    switch (o->type) {
    case CONFIG_BOOL:
        return *(const bool *)one == *(const bool *)two;
    case CONFIG_U32:
    case CONFIG_ENUM:
        return *(const uint32_t *)one == *(const uint32_t *)two;
    case CONFIG_U64:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return *(const uint64_t *)one == *(const uint64_t *)two;
    case CONFIG_RUN_AS:
        return config_run_as_same(a->run_as_allowed, b->run_as_allowed);
    case CONFIG_HOSTS:
    case CONFIG_URLS:
    case CONFIG_RULES:
    case CONFIG_NOTICES:
        return same_list(*(const char *const *const *)one,
                         *(const char *const *const *)two);
    case CONFIG_TOKENS:
        return same_tokens(a, b);
    case CONFIG_TEXT:
    case CONFIG_NAME:
    case CONFIG_PATH:
    case CONFIG_HTTP_URL:
    case CONFIG_ADDRESS:
    case CONFIG_STORAGE_URL:
    case CONFIG_TYPES:
    default:
        return same_text(*(const char *const *)one, *(const char *const *)two);
    }
}

struct config_keys config_changed(const struct config *before,
                                  const struct config *after, bool restart)
{
    struct config_keys keys = {.count = 0};
    ASSERT(config_option_count <= CONFIG_MAX_OPTIONS);
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        bool counts = !restart || (o->flags & CONFIG_RELOAD) == 0;
        if (counts && !same_value(o, before, after)) {
            keys.keys[keys.count++] = o->key;
        }
    }
    return keys;
}

/* ---- words about an option ---------------------------------------------- */

static void add_number(const struct config_option *o, uint64_t value,
                       struct strbuf *out)
{
    char text[DURATION_TEXT_SIZE];
    if (o->type == CONFIG_DURATION) {
        duration_format(value, text);
        strbuf_addc(out, text);
    } else {
        strbuf_addf(out, "%llu", (unsigned long long)value);
    }
}

/* "a duration, 1s to 7d": the type with what limits it. */
static void add_type(const struct config_option *o, struct strbuf *out)
{
    if (o->type == CONFIG_ENUM) {
        for (size_t i = 0; o->names[i] != NULL; i++) {
            strbuf_addf(out, "%s%s", i != 0 ? ", " : "", o->names[i]);
        }
        return;
    }
    strbuf_addc(out, config_type_text(o->type));
    if (o->max != 0) {
        strbuf_addc(out, ", ");
        add_number(o, o->min, out);
        strbuf_addc(out, " to ");
        add_number(o, o->max, out);
    }
}

/* ---- the sample file ---------------------------------------------------- */

/* Appends the text wrapped at spaces, each line behind indent and "# ". */
static void add_comment(struct strbuf *out, int indent, struct str text)
{
    size_t room = LINE_COLUMNS - (size_t)indent - 2;
    while (text.len != 0) {
        size_t cut = text.len;
        if (cut > room) {
            cut = room;
            while (cut > 1 && text.at[cut] != ' ') {
                cut--;
            }
        }
        strbuf_addf(out, "%*s# %.*s\n", indent, "",
                    STR_ARG(str_slice(text, 0, cut)));
        text = str_trim(str_slice(text, cut, text.len));
    }
}

static size_t common_segments(struct str a, struct str b)
{
    size_t count = 0;
    for (size_t i = 0; i < a.len && i < b.len && a.at[i] == b.at[i]; i++) {
        count += a.at[i] == '.';
    }
    return count;
}

/* Opens the mappings of the option's key that the one before did not. */
static void open_mappings(struct strbuf *out, struct str before, struct str key,
                          bool off)
{
    size_t shared = common_segments(before, key);
    size_t depth = 0;
    ptrdiff_t dot = 0;
    while ((dot = str_find(key, '.')) >= 0) {
        if (depth >= shared) {
            strbuf_addf(out, "%s%*s%.*s:\n", off && depth > 0 ? "#" : "",
                        (int)depth * 2, "",
                        STR_ARG(str_slice(key, 0, (size_t)dot)));
        }
        key = str_slice(key, (size_t)dot + 1, key.len);
        depth++;
    }
}

static void add_sample_option(struct strbuf *out, struct str before,
                              const struct config_option *o)
{
    /* Naming an integration configures it, so all of them are comments. */
    bool integration = str_starts(str_c(o->key), STR("integrations."));
    bool off = integration || o->initial == NULL;
    CLEANUP(strbuf_deinit) struct strbuf help = STRBUF_INIT(4096);
    strbuf_addf(&help, "%s ", o->help);
    strbuf_addch(&help, '(');
    add_type(o, &help);
    strbuf_addch(&help, ')');
    open_mappings(out, before, str_c(o->key), integration);
    size_t depth = 0;
    const char *name = o->key;
    for (const char *dot = NULL; (dot = strchr(name, '.')) != NULL; depth++) {
        name = dot + 1;
    }
    add_comment(out, (int)depth * 2, strbuf_str(&help));
    const char *value = o->initial;
    if (o->example != NULL) {
        value = value != NULL && !integration ? value : o->example;
    }
    strbuf_addf(out, "%s%*s%s: %s\n", off ? "#" : "", (int)depth * 2, "", name,
                value);
}

static bool starts_section(struct str before, struct str key)
{
    return common_segments(before, key) == 0;
}

static void add_section_help(struct strbuf *out, struct str key)
{
    for (size_t i = 0; i < config_section_count; i++) {
        struct str name = str_c(config_sections[i].key);
        if (str_starts(key, name) && key.at[name.len] == '.') {
            strbuf_addch(out, '\n');
            add_comment(out, 0, str_c(config_sections[i].help));
        }
    }
}

void config_add_sample(struct strbuf *out)
{
    struct str before = STR("");
    strbuf_addc(out, "# Configuration of autonomous-devops(8); see "
                     "autonomous-devops.yaml(5).\n"
                     "# Printed by: autonomous-devops print-config\n"
                     "# Values are the defaults. Lines that begin with #NAME "
                     "are not set.\n");
    for (size_t i = 0; i < config_option_count; i++) {
        struct str key = str_c(config_options[i].key);
        if (starts_section(before, key)) {
            add_section_help(out, key);
        }
        add_sample_option(out, before, &config_options[i]);
        before = key;
    }
}

/* ---- the values in force --------------------------------------------------
 */

static void add_list(struct strbuf *out, const char *const *list)
{
    strbuf_addch(out, '[');
    for (size_t i = 0; list[i] != NULL; i++) {
        strbuf_addc(out, i != 0 ? ", " : "");
        strbuf_add_json_quoted(out, str_c(list[i]));
    }
    strbuf_addch(out, ']');
}

bool config_value_add(const struct config_option *o, const struct config *c,
                      struct strbuf *out)
{
    const void *at = (const char *)c + o->offset;
    switch (o->type) {
    case CONFIG_BOOL:
        strbuf_addc(out, *(const bool *)at ? "true" : "false");
        return true;
    case CONFIG_U32:
        strbuf_addf(out, "%u", *(const uint32_t *)at);
        return true;
    case CONFIG_ENUM:
        strbuf_addc(out, o->names[*(const uint32_t *)at]);
        return true;
    case CONFIG_U64:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        add_number(o, *(const uint64_t *)at, out);
        return true;
    case CONFIG_RUN_AS:
        config_run_as_add(c->run_as_allowed, out);
        return true;
    case CONFIG_HOSTS:
    case CONFIG_URLS:
    case CONFIG_RULES:
    case CONFIG_NOTICES:
        add_list(out, *(const char *const *const *)at);
        return true;
    case CONFIG_TEXT:
    case CONFIG_NAME:
    case CONFIG_PATH:
    case CONFIG_HTTP_URL:
    case CONFIG_ADDRESS:
    case CONFIG_STORAGE_URL:
        if (*(const char *const *)at == NULL) {
            return false;
        }
        strbuf_add_json_quoted(out, str_c(*(const char *const *)at));
        return true;
    case CONFIG_TOKENS:
    case CONFIG_TYPES:
        break;
    }
    return false;
}

/* Naming an integration configures it. */
static bool is_named(const struct config *c, const char *key)
{
    for (int i = 0; i < INTEGRATIONS; i++) {
        struct str name = str_c(config_integration_key((enum integration)i));
        if (str_starts(str_c(key), name) && key[name.len] == '.') {
            return c->integrations[i].configured;
        }
    }
    return true;
}

/* A default name that a machine does not know is no error; a given one is. */
static bool is_default_name(const struct config *c, size_t i)
{
    return config_options[i].type == CONFIG_NAME &&
           c->origins[i].source == NULL;
}

/* Nothing but one reference: what it refers to is a secret, it is none. */
static bool is_reference(const char *raw)
{
    struct str s = str_c(raw);
    return str_starts(s, STR("${")) && str_find(s, '}') == (ptrdiff_t)s.len - 1;
}

enum shown { NOT_SET, LEFT_OUT, SHOWN };

static enum shown add_value(const struct config *c, size_t i,
                            struct strbuf *value)
{
    const struct config_option *o = &config_options[i];
    const char *raw = c->origins[i].raw;
    bool secret = (o->flags & CONFIG_SECRET) != 0;
    if (!is_named(c, o->key) || is_default_name(c, i)) {
        return NOT_SET;
    }
    if (raw != NULL && (!secret || is_reference(raw))) {
        strbuf_add_json_quoted(value, str_c(raw));
        return SHOWN;
    }
    bool set = o->type == CONFIG_TOKENS ? c->token_count != 0
                                        : config_value_add(o, c, value);
    return !set ? NOT_SET : secret ? LEFT_OUT : SHOWN;
}

void config_add_values(const struct config *c, struct strbuf *out)
{
    struct str before = STR("");
    strbuf_addc(out, "# The configuration in force; secrets are left out.\n");
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        CLEANUP(strbuf_deinit)
        struct strbuf value = STRBUF_INIT(CONFIG_MAX_BYTES);
        enum shown shown = add_value(c, i, &value);
        if (shown == NOT_SET) {
            continue;
        }
        size_t depth = 0;
        const char *name = o->key;
        for (const char *dot = NULL; (dot = strchr(name, '.')) != NULL;
             depth++) {
            name = dot + 1;
        }
        open_mappings(out, before, str_c(o->key), false);
        strbuf_addf(out, "%*s", (int)depth * 2, "");
        if (shown == LEFT_OUT) {
            strbuf_addf(out, "# %s" CONFIG_LEFT_OUT "\n", name);
        } else {
            strbuf_addf(out, "%s: %s\n", name, strbuf_str(&value).at);
        }
        before = str_c(o->key);
    }
}

/* ---- the manual page ---------------------------------------------------- */

/* scdoc's markup characters inside ordinary text. */
static void add_man_text(struct strbuf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '_' || *text == '*' || *text == '\\' || *text == '#') {
            strbuf_addch(out, '\\');
        }
        strbuf_addch(out, *text);
    }
}

void config_add_man(struct strbuf *out)
{
    struct str before = STR("");
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        struct str key = str_c(o->key);
        if (starts_section(before, key)) {
            strbuf_addf(out, "%s## %.*s\n\n", i != 0 ? "\n" : "",
                        (int)str_find(key, '.'), key.at);
        }
        CLEANUP(strbuf_deinit) struct strbuf type = STRBUF_INIT(512);
        add_type(o, &type);
        strbuf_addc(out, "*");
        add_man_text(out, o->key);
        strbuf_addc(out, "* (");
        add_man_text(out, strbuf_str(&type).at);
        if (o->initial != NULL) {
            strbuf_addc(out, "; default ");
            add_man_text(out, o->initial);
        }
        strbuf_addc(out, ")\n\t");
        add_man_text(out, o->help);
        if ((o->flags & CONFIG_RELOAD) != 0) {
            strbuf_addc(out, " Changes with a reload.");
        }
        strbuf_addc(out, "\n\n");
        before = key;
    }
}
