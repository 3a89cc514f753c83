#include "integrations/web.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "integrations/address.h"
#include "integrations/curl_library.h"
#include "os/clock.h"

#define CONNECTIONS_MAX 16L
#define CONNECT_MS 5000L

struct web {
    CURLM *multi;        /* NULL: nobody has been called yet */
    int wake_fd;         /* eventfd */
    struct list running; /* of struct web_request.link */
};

static CURLM *multi_of(struct web *w)
{
    if (w->multi == NULL) {
        w->multi = (curl_library()->curl_multi_init)();
        ASSERT(w->multi != NULL);
        (void)(curl_library()->curl_multi_setopt)(
            w->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS_MAX);
    }
    return w->multi;
}

/* ---- what may be called -------------------------------------------------- */

static bool part(CURLU *u, CURLUPart which, char *room, size_t size)
{
    char *text = NULL;
    CURLUcode rc =
        (curl_library()->curl_url_get)(u, which, &text, CURLU_DEFAULT_PORT);
    bool good = rc == CURLUE_OK && text[0] != '\0' && strlen(text) < size;
    if (good) {
        memcpy(room, text, strlen(text) + 1);
    }
    (curl_library()->curl_free)(text);
    return good;
}

static bool has_part(CURLU *u, CURLUPart which)
{
    char *text = NULL;
    bool has = (curl_library()->curl_url_get)(u, which, &text, 0) == CURLUE_OK;
    (curl_library()->curl_free)(text);
    return has;
}

static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.at[i] <= ' ' || (unsigned char)s.at[i] >= 0x7F) {
            return false;
        }
    }
    return true;
}

static int check_parts(CURLU *u, struct err *reterr)
{
    char room[WEB_URL_MAX_BYTES];
    if (!part(u, CURLUPART_SCHEME, room, sizeof(room)) ||
        (strcasecmp(room, "http") != 0 && strcasecmp(room, "https") != 0)) {
        err_hint(reterr, "write http://HOST or https://HOST");
        return err_set(reterr, -EINVAL, "not an http or https URL");
    }
    if (!part(u, CURLUPART_HOST, room, sizeof(room)) || strlen(room) > 253) {
        return err_set(reterr, -EINVAL, "the URL names no host");
    }
    if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD)) {
        err_hint(reterr, "give the credential in its own field");
        return err_set(reterr, -EINVAL,
                       "a URL may not hold a user name or password");
    }
    if (has_part(u, CURLUPART_FRAGMENT)) {
        return err_set(reterr, -EINVAL, "a URL may not have a fragment (#)");
    }
    return 0;
}

