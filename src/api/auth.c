#include "api/auth.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <sodium.h>

#include "api/limiter.h"
#include "base/mem.h"
#include "base/str.h"
#include "integrations/web.h"
#include "os/clock.h"

#define SCOPES_ALL (API_READ | API_INGEST | API_EXECUTE | API_ADMIN)
#define MEMORY_SLOTS 16
#define GROUPS_MAX 256
#define NSS_BUFFER_BYTES 16384

struct remembered {
    uid_t uid;
    bool ok;
    uint64_t until_ms; /* 0: unused */
};

struct auth {
    struct api_token *tokens;
    size_t token_count;
    char *group;
    bool trust_own_uid;
    struct limiter limiter;
    pthread_mutex_t lock; /* memory */
    struct remembered memory[MEMORY_SLOTS];
    size_t next_slot;
};

struct auth *auth_new(const struct api_options *options)
{
    struct auth *a = MEM_NEW(struct auth);
    a->token_count = options->token_count;
    a->tokens = mem_alloc(a->token_count, sizeof(struct api_token));
    for (size_t i = 0; i < a->token_count; i++) {
        a->tokens[i] = options->tokens[i];
        a->tokens[i].name = str_dup(str_c(options->tokens[i].name));
    }
    a->group = str_dup(str_c(options->group));
    a->trust_own_uid = options->trust_own_uid;
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

void auth_free(struct auth *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < a->token_count; i++) {
        char *name = (char *)(uintptr_t)a->tokens[i].name;
        mem_free(name);
    }
    mem_free(a->tokens);
    mem_free(a->group);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

/* ---- local users --------------------------------------------------------- */

static bool group_id(const char *name, gid_t *ret)
{
    char buffer[NSS_BUFFER_BYTES];
    struct group entry;
    struct group *found = NULL;
    if (name[0] == '\0' ||
        getgrnam_r(name, &entry, buffer, sizeof(buffer), &found) != 0 ||
        found == NULL) {
        return false;
    }
    *ret = entry.gr_gid;
    return true;
}

static bool is_member(uid_t uid, const char *group)
{
    char buffer[NSS_BUFFER_BYTES];
    struct passwd entry;
    struct passwd *found = NULL;
    gid_t wanted = 0;
    if (!group_id(group, &wanted) ||
        getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) != 0 ||
        found == NULL) {
        return false;
    }
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;
    if (getgrouplist(entry.pw_name, entry.pw_gid, groups, &count) < 0) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (groups[i] == wanted) {
            return true;
        }
    }
    return false;
}

/* Under the lock. */
static struct remembered *recall(struct auth *a, uid_t uid, uint64_t now_ms)
{
    for (size_t i = 0; i < MEMORY_SLOTS; i++) {
        if (a->memory[i].uid == uid && a->memory[i].until_ms > now_ms) {
            return &a->memory[i];
        }
    }
    return NULL;
}

bool auth_uid_ok(struct auth *a, uid_t uid, uint64_t now_ms)
{
    if (uid == 0 || uid == geteuid()) {
        return uid == 0 || a->trust_own_uid;
    }
    pthread_mutex_lock(&a->lock);
    struct remembered *known = recall(a, uid, now_ms);
    bool ok = known != NULL && known->ok;
    if (known == NULL) {
        ok = is_member(uid, a->group);
        a->memory[a->next_slot] = (struct remembered){
            .uid = uid, .ok = ok, .until_ms = now_ms + AUTH_MEMORY_MS};
        a->next_slot = (a->next_slot + 1) % MEMORY_SLOTS;
    }
    pthread_mutex_unlock(&a->lock);
    return ok;
}

/* Who makes the engine ask a partner, with a URL of theirs, must not get to do
 * here what the engine's own user may. */
static bool is_engine(const struct http_request *r)
{
    struct str agent = r->headers[HTTP_USER_AGENT];
    return agent.at != NULL && str_starts(agent, STR(WEB_AGENT));
}

/* A proxy on this machine speaks for others: its own uid says nothing. */
static enum auth_result by_uid(struct auth *a, struct http_request *r,
                               uint64_t now_ms, struct identity *ret)
{
    uid_t uid = 0;
    if (!r->loopback || r->headers[HTTP_FORWARDED].at != NULL ||
        http_peer_uid(r, &uid) < 0 || !auth_uid_ok(a, uid, now_ms)) {
        return AUTH_UNKNOWN;
    }
    *ret = (struct identity){
        .scopes = is_engine(r) ? (uint32_t)API_READ : SCOPES_ALL, .uid = uid};
    (void)snprintf(ret->name, sizeof(ret->name), "uid:%u", (unsigned)uid);
    return AUTH_OK;
}

/* ---- tokens -------------------------------------------------------------- */

static bool bearer(struct str header, struct str *ret)
{
    static const char scheme[] = "Bearer ";
    size_t len = sizeof(scheme) - 1;
    if (header.len <= len || strncasecmp(header.at, scheme, len) != 0) {
        return false;
    }
    *ret = str_trim(str_slice(header, len, header.len));
    return true;
}

/* Every token is compared, whatever the earlier ones gave. */
static const struct api_token *find_token(const struct auth *a,
                                          const uint8_t sha256[32])
{
    const struct api_token *found = NULL;
    for (size_t i = 0; i < a->token_count; i++) {
        if (sodium_memcmp(a->tokens[i].sha256, sha256, 32) == 0) {
            found = &a->tokens[i];
        }
    }
    return found;
}

/* Local users do not use up each other's attempts. */
static void source_of(struct http_request *r, uint8_t ret[16])
{
    memcpy(ret, r->address, 16);
    uid_t uid = 0;
    if (r->loopback && http_peer_uid(r, &uid) == 0) {
        memcpy(ret, &uid, sizeof(uid));
    } else if (!r->loopback && ret[10] != 0xFF) {
        memset(ret + 8, 0, 8); /* IPv6: one household, one source */
    }
}

/* A right token is always let in: those who share its source, a proxy or a
 * local user, may fail as often as they like. Only failures are slowed. */
static enum auth_result by_token(struct auth *a, struct http_request *r,
                                 uint64_t now_ms, struct identity *ret)
{
    struct str token = STR_NULL;
    const struct api_token *found = NULL;
    uint8_t sha256[32];
    if (bearer(r->headers[HTTP_AUTHORIZATION], &token)) {
        (void)crypto_hash_sha256(sha256, (const uint8_t *)token.at, token.len);
        found = find_token(a, sha256);
    }
    if (found == NULL) {
        uint8_t source[16];
        source_of(r, source);
        if (!limiter_may(&a->limiter, source, now_ms)) {
            return AUTH_WAIT;
        }
        limiter_failed(&a->limiter, source, now_ms);
        return AUTH_WRONG;
    }
    *ret = (struct identity){.scopes = found->scopes, .by_token = true};
    memcpy(ret->sha256, sha256, 32);
    (void)snprintf(ret->name, sizeof(ret->name), "token:%s", found->name);
    return AUTH_OK;
}

enum auth_result auth_identify(struct auth *a, struct http_request *r,
                               uint64_t now_ms, struct identity *ret)
{
    if (r->headers[HTTP_AUTHORIZATION].at != NULL) {
        return by_token(a, r, now_ms, ret);
    }
    return by_uid(a, r, now_ms, ret);
}

bool auth_still(struct auth *a, const struct identity *who)
{
    return who->by_token ? find_token(a, who->sha256) != NULL
                         : auth_uid_ok(a, who->uid, os_monotonic_ms());
}
