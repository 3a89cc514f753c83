#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/net/fixture.h"

/* Bytes that two readers could read differently: refused, and nothing behind
 * them is taken for a request. */

struct bytes {
    const char *what;
    const char *at;
    size_t len;
};

#define BYTES(what, text)                                                      \
    {                                                                          \
        what, text, sizeof(text) - 1                                           \
    }
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" HEAD
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct bytes unsound[] = {
    BYTES("blank before the colon", POST "Content-Length : 5\r\n\r\nhello"),
    BYTES("tab before the colon", POST "Content-Length\t: 5\r\n\r\nhello"),
    BYTES("blank in a name", GET HEAD "X Y: z\r\n\r\n"),
    BYTES("no name", GET HEAD ": z\r\n\r\n"),
    BYTES("control in a name", GET HEAD "X\x01: z\r\n\r\n"),
    BYTES("byte above ASCII in a name", GET HEAD "X\xE4: z\r\n\r\n"),
    BYTES("name in brackets", GET HEAD "[x]: z\r\n\r\n"),
    BYTES("NUL in Host", GET "Host: localhost\0.evil.example\r\n\r\n"),
    BYTES("NUL in Origin",
          GET HEAD "Origin: http://localhost\0.evil.example\r\n\r\n"),
    BYTES("NUL for a line's end", GET HEAD "A: b\0\0C: d\r\n\r\n"),
    BYTES("NUL for a line", GET HEAD "A: b\0\0C\0 d\r\n\r\n"),
    BYTES("NUL for a line between two", GET "A: b\0\0C\0 d\r\n" HEAD "\r\n"),
    BYTES("two NULs for the head's end", GET HEAD "\0\0X: y\r\n\r\n"),
    BYTES("NUL for the head's end",
          POST "A: b\r\n\0Content-Length: 5\r\n\r\nhello"),
    BYTES("NUL in the target", "GET /api\0x HTTP/1.1\r\n" HEAD "\r\n"),
    BYTES("NUL in the method", "GE\0T / HTTP/1.1\r\n" HEAD "\r\n"),
    BYTES("NUL for a blank", "GET /a\0HTTP/1.1 HTTP/1.1\r\n" HEAD "\r\n"),
    BYTES("bad method", "G{T / HTTP/1.1\r\n" HEAD "\r\n"),
    BYTES("two blanks", "GET  / HTTP/1.1\r\n" HEAD "\r\n"),
    BYTES("two blanks before the version", "GET /  HTTP/1.1\r\n" HEAD "\r\n"),
    BYTES("blank in the target", "GET /a b HTTP/1.1\r\n" HEAD "\r\n"),
    BYTES("tab in the target", "GET /a\tb HTTP/1.1\r\n" HEAD "\r\n"),
    BYTES("CR in the target", "GET /a\rb HTTP/1.1\r\n" HEAD "\r\n"),
    BYTES("CR in a value", GET HEAD "X: a\rb\r\n\r\n"),
    BYTES("CR before CR LF", GET HEAD "X: a\r\r\n\r\n"),
    BYTES("control in a value", GET HEAD "X: a\x08\r\n\r\n"),
    BYTES("DEL in a value", GET HEAD "X: a\x7F\r\n\r\n"),
    BYTES("folded value", GET HEAD "X: a\r\n b\r\n\r\n"),
    BYTES("folded Host", GET "Host: localhost\r\n\t.evil.example\r\n\r\n"),
    BYTES("blank line start", GET " X: a\r\n" HEAD "\r\n"),
    BYTES("LF behind the request line", "GET / HTTP/1.1\n" HEAD "\r\n"),
    BYTES("LF behind a header", GET "Host: localhost\n\r\n"),
    BYTES("LF behind one of two", GET "X: y\n" HEAD "\r\n"),
    BYTES("LF for the empty line", GET HEAD "\n"),
    BYTES("LF everywhere", "GET / HTTP/1.1\nHost: localhost\n\n"),
    BYTES("chunk size, LF", CHUNKED "5\nhello\r\n0\r\n\r\n"),
    BYTES("chunk end, LF", CHUNKED "5\r\nhello\n1\r\nx\r\n0\r\n\r\n"),
    BYTES("chunk extension, LF", CHUNKED "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    BYTES("chunk extension, CR", CHUNKED "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    BYTES("chunk extension, NUL", CHUNKED "5;a\0\r\nhello\r\n0\r\n\r\n"),
};

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p++) {
        n++;
    }
    return n;
}

static const char behind[] =
    "GET /smuggled HTTP/1.1\r\n" HEAD "Connection: close\r\n\r\n";

/* Sends b, in pieces of `piece` bytes, and a request behind it. */
static void converse(const struct bytes *b, size_t piece)
{
    int fd = raw_connect(fix.port);
    for (size_t at = 0; at < b->len; at += piece) {
        size_t n = b->len - at < piece ? b->len - at : piece;
        if (!raw_send(fd, b->at + at, n)) {
            break;
        }
        if (piece < b->len) {
            usleep(200); /* only to have the pieces arrive as such */
        }
    }
    (void)raw_send(fd, behind, sizeof(behind) - 1);
    memset(&answer, 0, sizeof(answer));
    while (raw_more(fd, &answer)) {
    }
    close(fd);
}

static void refuses_bytes_that_may_mean_two_things(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(unsound); i++) {
        converse(&unsound[i], unsound[i].len);
        if (strncmp(answer.text, "HTTP/1.1 400 ", 13) != 0 ||
            count(answer.text, "HTTP/1.1 ") != 1 ||
            count(answer.text, "Connection: close") != 1 ||
            atomic_load(&fix.handled) != 0) {
            fail_msg("%s: %s", unsound[i].what, answer.text);
        }
    }
}

