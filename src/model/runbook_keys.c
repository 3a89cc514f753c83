#include "model/runbook_guards.h"
#include "model/runbook_watch.h"

#define WORD_MAX RUNBOOK_WORD_MAX_BYTES
#define AT(type, field) .offset = offsetof(struct type, field)
#define COUNT_AT(type, field) .count_offset = offsetof(struct type, field)
#define TABLE(of, rows, between)                                               \
    {                                                                          \
        .what = (of), .keys = (rows), .count = ARRAY_LEN(rows),                \
        .rules = (between)                                                     \
    }

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_step_id(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_lower(s.at[i]) && s.at[i] != '_' &&
            (i == 0 || !is_digit(s.at[i]))) {
            return false;
        }
    }
    return s.len != 0;
}

static bool is_user_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_lower(s.at[i]) && s.at[i] != '_' &&
            (i == 0 || (!is_digit(s.at[i]) && s.at[i] != '-'))) {
            return false;
        }
    }
    return s.len != 0 && s.len <= 32;
}

static bool is_word(struct str s)
{
    return str_find(s, ' ') < 0;
}

#define LINE_PATTERN "^[^\\x00-\\x1f\\x7f]*$"
#define WORD_PATTERN "^[^ \\x00-\\x1f\\x7f]*$"
#define STEP_ID_PATTERN "^[a-z_][a-z0-9_]*$"
#define USER_PATTERN "^[a-z_][a-z0-9_-]{0,31}$"

/* Parameters stand in front of what refers to them: a mapping is read in the
 * order of its table, not of the file. */
static const struct key top_keys[] = {
    {"name", KEY_LINE, .required = true, AT(runbook, name),
     .max = RUNBOOK_NAME_MAX_BYTES, .pattern = LINE_PATTERN,
     .help = "What people call the runbook."},
    {"description", KEY_BLOCK, AT(runbook, description),
     .max = RUNBOOK_DESCRIPTION_MAX_BYTES,
     .help = "What it does and when, in one or more lines."},
    {"category", KEY_LINE, AT(runbook, category), .max = WORD_MAX,
     .valid = is_word, .expected = "one word", .pattern = WORD_PATTERN,
     .help = "One word to list runbooks by, such as remediation."},
    {"parameters", KEY_READ, .read = runbook_read_params,
     .schema = schema_of_params,
     .help = "The values it takes, by name. A step sees NAME as "
             "$ADP_PARAM_NAME and as ${{ parameters.name }}."},
    {"triggers", KEY_READ, .read = runbook_read_triggers,
     .schema = schema_of_triggers,
     .help = "An event that fits one of these starts a workflow. Without "
             "triggers the runbook only runs by hand."},
    {"concurrency", KEY_READ, .read = runbook_read_concurrency,
     .schema = schema_of_concurrency,
     .help = "At most this many workflows of the runbook at a time; further "
             "ones wait, or {limit: 1, on_limit: drop}. Without it there is "
             "no limit of its own."},
    {"timeout", KEY_DURATION, AT(runbook, timeout_ms), .min = 1000,
     .max = RUNBOOK_TIMEOUT_MAX_MS,
     .help = "The longest that a workflow may take, 1s to 7d. Without it: as "
             "configured."},
    {"guards", KEY_READ, .read = runbook_read_guards,
     .schema = schema_of_guards,
     .help = "What may hold its workflows back, besides the limits of its "
             "triggers."},
    {"diagnose", KEY_READ, .read = runbook_read_diagnose,
     .schema = schema_of_section,
     .help = "Steps that look before anything is changed, and change nothing. "
             "What they find is kept; when one fails the next runs."},
    {"steps", KEY_READ, .required = true, .read = runbook_read_steps,
     .schema = schema_of_steps, .help = "What it does, one after another."},
    {"verify", KEY_READ, .read = runbook_read_verify,
     .schema = schema_of_verify,
     .help = "A probe that says whether the steps have helped: it must succeed "
             "within a time, and go on to for another. Else the workflow "
             "fails, and its steps are taken back."},
    {"on_failure", KEY_READ, .read = runbook_read_on_failure,
     .schema = schema_of_section,
     .help = "Steps that run when the workflow fails, after the rollbacks; "
             "all of them, even if one fails."},
    {"finally", KEY_READ, .read = runbook_read_finally,
     .schema = schema_of_section,
     .help = "Steps that run at the end, whatever happened, all of them; a "
             "cancelled workflow runs them too, a killed one does not."},
    {"tests", KEY_READ, .read = runbook_read_tests, .schema = schema_of_tests,
     .help = "What is expected to happen: played by adctl runbook test, "
             "ignored by the engine."},
};

