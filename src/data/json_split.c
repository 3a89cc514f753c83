#include "data/json.h"

#include <errno.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct json_split *s)
{
    while (s->offset < s->text.len && is_blank(s->text.at[s->offset])) {
        s->offset++;
    }
}

enum json_form json_form_of(struct str text)
{
    struct json_split s = {.text = text};
    skip_blanks(&s);
    return s.offset < text.len && text.at[s.offset] == '[' ? JSON_FORM_ARRAY
                                                           : JSON_FORM_LINES;
}

void json_split_init(struct json_split *s, struct str text, enum json_form form)
{
    *s = (struct json_split){.text = text, .form = form};
}

static int malformed(const struct json_split *s, size_t offset,
                     const char *what, struct err *reterr)
{
    reterr->at = json_place(s->text, offset);
    return err_set(reterr, -EBADMSG, "not valid JSON: %s", what);
}

/* Behind the end of a string that starts at i. */
static size_t string_end(struct str text, size_t i)
{
    i++;
    while (i < text.len && text.at[i] != '"') {
        i += text.at[i] == '\\' ? 2 : 1;
    }
    return MIN(i + 1, text.len);
}

/* The comma or bracket that ends the element at i, or the text's length. */
static size_t element_end(struct str text, size_t i)
{
    size_t depth = 0;
    while (i < text.len) {
        char c = text.at[i];
        if (c == '"') {
            i = string_end(text, i);
            continue;
        }
        if (depth == 0 && (c == ',' || c == ']')) {
            break;
        }
        if (c == '[' || c == '{') {
            depth++;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
        i++;
    }
    return i;
}

static int at_end(struct json_split *s, struct err *reterr)
{
    s->ended = true;
    s->offset++;
    skip_blanks(s);
    return s->offset < s->text.len
               ? malformed(s, s->offset, "something stands behind the array",
                           reterr)
               : 0;
}

static int next_element(struct json_split *s, struct str *ret,
                        struct err *reterr)
{
    struct str text = s->text;
    skip_blanks(s);
    char c = '\0';
    if (s->offset < text.len) {
        c = text.at[s->offset];
    }
    if (!s->started) {
        if (c != '[') {
            return malformed(s, s->offset, "expected an array", reterr);
        }
        s->offset++;
        skip_blanks(s);
        if (s->offset < text.len && text.at[s->offset] == ']') {
            return at_end(s, reterr);
        }
    } else if (c == ']') {
        return at_end(s, reterr);
    } else {
        s->offset++; /* element_end stops at a comma, a bracket or the end */
        skip_blanks(s);
    }
    size_t start = s->offset;
    size_t end = element_end(text, start);
    if (end == text.len) {
        return malformed(s, end, "the array has no end", reterr);
    }
    s->offset = end;
    while (end > start && is_blank(text.at[end - 1])) {
        end--;
    }
    if (end == start) {
        return malformed(s, start, "expected a value", reterr);
    }
    *ret = str_slice(text, start, end);
    return 1;
}

static int next_line(struct json_split *s, struct str *ret)
{
    skip_blanks(s);
    if (s->offset >= s->text.len) {
        s->ended = true;
        return 0;
    }
    struct str rest = str_slice(s->text, s->offset, s->text.len);
    ptrdiff_t newline = str_find(rest, '\n');
    size_t len = newline >= 0 ? (size_t)newline : rest.len;
    s->offset += len;
    while (len > 0 && is_blank(rest.at[len - 1])) {
        len--;
    }
    *ret = str_n(rest.at, len);
    return 1;
}

int json_split_next(struct json_split *s, struct str *ret, struct err *reterr)
{
    if (s->ended) {
        return 0;
    }
    int r = s->form == JSON_FORM_ARRAY ? next_element(s, ret, reterr)
                                       : next_line(s, ret);
    if (r == 1) {
        s->index += s->started ? 1 : 0;
        s->started = true;
    } else {
        s->ended = true;
    }
    return r;
}
