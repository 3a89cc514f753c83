#include <string.h>
#include <strings.h>

#include "net/http_priv.h"

/* Where two readers of one request could disagree about where it ends or whom
 * it is for, it is refused and the connection ends (RFC 9112 sections 6.1 and
 * 6.3, RFC 9110 section 7.2). */

static bool equals_nocase(struct str s, struct str word)
{
    return s.len == word.len && strncasecmp(s.at, word.at, s.len) == 0;
}

bool http_has_body(const struct http_request *r)
{
    return r->headers[HTTP_TRANSFER_ENCODING].at != NULL ||
           (r->headers[HTTP_CONTENT_LENGTH].at != NULL &&
            http_body_length(r) != 0);
}

size_t http_body_length(const struct http_request *r)
{
    uint64_t length = 0;
    if (r->headers[HTTP_TRANSFER_ENCODING].at != NULL ||
        str_to_u64(r->headers[HTTP_CONTENT_LENGTH], 0, SIZE_MAX - 1, &length) <
            0) {
        return SIZE_MAX;
    }
    return (size_t)length;
}

struct refusal {
    unsigned status; /* 0: none */
    const char *code;
    const char *sentence;
};

#define FINE ((struct refusal){.status = 0})

static struct refusal bad(const char *sentence)
{
    return (struct refusal){400, "bad_request", sentence};
}

static struct refusal check_target(const struct http_conn *c)
{
    struct str t = strbuf_str(&c->target);
    if (strbuf_error(&c->target) < 0) {
        return (struct refusal){414, "too_large",
                                "the request target is longer than 8 KiB"};
    }
    if (t.len == 0 || t.at[0] != '/') {
        return bad("the request target must start with '/'");
    }
    for (size_t i = 0; i < t.len; i++) {
        unsigned char b = (unsigned char)t.at[i];
        if (b <= 0x20 || b >= 0x7F || b == '#') {
            return bad("the request target holds a byte that must be "
                       "percent-encoded");
        }
    }
    return FINE;
}

static struct refusal check_size(struct http_conn *c)
{
    const union MHD_ConnectionInfo *size = MHD_get_connection_info(
        c->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (c->header_count > HTTP_HEADERS_MAX ||
        (size != NULL && size->header_size > HTTP_HEAD_MAX_BYTES) ||
        http_head_has_long_line(c)) {
        return (struct refusal){431, "too_large",
                                "the headers are more than 100, one is longer "
                                "than 8 KiB, or all are longer than 32 KiB"};
    }
    return FINE;
}

static struct refusal check_bytes(struct http_conn *c, const char *method,
                                  const char *version)
{
    const char *fault = http_head_fault(c, method, version);
    return fault == NULL ? FINE : bad(fault);
}

static struct refusal check_host(const struct http_conn *c)
{
    if (c->request.headers[HTTP_HOST].len == 0) {
        return bad("the Host header is missing");
    }
    if (c->repeated != 0) {
        return bad("a header that may stand once stands twice");
    }
    return FINE;
}

static struct refusal check_length(const struct http_conn *c, bool is_1_1)
{
    const struct http_request *r = &c->request;
    struct str te = r->headers[HTTP_TRANSFER_ENCODING];
    struct str cl = r->headers[HTTP_CONTENT_LENGTH];
    if (te.at != NULL) {
        if (cl.at != NULL) {
            return bad("Content-Length and Transfer-Encoding exclude each "
                       "other");
        }
        if (!is_1_1) {
            return bad("HTTP/1.0 has no Transfer-Encoding");
        }
        if (!equals_nocase(te, STR("chunked"))) {
            return (struct refusal){501, "unsupported_encoding",
                                    "the only Transfer-Encoding taken is "
                                    "chunked"};
        }
    }
    uint64_t length = 0;
    if (cl.at != NULL && str_to_u64(cl, 0, INT64_MAX, &length) < 0) {
        return bad("Content-Length is not a number");
    }
    return FINE;
}

static struct refusal check_meaning(const struct http_conn *c)
{
    const struct http_request *r = &c->request;
    struct str coding = r->headers[HTTP_CONTENT_ENCODING];
    struct str expect = r->headers[HTTP_EXPECT];
    if (coding.at != NULL && !equals_nocase(coding, STR("identity"))) {
        return (struct refusal){415, "unsupported_encoding",
                                "bodies are taken without Content-Encoding "
                                "only"};
    }
    if (expect.at != NULL && !equals_nocase(expect, STR("100-continue"))) {
        return (struct refusal){417, "bad_request",
                                "the only Expect known is 100-continue"};
    }
    if (http_has_body(r) && r->method != HTTP_POST && r->method != HTTP_PUT &&
        r->method != HTTP_DELETE) {
        return bad("only POST, PUT and DELETE requests have a body");
    }
    return FINE;
}

bool http_framing_ok(struct http_conn *c, const char *method,
                     const char *version)
{
    bool is_1_1 = strcmp(version, "HTTP/1.1") == 0;
    struct refusal f = FINE;
    if (!is_1_1 && strcmp(version, "HTTP/1.0") != 0) {
        f = (struct refusal){505, "bad_request",
                             "the versions spoken are HTTP/1.1 and 1.0"};
    }
    f = f.status != 0 ? f : check_target(c);
    f = f.status != 0 ? f : check_size(c);
    f = f.status != 0 ? f : check_bytes(c, method, version);
    f = f.status != 0 ? f : check_host(c);
    f = f.status != 0 ? f : check_length(c, is_1_1);
    f = f.status != 0 ? f : check_meaning(c);
    if (f.status == 0) {
        return true;
    }
    http_fail(&c->request, f.status, f.code, f.sentence);
    c->answer.close = true;
    return false;
}
