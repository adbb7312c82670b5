/* connectors/dead_rows.c: see dead_rows.h. */
#include "connectors/dead_rows.h"

#include "connectors/excerpt.h"
#include "formats/json/json_encoder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 256 * 1024, ID_DIGITS_MAX = 20, HEAD_BYTES_MAX = WR_UID_BYTES_MAX + 160 };

static struct wr_files *files_of(const struct wr_dead_rows *rows) {
  return rows->context->seams->files;
}

enum weir_code wr_dead_rows_init(struct wr_dead_rows *rows, const struct wr_target_context *context,
                                 struct weir_error *error) {
  const struct wr_json_encoder_options options = {.ignore_null_fields = false};
  *rows = (struct wr_dead_rows){.context = context};
  wr_bytes_init(&rows->lines, context->memory, WR_MEMORY_SINK);
  return wr_json_encoder_new(context->memory, context->schema, &options, &rows->encoder, error);
}

void wr_dead_rows_end(struct wr_dead_rows *rows) {
  if (rows->context == NULL) return;
  if (rows->file != NULL) files_of(rows)->close(files_of(rows), rows->file, NULL);
  if (rows->has_partial) files_of(rows)->remove(files_of(rows), rows->partial, NULL);
  rows->file = NULL;
  rows->has_partial = false;
  rows->count = rows->offset = 0;
  wr_bytes_clear(&rows->lines);
  wr_free(rows->context->memory, rows->path);
  wr_free(rows->context->memory, rows->partial);
  rows->path = rows->partial = NULL;
}

void wr_dead_rows_deinit(struct wr_dead_rows *rows) {
  if (rows->context == NULL) return;
  WR_ASSERT(rows->file == NULL && !rows->has_partial && rows->path == NULL);
  wr_bytes_deinit(&rows->lines);
  wr_json_encoder_free(rows->encoder);
  *rows = (struct wr_dead_rows){0};
}

void wr_dead_rows_begin(struct wr_dead_rows *rows, uint64_t checkpoint_id) {
  rows->checkpoint_id = checkpoint_id;
}

static enum weir_code make_paths(struct wr_dead_rows *rows, struct weir_error *error) {
  const struct wr_target_context *context = rows->context;
  char path[WR_PATH_BYTES_MAX];
  if (rows->path != NULL) return WEIR_OK;
  int length = snprintf(path, sizeof path, "%s/dead-letter.%s.%" PRIu64 ".ndjson.tmp", context->store->folder,
                        context->uid, rows->checkpoint_id);
  if (length < 0 || (size_t)length >= sizeof path)
    return WR_FAIL(error, WEIR_LIMIT, "the path of the file of rows that sink %s leaves out is too long", context->uid);
  rows->partial = wr_copy_string(context->memory, path, WR_MEMORY_SINK);
  path[(size_t)length - strlen(".tmp")] = 0;
  rows->path = wr_copy_string(context->memory, path, WR_MEMORY_SINK);
  if (rows->path != NULL && rows->partial != NULL) return WEIR_OK;
  return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the rows that sink %s leaves out", context->uid);
}

/* How each line of an epoch's file begins. */
static int make_head(const struct wr_target_context *context, uint64_t checkpoint_id, char out_head[HEAD_BYTES_MAX]) {
  char run[2 * WR_INCARNATION_BYTES + 1];
  for (int i = 0; i < WR_INCARNATION_BYTES; i++)
    snprintf(run + 2 * i, 3, "%02x", context->store->incarnation[i]);
  return snprintf(out_head, HEAD_BYTES_MAX, "{\"sink\":\"%s\",\"checkpoint\":%" PRIu64 ",\"incarnation\":\"%s\",",
                  context->uid, checkpoint_id, run);
}

/* ---- cleaning ---- */

/* Is it a file of this sink that is not whole, or whose epoch comes after `checkpoint`? *out_id: its epoch; 0: it is
 * not whole. */
