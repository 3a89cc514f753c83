/*
 * The keys of a trigger that watch over a time, for the files of the loader.
 * Only runbook_*.c include this. Pure.
 */
#pragma once

#include "model/runbook_load_priv.h"

extern const struct key_table runbook_absent_keys;
extern const struct key_table runbook_flapping_keys;

/* object: struct trigger */
key_read_fn trigger_read_on_resolve, trigger_read_absent, trigger_read_flapping;
key_schema_fn schema_of_on_resolve, schema_of_absent, schema_of_flapping;

/* Name i of what may become of workflows whose alert resolves; NULL behind the
 * last. */
const char *trigger_resolve_word(size_t i);

/* Reports what does not go together of what a trigger watches; n is it. */
void trigger_check_watch(struct loader *l, const struct yaml_node *n,
                         const struct trigger *t);
