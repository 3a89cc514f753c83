/*
 * One store under test and short ways to use it. The conformance cases run
 * over every driver; each begins with an empty store and ends with a check of
 * the whole (store_driver.check).
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "store/committer.h"
#include "store/memory.h"
#include "store/reader.h"

#define T0_MS 1800000000000ULL

struct fixture {
    const struct store_driver *driver;
    struct store *store;
    struct reader *reader;
    char directory[64];
    struct store_options options;
    struct store_opened opened; /* by the last opening */
    uint64_t now_ms;
    struct arena arena; /* until the end of the test */
    struct commit_group group;
    struct prng prng;
    struct store_ingested results[STORE_BATCH_MAX]; /* of the last ingest */
};

/* cmocka set-up and tear-down; *state is the driver, then the fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* An empty folder for a test; and its end. */
void fixture_make_directory(char out[64]);
void fixture_remove_directory(const char *directory);

void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);

/* Another process opens the same rows: a new session. */
void fixture_restart(struct fixture *f);

/* Fails the test with what differs unless the store is consistent. */
void fixture_check(struct fixture *f);

/* Runs SQL on the database file, past the store, which is closed. */
void fixture_exec(struct fixture *f, const char *sql);

/* Closes the store and puts the first schema as it was released, with rows, in
 * its place: what this program says that schema is must never change. */
void fixture_load_version_1(struct fixture *f);

struct id fixture_id(struct fixture *f);

/* A plain event of this source; the caller changes what it wants. */
struct event fixture_event(struct fixture *f, const char *source);

/* A workflow row at rev 1, RUNNING, of no event. */
struct workflow_row fixture_workflow(struct fixture *f);

/* The intent to run the first attempt of step 0. */
/* SQL that takes away what versions after the ninth, the tenth... have added.
 */
#define FIXTURE_UNDO_AFTER_12                                                  \
    "DROP TABLE trigger_watch;"                                                \
    "ALTER TABLE workflow DROP COLUMN subject;"
#define FIXTURE_UNDO_AFTER_11                                                  \
    "ALTER TABLE event_span DROP COLUMN decision;" FIXTURE_UNDO_AFTER_12
#define FIXTURE_UNDO_AFTER_10                                                  \
    "ALTER TABLE attempt DROP COLUMN outputs;" FIXTURE_UNDO_AFTER_11
#define FIXTURE_UNDO_AFTER_9 "DROP TABLE trigger_memory;" FIXTURE_UNDO_AFTER_10

struct attempt_row fixture_attempt(struct fixture *f, struct id workflow_id);

/* Runs one operation as a group of its own; its result, -EAGAIN for a claim
 * that goes on waiting (it does not, here). */
int fixture_run(struct fixture *f, struct store_op *op);

int fixture_ingest(struct fixture *f, struct event *events, uint32_t count);

/* Ingests n events "0", "1"… at once, which must succeed. */
void fixture_fill(struct fixture *f, uint32_t n);

/* Claims; events live in f->arena. */
int fixture_claim(struct fixture *f, uint32_t limit, uint32_t max_attempts,
                  struct store_claim *ret);

int fixture_apply(struct fixture *f, const struct record *records,
                  uint32_t count);

/* One record each. */
int fixture_done(struct fixture *f, const struct store_claim *claim, uint32_t i,
                 enum event_status status);
int fixture_workflow_new(struct fixture *f, const struct workflow_row *w);
int fixture_workflow_set(struct fixture *f, const struct workflow_row *w);
int fixture_attempt_new(struct fixture *f, const struct attempt_row *t);
int fixture_attempt_set(struct fixture *f, const struct attempt_row *t);

struct store_counts fixture_counts(struct fixture *f);
struct event_view fixture_read(struct fixture *f, struct id id);

void assert_str(struct str is, const char *wanted);
void assert_id(struct id is, struct id wanted);

/* A conformance case, and the tables of them. */
struct conformance_case {
    const char *name;
    CMUnitTestFunction run;
};

extern const struct conformance_case event_cases[];
extern const size_t event_case_count;
extern const struct conformance_case workflow_cases[];
extern const size_t workflow_case_count;
extern const struct conformance_case reader_cases[];
extern const size_t reader_case_count;
extern const struct conformance_case committer_cases[];
extern const size_t committer_case_count;
extern const struct conformance_case change_cases[];
extern const size_t change_case_count;
extern const struct conformance_case notice_cases[];
extern const size_t notice_case_count;
extern const struct conformance_case memory_cases[];
extern const size_t memory_case_count;
extern const struct conformance_case watch_cases[];
extern const size_t watch_case_count;
extern const struct conformance_case drop_cases[];
extern const size_t drop_case_count;
