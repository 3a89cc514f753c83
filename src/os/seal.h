/*
 * Secrets at rest: XChaCha20-Poly1305 under one random key that lives in a
 * file of its own, outside the state folder, or in a systemd credential. What
 * is sealed is bound to a context (what it is for): moved to
 * another place it does not open. Immutable after opening; any thread.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/strbuf.h"

#define SEAL_KEY_BYTES 32
#define SEAL_TEXT_MAX_BYTES 8192 /* a sealed secret, base64 */
#define SEAL_MAC_SIZE 65         /* 64 hexadecimal digits and a NUL */

/* The name of the systemd credential that is taken instead of the file. */
#define SEAL_CREDENTIAL "secrets.key"

struct seal;

/* Reads the key: the credential if there is one, else the file, which is made
 * (mode 0600, synced, whole or not at all, once if several try) when `create`
 * is set and it is missing. -ENOENT: there is none; -EINVAL: it is not a key,
 * or others may read it. */
NODISCARD int seal_open(const char *path, bool create, struct seal **ret,
                        struct err *reterr);

/* Wipes the key. NULL is fine. */
void seal_free(struct seal *s);

/* Appends the sealed secret as base64. */
void seal_add(const struct seal *s, struct str secret, struct str context,
              struct strbuf *out);

/* Opens what seal_add gave, with the same context: an owned text, wipe it.
 * -EBADMSG: another key, another context, or damaged. */
NODISCARD int seal_get(const struct seal *s, struct str sealed,
                       struct str context, char **ret);

/* A fingerprint of the text that tells nothing without the key. */
void seal_mac(const struct seal *s, struct str text, char ret[SEAL_MAC_SIZE]);

/* Overwrites and frees an owned text; NULL is fine. */
void seal_wipe(char *secret);
