/* The archive: its folder, its place in backups, and the way back. */
#include "tests/unit/backup/lab.h"

#include "backup/archive.h"

#define DAY_MS (24 * 3600000ULL)
#define FIRST "workflows-20270115T080000Z.ndjson"
#define SECOND "workflows-20270115T080000Z-2.ndjson"
#define LATER "workflows-20270116T080000Z.ndjson"

static void mkdir_in(const struct lab *l, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", l->root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* The text of a file below the lab's root is this one. */
static void assert_text(const struct lab *l, const char *name, const char *text)
{
    char path[512];
    CLEANUP(strbuf_deinit) struct strbuf is = STRBUF_INIT(4096);
    (void)snprintf(path, sizeof(path), "%s/%s", l->root, name);
    assert_int_equal(os_read_file(AT_FDCWD, path, &is), 0);
    assert_true(str_eq_c(strbuf_str(&is), text));
}

static struct stat look(const struct lab *l, const char *name)
{
    char path[512];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/%s", l->root, name);
    assert_int_equal(lstat(path, &st), 0);
    return st;
}

static void some_names_are_good(void **state)
{
    (void)state;
    static const char *const good[] = {FIRST, SECOND,
                                       "workflows-20270115T080000Z-99.ndjson"};
    static const char *const bad[] = {
        "",
        "workflows-.ndjson",
        "workflows-20270115T080000Z",
        "x" FIRST,
        FIRST ".part",
        FIRST ".damaged",
        "workflows-20270115T080000Z-.ndjson",
        "workflows-20270115T080000Z-2x.ndjson",
        "workflows-../../../etc.ndjson",
        "workflows-20271315T080000Z.ndjson",
        "workflows-2027011 T080000Z.ndjson",
        "workflows-20270115T080000Z-11111111111111111111111.ndjson"};
    uint64_t made_ms = 0;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(archive_name_is_good(str_c(good[i]), &made_ms));
        assert_int_equal(made_ms, T0_MS);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(archive_name_is_good(str_c(bad[i]), NULL));
    }
}

/* ---- writing ------------------------------------------------------------- */

static void write_one(struct lab *l, int folder, const char *name)
{
    char made[ARCHIVE_NAME_SIZE];
    int fd = -1;
    assert_int_equal(archive_create(folder, T0_MS, made, &fd, &l->err), 0);
    assert_string_equal(made, name);
    assert_int_equal(os_write_all(fd, STR("{}\n")), 0);
    assert_int_equal(archive_finish(folder, made, fd, &l->err), 0);
    (void)close(fd);
}

static void files_get_names_of_their_own(void **state)
{
    struct lab *l = *state;
    char made[ARCHIVE_NAME_SIZE];
    int folder = -1;
    int fd = -1;
    assert_int_equal(archive_open(l->archive, true, &folder, &l->err), 0);
    assert_int_equal(look(l, "archive").st_mode & 0777, 0700);
    write_one(l, folder, FIRST);
    write_one(l, folder, SECOND);
    assert_text(l, "archive/" FIRST, "{}\n");
    assert_int_equal(look(l, "archive/" FIRST).st_mode & 0777, 0600);
    assert_int_equal(archive_create(folder, T0_MS, made, &fd, &l->err), 0);
    (void)close(fd);
    assert_true(lab_has(l, "archive/workflows-20270115T080000Z-3.ndjson.part"));
    archive_discard(folder, made);
    assert_false(
        lab_has(l, "archive/workflows-20270115T080000Z-3.ndjson.part"));
    /* A name that somebody has planted is not followed. */
    assert_int_equal(symlinkat("/etc/passwd", folder,
                               "workflows-20270115T080000Z-3.ndjson.part"),
                     0);
    assert_int_equal(archive_create(folder, T0_MS, made, &fd, &l->err), 0);
    assert_string_equal(made, "workflows-20270115T080000Z-4.ndjson");
    (void)close(fd);
    (void)close(folder);
}

