#include "model/runbook_schema.h"

#include "base/assert.h"
#include "base/strbuf.h"
#include "model/event_json.h"
#include "model/params_value.h"
#include "model/runbook_guards.h"
#include "model/runbook_watch.h"
#include "model/step_outputs.h"

#define PARAM_NAME "^[a-z][a-z0-9_]{0,63}$"
#define OUTPUT_NAME "^[a-z_][a-z0-9_]{0,63}$"
#define VARIABLE_NAME "[A-Z][A-Z0-9_]{0,63}$"

/* A bare number is seconds; units come largest first, each at most once. */
#define DURATION                                                               \
    "^([0-9]+|(?=[0-9])([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?"     \
    "([0-9]+s)?([0-9]+ms)?)$"

/* json_pack of our own constants only fails by a mistake in the format. */
static json_t *made(json_t *json)
{
    ASSERT(json != NULL);
    return json;
}

static void put(json_t *object, const char *name, json_t *value)
{
    int r = json_object_set_new(object, name, made(value));
    ASSERT(r == 0);
}

static json_t *parsed(const char *text)
{
    return made(json_loads(text, JSON_DECODE_ANY, NULL));
}

/* Any scalar is a text as it is written, but for null. */
static json_t *scalar(size_t min, size_t max)
{
    json_t *s =
        made(json_pack("{s:[s,s,s]}", "type", "string", "number", "boolean"));
    if (min != 0) {
        put(s, "minLength", json_integer((json_int_t)min));
    }
    if (max != 0) {
        put(s, "maxLength", json_integer((json_int_t)max));
    }
    return s;
}

static json_t *scalar_without_template(size_t min, size_t max)
{
    json_t *s = scalar(min, max);
    put(s, "not",
        json_pack("{s:s,s:s}", "type", "string", "pattern", "\\$\\{\\{"));
    return s;
}

static json_t *reference(const char *definition)
{
    struct strbuf path = STRBUF_INIT(64);
    strbuf_addf(&path, "#/definitions/%s", definition);
    json_t *s = made(json_pack("{s:s}", "$ref", strbuf_str(&path).at));
    strbuf_deinit(&path);
    return s;
}

static json_t *list_of(json_t *items, size_t min, size_t max)
{
    return made(json_pack("{s:s,s:i,s:i,s:o}", "type", "array", "minItems",
                          (int)min, "maxItems", (int)max, "items", items));
}

static json_t *map_of(json_t *values, size_t max)
{
    return made(json_pack("{s:s,s:i,s:o}", "type", "object", "maxProperties",
                          (int)max, "additionalProperties", values));
}

static json_t *either(json_t *a, json_t *b)
{
    return made(json_pack("{s:[o,o]}", "anyOf", a, b));
}

/* What stands beside a reference is ignored; this can have a description. */
static json_t *only(json_t *a)
{
    return made(json_pack("{s:[o]}", "anyOf", a));
}

/* ---- values that a function reads ---------------------------------------- */

json_t *schema_of_params(void)
{
    json_t *s = map_of(reference("parameter"), RUNBOOK_MAX_PARAMS);
    put(s, "propertyNames", json_pack("{s:s}", "pattern", PARAM_NAME));
    return s;
}

json_t *schema_of_triggers(void)
{
    return list_of(reference("trigger"), 0, RUNBOOK_MAX_TRIGGERS);
}

json_t *schema_of_steps(void)
{
    return list_of(reference("step"), 1, RUNBOOK_MAX_STEPS);
}

/* Only what is done can be taken back. */
json_t *schema_of_section(void)
{
    json_t *step =
        made(json_pack("{s:[o,{s:{s:[s]}}]}", "allOf", reference("step"), "not",
                       "required", "rollback"));
    return list_of(step, 1, RUNBOOK_MAX_STEPS);
}

json_t *schema_of_verify(void)
{
    return only(reference("verify"));
}

json_t *schema_of_rollback(void)
{
    return only(reference("rollback"));
}

json_t *schema_of_param_type(void)
{
    json_t *names = json_array();
    for (unsigned i = 0; i < PARAM_TYPES; i++) {
        (void)json_array_append_new(
            names, json_string(param_type_name((enum param_type)i)));
    }
    return made(json_pack("{s:s,s:o}", "type", "string", "enum", names));
}

json_t *schema_of_pattern(void)
{
    return scalar(1, PATTERN_MAX_BYTES);
}

json_t *schema_of_values(void)
{
    json_t *s = list_of(scalar(1, RUNBOOK_PARAM_VALUE_MAX_BYTES), 1,
                        RUNBOOK_MAX_VALUES);
    put(s, "uniqueItems", json_true());
    return s;
}

json_t *schema_of_default(void)
{
    return scalar(0, RUNBOOK_PARAM_VALUE_MAX_BYTES);
}

static json_t *one_of_words(const char *(*word)(size_t i))
{
    json_t *names = json_array();
    for (size_t i = 0; word(i) != NULL; i++) {
        (void)json_array_append_new(names, json_string(word(i)));
    }
    return made(json_pack("{s:s,s:o}", "type", "string", "enum", names));
}

