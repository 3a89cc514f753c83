#include "expr/cel_civil.h"

#include <errno.h>
#include <stdbool.h>

#define DAY 86400

int64_t cel_civil_days(int64_t year, int month, int day)
{
    /* Years that begin in March: the leap day comes last. */
    int64_t y = year - (month <= 2 ? 1 : 0);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           719468;
}

struct cel_civil cel_civil_of(int64_t seconds)
{
    int64_t days = seconds / DAY - (seconds % DAY < 0 ? 1 : 0);
    int rest = (int)(seconds - days * DAY);
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    struct cel_civil c = {
        .day = (int)(doy - (153 * mp + 2) / 5 + 1),
        .month = (int)(mp < 10 ? mp + 3 : mp - 9),
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = (int)(((days + 4) % 7 + 7) % 7),
    };
    c.year = yoe + era * 400 + (c.month <= 2 ? 1 : 0);
    c.yearday = (int)(days - cel_civil_days(c.year, 1, 1));
    return c;
}

/* Exactly n digits at *at. */
static bool read_digits(struct str s, size_t *at, int n, int *ret)
{
    int value = 0;
    for (int i = 0; i < n; i++, (*at)++) {
        if (*at >= s.len || s.at[*at] < '0' || s.at[*at] > '9') {
            return false;
        }
        value = value * 10 + (s.at[*at] - '0');
    }
    *ret = value;
    return true;
}

static bool read_char(struct str s, size_t *at, char low, char high)
{
    if (*at >= s.len || (s.at[*at] != low && s.at[*at] != high)) {
        return false;
    }
    (*at)++;
    return true;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static bool read_fraction(struct str s, size_t *at, uint32_t *ret_ns)
{
    uint32_t ns = 0;
    int digits = 0;
    *ret_ns = 0;
    if (!read_char(s, at, '.', ',')) {
        return true;
    }
    for (; *at < s.len && s.at[*at] >= '0' && s.at[*at] <= '9'; (*at)++) {
        if (digits++ < 9) {
            ns = ns * 10 + (uint32_t)(s.at[*at] - '0');
        }
    }
    for (int i = digits; i < 9; i++) {
        ns *= 10;
    }
    *ret_ns = ns;
    return digits > 0;
}

static bool read_zone(struct str s, size_t *at, int32_t *ret_seconds)
{
    int hours = 0;
    int minutes = 0;
    *ret_seconds = 0;
    if (read_char(s, at, 'Z', 'z')) {
        return true;
    }
    bool west = *at < s.len && s.at[*at] == '-';
    if (!read_char(s, at, '+', '-') || !read_digits(s, at, 2, &hours) ||
        !read_char(s, at, ':', ':') || !read_digits(s, at, 2, &minutes) ||
        hours > 23 || minutes > 59) {
        return false;
    }
    *ret_seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

int cel_civil_parse(struct str s, int64_t *ret_seconds, uint32_t *ret_ns)
{
    struct cel_civil c = {0};
    size_t at = 0;
    int year = 0;
    int32_t zone = 0;
    /* 10000-01-01: a date, but past the last year. */
    bool five = s.len > 5 && s.at[4] >= '0' && s.at[4] <= '9';
    if (!read_digits(s, &at, five ? 5 : 4, &year) ||
        !read_char(s, &at, '-', '-') || !read_digits(s, &at, 2, &c.month) ||
        !read_char(s, &at, '-', '-') || !read_digits(s, &at, 2, &c.day) ||
        !read_char(s, &at, 'T', 't') || !read_digits(s, &at, 2, &c.hour) ||
        !read_char(s, &at, ':', ':') || !read_digits(s, &at, 2, &c.minute) ||
        !read_char(s, &at, ':', ':') || !read_digits(s, &at, 2, &c.second) ||
        !read_fraction(s, &at, ret_ns) || !read_zone(s, &at, &zone) ||
        at != s.len) {
        return -EINVAL;
    }
    if (c.month < 1 || c.month > 12 || c.day < 1 ||
        c.day > month_days(year, c.month) || c.hour > 23 || c.minute > 59 ||
        c.second > 59) {
        return -EINVAL;
    }
    int64_t seconds = cel_civil_days(year, c.month, c.day) * DAY +
                      c.hour * 3600 + c.minute * 60 + c.second - zone;
    if (seconds < CEL_SECONDS_MIN || seconds > CEL_SECONDS_MAX) {
        return -ERANGE;
    }
    *ret_seconds = seconds;
    return 0;
}

static const struct {
    struct str name;
    uint64_t ns;
} units[] = {
    {{"ns", 2}, 1},
    {{"us", 2}, 1000},
    {{"\xC2\xB5s", 3}, 1000},
    {{"ms", 2}, 1000000},
    {{"s", 1}, 1000000000},
    {{"m", 1}, 60000000000},
    {{"h", 1}, 3600000000000},
    {{"d", 1}, 86400000000000},
};

static uint64_t read_unit(struct str s, size_t *at)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        struct str rest = str_slice(s, *at, s.len);
        if (str_starts(rest, units[i].name)) {
            *at += units[i].name.len;
            return units[i].ns;
        }
    }
    return 0;
}

