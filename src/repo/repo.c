#include "repo/repo_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/strbuf.h"
#include "os/beneath.h"
#include "os/fd.h"

int repo_open_folder(const struct repo *r, int *ret_fd, struct err *reterr)
{
    int fd = open(r->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        int errnum = -errno;
        switch (errno) {
        case ENOENT:
            err_hint(reterr, "create it, or set runbooks.repository");
            break;
        case EACCES:
            err_hint(reterr, "the service's user needs to read it");
            break;
        default:
            break;
        }
        return err_set(reterr, errnum,
                       "cannot open the runbook repository "
                       "%s: %s",
                       r->folder, strerror(-errnum));
    }
    *ret_fd = fd;
    return 0;
}

int repo_open(struct str folder, struct repo **ret, struct err *reterr)
{
    struct repo *r = MEM_NEW(struct repo);
    int fd = -1;
    r->folder = str_dup(folder);
    int rc = repo_open_folder(r, &fd, reterr);
    if (rc < 0) {
        repo_close(r);
        return rc;
    }
    os_close(fd);
    *ret = r;
    return 0;
}

void repo_close(struct repo *r)
{
    if (r != NULL) {
        mem_free(r->folder);
        mem_free(r);
    }
}

struct runbook_hash repo_hash(struct str text)
{
    return runbook_hash_of(text);
}

/* ---- paths -------------------------------------------------------------- */

static bool is_path_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static int check_segments(struct str path, struct err *reterr)
{
    bool at_start = true;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.at[i];
        if (at_start && (c == '.' || c == '/')) {
            return err_set(reterr, -EINVAL,
                           "a part of a runbook's path is "
                           "not empty and does not start "
                           "with a dot");
        }
        if (c != '/' && !is_path_char(c)) {
            return err_set(reterr, -EINVAL,
                           "a runbook's path has letters, "
                           "digits, '.', '_', '-' and '/'");
        }
        at_start = c == '/';
    }
    return 0;
}

int repo_path_check(struct str path, struct err *reterr)
{
    if (path.len == 0) {
        return err_set(reterr, -EINVAL, "a runbook's path is not empty");
    }
    if (path.len > REPO_PATH_MAX_BYTES) {
        return err_set(reterr, -EINVAL,
                       "a runbook's path has at most %d "
                       "bytes",
                       REPO_PATH_MAX_BYTES);
    }
    if (path.at[0] == '/') {
        err_hint(reterr, "like remediation/restart-service.yaml");
        return err_set(reterr, -EINVAL,
                       "a runbook's path is relative to the "
                       "repository");
    }
    int r = check_segments(path, reterr);
    if (r < 0) {
        return r;
    }
    if (!str_ends(path, STR(".yaml")) && !str_ends(path, STR(".yml"))) {
        return err_set(reterr, -EINVAL,
                       "a runbook's path ends in .yaml or "
                       ".yml");
    }
    return 0;
}

/* ---- one file ----------------------------------------------------------- */

static int read_error(int errnum, struct err *reterr)
{
    switch (-errnum) {
    case ENOENT:
        return err_set(reterr, errnum, "the repository has no such file");
    case ELOOP:
        return err_set(reterr, errnum,
                       "a symlink stands in the path: "
                       "runbooks are plain files");
    case EXDEV:
        return err_set(reterr, errnum, "the path leaves the repository");
    case E2BIG:
        return err_set(reterr, errnum, "the file is larger than %d bytes",
                       RUNBOOK_MAX_BYTES);
    case EACCES:
        err_hint(reterr, "the service's user needs to read it");
        return err_set(reterr, errnum, "the file cannot be read: %s",
                       strerror(-errnum));
    default:
        return err_set(reterr, errnum, "the file cannot be read: %s",
                       strerror(-errnum));
    }
}

/* Without O_NONBLOCK a FIFO under a runbook's name would stop the load. */
static int open_file(int folder_fd, const char *path, int *ret_fd,
                     struct err *reterr)
{
    struct stat st;
    CLEANUP(os_closep) int fd = -1;
    int r =
        os_open_beneath(folder_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd);
    if (r < 0) {
        return read_error(r, reterr);
    }
    if (fstat(fd, &st) < 0) {
        return read_error(-errno, reterr);
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(reterr, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL,
                       "expected a plain file, found %s",
                       S_ISDIR(st.st_mode) ? "a folder" : "something else");
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int repo_read_at(int folder_fd, struct str path, struct arena *a,
                 struct str *ret_text, struct err *reterr)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(RUNBOOK_MAX_BYTES);
    CLEANUP(os_closep) int fd = -1;
    int r = open_file(folder_fd, arena_strdup(a, path), &fd, reterr);
    if (r < 0) {
        return r;
    }
    r = os_read_all(fd, &text);
    if (r < 0) {
        return read_error(r, reterr);
    }
    *ret_text = arena_str(a, strbuf_str(&text));
    return 0;
}

int repo_read(struct repo *r, struct str path, struct arena *a,
              struct str *ret_text, struct runbook_hash *ret_hash,
              struct err *reterr)
{
    CLEANUP(os_closep) int folder = -1;
    struct str text = STR_NULL;
    int rc = repo_path_check(path, reterr);
    rc = rc < 0 ? rc : repo_open_folder(r, &folder, reterr);
    rc = rc < 0 ? rc : repo_read_at(folder, path, a, &text, reterr);
    if (rc < 0) {
        return rc;
    }
    *ret_hash = repo_hash(text);
    *ret_text = text;
    return 0;
}
