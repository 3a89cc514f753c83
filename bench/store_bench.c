/*
 * The SQLite driver against a bare loop that inserts the same rows, 64 to a
 * commit, both with one fsync a commit. Then what an event costs on its way
 * through: accepted alone in a group of 64, claimed, marked as processed.
 *
 *   store_bench DIRECTORY [EVENTS]
 *
 * DIRECTORY must be empty; it is left with the files.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/prng.h"
#include "store/committer.h"

#define BATCH 100
#define T0_MS 1800000000000ULL

static const char body[] =
    "{\"type\":\"alert\",\"severity\":\"warning\",\"source\":\"prometheus\","
    "\"labels\":{\"alertname\":\"HighCPU\",\"env\":\"production\","
    "\"instance\":\"server-01:9100\",\"job\":\"node\"},\"annotations\":{"
    "\"summary\":\"CPU usage is above ninety percent here\"},\"starts_at\":"
    "\"2026-01-01T00:00:00Z\"}";

static struct label labels[] = {{STR("alertname"), STR("HighCPU")},
                                {STR("env"), STR("production")},
                                {STR("instance"), STR("server-01:9100")},
                                {STR("job"), STR("node")}};

struct bench {
    struct store *store;
    struct prng prng;
    uint64_t now_ms;
    uint32_t total;
    struct commit_group group;
    struct arena arena;
};

/* ---- measuring ---------------------------------------------------------- */

struct span {
    double wall_s;
    double cpu_s;
    double written_bytes; /* to the disk, log and checkpoints */
};

static double seconds(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double written_bytes(void)
{
    double bytes = 0;
    char line[64];
    FILE *io = fopen("/proc/self/io", "re");
    while (io != NULL && fgets(line, sizeof(line), io) != NULL) {
        if (strncmp(line, "write_bytes: ", 13) == 0) {
            bytes = strtod(line + 13, NULL);
        }
    }
    if (io != NULL) {
        (void)fclose(io);
    }
    return bytes;
}

static struct span now(void)
{
    return (struct span){.wall_s = seconds(CLOCK_MONOTONIC),
                         .cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID),
                         .written_bytes = written_bytes()};
}

static double report(const char *what, uint32_t events, struct span from)
{
    struct span to = now();
    double rate = events / (to.wall_s - from.wall_s);
    (void)printf("%-28s %9.0f events/s %7.2f us CPU and %.0f bytes an event\n",
                 what, rate, (to.cpu_s - from.cpu_s) * 1e6 / events,
                 (to.written_bytes - from.written_bytes) / events);
    return rate;
}

static void must(int ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "store_bench: %s failed\n", what);
        exit(1);
    }
}

/* ---- the rows ----------------------------------------------------------- */

static struct event make_event(struct bench *b, char fingerprint[17])
{
    uint64_t random[2] = {prng_next(&b->prng), prng_next(&b->prng)};
    (void)snprintf(fingerprint, 17, "%016llx",
                   (unsigned long long)prng_below(&b->prng, 1000));
    b->now_ms += prng_below(&b->prng, 20) == 0 ? 1 : 0;
    return (struct event){
        .id = id_make(b->now_ms, (const uint8_t *)random),
        .received_ms = b->now_ms,
        .starts_ms = T0_MS,
        .state = EVENT_FIRING,
        .priority = EVENT_PRIORITY_DEFAULT,
        .type = STR("alert"),
        .severity = STR("warning"),
        .source = STR("prometheus"),
        .fingerprint = str_n(fingerprint, 16),
        .labels = {.at = labels, .count = ARRAY_LEN(labels)},
        .body = STR(body),
    };
}

/* ---- the bare loop ------------------------------------------------------ */

static void exec(sqlite3 *db, const char *sql)
{
    must(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, sql);
}

static void bare_insert(struct bench *b, sqlite3_stmt *st)
{
    char fingerprint[17];
    struct event e = make_event(b, fingerprint);
    struct strbuf encoded = STRBUF_INIT(1024);
    labels_encode(&e.labels, &encoded);
    const struct str texts[] = {e.type, e.severity, e.source, e.fingerprint,
                                e.body};
    must(sqlite3_bind_blob(st, 1, e.id.bytes, 16, SQLITE_STATIC) == SQLITE_OK &&
             sqlite3_bind_int64(st, 2, (int64_t)e.received_ms) == SQLITE_OK &&
             sqlite3_bind_blob(st, 3, encoded.at, (int)encoded.len,
                               SQLITE_STATIC) == SQLITE_OK,
         "bind");
    for (int i = 0; i < (int)ARRAY_LEN(texts); i++) {
        must(sqlite3_bind_text(st, 4 + i, texts[i].at, (int)texts[i].len,
                               SQLITE_STATIC) == SQLITE_OK,
             "bind");
    }
    must(sqlite3_step(st) == SQLITE_DONE && sqlite3_reset(st) == SQLITE_OK,
         "insert");
    strbuf_deinit(&encoded);
}

static double bare_loop(struct bench *b, const char *directory)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/bare.db", directory);
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    must(sqlite3_open(path, &db) == SQLITE_OK, "open");
    exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
             "PRAGMA wal_autocheckpoint = 1000; PRAGMA secure_delete = OFF;"
             "CREATE TABLE event (seq INTEGER PRIMARY KEY, id BLOB UNIQUE,"
             " received_ms INTEGER, labels BLOB, type TEXT, severity TEXT,"
             " source TEXT, fingerprint TEXT, body TEXT)");
    must(sqlite3_prepare_v2(db,
                            "INSERT INTO event VALUES (NULL, ?1, ?2, ?3, ?4,"
                            " ?5, ?6, ?7, ?8)",
                            -1, &st, NULL) == SQLITE_OK,
         "prepare");
    struct span from = now();
    for (uint32_t i = 0; i < b->total; i++) {
        if (i % STORE_GROUP_MAX == 0) {
            exec(db, i == 0 ? "BEGIN" : "COMMIT; BEGIN");
        }
        bare_insert(b, st);
    }
    exec(db, "COMMIT");
    double rate = report("bare loop, 64 a commit", b->total, from);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return rate;
}

