/*
 * CEL text to a tree. Operators bind as in the language's definition; macros
 * (has, all, exists, exists_one, map, filter, their forms with two names,
 * transformList, transformMap, cel.bind, optMap, optFlatMap) are expanded
 * here. Limits are met before anything recurses. Pure; one thread.
 */
#pragma once

#include "expr/cel_ast.h"
#include "expr/cel_issue.h"

struct cel_limits {
    uint32_t bytes;  /* of the text */
    uint32_t depth;  /* of brackets and of what else nests */
    uint32_t height; /* of the tree: also of long chains like a + a + a */
};

#define CEL_LIMITS_DEFAULT                                                     \
    ((struct cel_limits){.bytes = 4096, .depth = 64, .height = 256})

/* Parses text, which must outlive the tree. Returns 0, or -EBADMSG or -E2BIG
 * with the issue set. */
NODISCARD int cel_parse(struct str text, struct cel_limits limits,
                        struct arena *a, struct cel_node **ret,
                        struct cel_issue *issue);
