/*
 * adctl restore: the state, and the runbooks and the configuration, which are
 * root's and are put back by a hand of its own (restore_hand.h).
 */
#include "app/cli_backup.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli_busy.h"
#include "app/cli_commands.h"
#include "app/restore_hand.h"
#include "backup/parts.h"
#include "data/timestamp.h"

#define SETUP "/usr/lib/autonomous-devops/setup"
#define REPOSITORY "/var/lib/autonomous-devops/runbooks"

enum wish { NO, WHERE_MISSING, REPLACE };

/* What became of one part. */
struct part {
    const char *name; /* as in --only */
    enum wish wish;
    struct backup_put_options put;
    struct restore_hand *hand;
    struct restore_said said;
    const char *outcome; /* "restored", "kept", "failed", "not asked" */
    const char *line;    /* for a person */
};

struct run {
    struct cli *cli;
    struct site site;
    struct backup_info backup;
    bool dry;
    bool was_root;
    enum wish state;
    struct str state_aside;
    uint32_t archived;
    struct part runbooks;
    struct part config;
    struct str config_text; /* of the backup; "" if it has none */
};

/* ---- beginning with nothing ---------------------------------------------- */

static int begin_empty(struct cli *cli, const struct site *p)
{
    struct str aside = STR_NULL;
    struct err err = ERR_INIT;
    if (backup_set_aside(p->config->state_directory, cli->now_ms, &cli->arena,
                         &aside, &err) < 0) {
        return site_explain(cli, &err, "sudo systemctl stop autonomous-devops");
    }
    json_auto_t *item =
        json_pack("{s:s?}", "aside",
                  aside.len != 0 ? arena_strdup(&cli->arena, aside) : NULL);
    if (!cli_print_item(cli, item, "aside")) {
        (void)fprintf(cli->out,
                      aside.len != 0
                          ? "the store is set aside in %.*s; the next start "
                            "makes an empty one\n"
                          : "there was no store%.*s\n",
                      STR_ARG(aside));
    }
    return CLI_OK;
}

/* ---- what is wanted -------------------------------------------------------
 */

static void read_wishes(struct run *x)
{
    const char *only = cli_value(x->cli, "only");
    bool all = cli_has(x->cli, "everything");
    x->state = only == NULL || strcmp(only, "state") == 0 ? REPLACE : NO;
    struct part *parts[] = {&x->runbooks, &x->config};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        parts[i]->wish = all                                 ? REPLACE
                         : only == NULL                      ? WHERE_MISSING
                         : strcmp(only, parts[i]->name) == 0 ? REPLACE
                                                             : NO;
    }
}

/* Who reads the configuration besides root: the service's group. */
static gid_t service_group(const struct config *c)
{
    struct stat st;
    const struct group *g = NULL;
    if ((stat(c->state_directory, &st) == 0 ||
         stat(c->backup_directory, &st) == 0) &&
        st.st_uid != 0) {
        return st.st_gid;
    }
    g = c->group != NULL ? getgrnam(c->group) : NULL;
    return g != NULL ? g->gr_gid : getgid();
}

/* While we are still root, if we are. */
static int begin_part(struct run *x, enum restore_part which, struct part *p,
                      const char *path)
{
    struct err err = ERR_INIT;
    p->put = (struct backup_put_options){
        .path = path,
        .now_ms = x->cli->now_ms,
        .replace = p->wish == REPLACE,
        .group = service_group(x->site.config),
    };
    p->outcome = "not asked";
    return p->wish == NO || restore_hand_begin(which, &p->put, &p->hand,
                                               &p->said, &err) == 0
               ? CLI_OK
               : site_explain(x->cli, &err, NULL);
}

/* ---- the state ------------------------------------------------------------
 */

/* What a restore loses, as far as the present store can still tell. */
static void tell_loss(struct cli *cli, const struct backup_info *b)
{
    char made[TIMESTAMP_TEXT_SIZE];
    timestamp_format(b->made_ms, made);
    cli_note(cli,
             "what was stored after %s is lost; events that waited then are "
             "set aside, unfinished workflows are held, because nobody knows "
             "what became of them since",
             made);
}

/* A state that is put back where the configuration of tomorrow does not look
 * for it would not be found. */
static bool is_elsewhere(struct cli *cli, const struct config *a,
                         const struct config *b)
{
    struct arena *in = &cli->arena;
    return strcmp(a->state_directory, b->state_directory) != 0 ||
           strcmp(a->repository, b->repository) != 0 ||
           strcmp(config_archive_directory(a, in),
                  config_archive_directory(b, in)) != 0 ||
           strcmp(config_secrets_key(a, in), config_secrets_key(b, in)) != 0;
}

