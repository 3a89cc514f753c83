/* Nothing that an event or a person names may be the platform itself: a step
 * that stops what runs it ends in doubt, with nobody left to go on. */
#include <errno.h>
#include <string.h>

#include "model/guards.h"

#define NAME "autonomous-devops"

/* Of values that begin so; a path is meant with all that is below it. */
static const char *const folders[] = {
    "/var/lib/" NAME "/state",
    "/run/" NAME,
};

static bool is_unit_letter(char c)
{
    return (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '*' ||
           c == '?' || c == '@';
}

/* autonomous-devops, its executor, with or without .service, as a pattern. */
static bool is_own_unit(struct str value)
{
    if (!str_starts(value, STR(NAME))) {
        return false;
    }
    for (size_t i = sizeof(NAME) - 1; i < value.len; i++) {
        if (!is_unit_letter(value.at[i])) {
            return false;
        }
    }
    return true;
}

static bool is_own(struct str value)
{
    if (is_own_unit(value) || str_eq(value, STR("/var/lib/" NAME)) ||
        str_eq(value, STR("/var/lib/" NAME "/"))) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        size_t n = strlen(folders[i]);
        if (str_starts(value, str_c(folders[i])) &&
            (value.len == n || value.at[n] == '/')) {
            return true;
        }
    }
    return false;
}

/* The values are looked at as they stand in the JSON: no name of a parameter
 * has a '-' or a '/', and what is escaped is none of the names. */
bool guard_names_self(struct str params_json, struct str *ret)
{
    struct str rest = params_json;
    if (rest.len < sizeof(NAME) - 1 ||
        memmem(rest.at, rest.len, NAME, sizeof(NAME) - 1) == NULL) {
        return false; /* nearly always */
    }
    for (ptrdiff_t at = str_find(rest, '"'); at >= 0;
         at = str_find(rest, '"')) {
        rest = str_slice(rest, (size_t)at + 1, rest.len);
        ptrdiff_t end = str_find(rest, '"');
        struct str value =
            str_slice(rest, 0, end >= 0 ? (size_t)end : rest.len);
        if (is_own(value)) {
            *ret = value;
            return true;
        }
    }
    return false;
}
