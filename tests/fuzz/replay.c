/*
 * Feeds each file of a folder to a fuzz target, in order of names, and prints
 * TAP: so the corpora are ordinary tests in every build, with any compiler.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"

#define FILE_MAX_BYTES (4U * 1024 * 1024)

static int is_case(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool read_file(const char *path, struct strbuf *out)
{
    char chunk[8192];
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return false;
    }
    for (;;) {
        size_t n = fread(chunk, 1, sizeof(chunk), f);
        strbuf_add(out, str_n(chunk, n));
        if (n == 0) {
            break;
        }
    }
    bool ok = ferror(f) == 0 && strbuf_error(out) == 0;
    (void)fclose(f);
    return ok;
}

static bool replay(const char *folder, const char *name)
{
    struct strbuf text = STRBUF_INIT(FILE_MAX_BYTES);
    struct strbuf path = STRBUF_INIT(4096);
    strbuf_addf(&path, "%s/%s", folder, name);
    bool ok = read_file(strbuf_str(&path).at, &text);
    if (ok) {
        /* An exact heap copy, so that reading past the end is caught. */
        CLEANUP(mem_freep) uint8_t *copy = mem_alloc(text.len + 1, 1);
        if (text.len != 0) {
            memcpy(copy + 1, text.at, text.len);
        }
        (void)LLVMFuzzerTestOneInput(copy + 1, text.len);
    } else {
        (void)fprintf(stderr, "%s: %s\n", strbuf_str(&path).at,
                      strerror(errno));
    }
    strbuf_deinit(&path);
    strbuf_deinit(&text);
    return ok;
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    int count = scandir(argv[1], &entries, is_case, alphasort);
    if (count <= 0) {
        (void)printf("Bail out! no corpus in %s\n", argv[1]);
        return 1;
    }
    bool all = true;
    (void)printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        bool ok = replay(argv[1], entries[i]->d_name);
        (void)printf("%s %d - %s\n", ok ? "ok" : "not ok", i + 1,
                     entries[i]->d_name);
        (void)fflush(stdout);
        all = all && ok;
        free(entries[i]);
    }
    free(entries);
    return all ? 0 : 1;
}
