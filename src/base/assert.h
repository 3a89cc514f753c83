/*
 * Assertions that stay on in release builds. A failed one is a bug in this
 * program: it calls the hook (which may print the engine's last inputs) and
 * aborts; the next start recovers from the store. Any thread.
 */
#pragma once

#include "base/attr.h"

/* What a failed assertion calls before abort(). Must not return control to
 * the failed code and must be async-signal-safe. */
typedef void assert_hook_fn(const char *what, const char *file, int line);

/* Installs the hook; NULL restores the default (message on stderr is the
 * hook's business, the default only aborts). Call before threads start. */
void assert_set_hook(assert_hook_fn *hook);

/* Reports the failure and aborts. Use the macros. */
NORETURN void assert_failed(const char *what, const char *file, int line);

#define ASSERT(cond)                                                           \
    do {                                                                       \
        if (__builtin_expect(!(cond), 0)) {                                    \
            assert_failed(#cond, __FILE__, __LINE__);                          \
        }                                                                      \
    } while (0)

/* An assertion of one of the numbered invariants of ARCHITECTURE.md. */
#define INVARIANT(number, cond)                                                \
    do {                                                                       \
        if (__builtin_expect(!(cond), 0)) {                                    \
            assert_failed(number ": " #cond, __FILE__, __LINE__);              \
        }                                                                      \
    } while (0)

#define UNREACHABLE() assert_failed("unreachable", __FILE__, __LINE__)
