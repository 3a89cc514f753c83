#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "history/history.h"
#include "os/remove.h"

/* A multiple of ten minutes, and of an hour. */
#define T0 UINT64_C(1764003600000)
#define SECOND UINT64_C(1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)

static char folder[64];
static char path[128];
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/history-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/" HISTORY_FILE, folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return os_remove_tree(AT_FDCWD, folder);
}

static struct history *open_at(uint64_t now_ms, struct history_opened *opened)
{
    struct err err = ERR_INIT;
    struct history *h = NULL;
    if (history_open(folder, now_ms, &h, opened, &err) < 0) {
        fail_msg("%s", err.message);
    }
    return h;
}

static void add(struct history *h, uint64_t at_ms, const char *name,
                double value)
{
    struct err err = ERR_INIT;
    struct history_value v = {.name = name, .value = value};
    struct history_sample s = {.at_ms = at_ms,
                               .now_ms = at_ms,
                               .values = &v,
                               .value_count = 1,
                               .is_now = true,
                               .accepted = 12,
                               .processed = 11};
    if (history_add(h, &s, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

static uint32_t points(struct history *h, uint64_t from_ms, uint64_t to_ms,
                       uint64_t step_s, struct history_point **ret)
{
    struct history_range r = {.from_s = from_ms / 1000,
                              .to_s = to_ms / 1000,
                              .now_s = to_ms / 1000,
                              .step_s = step_s};
    uint32_t count = 0;
    assert_int_equal(history_points(h, "depth", &r, &arena, ret, &count), 0);
    return count;
}

static void a_trend_has_its_mean_and_extremes(void **state)
{
    (void)state;
    struct history_opened opened;
    struct history *h = open_at(T0, &opened);
    assert_true(opened.created && opened.last_ms == 0);
    for (uint64_t i = 0; i < 12; i++) {
        add(h, T0 + i * 10 * SECOND, "depth", (double)i);
        add(h, T0 + i * 10 * SECOND, "other", 1000);
    }
    uint64_t end = T0 + 120 * SECOND;
    struct history_point *p = NULL;
    assert_int_equal(points(h, T0, end, 10, &p), 12);
    assert_int_equal(p[3].at_s, T0 / 1000 + 30);
    assert_float_equal(p[3].sum, 3, 0.001);
    assert_int_equal(points(h, T0, end, 60, &p), 2);
    assert_int_equal(p[1].samples, 6);
    assert_float_equal(p[1].sum, 6 + 7 + 8 + 9 + 10 + 11, 0.001);
    assert_float_equal(p[1].min, 6, 0.001);
    assert_float_equal(p[1].max, 11, 0.001);
    /* A step that is no multiple of what is kept becomes one. */
    assert_int_equal(points(h, T0, end, 25, &p), 4);
    assert_int_equal(points(h, T0 + 10 * SECOND, T0 + 20 * SECOND, 10, &p), 1);
    assert_int_equal(points(h, end, end + HOUR, 10, &p), 0);
    history_close(h, end);
}

static void a_step_without_samples_has_no_point(void **state)
{
    (void)state;
    struct history_opened opened;
    struct history *h = open_at(T0, &opened);
    add(h, T0, "depth", 1);
    add(h, T0 + 600 * SECOND, "depth", 2);
    struct history_point *p = NULL;
    assert_int_equal(points(h, T0, T0 + 700 * SECOND, 60, &p), 2);
    assert_int_equal(p[1].at_s, T0 / 1000 + 600);
    history_close(h, T0);
}

static void it_gets_coarser_with_age(void **state)
{
    (void)state;
    static const struct {
        uint64_t back_ms, step_s;
    } cases[] = {
        {HOUR, 10},     {6 * HOUR, 60},  {7 * HOUR, 120},
        {3 * DAY, 720}, {4 * DAY, 1200}, {90 * DAY, 21600},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct history_range r = {.from_s = (T0 - cases[i].back_ms) / 1000,
                                  .to_s = T0 / 1000,
                                  .now_s = T0 / 1000};
        assert_int_equal(history_step(&r), cases[i].step_s);
    }
    struct history_range fine = {.from_s = (T0 - 4 * DAY) / 1000,
                                 .to_s = T0 / 1000,
                                 .now_s = T0 / 1000,
                                 .step_s = 10};
    assert_int_equal(history_step(&fine), 600);

    struct history_opened opened;
    struct history *h = open_at(T0, &opened);
    for (uint64_t i = 0; i < 60; i++) {
        add(h, T0 + i * 10 * SECOND, "depth", 1);
    }
    uint64_t now = T0 + 4 * DAY;
    add(h, now, "depth", 5);
    struct history_point *p = NULL;
    /* Only the coarsest still has it: 60 samples in one point. */
    assert_int_equal(points(h, T0, now, 600, &p), 1);
    assert_int_equal(p[0].samples, 60);
    now = T0 + 100 * DAY;
    add(h, now, "depth", 5);
    assert_int_equal(points(h, T0, now, 21600, &p), 0);
    history_close(h, now);
}

static void it_is_kept_for_as_long_as_is_said(void **state)
{
    (void)state;
    struct history_opened opened;
    struct history *h = open_at(T0, &opened);
    struct history_keep keep = HISTORY_KEEP_DEFAULT;
    struct history_point *p = NULL;
    add(h, T0, "depth", 1);
    keep.points_ms = 400 * DAY;
    history_set_keep(h, &keep);
    uint64_t now = T0 + 300 * DAY;
    add(h, now, "depth", 2);
    assert_int_equal(points(h, T0, now + 600 * SECOND, 86400, &p), 2);
    keep.points_ms = 100 * DAY;
    history_set_keep(h, &keep);
    add(h, now, "depth", 2);
    assert_int_equal(points(h, T0, now + 600 * SECOND, 86400, &p), 1);
    /* The finer levels stay what they are. */
    keep.points_ms = 0;
    history_set_keep(h, &keep);
    add(h, now + DAY, "depth", 2);
    assert_int_equal(points(h, now, now + DAY, 60, &p), 1);
    history_close(h, now);
}

/* 256 metrics fill a megabyte a day. */
static void the_oldest_go_when_there_is_too_much(void **state)
{
    (void)state;
    struct history_opened opened;
    struct err err = ERR_INIT;
    static char names[HISTORY_METRICS_MAX][8];
    struct history_value values[HISTORY_METRICS_MAX];
    struct history_keep keep = {.points_ms = 90 * DAY,
                                .max_bytes = 4 * 1024 * 1024UL};
    struct history *h = open_at(T0, &opened);
    history_set_keep(h, &keep);
    for (size_t i = 0; i < HISTORY_METRICS_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "m%zu", i);
        values[i] = (struct history_value){names[i], 1.5};
    }
    (void)snprintf(names[0], sizeof(names[0]), "depth");
    uint64_t now = T0;
    for (; now < T0 + 20 * DAY; now += HOUR) {
        struct history_sample s = {.at_ms = now,
                                   .now_ms = now,
                                   .values = values,
                                   .value_count = HISTORY_METRICS_MAX};
        assert_int_equal(history_add(h, &s, &err), 0);
    }
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= 4L * 1024 * 1024);
    struct history_point *p = NULL;
    uint32_t days = points(h, T0, now, 86400, &p);
    assert_in_range(days, 4, 19);
    assert_int_equal(p[days - 1].at_s, (now - HOUR) / 1000 / 86400 * 86400);
    history_close(h, now);
}

static void too_many_points_are_refused(void **state)
{
    (void)state;
    struct history_opened opened;
    struct history *h = open_at(T0, &opened);
    struct history_range r = {.from_s = T0 / 1000 - 10 * HOUR,
                              .to_s = T0 / 1000,
                              .now_s = T0 / 1000,
                              .step_s = 10};
    struct history_point *p = NULL;
    uint32_t count = 0;
    r.from_s = r.to_s - (HISTORY_POINTS_MAX + 2) * 600;
    r.step_s = 600;
    assert_int_equal(history_points(h, "depth", &r, &arena, &p, &count),
                     -E2BIG);
    r.from_s = r.to_s - HISTORY_POINTS_MAX * UINT64_C(600);
    assert_int_equal(history_points(h, "depth", &r, &arena, &p, &count), 0);
    history_close(h, T0);
}

static double sum_of(struct history *h, const char *name, uint64_t from_ms,
                     uint64_t now_ms)
{
    const char *names[] = {"other", name};
    double sums[2] = {7, 7};
    struct history_window w = {.from_ms = from_ms, .now_ms = now_ms};
    assert_int_equal(history_sums(h, &w, names, 2, sums), 0);
    assert_float_equal(sums[0], 0, 0.001);
    return sums[1];
}

static void sums_and_timings_are_since_then(void **state)
{
    (void)state;
    struct history_opened opened;
    struct err err = ERR_INIT;
    struct history *h = open_at(T0, &opened);
    const struct history_timing timings[] = {
        {.which = 1, .bound_us = 5000000, .count = 7},
        {.which = 1, .bound_us = UINT64_MAX, .count = 1},
        {.which = 2, .bound_us = 5000000, .count = 100},
    };
    for (uint64_t i = 0; i < 2; i++) {
        struct history_sample s = {.at_ms = T0 + i * 2 * HOUR,
                                   .now_ms = T0 + i * 2 * HOUR,
                                   .timings = timings,
                                   .timing_count = 3};
        assert_int_equal(history_add(h, &s, &err), 0);
        add(h, s.at_ms, "depth", 4);
    }
    uint64_t now = T0 + 2 * HOUR;
    double sum = 0;
    sum = sum_of(h, "depth", T0, now);
    assert_float_equal(sum, 8, 0.001);
    sum = sum_of(h, "depth", now - HOUR, now);
    assert_float_equal(sum, 4, 0.001);
    sum = sum_of(h, "nothing", T0, now);
    assert_float_equal(sum, 0, 0.001);
    struct history_timing *t = NULL;
    uint32_t count = 0;
    assert_int_equal(history_timings(h, 1, T0, &arena, &t, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(t[0].count, 14);
    assert_true(t[1].bound_us == UINT64_MAX && t[1].count == 2);
    assert_int_equal(history_timings(h, 1, now, &arena, &t, &count), 0);
    assert_int_equal(t[0].count, 7);
    history_close(h, now);
}

static void it_outlives_a_restart(void **state)
{
    (void)state;
    struct history_opened opened;
    struct history *h = open_at(T0, &opened);
    add(h, T0 + 10 * SECOND, "depth", 3);
    history_close(h, T0 + 15 * SECOND);
    h = open_at(T0 + 20 * SECOND, &opened);
    assert_false(opened.created);
    assert_false(opened.unclean);
    assert_true(opened.last_ms == T0 + 15 * SECOND);
    assert_int_equal(opened.accepted, 12);
    assert_int_equal(opened.processed, 11);
    struct history_point *p = NULL;
    assert_int_equal(points(h, T0, T0 + 20 * SECOND, 10, &p), 1);
    history_close(h, T0 + 20 * SECOND);
}

/* Up 100 s, down 50 s, up 50 s. */
static void availability_is_time_up_of_time_known(void **state)
{
    (void)state;
    struct history_opened opened;
    struct history_up up;
    struct history *h = open_at(T0, &opened);
    add(h, T0 + 60 * SECOND, "depth", 1);
    history_close(h, T0 + 100 * SECOND);
    h = open_at(T0 + 150 * SECOND, &opened);
    uint64_t now = T0 + 200 * SECOND;
    assert_int_equal(history_up(h, T0 - DAY, now, &up), 0);
    assert_int_equal(up.up_ms, 150 * SECOND);
    assert_int_equal(up.known_ms, 200 * SECOND);
    assert_int_equal(up.runs, 2);
    assert_int_equal(history_up(h, T0 + 90 * SECOND, now, &up), 0);
    assert_int_equal(up.up_ms, 60 * SECOND);
    assert_int_equal(up.known_ms, 110 * SECOND);
    assert_int_equal(history_up(h, T0 + 180 * SECOND, now, &up), 0);
    assert_int_equal(up.up_ms, 20 * SECOND);
    assert_int_equal(up.known_ms, 20 * SECOND);
    history_close(h, now);
}

static void copy_file(const char *to, const char *suffix)
{
    static char bytes[1024 * 1024];
    char name[160];
    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    FILE *f = fopen(name, "re");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    assert_int_equal(fclose(f), 0);
    (void)snprintf(name, sizeof(name), "%s/" HISTORY_FILE "%s", to, suffix);
    f = fopen(name, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* As a kill leaves it: a copy that nobody has closed. */
static void a_run_that_was_killed_ends_with_its_last_sample(void **state)
{
    (void)state;
    struct history_opened opened;
    struct history_up up;
    struct history *h = open_at(T0, &opened);
    add(h, T0 + 60 * SECOND, "depth", 1);
    char copy[64];
    (void)snprintf(copy, sizeof(copy), "%.60s/b", folder);
    assert_int_equal(mkdir(copy, 0700), 0);
    copy_file(copy, "");
    copy_file(copy, "-wal");
    history_close(h, T0 + 90 * SECOND);
    struct err err = ERR_INIT;
    assert_int_equal(history_open(copy, T0 + 100 * SECOND, &h, &opened, &err),
                     0);
    assert_true(opened.unclean);
    assert_true(opened.last_ms == T0 + 60 * SECOND);
    assert_int_equal(history_up(h, T0, T0 + 100 * SECOND, &up), 0);
    assert_int_equal(up.up_ms, 60 * SECOND);
    history_close(h, T0 + 100 * SECOND);
}

static void damage(void)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "this is no database", 19, 0), 19);
    (void)close(fd);
}

static void a_damaged_file_is_set_aside(void **state)
{
    (void)state;
    struct history_opened opened;
    struct history *h = open_at(T0, &opened);
    add(h, T0, "depth", 1);
    history_close(h, T0);
    damage();
    h = open_at(T0, &opened);
    assert_true(opened.set_aside && opened.created);
    add(h, T0, "depth", 1);
    char aside[160];
    (void)snprintf(aside, sizeof(aside), "%s.damaged", path);
    assert_int_equal(access(aside, F_OK), 0);
    history_close(h, T0);
}

static void what_was_set_aside_stays(void **state)
{
    (void)state;
    struct history_opened opened;
    static const char *const names[] = {"damaged", "damaged-2", "damaged-3",
                                        "damaged-3"};
    for (size_t i = 0; i < 4; i++) {
        struct history *h = open_at(T0, &opened);
        history_close(h, T0);
        damage();
        h = open_at(T0, &opened);
        history_close(h, T0);
        assert_true(opened.set_aside);
        assert_string_equal(opened.aside + strlen("metrics.db."), names[i]);
    }
}

static void a_file_that_is_removed_is_made_again(void **state)
{
    (void)state;
    struct history_opened opened;
    struct err err = ERR_INIT;
    struct history *h = open_at(T0, &opened);
    add(h, T0, "depth", 1);
    assert_int_equal(unlink(path), 0);
    struct history_value v = {.name = "depth", .value = 2};
    struct history_sample s = {.at_ms = T0,
                               .now_ms = T0,
                               .values = &v,
                               .value_count = 1,
                               .is_now = true};
    assert_int_equal(history_add(h, &s, &err), 1);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(history_add(h, &s, &err), 0);
    struct history_point *p = NULL;
    assert_int_equal(points(h, T0, T0 + 10 * SECOND, 10, &p), 1);
    assert_int_equal(p[0].samples, 2);
    history_close(h, T0);
}

/* A folder in its place: there is a history, which tries again. */
static void a_file_that_cannot_be_used_stops_nothing(void **state)
{
    (void)state;
    struct history_opened opened;
    struct err err = ERR_INIT;
    struct history *h = NULL;
    struct history_up up;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(history_open(folder, T0, &h, &opened, &err) < 0);
    assert_non_null(h);
    assert_true(err.message[0] != '\0');
    assert_int_equal(history_up(h, T0, T0, &up), -EIO);
    struct history_sample s = {.at_ms = T0, .now_ms = T0, .is_now = true};
    assert_true(history_add(h, &s, &err) < 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(history_add(h, &s, &err), 1);
    assert_int_equal(history_up(h, T0, T0, &up), 0);
    history_close(h, T0);
}

static void names_have_a_limit(void **state)
{
    (void)state;
    struct history_opened opened;
    struct history *h = open_at(T0, &opened);
    for (unsigned i = 0; i < HISTORY_METRICS_MAX + 2; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), i == 0 ? "depth" : "m%u", i);
        add(h, T0, name, 1);
    }
    double sum = 0;
    sum = sum_of(h, "m255", T0, T0);
    assert_float_equal(sum, 1, 0.001);
    sum = sum_of(h, "m256", T0, T0);
    assert_float_equal(sum, 0, 0.001);
    add(h, T0, "depth", 1); /* those that it knows go on */
    sum = sum_of(h, "depth", T0, T0);
    assert_float_equal(sum, 2, 0.001);
    history_close(h, T0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_trend_has_its_mean_and_extremes),
        TEST(a_step_without_samples_has_no_point),
        TEST(it_gets_coarser_with_age),
        TEST(it_is_kept_for_as_long_as_is_said),
        TEST(the_oldest_go_when_there_is_too_much),
        TEST(too_many_points_are_refused),
        TEST(sums_and_timings_are_since_then),
        TEST(it_outlives_a_restart),
        TEST(availability_is_time_up_of_time_known),
        TEST(a_run_that_was_killed_ends_with_its_last_sample),
        TEST(a_damaged_file_is_set_aside),
        TEST(what_was_set_aside_stays),
        TEST(a_file_that_is_removed_is_made_again),
        TEST(a_file_that_cannot_be_used_stops_nothing),
        TEST(names_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
