#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/prng.h"
#include "model/params.h"
#include "model/runbook_load.h"
#include "wire/exec_proto.h"

static struct id some_id(uint8_t seed)
{
    const uint8_t random[10] = {seed, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    return id_make(1700000000000U + seed, random);
}

static struct attempt_key some_key(void)
{
    return (struct attempt_key){
        .workflow_id = some_id(1), .step_no = 3, .attempt = 2};
}

static struct runbook_hash some_hash(void)
{
    struct runbook_hash h;
    for (size_t i = 0; i < sizeof(h.bytes); i++) {
        h.bytes[i] = (uint8_t)(i * 7);
    }
    return h;
}

static struct attempt_row some_end(void)
{
    return (struct attempt_row){
        .key = some_key(),
        .state = ATTEMPT_FAILED,
        .executor = some_id(9),
        .pid = 4711,
        .requested_ms = 1,
        .started_ms = 2,
        .finished_ms = 3,
        .exit_code = -1,
        .term_signal = 15,
        .output_bytes = 99,
        .output_truncated = true,
        .survivors = 4,
        .maybe_alive = true,
        .error = STR("ended by a signal"),
        .outputs = STR("{\"used\":93}"),
    };
}

/* A valid message of each kind. */
static struct exec_message sample(enum exec_kind kind)
{
    struct exec_message m;
    memset(&m, 0, sizeof(m));
    m.kind = kind;
    switch (kind) {
    case EXEC_WELCOME:
        m.hello.executor = some_id(9);
        m.hello.version = EXEC_PROTO_VERSION;
        break;
    case EXEC_HELLO:
        m.hello.version = EXEC_PROTO_VERSION;
        break;
    case EXEC_START:
        m.start.key = some_key();
        m.start.executor = some_id(9);
        m.start.path = STR("remediation/restart.yaml");
        m.start.hash = some_hash();
        m.start.parameters = STR("{\"service\":\"n\xc3\xa4ginx\"}");
        m.start.steps = STR("{\"find\":{\"status\":\"succeeded\"}}");
        m.start.created_ms = 1700000000003;
        m.start.now_ms = 1700000000004;
        m.start.timeout_ms = 60000;
        m.start.grace_ms = 10000;
        break;
    case EXEC_STOP:
        m.stop.key = some_key();
        m.stop.kill = true;
        m.stop.grace_ms = 5;
        break;
    case EXEC_FORGET:
        m.forget.key = some_key();
        break;
    case EXEC_PINNED:
        m.pin.error = STR("no such file");
        m.pin.path = STR("a.yaml");
        m.pin.hash = some_hash();
        break;
    case EXEC_PIN:
        m.pin.path = STR("a.yaml");
        m.pin.hash = some_hash();
        break;
    case EXEC_STARTED:
        m.started.key = some_key();
        m.started.pid = 4711;
        m.started.started_ms = 1700000000001;
        break;
    case EXEC_OUTPUT:
        m.output.key = some_key();
        m.output.offset = 12345678901;
        m.output.stream = OUTPUT_STDERR;
        m.output.at_ms = 1700000000002;
        m.output.data = STR("raw \xff\x00 bytes");
        break;
    case EXEC_ENDED:
        m.ended = some_end();
        break;
    case EXEC_DEFERRED:
        m.deferred.key = some_key();
        m.deferred.error = STR("the kill switch is on: a storm");
        break;
    case EXEC_KINDS:
        fail();
    }
    return m;
}

static void encode(const struct exec_message *m, struct strbuf *out)
{
    strbuf_init(out, EXEC_MESSAGE_MAX_BYTES);
    assert_int_equal(exec_encode(m, out), 0);
}

static void assert_same_text(struct str a, struct str b)
{
    assert_true(str_eq(a, b));
}

/* Decoding gives what was encoded: compared field by field where the struct
 * holds no pointers, and by encoding again for all of it. */
static void every_kind_comes_back(void **state)
{
    (void)state;
    for (int kind = EXEC_HELLO; kind < EXEC_KINDS; kind++) {
        struct exec_message m = sample((enum exec_kind)kind);
        struct strbuf first;
        struct strbuf second;
        struct exec_message back;
        encode(&m, &first);
        assert_int_equal(exec_decode(strbuf_str(&first), &back), 0);
        assert_int_equal(back.kind, kind);
        encode(&back, &second);
        assert_same_text(strbuf_str(&first), strbuf_str(&second));
        strbuf_deinit(&first);
        strbuf_deinit(&second);
    }
}

static void fields_keep_their_values(void **state)
{
    (void)state;
    struct exec_message m = sample(EXEC_ENDED);
    struct exec_message back;
    struct strbuf b;
    encode(&m, &b);
    assert_int_equal(exec_decode(strbuf_str(&b), &back), 0);
    assert_int_equal(back.ended.state, ATTEMPT_FAILED);
    assert_int_equal(back.ended.exit_code, -1);
    assert_int_equal(back.ended.term_signal, 15);
    assert_int_equal(back.ended.survivors, 4);
    assert_true(back.ended.output_truncated);
    assert_true(back.ended.maybe_alive);
    assert_true(id_eq(back.ended.executor, some_id(9)));
    assert_same_text(back.ended.error, m.ended.error);
    assert_same_text(back.ended.outputs, m.ended.outputs);
    strbuf_deinit(&b);

    m = sample(EXEC_START);
    encode(&m, &b);
    assert_int_equal(exec_decode(strbuf_str(&b), &back), 0);
    assert_int_equal(back.start.key.step_no, 3);
    assert_int_equal(back.start.key.attempt, 2);
    assert_int_equal(back.start.timeout_ms, 60000);
    assert_memory_equal(&back.start.hash, &m.start.hash, 32);
    assert_same_text(back.start.parameters, m.start.parameters);
    assert_same_text(back.start.steps, m.start.steps);
    assert_int_equal(back.start.created_ms, 1700000000003);
    assert_int_equal(back.start.now_ms, 1700000000004);
    strbuf_deinit(&b);
}

/* Any datagram cut short or made longer is refused. */
static void every_length_but_the_right_one_is_bad(void **state)
{
    (void)state;
    for (int kind = EXEC_HELLO; kind < EXEC_KINDS; kind++) {
        struct exec_message m = sample((enum exec_kind)kind);
        struct exec_message back;
        struct strbuf b;
        encode(&m, &b);
        for (size_t len = 0; len < b.len; len++) {
            struct str cut = str_slice(strbuf_str(&b), 0, len);
            assert_int_equal(exec_decode(cut, &back), -EBADMSG);
        }
        strbuf_addch(&b, 'x');
        assert_int_equal(exec_decode(strbuf_str(&b), &back), -EBADMSG);
        strbuf_deinit(&b);
    }
}

static void assert_bad(const struct strbuf *good, size_t at, char value)
{
    struct strbuf b = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    struct exec_message back;
    strbuf_add(&b, strbuf_str(good));
    b.at[at] = value;
    assert_int_equal(exec_decode(strbuf_str(&b), &back), -EBADMSG);
    strbuf_deinit(&b);
}

static void hostile_values_are_bad(void **state)
{
    (void)state;
    enum { KEY = 8, STEP = 24, ATTEMPT = 28, AFTER_KEY = 32 };
    struct strbuf b;
    struct exec_message m = sample(EXEC_STOP);
    encode(&m, &b);
    assert_bad(&b, 0, 'X');           /* magic */
    assert_bad(&b, 2, 0);             /* kind 0 */
    assert_bad(&b, 2, EXEC_KINDS);    /* kind past the last */
    assert_bad(&b, 3, 1);             /* kind 256 and more */
    assert_bad(&b, 7, (char)0xff);    /* body of 4 GiB */
    assert_bad(&b, STEP, 100);        /* over the most steps */
    assert_bad(&b, STEP + 3, 0x7f);   /* far over it */
    assert_bad(&b, ATTEMPT, 0);       /* attempts count from 1 */
    assert_bad(&b, ATTEMPT + 3, 1);   /* over the most attempts */
    assert_bad(&b, AFTER_KEY, 2);     /* a bool that is neither */
    assert_bad(&b, AFTER_KEY + 8, 1); /* a grace of ages */
    memset(b.at + KEY, 0, 16);        /* the null workflow */
    struct exec_message back;
    assert_int_equal(exec_decode(strbuf_str(&b), &back), -EBADMSG);
    strbuf_deinit(&b);

    m = sample(EXEC_ENDED);
    encode(&m, &b);
    assert_bad(&b, AFTER_KEY, ATTEMPT_RUNNING); /* not a final state */
    assert_bad(&b, AFTER_KEY, ATTEMPT_SKIPPED); /* the engine's own word */
    assert_bad(&b, AFTER_KEY, ATTEMPT_STATES);
    strbuf_deinit(&b);

    m = sample(EXEC_OUTPUT);
    encode(&m, &b);
    assert_bad(&b, AFTER_KEY + 8, 0); /* stream */
    assert_bad(&b, AFTER_KEY + 8, 3);
    strbuf_deinit(&b);
}

/* An outcome that was kept by an executor of before there were outputs. */
static void no_outputs_are_not_said(void **state)
{
    (void)state;
    struct exec_message m = sample(EXEC_ENDED);
    struct exec_message back;
    struct strbuf with;
    struct strbuf without;
    encode(&m, &with);
    m.ended.outputs = STR("");
    encode(&m, &without);
    assert_int_equal(with.len - without.len, 4 + strlen("{\"used\":93}"));
    assert_int_equal(exec_decode(strbuf_str(&without), &back), 0);
    assert_int_equal(back.ended.outputs.len, 0);
    for (size_t i = 0; i < 4; i++) { /* said to be empty: another spelling */
        strbuf_addch(&without, '\0');
    }
    without.at[4] = (char)(without.len - 8);
    assert_int_equal(exec_decode(strbuf_str(&without), &back), -EBADMSG);
    strbuf_deinit(&with);
    strbuf_deinit(&without);
}

static void texts_are_checked(void **state)
{
    (void)state;
    struct exec_message m = sample(EXEC_PIN);
    struct strbuf b;
    encode(&m, &b);
    assert_bad(&b, 12, (char)0xff); /* not UTF-8 */
    assert_bad(&b, 12, 0);          /* NUL */
    strbuf_deinit(&b);

    strbuf_init(&b, EXEC_MESSAGE_MAX_BYTES);
    m.pin.path = STR("a\0b");
    assert_int_equal(exec_encode(&m, &b), -EBADMSG);
    strbuf_reset(&b);
    m.pin.path = STR("\xc0\x80");
    assert_int_equal(exec_encode(&m, &b), -EBADMSG);
    strbuf_deinit(&b);
}

static void encoding_refuses_what_decoding_would(void **state)
{
    (void)state;
    static char big[EXEC_MESSAGE_MAX_BYTES + 1];
    memset(big, 'a', sizeof(big));
    struct strbuf b = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    struct exec_message m = sample(EXEC_START);
    m.start.parameters = str_n(big, EXEC_PARAMETERS_MAX_BYTES);
    assert_int_equal(exec_encode(&m, &b), 0);
    strbuf_reset(&b);
    m.start.parameters = str_n(big, EXEC_PARAMETERS_MAX_BYTES + 1);
    assert_int_equal(exec_encode(&m, &b), -E2BIG);
    strbuf_reset(&b);
    m = sample(EXEC_OUTPUT);
    m.output.data = str_n(big, EXEC_CHUNK_MAX_BYTES);
    assert_int_equal(exec_encode(&m, &b), 0);
    strbuf_reset(&b);
    m.output.data = str_n(big, EXEC_CHUNK_MAX_BYTES + 1);
    assert_int_equal(exec_encode(&m, &b), -E2BIG);
    strbuf_reset(&b);
    m = sample(EXEC_START);
    m.start.key.workflow_id = ID_NULL;
    assert_int_equal(exec_encode(&m, &b), -ERANGE);
    strbuf_reset(&b);
    m = sample(EXEC_ENDED);
    m.ended.state = ATTEMPT_RUNNING;
    assert_int_equal(exec_encode(&m, &b), -ERANGE);
    strbuf_reset(&b);
    m = sample(EXEC_ENDED);
    m.ended.exit_code = -2;
    assert_int_equal(exec_encode(&m, &b), -ERANGE);
    strbuf_deinit(&b);
}

/* Random damage never crashes, and what decodes encodes to the same bytes. */
static void damage_is_refused_or_canonical(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 7);
    for (int round = 0; round < 20000; round++) {
        enum exec_kind kind =
            (enum exec_kind)(1 + prng_below(&p, EXEC_KINDS - 1));
        struct exec_message m = sample(kind);
        struct exec_message back;
        struct strbuf b;
        encode(&m, &b);
        for (uint64_t n = 1 + prng_below(&p, 3); n > 0; n--) {
            b.at[prng_below(&p, b.len)] = (char)prng_next(&p);
        }
        if (exec_decode(strbuf_str(&b), &back) == 0) {
            struct strbuf again;
            encode(&back, &again);
            assert_same_text(strbuf_str(&b), strbuf_str(&again));
            strbuf_deinit(&again);
        }
        strbuf_deinit(&b);
    }
}

