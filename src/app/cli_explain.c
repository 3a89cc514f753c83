/*
 * adctl explain: why an event started what it did, or nothing.
 */
#include <string.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

#define INDENT 4

/* ---- one trigger --------------------------------------------------------- */

/* "label instance is web-1, wanted =~ db-.*" */
static void print_condition(struct cli *cli, const json_t *c)
{
    const json_t *holds = json_object_get(c, "holds");
    const char *actual = cli_get(cli, c, "actual");
    enum cli_mark mark = json_is_true(holds)    ? CLI_YES
                         : json_is_false(holds) ? CLI_NO
                                                : CLI_WARN;
    cli_print_marked(
        cli, INDENT, mark,
        cli_text(cli, "%s is %s, wanted %s%s", cli_get(cli, c, "what"),
                 actual[0] != '\0' ? actual : "missing",
                 cli_get(cli, c, "wanted"),
                 mark == CLI_WARN ? ": the regular expression ran into its "
                                    "limit"
                                  : ""));
}

static enum cli_mark mark_of(const char *value, const char *error)
{
    if (error[0] != '\0') {
        return CLI_WARN;
    }
    return strcmp(value, "true") == 0    ? CLI_YES
           : strcmp(value, "false") == 0 ? CLI_NO
                                         : CLI_VALUE;
}

static void print_term(struct cli *cli, const json_t *t)
{
    double times = cli_get_number(t, "times");
    const char *text = cli_get(cli, t, "text");
    const char *value = cli_get(cli, t, "value");
    const char *error = cli_get(cli, t, "error");
    unsigned indent = INDENT + 2 * (unsigned)cli_get_number(t, "depth");
    if (times == 0) {
        cli_print_marked(cli, indent, CLI_UNSEEN,
                         cli_text(cli, "%s: not looked at", text));
        return;
    }
    cli_print_marked(
        cli, indent, mark_of(value, error),
        cli_text(cli, "%s is %s%s", text,
                 error[0] != '\0' ? cli_text(cli, "without value: %s", error)
                                  : value,
                 times > 1 ? cli_text(cli, ", the last of %.0f times", times)
                           : ""));
}

static void print_when(struct cli *cli, const json_t *trigger)
{
    size_t i = 0;
    json_t *term = NULL;
    double left_out = cli_get_number(trigger, "terms_left_out");
    const char *when = cli_get(cli, trigger, "when");
    if (when[0] == '\0') {
        return;
    }
    const char *error = cli_get(cli, trigger, "when_error");
    const char *value = cli_get(cli, trigger, "when_value");
    cli_print_marked(cli, INDENT, mark_of(value, error),
                     cli_text(cli, "when: %s%s%s", when,
                              error[0] != '\0' ? " has no value: " : "",
                              error));
    json_array_foreach (json_object_get(trigger, "terms"), i, term) {
        if (cli_get_number(term, "depth") > 0) {
            print_term(cli, term);
        }
    }
    if (left_out > 0) {
        cli_print_marked(
            cli, INDENT + 2, CLI_UNSEEN,
            cli_text(cli, "%s more", cli_count(cli, left_out, "part")));
    }
}

static void print_guards(struct cli *cli, const json_t *trigger)
{
    size_t i = 0;
    json_t *g = NULL;
    json_array_foreach (json_object_get(trigger, "guards"), i, g) {
        bool holds = json_is_true(json_object_get(g, "holds_back"));
        const json_t *until = json_object_get(g, "until");
        double left = json_number_value(until) - (double)cli->now_ms / 1000;
        cli_print_marked(
            cli, INDENT, holds ? CLI_NO : CLI_YES,
            cli_text(cli, "%s: %s%s%s", cli_get(cli, g, "guard"),
                     cli_get(cli, g, "text"), holds ? ", holds back now" : "",
                     holds && json_is_number(until) && left > 0
                         ? cli_text(cli, " for %s more", cli_span(cli, left))
                         : ""));
    }
}

