/* The audit trail, as it is stored. */
#include <string.h>

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

#define VERIFY_PAGE 500

struct verified {
    uint64_t rows;
    uint64_t broken_at; /* seq; 0: nowhere */
    uint8_t hash[AUDIT_HASH_BYTES];
};

/* Each row must have the next number, and the hash that follows (I10). */
static bool follows(struct verified *v, const struct audit_row *row)
{
    uint8_t hash[AUDIT_HASH_BYTES];
    audit_hash(v->hash, row, hash);
    if (row->seq != v->rows + 1 || memcmp(hash, row->hash, sizeof(hash)) != 0) {
        v->broken_at = v->rows + 1;
        return false;
    }
    v->rows++;
    memcpy(v->hash, hash, sizeof(hash));
    return true;
}

static int verify(struct reader *reader, struct verified *v)
{
    struct audit_filter f = {.oldest_first = true, .limit = VERIFY_PAGE};
    struct arena page = ARENA_INIT;
    uint32_t count = VERIFY_PAGE;
    int r = 0;
    while (r == 0 && count == VERIFY_PAGE && v->broken_at == 0) {
        struct audit_row *rows = NULL;
        arena_reset(&page);
        r = reader->ops->audit(reader, &f, &page, &rows, &count);
        for (uint32_t i = 0; r == 0 && i < count && follows(v, &rows[i]); i++) {
            f.after_seq = rows[i].seq;
        }
    }
    arena_deinit(&page);
    return r;
}

void admin_audit_verify(struct call *c)
{
    struct verified v = {0};
    int r = verify(c->reader, &v);
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    struct strbuf *out = call_out(c);
    put_open(out, NULL, '{');
    put_bool(out, "whole", v.broken_at == 0);
    put_u64(out, "rows", v.rows);
    if (v.broken_at != 0) {
        put_u64(out, "broken_at", v.broken_at);
    } else {
        put_null(out, "broken_at");
    }
    put_hash(out, "last_hash", v.hash);
    put_close(out, '}');
    answer_json(c, 200);
}
