#include "model/event_json.h"

#include <errno.h>
#include <stdio.h>

#include "data/json.h"
#include "data/timestamp.h"

static void add_seconds(struct strbuf *out, const char *name, uint64_t ms)
{
    strbuf_addf(out, ",\"%s\":%llu.%03u", name, (unsigned long long)(ms / 1000),
                (unsigned)(ms % 1000));
}

static void add_iso(struct strbuf *out, const char *name, uint64_t ms)
{
    char text[TIMESTAMP_TEXT_SIZE];
    timestamp_format(MIN(ms, TIMESTAMP_MAX_MS), text);
    strbuf_addf(out, ",\"%s\":\"%s\"", name, text);
}

static void add_front(struct strbuf *out, const struct event *e,
                      enum event_status status)
{
    char id[ID_TEXT_SIZE];
    id_format(e->id, ID_PREFIX_EVENT, id);
    strbuf_addf(out, "{\"id\":\"%s\",\"seq\":%llu,\"status\":\"%s\"", id,
                (unsigned long long)e->seq, event_status_name(status));
    add_seconds(out, "received_at", e->received_ms);
    add_iso(out, "received_at_iso", e->received_ms);
    /* The body has a timestamp first or none, see event_from_json. */
    if (!str_starts(e->body, STR("{\"timestamp\":"))) {
        add_seconds(out, "timestamp", e->received_ms);
    }
    if (e->severity.len == 0) {
        strbuf_addc(out, ",\"severity\":null");
    }
    if (e->source.len == 0) {
        strbuf_addc(out, ",\"source\":null");
    }
}

void event_add_json(struct strbuf *out, const struct event *e,
                    enum event_status status, struct str error,
                    const struct id *duplicate_of)
{
    add_front(out, e, status);
    if (e->body.len > 2) {
        strbuf_addch(out, ',');
        strbuf_add(out, str_slice(e->body, 1, e->body.len - 1));
    }
    if (e->starts_ms != 0) {
        add_iso(out, "starts_at_iso", e->starts_ms);
    }
    if (e->ends_ms != 0) {
        add_iso(out, "ends_at_iso", e->ends_ms);
    }
    strbuf_addf(out, ",\"attempts\":%u,\"error\":", e->attempt);
    if (error.len != 0) {
        strbuf_add_json_quoted(out, error);
    } else {
        strbuf_addc(out, "null");
    }
    if (duplicate_of != NULL && !id_is_null(*duplicate_of)) {
        char id[ID_TEXT_SIZE];
        id_format(*duplicate_of, ID_PREFIX_EVENT, id);
        strbuf_addf(out, ",\"duplicate_of\":\"%s\"}", id);
    } else {
        strbuf_addc(out, ",\"duplicate_of\":null}");
    }
}

static int give(struct str text, struct arena *a, struct str *ret)
{
    if (text.len == 0) {
        return -ENOENT;
    }
    *ret = arena_str(a, text);
    return 0;
}

/* What the row itself has; 1 when the path is none of that. */
static int lookup_row(const struct event *e, struct str path, struct arena *a,
                      struct str *ret)
{
    const struct {
        const char *path;
        struct str text;
    } texts[] = {
        {"type", e->type},
        {"severity", e->severity},
        {"source", e->source},
        {"fingerprint", e->fingerprint},
        {"state", str_c(event_state_name(e->state))},
    };
    char text[MAX(ID_TEXT_SIZE, TIMESTAMP_TEXT_SIZE)];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (str_eq_c(path, texts[i].path)) {
            return give(texts[i].text, a, ret);
        }
    }
    if (str_eq(path, STR("id"))) {
        id_format(e->id, ID_PREFIX_EVENT, text);
    } else if (str_eq(path, STR("priority"))) {
        (void)snprintf(text, sizeof(text), "%u", e->priority);
    } else if (str_eq(path, STR("received_at"))) {
        timestamp_format(MIN(e->received_ms, TIMESTAMP_MAX_MS), text);
    } else {
        return 1;
    }
    return give(str_c(text), a, ret);
}

static const json_t *member(const json_t *json, struct str name)
{
    uint64_t index = 0;
    if (json_is_object(json)) {
        return json_object_getn(json, name.at, name.len);
    }
    if (json_is_array(json) && str_to_u64(name, 0, SIZE_MAX, &index) == 0) {
        return json_array_get(json, (size_t)index);
    }
    return NULL;
}

/* Follows the dots; behind "annotations." the rest is one name. */
static const json_t *follow(const json_t *json, struct str path)
{
    struct str rest = path;
    bool flat = str_starts(path, STR("annotations."));
    for (int level = 0; json != NULL; level++) {
        ptrdiff_t dot = flat && level > 0 ? -1 : str_find(rest, '.');
        if (dot < 0) {
            return member(json, rest);
        }
        json = member(json, str_slice(rest, 0, (size_t)dot));
        rest = str_slice(rest, (size_t)dot + 1, rest.len);
    }
    return NULL;
}

static int scalar_text(const json_t *json, struct arena *a, struct str *ret)
{
    if (json == NULL || json_is_null(json)) {
        return -ENOENT;
    }
    if (json_is_string(json)) {
        return give(json_text(json), a, ret);
    }
    if (json_is_object(json) || json_is_array(json)) {
        return -EINVAL;
    }
    struct strbuf out = STRBUF_INIT(64);
    json_write(json, &out);
    int r = give(strbuf_str(&out), a, ret);
    strbuf_deinit(&out);
    return r;
}

int event_lookup(const struct event *e, struct str path, struct arena *a,
                 struct str *ret)
{
    int r = lookup_row(e, path, a, ret);
    if (r != 1) {
        return r;
    }
    if (str_starts(path, STR("labels."))) {
        struct str name = str_slice(path, sizeof("labels.") - 1, path.len);
        return give(labels_get(&e->labels, name), a, ret);
    }
    json_t *body = NULL;
    struct err ignored = ERR_INIT;
    r = json_read(e->body, NULL, &body, &ignored);
    if (r < 0) {
        return -ENOENT; /* only a damaged row: it has no such value */
    }
    r = scalar_text(follow(body, path), a, ret);
    json_decref(body);
    return r;
}
