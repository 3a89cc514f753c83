/*
 * The words of a story: what can happen at a time, and what can be said of a
 * world ("finally" of every world, "expect" at a time of the calm one).
 */
#include <string.h>

#include "base/assert.h"
#include "data/duration.h"
#include "sim/world.h"

/* ---- what happens -----------------------------------------------------------
 */

static void do_event(struct world *w, const struct scn_line *line)
{
    client_new(w, line, client_post_event);
}

static void do_run(struct world *w, const struct scn_line *line)
{
    client_new(w, line, client_run);
}

static void do_stop(struct world *w, const struct scn_line *line)
{
    client_new(w, line, client_stop);
    w->clients.at[w->clients.count - 1]->how =
        str_eq_c(str_c(line->verb->name), "kill") ? STOP_KILL : STOP_CANCEL;
}

/* "crash", "crash for 5s" */
static void do_crash(struct world *w, const struct scn_line *line)
{
    if (w->rt == NULL) {
        return;
    }
    if (line->count == 2 &&
        duration_parse(line->words[1], &w->downtime_ms) < 0) {
        world_violation(w, "line %u: crash for how long?", line->number);
    }
    world_say(w, "the daemon crashes");
    w->dying = true;
}

static void do_executor(struct world *w, const struct scn_line *line)
{
    struct str what = line->words[0];
    world_say(w, "executor %.*s", STR_ARG(what));
    if (str_eq_c(what, "down")) {
        w->executor.reachable = false;
        executor_disconnect(w);
        if (w->rt != NULL) {
            runtime_executor_message(w->rt, NULL);
        }
    } else if (str_eq_c(what, "up")) {
        w->executor.reachable = true;
        executor_connect(w);
    } else if (str_eq_c(what, "lost")) {
        executor_lose(w, false);
    } else if (str_eq_c(what, "replaced")) {
        executor_lose(w, true);
    } else {
        world_violation(w, "line %u: executor what?", line->number);
    }
}

/* The file of this path is another one from now on, or none. */
static void replace_file(struct world *w, struct str path, struct runbook *rb,
                         uint32_t version)
{
    VEC_EACH (&w->scenario->versions, i) {
        if (str_eq(w->scenario->versions.at[i].path, path)) {
            w->files[i] = NULL;
        }
    }
    if (rb != NULL) {
        w->files[version] = rb;
    }
    daemon_load(w);
}

static void do_load(struct world *w, const struct scn_line *line)
{
    replace_file(w, line->words[0],
                 w->scenario->versions.at[line->version].runbook,
                 line->version);
}

static void do_remove(struct world *w, const struct scn_line *line)
{
    replace_file(w, line->words[0], NULL, 0);
}

static void do_limits(struct world *w, const struct scn_line *line)
{
    struct err err = ERR_INIT;
    uint32_t ignored = 0;
    w->places_before = MAX(w->places_before, w->config.max_concurrent);
    for (uint32_t i = 0; i < line->count; i++) {
        if (scenario_limit(line->words[i], &w->config, &ignored, &err) < 0) {
            world_violation(w, "line %u: %s", line->number, err.message);
        }
    }
    if (w->rt != NULL) {
        runtime_set_config(w->rt, &w->config);
    }
}

static void pause_or_resume(struct world *w, bool pause)
{
    w->paused = pause;
    if (w->rt != NULL) {
        runtime_pause(w->rt, pause);
    }
}

static void do_pause(struct world *w, const struct scn_line *line)
{
    (void)line;
    pause_or_resume(w, true);
}

/* "switch on", "switch off": the kill switch. The executor looks at each start,
 * the engine now and then. */
static void do_switch(struct world *w, const struct scn_line *line)
{
    bool on = str_eq_c(line->words[0], "on");
    if (!on && !str_eq_c(line->words[0], "off")) {
        world_violation(w, "line %u: the switch is on or off", line->number);
    }
    w->halted = on;
    w->halted_ms = on ? w->now_ms : w->halted_ms; /* the file's time */
    daemon_look(w);
}

