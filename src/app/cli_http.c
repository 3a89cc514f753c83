#include "app/cli_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "app/cli_busy.h"
#include "app/cli_output.h"
#include "app/config.h"
#include "app/config_files.h"
#include "base/mem.h"
#include "data/json.h"

#define CONNECT_MS 3000L
#define REQUEST_MS 30000L
#define TOKEN_MAX_BYTES 512

/* ---- where to, and as whom ---------------------------------------------- */

bool cli_is_local(const char *server)
{
    struct in_addr address;
    char host[64] = "";
    const char *at = strstr(server, "://");
    at = at != NULL ? at + 3 : server;
    size_t len = strcspn(at, "/?#");
    bool bracket = at[0] == '[';
    if (memchr(at, '@', len) != NULL) {
        return false; /* what stands in front is a user's name */
    }
    len = MIN(len, bracket ? strcspn(at, "]") + 1 : strcspn(at, ":"));
    if (len >= sizeof(host) || strchr(":/?#", at[len]) == NULL) {
        return false;
    }
    memcpy(host, at, len);
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &address) == 1 &&
            ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET);
}

bool cli_is_here(const struct cli *cli)
{
    return cli->configured || cli_is_local(cli->server);
}

/* Where the engine of this machine listens, as far as that can be read. */
static const char *configured_server(struct cli *cli)
{
    const char *path = cli_value(cli, "config");
    const char *url = config_peek_server(
        path != NULL ? path : CONFIG_PATH_DEFAULT, &cli->arena);
    cli->configured = url != NULL;
    return url != NULL ? url : CLI_SERVER_DEFAULT;
}

static int read_token(struct cli *cli, const char *path)
{
    char room[TOKEN_MAX_BYTES + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t len = fd >= 0 ? read(fd, room, sizeof(room)) : -1;
    int error = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (len < 0) {
        return cli_fail(cli, CLI_DENIED, NULL,
                        "cannot read the token file %s: %s", path,
                        strerror(error));
    }
    while (len > 0 && (room[len - 1] == '\n' || room[len - 1] == '\r')) {
        len--;
    }
    for (ssize_t i = 0; i < len; i++) {
        if (room[i] <= ' ' || room[i] == 0x7F) {
            len = 0; /* would end the header line */
        }
    }
    if (len == 0 || len > TOKEN_MAX_BYTES) {
        return cli_fail(cli, CLI_DENIED, NULL,
                        "the file %s does not hold a token on one line", path);
    }
    cli->token = arena_strdup(&cli->arena, str_n(room, (size_t)len));
    return 0;
}

int cli_connect_options(struct cli *cli)
{
    const char *server = cli_value(cli, "server");
    const char *token = cli_value(cli, "token-file");
    server = server != NULL ? server : getenv("AD_SERVER");
    token = token != NULL ? token : getenv("AD_TOKEN_FILE");
    if (server == NULL || server[0] == '\0') {
        server = configured_server(cli);
    }
    if (strncmp(server, "http://", 7) != 0 &&
        strncmp(server, "https://", 8) != 0) {
        return cli_fail(cli, CLI_USAGE,
                        cli_text(cli, "adctl --server http://%s ...", server),
                        "the server \"%s\" is not a URL", server);
    }
    size_t len = strlen(server);
    while (len > 0 && server[len - 1] == '/') {
        len--;
    }
    cli->server = arena_strdup(&cli->arena, str_n(server, len));
    int r = token != NULL && token[0] != '\0' ? read_token(cli, token) : 0;
    if (r == 0 && cli->token != NULL && strncmp(server, "http://", 7) == 0 &&
        !cli_is_here(cli)) {
        cli_note(cli, "the token travels unencrypted to %s; use https", server);
    }
    return r;
}

/* ---- one request -------------------------------------------------------- */

void cli_answer_deinit(struct cli_answer *a)
{
    json_decref(a->body);
    a->body = NULL;
    strbuf_deinit(&a->text);
}

static size_t on_data(char *data, size_t size, size_t n, void *context)
{
    struct strbuf *text = context;
    strbuf_add(text, str_n(data, size * n));
    return text->full ? 0 : n; /* 0 ends the transfer with an error */
}

static struct curl_slist *make_headers(const struct cli *cli,
                                       const struct cli_request *request)
{
    struct strbuf line = STRBUF_INIT(2048);
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    headers = curl_slist_append(headers, "Accept: application/json");
    if (cli->token != NULL) {
        strbuf_addf(&line, "Authorization: Bearer %s", cli->token);
        headers = curl_slist_append(headers, strbuf_str(&line).at);
    }
    if (request->key != NULL) {
        strbuf_reset(&line);
        strbuf_addf(&line, "Idempotency-Key: %s", request->key);
        headers = curl_slist_append(headers, strbuf_str(&line).at);
    }
    if (request->body != NULL || request->text.len != 0) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
    }
    strbuf_deinit(&line);
    return headers;
}

