#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/str.h"

/* Length of the UTF-8 sequence that starts here, 0 if there is none. */
static size_t sequence(const char *at, size_t left)
{
    for (size_t n = 1; n <= 4 && n <= left; n++) {
        if (str_is_utf8(str_n(at, n))) {
            return n;
        }
    }
    return 0;
}

/* A piece of what was read may stand in the text, cut off anywhere: no byte
 * of it may end a line, move a cursor or break the UTF-8. */
static void tidy(char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t n = sequence(text + i, len - i);
        if (n == 0 || c < 0x20 || c == 0x7F) {
            text[i] = n == 0 ? '?' : ' ';
            n = 1;
        }
        i += n;
    }
}

PRINTF_LIKE(3, 0)
static void format(char *to, size_t size, const char *fmt, va_list args)
{
    (void)vsnprintf(to, size, fmt, args);
    tidy(to);
}

int err_set(struct err *e, int errnum, const char *fmt, ...)
{
    ASSERT(errnum < 0);
    e->errnum = errnum;
    va_list args;
    va_start(args, fmt);
    format(e->message, sizeof(e->message), fmt, args);
    va_end(args);
    return errnum;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    char old[sizeof(e->message)];
    memcpy(old, e->message, sizeof(old));
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(e->message, sizeof(e->message), fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n + sizeof(": ") < sizeof(e->message)) {
        size_t room = sizeof(e->message) - (size_t)n - sizeof(": ");
        (void)snprintf(e->message + n, room + sizeof(": "), ": %.*s", (int)room,
                       old);
    }
    tidy(e->message);
    return e->errnum;
}

void err_field(struct err *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    format(e->field, sizeof(e->field), fmt, args);
    va_end(args);
}

void err_hint(struct err *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    format(e->hint, sizeof(e->hint), fmt, args);
    va_end(args);
}
