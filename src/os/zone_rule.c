#include <errno.h>
#include <stdbool.h>

#include "os/zone.h"

#define DAY 86400

/* When a rule's half of the year begins, in local time before it. */
struct change {
    bool by_week; /* Mm.w.d; else day `day` of the year from 0 */
    bool no_leap; /* Jn: February 29 is not counted */
    int month;    /* 1..12 */
    int week;     /* 1..5, 5 is the last */
    int day;      /* of the week from Sunday, or of the year */
    int32_t second;
};

struct scan {
    struct str text;
    size_t at;
};

static char peek(const struct scan *s)
{
    return s->at < s->text.len ? s->text.at[s->at] : '\0';
}

static bool take(struct scan *s, char c)
{
    if (peek(s) != c) {
        return false;
    }
    s->at++;
    return true;
}

static bool read_number(struct scan *s, int max, int *ret)
{
    int value = 0;
    size_t start = s->at;
    while (peek(s) >= '0' && peek(s) <= '9' && value <= max) {
        value = value * 10 + (peek(s) - '0');
        s->at++;
    }
    *ret = value;
    return s->at > start && value <= max;
}

/* CET or <+03>. */
static bool skip_name(struct scan *s)
{
    size_t start = s->at;
    if (take(s, '<')) {
        while (peek(s) != '>' && peek(s) != '\0') {
            s->at++;
        }
        return take(s, '>');
    }
    while ((peek(s) >= 'a' && peek(s) <= 'z') ||
           (peek(s) >= 'A' && peek(s) <= 'Z')) {
        s->at++;
    }
    return s->at - start >= 3;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool read_time(struct scan *s, int32_t *ret)
{
    int parts[3] = {0};
    bool negative = peek(s) == '-';
    if (negative || peek(s) == '+') {
        s->at++;
    }
    if (!read_number(s, 167, &parts[0])) {
        return false;
    }
    for (int i = 1; i < 3 && take(s, ':'); i++) {
        if (!read_number(s, 59, &parts[i])) {
            return false;
        }
    }
    *ret = (parts[0] * 3600 + parts[1] * 60 + parts[2]) * (negative ? -1 : 1);
    return true;
}

static bool read_change(struct scan *s, struct change *ret)
{
    *ret = (struct change){.second = 2 * 3600};
    if (!take(s, ',')) {
        return false;
    }
    if (take(s, 'M')) {
        ret->by_week = true;
        if (!read_number(s, 12, &ret->month) || !take(s, '.') ||
            !read_number(s, 5, &ret->week) || !take(s, '.') ||
            !read_number(s, 6, &ret->day) || ret->month < 1 || ret->week < 1) {
            return false;
        }
    } else {
        ret->no_leap = take(s, 'J');
        if (!read_number(s, 365, &ret->day)) {
            return false;
        }
    }
    return !take(s, '/') || read_time(s, &ret->second);
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_to_year(int64_t year)
{
    int64_t y = year - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

static int days_to_month(int64_t year, int month)
{
    static const int days[] = {0,   31,  59,  90,  120, 151, 181,
                               212, 243, 273, 304, 334, 365};
    return days[month - 1] + (month > 2 && is_leap(year) ? 1 : 0);
}

/* Local seconds since 1970 of the change in the year. */
static int64_t change_second(const struct change *c, int64_t year)
{
    int64_t day = days_to_year(year);
    if (!c->by_week) {
        int of_year = c->no_leap
                          ? c->day - 1 + (is_leap(year) && c->day >= 60 ? 1 : 0)
                          : c->day;
        return (day + of_year) * DAY + c->second;
    }
    int64_t first = day + days_to_month(year, c->month);
    int64_t next = day + (c->month == 12 ? 365 + (is_leap(year) ? 1 : 0)
                                         : days_to_month(year, c->month + 1));
    int64_t weekday = ((first + 4) % 7 + 7) % 7;
    int64_t at = first + (c->day - weekday + 7) % 7 + (c->week - 1) * 7;
    while (at >= next) {
        at -= 7;
    }
    return at * DAY + c->second;
}

static int64_t year_of(int64_t seconds)
{
    int64_t days = seconds / DAY - (seconds % DAY < 0 ? 1 : 0);
    int64_t year = 1970 + days / 366;
    while (days_to_year(year + 1) <= days) {
        year++;
    }
    while (days_to_year(year) > days) {
        year--;
    }
    return year;
}

int zone_rule_offset(struct str rule, int64_t seconds, int32_t *ret)
{
    struct scan s = {.text = rule};
    struct change begin;
    struct change end;
    int32_t standard = 0;
    int32_t summer = 0;
    if (!skip_name(&s) || !read_time(&s, &standard)) {
        return -EBADMSG;
    }
    standard = -standard;
    if (s.at == rule.len) {
        *ret = standard;
        return 0;
    }
    summer = standard + 3600;
    if (!skip_name(&s)) {
        return -EBADMSG;
    }
    if (peek(&s) != ',') {
        if (!read_time(&s, &summer)) {
            return -EBADMSG;
        }
        summer = -summer;
    }
    if (!read_change(&s, &begin) || !read_change(&s, &end) ||
        s.at != rule.len) {
        return -EBADMSG;
    }
    int64_t year = year_of(seconds + standard);
    int64_t from = change_second(&begin, year) - standard;
    int64_t to = change_second(&end, year) - summer;
    bool is_summer = from < to ? seconds >= from && seconds < to
                               : seconds >= from || seconds < to;
    *ret = is_summer ? summer : standard;
    return 0;
}
