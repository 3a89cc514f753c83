/*
 * What a step wrote, within a limit: the head, which goes to the engine as it
 * comes, and the tail, of which only the newest part is kept and which follows
 * when the step has ended, behind a mark that says how much is missing. Pieces
 * never change once they are in the head, so a second telling is identical to
 * the first. The executor's thread only.
 */
#pragma once

#include "base/list.h"
#include "model/workflow.h"

/* Pieces in the head, and in the tail: a step that writes byte by byte must
 * not cost more than one that writes the same in blocks. */
#define OUTPUT_PIECES_MAX 8192

#define OUTPUT_LAST_LINE_BYTES 200

struct output {
    struct list head;
    struct list tail;
    uint64_t head_max_bytes;
    uint64_t tail_max_bytes;
    uint64_t head_bytes;
    uint64_t tail_bytes;
    uint32_t head_count;
    uint32_t tail_count;
    uint64_t written_bytes; /* by the step, kept or not */
    uint64_t dropped_bytes;
    char last_line[OUTPUT_LAST_LINE_BYTES]; /* of stderr: its beginning */
    size_t last_line_bytes;
    bool last_line_ended; /* the next visible byte begins another */
    bool finished;
};

/* How far a reader of the output has come. */
struct output_cursor {
    const struct list *last; /* NULL: at the start */
    uint64_t offset;
};

void output_init(struct output *o, uint64_t keep_bytes);
void output_deinit(struct output *o);

/* Takes what the step wrote: 1 to EXEC_CHUNK_MAX_BYTES bytes. */
void output_add(struct output *o, enum output_stream stream, uint64_t at_ms,
                struct str data);

/* The step has ended: the tail joins the head. */
void output_finish(struct output *o, uint64_t at_ms);

/* The newest line on standard error that is not blank, as far as it was read
 * and cut to what is kept of it: most often why a program failed. */
struct str output_last_line(const struct output *o);

/* Bytes held in memory. */
uint64_t output_kept_bytes(const struct output *o);

/* The next piece that is ready to be told; false: none for now. The key is
 * left to the caller. The data lives as long as the output. */
bool output_next(const struct output *o, struct output_cursor *cursor,
                 struct output_chunk *ret);

/* Puts back a piece as an earlier life told it, in order; then finish. */
void output_restore(struct output *o, const struct output_chunk *chunk);
