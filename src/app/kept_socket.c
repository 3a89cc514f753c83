#include "app/kept_socket.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "app/log.h"
#include "base/mem.h"

/* The name in the store; also for FileDescriptorName= of a socket unit. */
#define SOCKET_NAME "http"

int kept_socket_take(void)
{
    char **names = NULL;
    int kept = 0;
    int n = sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < n; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        if (kept == 0 && strcmp(names[i], SOCKET_NAME) == 0) {
            kept = fd;
        } else {
            log_warning("systemd handed over a socket named \"%s\", which "
                        "nothing here listens on; closed",
                        names[i]);
            close(fd);
        }
        free(names[i]); /* of malloc: systemd's */
    }
    free((void *)names);
    return kept;
}

void kept_socket_leave(int fd)
{
    /* No polling: a listening socket never hangs up. */
    static const char message[] = "FDSTORE=1\nFDNAME=" SOCKET_NAME "\nFDPOLL=0";
    (void)sd_pid_notify_with_fds(0, 0, message, &fd, 1);
}

void kept_socket_drop(void)
{
    (void)sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" SOCKET_NAME);
}

bool kept_socket_is_wanted(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}
