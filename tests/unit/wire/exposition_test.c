#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "wire/exposition.h"

static struct strbuf seen;

/* name{a="b"} value @time; one a line. */
static int note(void *context, const struct exposition_sample *s)
{
    (void)context;
    strbuf_addf(&seen, "%.*s", STR_ARG(s->name));
    for (uint32_t i = 0; i < s->labels.count; i++) {
        strbuf_addf(&seen, "%s%.*s=", i == 0 ? "{" : ",",
                    STR_ARG(s->labels.at[i].name));
        strbuf_add_json_quoted(&seen, s->labels.at[i].value);
    }
    strbuf_addf(&seen, "%s %.17g", s->labels.count != 0 ? "}" : "", s->value);
    if (s->has_time) {
        strbuf_addf(&seen, " @%lld", (long long)s->time_ms);
    }
    strbuf_addch(&seen, '\n');
    return 0;
}

static int read_as(enum exposition_format format, struct str text,
                   struct err *err)
{
    *err = ERR_INIT;
    strbuf_deinit(&seen);
    strbuf_init(&seen, 64 * 1024);
    return exposition_read(text, format, note, NULL, err);
}

static void good(enum exposition_format format, const char *text,
                 const char *expected)
{
    struct err err;
    if (read_as(format, str_c(text), &err) != 0) {
        fail_msg("%s: %s", text, err.message);
    }
    assert_string_equal(strbuf_str(&seen).len != 0 ? seen.at : "", expected);
}

static void bad(enum exposition_format format, const char *text)
{
    struct err err;
    int r = read_as(format, str_c(text), &err);
    if (r != -EBADMSG) {
        fail_msg("%s: %d", text, r);
    }
    assert_non_null(strstr(err.message, "line "));
}

#define TEXT EXPOSITION_TEXT
#define OPEN EXPOSITION_OPENMETRICS

static void text_samples(void **state)
{
    (void)state;
    good(TEXT, "", "");
    good(TEXT, "a 1", "a 1\n");
    good(TEXT, "\n\n  a\t 1 \n", "a 1\n");
    good(TEXT, "a{} 1\n", "a 1\n");
    good(TEXT, "a { b = \"c\" , d=\"e\", } 1 1700000000000\n",
         "a{b=\"c\",d=\"e\"} 1 @1700000000000\n");
    good(TEXT, "a{z=\"1\",b=\"2\"} 1", "a{b=\"2\",z=\"1\"} 1\n");
    good(TEXT, "a:b_9 -5 -1", "a:b_9 -5 @-1\n");
    good(TEXT, "{\"a.b\",c=\"d\"} 2", "a.b{c=\"d\"} 2\n");
    good(TEXT, "a{\"b c\"=\"d\"} 2", "a{b c=\"d\"} 2\n");
    good(TEXT, "a{b=\"x\"}1", "a{b=\"x\"} 1\n");
    good(TEXT, "a{b=\"\\\\ \\\" \\n \\d\"} 1",
         "a{b=\"\\\\ \\\" \\n \\\\d\"} 1\n");
    good(TEXT, "a{b=\"}#,=\"} 1", "a{b=\"}#,=\"} 1\n");
    good(TEXT, "a{b=\"\xC3\xA4\"} 1", "a{b=\"\xC3\xA4\"} 1\n");
    static const char *const wrong[] = {
        "a",
        "a{",
        "a{b",
        "a{b=",
        "a{b=\"",
        "a{b=\"c",
        "a{b=\"c\"",
        "a{b=\"c\"}",
        "a{b=c} 1",
        "a{=\"c\"} 1",
        "a{b=\"c\" d=\"e\"} 1",
        "a{,} 1",
        "a{b=\"1\",b=\"2\"} 1",
        "9a 1",
        "a 1 2 3",
        "a 1 x",
        "a 1 1.5",
        "a x",
        "a 1\r\n",
        "a-b 1",
        "{b=\"c\"} 1",
        "a 1 # x",
        "a{9=\"c\"} 1",
        "{\"a\",\"b\"} 1",
        "a 1 99999999999999999999",
        "a 0x1",
        "a 1_0",
        "a 1p3",
        "a 1e999",
        "a nan(1)",
        "a +nan",
        "a --1",
        "a 1e",
        "a .",
        "a e5",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        bad(TEXT, wrong[i]);
    }
}

