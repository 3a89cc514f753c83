/*
 * adctl: main of the command line.
 */
#include <stdio.h>
#include <time.h>

#include "app/cli.h"
#include "app/cli_output.h"

int main(int argc, char **argv)
{
    struct cli cli = {.out = stdout, .err = stderr};
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    cli.now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    cli_terminal_detect(&cli.terminal, stdout);
    int code = cli_main(&cli, argc, argv);
    cli_deinit(&cli);
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && code == CLI_OK) {
        (void)fprintf(stderr, "adctl: cannot write the output\n");
        code = CLI_FAILED;
    }
    return code;
}
