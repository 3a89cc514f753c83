/*
 * An intrusive binary min-heap for timers: each node knows its place, so any
 * node can be removed in O(log n). Equal keys leave in the order in which
 * they came (the sequence number), so runs replay identically. The heap owns
 * only its array.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct heap_node {
    uint64_t key;
    uint64_t sequence;
    size_t place; /* 1-based; 0: in no heap */
};

struct heap {
    struct heap_node **at;
    size_t count;
    size_t cap;
    uint64_t next_sequence;
};

void heap_deinit(struct heap *h);

/* Adds the node, or moves it if it is already in the heap. */
void heap_set(struct heap *h, struct heap_node *node, uint64_t key);

/* Takes the node out; a node in no heap is fine. */
void heap_remove(struct heap *h, struct heap_node *node);

/* The node with the smallest key, or NULL. */
struct heap_node *heap_min(const struct heap *h);
