/* What store.h says about workflows, attempts, output and runbooks. */
#include <errno.h>
#include <string.h>

#include "tests/store/fixture.h"

static struct workflow_view read_workflow(struct fixture *f, struct id id)
{
    struct workflow_view v;
    assert_int_equal(f->reader->ops->workflow(f->reader, id, &f->arena, &v), 0);
    return v;
}

static uint32_t read_attempts(struct fixture *f, struct id id,
                              struct attempt_row **ret)
{
    uint32_t count = 0;
    assert_int_equal(
        f->reader->ops->attempts(f->reader, id, &f->arena, ret, &count), 0);
    return count;
}

/* ---- workflows ---------------------------------------------------------- */

static void keeps_every_field(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    memset(w.runbook_hash.bytes, 0xAB, sizeof(w.runbook_hash.bytes));
    w.runbook_commit = STR("c0ffee");
    w.event_id = fixture_id(f);
    w.trigger_no = 3;
    w.subject = STR("instance=web-1");
    w.parameters = STR("{\"service\":\"nginx\"}");
    w.requested_by = STR("trigger");
    w.dry_run = true;
    w.status = WORKFLOW_QUEUED;
    w.deadline_ms = 0;
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    struct workflow_view v = read_workflow(f, w.id);
    assert_true(v.seq > 0);
    assert_id(v.row.id, w.id);
    assert_str(v.row.runbook_path, "remediation/restart.yaml");
    assert_str(v.row.runbook_name, "restart");
    assert_memory_equal(&v.row.runbook_hash, &w.runbook_hash,
                        sizeof(w.runbook_hash));
    assert_str(v.row.runbook_commit, "c0ffee");
    assert_id(v.row.event_id, w.event_id);
    assert_int_equal(v.row.trigger_no, 3);
    assert_str(v.row.parameters, "{\"service\":\"nginx\"}");
    assert_str(v.row.subject, "instance=web-1");
    assert_str(v.row.requested_by, "trigger");
    assert_true(v.row.dry_run);
    assert_int_equal(v.row.created_ms, w.created_ms);
    assert_int_equal(v.row.status, WORKFLOW_QUEUED);
    assert_int_equal(v.row.rev, 1);

    struct workflow_row set = {.id = w.id,
                               .status = WORKFLOW_RUNNING,
                               .stop = STOP_CANCEL,
                               .stopped_by = STR("uid:1000"),
                               .step_no = 2,
                               .started_ms = T0_MS + 1,
                               .wake_ms = T0_MS + 2,
                               .deadline_ms = T0_MS + 3,
                               .rev = 2};
    assert_int_equal(fixture_workflow_set(f, &set), 0);
    set.status = WORKFLOW_FAILED;
    set.result = RESULT_UNVERIFIED;
    set.finished_ms = T0_MS + 4;
    set.wake_ms = 0;
    set.error = STR("step 2 failed");
    set.rev = 3;
    assert_int_equal(fixture_workflow_set(f, &set), 0);
    v = read_workflow(f, w.id);
    assert_int_equal(v.row.status, WORKFLOW_FAILED);
    assert_int_equal(v.row.result, RESULT_UNVERIFIED);
    assert_int_equal(v.row.stop, STOP_CANCEL);
    assert_str(v.row.stopped_by, "uid:1000");
    assert_int_equal(v.row.step_no, 2);
    assert_int_equal(v.row.started_ms, T0_MS + 1);
    assert_int_equal(v.row.finished_ms, T0_MS + 4);
    assert_int_equal(v.row.wake_ms, 0);
    assert_int_equal(v.row.deadline_ms, T0_MS + 3);
    assert_str(v.row.error, "step 2 failed");
    assert_int_equal(v.row.rev, 3);
    /* The other half is fixed: an empty path in the record changed nothing. */
    assert_str(v.row.runbook_path, "remediation/restart.yaml");
    assert_int_equal(v.row.trigger_no, 3);
}

static void the_revision_fences_late_writers(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    w.rev = 2;
    assert_int_equal(fixture_workflow_set(f, &w), -ESTALE); /* not there */
    w.rev = 1;
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    assert_int_equal(fixture_workflow_set(f, &w), -ESTALE); /* rev 1 again */
    w.rev = 3;
    assert_int_equal(fixture_workflow_set(f, &w), -ESTALE); /* a gap */
    w.rev = 2;
    assert_int_equal(fixture_workflow_set(f, &w), 0);
    assert_int_equal(fixture_workflow_set(f, &w), -ESTALE); /* twice */
    assert_int_equal(read_workflow(f, w.id).row.rev, 2);
}

