/*
 * What survives a restart: taking it from the store, and a hash of it (I8).
 */
#include "engine/engine_priv.h"

#include "base/assert.h"
#include "engine/guards.h"

void engine_restore(struct engine *e, const struct workflow_row *row,
                    struct runbook *rb, const struct attempt_row *attempts,
                    uint32_t count)
{
    ASSERT(!e->started && row->rev != 0);
    struct flow *f = flow_new(e, row, rb);
    results_restore(f, attempts, count);
    if (row->status != WORKFLOW_QUEUED) {
        lock_had(e, f);
        lane_update(e, f->lane); /* an older one may be queued */
    }
    if (row->status == WORKFLOW_QUEUED) {
        lane_enqueue(e, f);
    } else if (row->status == WORKFLOW_RUNNING) {
        list_push(flow_in_flight(f) ? &e->inflight : &e->parked, &f->place);
    }
    flow_arm(e, f);
}

uint64_t engine_mix(uint64_t hash, uint64_t value)
{
    char bytes[8];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(value >> (8 * i) & 0xFF);
    }
    return str_hash(str_n(bytes, sizeof(bytes)), hash);
}

uint64_t engine_mix_str(uint64_t hash, struct str s)
{
    return str_hash(s, engine_mix(hash, s.len));
}

static uint64_t mix_workflow(uint64_t hash, const struct workflow_row *row)
{
    const struct str texts[] = {
        id_bytes(&row->id),
        row->runbook_path,
        row->runbook_name,
        row->runbook_commit,
        row->parameters,
        row->subject,
        row->requested_by,
        row->stopped_by,
        row->error,
        id_bytes(&row->event_id),
        str_n((const char *)row->runbook_hash.bytes,
              sizeof(row->runbook_hash.bytes)),
    };
    const uint64_t numbers[] = {
        row->trigger_no,
        row->dry_run,
        row->created_ms,
        row->status,
        row->result,
        row->stop,
        row->step_no,
        row->started_ms,
        row->finished_ms,
        row->wake_ms,
        row->deadline_ms,
        row->rev,
        row->defaults.step_timeout_ms,
        row->defaults.retry_attempts,
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        hash = engine_mix_str(hash, texts[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        hash = engine_mix(hash, numbers[i]);
    }
    return hash;
}

uint64_t engine_hash(const struct engine *e)
{
    uint64_t hash = STR_HASH_SEED;
    size_t cursor = 0;
    for (struct map_entry *entry = map_next(&e->flows, &cursor); entry != NULL;
         entry = map_next(&e->flows, &cursor)) {
        const struct flow *f = entry->value;
        hash = mix_workflow(hash, &f->row);
        hash = results_hash(f, hash);
    }
    return engine_mix(engine_mix(hash, memory_hash(e)), watches_hash(e));
}
