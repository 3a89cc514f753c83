/* The store on a failing disk: for n = 1, 2… the nth write or sync fails,
 * until a run passes untouched. After each run the store is opened again:
 * what was acknowledged is there, what was refused is not, and the file and
 * the ledger are sound. */
#include "tests/store/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "store/sqlite_priv.h"
#include "tests/store/fault_vfs.h"

enum { STEPS = 5, SINGLES = 3, BATCH = 5, SWEPT = 6 };

/* What the store has told its users. */
struct told {
    VEC(struct id) accepted;
    VEC(struct id) refused; /* "nothing is stored" */
    VEC(struct id) processed;
    VEC(struct workflow_row) workflows;
};

struct run {
    struct fixture *f;
    struct told told;
    bool dead; /* -EIO was told: the process must end */
    bool swept;
    uint64_t removed; /* events, as told; more may be */
};

static const char *padding(void)
{
    static char body[1500];
    if (body[0] == '\0') {
        memset(body, 'x', sizeof(body) - 1);
    }
    return body;
}

/* ---- the load ----------------------------------------------------------- */

static void tell_ingest(struct run *r, const struct event *events,
                        uint32_t count, int result)
{
    for (uint32_t i = 0; i < count; i++) {
        if (result == 0) {
            VEC_PUSH(&r->told.accepted, events[i].id);
        } else if (result == -ENOSPC) {
            VEC_PUSH(&r->told.refused, events[i].id);
        }
    }
}

static void ingest_some(struct run *r)
{
    struct fixture *f = r->f;
    struct event events[SINGLES + BATCH];
    struct store_op ops[SINGLES + 1];
    for (uint32_t i = 0; i < SINGLES + BATCH; i++) {
        events[i] = fixture_event(f, "x");
        events[i].body = str_c(padding());
        events[i].fingerprint = STR("f");
        events[i].state = EVENT_FIRING;
    }
    for (uint32_t i = 0; i <= SINGLES; i++) {
        ops[i] = (struct store_op){
            .kind = STORE_INGEST,
            .ingest = {.events = &events[i],
                       .count = i < SINGLES ? 1 : BATCH,
                       .results = &f->results[i]},
        };
        list_push(&f->group.ops, &ops[i].link);
    }
    r->dead = commit_group_run(f->driver, f->store, &f->group, f->now_ms) < 0;
    list_init(&f->group.finished);
    for (uint32_t i = 0; i <= SINGLES; i++) {
        tell_ingest(r, &events[i], ops[i].ingest.count, ops[i].result);
    }
}

static void finish_some(struct run *r)
{
    struct fixture *f = r->f;
    struct store_claim claim = {0};
    int result = fixture_claim(f, 4, 9, &claim);
    for (uint32_t i = 0; result == 0 && i < claim.count; i++) {
        result =
            fixture_done(f, &claim, i, i == 3 ? EVENT_ERROR : EVENT_PROCESSED);
        if (result == 0 && i != 3) {
            VEC_PUSH(&r->told.processed, claim.events[i].id);
        }
    }
    r->dead = result == -EIO;
    /* Finishing is never refused because of space. */
    assert_true(result == 0 || result == -EIO || result == -EAGAIN);
}

static void run_workflow(struct run *r)
{
    struct fixture *f = r->f;
    struct workflow_row w = fixture_workflow(f);
    struct attempt_row t = fixture_attempt(f, w.id);
    struct record records[2] = {
        {.kind = RECORD_WORKFLOW_NEW, .workflow = w},
        {.kind = RECORD_ATTEMPT_NEW, .attempt = t},
    };
    int result = fixture_apply(f, records, 2);
    if (result == 0) {
        VEC_PUSH(&r->told.workflows, w);
        w.rev = 2;
        w.status = WORKFLOW_SUCCEEDED;
        result = fixture_workflow_set(f, &w);
    }
    if (result == 0) {
        r->told.workflows.at[r->told.workflows.count - 1] = w;
    }
    assert_true(result == 0 || result == -EIO);
    r->dead = result < 0;
}

