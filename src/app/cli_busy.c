#include "app/cli_busy.h"

#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "os/clock.h"

#define TURN_MS 1000
#define TEXT_SIZE 160
#define ERASE "\r\033[K"

/* The line belongs to a thread of its own: what is waited for does not return
 * in between. */
struct cli_busy {
    FILE *err;
    unsigned columns;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
    bool shown;
    uint64_t since_ms;
    char text[TEXT_SIZE];
};

static struct timespec after(uint64_t in_ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t ns = (uint64_t)t.tv_nsec + (in_ms % 1000) * 1000000;
    t.tv_sec += (time_t)(in_ms / 1000 + ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    return t;
}

/* With the lock held. */
static void show(struct cli_busy *b)
{
    uint64_t seconds = (os_monotonic_ms() - b->since_ms) / 1000;
    (void)fprintf(b->err, ERASE "%.*s ... %llu s", (int)b->columns, b->text,
                  (unsigned long long)seconds);
    (void)fflush(b->err);
    b->shown = true;
}

static void *tick(void *context)
{
    struct cli_busy *b = context;
    (void)pthread_mutex_lock(&b->lock);
    struct timespec next = after(CLI_BUSY_AFTER_MS);
    while (!b->is_over) {
        if (pthread_cond_timedwait(&b->over, &b->lock, &next) != 0 &&
            !b->is_over) {
            show(b);
            next = after(TURN_MS);
        }
    }
    (void)pthread_mutex_unlock(&b->lock);
    return NULL;
}

static struct cli_busy *begin(const struct cli *cli)
{
    struct cli_busy *b = MEM_NEW(struct cli_busy);
    pthread_condattr_t clock;
    b->err = cli->err;
    /* Room for the seconds behind it. */
    b->columns = cli->terminal.columns > 40 ? cli->terminal.columns - 16 : 40;
    b->since_ms = os_monotonic_ms();
    ASSERT(pthread_mutex_init(&b->lock, NULL) == 0);
    ASSERT(pthread_condattr_init(&clock) == 0 &&
           pthread_condattr_setclock(&clock, CLOCK_MONOTONIC) == 0 &&
           pthread_cond_init(&b->over, &clock) == 0);
    (void)pthread_condattr_destroy(&clock);
    return b;
}

static void end(struct cli_busy *b)
{
    (void)pthread_mutex_lock(&b->lock);
    b->is_over = true;
    (void)pthread_cond_signal(&b->over);
    (void)pthread_mutex_unlock(&b->lock);
    (void)pthread_join(b->thread, NULL);
    if (b->shown) {
        (void)fputs(ERASE, b->err);
        (void)fflush(b->err);
    }
    (void)pthread_cond_destroy(&b->over);
    (void)pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

static void set_text(struct cli_busy *b, const char *what)
{
    (void)pthread_mutex_lock(&b->lock);
    (void)snprintf(b->text, sizeof(b->text), "%s", what);
    (void)pthread_mutex_unlock(&b->lock);
}

bool cli_is_busy(const struct cli *cli)
{
    return cli->busy != NULL;
}

void cli_busy(struct cli *cli, const char *what)
{
    struct cli_busy *b = cli->busy;
    if (what == NULL) {
        cli->busy = NULL;
        if (b != NULL) {
            end(b);
        }
        return;
    }
    if (b != NULL) {
        set_text(b, what);
        return;
    }
    if (isatty(fileno(cli->err)) == 0) {
        return;
    }
    b = begin(cli);
    set_text(b, what);
    if (pthread_create(&b->thread, NULL, tick, b) != 0) {
        mem_free(b); /* then it is not said */
        return;
    }
    cli->busy = b;
}
