/*
 * adctl event: send, list, show, watch.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "app/cli_wait.h"
#include "base/mem.h"
#include "data/json.h"

#define FILE_MAX_BYTES (1024 * 1024)
#define CLOCK_COLUMN 11 /* of the time of day in an RFC 3339 text */

/* ---- send --------------------------------------------------------------- */

static int read_all(struct cli *cli, const char *path, struct strbuf *out)
{
    char room[8192];
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? 1 : -1;
    while (len > 0 && !out->full) {
        len = read(fd, room, sizeof(room));
        if (len > 0) {
            strbuf_add(out, str_n(room, (size_t)len));
        }
    }
    int error = errno;
    if (fd >= 0 && !standard) {
        (void)close(fd);
    }
    if (len < 0) {
        return cli_fail(cli, error == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, NULL,
                        "cannot read %s: %s", path, strerror(error));
    }
    if (out->full) {
        return cli_fail(cli, CLI_USAGE, NULL, "%s is larger than 1 MiB", path);
    }
    return 0;
}

/* NAME=VALUE of every flag `flag` into object[member]. */
static int add_pairs(struct cli *cli, const char *flag, const char *member,
                     json_t *object)
{
    json_t *pairs = NULL;
    VEC_EACH (&cli->given, i) {
        const struct cli_given *g = &cli->given.at[i];
        if (strcmp(g->flag->name, flag) != 0) {
            continue;
        }
        const char *equals = strchr(g->value, '=');
        if (equals == NULL || equals == g->value) {
            return cli_fail(cli, CLI_USAGE,
                            cli_text(cli, "--%s name=value", flag),
                            "--%s: \"%s\" is not NAME=VALUE", flag, g->value);
        }
        if (pairs == NULL) {
            pairs = json_object();
            (void)json_object_set_new(object, member, pairs);
        }
        const char *name =
            cli_text(cli, "%.*s", (int)(equals - g->value), g->value);
        if (json_object_get(pairs, name) != NULL) {
            return cli_fail(cli, CLI_USAGE, NULL, "--%s: %s is given twice",
                            flag, name);
        }
        if (json_object_set_new(pairs, name, json_string(equals + 1)) < 0) {
            return cli_fail(cli, CLI_USAGE, NULL,
                            "--%s: \"%s\" is not UTF-8 text", flag, g->value);
        }
    }
    return 0;
}

static int build_event(struct cli *cli, json_t *event)
{
    static const struct {
        const char *flag, *member;
    } texts[] = {{"type", "type"},
                 {"severity", "severity"},
                 {"source", "source"},
                 {"metric", "metric_name"}};
    if (cli_value(cli, "type") == NULL) {
        return cli_fail(cli, CLI_USAGE,
                        "adctl event send --type alert --label "
                        "alertname=Test",
                        "an event needs a --type, or comes from a --file");
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *value = cli_value(cli, texts[i].flag);
        if (value != NULL) {
            (void)json_object_set_new(event, texts[i].member,
                                      json_string(value));
        }
    }
    const char *number = cli_value(cli, "value");
    if (number != NULL) {
        json_t *value = NULL;
        struct err e = ERR_INIT;
        if (json_read(str_c(number), NULL, &value, &e) < 0 ||
            !json_is_number(value)) {
            json_decref(value);
            return cli_fail(cli, CLI_USAGE, NULL,
                            "--value: \"%s\" is not a number", number);
        }
        (void)json_object_set_new(event, "value", value);
    }
    int r = add_pairs(cli, "label", "labels", event);
    return r == 0 ? add_pairs(cli, "annotation", "annotations", event) : r;
}

/* A file is the whole event: a flag that says otherwise is a mistake. */
static int check_file_flags(struct cli *cli)
{
    static const char *const others[] = {
        "type", "severity", "source", "label", "annotation", "metric", "value"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (cli_value(cli, others[i]) != NULL) {
            return cli_fail(cli, CLI_USAGE, "adctl event send --help",
                            "--file and --%s exclude each other: the file is "
                            "the whole event",
                            others[i]);
        }
    }
    return 0;
}