int web_url_check(struct str url, struct err *reterr)
{
    if (url.len == 0 || url.len >= WEB_URL_MAX_BYTES || !is_printable(url)) {
        return err_set(reterr, -EINVAL,
                       "not a URL of at most %d printable characters",
                       WEB_URL_MAX_BYTES - 1);
    }
    CLEANUP(mem_freep) char *copy = str_dup(url);
    CURLU *u = (curl_library()->curl_url)();
    ASSERT(u != NULL);
    int r = 0;
    if (strstr(copy, "://") == NULL ||
        (curl_library()->curl_url_set)(u, CURLUPART_URL, copy,
                                       CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
        err_hint(reterr, "write http://HOST or https://HOST");
        r = err_set(reterr, -EINVAL, "not an http or https URL");
    } else {
        r = check_parts(u, reterr);
    }
    (curl_library()->curl_url_cleanup)(u);
    return r;
}

void web_origin(const char *url, char ret[WEB_ORIGIN_SIZE])
{
    char scheme[8];
    char host[256];
    char port[8];
    CURLU *u = (curl_library()->curl_url)();
    ASSERT(u != NULL);
    ret[0] = '\0';
    if (url != NULL &&
        (curl_library()->curl_url_set)(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        part(u, CURLUPART_SCHEME, scheme, sizeof(scheme)) &&
        part(u, CURLUPART_HOST, host, sizeof(host)) &&
        part(u, CURLUPART_PORT, port, sizeof(port))) {
        (void)snprintf(ret, WEB_ORIGIN_SIZE, "%s://%s:%s", scheme, host, port);
    }
    (curl_library()->curl_url_cleanup)(u);
    for (char *c = ret; *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    }
}

bool web_keeps_secrets(const char *origin)
{
    struct str host = str_c(origin);
    char room[256];
    struct in_addr address;
    if (str_starts(host, STR("https://"))) {
        return true;
    }
    if (!str_starts(host, STR("http://"))) {
        return false;
    }
    host = str_slice(host, sizeof("http://") - 1, host.len);
    while (host.len != 0 && host.at[host.len - 1] != ':') {
        host.len--; /* the port */
    }
    host.len -= host.len != 0;
    (void)snprintf(room, sizeof(room), "%.*s", STR_ARG(host));
    if (inet_pton(AF_INET, room, &address) == 1) {
        return (ntohl(address.s_addr) >> 24) == IN_LOOPBACKNET;
    }
    bool letter = host.len != 0 && host.at[0] >= 'a' && host.at[0] <= 'z';
    return str_eq_c(host, "[::1]") || str_ends(host, STR(".localhost")) ||
           (letter && str_find(host, '.') < 0);
}

/* ---- what comes back ------------------------------------------------------
 */

const char *web_status_text(unsigned status, char room[48])
{
    static const struct {
        unsigned status;
        const char *text;
    } names[] = {
        {301, "Moved Permanently"},  {302, "Found"},
        {303, "See Other"},          {307, "Temporary Redirect"},
        {308, "Permanent Redirect"}, {400, "Bad Request"},
        {401, "Unauthorized"},       {403, "Forbidden"},
        {404, "Not Found"},          {405, "Method Not Allowed"},
        {408, "Request Timeout"},    {410, "Gone"},
        {413, "Content Too Large"},  {422, "Unprocessable Content"},
        {429, "Too Many Requests"},  {500, "Internal Server Error"},
        {502, "Bad Gateway"},        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    const char *text = "";
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        text = names[i].status == status ? names[i].text : text;
    }
    (void)snprintf(room, 48, "%u%s%s", status, text[0] != '\0' ? " " : "",
                   text);
    return room;
}

uint64_t web_retry_after(struct str value, uint64_t now_s)
{
    uint64_t seconds = 0;
    value = str_trim(value);
    if (str_to_u64(value, 0, UINT64_MAX, &seconds) < 0) {
        CLEANUP(mem_freep) char *copy = str_dup(value);
        time_t at =
            value.len != 0 ? (curl_library()->curl_getdate)(copy, NULL) : -1;
        seconds = at > 0 && (uint64_t)at > now_s ? (uint64_t)at - now_s : 0;
    }
    return MIN(seconds, WEB_RETRY_AFTER_MAX_S);
}

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
    struct web_request *r = context;
    strbuf_add(&r->answer, str_n(data, size * n));
    return r->answer.full ? 0 : n; /* 0 ends the transfer with an error */
}

static size_t on_header(char *data, size_t size, size_t n, void *context)
{
    static const char name[] = "retry-after:";
    struct web_request *r = context;
    size_t len = size * n;
    if (len > sizeof(name) - 1 &&
        strncasecmp(data, name, sizeof(name) - 1) == 0) {
        while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r')) {
            len--;
        }
        r->retry_after_s = web_retry_after(
            str_n(data + sizeof(name) - 1, len - (sizeof(name) - 1)),
            os_epoch_ms() / 1000);
    }
    return n * size;
}

static curl_socket_t on_socket(void *context, curlsocktype purpose,
                               struct curl_sockaddr *address)
{
    struct web_request *r = context;
    (void)purpose;
    if (!address_allowed(&address->addr)) {
        r->result = -EPERM;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
}

static void explain(struct web_request *r, CURLcode rc)
{
    char limit[32];
    (void)snprintf(limit, sizeof(limit), "%g s", (double)r->timeout_ms / 1000);
    if (r->result == -EPERM) {
        (void)snprintf(r->error, sizeof(r->error),
                       "the host has an address that is not allowed");
    } else if (r->answer.full) {
        r->result = -E2BIG;
        (void)snprintf(r->error, sizeof(r->error),
                       "the answer is larger than %zu bytes", r->max_bytes);
    } else if (rc == CURLE_OPERATION_TIMEDOUT) {
        r->result = -ETIMEDOUT;
        (void)snprintf(r->error, sizeof(r->error), "no answer within %s",
                       limit);
    } else {
        r->result = -EIO;
        (void)snprintf(r->error, sizeof(r->error), "%s",
                       (curl_library()->curl_easy_strerror)(rc));
    }
}

/* ---- one request ----------------------------------------------------------
 */

static void set_up(CURL *easy, struct web_request *r, struct curl_slist *list)
{
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_URL, r->url);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_PRIVATE, r);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_HTTPHEADER, list);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_WRITEFUNCTION,
                                             on_body);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_WRITEDATA, r);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_HEADERFUNCTION,
                                             on_header);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_HEADERDATA, r);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_OPENSOCKETFUNCTION,
                                             on_socket);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_OPENSOCKETDATA, r);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_PROTOCOLS_STR,
                                             "http,https");
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_PROXY, "");
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_NETRC,
                                             (long)CURL_NETRC_IGNORED);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_SSLVERSION,
                                             (long)CURL_SSLVERSION_TLSv1_2);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_NOSIGNAL, 1L);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_TIMEOUT_MS,
                                             (long)r->timeout_ms);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_CONNECTTIMEOUT_MS,
                                             CONNECT_MS);
    (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_USERAGENT,
                                             WEB_AGENT ADP_VERSION);
    if (r->body.at != NULL) {
        (void)(curl_library()->curl_easy_setopt)(
            easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        (void)(curl_library()->curl_easy_setopt)(easy, CURLOPT_COPYPOSTFIELDS,
                                                 r->body.at);
    }
}

