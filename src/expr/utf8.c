#include "expr/utf8.h"

/* Length by the first byte, 0 where none begins. */
static size_t length_of(unsigned char c)
{
    return c < 0x80                ? 1
           : c >= 0xC2 && c < 0xE0 ? 2
           : c >= 0xE0 && c < 0xF0 ? 3
           : c >= 0xF0 && c < 0xF5 ? 4
                                   : 0;
}

uint32_t utf8_next(struct str s, size_t *at)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s.at + *at;
    size_t len = length_of(p[0]);
    if (len == 1) {
        *at += 1;
        return p[0];
    }
    if (len == 0 || s.len - *at < len) {
        *at += 1;
        return UTF8_BAD;
    }
    uint32_t c = p[0] & (0xFFU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            *at += 1;
            return UTF8_BAD;
        }
        c = (c << 6) | (p[i] & 0x3FU);
    }
    if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) {
        *at += 1;
        return UTF8_BAD;
    }
    *at += len;
    return c;
}

size_t utf8_put(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (char)((0xF00U >> len) | c);
    return len;
}

size_t utf8_count(struct str s)
{
    size_t count = 0;
    size_t at = 0;
    while (at < s.len) {
        (void)utf8_next(s, &at);
        count++;
    }
    return count;
}

size_t utf8_offset(struct str s, size_t i)
{
    size_t at = 0;
    while (i > 0 && at < s.len) {
        (void)utf8_next(s, &at);
        i--;
    }
    return at;
}
