/* One group of operations, one transaction: the committer without its
 * thread. */
#include <errno.h>

#include "base/assert.h"
#include "store/committer.h"

/* A group also ends once it holds this many rows, so that a few great batches
 * do not make everybody else wait for a long commit. */
#define GROUP_ROWS_MAX 1024

/* One attempt at a transaction. */
struct round {
    const struct store_driver *driver;
    struct store *store;
    uint64_t now_ms;
    struct list ran;   /* operations with their results so far */
    struct list given; /* claims that got events */
};

void commit_group_init(struct commit_group *g)
{
    *g = (struct commit_group){0};
    list_init(&g->ops);
    list_init(&g->claims);
    list_init(&g->finished);
}

static struct store_op *op_of(struct list *link)
{
    return CONTAINER_OF(link, struct store_op, link);
}

static void finish(struct commit_group *g, struct store_op *op, int result)
{
    op->result = result;
    list_remove(&op->link);
    list_push(&g->finished, &op->link);
}

static void finish_all(struct commit_group *g, struct list *from, int result)
{
    LIST_EACH_SAFE (from, it, after) {
        finish(g, op_of(it), result);
    }
}

static size_t rows_of(const struct store_op *op)
{
    switch (op->kind) {
    case STORE_INGEST:
        return op->ingest.count;
    case STORE_APPLY:
        return op->apply.count;
    case STORE_CLAIM:
    case STORE_PIN:
    case STORE_OP_KINDS:
        break;
    }
    return 1;
}

/* Takes the next operations off g->ops into *taken; claims go to wait with
 * the others. */
static void take_group(struct commit_group *g, struct list *taken)
{
    size_t ops = 0;
    size_t rows = 0;
    while (ops < STORE_GROUP_MAX && rows < GROUP_ROWS_MAX &&
           !list_empty(&g->ops)) {
        struct store_op *op = op_of(list_pop(&g->ops));
        list_push(op->kind == STORE_CLAIM ? &g->claims : taken, &op->link);
        ops++;
        rows += rows_of(op);
    }
}

static void run_ops(struct round *r, struct list *ops)
{
    LIST_EACH_SAFE (ops, it, after) {
        struct store_op *op = op_of(it);
        op->result = r->driver->run(r->store, op, r->now_ms);
        list_remove(it);
        list_push(&r->ran, it);
    }
}

/* Is it better to let the claims wait for the next group? */
static bool put_off(const struct round *r, struct commit_group *g)
{
    if (list_empty(&g->claims) || g->busy == NULL ||
        g->put_off >= COMMIT_PUT_OFF_MAX ||
        r->driver->queued(r->store) >= op_of(g->claims.next)->claim.limit ||
        !g->busy(g->busy_context)) {
        g->put_off = 0;
        return false;
    }
    g->put_off++;
    return true;
}

/* First come, first served; stops at the first that finds nothing. */
static void run_claims(struct round *r, struct list *claims)
{
    LIST_EACH_SAFE (claims, it, after) {
        struct store_op *op = op_of(it);
        op->result = r->driver->run(r->store, op, r->now_ms);
        if (op->result < 0) {
            break;
        }
        list_remove(it);
        list_push(&r->given, it);
    }
}

/* claims: the group whose claims are served, or NULL. */
static int transact(struct round *r, struct list *ops,
                    struct commit_group *claims)
{
    list_init(&r->ran);
    list_init(&r->given);
    if (r->driver->begin(r->store) < 0) {
        list_splice(&r->ran, ops);
        return -EIO;
    }
    run_ops(r, ops);
    if (claims != NULL && !claims->hold && !put_off(r, claims)) {
        run_claims(r, &claims->claims);
    }
    return r->driver->commit(r->store);
}

/* Who is refused at the nth time that the disk is full: events, so that what
 * is left of it serves what is running already; then what may be. */
static bool is_refused(const struct store_op *op, int nth)
{
    return op->kind == STORE_INGEST || (nth > 1 && op->optional);
}

static bool any_is_refused(const struct round *r, int nth)
{
    LIST_EACH (&r->ran, it) {
        if (is_refused(op_of(it), nth)) {
            return true;
        }
    }
    return false;
}

/* Nothing of the group was kept. Claims wait on; some are refused, the rest
 * goes to *again. What had failed by itself keeps its own result. */
static void sort_after_full(struct commit_group *g, struct round *r, int nth,
                            struct list *again)
{
    list_splice(&r->given, &g->claims);
    list_splice(&g->claims, &r->given);
    LIST_EACH_SAFE (&r->ran, it, after) {
        struct store_op *op = op_of(it);
        if (op->result < 0 && op->result != -ENOSPC) {
            finish(g, op, op->result);
        } else if (is_refused(op, nth)) {
            finish(g, op, -ENOSPC);
        } else {
            list_remove(it);
            list_push(again, it);
        }
    }
}

static int fail_everything(struct commit_group *g, struct round *r)
{
    finish_all(g, &r->ran, -EIO);
    finish_all(g, &r->given, -EIO);
    finish_all(g, &g->ops, -EIO);
    finish_all(g, &g->claims, -EIO);
    return -EIO;
}

static void finish_round(struct commit_group *g, struct round *r)
{
    LIST_EACH_SAFE (&r->ran, it, after) {
        finish(g, op_of(it), op_of(it)->result);
    }
    finish_all(g, &r->given, 0);
}

int commit_group_run(const struct store_driver *driver, struct store *s,
                     struct commit_group *g, uint64_t now_ms)
{
    struct round round = {.driver = driver, .store = s, .now_ms = now_ms};
    struct list ops;
    list_init(&ops);
    take_group(g, &ops);
    int r = transact(&round, &ops, g);
    /* The driver has let go of its reserve: once more, without events; once
     * more without changes. A store that still cannot write is as good as
     * broken. */
    for (int nth = 1; r == -ENOSPC && (nth == 1 || any_is_refused(&round, nth));
         nth++) {
        sort_after_full(g, &round, nth, &ops);
        list_init(&round.ran);
        list_init(&round.given);
        r = list_empty(&ops) ? 0 : transact(&round, &ops, NULL);
    }
    if (r < 0) {
        return fail_everything(g, &round);
    }
    finish_round(g, &round);
    return 0;
}
