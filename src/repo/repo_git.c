#include "repo/repo_priv.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/strbuf.h"
#include "os/beneath.h"
#include "os/fd.h"

/* Only what names the commit is read, by the same rules as every other file
 * of the repository: no git program runs here, so nothing that a repository
 * can configure (hooks, filters, fsmonitor) is ever executed. */

#define HEAD_MAX_BYTES 1024
#define PACKED_REFS_MAX_BYTES (4 * 1024 * 1024)

static int read_git_file(int folder_fd, const char *path, struct strbuf *out)
{
    CLEANUP(os_closep) int fd = -1;
    int r =
        os_open_beneath(folder_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd);
    return r < 0 ? r : os_read_all(fd, out);
}

static struct str first_line(struct str text)
{
    ptrdiff_t end = str_find(text, '\n');
    return str_trim(str_slice(text, 0, end < 0 ? text.len : (size_t)end));
}

/* SHA-1 or SHA-256 in hexadecimal. */
static bool is_commit(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return false;
        }
    }
    return s.len == 40 || s.len == 64;
}

static bool is_ref(struct str s)
{
    return str_starts(s, STR("refs/")) && s.len <= REPO_PATH_MAX_BYTES &&
           str_find(s, '\0') < 0;
}

static struct str loose_ref(int folder_fd, struct str ref, struct arena *a)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(HEAD_MAX_BYTES);
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(HEAD_MAX_BYTES);
    strbuf_addc(&path, ".git/");
    strbuf_add(&path, ref);
    if (read_git_file(folder_fd, strbuf_str(&path).at, &text) < 0) {
        return STR("");
    }
    struct str commit = first_line(strbuf_str(&text));
    return is_commit(commit) ? arena_str(a, commit) : STR("");
}

/* Lines "COMMIT REF"; those that begin with # or ^ are about other things. */
static struct str packed_ref(int folder_fd, struct str ref, struct arena *a)
{
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(PACKED_REFS_MAX_BYTES);
    if (read_git_file(folder_fd, ".git/packed-refs", &text) < 0) {
        return STR("");
    }
    struct str rest = strbuf_str(&text);
    while (rest.len != 0) {
        struct str line = first_line(rest);
        ptrdiff_t end = str_find(rest, '\n');
        ptrdiff_t gap = str_find(line, ' ');
        if (gap > 0 &&
            str_eq(str_slice(line, (size_t)gap + 1, line.len), ref)) {
            struct str commit = str_slice(line, 0, (size_t)gap);
            return is_commit(commit) ? arena_str(a, commit) : STR("");
        }
        rest = str_slice(rest, end < 0 ? rest.len : (size_t)end + 1, rest.len);
    }
    return STR("");
}

struct str repo_git_commit(int folder_fd, struct arena *a)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(HEAD_MAX_BYTES);
    if (read_git_file(folder_fd, ".git/HEAD", &text) < 0) {
        return STR("");
    }
    struct str head = first_line(strbuf_str(&text));
    if (!str_starts(head, STR("ref: "))) {
        return is_commit(head) ? arena_str(a, head) : STR("");
    }
    struct str ref = str_trim(str_slice(head, 5, head.len));
    if (!is_ref(ref)) {
        return STR("");
    }
    struct str commit = loose_ref(folder_fd, ref, a);
    return commit.len != 0 ? commit : packed_ref(folder_fd, ref, a);
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec
                                  : a->tv_nsec > b->tv_nsec;
}

/* git writes its index whenever it adds, commits or checks out files: what is
 * younger has not been seen by it. */
static bool is_dirty(int folder_fd, const struct listing *list)
{
    CLEANUP(os_closep) int index = -1;
    struct stat git;
    if (os_open_beneath(folder_fd, ".git/index",
                        O_RDONLY | O_NONBLOCK | O_NOCTTY, &index) < 0 ||
        fstat(index, &git) < 0) {
        return false;
    }
    VEC_EACH (&list->files, i) {
        struct stat st;
        if (fstatat(folder_fd, list->files.at[i].path.at, &st,
                    AT_SYMLINK_NOFOLLOW) == 0 &&
            is_later(&st.st_mtim, &git.st_mtim)) {
            return true;
        }
    }
    return false;
}

struct str repo_git_describe(int folder_fd, const struct listing *list,
                             struct arena *a)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(HEAD_MAX_BYTES);
    struct str commit = repo_git_commit(folder_fd, a);
    if (commit.len == 0 || !is_dirty(folder_fd, list)) {
        return commit;
    }
    strbuf_add(&text, commit);
    strbuf_addc(&text, "-dirty");
    return arena_str(a, strbuf_str(&text));
}
