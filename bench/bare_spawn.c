/*
 * The baseline of the workflow benchmark: start COUNT processes of /bin/true
 * with posix_spawn, at most CONCURRENT at a time, and reap them. Prints how
 * many a second.
 *
 *   bare_spawn COUNT CONCURRENT
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "Usage: bare_spawn COUNT CONCURRENT\n");
        return 2;
    }
    long count = strtol(argv[1], NULL, 10);
    long concurrent = strtol(argv[2], NULL, 10);
    char program[] = "/bin/true";
    char *args[] = {program, NULL};
    char *env[] = {NULL};
    long running = 0;
    double start = now_s();
    for (long started = 0; started < count || running > 0;) {
        if (started < count && running < concurrent) {
            pid_t pid = 0;
            if (posix_spawn(&pid, program, NULL, NULL, args, env) != 0) {
                (void)fprintf(stderr, "bare_spawn: cannot start %s\n", program);
                return 1;
            }
            started++;
            running++;
            continue;
        }
        int status = 0;
        if (waitpid(-1, &status, 0) > 0) {
            running--;
        }
    }
    (void)printf("%.0f\n", (double)count / (now_s() - start));
    return 0;
}
