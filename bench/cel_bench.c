/*
 * What evaluating a condition costs once it is compiled: nanoseconds, the
 * median of several rounds, and those of the same condition written in C.
 *
 *   cel_bench
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "expr/cel.h"
#include "model/labels.h"

#define ROUNDS 15
#define RUNS 200000

static const char condition[] =
    "event.labels.severity == \"critical\" && event.value > 90.0";

struct sample {
    struct labels labels;
    double value;
    struct cel_map labels_map;
    struct cel_map map;
};

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* How a host shows what it has without building maps. */

static bool labels_map_get(const struct cel_map *m, struct cel_value key,
                           uint32_t hint, struct cel_value *ret)
{
    (void)hint;
    if (key.kind != CEL_STRING) {
        return false;
    }
    const struct label *l = labels_find(m->host, cel_text(key));
    if (l == NULL) {
        return false;
    }
    *ret = cel_string(l->value);
    return true;
}

static bool sample_get(const struct cel_map *m, struct cel_value key,
                       uint32_t hint, struct cel_value *ret)
{
    const struct sample *s = m->host;
    (void)key;
    if (hint == 0) {
        *ret = cel_map_value(&s->labels_map);
    } else {
        *ret = cel_double(s->value);
    }
    return hint <= 1;
}

static const struct cel_map_ops labels_ops = {.get = labels_map_get};
static const struct cel_map_ops sample_ops = {.get = sample_get};

static struct cel_value variable(void *context, uint32_t index,
                                 struct cel_run *run)
{
    const struct sample *s = context;
    (void)index;
    (void)run;
    return cel_map_value(&s->map);
}

static const struct cel_field fields[] = {
    {.name = "labels", .type = &cel_type_labels},
    {.name = "value", .type = &cel_type_double}};
static const struct cel_type event_type = {.kind = CEL_OBJECT,
                                           .name = {"event", 5},
                                           .fields = fields,
                                           .field_count = 2};
static const struct cel_variable variables[] = {{{"event", 5}, &event_type}};
static const struct cel_env env = {.variables = variables,
                                   .variable_count = 1,
                                   .limits = CEL_LIMITS_DEFAULT,
                                   .result = &cel_type_bool};

/* The condition in C, over the same labels. */
__attribute__((noinline)) static bool by_hand(const struct sample *s)
{
    return str_eq_c(labels_get(&s->labels, STR("severity")), "critical") &&
           s->value > 90.0;
}

static double round_of_cel(const struct cel_program *p, struct sample *s)
{
    struct cel_input input = {.variable = variable, .context = s};
    struct arena a = ARENA_INIT;
    uint32_t held = 0;
    double start = now_ns();
    for (uint32_t i = 0; i < RUNS; i++) {
        s->value = i % 2 == 0 ? 95 : 12;
        struct cel_value v = cel_program_run(p, &input, CEL_BUDGET_DEFAULT, &a);
        held += v.boolean ? 1 : 0;
    }
    double took = now_ns() - start;
    ASSERT(held == RUNS / 2);
    arena_deinit(&a);
    return took / RUNS;
}

static double round_by_hand(struct sample *s)
{
    uint32_t held = 0;
    double start = now_ns();
    for (uint32_t i = 0; i < RUNS; i++) {
        s->value = i % 2 == 0 ? 95 : 12;
        held += by_hand(s) ? 1 : 0;
    }
    double took = now_ns() - start;
    ASSERT(held == RUNS / 2);
    return took / RUNS;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(void)
{
    struct label labels[] = {
        {STR("alertname"), STR("HighCPU")},   {STR("env"), STR("production")},
        {STR("instance"), STR("web-1:9100")}, {STR("job"), STR("node")},
        {STR("severity"), STR("critical")},
    };
    struct sample s = {.labels = {labels, ARRAY_LEN(labels)}};
    struct arena a = ARENA_INIT;
    struct cel_issue issue = CEL_ISSUE_INIT;
    struct cel_program *p = NULL;
    double ours[ROUNDS];
    double bare[ROUNDS];
    s.labels_map = (struct cel_map){.ops = &labels_ops, .host = &s.labels};
    s.map = (struct cel_map){.ops = &sample_ops, .host = &s};
    if (cel_program_new(&env, str_c(condition), &a, &p, &issue) < 0) {
        (void)fprintf(stderr, "cel_bench: %s\n", issue.err.message);
        return 1;
    }
    for (int i = 0; i < ROUNDS; i++) {
        ours[i] = round_of_cel(p, &s);
        bare[i] = round_by_hand(&s);
    }
    qsort(ours, ROUNDS, sizeof(ours[0]), by_value);
    qsort(bare, ROUNDS, sizeof(bare[0]), by_value);
    (void)printf("%.1f %.1f\n", ours[ROUNDS / 2], bare[ROUNDS / 2]);
    arena_deinit(&a);
    return 0;
}
