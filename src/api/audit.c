/* The audit trail, as it is stored. */
#include "api/api_priv.h"

static void put_row(struct strbuf *out, const struct audit_row *row)
{
    put_open(out, NULL, '{');
    put_u64(out, "seq", row->seq);
    put_instant(out, "at", row->at_ms);
    put_text(out, "who", row->who);
    put_text(out, "action", row->action);
    put_text_or_null(out, "subject", row->subject);
    put_raw(out, "before", row->before.len != 0 ? row->before : STR("null"));
    put_raw(out, "after", row->after.len != 0 ? row->after : STR("null"));
    put_hash(out, "hash", row->hash);
    put_close(out, '}');
}

void admin_audit(struct call *c)
{
    uint32_t limit = (uint32_t)call_number(c, "limit");
    struct audit_filter f = {.before_seq = call_number(c, "cursor"),
                             .limit = limit + 1};
    struct audit_row *rows = NULL;
    uint32_t count = 0;
    int r = c->reader->ops->audit(c->reader, &f, call_arena(c), &rows, &count);
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    struct strbuf *out = call_out(c);
    uint32_t shown = MIN(count, limit);
    put_open(out, NULL, '{');
    put_open(out, "audit", '[');
    for (uint32_t i = 0; i < shown; i++) {
        put_row(out, &rows[i]);
    }
    put_close(out, ']');
    put_cursor(out, count > shown ? rows[shown - 1].seq : 0);
    put_close(out, '}');
    answer_json(c, 200);
}