/* "sweep 10s": the daemon of this moment removes what is older */
static void do_sweep(struct world *w, const struct scn_line *line)
{
    uint64_t age_ms = 0;
    if (duration_parse(line->words[0], &age_ms) < 0) {
        world_violation(w, "line %u: sweep what is how old?", line->number);
    }
    daemon_sweep(w, age_ms);
}

static void do_resume(struct world *w, const struct scn_line *line)
{
    (void)line;
    pause_or_resume(w, false);
}

/* "clock back 1h", "clock ahead 1h" */
static void do_clock(struct world *w, const struct scn_line *line)
{
    uint64_t by_ms = 0;
    bool back = str_eq_c(line->words[0], "back");
    if ((!back && !str_eq_c(line->words[0], "ahead")) || line->count != 2 ||
        duration_parse(line->words[1], &by_ms) < 0) {
        world_violation(w, "line %u: clock back or ahead by how much?",
                        line->number);
    }
    world_set_clock(w, back ? -(int64_t)by_ms : (int64_t)by_ms);
}

static void do_expect(struct world *w, const struct scn_line *line)
{
    const struct scn_verb *ending = story_ending(line->words[0]);
    struct scn_line said = *line;
    said.words++;
    said.count--;
    if (ending == NULL || said.count < ending->least) {
        world_violation(w, "line %u: expect what?", line->number);
    }
    if (w->calm) {
        ending->happen(w, &said);
    }
}

/* ---- what is said of a world
 * ---------------------------------------------------- */

NORETURN static void differs(const struct world *w, const struct scn_line *line,
                             const char *what, struct str is)
{
    world_violation(w, "line %u: %s '%.*s' is '%.*s', not '%.*s'", line->number,
                    what, STR_ARG(line->words[0]), STR_ARG(is),
                    STR_ARG(line->words[line->count - 1]));
}

/* The workflow that line->words[0] names, of the runbook in words[1] if that
 * is a path; *ret_next is the first word after them. */
static struct workflow_row named_workflow(const struct world *w,
                                          const struct scn_line *line,
                                          struct arena *a, uint32_t *ret_next)
{
    struct workflow_row row;
    const struct client *c = client_find(w, line->words[0]);
    bool has_path = line->count > 1 && str_ends(line->words[1], STR(".yaml"));
    struct str path = has_path ? line->words[1] : STR("");
    *ret_next = has_path ? 2 : 1;
    if (c == NULL || client_workflow(w, c, path, a, &row) < 0 ||
        *ret_next >= line->count) {
        world_violation(w, "line %u: '%.*s' has no workflow", line->number,
                        STR_ARG(line->words[0]));
    }
    return row;
}

static void say_workflow(struct world *w, const struct scn_line *line)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    uint32_t next = 0;
    struct workflow_row row = named_workflow(w, line, &a, &next);
    struct str status = str_c(workflow_status_name(row.status));
    if (!str_eq(status, line->words[next])) {
        differs(w, line, "workflow", status);
    }
}

static void say_result(struct world *w, const struct scn_line *line)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    uint32_t next = 0;
    struct workflow_row row = named_workflow(w, line, &a, &next);
    struct str result = str_c(workflow_result_name(row.result));
    if (!str_eq(result, line->words[next])) {
        differs(w, line, "result of", result);
    }
}

static void say_error(struct world *w, const struct scn_line *line)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    uint32_t next = 0;
    struct workflow_row row = named_workflow(w, line, &a, &next);
    if (!str_has_nocase(row.error, line->words[next])) {
        differs(w, line, "error of", row.error);
    }
}

