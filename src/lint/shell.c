#include "lint/shell_priv.h"

#include <string.h>

enum block_kind { IN_TOP, IN_IF, IN_LOOP, IN_CASE, IN_BRACE, IN_PAREN };

/* A list of commands: that of the text, of a substitution, of a branch. */
struct block {
    enum block_kind kind;
    bool condition; /* between if and then */
    bool pattern;   /* of case: a pattern comes next */
    bool function;  /* its body: defining one does not fail */
    uint32_t last;  /* whose failure nobody has looked at yet */
};

/* The command that is being read. */
struct builder {
    VEC(struct shell_word) words;
    VEC(struct shell_redirect) redirects; /* word: index in redirect_words */
    VEC(struct shell_word) redirect_words;
    uint32_t assignments;
    uint32_t first_inner;
    uint32_t piped_from;
    enum shell_op before;
    bool negated;
    bool function; /* "name()" was read */
    bool compound; /* one has just ended: this is what follows it */
    bool handled;  /* an || stands in the list of && and || */
};

struct frame {
    struct scanner *s;
    struct builder b;
    struct block blocks[SHELL_BLOCKS_MAX];
    unsigned top;
};

/* ---- blanks and here-documents --------------------------------------------
 */

static void skip_line(struct scanner *s)
{
    while (!shell_at_end(s) && shell_peek(s, 0) != '\n') {
        s->at++;
    }
}

static void skip_blanks(struct scanner *s)
{
    for (;;) {
        if (shell_peek(s, 0) == '\\' && shell_peek(s, 1) == '\n') {
            s->at += 2;
        } else if (shell_peek(s, 0) == ' ' || shell_peek(s, 0) == '\t' ||
                   shell_peek(s, 0) == '\r') {
            s->at++;
        } else if (shell_peek(s, 0) == '#') {
            skip_line(s);
        } else {
            return;
        }
    }
}

/* Behind the newline that ends a line with <<WORD on it. */
static void skip_heredocs(struct scanner *s)
{
    for (unsigned i = 0; i < s->heredoc_count; i++) {
        bool ended = false;
        while (!shell_at_end(s) && !ended) {
            size_t from = s->at;
            skip_line(s);
            struct str line = str_trim(str_slice(s->text, from, s->at));
            ended = str_eq(line, s->heredocs[i]);
            s->at += shell_at_end(s) ? 0 : 1;
        }
    }
    s->heredoc_count = 0;
}

/* ---- commands -------------------------------------------------------------
 */

static struct block *block(struct frame *f)
{
    return &f->blocks[f->top];
}

static void begin_command(struct frame *f)
{
    VEC_CLEAR(&f->b.words);
    VEC_CLEAR(&f->b.redirects);
    VEC_CLEAR(&f->b.redirect_words);
    f->b.assignments = 0;
    f->b.negated = false;
    f->b.function = false;
    f->b.compound = false;
    f->b.first_inner = (uint32_t)f->s->out->commands.count;
}

static bool is_condition(const struct frame *f)
{
    for (unsigned i = 0; i <= f->top; i++) {
        if (f->blocks[i].condition) {
            return true;
        }
    }
    return f->b.negated;
}

static bool word_asks(const struct shell_script *s, const struct shell_word *w)
{
    for (uint32_t e = 0; e < w->expansion_count; e++) {
        if (str_eq_c(s->expansions.at[w->first_expansion + e].name, "?")) {
            return true;
        }
    }
    return false;
}

static bool asks_for_status(const struct shell_script *s,
                            const struct shell_command *c)
{
    for (uint32_t i = 0; i < c->word_count; i++) {
        if (word_asks(s, &s->words.at[c->first_word + i])) {
            return true;
        }
    }
    return false;
}

