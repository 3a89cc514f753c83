/* The audit trail, as it is stored. */
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "api/filter.h"
#include "store/audit_walk.h"

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

struct audit_list {
    struct audit_filter filter;
    struct audit_row *rows;
};

static int read_rows(void *context, struct filter *f, uint32_t limit,
                     struct arena *page, uint32_t *ret_count)
{
    struct audit_list *l = context;
    struct reader *reader = f->call->reader;
    l->filter.limit = limit;
    return reader->ops->audit(reader, &l->filter, page, &l->rows, ret_count);
}

static bool put_one(void *context, struct filter *f, uint32_t i)
{
    struct audit_list *l = context;
    struct strbuf *out = call_out(f->call);
    size_t start = out->len;
    put_row(out, &l->rows[i]);
    l->filter.before_seq = l->rows[i].seq;
    return filter_keeps_row(f, start);
}

static int put_rows(struct filter *filter, uint64_t *ret_next)
{
    struct call *c = filter->call;
    struct audit_list l = {.filter = {.before_seq = call_number(c, "cursor")}};
    const struct filter_list list = {read_rows, put_one, &l};
    uint32_t given = 0;
    bool more = false;
    int r = filter_pages(filter, &list, (uint32_t)call_number(c, "limit"),
                         &given, &more);
    *ret_next = more ? l.filter.before_seq : 0;
    return r;
}

void admin_audit(struct call *c)
{
    struct strbuf *out = call_out(c);
    struct filter filter;
    uint64_t next = 0;
    if (filter_open(c, &filter)) {
        put_open(out, NULL, '{');
        put_open(out, "audit", '[');
        int r = put_rows(&filter, &next);
        put_close(out, ']');
        put_cursor(out, next);
        filter_put(&filter);
        put_close(out, '}');
        filter_answer(&filter, r);
    }
    filter_close(&filter);
}

/* ---- is it whole? ----------------------------------------------------------
 */

/* "7:" and 64 hexadecimal digits, or "0:" and zeros for an empty trail. */
static bool read_known(struct call *c, struct audit_known *ret)
{
    const struct value *value = call_value(c, "known");
    struct err err = ERR_INIT;
    ret->given = value->given;
    if (!value->given) {
        return true;
    }
    ptrdiff_t colon = str_find(value->text, ':');
    size_t len = 0;
    struct str digits = STR_NULL;
    bool good =
        colon > 0 && str_to_u64(str_slice(value->text, 0, (size_t)colon), 0,
                                INT64_MAX, &ret->seq) == 0;
    if (good) {
        digits = str_slice(value->text, (size_t)colon + 1, value->text.len);
        good = digits.len == AUDIT_HASH_BYTES * 2UL &&
               sodium_hex2bin(ret->hash, sizeof(ret->hash), digits.at,
                              digits.len, NULL, &len, NULL) == 0 &&
               len == AUDIT_HASH_BYTES;
    }
    if (!good) {
        err_field(&err, "known");
        err_hint(&err, "as adctl audit verify has printed it: 7:0123...");
        (void)err_set(&err, -EINVAL,
                      "the number of a row, a colon, and its hash expected");
        answer_err(c, 400, "bad_request", &err);
    }
    ret->met = ret->seq == 0;
    return good;
}

void admin_audit_verify(struct call *c)
{
    struct audit_walk v = {0};
    if (!read_known(c, &v.known)) {
        return;
    }
    int r = audit_walk(c->reader, &v);
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    struct strbuf *out = call_out(c);
    put_open(out, NULL, '{');
    put_bool(out, "whole", v.broken_at == 0);
    put_u64(out, "rows", v.chain.rows);
    if (v.broken_at != 0) {
        put_u64(out, "broken_at", v.broken_at);
        put_text_c(out, "problem", v.problem);
    } else {
        put_null(out, "broken_at");
        put_null(out, "problem");
    }
    put_hash(out, "last_hash", v.chain.hash);
    if (v.known.given) {
        put_bool(out, "known", v.known.met);
    } else {
        put_null(out, "known");
    }
    put_close(out, '}');
    answer_json(c, 200);
}
