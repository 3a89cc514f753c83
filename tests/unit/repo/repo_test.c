#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "repo/repo.h"

#define GOOD "name: x\nsteps: [{name: a, command: x}]\n"
#define OTHER "name: y\nsteps: [{name: a, command: x}]\n"
#define WARNS GOOD "triggers: [{state: any}]\n"
#define BAD "name: x\nsteps: []\n"

struct world {
    char folder[64];
    struct repo *repo;
    struct generation *generation; /* the newest */
    struct repo_changes changes;
};

static int delete_entry(const char *path, const struct stat *st, int kind,
                        struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void set_up(struct world *w)
{
    struct err e = ERR_INIT;
    *w = (struct world){.folder = "/tmp/adp-repo-test-XXXXXX"};
    assert_non_null(mkdtemp(w->folder));
    assert_int_equal(repo_open(str_c(w->folder), &w->repo, &e), 0);
}

static void tear_down(struct world *w)
{
    generation_unref(w->generation);
    repo_close(w->repo);
    (void)nftw(w->folder, delete_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *in(const struct world *w, const char *path)
{
    static char full[4][1024];
    static unsigned next;
    char *out = full[next++ % 4];
    (void)snprintf(out, sizeof(full[0]), "%s/%s", w->folder, path);
    return out;
}

static void write_n(const struct world *w, const char *path, const char *text,
                    size_t len)
{
    int fd = open(in(w, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    (void)close(fd);
}

static void write_file(const struct world *w, const char *path,
                       const char *text)
{
    write_n(w, path, text, strlen(text));
}

static void make_folder(const struct world *w, const char *path)
{
    assert_int_equal(mkdir(in(w, path), 0755), 0);
}

static void reload_with(struct world *w, struct runbook_defaults d)
{
    struct generation *g = NULL;
    struct err e = ERR_INIT;
    uint64_t number = w->generation == NULL ? 1 : w->generation->number + 1;
    if (repo_load(
            w->repo,
            &(struct repo_load_options){w->generation, &d, number, 1000, NULL},
            &g, &w->changes, &e) < 0) {
        fail_msg("%s", e.message);
    }
    generation_unref(w->generation);
    w->generation = g;
}

static void reload(struct world *w)
{
    reload_with(w, RUNBOOK_DEFAULTS);
}

static void assert_changes(const struct world *w, unsigned added,
                           unsigned changed, unsigned removed,
                           unsigned rejected)
{
    assert_int_equal(w->changes.added, added);
    assert_int_equal(w->changes.changed, changed);
    assert_int_equal(w->changes.removed, removed);
    assert_int_equal(w->changes.rejected, rejected);
}

static const struct generation_file *get(const struct world *w,
                                         const char *path)
{
    const struct generation_file *f =
        generation_file(w->generation, str_c(path));
    assert_non_null(f);
    return f;
}

static void assert_problem(const struct world *w, const char *path,
                           enum file_state state, const char *text)
{
    const struct generation_file *f = get(w, path);
    assert_int_equal(f->state, state);
    assert_true(f->problem_count >= 1);
    if (strstr(f->problems[0].message, text) == NULL) {
        fail_msg("%s: %s", path, f->problems[0].message);
    }
}

/* ---- loading ------------------------------------------------------------ */

static void a_tree_is_loaded_in_order(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    make_folder(&w, "remediation");
    make_folder(&w, "remediation/deep");
    make_folder(&w, ".git");
    write_file(&w, "b.yml", GOOD);
    write_file(&w, "remediation/a.yaml", WARNS);
    write_file(&w, "remediation/deep/z.yaml", GOOD);
    write_file(&w, "README.md", "no runbook");
    write_file(&w, ".hidden.yaml", BAD);
    write_file(&w, ".git/x.yaml", BAD);
    reload(&w);
    assert_changes(&w, 3, 0, 0, 0);
    assert_int_equal(w.generation->file_count, 3);
    assert_true(str_eq_c(w.generation->files[0].path, "b.yml"));
    assert_true(str_eq_c(w.generation->files[1].path, "remediation/a.yaml"));
    assert_int_equal(w.generation->files[1].problem_count, 1);
    assert_true(str_eq_c(w.generation->files[2].runbook->path,
                         "remediation/deep/z.yaml"));
    assert_true(str_eq_c(w.generation->commit, ""));
    tear_down(&w);
}

static void unchanged_files_are_shared(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    write_file(&w, "a.yaml", WARNS);
    write_file(&w, "b.yaml", GOOD);
    write_file(&w, "c.yaml", GOOD);
    reload(&w);
    struct runbook *a = get(&w, "a.yaml")->runbook;
    struct runbook *b = runbook_ref(get(&w, "b.yaml")->runbook);
    write_file(&w, "b.yaml", OTHER);
    assert_int_equal(unlink(in(&w, "c.yaml")), 0);
    write_file(&w, "d.yaml", GOOD);
    reload(&w);
    assert_changes(&w, 1, 1, 1, 0);
    assert_ptr_equal(get(&w, "a.yaml")->runbook, a);
    assert_int_equal(get(&w, "a.yaml")->problem_count, 1);
    assert_ptr_not_equal(get(&w, "b.yaml")->runbook, b);
    assert_null(generation_file(w.generation, STR("c.yaml")));
    assert_true(str_eq_c(b->name, "x")); /* pinned, whatever is reloaded */
    runbook_unref(b);
    reload_with(&w, (struct runbook_defaults){.step_timeout_ms = 5000,
                                              .retry_attempts = 2});
    assert_changes(&w, 0, 0, 0, 0);
    assert_int_equal(get(&w, "a.yaml")->runbook->steps[0].timeout_ms, 5000);
    tear_down(&w);
}

static void the_last_known_good_version_stays(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    write_file(&w, "a.yaml", GOOD);
    write_file(&w, "b.yaml", BAD);
    reload(&w);
    assert_changes(&w, 1, 0, 0, 1);
    assert_problem(&w, "b.yaml", FILE_REJECTED, "at least one step");
    assert_null(get(&w, "b.yaml")->runbook);
    struct runbook *good = get(&w, "a.yaml")->runbook;
    for (unsigned i = 0; i < 2; i++) { /* also over several reloads */
        write_file(&w, "a.yaml", BAD);
        reload(&w);
        assert_changes(&w, 0, 0, 0, 2);
        assert_problem(&w, "a.yaml", FILE_LAST_KNOWN_GOOD, "at least one");
        assert_ptr_equal(get(&w, "a.yaml")->runbook, good);
    }
    write_file(&w, "a.yaml", OTHER);
    write_file(&w, "b.yaml", GOOD);
    reload(&w);
    assert_changes(&w, 1, 1, 0, 0);
    assert_int_equal(get(&w, "a.yaml")->state, FILE_LOADED);
    assert_true(str_eq_c(get(&w, "a.yaml")->runbook->name, "y"));
    tear_down(&w);
}

/* Nothing that a folder can hold fails the load or leaves the folder. */
static void odd_files_are_rejected_one_by_one(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    make_folder(&w, "folder.yaml");
    make_folder(&w, "sub");
    write_file(&w, "good.yaml", GOOD);
    write_file(&w, "a b.yaml", GOOD);
    write_file(&w, "x\xff.yaml", GOOD);
    write_file(&w, "x\\xff.yaml", GOOD);
    write_n(&w, "nul.yaml", "name: \0x", 8);
    assert_int_equal(symlink("good.yaml", in(&w, "link.yaml")), 0);
    assert_int_equal(symlink("/etc", in(&w, "etc")), 0);
    assert_int_equal(symlink("/etc/passwd", in(&w, "sub/passwd.yaml")), 0);
    assert_int_equal(mkfifo(in(&w, "fifo.yaml"), 0644), 0);
    char *big = mem_alloc(RUNBOOK_MAX_BYTES + 1, 1);
    memset(big, '#', RUNBOOK_MAX_BYTES + 1);
    write_n(&w, "big.yaml", big, RUNBOOK_MAX_BYTES + 1);
    mem_free(big);
    reload(&w);
    assert_int_equal(get(&w, "good.yaml")->state, FILE_LOADED);
    assert_int_equal(w.changes.added, 1);
    assert_problem(&w, "folder.yaml", FILE_REJECTED, "a folder");
    assert_problem(&w, "a b.yaml", FILE_REJECTED, "letters, digits");
    assert_problem(&w, "x\\xff.yaml", FILE_REJECTED, "letters, digits");
    assert_problem(&w, "nul.yaml", FILE_REJECTED, "");
    assert_problem(&w, "link.yaml", FILE_REJECTED, "symlink");
    assert_problem(&w, "sub/passwd.yaml", FILE_REJECTED, "symlink");
    assert_problem(&w, "fifo.yaml", FILE_REJECTED, "no plain file");
    assert_problem(&w, "big.yaml", FILE_REJECTED, "larger than");
    assert_int_equal(w.generation->file_count, 9);
    tear_down(&w);
}

static void a_file_may_become_a_folder(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    write_file(&w, "a.yaml", GOOD);
    reload(&w);
    assert_int_equal(unlink(in(&w, "a.yaml")), 0);
    make_folder(&w, "a.yaml");
    reload(&w);
    assert_problem(&w, "a.yaml", FILE_LAST_KNOWN_GOOD, "a folder");
    assert_non_null(get(&w, "a.yaml")->runbook);
    tear_down(&w);
}

/* A chain of folders that is too deep stands for all folders that cannot be
 * read (the tests may run as root, who can read everything). */
static void a_lost_folder_keeps_its_runbooks(void **state)
{
    (void)state;
    struct world w;
    char path[256] = "";
    set_up(&w);
    for (unsigned i = 0; i < 17; i++) {
        (void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "%sd",
                       i == 0 ? "" : "/");
        make_folder(&w, path);
    }
    reload(&w);
    assert_problem(&w, path, FILE_REJECTED, "nested too deep");
    assert_int_equal(w.generation->file_count, 1);
    struct generation_file known = {.path = STR_NULL};
    char file[300];
    (void)snprintf(file, sizeof(file), "%s/a.yaml", path);
    struct runbook_report report;
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    known.path = str_c(file);
    assert_int_equal(
        runbook_load(known.path, STR(GOOD), &d, &known.runbook, &report), 0);
    runbook_report_deinit(&report);
    generation_unref(w.generation);
    w.generation = generation_new(&known, 1, STR(""), 1, 1);
    reload(&w);
    assert_problem(&w, file, FILE_LAST_KNOWN_GOOD, "nested too deep");
    assert_changes(&w, 0, 0, 0, 2);
    tear_down(&w);
}

static unsigned progress_calls;

static void count_progress(uint32_t done, uint32_t total)
{
    assert_true(done <= total);
    progress_calls++;
}

static void the_folder_itself_may_fail_and_come_back(void **state)
{
    (void)state;
    struct world w;
    struct err e = ERR_INIT;
    struct repo *r = NULL;
    struct generation *g = NULL;
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    set_up(&w);
    write_file(&w, "a.yaml", GOOD);
    assert_int_equal(repo_open(str_c(in(&w, "none")), &r, &e), -ENOENT);
    assert_int_equal(repo_open(str_c(in(&w, "a.yaml")), &r, &e), -ENOTDIR);
    assert_null(r);
    repo_close(NULL);
    char moved[128];
    (void)snprintf(moved, sizeof(moved), "%s-moved", w.folder);
    assert_int_equal(rename(w.folder, moved), 0);
    assert_int_equal(
        repo_load(w.repo, &(struct repo_load_options){NULL, &d, 1, 1, NULL}, &g,
                  &w.changes, &e),
        -ENOENT);
    assert_null(g);
    assert_int_equal(rename(moved, w.folder), 0);
    progress_calls = 0;
    assert_int_equal(
        repo_load(w.repo,
                  &(struct repo_load_options){NULL, &d, 1, 1, count_progress},
                  &g, &w.changes, &e),
        0);
    assert_int_equal(progress_calls, 1);
    generation_unref(g);
    tear_down(&w);
}

static void more_files_than_the_limit_fail_the_load(void **state)
{
    (void)state;
    struct world w;
    struct err e = ERR_INIT;
    struct generation *g = NULL;
    struct runbook_defaults d = RUNBOOK_DEFAULTS;
    char name[32];
    set_up(&w);
    for (unsigned i = 0; i <= REPO_MAX_FILES; i++) {
        (void)snprintf(name, sizeof(name), "%u.yaml", i);
        write_file(&w, name, "");
    }
    assert_int_equal(
        repo_load(w.repo, &(struct repo_load_options){NULL, &d, 1, 1, NULL}, &g,
                  &w.changes, &e),
        -E2BIG);
    assert_null(g);
    tear_down(&w);
}

/* ---- single files ------------------------------------------------------- */

static void paths_have_a_form(void **state)
{
    (void)state;
    static const char *const good[] = {"a.yaml", "a/b-c_d.1/E.yml",
                                       "a..b.yaml"};
    static const char *const bad[] = {
        "",           "/a.yaml",   "../a.yaml", "a/../b.yaml",
        "a/./b.yaml", "a//b.yaml", ".a.yaml",   "a/.b.yaml",
        "a.txt",      "a b.yaml",  "a\n.yaml",  "a\\b.yaml",
        "é.yaml",     "yaml",      "a/.yaml",   ".git/config.yaml",
    };
    struct err e = ERR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(repo_path_check(str_c(good[i]), &e), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(repo_path_check(str_c(bad[i]), &e), -EINVAL);
    }
    assert_int_equal(repo_path_check(STR("a\0.yaml"), &e), -EINVAL);
    static char text[REPO_PATH_MAX_BYTES + 2];
    memset(text, 'a', sizeof(text));
    memcpy(text + REPO_PATH_MAX_BYTES - 5, ".yaml", 5);
    assert_int_equal(repo_path_check(str_n(text, REPO_PATH_MAX_BYTES), &e), 0);
    memset(text, 'a', sizeof(text));
    memcpy(text + REPO_PATH_MAX_BYTES - 4, ".yaml", 5);
    assert_int_equal(repo_path_check(str_n(text, REPO_PATH_MAX_BYTES + 1), &e),
                     -EINVAL);
}

static void one_file_is_read(void **state)
{
    (void)state;
    struct world w;
    struct arena a = ARENA_INIT;
    struct err e = ERR_INIT;
    struct str text = STR_NULL;
    struct runbook_hash h;
    set_up(&w);
    make_folder(&w, "sub");
    make_folder(&w, "d.yaml");
    write_file(&w, "sub/a.yaml", "abc");
    assert_int_equal(symlink("sub", in(&w, "link")), 0);
    assert_int_equal(symlink("/etc/passwd", in(&w, "p.yaml")), 0);
    assert_int_equal(repo_read(w.repo, STR("sub/a.yaml"), &a, &text, &h, &e),
                     0);
    assert_true(str_eq_c(text, "abc"));
    assert_int_equal(h.bytes[0], 0xba);
    assert_int_equal(h.bytes[1], 0x78);
    assert_int_equal(repo_read(w.repo, STR("x.yaml"), &a, &text, &h, &e),
                     -ENOENT);
    assert_int_equal(repo_read(w.repo, STR("link/a.yaml"), &a, &text, &h, &e),
                     -ELOOP);
    assert_int_equal(repo_read(w.repo, STR("p.yaml"), &a, &text, &h, &e),
                     -ELOOP);
    assert_int_equal(repo_read(w.repo, STR("d.yaml"), &a, &text, &h, &e),
                     -EISDIR);
    assert_int_equal(repo_read(w.repo, STR("../x.yaml"), &a, &text, &h, &e),
                     -EINVAL);
    arena_deinit(&a);
    tear_down(&w);
}

/* ---- git ---------------------------------------------------------------- */

#define C1 "0123456789abcdef0123456789abcdef01234567"
#define C2 "89abcdef0123456789abcdef0123456789abcdef"

static void assert_commit(struct world *w, const char *commit)
{
    reload(w);
    assert_string_equal(w->generation->commit.at, commit);
}

static void the_commit_is_read_from_git(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    assert_commit(&w, "");
    make_folder(&w, ".git");
    assert_commit(&w, "");
    write_file(&w, ".git/HEAD", C1 "\n");
    assert_commit(&w, C1);
    write_file(&w, ".git/HEAD", "ref: refs/heads/main\n");
    assert_commit(&w, "");
    write_file(&w, ".git/packed-refs",
               "# pack-refs with: peeled\n" C1 " refs/heads/main2\n" C2
               " refs/heads/main\n^" C1 "\n");
    assert_commit(&w, C2);
    make_folder(&w, ".git/refs");
    make_folder(&w, ".git/refs/heads");
    write_file(&w, ".git/refs/heads/main", C1 "\n");
    assert_commit(&w, C1);
    write_file(&w, ".git/refs/heads/main", "rubbish\n");
    assert_commit(&w, C2);
    tear_down(&w);
}

static void set_mtime(struct world *w, const char *name, time_t seconds)
{
    const struct timespec times[] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, in(w, name), times, 0), 0);
}

/* What was changed after git has written its index is in no commit. */
static void changes_after_the_commit_are_told(void **state)
{
    (void)state;
    struct world w;
    set_up(&w);
    write_file(&w, "a.yaml", GOOD);
    write_file(&w, "b.yaml", GOOD);
    make_folder(&w, ".git");
    write_file(&w, ".git/HEAD", C1 "\n");
    assert_commit(&w, C1); /* without an index nobody knows */
    write_file(&w, ".git/index", "DIRC");
    set_mtime(&w, ".git/index", 1000);
    set_mtime(&w, "a.yaml", 1000);
    set_mtime(&w, "b.yaml", 999);
    assert_commit(&w, C1);
    set_mtime(&w, "b.yaml", 1001);
    assert_commit(&w, C1 "-dirty");
    write_file(&w, ".git/HEAD", C2 "\n");
    set_mtime(&w, ".git/index", 1002);
    assert_commit(&w, C2);
    tear_down(&w);
}

static void git_files_cannot_lead_outside(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "ref: ../../../etc/passwd\n",
        "ref: refs/../../../x\n",
        "ref: \n",
        "ref: /etc/passwd\n",
        "",
        "rubbish",
        "ref: refs/heads/secret\n",
    };
    struct world w;
    set_up(&w);
    write_file(&w, "outside", C1 "\n");
    make_folder(&w, "repo");
    make_folder(&w, "repo/.git");
    make_folder(&w, "repo/.git/refs");
    make_folder(&w, "repo/.git/refs/heads");
    assert_int_equal(
        symlink("../../../../outside", in(&w, "repo/.git/refs/heads/secret")),
        0);
    struct err e = ERR_INIT;
    struct repo *inner = NULL;
    assert_int_equal(repo_open(str_c(in(&w, "repo")), &inner, &e), 0);
    repo_close(w.repo);
    w.repo = inner;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        write_file(&w, "repo/.git/HEAD", heads[i]);
        assert_commit(&w, "");
    }
    write_file(&w, "repo/.git/HEAD", "ref: refs/../../../outside\n");
    assert_commit(&w, "");
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_is_loaded_in_order),
        cmocka_unit_test(unchanged_files_are_shared),
        cmocka_unit_test(the_last_known_good_version_stays),
        cmocka_unit_test(odd_files_are_rejected_one_by_one),
        cmocka_unit_test(a_file_may_become_a_folder),
        cmocka_unit_test(a_lost_folder_keeps_its_runbooks),
        cmocka_unit_test(the_folder_itself_may_fail_and_come_back),
        cmocka_unit_test(more_files_than_the_limit_fail_the_load),
        cmocka_unit_test(paths_have_a_form),
        cmocka_unit_test(one_file_is_read),
        cmocka_unit_test(the_commit_is_read_from_git),
        cmocka_unit_test(changes_after_the_commit_are_told),
        cmocka_unit_test(git_files_cannot_lead_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
