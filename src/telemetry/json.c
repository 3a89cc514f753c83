#include <inttypes.h>
#include <stdio.h>

#include "telemetry/telemetry_priv.h"

/* A ratio or duration, with at most nine digits behind the point: shorter
 * than %.17g and more than any measurement has. The engine never sets a
 * locale, so the point is a point. */
static void add_measured(struct strbuf *out, double value)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "%.9f", value);
    struct str s = str_c(text);
    while (s.at[s.len - 1] == '0' && s.at[s.len - 2] != '.') {
        s.len--;
    }
    strbuf_add(out, s);
}

static void add_row(struct strbuf *out, const struct json_row *row,
                    double value)
{
    strbuf_addf(out, "\"%s\":", row->key);
    if (row->whole) {
        strbuf_addf(out, "%.0f", value);
    } else {
        add_measured(out, value);
    }
    strbuf_addch(out, ',');
}

static void add_types(struct strbuf *out, const struct telemetry *t)
{
    strbuf_addc(out, "\"event_types\":{");
    const char *comma = "";
    uint32_t n = telemetry_type_count(t);
    for (uint32_t i = 0; i < n; i++) {
        const struct type_slot *slot = &t->types[i];
        strbuf_addc(out, comma);
        strbuf_add_json_quoted(out, str_n(slot->name, slot->name_len));
        strbuf_addf(
            out, ":%" PRIu64,
            atomic_load_explicit(&slot->accepted, memory_order_relaxed));
        comma = ",";
    }
    uint64_t other =
        atomic_load_explicit(&t->types_other, memory_order_relaxed);
    if (other > 0) {
        strbuf_addf(out, "%s\"" TELEMETRY_TYPE_OTHER "\":%" PRIu64, comma,
                    other);
    }
    strbuf_addc(out, "},");
}

static void add_ledger(struct strbuf *out, const struct telemetry_state *s)
{
    strbuf_addf(out, "\"ledger\":{\"accepted\":%" PRIu64 ",\"events\":{",
                s->accepted);
    for (unsigned i = 0; i < EVENT_STATUSES; i++) {
        strbuf_addf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "",
                    event_status_name((enum event_status)i), s->events[i]);
    }
    strbuf_addc(out, "},\"workflows\":{");
    for (unsigned i = 0; i < TELEMETRY_ENDS; i++) {
        strbuf_addf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "",
                    telemetry_end_name(i), s->workflows[i]);
    }
    strbuf_addc(out, "}},");
}

static void add_timing(struct strbuf *out, const struct timing_row *row,
                       const struct histogram *h)
{
    static const struct {
        const char *name;
        double q;
    } quantiles[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}};
    struct histogram_view view = histogram_view(h);
    strbuf_addf(out, "\"%s\":{\"count\":%" PRIu64, row->json, view.count);
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        strbuf_addf(out, ",\"%s\":", quantiles[i].name);
        add_measured(out, histogram_quantile_us(h, &view, quantiles[i].q) /
                              1000000.0);
    }
    strbuf_addch(out, '}');
}

void telemetry_add_json(const struct telemetry *t,
                        const struct telemetry_state *s, uint64_t now_ms,
                        struct strbuf *out)
{
    strbuf_addch(out, '{');
    for (size_t i = 0; i < telemetry_json_row_count; i++) {
        const struct json_row *row = &telemetry_json_rows[i];
        add_row(out, row, row->value(t, s, now_ms));
    }
    add_types(out, t);
    add_ledger(out, s);
    strbuf_addc(out, "\"latency_seconds\":{");
    for (unsigned i = 0; i < TELEMETRY_TIMINGS; i++) {
        strbuf_addc(out, i > 0 ? "," : "");
        add_timing(out, &telemetry_timing_rows[i], &t->timings[i]);
    }
    strbuf_addc(out, "}}");
}
