#include "backup/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "backup/backup_priv.h"
#include "base/mem.h"
#include "os/beneath.h"
#include "os/fd.h"

#define TEXT_MAX_BYTES (1024UL * 1024) /* of a runbook, of a configuration */

struct source {
    int all;
    int own;
    struct backup_manifest manifest;
};

static int open_source(const char *directory, const char *name, struct arena *a,
                       struct source *ret, struct err *reterr)
{
    *ret = (struct source){.all = -1, .own = -1};
    int r = backup_open_directory(directory, false, &ret->all, reterr);
    return r < 0 ? r
                 : backup_open_named(ret->all, name, a, &ret->own,
                                     &ret->manifest, reterr);
}

static void close_source(struct source *s)
{
    backup_manifest_deinit(&s->manifest);
    os_close(s->own);
    os_close(s->all);
}

/* The text is summed as it is given: what was verified may have changed. */
static int read_text(const struct source *s, const struct backup_file *f,
                     struct strbuf *text, struct err *reterr)
{
    CLEANUP(mem_freep) char *path = str_dup(f->path);
    CLEANUP(os_closep) int fd = -1;
    struct backup_file is = {.path = f->path};
    int r =
        os_open_beneath(s->own, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, &fd);
    r = r < 0 ? r : os_read_all(fd, text);
    if (r < 0) {
        return err_set(reterr, r, "cannot read %s of the backup: %s", path,
                       r == -E2BIG ? "it is too large" : strerror(-r));
    }
    is.bytes = text->len;
    (void)crypto_hash_sha256(is.sha256, (const uint8_t *)text->at, text->len);
    return backup_file_is_same(&is, f)
               ? 0
               : err_set(reterr, -EBADMSG, "%s is not what the manifest says",
                         path);
}

int backup_read_runbooks(const char *directory, const char *name,
                         struct arena *a, backup_text_fn *fn, void *context,
                         struct err *reterr)
{
    const struct str folder = STR(BACKUP_RUNBOOKS "/");
    struct source s;
    int r = open_source(directory, name, a, &s, reterr);
    for (size_t i = 0; r == 0 && i < s.manifest.files.count; i++) {
        const struct backup_file *f = &s.manifest.files.at[i];
        CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
        if (!str_starts(f->path, folder)) {
            continue;
        }
        r = read_text(&s, f, &text, reterr);
        r = r < 0 ? r
                  : fn(context, str_slice(f->path, folder.len, f->path.len),
                       strbuf_str(&text), reterr);
    }
    close_source(&s);
    return r;
}

int backup_read_config(const char *directory, const char *name, struct arena *a,
                       struct str *ret, struct err *reterr)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(TEXT_MAX_BYTES);
    struct source s;
    bool found = false;
    int r = open_source(directory, name, a, &s, reterr);
    for (size_t i = 0; r == 0 && i < s.manifest.files.count; i++) {
        const struct backup_file *f = &s.manifest.files.at[i];
        if (str_eq_c(f->path, BACKUP_CONFIG)) {
            r = read_text(&s, f, &text, reterr);
            *ret = arena_str(a, strbuf_str(&text));
            found = true;
        }
    }
    close_source(&s);
    return r < 0 ? r : found;
}
