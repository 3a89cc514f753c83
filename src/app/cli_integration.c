/*
 * adctl integration: list, show, health, test, set, enable, disable, pause,
 * resume.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "integrations/fields.h"

static const struct cli_column columns[] = {
    {"NAME", 0},       {"HEALTH", CLI_STATUS}, {"ENABLED", 0},
    {"URL", CLI_FLEX}, {"ERROR", CLI_BELOW},   {"CHECKED", CLI_RIGHT},
    {NULL, 0},
};

/* "401 Unauthorized" of "Prometheus integration: 401 Unauthorized", which
 * stands below the name. */
static const char *error_of(struct cli *cli, const json_t *row)
{
    static const char between[] = " integration: ";
    const char *error = cli_get(cli, row, "error");
    const char *found = strstr(error, between);
    bool begins =
        found != NULL && memchr(error, ':', (size_t)(found - error)) == NULL;
    return begins ? found + strlen(between) : error;
}

static void add_row(struct cli_table *t, const json_t *row)
{
    struct cli *cli = t->cli;
    cli_cell(t, cli_get(cli, row, "name"));
    cli_cell(t, cli_get(cli, row, "health"));
    cli_cell(t, json_is_true(json_object_get(row, "enabled")) ? "yes" : "no");
    cli_cell(t, cli_get(cli, row, "url"));
    cli_cell(t, error_of(cli, row));
    cli_cell(t, cli_age(cli, row, "last_check"));
}

static void print_rows(struct cli *cli, json_t *rows)
{
    struct cli_table t;
    size_t i = 0;
    json_t *row = NULL;
    cli_table_init(&t, cli, columns);
    json_array_foreach (rows, i, row) {
        add_row(&t, row);
    }
    cli_table_print(&t);
}

int cli_integration_list(struct cli *cli)
{
    json_auto_t *rows = NULL;
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(64 * 1024);
    static const char *const flags[] = {"filter", NULL};
    strbuf_addc(&path, "/api/integrations");
    cli_add_query(cli, &path, flags);
    int r = cli_fetch_array(cli, strbuf_str(&path).at, "adctl doctor", &rows);
    if (r == 0 && !cli_print_items(cli, rows, NULL, "name")) {
        print_rows(cli, rows);
    }
    return r;
}

/* "/api/integrations/NAME/VERB", the verb with its slash. */
static const char *path_of(struct cli *cli, const char *verb)
{
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(4096);
    strbuf_addc(&path, "/api/integrations/");
    cli_add_encoded(&path, cli_word(cli, 0), false);
    strbuf_addc(&path, verb);
    return cli_text(cli, "%s", strbuf_str(&path).at);
}

#define LIST "adctl integration list"

/* ---- show -----------------------------------------------------------------
 */

static const char *describe_secret(struct cli *cli, const json_t *secret)
{
    if (!json_is_true(json_object_get(secret, "set"))) {
        return "not set";
    }
    const char *problem = cli_get(cli, secret, "problem");
    return cli_text(cli, "set (%s)%s%s", cli_get(cli, secret, "source"),
                    problem[0] != '\0' ? ", not used: " : "", problem);
}

static const char *describe(struct cli *cli, const json_t *row,
                            const struct integration_field *f)
{
    const json_t *value = json_object_get(row, f->name);
    if (field_is_secret(f)) {
        return describe_secret(cli, value);
    }
    if (field_is_list(f)) {
        struct strbuf text = STRBUF_INIT(64UL * 1024);
        size_t i = 0;
        json_t *element = NULL;
        json_array_foreach (value, i, element) {
            strbuf_addf(&text, "%s%s", i != 0 ? ", " : "",
                        json_string_value(element));
        }
        const char *kept = cli_text(cli, "%s", strbuf_str(&text).at);
        strbuf_deinit(&text);
        return kept;
    }
    return f->kind == FIELD_DURATION
               ? cli_text(cli, "%s s", cli_get(cli, row, f->name))
               : cli_get(cli, row, f->name);
}

/* Names are longer here than elsewhere. */
static void print_field(struct cli *cli, const char *title, const char *value)
{
    if (value[0] != '\0') {
        (void)fprintf(cli->out, "%-17s%s\n", title, value);
    }
}