json_t *schema_of_state(void)
{
    return one_of_words(trigger_state_word);
}

json_t *schema_of_on_resolve(void)
{
    return one_of_words(trigger_resolve_word);
}

json_t *schema_of_labels(void)
{
    json_t *s = map_of(scalar_without_template(0, EVENT_LABEL_VALUE_MAX_BYTES),
                       RUNBOOK_MAX_MATCHERS);
    put(s, "propertyNames",
        json_pack("{s:i,s:i}", "minLength", 1, "maxLength",
                  EVENT_LABEL_NAME_MAX_BYTES));
    return s;
}

json_t *schema_of_matchers(void)
{
    return either(scalar(1, 0), list_of(scalar(1, 0), 0, RUNBOOK_MAX_MATCHERS));
}

json_t *schema_of_when(void)
{
    return scalar_without_template(1, CEL_LIMITS_DEFAULT.bytes);
}

json_t *schema_of_outputs(void)
{
    json_t *s = map_of(schema_of_when(), STEP_OUTPUTS_MAX);
    put(s, "propertyNames", json_pack("{s:s}", "pattern", OUTPUT_NAME));
    return s;
}

json_t *schema_of_bindings(void)
{
    json_t *s =
        map_of(scalar(0, RUNBOOK_COMMAND_MAX_BYTES), RUNBOOK_MAX_PARAMS);
    put(s, "propertyNames", json_pack("{s:s}", "pattern", PARAM_NAME));
    return s;
}

json_t *schema_of_step_action(void)
{
    json_t *names = json_array();
    for (unsigned i = 0; i < STEP_ACTIONS; i++) {
        (void)json_array_append_new(
            names, json_string(step_action_name((enum step_action)i)));
    }
    return made(json_pack("{s:s,s:o}", "type", "string", "enum", names));
}

json_t *schema_of_action(void)
{
    return made(json_pack("{s:s,s:[s]}", "type", "string", "enum", "exec"));
}

json_t *schema_of_command(void)
{
    return scalar_without_template(1, RUNBOOK_COMMAND_MAX_BYTES);
}

/* The program is constant. */
json_t *schema_of_argv(void)
{
    return made(json_pack("{s:s,s:i,s:i,s:[o],s:o}", "type", "array",
                          "minItems", 1, "maxItems", RUNBOOK_MAX_ARGC, "items",
                          scalar_without_template(1, RUNBOOK_COMMAND_MAX_BYTES),
                          "additionalItems",
                          scalar(0, RUNBOOK_COMMAND_MAX_BYTES)));
}

/* The loader says what is left of the three fields and labels.NAME. */
json_t *schema_of_dedup(void)
{
    static const char part[] = "^(type|severity|source|labels[.].+)$";
    json_t *one =
        made(json_pack("{s:s,s:s}", "type", "string", "pattern", part));
    json_t *list = list_of(json_deep_copy(one), 1, TRIGGER_DEDUP_MAX);
    put(list, "uniqueItems", json_true());
    return either(one, list);
}

json_t *schema_of_count(void)
{
    return only(reference("count"));
}

json_t *schema_of_max_runs(void)
{
    return only(reference("max_runs"));
}

json_t *schema_of_concurrency(void)
{
    return either(json_pack("{s:s,s:i,s:i}", "type", "integer", "minimum", 1,
                            "maximum", RUNBOOK_MAX_CONCURRENT),
                  reference("concurrency"));
}

json_t *schema_of_on_limit(void)
{
    json_t *words = made(json_array());
    for (size_t i = 0; guard_on_limit_name(i) != NULL; i++) {
        (void)json_array_append_new(words, json_string(guard_on_limit_name(i)));
    }
    return made(json_pack("{s:s,s:o}", "type", "string", "enum", words));
}

json_t *schema_of_target(void)
{
    return scalar(1, 0);
}

json_t *schema_of_guards(void)
{
    return only(reference("guards"));
}

json_t *schema_of_max_starts(void)
{
    return only(reference("max_starts"));
}

json_t *schema_of_breaker(void)
{
    return either(json_pack("{s:b}", "const", 0), reference("breaker"));
}

json_t *schema_of_absent(void)
{
    return only(reference("absent"));
}

json_t *schema_of_flapping(void)
{
    return only(reference("flapping"));
}

/* "^(?!LD_|ENV$)[A-Z]...": those that a step may set. */
json_t *schema_of_env(void)
{
    struct strbuf names = STRBUF_INIT(4096);
    strbuf_addc(&names, "^(?!");
    for (size_t i = 0; step_refused_variable(i) != NULL; i++) {
        struct str name = str_c(step_refused_variable(i));
        bool prefix = str_ends(name, STR("*"));
        strbuf_addf(&names, "%s%.*s%s", i == 0 ? "" : "|",
                    (int)(name.len - (prefix ? 1 : 0)), name.at,
                    prefix ? "" : "$");
    }
    strbuf_addc(&names, ")" VARIABLE_NAME);
    ASSERT(strbuf_error(&names) == 0);
    json_t *s = map_of(scalar(0, RUNBOOK_COMMAND_MAX_BYTES), RUNBOOK_MAX_ENV);
    put(s, "propertyNames", json_pack("{s:s}", "pattern", names.at));
    strbuf_deinit(&names);
    return s;
}

