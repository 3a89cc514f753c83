/*
 * Outcomes that must outlive this process: written when it ends in order,
 * loaded by the next life. A file per attempt: its messages to the engine
 * (OUTPUT..., ENDED), each behind its length. What was running when a process
 * is killed leaves nothing here, and is answered as unknown.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/fd.h"
#include "proc/executor_priv.h"
#include "proc/say.h"

#define FILE_MAX_BYTES (160UL * 1024 * 1024)

/* ---- writing
 * --------------------------------------------------------------------- */

static void add_message(struct strbuf *out, const struct exec_message *m)
{
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    if (exec_encode(m, &text) < 0) {
        return;
    }
    uint32_t len = (uint32_t)text.len;
    strbuf_add(out, str_n((const char *)&len, sizeof(len)));
    strbuf_add(out, strbuf_str(&text));
}

static void save(struct executor *x, struct run *r)
{
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(FILE_MAX_BYTES);
    struct output_cursor cursor = {0};
    struct exec_message m = {.kind = EXEC_OUTPUT};
    while (output_next(&r->output, &cursor, &m.output)) {
        m.output.key = r->key;
        add_message(&text, &m);
    }
    struct exec_message ended = {.kind = EXEC_ENDED, .ended = r->row};
    add_message(&text, &ended);
    int e = strbuf_error(&text);
    e = e < 0 ? e : os_replace_file(x->outcomes, r->name, strbuf_str(&text));
    r->spooled = e == 0;
    if (e < 0) {
        executor_say(LOG_ERR,
                     "the outcome of %s is lost: cannot write "
                     "%s/outcomes/%s: %s",
                     r->name, x->options.spool, r->name, strerror(-e));
    }
}

void spool_save(struct executor *x)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&x->runs, &cursor)) != NULL) {
        struct run *r = entry->value;
        if (r->phase == RUN_ENDED && !r->spooled) {
            save(x, r);
        }
    }
    (void)fsync(x->outcomes);
}

void spool_forget(struct executor *x, struct run *r)
{
    if (r->spooled) {
        (void)unlinkat(x->outcomes, r->name, 0);
    }
}

/* ---- reading
 * ----------------------------------------------------------------------- */

/* One message off the front of the text; false at the end or at damage. */
static bool next_message(struct str *text, struct exec_message *ret)
{
    uint32_t len = 0;
    if (text->len < sizeof(len)) {
        return false;
    }
    memcpy(&len, text->at, sizeof(len));
    struct str datagram = str_slice(*text, sizeof(len), sizeof(len) + len);
    if (datagram.len != len || exec_decode(datagram, ret) < 0) {
        return false;
    }
    *text = str_slice(*text, sizeof(len) + len, text->len);
    return true;
}

/* The ENDED message of a file; false when it has none: then it is no outcome
 * and the attempt is unknown. */
static bool find_end(struct str text, struct exec_message *ret)
{
    while (next_message(&text, ret)) {
        if (ret->kind == EXEC_ENDED) {
            return true;
        }
    }
    return false;
}

/* A file that was damaged, renamed or copied is told and left where it is. */
static void restore(struct executor *x, const char *name, struct str text)
{
    struct exec_message m = {0};
    char proper[ATTEMPT_NAME_SIZE] = "";
    if (find_end(text, &m)) {
        attempts_name(&m.ended.key, proper);
    }
    if (strcmp(name, proper) != 0) {
        executor_say(LOG_WARNING, "%s/outcomes/%s is no outcome",
                     x->options.spool, name);
        return;
    }
    struct run *r = attempts_new(x, &m.ended.key);
    r->row = m.ended;
    r->error = str_dup(m.ended.error);
    r->row.error = str_c(r->error);
    r->outputs = str_dup(m.ended.outputs);
    r->row.outputs = str_c(r->outputs);
    r->spooled = true;
    while (next_message(&text, &m) && m.kind == EXEC_OUTPUT) {
        output_restore(&r->output, &m.output);
    }
    r->output.written_bytes = r->row.output_bytes;
    output_finish(&r->output, r->row.finished_ms);
    attempts_count(r);
}

void spool_load(struct executor *x)
{
    int fd = openat(x->outcomes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        os_close(fd);
        return;
    }
    for (const struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(FILE_MAX_BYTES);
        if (d->d_name[0] != '.' &&
            os_read_file(x->outcomes, d->d_name, &text) == 0) {
            restore(x, d->d_name, strbuf_str(&text));
        }
    }
    (void)closedir(dir);
}