static void text_remarks(void **state)
{
    (void)state;
    good(TEXT, "# anything\n#\n#HELP x\n# EOF\na 1\n", "a 1\n");
    good(TEXT, "# HELP a some \"text\" \\n\n# TYPE a counter\na 1\n", "a 1\n");
    good(TEXT, "# HELP a\n#\t TYPE\ta  gauge \na 1\n", "a 1\n");
    good(TEXT, "# UNIT a b c\n", "");
    bad(TEXT, "# TYPE a gauges\n");
    bad(TEXT, "# TYPE a Counter\n");
    bad(TEXT, "# TYPE a info\n");
    bad(TEXT, "# TYPE a\n");
    bad(TEXT, "# TYPE\n");
    bad(TEXT, "# TYPE 9 gauge\n");
    bad(TEXT, "# HELP\n");
    bad(TEXT, "# HELP 9 text\n");
    bad(TEXT, "a 1\nb x\nc 1\n"); /* one bad line fails all */
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } rows[] = {
        {"0", 0},        {"+1", 1},     {"-1.5", -1.5},
        {".5", 0.5},     {"5.", 5},     {"1e3", 1000},
        {"1E-3", 0.001}, {"1e+2", 100}, {"1e-999", 0},
    };
    double value = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(exposition_number(str_c(rows[i].text), &value), 0);
        assert_true(value >= rows[i].value && value <= rows[i].value);
    }
    static const char *const infinite[] = {"Inf", "+Inf", "inf", "+infinity",
                                           "INFINITY"};
    for (size_t i = 0; i < sizeof(infinite) / sizeof(infinite[0]); i++) {
        assert_int_equal(exposition_number(str_c(infinite[i]), &value), 0);
        assert_true(isinf(value) && value > 0);
    }
    assert_int_equal(exposition_number(STR("-Inf"), &value), 0);
    assert_true(isinf(value) && value < 0);
    assert_int_equal(exposition_number(STR("NaN"), &value), 0);
    assert_true(isnan(value));
    char long_one[200];
    memset(long_one, '1', sizeof(long_one));
    assert_int_equal(exposition_number(str_n(long_one, 128), &value), 0);
    assert_int_equal(exposition_number(str_n(long_one, 129), &value), -EINVAL);
    assert_int_equal(exposition_number(STR(""), &value), -EINVAL);
}

static void open_pages(void **state)
{
    (void)state;
    good(OPEN, "# EOF", "");
    good(OPEN, "# EOF\n", "");
    good(OPEN,
         "# TYPE a counter\n# HELP a h \\n\n# UNIT a \na_total 1\n"
         "a_created 1.5\n# EOF\n",
         "a_total 1\na_created 1.5\n");
    good(OPEN, "a 1 1.25\n# EOF\n", "a 1 @1250\n");
    good(OPEN, "a{b=\"c\",d=\"e\"} 1 -1\n# EOF\n",
         "a{b=\"c\",d=\"e\"} 1 @-1000\n");
    good(OPEN,
         "# TYPE t_seconds gauge\n# UNIT t_seconds seconds\n"
         "t_seconds 1\n# EOF\n",
         "t_seconds 1\n");
    good(OPEN, "# TYPE i info\ni_info{v=\"1\"} 1\n# EOF\n",
         "i_info{v=\"1\"} 1\n");
    good(OPEN, "# TYPE s stateset\ns{s=\"on\"} 1\ns{s=\"off\"} 0\n# EOF\n",
         "s{s=\"on\"} 1\ns{s=\"off\"} 0\n");
    good(OPEN,
         "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1 # {t=\"x\"} 0.5 9.5\n"
         "h_count 1\nh_sum 2\nh_created 3\n# EOF\n",
         "h_bucket{le=\"+Inf\"} 1\nh_count 1\nh_sum 2\nh_created 3\n");
    good(OPEN,
         "# TYPE g gaugehistogram\ng_bucket{le=\"1\"} 1\ng_gcount 1\n"
         "g_gsum 1\n# EOF\n",
         "g_bucket{le=\"1\"} 1\ng_gcount 1\ng_gsum 1\n");
    good(OPEN,
         "# TYPE q summary\nq{quantile=\"0.5\"} 1\nq_count 1\nq_sum 1\n"
         "# EOF\n",
         "q{quantile=\"0.5\"} 1\nq_count 1\nq_sum 1\n");
    good(OPEN, "# TYPE c counter\nc_total 1 2 # {} 3\n# EOF\n",
         "c_total 1 @2000\n");
    good(OPEN, "# TYPE u unknown\nu 1\nv 2\n# EOF\n", "u 1\nv 2\n");
}