static void print_verdict(struct cli *cli, const json_t *t)
{
    const char *verdict = cli_get(cli, t, "verdict");
    double failed = cli_get_number(t, "failed");
    const json_t *workflow = json_object_get(t, "workflow");
    const json_t *held = json_object_get(t, "held");
    const char *said = "its conditions are met";
    enum cli_mark mark = CLI_YES;
    if (strcmp(verdict, "misses") == 0) {
        mark = CLI_NO;
        said = cli_text(cli, "%s not met",
                        failed == 1
                            ? "1 condition is"
                            : cli_text(cli, "%.0f conditions are", failed));
    } else if (strcmp(verdict, "no_value") == 0) {
        mark = CLI_WARN;
        said = "its \"when\" has no value, so it starts nothing";
    } else if (strcmp(verdict, "undecided") == 0) {
        mark = CLI_WARN;
        said = "a regular expression could not be decided";
    }
    cli_print_marked(
        cli, 0, mark,
        cli_text(cli, "%s:%.0f, trigger %s: %s", cli_get(cli, t, "runbook"),
                 cli_get_number(t, "line"), cli_get(cli, t, "trigger"), said));
    if (json_is_object(held)) {
        cli_print_marked(cli, INDENT, CLI_NO,
                         cli_text(cli, "it was held back by %s: %s",
                                  cli_get(cli, held, "guard"),
                                  cli_get(cli, held, "reason")));
    }
    if (json_is_object(workflow)) {
        cli_print_marked(cli, INDENT, CLI_VALUE,
                         cli_text(cli, "it started %s (%s)",
                                  cli_get(cli, workflow, "id"),
                                  cli_get(cli, workflow, "status")));
    }
    if (json_is_true(json_object_get(t, "changed_since"))) {
        cli_print_marked(cli, INDENT, CLI_WARN,
                         "the runbook has changed since: this is what it "
                         "says now");
    }
}

static void print_trigger(struct cli *cli, const json_t *t)
{
    size_t i = 0;
    json_t *c = NULL;
    (void)fputc('\n', cli->out);
    print_verdict(cli, t);
    json_array_foreach (json_object_get(t, "conditions"), i, c) {
        print_condition(cli, c);
    }
    print_when(cli, t);
    print_guards(cli, t);
}

/* ---- an event ------------------------------------------------------------ */

static void print_counts(struct cli *cli, const json_t *e)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(4096);
    static const struct {
        const char *member, *said;
    } counts[] = {{"matches", "would start"},
                  {"undecided", "cannot be decided"},
                  {"no_value", "without a value"},
                  {"misses", "would not"}};
    strbuf_addf(&text, "%s", cli_get(cli, e, "considered"));
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        if (cli_get_number(e, counts[i].member) > 0) {
            strbuf_addf(&text, "%s %s %s",
                        str_find(strbuf_str(&text), ':') < 0 ? ":" : ",",
                        cli_get(cli, e, counts[i].member), counts[i].said);
        }
    }
    cli_print_field(cli, "triggers", strbuf_str(&text).at);
}

static void print_event(struct cli *cli, const json_t *e)
{
    CLEANUP(strbuf_deinit) struct strbuf status = STRBUF_INIT(256);
    size_t i = 0;
    json_t *t = NULL;
    cli_add_status(cli, &status, cli_get(cli, e, "status"));
    cli_print_field(cli, "event", cli_get(cli, e, "id"));
    (void)fprintf(cli->out, "%-14s%s\n", "status", strbuf_str(&status).at);
    cli_print_field(cli, "received", cli_get(cli, e, "received_at_iso"));
    cli_print_field(cli, "decided", cli_get(cli, e, "decided_at_iso"));
    cli_print_field(cli, "because", cli_get(cli, e, "summary"));
    cli_print_field(cli, "recorded", cli_get(cli, e, "error"));
    print_counts(cli, e);
    json_array_foreach (json_object_get(e, "triggers"), i, t) {
        print_trigger(cli, t);
    }
}

