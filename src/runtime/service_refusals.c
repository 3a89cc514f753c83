/*
 * Runbooks that the executor will not run: others could have written them, or
 * the configuration does not permit what they ask for. It is asked about every
 * runbook when a generation comes into force, when it connects, and when it
 * has read its configuration again; its last word about a version is kept
 * here, so that people see it before an alert does.
 */
#include <string.h>
#include <syslog.h>

#include "base/mem.h"
#include "runtime/service_priv.h"

struct refusal {
    struct runbook_hash hash;
    char *path; /* the key */
    char *why;
};

static void refusal_free(struct refusal *r)
{
    if (r != NULL) {
        mem_free(r->path);
        mem_free(r->why);
        mem_free(r);
    }
}

static bool is_of(const struct refusal *r, const struct runbook_hash *hash)
{
    return memcmp(r->hash.bytes, hash->bytes, sizeof(hash->bytes)) == 0;
}

static void publish(struct service *s)
{
    pthread_mutex_lock(&s->status_lock);
    s->status.runbooks_refused = (uint32_t)map_count(&s->refusals);
    pthread_mutex_unlock(&s->status_lock);
}

static void tell_refused(struct service *s, const struct exec_message *m)
{
    const struct log_fields fields = {.message = LOG_RUNBOOK_REFUSED,
                                      .runbook = m->pin.path};
    service_tell(s, &fields,
                 "the executor refuses %.*s: %.*s; then: adctl reload",
                 STR_ARG(m->pin.path), STR_ARG(m->pin.error));
}

/* Takes the place of what was said before; returns that. */
static struct refusal *put(struct service *s, const struct exec_message *m)
{
    struct refusal *new = NULL;
    pthread_mutex_lock(&s->generation_lock);
    struct refusal *old = map_remove(&s->refusals, m->pin.path);
    if (m->pin.error.len != 0) {
        new = MEM_NEW(struct refusal);
        new->hash = m->pin.hash;
        new->path = str_dup(m->pin.path);
        new->why = str_dup(m->pin.error);
        (void)map_put(&s->refusals, str_c(new->path), new);
    }
    pthread_mutex_unlock(&s->generation_lock);
    return old;
}

void service_take_pinned(struct service *s, const struct exec_message *m)
{
    const struct runbook *rb = generation_runbook(s->generation, m->pin.path);
    if (rb == NULL || memcmp(rb->hash.bytes, m->pin.hash.bytes,
                             sizeof(rb->hash.bytes)) != 0) {
        return; /* another version is in force by now */
    }
    struct refusal *old = put(s, m);
    if (m->pin.error.len != 0 &&
        (old == NULL || !str_eq_c(m->pin.error, old->why))) {
        tell_refused(s, m);
    } else if (m->pin.error.len == 0 && old != NULL) {
        service_log(s, LOG_NOTICE, "the executor no longer refuses %.*s",
                    STR_ARG(m->pin.path));
    }
    refusal_free(old);
    publish(s);
}

void service_prune_refusals(struct service *s, const struct generation *g)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    pthread_mutex_lock(&s->generation_lock);
    while ((entry = map_next(&s->refusals, &cursor)) != NULL) {
        struct refusal *r = entry->value;
        const struct runbook *rb = generation_runbook(g, entry->key);
        if (rb == NULL || !is_of(r, &rb->hash)) {
            (void)map_remove(&s->refusals, entry->key);
            refusal_free(r);
        }
    }
    pthread_mutex_unlock(&s->generation_lock);
    publish(s);
}

void service_free_refusals(struct service *s)
{
    size_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&s->refusals, &cursor)) != NULL) {
        refusal_free(entry->value);
    }
    map_deinit(&s->refusals);
}

struct str service_refusal(struct service *s, const struct runbook *rb,
                           struct arena *a)
{
    struct str why = STR("");
    pthread_mutex_lock(&s->generation_lock);
    const struct refusal *r = map_get(&s->refusals, rb->path);
    if (r != NULL && is_of(r, &rb->hash)) {
        why = arena_str(a, str_c(r->why));
    }
    pthread_mutex_unlock(&s->generation_lock);
    return why;
}
