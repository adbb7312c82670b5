/* connectors/directory/directory_plain.c: the plain folder sink (directory.h). All functions run inside calls, one at a
 * time; nothing is open between two of them. */
#include "connectors/directory/directory_stage.h"

#include <inttypes.h>
#include <stdio.h>

struct directory_plain {
  struct wr_plain_target target;
  struct wr_target_context context;
  const struct wr_directory_config *config;
  uint32_t own;  /* tells the subtasks of one start apart */
  uint64_t tick; /* the next one's number */
  struct wr_directory_stage stage;
};

static struct directory_plain *plain_of(struct wr_plain_target *target) {
  return (struct directory_plain *)target;
}

static enum weir_code connect(struct wr_plain_target *target, struct weir_error *error) {
  struct directory_plain *plain = plain_of(target);
  struct wr_file_info info;
  return wr_directory_check_path(&plain->context, plain->config->path, &info, error);
}

/* A tick that failed keeps its number, and so its files are made anew. */
static enum weir_code write(struct wr_plain_target *target, struct wr_batch *const *batches, uint32_t count,
                            struct weir_error *error) {
  struct directory_plain *plain = plain_of(target);
  const struct wr_store *store = plain->context.store;
  char prefix[WR_DIRECTORY_PREFIX_BYTES];
  struct wr_directory_manifest manifest = {.staged_by = 0};
  wr_directory_prefix(plain->context.uid, store->incarnation, prefix);
  snprintf(manifest.base, sizeof manifest.base, "%s-%010" PRIu64 "-%08" PRIx32 "-%010" PRIu64, prefix,
           store->start_number, plain->own, plain->tick);
  snprintf(manifest.suffix, sizeof manifest.suffix, "%s", wr_directory_suffix(plain->config));
  WR_TRY(wr_directory_stage_batches(&plain->stage, batches, count, &manifest, error));
  plain->tick++;
  return WEIR_OK;
}

static void close_plain(struct wr_plain_target *target) {
  (void)target;
}

static void free_plain(struct wr_plain_target *target) {
  struct directory_plain *plain = plain_of(target);
  wr_directory_stage_deinit(&plain->stage);
  wr_free(plain->context.memory, plain);
}

static const struct wr_plain_target_vtable vtable = {
    .connect = connect, .write = write, .close = close_plain, .free = free_plain};

enum weir_code wr_directory_plain_new(void *target_config, const struct wr_target_context *context,
                                      struct wr_plain_target **out_target, struct weir_error *error) {
  const struct wr_directory_config *config = target_config;
  *out_target = NULL;
  struct directory_plain *plain = wr_alloc_zeroed(context->memory, 1, sizeof *plain, WR_MEMORY_SINK);
  if (plain == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the folder sink on %s", config->path);
  plain->target.vtable = &vtable;
  plain->context = *context;
  plain->config = config;
  context->seams->entropy->fill(context->seams->entropy, &plain->own, sizeof plain->own);
  enum weir_code code = wr_directory_stage_init(&plain->stage, config, &plain->context, config->path, error);
  if (code != WEIR_OK) {
    free_plain(&plain->target);
    return code;
  }
  *out_target = &plain->target;
  return WEIR_OK;
}
