/*
 * Inside of integrations. `lock` guards the members; what needs a member's
 * settings for longer copies them (settings_copy). `change_lock` makes changes
 * one at a time and is taken before it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "integrations/integrations.h"
#include "integrations/rate.h"
#include "integrations/web.h"
#include "os/seal.h"
#include "store/store.h"

/* Where a secret in force comes from, by index of integration_fields. */
enum secret_source { SECRET_UNSET, SECRET_FROM_API, SECRET_FROM_FILE };

struct secret_view {
    enum secret_source source;
    uint64_t at_ms;      /* FROM_API: when it was set */
    const char *problem; /* it is there but not used; NULL: it is used */
};

/* Settings in force; replaced as a whole, under the lock. */
struct settings {
    struct arena arena;
    struct integration_config config;
    bool enabled;
    bool paused;
    bool complete;
    bool by_api;         /* the API has set something that counts */
    const char *missing; /* unless complete */
    struct secret_view secrets[FIELDS_MAX];
};

enum health_word { HEALTH_UNKNOWN, HEALTH_HEALTHY, HEALTH_UNHEALTHY };

struct health {
    enum health_word word;
    char error[INTEGRATION_ERROR_SIZE];
    uint64_t checked_ms; /* epoch; 0: never */
    uint64_t since_ms;   /* it is as it is */
    uint64_t took_ms;
    uint32_t failures;       /* in a row */
    uint32_t revision;       /* of the settings that it is about */
    uint64_t fresh_until_ms; /* monotonic */
    uint64_t due_ms;         /* monotonic: the next background check */
    uint64_t forced_ms;      /* monotonic: when it was last asked for anew */
    uint32_t forced_revision;
    struct check_run *asking; /* a check that is under way; the thread's */
};

/* A partner that notices go to. */
struct channel {
    _Atomic(uint32_t) wants; /* bit per enum notice_kind */
    _Atomic(uint64_t) pending;
    _Atomic(uint64_t) dead;
    _Atomic(uint64_t) sent;
    _Atomic(uint64_t) retried;
    _Atomic(uint64_t) dropped; /* too many were pending */
    /* the thread's */
    bool sending;
    bool broken; /* until the settings have another revision */
    uint32_t broken_revision;
    uint32_t failures; /* in a row */
    uint64_t next_ms;  /* monotonic: not before */
    struct bucket bucket;
    uint64_t head_seq;
    uint32_t head_attempts;
    char error[INTEGRATION_ERROR_SIZE + 64];
    struct record record;
    struct store_op op;
    bool storing; /* under the lock: the committer has op */
};

struct member {
    struct arena file_arena;
    struct integration_config file;
    /* fingerprints of what the file says of each; "": no key yet */
    char bases[FIELD_ENABLED + 1][SEAL_MAC_SIZE];
    json_t *stored; /* what the API has set; NULL: nothing */
    struct settings *now;
    uint32_t revision; /* rises with every change */
    struct health health;
};

struct integrations {
    struct integrations_options options;
    char *key_path;
    struct service *service;
    struct web *web; /* the thread's */
    pthread_t thread;
    bool started;
    atomic_bool halting;
    atomic_bool overruled; /* the file has overruled what the API had set */
    pthread_mutex_t change_lock;
    pthread_mutex_t lock;
    struct seal *seal; /* NULL: no key yet */
    char seal_error[512];
    struct member members[INTEGRATIONS];
    struct list checks; /* posted, of struct check_run.link */
    uint32_t check_count;
    uint64_t random; /* the thread's, for jitter */
    struct channel channels[INTEGRATIONS];
    pthread_cond_t stored; /* an op of a channel has ended */
    struct reader *reader; /* the thread's */
    struct map open;       /* incidents by key: the service's thread */
    _Atomic(uint64_t) incidents_forgotten;
    struct scraper *scraper; /* replaced under the lock; else the thread's */
    struct pages *pages;     /* the thread's; NULL: no page was scraped yet */
    struct list scrapes_read;
    struct list scrapes_done;
    uint32_t scrapes_storing;
    _Atomic(uint64_t) scrapes[2]; /* good, bad */
    _Atomic(uint64_t) scrape_events;
    _Atomic(uint64_t) scrape_dropped;
};

