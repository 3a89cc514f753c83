/*
 * An intrusive doubly linked list. The node lives inside its object; the list
 * owns nothing. A list head must be initialised before use.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct list {
    struct list *prev;
    struct list *next;
};

static inline void list_init(struct list *head)
{
    head->prev = head->next = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_push(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Unlinks a node; a node that is in no list (initialised) is fine. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The oldest node, unlinked, or NULL. */
static inline struct list *list_pop(struct list *head)
{
    struct list *node = head->next;
    if (node == head) {
        return NULL;
    }
    list_remove(node);
    return node;
}

/* Moves everything of `from` behind what `to` has; from is empty after. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define LIST_EACH(head, it)                                                    \
    for (struct list *it = (head)->next; it != (head); it = it->next)
#define LIST_EACH_SAFE(head, it, after)                                        \
    for (struct list *it = (head)->next, *after = it->next; it != (head);      \
         it = after, after = it->next)