static void a_full_folder_takes_no_more(void **state)
{
    struct lab *l = *state;
    char name[ARCHIVE_NAME_SIZE];
    int folder = -1;
    int fd = -1;
    assert_int_equal(archive_open(l->archive, true, &folder, &l->err), 0);
    for (unsigned i = 0; i < ARCHIVE_MAX_FILES; i++) {
        (void)snprintf(name, sizeof(name),
                       "workflows-20260115T080000Z-%u.ndjson", i);
        fd = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    assert_int_equal(archive_create(folder, T0_MS, name, &fd, &l->err),
                     -EDQUOT);
    assert_int_equal(unlinkat(folder, "workflows-20260115T080000Z-7.ndjson", 0),
                     0);
    assert_int_equal(archive_create(folder, T0_MS, name, &fd, &l->err), 0);
    (void)close(fd);
    (void)close(folder);
}

/* ---- keeping ------------------------------------------------------------- */

static unsigned prune(struct lab *l, uint64_t keep_ms, uint64_t max_bytes,
                      uint64_t now_ms)
{
    const struct archive_keep keep = {keep_ms, max_bytes};
    struct archive_removed removed;
    assert_int_equal(
        archive_prune(l->archive, &keep, now_ms, &removed, &l->err), 0);
    assert_int_equal(removed.bytes, removed.files * 10ULL);
    return removed.files;
}

static void old_and_large_archives_go(void **state)
{
    struct lab *l = *state;
    char name[64];
    assert_int_equal(prune(l, 1, 1, T0_MS + DAY_MS), 0); /* no folder */
    mkdir_in(l, "archive");
    for (unsigned day = 1; day <= 28; day++) {
        (void)snprintf(name, sizeof(name),
                       "archive/workflows-202612%02uT080000Z.ndjson", day);
        lab_write(l, name, "{\"id\":1 }\n");
    }
    lab_write(l, "archive/mine.ndjson", "not ours");
    lab_write(l, "archive/workflows-20261201T080000Z.ndjson.damaged", "x");
    uint64_t now_ms = T0_MS - 18 * DAY_MS; /* the 28th, eight o'clock */
    assert_int_equal(prune(l, 0, 0, now_ms), 0);
    assert_int_equal(prune(l, 27 * DAY_MS + 1, 280, now_ms), 0);
    assert_int_equal(prune(l, 27 * DAY_MS, 280, now_ms), 1);
    assert_int_equal(prune(l, 0, 269, now_ms), 1);
    assert_true(lab_has(l, "archive/workflows-20261203T080000Z.ndjson"));
    assert_false(lab_has(l, "archive/workflows-20261202T080000Z.ndjson"));
    /* In pieces; the newest one stays. */
    assert_int_equal(prune(l, 0, 1, now_ms), ARCHIVE_PRUNE_MAX);
    unsigned rest = 26 - ARCHIVE_PRUNE_MAX;
    for (unsigned n; (n = prune(l, 1, 1, now_ms + 99 * DAY_MS)) != 0;) {
        rest -= n;
    }
    assert_int_equal(rest, 1);
    assert_true(lab_has(l, "archive/workflows-20261228T080000Z.ndjson"));
    assert_true(lab_has(l, "archive/mine.ndjson"));
    assert_true(
        lab_has(l, "archive/workflows-20261201T080000Z.ndjson.damaged"));
}

/* ---- moving in ----------------------------------------------------------- */

static uint32_t adopt(struct lab *l, const char *directory)
{
    uint32_t moved = 0;
    l->err = ERR_INIT;
    if (archive_adopt(l->state, directory, &moved, &l->err) < 0) {
        fail_msg("%s", l->err.message);
    }
    return moved;
}

static void an_old_archive_moves_out_of_the_state(void **state)
{
    struct lab *l = *state;
    assert_int_equal(adopt(l, l->archive), 0);
    assert_false(lab_has(l, "archive"));
    mkdir_in(l, "state/archive");
    lab_write(l, "state/archive/" FIRST, "one\n");
    lab_write(l, "state/archive/" LATER, "two\n");
    lab_write(l, "state/archive/" SECOND ".part", "half");
    assert_int_equal(adopt(l, l->archive), 2);
    assert_text(l, "archive/" FIRST, "one\n");
    assert_text(l, "archive/" LATER, "two\n");
    assert_false(lab_has(l, "state/archive"));
    /* Killed in the middle: one stands in both, one is half there. */
    mkdir_in(l, "state/archive");
    lab_write(l, "state/archive/" FIRST, "one\n");
    lab_write(l, "state/archive/" SECOND, "three\n");
    lab_write(l, "archive/" SECOND ".part", "thr");
    assert_int_equal(adopt(l, l->archive), 2);
    assert_text(l, "archive/" SECOND, "three\n");
    assert_false(lab_has(l, "state/archive"));
    assert_false(lab_has(l, "archive/" SECOND ".part"));
}

static void nothing_is_lost_in_moving(void **state)
{
    struct lab *l = *state;
    uint32_t moved = 0;
    mkdir_in(l, "archive");
    mkdir_in(l, "state/archive");
    lab_write(l, "archive/" FIRST, "one\n");
    lab_write(l, "state/archive/" FIRST, "another\n");
    assert_int_equal(archive_adopt(l->state, l->archive, &moved, &l->err),
                     -EEXIST);
    assert_text(l, "archive/" FIRST, "one\n");
    assert_text(l, "state/archive/" FIRST, "another\n");
    /* Somebody wants it where it was. */
    char inside[128];
    (void)snprintf(inside, sizeof(inside), "%s/archive", l->state);
    assert_int_equal(adopt(l, inside), 0);
    assert_text(l, "state/archive/" FIRST, "another\n");
    /* A symlink is no folder of ours. */
    (void)snprintf(inside, sizeof(inside), "%s/state/archive/" FIRST, l->root);
    assert_int_equal(unlink(inside), 0);
    (void)snprintf(inside, sizeof(inside), "%s/archive", l->state);
    assert_int_equal(rmdir(inside), 0);
    assert_int_equal(symlink(l->runbooks, inside), 0);
    lab_write(l, "runbooks/" LATER, "theirs\n");
    assert_int_equal(adopt(l, l->archive), 0);
    assert_true(lab_has(l, "runbooks/" LATER));
}

/* Another file system: what cannot be renamed is copied. */
static void an_archive_is_moved_between_file_systems(void **state)
{
    struct lab *l = *state;
    char other[] = "/dev/shm/adp-archive-XXXXXX";
    char path[128];
    struct stat there;
    struct stat here = look(l, "state");
    if (stat("/dev/shm", &there) < 0 || there.st_dev == here.st_dev ||
        mkdtemp(other) == NULL) {
        skip();
    }
    mkdir_in(l, "state/archive");
    lab_write(l, "state/archive/" FIRST, "one\n");
    assert_int_equal(adopt(l, other), 1);
    (void)snprintf(path, sizeof(path), "%s/" FIRST, other);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(other), 0);
    assert_false(lab_has(l, "state/archive"));
}

