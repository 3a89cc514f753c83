#include "api/answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/api_priv.h"
#include "api/limiter.h"

/* Why events were not accepted, for the metrics. */
static void count_refusal(const struct call *c, unsigned status,
                          const char *code)
{
    enum telemetry_refusal why = REFUSAL_INVALID;
    if (c->route == NULL || c->route->scope != SCOPE_INGEST) {
        return;
    }
    if (status == 401 || status == 403 || status == 429) {
        why = REFUSAL_DENIED;
    } else if (status >= 500) {
        why = strcmp(code, "stopping") == 0 ? REFUSAL_STOPPING
              : status == 507 || strcmp(code, "store_failed") == 0
                  ? REFUSAL_STORE
                  : REFUSAL_OVERLOAD;
    }
    telemetry_event_refused(service_telemetry(c->api->service), why, 1);
}

static const char *retry_after(struct call *c)
{
    char text[16];
    if (c->retry_seconds == 0) {
        return LIMITER_RETRY;
    }
    (void)snprintf(text, sizeof(text), "%u", c->retry_seconds);
    return arena_strdup(call_arena(c), str_c(text));
}

void answer_with(struct call *c, struct http_answer *answer)
{
    telemetry_http_answered(service_telemetry(c->api->service), answer->status);
    if (answer->status == 401) {
        answer->extra[0] = (struct http_field){"WWW-Authenticate", "Bearer"};
    } else if (answer->status == 429) {
        answer->extra[0] = (struct http_field){"Retry-After", retry_after(c)};
    } else if (answer->status == 503) {
        answer->extra[0] = (struct http_field){"Retry-After", "1"};
    }
    http_respond(c->http, answer);
}

void answer_json(struct call *c, unsigned status)
{
    struct strbuf *out = call_out(c);
    if (strbuf_error(out) < 0) {
        answer_error(c, 500, "too_large",
                     "the answer is larger than 64 MiB; ask for less with "
                     "limit=",
                     STR(""));
        return;
    }
    struct http_answer a = {
        .status = status, .type = HTTP_JSON, .body = strbuf_str(out)};
    answer_with(c, &a);
}

void answer_as(struct call *c, unsigned status, const char *type)
{
    struct http_answer a = {
        .status = status, .type = type, .body = strbuf_str(call_out(c))};
    answer_with(c, &a);
}

void answer_error(struct call *c, unsigned status, const char *code,
                  const char *sentence, struct str detail)
{
    struct strbuf *out = call_out(c);
    strbuf_reset(out);
    strbuf_addch(out, '{');
    put_bytes(out, "error", str_c(sentence));
    put_text_c(out, "code", code);
    put_open(out, "detail", '{');
    strbuf_add(out, detail);
    put_close(out, '}');
    put_close(out, '}');
    struct http_answer a = {
        .status = status, .type = HTTP_JSON, .body = strbuf_str(out)};
    count_refusal(c, status, code);
    answer_with(c, &a);
}

void answer_err(struct call *c, unsigned status, const char *code,
                const struct err *e)
{
    char sentence[sizeof(e->message) + sizeof(e->hint) + 4];
    (void)snprintf(sentence, sizeof(sentence), "%s%s%s%s", e->message,
                   e->hint[0] != '\0' ? " (" : "", e->hint,
                   e->hint[0] != '\0' ? ")" : "");
    struct strbuf detail = STRBUF_INIT(4096);
    if (e->field[0] != '\0') {
        put_bytes(&detail, "field", str_c(e->field));
    }
    if (e->at.line != 0) {
        put_place(&detail, e);
    }
    answer_error(c, status, code, sentence, strbuf_str(&detail));
    strbuf_deinit(&detail);
}

void answer_busy(struct call *c, const char *code, const char *sentence)
{
    answer_error(c, 503, code, sentence, STR(""));
}

void answer_disk_full(struct call *c)
{
    answer_error(c, 507, "disk_full",
                 "the disk is full; nothing was changed, make room and try "
                 "again",
                 STR(""));
}

void answer_read_error(struct call *c, int r)
{
    if (r == -ENOENT) {
        answer_error(c, 404, "not_found", "there is nothing with this id",
                     STR(""));
    } else if (r == -ETIMEDOUT) {
        answer_busy(c, "busy",
                    "reading the store took too long; ask for less "
                    "or try again");
    } else if (r == -EBADMSG) {
        service_report_damage(c->api->service);
        answer_error(c, 500, "store_failed",
                     "the store is damaged; the engine ends, and its next "
                     "start restores the newest backup or says what to do",
                     STR(""));
    } else {
        answer_error(c, 500, "store_failed", "the store could not be read",
                     STR(""));
    }
}
