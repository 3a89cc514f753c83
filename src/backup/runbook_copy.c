/* The runbooks into a backup. Trouble with them stops no backup: the store is
 * what cannot be had from anywhere else. What is missing is named. */
#include <errno.h>
#include <string.h>

#include "backup/backup_priv.h"
#include "base/mem.h"
#include "repo/repo.h"

void backup_add_missing(struct backup_manifest *m, struct arena *a,
                        struct str path, const struct err *why, bool harmless)
{
    struct backup_missing *at = NULL;
    m->info.is_incomplete = m->info.is_incomplete || !harmless;
    if (m->missing.count < BACKUP_MISSING_MAX) {
        VEC_PUSH(&m->missing, (struct backup_missing){
                                  .path = arena_str(a, path),
                                  .why = arena_str(a, str_c(why->message)),
                                  .is_harmless = harmless});
        return;
    }
    /* The last one stands for all that have no room. */
    m->missing_more++;
    at = &m->missing.at[BACKUP_MISSING_MAX - 1];
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(128);
    strbuf_addf(&text, "%u more that could not be read", m->missing_more + 1);
    at->path = STR(BACKUP_RUNBOOKS);
    at->why = arena_str(a, strbuf_str(&text));
    at->is_harmless = at->is_harmless && harmless;
}

/* What is no file of ours: gone by now, or a symlink to somewhere else. */
static bool is_nobodys(int r)
{
    return r == -ENOENT || r == -ELOOP;
}

/* A folder that cannot be read stands in the generation as a file, and what is
 * wrong with it is known only there. */
static struct err reason_of(const struct generation_file *f,
                            const struct err *unreadable)
{
    return unreadable->errnum == -EINVAL && f->runbook == NULL &&
                   f->problem_count != 0
               ? f->problems[0]
               : *unreadable;
}

static int copy_one(const struct backup_runbook_copy *copy, struct repo *repo,
                    const struct generation_file *f, struct arena *arena,
                    struct backup_manifest *m, struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    CLEANUP(strbuf_deinit) struct strbuf name = STRBUF_INIT(BACKUP_PATH_SIZE);
    struct str text = STR_NULL;
    struct runbook_hash unused;
    struct err unreadable = ERR_INIT;
    strbuf_addf(&name, BACKUP_RUNBOOKS "/%.*s", STR_ARG(f->path));
    int r = repo_read(repo, f->path, &a, &text, &unused, &unreadable);
    if (r < 0) {
        unreadable.errnum = r;
        struct err why = reason_of(f, &unreadable);
        backup_add_missing(m, arena, strbuf_str(&name), &why,
                           is_nobodys(why.errnum));
        return 0;
    }
    VEC_PUSH(&m->files,
             (struct backup_file){.path = arena_str(arena, strbuf_str(&name))});
    return backup_write_file(copy->own, name.at, text, reterr);
}

int backup_copy_runbooks(const struct backup_runbook_copy *copy,
                         struct arena *a, struct backup_manifest *m,
                         struct err *reterr)
{
    struct repo *repo = NULL;
    struct generation *g = NULL;
    struct repo_changes changes;
    struct err trouble = ERR_INIT;
    const struct repo_load_options how = {.defaults = &RUNBOOK_DEFAULTS,
                                          .now_ms = copy->now_ms};
    int r = repo_open(str_c(copy->repository), &repo, &trouble);
    if (r == 0) {
        r = repo_load(repo, &how, &g, &changes, &trouble);
    }
    if (r < 0) {
        backup_add_missing(m, a, STR(BACKUP_RUNBOOKS), &trouble, false);
        r = 0;
    }
    for (uint32_t i = 0; g != NULL && r == 0 && i < g->file_count; i++) {
        r = copy_one(copy, repo, &g->files[i], a, m, reterr);
    }
    if (g != NULL && r == 0) {
        m->info.runbook_commit = arena_str(a, g->commit);
    }
    generation_unref(g);
    repo_close(repo);
    return r;
}
