#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/vec.h"
#include "os/clock.h"
#include "proc/client.h"

#define LOST ((enum exec_kind)0)

/* A client on a loop, and the socket of an executor that the test plays. */
struct fixture {
    char folder[32];
    char path[64];
    sd_event *event;
    struct exec_client *client;
    int listener;
    int peer; /* the connection that was accepted last */
    VEC(enum exec_kind) told;
    unsigned depth; /* of on_message and exec_client_send */
    void (*on_welcome)(struct fixture *f);
    char buffer[EXEC_MESSAGE_MAX_BYTES];
};

static struct id some_id(void)
{
    const uint8_t random[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    return id_make(1700000000000U, random);
}

static struct attempt_key some_key(uint32_t attempt)
{
    return (struct attempt_key){.workflow_id = some_id(), .attempt = attempt};
}

static void on_message(void *context, const struct exec_message *m)
{
    struct fixture *f = context;
    assert_int_equal(f->depth, 0);
    assert_true(exec_client_is_up(f->client) == (m != NULL));
    VEC_PUSH(&f->told, m != NULL ? m->kind : LOST);
    f->depth++;
    if (m != NULL && m->kind == EXEC_WELCOME && f->on_welcome != NULL) {
        f->on_welcome(f);
    }
    f->depth--;
}

static unsigned told(const struct fixture *f, enum exec_kind kind)
{
    unsigned count = 0;
    VEC_EACH (&f->told, i) {
        count += f->told.at[i] == kind ? 1 : 0;
    }
    return count;
}

/* ---- the executor's part --------------------------------------------------
 */

static void executor_listens(struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, f->path, strlen(f->path));
    f->listener =
        socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(f->listener >= 0);
    (void)unlink(f->path);
    assert_int_equal(
        bind(f->listener, (const struct sockaddr *)&address, sizeof(address)),
        0);
    assert_int_equal(listen(f->listener, 8), 0);
}

static void executor_hangs_up(struct fixture *f)
{
    assert_true(f->peer >= 0);
    (void)close(f->peer);
    f->peer = -1;
}

static void turn(struct fixture *f)
{
    assert_true(sd_event_run(f->event, 20000) >= 0);
}

static void executor_accepts(struct fixture *f)
{
    assert_int_equal(f->peer, -1);
    while (f->peer < 0) {
        f->peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
        if (f->peer < 0) {
            assert_int_equal(errno, EAGAIN);
            turn(f);
        }
    }
}

/* The next message of the client; false: none now. */
static bool executor_takes(struct fixture *f, struct exec_message *ret)
{
    ssize_t n = recv(f->peer, f->buffer, sizeof(f->buffer), MSG_DONTWAIT);
    if (n < 0) {
        assert_int_equal(errno, EAGAIN);
        return false;
    }
    assert_int_equal(exec_decode(str_n(f->buffer, (size_t)n), ret), 0);
    return true;
}

static struct exec_message executor_waits(struct fixture *f)
{
    struct exec_message m;
    while (!executor_takes(f, &m)) {
        turn(f);
    }
    return m;
}

static void executor_says_bytes(struct fixture *f, struct str bytes)
{
    assert_int_equal(send(f->peer, bytes.at, bytes.len, MSG_NOSIGNAL),
                     bytes.len);
}

static void executor_says(struct fixture *f, const struct exec_message *m)
{
    struct strbuf out = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    assert_int_equal(exec_encode(m, &out), 0);
    executor_says_bytes(f, strbuf_str(&out));
    strbuf_deinit(&out);
}

static struct exec_message welcome(uint32_t version)
{
    return (struct exec_message){
        .kind = EXEC_WELCOME,
        .hello = {.version = version, .executor = some_id()}};
}

static struct exec_message started(void)
{
    return (struct exec_message){
        .kind = EXEC_STARTED,
        .started = {.key = some_key(1), .pid = 7, .started_ms = 1}};
}

static struct exec_message forget(uint32_t attempt)
{
    return (struct exec_message){.kind = EXEC_FORGET,
                                 .forget = {.key = some_key(attempt)}};
}

/* Until the client has been welcomed. */
static void executor_greets(struct fixture *f)
{
    executor_accepts(f);
    struct exec_message hello = executor_waits(f);
    assert_int_equal(hello.kind, EXEC_HELLO);
    assert_int_equal(hello.hello.version, EXEC_PROTO_VERSION);
    assert_false(exec_client_is_up(f->client));
    struct exec_message m = welcome(EXEC_PROTO_VERSION);
    executor_says(f, &m);
    while (!exec_client_is_up(f->client)) {
        turn(f);
    }
}

