#include "telemetry/telemetry_priv.h"

static void add_metric(struct strbuf *out, const char *name, const char *type,
                       const char *label, const char *help)
{
    strbuf_addf(out, "| `" METRIC_PREFIX "%s` | %s | %s%s%s | %s |\n", name,
                type, label != NULL ? "`" : "", label != NULL ? label : "",
                label != NULL ? "`" : "", help);
}

static void add_json_keys(struct strbuf *out)
{
    strbuf_addc(out, "| key | meaning |\n| --- | --- |\n");
    for (size_t i = 0; i < telemetry_json_row_count; i++) {
        strbuf_addf(out, "| `%s` | %s |\n", telemetry_json_rows[i].key,
                    telemetry_json_rows[i].help);
    }
    strbuf_addf(out,
                "| `event_types` | events accepted since the start, by type; "
                "after %d types the rest is `" TELEMETRY_TYPE_OTHER "` |\n",
                TELEMETRY_TYPES_MAX);
    strbuf_addc(out,
                "| `ledger` | events and workflows in the store by status; "
                "`accepted` is the sum of `events`, dry runs are counted by "
                "themselves |\n"
                "| `latency_seconds` | count and estimated quantiles since "
                "the start, of:");
    for (unsigned i = 0; i < TELEMETRY_TIMINGS; i++) {
        strbuf_addf(out, "%s `%s`", i > 0 ? "," : "",
                    telemetry_timing_rows[i].json);
    }
    strbuf_addc(out, " |\n");
}

static void add_series(struct strbuf *out)
{
    strbuf_addc(out, "\n## GET /api/metrics/history\n\n"
                     "| series | unit | a point is | meaning |\n"
                     "| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < telemetry_series_count(); i++) {
        struct telemetry_series s = telemetry_series(i);
        strbuf_addf(out, "| `%s` | %s | %s | %s |\n", s.name, s.unit,
                    s.is_flow ? "the sum" : "the mean", s.help);
    }
}

void telemetry_add_reference(struct strbuf *out)
{
    strbuf_addc(out,
                "# Metrics\n\n"
                "<!-- Made from src/telemetry/tables.c; a test compares. -->\n"
                "\nCounters (`_total`) and histograms begin at zero when "
                "the engine starts. Rates\nand windows go on over a restart. "
                "The `ledger_` numbers come from the store\nand last.\n\n"
                "## GET /metrics\n\nPrometheus text format 0.0.4.\n\n"
                "| metric | type | label | meaning |\n"
                "| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < telemetry_metric_row_count; i++) {
        const struct metric_row *row = &telemetry_metric_rows[i];
        const char *label = row->source == FROM_BUILD ? "version" : row->label;
        add_metric(out, row->name, row->type, label, row->help);
    }
    for (unsigned i = 0; i < TELEMETRY_TIMINGS; i++) {
        const struct timing_row *row = &telemetry_timing_rows[i];
        add_metric(out, row->name, "histogram", "le", row->help);
    }
    strbuf_addc(out, "\n## GET /api/metrics\n\n");
    add_json_keys(out);
    add_series(out);
}
