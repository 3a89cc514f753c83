#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

int err_set(struct err *e, int errnum, const char *fmt, ...)
{
    ASSERT(errnum < 0);
    e->errnum = errnum;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(e->message, sizeof(e->message), fmt, args);
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
    if (n >= 0 && (size_t)n < sizeof(e->message)) {
        (void)snprintf(e->message + n, sizeof(e->message) - (size_t)n, ": %s",
                       old);
    }
    return e->errnum;
}

void err_field(struct err *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(e->field, sizeof(e->field), fmt, args);
    va_end(args);
}

void err_hint(struct err *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(e->hint, sizeof(e->hint), fmt, args);
    va_end(args);
}