static void client_says(struct fixture *f, const struct exec_message *m)
{
    f->depth++;
    exec_client_send(f->client, m);
    f->depth--;
}

static void wait_for(struct fixture *f, enum exec_kind kind, unsigned count)
{
    while (told(f, kind) < count) {
        turn(f);
    }
    assert_int_equal(told(f, kind), count);
}

/* ---- fixture --------------------------------------------------------------
 */

static int set_up(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);
    memcpy(f->folder, "/tmp/client-test-XXXXXX", 24);
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
    assert_true(sd_event_new(&f->event) >= 0);
    f->listener = f->peer = -1;
    struct exec_client_options options = {.event = f->event,
                                          .socket_path = f->path,
                                          .on_message = on_message,
                                          .context = f};
    struct err err = ERR_INIT;
    assert_int_equal(exec_client_new(&options, &f->client, &err), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    exec_client_free(f->client);
    sd_event_unref(f->event);
    if (f->peer >= 0) {
        (void)close(f->peer);
    }
    if (f->listener >= 0) {
        (void)close(f->listener);
    }
    (void)unlink(f->path);
    (void)rmdir(f->folder);
    VEC_DEINIT(&f->told);
    mem_free(f);
    return 0;
}

/* ---- connecting ------------------------------------------------------------
 */

static void is_up_after_welcome(void **state)
{
    struct fixture *f = *state;
    executor_listens(f);
    executor_greets(f);
    struct exec_message m = started();
    executor_says(f, &m);
    wait_for(f, EXEC_STARTED, 1);
    assert_int_equal(f->told.count, 2);
    assert_int_equal(f->told.at[0], EXEC_WELCOME);
}

static void an_executor_may_come_later(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        turn(f);
    }
    executor_listens(f);
    executor_greets(f);
    assert_int_equal(f->told.count, 1);
}

static void tells_once_of_a_lost_connection(void **state)
{
    struct fixture *f = *state;
    executor_listens(f);
    for (unsigned life = 1; life <= 3; life++) {
        executor_greets(f);
        executor_hangs_up(f);
        wait_for(f, LOST, life);
    }
    executor_greets(f);
    assert_int_equal(f->told.count, 7);
    for (size_t i = 0; i < f->told.count; i++) {
        assert_int_equal(f->told.at[i], i % 2 == 0 ? EXEC_WELCOME : LOST);
    }
}

static void what_was_never_up_is_not_lost(void **state)
{
    struct fixture *f = *state;
    executor_listens(f);
    executor_accepts(f);
    executor_hangs_up(f);
    executor_greets(f);
    assert_int_equal(told(f, LOST), 0);
}

/* Each failure doubles the pause, from 50 ms. Only lower bounds: they hold on
 * any machine. */
static void pauses_grow_between_connections(void **state)
{
    struct fixture *f = *state;
    executor_listens(f);
    executor_accepts(f);
    uint64_t begin = os_monotonic_ms();
    for (int i = 0; i < 4; i++) {
        executor_hangs_up(f);
        executor_accepts(f);
    }
    assert_true(os_monotonic_ms() - begin >= 50 + 100 + 200 + 400);
}

static void a_silent_executor_is_asked_again(void **state)
{
    struct fixture *f = *state;
    executor_listens(f);
    executor_accepts(f);
    assert_int_equal(executor_waits(f).kind, EXEC_HELLO);
    int silent = f->peer;
    f->peer = -1;
    executor_greets(f);
    (void)close(silent);
    assert_int_equal(f->told.count, 1);
}

static void a_path_must_fit_into_an_address(void **state)
{
    struct fixture *f = *state;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    struct exec_client_options options = {.event = f->event,
                                          .socket_path = path,
                                          .on_message = on_message,
                                          .context = f};
    struct exec_client *none = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(exec_client_new(&options, &none, &err), -EINVAL);
    assert_non_null(strstr(err.message, "1 to 107 bytes"));
    options.socket_path = "";
    assert_int_equal(exec_client_new(&options, &none, &err), -EINVAL);
    assert_null(none);
    exec_client_free(NULL);
}

/* ---- hostile datagrams -----------------------------------------------------
 */

static void expect_drop(struct fixture *f)
{
    unsigned before = told(f, LOST);
    size_t count = f->told.count;
    wait_for(f, LOST, before + 1);
    assert_int_equal(f->told.count, count + 1);
    executor_hangs_up(f);
}

