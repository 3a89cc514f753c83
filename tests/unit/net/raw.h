/*
 * Raw HTTP over a loopback socket, for tests that send what no client would.
 * Failures of the test's own sockets fail the test.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"

#define RAW_PATIENCE_MS 20000 /* longer than anything here takes */

struct raw_answer {
    int status; /* 0: closed without an answer */
    bool closed;
    size_t len;
    char text[256 * 1024]; /* head and body */
    const char *body;
};

UNUSED static int raw_connect(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* False if the server has closed already. */
UNUSED static bool raw_send(int fd, const char *text, size_t len)
{
    while (len != 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        text += n;
        len -= (size_t)n;
    }
    return true;
}

/* One more piece; false at the end. */
UNUSED static bool raw_more(int fd, struct raw_answer *a)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, RAW_PATIENCE_MS), 1);
    assert_true(a->len < sizeof(a->text) - 1);
    ssize_t n = recv(fd, a->text + a->len, sizeof(a->text) - 1 - a->len, 0);
    if (n <= 0) {
        a->closed = true;
        return false;
    }
    a->len += (size_t)n;
    a->text[a->len] = '\0';
    return true;
}

UNUSED static const char *raw_field(const struct raw_answer *a,
                                    const char *name)
{
    static char value[1024];
    const char *end = strstr(a->text, "\r\n\r\n");
    for (const char *line = strstr(a->text, "\r\n"); line != NULL && line < end;
         line = strstr(line + 2, "\r\n")) {
        size_t len = strlen(name);
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':') {
            const char *from = line + 3 + len;
            from += strspn(from, " ");
            size_t n = strcspn(from, "\r");
            assert_true(n < sizeof(value));
            memcpy(value, from, n);
            value[n] = '\0';
            return value;
        }
    }
    return NULL;
}

static bool raw_is_complete(struct raw_answer *a)
{
    const char *end = strstr(a->text, "\r\n\r\n");
    if (end == NULL) {
        return false;
    }
    a->body = end + 4;
    const char *length = raw_field(a, "Content-Length");
    return length != NULL && a->len - (size_t)(a->body - a->text) >=
                                 (size_t)strtoul(length, NULL, 10);
}

/* Reads one answer: up to its length, or to the end of the connection. */
UNUSED static void raw_read(int fd, struct raw_answer *a)
{
    memset(a, 0, sizeof(*a));
    a->body = "";
    while (!raw_is_complete(a) && raw_more(fd, a)) {
    }
    if (strncmp(a->text, "HTTP/1.1 ", 9) == 0) {
        a->status = (int)strtol(a->text + 9, NULL, 10);
    }
}

/* True when the server closes without sending anything more. */
UNUSED static bool raw_ends(int fd)
{
    char byte = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, RAW_PATIENCE_MS), 1);
    return recv(fd, &byte, 1, 0) <= 0;
}

/* Sends a whole request on a connection of its own. */
UNUSED static int raw_ask_n(uint16_t port, const char *request, size_t len,
                            struct raw_answer *a)
{
    int fd = raw_connect(port);
    (void)raw_send(fd, request, len);
    raw_read(fd, a);
    close(fd);
    return a->status;
}

UNUSED static int raw_ask(uint16_t port, const char *request,
                          struct raw_answer *a)
{
    return raw_ask_n(port, request, strlen(request), a);
}
