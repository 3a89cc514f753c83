#include "tests/unit/proc/executor_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/runbook.h"
#include "os/fd.h"
#include "os/process.h"
#include "os/remove.h"

/* A test that waits for what never comes ends here, by SIGALRM. */
#define TEST_SECONDS 100

/* ---- folders ----------------------------------------------------------------
 */

static void make_folder(struct lab *l, const char *name, mode_t mode,
                        char out[96])
{
    (void)snprintf(out, 96, "%s/%s", l->folder, name);
    assert_int_equal(mkdir(out, mode), 0);
}

static struct lab *lab_new(void)
{
    struct lab *l = MEM_NEW(struct lab);
    memcpy(l->folder, "/tmp/executor-test-XXXXXX", 26);
    assert_non_null(mkdtemp(l->folder));
    assert_int_equal(chmod(l->folder, 0755), 0);
    make_folder(l, "runbooks", 0755, l->repository);
    make_folder(l, "spool", 0700, l->spool);
    make_folder(l, "work", 0755, l->work);
    (void)snprintf(l->socket, sizeof(l->socket), "%s/socket", l->folder);
    l->link = -1;
    l->options = (struct executor_options){
        .socket_path = l->socket,
        .repository = l->repository,
        .spool = l->spool,
        .work = l->work,
        .max_running = 250,
        .output_keep_bytes = EXECUTOR_OUTPUT_KEEP_BYTES,
        .limits = STEP_LIMITS_DEFAULT,
    };
    for (size_t i = 0; i < LAB_ATTEMPTS_MAX; i++) {
        strbuf_init(&l->attempts[i].out, 8 * 1024 * 1024);
        strbuf_init(&l->attempts[i].err, 8 * 1024 * 1024);
    }
    return l;
}

/* ---- the executor's process
 * -------------------------------------------------- */

/* Where we may: in a mount namespace of its own, with the unified hierarchy
 * out of sight. Elsewhere there are seldom any groups to be had. */
static void hide_cgroups(void)
{
    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return;
    }
    if (umount2("/sys/fs/cgroup/unified", MNT_DETACH) < 0) {
        (void)umount2("/sys/fs/cgroup", MNT_DETACH);
    }
}

static NORETURN void be_executor(const struct lab *l)
{
    struct err err = ERR_INIT;
    (void)alarm(0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (l->hide_cgroups) {
        hide_cgroups();
    }
    int r = executor_run(&l->options, &err);
    if (r < 0) {
        (void)fprintf(stderr, "executor: %s\n", err.message);
    }
    _exit(r < 0 ? -r : 0);
}

void lab_launch(struct lab *l)
{
    assert_int_equal(l->executor, 0);
    l->executor = fork();
    assert_true(l->executor >= 0);
    if (l->executor == 0) {
        be_executor(l);
    }
}

int lab_wait_exit(struct lab *l)
{
    int status = 0;
    assert_int_equal(waitpid(l->executor, &status, 0), l->executor);
    l->executor = 0;
    return status;
}

void lab_kill(struct lab *l)
{
    assert_int_equal(kill(l->process, SIGKILL), 0);
    (void)lab_wait_exit(l);
    lab_disconnect(l);
}

void lab_stop(struct lab *l)
{
    assert_int_equal(kill(l->executor, SIGTERM), 0);
    int status = lab_wait_exit(l);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    lab_disconnect(l);
}

/* ---- the link
 * ------------------------------------------------------------------ */

static void forget_told(struct lab_attempt *a)
{
    strbuf_reset(&a->out);
    strbuf_reset(&a->err);
    a->started = a->ended = 0;
    a->next_offset = 0;
}

/* Who called listen() is who will answer: the executor, not its guard. */
static void note_process(struct lab *l)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    assert_int_equal(getsockopt(l->link, SOL_SOCKET, SO_PEERCRED, &peer, &len),
                     0);
    l->process = peer.pid;
}

