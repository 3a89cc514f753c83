/* The manifest: JSON, written once, read with suspicion. */
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "backup/backup_priv.h"
#include "base/map.h"
#include "data/json.h"
#include "data/timestamp.h"
#include "repo/repo.h"

#define HEX_BYTES (2 * BACKUP_SHA_BYTES)

void backup_manifest_deinit(struct backup_manifest *m)
{
    VEC_DEINIT(&m->files);
    VEC_DEINIT(&m->missing);
}

void backup_manifest_take_missing(struct backup_manifest *m, struct arena *a)
{
    struct backup_missing *all =
        ARENA_ARRAY(a, m->missing.count + 1, struct backup_missing);
    VEC_EACH (&m->missing, i) {
        all[i] = m->missing.at[i];
    }
    m->info.missing = all;
    m->info.missing_count = (uint32_t)m->missing.count;
}

bool backup_name_is_good(struct str name)
{
    if (!str_starts(name, STR(BACKUP_PREFIX)) || name.len >= BACKUP_NAME_SIZE) {
        return false;
    }
    for (size_t i = sizeof(BACKUP_PREFIX) - 1; i < name.len; i++) {
        char c = name.at[i];
        if (!((c >= '0' && c <= '9') || c == 'T' || c == 'Z' || c == '-')) {
            return false;
        }
    }
    return name.len > sizeof(BACKUP_PREFIX) - 1;
}

bool backup_path_is_good(struct str path)
{
    static const char *const plain[] = {BACKUP_STORE, BACKUP_METRICS,
                                        BACKUP_CONFIG};
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        if (str_eq_c(path, plain[i])) {
            return true;
        }
    }
    struct str archive = STR(BACKUP_ARCHIVE "/");
    if (str_starts(path, archive)) {
        return archive_name_is_good(str_slice(path, archive.len, path.len),
                                    NULL);
    }
    struct str folder = STR(BACKUP_RUNBOOKS "/");
    struct err unused = ERR_INIT;
    return str_starts(path, folder) &&
           repo_path_check(str_slice(path, folder.len, path.len), &unused) == 0;
}

/* ---- writing ------------------------------------------------------------- */

static void add_text(struct strbuf *out, const char *name, struct str value)
{
    strbuf_addf(out, " \"%s\": ", name);
    strbuf_add_json_quoted(out, value);
    strbuf_addc(out, ",\n");
}

static void add_number(struct strbuf *out, const char *name, uint64_t value)
{
    strbuf_addf(out, " \"%s\": %llu,\n", name, (unsigned long long)value);
}

static void add_instant(struct strbuf *out, const char *name, uint64_t ms)
{
    char text[TIMESTAMP_TEXT_SIZE];
    add_number(out, name, ms);
    timestamp_format(ms, text);
    strbuf_addf(out, " \"%.*s_iso\": \"%s\",\n", (int)strlen(name) - 3, name,
                text);
}

static void add_file(struct strbuf *out, const struct backup_file *f)
{
    char hex[HEX_BYTES + 1];
    (void)sodium_bin2hex(hex, sizeof(hex), f->sha256, sizeof(f->sha256));
    strbuf_addc(out, "  {\"path\": ");
    strbuf_add_json_quoted(out, f->path);
    strbuf_addf(out, ", \"bytes\": %llu, \"sha256\": \"%s\"}",
                (unsigned long long)f->bytes, hex);
}

static void add_missing(struct strbuf *out, const struct backup_missing *x)
{
    strbuf_addc(out, "  {\"path\": ");
    strbuf_add_json_quoted(out, x->path);
    strbuf_addc(out, ", \"why\": ");
    strbuf_add_json_quoted(out, x->why);
    strbuf_addf(out, ", \"harmless\": %s}", x->is_harmless ? "true" : "false");
}

