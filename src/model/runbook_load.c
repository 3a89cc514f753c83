#include "model/runbook_load_priv.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/mem.h"

void runbook_report_deinit(struct runbook_report *r)
{
    VEC_DEINIT(&r->problems);
    r->error_count = 0;
}

/* Messages quote the file: control characters and the halves of characters
 * that a cut has left are replaced, so that every message is one line of
 * UTF-8. */
static void tidy(char *text)
{
    struct str s = str_c(text);
    bool valid = str_is_utf8(s);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7F || (c >= 0x80 && !valid)) {
            text[i] = '?';
        }
    }
}

static bool is_later(const struct err *a, const struct err *b)
{
    return a->at.line > b->at.line ||
           (a->at.line == b->at.line && a->at.column > b->at.column);
}

/* In the order of the file; those at one place keep the order in which they
 * were found. There are few of them. */
static void sort_problems(struct runbook_report *r)
{
    for (size_t i = 1; i < r->problems.count; i++) {
        struct runbook_problem p = r->problems.at[i];
        size_t j = i;
        while (j > 0 && is_later(&r->problems.at[j - 1].err, &p.err)) {
            r->problems.at[j] = r->problems.at[j - 1];
            j--;
        }
        r->problems.at[j] = p;
    }
}

static void finish_report(struct runbook_report *r)
{
    VEC_EACH (&r->problems, i) {
        struct err *e = &r->problems.at[i].err;
        tidy(e->field);
        tidy(e->message);
        tidy(e->hint);
    }
    sort_problems(r);
}

static void add_error(struct runbook_report *r, const struct err *e)
{
    VEC_PUSH(&r->problems, (struct runbook_problem){.err = *e});
    r->error_count++;
}

static struct runbook *runbook_new(struct str path, struct str text)
{
    struct runbook *rb = MEM_NEW(struct runbook);
    atomic_init(&rb->refs, 1);
    arena_init(&rb->arena);
    rb->path = arena_str(&rb->arena, path);
    rb->text = arena_str(&rb->arena, text);
    rb->hash = runbook_hash_of(text);
    return rb;
}

static void load_document(struct runbook *rb, const struct yaml_doc *doc,
                          const struct runbook_defaults *defaults,
                          struct runbook_report *report)
{
    const struct yaml_node *root = yaml_root(doc);
    if (root == NULL) {
        struct err e = ERR_INIT;
        (void)err_set(&e, -EINVAL, "the file is empty");
        err_hint(&e, "a runbook needs at least 'name' and 'steps'");
        add_error(report, &e);
        return;
    }
    struct loader l = {.rb = rb, .defaults = defaults, .report = report};
    loader_read_map(&l, root, &runbook_keys, rb);
}

int runbook_load(struct str path, struct str text,
                 const struct runbook_defaults *defaults, struct runbook **ret,
                 struct runbook_report *report)
{
    static const struct yaml_limits limits = {.bytes = RUNBOOK_MAX_BYTES,
                                              .depth = RUNBOOK_MAX_DEPTH,
                                              .nodes = RUNBOOK_MAX_NODES};
    *report = (struct runbook_report){0};
    CLEANUP(yaml_doc_freep) struct yaml_doc *doc = NULL;
    struct err e = ERR_INIT;
    if (yaml_parse(text, &limits, &doc, &e) < 0) {
        add_error(report, &e);
        finish_report(report);
        return -EINVAL;
    }
    CLEANUP(runbook_unrefp) struct runbook *rb = runbook_new(path, text);
    rb->defaults = *defaults;
    load_document(rb, doc, defaults, report);
    finish_report(report);
    if (report->error_count != 0) {
        return -EINVAL;
    }
    *ret = TAKE(rb);
    return 0;
}
