#include "app/cli.h"

#include <stdarg.h>
#include <string.h>

#include "app/cli_busy.h"
#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/cli_output.h"

const char *const cli_format_names[CLI_FORMATS + 1] = {
    "table", "wide", "json", "jsonl", "name", NULL,
};

static void print_message(FILE *to, const char *fmt, va_list args)
    PRINTF_LIKE(2, 0);

static void print_message(FILE *to, const char *fmt, va_list args)
{
    struct strbuf text = STRBUF_INIT(64 * 1024);
    struct strbuf safe = STRBUF_INIT(256 * 1024);
    strbuf_addv(&text, fmt, args);
    strbuf_add_visible(&safe, strbuf_str(&text));
    (void)fprintf(to, "adctl: %s\n", strbuf_str(&safe).at);
    strbuf_deinit(&text);
    strbuf_deinit(&safe);
}

int cli_fail(struct cli *cli, int code, const char *next, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    cli_busy(cli, NULL);
    (void)fflush(cli->out);
    print_message(cli->err, fmt, args);
    va_end(args);
    if (next != NULL) {
        struct strbuf safe = STRBUF_INIT(64 * 1024);
        strbuf_add_visible(&safe, str_c(next));
        (void)fprintf(cli->err, "  try: %s\n", strbuf_str(&safe).at);
        strbuf_deinit(&safe);
    }
    return code;
}

void cli_note(struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    cli_busy(cli, NULL);
    (void)fflush(cli->out);
    print_message(cli->err, fmt, args);
    va_end(args);
}

const char *cli_text(struct cli *cli, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    va_list args;
    va_start(args, fmt);
    strbuf_addv(&text, fmt, args);
    va_end(args);
    const char *copy = arena_strdup(&cli->arena, strbuf_str(&text));
    strbuf_deinit(&text);
    return copy;
}

bool cli_format_of(const char *word, enum cli_format *ret)
{
    for (int i = 0; i < CLI_FORMATS; i++) {
        if (strcmp(cli_format_names[i], word) == 0) {
            *ret = (enum cli_format)i;
            return true;
        }
    }
    return false;
}

static void apply_output_flags(struct cli *cli)
{
    VEC_EACH (&cli->given, g) {
        if (strcmp(cli->given.at[g].flag->name, "output") == 0) {
            (void)cli_format_of(cli->given.at[g].value, &cli->format);
        }
    }
    cli->terminal.header = cli->terminal.header || cli_has(cli, "header");
    cli->terminal.colour = cli->terminal.colour && !cli_has(cli, "no-color");
}

/* Help instead of a command: for it, for its noun, or for everything. */
static int print_help(struct cli *cli)
{
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    int code = CLI_OK;
    if (cli->command != NULL) {
        cli_add_command_help(cli->command, &text);
    } else if (cli->words.count != 0) {
        const char *noun = cli->words.at[0];
        for (size_t i = 0; i < cli_noun_alias_count; i++) {
            if (strcmp(cli_noun_aliases[i].alias, noun) == 0) {
                noun = cli_noun_aliases[i].name;
            }
        }
        cli_add_noun_help(str_c(noun), &text);
        code = cli->help ? CLI_OK : CLI_USAGE;
    } else {
        cli_add_help(&text);
    }
    (void)fputs(strbuf_str(&text).at, code == CLI_OK ? cli->out : cli->err);
    strbuf_deinit(&text);
    return code;
}

int cli_main(struct cli *cli, int argc, char *const *argv)
{
    arena_init(&cli->arena);
    int r = cli_parse(cli, argc, argv);
    if (r != 0) {
        return r;
    }
    apply_output_flags(cli);
    if (cli->command == NULL || cli->help) {
        return print_help(cli);
    }
    r = cli_connect_options(cli);
    return r == 0 ? cli->command->run(cli) : r;
}

void cli_deinit(struct cli *cli)
{
    cli_http_deinit(cli);
    VEC_DEINIT(&cli->words);
    VEC_DEINIT(&cli->given);
    arena_deinit(&cli->arena);
}