/* The handle with what all requests share; its connection is kept. */
static CURL *prepare(struct cli *cli, const char *path)
{
    if (cli->curl == NULL) {
        (void)curl_global_init(CURL_GLOBAL_DEFAULT);
        cli->curl = curl_easy_init();
    }
    CURL *c = cli->curl;
    curl_easy_reset(c);
    (void)curl_easy_setopt(c, CURLOPT_URL,
                           cli_text(cli, "%s%s", cli->server, path));
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    (void)curl_easy_setopt(c, CURLOPT_USERAGENT, "adctl/" ADP_VERSION);
    if (cli_is_here(cli)) {
        (void)curl_easy_setopt(c, CURLOPT_PROXY, "");
    }
    return c;
}

static void set_body(CURL *c, const struct cli_request *request,
                     struct strbuf *room)
{
    (void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, request->method);
    if (request->body != NULL) {
        json_write(request->body, room);
    } else {
        strbuf_add(room, request->text);
    }
    if (strcmp(request->method, "GET") != 0) {
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)room->len);
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, strbuf_str(room).at);
    }
}

/* The kernel's word says more than "couldn't connect". */
static const char *why_not(CURL *c, CURLcode r, const char *message)
{
    long error = 0;
    (void)curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &error);
    if (r == CURLE_COULDNT_CONNECT && error != 0) {
        return strerror((int)error);
    }
    return message[0] != '\0' ? message : curl_easy_strerror(r);
}

void cli_send(struct cli *cli, const struct cli_request *request,
              struct cli_answer *ret)
{
    *ret = (struct cli_answer){.text = STRBUF_INIT(CLI_ANSWER_MAX_BYTES)};
    struct strbuf body = STRBUF_INIT(CLI_ANSWER_MAX_BYTES);
    char why[CURL_ERROR_SIZE] = "";
    CURL *c = prepare(cli, request->path);
    struct curl_slist *headers = make_headers(cli, request);
    set_body(c, request, &body);
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS,
                           request->timeout_ms != 0 ? (long)request->timeout_ms
                                                    : REQUEST_MS);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, &ret->text);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
    bool alone = !cli_is_busy(cli);
    if (alone) {
        cli_busy(cli, "waiting for the engine's answer");
    }
    CURLcode r = curl_easy_perform(c);
    if (alone) {
        cli_busy(cli, NULL);
    }
    if (r == CURLE_OK) {
        struct curl_header *date = NULL;
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &ret->status);
        if (curl_easy_header(c, "Date", 0, CURLH_HEADER, -1, &date) ==
            CURLHE_OK) {
            ret->date = (int64_t)curl_getdate(date->value, NULL);
        }
        ret->body = json_loadb(strbuf_str(&ret->text).at, ret->text.len,
                               JSON_REJECT_DUPLICATES, NULL);
    } else {
        curl_off_t sent = 0; /* without a connection nothing was asked */
        (void)curl_easy_getinfo(c, CURLINFO_PRETRANSFER_TIME_T, &sent);
        ret->timed_out = r == CURLE_OPERATION_TIMEDOUT && sent != 0;
        (void)snprintf(ret->why, sizeof(ret->why), "%s",
                       ret->text.full ? "the answer is larger than 64 MiB"
                                      : why_not(c, r, why));
    }
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(headers);
    strbuf_deinit(&body);
}

