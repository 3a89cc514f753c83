/*
 * The baseline of the batch benchmark: insert COUNT rows like the engine's
 * events, 64 to a commit, in WAL mode with synchronous=FULL. Prints rows a
 * second.
 *
 *   bare_sqlite FILE COUNT
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS_PER_COMMIT 64

static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "PRAGMA wal_autocheckpoint=1000; PRAGMA secure_delete=OFF;"
    "CREATE TABLE event (seq INTEGER PRIMARY KEY, id BLOB UNIQUE,"
    " received_ms INTEGER, type TEXT, severity TEXT, source TEXT,"
    " status INTEGER, labels BLOB, body TEXT);";

static const char body[] =
    "{\"type\":\"metric\",\"severity\":\"warning\",\"source\":\"prometheus\","
    "\"metric_name\":\"cpu_usage_percent\",\"value\":95,\"labels\":{"
    "\"alertname\":\"HighCPU\",\"instance\":\"server-01:9100\",\"job\":"
    "\"node\",\"severity\":\"warning\",\"env\":\"production\"},"
    "\"annotations\":{\"summary\":\"CPU usage is above ninety percent "
    "here\"}}";
static const char labels[] =
    "alertname\0HighCPU\0env\0production\0instance\0server-01:9100\0job\0"
    "node\0severity\0warning";

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        (void)fprintf(stderr, "bare_sqlite: %s\n", message);
        exit(1);
    }
}

static void insert(sqlite3_stmt *st, long i)
{
    unsigned char id[16] = {0};
    for (int b = 0; b < 8; b++) {
        id[b] = (unsigned char)((unsigned long)i >> (56 - 8 * b));
    }
    (void)sqlite3_bind_blob(st, 1, id, sizeof(id), SQLITE_TRANSIENT);
    (void)sqlite3_bind_int64(st, 2, 1700000000000 + i);
    (void)sqlite3_bind_text(st, 3, "metric", -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 4, "warning", -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 5, "prometheus", -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(st, 6, labels, sizeof(labels), SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 7, body, sizeof(body) - 1, SQLITE_STATIC);
    if (sqlite3_step(st) != SQLITE_DONE || sqlite3_reset(st) != SQLITE_OK) {
        (void)fprintf(stderr, "bare_sqlite: insert failed\n");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "Usage: bare_sqlite FILE COUNT\n");
        return 2;
    }
    long count = strtol(argv[2], NULL, 10);
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    if (sqlite3_open(argv[1], &db) != SQLITE_OK) {
        (void)fprintf(stderr, "bare_sqlite: cannot open %s\n", argv[1]);
        return 1;
    }
    run(db, schema);
    if (sqlite3_prepare_v2(db,
                           "INSERT INTO event (id, received_ms, type, "
                           "severity, source, status, labels, body) VALUES "
                           "(?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)",
                           -1, &st, NULL) != SQLITE_OK) {
        return 1;
    }
    double start = now_s();
    for (long i = 0; i < count;) {
        run(db, "BEGIN IMMEDIATE");
        for (int n = 0; n < ROWS_PER_COMMIT && i < count; n++, i++) {
            insert(st, i);
        }
        run(db, "COMMIT");
    }
    (void)printf("%.0f\n", (double)count / (now_s() - start));
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return 0;
}
