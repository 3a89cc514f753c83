#include "model/matcher.h"

#include <errno.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/assert.h"
#include "base/mem.h"

/* Enough for any honest pattern over a 4 KiB label value; a pattern that
 * backtracks without end meets one of them within milliseconds. */
#define MATCH_LIMIT 200000U
#define DEPTH_LIMIT 20000U
#define HEAP_LIMIT_KIB (4U * 1024U)
#define NESTING_LIMIT 32U

/* Anchored by option, not by wrapping the text, so that no text can close the
 * wrapper. Written patterns may not switch off the UTF-8 checks (\C, (*UTF)
 * verbs) or the limits: PCRE2 lets them only lower those. The just-in-time
 * compiler is not used: it needs memory that is writable and executable. */
#define COMPILE_OPTIONS                                                        \
    (PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_UTF |   \
     PCRE2_NEVER_BACKSLASH_C)

struct pattern {
    pcre2_code *code;
    pcre2_match_context *limits;
};

static int compile_error(int code, size_t offset, struct err *reterr)
{
    PCRE2_UCHAR text[160] = {0};
    if (pcre2_get_error_message(code, text, sizeof(text)) < 0) {
        text[0] = '\0';
    }
    reterr->at.column = (uint32_t)offset + 1;
    return err_set(reterr, -EBADMSG, "invalid regular expression: %s",
                   (const char *)text);
}

int pattern_compile(struct str text, struct pattern **ret, struct err *reterr)
{
    if (text.len > PATTERN_MAX_BYTES) {
        return err_set(reterr, -E2BIG,
                       "a regular expression has at most %d bytes, this has "
                       "%zu",
                       PATTERN_MAX_BYTES, text.len);
    }
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    ASSERT(context != NULL);
    (void)pcre2_set_parens_nest_limit(context, NESTING_LIMIT);
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)(text.at != NULL ? text.at : ""), text.len,
                      COMPILE_OPTIONS, &code, &offset, context);
    pcre2_compile_context_free(context);
    if (compiled == NULL) {
        return compile_error(code, offset, reterr);
    }
    struct pattern *p = MEM_NEW(struct pattern);
    p->code = compiled;
    p->limits = pcre2_match_context_create(NULL);
    ASSERT(p->limits != NULL);
    (void)pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(p->limits, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
    *ret = p;
    return 0;
}

void pattern_free(struct pattern *p)
{
    if (p != NULL) {
        pcre2_match_context_free(p->limits);
        pcre2_code_free(p->code);
        mem_free(p);
    }
}

int pattern_matches(const struct pattern *p, struct str subject)
{
    if (!str_is_utf8(subject)) {
        return 0;
    }
    pcre2_match_data *found = pcre2_match_data_create(1, NULL);
    ASSERT(found != NULL);
    int r =
        pcre2_match(p->code, (PCRE2_SPTR)(subject.at != NULL ? subject.at : ""),
                    subject.len, 0, PCRE2_NO_UTF_CHECK, found, p->limits);
    pcre2_match_data_free(found);
    if (r >= 0) {
        return 1;
    }
    return r == PCRE2_ERROR_NOMATCH ? 0 : -E2BIG;
}
