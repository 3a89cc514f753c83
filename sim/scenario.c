/*
 * Reading scenarios: one statement a line, words between blanks ("quoted" if
 * they hold some), and a YAML text, indented by four, after the statements
 * that load a runbook.
 */
#include "sim/scenario.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "data/duration.h"
#include "model/runbook_load.h"
#include "sim/world.h"

#define WORDS_MAX 32
#define BLOCK_INDENT 4

struct reader_state {
    struct scenario *scenario;
    struct str rest; /* of the file */
    uint32_t number; /* of the line just read */
    struct str words[WORDS_MAX];
    uint32_t count;
    struct err *err;
};

static int refuse(struct reader_state *s, const char *what, struct str word)
{
    s->err->at.line = s->number;
    return err_set(s->err, -EINVAL, "%s: '%.*s'", what, STR_ARG(word));
}

static struct str peek_line(const struct reader_state *s)
{
    ptrdiff_t end = str_find(s->rest, '\n');
    return str_slice(s->rest, 0, end < 0 ? s->rest.len : (size_t)end);
}

static void skip_line(struct reader_state *s)
{
    s->rest = str_slice(s->rest, peek_line(s).len + 1, s->rest.len);
    s->number++;
}

static bool is_blank(struct str line)
{
    return str_trim(line).len == 0;
}

/* ---- words ----------------------------------------------------------------
 */

bool scenario_pair(struct str word, struct str *ret_key, struct str *ret_value)
{
    ptrdiff_t at = str_find(word, '=');
    if (at <= 0) {
        return false;
    }
    *ret_key = str_slice(word, 0, (size_t)at);
    *ret_value = str_slice(word, (size_t)at + 1, word.len);
    return true;
}

static int split(struct reader_state *s, struct str line)
{
    s->count = 0;
    for (line = str_trim(line); line.len != 0 && line.at[0] != '#';
         line = str_trim(line)) {
        bool quoted = line.at[0] == '"';
        struct str from = str_slice(line, quoted ? 1 : 0, line.len);
        ptrdiff_t end = str_find(from, quoted ? '"' : ' ');
        if (s->count == WORDS_MAX || (quoted && end < 0)) {
            return refuse(s, "too many words, or no closing quote", line);
        }
        size_t len = end < 0 ? from.len : (size_t)end;
        s->words[s->count++] = str_slice(from, 0, len);
        line = str_slice(from, len + 1, from.len);
    }
    return 0;
}

static int number(struct reader_state *s, struct str word, uint32_t *ret)
{
    uint64_t value = 0;
    if (str_to_u64(word, 0, UINT32_MAX, &value) < 0) {
        return refuse(s, "not a number", word);
    }
    *ret = (uint32_t)value;
    return 0;
}

/* ---- limits ---------------------------------------------------------------
 */

static const struct limit {
    const char *name;
    size_t offset;
    bool is_duration;
} limits[] = {
    {"workers", offsetof(struct engine_config, workers), false},
    {"batch", offsetof(struct engine_config, batch_size), false},
    {"concurrent", offsetof(struct engine_config, max_concurrent), false},
    {"live", offsetof(struct engine_config, max_live), false},
    {"timeout", offsetof(struct engine_config, workflow_timeout_ms), true},
    {"grace", offsetof(struct engine_config, stop_grace_ms), true},
    {"margin", offsetof(struct engine_config, report_margin_ms), true},
    {"memories", offsetof(struct engine_config, max_memories), false},
    {"held", offsetof(struct engine_config, held_timeout_ms), true},
    {"starts", offsetof(struct engine_config, guards.starts.most), false},
    {"per", offsetof(struct engine_config, guards.starts.within_ms), true},
    {"age", offsetof(struct engine_config, guards.max_age_ms), true},
};

static int set_limit(const struct limit *limit, struct str value,
                     struct engine_config *config)
{
    void *at = (char *)config + limit->offset;
    uint64_t n = 0;
    if (limit->is_duration) {
        int r = duration_parse(value, &n);
        memcpy(at, &n, sizeof(n));
        return r;
    }
    int r = str_to_u64(value, 1, 1000000, &n);
    uint32_t small = (uint32_t)n;
    memcpy(at, &small, sizeof(small));
    return r;
}

