#include "data/yaml_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libfyaml.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"

/* The parser's events, not its documents, build the tree: that way every
 * limit and every refused feature is seen before anything is kept. */

struct yaml_node {
    enum yaml_kind kind;
    enum yaml_style style;
    uint32_t count; /* elements, or keys and values together */
    struct place at;
    struct str text;
    struct yaml_node *parent;
    struct yaml_node *first; /* child, while it is being built */
    struct yaml_node *last;
    struct yaml_node *next;
    struct yaml_node **items; /* the children, once it is closed */
};

struct yaml_doc {
    struct arena arena;
    struct yaml_node *root;
};

struct builder {
    struct yaml_doc *doc;
    struct yaml_limits limits;
    struct yaml_node *open; /* innermost container, NULL at the top */
    uint32_t depth;
    uint32_t nodes;
    uint32_t documents;
    struct place at; /* of the event at hand */
    struct err *err;
};

static int refuse(struct builder *b, int errnum, const char *what,
                  const char *hint)
{
    b->err->at = b->at;
    err_hint(b->err, "%s", hint);
    return err_set(b->err, errnum, "%s", what);
}

static bool is_key_next(const struct yaml_node *map)
{
    return map->kind == YAML_MAPPING && map->count % 2 == 0;
}

static int add_node(struct builder *b, enum yaml_kind kind,
                    struct yaml_node **ret)
{
    struct yaml_node *parent = b->open;
    if (b->nodes >= b->limits.nodes) {
        b->err->at = b->at;
        return err_set(b->err, -E2BIG, "more than %u YAML nodes",
                       b->limits.nodes);
    }
    if (kind != YAML_SCALAR && parent != NULL && is_key_next(parent)) {
        return refuse(b, -EINVAL, "a key must be a text",
                      "quote the key if it starts with [ or {");
    }
    b->nodes++;
    struct yaml_node *n = ARENA_NEW(&b->doc->arena, struct yaml_node);
    n->kind = kind;
    n->at = b->at;
    n->parent = parent;
    if (parent == NULL) {
        ASSERT(b->doc->root == NULL);
        b->doc->root = n;
    } else {
        if (parent->last == NULL) {
            parent->first = n;
        } else {
            parent->last->next = n;
        }
        parent->last = n;
        parent->count++;
    }
    *ret = n;
    return 0;
}

static int check_key(struct builder *b, const struct yaml_node *key)
{
    if (yaml_is_plain(key) && str_eq(key->text, STR("<<"))) {
        return refuse(b, -EINVAL, "merge keys (<<) are not supported",
                      "write the keys out");
    }
    if (yaml_is_plain(key) && key->text.len == 0) {
        return refuse(b, -EINVAL, "a key is missing in front of the colon", "");
    }
    return 0;
}

static enum yaml_style style_of(struct fy_token *value)
{
    switch ((int)fy_token_scalar_style(value)) {
    case FYSS_SINGLE_QUOTED:
        return YAML_STYLE_SINGLE;
    case FYSS_DOUBLE_QUOTED:
        return YAML_STYLE_DOUBLE;
    case FYSS_LITERAL:
        return YAML_STYLE_LITERAL;
    case FYSS_FOLDED:
        return YAML_STYLE_FOLDED;
    default:
        return YAML_STYLE_PLAIN;
    }
}

static int on_scalar(struct builder *b, struct fy_token *value)
{
    struct yaml_node *n = NULL;
    bool is_key = b->open != NULL && is_key_next(b->open);
    size_t len = 0;
    const char *text = value != NULL ? fy_token_get_text(value, &len) : "";
    int r = add_node(b, YAML_SCALAR, &n);
    if (r < 0) {
        return r;
    }
    if (text == NULL) {
        return refuse(b, -EBADMSG, "the text cannot be read", "");
    }
    n->text = arena_str(&b->doc->arena, str_n(text, len));
    n->style = value == NULL ? YAML_STYLE_PLAIN : style_of(value);
    if (memchr(n->text.at, '\0', n->text.len) != NULL ||
        !str_is_utf8(n->text)) {
        return refuse(b, -EINVAL,
                      "an escape gives a character that no text may have",
                      "remove \\0 and surrogates");
    }
    return is_key ? check_key(b, n) : 0;
}

static int on_open(struct builder *b, enum yaml_kind kind)
{
    struct yaml_node *n = NULL;
    if (b->depth >= b->limits.depth) {
        b->err->at = b->at;
        return err_set(b->err, -E2BIG, "nested more than %u levels deep",
                       b->limits.depth);
    }
    int r = add_node(b, kind, &n);
    if (r < 0) {
        return r;
    }
    b->depth++;
    b->open = n;
    return 0;
}

static int check_duplicates(struct builder *b, const struct yaml_node *n)
{
    struct map seen = MAP_INIT;
    int r = 0;
    for (size_t i = 0; i < n->count && r == 0; i += 2) {
        struct yaml_node *key = n->items[i];
        struct yaml_node *before = map_put(&seen, key->text, key);
        if (before != NULL) {
            b->err->at = key->at;
            err_hint(b->err, "remove one of the two");
            r = err_set(
                b->err, -EINVAL, "key '%.*s' is already there, in line %u",
                (int)MIN(key->text.len, 100U), key->text.at, before->at.line);
        }
    }
    map_deinit(&seen);
    return r;
}