static void print_one(struct cli *cli, const json_t *row)
{
    struct strbuf health = STRBUF_INIT(256);
    print_field(cli, "name", cli_get(cli, row, "name"));
    cli_add_status(cli, &health, cli_get(cli, row, "health"));
    (void)fprintf(cli->out, "%-17s%s\n", "health", strbuf_str(&health).at);
    strbuf_deinit(&health);
    print_field(cli, "error", cli_get(cli, row, "error"));
    print_field(cli, "missing", cli_get(cli, row, "missing"));
    print_field(cli, "checked", cli_age(cli, row, "last_check"));
    for (size_t i = 0; i < integration_field_count; i++) {
        const struct integration_field *f = &integration_fields[i];
        if (json_object_get(row, f->name) != NULL) {
            print_field(cli, f->name, describe(cli, row, f));
        }
    }
}

int cli_integration_show(struct cli *cli)
{
    json_auto_t *row = NULL;
    int r = cli_fetch(cli, path_of(cli, ""), LIST, &row);
    if (r == 0 && !cli_print_item(cli, row, "name")) {
        print_one(cli, row);
    }
    return r;
}

/* ---- health, test -----------------------------------------------------------
 */

static bool is_bad(const json_t *row)
{
    return json_is_false(json_object_get(row, "healthy"));
}

static int health_of_all(struct cli *cli)
{
    json_auto_t *rows = NULL;
    size_t i = 0;
    json_t *row = NULL;
    bool bad = false;
    int r =
        cli_fetch_array(cli, "/api/integrations/health", "adctl doctor", &rows);
    if (r != 0) {
        return r;
    }
    json_array_foreach (rows, i, row) {
        bad = bad || is_bad(row);
    }
    if (!cli_print_items(cli, rows, NULL, "name")) {
        print_rows(cli, rows);
    }
    return bad ? CLI_FAILED : CLI_OK;
}

static int post(struct cli *cli, const char *verb, const char *next,
                json_t **ret)
{
    struct cli_request request = {.method = "POST", .path = path_of(cli, verb)};
    return cli_call(cli, &request, next, ret);
}

int cli_integration_health(struct cli *cli)
{
    json_auto_t *row = NULL;
    if (cli_word(cli, 0) == NULL) {
        return health_of_all(cli);
    }
    int r = post(cli, "/health", LIST, &row);
    if (r != 0) {
        return r;
    }
    bool bad = is_bad(row);
    if (!cli_print_item(cli, row, "name")) {
        print_one(cli, row);
    }
    return bad ? CLI_FAILED : CLI_OK;
}

int cli_integration_test(struct cli *cli)
{
    json_auto_t *answer = NULL;
    const char *next =
        cli_text(cli, "adctl integration show %s", cli_word(cli, 0));
    int r = post(cli, "/test", next, &answer);
    if (r == 0 && !cli_print_item(cli, answer, "name")) {
        (void)fprintf(cli->out, "%s: ok, %s requests in %s\n",
                      cli_get(cli, answer, "name"),
                      cli_get(cli, answer, "requests"),
                      cli_seconds(cli, answer, "latency_seconds"));
    }
    return r;
}

/* ---- set
 * --------------------------------------------------------------------- */

/* The first line of the file. */
static int read_value(struct cli *cli, const char *path, const char **ret)
{
    char room[FIELD_TEXT_MAX_BYTES + 2];
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, room, sizeof(room) - 1) : -1;
    int error = errno;
    if (fd >= 0 && !standard) {
        (void)close(fd);
    }
    if (len < 0) {
        return cli_fail(cli, error == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, NULL,
                        "cannot read %s: %s", path, strerror(error));
    }
    room[len] = '\0';
    room[strcspn(room, "\r\n")] = '\0';
    *ret = cli_text(cli, "%s", room);
    explicit_bzero(room, sizeof(room));
    return 0;
}

static const struct integration_field *find_field(const char *name)
{
    for (size_t i = 0; i < integration_field_count; i++) {
        if (strcmp(integration_fields[i].name, name) == 0) {
            return &integration_fields[i];
        }
    }
    return NULL;
}

/* "a; b" as a list. */
static json_t *list_of(const char *text)
{
    json_t *list = json_array();
    while (text[0] != '\0') {
        size_t len = strcspn(text, ";");
        struct str one = str_trim(str_n(text, len));
        (void)json_array_append_new(list, json_stringn(one.at, one.len));
        text += len + (text[len] == ';' ? 1 : 0);
    }
    return list;
}

static json_t *value_of(const char *name, const char *text)
{
    const struct integration_field *f = find_field(name);
    if (text[0] == '\0') {
        return json_null();
    }
    if (f != NULL && field_is_list(f)) {
        return list_of(text);
    }
    if (strcmp(name, "enabled") == 0 || (f != NULL && f->kind == FIELD_BOOL)) {
        return strcmp(text, "true") == 0    ? json_true()
               : strcmp(text, "false") == 0 ? json_false()
                                            : json_string(text);
    }
    return json_string(text);
}

