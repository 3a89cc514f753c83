/*
 * adctl backup: what must work when nothing else does. It reads the
 * configuration and the files itself; no engine is asked, except to acknowledge
 * a restore.
 */
#include "app/cli_backup.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "app/cli_busy.h"
#include "app/cli_commands.h"
#include "app/cli_http.h"
#include "app/config_environment.h"
#include "data/timestamp.h"

#define MISSING_TOLD 10
#define PROGRESS_FROM_PAGES 50000 /* 200 MB: below that it is soon done */

/* ---- where everything is ---- */

void site_deinit(struct site *p)
{
    config_free(p->config);
}

static const char *absolute(struct cli *cli, const char *path)
{
    char folder[PATH_MAX];
    return path[0] == '/' || getcwd(folder, sizeof(folder)) == NULL
               ? path
               : cli_text(cli, "%s/%s", folder, path);
}

/* What the units are given besides the file. */
static const char *environment_of(const char *path)
{
    return path != NULL && strcmp(path, CONFIG_PATH_DEFAULT) == 0
               ? CONFIG_ENVIRONMENT_DEFAULT
               : NULL;
}

static int load_config(struct cli *cli, enum site_need need, struct site *ret,
                       struct config_report *report)
{
    const char *path = cli_value(cli, "config");
    if (path == NULL && access(CONFIG_PATH_DEFAULT, F_OK) == 0) {
        path = CONFIG_PATH_DEFAULT;
    }
    struct config_sources from = {.path = path,
                                  .beside_engine = true,
                                  .environment = environment_of(path)};
    ret->config_path = absolute(cli, path != NULL ? path : CONFIG_PATH_DEFAULT);
    int r = config_load_from(&from, &ret->config, report);
    ret->has_config = r == 0 && path != NULL;
    if (r == 0 || r == -EACCES || need != SITE_MAY_BE_BROKEN) {
        return r;
    }
    if (r != -ENOENT) {
        cli_note(cli,
                 "%s has errors (autonomous-devops check-config says which): "
                 "going on with the defaults",
                 path);
    }
    config_report_deinit(report);
    *report = (struct config_report){0};
    from.path = NULL;
    return config_load_from(&from, &ret->config, report);
}

/* What to do about a configuration that cannot be used. */
static const char *config_next(enum site_need need, int r)
{
    bool restores = need != SITE_NEEDED;
    if (r == -EACCES) {
        return restores ? "sudo adctl restore" : "sudo adctl backup";
    }
    return restores ? "adctl restore --only config --from DIR" : NULL;
}

int site_find(struct cli *cli, const char *flag, enum site_need need,
              struct site *ret)
{
    struct config_report report = {0};
    struct strbuf text = STRBUF_INIT(256 * 1024);
    int r = load_config(cli, need, ret, &report);
    int code = 0;
    if (r < 0) {
        config_report_add_text(&report, &text);
        (void)fprintf(cli->err, "%s", text.at);
        code = cli_fail(cli, r == -EACCES ? CLI_DENIED : CLI_FAILED,
                        config_next(need, r),
                        "the configuration says where everything is, and it "
                        "cannot be used; --config FILE names another");
    } else {
        const char *directory = cli_value(cli, flag);
        ret->directory = directory != NULL ? absolute(cli, directory)
                                           : ret->config->backup_directory;
    }
    strbuf_deinit(&text);
    config_report_deinit(&report);
    return code;
}

int site_explain(struct cli *cli, const struct err *err, const char *next)
{
    int code = CLI_FAILED;
    if (err->errnum == -EACCES || err->errnum == -EPERM) {
        code = CLI_DENIED;
        next = next != NULL || geteuid() == 0 ? next : "sudo adctl ...";
    } else if (err->errnum == -ENOENT) {
        code = CLI_NOT_FOUND;
    } else if (err->errnum == -EBUSY || err->errnum == -EEXIST) {
        code = CLI_CONFLICT;
    }
    return cli_fail(cli, code, next, "%s%s%s", err->message,
                    err->hint[0] != '\0' ? "; " : "", err->hint);
}