static int on_close(struct builder *b)
{
    struct yaml_node *n = b->open;
    size_t i = 0;
    ASSERT(n != NULL && b->depth > 0);
    n->items = ARENA_ARRAY(&b->doc->arena, n->count, struct yaml_node *);
    for (struct yaml_node *c = n->first; c != NULL; c = c->next) {
        n->items[i++] = c;
    }
    b->open = n->parent;
    b->depth--;
    if (n->kind != YAML_MAPPING) {
        return 0;
    }
    ASSERT(n->count % 2 == 0);
    return check_duplicates(b, n);
}

static int on_document(struct builder *b)
{
    if (++b->documents > 1) {
        return refuse(b, -EINVAL, "more than one YAML document",
                      "put each document into a file of its own");
    }
    return 0;
}

/* Marks count from 0 and stand behind a sigil (* & ' "). */
static void note_place(struct builder *b, const struct fy_mark *mark, int sigil)
{
    if (mark != NULL && mark->line >= 0 && mark->column >= sigil) {
        b->at.line = (uint32_t)mark->line + 1;
        b->at.column = (uint32_t)(mark->column - sigil) + 1;
    }
}

/* Anchors and tags of any node. */
static int check_properties(struct builder *b, struct fy_token *anchor,
                            struct fy_token *tag)
{
    if (anchor != NULL) {
        note_place(b, fy_token_start_mark(anchor), 1);
        return refuse(b, -EINVAL, "anchors (&name) are not supported",
                      "write the value out where it is needed, or quote it");
    }
    if (tag != NULL) {
        note_place(b, fy_token_start_mark(tag), 0);
        return refuse(b, -EINVAL, "tags (!name) are not supported",
                      "quote the value if it starts with !");
    }
    return 0;
}

static int sigil_length(const struct fy_event *e)
{
    if (e->type == FYET_ALIAS) {
        return 1;
    }
    if (e->type != FYET_SCALAR || e->scalar.value == NULL) {
        return 0;
    }
    enum fy_scalar_style style = fy_token_scalar_style(e->scalar.value);
    return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED ? 1 : 0;
}

static int on_event(struct builder *b, struct fy_event *e)
{
    int r = 0;
    /* An empty value has no place of its own: it keeps its key's. */
    note_place(b, fy_event_start_mark(e), sigil_length(e));
    switch (e->type) {
    case FYET_DOCUMENT_START:
        return on_document(b);
    case FYET_SCALAR:
        r = check_properties(b, e->scalar.anchor, e->scalar.tag);
        return r < 0 ? r : on_scalar(b, e->scalar.value);
    case FYET_SEQUENCE_START:
        r = check_properties(b, e->sequence_start.anchor,
                             e->sequence_start.tag);
        return r < 0 ? r : on_open(b, YAML_SEQUENCE);
    case FYET_MAPPING_START:
        r = check_properties(b, e->mapping_start.anchor, e->mapping_start.tag);
        return r < 0 ? r : on_open(b, YAML_MAPPING);
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
        return on_close(b);
    case FYET_ALIAS:
        return refuse(b, -EINVAL, "aliases (*name) are not supported",
                      "write the value out, or quote it");
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        return 0;
    default:
        UNREACHABLE();
    }
}

static void discard_output(struct fy_diag *diag, void *user, const char *buf,
                           size_t len)
{
    (void)diag;
    (void)user;
    (void)buf;
    (void)len;
}

static struct fy_diag *new_diag(void)
{
    struct fy_diag_cfg cfg;
    fy_diag_cfg_default(&cfg);
    cfg.fp = NULL;
    cfg.output_fn = discard_output;
    cfg.level = FYET_ERROR;
    struct fy_diag *diag = fy_diag_create(&cfg);
    ASSERT(diag != NULL);
    fy_diag_set_collect_errors(diag, true);
    return diag;
}

static int syntax_error(struct fy_diag *diag, struct err *reterr)
{
    void *cursor = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(diag, &cursor);
    if (e == NULL || e->msg == NULL) {
        return err_set(reterr, -EBADMSG, "not valid YAML");
    }
    if (e->line > 0 && e->column > 0) {
        reterr->at.line = (uint32_t)e->line;
        reterr->at.column = (uint32_t)e->column;
    }
    size_t len = strcspn(e->msg, "\n");
    return err_set(reterr, -EBADMSG, "not valid YAML: %.*s",
                   (int)MIN(len, 300U), e->msg);
}

static int run_parser(struct builder *b, struct fy_parser *parser,
                      struct fy_diag *diag)
{
    bool ended = false;
    int r = 0;
    while (r == 0 && !ended) {
        struct fy_event *e = fy_parser_parse(parser);
        if (e == NULL) {
            return syntax_error(diag, b->err);
        }
        ended = e->type == FYET_STREAM_END;
        r = on_event(b, e);
        fy_parser_event_free(parser, e);
    }
    return r;
}

