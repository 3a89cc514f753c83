/*
 * Durations as people write them, in the form of Prometheus: "1h30m",
 * "250ms", "5m", with the units y w d h m s ms, largest first, each at most
 * once; a bare number is seconds ("300"). A year has 365 days. Kept in
 * milliseconds. Pure; any thread.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/* 292 years: what Prometheus allows, and far from any overflow. */
#define DURATION_MAX_MS 9223372036854ULL

#define DURATION_TEXT_SIZE 32

/* Reads a duration: 0, -EINVAL (not one) or -ERANGE (over the maximum). */
NODISCARD int duration_parse(struct str text, uint64_t *ret_ms);

/* "1d2h3m4s5ms" without the parts that are 0; "0s" for nothing. Reads back
 * the same with duration_parse. ms <= DURATION_MAX_MS. */
void duration_format(uint64_t ms, char out[DURATION_TEXT_SIZE]);
