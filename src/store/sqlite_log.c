/* The format is the library's (fileformat2, "The Write-Ahead Log"): a header
 * of 32 bytes, then frames of 24 bytes and a page. Numbers are big-endian; the
 * words that are summed are in the order that the magic number says. */
#include "store/sqlite_log.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/fd.h"
#include "store/sqlite_sums.h"

#define MAGIC 0x377f0682U /* or one more: sums of big-endian words */
#define VERSION 3007000U
#define HEADER_BYTES 32
#define FRAME_BYTES 24
#define PAGE_MIN_BYTES 512U
#define PAGE_MAX_BYTES 65536U

struct sums {
    uint32_t a;
    uint32_t b;
};

struct log {
    int fd;
    bool big_endian;
    size_t page_bytes;
    uint64_t frames; /* whole ones, of any age */
    uint8_t salts[8];
    struct sums sums; /* of the header */
    uint8_t *frame;   /* FRAME_BYTES and a page */
};

static uint32_t number(const uint8_t *at)
{
    uint32_t n;
    memcpy(&n, at, sizeof(n));
    return be32toh(n);
}

static struct sums add(struct sums s, bool big_endian, const uint8_t *at,
                       size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        uint32_t word[2];
        memcpy(word, at + i, sizeof(word));
        s.a += (big_endian ? be32toh(word[0]) : le32toh(word[0])) + s.b;
        s.b += (big_endian ? be32toh(word[1]) : le32toh(word[1])) + s.a;
    }
    return s;
}

static struct sums stored(const uint8_t *at)
{
    return (struct sums){number(at), number(at + 4)};
}

static bool same(struct sums x, struct sums y)
{
    return x.a == y.a && x.b == y.b;
}

