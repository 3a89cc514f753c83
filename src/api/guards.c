/* GET /api/guards: what triggers remember of keys and what guards go by, and
 * what follows from it. */
#include "api/guard_pages.h"

#include <sodium.h>

#include "api/filter.h"
#include "model/guards.h"
#include "os/clock.h"

/* ---- a row --------------------------------------------------------------- */

struct guard_list {
    struct memory_filter *filter;
    const struct generation *generation;
    struct guard_config guards;
    uint64_t now_ms;
    struct memory_row *rows;
    const struct memory_row *last; /* that was looked at */
};

const struct trigger *guard_trigger(const struct runbook *rb, struct str name)
{
    for (uint32_t i = 0; rb != NULL && i < rb->trigger_count; i++) {
        if (str_eq(rb->triggers[i].name, name)) {
            return &rb->triggers[i];
        }
    }
    return NULL;
}

/* A limit that the trigger does not have is null. */
static void put_limits(struct strbuf *out, const struct trigger_limits *l,
                       const struct memory_state *s)
{
    put_seconds(out, "cooldown_seconds", l->cooldown_ms);
    put_u64(out, "runs", s->runs);
    if (l->runs_most != 0) {
        put_u64(out, "runs_limit", l->runs_most);
    } else {
        put_null(out, "runs_limit");
    }
    put_seconds(out, "runs_within_seconds", l->runs_within_ms);
    put_u64(out, "events", s->events);
    if (l->count_least != 0) {
        put_u64(out, "events_needed", l->count_least);
    } else {
        put_null(out, "events_needed");
    }
    put_seconds(out, "events_within_seconds", l->count_within_ms);
}

/* What would hold something back now. */
struct guard_hold {
    const char *name; /* "": nothing */
    struct str trigger;
    uint64_t until_ms;
    struct trigger_limits limits; /* that its numbers are of */
    struct strbuf why;
};

static void guard_hold_deinit(struct guard_hold *h)
{
    strbuf_deinit(&h->why);
}

static void hold_by_rate(const struct memory_row *row,
                         const struct guard_rate *rate, uint64_t now_ms,
                         struct guard_hold *ret)
{
    ret->limits = guard_rate_limits(rate);
    struct memory_state s = memory_state_at(&ret->limits, row, now_ms, now_ms);
    if (memory_hold_of(&ret->limits, &s) != MEMORY_FREE) {
        ret->name = "max_starts";
        ret->until_ms = s.runs_until_ms;
        guard_explain_rate(row->runbook_path, rate, s.runs, s.runs_until_ms,
                           &ret->why);
    }
}

/* Half-open: it is its probe that counts, and the engine knows of that. */
static void hold_by_breaker(const struct memory_row *row,
                            const struct guard_breaker *b, uint64_t now_ms,
                            struct guard_hold *ret)
{
    struct breaker_view v = breaker_at(b, row, now_ms);
    ret->limits = (struct trigger_limits){.count_least = b->failures,
                                          .count_within_ms = b->within_ms};
    if (v.state == BREAKER_OPEN ||
        (v.state == BREAKER_HALF_OPEN && row->start_count != 0)) {
        ret->name = "breaker";
        ret->until_ms = v.state == BREAKER_OPEN ? v.until_ms : 0;
        guard_explain_breaker(b, &v, row, &ret->why);
    }
}

/* People were told that max_runs holds back this trigger's key. */
static void hold_by_escalation(const struct runbook *rb,
                               const struct memory_row *row, uint64_t now_ms,
                               struct guard_hold *ret)
{
    struct str name = STR_NULL;
    struct str key = STR_NULL;
    guard_escalated_parts(row->key, &name, &key);
    const struct trigger *t = guard_trigger(rb, name);
    if (t == NULL || !t->limits.escalate || row->start_count == 0) {
        return;
    }
    uint64_t until_ms = row->starts_ms[0] + t->limits.runs_within_ms;
    ret->limits = t->limits;
    if (now_ms < until_ms) {
        ret->name = "escalated";
        ret->until_ms = until_ms;
        guard_explain_escalated(row->last_workflow, until_ms, row->runbook_path,
                                &ret->why);
    }
}

