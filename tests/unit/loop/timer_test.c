#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "base/mem.h"
#include "loop/timer_priv.h"

struct fixture {
    sd_event *event;
    struct timer *timer;
    unsigned fired;
    uint64_t fired_ms;
};

static uint64_t now_ms(void)
{
    struct timespec ts;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &ts), 0);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void on_time(void *context)
{
    struct fixture *f = context;
    f->fired++;
    f->fired_ms = now_ms();
    assert_true(timer_at_ms(f->timer) == TIMER_NEVER);
}

static int set_up(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);
    assert_true(sd_event_new(&f->event) >= 0);
    assert_int_equal(timer_new(f->event, 0, on_time, f, &f->timer), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    timer_free(f->timer);
    timer_free(NULL);
    sd_event_unref(f->event);
    mem_free(f);
    return 0;
}

static void run_until_fired(struct fixture *f)
{
    unsigned before = f->fired;
    while (f->fired == before) {
        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
    }
}

/* Runs the loop until a second timer fires at at_ms. */
static void on_end(void *context)
{
    bool *ended = context;
    *ended = true;
}

static void run_past(struct fixture *f, uint64_t at_ms)
{
    bool ended = false;
    struct timer *end = NULL;
    assert_int_equal(timer_new(f->event, 10, on_end, &ended, &end), 0);
    timer_set(end, at_ms);
    while (!ended) {
        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
    }
    timer_free(end);
}

static void does_not_fire_before_its_time(void **state)
{
    struct fixture *f = *state;
    uint64_t at = now_ms() + 30;
    timer_set(f->timer, at);
    assert_true(timer_at_ms(f->timer) == at);
    run_until_fired(f);
    assert_true(f->fired_ms >= at);
    assert_int_equal(f->fired, 1);
}

static void the_past_fires_in_the_next_turn(void **state)
{
    struct fixture *f = *state;
    static const uint64_t past[] = {0, 1, 999, 1000, 1700000000000};
    for (size_t i = 0; i < ARRAY_LEN(past); i++) {
        timer_set(f->timer, past[i]);
        run_until_fired(f);
    }
    assert_int_equal(f->fired, ARRAY_LEN(past));
}

static void fires_once_per_setting(void **state)
{
    struct fixture *f = *state;
    timer_set(f->timer, 1);
    run_until_fired(f);
    run_past(f, now_ms() + 20);
    assert_int_equal(f->fired, 1);
}

static void unset_does_not_fire(void **state)
{
    struct fixture *f = *state;
    uint64_t at = now_ms() + 10;
    timer_set(f->timer, at);
    timer_set(f->timer, TIMER_NEVER);
    assert_true(timer_at_ms(f->timer) == TIMER_NEVER);
    run_past(f, at + 20);
    assert_int_equal(f->fired, 0);
}

static void moves_in_both_directions(void **state)
{
    struct fixture *f = *state;
    uint64_t at = now_ms() + 10;
    timer_set(f->timer, at);
    timer_set(f->timer, at + 3600 * UINT64_C(1000));
    run_past(f, at + 20);
    assert_int_equal(f->fired, 0);
    timer_set(f->timer, now_ms());
    run_until_fired(f);
    assert_int_equal(f->fired, 1);
}

/* Moved away after it had expired but before the loop looked. */
static void moved_in_the_last_moment_does_not_fire(void **state)
{
    struct fixture *f = *state;
    timer_set(f->timer, 1);
    timer_set(f->timer, TIMER_NEVER);
    run_past(f, now_ms() + 10);
    assert_int_equal(f->fired, 0);
    timer_on_read(f->timer, -EAGAIN);
    assert_int_equal(f->fired, 0);
}

static void the_far_future_is_never(void **state)
{
    struct fixture *f = *state;
    timer_set(f->timer, UINT64_C(253402300799000));
    assert_true(timer_at_ms(f->timer) == UINT64_C(253402300799000));
    timer_set(f->timer, UINT64_MAX - 1);
    assert_true(timer_at_ms(f->timer) == TIMER_NEVER);
    run_past(f, now_ms() + 10);
    assert_int_equal(f->fired, 0);
}

/* What the kernel tells by ECANCELED when somebody sets the clock. */
static void a_set_clock_fires_and_unsets(void **state)
{
    struct fixture *f = *state;
    timer_set(f->timer, now_ms() + 3600 * UINT64_C(1000));
    timer_on_read(f->timer, -ECANCELED);
    assert_int_equal(f->fired, 1);
    assert_true(timer_at_ms(f->timer) == TIMER_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
        CASE(does_not_fire_before_its_time),
        CASE(the_past_fires_in_the_next_turn),
        CASE(fires_once_per_setting),
        CASE(unset_does_not_fire),
        CASE(moves_in_both_directions),
        CASE(moved_in_the_last_moment_does_not_fire),
        CASE(the_far_future_is_never),
        CASE(a_set_clock_fires_and_unsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
