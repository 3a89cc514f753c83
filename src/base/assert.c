#include "base/assert.h"

#include <stdlib.h>

static assert_hook_fn *assert_hook;

void assert_set_hook(assert_hook_fn *hook)
{
    assert_hook = hook;
}

void assert_failed(const char *what, const char *file, int line)
{
    if (assert_hook != NULL) {
        assert_hook(what, file, line);
    }
    abort();
}
