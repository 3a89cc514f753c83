#include "app/config_environment.h"

#include <errno.h>
#include <fcntl.h>

#include <sodium.h>

#include "os/fd.h"

/* ---- the text ------------------------------------------------------------ */

struct scan {
    struct str text;
    size_t at;
};

static bool is_end(const struct scan *s)
{
    return s->at >= s->text.len;
}

static char peek(const struct scan *s)
{
    return is_end(s) ? '\0' : s->text.at[s->at];
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct scan *s)
{
    while (is_blank(peek(s))) {
        s->at++;
    }
}

static void skip_line(struct scan *s)
{
    while (!is_end(s) && s->text.at[s->at++] != '\n') {
    }
}

/* Behind a backslash: a newline joins lines; between double quotes only some
 * characters are escaped, and others keep their backslash. */
static void take_escaped(struct scan *s, bool quoted, struct strbuf *out)
{
    char c = peek(s);
    if (is_end(s)) {
        return;
    }
    s->at++;
    if (c == '\n') {
        return;
    }
    if (quoted && c != '"' && c != '\\' && c != '`' && c != '$') {
        strbuf_addch(out, '\\');
    }
    strbuf_addch(out, c);
}

static void take_quoted(struct scan *s, struct strbuf *out)
{
    char quote = s->text.at[s->at++];
    while (!is_end(s) && peek(s) != quote) {
        char c = s->text.at[s->at++];
        if (c == '\\' && quote == '"') {
            take_escaped(s, true, out);
        } else {
            strbuf_addch(out, c);
        }
    }
    s->at += is_end(s) ? 0 : 1;
}

/* Up to the end of the line, which blanks before it do not belong to. Quotes
 * count at the start, and right behind others. The length of the value, whose
 * text is in room. */
static size_t take_value(struct scan *s, struct strbuf *room)
{
    strbuf_reset(room);
    skip_blanks(s);
    while (peek(s) == '"' || peek(s) == '\'') {
        take_quoted(s, room);
        skip_blanks(s);
    }
    size_t len = room->len;
    while (!is_end(s) && peek(s) != '\n') {
        char c = s->text.at[s->at++];
        if (c == '\\') {
            take_escaped(s, false, room);
        } else {
            strbuf_addch(room, c);
        }
        len = is_blank(c) ? len : room->len;
    }
    return len;
}

static void wipe(struct strbuf *text)
{
    if (text->at != NULL) {
        sodium_memzero(text->at, text->cap);
    }
    strbuf_deinit(text);
}

int config_environment_find(struct str text, struct str name,
                            struct strbuf *out)
{
    struct scan s = {.text = text};
    CLEANUP(wipe) struct strbuf room = STRBUF_INIT(out->limit_bytes);
    CLEANUP(wipe) struct strbuf value = STRBUF_INIT(out->limit_bytes);
    bool found = false;
    while (!is_end(&s)) {
        skip_blanks(&s);
        size_t from = s.at;
        while (!is_end(&s) && peek(&s) != '=' && peek(&s) != '\n') {
            s.at++;
        }
        struct str key = str_trim(str_slice(text, from, s.at));
        bool comment = key.len != 0 && (key.at[0] == '#' || key.at[0] == ';');
        if (peek(&s) != '=' || comment) {
            skip_line(&s);
            continue;
        }
        s.at++;
        size_t len = take_value(&s, &room); /* maybe of several lines */
        if (str_eq(key, name)) {
            strbuf_reset(&value);
            strbuf_add(&value, str_slice(strbuf_str(&room), 0, len));
            found = true;
        }
    }
    strbuf_add(out, strbuf_str(&value));
    return found ? 0 : -ENOENT;
}

/* ---- the file ------------------------------------------------------------ */

int config_environment_read(const char *path, struct str name,
                            struct strbuf *out)
{
    CLEANUP(wipe)
    struct strbuf text = STRBUF_INIT(CONFIG_ENVIRONMENT_MAX_BYTES);
    int r = os_read_file(AT_FDCWD, path, &text);
    return r < 0 ? r : config_environment_find(strbuf_str(&text), name, out);
}
