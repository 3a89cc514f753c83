/*
 * A state folder with a store in it, a folder of runbooks, and a folder for
 * backups, below one temporary folder.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/backup.h"
#include "base/mem.h"
#include "base/prng.h"
#include "os/fd.h"
#include "os/remove.h"
#include "store/committer.h"

#define T0_MS 1800000000000ULL

struct lab {
    char root[64];
    char state[96];
    char backups[96];
    char runbooks[96];
    char archive[96];
    struct arena arena;
    struct prng prng;
    struct store *store; /* NULL: nobody has it open */
    struct backup_info info;
    struct err err;
};

static inline void lab_write(const struct lab *l, const char *name,
                             const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", l->root, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(os_write_all(fd, str_c(text)), 0);
    (void)close(fd);
}

static inline bool lab_has(const struct lab *l, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", l->root, name);
    return access(path, F_OK) == 0;
}

static inline void lab_open(struct lab *l)
{
    struct store_options options = {.directory = str_c(l->state),
                                    .queue_limit = 100000,
                                    .now_ms = T0_MS,
                                    .ballast_bytes = 4096};
    struct store_opened opened;
    options.session.bytes[0] = (uint8_t)prng_below(&l->prng, 256);
    options.session.bytes[1] = (uint8_t)prng_below(&l->prng, 256);
    options.session.bytes[2] = (uint8_t)prng_below(&l->prng, 256);
    l->err = ERR_INIT;
    if (store_sqlite.open(&options, &l->store, &opened, &l->err) < 0) {
        fail_msg("%s", l->err.message);
    }
}

static inline void lab_close(struct lab *l)
{
    if (l->store != NULL) {
        store_sqlite.close(l->store);
        l->store = NULL;
    }
}

/* Ingests n events. */
static inline void lab_fill(struct lab *l, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct event e = {.received_ms = T0_MS,
                          .type = STR("alert"),
                          .body = STR("{}"),
                          .priority = EVENT_PRIORITY_DEFAULT};
        struct store_ingested result;
        struct store_op op = {
            .kind = STORE_INGEST,
            .ingest = {.events = &e, .count = 1, .results = &result}};
        for (size_t b = 0; b < sizeof(e.id.bytes); b++) {
            e.id.bytes[b] = (uint8_t)prng_below(&l->prng, 256);
        }
        assert_int_equal(store_sqlite.begin(l->store), 0);
        assert_int_equal(store_sqlite.run(l->store, &op, T0_MS), 0);
        assert_int_equal(store_sqlite.commit(l->store), 0);
    }
}

static inline struct store_counts lab_counts(struct lab *l)
{
    struct reader *r = NULL;
    struct store_counts counts;
    assert_int_equal(store_sqlite.reader_open(l->store, &r, &l->err), 0);
    assert_int_equal(r->ops->counts(r, &counts), 0);
    r->ops->close(r);
    return counts;
}

static inline int lab_setup(void **state)
{
    struct lab *l = MEM_NEW(struct lab);
    (void)snprintf(l->root, sizeof(l->root), "/tmp/adp-backup-XXXXXX");
    assert_non_null(mkdtemp(l->root));
    (void)snprintf(l->state, sizeof(l->state), "%s/state", l->root);
    (void)snprintf(l->backups, sizeof(l->backups), "%s/backups", l->root);
    (void)snprintf(l->runbooks, sizeof(l->runbooks), "%s/runbooks", l->root);
    (void)snprintf(l->archive, sizeof(l->archive), "%s/archive", l->root);
    assert_int_equal(mkdir(l->runbooks, 0700), 0);
    arena_init(&l->arena);
    prng_seed(&l->prng, 1);
    lab_open(l);
    lab_fill(l, 50);
    *state = l;
    return 0;
}

static inline int lab_teardown(void **state)
{
    struct lab *l = *state;
    lab_close(l);
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(os_remove_tree(tmp, l->root + strlen("/tmp/")), 0);
    (void)close(tmp);
    arena_deinit(&l->arena);
    mem_free(l);
    return 0;
}

/* Makes a backup at T0 + after_ms; its name. */
static inline int lab_try_make(struct lab *l, uint64_t after_ms)
{
    const struct backup_make_options options = {
        .directory = l->backups,
        .state_directory = l->state,
        .repository = l->runbooks,
        .archive = l->archive,
        .config = STR("server: {}\n"),
        .now_ms = T0_MS + after_ms,
    };
    l->err = ERR_INIT;
    return backup_make(&options, &l->arena, &l->info, &l->err);
}

static inline const char *lab_make(struct lab *l, uint64_t after_ms)
{
    if (lab_try_make(l, after_ms) < 0) {
        fail_msg("%s", l->err.message);
    }
    return arena_strdup(&l->arena, l->info.name);
}

static inline int lab_verify(struct lab *l, const char *name)
{
    l->err = ERR_INIT;
    return backup_verify(l->backups, name, &l->arena, &l->info, &l->err);
}

static inline int lab_restore(struct lab *l, const char *name,
                              struct str *ret_aside)
{
    const struct backup_restore_options options = {
        .directory = l->backups,
        .name = name,
        .state_directory = l->state,
        .now_ms = T0_MS + 3600000,
        .why = STR("by a test"),
    };
    l->err = ERR_INIT;
    return backup_restore(&options, &l->arena, ret_aside, &l->err);
}

#define LAB(name)                                                              \
    {                                                                          \
#name, name, lab_setup, lab_teardown, NULL                             \
    }