static void a_trigger_starts_once_per_event(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    w.event_id = fixture_id(f);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    struct workflow_row changed = w;
    changed.step_no = 7;
    assert_int_equal(fixture_workflow_new(f, &changed), 0); /* a repeat */
    assert_int_equal(read_workflow(f, w.id).row.step_no, 0);
    assert_int_equal(fixture_counts(f).workflows[WORKFLOW_RUNNING], 1);

    struct workflow_row other = w;
    other.id = fixture_id(f);
    assert_int_equal(fixture_workflow_new(f, &other), -EEXIST); /* I2 */
    other.trigger_no = 1;
    assert_int_equal(fixture_workflow_new(f, &other), 0);
    other.id = fixture_id(f);
    other.runbook_path = STR("another.yaml");
    assert_int_equal(fixture_workflow_new(f, &other), 0);
    other.id = fixture_id(f);
    other.event_id = fixture_id(f);
    assert_int_equal(fixture_workflow_new(f, &other), 0);
    for (int i = 0; i < 2; i++) { /* by hand: as often as one likes */
        other.id = fixture_id(f);
        other.event_id = ID_NULL;
        assert_int_equal(fixture_workflow_new(f, &other), 0);
    }
    fixture_restart(f);
    other = w;
    other.id = fixture_id(f);
    assert_int_equal(fixture_workflow_new(f, &other), -EEXIST);
}

static void the_next_session_owns_live_workflows(void **state)
{
    struct fixture *f = *state;
    struct workflow_row live = fixture_workflow(f);
    struct workflow_row final = fixture_workflow(f);
    assert_int_equal(fixture_workflow_new(f, &live), 0);
    assert_int_equal(fixture_workflow_new(f, &final), 0);
    final.status = WORKFLOW_SUCCEEDED;
    final.rev = 2;
    assert_int_equal(fixture_workflow_set(f, &final), 0);
    struct attempt_row t = fixture_attempt(f, final.id);
    fixture_restart(f);
    live.rev = 2;
    assert_int_equal(fixture_workflow_set(f, &live), 0);
    /* What is over stays with whom it was: nobody writes to it any more. */
    final.rev = 3;
    assert_int_equal(fixture_workflow_set(f, &final), -ESTALE);
    assert_int_equal(fixture_attempt_new(f, &t), -ESTALE);
}

/* ---- attempts ----------------------------------------------------------- */

static void attempts_keep_every_field(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    struct attempt_row t = fixture_attempt(f, w.id);
    t.key.step_no = 4;
    assert_int_equal(fixture_attempt_new(f, &t), 0);
    struct attempt_row set = t;
    set.state = ATTEMPT_FAILED;
    set.executor = fixture_id(f);
    set.pid = 4321;
    set.requested_ms = T0_MS + 7; /* asked for again */
    set.started_ms = T0_MS + 1;
    set.finished_ms = T0_MS + 2;
    set.exit_code = -1;
    set.term_signal = 9;
    set.output_bytes = 1ULL << 40;
    set.output_truncated = true;
    set.survivors = 2;
    set.error = STR("killed");
    set.outputs = STR("{\"used\":93}");
    assert_int_equal(fixture_attempt_set(f, &set), 0);
    struct attempt_row *rows = NULL;
    assert_int_equal(read_attempts(f, w.id, &rows), 1);
    assert_id(rows[0].key.workflow_id, w.id);
    assert_int_equal(rows[0].key.step_no, 4);
    assert_int_equal(rows[0].key.attempt, 1);
    assert_int_equal(rows[0].state, ATTEMPT_FAILED);
    assert_id(rows[0].executor, set.executor);
    assert_int_equal(rows[0].pid, 4321);
    assert_int_equal(rows[0].requested_ms, T0_MS + 7);
    assert_int_equal(rows[0].started_ms, T0_MS + 1);
    assert_int_equal(rows[0].finished_ms, T0_MS + 2);
    assert_int_equal(rows[0].exit_code, -1);
    assert_int_equal(rows[0].term_signal, 9);
    assert_int_equal(rows[0].output_bytes, 1ULL << 40);
    assert_true(rows[0].output_truncated);
    assert_int_equal(rows[0].survivors, 2);
    assert_str(rows[0].error, "killed");
    assert_str(rows[0].outputs, "{\"used\":93}");
}

