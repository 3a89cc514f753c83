/*
 * adctl expr eval and adctl expr conformance: expressions tried here, with
 * the engine's own evaluator; no engine is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_output.h"
#include "data/json.h"
#include "expr/cel_conform.h"
#include "model/event_eval.h"
#include "os/fd.h"
#include "os/zone.h"

#define FILE_MAX_BYTES (64UL * 1024 * 1024)

static int zone_of(void *context, struct str name, int64_t seconds,
                   int32_t *ret)
{
    return zones_offset(context, name, seconds, ret);
}

/* The file, or standard input for "-". */
static int read_file(struct cli *cli, const char *path, struct strbuf *out)
{
    bool standard = strcmp(path, "-") == 0;
    int fd =
        standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int r = fd < 0 ? -errno : os_read_all(fd, out);
    if (fd >= 0 && !standard) {
        os_close(fd);
    }
    if (r < 0) {
        return cli_fail(cli, r == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED, NULL,
                        "cannot read %s: %s", path,
                        r == -E2BIG ? "it is too large" : strerror(-r));
    }
    return 0;
}

/* ---- eval --------------------------------------------------------------- */

static int read_json(struct cli *cli, const char *flag, json_t **ret)
{
    const char *path = cli_value(cli, flag);
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(FILE_MAX_BYTES);
    struct err e = ERR_INIT;
    int r = path == NULL ? 0 : read_file(cli, path, &text);
    if (path == NULL || r != 0) {
        return r;
    }
    if (json_read(strbuf_str(&text), NULL, ret, &e) < 0) {
        return cli_fail(cli, CLI_USAGE, NULL, "%s:%u:%u: %s", path, e.at.line,
                        e.at.column, e.message);
    }
    return 0;
}

static int read_parameters(struct cli *cli, json_t *parameters)
{
    VEC_EACH (&cli->given, i) {
        const struct cli_given *g = &cli->given.at[i];
        if (strcmp(g->flag->name, "param") != 0) {
            continue;
        }
        struct str s = str_c(g->value);
        ptrdiff_t equals = str_find(s, '=');
        if (equals <= 0) {
            return cli_fail(cli, CLI_USAGE, "adctl expr eval --help",
                            "--param: \"%s\" is not NAME=VALUE", g->value);
        }
        json_t *value = json_string(g->value + equals + 1);
        if (value == NULL ||
            json_object_setn_new(parameters, s.at, (size_t)equals, value) < 0) {
            return cli_fail(cli, CLI_USAGE, NULL,
                            "--param: \"%s\" is not UTF-8 text", g->value);
        }
    }
    return 0;
}

/* The pictures of problems go where messages go. */
static void print_issue(struct cli *cli, const char *kind, const json_t *issue)
{
    const char *picture = cli_get_raw(issue, "picture");
    if (picture != NULL) {
        (void)fprintf(cli->err, "%s: %s", kind, picture);
    }
}

static int show(struct cli *cli, json_t *result)
{
    const json_t *error = json_object_get(result, "error");
    bool failed = !json_is_null(error);
    if (!cli_print_item(cli, result, "text")) {
        size_t i = 0;
        json_t *warning = NULL;
        json_array_foreach (json_object_get(result, "warnings"), i, warning) {
            print_issue(cli, "warning", warning);
        }
        if (failed) {
            print_issue(cli, "error", error);
        } else {
            (void)fprintf(cli->out, "%s\n", cli_get(cli, result, "text"));
        }
    }
    return failed ? CLI_FAILED : CLI_OK;
}

