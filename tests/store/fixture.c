#include "tests/store/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/memory.h"
#include "store/sqlite_reader.h"
#include "store/sqlite_sums.h"

/* ---- life --------------------------------------------------------------- */

/* In memory if there is room: these tests are about order, not about disks,
 * and one that needs a disk that forgets brings its own. */
static bool has_room(const char *directory)
{
    struct statvfs fs;
    return statvfs(directory, &fs) == 0 && access(directory, W_OK) == 0 &&
           fs.f_bavail * fs.f_frsize > 256UL * 1024 * 1024;
}

void fixture_make_directory(char out[64])
{
    (void)snprintf(out, 64, "%s/adp-store-XXXXXX",
                   has_room("/dev/shm") ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(out));
}

void fixture_remove_directory(const char *directory)
{
    DIR *d = opendir(directory);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] != '.') {
            (void)unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    (void)closedir(d);
    (void)rmdir(directory);
}

void fixture_open(struct fixture *f)
{
    struct err err = ERR_INIT;
    f->options.directory = str_c(f->directory);
    f->options.session = fixture_id(f);
    f->options.now_ms = f->now_ms;
    int r = f->driver->open(&f->options, &f->store, &f->opened, &err);
    if (r < 0) {
        fail_msg("open: %s (%s)", err.message, err.hint);
    }
    assert_int_equal(f->driver->reader_open(f->store, &f->reader, &err), 0);
    if (f->driver == &store_sqlite) {
        /* These tests are not about time: on a busy machine a read may take
         * longer than anybody would wait for it. */
        CONTAINER_OF(f->reader, struct sqlite_reader, base)->limit_ms = 600000;
    }
}

void fixture_close(struct fixture *f)
{
    if (f->store != NULL) {
        f->reader->ops->close(f->reader);
        f->driver->close(f->store);
        f->store = NULL;
    }
}

void fixture_restart(struct fixture *f)
{
    if (f->driver == &store_memory) {
        f->options.session = fixture_id(f);
        store_memory_crash(f->store, &f->options, &f->opened);
    } else {
        fixture_close(f);
        fixture_open(f);
    }
}

void fixture_check(struct fixture *f)
{
    struct err err = ERR_INIT;
    if (f->driver->check(f->store, &err) < 0) {
        fail_msg("check: %s", err.message);
    }
}

int fixture_setup(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);
    f->driver = *state;
    f->now_ms = T0_MS;
    prng_seed(&f->prng, 7);
    commit_group_init(&f->group);
    fixture_make_directory(f->directory);
    f->options = (struct store_options){
        .queue_limit = 10000,
        .node = STR("here"),
        .ballast_bytes = 65536,
    };
    fixture_open(f);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    if (f->store != NULL) {
        fixture_check(f);
    }
    fixture_close(f);
    fixture_remove_directory(f->directory);
    arena_deinit(&f->arena);
    mem_free(f);
    return 0;
}

/* ---- material ----------------------------------------------------------- */

