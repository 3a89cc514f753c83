#include "wire/exec_proto.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "model/runbook_load.h"

/*
 * A datagram: magic, kind, length of the body, body. The body is the fields
 * of the kind's table, in order, without padding. One table drives both
 * directions, so they cannot disagree.
 */
#define MAGIC 0x4144U /* "DA" on the wire */
#define HEADER_BYTES 8

#define PATH_MAX_BYTES 255
#define ERROR_MAX_BYTES 1024
#define ATTEMPT_MAX 1000000
#define EXIT_CODE_MAX 255
#define SIGNAL_MAX 64

/* params_check may give full values of bytes that JSON escapes with one more,
 * names and punctuation. By the time of START the workflow is durable: there
 * must be no limit left to meet. */
_Static_assert(EXEC_PARAMETERS_MAX_BYTES >=
                   (size_t)RUNBOOK_MAX_PARAMS *
                       (RUNBOOK_PARAM_VALUE_MAX_BYTES * 2 + 128),
               "parameters that were accepted can be said");

enum field_type {
    FIELD_END,
    FIELD_U32,
    FIELD_U64,
    FIELD_I32,  /* offset by one on the wire: -1 is 0 */
    FIELD_ENUM, /* as FIELD_U32, kept in an enum */
    FIELD_BOOL,
    FIELD_ID,
    FIELD_KEY, /* struct attempt_key */
    FIELD_HASH,
    FIELD_TEXT, /* UTF-8 without NUL */
    FIELD_TAIL, /* the same, last of all; an empty one is not said, as before
                   there was one: outcomes are kept over an upgrade */
    FIELD_BYTES
};

struct field {
    enum field_type type;
    size_t offset; /* in struct exec_message */
    uint64_t min;  /* of numbers and of lengths; 1 for an id: not null */
    uint64_t max;
};

#define AT(member) offsetof(struct exec_message, member)

static const struct field hello_fields[] = {
    {FIELD_U32, AT(hello.version), 1, UINT32_MAX},
    {FIELD_END, 0, 0, 0},
};

static const struct field welcome_fields[] = {
    {FIELD_U32, AT(hello.version), 1, UINT32_MAX},
    {FIELD_ID, AT(hello.executor), 1, 1},
    {FIELD_END, 0, 0, 0},
};

static const struct field start_fields[] = {
    {FIELD_KEY, AT(start.key), 0, 0},
    {FIELD_ID, AT(start.executor), 1, 1},
    {FIELD_TEXT, AT(start.path), 1, PATH_MAX_BYTES},
    {FIELD_HASH, AT(start.hash), 0, 0},
    {FIELD_TEXT, AT(start.parameters), 0, EXEC_PARAMETERS_MAX_BYTES},
    {FIELD_TEXT, AT(start.steps), 0, EXEC_STEPS_MAX_BYTES},
    {FIELD_U64, AT(start.created_ms), 0, INT64_MAX},
    {FIELD_U64, AT(start.now_ms), 0, INT64_MAX},
    {FIELD_U64, AT(start.timeout_ms), 0, EXEC_TIMEOUT_MAX_MS},
    {FIELD_U64, AT(start.grace_ms), 0, EXEC_TIMEOUT_MAX_MS},
    {FIELD_END, 0, 0, 0},
};

static const struct field stop_fields[] = {
    {FIELD_KEY, AT(stop.key), 0, 0},
    {FIELD_BOOL, AT(stop.kill), 0, 1},
    {FIELD_U64, AT(stop.grace_ms), 0, EXEC_TIMEOUT_MAX_MS},
    {FIELD_END, 0, 0, 0},
};

static const struct field forget_fields[] = {
    {FIELD_KEY, AT(forget.key), 0, 0},
    {FIELD_END, 0, 0, 0},
};

static const struct field pin_fields[] = {
    {FIELD_TEXT, AT(pin.path), 1, PATH_MAX_BYTES},
    {FIELD_HASH, AT(pin.hash), 0, 0},
    {FIELD_END, 0, 0, 0},
};

