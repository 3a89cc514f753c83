#include "sim/swarm.h"

#include <inttypes.h>

#define STORY_MS 60000
#define RUNBOOKS_MAX 4
#define STEPS_MAX 3

struct swarm {
    struct prng prng;
    struct strbuf *out;
    uint32_t runbooks;
    uint32_t steps; /* made so far: their names are unique */
    uint32_t names;
    bool limited; /* triggers have limits */
    bool watching;
};

static uint32_t roll(struct swarm *s, uint32_t sides)
{
    return (uint32_t)prng_below(&s->prng, sides);
}

static bool coin(struct swarm *s)
{
    return roll(s, 2) == 0;
}

/* ---- runbooks
 * ----------------------------------------------------------------- */

/* What takes it back, and what comes before and after, in some worlds. */
static void write_rollback(struct swarm *s)
{
    if (roll(s, 4) == 0) {
        strbuf_addf(s->out,
                    "        rollback: {name: step%u, command: run, timeout: "
                    "%us, idempotent: %s}\n",
                    s->steps, 2 + roll(s, 20), coin(s) ? "true" : "false");
        s->steps++;
    }
}

static void write_step(struct swarm *s)
{
    strbuf_addf(s->out,
                "      - name: step%u\n"
                "        action: exec\n"
                "        command: run\n"
                "        timeout: %us\n",
                s->steps++, 2 + roll(s, 20));
    if (coin(s)) {
        strbuf_addf(s->out,
                    "        retry: {attempts: %u, backoff: %us, "
                    "max_backoff: %us}\n",
                    1 + roll(s, 4), roll(s, 3), 3 + roll(s, 10));
    }
    if (coin(s)) {
        strbuf_addc(s->out, "        idempotent: true\n");
    }
    if (roll(s, 4) == 0) {
        strbuf_addc(s->out, "        continue_on_error: true\n");
    }
}

static void write_section(struct swarm *s, const char *section)
{
    if (roll(s, 4) == 0) {
        strbuf_addf(s->out, "    %s:\n", section);
        for (uint32_t i = 1 + roll(s, 2); i > 0; i--) {
            write_step(s);
        }
    }
}

/* A runbook keeps its windows over reloads: a longer one could not look back
 * further than the shorter one before it. */
static void write_limit(struct swarm *s, uint32_t number)
{
    if (s->watching) {
        strbuf_addf(s->out, "        on_resolve: %s\n",
                    number % 2 == 0 ? "cancel" : "let_finish");
        strbuf_addf(s->out, "        for: %us\n", 1 + number);
        if (coin(s)) {
            strbuf_addf(s->out,
                        "        flapping: {changes: %u, within: %us}\n",
                        2 + roll(s, 3), 5 + number);
        }
    }
    if (!s->limited) {
        return;
    }
    strbuf_addf(s->out,
                "        dedup: [labels.instance]\n"
                "        max_runs: {limit: %u, within: %us}\n",
                1 + roll(s, 3), 10 + 10 * number);
    if (number % 2 == 1) {
        strbuf_addf(s->out, "        cooldown: %us\n", 2 + number);
    }
}

static void write_count(struct swarm *s, uint32_t number)
{
    if (s->limited) {
        strbuf_addf(s->out,
                    "        id: all\n"
                    "        cooldown: %us\n"
                    "        count: {at_least: %u, within: %us}\n",
                    1 + number, 2 + roll(s, 2), 20 + number);
    }
}