/* A step that there was nothing to be done for. */
static void an_attempt_may_be_born_final(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    struct attempt_row t = fixture_attempt(f, w.id);
    struct attempt_row *rows = NULL;
    t.state = ATTEMPT_SKIPPED;
    t.executor = ID_NULL;
    t.outputs = STR("{}");
    assert_int_equal(fixture_attempt_new(f, &t), 0);
    assert_int_equal(fixture_attempt_new(f, &t), 0); /* a repeat */
    assert_int_equal(read_attempts(f, w.id, &rows), 1);
    assert_int_equal(rows[0].state, ATTEMPT_SKIPPED);
    assert_id(rows[0].executor, ID_NULL);
    assert_str(rows[0].outputs, "{}");
    t.state = ATTEMPT_SUCCEEDED;
    assert_int_equal(fixture_attempt_set(f, &t), -ESTALE);
}

static void one_attempt_in_flight_and_one_success(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    struct attempt_row t = fixture_attempt(f, w.id);
    assert_int_equal(fixture_attempt_new(f, &t), -ESTALE); /* no workflow */
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    assert_int_equal(fixture_attempt_new(f, &t), 0);
    assert_int_equal(fixture_attempt_new(f, &t), 0); /* a repeat */
    struct attempt_row second = t;
    second.executor = fixture_id(f);
    assert_int_equal(fixture_attempt_new(f, &second), -EEXIST);
    second.key.attempt = 2;
    assert_int_equal(fixture_attempt_new(f, &second), -EEXIST); /* I4 */
    struct attempt_row elsewhere = t;
    elsewhere.key.step_no = 1;
    assert_int_equal(fixture_attempt_new(f, &elsewhere), 0);

    t.state = ATTEMPT_RUNNING;
    assert_int_equal(fixture_attempt_set(f, &t), 0);
    assert_int_equal(fixture_attempt_new(f, &second), -EEXIST);
    t.state = ATTEMPT_FAILED;
    assert_int_equal(fixture_attempt_set(f, &t), 0);
    assert_int_equal(fixture_attempt_new(f, &second), 0);
    second.state = ATTEMPT_SUCCEEDED;
    assert_int_equal(fixture_attempt_set(f, &second), 0);

    struct attempt_row third = t;
    third.key.attempt = 3;
    third.state = ATTEMPT_SUCCEEDED;
    assert_int_equal(fixture_attempt_new(f, &third), -EEXIST); /* I4 */
}

static void a_final_attempt_stays(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    struct attempt_row t = fixture_attempt(f, w.id);
    assert_int_equal(fixture_attempt_set(f, &t), -ESTALE); /* not there */
    assert_int_equal(fixture_attempt_new(f, &t), 0);
    t.state = ATTEMPT_TIMED_OUT;
    assert_int_equal(fixture_attempt_set(f, &t), 0);
    t.state = ATTEMPT_SUCCEEDED;
    assert_int_equal(fixture_attempt_set(f, &t), -ESTALE);
    t.state = ATTEMPT_RUNNING;
    assert_int_equal(fixture_attempt_set(f, &t), -ESTALE);
    struct attempt_row *rows = NULL;
    assert_int_equal(read_attempts(f, w.id, &rows), 1);
    assert_int_equal(rows[0].state, ATTEMPT_TIMED_OUT);
}

static void attempts_come_by_step_then_number(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    static const uint32_t order[][2] = {{1, 10}, {0, 2}, {1, 2}, {0, 1}};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        struct attempt_row t = fixture_attempt(f, w.id);
        t.key.step_no = order[i][0];
        t.key.attempt = order[i][1];
        t.state = ATTEMPT_FAILED;
        assert_int_equal(fixture_attempt_new(f, &t), 0);
    }
    struct attempt_row *rows = NULL;
    assert_int_equal(read_attempts(f, w.id, &rows), 4);
    static const uint32_t wanted[][2] = {{0, 1}, {0, 2}, {1, 2}, {1, 10}};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        assert_int_equal(rows[i].key.step_no, wanted[i][0]);
        assert_int_equal(rows[i].key.attempt, wanted[i][1]);
    }
    assert_int_equal(read_attempts(f, fixture_id(f), &rows), 0);
}

/* ---- output ------------------------------------------------------------- */

static int add_output(struct fixture *f, struct id workflow_id,
                      uint32_t attempt, uint64_t offset, struct str data)
{
    struct record r = {
        .kind = RECORD_OUTPUT,
        .output = {.key = {.workflow_id = workflow_id, .attempt = attempt},
                   .offset = offset,
                   .stream = OUTPUT_STDERR,
                   .at_ms = f->now_ms,
                   .data = data},
    };
    return fixture_apply(f, &r, 1);
}