/* ---- in backups ---------------------------------------------------------- */

static const char *in_backup(struct lab *l, const char *backup,
                             const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "backups/%s/archive/%s", backup, name);
    return arena_strdup(&l->arena, str_c(path));
}

static void backups_hold_it_once(void **state)
{
    struct lab *l = *state;
    mkdir_in(l, "archive");
    lab_write(l, "archive/" FIRST, "one\n");
    lab_write(l, "archive/" SECOND ".part", "half");
    lab_write(l, "archive/notes.txt", "mine");
    const char *first = lab_make(l, 0);
    assert_int_equal(l->info.archives, 1);
    assert_text(l, in_backup(l, first, FIRST), "one\n");
    assert_false(lab_has(l, in_backup(l, first, SECOND ".part")));
    assert_false(lab_has(l, in_backup(l, first, "notes.txt")));
    lab_write(l, "archive/" LATER, "two\n");
    const char *second = lab_make(l, 1000);
    assert_int_equal(l->info.archives, 2);
    /* The same file in both backups, and another one in the archive. */
    ino_t ino = look(l, in_backup(l, first, FIRST)).st_ino;
    assert_int_equal(look(l, in_backup(l, second, FIRST)).st_ino, ino);
    assert_int_not_equal(look(l, "archive/" FIRST).st_ino, ino);
    assert_int_equal(lab_verify(l, second), 0);
    assert_int_equal(l->info.archives, 2);
    struct backup_list list;
    assert_int_equal(backup_list(l->backups, &l->arena, &list, &l->err), 0);
    assert_int_equal(list.items.at[0].shared_bytes, 4);
    assert_int_equal(list.items.at[1].shared_bytes, 4);
    backup_list_deinit(&list);
}

/* A file that the last backup has spoiled is copied again. */
static void nothing_spoiled_is_linked_to(void **state)
{
    struct lab *l = *state;
    mkdir_in(l, "archive");
    lab_write(l, "archive/" FIRST, "one\n");
    const char *first = lab_make(l, 0);
    lab_write(l, in_backup(l, first, FIRST), "oxe\n");
    assert_int_equal(lab_verify(l, first), -EBADMSG);
    const char *second = lab_make(l, 1000);
    assert_text(l, in_backup(l, second, FIRST), "one\n");
    assert_int_equal(lab_verify(l, second), 0);
    /* And a symlink in its place is not followed. */
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", l->root,
                   in_backup(l, second, FIRST));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/hosts", path), 0);
    const char *third = lab_make(l, 2000);
    assert_text(l, in_backup(l, third, FIRST), "one\n");
    assert_int_equal(lab_verify(l, third), 0);
}

