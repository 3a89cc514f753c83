/*
 * security.tokens: who may call the API from elsewhere. Only the SHA-256 of a
 * token is kept, whether it was given as that or read from a file.
 */
#include "app/config_value.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/mem.h"

#define TOKEN_MIN_BYTES 16
#define TOKEN_MAX_BYTES 512

static const char *const scope_names[] = {"read", "ingest", "execute", "admin"};
static const char *const token_keys[] = {"name", "scopes", "sha256", "file"};

struct token_reader {
    struct config_reader *r;
    const struct config_option *option;
    struct config_token token;
    const struct yaml_node *hash; /* sha256: */
    const struct yaml_node *file; /* file: */
    bool good;
};

static void complain(struct token_reader *t, const struct err *e)
{
    config_complain(t->r, t->option->key, e);
    t->good = false;
}

static void read_scope(struct token_reader *t, const struct yaml_node *n)
{
    struct err e = ERR_INIT;
    struct str text = STR_NULL;
    if (yaml_string(n, &text, &e) < 0) {
        complain(t, &e);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(scope_names); i++) {
        if (str_eq_c(text, scope_names[i])) {
            t->token.scopes |= 1U << i;
            return;
        }
    }
    const char *near = str_nearest(text, scope_names, ARRAY_LEN(scope_names));
    if (near != NULL) {
        err_hint(&e, "did you mean \"%s\"?", near);
    }
    (void)yaml_err(&e, n, -EINVAL,
                   "a scope is one of: read, ingest, execute, admin");
    complain(t, &e);
}

static void read_scopes(struct token_reader *t, const struct yaml_node *n)
{
    struct err e = ERR_INIT;
    if (yaml_kind(n) != YAML_SEQUENCE || yaml_count(n) == 0) {
        (void)yaml_err(&e, n, -EINVAL, "scopes: expected a list, got %s",
                       yaml_kind(n) == YAML_SEQUENCE ? "an empty one"
                                                     : yaml_kind_text(n));
        complain(t, &e);
        return;
    }
    for (size_t i = 0; i < yaml_count(n); i++) {
        read_scope(t, yaml_item(n, i));
    }
}

static void read_hash(struct token_reader *t)
{
    const char *text = NULL;
    size_t len = 0;
    if (config_value_text(t->r, t->option, t->hash, &text) != 0) {
        t->good = false;
        return;
    }
    if (strlen(text) != 64 ||
        sodium_hex2bin(t->token.sha256, sizeof(t->token.sha256), text, 64, NULL,
                       &len, NULL) != 0 ||
        len != sizeof(t->token.sha256)) {
        struct err e = ERR_INIT;
        err_hint(&e, "printf %%s TOKEN | sha256sum prints it");
        (void)yaml_err(&e, t->hash, -EINVAL,
                       "sha256: not 64 hexadecimal digits");
        complain(t, &e);
    }
}

/* Reads the token into room (TOKEN_MAX_BYTES + 2), without the newline at its
 * end. Returns its length or a negative errno. */
static ssize_t read_token_file(const char *path, char *room, mode_t *ret_mode)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    struct stat st;
    ssize_t len = -EINVAL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        len = read(fd, room, TOKEN_MAX_BYTES + 2);
        len = len < 0 ? -errno : len;
        *ret_mode = st.st_mode;
    }
    (void)close(fd);
    while (len > 0 && (room[len - 1] == '\n' || room[len - 1] == '\r')) {
        len--;
    }
    return len;
}

static void read_file(struct token_reader *t)
{
    const char *path = NULL;
    char room[TOKEN_MAX_BYTES + 2];
    mode_t mode = 0;
    struct err e = {.at = yaml_place(t->file)};
    if (config_value_text(t->r, t->option, t->file, &path) != 0) {
        t->good = false;
        return;
    }
    ssize_t len = read_token_file(path, room, &mode);
    if (len < 0) {
        (void)err_set(&e, (int)len, "cannot read the token file %s: %s", path,
                      len == -EINVAL ? "not a regular file"
                                     : strerror((int)-len));
        complain(t, &e);
    } else if (len < TOKEN_MIN_BYTES || len > TOKEN_MAX_BYTES) {
        err_hint(&e, "openssl rand -hex 32 makes a good one");
        (void)err_set(&e, -ERANGE, "the token in %s must have %d to %d bytes",
                      path, TOKEN_MIN_BYTES, TOKEN_MAX_BYTES);
        complain(t, &e);
    } else {
        (void)crypto_hash_sha256(t->token.sha256, (unsigned char *)room,
                                 (unsigned long long)len);
        if ((mode & 07) != 0) {
            err_hint(&e, "chmod o= %s", path);
            (void)err_set(&e, -EPERM, "every user can read the token file");
            config_warn(t->r, t->option->key, &e);
        }
    }
    sodium_memzero(room, sizeof(room));
}