/* One "1.5h" of a duration. Digits past the eleventh behind the point are left
 * out. */
static int read_part(struct str s, size_t *at, uint64_t *ret_ns)
{
    uint64_t whole = 0;
    size_t point = 0;
    size_t start = *at;
    for (; *at < s.len && s.at[*at] >= '0' && s.at[*at] <= '9'; (*at)++) {
        if (__builtin_mul_overflow(whole, (uint64_t)10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(s.at[*at] - '0'),
                                   &whole)) {
            return -ERANGE;
        }
    }
    size_t digits = *at - start;
    if (read_char(s, at, '.', '.')) {
        point = *at;
        while (*at < s.len && s.at[*at] >= '0' && s.at[*at] <= '9') {
            (*at)++;
            digits++;
        }
    }
    size_t end = *at;
    uint64_t unit = read_unit(s, at);
    if (digits == 0 || unit == 0) {
        return -EINVAL;
    }
    if (__builtin_mul_overflow(whole, unit, ret_ns)) {
        return -ERANGE;
    }
    for (size_t i = point; point != 0 && i < end && unit % 10 == 0; i++) {
        unit /= 10;
        if (__builtin_add_overflow(*ret_ns, unit * (uint64_t)(s.at[i] - '0'),
                                   ret_ns)) {
            return -ERANGE;
        }
    }
    return 0;
}

int cel_civil_duration(struct str s, int64_t *ret_ns)
{
    uint64_t total = 0;
    size_t at = 0;
    bool negative = s.len != 0 && s.at[0] == '-';
    (void)read_char(s, &at, '-', '+');
    if (str_eq_c(str_slice(s, at, s.len), "0")) {
        *ret_ns = 0;
        return 0;
    }
    if (at == s.len) {
        return -EINVAL;
    }
    while (at < s.len) {
        uint64_t part = 0;
        int r = read_part(s, &at, &part);
        if (r < 0) {
            return r;
        }
        if (__builtin_add_overflow(total, part, &total) ||
            total > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
            return -ERANGE;
        }
    }
    *ret_ns = (int64_t)(negative ? 0 - total : total);
    return 0;
}

int cel_civil_offset(struct str zone, int32_t *ret_seconds)
{
    size_t at = 0;
    int hours = 0;
    int minutes = 0;
    if (str_eq_c(zone, "UTC") || str_eq_c(zone, "Z") || zone.len == 0) {
        *ret_seconds = 0;
        return 0;
    }
    bool west = zone.at[0] == '-';
    (void)read_char(zone, &at, '+', '-');
    if (!read_digits(zone, &at, 2, &hours) || !read_char(zone, &at, ':', ':') ||
        !read_digits(zone, &at, 2, &minutes) || at != zone.len || hours > 23 ||
        minutes > 59) {
        return -EINVAL;
    }
    *ret_seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return 0;
}
