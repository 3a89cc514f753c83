#include "wire/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "data/timestamp.h"

#define SHOWN_BYTES 64U /* of a name or value, in messages */

int url_check_names(const struct url *u, const char *const *names, size_t count,
                    struct err *reterr)
{
    for (uint32_t p = 0; p < u->param_count; p++) {
        struct str name = u->params[p].name;
        size_t i = 0;
        while (i < count && !str_eq_c(name, names[i])) {
            i++;
        }
        if (i < count) {
            continue;
        }
        int shown = (int)MIN(name.len, SHOWN_BYTES);
        const char *nearest = str_nearest(name, names, count);
        if (nearest != NULL) {
            err_hint(reterr, "did you mean '%s'?", nearest);
        }
        err_field(reterr, "%.*s", shown, name.at);
        return err_set(reterr, -EINVAL, "unknown query parameter '%.*s'", shown,
                       name.at);
    }
    return 0;
}

const struct url_param *url_next(const struct url *u, const char *name,
                                 uint32_t *cursor)
{
    while (*cursor < u->param_count) {
        const struct url_param *p = &u->params[(*cursor)++];
        if (str_eq_c(p->name, name)) {
            return p;
        }
    }
    return NULL;
}

int url_get_str(const struct url *u, const char *name, struct str *ret,
                struct err *reterr)
{
    uint32_t cursor = 0;
    const struct url_param *p = url_next(u, name, &cursor);
    if (p == NULL) {
        return 0;
    }
    if (url_next(u, name, &cursor) != NULL) {
        err_field(reterr, "%s", name);
        return err_set(reterr, -EINVAL, "query parameter '%s' is given twice",
                       name);
    }
    *ret = p->value;
    return 1;
}

static int refuse(struct err *e, int errnum, const char *name,
                  const char *expected, struct str got)
{
    err_field(e, "%s", name);
    return err_set(e, errnum, "query parameter '%s': expected %s, got '%.*s'",
                   name, expected, (int)MIN(got.len, SHOWN_BYTES), got.at);
}

int url_get_bool(const struct url *u, const char *name, bool *ret,
                 struct err *reterr)
{
    struct str text = STR_NULL;
    int r = url_get_str(u, name, &text, reterr);
    if (r != 1) {
        return r;
    }
    bool is_true = str_eq(text, STR("true"));
    if (!is_true && !str_eq(text, STR("false"))) {
        return refuse(reterr, -EINVAL, name, "true or false", text);
    }
    *ret = is_true;
    return 1;
}

int url_get_u64(const struct url *u, const char *name, struct url_range range,
                uint64_t *ret, struct err *reterr)
{
    struct str text = STR_NULL;
    char expected[80];
    int r = url_get_str(u, name, &text, reterr);
    if (r != 1) {
        return r;
    }
    r = str_to_u64(text, range.min, range.max, ret);
    if (r == 0) {
        return 1;
    }
    (void)snprintf(expected, sizeof(expected), "a number from %llu to %llu",
                   (unsigned long long)range.min,
                   (unsigned long long)range.max);
    return refuse(reterr, r, name, expected, text);
}

int url_get_word(const struct url *u, const char *name,
                 const char *const *words, size_t count, size_t *ret,
                 struct err *reterr)
{
    struct str text = STR_NULL;
    int r = url_get_str(u, name, &text, reterr);
    if (r != 1) {
        return r;
    }
    struct strbuf expected = STRBUF_INIT(200);
    for (size_t i = 0; i < count; i++) {
        if (str_eq_c(text, words[i])) {
            strbuf_deinit(&expected);
            *ret = i;
            return 1;
        }
        strbuf_addf(&expected, "%s%s", i != 0 ? ", " : "", words[i]);
    }
    r = refuse(reterr, -EINVAL, name, strbuf_str(&expected).at, text);
    strbuf_deinit(&expected);
    return r;
}

int url_get_since(const struct url *u, const char *name, uint64_t now_ms,
                  uint64_t *ret_ms, struct err *reterr)
{
    struct str text = STR_NULL;
    int r = url_get_str(u, name, &text, reterr);
    if (r != 1) {
        return r;
    }
    r = timestamp_parse_since(text, now_ms, ret_ms);
    if (r == 0) {
        return 1;
    }
    return refuse(reterr, r, name, "1h, 7d, an RFC 3339 time or epoch seconds",
                  text);
}
