#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli_commands.h"

#define WORDS_MAX 16

/* One parse: "event list -n 5" split at blanks. */
struct parse {
    struct cli cli;
    int result;
    char *line;
    char *out;
    char *err;
    size_t out_len;
    size_t err_len;
};

static struct parse *parse(const char *line)
{
    struct parse *p = calloc(1, sizeof(*p));
    char *argv[WORDS_MAX] = {NULL};
    char program[] = "adctl";
    int argc = 1;
    char *rest = NULL;
    assert_non_null(p);
    p->line = strdup(line);
    argv[0] = program;
    for (char *word = strtok_r(p->line, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    p->cli.out = open_memstream(&p->out, &p->out_len);
    p->cli.err = open_memstream(&p->err, &p->err_len);
    p->result = cli_parse(&p->cli, argc, argv);
    (void)fflush(p->cli.out);
    (void)fflush(p->cli.err);
    return p;
}

static void done(struct parse *p)
{
    cli_deinit(&p->cli);
    (void)fclose(p->cli.out);
    (void)fclose(p->cli.err);
    free(p->out);
    free(p->err);
    free(p->line);
    free(p);
}

static void is_command(const char *line, const char *noun, const char *verb)
{
    struct parse *p = parse(line);
    assert_int_equal(p->result, 0);
    assert_non_null(p->cli.command);
    assert_string_equal(p->cli.command->noun, noun);
    if (verb == NULL) {
        assert_null(p->cli.command->verb);
    } else {
        assert_string_equal(p->cli.command->verb, verb);
    }
    assert_int_equal(p->err_len, 0);
    done(p);
}

static void finds_commands_by_every_name(void **state)
{
    (void)state;
    is_command("status", "status", NULL);
    is_command("event list", "event", "list");
    is_command("events ls", "event", "list");
    is_command("rb lint x", "runbook", "lint");
    is_command("lint", "lint", NULL);
    is_command("wf log x", "workflow", "logs");
    is_command("run show x", "workflow", "show");
    is_command("runs get", "workflow", "list");
    is_command("runs get x", "workflow", "show");
    is_command("get runs", "workflow", "list");
    is_command("get run x", "workflow", "show");
    is_command("list events", "event", "list");
    is_command("describe rb x", "runbook", "show");
    is_command("--version", "version", NULL);
    is_command("-o json event list", "event", "list");
    is_command("event -o json list", "event", "list");
}

static void splits_a_noun_from_an_id(void **state)
{
    (void)state;
    struct parse *p = parse("logs run/wf-1");
    assert_int_equal(p->result, 0);
    assert_string_equal(p->cli.command->verb, "logs");
    assert_int_equal(p->cli.words.count, 1);
    assert_string_equal(cli_word(&p->cli, 0), "wf-1");
    assert_null(cli_word(&p->cli, 1));
    done(p);
}

static void takes_flags_in_every_form(void **state)
{
    static const char *const lines[] = {
        "event list --limit 5", "event list --limit=5", "event list -n 5",
        "event list -n5",       "event list -n=5",      "-n 5 event list",
        "event -n5 list",       "event list -n 7 -n 5",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct parse *p = parse(lines[i]);
        assert_int_equal(p->result, 0);
        assert_string_equal(cli_value(&p->cli, "limit"), "5");
        done(p);
    }
}

static void joins_switches(void **state)
{
    (void)state;
    struct parse *p = parse("runbook run x -wpa=b -p c=d=e");
    assert_int_equal(p->result, 0);
    assert_true(cli_has(&p->cli, "wait"));
    assert_false(cli_has(&p->cli, "dry-run"));
    assert_int_equal(p->cli.given.count, 3);
    assert_string_equal(p->cli.given.at[1].value, "a=b");
    assert_string_equal(p->cli.given.at[2].value, "c=d=e");
    assert_null(cli_value(&p->cli, "timeout"));
    done(p);
}

static void ends_flags_at_two_dashes(void **state)
{
    (void)state;
    struct parse *p = parse("runbook show -- --odd.yaml");
    assert_int_equal(p->result, 0);
    assert_string_equal(cli_word(&p->cli, 0), "--odd.yaml");
    done(p);
    p = parse("runbook validate -");
    assert_string_equal(cli_word(&p->cli, 0), "-");
    done(p);
}

static void is_refused(const char *line, const char *text)
{
    struct parse *p = parse(line);
    assert_int_equal(p->result, CLI_USAGE);
    assert_int_equal(p->out_len, 0);
    if (strstr(p->err, text) == NULL) {
        fail_msg("%s: no \"%s\" in: %s", line, text, p->err);
    }
    done(p);
}

static void refuses_wrong_usage_with_a_hint(void **state)
{
    (void)state;
    is_refused("evnt list", "try: adctl event");
    is_refused("event lst", "try: adctl event list");
    is_refused("event xyzzy", "try: adctl event --help");
    is_refused("logs x", "needs a noun in front");
    is_refused("event list --limt 5", "did you mean --limit?");
    is_refused("event list -z", "unknown flag -z");
    is_refused("event list --wait", "unknown flag --wait");
    is_refused("event list --limit", "--limit needs a value: N");
    is_refused("event send --wait=yes", "--wait takes no value");
    is_refused("event show", "needs ID");
    is_refused("event show a b", "one word too many: \"b\"");
    is_refused("status -o yaml", "unknown word \"yaml\"");
    is_refused("event list --status quued", "--status queued");
    is_refused("event send --wait --timeout soon", "is not a duration");
}

/* -f is a switch of one command and takes a value in another. */
static void a_letter_is_that_of_its_command(void **state)
{
    (void)state;
    struct parse *p = parse("lint -f sarif x.yaml");
    assert_int_equal(p->result, 0);
    assert_string_equal(cli_value(&p->cli, "format"), "sarif");
    assert_int_equal(p->cli.words.count, 1);
    done(p);
    p = parse("runbook lint -fjson x.yaml");
    assert_int_equal(p->result, 0);
    assert_string_equal(cli_value(&p->cli, "format"), "json");
    done(p);
    p = parse("workflow logs x -f");
    assert_int_equal(p->result, 0);
    assert_true(cli_has(&p->cli, "follow"));
    done(p);
    p = parse("logs run/x -f");
    assert_int_equal(p->result, 0);
    assert_true(cli_has(&p->cli, "follow"));
    done(p);
    is_refused("lint -f yaml", "unknown word \"yaml\"");
    is_refused("lint -f", "-f needs a value: FORMAT");
}

/* A command's own flag hides the global one of that name. */
static void output_of_new_is_a_file(void **state)
{
    (void)state;
    struct parse *p = parse("runbook new x --output x.yaml -o json");
    assert_int_equal(p->result, 0);
    assert_int_equal(p->cli.given.count, 2);
    assert_string_equal(p->cli.given.at[0].value, "x.yaml");
    assert_null(p->cli.given.at[0].flag->choices);
    done(p);
    is_refused("runbook list --output x.yaml", "unknown word");
}

static void leaves_severities_open(void **state)
{
    (void)state;
    struct parse *p = parse("event send --severity page");
    assert_int_equal(p->result, 0);
    done(p);
}

static void help_needs_no_words(void **state)
{
    (void)state;
    struct parse *p = parse("event show --help");
    assert_int_equal(p->result, 0);
    assert_true(p->cli.help);
    done(p);
    p = parse("event");
    assert_int_equal(p->result, 0);
    assert_null(p->cli.command);
    assert_string_equal(cli_word(&p->cli, 0), "event");
    done(p);
}

static void reads_numbers_and_durations(void **state)
{
    uint64_t value = 0;
    (void)state;
    struct parse *p = parse("event send --timeout 1m30s --limit 5");
    assert_int_equal(p->result, CLI_USAGE); /* no --limit there */
    done(p);
    p = parse("event list -n 5");
    assert_int_equal(cli_number(&p->cli, "limit", 10, 1, &value), 0);
    assert_int_equal(value, 5);
    assert_int_equal(cli_number(&p->cli, "limit", 4, 1, &value), CLI_USAGE);
    assert_int_equal(cli_number(&p->cli, "none", 4, 3, &value), 0);
    assert_int_equal(value, 3);
    done(p);
    p = parse("event send --timeout 1m30s");
    assert_int_equal(cli_duration(&p->cli, "timeout", 1, &value), 0);
    assert_int_equal(value, 90000);
    done(p);
}

/* ---- the table ---------------------------------------------------------- */

static bool is_global(const struct cli_flag *f)
{
    for (const struct cli_flag *g = cli_global_flags; g->name != NULL; g++) {
        if (g == f) {
            return true;
        }
    }
    return false;
}

static void check_flag(const struct cli_flag *a, const struct cli_flag *b)
{
    bool same = strcmp(a->name, b->name) == 0;
    bool letter = a->letter != 0 && a->letter == b->letter;
    if (same && (a->letter != 0 || b->letter != 0) && !letter) {
        fail_msg("--%s has another letter elsewhere", a->name);
    }
    if (letter && !same && (is_global(a) || is_global(b))) {
        fail_msg("--%s and --%s share a letter", a->name, b->name);
    }
    if (same && (a->value == NULL) != (b->value == NULL)) {
        fail_msg("--%s takes a value only in some commands", a->name);
    }
}

/* Flags may stand before the command, so each takes a value or none whatever
 * the command is; letters of global flags are nobody else's. */
static void a_flag_is_the_same_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i <= cli_command_count; i++) {
        const struct cli_flag *list =
            i < cli_command_count ? cli_commands[i].flags : cli_global_flags;
        for (size_t j = 0; j < i; j++) {
            for (const struct cli_flag *a = list; a->name != NULL; a++) {
                const struct cli_flag *b = cli_commands[j].flags;
                for (; b->name != NULL; b++) {
                    check_flag(a, b);
                }
            }
        }
    }
}

