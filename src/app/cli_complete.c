/*
 * Completion scripts. The words are in the scripts, so completing starts no
 * process; ids and runbooks are asked of the engine with adctl itself.
 */
#include <errno.h>
#include <string.h>

#include "app/cli_commands.h"

static void add_words(struct strbuf *out, const char *noun);

/* The command that prints the words; `room` holds one that is made here. */
static const char *subject_command(enum cli_subject subject,
                                   struct strbuf *room)
{
    switch (subject) {
    case CLI_EVENT_ID:
        return "adctl event list -o name";
    case CLI_POISON_ID:
        return "adctl poison list -o name";
    case CLI_WORKFLOW_ID:
        return "adctl workflow list -o name";
    case CLI_RUNBOOK_PATH:
        return "adctl runbook list -o name";
    case CLI_INTEGRATION:
        return "adctl integration list -o name";
    case CLI_BACKUP:
        return "adctl backup list -o name";
    case CLI_SHELL:
        return "echo bash zsh fish";
    case CLI_TOPIC:
        strbuf_reset(room);
        strbuf_addc(room, "echo ");
        for (size_t i = 0; i < cli_topic_count; i++) {
            strbuf_addf(room, "%s ", cli_topics[i].name);
        }
        add_words(room, NULL);
        return strbuf_str(room).at;
    case CLI_NO_SUBJECT:
    case CLI_FILE:
    default:
        return NULL;
    }
}

/* Is this row the first of its noun? */
static bool is_first(size_t i)
{
    return i == 0 ||
           strcmp(cli_commands[i].noun, cli_commands[i - 1].noun) != 0;
}

static void add_words(struct strbuf *out, const char *noun)
{
    const char *gap = "";
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        if (noun == NULL ? is_first(i)
                         : c->verb != NULL && strcmp(c->noun, noun) == 0) {
            strbuf_addf(out, "%s%s", gap, noun == NULL ? c->noun : c->verb);
            gap = " ";
        }
    }
}

static void add_flag_words(struct strbuf *out, const struct cli_command *c)
{
    for (const struct cli_flag *f = c->flags; f->name != NULL; f++) {
        strbuf_addf(out, " --%s", f->name);
    }
    for (const struct cli_flag *f = cli_global_flags; f->name != NULL; f++) {
        if (!cli_hides(c, f)) {
            strbuf_addf(out, " --%s", f->name);
        }
    }
}

static void add_choices(struct strbuf *out, const struct cli_flag *f)
{
    for (size_t i = 0; f->choices[i] != NULL; i++) {
        strbuf_addf(out, "%s%s", i != 0 ? " " : "", f->choices[i]);
    }
}

/* Text inside single quotes; the shells differ in how they write a quote. */
static void add_quoted(struct strbuf *out, const char *text, const char *quote)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            strbuf_addc(out, quote);
        } else {
            strbuf_addch(out, *text);
        }
    }
}

static void add_key(struct strbuf *out, const struct cli_command *c)
{
    strbuf_addf(out, "%s%s%s", c->noun, c->verb != NULL ? " " : "",
                c->verb != NULL ? c->verb : "");
}

/* ---- bash --------------------------------------------------------------- */

static const char bash_head[] =
    "# bash completion for adctl; printed by: adctl completion bash\n"
    "_adctl() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local i word noun='' verb='' key words=''\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        case $word in\n";

static const char bash_nouns[] =
    "        -*) ;;\n"
    "        *) if [[ -z $noun ]]; then noun=$word\n"
    "           elif [[ -z $verb ]]; then verb=$word; fi ;;\n"
    "        esac\n"
    "    done\n"
    "    case $noun in\n";

static const char bash_tail[] =
    "    if [[ -z $words ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "    else\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "    fi\n"
    "}\n"
    "complete -F _adctl adctl\n";

/* List 0 is that of all commands, the others are those of one each. */
static const struct cli_flag *flags_of(size_t list)
{
    return list == 0 ? cli_global_flags : cli_commands[list - 1].flags;
}

