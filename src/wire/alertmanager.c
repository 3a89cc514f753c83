#include "wire/alertmanager.h"

#include <errno.h>
#include <stdio.h>

#include "data/json.h"
#include "data/timestamp.h"
#include "model/event_json.h"

/* What Alertmanager gives an alert that tells no end. */
#define RESOLVE_TIMEOUT_MS 300000ULL

/* One alert, checked, on its way to an event. The pointers borrow from the
 * body that was sent. */
struct alert {
    const json_t *labels;
    const json_t *annotations; /* NULL: none */
    struct str generator_url;
    uint64_t starts_ms;
    uint64_t ends_ms;
    bool resolved;
};

/* What all alerts of a body share. */
struct sender {
    const char *source;
    struct str group_key;
    struct str receiver;
    struct str external_url;
};

/* A copy without the empty values: for Prometheus those labels do not exist.
 * Values that are no strings are left for event_from_json to refuse. */
static json_t *without_empty(const json_t *object)
{
    json_t *copy = json_object();
    json_t *from = (json_t *)(uintptr_t)object; /* only to iterate */
    for (void *it = json_object_iter(from); it != NULL;
         it = json_object_iter_next(from, it)) {
        json_t *value = json_object_iter_value(it);
        if (json_is_string(value) && json_string_length(value) == 0) {
            continue;
        }
        (void)json_object_setn_nocheck(copy, json_object_iter_key(it),
                                       json_object_iter_key_len(it), value);
    }
    return copy;
}

/* Nobody can act on a refusal of a long text: it ends in a mark instead. */
static json_t *cut(const json_t *value)
{
    static const char mark[] = " [cut]";
    size_t len = EVENT_ANNOTATION_VALUE_MAX_BYTES - (sizeof(mark) - 1);
    const char *at = json_string_value(value);
    while (len > 0 && ((unsigned char)at[len] & 0xC0U) == 0x80U) {
        len--; /* not inside a character */
    }
    struct strbuf text = STRBUF_INIT(EVENT_ANNOTATION_VALUE_MAX_BYTES);
    strbuf_add(&text, str_n(at, len));
    strbuf_addc(&text, mark);
    json_t *shorter = json_stringn_nocheck(text.at, text.len);
    strbuf_deinit(&text);
    return shorter;
}

static json_t *annotations_of(const json_t *object)
{
    json_t *copy = without_empty(object);
    for (void *it = json_object_iter(copy); it != NULL;
         it = json_object_iter_next(copy, it)) {
        const json_t *value = json_object_iter_value(it);
        if (json_is_string(value) &&
            json_string_length(value) > EVENT_ANNOTATION_VALUE_MAX_BYTES) {
            (void)json_object_iter_set_new(copy, it, cut(value));
        }
    }
    return copy;
}

static void set_text(json_t *object, const char *name, struct str text)
{
    if (text.len != 0) {
        (void)json_object_set_new_nocheck(
            object, name, json_stringn_nocheck(text.at, text.len));
    }
}

static void set_instant(json_t *object, const char *name, uint64_t ms)
{
    if (ms != 0) {
        (void)json_object_set_new_nocheck(object, name,
                                          json_real((double)ms / 1000.0));
    }
}

static json_t *event_object(const struct alert *alert,
                            const struct sender *sender)
{
    json_t *object = json_object();
    set_text(object, "type", STR("alert"));
    set_text(object, "source", str_c(sender->source));
    (void)json_object_set_new_nocheck(object, "labels",
                                      without_empty(alert->labels));
    if (json_object_size(alert->annotations) != 0) {
        (void)json_object_set_new_nocheck(object, "annotations",
                                          annotations_of(alert->annotations));
    }
    set_text(object, "state",
             alert->resolved ? STR("resolved") : STR("firing"));
    set_instant(object, "starts_at", alert->starts_ms);
    set_instant(object, "ends_at", alert->ends_ms);
    /* Nobody can act on a refusal of these: too long ones are left out. */
    if (alert->generator_url.len <= EVENT_TEXT_MAX_BYTES) {
        set_text(object, "generator_url", alert->generator_url);
    }
    if (sender->group_key.len <= EVENT_TEXT_MAX_BYTES) {
        set_text(object, "group_key", sender->group_key);
    }
    if (sender->receiver.len + sender->external_url.len != 0) {
        json_t *payload = json_object();
        set_text(payload, "receiver", sender->receiver);
        set_text(payload, "external_url", sender->external_url);
        (void)json_object_set_new_nocheck(object, "payload", payload);
    }
    return object;
}

