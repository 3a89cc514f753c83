/*
 * The only start-up path: read every live workflow in order of creation, give
 * each its pinned runbook and its attempts, read what triggers remember, and
 * start the engine. What was in flight is asked of the executor again once that
 * is connected.
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
    struct effects given_up;
    struct runtime_unloadable *unloadable;
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
    if (r == -ENOENT) {
        return err_set(reterr, -EINVAL,
                       "its runbook version is not in the store");
    }
    if (r < 0) {
        return err_set(reterr, r, "cannot read its runbook version");
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

/* Nobody can carry on a workflow whose runbook cannot be understood any more;
 * it must not keep the others from going on. */
static void give_up(struct recovery *rec, const struct workflow_row *row,
                    const struct attempt_row *attempt, const struct err *why)
{
    struct effects *fx = &rec->given_up;
    uint64_t now_ms = rec->rt->ports.now_ms(rec->rt->ports.context);
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(2048);
    strbuf_addc(&text, why->message);
    bool open = attempt != NULL && !attempt_state_is_final(attempt->state);
    if (open) {
        struct record r = {.kind = RECORD_ATTEMPT_SET, .attempt = *attempt};
        r.attempt.state = ATTEMPT_UNKNOWN;
        r.attempt.finished_ms = now_ms;
        r.attempt.error = STR("");
        VEC_PUSH(&fx->records, r);
        strbuf_addc(&text, "; what became of its step is not known");
    }
    struct record r = {.kind = RECORD_WORKFLOW_SET,
                       .workflow = effects_row(fx, row)};
    r.workflow.status = WORKFLOW_FAILED;
    r.workflow.error = arena_str(&fx->arena, strbuf_str(&text));
    r.workflow.finished_ms = now_ms;
    r.workflow.wake_ms = 0;
    r.workflow.deadline_ms = 0;
    r.workflow.rev++;
    VEC_PUSH(&fx->records, r);
    if (rec->unloadable->count++ == 0) {
        rec->unloadable->first = row->id;
        rec->unloadable->why = *why;
    }
}

static int restore_one(struct recovery *rec, const struct workflow_row *row,
                       struct err *reterr)
{
    struct reader *reader = rec->reader;
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct err why = ERR_INIT;
    char id[ID_TEXT_SIZE];
    struct runbook *rb = NULL;
    struct attempt_row *attempts = NULL;
    uint32_t count = 0;
    int loaded = pinned_runbook(rec, row, &rb, &why);
    int r = loaded < 0 && loaded != -EINVAL ? loaded : 0;
    if (r == 0) {
        r = reader->ops->attempts(reader, row->id, &a, &attempts, &count);
    }
    if (r < 0) {
        id_format(row->id, ID_PREFIX_WORKFLOW, id);
        return err_set(reterr, r, "cannot read workflow %s (%.*s)", id,
                       STR_ARG(row->runbook_path));
    }
    if (loaded < 0) {
        give_up(rec, row, newest_attempt(attempts, count, row->step_no), &why);
    } else {
        engine_restore(rec->rt->engine, row, rb, attempts, count);
    }
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

/* The next page begins behind this row. */
static void go_behind(struct memory_filter *f, struct arena *cursor,
                      struct str path, struct str trigger, struct str key)
{
    arena_reset(cursor);
    f->after_runbook = arena_str(cursor, path);
    f->after_trigger = arena_str(cursor, trigger);
    f->after_key = arena_str(cursor, key);
}

/* What triggers remember, whether or not their runbooks are still there. */
static int restore_memories(struct recovery *rec, struct err *reterr)
{
    struct reader *reader = rec->reader;
    struct memory_filter filter = {.limit = RECOVER_PAGE};
    struct arena cursor = ARENA_INIT;
    uint32_t count = RECOVER_PAGE;
    int r = 0;
    while (r == 0 && count == RECOVER_PAGE) {
        CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
        struct memory_row *rows = NULL;
        r = reader->ops->memories(reader, &filter, &a, &rows, &count);
        for (uint32_t i = 0; r == 0 && i < count; i++) {
            engine_restore_memory(rec->rt->engine, &rows[i]);
        }
        if (r == 0 && count == RECOVER_PAGE) {
            const struct memory_row *last = &rows[count - 1];
            go_behind(&filter, &cursor, last->runbook_path, last->trigger,
                      last->key);
        }
    }
    arena_deinit(&cursor);
    return r == 0 ? 0
                  : err_set(reterr, r, "cannot read what triggers remember");
}

/* The same for what they watch. */
static int restore_watches(struct recovery *rec, struct err *reterr)
{
    struct reader *reader = rec->reader;
    struct memory_filter filter = {.limit = RECOVER_PAGE};
    struct arena cursor = ARENA_INIT;
    uint32_t count = RECOVER_PAGE;
    int r = 0;
    while (r == 0 && count == RECOVER_PAGE) {
        CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
        struct watch_row *rows = NULL;
        r = reader->ops->watches(reader, &filter, &a, &rows, &count);
        for (uint32_t i = 0; r == 0 && i < count; i++) {
            engine_restore_watch(rec->rt->engine, &rows[i]);
        }
        if (r == 0 && count == RECOVER_PAGE) {
            const struct watch_row *last = &rows[count - 1];
            go_behind(&filter, &cursor, last->runbook_path, last->trigger,
                      last->key);
        }
    }
    arena_deinit(&cursor);
    return r == 0 ? 0 : err_set(reterr, r, "cannot read what triggers watch");
}

void runtime_doubt(struct runtime *rt, struct str why)
{
    mem_free(rt->doubt);
    rt->doubt = str_dup(why);
}

int runtime_recover(struct runtime *rt, struct reader *reader,
                    struct runtime_unloadable *ret_unloadable,
                    struct err *reterr)
{
    struct recovery rec = {.rt = rt,
                           .reader = reader,
                           .keys = ARENA_INIT,
                           .unloadable = ret_unloadable};
    *ret_unloadable = (struct runtime_unloadable){.count = 0};
    effects_init(&rec.given_up);
    int r = restore_all(&rec, reterr);
    if (r == 0) {
        r = restore_memories(&rec, reterr);
    }
    if (r == 0) {
        r = restore_watches(&rec, reterr);
    }
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&rec.loaded, &cursor)) != NULL) {
        runbook_unref(entry->value);
    }
    map_deinit(&rec.loaded);
    arena_deinit(&rec.keys);
    if (r == 0 && rec.given_up.records.count != 0) {
        runtime_commit(rt, &rec.given_up);
    }
    effects_deinit(&rec.given_up);
    if (r < 0) {
        return r;
    }
    struct fact fact = {.kind = FACT_START, .doubt = str_c(rt->doubt)};
    runtime_take(rt, &fact);
    rt->recovered = true;
    runtime_tell_generation(rt);
    return 0;
}
