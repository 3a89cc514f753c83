/* Words of shell text: quotes and expansions. */
#include <string.h>

#include "base/strbuf.h"
#include "lint/shell_priv.h"

#define WORD_MAX_BYTES (64UL * 1024)

char shell_peek(const struct scanner *s, size_t ahead)
{
    return s->at + ahead < s->text.len ? s->text.at[s->at + ahead] : '\0';
}

bool shell_at_end(const struct scanner *s)
{
    return s->at >= s->text.len;
}

static bool is_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

bool shell_ends_word(char c)
{
    return c == '\0' || strchr(" \t\r\n;&|<>()", c) != NULL;
}

/* ---- words ----------------------------------------------------------------
 */

struct word_builder {
    struct strbuf text;
    VEC(struct shell_expansion) expansions;
    struct shell_word word;
    bool started;
};

static void add_char(struct word_builder *w, char c)
{
    strbuf_addch(&w->text, c);
    w->started = true;
}

static void add_expansion(struct scanner *s, struct word_builder *w,
                          size_t from, struct shell_expansion e)
{
    w->word.leads = w->word.leads || !w->started;
    strbuf_add(&w->text, str_slice(s->text, from, s->at));
    w->started = true;
    e.offset = (uint32_t)from;
    VEC_PUSH(&w->expansions, e);
}

size_t shell_name_length(const struct scanner *s, size_t from)
{
    size_t n = 0;
    while (from + n < s->text.len && is_name(s->text.at[from + n], n == 0)) {
        n++;
    }
    return n;
}

/* Past the } that closes the ${ whose inside begins here. */
static void skip_braces(struct scanner *s)
{
    unsigned open = 1;
    while (!shell_at_end(s) && open > 0) {
        char c = shell_peek(s, 0);
        if (c == '\\') {
            s->at++;
        } else if (c == '{') {
            open++;
        } else if (c == '}') {
            open--;
        }
        s->at++;
    }
    s->at = MIN(s->at, s->text.len);
}

/* "${NAME:-x}": the operator says whether it can be empty. */
static void read_braced(struct scanner *s, struct word_builder *w, bool quoted)
{
    size_t from = s->at;
    s->at += 2;
    size_t name = s->at;
    size_t len = shell_name_length(s, name);
    if (len == 0 && !shell_at_end(s)) {
        len = 1; /* ${1}, ${#x}, ${@} */
    }
    s->at += len;
    bool colon = shell_peek(s, 0) == ':';
    char op = shell_peek(s, colon ? 1 : 0);
    char next = shell_peek(s, colon ? 2 : 1);
    bool guarded = op == '?' || (strchr("-=", op) != NULL && op != '\0' &&
                                 colon && next != '}');
    skip_braces(s);
    add_expansion(
        s, w, from,
        (struct shell_expansion){.name = str_slice(s->text, name, name + len),
                                 .splits = !quoted,
                                 .guarded = guarded});
}

/* "$((...))": numbers, which are neither split nor dangerous. */
void shell_skip_arithmetic(struct scanner *s)
{
    unsigned open = 0;
    while (!shell_at_end(s)) {
        char c = shell_peek(s, 0);
        s->at++;
        open += c == '(' ? 1 : 0;
        open -= c == ')' && open > 0 ? 1 : 0;
        if (c == ')' && open == 0) {
            return;
        }
    }
}

static void scan_inside(struct scanner *s, struct word_builder *w)
{
    w->word.substitutes = true;
    w->word.leads = w->word.leads || !w->started;
    w->started = true;
    strbuf_addc(&w->text, "$(");
    if (s->depth + 1 >= SHELL_DEPTH_MAX) {
        s->at = s->text.len;
        return;
    }
    s->depth++;
    shell_scan_list(s);
    s->depth--;
    strbuf_addc(&w->text, ")");
}

static void read_backticks(struct scanner *s, struct word_builder *w)
{
    size_t end = ++s->at;
    while (end < s->text.len && s->text.at[end] != '`') {
        end += s->text.at[end] == '\\' ? 2 : 1;
    }
    end = MIN(end, s->text.len);
    struct str whole = s->text;
    s->text = str_slice(whole, 0, end);
    scan_inside(s, w);
    s->text = whole;
    s->at = MIN(end + 1, whole.len);
}