static void bad_bytes_end_the_connection(void **state)
{
    struct fixture *f = *state;
    static const char zeros[EXEC_MESSAGE_MAX_BYTES + 1];
    struct strbuf cut = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    struct exec_message m = started();
    assert_int_equal(exec_encode(&m, &cut), 0);
    const struct str bad[] = {
        STR("x"),
        STR("not a message of ours at all"),
        str_n(zeros, 8),
        str_n(zeros, EXEC_MESSAGE_MAX_BYTES),
        str_n(zeros, EXEC_MESSAGE_MAX_BYTES + 1),
        str_slice(strbuf_str(&cut), 0, cut.len - 1),
        str_slice(strbuf_str(&cut), 1, cut.len),
    };
    executor_listens(f);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        executor_greets(f);
        executor_says_bytes(f, bad[i]);
        expect_drop(f);
    }
    executor_greets(f);
    strbuf_deinit(&cut);
}

static void an_empty_datagram_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    executor_listens(f);
    executor_greets(f);
    executor_says_bytes(f, str_n("", 0));
    expect_drop(f);
}

static void out_of_place_messages_end_the_connection(void **state)
{
    struct fixture *f = *state;
    const struct exec_message bad[] = {
        welcome(EXEC_PROTO_VERSION), /* a second one */
        {.kind = EXEC_HELLO, .hello = {.version = EXEC_PROTO_VERSION}},
        forget(1),
        {.kind = EXEC_STOP, .stop = {.key = some_key(1)}},
        {.kind = EXEC_PIN, .pin = {.path = STR("a.yaml")}},
    };
    executor_listens(f);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        executor_greets(f);
        executor_says(f, &bad[i]);
        expect_drop(f);
    }
}

static void nothing_is_heard_before_welcome(void **state)
{
    struct fixture *f = *state;
    const struct exec_message early[] = {started(),
                                         welcome(EXEC_PROTO_VERSION + 1)};
    executor_listens(f);
    for (size_t i = 0; i < ARRAY_LEN(early); i++) {
        executor_accepts(f);
        executor_says(f, &early[i]);
        int refused = f->peer;
        f->peer = -1;
        executor_accepts(f); /* it has come again */
        executor_hangs_up(f);
        (void)close(refused);
    }
    assert_int_equal(f->told.count, 0);
}

static void what_follows_a_bad_message_is_not_heard(void **state)
{
    struct fixture *f = *state;
    struct exec_message m = started();
    executor_listens(f);
    executor_greets(f);
    executor_says(f, &m);
    executor_says_bytes(f, STR("bad"));
    executor_says(f, &m);
    wait_for(f, LOST, 1);
    assert_int_equal(told(f, EXEC_STARTED), 1);
}

/* ---- sending ---------------------------------------------------------------
 */

static void what_is_said_while_down_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct exec_message early = forget(1);
    struct exec_message late = forget(2);
    client_says(f, &early);
    executor_listens(f);
    executor_accepts(f);
    client_says(f, &early);
    executor_hangs_up(f);
    executor_greets(f);
    client_says(f, &late);
    assert_int_equal(executor_waits(f).forget.key.attempt, 2);
}

/* Far more than a socket holds; every message arrives, in order, while the
 * loop sleeps in between. */
static void a_backlog_arrives_in_order(void **state)
{
    enum { COUNT = 12000 };
    struct fixture *f = *state;
    executor_listens(f);
    executor_greets(f);
    for (uint32_t i = 1; i <= COUNT; i++) {
        struct exec_message m = forget(i);
        client_says(f, &m);
    }
    assert_true(exec_client_is_up(f->client));
    for (uint32_t i = 1; i <= COUNT; i++) {
        assert_int_equal(executor_waits(f).forget.key.attempt, i);
    }
    struct exec_message none;
    assert_false(executor_takes(f, &none));
    assert_int_equal(f->told.count, 1);
}

static void largest(struct fixture *f, struct exec_message *m)
{
    static char parameters[EXEC_PARAMETERS_MAX_BYTES];
    (void)f;
    memset(parameters, 'p', sizeof(parameters));
    *m = (struct exec_message){
        .kind = EXEC_START,
        .start = {.key = some_key(1),
                  .executor = some_id(),
                  .path = STR("a.yaml"),
                  .parameters = str_n(parameters, sizeof(parameters))},
    };
}

