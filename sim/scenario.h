/*
 * A scenario: a story in virtual time, read from a .scn file or made up by
 * swarm.c. sim/README.md has the words of its language. Strings live in the
 * scenario's arena; runbook versions are parsed once and shared by all the
 * worlds that play it.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "engine/engine.h"

/* One version of a runbook file; the first of its path is there from the
 * beginning unless `later`. */
struct scn_version {
    struct str path;
    struct runbook *runbook;
    bool later;
};

enum script_end { SCRIPT_EXITS, SCRIPT_DIES, SCRIPT_HANGS, SCRIPT_REFUSED };

/* How a step behaves when it is really run. */
struct scn_script {
    struct str step;
    uint32_t attempt; /* 0: any without a line of its own */
    enum script_end end;
    int32_t number; /* exit status or signal */
    uint64_t after_ms;
    bool stubborn; /* ignores TERM */
};

struct scn_verb;

/* Something that happens ("at 3s cancel db"), or must hold at the end of every
 * world ("finally workflow db succeeded", at_ms 0). */
struct scn_line {
    uint32_t number; /* in the file */
    uint64_t at_ms;
    const struct scn_verb *verb;
    struct str *words; /* after the verb */
    uint32_t count;
    uint32_t version; /* "load": which one */
};

struct scenario {
    struct arena arena;
    struct str file; /* for messages */
    struct str title;
    struct engine_config config;
    uint32_t max_attempts; /* of an event */
    VEC(struct scn_version) versions;
    VEC(struct scn_script) scripts;
    VEC(struct str) unmatchable; /* alertnames whose matching always fails */
    VEC(struct scn_line) story;
    VEC(struct scn_line) endings;
};

/* Reads a scenario: 0, or -EINVAL with the line in reterr->at. */
NODISCARD int scenario_read(struct str text, struct str file,
                            struct scenario **ret, struct err *reterr);
void scenario_free(struct scenario *s);

/* The behaviour of an attempt of this step. */
struct scn_script scenario_script(const struct scenario *s, struct str step,
                                  uint32_t attempt);

/* "workers=2 timeout=10m": changes *config. 0 or -EINVAL. */
NODISCARD int scenario_limit(struct str word, struct engine_config *config,
                             uint32_t *max_attempts, struct err *reterr);

/* "key=value" into its halves; false if there is no "=". */
bool scenario_pair(struct str word, struct str *ret_key, struct str *ret_value);
