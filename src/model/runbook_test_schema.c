/* Shapes of what stands in `tests:`, for editors; see runbook_schema.c. */
#include "base/assert.h"
#include "model/event_json.h"
#include "model/runbook_load_priv.h"
#include "model/runbook_test.h"

/* json_pack of our own constants only fails by a mistake in the format. */
static json_t *made(json_t *json)
{
    ASSERT(json != NULL);
    return json;
}

static json_t *scalar(size_t max)
{
    return made(json_pack("{s:[s,s,s],s:i}", "type", "string", "number",
                          "boolean", "maxLength", (int)max));
}

static json_t *scalar_or_null(void)
{
    return made(json_pack("{s:[s,s,s,s]}", "type", "string", "number",
                          "boolean", "null"));
}

static json_t *map_of(json_t *values, size_t max)
{
    return made(json_pack("{s:s,s:i,s:o}", "type", "object", "maxProperties",
                          (int)max, "additionalProperties", values));
}

static json_t *list_of(json_t *items, size_t min, size_t max)
{
    return made(json_pack("{s:s,s:i,s:i,s:o}", "type", "array", "minItems",
                          (int)min, "maxItems", (int)max, "items", items));
}

static json_t *either(json_t *a, json_t *b)
{
    return made(json_pack("{s:[o,o]}", "anyOf", a, b));
}

static json_t *reference(const char *path)
{
    return made(json_pack("{s:s}", "$ref", path));
}

json_t *schema_of_tests(void)
{
    return list_of(reference("#/definitions/test"), 0, RUNBOOK_MAX_TESTS);
}

static json_t *event_field(const struct event_field *f)
{
    struct str type = str_c(f->type);
    json_t *s = NULL;
    if (str_eq_c(type, "object")) {
        s = map_of(scalar(EVENT_ANNOTATION_VALUE_MAX_BYTES),
                   EVENT_ANNOTATIONS_MAX);
    } else if (str_eq_c(type, "number") || str_eq_c(type, "integer")) {
        s = made(json_pack("{s:s}", "type", f->type));
    } else if (str_eq_c(type, "any")) {
        s = made(json_object());
    } else {
        s = scalar(EVENT_TEXT_MAX_BYTES);
    }
    int r = json_object_set_new(s, "description", json_string(f->help));
    ASSERT(r == 0);
    return s;
}

static json_t *event_shape(void)
{
    json_t *properties = made(json_pack(
        "{s:{s:[s,s],s:s}}", "at", "type", "string", "integer", "description",
        "how long after the beginning of the test it comes"));
    size_t count = 0;
    const struct event_field *fields = event_fields(&count);
    for (size_t i = 0; i < count; i++) {
        int r = json_object_set_new(properties, fields[i].name,
                                    event_field(&fields[i]));
        ASSERT(r == 0);
    }
    return made(json_pack("{s:s,s:b,s:[s],s:o}", "type", "object",
                          "additionalProperties", 0, "required", "type",
                          "properties", properties));
}

json_t *schema_of_test_event(void)
{
    return either(event_shape(),
                  list_of(event_shape(), 1, RUNBOOK_MAX_TEST_EVENTS));
}

json_t *schema_of_test_now(void)
{
    return made(json_pack("{s:s,s:s}", "type", "string", "pattern",
                          "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]"));
}

json_t *schema_of_test_parameters(void)
{
    return map_of(scalar(RUNBOOK_PARAM_VALUE_MAX_BYTES), RUNBOOK_MAX_PARAMS);
}

/* One outcome, or one for each attempt. */
json_t *schema_of_test_mocks(void)
{
    json_t *times =
        list_of(reference("#/definitions/outcome"), 1, RUNBOOK_MAX_TEST_TIMES);
    json_t *each = made(json_pack("{s:s,s:b,s:[s],s:{s:o}}", "type", "object",
                                  "additionalProperties", 0, "required",
                                  "times", "properties", "times", times));
    return map_of(either(reference("#/definitions/outcome"), each),
                  RUNBOOK_TEST_LIST_MAX);
}

json_t *schema_of_test_expect(void)
{
    return made(json_pack("{s:[o]}", "anyOf",
                          json_pack("{s:s}", "$ref", "#/definitions/expect")));
}

json_t *schema_of_test_text(void)
{
    return scalar(RUNBOOK_COMMAND_MAX_BYTES);
}

json_t *schema_of_test_matched(void)
{
    return made(json_pack("{s:s}", "type", "boolean"));
}

json_t *schema_of_test_steps(void)
{
    return list_of(scalar(RUNBOOK_NAME_MAX_BYTES), 0, RUNBOOK_TEST_LIST_MAX);
}

json_t *schema_of_test_status(void)
{
    json_t *names = made(json_array());
    for (unsigned i = 0; i < WORKFLOW_STATUSES; i++) {
        (void)json_array_append_new(
            names, json_string(workflow_status_name((enum workflow_status)i)));
    }
    return made(json_pack("{s:s,s:o}", "type", "string", "enum", names));
}

json_t *schema_of_test_result(void)
{
    json_t *names = made(json_array());
    for (unsigned i = RESULT_NONE + 1; i < WORKFLOW_RESULTS; i++) {
        (void)json_array_append_new(
            names, json_string(workflow_result_name((enum workflow_result)i)));
    }
    return made(json_pack("{s:s,s:o}", "type", "string", "enum", names));
}

json_t *schema_of_test_values(void)
{
    return map_of(scalar_or_null(), RUNBOOK_MAX_PARAMS);
}

json_t *schema_of_test_argv(void)
{
    return map_of(
        list_of(scalar(RUNBOOK_COMMAND_MAX_BYTES), 1, RUNBOOK_MAX_ARGC),
        RUNBOOK_TEST_LIST_MAX);
}

json_t *schema_of_test_env(void)
{
    return map_of(map_of(scalar_or_null(), RUNBOOK_MAX_ENV),
                  RUNBOOK_TEST_LIST_MAX);
}

json_t *schema_of_test_attempts(void)
{
    return map_of(made(json_pack("{s:s,s:i,s:i}", "type", "integer", "minimum",
                                 0, "maximum", RUNBOOK_TEST_ATTEMPTS_MAX)),
                  RUNBOOK_TEST_LIST_MAX);
}