static void rows_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        struct str summary = str_c(c->summary);
        assert_non_null(c->run);
        assert_true(str_starts(str_c(c->examples), STR("adctl ")));
        assert_true(str_ends(str_c(c->examples), STR("\n")));
        assert_false(str_ends(summary, STR(".")));
        assert_true(c->min_words <= c->max_words);
        assert_ptr_equal(cli_find(str_c(c->noun), str_c(c->verb)), c);
        for (const struct cli_flag *f = c->flags; f->name != NULL; f++) {
            assert_false(str_ends(str_c(f->help), STR(".")));
        }
    }
}

/* Each command line of the table's examples parses as its command. */
static void examples_work(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        struct str first = str_c(c->examples);
        ptrdiff_t end = str_find(first, '\n');
        first = str_slice(first, strlen("adctl "), (size_t)end);
        char line[256];
        (void)snprintf(line, sizeof(line), "%.*s", STR_ARG(first));
        char *redirect = strpbrk(line, ">\\");
        if (redirect != NULL) {
            *redirect = '\0';
        }
        is_command(line, c->noun, c->verb);
    }
}

static void help_fits_80_columns(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    cli_add_help(&text);
    for (size_t i = 0; i < cli_command_count; i++) {
        cli_add_command_help(&cli_commands[i], &text);
        cli_add_noun_help(str_c(cli_commands[i].noun), &text);
    }
    for (size_t i = 0; i < cli_topic_count; i++) {
        strbuf_addc(&text, cli_topics[i].text);
    }
    struct str rest = strbuf_str(&text);
    while (rest.len != 0) {
        ptrdiff_t end = str_find(rest, '\n');
        assert_true(end >= 0);
        if (end > 80) {
            fail_msg("too wide: %.*s", (int)end, rest.at);
        }
        rest = str_slice(rest, (size_t)end + 1, rest.len);
    }
    strbuf_deinit(&text);
}