/* What all share counts once, so a large archive does not cost backups. */
static void shared_bytes_are_counted_once(void **state)
{
    struct lab *l = *state;
    char text[3001];
    uint32_t removed = 0;
    memset(text, 'x', 3000);
    text[3000] = '\0';
    mkdir_in(l, "archive");
    for (unsigned i = 0; i < 100; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name),
                       "archive/workflows-20270101T0000%02uZ"
                       "-%u.ndjson",
                       i % 60, i);
        lab_write(l, name, text);
    }
    for (unsigned i = 0; i < 6; i++) {
        (void)lab_make(l, i * 1000);
    }
    uint64_t own = l->info.bytes - 300000;
    struct backup_keep keep = {.keep_all_ms = DAY_MS,
                               .keep_days = 1,
                               .max_bytes = own * 6 + 300000 + 100};
    assert_int_equal(
        backup_prune(l->backups, &keep, T0_MS + 10000, &removed, &l->err), 0);
    assert_int_equal(removed, 0);
    keep.max_bytes = own * 5 + 300000;
    assert_int_equal(
        backup_prune(l->backups, &keep, T0_MS + 10000, &removed, &l->err), 0);
    assert_int_equal(removed, 1);
}

/* ---- and back ------------------------------------------------------------ */

static int put_back(struct lab *l, const char *name, uint32_t *ret_files)
{
    l->err = ERR_INIT;
    return backup_restore_archive(l->backups, name, l->archive, &l->arena,
                                  ret_files, &l->err);
}

static void what_is_missing_comes_back(void **state)
{
    struct lab *l = *state;
    uint32_t files = 0;
    mkdir_in(l, "archive");
    lab_write(l, "archive/" FIRST, "one\n");
    lab_write(l, "archive/" SECOND, "two\n");
    const char *name = lab_make(l, 0);
    assert_int_equal(put_back(l, name, &files), 0);
    assert_int_equal(files, 0);
    /* All of it is gone. */
    int root = open(l->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(os_remove_tree(root, "archive"), 0);
    (void)close(root);
    assert_int_equal(put_back(l, name, &files), 0);
    assert_int_equal(files, 2);
    assert_text(l, "archive/" FIRST, "one\n");
    assert_int_equal(look(l, "archive").st_mode & 0777, 0700);
    assert_int_equal(look(l, "archive/" SECOND).st_mode & 0777, 0600);
    /* One is damaged, and a younger one stays as it is. */
    lab_write(l, "archive/" FIRST, "oxe\n");
    lab_write(l, "archive/" LATER, "three\n");
    assert_int_equal(put_back(l, name, &files), 0);
    assert_int_equal(files, 1);
    assert_text(l, "archive/" FIRST, "one\n");
    assert_text(l, "archive/" FIRST ".damaged", "oxe\n");
    assert_text(l, "archive/" LATER, "three\n");
}

static void a_spoiled_archive_is_not_put_back(void **state)
{
    struct lab *l = *state;
    uint32_t files = 0;
    mkdir_in(l, "archive");
    lab_write(l, "archive/" FIRST, "one\n");
    const char *name = lab_make(l, 0);
    lab_write(l, in_backup(l, name, FIRST), "oxe\n");
    assert_int_equal(put_back(l, name, &files), 0); /* it is there already */
    char path[192];
    (void)snprintf(path, sizeof(path), "%s/" FIRST, l->archive);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(put_back(l, name, &files), -EBADMSG);
    assert_int_equal(files, 0);
    assert_false(lab_has(l, "archive/" FIRST));
    assert_false(lab_has(l, "archive/" FIRST ".part"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB(some_names_are_good),
        LAB(files_get_names_of_their_own),
        LAB(a_full_folder_takes_no_more),
        LAB(old_and_large_archives_go),
        LAB(an_old_archive_moves_out_of_the_state),
        LAB(nothing_is_lost_in_moving),
        LAB(an_archive_is_moved_between_file_systems),
        LAB(backups_hold_it_once),
        LAB(nothing_spoiled_is_linked_to),
        LAB(shared_bytes_are_counted_once),
        LAB(what_is_missing_comes_back),
        LAB(a_spoiled_archive_is_not_put_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
