/*
 * Values out of the server's JSON, and JSON for machines.
 */
#include <math.h>
#include <string.h>

#include "app/cli_output.h"
#include "base/mem.h"
#include "data/json.h"
#include "data/timestamp.h"

#define PRINT_MAX_BYTES (256UL * 1024 * 1024)

const char *cli_get_raw(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

double cli_get_number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

const char *cli_get(struct cli *cli, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value)) {
        return "";
    }
    struct strbuf b = STRBUF_INIT(4 * 1024 * 1024);
    if (json_is_string(value)) {
        strbuf_add_visible(
            &b, str_n(json_string_value(value), json_string_length(value)));
    } else {
        struct strbuf raw = STRBUF_INIT(4 * 1024 * 1024);
        json_write(value, &raw);
        strbuf_add_visible(&b, strbuf_str(&raw));
        strbuf_deinit(&raw);
    }
    const char *text = arena_strdup(&cli->arena, strbuf_str(&b));
    strbuf_deinit(&b);
    return text;
}

const char *cli_count(struct cli *cli, double n, const char *one)
{
    return cli_text(cli, "%.0f %s%s", n, one, n == 1 ? "" : "s");
}

/* The largest unit of a number of seconds. */
const char *cli_span(struct cli *cli, double seconds)
{
    static const struct {
        double seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (seconds >= units[i].seconds) {
            return cli_text(cli, "%.0f%s", floor(seconds / units[i].seconds),
                            units[i].unit);
        }
    }
    return cli_text(cli, "%.0fs", seconds > 0 ? floor(seconds) : 0);
}

const char *cli_age(struct cli *cli, const json_t *object, const char *key)
{
    if (!json_is_number(json_object_get(object, key))) {
        return "-";
    }
    return cli_span(cli,
                    (double)cli->now_ms / 1000 - cli_get_number(object, key));
}

const char *cli_seconds(struct cli *cli, const json_t *object, const char *key)
{
    double seconds = cli_get_number(object, key);
    if (!json_is_number(json_object_get(object, key)) || seconds < 0) {
        return "-";
    }
    if (seconds < 10) {
        return cli_text(cli, "%.1fs", seconds);
    }
    if (seconds < 60) {
        return cli_text(cli, "%.0fs", seconds);
    }
    if (seconds < 3600) {
        return cli_text(cli, "%.0fm%.0fs", floor(seconds / 60),
                        floor(fmod(seconds, 60)));
    }
    return cli_text(cli, "%.0fh%.0fm", floor(seconds / 3600),
                    floor(fmod(seconds, 3600) / 60));
}

void cli_json_times(json_t *json)
{
    const char *key = NULL;
    json_t *value = NULL;
    void *after = NULL;
    size_t i = 0;
    if (json_is_array(json)) {
        json_array_foreach (json, i, value) {
            cli_json_times(value);
        }
        return;
    }
    json_object_foreach_safe(json, after, key, value)
    {
        struct str name = str_c(key);
        cli_json_times(value);
        if (str_eq_c(name, "timestamp") && json_is_number(value) &&
            json_number_value(value) >= 0) {
            char text[TIMESTAMP_TEXT_SIZE];
            double ms = json_number_value(value) * 1000;
            timestamp_format((uint64_t)MIN(ms, (double)TIMESTAMP_MAX_MS), text);
            (void)json_object_set_new(json, key, json_string(text));
        }
        if (!str_ends(name, STR("_iso"))) {
            continue;
        }
        CLEANUP(mem_freep)
        char *twin = str_dup(str_slice(name, 0, name.len - 4));
        if (json_object_get(json, twin) != NULL) {
            (void)json_object_set(json, twin, value);
            (void)json_object_del(json, key);
        }
    }
}

/* Escapes what json_write leaves and a terminal would act on: C1 controls,
 * direction marks, byte order marks. They stand only inside strings. */
static void add_safe(struct strbuf *out, struct str text)
{
    struct strbuf one = STRBUF_INIT(64);
    for (size_t i = 0; i < text.len;) {
        unsigned char c = (unsigned char)text.at[i];
        size_t len = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        struct str ch = str_slice(text, i, i + len);
        strbuf_reset(&one);
        strbuf_add_visible(&one, ch);
        if (c == 0x7F) {
            strbuf_addc(out, "\\u007f");
        } else if (len > 1 && len < 4 && !str_eq(ch, strbuf_str(&one))) {
            unsigned code = len == 2 ? c & 0x1FU : c & 0x0FU;
            for (size_t n = 1; n < ch.len; n++) {
                code = code << 6 | ((unsigned char)ch.at[n] & 0x3FU);
            }
            strbuf_addf(out, "\\u%04x", code);
        } else {
            strbuf_add(out, ch);
        }
        i += len;
    }
    strbuf_deinit(&one);
}

/* Compact JSON on many lines, two blanks for each level. */
static void add_indented(struct strbuf *out, struct str text)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool opens = !quoted && (c == '{' || c == '[');
        bool closes = !quoted && (c == '}' || c == ']');
        bool empty = opens && i + 1 < text.len && text.at[i + 1] == c + 2;
        if (closes) {
            depth--;
            strbuf_addf(out, "\n%*s", depth * 2, "");
        }
        strbuf_addch(out, c);
        if (empty || (quoted && c == '\\')) {
            strbuf_addch(out, text.at[++i]); /* json_write leaves no half */
        } else if (c == '"') {
            quoted = !quoted;
        } else if (opens || (!quoted && c == ',')) {
            depth += opens ? 1 : 0;
            strbuf_addf(out, "\n%*s", depth * 2, "");
        } else if (!quoted && c == ':') {
            strbuf_addch(out, ' ');
        }
    }
}

void cli_print_json(struct cli *cli, const json_t *json)
{
    CLEANUP(strbuf_deinit) struct strbuf raw = STRBUF_INIT(PRINT_MAX_BYTES);
    CLEANUP(strbuf_deinit) struct strbuf line = STRBUF_INIT(PRINT_MAX_BYTES);
    CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT(PRINT_MAX_BYTES);
    json_write(json, &raw);
    if (cli->format == CLI_JSON) {
        add_indented(&line, strbuf_str(&raw));
        add_safe(&out, strbuf_str(&line));
    } else {
        add_safe(&out, strbuf_str(&raw));
    }
    (void)fprintf(cli->out, "%s\n", strbuf_str(&out).at);
}

static void print_name(struct cli *cli, const json_t *item, const char *name)
{
    (void)fprintf(cli->out, "%s\n", cli_get(cli, item, name));
}

bool cli_print_items(struct cli *cli, json_t *items, const char *cursor,
                     const char *name)
{
    size_t i = 0;
    json_t *item = NULL;
    if (cli->format == CLI_TABLE || cli->format == CLI_WIDE) {
        return false;
    }
    cli_json_times(items);
    if (cli->format == CLI_JSON) {
        json_auto_t *whole =
            json_pack("{s:O, s:s?}", "items", items, "next_cursor", cursor);
        cli_print_json(cli, whole);
        return true;
    }
    json_array_foreach (items, i, item) {
        if (cli->format == CLI_NAME) {
            print_name(cli, item, name);
        } else {
            cli_print_json(cli, item);
        }
    }
    return true;
}

bool cli_print_item(struct cli *cli, json_t *item, const char *name)
{
    if (cli->format == CLI_TABLE || cli->format == CLI_WIDE) {
        return false;
    }
    cli_json_times(item);
    if (cli->format == CLI_NAME) {
        print_name(cli, item, name);
    } else {
        cli_print_json(cli, item);
    }
    return true;
}
