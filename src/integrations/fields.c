#include "integrations/fields.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "base/assert.h"
#include "data/duration.h"
#include "data/json.h"
#include "integrations/sample_rule.h"
#include "integrations/web.h"
#include "model/notice.h"
#include "wire/exposition.h"

#define SECOND 1000ULL
#define MINUTE (60 * SECOND)
#define DAY (24 * 60 * MINUTE)

#define BIT(name) (1U << INTEGRATION_##name)
#define ALL ((1U << INTEGRATIONS) - 1)
#define AT(field) .offset = offsetof(struct integration_config, field)
#define TO(field) .target = offsetof(struct integration_config, field)

const struct integration_field integration_fields[] = {
    {"url", FIELD_URL, .of = ALL & ~BIT(SLACK), AT(url)},
    {"api_url", FIELD_URL, .of = BIT(PAGERDUTY), AT(api_url)},
    {"bearer_token", FIELD_SECRET,
     .of = BIT(PROMETHEUS) | BIT(ALERTMANAGER) | BIT(METRICS_SCRAPER),
     AT(bearer_token), TO(url)},
    {"api_key", FIELD_SECRET, .of = BIT(PAGERDUTY), AT(api_key), TO(api_url)},
    {"routing_key", FIELD_SECRET, .of = BIT(PAGERDUTY), AT(routing_key),
     TO(url)},
    {"webhook_url", FIELD_SECRET_URL, .of = BIT(SLACK), AT(webhook_url),
     TO(webhook_url)},
    {"channel", FIELD_TEXT, .of = BIT(SLACK), AT(channel)},
    {"notify_on", FIELD_WORDS, .of = BIT(PAGERDUTY) | BIT(SLACK),
     AT(notify_on)},
    {"targets", FIELD_URLS, .of = BIT(METRICS_SCRAPER), AT(targets)},
    {"metrics", FIELD_RULES, .of = BIT(METRICS_SCRAPER), AT(metrics)},
    {"resend_interval", FIELD_DURATION, .of = BIT(METRICS_SCRAPER),
     AT(resend_interval_ms), .min = SECOND, .max = DAY},
    {"scrape_interval", FIELD_DURATION,
     .of = BIT(PROMETHEUS) | BIT(METRICS_SCRAPER), AT(scrape_interval_ms),
     .min = SECOND, .max = DAY},
    {"honor_labels", FIELD_BOOL, .of = BIT(METRICS_SCRAPER), AT(honor_labels)},
    {"sample_limit", FIELD_NUMBER, .of = BIT(METRICS_SCRAPER), AT(sample_limit),
     .min = 1, .max = EXPOSITION_SAMPLES_MAX},
    {"body_size_limit", FIELD_NUMBER, .of = BIT(METRICS_SCRAPER),
     AT(body_size_limit), .min = 1024, .max = EXPOSITION_MAX_BYTES},
    {"insecure_http", FIELD_BOOL, .of = ALL, AT(insecure_http)},
    {"timeout", FIELD_DURATION, .of = ALL, AT(timeout_ms), .min = 100,
     .max = 5 * MINUTE},
};

const size_t integration_field_count = ARRAY_LEN(integration_fields);

_Static_assert(ARRAY_LEN(integration_fields) <= FIELDS_MAX, "bits and arrays");

const struct integration_field *integration_field_find(enum integration which,
                                                       const char *name)
{
    for (size_t i = 0; i < integration_field_count; i++) {
        const struct integration_field *f = &integration_fields[i];
        if ((f->of & (1U << which)) != 0 && strcmp(f->name, name) == 0) {
            return f;
        }
    }
    return NULL;
}

bool field_is_secret(const struct integration_field *f)
{
    return f->kind == FIELD_SECRET || f->kind == FIELD_SECRET_URL;
}

bool field_is_list(const struct integration_field *f)
{
    return f->kind >= FIELD_WORDS;
}

bool field_is_text(const struct integration_field *f)
{
    return f->kind < FIELD_DURATION;
}

/* ---- values ---------------------------------------------------------------
 */

static void *at(struct integration_config *c, size_t offset)
{
    return (char *)c + offset;
}

const char *field_text(const struct integration_config *c,
                       const struct integration_field *f)
{
    return *(const char *const *)((const char *)c + f->offset);
}

const char *const *field_list(const struct integration_config *c,
                              const struct integration_field *f)
{
    return *(const char *const *const *)((const char *)c + f->offset);
}

uint64_t field_number(const struct integration_config *c,
                      const struct integration_field *f)
{
    return *(const uint64_t *)((const char *)c + f->offset);
}

bool field_bool(const struct integration_config *c,
                const struct integration_field *f)
{
    return *(const bool *)((const char *)c + f->offset);
}

void field_set_text(struct integration_config *c,
                    const struct integration_field *f, const char *text,
                    struct arena *a)
{
    *(const char **)at(c, f->offset) =
        text != NULL ? arena_strdup(a, str_c(text)) : NULL;
}

static void set_list(struct integration_config *c,
                     const struct integration_field *f, const char *const *list)
{
    *(const char *const **)at(c, f->offset) = list;
}

