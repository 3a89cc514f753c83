/*
 * Which steps a runbook has, and where: the sections follow each other in one
 * list, in the order in which the table of keys names them, each rollback
 * behind the steps. What a workflow has pinned must keep its numbers: a section
 * is never put before one that was there already.
 */
#include <string.h>

#include "base/assert.h"
#include "model/runbook_load_priv.h"

#define ROLLBACK_PREFIX "Rollback: "
#define VERIFY_WITHIN_MS 300000
#define VERIFY_INTERVAL_MS 10000

/* Names and ids say in answers and logs which step is meant. */
static void check_unique(struct loader *l, const struct yaml_node *n,
                         uint32_t step_no)
{
    const struct step *s = &l->rb->steps[step_no];
    for (uint32_t i = 0; i < step_no; i++) {
        const struct step *before = &l->rb->steps[i];
        bool same_name = s->name.len != 0 && str_eq(s->name, before->name);
        bool same_id = s->id.len != 0 && str_eq(s->id, before->id);
        if (same_name) {
            (void)loader_error(l, n, "'%.*s' is the step of line %u already",
                               STR_ARG(s->name), (unsigned)before->at.line);
        }
        if (same_id) {
            (void)loader_error(l, n, "'%.*s' is the step of line %u already",
                               STR_ARG(s->id), (unsigned)before->at.line);
        }
        if (same_name || same_id) {
            return;
        }
    }
}

static uint64_t time_of(const struct runbook *rb, enum step_section section)
{
    bool after = section != SECTION_STEPS && section != SECTION_DIAGNOSE;
    return after ? RUNBOOK_SECTION_MS : rb->timeout_ms;
}

static void check_timeout(struct loader *l, const struct step *s)
{
    uint64_t most_ms = time_of(l->rb, s->section);
    if (most_ms == 0 || s->timeout_ms <= most_ms) {
        return;
    }
    size_t mark = loader_enter(l, ".timeout");
    if (s->section == SECTION_STEPS || s->section == SECTION_DIAGNOSE) {
        (void)loader_warning(l, s->at,
                             "the step may take longer than the whole "
                             "runbook: the runbook's timeout ends it");
    } else {
        (void)loader_warning(
            l, s->at, "all of %s has %d s: that may end the step",
            step_section_name(s->section), RUNBOOK_SECTION_MS / 1000);
    }
    loader_leave(l, mark);
}

/* Room for so many more steps; false after reporting that there is none. */
static bool make_room(struct loader *l, const struct yaml_node *n, size_t more)
{
    struct runbook *rb = l->rb;
    size_t count = rb->step_count + more;
    if (count > RUNBOOK_MAX_STEPS) {
        (void)loader_error(l, n,
                           "a runbook has at most %d steps, rollbacks and all "
                           "sections together",
                           RUNBOOK_MAX_STEPS);
        return false;
    }
    struct step *all = ARENA_ARRAY(&rb->arena, count, struct step);
    if (rb->step_count != 0) {
        memcpy(all, rb->steps, rb->step_count * sizeof(*all));
    }
    rb->steps = all;
    return true;
}

static void name_rollback(struct loader *l, struct step *s,
                          const struct step *of)
{
    struct strbuf name = STRBUF_INIT(RUNBOOK_NAME_MAX_BYTES + 16);
    if (s->name.len == 0) {
        strbuf_addc(&name, ROLLBACK_PREFIX);
        strbuf_add(&name, of->name);
        s->name = arena_str(&l->rb->arena, strbuf_str(&name));
    }
    strbuf_deinit(&name);
}

/* Of the list's step i, which is the runbook's step of_no. */
static void read_rollback(struct loader *l, const struct yaml_node *n, size_t i,
                          uint32_t of_no)
{
    struct runbook *rb = l->rb;
    uint32_t no = rb->step_count++;
    struct step *s = &rb->steps[no];
    size_t mark = loader_enter(l, "[%zu].rollback", i);
    *s = (struct step){.section = SECTION_ROLLBACK, .rollback = of_no};
    step_read(l, n, &runbook_rollback_keys, s);
    rb->steps[of_no].rollback = no;
    name_rollback(l, s, &rb->steps[of_no]);
    check_unique(l, n, no);
    check_timeout(l, s);
    loader_leave(l, mark);
}

