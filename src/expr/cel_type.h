/*
 * Types of the expression language, CEL: what the checker computes with and
 * what `type(x)` gives. A type is an immutable tree, either one of the
 * constants below or made in an arena. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/strbuf.h"

/* Kinds of values; those from CEL_DYN on are kinds of types only. */
enum cel_kind {
    CEL_ERROR,
    CEL_NULL,
    CEL_BOOL,
    CEL_INT,
    CEL_UINT,
    CEL_DOUBLE,
    CEL_STRING,
    CEL_BYTES,
    CEL_LIST,
    CEL_MAP,
    CEL_TIMESTAMP,
    CEL_DURATION,
    CEL_TYPE,
    CEL_OPTIONAL,
    CEL_IP,
    CEL_CIDR,
    CEL_DYN,
    CEL_PARAM,  /* a type to be found: T of list(T) */
    CEL_OPAQUE, /* named, known to a host's functions alone */
    CEL_OBJECT, /* named, with fields that are known; a map as a value */
};

struct cel_type;

/* A field of an object type; its index is the hint that hosts are given. */
struct cel_field {
    const char *name;
    const struct cel_type *type;
    bool may_be_absent; /* using it without a guard is warned of */
};

struct cel_type {
    enum cel_kind kind;
    uint32_t param_count; /* list 1, map 2, optional 1, type 1, opaque any */
    const struct cel_type *const *params;
    struct str name; /* of a param, an opaque or an object type */
    const struct cel_field *fields; /* of an object type */
    uint32_t field_count;
    uint32_t variable;   /* of a param: which of one check, 0 in tables */
    bool has_loose_keys; /* a map whose keys may be absent: labels */
};

extern const struct cel_type cel_type_null;
extern const struct cel_type cel_type_bool;
extern const struct cel_type cel_type_int;
extern const struct cel_type cel_type_uint;
extern const struct cel_type cel_type_double;
extern const struct cel_type cel_type_string;
extern const struct cel_type cel_type_bytes;
extern const struct cel_type cel_type_timestamp;
extern const struct cel_type cel_type_duration;
extern const struct cel_type cel_type_ip;
extern const struct cel_type cel_type_cidr;
extern const struct cel_type cel_type_dyn;
extern const struct cel_type cel_type_error;

/* T, U (for overload tables), and what is made of them. */
extern const struct cel_type cel_type_a;
extern const struct cel_type cel_type_b;
extern const struct cel_type cel_type_list_a;
extern const struct cel_type cel_type_map_ab;
extern const struct cel_type cel_type_optional_a;
extern const struct cel_type cel_type_optional_b;
extern const struct cel_type cel_type_type_a;
extern const struct cel_type cel_type_list_dyn;
extern const struct cel_type cel_type_list_string;
extern const struct cel_type cel_type_map_dyn;
/* map(string, string) whose keys may be absent: labels, annotations. */
extern const struct cel_type cel_type_labels;

/* list(of), map(key, value), optional(of), type(of) in the arena. */
const struct cel_type *cel_type_list(struct arena *a,
                                     const struct cel_type *of);
const struct cel_type *cel_type_map(struct arena *a, const struct cel_type *key,
                                    const struct cel_type *value);
const struct cel_type *cel_type_optional(struct arena *a,
                                         const struct cel_type *of);
const struct cel_type *cel_type_of_type(struct arena *a,
                                        const struct cel_type *of);

/* A type of the same kind and name with other parameters. */
const struct cel_type *cel_type_with(struct arena *a,
                                     const struct cel_type *like,
                                     const struct cel_type **params);

/* True if both print the same: kinds, names and parameters agree. */
bool cel_type_equal(const struct cel_type *a, const struct cel_type *b);

/* The name as `type(x)` prints it: "int", "list", "net.IP". */
struct str cel_type_name(const struct cel_type *t);

/* Appends the whole type: "map(string, list(int))". */
void cel_type_print(const struct cel_type *t, struct strbuf *out);

/* The type of `type(x)` for a kind of value, parameters left out. */
const struct cel_type *cel_type_of_kind(enum cel_kind kind);

/* The type that an identifier names ("int", "google.protobuf.Timestamp"), or
 * NULL. */
const struct cel_type *cel_type_named(struct str name);

/* The index of a field of an object type, or -1. */
int cel_type_field(const struct cel_type *object, struct str name);
