/*
 * The engine's end of the executor connection: a non-blocking SOCK_SEQPACKET
 * socket on an sd-event loop. Connects, says HELLO, reconnects with backoff,
 * hands decoded messages to one callback, queues what does not fit into the
 * socket (bounded: past EXEC_QUEUE_MAX the connection is dropped and made
 * again, and recovery asks anew). Engine thread only.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "wire/exec_proto.h"

/* More than the engine can ask for in one go: when the executor welcomes it,
 * that is a START for every attempt in flight (max_concurrent: 10000). */
#define EXEC_QUEUE_MAX 16384
#define EXEC_QUEUE_MAX_BYTES (64UL * 1024 * 1024)

struct exec_client;

struct exec_client_options {
    sd_event *event;         /* the client takes a reference */
    const char *socket_path; /* copied */
    /* WELCOME first, then whatever the executor says. message == NULL: the
     * connection, which had been up, is gone. Strings are borrowed. Called
     * from the loop only, never from exec_client_send; may send, must not
     * free the client. */
    void (*on_message)(void *context, const struct exec_message *message);
    void *context;
};

/* A client that begins to connect when the loop runs. -EINVAL: the path does
 * not fit into a socket address. */
NODISCARD int exec_client_new(const struct exec_client_options *options,
                              struct exec_client **ret, struct err *reterr);
/* Says no more goodbye to on_message; what is queued is dropped. NULL is
 * fine. */
void exec_client_free(struct exec_client *c);

/* Queues a message; dropped silently while not connected (the engine asks
 * again when EXECUTOR_UP tells it to). */
void exec_client_send(struct exec_client *c, const struct exec_message *m);
/* Ends the connection that is up and makes another one, for which the executor
 * reads its configuration again. It is told of as any loss and welcome are. */
void exec_client_renew(struct exec_client *c);

/* True from WELCOME until the connection is lost. */
bool exec_client_is_up(const struct exec_client *c);

/* Starts `program executor ARGS...` detached (own session, not our child for
 * long), unless something already accepts on the socket. Used by a daemon
 * that runs in the foreground; under systemd the executor has its own unit.
 * It gets our environment, working folder and stderr, /dev/null as input and
 * output, and no other descriptor. Does not wait until it listens; fails when
 * it cannot be executed. Forks: call it while the process is still small. */
NODISCARD int exec_spawn_detached(const char *program, char *const argv[],
                                  const char *socket_path, struct err *reterr);
