#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "expr/re_priv.h"

/* Visits of nodes for one instruction that may be emitted: more than a parsed
 * pattern can need, however it nests. */
#define VISITS_PER_INSTRUCTION (RE_DEPTH_MAX * 4)

/* What they cost of a run's budget, and what reading a byte of it does. */
#define UNITS_PER_VISIT 2
#define UNITS_PER_BYTE 8

struct emitter {
    VEC(struct re_instruction) code;
    uint32_t max;
    uint64_t visits; /* of nodes that may still be made */
    bool is_full;
};

static void emit_node(struct emitter *e, const struct re_node *n);

static uint32_t emit(struct emitter *e, struct re_instruction i)
{
    if (e->code.count >= e->max) {
        e->is_full = true;
        return 0;
    }
    VEC_PUSH(&e->code, i);
    return (uint32_t)e->code.count - 1;
}

static uint32_t here(const struct emitter *e)
{
    return (uint32_t)e->code.count;
}

/* Where a split goes gladly, and where it goes otherwise. */
static void set_split(struct emitter *e, uint32_t at, bool is_lazy,
                      uint32_t inside, uint32_t behind)
{
    if (!e->is_full) {
        e->code.at[at].x = is_lazy ? behind : inside;
        e->code.at[at].y = is_lazy ? inside : behind;
    }
}

/* x+ goes back behind x, not before it, so that an empty x ends it. */
static void emit_plus(struct emitter *e, const struct re_node *n)
{
    uint32_t first = here(e);
    emit_node(e, n->parts[0]);
    uint32_t split = emit(e, (struct re_instruction){.op = RE_OP_SPLIT});
    set_split(e, split, n->is_lazy, first, here(e));
}

/* x* is (x+)? */
static void emit_star(struct emitter *e, const struct re_node *n)
{
    uint32_t split = emit(e, (struct re_instruction){.op = RE_OP_SPLIT});
    emit_plus(e, n);
    set_split(e, split, n->is_lazy, split + 1, here(e));
}

/* As many copies as must be there. One that emits nothing is like all others:
 * no repetition of it takes time. */
static void emit_copies(struct emitter *e, const struct re_node *n,
                        uint32_t copies)
{
    uint32_t before = UINT32_MAX;
    for (uint32_t i = 0; i < copies && before != here(e); i++) {
        before = here(e);
        emit_node(e, n->parts[0]);
    }
}

static void emit_repeat(struct emitter *e, const struct re_node *n)
{
    bool is_open = n->max == RE_UNLIMITED;
    emit_copies(e, n, is_open && n->min > 0 ? n->min - 1 : n->min);
    if (is_open) {
        if (n->min > 0) {
            emit_plus(e, n);
        } else {
            emit_star(e, n);
        }
        return;
    }
    for (uint32_t i = n->min; i < n->max && !e->is_full; i++) {
        /* x? again and again: each may end the repetition; where it ends is
         * found by going from one split's y to the next. */
        uint32_t split = emit(e, (struct re_instruction){.op = RE_OP_SPLIT});
        emit_node(e, n->parts[0]);
        set_split(e, split, n->is_lazy, split + 1, here(e));
    }
}

static void emit_choice(struct emitter *e, const struct re_node *n)
{
    uint32_t last_jump = UINT32_MAX;
    for (uint32_t i = 0; i < n->part_count; i++) {
        bool is_last = i + 1 == n->part_count;
        uint32_t split = 0;
        if (!is_last) {
            split = emit(e, (struct re_instruction){.op = RE_OP_SPLIT});
        }
        emit_node(e, n->parts[i]);
        if (!is_last) {
            /* Jumps to the end are chained through x until it is known. */
            uint32_t jump = emit(
                e, (struct re_instruction){.op = RE_OP_JUMP, .x = last_jump});
            last_jump = jump;
            set_split(e, split, false, split + 1, here(e));
        }
    }
    while (!e->is_full && last_jump != UINT32_MAX) {
        uint32_t next = e->code.at[last_jump].x;
        e->code.at[last_jump].x = here(e);
        last_jump = next;
    }
}

