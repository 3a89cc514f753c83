/*
 * The event stream: what became durable, passed on to whoever watches. A
 * bounded ring holds the latest messages in the form in which they are sent;
 * a client is a place in it. One that falls too far behind is dropped, one
 * that comes back (Last-Event-ID) goes on where it was or is told to start
 * over (`event: reset`).
 *
 * Message ids are (start of the process in ms << 20) + a running number: they
 * rise over restarts, too. While nobody watches, messages are counted but not
 * made, and whoever asks for what was before gets a reset.
 *
 * Publishing: any thread. A client's pull and its end: the server's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "net/http.h"

#define HUB_CLIENTS_MAX 64
#define HUB_MESSAGES_MAX 4096
#define HUB_BYTES_MAX (1024UL * 1024)
#define HUB_BEHIND_MAX_BYTES (256UL * 1024) /* then a client is dropped */
#define HUB_HEARTBEAT_MS 15000
#define HUB_LINGER_MS 60000 /* how long the ring is fed without clients */
#define HUB_RETRY_MS 2000   /* when clients are to come back */

struct hub;
struct hub_client;

/* clients_max 0: HUB_CLIENTS_MAX. */
struct hub *hub_new(unsigned clients_max, uint64_t boot_ms);
void hub_free(struct hub *h);

/* False: nobody would see a message; call hub_skip instead of making it. */
bool hub_watched(const struct hub *h);
void hub_skip(struct hub *h, size_t messages);

/* Adds a message; data is one line of JSON. hub_wake after the last one of a
 * batch sends them. */
void hub_add(struct hub *h, const char *event, struct str data);
void hub_wake(struct hub *h);

/* Who wants to follow. */
struct hub_follower {
    struct str owner; /* one owner's clients leave a quarter to the others */
    struct str last;  /* Last-Event-ID, "" if none */
    bool (*still)(void *context); /* behind each heartbeat: may it stay? */
    void *context;
};

/* A new client, which copies the owner. NULL: there are too many. */
struct hub_client *hub_join(struct hub *h, const struct hub_follower *f);

/* From here on r is woken for the client; hub_leave undoes it. */
void hub_attach(struct hub_client *client, struct http_request *r);
void hub_leave(struct hub_client *client);

/* http_pull_fn over a client. */
ssize_t hub_pull(void *client, char *buf, size_t max);

unsigned hub_count(const struct hub *h);

/* A heartbeat now, as the hub's own thread makes it; for tests. */
void hub_beat(struct hub *h);
