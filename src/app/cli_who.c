/*
 * Who has done something, in words that people know: a user of this host by
 * name, too.
 */
#include <pwd.h>

#include "app/cli_http.h"
#include "app/cli_output.h"

const char *cli_who(struct cli *cli, const json_t *object, const char *key)
{
    const char *who = cli_get(cli, object, key);
    struct str number = str_c(who);
    uint64_t uid = 0;
    if (!str_starts(number, STR("uid:")) || cli->server == NULL ||
        !cli_is_local(cli->server)) {
        return who;
    }
    number = str_slice(number, 4, number.len);
    if (str_to_u64(number, 0, UINT32_MAX - 1, &uid) < 0) {
        return who;
    }
    const struct passwd *user = getpwuid((uid_t)uid); /* one thread */
    if (user == NULL) {
        return who;
    }
    struct strbuf name = STRBUF_INIT(4096);
    strbuf_add_visible(&name, str_c(user->pw_name));
    who = cli_text(cli, "%s %s", who, strbuf_str(&name).at);
    strbuf_deinit(&name);
    return who;
}

void cli_cell_who(struct cli_table *t, const json_t *row, const char *key)
{
    cli_cell(t, cli_who(t->cli, row, key));
}
