#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/attr.h"
#include "base/strbuf.h"
#include "proc/output.h"

#define WHOLE (1024 * 1024)

static void add(struct output *o, const char *text)
{
    output_add(o, OUTPUT_STDOUT, 5, str_c(text));
}

/* Everything that is ready, as one text; checks that the pieces are numbered
 * by where they stand. */
static void tell(const struct output *o, struct output_cursor *cursor,
                 struct strbuf *out)
{
    struct output_chunk chunk;
    uint64_t offset = cursor->offset;
    while (output_next(o, cursor, &chunk)) {
        assert_int_equal(chunk.offset, offset);
        assert_true(chunk.data.len > 0);
        strbuf_add(out, chunk.data);
        offset += chunk.data.len;
    }
    assert_int_equal(cursor->offset, offset);
}

static void expect_told(const struct output *o, const char *text)
{
    struct output_cursor cursor = {0};
    struct strbuf out = STRBUF_INIT(WHOLE);
    tell(o, &cursor, &out);
    strbuf_addch(&out, '\0'); /* so that nothing gives text as well */
    assert_string_equal(out.at, text);
    strbuf_deinit(&out);
}

static void what_fits_is_told_as_it_comes(void **state)
{
    (void)state;
    struct output o;
    struct output_cursor cursor = {0};
    struct output_chunk chunk;
    output_init(&o, 100);
    assert_false(output_next(&o, &cursor, &chunk));
    output_add(&o, OUTPUT_STDOUT, 10, STR("one"));
    output_add(&o, OUTPUT_STDERR, 20, STR("two!"));
    assert_true(output_next(&o, &cursor, &chunk));
    assert_int_equal(chunk.stream, OUTPUT_STDOUT);
    assert_int_equal(chunk.at_ms, 10);
    assert_int_equal(chunk.offset, 0);
    assert_true(str_eq_c(chunk.data, "one"));
    assert_true(output_next(&o, &cursor, &chunk));
    assert_int_equal(chunk.stream, OUTPUT_STDERR);
    assert_int_equal(chunk.at_ms, 20);
    assert_int_equal(chunk.offset, 3);
    assert_true(str_eq_c(chunk.data, "two!"));
    assert_false(output_next(&o, &cursor, &chunk));
    add(&o, "three");
    assert_true(output_next(&o, &cursor, &chunk));
    assert_int_equal(chunk.offset, 7);
    output_finish(&o, 30);
    assert_false(output_next(&o, &cursor, &chunk));
    assert_int_equal(o.written_bytes, 12);
    assert_int_equal(o.dropped_bytes, 0);
    assert_int_equal(output_kept_bytes(&o), 12);
    output_deinit(&o);
}

static void nothing_written_is_nothing_told(void **state)
{
    (void)state;
    struct output o;
    output_init(&o, 100);
    output_finish(&o, 1);
    expect_told(&o, "");
    assert_int_equal(output_kept_bytes(&o), 0);
    output_deinit(&o);
}

/* Exactly the limit: all of it, and no mark. */
static void the_limit_itself_is_kept_whole(void **state)
{
    (void)state;
    struct output o;
    output_init(&o, 10);
    add(&o, "0123456789");
    expect_told(&o, "01234"); /* the tail waits */
    output_finish(&o, 1);
    expect_told(&o, "0123456789");
    assert_int_equal(o.dropped_bytes, 0);
    output_deinit(&o);
}

static void past_the_limit_head_and_tail_are_kept(void **state)
{
    (void)state;
    struct output o;
    output_init(&o, 10);
    add(&o, "abcde");
    for (char c = 'f'; c <= 'z'; c++) {
        char text[2] = {c, '\0'};
        add(&o, text);
    }
    expect_told(&o, "abcde");
    assert_int_equal(output_kept_bytes(&o), 10);
    output_finish(&o, 1);
    expect_told(&o, "abcde\n[16 bytes of output were not kept]\nvwxyz");
    assert_int_equal(o.written_bytes, 26);
    assert_int_equal(o.dropped_bytes, 16);
    output_deinit(&o);
}

/* Who follows the output while it grows is told the same as who reads it at
 * the end, and the same pieces. */
static void a_second_telling_is_identical(void **state)
{
    (void)state;
    struct output o;
    struct output_cursor live = {0};
    struct strbuf seen = STRBUF_INIT(WHOLE);
    output_init(&o, 64);
    for (int i = 0; i < 40; i++) {
        add(&o, "abc");
        tell(&o, &live, &seen);
    }
    output_finish(&o, 1);
    tell(&o, &live, &seen);
    expect_told(&o, seen.at);
    strbuf_deinit(&seen);
    output_deinit(&o);
}

