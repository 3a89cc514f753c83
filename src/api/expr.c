/* /api/expr/eval: an expression tried on an event. */
#include "api/api_priv.h"
#include "data/json.h"
#include "model/event_eval.h"
#include "os/clock.h"
#include "os/zone.h"

static int zone_of(void *context, struct str name, int64_t seconds,
                   int32_t *ret)
{
    return zones_offset(context, name, seconds, ret);
}

static void evaluate(struct call *c, const json_t *body)
{
    CLEANUP(zones_freep) struct zones *zones = zones_new(ZONES_FOLDER);
    struct err err = ERR_INIT;
    struct event_eval what = {
        .now_ms = os_epoch_ms(), .zone = zone_of, .zone_context = zones};
    int r = json_get_str(body, "expr", &what.expr, &err);
    if (r == 1) {
        r = json_get_object(body, "event", &what.event, &err);
    } else if (r == 0) {
        answer_error(c, 400, "bad_request",
                     "say what to evaluate: {\"expr\": \"event.value > 90\", "
                     "\"event\": {...}}",
                     STR("\"field\":\"expr\""));
        return;
    }
    if (r >= 0) {
        r = json_get_object(body, "parameters", &what.parameters, &err);
    }
    if (r >= 0) {
        r = event_eval(&what, call_out(c), &err);
    }
    if (r < 0) {
        answer_err(c, 400, "bad_request", &err);
        return;
    }
    answer_json(c, 200);
}

void expr_eval(struct call *c)
{
    static const char *const names[] = {"expr", "event", "parameters"};
    json_t *body = call_read_object(c, names, ARRAY_LEN(names));
    if (body != NULL) {
        evaluate(c, body);
        json_decref(body);
    }
}
