/* The keys of `tests:`, apart from those that the engine obeys. */
#include "model/runbook_load_priv.h"
#include "model/runbook_test.h"

#define AT(type, field) .offset = offsetof(struct type, field)
#define TABLE(of, rows, between)                                               \
    {                                                                          \
        .what = (of), .keys = (rows), .count = ARRAY_LEN(rows),                \
        .rules = (between)                                                     \
    }

static const struct key test_keys[] = {
    {"name", KEY_LINE, .required = true, AT(runbook_test, name),
     .max = RUNBOOK_NAME_MAX_BYTES, .pattern = "^[^\\x00-\\x1f\\x7f]*$",
     .help = "What the test shows, in a few words; no two are the same."},
    {"event", KEY_READ, .read = test_read_event, .schema = schema_of_test_event,
     .help = "The event that comes, with the fields of POST /api/events; or a "
             "list of them, each with at: how long after the beginning."},
    {"parameters", KEY_READ, .read = test_read_parameters,
     .schema = schema_of_test_parameters,
     .help = "Instead of event: the runbook is run by hand with these."},
    {"mocks", KEY_READ, .read = test_read_mocks, .schema = schema_of_test_mocks,
     .help = "What steps do, by id or name. A step without a mock takes a "
             "second and succeeds."},
    {"now", KEY_READ, .read = test_read_now, .schema = schema_of_test_now,
     .standard = "\"2026-01-05T12:00:00Z\"",
     .help = "When the test begins, an RFC 3339 time."},
    {"until", KEY_DURATION, AT(runbook_test, until_ms), .min = 1,
     .max = RUNBOOK_TEST_AT_MAX_MS,
     .help = "How long after its beginning the test is looked at. Without it: "
             "when nothing runs or waits any more, a day after the last event "
             "at the latest."},
    {"expect", KEY_READ, .required = true, .read = test_read_expect,
     .schema = schema_of_test_expect, .help = "What comes of it."},
};

static const struct key outcome_keys[] = {
    {"exit", KEY_COUNT, AT(test_outcome, exit_code), .min = 0, .max = 255,
     .standard = "0", .help = "The status it exits with."},
    {"stdout", KEY_READ, .read = outcome_read_text,
     .schema = schema_of_test_text, .help = "What it prints."},
    {"stderr", KEY_READ, .read = outcome_read_error,
     .schema = schema_of_test_text, .help = "What it prints as errors."},
    {"after", KEY_DURATION, AT(test_outcome, after_ms), .min = 0,
     .max = RUNBOOK_TEST_AT_MAX_MS, .standard = "\"1s\"",
     .help = "How long it takes; over its timeout it is ended."},
    {"hangs", KEY_BOOL, AT(test_outcome, hangs), .standard = "false",
     .help = "It does not end by itself."},
};

static const struct key expect_keys[] = {
    {"matched", KEY_READ, .read = expect_read_matched,
     .schema = schema_of_test_matched,
     .help = "Whether a trigger fits one of the events."},
    {"started", KEY_COUNT, AT(test_expect, started), .min = 0, .max = 1000,
     .help = "How many workflows are started."},
    {"held_back", KEY_LINE, AT(test_expect, held_back),
     .max = RUNBOOK_DESCRIPTION_MAX_BYTES, .pattern = "^[^\\x00-\\x1f\\x7f]*$",
     .help = "A part of why an event starts nothing."},
    {"ran", KEY_READ, .read = expect_read_ran, .schema = schema_of_test_steps,
     .help = "The steps that run, by id or name, in the order in which they "
             "begin; one that is tried again stands once."},
    {"skipped", KEY_READ, .read = expect_read_skipped,
     .schema = schema_of_test_steps, .help = "Steps that do not run."},
    {"attempts", KEY_READ, .read = expect_read_attempts,
     .schema = schema_of_test_attempts,
     .help = "How often steps are tried, by id or name."},
    {"status", KEY_READ, .read = expect_read_status,
     .schema = schema_of_test_status,
     .help = "What becomes of the workflow: succeeded, failed, held, ..."},
    {"result", KEY_READ, .read = expect_read_result,
     .schema = schema_of_test_result, .help = "And more precisely."},
    {"error", KEY_LINE, AT(test_expect, error),
     .max = RUNBOOK_DESCRIPTION_MAX_BYTES, .pattern = "^[^\\x00-\\x1f\\x7f]*$",
     .help = "A part of the workflow's error."},
    {"parameters", KEY_READ, .read = expect_read_parameters,
     .schema = schema_of_test_values,
     .help = "Its parameters: those named here have these values, and null "
             "means none."},
    {"argv", KEY_READ, .read = expect_read_argv, .schema = schema_of_test_argv,
     .help = "The program and arguments that a step is given, by id or name."},
    {"env", KEY_READ, .read = expect_read_env, .schema = schema_of_test_env,
     .help = "Environment variables that a step is given, by id or name; null "
             "means that it has none of this name."},
};

const struct key_table runbook_test_keys =
    TABLE("a test", test_keys,
          "{\"oneOf\":[{\"required\":[\"event\"]},"
          "{\"required\":[\"parameters\"]}]}");
const struct key_table runbook_outcome_keys =
    TABLE("a mock", outcome_keys, NULL);
const struct key_table runbook_expect_keys = TABLE("expect", expect_keys, NULL);
