/* What store.h says about removing rows: which go, which stay, and that the
 * ledger still adds up (I1). */
#include <errno.h>
#include <string.h>

#include "tests/store/fixture.h"

#define DAY_MS (24ULL * 3600 * 1000)

static uint64_t apply_one(struct fixture *f, struct record record)
{
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = &record, .count = 1}};
    assert_int_equal(fixture_run(f, &op), 0);
    return op.apply.moved;
}

static uint64_t drop_events(struct fixture *f, uint64_t first_seq,
                            uint32_t limit, uint64_t before_ms)
{
    return apply_one(f, (struct record){.kind = RECORD_EVENTS_DROP,
                                        .drop = {.first_seq = first_seq,
                                                 .limit = limit,
                                                 .before_ms = before_ms}});
}

static uint64_t drop_workflow(struct fixture *f, struct id id, uint32_t limit)
{
    return apply_one(f,
                     (struct record){.kind = RECORD_WORKFLOW_DROP,
                                     .workflow_drop = {.workflow_id = id,
                                                       .output_limit = limit}});
}

/* n events that are processed, a day before now. */
static void fill_processed(struct fixture *f, uint32_t n)
{
    struct store_claim claim;
    fixture_fill(f, n);
    assert_int_equal(fixture_claim(f, n, 3, &claim), 0);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(fixture_done(f, &claim, i, EVENT_PROCESSED), 0);
    }
    f->now_ms += DAY_MS;
}

static uint32_t list_events(struct fixture *f, struct event_filter filter,
                            struct event_view **ret)
{
    uint32_t count = 0;
    filter.limit = 1000;
    assert_int_equal(
        f->reader->ops->events(f->reader, &filter, &f->arena, ret, &count), 0);
    return count;
}

static uint32_t count_events(struct fixture *f)
{
    struct event_view *views = NULL;
    return list_events(f, (struct event_filter){.status = -1}, &views);
}

/* ---- events ------------------------------------------------------------- */

static void removed_events_are_counted_as_archived(void **state)
{
    struct fixture *f = *state;
    fill_processed(f, 10);
    assert_int_equal(drop_events(f, 1, 4, f->now_ms), 4);
    struct store_counts c = fixture_counts(f);
    assert_int_equal(c.accepted, 10);
    assert_int_equal(c.events[EVENT_PROCESSED], 6);
    assert_int_equal(c.events[EVENT_ARCHIVED], 4);
    assert_int_equal(c.removed_events, 4);
    fixture_check(f);
    fixture_restart(f);
    c = fixture_counts(f);
    assert_int_equal(c.events[EVENT_ARCHIVED], 4);
    assert_int_equal(count_events(f), 6);
    struct event_view v;
    assert_int_equal(
        f->reader->ops->event(f->reader, f->results[3].id, &f->arena, &v),
        -ENOENT);
    assert_int_equal(
        f->reader->ops->event(f->reader, f->results[4].id, &f->arena, &v), 0);
}

static void only_the_old_of_the_window_go(void **state)
{
    struct fixture *f = *state;
    fill_processed(f, 6);
    uint64_t later_ms = f->now_ms;
    fill_processed(f, 6);
    assert_int_equal(drop_events(f, 3, 2, later_ms), 2);
    assert_int_equal(drop_events(f, 1, 100, later_ms), 4);
    assert_int_equal(drop_events(f, 1, 100, later_ms), 0);
    struct event_view *views = NULL;
    struct event_filter since = {.status = -1, .since_ms = later_ms};
    assert_int_equal(list_events(f, since, &views), 6);
    assert_int_equal(views[5].event.seq, 7);
    since.status = EVENT_PROCESSED;
    assert_int_equal(list_events(f, since, &views), 6);
}

static void numbers_are_never_given_twice(void **state)
{
    struct fixture *f = *state;
    fill_processed(f, 5);
    assert_int_equal(drop_events(f, 1, 100, f->now_ms), 5);
    fixture_restart(f);
    fixture_fill(f, 1);
    struct event_view *views = NULL;
    assert_int_equal(
        list_events(f, (struct event_filter){.status = -1}, &views), 1);
    assert_int_equal(views[0].event.seq, 6);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 10, 3, &claim), 0);
    assert_int_equal(claim.count, 1);
    assert_int_equal(claim.events[0].seq, 6);
}

