#include "model/labels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const struct label *labels_find(const struct labels *l, struct str name)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (str_eq(l->at[i].name, name)) {
            return &l->at[i];
        }
    }
    return NULL;
}

struct str labels_get(const struct labels *l, struct str name)
{
    const struct label *found = labels_find(l, name);
    return found != NULL ? found->value : STR("");
}

static int by_name(const void *a, const void *b)
{
    const struct label *left = a;
    const struct label *right = b;
    return str_cmp(left->name, right->name);
}

int labels_sort(struct labels *l)
{
    if (l->count > 1) {
        qsort(l->at, l->count, sizeof(l->at[0]), by_name);
    }
    for (uint32_t i = 1; i < l->count; i++) {
        if (str_eq(l->at[i - 1].name, l->at[i].name)) {
            return -EEXIST;
        }
    }
    return 0;
}

void labels_encode(const struct labels *l, struct strbuf *out)
{
    for (uint32_t i = 0; i < l->count; i++) {
        strbuf_add(out, l->at[i].name);
        strbuf_addch(out, '\0');
        strbuf_add(out, l->at[i].value);
        strbuf_addch(out, '\0');
    }
}

/* The text up to the next NUL, which is skipped; the blob has one. */
static struct str take_text(struct str *blob)
{
    size_t len = (size_t)str_find(*blob, '\0');
    struct str text = str_slice(*blob, 0, len);
    *blob = str_slice(*blob, len + 1, blob->len);
    return text;
}

int labels_decode(struct str blob, struct arena *a, struct labels *ret)
{
    size_t nuls = 0;
    for (size_t i = 0; i < blob.len; i++) {
        nuls += blob.at[i] == '\0' ? 1 : 0;
    }
    bool ends_well = blob.len == 0 || blob.at[blob.len - 1] == '\0';
    if (!ends_well || nuls % 2 != 0 || nuls / 2 > UINT32_MAX) {
        return -EBADMSG;
    }
    struct labels l = {.count = (uint32_t)(nuls / 2)};
    l.at = ARENA_ARRAY(a, l.count, struct label);
    for (uint32_t i = 0; i < l.count; i++) {
        l.at[i].name = take_text(&blob);
        l.at[i].value = take_text(&blob);
        if (i > 0 && str_cmp(l.at[i - 1].name, l.at[i].name) >= 0) {
            return -EBADMSG;
        }
    }
    *ret = l;
    return 0;
}

void labels_fingerprint(const struct labels *l, char out[17])
{
    uint64_t h = STR_HASH_SEED;
    for (uint32_t i = 0; i < l->count; i++) {
        h = str_hash(l->at[i].name, h);
        h = str_hash(STR("\xFF"), h);
        h = str_hash(l->at[i].value, h);
        h = str_hash(STR("\xFF"), h);
    }
    (void)snprintf(out, 17, "%016llx", (unsigned long long)h);
}