static const struct key param_keys[] = {
    {"type", KEY_READ, .read = param_read_type, .schema = schema_of_param_type,
     .standard = "\"string\"", .help = "What kind of value it takes."},
    {"description", KEY_BLOCK, AT(param, description),
     .max = RUNBOOK_DESCRIPTION_MAX_BYTES, .help = "What it is for."},
    {"required", KEY_BOOL, AT(param, required), .standard = "false",
     .help = "A workflow without it is refused."},
    {"secret", KEY_BOOL, AT(param, secret), .standard = "false",
     .help = "Its value is shown as *** everywhere. It has no default and no "
             "trigger fills it."},
    {"allow_leading_dash", KEY_BOOL, AT(param, allow_leading_dash),
     .standard = "false",
     .help = "A text may begin with -, which programs take for an option."},
    {"pattern", KEY_READ, .read = param_read_pattern,
     .schema = schema_of_pattern,
     .help = "A regular expression that the whole text must match; for "
             "strings."},
    {"values", KEY_READ, .read = param_read_values, .schema = schema_of_values,
     .help = "The values of an enum."},
    {"default", KEY_READ, .read = param_read_default,
     .schema = schema_of_default, .help = "Its value when none is given."},
};

static const struct key trigger_keys[] = {
    {"id", KEY_LINE, AT(trigger, id), .max = WORD_MAX, .valid = is_step_id,
     .expected = "lower-case letters, digits and _, a letter first",
     .pattern = STEP_ID_PATTERN,
     .help = "A short name: what the trigger remembers is kept under it."},
    {"type", KEY_LINE, AT(trigger, type), .max = WORD_MAX, .valid = is_word,
     .expected = "one word", .pattern = WORD_PATTERN,
     .help = "The event's type: alert, metric, webhook, change or one's own. "
             "Without it: any."},
    {"state", KEY_READ, .read = trigger_read_state, .schema = schema_of_state,
     .standard = "\"firing\"",
     .help = "Which alerts: firing, resolved or any."},
    {"on", KEY_READ, .read = trigger_read_state, .schema = schema_of_state,
     .standard = "\"firing\"", .help = "Another name of state."},
    {"severity", KEY_LINES, AT(trigger, severities),
     COUNT_AT(trigger, severity_count), .max = WORD_MAX, .valid = is_word,
     .expected = "one word", .pattern = WORD_PATTERN,
     .help = "One severity, or a list of which one must be the event's."},
    {"source", KEY_LINES, AT(trigger, sources), COUNT_AT(trigger, source_count),
     .max = RUNBOOK_SOURCE_MAX_BYTES, .pattern = LINE_PATTERN,
     .help = "One source, or a list of which one must be the event's."},
    {"labels", KEY_READ, .read = trigger_read_labels,
     .schema = schema_of_labels,
     .help = "Labels with the value that each must have."},
    {"matchers", KEY_READ, .read = trigger_read_matchers,
     .schema = schema_of_matchers,
     .help = "Alertmanager's matchers, all of which must hold: "
             "instance=~\"web-.+\", team!=db."},
    {"when", KEY_READ, .read = trigger_read_when, .schema = schema_of_when,
     .help = "A condition in CEL that must be true as well: "
             "event.value > 90. A label that may be missing is guarded: "
             "has(event.labels.env) && ..."},
    {"parameters", KEY_READ, .read = trigger_read_parameters,
     .schema = schema_of_bindings,
     .help = "The workflow's parameters, from the event, by expressions: "
             "${{ event.labels.unit }}, ${{ int(event.value) }}."},
    {"dedup", KEY_READ, .read = trigger_read_dedup, .schema = schema_of_dedup,
     .help = "What the limits below are kept by, such as labels.instance; "
             "without it: one key for all events."},
    {"cooldown", KEY_DURATION, AT(trigger, limits.cooldown_ms), .min = 1000,
     .max = RUNBOOK_MEMORY_LIMIT_MS,
     .help = "After a start for a key, how long nothing is started for it."},
    {"count", KEY_READ, .read = trigger_read_count, .schema = schema_of_count,
     .help = "Starts only when so many events of a key have come within a "
             "time, then counts anew."},
    {"max_runs", KEY_READ, .read = trigger_read_max_runs,
     .schema = schema_of_max_runs,
     .help = "At most so many workflows for a key in any window of that "
             "length."},
    {"for", KEY_DURATION, AT(trigger, watch.for_ms), .min = 1000,
     .max = RUNBOOK_MEMORY_LIMIT_MS,
     .help = "Starts only when the alert has been firing for so long; if it "
             "resolves before, nothing starts."},
    {"on_resolve", KEY_READ, .read = trigger_read_on_resolve,
     .schema = schema_of_on_resolve,
     .help = "What becomes of its workflows when their alert resolves: "
             "let_finish or cancel. Either way an older event of the alert "
             "that comes late starts nothing."},
    {"flapping", KEY_READ, .read = trigger_read_flapping,
     .schema = schema_of_flapping,
     .help = "Held back while the alert comes and goes more often than that."},
    {"absent", KEY_READ, .read = trigger_read_absent,
     .schema = schema_of_absent,
     .help = "Starts when no such event has come for so long, not when one "
             "comes."},
};

