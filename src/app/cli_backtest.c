/*
 * adctl runbook backtest: stored events replayed against a draft, here, through
 * the engine's own matcher and state machine. The store is read beside the
 * engine, or while there is none; nothing is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_backup.h"
#include "app/cli_busy.h"
#include "app/cli_commands.h"
#include "app/cli_output.h"
#include "data/json.h"
#include "data/timestamp.h"
#include "model/event_json.h"
#include "model/runbook_load.h"
#include "os/fd.h"
#include "os/zone.h"
#include "store/reader.h"
#include "trial/backtest.h"

#define SINCE_DEFAULT "30d"
#define PAGE_EVENTS 2000
#define PAGE_WORKFLOWS 1000
#define READ_LIMIT_MS 60000
#define EVENTS_MAX_BYTES (4096UL * 1024 * 1024)
#define SHOWN_STARTS 10
#define SHOWN_KEYS 10

struct run {
    struct cli *cli;
    struct backtest *test;
    struct runbook *draft;
    uint64_t since_ms;
    uint64_t until_ms;
    uint64_t last_ms;  /* when the last event of a file was received */
    uint64_t told;     /* events at which the progress was told last */
    uint64_t replayed; /* events */
    uint64_t left_out[EVENT_STATUSES];
    bool compares; /* with what did run */
};

static int zone_of(void *context, struct str name, int64_t seconds,
                   int32_t *ret)
{
    return zones_offset(context, name, seconds, ret);
}

/* ---- the draft ----------------------------------------------------------- */

