#include "api/page.h"

#include <sodium.h>

#include "api/api_priv.h"
#include "api/health.h"
#include "data/timestamp.h"

#define ROWS 10

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;"
    "padding:0 1rem;color:#1b1f24;background:#fff}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 2rem}"
    "th,td{text-align:left;padding:.3rem .8rem .3rem 0;"
    "border-bottom:1px solid #d8dee4;vertical-align:top}"
    "code{font:13px ui-monospace,monospace}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}"
    "th,td{border-color:#30363d}}";

char *page_csp(void)
{
    uint8_t sha256[32];
    char text[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)];
    (void)crypto_hash_sha256(sha256, (const unsigned char *)style,
                             sizeof(style) - 1);
    (void)sodium_bin2base64(text, sizeof(text), sha256, sizeof(sha256),
                            sodium_base64_VARIANT_ORIGINAL);
    struct strbuf csp = STRBUF_INIT(512);
    strbuf_addf(&csp,
                "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; "
                "form-action 'none'; frame-ancestors 'none'",
                text);
    return strbuf_take(&csp);
}

void page_add_html(struct strbuf *out, struct str s)
{
    struct strbuf visible = STRBUF_INIT(HTTP_ANSWER_MAX_BYTES);
    strbuf_add_visible(&visible, s);
    for (size_t i = 0; i < visible.len; i++) {
        switch (visible.at[i]) {
        case '<':
            strbuf_add(out, STR("&lt;"));
            break;
        case '>':
            strbuf_add(out, STR("&gt;"));
            break;
        case '&':
            strbuf_add(out, STR("&amp;"));
            break;
        case '"':
            strbuf_add(out, STR("&quot;"));
            break;
        case '\'':
            strbuf_add(out, STR("&#39;"));
            break;
        default:
            strbuf_addch(out, visible.at[i]);
        }
    }
    strbuf_deinit(&visible);
}

/* ---- content: the same cells for both forms
 * ------------------------------------- */

struct page {
    struct health health;
    struct event_view *events;
    uint32_t event_count;
    struct workflow_view *workflows;
    uint32_t workflow_count;
};

static int load(struct call *c, struct page *p)
{
    struct event_filter events = {.status = -1, .limit = ROWS};
    struct workflow_filter workflows = {.status = -1, .limit = ROWS};
    health_look(c->api, &p->health);
    int r = c->reader->ops->events(c->reader, &events, call_arena(c),
                                   &p->events, &p->event_count);
    if (r == 0) {
        r = c->reader->ops->workflows(c->reader, &workflows, call_arena(c),
                                      &p->workflows, &p->workflow_count);
    }
    return r;
}

#define COLUMNS 4

struct row {
    struct str cells[COLUMNS];
};

static struct str time_text(struct arena *a, uint64_t ms)
{
    char text[TIMESTAMP_TEXT_SIZE];
    timestamp_format(ms, text);
    return arena_str(a, str_c(text));
}

static struct row event_row(struct arena *a, const struct event_view *v)
{
    struct str name = labels_get(&v->event.labels, STR("alertname"));
    return (struct row){{
        time_text(a, v->event.received_ms),
        v->event.type,
        name.len != 0 ? name : v->event.source,
        str_c(event_status_name(v->status)),
    }};
}

static struct row workflow_row(struct arena *a, const struct workflow_view *v)
{
    char id[ID_TEXT_SIZE];
    id_format(v->row.id, ID_PREFIX_WORKFLOW, id);
    return (struct row){{
        time_text(a, v->row.created_ms),
        arena_str(a, str_c(id)),
        v->row.runbook_path,
        str_c(workflow_status_name(v->row.status)),
    }};
}

/* It may quote the configuration: not safe for HTML or a terminal yet. */
static struct str state_text(const struct page *p, struct arena *a)
{
    struct strbuf text = STRBUF_INIT(4096);
    health_add_text(&p->health, &text);
    struct str copy = arena_str(a, strbuf_str(&text));
    strbuf_deinit(&text);
    return copy;
}

