/* What store.h says about events: ingest, claim, done. */
#include <errno.h>
#include <string.h>

#include "tests/store/fixture.h"

/* ---- ingest ------------------------------------------------------------- */

static void keeps_every_field(void **state)
{
    struct fixture *f = *state;
    struct label labels[] = {{STR("instance"), STR("web-1")},
                             {STR("job"), STR("node")}};
    struct event e = fixture_event(f, "prometheus");
    e.state = EVENT_FIRING;
    e.priority = 2;
    e.starts_ms = T0_MS - 5000;
    e.ends_ms = T0_MS + 5000;
    e.fingerprint = STR("00ff");
    e.dedup_key = STR("a key");
    e.labels = (struct labels){.at = labels, .count = 2};
    e.body = STR("{\"text\":\"\xc3\xa9\\u0000\"}");
    assert_int_equal(fixture_ingest(f, &e, 1), 0);
    assert_true(e.seq > 0);
    assert_id(f->results[0].id, e.id);
    assert_int_equal(f->results[0].status, EVENT_QUEUED);
    assert_true(id_is_null(f->results[0].duplicate_of));

    struct event_view v = fixture_read(f, e.id);
    assert_int_equal(v.status, EVENT_QUEUED);
    assert_int_equal(v.processed_ms, 0);
    assert_str(v.error, "");
    assert_true(id_is_null(v.duplicate_of));
    assert_int_equal(v.event.seq, e.seq);
    assert_int_equal(v.event.received_ms, e.received_ms);
    assert_int_equal(v.event.state, EVENT_FIRING);
    assert_int_equal(v.event.priority, 2);
    assert_int_equal(v.event.attempt, 0);
    assert_int_equal(v.event.starts_ms, e.starts_ms);
    assert_int_equal(v.event.ends_ms, e.ends_ms);
    assert_str(v.event.type, "alert");
    assert_str(v.event.severity, "critical");
    assert_str(v.event.source, "prometheus");
    assert_str(v.event.fingerprint, "00ff");
    assert_str(v.event.dedup_key, "a key");
    assert_str(v.event.body, e.body.at);
    assert_int_equal(v.event.labels.count, 2);
    assert_str(v.event.labels.at[0].name, "instance");
    assert_str(v.event.labels.at[1].value, "node");

    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 10, 3, &claim), 0);
    assert_int_equal(claim.events[0].ends_ms, e.ends_ms);
    assert_str(claim.events[0].body, e.body.at);
    assert_str(claim.events[0].labels.at[1].name, "job");
}

static void a_batch_is_all_or_none(void **state)
{
    struct fixture *f = *state;
    struct event first = fixture_event(f, "first");
    assert_int_equal(fixture_ingest(f, &first, 1), 0);
    struct event events[3] = {fixture_event(f, "a"), fixture_event(f, "b"),
                              fixture_event(f, "c")};
    for (int i = 0; i < 3; i++) {
        events[i].dedup_key = STR("same");
        events[i].fingerprint = STR("f");
        events[i].state = EVENT_FIRING;
    }
    struct id fresh = events[2].id;
    events[2].id = first.id; /* stored already */
    assert_int_equal(fixture_ingest(f, events, 3), -EEXIST);
    struct event_view v;
    assert_int_equal(
        f->reader->ops->event(f->reader, events[0].id, &f->arena, &v), -ENOENT);
    assert_int_equal(fixture_counts(f).accepted, 1);
    assert_int_equal(f->driver->queued(f->store), 1);
    fixture_check(f);
    /* Nor is its dedup key taken. */
    events[2].id = fresh;
    assert_int_equal(fixture_ingest(f, events, 3), 0);
    assert_int_equal(f->results[0].status, EVENT_QUEUED);
    assert_int_equal(f->results[2].status, EVENT_DEDUPLICATED);
}

