#include "app/config_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "app/config_environment.h"
#include "base/assert.h"
#include "base/mem.h"
#include "data/duration.h"
#include "integrations/sample_rule.h"
#include "integrations/web.h"
#include "model/notice.h"
#include "os/fd.h"

static void add_problem(struct config_reader *r, bool warning,
                        const char *field, const struct err *e)
{
    struct config_report *report = r->report;
    if (!warning && report->error_count >= CONFIG_MAX_PROBLEMS) {
        return;
    }
    struct config_problem p = {.warning = warning, .file = r->file, .err = *e};
    if (!r->is_file) {
        p.err.at = (struct place){0};
    }
    err_field(&p.err, "%s", field);
    if (!warning && ++report->error_count == CONFIG_MAX_PROBLEMS) {
        err_hint(&p.err, "there may be more: only %d are shown",
                 CONFIG_MAX_PROBLEMS);
    }
    VEC_PUSH(&report->problems, p);
}

void config_complain(struct config_reader *r, const char *field,
                     const struct err *e)
{
    add_problem(r, false, field, e);
}

/* What neither the executor nor a backup looks at. */
static const char *const engine_sections[] = {"server.", "security.tokens",
                                              "integrations.", "limits."};

static bool is_engines(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(engine_sections); i++) {
        if (str_starts(str_c(key), str_c(engine_sections[i]))) {
            return true;
        }
    }
    return false;
}

void config_warn(struct config_reader *r, const char *field,
                 const struct err *e)
{
    if (!r->beside_engine || !is_engines(field)) {
        add_problem(r, true, field, e);
    }
}

void config_remark(struct config_reader *r, const char *field,
                   const struct err *e)
{
    size_t before = r->report->problems.count;
    config_warn(r, field, e);
    if (r->report->problems.count > before) {
        r->report->problems.at[before].remark = true;
    }
}

/* ---- texts -------------------------------------------------------------- */

static bool is_name_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* Length of the name in "${NAME}" or "${credential:NAME}" at the start of s,
 * behind `skip` bytes, or 0. */
static size_t reference_name(struct str s, size_t skip, bool credential)
{
    size_t i = skip;
    while (i < s.len &&
           (is_name_char(s.at[i], i == skip) ||
            (credential && i > skip && (s.at[i] == '-' || s.at[i] == '.')))) {
        i++;
    }
    return i > skip && i < s.len && s.at[i] == '}' ? i - skip : 0;
}

/* Appends the content of the file that systemd has put there for us
 * (LoadCredential=), without the newline at its end. -ENOENT: there is none. */
