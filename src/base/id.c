#include "base/id.h"

#include <errno.h>
#include <string.h>

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

struct id id_floor(uint64_t epoch_ms)
{
    struct id id = ID_NULL;
    for (int i = 0; i < 6; i++) {
        id.bytes[i] = (uint8_t)(epoch_ms >> (40 - 8 * i));
    }
    return id;
}

struct id id_make(uint64_t epoch_ms, const uint8_t random[10])
{
    struct id id = id_floor(epoch_ms);
    memcpy(id.bytes + 6, random, 10);
    id.bytes[6] = (uint8_t)(0x70 | (id.bytes[6] & 0x0F));
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3F));
    return id;
}

uint64_t id_epoch_ms(struct id id)
{
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | id.bytes[i];
    }
    return ms;
}

bool id_eq(struct id a, struct id b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

int id_cmp(struct id a, struct id b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes));
}

bool id_is_null(struct id id)
{
    return id_eq(id, ID_NULL);
}

struct str id_bytes(const struct id *id)
{
    return str_n((const char *)id->bytes, sizeof(id->bytes));
}

/* 128 bits are 25 digits of 5 bits behind a first one of 3. On the path of
 * every answered event: shifts, not loops over bits. */
void id_format(struct id id, const char *prefix, char out[ID_TEXT_SIZE])
{
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    out[n++] = '-';
    unsigned __int128 value = 0;
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        value = value << 8 | id.bytes[i];
    }
    for (size_t i = ID_TEXT_LEN; i-- > 0; value >>= 5) {
        out[n + i] = digits[(unsigned)value & 31U];
    }
    out[n + ID_TEXT_LEN] = '\0';
}

int id_parse(struct str text, const char *prefix, struct id *ret)
{
    size_t n = strlen(prefix);
    if (text.len != n + 1 + ID_TEXT_LEN ||
        !str_eq(str_slice(text, 0, n), str_c(prefix)) || text.at[n] != '-') {
        return -EINVAL;
    }
    struct id id = ID_NULL;
    unsigned bit = 0;
    for (size_t i = 0; i < ID_TEXT_LEN; i++) {
        const char *hit = strchr(digits, text.at[n + 1 + i]);
        if (hit == NULL || *hit == '\0') {
            return -EINVAL;
        }
        unsigned value = (unsigned)(hit - digits);
        unsigned width = i == 0 ? 3 : 5;
        if (value >> width != 0) {
            return -EINVAL;
        }
        for (unsigned b = width; b-- > 0; bit++) {
            id.bytes[bit / 8] = (uint8_t)(id.bytes[bit / 8] |
                                          (value >> b & 1U) << (7 - bit % 8));
        }
    }
    *ret = id;
    return 0;
}
