/* Families of OpenMetrics: which lines belong together, and what their type
 * asks of them. */
#include <errno.h>

#include "wire/exposition_priv.h"

#define SUFFIXES_MAX 5

static const struct {
    const char *word;
    const char *suffixes[SUFFIXES_MAX]; /* of sample names; NULL: no more */
} types[FAMILY_TYPES] = {
    [FAMILY_UNKNOWN] = {"unknown", {""}},
    [FAMILY_GAUGE] = {"gauge", {""}},
    [FAMILY_COUNTER] = {"counter", {"_total", "_created"}},
    [FAMILY_STATESET] = {"stateset", {""}},
    [FAMILY_INFO] = {"info", {"_info"}},
    [FAMILY_HISTOGRAM] = {"histogram",
                          {"_bucket", "_count", "_sum", "_created"}},
    [FAMILY_GAUGEHISTOGRAM] = {"gaugehistogram",
                               {"_bucket", "_gcount", "_gsum"}},
    [FAMILY_SUMMARY] = {"summary", {"", "_count", "_sum", "_created"}},
};

/* A family begins; none may come back. */
static int begin(struct exposition *x, struct str name)
{
    if (map_get(&x->families, name) != NULL) {
        return exposition_fail(x, "the lines of %.*s do not stand together",
                               STR_ARG(str_slice(name, 0, 80)));
    }
    if (map_count(&x->families) >= EXPOSITION_FAMILIES_MAX) {
        return err_set(x->err, -E2BIG, "more than %u families",
                       EXPOSITION_FAMILIES_MAX);
    }
    x->family = arena_str(&x->names, name);
    (void)map_put(&x->families, x->family, x);
    x->type = FAMILY_UNKNOWN;
    x->has_samples = false;
    x->told = 0;
    return 0;
}

int family_metadata(struct exposition *x, struct str name, unsigned kind)
{
    int r = str_eq(name, x->family) ? 0 : begin(x, name);
    if (r < 0) {
        return r;
    }
    if (x->has_samples) {
        return exposition_fail(x, "this must stand before the samples");
    }
    if ((x->told & (1U << kind)) != 0) {
        return exposition_fail(x, "this was said already");
    }
    x->told |= 1U << kind;
    return 0;
}

int family_set_type(struct exposition *x, struct str word)
{
    for (int t = 0; t < FAMILY_TYPES; t++) {
        if (str_eq_c(word, types[t].word)) {
            x->type = (enum family_type)t;
            return 0;
        }
    }
    return exposition_fail(x, "no type that there is");
}

int family_check_unit(struct exposition *x, struct str unit)
{
    if (unit.len == 0) {
        return 0;
    }
    struct str name = x->family;
    bool good = str_ends(name, unit) && name.len > unit.len &&
                name.at[name.len - unit.len - 1] == '_';
    return good ? 0 : exposition_fail(x, "the name does not end in the unit");
}

/* The suffix by which a sample of this name is one of the present family;
 * NULL: it is not. */
static const char *suffix_of(const struct exposition *x, struct str name)
{
    if (x->family.len == 0 || !str_starts(name, x->family)) {
        return NULL;
    }
    struct str rest = str_slice(name, x->family.len, name.len);
    for (size_t i = 0; i < SUFFIXES_MAX; i++) {
        const char *suffix = types[x->type].suffixes[i];
        if (suffix != NULL && str_eq_c(rest, suffix)) {
            return suffix;
        }
    }
    return NULL;
}

static int check_sample(struct exposition *x, const struct exposition_sample *s,
                        struct str suffix)
{
    bool one = s->value >= 1 && s->value <= 1;
    bool zero = s->value >= 0 && s->value <= 0;
    if (x->type == FAMILY_INFO && !one) {
        return exposition_fail(x, "the value of an info must be 1");
    }
    if (x->type == FAMILY_STATESET &&
        ((!one && !zero) || labels_find(&s->labels, x->family) == NULL)) {
        return exposition_fail(x, "a state is 0 or 1, and has a label with "
                                  "the name of its family");
    }
    if (str_eq_c(suffix, "_bucket") &&
        labels_find(&s->labels, STR("le")) == NULL) {
        return exposition_fail(x, "a bucket needs the label le");
    }
    return 0;
}

int family_sample(struct exposition *x, const struct exposition_sample *s)
{
    const char *suffix = suffix_of(x, s->name);
    if (suffix == NULL) {
        int r = begin(x, s->name);
        if (r < 0) {
            return r;
        }
        suffix = "";
    }
    x->has_samples = true;
    return check_sample(x, s, str_c(suffix));
}

bool family_has_exemplars(const struct exposition *x, struct str name)
{
    const char *suffix = suffix_of(x, name);
    return suffix != NULL && (str_eq_c(str_c(suffix), "_total") ||
                              str_eq_c(str_c(suffix), "_bucket"));
}
