/*
 * The kill switch: what is asked for becomes a turn of the service's
 * (service_turn), and the answer says what came of it.
 */
#include <errno.h>

#include "api/api_priv.h"
#include "data/json.h"

#define REASON_MAX_BYTES 160

struct switching {
    struct service_turn turn;
    struct call *call;
};

static void put_switch(struct strbuf *out, bool on, const char *text,
                       const char *path)
{
    put_open(out, NULL, '{');
    put_bool(out, "on", on);
    put_text_or_null(out, "reason", str_c(text));
    put_text_c(out, "path", path);
}

void kill_switch_show(struct call *c)
{
    struct service_status s = service_status(c->api->service);
    put_switch(call_out(c), s.killed, s.killed_text,
               s.killed_where != NULL ? s.killed_where
                                      : service_switch_path(c->api->service));
    put_close(call_out(c), '}');
    answer_json(c, 200);
}

static void answer_not_turned(struct call *c, const struct service_turn *t)
{
    if (t->result == -EEXIST || t->result == -EPERM) {
        answer_err(c, 409, "conflict", &t->err);
    } else if (t->result == -EIO || t->result == -EAGAIN ||
               t->result == -ECANCELED) {
        answer_busy(c, "store_failed", t->err.message);
    } else {
        answer_err(c, 500, "not_possible", &t->err);
    }
}

/* On any thread. */
static void turned(struct service_turn *t)
{
    struct switching *x = CONTAINER_OF(t, struct switching, turn);
    struct call *c = x->call;
    if (t->result < 0) {
        answer_not_turned(c, t);
        return;
    }
    put_switch(call_out(c), t->now.on, t->now.text,
               service_switch_path(c->api->service));
    put_bool(call_out(c), "audited", t->audited);
    put_close(call_out(c), '}');
    answer_json(c, c->route->status);
}

static void turn(struct call *c, bool on, struct str text)
{
    struct switching *x = ARENA_NEW(call_arena(c), struct switching);
    x->call = c;
    x->turn = (struct service_turn){.on = on,
                                    .text = text,
                                    .who = str_c(c->who.name),
                                    .action = str_c(c->route->audit),
                                    .done = turned};
    service_turn(c->api->service, &x->turn);
}

/* "WHO: REASON" in the arena; it becomes one line of a file. */
static struct str signed_reason(struct call *c, struct str reason)
{
    struct strbuf line = STRBUF_INIT(4096);
    strbuf_addf(&line, "%s: ", c->who.name);
    strbuf_add(&line, reason.len != 0 ? reason : STR("no reason given"));
    struct str kept = arena_str(call_arena(c), strbuf_str(&line));
    strbuf_deinit(&line);
    return kept;
}

static int read_reason(json_t *body, struct str *ret, struct err *reterr)
{
    int r = json_get_str(body, "reason", ret, reterr);
    if (r < 0) {
        return r;
    }
    bool bad = ret->len > REASON_MAX_BYTES;
    for (size_t i = 0; i < ret->len; i++) {
        bad = bad || (unsigned char)ret->at[i] < ' ';
    }
    if (bad) {
        err_field(reterr, "reason");
        return err_set(reterr, -EINVAL,
                       "a reason is one line of at most %d "
                       "bytes",
                       REASON_MAX_BYTES);
    }
    return 0;
}

void kill_switch_turn(struct call *c)
{
    static const char *const names[] = {"on", "reason"};
    struct err err = ERR_INIT;
    struct str reason = STR("");
    json_t *body = call_read_object(c, names, ARRAY_LEN(names));
    if (body == NULL) {
        return;
    }
    const json_t *on = json_object_get(body, "on");
    int r = read_reason(body, &reason, &err);
    if (r == 0 && !json_is_boolean(on)) {
        err_field(&err, "on");
        r = err_set(&err, -EINVAL, "say true or false");
    }
    if (r < 0) {
        answer_err(c, 400, "bad_request", &err);
    } else {
        turn(c, json_is_true(on), signed_reason(c, reason));
    }
    json_decref(body);
}
