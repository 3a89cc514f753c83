/*
 * Reading what a /metrics page says: Prometheus' text format 0.0.4 and
 * OpenMetrics 1.0. One wrong line fails the whole page, as it does in
 * Prometheus: a page that is cut or garbled says nothing that one could rely
 * on. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "model/labels.h"

/* Limits, each with a test. */
#define EXPOSITION_MAX_BYTES (10UL * 1024 * 1024)
#define EXPOSITION_SAMPLES_MAX 100000U
#define EXPOSITION_FAMILIES_MAX 20000U
#define EXPOSITION_LABELS_MAX 64U
#define EXPOSITION_NAME_MAX_BYTES 512U
#define EXPOSITION_VALUE_MAX_BYTES 4096U /* of a label, as it is written */
#define EXPOSITION_EXEMPLAR_MAX_CHARS 128U

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS };

/* By the Content-Type of the answer; anything unknown is the text format. */
enum exposition_format exposition_format_of(const char *content_type);

struct exposition_sample {
    struct str name;
    struct labels labels; /* sorted by name; without the metric's name */
    double value;         /* may be infinite, or not a number */
    bool has_time;
    int64_t time_ms; /* since the epoch */
};

/* Called for each sample, whose texts are gone when it returns; anything but 0
 * ends the reading with that result. Samples are only good when the reading
 * has ended with 0. */
typedef int exposition_fn(void *context, const struct exposition_sample *s);

/* 0; -EBADMSG with the place of what is wrong; -E2BIG, a limit; or what fn
 * said. */
NODISCARD int exposition_read(struct str text, enum exposition_format format,
                              exposition_fn *fn, void *context,
                              struct err *reterr);

/* A number as both formats write it: decimal, NaN, Inf. 0 or -EINVAL. */
NODISCARD int exposition_number(struct str text, double *ret);
