/* Requests whose outcome is waited for. */
#include "runtime/service.h"

#include <pthread.h>

#include "base/assert.h"

struct waiter {
    struct service_request request;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
};

static void on_done(struct service_request *request)
{
    struct waiter *w = CONTAINER_OF(request, struct waiter, request);
    ASSERT(pthread_mutex_lock(&w->lock) == 0);
    w->done = true;
    pthread_cond_signal(&w->ended);
    ASSERT(pthread_mutex_unlock(&w->lock) == 0);
}

int service_post_and_wait(struct service *s, struct service_request *request)
{
    struct waiter w = {.request = *request};
    ASSERT(pthread_mutex_init(&w.lock, NULL) == 0);
    ASSERT(pthread_cond_init(&w.ended, NULL) == 0);
    w.request.done = on_done;
    service_post(s, &w.request);
    ASSERT(pthread_mutex_lock(&w.lock) == 0);
    while (!w.done) {
        ASSERT(pthread_cond_wait(&w.ended, &w.lock) == 0);
    }
    ASSERT(pthread_mutex_unlock(&w.lock) == 0);
    pthread_cond_destroy(&w.ended);
    pthread_mutex_destroy(&w.lock);
    return w.request.result;
}
