/* GET /api/metrics/history: how one number went, or which ones there are. */
#include <errno.h>
#include <stdio.h>

#include "api/api_priv.h"
#include "data/duration.h"
#include "history/history.h"
#include "os/clock.h"
#include "telemetry/series.h"

#define SINCE_DEFAULT_S 3600

static void put_series(struct strbuf *out, const struct telemetry_series *s)
{
    put_text_c(out, "unit", s->unit);
    put_text_c(out, "kind", s->is_flow ? "sum" : "mean");
}

static void answer_list(struct call *c)
{
    struct strbuf *out = call_out(c);
    size_t count = telemetry_series_count();
    put_open(out, NULL, '{');
    put_open(out, "metrics", '[');
    for (size_t i = 0; i < count; i++) {
        struct telemetry_series s = telemetry_series(i);
        put_open(out, NULL, '{');
        put_text_c(out, "name", s.name);
        put_series(out, &s);
        put_text_c(out, "description", s.help);
        put_close(out, '}');
    }
    put_close(out, ']');
    put_u64(out, "count", count);
    put_close(out, '}');
    answer_json(c, 200);
}

static void answer_unknown(struct call *c, struct str name)
{
    struct strbuf sentence = STRBUF_INIT(8192);
    struct strbuf detail = STRBUF_INIT(8192);
    strbuf_addc(&sentence, "there is no history of '");
    strbuf_add_visible(&sentence, str_slice(name, 0, 64));
    strbuf_addc(&sentence, "'; there is one of");
    put_open(&detail, "metrics", '[');
    for (size_t i = 0; i < telemetry_series_count(); i++) {
        const char *known = telemetry_series(i).name;
        strbuf_addf(&sentence, "%s %s", i > 0 ? "," : "", known);
        put_text_c(&detail, NULL, known);
    }
    put_close(&detail, ']');
    answer_error(c, 400, "unknown_metric", strbuf_str(&sentence).at,
                 strbuf_str(&detail));
    strbuf_deinit(&sentence);
    strbuf_deinit(&detail);
}

/* A duration or whole seconds; false when it has answered. */
static bool read_step(struct call *c, uint64_t *ret_s)
{
    const struct value *v = call_value(c, "step");
    uint64_t ms = 0;
    if (!v->given) {
        return true;
    }
    if (duration_parse(v->text, &ms) < 0 || ms < 1000) {
        struct err err = ERR_INIT;
        err_field(&err, "step");
        err_hint(&err, "as in step=1m or step=60");
        (void)err_set(&err, -EINVAL,
                      "'step' must be a duration of at least "
                      "1s");
        answer_err(c, 400, "bad_request", &err);
        return false;
    }
    *ret_s = (ms + 999) / 1000;
    return true;
}

static void put_points(struct strbuf *out, const struct telemetry_series *s,
                       const struct history_point *points, uint32_t count)
{
    put_open(out, "points", '[');
    for (uint32_t i = 0; i < count; i++) {
        const struct history_point *p = &points[i];
        double value = s->is_flow ? p->sum : p->sum / (double)p->samples;
        put_open(out, NULL, '{');
        put_instant(out, "timestamp", p->at_s * 1000);
        put_number(out, "value", value);
        put_number(out, "min", p->min);
        put_number(out, "max", p->max);
        put_close(out, '}');
    }
    put_close(out, ']');
    put_u64(out, "count", count);
}

static void answer_points(struct call *c, struct str name,
                          const struct telemetry_series *s,
                          const struct history_range *range)
{
    struct history_point *points = NULL;
    uint32_t count = 0;
    int r = history_points(service_history(c->api->service), s->name, range,
                           call_arena(c), &points, &count);
    if (r == -E2BIG) {
        answer_error(c, 400, "out_of_range",
                     "that would be more than 10000 points; ask for a larger "
                     "step or a later since",
                     STR("\"field\":\"step\""));
        return;
    }
    if (r < 0) {
        answer_busy(c, "history_unavailable",
                    "the history of metrics cannot be read now; the log says "
                    "why");
        return;
    }
    struct strbuf *out = call_out(c);
    put_open(out, NULL, '{');
    put_text(out, "metric", name);
    put_series(out, s);
    put_instant(out, "since", range->from_s * 1000);
    put_u64(out, "step_seconds", history_step(range));
    put_points(out, s, points, count);
    put_close(out, '}');
    answer_json(c, 200);
}

void meta_history(struct call *c)
{
    const struct value *metric = call_value(c, "metric");
    const struct value *since = call_value(c, "since");
    uint64_t now_s = os_epoch_ms() / 1000;
    struct history_range range = {
        .from_s = since->given ? since->number / 1000 : now_s - SINCE_DEFAULT_S,
        .to_s = now_s + 1,
        .now_s = now_s,
    };
    size_t i = 0;
    if (!metric->given) {
        answer_list(c);
    } else if (telemetry_series_find(metric->text, &i) < 0) {
        answer_unknown(c, metric->text);
    } else if (read_step(c, &range.step_s)) {
        struct telemetry_series s = telemetry_series(i);
        answer_points(c, metric->text, &s, &range);
    }
}