static int add_credential(const char *name, struct strbuf *out, struct err *e)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    CLEANUP(os_closep) int fd = -1;
    CLEANUP(os_closep) int file = -1;
    char room[CONFIG_TEXT_MAX_BYTES + 1];
    if (folder == NULL ||
        (fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) {
        return err_set(e, -ENOENT, "there are no credentials here");
    }
    file = openat(fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t len = file < 0 ? -1 : read(file, room, sizeof(room));
    if (len < 0) {
        return err_set(e, errno == ENOENT ? -ENOENT : -EINVAL,
                       "cannot read the credential %s: %s", name,
                       strerror(errno));
    }
    while (len > 0 && (room[len - 1] == '\n' || room[len - 1] == '\r')) {
        len--;
    }
    struct str value = str_n(room, (size_t)len);
    bool good = str_find(value, '\0') < 0 && str_is_utf8(value);
    if (good) {
        strbuf_add(out, value);
    }
    sodium_memzero(room, sizeof(room));
    return good ? 0
                : err_set(e, -EINVAL, "the credential %s is not text", name);
}

#define CREDENTIAL "${credential:"

/* A variable that this process was not given. */
static int add_variable(const struct config_reader *r, const char *name,
                        struct strbuf *out, struct err *e)
{
    const char *file = r->environment;
    int result = file != NULL ? config_environment_read(file, str_c(name), out)
                              : -ENOENT;
    if (result == 0) {
        return 0;
    }
    if (file == NULL) {
        return err_set(e, -ENOENT, "the environment variable %s is not set",
                       name);
    }
    if (result == -ENOENT) {
        return err_set(e, -ENOENT,
                       "the environment variable %s is set neither in this "
                       "shell nor in %s",
                       name, file);
    }
    return err_set(e, -ENOENT,
                   "the environment variable %s is not set in this shell, and "
                   "the service's, %s, cannot be read: %s",
                   name, file, strerror(-result));
}

/* Appends what the reference at the start of s stands for and sets its length
 * in *used. -ENOENT: the variable is missing; -EINVAL: not a reference. */
static int expand_reference(const struct config_reader *r, struct str s,
                            struct strbuf *out, size_t *used, struct err *e)
{
    bool credential = str_starts(s, STR(CREDENTIAL));
    size_t skip = credential ? sizeof(CREDENTIAL) - 1 : 2;
    size_t len = reference_name(s, skip, credential);
    if (len == 0) {
        err_hint(e, "${NAME} is an environment variable, ${credential:NAME} a "
                    "file of systemd's; write $${ for ${");
        return err_set(e, -EINVAL,
                       "\"${\" is not followed by a name and \"}\"");
    }
    CLEANUP(mem_freep) char *name = str_dup(str_slice(s, skip, skip + len));
    *used = skip + len + 1;
    const char *value = credential ? NULL : getenv(name);
    if (value != NULL) {
        strbuf_addc(out, value);
        return 0;
    }
    int result = add_credential(name, out, e);
    if (result == -ENOENT && credential) {
        err_hint(e, "LoadCredential=%s:/FILE in the unit provides it", name);
        return err_set(e, -ENOENT, "there is no credential %s", name);
    }
    return result == -ENOENT ? add_variable(r, name, out, e) : result;
}

static int expand(const struct config_reader *r, struct str s,
                  struct strbuf *out, struct err *e)
{
    while (s.len != 0) {
        size_t used = 1;
        if (str_starts(s, STR("$${"))) {
            strbuf_addc(out, "${");
            used = 3;
        } else if (str_starts(s, STR("${"))) {
            int result = expand_reference(r, s, out, &used, e);
            if (result < 0) {
                return result;
            }
        } else {
            strbuf_addch(out, s.at[0]);
        }
        s = str_slice(s, used, s.len);
    }
    if (strbuf_error(out) < 0) {
        return err_set(e, -E2BIG, "longer than %d bytes",
                       CONFIG_TEXT_MAX_BYTES);
    }
    return 0;
}

static void wipe_text(struct strbuf *text)
{
    if (text->at != NULL) {
        sodium_memzero(text->at, text->cap);
    }
    strbuf_deinit(text);
}

static bool may_be_missing(const struct config_reader *r,
                           const struct config_option *o)
{
    return (o->flags & CONFIG_CREDENTIAL) != 0 ||
           (r->beside_engine && is_engines(o->key));
}

int config_value_text(struct config_reader *r, const struct config_option *o,
                      const struct yaml_node *n, const char **ret)
{
    struct err e = ERR_INIT;
    struct str raw = STR_NULL;
    CLEANUP(wipe_text)
    struct strbuf text = STRBUF_INIT(CONFIG_TEXT_MAX_BYTES);
    int result = yaml_string(n, &raw, &e);
    if (result == 0) {
        e.at = yaml_place(n);
        result = expand(r, raw, &text, &e);
        if (result == -ENOENT && may_be_missing(r, o)) {
            err_hint(&e, "the option stays unset");
            config_warn(r, o->key, &e);
            return 1;
        }
    }
    if (result == 0 && text.len == 0) {
        err_hint(&e, "remove the line to leave the option unset");
        result = err_set(&e, -EINVAL, "empty");
    }
    if (result < 0) {
        config_complain(r, o->key, &e);
        return result;
    }
    *ret = arena_strdup(&r->config->arena, strbuf_str(&text));
    return 0;
}

/* ---- checks of texts ---------------------------------------------------- */

static int check_any(struct str text, struct err *e)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7F) {
            return err_set(e, -EINVAL, "holds a control character");
        }
    }
    return 0;
}

static int check_name(struct str text, struct err *e)
{
    bool good = text.len <= 32 && is_name_char(text.at[0], true);
    for (size_t i = 1; i < text.len && good; i++) {
        good = is_name_char(text.at[i], false) || text.at[i] == '-' ||
               text.at[i] == '.';
    }
    return good ? 0 : err_set(e, -EINVAL, "not a name of a user or group");
}

static int check_path(struct str text, struct err *e)
{
    if (text.at[0] != '/') {
        err_hint(e, "begin it with /");
        return err_set(e, -EINVAL, "not an absolute path");
    }
    return check_any(text, e);
}

