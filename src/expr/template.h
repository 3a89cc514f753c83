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

/* Longest path, in its normal form. */
#define TEMPLATE_PATH_MAX_BYTES 512

/*
 * The normal form of a path loses nothing: a segment that is an identifier
 * ([A-Za-z_][A-Za-z0-9_]*) stands bare behind a dot, every other one as
 * ["segment"]. So event["labels"]["instance"] becomes event.labels.instance,
 * and event.labels["a.b"] stays what it is. A quoted segment holds any UTF-8
 * but quotes, backslashes and control characters; there are no escapes.
 */
struct template_part {
    bool is_path;
    struct str text; /* literal text, or the path in normal form */
    uint32_t offset; /* of the part in the source text, for messages */
};

struct template
{
    struct template_part *parts;
    uint32_t count;
};

/* True if the text holds at least one "${{". */
bool template_is_dynamic(struct str text);

/* Parses text into the arena. Errors (unclosed, empty path, bad character)
 * carry the 1-based column inside text. */
NODISCARD int template_parse(struct str text, struct arena *a,
                             struct template *ret, struct err *reterr);

/* Takes the first segment off a path in normal form: *path becomes what is
 * left of it. False when nothing was left. */
NODISCARD bool template_path_next(struct str *path, struct str *ret_segment);

/* Gives the text of a path, in the arena: 0, or a negative errno which ends
 * the fill. */
typedef int template_lookup_fn(void *context, struct str path, struct arena *a,
                               struct str *ret);

/* Where the values of paths come from. */
struct template_source {
    template_lookup_fn *lookup;
    void *context;
};

/* Concatenates the parts. Returns 0, the look-up's error with the path named
 * in reterr->field, or -E2BIG past limit_bytes. */
NODISCARD int template_fill(const struct template *t,
                            const struct template_source *from,
                            size_t limit_bytes, struct arena *a,
                            struct str *ret, struct err *reterr);
