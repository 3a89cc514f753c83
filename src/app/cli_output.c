#include "app/cli_output.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/mem.h"

#define COLUMNS_FALLBACK 80
#define COLUMN_MIN 8 /* a flexible column shrinks no further */
#define GAP 2
#define FIELD_COLUMN 14 /* of the values of a resource */
#define BELOW 6         /* how far in text below a row begins */

/* ---- the terminal ------------------------------------------------------- */

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0';
}

static unsigned detect_columns(int fd)
{
    uint64_t columns = 0;
    struct winsize size = {0};
    const char *given = getenv("COLUMNS");
    if (given != NULL && str_to_u64(str_c(given), 20, 1000, &columns) == 0) {
        return (unsigned)columns;
    }
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) {
        return size.ws_col;
    }
    return COLUMNS_FALLBACK;
}

void cli_terminal_detect(struct cli_terminal *t, FILE *out)
{
    int fd = fileno(out);
    const char *term = getenv("TERM");
    const char *force = getenv("CLICOLOR_FORCE");
    bool forced = force != NULL && force[0] != '\0' && strcmp(force, "0") != 0;
    bool dumb = term != NULL && strcmp(term, "dumb") == 0;
    t->tty = isatty(fd) == 1;
    t->header = t->tty;
    t->columns = detect_columns(fd);
    t->colour = !is_set("NO_COLOR") && (forced || (t->tty && !dumb));
    (void)setlocale(LC_CTYPE, "");
    t->unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    /* Widths are computed on UTF-8 whatever the user's locale is. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
}

/* ---- status ------------------------------------------------------------- */

static const struct {
    const char *word;
    const char *symbol;
    const char *plain;
    const char *colour;
} statuses[] = {
    {"succeeded", "✓", "+", "32"},
    {"processed", "✓", "+", "32"},
    {"ok", "✓", "+", "32"},
    {"loaded", "✓", "+", "32"},
    {"healthy", "✓", "+", "32"},
    {"unhealthy", "✗", "x", "31"},
    {"paused", "‖", "!", "33"},
    {"disabled", "-", "-", "2"},
    {"not_configured", "·", ".", "2"},
    {"dry_run", "·", ".", "2"},
    {"failed", "✗", "x", "31"},
    {"killed", "✗", "x", "31"},
    {"error", "✗", "x", "31"},
    {"poison", "✗", "x", "31"},
    {"rejected", "✗", "x", "31"},
    {"timed_out", "✗", "x", "31"},
    {"refused", "✗", "x", "31"},
    {"held", "‖", "!", "33"},
    {"unknown", "?", "?", "33"},
    {"degraded", "!", "!", "33"},
    {"warning", "!", "!", "33"},
    {"cancelled", "-", "-", "33"},
    {"last_known_good", "!", "!", "33"},
    {"running", "▸", ">", "36"},
    {"starting", "▸", ">", "36"},
    {"processing", "▸", ">", "36"},
    {"waiting", "…", ".", "36"},
    {"queued", "…", ".", "36"},
    {"pending", "·", ".", "2"},
    {"skipped", "·", ".", "2"},
    {"passed", "✓", "+", "32"},
};

void cli_add_status(const struct cli *cli, struct strbuf *out,
                    const char *status)
{
    const struct cli_terminal *t = &cli->terminal;
    const char *symbol = t->unicode ? "·" : ".";
    const char *colour = "2";
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        if (strcmp(statuses[i].word, status) == 0) {
            symbol = t->unicode ? statuses[i].symbol : statuses[i].plain;
            colour = statuses[i].colour;
        }
    }
    if (t->colour) {
        strbuf_addf(out, "\033[%sm%s %s\033[0m", colour, symbol, status);
    } else {
        strbuf_addf(out, "%s %s", symbol, status);
    }
}

/* ---- width -------------------------------------------------------------- */

/* Bytes of the first character and the columns it takes. The text was made
 * visible before, so it is valid UTF-8. */
static size_t character(struct str text, size_t *columns)
{
    wchar_t wide = 0;
    mbstate_t state;
    memset(&state, 0, sizeof(state));
    size_t len = mbrtowc(&wide, text.at, text.len, &state);
    if (len == 0 || len > text.len) {
        *columns = 1;
        return 1;
    }
    int width = wcwidth(wide);
    *columns = width >= 0 ? (size_t)width : 1;
    return len;
}

size_t cli_width(struct str text)
{
    size_t total = 0;
    while (text.len != 0) {
        size_t columns = 0;
        text = str_slice(text, character(text, &columns), text.len);
        total += columns;
    }
    return total;
}

