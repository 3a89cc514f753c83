#include "wire/exposition.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/exposition_priv.h"

#define NUMBER_MAX_BYTES 128

enum exposition_format exposition_format_of(const char *content_type)
{
    return str_has_nocase(str_c(content_type),
                          STR("application/openmetrics-text"))
               ? EXPOSITION_OPENMETRICS
               : EXPOSITION_TEXT;
}

int exposition_fail(struct exposition *x, const char *fmt, ...)
{
    char text[160];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    x->err->at = (struct place){x->line_no, (uint32_t)x->at + 1};
    return err_set(x->err, -EBADMSG, "line %u: %s", x->line_no, text);
}

/* ---- characters ------------------------------------------------------------
 */

static bool is_open(const struct exposition *x)
{
    return x->format == EXPOSITION_OPENMETRICS;
}

/* The character at the present place; 0 at the end of the line. */
static char peek(const struct exposition *x)
{
    return x->at < x->line.len ? x->line.at[x->at] : '\0';
}

static bool take(struct exposition *x, char c)
{
    bool there = x->at < x->line.len && x->line.at[x->at] == c;
    x->at += there ? 1 : 0;
    return there;
}

static bool at_end(const struct exposition *x)
{
    return x->at >= x->line.len;
}

/* Where blanks are free. */
static void skip_blanks(struct exposition *x)
{
    while (!is_open(x) && (peek(x) == ' ' || peek(x) == '\t')) {
        x->at++;
    }
}

/* Between two words: blanks, in OpenMetrics one space. */
static bool take_gap(struct exposition *x)
{
    if (is_open(x)) {
        return take(x, ' ') && peek(x) != ' ';
    }
    size_t before = x->at;
    skip_blanks(x);
    return x->at > before;
}

static struct str take_word(struct exposition *x)
{
    size_t from = x->at;
    while (!at_end(x) && peek(x) != ' ' && peek(x) != '\t') {
        x->at++;
    }
    return str_slice(x->line, from, x->at);
}

static bool is_name_char(char c, bool first, bool colons)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (colons && c == ':') || (!first && c >= '0' && c <= '9');
}

struct str exposition_name(struct exposition *x, bool colons)
{
    size_t from = x->at;
    while (is_name_char(peek(x), x->at == from, colons)) {
        x->at++;
    }
    return str_slice(x->line, from, x->at);
}

/* ---- numbers ---------------------------------------------------------------
 */

static bool is_word(struct str text, const char *word)
{
    return text.len == strlen(word) && str_has_nocase(text, str_c(word));
}

static size_t digits(struct str text, size_t *at)
{
    size_t from = *at;
    while (*at < text.len && text.at[*at] >= '0' && text.at[*at] <= '9') {
        ++*at;
    }
    return *at - from;
}

/* Digits with at most one point, and an exponent. */
static bool is_decimal(struct str text)
{
    size_t at = 0;
    size_t count = digits(text, &at);
    if (at < text.len && text.at[at] == '.') {
        at++;
        count += digits(text, &at);
    }
    if (count != 0 && at < text.len && (text.at[at] | 0x20) == 'e') {
        at++;
        at += at < text.len && (text.at[at] == '+' || text.at[at] == '-');
        count = digits(text, &at);
    }
    return count != 0 && at == text.len;
}

int exposition_number(struct str text, double *ret)
{
    char copy[NUMBER_MAX_BYTES + 1];
    if (text.len == 0 || text.len > NUMBER_MAX_BYTES) {
        return -EINVAL;
    }
    bool sign = text.at[0] == '+' || text.at[0] == '-';
    struct str rest = str_slice(text, sign ? 1 : 0, text.len);
    if (!sign && is_word(rest, "nan")) {
        *ret = (double)NAN;
        return 0;
    }
    if (is_word(rest, "inf") || is_word(rest, "infinity")) {
        *ret = text.at[0] == '-' ? -(double)INFINITY : (double)INFINITY;
        return 0;
    }
    if (!is_decimal(rest)) {
        return -EINVAL;
    }
    (void)snprintf(copy, sizeof(copy), "%.*s", STR_ARG(text));
    double value = strtod(copy, NULL);
    if (isinf(value)) {
        return -EINVAL;
    }
    *ret = value;
    return 0;
}

