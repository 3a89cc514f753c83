/*
 * The listening socket over a restart: systemd keeps it in the unit's store
 * while the engine is away, so that clients which connect in between wait for
 * the next engine and are not refused. It needs FileDescriptorStoreMax= in the
 * unit; without it, or without systemd, nothing is kept. On the main thread,
 * before there are others.
 */
#pragma once

#include <stdbool.h>

/* The socket that an earlier engine left, or that a socket unit opened: the
 * caller's from here on; 0 when there is none. What else was handed over is
 * closed. Children do not inherit the list. */
int kept_socket_take(void);

/* Has systemd keep the socket, which it does not do yet. */
void kept_socket_leave(int fd);

/* Has systemd give up the one it keeps, or nobody would ever answer those who
 * connect to it. */
void kept_socket_drop(void);

/* Is there somebody who may keep it? */
bool kept_socket_is_wanted(void);
