/* connectors/directory/directory_stage.c: see directory_stage.h. A file is begun by the first row that goes into it. */
#include "connectors/directory/directory_stage.h"

#include "operators/epoch_rows.h"

#include <inttypes.h>
#include <stdio.h>

enum { CHUNK_BYTES = 256 * 1024 };

/* ---- names ---- */

static enum weir_code check_length(int length, const char *folder, struct weir_error *error) {
  if (length >= 0 && length < WR_PATH_BYTES_MAX) return WEIR_OK;
  return WR_FAIL(error, WEIR_LIMIT, "the path of a file in %s is longer than %d bytes", folder, WR_PATH_BYTES_MAX - 1);
}

enum weir_code wr_directory_staged_path(const struct wr_directory_manifest *manifest, const char *folder,
                                        uint32_t number, char *out_path, struct weir_error *error) {
  return check_length(snprintf(out_path, WR_PATH_BYTES_MAX, "%s/%s-%04" PRIu32 "%s.%" PRIu64, folder, manifest->base,
                               number, manifest->suffix, manifest->staged_by),
                      folder, error);
}

enum weir_code wr_directory_final_path(const struct wr_directory_manifest *manifest, const char *path, uint32_t number,
                                       char *out_path, struct weir_error *error) {
  return check_length(
      snprintf(out_path, WR_PATH_BYTES_MAX, "%s/%s-%04" PRIu32 "%s", path, manifest->base, number, manifest->suffix),
      path, error);
}

void wr_directory_prefix(const char *uid, const uint8_t *incarnation, char out[WR_DIRECTORY_PREFIX_BYTES]) {
  enum { SHOWN_BYTES = 8 };
  int length = snprintf(out, WR_DIRECTORY_PREFIX_BYTES, "part-%s-", uid);
  WR_ASSERT(length > 0 && length + 2 * SHOWN_BYTES < WR_DIRECTORY_PREFIX_BYTES);
  for (int i = 0; i < SHOWN_BYTES; i++)
    snprintf(out + length + 2 * i, 3, "%02x", incarnation[i]);
}

enum weir_code wr_directory_check_path(const struct wr_target_context *context, const char *path,
                                       struct wr_file_info *out_info, struct weir_error *error) {
  struct wr_files *files = context->seams->files;
  enum weir_code code = files->stat(files, path, out_info, error);
  if (code == WEIR_NOT_FOUND)
    return WR_FAIL(error, WEIR_NOT_FOUND, "cannot write to the folder %s: it is not there; make it: mkdir -p '%s'",
                   path, path);
  if (code == WEIR_OK && !out_info->folder)
    return WR_FAIL(error, WEIR_NOT_FOUND, "cannot write files into %s: it is not a folder; give another path", path);
  return code;
}

const char *wr_directory_suffix(const struct wr_directory_config *config) {
  return config->format == WR_DIRECTORY_CSV ? ".csv" : ".ndjson";
}

/* ---- life ---- */

enum weir_code wr_directory_stage_init(struct wr_directory_stage *stage, const struct wr_directory_config *config,
                                       const struct wr_target_context *context, const char *folder,
                                       struct weir_error *error) {
  *stage = (struct wr_directory_stage){.config = config, .context = context, .folder = folder};
  wr_bytes_init(&stage->lines, context->memory, WR_MEMORY_SINK);
  wr_bytes_init(&stage->row, context->memory, WR_MEMORY_SINK);
  WR_TRY(wr_csv_encoder_init(&stage->csv, context->schema, &config->csv, error));
  return wr_json_encoder_new(context->memory, context->schema, &config->json, &stage->json, error);
}

void wr_directory_stage_deinit(struct wr_directory_stage *stage) {
  WR_ASSERT(stage->file == NULL);
  wr_bytes_deinit(&stage->lines);
  wr_bytes_deinit(&stage->row);
  wr_json_encoder_free(stage->json);
}

/* ---- files ---- */

