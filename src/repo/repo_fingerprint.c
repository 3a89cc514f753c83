#include <fcntl.h>
#include <string.h>
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

/* Who could write there: the executor wants to know. Its time changes with
 * every file in it, and says nothing more. */
static uint64_t hash_folder(int folder_fd, const char *path, uint64_t hash)
{
    struct stat st = {0};
    if (fstatat(folder_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return hash;
    }
    return hash_u64(((uint64_t)st.st_uid << 32) | st.st_mode, hash);
}

/* The folders above a file that are not those above the file before it. */
static uint64_t hash_folders(int folder_fd, struct str path, struct str before,
                             uint64_t hash)
{
    char folder[REPO_PATH_MAX_BYTES + 1];
    for (size_t i = 0; i < path.len && i < sizeof(folder); i++) {
        bool shared = i < before.len && str_eq(str_slice(path, 0, i + 1),
                                               str_slice(before, 0, i + 1));
        if (path.at[i] == '/' && !shared) {
            memcpy(folder, path.at, i);
            folder[i] = '\0';
            hash = hash_folder(folder_fd, folder, hash);
        }
    }
    return hash;
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
    uint64_t hash = hash_folder(fd, ".", STR_HASH_SEED);
    struct str before = STR("");
    VEC_EACH (&listing.files, i) {
        struct str path = listing.files.at[i].path;
        hash = hash_folders(fd, path, before, hash);
        before = path;
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
