#include "data/timestamp.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/assert.h"
#include "data/duration.h"

#define SECONDS_PER_DAY 86400
#define SECONDS_MAX (TIMESTAMP_MAX_MS / 1000)

/* Days from 1970-01-01 in the Gregorian calendar, for year >= 1. Years start
 * in March here, so that the leap day is the last one. */
static int64_t days_of_date(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* The reverse, for days >= 0. */
static void date_of_days(int64_t days, unsigned *ret_year, unsigned *ret_month,
                         unsigned *ret_day)
{
    int64_t shifted = days + 719468;
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
                           day_of_era / 146096) /
                          365;
    int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month =
        month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    *ret_day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *ret_month = (unsigned)month;
    *ret_year = (unsigned)(year_of_era + era * 400 + (month <= 2 ? 1 : 0));
}

static bool is_leap(uint64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint64_t days_in_month(uint64_t year, uint64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30,
                                   31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* What is still to be read of the text. */
struct reader {
    struct str rest;
    bool bad;
};

static uint64_t take_number(struct reader *r, size_t width, uint64_t min,
                            uint64_t max)
{
    uint64_t value = min;
    if (r->rest.len < width ||
        str_to_u64(str_slice(r->rest, 0, width), min, max, &value) < 0) {
        r->bad = true;
    }
    r->rest = str_slice(r->rest, width, r->rest.len);
    return value;
}

/* One of the characters of `set`; gives it. */
static char take_char(struct reader *r, const char *set)
{
    char c = '\0';
    if (r->rest.len != 0) {
        c = r->rest.at[0];
    }
    if (c == '\0' || str_find(str_c(set), c) < 0) {
        r->bad = true;
    }
    r->rest = str_slice(r->rest, 1, r->rest.len);
    return c;
}

static uint64_t take_fraction_ms(struct reader *r)
{
    uint64_t ms = 0;
    size_t digits = 0;
    if (r->rest.len == 0 || r->rest.at[0] != '.') {
        return 0;
    }
    r->rest = str_slice(r->rest, 1, r->rest.len);
    while (digits < r->rest.len && r->rest.at[digits] >= '0' &&
           r->rest.at[digits] <= '9') {
        if (digits < 3) {
            ms = ms * 10 + (uint64_t)(r->rest.at[digits] - '0');
        }
        digits++;
    }
    for (size_t i = digits; i < 3; i++) {
        ms *= 10;
    }
    r->bad = r->bad || digits == 0 || digits > 9;
    r->rest = str_slice(r->rest, digits, r->rest.len);
    return ms;
}

static int64_t take_offset_s(struct reader *r)
{
    char sign = take_char(r, "Zz+-");
    if (r->bad || sign == 'Z' || sign == 'z') {
        return 0;
    }
    uint64_t hours = take_number(r, 2, 0, 23);
    (void)take_char(r, ":");
    uint64_t minutes = take_number(r, 2, 0, 59);
    int64_t seconds = (int64_t)(hours * 3600 + minutes * 60);
    return sign == '-' ? -seconds : seconds;
}

int timestamp_parse(struct str text, uint64_t *ret_ms)
{
    struct reader r = {.rest = text};
    uint64_t year = take_number(&r, 4, 1, 9999);
    (void)take_char(&r, "-");
    uint64_t month = take_number(&r, 2, 1, 12);
    (void)take_char(&r, "-");
    uint64_t day = take_number(&r, 2, 1, days_in_month(year, month));
    (void)take_char(&r, "Tt");
    uint64_t hour = take_number(&r, 2, 0, 23);
    (void)take_char(&r, ":");
    uint64_t minute = take_number(&r, 2, 0, 59);
    (void)take_char(&r, ":");
    uint64_t second = take_number(&r, 2, 0, 60); /* 60: a leap second */
    uint64_t ms = take_fraction_ms(&r);
    int64_t offset_s = take_offset_s(&r);
    if (r.bad || r.rest.len != 0) {
        return -EINVAL;
    }
    if (year == 1) {
        *ret_ms = 0;
        return 0;
    }
    int64_t seconds =
        days_of_date((int64_t)year, (int64_t)month, (int64_t)day) *
            SECONDS_PER_DAY +
        (int64_t)(hour * 3600 + minute * 60 + second) - offset_s;
    if (seconds < 0 || (uint64_t)seconds > SECONDS_MAX) {
        return -ERANGE;
    }
    *ret_ms = (uint64_t)seconds * 1000 + ms;
    return 0;
}

int timestamp_from_seconds(double seconds, uint64_t *ret_ms)
{
    double ms = round(seconds * 1000.0);
    /* Written so that NaN fails, too. */
    if (!(seconds >= 0 && ms <= (double)TIMESTAMP_MAX_MS)) {
        return -ERANGE;
    }
    *ret_ms = (uint64_t)ms;
    return 0;
}

/* "1764000000" or "1764000000.25", exactly (no rounding through a double). */
static int parse_seconds(struct str text, uint64_t *ret_ms)
{
    ptrdiff_t dot = str_find(text, '.');
    size_t whole_len = dot >= 0 ? (size_t)dot : text.len;
    struct reader r = {.rest = str_slice(text, whole_len, text.len)};
    uint64_t seconds = 0;
    int e = str_to_u64(str_slice(text, 0, whole_len), 0, SECONDS_MAX, &seconds);
    if (e < 0) {
        return e;
    }
    uint64_t ms = take_fraction_ms(&r);
    if (r.bad || r.rest.len != 0) {
        return -EINVAL;
    }
    *ret_ms = seconds * 1000 + ms;
    return 0;
}

int timestamp_parse_any(struct str text, uint64_t *ret_ms)
{
    int r = parse_seconds(text, ret_ms);
    return r == -EINVAL ? timestamp_parse(text, ret_ms) : r;
}

void timestamp_format(uint64_t ms, char out[TIMESTAMP_TEXT_SIZE])
{
    unsigned year = 0;
    unsigned month = 0;
    unsigned day = 0;
    ASSERT(ms <= TIMESTAMP_MAX_MS);
    uint64_t seconds = ms / 1000;
    unsigned second_of_day = (unsigned)(seconds % SECONDS_PER_DAY);
    date_of_days((int64_t)(seconds / SECONDS_PER_DAY), &year, &month, &day);
    int n = snprintf(
        out, TIMESTAMP_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
        year % 10000, month % 100, day % 100, second_of_day / 3600,
        second_of_day / 60 % 60, second_of_day % 60, (unsigned)(ms % 1000));
    ASSERT(n == TIMESTAMP_TEXT_SIZE - 1);
}

int timestamp_parse_since(struct str text, uint64_t now_ms, uint64_t *ret_ms)
{
    uint64_t ago_ms = 0;
    int r = timestamp_parse_any(text, ret_ms);
    if (r != -EINVAL) {
        return r;
    }
    r = duration_parse(text, &ago_ms);
    if (r == 0) {
        *ret_ms = ago_ms < now_ms ? now_ms - ago_ms : 0;
    }
    return r;
}
