/* What reader.h says: pages, filters, counts, alerts. */
#include <errno.h>
#include <string.h>

#include "tests/store/fixture.h"

static uint32_t read_events(struct fixture *f,
                            const struct event_filter *filter,
                            struct event_view **ret)
{
    uint32_t count = 0;
    assert_int_equal(
        f->reader->ops->events(f->reader, filter, &f->arena, ret, &count), 0);
    return count;
}

static uint32_t count_events(struct fixture *f, struct event_filter filter)
{
    struct event_view *views = NULL;
    filter.limit = 1000;
    return read_events(f, &filter, &views);
}

static uint32_t read_workflows(struct fixture *f,
                               const struct workflow_filter *filter,
                               struct workflow_view **ret)
{
    uint32_t count = 0;
    assert_int_equal(
        f->reader->ops->workflows(f->reader, filter, &f->arena, ret, &count),
        0);
    return count;
}

/* ---- events ------------------------------------------------------------- */

static void pages_have_no_gaps_and_no_repeats(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 50);
    struct event_filter page = {.status = -1, .limit = 7};
    uint64_t expected = 50;
    for (;;) {
        struct event_view *views = NULL;
        uint32_t count = read_events(f, &page, &views);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(views[i].event.seq, expected--);
        }
        if (count == 0) {
            break;
        }
        assert_true(count <= 7);
        page.before_seq = views[count - 1].event.seq;
        fixture_fill(f, 3); /* what comes meanwhile does not disturb */
    }
    assert_int_equal(expected, 0);
}

static void oldest_first_follows_the_cursor(void **state)
{
    struct fixture *f = *state;
    struct event_filter page = {.status = -1, .oldest_first = true, .limit = 4};
    uint64_t expected = 1;
    for (int round = 0; round < 5; round++) {
        fixture_fill(f, 3);
        struct event_view *views = NULL;
        uint32_t count = read_events(f, &page, &views);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(views[i].event.seq, expected++);
            page.after_seq = views[i].event.seq;
        }
    }
    assert_int_equal(expected, 16);
}

static void filters_combine(void **state)
{
    struct fixture *f = *state;
    static const char *const words[] = {"a", "b"};
    struct event events[16];
    for (uint32_t i = 0; i < 16; i++) {
        events[i] = fixture_event(f, words[i & 1]);
        events[i].type = str_c(words[i >> 1 & 1]);
        events[i].severity = str_c(words[i >> 2 & 1]);
        events[i].received_ms = T0_MS + i / 8 * 60000ULL;
    }
    assert_int_equal(fixture_ingest(f, events, 16), 0);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 4, 3, &claim), 0);
    assert_int_equal(fixture_done(f, &claim, 0, EVENT_PROCESSED), 0);
    assert_int_equal(fixture_done(f, &claim, 1, EVENT_ERROR), 0);

    const struct {
        struct event_filter filter;
        uint32_t count;
    } cases[] = {
        {{.status = -1}, 16},
        {{.status = -1, .source = STR("a")}, 8},
        {{.status = -1, .source = STR("a"), .type = STR("b")}, 4},
        {{.status = -1,
          .source = STR("a"),
          .type = STR("b"),
          .severity = STR("a")},
         2},
        {{.status = -1, .source = STR("c")}, 0},
        {{.status = -1, .source = STR("a' OR '1'='1")}, 0},
        {{.status = -1, .since_ms = T0_MS + 1}, 8},
        {{.status = -1, .since_ms = T0_MS + 60000, .type = STR("a")}, 4},
        {{.status = -1, .since_ms = T0_MS + 60001}, 0},
        {{.status = -1, .since_ms = UINT64_MAX}, 0},
        {{.status = -1, .before_seq = 5, .after_seq = 2}, 2},
        {{.status = -1, .before_seq = UINT64_MAX}, 16},
        {{.status = EVENT_QUEUED}, 12},
        {{.status = EVENT_QUEUED, .source = STR("a")}, 6},
        {{.status = EVENT_PROCESSING}, 2},
        {{.status = EVENT_PROCESSED}, 1},
        {{.status = EVENT_ERROR}, 1},
        {{.status = EVENT_ERROR, .source = STR("a")}, 0},
        {{.status = EVENT_POISON}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(count_events(f, cases[i].filter), cases[i].count);
    }
}

