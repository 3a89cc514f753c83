/*
 * From words to a command. Flags may stand anywhere, so the first pass only
 * needs to know which of them take a value; whether a flag belongs to the
 * command is asked when the command is known.
 */
#include <errno.h>
#include <string.h>

#include "app/cli_commands.h"
#include "base/mem.h"
#include "data/duration.h"

#define NAMES_MAX 64 /* candidates of one "did you mean" */

/* ---- flags -------------------------------------------------------------- */

static const struct cli_flag *in_list(const struct cli_flag *flags,
                                      struct str name, bool letter)
{
    for (; flags->name != NULL; flags++) {
        if (letter ? name.len == 1 && flags->letter == name.at[0]
                   : str_eq_c(name, flags->name)) {
            return flags;
        }
    }
    return NULL;
}

/* The flag in any command: enough to know whether a value follows. */
static const struct cli_flag *anywhere(struct str name, bool letter)
{
    const struct cli_flag *f = in_list(cli_global_flags, name, letter);
    for (size_t i = 0; f == NULL && i < cli_command_count; i++) {
        f = in_list(cli_commands[i].flags, name, letter);
    }
    return f;
}

static const char *nearest_flag(const struct cli_command *c, struct str name)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    const struct cli_flag *lists[] = {cli_global_flags,
                                      c != NULL ? c->flags : NULL};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (const struct cli_flag *f = lists[i];
             f != NULL && f->name != NULL && count < NAMES_MAX; f++) {
            names[count++] = f->name;
        }
    }
    return str_nearest(name, names, count);
}

static const char *command_name(struct cli *cli)
{
    const struct cli_command *c = cli->command;
    if (c == NULL) {
        return "";
    }
    return c->verb == NULL ? cli_text(cli, " %s", c->noun)
                           : cli_text(cli, " %s %s", c->noun, c->verb);
}

static int unknown_flag(struct cli *cli, const char *arg, struct str name)
{
    const char *near = nearest_flag(cli->command, name);
    return cli_fail(
        cli, CLI_USAGE, cli_text(cli, "adctl%s --help", command_name(cli)),
        "unknown flag %s%s%s%s", arg, near != NULL ? " (did you mean --" : "",
        near != NULL ? near : "", near != NULL ? "?)" : "");
}

struct parser {
    struct cli *cli;
    int argc;
    char *const *argv;
    int next;
    VEC(const char *) words;
    const char *unknown; /* the argument with a flag that no command has */
    struct str unknown_name;
};

/* Said once the command is known: the hint depends on it. */
static int note_unknown(struct parser *p, const char *arg, struct str name)
{
    p->unknown = arg;
    p->unknown_name = name;
    return CLI_USAGE;
}

static int give(struct parser *p, const struct cli_flag *f, const char *arg,
                const char *value)
{
    if (f->value != NULL && value == NULL) {
        if (p->next >= p->argc) {
            return cli_fail(p->cli, CLI_USAGE, NULL, "%s needs a value: %s",
                            arg, f->value);
        }
        value = p->argv[p->next++];
    }
    VEC_PUSH(&p->cli->given, (struct cli_given){f, value});
    return 0;
}

static const char *noun_of(const char *word);
static const char *unalias(const struct cli_alias *aliases, size_t count,
                           const char *word);

/* The command that the words so far name, in either order ("workflow logs",
 * "logs run/ID"); NULL if they do not yet. */
static const struct cli_command *command_in_front(const struct parser *p)
{
    if (p->words.count == 0) {
        return NULL;
    }
    const char *noun = noun_of(p->words.at[0]);
    const struct cli_command *c =
        noun != NULL ? cli_find(str_c(noun), STR_NULL) : NULL;
    if (c != NULL || p->words.count < 2) {
        return c;
    }
    const char *verb = p->words.at[noun != NULL ? 1 : 0];
    if (noun == NULL) {
        const char *second = p->words.at[1];
        size_t len = strcspn(second, "/");
        noun = noun_of(cli_text(p->cli, "%.*s", (int)len, second));
    }
    verb = unalias(cli_verb_aliases, cli_verb_alias_count, verb);
    return noun != NULL ? cli_find(str_c(noun), str_c(verb)) : NULL;
}

