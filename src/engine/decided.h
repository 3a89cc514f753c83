/*
 * What is kept of how an event was decided (model/decision.h): collected while
 * its matches are gone through, put into the record of its end. Private to
 * engine. Pure; one thread.
 */
#pragma once

#include "engine/engine_priv.h"

/* Appends the sentence, unless they are too long together already. */
void decided_tell(struct strbuf *all, struct str one);

/* The match was held back, and `told` ("PATH, trigger NAME: GUARD: …") is why;
 * or by the time of the fact. */
void decided_held(struct decision *d, const struct fact_match *match,
                  struct str told);
void decided_before(struct decision *d, const struct fact_event *event,
                    struct strbuf *all);

/* Puts it into the record of the event. */
void decided_done(struct engine *e, const struct decision *d, struct str digest,
                  struct record_event_done *done);
