/*
 * The only start-up path: read every live workflow in order of creation, give
 * each its pinned runbook and its newest attempt, and start the engine. What
 * was in flight is asked of the executor again once that is connected.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"
#include "model/runbook_load.h"
#include "runtime/runtime_priv.h"

#define RECOVER_PAGE 500

struct recovery {
    struct runtime *rt;
    struct reader *reader;
    struct arena keys; /* of the map */
    struct map loaded; /* version_key -> struct runbook, one reference */
};

/* What a workflow has pinned: the text, and what its gaps are filled with. */
static struct str version_key(const struct workflow_row *row,
                              struct strbuf *buf)
{
    strbuf_add(buf, str_n((const char *)row->runbook_hash.bytes,
                          sizeof(row->runbook_hash.bytes)));
    strbuf_addf(buf, " %" PRIu64 " %" PRIu32, row->defaults.step_timeout_ms,
                row->defaults.retry_attempts);
    return strbuf_str(buf);
}

/* The version a workflow pinned: each text is parsed once and then shared. */
static int pinned_runbook(struct recovery *rec, const struct workflow_row *row,
                          struct runbook **ret, struct err *reterr)
{
    struct reader *reader = rec->reader;
    const struct runbook_hash *hash = &row->runbook_hash;
    CLEANUP(strbuf_deinit) struct strbuf buf = STRBUF_INIT(256);
    struct str key = version_key(row, &buf);
    *ret = map_get(&rec->loaded, key);
    if (*ret != NULL) {
        return 0;
    }
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct str path = STR_NULL;
    struct str text = STR_NULL;
    int r = reader->ops->runbook(reader, hash, &a, &path, &text);
    if (r < 0) {
        return err_set(reterr, r, "its runbook version is not in the store");
    }
    struct runbook_report report = {0};
    struct runbook *rb = NULL;
    /* It was good enough when it started. */
    struct runbook_defaults defaults = row->defaults;
    defaults.unknown_keys_warn = true;
    r = runbook_load(path, text, &defaults, &rb, &report);
    if (r < 0) {
        err_set(reterr, r, "its stored runbook version does not load: %s",
                report.problems.at[0].err.message);
    } else {
        ASSERT(map_put(&rec->loaded, arena_str(&rec->keys, key), rb) == NULL);
        *ret = rb;
    }
    runbook_report_deinit(&report);
    return r;
}

/* The newest attempt of the current step, or NULL. */
static const struct attempt_row *
newest_attempt(const struct attempt_row *rows, uint32_t count, uint32_t step_no)
{
    const struct attempt_row *newest = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].key.step_no == step_no &&
            (newest == NULL || rows[i].key.attempt > newest->key.attempt)) {
            newest = &rows[i];
        }
    }
    return newest;
}

static int restore_one(struct recovery *rec, const struct workflow_row *row,
                       struct err *reterr)
{
    struct reader *reader = rec->reader;
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    char id[ID_TEXT_SIZE];
    id_format(row->id, ID_PREFIX_WORKFLOW, id);
    struct runbook *rb = NULL;
    int r = pinned_runbook(rec, row, &rb, reterr);
    if (r < 0) {
        return err_wrap(reterr, "workflow %s (%.*s)", id,
                        STR_ARG(row->runbook_path));
    }
    struct attempt_row *attempts = NULL;
    uint32_t count = 0;
    r = reader->ops->attempts(reader, row->id, &a, &attempts, &count);
    if (r < 0) {
        return err_set(reterr, r, "cannot read the attempts of workflow %s",
                       id);
    }
    engine_restore(rec->rt->engine, row, rb,
                   newest_attempt(attempts, count, row->step_no));
    return 0;
}

static int restore_all(struct recovery *rec, struct err *reterr)
{
    struct reader *reader = rec->reader;
    struct workflow_filter filter = {
        .status = -1, .live_only = true, .limit = RECOVER_PAGE};
    for (;;) {
        CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
        struct workflow_view *views = NULL;
        uint32_t count = 0;
        int r = reader->ops->workflows(reader, &filter, &a, &views, &count);
        if (r < 0) {
            return err_set(reterr, r, "cannot read the live workflows");
        }
        for (uint32_t i = 0; i < count; i++) {
            r = restore_one(rec, &views[i].row, reterr);
            if (r < 0) {
                return r;
            }
            filter.after_seq = views[i].seq;
        }
        if (count < RECOVER_PAGE) {
            return 0;
        }
    }
}

void runtime_doubt(struct runtime *rt, struct str why)
{
    mem_free(rt->doubt);
    rt->doubt = str_dup(why);
}

int runtime_recover(struct runtime *rt, struct reader *reader,
                    struct err *reterr)
{
    struct recovery rec = {.rt = rt, .reader = reader, .keys = ARENA_INIT};
    int r = restore_all(&rec, reterr);
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&rec.loaded, &cursor)) != NULL) {
        runbook_unref(entry->value);
    }
    map_deinit(&rec.loaded);
    arena_deinit(&rec.keys);
    if (r < 0) {
        return r;
    }
    struct fact fact = {.kind = FACT_START, .doubt = str_c(rt->doubt)};
    runtime_take(rt, &fact);
    return 0;
}
