/* Rules about what a step runs: programs and how they are called. */
#include <string.h>

#include "lint/lint_priv.h"

#define PARAM_PREFIX STR("ADP_PARAM_")

/* A program with its arguments, past what only starts another one. */
struct call {
    const struct lint_script *s;
    const struct shell_command *c;
    uint32_t index; /* of the command */
    uint32_t base;  /* of the program among the words */
};

static struct str arg(const struct call *call, uint32_t i)
{
    return shell_arg(&call->s->shell, call->c, call->base + i);
}

static const struct shell_word *arg_word(const struct call *call, uint32_t i)
{
    return shell_arg_word(&call->s->shell, call->c, call->base + i);
}

static uint32_t argc(const struct call *call)
{
    uint32_t all = shell_argc(call->c);
    return all > call->base ? all - call->base : 0;
}

static struct str program(const struct call *call)
{
    return lint_base_name(arg(call, 0));
}

static bool is(const struct call *call, const char *name)
{
    return str_eq_c(program(call), name);
}

static bool is_option(struct str s)
{
    return s.len > 1 && s.at[0] == '-';
}

static bool has_word(const struct call *call, const char *const *words)
{
    for (uint32_t i = 1; i < argc(call); i++) {
        if (lint_is_one_of(arg(call, i), words)) {
            return true;
        }
    }
    return false;
}

/* "-rf" has 'r'. */
static bool has_letter(const struct call *call, char letter)
{
    for (uint32_t i = 1; i < argc(call); i++) {
        struct str a = arg(call, i);
        if (str_eq_c(a, "--")) {
            return false;
        }
        if (is_option(a) && a.at[1] != '-' && str_find(a, letter) > 0) {
            return true;
        }
    }
    return false;
}

static const char *const *escalators(void)
{
    static const char *const names[] = {"sudo", "doas",    "pkexec",
                                        "su",   "runuser", NULL};
    return names;
}

static bool is_wrapper(struct str name)
{
    static const char *const names[] = {"nice",    "ionice",  "exec", "command",
                                        "env",     "timeout", "time", "stdbuf",
                                        "chronic", "builtin", NULL};
    return lint_is_one_of(name, names) || lint_is_one_of(name, escalators());
}

static bool is_number(struct str s)
{
    return s.len != 0 && s.at[0] >= '0' && s.at[0] <= '9';
}

/* "timeout 5 nice -n 3 rm": from one to the next, to what they start. */
static struct call call_of(const struct lint_script *s, uint32_t index)
{
    struct call call = {
        .s = s, .c = &s->shell.commands.at[index], .index = index};
    while (call.base + 1 < shell_argc(call.c) && is_wrapper(program(&call))) {
        uint32_t next = 1;
        while (next < argc(&call) &&
               (is_option(arg(&call, next)) || is_number(arg(&call, next)) ||
                str_find(arg(&call, next), '=') > 0)) {
            next++;
        }
        if (next >= argc(&call)) {
            break;
        }
        call.base += next;
    }
    return call;
}

static uint32_t offset_of(const struct call *call)
{
    return arg_word(call, 0)->offset;
}

/* ---- names ----------------------------------------------------------------
 */

static const struct shell_expansion *
expansion(const struct lint_script *s, const struct shell_word *w, uint32_t i)
{
    return &s->shell.expansions.at[w->first_expansion + i];
}

static bool has_param(const struct lint_script *s, const struct shell_word *w)
{
    for (uint32_t i = 0; i < w->expansion_count; i++) {
        if (str_starts(expansion(s, w, i)->name, PARAM_PREFIX)) {
            return true;
        }
    }
    return false;
}