/* Queued, claimed, failed, drained and poison: somebody still has to do with
 * them, however old they are. */
static void what_is_not_over_stays(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim;
    fixture_fill(f, 5);
    assert_int_equal(fixture_claim(f, 3, 3, &claim), 0);
    assert_int_equal(fixture_done(f, &claim, 0, EVENT_ERROR), 0);
    assert_int_equal(fixture_done(f, &claim, 1, EVENT_SUPPRESSED), 0);
    struct record drain = {.kind = RECORD_EVENTS_MOVE,
                           .move = {.from = EVENT_QUEUED,
                                    .to = EVENT_DRAINED,
                                    .event_id = f->results[4].id,
                                    .limit = 1}};
    assert_int_equal(apply_one(f, drain), 1);
    f->now_ms += 1000 * DAY_MS;
    assert_int_equal(drop_events(f, 1, 100, f->now_ms), 1);
    assert_int_equal(count_events(f), 4);
    assert_int_equal(fixture_counts(f).events[EVENT_DRAINED], 1);
    assert_int_equal(fixture_counts(f).events[EVENT_PROCESSING], 1);
    assert_int_equal(f->driver->queued(f->store), 2);
}

static void live_alerts_stay(void **state)
{
    struct fixture *f = *state;
    struct event e[3];
    for (int i = 0; i < 3; i++) {
        e[i] = fixture_event(f, "x");
        e[i].fingerprint = i == 2 ? STR("other") : STR("disk full");
        e[i].state = EVENT_FIRING;
    }
    assert_int_equal(fixture_ingest(f, e, 3), 0);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 9, 3, &claim), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(fixture_done(f, &claim, i, EVENT_PROCESSED), 0);
    }
    f->now_ms += EVENT_ALERT_SILENT_MS / 2;
    assert_int_equal(drop_events(f, 1, 100, f->now_ms), 1); /* the first */
    struct event resolved = fixture_event(f, "x");
    resolved.fingerprint = STR("disk full");
    resolved.state = EVENT_RESOLVED;
    assert_int_equal(fixture_ingest(f, &resolved, 1), 0);
    assert_int_equal(drop_events(f, 1, 100, f->now_ms), 1);
    struct event_view *views = NULL;
    uint32_t count = 0;
    assert_int_equal(f->reader->ops->alerts(f->reader, f->now_ms, 0, &f->arena,
                                            &views, &count),
                     0);
    assert_int_equal(count, 1);
    assert_str(views[0].event.fingerprint, "other");
    /* Not repeated for so long that it cannot be true any more. */
    struct record all = {.kind = RECORD_EVENTS_DROP,
                         .drop = {.first_seq = 1,
                                  .limit = 100,
                                  .live_alerts = true,
                                  .before_ms = f->now_ms}};
    assert_int_equal(apply_one(f, all), 1);
    assert_int_equal(f->reader->ops->alerts(f->reader, f->now_ms, 0, &f->arena,
                                            &views, &count),
                     0);
    assert_int_equal(count, 0);
}

static void events_of_unfinished_workflows_stay(void **state)
{
    struct fixture *f = *state;
    fill_processed(f, 3);
    struct workflow_row w = fixture_workflow(f);
    w.event_id = f->results[1].id;
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    assert_int_equal(drop_events(f, 1, 100, f->now_ms), 2);
    w.rev = 2;
    w.status = WORKFLOW_SUCCEEDED;
    w.finished_ms = f->now_ms;
    assert_int_equal(fixture_workflow_set(f, &w), 0);
    assert_int_equal(drop_events(f, 1, 100, f->now_ms), 1);
    assert_int_equal(count_events(f), 0);
}

