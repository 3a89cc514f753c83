/*
 * Values of CEL: 16 bytes, passed by value, immutable. What they point to is
 * owned by the arena of the evaluation, by the program (literals) or by the
 * host (its variables), and must outlive them. An error is a value too: it
 * flows through an expression until && or || absorbs it.
 *
 * struct cel_run is one evaluation: everything that can take time or memory
 * asks it first, so that a hostile expression ends within its budget. Pure;
 * one evaluation by one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "expr/cel_type.h"

struct cel_list;
struct cel_map;
struct cel_net;
struct cel_fault;

struct cel_value {
    uint32_t kind; /* enum cel_kind */
    uint32_t more; /* bytes of a text, nanoseconds of a timestamp */
    union {
        bool boolean;
        int64_t i; /* int; seconds of a timestamp, ns of a duration */
        uint64_t u;
        double d;
        const char *text; /* string (UTF-8), bytes */
        const struct cel_list *list;
        const struct cel_map *map;
        const struct cel_type *type;
        const struct cel_value *some; /* optional: NULL is none */
        const struct cel_net *net;    /* ip, cidr */
        const struct cel_fault *fault;
    };
};

struct cel_list {
    const struct cel_value *items;
    uint32_t count;
};

struct cel_entry {
    struct cel_value key;
    struct cel_value value;
};

/* The field's index in its object type is not known. */
#define CEL_NO_HINT UINT32_MAX

/* How a host shows something of its own as a map without building one. */
struct cel_map_ops {
    /* False if there is no such key. hint is the index of the field in the
     * object type that was declared, or CEL_NO_HINT. */
    bool (*get)(const struct cel_map *m, struct cel_value key, uint32_t hint,
                struct cel_value *ret);
    uint32_t (*count)(const struct cel_map *m);
    struct cel_entry (*at)(const struct cel_map *m, uint32_t i);
};

struct cel_map {
    const struct cel_map_ops *ops; /* NULL: the entries below */
    const void *host;
    const struct cel_entry *entries; /* in the order they were written */
    uint32_t *slots;                 /* index + 1 by hash; 0 is empty */
    uint32_t slot_count;             /* 0: few entries, searched in order */
    uint32_t count;
};

/* An address of 16 bytes; IPv4 in the last four, with is_v4. */
struct cel_net {
    uint8_t bytes[16];
    bool is_v4;
    uint8_t prefix; /* of a cidr */
};

/* Why an evaluation has no value. */
enum cel_fault_code {
    CEL_FAULT_NO_OVERLOAD,
    CEL_FAULT_NO_KEY,
    CEL_FAULT_RANGE,
    CEL_FAULT_DIVIDE,
    CEL_FAULT_ARGUMENT,
    CEL_FAULT_UNDECLARED,
    CEL_FAULT_BUDGET, /* units or memory used up: nothing absorbs it */
};

struct cel_fault {
    enum cel_fault_code code;
    uint32_t offset; /* in the expression */
    struct str message;
};

struct cel_input;
struct cel_term;

struct cel_run {
    struct arena *arena;
    const struct cel_input *input;
    struct cel_value *locals; /* of the macros, by depth */
    struct cel_term *terms;   /* of an explanation; else NULL */
    int64_t units;            /* left */
    size_t bytes;             /* left */
    uint32_t offset;          /* of the call that is made */
    bool spent;               /* a budget is used up */
};

/* Takes units from the budget; false when it is used up. */
bool cel_charge(struct cel_run *run, size_t units);

/* Zeroed room in the arena, or NULL when the budget is used up. */
void *cel_alloc(struct cel_run *run, size_t n, size_t size);

