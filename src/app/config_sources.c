/*
 * Where a configuration comes from: the main file, the files of config.d, the
 * command line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "app/config_environment.h"
#include "app/config_files.h"
#include "app/config_value.h"
#include "base/mem.h"
#include "os/fd.h"

#define FOLDER "config.d"
#define PATH_MAX_BYTES 4096

static void stamp_stat(int fd, struct config_stamp *ret)
{
    struct stat st;
    if (fstat(fd, &st) == 0) {
        ret->changed_ns =
            (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        ret->inode = st.st_ino;
        ret->size = (uint64_t)st.st_size;
    }
}

static bool same_stat(const struct config_stamp *a,
                      const struct config_stamp *b)
{
    return a->changed_ns == b->changed_ns && a->inode == b->inode &&
           a->size == b->size;
}

static void stamp_text(struct str text, struct config_stamp *ret)
{
    (void)crypto_generichash(ret->hash, sizeof(ret->hash),
                             (const unsigned char *)text.at, text.len, NULL, 0);
}

static int open_file(const char *path)
{
    int fd = -1;
    int r = os_open_regular(path, &fd);
    return r < 0 ? r : fd;
}

/* Reads the whole file into text, and closes it; a negative errno. */
static int read_file(int fd, struct strbuf *text)
{
    char room[8192];
    ssize_t len = 0;
    do {
        len = read(fd, room, sizeof(room));
        if (len > 0) {
            strbuf_add(text, str_n(room, (size_t)len));
        }
    } while ((len > 0 && !text->full) || (len < 0 && errno == EINTR));
    int result = len < 0 ? -errno : strbuf_error(text);
    (void)close(fd);
    sodium_memzero(room, sizeof(room));
    return result;
}

static void wipe_text(struct strbuf *text)
{
    if (text->at != NULL) {
        sodium_memzero(text->at, text->cap);
    }
    strbuf_deinit(text);
}

static void complain_file(struct config_reader *r, int errnum, bool is_main)
{
    struct err e = ERR_INIT;
    if (errnum == -ENOENT && is_main) {
        err_hint(&e, "autonomous-devops print-config prints a sample");
    }
    (void)err_set(&e, errnum, "cannot read the file: %s",
                  errnum == -E2BIG    ? "larger than 1 MiB"
                  : errnum == -EINVAL ? "it is no regular file"
                                      : strerror(-errnum));
    config_complain(r, "", &e);
}

/* 0, or why the file could not be read (reported). */
static int take_file(struct config_reader *r, const char *path, bool is_main,
                     struct config_stamp *stamp)
{
    struct strbuf text = STRBUF_INIT(CONFIG_MAX_BYTES);
    config_read_source(r, path, true);
    int result = open_file(path);
    if (result >= 0) {
        stamp_stat(result, stamp);
        result = read_file(result, &text);
    }
    if (result < 0) {
        complain_file(r, result, is_main);
    } else {
        stamp_text(strbuf_str(&text), stamp);
        config_read_text(r, strbuf_str(&text));
    }
    wipe_text(&text);
    return result;
}

static int is_part(const struct dirent *d)
{
    return d->d_name[0] != '.' && str_ends(str_c(d->d_name), STR(".yaml"));
}

/* By bytes, so that the order is the same under every locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* "config.d" beside the file, in room. */
static void folder_beside(const char *path, char room[PATH_MAX_BYTES])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    (void)snprintf(room, PATH_MAX_BYTES, "%.*s" FOLDER, (int)len, path);
}

/* The files in the order in which they are read, in the arena; the first is
 * the main one. 0 or why the folder cannot be read; then there is that one. */
static int find_files(const char *folder, const char *path, struct arena *a,
                      const char ***ret)
{
    struct dirent **names = NULL;
    int count = scandir(folder, &names, is_part, by_name);
    int result = count < 0 && errno != ENOENT && errno != ENOTDIR ? -errno : 0;
    count = MAX(count, 0);
    const char **files = ARENA_ARRAY(a, (size_t)count + 2, const char *);
    files[0] = arena_strdup(a, str_c(path));
    for (int i = 0; i < count; i++) {
        struct strbuf file = STRBUF_INIT(2 * PATH_MAX_BYTES);
        strbuf_addf(&file, "%s/%s", folder, names[i]->d_name);
        files[i + 1] = arena_strdup(a, strbuf_str(&file));
        strbuf_deinit(&file);
        free(names[i]);
    }
    free(names);
    *ret = files;
    return result;
}

