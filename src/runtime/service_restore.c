/*
 * Opening the store when it is damaged, and after a restore. A damaged one is
 * set aside and the newest good backup takes its place, if that is wanted.
 * What a backup holds is out of date: events that waited then may have been
 * processed since, workflows that ran may have gone on. So before anything is
 * accepted such events are set aside ("drained"; an operator may replay them)
 * and such workflows are held, and the engine says so until somebody has
 * acknowledged it.
 */
#include <errno.h>
#include <inttypes.h>
#include <syslog.h>

#include "backup/backup.h"
#include "base/assert.h"
#include "base/mem.h"
#include "data/timestamp.h"
#include "os/clock.h"
#include "runtime/service_priv.h"

#define PIECE_EVENTS 5000
#define VALUE_MAX_BYTES 16384

static int open_once(struct service *s, const struct store_options *options,
                     struct store_opened *opened, struct err *reterr)
{
    *reterr = ERR_INIT;
    return s->driver->open(options, &s->store, opened, reterr);
}

/* ---- a damaged store ----------------------------------------------------- */

static void log_broken(void *context, const char *name, const struct err *why)
{
    service_log(context, LOG_ERR, "backup %s is no good: %s", name,
                why->message);
}

/* Short, so that nothing of what helps is cut off; why is in the log. */
static int give_up(struct service *s, const struct err *damage, const char *why,
                   struct err *reterr)
{
    service_log(s, LOG_ERR, "no backup takes its place: %s", why);
    *reterr = *damage;
    err_hint(reterr,
             "restore a backup: adctl restore --salvage, perhaps with --from "
             "DIR; or begin with an empty store, the damaged one is kept: "
             "adctl restore --empty");
    return damage->errnum;
}

/* What the archive has lost as well. The store is what counts. */
static void restore_archive(struct service *s, const char *name,
                            struct arena *a)
{
    struct err err = ERR_INIT;
    uint32_t files = 0;
    if (backup_restore_archive(s->backup_directory, name, s->archive_directory,
                               a, &files, &err) < 0) {
        service_log(s, LOG_ERR, "the archive in %s is not restored: %s",
                    s->archive_directory, err.message);
    }
}

/* Puts the newest good backup in place of the damaged store. */
static int restore_newest(struct service *s, const struct err *damage,
                          struct arena *a, struct err *reterr)
{
    struct backup_info info = {0};
    struct str aside = STR_NULL;
    struct err err = ERR_INIT;
    CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT(VALUE_MAX_BYTES);
    service_log(s, LOG_ERR, "%s", damage->message);
    if (!s->options.restore_on_damage) {
        return give_up(s, damage, "storage.on_damage is stop", reterr);
    }
    if (backup_newest(s->backup_directory, a, &info, log_broken, s, &err) < 0) {
        return give_up(s, damage, err.message, reterr);
    }
    strbuf_addf(&why, "the store was damaged: %s", damage->message);
    const char *name = arena_strdup(a, info.name);
    const struct backup_restore_options options = {
        .directory = s->backup_directory,
        .name = name,
        .state_directory = s->state_directory,
        .now_ms = os_epoch_ms(),
        .why = strbuf_str(&why),
        .salvage = true,
    };
    if (backup_restore(&options, a, &aside, &err) < 0) {
        return give_up(s, damage, err.message, reterr);
    }
    service_tell(s, &(struct log_fields){.message = LOG_STORE_RESTORED},
                 "restored %s; the damaged store is in %.*s", name,
                 STR_ARG(aside));
    restore_archive(s, name, a);
    return 0;
}

int service_open_store(struct service *s, const struct store_options *options,
                       struct store_opened *opened, struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct backup_note note;
    struct err damage = ERR_INIT;
    int pending = backup_pending(s->state_directory, &a, &note, reterr);
    if (pending < 0) {
        return pending;
    }
    int r = open_once(s, options, opened, reterr);
    if (r != -EBADMSG) {
        return r;
    }
    damage = *reterr;
    if (pending == 1) {
        return give_up(s, &damage, "it had just been restored from a backup",
                       reterr);
    }
    r = restore_newest(s, &damage, &a, reterr);
    return r < 0 ? r : open_once(s, options, opened, reterr);
}

/* ---- after a restore ----------------------------------------------------- */

static int apply(struct service *s, const struct record *records,
                 uint32_t count, uint64_t *ret_moved, struct err *reterr)
{
    struct store_op op = {.kind = STORE_APPLY,
                          .apply = {.records = records, .count = count}};
    int r = s->driver->begin(s->store);
    r = r < 0 ? r : s->driver->run(s->store, &op, os_epoch_ms());
    r = r < 0 ? r : s->driver->commit(s->store);
    *ret_moved = op.apply.moved;
    return r < 0 ? err_set(reterr, r,
                           "cannot take account of the restored backup")
                 : 0;
}

