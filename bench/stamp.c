/*
 * A step that tells when it was started: appends "NANOSECONDS NAME" (epoch)
 * to FILE and ends.
 *
 *   stamp FILE NAME
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (argc != 3) {
        (void)fprintf(stderr, "Usage: stamp FILE NAME\n");
        return 2;
    }
    char line[256];
    int n = snprintf(line, sizeof(line), "%lld%09ld %s\n", (long long)t.tv_sec,
                     t.tv_nsec, argv[2]);
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0 || n <= 0 || write(fd, line, strlen(line)) != n) {
        return 1;
    }
    return close(fd);
}