/* Has a list before this one a flag with a value and this name, or letter? */
static bool is_known_flag(size_t list, const char *name, char letter)
{
    for (size_t i = 0; i < list; i++) {
        for (const struct cli_flag *f = flags_of(i); f->name != NULL; f++) {
            if (f->value != NULL &&
                ((name != NULL && strcmp(f->name, name) == 0) ||
                 (letter != 0 && f->letter == letter))) {
                return true;
            }
        }
    }
    return false;
}

/* What follows these is no command. */
static void add_bash_values(struct strbuf *out, size_t list)
{
    for (const struct cli_flag *f = flags_of(list); f->name != NULL; f++) {
        bool name = f->value != NULL && !is_known_flag(list, f->name, 0);
        bool letter = f->value != NULL && f->letter != 0 &&
                      !is_known_flag(list, NULL, f->letter);
        if (name || letter) {
            strbuf_addc(out, "        ");
            if (name) {
                strbuf_addf(out, "--%s%s", f->name, letter ? "|" : "");
            }
            if (letter) {
                strbuf_addf(out, "-%c", f->letter);
            }
            strbuf_addc(out, ") ((i++)) ;;\n");
        }
    }
}

static void add_bash_words(struct strbuf *out)
{
    strbuf_addc(out, bash_head);
    for (size_t list = 0; list <= cli_command_count; list++) {
        add_bash_values(out, list);
    }
    strbuf_addc(out, bash_nouns);
    for (size_t i = 0; i < cli_noun_alias_count; i++) {
        strbuf_addf(out, "    %s) noun=%s ;;\n", cli_noun_aliases[i].alias,
                    cli_noun_aliases[i].name);
    }
    strbuf_addc(out, "    esac\n    key=\"$noun${verb:+ $verb}\"\n");
}

static void add_bash_choices(struct strbuf *out, const struct cli_command *c,
                             const struct cli_flag *f)
{
    for (; f->name != NULL; f++) {
        if (f->choices == NULL) {
            continue;
        }
        strbuf_addc(out, c != NULL ? "    '" : "    *' ");
        if (c != NULL) {
            add_key(out, c);
            strbuf_addch(out, ' ');
        }
        strbuf_addf(out, "--%s'", f->name);
        if (c == NULL && f->letter != 0) {
            strbuf_addf(out, "|*' -%c'", f->letter);
        }
        strbuf_addc(out, ") words='");
        add_choices(out, f);
        strbuf_addc(out, "' ;;\n");
    }
}

static void add_bash_flags(struct strbuf *out, const struct cli_command *c)
{
    CLEANUP(strbuf_deinit) struct strbuf flags = STRBUF_INIT(4096);
    add_flag_words(&flags, c);
    strbuf_addc(out, "    -*/'");
    add_key(out, c);
    strbuf_addf(out, "'*) words='%s' ;;\n", strbuf_str(&flags).at + 1);
}

static void add_bash_subject(struct strbuf *out, const struct cli_command *c,
                             bool first)
{
    if (first && c->verb != NULL) {
        strbuf_addf(out, "    */%s) words='", c->noun);
        add_words(out, c->noun);
        strbuf_addc(out, "' ;;\n");
    }
    CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(4096);
    const char *subject = subject_command(c->subject, &room);
    if (subject != NULL) {
        strbuf_addc(out, "    */'");
        add_key(out, c);
        strbuf_addf(out, "'*) words=$(%s 2>/dev/null) ;;\n", subject);
    }
}

