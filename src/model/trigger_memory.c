#include "model/trigger_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>

#include "base/assert.h"
#include "data/duration.h"
#include "model/event_json.h"

/* ---- the key ------------------------------------------------------------ */

/* A key of up to KEY_WHOLE bytes stands as it is; a longer one is cut and gets
 * a hash, which makes it longer than any that was not cut: whoever chooses
 * labels cannot make one look like the other. */
#define KEY_WHOLE 200
#define KEY_CUT 184
#define KEY_HASH_BYTES 16

_Static_assert(KEY_CUT + 1 + 2 * KEY_HASH_BYTES > KEY_WHOLE + 3 &&
                   KEY_CUT + 1 + 2 * KEY_HASH_BYTES <= TRIGGER_KEY_MAX_BYTES,
               "a cut key is longer than a whole one, even when the last "
               "character before the cut is not whole");

/* For the longest names and values, each of its bytes shown as four. */
#define KEY_ROOM                                                               \
    (TRIGGER_DEDUP_MAX * (EVENT_LABEL_NAME_MAX_BYTES +                         \
                          4 * (size_t)EVENT_LABEL_VALUE_MAX_BYTES + 2))

static struct str field_of(const struct dedup_part *part, const struct event *e)
{
    switch (part->field) {
    case DEDUP_TYPE:
        return e->type;
    case DEDUP_SEVERITY:
        return e->severity;
    case DEDUP_SOURCE:
        return e->source;
    case DEDUP_LABEL:
        return labels_get(&e->labels, part->label);
    }
    UNREACHABLE();
}

static struct str name_of(const struct dedup_part *part)
{
    switch (part->field) {
    case DEDUP_TYPE:
        return STR("type");
    case DEDUP_SEVERITY:
        return STR("severity");
    case DEDUP_SOURCE:
        return STR("source");
    case DEDUP_LABEL:
        return part->label;
    }
    UNREACHABLE();
}

/* A comma inside a value is no end of it; control characters are shown. */
static void add_value(struct strbuf *out, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if (c < 0x20 || c == 0x7F) {
            strbuf_addf(out, "\\x%02x", c);
            continue;
        }
        if (c == ',' || c == '\\') {
            strbuf_addch(out, '\\');
        }
        strbuf_addch(out, value.at[i]);
    }
}

/* Whole characters, at most KEY_CUT bytes. */
static struct str cut(struct str s)
{
    size_t len = KEY_CUT;
    while (len > KEY_CUT - 3 && ((unsigned char)s.at[len] & 0xC0) == 0x80) {
        len--;
    }
    return str_slice(s, 0, len);
}

static void shorten(struct strbuf *key)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    char hex[2 * KEY_HASH_BYTES + 1];
    struct str whole = strbuf_str(key);
    int r = crypto_hash_sha256(hash, (const uint8_t *)whole.at, whole.len);
    ASSERT(r == 0);
    (void)sodium_bin2hex(hex, sizeof(hex), hash, KEY_HASH_BYTES);
    struct strbuf text = STRBUF_INIT(TRIGGER_KEY_MAX_BYTES);
    strbuf_add(&text, cut(whole));
    strbuf_addf(&text, "~%s", hex);
    strbuf_reset(key);
    strbuf_add(key, strbuf_str(&text));
    strbuf_deinit(&text);
}

int trigger_key(const struct dedup_part *parts, uint32_t count,
                const struct event *e, struct arena *a, struct str *ret)
{
    CLEANUP(strbuf_deinit) struct strbuf key = STRBUF_INIT(KEY_ROOM);
    for (uint32_t i = 0; i < count; i++) {
        const struct dedup_part *part = &parts[i];
        struct str value = field_of(part, e);
        struct str name = name_of(part);
        if (value.len == 0) {
            CLEANUP(strbuf_deinit) struct strbuf lacks = STRBUF_INIT(1024);
            strbuf_addf(&lacks, "%s%.*s",
                        part->field == DEDUP_LABEL ? "labels." : "",
                        STR_ARG(name));
            *ret = arena_str(a, strbuf_str(&lacks));
            return -ENOENT;
        }
        strbuf_addf(&key, "%s%.*s=", i == 0 ? "" : ",", STR_ARG(name));
        add_value(&key, value);
    }
    ASSERT(strbuf_error(&key) == 0);
    if (key.len > KEY_WHOLE) {
        shorten(&key);
    }
    *ret = arena_str(a, strbuf_str(&key));
    return 0;
}

/* ---- the limits --------------------------------------------------------- */