int cli_expr_eval(struct cli *cli)
{
    CLEANUP(strbuf_deinit)
    struct strbuf out = STRBUF_INIT(EVENT_EVAL_MAX_BYTES);
    CLEANUP(zones_freep) struct zones *zones = zones_new(ZONES_FOLDER);
    json_auto_t *event = NULL;
    json_auto_t *step = NULL;
    json_auto_t *parameters = json_object();
    json_auto_t *result = NULL;
    struct err e = ERR_INIT;
    int r = read_json(cli, "event-file", &event);
    r = r != 0 ? r : read_json(cli, "step", &step);
    if (r == 0 && step != NULL &&
        (event != NULL || cli_value(cli, "param") != NULL)) {
        return cli_fail(cli, CLI_USAGE, "adctl expr eval --help",
                        "an expression of a step sees no event: with --step, "
                        "parameters stand in the file");
    }
    r = r != 0 ? r : read_parameters(cli, parameters);
    if (r != 0) {
        return r;
    }
    const struct event_eval what = {.expr = str_c(cli_word(cli, 0)),
                                    .event = event,
                                    .parameters = parameters,
                                    .step = step,
                                    .now_ms = cli->now_ms,
                                    .zone = zone_of,
                                    .zone_context = zones};
    if (event_eval(&what, &out, &e) < 0) {
        return cli_fail(cli, CLI_USAGE, "adctl expr eval --help",
                        "the %s: %s%s%s", step != NULL ? "step" : "event",
                        e.message, e.hint[0] != '\0' ? "; " : "", e.hint);
    }
    if (json_read(strbuf_str(&out), NULL, &result, &e) < 0) {
        return cli_fail(cli, CLI_FAILED, NULL, "the result: %s", e.message);
    }
    return show(cli, result);
}

/* ---- functions ---------------------------------------------------------- */

static bool is_wanted(const struct cel_function *row, const char *word)
{
    return row->doc != NULL &&
           (word == NULL || str_has_nocase(str_c(row->name), str_c(word)) ||
            str_has_nocase(str_c(row->doc), str_c(word)));
}

static json_t *function_item(const struct cel_function *row)
{
    CLEANUP(strbuf_deinit) struct strbuf call = STRBUF_INIT(500);
    CLEANUP(strbuf_deinit) struct strbuf result = STRBUF_INIT(200);
    cel_function_print(row, row->style == CEL_STYLE_MEMBER, &call);
    cel_type_print(row->result, &result);
    return json_pack("{s:s, s:s, s:s, s:s}", "name", row->name, "call",
                     strbuf_str(&call).at, "result", strbuf_str(&result).at,
                     "doc", row->doc);
}

int cli_expr_functions(struct cli *cli)
{
    json_auto_t *items = json_array();
    const struct cel_function *row = NULL;
    size_t cursor = 0;
    while ((row = cel_library_next(&cursor)) != NULL) {
        if (is_wanted(row, cli_word(cli, 0))) {
            (void)json_array_append_new(items, function_item(row));
        }
    }
    if (cli_print_items(cli, items, NULL, "name")) {
        return CLI_OK;
    }
    if (json_array_size(items) == 0) {
        return cli_fail(cli, CLI_NOT_FOUND, "adctl expr functions",
                        "no function has \"%s\" in it", cli_word(cli, 0));
    }
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach (items, i, item) {
        (void)fprintf(cli->out, "%s -> %s\n    %s\n",
                      cli_get(cli, item, "call"), cli_get(cli, item, "result"),
                      cli_get(cli, item, "doc"));
    }
    return CLI_OK;
}

/* ---- variables ---------------------------------------------------------- */

static json_t *variable_item(const struct event_cel_row *row)
{
    CLEANUP(strbuf_deinit) struct strbuf type = STRBUF_INIT(200);
    CLEANUP(strbuf_deinit) struct strbuf name = STRBUF_INIT(200);
    cel_type_print(row->type, &type);
    strbuf_addf(&name, "%s%s%s", row->object, row->object[0] != '\0' ? "." : "",
                row->name);
    return json_pack("{s:s, s:s, s:s, s:b}", "name", strbuf_str(&name).at,
                     "type", strbuf_str(&type).at, "doc", row->help,
                     "only_lists", (int)row->only_lists);
}

static bool is_about(const struct event_cel_row *row, const char *word)
{
    return word == NULL || str_has_nocase(str_c(row->name), str_c(word)) ||
           str_has_nocase(str_c(row->help), str_c(word));
}