int site_take_place(struct cli *cli, const struct site *p,
                    enum privilege_use use)
{
    const char *user = NULL;
    struct err err = ERR_INIT;
    const struct privilege_folders folders = {
        .state = p->config->state_directory,
        .archive = config_archive_directory(p->config, &cli->arena),
        .backups = p->config->backup_directory,
        .directory = p->directory,
        .use = use,
    };
    int r = privilege_for_backups(&folders, &user, &err);
    return r < 0 ? site_explain(cli, &err, NULL) : CLI_OK;
}

/* ---- one backup as JSON and as a row ---- */

static void set_instant(json_t *o, const char *key, uint64_t ms)
{
    char text[TIMESTAMP_TEXT_SIZE];
    timestamp_format(ms, text);
    (void)json_object_set_new(o, key,
                              ms != 0 ? json_string(text) : json_null());
}

static json_t *missing_to_json(struct cli *cli, const struct backup_info *b)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < b->missing_count; i++) {
        const struct backup_missing *x = &b->missing[i];
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:b}", "path",
                            arena_strdup(&cli->arena, x->path), "why",
                            arena_strdup(&cli->arena, x->why), "harmless",
                            x->is_harmless));
    }
    return list;
}

json_t *backup_to_json(struct cli *cli, const struct site *p,
                       const struct backup_info *b)
{
    json_t *o = json_object();
    const char *name = arena_strdup(&cli->arena, b->name);
    (void)json_object_set_new(o, "name", json_string(name));
    (void)json_object_set_new(
        o, "path", json_string(cli_text(cli, "%s/%s", p->directory, name)));
    if (b->broken.len != 0) {
        (void)json_object_set_new(
            o, "broken", json_string(arena_strdup(&cli->arena, b->broken)));
        return o;
    }
    set_instant(o, "made_at", b->made_ms);
    set_instant(o, "last_event_at", b->last_event_ms);
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"bytes", b->bytes},
        {"files", b->files},
        {"events", b->accepted},
        {"last_event_seq", b->last_event_seq},
        {"workflows", b->workflows},
        {"runbooks", b->runbooks},
        {"archive_files", b->archives},
        {"schema", b->schema},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        (void)json_object_set_new(o, numbers[i].key,
                                  json_integer((json_int_t)numbers[i].value));
    }
    (void)json_object_set_new(
        o, "version", json_string(arena_strdup(&cli->arena, b->version)));
    (void)json_object_set_new(o, "host",
                              json_string(arena_strdup(&cli->arena, b->host)));
    (void)json_object_set_new(
        o, "runbook_commit",
        json_string(arena_strdup(&cli->arena, b->runbook_commit)));
    (void)json_object_set_new(o, "complete", json_boolean(!b->is_incomplete));
    (void)json_object_set_new(o, "missing", missing_to_json(cli, b));
    return o;
}

/* "3.4 MiB" */
static const char *size_text(struct cli *cli, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes;
    size_t i = 0;
    while (size >= 1024 && i + 1 < ARRAY_LEN(units)) {
        size /= 1024;
        i++;
    }
    return cli_text(cli, i == 0 ? "%.0f %s" : "%.1f %s", size, units[i]);
}

void backup_print_fields(struct cli *cli, const struct site *p,
                         const struct backup_info *b)
{
    char made[TIMESTAMP_TEXT_SIZE];
    timestamp_format(b->made_ms, made);
    cli_print_field(cli, "folder",
                    cli_text(cli, "%s/%.*s", p->directory, STR_ARG(b->name)));
    cli_print_field(cli, "made", made);
    cli_print_field(
        cli, "size",
        cli_text(cli, "%s in %u files", size_text(cli, b->bytes), b->files));
    cli_print_field(cli, "holds",
                    cli_text(cli,
                             "%llu events, %llu workflows, %u runbooks, %s of "
                             "the archive",
                             (unsigned long long)b->accepted,
                             (unsigned long long)b->workflows, b->runbooks,
                             cli_count(cli, b->archives, "file")));
}

static void print_one(struct cli *cli, const struct site *p,
                      const struct backup_info *b, const char *what)
{
    json_auto_t *o = backup_to_json(cli, p, b);
    if (!cli_print_item(cli, o, "name")) {
        (void)fprintf(cli->out, "%s %.*s\n", what, STR_ARG(b->name));
        backup_print_fields(cli, p, b);
    }
}

