/* Making backups, listing, verifying, keeping them. */
#include "tests/unit/backup/lab.h"

#include <sqlite3.h>
#include <sys/file.h>

#include "model/runbook_load.h"

#define HOUR_MS 3600000ULL
#define DAY_MS (24 * HOUR_MS)

static void a_backup_has_everything(void **state)
{
    struct lab *l = *state;
    char link[128];
    (void)snprintf(link, sizeof(link), "%s/link.yaml", l->runbooks);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    lab_write(l, "runbooks/good.yaml",
              "name: Good\nsteps: [{name: a, action: exec, argv: [/bin/true]}]"
              "\n");
    lab_write(l, "runbooks/bad.yaml", "name: [\n");
    lab_write(l, "runbooks/notes.txt", "not a runbook\n");
    const char *name = lab_make(l, 0);
    assert_string_equal(name, "backup-20270115T080000Z");
    assert_int_equal(l->info.accepted, 50);
    assert_int_equal(l->info.runbooks, 2);
    assert_int_equal(l->info.files, 4); /* store, runbooks, configuration */
    assert_true(l->info.bytes > 50000);
    char file[256];
    static const char *const there[] = {"engine.db", "config.yaml",
                                        "manifest.json", "runbooks/good.yaml",
                                        "runbooks/bad.yaml"};
    for (size_t i = 0; i < ARRAY_LEN(there); i++) {
        struct stat st;
        (void)snprintf(file, sizeof(file), "%s/%s/%s", l->backups, name,
                       there[i]);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    (void)snprintf(file, sizeof(file), "backups/%s/runbooks/link.yaml", name);
    assert_false(lab_has(l, file));
    assert_int_equal(lab_verify(l, name), 0);
    assert_int_equal(l->info.accepted, 50);
    assert_int_equal(l->info.made_ms, T0_MS);
}

static void it_is_what_was_there_then(void **state)
{
    struct lab *l = *state;
    const char *first = lab_make(l, 0);
    lab_fill(l, 7);
    const char *second = lab_make(l, 0);
    assert_string_equal(second, "backup-20270115T080000Z-2");
    assert_int_equal(lab_verify(l, first), 0);
    assert_int_equal(l->info.accepted, 50);
    assert_int_equal(lab_verify(l, second), 0);
    assert_int_equal(l->info.accepted, 57);
}

static void metrics_belong_to_it(void **state)
{
    struct lab *l = *state;
    sqlite3 *db = NULL;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/metrics.db", l->state);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "CREATE TABLE sample (x)", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    const char *name = lab_make(l, 0);
    char file[256];
    (void)snprintf(file, sizeof(file), "backups/%s/metrics.db", name);
    assert_true(lab_has(l, file));
    assert_int_equal(lab_verify(l, name), 0);
    /* A damaged one is left out: the store is what counts. */
    lab_write(l, "state/metrics.db",
              "this is not a database at all, but it "
              "is long enough to be looked at as one "
              "and longer than a hundred bytes");
    name = lab_make(l, 1000);
    (void)snprintf(file, sizeof(file), "backups/%s/metrics.db", name);
    assert_false(lab_has(l, file));
    assert_int_equal(l->info.missing_count, 1);
    assert_false(l->info.is_incomplete);
}

static const struct backup_missing *missing(struct lab *l, const char *path)
{
    for (uint32_t i = 0; i < l->info.missing_count; i++) {
        if (str_eq_c(l->info.missing[i].path, path)) {
            return &l->info.missing[i];
        }
    }
    return NULL;
}

/* Made, verified, and said by both. */
static void make_incomplete(struct lab *l, uint64_t after_ms, const char *path)
{
    const char *name = lab_make(l, after_ms);
    assert_true(l->info.is_incomplete);
    assert_non_null(missing(l, path));
    assert_int_equal(lab_verify(l, name), 0);
    assert_true(l->info.is_incomplete);
    assert_non_null(missing(l, path));
    assert_true(missing(l, path)->why.len != 0);
    assert_false(missing(l, path)->is_harmless);
    assert_int_equal(l->info.accepted, 50);
}

static void trouble_with_the_runbooks_stops_nothing(void **state)
{
    struct lab *l = *state;
    assert_int_equal(rmdir(l->runbooks), 0);
    make_incomplete(l, 0, "runbooks");
    lab_write(l, "runbooks", "this is no folder\n");
    make_incomplete(l, 1000, "runbooks");
}

static void no_runbook_is_dropped_without_a_word(void **state)
{
    struct lab *l = *state;
    char path[128];
    lab_write(l, "runbooks/a.yaml", "name: a\n");
    (void)snprintf(path, sizeof(path), "%s/link.yaml", l->runbooks);
    assert_int_equal(symlink("a.yaml", path), 0);
    const char *name = lab_make(l, 0);
    assert_false(l->info.is_incomplete);
    assert_true(missing(l, "runbooks/link.yaml")->is_harmless);
    assert_int_equal(lab_verify(l, name), 0);
    assert_int_equal(l->info.missing_count, 1);
    /* Names that no backup can hold, and a file that is too large. */
    lab_write(l, "runbooks/a b.yaml", "name: b\n");
    make_incomplete(l, 1000, "runbooks/a b.yaml");
    (void)snprintf(path, sizeof(path), "%s/a b.yaml", l->runbooks);
    assert_int_equal(unlink(path), 0);
    lab_write(l, "runbooks/large.yaml", "");
    (void)snprintf(path, sizeof(path), "%s/large.yaml", l->runbooks);
    assert_int_equal(truncate(path, RUNBOOK_MAX_BYTES + 1), 0);
    make_incomplete(l, 2000, "runbooks/large.yaml");
    assert_int_equal(l->info.runbooks, 1);
}

static void what_is_missing_is_named_up_to_a_limit(void **state)
{
    struct lab *l = *state;
    char path[128];
    for (int i = 0; i < BACKUP_MISSING_MAX + 5; i++) {
        (void)snprintf(path, sizeof(path), "runbooks/a %d.yaml", i);
        lab_write(l, path, "name: a\n");
    }
    make_incomplete(l, 0, "runbooks");
    assert_int_equal(l->info.missing_count, BACKUP_MISSING_MAX);
    assert_true(str_starts(missing(l, "runbooks")->why, STR("6 more")));
}

static void two_at_a_time_are_refused(void **state)
{
    struct lab *l = *state;
    (void)lab_make(l, 0);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/.lock", l->backups);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(lab_try_make(l, 1000), -EBUSY);
    (void)close(fd);
    (void)lab_make(l, 1000);
}

static void what_was_not_finished_goes(void **state)
{
    struct lab *l = *state;
    (void)lab_make(l, 0);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/partial-123", l->backups);
    assert_int_equal(mkdir(path, 0700), 0);
    lab_write(l, "backups/partial-123/engine.db", "half");
    (void)lab_make(l, 1000);
    assert_false(lab_has(l, "backups/partial-123"));
}

static void no_store_no_backup(void **state)
{
    struct lab *l = *state;
    lab_close(l);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/engine.db", l->state);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(lab_try_make(l, 0), -ENOENT);
    assert_false(lab_has(l, "state/engine.db"));
    struct backup_list list;
    assert_int_equal(backup_list(l->backups, &l->arena, &list, &l->err), 0);
    assert_int_equal(list.items.count, 0);
}

/* ---- verifying ----------------------------------------------------------- */

/* Changes a file of the backup; afterwards it is no good. */
static void spoil(struct lab *l, const char *name, const char *file,
                  const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "backups/%s/%s", name, file);
    lab_write(l, path, text);
    assert_int_equal(lab_verify(l, name), -EBADMSG);
    assert_true(l->err.message[0] != '\0');
}