/* A list by time is exact although the rows are not in order of time. */
static void since_survives_a_clock_set_back(void **state)
{
    struct fixture *f = *state;
    static const int64_t minutes[] = {0, 61, 62, 1, 2, 61, 3};
    for (size_t i = 0; i < ARRAY_LEN(minutes); i++) {
        struct event e = fixture_event(f, "x");
        e.received_ms = T0_MS + (uint64_t)minutes[i] * 60000;
        assert_int_equal(fixture_ingest(f, &e, 1), 0);
    }
    for (int64_t since = 0; since < 64; since++) {
        uint32_t wanted = 0;
        for (size_t i = 0; i < ARRAY_LEN(minutes); i++) {
            wanted += minutes[i] >= since ? 1 : 0;
        }
        struct event_filter filter = {
            .status = -1, .since_ms = T0_MS + (uint64_t)since * 60000};
        assert_int_equal(count_events(f, filter), wanted);
    }
}

static void an_unknown_event_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct event_view v;
    assert_int_equal(
        f->reader->ops->event(f->reader, fixture_id(f), &f->arena, &v),
        -ENOENT);
    assert_int_equal(f->reader->ops->event(f->reader, ID_NULL, &f->arena, &v),
                     -ENOENT);
    assert_int_equal(count_events(f, (struct event_filter){.status = -1}), 0);
}

/* ---- workflows ---------------------------------------------------------- */

static void workflows_filter_and_page(void **state)
{
    struct fixture *f = *state;
    struct id event_id = fixture_id(f);
    for (uint32_t i = 0; i < 12; i++) {
        struct workflow_row w = fixture_workflow(f);
        w.runbook_path = i % 3 == 0 ? STR("a.yaml") : STR("b.yaml");
        w.status = i % 4 == 0   ? WORKFLOW_QUEUED
                   : i % 4 == 1 ? WORKFLOW_HELD
                   : i % 4 == 2 ? WORKFLOW_SUCCEEDED
                                : WORKFLOW_KILLED;
        w.created_ms = T0_MS + i;
        w.trigger_no = i;
        w.event_id = i < 5 ? event_id : ID_NULL;
        assert_int_equal(fixture_workflow_new(f, &w), 0);
    }
    const struct {
        struct workflow_filter filter;
        uint32_t count;
    } cases[] = {
        {{.status = -1}, 12},
        {{.status = WORKFLOW_HELD}, 3},
        {{.status = -1, .runbook = STR("a.yaml")}, 4},
        {{.status = WORKFLOW_QUEUED, .runbook = STR("a.yaml")}, 1},
        {{.status = -1, .event_id = event_id}, 5},
        {{.status = -1, .since_ms = T0_MS + 10}, 2},
        {{.status = -1, .live_only = true}, 6},
        {{.status = WORKFLOW_HELD, .live_only = true}, 3},
        {{.status = WORKFLOW_KILLED, .live_only = true}, 0},
        {{.status = -1, .before_seq = 4}, 3},
    };
    struct workflow_view *views = NULL;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct workflow_filter filter = cases[i].filter;
        filter.limit = 100;
        assert_int_equal(read_workflows(f, &filter, &views), cases[i].count);
    }
    struct workflow_filter page = {.status = -1, .limit = 5};
    uint64_t last = UINT64_MAX;
    uint32_t total = 0;
    for (uint32_t n = read_workflows(f, &page, &views); n > 0;
         n = read_workflows(f, &page, &views)) {
        for (uint32_t i = 0; i < n; i++, total++) {
            assert_true(views[i].seq < last);
            last = page.before_seq = views[i].seq;
        }
    }
    assert_int_equal(total, 12);
}

static void live_workflows_come_oldest_first(void **state)
{
    struct fixture *f = *state;
    struct id ids[9];
    for (uint32_t i = 0; i < 9; i++) {
        struct workflow_row w = fixture_workflow(f);
        w.status = i % 3 == 0 ? WORKFLOW_FAILED : WORKFLOW_WAITING;
        ids[i] = w.id;
        assert_int_equal(fixture_workflow_new(f, &w), 0);
    }
    struct workflow_filter page = {.status = -1, .live_only = true, .limit = 4};
    struct workflow_view *views = NULL;
    static const size_t wanted[] = {1, 2, 4, 5, 7, 8};
    assert_int_equal(read_workflows(f, &page, &views), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_id(views[i].row.id, ids[wanted[i]]);
    }
    page.after_seq = views[3].seq;
    assert_int_equal(read_workflows(f, &page, &views), 2);
    assert_id(views[0].row.id, ids[wanted[4]]);
    assert_id(views[1].row.id, ids[wanted[5]]);
}

/* ---- alerts ------------------------------------------------------------- */

static struct id ingest_alert(struct fixture *f, const char *fingerprint,
                              enum event_state alert, uint64_t ends_ms)
{
    struct event e = fixture_event(f, "am");
    e.fingerprint = str_c(fingerprint);
    e.state = alert;
    e.ends_ms = ends_ms;
    e.dedup_key = str_c(alert == EVENT_RESOLVED ? "" : fingerprint);
    assert_int_equal(fixture_ingest(f, &e, 1), 0);
    return e.id;
}