/* -f is --follow of one command and --format of another: behind the command
 * it is the command's own. */
static const struct cli_flag *letter_flag(const struct parser *p,
                                          struct str letter)
{
    const struct cli_command *c = command_in_front(p);
    const struct cli_flag *own =
        c != NULL ? in_list(c->flags, letter, true) : NULL;
    return own != NULL ? own : anywhere(letter, true);
}

/* "--name", "--name=value". */
static int parse_long(struct parser *p, const char *arg)
{
    struct str name = str_c(arg + 2);
    const char *value = strchr(arg, '=');
    if (value != NULL) {
        name.len = (size_t)(value - name.at);
        value++;
    }
    const struct cli_flag *f = anywhere(name, false);
    if (f == NULL) {
        return note_unknown(p, arg, name);
    }
    if (f->value == NULL && value != NULL) {
        return cli_fail(p->cli, CLI_USAGE, NULL, "--%s takes no value",
                        f->name);
    }
    return give(p, f, arg, value);
}

/* "-w", "-wf", "-ojson", "-o json". */
static int parse_short(struct parser *p, const char *arg)
{
    for (const char *at = arg + 1; *at != '\0'; at++) {
        const struct cli_flag *f = letter_flag(p, str_n(at, 1));
        if (f == NULL) {
            return note_unknown(p, arg, str_n(at, 1));
        }
        if (f->value != NULL) {
            const char *rest = at[1] == '=' ? at + 2 : at + 1;
            return give(p, f, arg, *rest != '\0' ? rest : NULL);
        }
        VEC_PUSH(&p->cli->given, (struct cli_given){f, NULL});
    }
    return 0;
}

static int parse_all(struct parser *p)
{
    bool only_words = false;
    int r = 0;
    while (r == 0 && p->next < p->argc) {
        const char *arg = p->argv[p->next++];
        if (only_words || arg[0] != '-' || arg[1] == '\0' ||
            strcmp(arg, "--version") == 0) {
            VEC_PUSH(&p->words, arg);
        } else if (strcmp(arg, "--") == 0) {
            only_words = true;
        } else if (arg[1] == '-') {
            r = parse_long(p, arg);
        } else {
            r = parse_short(p, arg);
        }
    }
    return r;
}

/* ---- the command -------------------------------------------------------- */

static const char *unalias(const struct cli_alias *aliases, size_t count,
                           const char *word)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(aliases[i].alias, word) == 0) {
            return aliases[i].name;
        }
    }
    return word;
}

static const char *noun_of(const char *word)
{
    const char *noun = unalias(cli_noun_aliases, cli_noun_alias_count, word);
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].noun, noun) == 0) {
            return cli_commands[i].noun;
        }
    }
    return NULL;
}

static bool is_verb(const char *word)
{
    const char *verb = unalias(cli_verb_aliases, cli_verb_alias_count, word);
    for (size_t i = 0; i < cli_command_count; i++) {
        if (cli_commands[i].verb != NULL &&
            strcmp(cli_commands[i].verb, verb) == 0) {
            return true;
        }
    }
    return strcmp(verb, "get") == 0;
}

/* The order of kubectl: "get runs", "logs run/ID" become "run get", "run logs
 * ID". A word that is a noun itself ("run") keeps its place. */
static void put_noun_first(struct parser *p)
{
    if (p->words.count < 2 || noun_of(p->words.at[0]) != NULL ||
        !is_verb(p->words.at[0])) {
        return;
    }
    const char *verb = p->words.at[0];
    const char *second = p->words.at[1];
    if (noun_of(second) != NULL) {
        p->words.at[0] = second;
        p->words.at[1] = verb;
        return;
    }
    const char *slash = strchr(second, '/');
    if (slash == NULL) {
        return;
    }
    const char *noun = cli_text(p->cli, "%.*s", (int)(slash - second), second);
    if (noun_of(noun) != NULL) {
        p->words.at[0] = noun;
        p->words.at[1] = verb;
        VEC_PUSH(&p->words, NULL);
        memmove(&p->words.at[3], &p->words.at[2],
                (p->words.count - 3) * sizeof(p->words.at[0]));
        p->words.at[2] = slash + 1;
    }
}

