/*
 * A real executor in a process of its own, with a repository, spool and work
 * folder in a temporary place, and the test as its engine, which speaks to it
 * in raw datagrams. What the executor tells is noted per attempt.
 */
#pragma once

#include <sys/types.h>

#include "proc/executor.h"
#include "wire/exec_proto.h"

#define LAB_ATTEMPTS_MAX 300

/* What was told of one attempt since lab_connect, or since the last START. */
struct lab_attempt {
    unsigned started; /* how often it was told */
    unsigned ended;
    uint32_t pid;
    struct attempt_row row;
    char error[512];    /* row.error borrows it */
    char outputs[1024]; /* the same */
    struct strbuf out;
    struct strbuf err;
    uint64_t next_offset; /* of its output */
};

struct lab {
    char folder[64];
    char repository[96];
    char spool[96];
    char work[96];
    char socket[96];
    struct executor_options options;
    bool hide_cgroups; /* the executor finds none */
    pid_t executor;    /* our child: its guard; 0: none */
    pid_t process;     /* the executor itself, once connected */
    int link;          /* -1: none */
    struct id life;    /* of the executor that welcomed us last */
    bool closed;       /* the executor has closed the link */
    char pin_error[1024];
    unsigned pinned;          /* answers */
    const char *moved_switch; /* for a test's own options.refresh */
    unsigned deferred;        /* how often a start was put off, and why last */
    char deferred_why[512];
    struct lab_attempt attempts[LAB_ATTEMPTS_MAX];
};

/* For cmocka: makes the folders and a running executor, connected. */
int lab_set_up(void **state);
int lab_set_up_without_cgroups(void **state);
int lab_tear_down(void **state);

/* The executor. lab_wait_exit gives the wait status; lab_kill ends the
 * executor itself with SIGKILL, and waits for its guard. */
void lab_launch(struct lab *l);
void lab_kill(struct lab *l);
void lab_stop(struct lab *l);
int lab_wait_exit(struct lab *l);

/* The link: connects (waiting for the socket) and is welcomed. */
void lab_connect_raw(struct lab *l);
void lab_connect(struct lab *l);
void lab_disconnect(struct lab *l);
void lab_send_bytes(struct lab *l, struct str bytes);
void lab_send(struct lab *l, const struct exec_message *m);

/* Takes one message, or notes that the link was closed. */
void lab_take(struct lab *l);
void lab_wait_closed(struct lab *l);

/* Writes repository/PATH; the hash is of the text. */
struct runbook_hash lab_write(struct lab *l, const char *path,
                              const char *text);

/* Writes a runbook of one step: this shell text, and more lines of keys. */
struct runbook_hash lab_write_step(struct lab *l, const char *path,
                                   const char *command, const char *keys);

/* PIN, and the answer: "" or the reason. */
const char *lab_pin(struct lab *l, const char *path,
                    const struct runbook_hash *hash);

/* Attempts are numbered from 1; each is one of step 0 of one workflow. */
struct attempt_key lab_key(uint32_t no);
struct exec_message lab_start_message(const struct lab *l, uint32_t no,
                                      const char *path,
                                      const struct runbook_hash *hash);
struct lab_attempt *lab_attempt(struct lab *l, uint32_t no);
void lab_start(struct lab *l, uint32_t no, const char *path,
               const struct runbook_hash *hash);
void lab_start_again(struct lab *l, uint32_t no);
void lab_stop_attempt(struct lab *l, uint32_t no, bool kill, uint64_t grace_ms);
void lab_forget(struct lab *l, uint32_t no);
struct lab_attempt *lab_wait_started(struct lab *l, uint32_t no);
struct lab_attempt *lab_wait_ended(struct lab *l, uint32_t no);

/* Takes messages until attempt no has written this text. */
void lab_wait_output(struct lab *l, uint32_t no, const char *text);

/* Attempt no: this shell text as a runbook of its own, to its end. */
struct lab_attempt *lab_run(struct lab *l, uint32_t no, const char *command);
void lab_begin(struct lab *l, uint32_t no, const char *command);

/* Whether there is a process with this argument on its command line. */
bool lab_process_has_argument(const char *argument);
void lab_wait_no_process(const char *argument);
