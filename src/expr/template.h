/*
 * ${{ path }} templates: parsed once at load, filled in a single pass; what a
 * path gives is never scanned again. For now the inside is a path
 * (event.labels.instance, parameters.service, event.labels["a-b"]); full
 * expressions come through this same header. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct template_part {
    bool is_path;
    struct str text; /* literal text, or the normalised dotted path */
    uint32_t offset; /* of the part in the source text, for messages */
};

struct template {
    struct template_part *parts;
    uint32_t count;
};

/* True if the text holds at least one "${{". */
bool template_is_dynamic(struct str text);

/* Parses text into the arena. Errors (unclosed, empty path, bad character)
 * carry the 1-based column inside text. */
NODISCARD int template_parse(struct str text, struct arena *a,
                             struct template *ret, struct err *reterr);

/* Gives the text of a path, in the arena: 0, or a negative errno which ends
 * the fill. */
typedef int template_lookup_fn(void *context, struct str path, struct arena *a,
                               struct str *ret);

/* Concatenates the parts. Returns 0, the look-up's error with the path named
 * in reterr->field, or -E2BIG past limit_bytes. */
NODISCARD int template_fill(const struct template *t,
                            template_lookup_fn *lookup, void *context,
                            size_t limit_bytes, struct arena *a,
                            struct str *ret, struct err *reterr);
