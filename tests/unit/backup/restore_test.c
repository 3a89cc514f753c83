/* Restoring: all or nothing, whenever it is interrupted. */
#include "tests/unit/backup/lab.h"

#include <sys/wait.h>

/* What the store holds when an engine starts now; the note of a restore is
 * told in *ret. */
static uint64_t start(struct lab *l, int *ret_pending, struct backup_note *ret)
{
    l->err = ERR_INIT;
    *ret_pending = backup_pending(l->state, &l->arena, ret, &l->err);
    assert_true(*ret_pending >= 0);
    lab_open(l);
    uint64_t accepted = lab_counts(l).accepted;
    lab_close(l);
    return accepted;
}

static void the_old_store_is_set_aside(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    lab_fill(l, 20);
    lab_close(l);
    struct str aside = STR_NULL;
    assert_int_equal(lab_restore(l, name, &aside), 0);
    assert_true(str_ends(aside, STR("/state/quarantine/20270115T090000Z")));
    assert_true(lab_has(l, "state/quarantine/20270115T090000Z/engine.db"));
    assert_false(lab_has(l, "state/restore-20270115T090000Z-engine.db"));
    int pending = 0;
    struct backup_note note;
    assert_int_equal(start(l, &pending, &note), 50);
    assert_int_equal(pending, 1);
    assert_true(str_eq_c(note.backup, name));
    assert_true(str_eq(note.why, STR("by a test")));
    assert_int_equal(note.made_ms, T0_MS);
    assert_int_equal(note.restored_ms, T0_MS + 3600000);
    assert_true(str_eq(note.aside, aside));
    /* The engine asks until it has taken account of it. */
    assert_int_equal(start(l, &pending, &note), 50);
    assert_int_equal(pending, 1);
    assert_int_equal(backup_settle(l->state, &l->err), 0);
    assert_int_equal(start(l, &pending, &note), 50);
    assert_int_equal(pending, 0);
}