static void any_change_is_noticed(void **state)
{
    struct lab *l = *state;
    lab_write(l, "runbooks/a.yaml", "name: a\n");
    spoil(l, lab_make(l, 1000), "runbooks/a.yaml", "name: b\n");
    spoil(l, lab_make(l, 2000), "config.yaml", "");
    spoil(l, lab_make(l, 3000), "engine.db", "x");
    spoil(l, lab_make(l, 4000), "manifest.json", "{}");
    spoil(l, lab_make(l, 5000), "manifest.json", "");
    spoil(l, lab_make(l, 6000), "manifest.json", "{\"format\": 2}");
    const char *name = lab_make(l, 7000);
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s/runbooks/a.yaml", l->backups,
                   name);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(lab_verify(l, name), -EBADMSG);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(lab_verify(l, name), -EBADMSG);
    assert_int_equal(lab_verify(l, "backup-20270115T080099Z"), -ENOENT);
    assert_int_equal(lab_verify(l, "../state"), -ENOENT);
    assert_int_equal(lab_verify(l, "backup-/../../x"), -ENOENT);
}

/* A manifest that somebody has made up. */
static void manifests_are_read_with_suspicion(void **state)
{
    struct lab *l = *state;
    static const char head[] =
        "{\"format\": 1, \"name\": \"%s\", \"version\": \"1\","
        " \"host\": \"h\", \"made_at_ms\": 1, \"schema\": 1,"
        " \"events_accepted\": 0, \"workflows\": 0, \"last_event_seq\": 0,"
        " \"last_event_at_ms\": 0, \"runbook_commit\": \"\", \"files\": [%s]}";
#define SUM                                                                    \
    "\"00000000000000000000000000000000"                                       \
    "00000000000000000000000000000000\""
    static const char *const files[] = {
        "{\"path\": \"../state/engine.db\", \"bytes\": 1, \"sha256\": " SUM "}",
        "{\"path\": \"/etc/passwd\", \"bytes\": 1, \"sha256\": " SUM "}",
        "{\"path\": \"runbooks/../../x.yaml\", \"bytes\": 1, \"sha256\": " SUM
        "}",
        "{\"path\": \"runbooks/.git/config\", \"bytes\": 1, \"sha256\": " SUM
        "}",
        "{\"path\": \"engine.db\", \"bytes\": -1, \"sha256\": " SUM "}",
        "{\"path\": \"engine.db\", \"bytes\": 1, \"sha256\": \"xy\"}",
        "{\"path\": \"engine.db\", \"bytes\": 1}",
        "{\"path\": \"config.yaml\", \"bytes\": 1, \"sha256\": " SUM "}, "
        "{\"path\": \"config.yaml\", \"bytes\": 1, \"sha256\": " SUM "}",
        "7",
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char text[2048];
        const char *name = lab_make(l, i * 1000);
        (void)snprintf(text, sizeof(text), head, name, files[i]);
        spoil(l, name, "manifest.json", text);
    }
    /* Well formed, and no store in it. */
    char text[2048];
    const char *name = lab_make(l, 100000);
    (void)snprintf(text, sizeof(text), head, name, "");
    spoil(l, name, "manifest.json", text);
    assert_non_null(strstr(l->err.message, "engine.db"));
    /* That of another one. */
    (void)snprintf(text, sizeof(text), head, "backup-20270115T080000Z", "");
    spoil(l, name, "manifest.json", text);
    assert_non_null(strstr(l->err.message, "another"));
}