static const struct key absent_keys[] = {
    {"within", KEY_DURATION, .required = true, AT(trigger, watch.absent_ms),
     .min = 1000, .max = RUNBOOK_MEMORY_LIMIT_MS,
     .help = "How long nothing has come, since the last event of a key, or "
             "since the runbook is there if dedup makes no keys."},
};

static const struct key flapping_keys[] = {
    {"changes", KEY_COUNT, .required = true, AT(trigger, watch.changes_most),
     .min = 2, .max = TRIGGER_MEMORY_MAX - 1,
     .help = "How many changes of its state are still calm."},
    {"within", KEY_DURATION, .required = true,
     AT(trigger, watch.changes_within_ms), .min = 1000,
     .max = RUNBOOK_MEMORY_LIMIT_MS, .help = "The length of the window."},
};

static const struct key count_keys[] = {
    {"at_least", KEY_COUNT, .required = true, AT(trigger, limits.count_least),
     .min = 2, .max = TRIGGER_MEMORY_MAX, .help = "How many events."},
    {"within", KEY_DURATION, .required = true,
     AT(trigger, limits.count_within_ms), .min = 1000,
     .max = RUNBOOK_MEMORY_LIMIT_MS, .help = "The time they must come in."},
};

static const struct key max_runs_keys[] = {
    {"limit", KEY_COUNT, .required = true, AT(trigger, limits.runs_most),
     .min = 1, .max = TRIGGER_MEMORY_MAX, .help = "How many workflows."},
    {"within", KEY_DURATION, .required = true,
     AT(trigger, limits.runs_within_ms), .min = 1000,
     .max = RUNBOOK_MEMORY_LIMIT_MS, .help = "The length of the window."},
    {"escalate", KEY_BOOL, AT(trigger, limits.escalate), .standard = "false",
     .help = "When it holds something back, people are told once, and nothing "
             "more is started for the key until the time has passed again or "
             "somebody has reset it."},
};

static const struct key concurrency_keys[] = {
    {"limit", KEY_COUNT, .required = true, AT(runbook, max_concurrent),
     .min = 1, .max = RUNBOOK_MAX_CONCURRENT,
     .help = "How many workflows at a time."},
    {"on_limit", KEY_READ, .read = guard_read_on_limit,
     .schema = schema_of_on_limit, .standard = "\"queue\"",
     .help = "What becomes of an event beyond that: queue lets its workflow "
             "wait, drop starts none, replace cancels the oldest one."},
};