/* ---- labels
 * ------------------------------------------------------------------ */

/* A text in quotes, behind the first; escapes replaced, in the line's arena. */
static int take_quoted(struct exposition *x, struct str *ret)
{
    size_t from = x->at;
    char *out = arena_alloc(&x->arena, x->line.len - from + 1, 1);
    size_t len = 0;
    while (!at_end(x) && peek(x) != '"') {
        char c = x->line.at[x->at++];
        char next = peek(x);
        if (c == '\\' && (next == '\\' || next == '"' || next == 'n')) {
            c = next == 'n' ? '\n' : next;
            x->at++;
        } else if (c == '\\' && !at_end(x)) {
            out[len++] = c; /* an unknown pair is two characters */
            c = x->line.at[x->at++];
        }
        out[len++] = c;
    }
    if (x->at - from > EXPOSITION_VALUE_MAX_BYTES) {
        return exposition_fail(x, "a label is longer than %u bytes",
                               EXPOSITION_VALUE_MAX_BYTES);
    }
    if (!take(x, '"')) {
        return exposition_fail(x, "the quotes do not end");
    }
    *ret = str_n(out, len);
    return 0;
}

static int check_name(struct exposition *x, struct str name)
{
    if (name.len > EXPOSITION_NAME_MAX_BYTES) {
        return exposition_fail(x, "a name is longer than %u bytes",
                               EXPOSITION_NAME_MAX_BYTES);
    }
    return name.len != 0 ? 0 : exposition_fail(x, "a name expected");
}

/* NAME="VALUE", or the quoted name of the metric, which goes to *metric. */
static int take_pair(struct exposition *x, struct labels *labels,
                     struct str *metric)
{
    struct str name = STR("");
    bool quoted = !is_open(x) && take(x, '"');
    int r = 0;
    if (quoted) {
        r = take_quoted(x, &name);
    } else {
        name = exposition_name(x, false);
    }
    if (r == 0) {
        r = check_name(x, name);
    }
    if (r < 0) {
        return r;
    }
    skip_blanks(x);
    if (quoted && metric != NULL && metric->len == 0 && peek(x) != '=') {
        *metric = name;
        return 0;
    }
    if (!take(x, '=')) {
        return exposition_fail(x, "= expected behind the name of a label");
    }
    skip_blanks(x);
    if (!take(x, '"')) {
        return exposition_fail(x, "a value in quotes expected");
    }
    if (labels->count == EXPOSITION_LABELS_MAX) {
        return exposition_fail(x, "more than %u labels", EXPOSITION_LABELS_MAX);
    }
    struct label *l = &labels->at[labels->count++];
    l->name = name;
    return take_quoted(x, &l->value);
}

/* Behind the brace, up to and with the other one. */
static int take_labels(struct exposition *x, struct labels *labels,
                       struct str *metric)
{
    labels->at = ARENA_ARRAY(&x->arena, EXPOSITION_LABELS_MAX, struct label);
    labels->count = 0;
    bool more = true;
    skip_blanks(x);
    while (more && (peek(x) != '}' || (is_open(x) && labels->count != 0))) {
        int r = take_pair(x, labels, metric);
        if (r < 0) {
            return r;
        }
        skip_blanks(x);
        more = take(x, ',');
        skip_blanks(x);
    }
    if (!take(x, '}')) {
        return exposition_fail(x, ", or } expected");
    }
    return labels_sort(labels) < 0 ? exposition_fail(x, "a label stands twice")
                                   : 0;
}

/* ---- samples
 * ------------------------------------------------------------------ */

static int take_value(struct exposition *x, double *ret)
{
    size_t from = x->at;
    struct str word = take_word(x);
    if (exposition_number(word, ret) < 0) {
        x->at = from;
        return exposition_fail(x, "a number expected");
    }
    return 0;
}

