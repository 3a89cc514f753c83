#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/fsuid.h>
#include <sys/resource.h>

#include "net/http_priv.h"
#include "tests/unit/net/fixture.h"

/* Who gets a connection when there are few. The kernel notes the file system
 * user of whoever makes a socket, so root can play several local users. */

#define STRANGER 60000
#define PLACES 16
#define PER_SOURCE 4
#define RESERVED 2

static const char get_plain[] = "GET / HTTP/1.1\r\n" HEAD "\r\n";
static const char get_trusted[] = "GET /trusted HTTP/1.1\r\n" HEAD "\r\n";

static bool admits_root(void *context, uid_t uid)
{
    (void)context;
    return uid == 0;
}

static int connect_as(uid_t uid)
{
    (void)setfsuid(uid);
    int fd = raw_connect(fix.port);
    (void)setfsuid(0);
    return fd;
}

/* The status of another request on an open connection; 0: it had ended. */
static int ask_on(int fd, const char *request)
{
    if (!raw_send(fd, request, strlen(request))) {
        return 0;
    }
    raw_read(fd, &answer);
    return answer.status;
}

static int set_up_few(void **state)
{
    (void)state;
    struct http_options o = options();
    o.limits.connections = PLACES;
    o.limits.per_source = PER_SOURCE;
    o.limits.reserved = RESERVED;
    o.handler.admits = admits_root;
    start(&o);
    return 0;
}

static void needs_root(void)
{
    if (getuid() != 0) {
        print_message("needs root: plays several local users\n");
        skip();
    }
}

static void one_user_has_only_so_many(void **state)
{
    (void)state;
    int fds[PER_SOURCE];
    needs_root();
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_as(STRANGER);
    }
    /* One more gets nothing until the oldest has had its time. */
    int more = 0;
    int status = 0;
    for (int tries = 0; status == 0; tries++) {
        assert_true(tries < RAW_PATIENCE_MS / 10);
        usleep(10000);
        more = connect_as(STRANGER);
        status = ask_on(more, get_plain);
        if (status == 0) {
            close(more);
        }
    }
    assert_int_equal(status, 200);
    assert_true(raw_ends(fds[0]));
    WAIT_UNTIL(http_connections(fix.server) == PER_SOURCE);
    int other = connect_as(STRANGER + 1);
    assert_int_equal(ask_on(other, get_plain), 200);
    close(other);
    close(more);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
}

/* A proxy is one local user: whom it speaks for may be known all the same. */
static void who_is_known_uses_up_no_place_of_its_user(void **state)
{
    (void)state;
    int fds[2 * PER_SOURCE];
    needs_root();
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_as(STRANGER);
        assert_int_equal(ask_on(fds[i], get_trusted), 200);
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        assert_int_equal(ask_on(fds[i], get_plain), 200);
        close(fds[i]);
    }
}

static void the_last_places_are_for_administrators(void **state)
{
    (void)state;
    int fds[2 * PLACES];
    int admins[RESERVED];
    needs_root();
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_as(STRANGER + (uid_t)i);
    }
    assert_int_equal(ask_on(fds[ARRAY_LEN(fds) - 1], get_plain), 200);
    WAIT_UNTIL(http_connections(fix.server) == PLACES - RESERVED);
    for (size_t i = 0; i < RESERVED; i++) {
        admins[i] = connect_as(0);
        assert_int_equal(ask_on(admins[i], get_plain), 200);
    }
    /* Strangers that keep coming displace strangers only, and so does one
     * administrator more. */
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        int more = connect_as(STRANGER + (uid_t)(ARRAY_LEN(fds) + i));
        assert_int_equal(ask_on(more, get_plain), 200);
        close(fds[i]);
        fds[i] = more;
    }
    assert_int_equal(ask(get_plain), 200);
    for (size_t i = 0; i < RESERVED; i++) {
        assert_int_equal(ask_on(admins[i], get_plain), 200);
        close(admins[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
}

static void who_is_known_stays(void **state)
{
    (void)state;
    int fds[2 * PLACES];
    needs_root();
    int known = connect_as(STRANGER);
    assert_int_equal(ask_on(known, get_trusted), 200);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_as(STRANGER + 1 + (uid_t)i);
        assert_int_equal(ask_on(fds[i], get_plain), 200);
    }
    assert_int_equal(ask_on(known, get_plain), 200);
    assert_int_equal(ask_on(fds[0], get_plain), 0);
    close(known);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
}

/* Nobody is interrupted: when all are at work there is no place. */
static void who_is_at_work_stays(void **state)
{
    (void)state;
    static const char later[] = "GET /later HTTP/1.1\r\n" HEAD "\r\n";
    needs_root();
    http_stop(fix.server);
    struct http_options o = options();
    o.limits.connections = 2;
    o.limits.reserved = 1;
    o.handler.admits = admits_root;
    start(&o);
    int busy = connect_as(STRANGER);
    assert_true(raw_send(busy, later, sizeof(later) - 1));
    WAIT_UNTIL(waiting() != NULL);
    int refused = connect_as(STRANGER + 1);
    assert_true(raw_ends(refused));
    close(refused);
    assert_int_equal(ask(get_plain), 200);
    reply(waiting(), 200, STR("done"));
    raw_read(busy, &answer);
    assert_int_equal(answer.status, 200);
    close(busy);
}

/* ---- a flood --------------------------------------------------------------
 */

#define FLOOD 2000
#define FLOOD_REQUESTS 25

static atomic_bool flooding;
static atomic_uint flood_opened;

static int flood_connect(void)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(fix.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        (void)connect(fd, (struct sockaddr *)&to, sizeof(to));
        (void)atomic_fetch_add(&flood_opened, 1);
    }
    return fd;
}