size_t cli_add_cut(const struct cli *cli, struct strbuf *out, struct str text,
                   size_t room)
{
    size_t width = cli_width(text);
    if (width <= room) {
        strbuf_add(out, text);
        return width;
    }
    size_t used = 0;
    while (text.len != 0) {
        size_t columns = 0;
        size_t len = character(text, &columns);
        if (used + columns + 1 > room) {
            break;
        }
        strbuf_add(out, str_slice(text, 0, len));
        text = str_slice(text, len, text.len);
        used += columns;
    }
    strbuf_addc(out, cli->terminal.unicode ? "…" : "~");
    return used + 1;
}

/* ---- tables ------------------------------------------------------------- */

void cli_table_init(struct cli_table *t, struct cli *cli,
                    const struct cli_column *columns)
{
    *t = (struct cli_table){.cli = cli, .columns = columns};
    while (columns[t->column_count].title != NULL) {
        t->column_count++;
    }
}

void cli_cell(struct cli_table *t, const char *text)
{
    struct strbuf b = STRBUF_INIT(64 * 1024);
    strbuf_add_visible(&b, str_c(text));
    VEC_PUSH(&t->cells,
             b.len != 0 ? arena_strdup(&t->cli->arena, strbuf_str(&b)) : "-");
    strbuf_deinit(&b);
}

static bool is_shown(const struct cli_table *t, unsigned column)
{
    unsigned flags = t->columns[column].flags;
    return ((flags & CLI_ONLY_WIDE) == 0 || t->cli->format == CLI_WIDE) &&
           ((flags & CLI_BELOW) == 0 || !t->below);
}

static size_t natural_width(const struct cli_table *t, unsigned column)
{
    size_t width =
        t->cli->terminal.header ? strlen(t->columns[column].title) : 0;
    size_t symbol = (t->columns[column].flags & CLI_STATUS) != 0 ? 2 : 0;
    for (size_t i = column; i < t->cells.count; i += t->column_count) {
        width = MAX(width, cli_width(str_c(t->cells.at[i])) + symbol);
    }
    return width;
}

static size_t row_width(const struct cli_table *t, const size_t *widths)
{
    size_t total = 0;
    for (unsigned c = 0; c < t->column_count; c++) {
        total += is_shown(t, c) ? widths[c] + GAP : 0;
    }
    return total > GAP ? total - GAP : 0;
}

/* Takes from the widest flexible column until the row fits. */
static void shrink(const struct cli_table *t, size_t *widths, size_t limit)
{
    size_t total = row_width(t, widths);
    while (total > limit) {
        unsigned widest = t->column_count;
        for (unsigned c = 0; c < t->column_count; c++) {
            if (is_shown(t, c) && (t->columns[c].flags & CLI_FLEX) != 0 &&
                widths[c] > COLUMN_MIN &&
                (widest == t->column_count || widths[c] > widths[widest])) {
                widest = c;
            }
        }
        if (widest == t->column_count) {
            return;
        }
        widths[widest]--;
        total--;
    }
}

static void add_cell(const struct cli_table *t, struct strbuf *out,
                     unsigned column, const char *text, size_t width)
{
    bool status = (t->columns[column].flags & CLI_STATUS) != 0 &&
                  text != t->columns[column].title;
    CLEANUP(strbuf_deinit) struct strbuf cell = STRBUF_INIT(64 * 1024);
    size_t used = 0;
    if (status && strcmp(text, "-") != 0) {
        cli_add_status(t->cli, &cell, text);
        used = cli_width(str_c(text)) + 2;
    } else {
        used = cli_add_cut(t->cli, &cell, str_c(text), width);
    }
    int pad = (int)(width > used ? width - used : 0);
    bool last = true;
    for (unsigned c = column + 1; c < t->column_count; c++) {
        last = last && !is_shown(t, c);
    }
    if ((t->columns[column].flags & CLI_RIGHT) != 0) {
        strbuf_addf(out, "%*s", pad, "");
        strbuf_add(out, strbuf_str(&cell));
    } else {
        strbuf_add(out, strbuf_str(&cell));
        strbuf_addf(out, "%*s", last ? 0 : pad, "");
    }
    strbuf_addf(out, "%*s", last ? 0 : GAP, "");
}

/* How much of the text fits into `room` columns, broken at a blank if there
 * is one. */
static size_t line_of(struct str text, size_t room)
{
    size_t used = 0;
    size_t at = 0;
    size_t blank = 0;
    while (at < text.len) {
        size_t columns = 0;
        size_t len = character(str_slice(text, at, text.len), &columns);
        if (used + columns > room) {
            return blank != 0 ? blank : MAX(at, len);
        }
        blank = text.at[at] == ' ' ? at : blank;
        used += columns;
        at += len;
    }
    return at;
}

static void add_titles(const struct cli_table *t, struct strbuf *out,
                       const size_t *widths)
{
    for (unsigned c = 0; c < t->column_count; c++) {
        if (is_shown(t, c)) {
            add_cell(t, out, c, t->columns[c].title, widths[c]);
        }
    }
    strbuf_addch(out, '\n');
}