static void note_broken(void *context, const char *name, const struct err *why)
{
    struct lab *l = context;
    (void)why;
    assert_string_equal(name, "backup-20270115T080010Z");
    l->info.runbooks = 99;
}

static void the_newest_good_one_is_found(void **state)
{
    struct lab *l = *state;
    (void)lab_make(l, 0);
    (void)lab_make(l, 5000);
    spoil(l, lab_make(l, 10000), "config.yaml", "x");
    struct backup_info info;
    assert_int_equal(
        backup_newest(l->backups, &l->arena, &info, note_broken, l, &l->err),
        0);
    assert_true(str_eq(info.name, STR("backup-20270115T080005Z")));
    assert_int_equal(l->info.runbooks, 99);
    spoil(l, "backup-20270115T080005Z", "engine.db", "x");
    spoil(l, "backup-20270115T080000Z", "manifest.json", "x");
    assert_int_equal(
        backup_newest(l->backups, &l->arena, &info, NULL, NULL, &l->err),
        -ENOENT);
    struct backup_list list;
    assert_int_equal(backup_list(l->backups, &l->arena, &list, &l->err), 0);
    assert_int_equal(list.items.count, 3);
    assert_true(list.items.at[2].broken.len != 0);
    backup_list_deinit(&list);
}

static void the_last_one_is_told(void **state)
{
    struct lab *l = *state;
    struct backup_info info = {0};
    assert_int_equal(backup_last(l->backups, &l->arena, &info, &l->err),
                     -ENOENT);
    (void)lab_make(l, 0);
    (void)lab_make(l, 5000);
    assert_int_equal(backup_last(l->backups, &l->arena, &info, &l->err), 0);
    assert_int_equal(info.made_ms, T0_MS + 5000);
    /* It is not what it was, and can still be told from one that is broken. */
    spoil(l, "backup-20270115T080005Z", "manifest.json", "x");
    assert_int_equal(backup_last(l->backups, &l->arena, &info, &l->err), 0);
    assert_int_equal(info.made_ms, T0_MS);
    spoil(l, "backup-20270115T080000Z", "manifest.json", "x");
    assert_int_equal(backup_last(l->backups, &l->arena, &info, &l->err),
                     -ENOENT);
}

/* ---- keeping ------------------------------------------------------------- */

