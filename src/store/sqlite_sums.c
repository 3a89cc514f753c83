#include "store/sqlite_sums.h"

#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define VFS_NAME "adp-sums"
#define HEADER_BYTES 100
#define RESERVED_AT 20 /* in the header: reserved bytes of each page */
#define PAGE_MIN_BYTES 512
#define PENDING_BYTE 0x40000000 /* its page is never used: the lock's place */
#define LANES 4

/* Odd, and with many bits: those of the golden ratio and of pi. */
#define FACTOR UINT64_C(0x9E3779B97F4A7C15)
#define SEED UINT64_C(0x243F6A8885A308D3)

struct sums_file {
    sqlite3_file base;
    sqlite3_file *real; /* in the memory behind this struct */
    bool is_main;
    bool has_sums;
    char *copy; /* of the page that is written, with its checksum */
    size_t copy_bytes;
};

static struct {
    pthread_mutex_t lock;
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
} layer = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the checksum ------------------------------------------------------- */

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

/* Both steps can be undone, so a word that differs makes a difference. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    return rotate(hash ^ word, 29) * FACTOR;
}

/* Several lanes, because each step has to wait for the one before it. */
uint64_t sqlite_sum(const void *page, size_t bytes, uint64_t number)
{
    ASSERT(bytes % sizeof(uint64_t) == 0);
    const char *at = page;
    uint64_t lanes[LANES];
    for (size_t i = 0; i < LANES; i++) {
        lanes[i] = mix(SEED + i, number);
    }
    size_t words = bytes / sizeof(uint64_t);
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, at + i * sizeof(word), sizeof(word));
        lanes[i % LANES] = mix(lanes[i % LANES], word);
    }
    uint64_t sum = SEED;
    for (size_t i = 0; i < LANES; i++) {
        sum = mix(sum, lanes[i]);
    }
    return sum;
}

/* ---- files -------------------------------------------------------------- */

static struct sums_file *file_of(sqlite3_file *file)
{
    return CONTAINER_OF(file, struct sums_file, base);
}

static bool is_page(int len, sqlite3_int64 offset)
{
    return len >= PAGE_MIN_BYTES && (len & (len - 1)) == 0 && offset % len == 0;
}

static uint64_t sum_of(const void *page, int len, sqlite3_int64 offset)
{
    uint64_t number = (uint64_t)offset / (uint64_t)len + 1;
    return sqlite_sum(page, (size_t)len - SQLITE_SUM_BYTES, number);
}

static void note_header(struct sums_file *f, const void *buf, int len,
                        sqlite3_int64 offset)
{
    if (f->is_main && offset == 0 && len >= HEADER_BYTES &&
        memcmp(buf, "SQLite format 3", 16) == 0) {
        f->has_sums = ((const char *)buf)[RESERVED_AT] == SQLITE_SUM_BYTES;
    }
}

static int file_close(sqlite3_file *file)
{
    struct sums_file *f = file_of(file);
    mem_free(f->copy);
    f->copy = NULL;
    return f->real->pMethods->xClose(f->real);
}

static int file_read(sqlite3_file *file, void *buf, int len,
                     sqlite3_int64 offset)
{
    struct sums_file *f = file_of(file);
    int rc = f->real->pMethods->xRead(f->real, buf, len, offset);
    if (rc != SQLITE_OK) {
        return rc;
    }
    note_header(f, buf, len, offset);
    if (f->has_sums && is_page(len, offset)) {
        uint64_t stored;
        memcpy(&stored, (const char *)buf + len - sizeof(stored),
               sizeof(stored));
        if (stored != sum_of(buf, len, offset)) {
            return SQLITE_IOERR_DATA;
        }
    }
    return SQLITE_OK;
}

/* The library's own page stays as it is: the log has a checksum of that. */
static int file_write(sqlite3_file *file, const void *buf, int len,
                      sqlite3_int64 offset)
{
    struct sums_file *f = file_of(file);
    note_header(f, buf, len, offset);
    if (!f->has_sums || !is_page(len, offset)) {
        return f->real->pMethods->xWrite(f->real, buf, len, offset);
    }
    if (f->copy_bytes != (size_t)len) {
        mem_free(f->copy);
        f->copy = mem_alloc((size_t)len, 1);
        f->copy_bytes = (size_t)len;
    }
    uint64_t sum = sum_of(buf, len, offset);
    memcpy(f->copy, buf, (size_t)len);
    memcpy(f->copy + len - sizeof(sum), &sum, sizeof(sum));
    return f->real->pMethods->xWrite(f->real, f->copy, len, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xTruncate(real, size);
}

static int file_sync(sqlite3_file *file, int flags)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xSync(real, flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xFileSize(real, ret);
}

static int file_lock(sqlite3_file *file, int level)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xLock(real, level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xUnlock(real, level);
}

static int file_check_lock(sqlite3_file *file, int *ret)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xCheckReservedLock(real, ret);
}

