#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "expr/re_priv.h"

struct emitter {
    VEC(struct re_instruction) code;
    uint32_t max;
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

static void emit_repeat(struct emitter *e, const struct re_node *n)
{
    bool is_open = n->max == RE_UNLIMITED;
    uint32_t copies = is_open && n->min > 0 ? n->min - 1 : n->min;
    for (uint32_t i = 0; i < copies && !e->is_full; i++) {
        emit_node(e, n->parts[0]);
    }
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
    if (e->is_full) {
        return;
    }
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

int re_compile(struct str pattern, uint32_t max, struct arena *a,
               struct re_program **ret, struct err *reterr)
{
    struct re_parser p = {.text = pattern, .arena = a, .err = reterr};
    struct emitter e = {.max = max};
    struct re_node *root = NULL;
    int r = re_parse(&p, &root);
    if (r < 0) {
        return r;
    }
    emit_node(&e, root);
    (void)emit(&e, (struct re_instruction){.op = RE_OP_MATCH});
    if (e.is_full) {
        r = err_set(reterr, -E2BIG,
                    "the pattern is too large: more than %u instructions",
                    (unsigned)max);
    } else {
        struct re_program *program = ARENA_NEW(a, struct re_program);
        program->count = here(&e);
        program->groups = MIN(p.groups, (uint32_t)RE_GROUPS - 1);
        program->code = ARENA_ARRAY(a, program->count, struct re_instruction);
        memcpy(program->code, e.code.at,
               program->count * sizeof(*program->code));
        *ret = program;
    }
    VEC_DEINIT(&e.code);
    return r;
}

uint32_t re_group_count(const struct re_program *p)
{
    return p->groups;
}
