/*
 * Controls: what operators have set while the engine runs, as the settings of
 * the store say it. An immutable snapshot, shared by reference: a change makes
 * a new one. The table of keys is in controls.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "model/event.h"
#include "store/reader.h"

struct controls;

/* Keys of settings. Those that end in '/' are followed by a name. */
#define CONTROL_PAUSED "processing.paused"   /* true */
#define CONTROL_WORKERS "workers"            /* 8 */
#define CONTROL_PRIORITY "event-priority/"   /* TYPE/SEVERITY: number */
#define CONTROL_RESTORED "store.restored"    /* object: until acknowledged */
#define CONTROL_SWITCHED "kill-switch.since" /* epoch ms: it was on */
#define CONTROL_DISABLED "runbook-disabled/" /* PATH: "reason" */

/* Rules about priorities: every event that comes is compared with them. */
#define CONTROL_PRIORITIES_MAX 200

/* Reads the settings of these keys. A value that makes no sense (an older or
 * newer version wrote it) is left out. 0 or what the reader says. */
NODISCARD int controls_load(struct reader *reader, struct controls **ret);

struct controls *controls_ref(struct controls *c);
void controls_unref(struct controls *c);

/* Since when the kill switch was on when an engine last looked; 0: it was off.
 */
uint64_t controls_switched_ms(const struct controls *c);

bool controls_paused(const struct controls *c);

/* The setting that pauses processing (who, when), or NULL. */
const struct setting_row *controls_pause(const struct controls *c);

/* Event workers, or 0: as configured. */
uint32_t controls_workers(const struct controls *c);

/* The setting that says so (who, when), or NULL. */
const struct setting_row *controls_scaled(const struct controls *c);

/* The priority of such an event, `otherwise` unless a rule matches it; the
 * rule that says most decides: type and severity, type, severity. */
uint8_t controls_priority(const struct controls *c, struct str type,
                          struct str severity, uint8_t otherwise);
bool controls_has_priorities(const struct controls *c);

struct control_rule {
    struct str type;     /* "": any */
    struct str severity; /* "": any */
    uint8_t priority;
    const struct setting_row *row; /* who, when */
};

/* All rules, those that say most first. */
const struct control_rule *controls_rules(const struct controls *c,
                                          uint32_t *ret_count);

/* May this setting be changed to this value? 0, or why not: -EDQUOT when there
 * are as many rules as there may be, -ENOENT when a rule that is withdrawn is
 * not there. */
NODISCARD int controls_allow(const struct controls *c,
                             const struct setting_row *setting,
                             struct err *reterr);

/* What is to be said about a restore that nobody has acknowledged yet; NULL:
 * there is none. */
const struct setting_row *controls_restored(const struct controls *c);

/* The setting that disables this runbook, or NULL; how many there are. */
const struct setting_row *controls_disabled(const struct controls *c,
                                            struct str path);
uint32_t controls_disabled_count(const struct controls *c);

/* Appends "runbook PATH is disabled (by WHO): REASON". */
void controls_add_disabled(struct strbuf *out, struct str path,
                           const struct setting_row *disabled);
