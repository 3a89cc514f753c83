#include "os/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "os/fd.h"

/* A zone file has a few kilobytes. */
#define FILE_MAX_BYTES (256U * 1024)
#define NAME_MAX_BYTES 64
#define KEPT_MAX 16
#define HEADER_BYTES 44

struct zone {
    char name[NAME_MAX_BYTES];
    char *data;
    size_t len;
};

struct zones {
    char *folder;
    struct zone kept[KEPT_MAX];
    size_t count;
    size_t next; /* the one that is replaced when all are in use */
};

/* What a TZif header counts. */
struct counts {
    uint32_t utc;
    uint32_t standard;
    uint32_t leaps;
    uint32_t times;
    uint32_t types;
    uint32_t chars;
};

struct zones *zones_new(const char *folder)
{
    struct zones *z = MEM_NEW(struct zones);
    z->folder = str_dup(str_c(folder));
    return z;
}

void zones_free(struct zones *z)
{
    if (z == NULL) {
        return;
    }
    for (size_t i = 0; i < z->count; i++) {
        mem_free(z->kept[i].data);
    }
    mem_free(z->folder);
    mem_free(z);
}

void zones_freep(struct zones **z)
{
    zones_free(*z);
}

/* Letters, digits, _ + - and single slashes: no way out of the folder. */
static bool is_name(struct str name)
{
    if (name.len == 0 || name.len >= NAME_MAX_BYTES) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool inside = i != 0 && i + 1 != name.len;
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '+' &&
            c != '-' && !(c == '/' && inside && name.at[i - 1] != '/')) {
            return false;
        }
    }
    return true;
}

static uint32_t read_u32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 |
           u[3];
}

static int64_t read_i64(const char *p)
{
    return (int64_t)((uint64_t)read_u32(p) << 32 | read_u32(p + 4));
}

static bool read_header(struct str data, size_t at, struct counts *ret)
{
    if (data.len < at + HEADER_BYTES || memcmp(data.at + at, "TZif", 4) != 0) {
        return false;
    }
    const char *p = data.at + at + 20;
    *ret =
        (struct counts){read_u32(p),      read_u32(p + 4),  read_u32(p + 8),
                        read_u32(p + 12), read_u32(p + 16), read_u32(p + 20)};
    return ret->utc <= FILE_MAX_BYTES && ret->standard <= FILE_MAX_BYTES &&
           ret->leaps <= FILE_MAX_BYTES && ret->times <= FILE_MAX_BYTES &&
           ret->types <= FILE_MAX_BYTES && ret->types != 0 &&
           ret->chars <= FILE_MAX_BYTES;
}

static size_t body_bytes(const struct counts *c, size_t time_bytes)
{
    return (size_t)c->times * (time_bytes + 1) + (size_t)c->types * 6 +
           c->chars + (size_t)c->leaps * (time_bytes + 4) + c->standard +
           c->utc;
}

/* The last change at or before the instant, or -1. */
static ptrdiff_t find_change(const char *times, uint32_t count, int64_t seconds)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (read_i64(times + (size_t)middle * 8) <= seconds) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (ptrdiff_t)low - 1;
}

static int offset_in(struct str data, int64_t seconds, int32_t *ret)
{
    struct counts first;
    struct counts c;
    if (!read_header(data, 0, &first) || data.at[4] < '2') {
        return -EBADMSG;
    }
    size_t second = HEADER_BYTES + body_bytes(&first, 4);
    if (!read_header(data, second, &c) ||
        data.len - second - HEADER_BYTES < body_bytes(&c, 8)) {
        return -EBADMSG;
    }
    const char *times = data.at + second + HEADER_BYTES;
    const char *kinds = times + (size_t)c.times * 8;
    const char *types = kinds + c.times;
    ptrdiff_t i = find_change(times, c.times, seconds);
    size_t footer = second + HEADER_BYTES + body_bytes(&c, 8);
    if (i == (ptrdiff_t)c.times - 1 && data.len > footer + 2) {
        struct str rule = str_slice(data, footer + 1, data.len - 1);
        return zone_rule_offset(rule, seconds, ret);
    }
    size_t kind = i < 0 ? 0 : (unsigned char)kinds[i];
    if (kind >= c.types) {
        return -EBADMSG;
    }
    *ret = (int32_t)read_u32(types + kind * 6);
    return 0;
}

static int load(struct zones *z, struct str name, const struct zone **ret)
{
    CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT(4096);
    CLEANUP(strbuf_deinit) struct strbuf data = STRBUF_INIT(FILE_MAX_BYTES);
    strbuf_addf(&path, "%s/%.*s", z->folder, STR_ARG(name));
    /* Many zones are links to others: they are followed. */
    CLEANUP(os_closep)
    int fd = open(strbuf_str(&path).at, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return -ENOENT;
    }
    int r = os_read_all(fd, &data);
    if (r < 0) {
        return r == -E2BIG ? -EBADMSG : -ENOENT;
    }
    struct zone *zone = &z->kept[z->next];
    mem_free(zone->data);
    memset(zone->name, 0, sizeof(zone->name));
    memcpy(zone->name, name.at, name.len);
    zone->len = data.len;
    zone->data = strbuf_take(&data);
    z->count = MAX(z->count, z->next + 1);
    z->next = (z->next + 1) % KEPT_MAX;
    *ret = zone;
    return 0;
}

int zones_offset(struct zones *z, struct str name, int64_t seconds,
                 int32_t *ret)
{
    const struct zone *zone = NULL;
    if (!is_name(name)) {
        return -EINVAL;
    }
    for (size_t i = 0; i < z->count; i++) {
        if (str_eq_c(name, z->kept[i].name)) {
            zone = &z->kept[i];
        }
    }
    int r = zone != NULL ? 0 : load(z, name, &zone);
    return r < 0 ? r : offset_in(str_n(zone->data, zone->len), seconds, ret);
}