void web_send(struct web *w, struct web_request *r)
{
    struct curl_slist *list =
        (curl_library()->curl_slist_append)(NULL, "Expect:");
    for (size_t i = 0; i < WEB_HEADERS_MAX && r->headers[i] != NULL; i++) {
        list = (curl_library()->curl_slist_append)(list, r->headers[i]);
    }
    if (r->body.at != NULL) {
        list = (curl_library()->curl_slist_append)(
            list, "Content-Type: application/json");
    }
    CURL *easy = (curl_library()->curl_easy_init)();
    ASSERT(easy != NULL && list != NULL);
    strbuf_deinit(&r->answer);
    strbuf_init(&r->answer, r->max_bytes);
    r->result = 0;
    r->status = 0;
    r->retry_after_s = 0;
    r->type[0] = r->error[0] = '\0';
    r->web = w;
    r->easy = easy;
    r->list = list;
    set_up(easy, r, list);
    list_push(&w->running, &r->link);
    CURLMcode rc = (curl_library()->curl_multi_add_handle)(multi_of(w), easy);
    ASSERT(rc == CURLM_OK);
}

static void end(struct web_request *r)
{
    (void)(curl_library()->curl_multi_remove_handle)(r->web->multi, r->easy);
    (curl_library()->curl_easy_cleanup)(r->easy);
    (curl_library()->curl_slist_free_all)(r->list);
    r->easy = r->list = NULL;
    list_remove(&r->link);
    r->done(r);
}

static void take_outcome(struct web_request *r, CURLcode rc)
{
    long status = 0;
    curl_off_t us = 0;
    const char *type = NULL;
    (void)(curl_library()->curl_easy_getinfo)(r->easy, CURLINFO_RESPONSE_CODE,
                                              &status);
    (void)(curl_library()->curl_easy_getinfo)(r->easy, CURLINFO_TOTAL_TIME_T,
                                              &us);
    (void)(curl_library()->curl_easy_getinfo)(r->easy, CURLINFO_CONTENT_TYPE,
                                              &type);
    r->took_ms = (uint64_t)us / 1000;
    (void)snprintf(r->type, sizeof(r->type), "%s", type != NULL ? type : "");
    if (rc == CURLE_OK) {
        r->result = 0;
        r->status = (unsigned)status;
    } else {
        explain(r, rc);
    }
}

void web_request_deinit(struct web_request *r)
{
    strbuf_deinit(&r->answer);
}

/* ---- all of them ----------------------------------------------------------
 */

int web_new(struct web **ret)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    struct web *w = MEM_NEW(struct web);
    w->wake_fd = fd;
    list_init(&w->running);
    *ret = w;
    return 0;
}

void web_free(struct web *w)
{
    if (w == NULL) {
        return;
    }
    LIST_EACH_SAFE (&w->running, it, after) {
        struct web_request *r = CONTAINER_OF(it, struct web_request, link);
        r->result = -ECANCELED;
        (void)snprintf(r->error, sizeof(r->error), "the engine is stopping");
        end(r);
    }
    if (w->multi != NULL) {
        (void)(curl_library()->curl_multi_cleanup)(w->multi);
    }
    close(w->wake_fd);
    mem_free(w);
}

/* Moves all on; how many have ended. */
static unsigned perform(struct web *w)
{
    int unused = 0;
    unsigned ended = 0;
    CURLMsg *m = NULL;
    (void)(curl_library()->curl_multi_perform)(w->multi, &unused);
    while ((m = (curl_library()->curl_multi_info_read)(w->multi, &unused)) !=
           NULL) {
        struct web_request *r = NULL;
        CURLcode rc = m->data.result;
        (void)(curl_library()->curl_easy_getinfo)(m->easy_handle,
                                                  CURLINFO_PRIVATE, &r);
        take_outcome(r, rc);
        end(r);
        ended++;
    }
    return ended;
}

void web_wait(struct web *w, uint64_t timeout_ms)
{
    struct curl_waitfd wake = {.fd = w->wake_fd, .events = CURL_WAIT_POLLIN};
    int wait_ms = (int)MIN(timeout_ms, 60000);
    eventfd_t times;
    if (w->multi == NULL) {
        struct pollfd p = {.fd = w->wake_fd, .events = POLLIN};
        (void)poll(&p, 1, wait_ms);
        (void)eventfd_read(w->wake_fd, &times);
        return;
    }
    /* What has ended already must not wait for the network. */
    if (perform(w) == 0) {
        (void)(curl_library()->curl_multi_poll)(w->multi, &wake, 1, wait_ms,
                                                NULL);
        (void)eventfd_read(w->wake_fd, &times);
        (void)perform(w);
    }
}

void web_wake(struct web *w)
{
    (void)eventfd_write(w->wake_fd, 1);
}
