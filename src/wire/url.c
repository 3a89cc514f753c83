#include "wire/url.h"

#include <errno.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes into the arena: 0, or -EINVAL for a broken escape, a NUL or bytes
 * that are not UTF-8. */
static int decode(struct str text, bool plus_is_blank, struct arena *a,
                  struct str *ret)
{
    char *out = arena_alloc(a, text.len + 1, 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.at[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.at[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return -EINVAL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        if (c == '\0') {
            return -EINVAL;
        }
        out[len++] = c;
    }
    *ret = str_n(out, len);
    return str_is_utf8(*ret) ? 0 : -EINVAL;
}

static bool has_escape(struct str text, const char *digits)
{
    for (size_t i = 0; i + 2 < text.len; i++) {
        if (text.at[i] == '%' &&
            str_has_nocase(str_slice(text, i + 1, i + 3), str_c(digits))) {
            return true;
        }
    }
    return false;
}

/* A segment that is nothing, "." or "..", except nothing at the very end. */
static bool has_odd_segment(struct str path)
{
    struct str rest = str_slice(path, 1, path.len);
    for (;;) {
        ptrdiff_t slash = str_find(rest, '/');
        size_t len = slash >= 0 ? (size_t)slash : rest.len;
        struct str segment = str_slice(rest, 0, len);
        if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")) ||
            (segment.len == 0 && slash >= 0)) {
            return true;
        }
        if (slash < 0) {
            return false;
        }
        rest = str_slice(rest, len + 1, rest.len);
    }
}

static const char *path_problem(struct str raw, struct str path)
{
    if (has_escape(raw, "2f") || has_escape(raw, "5c")) {
        return "the path has an escaped slash or backslash";
    }
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.at[i];
        if (c < 0x20 || c == 0x7F) {
            return "the path has a control character";
        }
        if (c == '\\' || c == ';') {
            return "the path has a backslash or a semicolon";
        }
    }
    if (has_odd_segment(path)) {
        return "the path has an empty or dot segment";
    }
    return NULL;
}

int url_parse_path(struct str path, struct arena *a, struct url *ret,
                   struct err *reterr)
{
    struct str decoded = STR_NULL;
    if (path.len > URL_TARGET_MAX_BYTES) {
        return err_set(reterr, -E2BIG, "the path is longer than %d bytes",
                       URL_TARGET_MAX_BYTES);
    }
    if (path.len == 0 || path.at[0] != '/') {
        return err_set(reterr, -EINVAL, "the path must start with /");
    }
    if (decode(path, false, a, &decoded) < 0) {
        return err_set(reterr, -EINVAL,
                       "the path has a broken escape, a NUL or is not UTF-8");
    }
    const char *problem = path_problem(path, decoded);
    if (problem != NULL) {
        return err_set(reterr, -EINVAL, "%s", problem);
    }
    ret->path = decoded;
    return 0;
}

static int parse_param(struct str text, struct arena *a, struct url_param *ret,
                       struct err *reterr)
{
    ptrdiff_t equals = str_find(text, '=');
    size_t name_len = equals >= 0 ? (size_t)equals : text.len;
    struct str value = str_slice(text, name_len + 1, text.len);
    if (decode(str_slice(text, 0, name_len), true, a, &ret->name) < 0 ||
        decode(value, true, a, &ret->value) < 0) {
        return err_set(reterr, -EINVAL,
                       "the query has a broken escape, a NUL or is not UTF-8");
    }
    if (ret->name.len == 0) {
        return err_set(reterr, -EINVAL, "the query has a value without a name");
    }
    return 0;
}

int url_parse_query(struct str query, struct arena *a, struct url *ret,
                    struct err *reterr)
{
    if (query.len > URL_TARGET_MAX_BYTES) {
        return err_set(reterr, -E2BIG, "the query is longer than %d bytes",
                       URL_TARGET_MAX_BYTES);
    }
    size_t most = query.len != 0 ? 1 : 0;
    for (size_t i = 0; i < query.len; i++) {
        most += query.at[i] == '&' ? 1 : 0;
    }
    if (most > URL_PARAMS_MAX) {
        return err_set(reterr, -E2BIG, "more than %d query parameters",
                       URL_PARAMS_MAX);
    }
    struct url_param *params = ARENA_ARRAY(a, most, struct url_param);
    uint32_t count = 0;
    struct str rest = query;
    while (rest.len != 0) {
        ptrdiff_t ampersand = str_find(rest, '&');
        size_t len = ampersand >= 0 ? (size_t)ampersand : rest.len;
        if (len != 0) {
            int r =
                parse_param(str_slice(rest, 0, len), a, &params[count], reterr);
            if (r < 0) {
                return r;
            }
            count++;
        }
        rest = str_slice(rest, len + 1, rest.len);
    }
    ret->params = params;
    ret->param_count = count;
    return 0;
}

int url_parse(struct str target, struct arena *a, struct url *ret,
              struct err *reterr)
{
    struct url u = {0};
    ptrdiff_t mark = str_find(target, '?');
    size_t path_len = mark >= 0 ? (size_t)mark : target.len;
    if (target.len > URL_TARGET_MAX_BYTES) {
        return err_set(reterr, -E2BIG, "the URL is longer than %d bytes",
                       URL_TARGET_MAX_BYTES);
    }
    if (str_find(target, '#') >= 0) {
        return err_set(reterr, -EINVAL, "a request has no # part");
    }
    int r = url_parse_path(str_slice(target, 0, path_len), a, &u, reterr);
    if (r < 0) {
        return r;
    }
    r = url_parse_query(str_slice(target, path_len + 1, target.len), a, &u,
                        reterr);
    if (r == 0) {
        *ret = u;
    }
    return r;
}