static void write_runbook(struct swarm *s, uint32_t number)
{
    strbuf_addf(s->out, "    name: Runbook %u\n", number);
    if (coin(s)) {
        strbuf_addf(s->out, "    concurrency: %u\n", 1 + roll(s, 2));
    }
    if (roll(s, 3) == 0) {
        strbuf_addf(s->out, "    timeout: %us\n", 3 + roll(s, 30));
    }
    strbuf_addf(s->out,
                "    triggers:\n"
                "      - type: alert\n"
                "        labels: {alertname: A%u}\n",
                number);
    write_limit(s, number);
    strbuf_addc(s->out, "      - type: alert\n"
                        "        labels: {alertname: All}\n");
    write_count(s, number);
    strbuf_addc(s->out, "    steps:\n");
    uint32_t steps = 1 + roll(s, STEPS_MAX);
    for (uint32_t i = 0; i < steps; i++) {
        write_step(s);
        write_rollback(s);
    }
    write_section(s, "diagnose");
    if (roll(s, 4) == 0) {
        strbuf_addf(s->out,
                    "    verify: {name: step%u, command: run, timeout: 5s, "
                    "within: %us, hold: %us, interval: %us}\n",
                    s->steps, 5 + roll(s, 20), 3 + roll(s, 5), 1 + roll(s, 3));
        s->steps++;
    }
    write_section(s, "on_failure");
    write_section(s, "finally");
}

static void write_script(struct swarm *s, uint32_t step, uint32_t attempt)
{
    strbuf_addf(s->out, "step step%u", step);
    if (attempt != 0) {
        strbuf_addf(s->out, " try %u", attempt);
    }
    strbuf_addf(s->out, " after %ums", 1 + roll(s, 6000));
    switch (roll(s, 8)) {
    case 0:
        strbuf_addc(s->out, " exits 3");
        break;
    case 1:
        strbuf_addc(s->out, " dies 9");
        break;
    case 2:
        strbuf_addc(s->out, " hangs");
        break;
    case 3:
        strbuf_addc(s->out, " hangs ignores TERM");
        break;
    case 4:
        strbuf_addc(s->out, " refused");
        break;
    default:
        strbuf_addc(s->out, " exits 0");
        break;
    }
    strbuf_addch(s->out, '\n');
}

/* ---- the story
 * ------------------------------------------------------------------ */

static void at(struct swarm *s, const char *what)
{
    strbuf_addf(s->out, "at %ums %s", roll(s, STORY_MS), what);
}

static void write_event(struct swarm *s)
{
    at(s, "event");
    uint32_t kind = roll(s, s->runbooks + 1);
    strbuf_addf(s->out, " n%u alertname=", s->names++);
    if (kind == s->runbooks) {
        strbuf_addc(s->out, "All");
    } else {
        strbuf_addf(s->out, "A%u", kind);
    }
    if (roll(s, 8) != 0) {
        strbuf_addf(s->out, " instance=i%u", roll(s, 2));
    }
    strbuf_addf(s->out, " priority=%u", roll(s, 10));
    if (s->watching && roll(s, 3) == 0) {
        strbuf_addc(s->out, " state=resolved");
    }
    if (roll(s, 4) == 0) {
        strbuf_addf(s->out, " dedup=d%u", roll(s, 3));
    }
    strbuf_addch(s->out, '\n');
}

static void write_stop(struct swarm *s)
{
    at(s, coin(s) ? "cancel" : "kill");
    strbuf_addf(s->out, " n%u\n", roll(s, s->names));
}

static void write_pair(struct swarm *s, const char *first, const char *second)
{
    uint32_t from = roll(s, STORY_MS / 2);
    strbuf_addf(s->out, "at %ums %s\nat %ums %s\n", from, first,
                from + 1 + roll(s, STORY_MS / 4), second);
}

static void write_reload(struct swarm *s)
{
    uint32_t number = roll(s, s->runbooks);
    at(s, "load");
    strbuf_addf(s->out, " r%u.yaml\n", number);
    write_runbook(s, number);
}

static void write_limits(struct swarm *s, const char *start)
{
    strbuf_addc(s->out, start);
    strbuf_addf(s->out,
                " workers=%u batch=%u concurrent=%u live=%u timeout=%us "
                "margin=%us grace=%us held=%um\n",
                1 + roll(s, 4), 1 + roll(s, 5), 1 + roll(s, 5),
                coin(s) ? 1000 : 1 + roll(s, 6), 10 + roll(s, 60),
                5 + roll(s, 20), 1 + roll(s, 5), 1 + roll(s, 10));
}

