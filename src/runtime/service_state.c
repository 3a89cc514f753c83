/* What the service knows of itself, as telemetry wants it. */
#include "runtime/service.h"

void service_state(const struct service_status *s, struct telemetry_state *ret)
{
    *ret = (struct telemetry_state){
        .accepted = s->counts.accepted,
        .queue_depth = s->queue_depth,
        .queue_limit = s->queue_limit,
        .oldest_active_ms = s->oldest_active_ms,
        .workers = {[WORKER_RESTING] = s->engine.workers_resting,
                    [WORKER_CLAIMING] = s->engine.workers_claiming},
        .kill_switch = s->killed,
        .processing_paused = s->paused,
        .disk_full = s->disk_full,
        .backup_ms = s->backup_ms,
        .trigger_memories = s->engine.memories,
        .memories_refused = s->engine.memories_refused,
        .executor_up = s->executor_up,
        .runbooks = s->runbooks_loaded,
        .runbooks_rejected = s->runbooks_rejected,
        .runbooks_refused = s->runbooks_refused,
        .generation = s->generation,
        .config_reload_ok = 1,
        .runbook_reload_ok = !s->runbooks_stale,
        .store_commits = s->commits.groups,
        .store_operations = s->commits.operations,
        .store_commit_us_sum = s->commits.commit_us_sum,
    };
    for (size_t i = 0; i < EVENT_STATUSES; i++) {
        ret->events[i] = s->counts.events[i];
    }
    for (size_t i = 0; i < SLOS; i++) {
        ret->slo[i] = s->slo[i];
    }
    for (size_t i = 0; i < WORKFLOW_STATUSES; i++) {
        ret->workflows[i] = s->counts.workflows[i];
    }
    ret->workflows[TELEMETRY_DRY_RUN] = s->counts.dry_runs;
    ret->workflows[WORKFLOW_SUCCEEDED] -=
        MIN(s->counts.dry_runs, s->counts.workflows[WORKFLOW_SUCCEEDED]);
}

bool service_backup_is_old(const struct service_status *status, uint64_t now_ms)
{
    uint64_t since_ms = MAX(status->backup_ms, status->started_ms);
    return status->backup_warn_ms != 0 && now_ms > since_ms &&
           now_ms - since_ms > status->backup_warn_ms;
}
