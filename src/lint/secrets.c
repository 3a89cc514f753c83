/* Rules about secrets that stand where everybody can read them. */
#include <string.h>

#include "expr/template.h"
#include "lint/lint_priv.h"

#define TOKEN_MIN_BYTES 16

bool lint_is_secret_name(struct str name)
{
    static const char *const parts[] = {
        "password",    "passwd",     "passphrase", "secret",
        "token",       "api_key",    "apikey",     "access_key",
        "private_key", "credential", "routing_key"};
    /* Where it is, or whether to ask for it, and not what it is. */
    static const char *const places[] = {"file", "path", "dir", "url", "stdin"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct str end = str_c(places[i]);
        if (name.len > end.len &&
            str_has_nocase(str_slice(name, name.len - end.len, name.len),
                           end)) {
            return false;
        }
    }
    if (str_starts(name, STR("--no-"))) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (str_has_nocase(name, str_c(parts[i]))) {
            return true;
        }
    }
    return false;
}

bool lint_is_secret_value(struct str value)
{
    static const char *const prefixes[] = {
        "AKIA",  "ghp_",  "gho_", "ghs_",     "github_pat_", "glpat-",
        "xoxb-", "xoxp-", "AIza", "sk_live_", "-----BEGIN "};
    for (size_t i = 0; value.len >= TOKEN_MIN_BYTES && i < ARRAY_LEN(prefixes);
         i++) {
        if (str_starts(value, str_c(prefixes[i]))) {
            return true;
        }
    }
    return false;
}

/* A path says where the secret is. */
static bool is_in_clear(struct str value)
{
    return value.len != 0 && value.at[0] != '/' && !template_is_dynamic(value);
}

void lint_secret_in_env(struct lint *l, const struct yaml_node *step)
{
    const struct yaml_node *env = yaml_get(step, STR("env"));
    if (env == NULL || yaml_kind(env) != YAML_MAPPING) {
        return;
    }
    for (size_t i = 0; i < yaml_count(env); i++) {
        struct str name = yaml_text(yaml_key(env, i));
        const struct yaml_node *node = yaml_value(env, i);
        struct str value = yaml_text(node);
        if ((lint_is_secret_name(name) && is_in_clear(value)) ||
            lint_is_secret_value(value)) {
            (void)lint_add(l, yaml_place(node), "%.*s is a secret in clear",
                           (int)MIN(name.len, 60U), name.at);
        }
    }
}

void lint_secret_parameter(struct lint *l)
{
    const struct yaml_node *params =
        l->root != NULL ? yaml_get(l->root, STR("parameters")) : NULL;
    if (params == NULL || yaml_kind(params) != YAML_MAPPING) {
        return;
    }
    for (size_t i = 0; i < yaml_count(params); i++) {
        const struct yaml_node *key = yaml_key(params, i);
        const struct yaml_node *secret =
            yaml_get(yaml_value(params, i), STR("secret"));
        const struct yaml_node *type =
            yaml_get(yaml_value(params, i), STR("type"));
        bool is_text = type == NULL || str_eq_c(yaml_text(type), "string");
        if (secret == NULL && is_text && lint_is_secret_name(yaml_text(key))) {
            (void)lint_add(l, yaml_place(key),
                           "the value of '%.*s' is shown to everybody who may "
                           "see workflows",
                           (int)MIN(yaml_text(key).len, 60U),
                           yaml_text(key).at);
        }
    }
}

/* ---- in what a step runs --------------------------------------------------
 */

/* "NAME=value" or "--name=value" with a secret's name and a constant. */
static bool is_assignment(const struct shell_word *w)
{
    ptrdiff_t equals = str_find(w->text, '=');
    if (equals <= 0 || w->expansion_count != 0 || w->substitutes) {
        return false;
    }
    struct str name = str_slice(w->text, 0, (size_t)equals);
    struct str value = str_slice(w->text, (size_t)equals + 1, w->text.len);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (c == ' ' || c == ':' || c == '/') {
            return false;
        }
    }
    return lint_is_secret_name(name) && is_in_clear(value);
}