static int check_places(struct run *x)
{
    const struct config *now = x->site.config;
    struct config_report report = {0};
    struct config *then = NULL;
    int code = CLI_OK;
    if (x->config.hand == NULL || x->config.said.err.errnum < 0 ||
        x->config_text.len == 0) {
        return CLI_OK;
    }
    if (config_parse(x->config_text, "config.yaml", &then, &report) == 0 &&
        is_elsewhere(x->cli, now, then)) {
        code = cli_fail(
            x->cli, CLI_CONFLICT,
            "adctl restore --only config, then the same again",
            "the configuration of the backup has its state in %s, its runbooks "
            "in %s, its archive in %s and its key in %s: put it back first",
            then->state_directory, then->repository,
            config_archive_directory(then, &x->cli->arena),
            config_secrets_key(then, &x->cli->arena));
    }
    config_free(then);
    config_report_deinit(&report);
    return code;
}

static int restore_state(struct run *x)
{
    struct cli *cli = x->cli;
    struct err err = ERR_INIT;
    const struct config *c = x->site.config;
    const struct backup_restore_options options = {
        .directory = x->site.directory,
        .name = arena_strdup(&cli->arena, x->backup.name),
        .state_directory = c->state_directory,
        .now_ms = cli->now_ms,
        .why =
            str_c(cli_text(cli, "adctl restore by uid %u", (unsigned)getuid())),
        .salvage = cli_has(cli, "salvage"),
    };
    cli_busy(cli, "restoring the backup");
    if (backup_restore_archive(options.directory, options.name,
                               config_archive_directory(c, &cli->arena),
                               &cli->arena, &x->archived, &err) < 0) {
        return site_explain(cli, &err, NULL);
    }
    if (backup_restore(&options, &cli->arena, &x->state_aside, &err) < 0) {
        return site_explain(cli, &err, "sudo systemctl stop autonomous-devops");
    }
    return CLI_OK;
}

/* ---- runbooks and configuration -------------------------------------------
 */

/* Could it be put back? Says why not. */
static bool may_put(struct run *x, struct part *p, bool is_in_backup)
{
    const struct err *e = &p->said.err;
    if (p->wish == NO) {
        return false;
    }
    if (!is_in_backup) {
        p->outcome = "not in the backup";
        p->line = "none: the backup has none";
    } else if (e->errnum == -EEXIST) {
        p->outcome = "kept";
        p->line = cli_text(x->cli,
                           "as they were: %s; adctl restore --only %s replaces",
                           e->message, p->name);
    } else if (e->errnum < 0) {
        p->outcome = "failed";
        p->line = cli_text(x->cli, "not put back: %s", e->message);
    } else if (x->dry) {
        p->outcome = "would be restored";
        p->line = cli_text(x->cli, "would be put back into %s", p->put.path);
    } else {
        return true;
    }
    return false;
}

static int feed(struct run *x, struct part *p, struct err *reterr)
{
    if (p == &x->config) {
        return restore_hand_give(p->hand, STR("config.yaml"), x->config_text,
                                 reterr);
    }
    return backup_read_runbooks(
        x->site.directory, arena_strdup(&x->cli->arena, x->backup.name),
        &x->cli->arena, restore_hand_give, p->hand, reterr);
}

static void put_part(struct run *x, struct part *p, bool is_in_backup)
{
    struct err err = ERR_INIT;
    if (!may_put(x, p, is_in_backup)) {
        return;
    }
    int r = feed(x, p, &err);
    r = r < 0 ? r : restore_hand_put(p->hand, &p->said, &err);
    const struct err *e = r < 0 ? &err : &p->said.err;
    if (r < 0 || e->errnum < 0) {
        p->outcome = "failed";
        p->line = cli_text(x->cli, "not put back: %s", e->message);
        return;
    }
    const struct backup_put_result *put = &p->said.put;
    p->outcome = "restored";
    p->line = cli_text(
        x->cli, "%u put back into %s%s%s%s", put->written, p->put.path,
        put->unchanged != 0
            ? cli_text(x->cli, ", %u there already", put->unchanged)
            : "",
        put->aside != 0 ? cli_text(x->cli, ", %u set aside in ", put->aside)
                        : "",
        put->aside != 0 ? put->aside_path : "");
    if (p == &x->config) {
        p->line =
            put->unchanged != 0
                ? cli_text(x->cli, "%s is the same", p->put.path)
                : cli_text(x->cli, "put back as %s%s%s", p->put.path,
                           put->aside != 0 ? "; the one of before is " : "",
                           put->aside != 0 ? put->aside_path : "");
    }
}