static uint32_t prune(struct lab *l, uint64_t now_ms, uint64_t max_bytes)
{
    uint32_t removed = 0;
    const struct backup_keep keep = {
        .keep_all_ms = DAY_MS, .keep_days = 7, .max_bytes = max_bytes};
    assert_int_equal(
        backup_prune(l->backups, &keep, T0_MS + now_ms, &removed, &l->err), 0);
    return removed;
}

static size_t count(struct lab *l)
{
    struct backup_list list;
    assert_int_equal(backup_list(l->backups, &l->arena, &list, &l->err), 0);
    size_t n = list.items.count;
    backup_list_deinit(&list);
    return n;
}

static void old_ones_go(void **state)
{
    struct lab *l = *state;
    for (unsigned i = 0; i < 40; i++) {
        (void)lab_make(l, i * 6 * HOUR_MS); /* four a day, for ten days */
    }
    uint64_t now = 40 * 6 * HOUR_MS;
    /* Those of the last day (younger than 24 h: 3), then one a day for what is
     * left of seven days. */
    assert_int_equal(prune(l, now, UINT64_MAX), 40 - 3 - 6);
    assert_int_equal(count(l), 9);
    assert_int_equal(prune(l, now, UINT64_MAX), 0);
    /* Not even size takes the last two. */
    assert_int_equal(prune(l, now, 1), 7);
    assert_int_equal(count(l), 2);
    assert_int_equal(prune(l, now + 400 * DAY_MS, 1), 0);
}

/* A store that grows must not make the backups of other days vanish for those
 * of the last minutes. */
static void what_room_there_is_goes_to_other_days_first(void **state)
{
    struct lab *l = *state;
    uint64_t one = 0;
    for (unsigned day = 0; day < 4; day++) {
        (void)lab_make(l, day * DAY_MS);
    }
    for (unsigned i = 0; i < 12; i++) { /* every ten minutes, two hours long */
        (void)lab_make(l, 4 * DAY_MS + i * HOUR_MS / 6);
    }
    uint64_t now = 4 * DAY_MS + 2 * HOUR_MS;
    struct backup_list list;
    assert_int_equal(backup_list(l->backups, &l->arena, &list, &l->err), 0);
    for (size_t i = 0; i < list.items.count; i++) {
        one = MAX(one, list.items.at[i].bytes);
    }
    backup_list_deinit(&list);
    assert_int_equal(prune(l, now, UINT64_MAX), 0);
    /* The last two, four days, and one of each hour before. */
    assert_int_equal(prune(l, now, 8 * one), 8);
    assert_int_equal(backup_list(l->backups, &l->arena, &list, &l->err), 0);
    assert_int_equal(list.items.count, 8);
    uint64_t oldest = list.items.at[7].made_ms;
    assert_int_equal(list.items.at[4].made_ms, T0_MS + 3 * DAY_MS);
    backup_list_deinit(&list);
    assert_int_equal(oldest, T0_MS);
    /* Less still: the oldest days go. */
    assert_int_equal(prune(l, now, 4 * one), 4);
    assert_int_equal(backup_list(l->backups, &l->arena, &list, &l->err), 0);
    assert_int_equal(list.items.at[3].made_ms, T0_MS + 2 * DAY_MS);
    backup_list_deinit(&list);
}

static void broken_ones_go_when_they_are_old(void **state)
{
    struct lab *l = *state;
    (void)lab_make(l, 0);
    spoil(l, lab_make(l, 1000), "manifest.json", "x");
    (void)lab_make(l, 2000);
    (void)lab_make(l, 3000);
    assert_int_equal(prune(l, HOUR_MS, UINT64_MAX), 0);
    assert_int_equal(count(l), 4);
    assert_int_equal(prune(l, 2 * DAY_MS, UINT64_MAX), 2);
    assert_int_equal(count(l), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB(a_backup_has_everything),
        LAB(it_is_what_was_there_then),
        LAB(metrics_belong_to_it),
        LAB(trouble_with_the_runbooks_stops_nothing),
        LAB(no_runbook_is_dropped_without_a_word),
        LAB(what_is_missing_is_named_up_to_a_limit),
        LAB(two_at_a_time_are_refused),
        LAB(what_was_not_finished_goes),
        LAB(no_store_no_backup),
        LAB(any_change_is_noticed),
        LAB(manifests_are_read_with_suspicion),
        LAB(the_newest_good_one_is_found),
        LAB(the_last_one_is_told),
        LAB(old_ones_go),
        LAB(what_room_there_is_goes_to_other_days_first),
        LAB(broken_ones_go_when_they_are_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