void lab_connect_raw(struct lab *l)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, l->socket, strlen(l->socket));
    lab_disconnect(l);
    l->closed = false;
    for (size_t i = 0; i < LAB_ATTEMPTS_MAX; i++) {
        forget_told(&l->attempts[i]);
    }
    l->link = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(l->link >= 0);
    while (connect(l->link, (const struct sockaddr *)&address,
                   sizeof(address)) < 0) {
        assert_true(errno == ENOENT || errno == ECONNREFUSED);
        assert_int_equal(waitpid(l->executor, NULL, WNOHANG), 0);
        (void)usleep(1000);
    }
    note_process(l);
}

void lab_disconnect(struct lab *l)
{
    os_closep(&l->link);
}

void lab_send_bytes(struct lab *l, struct str bytes)
{
    ssize_t n = send(l->link, bytes.at, bytes.len, MSG_NOSIGNAL);
    assert_true(n == (ssize_t)bytes.len || (n < 0 && errno == EPIPE));
}

void lab_send(struct lab *l, const struct exec_message *m)
{
    struct strbuf out = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    assert_int_equal(exec_encode(m, &out), 0);
    lab_send_bytes(l, strbuf_str(&out));
    strbuf_deinit(&out);
}

struct lab_attempt *lab_attempt(struct lab *l, uint32_t no)
{
    assert_true(no >= 1 && no <= LAB_ATTEMPTS_MAX);
    return &l->attempts[no - 1];
}

static void note_output(struct lab *l, const struct output_chunk *chunk)
{
    struct lab_attempt *a = lab_attempt(l, chunk->key.attempt);
    assert_int_equal(a->ended, 0);
    assert_int_equal(chunk->offset, a->next_offset);
    a->next_offset += chunk->data.len;
    strbuf_add(chunk->stream == OUTPUT_STDOUT ? &a->out : &a->err, chunk->data);
}

static void note_ended(struct lab *l, const struct attempt_row *row)
{
    struct lab_attempt *a = lab_attempt(l, row->key.attempt);
    a->ended++;
    a->row = *row;
    (void)snprintf(a->error, sizeof(a->error), "%.*s", STR_ARG(row->error));
    a->row.error = str_c(a->error);
    (void)snprintf(a->outputs, sizeof(a->outputs), "%.*s",
                   STR_ARG(row->outputs));
    a->row.outputs = str_c(a->outputs);
}

static void note_started(struct lab *l, const struct exec_message *m)
{
    struct lab_attempt *a = lab_attempt(l, m->started.key.attempt);
    assert_int_equal(a->ended, 0);
    assert_true(m->started.pid > 0 && m->started.started_ms > 0);
    a->started++;
    a->pid = m->started.pid;
}

static void note(struct lab *l, const struct exec_message *m)
{
    switch (m->kind) {
    case EXEC_WELCOME:
        assert_int_equal(m->hello.version, EXEC_PROTO_VERSION);
        l->life = m->hello.executor;
        return;
    case EXEC_STARTED:
        note_started(l, m);
        return;
    case EXEC_OUTPUT:
        note_output(l, &m->output);
        return;
    case EXEC_ENDED:
        note_ended(l, &m->ended);
        return;
    case EXEC_DEFERRED:
        l->deferred++;
        (void)snprintf(l->deferred_why, sizeof(l->deferred_why), "%.*s",
                       STR_ARG(m->deferred.error));
        return;
    case EXEC_PINNED:
        l->pinned++;
        (void)snprintf(l->pin_error, sizeof(l->pin_error), "%.*s",
                       STR_ARG(m->pin.error));
        return;
    case EXEC_HELLO:
    case EXEC_START:
    case EXEC_STOP:
    case EXEC_FORGET:
    case EXEC_PIN:
    case EXEC_KINDS:
        break;
    }
    fail_msg("the executor said what an engine says");
}