static void a_destroyed_state_comes_back(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    lab_close(l);
    int root = open(l->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(os_remove_tree(root, "state"), 0);
    (void)close(root);
    struct str aside = STR_NULL;
    assert_int_equal(lab_restore(l, name, &aside), 0);
    assert_int_equal(aside.len, 0);
    struct stat st;
    assert_int_equal(stat(l->state, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    int pending = 0;
    struct backup_note note;
    assert_int_equal(start(l, &pending, &note), 50);
    assert_int_equal(pending, 1);
    assert_int_equal(note.aside.len, 0);
}

static void a_running_engine_is_not_disturbed(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    struct str aside = STR_NULL;
    /* The lock is the process's own, so another one asks. */
    pid_t pid = fork();
    if (pid == 0) {
        _exit(lab_restore(l, name, &aside) == -EBUSY &&
                      backup_set_aside(l->state, T0_MS, &l->arena, &aside,
                                       &l->err) == -EBUSY
                  ? 0
                  : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_false(lab_has(l, "state/restored.json"));
    assert_false(lab_has(l, "state/restore-20270115T090000Z-engine.db"));
    lab_fill(l, 1);
}

static void a_spoiled_backup_changes_nothing(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    char path[128];
    (void)snprintf(path, sizeof(path), "backups/%s/engine.db", name);
    lab_write(l, path, "spoiled");
    lab_close(l);
    struct str aside = STR_NULL;
    assert_int_equal(lab_restore(l, name, &aside), -EBADMSG);
    assert_int_equal(lab_restore(l, "backup-1", &aside), -ENOENT);
    assert_int_equal(lab_restore(l, "../x", &aside), -ENOENT);
    int pending = 0;
    struct backup_note note;
    assert_int_equal(start(l, &pending, &note), 50);
    assert_int_equal(pending, 0);
    assert_false(lab_has(l, "state/restore-20270115T090000Z-engine.db"));
    assert_false(lab_has(l, "state/quarantine"));
}

/* The steps by hand: what is on disk after each of them. */
static void a_killed_restore_is_finished_or_forgotten(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    lab_fill(l, 20);
    lab_close(l);
    int pending = 0;
    struct backup_note note;
    char from[160];
    char to[160];
    /* 1: a copy without a note is forgotten. */
    lab_write(l, "state/restore-20270115T090000Z-engine.db", "half a copy");
    assert_int_equal(start(l, &pending, &note), 70);
    assert_int_equal(pending, 0);
    assert_false(lab_has(l, "state/restore-20270115T090000Z-engine.db"));
    /* 2: copy and note are there, nothing is moved yet. */
    struct str aside = STR_NULL;
    assert_int_equal(lab_restore(l, name, &aside), 0);
    (void)snprintf(from, sizeof(from), "%s/engine.db", l->state);
    (void)snprintf(to, sizeof(to), "%s/restore-20270115T090000Z-engine.db",
                   l->state);
    assert_int_equal(rename(from, to), 0);
    (void)snprintf(from, sizeof(from), "%.*s/engine.db", STR_ARG(aside));
    (void)snprintf(to, sizeof(to), "%s/engine.db", l->state);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(start(l, &pending, &note), 50);
    assert_int_equal(pending, 1);
    assert_true(lab_has(l, "state/quarantine/20270115T090000Z/engine.db"));
    /* 3: the old one is set aside, the copy is not in place. */
    (void)snprintf(from, sizeof(from), "%s/engine.db", l->state);
    (void)snprintf(to, sizeof(to), "%s/restore-20270115T090000Z-engine.db",
                   l->state);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(start(l, &pending, &note), 50);
    assert_int_equal(pending, 1);
    assert_false(lab_has(l, "state/restore-20270115T090000Z-engine.db"));
    assert_true(lab_has(l, "state/quarantine/20270115T090000Z/engine.db"));
}

static void an_odd_note_is_still_a_note(void **state)
{
    struct lab *l = *state;
    lab_close(l);
    static const char *const odd[] = {
        "", "[]", "{\"aside\": \"../../x\"}",
        "{\"aside\": 7, \"made_ms\": -1, \"backup\": null}"};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        int pending = 0;
        struct backup_note note;
        lab_write(l, "state/restored.json", odd[i]);
        assert_int_equal(start(l, &pending, &note), 50);
        assert_int_equal(pending, 1);
        assert_int_equal(note.aside.len, 0);
    }
    assert_false(lab_has(l, "x"));
}

static void setting_aside_moves_all_of_it(void **state)
{
    struct lab *l = *state;
    lab_close(l);
    lab_write(l, "state/engine.db-wal", "log");
    lab_write(l, "state/engine.db-shm", "shared");
    struct str aside = STR_NULL;
    assert_int_equal(
        backup_set_aside(l->state, T0_MS, &l->arena, &aside, &l->err), 0);
    assert_true(lab_has(l, "state/quarantine/20270115T080000Z/engine.db-wal"));
    assert_true(lab_has(l, "state/quarantine/20270115T080000Z/engine.db-shm"));
    assert_false(lab_has(l, "state/engine.db"));
    assert_int_equal(
        backup_set_aside(l->state, T0_MS, &l->arena, &aside, &l->err), 0);
    assert_int_equal(aside.len, 0);
    int pending = 0;
    struct backup_note note;
    assert_int_equal(start(l, &pending, &note), 0); /* an empty one */
}

/* How many files of this name are there in folders of the quarantine. */
static unsigned set_aside(const struct lab *l, const char *file)
{
    static const char *const folders[] = {
        "20270115T090000Z", "20270115T090000Z-2", "20270115T090000Z-3",
        "20270115T090000Z-4"};
    unsigned found = 0;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char name[128];
        (void)snprintf(name, sizeof(name), "state/quarantine/%s/%s", folders[i],
                       file);
        found += lab_has(l, name);
    }
    return found;
}

/* Two restores of one second: the store of before is still there. */
static void nothing_that_is_set_aside_is_replaced(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    lab_fill(l, 20);
    lab_close(l);
    struct str first = STR_NULL;
    struct str second = STR_NULL;
    struct str third = STR_NULL;
    char from[192];
    char to[160];
    assert_int_equal(lab_restore(l, name, &first), 0);
    assert_int_equal(lab_restore(l, name, &second), 0);
    assert_false(str_eq(first, second));
    assert_int_equal(set_aside(l, "engine.db"), 2);
    assert_int_equal(
        backup_set_aside(l->state, T0_MS + 3600000, &l->arena, &third, &l->err),
        0);
    assert_int_equal(set_aside(l, "engine.db"), 3);
    /* The first one is the store that had everything. */
    (void)snprintf(from, sizeof(from), "%.*s/engine.db", STR_ARG(first));
    (void)snprintf(to, sizeof(to), "%s/engine.db", l->state);
    assert_int_equal(rename(from, to), 0);
    int pending = 0;
    struct backup_note note;
    assert_int_equal(start(l, &pending, &note), 70);
}

/* Killed while it made its copies, after another one of the same second that
 * the engine has not taken account of: the copies belong to no note. */
static void a_note_does_not_take_the_copies_of_another(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    lab_close(l);
    struct str aside = STR_NULL;
    assert_int_equal(lab_restore(l, name, &aside), 0);
    lab_write(l, "state/restore-20270115T090000Z-2-engine.db", "half a copy");
    int pending = 0;
    struct backup_note note;
    assert_int_equal(start(l, &pending, &note), 50);
    assert_int_equal(pending, 1);
    assert_true(str_eq(note.aside, aside));
    assert_false(lab_has(l, "state/restore-20270115T090000Z-2-engine.db"));
}

/* Nothing was there to be set aside: the name is free, but a note has it. */
static void a_name_is_not_used_twice(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    lab_close(l);
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/engine.db", l->state);
    assert_int_equal(unlink(path), 0);
    struct str aside = STR_NULL;
    assert_int_equal(lab_restore(l, name, &aside), 0);
    assert_int_equal(aside.len, 0);
    assert_int_equal(lab_restore(l, name, &aside), 0);
    assert_true(str_ends(aside, STR("/quarantine/20270115T090000Z-2")));
}

/* A restore that was killed before its copy was in place is finished by the
 * next one, so the copy is not lost with the old store. */
static void the_next_restore_finishes_the_last(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    lab_fill(l, 20);
    lab_close(l);
    struct str first = STR_NULL;
    struct str second = STR_NULL;
    char from[160];
    char to[192];
    assert_int_equal(lab_restore(l, name, &first), 0);
    (void)snprintf(from, sizeof(from), "%s/engine.db", l->state);
    (void)snprintf(to, sizeof(to), "%s/restore-20270115T090000Z-engine.db",
                   l->state);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(lab_restore(l, name, &second), 0);
    assert_int_equal(set_aside(l, "engine.db"), 2);
    int pending = 0;
    struct backup_note note;
    assert_int_equal(start(l, &pending, &note), 50);
    assert_true(str_eq(note.aside, second));
}

/* Metrics that were put in place before it was killed stay there. */
static void metrics_in_place_are_not_set_aside(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    lab_close(l);
    struct str aside = STR_NULL;
    char from[160];
    char to[192];
    assert_int_equal(lab_restore(l, name, &aside), 0);
    (void)snprintf(from, sizeof(from), "%s/engine.db", l->state);
    (void)snprintf(to, sizeof(to), "%s/restore-20270115T090000Z-engine.db",
                   l->state);
    assert_int_equal(rename(from, to), 0);
    lab_write(l, "state/metrics.db", "restored");
    lab_write(l, "state/quarantine/20270115T090000Z/metrics.db", "old");
    int pending = 0;
    struct backup_note note;
    assert_int_equal(start(l, &pending, &note), 50);
    assert_true(lab_has(l, "state/metrics.db"));
    assert_true(lab_has(l, "state/quarantine/20270115T090000Z/metrics.db"));
}

/* An empty store was not restored: its engine has nothing to tell. */
static void setting_aside_ends_the_restore(void **state)
{
    struct lab *l = *state;
    const char *name = lab_make(l, 0);
    lab_close(l);
    struct str aside = STR_NULL;
    assert_int_equal(lab_restore(l, name, &aside), 0);
    assert_int_equal(
        backup_set_aside(l->state, T0_MS, &l->arena, &aside, &l->err), 0);
    int pending = 0;
    struct backup_note note;
    assert_int_equal(start(l, &pending, &note), 0);
    assert_int_equal(pending, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB(the_old_store_is_set_aside),
        LAB(a_destroyed_state_comes_back),
        LAB(a_running_engine_is_not_disturbed),
        LAB(a_spoiled_backup_changes_nothing),
        LAB(a_killed_restore_is_finished_or_forgotten),
        LAB(an_odd_note_is_still_a_note),
        LAB(setting_aside_moves_all_of_it),
        LAB(nothing_that_is_set_aside_is_replaced),
        LAB(a_note_does_not_take_the_copies_of_another),
        LAB(a_name_is_not_used_twice),
        LAB(the_next_restore_finishes_the_last),
        LAB(metrics_in_place_are_not_set_aside),
        LAB(setting_aside_ends_the_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