/* The first of them. */
void backup_tell_missing(struct cli *cli, const struct backup_info *b)
{
    for (uint32_t i = 0; i < b->missing_count && i < MISSING_TOLD; i++) {
        cli_note(cli, "not in the backup: %.*s: %.*s",
                 STR_ARG(b->missing[i].path), STR_ARG(b->missing[i].why));
    }
    if (b->missing_count > MISSING_TOLD) {
        cli_note(cli, "%u more are named in its manifest.json",
                 b->missing_count - MISSING_TOLD);
    }
    if (b->is_incomplete) {
        cli_note(cli, "this backup is good, and it is incomplete");
    }
    if (b->trail.len != 0) {
        cli_note(cli,
                 "this backup is good, but not the audit trail in it: %.*s",
                 STR_ARG(b->trail));
    }
}

/* ---- make ---- */

static void show_progress(void *context, uint64_t done, uint64_t total)
{
    struct cli *cli = context;
    if (total >= PROGRESS_FROM_PAGES) {
        cli_busy(cli, done == total
                          ? "verifying the copy"
                          : cli_text(cli, "copying the store: %llu %% of %s",
                                     (unsigned long long)(done * 100 / total),
                                     size_text(cli, total * 4096)));
    }
}

static void prune(struct cli *cli, const struct site *p)
{
    const struct backup_keep keep = {
        .keep_all_ms = p->config->backup_keep_all_ms,
        .keep_days = p->config->backup_keep_days,
        .max_bytes = p->config->backup_max_bytes,
    };
    struct err err = ERR_INIT;
    uint32_t removed = 0;
    if (backup_prune(p->directory, &keep, cli->now_ms, &removed, &err) < 0) {
        cli_note(cli, "old backups were not removed: %s", err.message);
    } else if (removed != 0) {
        cli_note(cli, "removed %u old backup%s", removed,
                 removed == 1 ? "" : "s");
    }
}

int cli_backup_make(struct cli *cli)
{
    CLEANUP(site_deinit) struct site p = {0};
    CLEANUP(strbuf_deinit) struct strbuf config = STRBUF_INIT(CONFIG_MAX_BYTES);
    struct backup_info info = {0};
    struct err err = ERR_INIT;
    int code = site_find(cli, "to", SITE_NEEDED, &p);
    code = code == 0 ? site_take_place(cli, &p, PRIVILEGE_MAKE) : code;
    if (code != 0) {
        return code;
    }
    config_add_values(p.config, &config);
    const struct backup_make_options options = {
        .directory = p.directory,
        .state_directory = p.config->state_directory,
        .repository = p.config->repository,
        .archive = config_archive_directory(p.config, &cli->arena),
        .config = strbuf_str(&config),
        .now_ms = cli->now_ms,
        .progress = {.fn = show_progress, .context = cli},
    };
    cli_busy(cli, "making the backup");
    int made = backup_make(&options, &cli->arena, &info, &err);
    cli_busy(cli, NULL);
    if (made < 0) {
        return site_explain(
            cli, &err,
            err.errnum == -ENOENT && cli_value(cli, "config") == NULL
                ? "adctl backup -c FILE, if the engine has another "
                  "configuration"
                : NULL);
    }
    print_one(cli, &p, &info, "made");
    backup_tell_missing(cli, &info);
    prune(cli, &p);
    return info.is_incomplete ? CLI_FINDINGS : CLI_OK;
}

/* ---- list, verify ---- */