static int check_http_url(struct str text, struct err *e)
{
    struct str rest = STR_NULL;
    if (str_starts(text, STR("http://"))) {
        rest = str_slice(text, 7, text.len);
    } else if (str_starts(text, STR("https://"))) {
        rest = str_slice(text, 8, text.len);
    }
    if (rest.len == 0 || rest.at[0] == '/' || str_find(text, ' ') >= 0) {
        return err_set(e, -EINVAL,
                       "not a URL of the form http://HOST or https://HOST");
    }
    return check_any(text, e);
}

static int check_host(struct str text, struct err *e)
{
    bool good = text.len <= 253;
    for (size_t i = 0; i < text.len && good; i++) {
        good = is_name_char(text.at[i], false) || text.at[i] == '-' ||
               text.at[i] == '.' || text.at[i] == ':' ||
               ((text.at[i] == '[' || text.at[i] == ']'));
    }
    return good ? 0 : err_set(e, -EINVAL, "not a host name");
}

static int check_address(struct str text, struct err *e)
{
    struct sockaddr_storage unused;
    size_t colon = text.len;
    while (colon > 0 && text.at[colon - 1] != ':') {
        colon--;
    }
    uint64_t port = 0;
    struct str host = str_slice(text, 0, colon != 0 ? colon - 1 : 0);
    bool six = host.len > 2 && host.at[0] == '[';
    if (six && host.at[host.len - 1] == ']') {
        host = str_slice(host, 1, host.len - 1);
    }
    CLEANUP(mem_freep) char *copy = str_dup(host);
    err_hint(e, "write 127.0.0.1:9000 or [::1]:9000");
    if (inet_pton(six ? AF_INET6 : AF_INET, copy, &unused) != 1) {
        return err_set(e, -EINVAL, "not a numeric address and a port");
    }
    if (str_to_u64(str_slice(text, colon, text.len), 0, 65535, &port) < 0) {
        return err_set(e, -EINVAL, "the port is not a number up to 65535");
    }
    e->hint[0] = '\0';
    return 0;
}

#define SQLITE_SCHEME "sqlite://"
#define DATABASE_FILE "/engine.db"

/* Some write four slashes: //PATH would be a host to who reads it as a URI. */
static struct str storage_file(struct str url)
{
    struct str file = str_slice(url, sizeof(SQLITE_SCHEME) - 1, url.len);
    while (str_starts(file, STR("//"))) {
        file = str_slice(file, 1, file.len);
    }
    return file;
}

static int check_storage_url(struct str text, struct err *e)
{
    if (str_starts(text, STR("postgresql://")) ||
        str_starts(text, STR("postgres://"))) {
        err_hint(e, "use sqlite:///FILE");
        return err_set(e, -EINVAL, "PostgreSQL is not supported by this build");
    }
    struct str scheme = STR(SQLITE_SCHEME);
    struct str file = storage_file(text);
    err_hint(e,
             "write sqlite:///var/lib/autonomous-devops/state" DATABASE_FILE);
    if (!str_starts(text, scheme) || file.len == 0 || file.at[0] != '/') {
        return err_set(e, -EINVAL, "not a URL of the form sqlite:///FILE");
    }
    if (!str_ends(file, STR(DATABASE_FILE)) ||
        file.len == sizeof(DATABASE_FILE) - 1) {
        return err_set(e, -EINVAL,
                       "the database file must be called engine.db");
    }
    e->hint[0] = '\0';
    return check_any(text, e);
}

static void split_storage_url(struct config *c)
{
    struct str url = str_c(c->storage_url);
    struct str file = storage_file(url);
    c->storage_path = arena_strdup(&c->arena, file);
    c->state_directory = arena_strdup(
        &c->arena, str_slice(file, 0, file.len - (sizeof(DATABASE_FILE) - 1)));
}

static int check_notice(struct str text, struct err *e)
{
    for (size_t i = 0; i < NOTICE_KINDS; i++) {
        if (str_eq_c(text, notice_kind_name(i))) {
            return 0;
        }
    }
    err_hint(e, "write failed, held, killed, resolved or escalated");
    return err_set(e, -EINVAL, "not a kind of notice");
}