static void read_rollbacks(struct loader *l, const struct yaml_node *n,
                           uint32_t first)
{
    size_t count = 0;
    for (size_t i = 0; i < yaml_count(n); i++) {
        count += yaml_get(yaml_item(n, i), STR("rollback")) != NULL;
    }
    if (count == 0 || !make_room(l, n, count)) {
        return;
    }
    for (size_t i = 0; i < yaml_count(n); i++) {
        const struct yaml_node *node =
            yaml_get(yaml_item(n, i), STR("rollback"));
        if (node != NULL) {
            read_rollback(l, node, i, first + (uint32_t)i);
        }
    }
}

/* Read with the list, when all numbers are known: here is only said where it
 * cannot be. */
void step_read_rollback(struct loader *l, const struct yaml_node *n,
                        void *object)
{
    const struct step *s = object;
    if (s->section != SECTION_STEPS) {
        err_hint(loader_error(l, n, "a step of %s has no rollback",
                              step_section_name(s->section)),
                 "only what is done under 'steps' can be taken back");
    }
}

void sections_append(struct loader *l, const struct yaml_node *n,
                     enum step_section section)
{
    struct runbook *rb = l->rb;
    uint32_t first = rb->step_count;
    if (!loader_is_list(l, n, RUNBOOK_MAX_STEPS)) {
        return;
    }
    size_t count = yaml_count(n);
    if (count == 0) {
        (void)loader_error(l, n,
                           section == SECTION_STEPS
                               ? "a runbook needs at least one step"
                               : "a list without a step has no effect");
        return;
    }
    if (!make_room(l, n, count)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        size_t mark = loader_enter(l, "[%zu]", i);
        uint32_t no = rb->step_count++;
        rb->steps[no] = (struct step){.section = section};
        step_read(l, yaml_item(n, i), &runbook_step_keys, &rb->steps[no]);
        check_unique(l, yaml_item(n, i), no);
        check_timeout(l, &rb->steps[no]);
        loader_leave(l, mark);
    }
    if (section == SECTION_STEPS) {
        read_rollbacks(l, n, first);
    }
}

/* As many as fit between the first probe and the last; each leaves a row. */
static void count_probes(struct loader *l, const struct yaml_node *n,
                         struct step *s)
{
    uint64_t probes = (s->within_ms + s->hold_ms) / s->interval_ms + 1;
    if (probes > RUNBOOK_MAX_PROBES) {
        err_hint(loader_error(l, n, "that would be %llu probes, at most %d are",
                              (unsigned long long)probes, RUNBOOK_MAX_PROBES),
                 "a longer 'interval' takes fewer");
    }
    s->max_attempts = (uint32_t)MIN(probes, (uint64_t)RUNBOOK_MAX_PROBES);
    if (s->hold_ms >= s->interval_ms || s->hold_ms == 0) {
        return;
    }
    (void)loader_warning(l, s->at,
                         "'hold' is shorter than 'interval', which is as long "
                         "as it takes to see whether it holds");
}

void runbook_read_verify(struct loader *l, const struct yaml_node *n,
                         void *object)
{
    struct runbook *rb = object;
    uint32_t no = rb->step_count;
    if (!make_room(l, n, 1)) {
        return;
    }
    rb->step_count++;
    struct step *s = &rb->steps[no];
    *s = (struct step){.section = SECTION_VERIFY,
                       .name = STR("Verify"),
                       .within_ms = VERIFY_WITHIN_MS,
                       .interval_ms = VERIFY_INTERVAL_MS};
    step_read(l, n, &runbook_verify_keys, s);
    check_unique(l, n, no);
    s->idempotent = true; /* it looks, and changes nothing */
    count_probes(l, n, s);
}

void runbook_read_diagnose(struct loader *l, const struct yaml_node *n,
                           void *object)
{
    (void)object;
    sections_append(l, n, SECTION_DIAGNOSE);
}

void runbook_read_on_failure(struct loader *l, const struct yaml_node *n,
                             void *object)
{
    (void)object;
    sections_append(l, n, SECTION_ON_FAILURE);
}

void runbook_read_finally(struct loader *l, const struct yaml_node *n,
                          void *object)
{
    (void)object;
    sections_append(l, n, SECTION_FINALLY);
}