static struct str dedup_key(const struct event *e, struct arena *a)
{
    struct strbuf key = STRBUF_INIT(256);
    strbuf_addf(&key, "am:%.*s:%llu:%s", STR_ARG(e->fingerprint),
                (unsigned long long)e->starts_ms, event_state_name(e->state));
    struct str text = arena_str(a, strbuf_str(&key));
    strbuf_deinit(&key);
    return text;
}

/* Errors of one alert get their place in the list. */
static int name_alert(struct err *e, size_t index)
{
    char field[sizeof(e->field)];
    (void)snprintf(field, sizeof(field), "%s", e->field);
    err_field(e, "alerts[%zu]%s%.*s", index, field[0] != '\0' ? "." : "",
              (int)sizeof(field) - 32, field);
    return err_wrap(e, "alerts[%zu]", index);
}

static int to_event(const struct alert *alert, const struct sender *sender,
                    struct arena *a, struct event *ret, struct err *reterr)
{
    json_auto_t *object = event_object(alert, sender);
    int r = 0;
    if (json_object_size(json_object_get(object, "labels")) == 0) {
        err_field(reterr, "labels");
        return err_set(reterr, -EINVAL, "at least one label pair required");
    }
    r = event_from_json(object, a, ret, reterr);
    if (r == 0) {
        ret->dedup_key = dedup_key(ret, a);
    }
    return r;
}

/* A time in RFC 3339; 0 in *ret_ms when it is absent. */
static int get_time(const json_t *object, const char *name, uint64_t *ret_ms,
                    struct err *reterr)
{
    struct str text = STR_NULL;
    *ret_ms = 0;
    int r = json_get_str(object, name, &text, reterr);
    if (r < 1 || text.len == 0) {
        return MIN(r, 0);
    }
    r = timestamp_parse(text, ret_ms);
    if (r < 0) {
        err_field(reterr, "%s", name);
        return err_set(reterr, r, "%s: not an RFC 3339 time", name);
    }
    return 0;
}

/* The fields that both bodies spell alike. */
static int read_common(const json_t *object, struct alert *ret,
                       struct err *reterr)
{
    *ret = (struct alert){.generator_url = STR("")};
    if (!json_is_object(object)) {
        return err_set(reterr, -EINVAL, "expected an object, got %s",
                       json_kind_text(object));
    }
    int r = json_get_object(object, "labels", &ret->labels, reterr);
    if (r == 0) {
        err_field(reterr, "labels");
        return err_set(reterr, -EINVAL, "labels: required");
    }
    if (r > 0) {
        r = json_get_object(object, "annotations", &ret->annotations, reterr);
    }
    if (r >= 0) {
        r = json_get_str(object, "generatorURL", &ret->generator_url, reterr);
    }
    if (r >= 0) {
        r = get_time(object, "startsAt", &ret->starts_ms, reterr);
    }
    return r < 0 ? r : get_time(object, "endsAt", &ret->ends_ms, reterr);
}

/* ---- webhook version 4 ----------------------------------------------------
 */

static int read_webhook_alert(const json_t *object, struct alert *ret,
                              struct err *reterr)
{
    struct str status = STR("");
    int r = read_common(object, ret, reterr);
    if (r < 0) {
        return r;
    }
    r = json_get_str(object, "status", &status, reterr);
    if (r < 0) {
        return r;
    }
    ret->resolved = str_eq(status, STR("resolved"));
    if (!ret->resolved && !str_eq(status, STR("firing"))) {
        err_field(reterr, "status");
        return err_set(reterr, -EINVAL, "status: expected firing or resolved");
    }
    if (ret->ends_ms < ret->starts_ms) {
        ret->ends_ms = 0; /* clocks differ; the status says what counts */
    }
    return 0;
}