void fixture_exec(struct fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/engine.db", f->directory);
    assert_int_equal(sqlite3_open_v2(path, &db,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                     sqlite_sums_vfs()),
                     SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s", message);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

void fixture_load_version_1(struct fixture *f)
{
    fixture_close(f);
    fixture_remove_directory(f->directory);
    fixture_make_directory(f->directory);
    char path[512];
    const char *root = getenv("ADP_SOURCE_ROOT");
    (void)snprintf(path, sizeof(path), "%s/tests/store/fixtures/v1.sql",
                   root != NULL ? root : ".");
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    char *sql = arena_alloc(&f->arena, 65536, 1);
    assert_true(fread(sql, 1, 65536 - 1, file) > 0);
    (void)fclose(file);
    fixture_exec(f, sql);
}

struct id fixture_id(struct fixture *f)
{
    uint64_t random[2] = {prng_next(&f->prng), prng_next(&f->prng)};
    return id_make(f->now_ms, (const uint8_t *)random);
}

struct event fixture_event(struct fixture *f, const char *source)
{
    return (struct event){
        .id = fixture_id(f),
        .received_ms = f->now_ms,
        .priority = EVENT_PRIORITY_DEFAULT,
        .type = STR("alert"),
        .severity = STR("critical"),
        .source = str_c(source),
        .body = STR("{\"type\":\"alert\"}"),
    };
}

struct workflow_row fixture_workflow(struct fixture *f)
{
    return (struct workflow_row){
        .id = fixture_id(f),
        .runbook_path = STR("remediation/restart.yaml"),
        .runbook_name = STR("restart"),
        .parameters = STR("{}"),
        .requested_by = STR("uid:0"),
        .created_ms = f->now_ms,
        .status = WORKFLOW_RUNNING,
        .deadline_ms = f->now_ms + 1000,
        .rev = 1,
    };
}

struct attempt_row fixture_attempt(struct fixture *f, struct id workflow_id)
{
    return (struct attempt_row){
        .key = {.workflow_id = workflow_id, .attempt = 1},
        .state = ATTEMPT_STARTING,
        .executor = fixture_id(f),
        .requested_ms = f->now_ms,
        .exit_code = -1,
    };
}

/* ---- operations --------------------------------------------------------- */

int fixture_run(struct fixture *f, struct store_op *op)
{
    list_push(&f->group.ops, &op->link);
    int r = commit_group_run(f->driver, f->store, &f->group, f->now_ms);
    list_init(&f->group.finished);
    if (op->kind == STORE_CLAIM && !list_empty(&f->group.claims)) {
        list_init(&f->group.claims);
        return -EAGAIN;
    }
    assert_true(r == 0 || op->result == -EIO);
    return op->result;
}

int fixture_ingest(struct fixture *f, struct event *events, uint32_t count)
{
    struct store_op op = {
        .kind = STORE_INGEST,
        .ingest = {.events = events,
                   .count = count,
                   .dedup_expires_ms = f->now_ms + 60000,
                   .results = f->results},
    };
    return fixture_run(f, &op);
}

void fixture_fill(struct fixture *f, uint32_t n)
{
    struct event *events = ARENA_ARRAY(&f->arena, n, struct event);
    for (uint32_t i = 0; i < n; i++) {
        char *source = arena_alloc(&f->arena, 12, 1);
        (void)snprintf(source, 12, "%u", i);
        events[i] = fixture_event(f, source);
    }
    assert_int_equal(fixture_ingest(f, events, n), 0);
}

int fixture_claim(struct fixture *f, uint32_t limit, uint32_t max_attempts,
                  struct store_claim *ret)
{
    struct store_op op = {
        .kind = STORE_CLAIM,
        .claim = {.limit = limit,
                  .max_attempts = max_attempts,
                  .arena = &f->arena},
    };
    int r = fixture_run(f, &op);
    *ret = op.claim;
    return r;
}

int fixture_apply(struct fixture *f, const struct record *records,
                  uint32_t count)
{
    struct store_op op = {
        .kind = STORE_APPLY,
        .apply = {.records = records, .count = count},
    };
    return fixture_run(f, &op);
}

int fixture_done(struct fixture *f, const struct store_claim *claim, uint32_t i,
                 enum event_status status)
{
    struct record r = {
        .kind = RECORD_EVENT_DONE,
        .event_done = {.seq = claim->events[i].seq,
                       .event_id = claim->events[i].id,
                       .claim = claim->claim,
                       .status = status,
                       .at_ms = f->now_ms},
    };
    return fixture_apply(f, &r, 1);
}

int fixture_workflow_new(struct fixture *f, const struct workflow_row *w)
{
    struct record r = {.kind = RECORD_WORKFLOW_NEW, .workflow = *w};
    return fixture_apply(f, &r, 1);
}

int fixture_workflow_set(struct fixture *f, const struct workflow_row *w)
{
    struct record r = {.kind = RECORD_WORKFLOW_SET, .workflow = *w};
    return fixture_apply(f, &r, 1);
}

int fixture_attempt_new(struct fixture *f, const struct attempt_row *t)
{
    struct record r = {.kind = RECORD_ATTEMPT_NEW, .attempt = *t};
    return fixture_apply(f, &r, 1);
}

int fixture_attempt_set(struct fixture *f, const struct attempt_row *t)
{
    struct record r = {.kind = RECORD_ATTEMPT_SET, .attempt = *t};
    return fixture_apply(f, &r, 1);
}

/* ---- reading ------------------------------------------------------------ */

struct store_counts fixture_counts(struct fixture *f)
{
    struct store_counts counts;
    assert_int_equal(f->reader->ops->counts(f->reader, &counts), 0);
    return counts;
}

struct event_view fixture_read(struct fixture *f, struct id id)
{
    struct event_view v;
    assert_int_equal(f->reader->ops->event(f->reader, id, &f->arena, &v), 0);
    return v;
}

void assert_str(struct str is, const char *wanted)
{
    assert_int_equal(is.len, strlen(wanted));
    assert_memory_equal(is.at, wanted, is.len);
}

void assert_id(struct id is, struct id wanted)
{
    assert_memory_equal(is.bytes, wanted.bytes, sizeof(is.bytes));
}
