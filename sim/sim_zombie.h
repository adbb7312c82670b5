/* sim/sim_zombie.h: others at a sink's target while the job runs.
 *
 * The zombie: a run of the job that was taken over and does not know it. It has the start number of an attempt that
 * committed here before, and goes on with an epoch of its own. After the claim of a later start its commit must be
 * turned down, whatever its id is.
 *
 * The rival: another program that holds the database's write lock for a while. Nothing may be lost or doubled by it,
 * and a stop meanwhile still makes its last checkpoint.
 *
 * Both use the target's own code and files directly, between two steps of the engine. One thread.
 */
#ifndef WR_SIM_ZOMBIE_H
#define WR_SIM_ZOMBIE_H

#include "runtime/sink.h"
#include "sim/sim_world.h"
#include "store/store.h"

typedef enum weir_code sim_new_target(void *config, const struct wr_target_context *context,
                                      struct wr_target **out_target, struct weir_error *error);

struct sim_zombie {
  struct wr_memory *memory;         /* NULL: there is none yet */
  struct wr_target_context context; /* as the attempt had it, but with `store` and `memory` */
  struct wr_store store;
  void *target_config;
  sim_new_target *new_target;
  struct wr_epoch epoch; /* the last one that it was about to commit */
};

/* An attempt is about to commit this. */
void sim_zombie_note(struct sim_zombie *zombie, struct wr_memory *memory, sim_new_target *new_target, void *config,
                     const struct wr_target_context *context, const struct wr_epoch *epoch);
/* Commits an epoch that is `ahead` above the last one it knew. True: it was let through. One that is ahead has settled,
 * and says so to its target. */
bool sim_zombie_commit(struct sim_zombie *zombie, uint64_t ahead);
void sim_zombie_deinit(struct sim_zombie *zombie);

/* NULL: there is no database, or it is locked already. */
struct sqlite3 *sim_rival_lock(struct sim_world *world, const char *database);
void sim_rival_unlock(struct sqlite3 *rival);

#endif
