/*
 * Is the request meant for us, and did a page of ours send it? The Host
 * header must be a name of this server (against DNS rebinding); an Origin
 * must be the same one (against pages of other sites). Any thread.
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "net/http.h"

struct host_list;

/* names ends in NULL, or is NULL. -EINVAL for one that is no "name" or
 * "name:port". localhost, 127.0.0.1 and [::1] are always in, at any port: a
 * tunnel may change it. */
NODISCARD int host_list_new(const char *const *names, struct host_list **ret,
                            struct err *reterr);
void host_list_free(struct host_list *l);

bool host_allowed(const struct host_list *l, struct str host);

/* False if another site's page may have sent r: an Origin that is not the
 * scheme and host that r was sent to, "null" included, or a browser that says
 * so (Sec-Fetch-Site). */
bool origin_allowed(const struct http_request *r);