/* ---- settings.c: under the lock -------------------------------------------
 */

/* Puts together what is in force. */
void settings_build(struct integrations *s, enum integration which);
void settings_free(struct settings *n);

/* The settings key of an integration, "integration/NAME", in the room. */
#define SETTINGS_PREFIX "integration/"
struct str settings_key(enum integration which, char room[64]);

/* A copy for longer than the lock; wipe it with settings_wipe. */
struct integration_config settings_copy(const struct member *m,
                                        struct arena *a);
void settings_wipe(struct integration_config *c);

/* "not configured (routing_key is not set)": why it is not used. */
void settings_explain(enum integration which, const struct settings *n,
                      char ret[INTEGRATION_ERROR_SIZE]);

/* What a stored object says in public: secrets as "set". New reference. */
json_t *settings_public(const json_t *stored);

/* The stored object with the change in it, a new reference, or -errno. */
NODISCARD int settings_change(struct integrations *s,
                              struct integration_change *change, json_t **ret,
                              struct err *reterr);

/* What of m->stored still counts, a new reference; the names of what the file
 * has overruled are added to ret_lost, unless NULL, as "url, timeout". */
json_t *settings_live(const struct member *m, struct strbuf *ret_lost);

/* The fingerprints of what the file says, again. */
void settings_set_bases(struct integrations *s, struct member *m);

/* ---- check.c: the thread's ------------------------------------------------
 */

/* Starts what was posted and what is due; the monotonic time of the next. */
uint64_t check_run_due(struct integrations *s, uint64_t now_ms);

/* What a request or a delivery has shown. Takes the lock. */
void check_record(struct integrations *s, enum integration which,
                  const char *error, uint64_t took_ms);

/* Ends all that wait, with -ECANCELED. */
void check_cancel_all(struct integrations *s);

/* Is there a way to ask without side effects, with what is set? */
bool check_has_probe(enum integration which, const struct settings *n);

/* About so long: 0.8 to 1.2 times. */
uint64_t check_jitter(struct integrations *s, uint64_t ms);

/* ---- notices.c ------------------------------------------------------------
 */

NODISCARD int notices_load(struct integrations *s, struct reader *reader);
void notices_free(struct integrations *s);

/* ---- outbox.c: the thread's ------------------------------------------------
 */

/* Before the first outbox_run of a process. */
void outbox_start(struct integrations *s, uint64_t now_ms);

/* Sends what may be sent; the monotonic time to look again. */
uint64_t outbox_run(struct integrations *s, uint64_t now_ms);

/* Takes the tokens of so many messages that are sent past the outbox. 0, or in
 * how many ms there are as many: then none is taken. */
uint64_t outbox_take(struct integrations *s, enum integration which,
                     uint64_t count);

/* Waits until the store has told what became of its operations. */
void outbox_settle(struct integrations *s);

/* ---- scraper.c: the thread's -----------------------------------------------
 */

struct scraper;

/* Scrapes what is due; the monotonic time to look again. */
uint64_t scraper_run(struct integrations *s, uint64_t now_ms);

/* Ends the pages' thread and waits for the store. */
void scraper_settle(struct integrations *s);
void scraper_free(struct scraper *p);

/* The targets, for the detail; under the lock. A new reference. */
json_t *scraper_json(const struct scraper *p);

/* ---- view.c ---------------------------------------------------------------
 */

/* The word that is shown; under the lock. */
const char *health_text(const struct member *m);

/* true, false or null. */
json_t *health_json(const struct member *m);

/* Logs one line. */
void integrations_log(const struct integrations *s, int priority,
                      const char *fmt, ...) PRINTF_LIKE(3, 4);