static size_t count_files(const char *const *files)
{
    size_t count = 0;
    while (files[count] != NULL) {
        count++;
    }
    return count;
}

static int list_files(struct config_reader *r, const char *path,
                      const char ***ret)
{
    char folder[PATH_MAX_BYTES];
    folder_beside(path, folder);
    int result = find_files(folder, path, &r->config->arena, ret);
    if (result < 0) {
        config_read_source(r, folder, true);
        complain_file(r, result, false);
    }
    if (count_files(*ret) > CONFIG_MAX_FILES) {
        struct err e = ERR_INIT;
        result =
            err_set(&e, -E2BIG, "more than %d files", CONFIG_MAX_FILES - 1);
        config_read_source(r, folder, false);
        config_complain(r, "", &e);
    }
    return result;
}

static int take_files(struct config_reader *r, const char *path)
{
    const char **files = NULL;
    int result = list_files(r, path, &files);
    if (result < 0) {
        return result;
    }
    struct config_stamp *stamps =
        ARENA_ARRAY(&r->config->arena, count_files(files), struct config_stamp);
    r->config->files = files;
    r->config->stamps = stamps;
    for (size_t i = 0; files[i] != NULL; i++) {
        int one = take_file(r, files[i], i == 0, &stamps[i]);
        result = result < 0 ? result : one;
    }
    return result;
}

static void take_overrides(struct config_reader *r, const char *option,
                           const char *const *list, size_t count)
{
    config_read_source(r, option, false);
    for (size_t i = 0; i < count; i++) {
        config_read_override(r, list[i]);
    }
}

int config_load_from(const struct config_sources *sources, struct config **ret,
                     struct config_report *report)
{
    struct config_reader r;
    int result = 0;
    config_read_begin(&r, sources->path != NULL ? sources->path : "(defaults)",
                      report);
    r.beside_engine = sources->beside_engine;
    r.environment = sources->environment;
    take_overrides(&r, "--default", sources->defaults, sources->default_count);
    if (sources->path != NULL) {
        result = take_files(&r, sources->path);
    }
    take_overrides(&r, "--set", sources->sets, sources->set_count);
    int finished = config_read_finish(&r, ret);
    return result < 0 ? result : finished;
}

/* ---- where its engine listens ----------------------------------------------
 */

const char *config_server_url(const char *listen, bool tls, struct arena *a)
{
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || strcmp(colon, ":0") == 0) {
        return NULL;
    }
    struct str host = str_n(listen, (size_t)(colon - listen));
    if (str_eq_c(host, "0.0.0.0") || host.len == 0) {
        host = STR("127.0.0.1");
    } else if (str_eq_c(host, "[::]")) {
        host = STR("[::1]");
    }
    struct strbuf url = STRBUF_INIT(PATH_MAX_BYTES);
    strbuf_addf(&url, "%s://%.*s%s", tls ? "https" : "http", STR_ARG(host),
                colon);
    const char *copy = arena_strdup(a, strbuf_str(&url));
    strbuf_deinit(&url);
    return copy;
}

struct peeked {
    const char *listen;
    bool tls;
};

/* Is it an address and a port, and nothing to be replaced? */
static bool is_listen(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("0123456789abcdefABCDEF.:[]", text.at[i]) == NULL) {
            return false;
        }
    }
    return str_find(text, ':') >= 0;
}

static const struct yaml_node *member(const struct yaml_node *n, struct str key)
{
    return n != NULL ? yaml_get(n, key) : NULL;
}

static void peek_file(const char *path, struct arena *a, struct peeked *p)
{
    struct strbuf text = STRBUF_INIT(CONFIG_MAX_BYTES);
    struct yaml_doc *doc = NULL;
    struct err e = ERR_INIT;
    struct str value = STR_NULL;
    int fd = open_file(path);
    if (fd >= 0 && read_file(fd, &text) == 0 &&
        yaml_parse(strbuf_str(&text), NULL, &doc, &e) == 0) {
        const struct yaml_node *server = member(yaml_root(doc), STR("server"));
        const struct yaml_node *listen = member(server, STR("listen"));
        const struct yaml_node *cert =
            member(member(server, STR("tls")), STR("cert"));
        if (listen != NULL && yaml_string(listen, &value, &e) == 0 &&
            is_listen(value)) {
            p->listen = arena_strdup(a, value);
        }
        p->tls = p->tls || (cert != NULL && !yaml_is_null(cert));
    }
    yaml_doc_wipe(doc);
    wipe_text(&text);
}