/* Removes what is over of the first events, alerts' newest aside. */
static void sweep_some(struct run *r)
{
    struct fixture *f = r->f;
    struct record record = {
        .kind = RECORD_EVENTS_DROP,
        .drop = {.first_seq = 1, .limit = SWEPT, .before_ms = f->now_ms + 1}};
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = &record, .count = 1}};
    int result = fixture_run(f, &op);
    assert_true(result == 0 || result == -EIO);
    r->swept = true;
    r->removed += result == 0 ? op.apply.moved : 0;
    r->dead = result < 0;
}

static void maintain(struct run *r, int step)
{
    r->dead = store_sqlite.maintain(r->f->store, step % 2 == 1) < 0;
}

static void load(struct run *r)
{
    for (int step = 0; step < STEPS && !r->dead; step++) {
        ingest_some(r);
        if (!r->dead) {
            finish_some(r);
        }
        if (!r->dead) {
            run_workflow(r);
        }
        if (!r->dead && step > STEPS / 2) {
            sweep_some(r);
        }
        if (!r->dead) {
            maintain(r, step);
        }
    }
}

/* ---- what must be true after -------------------------------------------- */

/* True when the event is there, false when it may have been removed. */
static bool read_told(const struct run *r, struct id id, struct event_view *ret)
{
    struct fixture *f = r->f;
    int result = f->reader->ops->event(f->reader, id, &f->arena, ret);
    assert_true(result == 0 || (r->swept && result == -ENOENT));
    return result == 0;
}

static void check_told(const struct run *r)
{
    struct fixture *f = r->f;
    struct event_view v;
    uint64_t gone = 0;
    VEC_EACH (&r->told.accepted, i) {
        gone += read_told(r, r->told.accepted.at[i], &v) ? 0 : 1;
    }
    assert_true(gone >= r->removed && gone <= (r->swept ? SWEPT : 0));
    assert_int_equal(fixture_counts(f).removed_events, gone);
    VEC_EACH (&r->told.processed, i) {
        if (read_told(r, r->told.processed.at[i], &v)) {
            assert_int_equal(v.status, EVENT_PROCESSED);
        }
    }
    VEC_EACH (&r->told.refused, i) {
        assert_int_equal(f->reader->ops->event(f->reader, r->told.refused.at[i],
                                               &f->arena, &v),
                         -ENOENT);
    }
    VEC_EACH (&r->told.workflows, i) {
        struct workflow_view w;
        assert_int_equal(f->reader->ops->workflow(f->reader,
                                                  r->told.workflows.at[i].id,
                                                  &f->arena, &w),
                         0);
        assert_true(w.row.rev >= r->told.workflows.at[i].rev);
    }
    fixture_check(f);
}

static void forget_told(struct run *r)
{
    VEC_DEINIT(&r->told.accepted);
    VEC_DEINIT(&r->told.refused);
    VEC_DEINIT(&r->told.processed);
    VEC_DEINIT(&r->told.workflows);
}

/* Ends the process that had the store, without a word. */
static void crash(struct fixture *f)
{
    fault_vfs_die();
    fixture_close(f);
    commit_group_init(&f->group);
}

static void start_over(struct fixture *f)
{
    fixture_close(f);
    fixture_remove_directory(f->directory);
    fixture_make_directory(f->directory);
    arena_reset(&f->arena);
    fixture_open(f);
}

/* ---- the loops ---------------------------------------------------------- */

static void fail_while_running(struct fixture *f, enum fault_kind kind)
{
    bool fired = true;
    uint64_t n = 0;
    while (fired) {
        n++;
        start_over(f);
        struct run r = {.f = f};
        fault_vfs_arm(kind, n);
        load(&r);
        fired = fault_vfs_fired();
        assert_true(fired || !r.dead);
        crash(f);
        fault_vfs_restore(&f->prng);
        fixture_open(f);
        assert_true(f->opened.unclean && f->opened.checked);
        check_told(&r);
        forget_told(&r);
    }
    (void)printf("# %s while running: %llu places\n", fault_names[kind],
                 (unsigned long long)n - 1);
    assert_true(n > 10);
}