/* "attempt db 0.1 unknown" */
static void say_attempt(struct world *w, const struct scn_line *line)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    uint32_t next = 0;
    struct workflow_row row = named_workflow(w, line, &a, &next);
    struct attempt_row *rows = NULL;
    uint32_t count = check_attempts(w, row.id, &a, &rows);
    for (uint32_t i = 0; i < count && next + 1 < line->count; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "%u.%u", rows[i].key.step_no,
                       rows[i].key.attempt);
        struct str state = str_c(attempt_state_name(rows[i].state));
        if (str_eq_c(line->words[next], key)) {
            if (!str_eq(state, line->words[next + 1])) {
                differs(w, line, "attempt of", state);
            }
            return;
        }
    }
    differs(w, line, "attempt of", STR("nowhere"));
}

static void say_event(struct world *w, const struct scn_line *line)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct event_view view;
    const struct client *c = client_find(w, line->words[0]);
    if (c == NULL ||
        w->reader->ops->event(w->reader, c->event_id, &a, &view) < 0) {
        world_violation(w, "line %u: no event '%.*s'", line->number,
                        STR_ARG(line->words[0]));
    }
    struct str status = str_c(event_status_name(view.status));
    if (!str_eq(status, line->words[1])) {
        differs(w, line, "event", status);
    }
}

/* "2", or "1..3" */
static void compare_count(const struct world *w, const struct scn_line *line,
                          const char *what, uint64_t is)
{
    struct str word = line->words[1];
    ptrdiff_t dots = str_find(word, '.');
    uint64_t least = 0;
    uint64_t most = 0;
    struct str low = dots < 0 ? word : str_slice(word, 0, (size_t)dots);
    struct str high =
        dots < 0 ? word : str_slice(word, (size_t)dots + 2, word.len);
    if (str_to_u64(low, 0, UINT32_MAX, &least) < 0 ||
        str_to_u64(high, 0, UINT32_MAX, &most) < 0) {
        world_violation(w, "line %u: how many?", line->number);
    }
    if (is < least || is > most) {
        char text[32];
        (void)snprintf(text, sizeof(text), "%u", (unsigned)is);
        differs(w, line, what, str_c(text));
    }
}

static void say_starts(struct world *w, const struct scn_line *line)
{
    uint64_t count = 0;
    VEC_EACH (&w->executor.starts, i) {
        count += str_eq(w->executor.starts.at[i].step, line->words[0]);
    }
    compare_count(w, line, "number of starts of", count);
}

static void say_runs(struct world *w, const struct scn_line *line)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    const struct client *c = client_find(w, line->words[0]);
    struct workflow_view *views = NULL;
    uint32_t count = 0;
    if (c != NULL && !id_is_null(c->event_id)) {
        struct workflow_filter filter = {
            .status = -1, .event_id = c->event_id, .limit = 1000};
        ASSERT(w->reader->ops->workflows(w->reader, &filter, &a, &views,
                                         &count) == 0);
    }
    compare_count(w, line, "number of workflows of", count);
}

/* "removed events 3": by sweeps */
static void say_removed(struct world *w, const struct scn_line *line)
{
    struct store_counts counts;
    ASSERT(w->reader->ops->counts(w->reader, &counts) == 0);
    bool events = str_eq_c(line->words[0], "events");
    compare_count(w, line, "number of removed",
                  events ? counts.removed_events : counts.removed_workflows);
}

/* "remembered keys 2": by the store */
static void say_remembered(struct world *w, const struct scn_line *line)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    const struct memory_filter filter = {.limit = 1000};
    struct memory_row *rows = NULL;
    uint32_t count = 0;
    ASSERT(w->reader->ops->memories(w->reader, &filter, &a, &rows, &count) ==
           0);
    compare_count(w, line, "number of remembered", count);
}

