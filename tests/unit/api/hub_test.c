#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/hub.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define BOOT_MS 1764000000000ULL
#define BASE (BOOT_MS << 20)

static bool welcome = true;

static bool still(void *context)
{
    (void)context;
    return welcome;
}

static int set_up(void **state)
{
    welcome = true;
    *state = hub_new(0, BOOT_MS);
    return 0;
}

static int tear_down(void **state)
{
    hub_free(*state);
    return 0;
}

static struct hub_client *join_as(struct hub *h, const char *owner,
                                  const char *last)
{
    const struct hub_follower follower = {
        .owner = str_c(owner), .last = str_c(last), .still = still};
    return hub_join(h, &follower);
}

static struct hub_client *join(struct hub *h, const char *last)
{
    return join_as(h, "uid:0", last);
}

/* All that the client gets now, in pieces of `max` bytes; -1 at its end. */
static int drain(struct hub_client *c, struct strbuf *into, size_t max)
{
    char buf[4096];
    ssize_t n = 0;
    while ((n = hub_pull(c, buf, max)) > 0) {
        assert_true((size_t)n <= max);
        strbuf_add(into, str_n(buf, (size_t)n));
    }
    return (int)n;
}

static unsigned count(const struct strbuf *in, const char *what)
{
    unsigned n = 0;
    for (const char *p = in->at; p != NULL && (p = strstr(p, what)) != NULL;
         p++) {
        n++;
    }
    return n;
}

static void tells_everybody_in_order(void **state)
{
    struct hub *h = *state;
    struct hub_client *a = join(h, "");
    struct hub_client *b = join(h, "");
    struct strbuf got_a = STRBUF_INIT(1 << 20);
    struct strbuf got_b = STRBUF_INIT(1 << 20);
    assert_int_equal(drain(a, &got_a, 4096), 0);
    hub_add(h, "event", STR("{\"n\":1}"));
    hub_add(h, "workflow", STR("{\"n\":2}"));
    hub_wake(h);
    assert_int_equal(drain(a, &got_a, 4096), 0);
    assert_int_equal(drain(b, &got_b, 1), 0); /* byte by byte: the same */
    assert_string_equal(got_a.at, got_b.at);
    char expected[400];
    (void)snprintf(expected, sizeof(expected),
                   "retry: %d\n\n"
                   "id: %llu\nevent: event\ndata: {\"n\":1}\n\n"
                   "id: %llu\nevent: workflow\ndata: {\"n\":2}\n\n",
                   HUB_RETRY_MS, BASE + 1, BASE + 2);
    assert_string_equal(got_a.at, expected);
    hub_leave(a);
    hub_leave(b);
    strbuf_deinit(&got_a);
    strbuf_deinit(&got_b);
}

static void resume(struct hub *h, unsigned long long last, unsigned messages,
                   unsigned resets)
{
    char id[32];
    struct strbuf got = STRBUF_INIT(4 << 20);
    (void)snprintf(id, sizeof(id), "%llu", last);
    struct hub_client *c = join(h, id);
    assert_int_equal(drain(c, &got, 4096), 0);
    assert_int_equal(count(&got, "event: e\n"), messages);
    assert_int_equal(count(&got, "event: reset\n"), resets);
    hub_leave(c);
    strbuf_deinit(&got);
}

static void resumes_or_says_that_it_cannot(void **state)
{
    struct hub *h = *state;
    hub_leave(join(h, "")); /* from now on messages are kept */
    for (int i = 0; i < 10; i++) {
        hub_add(h, "e", STR("{}"));
    }
    resume(h, BASE + 4, 6, 0);
    resume(h, BASE + 10, 0, 0);
    resume(h, BASE + 11, 0, 1); /* never given */
    resume(h, 7, 0, 1);
    resume(h, ((BOOT_MS - 1000) << 20) + 4, 0, 1); /* an earlier process */
    struct hub_client *c = join(h, "not a number");
    struct strbuf got = STRBUF_INIT(4096);
    assert_int_equal(drain(c, &got, 4096), 0);
    assert_int_equal(count(&got, "event: reset\n"), 1);
    hub_leave(c);
    strbuf_deinit(&got);
}

static void what_nobody_saw_is_a_gap(void **state)
{
    struct hub *h = *state;
    assert_false(hub_watched(h));
    hub_skip(h, 5);
    resume(h, BASE + 3, 0, 1);
    assert_true(hub_watched(h));
    hub_add(h, "e", STR("{}"));
    resume(h, BASE + 4, 0, 1);
    resume(h, BASE + 6, 0, 0);
}

static void ring_is_bounded(void **state)
{
    struct hub *h = *state;
    hub_leave(join(h, ""));
    for (int i = 0; i < HUB_MESSAGES_MAX + 10; i++) {
        hub_add(h, "e", STR("{}"));
    }
    resume(h, BASE + 9, 0, 1); /* the eleventh is the oldest */
    resume(h, BASE + 10, HUB_MESSAGES_MAX, 0);
    static char big[8000];
    memset(big, 'x', sizeof(big));
    for (int i = 0; i < 1000; i++) {
        hub_add(h, "e", str_n(big, sizeof(big)));
    }
    unsigned kept = HUB_BYTES_MAX / sizeof(big);
    unsigned long long newest = BASE + HUB_MESSAGES_MAX + 10 + 1000;
    resume(h, newest - kept - 1, 0, 1);
    resume(h, newest - 5, 5, 0);
}

