/*
 * Inside of the exposition reader: the page, the line that is being read, and
 * the family that it belongs to (OpenMetrics only).
 */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "wire/exposition.h"

enum family_type {
    FAMILY_UNKNOWN,
    FAMILY_GAUGE,
    FAMILY_COUNTER,
    FAMILY_STATESET,
    FAMILY_INFO,
    FAMILY_HISTOGRAM,
    FAMILY_GAUGEHISTOGRAM,
    FAMILY_SUMMARY,
    FAMILY_TYPES
};

struct exposition {
    enum exposition_format format;
    exposition_fn *fn;
    void *context;
    struct err *err;
    struct str line;
    size_t at;          /* in the line */
    uint32_t line_no;   /* from 1 */
    uint32_t samples;   /* so far */
    struct arena arena; /* of the line */
    /* OpenMetrics */
    struct arena names; /* of families */
    struct map families;
    struct str family; /* the present one; "" before the first */
    enum family_type type;
    bool has_samples;
    unsigned told; /* bit per kind of metadata line */
};

/* Says what is wrong at the present place; -EBADMSG. */
int exposition_fail(struct exposition *x, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

/* A name at the present place; "" if there is none. Colons where allowed. */
struct str exposition_name(struct exposition *x, bool colons);

/* OpenMetrics: a metadata line about this family, and a sample of this name
 * (with its labels and value) that goes to the present family or begins one. */
NODISCARD int family_metadata(struct exposition *x, struct str name,
                              unsigned kind);
NODISCARD int family_set_type(struct exposition *x, struct str word);
NODISCARD int family_check_unit(struct exposition *x, struct str unit);
NODISCARD int family_sample(struct exposition *x,
                            const struct exposition_sample *s);

/* May a sample of this name have an exemplar? */
bool family_has_exemplars(const struct exposition *x, struct str name);