static bool is_left(const struct wr_target_context *context, const char *name, uint64_t checkpoint, uint64_t *out_id) {
  char head[WR_UID_BYTES_MAX + 32];
  size_t length = (size_t)snprintf(head, sizeof head, "dead-letter.%s.", context->uid);
  if (strncmp(name, head, length) != 0) return false;
  const char *digits = name + length;
  size_t digit_count = strspn(digits, "0123456789");
  if (digit_count == 0 || digit_count > ID_DIGITS_MAX) return false;
  *out_id = 0;
  if (strcmp(digits + digit_count, ".ndjson.tmp") == 0) return true;
  *out_id = strtoull(digits, NULL, 10);
  return strcmp(digits + digit_count, ".ndjson") == 0 && *out_id > checkpoint;
}

/* Was the file written by this run of the job? What --fresh has left behind stays, for nobody knows here which of its
 * epochs were committed. */
static enum weir_code is_own(const struct wr_target_context *context, const char *path, uint64_t id, bool *out_is_own,
                             struct weir_error *error) {
  struct wr_files *files = context->seams->files;
  char head[HEAD_BYTES_MAX], found[HEAD_BYTES_MAX];
  size_t length = (size_t)make_head(context, id, head), found_length = 0;
  struct wr_file *file = NULL;
  WR_TRY(files->open(files, path, WR_FILE_READ, &file, error));
  enum weir_code code = files->read(files, file, 0, found, length, &found_length, error);
  files->close(files, file, NULL);
  *out_is_own = found_length == length && memcmp(found, head, length) == 0;
  return code;
}

static enum weir_code remove_name(const struct wr_target_context *context, const char *name, uint64_t id,
                                  struct weir_error *error) {
  struct wr_files *files = context->seams->files;
  char path[WR_PATH_BYTES_MAX];
  int length = snprintf(path, sizeof path, "%s/%s", context->store->folder, name);
  if (length < 0 || (size_t)length >= sizeof path)
    return WR_FAIL(error, WEIR_LIMIT, "the path of %s in the folder of the job is too long", name);
  bool is_of_this_run = true;
  if (id != 0) WR_TRY(is_own(context, path, id, &is_of_this_run, error));
  return is_of_this_run ? files->remove(files, path, error) : WEIR_OK;
}

enum weir_code wr_dead_rows_clean(const struct wr_target_context *context, uint64_t checkpoint,
                                  struct weir_error *error) {
  struct wr_files *files = context->seams->files;
  struct wr_name_list names = {0};
  uint64_t id = 0;
  enum weir_code code = files->list(files, context->store->folder, context->memory, &names, error);
  for (size_t i = 0; i < names.count && code == WEIR_OK; i++)
    if (is_left(context, names.names[i], checkpoint, &id)) code = remove_name(context, names.names[i], id, error);
  wr_name_list_deinit(&names, context->memory);
  /* Always: a claim before this one may have removed some, and not have come to it. */
  if (code == WEIR_OK) code = files->sync_folder(files, context->store->folder, error);
  return code == WEIR_OK ? code : wr_error_prefix(error, "the files of rows that sink %s leaves out", context->uid);
}

/* ---- lines ---- */

static void put_text(struct wr_bytes *out, const char *text) {
  wr_bytes_put(out, text, strlen(text));
}

/* A server's sentence is in whatever bytes it likes, and may have been cut within a character. */
static void put_sentence(struct wr_bytes *out, struct wr_bytes *scratch, const char *text) {
  char part[WR_EXCERPT_BYTES];
  for (size_t length = strlen(text); length > 0;) {
    size_t taken = length < WR_EXCERPT_SOURCE_BYTES ? length : WR_EXCERPT_SOURCE_BYTES;
    while (taken < length && taken > WR_EXCERPT_SOURCE_BYTES - 3 && ((unsigned char)text[taken] & 0xc0) == 0x80)
      taken--;
    wr_bytes_put(scratch, part, wr_excerpt(text, taken, taken, part));
    text += taken;
    length -= taken;
  }
  wr_json_put_string(out, (const char *)scratch->data, scratch->length);
  if (scratch->failed) out->failed = true;
}

