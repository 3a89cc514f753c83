/*
 * The service's event workers, inside the service (service_workers.c). On the
 * service's thread.
 */
#pragma once

#include "loop/pool.h"
#include "runtime/runtime.h"
#include "runtime/service_workers.h"

/* Pools with threads that were given up and have not ended. */
#define SERVICE_POOLS_RETIRED_MAX 32

#define SERVICE_WINDOW_US 60000000
#define SERVICE_WORKER_SLOTS 12

struct worker_slot {
    uint64_t no; /* which piece of time */
    uint64_t busy_us;
};

struct worker_stat {
    struct match_job *job; /* NULL: none */
    uint64_t since_ms;     /* epoch, to tell */
    uint64_t since_us;     /* monotonic, to measure: no clock that is set */
    uint32_t events;
    uint64_t processed;
    struct worker_slot slots[SERVICE_WORKER_SLOTS];
};

void service_worker_begins(struct service *s, struct match_job *job);

/* False: the job had been given up, its result must not be used. */
bool service_worker_ends(struct service *s, struct match_job *job);

/* Threads for service_workers_replace, before the change is written down; NULL
 * when no worker is stuck. -EAGAIN and why when there can be none. */
NODISCARD int service_workers_spare(struct service *s, struct pool **ret,
                                    struct err *reterr);

/* Puts them in the place of all (takes them), and gives up the batches of stuck
 * workers: how many. */
uint32_t service_workers_replace(struct service *s, struct pool *spare);

/* Gives back what replaced threads have held until they ended. */
void service_workers_reap(struct service *s);
