/*
 * The conditions of one trigger but for its `when`, each by itself. Private to
 * explain. Pure; any thread.
 */
#pragma once

#include "explain/explain.h"

struct near {
    uint32_t failed;
    uint32_t met;
    bool undecided; /* and nothing failed */
};

/* How near the event is. Patterns are tried when nothing else has failed, and
 * else while there are some left of *patterns. */
struct near conditions_count(const struct trigger *t, const struct event *e,
                             int *patterns);

/* All of them, with their texts in the arena; how many. */
uint32_t conditions_list(const struct trigger *t, const struct event *e,
                         struct arena *a, struct explain_condition **ret);
