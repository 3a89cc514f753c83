/*
 * Somebody's turn of the kill switch, handed over with service_turn
 * (service.h). Caller-owned until done; strings must stay valid until then.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/pool.h"
#include "os/kill_switch.h"
#include "runtime/service_request.h"

#define SERVICE_TURN_ROW_BYTES 1024

struct service_turn {
    bool on;
    struct str text;   /* on: "WHO: REASON", for others to read */
    struct str who;    /* for the audit trail */
    struct str action; /* of its row there */
    void (*done)(struct service_turn *turn);
    /* Outcome. 0; on: it is on all the same, but only for this engine and
     * until its end. Off: -EEXIST (it was put on again meanwhile), -EPERM
     * (root's file), -EIO (the store did not take the row); it stays on. */
    int result;
    struct err err;
    bool audited;
    struct kill_switch now; /* as it stands after this turn */
    /* The service's: */
    struct service *service;
    struct service_request request;
    struct pool_job job;
    uint64_t order;
    struct kill_switch seen;
    char row_before[SERVICE_TURN_ROW_BYTES];
    char row_after[SERVICE_TURN_ROW_BYTES];
};
