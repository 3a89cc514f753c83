#include "base/heap.h"

#include "base/assert.h"
#include "base/mem.h"

void heap_deinit(struct heap *h)
{
    mem_free(h->at);
    *h = (struct heap){0};
}

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void put(struct heap *h, size_t place, struct heap_node *node)
{
    h->at[place - 1] = node;
    node->place = place;
}

static void sift_up(struct heap *h, struct heap_node *node)
{
    size_t place = node->place;
    while (place > 1 && before(node, h->at[place / 2 - 1])) {
        put(h, place, h->at[place / 2 - 1]);
        place /= 2;
    }
    put(h, place, node);
}

static void sift_down(struct heap *h, struct heap_node *node)
{
    size_t place = node->place;
    for (;;) {
        size_t child = place * 2;
        if (child > h->count) {
            break;
        }
        if (child < h->count && before(h->at[child], h->at[child - 1])) {
            child++;
        }
        if (!before(h->at[child - 1], node)) {
            break;
        }
        put(h, place, h->at[child - 1]);
        place = child;
    }
    put(h, place, node);
}

void heap_set(struct heap *h, struct heap_node *node, uint64_t key)
{
    heap_remove(h, node);
    if (h->count == h->cap) {
        h->cap = h->cap != 0 ? h->cap * 2 : 16;
        h->at = mem_realloc(h->at, h->cap, sizeof(struct heap_node *));
    }
    node->key = key;
    node->sequence = h->next_sequence++;
    h->count++;
    put(h, h->count, node);
    sift_up(h, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    ASSERT(node->place <= h->count && h->at[node->place - 1] == node);
    struct heap_node *last = h->at[h->count - 1];
    size_t hole = node->place;
    h->count--;
    node->place = 0;
    if (last == node) {
        return;
    }
    put(h, hole, last);
    sift_up(h, last);
    sift_down(h, last);
}

struct heap_node *heap_min(const struct heap *h)
{
    return h->count != 0 ? h->at[0] : NULL;
}