static const struct key guard_keys[] = {
    {"target", KEY_READ, .read = guard_read_target, .schema = schema_of_target,
     .help = "What a workflow changes, such as ${{ parameters.instance }}: "
             "two with the same target never run at once, of whatever "
             "runbook, and none runs without one."},
    {"max_starts", KEY_READ, .read = guard_read_max_starts,
     .schema = schema_of_max_starts,
     .help = "At most so many workflows of the runbook in any window of that "
             "length, whatever the trigger and the key."},
    {"max_age", KEY_DURATION, AT(runbook, guards.max_age_ms), .min = 1000,
     .max = RUNBOOK_MEMORY_LIMIT_MS,
     .help = "An event that was received longer ago starts nothing. Without "
             "it: guards.max_age as configured, 24h unless changed."},
    {"breaker", KEY_READ, .read = guard_read_breaker,
     .schema = schema_of_breaker,
     .help = "When so many workflows have failed within a time, nothing is "
             "started for a while, and then one as a probe; false: never. "
             "Without it: as configured."},
};

static const struct key max_starts_keys[] = {
    {"limit", KEY_COUNT, .required = true, AT(runbook, guards.starts.most),
     .min = 1, .max = MEMORY_INSTANTS_MAX, .help = "How many workflows."},
    {"within", KEY_DURATION, .required = true,
     AT(runbook, guards.starts.within_ms), .min = 1000,
     .max = RUNBOOK_MEMORY_LIMIT_MS, .help = "The length of the window."},
};

static const struct key breaker_keys[] = {
    {"failures", KEY_COUNT, AT(runbook, guards.breaker.failures), .min = 1,
     .max = GUARD_BREAKER_MAX, .standard = "5",
     .help = "How many workflows must have failed."},
    {"within", KEY_DURATION, AT(runbook, guards.breaker.within_ms), .min = 1000,
     .max = RUNBOOK_MEMORY_LIMIT_MS, .standard = "\"30m\"",
     .help = "The time they must have failed in."},
    {"open_for", KEY_DURATION, AT(runbook, guards.breaker.open_ms), .min = 1000,
     .max = RUNBOOK_MEMORY_LIMIT_MS, .standard = "\"15m\"",
     .help = "How long after the last failure nothing is started."},
};

/* What a step runs, and how; and what is done when that is not enough. */
#define STEP_RUN_KEYS                                                          \
    {"command", KEY_READ, .read = step_read_command,                           \
     .schema = schema_of_command,                                              \
     .help = "Constant text for /bin/sh. Values come as variables, "           \
             "\"$ADP_PARAM_NAME\"; ${{ }} is an error here."},                 \
        {"argv", KEY_READ, .read = step_read_argv, .schema = schema_of_argv,   \
         .help =                                                               \
             "Instead of command: the program and its arguments, each passed " \
             "as one whatever it contains."},                                  \
        {"env", KEY_READ, .read = step_read_env, .schema = schema_of_env,      \
         .help = "More environment variables."},                               \
        {"run_as",                                                             \
         KEY_LINE,                                                             \
         AT(step, run_as),                                                     \
         .max = WORD_MAX,                                                      \
         .valid = is_user_name,                                                \
         .expected = "the name of a user",                                     \
         .pattern = USER_PATTERN,                                              \
         .help = "The user to run it as, one that executor.run_as_allowed "    \
                 "permits. Without it: the executor's own."},                  \
    {                                                                          \
        "timeout", KEY_DURATION, AT(step, timeout_ms),                         \
            .min = 1, .max = RUNBOOK_STEP_TIMEOUT_MAX_MS,                      \
            .help = "The longest that one attempt may take, at most 1h. "      \
                    "Without it: "                                             \
                    "as configured, 1m unless changed."                        \
    }

#define STEP_REPEAT_KEYS                                                       \
    {"idempotent", KEY_BOOL, AT(step, idempotent), .standard = "false",        \
     .help = "It may be run again when nobody knows whether it took effect. "  \
             "Without it the workflow is held then, for a person to decide."}, \
    {                                                                          \
        "retry", KEY_READ,                                                     \
            .read = step_read_retry, .schema = schema_of_retry,                \
            .help = "How often it is tried, or {attempts: 3, backoff: 5s, "    \
                    "max_backoff: 1m}."                                        \
    }

