#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/id.h"
#include "base/prng.h"

static struct id random_id(struct prng *p, uint64_t ms)
{
    uint8_t random[10];
    for (size_t i = 0; i < sizeof(random); i++) {
        random[i] = (uint8_t)prng_next(p);
    }
    return id_make(ms, random);
}

static void text_is_exact(void **state)
{
    (void)state;
    char text[ID_TEXT_SIZE];
    struct id id = ID_NULL;
    id_format(id, ID_PREFIX_EVENT, text);
    assert_string_equal(text, "evt-00000000000000000000000000");
    memset(id.bytes, 0xFF, sizeof(id.bytes));
    id_format(id, ID_PREFIX_WORKFLOW, text);
    assert_string_equal(text, "wf-7zzzzzzzzzzzzzzzzzzzzzzzzz");
    id = id_floor(1);
    id_format(id, ID_PREFIX_EVENT, text);
    assert_string_equal(text, "evt-00000000010000000000000000");
}

static void text_reads_back_and_sorts_as_bytes_do(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 7);
    char last[ID_TEXT_SIZE] = "";
    for (uint64_t ms = 1; ms < (1ULL << 48); ms = ms * 3 + 1) {
        char text[ID_TEXT_SIZE];
        struct id back;
        struct id id = random_id(&p, ms);
        id_format(id, ID_PREFIX_EVENT, text);
        assert_int_equal(id_parse(str_c(text), ID_PREFIX_EVENT, &back), 0);
        assert_true(id_eq(id, back));
        assert_int_equal(id_epoch_ms(id), ms);
        assert_true(strcmp(last, text) < 0);
        memcpy(last, text, sizeof(last));
    }
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "evt",
        "evt-",
        "wf-00000000000000000000000000",
        "evt-0000000000000000000000000",
        "evt-000000000000000000000000000",
        "evt-80000000000000000000000000", /* over 128 bits */
        "evt-0000000000000000000000000i", /* not in the alphabet */
        "evt-0000000000000000000000000A",
        "evt_00000000000000000000000000",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct id id;
        assert_int_equal(id_parse(str_c(bad[i]), ID_PREFIX_EVENT, &id),
                         -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_exact),
        cmocka_unit_test(text_reads_back_and_sorts_as_bytes_do),
        cmocka_unit_test(other_texts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