/* ---- what an answer means ----------------------------------------------- */

static const struct {
    long status;
    int code;
    const char *next; /* NULL: the command's own */
} meanings[] = {
    {400, CLI_USAGE, NULL},
    {401, CLI_DENIED,
     "sudo adctl ..., as a member of the group autonomous-devops, or with "
     "--token-file FILE"},
    {403, CLI_DENIED, "a token with a scope that permits it"},
    {404, CLI_NOT_FOUND, NULL},
    {409, CLI_CONFLICT, NULL},
    {413, CLI_USAGE, NULL},
    {415, CLI_USAGE, NULL},
    {422, CLI_FAILED, NULL},
    {429, CLI_UNREACHABLE, "the same again in a few seconds"},
    {502, CLI_FAILED, NULL},
    {503, CLI_UNREACHABLE, "adctl status, then the same again"},
    {507, CLI_FAILED, "free space for the engine's state, adctl doctor"},
};

/* The line of an expression and the caret below it; what stands around them
 * the message has said. */
static void print_picture(struct cli *cli, const char *picture)
{
    struct str rest = str_c(picture != NULL ? picture : "");
    for (int line = 0; line < 3 && rest.len != 0; line++) {
        ptrdiff_t end = str_find(rest, '\n');
        size_t len = end < 0 ? rest.len : (size_t)end;
        CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(64 * 1024);
        strbuf_add_visible(&text, str_slice(rest, 0, len));
        if (line != 0) {
            (void)fprintf(cli->err, "%s\n", strbuf_str(&text).at);
        }
        rest = str_slice(rest, len + 1, rest.len);
    }
}

static void print_details(struct cli *cli, const json_t *body)
{
    const json_t *detail = json_object_get(body, "detail");
    size_t i = 0;
    json_t *e = NULL;
    print_picture(cli, cli_get_raw(detail, "picture"));
    json_array_foreach (json_object_get(detail, "errors"), i, e) {
        struct strbuf line = STRBUF_INIT(8192);
        strbuf_add_visible(&line, str_c(cli_get_raw(e, "file")));
        strbuf_addf(&line, ":%.0f:%.0f: ",
                    json_number_value(json_object_get(e, "line")),
                    json_number_value(json_object_get(e, "column")));
        strbuf_add_visible(&line, str_c(cli_get_raw(e, "message")));
        if (cli_get(cli, e, "hint")[0] != '\0') {
            strbuf_addf(&line, " (%s)", cli_get(cli, e, "hint"));
        }
        (void)fprintf(cli->err, "  %s\n", strbuf_str(&line).at);
        strbuf_deinit(&line);
    }
}

int cli_explain(struct cli *cli, const struct cli_answer *a, const char *next)
{
    int code = CLI_FAILED;
    const char *message = cli_get_raw(a->body, "error");
    if (a->timed_out) {
        return cli_fail(cli, CLI_TIMEOUT, "adctl status",
                        "the engine did not answer in time; what it was asked "
                        "for may still be done");
    }
    if (a->status == 0) {
        return cli_fail(cli, CLI_UNREACHABLE, "adctl doctor",
                        "the engine at %s cannot be reached: %s", cli->server,
                        a->why);
    }
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
        if (meanings[i].status == a->status) {
            code = meanings[i].code;
            next = meanings[i].next != NULL ? meanings[i].next : next;
        }
    }
    const char *hint = cli_get_raw(json_object_get(a->body, "detail"), "hint");
    if (message != NULL) {
        next = hint != NULL ? hint : next;
        code = cli_fail(cli, code, next, "%s", message);
        print_details(cli, a->body);
        return code;
    }
    return cli_fail(cli, code, next != NULL ? next : "adctl doctor",
                    "%s answered %ld without saying why", cli->server,
                    a->status);
}

