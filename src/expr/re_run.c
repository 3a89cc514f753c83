#include <string.h>

#include "base/mem.h"
#include "expr/re_priv.h"
#include "expr/utf8.h"

#define SLOTS (2 * RE_GROUPS)

/* The states that are reached at one place of the text, best first. */
struct states {
    uint32_t *order; /* instruction */
    uint32_t *where; /* by instruction: its index in order */
    ptrdiff_t *slots;
    uint32_t count;
};

/* What is still to be followed: an instruction, or a slot to be put back. */
struct todo {
    uint32_t at;
    uint32_t slot; /* SLOTS: follow `at` */
    ptrdiff_t old;
};

struct runner {
    const struct re_program *program;
    struct str text;
    struct cel_run *run;
    struct states now;
    struct states next;
    struct todo *todo;
    bool keeps; /* the groups are wanted */
    ptrdiff_t slots[SLOTS];
    /* The place: the characters before and behind it, UTF8_BAD at the ends. */
    size_t at;
    uint32_t before;
    uint32_t behind;
};

static bool is_word(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (c >= 'a' && c <= 'z');
}

static bool holds(const struct runner *r, uint32_t what)
{
    bool at_begin = r->at == 0;
    bool at_end = r->at >= r->text.len;
    switch (what) {
    case RE_BEGIN_TEXT:
        return at_begin;
    case RE_END_TEXT:
        return at_end;
    case RE_BEGIN_LINE:
        return at_begin || r->before == '\n';
    case RE_END_LINE:
        return at_end || r->behind == '\n';
    default:
        return (is_word(r->before) != is_word(r->behind)) ==
               (what == RE_WORD_EDGE);
    }
}

static bool has(const struct states *s, uint32_t at)
{
    uint32_t i = s->where[at];
    return i < s->count && s->order[i] == at;
}

static void put(struct runner *r, struct states *s, uint32_t at)
{
    s->where[at] = s->count;
    s->order[s->count] = at;
    if (r->keeps) {
        memcpy(s->slots + (size_t)s->count * SLOTS, r->slots, sizeof(r->slots));
    }
    s->count++;
}

/* Follows everything that takes no character from `from` on. */
static void follow(struct runner *r, struct states *s, uint32_t from)
{
    size_t count = 0;
    r->todo[count++] = (struct todo){.at = from, .slot = SLOTS};
    while (count > 0) {
        struct todo t = r->todo[--count];
        if (t.slot < SLOTS) {
            r->slots[t.slot] = t.old;
            continue;
        }
        if (has(s, t.at)) {
            continue;
        }
        const struct re_instruction *i = &r->program->code[t.at];
        put(r, s, t.at);
        switch (i->op) {
        case RE_OP_SPLIT:
            r->todo[count++] = (struct todo){.at = i->y, .slot = SLOTS};
            r->todo[count++] = (struct todo){.at = i->x, .slot = SLOTS};
            break;
        case RE_OP_JUMP:
            r->todo[count++] = (struct todo){.at = i->x, .slot = SLOTS};
            break;
        case RE_OP_SAVE:
            r->todo[count++] =
                (struct todo){.slot = i->x, .old = r->slots[i->x]};
            r->todo[count++] = (struct todo){.at = t.at + 1, .slot = SLOTS};
            r->slots[i->x] = (ptrdiff_t)r->at;
            break;
        case RE_OP_ASSERT:
            if (holds(r, i->x)) {
                r->todo[count++] = (struct todo){.at = t.at + 1, .slot = SLOTS};
            }
            break;
        case RE_OP_CHARACTER:
        case RE_OP_CLASS:
        case RE_OP_MATCH:
            break;
        }
    }
}

static bool in_ranges(const struct re_instruction *i, uint32_t c)
{
    uint32_t low = 0;
    uint32_t high = i->x;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c > i->ranges[middle].high) {
            low = middle + 1;
        } else if (c < i->ranges[middle].low) {
            high = middle;
        } else {
            return true;
        }
    }
    return false;
}

static bool takes(const struct re_instruction *i, uint32_t c)
{
    /* What is no character counts as U+FFFD. */
    c = c == UTF8_BAD ? 0xFFFD : c;
    return i->op == RE_OP_CHARACTER ? i->x == c
           : i->op == RE_OP_CLASS   ? in_ranges(i, c)
                                    : false;
}

