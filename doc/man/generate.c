/*
 * Fills the generated parts into a manual page: a line "@COMMANDS@" becomes
 * the command table of adctl, "@OPTIONS@" the table of configuration options,
 * "@RULES@" the rules of lint.
 * Usage: man-generate TEMPLATE, the page goes to standard output.
 */
#include <stdio.h>
#include <string.h>

#include "app/cli_commands.h"
#include "app/config.h"
#include "base/strbuf.h"
#include "lint/lint.h"

static const struct {
    const char *line;
    void (*add)(struct strbuf *out);
} parts[] = {
    {"@COMMANDS@\n", cli_add_man},
    {"@OPTIONS@\n", config_add_man},
    {"@RULES@\n", lint_add_man},
};

static void add_line(struct strbuf *out, const char *line)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (strcmp(line, parts[i].line) == 0) {
            parts[i].add(out);
            return;
        }
    }
    strbuf_addc(out, line);
}

int main(int argc, char **argv)
{
    char line[1024];
    struct strbuf out = STRBUF_INIT(4UL * 1024 * 1024);
    FILE *in = argc == 2 ? fopen(argv[1], "re") : NULL;
    if (in == NULL) {
        (void)fprintf(stderr, "usage: man-generate TEMPLATE\n");
        return 2;
    }
    while (fgets(line, sizeof(line), in) != NULL) {
        add_line(&out, line);
    }
    int failed = ferror(in) != 0 || strbuf_error(&out) != 0 ||
                 fputs(strbuf_str(&out).at, stdout) < 0;
    (void)fclose(in);
    strbuf_deinit(&out);
    return failed ? 1 : 0;
}