static int file_control(sqlite3_file *file, int what, void *arg)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xFileControl(real, what, arg);
}

static int file_sector(sqlite3_file *file)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xSectorSize(real);
}

static int file_characteristics(sqlite3_file *file)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xDeviceCharacteristics(real);
}

static int file_shm_map(sqlite3_file *file, int region, int bytes, int extend,
                        void volatile **ret)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xShmMap(real, region, bytes, extend, ret);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xShmLock(real, offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    sqlite3_file *real = file_of(file)->real;
    real->pMethods->xShmBarrier(real);
}

static int file_shm_unmap(sqlite3_file *file, int remove)
{
    sqlite3_file *real = file_of(file)->real;
    return real->pMethods->xShmUnmap(real, remove);
}

/* Version 2: shared memory, but no memory-mapped pages, which would be read
 * behind our back. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- the layer ---------------------------------------------------------- */

/* A file that exists tells by its header whether it has checksums. */
static void look_at_header(struct sums_file *f)
{
    char header[HEADER_BYTES];
    if (f->real->pMethods->xRead(f->real, header, sizeof(header), 0) ==
        SQLITE_OK) {
        note_header(f, header, sizeof(header), 0);
    }
}

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file,
                    int flags, int *ret_flags)
{
    (void)vfs;
    struct sums_file *f = file_of(file);
    *f = (struct sums_file){.real = (sqlite3_file *)(void *)(f + 1)};
    int rc = layer.real->xOpen(layer.real, name, f->real, flags, ret_flags);
    if (f->real->pMethods == NULL) {
        return rc;
    }
    file->pMethods = &methods;
    f->is_main = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    if (rc == SQLITE_OK && f->is_main) {
        look_at_header(f);
    }
    return rc;
}

static void stack_up(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    ASSERT(real != NULL && real != &layer.vfs);
    if (layer.real == real) {
        return;
    }
    /* All else is the business of the VFS below, which finds its own data by
     * the pointer that it is called with: pAppData is copied. */
    layer.real = real;
    layer.vfs = *real;
    layer.vfs.pNext = NULL;
    layer.vfs.zName = VFS_NAME;
    layer.vfs.szOsFile = (int)sizeof(struct sums_file) + real->szOsFile;
    layer.vfs.xOpen = vfs_open;
    int rc = sqlite3_vfs_register(&layer.vfs, 0);
    ASSERT(rc == SQLITE_OK);
}

const char *sqlite_sums_vfs(void)
{
    ASSERT(pthread_mutex_lock(&layer.lock) == 0);
    stack_up();
    ASSERT(pthread_mutex_unlock(&layer.lock) == 0);
    return VFS_NAME;
}

int sqlite_sums_reserve(sqlite3 *db)
{
    int bytes = SQLITE_SUM_BYTES;
    return sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
}

/* The file below the connection if it has checksums, or NULL. */
static struct sums_file *with_sums(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    return rc == SQLITE_OK && file != NULL && file->pMethods == &methods &&
                   file_of(file)->has_sums
               ? file_of(file)
               : NULL;
}

bool sqlite_sums_used(sqlite3 *db)
{
    return with_sums(db) != NULL;
}

int sqlite_sums_scan(sqlite3 *db, uint64_t *ret_page)
{
    struct sums_file *f = with_sums(db);
    ASSERT(f != NULL);
    char *page = mem_alloc(SQLITE_PAGE_BYTES, 1);
    sqlite3_int64 size = 0;
    int rc = file_size(&f->base, &size);
    *ret_page = 0;
    for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size;
         at += SQLITE_PAGE_BYTES) {
        *ret_page = (uint64_t)(at / SQLITE_PAGE_BYTES) + 1;
        if (at != PENDING_BYTE) {
            rc = file_read(&f->base, page, SQLITE_PAGE_BYTES, at);
        }
    }
    mem_free(page);
    return rc;
}
