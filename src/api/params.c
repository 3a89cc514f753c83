#include <errno.h>
#include <string.h>

#include "api/api_priv.h"
#include "base/assert.h"
#include "os/clock.h"

static size_t query_count(const struct query *q)
{
    size_t n = 0;
    while (q != NULL && q[n].name != NULL) {
        n++;
    }
    return n;
}

const struct value *call_value(const struct call *c, const char *name)
{
    const struct query *q = c->route->query;
    for (size_t i = 0; q != NULL && q[i].name != NULL; i++) {
        if (strcmp(q[i].name, name) == 0) {
            return &c->values[i];
        }
    }
    UNREACHABLE();
}

uint64_t call_number(const struct call *c, const char *name)
{
    return call_value(c, name)->number;
}

uint32_t call_export_limit(const struct call *c)
{
    const struct value *limit = call_value(c, "limit");
    bool export = !limit->given && call_value(c, "since")->given;
    return export ? API_EXPORT_MAX : (uint32_t)limit->number;
}

static int read_word(struct call *c, const struct query *q, struct value *v,
                     struct err *reterr)
{
    const char *words[32];
    size_t count = 0;
    while (count < ARRAY_LEN(words) && q->word(count) != NULL) {
        words[count] = q->word(count);
        count++;
    }
    size_t found = 0;
    int r = url_get_word(&c->url, q->name, words, count, &found, reterr);
    v->number = found;
    return r;
}

static int read_id(struct call *c, const struct query *q, struct value *v,
                   struct err *reterr)
{
    int r = url_get_str(&c->url, q->name, &v->text, reterr);
    if (r == 1 && id_parse(v->text, q->prefix, &v->id) < 0) {
        err_field(reterr, "%s", q->name);
        return err_set(reterr, -EINVAL, "'%s' must be an id (%s-...)", q->name,
                       q->prefix);
    }
    return r;
}

static int read_bool(struct call *c, const struct query *q, struct value *v,
                     struct err *reterr)
{
    bool yes = q->fallback != 0;
    int r = url_get_bool(&c->url, q->name, &yes, reterr);
    v->number = yes;
    return r;
}

static int read_since(struct call *c, const struct query *q, struct value *v,
                      struct err *reterr)
{
    uint64_t now_ms = os_epoch_ms();
    int r = url_get_since(&c->url, q->name, now_ms, &v->number, reterr);
    if (r == 1 && v->number + API_SINCE_MAX_MS < now_ms) {
        err_field(reterr, "%s", q->name);
        return err_set(reterr, -ERANGE,
                       "'%s' must be within the last %d days; older rows are "
                       "reached with cursor=",
                       q->name, API_SINCE_MAX_DAYS);
    }
    return r;
}

static int read_value(struct call *c, const struct query *q, struct value *v,
                      struct err *reterr)
{
    switch (q->kind) {
    case QUERY_TEXT:
    case QUERY_FILTER:
        return url_get_str(&c->url, q->name, &v->text, reterr);
    case QUERY_NUMBER:
        return url_get_u64(&c->url, q->name, (struct url_range){q->min, q->max},
                           &v->number, reterr);
    case QUERY_CURSOR:
        return url_get_u64(&c->url, q->name, (struct url_range){1, INT64_MAX},
                           &v->number, reterr);
    case QUERY_WORD:
        return read_word(c, q, v, reterr);
    case QUERY_BOOL:
        return read_bool(c, q, v, reterr);
    case QUERY_SINCE:
        return read_since(c, q, v, reterr);
    case QUERY_ID:
        return read_id(c, q, v, reterr);
    case QUERY_MANY:
        return 0;
    }
    UNREACHABLE();
}

static void refuse(struct call *c, int r, const struct err *e)
{
    answer_err(c, 400, r == -ERANGE ? "out_of_range" : "bad_request", e);
}

bool call_read_query(struct call *c)
{
    const struct query *q = c->route->query;
    size_t count = query_count(q);
    const char *names[QUERY_MAX] = {NULL};
    struct err err = ERR_INIT;
    for (size_t i = 0; i < count; i++) {
        names[i] = q[i].name;
    }
    if (url_check_names(&c->url, names, count, &err) < 0) {
        answer_err(c, 400, "unknown_parameter", &err);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        c->values[i].number = q[i].fallback;
        int r = read_value(c, &q[i], &c->values[i], &err);
        if (r < 0) {
            refuse(c, r, &err);
            return false;
        }
        c->values[i].given = r == 1;
    }
    return true;
}
