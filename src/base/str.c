#include "base/str.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct str str_c(const char *c)
{
    return (struct str){.at = c, .len = c != NULL ? strlen(c) : 0};
}

struct str str_n(const char *at, size_t len)
{
    return (struct str){.at = at, .len = len};
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool str_eq_c(struct str a, const char *b)
{
    return str_eq(a, str_c(b));
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_n(s.at, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           str_eq(str_slice(s, s.len - suffix.len, s.len), suffix);
}

int str_cmp(struct str a, struct str b)
{
    size_t common = MIN(a.len, b.len);
    int order = common != 0 ? memcmp(a.at, b.at, common) : 0;
    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *hit = s.len != 0 ? memchr(s.at, c, s.len) : NULL;
    return hit != NULL ? hit - s.at : -1;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_has_nocase(struct str s, struct str needle)
{
    for (size_t i = 0; i + needle.len <= s.len; i++) {
        size_t n = 0;
        while (n < needle.len && lower(s.at[i + n]) == lower(needle.at[n])) {
            n++;
        }
        if (n == needle.len) {
            return true;
        }
    }
    return false;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
    to = MIN(to, s.len);
    from = MIN(from, to);
    return (struct str){.at = s.at != NULL ? s.at + from : NULL,
                        .len = to - from};
}

struct str str_trim(struct str s)
{
    while (s.len != 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
        s = str_slice(s, 1, s.len);
    }
    while (s.len != 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

char *str_dup(struct str s)
{
    return mem_dup(s.at, s.len);
}

int str_to_u64(struct str s, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    if (s.len == 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9') {
            return -EINVAL;
        }
    }
    for (size_t i = 0; i < s.len; i++) {
        uint64_t digit = (uint64_t)(s.at[i] - '0');
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return -ERANGE;
        }
    }
    if (value < min || value > max) {
        return -ERANGE;
    }
    *ret = value;
    return 0;
}

uint64_t str_hash(struct str s, uint64_t seed)
{
    uint64_t h = seed;
    for (size_t i = 0; i < s.len; i++) {
        h ^= (unsigned char)s.at[i];
        h *= 1099511628211ULL;
    }
    return h;
}

/* Length of the valid UTF-8 sequence at p, or 0. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char first_lo, first_hi, second_lo, second_hi, len;
    } forms[] = {
        {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
        {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
        {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (p[0] < forms[i].first_lo || p[0] > forms[i].first_hi) {
            continue;
        }
        if (left < forms[i].len || p[1] < forms[i].second_lo ||
            p[1] > forms[i].second_hi) {
            return 0;
        }
        for (size_t n = 2; n < forms[i].len; n++) {
            if ((p[n] & 0xC0) != 0x80) {
                return 0;
            }
        }
        return forms[i].len;
    }
    return 0;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.at;
    size_t i = 0;
    while (i < s.len) {
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        size_t n = utf8_sequence(p + i, s.len - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

#define DISTANCE_MAX_LEN 64

/* Optimal string alignment distance (Damerau 1964, restricted), with three
 * rows instead of the whole matrix. */
unsigned str_distance(struct str a, struct str b)
{
    unsigned rows[3][DISTANCE_MAX_LEN + 1];
    if (a.len > DISTANCE_MAX_LEN || b.len > DISTANCE_MAX_LEN) {
        return DISTANCE_MAX_LEN * 2;
    }
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = lower(a.at[i - 1]) == lower(b.at[j - 1]);
            unsigned best = above[j - 1] + (same ? 0 : 1);
            best = MIN(best, above[j] + 1);
            best = MIN(best, row[j - 1] + 1);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] &&
                a.at[i - 2] == b.at[j - 1]) {
                best = MIN(best, above2[j - 2] + 1);
            }
            row[j] = best;
        }
    }
    return rows[a.len % 3][b.len];
}

const char *str_nearest(struct str s, const char *const *candidates,
                        size_t count)
{
    const char *best = NULL;
    unsigned best_distance = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned d = str_distance(s, str_c(candidates[i]));
        size_t longer = MAX(s.len, strlen(candidates[i]));
        if (d <= MAX(longer / 3, 1) && (best == NULL || d < best_distance)) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}
