#include "repo/repo_priv.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "os/fd.h"

#define PROGRESS_EVERY 100

struct load {
    const struct generation *before; /* may be NULL */
    const struct runbook_defaults *defaults;
    bool same_defaults;
    int folder_fd;
    struct arena arena; /* paths and problems, until the generation has them */
    VEC(struct generation_file) files;
    struct map seen; /* their paths */
    struct repo_changes changes;
};

static const struct generation_file *file_before(const struct load *ld,
                                                 struct str path)
{
    return ld->before == NULL ? NULL : generation_file(ld->before, path);
}

static struct runbook *runbook_before(const struct load *ld, struct str path)
{
    const struct generation_file *f = file_before(ld, path);
    return f == NULL ? NULL : f->runbook;
}

/* Takes the runbook's reference over. */
static void add_file(struct load *ld, const struct generation_file *f)
{
    const void *other = map_put(&ld->seen, f->path, ld);
    ASSERT(other == NULL);
    VEC_PUSH(&ld->files, *f);
}

/* The file is no good: what was good before stays in force. */
static void add_bad(struct load *ld, struct str path, struct err *problems,
                    uint32_t count)
{
    struct runbook *good = runbook_before(ld, path);
    struct generation_file f = {.path = path,
                                .state = FILE_REJECTED,
                                .problems = problems,
                                .problem_count = count};
    if (good != NULL) {
        f.state = FILE_LAST_KNOWN_GOOD;
        f.runbook = runbook_ref(good);
    }
    ld->changes.rejected++;
    add_file(ld, &f);
}

static void add_unreadable(struct load *ld, struct str path,
                           const struct err *e)
{
    struct err *copy = ARENA_NEW(&ld->arena, struct err);
    *copy = *e;
    add_bad(ld, path, copy, 1);
}

/* The warnings of a file that loads, the errors of one that does not. */
static struct err *copy_problems(struct load *ld,
                                 const struct runbook_report *report,
                                 uint32_t *ret_count)
{
    bool good = report->error_count == 0;
    size_t most = MAX(report->problems.count, (size_t)1);
    struct err *problems = ARENA_ARRAY(&ld->arena, most, struct err);
    uint32_t count = 0;
    VEC_EACH (&report->problems, i) {
        if (report->problems.at[i].warning == good) {
            problems[count++] = report->problems.at[i].err;
        }
    }
    *ret_count = count;
    return problems;
}

static void load_text(struct load *ld, struct str path, struct str text)
{
    struct runbook_report report;
    struct runbook *rb = NULL;
    int r = runbook_load(path, text, ld->defaults, &rb, &report);
    uint32_t count = 0;
    struct err *problems = copy_problems(ld, &report, &count);
    runbook_report_deinit(&report);
    if (r < 0) {
        add_bad(ld, path, problems, count);
        return;
    }
    const struct runbook *old = runbook_before(ld, path);
    ld->changes.added += old == NULL ? 1 : 0;
    ld->changes.changed +=
        old != NULL && memcmp(&old->hash, &rb->hash, sizeof(rb->hash)) != 0;
    add_file(ld, &(struct generation_file){.path = path,
                                           .state = FILE_LOADED,
                                           .runbook = rb,
                                           .problems = problems,
                                           .problem_count = count});
}

/* The same bytes as in the generation before: shared, with its warnings. */
static bool add_unchanged(struct load *ld, struct str path, struct str text)
{
    const struct generation_file *old = file_before(ld, path);
    if (old == NULL || old->state != FILE_LOADED || !ld->same_defaults) {
        return false;
    }
    struct runbook_hash hash = repo_hash(text);
    if (memcmp(&hash, &old->runbook->hash, sizeof(hash)) != 0) {
        return false;
    }
    struct generation_file f = *old;
    f.path = path;
    f.runbook = runbook_ref(old->runbook);
    add_file(ld, &f);
    return true;
}

