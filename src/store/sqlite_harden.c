#include "store/sqlite_harden.h"

#include <errno.h>
#include <string.h>

#include "store/sqlite_open.h"

int sqlite_harden(sqlite3 *db)
{
    static const struct {
        int option;
        int value;
    } wanted[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
    };
    int rc = SQLITE_OK;
    for (size_t i = 0; i < ARRAY_LEN(wanted) && rc == SQLITE_OK; i++) {
        rc = sqlite3_db_config(db, wanted[i].option, wanted[i].value, NULL);
    }
    return rc;
}

/* ---- the schema --------------------------------------------------------- */

/* In an order that is the same for both: names are unique. */
static const char rows_sql[] =
    "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"
    " ORDER BY name, type";

/* The file's schema beside the one that it should have. */
struct both {
    sqlite3 *model;
    sqlite3_stmt *is;
    sqlite3_stmt *wanted;
};

/* In memory, by the very steps that made the file. */
static int make_model(struct both *b, uint32_t version)
{
    int rc = sqlite3_open_v2(":memory:", &b->model,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY |
                                 SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             NULL);
    for (uint32_t i = 1; i <= version && rc == SQLITE_OK; i++) {
        rc = sqlite3_exec(b->model, sqlite_schema_step(i), NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(b->model, rows_sql, -1, &b->wanted, NULL);
    }
    return rc;
}

static void free_both(struct both *b)
{
    (void)sqlite3_finalize(b->is);
    (void)sqlite3_finalize(b->wanted);
    (void)sqlite3_close_v2(b->model);
}

static const char *text(sqlite3_stmt *st, int column)
{
    const unsigned char *s = sqlite3_column_text(st, column);
    return s != NULL ? (const char *)s : "";
}

/* A name of the file's: it may be anything. */
static int tell(const struct store *s, const char *what, sqlite3_stmt *row,
                struct err *reterr)
{
    CLEANUP(strbuf_deinit) struct strbuf name = STRBUF_INIT(128);
    strbuf_add_visible(&name, str_c(text(row, 1)));
    err_hint(reterr, "somebody has changed the file past this program: find "
                     "out who, and restore a backup from before that");
    return err_set(reterr, -EBADMSG,
                   "%s is not as this program makes it: %s %s '%.*s'",
                   s->db_path, what, text(row, 0), STR_ARG(strbuf_str(&name)));
}

static int by_name(struct both *b)
{
    int order = strcmp(text(b->is, 1), text(b->wanted, 1));
    return order != 0 ? order : strcmp(text(b->is, 0), text(b->wanted, 0));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n';
}

static const char *next_word_or_char(const char *c)
{
    if (!is_space(*c)) {
        return c + 1;
    }
    while (is_space(*c)) {
        c++;
    }
    return c;
}

/* Word for word: how lines are broken does not matter. */
static bool is_same_sql(const char *a, const char *b)
{
    while (*a == *b || (is_space(*a) && is_space(*b))) {
        if (*a == '\0') {
            return true;
        }
        a = next_word_or_char(a);
        b = next_word_or_char(b);
    }
    return false;
}

/* The row is of this name in both. A text with a NUL has more bytes than are
 * looked at. */
static bool is_same(struct both *b)
{
    const char *is = text(b->is, 3);
    return strlen(is) == (size_t)sqlite3_column_bytes(b->is, 3) &&
           is_same_sql(is, text(b->wanted, 3)) &&
           strcmp(text(b->is, 2), text(b->wanted, 2)) == 0;
}

static int compare(struct store *s, struct both *b, struct err *reterr)
{
    int is = sqlite3_step(b->is);
    int wanted = sqlite3_step(b->wanted);
    while (is == SQLITE_ROW || wanted == SQLITE_ROW) {
        int order = is != SQLITE_ROW       ? 1
                    : wanted != SQLITE_ROW ? -1
                                           : by_name(b);
        if (is != SQLITE_ROW && is != SQLITE_DONE) {
            break;
        }
        if (order < 0) {
            return tell(s, "it also has the", b->is, reterr);
        }
        if (order > 0) {
            return tell(s, "it lacks the", b->wanted, reterr);
        }
        if (!is_same(b)) {
            return tell(s, "it has another", b->is, reterr);
        }
        is = sqlite3_step(b->is);
        wanted = sqlite3_step(b->wanted);
    }
    return is == SQLITE_DONE && wanted == SQLITE_DONE
               ? 0
               : sqlite_open_error(s, is != SQLITE_DONE ? is : wanted, "read",
                                   reterr);
}

int sqlite_schema_own(struct store *s, uint32_t version, struct err *reterr)
{
    struct both b = {0};
    int rc = make_model(&b, version);
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(s->db, rows_sql, -1, &b.is, NULL);
    }
    int r = rc == SQLITE_OK ? compare(s, &b, reterr)
                            : sqlite_open_error(s, rc, "read", reterr);
    free_both(&b);
    return r;
}