/* "scheme://user:secret@host". */
static bool is_url(const struct shell_word *w)
{
    const char *at =
        w->text.len > 3 ? memmem(w->text.at, w->text.len, "://", 3) : NULL;
    if (at == NULL || w->expansion_count != 0) {
        return false;
    }
    struct str rest =
        str_slice(w->text, (size_t)(at - w->text.at) + 3, w->text.len);
    ptrdiff_t slash = str_find(rest, '/');
    rest = str_slice(rest, 0, slash >= 0 ? (size_t)slash : rest.len);
    ptrdiff_t colon = str_find(rest, ':');
    ptrdiff_t host = str_find(rest, '@');
    return colon > 0 && host > colon + 1;
}

/* "Authorization: Bearer constant". */
static bool is_header(const struct shell_word *w)
{
    return w->expansion_count == 0 && !w->substitutes &&
           str_has_nocase(w->text, STR("authorization:")) &&
           str_find(w->text, '%') < 0 && /* of printf */
           w->text.len > sizeof("authorization: bearer");
}

/* "--password constant". */
static bool is_option(const struct shell_word *before,
                      const struct shell_word *w)
{
    return str_starts(before->text, STR("--")) &&
           str_find(before->text, '=') < 0 &&
           lint_is_secret_name(before->text) && w->expansion_count == 0 &&
           !w->substitutes && is_in_clear(w->text) && w->text.at[0] != '-';
}

/* Is this the option, by itself or as the last of several ("-fu")? */
static bool names_option(struct str word, struct str option)
{
    return str_eq(word, option) ||
           (option.len == 2 && word.len > 2 && word.at[0] == '-' &&
            word.at[1] != '-' && word.at[word.len - 1] == option.at[1]);
}

/* Options whose value is a password and whose name does not say so. */
static bool is_known_option(struct str program, const struct shell_word *before,
                            const struct shell_word *w)
{
    static const struct {
        const char *program;
        const char *option;
        bool attached; /* "-pVALUE" */
        bool pair;     /* USER:VALUE */
    } known[] = {
        {"curl", "-u", false, true},       {"curl", "--user", false, true},
        {"sshpass", "-p", false, false},   {"sshpass", "-p", true, false},
        {"redis-cli", "-a", false, false}, {"mysql", "-p", true, false},
        {"mysqldump", "-p", true, false},  {"mysqladmin", "-p", true, false},
        {"mariadb", "-p", true, false},    {"mongosh", "-p", false, false},
    };
    if (w->expansion_count != 0 || w->substitutes || w->text.len == 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        struct str option = str_c(known[i].option);
        if (!str_eq_c(program, known[i].program)) {
            continue;
        }
        if (known[i].attached
                ? w->text.len > option.len && str_starts(w->text, option)
                : names_option(before->text, option) && is_in_clear(w->text)) {
            ptrdiff_t colon = str_find(w->text, ':');
            return !known[i].pair ||
                   (colon >= 0 && (size_t)colon + 1 < w->text.len);
        }
    }
    return false;
}

/* A word, with the one in front of it. */
static bool is_secret(struct str program, const struct shell_word *before,
                      const struct shell_word *w)
{
    return is_assignment(w) || is_url(w) || is_header(w) ||
           lint_is_secret_value(w->text) || is_option(before, w) ||
           is_known_option(program, before, w);
}

void lint_secret_in_script(struct lint *l, const struct lint_script *s)
{
    static const struct shell_word none = {.text = {.at = "", .len = 0}};
    VEC_EACH (&s->shell.commands, i) {
        const struct shell_command *c = &s->shell.commands.at[i];
        const struct shell_word *before = &none;
        struct str program = lint_base_name(shell_arg(&s->shell, c, 0));
        for (uint32_t n = 0; n < c->word_count; n++) {
            const struct shell_word *w = &s->shell.words.at[c->first_word + n];
            if (is_secret(program, before, w)) {
                (void)lint_add_in(l, s, w->offset, "a secret stands in clear");
            }
            before = w;
        }
    }
}
