/*
 * Completion scripts. The words are in the scripts, so completing starts no
 * process; ids and runbooks are asked of the engine with adctl itself.
 */
#include <errno.h>
#include <string.h>

#include "app/cli_commands.h"

static const char *subject_command(enum cli_subject subject)
{
    switch (subject) {
    case CLI_EVENT_ID:
        return "adctl event list -o name";
    case CLI_WORKFLOW_ID:
        return "adctl workflow list -o name";
    case CLI_RUNBOOK_PATH:
        return "adctl runbook list -o name";
    case CLI_SHELL:
        return "echo bash zsh fish";
    case CLI_TOPIC:
        return "echo exit-codes environment event runbook workflow";
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

static void add_flag_words(struct strbuf *out, const struct cli_flag *f)
{
    for (; f->name != NULL; f++) {
        strbuf_addf(out, " --%s", f->name);
    }
}

static void add_choices(struct strbuf *out, const struct cli_flag *f)
{
    for (size_t i = 0; f->choices[i] != NULL; i++) {
        strbuf_addf(out, "%s%s", i != 0 ? " " : "", f->choices[i]);
    }
}

/* ---- bash --------------------------------------------------------------- */

static void add_bash_choices(struct strbuf *out, const char *key,
                             const struct cli_flag *flags)
{
    for (const struct cli_flag *f = flags; f->name != NULL; f++) {
        if (f->choices != NULL) {
            strbuf_addf(out, "    '%s --%s') words='", key, f->name);
            add_choices(out, f);
            strbuf_addc(out, "' ;;\n");
        }
    }
}

static const char bash_head[] =
    "# bash completion for adctl; printed by: adctl completion bash\n"
    "_adctl() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local i word noun= verb= key words=\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        case $word in\n"
    "        -*) ;;\n"
    "        *) if [[ -z $noun ]]; then noun=$word\n"
    "           elif [[ -z $verb ]]; then verb=$word; fi ;;\n"
    "        esac\n"
    "    done\n"
    "    key=\"$noun${verb:+ $verb}\"\n";

static const char bash_tail[] =
    "    if [[ -z $words ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "    else\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "    fi\n"
    "}\n"
    "complete -F _adctl adctl\n";

static void add_bash_key(struct strbuf *out, const struct cli_command *c)
{
    strbuf_addf(out, "%s%s%s", c->noun, c->verb != NULL ? " " : "",
                c->verb != NULL ? c->verb : "");
}

static void add_bash(struct strbuf *out)
{
    strbuf_addc(out, bash_head);
    strbuf_addc(out, "    case \"$key $prev\" in\n");
    for (const struct cli_flag *f = cli_global_flags; f->name != NULL; f++) {
        if (f->choices != NULL) {
            strbuf_addf(out, "    *' --%s'|*' -%c') words='", f->name,
                        f->letter);
            add_choices(out, f);
            strbuf_addc(out, "' ;;\n");
        }
    }
    for (size_t i = 0; i < cli_command_count; i++) {
        struct strbuf key = STRBUF_INIT(128);
        add_bash_key(&key, &cli_commands[i]);
        add_bash_choices(out, strbuf_str(&key).at, cli_commands[i].flags);
        strbuf_deinit(&key);
    }
    strbuf_addc(out, "    esac\n    if [[ -z $words ]]; then\n"
                     "    case $cur/$key in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        strbuf_addc(out, "    -*/'");
        add_bash_key(out, &cli_commands[i]);
        strbuf_addc(out, "'*) words='");
        struct strbuf flags = STRBUF_INIT(4096);
        add_flag_words(&flags, cli_commands[i].flags);
        add_flag_words(&flags, cli_global_flags);
        strbuf_add(out, str_slice(strbuf_str(&flags), 1, flags.len));
        strbuf_deinit(&flags);
        strbuf_addc(out, "' ;;\n");
    }
    strbuf_addc(out, "    */) words='");
    add_words(out, NULL);
    strbuf_addc(out, "' ;;\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        if (is_first(i) && c->verb != NULL) {
            strbuf_addf(out, "    */%s) words='", c->noun);
            add_words(out, c->noun);
            strbuf_addc(out, "' ;;\n");
        }
        if (subject_command(c->subject) != NULL) {
            strbuf_addc(out, "    */'");
            add_bash_key(out, c);
            strbuf_addf(out, "'*) words=$(%s 2>/dev/null) ;;\n",
                        subject_command(c->subject));
        }
    }
    strbuf_addc(out, "    esac\n    fi\n");
    strbuf_addc(out, bash_tail);
}

/* ---- zsh ---------------------------------------------------------------- */

/* zsh reads what bash reads. */
static void add_zsh(struct strbuf *out)
{
    strbuf_addc(out, "#compdef adctl\n"
                     "# zsh completion for adctl; printed by: adctl "
                     "completion zsh\n"
                     "_adctl_zsh() {\n"
                     "    local noun=${words[2]} verb=${words[3]}\n"
                     "    local -a names\n"
                     "    if (( CURRENT == 2 )); then\n"
                     "        names=(\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        if (is_first(i)) {
            strbuf_addf(out, "            '%s:%s'\n", cli_commands[i].noun,
                        cli_commands[i].verb == NULL ? cli_commands[i].summary
                                                     : "");
        }
    }
    strbuf_addc(out, "        )\n        _describe command names\n"
                     "        return\n    fi\n"
                     "    case \"$noun $verb\" in\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        strbuf_addf(
            out, "    '%s%s%s'*) _arguments '*: :{_adctl_words \"%s\"}'",
            c->noun, " ", c->verb != NULL ? c->verb : "",
            subject_command(c->subject) != NULL ? subject_command(c->subject)
                                                : "");
        const struct cli_flag *lists[] = {c->flags, cli_global_flags};
        for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
            for (const struct cli_flag *f = lists[l]; f->name != NULL; f++) {
                strbuf_addf(out, " \\\n        '--%s[%s]", f->name, f->help);
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
        }
        strbuf_addc(out, " ;;\n");
    }
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        if (is_first(i) && c->verb != NULL) {
            strbuf_addf(out, "    '%s '*) compadd ", c->noun);
            add_words(out, c->noun);
            strbuf_addc(out, " ;;\n");
        }
    }
    strbuf_addc(out, "    esac\n}\n"
                     "_adctl_words() {\n"
                     "    if [[ -n $1 ]]; then compadd -- ${=$(eval $1 "
                     "2>/dev/null)}\n"
                     "    else _files; fi\n}\n"
                     "compdef _adctl_zsh adctl\n");
}

