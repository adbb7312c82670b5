/* sim/sim_zombie.c: see sim_zombie.h. */
#include "sim/sim_zombie.h"

#include <sqlite3.h>
#include <string.h>

static void forget_epoch(struct sim_zombie *zombie) {
  for (uint32_t i = 0; i < zombie->epoch.part_count; i++)
    wr_part_deinit(zombie->memory, &zombie->epoch.parts[i]);
  if (zombie->memory != NULL) wr_free(zombie->memory, zombie->epoch.parts);
  zombie->epoch = (struct wr_epoch){0};
}

void sim_zombie_deinit(struct sim_zombie *zombie) {
  forget_epoch(zombie);
  zombie->memory = NULL;
}

static void copy_epoch(struct sim_zombie *zombie, const struct wr_epoch *epoch) {
  zombie->epoch = *epoch;
  zombie->epoch.parts = wr_alloc_zeroed(zombie->memory, epoch->part_count, sizeof *epoch->parts, WR_MEMORY_SINK);
  WR_ASSERT(zombie->epoch.parts != NULL);
  for (uint32_t i = 0; i < epoch->part_count; i++) {
    zombie->epoch.parts[i] = epoch->parts[i];
    WR_ASSERT(wr_handle_copy(zombie->memory, &epoch->parts[i].handle, &zombie->epoch.parts[i].handle, NULL) == WEIR_OK);
  }
}

void sim_zombie_note(struct sim_zombie *zombie, struct wr_memory *memory, sim_new_target *new_target, void *config,
                     const struct wr_target_context *context, const struct wr_epoch *epoch) {
  forget_epoch(zombie);
  zombie->memory = memory;
  zombie->context = *context;
  zombie->context.memory = memory;
  zombie->context.store = &zombie->store;
  zombie->context.rejected_rows = NULL; /* of a task that may be gone */
  zombie->store = (struct wr_store){
      .seams = context->store->seams, .folder = context->store->folder, .start_number = context->store->start_number};
  memcpy(zombie->store.incarnation, context->store->incarnation, WR_INCARNATION_BYTES);
  zombie->new_target = new_target;
  zombie->target_config = config;
  copy_epoch(zombie, epoch);
}

bool sim_zombie_commit(struct sim_zombie *zombie, uint64_t ahead) {
  struct wr_target *target = NULL;
  struct wr_epoch epoch = zombie->epoch;
  epoch.checkpoint_id += ahead;
  bool already = false;
  struct weir_error error = {.code = WEIR_OK};
  if (zombie->new_target(zombie->target_config, &zombie->context, &target, NULL) != WEIR_OK) return false;
  enum weir_code code = target->vtable->connect(target, &error);
  if (code == WEIR_OK) code = target->vtable->commit(target, &epoch, &already, &error);
  if (ahead > 0 && target->vtable->settled != NULL) (void)target->vtable->settled(target, &error);
  target->vtable->close(target);
  target->vtable->free(target);
  return code == WEIR_OK && !already;
}

struct sqlite3 *sim_rival_lock(struct sim_world *world, const char *database) {
  sqlite3 *rival = NULL;
  int result = sqlite3_open_v2(database, &rival, SQLITE_OPEN_READWRITE, sim_world_seams(world)->sqlite_vfs);
  if (result == SQLITE_OK) result = sqlite3_exec(rival, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  if (result == SQLITE_OK) return rival;
  sqlite3_close(rival);
  return NULL;
}

void sim_rival_unlock(struct sqlite3 *rival) {
  if (rival == NULL) return;
  sqlite3_exec(rival, "ROLLBACK", NULL, NULL, NULL);
  sqlite3_close(rival);
}