/* Milliseconds as a whole number; in OpenMetrics seconds. */
static int take_time(struct exposition *x, struct exposition_sample *s)
{
    size_t from = x->at;
    struct str word = take_word(x);
    double seconds = 0;
    uint64_t ms = 0;
    bool minus = word.len != 0 && word.at[0] == '-';
    int r = 0;
    if (is_open(x)) {
        r = exposition_number(word, &seconds);
        if (r == 0 && (isnan(seconds) || fabs(seconds) > 9e15)) {
            r = -EINVAL;
        }
        s->time_ms = r == 0 ? (int64_t)llround(seconds * 1000) : 0;
    } else {
        r = str_to_u64(str_slice(word, minus ? 1 : 0, word.len), 0, INT64_MAX,
                       &ms);
        s->time_ms = minus ? -(int64_t)ms : (int64_t)ms;
    }
    s->has_time = true;
    if (r < 0) {
        x->at = from;
        return exposition_fail(x, "a time expected");
    }
    return 0;
}

static uint32_t count_chars(struct str s)
{
    uint32_t count = 0;
    for (size_t i = 0; i < s.len; i++) {
        count += ((unsigned char)s.at[i] & 0xC0) != 0x80;
    }
    return count;
}

/* "# {LABELS} VALUE [TIME]", behind the gap. */
static int take_exemplar(struct exposition *x, struct str name)
{
    struct exposition_sample e = {0};
    uint32_t chars = 0;
    if (!take(x, '#') || !take(x, ' ') || !take(x, '{')) {
        return exposition_fail(x, "an exemplar expected");
    }
    if (!family_has_exemplars(x, name)) {
        return exposition_fail(x, "no exemplar may stand here");
    }
    int r = take_labels(x, &e.labels, NULL);
    for (uint32_t i = 0; r == 0 && i < e.labels.count; i++) {
        chars += count_chars(e.labels.at[i].name) +
                 count_chars(e.labels.at[i].value);
    }
    if (r == 0 && chars > EXPOSITION_EXEMPLAR_MAX_CHARS) {
        r = exposition_fail(x, "an exemplar has more than %u characters",
                            EXPOSITION_EXEMPLAR_MAX_CHARS);
    }
    if (r == 0 && !take_gap(x)) {
        r = exposition_fail(x, "a space expected");
    }
    if (r == 0) {
        r = take_value(x, &e.value);
    }
    if (r == 0 && !at_end(x)) {
        r = take_gap(x) ? take_time(x, &e)
                        : exposition_fail(x, "a space expected");
    }
    return r;
}

/* What may stand behind the value. */
static int take_tail(struct exposition *x, struct exposition_sample *s)
{
    int r = 0;
    if (!at_end(x) && !take_gap(x)) {
        return exposition_fail(x, "a space expected");
    }
    if (is_open(x) && x->at > 0 && at_end(x) &&
        x->line.at[x->line.len - 1] == ' ') {
        return exposition_fail(x, "a space at the end of the line");
    }
    if (!at_end(x) && peek(x) != '#') {
        r = take_time(x, s);
        bool gap = r == 0 && !at_end(x) && take_gap(x);
        if (gap && is_open(x) && at_end(x)) {
            r = exposition_fail(x, "a space at the end of the line");
        }
    }
    if (r == 0 && is_open(x) && !at_end(x)) {
        r = take_exemplar(x, s->name);
    }
    return r == 0 && !at_end(x)
               ? exposition_fail(x, "the end of the line expected")
               : r;
}

static int take_sample(struct exposition *x)
{
    struct exposition_sample s = {0};
    s.name = exposition_name(x, true);
    int r = 0;
    skip_blanks(x);
    bool braces = take(x, '{');
    if (braces) {
        r = take_labels(x, &s.labels, is_open(x) ? NULL : &s.name);
    }
    if (r == 0) {
        r = check_name(x, s.name);
    }
    if (r == 0 && is_open(x) && !take_gap(x)) {
        r = exposition_fail(x, "a space expected");
    }
    skip_blanks(x);
    if (r == 0) {
        r = take_value(x, &s.value);
    }
    if (r == 0) {
        r = take_tail(x, &s);
    }
    if (r == 0 && ++x->samples > EXPOSITION_SAMPLES_MAX) {
        return err_set(x->err, -E2BIG, "more than %u samples",
                       EXPOSITION_SAMPLES_MAX);
    }
    if (r == 0 && is_open(x)) {
        r = family_sample(x, &s);
    }
    return r == 0 ? x->fn(x->context, &s) : r;
}

/* ---- lines that begin with #
 * ---------------------------------------------------- */

enum metadata { META_HELP, META_TYPE, META_UNIT, METADATA };