json_t *schema_of_retry(void)
{
    return either(json_pack("{s:s,s:i,s:i}", "type", "integer", "minimum", 1,
                            "maximum", RUNBOOK_MAX_ATTEMPTS),
                  reference("retry"));
}

/* ---- values that the tables describe --------------------------------------
 */

static json_t *line_of(const struct key *k)
{
    json_t *s = scalar(1, k->max);
    if (k->pattern != NULL) {
        put(s, "pattern", json_string(k->pattern));
    }
    return s;
}

static json_t *duration_of(const struct key *k)
{
    json_t *seconds = made(json_pack("{s:s}", "type", "integer"));
    put(seconds, "minimum", json_integer((json_int_t)((k->min + 999) / 1000)));
    put(seconds, "maximum", json_integer((json_int_t)(k->max / 1000)));
    return either(
        seconds, json_pack("{s:s,s:s}", "type", "string", "pattern", DURATION));
}

static json_t *count_of(const struct key *k)
{
    json_t *s = made(json_pack("{s:s}", "type", "integer"));
    put(s, "minimum", json_integer((json_int_t)k->min));
    put(s, "maximum", json_integer((json_int_t)k->max));
    return s;
}

static json_t *value_of(const struct key *k)
{
    switch (k->kind) {
    case KEY_LINE:
    case KEY_BLOCK:
        return line_of(k);
    case KEY_BOOL:
        return made(json_pack("{s:s}", "type", "boolean"));
    case KEY_COUNT:
        return count_of(k);
    case KEY_DURATION:
        return duration_of(k);
    case KEY_LINES:
        return either(line_of(k), list_of(line_of(k), 1, RUNBOOK_MAX_VALUES));
    case KEY_READ:
    default:
        /* A row that does not say takes anything; its test fails. */
        return k->schema != NULL ? k->schema() : made(json_object());
    }
}

static json_t *property(const struct key *k)
{
    json_t *s =
        made(json_pack("{s:s}", "description", k->help != NULL ? k->help : ""));
    json_t *value = value_of(k);
    int r = json_object_update_missing(s, value);
    ASSERT(r == 0);
    json_decref(value);
    if (k->standard != NULL) {
        put(s, "default", parsed(k->standard));
    }
    return s;
}

static json_t *mapping(const struct key_table *t)
{
    json_t *required = made(json_array());
    json_t *properties = made(json_object());
    for (size_t i = 0; i < t->count; i++) {
        const struct key *k = &t->keys[i];
        put(properties, k->name, property(k));
        if (k->required) {
            (void)json_array_append_new(required, json_string(k->name));
        }
    }
    json_t *s = made(json_pack("{s:s,s:b,s:o,s:o}", "type", "object",
                               "additionalProperties", 0, "required", required,
                               "properties", properties));
    if (t->rules != NULL) {
        json_t *rules = parsed(t->rules);
        int r = json_object_update_missing(s, rules);
        ASSERT(r == 0);
        json_decref(rules);
    }
    return s;
}

/* Mappings that others refer to. */
static const struct {
    const char *name;
    const struct key_table *table;
} definition_tables[] = {
    {"parameter", &runbook_param_keys},
    {"trigger", &runbook_trigger_keys},
    {"count", &runbook_count_keys},
    {"max_runs", &runbook_max_runs_keys},
    {"absent", &runbook_absent_keys},
    {"flapping", &runbook_flapping_keys},
    {"guards", &runbook_guard_keys},
    {"concurrency", &runbook_concurrency_keys},
    {"max_starts", &runbook_max_starts_keys},
    {"breaker", &runbook_breaker_keys},
    {"step", &runbook_step_keys},
    {"retry", &runbook_retry_keys},
    {"rollback", &runbook_rollback_keys},
    {"verify", &runbook_verify_keys},
    {"test", &runbook_test_keys},
    {"outcome", &runbook_outcome_keys},
    {"expect", &runbook_expect_keys},
};

json_t *runbook_schema(void)
{
    json_t *s = made(json_pack(
        "{s:s,s:s,s:s}", "$schema", "http://json-schema.org/draft-07/schema#",
        "title", "Runbook of the Autonomous DevOps Platform", "description",
        "What an event starts: see runbook(5)."));
    json_t *top = mapping(&runbook_keys);
    int r = json_object_update_missing(s, top);
    ASSERT(r == 0);
    json_decref(top);
    json_t *definitions = made(json_object());
    for (size_t i = 0; i < ARRAY_LEN(definition_tables); i++) {
        put(definitions, definition_tables[i].name,
            mapping(definition_tables[i].table));
    }
    put(s, "definitions", definitions);
    return s;
}