static void large_messages_arrive_whole(void **state)
{
    struct fixture *f = *state;
    struct exec_message m;
    largest(f, &m);
    executor_listens(f);
    executor_greets(f);
    for (int i = 0; i < 20; i++) {
        client_says(f, &m);
    }
    for (int i = 0; i < 20; i++) {
        struct exec_message got = executor_waits(f);
        assert_int_equal(got.kind, EXEC_START);
        assert_true(str_eq(got.start.parameters, m.start.parameters));
    }
}

/* Sends until the client gives up, which it tells of from the loop only
 * (on_message checks that), once, and then begins anew with nothing queued. */
static void expect_give_up(struct fixture *f, const struct exec_message *m,
                           unsigned at_least, unsigned at_most)
{
    unsigned count = 0;
    executor_listens(f);
    executor_greets(f);
    while (exec_client_is_up(f->client)) {
        assert_true(count < at_most);
        client_says(f, m);
        count++;
    }
    assert_true(count > at_least);
    assert_int_equal(told(f, LOST), 0);
    wait_for(f, LOST, 1);
    executor_hangs_up(f);
    executor_greets(f);
    struct exec_message last = forget(9);
    client_says(f, &last);
    assert_int_equal(executor_waits(f).forget.key.attempt, 9);
}

static void the_queue_has_a_bound_of_messages(void **state)
{
    struct exec_message m = forget(1);
    expect_give_up(*state, &m, EXEC_QUEUE_MAX, 4 * EXEC_QUEUE_MAX);
}

static void the_queue_has_a_bound_of_bytes(void **state)
{
    struct exec_message m;
    largest(*state, &m);
    unsigned most = EXEC_QUEUE_MAX_BYTES / EXEC_PARAMETERS_MAX_BYTES;
    expect_give_up(*state, &m, most / 2, most + 64);
}

static void send_in_on_welcome(struct fixture *f)
{
    for (uint32_t i = 1; i <= 3; i++) {
        struct exec_message m = forget(i);
        exec_client_send(f->client, &m);
    }
}

static void answers_can_be_sent_from_the_callback(void **state)
{
    struct fixture *f = *state;
    f->on_welcome = send_in_on_welcome;
    executor_listens(f);
    executor_greets(f);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(executor_waits(f).forget.key.attempt, i);
    }
}

static void hang_up_in_on_welcome(struct fixture *f)
{
    executor_hangs_up(f);
    struct exec_message m = forget(1);
    exec_client_send(f->client, &m);
    assert_false(exec_client_is_up(f->client));
    exec_client_send(f->client, &m);
}

static void a_loss_inside_the_callback_is_told_after_it(void **state)
{
    struct fixture *f = *state;
    f->on_welcome = hang_up_in_on_welcome;
    executor_listens(f);
    executor_accepts(f);
    struct exec_message m = welcome(EXEC_PROTO_VERSION);
    executor_says(f, &m);
    wait_for(f, LOST, 1);
    assert_int_equal(f->told.count, 2);
    f->on_welcome = NULL;
    executor_greets(f);
}

static void can_be_freed_with_a_queue(void **state)
{
    struct fixture *f = *state;
    struct exec_message m;
    largest(f, &m);
    executor_listens(f);
    executor_greets(f);
    for (int i = 0; i < 100; i++) {
        client_says(f, &m);
    }
    exec_client_free(f->client);
    f->client = NULL;
    assert_int_equal(f->told.count, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(is_up_after_welcome),
        CASE(an_executor_may_come_later),
        CASE(tells_once_of_a_lost_connection),
        CASE(what_was_never_up_is_not_lost),
        CASE(pauses_grow_between_connections),
        CASE(a_silent_executor_is_asked_again),
        CASE(a_path_must_fit_into_an_address),
        CASE(bad_bytes_end_the_connection),
        CASE(an_empty_datagram_ends_the_connection),
        CASE(out_of_place_messages_end_the_connection),
        CASE(nothing_is_heard_before_welcome),
        CASE(what_follows_a_bad_message_is_not_heard),
        CASE(what_is_said_while_down_is_dropped),
        CASE(a_backlog_arrives_in_order),
        CASE(large_messages_arrive_whole),
        CASE(the_queue_has_a_bound_of_messages),
        CASE(the_queue_has_a_bound_of_bytes),
        CASE(answers_can_be_sent_from_the_callback),
        CASE(a_loss_inside_the_callback_is_told_after_it),
        CASE(can_be_freed_with_a_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