/* ---- the driver --------------------------------------------------------- */

static void run_group(struct bench *b)
{
    must(commit_group_run(&store_sqlite, b->store, &b->group, b->now_ms) == 0,
         "group");
    for (struct list *it = list_pop(&b->group.finished); it != NULL;
         it = list_pop(&b->group.finished)) {
        must(CONTAINER_OF(it, struct store_op, link)->result == 0, "op");
    }
    must(store_sqlite.maintain(b->store, false) == 0, "maintain");
}

static double batches(struct bench *b)
{
    static struct event events[BATCH];
    static struct store_ingested results[BATCH];
    static char fingerprints[BATCH][17];
    struct span from = now();
    for (uint32_t n = 0; n < b->total; n += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            events[i] = make_event(b, fingerprints[i]);
        }
        struct store_op op = {
            .kind = STORE_INGEST,
            .ingest = {.events = events, .count = BATCH, .results = results},
        };
        list_push(&b->group.ops, &op.link);
        run_group(b);
    }
    return report("ingest, batches of 100", b->total, from);
}

static void singles(struct bench *b)
{
    static struct event events[STORE_GROUP_MAX];
    static struct store_ingested results[STORE_GROUP_MAX];
    static struct store_op ops[STORE_GROUP_MAX];
    static char fingerprints[STORE_GROUP_MAX][17];
    struct span from = now();
    for (uint32_t n = 0; n < b->total; n += STORE_GROUP_MAX) {
        for (uint32_t i = 0; i < STORE_GROUP_MAX; i++) {
            events[i] = make_event(b, fingerprints[i]);
            ops[i] = (struct store_op){
                .kind = STORE_INGEST,
                .ingest = {.events = &events[i],
                           .count = 1,
                           .results = &results[i]},
            };
            list_push(&b->group.ops, &ops[i].link);
        }
        run_group(b);
    }
    (void)report("ingest, 64 single events", b->total, from);
}

static uint32_t claim(struct bench *b, struct store_op *op)
{
    arena_reset(&b->arena);
    *op = (struct store_op){
        .kind = STORE_CLAIM,
        .claim = {.limit = BATCH, .max_attempts = 3, .arena = &b->arena},
    };
    list_push(&b->group.ops, &op->link);
    run_group(b);
    return list_empty(&b->group.claims) ? op->claim.count : 0;
}

static void done(struct bench *b, const struct store_claim *c)
{
    static struct record records[BATCH];
    for (uint32_t i = 0; i < c->count; i++) {
        records[i] = (struct record){
            .kind = RECORD_EVENT_DONE,
            .event_done = {.seq = c->events[i].seq,
                           .event_id = c->events[i].id,
                           .claim = c->claim,
                           .status = EVENT_PROCESSED,
                           .at_ms = b->now_ms},
        };
    }
    struct store_op op = {
        .kind = STORE_APPLY,
        .apply = {.records = records, .count = c->count},
    };
    list_push(&b->group.ops, &op.link);
    run_group(b);
}

static void drain(struct bench *b)
{
    uint32_t total = 0;
    double claiming = 0;
    double finishing = 0;
    double wall = 0;
    double bytes = 0;
    for (;;) {
        struct store_op op;
        struct span from = now();
        uint32_t n = claim(b, &op);
        struct span between = now();
        if (n == 0) {
            break;
        }
        done(b, &op.claim);
        struct span to = now();
        total += n;
        claiming += between.cpu_s - from.cpu_s;
        finishing += to.cpu_s - between.cpu_s;
        wall += to.wall_s - from.wall_s;
        bytes += to.written_bytes - from.written_bytes;
    }
    (void)printf("%-28s %9.0f events/s %7.2f us CPU to claim, %.2f us to "
                 "mark done, %.0f bytes\n",
                 "claim 100, mark done", total / wall, claiming * 1e6 / total,
                 finishing * 1e6 / total, bytes / total);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        (void)fprintf(stderr, "Usage: store_bench DIRECTORY [EVENTS]\n");
        return 2;
    }
    uint64_t total = 200000;
    if (argc == 3 && str_to_u64(str_c(argv[2]), 1000, 10000000, &total) < 0) {
        (void)fprintf(stderr, "store_bench: EVENTS: 1000 to 10000000\n");
        return 2;
    }
    struct bench b = {.now_ms = T0_MS, .total = (uint32_t)total};
    commit_group_init(&b.group);
    prng_seed(&b.prng, 1);
    double bare = bare_loop(&b, argv[1]);
    struct store_options options = {.directory = str_c(argv[1]),
                                    .queue_limit = UINT32_MAX,
                                    .session = {{1}},
                                    .now_ms = T0_MS};
    struct store_opened opened;
    struct err err = ERR_INIT;
    if (store_sqlite.open(&options, &b.store, &opened, &err) < 0) {
        (void)fprintf(stderr, "store_bench: %s\n", err.message);
        return 1;
    }
    double ours = batches(&b);
    singles(&b);
    drain(&b);
    (void)printf("batches of 100 against the bare loop: %.2f\n", ours / bare);
    store_sqlite.close(b.store);
    arena_deinit(&b.arena);
    return 0;
}