static const char *const *copy_list(const char *const *list, struct arena *a)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL) {
        count++;
    }
    const char **copy = ARENA_ARRAY(a, count + 1, const char *);
    for (size_t i = 0; i < count; i++) {
        copy[i] = arena_strdup(a, str_c(list[i]));
    }
    return list != NULL ? copy : NULL;
}

static int check_word(const struct integration_field *f, struct str text,
                      struct err *reterr)
{
    const char *words[NOTICE_KINDS];
    for (size_t i = 0; i < NOTICE_KINDS; i++) {
        words[i] = notice_kind_name(i);
        if (str_eq_c(text, words[i])) {
            return 0;
        }
    }
    const char *near = str_nearest(text, words, NOTICE_KINDS);
    if (near != NULL) {
        err_hint(reterr, "did you mean \"%s\"?", near);
    }
    return err_set(reterr, -EINVAL,
                   "%s: \"%.*s\" is none of failed, held, killed, resolved, "
                   "escalated",
                   f->name, STR_ARG(str_slice(text, 0, 40)));
}

int field_check_element(const struct integration_field *f, struct str text,
                        struct err *reterr)
{
    err_field(reterr, "%s", f->name);
    if (f->kind == FIELD_URLS) {
        return web_url_check(text, reterr);
    }
    if (f->kind == FIELD_RULES) {
        CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
        struct sample_rule rule = {.matcher_count = 0};
        int r = sample_rule_parse(text, &a, &rule, reterr);
        sample_rule_deinit(&rule);
        return r;
    }
    return check_word(f, text, reterr);
}

static int check_list(const struct integration_field *f, const json_t *value,
                      struct err *reterr)
{
    if (!json_is_array(value) || json_array_size(value) > FIELD_LIST_MAX) {
        return err_set(reterr, -EINVAL,
                       "%s: a list of at most %d texts expected", f->name,
                       FIELD_LIST_MAX);
    }
    int r = 0;
    for (size_t i = 0; r == 0 && i < json_array_size(value); i++) {
        const json_t *element = json_array_get(value, i);
        r = json_is_string(element)
                ? field_check_element(f, json_text(element), reterr)
                : json_wrong_type(reterr, f->name, "a list of strings",
                                  element);
    }
    return r;
}

static int check_secret(const struct integration_field *f, struct str text,
                        struct err *reterr)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.at[i] <= ' ' ||
            (unsigned char)text.at[i] >= 0x7F) {
            return err_set(reterr, -EINVAL,
                           "%s: printable ASCII without blanks expected",
                           f->name);
        }
    }
    return f->kind == FIELD_SECRET_URL ? web_url_check(text, reterr) : 0;
}

static int check_text(const struct integration_field *f, struct str text,
                      struct err *reterr)
{
    if (text.len == 0 || text.len > FIELD_TEXT_MAX_BYTES) {
        err_hint(reterr, "null takes the configuration file's value");
        return err_set(reterr, -EINVAL, "%s: 1 to %d bytes expected", f->name,
                       FIELD_TEXT_MAX_BYTES);
    }
    if (field_is_secret(f)) {
        return check_secret(f, text, reterr);
    }
    if (f->kind == FIELD_URL) {
        return web_url_check(text, reterr);
    }
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7F ||
            text.len > FIELD_CHANNEL_MAX_BYTES) {
            return err_set(reterr, -EINVAL,
                           "%s: at most %d bytes without control characters "
                           "expected",
                           f->name, FIELD_CHANNEL_MAX_BYTES);
        }
    }
    return 0;
}

/* Seconds as a number, or "15s". 0, -EINVAL. */
static int read_ms(const json_t *value, uint64_t *ret)
{
    if (json_is_number(value)) {
        double seconds = json_number_value(value);
        if (!(seconds >= 0 && seconds <= 1e9)) {
            return -EINVAL;
        }
        *ret = (uint64_t)(seconds * 1000 + 0.5);
        return 0;
    }
    return json_is_string(value) ? duration_parse(json_text(value), ret)
                                 : -EINVAL;
}

static int check_ms(const struct integration_field *f, const json_t *value,
                    struct err *reterr)
{
    uint64_t ms = 0;
    char lo[DURATION_TEXT_SIZE];
    char hi[DURATION_TEXT_SIZE];
    if (read_ms(value, &ms) < 0) {
        err_hint(reterr, "write 15 or \"15s\"");
        return err_set(reterr, -EINVAL,
                       "%s: a number of seconds or a duration expected",
                       f->name);
    }
    if (ms < f->min || ms > f->max) {
        duration_format(f->min, lo);
        duration_format(f->max, hi);
        return err_set(reterr, -ERANGE, "%s: must be between %s and %s",
                       f->name, lo, hi);
    }
    return 0;
}

/* A whole number, also as a text: the command line has nothing else. */
static int read_number(const json_t *value, uint64_t *ret)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = (uint64_t)json_integer_value(value);
        return 0;
    }
    return json_is_string(value)
               ? str_to_u64(json_text(value), 0, UINT64_MAX, ret)
               : -EINVAL;
}