static int read_sender(const json_t *body, struct sender *ret,
                       struct err *reterr)
{
    const struct {
        const char *name;
        struct str *to;
    } texts[] = {
        {"groupKey", &ret->group_key},
        {"receiver", &ret->receiver},
        {"externalURL", &ret->external_url},
    };
    *ret = (struct sender){.source = "alertmanager"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int r = json_get_str(body, texts[i].name, texts[i].to, reterr);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* The list of alerts, when the body is one of version 4 at all. */
static int read_envelope(const json_t *body, const json_t **ret_alerts,
                         uint64_t *ret_truncated, struct err *reterr)
{
    struct str version = STR("");
    struct json_range any = {0, INT64_MAX};
    int64_t truncated = 0;
    if (!json_is_object(body)) {
        return err_set(reterr, -EINVAL, "expected an object, got %s",
                       json_kind_text(body));
    }
    int r = json_get_str(body, "version", &version, reterr);
    if (r < 0) {
        return r;
    }
    if (!str_eq(version, STR("4"))) {
        err_field(reterr, "version");
        err_hint(reterr, "send Alertmanager's own webhook body");
        return err_set(reterr, -EINVAL, "version: expected \"4\"");
    }
    r = json_get_int(body, "truncatedAlerts", any, &truncated, reterr);
    if (r < 0) {
        return r;
    }
    r = json_get_array(body, "alerts", ret_alerts, reterr);
    if (r == 0) {
        err_field(reterr, "alerts");
        return err_set(reterr, -EINVAL, "alerts: required");
    }
    *ret_truncated = (uint64_t)truncated;
    return MIN(r, 0);
}

static int check_count(const json_t *list, struct err *reterr)
{
    if (json_array_size(list) <= ALERTS_MAX) {
        return 0;
    }
    err_field(reterr, "alerts");
    return err_set(reterr, -E2BIG, "more than %d alerts", ALERTS_MAX);
}

static void refuse_alert(struct webhook_alerts *w, struct arena *a,
                         const struct err *problem)
{
    if (w->problem_count < ALERT_PROBLEMS_MAX) {
        w->problems[w->problem_count++] = arena_str(a, str_c(problem->message));
    }
    w->refused++;
}

/* What is beyond the limit is told with one sentence. */
static void refuse_rest(struct webhook_alerts *w, struct arena *a, size_t count)
{
    struct err problem = ERR_INIT;
    if (count > ALERTS_MAX) {
        (void)err_set(&problem, -E2BIG, "only the first %d alerts are taken",
                      ALERTS_MAX);
        refuse_alert(w, a, &problem);
        w->refused = w->refused - 1 + (uint32_t)(count - ALERTS_MAX);
    }
}

int alertmanager_webhook(const json_t *body, struct arena *a,
                         struct webhook_alerts *ret, struct err *reterr)
{
    const json_t *list = NULL;
    struct sender sender;
    *ret = (struct webhook_alerts){.count = 0};
    int r = read_envelope(body, &list, &ret->truncated, reterr);
    r = r < 0 ? r : read_sender(body, &sender, reterr);
    if (r < 0) {
        return r;
    }
    size_t count = json_array_size(list);
    int first = 0;
    ret->events = ARENA_ARRAY(a, MIN(count, (size_t)ALERTS_MAX), struct event);
    for (size_t i = 0; i < count && i < ALERTS_MAX; i++) {
        struct alert alert;
        struct err problem = ERR_INIT;
        r = read_webhook_alert(json_array_get(list, i), &alert, &problem);
        if (r == 0) {
            r = to_event(&alert, &sender, a, &ret->events[ret->count],
                         &problem);
        }
        if (r == 0) {
            ret->count++;
            continue;
        }
        (void)name_alert(&problem, i);
        refuse_alert(ret, a, &problem);
        if (first == 0) {
            first = r;
            *reterr = problem;
        }
    }
    refuse_rest(ret, a, count);
    return ret->count == 0 ? first : 0;
}

/* ---- API version 2 --------------------------------------------------------
 */

/* Missing times as Alertmanager fills them in. */
static int complete_times(struct alert *alert, uint64_t now_ms,
                          struct err *reterr)
{
    if (alert->starts_ms == 0) {
        alert->starts_ms = alert->ends_ms != 0 ? alert->ends_ms : now_ms;
    }
    if (alert->ends_ms == 0) {
        alert->ends_ms = now_ms + RESOLVE_TIMEOUT_MS;
    }
    alert->resolved = alert->ends_ms <= now_ms;
    if (alert->ends_ms < alert->starts_ms) {
        err_field(reterr, "endsAt");
        return err_set(reterr, -EINVAL, "endsAt: before startsAt");
    }
    return 0;
}

/* The whole list must be of the right shape before anything is taken. */
static int read_list(const json_t *body, struct alert *alerts,
                     struct err *reterr)
{
    for (size_t i = 0; i < json_array_size(body); i++) {
        int r = read_common(json_array_get(body, i), &alerts[i], reterr);
        if (r < 0) {
            reterr->errnum = -EBADMSG;
            return name_alert(reterr, i);
        }
    }
    return 0;
}

int alertmanager_alerts(const json_t *body, uint64_t now_ms, struct arena *a,
                        struct event **ret, uint32_t *ret_count,
                        struct err *reterr)
{
    static const struct sender sender = {.source = "prometheus"};
    if (!json_is_array(body)) {
        return err_set(reterr, -EBADMSG, "expected an array, got %s",
                       json_kind_text(body));
    }
    int r = check_count(body, reterr);
    if (r < 0) {
        return r;
    }
    size_t count = json_array_size(body);
    struct alert *alerts = ARENA_ARRAY(a, count, struct alert);
    struct event *events = ARENA_ARRAY(a, count, struct event);
    uint32_t valid = 0;
    int result = read_list(body, alerts, reterr);
    if (result < 0) {
        return result;
    }
    for (size_t i = 0; i < count; i++) {
        struct err problem = ERR_INIT;
        r = complete_times(&alerts[i], now_ms, &problem);
        if (r == 0) {
            r = to_event(&alerts[i], &sender, a, &events[valid], &problem);
        }
        if (r == 0) {
            valid++;
        } else if (result == 0) {
            (void)name_alert(&problem, i);
            problem.errnum = result = -EINVAL;
            *reterr = problem;
        }
    }
    *ret = events;
    *ret_count = valid;
    return result;
}

/* ---- answers --------------------------------------------------------------
 */

static void add_pairs(struct strbuf *out, const struct labels *labels)
{
    strbuf_addch(out, '{');
    for (uint32_t i = 0; i < labels->count; i++) {
        if (i != 0) {
            strbuf_addch(out, ',');
        }
        strbuf_add_json_quoted(out, labels->at[i].name);
        strbuf_addch(out, ':');
        strbuf_add_json_quoted(out, labels->at[i].value);
    }
    strbuf_addch(out, '}');
}

static void add_time(struct strbuf *out, const char *name, uint64_t ms)
{
    char text[TIMESTAMP_TEXT_SIZE];
    timestamp_format(MIN(ms, TIMESTAMP_MAX_MS), text);
    strbuf_addf(out, ",\"%s\":\"%s\"", name, text);
}

static void add_from_body(struct strbuf *out, struct str body)
{
    json_auto_t *json = NULL;
    struct err ignored = ERR_INIT;
    if (json_read(body, NULL, &json, &ignored) < 0) {
        json = NULL; /* a damaged row shows no texts */
    }
    const json_t *annotations = json_object_get(json, "annotations");
    strbuf_addc(out, ",\"annotations\":");
    if (json_is_object(annotations)) {
        json_write(annotations, out);
    } else {
        strbuf_addc(out, "{}");
    }
    strbuf_addc(out, ",\"generatorURL\":");
    strbuf_add_json_quoted(out,
                           json_text(json_object_get(json, "generator_url")));
}

void alertmanager_add_alert(struct strbuf *out, const struct event *e,
                            uint64_t now_ms)
{
    strbuf_addc(out, "{\"labels\":");
    add_pairs(out, &e->labels);
    add_from_body(out, e->body);
    add_time(out, "startsAt",
             e->starts_ms != 0 ? e->starts_ms : e->received_ms);
    add_time(out, "endsAt",
             e->ends_ms != 0 ? event_alert_ends_ms(e)
                             : now_ms + RESOLVE_TIMEOUT_MS);
    add_time(out, "updatedAt", e->received_ms);
    strbuf_addc(out, ",\"fingerprint\":");
    strbuf_add_json_quoted(out, e->fingerprint);
    strbuf_addc(out, ",\"receivers\":[{\"name\":\"autonomous-devops\"}],"
                     "\"status\":{\"state\":\"active\",\"silencedBy\":[],"
                     "\"inhibitedBy\":[],\"mutedBy\":[]}}");
}
