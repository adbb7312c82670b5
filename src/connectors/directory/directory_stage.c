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

/* ---- life ---- */

enum weir_code wr_directory_stage_init(struct wr_directory_stage *stage, const struct wr_directory_config *config,
                                       const struct wr_target_context *context, const char *folder,
                                       struct weir_error *error) {
  *stage = (struct wr_directory_stage){.config = config, .context = context, .folder = folder};
  wr_bytes_init(&stage->lines, context->memory, WR_MEMORY_SINK);
  WR_TRY(wr_csv_encoder_init(&stage->csv, context->schema, &config->csv, error));
  return wr_json_encoder_new(context->memory, context->schema, &config->json, &stage->json, error);
}

void wr_directory_stage_deinit(struct wr_directory_stage *stage) {
  WR_ASSERT(stage->file == NULL);
  wr_bytes_deinit(&stage->lines);
  wr_json_encoder_free(stage->json);
}

/* ---- files ---- */

static enum weir_code begin_file(struct wr_directory_stage *stage, const struct wr_directory_manifest *manifest,
                                 struct weir_error *error) {
  struct wr_files *files = stage->context->seams->files;
  char path[WR_PATH_BYTES_MAX];
  WR_TRY(wr_directory_staged_path(manifest, stage->folder, manifest->part_count, path, error));
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
  wr_bytes_clear(&stage->lines);
  wr_json_encode_row(stage->json, batch, row, &stage->lines);
  size_t length = stage->lines.length < SHOWN_BYTES_MAX ? stage->lines.length : SHOWN_BYTES_MAX;
  return WR_FAIL(error, WEIR_CONSTRAINT,
                 "a row was deleted, and files in a folder cannot take a row back; lead a changelog with deletes to a "
                 "table (the row: %.*s)",
                 (int)length, (const char *)stage->lines.data);
}

static enum weir_code put_row(struct wr_directory_stage *stage, const struct wr_batch *batch, uint32_t row,
                              struct wr_directory_manifest *manifest, struct weir_error *error) {
  enum weir_row_kind kind = wr_batch_row_kind(batch, row);
  if (kind == WEIR_UPDATE_BEFORE) return WEIR_OK;
  if (kind == WEIR_DELETE) return fail_delete(stage, batch, row, error);
  if (stage->file == NULL) WR_TRY(begin_file(stage, manifest, error));
  if (stage->config->format == WR_DIRECTORY_CSV) {
    WR_TRY(wr_csv_encode_row(&stage->csv, batch, row, &stage->lines, error));
  } else {
    wr_json_encode_row(stage->json, batch, row, &stage->lines);
    wr_bytes_put_u8(&stage->lines, '\n');
  }
  if (stage->written_bytes + stage->lines.length >= stage->config->file_bytes)
    return end_file(stage, manifest, WEIR_OK, error);
  if (stage->lines.length >= CHUNK_BYTES || stage->lines.failed) return write_lines(stage, error);
  return WEIR_OK;
}

static enum weir_code put_epoch(struct wr_directory_stage *stage, struct wr_epoch_rows *rows,
                                struct wr_directory_manifest *manifest, struct weir_error *error) {
  for (;;) {
    struct wr_batch *batch = NULL;
    WR_TRY(wr_epoch_rows_next(rows, &batch, error));
    if (batch == NULL) return WEIR_OK;
    enum weir_code code = WEIR_OK;
    for (uint32_t i = 0; i < batch->selected_count && code == WEIR_OK; i++)
      code = put_row(stage, batch, wr_batch_row(batch, i), manifest, error);
    wr_batch_unref(batch);
    WR_TRY(code);
  }
}

enum weir_code wr_directory_stage_epoch(struct wr_directory_stage *stage, const struct wr_epoch *epoch,
                                        struct wr_directory_manifest *manifest, struct weir_error *error) {
  struct wr_files *files = stage->context->seams->files;
  struct wr_epoch_rows rows;
  manifest->part_count = 0;
  wr_epoch_rows_init(&rows, stage->context->store, stage->context->memory, stage->context->schema, epoch);
  enum weir_code code = put_epoch(stage, &rows, manifest, error);
  code = end_file(stage, manifest, code, error);
  wr_epoch_rows_deinit(&rows);
  wr_bytes_clear(&stage->lines);
  return code == WEIR_OK ? files->sync_folder(files, stage->folder, error) : code;
}
