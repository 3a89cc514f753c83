/*
 * Reading scraped pages on a thread of its own, so that a large page or a
 * costly rule delays other scrapes and nothing else: what a page says is not
 * in our hands. A page is read against one set of rules; what they ask for
 * comes back as hits.
 *
 * The scraper makes, adds and frees; done is called from the pages' thread.
 */
#pragma once

#include <stdatomic.h>

#include "base/list.h"
#include "base/vec.h"
#include "integrations/sample_rule.h"
#include "wire/exposition.h"

#define PAGE_WHY_SIZE 256

/* Immutable; shared by count. */
struct rule_set {
    _Atomic(uint32_t) refs;
    struct arena arena;
    struct sample_rule *rules;
    uint32_t count;
};

/* The rules of a list that ends in NULL (NULL: none); those that do not parse
 * are left out. One reference. */
struct rule_set *rule_set_new(const char *const *texts);
struct rule_set *rule_set_ref(struct rule_set *r);
void rule_set_unref(struct rule_set *r); /* NULL is fine */

/* A sample that a rule asks for. Texts are the page's. */
struct hit {
    const struct sample_rule *rule;
    const struct exposition_sample *sample;
    const char *key; /* of rule and series: "HASH/FINGERPRINT/NAME" */
};

/* Caller-owned; the given part stays until done was called, once. */
struct page {
    /* given */
    struct str text;
    enum exposition_format format;
    struct rule_set *rules;
    uint64_t sample_limit;
    uint32_t hits_max;
    void (*done)(struct page *p);
    void *context;
    /* outcome */
    struct arena arena;   /* of the hits */
    VEC(struct hit) hits; /* none when the page is bad */
    uint64_t samples;
    uint64_t over;           /* hits past hits_max */
    uint64_t took_ms;        /* of reading it */
    char why[PAGE_WHY_SIZE]; /* what is wrong with it, "": nothing */
    struct list link;        /* the pages' */
};

void page_deinit(struct page *p);

/* Reads one here and now. */
struct pages;
void page_read(struct page *p, const atomic_bool *halting);

/* Starts the thread. 0 or a negative errno. */
NODISCARD int pages_new(struct pages **ret);

/* Takes a page; first come, first read. */
void pages_add(struct pages *s, struct page *p);

/* Ends the thread: pages that wait, and one that is being read, are done with
 * "the engine is stopping". NULL is fine. */
void pages_free(struct pages *s);