/* Before anything is sent: only one event can be followed. */
static int check_wait(struct cli *cli, struct str text)
{
    struct json_split split;
    struct str element = STR_NULL;
    struct err unused = ERR_INIT;
    json_t *one = NULL;
    unsigned count = 0;
    if (!cli_has(cli, "wait")) {
        return 0;
    }
    if (json_read(text, NULL, &one, &unused) == 0 && json_is_object(one)) {
        count = 1; /* on one line or on several */
    } else {
        json_split_init(&split, text, json_form_of(text));
        while (count < 2 && json_split_next(&split, &element, &unused) == 1) {
            count++;
        }
        count = json_is_array(one) ? 2 : count;
    }
    json_decref(one);
    return count < 2
               ? 0
               : cli_fail(cli, CLI_USAGE, "adctl event send without --wait",
                          "--wait follows one event, not a list; nothing was "
                          "sent");
}

static int post_event(struct cli *cli, json_t **ret)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(FILE_MAX_BYTES);
    json_auto_t *event = json_object();
    const char *file = cli_value(cli, "file");
    int r = 0;
    if (file != NULL) {
        r = check_file_flags(cli);
        r = r == 0 ? read_all(cli, file, &text) : r;
        r = r == 0 ? check_wait(cli, strbuf_str(&text)) : r;
    } else {
        r = build_event(cli, event);
    }
    if (r != 0) {
        return r;
    }
    struct cli_request request = {.method = "POST",
                                  .path = "/api/events",
                                  .body = file == NULL ? event : NULL,
                                  .text = strbuf_str(&text),
                                  .key = cli_value(cli, "key")};
    return cli_call(cli, &request, "adctl event send --help", ret);
}

int cli_event_send(struct cli *cli)
{
    json_auto_t *answer = NULL;
    size_t i = 0;
    json_t *id = NULL;
    int r = post_event(cli, &answer);
    if (r != 0) {
        return r;
    }
    const char *one = cli_get_raw(answer, "id");
    bool follow = cli_has(cli, "wait") && one != NULL;
    if (follow && cli->format == CLI_JSON) {
        /* One document, at the end: the event with its workflows. */
    } else if (cli->format == CLI_JSON || cli->format == CLI_JSONL) {
        cli_print_json(cli, answer);
    } else if (one != NULL) {
        (void)fprintf(cli->out, "%s\n", cli_get(cli, answer, "id"));
    } else {
        json_array_foreach (json_object_get(answer, "ids"), i, id) {
            struct strbuf text = STRBUF_INIT(256);
            strbuf_add_visible(&text, str_c(json_string_value(id)));
            (void)fprintf(cli->out, "%s\n", strbuf_str(&text).at);
            strbuf_deinit(&text);
        }
    }
    if (!follow) {
        return CLI_OK;
    }
    (void)fflush(cli->out);
    return cli_wait_event(cli, cli_text(cli, "%s", one));
}

/* ---- list, show --------------------------------------------------------- */

static const struct cli_column event_columns[] = {
    {"ID", 0},
    {"STATUS", CLI_STATUS},
    {"TYPE", CLI_FLEX},
    {"SEVERITY", CLI_FLEX},
    {"NAME", CLI_FLEX},
    {"SOURCE", CLI_FLEX | CLI_ONLY_WIDE},
    {"LABELS", CLI_FLEX | CLI_ONLY_WIDE},
    {"AGE", CLI_RIGHT},
    {NULL, 0},
};

/* What a person calls the event: its alert, its metric, its summary. */
static const char *event_name(struct cli *cli, const json_t *e)
{
    const char *name = cli_get(cli, json_object_get(e, "labels"), "alertname");
    if (name[0] == '\0') {
        name = cli_get(cli, e, "metric_name");
    }
    if (name[0] == '\0') {
        name = cli_get(cli, json_object_get(e, "annotations"), "summary");
    }
    return name;
}

