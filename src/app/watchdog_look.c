#include "app/watchdog.h"
#include "base/assert.h"

const char *watchdog_look(struct watchdog_look *w,
                          const struct watchdog_part *parts, unsigned count,
                          uint64_t now_ms, uint64_t allowed_ms)
{
    const char *stuck = NULL;
    ASSERT(count <= ARRAY_LEN(w->turns));
    for (unsigned i = 0; i < count; i++) {
        uint64_t turns = parts[i].turns(parts[i].context);
        if (!w->begun || turns != w->turns[i]) {
            w->turns[i] = turns;
            w->moved_ms[i] = now_ms;
        } else if (stuck == NULL && now_ms - w->moved_ms[i] > allowed_ms) {
            stuck = parts[i].name;
        }
    }
    w->begun = true;
    return stuck;
}
