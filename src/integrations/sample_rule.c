#include "integrations/sample_rule.h"

#include <errno.h>
#include <math.h>

#include "base/assert.h"
#include "wire/exposition.h"

static bool is_name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == ':' || (!first && c >= '0' && c <= '9');
}

static int complain(struct str text, const char *what, struct err *reterr)
{
    err_hint(reterr, "write NAME{label=\"value\"} > NUMBER; matchers, operator "
                     "and number may be left out");
    return err_set(reterr, -EINVAL, "%s in the rule %.*s", what,
                   STR_ARG(str_slice(text, 0, 80)));
}

/* ---- parts -----------------------------------------------------------------
 */

/* The end of the matcher that begins here: a comma or brace outside quotes. */
static size_t matcher_end(struct str text)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < text.len; i++) {
        char c = text.at[i];
        if (quoted && c == '\\') {
            i++;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && (c == ',' || c == '}')) {
            break;
        }
    }
    return i;
}

/* Behind the brace, up to and with the other one. */
static int take_matchers(struct sample_rule *r, struct str *rest,
                         struct arena *a, struct err *reterr)
{
    for (;;) {
        *rest = str_trim(*rest);
        size_t end = MIN(matcher_end(*rest), rest->len);
        struct str one = str_trim(str_slice(*rest, 0, end));
        bool last = end < rest->len && rest->at[end] == '}';
        if (end == rest->len) {
            return complain(r->text, "no } behind {", reterr);
        }
        *rest = str_slice(*rest, end + 1, rest->len);
        if (one.len != 0) {
            if (r->matcher_count == SAMPLE_RULE_MATCHERS_MAX) {
                return complain(r->text, "too many matchers", reterr);
            }
            int result =
                matcher_parse(one, a, &r->matchers[r->matcher_count], reterr);
            if (result < 0) {
                return result;
            }
            r->matcher_count++;
        }
        if (last) {
            return 0;
        }
    }
}

static int take_condition(struct sample_rule *r, struct str rest,
                          struct err *reterr)
{
    /* the longer ones first */
    static const struct {
        const char *text;
        enum sample_op op;
    } ops[] = {{">=", SAMPLE_GE}, {"<=", SAMPLE_LE}, {"==", SAMPLE_EQ},
               {"!=", SAMPLE_NE}, {">", SAMPLE_GT},  {"<", SAMPLE_LT}};
    rest = str_trim(rest);
    if (rest.len == 0) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        struct str op = str_c(ops[i].text);
        if (!str_starts(rest, op)) {
            continue;
        }
        struct str number = str_trim(str_slice(rest, op.len, rest.len));
        r->op = ops[i].op;
        return exposition_number(number, &r->threshold) == 0 &&
                       !isnan(r->threshold)
                   ? 0
                   : complain(r->text, "no number", reterr);
    }
    return complain(r->text, "no operator", reterr);
}

int sample_rule_parse(struct str text, struct arena *a, struct sample_rule *ret,
                      struct err *reterr)
{
    if (text.len > SAMPLE_RULE_MAX_BYTES || !str_is_utf8(text)) {
        return err_set(reterr, -EINVAL, "a rule is a text of at most %d bytes",
                       SAMPLE_RULE_MAX_BYTES);
    }
    struct sample_rule r = {.text = arena_str(a, str_trim(text))};
    struct str rest = r.text;
    size_t len = 0;
    while (len < rest.len && is_name_char(rest.at[len], len == 0)) {
        len++;
    }
    r.name = str_slice(rest, 0, len);
    r.prefix = len < rest.len && rest.at[len] == '*';
    rest = str_trim(str_slice(rest, len + (r.prefix ? 1 : 0), rest.len));
    int result = 0;
    if (r.name.len == 0) {
        result = complain(r.text, "no name of a metric", reterr);
    } else if (rest.len != 0 && rest.at[0] == '{') {
        rest = str_slice(rest, 1, rest.len);
        result = take_matchers(&r, &rest, a, reterr);
    }
    if (result == 0) {
        result = take_condition(&r, rest, reterr);
    }
    if (result < 0) {
        sample_rule_deinit(&r);
        return -EINVAL;
    }
    *ret = r;
    return 0;
}

void sample_rule_deinit(struct sample_rule *r)
{
    for (uint32_t i = 0; i < r->matcher_count; i++) {
        matcher_deinit(&r->matchers[i]);
    }
    r->matcher_count = 0;
}

/* ---- asking ----------------------------------------------------------------
 */

bool sample_rule_covers(const struct sample_rule *r, struct str name,
                        const struct labels *labels)
{
    if (r->prefix ? !str_starts(name, r->name) : !str_eq(name, r->name)) {
        return false;
    }
    for (uint32_t i = 0; i < r->matcher_count; i++) {
        if (matcher_holds(&r->matchers[i], labels) != 1) {
            return false;
        }
    }
    return true;
}

bool sample_rule_holds(const struct sample_rule *r, double value)
{
    if (!isfinite(value)) {
        return false;
    }
    bool less = value < r->threshold;
    bool more = value > r->threshold;
    switch (r->op) {
    case SAMPLE_GT:
        return more;
    case SAMPLE_GE:
        return !less;
    case SAMPLE_LT:
        return less;
    case SAMPLE_LE:
        return !more;
    case SAMPLE_EQ:
        return !less && !more;
    case SAMPLE_NE:
        return less || more;
    case SAMPLE_ANY:
        break;
    }
    return true;
}