/* Before the parser sees it: what YAML does not allow in a file, and lines of
 * directives, which the parser skips when it does not know them. */
static int check_characters(struct str text, struct err *reterr)
{
    struct place at = {.line = 1, .column = 1};
    bool in_prefix = true; /* only blank lines and comments so far */
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) {
            reterr->at = at;
            return err_set(reterr, -EBADMSG, "a control character (0x%02x)", c);
        }
        if (in_prefix && at.column == 1) {
            in_prefix = c == '#' || c == '\n' || c == '\r' || c == ' ';
            if (c == '%') {
                reterr->at = at;
                err_hint(reterr, "remove the line");
                return err_set(reterr, -EINVAL,
                               "YAML directives are not supported");
            }
        }
        if (c == '\n') {
            at.line++;
            at.column = 1;
        } else if ((c & 0xC0) != 0x80) {
            at.column++;
        }
    }
    return 0;
}

static int check_text(struct str text, const struct yaml_limits *limits,
                      struct err *reterr)
{
    if (text.len > limits->bytes) {
        return err_set(reterr, -E2BIG, "longer than %zu bytes", limits->bytes);
    }
    if (!str_is_utf8(text)) {
        return err_set(reterr, -EBADMSG, "not UTF-8 text");
    }
    if (str_starts(text, STR("\xEF\xBB\xBF"))) {
        err_hint(reterr, "save the file as UTF-8 without BOM");
        return err_set(reterr, -EBADMSG, "starts with a byte order mark");
    }
    return check_characters(text, reterr);
}

int yaml_parse(struct str text, const struct yaml_limits *limits,
               struct yaml_doc **ret, struct err *reterr)
{
    CLEANUP(yaml_doc_freep) struct yaml_doc *doc = MEM_NEW(struct yaml_doc);
    struct builder b = {.doc = doc,
                        .limits =
                            limits != NULL ? *limits : YAML_LIMITS_DEFAULT,
                        .err = reterr};
    int r = check_text(text, &b.limits, reterr);
    if (r < 0) {
        return r;
    }
    struct fy_diag *diag = new_diag();
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE, .diag = diag};
    struct fy_parser *parser = fy_parser_create(&cfg);
    ASSERT(parser != NULL);
    /* The library wants a pointer even for nothing. */
    if (text.len == 0) {
        r = 0;
    } else if (fy_parser_set_string(parser, text.at, text.len) != 0) {
        r = err_set(reterr, -EBADMSG, "not valid YAML");
    } else {
        r = run_parser(&b, parser, diag);
    }
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    if (r == 0) {
        *ret = TAKE(doc);
    }
    return r;
}

void yaml_doc_free(struct yaml_doc *doc)
{
    if (doc != NULL) {
        arena_deinit(&doc->arena);
        mem_free(doc);
    }
}

void yaml_doc_wipe(struct yaml_doc *doc)
{
    if (doc != NULL) {
        arena_wipe(&doc->arena);
        mem_free(doc);
    }
}

void yaml_doc_freep(struct yaml_doc **doc)
{
    yaml_doc_free(*doc);
    *doc = NULL;
}

const struct yaml_node *yaml_root(const struct yaml_doc *doc)
{
    return doc->root;
}

enum yaml_kind yaml_kind(const struct yaml_node *n)
{
    return n->kind;
}

struct place yaml_place(const struct yaml_node *n)
{
    return n->at;
}

struct str yaml_text(const struct yaml_node *n)
{
    return n->kind == YAML_SCALAR ? n->text : STR_NULL;
}

bool yaml_is_plain(const struct yaml_node *n)
{
    return n->kind == YAML_SCALAR && n->style == YAML_STYLE_PLAIN;
}

enum yaml_style yaml_style(const struct yaml_node *n)
{
    return n->style;
}

size_t yaml_count(const struct yaml_node *n)
{
    return n->kind == YAML_MAPPING ? n->count / 2 : n->count;
}

const struct yaml_node *yaml_item(const struct yaml_node *n, size_t i)
{
    ASSERT(n->kind == YAML_SEQUENCE && i < n->count);
    return n->items[i];
}

const struct yaml_node *yaml_key(const struct yaml_node *n, size_t i)
{
    ASSERT(n->kind == YAML_MAPPING && i < n->count / 2);
    return n->items[2 * i];
}

const struct yaml_node *yaml_value(const struct yaml_node *n, size_t i)
{
    ASSERT(n->kind == YAML_MAPPING && i < n->count / 2);
    return n->items[2 * i + 1];
}

const struct yaml_node *yaml_get(const struct yaml_node *n, struct str key)
{
    if (n->kind != YAML_MAPPING) {
        return NULL;
    }
    for (size_t i = 0; i < n->count; i += 2) {
        if (str_eq(n->items[i]->text, key)) {
            return n->items[i + 1];
        }
    }
    return NULL;
}
