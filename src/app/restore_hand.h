/*
 * The hand of a restore: a second process that puts runbooks or configuration
 * back. They are root's, while whoever reads a backup of the service has given
 * root's rights away for good (privilege.h). So the hand is begun before that,
 * and takes nothing from the other but texts, whose names and sizes it checks.
 * Of the places it is told by its caller, as root, what they are.
 *
 * Begun, it looks; fed and told to, it puts. Main thread.
 */
#pragma once

#include "backup/parts.h"

enum restore_part { RESTORE_RUNBOOKS, RESTORE_CONFIG };

/* What it found when it was begun, and what it has done at the end. */
struct restore_said {
    struct err err; /* errnum 0: well */
    struct backup_put_result put;
};

struct restore_hand;

/* Begins one. *ret_said is what it has found: an error is not the function's
 * own, and leaves a hand that can do nothing. -EAGAIN and the like: there is
 * no process. */
NODISCARD int restore_hand_begin(enum restore_part part,
                                 const struct backup_put_options *options,
                                 struct restore_hand **ret,
                                 struct restore_said *ret_said,
                                 struct err *reterr);

/* Gives it a text: a backup_text_fn. For the configuration any name will do. */
NODISCARD int restore_hand_give(void *hand, struct str path, struct str text,
                                struct err *reterr);

/* All is given: it puts it in place. */
NODISCARD int restore_hand_put(struct restore_hand *h, struct restore_said *ret,
                               struct err *reterr);

/* Without restore_hand_put nothing was changed. NULL is fine. */
void restore_hand_end(struct restore_hand *h);