/* "x=$(mktemp -d)" gives a name that is never empty. */
static bool is_made_by_mktemp(const struct lint_script *s, struct str name)
{
    const struct shell_script *sh = &s->shell;
    VEC_EACH (&sh->commands, i) {
        const struct shell_command *c = &sh->commands.at[i];
        for (uint32_t a = 0; a < c->assignment_count; a++) {
            struct str text = sh->words.at[c->first_word + a].text;
            if (text.len <= name.len || !str_starts(text, name) ||
                text.at[name.len] != '=') {
                continue;
            }
            for (uint32_t n = c->first_inner; n < i; n++) {
                if (str_eq_c(shell_arg(sh, &sh->commands.at[n], 0), "mktemp")) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* ---- values that become code ----------------------------------------------
 */

static bool takes_code(const struct call *call, const char **ret_letters)
{
    static const struct {
        const char *name;
        const char *letters; /* options whose value is a program */
    } programs[] = {
        {"sh", "c"},    {"bash", "c"},   {"dash", "c"},    {"zsh", "c"},
        {"ksh", "c"},   {"python", "c"}, {"python3", "c"}, {"perl", "eE"},
        {"ruby", "e"},  {"node", "e"},   {"su", "c"},      {"psql", "c"},
        {"mysql", "e"}, {"sqlite3", ""}, {"awk", ""},      {"gawk", ""},
        {"mawk", ""},   {"sed", "e"},    {"jq", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        if (is(call, programs[i].name)) {
            *ret_letters = programs[i].letters;
            return true;
        }
    }
    return false;
}

/* "-c", "-ec": does the word behind this one hold a program? */
static bool announces_code(struct str option, const char *letters)
{
    return option.len > 1 && option.at[0] == '-' && option.at[1] != '-' &&
           letters[0] != '\0' &&
           strchr(letters, option.at[option.len - 1]) != NULL;
}

/* The first word that is no option and no option's value is the program of
 * awk, sed and jq. */
static uint32_t first_operand(const struct call *call)
{
    static const char *const with_value[] = {"-v",    "-F",        "-f",
                                             "--arg", "--argjson", NULL};
    uint32_t i = 1;
    while (i < argc(call) && is_option(arg(call, i))) {
        bool value = lint_is_one_of(arg(call, i), with_value);
        uint32_t values = str_starts(arg(call, i), STR("--arg")) ? 2 : 1;
        i += 1 + (value ? values : 0);
    }
    return i;
}

static uint32_t code_word(const struct call *call)
{
    static const char *const bare[] = {"awk", "gawk", "mawk",
                                       "sed", "jq",   NULL};
    const char *letters = "";
    if (!takes_code(call, &letters)) {
        return 0;
    }
    for (uint32_t i = 1; i + 1 < argc(call); i++) {
        if (announces_code(arg(call, i), letters)) {
            return i + 1;
        }
    }
    return lint_is_one_of(program(call), bare) ? first_operand(call) : 0;
}

/* ssh gives its words, joined, to a shell on the other host. */
static uint32_t ssh_command(const struct call *call)
{
    uint32_t i = 1;
    while (i < argc(call) && is_option(arg(call, i))) {
        struct str option = arg(call, i);
        bool value = option.len == 2 &&
                     strchr("bcDEeFIiJLlmOopQRSWw", option.at[1]) != NULL;
        i += value ? 2 : 1;
    }
    return i + 1; /* behind the host */
}

static const struct shell_word *code_with_param(const struct call *call)
{
    if (is(call, "eval")) {
        for (uint32_t i = 1; i < argc(call); i++) {
            if (arg_word(call, i)->expansion_count != 0) {
                return arg_word(call, i);
            }
        }
    } else if (is(call, "ssh")) {
        for (uint32_t i = ssh_command(call); i < argc(call); i++) {
            if (has_param(call->s, arg_word(call, i))) {
                return arg_word(call, i);
            }
        }
    } else {
        uint32_t i = code_word(call);
        if (i != 0 && has_param(call->s, arg_word(call, i))) {
            return arg_word(call, i);
        }
    }
    return NULL;
}

static void look_for_code(struct lint *l, const struct lint_script *s)
{
    VEC_EACH (&s->shell.commands, i) {
        struct call call = call_of(s, (uint32_t)i);
        const struct shell_word *w = code_with_param(&call);
        if (w != NULL) {
            (void)lint_add_in(
                l, s, w->offset, "the value becomes part of a program of %.*s",
                (int)MIN(program(&call).len, 40U), program(&call).at);
        }
    }
}

void lint_template(struct lint *l, const struct lint_script *s)
{
    if (s->text == NULL) {
        look_for_code(l, s);
    }
}

void lint_eval(struct lint *l, const struct lint_script *s)
{
    if (s->text != NULL) {
        look_for_code(l, s);
    }
}

/* ---- code from elsewhere --------------------------------------------------
 */

static bool fetches(const struct shell_script *s, const struct shell_command *c)
{
    static const char *const names[] = {"curl", "wget", "fetch", NULL};
    return lint_is_one_of(lint_base_name(shell_arg(s, c, 0)), names);
}

static bool runs_its_input(const struct call *call)
{
    static const char *const names[] = {"python", "python3", "perl",
                                        "ruby",   "node",    NULL};
    if (!lint_is_one_of(program(call), lint_shells) &&
        !lint_is_one_of(program(call), names)) {
        return false;
    }
    for (uint32_t i = 1; i < argc(call); i++) {
        struct str a = arg(call, i);
        if (str_eq_c(a, "-c") || str_eq_c(a, "-e")) {
            return false;
        }
        if (str_eq_c(a, "-s") || str_eq_c(a, "-") || str_eq_c(a, "--")) {
            return true;
        }
        if (!is_option(a)) {
            return false;
        }
    }
    return true;
}

static bool gets_fetched(const struct call *call)
{
    const struct shell_script *s = &call->s->shell;
    uint32_t from = call->c->piped_from;
    while (from != SHELL_NONE) {
        if (fetches(s, &s->commands.at[from])) {
            return true;
        }
        from = s->commands.at[from].piped_from;
    }
    return false;
}

/* sh -c "$(curl ...)", eval "$(curl ...)", . <(curl ...) */
static bool substitutes_fetched(const struct call *call)
{
    static const char *const names[] = {"eval", ".", "source", NULL};
    const struct shell_script *s = &call->s->shell;
    if (!lint_is_one_of(program(call), names) &&
        !lint_is_one_of(program(call), lint_shells)) {
        return false;
    }
    for (uint32_t i = call->c->first_inner; i < call->index; i++) {
        if (fetches(s, &s->commands.at[i])) {
            return true;
        }
    }
    return false;
}

void lint_pipe_to_shell(struct lint *l, const struct lint_script *s)
{
    VEC_EACH (&s->shell.commands, i) {
        struct call call = call_of(s, (uint32_t)i);
        if ((runs_its_input(&call) && gets_fetched(&call)) ||
            substitutes_fetched(&call)) {
            (void)lint_add_in(l, s, offset_of(&call),
                              "%.*s runs what comes from the network, whatever "
                              "that is today",
                              (int)MIN(program(&call).len, 40U),
                              program(&call).at);
        }
    }
}

/* ---- removing -------------------------------------------------------------
 */

/* Does the path begin with a variable that may be empty? */
static bool may_be_root(const struct lint_script *s, const struct shell_word *w)
{
    if (!w->leads || w->expansion_count == 0) {
        return false;
    }
    const struct shell_expansion *e = expansion(s, w, 0);
    bool own = str_eq_c(e->name, "TMPDIR") || str_eq_c(e->name, "PWD");
    return !e->guarded && !own && !is_made_by_mktemp(s, e->name);
}

static bool is_system(struct str path)
{
    static const char *const paths[] = {
        "/",        "/*",   "/bin", "/boot", "/dev",  "/etc",
        "/home",    "/lib", "/opt", "/proc", "/root", "/run",
        "/sbin",    "/srv", "/sys", "/usr",  "/var",  "/var/lib",
        "/var/log", "~",    "~/",   NULL};
    struct str p = path;
    while (p.len > 1 && (str_ends(p, STR("/")) || str_ends(p, STR("/*")))) {
        p.len -= p.at[p.len - 1] == '*' && p.len > 2 ? 2 : 1;
    }
    return path.len != 0 &&
           (lint_is_one_of(p, paths) || lint_is_one_of(path, paths));
}

/* How many words stand in front of what is removed; 0: nothing is. */
static uint32_t removes_from(const struct call *call)
{
    static const char *const long_form[] = {"--recursive", NULL};
    static const char *const delete[] = {"-delete", NULL};
    if (is(call, "rm") && (has_letter(call, 'r') || has_letter(call, 'R') ||
                           has_word(call, long_form))) {
        return 1;
    }
    return is(call, "find") && has_word(call, delete) ? 1 : 0;
}

void lint_remove(struct lint *l, const struct lint_script *s)
{
    VEC_EACH (&s->shell.commands, i) {
        struct call call = call_of(s, (uint32_t)i);
        uint32_t first = removes_from(&call);
        bool find = is(&call, "find");
        for (uint32_t n = first; first != 0 && n < argc(&call); n++) {
            const struct shell_word *w = arg_word(&call, n);
            if (find && is_option(w->text)) {
                break; /* behind the folders stand conditions */
            }
            if (may_be_root(s, w)) {
                (void)lint_add_in(l, s, w->offset,
                                  "if $%.*s is empty or /, this removes what "
                                  "nobody meant",
                                  (int)MIN(expansion(s, w, 0)->name.len, 60U),
                                  expansion(s, w, 0)->name.at);
            } else if (!find && is_system(w->text)) {
                (void)lint_add_in(l, s, w->offset, "this removes %.*s",
                                  (int)MIN(w->text.len, 60U), w->text.at);
            }
        }
    }
}

/* ---- privileges and processes ---------------------------------------------
 */

void lint_sudo(struct lint *l, const struct lint_script *s)
{
    VEC_EACH (&s->shell.commands, i) {
        const struct shell_command *c = &s->shell.commands.at[i];
        struct call call = {.s = s, .c = c, .index = (uint32_t)i};
        while (argc(&call) > 0) {
            if (lint_is_one_of(program(&call), escalators())) {
                (void)lint_add_in(l, s, offset_of(&call),
                                  "%.*s cannot work: a step gains no "
                                  "privileges",
                                  (int)MIN(program(&call).len, 40U),
                                  program(&call).at);
                break;
            }
            uint32_t base = call_of(s, (uint32_t)i).base;
            if (call.base == base) {
                break;
            }
            call.base++;
        }
    }
}

static bool kills_by_name(const struct call *call)
{
    static const char *const names[] = {"pkill", "killall", "killall5", "skill",
                                        NULL};
    static const char *const finders[] = {"pgrep", "pidof", NULL};
    const struct shell_script *s = &call->s->shell;
    if (lint_is_one_of(program(call), names)) {
        return true;
    }
    for (uint32_t i = call->c->first_inner; is(call, "kill") && i < call->index;
         i++) {
        if (lint_is_one_of(shell_arg(s, &s->commands.at[i], 0), finders)) {
            return true;
        }
    }
    return false;
}

void lint_kill_by_name(struct lint *l, const struct lint_script *s)
{
    VEC_EACH (&s->shell.commands, i) {
        struct call call = call_of(s, (uint32_t)i);
        if (kills_by_name(&call)) {
            (void)lint_add_in(l, s, offset_of(&call),
                              "this ends every process whose name fits, on the "
                              "whole host");
        }
    }
}

void lint_own_engine(struct lint *l, const struct lint_script *s)
{
    static const char *const verbs[] = {"stop", "kill",    "disable",
                                        "mask", "restart", NULL};
    VEC_EACH (&s->shell.commands, i) {
        struct call call = call_of(s, (uint32_t)i);
        bool manages = (is(&call, "systemctl") || is(&call, "service")) &&
                       has_word(&call, verbs);
        for (uint32_t n = 1; manages && n < argc(&call); n++) {
            if (str_starts(arg(&call, n), STR("autonomous-devops"))) {
                (void)lint_add_in(l, s, arg_word(&call, n)->offset,
                                  "a workflow that ends the engine or its "
                                  "executor ends itself");
                break;
            }
        }
    }
}

void lint_background(struct lint *l, const struct lint_script *s)
{
    static const char *const names[] = {"nohup", "setsid", "disown", NULL};
    bool waits = false;
    VEC_EACH (&s->shell.commands, i) {
        waits =
            waits ||
            is(&(struct call){.s = s, .c = &s->shell.commands.at[i]}, "wait");
    }
    VEC_EACH (&s->shell.commands, i) {
        struct call call = call_of(s, (uint32_t)i);
        bool left = call.c->after == SHELL_BACKGROUND && !waits;
        if (left || lint_is_one_of(program(&call), names)) {
            (void)lint_add_in(l, s, call.c->offset,
                              "what a step leaves running is ended with it");
        }
    }
}

/* ---- files ----------------------------------------------------------------
 */

static bool is_shared_name(struct str path)
{
    return (str_starts(path, STR("/tmp/")) ||
            str_starts(path, STR("/var/tmp/")) ||
            str_starts(path, STR("/dev/shm/"))) &&
           str_find(path, '*') < 0;
}

static bool writes_arguments(const struct call *call)
{
    static const char *const names[] = {"tee",  "touch", "cp",     "mv",
                                        "curl", "wget",  "mkfifo", "install",
                                        "tar",  NULL};
    return lint_is_one_of(program(call), names);
}

static void report_shared(struct lint *l, const struct lint_script *s,
                          const struct shell_word *w)
{
    (void)lint_add_in(l, s, w->offset,
                      "another user of the host can put a file or link of "
                      "that name there first");
}

void lint_temporary(struct lint *l, const struct lint_script *s)
{
    VEC_EACH (&s->shell.commands, i) {
        struct call call = call_of(s, (uint32_t)i);
        for (uint32_t r = 0; r < call.c->redirect_count; r++) {
            const struct shell_redirect *to =
                &s->shell.redirects.at[call.c->first_redirect + r];
            const struct shell_word *w = &s->shell.words.at[to->word];
            if (to->writes && is_shared_name(w->text)) {
                report_shared(l, s, w);
            }
        }
        for (uint32_t n = 1; writes_arguments(&call) && n < argc(&call); n++) {
            if (is_shared_name(arg(&call, n))) {
                report_shared(l, s, arg_word(&call, n));
                break;
            }
        }
    }
}

/* "777", "0666", "a+w", "o=rwx": others may write, and no sticky bit. */
static bool is_for_all(struct str mode)
{
    if (is_number(mode)) {
        bool sticky = mode.len == 4 && (mode.at[0] - '0') % 2 == 1;
        char others = mode.at[mode.len - 1];
        return mode.len >= 3 && mode.len <= 4 && !sticky && others >= '0' &&
               others <= '7' && ((others - '0') & 2) != 0;
    }
    size_t who = 0;
    while (who < mode.len && strchr("ugoa", mode.at[who]) != NULL) {
        who++;
    }
    struct str whom = str_slice(mode, 0, who);
    struct str how = str_slice(mode, who, mode.len);
    return (str_find(whom, 'o') >= 0 || str_find(whom, 'a') >= 0) &&
           how.len > 1 && (how.at[0] == '+' || how.at[0] == '=') &&
           str_find(how, 'w') > 0;
}

void lint_writable(struct lint *l, const struct lint_script *s)
{
    VEC_EACH (&s->shell.commands, i) {
        struct call call = call_of(s, (uint32_t)i);
        bool makes = is(&call, "mkdir") || is(&call, "install");
        for (uint32_t n = 1; n < argc(&call); n++) {
            bool mode = is(&call, "chmod") ||
                        (makes && str_eq_c(arg(&call, n - 1), "-m"));
            bool mask = is(&call, "umask") && (str_eq_c(arg(&call, n), "0") ||
                                               str_eq_c(arg(&call, n), "000"));
            if ((mode && is_for_all(arg(&call, n))) || mask) {
                (void)lint_add_in(l, s, arg_word(&call, n)->offset,
                                  "every user of the host may write there");
                break;
            }
        }
    }
}

/* ---- text -----------------------------------------------------------------
 */

void lint_unquoted(struct lint *l, const struct lint_script *s)
{
    VEC_EACH (&s->shell.expansions, i) {
        const struct shell_expansion *e = &s->shell.expansions.at[i];
        if (s->text != NULL && e->splits && str_starts(e->name, PARAM_PREFIX)) {
            (void)lint_add_in(l, s, e->offset,
                              "the shell splits the value of $%.*s at blanks "
                              "and takes * and ? for file names",
                              (int)MIN(e->name.len, 60U), e->name.at);
        }
    }
}

void lint_errexit(struct lint *l, const struct lint_script *s)
{
    VEC_EACH (&s->shell.commands, i) {
        const struct shell_command *c = &s->shell.commands.at[i];
        if (s->text != NULL && !s->errexit && c->lost) {
            (void)lint_add_in(l, s, c->offset,
                              "when this fails the step goes on, and may end "
                              "well");
            return;
        }
    }
}

/* ---- the network ----------------------------------------------------------
 */

void lint_curl(struct lint *l, const struct lint_script *s)
{
    static const char *const looks[] = {"--fail",      "--fail-with-body",
                                        "--write-out", "--version",
                                        "--help",      NULL};
    VEC_EACH (&s->shell.commands, i) {
        struct call call = call_of(s, (uint32_t)i);
        if (is(&call, "curl") && !has_letter(&call, 'f') &&
            !has_letter(&call, 'w') && !has_word(&call, looks)) {
            (void)lint_add_in(l, s, offset_of(&call),
                              "an answer such as 404 or 500 counts as success");
        }
    }
}

static bool trusts_anybody(struct str a)
{
    static const char *const words[] = {"--insecure", "--no-check-certificate",
                                        "http.sslVerify=false", NULL};
    static const char *const parts[] = {"StrictHostKeyChecking=no",
                                        "StrictHostKeyChecking=off",
                                        "UserKnownHostsFile=/dev/null"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (str_has_nocase(a, str_c(parts[i]))) {
            return true;
        }
    }
    return lint_is_one_of(a, words);
}

void lint_tls(struct lint *l, const struct lint_script *s)
{
    VEC_EACH (&s->shell.commands, i) {
        struct call call = call_of(s, (uint32_t)i);
        if (is(&call, "curl") && has_letter(&call, 'k')) {
            (void)lint_add_in(l, s, offset_of(&call),
                              "whoever is in between can pass for the other "
                              "side");
            continue;
        }
        for (uint32_t n = 1; n < argc(&call); n++) {
            if (trusts_anybody(arg(&call, n))) {
                (void)lint_add_in(l, s, arg_word(&call, n)->offset,
                                  "whoever is in between can pass for the "
                                  "other side");
                break;
            }
        }
    }
}