/* Opening after a crash is interrupted by another one. */
static void fail_while_opening(struct fixture *f, enum fault_kind kind)
{
    bool fired = true;
    uint64_t n = 0;
    while (fired) {
        n++;
        start_over(f);
        struct run r = {.f = f};
        load(&r);
        crash(f);
        fault_vfs_arm(kind, n);
        struct err err = ERR_INIT;
        struct store *s = NULL;
        f->options.session = fixture_id(f);
        int result = store_sqlite.open(&f->options, &s, &f->opened, &err);
        fired = fault_vfs_fired();
        assert_true(result == 0 || (fired && err.message[0] != '\0'));
        if (result == 0) {
            fault_vfs_die();
            store_sqlite.close(s);
        }
        fault_vfs_restore(&f->prng);
        fixture_open(f);
        check_told(&r);
        forget_told(&r);
    }
    (void)printf("# %s while opening: %llu places\n", fault_names[kind],
                 (unsigned long long)n - 1);
}

static void survives_failed_writes(void **state)
{
    fail_while_running(*state, FAULT_WRITE_IO);
    fail_while_opening(*state, FAULT_WRITE_IO);
}

static void survives_a_full_disk(void **state)
{
    fail_while_running(*state, FAULT_WRITE_FULL);
    fail_while_opening(*state, FAULT_WRITE_FULL);
}

static void survives_failed_syncs(void **state)
{
    fail_while_running(*state, FAULT_SYNC_IO);
    fail_while_opening(*state, FAULT_SYNC_IO);
}

static void survives_torn_writes(void **state)
{
    fail_while_running(*state, FAULT_TORN);
    fail_while_opening(*state, FAULT_TORN);
}

static void survives_power_cuts(void **state)
{
    fail_while_running(*state, FAULT_POWER);
    fail_while_opening(*state, FAULT_POWER);
}

static void an_io_error_is_final(void **state)
{
    struct fixture *f = *state;
    fixture_fill(f, 1);
    fault_vfs_arm(FAULT_SYNC_IO, 1);
    struct event e = fixture_event(f, "x");
    assert_int_equal(fixture_ingest(f, &e, 1), -EIO);
    assert_true(fault_vfs_fired());
    /* The disk works again, but what it holds is not known any more. */
    e.id = fixture_id(f);
    assert_int_equal(fixture_ingest(f, &e, 1), -EIO);
    assert_int_equal(store_sqlite.maintain(f->store, true), -EIO);
    fixture_restart(f);
    assert_true(f->opened.unclean);
    assert_int_equal(fixture_ingest(f, &e, 1), 0);
}

/* The log is synced, copied into the database, and that is synced. */
static void a_failed_checkpoint_is_final(void **state)
{
    struct fixture *f = *state;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        fixture_fill(f, 10);
        fault_vfs_arm(FAULT_SYNC_IO, nth);
        assert_int_equal(store_sqlite.maintain(f->store, true), -EIO);
        assert_true(fault_vfs_fired());
        fault_vfs_arm(FAULT_NONE, 0);
        assert_int_equal(store_sqlite.maintain(f->store, true), -EIO);
        struct event e = fixture_event(f, "x");
        assert_int_equal(fixture_ingest(f, &e, 1), -EIO);
        fixture_restart(f);
        assert_true(f->opened.unclean);
        assert_int_equal(fixture_counts(f).accepted, 10 * nth);
    }
}

#define CASE(name)                                                             \
    {                                                                          \
#name, name, fixture_setup, fixture_teardown,                          \
            (void *)(uintptr_t)&store_sqlite                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_io_error_is_final),   CASE(a_failed_checkpoint_is_final),
        CASE(survives_failed_writes), CASE(survives_a_full_disk),
        CASE(survives_failed_syncs),  CASE(survives_torn_writes),
        CASE(survives_power_cuts),
    };
    fault_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
