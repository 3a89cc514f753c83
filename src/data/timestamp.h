/*
 * Instants: RFC 3339 text and epoch seconds to and from milliseconds since
 * the epoch. 0 means "no time": Go programs send a time in year 1 for that.
 * Instants are otherwise from 1970 to 9999. No time zone data and no clock is
 * used. Pure; any thread.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/* 9999-12-31T23:59:59.999Z */
#define TIMESTAMP_MAX_MS 253402300799999ULL

#define TIMESTAMP_TEXT_SIZE 25 /* "2026-11-24T03:58:39.120Z" and a NUL */

/* Reads RFC 3339: date, T, time, 0 to 9 digits of fraction (cut to
 * milliseconds), Z or an offset. A time in year 1 gives 0. Returns 0, -EINVAL
 * (not one, also impossible dates) or -ERANGE (before 1970). */
NODISCARD int timestamp_parse(struct str text, uint64_t *ret_ms);

/* From epoch seconds, rounded to milliseconds: 0, or -ERANGE (negative, not
 * finite, past 9999: probably milliseconds). */
NODISCARD int timestamp_from_seconds(double seconds, uint64_t *ret_ms);

/* Reads either: RFC 3339, or epoch seconds ("1764000000", "1764000000.25"). */
NODISCARD int timestamp_parse_any(struct str text, uint64_t *ret_ms);

/* The instant in UTC with milliseconds. ms <= TIMESTAMP_MAX_MS. */
void timestamp_format(uint64_t ms, char out[TIMESTAMP_TEXT_SIZE]);

/* `since=`: an instant as above, or a duration with a unit that counts back
 * from now ("1h", "7d"; not past the epoch). Returns 0, -EINVAL, -ERANGE. */
NODISCARD int timestamp_parse_since(struct str text, uint64_t now_ms,
                                    uint64_t *ret_ms);
