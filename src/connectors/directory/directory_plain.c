/* connectors/directory/directory_plain.c: the plain folder sink (directory.h). All functions run inside calls, one at a
 * time; nothing is open between two of them. */
#include "connectors/directory/directory_files.h"
#include "connectors/directory/directory_part.h"

#include <inttypes.h>
#include <stdio.h>

enum { CHUNK_BYTES = 256 * 1024 }; /* are written at once */

struct directory_plain {
  struct wr_plain_target target;
  struct wr_target_context context;
  const struct wr_directory_config *config;
  uint32_t own;  /* tells the subtasks of one start apart */
  uint64_t tick; /* the next one's number */
  struct wr_directory_lines lines;
  struct wr_directory_output output;
};

static struct directory_plain *plain_of(struct wr_plain_target *target) {
  return (struct directory_plain *)target;
}

static enum weir_code connect(struct wr_plain_target *target, struct weir_error *error) {
  struct directory_plain *plain = plain_of(target);
  struct wr_file_info info;
  return wr_directory_check_path(plain->context.seams->files, plain->config->path, &info, error);
}

static enum weir_code begin_tick(struct directory_plain *plain, struct weir_error *error) {
  const struct wr_store *store = plain->context.store;
  char prefix[WR_DIRECTORY_PREFIX_BYTES];
  wr_directory_lines_clear(&plain->lines);
  plain->output.files = plain->context.seams->files;
  plain->output.folder = plain->config->path;
  plain->output.suffix = wr_directory_suffix(plain->config->format);
  plain->output.file_count = 0;
  plain->output.position = plain->output.next_cut = 0;
  wr_directory_prefix(plain->context.uid, store->incarnation, prefix);
  int length = snprintf(plain->output.base, sizeof plain->output.base, "%s/%s-%010" PRIu64 "-%08" PRIx32 "-%010" PRIu64,
                        plain->config->path, prefix, store->start_number, plain->own, plain->tick);
  return wr_directory_check_length(length, plain->config->path, error);
}

static enum weir_code write_batches(struct directory_plain *plain, struct wr_batch *const *batches, uint32_t count,
                                    struct weir_error *error) {
  struct wr_directory_text *text = &plain->lines.text;
  for (uint32_t i = 0; i < count; i++) {
    WR_TRY(wr_directory_lines_put(&plain->lines, batches[i], 0, error));
    if (text->bytes.length < CHUNK_BYTES) continue;
    WR_TRY(wr_directory_output_write(&plain->output, text, false, error));
    wr_bytes_clear(&text->bytes);
    wr_bytes_clear(&text->cuts);
  }
  return wr_directory_output_write(&plain->output, text, true, error);
}

/* A tick that failed keeps its number, and so its files are made anew. */
static enum weir_code write(struct wr_plain_target *target, struct wr_batch *const *batches, uint32_t count,
                            struct weir_error *error) {
  struct directory_plain *plain = plain_of(target);
  WR_TRY(begin_tick(plain, error));
  enum weir_code code = write_batches(plain, batches, count, error);
  wr_directory_output_abandon(&plain->output);
  if (code == WEIR_OK) plain->tick++;
  return code;
}

static void close_plain(struct wr_plain_target *target) {
  (void)target;
}

static void free_plain(struct wr_plain_target *target) {
  struct directory_plain *plain = plain_of(target);
  wr_directory_lines_deinit(&plain->lines);
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
  enum weir_code code = wr_directory_lines_init(&plain->lines, config, context->schema, context->memory, error);
  if (code != WEIR_OK) {
    free_plain(&plain->target);
    return code;
  }
  *out_target = &plain->target;
  return WEIR_OK;
}