/* ---- saying it -------------------------------------------------------------
 */

static bool is_done(const struct part *p)
{
    return strcmp(p->outcome, "restored") == 0;
}

static void add_part(struct run *x, json_t *o, const struct part *p)
{
    const struct backup_put_result *put = &p->said.put;
    bool done = is_done(p);
    json_t *item = json_pack(
        "{s:s, s:s, s:i, s:i, s:i, s:s?, s:s?}", "outcome", p->outcome, "path",
        p->put.path, "written", done ? (int)put->written : 0, "unchanged",
        done ? (int)put->unchanged : 0, "set_aside", done ? (int)put->aside : 0,
        "aside", done && put->aside != 0 ? put->aside_path : NULL, "detail",
        p->line);
    (void)json_object_set_new(
        o, p == &x->runbooks ? "runbooks_restored" : "config_restored", item);
}

static json_t *to_json(struct run *x)
{
    json_t *o = backup_to_json(x->cli, &x->site, &x->backup);
    const char *aside = x->state_aside.len != 0
                            ? arena_strdup(&x->cli->arena, x->state_aside)
                            : NULL;
    const char *outcome = x->state == NO ? "not asked"
                          : x->dry       ? "would be restored"
                                         : "restored";
    (void)json_object_set_new(
        o, "state_restored",
        json_pack("{s:s, s:s, s:s?, s:i}", "outcome", outcome, "path",
                  x->site.config->state_directory, "aside", aside,
                  "archive_files", (int)x->archived));
    add_part(x, o, &x->runbooks);
    add_part(x, o, &x->config);
    return o;
}

static void print(struct run *x)
{
    struct cli *cli = x->cli;
    json_auto_t *o = to_json(x);
    if (cli_print_item(cli, o, "name")) {
        return;
    }
    bool any = x->state != NO || is_done(&x->runbooks) || is_done(&x->config);
    const char *title = x->dry ? "would restore"
                        : any  ? "restored"
                               : "nothing was restored from";
    (void)fprintf(cli->out, "%s %.*s\n", title, STR_ARG(x->backup.name));
    backup_print_fields(cli, &x->site, &x->backup);
    if (x->state != NO) {
        cli_print_field(
            cli, "state",
            cli_text(cli, "%s %s",
                     x->dry ? "would be put back into" : "put back into",
                     x->site.config->state_directory));
    }
    cli_print_field(cli, "runbooks", x->runbooks.line);
    cli_print_field(cli, "config", x->config.line);
}

static bool others_may_write(const char *folder)
{
    struct stat st;
    return stat(folder, &st) < 0 || st.st_uid != 0 || (st.st_mode & 0022) != 0;
}

/* Whoever may write where the backup stands may have made it; runbooks and
 * configuration say what runs here, and as whom. */
static void tell_trust(struct run *x)
{
    const char *itself =
        cli_text(x->cli, "%s/%.*s", x->site.directory, STR_ARG(x->backup.name));
    if (x->was_root && (is_done(&x->runbooks) || is_done(&x->config)) &&
        (others_may_write(x->site.directory) || others_may_write(itself))) {
        cli_note(x->cli, "others than root may write where this backup was: "
                         "look at what was put back before you go on");
    }
}

static unsigned count_of(struct str text, struct str what)
{
    unsigned count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += str_starts(str_slice(text, i, text.len), what);
    }
    return count;
}

/* What no backup holds. */
static void tell_secrets(struct run *x)
{
    unsigned left_out = count_of(x->config_text, STR(CONFIG_LEFT_OUT));
    const char *key = config_secrets_key(x->site.config, &x->cli->arena);
    if (is_done(&x->config) && left_out != 0) {
        cli_note(x->cli, "%s in no backup: look for \"left out\" in %s",
                 left_out == 1
                     ? "one secret of the configuration is"
                     : cli_text(x->cli, "%u secrets of the configuration are",
                                left_out),
                 x->config.put.path);
    }
    if (x->state != NO && access(key, F_OK) < 0 && errno == ENOENT) {
        cli_note(x->cli,
                 "%s is gone, and is in no backup: put your copy of it "
                 "there, or set stored credentials again",
                 key);
    }
}