/* Everything that waited, in pieces. */
static int drain(struct service *s, struct str why, uint64_t *ret_total,
                 struct err *reterr)
{
    static const enum event_status from[] = {EVENT_QUEUED, EVENT_ERROR};
    int r = 0;
    *ret_total = 0;
    for (size_t i = 0; i < ARRAY_LEN(from) && r == 0; i++) {
        uint64_t moved = PIECE_EVENTS;
        while (moved == PIECE_EVENTS && r == 0) {
            const struct record record = {
                .kind = RECORD_EVENTS_MOVE,
                .move = {.from = from[i],
                         .to = EVENT_DRAINED,
                         .limit = PIECE_EVENTS,
                         .at_ms = os_epoch_ms(),
                         .error = why},
            };
            r = apply(s, &record, 1, &moved, reterr);
            *ret_total += moved;
        }
    }
    return r;
}

static int tell(struct service *s, const struct backup_note *note,
                const struct store_salvaged *salvaged, struct err *reterr)
{
    CLEANUP(strbuf_deinit) struct strbuf value = STRBUF_INIT(VALUE_MAX_BYTES);
    uint64_t unused = 0;
    strbuf_addc(&value, "{\"backup\":");
    strbuf_add_json_quoted(&value, note->backup);
    strbuf_addf(&value, ",\"made_ms\":%" PRIu64 ",\"restored_ms\":%" PRIu64,
                note->made_ms, note->restored_ms);
    strbuf_addc(&value, ",\"why\":");
    strbuf_add_json_quoted(&value, note->why);
    strbuf_addc(&value, ",\"aside\":");
    strbuf_add_json_quoted(&value, note->aside);
    strbuf_addf(&value,
                ",\"salvaged_events\":%" PRIu64 ",\"unreadable\":%" PRIu64 "}",
                salvaged->events, salvaged->gaps);
    uint64_t now_ms = os_epoch_ms();
    const struct record records[] = {
        {.kind = RECORD_SETTING,
         .setting = {.key = STR(CONTROL_RESTORED),
                     .value = strbuf_str(&value),
                     .at_ms = now_ms,
                     .by = STR("engine")}},
        {.kind = RECORD_AUDIT,
         .audit = {.at_ms = now_ms,
                   .who = STR("engine"),
                   .action = STR("store.restore"),
                   .subject = note->backup,
                   .after = strbuf_str(&value)}},
    };
    return apply(s, records, ARRAY_LEN(records), &unused, reterr);
}

static void log_restore(struct service *s, const struct backup_note *note,
                        uint64_t drained, const struct store_salvaged *salvaged)
{
    char made[TIMESTAMP_TEXT_SIZE];
    timestamp_format(note->made_ms, made);
    service_log(s, LOG_ERR,
                "the store was restored from %.*s, made %s: %" PRIu64
                " events that waited then are set aside (adctl event list "
                "--status drained), unfinished workflows are held (adctl "
                "workflow list --status held)",
                STR_ARG(note->backup), made, drained);
    if (!note->salvage) {
        service_log(s, LOG_ERR, "what was stored after that is lost");
        return;
    }
    service_log(s, LOG_ERR,
                "%" PRIu64 " events accepted after that were read from the "
                "damaged store and are set aside too; %" PRIu64 " places in "
                "it could not be read; workflows since then are lost",
                salvaged->events, salvaged->gaps);
}

int service_take_restore(struct service *s, struct err *reterr)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT(1024);
    struct backup_note note;
    char made[TIMESTAMP_TEXT_SIZE];
    uint64_t drained = 0;
    int r = backup_read_note(s->state_directory, &a, &note, reterr);
    if (r <= 0) {
        return r;
    }
    timestamp_format(note.made_ms, made);
    strbuf_addf(&why,
                "restored from the backup of %s: what has become of it since "
                "then is not known",
                made);
    struct store_salvaged salvaged = {0};
    r = drain(s, strbuf_str(&why), &drained, reterr);
    r = r < 0 ? r : service_salvage(s, &note, &salvaged, reterr);
    r = r < 0 ? r : tell(s, &note, &salvaged, reterr);
    if (r == 0) {
        log_restore(s, &note, drained, &salvaged);
        s->doubt = str_dup(strbuf_str(&why));
    }
    return r;
}

void service_settle_restore(struct service *s)
{
    struct err err = ERR_INIT;
    if (s->doubt == NULL || !runtime_is_quiet(s->runtime)) {
        return;
    }
    mem_free(s->doubt);
    s->doubt = NULL;
    if (backup_settle(s->state_directory, &err) < 0) {
        service_log(s, LOG_ERR, "%s", err.message);
    }
}
