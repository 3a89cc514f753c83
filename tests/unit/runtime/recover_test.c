/* Recovery: when one of the workflows cannot be carried on, because the runbook
 * version that it pinned does not load any more, the others go on; and what
 * triggers remember is back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/runtime.h"
#include "store/committer.h"
#include "store/memory.h"

#define T0_MS 1800000000000ULL

static const char good_text[] =
    "name: Good\nsteps:\n"
    "  - {name: a, action: exec, command: 'true'}\n";
static const char bad_text[] = "name: Bad\nsoon: unknown\nsteps: []\n";

struct bench {
    struct store *store;
    struct reader *reader;
    struct commit_group group;
    struct runtime *rt;
    uint8_t ids;
    uint64_t wake_ms;
};

/* ---- ports -------------------------------------------------------------- */

static uint64_t now_ms(void *context)
{
    (void)context;
    return T0_MS + 1000;
}

static void fill_random(void *context, void *buf, size_t len)
{
    (void)context;
    memset(buf, 7, len);
}

static void submit(void *context, struct store_op *op)
{
    struct bench *b = context;
    list_push(op->kind == STORE_CLAIM ? &b->group.claims : &b->group.ops,
              &op->link);
}

static void wake(void *context, uint64_t at_ms)
{
    ((struct bench *)context)->wake_ms = at_ms;
}

static void execute(void *context, const struct exec_message *m)
{
    (void)context;
    (void)m;
    fail_msg("nobody is connected");
}

static void fatal(void *context, int errnum)
{
    (void)context;
    fail_msg("fatal: %s", strerror(-errnum));
}

static void run_group(struct bench *b)
{
    assert_int_equal(
        commit_group_run(&store_memory, b->store, &b->group, T0_MS), 0);
    for (struct list *it = list_pop(&b->group.finished); it != NULL;
         it = list_pop(&b->group.finished)) {
        runtime_op_done(b->rt, CONTAINER_OF(it, struct store_op, link));
    }
}

static void stop_runtime(struct bench *b)
{
    runtime_halt(b->rt);
    for (struct list *it = list_pop(&b->group.claims); it != NULL;
         it = list_pop(&b->group.claims)) {
        struct store_op *op = CONTAINER_OF(it, struct store_op, link);
        op->result = -ECANCELED;
        runtime_op_done(b->rt, op);
    }
    runtime_free(b->rt);
}

/* ---- what is in the store ------------------------------------------------ */

static struct id new_id(struct bench *b)
{
    uint8_t random[10] = {++b->ids};
    return id_make(T0_MS, random);
}

static void run(struct bench *b, struct store_op *op)
{
    assert_int_equal(store_memory.begin(b->store), 0);
    assert_int_equal(store_memory.run(b->store, op, T0_MS), 0);
    assert_int_equal(store_memory.commit(b->store), 0);
}

/* A workflow that is running its only step. */
static struct id add_workflow(struct bench *b, const char *path,
                              const char *text)
{
    struct runbook_hash hash = runbook_hash_of(str_c(text));
    struct store_op pin = {
        .kind = STORE_PIN,
        .pin = {.hash = hash, .path = str_c(path), .text = str_c(text)}};
    struct id id = new_id(b);
    const struct record records[] = {
        {.kind = RECORD_WORKFLOW_NEW,
         .workflow = {.id = id,
                      .runbook_path = str_c(path),
                      .runbook_name = STR("name"),
                      .runbook_hash = hash,
                      .runbook_commit = STR(""),
                      .parameters = STR("{}"),
                      .requested_by = STR("uid:0"),
                      .created_ms = T0_MS,
                      .defaults = RUNBOOK_DEFAULTS,
                      .status = WORKFLOW_RUNNING,
                      .stopped_by = STR(""),
                      .started_ms = T0_MS,
                      .deadline_ms = T0_MS + 60000,
                      .error = STR(""),
                      .rev = 1}},
        {.kind = RECORD_ATTEMPT_NEW,
         .attempt = {.key = {.workflow_id = id, .attempt = 1},
                     .state = ATTEMPT_STARTING,
                     .executor = new_id(b),
                     .requested_ms = T0_MS,
                     .exit_code = -1,
                     .error = STR("")}},
    };
    struct store_op apply = {
        .kind = STORE_APPLY,
        .apply = {.records = records, .count = ARRAY_LEN(records)}};
    run(b, &pin);
    run(b, &apply);
    return id;
}