static int check_rule(struct str text, struct err *e)
{
    CLEANUP(arena_deinit) struct arena a = ARENA_INIT;
    struct sample_rule rule = {.matcher_count = 0};
    int r = sample_rule_parse(text, &a, &rule, e);
    sample_rule_deinit(&rule);
    return r;
}

typedef int check_fn(struct str text, struct err *e);

static check_fn *const checks[CONFIG_TYPES] = {
    [CONFIG_TEXT] = check_any,        [CONFIG_NAME] = check_name,
    [CONFIG_PATH] = check_path,       [CONFIG_HTTP_URL] = check_http_url,
    [CONFIG_ADDRESS] = check_address, [CONFIG_STORAGE_URL] = check_storage_url,
    [CONFIG_NOTICES] = check_notice,  [CONFIG_URLS] = web_url_check,
    [CONFIG_RULES] = check_rule,      [CONFIG_HOSTS] = check_host,
    [CONFIG_RUN_AS] = check_name,
};

/* ---- setters ------------------------------------------------------------ */

static void *field_of(struct config *c, const struct config_option *o)
{
    return (char *)c + o->offset;
}

int config_value_checked(struct config_reader *r, const struct config_option *o,
                         const struct yaml_node *n, const char **ret)
{
    int result = config_value_text(r, o, n, ret);
    if (result != 0) {
        return result;
    }
    struct err e = {.at = yaml_place(n)};
    result = checks[o->type](str_c(*ret), &e);
    if (result < 0) {
        config_complain(r, o->key, &e);
    }
    return result;
}

static void set_text(struct config_reader *r, const struct config_option *o,
                     const struct yaml_node *n)
{
    const char *text = NULL;
    if (config_value_checked(r, o, n, &text) == 0) {
        *(const char **)field_of(r->config, o) = text;
        if (o->type == CONFIG_STORAGE_URL) {
            split_storage_url(r->config);
        }
    }
}

bool config_value_is_list(struct config_reader *r,
                          const struct config_option *o,
                          const struct yaml_node *n)
{
    struct err e = ERR_INIT;
    if (yaml_kind(n) != YAML_SEQUENCE) {
        (void)yaml_err(&e, n, -EINVAL, "expected %s, got %s",
                       config_type_text(o->type), yaml_kind_text(n));
    } else if (yaml_count(n) > CONFIG_MAX_LIST) {
        (void)yaml_err(&e, n, -E2BIG, "more than %d elements", CONFIG_MAX_LIST);
    } else {
        return true;
    }
    config_complain(r, o->key, &e);
    return false;
}

static void set_list(struct config_reader *r, const struct config_option *o,
                     const struct yaml_node *n)
{
    size_t count = yaml_count(n);
    if (!config_value_is_list(r, o, n)) {
        return;
    }
    const char **list = ARENA_ARRAY(&r->config->arena, count + 1, const char *);
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        good =
            config_value_checked(r, o, yaml_item(n, i), &list[i]) == 0 && good;
    }
    if (good) {
        *(const char *const **)field_of(r->config, o) = list;
    }
}

/* Puts what is allowed into the message of a number out of range. */
static void complain_range(struct config_reader *r,
                           const struct config_option *o,
                           const struct yaml_node *n)
{
    struct err e = ERR_INIT;
    char lo[DURATION_TEXT_SIZE];
    char hi[DURATION_TEXT_SIZE];
    if (o->type == CONFIG_DURATION) {
        duration_format(o->min, lo);
        duration_format(o->max, hi);
    } else {
        (void)snprintf(lo, sizeof(lo), "%llu", (unsigned long long)o->min);
        (void)snprintf(hi, sizeof(hi), "%llu", (unsigned long long)o->max);
    }
    (void)yaml_err(&e, n, -ERANGE, "must be between %s and %s", lo, hi);
    config_complain(r, o->key, &e);
}

/* "1MiB", "512 KiB", "65536": bytes. */
static int parse_size(struct str text, uint64_t *ret)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {{"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}};
    uint64_t factor = 1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (str_ends(text, str_c(units[i].suffix))) {
            factor = units[i].factor;
            text = str_trim(str_slice(text, 0, text.len - 3));
            break;
        }
    }
    uint64_t count = 0;
    int result = str_to_u64(text, 0, UINT64_MAX / factor, &count);
    if (result == 0) {
        *ret = count * factor;
    }
    return result;
}

