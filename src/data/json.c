#include "data/json.h"

#include <errno.h>

#include "base/assert.h"

/* The pass over the text that meets the limits. It needs to be right only for
 * valid JSON: at the first error of syntax jansson stops anyway, and up to
 * there both see the same nesting. */
struct scan {
    struct str text;
    const struct json_limits *limits;
    size_t offset;
    uint32_t values;
    uint32_t depth;
    uint32_t keys[JSON_DEPTH_MAX + 1];
    struct err *err;
};

struct place json_place(struct str text, size_t offset)
{
    struct place at = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset && i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c == '\n') {
            at.line++;
            at.column = 1;
        } else if ((c & 0xC0) != 0x80) {
            at.column++;
        }
    }
    return at;
}

static int over(struct scan *s, size_t offset, const char *what, size_t limit)
{
    s->err->at = json_place(s->text, offset);
    return err_set(s->err, -E2BIG, "%s: the limit is %zu", what, limit);
}

/* From the opening quote to behind the closing one. */
static int scan_string(struct scan *s)
{
    const char *at = s->text.at;
    size_t start = s->offset;
    size_t i = start + 1;
    while (i < s->text.len && at[i] != '"') {
        i += at[i] == '\\' ? 2 : 1;
    }
    s->offset = MIN(i + 1, s->text.len);
    if (i - start - 1 > s->limits->string_bytes) {
        return over(s, start, "a string is too long", s->limits->string_bytes);
    }
    return 0;
}

static int scan_number(struct scan *s)
{
    const char *at = s->text.at;
    size_t start = s->offset;
    size_t i = start;
    while (i < s->text.len &&
           ((at[i] >= '0' && at[i] <= '9') || at[i] == '.' || at[i] == '-' ||
            at[i] == '+' || (at[i] | 0x20) == 'e')) {
        i++;
    }
    s->offset = i;
    if (i - start > s->limits->number_bytes) {
        return over(s, start, "a number is too long", s->limits->number_bytes);
    }
    return 0;
}

static int scan_open(struct scan *s)
{
    if (s->depth >= s->limits->depth) {
        return over(s, s->offset, "nested too deep", s->limits->depth);
    }
    s->depth++;
    s->keys[s->depth] = 0;
    s->offset++;
    return ++s->values > s->limits->values
               ? over(s, s->offset, "too many values", s->limits->values)
               : 0;
}

static int scan_token(struct scan *s)
{
    switch (s->text.at[s->offset]) {
    case '"':
        return scan_string(s);
    case '[':
    case '{':
        return scan_open(s);
    case ']':
    case '}':
        s->depth -= s->depth > 0 ? 1 : 0;
        s->offset++;
        return 0;
    case ':':
        s->offset++;
        return ++s->keys[s->depth] > s->limits->keys
                   ? over(s, s->offset, "too many names in one object",
                          s->limits->keys)
                   : 0;
    case ',':
        s->offset++;
        return ++s->values > s->limits->values
                   ? over(s, s->offset, "too many values", s->limits->values)
                   : 0;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return scan_number(s);
    default:
        s->offset++;
        return 0;
    }
}

static int check_limits(struct str text, const struct json_limits *limits,
                        struct err *reterr)
{
    struct scan s = {.text = text, .limits = limits, .err = reterr};
    ASSERT(limits->depth <= JSON_DEPTH_MAX);
    if (text.len > limits->bytes) {
        return err_set(reterr, -E2BIG, "longer than %zu bytes", limits->bytes);
    }
    ptrdiff_t nul = str_find(text, '\0');
    if (nul >= 0) { /* jansson takes one behind a value for the end */
        reterr->at = json_place(text, (size_t)nul);
        return err_set(reterr, -EBADMSG, "not valid JSON: a NUL byte");
    }
    while (s.offset < text.len) {
        int r = scan_token(&s);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int syntax_error(struct str text, const json_error_t *e,
                        struct err *reterr)
{
    bool blank = true;
    for (size_t i = 0; i < text.len && blank; i++) {
        blank = text.at[i] == ' ' || text.at[i] == '\t' || text.at[i] == '\n' ||
                text.at[i] == '\r';
    }
    if (blank) {
        return err_set(reterr, -EBADMSG, "expected JSON, got nothing");
    }
    if (str_starts(text, STR("\xEF\xBB\xBF"))) {
        err_hint(reterr, "send UTF-8 without BOM");
        return err_set(reterr, -EBADMSG, "starts with a byte order mark");
    }
    reterr->at.line = (uint32_t)MAX(e->line, 1);
    reterr->at.column = (uint32_t)MAX(e->column, 1);
    return err_set(reterr, -EBADMSG, "not valid JSON: %s", e->text);
}

int json_read(struct str text, const struct json_limits *limits, json_t **ret,
              struct err *reterr)
{
    struct json_limits fallback = JSON_LIMITS_DEFAULT;
    json_error_t error;
    int r = check_limits(text, limits != NULL ? limits : &fallback, reterr);
    if (r < 0) {
        return r;
    }
    json_t *json = json_loadb(text.at != NULL ? text.at : "", text.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (json == NULL) {
        return syntax_error(text, &error, reterr);
    }
    *ret = json;
    return 0;
}
