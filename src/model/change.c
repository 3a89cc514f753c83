#include "model/change.h"

#include <string.h>

#include <sodium.h>

#include "base/assert.h"

_Static_assert(AUDIT_HASH_BYTES == crypto_hash_sha256_BYTES,
               "the audit chain uses SHA-256");

static void add(crypto_hash_sha256_state *state, const void *bytes, size_t len)
{
    int r = crypto_hash_sha256_update(state, bytes, len);
    ASSERT(r == 0);
}

static void add_u64(crypto_hash_sha256_state *state, uint64_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(n >> (56 - 8 * i));
    }
    add(state, bytes, sizeof(bytes));
}

void audit_hash(const uint8_t before[AUDIT_HASH_BYTES],
                const struct audit_row *row, uint8_t ret[AUDIT_HASH_BYTES])
{
    const struct str texts[] = {row->who, row->action, row->subject,
                                row->before, row->after};
    crypto_hash_sha256_state state;
    int r = crypto_hash_sha256_init(&state);
    add(&state, before, AUDIT_HASH_BYTES);
    add_u64(&state, row->seq);
    add_u64(&state, row->at_ms);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        add_u64(&state, texts[i].len);
        add(&state, texts[i].len != 0 ? texts[i].at : "", texts[i].len);
    }
    r |= crypto_hash_sha256_final(&state, ret);
    ASSERT(r == 0);
}

bool audit_chain_take(struct audit_chain *c, const struct audit_row *row)
{
    uint8_t hash[AUDIT_HASH_BYTES];
    audit_hash(c->hash, row, hash);
    if (row->seq != c->rows + 1 || memcmp(hash, row->hash, sizeof(hash)) != 0) {
        return false;
    }
    c->rows++;
    memcpy(c->hash, hash, sizeof(hash));
    return true;
}

const char *verdict_name(enum verdict v)
{
    static const char *const names[VERDICTS] = {
        [VERDICT_NONE] = "none",
        [VERDICT_CORRECT] = "correct",
        [VERDICT_FALSE_POSITIVE] = "false_positive",
        [VERDICT_MISSED] = "missed",
    };
    return names[v];
}