/* A piece larger than the tail alone may be: nothing of it stays, and what
 * comes later still does. */
static void the_newest_output_survives_a_flood(void **state)
{
    (void)state;
    static char flood[16 * 1024];
    struct output o;
    memset(flood, 'x', sizeof(flood));
    output_init(&o, 10);
    for (int i = 0; i < 100; i++) {
        output_add(&o, OUTPUT_STDOUT, 1, str_n(flood, sizeof(flood)));
        assert_true(output_kept_bytes(&o) <= 10);
    }
    add(&o, "end");
    output_finish(&o, 1);
    expect_told(&o, "xxxxx\n[1638395 bytes of output were not kept]\nend");
    output_deinit(&o);
}

/* Byte by byte must not cost more memory than in blocks. */
static void pieces_are_bounded(void **state)
{
    (void)state;
    struct output o;
    output_init(&o, WHOLE);
    for (unsigned i = 0; i < 3 * OUTPUT_PIECES_MAX; i++) {
        add(&o, "x");
        assert_true(o.head_count <= OUTPUT_PIECES_MAX);
        assert_true(o.tail_count <= OUTPUT_PIECES_MAX);
    }
    assert_int_equal(o.dropped_bytes, OUTPUT_PIECES_MAX);
    assert_int_equal(output_kept_bytes(&o), 2 * OUTPUT_PIECES_MAX);
    output_finish(&o, 1);
    struct output_cursor cursor = {0};
    struct output_chunk chunk;
    unsigned count = 0;
    while (output_next(&o, &cursor, &chunk)) {
        count++;
    }
    assert_int_equal(count, 2 * OUTPUT_PIECES_MAX + 1);
    output_deinit(&o);
}

static void nothing_may_be_kept(void **state)
{
    (void)state;
    struct output o;
    output_init(&o, 0);
    add(&o, "lost");
    output_finish(&o, 1);
    expect_told(&o, "\n[4 bytes of output were not kept]\n");
    output_deinit(&o);
}

static void is_restored_as_it_was_told(void **state)
{
    (void)state;
    struct output old;
    struct output restored;
    output_init(&old, 10);
    output_init(&restored, 10);
    add(&old, "0123456789abcdef");
    output_finish(&old, 7);
    struct output_cursor cursor = {0};
    struct output_chunk chunk;
    while (output_next(&old, &cursor, &chunk)) {
        output_restore(&restored, &chunk);
    }
    output_finish(&restored, 8);
    struct output_cursor a = {0};
    struct output_cursor b = {0};
    struct output_chunk again;
    while (output_next(&old, &a, &chunk)) {
        assert_true(output_next(&restored, &b, &again));
        assert_int_equal(again.offset, chunk.offset);
        assert_int_equal(again.stream, chunk.stream);
        assert_int_equal(again.at_ms, chunk.at_ms);
        assert_true(str_eq(again.data, chunk.data));
    }
    assert_false(output_next(&restored, &b, &again));
    output_deinit(&old);
    output_deinit(&restored);
}

static void the_last_line_of_errors_is_known(void **state)
{
    (void)state;
    static const struct {
        enum output_stream stream;
        const char *text;
        const char *last;
    } cases[] = {
        {OUTPUT_STDOUT, "not this\n", ""},
        {OUTPUT_STDERR, "one\ntw", "tw"},
        {OUTPUT_STDERR, "o\n", "two"},
        {OUTPUT_STDOUT, "not this\n", "two"},
        {OUTPUT_STDERR, "\n  \n\r\n", "two"},
        {OUTPUT_STDERR, "   indented  \n", "indented"},
    };
    struct output o;
    output_init(&o, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        output_add(&o, cases[i].stream, 10, str_c(cases[i].text));
        assert_true(str_eq_c(output_last_line(&o), cases[i].last));
    }
    char flood[3 * OUTPUT_LAST_LINE_BYTES];
    memset(flood, 'x', sizeof(flood));
    output_add(&o, OUTPUT_STDERR, 10, str_n(flood, sizeof(flood)));
    assert_int_equal(output_last_line(&o).len, OUTPUT_LAST_LINE_BYTES);
    output_deinit(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_told_as_it_comes),
        cmocka_unit_test(nothing_written_is_nothing_told),
        cmocka_unit_test(the_limit_itself_is_kept_whole),
        cmocka_unit_test(past_the_limit_head_and_tail_are_kept),
        cmocka_unit_test(a_second_telling_is_identical),
        cmocka_unit_test(the_newest_output_survives_a_flood),
        cmocka_unit_test(pieces_are_bounded),
        cmocka_unit_test(nothing_may_be_kept),
        cmocka_unit_test(is_restored_as_it_was_told),
        cmocka_unit_test(the_last_line_of_errors_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
