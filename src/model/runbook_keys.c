#include "model/runbook_load_priv.h"

#define WORD_MAX RUNBOOK_WORD_MAX_BYTES
#define AT(type, field) .offset = offsetof(struct type, field)
#define COUNT_AT(type, field) .count_offset = offsetof(struct type, field)
#define TABLE(of, rows)                                                        \
    {                                                                          \
        .what = (of), .keys = (rows), .count = ARRAY_LEN(rows)                 \
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

/* Parameters stand in front of what refers to them: a mapping is read in the
 * order of its table, not of the file. */
static const struct key top_keys[] = {
    {"name", KEY_LINE, .required = true, AT(runbook, name),
     .max = RUNBOOK_NAME_MAX_BYTES},
    {"description", KEY_BLOCK, AT(runbook, description),
     .max = RUNBOOK_DESCRIPTION_MAX_BYTES},
    {"category", KEY_LINE, AT(runbook, category), .max = WORD_MAX,
     .valid = is_word, .expected = "one word"},
    {"parameters", KEY_READ, .read = runbook_read_params},
    {"triggers", KEY_READ, .read = runbook_read_triggers},
    {"concurrency", KEY_COUNT, AT(runbook, max_concurrent), .min = 1,
     .max = 1000},
    {"timeout", KEY_DURATION, AT(runbook, timeout_ms), .min = 1000,
     .max = RUNBOOK_TIMEOUT_MAX_MS},
    {"steps", KEY_READ, .required = true, .read = runbook_read_steps},
};

static const struct key param_keys[] = {
    {"type", KEY_READ, .read = param_read_type},
    {"description", KEY_BLOCK, AT(param, description),
     .max = RUNBOOK_DESCRIPTION_MAX_BYTES},
    {"required", KEY_BOOL, AT(param, required)},
    {"secret", KEY_BOOL, AT(param, secret)},
    {"allow_leading_dash", KEY_BOOL, AT(param, allow_leading_dash)},
    {"pattern", KEY_READ, .read = param_read_pattern},
    {"values", KEY_READ, .read = param_read_values},
    {"default", KEY_READ, .read = param_read_default},
};

static const struct key trigger_keys[] = {
    {"type", KEY_LINE, AT(trigger, type), .max = WORD_MAX, .valid = is_word,
     .expected = "one word"},
    {"state", KEY_READ, .read = trigger_read_state},
    {"on", KEY_READ, .read = trigger_read_state},
    {"severity", KEY_LINES, AT(trigger, severities),
     COUNT_AT(trigger, severity_count), .max = WORD_MAX, .valid = is_word,
     .expected = "one word"},
    {"source", KEY_LINES, AT(trigger, sources), COUNT_AT(trigger, source_count),
     .max = RUNBOOK_SOURCE_MAX_BYTES},
    {"labels", KEY_READ, .read = trigger_read_labels},
    {"matchers", KEY_READ, .read = trigger_read_matchers},
    {"parameters", KEY_READ, .read = trigger_read_parameters},
};

static const struct key step_keys[] = {
    {"name", KEY_LINE, .required = true, AT(step, name),
     .max = RUNBOOK_NAME_MAX_BYTES},
    {"id", KEY_LINE, AT(step, id), .max = WORD_MAX, .valid = is_step_id,
     .expected = "lower-case letters, digits and _, a letter first"},
    {"action", KEY_READ, .read = step_read_action},
    {"command", KEY_READ, .read = step_read_command},
    {"argv", KEY_READ, .read = step_read_argv},
    {"env", KEY_READ, .read = step_read_env},
    {"run_as", KEY_LINE, AT(step, run_as), .max = WORD_MAX,
     .valid = is_user_name, .expected = "the name of a user"},
    {"timeout", KEY_DURATION, AT(step, timeout_ms), .min = 1,
     .max = RUNBOOK_STEP_TIMEOUT_MAX_MS},
    {"continue_on_error", KEY_BOOL, AT(step, continue_on_error)},
    {"idempotent", KEY_BOOL, AT(step, idempotent)},
    {"retry", KEY_READ, .read = step_read_retry},
};

static const struct key retry_keys[] = {
    {"attempts", KEY_COUNT, AT(step, max_attempts), .min = 1,
     .max = RUNBOOK_MAX_ATTEMPTS},
    {"backoff", KEY_DURATION, AT(step, backoff_ms), .min = 0,
     .max = RUNBOOK_BACKOFF_LIMIT_MS},
    {"max_backoff", KEY_DURATION, AT(step, backoff_max_ms), .min = 0,
     .max = RUNBOOK_BACKOFF_LIMIT_MS},
};

const struct key_table runbook_keys = TABLE("a runbook", top_keys);
const struct key_table runbook_param_keys = TABLE("a parameter", param_keys);
const struct key_table runbook_trigger_keys = TABLE("a trigger", trigger_keys);
const struct key_table runbook_step_keys = TABLE("a step", step_keys);
const struct key_table runbook_retry_keys = TABLE("retry", retry_keys);
