/*
 * The kill switch. Putting it on waits for nobody: the file is written on the
 * spot, and the row of the audit trail follows, if the store takes it. Taking
 * it off is a change like others: in the trail before it takes effect.
 */
#include <errno.h>

#include "api/api_priv.h"
#include "data/json.h"

#define REASON_MAX_BYTES 160

struct switching {
    struct service_request request;
    struct call *call;
    struct str text; /* "WHO: REASON" */
    bool on;
};

static void put_switch(struct strbuf *out, const struct service *s, bool on,
                       struct str text)
{
    put_open(out, NULL, '{');
    put_bool(out, "on", on);
    put_text_or_null(out, "reason", text);
    put_text_c(out, "path", service_switch_path(s));
}

void kill_switch_show(struct call *c)
{
    struct service_status s = service_status(c->api->service);
    put_switch(call_out(c), c->api->service, s.killed, str_c(s.killed_text));
    put_close(call_out(c), '}');
    answer_json(c, 200);
}

static void switched(struct service_request *request)
{
    struct switching *x = CONTAINER_OF(request, struct switching, request);
    struct call *c = x->call;
    struct err err = ERR_INIT;
    if (!x->on && request->result < 0) {
        answer_busy(c, "store_failed",
                    "the store did not take the change, so the kill switch "
                    "stays on; try again, or remove its file");
        return;
    }
    if (!x->on && service_unkill(c->api->service, &err) < 0) {
        answer_err(c, 500, "not_possible", &err);
        return;
    }
    put_switch(call_out(c), c->api->service, x->on, x->text);
    put_bool(call_out(c), "audited", request->result == 0);
    put_close(call_out(c), '}');
    answer_json(c, c->route->status);
}

/* What the audit trail says it is from now on. */
static struct str told(struct call *c, bool on, struct str text)
{
    struct strbuf out = STRBUF_INIT(4096);
    put_open(&out, NULL, '{');
    put_bool(&out, "on", on);
    put_text_or_null(&out, "reason", text);
    put_close(&out, '}');
    struct str kept = arena_str(call_arena(c), strbuf_str(&out));
    strbuf_deinit(&out);
    return kept;
}

static void turn(struct call *c, bool on, struct str text)
{
    struct service *s = c->api->service;
    struct service_status before = service_status(s);
    struct err err = ERR_INIT;
    if (on && service_kill(s, text, &err) < 0) {
        answer_err(c, 500, "not_possible", &err);
        return;
    }
    struct switching *x = ARENA_NEW(call_arena(c), struct switching);
    x->call = c;
    x->on = on;
    x->text = on ? text : STR("");
    x->request = (struct service_request){
        .kind = SERVICE_CHANGE,
        .requested_by = str_c(c->who.name),
        .change = {.audit = {.action = str_c(c->route->audit),
                             .before = told(c, before.killed,
                                            str_c(before.killed_text)),
                             .after = told(c, on, x->text)},
                   .told = true},
        .done = switched,
    };
    service_post(s, &x->request);
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
