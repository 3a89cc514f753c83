#include "proc/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

struct piece {
    struct list node;
    uint64_t at_ms;
    enum output_stream stream;
    size_t len;
    char bytes[];
};

static struct piece *piece_of(struct list *node)
{
    return CONTAINER_OF(node, struct piece, node);
}

static struct piece *piece_new(enum output_stream stream, uint64_t at_ms,
                               struct str data)
{
    struct piece *p = mem_alloc(1, sizeof(*p) + data.len);
    p->at_ms = at_ms;
    p->stream = stream;
    p->len = data.len;
    memcpy(p->bytes, data.at, data.len);
    return p;
}

void output_init(struct output *o, uint64_t keep_bytes)
{
    *o = (struct output){
        .head_max_bytes = keep_bytes - keep_bytes / 2,
        .tail_max_bytes = keep_bytes / 2,
    };
    list_init(&o->head);
    list_init(&o->tail);
}

static void free_all(struct list *pieces)
{
    for (struct list *n = list_pop(pieces); n != NULL; n = list_pop(pieces)) {
        mem_free(piece_of(n));
    }
}

void output_deinit(struct output *o)
{
    free_all(&o->head);
    free_all(&o->tail);
}

static void add_head(struct output *o, struct piece *p)
{
    list_push(&o->head, &p->node);
    o->head_bytes += p->len;
    o->head_count++;
}

static void add_tail(struct output *o, struct piece *p)
{
    list_push(&o->tail, &p->node);
    o->tail_bytes += p->len;
    o->tail_count++;
    while (o->tail_bytes > o->tail_max_bytes ||
           o->tail_count > OUTPUT_PIECES_MAX) {
        struct piece *oldest = piece_of(list_pop(&o->tail));
        o->tail_bytes -= oldest->len;
        o->tail_count--;
        o->dropped_bytes += oldest->len;
        mem_free(oldest);
    }
}

/* What is far from the end cannot be in the last line that we keep. */
static void note_line(struct output *o, struct str data)
{
    if (data.len > 2 * OUTPUT_LAST_LINE_BYTES) {
        data = str_slice(data, data.len - 2 * OUTPUT_LAST_LINE_BYTES, data.len);
    }
    for (size_t i = 0; i < data.len; i++) {
        char c = data.at[i];
        if (c == '\n' || c == '\r') {
            o->last_line_ended = true;
            continue;
        }
        if (o->last_line_ended && (c == ' ' || c == '\t')) {
            continue;
        }
        if (o->last_line_ended) {
            o->last_line_bytes = 0;
            o->last_line_ended = false;
        }
        if (o->last_line_bytes < sizeof(o->last_line)) {
            o->last_line[o->last_line_bytes++] = c;
        }
    }
}

struct str output_last_line(const struct output *o)
{
    return str_trim(str_n(o->last_line, o->last_line_bytes));
}

void output_add(struct output *o, enum output_stream stream, uint64_t at_ms,
                struct str data)
{
    ASSERT(!o->finished && data.len > 0);
    o->written_bytes += data.len;
    if (stream == OUTPUT_STDERR) {
        note_line(o, data);
    }
    /* Once something is in the tail, what follows it is too. */
    bool open = list_empty(&o->tail) && o->dropped_bytes == 0 &&
                o->head_count < OUTPUT_PIECES_MAX;
    uint64_t room = open ? o->head_max_bytes - o->head_bytes : 0;
    struct str head = str_slice(data, 0, (size_t)MIN(room, data.len));
    struct str tail = str_slice(data, head.len, data.len);
    if (head.len > 0) {
        add_head(o, piece_new(stream, at_ms, head));
    }
    if (tail.len > 0) {
        add_tail(o, piece_new(stream, at_ms, tail));
    }
}

void output_finish(struct output *o, uint64_t at_ms)
{
    ASSERT(!o->finished);
    if (o->dropped_bytes > 0) {
        char mark[80];
        int n = snprintf(mark, sizeof(mark),
                         "\n[%" PRIu64 " bytes of output were not kept]\n",
                         o->dropped_bytes);
        ASSERT(n > 0 && (size_t)n < sizeof(mark));
        add_head(o, piece_new(OUTPUT_STDERR, at_ms, str_n(mark, (size_t)n)));
    }
    list_splice(&o->head, &o->tail);
    o->head_bytes += o->tail_bytes;
    o->tail_bytes = 0;
    o->finished = true;
}

uint64_t output_kept_bytes(const struct output *o)
{
    return o->head_bytes + o->tail_bytes;
}

bool output_next(const struct output *o, struct output_cursor *cursor,
                 struct output_chunk *ret)
{
    struct list *next =
        cursor->last == NULL ? o->head.next : cursor->last->next;
    if (next == &o->head) {
        return false;
    }
    const struct piece *p = piece_of(next);
    *ret = (struct output_chunk){
        .offset = cursor->offset,
        .stream = p->stream,
        .at_ms = p->at_ms,
        .data = str_n(p->bytes, p->len),
    };
    cursor->last = next;
    cursor->offset += p->len;
    return true;
}

void output_restore(struct output *o, const struct output_chunk *chunk)
{
    ASSERT(!o->finished);
    add_head(o, piece_new(chunk->stream, chunk->at_ms, chunk->data));
}
