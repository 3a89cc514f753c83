/* What store.h says about what people change: moved events, priorities,
 * settings, the audit trail. */
#include <errno.h>
#include <string.h>

#include "tests/store/fixture.h"

static uint64_t apply_one(struct fixture *f, struct record record)
{
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = &record, .count = 1}};
    assert_int_equal(fixture_run(f, &op), 0);
    return op.apply.moved;
}

static uint64_t move(struct fixture *f, enum event_status from,
                     enum event_status to, struct id id, uint32_t limit)
{
    return apply_one(f, (struct record){.kind = RECORD_EVENTS_MOVE,
                                        .move = {.from = from,
                                                 .to = to,
                                                 .event_id = id,
                                                 .limit = limit,
                                                 .at_ms = T0_MS + 7,
                                                 .error = STR("by hand")}});
}

static uint32_t count_status(struct fixture *f, enum event_status status)
{
    struct event_filter filter = {.status = (int)status, .limit = 1000};
    struct event_view *rows = NULL;
    uint32_t count = 0;
    assert_int_equal(
        f->reader->ops->events(f->reader, &filter, &f->arena, &rows, &count),
        0);
    return count;
}

/* ---- moving ------------------------------------------------------------- */

static void drains_oldest_first_and_replays(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 10);
    assert_int_equal(move(f, EVENT_QUEUED, EVENT_DRAINED, ID_NULL, 4), 4);
    assert_int_equal(f->driver->queued(f->store), 6);
    assert_int_equal(move(f, EVENT_QUEUED, EVENT_DRAINED, ID_NULL, 1000), 6);
    assert_int_equal(f->driver->queued(f->store), 0);
    assert_int_equal(move(f, EVENT_QUEUED, EVENT_DRAINED, ID_NULL, 1000), 0);
    assert_int_equal(count_status(f, EVENT_DRAINED), 10);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 10, 3, &claim), -EAGAIN);
    assert_int_equal(move(f, EVENT_DRAINED, EVENT_QUEUED, ID_NULL, 3), 3);
    assert_int_equal(fixture_claim(f, 10, 3, &claim), 0);
    assert_int_equal(claim.count, 3);
    assert_int_equal(claim.events[0].seq, 1);
    assert_int_equal(claim.events[0].attempt, 1);
}

static void says_when_and_why(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 2);
    struct id id = f->results[1].id;
    assert_int_equal(move(f, EVENT_QUEUED, EVENT_DRAINED, id, 1000), 1);
    struct event_view v;
    assert_int_equal(f->reader->ops->event(f->reader, id, &f->arena, &v), 0);
    assert_int_equal(v.status, EVENT_DRAINED);
    assert_int_equal(v.processed_ms, T0_MS + 7);
    assert_str(v.error, "by hand");
    assert_int_equal(count_status(f, EVENT_QUEUED), 1);
    /* It is no longer where it is to be moved from. */
    assert_int_equal(move(f, EVENT_QUEUED, EVENT_DRAINED, id, 1000), 0);
}

static void one_in_the_middle_moves_alone(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 9);
    assert_int_equal(move(f, EVENT_QUEUED, EVENT_DRAINED, f->results[4].id, 9),
                     1);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 100, 3, &claim), 0);
    assert_int_equal(claim.count, 8);
    for (uint32_t i = 0; i < claim.count; i++) {
        assert_true(claim.events[i].seq != 5);
    }
    fixture_restart(f);
    assert_int_equal(f->driver->queued(f->store), 8);
}

static void claimed_events_stay(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 5);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 2, 3, &claim), 0);
    assert_int_equal(move(f, EVENT_QUEUED, EVENT_DRAINED, ID_NULL, 1000), 3);
    assert_int_equal(count_status(f, EVENT_PROCESSING), 2);
}