static void a_failed_operation_leaves_the_others(void **state)
{
    struct fixture *f = *state;
    struct event good[2] = {fixture_event(f, "a"), fixture_event(f, "b")};
    struct event bad[2] = {fixture_event(f, "c"), good[0]};
    struct store_ingested results[3][2];
    struct store_op ops[3];
    struct event *events[3] = {&good[0], bad, &good[1]};
    for (int i = 0; i < 3; i++) {
        ops[i] = (struct store_op){
            .kind = STORE_INGEST,
            .ingest = {.events = events[i],
                       .count = i == 1 ? 2 : 1,
                       .results = results[i]},
        };
        list_push(&f->group.ops, &ops[i].link);
    }
    assert_int_equal(
        commit_group_run(f->driver, f->store, &f->group, f->now_ms), 0);
    list_init(&f->group.finished);
    assert_int_equal(ops[0].result, 0);
    assert_int_equal(ops[1].result, -EEXIST);
    assert_int_equal(ops[2].result, 0);
    assert_int_equal(fixture_counts(f).accepted, 2);
    assert_int_equal(good[1].seq, good[0].seq + 1);
}

static void a_full_queue_refuses_the_whole_batch(void **state)
{
    struct fixture *f = *state;
    f->options.queue_limit = 5;
    fixture_restart(f);
    fixture_fill(f, 3);
    struct event events[3] = {fixture_event(f, "a"), fixture_event(f, "b"),
                              fixture_event(f, "c")};
    assert_int_equal(fixture_ingest(f, events, 3), -EAGAIN);
    assert_int_equal(fixture_counts(f).accepted, 3);
    assert_int_equal(fixture_ingest(f, events, 2), 0);
    assert_int_equal(fixture_ingest(f, &events[2], 1), -EAGAIN);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 1, 3, &claim), 0);
    assert_int_equal(fixture_ingest(f, &events[2], 1), 0);
}

static void a_known_dedup_key_makes_a_duplicate(void **state)
{
    struct fixture *f = *state;
    struct event events[3] = {fixture_event(f, "a"), fixture_event(f, "b"),
                              fixture_event(f, "c")};
    events[0].dedup_key = events[1].dedup_key = STR("k");
    events[2].dedup_key = STR("other");
    assert_int_equal(fixture_ingest(f, events, 3), 0);
    assert_int_equal(f->results[0].status, EVENT_QUEUED);
    assert_int_equal(f->results[1].status, EVENT_DEDUPLICATED);
    assert_id(f->results[1].duplicate_of, events[0].id);
    assert_int_equal(f->results[2].status, EVENT_QUEUED);
    struct event_view v = fixture_read(f, events[1].id);
    assert_int_equal(v.status, EVENT_DEDUPLICATED);
    assert_id(v.duplicate_of, events[0].id);
    assert_int_equal(f->driver->queued(f->store), 2);

    fixture_restart(f); /* the key outlives the process */
    struct event again = fixture_event(f, "d");
    again.dedup_key = STR("k");
    assert_int_equal(fixture_ingest(f, &again, 1), 0);
    assert_id(f->results[0].duplicate_of, events[0].id);

    f->now_ms += 59999;
    again.id = fixture_id(f);
    assert_int_equal(fixture_ingest(f, &again, 1), 0);
    assert_int_equal(f->results[0].status, EVENT_DEDUPLICATED);

    f->now_ms += 1; /* it has expired: the next one is a first one */
    again.id = fixture_id(f);
    assert_int_equal(fixture_ingest(f, &again, 1), 0);
    assert_int_equal(f->results[0].status, EVENT_QUEUED);
    struct id renewed = again.id;
    again.id = fixture_id(f);
    assert_int_equal(fixture_ingest(f, &again, 1), 0);
    assert_id(f->results[0].duplicate_of, renewed);
}

static void an_empty_dedup_key_is_never_known(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        struct event e = fixture_event(f, "same");
        assert_int_equal(fixture_ingest(f, &e, 1), 0);
        assert_int_equal(f->results[0].status, EVENT_QUEUED);
    }
}

