/*
 * struct mailbox: how other threads speak to the thread of an event loop.
 * They post messages, the loop delivers them, in the order of posting, on its
 * own thread. Messages are embedded in what they are about (caller-owned), so
 * posting never allocates and never fails.
 *
 * A dispatch delivers at most MAILBOX_BATCH messages and then lets the other
 * sources of the loop have their turn.
 *
 * mailbox_post: any thread. The rest: the loop's thread.
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/attr.h"
#include "base/list.h"

#define MAILBOX_BATCH 256

struct mailbox;
struct mail;

typedef void mail_fn(struct mail *mail);

/* Embed it; find the object again with CONTAINER_OF. */
struct mail {
    struct list link; /* the mailbox's while it is posted */
    mail_fn *deliver;
};

/* Before the first post. */
static inline void mail_init(struct mail *mail, mail_fn *deliver)
{
    list_init(&mail->link);
    mail->deliver = deliver;
}

/* A mailbox on this loop, with this sd-event priority. Negative errno when
 * the kernel gives no file descriptor. */
NODISCARD int mailbox_new(sd_event *event, int64_t priority,
                          struct mailbox **ret);

/* NULL is fine. The mailbox must be empty and nobody may post any more: stop
 * the threads that do, then mailbox_deliver_all. */
void mailbox_free(struct mailbox *m);
void mailbox_freep(struct mailbox **m);

/* Has mail->deliver called once on the loop's thread. The mail must stay
 * valid until then, and may be posted again from there on. */
void mailbox_post(struct mailbox *m, struct mail *mail);

/* Delivers here and now what waits, and what that posts, until nothing waits:
 * for shutting down. Returns how many messages there were. */
uint64_t mailbox_deliver_all(struct mailbox *m);