static void put_line(struct wr_dead_rows *rows, const struct wr_batch *batch, uint32_t row, const char *why) {
  static const char *const ops[] = {
      [WEIR_INSERT] = "+I", [WEIR_UPDATE_BEFORE] = "-U", [WEIR_UPDATE_AFTER] = "+U", [WEIR_DELETE] = "-D"};
  struct wr_bytes scratch;
  char head[HEAD_BYTES_MAX];
  wr_bytes_init(&scratch, rows->context->memory, WR_MEMORY_SINK);
  make_head(rows->context, rows->checkpoint_id, head);
  put_text(&rows->lines, head);
  put_text(&rows->lines, "\"op\":\"");
  put_text(&rows->lines, ops[wr_batch_row_kind(batch, row)]);
  put_text(&rows->lines, "\",\"error\":");
  put_sentence(&rows->lines, &scratch, why);
  put_text(&rows->lines, ",\"row\":");
  wr_json_encode_row(rows->encoder, batch, row, &rows->lines);
  put_text(&rows->lines, "}\n");
  wr_bytes_deinit(&scratch);
}

/* Writes what was gathered to the file, which is made with the first. */
static enum weir_code write_lines(struct wr_dead_rows *rows, struct weir_error *error) {
  struct wr_files *files = files_of(rows);
  WR_TRY(wr_bytes_check(&rows->lines, error));
  WR_TRY(make_paths(rows, error));
  if (rows->file == NULL) {
    rows->has_partial = true; /* also where the folder has it, and says that it does not */
    WR_TRY(files->open(files, rows->partial, WR_FILE_WRITE, &rows->file, error));
    WR_TRY(files->truncate(files, rows->file, 0, error));
  }
  WR_TRY(wr_file_write_all(files, rows->file, rows->offset, rows->lines.data, rows->lines.length, NULL, error));
  rows->offset += rows->lines.length;
  wr_bytes_clear(&rows->lines);
  return WEIR_OK;
}

enum weir_code wr_dead_rows_put(struct wr_dead_rows *rows, const struct wr_batch *batch, uint32_t row, const char *why,
                                struct weir_error *error) {
  put_line(rows, batch, row, why);
  rows->count++;
  return rows->lines.length >= CHUNK_BYTES || rows->lines.failed ? write_lines(rows, error) : WEIR_OK;
}

/* ---- publishing ---- */

static enum weir_code sync_folder(struct wr_dead_rows *rows, struct weir_error *error) {
  WR_TRY(files_of(rows)->sync_folder(files_of(rows), rows->context->store->folder, error));
  rows->is_uncertain = false;
  return WEIR_OK;
}

/* A try before this one may have left rows out, and may not have heard that its file was renamed. */
static enum weir_code remove_older(struct wr_dead_rows *rows, struct weir_error *error) {
  struct wr_files *files = files_of(rows);
  struct wr_file_info info;
  enum weir_code code = files->stat(files, rows->path, &info, error);
  if (code != WEIR_OK && code != WEIR_NOT_FOUND) return code;
  if (code == WEIR_NOT_FOUND) return rows->is_uncertain ? sync_folder(rows, error) : WEIR_OK;
  rows->is_uncertain = true;
  WR_TRY(files->remove(files, rows->path, error));
  return sync_folder(rows, error);
}

static enum weir_code publish(struct wr_dead_rows *rows, struct weir_error *error) {
  struct wr_files *files = files_of(rows);
  WR_TRY(write_lines(rows, error));
  WR_TRY(files->sync(files, rows->file, error));
  struct wr_file *file = rows->file;
  rows->file = NULL;
  WR_TRY(files->close(files, file, error));
  rows->is_uncertain = true;
  WR_TRY(files->rename(files, rows->partial, rows->path, error));
  rows->has_partial = false;
  return sync_folder(rows, error);
}

enum weir_code wr_dead_rows_publish(struct wr_dead_rows *rows, struct weir_error *error) {
  WR_TRY(make_paths(rows, error));
  enum weir_code code = rows->count == 0 ? remove_older(rows, error) : publish(rows, error);
  return code == WEIR_OK ? code
                         : wr_error_prefix(error, "the file of rows that sink %s leaves out", rows->context->uid);
}
