/*
 * How much of limits.trigger_memory each trigger has, so that one that meets
 * many keys leaves the others room. Private to engine.
 */
#pragma once

#include "base/str.h"
#include "base/strbuf.h"

struct engine;

/* Counts a key of this trigger that is there from now on, or no longer is;
 * those of guards do not count. */
void share_add(struct engine *e, struct str path, struct str trigger);
void share_remove(struct engine *e, struct str path, struct str trigger);

/* May the trigger remember one more key? One trigger has at most half of the
 * limit; its first keys are always taken, whatever others remember. */
bool share_has_room(const struct engine *e, struct str path,
                    struct str trigger);

/* There is no room: counted, and said in why, unless that is NULL. */
void share_refuse(struct engine *e, struct str path, struct str trigger,
                  struct strbuf *why);

/* I8: the shares are what memories and watches give. */
void share_check(const struct engine *e);

void share_free_all(struct engine *e);
