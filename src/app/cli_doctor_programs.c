/*
 * adctl doctor: what the processes of the engine and the executor say, as far
 * as /proc shows them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli_doctor.h"
#include "app/cli_output.h"
#include "app/cli_site.h"
#include "os/fd.h"
#include "os/process.h"

#define LINK_MAX_BYTES 4096

static bool look(void *context, const struct os_process *p)
{
    struct visit *v = context;
    uid_t user = 0;
    struct config *c =
        cli_program_config(v->cli, v->config, p->pid, "executor");
    if (c == NULL) {
        return true;
    }
    bool root = os_process_user(p->pid, &user) == 0 && user == 0;
    if (root && c->executor_user == NULL) {
        doctor_say(v, WARNING,
                   cli_text(v->cli, "set executor.user in %s",
                            v->config->files[0] != NULL ? v->config->files[0]
                                                        : CONFIG_PATH_DEFAULT),
                   "they run as root");
    } else {
        doctor_say(v, GOOD, NULL, "they run as %s",
                   c->executor_user != NULL ? c->executor_user
                                            : "the executor's user");
    }
    config_free(c);
    return false;
}

void doctor_steps(struct visit *v)
{
    size_t before = json_array_size(v->items);
    if (v->config == NULL) {
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
        return;
    }
    if (os_process_each(look, v) < 0 || json_array_size(v->items) == before) {
        doctor_say(v, SKIPPED, NULL, "no executor of it runs here");
    }
}

/* ---- which programs they run ----------------------------------------------
 */

struct programs {
    struct visit *visit;
    const char *verb;
    const char *name;
    const char *unit;
    bool seen;
    bool hidden;
};

/* The link of a program whose file was replaced ends so. */
static bool was_replaced(const char *link)
{
    return str_ends(str_c(link), STR(" (deleted)"));
}

static bool look_at_program(void *context, const struct os_process *p)
{
    struct programs *x = context;
    struct visit *v = x->visit;
    char link[LINK_MAX_BYTES];
    struct config *c = cli_program_config(v->cli, v->config, p->pid, x->verb);
    if (c == NULL) {
        return true;
    }
    config_free(c);
    x->seen = true;
    const char *path = cli_text(v->cli, "/proc/%d/exe", (int)p->pid);
    ssize_t len = readlink(path, link, sizeof(link) - 1);
    link[len > 0 ? len : 0] = '\0';
    x->hidden = len < 0;
    if (was_replaced(link)) {
        doctor_say(v, WARNING,
                   cli_text(v->cli, "sudo systemctl restart %s", x->unit),
                   "the %s (pid %d) runs an older program than the installed "
                   "one",
                   x->name, (int)p->pid);
    }
    return false;
}

void doctor_programs(struct visit *v)
{
    struct programs both[] = {
        {.verb = "serve", .name = "engine", .unit = "autonomous-devops"},
        {.verb = "executor",
         .name = "executor",
         .unit = "autonomous-devops-executor, when no step runs"},
    };
    size_t before = json_array_size(v->items);
    bool seen = false;
    bool hidden = false;
    if (v->config == NULL) {
        doctor_say(v, SKIPPED, NULL, "%s", v->no_config);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        both[i].visit = v;
        if (os_process_each(look_at_program, &both[i]) < 0) {
            both[i].hidden = true;
        }
        seen = seen || both[i].seen;
        hidden = hidden || both[i].hidden;
    }
    if (json_array_size(v->items) != before) {
        return;
    }
    if (hidden) {
        doctor_say(v, SKIPPED, "sudo adctl doctor",
                   "what engine and executor run is not shown to you");
    } else if (!seen) {
        doctor_say(v, SKIPPED, NULL, "no engine or executor of it runs here");
    } else {
        doctor_say(v, GOOD, NULL, "what runs is what is installed");
    }
}
