#include <errno.h>
#include <stdio.h>

#include "api/api_priv.h"
#include "data/json.h"

json_t *call_read_object(struct call *c, const char *const *names, size_t count)
{
    struct err err = ERR_INIT;
    struct str body = c->http->body;
    json_t *object = NULL;
    struct json_limits limits = JSON_LIMITS_DEFAULT;
    limits.bytes = c->route->body_limit_bytes;
    limits.string_bytes = c->route->body_limit_bytes;
    if (str_trim(body).len == 0) {
        return json_object();
    }
    int r = json_read(body, &limits, &object, &err);
    if (r < 0) {
        answer_err(c, r == -E2BIG ? 413 : 400,
                   r == -E2BIG ? "too_large" : "bad_json", &err);
        return NULL;
    }
    if (!json_is_object(object)) {
        (void)err_set(&err, -EINVAL, "the body must be a JSON object, not %s",
                      json_kind_text(object));
        answer_err(c, 400, "bad_request", &err);
    } else if (json_check_names(object, names, count, &err) < 0) {
        answer_err(c, 400, "bad_request", &err);
    } else {
        return object;
    }
    json_decref(object);
    return NULL;
}

static bool is_visible(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char b = (unsigned char)s.at[i];
        if (b < 0x20 || b > 0x7E) {
            return false;
        }
    }
    return true;
}

bool call_read_key(struct call *c, struct str *ret)
{
    struct str key = c->http->headers[HTTP_IDEMPOTENCY_KEY];
    if (key.at == NULL) {
        return true;
    }
    if (key.len == 0 || key.len > API_KEY_MAX_BYTES || !is_visible(key)) {
        answer_error(c, 400, "bad_request",
                     "an Idempotency-Key is 1 to 128 visible ASCII characters",
                     STR(""));
        return false;
    }
    size_t room = AUTH_NAME_SIZE + 1 + API_KEY_MAX_BYTES + 1;
    char *text = arena_alloc(call_arena(c), room, 1);
    int n = snprintf(text, room, "%s/%.*s", c->who.name, STR_ARG(key));
    *ret = str_n(text, (size_t)n);
    return true;
}
