/*
 * What the audit trail says of a change, before it is made. Inside the service;
 * on its thread. Texts are in the arena.
 */
#pragma once

#include "base/arena.h"
#include "model/change.h"
#include "model/event.h"

struct service;
struct service_request;

struct change_move {
    enum event_status from, to;
};

/* Sets before and after of a setting that is about to be changed: what is in
 * force without it, where it is not set. */
NODISCARD int service_tell_setting(struct service *s,
                                   const struct setting_row *setting,
                                   struct arena *a, struct audit_row *row);

/* What was said so far of the subject: {"verdict", "note"}; "" for nothing. */
NODISCARD int service_tell_verdict(struct service *s, struct id subject,
                                   struct arena *a, struct str *ret);

/* Sets before and after of a sweep: what is there now and what becomes of it.
 * move: the first of its moves of events, NULL if it has none. */
void service_tell_sweep(struct service *s,
                        const struct service_request *request,
                        const struct change_move *move, struct arena *a,
                        struct audit_row *row);