/* A row that is a guard's own. */
static void hold_by_guard(const struct guard_list *list,
                          const struct memory_row *row, struct guard_hold *ret)
{
    static const struct runbook_guards none;
    const struct runbook *rb =
        generation_runbook(list->generation, row->runbook_path);
    const struct runbook_guards *own = rb != NULL ? &rb->guards : &none;
    if (str_eq(row->trigger, GUARD_BREAKER)) {
        struct guard_breaker b = guard_breaker_of(&list->guards, own);
        hold_by_breaker(row, &b, list->now_ms, ret);
    } else if (str_eq(row->trigger, GUARD_ESCALATED)) {
        hold_by_escalation(rb, row, list->now_ms, ret);
    } else if (str_eq(row->trigger, GUARD_STARTS)) {
        hold_by_rate(row,
                     row->runbook_path.len == 0 ? &list->guards.starts
                                                : &own->starts,
                     list->now_ms, ret);
    }
}

/* What would hold back another event of the key now, and until when; more
 * events end a count, not the time. */
static void hold_by_trigger(const struct guard_list *list,
                            const struct memory_row *row,
                            struct guard_hold *ret)
{
    const struct trigger *t = guard_trigger(
        generation_runbook(list->generation, row->runbook_path), row->trigger);
    if (t == NULL) {
        return;
    }
    const struct trigger_limits *l = &t->limits;
    const struct memory_state now =
        memory_state_at(l, row, list->now_ms, list->now_ms);
    struct memory_state next = now;
    next.events++;
    enum memory_hold hold = memory_hold_of(l, &next);
    ret->limits = *l;
    ret->name = memory_hold_name(hold);
    ret->until_ms = hold == MEMORY_COOLS   ? next.cool_until_ms
                    : hold == MEMORY_SPENT ? next.runs_until_ms
                                           : 0;
    if (hold != MEMORY_FREE) {
        memory_explain(l, row, &now, &ret->why); /* the other has not come */
    }
}

static void put_guard(struct strbuf *out, const struct memory_row *row,
                      const struct guard_list *list)
{
    bool own = guard_is_row(row);
    CLEANUP(guard_hold_deinit)
    struct guard_hold hold = {
        .name = "", .trigger = STR(""), .why = STRBUF_INIT(2048)};
    (own ? hold_by_guard : hold_by_trigger)(list, row, &hold);
    struct str key = row->key;
    if (str_eq(row->trigger, GUARD_ESCALATED)) {
        guard_escalated_parts(row->key, &hold.trigger, &key);
    }
    struct memory_state s =
        memory_state_at(&hold.limits, row, list->now_ms, list->now_ms);
    put_open(out, NULL, '{');
    put_text(out, "guard",
             own ? str_slice(row->trigger, 1, row->trigger.len)
                 : STR("trigger"));
    put_text(out, "runbook", row->runbook_path);
    put_text(out, "trigger", own ? hold.trigger : row->trigger);
    put_text(out, "key", key);
    put_bool(out, "in_force", trigger_limits_any(&hold.limits));
    put_text_or_null(out, "held_by", str_c(hold.name));
    put_instant(out, "held_until", hold.until_ms);
    put_text_or_null(out, "reason", strbuf_str(&hold.why));
    put_limits(out, &hold.limits, &s);
    put_id(out, "last_workflow", ID_PREFIX_WORKFLOW, row->last_workflow);
    put_instant(out, "last_started_at",
                row->start_count != 0 ? row->starts_ms[row->start_count - 1]
                                      : 0);
    put_instant(out, "forgotten_at", row->expires_ms);
    put_close(out, '}');
}

/* ---- pages --------------------------------------------------------------- */

/* Path, trigger and key of the last row: any text, so it is written in base64.
 */
#define CURSOR_MAX_BYTES 8192
#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

