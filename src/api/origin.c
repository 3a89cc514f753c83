#include "api/origin.h"

#include <errno.h>
#include <strings.h>

#include "base/mem.h"
#include "base/vec.h"

struct host_entry {
    char *text; /* owned */
    struct str name;
    struct str port; /* "": any */
};

struct host_list {
    VEC(struct host_entry) entries;
};

static bool eq_nocase(struct str a, struct str b)
{
    return a.len == b.len && strncasecmp(a.at, b.at, a.len) == 0;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        if (!ok) {
            return false;
        }
    }
    return s.len != 0;
}

/* "[...]": what an IPv6 literal is made of. */
static bool is_literal(struct str s)
{
    for (size_t i = 1; i + 1 < s.len; i++) {
        char c = s.at[i];
        bool ok = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
                  (c >= '0' && c <= '9') || c == ':' || c == '.';
        if (!ok) {
            return false;
        }
    }
    return s.len > 2;
}

/* "name", "name:port", "[v6]", "[v6]:port". */
static bool split(struct str host, struct str *ret_name, struct str *ret_port)
{
    size_t end = host.len;
    if (str_starts(host, STR("["))) {
        ptrdiff_t bracket = str_find(host, ']');
        if (bracket < 0) {
            return false;
        }
        end = (size_t)bracket + 1;
    } else if (str_find(host, ':') >= 0) {
        end = (size_t)str_find(host, ':');
    }
    struct str rest = str_slice(host, end, host.len);
    uint64_t port = 0;
    *ret_name = str_slice(host, 0, end);
    *ret_port = str_slice(rest, 1, rest.len);
    if (rest.len != 0 && (rest.at[0] != ':' || ret_port->len > 5 ||
                          str_to_u64(*ret_port, 1, UINT16_MAX, &port) < 0)) {
        return false;
    }
    return str_starts(host, STR("[")) ? is_literal(*ret_name)
                                      : is_name(*ret_name);
}

int host_list_new(const char *const *names, struct host_list **ret,
                  struct err *reterr)
{
    struct host_list *l = MEM_NEW(struct host_list);
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        struct host_entry e = {.text = str_dup(str_c(names[i]))};
        bool ok = split(str_c(e.text), &e.name, &e.port);
        VEC_PUSH(&l->entries, e);
        if (!ok) {
            err_field(reterr, "server.allowed_hosts");
            host_list_free(l);
            return err_set(reterr, -EINVAL,
                           "\"%s\" is not a host name with or without a port",
                           names[i]);
        }
    }
    *ret = l;
    return 0;
}

void host_list_free(struct host_list *l)
{
    if (l == NULL) {
        return;
    }
    VEC_EACH (&l->entries, i) {
        mem_free(l->entries.at[i].text);
    }
    VEC_DEINIT(&l->entries);
    mem_free(l);
}

bool host_allowed(const struct host_list *l, struct str host)
{
    struct str name = STR_NULL;
    struct str port = STR_NULL;
    if (!split(host, &name, &port)) {
        return false;
    }
    if (eq_nocase(name, STR("localhost")) || str_eq(name, STR("127.0.0.1")) ||
        str_eq(name, STR("[::1]"))) {
        return true;
    }
    VEC_EACH (&l->entries, i) {
        const struct host_entry *e = &l->entries.at[i];
        if (eq_nocase(e->name, name) &&
            (e->port.len == 0 || str_eq(e->port, port))) {
            return true;
        }
    }
    return false;
}

bool origin_allowed(const struct http_request *r)
{
    struct str site = r->headers[HTTP_SEC_FETCH_SITE];
    struct str origin = r->headers[HTTP_ORIGIN];
    if (site.at != NULL && !str_eq(site, STR("same-origin")) &&
        !str_eq(site, STR("none"))) {
        return false;
    }
    if (origin.at == NULL) {
        return true;
    }
    struct str scheme = r->tls ? STR("https://") : STR("http://");
    return str_starts(origin, scheme) &&
           eq_nocase(str_slice(origin, scheme.len, origin.len),
                     r->headers[HTTP_HOST]);
}
