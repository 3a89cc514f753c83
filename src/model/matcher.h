/*
 * Alertmanager label matchers (name op value; = != =~ !~) in both of its
 * grammars, and the anchored regular expressions they and parameters use.
 * PCRE2 with match and depth limits, so hostile patterns stop. A missing
 * label equals the empty string. Pure; a loaded matcher may be used by any
 * thread.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "model/labels.h"

enum matcher_op { MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE };

struct pattern;

struct matcher {
    struct str name;
    struct str value;
    enum matcher_op op;
    struct pattern *pattern; /* for MATCH_RE and MATCH_NRE, owned */
};

/* Parses one matcher ("instance=~\"web-.+\""); text is copied into the arena.
 * The pattern, if any, is freed with matcher_deinit. On error *reterr has the
 * column (1-based) inside text. */
NODISCARD int matcher_parse(struct str text, struct arena *a,
                            struct matcher *ret, struct err *reterr);
void matcher_deinit(struct matcher *m);

/* 1 matches, 0 does not, -E2BIG: the regex ran into its limit. */
NODISCARD int matcher_holds(const struct matcher *m, const struct labels *l);

/* Compiles ^(?:text)$ over bytes, no multiline, UTF-8. */
#define PATTERN_MAX_BYTES 256
NODISCARD int pattern_compile(struct str text, struct pattern **ret,
                              struct err *reterr);
void pattern_free(struct pattern *p);

/* 1, 0, or -E2BIG as above. */
NODISCARD int pattern_matches(const struct pattern *p, struct str subject);