static int ingest_with_key(struct fixture *f, struct event *events,
                           uint32_t count, const char *key, uint8_t body,
                           bool *ret_replayed)
{
    struct store_op op = {
        .kind = STORE_INGEST,
        .ingest = {.events = events,
                   .count = count,
                   .request_key = str_c(key),
                   .request_hash = {body},
                   .request_expires_ms = f->now_ms + 1000,
                   .dedup_expires_ms = f->now_ms + 1000,
                   .results = f->results},
    };
    int r = fixture_run(f, &op);
    *ret_replayed = op.ingest.replayed;
    return r;
}

static void a_repeated_request_gets_the_first_answer(void **state)
{
    struct fixture *f = *state;
    struct event first[2] = {fixture_event(f, "a"), fixture_event(f, "b")};
    first[0].dedup_key = first[1].dedup_key = STR("k");
    bool replayed = true;
    assert_int_equal(ingest_with_key(f, first, 2, "r1", 1, &replayed), 0);
    assert_false(replayed);

    f->options.queue_limit = 1; /* also when the queue is full by now */
    fixture_restart(f);
    struct event again[2] = {fixture_event(f, "a"), fixture_event(f, "b")};
    assert_int_equal(ingest_with_key(f, again, 2, "r1", 1, &replayed), 0);
    assert_true(replayed);
    for (int i = 0; i < 2; i++) {
        assert_id(f->results[i].id, first[i].id);
    }
    assert_int_equal(f->results[0].status, EVENT_QUEUED);
    assert_int_equal(f->results[1].status, EVENT_DEDUPLICATED);
    assert_id(f->results[1].duplicate_of, first[0].id);
    assert_int_equal(fixture_counts(f).accepted, 2);

    assert_int_equal(ingest_with_key(f, again, 2, "r1", 2, &replayed), -EEXIST);
    assert_false(replayed);
    assert_int_equal(ingest_with_key(f, again, 1, "r1", 1, &replayed), -EEXIST);
    assert_int_equal(fixture_counts(f).accepted, 2);
}

static void a_request_key_expires(void **state)
{
    struct fixture *f = *state;
    struct event e = fixture_event(f, "a");
    bool replayed = false;
    assert_int_equal(ingest_with_key(f, &e, 1, "r1", 1, &replayed), 0);
    f->now_ms += 1000;
    e.id = fixture_id(f);
    assert_int_equal(ingest_with_key(f, &e, 1, "r1", 2, &replayed), 0);
    assert_false(replayed);
    assert_id(f->results[0].id, e.id);
    assert_int_equal(ingest_with_key(f, &e, 1, "r1", 2, &replayed), 0);
    assert_true(replayed);
    assert_int_equal(fixture_counts(f).accepted, 2);
}

static void a_refused_request_does_not_take_its_key(void **state)
{
    struct fixture *f = *state;
    f->options.queue_limit = 1;
    fixture_restart(f);
    struct event events[2] = {fixture_event(f, "a"), fixture_event(f, "b")};
    bool replayed = false;
    assert_int_equal(ingest_with_key(f, events, 2, "r", 1, &replayed), -EAGAIN);
    assert_int_equal(ingest_with_key(f, events, 1, "r", 9, &replayed), 0);
    assert_false(replayed);
}

/* ---- claim -------------------------------------------------------------- */

