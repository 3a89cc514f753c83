/*
 * Request targets: the path and query of a URL, percent-decoded exactly once.
 * A path that two readers could take for different resources is refused:
 * %2F %5C %00, a backslash, "//", "." and ".." segments, ";", control
 * characters, bad UTF-8. Queries are names and values (application/
 * x-www-form-urlencoded), read through typed getters that name what is wrong.
 * Pure; any thread; results live in the arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define URL_TARGET_MAX_BYTES 8192
#define URL_PARAMS_MAX 64

struct url_param {
    struct str name;
    struct str value;
};

struct url {
    struct str path; /* decoded, starts with "/" */
    struct url_param *params;
    uint32_t param_count;
};

/* Reads "/path?name=value&..."; the parts are only valid together. Returns 0,
 * -EINVAL (refused, see above) or -E2BIG (a limit). */
NODISCARD int url_parse(struct str target, struct arena *a, struct url *ret,
                        struct err *reterr);

/* The same for a path or a query (without "?") alone; each sets only its own
 * members of *ret. */
NODISCARD int url_parse_path(struct str path, struct arena *a, struct url *ret,
                             struct err *reterr);
NODISCARD int url_parse_query(struct str query, struct arena *a,
                              struct url *ret, struct err *reterr);

/* 0 if every parameter is one of these names; else -EINVAL "unknown query
 * parameter 'x'" with the nearest name as the hint. */
NODISCARD int url_check_names(const struct url *u, const char *const *names,
                              size_t count, struct err *reterr);

/* The parameter at or after *cursor (start at 0) with this name, the cursor
 * moved behind it, or NULL: for parameters that may be repeated. */
const struct url_param *url_next(const struct url *u, const char *name,
                                 uint32_t *cursor);

/* One value. All return 1 with it, 0 when the parameter is absent (*ret
 * untouched), or -EINVAL (given twice, not such a value) or -ERANGE with
 * reterr->field set to the name. An empty value is a value. */
NODISCARD int url_get_str(const struct url *u, const char *name,
                          struct str *ret, struct err *reterr);
NODISCARD int url_get_bool(const struct url *u, const char *name, bool *ret,
                           struct err *reterr);
struct url_range {
    uint64_t min;
    uint64_t max;
};
NODISCARD int url_get_u64(const struct url *u, const char *name,
                          struct url_range range, uint64_t *ret,
                          struct err *reterr);
/* One of `count` words; gives its index. The error lists them. */
NODISCARD int url_get_word(const struct url *u, const char *name,
                           const char *const *words, size_t count, size_t *ret,
                           struct err *reterr);
/* 1h, 7d, an RFC 3339 time or epoch seconds, as an instant. */
NODISCARD int url_get_since(const struct url *u, const char *name,
                            uint64_t now_ms, uint64_t *ret_ms,
                            struct err *reterr);
