/*
 * Where a byte of a scalar stands in the file: the text is followed through
 * the source, over quotes, escapes, folded lines and indentation.
 */
#include "data/yaml_priv.h"

#include <string.h>

struct trace {
    struct str source;
    struct str text;
    size_t at;     /* in source */
    size_t i;      /* in text */
    size_t indent; /* of a block's lines */
    enum yaml_style style;
};

static char here(const struct trace *t)
{
    return t->at < t->source.len ? t->source.at[t->at] : '\0';
}

static char ahead(const struct trace *t)
{
    return t->at + 1 < t->source.len ? t->source.at[t->at + 1] : '\0';
}

static size_t character_bytes(char lead)
{
    unsigned char c = (unsigned char)lead;
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* True at blanks before the end of a line, or at the end itself. */
static bool is_line_end(const struct trace *t)
{
    size_t at = t->at;
    while (at < t->source.len &&
           (t->source.at[at] == ' ' || t->source.at[at] == '\t' ||
            t->source.at[at] == '\r')) {
        at++;
    }
    return at < t->source.len && t->source.at[at] == '\n';
}

/* Over the end of the line and what stands before the text of the next one
 * that is not blank; returns how many lines end here. */
static size_t skip_lines(struct trace *t)
{
    size_t lines = 0;
    while (here(t) == ' ' || here(t) == '\t' || here(t) == '\r' ||
           here(t) == '\n') {
        lines += here(t) == '\n';
        t->at++;
    }
    return lines;
}

/* Lines that are folded: one end is a blank, of several one is dropped. */
static void follow_fold(struct trace *t)
{
    size_t lines = skip_lines(t);
    size_t given = lines > 1 ? lines - 1 : 1;
    while (given-- > 0 && t->i < t->text.len &&
           (t->text.at[t->i] == ' ' || t->text.at[t->i] == '\n')) {
        t->i++;
    }
}

/* The byte at a place, or the length of the source. */
static size_t find(struct str source, struct place place)
{
    size_t at = 0;
    for (uint32_t line = 1; line < place.line && at < source.len; at++) {
        line += source.at[at] == '\n';
    }
    for (uint32_t column = 1; column < place.column && at < source.len;
         column++) {
        at += character_bytes(source.at[at]);
    }
    return at < source.len ? at : source.len;
}

static void skip_indent(struct trace *t)
{
    for (size_t n = 0; n < t->indent && here(t) == ' '; n++) {
        t->at++;
    }
}

/* The end of a line of a literal block, and the indentation behind it. */
static void follow_literal_end(struct trace *t)
{
    t->at += here(t) == '\r' ? 2 : 1;
    t->i++;
    skip_indent(t);
}

/* Blanks in front of the first line that has more than blanks. */
static size_t leading_blanks(struct str s)
{
    size_t blanks = 0;
    for (size_t i = 0; i < s.len && strchr(" \r\n", s.at[i]) != NULL; i++) {
        blanks = s.at[i] == ' ' ? blanks + 1 : 0;
    }
    return blanks;
}

/* Of a block only the line is known where its text begins. */
static void enter_block(struct trace *t, struct str source, uint32_t line)
{
    t->at = find(source, (struct place){.line = line, .column = 1});
    size_t outside = leading_blanks(str_slice(source, t->at, source.len));
    size_t inside = leading_blanks(t->text);
    t->indent = outside > inside ? outside - inside : 0;
    skip_indent(t);
}

/* \n, \x41, é, an escaped end of line. */
static void follow_escape(struct trace *t)
{
    size_t len = 2;
    switch (ahead(t)) {
    case 'x':
        len = 4;
        break;
    case 'u':
        len = 6;
        break;
    case 'U':
        len = 10;
        break;
    case '\r':
    case '\n':
        t->at++;
        (void)skip_lines(t);
        return;
    default:
        break;
    }
    t->at += len;
    t->i += character_bytes(t->text.at[t->i]);
}

/* One step further; false when text and source do not agree. */
static bool step(struct trace *t)
{
    if (t->style == YAML_STYLE_DOUBLE && here(t) == '\\') {
        follow_escape(t);
    } else if (t->style == YAML_STYLE_LITERAL &&
               (here(t) == '\n' || (here(t) == '\r' && ahead(t) == '\n'))) {
        follow_literal_end(t);
    } else if (t->style != YAML_STYLE_LITERAL && is_line_end(t)) {
        follow_fold(t);
    } else {
        t->at += t->style == YAML_STYLE_SINGLE && here(t) == '\'' ? 1 : 0;
        if (here(t) != t->text.at[t->i]) {
            return false;
        }
        t->at++;
        t->i++;
    }
    return t->at <= t->source.len;
}

static struct place place_of(struct str source, size_t at)
{
    struct place place = {.line = 1, .column = 1};
    for (size_t i = 0; i < at; i++) {
        unsigned char c = (unsigned char)source.at[i];
        if (c == '\n') {
            place.line++;
            place.column = 1;
        } else {
            place.column += (c & 0xC0) != 0x80;
        }
    }
    return place;
}

struct place yaml_where(const struct yaml_node *n, struct str source,
                        size_t offset)
{
    struct trace t = {
        .source = source, .text = yaml_text(n), .style = yaml_style(n)};
    t.at = find(source, yaml_place(n));
    if (t.style == YAML_STYLE_LITERAL || t.style == YAML_STYLE_FOLDED) {
        enter_block(&t, source, yaml_place(n).line);
    } else if (t.style != YAML_STYLE_PLAIN) {
        t.at++; /* the quote */
    }
    offset = offset < t.text.len ? offset : t.text.len;
    while (t.i < offset) {
        if (!step(&t)) {
            return yaml_place(n);
        }
    }
    return place_of(source, t.at);
}
