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
#include <unistd.h>

#include <sodium.h>

#include "app/config_value.h"
#include "base/mem.h"

#define FOLDER "config.d"
#define PATH_MAX_BYTES 4096

/* Reads the whole file into text; a negative errno. */
static int read_file(const char *path, struct strbuf *text)
{
    char room[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return -errno;
    }
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
                  errnum == -E2BIG ? "larger than 1 MiB" : strerror(-errnum));
    config_complain(r, "", &e);
}

/* 0, or why the file could not be read (reported). */
static int take_file(struct config_reader *r, const char *path, bool is_main)
{
    struct strbuf text = STRBUF_INIT(CONFIG_MAX_BYTES);
    config_read_source(r, path, true);
    int result = read_file(path, &text);
    if (result < 0) {
        complain_file(r, result, is_main);
    } else {
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

/* The files in the order in which they are read; the first is the main one. */
static int list_files(struct config_reader *r, const char *path,
                      const char ***ret)
{
    char folder[PATH_MAX_BYTES];
    struct dirent **names = NULL;
    folder_beside(path, folder);
    int count = scandir(folder, &names, is_part, by_name);
    int result = 0;
    if (count < 0 && errno != ENOENT && errno != ENOTDIR) {
        result = -errno;
        config_read_source(r, folder, true);
        complain_file(r, result, false);
    }
    count = MAX(count, 0);
    struct arena *a = &r->config->arena;
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
    if (count >= CONFIG_MAX_FILES) {
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
    r->config->files = files;
    for (size_t i = 0; files[i] != NULL; i++) {
        int one = take_file(r, files[i], i == 0);
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
    take_overrides(&r, "--default", sources->defaults, sources->default_count);
    if (sources->path != NULL) {
        result = take_files(&r, sources->path);
    }
    take_overrides(&r, "--set", sources->sets, sources->set_count);
    int finished = config_read_finish(&r, ret);
    return result < 0 ? result : finished;
}

int config_load(const char *path, struct config **ret,
                struct config_report *report)
{
    const struct config_sources sources = {.path = path};
    return config_load_from(&sources, ret, report);
}
