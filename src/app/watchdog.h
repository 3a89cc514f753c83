/*
 * The watchdog: systemd is told that we are well only while every thread that
 * matters makes progress, and what `systemctl status` shows. Main thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "base/attr.h"

struct http_server;
struct service;
struct watchdog;

/* A thread that matters. */
struct watchdog_part {
    const char *name;
    /* A number that changes while the thread lives, whether or not it has work
     * to do. */
    uint64_t (*turns)(void *context);
    void *context;
};

/* The decision by itself, for tests: the name of a part that has made no
 * progress for longer than allowed; NULL: all is well. */
#define WATCHDOG_PARTS_MAX 8

struct watchdog_look {
    uint64_t turns[WATCHDOG_PARTS_MAX];
    uint64_t moved_ms[WATCHDOG_PARTS_MAX]; /* when that was new */
    bool begun;
};

const char *watchdog_look(struct watchdog_look *w,
                          const struct watchdog_part *parts, unsigned count,
                          uint64_t now_ms, uint64_t allowed_ms);

/* Looks from now on, four times in WATCHDOG_USEC or every five seconds. Call it
 * when everything has started. */
NODISCARD int watchdog_start(sd_event *event, struct service *service,
                             struct http_server *http, struct watchdog **ret);

/* NULL is fine. The service must have stopped: it owes an answer until then. */
void watchdog_free(struct watchdog *w);