static enum weir_code begin_file(struct wr_directory_stage *stage, const struct wr_directory_manifest *manifest,
                                 struct weir_error *error) {
  struct wr_files *files = stage->context->seams->files;
  char path[WR_PATH_BYTES_MAX];
  if (manifest->staged_by != 0)
    WR_TRY(wr_directory_staged_path(manifest, stage->folder, manifest->part_count, path, error));
  else
    WR_TRY(wr_directory_final_path(manifest, stage->folder, manifest->part_count, path, error));
  stage->written_bytes = 0;
  wr_bytes_clear(&stage->lines);
  enum weir_code code = files->open(files, path, WR_FILE_CREATE_OUT, &stage->file, error);
  if (code == WEIR_IN_USE) {
    WR_TRY(files->remove(files, path, error));
    code = files->open(files, path, WR_FILE_CREATE_OUT, &stage->file, error);
  }
  if (code != WEIR_OK) {
    stage->file = NULL;
    return code;
  }
  return stage->config->format == WR_DIRECTORY_CSV && stage->config->csv_header
             ? wr_csv_encode_header(&stage->csv, &stage->lines, error)
             : WEIR_OK;
}

static enum weir_code write_lines(struct wr_directory_stage *stage, struct weir_error *error) {
  WR_TRY(wr_bytes_check(&stage->lines, error));
  WR_TRY(wr_file_write_all(stage->context->seams->files, stage->file, stage->written_bytes, stage->lines.data,
                           stage->lines.length, NULL, error));
  stage->written_bytes += stage->lines.length;
  wr_bytes_clear(&stage->lines);
  return WEIR_OK;
}

/* Closes the open file; with `code` OK it is first written to its end and synced, and then counted. */
static enum weir_code end_file(struct wr_directory_stage *stage, struct wr_directory_manifest *manifest,
                               enum weir_code code, struct weir_error *error) {
  struct wr_files *files = stage->context->seams->files;
  if (stage->file == NULL) return code;
  if (code == WEIR_OK) code = write_lines(stage, error);
  if (code == WEIR_OK) code = files->sync(files, stage->file, error);
  enum weir_code close_code = files->close(files, stage->file, code == WEIR_OK ? error : NULL);
  stage->file = NULL;
  if (code == WEIR_OK) code = close_code;
  if (code == WEIR_OK) manifest->part_count++;
  return code;
}

/* ---- rows ---- */

static enum weir_code fail_delete(struct wr_directory_stage *stage, const struct wr_batch *batch, uint32_t row,
                                  struct weir_error *error) {
  enum { SHOWN_BYTES_MAX = 256 };
  wr_json_encode_row(stage->json, batch, row, &stage->row);
  size_t length = stage->row.length < SHOWN_BYTES_MAX ? stage->row.length : SHOWN_BYTES_MAX;
  return WR_FAIL(error, WEIR_CONSTRAINT,
                 "a row was deleted, and files in a folder cannot take a row back; lead a changelog with deletes to a "
                 "table (the row: %.*s)",
                 (int)length, (const char *)stage->row.data);
}

static enum weir_code encode(struct wr_directory_stage *stage, const struct wr_batch *batch, uint32_t row,
                             struct weir_error *error) {
  if (stage->config->format == WR_DIRECTORY_CSV) {
    WR_TRY(wr_csv_encode_row(&stage->csv, batch, row, &stage->row, error));
  } else {
    wr_json_encode_row(stage->json, batch, row, &stage->row);
    wr_bytes_put_u8(&stage->row, '\n');
  }
  return wr_bytes_check(&stage->row, error);
}

static enum weir_code put_row(struct wr_directory_stage *stage, const struct wr_batch *batch, uint32_t row,
                              struct wr_directory_manifest *manifest, struct weir_error *error) {
  enum weir_row_kind kind = wr_batch_row_kind(batch, row);
  wr_bytes_clear(&stage->row);
  if (kind == WEIR_UPDATE_BEFORE) return WEIR_OK;
  if (kind == WEIR_DELETE) return fail_delete(stage, batch, row, error);
  WR_TRY(encode(stage, batch, row, error));
  if (stage->written_bytes + stage->lines.length + stage->row.length > stage->config->file_bytes)
    WR_TRY(end_file(stage, manifest, WEIR_OK, error));
  if (stage->file == NULL) WR_TRY(begin_file(stage, manifest, error));
  wr_bytes_put(&stage->lines, stage->row.data, stage->row.length);
  if (stage->lines.length >= CHUNK_BYTES || stage->lines.failed) return write_lines(stage, error);
  return WEIR_OK;
}