static void a_removed_event_gives_its_dedup_key_back(void **state)
{
    struct fixture *f = *state;
    struct event e = fixture_event(f, "x");
    e.dedup_key = STR("once");
    assert_int_equal(fixture_ingest(f, &e, 1), 0);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 9, 3, &claim), 0);
    assert_int_equal(fixture_done(f, &claim, 0, EVENT_PROCESSED), 0);
    e.id = fixture_id(f);
    assert_int_equal(fixture_ingest(f, &e, 1), 0);
    assert_int_equal(f->results[0].status, EVENT_DEDUPLICATED);
    assert_int_equal(drop_events(f, 1, 1, f->now_ms + 1), 1);
    e.id = fixture_id(f);
    assert_int_equal(fixture_ingest(f, &e, 1), 0);
    assert_int_equal(f->results[0].status, EVENT_QUEUED);
}

static void a_rolled_back_removal_never_was(void **state)
{
    struct fixture *f = *state;
    fill_processed(f, 4);
    struct workflow_row nobodys = fixture_workflow(f);
    nobodys.rev = 2;
    struct record records[] = {
        {.kind = RECORD_EVENTS_DROP,
         .drop = {.first_seq = 1, .limit = 9, .before_ms = f->now_ms}},
        {.kind = RECORD_WORKFLOW_SET, .workflow = nobodys}};
    assert_int_equal(fixture_apply(f, records, 2), -ESTALE);
    assert_int_equal(count_events(f), 4);
    assert_int_equal(fixture_counts(f).removed_events, 0);
    fixture_check(f);
    assert_int_equal(drop_events(f, 1, 9, f->now_ms), 4);
}

/* ---- workflows ---------------------------------------------------------- */

static struct workflow_row ended_workflow(struct fixture *f, uint32_t chunks)
{
    struct workflow_row w = fixture_workflow(f);
    struct attempt_row t = fixture_attempt(f, w.id);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    assert_int_equal(fixture_attempt_new(f, &t), 0);
    t.state = ATTEMPT_SUCCEEDED;
    assert_int_equal(fixture_attempt_set(f, &t), 0);
    for (uint32_t i = 0; i < chunks; i++) {
        (void)apply_one(
            f, (struct record){
                   .kind = RECORD_OUTPUT,
                   .output = {.key = t.key, .offset = i, .data = STR("x")}});
    }
    w.rev = 2;
    w.status = WORKFLOW_SUCCEEDED;
    w.finished_ms = f->now_ms;
    assert_int_equal(fixture_workflow_set(f, &w), 0);
    return w;
}

static uint32_t count_workflows(struct fixture *f,
                                struct workflow_filter filter,
                                struct workflow_view **ret)
{
    uint32_t count = 0;
    filter.limit = 1000;
    assert_int_equal(
        f->reader->ops->workflows(f->reader, &filter, &f->arena, ret, &count),
        0);
    return count;
}

static uint32_t count_chunks(struct fixture *f, struct id id)
{
    struct output_filter filter = {.workflow_id = id, .limit = 1000};
    struct output_chunk *chunks = NULL;
    uint32_t count = 0;
    uint64_t last = 0;
    assert_int_equal(f->reader->ops->output(f->reader, &filter, &f->arena,
                                            &chunks, &count, &last),
                     0);
    return count;
}

static void a_workflow_goes_with_all_that_it_has(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = ended_workflow(f, 5);
    struct workflow_row other = ended_workflow(f, 1);
    struct workflow_view v;
    assert_int_equal(drop_workflow(f, w.id, 2), 2);
    assert_int_equal(drop_workflow(f, w.id, 2), 2);
    assert_int_equal(count_chunks(f, w.id), 1);
    assert_int_equal(f->reader->ops->workflow(f->reader, w.id, &f->arena, &v),
                     0);
    assert_int_equal(drop_workflow(f, w.id, 2), 3); /* chunk, attempt, row */
    assert_int_equal(drop_workflow(f, w.id, 2), 0);
    assert_int_equal(f->reader->ops->workflow(f->reader, w.id, &f->arena, &v),
                     -ENOENT);
    assert_int_equal(count_chunks(f, w.id), 0);
    assert_int_equal(count_chunks(f, other.id), 1);
    struct store_counts c = fixture_counts(f);
    assert_int_equal(c.workflows[WORKFLOW_SUCCEEDED], 1);
    assert_int_equal(c.removed_workflows, 1);
    fixture_check(f);
    /* A report that comes much too late does no harm. */
    (void)apply_one(f, (struct record){.kind = RECORD_OUTPUT,
                                       .output = {.key = {.workflow_id = w.id},
                                                  .data = STR("late")}});
    assert_int_equal(count_chunks(f, w.id), 0);
    fixture_restart(f);
    assert_int_equal(fixture_counts(f).removed_workflows, 1);
}