static const char *event_labels(struct cli *cli, const json_t *e)
{
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach (json_object_get(e, "labels"), name, value) {
        strbuf_addf(&text, "%s%s=%s", text.len != 0 ? "," : "", name,
                    json_is_string(value) ? json_string_value(value) : "");
    }
    const char *copy = cli_text(cli, "%s", strbuf_str(&text).at);
    strbuf_deinit(&text);
    return copy;
}

static void add_event_row(struct cli_table *t, const json_t *e, size_t id_len)
{
    struct cli *cli = t->cli;
    cli_cell(t, cli->format == CLI_WIDE ? cli_get(cli, e, "id")
                                        : cli_text(cli, "%.*s", (int)id_len,
                                                   cli_get(cli, e, "id")));
    cli_cell(t, cli_get(cli, e, "status"));
    cli_cell(t, cli_get(cli, e, "type"));
    cli_cell(t, cli_get(cli, e, "severity"));
    cli_cell(t, event_name(cli, e));
    cli_cell(t, cli_get(cli, e, "source"));
    cli_cell(t, event_labels(cli, e));
    cli_cell(t, cli_age(cli, e, "received_at"));
}

int cli_event_list(struct cli *cli)
{
    static const char *const flags[] = {"type",   "status", "severity",
                                        "source", "since",  NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    json_t *e = NULL;
    strbuf_addc(&path, "/api/events");
    cli_add_query(cli, &path, flags);
    const struct cli_list list = {path.at, "events", "adctl event list --help",
                                  CLI_EXPORT_ROWS};
    int r = cli_fetch_list(cli, &list, &answer);
    if (r != 0) {
        return r;
    }
    json_t *events = json_object_get(answer, "events");
    if (cli_print_items(cli, events, cli_get_raw(answer, "next_cursor"),
                        "id")) {
        return CLI_OK;
    }
    size_t id_len = cli_short_id(events);
    cli_table_init(&t, cli, event_columns);
    json_array_foreach (events, i, e) {
        add_event_row(&t, e, id_len);
    }
    cli_table_print(&t);
    if (cli->terminal.tty && json_array_size(events) == 0) {
        cli_note(cli, "no events; send one: adctl event send --type alert "
                      "--label alertname=Test");
    }
    return CLI_OK;
}

int cli_event_show(struct cli *cli)
{
    json_auto_t *e = NULL;
    const char *id = NULL;
    size_t i = 0;
    json_t *w = NULL;
    int r = cli_resolve(cli, "events", cli_word(cli, 0), &id);
    if (r == 0) {
        r = cli_fetch(cli, cli_text(cli, "/api/events/%s", id),
                      "adctl event list", &e);
    }
    if (r != 0 || cli_print_item(cli, e, "id")) {
        return r;
    }
    static const char *const fields[] = {
        "type",  "severity",    "source",       "state",    "metric_name",
        "value", "fingerprint", "duplicate_of", "attempts", "error"};
    struct strbuf status = STRBUF_INIT(256);
    cli_print_field(cli, "id", cli_get(cli, e, "id"));
    cli_add_status(cli, &status, cli_get(cli, e, "status"));
    (void)fprintf(cli->out, "%-14s%s\n", "status", strbuf_str(&status).at);
    strbuf_deinit(&status);
    cli_print_field(cli, "received",
                    cli_text(cli, "%s (%s ago)",
                             cli_get(cli, e, "received_at_iso"),
                             cli_age(cli, e, "received_at")));
    for (i = 0; i < ARRAY_LEN(fields); i++) {
        cli_print_field(cli, fields[i], cli_get(cli, e, fields[i]));
    }
    cli_print_field(cli, "labels", event_labels(cli, e));
    cli_print_field(cli, "summary",
                    cli_get(cli, json_object_get(e, "annotations"), "summary"));
    json_array_foreach (json_object_get(e, "workflows"), i, w) {
        struct strbuf line = STRBUF_INIT(8192);
        cli_add_status(cli, &line, cli_get(cli, w, "status"));
        (void)fprintf(cli->out, "%-14s%s  %s  %s\n", i == 0 ? "workflows" : "",
                      cli_get(cli, w, "id"), strbuf_str(&line).at,
                      cli_get(cli, w, "runbook"));
        strbuf_deinit(&line);
    }
    return CLI_OK;
}

/* ---- watch -------------------------------------------------------------- */

struct watch {
    struct cli *cli;
    struct strbuf kind; /* event: */
    char last_id[32];
    bool seen;
};

static void show_message(struct watch *w, struct str data)
{
    static const char *const members[] = {"type", "severity", "name", "error"};
    struct cli *cli = w->cli;
    json_auto_t *e = json_loadb(data.at, data.len, 0, NULL);
    if (!json_is_object(e)) {
        return;
    }
    if (cli->format == CLI_JSON || cli->format == CLI_JSONL) {
        cli->format = CLI_JSONL; /* a stream is no document */
        cli_json_times(e);
        cli_print_json(cli, e);
    } else if (cli->format == CLI_NAME) {
        (void)fprintf(cli->out, "%s\n", cli_get(cli, e, "id"));
    } else {
        struct strbuf status = STRBUF_INIT(256);
        const char *at = cli_get(cli, e, "received_at_iso");
        at = at[0] != '\0' ? at : cli_get(cli, e, "at_iso");
        at = strlen(at) > CLOCK_COLUMN ? at + CLOCK_COLUMN : "--:--:--";
        cli_add_status(cli, &status, cli_get(cli, e, "status"));
        (void)fprintf(cli->out, "%.8s  %s  %s", at, cli_get(cli, e, "id"),
                      strbuf_str(&status).at);
        for (size_t i = 0; i < ARRAY_LEN(members); i++) {
            const char *text = cli_get(cli, e, members[i]);
            (void)fprintf(cli->out, "%s%s", text[0] != '\0' ? "  " : "", text);
        }
        (void)fputc('\n', cli->out);
        strbuf_deinit(&status);
    }
    (void)fflush(cli->out);
}

/* Server-sent events: "id:", "event:", "data:", a blank line ends one. */
static void on_line(void *context, struct str line)
{
    struct watch *w = context;
    w->seen = true;
    if (str_starts(line, STR("id: "))) {
        (void)snprintf(w->last_id, sizeof(w->last_id), "%.*s",
                       STR_ARG(str_slice(line, 4, line.len)));
    } else if (str_starts(line, STR("event: "))) {
        strbuf_reset(&w->kind);
        strbuf_add(&w->kind, str_slice(line, 7, line.len));
    } else if (str_starts(line, STR("data: "))) {
        if (str_eq_c(strbuf_str(&w->kind), "event")) {
            show_message(w, str_slice(line, 6, line.len));
        } else if (str_eq_c(strbuf_str(&w->kind), "reset")) {
            cli_note(w->cli, "some events were missed: adctl event list");
        }
    }
}

/* The engine restarts: waits until it is back. */
static void wait_ready(struct cli *cli)
{
    long status = 0;
    unsigned round = 0;
    while (status != 200) {
        struct cli_answer a;
        cli_pause(&round);
        cli_send(cli,
                 &(struct cli_request){.method = "GET", .path = "/-/ready"},
                 &a);
        status = a.status;
        cli_answer_deinit(&a);
    }
}

int cli_event_watch(struct cli *cli)
{
    struct watch w = {.cli = cli, .kind = STRBUF_INIT(64)};
    if (cli->terminal.tty) {
        cli_note(cli, "watching %s; Ctrl-C ends", cli->server);
    }
    for (;;) {
        w.seen = false;
        int r = cli_stream(cli, w.last_id[0] != '\0' ? w.last_id : NULL,
                           on_line, &w);
        if (r != 0 || !w.seen) {
            strbuf_deinit(&w.kind);
            return r;
        }
        cli_note(cli, "the connection is lost; waiting for the engine");
        wait_ready(cli);
    }
}