static void load_file(struct load *ld, const struct found_file *found,
                      struct arena *scratch)
{
    struct str text = STR_NULL;
    struct err e = ERR_INIT;
    if (found->problem != NULL) {
        add_unreadable(ld, found->path, found->problem);
        return;
    }
    int r = repo_read_at(ld->folder_fd, found->path, scratch, &text, &e);
    if (r == -ENOENT) {
        return; /* deleted since the walk: removed, like any other */
    }
    if (r < 0) {
        add_unreadable(ld, found->path, &e);
    } else if (!add_unchanged(ld, found->path, text)) {
        load_text(ld, found->path, text);
    }
}

static void load_files(struct load *ld, const struct listing *list,
                       void (*progress)(uint32_t done, uint32_t total))
{
    uint32_t total = (uint32_t)list->files.count;
    struct arena scratch = ARENA_INIT;
    for (uint32_t i = 0; i < total; i++) {
        load_file(ld, &list->files.at[i], &scratch);
        arena_reset(&scratch);
        if (progress != NULL &&
            ((i + 1) % PROGRESS_EVERY == 0 || i + 1 == total)) {
            progress(i + 1, total);
        }
    }
    arena_deinit(&scratch);
}

static bool is_beneath(struct str path, struct str folder)
{
    return path.len > folder.len && str_starts(path, folder) &&
           path.at[folder.len] == '/';
}

/* A folder that cannot be read is a problem of its own, and of every runbook
 * that it held before. */
static void lose_folder(struct load *ld, const struct lost_folder *lost)
{
    struct strbuf shown = STRBUF_INIT(8 * REPO_PATH_MAX_BYTES);
    strbuf_add_visible(&shown, lost->path);
    struct str name = arena_str(&ld->arena, strbuf_str(&shown));
    strbuf_deinit(&shown);
    if (map_get(&ld->seen, name) == NULL) {
        add_unreadable(ld, name, lost->problem);
    }
    for (uint32_t i = 0; ld->before != NULL && i < ld->before->file_count;
         i++) {
        const struct generation_file *old = &ld->before->files[i];
        if (old->runbook != NULL && is_beneath(old->path, lost->path) &&
            map_get(&ld->seen, old->path) == NULL) {
            add_unreadable(ld, old->path, lost->problem);
        }
    }
}

static void count_removed(struct load *ld)
{
    for (uint32_t i = 0; ld->before != NULL && i < ld->before->file_count;
         i++) {
        const struct generation_file *old = &ld->before->files[i];
        if (old->runbook != NULL && map_get(&ld->seen, old->path) == NULL) {
            ld->changes.removed++;
        }
    }
}

static bool same_defaults(const struct repo *r,
                          const struct runbook_defaults *d)
{
    return r->has_loaded && r->defaults.step_timeout_ms == d->step_timeout_ms &&
           r->defaults.retry_attempts == d->retry_attempts &&
           r->defaults.unknown_keys_warn == d->unknown_keys_warn;
}

int repo_load(struct repo *r, const struct repo_load_options *how,
              struct generation **ret, struct repo_changes *ret_changes,
              struct err *reterr)
{
    CLEANUP(os_closep) int folder = -1;
    int rc = repo_open_folder(r, &folder, reterr);
    if (rc < 0) {
        return rc;
    }
    struct load ld = {.before = how->before,
                      .defaults = how->defaults,
                      .same_defaults = same_defaults(r, how->defaults),
                      .folder_fd = folder};
    CLEANUP(listing_deinit) struct listing list = {0};
    rc = repo_list(folder, &ld.arena, &list, reterr);
    if (rc == 0) {
        load_files(&ld, &list, how->progress);
        VEC_EACH (&list.lost, i) {
            lose_folder(&ld, &list.lost.at[i]);
        }
        count_removed(&ld);
        *ret = generation_new(ld.files.at, (uint32_t)ld.files.count,
                              repo_git_describe(folder, &list, &ld.arena),
                              how->number, how->now_ms);
        *ret_changes = ld.changes;
        r->defaults = *how->defaults;
        r->has_loaded = true;
    }
    VEC_DEINIT(&ld.files);
    map_deinit(&ld.seen);
    arena_deinit(&ld.arena);
    return rc;
}