static size_t first_start(const struct world *w, struct id workflow)
{
    VEC_EACH (&w->executor.starts, i) {
        if (id_eq(w->executor.starts.at[i].key.workflow_id, workflow)) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* "order a b c": their first steps were started in this order. */
static void say_order(struct world *w, const struct scn_line *line)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    size_t before = 0;
    for (uint32_t i = 0; i < line->count; i++) {
        struct workflow_row row;
        const struct client *c = client_find(w, line->words[i]);
        if (c == NULL || client_workflow(w, c, STR(""), &a, &row) < 0) {
            world_violation(w, "line %u: '%.*s' has no workflow", line->number,
                            STR_ARG(line->words[i]));
        }
        size_t at = first_start(w, row.id);
        if (at == SIZE_MAX || at < before) {
            world_violation(w, "line %u: '%.*s' did not start in this order",
                            line->number, STR_ARG(line->words[i]));
        }
        before = at;
    }
}

/* ---- tables
 * ---------------------------------------------------------------------- */

static const struct scn_verb verbs[] = {
    {"event", 1, false, do_event, "NAME label=value...: is posted"},
    {"run", 2, false, do_run, "NAME PATH [dry]: is asked for"},
    {"cancel", 1, false, do_stop, "NAME [PATH]"},
    {"kill", 1, false, do_stop, "NAME [PATH]"},
    {"crash", 0, false, do_crash, "[for TIME]: the daemon"},
    {"executor", 1, false, do_executor, "down | up | lost | replaced"},
    {"load", 1, true, do_load, "PATH and a text: another version"},
    {"remove", 1, false, do_remove, "PATH"},
    {"limits", 1, false, do_limits, "name=value..."},
    {"pause", 0, false, do_pause, ": no more claims"},
    {"resume", 0, false, do_resume, ": claims again"},
    {"switch", 1, false, do_switch, "on | off: nothing new begins"},
    {"sweep", 1, false, do_sweep, "TIME: what is older is removed"},
    {"clock", 2, false, do_clock, "back | ahead TIME: is set"},
    {"expect", 1, false, do_expect, "what finally says, now"},
};

static const struct scn_verb endings[] = {
    {"workflow", 2, false, say_workflow, "NAME [PATH] STATUS"},
    {"result", 2, false, say_result, "NAME [PATH] RESULT"},
    {"error", 2, false, say_error, "NAME [PATH] TEXT: stands in it"},
    {"attempt", 3, false, say_attempt, "NAME [PATH] STEP.TRY STATE"},
    {"event", 2, false, say_event, "NAME STATUS"},
    {"starts", 2, false, say_starts, "STEP COUNT: real ones"},
    {"runs", 2, false, say_runs, "NAME COUNT: workflows"},
    {"removed", 2, false, say_removed, "events COUNT | workflows COUNT"},
    {"remembered", 2, false, say_remembered, "keys COUNT"},
    {"order", 2, false, say_order, "NAME...: of their first starts"},
};

static const struct scn_verb *find(const struct scn_verb *table, size_t count,
                                   struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq_c(name, table[i].name)) {
            return &table[i];
        }
    }
    return NULL;
}

const struct scn_verb *story_verb(struct str name)
{
    return find(verbs, ARRAY_LEN(verbs), name);
}

const struct scn_verb *story_ending(struct str name)
{
    return find(endings, ARRAY_LEN(endings), name);
}

/* ---- playing
 * ---------------------------------------------------------------------- */

static void tell_line(struct world *w, struct happening *h)
{
    const struct scn_line *line = h->subject;
    world_say(w, "%s %.*s", line->verb->name,
              STR_ARG(line->count != 0 ? line->words[0] : STR("")));
    line->verb->happen(w, line);
}

void story_begin(struct world *w)
{
    VEC_EACH (&w->scenario->versions, i) {
        if (!w->scenario->versions.at[i].later) {
            w->files[i] = w->scenario->versions.at[i].runbook;
        }
    }
    daemon_load(w);
    VEC_EACH (&w->scenario->story, i) {
        struct scn_line *line = &w->scenario->story.at[i];
        (void)world_plan(w, line->at_ms, tell_line, line);
    }
}

void story_end(struct world *w)
{
    VEC_EACH (&w->scenario->endings, i) {
        const struct scn_line *line = &w->scenario->endings.at[i];
        line->verb->happen(w, line);
    }
}
