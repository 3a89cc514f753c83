#include "runtime/secrets.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <jansson.h>

#include "base/assert.h"
#include "base/mem.h"
#include "data/json.h"
#include "model/params.h"
#include "model/runbook_load.h"
#include "os/seal.h"

/* Sealed, a value is at most six times as long, and its share of the rest. */
#define JSON_MAX_BYTES                                                         \
    ((size_t)RUNBOOK_MAX_PARAMS * (RUNBOOK_PARAM_VALUE_MAX_BYTES * 10 + 512))
#define CONTEXT_MAX_BYTES 1024

struct secrets {
    pthread_mutex_t lock;
    char *key_path;
    struct seal *seal; /* NULL: not opened yet */
};

struct secrets *secrets_new(const char *key_path)
{
    struct secrets *s = MEM_NEW(struct secrets);
    pthread_mutex_init(&s->lock, NULL);
    s->key_path = str_dup(str_c(key_path));
    return s;
}

void secrets_free(struct secrets *s)
{
    if (s != NULL) {
        seal_free(s->seal);
        mem_free(s->key_path);
        pthread_mutex_destroy(&s->lock);
        mem_free(s);
    }
}

static int take_key(struct secrets *s, bool create, const struct seal **ret,
                    struct err *reterr)
{
    pthread_mutex_lock(&s->lock);
    int r =
        s->seal != NULL ? 0 : seal_open(s->key_path, create, &s->seal, reterr);
    *ret = s->seal;
    pthread_mutex_unlock(&s->lock);
    return r;
}

static bool has_secrets(const struct runbook *rb)
{
    for (uint32_t i = 0; i < rb->param_count; i++) {
        if (rb->params[i].secret) {
            return true;
        }
    }
    return false;
}

static bool gives_secrets(const struct runbook *rb, json_t *object)
{
    for (void *it = json_object_iter(object); it != NULL;
         it = json_object_iter_next(object, it)) {
        if (params_is_secret(rb, str_c(json_object_iter_key(it)))) {
            return true;
        }
    }
    return false;
}

/* What a sealed value is bound to. */
static void add_context(const struct runbook *rb, const char *name,
                        struct strbuf *out)
{
    strbuf_addf(out, "parameter %.*s %s", STR_ARG(rb->path), name);
    ASSERT(strbuf_error(out) == 0);
}

/* Turns the text of one value into another. */
typedef int change_fn(const struct seal *seal, const json_t *value,
                      struct str context, struct strbuf *out);

static int seal_value(const struct seal *seal, const json_t *value,
                      struct str context, struct strbuf *out)
{
    struct strbuf text = STRBUF_INIT(JSON_MAX_BYTES);
    json_write(value, &text);
    ASSERT(strbuf_error(&text) == 0);
    strbuf_addc(out, "\"" SECRETS_SEALED_PREFIX);
    seal_add(seal, strbuf_str(&text), context, out);
    strbuf_addch(out, '"');
    explicit_bzero(text.at, text.len);
    strbuf_deinit(&text);
    return 0;
}

static int open_value(const struct seal *seal, const json_t *value,
                      struct str context, struct strbuf *out)
{
    char *text = NULL;
    struct str sealed =
        str_n(json_string_value(value), json_string_length(value));
    if (!json_is_string(value) ||
        !str_starts(sealed, STR(SECRETS_SEALED_PREFIX)) ||
        seal_get(seal,
                 str_slice(sealed, strlen(SECRETS_SEALED_PREFIX), sealed.len),
                 context, &text) < 0) {
        return -EBADMSG;
    }
    strbuf_addc(out, text);
    seal_wipe(text);
    return 0;
}

static int change_object(const struct seal *seal, const struct runbook *rb,
                         json_t *object, change_fn *change, struct strbuf *out,
                         struct err *reterr)
{
    strbuf_addch(out, '{');
    for (void *it = json_object_iter(object); it != NULL;
         it = json_object_iter_next(object, it)) {
        const char *name = json_object_iter_key(it);
        const json_t *value = json_object_iter_value(it);
        struct strbuf context = STRBUF_INIT(CONTEXT_MAX_BYTES);
        int r = 0;
        add_context(rb, name, &context);
        strbuf_addc(out, out->len > 1 ? "," : "");
        strbuf_add_json_quoted(out, str_c(name));
        strbuf_addch(out, ':');
        if (params_is_secret(rb, str_c(name))) {
            r = change(seal, value, strbuf_str(&context), out);
        } else {
            json_write(value, out);
        }
        strbuf_deinit(&context);
        if (r < 0) {
            return err_set(reterr, r,
                           "the secret parameter '%s' does not open with the "
                           "key of stored secrets that the engine has now",
                           name);
        }
    }
    strbuf_addch(out, '}');
    return 0;
}

/* *json becomes the changed text. */
static int change(struct secrets *s, const struct runbook *rb, bool seal,
                  struct arena *a, struct str *json, struct err *reterr)
{
    if (!has_secrets(rb)) {
        return 0;
    }
    const struct seal *key = NULL;
    json_auto_t *object = NULL;
    struct strbuf out = STRBUF_INIT(JSON_MAX_BYTES);
    int r = json_read(*json, NULL, &object, reterr);
    if (r == 0 && gives_secrets(rb, object)) {
        r = take_key(s, seal, &key, reterr);
    }
    if (r == 0) {
        r = change_object(key, rb, object, seal ? seal_value : open_value, &out,
                          reterr);
    }
    if (r == 0) {
        ASSERT(strbuf_error(&out) == 0);
        *json = arena_str(a, strbuf_str(&out));
    }
    if (out.at != NULL) {
        explicit_bzero(out.at, out.len);
    }
    strbuf_deinit(&out);
    return r;
}

int secrets_seal(struct secrets *s, const struct runbook *rb, struct str json,
                 struct arena *a, struct str *ret, struct err *reterr)
{
    int r = change(s, rb, true, a, &json, reterr);
    if (r == 0) {
        *ret = json;
    }
    return r;
}

int secrets_open(struct secrets *s, const struct runbook *rb, struct str json,
                 struct arena *a, struct str *ret, struct err *reterr)
{
    int r = change(s, rb, false, a, &json, reterr);
    if (r == 0) {
        *ret = json;
    }
    return r;
}
