#include "expr/cel_issue.h"

#include <errno.h>
#include <stdio.h>

#include "expr/utf8.h"

/* Of a long line, this much is shown around the place. */
#define SHOWN_BYTES 60

struct place cel_issue_place(struct str text, uint32_t offset)
{
    struct place at = {1, 1};
    size_t i = 0;
    while (i < text.len && i < offset) {
        uint32_t c = utf8_next(text, &i);
        at.column++;
        if (c == '\n') {
            at.line++;
            at.column = 1;
        }
    }
    return at;
}

static int set(struct cel_issue *issue, struct str text, uint32_t offset,
               int errnum, const char *line)
{
    if (issue->err.errnum == 0) {
        issue->offset = offset;
        issue->err.at = cel_issue_place(text, offset);
        (void)err_set(&issue->err, errnum, "%s", line);
    }
    return issue->err.errnum;
}

int cel_issue_set(struct cel_issue *issue, struct str text, uint32_t offset,
                  const char *fmt, ...)
{
    char line[sizeof(issue->err.message)];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    return set(issue, text, offset, -EBADMSG, line);
}

int cel_issue_limit(struct cel_issue *issue, struct str text, uint32_t offset,
                    const char *fmt, ...)
{
    char line[sizeof(issue->err.message)];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    return set(issue, text, offset, -E2BIG, line);
}

static size_t line_start(struct str text, size_t offset)
{
    size_t start = MIN(offset, text.len);
    while (start > 0 && text.at[start - 1] != '\n') {
        start--;
    }
    return start;
}

static bool is_middle(struct str text, size_t at)
{
    return at < text.len && ((unsigned char)text.at[at] & 0xC0) == 0x80;
}

void cel_issue_print(const struct cel_issue *issue, struct str text,
                     struct strbuf *out)
{
    size_t offset = MIN((size_t)issue->offset, text.len);
    size_t start = line_start(text, offset);
    size_t end = offset;
    if (offset - start > SHOWN_BYTES) {
        start = offset - SHOWN_BYTES;
        while (is_middle(text, start)) {
            start++;
        }
    }
    while (end < text.len && text.at[end] != '\n' &&
           (end - offset < SHOWN_BYTES || is_middle(text, end))) {
        end++;
    }
    CLEANUP(strbuf_deinit) struct strbuf before = STRBUF_INIT(4096);
    strbuf_add_visible(&before, str_slice(text, start, offset));
    strbuf_addf(out, "%u:%u: %s\n  ", issue->err.at.line, issue->err.at.column,
                issue->err.message);
    strbuf_add(out, strbuf_str(&before));
    strbuf_add_visible(out, str_slice(text, offset, end));
    strbuf_addc(out, "\n  ");
    for (size_t i = utf8_count(strbuf_str(&before)); i > 0; i--) {
        strbuf_addch(out, ' ');
    }
    strbuf_addc(out, "^\n");
    if (issue->err.hint[0] != '\0') {
        strbuf_addf(out, "  %s\n", issue->err.hint);
    }
}
