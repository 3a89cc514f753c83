/* POST /api/guards/reset: an operator has what guards and triggers remember of
 * a runbook forgotten. */
#include <errno.h>

#include "api/api_priv.h"
#include "data/json.h"

struct resetting {
    struct service_request request;
    struct call *call;
};

static void was_reset(struct service_request *request)
{
    struct resetting *x = CONTAINER_OF(request, struct resetting, request);
    struct strbuf *out = call_out(x->call);
    if (request->result < 0) {
        answer_busy(x->call, "stopping", "the engine is stopping; try again");
        return;
    }
    put_open(out, NULL, '{');
    put_text(out, "runbook", request->reset.runbook);
    put_u64(out, "forgotten", (uint64_t)request->result);
    put_close(out, '}');
    answer_json(x->call, 200);
}

/* Kept in the arena of the call: 1 (it is there), 0, or the error. */
static int read_text(struct call *c, const json_t *body, const char *name,
                     struct str *ret, struct err *reterr)
{
    struct str text = STR("");
    int r = json_get_str(body, name, &text, reterr);
    *ret = arena_str(call_arena(c), text);
    return r;
}

/* A key belongs to a trigger, and a runbook must be named: nothing here means
 * "all of them". */
static int read_reset(struct call *c, const json_t *body,
                      struct service_request *request, struct err *reterr)
{
    int has_key = read_text(c, body, "key", &request->reset.key, reterr);
    int r = has_key < 0 ? has_key
                        : read_text(c, body, "trigger", &request->reset.trigger,
                                    reterr);
    if (r >= 0) {
        r = read_text(c, body, "runbook", &request->reset.runbook, reterr);
    }
    request->reset.any_key = has_key == 0;
    if (r < 0) {
        return r;
    }
    if (request->reset.runbook.len == 0) {
        err_field(reterr, "runbook");
        return err_set(reterr, -EINVAL, "say which runbook, by its path");
    }
    if (has_key > 0 && request->reset.trigger.len == 0) {
        err_field(reterr, "key");
        return err_set(reterr, -EINVAL, "a key is a trigger's: name that, too");
    }
    return 0;
}

void guards_reset_call(struct call *c)
{
    static const char *const names[] = {"runbook", "trigger", "key"};
    struct err err = ERR_INIT;
    json_t *body = call_read_object(c, names, ARRAY_LEN(names));
    if (body == NULL) {
        return;
    }
    struct resetting *x = ARENA_NEW(call_arena(c), struct resetting);
    x->call = c;
    x->request = (struct service_request){
        .kind = SERVICE_RESET,
        .requested_by = str_c(c->who.name),
        .reset = {.audit = str_c(c->route->audit)},
        .done = was_reset,
    };
    int r = read_reset(c, body, &x->request, &err);
    json_decref(body);
    if (r < 0) {
        answer_err(c, 400, "bad_request", &err);
        return;
    }
    service_post(c->api->service, &x->request);
}