static int call(struct cli *cli, const struct cli_request *request,
                json_type type, const char *next, json_t **ret)
{
    struct cli_answer a;
    cli_send(cli, request, &a);
    int r = 0;
    if (a.status < 200 || a.status > 299) {
        r = cli_explain(cli, &a, next);
    } else if (a.body == NULL || json_typeof(a.body) != type) {
        r = cli_fail(cli, CLI_FAILED, "adctl --server URL ...",
                     "what answers at %s is not the engine", cli->server);
    } else {
        *ret = json_incref(a.body);
    }
    cli_answer_deinit(&a);
    return r;
}

int cli_call(struct cli *cli, const struct cli_request *request,
             const char *next, json_t **ret)
{
    return call(cli, request, JSON_OBJECT, next, ret);
}

int cli_fetch_array(struct cli *cli, const char *path, const char *next,
                    json_t **ret)
{
    return call(cli, &(struct cli_request){.method = "GET", .path = path},
                JSON_ARRAY, next, ret);
}

int cli_fetch(struct cli *cli, const char *path, const char *next, json_t **ret)
{
    return cli_call(cli, &(struct cli_request){.method = "GET", .path = path},
                    next, ret);
}

/* ---- the stream --------------------------------------------------------- */

struct stream {
    struct strbuf rest; /* of a line that has not ended */
    struct strbuf body; /* of an answer that is no stream */
    CURL *curl;
    cli_line_fn *line;
    void *context;
};

static size_t on_stream(char *data, size_t size, size_t n, void *context)
{
    struct stream *s = context;
    long status = 0;
    (void)curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        return on_data(data, size, n, &s->body);
    }
    for (size_t i = 0; i < size * n; i++) {
        if (data[i] != '\n') {
            strbuf_addch(&s->rest, data[i]);
            continue;
        }
        struct str line = strbuf_str(&s->rest);
        if (line.len != 0 && line.at[line.len - 1] == '\r') {
            line.len--;
        }
        s->line(s->context, line);
        strbuf_reset(&s->rest);
    }
    return s->rest.full ? 0 : n;
}

int cli_stream(struct cli *cli, const char *last_id, cli_line_fn *line,
               void *context)
{
    struct stream s = {.rest = STRBUF_INIT(1024 * 1024),
                       .body = STRBUF_INIT(1024 * 1024),
                       .curl = prepare(cli, "/api/stream"),
                       .line = line,
                       .context = context};
    struct cli_answer a = {.text = STRBUF_INIT(1)};
    struct curl_slist *headers =
        make_headers(cli, &(struct cli_request){.method = "GET"});
    if (last_id != NULL) {
        headers = curl_slist_append(
            headers, cli_text(cli, "Last-Event-ID: %s", last_id));
    }
    (void)curl_easy_setopt(s.curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(s.curl, CURLOPT_WRITEFUNCTION, on_stream);
    (void)curl_easy_setopt(s.curl, CURLOPT_WRITEDATA, &s);
    /* The server sends a comment every 15 s: silence means that it is gone. */
    (void)curl_easy_setopt(s.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(s.curl, CURLOPT_LOW_SPEED_TIME, 60L);
    CURLcode r = curl_easy_perform(s.curl);
    (void)curl_easy_getinfo(s.curl, CURLINFO_RESPONSE_CODE, &a.status);
    (void)snprintf(a.why, sizeof(a.why), "%s", why_not(s.curl, r, ""));
    int code = 0;
    if (a.status != 200) {
        a.body = json_loadb(strbuf_str(&s.body).at, s.body.len, 0, NULL);
        code = cli_explain(cli, &a, NULL);
    }
    curl_slist_free_all(headers);
    cli_answer_deinit(&a);
    strbuf_deinit(&s.rest);
    strbuf_deinit(&s.body);
    return code;
}

void cli_http_deinit(struct cli *cli)
{
    if (cli->curl != NULL) {
        curl_easy_cleanup(cli->curl);
        curl_global_cleanup();
        cli->curl = NULL;
    }
}