/* Help has one line for --output of a command that has its own. */
static void help_shows_a_flag_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        struct strbuf text = STRBUF_INIT(64 * 1024);
        cli_add_command_help(&cli_commands[i], &text);
        const char *first = strstr(text.at, "--output ");
        const char *flags = strstr(text.at, "\nExamples:");
        assert_non_null(first);
        const char *second = strstr(first + 1, "--output ");
        assert_true(second == NULL || second > flags);
        strbuf_deinit(&text);
    }
}

/* ---- what is made of the table ------------------------------------------ */

static void mentions_all(const struct strbuf *text, const char *prefix)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        assert_non_null(strstr(text->at, c->verb != NULL ? c->verb : c->noun));
        for (const struct cli_flag *f = c->flags; f->name != NULL; f++) {
            char flag[64];
            (void)snprintf(flag, sizeof(flag), "%s%s", prefix, f->name);
            if (strstr(text->at, flag) == NULL) {
                fail_msg("%s is missing", flag);
            }
        }
    }
}

static void completion_knows_every_command_and_flag(void **state)
{
    static const struct {
        const char *shell, *prefix;
    } shells[] = {{"bash", "--"}, {"zsh", "--"}, {"fish", "-l "}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        struct strbuf text = STRBUF_INIT(1024 * 1024);
        assert_int_equal(cli_add_completion(str_c(shells[i].shell), &text), 0);
        mentions_all(&text, shells[i].prefix);
        strbuf_deinit(&text);
    }
    struct strbuf none = STRBUF_INIT(64);
    assert_true(cli_add_completion(STR("csh"), &none) < 0);
    assert_int_equal(none.len, 0);
}

static void the_manual_has_every_command_and_flag(void **state)
{
    (void)state;
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    cli_add_man(&text);
    mentions_all(&text, "*--");
    assert_non_null(strstr(text.at, "# EXIT STATUS"));
    assert_non_null(strstr(text.at, "AD_TOKEN_FILE"));
    strbuf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_commands_by_every_name),
        cmocka_unit_test(splits_a_noun_from_an_id),
        cmocka_unit_test(takes_flags_in_every_form),
        cmocka_unit_test(joins_switches),
        cmocka_unit_test(ends_flags_at_two_dashes),
        cmocka_unit_test(refuses_wrong_usage_with_a_hint),
        cmocka_unit_test(a_letter_is_that_of_its_command),
        cmocka_unit_test(output_of_new_is_a_file),
        cmocka_unit_test(leaves_severities_open),
        cmocka_unit_test(help_needs_no_words),
        cmocka_unit_test(reads_numbers_and_durations),
        cmocka_unit_test(a_flag_is_the_same_everywhere),
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(examples_work),
        cmocka_unit_test(help_fits_80_columns),
        cmocka_unit_test(help_shows_a_flag_once),
        cmocka_unit_test(completion_knows_every_command_and_flag),
        cmocka_unit_test(the_manual_has_every_command_and_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
