#include "model/runbook.h"

#include <sodium.h>
#include <stdatomic.h>

#include "base/assert.h"
#include "base/mem.h"

_Static_assert(sizeof(struct runbook_hash) == crypto_hash_sha256_BYTES,
               "a runbook's hash is a SHA-256");

struct runbook_hash runbook_hash_of(struct str text)
{
    struct runbook_hash hash = {{0}};
    int r = crypto_hash_sha256(
        hash.bytes, (const unsigned char *)(text.at != NULL ? text.at : ""),
        text.len);
    ASSERT(r == 0);
    return hash;
}

struct runbook *runbook_ref(struct runbook *rb)
{
    uint32_t before =
        atomic_fetch_add_explicit(&rb->refs, 1, memory_order_relaxed);
    ASSERT(before != 0);
    return rb;
}

/* Everything is in the arena but the compiled patterns. */
static void runbook_free(struct runbook *rb)
{
    for (uint32_t i = 0; i < rb->param_count; i++) {
        pattern_free(rb->params[i].pattern);
    }
    for (uint32_t i = 0; i < rb->trigger_count; i++) {
        for (uint32_t j = 0; j < rb->triggers[i].matcher_count; j++) {
            matcher_deinit(&rb->triggers[i].matchers[j]);
        }
    }
    arena_deinit(&rb->arena);
    mem_free(rb);
}

void runbook_unref(struct runbook *rb)
{
    if (rb == NULL) {
        return;
    }
    uint32_t before =
        atomic_fetch_sub_explicit(&rb->refs, 1, memory_order_acq_rel);
    ASSERT(before != 0);
    if (before == 1) {
        runbook_free(rb);
    }
}

void runbook_unrefp(struct runbook **rb)
{
    runbook_unref(*rb);
}