static void a_claim_that_is_given_up_is_queued_again(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 6);
    struct store_claim lost;
    struct store_claim kept;
    assert_int_equal(fixture_claim(f, 3, 2, &lost), 0);
    assert_int_equal(fixture_claim(f, 2, 2, &kept), 0);
    struct record give_up = {.kind = RECORD_EVENTS_FREE,
                             .free_claim = lost.claim};
    assert_int_equal(apply_one(f, give_up), 3);
    assert_int_equal(apply_one(f, give_up), 0);
    assert_int_equal(f->driver->queued(f->store), 4);
    /* What the lost worker says is no longer believed. */
    assert_int_equal(fixture_done(f, &lost, 0, EVENT_PROCESSED), -ESTALE);
    assert_int_equal(fixture_done(f, &kept, 0, EVENT_PROCESSED), 0);
    /* Its tries count: each is given alone, and then it is poison. */
    assert_int_equal(fixture_claim(f, 3, 2, &lost), 0);
    assert_int_equal(lost.count, 1);
    assert_int_equal(lost.events[0].attempt, 2);
    give_up.free_claim = lost.claim;
    assert_int_equal(apply_one(f, give_up), 1);
    assert_int_equal(fixture_claim(f, 3, 2, &lost), 0);
    assert_int_equal(lost.events[0].seq, 2);
    assert_int_equal(count_status(f, EVENT_POISON), 1);
}

static void poison_starts_anew(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 1);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 1, 1, &claim), 0);
    fixture_restart(f);
    assert_int_equal(fixture_claim(f, 1, 1, &claim), -EAGAIN);
    assert_int_equal(count_status(f, EVENT_POISON), 1);
    assert_str(fixture_read(f, f->results[0].id).error, STORE_POISON_ERROR);
    assert_int_equal(move(f, EVENT_POISON, EVENT_QUEUED, ID_NULL, 10), 1);
    assert_int_equal(fixture_claim(f, 1, 1, &claim), 0);
    assert_int_equal(claim.events[0].attempt, 1);
}

/* ---- priorities --------------------------------------------------------- */

static uint64_t rank(struct fixture *f, const char *type, const char *severity,
                     uint8_t priority, uint64_t first_seq, uint32_t limit)
{
    return apply_one(f, (struct record){.kind = RECORD_EVENTS_RANK,
                                        .rank = {.type = str_c(type),
                                                 .severity = str_c(severity),
                                                 .priority = priority,
                                                 .first_seq = first_seq,
                                                 .limit = limit}});
}

/* Every third event is a critical alert, the others are metrics. */
static void fill_mixed(struct fixture *f, uint32_t n)
{
    struct event events[64];
    for (uint32_t i = 0; i < n; i++) {
        events[i] = fixture_event(f, "mixed");
        events[i].type = i % 3 == 0 ? STR("alert") : STR("metric");
        events[i].severity = i % 3 == 0 ? STR("critical") : STR("");
    }
    assert_int_equal(fixture_ingest(f, events, n), 0);
}

static void reorders_what_is_queued(void **state)
{
    struct fixture *f = *state;
    fill_mixed(f, 30);
    assert_int_equal(rank(f, "alert", "critical", 1, 0, 1000), 10);
    assert_int_equal(rank(f, "alert", "critical", 1, 0, 1000), 0);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 10, 3, &claim), 0);
    assert_int_equal(claim.count, 10);
    for (uint32_t i = 0; i < claim.count; i++) {
        assert_int_equal(claim.events[i].seq, i * 3 + 1);
    }
    assert_int_equal(fixture_claim(f, 100, 3, &claim), 0);
    assert_int_equal(claim.count, 20);
    assert_int_equal(claim.events[0].seq, 2);
}

static void ranks_a_window_only(void **state)
{
    struct fixture *f = *state;
    fill_mixed(f, 30);
    assert_int_equal(rank(f, "", "", 2, 11, 5), 5);
    assert_int_equal(rank(f, "metric", "", 0, 1, 10), 6);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 6, 3, &claim), 0);
    assert_int_equal(claim.events[0].seq, 2);
    assert_int_equal(claim.events[5].seq, 9);
    assert_int_equal(fixture_claim(f, 5, 3, &claim), 0);
    assert_int_equal(claim.events[0].seq, 11);
    assert_int_equal(claim.events[4].seq, 15);
}