static void claims_by_priority_then_age(void **state)
{
    struct fixture *f = *state;
    static const uint8_t priorities[] = {5, 0, 9, 5, 0};
    static const char *const wanted[] = {"b", "e", "a", "d", "c"};
    struct event events[5];
    for (size_t i = 0; i < 5; i++) {
        char source[2] = {(char)('a' + i), '\0'};
        events[i] = fixture_event(f, source);
        events[i].source = arena_str(&f->arena, str_c(source));
        events[i].priority = priorities[i];
    }
    assert_int_equal(fixture_ingest(f, events, 5), 0);
    struct store_claim first;
    struct store_claim second;
    assert_int_equal(fixture_claim(f, 3, 3, &first), 0);
    assert_int_equal(fixture_claim(f, 3, 3, &second), 0);
    assert_int_equal(first.count, 3);
    assert_int_equal(second.count, 2);
    assert_int_not_equal(first.claim, second.claim);
    for (uint32_t i = 0; i < 5; i++) {
        const struct event *e =
            i < 3 ? &first.events[i] : &second.events[i - 3];
        assert_str(e->source, wanted[i]);
        assert_int_equal(e->attempt, 1);
        assert_int_equal(fixture_read(f, e->id).status, EVENT_PROCESSING);
    }
    assert_int_equal(fixture_claim(f, 3, 3, &first), -EAGAIN);
    assert_int_equal(f->driver->queued(f->store), 0);
}

static void a_tried_event_is_given_alone(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 4);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 4, 3, &claim), 0);
    assert_int_equal(claim.count, 4);
    struct store_claim tried = claim;
    assert_int_equal(fixture_done(f, &tried, 1, EVENT_ERROR), 0);
    fixture_fill(f, 2); /* behind it */
    assert_int_equal(fixture_claim(f, 10, 3, &claim), 0);
    assert_int_equal(claim.count, 1);
    assert_str(claim.events[0].source, "1");
    assert_int_equal(claim.events[0].attempt, 2);

    /* A batch of fresh ones ends before a tried one. */
    assert_int_equal(fixture_done(f, &tried, 3, EVENT_ERROR), 0);
    struct event urgent = fixture_event(f, "urgent");
    urgent.priority = 0;
    assert_int_equal(fixture_ingest(f, &urgent, 1), 0);
    assert_int_equal(fixture_claim(f, 10, 3, &claim), 0);
    assert_int_equal(claim.count, 1);
    assert_str(claim.events[0].source, "urgent");
    assert_int_equal(fixture_claim(f, 10, 3, &claim), 0);
    assert_int_equal(claim.count, 1);
    assert_str(claim.events[0].source, "3");
    assert_int_equal(fixture_claim(f, 10, 3, &claim), 0);
    assert_int_equal(claim.count, 2);
}

static void too_many_attempts_make_poison(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 1);
    struct store_claim claim;
    for (uint32_t i = 1; i <= 2; i++) {
        assert_int_equal(fixture_claim(f, 10, 2, &claim), 0);
        assert_int_equal(claim.events[0].attempt, i);
        assert_int_equal(fixture_done(f, &claim, 0, EVENT_ERROR), 0);
    }
    struct id id = claim.events[0].id;
    f->now_ms += 10;
    assert_int_equal(fixture_claim(f, 10, 2, &claim), -EAGAIN);
    struct event_view v = fixture_read(f, id);
    assert_int_equal(v.status, EVENT_POISON);
    assert_int_equal(v.event.attempt, 2);
    assert_int_equal(v.processed_ms, f->now_ms);
    assert_int_equal(f->driver->queued(f->store), 0);
    fixture_restart(f);
    assert_int_equal(fixture_read(f, id).status, EVENT_POISON);
}

static void poison_does_not_stop_the_rest(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 3);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 2, 1, &claim), 0);
    fixture_restart(f); /* the worker died with both */
    assert_int_equal(f->opened.events_requeued, 2);
    assert_int_equal(fixture_claim(f, 10, 1, &claim), 0);
    assert_int_equal(claim.count, 1);
    assert_str(claim.events[0].source, "2");
    assert_int_equal(fixture_counts(f).events[EVENT_POISON], 2);
}

/* ---- done --------------------------------------------------------------- */