void backup_manifest_write(const struct backup_manifest *m, struct strbuf *out)
{
    const struct backup_info *i = &m->info;
    strbuf_addc(out, "{\n");
    add_number(out, "format", BACKUP_FORMAT);
    add_text(out, "name", i->name);
    add_text(out, "version", i->version);
    add_text(out, "host", i->host);
    add_instant(out, "made_at_ms", i->made_ms);
    add_number(out, "schema", i->schema);
    add_number(out, "events_accepted", i->accepted);
    add_number(out, "workflows", i->workflows);
    add_number(out, "last_event_seq", i->last_event_seq);
    add_instant(out, "last_event_at_ms", i->last_event_ms);
    add_text(out, "runbook_commit", i->runbook_commit);
    if (i->missing_count != 0) {
        strbuf_addc(out, " \"missing\": [");
        for (uint32_t n = 0; n < i->missing_count; n++) {
            strbuf_addc(out, n == 0 ? "\n" : ",\n");
            add_missing(out, &i->missing[n]);
        }
        strbuf_addc(out, "\n ],\n");
    }
    strbuf_addc(out, " \"files\": [");
    VEC_EACH (&m->files, n) {
        strbuf_addc(out, n == 0 ? "\n" : ",\n");
        add_file(out, &m->files.at[n]);
    }
    strbuf_addc(out, "\n ]\n}\n");
}

/* ---- reading ------------------------------------------------------------- */

/* A field that must be there: its kind's reader says 1. */
static int need(int r, const char *name, struct err *reterr)
{
    if (r == 0) {
        err_field(reterr, "%s", name);
        return err_set(reterr, -EBADMSG, "the manifest has no %s", name);
    }
    return r < 0 ? -EBADMSG : 0;
}

static int read_text(const json_t *o, const char *name, struct arena *a,
                     struct str *ret, struct err *reterr)
{
    struct str text = STR_NULL;
    int r = need(json_get_str(o, name, &text, reterr), name, reterr);
    *ret = arena_str(a, text);
    return r;
}

static int read_number(const json_t *o, const char *name, int64_t max,
                       uint64_t *ret, struct err *reterr)
{
    int64_t n = 0;
    const struct json_range range = {.min = 0, .max = max};
    int r = need(json_get_int(o, name, range, &n, reterr), name, reterr);
    *ret = (uint64_t)n;
    return r;
}

static int read_file(const json_t *o, struct arena *a, struct backup_file *ret,
                     struct err *reterr)
{
    struct str hex = STR_NULL;
    size_t len = 0;
    int r = read_text(o, "path", a, &ret->path, reterr);
    if (r == 0) {
        r = read_number(o, "bytes", INT64_MAX, &ret->bytes, reterr);
    }
    if (r == 0) {
        r = read_text(o, "sha256", a, &hex, reterr);
    }
    if (r == 0 && !backup_path_is_good(ret->path)) {
        return err_set(reterr, -EBADMSG,
                       "the manifest names a file that no backup has");
    }
    if (r == 0 && (hex.len != HEX_BYTES ||
                   sodium_hex2bin(ret->sha256, sizeof(ret->sha256), hex.at,
                                  hex.len, NULL, &len, NULL) != 0 ||
                   len != sizeof(ret->sha256))) {
        return err_set(reterr, -EBADMSG, "the manifest has a sum that is none");
    }
    return r;
}

static int read_files(const json_t *list, struct arena *a,
                      struct backup_manifest *m, struct err *reterr)
{
    struct map seen = MAP_INIT;
    size_t count = json_array_size(list);
    int r = count > BACKUP_MAX_FILES
                ? err_set(reterr, -EBADMSG, "the manifest has %zu files", count)
                : 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        struct backup_file f = {0};
        r = read_file(json_array_get(list, i), a, &f, reterr);
        if (r == 0 && map_put(&seen, f.path, m) != NULL) {
            r = err_set(reterr, -EBADMSG, "the manifest names %.*s twice",
                        STR_ARG(f.path));
        }
        if (r == 0) {
            m->info.bytes += f.bytes;
            m->info.runbooks += str_starts(f.path, STR(BACKUP_RUNBOOKS "/"));
            m->info.archives += str_starts(f.path, STR(BACKUP_ARCHIVE "/"));
            VEC_PUSH(&m->files, f);
        }
    }
    m->info.files = (uint32_t)m->files.count;
    map_deinit(&seen);
    return r;
}

