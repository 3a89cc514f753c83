/*
 * Fills a store with events for a back-test, then reads the rows of all of
 * them in a bare loop: rows per second, the best of several rounds.
 *
 *   backtest_bench DIRECTORY EVENTS
 *
 * DIRECTORY must be empty; it is left with the store. One event comes every 10
 * seconds; of ten, one is an alert "HighCPU" of one of 1,000 instances.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "model/event_json.h"
#include "store/committer.h"

#define BATCH 100
#define ROUNDS 3
#define STEP_MS 10000

static void must(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "backtest_bench: %s failed\n", what);
        exit(1);
    }
}

static void make_event(struct arena *a, uint64_t i, uint64_t at_ms,
                       struct event *ret)
{
    char text[512];
    int n = snprintf(
        text, sizeof(text),
        "{\"type\":\"alert\",\"severity\":\"warning\",\"source\":\"prometheus\""
        ",\"labels\":{\"alertname\":\"%s\",\"instance\":\"server-%03llu:9100\","
        "\"job\":\"node\"},\"annotations\":{\"summary\":\"CPU usage is above "
        "ninety percent here\"},\"fingerprint\":\"%llu\"}",
        i % 10 == 0 ? "HighCPU" : "Other",
        (unsigned long long)(i * 7919 % 1000), (unsigned long long)i);
    must(event_from_text(arena_str(a, str_n(text, (size_t)n)), a, ret) == 0,
         "an event");
    ret->received_ms = at_ms;
    ret->id = id_make(at_ms, (const uint8_t[10]){0});
    for (int b = 0; b < 8; b++) {
        ret->id.bytes[15 - b] = (uint8_t)(i >> (8 * b));
    }
}

static void run_op(struct store *store, struct store_op *op, uint64_t now_ms)
{
    struct commit_group group;
    commit_group_init(&group);
    list_push(&group.ops, &op->link);
    must(commit_group_run(&store_sqlite, store, &group, now_ms) == 0, "group");
    must(op->result == 0, "an operation");
}

/* Accepted, claimed and marked as processed, as in an engine's life. */
static void fill(struct store *store, uint64_t total, uint64_t from_ms)
{
    static struct event events[BATCH];
    static struct store_ingested results[BATCH];
    static struct record records[BATCH];
    struct arena a = ARENA_INIT;
    for (uint64_t n = 0; n < total; n += BATCH) {
        uint64_t now_ms = from_ms + (n + BATCH) * STEP_MS;
        arena_reset(&a);
        for (uint64_t i = 0; i < BATCH; i++) {
            make_event(&a, n + i, from_ms + (n + i) * STEP_MS, &events[i]);
        }
        struct store_op ingest = {
            .kind = STORE_INGEST,
            .ingest = {.events = events, .count = BATCH, .results = results}};
        run_op(store, &ingest, now_ms);
        struct store_op claim = {
            .kind = STORE_CLAIM,
            .claim = {.limit = BATCH, .max_attempts = 3, .arena = &a}};
        run_op(store, &claim, now_ms);
        for (uint32_t i = 0; i < claim.claim.count; i++) {
            records[i] = (struct record){
                .kind = RECORD_EVENT_DONE,
                .event_done = {.seq = claim.claim.events[i].seq,
                               .event_id = claim.claim.events[i].id,
                               .claim = claim.claim.claim,
                               .status = EVENT_PROCESSED,
                               .at_ms = now_ms}};
        }
        struct store_op done = {
            .kind = STORE_APPLY,
            .apply = {.records = records, .count = claim.claim.count}};
        run_op(store, &done, now_ms);
        must(store_sqlite.maintain(store, false) == 0, "maintain");
    }
    arena_deinit(&a);
}

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double read_rows(const char *directory, uint64_t total)
{
    char path[512];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    uint64_t rows = 0;
    uint64_t bytes = 0;
    double from = now_s();
    (void)snprintf(path, sizeof(path), "%s/engine.db", directory);
    must(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK,
         "open");
    must(sqlite3_prepare_v2(db,
                            "SELECT id, received_ms, type, severity, source,"
                            " labels, body FROM event ORDER BY seq",
                            -1, &st, NULL) == SQLITE_OK,
         "prepare");
    while (sqlite3_step(st) == SQLITE_ROW) {
        rows++;
        for (int i = 0; i < 7; i++) {
            bytes += (uint64_t)sqlite3_column_bytes(st, i);
        }
    }
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    must(rows == total && bytes > rows, "reading");
    return (double)rows / (now_s() - from);
}

int main(int argc, char **argv)
{
    uint64_t total = 0;
    if (argc != 3 || str_to_u64(str_c(argv[2]), BATCH, 100000000, &total) < 0 ||
        total % BATCH != 0) {
        (void)fprintf(stderr, "Usage: backtest_bench DIRECTORY EVENTS\n");
        return 2;
    }
    uint64_t now_ms = (uint64_t)time(NULL) * 1000;
    struct store_options options = {.directory = str_c(argv[1]),
                                    .queue_limit = UINT32_MAX,
                                    .session = {{1}},
                                    .now_ms = now_ms};
    struct store *store = NULL;
    struct store_opened opened;
    struct err err = ERR_INIT;
    if (store_sqlite.open(&options, &store, &opened, &err) < 0) {
        (void)fprintf(stderr, "backtest_bench: %s\n", err.message);
        return 1;
    }
    fill(store, total, now_ms - total * STEP_MS);
    store_sqlite.close(store);
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double rate = read_rows(argv[1], total);
        best = rate > best ? rate : best;
    }
    (void)printf("%.0f\n", best);
    return 0;
}