/* ---- fish --------------------------------------------------------------- */

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
    strbuf_addf(out, " -d '%s'\n", f->help);
}

static void add_fish(struct strbuf *out)
{
    strbuf_addc(out, "# fish completion for adctl; printed by: adctl "
                     "completion fish\n"
                     "function __adctl_is\n"
                     "    set -l words (commandline -opc | string match -v "
                     "-- '-*')\n"
                     "    test \"$words[2..]\" = \"$argv\"\n"
                     "end\n"
                     "function __adctl_in\n"
                     "    set -l words (commandline -opc | string match -v "
                     "-- '-*')\n"
                     "    test \"$words[2..(math 1 + (count $argv))]\" = "
                     "\"$argv\"\n"
                     "end\n"
                     "complete -c adctl -f\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        const char *verb = c->verb != NULL ? c->verb : "";
        struct strbuf in = STRBUF_INIT(256);
        strbuf_addf(&in, " -n '__adctl_in %s %s'", c->noun, verb);
        if (is_first(i)) {
            strbuf_addf(out, "complete -c adctl -n '__adctl_is' -a %s",
                        c->noun);
            if (c->verb == NULL) {
                strbuf_addf(out, " -d '%s'", c->summary);
            }
            strbuf_addch(out, '\n');
        }
        if (c->verb != NULL) {
            strbuf_addf(out,
                        "complete -c adctl -n '__adctl_is %s' -a %s -d "
                        "'%s'\n",
                        c->noun, c->verb, c->summary);
        }
        if (c->subject == CLI_FILE) {
            strbuf_addf(out, "complete -c adctl%s -F\n", in.at);
        } else if (subject_command(c->subject) != NULL) {
            strbuf_addf(out,
                        "complete -c adctl%s -a '(%s 2>/dev/null "
                        "| string split \" \")'\n",
                        in.at, subject_command(c->subject));
        }
        for (const struct cli_flag *f = c->flags; f->name != NULL; f++) {
            add_fish_flag(out, f, in.at);
        }
        strbuf_deinit(&in);
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
