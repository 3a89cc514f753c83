#include <string.h>

#include "expr/cel_lib_priv.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static struct cel_value encode(struct cel_run *run,
                               const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    size_t len = (s.len + 2) / 3 * 4;
    char *text = cel_alloc(run, len + 1, 1);
    if (text == NULL || !cel_charge(run, len / 8)) {
        return cel_spent(run);
    }
    size_t out = 0;
    for (size_t i = 0; i < s.len; i += 3) {
        uint32_t bits = 0;
        size_t have = MIN(s.len - i, (size_t)3);
        for (size_t k = 0; k < 3; k++) {
            bits = bits << 8 | (k < have ? (unsigned char)s.at[i + k] : 0U);
        }
        for (size_t k = 0; k < 4; k++) {
            text[out++] = k <= have ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
        }
    }
    return cel_string(str_n(text, len));
}

static struct cel_value bad_text(struct cel_run *run)
{
    return cel_fail(run, CEL_FAULT_ARGUMENT, "this is not base64");
}

/* With and without padding. */
static struct cel_value decode(struct cel_run *run,
                               const struct cel_value *args)
{
    struct str s = cel_text(args[0]);
    size_t padding = 0;
    while (s.len > 0 && s.at[s.len - 1] == '=' && padding < 2) {
        s.len--;
        padding++;
    }
    if ((padding != 0 && (s.len + padding) % 4 != 0) || s.len % 4 == 1) {
        return bad_text(run);
    }
    char *bytes = cel_alloc(run, s.len * 3 / 4 + 1, 1);
    if (bytes == NULL || !cel_charge(run, s.len / 8)) {
        return cel_spent(run);
    }
    size_t out = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < s.len; i++) {
        const char *digit = s.at[i] == '\0' ? NULL : strchr(alphabet, s.at[i]);
        if (digit == NULL) {
            return bad_text(run);
        }
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes[out++] = (char)(bits >> have & 0xFF);
        }
    }
    return cel_bytes(str_n(bytes, out));
}

static const struct cel_function rows[] = {
    {"base64.encode",
     CEL_G,
     1,
     {&cel_type_bytes},
     &cel_type_string,
     encode,
     "The bytes as base64 text."},
    {"base64.decode",
     CEL_G,
     1,
     {&cel_type_string},
     &cel_type_bytes,
     decode,
     "The bytes of base64 text, padded or not."},
};

const struct cel_library cel_lib_encode = CEL_LIBRARY(rows);