int cli_backup_list(struct cli *cli)
{
    static const struct cli_column columns[] = {
        {"NAME", 0},
        {"SIZE", CLI_RIGHT},
        {"EVENTS", CLI_RIGHT},
        {"WORKFLOWS", CLI_RIGHT},
        {"RUNBOOKS", CLI_RIGHT | CLI_ONLY_WIDE},
        {"HOST", CLI_ONLY_WIDE},
        {"VERSION", CLI_ONLY_WIDE},
        {"STATE", CLI_FLEX},
        {NULL, 0},
    };
    CLEANUP(site_deinit) struct site p = {0};
    struct backup_list list = {0};
    struct err err = ERR_INIT;
    int code = site_find(cli, "from", SITE_NEEDED, &p);
    code = code == 0 ? site_take_place(cli, &p, PRIVILEGE_READ) : code;
    if (code != 0) {
        return code;
    }
    if (backup_list(p.directory, &cli->arena, &list, &err) < 0) {
        return site_explain(cli, &err, "adctl backup");
    }
    json_auto_t *items = json_array();
    VEC_EACH (&list.items, i) {
        (void)json_array_append_new(items,
                                    backup_to_json(cli, &p, &list.items.at[i]));
    }
    if (!cli_print_items(cli, items, NULL, "name")) {
        struct cli_table t;
        cli_table_init(&t, cli, columns);
        VEC_EACH (&list.items, i) {
            const struct backup_info *b = &list.items.at[i];
            bool good = b->broken.len == 0;
            const json_t *o = json_array_get(items, i);
            cli_cell(&t, cli_get(cli, o, "name"));
            cli_cell(&t, good ? size_text(cli, b->bytes) : "");
            cli_cell(&t, cli_get(cli, o, "events"));
            cli_cell(&t, cli_get(cli, o, "workflows"));
            cli_cell(&t, cli_get(cli, o, "runbooks"));
            cli_cell(&t, cli_get(cli, o, "host"));
            cli_cell(&t, cli_get(cli, o, "version"));
            cli_cell(&t, !good              ? cli_get(cli, o, "broken")
                         : b->is_incomplete ? "incomplete"
                                            : "complete");
        }
        cli_table_print(&t);
    }
    backup_list_deinit(&list);
    return CLI_OK;
}

/* The name of a backup, or the path of its folder, which then says where all
 * of them are. */
static const char *take_name(struct cli *cli, struct site *p, const char *word)
{
    const char *slash = strrchr(word, '/');
    if (slash == NULL) {
        return word;
    }
    if (slash[1] == '\0') { /* "DIR/NAME/" */
        word = cli_text(cli, "%.*s", (int)(slash - word), word);
        return take_name(cli, p, word);
    }
    p->directory = absolute(
        cli,
        slash == word ? "/" : cli_text(cli, "%.*s", (int)(slash - word), word));
    return slash + 1;
}

static void tell_broken(void *context, const char *name, const struct err *why)
{
    cli_note(context, "%s is no good: %s", name, why->message);
}

int site_choose(struct cli *cli, struct site *p, enum privilege_use use,
                struct backup_info *ret)
{
    const char *word = cli_word(cli, 0);
    const char *name = word != NULL ? take_name(cli, p, word) : NULL;
    struct err err = ERR_INIT;
    int r = 0;
    int code = site_take_place(cli, p, use);
    if (code != CLI_OK) {
        return code;
    }
    cli_busy(cli, "verifying the backup");
    if (name != NULL) {
        r = backup_verify(p->directory, name, &cli->arena, ret, &err);
    } else {
        r = backup_newest(p->directory, &cli->arena, ret, tell_broken, cli,
                          &err);
    }
    cli_busy(cli, NULL);
    return r < 0 ? site_explain(cli, &err, "adctl backup list") : 0;
}

int cli_backup_verify(struct cli *cli)
{
    CLEANUP(site_deinit) struct site p = {0};
    struct backup_info info = {0};
    int code = site_find(cli, "from", SITE_NEEDED, &p);
    if (code == 0) {
        code = site_choose(cli, &p, PRIVILEGE_READ, &info);
    }
    if (code == 0) {
        print_one(cli, &p, &info, "good:");
        backup_tell_missing(cli, &info);
    }
    return code;
}

int cli_backup_acknowledge(struct cli *cli)
{
    struct cli_answer a;
    cli_send(cli,
             &(struct cli_request){.method = "POST",
                                   .path = "/api/admin/acknowledge-restore"},
             &a);
    int code = CLI_OK;
    const char *word = cli_get_raw(a.body, "code");
    if (a.status == 409 && word != NULL && strcmp(word, "not_restored") == 0) {
        json_auto_t *nothing = json_pack("{s:n}", "restored");
        (void)cli_print_item(cli, nothing, "restored");
        cli_note(cli, "there is nothing to acknowledge: %s",
                 cli_get(cli, a.body, "error"));
    } else if (a.status != 200) {
        code = cli_explain(cli, &a, NULL);
    } else if (!cli_print_item(cli, a.body, "restored")) {
        (void)fprintf(cli->out, "the engine no longer reports the restore\n");
    }
    cli_answer_deinit(&a);
    return code;
}