void guard_put_next(struct strbuf *out, struct str runbook, struct str trigger,
                    struct str key, struct arena *a)
{
    struct strbuf text = STRBUF_INIT(CURSOR_MAX_BYTES);
    strbuf_add(&text, runbook);
    strbuf_addch(&text, '\0');
    strbuf_add(&text, trigger);
    strbuf_addch(&text, '\0');
    strbuf_add(&text, key);
    size_t size = sodium_base64_ENCODED_LEN(text.len, BASE64);
    char *cursor = ARENA_ARRAY(a, size, char);
    (void)sodium_bin2base64(cursor, size, (const unsigned char *)text.at,
                            text.len, BASE64);
    put_text_c(out, "next_cursor", cursor);
    strbuf_deinit(&text);
}

/* The first part, which is taken off the rest; false: it has no end. */
static bool take_part(struct str *rest, struct str *ret)
{
    ptrdiff_t end = str_find(*rest, '\0');
    if (end < 0) {
        return false;
    }
    *ret = str_slice(*rest, 0, (size_t)end);
    *rest = str_slice(*rest, (size_t)end + 1, rest->len);
    return true;
}

bool guard_read_cursor(struct call *c, struct memory_filter *f)
{
    struct str text = call_value(c, "cursor")->text;
    size_t len = 0;
    if (text.len == 0) {
        return true;
    }
    char *bytes = ARENA_ARRAY(call_arena(c), text.len, char);
    int r = sodium_base642bin((unsigned char *)bytes, text.len, text.at,
                              text.len, NULL, &len, NULL, BASE64);
    struct str rest = str_n(bytes, r == 0 ? len : 0);
    if (take_part(&rest, &f->after_runbook) &&
        take_part(&rest, &f->after_trigger)) {
        f->after_key = rest;
        return true;
    }
    answer_error(c, 400, "bad_request",
                 "cursor is not one that a page before has given",
                 STR("\"field\":\"cursor\""));
    return false;
}

/* In the call's arena: the next page, and the cursor, begin with a row of this
 * one. */
static int read_rows(void *context, struct filter *f, uint32_t limit,
                     struct arena *page, uint32_t *ret_count)
{
    struct guard_list *l = context;
    struct reader *reader = f->call->reader;
    (void)page;
    l->filter->limit = limit;
    return reader->ops->memories(reader, l->filter, call_arena(f->call),
                                 &l->rows, ret_count);
}

static bool put_one(void *context, struct filter *f, uint32_t i)
{
    struct guard_list *l = context;
    struct strbuf *out = call_out(f->call);
    size_t start = out->len;
    l->last = &l->rows[i];
    put_guard(out, l->last, l);
    l->filter->after_runbook = l->last->runbook_path;
    l->filter->after_trigger = l->last->trigger;
    l->filter->after_key = l->last->key;
    return filter_keeps_row(f, start);
}

/* Puts the rows of the page; *ret_last is the last one that was looked at when
 * there may be more, in the call's arena. */
static int put_rows(struct filter *filter, struct memory_filter *f,
                    const struct generation *g,
                    const struct memory_row **ret_last)
{
    struct guard_list l = {
        .filter = f,
        .generation = g,
        .guards = service_status(filter->call->api->service).guards,
        .now_ms = os_epoch_ms()};
    const struct filter_list list = {read_rows, put_one, &l};
    uint32_t given = 0;
    bool more = false;
    int r = filter_pages(filter, &list,
                         (uint32_t)call_number(filter->call, "limit"), &given,
                         &more);
    *ret_last = more ? l.last : NULL;
    return r;
}

void guards_list(struct call *c)
{
    struct strbuf *out = call_out(c);
    struct memory_filter f = {.runbook = call_value(c, "runbook")->text};
    const struct memory_row *last = NULL;
    struct filter filter;
    if (filter_open(c, &filter) && guard_read_cursor(c, &f)) {
        struct generation *g = service_generation(c->api->service);
        put_open(out, NULL, '{');
        put_open(out, "guards", '[');
        int r = put_rows(&filter, &f, g, &last);
        put_close(out, ']');
        if (last != NULL) {
            guard_put_next(out, last->runbook_path, last->trigger, last->key,
                           call_arena(c));
        } else {
            put_null(out, "next_cursor");
        }
        filter_put(&filter);
        put_close(out, '}');
        generation_unref(g);
        filter_answer(&filter, r);
    }
    filter_close(&filter);
}