static int unknown_noun(struct cli *cli, const char *word)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < cli_command_count && count < NAMES_MAX; i++) {
        names[count++] = cli_commands[i].noun;
    }
    const char *near = str_nearest(str_c(word), names, count);
    if (is_verb(word)) {
        const char *verb =
            unalias(cli_verb_aliases, cli_verb_alias_count, word);
        bool get = strcmp(verb, "get") == 0;
        return cli_fail(cli, CLI_USAGE,
                        cli_text(cli, "adctl workflow %s", get ? "list" : verb),
                        "\"%s\" needs a noun in front: event, runbook or "
                        "workflow",
                        word);
    }
    return cli_fail(cli, CLI_USAGE,
                    near != NULL ? cli_text(cli, "adctl %s", near)
                                 : "adctl --help",
                    "unknown command \"%s\"", word);
}

static int unknown_verb(struct cli *cli, const char *noun, const char *word)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < cli_command_count && count < NAMES_MAX; i++) {
        if (strcmp(cli_commands[i].noun, noun) == 0) {
            names[count++] = cli_commands[i].verb;
        }
    }
    const char *near = str_nearest(str_c(word), names, count);
    return cli_fail(cli, CLI_USAGE,
                    near != NULL ? cli_text(cli, "adctl %s %s", noun, near)
                                 : cli_text(cli, "adctl %s --help", noun),
                    "unknown command \"%s %s\"", noun, word);
}

/* Takes the command's own words away; leaves cli->command NULL when only a
 * noun was given (its help follows). */
static int find_command(struct parser *p)
{
    struct cli *cli = p->cli;
    size_t used = 1;
    put_noun_first(p);
    const char *noun = noun_of(p->words.at[0]);
    if (noun == NULL) {
        return unknown_noun(cli, p->words.at[0]);
    }
    cli->command = cli_find(str_c(noun), STR_NULL);
    if (cli->command == NULL && p->words.count > 1) {
        const char *word = p->words.at[1];
        const char *verb =
            unalias(cli_verb_aliases, cli_verb_alias_count, word);
        if (strcmp(verb, "get") == 0) {
            verb = p->words.count > 2 ? "show" : "list";
        }
        used = 2;
        cli->command = cli_find(str_c(noun), str_c(verb));
        if (cli->command == NULL) {
            return unknown_verb(cli, noun, word);
        }
    }
    if (cli->command == NULL && !cli->help) {
        const char *verb =
            unalias(cli_default_verbs, cli_default_verb_count, noun);
        cli->command = verb != noun ? cli_find(str_c(noun), str_c(verb)) : NULL;
    }
    if (cli->command == NULL) {
        used = 0; /* the noun stays, for its help */
    }
    for (size_t i = used; i < p->words.count; i++) {
        VEC_PUSH(&cli->words, p->words.at[i]);
    }
    return 0;
}

/* ---- checks once the command is known ----------------------------------- */

static int check_choice(struct cli *cli, const struct cli_given *g)
{
    size_t count = 0;
    if (g->flag->choices == NULL ||
        strcmp(g->flag->name, "severity") == 0) { /* severities are open */
        return 0;
    }
    for (; g->flag->choices[count] != NULL; count++) {
        if (strcmp(g->flag->choices[count], g->value) == 0) {
            return 0;
        }
    }
    const char *near = str_nearest(str_c(g->value), g->flag->choices, count);
    return cli_fail(cli, CLI_USAGE,
                    near != NULL
                        ? cli_text(cli, "--%s %s", g->flag->name, near)
                        : cli_text(cli, "adctl%s --help", command_name(cli)),
                    "--%s: unknown word \"%s\"", g->flag->name, g->value);
}