static void check(struct bench *b, struct id id, enum workflow_status status,
                  const char *error, enum attempt_state state)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct workflow_view view;
    struct attempt_row *attempts = NULL;
    uint32_t count = 0;
    assert_int_equal(b->reader->ops->workflow(b->reader, id, &a, &view), 0);
    assert_int_equal(view.row.status, status);
    assert_true(str_has_nocase(view.row.error, str_c(error)));
    assert_int_equal(
        b->reader->ops->attempts(b->reader, id, &a, &attempts, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(attempts[0].state, state);
}

static void open_bench(struct bench *b)
{
    struct err err = ERR_INIT;
    struct store_opened opened;
    struct store_options options = {
        .queue_limit = 100, .now_ms = T0_MS, .session = new_id(b)};
    assert_int_equal(store_memory.open(&options, &b->store, &opened, &err), 0);
    assert_int_equal(store_memory.reader_open(b->store, &b->reader, &err), 0);
    commit_group_init(&b->group);
}

static void close_bench(struct bench *b)
{
    b->reader->ops->close(b->reader);
    store_memory.close(b->store);
}

static void recover(struct bench *b, struct runtime_unloadable *ret)
{
    struct err err = ERR_INIT;
    struct engine_config config = ENGINE_CONFIG_DEFAULT;
    const struct runtime_ports ports = {.context = b,
                                        .now_ms = now_ms,
                                        .elapsed_ms = now_ms,
                                        .random = fill_random,
                                        .submit = submit,
                                        .execute = execute,
                                        .wake = wake,
                                        .fatal = fatal};
    b->rt = runtime_new(&ports, &config, 5);
    assert_int_equal(runtime_recover(b->rt, b->reader, ret, &err), 0);
}

static void one_that_does_not_load_keeps_no_other_from_going_on(void **state)
{
    (void)state;
    struct bench b = {.ids = 0};
    struct runtime_unloadable unloadable;
    open_bench(&b);
    struct id bad = add_workflow(&b, "bad.yaml", bad_text);
    struct id good = add_workflow(&b, "good.yaml", good_text);

    recover(&b, &unloadable);
    assert_int_equal(unloadable.count, 1);
    assert_true(id_eq(unloadable.first, bad));
    run_group(&b);
    check(&b, bad, WORKFLOW_FAILED, "does not load", ATTEMPT_UNKNOWN);
    check(&b, bad, WORKFLOW_FAILED, "step is not known", ATTEMPT_UNKNOWN);
    check(&b, good, WORKFLOW_RUNNING, "", ATTEMPT_STARTING);
    assert_int_equal(engine_count(runtime_engine(b.rt)).live, 1);
    stop_runtime(&b);

    /* It is over: the next start has nothing to complain of. */
    recover(&b, &unloadable);
    assert_int_equal(unloadable.count, 0);
    stop_runtime(&b);
    close_bench(&b);
}

/* More than one page of them; those that are over go in the order of their
 * end, and the others stay. */
static void what_triggers_remember_is_all_there(void **state)
{
    (void)state;
    enum { COUNT = 1001 };
    struct bench b = {.ids = 0};
    struct runtime_unloadable unloadable;
    const uint64_t start_ms = T0_MS;
    open_bench(&b);
    for (uint32_t i = 0; i < COUNT; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k=%u", i);
        const struct record record = {
            .kind = RECORD_MEMORY_SET,
            .memory = {.runbook_path = STR("gone.yaml"),
                       .trigger = i % 2 == 0 ? STR("#1") : STR("disk"),
                       .key = str_c(key),
                       .expires_ms = T0_MS + (i == 7 ? 500 : 5000),
                       .starts_ms = &start_ms,
                       .start_count = 1}};
        struct store_op apply = {.kind = STORE_APPLY,
                                 .apply = {.records = &record, .count = 1}};
        run(&b, &apply);
    }
    recover(&b, &unloadable);
    assert_int_equal(engine_count(runtime_engine(b.rt)).memories, COUNT);
    assert_int_equal(b.wake_ms, T0_MS + 500);
    runtime_tick(b.rt);
    run_group(&b);
    assert_int_equal(engine_count(runtime_engine(b.rt)).memories, COUNT - 1);
    assert_int_equal(b.wake_ms, T0_MS + 5000);
    stop_runtime(&b);
    recover(&b, &unloadable);
    assert_int_equal(engine_count(runtime_engine(b.rt)).memories, COUNT - 1);
    stop_runtime(&b);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_does_not_load_keeps_no_other_from_going_on),
        cmocka_unit_test(what_triggers_remember_is_all_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