static void only_the_claim_may_finish_an_event(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 2);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 2, 3, &claim), 0);

    struct store_claim wrong = claim;
    wrong.claim++;
    assert_int_equal(fixture_done(f, &wrong, 0, EVENT_PROCESSED), -ESTALE);
    struct event other[2] = {claim.events[1], claim.events[0]};
    other[0].seq = claim.events[0].seq;
    wrong = claim;
    wrong.events = other;
    assert_int_equal(fixture_done(f, &wrong, 0, EVENT_PROCESSED), -ESTALE);
    other[0] = claim.events[0];
    other[0].seq = 999;
    assert_int_equal(fixture_done(f, &wrong, 0, EVENT_PROCESSED), -ESTALE);
    other[0].seq = 0;
    assert_int_equal(fixture_done(f, &wrong, 0, EVENT_PROCESSED), -ESTALE);

    f->now_ms += 7;
    assert_int_equal(fixture_done(f, &claim, 0, EVENT_PROCESSED), 0);
    assert_int_equal(fixture_done(f, &claim, 0, EVENT_PROCESSED), -ESTALE);
    struct event_view v = fixture_read(f, claim.events[0].id);
    assert_int_equal(v.status, EVENT_PROCESSED);
    assert_int_equal(v.processed_ms, f->now_ms);
    assert_int_equal(v.event.attempt, 1);
}

static void an_error_is_queued_again(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 1);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 1, 3, &claim), 0);
    struct record r = {
        .kind = RECORD_EVENT_DONE,
        .event_done = {.seq = claim.events[0].seq,
                       .event_id = claim.events[0].id,
                       .claim = claim.claim,
                       .status = EVENT_ERROR,
                       .at_ms = f->now_ms,
                       .error = STR("no such label")},
    };
    assert_int_equal(fixture_apply(f, &r, 1), 0);
    struct event_view v = fixture_read(f, claim.events[0].id);
    assert_int_equal(v.status, EVENT_ERROR);
    assert_str(v.error, "no such label");
    assert_int_equal(v.processed_ms, 0);
    assert_int_equal(f->driver->queued(f->store), 1);
    /* The old claim is over, even while nobody has another one. */
    assert_int_equal(fixture_apply(f, &r, 1), -ESTALE);
    struct store_claim second;
    assert_int_equal(fixture_claim(f, 1, 3, &second), 0);
    assert_int_equal(fixture_done(f, &claim, 0, EVENT_PROCESSED), -ESTALE);
    assert_int_equal(fixture_done(f, &second, 0, EVENT_PROCESSED), 0);
}

/* Neighbours may be stored as one: what is said of some is not said of the
 * others, in whichever order it comes. */
static void each_event_of_a_batch_has_its_own_end(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 10);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 10, 3, &claim), 0);
    struct record records[10];
    for (uint32_t i = 0; i < 10; i++) {
        records[i] = (struct record){
            .kind = RECORD_EVENT_DONE,
            .event_done = {.seq = claim.events[i].seq,
                           .event_id = claim.events[i].id,
                           .claim = claim.claim,
                           .status = EVENT_PROCESSED,
                           .at_ms = f->now_ms,
                           .decision = STR("{\"runbooks\":\"00ff\"}")},
        };
    }
    records[8].event_done.decision = STR("{}");
    records[7].event_done.event_id = claim.events[6].id;
    assert_int_equal(fixture_apply(f, records, 10), -ESTALE);
    assert_int_equal(fixture_counts(f).events[EVENT_PROCESSING], 10);
    records[7].event_done.event_id = claim.events[7].id;

    records[4].event_done.status = EVENT_SUPPRESSED;
    assert_int_equal(fixture_apply(f, &records[3], 3), 0);
    fixture_check(f);
    assert_int_equal(fixture_apply(f, records, 10), -ESTALE);
    assert_int_equal(fixture_apply(f, records, 4), -ESTALE);
    assert_int_equal(fixture_counts(f).events[EVENT_PROCESSING], 7);
    records[9].event_done.status = EVENT_ERROR;
    assert_int_equal(fixture_apply(f, &records[6], 4), 0);
    assert_int_equal(fixture_apply(f, records, 3), 0);
    for (uint32_t i = 0; i < 10; i++) {
        struct event_view v = fixture_read(f, claim.events[i].id);
        assert_int_equal(v.status, records[i].event_done.status);
        assert_int_equal(v.event.attempt, 1);
        assert_true(str_eq(v.decision, records[i].event_done.decision));
    }
    fixture_restart(f);
    struct event_view v = fixture_read(f, claim.events[8].id);
    assert_str(v.decision, "{}");
}