int scenario_limit(struct str word, struct engine_config *config,
                   uint32_t *max_attempts, struct err *reterr)
{
    struct str key;
    struct str value;
    uint64_t n = 0;
    if (!scenario_pair(word, &key, &value)) {
        return err_set(reterr, -EINVAL, "not a limit: '%.*s'", STR_ARG(word));
    }
    if (str_eq_c(key, "attempts") && str_to_u64(value, 1, 100, &n) == 0) {
        *max_attempts = (uint32_t)n;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        if (str_eq_c(key, limits[i].name)) {
            return set_limit(&limits[i], value, config);
        }
    }
    return err_set(reterr, -EINVAL, "no such limit: '%.*s'", STR_ARG(word));
}

/* ---- statements ------------------------------------------------------------
 */

static int read_title(struct reader_state *s)
{
    struct str line = s->words[0];
    size_t from = (size_t)(s->words[1].at - line.at);
    const struct str *last = &s->words[s->count - 1];
    size_t to = (size_t)(last->at - line.at) + last->len;
    s->scenario->title = str_n(line.at + from, to - from);
    return 0;
}

static int read_limits(struct reader_state *s)
{
    for (uint32_t i = 1; i < s->count; i++) {
        if (scenario_limit(s->words[i], &s->scenario->config,
                           &s->scenario->max_attempts, s->err) < 0) {
            return refuse(s, "not a limit", s->words[i]);
        }
    }
    return 0;
}

/* "step restart try 2 after 5s exits 1", "step x ignores TERM" */
static int read_step(struct reader_state *s)
{
    struct scn_script script = {.step = s->words[1], .after_ms = 1000};
    for (uint32_t i = 2; i < s->count; i++) {
        struct str word = s->words[i];
        struct str next = i + 1 < s->count ? s->words[i + 1] : STR("");
        uint32_t n = 0;
        if (str_eq_c(word, "hangs")) {
            script.end = SCRIPT_HANGS;
        } else if (str_eq_c(word, "refused")) {
            script.end = SCRIPT_REFUSED;
        } else if (str_eq_c(word, "ignores") && str_eq_c(next, "TERM")) {
            script.stubborn = true;
            i++;
        } else if (str_eq_c(word, "after") &&
                   duration_parse(next, &script.after_ms) == 0) {
            i++;
        } else if (str_eq_c(word, "try") && number(s, next, &n) == 0) {
            script.attempt = n;
            i++;
        } else if ((str_eq_c(word, "exits") || str_eq_c(word, "dies")) &&
                   number(s, next, &n) == 0) {
            script.end = str_eq_c(word, "dies") ? SCRIPT_DIES : SCRIPT_EXITS;
            script.number = (int32_t)n;
            i++;
        } else {
            return refuse(s, "a step cannot do this", word);
        }
    }
    VEC_PUSH(&s->scenario->scripts, script);
    return 0;
}

/* "matching Odd fails": of events with this alertname */
static int read_matching(struct reader_state *s)
{
    VEC_PUSH(&s->scenario->unmatchable, s->words[1]);
    return 0;
}

static void read_block(struct reader_state *s, struct strbuf *out)
{
    while (s->rest.len != 0) {
        struct str line = peek_line(s);
        if (!is_blank(line) && !str_starts(line, STR("    "))) {
            return;
        }
        strbuf_add(out, str_slice(line, BLOCK_INDENT, line.len));
        strbuf_addch(out, '\n');
        skip_line(s);
    }
}

static int read_version(struct reader_state *s, struct str path, bool later)
{
    CLEANUP(strbuf_deinit)
    struct strbuf text = STRBUF_INIT((size_t)RUNBOOK_MAX_BYTES);
    struct runbook_defaults defaults = RUNBOOK_DEFAULTS;
    struct runbook_report report = {0};
    struct runbook *rb = NULL;
    uint32_t at = s->number;
    read_block(s, &text);
    int r = runbook_load(path, strbuf_str(&text), &defaults, &rb, &report);
    for (size_t i = 0; r < 0 && i < report.problems.count; i++) {
        if (!report.problems.at[i].warning) {
            *s->err = report.problems.at[i].err;
            s->err->at.line += at;
            break;
        }
    }
    runbook_report_deinit(&report);
    if (r == 0) {
        VEC_PUSH(&s->scenario->versions, (struct scn_version){.path = rb->path,
                                                              .runbook = rb,
                                                              .later = later});
    }
    return r;
}