/* ---- settings ----------------------------------------------------------- */

static void set(struct fixture *f, const char *key, const char *value)
{
    (void)apply_one(f, (struct record){.kind = RECORD_SETTING,
                                       .setting = {.key = str_c(key),
                                                   .value = str_c(value),
                                                   .at_ms = T0_MS,
                                                   .by = STR("uid:0")}});
}

static uint32_t read_settings(struct fixture *f, const char *prefix,
                              struct setting_row **ret)
{
    uint32_t count = 0;
    assert_int_equal(f->reader->ops->settings(f->reader, str_c(prefix),
                                              &f->arena, ret, &count),
                     0);
    return count;
}

static void settings_outlive_a_restart(void **state)
{
    struct fixture *f = *state;
    set(f, "runbook/b.yaml", "{\"disabled\":true}");
    set(f, "runbook/a.yaml", "1");
    set(f, "runbook/a.yaml", "2");
    set(f, "runbook_", "no");
    set(f, "workers", "8");
    set(f, "gone", "1");
    set(f, "gone", "");
    set(f, "never", "");
    fixture_restart(f);
    struct setting_row *rows = NULL;
    assert_int_equal(read_settings(f, "runbook/", &rows), 2);
    assert_str(rows[0].key, "runbook/a.yaml");
    assert_str(rows[0].value, "2");
    assert_int_equal(rows[0].at_ms, T0_MS);
    assert_str(rows[0].by, "uid:0");
    assert_str(rows[1].key, "runbook/b.yaml");
    assert_int_equal(read_settings(f, "", &rows), 4);
    assert_int_equal(read_settings(f, "gone", &rows), 0);
}

/* ---- requests with a key ------------------------------------------------ */

static void a_key_remembers_what_was_made(void **state)
{
    struct fixture *f = *state;
    const struct reader_ops *ops = f->reader->ops;
    struct record_request r = {.key = STR("execute uid:0/once"),
                               .hash = {1, 2, 3},
                               .expires_ms = T0_MS + 1000,
                               .made = fixture_id(f)};
    const uint8_t other[32] = {3, 2, 1};
    struct id made = ID_NULL;
    assert_int_equal(ops->request(f->reader, r.key, r.hash, T0_MS, &made),
                     -ENOENT);
    (void)apply_one(f, (struct record){.kind = RECORD_REQUEST, .request = r});
    fixture_restart(f);
    ops = f->reader->ops;
    assert_int_equal(ops->request(f->reader, r.key, r.hash, T0_MS, &made), 0);
    assert_true(id_eq(made, r.made));
    assert_int_equal(ops->request(f->reader, r.key, other, T0_MS, &made),
                     -EEXIST);
    assert_int_equal(
        ops->request(f->reader, r.key, r.hash, r.expires_ms, &made), -ENOENT);
}

/* ---- the audit trail ---------------------------------------------------- */

static const struct record pause_row = {
    .kind = RECORD_AUDIT,
    .audit = {.at_ms = T0_MS,
              .who = {"uid:1000", 8},
              .action = {"processing.pause", 16},
              .subject = {"", 0},
              .before = {"false", 5},
              .after = {"true", 4}},
};

static uint32_t read_audit(struct fixture *f, struct audit_filter filter,
                           struct audit_row **ret)
{
    uint32_t count = 0;
    assert_int_equal(
        f->reader->ops->audit(f->reader, &filter, &f->arena, ret, &count), 0);
    return count;
}