static void emit_node(struct emitter *e, const struct re_node *n)
{
    if (e->is_full || e->visits == 0) {
        e->is_full = true;
        return;
    }
    e->visits--;
    switch (n->kind) {
    case RE_EMPTY:
        break;
    case RE_CHARACTER:
        (void)emit(e, (struct re_instruction){.op = RE_OP_CHARACTER,
                                              .x = n->character});
        break;
    case RE_CLASS:
        (void)emit(e, (struct re_instruction){.op = RE_OP_CLASS,
                                              .x = n->range_count,
                                              .ranges = n->ranges});
        break;
    case RE_ASSERT:
        (void)emit(
            e, (struct re_instruction){.op = RE_OP_ASSERT, .x = n->assertion});
        break;
    case RE_SEQUENCE:
        for (uint32_t i = 0; i < n->part_count; i++) {
            emit_node(e, n->parts[i]);
        }
        break;
    case RE_CHOICE:
        emit_choice(e, n);
        break;
    case RE_REPEAT:
        emit_repeat(e, n);
        break;
    case RE_GROUP:
        (void)emit(
            e, (struct re_instruction){.op = RE_OP_SAVE, .x = n->group * 2});
        emit_node(e, n->parts[0]);
        (void)emit(e, (struct re_instruction){.op = RE_OP_SAVE,
                                              .x = n->group * 2 + 1});
        break;
    }
}

static struct re_program *finish(const struct emitter *e, uint32_t groups,
                                 struct arena *a)
{
    struct re_program *program = ARENA_NEW(a, struct re_program);
    program->count = here(e);
    program->groups = MIN(groups, (uint32_t)RE_GROUPS - 1);
    program->code = ARENA_ARRAY(a, program->count, struct re_instruction);
    memcpy(program->code, e->code.at, program->count * sizeof(*program->code));
    return program;
}

/* *ret_visits, also when it fails: the nodes that were looked at. */
static int compile(struct re_parser *p, uint32_t max, uint64_t *ret_visits,
                   struct re_program **ret)
{
    const uint64_t most = (uint64_t)max * VISITS_PER_INSTRUCTION;
    struct emitter e = {.max = max, .visits = most};
    struct re_node *root = NULL;
    *ret_visits = 0;
    int r = re_parse(p, &root);
    if (r < 0) {
        return r;
    }
    emit_node(&e, root);
    (void)emit(&e, (struct re_instruction){.op = RE_OP_MATCH});
    if (e.is_full) {
        r = err_set(p->err, -E2BIG,
                    "the pattern is too large: more than %u instructions",
                    (unsigned)max);
    } else {
        *ret = finish(&e, p->groups, p->arena);
    }
    *ret_visits = most - e.visits;
    VEC_DEINIT(&e.code);
    return r;
}

int re_compile(struct str pattern, uint32_t max, struct arena *a,
               struct re_program **ret, struct err *reterr)
{
    struct re_parser p = {.text = pattern, .arena = a, .err = reterr};
    uint64_t visits = 0;
    return compile(&p, max, &visits, ret);
}

int re_compile_live(struct str pattern, struct cel_run *run,
                    struct re_program **ret, struct err *reterr)
{
    struct re_parser p = {.text = pattern, .arena = run->arena, .err = reterr};
    uint64_t visits = 0;
    /* Parts of a pattern become small nodes: the arena pays for them. */
    size_t cost = pattern.len * 160 + 4096;
    if (!cel_charge(run, 20 + pattern.len * UNITS_PER_BYTE) ||
        cost > run->bytes) {
        return err_set(reterr, -EDQUOT, "no budget is left for the pattern");
    }
    size_t before = run->arena->total_bytes;
    int r = compile(&p, RE_LIVE_PROGRAM_MAX, &visits, ret);
    size_t used = run->arena->total_bytes - before;
    run->bytes -= MIN(run->bytes, used);
    if (!cel_charge(run, visits * UNITS_PER_VISIT)) {
        return err_set(reterr, -EDQUOT, "no budget is left for the pattern");
    }
    return r;
}

uint32_t re_group_count(const struct re_program *p)
{
    return p->groups;
}