const char *config_peek_server(const char *path, struct arena *a)
{
    char folder[PATH_MAX_BYTES];
    const char **files = NULL;
    struct peeked p = {.listen = NULL};
    folder_beside(path, folder);
    (void)!find_files(folder, path, a, &files); /* or the main one alone */
    for (size_t i = 0; files[i] != NULL; i++) {
        peek_file(files[i], a, &p);
    }
    return p.listen != NULL ? config_server_url(p.listen, p.tls, a) : NULL;
}

const char *config_environment_of(const char *path)
{
    return path != NULL && strcmp(path, CONFIG_PATH_DEFAULT) == 0
               ? CONFIG_ENVIRONMENT_DEFAULT
               : NULL;
}

int config_load(const char *path, struct config **ret,
                struct config_report *report)
{
    const struct config_sources sources = {
        .path = path, .environment = config_environment_of(path)};
    return config_load_from(&sources, ret, report);
}

/* ---- have the files changed since? ----------------------------------------
 */

/* Is the file what the stamp says? One that cannot be read is not. */
static bool is_same(const char *path, const struct config_stamp *then)
{
    struct config_stamp now = {.size = 0};
    int fd = open_file(path);
    if (fd < 0) {
        return false;
    }
    stamp_stat(fd, &now);
    if (same_stat(&now, then)) {
        (void)close(fd);
        return true;
    }
    struct strbuf text = STRBUF_INIT(CONFIG_MAX_BYTES);
    bool same = read_file(fd, &text) == 0;
    stamp_text(strbuf_str(&text), &now);
    wipe_text(&text);
    return same && memcmp(now.hash, then->hash, sizeof(now.hash)) == 0;
}

static void add_stale(const struct config *c, const char *const *now,
                      struct strbuf *ret)
{
    size_t i = 0;
    for (; c->files[i] != NULL && now[i] != NULL; i++) {
        int order = strcmp(c->files[i], now[i]);
        if (order != 0) {
            strbuf_addf(ret, "%s is %s", order < 0 ? c->files[i] : now[i],
                        order < 0 ? "gone" : "new");
            return;
        }
        if (!is_same(now[i], &c->stamps[i])) {
            strbuf_addf(ret, "%s %s", now[i],
                        access(now[i], F_OK) == 0 ? "has changed" : "is gone");
            return;
        }
    }
    if (c->files[i] != NULL || now[i] != NULL) {
        strbuf_addf(ret, "%s is %s", c->files[i] != NULL ? c->files[i] : now[i],
                    c->files[i] != NULL ? "gone" : "new");
    }
}

bool config_is_stale(const struct config *c,
                     const struct config_sources *sources, struct strbuf *ret)
{
    char folder[PATH_MAX_BYTES];
    const char **now = NULL;
    size_t before = ret->len;
    if (sources->path == NULL) {
        return false;
    }
    struct arena a = ARENA_INIT;
    folder_beside(sources->path, folder);
    if (find_files(folder, sources->path, &a, &now) == 0) {
        add_stale(c, now, ret);
    }
    arena_deinit(&a);
    return ret->len != before;
}

static uint64_t mark_file(const char *path, uint64_t mark)
{
    struct config_stamp stamp = {.size = 0};
    int fd = open_file(path);
    if (fd >= 0) {
        stamp_stat(fd, &stamp);
        (void)close(fd);
    }
    const uint64_t numbers[] = {fd >= 0, (uint64_t)stamp.changed_ns,
                                stamp.inode, stamp.size};
    mark = str_hash(str_c(path), mark);
    return str_hash(str_n((const char *)numbers, sizeof(numbers)), mark);
}

uint64_t config_files_mark(const struct config_sources *sources)
{
    char folder[PATH_MAX_BYTES];
    const char **files = NULL;
    uint64_t mark = STR_HASH_SEED;
    if (sources->path == NULL) {
        return 0;
    }
    struct arena a = ARENA_INIT;
    folder_beside(sources->path, folder);
    (void)find_files(folder, sources->path, &a, &files);
    for (size_t i = 0; files[i] != NULL; i++) {
        mark = mark_file(files[i], mark);
    }
    arena_deinit(&a);
    return mark;
}
