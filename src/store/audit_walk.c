#include "store/audit_walk.h"

#include <string.h>

#define PAGE_ROWS 500

static bool is_as_kept(const struct audit_row *row, const uint8_t *hash)
{
    return memcmp(row->hash, hash, AUDIT_HASH_BYTES) == 0;
}

static void take(struct audit_walk *w, const struct audit_row *row)
{
    if (!audit_chain_take(&w->chain, row)) {
        w->broken_at = w->chain.rows + 1;
    } else if (row->seq == w->end.seq && !is_as_kept(row, w->end.hash)) {
        w->broken_at = row->seq;
    }
    if (w->broken_at != 0) {
        w->problem = "this row does not follow from the one before it: it was "
                     "changed, or one before it is missing";
    } else if (w->known.given && row->seq == w->known.seq) {
        w->known.met = is_as_kept(row, w->known.hash);
    }
}

/* The end is read first: rows that come meanwhile are behind it. */
int audit_walk(struct reader *reader, struct audit_walk *w)
{
    struct audit_filter f = {.oldest_first = true, .limit = PAGE_ROWS};
    struct arena page = ARENA_INIT;
    uint32_t count = PAGE_ROWS;
    int r = reader->ops->audit_end(reader, &w->end);
    while (r == 0 && count == PAGE_ROWS && w->broken_at == 0) {
        struct audit_row *rows = NULL;
        arena_reset(&page);
        r = reader->ops->audit(reader, &f, &page, &rows, &count);
        for (uint32_t i = 0; r == 0 && i < count && w->broken_at == 0; i++) {
            take(w, &rows[i]);
            f.after_seq = rows[i].seq;
        }
    }
    arena_deinit(&page);
    if (r == 0 && w->broken_at == 0 && w->chain.rows < w->end.seq) {
        w->broken_at = w->chain.rows + 1;
        w->problem = "this row and all behind it are missing";
    }
    return r;
}
