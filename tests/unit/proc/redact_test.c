#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/prng.h"
#include "proc/redact.h"

#define WHOLE (1024UL * 1024)
#define SECRET "p/ss wörd'7+\"ü"

/* Redacts the text in pieces of this size, and ends the stream. */
static void run(struct redactor *r, struct str text, size_t piece,
                struct strbuf *out)
{
    struct redact_stream s;
    redact_stream_init(&s);
    while (text.len != 0) {
        redact(r, &s, str_slice(text, 0, piece), false, out);
        text = str_slice(text, MIN(piece, text.len), text.len);
    }
    redact(r, &s, STR(""), true, out);
    redact_stream_deinit(&s);
    strbuf_addch(out, '\0'); /* so that nothing can be compared as well */
}

static void expect(const char *secret, const char *text, const char *expected)
{
    struct redactor r;
    redactor_init(&r);
    redactor_add(&r, str_c(secret));
    for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
        struct strbuf out = STRBUF_INIT(WHOLE);
        run(&r, str_c(text), piece, &out);
        assert_string_equal(out.at, expected);
        strbuf_deinit(&out);
    }
    redactor_deinit(&r);
}

static void a_secret_becomes_stars_wherever_it_stands(void **state)
{
    (void)state;
    expect("hush", "hush", "***");
    expect("hush", "a hush, hushhush\n", "a ***, ******\n");
    expect("hush", "hus hushus", "hus ***us");
    expect("aab", "aaab aaaab", "a*** aa***");
    expect("x", "xyx", "***y***");
    expect("", "nothing", "nothing");
}

/* As programs write it: base64(1), xxd -p, curl, jq, sh -x, printf %q. */
static void encoded_forms_become_stars(void **state)
{
    (void)state;
    expect(SECRET, "1 " SECRET " 2", "1 *** 2");
    expect(SECRET, "702f737320 702f73732077c3b6726427372b22c3bc\n",
           "702f737320 ***\n");
    expect(SECRET, "702F73732077C3B6726427372B22C3BC", "***");
    expect(SECRET, "q=p%2Fss%20w%C3%B6rd%277%2B%22%C3%BC&", "q=***&");
    expect(SECRET, "q=p%2fss%20w%c3%b6rd%277%2b%22%c3%bc&", "q=***&");
    expect(SECRET, "q=p%2Fss+w%C3%B6rd%277%2B%22%C3%BC&", "q=***&");
    expect(SECRET, "q=p/ss%20w%C3%B6rd%277%2B%22%C3%BC&", "q=***&");
    expect(SECRET, "{\"a\":\"p/ss wörd'7+\\\"ü\"}", "{\"a\":\"***\"}");
    expect(SECRET, "+ echo 'p/ss wörd'\\''7+\"ü'", "+ echo '***'");
    expect(SECRET, "p/ss\\ wörd\\'7+\\\"ü", "***");
}

static void encode(struct str bytes, const char *alphabet, struct strbuf *out)
{
    for (size_t bit = 0; bit < bytes.len * 8; bit += 6) {
        unsigned v = 0;
        for (size_t i = bit; i < bit + 6; i++) {
            unsigned byte =
                i / 8 < bytes.len ? (unsigned char)bytes.at[i / 8] : 0;
            v = v << 1 | (byte >> (7 - i % 8) & 1U);
        }
        strbuf_addch(out, alphabet[v]);
    }
}

/* Inside any longer text, of what base64 makes of it nothing stays that tells
 * more than a few bits of its first or last byte. */
static void base64_around_it_becomes_stars(void **state)
{
    (void)state;
    static const char *const alphabets[] = {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};
    static const char secret[] = "k\xff\xef\xbf ~?>s3cret";
    struct redactor r;
    redactor_init(&r);
    redactor_add(&r, str_c(secret));
    for (size_t before = 0; before < 4; before++) {
        for (size_t after = 0; after < 4; after++) {
            for (size_t which = 0; which < 2; which++) {
                struct strbuf plain = STRBUF_INIT(WHOLE);
                struct strbuf text = STRBUF_INIT(WHOLE);
                struct strbuf out = STRBUF_INIT(WHOLE);
                strbuf_add(&plain, str_n("user:", before));
                strbuf_addc(&plain, secret);
                strbuf_add(&plain, str_n("\n@@@", after));
                encode(strbuf_str(&plain), alphabets[which], &text);
                run(&r, strbuf_str(&text), 5, &out);
                const char *stars = strstr(out.at, "***");
                assert_non_null(stars);
                assert_true(stars - out.at <= 6);
                assert_true(strlen(stars + 3) <= 6);
                strbuf_deinit(&plain);
                strbuf_deinit(&text);
                strbuf_deinit(&out);
            }
        }
    }
    redactor_deinit(&r);
}