static void open_pages_that_are_wrong(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "a 1\n",                     /* cut */
        "a 1\n# EOF\n\n",            /* data behind the end */
        "# EOF\na 1\n",              /* the same */
        "a  1\n# EOF\n",             /* two spaces */
        "a\t1\n# EOF\n",             /* a tab */
        " a 1\n# EOF\n",             /* a space in front */
        "a 1 \n# EOF\n",             /* and behind */
        "a 1 1 \n# EOF\n",           /* */
        "\n# EOF\n",                 /* an empty line */
        "# a remark\n# EOF\n",       /* no remarks */
        "#\n# EOF\n",                /* */
        "#HELP a b\n# EOF\n",        /* */
        "#  TYPE a gauge\n# EOF\n",  /* */
        "# TYPE a  gauge\n# EOF\n",  /* */
        "# TYPE a untyped\n# EOF\n", /* not a type here */
        "# TYPE a gauge\n# TYPE a gauge\n# EOF\n",
        "# TYPE a gauge\na 1\n# HELP a x\n# EOF\n",
        "# UNIT a seconds\n# EOF\n",      /* not the suffix */
        "# TYPE a counter\na 1\n# EOF\n", /* no _total */
        "# TYPE a counter\na_count 1\n# TYPE a counter\n# EOF\n",
        "a 1\nb 1\na 2\n# EOF\n",           /* interleaved */
        "# TYPE i info\ni_info 2\n# EOF\n", /* not 1 */
        "# TYPE s stateset\ns{s=\"a\"} 2\n# EOF\n",
        "# TYPE s stateset\ns{t=\"a\"} 1\n# EOF\n",
        "# TYPE h histogram\nh_bucket 1\n# EOF\n", /* no le */
        "a{b=\"c\",} 1\n# EOF\n",                  /* a comma too many */
        "a {b=\"c\"} 1\n# EOF\n",                  /* a space too many */
        "a{b=\"c\"}1\n# EOF\n",                    /* and one too few */
        "a 1 NaN\n# EOF\n",                        /* no time */
        "a 1 +Inf\n# EOF\n",
        "a 1 # {} 1\n# EOF\n", /* no exemplar here */
        "# TYPE c counter\nc_total 1 #{} 1\n# EOF\n",
        "# TYPE c counter\nc_total 1 # {}\n# EOF\n",
        "# TYPE c counter\nc_total 1 # {a=\"b\"} x\n# EOF\n",
        "# EOF\r\n",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        bad(OPEN, wrong[i]);
    }
}

static void exemplars_are_short(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT(4096);
    for (size_t len = 127; len <= 128; len++) {
        strbuf_reset(&text);
        strbuf_addc(&text, "# TYPE c counter\nc_total 1 # {a=\"");
        for (size_t i = 0; i < len; i++) {
            strbuf_addc(&text, "\xC3\xA4"); /* one character */
        }
        strbuf_addc(&text, "\"} 1\n# EOF\n");
        if (len == 127) {
            good(OPEN, text.at, "c_total 1\n");
        } else {
            bad(OPEN, text.at);
        }
    }
    strbuf_deinit(&text);
}

static void says_where(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(read_as(TEXT, STR("a 1\nbc x\n"), &err), -EBADMSG);
    assert_int_equal(err.at.line, 2);
    assert_int_equal(err.at.column, 4);
    assert_string_equal(err.message, "line 2: a number expected");
}

static int count_only(void *context, const struct exposition_sample *s)
{
    (void)s;
    return ++*(uint32_t *)context == 3 ? -ECANCELED : 0;
}

static int take_all(void *context, const struct exposition_sample *s)
{
    (void)context;
    (void)s;
    return 0;
}

static int read_built(struct strbuf *text)
{
    struct err err = ERR_INIT;
    int r = exposition_read(strbuf_str(text), TEXT, take_all, NULL, &err);
    strbuf_deinit(text);
    return r;
}