static void records_are_applied_all_or_none(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 3);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 3, 3, &claim), 0);
    struct workflow_row w = fixture_workflow(f);
    struct record records[4];
    for (uint32_t i = 0; i < 3; i++) {
        records[i] = (struct record){
            .kind = RECORD_EVENT_DONE,
            .event_done = {.seq = claim.events[i].seq,
                           .event_id = claim.events[i].id,
                           .claim = claim.claim,
                           .status = EVENT_PROCESSED},
        };
    }
    records[3] = records[2];
    records[2] = (struct record){.kind = RECORD_WORKFLOW_NEW, .workflow = w};
    records[3].event_done.claim++;
    assert_int_equal(fixture_apply(f, records, 4), -ESTALE);
    assert_int_equal(fixture_counts(f).events[EVENT_PROCESSING], 3);
    struct workflow_view v;
    assert_int_equal(f->reader->ops->workflow(f->reader, w.id, &f->arena, &v),
                     -ENOENT);
    fixture_check(f);
    records[3].event_done.claim--;
    assert_int_equal(fixture_apply(f, records, 4), 0);
    assert_int_equal(fixture_counts(f).events[EVENT_PROCESSED], 3);
    assert_int_equal(fixture_counts(f).workflows[WORKFLOW_RUNNING], 1);
}

static void a_restart_fences_old_claims(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 2);
    struct store_claim old;
    assert_int_equal(fixture_claim(f, 2, 5, &old), 0);
    assert_int_equal(fixture_done(f, &old, 0, EVENT_PROCESSED), 0);
    fixture_restart(f);
    assert_int_equal(f->opened.events_requeued, 1);
    assert_int_equal(fixture_counts(f).events[EVENT_QUEUED], 1);
    assert_int_equal(fixture_done(f, &old, 1, EVENT_PROCESSED), -ESTALE);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 2, 5, &claim), 0);
    assert_int_equal(claim.count, 1);
    assert_int_equal(claim.events[0].attempt, 2); /* the try is counted */
    assert_int_not_equal(claim.claim, old.claim);
    assert_int_equal(fixture_done(f, &old, 1, EVENT_PROCESSED), -ESTALE);
    assert_int_equal(fixture_done(f, &claim, 0, EVENT_PROCESSED), 0);
}

static void the_ledger_counts_every_status(void **state)
{
    struct fixture *f = *state;
    static const enum event_status ends[] = {EVENT_PROCESSED, EVENT_SUPPRESSED,
                                             EVENT_ERROR};
    fixture_fill(f, 5);
    struct event twice[2] = {fixture_event(f, "x"), fixture_event(f, "x")};
    twice[0].dedup_key = twice[1].dedup_key = STR("k");
    assert_int_equal(fixture_ingest(f, twice, 2), 0);
    struct store_claim claim;
    assert_int_equal(fixture_claim(f, 4, 3, &claim), 0);
    for (uint32_t i = 0; i < ARRAY_LEN(ends); i++) {
        assert_int_equal(fixture_done(f, &claim, i, ends[i]), 0);
    }
    for (int round = 0; round < 2; round++) {
        struct store_counts c = fixture_counts(f);
        uint64_t sum = 0;
        for (int i = 0; i < EVENT_STATUSES; i++) {
            sum += c.events[i];
        }
        assert_int_equal(c.accepted, 7);
        assert_int_equal(sum, 7); /* I1 */
        assert_int_equal(c.events[EVENT_PROCESSED], 1);
        assert_int_equal(c.events[EVENT_SUPPRESSED], 1);
        assert_int_equal(c.events[EVENT_ERROR], 1);
        assert_int_equal(c.events[EVENT_DEDUPLICATED], 1);
        assert_int_equal(c.events[EVENT_PROCESSING], round == 0 ? 1 : 0);
        assert_int_equal(c.events[EVENT_QUEUED], round == 0 ? 2 : 3);
        fixture_check(f);
        fixture_restart(f);
    }
}

