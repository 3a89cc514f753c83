/* Notices in the memory driver. The vector is in order of writing; rows that
 * are gone stay in it as such. */
#include "base/assert.h"
#include "store/memory_priv.h"

void memory_notice_new(struct store *s, const struct notice_row *given)
{
    struct mem_notice *n = ARENA_NEW(&s->arena, struct mem_notice);
    n->row = memory_copy_notice(&s->arena, given);
    n->row.seq = s->notices.count + 1;
    MEMORY_PUSH(s, &s->notices, n);
}

static void trim_dead(struct store *s)
{
    uint32_t kept = 0;
    for (size_t i = s->notices.count; i-- > 0;) {
        struct mem_notice *n = s->notices.at[i];
        bool dead = !n->gone && n->row.state == NOTICE_DEAD;
        if (dead && ++kept > NOTICE_DEAD_MAX) {
            memory_save(s, &n->gone, sizeof(n->gone));
            n->gone = true;
        }
    }
}

void memory_notice_tried(struct store *s, const struct notice_try *t)
{
    struct mem_notice *n = t->seq >= 1 && t->seq <= s->notices.count
                               ? s->notices.at[t->seq - 1]
                               : NULL;
    if (n == NULL || n->gone || n->row.state != NOTICE_PENDING) {
        return;
    }
    memory_save(s, n, sizeof(*n));
    n->gone = t->fate == NOTICE_TAKEN;
    n->row.attempts = t->attempts;
    n->row.tried_ms = t->tried_ms;
    n->row.error = arena_str(&s->arena, t->error);
    if (t->fate == NOTICE_GIVEN_UP) {
        n->row.state = NOTICE_DEAD;
        trim_dead(s);
    }
}

/* ---- reading --------------------------------------------------------------
 */

uint32_t memory_notices(const struct store *s, const struct notice_filter *f,
                        struct arena *a, struct notice_row *ret)
{
    uint32_t count = 0;
    for (size_t i = 0; i < s->notices.count && count < f->limit; i++) {
        const struct mem_notice *n =
            s->notices.at[f->oldest_first ? i : s->notices.count - 1 - i];
        if (!n->gone && n->row.channel == f->channel &&
            n->row.state == f->state &&
            (f->before_seq == 0 || n->row.seq < f->before_seq)) {
            ret[count++] = memory_copy_notice(a, &n->row);
        }
    }
    return count;
}

struct notice_counts memory_notice_counts(const struct store *s)
{
    struct notice_counts counts = {0};
    VEC_EACH (&s->notices, i) {
        const struct mem_notice *n = s->notices.at[i];
        counts.of[n->row.channel][n->row.state] += n->gone ? 0 : 1;
    }
    return counts;
}
