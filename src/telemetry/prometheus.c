#include <inttypes.h>

#include "base/assert.h"
#include "telemetry/telemetry_priv.h"

static uint64_t read_counter(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* Micro- or milliseconds as decimal seconds, exactly. */
static void add_seconds(struct strbuf *out, uint64_t value, unsigned per_s)
{
    int digits = per_s == 1000 ? 3 : 6;
    strbuf_addf(out, "%" PRIu64, value / per_s);
    uint64_t rest = value % per_s;
    if (rest == 0) {
        return;
    }
    while (rest % 10 == 0) {
        rest /= 10;
        digits--;
    }
    strbuf_addf(out, ".%0*" PRIu64, digits, rest);
}

static void add_value(struct strbuf *out, uint64_t value, enum metric_unit unit)
{
    switch (unit) {
    case UNIT_ONE:
        strbuf_addf(out, "%" PRIu64, value);
        break;
    case UNIT_MILLISECONDS:
        add_seconds(out, value, 1000);
        break;
    case UNIT_MICROSECONDS:
        add_seconds(out, value, 1000000);
        break;
    }
    strbuf_addch(out, '\n');
}

/* The value of a label inside its quotes: backslash, quote and newline have
 * escapes, nothing else has. */
static void add_label_value(struct strbuf *out, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        switch (value.at[i]) {
        case '\\':
            strbuf_addc(out, "\\\\");
            break;
        case '"':
            strbuf_addc(out, "\\\"");
            break;
        case '\n':
            strbuf_addc(out, "\\n");
            break;
        default:
            strbuf_addch(out, value.at[i]);
            break;
        }
    }
}

/* `name{label="value"} ` or `name `. */
static void add_sample_name(struct strbuf *out, const struct metric_row *row,
                            struct str label_value)
{
    strbuf_addf(out, METRIC_PREFIX "%s", row->name);
    if (row->label != NULL) {
        strbuf_addf(out, "{%s=\"", row->label);
        add_label_value(out, label_value);
        strbuf_addc(out, "\"}");
    }
    strbuf_addch(out, ' ');
}

static void add_head(struct strbuf *out, const char *name, const char *help,
                     const char *type)
{
    strbuf_addf(out, "# HELP " METRIC_PREFIX "%s %s\n", name, help);
    strbuf_addf(out, "# TYPE " METRIC_PREFIX "%s %s\n", name, type);
}

static void add_types(struct strbuf *out, const struct telemetry *t,
                      const struct metric_row *row)
{
    uint32_t n = telemetry_type_count(t);
    for (uint32_t i = 0; i < n; i++) {
        const struct type_slot *slot = &t->types[i];
        add_sample_name(out, row, str_n(slot->name, slot->name_len));
        add_value(out, read_counter(&slot->accepted), UNIT_ONE);
    }
    add_sample_name(out, row, STR(TELEMETRY_TYPE_OTHER));
    add_value(out, read_counter(&t->types_other), UNIT_ONE);
}

static uint64_t row_value(const struct telemetry *t,
                          const struct telemetry_state *s,
                          const struct metric_row *row, unsigned i)
{
    if (row->source == FROM_COUNTERS) {
        const char *base = (const char *)t + row->offset;
        return read_counter((const counter *)(const void *)base + i);
    }
    ASSERT(row->source == FROM_STATE);
    const char *base = (const char *)s + row->offset;
    return *((const uint64_t *)(const void *)base + i);
}

static void add_plain(struct strbuf *out, const struct telemetry *t,
                      const struct telemetry_state *s,
                      const struct metric_row *row)
{
    unsigned n = row->label != NULL ? row->count : 1;
    for (unsigned i = 0; i < n; i++) {
        const char *value = row->label != NULL ? row->label_value(i) : NULL;
        add_sample_name(out, row, str_c(value));
        add_value(out, row_value(t, s, row, i), row->unit);
    }
}

/* An objective of which nothing is known has no sample. */
static void add_slo(struct strbuf *out, const struct telemetry_state *s,
                    const struct metric_row *row)
{
    for (unsigned i = 0; i < SLOS; i++) {
        if (s->slo[i].samples != 0) {
            add_sample_name(out, row, str_c(slo_definitions[i].name));
            strbuf_addf(out, "%.9g\n", row->slo_value((enum slo)i, &s->slo[i]));
        }
    }
}

static void add_row(struct strbuf *out, const struct telemetry *t,
                    const struct telemetry_state *s,
                    const struct metric_row *row)
{
    add_head(out, row->name, row->help, row->type);
    switch (row->source) {
    case FROM_COUNTERS:
    case FROM_STATE:
        add_plain(out, t, s, row);
        break;
    case FROM_START:
        add_sample_name(out, row, STR_NULL);
        add_value(out, t->started_ms, row->unit);
        break;
    case FROM_BUILD:
        strbuf_addf(out, METRIC_PREFIX "%s{version=\"%s\"} 1\n", row->name,
                    ADP_VERSION);
        break;
    case FROM_TYPES:
        add_types(out, t, row);
        break;
    case FROM_SLO:
        add_slo(out, s, row);
        break;
    }
}

static void add_timing(struct strbuf *out, const struct timing_row *row,
                       const struct histogram *h)
{
    struct histogram_view view = histogram_view(h);
    add_head(out, row->name, row->help, "histogram");
    for (uint32_t i = 0; i < h->bound_count; i++) {
        strbuf_addf(out, METRIC_PREFIX "%s_bucket{le=\"", row->name);
        add_seconds(out, h->bounds_us[i], 1000000);
        strbuf_addf(out, "\"} %" PRIu64 "\n", view.cumulative[i]);
    }
    strbuf_addf(out, METRIC_PREFIX "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n",
                row->name, view.count);
    strbuf_addf(out, METRIC_PREFIX "%s_sum ", row->name);
    add_value(out, view.sum_us, UNIT_MICROSECONDS);
    strbuf_addf(out, METRIC_PREFIX "%s_count %" PRIu64 "\n", row->name,
                view.count);
}

void telemetry_add_prometheus(const struct telemetry *t,
                              const struct telemetry_state *s,
                              struct strbuf *out)
{
    for (size_t i = 0; i < telemetry_metric_row_count; i++) {
        add_row(out, t, s, &telemetry_metric_rows[i]);
    }
    for (unsigned i = 0; i < TELEMETRY_TIMINGS; i++) {
        add_timing(out, &telemetry_timing_rows[i], &t->timings[i]);
    }
}
