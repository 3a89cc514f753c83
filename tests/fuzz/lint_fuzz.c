/*
 * Any bytes as a runbook to lint, and as shell text: nothing crashes or runs
 * on, findings have a rule and stand in their order, and what a command says
 * of its words stays within the script.
 */
#include "tests/fuzz/fuzz.h"

#include "base/assert.h"
#include "lint/lint.h"
#include "lint/shell.h"

static void check_word(const struct shell_script *s, const struct shell_word *w,
                       size_t size)
{
    ASSERT(w->offset <= size);
    ASSERT(w->first_expansion + w->expansion_count <= s->expansions.count);
    for (uint32_t i = 0; i < w->expansion_count; i++) {
        ASSERT(s->expansions.at[w->first_expansion + i].offset < size);
    }
}

static void scan(struct str text)
{
    struct arena a = ARENA_INIT;
    struct shell_script s;
    shell_scan(text, &a, &s);
    VEC_EACH (&s.commands, i) {
        const struct shell_command *c = &s.commands.at[i];
        ASSERT(c->first_word + c->word_count <= s.words.count);
        ASSERT(c->assignment_count <= c->word_count);
        ASSERT(c->first_inner <= i);
        ASSERT(c->piped_from == SHELL_NONE || c->piped_from < i);
        ASSERT(c->first_redirect + c->redirect_count <= s.redirects.count);
        ASSERT(c->offset <= text.len);
    }
    VEC_EACH (&s.words, i) {
        check_word(&s, &s.words.at[i], text.len);
    }
    VEC_EACH (&s.redirects, i) {
        ASSERT(s.redirects.at[i].word < s.words.count);
    }
    shell_script_deinit(&s);
    arena_deinit(&a);
}

static void check_report(const struct lint_report *r)
{
    uint32_t counted = 0;
    ASSERT(r->findings.count <= LINT_MAX_FINDINGS);
    VEC_EACH (&r->findings, i) {
        const struct lint_finding *f = &r->findings.at[i];
        ASSERT(f->rule != NULL && f->err.message[0] != '\0');
        ASSERT(str_is_utf8(str_c(f->err.message)));
        ASSERT(i == 0 || r->findings.at[i - 1].err.at.line <= f->err.at.line);
    }
    for (size_t i = 0; i < LINT_SEVERITIES; i++) {
        counted += r->counts[i];
    }
    ASSERT(counted == r->findings.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_n((const char *)data, size);
    struct lint_report report;
    lint_runbook(STR("fuzz.yaml"), text, &RUNBOOK_DEFAULTS, &report);
    check_report(&report);
    lint_report_deinit(&report);
    if (size <= 4096) {
        scan(text);
    }
    return 0;
}