static void add_bash(struct strbuf *out)
{
    add_bash_words(out);
    strbuf_addc(out, "    case \"$key $prev\" in\n");
    add_bash_choices(out, NULL, cli_global_flags);
    for (size_t i = 0; i < cli_command_count; i++) {
        add_bash_choices(out, &cli_commands[i], cli_commands[i].flags);
    }
    strbuf_addc(out, "    esac\n    if [[ -z $words ]]; then\n"
                     "    case $cur/$key in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        add_bash_flags(out, &cli_commands[i]);
    }
    strbuf_addc(out, "    */) words='");
    add_words(out, NULL);
    strbuf_addc(out, "' ;;\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        add_bash_subject(out, &cli_commands[i], is_first(i));
    }
    strbuf_addc(out, "    esac\n    fi\n");
    strbuf_addc(out, bash_tail);
}

/* ---- zsh ---------------------------------------------------------------- */

static const char zsh_head[] =
    "#compdef adctl\n"
    "# zsh completion for adctl; printed by: adctl completion zsh\n"
    "_adctl_words() {\n"
    "    if [[ -n $1 ]]; then compadd -- ${=\"$(eval $1 2>/dev/null)\"}\n"
    "    else _files; fi\n"
    "}\n"
    "_adctl() {\n"
    "    local noun=${words[2]} verb=${words[3]}\n"
    "    local -a names\n"
    "    if (( CURRENT == 2 )); then\n"
    "        names=(\n";

/* Works as an autoloaded file and when it is sourced. */
static const char zsh_tail[] =
    "    esac\n"
    "}\n"
    "if [[ ${funcstack[1]} == _adctl ]]; then _adctl \"$@\"\n"
    "else compdef _adctl adctl; fi\n";

/* '--name[help]:VALUE:(choices)' */
static void add_zsh_flag(struct strbuf *out, const struct cli_flag *f)
{
    strbuf_addf(out, " \\\n        '--%s[", f->name);
    for (const char *c = f->help; *c != '\0'; c++) {
        if (strchr("[]:", *c) != NULL) {
            strbuf_addch(out, '\\');
        }
        add_quoted(out, (const char[]){*c, '\0'}, "'\\''");
    }
    strbuf_addch(out, ']');
    if (f->value != NULL) {
        strbuf_addf(out, ":%s:", f->value);
    }
    if (f->choices != NULL) {
        strbuf_addch(out, '(');
        add_choices(out, f);
        strbuf_addch(out, ')');
    }
    strbuf_addch(out, '\'');
}

static void add_zsh_command(struct strbuf *out, const struct cli_command *c)
{
    CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(4096);
    const struct cli_flag *lists[] = {c->flags, cli_global_flags};
    const char *subject = subject_command(c->subject, &room);
    strbuf_addf(out, "    '%s %s'*) _arguments '*: :{_adctl_words \"%s\"}'",
                c->noun, c->verb != NULL ? c->verb : "",
                subject != NULL ? subject : "");
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (const struct cli_flag *f = lists[l]; f->name != NULL; f++) {
            if (!cli_hides(c, f)) {
                add_zsh_flag(out, f);
            }
        }
    }
    strbuf_addc(out, " ;;\n");
}

static void add_zsh(struct strbuf *out)
{
    strbuf_addc(out, zsh_head);
    for (size_t i = 0; i < cli_command_count; i++) {
        if (is_first(i)) {
            strbuf_addf(out, "            '%s:", cli_commands[i].noun);
            if (cli_commands[i].verb == NULL) {
                add_quoted(out, cli_commands[i].summary, "'\\''");
            }
            strbuf_addc(out, "'\n");
        }
    }
    strbuf_addc(out, "        )\n        _describe command names\n"
                     "        return\n    fi\n"
                     "    case \"$noun $verb\" in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        add_zsh_command(out, &cli_commands[i]);
    }
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        if (is_first(i) && c->verb != NULL) {
            strbuf_addf(out, "    '%s '*) compadd ", c->noun);
            add_words(out, c->noun);
            strbuf_addc(out, " ;;\n");
        }
    }
    strbuf_addc(out, zsh_tail);
}

/* ---- fish --------------------------------------------------------------- */

static void add_fish_text(struct strbuf *out, const char *text)
{
    strbuf_addc(out, " -d '");
    add_quoted(out, text, "\\'");
    strbuf_addc(out, "'\n");
}