/* Earlier versions named nothing. */
static int read_missing(const json_t *o, struct arena *a,
                        struct backup_manifest *m, struct err *reterr)
{
    const json_t *list = NULL;
    int r = json_get_array(o, "missing", &list, reterr);
    size_t count = r == 1 ? json_array_size(list) : 0;
    r = r < 0 ? -EBADMSG : 0;
    if (count > BACKUP_MISSING_MAX) {
        return err_set(reterr, -EBADMSG, "the manifest misses %zu files",
                       count);
    }
    for (size_t i = 0; i < count && r == 0; i++) {
        const json_t *item = json_array_get(list, i);
        struct backup_missing x = {
            .is_harmless = json_is_true(json_object_get(item, "harmless"))};
        r = read_text(item, "path", a, &x.path, reterr);
        r = r < 0 ? r : read_text(item, "why", a, &x.why, reterr);
        m->info.is_incomplete = m->info.is_incomplete || !x.is_harmless;
        VEC_PUSH(&m->missing, x);
    }
    backup_manifest_take_missing(m, a);
    return r;
}

static int read_numbers(const json_t *o, struct backup_info *i,
                        struct err *reterr)
{
    uint64_t format = 0;
    uint64_t schema = 0;
    const struct {
        const char *name;
        int64_t max;
        uint64_t *to;
    } fields[] = {
        {"format", INT32_MAX, &format},
        {"made_at_ms", TIMESTAMP_MAX_MS, &i->made_ms},
        {"schema", INT32_MAX, &schema},
        {"events_accepted", INT64_MAX, &i->accepted},
        {"workflows", INT64_MAX, &i->workflows},
        {"last_event_seq", INT64_MAX, &i->last_event_seq},
        {"last_event_at_ms", TIMESTAMP_MAX_MS, &i->last_event_ms},
    };
    int r = 0;
    for (size_t n = 0; n < ARRAY_LEN(fields) && r == 0; n++) {
        r = read_number(o, fields[n].name, fields[n].max, fields[n].to, reterr);
    }
    if (r == 0 && format != BACKUP_FORMAT) {
        return err_set(reterr, -EBADMSG,
                       "the manifest has format %llu; this version knows %d",
                       (unsigned long long)format, BACKUP_FORMAT);
    }
    i->schema = (uint32_t)schema;
    return r;
}

static int read_object(const json_t *o, struct arena *a,
                       struct backup_manifest *m, struct err *reterr)
{
    struct backup_info *i = &m->info;
    const json_t *files = NULL;
    if (!json_is_object(o)) {
        return err_set(reterr, -EBADMSG, "the manifest is not an object");
    }
    int r = read_numbers(o, i, reterr);
    if (r == 0) {
        r = read_text(o, "name", a, &i->name, reterr);
    }
    if (r == 0) {
        r = read_text(o, "version", a, &i->version, reterr);
    }
    if (r == 0) {
        r = read_text(o, "host", a, &i->host, reterr);
    }
    if (r == 0) {
        r = read_text(o, "runbook_commit", a, &i->runbook_commit, reterr);
    }
    if (r == 0) {
        r = need(json_get_array(o, "files", &files, reterr), "files", reterr);
    }
    r = r < 0 ? r : read_missing(o, a, m, reterr);
    return r == 0 ? read_files(files, a, m, reterr) : r;
}

int backup_manifest_read(struct str text, struct arena *a,
                         struct backup_manifest *ret, struct err *reterr)
{
    struct json_limits limits = JSON_LIMITS_DEFAULT;
    json_t *o = NULL;
    struct backup_manifest m = {0};
    limits.bytes = BACKUP_MANIFEST_MAX_BYTES;
    limits.values = BACKUP_MAX_FILES * 5 + BACKUP_MISSING_MAX * 5 + 100;
    int r = json_read(text, &limits, &o, reterr);
    if (r == 0) {
        r = read_object(o, a, &m, reterr);
    }
    json_decref(o);
    if (r < 0) {
        backup_manifest_deinit(&m);
        return -EBADMSG;
    }
    *ret = m;
    return 0;
}