static const struct field pinned_fields[] = {
    {FIELD_TEXT, AT(pin.path), 1, PATH_MAX_BYTES},
    {FIELD_HASH, AT(pin.hash), 0, 0},
    {FIELD_TEXT, AT(pin.error), 0, ERROR_MAX_BYTES},
    {FIELD_END, 0, 0, 0},
};

static const struct field started_fields[] = {
    {FIELD_KEY, AT(started.key), 0, 0},
    {FIELD_U32, AT(started.pid), 1, INT32_MAX},
    {FIELD_U64, AT(started.started_ms), 1, INT64_MAX},
    {FIELD_END, 0, 0, 0},
};

static const struct field output_fields[] = {
    {FIELD_KEY, AT(output.key), 0, 0},
    {FIELD_U64, AT(output.offset), 0, INT64_MAX},
    {FIELD_ENUM, AT(output.stream), OUTPUT_STDOUT, OUTPUT_STDERR},
    {FIELD_U64, AT(output.at_ms), 1, INT64_MAX},
    {FIELD_BYTES, AT(output.data), 1, EXEC_CHUNK_MAX_BYTES},
    {FIELD_END, 0, 0, 0},
};

static const struct field ended_fields[] = {
    {FIELD_KEY, AT(ended.key), 0, 0},
    {FIELD_ENUM, AT(ended.state), ATTEMPT_SUCCEEDED, ATTEMPT_REFUSED},
    {FIELD_ID, AT(ended.executor), 0, 1},
    {FIELD_U32, AT(ended.pid), 0, INT32_MAX},
    {FIELD_U64, AT(ended.requested_ms), 0, INT64_MAX},
    {FIELD_U64, AT(ended.started_ms), 0, INT64_MAX},
    {FIELD_U64, AT(ended.finished_ms), 0, INT64_MAX},
    {FIELD_I32, AT(ended.exit_code), 0, EXIT_CODE_MAX + 1},
    {FIELD_I32, AT(ended.term_signal), 1, SIGNAL_MAX + 1},
    {FIELD_U64, AT(ended.output_bytes), 0, INT64_MAX},
    {FIELD_BOOL, AT(ended.output_truncated), 0, 1},
    {FIELD_U32, AT(ended.survivors), 0, UINT32_MAX},
    {FIELD_TEXT, AT(ended.error), 0, ERROR_MAX_BYTES},
    {FIELD_BOOL, AT(ended.maybe_alive), 0, 1},
    {FIELD_TAIL, AT(ended.outputs), 1, ATTEMPT_OUTPUTS_MAX_BYTES},
    {FIELD_END, 0, 0, 0},
};

static const struct field deferred_fields[] = {
    {FIELD_KEY, AT(deferred.key), 0, 0},
    {FIELD_TEXT, AT(deferred.error), 1, ERROR_MAX_BYTES},
    {FIELD_END, 0, 0, 0},
};

static const struct field *const fields_of[EXEC_KINDS] = {
    [EXEC_HELLO] = hello_fields,       [EXEC_WELCOME] = welcome_fields,
    [EXEC_START] = start_fields,       [EXEC_STOP] = stop_fields,
    [EXEC_FORGET] = forget_fields,     [EXEC_PIN] = pin_fields,
    [EXEC_STARTED] = started_fields,   [EXEC_OUTPUT] = output_fields,
    [EXEC_ENDED] = ended_fields,       [EXEC_PINNED] = pinned_fields,
    [EXEC_DEFERRED] = deferred_fields,
};

static bool in_range(const struct field *f, uint64_t value)
{
    return value >= f->min && value <= f->max;
}

/* ---- numbers as they stand in the struct -------------------------------- */

static uint64_t load_number(const struct field *f, const void *at)
{
    uint64_t u64 = 0;
    uint32_t u32 = 0;
    int32_t i32 = 0;
    bool flag = false;
    if (f->type == FIELD_U64) {
        memcpy(&u64, at, sizeof(u64));
        return u64;
    }
    if (f->type == FIELD_BOOL) {
        memcpy(&flag, at, sizeof(flag));
        return flag ? 1 : 0;
    }
    if (f->type == FIELD_I32) {
        memcpy(&i32, at, sizeof(i32));
        return (uint64_t)((int64_t)i32 + 1);
    }
    memcpy(&u32, at, sizeof(u32));
    return u32;
}

