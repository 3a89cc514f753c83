#include "data/duration.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"

static const struct unit {
    const char *name;
    uint64_t ms;
    bool is_written; /* by duration_format; all are read */
} units[] = {
    {"y", 365ULL * 86400 * 1000, false},
    {"w", 7ULL * 86400 * 1000, false},
    {"d", 86400ULL * 1000, true},
    {"h", 3600ULL * 1000, true},
    {"m", 60ULL * 1000, true},
    {"s", 1000, true},
    {"ms", 1, true},
};

#define UNIT_SECONDS 5

static size_t run_length(struct str s, bool of_digits)
{
    size_t n = 0;
    while (n < s.len && (s.at[n] >= '0' && s.at[n] <= '9') == of_digits) {
        n++;
    }
    return n;
}

/* The unit of that name at or after `from`, or ARRAY_LEN(units). */
static size_t find_unit(struct str name, size_t from)
{
    size_t i = from;
    while (i < ARRAY_LEN(units) && !str_eq_c(name, units[i].name)) {
        i++;
    }
    return i;
}

static int add_part(struct str digits, uint64_t unit_ms, uint64_t *total)
{
    uint64_t value = 0;
    int r = str_to_u64(digits, 0, DURATION_MAX_MS, &value);
    if (r < 0) {
        return r;
    }
    if (__builtin_mul_overflow(value, unit_ms, &value) ||
        __builtin_add_overflow(value, *total, &value) ||
        value > DURATION_MAX_MS) {
        return -ERANGE;
    }
    *total = value;
    return 0;
}

int duration_parse(struct str text, uint64_t *ret_ms)
{
    uint64_t total = 0;
    size_t next_unit = 0;
    struct str rest = text;
    int r = -EINVAL;
    while (rest.len != 0) {
        struct str digits = str_slice(rest, 0, run_length(rest, true));
        rest = str_slice(rest, digits.len, rest.len);
        struct str name = str_slice(rest, 0, run_length(rest, false));
        rest = str_slice(rest, name.len, rest.len);
        bool bare = name.len == 0 && digits.len == text.len;
        size_t unit = bare ? UNIT_SECONDS : find_unit(name, next_unit);
        if (unit == ARRAY_LEN(units)) {
            return -EINVAL;
        }
        r = add_part(digits, units[unit].ms, &total);
        if (r < 0) {
            return r;
        }
        next_unit = unit + 1;
    }
    if (r == 0) {
        *ret_ms = total;
    }
    return r;
}

void duration_format(uint64_t ms, char out[DURATION_TEXT_SIZE])
{
    size_t len = 0;
    ASSERT(ms <= DURATION_MAX_MS);
    (void)snprintf(out, DURATION_TEXT_SIZE, "0s");
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        uint64_t n = ms / units[i].ms;
        if (!units[i].is_written || n == 0) {
            continue;
        }
        int written = snprintf(out + len, DURATION_TEXT_SIZE - len, "%llu%s",
                               (unsigned long long)n, units[i].name);
        ASSERT(written > 0 && len + (size_t)written < DURATION_TEXT_SIZE);
        len += (size_t)written;
        ms %= units[i].ms;
    }
}
