/*
 * Reading the configuration again while the engine runs: all or nothing. A
 * configuration with an error changes nothing; what a restart is needed for
 * is named. Any thread, one reading at a time.
 */
#pragma once

#include <systemd/sd-event.h>

#include "api/api.h"
#include "app/config.h"

struct integrations;
struct service;
struct reload;

/* `started` is what the process runs with; it and the sources are borrowed. */
struct reload *reload_new(const struct config_sources *sources,
                          const struct config *started);
void reload_free(struct reload *r); /* NULL is fine */

/* Whom a new configuration is told; before the first reading. */
void reload_set_service(struct reload *r, struct service *service,
                        struct integrations *integrations);

/* Looks now and then, on the loop of the calling thread, whether the files are
 * still those that were read; the API's view tells when they are not, and with
 * configuration.auto_reload they are read again, once, when they have stayed as
 * they are from one look to the next. Until reload_free, which must be called
 * before the loop goes. 0 or a negative errno. */
NODISCARD int reload_watch(struct reload *r, sd_event *loop);

/* Reads all sources, and puts them in force if they are good and the recorder
 * (NULL: none) does not object. Appends the members of a JSON object to *ret:
 * `changed`, `restart_required` and `warnings`, or else `errors` and
 * `warnings`. Returns 0, -EINVAL with the first error as the message, or what
 * the recorder said. Logs what came of it. */
int reload_now(struct reload *r, const struct api_config_recorder *recorder,
               struct strbuf *ret, struct err *reterr);

/* The API's view of it. */
struct api_config reload_port(struct reload *r);