static int read_at(int fd, uint8_t *to, size_t bytes, uint64_t at)
{
    while (bytes > 0) {
        ssize_t n = pread(fd, to, bytes, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        to += n;
        at += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* Is it a header as the library writes it? */
static bool take_header(struct log *l, const uint8_t h[HEADER_BYTES])
{
    uint32_t magic = number(h);
    uint32_t page = number(h + 8);
    l->big_endian = (magic & 1) != 0;
    l->page_bytes = page;
    memcpy(l->salts, h + 16, sizeof(l->salts));
    l->sums = stored(h + 24);
    return (magic & ~1U) == MAGIC && number(h + 4) == VERSION &&
           page >= PAGE_MIN_BYTES && page <= PAGE_MAX_BYTES &&
           (page & (page - 1)) == 0 &&
           same(l->sums, add((struct sums){0, 0}, l->big_endian, h, 24));
}

static int read_frame(struct log *l, uint64_t i)
{
    size_t bytes = FRAME_BYTES + l->page_bytes;
    return read_at(l->fd, l->frame, bytes, HEADER_BYTES + i * bytes);
}

static bool is_ours(const struct log *l)
{
    return memcmp(l->frame + 8, l->salts, sizeof(l->salts)) == 0 &&
           number(l->frame) != 0;
}

/* Was it written behind the frame with these sums, and not changed since? */
static bool follows(const struct log *l, struct sums before)
{
    struct sums s = add(before, l->big_endian, l->frame, 8);
    s = add(s, l->big_endian, l->frame + FRAME_BYTES, l->page_bytes);
    return same(s, stored(l->frame + 16));
}

/* What a frame says of itself: its page, and the size of the database when it
 * is the last one of a commit, or 0. */
struct head {
    uint32_t page;
    uint32_t size;
};

static struct head head_of(const struct log *l)
{
    return (struct head){number(l->frame), number(l->frame + 4)};
}

/* The last frame of a commit may stand there several times, so that it ends
 * with a sector of the disk. */
static bool repeats(struct head last, struct head next)
{
    return last.size != 0 && last.page == next.page && last.size == next.size;
}

/* The first frame that is not good, or the number of frames. Of those that
 * repeat another the last one is synced in part only, so nothing is said of
 * them: *ret_spare. */
static int find_end(struct log *l, uint64_t *ret, bool *ret_spare)
{
    struct sums before = l->sums;
    struct head last = {0, 0};
    *ret_spare = false;
    for (*ret = 0; *ret < l->frames; ++*ret) {
        int r = read_frame(l, *ret);
        if (r < 0 || !is_ours(l) || !follows(l, before)) {
            *ret_spare = r == 0 && repeats(last, head_of(l));
            return r;
        }
        before = stored(l->frame + 16);
        last = head_of(l);
    }
    return 0;
}

/* From that frame on: a commit, and what was written after it. 1, 0. */
static int was_more(struct log *l, uint64_t first)
{
    struct head last = {0, 0};
    struct sums before = {0, 0};
    for (uint64_t i = first; i < l->frames; i++) {
        int r = read_frame(l, i);
        if (r < 0) {
            return r;
        }
        bool ours = is_ours(l);
        if (last.size != 0 && ours && follows(l, before) &&
            !repeats(last, head_of(l))) {
            return 1;
        }
        last = ours ? head_of(l) : (struct head){0, 0};
        before = stored(l->frame + 16);
    }
    return 0;
}

static int check(struct log *l, const char *path, struct err *reterr)
{
    uint64_t end = 0;
    bool spare = false;
    int r = find_end(l, &end, &spare);
    r = r < 0 ? r : was_more(l, end + spare);
    return r <= 0 ? r
                  : err_set(reterr, -EBADMSG,
                            "%s is damaged: frame %llu has changed since it "
                            "was written",
                            path, (unsigned long long)end + 1);
}

/* ---- without a header ----------------------------------------------------
 * The library ignores such a log. That loses nothing when all of it has come
 * into the database before, as when a crash tears the header of a new round. */

/* Of the frames that follow the first one: the last commit, and how many pages
 * the database had then. */
static int find_commit(struct log *l, uint64_t *ret_frames, uint64_t *ret_pages)
{
    struct sums before = {0, 0};
    int r = 0;
    *ret_frames = 0;
    for (uint64_t i = 0; i < l->frames; i++) {
        r = read_frame(l, i);
        if (i == 0) {
            memcpy(l->salts, l->frame + 8, sizeof(l->salts));
        }
        if (r < 0 || !is_ours(l) || (i != 0 && !follows(l, before))) {
            break;
        }
        before = stored(l->frame + 16);
        if (number(l->frame + 4) != 0) {
            *ret_frames = i + 1;
            *ret_pages = number(l->frame + 4);
        }
    }
    return r;
}

/* Is what the frame says of its page what the database has? The checksum of
 * the page is only in the database. */
static bool is_in(struct log *l, int db, uint8_t *page)
{
    size_t bytes = l->page_bytes;
    uint64_t at = (uint64_t)(number(l->frame) - 1) * bytes;
    return read_at(db, page, bytes, at) == 0 &&
           memcmp(page, l->frame + FRAME_BYTES, bytes - SQLITE_SUM_BYTES) == 0;
}

static int compare(struct log *l, int db, uint64_t frames, uint64_t pages)
{
    CLEANUP(mem_freep) uint8_t *page = mem_alloc(l->page_bytes, 1);
    CLEANUP(mem_freep) uint8_t *seen = mem_alloc(pages / 8 + 1, 1);
    int r = 0;
    memset(seen, 0, pages / 8 + 1);
    for (uint64_t i = frames; i > 0 && r == 0; i--) { /* the last one counts */
        r = read_frame(l, i - 1);
        uint64_t no = number(l->frame);
        uint8_t bit = (uint8_t)(1U << no % 8);
        if (r < 0 || no > pages || (seen[no / 8] & bit) != 0) {
            continue;
        }
        seen[no / 8] |= bit;
        r = is_in(l, db, page) ? 0 : 1;
    }
    return r;
}

/* Does the log hold what the database does not? Both orders of its sums are
 * tried. 1, 0, or the error. */
static int holds_more(struct log *l, int db)
{
    uint64_t frames = 0;
    uint64_t pages = 0;
    int r = 0;
    for (int order = 0; order < 2 && r == 0 && frames < 2; order++) {
        l->big_endian = order == 1;
        r = find_commit(l, &frames, &pages);
    }
    return r < 0 || frames == 0 ? r : compare(l, db, frames, pages);
}

static int check_headless(struct log *l, const char *db_path, const char *path,
                          struct err *reterr)
{
    CLEANUP(os_closep)
    int db = open(db_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (db < 0) {
        return 0; /* then it is nobody's log */
    }
    int r = holds_more(l, db);
    return r <= 0 ? r
                  : err_set(reterr, -EBADMSG,
                            "%s is damaged: its header has changed since it "
                            "was written",
                            path);
}

/* ---- all together -------------------------------------------------------- */

static int check_open(struct log *l, const char *db_path, const char *path,
                      struct err *reterr)
{
    uint8_t header[HEADER_BYTES];
    struct stat st;
    int r = fstat(l->fd, &st) < 0 ? -errno : 0;
    if (r < 0 || st.st_size <= HEADER_BYTES) {
        return r;
    }
    r = read_at(l->fd, header, sizeof(header), 0);
    bool good = r == 0 && take_header(l, header);
    l->page_bytes = good ? l->page_bytes : SQLITE_PAGE_BYTES;
    l->frames =
        ((uint64_t)st.st_size - HEADER_BYTES) / (FRAME_BYTES + l->page_bytes);
    l->frame = mem_alloc(FRAME_BYTES + l->page_bytes, 1);
    if (r == 0) {
        r = good ? check(l, path, reterr)
                 : check_headless(l, db_path, path, reterr);
    }
    mem_free(l->frame);
    return r;
}

int sqlite_log_check(const char *db_path, struct err *reterr)
{
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(PATH_MAX * 2);
    CLEANUP(os_closep) int fd = -1;
    strbuf_addf(&path, "%s-wal", db_path);
    fd = open(path.at, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT
                   ? 0
                   : err_set(reterr, -EIO, "cannot open %s: %m", path.at);
    }
    struct log l = {.fd = fd};
    int r = check_open(&l, db_path, path.at, reterr);
    return r < 0 && r != -EBADMSG ? err_set(reterr, -EIO, "cannot read %s: %s",
                                            path.at, strerror(-r))
                                  : r;
}