int cli_expr_variables(struct cli *cli)
{
    json_auto_t *items = json_array();
    struct event_cel_row row;
    size_t i = 0;
    json_t *item = NULL;
    for (i = 0; event_cel_row(i, &row); i++) {
        if (is_about(&row, cli_word(cli, 0))) {
            (void)json_array_append_new(items, variable_item(&row));
        }
    }
    if (cli_print_items(cli, items, NULL, "name")) {
        return CLI_OK;
    }
    if (json_array_size(items) == 0) {
        return cli_fail(cli, CLI_NOT_FOUND, "adctl expr variables",
                        "no variable has \"%s\" in it", cli_word(cli, 0));
    }
    json_array_foreach (items, i, item) {
        bool marked = json_is_true(json_object_get(item, "only_lists"));
        (void)fprintf(cli->out, "%s: %s%s\n    %s\n",
                      cli_get(cli, item, "name"), cli_get(cli, item, "type"),
                      marked ? " (filters of lists only)" : "",
                      cli_get(cli, item, "doc"));
    }
    return CLI_OK;
}

/* ---- conformance -------------------------------------------------------- */

struct suite {
    struct cli *cli;
    struct zones *zones;
    json_t *failures;
    unsigned passed;
    unsigned failed;
    unsigned line;
    bool shows; /* as lines for people */
};

static const char *member(const json_t *test, const char *name)
{
    const char *text = cli_get_raw(test, name);
    return text == NULL ? "" : text;
}

static void record_failure(struct suite *s, const json_t *test, const char *why)
{
    struct cli *cli = s->cli;
    const char *name = cli_text(cli, "%s/%s/%s", member(test, "file"),
                                member(test, "section"), member(test, "name"));
    s->failed++;
    if (s->shows) {
        CLEANUP(strbuf_deinit) struct strbuf line = STRBUF_INIT(64 * 1024);
        strbuf_add_visible(&line, str_c(name));
        strbuf_addc(&line, ": ");
        strbuf_add_visible(&line, str_c(member(test, "expr")));
        strbuf_addc(&line, ": ");
        strbuf_add_visible(&line, str_c(why));
        (void)fprintf(cli->out, "%s\n", strbuf_str(&line).at);
    }
    json_t *item =
        json_pack("{s:i, s:s, s:s, s:s}", "line", (int)s->line, "name", name,
                  "expr", member(test, "expr"), "why", why);
    if (item != NULL) {
        (void)json_array_append_new(s->failures, item);
    }
}

static void run_line(struct suite *s, struct str line)
{
    CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT(16 * 1024);
    json_error_t error;
    s->line++;
    if (str_trim(line).len == 0) {
        return;
    }
    /* Cases hold NUL characters, which json_read refuses. */
    json_auto_t *test = json_loadb(line.at, line.len, JSON_ALLOW_NUL, &error);
    if (test == NULL) {
        record_failure(
            s, NULL,
            cli_text(s->cli, "line %u is not JSON: %s", s->line, error.text));
        return;
    }
    const struct cel_conform_zone zone = {zone_of, s->zones};
    if (cel_conform(test, &zone, &why) == CEL_VERDICT_PASS) {
        s->passed++;
    } else {
        record_failure(s, test, strbuf_str(&why).at);
    }
}

int cli_expr_conformance(struct cli *cli)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(FILE_MAX_BYTES);
    CLEANUP(zones_freep) struct zones *zones = zones_new(ZONES_FOLDER);
    json_auto_t *failures = json_array();
    struct suite s = {.cli = cli,
                      .zones = zones,
                      .failures = failures,
                      .shows =
                          cli->format == CLI_TABLE || cli->format == CLI_WIDE};
    int r = read_file(cli, cli_word(cli, 0), &text);
    if (r != 0) {
        return r;
    }
    struct str rest = strbuf_str(&text);
    while (rest.len != 0) {
        ptrdiff_t end = str_find(rest, '\n');
        size_t len = end < 0 ? rest.len : (size_t)end;
        run_line(&s, str_slice(rest, 0, len));
        rest = str_slice(rest, len + 1, rest.len);
    }
    if (s.shows) {
        (void)fprintf(cli->out, "%u passed, %u failed\n", s.passed, s.failed);
    } else {
        json_auto_t *item =
            json_pack("{s:i, s:i, s:O}", "passed", (int)s.passed, "failed",
                      (int)s.failed, "failures", failures);
        (void)cli_print_item(cli, item, "passed");
    }
    return s.failed != 0 ? CLI_FAILED : CLI_OK;
}
