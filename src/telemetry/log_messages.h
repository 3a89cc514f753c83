/*
 * What the engine logs: a table of messages with the ids under which a journal
 * finds them and the explanations that `journalctl -x` shows. Texts are made
 * where the thing happens; this is what they have in common. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/str.h"
#include "base/strbuf.h"

enum log_message {
    LOG_MESSAGE_NONE, /* a line without a row */
    LOG_ENGINE_READY,
    LOG_ENGINE_STOPPING,
    LOG_ENGINE_STUCK,
    LOG_WORKFLOW_STARTED,
    LOG_WORKFLOW_SUCCEEDED,
    LOG_WORKFLOW_FAILED,
    LOG_WORKFLOW_HELD,
    LOG_WORKFLOW_STOPPED,
    LOG_WORKFLOW_UNSTARTABLE,
    LOG_STEP_STARTED,
    LOG_STEP_SUCCEEDED,
    LOG_STEP_FAILED,
    LOG_EVENT_FAILED,
    LOG_EVENT_POISON,
    LOG_EVENT_SUPPRESSED,
    LOG_EVENT_UNDECIDED,
    LOG_EXECUTOR_UP,
    LOG_EXECUTOR_DOWN,
    LOG_RUNBOOKS_LOADED,
    LOG_RUNBOOKS_FAILED,
    LOG_RUNBOOK_REJECTED,
    LOG_RUNBOOK_REFUSED,
    LOG_CONFIG_LOADED,
    LOG_CONFIG_FAILED,
    LOG_CHANGE,
    LOG_STORE_FAILED,
    LOG_STORE_RESTORED,
    LOG_SUPPRESSED,
    LOG_MESSAGES
};

struct log_message_row {
    const char *name;    /* "workflow.failed" */
    const char *id;      /* 32 hexadecimal digits, fixed for ever */
    int priority;        /* as in syslog(3) */
    const char *subject; /* one line; @FIELD@ is filled in by journalctl */
    const char *advice;  /* lines */
};

/* The row of a message; NULL for LOG_MESSAGE_NONE. */
const struct log_message_row *log_message_row(enum log_message m);

/* What a message is about; zero where there is nothing to say. Borrowed. */
struct log_fields {
    enum log_message message;
    struct id event;
    struct id workflow;
    struct str runbook; /* its path */
    uint32_t step;      /* 1, 2, ...; 0: none */
    struct str step_name;
};

/* Appends all rows as a catalogue for systemd (journalctl -x). */
void log_messages_add_catalog(struct strbuf *out);
