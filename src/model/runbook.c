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

static const char *const section_names[STEP_SECTIONS] = {
    [SECTION_STEPS] = "steps",       [SECTION_DIAGNOSE] = "diagnose",
    [SECTION_ROLLBACK] = "rollback", [SECTION_ON_FAILURE] = "on_failure",
    [SECTION_FINALLY] = "finally",   [SECTION_VERIFY] = "verify",
};

const char *step_section_name(enum step_section section)
{
    return section_names[section];
}

const char *step_action_name(enum step_action action)
{
    return action == ACTION_WAIT ? "wait" : "exec";
}

uint32_t runbook_section(const struct runbook *rb, enum step_section section)
{
    uint32_t i = 0;
    while (i < rb->step_count && rb->steps[i].section != section) {
        i++;
    }
    return i;
}

/* A step of a section is followed by the next of the section, and `finally` by
 * nothing. */
bool runbook_ends_with(const struct runbook *rb, uint32_t step_no)
{
    enum step_section section = rb->steps[step_no].section;
    bool last = step_no + 1 == rb->step_count ||
                rb->steps[step_no + 1].section != section;
    bool closing = section == SECTION_FINALLY ||
                   runbook_section(rb, SECTION_FINALLY) == rb->step_count;
    if (section == SECTION_STEPS) {
        return last && closing &&
               runbook_section(rb, SECTION_VERIFY) == rb->step_count;
    }
    return last && closing &&
           (section == SECTION_ON_FAILURE || section == SECTION_FINALLY);
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
