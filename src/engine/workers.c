#include "engine/engine_priv.h"

/* A claim stands in the store until there are events, and comes back as
 * FACT_BATCH_MATCHED: one for each worker is enough and no less will do. */
void workers_claim(struct engine *e)
{
    uint64_t all = UINT64_MAX >> (ENGINE_WORKERS_MAX - e->config.workers);
    while (!engine_is_full(e) && (all & ~e->claimed) != 0) {
        uint32_t worker = (uint32_t)__builtin_ctzll(all & ~e->claimed);
        e->claimed |= UINT64_C(1) << worker;
        effects_action(e->fx, (struct action){
                                  .kind = ENGINE_ACT_CLAIM,
                                  .claim = {.worker = worker,
                                            .limit = e->config.batch_size},
                              });
    }
}