void lab_take(struct lab *l)
{
    static char buffer[EXEC_MESSAGE_MAX_BYTES];
    struct exec_message m;
    ssize_t n = recv(l->link, buffer, sizeof(buffer), 0);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) {
        l->closed = true;
        return;
    }
    assert_true(n > 0);
    assert_int_equal(exec_decode(str_n(buffer, (size_t)n), &m), 0);
    note(l, &m);
}

static void take_more(struct lab *l)
{
    assert_false(l->closed);
    lab_take(l);
}

void lab_wait_closed(struct lab *l)
{
    while (!l->closed) {
        lab_take(l);
    }
    lab_disconnect(l);
}

void lab_connect(struct lab *l)
{
    const struct exec_message hello = {
        .kind = EXEC_HELLO, .hello = {.version = EXEC_PROTO_VERSION}};
    lab_connect_raw(l);
    lab_send(l, &hello);
    l->life = ID_NULL;
    while (id_is_null(l->life)) {
        take_more(l);
    }
}

/* ---- fixtures
 * -------------------------------------------------------------------- */

int lab_set_up(void **state)
{
    struct lab *l = lab_new();
    (void)alarm(TEST_SECONDS);
    lab_launch(l);
    lab_connect(l);
    *state = l;
    return 0;
}

int lab_set_up_without_cgroups(void **state)
{
    struct lab *l = lab_new();
    (void)alarm(TEST_SECONDS);
    l->hide_cgroups = true;
    lab_launch(l);
    lab_connect(l);
    *state = l;
    return 0;
}

int lab_tear_down(void **state)
{
    struct lab *l = *state;
    if (l->executor != 0) {
        lab_stop(l);
    }
    (void)alarm(0);
    lab_disconnect(l);
    for (size_t i = 0; i < LAB_ATTEMPTS_MAX; i++) {
        strbuf_deinit(&l->attempts[i].out);
        strbuf_deinit(&l->attempts[i].err);
    }
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(os_remove_tree(tmp, l->folder + strlen("/tmp/")), 0);
    os_close(tmp);
    mem_free(l);
    return 0;
}

/* ---- runbooks
 * ---------------------------------------------------------------------- */

struct runbook_hash lab_write(struct lab *l, const char *path, const char *text)
{
    char full[256];
    (void)snprintf(full, sizeof(full), "%s/%s", l->repository, path);
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(os_write_all(fd, str_c(text)), 0);
    os_close(fd);
    return runbook_hash_of(str_c(text));
}

struct runbook_hash lab_write_step(struct lab *l, const char *path,
                                   const char *command, const char *keys)
{
    struct strbuf text = STRBUF_INIT(64 * 1024);
    strbuf_addc(&text, "name: test\nsteps:\n  - name: step\n"
                       "    action: exec\n");
    strbuf_addc(&text, keys);
    strbuf_addc(&text, "    command: |\n");
    struct str rest = str_c(command);
    while (rest.len > 0) {
        ptrdiff_t end = str_find(rest, '\n');
        size_t len = end < 0 ? rest.len : (size_t)end;
        strbuf_addf(&text, "      %.*s\n", (int)len, rest.at);
        rest = str_slice(rest, len + 1, rest.len);
    }
    assert_int_equal(strbuf_error(&text), 0);
    struct runbook_hash hash = lab_write(l, path, text.at);
    strbuf_deinit(&text);
    return hash;
}

const char *lab_pin(struct lab *l, const char *path,
                    const struct runbook_hash *hash)
{
    const struct exec_message m = {.kind = EXEC_PIN,
                                   .pin = {.path = str_c(path), .hash = *hash}};
    unsigned before = l->pinned;
    lab_send(l, &m);
    while (l->pinned == before) {
        take_more(l);
    }
    return l->pin_error;
}

/* ---- attempts
 * ------------------------------------------------------------------------ */

