#include "tests/store/fault_vfs.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/vec.h"

#define SECTOR_BYTES 512

const char *const fault_names[FAULT_KINDS] = {
    [FAULT_NONE] = "no fault",          [FAULT_WRITE_IO] = "a failed write",
    [FAULT_WRITE_FULL] = "a full disk", [FAULT_SYNC_IO] = "a failed sync",
    [FAULT_TORN] = "a torn write",      [FAULT_POWER] = "a power cut",
};

struct fault_file {
    sqlite3_file base;
    char *path;
    sqlite3_file *real; /* in the memory behind this struct */
};

/* What was in a place before an unsynced write. */
struct unsynced {
    char *path;
    char *old;
    size_t len;
    sqlite3_int64 offset;
    bool kept; /* while the power cut is worked out */
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    enum fault_kind kind;
    uint64_t countdown;
    bool fired;
    bool dead;
    VEC(struct unsynced) log;
} shim;

/* ---- faults ------------------------------------------------------------- */

static void forget(size_t i)
{
    mem_free(shim.log.at[i].path);
    mem_free(shim.log.at[i].old);
    VEC_REMOVE(&shim.log, i);
}

static void forget_all(void)
{
    while (shim.log.count > 0) {
        forget(shim.log.count - 1);
    }
    VEC_DEINIT(&shim.log);
}

static bool counts(bool is_sync)
{
    switch (shim.kind) {
    case FAULT_WRITE_IO:
    case FAULT_WRITE_FULL:
    case FAULT_TORN:
        return !is_sync;
    case FAULT_SYNC_IO:
        return is_sync;
    case FAULT_POWER:
        return true;
    case FAULT_NONE:
    case FAULT_KINDS:
        break;
    }
    return false;
}

/* Is it this one's turn to fail? */
static bool hits(bool is_sync)
{
    if (shim.fired || !counts(is_sync) || --shim.countdown > 0) {
        return false;
    }
    shim.fired = true;
    shim.dead = shim.kind == FAULT_TORN || shim.kind == FAULT_POWER;
    return true;
}

static void remember(struct fault_file *f, size_t len, sqlite3_int64 offset)
{
    if (shim.kind != FAULT_POWER) {
        return;
    }
    struct unsynced u = {
        .path = str_dup(str_c(f->path)),
        .old = mem_alloc(len, 1),
        .len = len,
        .offset = offset,
    };
    /* Past the end it is zeroes, which a short read leaves. */
    (void)f->real->pMethods->xRead(f->real, u.old, (int)len, offset);
    VEC_PUSH(&shim.log, u);
}

static bool overlap(const struct unsynced *a, const struct unsynced *b)
{
    return strcmp(a->path, b->path) == 0 &&
           a->offset < b->offset + (sqlite3_int64)b->len &&
           b->offset < a->offset + (sqlite3_int64)a->len;
}

/* Puts the old content back, of a torn write only a part by sectors. */
static void lose(const struct unsynced *u, struct prng *p)
{
    size_t from = 0;
    size_t to = u->len;
    if (u->len > SECTOR_BYTES && prng_below(p, 4) == 0) {
        size_t cut = prng_below(p, u->len / SECTOR_BYTES) * SECTOR_BYTES;
        from = prng_below(p, 2) == 0 ? 0 : cut;
        to = from == 0 ? cut : u->len;
    }
    int fd = open(u->path, O_RDWR | O_CLOEXEC);
    ASSERT(fd >= 0);
    ASSERT(pwrite(fd, u->old + from, to - from, u->offset + (off_t)from) ==
           (ssize_t)(to - from));
    (void)close(fd);
}

/* Any write since the last sync may or may not be on the disk; but one that
 * another, kept one has been written over cannot come back. */
static void cut_power(struct prng *p)
{
    bool nothing_kept = prng_below(p, 4) == 0;
    for (size_t i = shim.log.count; i-- > 0;) {
        struct unsynced *u = &shim.log.at[i];
        u->kept = !nothing_kept && prng_below(p, 2) == 0;
        for (size_t k = i + 1; k < shim.log.count; k++) {
            u->kept =
                u->kept || (shim.log.at[k].kept && overlap(u, &shim.log.at[k]));
        }
        if (!u->kept) {
            lose(u, p);
        }
    }
}

/* ---- files -------------------------------------------------------------- */

static struct fault_file *file_of(sqlite3_file *f)
{
    return (struct fault_file *)f;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
    return file_of(f)->real;
}

static int f_close(sqlite3_file *f)
{
    int rc = real_of(f)->pMethods->xClose(real_of(f));
    mem_free(file_of(f)->path);
    return rc;
}

static int f_read(sqlite3_file *f, void *to, int n, sqlite3_int64 offset)
{
    return real_of(f)->pMethods->xRead(real_of(f), to, n, offset);
}