static void write_story(struct swarm *s)
{
    uint32_t events = 1 + roll(s, s->limited ? 40 : 15);
    for (uint32_t i = 0; i < events; i++) {
        write_event(s);
    }
    for (uint32_t i = coin(s) ? roll(s, 4) : 0; i > 0; i--) {
        at(s, "run");
        strbuf_addf(s->out, " n%u r%u.yaml%s\n", s->names++,
                    roll(s, s->runbooks), roll(s, 4) == 0 ? " dry" : "");
    }
    for (uint32_t i = coin(s) ? roll(s, 5) : 0; i > 0; i--) {
        write_stop(s);
    }
    for (uint32_t i = coin(s) ? roll(s, 3) : 0; i > 0; i--) {
        write_reload(s);
    }
    for (uint32_t i = coin(s) ? roll(s, 3) : 0; i > 0; i--) {
        char line[32];
        (void)snprintf(line, sizeof(line), "at %us limits",
                       roll(s, STORY_MS / 1000));
        write_limits(s, line);
    }
    if (coin(s)) {
        write_pair(s, "executor down", "executor up");
    }
    if (coin(s)) {
        write_pair(s, coin(s) ? "executor lost" : "executor replaced",
                   "crash for 3s");
    }
    if (coin(s)) {
        write_pair(s, "pause", "resume");
    }
    if (coin(s)) {
        write_pair(s, "switch on", "switch off");
    }
    for (uint32_t i = coin(s) ? roll(s, 4) : 0; i > 0; i--) {
        at(s, "sweep");
        strbuf_addf(s->out, " %us\n", 1 + roll(s, 20));
    }
    for (uint32_t i = coin(s) ? roll(s, 3) : 0; i > 0; i--) {
        at(s, coin(s) ? "clock back" : "clock ahead");
        strbuf_addf(s->out, " %us\n", roll(s, 7200));
    }
    if (roll(s, 8) == 0) {
        strbuf_addf(s->out, "matching A%u fails\n", roll(s, s->runbooks));
    }
}

/* ---- faults
 * --------------------------------------------------------------------- */

static uint32_t rarely(struct swarm *s, uint32_t at_most)
{
    return coin(s) ? 0 : roll(s, at_most);
}

static void choose_faults(struct swarm *s, struct faults *ret)
{
    *ret = (struct faults){
        .crash = rarely(s, 1500),
        .store_fails = rarely(s, 1500),
        .store_lies = rarely(s, 1500),
        .disk_full = rarely(s, 3000),
        .disconnect = rarely(s, 3000),
        .executor_lost = rarely(s, 500),
        .repeat_report = rarely(s, 32768),
        .latency_ms = rarely(s, 300),
        .until_ms = 2ULL * STORY_MS,
    };
}

void swarm_world(uint64_t seed, struct strbuf *ret_story,
                 struct faults *ret_faults)
{
    struct swarm s = {.out = ret_story};
    prng_seed(&s.prng, seed);
    s.runbooks = 1 + roll(&s, RUNBOOKS_MAX);
    s.limited = coin(&s);
    s.watching = roll(&s, 3) == 0;
    strbuf_addf(ret_story, "title the world of seed %" PRIu64 "\n", seed);
    write_limits(&s, "limits");
    for (uint32_t i = 0; i < s.runbooks; i++) {
        strbuf_addf(ret_story, "runbook r%u.yaml\n", i);
        write_runbook(&s, i);
    }
    write_story(&s);
    for (uint32_t i = 0; i < s.steps; i++) {
        write_script(&s, i, 0);
        write_script(&s, i, 1 + roll(&s, 3));
    }
    choose_faults(&s, ret_faults);
}
