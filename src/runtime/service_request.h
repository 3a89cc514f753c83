/*
 * What the service is asked for by other threads: to start or stop a workflow,
 * to load the runbooks again, an operator's change. Handed over with
 * service_post (service.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/archive.h"
#include "base/err.h"
#include "base/list.h"
#include "engine/engine.h"
#include "history/history.h"
#include "loop/mailbox.h"
#include "match/generation.h"
#include "model/change.h"
#include "model/record.h"
#include "repo/repo.h"
#include "runtime/retention.h"

struct service;

/* What is kept, for how long and how much of it. */
struct service_keep {
    struct retention_policy retention;
    uint64_t retention_interval_ms; /* between two rounds */
    struct archive_keep archive;
    struct history_keep history;
};

enum service_request_kind {
    SERVICE_RUN,
    SERVICE_STOP,
    SERVICE_RESET, /* what guards remember is forgotten */
    SERVICE_RELOAD,
    SERVICE_CHANGE,    /* an operator's change, audited */
    SERVICE_CONFIGURE, /* other numbers; done with result 0 */
    SERVICE_PING,      /* nothing: done when its turn has come */
    SERVICE_END        /* the service's own */
};

/* What a change does with events, after its setting is in force. */
enum change_sweep {
    CHANGE_SWEEP_NONE,
    CHANGE_DRAIN,          /* queued events: kept, not processed */
    CHANGE_REPLAY,         /* drained ones: queued again */
    CHANGE_CLEAR_DRAINED,  /* drained ones: put away */
    CHANGE_REQUEUE_POISON, /* poisonous ones: queued again */
    CHANGE_CLEAR_POISON,   /* poisonous ones: put away */
    CHANGE_RESTART,        /* those of stuck workers: queued again, and the
                              workers get new threads */
    CHANGE_RANK,           /* queued ones that match: another priority */
    CHANGE_ARCHIVE,        /* workflows that are final: removed, while other
                              changes go on */
    CHANGE_SWEEPS
};

/* Caller-owned; done is called once, on the service's thread, with the
 * outcome filled in. Strings must stay valid until then. */
struct service_request {
    struct mail mail; /* this and the next two: the service's */
    struct list link;
    struct service *service;
    enum service_request_kind kind;
    struct str requested_by;
    union {
        struct {
            struct runbook *runbook; /* a reference, the caller's */
            struct str commit;
            struct str parameters; /* of service_seal */
            bool dry_run;
            const struct record_request *request; /* NULL: it has no key */
            const struct fact_resume *resume;     /* NULL: all of it */
            struct audit_row audit; /* action and after; no action: no row */
        } run;
        struct {
            struct id workflow_id;
            enum stop_request how;
            struct str audit; /* action; "": no row */
        } stop;
        struct {
            struct str runbook;
            struct str trigger; /* "": all of the runbook */
            struct str key;
            bool any_key;
            struct str audit; /* action; "": no row */
        } reset;
        struct {
            struct str audit; /* action; "": no row */
            /* Fills in before and after from the request's generations, as JSON
             * that is valid until done; on the service's thread. */
            void (*describe)(struct service_request *request,
                             struct audit_row *row);
        } reload;
        struct {
            struct setting_row setting; /* key "": none; at_ms and by are
                                           filled in */
            struct audit_row audit;     /* action and subject; after, unless
                                           there is a setting; no action: no
                                           row */
            bool told; /* before and after stand in the audit row although
                          there is a setting: it holds a secret */
            struct verdict_row verdict; /* subject ID_NULL: none; at_ms and by
                                           are filled in */
            bool beside; /* nothing but rows: it waits for no other change, and
                            no control is read again */
            enum change_sweep sweep;
            struct id event_id; /* of the sweep: only this one, or ID_NULL */
            struct str type, severity; /* CHANGE_RANK: "" is any */
            uint8_t priority;
            const struct id *ids; /* CHANGE_ARCHIVE: of workflows */
            uint32_t id_count;
            /* outcome: */
            uint64_t moved; /* how many events, workers or rows */
            bool stored;    /* the setting and its row of the trail are */
        } change;
        struct {
            struct engine_config engine;
            struct service_keep keep;
            bool executor; /* its options differ: it reads them again */
            const char *kill_switch; /* NULL: as before */
        } configure;
    };
    /* outcome */
    int result; /* RUN: 0, -EAGAIN (too much is live), -ENOSPC; STOP: 0,
                   -ENOENT, -EEXIST (already final); RESET: how many memories
                   are gone; RELOAD, CHANGE: 0 or the
                   error (perhaps with err), and nothing has changed, unless the
                   change is stored */
    struct id workflow_id;
    enum workflow_status status;
    struct repo_changes changes;
    /* RELOAD: what was and what is in force, while done runs; `after` is NULL
       when nothing has changed. */
    const struct generation *before, *after;
    struct err err;
    void (*done)(struct service_request *request);
};
