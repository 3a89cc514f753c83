/* What store.h and model/notice.h say about notices. */
#include <string.h>

#include "tests/store/fixture.h"

static struct record notice(enum integration channel, const char *key)
{
    return (struct record){.kind = RECORD_NOTICE_NEW,
                           .notice = {.channel = channel,
                                      .created_ms = T0_MS,
                                      .key = str_c(key),
                                      .body = STR("{\"a\":1}")}};
}

static void apply(struct fixture *f, struct record r)
{
    assert_int_equal(fixture_apply(f, &r, 1), 0);
}

static void tried(struct fixture *f, uint64_t seq, enum notice_fate fate,
                  uint32_t attempts)
{
    apply(f, (struct record){.kind = RECORD_NOTICE_TRIED,
                             .tried = {.seq = seq,
                                       .fate = fate,
                                       .attempts = attempts,
                                       .tried_ms = T0_MS + attempts,
                                       .error = STR("503")}});
}

static uint32_t read(struct fixture *f, struct notice_filter filter,
                     struct notice_row **ret)
{
    uint32_t count = 0;
    filter.limit = filter.limit != 0 ? filter.limit : 2000;
    assert_int_equal(
        f->reader->ops->notices(f->reader, &filter, &f->arena, ret, &count), 0);
    return count;
}

static uint64_t count_of(struct fixture *f, enum integration channel,
                         enum notice_state state)
{
    struct notice_counts counts;
    assert_int_equal(f->reader->ops->notice_counts(f->reader, &counts), 0);
    return counts.of[channel][state];
}

#define PAGER INTEGRATION_PAGERDUTY
#define SLACK INTEGRATION_SLACK
#define PENDING(which)                                                         \
    ((struct notice_filter){                                                   \
        .channel = (which), .state = NOTICE_PENDING, .oldest_first = true})

static void wait_in_order_until_taken(void **state)
{
    struct fixture *f = *state;
    struct notice_row *rows = NULL;
    apply(f, notice(PAGER, "k1"));
    apply(f, notice(SLACK, "k1"));
    apply(f, notice(PAGER, "k2"));
    fixture_restart(f);
    assert_int_equal(read(f, PENDING(PAGER), &rows), 2);
    assert_int_equal(rows[0].seq, 1);
    assert_str(rows[0].key, "k1");
    assert_str(rows[0].body, "{\"a\":1}");
    assert_int_equal(rows[0].created_ms, T0_MS);
    assert_int_equal(rows[1].seq, 3);
    tried(f, 1, NOTICE_STAYS, 4);
    assert_int_equal(read(f, PENDING(PAGER), &rows), 2);
    assert_int_equal(rows[0].attempts, 4);
    assert_int_equal(rows[0].tried_ms, T0_MS + 4);
    assert_str(rows[0].error, "503");
    tried(f, 1, NOTICE_TAKEN, 5);
    tried(f, 1, NOTICE_TAKEN, 5); /* a repeat changes nothing */
    assert_int_equal(read(f, PENDING(PAGER), &rows), 1);
    assert_int_equal(rows[0].seq, 3);
    assert_int_equal(count_of(f, SLACK, NOTICE_PENDING), 1);
}

static void the_dead_stay_dead(void **state)
{
    struct fixture *f = *state;
    struct notice_row *rows = NULL;
    struct notice_filter dead = {.channel = PAGER, .state = NOTICE_DEAD};
    apply(f, notice(PAGER, "k1"));
    apply(f, notice(PAGER, "k2"));
    tried(f, 1, NOTICE_GIVEN_UP, 7);
    tried(f, 1, NOTICE_TAKEN, 8);
    tried(f, 1, NOTICE_STAYS, 8);
    tried(f, 2, NOTICE_GIVEN_UP, 1);
    assert_int_equal(read(f, dead, &rows), 2);
    assert_int_equal(rows[0].seq, 2);
    assert_int_equal(rows[1].attempts, 7);
    dead.before_seq = 2;
    assert_int_equal(read(f, dead, &rows), 1);
    assert_int_equal(rows[0].seq, 1);
    assert_int_equal(count_of(f, PAGER, NOTICE_DEAD), 2);
    assert_int_equal(count_of(f, PAGER, NOTICE_PENDING), 0);
}

static void numbers_do_not_come_back(void **state)
{
    struct fixture *f = *state;
    struct notice_row *rows = NULL;
    apply(f, notice(PAGER, "k1"));
    tried(f, 1, NOTICE_TAKEN, 1);
    apply(f, notice(PAGER, "k2"));
    assert_int_equal(read(f, PENDING(PAGER), &rows), 1);
    assert_int_equal(rows[0].seq, 2);
}

static void only_the_newest_dead_are_kept(void **state)
{
    struct fixture *f = *state;
    struct notice_row *rows = NULL;
    struct notice_filter dead = {
        .channel = PAGER, .state = NOTICE_DEAD, .oldest_first = true};
    for (uint64_t i = 1; i <= NOTICE_DEAD_MAX + 2; i++) {
        struct record records[] = {
            notice(PAGER, "k"),
            {.kind = RECORD_NOTICE_TRIED,
             .tried = {.seq = i, .fate = NOTICE_GIVEN_UP}}};
        assert_int_equal(fixture_apply(f, records, 2), 0);
    }
    assert_int_equal(count_of(f, PAGER, NOTICE_DEAD), NOTICE_DEAD_MAX);
    assert_int_equal(read(f, dead, &rows), NOTICE_DEAD_MAX);
    assert_int_equal(rows[0].seq, 3);
}

/* With the records that cause it, or not at all. */
static void a_failed_change_tells_nobody(void **state)
{
    struct fixture *f = *state;
    struct workflow_row nobodys = fixture_workflow(f);
    nobodys.rev = 2;
    struct record records[] = {
        notice(PAGER, "k"), {.kind = RECORD_WORKFLOW_SET, .workflow = nobodys}};
    assert_true(fixture_apply(f, records, 2) < 0);
    assert_int_equal(count_of(f, PAGER, NOTICE_PENDING), 0);
}

const struct conformance_case notice_cases[] = {
    {"notices wait in order until taken", wait_in_order_until_taken},
    {"dead notices stay dead", the_dead_stay_dead},
    {"numbers of notices do not come back", numbers_do_not_come_back},
    {"only the newest dead notices are kept", only_the_newest_dead_are_kept},
    {"a failed change tells nobody", a_failed_change_tells_nobody},
};
const size_t notice_case_count = ARRAY_LEN(notice_cases);