static uint32_t read_alerts(struct fixture *f, struct event_view **ret)
{
    uint32_t count = 0;
    assert_int_equal(
        f->reader->ops->alerts(f->reader, f->now_ms, 0, &f->arena, ret, &count),
        0);
    return count;
}

static void alerts_are_the_newest_of_each_fingerprint(void **state)
{
    struct fixture *f = *state;
    struct event_view *views = NULL;
    assert_int_equal(read_alerts(f, &views), 0);
    (void)ingest_alert(f, "a", EVENT_FIRING, 0);
    struct id b = ingest_alert(f, "b", EVENT_FIRING, T0_MS + 100);
    (void)ingest_alert(f, "c", EVENT_FIRING, 0);
    (void)ingest_alert(f, "", EVENT_FIRING, 0);      /* no fingerprint */
    (void)ingest_alert(f, "d", EVENT_STATE_NONE, 0); /* no alert */
    (void)ingest_alert(f, "e", EVENT_RESOLVED, 0);   /* never fired */
    (void)ingest_alert(f, "c", EVENT_RESOLVED, 0);
    /* Sent again it is a duplicate, and still the newest word on "a". */
    struct id a = ingest_alert(f, "a", EVENT_FIRING, T0_MS + 200);
    assert_int_equal(f->results[0].status, EVENT_DEDUPLICATED);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(read_alerts(f, &views), 2);
        assert_id(views[0].event.id, a);
        assert_int_equal(views[0].event.ends_ms, T0_MS + 200);
        assert_int_equal(views[0].status, EVENT_DEDUPLICATED);
        assert_id(views[1].event.id, b);
        fixture_restart(f);
    }
    f->now_ms = T0_MS + 100;
    assert_int_equal(read_alerts(f, &views), 1);
    assert_id(views[0].event.id, a);
    f->now_ms = T0_MS + 200;
    assert_int_equal(read_alerts(f, &views), 0);
    /* What was over by itself is told again. */
    b = ingest_alert(f, "b", EVENT_FIRING, 0);
    assert_int_equal(f->results[0].status, EVENT_DEDUPLICATED);
    assert_int_equal(f->driver->maintain(f->store, true), 0);
    assert_int_equal(read_alerts(f, &views), 1);
    assert_id(views[0].event.id, b);
}

static struct id repeat_alert(struct fixture *f, const char *key,
                              enum event_state alert)
{
    struct event e = fixture_event(f, "am");
    e.fingerprint = STR("a");
    e.state = alert;
    e.dedup_key = str_c(key);
    assert_int_equal(fixture_ingest(f, &e, 1), 0);
    return e.id;
}

/* Deliveries that were on their way for long. */
static void a_late_repetition_resolves_and_revives_nothing(void **state)
{
    struct fixture *f = *state;
    struct event_view *views = NULL;
    (void)repeat_alert(f, "1:firing", EVENT_FIRING);
    (void)repeat_alert(f, "1:resolved", EVENT_RESOLVED);
    assert_int_equal(read_alerts(f, &views), 0);
    (void)repeat_alert(f, "1:firing", EVENT_FIRING);
    assert_int_equal(f->results[0].status, EVENT_DEDUPLICATED);
    assert_int_equal(read_alerts(f, &views), 0);
    struct id second = repeat_alert(f, "2:firing", EVENT_FIRING);
    (void)repeat_alert(f, "1:resolved", EVENT_RESOLVED);
    assert_int_equal(f->results[0].status, EVENT_DEDUPLICATED);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(read_alerts(f, &views), 1);
        assert_id(views[0].event.id, second);
        fixture_restart(f);
    }
}

/* Also one whose sender says that it lasts for ever. */
static void an_alert_that_nobody_repeats_is_over(void **state)
{
    struct fixture *f = *state;
    struct event_view *views = NULL;
    (void)ingest_alert(f, "a", EVENT_FIRING, 0);
    (void)ingest_alert(f, "b", EVENT_FIRING, UINT64_C(253402300799000));
    f->now_ms += EVENT_ALERT_SILENT_MS - 1;
    assert_int_equal(read_alerts(f, &views), 2);
    (void)ingest_alert(f, "b", EVENT_FIRING, 0);
    f->now_ms += 1;
    assert_int_equal(f->driver->maintain(f->store, true), 0);
    assert_int_equal(read_alerts(f, &views), 1);
    assert_str(views[0].event.fingerprint, "b");
    f->now_ms += EVENT_ALERT_SILENT_MS;
    assert_int_equal(read_alerts(f, &views), 0);
}