static void store_number(const struct field *f, void *at, uint64_t value)
{
    if (f->type == FIELD_U64) {
        memcpy(at, &value, sizeof(value));
    } else if (f->type == FIELD_BOOL) {
        bool flag = value != 0;
        memcpy(at, &flag, sizeof(flag));
    } else if (f->type == FIELD_I32) {
        int32_t i32 = (int32_t)((int64_t)value - 1);
        memcpy(at, &i32, sizeof(i32));
    } else {
        uint32_t u32 = (uint32_t)value;
        memcpy(at, &u32, sizeof(u32));
    }
}

_Static_assert(sizeof(enum output_stream) == sizeof(uint32_t) &&
                   sizeof(enum attempt_state) == sizeof(uint32_t),
               "enums are stored as 32 bits");

/* How many bytes a number takes on the wire; 0: not a number. */
static size_t number_width(enum field_type type)
{
    switch (type) {
    case FIELD_U32:
    case FIELD_I32:
    case FIELD_ENUM:
        return 4;
    case FIELD_U64:
        return 8;
    case FIELD_BOOL:
        return 1;
    case FIELD_END:
    case FIELD_ID:
    case FIELD_KEY:
    case FIELD_HASH:
    case FIELD_TEXT:
    case FIELD_TAIL:
    case FIELD_BYTES:
        break;
    }
    return 0;
}

/* ---- encoding ----------------------------------------------------------- */

static void put_number(struct strbuf *out, uint64_t value, size_t width)
{
    char bytes[8];
    for (size_t i = 0; i < width; i++) {
        bytes[i] = (char)(uint8_t)(value >> (8 * i));
    }
    strbuf_add(out, str_n(bytes, width));
}

static int text_check(const struct field *f, struct str s)
{
    if (!in_range(f, s.len)) {
        return -E2BIG;
    }
    if (f->type != FIELD_BYTES && (str_find(s, '\0') >= 0 || !str_is_utf8(s))) {
        return -EBADMSG;
    }
    return 0;
}

static bool key_is_sound(const struct attempt_key *key)
{
    return !id_is_null(key->workflow_id) && key->step_no < RUNBOOK_MAX_STEPS &&
           key->attempt >= 1 && key->attempt <= ATTEMPT_MAX;
}

static int put_key(struct strbuf *out, const struct attempt_key *key)
{
    strbuf_add(out, id_bytes(&key->workflow_id));
    put_number(out, key->step_no, 4);
    put_number(out, key->attempt, 4);
    return key_is_sound(key) ? 0 : -ERANGE;
}

static int put_field(struct strbuf *out, const struct field *f, const void *at)
{
    size_t width = number_width(f->type);
    if (width != 0) {
        uint64_t value = load_number(f, at);
        put_number(out, value, width);
        return in_range(f, value) ? 0 : -ERANGE;
    }
    if (f->type == FIELD_ID) {
        struct id id = ID_NULL;
        memcpy(&id, at, sizeof(id));
        strbuf_add(out, id_bytes(&id));
        return f->min != 0 && id_is_null(id) ? -ERANGE : 0;
    }
    if (f->type == FIELD_KEY) {
        struct attempt_key key;
        memcpy(&key, at, sizeof(key));
        return put_key(out, &key);
    }
    if (f->type == FIELD_HASH) {
        strbuf_add(out, str_n(at, sizeof(struct runbook_hash)));
        return 0;
    }
    struct str s = STR_NULL;
    memcpy(&s, at, sizeof(s));
    if (f->type == FIELD_TAIL && s.len == 0) {
        return 0;
    }
    put_number(out, s.len, 4);
    strbuf_add(out, s);
    return text_check(f, s);
}

