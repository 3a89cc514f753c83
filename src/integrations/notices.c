/*
 * Which records partner systems are told about: workflows that failed, were
 * held or killed, and those that came to a good end after that. On the
 * service's thread, before the records are committed; what is added here is
 * committed with them or not at all.
 *
 * An incident is a runbook with its parameters: what happens to those again is
 * the same incident until one of its workflows succeeds. Cancelling a workflow
 * repairs nothing and ends no incident, unless that workflow's being held is
 * the incident. Open incidents are settings of the store ("notice/open/KEY"),
 * so a restart knows them; the oldest is forgotten when there are too many.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/mem.h"
#include "data/json.h"
#include "engine/engine.h"
#include "integrations/integrations_priv.h"
#include "runtime/secrets.h"

#define OPEN_PREFIX "notice/open/"
#define KEY_SIZE 65
#define BODY_MAX_BYTES (64UL * 1024)

struct open_incident {
    char key[KEY_SIZE];
    uint32_t channels; /* who was told */
    enum notice_kind kind;
    struct id workflow; /* that it was last told of */
    uint64_t at_ms;     /* last told */
};

/* ---- open incidents ---------------------------------------------------------
 */

static struct open_incident *find_open(struct integrations *s, const char *key)
{
    return map_get(&s->open, str_c(key));
}

static struct open_incident *add_open(struct integrations *s, const char *key)
{
    struct open_incident *o = MEM_NEW(struct open_incident);
    (void)snprintf(o->key, sizeof(o->key), "%s", key);
    (void)map_put(&s->open, str_c(o->key), o);
    return o;
}

static void remove_open(struct integrations *s, struct open_incident *o)
{
    (void)map_remove(&s->open, str_c(o->key));
    mem_free(o);
}

void notices_free(struct integrations *s)
{
    size_t cursor = 0;
    struct map_entry *e = NULL;
    while ((e = map_next(&s->open, &cursor)) != NULL) {
        mem_free(e->value);
    }
    map_deinit(&s->open);
}

static void take_open(struct integrations *s, const struct setting_row *row)
{
    struct str name =
        str_slice(row->key, sizeof(OPEN_PREFIX) - 1, row->key.len);
    json_auto_t *value = json_loadb(row->value.at, row->value.len, 0, NULL);
    char key[KEY_SIZE];
    if (name.len != KEY_SIZE - 1 || !json_is_object(value)) {
        return;
    }
    (void)snprintf(key, sizeof(key), "%.*s", STR_ARG(name));
    struct open_incident *o = add_open(s, key);
    o->channels =
        (uint32_t)json_integer_value(json_object_get(value, "channels"));
    o->kind =
        (enum notice_kind)json_integer_value(json_object_get(value, "kind"));
    o->at_ms = row->at_ms;
    if (id_parse(json_text(json_object_get(value, "workflow")),
                 ID_PREFIX_WORKFLOW, &o->workflow) < 0) {
        o->workflow = ID_NULL; /* an earlier version's */
    }
}

int notices_load(struct integrations *s, struct reader *reader)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct setting_row *rows = NULL;
    struct notice_counts counts;
    uint32_t count = 0;
    int r = reader->ops->settings(reader, STR(OPEN_PREFIX), &a, &rows, &count);
    if (r == 0) {
        r = reader->ops->notice_counts(reader, &counts);
    }
    if (r < 0) {
        return r;
    }
    for (uint32_t i = 0; i < count; i++) {
        take_open(s, &rows[i]);
    }
    for (int i = 0; i < INTEGRATIONS; i++) {
        atomic_store(&s->channels[i].pending, counts.of[i][NOTICE_PENDING]);
        atomic_store(&s->channels[i].dead, counts.of[i][NOTICE_DEAD]);
    }
    return 0;
}

/* ---- what is told -----------------------------------------------------------
 */

/* False: nobody wants to know of this row. */
static bool kind_of(const struct workflow_row *w, enum notice_kind *ret)
{
    switch (w->status) {
    case WORKFLOW_FAILED:
        *ret = w->result == RESULT_ESCALATED ? NOTICE_ESCALATED : NOTICE_FAILED;
        return true;
    case WORKFLOW_HELD:
        *ret = NOTICE_HELD;
        return true;
    case WORKFLOW_KILLED:
        *ret = NOTICE_KILLED;
        return true;
    case WORKFLOW_SUCCEEDED:
    case WORKFLOW_CANCELLED:
        *ret = NOTICE_RESOLVED;
        return true;
    case WORKFLOW_QUEUED:
    case WORKFLOW_RUNNING:
    case WORKFLOW_WAITING:
    case WORKFLOW_STATUSES:
        break;
    }
    return false;
}

