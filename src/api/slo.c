/* GET /api/slo: how the platform's objectives stand. */
#include "api/filter.h"
#include "data/duration.h"
#include "os/clock.h"
#include "runtime/objectives.h"

static void put_budget(struct strbuf *out, const struct slo_definition *d,
                       const struct slo_result *r)
{
    put_open(out, "error_budget", '{');
    put_text_c(out, "unit", d->counted);
    put_number(out, "total", r->budget_total);
    put_number(out, "used", r->budget_used);
    put_number(out, "remaining", r->budget_total - r->budget_used);
    put_number(out, "remaining_ratio", slo_budget_left(r));
    put_close(out, '}');
}

static void put_objective(struct strbuf *out, enum slo which,
                          const struct slo_result *r, const char *window)
{
    const struct slo_definition *d = &slo_definitions[which];
    put_open(out, NULL, '{');
    put_text_c(out, "name", d->name);
    put_text_c(out, "description", d->title);
    put_text_c(out, "measured", d->measured);
    put_text_c(out, "comparison", slo_comparison_text(d->comparison));
    put_number(out, "target", d->target);
    if (r->samples != 0) {
        put_number(out, "actual", r->actual);
        put_bool(out, "met", r->met);
    } else {
        put_null(out, "actual");
        put_null(out, "met");
    }
    put_text_c(out, "unit", d->unit);
    put_text_c(out, "window", window);
    put_u64(out, "samples", r->samples);
    put_text_c(out, "samples_unit", d->counted);
    if (r->samples != 0) {
        put_budget(out, d, r);
    } else {
        put_null(out, "error_budget");
    }
    put_close(out, '}');
}

static void answer_objectives(struct call *c, uint64_t from_ms, uint64_t now_ms,
                              const struct slo_result results[SLOS])
{
    struct strbuf *out = call_out(c);
    struct filter filter;
    uint64_t shown = 0;
    uint64_t seconds = (now_ms - from_ms) / 1000;
    uint64_t missed = 0;
    char window[DURATION_TEXT_SIZE];
    duration_format(seconds * 1000, window);
    if (!filter_open(c, &filter)) {
        filter_close(&filter);
        return;
    }
    put_open(out, NULL, '{');
    put_open(out, "slos", '[');
    for (unsigned i = 0; i < SLOS; i++) {
        size_t start = out->len;
        put_objective(out, (enum slo)i, &results[i], window);
        shown += filter_keeps_row(&filter, start) ? 1 : 0;
        missed += results[i].samples != 0 && !results[i].met;
    }
    put_close(out, ']');
    put_u64(out, "count", shown);
    put_u64(out, "missed", missed);
    put_instant(out, "since", from_ms);
    put_u64(out, "window_seconds", seconds);
    filter_put(&filter);
    put_close(out, '}');
    filter_close(&filter);
    answer_json(c, 200);
}

void meta_slo(struct call *c)
{
    const struct value *since = call_value(c, "since");
    struct slo_result results[SLOS];
    uint64_t now_ms = os_epoch_ms();
    uint64_t from_ms = since->given ? since->number : now_ms - SLO_WINDOW_MS;
    from_ms = MIN(from_ms, now_ms);
    int r = objectives_compute(service_history(c->api->service), c->reader,
                               from_ms, now_ms, results);
    if (r < 0) {
        answer_busy(c, "history_unavailable",
                    "the records of the objectives cannot be read now; the log "
                    "says why");
        return;
    }
    answer_objectives(c, from_ms, now_ms, results);
}
