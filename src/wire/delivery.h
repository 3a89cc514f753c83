/*
 * What a partner's answer to a notice means, and text that partners can read.
 * Pure; any thread.
 */
#pragma once

#include "base/strbuf.h"

enum delivery_verdict {
    DELIVERY_DONE,    /* the partner has it */
    DELIVERY_RETRY,   /* not now: the same again later */
    DELIVERY_REFUSED, /* never: this one is bad */
    DELIVERY_BROKEN   /* none will do until somebody mends the settings */
};

/* Appends at most max_chars characters of s, valid UTF-8 whatever s is, as the
 * inside of a JSON string; the last of a longer one is an ellipsis. With
 * `entities`, & < > become &amp; &lt; &gt; and count as such. */
void delivery_add_text(struct strbuf *out, struct str s, size_t max_chars,
                       bool entities);