/* They are succeeded rows, and counted apart. */
static void dry_runs_are_counted(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    w.dry_run = true;
    w.status = WORKFLOW_SUCCEEDED;
    w.finished_ms = f->now_ms;
    (void)ended_workflow(f, 1);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    assert_int_equal(fixture_counts(f).workflows[WORKFLOW_SUCCEEDED], 2);
    assert_int_equal(fixture_counts(f).dry_runs, 1);
    fixture_check(f);
    fixture_restart(f);
    assert_int_equal(fixture_counts(f).dry_runs, 1);
    (void)drop_workflow(f, w.id, 2);
    assert_int_equal(fixture_counts(f).dry_runs, 0);
    fixture_check(f);
}

static void a_live_workflow_stays(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    assert_int_equal(drop_workflow(f, w.id, 10), 0);
    assert_int_equal(drop_workflow(f, fixture_id(f), 10), 0);
    struct workflow_view *views = NULL;
    struct workflow_filter any = {.status = -1};
    assert_int_equal(count_workflows(f, any, &views), 1);
}

static void lists_what_ended_before(void **state)
{
    struct fixture *f = *state;
    struct workflow_row live = fixture_workflow(f);
    assert_int_equal(fixture_workflow_new(f, &live), 0);
    struct workflow_row ended[3];
    for (int i = 0; i < 3; i++) {
        ended[i] = ended_workflow(f, 0);
        f->now_ms += 1000;
    }
    struct workflow_view *views = NULL;
    struct workflow_filter old = {.status = -1,
                                  .ended_before_ms = ended[2].finished_ms};
    assert_int_equal(count_workflows(f, old, &views), 2);
    assert_id(views[0].row.id, ended[0].id);
    assert_id(views[1].row.id, ended[1].id);
    old.after_seq = views[0].seq;
    assert_int_equal(count_workflows(f, old, &views), 1);
    old.ended_before_ms = ended[0].finished_ms;
    old.after_seq = 0;
    assert_int_equal(count_workflows(f, old, &views), 0);
}

static void workflow_numbers_are_never_given_twice(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = ended_workflow(f, 0);
    struct workflow_view *views = NULL;
    struct workflow_filter any = {.status = -1};
    assert_int_equal(count_workflows(f, any, &views), 1);
    uint64_t seq = views[0].seq;
    assert_true(drop_workflow(f, w.id, 10) > 0);
    fixture_restart(f);
    (void)ended_workflow(f, 0);
    assert_int_equal(count_workflows(f, any, &views), 1);
    assert_true(views[0].seq > seq);
}

static struct runbook_hash version(uint8_t no)
{
    struct runbook_hash hash = {{no}};
    return hash;
}

static void pin_version(struct fixture *f, uint8_t no)
{
    struct store_op op = {.kind = STORE_PIN,
                          .pin = {.hash = version(no),
                                  .path = STR("a.yaml"),
                                  .text = STR("name: A")}};
    assert_int_equal(fixture_run(f, &op), 0);
}

static bool has_version(struct fixture *f, uint8_t no)
{
    struct runbook_hash hash = version(no);
    struct str path;
    struct str text;
    int r = f->reader->ops->runbook(f->reader, &hash, &f->arena, &path, &text);
    assert_true(r == 0 || r == -ENOENT);
    return r == 0;
}

static struct workflow_row ended_of_version(struct fixture *f, uint8_t no)
{
    struct workflow_row w = fixture_workflow(f);
    w.runbook_hash = version(no);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    w.rev = 2;
    w.status = WORKFLOW_FAILED;
    w.finished_ms = f->now_ms;
    assert_int_equal(fixture_workflow_set(f, &w), 0);
    return w;
}