static void rollback_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 2);
    struct store_claim before;
    assert_int_equal(fixture_claim(f, 1, 3, &before), 0);
    struct store_counts counts = fixture_counts(f);

    struct event e = fixture_event(f, "a");
    e.dedup_key = STR("k");
    e.fingerprint = STR("fp");
    e.state = EVENT_FIRING;
    struct store_op ingest = {
        .kind = STORE_INGEST,
        .ingest = {.events = &e,
                   .count = 1,
                   .request_key = STR("r"),
                   .request_expires_ms = f->now_ms + 1000,
                   .dedup_expires_ms = f->now_ms + 1000,
                   .results = f->results},
    };
    struct store_op claim = {
        .kind = STORE_CLAIM,
        .claim = {.limit = 9, .max_attempts = 3, .arena = &f->arena},
    };
    struct workflow_row w = fixture_workflow(f);
    struct record record = {.kind = RECORD_WORKFLOW_NEW, .workflow = w};
    struct store_op apply = {.kind = STORE_APPLY,
                             .apply = {.records = &record, .count = 1}};
    struct store_op *ops[] = {&ingest, &claim, &apply};
    assert_int_equal(f->driver->begin(f->store), 0);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        assert_int_equal(f->driver->run(f->store, ops[i], f->now_ms), 0);
    }
    assert_int_equal(claim.claim.count, 2);
    f->driver->rollback(f->store);

    struct store_counts after = fixture_counts(f);
    assert_memory_equal(&after, &counts, sizeof(counts));
    assert_int_equal(f->driver->queued(f->store), 1);
    fixture_check(f);
    uint64_t seq = e.seq;
    assert_int_equal(fixture_run(f, &ingest), 0);
    assert_false(ingest.ingest.replayed);
    assert_int_equal(f->results[0].status, EVENT_QUEUED);
    assert_int_equal(e.seq, seq);
    assert_int_equal(fixture_apply(f, &record, 1), 0);
    assert_int_equal(fixture_done(f, &before, 0, EVENT_PROCESSED), 0);
}

const struct conformance_case event_cases[] = {
    {"keeps every field of an event", keeps_every_field},
    {"a batch is all or none", a_batch_is_all_or_none},
    {"a failed operation leaves the others",
     a_failed_operation_leaves_the_others},
    {"a full queue refuses the whole batch",
     a_full_queue_refuses_the_whole_batch},
    {"a known dedup key makes a duplicate",
     a_known_dedup_key_makes_a_duplicate},
    {"an empty dedup key is never known", an_empty_dedup_key_is_never_known},
    {"a repeated request gets the first answer",
     a_repeated_request_gets_the_first_answer},
    {"a request key expires", a_request_key_expires},
    {"a refused request does not take its key",
     a_refused_request_does_not_take_its_key},
    {"claims by priority, then age", claims_by_priority_then_age},
    {"a tried event is given alone", a_tried_event_is_given_alone},
    {"too many attempts make poison", too_many_attempts_make_poison},
    {"poison does not stop the rest", poison_does_not_stop_the_rest},
    {"only the claim may finish an event", only_the_claim_may_finish_an_event},
    {"an error is queued again", an_error_is_queued_again},
    {"each event of a batch has its own end",
     each_event_of_a_batch_has_its_own_end},
    {"records are applied all or none", records_are_applied_all_or_none},
    {"a restart fences old claims", a_restart_fences_old_claims},
    {"the ledger counts every status", the_ledger_counts_every_status},
    {"rollback leaves no trace", rollback_leaves_no_trace},
};
const size_t event_case_count = ARRAY_LEN(event_cases);
