#include "os/holder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "data/timestamp.h"
#include "os/fd.h"

#define PROGRAM "autonomous-devops"
#define PID_MAX_BYTES 16
#define COMMAND_MAX_BYTES (1024UL * 1024)

static pid_t read_pid(int fd)
{
    char text[PID_MAX_BYTES];
    uint64_t pid = 0;
    ssize_t n = pread(fd, text, sizeof(text), 0);
    size_t len = 0;
    while (n > 0 && len < (size_t)n && text[len] >= '0' && text[len] <= '9') {
        len++;
    }
    return str_to_u64(str_n(text, len), 1, INT32_MAX, &pid) == 0 ? (pid_t)pid
                                                                 : 0;
}

/* The program and its first word, if it is one of ours. */
static void read_command(struct os_holder *h)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)h->pid);
    CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT(COMMAND_MAX_BYTES);
    if (os_read_file(AT_FDCWD, path, &text) < 0) {
        return;
    }
    struct str all = strbuf_str(&text);
    ptrdiff_t end = str_find(all, '\0');
    struct str program = str_slice(all, 0, end < 0 ? all.len : (size_t)end);
    struct str rest = str_slice(all, program.len + 1, all.len);
    end = str_find(rest, '\0');
    struct str word = str_slice(rest, 0, end < 0 ? rest.len : (size_t)end);
    if (str_eq(program, STR(PROGRAM)) || str_ends(program, STR("/" PROGRAM))) {
        (void)snprintf(h->command, sizeof(h->command), PROGRAM "%s%.*s",
                       word.len != 0 ? " " : "", STR_ARG(word));
    }
}

void os_holder_read(int fd, struct os_holder *ret)
{
    struct stat st;
    *ret = (struct os_holder){.pid = read_pid(fd)};
    if (fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 0) {
        ret->since_ms = (uint64_t)st.st_mtim.tv_sec * 1000;
    }
    if (ret->pid != 0) {
        read_command(ret);
    }
}

void os_holder_add(const struct os_holder *h, struct strbuf *out)
{
    char since[TIMESTAMP_TEXT_SIZE];
    if (h->pid == 0) {
        strbuf_addc(out, "pid unknown");
        return;
    }
    strbuf_addf(out, "pid %d", (int)h->pid);
    if (h->command[0] != '\0') {
        strbuf_addc(out, ", ");
        strbuf_add_visible(out, str_c(h->command));
    }
    if (h->since_ms != 0) {
        timestamp_format(h->since_ms, since);
        strbuf_addf(out, ", since %s", since);
    }
}
