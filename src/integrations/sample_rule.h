/*
 * Which samples become events: "NAME{MATCHERS} OP NUMBER". NAME may end in *;
 * the matchers are those of runbook triggers, separated by commas; without an
 * operator and number every scrape's sample counts. Pure; immutable after
 * parsing, any thread.
 */
#pragma once

#include "model/matcher.h"

#define SAMPLE_RULE_MAX_BYTES 1024
#define SAMPLE_RULE_MATCHERS_MAX 8

enum sample_op {
    SAMPLE_ANY,
    SAMPLE_GT,
    SAMPLE_GE,
    SAMPLE_LT,
    SAMPLE_LE,
    SAMPLE_EQ,
    SAMPLE_NE
};

struct sample_rule {
    struct str text; /* as it was written */
    struct str name; /* without the star */
    bool prefix;     /* there was one */
    struct matcher matchers[SAMPLE_RULE_MATCHERS_MAX];
    uint32_t matcher_count;
    enum sample_op op;
    double threshold;
};

/* Texts go into the arena. 0 or -EINVAL. */
NODISCARD int sample_rule_parse(struct str text, struct arena *a,
                                struct sample_rule *ret, struct err *reterr);
void sample_rule_deinit(struct sample_rule *r);

/* Is it about such a sample? */
bool sample_rule_covers(const struct sample_rule *r, struct str name,
                        const struct labels *labels);

/* And is its value one to tell of? Never for what is not a finite number. */
bool sample_rule_holds(const struct sample_rule *r, double value);