static int read_runbook(struct reader_state *s)
{
    return read_version(s, s->words[1], false);
}

static int keep_words(struct reader_state *s, uint32_t from,
                      struct scn_line *line)
{
    uint32_t count = s->count - from;
    if (count < line->verb->least) {
        return refuse(s, "more words are needed", s->words[from - 1]);
    }
    line->words = ARENA_ARRAY(&s->scenario->arena, count, struct str);
    memcpy(line->words, s->words + from, count * sizeof(struct str));
    line->count = count;
    return 0;
}

static int read_at(struct reader_state *s)
{
    struct scn_line line = {.number = s->number};
    if (s->count < 3 || duration_parse(s->words[1], &line.at_ms) < 0) {
        return refuse(s, "at what time?", s->words[0]);
    }
    line.verb = story_verb(s->words[2]);
    if (line.verb == NULL) {
        return refuse(s, "no such happening", s->words[2]);
    }
    int r = keep_words(s, 3, &line);
    if (r == 0 && line.verb->has_block) {
        line.version = (uint32_t)s->scenario->versions.count;
        r = read_version(s, line.words[0], true);
    }
    if (r == 0) {
        VEC_PUSH(&s->scenario->story, line);
    }
    return r;
}

static int read_finally(struct reader_state *s)
{
    struct scn_line line = {.number = s->number};
    line.verb = story_ending(s->words[1]);
    if (line.verb == NULL) {
        return refuse(s, "no such ending", s->words[1]);
    }
    int r = keep_words(s, 2, &line);
    if (r == 0) {
        VEC_PUSH(&s->scenario->endings, line);
    }
    return r;
}

static const struct statement {
    const char *name;
    int (*read)(struct reader_state *s);
} statements[] = {
    {"title", read_title},       {"limits", read_limits},
    {"runbook", read_runbook},   {"step", read_step},
    {"matching", read_matching}, {"at", read_at},
    {"finally", read_finally},
};

static int read_line(struct reader_state *s)
{
    struct str line = peek_line(s);
    skip_line(s);
    int r = split(s, line);
    if (r < 0 || s->count == 0) {
        return r;
    }
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        if (str_eq_c(s->words[0], statements[i].name)) {
            return s->count > 1 ? statements[i].read(s)
                                : refuse(s, "what?", s->words[0]);
        }
    }
    return refuse(s, "no such statement", s->words[0]);
}

int scenario_read(struct str text, struct str file, struct scenario **ret,
                  struct err *reterr)
{
    struct scenario *scenario = MEM_NEW(struct scenario);
    scenario->config = ENGINE_CONFIG_DEFAULT;
    scenario->config.held_timeout_ms = 3600000;
    scenario->max_attempts = 3;
    scenario->file = arena_str(&scenario->arena, file);
    struct reader_state s = {.scenario = scenario,
                             .rest = arena_str(&scenario->arena, text),
                             .err = reterr};
    while (s.rest.len != 0) {
        int r = read_line(&s);
        if (r < 0) {
            scenario_free(scenario);
            return r;
        }
    }
    *ret = scenario;
    return 0;
}

void scenario_free(struct scenario *s)
{
    if (s == NULL) {
        return;
    }
    VEC_EACH (&s->versions, i) {
        runbook_unref(s->versions.at[i].runbook);
    }
    VEC_DEINIT(&s->versions);
    VEC_DEINIT(&s->scripts);
    VEC_DEINIT(&s->unmatchable);
    VEC_DEINIT(&s->story);
    VEC_DEINIT(&s->endings);
    arena_deinit(&s->arena);
    mem_free(s);
}

struct scn_script scenario_script(const struct scenario *s, struct str step,
                                  uint32_t attempt)
{
    struct scn_script found = {.step = step, .after_ms = 1000};
    VEC_EACH (&s->scripts, i) {
        const struct scn_script *script = &s->scripts.at[i];
        if (str_eq(script->step, step) &&
            (script->attempt == attempt ||
             (script->attempt == 0 && found.attempt == 0))) {
            found = *script;
        }
    }
    return found;
}
