/*
 * Secret parameters on their way through the service: sealed before they are
 * in a request, opened when a step is started. A step whose secrets do not
 * open is refused without asking the executor.
 */
#include "base/mem.h"
#include "os/clock.h"
#include "runtime/secrets.h"
#include "runtime/service_priv.h"

int service_seal(struct service *s, const struct runbook *rb, struct str json,
                 struct arena *a, struct str *ret, struct err *reterr)
{
    return secrets_seal(s->secrets, rb, json, a, ret, reterr);
}

struct refusal {
    struct mail mail;
    struct service *service;
    struct attempt_key key;
    struct id executor;
    struct err err;
};

static void take_refusal(struct mail *mail)
{
    struct refusal *f = CONTAINER_OF(mail, struct refusal, mail);
    struct exec_message ended = {
        .kind = EXEC_ENDED,
        .ended = {.key = f->key,
                  .state = ATTEMPT_REFUSED,
                  .executor = f->executor,
                  .finished_ms = os_epoch_ms(),
                  .exit_code = -1,
                  .error = str_c(f->err.message)},
    };
    runtime_executor_message(f->service->runtime, &ended);
    service_publish_status(f->service);
    mem_free(f);
}

/* Not from here: the runtime is in the middle of acting. */
static void refuse(struct service *s, const struct exec_message *m,
                   const struct err *err)
{
    struct refusal *f = MEM_NEW(struct refusal);
    mail_init(&f->mail, take_refusal);
    f->service = s;
    f->key = m->start.key;
    f->executor = m->start.executor;
    f->err = *err;
    mailbox_post(s->mailbox, &f->mail);
}

void service_start_step(struct service *s, const struct runbook *rb,
                        const struct exec_message *m)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct err err = ERR_INIT;
    struct exec_message opened = *m;
    if (secrets_open(s->secrets, rb, m->start.parameters, &a,
                     &opened.start.parameters, &err) < 0) {
        refuse(s, m, &err);
    } else {
        exec_client_send(s->executor, &opened);
    }
}