static void add_fish_flag(struct strbuf *out, const struct cli_flag *f,
                          const char *condition)
{
    strbuf_addf(out, "complete -c adctl%s -l %s", condition, f->name);
    if (f->letter != 0) {
        strbuf_addf(out, " -s %c", f->letter);
    }
    if (f->value != NULL) {
        strbuf_addc(out, " -r");
    }
    if (f->choices != NULL) {
        strbuf_addc(out, " -f -a '");
        add_choices(out, f);
        strbuf_addc(out, "'");
    }
    add_fish_text(out, f->help);
}

static const char fish_head[] =
    "# fish completion for adctl; printed by: adctl completion fish\n"
    "function __adctl_is\n"
    "    set -l words (commandline -opc | string match -v -- '-*')\n"
    "    test \"$words[2..]\" = \"$argv\"\n"
    "end\n"
    "function __adctl_in\n"
    "    set -l words (commandline -opc | string match -v -- '-*')\n"
    "    string match -q -- \"$argv*\" \"$words[2..]\"\n"
    "end\n"
    "complete -c adctl -f\n";

static void add_fish_names(struct strbuf *out, const struct cli_command *c,
                           bool first)
{
    if (first) {
        strbuf_addf(out, "complete -c adctl -n '__adctl_is' -a %s", c->noun);
        add_fish_text(out, c->verb == NULL ? c->summary : "");
    }
    if (c->verb != NULL) {
        strbuf_addf(out, "complete -c adctl -n '__adctl_is %s' -a %s", c->noun,
                    c->verb);
        add_fish_text(out, c->summary);
    }
}

static void add_fish_command(struct strbuf *out, const struct cli_command *c)
{
    CLEANUP(strbuf_deinit) struct strbuf in = STRBUF_INIT(256);
    CLEANUP(strbuf_deinit) struct strbuf room = STRBUF_INIT(4096);
    const char *subject = subject_command(c->subject, &room);
    strbuf_addc(&in, " -n '__adctl_in ");
    add_key(&in, c);
    strbuf_addc(&in, "'");
    if (c->subject == CLI_FILE) {
        strbuf_addf(out, "complete -c adctl%s -F\n", strbuf_str(&in).at);
    } else if (subject != NULL) {
        strbuf_addf(out,
                    "complete -c adctl%s -a '(%s 2>/dev/null | string split "
                    "\" \")'\n",
                    strbuf_str(&in).at, subject);
    }
    for (const struct cli_flag *f = c->flags; f->name != NULL; f++) {
        add_fish_flag(out, f, strbuf_str(&in).at);
    }
}

static void add_fish(struct strbuf *out)
{
    strbuf_addc(out, fish_head);
    for (size_t i = 0; i < cli_command_count; i++) {
        add_fish_names(out, &cli_commands[i], is_first(i));
        add_fish_command(out, &cli_commands[i]);
    }
    for (const struct cli_flag *f = cli_global_flags; f->name != NULL; f++) {
        add_fish_flag(out, f, "");
    }
}

int cli_add_completion(struct str shell, struct strbuf *out)
{
    static const struct {
        const char *name;
        void (*add)(struct strbuf *out);
    } shells[] = {{"bash", add_bash}, {"zsh", add_zsh}, {"fish", add_fish}};
    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        if (str_eq_c(shell, shells[i].name)) {
            shells[i].add(out);
            return 0;
        }
    }
    return -ENOENT;
}

int cli_completion(struct cli *cli)
{
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    int code = CLI_OK;
    if (cli_add_completion(str_c(cli_word(cli, 0)), &text) < 0) {
        code = cli_fail(cli, CLI_USAGE, "adctl completion bash",
                        "no completion for \"%s\"; there are bash, zsh and "
                        "fish",
                        cli_word(cli, 0));
    } else {
        (void)fputs(strbuf_str(&text).at, cli->out);
    }
    strbuf_deinit(&text);
    return code;
}