static void too_long_a_message_is_a_reset(void **state)
{
    struct hub *h = *state;
    struct hub_client *c = join(h, "");
    struct strbuf got = STRBUF_INIT(1 << 20);
    static char big[64 * 1024];
    memset(big, 'x', sizeof(big));
    hub_add(h, "e", str_n(big, sizeof(big)));
    assert_int_equal(drain(c, &got, 4096), 0);
    assert_int_equal(count(&got, "event: reset\n"), 1);
    hub_leave(c);
    strbuf_deinit(&got);
}

static void drops_who_is_too_slow(void **state)
{
    struct hub *h = *state;
    struct hub_client *slow = join(h, "");
    struct hub_client *quick = join(h, "");
    struct strbuf got = STRBUF_INIT(4 << 20);
    static char data[4000];
    memset(data, 'x', sizeof(data));
    assert_int_equal(drain(slow, &got, 4096), 0);
    for (size_t sent = 0; sent <= HUB_BEHIND_MAX_BYTES; sent += sizeof(data)) {
        hub_add(h, "e", str_n(data, sizeof(data)));
        strbuf_reset(&got);
        assert_int_equal(drain(quick, &got, 4096), 0);
    }
    strbuf_reset(&got);
    assert_int_equal(drain(slow, &got, 4096), -1);
    assert_int_equal(got.len, 0);
    assert_int_equal(drain(quick, &got, 4096), 0);
    hub_leave(slow);
    hub_leave(quick);
    strbuf_deinit(&got);
}

static void beats_between_messages_only(void **state)
{
    struct hub *h = *state;
    struct hub_client *c = join(h, "");
    struct strbuf got = STRBUF_INIT(4096);
    char buf[10];
    assert_int_equal(drain(c, &got, 4096), 0);
    hub_add(h, "e", STR("{\"a\":1}"));
    assert_int_equal(hub_pull(c, buf, sizeof(buf)), sizeof(buf));
    hub_beat(h);
    strbuf_reset(&got);
    strbuf_add(&got, str_n(buf, sizeof(buf)));
    assert_int_equal(drain(c, &got, 4096), 0);
    char expected[100];
    (void)snprintf(expected, sizeof(expected),
                   "id: %llu\nevent: e\ndata: {\"a\":1}\n\n:\n\n", BASE + 1);
    assert_string_equal(got.at, expected);
    hub_leave(c);
    strbuf_deinit(&got);
}

static void sends_away_who_may_not_stay(void **state)
{
    struct hub *h = *state;
    struct hub_client *c = join(h, "");
    struct strbuf got = STRBUF_INIT(4096);
    assert_int_equal(drain(c, &got, 4096), 0);
    hub_beat(h);
    assert_int_equal(drain(c, &got, 4096), 0);
    welcome = false;
    hub_beat(h);
    assert_int_equal(drain(c, &got, 4096), -1);
    hub_leave(c);
    strbuf_deinit(&got);
}

static void has_room_for_so_many(void **state)
{
    struct hub *h = *state;
    struct hub_client *clients[HUB_CLIENTS_MAX];
    for (size_t i = 0; i < HUB_CLIENTS_MAX; i++) {
        clients[i] = join_as(h, i % 2 == 0 ? "uid:0" : "token:ci", "");
        assert_non_null(clients[i]);
    }
    assert_null(join_as(h, "token:other", ""));
    assert_int_equal(hub_count(h), HUB_CLIENTS_MAX);
    hub_leave(clients[0]);
    clients[0] = join(h, "");
    assert_non_null(clients[0]);
    for (size_t i = 0; i < HUB_CLIENTS_MAX; i++) {
        hub_leave(clients[i]);
    }
}

static void one_owner_leaves_room_to_others(void **state)
{
    struct hub *h = *state;
    struct hub_client *clients[HUB_CLIENTS_MAX];
    size_t count = 0;
    while ((clients[count] = join(h, "")) != NULL) {
        count++;
    }
    assert_int_equal(count, HUB_CLIENTS_MAX - HUB_CLIENTS_MAX / 4);
    clients[count] = join_as(h, "token:ci", "");
    assert_non_null(clients[count++]);
    while (count > 0) {
        hub_leave(clients[--count]);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(tells_everybody_in_order),
        CASE(resumes_or_says_that_it_cannot),
        CASE(what_nobody_saw_is_a_gap),
        CASE(ring_is_bounded),
        CASE(too_long_a_message_is_a_reset),
        CASE(drops_who_is_too_slow),
        CASE(beats_between_messages_only),
        CASE(sends_away_who_may_not_stay),
        CASE(has_room_for_so_many),
        CASE(one_owner_leaves_room_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
