/*
 * Words into requests: percent-encoding, queries from flags, and short forms
 * of ids.
 */
#include <string.h>

#include "app/cli_http.h"
#include "app/cli_output.h"
#include "base/id.h"

#define LOOKUP_LIMIT 1000 /* newest entries among which a prefix is sought */
#define SHORT_ID_MIN 12
#define CANDIDATES_SHOWN 5

void cli_add_encoded(struct strbuf *out, const char *text, bool path)
{
    for (; *text != '\0'; text++) {
        char c = *text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c >= '0' && c <= '9') || strchr("-._~", c) != NULL ||
                     (path && c == '/');
        if (plain) {
            strbuf_addch(out, c);
        } else {
            strbuf_addf(out, "%%%02X", (unsigned char)c);
        }
    }
}

void cli_add_query(struct cli *cli, struct strbuf *path,
                   const char *const *flags)
{
    for (; *flags != NULL; flags++) {
        const char *value = cli_value(cli, *flags);
        if (value != NULL) {
            bool first = str_find(strbuf_str(path), '?') < 0;
            strbuf_addf(path, "%c%s=", first ? '?' : '&', *flags);
            cli_add_encoded(path, value, false);
        }
    }
}

/* The newest one, of all or of those that failed. */
static int resolve_shortcut(struct cli *cli, const char *kind, bool failed,
                            const char **ret)
{
    bool workflows = strcmp(kind, "workflows") == 0;
    json_auto_t *list = NULL;
    const char *status = !failed     ? ""
                         : workflows ? "&status=failed"
                                     : "&status=error";
    int r = cli_fetch(cli, cli_text(cli, "/api/%s?limit=1%s", kind, status),
                      NULL, &list);
    if (r != 0) {
        return r;
    }
    json_t *first = json_array_get(json_object_get(list, kind), 0);
    if (first == NULL) {
        return cli_fail(cli, CLI_NOT_FOUND,
                        workflows ? "adctl workflow list" : "adctl event list",
                        "there are no %s%s", failed ? "failed " : "", kind);
    }
    *ret = cli_get(cli, first, "id");
    return 0;
}

/* "wf-01jc" also matches without its "wf-". */
static bool has_prefix(const char *id, const char *word)
{
    const char *dash = strchr(id, '-');
    return strncmp(id, word, strlen(word)) == 0 ||
           (dash != NULL && strncmp(dash + 1, word, strlen(word)) == 0);
}

static int ambiguous(struct cli *cli, const json_t *items, const char *word,
                     unsigned matches)
{
    size_t i = 0;
    json_t *item = NULL;
    unsigned shown = 0;
    (void)cli_fail(cli, CLI_USAGE, NULL, "\"%s\" begins %u ids:", word,
                   matches);
    json_array_foreach (items, i, item) {
        const char *id = cli_get(cli, item, "id");
        if (has_prefix(id, word) && shown++ < CANDIDATES_SHOWN) {
            (void)fprintf(cli->err, "  %s\n", id);
        }
    }
    if (shown > CANDIDATES_SHOWN) {
        (void)fprintf(cli->err, "  ... and %u more\n",
                      shown - CANDIDATES_SHOWN);
    }
    return CLI_USAGE;
}

static int resolve_prefix(struct cli *cli, const char *kind, const char *word,
                          const char **ret)
{
    json_auto_t *list = NULL;
    unsigned matches = 0;
    size_t i = 0;
    json_t *item = NULL;
    int r =
        cli_fetch(cli, cli_text(cli, "/api/%s?limit=%d", kind, LOOKUP_LIMIT),
                  NULL, &list);
    if (r != 0) {
        return r;
    }
    const json_t *items = json_object_get(list, kind);
    json_array_foreach (items, i, item) {
        const char *id = cli_get_raw(item, "id");
        if (id != NULL && has_prefix(id, word)) {
            matches++;
            *ret = cli_get(cli, item, "id");
        }
    }
    if (matches > 1) {
        return ambiguous(cli, items, word, matches);
    }
    if (matches == 0) {
        return cli_fail(cli, CLI_NOT_FOUND,
                        strcmp(kind, "events") == 0 ? "adctl event list"
                                                    : "adctl workflow list",
                        "no id of the newest %d %s begins with \"%s\"",
                        LOOKUP_LIMIT, kind, word);
    }
    return 0;
}

int cli_resolve(struct cli *cli, const char *kind, const char *word,
                const char **ret)
{
    const char *prefix =
        strcmp(kind, "events") == 0 ? ID_PREFIX_EVENT : ID_PREFIX_WORKFLOW;
    struct id id;
    if (strcmp(word, "@latest") == 0 || strcmp(word, "@failed") == 0) {
        return resolve_shortcut(cli, kind, word[1] == 'f', ret);
    }
    if (word[0] == '@') {
        return cli_fail(cli, CLI_USAGE, NULL,
                        "\"%s\" is not a shortcut; there are @latest and "
                        "@failed",
                        word);
    }
    if (id_parse(str_c(word), prefix, &id) == 0) {
        *ret = word;
        return 0;
    }
    return resolve_prefix(cli, kind, word, ret);
}

size_t cli_short_id(const json_t *items)
{
    size_t len = SHORT_ID_MIN;
    size_t count = json_array_size(items);
    for (size_t i = 1; i < count; i++) {
        const char *a = cli_get_raw(json_array_get(items, i - 1), "id");
        const char *b = cli_get_raw(json_array_get(items, i), "id");
        size_t same = 0;
        while (a != NULL && b != NULL && a[same] != '\0' &&
               a[same] == b[same]) {
            same++;
        }
        len = MAX(len, same + 1);
    }
    return len;
}
