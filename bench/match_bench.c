/*
 * What matching one event costs with COUNT runbooks loaded: nanoseconds, the
 * median of several rounds. Each runbook waits for an alert name of its own;
 * every second one also has a regex matcher. Of the events, one in ten starts
 * a runbook.
 *
 *   match_bench COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "match/generation.h"
#include "model/runbook_load.h"

#define ROUNDS 9
#define EVENTS 2000

static const struct match_input input = {.now_ms = 1};

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct runbook *make_runbook(long i)
{
    char path[64];
    char text[512];
    (void)snprintf(path, sizeof(path), "bench/runbook-%05ld.yaml", i);
    (void)snprintf(
        text, sizeof(text),
        "name: Runbook %ld\n"
        "triggers:\n"
        "  - type: alert\n"
        "    labels: {alertname: Alert%ld}\n"
        "%s"
        "steps:\n"
        "  - {name: nothing, action: exec, argv: [/bin/true]}\n",
        i, i, i % 2 == 0 ? "    matchers: ['instance=~\"web-.+\"']\n" : "");
    struct runbook *rb = NULL;
    struct runbook_report report = {0};
    if (runbook_load(str_c(path), str_c(text), &RUNBOOK_DEFAULTS, &rb,
                     &report) < 0) {
        (void)fprintf(stderr, "match_bench: %s\n",
                      report.problems.at[0].err.message);
        exit(1);
    }
    runbook_report_deinit(&report);
    return rb;
}

static struct generation *make_generation(long count)
{
    struct generation_file *files =
        mem_alloc((size_t)count, sizeof(struct generation_file));
    for (long i = 0; i < count; i++) {
        files[i].runbook = make_runbook(i);
        files[i].path = files[i].runbook->path;
        files[i].state = FILE_LOADED;
    }
    struct generation *g =
        generation_new(files, (uint32_t)count, STR_NULL, 1, 0);
    mem_free(files);
    return g;
}

static double one_round(const struct generation *g, long count)
{
    size_t found = 0;
    double start = now_ns();
    for (long i = 0; i < EVENTS; i++) {
        char name[32];
        int n = i % 10 == 0
                    ? snprintf(name, sizeof(name), "Alert%ld", i % count)
                    : snprintf(name, sizeof(name), "Nobody%ld", i);
        struct label labels[] = {
            {STR("alertname"), str_n(name, (size_t)n)},
            {STR("instance"), STR("web-1:9100")},
            {STR("job"), STR("node")},
            {STR("severity"), STR("critical")},
        };
        struct event e = {.type = STR("alert"),
                          .severity = STR("critical"),
                          .source = STR("alertmanager"),
                          .state = EVENT_FIRING,
                          .labels = {labels, 4}};
        struct matches matches = {0};
        generation_match(g, &e, &input, &matches);
        found += matches.found.count;
        matches_deinit(&matches);
    }
    double took = now_ns() - start;
    if (found != EVENTS / 10) {
        (void)fprintf(stderr, "match_bench: %zu matches\n", found);
        exit(1);
    }
    return took / EVENTS;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    if (count <= 0) {
        (void)fprintf(stderr, "Usage: match_bench COUNT\n");
        return 2;
    }
    struct generation *g = make_generation(count);
    double rounds[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        rounds[i] = one_round(g, count);
    }
    qsort(rounds, ROUNDS, sizeof(rounds[0]), by_value);
    (void)printf("%.0f\n", rounds[ROUNDS / 2]);
    generation_unref(g);
    return 0;
}