/* Those that do not fail, or whose failure nobody cares about. */
static bool never_matters(const struct shell_script *s,
                          const struct shell_command *c)
{
    static const char *const names[] = {
        "echo",  "printf",   ":",     "true",   "exit",  "return",
        "set",   "unset",    "shift", "trap",   "sleep", "wait",
        "break", "continue", "umask", "logger", "local", "export",
        "date",  "readonly", "for",   "select"};
    if (c->assignment_count == c->word_count) {
        for (uint32_t i = 0; i < c->word_count; i++) {
            if (s->words.at[c->first_word + i].substitutes) {
                return false;
            }
        }
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_c(shell_arg(s, c, 0), names[i])) {
            return true;
        }
    }
    return false;
}

static void note_errexit(struct frame *f, const struct shell_command *c)
{
    const struct shell_script *s = f->s->out;
    if (!str_eq_c(shell_arg(s, c, 0), "set")) {
        return;
    }
    for (uint32_t i = 1; i < shell_argc(c); i++) {
        struct str arg = shell_arg(s, c, i);
        if (str_eq_c(arg, "errexit") ||
            (str_starts(arg, STR("-")) && !str_starts(arg, STR("--")) &&
             str_find(arg, 'e') > 0)) {
            f->s->out->errexit = true;
        }
    }
}

static void move_words(struct frame *f, struct shell_command *c)
{
    struct shell_script *out = f->s->out;
    c->first_word = (uint32_t)out->words.count;
    c->word_count = (uint32_t)f->b.words.count;
    VEC_EACH (&f->b.words, i) {
        VEC_PUSH(&out->words, f->b.words.at[i]);
    }
    c->first_redirect = (uint32_t)out->redirects.count;
    c->redirect_count = (uint32_t)f->b.redirects.count;
    VEC_EACH (&f->b.redirects, i) {
        struct shell_redirect r = f->b.redirects.at[i];
        r.word = (uint32_t)out->words.count;
        VEC_PUSH(&out->words, f->b.redirect_words.at[i]);
        VEC_PUSH(&out->redirects, r);
    }
}

/* The statement in front is over and this one begins: was its end seen? */
static void settle_last(struct frame *f, const struct shell_command *c)
{
    struct shell_script *out = f->s->out;
    uint32_t last = block(f)->last;
    if (last != SHELL_NONE && !asks_for_status(out, c)) {
        out->commands.at[last].lost = true;
    }
    block(f)->last = SHELL_NONE;
}

static void add_command(struct frame *f, enum shell_op op)
{
    struct shell_script *out = f->s->out;
    struct shell_command c = {
        .offset = f->b.words.count != 0 ? f->b.words.at[0].offset
                                        : f->b.redirect_words.at[0].offset,
        .assignment_count = f->b.assignments,
        .first_inner = f->b.first_inner,
        .piped_from = f->b.piped_from,
        .before = f->b.before,
        .after = op,
        .condition = is_condition(f),
    };
    uint32_t index = (uint32_t)out->commands.count;
    move_words(f, &c);
    if (c.before == SHELL_NEXT && !f->b.compound) {
        settle_last(f, &c);
    }
    note_errexit(f, &c);
    bool ends = op == SHELL_NEXT || op == SHELL_END;
    if (ends && !c.condition && !f->b.handled && !never_matters(out, &c)) {
        block(f)->last = index;
    }
    VEC_PUSH(&out->commands, c);
    f->b.piped_from = op == SHELL_PIPE ? index : SHELL_NONE;
}

/* Ends the command; behind a compound one there may be none. */
static void finish(struct frame *f, enum shell_op op)
{
    f->b.handled = f->b.handled || op == SHELL_OR;
    if (f->b.words.count != 0 || f->b.redirects.count != 0) {
        add_command(f, op);
    } else {
        f->b.piped_from = SHELL_NONE;
    }
    if (f->b.handled || op == SHELL_BACKGROUND) {
        block(f)->last = SHELL_NONE;
    }
    bool next = op == SHELL_NEXT || op == SHELL_END || op == SHELL_BACKGROUND;
    f->b.before = next ? SHELL_NEXT : op;
    f->b.handled = f->b.handled && !next;
    bool function = f->b.function && f->b.words.count == 0; /* name()\n{ */
    begin_command(f);
    f->b.function = function;
}

