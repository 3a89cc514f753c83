/*
 * What the audit trail says of changes by operators: how it was before and how
 * it is after. The row is written before the events of a sweep move, in pieces,
 * so it tells how many there are when it begins.
 */
#include "runtime/service_tell.h"

#include <errno.h>

#include "runtime/service_priv.h"

#define TEXT_MAX_BYTES (64UL * 1024)

static struct str kept(struct arena *a, struct strbuf *text)
{
    struct str s = arena_str(a, strbuf_str(text));
    strbuf_reset(text);
    return s;
}

/* What the setting says now; "" when it is not set. */
static int read_setting(struct service *s, struct str key, struct arena *a,
                        struct str *ret)
{
    struct setting_row *rows = NULL;
    uint32_t count = 0;
    int r = s->reader->ops->settings(s->reader, key, a, &rows, &count);
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        if (str_eq(rows[i].key, key)) {
            *ret = rows[i].value;
        }
    }
    return r;
}

static void add_paused(struct service *s UNUSED, struct str value,
                       struct strbuf *out)
{
    strbuf_addc(out, value.len != 0 ? "true" : "false");
}

static void add_workers(struct service *s, struct str value, struct strbuf *out)
{
    if (value.len != 0) {
        strbuf_add(out, value);
    } else {
        strbuf_addf(out, "%u", s->engine.workers);
    }
}

/* The value is why it is disabled. */
static void add_enabled(struct service *s UNUSED, struct str value,
                        struct strbuf *out)
{
    if (value.len == 0) {
        strbuf_addc(out, "{\"enabled\":true}");
    } else {
        strbuf_addf(out, "{\"reason\":%.*s,\"enabled\":false}", STR_ARG(value));
    }
}

/* What is in force with this value, "" for unset; others say it as it is. */
static const struct {
    const char *prefix;
    void (*add)(struct service *s, struct str value, struct strbuf *out);
} effects[] = {
    {CONTROL_PAUSED, add_paused},
    {CONTROL_WORKERS, add_workers},
    {CONTROL_DISABLED, add_enabled},
};

static struct str in_force(struct service *s, struct str key, struct str value,
                           struct arena *a)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(effects); i++) {
        if (str_starts(key, str_c(effects[i].prefix))) {
            effects[i].add(s, value, &text);
            return kept(a, &text);
        }
    }
    return value;
}

int service_tell_setting(struct service *s, const struct setting_row *setting,
                         struct arena *a, struct audit_row *row)
{
    struct str now = STR("");
    int r = read_setting(s, setting->key, a, &now);
    if (r == 0) {
        row->before = in_force(s, setting->key, now, a);
        row->after = in_force(s, setting->key, setting->value, a);
    }
    return r;
}

int service_tell_verdict(struct service *s, struct id subject, struct arena *a,
                         struct str *ret)
{
    struct verdict_row row;
    int r = s->reader->ops->verdict(s->reader, subject, a, &row);
    if (r == 0) {
        CLEANUP(strbuf_deinit)
        struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
        strbuf_addf(&text,
                    "{\"verdict\":\"%s\",\"note\":", verdict_name(row.verdict));
        if (row.note.len != 0) {
            strbuf_add_json_quoted(&text, row.note);
        } else {
            strbuf_addc(&text, "null");
        }
        strbuf_addch(&text, '}');
        *ret = kept(a, &text);
    }
    return r == -ENOENT ? 0 : r;
}

/* Failed ones are tried again: they wait like those in the queue. */
static uint64_t events_now(struct service *s, enum event_status status)
{
    struct store_counts counts;
    committer_counts(s->committer, &counts);
    return counts.events[status] +
           (status == EVENT_QUEUED ? counts.events[EVENT_ERROR] : 0);
}

/* {"status": "drained", "events": 5}, then {"status": "queued"}; when the
 * processing is paused with it, that too. */
static void tell_move(struct service *s, const struct service_request *request,
                      const struct change_move *move, struct arena *a,
                      struct audit_row *row)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    bool pauses = request->change.setting.key.len != 0;
    strbuf_addc(&text, "{");
    if (pauses) {
        strbuf_addf(&text, "\"paused\":%s,",
                    str_eq_c(row->before, "true") ? "true" : "false");
    }
    strbuf_addf(&text, "\"status\":\"%s\"", event_status_name(move->from));
    if (id_is_null(request->change.event_id)) {
        strbuf_addf(&text, ",\"events\":%" PRIu64, events_now(s, move->from));
    }
    strbuf_addch(&text, '}');
    row->before = kept(a, &text);
    strbuf_addf(&text, "{%s\"status\":\"%s\"}",
                pauses ? "\"paused\":true," : "", event_status_name(move->to));
    row->after = kept(a, &text);
}

static void tell_restart(struct service *s, struct arena *a,
                         struct audit_row *row)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    struct worker_view views[ENGINE_WORKERS_MAX];
    uint32_t count = service_workers(s, views, ENGINE_WORKERS_MAX);
    uint32_t stuck = 0;
    for (uint32_t i = 0; i < count; i++) {
        stuck += views[i].state == WORKER_STUCK;
    }
    strbuf_addf(&text, "{\"workers\":%u,\"stuck\":%u}", count, stuck);
    row->before = kept(a, &text);
    strbuf_addf(&text, "{\"workers\":%u,\"stuck\":0}", count);
    row->after = kept(a, &text);
}

void service_tell_sweep(struct service *s,
                        const struct service_request *request,
                        const struct change_move *move, struct arena *a,
                        struct audit_row *row)
{
    if (move != NULL) {
        tell_move(s, request, move, a, row);
    } else if (request->change.sweep == CHANGE_RESTART) {
        tell_restart(s, a, row);
    }
}