/* The longest name of parameter i. */
static void long_name(unsigned i, char name[65])
{
    memset(name, 'p', 64);
    (void)snprintf(name + 62, 3, "%02u", i);
}

static struct runbook *with_all_parameters(void)
{
    struct strbuf text = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    strbuf_addc(&text, "name: all\nparameters:\n");
    for (unsigned i = 0; i < RUNBOOK_MAX_PARAMS; i++) {
        char name[65];
        long_name(i, name);
        strbuf_addf(&text, "  %s: {type: string}\n", name);
    }
    strbuf_addc(&text,
                "steps:\n  - {name: s, action: exec, command: 'true'}\n");
    struct runbook *rb = NULL;
    struct runbook_report report = {0};
    assert_int_equal(runbook_load(STR("all.yaml"), strbuf_str(&text),
                                  &RUNBOOK_DEFAULTS, &rb, &report),
                     0);
    runbook_report_deinit(&report);
    strbuf_deinit(&text);
    return rb;
}

static void parameters_that_were_accepted_can_be_said(void **state)
{
    (void)state;
    struct runbook *rb = with_all_parameters();
    json_auto_t *given = json_object();
    char quotes[RUNBOOK_PARAM_VALUE_MAX_BYTES];
    memset(quotes, '"', sizeof(quotes));
    for (unsigned i = 0; i < RUNBOOK_MAX_PARAMS; i++) {
        char name[65];
        long_name(i, name);
        assert_int_equal(json_object_set_new(
                             given, name, json_stringn(quotes, sizeof(quotes))),
                         0);
    }
    struct arena a = ARENA_INIT;
    struct err err = ERR_INIT;
    struct exec_message m = sample(EXEC_START);
    assert_int_equal(params_check(rb, given, &a, &m.start.parameters, &err), 0);
    assert_true(m.start.parameters.len > 2 * sizeof(quotes) * 64);
    struct strbuf b = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    assert_int_equal(exec_encode(&m, &b), 0);
    strbuf_deinit(&b);
    arena_deinit(&a);
    runbook_unref(rb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back),
        cmocka_unit_test(fields_keep_their_values),
        cmocka_unit_test(every_length_but_the_right_one_is_bad),
        cmocka_unit_test(hostile_values_are_bad),
        cmocka_unit_test(no_outputs_are_not_said),
        cmocka_unit_test(texts_are_checked),
        cmocka_unit_test(encoding_refuses_what_decoding_would),
        cmocka_unit_test(parameters_that_were_accepted_can_be_said),
        cmocka_unit_test(damage_is_refused_or_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
