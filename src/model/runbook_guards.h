/*
 * `guards:` and `concurrency:` of a runbook: their tables of keys, and how they
 * are read. Part of the loader. Pure.
 */
#pragma once

#include "model/runbook_load_priv.h"

extern const struct key_table runbook_guard_keys;
extern const struct key_table runbook_concurrency_keys;
extern const struct key_table runbook_max_starts_keys;
extern const struct key_table runbook_breaker_keys;

/* object: struct runbook, all of them. */
key_read_fn runbook_read_guards, runbook_read_concurrency;
key_read_fn guard_read_max_starts, guard_read_breaker, guard_read_target;
key_read_fn guard_read_on_limit;

key_schema_fn schema_of_guards, schema_of_max_starts, schema_of_breaker;
key_schema_fn schema_of_concurrency, schema_of_on_limit, schema_of_target;