/* Keeps FLOOD idle connections of one local user: opens again what is
 * closed. */
static void *flood(void *unused)
{
    static struct pollfd fds[FLOOD];
    (void)unused;
    (void)setfsuid(STRANGER);
    for (size_t i = 0; i < FLOOD; i++) {
        fds[i] = (struct pollfd){.fd = flood_connect(), .events = POLLIN};
    }
    while (atomic_load(&flooding)) {
        (void)poll(fds, FLOOD, 10);
        for (size_t i = 0; i < FLOOD; i++) {
            if (fds[i].revents != 0 || fds[i].fd < 0) {
                close(fds[i].fd);
                fds[i].fd = flood_connect();
            }
        }
    }
    for (size_t i = 0; i < FLOOD; i++) {
        close(fds[i].fd);
    }
    return NULL;
}

static void a_flood_of_idle_connections_locks_nobody_out(void **state)
{
    (void)state;
    struct rlimit files;
    pthread_t flooder;
    needs_root();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    rlim_t before = files.rlim_cur;
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max < 2 * FLOOD) {
        print_message("needs %d open files\n", 2 * FLOOD);
        skip();
    }
    atomic_store(&flooding, true);
    atomic_store(&flood_opened, 0);
    assert_int_equal(pthread_create(&flooder, NULL, flood, NULL), 0);
    WAIT_UNTIL(atomic_load(&flood_opened) > FLOOD);
    for (int i = 0; i < FLOOD_REQUESTS; i++) {
        assert_int_equal(ask("POST /api/events HTTP/1.1\r\n" HEAD
                             "Content-Length: 2\r\n\r\n{}"),
                         200);
    }
    atomic_store(&flooding, false);
    assert_int_equal(pthread_join(flooder, NULL), 0);
    assert_int_equal(atomic_load(&fix.handled), FLOOD_REQUESTS);
    files.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

/* ---- descriptors ----------------------------------------------------------
 */

#define WAITING 10
#define DESCRIPTORS 3

static void goes_on_when_descriptors_run_out(void **state)
{
    (void)state;
    int fds[WAITING];
    struct rlimit before;
    needs_root();
    for (size_t i = 0; i < WAITING; i++) {
        (void)setfsuid(STRANGER + (uid_t)i);
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)setfsuid(0);
        assert_true(fds[i] >= 0);
    }
    int next = dup(fds[0]);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit few = before;
    few.rlim_cur = (rlim_t)next + DESCRIPTORS;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(fix.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    for (size_t i = 0; i < WAITING; i++) {
        assert_int_equal(connect(fds[i], (struct sockaddr *)&to, sizeof(to)),
                         0);
    }
    /* Those before it give way, one by one. */
    int status = ask_on(fds[WAITING - 1], get_plain);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, 200);
    for (size_t i = 0; i < WAITING; i++) {
        close(fds[i]);
    }
}

/* ---- sources --------------------------------------------------------------
 */

static bool same(const uint8_t a[16], const uint8_t b[16])
{
    struct http_source x = http_source_of(a, false, 0);
    struct http_source y = http_source_of(b, false, 0);
    return x.kind == y.kind && memcmp(x.at, y.at, sizeof(x.at)) == 0;
}

static void a_source_is_a_user_an_address_or_a_64(void **state)
{
    (void)state;
    uint8_t a[16] = {0x20, 0x01, 0x0D, 0xB8, [7] = 1, [15] = 1};
    uint8_t b[16] = {0x20, 0x01, 0x0D, 0xB8, [7] = 1, [8] = 9, [15] = 2};
    uint8_t c[16] = {0x20, 0x01, 0x0D, 0xB8, [7] = 2, [15] = 1};
    uint8_t v4[16] = {[10] = 0xFF, 0xFF, 10, 0, 0, 1};
    uint8_t v4_other[16] = {[10] = 0xFF, 0xFF, 10, 0, 0, 2};
    uint8_t local[16] = {[15] = 1};
    uint8_t local4[16] = {[10] = 0xFF, 0xFF, 127, 0, 0, 1};
    assert_true(same(a, b));
    assert_false(same(a, c));
    assert_true(same(v4, v4));
    assert_false(same(v4, v4_other));
    assert_true(same(local, local4));
    struct http_source one = http_source_of(local, true, 1);
    struct http_source two = http_source_of(local4, true, 2);
    struct http_source one4 = http_source_of(local4, true, 1);
    assert_memory_not_equal(one.at, two.at, sizeof(one.at));
    assert_memory_equal(one.at, one4.at, sizeof(one.at));
    assert_int_equal(one.kind, SOURCE_USER);
    assert_int_equal(http_source_of(local, false, 0).kind, SOURCE_NOBODY);
}

#define FEW(name) cmocka_unit_test_setup_teardown(name, set_up_few, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FEW(one_user_has_only_so_many),
        FEW(who_is_known_uses_up_no_place_of_its_user),
        FEW(the_last_places_are_for_administrators),
        FEW(who_is_known_stays),
        FEW(who_is_at_work_stays),
        FEW(a_flood_of_idle_connections_locks_nobody_out),
        FEW(goes_on_when_descriptors_run_out),
        cmocka_unit_test(a_source_is_a_user_an_address_or_a_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