static void push(struct frame *f, enum block_kind kind, bool condition)
{
    if (f->top + 1 >= SHELL_BLOCKS_MAX) {
        f->s->at = f->s->text.len;
        return;
    }
    uint32_t last = block(f)->last;
    block(f)->last = SHELL_NONE;
    f->top++;
    *block(f) = (struct block){.kind = kind,
                               .condition = condition,
                               .pattern = kind == IN_CASE,
                               .function = f->b.function,
                               .last = last};
    f->b.before = SHELL_NEXT;
    f->b.function = false;
}

/* What a compound command ends with is what its last command ends with. */
static void pop(struct frame *f, enum block_kind kind)
{
    finish(f, SHELL_END);
    if (block(f)->kind != kind || f->top == 0) {
        return;
    }
    uint32_t last = block(f)->function ? SHELL_NONE : block(f)->last;
    f->top--;
    block(f)->last = last;
    f->b.compound = true;
}

static void branch(struct frame *f, bool condition)
{
    finish(f, SHELL_END);
    block(f)->condition = condition;
    block(f)->last = SHELL_NONE;
}

static void open_case(struct frame *f)
{
    struct scanner *s = f->s;
    for (unsigned i = 0; i < 2; i++) { /* WORD in */
        skip_blanks(s);
        while (shell_peek(s, 0) == '\n') {
            s->at++;
            skip_blanks(s);
        }
        struct shell_word w = shell_read_word(s, false);
        uint32_t last = block(f)->last;
        if (last != SHELL_NONE && !word_asks(s->out, &w)) {
            s->out->commands.at[last].lost = true;
        }
        block(f)->last = SHELL_NONE;
    }
    push(f, IN_CASE, false);
}

/* A reserved word where a command may begin; false if it is none. */
static bool take_keyword(struct frame *f, const struct shell_word *w)
{
    static const struct {
        const char *word;
        enum block_kind kind;
        enum { OPEN, OPEN_CONDITION, BRANCH, CONDITION, CLOSE } what;
    } keywords[] = {
        {"if", IN_IF, OPEN_CONDITION},
        {"then", IN_IF, BRANCH},
        {"elif", IN_IF, CONDITION},
        {"else", IN_IF, BRANCH},
        {"fi", IN_IF, CLOSE},
        {"while", IN_LOOP, OPEN_CONDITION},
        {"until", IN_LOOP, OPEN_CONDITION},
        {"do", IN_LOOP, BRANCH},
        {"done", IN_LOOP, CLOSE},
        {"{", IN_BRACE, OPEN},
        {"}", IN_BRACE, CLOSE},
        {"esac", IN_CASE, CLOSE},
    };
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
        if (!str_eq_c(w->text, keywords[i].word)) {
            continue;
        }
        if (keywords[i].what == CLOSE) {
            pop(f, keywords[i].kind);
        } else if (keywords[i].what == BRANCH ||
                   keywords[i].what == CONDITION) {
            branch(f, keywords[i].what == CONDITION);
        } else {
            push(f, keywords[i].kind, keywords[i].what == OPEN_CONDITION);
        }
        return true;
    }
    if (str_eq_c(w->text, "case")) {
        open_case(f);
    } else if (str_eq_c(w->text, "!")) {
        f->b.negated = true;
    } else if (str_eq_c(w->text, "for") || str_eq_c(w->text, "select")) {
        push(f, IN_LOOP, false);
        return false; /* "for x in a b" is read like a command */
    } else {
        return false;
    }
    return true;
}

