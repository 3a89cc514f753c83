/*
 * Secret parameters at rest. From the request that gives them to the message
 * that has the executor run a step, secrets are in the engine's memory, in the
 * store and in backups only as what the key of stored secrets opens: in the
 * parameters' JSON each stands as one text, bound to its runbook and name. Any
 * thread.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "model/runbook.h"

/* How a sealed value begins: what follows is base64, never with a quote. */
#define SECRETS_SEALED_PREFIX "sealed:1:"

struct secrets;

/* The key's file is read when it is first needed, and made by secrets_seal if
 * it is missing (os/seal.h). */
struct secrets *secrets_new(const char *key_path);

/* NULL is fine. */
void secrets_free(struct secrets *s);

/* The checked JSON with the secret values sealed, in the arena; the same text
 * when it has none. Fails when the key cannot be had. */
NODISCARD int secrets_seal(struct secrets *s, const struct runbook *rb,
                           struct str json, struct arena *a, struct str *ret,
                           struct err *reterr);

/* The JSON as it was before. -EBADMSG: another key, or the text was moved here
 * from another runbook or parameter. */
NODISCARD int secrets_open(struct secrets *s, const struct runbook *rb,
                           struct str json, struct arena *a, struct str *ret,
                           struct err *reterr);
