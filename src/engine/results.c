#include "engine/results.h"

#include "base/assert.h"
#include "engine/engine_priv.h"

void results_init(struct flow *f)
{
    f->results = mem_alloc(f->runbook->step_count, sizeof(struct result *));
}

void results_free(struct flow *f)
{
    for (uint32_t i = 0; i < f->runbook->step_count; i++) {
        struct result *r = f->results[i];
        if (r != NULL) {
            mem_free(r->error);
            mem_free(r->outputs);
            mem_free(r);
        }
    }
    mem_free(f->results);
}

struct attempt_row *flow_result(const struct flow *f, uint32_t step_no)
{
    ASSERT(step_no < f->runbook->step_count);
    struct result *r = f->results[step_no];
    return r != NULL ? &r->row : NULL;
}

struct attempt_row *flow_attempt(const struct flow *f)
{
    return flow_result(f, f->row.step_no);
}

struct attempt_row *flow_keep(struct flow *f, const struct attempt_row *row)
{
    ASSERT(row->key.step_no < f->runbook->step_count);
    struct result **slot = &f->results[row->key.step_no];
    if (*slot == NULL) {
        *slot = MEM_NEW(struct result);
    }
    struct result *r = *slot;
    struct attempt_row copy = *row;
    copy.error = flow_own(&r->error, row->error);
    copy.outputs = flow_own(&r->outputs, row->outputs);
    r->row = copy;
    if (row->key.step_no == runbook_section(f->runbook, SECTION_VERIFY) &&
        attempt_state_is_final(row->state)) {
        f->passes = row->state == ATTEMPT_PASSED ? f->passes + 1 : 0;
    }
    return &r->row;
}

/* How many probes have passed since the last that did not. */
static uint32_t passes_of(const struct flow *f, const struct attempt_row *rows,
                          uint32_t count)
{
    uint32_t verify = runbook_section(f->runbook, SECTION_VERIFY);
    uint32_t broken = 0;
    uint32_t passes = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].key.step_no == verify &&
            attempt_state_is_final(rows[i].state) &&
            rows[i].state != ATTEMPT_PASSED) {
            broken = MAX(broken, rows[i].key.attempt);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        passes += rows[i].key.step_no == verify &&
                  rows[i].state == ATTEMPT_PASSED &&
                  rows[i].key.attempt > broken;
    }
    return passes;
}

void results_restore(struct flow *f, const struct attempt_row *rows,
                     uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct attempt_row *known = flow_result(f, rows[i].key.step_no);
        if (known == NULL || known->key.attempt < rows[i].key.attempt) {
            (void)flow_keep(f, &rows[i]);
        }
    }
    f->passes = passes_of(f, rows, count);
}

static uint64_t mix_attempt(uint64_t hash, const struct attempt_row *a)
{
    const uint64_t numbers[] = {
        a->key.step_no,  a->key.attempt,
        a->state,        a->pid,
        a->requested_ms, a->started_ms,
        a->finished_ms,  (uint64_t)(int64_t)a->exit_code,
        a->output_bytes, (uint64_t)(int64_t)a->term_signal,
        a->survivors,    a->output_truncated,
    };
    hash = engine_mix_str(hash, id_bytes(&a->executor));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        hash = engine_mix(hash, numbers[i]);
    }
    return engine_mix_str(engine_mix_str(hash, a->error), a->outputs);
}

uint64_t results_hash(const struct flow *f, uint64_t hash)
{
    hash = engine_mix(hash, f->passes);
    for (uint32_t i = 0; i < f->runbook->step_count; i++) {
        const struct attempt_row *a = flow_result(f, i);
        hash = a != NULL ? mix_attempt(hash, a) : engine_mix(hash, UINT64_MAX);
    }
    return hash;
}

void results_check(const struct flow *f)
{
    for (uint32_t i = 0; i < f->runbook->step_count; i++) {
        const struct attempt_row *a = flow_result(f, i);
        if (a == NULL) {
            continue;
        }
        INVARIANT("I4", id_eq(a->key.workflow_id, f->row.id));
        INVARIANT("I4", a->key.step_no == i);
        INVARIANT("I4", a->key.attempt >= 1);
        INVARIANT("I4",
                  a->key.attempt <= MAX(f->runbook->steps[i].max_attempts, 1U));
        INVARIANT("I4",
                  i == f->row.step_no || attempt_state_is_final(a->state));
    }
}
