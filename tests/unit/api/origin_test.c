#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "api/auth.h"
#include "api/limiter.h"
#include "api/origin.h"
#include "api/page.h"
#include "base/mem.h"

/* ---- Host ---------------------------------------------------------------- */

static void knows_its_own_names(void **state)
{
    (void)state;
    static const char *const names[] = {"ops.example.org",
                                        "port.example.org:9000", NULL};
    static const char *const good[] = {
        "localhost",         "localhost:9000",        "LOCALHOST:1",
        "127.0.0.1",         "127.0.0.1:65535",       "[::1]",
        "[::1]:9000",        "ops.example.org",       "OPS.example.ORG:443",
        "ops.example.org:1", "port.example.org:9000",
    };
    static const char *const bad[] = {
        "",
        "evil.example",
        "127.0.0.1.nip.io",
        "localhost.",
        "localhost.evil.example",
        "evil.example:localhost",
        "localhost:",
        "localhost:x",
        "localhost:0",
        "localhost:65536",
        "localhost:9000:9000",
        "localhost:+9",
        "127.0.0.2",
        "127.1",
        "2130706433",
        "0x7f000001",
        "[::1",
        "::1",
        "[::1]x",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "user@localhost",
        "localhost/",
        "localhost evil",
        "port.example.org",
        "port.example.org:9001",
        "xops.example.org",
    };
    struct host_list *l = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(host_list_new(names, &l, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (!host_allowed(l, str_c(good[i]))) {
            fail_msg("%s", good[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (host_allowed(l, str_c(bad[i]))) {
            fail_msg("%s", bad[i]);
        }
    }
    assert_false(host_allowed(l, STR("localhost\0.evil")));
    host_list_free(l);
}

static void refuses_names_that_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"*",   "https://x", "a b",
                                        "x:y", "",          "x/"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const char *names[] = {"fine", wrong[i], NULL};
        struct host_list *l = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(host_list_new(names, &l, &err), -EINVAL);
        assert_string_equal(err.field, "server.allowed_hosts");
    }
}

/* ---- Origin
 * ------------------------------------------------------------------- */

static bool allowed(const char *host, const char *origin, const char *site,
                    bool tls)
{
    struct http_request r = {.tls = tls};
    r.headers[HTTP_HOST] = str_c(host);
    if (origin != NULL) {
        r.headers[HTTP_ORIGIN] = str_c(origin);
    }
    if (site != NULL) {
        r.headers[HTTP_SEC_FETCH_SITE] = str_c(site);
    }
    return origin_allowed(&r);
}

static void takes_requests_of_its_own_pages_only(void **state)
{
    (void)state;
    const char *host = "localhost:9000";
    assert_true(allowed(host, NULL, NULL, false));
    assert_true(allowed(host, "http://localhost:9000", NULL, false));
    assert_true(allowed(host, "https://localhost:9000", NULL, true));
    assert_true(allowed(host, NULL, "none", false));
    assert_true(allowed(host, NULL, "same-origin", false));
    assert_false(allowed(host, "null", NULL, false));
    assert_false(allowed(host, "", NULL, false));
    assert_false(allowed(host, "http://localhost", NULL, false));
    assert_false(allowed(host, "http://localhost:9001", NULL, false));
    assert_false(allowed(host, "https://localhost:9000", NULL, false));
    assert_false(allowed(host, "http://localhost:9000", NULL, true));
    assert_false(allowed(host, "http://localhost:9000.evil", NULL, false));
    assert_false(allowed(host, "http://evil.example", NULL, false));
    assert_false(allowed(host, NULL, "cross-site", false));
    assert_false(allowed(host, NULL, "same-site", false));
    assert_false(allowed(host, "http://localhost:9000", "cross-site", false));
}

/* ---- wrong tokens
 * --------------------------------------------------------------- */

static void source(uint32_t n, uint8_t ret[16])
{
    memset(ret, 0, 16);
    memcpy(ret + 12, &n, sizeof(n));
}

static void slows_down_who_guesses(void **state)
{
    (void)state;
    struct limiter *l = MEM_NEW(struct limiter);
    uint8_t a[16];
    uint8_t b[16];
    source(1, a);
    source(2, b);
    uint64_t now = 1000000;
    for (int i = 0; i < LIMITER_BURST; i++) {
        assert_true(limiter_may(l, a, now));
        limiter_failed(l, a, now);
    }
    assert_false(limiter_may(l, a, now));
    assert_true(limiter_may(l, b, now));
    assert_false(limiter_may(l, a, now + LIMITER_REFILL_MS - 1));
    assert_true(limiter_may(l, a, now + LIMITER_REFILL_MS));
    limiter_failed(l, a, now + LIMITER_REFILL_MS);
    assert_false(limiter_may(l, a, now + LIMITER_REFILL_MS));
    assert_true(
        limiter_may(l, a, now + (LIMITER_BURST + 1) * LIMITER_REFILL_MS));
    mem_free(l);
}

/* However many addresses somebody has: what the table cannot tell apart gets
 * one share together, and those it knows stay known. */
static void full_table_fails_closed(void **state)
{
    (void)state;
    struct limiter *l = MEM_NEW(struct limiter);
    uint64_t now = 1000000;
    uint32_t allowed_tries = 0;
    uint32_t sources = 20 * LIMITER_SETS * LIMITER_WAYS;
    for (uint32_t i = 0; i < sources; i++) {
        uint8_t s[16];
        source(i, s);
        if (limiter_may(l, s, now)) {
            allowed_tries++;
            limiter_failed(l, s, now);
        }
    }
    assert_true(allowed_tries <= LIMITER_SETS * LIMITER_WAYS + LIMITER_BURST);
    uint8_t fresh[16];
    source(sources + 1, fresh);
    assert_false(limiter_may(l, fresh, now));
    assert_true(limiter_may(l, fresh, now + 2 * LIMITER_REFILL_MS));
    mem_free(l);
}

/* ---- local users
 * ------------------------------------------------------------------ */

static void knows_privileged_users(void **state)
{
    (void)state;
    struct api_options none = {.group = "no-such-group-anywhere",
                               .trust_own_uid = true};
    struct auth *a = auth_new(&none);
    assert_true(auth_uid_ok(a, 0, 1));
    assert_true(auth_uid_ok(a, geteuid(), 1));
    assert_false(auth_uid_ok(a, 65534, 1));
    assert_false(auth_uid_ok(a, 4000000000U, 1));
    assert_false(auth_uid_ok(a, 65534, 2)); /* from memory */
    auth_free(a);

    none.trust_own_uid = false;
    a = auth_new(&none);
    assert_int_equal(auth_uid_ok(a, geteuid(), 1), geteuid() == 0);
    auth_free(a);

    struct passwd *bin = getpwnam("bin");
    if (bin == NULL || bin->pw_uid == geteuid()) {
        skip();
    }
    struct api_options group = {.group = "bin"};
    a = auth_new(&group);
    assert_true(auth_uid_ok(a, bin->pw_uid, 1));
    assert_true(auth_uid_ok(a, bin->pw_uid, AUTH_MEMORY_MS + 2));
    assert_false(auth_uid_ok(a, 65534, 1));
    auth_free(a);
}

/* ---- HTML
 * ----------------------------------------------------------------------- */

static void escapes_html(void **state)
{
    (void)state;
    struct strbuf out = STRBUF_INIT(4096);
    page_add_html(&out, STR("<script>'\"&\x1b[2J\n\xff\xc3\xa4</script>"));
    assert_string_equal(out.at, "&lt;script&gt;&#39;&quot;&amp;\\x1b[2J\\x0a"
                                "\\xff\xc3\xa4&lt;/script&gt;");
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_own_names),
        cmocka_unit_test(refuses_names_that_are_none),
        cmocka_unit_test(takes_requests_of_its_own_pages_only),
        cmocka_unit_test(slows_down_who_guesses),
        cmocka_unit_test(full_table_fails_closed),
        cmocka_unit_test(knows_privileged_users),
        cmocka_unit_test(escapes_html),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
