/*
 * The service's event workers, as others see them. Any thread.
 */
#pragma once

#include <stdint.h>

#include "base/id.h"

struct service;

/* An event worker, as it is now: stuck when it has finished no event for as
 * long as engine.event_processing.worker_stuck_after says. */
enum worker_state { WORKER_IDLE, WORKER_BUSY, WORKER_STUCK };

struct worker_view {
    enum worker_state state;
    uint64_t since_ms;    /* it has its batch; 0: it has none */
    uint64_t progress_ms; /* it took its batch, or finished an event of it */
    uint32_t events;      /* in the batch */
    uint32_t done;        /* of them */
    struct id event;      /* the one that it is matching */
    uint64_t processed;   /* events since the service started */
    double utilization;   /* 0..1, over the last minute */
};

/* Fills up to max views, by number; how many there are. */
uint32_t service_workers(struct service *s, struct worker_view *ret,
                         uint32_t max);
