/*
 * Help and the commands' part of the manual page, from the table.
 */
#include <string.h>

#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

#define SUMMARY_COLUMN 30
#define LINE_COLUMNS 80

static void add_name(struct strbuf *out, const struct cli_command *c)
{
    strbuf_addc(out, c->noun);
    if (c->verb != NULL) {
        strbuf_addf(out, " %s", c->verb);
    }
}

/* Appends the text from column `used` on, broken at blanks into lines of at
 * most LINE_COLUMNS that begin at column `indent`. */
static void add_wrapped(struct strbuf *out, const char *text, size_t used,
                        size_t indent)
{
    struct str rest = str_c(text);
    bool first = true;
    while (rest.len != 0) {
        ptrdiff_t end = str_find(rest, ' ');
        size_t len = end >= 0 ? (size_t)end : rest.len;
        if (!first && used + 1 + len > LINE_COLUMNS) {
            strbuf_addf(out, "\n%*s", (int)indent, "");
            used = indent;
        } else if (!first) {
            strbuf_addch(out, ' ');
            used++;
        }
        strbuf_add(out, str_slice(rest, 0, len));
        used += len;
        first = false;
        rest = str_slice(rest, len + 1, rest.len);
    }
    strbuf_addch(out, '\n');
}

/* "  name args            summary", or on two lines when it is long. */
static void add_row(struct strbuf *out, struct str left, const char *right)
{
    strbuf_addf(out, "  %-*.*s", SUMMARY_COLUMN - 3, STR_ARG(left));
    if (left.len > SUMMARY_COLUMN - 3) {
        strbuf_addf(out, "\n%*s", SUMMARY_COLUMN - 1, "");
    }
    strbuf_addch(out, ' ');
    add_wrapped(out, right, SUMMARY_COLUMN, SUMMARY_COLUMN);
}

static void add_command_row(struct strbuf *out, const struct cli_command *c)
{
    struct strbuf left = STRBUF_INIT(256);
    add_name(&left, c);
    if (c->arguments[0] != '\0') {
        strbuf_addf(&left, " %s", c->arguments);
    }
    add_row(out, strbuf_str(&left), c->summary);
    strbuf_deinit(&left);
}

static void add_flag_name(struct strbuf *out, const struct cli_flag *f)
{
    if (f->letter != 0) {
        strbuf_addf(out, "-%c, --%s", f->letter, f->name);
    } else {
        strbuf_addf(out, "    --%s", f->name);
    }
    if (f->value != NULL) {
        strbuf_addf(out, " %s", f->value);
    }
}

/* Those that the command hides are left out; c may be NULL. */
static void add_flags(struct strbuf *out, const struct cli_flag *f,
                      const struct cli_command *c)
{
    for (; f->name != NULL; f++) {
        if (c != NULL && cli_hides(c, f)) {
            continue;
        }
        struct strbuf left = STRBUF_INIT(256);
        add_flag_name(&left, f);
        add_row(out, strbuf_str(&left), f->help);
        strbuf_deinit(&left);
    }
}

void cli_add_help(struct strbuf *out)
{
    strbuf_addc(out, "Usage: adctl COMMAND [FLAGS]\n\nCommands:\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        add_command_row(out, &cli_commands[i]);
    }
    strbuf_addc(out, "\nFlags of all commands, which may stand anywhere:\n");
    add_flags(out, cli_global_flags, NULL);
    strbuf_addc(out, "\nAn ID is a full one, a unique beginning of one, "
                     "@latest or @failed.\nTopics: ");
    for (size_t i = 0; i < cli_topic_count; i++) {
        strbuf_addf(out, "%sadctl help %s", i != 0 ? ", " : "",
                    cli_topics[i].name);
    }
    strbuf_addc(out, "\nStart with: adctl status\n");
}

/* Each line of the text behind the indent. */
static void add_indented(struct strbuf *out, const char *text,
                         const char *indent)
{
    struct str rest = str_c(text);
    while (rest.len != 0) {
        ptrdiff_t end = str_find(rest, '\n');
        size_t len = end >= 0 ? (size_t)end : rest.len;
        strbuf_addf(out, "%s%.*s\n", indent, STR_ARG(str_slice(rest, 0, len)));
        rest = str_slice(rest, len + 1, rest.len);
    }
}

void cli_add_command_help(const struct cli_command *c, struct strbuf *out)
{
    strbuf_addc(out, "Usage: adctl ");
    add_name(out, c);
    if (c->arguments[0] != '\0') {
        strbuf_addf(out, " %s", c->arguments);
    }
    strbuf_addf(out, " [FLAGS]\n\n%c%s.\n", c->summary[0] & ~0x20,
                c->summary + 1);
    if (c->details != NULL) {
        add_wrapped(out, c->details, 0, 0);
    }
    if (c->flags->name != NULL) {
        strbuf_addc(out, "\nFlags:\n");
        add_flags(out, c->flags, NULL);
    }
    strbuf_addc(out, "\nFlags of all commands:\n");
    add_flags(out, cli_global_flags, c);
    strbuf_addc(out, "\nExamples:\n");
    add_indented(out, c->examples, "  ");
}

