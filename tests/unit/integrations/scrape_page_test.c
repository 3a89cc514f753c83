#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <semaphore.h>
#include <string.h>

#include "integrations/scrape_page.h"

static const char *const texts[] = {"load1 > 4", "load*", NULL};
static struct rule_set *rules;
static atomic_bool halting;

static int set_up(void **state)
{
    (void)state;
    rules = rule_set_new(texts);
    atomic_store(&halting, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rule_set_unref(rules);
    return 0;
}

static struct page page_of(const char *text)
{
    return (struct page){
        .text = str_c(text), .rules = rules, .sample_limit = 3, .hits_max = 3};
}

static void hits_are_what_rules_ask_for(void **state)
{
    (void)state;
    struct page p = page_of("load1{a=\"b\"} 5\nload2 1\nother 9\n");
    page_read(&p, &halting);
    assert_string_equal(p.why, "");
    assert_int_equal(p.samples, 3);
    assert_int_equal(p.hits.count, 3);
    const struct hit *h = p.hits.at;
    assert_true(h[0].rule == &rules->rules[0]);
    assert_true(h[1].rule == &rules->rules[1]);
    assert_true(h[0].sample == h[1].sample);
    assert_true(str_eq_c(h[2].sample->name, "load2"));
    assert_true(str_eq_c(h[0].sample->labels.at[0].value, "b"));
    assert_string_not_equal(h[0].key, h[1].key);
    assert_non_null(strstr(h[0].key, "/load1"));
    page_deinit(&p);
}

static void too_many_hits_are_counted(void **state)
{
    (void)state;
    struct page p = page_of("load1 5\nload1{a=\"b\"} 5\n");
    page_read(&p, &halting);
    assert_int_equal(p.hits.count, 3);
    assert_int_equal(p.over, 1);
    page_deinit(&p);
}

static void a_page_that_is_no_good_has_no_hits(void **state)
{
    (void)state;
    struct page bad = page_of("load1 5\ngarbage{ 1\n");
    page_read(&bad, &halting);
    assert_int_equal(bad.hits.count, 0);
    assert_non_null(strstr(bad.why, "not a page of metrics: line 2"));
    page_deinit(&bad);
    struct page large = page_of("a 1\nb 1\nload1 5\nc 1\n");
    page_read(&large, &halting);
    assert_int_equal(large.hits.count, 0);
    assert_non_null(strstr(large.why, "more than 3 samples"));
    page_deinit(&large);
}

static sem_t done;

static void on_done(struct page *p)
{
    (void)p;
    (void)sem_post(&done);
}

static void the_thread_gives_every_page_back(void **state)
{
    (void)state;
    struct pages *s = NULL;
    struct page p[3];
    assert_int_equal(sem_init(&done, 0, 0), 0);
    assert_int_equal(pages_new(&s), 0);
    for (int i = 0; i < 3; i++) {
        p[i] = page_of("load1 5\n");
        p[i].done = on_done;
        pages_add(s, &p[i]);
    }
    pages_free(s); /* whether they were read or not */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sem_trywait(&done), 0);
        assert_true(p[i].hits.count == 2 ||
                    strcmp(p[i].why, "the engine is stopping") == 0);
        page_deinit(&p[i]);
    }
    (void)sem_destroy(&done);
}

static void who_stops_does_not_read_on(void **state)
{
    (void)state;
    atomic_store(&halting, true);
    struct page p = page_of("load1 5\n");
    page_read(&p, &halting);
    assert_string_equal(p.why, "the engine is stopping");
    assert_int_equal(p.hits.count, 0);
    page_deinit(&p);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(hits_are_what_rules_ask_for),
        CASE(too_many_hits_are_counted),
        CASE(a_page_that_is_no_good_has_no_hits),
        CASE(the_thread_gives_every_page_back),
        CASE(who_stops_does_not_read_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
