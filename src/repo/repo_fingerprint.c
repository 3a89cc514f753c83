#include <fcntl.h>
#include <sys/stat.h>

#include "os/fd.h"
#include "repo/repo_priv.h"

static uint64_t hash_u64(uint64_t value, uint64_t seed)
{
    return str_hash(str_n((const char *)&value, sizeof(value)), seed);
}

/* A file that vanishes meanwhile counts as it was listed: without marks. */
static uint64_t hash_file(int folder_fd, const struct found_file *f,
                          uint64_t hash)
{
    struct stat st = {0};
    hash = str_hash(f->path, hash);
    if (f->problem != NULL ||
        fstatat(folder_fd, f->path.at, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return hash_u64(f->problem != NULL, hash);
    }
    hash = hash_u64((uint64_t)st.st_ino, hash);
    hash = hash_u64((uint64_t)st.st_size, hash);
    hash = hash_u64((uint64_t)st.st_mtim.tv_sec, hash);
    hash = hash_u64((uint64_t)st.st_mtim.tv_nsec, hash);
    hash = hash_u64((uint64_t)st.st_ctim.tv_sec, hash);
    return hash_u64((uint64_t)st.st_ctim.tv_nsec, hash);
}

int repo_fingerprint(struct repo *r, uint64_t *ret, struct err *reterr)
{
    CLEANUP(os_closep) int fd = -1;
    int result = repo_open_folder(r, &fd, reterr);
    if (result < 0) {
        return result;
    }
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct listing listing = {0};
    result = repo_list(fd, &a, &listing, reterr);
    uint64_t hash = STR_HASH_SEED;
    VEC_EACH (&listing.files, i) {
        hash = hash_file(fd, &listing.files.at[i], hash);
    }
    hash = hash_u64(listing.lost.count, hash);
    hash = str_hash(repo_git_commit(fd, &a), hash); /* workflows record it */
    listing_deinit(&listing);
    if (result == 0) {
        *ret = hash;
    }
    return result;
}