/* A flag of one name has its own help and choices in each command. */
static int settle_flags(struct cli *cli)
{
    VEC_EACH (&cli->given, i) {
        struct cli_given *g = &cli->given.at[i];
        const struct cli_flag *f = g->flag;
        const struct cli_flag *own =
            cli->command == NULL
                ? NULL
                : in_list(cli->command->flags, str_c(f->name), false);
        if (own != NULL) {
            g->flag = own;
        } else if (in_list(cli_global_flags, str_c(f->name), false) != f) {
            return unknown_flag(cli, cli_text(cli, "--%s", f->name),
                                str_c(f->name));
        }
        int r = check_choice(cli, g);
        uint64_t ms = 0;
        if (r == 0 && f->value != NULL && strcmp(f->value, "DURATION") == 0) {
            r = cli_duration(cli, f->name, 0, &ms); /* before anything runs */
        }
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

static int check_words(struct cli *cli)
{
    const struct cli_command *c = cli->command;
    if (c == NULL || cli->help) {
        return 0;
    }
    if (cli->words.count < c->min_words) {
        return cli_fail(cli, CLI_USAGE,
                        cli_text(cli, "adctl%s --help", command_name(cli)),
                        "adctl%s needs %s", command_name(cli), c->arguments);
    }
    if (cli->words.count > c->max_words) {
        return cli_fail(cli, CLI_USAGE,
                        cli_text(cli, "adctl%s --help", command_name(cli)),
                        "adctl%s: one word too many: \"%s\"", command_name(cli),
                        cli->words.at[c->max_words]);
    }
    return 0;
}

/* The command, then what depends on it. */
static int settle(struct parser *p)
{
    struct cli *cli = p->cli;
    int r = p->words.count != 0 ? find_command(p) : 0;
    if (r == 0 && p->unknown != NULL) {
        r = unknown_flag(cli, p->unknown, p->unknown_name);
    }
    if (r == 0) {
        r = settle_flags(cli);
    }
    return r == 0 ? check_words(cli) : r;
}

int cli_parse(struct cli *cli, int argc, char *const *argv)
{
    struct parser p = {.cli = cli, .argc = argc, .argv = argv, .next = 1};
    int r = parse_all(&p);
    cli->help = cli_has(cli, "help");
    if (r == 0 || p.unknown != NULL) {
        r = settle(&p);
    }
    VEC_DEINIT(&p.words);
    return r;
}

/* ---- what the commands ask ---------------------------------------------- */

const char *cli_value(const struct cli *cli, const char *name)
{
    const char *value = NULL;
    VEC_EACH (&cli->given, i) {
        if (strcmp(cli->given.at[i].flag->name, name) == 0) {
            value = cli->given.at[i].value;
        }
    }
    return value;
}

bool cli_has(const struct cli *cli, const char *name)
{
    VEC_EACH (&cli->given, i) {
        if (strcmp(cli->given.at[i].flag->name, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *cli_word(const struct cli *cli, size_t i)
{
    return i < cli->words.count ? cli->words.at[i] : NULL;
}

int cli_number(struct cli *cli, const char *flag, uint64_t max,
               uint64_t fallback, uint64_t *ret)
{
    const char *text = cli_value(cli, flag);
    *ret = fallback;
    if (text != NULL && str_to_u64(str_c(text), 1, max, ret) < 0) {
        return cli_fail(cli, CLI_USAGE, NULL,
                        "--%s: \"%s\" is not a number from 1 to %llu", flag,
                        text, (unsigned long long)max);
    }
    return 0;
}

int cli_duration(struct cli *cli, const char *flag, uint64_t fallback,
                 uint64_t *ret)
{
    const char *text = cli_value(cli, flag);
    *ret = fallback;
    if (text != NULL && duration_parse(str_c(text), ret) < 0) {
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "--%s 5m", flag),
                        "--%s: \"%s\" is not a duration", flag, text);
    }
    return 0;
}