static int add_field(struct cli *cli, const char *word, json_t *body)
{
    size_t len = strcspn(word, "=@");
    const char *name = cli_text(cli, "%.*s", (int)len, word);
    const char *text = word + len + 1;
    if (len == 0 || word[len] == '\0') {
        return cli_fail(cli, CLI_USAGE, "adctl integration set --help",
                        "\"%s\" is neither NAME=VALUE nor NAME@FILE", word);
    }
    if (word[len] == '@') {
        int r = read_value(cli, text, &text);
        if (r != 0) {
            return r;
        }
    } else if (find_field(name) != NULL && field_is_secret(find_field(name)) &&
               text[0] != '\0') {
        return cli_fail(cli, CLI_USAGE,
                        cli_text(cli, "adctl integration set %s %s@-",
                                 cli_word(cli, 0), name),
                        "%s is a secret, and others can read command lines",
                        name);
    }
    (void)json_object_set_new(body, name, value_of(name, text));
    return 0;
}

int cli_integration_set(struct cli *cli)
{
    json_auto_t *body = json_object();
    json_auto_t *row = NULL;
    size_t i = 0;
    json_t *name = NULL;
    int r = 0;
    for (size_t w = 1; r == 0 && cli_word(cli, w) != NULL; w++) {
        r = add_field(cli, cli_word(cli, w), body);
    }
    struct cli_request request = {
        .method = "PUT", .path = path_of(cli, ""), .body = body};
    if (r == 0) {
        r = cli_call(cli, &request, LIST, &row);
    }
    if (r != 0) {
        return r;
    }
    json_array_foreach (json_object_get(row, "dropped"), i, name) {
        cli_note(cli, "%s was for another host and is forgotten; set it again",
                 json_string_value(name));
    }
    if (!cli_print_item(cli, row, "name")) {
        print_one(cli, row);
    }
    return CLI_OK;
}

/* ---- outbox ---------------------------------------------------------------
 */

static const struct cli_column outbox_columns[] = {
    {"SEQ", CLI_RIGHT},
    {"KIND", 0},
    {"RUNBOOK", CLI_FLEX},
    {"TRIES", CLI_RIGHT},
    {"ERROR", CLI_FLEX},
    {"AGE", CLI_RIGHT},
    {NULL, 0},
};

int cli_integration_outbox(struct cli *cli)
{
    static const char *const flags[] = {"state", NULL};
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(8192);
    json_auto_t *answer = NULL;
    struct cli_table t;
    size_t i = 0;
    json_t *row = NULL;
    strbuf_addc(&path, path_of(cli, "/outbox"));
    cli_add_query(cli, &path, flags);
    const struct cli_list list = {strbuf_str(&path).at, "notices", LIST, 0};
    int r = cli_fetch_list(cli, &list, &answer);
    if (r != 0) {
        return r;
    }
    json_t *rows = json_object_get(answer, "notices");
    if (cli_print_items(cli, rows, cli_get_raw(answer, "next_cursor"), "seq")) {
        return CLI_OK;
    }
    cli_table_init(&t, cli, outbox_columns);
    json_array_foreach (rows, i, row) {
        const json_t *notice = json_object_get(row, "notice");
        cli_cell(&t, cli_get(cli, row, "seq"));
        cli_cell(&t, cli_get(cli, notice, "kind"));
        cli_cell(&t, cli_get(cli, notice, "runbook"));
        cli_cell(&t, cli_get(cli, row, "attempts"));
        cli_cell(&t, cli_get(cli, row, "error"));
        cli_cell(&t, cli_age(cli, row, "created_at"));
    }
    cli_table_print(&t);
    return CLI_OK;
}

/* ---- switches --------------------------------------------------------------
 */
static int switch_to(struct cli *cli, const char *verb)
{
    json_auto_t *row = NULL;
    int r = post(cli, verb, LIST, &row);
    if (r == 0 && !cli_print_item(cli, row, "name")) {
        (void)fprintf(cli->out, "%s: %s\n", cli_get(cli, row, "name"),
                      cli_get(cli, row, "health"));
    }
    return r;
}

int cli_integration_enable(struct cli *cli)
{
    return switch_to(cli, "/enable");
}

int cli_integration_disable(struct cli *cli)
{
    return switch_to(cli, "/disable");
}

int cli_integration_pause(struct cli *cli)
{
    return switch_to(cli, "/pause");
}

int cli_integration_resume(struct cli *cli)
{
    return switch_to(cli, "/resume");
}