static bool is_assignment(const struct scanner *s, size_t from)
{
    size_t n = shell_name_length(s, from);
    size_t at = from + n;
    at += at < s->text.len && s->text.at[at] == '+' ? 1 : 0;
    return n != 0 && at < s->text.len && s->text.at[at] == '=';
}

/* [[ ... ]] splits nothing. */
static void read_test(struct frame *f)
{
    struct scanner *s = f->s;
    while (!shell_at_end(s) && shell_peek(s, 0) != '\n') {
        skip_blanks(s);
        if (!shell_at_end(s) && shell_ends_word(shell_peek(s, 0)) &&
            shell_peek(s, 0) != '\n') {
            s->at++;
            continue;
        }
        struct shell_word w = shell_read_word(s, false);
        VEC_PUSH(&f->b.words, w);
        if (str_eq_c(w.text, "]]")) {
            return;
        }
    }
}

static void take_word(struct frame *f)
{
    struct scanner *s = f->s;
    bool first = f->b.words.count == f->b.assignments;
    bool assigns = first && is_assignment(s, s->at);
    struct shell_word w = shell_read_word(s, !assigns);
    if (first && !assigns && !w.quoted && w.expansion_count == 0 &&
        f->b.words.count == 0 && take_keyword(f, &w)) {
        return;
    }
    VEC_PUSH(&f->b.words, w);
    f->b.assignments += assigns ? 1 : 0;
    if (first && str_eq_c(w.text, "[[")) {
        read_test(f);
    }
}

/* "> file", "2>&1", "<<END". */
static void take_redirect(struct frame *f)
{
    struct scanner *s = f->s;
    bool writes = shell_peek(s, 0) == '>';
    bool here = shell_peek(s, 0) == '<' && shell_peek(s, 1) == '<' &&
                shell_peek(s, 2) != '<';
    s->at++;
    while (shell_peek(s, 0) != '\0' &&
           strchr("<>|&-", shell_peek(s, 0)) != NULL) {
        s->at++;
    }
    skip_blanks(s);
    struct shell_word w = shell_read_word(s, false);
    if (here) {
        if (s->heredoc_count < HEREDOCS_MAX) {
            s->heredocs[s->heredoc_count++] = w.text;
        }
        return;
    }
    VEC_PUSH(&f->b.redirects, (struct shell_redirect){.writes = writes});
    VEC_PUSH(&f->b.redirect_words, w);
}

/* ---- lists ----------------------------------------------------------------
 */

/* "a | b)" of a case, or its end. */
static void take_pattern(struct frame *f)
{
    struct scanner *s = f->s;
    skip_blanks(s);
    if (shell_peek(s, 0) == '\n') {
        s->at++;
        return;
    }
    size_t n = shell_name_length(s, s->at);
    if (str_eq_c(str_slice(s->text, s->at, s->at + n), "esac")) {
        s->at += n;
        pop(f, IN_CASE);
        return;
    }
    s->at += shell_peek(s, 0) == '(' ? 1 : 0;
    while (!shell_at_end(s) && shell_peek(s, 0) != ')') {
        if (shell_ends_word(shell_peek(s, 0))) {
            s->at++;
        } else {
            (void)shell_read_word(s, false);
        }
    }
    s->at += shell_at_end(s) ? 0 : 1;
    block(f)->pattern = false;
    block(f)->last = SHELL_NONE;
}

/* True at the ) that ends a substitution. */
static bool take_paren(struct frame *f)
{
    struct scanner *s = f->s;
    s->at++;
    if (s->text.at[s->at - 1] == ')') {
        bool own = block(f)->kind == IN_PAREN;
        pop(f, IN_PAREN);
        return !own;
    }
    if (f->b.words.count == 1 && shell_peek(s, 0) == ')') { /* name() */
        s->at++;
        begin_command(f);
        f->b.function = true;
    } else if (shell_peek(s, 0) == '(' && f->b.words.count == 0) { /* ((...)) */
        s->at--;
        shell_skip_arithmetic(s);
    } else {
        push(f, IN_PAREN, false);
    }
    return false;
}

