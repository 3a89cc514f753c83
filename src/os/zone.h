/*
 * Time zones by their IANA names ("Europe/Vienna"): seconds east of UTC at an
 * instant, from the machine's zone files (package tzdata). Zones are read
 * once and kept, a bounded number of them. One struct zones by one thread at a
 * time.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

#define ZONES_FOLDER "/usr/share/zoneinfo"

struct zones;

/* Zones of the files beneath folder; free with zones_free. */
NODISCARD struct zones *zones_new(const char *folder);
void zones_free(struct zones *z);
void zones_freep(struct zones **z);

/* The offset of the zone at the instant. Returns 0, -ENOENT (no such zone, or
 * no zone files on this machine), -EINVAL (not a name) or -EBADMSG (its file
 * is not one). */
NODISCARD int zones_offset(struct zones *z, struct str name, int64_t seconds,
                           int32_t *ret);

/* The offset that a POSIX TZ text ("CET-1CEST,M3.5.0,M10.5.0/3") gives at an
 * instant: 0 or -EBADMSG. For what comes behind a file's last change. */
NODISCARD int zone_rule_offset(struct str rule, int64_t seconds, int32_t *ret);
