#include "wire/delivery.h"

#define ELLIPSIS "\xE2\x80\xA6"

/* The first character of s, or a question mark for a byte that begins none. */
static struct str next_char(struct str *s)
{
    size_t len = 1;
    unsigned char first = (unsigned char)s->at[0];
    if (first >= 0x80) {
        len = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    }
    struct str one = str_slice(*s, 0, len);
    if (!str_is_utf8(one) || one.len != len) {
        one = STR("?");
        len = 1;
    } else if (first == 0) {
        one = STR(" ");
    }
    *s = str_slice(*s, len, s->len);
    return one;
}

static struct str entity_of(struct str one)
{
    switch (one.at[0]) {
    case '&':
        return STR("&amp;");
    case '<':
        return STR("&lt;");
    case '>':
        return STR("&gt;");
    default:
        return one;
    }
}

/* Characters that a piece counts as: entities as they are written. */
static size_t weight(struct str piece)
{
    return piece.at[0] == '&' ? piece.len : 1;
}

static struct str next_piece(struct str *s, bool entities)
{
    struct str one = next_char(s);
    return entities ? entity_of(one) : one;
}

static bool fits(struct str s, size_t max_chars, bool entities)
{
    size_t count = 0;
    while (s.len != 0 && count <= max_chars) {
        count += weight(next_piece(&s, entities));
    }
    return count <= max_chars;
}

void delivery_add_text(struct strbuf *out, struct str s, size_t max_chars,
                       bool entities)
{
    bool cut = !fits(s, max_chars, entities);
    size_t room = cut ? max_chars - 1 : max_chars;
    while (s.len != 0) {
        struct str piece = next_piece(&s, entities);
        if (weight(piece) > room) {
            break;
        }
        room -= weight(piece);
        strbuf_add_json(out, piece);
    }
    if (cut) {
        strbuf_addc(out, ELLIPSIS);
    }
}