/* A sealed value is another text each time it is sealed: for the key any one
 * is as good as another. */
static void hash_parameters(crypto_hash_sha256_state *state, struct str json)
{
    static const char mark[] = "\"" SECRETS_SEALED_PREFIX;
    while (json.len != 0) {
        const char *at = memmem(json.at, json.len, mark, sizeof(mark) - 1);
        size_t before = at != NULL ? (size_t)(at - json.at) : json.len;
        (void)crypto_hash_sha256_update(state, (const unsigned char *)json.at,
                                        before);
        json = str_slice(json, before, json.len);
        if (at != NULL) {
            const char *end = memchr(at + 1, '"', json.len - 1);
            json =
                str_slice(json, end != NULL ? (size_t)(end - at) + 1 : json.len,
                          json.len);
            (void)crypto_hash_sha256_update(state, (const unsigned char *)mark,
                                            sizeof(mark) - 1);
        }
    }
}

static void key_of(const struct workflow_row *w, char ret[KEY_SIZE])
{
    crypto_hash_sha256_state state;
    unsigned char hash[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256_init(&state);
    (void)crypto_hash_sha256_update(
        &state, (const unsigned char *)w->runbook_path.at, w->runbook_path.len);
    (void)crypto_hash_sha256_update(&state, (const unsigned char *)"", 1);
    hash_parameters(&state, w->parameters);
    (void)crypto_hash_sha256_final(&state, hash);
    (void)sodium_bin2hex(ret, KEY_SIZE, hash, sizeof(hash));
}

static void add_text(json_t *body, const char *name, struct str text)
{
    (void)json_object_set_new(body, name, json_stringn(text.at, text.len));
}

/* Parameters are left out: they may be secret. */
static struct str body_of(const struct workflow_row *w, enum notice_kind kind,
                          uint64_t now_ms, struct arena *a)
{
    char id[ID_TEXT_SIZE];
    json_auto_t *body = json_object();
    struct strbuf text = STRBUF_INIT(BODY_MAX_BYTES);
    id_format(w->id, ID_PREFIX_WORKFLOW, id);
    add_text(body, "kind", str_c(notice_kind_name(kind)));
    add_text(body, "workflow_id", str_c(id));
    add_text(body, "status", str_c(workflow_status_name(w->status)));
    add_text(body, "runbook", w->runbook_path);
    add_text(body, "runbook_name", w->runbook_name);
    add_text(body, "commit", w->runbook_commit);
    add_text(body, "requested_by", w->requested_by);
    add_text(body, "error", w->error);
    if (!id_is_null(w->event_id)) {
        id_format(w->event_id, ID_PREFIX_EVENT, id);
        add_text(body, "event_id", str_c(id));
    }
    (void)json_object_set_new(body, "at_ms", json_integer((json_int_t)now_ms));
    json_write(body, &text);
    struct str kept = arena_str(a, strbuf_str(&text));
    strbuf_deinit(&text);
    return kept;
}

/* ---- adding records
 * ----------------------------------------------------------- */

struct telling {
    struct integrations *s;
    struct effects *fx;
    const struct workflow_row *w;
    enum notice_kind kind;
    uint64_t now_ms;
    struct str key;
    struct str body;
};

/* Those who want it and have room: an end always has, because there is one for
 * each beginning. */
static uint32_t wanting(struct integrations *s, enum notice_kind kind)
{
    uint32_t channels = 0;
    for (unsigned i = 0; i < INTEGRATIONS; i++) {
        struct channel *c = &s->channels[i];
        if ((atomic_load(&c->wants) & (1U << kind)) == 0) {
            continue;
        }
        if (kind != NOTICE_RESOLVED &&
            atomic_load(&c->pending) >= NOTICE_PENDING_MAX) {
            atomic_fetch_add(&c->dropped, 1);
            continue;
        }
        channels |= 1U << i;
    }
    return channels;
}

static void tell(const struct telling *t, uint32_t channels)
{
    for (unsigned i = 0; i < INTEGRATIONS; i++) {
        if ((channels & (1U << i)) == 0) {
            continue;
        }
        struct record r = {.kind = RECORD_NOTICE_NEW,
                           .notice = {.channel = (enum integration)i,
                                      .created_ms = t->now_ms,
                                      .key = t->key,
                                      .body = t->body}};
        VEC_PUSH(&t->fx->records, r);
        atomic_fetch_add(&t->s->channels[i].pending, 1);
    }
}

/* The incident's setting, or its end. */
static void set_open(const struct telling *t, const struct open_incident *o,
                     bool ended)
{
    char name[sizeof(OPEN_PREFIX) + KEY_SIZE];
    char id[ID_TEXT_SIZE];
    char value[96 + ID_TEXT_SIZE] = "";
    (void)snprintf(name, sizeof(name), OPEN_PREFIX "%s", o->key);
    if (!ended) {
        id_format(o->workflow, ID_PREFIX_WORKFLOW, id);
        (void)snprintf(value, sizeof(value),
                       "{\"channels\":%u,\"kind\":%d,\"workflow\":\"%s\"}",
                       o->channels, (int)o->kind, id);
    }
    struct record r = {
        .kind = RECORD_SETTING,
        .setting = {.key = arena_str(&t->fx->arena, str_c(name)),
                    .value = arena_str(&t->fx->arena, str_c(value)),
                    .at_ms = t->now_ms,
                    .by = STR("engine")}};
    VEC_PUSH(&t->fx->records, r);
}

static void resolve(struct telling *t, struct open_incident *o)
{
    uint32_t channels = o->channels & wanting(t->s, NOTICE_RESOLVED);
    t->body = body_of(t->w, t->kind, t->now_ms, &t->fx->arena);
    tell(t, channels);
    set_open(t, o, true);
    remove_open(t->s, o);
}

/* Before one more is remembered: the oldest goes when there are too many, or
 * when it is too old for its end to be of interest. */
static void make_room(const struct telling *t)
{
    struct integrations *s = t->s;
    struct open_incident *oldest = NULL;
    struct map_entry *e = NULL;
    size_t cursor = 0;
    while ((e = map_next(&s->open, &cursor)) != NULL) {
        struct open_incident *o = e->value;
        oldest = oldest == NULL || o->at_ms < oldest->at_ms ? o : oldest;
    }
    bool full = map_count(&s->open) >= NOTICE_OPEN_MAX;
    if (oldest == NULL ||
        (!full && t->now_ms < oldest->at_ms + NOTICE_OPEN_MAX_AGE_MS)) {
        return;
    }
    if (atomic_fetch_add(&s->incidents_forgotten, 1) == 0 && full) {
        integrations_log(s, LOG_WARNING,
                         "more than %d incidents are open: the oldest are "
                         "forgotten, and nobody is told of their end; see "
                         "incidents_forgotten_total",
                         NOTICE_OPEN_MAX);
    }
    set_open(t, oldest, true);
    remove_open(s, oldest);
}

static void open_or_repeat(struct telling *t, struct open_incident *o)
{
    uint32_t channels = wanting(t->s, t->kind);
    bool again = o != NULL && o->kind == t->kind &&
                 t->now_ms < o->at_ms + NOTICE_REPEAT_MS;
    channels &= ~(again ? o->channels : 0);
    if (channels == 0) {
        return;
    }
    t->body = body_of(t->w, t->kind, t->now_ms, &t->fx->arena);
    tell(t, channels);
    if (o == NULL) {
        make_room(t);
        o = add_open(t->s, t->key.at);
    }
    o->channels |= channels;
    o->kind = t->kind;
    o->workflow = t->w->id;
    o->at_ms = t->now_ms;
    set_open(t, o, false);
}

/* Does this workflow's good end, or its cancelling, end the incident? */
static bool ends(const struct workflow_row *w, const struct open_incident *o)
{
    return w->status != WORKFLOW_CANCELLED ||
           (o->kind == NOTICE_HELD && id_eq(o->workflow, w->id));
}

static void look_at(struct integrations *s, struct effects *fx,
                    const struct workflow_row *w, uint64_t now_ms)
{
    char key[KEY_SIZE];
    struct telling t = {.s = s, .fx = fx, .w = w, .now_ms = now_ms};
    if (w->dry_run || !kind_of(w, &t.kind)) {
        return;
    }
    if (t.kind == NOTICE_RESOLVED && map_count(&s->open) == 0) {
        return; /* nearly always */
    }
    key_of(w, key);
    struct open_incident *o = find_open(s, key);
    t.key = arena_str(&fx->arena, str_c(key));
    if (t.kind != NOTICE_RESOLVED) {
        open_or_repeat(&t, o);
    } else if (o != NULL && ends(w, o)) {
        resolve(&t, o);
    }
}

void integrations_enrich(struct integrations *s, struct effects *fx,
                         uint64_t now_ms)
{
    size_t count = fx->records.count; /* without those that are added */
    for (size_t i = 0; i < count; i++) {
        struct record r = fx->records.at[i];
        if (r.kind == RECORD_WORKFLOW_SET || r.kind == RECORD_WORKFLOW_NEW) {
            look_at(s, fx, &r.workflow, now_ms);
        }
    }
}