static int f_write(sqlite3_file *f, const void *from, int n,
                   sqlite3_int64 offset)
{
    const struct sqlite3_io_methods *real = real_of(f)->pMethods;
    if (shim.dead) {
        return SQLITE_IOERR_WRITE;
    }
    if (hits(false)) {
        if (shim.kind == FAULT_TORN) {
            (void)real->xWrite(real_of(f), from, n / 2, offset);
        }
        return shim.kind == FAULT_WRITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    remember(file_of(f), (size_t)n, offset);
    return real->xWrite(real_of(f), from, n, offset);
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    const struct sqlite3_io_methods *real = real_of(f)->pMethods;
    if (shim.dead || hits(false)) {
        return SQLITE_IOERR_TRUNCATE;
    }
    sqlite3_int64 old = 0;
    if (real->xFileSize(real_of(f), &old) == SQLITE_OK && old > size) {
        remember(file_of(f), (size_t)(old - size), size);
    }
    return real->xTruncate(real_of(f), size);
}

/* Nothing is really synced: nobody pulls the real plug during a test. */
static int f_sync(sqlite3_file *f, int flags)
{
    (void)flags;
    if (shim.dead || hits(true)) {
        return SQLITE_IOERR_FSYNC;
    }
    for (size_t i = shim.log.count; i-- > 0;) {
        if (strcmp(shim.log.at[i].path, file_of(f)->path) == 0) {
            forget(i);
        }
    }
    return SQLITE_OK;
}

static int f_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), ret);
}

static int f_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int f_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int f_reserved(sqlite3_file *f, int *ret)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}

static int f_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int f_sector(sqlite3_file *f)
{
    (void)f;
    return SECTOR_BYTES;
}

static int f_traits(sqlite3_file *f)
{
    (void)f;
    return 0; /* promises nothing */
}

static int f_shm_map(sqlite3_file *f, int page, int bytes, int extend,
                     void volatile **ret)
{
    return real_of(f)->pMethods->xShmMap(real_of(f), page, bytes, extend, ret);
}

static int f_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void f_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int f_shm_unmap(sqlite3_file *f, int delete)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), delete);
}

static const struct sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = f_close,
    .xRead = f_read,
    .xWrite = f_write,
    .xTruncate = f_truncate,
    .xSync = f_sync,
    .xFileSize = f_size,
    .xLock = f_lock,
    .xUnlock = f_unlock,
    .xCheckReservedLock = f_reserved,
    .xFileControl = f_control,
    .xSectorSize = f_sector,
    .xDeviceCharacteristics = f_traits,
    .xShmMap = f_shm_map,
    .xShmLock = f_shm_lock,
    .xShmBarrier = f_shm_barrier,
    .xShmUnmap = f_shm_unmap,
};

/* ---- the shim itself ---------------------------------------------------- */

static int v_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags,
                  int *ret_flags)
{
    (void)v;
    struct fault_file *ours = file_of(f);
    ours->real = (sqlite3_file *)(ours + 1);
    int rc = shim.real->xOpen(shim.real, name, ours->real, flags, ret_flags);
    if (ours->real->pMethods == NULL) {
        f->pMethods = NULL;
        return rc;
    }
    f->pMethods = &methods;
    ours->path = str_dup(str_c(name));
    return rc;
}

static int v_delete(sqlite3_vfs *v, const char *name, int sync)
{
    (void)v;
    (void)sync;
    return shim.dead ? SQLITE_IOERR_DELETE
                     : shim.real->xDelete(shim.real, name, 0);
}

void fault_vfs_install(void)
{
    shim.real = sqlite3_vfs_find(NULL);
    ASSERT(shim.real != NULL);
    shim.vfs = *shim.real;
    shim.vfs.zName = "faulty";
    shim.vfs.pNext = NULL;
    shim.vfs.szOsFile = (int)sizeof(struct fault_file) + shim.real->szOsFile;
    shim.vfs.xOpen = v_open;
    shim.vfs.xDelete = v_delete;
    ASSERT(sqlite3_vfs_register(&shim.vfs, 1) == SQLITE_OK);
}

void fault_vfs_arm(enum fault_kind kind, uint64_t nth)
{
    forget_all();
    shim.kind = kind;
    shim.countdown = nth;
    shim.fired = shim.dead = false;
}

bool fault_vfs_fired(void)
{
    return shim.fired;
}

void fault_vfs_die(void)
{
    shim.dead = true;
}

void fault_vfs_restore(struct prng *p)
{
    if (shim.kind == FAULT_POWER && shim.fired) {
        cut_power(p);
    }
    fault_vfs_arm(FAULT_NONE, 0);
}
