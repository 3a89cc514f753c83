/*
 * adp-sim: plays scenarios and random worlds. Exit status 0: every invariant
 * held in every world; 1: one did not, and how to see it again is on stderr.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "sim/swarm.h"
#include "sim/world.h"

#define FILE_MAX_BYTES 1048576U
#define PROGRESS_S 2

/* How many boundaries after a crash another one is tried: the recovery and a
 * little more. */
#define SECOND_CRASHES 24

struct options {
    bool exhaustive;
    bool trace;
    bool print;
    bool one_seed;
    uint64_t seeds;
    uint64_t from;
    struct planned plan;
};

struct tally {
    time_t started;
    time_t reported;
    uint64_t worlds;
};

static const char help[] =
    "usage: adp-sim [OPTION]... [FILE.scn]...\n"
    "Plays the real engine and runtime in deterministic worlds and checks\n"
    "their invariants after every happening.\n"
    "\n"
    "  --scenario FILE   play this story (also: any FILE)\n"
    "  --exhaustive      play it again with each fault at each boundary:\n"
    "                    a crash, a second crash soon after, a broken\n"
    "                    connection, the loss of the executor\n"
    "  --crash-at N      play it once, with a crash at boundary N\n"
    "  --again K         and another one K boundaries later\n"
    "  --disconnect-at N, --lose-at N\n"
    "                    the same for the other faults\n"
    "  --seeds N         play N random worlds\n"
    "  --from S          the first of them (default 1)\n"
    "  --seed S          play the random world of this seed\n"
    "  --print           write the story of --seed S and play nothing\n"
    "  --trace           say what happens\n"
    "  --help            this text\n";

/* ---- one world
 * ------------------------------------------------------------------ */

static uint64_t play(const struct scenario *s, uint64_t seed,
                     const struct faults *faults, const struct planned *plan,
                     const struct options *o)
{
    struct world *w = world_new(s, seed, faults, plan);
    w->trace = o->trace;
    world_play(w);
    uint64_t boundaries = w->boundary;
    world_free(w);
    return boundaries;
}

/* A run that takes long says how far it is, now and then. */
static void progress(struct tally *t, const char *what, uint64_t number)
{
    time_t now = time(NULL);
    t->worlds++;
    if (now - t->started >= PROGRESS_S && now - t->reported >= PROGRESS_S) {
        t->reported = now;
        (void)fprintf(stderr, "adp-sim: %s %" PRIu64 ", %" PRIu64 " worlds\n",
                      what, number, t->worlds);
    }
}

/* ---- scenarios
 * ------------------------------------------------------------------- */

static int read_file(const char *path, struct strbuf *out)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return -errno;
    }
    char block[4096];
    size_t n = 0;
    while ((n = fread(block, 1, sizeof(block), f)) > 0) {
        strbuf_add(out, str_n(block, n));
    }
    int r = ferror(f) ? -EIO : strbuf_error(out);
    (void)fclose(f);
    return r;
}

static int load_scenario(const char *path, struct scenario **ret)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(FILE_MAX_BYTES);
    struct err err = ERR_INIT;
    int r = read_file(path, &text);
    if (r < 0) {
        (void)fprintf(stderr, "adp-sim: %s: %s\n", path, strerror(-r));
        return r;
    }
    r = scenario_read(strbuf_str(&text), str_c(path), ret, &err);
    if (r < 0) {
        (void)fprintf(stderr, "adp-sim: %s:%u: %s\n", path, err.at.line,
                      err.message);
    }
    return r;
}

/* How to play it again: the options of main. */
static void set_label(const char *path, const struct planned *plan)
{
    static const char *const options[] = {
        [PLANNED_NONE] = "",
        [PLANNED_CRASH] = "--crash-at",
        [PLANNED_DISCONNECT] = "--disconnect-at",
        [PLANNED_LOSS] = "--lose-at",
    };
    char label[200];
    int n = snprintf(label, sizeof(label), "--scenario %s", path);
    size_t at = MIN((size_t)n, sizeof(label) - 1);
    if (plan->kind != PLANNED_NONE) {
        (void)snprintf(label + at, sizeof(label) - at,
                       " %s %" PRIu64 " --again %" PRIu64, options[plan->kind],
                       plan->at, plan->again);
    }
    world_set_label(label);
}

static uint64_t play_once(const struct scenario *s, const char *path,
                          const struct planned *plan, const struct options *o,
                          struct tally *t)
{
    struct faults none = {0};
    set_label(path, plan);
    uint64_t boundaries = play(s, 1, &none, plan, o);
    progress(t, path, plan->at);
    return boundaries;
}

/* The calm world tells how many boundaries there are; one with a fault at one
 * of them is the same up to there. */
static void play_all(const struct scenario *s, const char *path,
                     const struct options *o, struct tally *t)
{
    struct planned calm = {.kind = PLANNED_NONE};
    uint64_t boundaries = play_once(s, path, &calm, o, t);
    for (uint64_t i = 0; i < boundaries; i++) {
        struct planned plan = {.at = i};
        for (plan.kind = PLANNED_CRASH; plan.kind <= PLANNED_LOSS;
             plan.kind++) {
            (void)play_once(s, path, &plan, o, t);
        }
        plan.kind = PLANNED_CRASH;
        for (plan.again = 1; plan.again <= SECOND_CRASHES; plan.again++) {
            (void)play_once(s, path, &plan, o, t);
        }
    }
}

static int play_file(const char *path, const struct options *o, struct tally *t)
{
    struct scenario *s = NULL;
    int r = load_scenario(path, &s);
    if (r < 0) {
        return r;
    }
    if (o->exhaustive) {
        play_all(s, path, o, t);
    } else {
        (void)play_once(s, path, &o->plan, o, t);
    }
    scenario_free(s);
    return 0;
}