static int check_number(const struct integration_field *f, const json_t *value,
                        struct err *reterr)
{
    uint64_t number = 0;
    if (read_number(value, &number) < 0) {
        return err_set(reterr, -EINVAL, "%s: a whole number expected", f->name);
    }
    if (number < f->min || number > f->max) {
        return err_set(reterr, -ERANGE, "%s: must be between %llu and %llu",
                       f->name, (unsigned long long)f->min,
                       (unsigned long long)f->max);
    }
    return 0;
}

int field_check(const struct integration_field *f, const json_t *value,
                struct err *reterr)
{
    err_field(reterr, "%s", f->name);
    if (json_is_null(value)) {
        return 0;
    }
    if (f->kind == FIELD_DURATION) {
        return check_ms(f, value, reterr);
    }
    if (f->kind == FIELD_NUMBER) {
        return check_number(f, value, reterr);
    }
    if (f->kind == FIELD_BOOL) {
        return json_is_boolean(value)
                   ? 0
                   : json_wrong_type(reterr, f->name, "true or false", value);
    }
    if (field_is_list(f)) {
        return check_list(f, value, reterr);
    }
    if (!json_is_string(value)) {
        return json_wrong_type(reterr, f->name, "a string", value);
    }
    return check_text(f, json_text(value), reterr);
}

void field_set_json(struct integration_config *c,
                    const struct integration_field *f, const json_t *value,
                    struct arena *a)
{
    ASSERT(!field_is_secret(f));
    if (field_is_list(f)) {
        size_t count = json_array_size(value);
        const char **list = ARENA_ARRAY(a, count + 1, const char *);
        for (size_t i = 0; i < count; i++) {
            list[i] = arena_strdup(a, json_text(json_array_get(value, i)));
        }
        set_list(c, f, list);
        return;
    }
    if (field_is_text(f)) {
        field_set_text(c, f, json_string_value(value), a);
        return;
    }
    if (f->kind == FIELD_BOOL) {
        *(bool *)at(c, f->offset) = json_is_true(value);
        return;
    }
    uint64_t number = 0;
    int r = f->kind == FIELD_NUMBER ? read_number(value, &number)
                                    : read_ms(value, &number);
    if (r == 0) {
        *(uint64_t *)at(c, f->offset) = number;
    }
}

json_t *field_json(const struct integration_config *c,
                   const struct integration_field *f)
{
    ASSERT(!field_is_secret(f));
    if (field_is_list(f)) {
        json_t *list = json_array();
        const char *const *at = field_list(c, f);
        for (; at != NULL && *at != NULL; at++) {
            (void)json_array_append_new(list, json_string(*at));
        }
        return list;
    }
    if (field_is_text(f)) {
        const char *text = field_text(c, f);
        return text != NULL ? json_string(text) : json_null();
    }
    if (f->kind == FIELD_BOOL) {
        return json_boolean(field_bool(c, f));
    }
    uint64_t ms = field_number(c, f);
    if (f->kind == FIELD_NUMBER) {
        return json_integer((json_int_t)ms);
    }
    return ms % 1000 == 0 ? json_integer((json_int_t)(ms / 1000))
                          : json_real((double)ms / 1000);
}

struct integration_config
integration_config_copy(const struct integration_config *from, struct arena *a)
{
    struct integration_config c = *from;
    for (size_t i = 0; i < integration_field_count; i++) {
        const struct integration_field *f = &integration_fields[i];
        if (field_is_list(f)) {
            set_list(&c, f, copy_list(field_list(from, f), a));
        } else if (field_is_text(f)) {
            field_set_text(&c, f, field_text(from, f), a);
        }
    }
    return c;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_list(const char *const *a, const char *const *b)
{
    while (a != NULL && b != NULL && *a != NULL && same_text(*a, *b)) {
        a++;
        b++;
    }
    return (a != NULL ? *a : NULL) == (b != NULL ? *b : NULL);
}

bool integration_config_equal(const struct integration_config *a,
                              const struct integration_config *b)
{
    bool same = a->configured == b->configured && a->enabled == b->enabled &&
                a->set == b->set;
    for (size_t i = 0; i < integration_field_count && same; i++) {
        const struct integration_field *f = &integration_fields[i];
        if (field_is_list(f)) {
            same = same_list(field_list(a, f), field_list(b, f));
        } else if (field_is_text(f)) {
            same = same_text(field_text(a, f), field_text(b, f));
        } else if (f->kind == FIELD_BOOL) {
            same = field_bool(a, f) == field_bool(b, f);
        } else {
            same = field_number(a, f) == field_number(b, f);
        }
    }
    return same;
}

bool integration_config_complete(enum integration which,
                                 const struct integration_config *c,
                                 const char **ret_missing)
{
    static const char *const needs[INTEGRATIONS] = {
        [INTEGRATION_PROMETHEUS] = "url",
        [INTEGRATION_ALERTMANAGER] = "url",
        [INTEGRATION_PAGERDUTY] = "routing_key",
        [INTEGRATION_SLACK] = "webhook_url",
        [INTEGRATION_METRICS_SCRAPER] = "url",
    };
    *ret_missing = needs[which];
    return field_text(c, integration_field_find(which, needs[which])) != NULL;
}
