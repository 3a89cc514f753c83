#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/attr.h"
#include "integrations/web.h"

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool good;
    } rows[] = {
        {"http://localhost:9090", true},
        {"https://prometheus.example.org/prefix", true},
        {"http://[::1]:9090/", true},
        {"HTTP://127.0.0.1", true},
        {"", false},
        {"localhost:9090", false},
        {"ftp://host/", false},
        {"file:///etc/passwd", false},
        {"gopher://host/", false},
        {"http://", false},
        {"http://user@host/", false},
        {"http://user:pass@host/", false},
        {"http://host/#part", false},
        {"http://host/with blank", false},
        {"http://host/\r\nHost: x", false},
        {"http://host:99999/", false},
        {"javascript:alert(1)", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        int r = web_url_check(str_c(rows[i].url), &err);
        if ((r == 0) != rows[i].good) {
            fail_msg("%s: %d %s", rows[i].url, r, err.message);
        }
    }
    static char longest[WEB_URL_MAX_BYTES + 1];
    struct err err = ERR_INIT;
    memset(longest, 'a', WEB_URL_MAX_BYTES);
    memcpy(longest, "http://h/", 9);
    assert_int_equal(web_url_check(str_c(longest), &err), -EINVAL);
    longest[WEB_URL_MAX_BYTES - 1] = '\0';
    assert_int_equal(web_url_check(str_c(longest), &err), 0);
}

static void origins(void **state)
{
    (void)state;
    static const struct {
        const char *url, *origin;
    } rows[] = {
        {"http://LocalHost/x?y", "http://localhost:80"},
        {"https://host", "https://host:443"},
        {"https://host:8443/a", "https://host:8443"},
        {"http://[::1]:9/", "http://[::1]:9"},
        {"nonsense://", ""},
    };
    char origin[WEB_ORIGIN_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        web_origin(rows[i].url, origin);
        assert_string_equal(origin, rows[i].origin);
    }
    web_origin(NULL, origin);
    assert_string_equal(origin, "");
}

static void retry_after(void **state)
{
    (void)state;
    const uint64_t now_s = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
    assert_int_equal(web_retry_after(STR("30"), now_s), 30);
    assert_int_equal(web_retry_after(STR(" 0 "), now_s), 0);
    assert_int_equal(web_retry_after(STR("999999"), now_s),
                     WEB_RETRY_AFTER_MAX_S);
    assert_int_equal(
        web_retry_after(STR("Sun, 06 Nov 1994 08:50:37 GMT"), now_s), 60);
    assert_int_equal(
        web_retry_after(STR("Sun, 06 Nov 1994 08:00:00 GMT"), now_s), 0);
    assert_int_equal(web_retry_after(STR("soon"), now_s), 0);
    assert_int_equal(web_retry_after(STR("-1"), now_s), 0);
    assert_int_equal(web_retry_after(STR(""), now_s), 0);
    assert_int_equal(web_retry_after(STR("99999999999999999999"), now_s), 0);
}

static void statuses(void **state)
{
    (void)state;
    char room[48];
    assert_string_equal(web_status_text(401, room), "401 Unauthorized");
    assert_string_equal(web_status_text(418, room), "418");
}

static void secrets_stay_near_or_under_tls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool keeps;
    } cases[] = {
        {"https://events.example.com", true},
        {"http://events.example.com", false},
        {"http://localhost:9090", true},
        {"http://LOCALHOST", true},
        {"http://a.localhost", true},
        {"http://127.0.0.1:9090", true},
        {"http://127.1.2.3", true},
        {"http://[::1]:9090", true},
        {"http://prometheus:9090", true}, /* the manual's */
        {"http://10.0.0.1", false},
        {"http://8.8.8.8", false},
        {"http://134744072", false},
        {"http://0x08080808", false},
        {"http://[2001:db8::1]", false},
        {"http://127.0.0.1.example.com", false},
        {"http://localhost.example.com", false},
        {"http://notlocalhost.", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char origin[WEB_ORIGIN_SIZE];
        web_origin(cases[i].url, origin);
        assert_int_equal(web_keeps_secrets(origin), cases[i].keeps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_stay_near_or_under_tls),
        cmocka_unit_test(urls),
        cmocka_unit_test(origins),
        cmocka_unit_test(retry_after),
        cmocka_unit_test(statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