/* ---- random worlds
 * ---------------------------------------------------------------- */

static int play_seed(uint64_t seed, const struct options *o)
{
    CLEANUP(strbuf_deinit) struct strbuf story = STRBUF_INIT(FILE_MAX_BYTES);
    struct faults faults;
    struct scenario *s = NULL;
    struct err err = ERR_INIT;
    char label[64];
    (void)snprintf(label, sizeof(label), "--seed %" PRIu64, seed);
    world_set_label(label);
    swarm_world(seed, &story, &faults);
    if (o->print) {
        (void)fwrite(story.at, 1, story.len, stdout);
        return 0;
    }
    int r = scenario_read(strbuf_str(&story), str_c(label), &s, &err);
    if (r < 0) {
        (void)fprintf(stderr, "adp-sim: %s: line %u: %s\n", label, err.at.line,
                      err.message);
        return r;
    }
    (void)play(s, seed, &faults, &o->plan, o);
    scenario_free(s);
    return 0;
}

static int play_seeds(const struct options *o, struct tally *t)
{
    for (uint64_t i = 0; i < o->seeds; i++) {
        int r = play_seed(o->from + i, o);
        if (r < 0) {
            return r;
        }
        progress(t, "seed", o->from + i);
    }
    return 0;
}

/* ---- command line
 * ------------------------------------------------------------------ */

enum option_code {
    OPT_SCENARIO = 256,
    OPT_EXHAUSTIVE,
    OPT_CRASH_AT,
    OPT_AGAIN,
    OPT_DISCONNECT_AT,
    OPT_LOSE_AT,
    OPT_SEEDS,
    OPT_FROM,
    OPT_SEED,
    OPT_PRINT,
    OPT_TRACE,
    OPT_HELP,
};

static const struct option long_options[] = {
    {"scenario", required_argument, NULL, OPT_SCENARIO},
    {"exhaustive", no_argument, NULL, OPT_EXHAUSTIVE},
    {"crash-at", required_argument, NULL, OPT_CRASH_AT},
    {"again", required_argument, NULL, OPT_AGAIN},
    {"disconnect-at", required_argument, NULL, OPT_DISCONNECT_AT},
    {"lose-at", required_argument, NULL, OPT_LOSE_AT},
    {"seeds", required_argument, NULL, OPT_SEEDS},
    {"from", required_argument, NULL, OPT_FROM},
    {"seed", required_argument, NULL, OPT_SEED},
    {"print", no_argument, NULL, OPT_PRINT},
    {"trace", no_argument, NULL, OPT_TRACE},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int take_number(const char *text, uint64_t *ret)
{
    int r = str_to_u64(str_c(text), 0, UINT64_MAX - 1, ret);
    if (r < 0) {
        (void)fprintf(stderr, "adp-sim: not a number: %s\n", text);
    }
    return r;
}

/* The number of an option that has one. */
static uint64_t *number_of(struct options *o, int code)
{
    switch (code) {
    case OPT_CRASH_AT:
        o->plan.kind = PLANNED_CRASH;
        return &o->plan.at;
    case OPT_AGAIN:
        return &o->plan.again;
    case OPT_DISCONNECT_AT:
        o->plan.kind = PLANNED_DISCONNECT;
        return &o->plan.at;
    case OPT_LOSE_AT:
        o->plan.kind = PLANNED_LOSS;
        return &o->plan.at;
    case OPT_SEEDS:
        return &o->seeds;
    case OPT_FROM:
        return &o->from;
    case OPT_SEED:
        o->one_seed = true;
        o->seeds = 1;
        return &o->from;
    default:
        return NULL;
    }
}

struct paths {
    VEC(const char *) list;
};

/* 0, -EINVAL, or 1: there is nothing more to do. */
static int take_options(int argc, char **argv, struct options *o,
                        struct paths *paths)
{
    int code = 0;
    while ((code = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        uint64_t *number = number_of(o, code);
        if (number != NULL) {
            if (take_number(optarg, number) < 0) {
                return -EINVAL;
            }
        } else if (code == OPT_SCENARIO) {
            VEC_PUSH(&paths->list, optarg);
        } else if (code == OPT_EXHAUSTIVE) {
            o->exhaustive = true;
        } else if (code == OPT_PRINT) {
            o->print = true;
        } else if (code == OPT_TRACE) {
            o->trace = true;
        } else if (code == OPT_HELP) {
            (void)fputs(help, stdout);
            return 1;
        } else {
            return -EINVAL;
        }
    }
    for (int i = optind; i < argc; i++) {
        VEC_PUSH(&paths->list, argv[i]);
    }
    return paths->list.count != 0 || o->seeds != 0 ? 0 : -EINVAL;
}

static int play_everything(const struct options *o, const struct paths *paths)
{
    struct tally tally = {.started = time(NULL)};
    VEC_EACH (&paths->list, i) {
        if (play_file(paths->list.at[i], o, &tally) < 0) {
            return 2;
        }
    }
    if (play_seeds(o, &tally) < 0) {
        return 2;
    }
    if (!o->print) {
        (void)printf("%" PRIu64 " worlds, all invariants held\n", tally.worlds);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.from = 1};
    struct paths paths = {{0}};
    int status = 2;
    int r = take_options(argc, argv, &o, &paths);
    if (r == 0) {
        status = play_everything(&o, &paths);
    } else if (r > 0) {
        status = 0;
    } else {
        (void)fputs(help, stderr);
    }
    VEC_DEINIT(&paths.list);
    return status;
}