/* An error value with a message of at most a few hundred bytes. */
struct cel_value cel_fail(struct cel_run *run, enum cel_fault_code code,
                          const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The error value of a used-up budget. */
struct cel_value cel_spent(struct cel_run *run);

/* The error "no such overload: NAME(int, string)". */
struct cel_value cel_no_overload(struct cel_run *run, const char *name,
                                 const struct cel_value *args, size_t count);

static inline struct cel_value cel_null(void)
{
    return (struct cel_value){.kind = CEL_NULL};
}

static inline struct cel_value cel_bool(bool b)
{
    return (struct cel_value){.kind = CEL_BOOL, .u = b};
}

static inline struct cel_value cel_int(int64_t i)
{
    return (struct cel_value){.kind = CEL_INT, .i = i};
}

static inline struct cel_value cel_uint(uint64_t u)
{
    return (struct cel_value){.kind = CEL_UINT, .u = u};
}

static inline struct cel_value cel_double(double d)
{
    return (struct cel_value){.kind = CEL_DOUBLE, .d = d};
}

/* The bytes are borrowed; they must be UTF-8 and fewer than 4 GiB. */
static inline struct cel_value cel_string(struct str s)
{
    return (struct cel_value){
        .kind = CEL_STRING, .more = (uint32_t)s.len, .text = s.at};
}

static inline struct cel_value cel_bytes(struct str s)
{
    return (struct cel_value){
        .kind = CEL_BYTES, .more = (uint32_t)s.len, .text = s.at};
}

static inline struct cel_value cel_duration(int64_t ns)
{
    return (struct cel_value){.kind = CEL_DURATION, .i = ns};
}

static inline struct cel_value cel_timestamp(int64_t seconds, uint32_t ns)
{
    return (struct cel_value){.kind = CEL_TIMESTAMP, .more = ns, .i = seconds};
}

static inline struct cel_value cel_type_value(const struct cel_type *t)
{
    return (struct cel_value){.kind = CEL_TYPE, .type = t};
}

static inline struct cel_value cel_map_value(const struct cel_map *m)
{
    return (struct cel_value){.kind = CEL_MAP, .map = m};
}

static inline struct cel_value cel_list_value(const struct cel_list *l)
{
    return (struct cel_value){.kind = CEL_LIST, .list = l};
}

static inline struct cel_value cel_none(void)
{
    return (struct cel_value){.kind = CEL_OPTIONAL};
}

static inline bool cel_is_error(struct cel_value v)
{
    return v.kind == CEL_ERROR;
}

/* The bytes of a string or bytes value. */
static inline struct str cel_text(struct cel_value v)
{
    return (struct str){v.text, v.more};
}

/* optional.of(v), or the error of a used-up budget. */
struct cel_value cel_some(struct cel_run *run, struct cel_value v);

/* A list of the items, which are borrowed. */
struct cel_value cel_new_list(struct cel_run *run,
                              const struct cel_value *items, uint32_t count);

/* A map of the entries, which are borrowed; an error names a key that stands
 * twice or is of a kind that keys cannot be. */
struct cel_value cel_new_map(struct cel_run *run,
                             const struct cel_entry *entries, uint32_t count);

/* A copy of the text as a value of the kind (string or bytes). */
struct cel_value cel_copy_text(struct cel_run *run, enum cel_kind kind,
                               struct str s);

uint32_t cel_map_count(const struct cel_map *m);
struct cel_entry cel_map_at(const struct cel_map *m, uint32_t i);
/* The value of a key of any kind; numbers are found by what they count, so
 * 1, 1u and 1.0 are one key. False if there is none. */
bool cel_map_get(const struct cel_map *m, struct cel_value key, uint32_t hint,
                 struct cel_value *ret);

/* CEL's ==: numbers by what they count, different kinds never equal. */
bool cel_equal(struct cel_run *run, struct cel_value a, struct cel_value b);

enum cel_order {
    CEL_LESS = -1,
    CEL_SAME = 0,
    CEL_MORE = 1,
    CEL_UNORDERED, /* NaN */
    CEL_UNLIKE,    /* the kinds have no order */
};

/* The order of two values of kinds that can be compared. */
enum cel_order cel_compare(struct cel_value a, struct cel_value b);

/* True for what its type calls zero or empty: 0, "", [], null, false. */
bool cel_is_zero(struct cel_value v);

/* The type that `type(v)` gives. */
const struct cel_type *cel_type_of(struct cel_value v);
