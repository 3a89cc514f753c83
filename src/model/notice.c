#include "model/notice.h"

const char *notice_state_name(enum notice_state s)
{
    static const char *const names[NOTICE_STATES] = {
        [NOTICE_PENDING] = "pending",
        [NOTICE_DEAD] = "dead",
    };
    return names[s];
}

const char *notice_kind_name(size_t kind)
{
    static const char *const names[NOTICE_KINDS] = {
        [NOTICE_FAILED] = "failed",       [NOTICE_HELD] = "held",
        [NOTICE_KILLED] = "killed",       [NOTICE_RESOLVED] = "resolved",
        [NOTICE_ESCALATED] = "escalated",
    };
    return kind < NOTICE_KINDS ? names[kind] : NULL;
}