bool trigger_limits_any(const struct trigger_limits *l)
{
    return l->cooldown_ms != 0 || l->count_least != 0 || l->runs_most != 0;
}

uint64_t trigger_limits_starts_ms(const struct trigger_limits *l)
{
    return MAX(l->cooldown_ms, l->runs_most != 0 ? l->runs_within_ms : 0);
}

/* Of instants, oldest first, the first that is less than `within` before. */
static uint32_t first_within(const uint64_t *at, uint32_t count,
                             uint64_t now_ms, uint64_t within_ms)
{
    uint32_t i = 0;
    while (i < count && at[i] + within_ms <= now_ms) {
        i++;
    }
    return i;
}

struct memory_state memory_state_at(const struct trigger_limits *l,
                                    const struct memory_row *row,
                                    uint64_t now_ms, uint64_t event_ms)
{
    struct memory_state s = {0};
    if (l->count_least != 0) {
        s.events =
            row->event_count - first_within(row->events_ms, row->event_count,
                                            event_ms, l->count_within_ms);
    }
    if (l->runs_most != 0) {
        uint32_t first = first_within(row->starts_ms, row->start_count, now_ms,
                                      l->runs_within_ms);
        s.runs = row->start_count - first;
        /* When the limit was higher before, more than one has to leave. */
        first += s.runs > l->runs_most ? s.runs - l->runs_most : 0;
        s.runs_until_ms =
            s.runs != 0 ? row->starts_ms[first] + l->runs_within_ms : 0;
    }
    if (row->start_count != 0) {
        uint64_t last_ms = row->starts_ms[row->start_count - 1];
        s.cool_passed_ms = now_ms > last_ms ? now_ms - last_ms : 0;
        s.cool_until_ms =
            s.cool_passed_ms < l->cooldown_ms ? last_ms + l->cooldown_ms : 0;
    }
    return s;
}

enum memory_hold memory_hold_of(const struct trigger_limits *l,
                                const struct memory_state *s)
{
    if (s->cool_until_ms != 0) {
        return MEMORY_COOLS;
    }
    if (l->runs_most != 0 && s->runs >= l->runs_most) {
        return MEMORY_SPENT;
    }
    return s->events < l->count_least ? MEMORY_COUNTS : MEMORY_FREE;
}

/* ---- telling ------------------------------------------------------------ */

/* In whole minutes when it is about many: events that are held back one after
 * the other then have the same reason, and are stored as one. */
static uint64_t rounded(uint64_t passed_ms, uint64_t of_ms)
{
    uint64_t unit_ms = of_ms >= 600000 ? 60000 : 1000;
    return passed_ms - passed_ms % unit_ms;
}

static void add_cooldown(const struct trigger_limits *l,
                         const struct memory_row *row,
                         const struct memory_state *s, struct strbuf *out)
{
    char passed[DURATION_TEXT_SIZE];
    char all[DURATION_TEXT_SIZE];
    char id[ID_TEXT_SIZE];
    duration_format(rounded(s->cool_passed_ms, l->cooldown_ms), passed);
    duration_format(l->cooldown_ms, all);
    id_format(row->last_workflow, ID_PREFIX_WORKFLOW, id);
    strbuf_addf(out, "cooldown: %s of %s have passed since %s started", passed,
                all, id);
}

void memory_explain(const struct trigger_limits *l,
                    const struct memory_row *row, const struct memory_state *s,
                    struct strbuf *out)
{
    char within[DURATION_TEXT_SIZE];
    switch (memory_hold_of(l, s)) {
    case MEMORY_FREE:
        return;
    case MEMORY_COOLS:
        add_cooldown(l, row, s, out);
        break;
    case MEMORY_SPENT:
        duration_format(l->runs_within_ms, within);
        strbuf_addf(out,
                    "max_runs: %" PRIu32 " of %" PRIu32
                    " workflows were started within %s",
                    s->runs, l->runs_most, within);
        break;
    case MEMORY_COUNTS:
        duration_format(l->count_within_ms, within);
        strbuf_addf(
            out, "count: %" PRIu32 " of %" PRIu32 " events have come within %s",
            s->events, l->count_least, within);
        break;
    }
    if (row->key.len != 0) {
        strbuf_addf(out, "; key %.*s", STR_ARG(row->key));
    }
}

const char *memory_hold_name(enum memory_hold h)
{
    switch (h) {
    case MEMORY_FREE:
        return "";
    case MEMORY_COOLS:
        return "cooldown";
    case MEMORY_SPENT:
        return "max_runs";
    case MEMORY_COUNTS:
        return "count";
    }
    UNREACHABLE();
}
