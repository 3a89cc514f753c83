#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "net/http_priv.h"

/* MHD takes lines that end in a bare LF, folded lines, NUL and blanks in names
 * and cuts values at a NUL: another reader, a proxy before us, could see other
 * headers or another end. But it parses in place: a line's CR and LF and the
 * colon behind its name become NUL, and nothing is moved. So the whole head
 * still lies where it was read, and a sound one is exactly what MHD tells of
 * it: request line, headers one behind the other, an empty line. Anything else
 * is refused. */

#define END_LEN 2 /* CR LF, or what became of it */

static bool is_token(const char *at, size_t len)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < len; i++) {
        char b = at[i];
        bool alnum = (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') ||
                     (b >= 'A' && b <= 'Z');
        if (!alnum && (b == '\0' || strchr(others, b) == NULL)) {
            return false;
        }
    }
    return len != 0;
}

static bool is_control(char b)
{
    unsigned char u = (unsigned char)b;
    return (u < 0x20 && u != '\t') || u == 0x7F;
}

static bool is_text(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (is_control(at[i])) {
            return false;
        }
    }
    return true;
}

static bool is_blank(const char *from, const char *to)
{
    for (; from < to; from++) {
        if (*from != ' ' && *from != '\t') {
            return false;
        }
    }
    return true;
}

struct walk {
    const char *at; /* the next line must start here */
    const char *end;
    bool sound;
    bool long_line;
};

static bool ends_line(const struct walk *w, const char *at)
{
    return at + END_LEN <= w->end && at[0] == '\0' && at[1] == '\0';
}

/* NOLINTNEXTLINE(readability-function-size): the signature is MHD's */
static enum MHD_Result on_line(void *cls, enum MHD_ValueKind kind,
                               const char *key, size_t key_len,
                               const char *value, size_t value_len)
{
    struct walk *w = cls;
    (void)kind;
    w->sound = w->sound && key == w->at && value != NULL && value > key &&
               is_token(key, key_len) && key[key_len] == '\0' &&
               is_blank(key + key_len + 1, value) &&
               is_text(value, value_len) && ends_line(w, value + value_len);
    if (!w->sound) {
        return MHD_NO;
    }
    w->at = value + value_len + END_LEN;
    return MHD_YES;
}

static bool request_line_ok(const struct http_conn *c, const char *method,
                            const char *version)
{
    size_t len = strlen(method);
    return is_token(method, len) && method + len + 1 == c->target_at &&
           c->target_at + c->target.len + 1 == version;
}

const char *http_head_fault(struct http_conn *c, const char *method,
                            const char *version)
{
    const union MHD_ConnectionInfo *size = MHD_get_connection_info(
        c->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (size == NULL || !request_line_ok(c, method, version)) {
        return "the request line is not sound";
    }
    struct walk w = {.end = method + size->header_size, .sound = true};
    const char *version_end = version + strlen(version);
    if (!ends_line(&w, version_end)) {
        return "the request line does not end in CR LF";
    }
    w.at = version_end + END_LEN;
    c->head_end = w.end;
    (void)MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, on_line, &w);
    if (!w.sound || !ends_line(&w, w.at) || w.at + END_LEN != w.end) {
        return "a header line is not sound: a name is letters, digits and "
               "hyphens up to the colon, a value is on one line without "
               "control characters, and each line ends in CR LF";
    }
    return NULL;
}

static enum MHD_Result on_length(void *cls, enum MHD_ValueKind kind,
                                 const char *key, size_t key_len,
                                 const char *value, size_t value_len)
{
    bool *is_long = cls;
    (void)kind;
    (void)key;
    (void)value;
    *is_long = *is_long || key_len + value_len > HTTP_HEADER_MAX_BYTES;
    return MHD_YES;
}

bool http_head_has_long_line(struct http_conn *c)
{
    bool is_long = false;
    (void)MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, on_length,
                                      &is_long);
    return is_long;
}

/* ---- chunk lines ----------------------------------------------------------
 */

/* Only whole lines are taken out of the buffer, so a CR and its LF are never
 * apart. */
static bool lines_ok(const char *from, const char *to)
{
    for (const char *p = from; p < to; p++) {
        bool pair = *p == '\r' && p + 1 < to && p[1] == '\n';
        if (pair) {
            p++;
        } else if (is_control(*p)) {
            return false;
        }
    }
    return true;
}

bool http_chunk_line_ok(struct http_conn *c, struct str data)
{
    if (c->request.headers[HTTP_TRANSFER_ENCODING].at == NULL) {
        return true;
    }
    /* MHD reads once in a turn, to where the body starts or behind what it had
     * not used; what it gave before in the same turn lies before this. */
    bool continues = c->data_end != NULL && c->data_turn == c->server->turn &&
                     data.at >= c->data_end;
    const char *from = continues ? c->data_end : c->head_end;
    c->data_end = data.at + data.len;
    c->data_turn = c->server->turn;
    return data.at < from || lines_ok(from, data.at);
}

/* ---- what MHD refuses by itself -------------------------------------------
 */

static void send_refusal(struct http_conn *c, unsigned status)
{
    char head[512];
    char date[40];
    time_t now = time(NULL);
    struct tm tm;
    bool large = status == 413;
    const char *body =
        large ? "{\"error\":\"the body is larger than any request may have\","
                "\"code\":\"too_large\",\"detail\":{}}\n"
              : "{\"error\":\"Content-Length is not a number\","
                "\"code\":\"bad_request\",\"detail\":{}}\n";
    (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT",
                   gmtime_r(&now, &tm));
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %s\r\nDate: %s\r\nConnection: close\r\n"
                     "Content-Type: " HTTP_JSON "\r\n"
                     "Cache-Control: no-store\r\n"
                     "X-Content-Type-Options: nosniff\r\n"
                     "Referrer-Policy: no-referrer\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     large ? "413 Content Too Large" : "400 Bad Request", date,
                     strlen(body), body);
    /* Who does not read gets nothing. */
    (void)send(c->fd, head, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A bad Content-Length meets MHD's own check before ours, and its answer has
 * its headers twice, so that the client loses step. Only a connection whose
 * head is complete and was not handed to us yet can be the one. */
void http_on_log(void *server, const char *fmt, va_list args)
{
    static const char refusing[] = "Error processing request";
    struct http_server *s = server;
    if (strncmp(fmt, refusing, sizeof(refusing) - 1) != 0) {
        return;
    }
    unsigned status = va_arg(args, unsigned);
    LIST_EACH (&s->conns, it) {
        struct http_conn *c = CONTAINER_OF(it, struct http_conn, link);
        if (c->phase != PHASE_HEAD || c->closing ||
            MHD_get_connection_info(
                c->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE) == NULL) {
            continue;
        }
        if (!c->request.tls) {
            send_refusal(c, status);
        }
        http_close(c);
    }
}
