/*
 * Random worlds. Everything about one follows from its seed: the runbooks, how
 * their steps behave, what happens when, which faults there are and how
 * likely. Each feature is left out of half of the worlds, because bugs hide
 * where two rare things meet without a third one in the way.
 */
#pragma once

#include "base/strbuf.h"
#include "sim/world.h"

/* The story of this seed in the scenario language, and its faults. */
void swarm_world(uint64_t seed, struct strbuf *ret_story,
                 struct faults *ret_faults);