static void output_is_kept_once_and_in_order(void **state)
{
    struct fixture *f = *state;
    struct workflow_row w = fixture_workflow(f);
    struct workflow_row other = fixture_workflow(f);
    assert_int_equal(add_output(f, w.id, 1, 0, STR("x")), 0); /* nobody's */
    assert_int_equal(fixture_workflow_new(f, &w), 0);
    assert_int_equal(fixture_workflow_new(f, &other), 0);
    assert_int_equal(add_output(f, w.id, 1, 0, STR("a\0b\xff")), 0);
    assert_int_equal(add_output(f, other.id, 1, 0, STR("other")), 0);
    assert_int_equal(add_output(f, w.id, 2, 0, STR("c")), 0);
    assert_int_equal(add_output(f, w.id, 1, 4, STR("d")), 0);
    assert_int_equal(add_output(f, w.id, 1, 4, STR("not again")), 0);

    static const char *const wanted[] = {"a\0b\xff", "c", "d"};
    static const size_t sizes[] = {4, 1, 1};
    struct output_filter page = {.workflow_id = w.id, .limit = 2};
    size_t seen = 0;
    for (;;) {
        struct output_chunk *chunks = NULL;
        uint32_t count = 0;
        assert_int_equal(f->reader->ops->output(f->reader, &page, &f->arena,
                                                &chunks, &count,
                                                &page.after_seq),
                         0);
        assert_true(seen + count <= 3);
        for (uint32_t i = 0; i < count && seen < 3; i++, seen++) {
            assert_id(chunks[i].key.workflow_id, w.id);
            assert_int_equal(chunks[i].data.len, sizes[seen]);
            assert_memory_equal(chunks[i].data.at, wanted[seen], sizes[seen]);
            assert_int_equal(chunks[i].stream, OUTPUT_STDERR);
            assert_int_equal(chunks[i].at_ms, T0_MS);
        }
        if (count == 0) {
            break;
        }
    }
    assert_int_equal(seen, 3);

    /* The last words of a workflow that ended before a restart. */
    w.status = WORKFLOW_KILLED;
    w.rev = 2;
    assert_int_equal(fixture_workflow_set(f, &w), 0);
    fixture_restart(f);
    assert_int_equal(add_output(f, w.id, 1, 5, STR("late")), 0);
}

/* ---- runbooks ----------------------------------------------------------- */

static int pin(struct fixture *f, uint8_t hash, struct str text)
{
    struct store_op op = {
        .kind = STORE_PIN,
        .pin = {.hash = {{hash}}, .path = STR("a.yaml"), .text = text},
    };
    return fixture_run(f, &op);
}

static void a_pinned_runbook_is_read_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(pin(f, 1, STR("name: one\n")), 0);
    assert_int_equal(pin(f, 1, STR("not this")), 0);
    assert_int_equal(pin(f, 2, STR("")), 0);
    for (uint8_t i = 1; i <= 2; i++) {
        struct workflow_row w = fixture_workflow(f);
        w.runbook_hash = (struct runbook_hash){{i}};
        assert_int_equal(fixture_workflow_new(f, &w), 0);
    }
    fixture_restart(f);
    struct runbook_hash hash = {{1}};
    struct str path = STR_NULL;
    struct str text = STR_NULL;
    assert_int_equal(
        f->reader->ops->runbook(f->reader, &hash, &f->arena, &path, &text), 0);
    assert_str(path, "a.yaml");
    assert_str(text, "name: one\n");
    hash.bytes[0] = 2;
    assert_int_equal(
        f->reader->ops->runbook(f->reader, &hash, &f->arena, &path, &text), 0);
    assert_str(text, "");
    hash.bytes[31] = 1;
    assert_int_equal(
        f->reader->ops->runbook(f->reader, &hash, &f->arena, &path, &text),
        -ENOENT);
}

const struct conformance_case workflow_cases[] = {
    {"keeps every field of a workflow", keeps_every_field},
    {"the revision fences late writers", the_revision_fences_late_writers},
    {"a trigger starts once per event (I2)", a_trigger_starts_once_per_event},
    {"the next session owns live workflows",
     the_next_session_owns_live_workflows},
    {"keeps every field of an attempt", attempts_keep_every_field},
    {"takes an attempt that is born final", an_attempt_may_be_born_final},
    {"one attempt in flight and one success (I4)",
     one_attempt_in_flight_and_one_success},
    {"a final attempt stays", a_final_attempt_stays},
    {"attempts come by step, then number", attempts_come_by_step_then_number},
    {"output is kept once and in order", output_is_kept_once_and_in_order},
    {"a pinned runbook is read back", a_pinned_runbook_is_read_back},
};
const size_t workflow_case_count = ARRAY_LEN(workflow_cases);