int exec_encode(const struct exec_message *m, struct strbuf *out)
{
    ASSERT(out->len == 0 && m->kind > 0 && m->kind < EXEC_KINDS);
    put_number(out, MAGIC, 2);
    put_number(out, (uint64_t)m->kind, 2);
    put_number(out, 0, 4);
    const struct field *f = fields_of[m->kind];
    for (; f->type != FIELD_END; f++) {
        int r = put_field(out, f, (const char *)m + f->offset);
        if (r < 0) {
            return r;
        }
    }
    if (strbuf_error(out) < 0 || out->len > EXEC_MESSAGE_MAX_BYTES) {
        return -E2BIG;
    }
    uint32_t body = (uint32_t)(out->len - HEADER_BYTES);
    for (unsigned i = 0; i < 4; i++) {
        out->at[4 + i] = (char)(uint8_t)(body >> (8 * i));
    }
    return 0;
}

/* ---- decoding ----------------------------------------------------------- */

/* What is left of the datagram. */
struct reader {
    struct str rest;
    bool bad;
};

static struct str take(struct reader *r, uint64_t len)
{
    if (r->bad || len > r->rest.len) {
        r->bad = true;
        return STR_NULL;
    }
    struct str s = str_n(r->rest.at, (size_t)len);
    r->rest = str_slice(r->rest, (size_t)len, r->rest.len);
    return s;
}

static uint64_t take_number(struct reader *r, size_t width)
{
    struct str s = take(r, width);
    uint64_t value = 0;
    for (size_t i = s.len; i-- > 0;) {
        value = value << 8 | (uint8_t)s.at[i];
    }
    return value;
}

static void take_bytes(struct reader *r, void *to, size_t len)
{
    struct str s = take(r, len);
    if (s.len == len) {
        memcpy(to, s.at, len);
    }
}

static void take_key(struct reader *r, struct attempt_key *key)
{
    take_bytes(r, &key->workflow_id, sizeof(key->workflow_id));
    key->step_no = (uint32_t)take_number(r, 4);
    key->attempt = (uint32_t)take_number(r, 4);
    r->bad = r->bad || !key_is_sound(key);
}

static void take_field(struct reader *r, const struct field *f, void *at)
{
    size_t width = number_width(f->type);
    if (width != 0) {
        uint64_t value = take_number(r, width);
        r->bad = r->bad || !in_range(f, value);
        if (!r->bad) {
            store_number(f, at, value);
        }
    } else if (f->type == FIELD_ID) {
        struct id id = ID_NULL;
        take_bytes(r, &id, sizeof(id));
        r->bad = r->bad || (f->min != 0 && id_is_null(id));
        memcpy(at, &id, sizeof(id));
    } else if (f->type == FIELD_KEY) {
        struct attempt_key key = {0};
        take_key(r, &key);
        memcpy(at, &key, sizeof(key));
    } else if (f->type == FIELD_HASH) {
        take_bytes(r, at, sizeof(struct runbook_hash));
    } else if (f->type != FIELD_TAIL || r->rest.len != 0) {
        struct str s = take(r, take_number(r, 4));
        r->bad = r->bad || text_check(f, s) < 0;
        memcpy(at, &s, sizeof(s));
    }
}

int exec_decode(struct str datagram, struct exec_message *ret)
{
    struct reader r = {.rest = datagram};
    uint64_t magic = take_number(&r, 2);
    uint64_t kind = take_number(&r, 2);
    uint64_t body = take_number(&r, 4);
    if (r.bad || magic != MAGIC || kind == 0 || kind >= EXEC_KINDS ||
        datagram.len > EXEC_MESSAGE_MAX_BYTES || body != r.rest.len) {
        return -EBADMSG;
    }
    struct exec_message m;
    memset(&m, 0, sizeof(m));
    m.kind = (enum exec_kind)kind;
    const struct field *f = fields_of[kind];
    for (; f->type != FIELD_END && !r.bad; f++) {
        take_field(&r, f, (char *)&m + f->offset);
    }
    if (r.bad || r.rest.len != 0) {
        return -EBADMSG;
    }
    *ret = m;
    return 0;
}