static void look(struct runner *r, size_t next)
{
    r->before = r->behind;
    r->at = next;
    r->behind = UTF8_BAD;
    if (next < r->text.len) {
        size_t at = next;
        r->behind = utf8_next(r->text, &at);
    }
}

/* All states over the character behind the place. True if a match ended
 * here, with its slots in *ret; worse states are dropped then. */
static bool advance(struct runner *r, size_t next, struct re_match *ret)
{
    uint32_t c = r->behind;
    bool matched = false;
    look(r, next);
    r->next.count = 0;
    for (uint32_t i = 0; i < r->now.count && !matched; i++) {
        uint32_t at = r->now.order[i];
        const struct re_instruction *code = &r->program->code[at];
        const ptrdiff_t *slots =
            r->keeps ? r->now.slots + (size_t)i * SLOTS : NULL;
        if (code->op == RE_OP_MATCH) {
            matched = true;
            for (size_t g = 0; g < RE_GROUPS && r->keeps; g++) {
                ret->from[g] = slots[2 * g];
                ret->to[g] = slots[2 * g + 1];
            }
        } else if (next <= r->text.len && takes(code, c)) {
            if (r->keeps) {
                memcpy(r->slots, slots, sizeof(r->slots));
            }
            follow(r, &r->next, at + 1);
        }
    }
    struct states swap = r->now;
    r->now = r->next;
    r->next = swap;
    return matched;
}

static void start(struct runner *r)
{
    for (size_t i = 0; i < SLOTS && r->keeps; i++) {
        r->slots[i] = -1;
    }
    r->slots[0] = (ptrdiff_t)r->at;
    follow(r, &r->now, 0);
}

/* The size of a step for the budget. */
static bool charge(const struct runner *r)
{
    return cel_charge(r->run, 1 + r->now.count);
}

/* Room for the states is made anew for each run. */
static bool charge_room(const struct runner *r)
{
    return cel_charge(r->run, 20 + r->program->count / 8);
}

static bool go(struct runner *r, bool *ret_found, struct re_match *ret)
{
    *ret_found = false;
    for (;;) {
        if (!*ret_found) {
            start(r);
        }
        if (r->now.count == 0) {
            return true;
        }
        if (!charge(r)) {
            return false;
        }
        size_t here = r->at;
        size_t next = here;
        bool at_end = here >= r->text.len;
        if (at_end) {
            next = r->text.len + 1;
        } else {
            (void)utf8_next(r->text, &next);
        }
        if (advance(r, next, ret)) {
            *ret_found = true;
            ret->to[0] = (ptrdiff_t)here;
            if (!r->keeps) {
                return true;
            }
        }
        if (at_end) {
            return true;
        }
    }
}

static bool execute(struct runner *r, size_t from, bool *ret_found,
                    struct re_match *ret)
{
    size_t n = r->program->count;
    size_t slots = r->keeps ? n * SLOTS : 1;
    if (!charge_room(r)) {
        return false;
    }
    CLEANUP(mem_freep) uint32_t *numbers = mem_alloc(n * 4, sizeof(uint32_t));
    /* No zeros in these: they are read where they were written before. */
    CLEANUP(mem_freep)
    ptrdiff_t *kept = mem_realloc(NULL, slots * 2, sizeof(*kept));
    CLEANUP(mem_freep)
    struct todo *todo = mem_realloc(NULL, n * 2 + 2, sizeof(*todo));
    r->now = (struct states){numbers, numbers + n, kept, 0};
    r->next =
        (struct states){numbers + 2 * n, numbers + 3 * n, kept + slots, 0};
    r->todo = todo;
    r->before = UTF8_BAD;
    r->behind = from > 0 ? (unsigned char)r->text.at[from - 1] : UTF8_BAD;
    look(r, from);
    return go(r, ret_found, ret);
}

bool re_search(const struct re_program *p, struct str text, struct cel_run *run,
               bool *ret)
{
    struct re_match ignored;
    struct runner r = {.program = p, .text = text, .run = run};
    return execute(&r, 0, ret, &ignored);
}

bool re_find(const struct re_program *p, struct str text, size_t from,
             struct cel_run *run, bool *ret_found, struct re_match *ret)
{
    struct runner r = {.program = p, .text = text, .run = run, .keeps = true};
    *ret = (struct re_match){{0}, {0}};
    return execute(&r, from, ret_found, ret);
}
