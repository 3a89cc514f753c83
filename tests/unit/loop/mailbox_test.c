#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/mailbox.h"

struct fixture {
    sd_event *event;
    struct mailbox *box;
    uint64_t delivered;
};

struct letter {
    struct mail mail;
    struct fixture *fixture;
    unsigned sender;
    unsigned number;
    unsigned again; /* times to post itself again */
};

static int set_up(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);
    assert_true(sd_event_new(&f->event) >= 0);
    assert_int_equal(mailbox_new(f->event, 0, &f->box), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    mailbox_free(f->box);
    sd_event_unref(f->event);
    mem_free(f);
    return 0;
}

static void count_letter(struct mail *mail)
{
    struct letter *l = CONTAINER_OF(mail, struct letter, mail);
    l->fixture->delivered++;
    if (l->again > 0) {
        l->again--;
        mailbox_post(l->fixture->box, mail);
    }
}

static void letter_init(struct letter *l, struct fixture *f, mail_fn *deliver)
{
    *l = (struct letter){.fixture = f};
    mail_init(&l->mail, deliver);
}

/* ---- many senders -------------------------------------------------------- */

#define SENDERS 8U
#define LETTERS 5000UL

static unsigned next_from[SENDERS];

static void check_order(struct mail *mail)
{
    struct letter *l = CONTAINER_OF(mail, struct letter, mail);
    assert_int_equal(l->number, next_from[l->sender]);
    next_from[l->sender]++;
    l->fixture->delivered++;
}

static void *send_all(void *argument)
{
    struct letter *letters = argument;
    for (unsigned i = 0; i < LETTERS; i++) {
        mailbox_post(letters[i].fixture->box, &letters[i].mail);
    }
    return NULL;
}

static void keeps_each_senders_order(void **state)
{
    struct fixture *f = *state;
    struct letter *letters = mem_alloc(SENDERS * LETTERS, sizeof(*letters));
    pthread_t threads[SENDERS];
    for (unsigned s = 0; s < SENDERS; s++) {
        next_from[s] = 0;
        for (unsigned i = 0; i < LETTERS; i++) {
            struct letter *l = &letters[s * LETTERS + i];
            letter_init(l, f, check_order);
            l->sender = s;
            l->number = i;
        }
    }
    for (unsigned s = 0; s < SENDERS; s++) {
        assert_int_equal(
            pthread_create(&threads[s], NULL, send_all, &letters[s * LETTERS]),
            0);
    }
    while (f->delivered < SENDERS * LETTERS) {
        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
    }
    for (unsigned s = 0; s < SENDERS; s++) {
        assert_int_equal(pthread_join(threads[s], NULL), 0);
        assert_int_equal(next_from[s], LETTERS);
    }
    assert_int_equal(sd_event_run(f->event, 0), 0);
    mem_free(letters);
}

/* ---- fairness ------------------------------------------------------------ */

/* Always readable, never read: a source that always wants a turn. */
static int on_other(sd_event_source *source UNUSED, int fd UNUSED,
                    uint32_t events UNUSED, void *context)
{
    unsigned *turns = context;
    (*turns)++;
    return 0;
}

static void lets_others_have_a_turn(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 3 * MAILBOX_BATCH + 1 };
    static struct letter letters[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        letter_init(&letters[i], f, count_letter);
        mailbox_post(f->box, &letters[i].mail);
    }
    unsigned turns = 0;
    sd_event_source *other = NULL;
    int fd = eventfd(1, EFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(
        sd_event_add_io(f->event, &other, fd, EPOLLIN, on_other, &turns) >= 0);
    uint64_t before = 0;
    while (f->delivered < MANY) {
        assert_true(sd_event_run(f->event, 0) >= 0);
        assert_true(f->delivered - before <= MAILBOX_BATCH);
        before = f->delivered;
    }
    assert_true(turns >= 3);
    sd_event_source_disable_unref(other);
    (void)close(fd);
}

static void may_be_posted_again_from_its_own_delivery(void **state)
{
    struct fixture *f = *state;
    struct letter l;
    letter_init(&l, f, count_letter);
    l.again = 1000;
    mailbox_post(f->box, &l.mail);
    while (f->delivered < 1001) {
        assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
    }
    assert_int_equal(sd_event_run(f->event, 0), 0);
}

static void free_own_letter(struct mail *mail)
{
    struct letter *l = CONTAINER_OF(mail, struct letter, mail);
    l->fixture->delivered++;
    mem_free(l);
}

static void may_be_freed_by_its_own_delivery(void **state)
{
    struct fixture *f = *state;
    struct letter *l = MEM_NEW(struct letter);
    letter_init(l, f, free_own_letter);
    mailbox_post(f->box, &l->mail);
    assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
    assert_int_equal(f->delivered, 1);
}

static void delivers_all_for_shutdown(void **state)
{
    struct fixture *f = *state;
    struct letter letters[10];
    for (unsigned i = 0; i < 10; i++) {
        letter_init(&letters[i], f, count_letter);
        letters[i].again = i;
        mailbox_post(f->box, &letters[i].mail);
    }
    assert_int_equal(mailbox_deliver_all(f->box), 10 + 45);
    assert_int_equal(f->delivered, 10 + 45);
    assert_int_equal(mailbox_deliver_all(f->box), 0);
}

/* ---- our own bugs abort ---------------------------------------------------
 */

static void expect_abort(void (*fn)(struct fixture *), struct fixture *f)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        fn(f);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void post_twice(struct fixture *f)
{
    struct letter l;
    letter_init(&l, f, count_letter);
    mailbox_post(f->box, &l.mail);
    mailbox_post(f->box, &l.mail);
}

static void free_full(struct fixture *f)
{
    struct letter l;
    letter_init(&l, f, count_letter);
    mailbox_post(f->box, &l.mail);
    mailbox_free(f->box);
}

static void misuse_aborts(void **state)
{
    expect_abort(post_twice, *state);
    expect_abort(free_full, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
        CASE(keeps_each_senders_order),
        CASE(lets_others_have_a_turn),
        CASE(may_be_posted_again_from_its_own_delivery),
        CASE(may_be_freed_by_its_own_delivery),
        CASE(delivers_all_for_shutdown),
        CASE(misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
