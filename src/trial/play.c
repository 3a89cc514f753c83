#include "trial/play_priv.h"

#include <inttypes.h>
#include <string.h>

#include "base/strbuf.h"
#include "data/duration.h"

#define LINE_MAX_BYTES 2000

void play_verdict_deinit(struct play_verdict *v)
{
    VEC_DEINIT(&v->differences);
    VEC_DEINIT(&v->story);
    arena_deinit(&v->arena);
}

struct str play_step_name(const struct runbook *rb, uint32_t step_no)
{
    const struct step *s = &rb->steps[step_no];
    return s->id.len != 0 ? s->id : s->name;
}

void play_differ(struct play *p, struct str what, struct str expected,
                 struct str got)
{
    struct arena *a = &p->verdict->arena;
    VEC_PUSH(&p->verdict->differences,
             (struct play_difference){.what = arena_str(a, what),
                                      .expected = arena_str(a, expected),
                                      .got = arena_str(a, got)});
}

/* ---- the story ----------------------------------------------------------- */

static void tell(struct play *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void tell(struct play *p, const char *fmt, ...)
{
    char at[DURATION_TEXT_SIZE];
    CLEANUP(strbuf_deinit) struct strbuf line = STRBUF_INIT(LINE_MAX_BYTES);
    uint64_t now_ms =
        p->trial != NULL ? trial_now_ms(p->trial) : p->test->now_ms;
    if (p->verdict->story.count >= PLAY_STORY_MAX) {
        return;
    }
    duration_format(now_ms - p->test->now_ms, at);
    strbuf_addf(&line, "+%s ", at);
    va_list args;
    va_start(args, fmt);
    strbuf_addv(&line, fmt, args);
    va_end(args);
    VEC_PUSH(&p->verdict->story,
             arena_str(&p->verdict->arena, strbuf_str(&line)));
}

static struct played *find(struct play *p, struct id id, size_t *ret_number)
{
    VEC_EACH (&p->workflows, i) {
        if (id_eq(p->workflows.at[i].id, id)) {
            *ret_number = i + 1;
            return &p->workflows.at[i];
        }
    }
    return NULL;
}

static void take_event(struct play *p, const struct record_event_done *done)
{
    tell(p, "event %u is %s%s%.*s", (unsigned)p->event_no,
         event_status_name(done->status), done->error.len != 0 ? ": " : "",
         STR_ARG(done->error));
    if (done->error.len != 0) {
        VEC_PUSH(&p->reasons, arena_str(&p->verdict->arena, done->error));
    }
}

static void take_workflow(struct play *p, const struct workflow_row *row)
{
    struct arena *a = &p->verdict->arena;
    size_t number = 0;
    struct played *w = find(p, row->id, &number);
    bool changed = w == NULL || w->status != row->status;
    if (w == NULL) {
        VEC_PUSH(
            &p->workflows,
            (struct played){
                .id = row->id,
                .parameters = arena_str(a, row->parameters),
                .steps = ARENA_ARRAY(a, p->rb->step_count, struct played_step),
                .order = ARENA_ARRAY(a, p->rb->step_count, uint32_t),
            });
        number = p->workflows.count;
        w = &p->workflows.at[number - 1];
    }
    w->status = row->status;
    w->result = row->result;
    w->error = arena_str(a, row->error);
    if (changed) {
        tell(p, "workflow %zu is %s%s%.*s", number,
             workflow_status_name(row->status), row->error.len != 0 ? ": " : "",
             STR_ARG(row->error));
    }
}

static void tell_end(struct play *p, const struct attempt_row *row,
                     size_t number)
{
    struct str name = play_step_name(p->rb, row->key.step_no);
    char code[32] = "";
    if (row->exit_code > 0) {
        (void)snprintf(code, sizeof(code), " with status %" PRId32,
                       row->exit_code);
    }
    tell(p, "workflow %zu, step %.*s, attempt %u: %s%s%s%.*s", number,
         STR_ARG(name), (unsigned)row->key.attempt,
         attempt_state_name(row->state), code, row->error.len != 0 ? ": " : "",
         STR_ARG(row->error));
}

static void take_attempt(struct play *p, const struct attempt_row *row,
                         bool is_new)
{
    size_t number = 0;
    struct played *w = find(p, row->key.workflow_id, &number);
    if (w == NULL || row->key.step_no >= p->rb->step_count) {
        return;
    }
    struct played_step *s = &w->steps[row->key.step_no];
    if (is_new && row->state != ATTEMPT_SKIPPED && s->attempts++ == 0) {
        w->order[w->order_count++] = row->key.step_no;
    }
    if (attempt_state_is_final(row->state)) {
        tell_end(p, row, number);
    }
}

static void on_record(void *context, const struct record *r)
{
    struct play *p = context;
    if (r->kind == RECORD_EVENT_DONE) {
        take_event(p, &r->event_done);
    } else if (r->kind == RECORD_WORKFLOW_NEW ||
               r->kind == RECORD_WORKFLOW_SET) {
        take_workflow(p, &r->workflow);
    } else if (r->kind == RECORD_ATTEMPT_NEW || r->kind == RECORD_ATTEMPT_SET) {
        take_attempt(p, &r->attempt, r->kind == RECORD_ATTEMPT_NEW);
    }
}

static void on_matched(void *context, const struct fact_event *found)
{
    struct play *p = context;
    p->matched =
        p->matched || found->match_count != 0 || found->held_count != 0;
}

/* ---- the executor -------------------------------------------------------- */

static char **copy_all(struct arena *a, char **texts)
{
    size_t count = 0;
    while (texts[count] != NULL) {
        count++;
    }
    char **copy = ARENA_ARRAY(a, count + 1, char *);
    for (size_t i = 0; i < count; i++) {
        copy[i] = arena_strdup(a, str_c(texts[i]));
    }
    return copy;
}

static const struct test_mock *mock_of(const struct runbook_test *test,
                                       uint32_t step_no)
{
    for (uint32_t i = 0; i < test->mock_count; i++) {
        if (test->mocks[i].step_no == step_no) {
            return &test->mocks[i];
        }
    }
    return NULL;
}

static void on_attempt(void *context, const struct trial_attempt *attempt,
                       struct trial_answer *ret)
{
    struct play *p = context;
    size_t number = 0;
    struct played *w = find(p, attempt->key.workflow_id, &number);
    const struct test_mock *mock = mock_of(p->test, attempt->key.step_no);
    if (w != NULL && attempt->rendered != NULL) {
        struct played_step *s = &w->steps[attempt->key.step_no];
        s->argv = copy_all(&p->verdict->arena, attempt->rendered->argv);
        s->env = copy_all(&p->verdict->arena, attempt->rendered->env);
    }
    if (mock == NULL || mock->count == 0) {
        return;
    }
    const struct test_outcome *o =
        &mock->outcomes[MIN(attempt->key.attempt, mock->count) - 1];
    ret->exit_code = (int32_t)o->exit_code;
    ret->after_ms = o->after_ms;
    ret->hangs = o->hangs;
    ret->out = o->out;
    ret->err = o->err;
}

/* ---- playing ------------------------------------------------------------- */

static struct generation *generation_of(struct runbook *rb, uint64_t now_ms)
{
    const struct generation_file file = {
        .path = rb->path, .state = FILE_LOADED, .runbook = runbook_ref(rb)};
    return generation_new(&file, 1, STR(""), 1, now_ms);
}

static bool advance(struct play *p, uint64_t until_ms)
{
    if (trial_advance(p->trial, until_ms, PLAY_STEPS_MAX)) {
        return true;
    }
    play_differ(p, STR("end"), STR("that it comes to an end"),
                STR("more steps of the engine than a test may take"));
    return false;
}

/* False: what comes after it is not worth comparing. */
static bool give_event(struct play *p, uint32_t i)
{
    struct event event = p->test->events[i].event;
    if (!advance(p, p->test->now_ms + p->test->events[i].at_ms)) {
        return false;
    }
    p->event_no = i + 1;
    event.id = trial_mint_id(p->trial);
    event.received_ms = trial_now_ms(p->trial);
    if (trial_event(p->trial, &event)) {
        return true;
    }
    play_differ(p, STR("event"), STR("that it is matched"),
                STR("too much is unfinished for another event"));
    return false;
}

static bool give_all(struct play *p)
{
    const struct runbook_test *test = p->test;
    for (uint32_t i = 0; i < test->event_count; i++) {
        if (test->until_ms != 0 && test->events[i].at_ms > test->until_ms) {
            break;
        }
        if (!give_event(p, i)) {
            return false;
        }
    }
    if (test->event_count == 0) {
        trial_run(p->trial, p->rb, test->parameters);
    }
    uint64_t last_ms =
        test->event_count != 0 ? test->events[test->event_count - 1].at_ms : 0;
    return advance(p, test->now_ms + (test->until_ms != 0
                                          ? test->until_ms
                                          : last_ms + PLAY_HORIZON_MS));
}

void play_test(struct runbook *rb, const struct runbook_test *test,
               const struct event_zones *zones, struct play_verdict *ret)
{
    *ret = (struct play_verdict){0};
    arena_init(&ret->arena);
    struct play p = {.rb = rb, .test = test, .verdict = ret};
    struct generation *g = generation_of(rb, test->now_ms);
    const struct trial_options options = {
        .generation = g,
        .config = ENGINE_CONFIG_DEFAULT,
        .zones = zones,
        .now_ms = test->now_ms,
        .hooks = {.context = &p,
                  .attempt = on_attempt,
                  .record = on_record,
                  .matched = on_matched},
    };
    p.trial = trial_new(&options);
    if (give_all(&p)) {
        play_compare(&p);
    }
    ret->virtual_ms = trial_now_ms(p.trial) - test->now_ms;
    trial_free(p.trial);
    generation_unref(g);
    VEC_DEINIT(&p.workflows);
    VEC_DEINIT(&p.reasons);
}
