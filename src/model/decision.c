#include "model/decision.h"

#include <inttypes.h>

#include "base/assert.h"

#define GUARD_MAX_BYTES 32

const char *hold_name(size_t i)
{
    static const char *const names[HOLD_KINDS] = {
        [HOLD_DISABLED] = "disabled",
        [HOLD_DEDUP] = "dedup",
        [HOLD_COOLDOWN] = "cooldown",
        [HOLD_MAX_RUNS] = "max_runs",
        [HOLD_COUNT] = "count",
        [HOLD_TRIGGER_MEMORY] = "limits.trigger_memory",
        [HOLD_MAX_STARTS] = "max_starts",
        [HOLD_MAX_AGE] = "max_age",
        [HOLD_BREAKER] = "breaker",
        [HOLD_CONCURRENCY] = "concurrency",
        [HOLD_OTHER] = "other",
    };
    return i < HOLD_KINDS ? names[i] : NULL;
}

/* The word in front of ": ", or nothing. */
static struct str guard_word(struct str reason)
{
    ptrdiff_t end = str_find(reason, ':');
    bool is_word = end > 0 && end <= GUARD_MAX_BYTES &&
                   (size_t)end + 1 < reason.len && reason.at[end + 1] == ' ';
    for (ptrdiff_t i = 0; is_word && i < end; i++) {
        char c = reason.at[i];
        is_word = (c >= 'a' && c <= 'z') || c == '_' || c == '.';
    }
    return is_word ? str_slice(reason, 0, (size_t)end) : STR("");
}

static enum hold hold_named(struct str name)
{
    for (size_t i = 0; i < HOLD_KINDS; i++) {
        if (str_eq_c(name, hold_name(i))) {
            return (enum hold)i;
        }
    }
    return HOLD_OTHER;
}

enum hold hold_of(struct str reason)
{
    return hold_named(guard_word(reason));
}

void decision_init(struct decision *d)
{
    *d = (struct decision){.text = STRBUF_INIT(DECISION_MAX_BYTES)};
}

void decision_deinit(struct decision *d)
{
    strbuf_deinit(&d->text);
}

/* Whole characters. */
static struct str cut(struct str s)
{
    size_t len = MIN(s.len, (size_t)DECISION_REASON_MAX_BYTES);
    while (len < s.len && len > 0 &&
           ((unsigned char)s.at[len] & 0xC0) == 0x80) {
        len--;
    }
    return str_slice(s, 0, len);
}

static void add_member(struct strbuf *out, const char *key, struct str value)
{
    strbuf_addf(out, "%s\"%s\":", key[0] == 'r' && key[1] == 'u' ? "" : ",",
                key);
    strbuf_add_json_quoted(out, value);
}

void decision_add(struct decision *d, const struct held *h)
{
    struct str guard =
        h->guard != NULL ? str_c(h->guard) : guard_word(h->reason);
    struct str reason = h->reason;
    d->counts[hold_named(guard)]++;
    if (h->guard == NULL && guard.len != 0) {
        reason = str_slice(reason, guard.len + 2, reason.len);
    }
    CLEANUP(strbuf_deinit) struct strbuf one = STRBUF_INIT(DECISION_MAX_BYTES);
    strbuf_addc(&one, d->held != 0 ? ",{" : "{");
    add_member(&one, "runbook", h->runbook);
    add_member(&one, "trigger", h->trigger);
    add_member(&one, "guard", guard.len != 0 ? guard : STR("other"));
    add_member(&one, "reason", cut(reason));
    strbuf_addch(&one, '}');
    /* All of it or nothing: the list stays JSON. */
    if (d->held == DECISION_HELD_MAX || one.full ||
        d->text.len + one.len + 128 > DECISION_MAX_BYTES) {
        d->left_out++;
        return;
    }
    strbuf_add(&d->text, strbuf_str(&one));
    d->held++;
}

struct str decision_json(const struct decision *d, struct str digest,
                         struct arena *a)
{
    CLEANUP(strbuf_deinit)
    struct strbuf out = STRBUF_INIT(DECISION_MAX_BYTES + 128);
    if (digest.len == 0 && d->held + d->left_out == 0) {
        return STR("");
    }
    strbuf_addch(&out, '{');
    add_member(&out, "runbooks", digest);
    if (d->held + d->left_out != 0) {
        strbuf_addc(&out, ",\"held\":[");
        strbuf_add(&out, strbuf_str(&d->text));
        strbuf_addf(&out, "],\"left_out\":%" PRIu32, d->left_out);
    }
    strbuf_addch(&out, '}');
    ASSERT(strbuf_error(&out) == 0);
    return arena_str(a, strbuf_str(&out));
}