static int read_draft(struct run *run)
{
    struct cli *cli = run->cli;
    const char *path = cli_word(cli, 0);
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    CLEANUP(os_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int r = fd < 0 ? -errno : os_read_all(fd, &text);
    if (r < 0) {
        return cli_fail(cli, r == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED, NULL,
                        "cannot read %s: %s", path,
                        r == -E2BIG ? "it is larger than 1 MiB" : strerror(-r));
    }
    struct runbook_report report;
    r = runbook_load(str_c(path), strbuf_str(&text), &RUNBOOK_DEFAULTS,
                     &run->draft, &report);
    runbook_report_deinit(&report);
    if (r < 0) {
        return cli_fail(cli, CLI_FAILED,
                        cli_text(cli, "adctl runbook validate %s", path),
                        "%s does not load", path);
    }
    if (run->draft->trigger_count == 0) {
        return cli_fail(cli, CLI_USAGE, NULL,
                        "%s has no triggers: no event could start it", path);
    }
    return 0;
}

static int read_time(struct cli *cli, const char *flag, const char *fallback,
                     uint64_t *ret)
{
    const char *text = cli_value(cli, flag);
    text = text != NULL ? text : fallback;
    if (text == NULL ||
        timestamp_parse_since(str_c(text), cli->now_ms, ret) == 0) {
        return 0;
    }
    return cli_fail(cli, CLI_USAGE, "adctl runbook backtest --help",
                    "--%s: \"%s\" is no time: write 30d, an RFC 3339 time or "
                    "epoch seconds",
                    flag, text);
}

/* ---- events -------------------------------------------------------------- */

/* These never met a trigger. */
static bool is_left_out(enum event_status s)
{
    return s == EVENT_DEDUPLICATED || s == EVENT_DRAINED || s == EVENT_POISON;
}

static void take_event(struct run *run, const struct event *event,
                       enum event_status status)
{
    if (event->received_ms < run->since_ms ||
        event->received_ms >= run->until_ms) {
        return;
    }
    if (is_left_out(status)) {
        run->left_out[status]++;
        return;
    }
    backtest_event(run->test, event);
    run->replayed++;
    if (run->replayed - run->told >= 100000) {
        run->told = run->replayed;
        cli_busy(run->cli,
                 cli_text(run->cli, "replaying events, %" PRIu64 " so far",
                          run->replayed));
    }
}

static int read_events(struct run *run, struct reader *reader)
{
    struct arena a = ARENA_INIT;
    struct event_filter f = {.status = -1,
                             .since_ms = run->since_ms,
                             .oldest_first = true,
                             .limit = PAGE_EVENTS};
    for (;;) {
        struct event_view *rows = NULL;
        uint32_t count = 0;
        arena_reset(&a);
        int r = reader->ops->events(reader, &f, &a, &rows, &count);
        if (r < 0 || count == 0) {
            arena_deinit(&a);
            return r;
        }
        for (uint32_t i = 0; i < count; i++) {
            take_event(run, &rows[i].event, rows[i].status);
        }
        /* One bound for the next page: of two, the library takes the worse. */
        f.after_seq = rows[count - 1].event.seq;
        f.since_ms = 0;
        if (rows[count - 1].event.received_ms >= run->until_ms) {
            arena_deinit(&a);
            return 0;
        }
    }
}

static bool is_of_draft(const struct run *run, const struct workflow_row *row)
{
    return !row->dry_run && !id_is_null(row->event_id) &&
           row->created_ms < run->until_ms &&
           str_eq(row->runbook_name, run->draft->name);
}

/* Workflows of the runbook that has the draft's name. */
static int read_workflows(struct run *run, struct reader *reader)
{
    struct arena a = ARENA_INIT;
    struct workflow_filter f = {
        .status = -1, .since_ms = run->since_ms, .limit = PAGE_WORKFLOWS};
    for (;;) {
        struct workflow_view *rows = NULL;
        uint32_t count = 0;
        arena_reset(&a);
        int r = reader->ops->workflows(reader, &f, &a, &rows, &count);
        if (r < 0 || count == 0) {
            arena_deinit(&a);
            return r;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (is_of_draft(run, &rows[i].row)) {
                backtest_did_run(run->test, rows[i].row.event_id);
            }
        }
        f.before_seq = rows[count - 1].seq;
    }
}

static int replay_store(struct run *run)
{
    struct cli *cli = run->cli;
    struct site site = {0};
    struct reader *reader = NULL;
    struct err e = ERR_INIT;
    int code = site_find(cli, "from", SITE_NEEDED, &site);
    if (code != 0) {
        site_deinit(&site);
        return code;
    }
    /* What the library makes beside the file is the engine's. */
    int r = privilege_for_folder(site.config->state_directory, &e);
    r = r < 0 ? r
              : store_reader_open(site.config->storage_path, READ_LIMIT_MS,
                                  &reader, &e);
    if (r == 0) {
        r = read_events(run, reader);
        r = r == 0 ? read_workflows(run, reader) : r;
        if (r < 0) {
            r = err_set(&e, r, "cannot read %s: %s", site.config->storage_path,
                        strerror(-r));
        }
        reader->ops->close(reader);
    }
    cli_busy(cli, NULL);
    code = r == 0 ? 0
                  : site_explain(cli, &e,
                                 e.hint[0] != '\0' ? cli_text(cli, "%s", e.hint)
                                                   : NULL);
    site_deinit(&site);
    run->compares = true;
    return code;
}

/* ---- events of a file ---------------------------------------------------- */

/* What the API says of an event beyond what was sent. */
static bool is_row_field(const char *name)
{
    static const char *const names[] = {
        "id",    "seq",          "status",       "received_at", "attempts",
        "error", "duplicate_of", "processed_at", "workflows"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return str_ends(str_c(name), STR("_iso"));
}

static void take_row_fields(json_t *json, struct event *event,
                            enum event_status *status)
{
    const json_t *at = json_object_get(json, "received_at");
    const char *word = cli_get_raw(json, "status");
    const char *id = cli_get_raw(json, "id");
    if ((!json_is_number(at) ||
         timestamp_from_seconds(json_number_value(at), &event->received_ms) <
             0) &&
        (!json_is_string(at) ||
         timestamp_parse(json_text(at), &event->received_ms) < 0)) {
        event->received_ms = 0;
    }
    if (id != NULL && id_parse(str_c(id), ID_PREFIX_EVENT, &event->id) < 0) {
        event->id = ID_NULL;
    }
    if (word == NULL || event_status_parse(str_c(word), status) < 0) {
        *status = EVENT_PROCESSED;
    }
}

static int take_line(struct run *run, struct str line, struct arena *a,
                     struct err *reterr)
{
    json_auto_t *json = NULL;
    struct event known = {0};
    struct event event = {0};
    enum event_status status = EVENT_PROCESSED;
    void *next = NULL;
    const char *name = NULL;
    json_t *value = NULL;
    int r = json_read(line, NULL, &json, reterr);
    if (r < 0) {
        return r;
    }
    take_row_fields(json, &known, &status);
    json_object_foreach_safe(json, next, name, value)
    {
        if (is_row_field(name)) {
            (void)json_object_del(json, name);
        }
    }
    r = event_from_json(json, a, &event, reterr);
    if (r < 0) {
        return r;
    }
    if (known.received_ms == 0) {
        err_hint(reterr, "adctl event list -o jsonl writes such lines");
        return err_set(reterr, -EINVAL, "it has no received_at");
    }
    if (known.received_ms < run->last_ms) {
        err_hint(reterr, "lists come newest first: tac FILE turns them round");
        return err_set(reterr, -EINVAL,
                       "it was received before the event above it");
    }
    run->last_ms = known.received_ms;
    event.received_ms = known.received_ms;
    event.id = known.id;
    take_event(run, &event, status);
    return 0;
}

static int replay_file(struct run *run, const char *path)
{
    struct cli *cli = run->cli;
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    char *line = NULL;
    size_t room = 0;
    uint64_t number = 0;
    int r = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return cli_fail(cli, errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, NULL,
                        "cannot read %s: %s", path, strerror(errno));
    }
    for (ssize_t n = getline(&line, &room, file); r == 0 && n >= 0;
         n = getline(&line, &room, file)) {
        number++;
        struct str text = str_trim(
            str_n(line, (size_t)n - (n > 0 && line[n - 1] == '\n' ? 1 : 0)));
        arena_reset(&a);
        r = text.len != 0 ? take_line(run, text, &a, &e) : 0;
    }
    free(line);
    (void)fclose(file);
    arena_deinit(&a);
    cli_busy(cli, NULL);
    return r == 0 ? 0
                  : cli_fail(cli, CLI_USAGE,
                             e.hint[0] != '\0' ? cli_text(cli, "%s", e.hint)
                                               : NULL,
                             "%s:%" PRIu64 ": %s", path, number, e.message);
}

/* ---- the report ---------------------------------------------------------- */

static json_t *text(struct str s)
{
    return json_stringn_nocheck(s.at != NULL ? s.at : "", s.len);
}

static const char *iso(struct cli *cli, uint64_t ms)
{
    char out[TIMESTAMP_TEXT_SIZE];
    if (ms == 0) {
        return "";
    }
    timestamp_format(MIN(ms, TIMESTAMP_MAX_MS), out);
    return cli_text(cli, "%s", out);
}

static const char *event_id(struct cli *cli, struct id id)
{
    char out[ID_TEXT_SIZE];
    if (id_is_null(id)) {
        return "";
    }
    id_format(id, ID_PREFIX_EVENT, out);
    return cli_text(cli, "%s", out);
}

static json_t *starts_json(struct cli *cli, const struct backtest_report *r)
{
    json_t *all = json_array();
    VEC_EACH (&r->starts, i) {
        const struct backtest_start *s = &r->starts.at[i];
        (void)json_array_append_new(
            all, json_pack(
                     "{s:s, s:s, s:o, s:o, s:o, s:o}", "at", iso(cli, s->at_ms),
                     "event", event_id(cli, s->event_id), "trigger",
                     text(s->trigger), "key", text(s->key), "parameters",
                     json_loadb(s->parameters.at, s->parameters.len, 0, NULL),
                     "error", text(s->error)));
    }
    return all;
}

static json_t *keys_json(struct cli *cli, const struct backtest_report *r)
{
    json_t *all = json_array();
    VEC_EACH (&r->keys, i) {
        const struct backtest_key *k = &r->keys.at[i];
        (void)json_array_append_new(
            all, json_pack("{s:o, s:I, s:I, s:s, s:s}", "key", text(k->key),
                           "starts", (json_int_t)k->starts, "held",
                           (json_int_t)k->held, "first", iso(cli, k->first_ms),
                           "last", iso(cli, k->last_ms)));
    }
    return all;
}

static json_t *reasons_json(struct cli *cli, const struct backtest_report *r)
{
    json_t *all = json_array();
    VEC_EACH (&r->reasons, i) {
        const struct backtest_reason *h = &r->reasons.at[i];
        (void)json_array_append_new(
            all,
            json_pack("{s:o, s:I, s:o, s:s, s:s}", "guard", text(h->guard),
                      "count", (json_int_t)h->count, "example",
                      text(h->example), "event", event_id(cli, h->event_id),
                      "at", iso(cli, h->at_ms)));
    }
    return all;
}

static json_t *report_json(const struct run *run,
                           const struct backtest_report *r)
{
    struct cli *cli = run->cli;
    json_t *left_out = json_object();
    for (unsigned i = 0; i < EVENT_STATUSES; i++) {
        if (run->left_out[i] != 0) {
            (void)json_object_set_new(
                left_out, event_status_name((enum event_status)i),
                json_integer((json_int_t)run->left_out[i]));
        }
    }
    json_t *all = json_pack(
        "{s:s, s:I, s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, "
        "s:o}",
        "runbook", cli_word(cli, 0), "events", (json_int_t)r->events,
        "left_out", left_out, "first", iso(cli, r->first_ms), "last",
        iso(cli, r->last_ms), "matched", (json_int_t)r->matched, "started",
        (json_int_t)r->started, "refused", (json_int_t)r->refused, "held",
        (json_int_t)r->held, "undecided", (json_int_t)r->undecided, "busiest",
        (json_int_t)r->busiest, "starts", starts_json(cli, r), "keys",
        keys_json(cli, r), "reasons", reasons_json(cli, r));
    if (run->compares) {
        (void)json_object_set_new(
            all, "compared",
            json_pack("{s:I, s:I, s:I}", "both", (json_int_t)r->both,
                      "only_then", (json_int_t)r->only_then, "only_now",
                      (json_int_t)r->only_now));
    }
    return all;
}

static void print_sums(const struct run *run, const struct backtest_report *r)
{
    struct cli *cli = run->cli;
    const char *span =
        r->events == 0 ? "none in this time"
                       : cli_text(cli, "%" PRIu64 ", %s to %s", r->events,
                                  iso(cli, r->first_ms), iso(cli, r->last_ms));
    cli_print_field(cli, "events", span);
    for (unsigned i = 0; i < EVENT_STATUSES; i++) {
        if (run->left_out[i] != 0) {
            cli_print_field(cli, "left out",
                            cli_text(cli,
                                     "%" PRIu64 " %s: no trigger was asked",
                                     run->left_out[i],
                                     event_status_name((enum event_status)i)));
        }
    }
    cli_print_field(cli, "matched",
                    cli_count(cli, (double)r->matched, "event"));
    cli_print_field(cli, "would start",
                    cli_text(cli, "%s, at most %" PRIu64 " unfinished at once",
                             cli_count(cli, (double)r->started, "workflow"),
                             r->busiest));
    if (r->refused != 0) {
        cli_print_field(cli, "of these",
                        cli_text(cli,
                                 "%" PRIu64 " fail at once: see their error in "
                                 "-o json",
                                 r->refused));
    }
    cli_print_field(cli, "held back", cli_count(cli, (double)r->held, "event"));
    if (r->undecided != 0) {
        cli_print_field(cli, "undecided",
                        cli_text(cli,
                                 "%" PRIu64
                                 " events for which a condition has no "
                                 "value",
                                 r->undecided));
    }
    if (run->compares) {
        cli_print_field(
            cli, "did run",
            cli_text(cli,
                     "for %s; for %" PRIu64
                     " of them it would now, for %" PRIu64 " not; for %" PRIu64
                     " others it would now only",
                     cli_count(cli, (double)(r->both + r->only_then), "event"),
                     r->both, r->only_then, r->only_now));
    }
}

static void print_reasons(struct cli *cli, const struct backtest_report *r)
{
    static const struct cli_column columns[] = {{"HELD BACK BY", 0},
                                                {"EVENTS", CLI_RIGHT},
                                                {"EXAMPLE", 0},
                                                {"REASON", CLI_BELOW},
                                                {NULL, 0}};
    struct cli_table t;
    if (r->reasons.count == 0) {
        return;
    }
    cli_table_init(&t, cli, columns);
    VEC_EACH (&r->reasons, i) {
        const struct backtest_reason *h = &r->reasons.at[i];
        cli_cell(&t, cli_text(cli, "%.*s", STR_ARG(h->guard)));
        cli_cell(&t, cli_text(cli, "%" PRIu64, h->count));
        cli_cell(&t, event_id(cli, h->event_id));
        cli_cell(&t, cli_text(cli, "%.*s", STR_ARG(h->example)));
    }
    (void)fputc('\n', cli->out);
    cli_table_print(&t);
}

static void print_keys(struct cli *cli, const struct backtest_report *r)
{
    static const struct cli_column columns[] = {{"KEY", CLI_FLEX},
                                                {"STARTS", CLI_RIGHT},
                                                {"HELD", CLI_RIGHT},
                                                {"FIRST", 0},
                                                {NULL, 0}};
    struct cli_table t;
    if (r->keys.count == 0) {
        return;
    }
    cli_table_init(&t, cli, columns);
    for (size_t i = 0; i < r->keys.count && i < SHOWN_KEYS; i++) {
        const struct backtest_key *k = &r->keys.at[i];
        cli_cell(&t, cli_text(cli, "%.*s", STR_ARG(k->key)));
        cli_cell(&t, cli_text(cli, "%" PRIu64, k->starts));
        cli_cell(&t, cli_text(cli, "%" PRIu64, k->held));
        cli_cell(&t, iso(cli, k->first_ms));
    }
    (void)fputc('\n', cli->out);
    cli_table_print(&t);
}

static void print_starts(struct cli *cli, const struct backtest_report *r)
{
    static const struct cli_column columns[] = {{"WOULD START", 0},
                                                {"EVENT", 0},
                                                {"PARAMETERS", CLI_FLEX},
                                                {"ERROR", CLI_BELOW},
                                                {NULL, 0}};
    struct cli_table t;
    if (r->starts.count == 0) {
        return;
    }
    cli_table_init(&t, cli, columns);
    for (size_t i = 0; i < r->starts.count && i < SHOWN_STARTS; i++) {
        const struct backtest_start *s = &r->starts.at[i];
        cli_cell(&t, iso(cli, s->at_ms));
        cli_cell(&t, event_id(cli, s->event_id));
        cli_cell(&t, cli_text(cli, "%.*s", STR_ARG(s->parameters)));
        cli_cell(&t, cli_text(cli, "%.*s", STR_ARG(s->error)));
    }
    (void)fputc('\n', cli->out);
    cli_table_print(&t);
    if (r->starts.count > SHOWN_STARTS || r->keys.count > SHOWN_KEYS) {
        (void)fprintf(cli->out, "all starts and keys: -o json\n");
    }
}

static int show(struct run *run)
{
    const struct backtest_report *r = backtest_finish(run->test);
    json_auto_t *json = report_json(run, r);
    if (!cli_print_item(run->cli, json, "runbook")) {
        print_sums(run, r);
        print_reasons(run->cli, r);
        print_keys(run->cli, r);
        print_starts(run->cli, r);
    }
    return r->endless
               ? cli_fail(run->cli, CLI_FAILED, NULL,
                          "the draft never comes to rest: the replay was given "
                          "up after %" PRIu64 " events",
                          r->events)
               : CLI_OK;
}

static int replay(struct run *run, const struct event_zones *zones)
{
    struct cli *cli = run->cli;
    const char *file = cli_value(cli, "events");
    struct backtest_options options = {.rb = run->draft, .zones = zones};
    int r = cli_duration(cli, "step-time", BACKTEST_STEP_MS, &options.step_ms);
    if (r != 0) {
        return r;
    }
    run->test = backtest_new(&options);
    cli_busy(cli, "replaying events");
    r = file != NULL ? replay_file(run, file) : replay_store(run);
    r = r != 0 ? r : show(run);
    backtest_free(run->test);
    return r;
}

int cli_runbook_backtest(struct cli *cli)
{
    CLEANUP(zones_freep) struct zones *zones = zones_new(ZONES_FOLDER);
    const struct event_zones offsets = {zone_of, zones};
    struct run run = {.cli = cli, .until_ms = UINT64_MAX};
    bool all = cli_value(cli, "events") != NULL;
    int r = read_draft(&run);
    r = r != 0 ? r
               : read_time(cli, "since", all ? NULL : SINCE_DEFAULT,
                           &run.since_ms);
    r = r != 0 ? r : read_time(cli, "until", NULL, &run.until_ms);
    r = r != 0 ? r : replay(&run, &offsets);
    runbook_unref(run.draft);
    return r;
}