int cli_explain_event(struct cli *cli)
{
    static const char *const flags[] = {"runbook", "limit", "cursor", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    json_auto_t *e = NULL;
    const char *id = NULL;
    int r = cli_resolve(cli, "events", cli_word(cli, 0), &id);
    if (r == 0) {
        strbuf_addf(&path, "/api/events/%s/explain", id);
        cli_add_query(cli, &path, flags);
        if (cli_has(cli, "only-starts")) {
            strbuf_addf(&path, "%sonly_starts=true",
                        str_find(strbuf_str(&path), '?') < 0 ? "?" : "&");
        }
        r = cli_fetch(cli, strbuf_str(&path).at, "adctl event list", &e);
    }
    if (r != 0 || cli_print_item(cli, e, "id")) {
        return r;
    }
    print_event(cli, e);
    const char *next = cli_get_raw(e, "next_cursor");
    if (next != NULL) {
        cli_note(cli,
                 "there are more triggers: --limit, --runbook or "
                 "--cursor %s",
                 next);
    }
    return CLI_OK;
}

/* ---- a workflow ---------------------------------------------------------- */

/* The trigger that started it, in the explanation of its event; NULL. */
static json_t *trigger_of(const json_t *explained, const char *workflow)
{
    size_t i = 0;
    json_t *t = NULL;
    json_array_foreach (json_object_get(explained, "triggers"), i, t) {
        const char *id = cli_get_raw(json_object_get(t, "workflow"), "id");
        if (id != NULL && strcmp(id, workflow) == 0) {
            return t;
        }
    }
    return NULL;
}

static int fetch_event(struct cli *cli, const json_t *workflow, json_t **ret)
{
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    struct cli_answer a = {0};
    strbuf_addf(&path, "/api/events/%s/explain?limit=100&runbook=",
                cli_get_raw(workflow, "event_id"));
    cli_add_encoded(&path, cli_get_raw(workflow, "runbook"), false);
    const struct cli_request request = {.method = "GET",
                                        .path = strbuf_str(&path).at};
    cli_send(cli, &request, &a);
    int r = 0;
    if (a.status == 200 && a.body != NULL) {
        *ret = json_incref(a.body);
    } else if (a.status != 404) {
        r = cli_explain(cli, &a, NULL);
    }
    cli_answer_deinit(&a);
    return r;
}

static void print_workflow(struct cli *cli, const json_t *w,
                           const json_t *explained)
{
    const char *event = cli_get(cli, w, "event_id");
    const json_t *t =
        explained != NULL ? trigger_of(explained, cli_get_raw(w, "id")) : NULL;
    cli_print_field(cli, "workflow", cli_get(cli, w, "id"));
    cli_print_field(cli, "runbook", cli_get(cli, w, "runbook"));
    cli_print_field(cli, "created", cli_get(cli, w, "created_at_iso"));
    cli_print_field(cli, "error", cli_get(cli, w, "error"));
    if (event[0] == '\0') {
        cli_print_field(cli, "because",
                        cli_text(cli,
                                 "%s asked for it: no event and no "
                                 "trigger decided",
                                 cli_who(cli, w, "requested_by")));
        return;
    }
    cli_print_field(cli, "event", event);
    if (t != NULL) {
        cli_print_field(cli, "because",
                        "the event met the conditions of this trigger");
        print_trigger(cli, t);
        return;
    }
    cli_print_field(cli, "because",
                    explained == NULL
                        ? "the event met the conditions of a trigger; the "
                          "event or the runbook is not there any more"
                        : "the event met the conditions of a trigger that "
                          "the runbook does not have any more");
}

int cli_explain_workflow(struct cli *cli)
{
    json_auto_t *w = NULL;
    json_auto_t *explained = NULL;
    const char *id = NULL;
    int r = cli_resolve(cli, "workflows", cli_word(cli, 0), &id);
    if (r == 0) {
        r = cli_fetch(cli, cli_text(cli, "/api/workflows/%s", id),
                      "adctl workflow list", &w);
    }
    if (r == 0 && cli_get_raw(w, "event_id") != NULL) {
        r = fetch_event(cli, w, &explained);
    }
    if (r != 0) {
        return r;
    }
    if (cli->format != CLI_TABLE && cli->format != CLI_WIDE) {
        json_t *t = explained != NULL
                        ? trigger_of(explained, cli_get_raw(w, "id"))
                        : NULL;
        (void)json_object_set(w, "trigger_explained",
                              t != NULL ? t : json_null());
        (void)cli_print_item(cli, w, "id");
        return CLI_OK;
    }
    print_workflow(cli, w, explained);
    return CLI_OK;
}
