/*
 * What a step tells to those after it: the beginning of each stream is kept,
 * without secrets, and its outputs are evaluated when the attempt is over.
 * Only for steps that have outputs.
 */
#include "base/mem.h"
#include "model/step_outputs.h"
#include "proc/executor_priv.h"

struct told {
    struct runbook *runbook; /* a reference */
    struct strbuf out;
    struct strbuf err;
    bool is_cut;
};

void told_begin(struct run *r, struct runbook *rb)
{
    if (rb->steps[r->key.step_no].output_count == 0) {
        return;
    }
    r->telling = MEM_NEW(struct told);
    r->telling->runbook = runbook_ref(rb);
    strbuf_init(&r->telling->out, STEP_STREAM_MAX_BYTES);
    strbuf_init(&r->telling->err, STEP_STREAM_MAX_BYTES);
}

void told_add(struct run *r, enum output_stream stream, struct str text)
{
    struct told *t = r->telling;
    if (t == NULL) {
        return;
    }
    struct strbuf *to = stream == OUTPUT_STDOUT ? &t->out : &t->err;
    size_t room = STEP_STREAM_MAX_BYTES - to->len;
    t->is_cut = t->is_cut || (stream == OUTPUT_STDOUT && text.len > room);
    strbuf_add(to, str_slice(text, 0, MIN(room, text.len)));
}

void told_free(struct run *r)
{
    struct told *t = r->telling;
    if (t != NULL) {
        runbook_unref(t->runbook);
        strbuf_deinit(&t->out);
        strbuf_deinit(&t->err);
        mem_free(t);
        r->telling = NULL;
    }
}

bool told_end(struct run *r, enum attempt_state state, struct err *reterr)
{
    const struct told *t = r->telling;
    bool succeeded = state == ATTEMPT_SUCCEEDED;
    if (t == NULL || (!succeeded && state != ATTEMPT_FAILED)) {
        return true;
    }
    const struct step_ending end = {.exit_code = r->row.exit_code,
                                    .out = strbuf_str(&t->out),
                                    .err = strbuf_str(&t->err),
                                    .is_cut = t->is_cut};
    struct arena a = ARENA_INIT;
    struct str json = STR("");
    int e = step_outputs_eval(&t->runbook->steps[r->key.step_no], &end,
                              !succeeded, &a, &json, reterr);
    if (e == 0) {
        mem_free(r->outputs);
        r->outputs = str_dup(json);
        r->row.outputs = str_c(r->outputs);
    }
    arena_deinit(&a);
    return e == 0 || !succeeded;
}