static const struct key step_keys[] = {
    {"name", KEY_LINE, .required = true, AT(step, name),
     .max = RUNBOOK_NAME_MAX_BYTES, .pattern = LINE_PATTERN,
     .help = "What people call the step; no two are the same."},
    {"id", KEY_LINE, AT(step, id), .max = WORD_MAX, .valid = is_step_id,
     .expected = "lower-case letters, digits and _, a letter first",
     .pattern = STEP_ID_PATTERN,
     .help = "A short name: lower-case letters, digits and _."},
    {"action", KEY_READ, .read = step_read_action,
     .schema = schema_of_step_action, .standard = "\"exec\"",
     .help = "What the step does: exec runs a program, wait lets time pass."},
    {"for", KEY_DURATION, AT(step, wait_ms), .min = 1,
     .max = RUNBOOK_WAIT_MAX_MS, .help = "How long a wait takes, at most 1d."},
    STEP_RUN_KEYS,
    {"when", KEY_READ, .read = step_read_when, .schema = schema_of_when,
     .help = "A condition in CEL. When it is false the step is skipped: "
             "steps.look.outputs.used > 85."},
    {"outputs", KEY_READ, .read = step_read_outputs,
     .schema = schema_of_outputs,
     .help = "What it tells to later steps, in CEL over exit_code, stdout, "
             "stderr and json: {used: int(stdout.trim())}. Needs an id."},
    {"continue_on_error", KEY_BOOL, AT(step, continue_on_error),
     .standard = "false", .help = "The next step runs even if this one fails."},
    STEP_REPEAT_KEYS,
    {"rollback", KEY_READ, .read = step_read_rollback,
     .schema = schema_of_rollback,
     .help = "What takes back what this step has done: it runs when the step "
             "has succeeded and a later one fails, the last step's first. "
             "Only under steps."},
};

static const struct key rollback_keys[] = {
    {"name", KEY_LINE, AT(step, name), .max = RUNBOOK_NAME_MAX_BYTES,
     .pattern = LINE_PATTERN,
     .help = "What people call it. Without it: the step's name behind "
             "\"Rollback: \"."},
    {"action", KEY_READ, .read = step_read_action, .schema = schema_of_action,
     .standard = "\"exec\"", .help = "What the step does: it runs a program."},
    STEP_RUN_KEYS,
    STEP_REPEAT_KEYS,
};

static const struct key verify_keys[] = {
    {"name", KEY_LINE, AT(step, name), .max = RUNBOOK_NAME_MAX_BYTES,
     .pattern = LINE_PATTERN, .standard = "\"Verify\"",
     .help = "What people call it."},
    {"action", KEY_READ, .read = step_read_action, .schema = schema_of_action,
     .standard = "\"exec\"", .help = "What the probe does: it runs a program."},
    STEP_RUN_KEYS,
    {"within", KEY_DURATION, AT(step, within_ms), .min = 1000,
     .max = RUNBOOK_VERIFY_MAX_MS, .standard = "\"5m\"",
     .help = "How soon it must succeed, at most 1h."},
    {"hold", KEY_DURATION, AT(step, hold_ms), .min = 0,
     .max = RUNBOOK_VERIFY_MAX_MS, .standard = "\"0s\"",
     .help = "For how long it must then go on to succeed, at most 1h."},
    {"interval", KEY_DURATION, AT(step, interval_ms), .min = 1000,
     .max = RUNBOOK_VERIFY_MAX_MS, .standard = "\"10s\"",
     .help = "The pause between two probes."},
};

static const struct key retry_keys[] = {
    {"attempts", KEY_COUNT, AT(step, max_attempts), .min = 1,
     .max = RUNBOOK_MAX_ATTEMPTS,
     .help = "How often it is tried. Without it: as configured, 3 unless "
             "changed."},
    {"backoff", KEY_DURATION, AT(step, backoff_ms), .min = 0,
     .max = RUNBOOK_BACKOFF_LIMIT_MS, .standard = "\"1s\"",
     .help = "The pause before the second attempt; it doubles with each "
             "further one."},
    {"max_backoff", KEY_DURATION, AT(step, backoff_max_ms), .min = 0,
     .max = RUNBOOK_BACKOFF_LIMIT_MS, .standard = "\"1m\"",
     .help = "The longest pause."},
};

/* ---- what holds between keys --------------------------------------------
 * As JSON Schema; the loader's readers check the same. */

