#include "os/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/assert.h"

void os_random(void *buf, size_t len)
{
    char *at = buf;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        ASSERT(n > 0 || errno == EINTR);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}
