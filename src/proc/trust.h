/*
 * What the executor lets a runbook do, by who could have written it (trust.c)
 * and by what the configuration permits (permit.c). The executor asks before
 * it starts a step; adctl asks the same, before somebody needs the answer.
 * Looks and changes nothing. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "model/runbook.h"
#include "proc/executor.h"
#include "proc/spawn.h"

/* Who could have written a text: only root, or also the owner of the file or
 * folder that is named. Each start asks, so nobody's name is looked up before
 * it is told: see trust_why. */
struct trust {
    bool root;
    bool is_copy; /* of a file that was not root's; nothing is named */
    uid_t owner;
    char path[256];
};

/* "PATH belongs to NAME", for a message; of a text that root alone could have
 * written: "". */
void trust_why(const struct trust *t, char *out, size_t size);

/* Looks at every folder from / down to the repository, and at those and the
 * file that the path names in it ("": none), as an executor that runs as
 * `self` and serves another user's engine. 0 and *ret, -EPERM with what is to
 * be mended when somebody could have written there who is not trusted, or
 * what cannot be looked at. */
NODISCARD int trust_look(const char *repository, struct str path, uid_t self,
                         struct trust *ret, struct err *reterr);

/* Whom a step runs as; all zero before permit_step. */
struct permit {
    struct spawn_user user;
    bool has_user; /* else: as we are */
};

/* May this step of a runbook run, by the configuration's users? 0 and *ret,
 * which is to be deinit'ed in any case, or why not. */
NODISCARD int permit_step(const struct executor_options *o,
                          const struct runbook *rb, uint32_t step_no,
                          const struct trust *trust, struct permit *ret,
                          struct err *reterr);
void permit_deinit(struct permit *p);

/* May every step of it? `named`: only those that have a run_as are looked at,
 * because whom the executor runs the others as is not known here. */
NODISCARD int permit_runbook(const struct executor_options *o,
                             const struct runbook *rb,
                             const struct trust *trust, bool named,
                             struct err *reterr);