static enum weir_code put_batch(struct wr_directory_stage *stage, const struct wr_batch *batch,
                                struct wr_directory_manifest *manifest, struct weir_error *error) {
  for (uint32_t i = 0; i < batch->selected_count; i++)
    WR_TRY(put_row(stage, batch, wr_batch_row(batch, i), manifest, error));
  return WEIR_OK;
}

/* ---- epochs ---- */

/* An epoch's parts, and where time divides them. Parts share a file while all their rows came in the first interval
 * after the same barrier; what a border divided is of no interval that another part is known to share. */
struct borders {
  uint32_t part;    /* the present one; UINT32_MAX: none yet */
  bool has_divided; /* the present part */
};

/* Does a batch that was just read, which may be a border, begin another file? */
static bool divides(struct borders *borders, const struct wr_epoch_rows *rows, const struct wr_batch *batch) {
  const struct wr_part *parts = rows->epoch->parts;
  const uint32_t part = rows->next_part - 1, before = borders->part;
  bool divides = batch->selected_count == 0;
  if (part != before) {
    divides = divides || (before != UINT32_MAX &&
                          (borders->has_divided || parts[part].prepared_for != parts[before].prepared_for));
    *borders = (struct borders){.part = part};
  }
  borders->has_divided = borders->has_divided || batch->selected_count == 0;
  return divides;
}

static enum weir_code put_epoch(struct wr_directory_stage *stage, struct wr_epoch_rows *rows,
                                struct wr_directory_manifest *manifest, struct weir_error *error) {
  struct borders borders = {.part = UINT32_MAX};
  for (;;) {
    struct wr_batch *batch = NULL;
    WR_TRY(wr_epoch_rows_next(rows, &batch, error));
    if (batch == NULL) return WEIR_OK;
    enum weir_code code = WEIR_OK;
    if (divides(&borders, rows, batch)) code = end_file(stage, manifest, WEIR_OK, error);
    if (code == WEIR_OK) code = put_batch(stage, batch, manifest, error);
    wr_batch_unref(batch);
    WR_TRY(code);
  }
}

/* Ends the last file, and makes the names durable. */
static enum weir_code end_files(struct wr_directory_stage *stage, struct wr_directory_manifest *manifest,
                                enum weir_code code, struct weir_error *error) {
  struct wr_files *files = stage->context->seams->files;
  code = end_file(stage, manifest, code, error);
  wr_bytes_clear(&stage->lines);
  return code == WEIR_OK ? files->sync_folder(files, stage->folder, error) : code;
}

enum weir_code wr_directory_stage_epoch(struct wr_directory_stage *stage, const struct wr_epoch *epoch,
                                        struct wr_directory_manifest *manifest, struct weir_error *error) {
  struct wr_epoch_rows rows;
  manifest->part_count = 0;
  wr_epoch_rows_init(&rows, stage->context->store, stage->context->memory, stage->context->schema, epoch);
  enum weir_code code = put_epoch(stage, &rows, manifest, error);
  wr_epoch_rows_deinit(&rows);
  return end_files(stage, manifest, code, error);
}

enum weir_code wr_directory_stage_batches(struct wr_directory_stage *stage, struct wr_batch *const *batches,
                                          uint32_t count, struct wr_directory_manifest *manifest,
                                          struct weir_error *error) {
  enum weir_code code = WEIR_OK;
  manifest->part_count = 0;
  for (uint32_t i = 0; i < count && code == WEIR_OK; i++)
    code = put_batch(stage, batches[i], manifest, error);
  return end_files(stage, manifest, code, error);
}
