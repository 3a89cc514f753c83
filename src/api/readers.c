#include <errno.h>

#include "api/api_priv.h"
#include "base/assert.h"

/* Reading threads: a slow read must not hold up the events that come in. */
#define READER_THREADS 2
#define READER_QUEUE_MAX 256

/* The calling thread's reader, opened when it is first needed. */
static int own_reader(struct api *a, struct reader **ret)
{
    struct reader *mine = pthread_getspecific(a->reader_key);
    struct err err = ERR_INIT;
    if (mine != NULL) {
        *ret = mine;
        return 0;
    }
    int r = service_reader(a->service, &mine, &err);
    if (r < 0) {
        return r;
    }
    pthread_mutex_lock(&a->readers_lock);
    ASSERT(a->reader_count < ARRAY_LEN(a->readers));
    a->readers[a->reader_count++] = mine;
    pthread_mutex_unlock(&a->readers_lock);
    ASSERT(pthread_setspecific(a->reader_key, mine) == 0);
    *ret = mine;
    return 0;
}

/* Answers are whole in memory until they are sent: many that are large and
 * taken slowly must not fill it. An administrator of this machine is answered
 * all the same. */
static bool has_room(const struct call *c)
{
    const struct http_server *http = atomic_load(&c->api->http);
    return (c->who.name[0] != '\0' && !c->who.by_token) || http == NULL ||
           http_answer_bytes(http) < API_ANSWERS_MAX_BYTES;
}

static void run(struct pool_job *job)
{
    struct call *c = CONTAINER_OF(job, struct call, job);
    if (!has_room(c)) {
        answer_busy(c, "busy",
                    "large answers that their readers have not taken yet "
                    "fill the room for them; try again");
        return;
    }
    int r = own_reader(c->api, &c->reader);
    if (r == -EBADMSG) {
        answer_read_error(c, r);
        return;
    }
    if (r < 0) {
        answer_busy(c, "busy", "the store cannot be read at the moment");
        return;
    }
    c->route->handler(c);
}

void call_to_reader(struct call *c)
{
    pool_job_init(&c->job, run);
    if (pool_submit(c->api->pool, &c->job) < 0) {
        answer_busy(c, "busy", "too many requests wait to read the store");
    }
}

int readers_start(struct api *a)
{
    if (pthread_key_create(&a->reader_key, NULL) != 0) {
        return -EAGAIN;
    }
    a->has_reader_key = true;
    return pool_start("api", READER_THREADS, READER_QUEUE_MAX, &a->pool);
}

void readers_stop(struct api *a)
{
    pool_stop(a->pool);
    a->pool = NULL;
    for (size_t i = 0; i < a->reader_count; i++) {
        a->readers[i]->ops->close(a->readers[i]);
    }
    a->reader_count = 0;
    if (a->has_reader_key) {
        (void)pthread_key_delete(a->reader_key);
        a->has_reader_key = false;
    }
}