static int parse_number(const struct config_option *o,
                        const struct yaml_node *n, uint64_t *ret, struct err *e)
{
    int64_t whole = 0;
    struct str text = STR_NULL;
    int result = 0;
    switch ((int)o->type) {
    case CONFIG_DURATION:
        result = yaml_string(n, &text, e);
        if (result == 0) {
            result = duration_parse(text, ret);
        }
        if (result == -EINVAL && e->message[0] == '\0') {
            err_hint(e, "write 90s, 5m or 1h30m; a bare number is seconds");
            return err_set(e, -EINVAL, "not a duration");
        }
        return result;
    case CONFIG_SIZE:
        result = yaml_string(n, &text, e);
        if (result == 0) {
            result = parse_size(text, ret);
        }
        if (result == -EINVAL && e->message[0] == '\0') {
            err_hint(e, "write 65536, 64KiB, 1MiB or 20GiB");
            return err_set(e, -EINVAL, "not a size in bytes");
        }
        return result;
    default:
        result = yaml_int(n, 0, INT64_MAX, &whole, e);
        if (result == 0) {
            *ret = (uint64_t)whole;
        }
        return result;
    }
}

static void set_number(struct config_reader *r, const struct config_option *o,
                       const struct yaml_node *n)
{
    struct err e = ERR_INIT;
    uint64_t value = 0;
    int result = parse_number(o, n, &value, &e);
    if (result == -ERANGE ||
        (result == 0 && (value < o->min || value > o->max))) {
        complain_range(r, o, n);
    } else if (result < 0) {
        e.at = yaml_place(n);
        config_complain(r, o->key, &e);
    } else if (o->type == CONFIG_U32) {
        *(uint32_t *)field_of(r->config, o) = (uint32_t)value;
    } else {
        *(uint64_t *)field_of(r->config, o) = value;
    }
}

static void set_bool(struct config_reader *r, const struct config_option *o,
                     const struct yaml_node *n)
{
    struct err e = ERR_INIT;
    bool value = false;
    if (yaml_bool(n, &value, &e) < 0) {
        config_complain(r, o->key, &e);
    } else {
        *(bool *)field_of(r->config, o) = value;
    }
}

static void set_enum(struct config_reader *r, const struct config_option *o,
                     const struct yaml_node *n)
{
    const char *text = NULL;
    if (config_value_text(r, o, n, &text) != 0) {
        return;
    }
    uint32_t count = 0;
    CLEANUP(strbuf_deinit) struct strbuf all = STRBUF_INIT(192);
    for (; o->names[count] != NULL; count++) {
        if (str_eq_c(str_c(text), o->names[count])) {
            *(uint32_t *)field_of(r->config, o) = count;
            return;
        }
        strbuf_addf(&all, "%s%s", count != 0 ? ", " : "", o->names[count]);
    }
    struct err e = {.at = yaml_place(n)};
    const char *near = str_nearest(str_c(text), o->names, count);
    if (near != NULL) {
        err_hint(&e, "did you mean \"%s\"?", near);
    }
    (void)err_set(&e, -EINVAL, "not one of: %s", strbuf_str(&all).at);
    config_complain(r, o->key, &e);
}

typedef void set_fn(struct config_reader *r, const struct config_option *o,
                    const struct yaml_node *n);

void config_value_set(struct config_reader *r, const struct config_option *o,
                      const struct yaml_node *n)
{
    static set_fn *const setters[CONFIG_TYPES] = {
        [CONFIG_BOOL] = set_bool,
        [CONFIG_U32] = set_number,
        [CONFIG_U64] = set_number,
        [CONFIG_DURATION] = set_number,
        [CONFIG_SIZE] = set_number,
        [CONFIG_ENUM] = set_enum,
        [CONFIG_TEXT] = set_text,
        [CONFIG_NAME] = set_text,
        [CONFIG_PATH] = set_text,
        [CONFIG_HTTP_URL] = set_text,
        [CONFIG_ADDRESS] = set_text,
        [CONFIG_STORAGE_URL] = set_text,
        [CONFIG_HOSTS] = set_list,
        [CONFIG_NOTICES] = set_list,
        [CONFIG_URLS] = set_list,
        [CONFIG_RULES] = set_list,
        [CONFIG_RUN_AS] = config_run_as_set,
        [CONFIG_TOKENS] = config_tokens_set,
    };
    setters[o->type](r, o, n);
}