static void the_trail_is_a_chain(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        (void)apply_one(f, pause_row);
        if (i == 2) {
            fixture_restart(f);
        }
    }
    struct audit_row *rows = NULL;
    assert_int_equal(
        read_audit(f, (struct audit_filter){.oldest_first = true, .limit = 9},
                   &rows),
        5);
    uint8_t before[AUDIT_HASH_BYTES] = {0};
    for (uint32_t i = 0; i < 5; i++) {
        uint8_t hash[AUDIT_HASH_BYTES];
        audit_hash(before, &rows[i], hash);
        assert_int_equal(rows[i].seq, i + 1);
        assert_memory_equal(hash, rows[i].hash, sizeof(hash));
        memcpy(before, hash, sizeof(before));
    }
    struct audit_end end = {0};
    assert_int_equal(f->reader->ops->audit_end(f->reader, &end), 0);
    assert_int_equal(end.seq, 5);
    assert_memory_equal(end.hash, before, sizeof(before));
    assert_str(rows[0].who, "uid:1000");
    assert_str(rows[0].action, "processing.pause");
    assert_str(rows[0].before, "false");
    assert_str(rows[0].after, "true");
    assert_int_equal(
        read_audit(f, (struct audit_filter){.before_seq = 4, .limit = 2},
                   &rows),
        2);
    assert_int_equal(rows[0].seq, 3);
    assert_int_equal(rows[1].seq, 2);
}

/* A change and its row in the trail are one: all or none. */
static void a_failed_change_leaves_no_row(void **state)
{
    struct fixture *f = *state;
    struct workflow_row nobodys = fixture_workflow(f);
    nobodys.rev = 2;
    struct record records[] = {
        pause_row, {.kind = RECORD_WORKFLOW_SET, .workflow = nobodys}};
    assert_int_equal(fixture_apply(f, records, 2), -ESTALE);
    struct audit_row *rows = NULL;
    assert_int_equal(read_audit(f, (struct audit_filter){.limit = 9}, &rows),
                     0);
    (void)apply_one(f, pause_row);
    assert_int_equal(read_audit(f, (struct audit_filter){.limit = 9}, &rows),
                     1);
    assert_int_equal(rows[0].seq, 1);
}

/* ---- verdicts ------------------------------------------------------------ */

static struct record verdict_record(uint64_t about_ms, uint8_t no,
                                    enum verdict verdict)
{
    struct verdict_row row = {.subject = id_floor(about_ms),
                              .verdict = verdict,
                              .about_ms = about_ms,
                              .at_ms = T0_MS,
                              .by = STR("uid:0"),
                              .note = STR("so it was")};
    row.subject.bytes[15] = no;
    return (struct record){.kind = RECORD_VERDICT, .verdict = row};
}

static uint64_t count_verdicts(struct fixture *f, uint64_t since_ms,
                               enum verdict which)
{
    uint64_t counts[VERDICTS];
    assert_int_equal(
        f->reader->ops->verdict_counts(f->reader, since_ms, counts), 0);
    return counts[which];
}

static uint32_t read_verdicts(struct fixture *f, struct verdict_filter filter,
                              struct verdict_row **ret)
{
    uint32_t count = 0;
    assert_int_equal(
        f->reader->ops->verdicts(f->reader, &filter, &f->arena, ret, &count),
        0);
    return count;
}

static void verdicts_are_one_for_each_subject(void **state)
{
    struct fixture *f = *state;
    const struct record first = verdict_record(T0_MS, 1, VERDICT_CORRECT);
    struct verdict_row row;
    (void)apply_one(f, first);
    (void)apply_one(f, verdict_record(T0_MS, 2, VERDICT_CORRECT));
    (void)apply_one(f, verdict_record(T0_MS, 1, VERDICT_FALSE_POSITIVE));
    fixture_restart(f);
    assert_int_equal(count_verdicts(f, 0, VERDICT_CORRECT), 1);
    assert_int_equal(count_verdicts(f, 0, VERDICT_FALSE_POSITIVE), 1);
    struct id subject = first.verdict.subject;
    assert_int_equal(
        f->reader->ops->verdict(f->reader, subject, &f->arena, &row), 0);
    assert_id(row.subject, subject);
    assert_int_equal(row.verdict, VERDICT_FALSE_POSITIVE);
    assert_int_equal(row.about_ms, T0_MS);
    assert_int_equal(row.at_ms, T0_MS);
    assert_str(row.by, "uid:0");
    assert_str(row.note, "so it was");
    /* Withdrawn, twice. */
    (void)apply_one(f, verdict_record(T0_MS, 1, VERDICT_NONE));
    (void)apply_one(f, verdict_record(T0_MS, 1, VERDICT_NONE));
    assert_int_equal(
        f->reader->ops->verdict(f->reader, subject, &f->arena, &row), -ENOENT);
    assert_int_equal(count_verdicts(f, 0, VERDICT_FALSE_POSITIVE), 0);
}

