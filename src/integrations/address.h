/*
 * The addresses that a partner system cannot have, whatever its name resolves
 * to: those of the link and of nobody, and those behind which a cloud tells its
 * machines' credentials; in every form in which IPv6 can write them. Loopback
 * and private addresses are allowed, because that is where a Prometheus lives.
 * Any thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* May a partner have this address? Anything but IPv4 and IPv6: no. */
bool address_allowed(const struct sockaddr *address);