/* base64(1) breaks its lines. */
static void base64_lines_become_stars(void **state)
{
    (void)state;
    static char secret[200];
    struct strbuf text = STRBUF_INIT(WHOLE);
    struct strbuf lines = STRBUF_INIT(WHOLE);
    struct strbuf out = STRBUF_INIT(WHOLE);
    struct prng p;
    prng_seed(&p, 7);
    for (size_t i = 0; i + 2 < sizeof(secret); i++) {
        secret[i] = (char)('!' + prng_below(&p, 90));
    }
    encode(str_c(secret),
           "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
           &text);
    for (size_t i = 0; i < text.len; i += 76) {
        strbuf_add(&lines,
                   str_slice(strbuf_str(&text), i, MIN(i + 76, text.len)));
        strbuf_addch(&lines, '\n');
    }
    struct redactor r;
    redactor_init(&r);
    redactor_add(&r, str_c(secret));
    run(&r, strbuf_str(&lines), 10, &out);
    assert_string_equal(out.at, "***\n***\n***\n***\n");
    redactor_deinit(&r);
    strbuf_deinit(&text);
    strbuf_deinit(&lines);
    strbuf_deinit(&out);
}

static void short_values_have_no_encoded_forms(void **state)
{
    (void)state;
    expect("abcde", "6162636465 YWJjZGU= abcde", "6162636465 YWJjZGU= ***");
}

/* The longest of several wins, also when it comes late. */
static void several_secrets(void **state)
{
    (void)state;
    struct redactor r;
    redactor_init(&r);
    redactor_add(&r, STR("abc"));
    redactor_add(&r, STR("abcdef"));
    redactor_add(&r, STR("abc"));
    for (size_t piece = 1; piece < 20; piece++) {
        struct strbuf out = STRBUF_INIT(WHOLE);
        run(&r, STR("abcdef abcde abc"), piece, &out);
        assert_string_equal(out.at, "*** ***de ***");
        strbuf_deinit(&out);
    }
    redactor_deinit(&r);
}

/* What cannot become a secret any more is told at once. */
static void nothing_is_held_without_need(void **state)
{
    (void)state;
    struct redactor r;
    struct redact_stream s;
    struct strbuf out = STRBUF_INIT(WHOLE);
    redactor_init(&r);
    redact_stream_init(&s);
    redactor_add(&r, STR("hush"));
    redact(&r, &s, STR("Password: "), false, &out);
    assert_string_equal(out.at, "Password: ");
    redact(&r, &s, STR("hu"), false, &out);
    assert_string_equal(out.at, "Password: ");
    redact(&r, &s, STR("t"), false, &out);
    assert_string_equal(out.at, "Password: hut");
    strbuf_deinit(&out);
    redact_stream_deinit(&s);
    redactor_deinit(&r);
}

/* The longest value, all of whose bytes are written with six. */
static void the_longest_secret_fits(void **state)
{
    (void)state;
    static char secret[RUNBOOK_PARAM_VALUE_MAX_BYTES + 1];
    memset(secret, '\x7f', sizeof(secret) - 1);
    expect(secret, "a", "a");
    struct redactor r;
    struct strbuf out = STRBUF_INIT(WHOLE);
    redactor_init(&r);
    redactor_add(&r, str_c(secret));
    run(&r, str_c(secret), 100, &out);
    assert_string_equal(out.at, "***");
    strbuf_deinit(&out);
    redactor_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_becomes_stars_wherever_it_stands),
        cmocka_unit_test(encoded_forms_become_stars),
        cmocka_unit_test(base64_around_it_becomes_stars),
        cmocka_unit_test(base64_lines_become_stars),
        cmocka_unit_test(short_values_have_no_encoded_forms),
        cmocka_unit_test(several_secrets),
        cmocka_unit_test(nothing_is_held_without_need),
        cmocka_unit_test(the_longest_secret_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