static void add_numbers(struct strbuf *out, const struct service_status *s,
                        const char *form)
{
    const struct {
        const char *name;
        unsigned long long a;
        const char *of;
        unsigned long long b;
    } numbers[] = {
        {"queue depth", s->queue_depth, " of ", s->queue_limit},
        {"workers claiming", s->engine.workers_claiming, " of ", s->workers},
        {"workflows running", s->engine.running, ", queued ", s->engine.queued},
        {"workflows held", s->engine.held, ", live ", s->engine.live},
        {"runbooks in force", s->runbooks_loaded, ", rejected ",
         s->runbooks_rejected},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct strbuf value = STRBUF_INIT(128);
        strbuf_addf(&value, "%llu%s%llu", numbers[i].a, numbers[i].of,
                    numbers[i].b);
        if (form[0] == 'h') {
            strbuf_addf(out, "<tr><th>%s</th><td>%s</td></tr>", numbers[i].name,
                        value.at);
        } else {
            strbuf_addf(out, "%-18s %s\n", numbers[i].name, value.at);
        }
        strbuf_deinit(&value);
    }
}

/* ---- text
 * ------------------------------------------------------------------------ */

static void add_text_row(struct strbuf *out, const struct row *row)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        strbuf_addc(out, i != 0 ? "  " : "");
        strbuf_add_visible(out, row->cells[i]);
    }
    strbuf_addch(out, '\n');
}

static void add_text(struct strbuf *out, const struct page *p, struct arena *a)
{
    strbuf_addf(out, "Autonomous DevOps Platform %s\n\n%-18s ", ADP_VERSION,
                "state");
    strbuf_add_visible(out, state_text(p, a));
    strbuf_addch(out, '\n');
    add_numbers(out, &p->health.service, "text");
    strbuf_addc(out, "\nlatest events\n");
    for (uint32_t i = 0; i < p->event_count; i++) {
        struct row row = event_row(a, &p->events[i]);
        add_text_row(out, &row);
    }
    strbuf_addc(out, "\nlatest workflows\n");
    for (uint32_t i = 0; i < p->workflow_count; i++) {
        struct row row = workflow_row(a, &p->workflows[i]);
        add_text_row(out, &row);
    }
    strbuf_addc(out, "\nThe API is described at /api/openapi.json\n");
}

/* ---- HTML
 * ------------------------------------------------------------------------- */

static void add_html_row(struct strbuf *out, const struct row *row)
{
    strbuf_addc(out, "<tr>");
    for (size_t i = 0; i < COLUMNS; i++) {
        strbuf_addc(out, "<td>");
        page_add_html(out, row->cells[i]);
        strbuf_addc(out, "</td>");
    }
    strbuf_addc(out, "</tr>");
}

static void add_html(struct strbuf *out, const struct page *p, struct arena *a)
{
    strbuf_addf(out,
                "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width\">"
                "<title>Autonomous DevOps Platform</title><style>%s</style>"
                "<h1>Autonomous DevOps Platform</h1><table>"
                "<tr><th>state</th><td>",
                style);
    page_add_html(out, state_text(p, a));
    strbuf_addc(out, "</td></tr>");
    add_numbers(out, &p->health.service, "html");
    strbuf_addc(out, "</table><h2>Latest events</h2><table><tr><th>received"
                     "<th>type<th>name or source<th>status</tr>");
    for (uint32_t i = 0; i < p->event_count; i++) {
        struct row row = event_row(a, &p->events[i]);
        add_html_row(out, &row);
    }
    strbuf_addc(out, "</table><h2>Latest workflows</h2><table><tr><th>created"
                     "<th>id<th>runbook<th>status</tr>");
    for (uint32_t i = 0; i < p->workflow_count; i++) {
        struct row row = workflow_row(a, &p->workflows[i]);
        add_html_row(out, &row);
    }
    strbuf_addf(out,
                "</table><p>Version %s. The API is described at "
                "<a href=\"/api/openapi.json\">/api/openapi.json</a>.</p>"
                "</html>",
                ADP_VERSION);
}

void page_show(struct call *c)
{
    struct page p = {.events = NULL};
    int r = load(c, &p);
    if (r < 0) {
        answer_read_error(c, r);
        return;
    }
    if (!str_has_nocase(c->http->headers[HTTP_ACCEPT], STR("text/html"))) {
        add_text(call_out(c), &p, call_arena(c));
        answer_as(c, 200, HTTP_TEXT);
        return;
    }
    add_html(call_out(c), &p, call_arena(c));
    struct http_answer page = {
        .status = 200,
        .type = HTTP_HTML,
        .body = strbuf_str(call_out(c)),
        .extra = {{"Content-Security-Policy", c->api->page_csp}},
    };
    answer_with(c, &page);
}