static void read_key(struct token_reader *t, const struct yaml_node *key,
                     const struct yaml_node *value)
{
    struct err e = ERR_INIT;
    struct str name = yaml_text(key);
    if (str_eq_c(name, "name")) {
        t->good =
            config_value_text(t->r, t->option, value, &t->token.name) == 0 &&
            t->good;
    } else if (str_eq_c(name, "scopes")) {
        read_scopes(t, value);
    } else if (str_eq_c(name, "sha256")) {
        t->hash = value;
    } else if (str_eq_c(name, "file")) {
        t->file = value;
    } else {
        const char *near = str_nearest(name, token_keys, ARRAY_LEN(token_keys));
        if (near != NULL) {
            err_hint(&e, "did you mean \"%s\"?", near);
        }
        (void)yaml_err(&e, key, -EINVAL, "unknown key \"%.*s\"",
                       STR_ARG(str_slice(name, 0, 64)));
        complain(t, &e);
    }
}

/* What no single key can know. */
static void check_whole(struct token_reader *t, const struct yaml_node *n)
{
    struct err e = ERR_INIT;
    const char *missing = NULL;
    if (t->token.name == NULL) {
        missing = "a token needs a name";
    } else if (t->token.scopes == 0) {
        missing = "a token needs scopes";
    } else if ((t->hash == NULL) == (t->file == NULL)) {
        missing = "a token needs either sha256 or file";
    }
    if (missing != NULL) {
        (void)yaml_err(&e, n, -EINVAL, "%s", missing);
        complain(t, &e);
    }
    const struct config *c = t->r->config;
    for (uint32_t i = 0; i < c->token_count && t->token.name != NULL; i++) {
        if (strcmp(c->tokens[i].name, t->token.name) == 0) {
            (void)yaml_err(&e, n, -EINVAL, "two tokens have the name \"%s\"",
                           t->token.name);
            complain(t, &e);
        }
    }
}

static void add_token(struct config_reader *r, const struct config_option *o,
                      const struct yaml_node *n)
{
    struct token_reader t = {.r = r, .option = o, .good = true};
    if (yaml_kind(n) != YAML_MAPPING) {
        struct err e = ERR_INIT;
        (void)yaml_err(&e, n, -EINVAL,
                       "expected a mapping with a name and scopes, got %s",
                       yaml_kind_text(n));
        complain(&t, &e);
        return;
    }
    for (size_t i = 0; i < yaml_count(n); i++) {
        read_key(&t, yaml_key(n, i), yaml_value(n, i));
    }
    if (t.good) {
        check_whole(&t, n);
    }
    if (t.good && t.hash != NULL) {
        read_hash(&t);
    } else if (t.good) {
        read_file(&t);
    }
    if (t.good) {
        r->config->tokens[r->config->token_count++] = t.token;
    }
}

void config_tokens_set(struct config_reader *r, const struct config_option *o,
                       const struct yaml_node *n)
{
    struct err e = ERR_INIT;
    size_t count = yaml_count(n);
    if (yaml_kind(n) != YAML_SEQUENCE) {
        (void)yaml_err(&e, n, -EINVAL, "expected a list, got %s",
                       yaml_kind_text(n));
        config_complain(r, o->key, &e);
        return;
    }
    if (count > CONFIG_MAX_LIST) {
        (void)yaml_err(&e, n, -E2BIG, "more than %d tokens", CONFIG_MAX_LIST);
        config_complain(r, o->key, &e);
        return;
    }
    r->config->token_count = 0;
    r->config->tokens =
        ARENA_ARRAY(&r->config->arena, count + 1, struct config_token);
    for (size_t i = 0; i < count; i++) {
        add_token(r, o, yaml_item(n, i));
    }
}