static struct strbuf repeated(const char *head, char c, size_t n,
                              const char *tail)
{
    struct strbuf b = STRBUF_INIT(EXPOSITION_MAX_BYTES + 64);
    strbuf_addc(&b, head);
    for (size_t i = 0; i < n; i++) {
        strbuf_addch(&b, c);
    }
    strbuf_addc(&b, tail);
    return b;
}

static void limits(void **state)
{
    (void)state;
    struct strbuf b = repeated("#", 'x', EXPOSITION_MAX_BYTES - 1, "");
    assert_int_equal(read_built(&b), 0);
    b = repeated("#", 'x', EXPOSITION_MAX_BYTES, "");
    assert_int_equal(read_built(&b), -E2BIG);
    b = repeated("", 'n', EXPOSITION_NAME_MAX_BYTES, " 1");
    assert_int_equal(read_built(&b), 0);
    b = repeated("", 'n', EXPOSITION_NAME_MAX_BYTES + 1, " 1");
    assert_int_equal(read_built(&b), -EBADMSG);
    b = repeated("a{b=\"", 'v', EXPOSITION_VALUE_MAX_BYTES, "\"} 1");
    assert_int_equal(read_built(&b), 0);
    b = repeated("a{b=\"", 'v', EXPOSITION_VALUE_MAX_BYTES + 1, "\"} 1");
    assert_int_equal(read_built(&b), -EBADMSG);
    for (unsigned extra = 0; extra < 2; extra++) {
        b = STRBUF_INIT(EXPOSITION_MAX_BYTES);
        strbuf_addc(&b, "a{");
        for (unsigned i = 0; i < EXPOSITION_LABELS_MAX + extra; i++) {
            strbuf_addf(&b, "l%u=\"\",", i);
        }
        strbuf_addc(&b, "} 1");
        assert_int_equal(read_built(&b), extra == 0 ? 0 : -EBADMSG);
        b = STRBUF_INIT(EXPOSITION_MAX_BYTES);
        for (unsigned i = 0; i < EXPOSITION_SAMPLES_MAX + extra; i++) {
            strbuf_addc(&b, "a 1\n");
        }
        assert_int_equal(read_built(&b), extra == 0 ? 0 : -E2BIG);
    }
}

static void families_are_bounded(void **state)
{
    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        struct err err = ERR_INIT;
        struct strbuf b = STRBUF_INIT(EXPOSITION_MAX_BYTES);
        for (unsigned i = 0; i < EXPOSITION_FAMILIES_MAX + extra; i++) {
            strbuf_addf(&b, "m%u 1\n", i);
        }
        strbuf_addc(&b, "# EOF\n");
        assert_int_equal(
            exposition_read(strbuf_str(&b), OPEN, take_all, NULL, &err),
            extra == 0 ? 0 : -E2BIG);
        strbuf_deinit(&b);
    }
}

static void the_reader_may_be_told_to_stop(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    uint32_t count = 0;
    assert_int_equal(exposition_read(STR("a 1\nb 2\nc 3\nd 4\n"), TEXT,
                                     count_only, &count, &err),
                     -ECANCELED);
    assert_int_equal(count, 3);
    assert_int_equal(
        exposition_read(STR("a{b=\"\xFF\"} 1\n"), TEXT, take_all, NULL, &err),
        -EBADMSG);
}

static void formats(void **state)
{
    (void)state;
    assert_int_equal(exposition_format_of("text/plain; version=0.0.4"), TEXT);
    assert_int_equal(exposition_format_of(""), TEXT);
    assert_int_equal(
        exposition_format_of(
            "Application/OpenMetrics-Text; version=1.0.0; charset=utf-8"),
        OPEN);
}

static int free_seen(void **state)
{
    (void)state;
    strbuf_deinit(&seen);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_samples),
        cmocka_unit_test(text_remarks),
        cmocka_unit_test(numbers),
        cmocka_unit_test(open_pages),
        cmocka_unit_test(open_pages_that_are_wrong),
        cmocka_unit_test(exemplars_are_short),
        cmocka_unit_test(says_where),
        cmocka_unit_test(limits),
        cmocka_unit_test(families_are_bounded),
        cmocka_unit_test(the_reader_may_be_told_to_stop),
        cmocka_unit_test(formats),
    };
    return cmocka_run_group_tests(tests, NULL, free_seen);
}
