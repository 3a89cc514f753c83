/*
 * The engine's end of the executor connection: a non-blocking SOCK_SEQPACKET
 * socket on an sd-event loop. Connects, says HELLO, reconnects with backoff,
 * hands decoded messages to one callback, queues what does not fit into the
 * socket (bounded: past EXEC_QUEUE_MAX the connection is dropped and made
 * again, and recovery asks anew). Engine thread only.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/err.h"
#include "wire/exec_proto.h"

struct exec_client;

struct exec_client_options {
    sd_event *event;
    const char *socket_path;
    /* message == NULL: the connection is gone. Strings are borrowed. */
    void (*on_message)(void *context, const struct exec_message *message);
    void *context;
};

NODISCARD int exec_client_new(const struct exec_client_options *options,
                              struct exec_client **ret, struct err *reterr);
void exec_client_free(struct exec_client *c);

/* Queues a message; dropped silently while not connected (the engine asks
 * again when EXECUTOR_UP tells it to). */
void exec_client_send(struct exec_client *c, const struct exec_message *m);
bool exec_client_is_up(const struct exec_client *c);

/* Starts `program executor ARGS...` detached (own session, not our child for
 * long), unless something already accepts on the socket. Used by a daemon
 * that runs in the foreground; under systemd the executor has its own unit. */
NODISCARD int exec_spawn_detached(const char *program, char *const argv[],
                                  const char *socket_path,
                                  struct err *reterr);
