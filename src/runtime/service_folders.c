/*
 * The folders beside the state's: what is in them is looked at once a minute,
 * on the history's thread, for which files may be slow.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <syslog.h>

#include "os/clock.h"
#include "runtime/service_priv.h"

const char *service_archive_directory(const struct service *s)
{
    return s->archive_directory;
}

void service_folders_open(struct service *s)
{
    struct err err = ERR_INIT;
    uint32_t moved = 0;
    int r =
        archive_adopt(s->state_directory, s->archive_directory, &moved, &err);
    if (moved != 0) {
        service_log(s, LOG_NOTICE,
                    "archive: %" PRIu32 " files moved from %s/" ARCHIVE_FOLDER
                    " to %s",
                    moved, s->state_directory, s->archive_directory);
    }
    if (r < 0) {
        service_log(s, LOG_WARNING,
                    "archive: not all of %s/" ARCHIVE_FOLDER
                    " is in %s: %s; it is in no backup until it is moved there",
                    s->state_directory, s->archive_directory, err.message);
    }
}

static void prune_archive(struct service *s)
{
    struct err err = ERR_INIT;
    struct archive_removed removed;
    struct service_keep keep = service_keep(s);
    int r = archive_prune(s->archive_directory, &keep.archive, os_epoch_ms(),
                          &removed, &err);
    if (removed.files != 0) {
        service_log(s, LOG_NOTICE,
                    "archive: removed the oldest %" PRIu32 " files, %" PRIu64
                    " bytes (archive.keep, archive.max_bytes)",
                    removed.files, removed.bytes);
    }
    if (r < 0) {
        char text[sizeof(err.message) + 32];
        (void)snprintf(text, sizeof(text), "archive: %s", err.message);
        service_warn(s, text);
    }
}

/* Somebody else makes them: adctl, a timer. */
static void look_at_backups(struct service *s)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct backup_info last = {0};
    struct err err = ERR_INIT;
    int r = backup_last(s->backup_directory, &a, &last, &err);
    if (r < 0 && r != -ENOENT) {
        char text[sizeof(err.message) + 32];
        (void)snprintf(text, sizeof(text), "backups: %s", err.message);
        service_warn(s, text);
    }
    pthread_mutex_lock(&s->status_lock);
    s->status.backup_ms = last.made_ms;
    pthread_mutex_unlock(&s->status_lock);
}

void service_folders_look(struct service *s)
{
    prune_archive(s);
    look_at_backups(s);
}