/* The cells that are not in the row, as far in as it takes, line by line. */
static void add_below(const struct cli_table *t, struct strbuf *out,
                      const char *const *cells)
{
    unsigned columns = t->cli->terminal.columns;
    for (unsigned c = 0; c < t->column_count; c++) {
        bool is_below = (t->columns[c].flags & CLI_BELOW) != 0 && t->below;
        struct str rest = str_c(cells[c]);
        while (is_below && rest.len != 0 && !str_eq_c(rest, "-")) {
            size_t len =
                line_of(rest, MAX(columns, BELOW + COLUMN_MIN) - BELOW);
            strbuf_addf(out, "%*s%.*s\n", BELOW, "",
                        STR_ARG(str_slice(rest, 0, len)));
            rest = str_slice(rest, len, rest.len);
            rest = str_slice(rest, str_starts(rest, STR(" ")), rest.len);
        }
    }
}

static void fit(struct cli_table *t, size_t *widths)
{
    unsigned limit = t->cli->terminal.columns;
    if (t->cli->format != CLI_WIDE && limit != 0) {
        t->below = row_width(t, widths) > limit;
        shrink(t, widths, limit);
    }
}

void cli_table_print(struct cli_table *t)
{
    size_t widths[CLI_COLUMNS_MAX] = {0};
    CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT(64 * 1024 * 1024);
    for (unsigned c = 0; c < t->column_count; c++) {
        widths[c] = natural_width(t, c);
    }
    fit(t, widths);
    if (t->cli->terminal.header) {
        add_titles(t, &out, widths);
    }
    for (size_t i = 0; i + t->column_count <= t->cells.count;
         i += t->column_count) {
        for (unsigned c = 0; c < t->column_count; c++) {
            if (is_shown(t, c)) {
                add_cell(t, &out, c, t->cells.at[i + c], widths[c]);
            }
        }
        strbuf_addch(&out, '\n');
        add_below(t, &out, &t->cells.at[i]);
    }
    (void)fputs(strbuf_str(&out).at, t->cli->out);
    VEC_DEINIT(&t->cells);
}

void cli_print_field(struct cli *cli, const char *title, const char *value)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(1024 * 1024);
    strbuf_add_visible(&text, str_c(value));
    struct str rest = strbuf_str(&text);
    const struct cli_terminal *t = &cli->terminal;
    size_t room = t->tty && t->columns > FIELD_COLUMN + COLUMN_MIN
                      ? t->columns - FIELD_COLUMN
                      : rest.len;
    while (rest.len != 0) {
        size_t len = line_of(rest, room);
        (void)fprintf(cli->out, "%-*s%.*s\n", FIELD_COLUMN, title,
                      STR_ARG(str_slice(rest, 0, len)));
        rest = str_slice(rest, len, rest.len);
        rest = str_slice(rest, str_starts(rest, STR(" ")), rest.len);
        title = "";
    }
}

static void add_mark(const struct cli_terminal *t, enum cli_mark mark,
                     struct strbuf *out)
{
    static const struct {
        const char *symbol, *plain, *colour;
    } marks[] = {
        [CLI_YES] = {"✓", "+", "32"},   [CLI_NO] = {"✗", "x", "31"},
        [CLI_WARN] = {"!", "!", "33"},  [CLI_VALUE] = {"·", ".", "36"},
        [CLI_UNSEEN] = {"-", "-", "2"},
    };
    const char *symbol = t->unicode ? marks[mark].symbol : marks[mark].plain;
    if (t->colour) {
        strbuf_addf(out, "\033[%sm%s\033[0m ", marks[mark].colour, symbol);
    } else {
        strbuf_addf(out, "%s ", symbol);
    }
}

void cli_print_marked(struct cli *cli, unsigned indent, enum cli_mark mark,
                      const char *text)
{
    CLEANUP(strbuf_deinit) struct strbuf visible = STRBUF_INIT(1024 * 1024);
    CLEANUP(strbuf_deinit) struct strbuf front = STRBUF_INIT(256);
    const struct cli_terminal *t = &cli->terminal;
    strbuf_add_visible(&visible, str_c(text));
    add_mark(t, mark, &front);
    struct str rest = strbuf_str(&visible);
    const char *lead = strbuf_str(&front).at;
    size_t room = t->tty && t->columns > indent + 2 + COLUMN_MIN
                      ? t->columns - indent - 2
                      : rest.len;
    while (rest.len != 0) {
        size_t len = line_of(rest, room);
        (void)fprintf(cli->out, "%*s%s%.*s\n", (int)indent, "", lead,
                      STR_ARG(str_slice(rest, 0, len)));
        rest = str_slice(rest, len, rest.len);
        rest = str_slice(rest, str_starts(rest, STR(" ")), rest.len);
        lead = "  ";
    }
}
