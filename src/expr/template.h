/*
 * ${{ cel }} templates: taken apart once, when a runbook is loaded, into
 * constant text and expressions; filled in a single pass. What an expression
 * gives is data: it is never scanned again. A plain path (event.labels.unit,
 * parameters["service"]) is told from other expressions, because a path to
 * what is absent or empty means "no value" and not an error.
 *
 * Parsing needs no environment, compiling does. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "expr/cel.h"

/* Longest path, in its normal form. */
#define TEMPLATE_PATH_MAX_BYTES 512

enum template_kind {
    TEMPLATE_TEXT, /* constant */
    TEMPLATE_PATH, /* ${{ a.b["c"] }} */
    TEMPLATE_EXPR  /* any other expression */
};

/*
 * The normal form of a path loses nothing: a segment that is an identifier
 * ([A-Za-z_][A-Za-z0-9_]*) stands bare behind a dot, every other one as
 * ["segment"]. So event["labels"]["instance"] becomes event.labels.instance,
 * and event.labels["a.b"] stays what it is. A quoted segment of a path holds
 * any UTF-8 but quotes, backslashes and control characters.
 */
struct template_part {
    enum template_kind kind;
    struct str text;   /* constant text, or the path in normal form */
    struct str expr;   /* what stands inside, as it is written */
    struct str source; /* the same with ${{ and }} */
    uint32_t offset;   /* of the part in the source text, for messages */
    uint32_t inside;   /* of expr */
    const struct cel_program *program; /* NULL: whoever fills knows paths */
};

struct template
{
    struct template_part *parts;
    uint32_t count;
};

/* True if the text holds at least one "${{". */
bool template_is_dynamic(struct str text);

/* Takes text apart, in the arena. -EBADMSG (not closed, empty, no token of
 * the language) with the issue set, at its place in text. */
NODISCARD int template_parse(struct str text, struct arena *a,
                             struct template *ret, struct cel_issue *issue);

/* Compiles one path or expression of the template of this text, as
 * cel_program_new; the issue's place is in text. */
NODISCARD int template_compile(struct template_part *part,
                               const struct cel_env *env, struct str text,
                               struct arena *a, struct cel_issue *issue);

/* Moves an issue of the part's expression to its place in text. */
void template_issue_move(struct cel_issue *issue,
                         const struct template_part *part, struct str text);

/* The one part of a template that is nothing but ${{ }}, or NULL: its value
 * keeps its type. */
const struct template_part *template_single(const struct template *t);

/* Takes the first segment off a path in normal form: *path becomes what is
 * left of it. False when nothing was left. */
NODISCARD bool template_path_next(struct str *path, struct str *ret_segment);

/* Evaluates a compiled part: 0, -ENODATA with what is wrong, or -ENOENT: it
 * gives optional.none() or null, which is no value. What is inside an optional
 * is taken out. */
NODISCARD int template_eval(const struct template_part *part,
                            const struct cel_input *input,
                            struct cel_budget *budget, struct arena *a,
                            struct cel_value *ret, struct err *reterr);

/* Can a value of this kind stand in text? Of dyn only the evaluation knows. */
bool template_kind_fits(enum cel_kind kind);

/* A value as text, in the arena: a string as it is, a number with the fewest
 * digits, a duration in seconds, an instant in RFC 3339. -EINVAL for what is
 * not one value (a list, a map) or has no one text (bytes). */
NODISCARD int template_value_text(struct cel_value v, struct arena *a,
                                  struct str *ret, struct err *reterr);

/* Gives the text of a path or expression, in the arena: 0, or a negative
 * errno, which ends the fill. */
typedef int template_text_fn(void *context, const struct template_part *part,
                             struct arena *a, struct str *ret,
                             struct err *reterr);

/* Where the texts of paths and expressions come from. */
struct template_source {
    template_text_fn *text;
    void *context;
};

/* Concatenates the parts. Returns 0, the source's error with the path or
 * expression named in reterr->field, or -E2BIG past limit_bytes. */
NODISCARD int template_fill(const struct template *t,
                            const struct template_source *from,
                            size_t limit_bytes, struct arena *a,
                            struct str *ret, struct err *reterr);