static void alerts_come_in_pages(void **state)
{
    struct fixture *f = *state;
    struct event_view *views = NULL;
    uint32_t count = 0;
    uint32_t total = 0;
    uint64_t before_seq = 0;
    for (int i = 0; i < 2 * STORE_ALERTS_PAGE + 7; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "a%d", i);
        (void)ingest_alert(f, name, EVENT_FIRING, 0);
    }
    do {
        assert_int_equal(f->reader->ops->alerts(f->reader, f->now_ms,
                                                before_seq, &f->arena, &views,
                                                &count),
                         0);
        for (uint32_t i = 0; i < count; i++, total++) {
            assert_true(before_seq == 0 || views[i].event.seq < before_seq);
            before_seq = views[i].event.seq;
        }
    } while (count == STORE_ALERTS_PAGE);
    assert_int_equal(total, 2 * STORE_ALERTS_PAGE + 7);
}

/* ---- counts ------------------------------------------------------------- */

static void counts_workflows_by_status(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w[3];
    for (int i = 0; i < 3; i++) {
        w[i] = fixture_workflow(f);
        assert_int_equal(fixture_workflow_new(f, &w[i]), 0);
    }
    w[1].status = WORKFLOW_WAITING;
    w[1].rev = 2;
    assert_int_equal(fixture_workflow_set(f, &w[1]), 0);
    assert_int_equal(fixture_workflow_set(f, &w[1]), -ESTALE);
    for (int round = 0; round < 2; round++) {
        struct store_counts c = fixture_counts(f);
        assert_int_equal(c.accepted, 0);
        assert_int_equal(c.workflows[WORKFLOW_RUNNING], 2);
        assert_int_equal(c.workflows[WORKFLOW_WAITING], 1);
        fixture_restart(f);
    }
}

static void counts_events_by_what_they_are(void **state)
{
    struct fixture *f = *state;
    struct event e[5];
    for (int i = 0; i < 5; i++) {
        e[i] = fixture_event(f, i == 4 ? "b" : "a");
        e[i].type = i < 2 ? STR("metric") : STR("alert");
        e[i].priority = i == 4 ? 1 : EVENT_PRIORITY_DEFAULT;
    }
    assert_int_equal(fixture_ingest(f, e, 5), 0);
    f->now_ms += 3600000;
    struct event late = fixture_event(f, "a");
    assert_int_equal(fixture_ingest(f, &late, 1), 0);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 1, 3, &claim), 0); /* the urgent one */
    struct event_tally t;
    struct tally_filter filter = {.queued = true};
    assert_int_equal(f->reader->ops->tally(f->reader, &filter, &f->arena, &t),
                     0);
    assert_true(t.complete);
    assert_int_equal(t.group_count, 2);
    assert_str(t.groups[0].type, "alert");
    assert_int_equal(t.groups[0].count, 3);
    assert_int_equal(t.groups[0].oldest_ms, f->now_ms - 3600000);
    assert_str(t.groups[1].type, "metric");
    filter = (struct tally_filter){.since_ms = f->now_ms};
    assert_int_equal(f->reader->ops->tally(f->reader, &filter, &f->arena, &t),
                     0);
    assert_int_equal(t.group_count, 1);
    assert_int_equal(t.accepted, 1);
    filter.since_ms -= 3600000;
    assert_int_equal(f->reader->ops->tally(f->reader, &filter, &f->arena, &t),
                     0);
    assert_int_equal(t.accepted, 6);
    assert_int_equal(t.group_count, 3);
    assert_int_equal(t.groups[2].status, EVENT_PROCESSING);
    assert_int_equal(t.groups[2].priority, 1);
    filter.since_ms = f->now_ms + 1;
    assert_int_equal(f->reader->ops->tally(f->reader, &filter, &f->arena, &t),
                     0);
    assert_int_equal(t.group_count, 0);
    assert_int_equal(t.accepted, 0);
}

const struct conformance_case reader_cases[] = {
    {"counts events by what they are", counts_events_by_what_they_are},
    {"pages have no gaps and no repeats", pages_have_no_gaps_and_no_repeats},
    {"oldest first follows the cursor", oldest_first_follows_the_cursor},
    {"event filters combine", filters_combine},
    {"since survives a clock set back", since_survives_a_clock_set_back},
    {"an unknown event is not found", an_unknown_event_is_not_found},
    {"workflow filters combine and page", workflows_filter_and_page},
    {"live workflows come oldest first", live_workflows_come_oldest_first},
    {"alerts are the newest of each fingerprint",
     alerts_are_the_newest_of_each_fingerprint},
    {"a late repetition resolves and revives nothing",
     a_late_repetition_resolves_and_revives_nothing},
    {"an alert that nobody repeats is over",
     an_alert_that_nobody_repeats_is_over},
    {"alerts come in pages", alerts_come_in_pages},
    {"counts workflows by status", counts_workflows_by_status},
};
const size_t reader_case_count = ARRAY_LEN(reader_cases);