static const char *const metadata_words[METADATA] = {"HELP", "TYPE", "UNIT"};

/* The types of the text format. */
static bool is_text_type(struct str word)
{
    static const char *const types[] = {"counter", "gauge", "histogram",
                                        "summary", "untyped"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (str_eq_c(word, types[i])) {
            return true;
        }
    }
    return false;
}

static int take_type(struct exposition *x)
{
    size_t from = x->at;
    struct str word = take_word(x);
    skip_blanks(x);
    if (is_open(x) && at_end(x)) {
        return family_set_type(x, word);
    }
    if (!at_end(x) || !is_text_type(word)) {
        x->at = from;
        return exposition_fail(x, "no type that there is");
    }
    return 0;
}

static int take_metadata(struct exposition *x, enum metadata kind)
{
    struct str name = STR("");
    int r = 0;
    if (!is_open(x) && take(x, '"')) {
        r = take_quoted(x, &name);
    } else {
        name = exposition_name(x, true);
    }
    if (r == 0) {
        r = check_name(x, name);
    }
    if (r == 0 && is_open(x)) {
        r = family_metadata(x, name, kind);
    }
    if (r < 0) {
        return r;
    }
    bool gap = is_open(x) ? take(x, ' ') : take_gap(x);
    if (!gap && (!at_end(x) || kind == META_TYPE || is_open(x))) {
        return exposition_fail(x, "a space expected");
    }
    if (kind == META_TYPE) {
        return take_type(x);
    }
    return kind == META_UNIT
               ? family_check_unit(x, str_slice(x->line, x->at, x->line.len))
               : 0;
}

/* A comment, unless the word behind # means something. */
static int take_remark(struct exposition *x)
{
    size_t start = x->at;
    bool gap = is_open(x) ? take(x, ' ') : take_gap(x);
    struct str word = gap ? take_word(x) : STR("");
    for (int kind = META_HELP; kind < METADATA; kind++) {
        bool known = kind != META_UNIT || is_open(x);
        if (known && str_eq_c(word, metadata_words[kind])) {
            return take_gap(x) ? take_metadata(x, (enum metadata)kind)
                               : exposition_fail(x, "a name expected");
        }
    }
    x->at = start;
    return is_open(x) ? exposition_fail(x, "no comment may stand here") : 0;
}

/* ---- the page
 * -------------------------------------------------------------------- */

static int take_line(struct exposition *x)
{
    skip_blanks(x);
    if (at_end(x)) {
        return is_open(x) ? exposition_fail(x, "an empty line") : 0;
    }
    return take(x, '#') ? take_remark(x) : take_sample(x);
}

/* Cuts the next line off the text. */
static struct str next_line(struct str *text)
{
    ptrdiff_t end = str_find(*text, '\n');
    size_t len = end >= 0 ? (size_t)end : text->len;
    struct str line = str_slice(*text, 0, len);
    *text = str_slice(*text, len + (end >= 0 ? 1 : 0), text->len);
    return line;
}

static int read_lines(struct exposition *x, struct str text)
{
    int r = 0;
    while (r == 0 && text.len != 0) {
        x->line = next_line(&text);
        x->line_no++;
        x->at = 0;
        if (is_open(x) && str_eq(x->line, STR("# EOF"))) {
            return text.len == 0 ? 0 : exposition_fail(x, "data behind # EOF");
        }
        r = take_line(x);
        arena_reset(&x->arena);
    }
    if (r == 0 && is_open(x)) {
        x->at = x->line.len;
        return exposition_fail(x, "the page ends without # EOF");
    }
    return r;
}

int exposition_read(struct str text, enum exposition_format format,
                    exposition_fn *fn, void *context, struct err *reterr)
{
    struct exposition x = {
        .format = format, .fn = fn, .context = context, .err = reterr};
    if (text.len > EXPOSITION_MAX_BYTES) {
        return err_set(reterr, -E2BIG, "larger than %lu bytes",
                       EXPOSITION_MAX_BYTES);
    }
    if (!str_is_utf8(text)) {
        return err_set(reterr, -EBADMSG, "not valid UTF-8");
    }
    int r = read_lines(&x, text);
    map_deinit(&x.families);
    arena_deinit(&x.names);
    arena_deinit(&x.arena);
    return r;
}
