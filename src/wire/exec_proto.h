/*
 * Messages between engine and executor: one per SOCK_SEQPACKET datagram, a
 * fixed header and length-prefixed fields in little-endian order. Encoding
 * and decoding only; both sides treat every message as hostile (lengths,
 * kinds, ids, UTF-8 are checked; anything odd is -EBADMSG and ends the
 * connection). Pure; any thread; decoded strings borrow from the datagram.
 *
 *   engine -> executor            executor -> engine
 *   HELLO  protocol version       WELCOME  version, id of this life
 *   START  a step of a runbook    STARTED  pid
 *   STOP   TERM or KILL           OUTPUT   a chunk, with its offset
 *   FORGET the outcome is stored  ENDED    the final attempt row
 *   PIN    a runbook is in force  PINNED   0 or why not
 *                                 DEFERRED it did not begin: ask again
 *
 * START is idempotent by key: the executor answers an attempt that it already
 * knows by re-attaching (STARTED, OUTPUT from offset 0, ENDED as far as they
 * have happened). A STOP re-attaches as well; a repeated one changes nothing
 * unless it escalates to KILL. A STOP of an attempt that the executor does
 * not know ends it before it began: it answers ENDED with ATTEMPT_CANCELLED
 * and keeps that outcome, so that a later START of the same key gets it too.
 * After WELCOME it sends ENDED of every outcome that it still keeps. FORGET
 * of an unknown attempt is fine.
 *
 * DEFERRED answers a START while the kill switch is on. Nothing is kept of it,
 * and it has not begun: it may be asked for again, in the name of any life.
 *
 * START quotes the life of the executor it was decided for. Another life
 * answers with the outcome that it was left, or else ENDED with
 * ATTEMPT_UNKNOWN, because that attempt may have run and been lost, and with
 * maybe_alive where it may be running still; it never starts it. Outcomes are
 * kept until FORGET.
 */
#pragma once

#include "base/err.h"
#include "base/strbuf.h"
#include "model/workflow.h"

#define EXEC_PROTO_VERSION 3
#define EXEC_MESSAGE_MAX_BYTES (192UL * 1024)
#define EXEC_PARAMETERS_MAX_BYTES (144UL * 1024)
#define EXEC_STEPS_MAX_BYTES (32UL * 1024)
#define EXEC_CHUNK_MAX_BYTES (16UL * 1024)
#define EXEC_TIMEOUT_MAX_MS (24UL * 3600 * 1000)

enum exec_kind {
    EXEC_HELLO = 1,
    EXEC_WELCOME,
    EXEC_START,
    EXEC_STOP,
    EXEC_FORGET,
    EXEC_PIN,
    EXEC_STARTED,
    EXEC_OUTPUT,
    EXEC_ENDED,
    EXEC_PINNED,
    EXEC_DEFERRED,
    EXEC_KINDS
};

struct exec_message {
    enum exec_kind kind;
    union {
        struct {
            uint32_t version;
            struct id executor; /* WELCOME */
        } hello;
        struct {
            struct attempt_key key;
            struct id executor;
            struct str path;
            struct runbook_hash hash;
            struct str parameters; /* JSON: values only, never commands */
            struct str steps;      /* the same: what steps before have told,
                                      {"ID": {status, exit_code, outputs}} */
            uint64_t created_ms;   /* of the workflow */
            uint64_t now_ms;       /* when the attempt was decided */
            uint64_t timeout_ms; /* cut to the step's own, if it has one, and to
                                  RUNBOOK_STEP_TIMEOUT_MAX_MS; 0: those */
            uint64_t grace_ms;
        } start;
        struct {
            struct attempt_key key;
            bool kill;
            uint64_t grace_ms;
        } stop;
        struct {
            struct attempt_key key;
        } forget;
        struct {
            struct str path;
            struct runbook_hash hash;
            struct str error; /* PINNED: "" when it is pinned */
        } pin;
        struct {
            struct attempt_key key;
            uint32_t pid;
            uint64_t started_ms;
        } started;
        struct {
            struct attempt_key key;
            struct str error; /* why */
        } deferred;
        struct output_chunk output;
        struct attempt_row ended;
    };
};

/* Appends the datagram; out must be empty and have the limit above. 0, -E2BIG
 * (a text over its limit), -ERANGE (a number or an id out of range) or
 * -EBADMSG (a text that is not UTF-8). Texts, numbers and the order of fields:
 * the tables in exec_proto.c, which both directions share. */
NODISCARD int exec_encode(const struct exec_message *m, struct strbuf *out);

/* Reads one datagram; strings borrow from it. 0 or -EBADMSG. */
NODISCARD int exec_decode(struct str datagram, struct exec_message *ret);
