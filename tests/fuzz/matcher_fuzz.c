/*
 * Any bytes as a matcher: what parses is UTF-8, holds or does not hold on the
 * same text as a label's value, and an equality agrees with its negation.
 */
#include "tests/fuzz/fuzz.h"

#include "base/assert.h"
#include "model/matcher.h"

static void check_matcher(struct matcher *m, struct str text)
{
    struct label label = {m->name, str_slice(text, 0, 64)};
    struct labels with = {&label, 1};
    struct labels without = {NULL, 0};
    ASSERT(m->name.len != 0 && str_is_utf8(m->name) && str_is_utf8(m->value));
    ASSERT((m->pattern != NULL) == (m->op == MATCH_RE || m->op == MATCH_NRE));
    int a = matcher_holds(m, &with);
    int b = matcher_holds(m, &without);
    ASSERT(a <= 1 && b <= 1);
    if (m->op == MATCH_EQ || m->op == MATCH_NE) {
        struct matcher other = *m;
        other.op = m->op == MATCH_EQ ? MATCH_NE : MATCH_EQ;
        ASSERT(matcher_holds(&other, &with) == 1 - a);
        ASSERT(matcher_holds(&other, &without) == 1 - b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct matcher m = {.op = MATCH_EQ};
    struct str text = str_n((const char *)data, size);
    if (matcher_parse(text, &a, &m, &e) == 0) {
        check_matcher(&m, text);
        matcher_deinit(&m);
    } else {
        ASSERT(e.message[0] != '\0');
    }
    arena_deinit(&a);
    return 0;
}
