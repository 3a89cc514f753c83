/*
 * Any bytes as a page of metrics; the first says which format. Samples of a
 * page that is good have a name, labels in order, and a number.
 */
#include "tests/fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/exposition.h"

static int check(void *context, const struct exposition_sample *s)
{
    uint32_t *count = context;
    ASSERT(s->name.len != 0 && s->name.len <= EXPOSITION_NAME_MAX_BYTES);
    ASSERT(str_is_utf8(s->name));
    ASSERT(s->labels.count <= EXPOSITION_LABELS_MAX);
    for (uint32_t i = 0; i < s->labels.count; i++) {
        const struct label *l = &s->labels.at[i];
        ASSERT(l->name.len != 0 && str_is_utf8(l->name));
        ASSERT(l->value.len <= EXPOSITION_VALUE_MAX_BYTES);
        ASSERT(i == 0 || str_cmp(s->labels.at[i - 1].name, l->name) < 0);
    }
    ++*count;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    uint32_t count = 0;
    struct str text = str_n((const char *)data, size);
    enum exposition_format format =
        size != 0 && data[0] == 'O' ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
    int r = exposition_read(str_slice(text, size != 0 ? 1 : 0, size), format,
                            check, &count, &e);
    ASSERT((r == 0) == (e.message[0] == '\0'));
    ASSERT(count <= EXPOSITION_SAMPLES_MAX);
    return 0;
}
