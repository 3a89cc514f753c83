#include "api/plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/put.h"
#include "base/assert.h"

#define DIGEST_LEN 16

static const char *const names[PLAN_GUARDS] = {
    [PLAN_DISABLED] = "disabled", [PLAN_KILL_SWITCH] = "kill_switch",
    [PLAN_EXECUTOR] = "executor", [PLAN_CONCURRENCY] = "concurrency",
    [PLAN_TARGET] = "target",
};

const char *plan_guard_name(enum plan_guard g)
{
    ASSERT(g < PLAN_GUARDS);
    return names[g];
}

/* Lengths stand in front: no two things that differ have one text. */
uint64_t plan_digest(const struct runbook *rb, struct str parameters,
                     const struct plan_decisions *d)
{
    struct strbuf all = STRBUF_INIT(parameters.len + rb->path.len + 256);
    strbuf_addf(&all, "%zu %.*s ", rb->path.len, STR_ARG(rb->path));
    strbuf_add(&all,
               str_n((const char *)rb->hash.bytes, sizeof(rb->hash.bytes)));
    strbuf_addf(&all, " %zu ", parameters.len);
    strbuf_add(&all, parameters);
    for (unsigned i = 0; i < PLAN_GUARDS; i++) {
        strbuf_addf(&all, " %s=%d", names[i], (int)d->holds_back[i]);
    }
    ASSERT(strbuf_error(&all) == 0);
    struct runbook_hash hash = runbook_hash_of(strbuf_str(&all));
    strbuf_deinit(&all);
    uint64_t digest = 0;
    for (size_t i = 0; i < 8; i++) {
        digest = digest << 8 | hash.bytes[i];
    }
    return digest;
}

void plan_id_format(struct id dry_run, uint64_t digest, char out[PLAN_ID_SIZE])
{
    char id[ID_TEXT_SIZE];
    id_format(dry_run, ID_PREFIX_WORKFLOW, id);
    (void)snprintf(out, PLAN_ID_SIZE, "%s.%016llx", id,
                   (unsigned long long)digest);
}

int plan_id_parse(struct str text, struct id *ret_dry_run, uint64_t *ret_digest)
{
    uint64_t digest = 0;
    ptrdiff_t dot = str_find(text, '.');
    if (dot < 0 || text.len - (size_t)dot - 1 != DIGEST_LEN) {
        return -EINVAL;
    }
    for (size_t i = (size_t)dot + 1; i < text.len; i++) {
        char c = text.at[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f')) {
            return -EINVAL;
        }
        digest = digest << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    struct id id = ID_NULL;
    int r = id_parse(str_slice(text, 0, (size_t)dot), ID_PREFIX_WORKFLOW, &id);
    if (r == 0) {
        *ret_dry_run = id;
        *ret_digest = digest;
    }
    return r;
}

void plan_put_guards(struct strbuf *out, const struct plan_decisions *d)
{
    put_text_or_null(out, "target", d->target);
    put_open(out, "guards", '[');
    for (unsigned i = 0; i < PLAN_GUARDS; i++) {
        put_open(out, NULL, '{');
        put_text_c(out, "guard", names[i]);
        put_bool(out, "holds_back", d->holds_back[i]);
        put_text(out, "text", d->text[i]);
        put_close(out, '}');
    }
    put_close(out, ']');
}

void plan_tell(const struct plan_decisions *d, struct strbuf *out)
{
    bool any = false;
    for (unsigned i = 0; i < PLAN_GUARDS; i++) {
        if (d->holds_back[i]) {
            strbuf_addf(out, "%s%s: %.*s", any ? "; " : "", names[i],
                        STR_ARG(d->text[i]));
            any = true;
        }
    }
    strbuf_addc(out, any ? "" : "nothing holds it back");
}