struct attempt_key lab_key(uint32_t no)
{
    const uint8_t random[10] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0};
    return (struct attempt_key){.workflow_id = id_make(1700000000000U, random),
                                .attempt = no};
}

struct exec_message lab_start_message(const struct lab *l, uint32_t no,
                                      const char *path,
                                      const struct runbook_hash *hash)
{
    return (struct exec_message){
        .kind = EXEC_START,
        .start = {.key = lab_key(no),
                  .executor = l->life,
                  .path = str_c(path),
                  .hash = *hash,
                  .parameters = STR("{}"),
                  .grace_ms = 5000},
    };
}

void lab_start(struct lab *l, uint32_t no, const char *path,
               const struct runbook_hash *hash)
{
    struct exec_message m = lab_start_message(l, no, path, hash);
    lab_send(l, &m);
}

/* As a restarted engine asks: it knows the key, and any version will do. */
void lab_start_again(struct lab *l, uint32_t no)
{
    struct runbook_hash none = {{0}};
    forget_told(lab_attempt(l, no));
    lab_start(l, no, "unknown.yaml", &none);
}

void lab_stop_attempt(struct lab *l, uint32_t no, bool kill, uint64_t grace_ms)
{
    const struct exec_message m = {
        .kind = EXEC_STOP,
        .stop = {.key = lab_key(no), .kill = kill, .grace_ms = grace_ms}};
    lab_send(l, &m);
}

void lab_forget(struct lab *l, uint32_t no)
{
    const struct exec_message m = {.kind = EXEC_FORGET,
                                   .forget = {.key = lab_key(no)}};
    lab_send(l, &m);
}

struct lab_attempt *lab_wait_started(struct lab *l, uint32_t no)
{
    struct lab_attempt *a = lab_attempt(l, no);
    while (a->started == 0) {
        take_more(l);
    }
    return a;
}

struct lab_attempt *lab_wait_ended(struct lab *l, uint32_t no)
{
    struct lab_attempt *a = lab_attempt(l, no);
    while (a->ended == 0) {
        take_more(l);
    }
    strbuf_addch(&a->out, '\0'); /* so that nothing can be compared as well */
    strbuf_addch(&a->err, '\0');
    return a;
}

void lab_wait_output(struct lab *l, uint32_t no, const char *text)
{
    struct lab_attempt *a = lab_attempt(l, no);
    while (a->out.at == NULL || strstr(a->out.at, text) == NULL) {
        assert_int_equal(a->ended, 0);
        take_more(l);
    }
}

void lab_begin(struct lab *l, uint32_t no, const char *command)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "run-%u.yaml", no);
    struct runbook_hash hash = lab_write_step(l, path, command, "");
    lab_start(l, no, path, &hash);
}

struct lab_attempt *lab_run(struct lab *l, uint32_t no, const char *command)
{
    lab_begin(l, no, command);
    return lab_wait_ended(l, no);
}

/* ---- processes
 * ------------------------------------------------------------------------- */

struct search {
    const char *argument;
    bool found;
};

static bool look(void *context, const struct os_process *p)
{
    struct search *s = context;
    struct strbuf text = STRBUF_INIT(1024 * 1024);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)p->pid);
    if (p->state != 'Z' && os_read_file(AT_FDCWD, path, &text) == 0) {
        struct str rest = strbuf_str(&text);
        while (rest.len > 0 && !s->found) {
            size_t len = strnlen(rest.at, rest.len);
            s->found = str_eq_c(str_slice(rest, 0, len), s->argument);
            rest = str_slice(rest, len + 1, rest.len);
        }
    }
    strbuf_deinit(&text);
    return !s->found;
}

bool lab_process_has_argument(const char *argument)
{
    struct search s = {.argument = argument};
    assert_int_equal(os_process_each(look, &s), 0);
    return s.found;
}

void lab_wait_no_process(const char *argument)
{
    while (lab_process_has_argument(argument)) {
        (void)usleep(2000);
    }
}