static void tell_next(struct run *x)
{
    const struct part *r = &x->runbooks;
    bool no_git = is_done(r) && !r->said.put.has_git &&
                  strcmp(r->put.path, REPOSITORY) == 0 &&
                  access(SETUP, X_OK) == 0;
    const char *end =
        x->state != NO        ? "sudo systemctl start autonomous-devops, "
                                "then adctl status, then adctl backup "
                                "acknowledge"
        : is_done(&x->config) ? "sudo systemctl restart autonomous-devops"
                              : "adctl reload runbooks";
    if (x->state == NO && !is_done(r) && !is_done(&x->config)) {
        return;
    }
    cli_note(x->cli, "next: %s%s%s",
             is_done(&x->config) ? "autonomous-devops check-config, then " : "",
             no_git ? "sudo " SETUP " history, then " : "", end);
}

static void tell(struct run *x)
{
    struct cli *cli = x->cli;
    backup_tell_missing(cli, &x->backup);
    if (x->archived != 0) {
        cli_note(cli, "%s of the archive %s put back",
                 cli_count(cli, x->archived, "file"),
                 x->archived == 1 ? "was" : "were");
    }
    if (x->state_aside.len != 0) {
        cli_note(cli, "the store of before is in %.*s",
                 STR_ARG(x->state_aside));
    }
    if (x->state != NO) {
        tell_loss(cli, &x->backup);
    }
    if (!x->dry) {
        tell_secrets(x);
        tell_trust(x);
        tell_next(x);
    }
}

/* ---- all together ----------------------------------------------------------
 */

static int read_config_text(struct run *x)
{
    struct err err = ERR_INIT;
    return backup_read_config(x->site.directory,
                              arena_strdup(&x->cli->arena, x->backup.name),
                              &x->cli->arena, &x->config_text, &err) < 0
               ? site_explain(x->cli, &err, "adctl backup verify")
               : CLI_OK;
}

static int finish(struct run *x)
{
    int code = read_config_text(x);
    code = code != CLI_OK || x->state == NO ? code : check_places(x);
    code = code != CLI_OK || x->state == NO || x->dry ? code : restore_state(x);
    if (code != CLI_OK) {
        return code;
    }
    put_part(x, &x->runbooks, x->backup.runbooks != 0);
    put_part(x, &x->config, x->config_text.len != 0);
    cli_busy(x->cli, NULL);
    print(x);
    tell(x);
    bool failed = false;
    const struct part *const parts[] = {&x->runbooks, &x->config};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        failed |= strcmp(parts[i]->outcome, "failed") == 0 ||
                  (parts[i]->wish == REPLACE &&
                   strcmp(parts[i]->outcome, "not in the backup") == 0);
    }
    return !failed ? CLI_OK : x->state != NO ? CLI_FINDINGS : CLI_FAILED;
}

static int begin(struct run *x)
{
    struct cli *cli = x->cli;
    bool config = x->config.wish == REPLACE && x->state == NO;
    int code =
        site_find(cli, "from",
                  config ? SITE_MAY_BE_BROKEN : SITE_MAY_BE_MISSING, &x->site);
    if (code == CLI_OK && cli_has(cli, "empty")) {
        return CLI_OK;
    }
    code = code != CLI_OK ? code
                          : begin_part(x, RESTORE_RUNBOOKS, &x->runbooks,
                                       x->site.config->repository);
    return code != CLI_OK
               ? code
               : begin_part(x, RESTORE_CONFIG, &x->config, x->site.config_path);
}

static int run(struct run *x)
{
    struct cli *cli = x->cli;
    if ((cli_value(cli, "only") != NULL) + cli_has(cli, "everything") +
            cli_has(cli, "empty") >
        1) {
        return cli_fail(cli, CLI_USAGE, "adctl restore --help",
                        "--only, --everything and --empty exclude each other");
    }
    read_wishes(x);
    int code = begin(x);
    if (code == CLI_OK && cli_has(cli, "empty")) {
        x->site.directory = x->site.config->state_directory; /* needs none */
        code = site_take_place(cli, &x->site, PRIVILEGE_READ);
        return code == CLI_OK ? begin_empty(cli, &x->site) : code;
    }
    code = code != CLI_OK
               ? code
               : site_choose(cli, &x->site,
                             x->dry || x->state == NO ? PRIVILEGE_READ
                                                      : PRIVILEGE_RESTORE,
                             &x->backup);
    return code != CLI_OK ? code : finish(x);
}

int cli_restore(struct cli *cli)
{
    struct run x = {
        .cli = cli,
        .dry = cli_has(cli, "dry-run"),
        .was_root = geteuid() == 0,
        .runbooks = {.name = "runbooks"},
        .config = {.name = "config"},
    };
    int code = run(&x);
    restore_hand_end(x.runbooks.hand);
    restore_hand_end(x.config.hand);
    site_deinit(&x.site);
    return code;
}