static const char param_rules[] =
    "{\"allOf\":["
    "{\"if\":{\"properties\":{\"type\":{\"const\":\"enum\"}},"
    "\"required\":[\"type\"]},"
    "\"then\":{\"required\":[\"values\"]},"
    "\"else\":{\"not\":{\"required\":[\"values\"]}}},"
    "{\"if\":{\"properties\":{\"type\":{\"not\":{\"const\":\"string\"}}},"
    "\"required\":[\"type\"]},"
    "\"then\":{\"properties\":{\"pattern\":{\"not\":{}}}}},"
    "{\"if\":{\"not\":{\"properties\":{\"allow_leading_dash\":"
    "{\"const\":true}},\"required\":[\"allow_leading_dash\"]}},"
    "\"then\":{\"properties\":{\"default\":{\"minimum\":0,"
    "\"not\":{\"type\":\"string\",\"pattern\":\"^-\"}}}}},"
    "{\"if\":{\"properties\":{\"type\":{\"const\":\"integer\"}},"
    "\"required\":[\"type\"]},"
    "\"then\":{\"properties\":{\"default\":{\"type\":\"integer\"}}}},"
    "{\"if\":{\"properties\":{\"type\":{\"const\":\"number\"}},"
    "\"required\":[\"type\"]},"
    "\"then\":{\"properties\":{\"default\":{\"type\":\"number\"}}}},"
    "{\"if\":{\"properties\":{\"type\":{\"const\":\"boolean\"}},"
    "\"required\":[\"type\"]},"
    "\"then\":{\"properties\":{\"default\":{\"type\":\"boolean\"}}}},"
    "{\"if\":{\"properties\":{\"secret\":{\"const\":true}},"
    "\"required\":[\"secret\"]},"
    "\"then\":{\"not\":{\"required\":[\"default\"]}}}]}";

static const char trigger_rules[] =
    "{\"allOf\":["
    "{\"not\":{\"required\":[\"state\",\"on\"]}},"
    "{\"not\":{\"required\":[\"absent\",\"for\"]}},"
    "{\"not\":{\"required\":[\"absent\",\"on_resolve\"]}},"
    "{\"not\":{\"required\":[\"absent\",\"flapping\"]}},"
    "{\"not\":{\"required\":[\"absent\",\"count\"]}},"
    "{\"not\":{\"required\":[\"for\",\"count\"]}},"
    "{\"not\":{\"required\":[\"flapping\",\"count\"]}}]}";

static const char step_rules[] = "{\"oneOf\":[{\"required\":[\"command\"]},"
                                 "{\"required\":[\"argv\"]}]}";

static const char plain_step_rules[] =
    "{\"if\":{\"properties\":{\"action\":{\"const\":\"wait\"}},"
    "\"required\":[\"action\"]},"
    "\"then\":{\"required\":[\"for\"],"
    "\"properties\":{\"command\":{\"not\":{}},\"argv\":{\"not\":{}}}},"
    "\"else\":{\"properties\":{\"for\":{\"not\":{}}},"
    "\"oneOf\":[{\"required\":[\"command\"]},"
    "{\"required\":[\"argv\"]}]}}";

const struct key_table runbook_keys = TABLE("a runbook", top_keys, NULL);
const struct key_table runbook_param_keys =
    TABLE("a parameter", param_keys, param_rules);
const struct key_table runbook_trigger_keys =
    TABLE("a trigger", trigger_keys, trigger_rules);
const struct key_table runbook_count_keys = TABLE("count", count_keys, NULL);
const struct key_table runbook_max_runs_keys =
    TABLE("max_runs", max_runs_keys, NULL);
const struct key_table runbook_concurrency_keys =
    TABLE("concurrency", concurrency_keys, NULL);
const struct key_table runbook_guard_keys = TABLE("guards", guard_keys, NULL);
const struct key_table runbook_max_starts_keys =
    TABLE("max_starts", max_starts_keys, NULL);
const struct key_table runbook_breaker_keys =
    TABLE("breaker", breaker_keys, NULL);
const struct key_table runbook_absent_keys = TABLE("absent", absent_keys, NULL);
const struct key_table runbook_flapping_keys =
    TABLE("flapping", flapping_keys, NULL);
const struct key_table runbook_step_keys =
    TABLE("a step", step_keys, plain_step_rules);
const struct key_table runbook_rollback_keys =
    TABLE("a rollback", rollback_keys, step_rules);
const struct key_table runbook_verify_keys =
    TABLE("verify", verify_keys, step_rules);
const struct key_table runbook_retry_keys = TABLE("retry", retry_keys, NULL);
