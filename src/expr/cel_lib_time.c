#include "expr/cel.h"
#include "expr/cel_civil.h"
#include "expr/cel_lib_priv.h"

#define NS 1000000000LL

enum part {
    YEAR,
    MONTH,
    DAY_OF_YEAR,
    DAY_OF_MONTH,
    DATE,
    DAY_OF_WEEK,
    HOURS,
    MINUTES,
    SECONDS,
    MILLISECONDS,
};

static int64_t part_of(struct cel_value t, int32_t offset, enum part part)
{
    struct cel_civil c = cel_civil_of(t.i + offset);
    switch (part) {
    case YEAR:
        return c.year;
    case MONTH:
        return c.month - 1;
    case DAY_OF_YEAR:
        return c.yearday;
    case DAY_OF_MONTH:
        return c.day - 1;
    case DATE:
        return c.day;
    case DAY_OF_WEEK:
        return c.weekday;
    case HOURS:
        return c.hour;
    case MINUTES:
        return c.minute;
    case SECONDS:
        return c.second;
    case MILLISECONDS:
        break;
    }
    return t.more / 1000000;
}

static struct cel_value in_zone(struct cel_run *run,
                                const struct cel_value *args, enum part part)
{
    struct str zone = cel_text(args[1]);
    int32_t offset = 0;
    if (cel_civil_offset(zone, &offset) < 0) {
        const struct cel_input *in = run->input;
        if (!cel_charge(run, 50)) {
            return cel_spent(run);
        }
        if (in == NULL || in->zone == NULL ||
            in->zone(in->context, zone, args[0].i, &offset) < 0) {
            return cel_fail(run, CEL_FAULT_ARGUMENT,
                            "there is no time zone '%.*s': write a name like "
                            "Europe/Vienna or an offset like +02:00",
                            STR_ARG(str_slice(zone, 0, 60)));
        }
    }
    return cel_int(part_of(args[0], offset, part));
}

#define GETTER(fn_, part_)                                                     \
    static struct cel_value fn_##_utc(struct cel_run *run,                     \
                                      const struct cel_value *args)            \
    {                                                                          \
        (void)run;                                                             \
        return cel_int(part_of(args[0], 0, (part_)));                          \
    }                                                                          \
    static struct cel_value fn_##_zone(struct cel_run *run,                    \
                                       const struct cel_value *args)           \
    {                                                                          \
        return in_zone(run, args, (part_));                                    \
    }

GETTER(year, YEAR)
GETTER(month, MONTH)
GETTER(day_of_year, DAY_OF_YEAR)
GETTER(day_of_month, DAY_OF_MONTH)
GETTER(date, DATE)
GETTER(day_of_week, DAY_OF_WEEK)
GETTER(hours, HOURS)
GETTER(minutes, MINUTES)
GETTER(seconds, SECONDS)
GETTER(milliseconds, MILLISECONDS)

static struct cel_value whole_hours(struct cel_run *run,
                                    const struct cel_value *args)
{
    (void)run;
    return cel_int(args[0].i / (3600 * NS));
}

static struct cel_value whole_minutes(struct cel_run *run,
                                      const struct cel_value *args)
{
    (void)run;
    return cel_int(args[0].i / (60 * NS));
}

static struct cel_value whole_seconds(struct cel_run *run,
                                      const struct cel_value *args)
{
    (void)run;
    return cel_int(args[0].i / NS);
}

static struct cel_value rest_milliseconds(struct cel_run *run,
                                          const struct cel_value *args)
{
    (void)run;
    return cel_int(args[0].i % NS / 1000000);
}

#define AT(name_, fn_, doc_)                                                   \
    {(name_),       CEL_M,     1,     {&cel_type_timestamp},                   \
     &cel_type_int, fn_##_utc, (doc_)},                                        \
    {                                                                          \
        (name_), CEL_M, 2, {&cel_type_timestamp, &cel_type_string},            \
            &cel_type_int, fn_##_zone, (doc_)                                  \
    }
#define OF(name_, call_, doc_)                                                 \
    {                                                                          \
        (name_), CEL_M, 1, {&cel_type_duration}, &cel_type_int, (call_),       \
            (doc_)                                                             \
    }

static const struct cel_function rows[] = {
    AT("getFullYear", year, "The year; in a zone, if one is given."),
    AT("getMonth", month, "The month from 0."),
    AT("getDayOfYear", day_of_year, "The day of the year from 0."),
    AT("getDayOfMonth", day_of_month, "The day of the month from 0."),
    AT("getDate", date, "The day of the month from 1."),
    AT("getDayOfWeek", day_of_week, "The day of the week; 0 is Sunday."),
    AT("getHours", hours, "The hour."),
    AT("getMinutes", minutes, "The minute."),
    AT("getSeconds", seconds, "The second."),
    AT("getMilliseconds", milliseconds, "The milliseconds of the second."),
    OF("getHours", whole_hours, "All of it in whole hours."),
    OF("getMinutes", whole_minutes, "All of it in whole minutes."),
    OF("getSeconds", whole_seconds, "All of it in whole seconds."),
    OF("getMilliseconds", rest_milliseconds,
       "The milliseconds of the last second."),
};

const struct cel_library cel_lib_time = CEL_LIBRARY(rows);
