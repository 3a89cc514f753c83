/* GET /api/guards/pending: what triggers wait for, and until when. */
#include "api/filter.h"
#include "api/guard_pages.h"
#include "os/clock.h"

static void put_changes(struct strbuf *out, const struct trigger_watch *w,
                        const struct watch_row *row)
{
    put_u64(out, "changes", row->change_count);
    if (w->changes_most != 0) {
        put_u64(out, "changes_limit", w->changes_most);
    } else {
        put_null(out, "changes_limit");
    }
}

static void put_pending(struct strbuf *out, const struct watch_row *row,
                        const struct generation *g, uint64_t now_ms)
{
    static const struct trigger_watch none;
    const struct trigger *t =
        guard_trigger(generation_runbook(g, row->runbook_path), row->trigger);
    const struct trigger_watch *w = t != NULL ? &t->watch : &none;
    CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT(2048);
    watch_explain(w, row, now_ms, &why);
    put_open(out, NULL, '{');
    put_text(out, "runbook", row->runbook_path);
    put_text(out, "trigger", row->trigger);
    put_text(out, "key", row->key);
    put_bool(out, "in_force", trigger_watch_any(w));
    put_text_c(out, "waits_for", watch_wait_name(w, row, now_ms));
    put_instant(out, "due_at", row->due_ms);
    put_seconds(out, "within_seconds", row->within_ms);
    put_instant(out, "firing_since", row->since_ms);
    put_instant(out, "last_event_at", row->seen_ms);
    put_changes(out, w, row);
    put_id(out, "event_id", ID_PREFIX_EVENT, row->event_id);
    put_text_or_null(out, "held_by", row->held);
    put_text(out, "reason", strbuf_str(&why));
    put_close(out, '}');
}

struct pending_list {
    struct memory_filter *filter;
    const struct generation *generation;
    uint64_t now_ms;
    struct watch_row *rows;
    const struct watch_row *last; /* that was looked at */
};

/* In the call's arena: the next page, and the cursor, begin with a row of this
 * one. */
static int read_rows(void *context, struct filter *f, uint32_t limit,
                     struct arena *page, uint32_t *ret_count)
{
    struct pending_list *l = context;
    struct reader *reader = f->call->reader;
    (void)page;
    l->filter->limit = limit;
    return reader->ops->watches(reader, l->filter, call_arena(f->call),
                                &l->rows, ret_count);
}

static bool put_one(void *context, struct filter *f, uint32_t i)
{
    struct pending_list *l = context;
    struct strbuf *out = call_out(f->call);
    size_t start = out->len;
    l->last = &l->rows[i];
    l->filter->after_runbook = l->last->runbook_path;
    l->filter->after_trigger = l->last->trigger;
    l->filter->after_key = l->last->key;
    if (l->last->due_ms == 0) {
        return false; /* something is known of it, but nothing is due */
    }
    put_pending(out, l->last, l->generation, l->now_ms);
    return filter_keeps_row(f, start);
}

static int put_rows(struct filter *filter, struct memory_filter *f,
                    const struct generation *g)
{
    struct call *c = filter->call;
    struct pending_list l = {
        .filter = f, .generation = g, .now_ms = os_epoch_ms()};
    const struct filter_list list = {read_rows, put_one, &l};
    uint32_t given = 0;
    bool more = false;
    put_open(call_out(c), "pending", '[');
    int r = filter_pages(filter, &list, (uint32_t)call_number(c, "limit"),
                         &given, &more);
    put_close(call_out(c), ']');
    if (more && l.last != NULL) {
        guard_put_next(call_out(c), l.last->runbook_path, l.last->trigger,
                       l.last->key, call_arena(c));
    } else {
        put_null(call_out(c), "next_cursor");
    }
    return r;
}

void guards_pending(struct call *c)
{
    struct memory_filter f = {.runbook = call_value(c, "runbook")->text};
    struct filter filter;
    if (filter_open(c, &filter) && guard_read_cursor(c, &f)) {
        struct generation *g = service_generation(c->api->service);
        put_open(call_out(c), NULL, '{');
        int r = put_rows(&filter, &f, g);
        filter_put(&filter);
        put_close(call_out(c), '}');
        generation_unref(g);
        filter_answer(&filter, r);
    }
    filter_close(&filter);
}