/* However a head arrives, it is judged the same; of a chunked body nothing is
 * left to smuggle with, for its connection ends. */
static void pieces_make_no_difference(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(unsound); i++) {
        bool chunked = strncmp(unsound[i].what, "chunk", 5) == 0;
        converse(&unsound[i], 1);
        if ((strncmp(answer.text, "HTTP/1.1 400 ", 13) != 0 && !chunked) ||
            count(answer.text, "HTTP/1.1 ") > 1 ||
            count(answer.text, "smuggled") != 0) {
            fail_msg("%s: %s", unsound[i].what, answer.text);
        }
    }
}

static const struct bytes sound[] = {
    BYTES("plain", GET HEAD "\r\n"),
    BYTES("no blank, many blanks, blanks behind",
          GET "Host:localhost\r\nA: \t b \t \r\nB:\r\nC: \r\n\r\n"),
    BYTES("all of a token", GET HEAD "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"),
    BYTES("bytes above ASCII in a value", GET HEAD "X: \xC3\xA4\r\n\r\n"),
    BYTES("a query", "GET /a?b=c&d=%20&e HTTP/1.1\r\n" HEAD "\r\n"),
    BYTES("cookies", GET HEAD "Cookie: a=b; c=\"d\"\r\n\r\n"),
    BYTES("empty lines before", "\r\n\r\n" GET HEAD "\r\n"),
    BYTES("body", POST "Content-Length: 5\r\n\r\nhe\n\0o"),
    BYTES("two chunks", CHUNKED "2\r\nhe\r\n003;x=\"y\"\r\nl\n\r\r\n0\r\n\r\n"),
    BYTES("trailer", CHUNKED "1\r\nx\r\n0\r\nX: y\r\n\r\n"),
    BYTES("one byte chunks", CHUNKED "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"),
};

static void takes_what_is_sound(void **state)
{
    (void)state;
    static const size_t pieces[] = {10000, 1, 2, 3, 7};
    for (size_t i = 0; i < ARRAY_LEN(sound); i++) {
        for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
            bool chunked = count(sound[i].at, "chunked") != 0;
            converse(&sound[i], pieces[k]);
            if (strncmp(answer.text, "HTTP/1.1 200 ", 13) != 0 ||
                count(answer.text, "HTTP/1.1 200 ") != (chunked ? 1 : 2)) {
                fail_msg("%s, %zu: %s", sound[i].what, pieces[k], answer.text);
            }
        }
    }
}

/* A chunked body is the last of its connection. */
static void a_chunked_request_ends_its_connection(void **state)
{
    (void)state;
    static const struct bytes b =
        BYTES("chunked", CHUNKED "1\r\nx\r\n0\r\n\r\n");
    converse(&b, b.len);
    assert_int_equal(count(answer.text, "HTTP/1.1 200 "), 1);
    assert_int_equal(count(answer.text, "Connection: close"), 1);
    assert_int_equal(atomic_load(&fix.handled), 1);
}

/* What MHD would refuse by itself, with its headers twice. */
static void refusals_are_one_json_answer(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {GET "\r\n", 400},
        {"GET / HTTP/1.1\r\nX: y\r\n\r\n", 400},
        {POST "Content-Length: x\r\n\r\n", 400},
        {POST "Content-Length: 1 1\r\n\r\nx", 400},
        {POST "Content-Length:\r\n\r\n", 400},
        {POST "Content-Length: 99999999999999999999999\r\n\r\nx", 413},
        {POST "Content-Length: -1\r\n\r\n", 400},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes b = {"", cases[i].request, strlen(cases[i].request)};
        char start[20];
        (void)snprintf(start, sizeof(start), "HTTP/1.1 %d ", cases[i].status);
        converse(&b, b.len);
        const char *body = strstr(answer.text, "\r\n\r\n");
        if (strncmp(answer.text, start, strlen(start)) != 0 ||
            count(answer.text, "HTTP/1.1 ") != 1 || body == NULL ||
            strncmp(body + 4, "{\"error\":", 9) != 0) {
            fail_msg("%s: %s", cases[i].request, answer.text);
        }
        assert_int_equal(count(answer.text, "Content-Type: application/json"),
                         1);
        assert_int_equal(count(answer.text, "Content-Length: "), 1);
        assert_int_equal(count(answer.text, "nosniff"), 1);
        assert_int_equal(strtol(raw_field(&answer, "Content-Length"), NULL, 10),
                         (long)strlen(body + 4));
    }
    assert_int_equal(atomic_load(&fix.handled), 0);
}

/* Only the one that is refused: others wait for their head undisturbed. */
static void a_refusal_meets_no_other_connection(void **state)
{
    (void)state;
    static const char half[] = GET "Host: local";
    static const char rest[] = "host\r\n\r\n";
    int fds[10];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = raw_connect(fix.port);
        assert_true(raw_send(fds[i], half, sizeof(half) - 1));
    }
    assert_int_equal(ask(POST "Content-Length: x\r\n\r\n"), 400);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        assert_true(raw_send(fds[i], rest, sizeof(rest) - 1));
        raw_read(fds[i], &answer);
        assert_int_equal(answer.status, 200);
        close(fds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(refuses_bytes_that_may_mean_two_things),
        CASE(pieces_make_no_difference),
        CASE(takes_what_is_sound),
        CASE(a_chunked_request_ends_its_connection),
        CASE(refusals_are_one_json_answer),
        CASE(a_refusal_meets_no_other_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
