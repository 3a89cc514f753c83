/*
 * The calendar as arithmetic: seconds since 1970 to and from the proleptic
 * Gregorian date, years 1 to 9999, and the texts that timestamp() and
 * duration() read. No clock, no time zone data. Pure; any thread.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z */
#define CEL_SECONDS_MIN (-62135596800LL)
#define CEL_SECONDS_MAX 253402300799LL

struct cel_civil {
    int64_t year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
    int hour;
    int minute;
    int second;
    int weekday; /* 0 is Sunday */
    int yearday; /* 0 is January 1st */
};

struct cel_civil cel_civil_of(int64_t seconds);

/* Days from 1970-01-01 to the date. */
int64_t cel_civil_days(int64_t year, int month, int day);

/* Reads RFC 3339 with up to nine digits of a second: 0, -EINVAL or -ERANGE
 * (a year outside 1 to 9999). */
NODISCARD int cel_civil_parse(struct str text, int64_t *ret_seconds,
                              uint32_t *ret_ns);

/* Reads a duration: "1h30m", "-1.5s", "250ms", with the units d h m s ms us
 * ns: 0, -EINVAL or -ERANGE (292 years). */
NODISCARD int cel_civil_duration(struct str text, int64_t *ret_ns);

/* Reads a fixed zone: "UTC", "Z", "+02:00", "-09:30", "02:00"; seconds east
 * of UTC. -EINVAL if it is none. */
NODISCARD int cel_civil_offset(struct str zone, int32_t *ret_seconds);