static void verdicts_are_counted_and_listed_by_time(void **state)
{
    struct fixture *f = *state;
    for (uint8_t i = 0; i < 5; i++) {
        (void)apply_one(f, verdict_record(T0_MS + i, i, VERDICT_MISSED));
        (void)apply_one(
            f, verdict_record(T0_MS + i, (uint8_t)(i + 10), VERDICT_CORRECT));
    }
    assert_int_equal(count_verdicts(f, T0_MS + 2, VERDICT_MISSED), 3);
    assert_int_equal(count_verdicts(f, T0_MS + 5, VERDICT_MISSED), 0);
    struct verdict_row *rows = NULL;
    struct verdict_filter any = {.verdict = -1, .limit = 3};
    assert_int_equal(read_verdicts(f, any, &rows), 3);
    assert_int_equal(rows[0].about_ms, T0_MS + 4);
    assert_int_equal(rows[0].verdict, VERDICT_CORRECT);
    assert_int_equal(rows[1].verdict, VERDICT_MISSED);
    assert_int_equal(rows[2].about_ms, T0_MS + 3);
    struct verdict_filter missed = {
        .verdict = VERDICT_MISSED, .since_ms = T0_MS + 3, .limit = 9};
    assert_int_equal(read_verdicts(f, missed, &rows), 2);
}

/* With what is wrong beside it, all of it is as it was. */
static void a_verdict_that_fails_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct workflow_row nobodys = fixture_workflow(f);
    nobodys.rev = 2;
    (void)apply_one(f, verdict_record(T0_MS, 1, VERDICT_CORRECT));
    struct record records[] = {
        verdict_record(T0_MS, 1, VERDICT_NONE),
        verdict_record(T0_MS, 2, VERDICT_MISSED),
        {.kind = RECORD_WORKFLOW_SET, .workflow = nobodys}};
    assert_int_equal(fixture_apply(f, records, 3), -ESTALE);
    assert_int_equal(count_verdicts(f, 0, VERDICT_CORRECT), 1);
    assert_int_equal(count_verdicts(f, 0, VERDICT_MISSED), 0);
}

const struct conformance_case change_cases[] = {
    {"drains oldest first and replays", drains_oldest_first_and_replays},
    {"says when and why", says_when_and_why},
    {"one in the middle moves alone", one_in_the_middle_moves_alone},
    {"claimed events stay", claimed_events_stay},
    {"a claim that is given up is queued again",
     a_claim_that_is_given_up_is_queued_again},
    {"poison starts anew", poison_starts_anew},
    {"reorders what is queued", reorders_what_is_queued},
    {"ranks a window only", ranks_a_window_only},
    {"settings outlive a restart", settings_outlive_a_restart},
    {"a key remembers what was made", a_key_remembers_what_was_made},
    {"the trail is a chain", the_trail_is_a_chain},
    {"a failed change leaves no row", a_failed_change_leaves_no_row},
    {"verdicts are one for each subject", verdicts_are_one_for_each_subject},
    {"verdicts are counted and listed by time",
     verdicts_are_counted_and_listed_by_time},
    {"a verdict that fails changes nothing",
     a_verdict_that_fails_changes_nothing},
};
const size_t change_case_count = ARRAY_LEN(change_cases);
