/*
 * exec_decode on any bytes: refuses, or gives a message whose encoding is
 * these very bytes (there is one spelling of each message).
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/assert.h"
#include "wire/exec_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str datagram = str_n((const char *)data, size);
    struct exec_message m;
    if (exec_decode(datagram, &m) < 0) {
        return 0;
    }
    struct strbuf again = STRBUF_INIT(EXEC_MESSAGE_MAX_BYTES);
    int r = exec_encode(&m, &again);
    ASSERT(r == 0 && str_eq(strbuf_str(&again), datagram));
    strbuf_deinit(&again);
    return 0;
}