void cli_add_noun_help(struct str noun, struct strbuf *out)
{
    strbuf_addf(out, "Usage: adctl %.*s COMMAND [FLAGS]\n\nCommands:\n",
                STR_ARG(noun));
    for (size_t i = 0; i < cli_command_count; i++) {
        if (str_eq_c(noun, cli_commands[i].noun)) {
            add_command_row(out, &cli_commands[i]);
        }
    }
    for (size_t i = 0; i < cli_default_verb_count; i++) {
        if (str_eq_c(noun, cli_default_verbs[i].alias)) {
            strbuf_addf(out, "\n\"adctl %s\" alone is \"adctl %s %s\".\n",
                        cli_default_verbs[i].alias, cli_default_verbs[i].alias,
                        cli_default_verbs[i].name);
        }
    }
    strbuf_addf(out, "\nMore: adctl help %.*s COMMAND\n", STR_ARG(noun));
}

/* ---- the manual page ---------------------------------------------------- */

static void add_man_text(struct strbuf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("_*\\#`", *text) != NULL) {
            strbuf_addch(out, '\\');
        }
        strbuf_addch(out, *text);
    }
}

static void add_man_flags(struct strbuf *out, const struct cli_flag *f)
{
    for (; f->name != NULL; f++) {
        strbuf_addc(out, "*");
        if (f->letter != 0) {
            strbuf_addf(out, "-%c*, *", f->letter);
        }
        strbuf_addf(out, "--%s*", f->name);
        if (f->value != NULL) {
            strbuf_addf(out, " _%s_", f->value);
        }
        strbuf_addf(out, "\n\t%c", f->help[0] & ~0x20);
        add_man_text(out, f->help + 1);
        strbuf_addc(out, ".\n\n");
    }
}

static void add_man_command(struct strbuf *out, const struct cli_command *c)
{
    strbuf_addc(out, "## adctl ");
    add_name(out, c);
    strbuf_addc(out, " ");
    add_man_text(out, c->arguments);
    strbuf_addf(out, "\n\n%c", c->summary[0] & ~0x20);
    add_man_text(out, c->summary + 1);
    strbuf_addc(out, ".");
    if (c->details != NULL) {
        strbuf_addc(out, " ");
        add_man_text(out, c->details);
    }
    strbuf_addc(out, "\n\n");
    add_man_flags(out, c->flags);
    strbuf_addc(out, "```\n");
    strbuf_addc(out, c->examples);
    strbuf_addc(out, "```\n\n");
}

void cli_add_man(struct strbuf *out)
{
    strbuf_addc(out, "# COMMANDS\n\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        add_man_command(out, &cli_commands[i]);
    }
    strbuf_addc(out, "# FLAGS OF ALL COMMANDS\n\n");
    add_man_flags(out, cli_global_flags);
    for (size_t i = 0; i < cli_topic_count; i++) {
        strbuf_addf(out, "%s# %s\n\n```\n%s```\n", i != 0 ? "\n" : "",
                    cli_topics[i].title, cli_topics[i].text);
    }
}

/* ---- adctl help, adctl version ------------------------------------------ */

static int help_unknown(struct cli *cli, const char *word)
{
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < cli_topic_count; i++) {
        names[count++] = cli_topics[i].name;
    }
    for (size_t i = 0; i < cli_command_count && count < 64; i++) {
        names[count++] = cli_commands[i].noun;
    }
    const char *near = str_nearest(str_c(word), names, count);
    return cli_fail(cli, CLI_USAGE,
                    near != NULL ? cli_text(cli, "adctl help %s", near)
                                 : "adctl help",
                    "there is no help on \"%s\"", word);
}

int cli_help(struct cli *cli)
{
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    struct str noun = str_c(cli_word(cli, 0));
    struct str verb = str_c(cli_word(cli, 1));
    const struct cli_command *c = cli_find(noun, verb);
    bool is_noun = false;
    for (size_t i = 0; i < cli_command_count; i++) {
        is_noun = is_noun || str_eq_c(noun, cli_commands[i].noun);
    }
    if (noun.len == 0) {
        cli_add_help(&text);
    } else if (c != NULL) {
        cli_add_command_help(c, &text);
    } else if (is_noun && verb.len == 0) {
        cli_add_noun_help(noun, &text);
    }
    for (size_t i = 0; i < cli_topic_count; i++) {
        if (str_eq_c(noun, cli_topics[i].name)) {
            strbuf_addc(&text, cli_topics[i].text);
        }
    }
    int code = CLI_OK;
    if (text.len != 0) {
        (void)fputs(text.at, cli->out);
    } else {
        code = help_unknown(cli, verb.len != 0 ? verb.at : noun.at);
    }
    strbuf_deinit(&text);
    return code;
}

int cli_version(struct cli *cli)
{
    struct cli_answer a;
    cli_send(cli, &(struct cli_request){.method = "GET", .path = "/api/health"},
             &a);
    const char *engine = cli_get_raw(a.body, "version");
    if (cli->format == CLI_JSON || cli->format == CLI_JSONL) {
        json_auto_t *both =
            json_pack("{s:s, s:s?}", "adctl", ADP_VERSION, "engine", engine);
        cli_print_json(cli, both);
    } else {
        (void)fprintf(cli->out, "adctl %s\n", ADP_VERSION);
        if (engine != NULL) {
            cli_print_field(cli, "engine", engine);
        }
    }
    cli_answer_deinit(&a);
    return CLI_OK;
}
