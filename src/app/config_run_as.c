/*
 * executor.run_as_allowed: which users a runbook may name in run_as. An entry
 * is a user's name, or a mapping that also says which runbooks may name it.
 */
#include <errno.h>
#include <string.h>

#include "app/config_value.h"

#define GLOB_MAX_BYTES 255 /* as a path of the repository */

static const char *const keys[] = {"user", "runbooks"};

/* A glob is what a runbook's path may be, and the signs of fnmatch(3). */
static int check_glob(struct str glob, struct err *e)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "._-/*?[]!";
    if (glob.len > GLOB_MAX_BYTES || glob.at[0] == '/' ||
        strspn(glob.at, good) != glob.len) {
        err_hint(e, "like remediation/restart-*.yaml");
        return err_set(e, -EINVAL,
                       "runbooks: not a glob of paths in the repository");
    }
    return 0;
}

static bool read_globs(struct config_reader *r, const struct config_option *o,
                       const struct yaml_node *n, const char *const **ret)
{
    struct err e = ERR_INIT;
    size_t count = yaml_count(n);
    if (yaml_kind(n) != YAML_SEQUENCE || count == 0 ||
        count > CONFIG_MAX_LIST) {
        (void)yaml_err(&e, n, -EINVAL,
                       "runbooks: expected a list of 1 to %d globs, got %s",
                       CONFIG_MAX_LIST,
                       yaml_kind(n) != YAML_SEQUENCE
                           ? yaml_kind_text(n)
                           : (count == 0 ? "an empty one" : "more"));
        config_complain(r, o->key, &e);
        return false;
    }
    const char **globs =
        ARENA_ARRAY(&r->config->arena, count + 1, const char *);
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *item = yaml_item(n, i);
        if (config_value_text(r, o, item, &globs[i]) != 0) {
            return false;
        }
        e.at = yaml_place(item);
        if (check_glob(str_c(globs[i]), &e) < 0) {
            config_complain(r, o->key, &e);
            return false;
        }
    }
    *ret = globs;
    return true;
}

static bool read_rule(struct config_reader *r, const struct config_option *o,
                      const struct yaml_node *n, struct executor_run_as *ret)
{
    for (size_t i = 0; i < yaml_count(n); i++) {
        struct err e = ERR_INIT;
        struct str name = yaml_text(yaml_key(n, i));
        bool good = true;
        if (str_eq_c(name, "user")) {
            good =
                config_value_checked(r, o, yaml_value(n, i), &ret->user) == 0;
        } else if (str_eq_c(name, "runbooks")) {
            good = read_globs(r, o, yaml_value(n, i), &ret->runbooks);
        } else {
            const char *near = str_nearest(name, keys, ARRAY_LEN(keys));
            if (near != NULL) {
                err_hint(&e, "did you mean \"%s\"?", near);
            }
            (void)yaml_err(&e, yaml_key(n, i), -EINVAL, "unknown key \"%.*s\"",
                           STR_ARG(str_slice(name, 0, 64)));
            config_complain(r, o->key, &e);
            good = false;
        }
        if (!good) {
            return false;
        }
    }
    return true;
}

static bool read_entry(struct config_reader *r, const struct config_option *o,
                       const struct yaml_node *n, struct executor_run_as *ret)
{
    struct err e = ERR_INIT;
    bool good = yaml_kind(n) == YAML_MAPPING
                    ? read_rule(r, o, n, ret)
                    : config_value_checked(r, o, n, &ret->user) == 0;
    if (good && ret->user == NULL) {
        (void)yaml_err(&e, n, -EINVAL, "an entry needs a user");
    } else if (good && strcmp(ret->user, "root") == 0 &&
               ret->runbooks == NULL) {
        err_hint(&e, "{user: root, runbooks: [remediation/NAME.yaml]}");
        (void)yaml_err(&e, n, -EINVAL,
                       "root is permitted to named runbooks only");
    } else {
        return good;
    }
    config_complain(r, o->key, &e);
    return false;
}

void config_run_as_set(struct config_reader *r, const struct config_option *o,
                       const struct yaml_node *n)
{
    size_t count = yaml_count(n);
    if (!config_value_is_list(r, o, n)) {
        return;
    }
    struct executor_run_as *list =
        ARENA_ARRAY(&r->config->arena, count + 1, struct executor_run_as);
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        good = read_entry(r, o, yaml_item(n, i), &list[i]) && good;
    }
    if (good) {
        r->config->run_as_allowed = list;
    }
}

static bool same_globs(const char *const *a, const char *const *b)
{
    while (a != NULL && b != NULL && *a != NULL && *b != NULL &&
           strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return a == NULL || b == NULL ? a == b : *a == *b;
}

bool config_run_as_same(const struct executor_run_as *a,
                        const struct executor_run_as *b)
{
    while (a->user != NULL && b->user != NULL &&
           strcmp(a->user, b->user) == 0 &&
           same_globs(a->runbooks, b->runbooks)) {
        a++;
        b++;
    }
    return a->user == NULL && b->user == NULL;
}

void config_run_as_add(const struct executor_run_as *list, struct strbuf *out)
{
    strbuf_addch(out, '[');
    for (size_t i = 0; list[i].user != NULL; i++) {
        strbuf_addc(out, i != 0 ? ", " : "");
        if (list[i].runbooks == NULL) {
            strbuf_add_json_quoted(out, str_c(list[i].user));
            continue;
        }
        strbuf_addc(out, "{\"user\": ");
        strbuf_add_json_quoted(out, str_c(list[i].user));
        strbuf_addc(out, ", \"runbooks\": [");
        for (size_t k = 0; list[i].runbooks[k] != NULL; k++) {
            strbuf_addc(out, k != 0 ? ", " : "");
            strbuf_add_json_quoted(out, str_c(list[i].runbooks[k]));
        }
        strbuf_addc(out, "]}");
    }
    strbuf_addch(out, ']');
}