/* A $ or a backtick. */
static void read_dollar(struct scanner *s, struct word_builder *w, bool quoted)
{
    size_t from = s->at;
    char next = shell_peek(s, 1);
    if (shell_peek(s, 0) == '`') {
        read_backticks(s, w);
    } else if (next == '(' && shell_peek(s, 2) == '(') {
        s->at++;
        shell_skip_arithmetic(s);
        strbuf_addch(&w->text, '0');
        w->started = true;
    } else if (next == '(') {
        s->at += 2;
        scan_inside(s, w);
    } else if (next == '{') {
        read_braced(s, w, quoted);
    } else if (is_name(next, true)) {
        size_t len = shell_name_length(s, from + 1);
        s->at += 1 + len;
        add_expansion(s, w, from,
                      (struct shell_expansion){
                          .name = str_slice(s->text, from + 1, from + 1 + len),
                          .splits = !quoted});
    } else if (next != '\0' && strchr("@*#?$!-0123456789", next) != NULL) {
        s->at += 2;
        add_expansion(s, w, from,
                      (struct shell_expansion){
                          .name = str_slice(s->text, from + 1, from + 2),
                          .splits = !quoted});
    } else {
        add_char(w, '$');
        s->at++;
    }
}

static void read_single_quotes(struct scanner *s, struct word_builder *w)
{
    s->at++;
    while (!shell_at_end(s) && shell_peek(s, 0) != '\'') {
        add_char(w, shell_peek(s, 0));
        s->at++;
    }
    s->at++;
    w->started = true;
}

static void read_double_quotes(struct scanner *s, struct word_builder *w)
{
    s->at++;
    while (!shell_at_end(s) && shell_peek(s, 0) != '"') {
        char c = shell_peek(s, 0);
        if (c == '$' || c == '`') {
            read_dollar(s, w, true);
            continue;
        }
        if (c == '\\' && shell_peek(s, 1) != '\0' &&
            strchr("$`\"\\\n", shell_peek(s, 1)) != NULL) {
            s->at++;
        }
        add_char(w, shell_peek(s, 0));
        s->at++;
    }
    s->at++;
    w->started = true;
}

static void read_part(struct scanner *s, struct word_builder *w)
{
    char c = shell_peek(s, 0);
    if (c == '\\') {
        if (shell_peek(s, 1) != '\n') {
            add_char(w, shell_peek(s, 1));
        }
        w->word.quoted = true;
        s->at += 2;
    } else if (c == '\'') {
        w->word.quoted = true;
        read_single_quotes(s, w);
    } else if (c == '"') {
        w->word.quoted = true;
        read_double_quotes(s, w);
    } else if (c == '$' || c == '`') {
        read_dollar(s, w, false);
    } else {
        add_char(w, c);
        s->at++;
    }
}

/* One word from here; its expansions go to the script. */
struct shell_word shell_read_word(struct scanner *s, bool splits)
{
    struct word_builder w = {.text = STRBUF_INIT(WORD_MAX_BYTES)};
    w.word.offset = (uint32_t)s->at;
    while (!shell_at_end(s) && !shell_ends_word(shell_peek(s, 0))) {
        read_part(s, &w);
    }
    s->at = MIN(s->at, s->text.len);
    w.word.text = arena_str(s->arena, strbuf_str(&w.text));
    w.word.first_expansion = (uint32_t)s->out->expansions.count;
    w.word.expansion_count = (uint32_t)w.expansions.count;
    VEC_EACH (&w.expansions, i) {
        w.expansions.at[i].splits = w.expansions.at[i].splits && splits;
        VEC_PUSH(&s->out->expansions, w.expansions.at[i]);
    }
    strbuf_deinit(&w.text);
    VEC_DEINIT(&w.expansions);
    return w.word;
}

struct shell_word shell_read_process(struct scanner *s)
{
    struct word_builder w = {.text = STRBUF_INIT(64)};
    w.word.offset = (uint32_t)s->at;
    s->at += 2;
    scan_inside(s, &w);
    w.word.text = STR("<()");
    strbuf_deinit(&w.text);
    return w.word;
}