static void take_operator(struct frame *f)
{
    struct scanner *s = f->s;
    char c = shell_peek(s, 0);
    bool twice = shell_peek(s, 1) == c;
    if (c == '&' && shell_peek(s, 1) == '>') {
        s->at++;
        take_redirect(f);
        return;
    }
    s->at += twice && c != '\n' ? 2 : 1;
    if (c == '\n' || c == ';') {
        finish(f, SHELL_NEXT);
        block(f)->pattern = c == ';' && twice && block(f)->kind == IN_CASE;
    } else if (c == '&') {
        finish(f, twice ? SHELL_AND : SHELL_BACKGROUND);
    } else {
        finish(f, twice ? SHELL_OR : SHELL_PIPE);
    }
    if (c == '\n') {
        skip_heredocs(s);
    }
}

/* Is a redirection next, with or without its number? <( is a word's. */
static bool at_redirect(struct scanner *s)
{
    size_t digits = 0;
    while (shell_peek(s, digits) >= '0' && shell_peek(s, digits) <= '9') {
        digits++;
    }
    char c = shell_peek(s, digits);
    if ((c != '<' && c != '>') || shell_peek(s, digits + 1) == '(') {
        return false;
    }
    s->at += digits;
    return true;
}

static bool take_next(struct frame *f)
{
    struct scanner *s = f->s;
    if (block(f)->pattern) {
        take_pattern(f);
        return true;
    }
    skip_blanks(s);
    char c = shell_peek(s, 0);
    if (shell_at_end(s)) {
        return false;
    }
    if (c == '(' || c == ')') {
        return !take_paren(f);
    }
    if ((c == '<' || c == '>') && shell_peek(s, 1) == '(') {
        VEC_PUSH(&f->b.words, shell_read_process(s));
    } else if (at_redirect(s)) {
        take_redirect(f);
    } else if (c == '\0') {
        s->at++;
    } else if (shell_ends_word(c)) {
        take_operator(f);
    } else {
        take_word(f);
    }
    return true;
}

/* To the end of the text, or past the ) that ends a substitution. */
void shell_scan_list(struct scanner *s)
{
    struct frame f = {.s = s};
    f.blocks[0].last = SHELL_NONE;
    f.b.before = SHELL_NEXT;
    f.b.piped_from = SHELL_NONE;
    begin_command(&f);
    while (!shell_at_end(s) && take_next(&f)) {
    }
    finish(&f, SHELL_END);
    VEC_DEINIT(&f.b.words);
    VEC_DEINIT(&f.b.redirects);
    VEC_DEINIT(&f.b.redirect_words);
}

void shell_scan(struct str text, struct arena *a, struct shell_script *ret)
{
    struct scanner s = {.text = text, .arena = a, .out = ret};
    *ret = (struct shell_script){.errexit = false};
    while (!shell_at_end(&s)) { /* a ) too many ends a list */
        shell_scan_list(&s);
    }
}

void shell_script_deinit(struct shell_script *s)
{
    VEC_DEINIT(&s->commands);
    VEC_DEINIT(&s->words);
    VEC_DEINIT(&s->expansions);
    VEC_DEINIT(&s->redirects);
}

/* ---- looking at a command -------------------------------------------------
 */

uint32_t shell_argc(const struct shell_command *c)
{
    return c->word_count - c->assignment_count;
}

const struct shell_word *shell_arg_word(const struct shell_script *s,
                                        const struct shell_command *c,
                                        uint32_t i)
{
    static const struct shell_word none = {.text = {.at = "", .len = 0}};
    return i < shell_argc(c)
               ? &s->words.at[c->first_word + c->assignment_count + i]
               : &none;
}

struct str shell_arg(const struct shell_script *s,
                     const struct shell_command *c, uint32_t i)
{
    return shell_arg_word(s, c, i)->text;
}