static void a_version_goes_with_its_last_workflow(void **state)
{
    struct fixture *f = *state;
    pin_version(f, 1);
    pin_version(f, 2);
    struct workflow_row first = ended_of_version(f, 1);
    struct workflow_row second = ended_of_version(f, 1);
    (void)ended_of_version(f, 2);
    assert_true(drop_workflow(f, first.id, 10) > 0);
    assert_true(has_version(f, 1));
    assert_true(drop_workflow(f, second.id, 10) > 0);
    assert_false(has_version(f, 1));
    assert_true(has_version(f, 2));
    pin_version(f, 1); /* and it may come again */
    assert_true(has_version(f, 1));
    (void)ended_of_version(f, 1);
    fixture_restart(f);
    assert_true(has_version(f, 1));
}

static void judge(struct fixture *f, struct id subject, uint64_t about_ms)
{
    (void)apply_one(f, (struct record){.kind = RECORD_VERDICT,
                                       .verdict = {.subject = subject,
                                                   .verdict = VERDICT_CORRECT,
                                                   .about_ms = about_ms,
                                                   .at_ms = f->now_ms,
                                                   .by = STR("uid:0")}});
}

static bool is_judged(struct fixture *f, struct id subject)
{
    struct verdict_row row;
    int r = f->reader->ops->verdict(f->reader, subject, &f->arena, &row);
    assert_true(r == 0 || r == -ENOENT);
    return r == 0;
}

static void an_old_verdict_goes_with_its_workflow(void **state)
{
    struct fixture *f = *state;
    struct workflow_row old = ended_of_version(f, 1);
    struct workflow_row young = ended_of_version(f, 1);
    struct workflow_row left = ended_of_version(f, 1);
    judge(f, old.id, f->now_ms - 1);
    judge(f, young.id, f->now_ms);
    judge(f, left.id, f->now_ms - 1);
    struct record records[] = {
        {.kind = RECORD_WORKFLOW_DROP,
         .workflow_drop = {.workflow_id = old.id,
                           .output_limit = 10,
                           .verdicts_before_ms = f->now_ms}},
        {.kind = RECORD_WORKFLOW_DROP,
         .workflow_drop = {.workflow_id = young.id,
                           .output_limit = 10,
                           .verdicts_before_ms = f->now_ms}}};
    assert_int_equal(fixture_apply(f, records, 2), 0);
    assert_false(is_judged(f, old.id));
    assert_true(is_judged(f, young.id));
    assert_true(is_judged(f, left.id));
}

static void removed_rows_make_room(void **state)
{
    struct fixture *f = *state;
    struct store_usage before;
    struct store_usage after;
    fill_processed(f, 500);
    assert_int_equal(f->reader->ops->usage(f->reader, &before), 0);
    assert_true(before.used_bytes > 0);
    assert_true(before.used_bytes <= before.file_bytes);
    assert_int_equal(drop_events(f, 1, 500, f->now_ms), 500);
    assert_int_equal(f->reader->ops->usage(f->reader, &after), 0);
    assert_true(after.used_bytes < before.used_bytes);
}

const struct conformance_case drop_cases[] = {
    {"removed events are counted as archived",
     removed_events_are_counted_as_archived},
    {"only the old of the window go", only_the_old_of_the_window_go},
    {"numbers are never given twice", numbers_are_never_given_twice},
    {"what is not over stays", what_is_not_over_stays},
    {"live alerts stay", live_alerts_stay},
    {"events of unfinished workflows stay",
     events_of_unfinished_workflows_stay},
    {"a removed event gives its dedup key back",
     a_removed_event_gives_its_dedup_key_back},
    {"a rolled back removal never was", a_rolled_back_removal_never_was},
    {"a workflow goes with all that it has",
     a_workflow_goes_with_all_that_it_has},
    {"dry runs are counted", dry_runs_are_counted},
    {"a live workflow stays", a_live_workflow_stays},
    {"lists what ended before", lists_what_ended_before},
    {"workflow numbers are never given twice",
     workflow_numbers_are_never_given_twice},
    {"a version goes with its last workflow",
     a_version_goes_with_its_last_workflow},
    {"an old verdict goes with its workflow",
     an_old_verdict_goes_with_its_workflow},
    {"removed rows make room", removed_rows_make_room},
};
const size_t drop_case_count = ARRAY_LEN(drop_cases);
