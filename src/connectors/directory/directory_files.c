/* connectors/directory/directory_files.c: see directory_files.h. A file is begun by the first row that goes into it. */
#include "connectors/directory/directory_files.h"

#include "connectors/directory/directory_part.h"

/* ---- text ---- */

void wr_directory_text_init(struct wr_directory_text *text, struct wr_memory *memory) {
  wr_bytes_init(&text->bytes, memory, WR_MEMORY_SINK);
  wr_bytes_init(&text->cuts, memory, WR_MEMORY_SINK);
}

void wr_directory_text_deinit(struct wr_directory_text *text) {
  wr_bytes_deinit(&text->bytes);
  wr_bytes_deinit(&text->cuts);
}

/* ---- lines ---- */

enum weir_code wr_directory_lines_init(struct wr_directory_lines *lines, const struct wr_directory_config *config,
                                       const struct weir_schema *schema, struct wr_memory *memory,
                                       struct weir_error *error) {
  *lines = (struct wr_directory_lines){.config = config};
  wr_directory_text_init(&lines->text, memory);
  WR_TRY(wr_csv_encoder_init(&lines->csv, schema, &config->csv, error));
  return wr_json_encoder_new(memory, schema, &config->json, &lines->json, error);
}

void wr_directory_lines_deinit(struct wr_directory_lines *lines) {
  wr_directory_text_deinit(&lines->text);
  wr_json_encoder_free(lines->json);
}

void wr_directory_lines_clear(struct wr_directory_lines *lines) {
  wr_bytes_clear(&lines->text.bytes);
  wr_bytes_clear(&lines->text.cuts);
  lines->file_bytes = 0;
}

static void cut(struct wr_directory_lines *lines, uint64_t position) {
  wr_bytes_put(&lines->text.cuts, &position, sizeof position);
  lines->file_bytes = 0;
}

static enum weir_code fail_delete(struct wr_directory_lines *lines, const struct wr_batch *batch, uint32_t row,
                                  struct weir_error *error) {
  enum { SHOWN_BYTES_MAX = 256 };
  wr_bytes_clear(&lines->text.bytes);
  wr_json_encode_row(lines->json, batch, row, &lines->text.bytes);
  size_t length = lines->text.bytes.length < SHOWN_BYTES_MAX ? lines->text.bytes.length : SHOWN_BYTES_MAX;
  return WR_FAIL(error, WEIR_CONSTRAINT,
                 "a row was deleted, and files in a folder cannot take a row back; lead a changelog with deletes to a "
                 "table (the row: %.*s)",
                 (int)length, (const char *)lines->text.bytes.data);
}

static enum weir_code encode(struct wr_directory_lines *lines, const struct wr_batch *batch, uint32_t row,
                             struct weir_error *error) {
  struct wr_bytes *bytes = &lines->text.bytes;
  if (lines->config->format == WR_DIRECTORY_CSV) return wr_csv_encode_row(&lines->csv, batch, row, bytes, error);
  wr_json_encode_row(lines->json, batch, row, bytes);
  wr_bytes_put_u8(bytes, '\n');
  return WEIR_OK;
}

/* The header before the row that lies from `begin` on, the first of its file. */
static enum weir_code put_header(struct wr_directory_lines *lines, size_t begin, struct weir_error *error) {
  struct wr_bytes *bytes = &lines->text.bytes, header;
  wr_bytes_init(&header, bytes->memory, bytes->tag);
  enum weir_code code = wr_csv_encode_header(&lines->csv, &header, error);
  if (code == WEIR_OK) code = wr_bytes_check(&header, error);
  if (code == WEIR_OK && wr_bytes_reserve(bytes, header.length) != NULL) {
    memmove(bytes->data + begin + header.length, bytes->data + begin, bytes->length - begin);
    memcpy(bytes->data + begin, header.data, header.length);
    bytes->length += header.length;
  }
  wr_bytes_deinit(&header);
  return code;
}

static enum weir_code put_row(struct wr_directory_lines *lines, const struct wr_batch *batch, uint32_t row,
                              uint64_t now_ns, struct weir_error *error) {
  const struct wr_directory_config *config = lines->config;
  struct wr_bytes *bytes = &lines->text.bytes;
  size_t begin = bytes->length;
  WR_TRY(encode(lines, batch, row, error));
  if (lines->file_bytes != 0 && lines->file_bytes + bytes->length - begin > config->file_bytes) cut(lines, begin);
  if (lines->file_bytes == 0) {
    lines->file_begin_ns = now_ns;
    if (config->format == WR_DIRECTORY_CSV && config->csv_header) WR_TRY(put_header(lines, begin, error));
  }
  lines->file_bytes += bytes->length - begin;
  return WEIR_OK;
}

enum weir_code wr_directory_lines_put(struct wr_directory_lines *lines, const struct wr_batch *batch, uint64_t now_ns,
                                      struct weir_error *error) {
  const uint64_t rollover_ms = (uint64_t)lines->config->rollover_ms;
  bool is_old = rollover_ms != 0 && (now_ns - lines->file_begin_ns) / 1000000 >= rollover_ms;
  for (uint32_t i = 0; i < batch->selected_count; i++) {
    uint32_t row = wr_batch_row(batch, i);
    enum weir_row_kind kind = wr_batch_row_kind(batch, row);
    if (kind == WEIR_UPDATE_BEFORE) continue;
    if (kind == WEIR_DELETE) return fail_delete(lines, batch, row, error);
    if (is_old && lines->file_bytes != 0) cut(lines, lines->text.bytes.length);
    is_old = false;
    WR_TRY(put_row(lines, batch, row, now_ns, error));
  }
  WR_TRY(wr_bytes_check(&lines->text.cuts, error));
  return wr_bytes_check(&lines->text.bytes, error);
}

/* ---- output ---- */

enum weir_code wr_directory_check_path(struct wr_files *files, const char *path, struct wr_file_info *out_info,
                                       struct weir_error *error) {
  enum weir_code code = files->stat(files, path, out_info, error);
  if (code == WEIR_NOT_FOUND)
    return WR_FAIL(error, WEIR_NOT_FOUND, "cannot write to the folder %s: it is not there; make it: mkdir -p '%s'",
                   path, path);
  if (code == WEIR_OK && !out_info->folder)
    return WR_FAIL(error, WEIR_NOT_FOUND, "cannot write files into %s: it is not a folder; give another path", path);
  return code;
}

static enum weir_code begin_file(struct wr_directory_output *output, struct weir_error *error) {
  struct wr_files *files = output->files;
  char path[WR_PATH_BYTES_MAX];
  output->written_bytes = 0;
  WR_TRY(wr_directory_numbered_path(output->base, output->file_count, output->suffix, path, error));
  enum weir_code code = files->open(files, path, WR_FILE_CREATE_OUT, &output->file, error);
  if (code == WEIR_IN_USE) {
    WR_TRY(files->remove(files, path, error));
    code = files->open(files, path, WR_FILE_CREATE_OUT, &output->file, error);
  }
  if (code != WEIR_OK) output->file = NULL;
  return code;
}

static enum weir_code end_file(struct wr_directory_output *output, struct weir_error *error) {
  struct wr_files *files = output->files;
  if (output->file == NULL) return WEIR_OK;
  output->may_go_on = false;
  WR_TRY(files->sync(files, output->file, error));
  struct wr_file *file = output->file;
  output->file = NULL;
  WR_TRY(files->close(files, file, error));
  output->may_go_on = true;
  output->file_count++;
  return WEIR_OK;
}

/* Writes what is left up to `end`. */
static enum weir_code write_to(struct wr_directory_output *output, const struct wr_bytes *bytes, size_t end,
                               struct weir_error *error) {
  size_t count = 0;
  if (output->position == end) return WEIR_OK;
  if (output->file == NULL) WR_TRY(begin_file(output, error));
  enum weir_code code = wr_file_write_all(output->files, output->file, output->written_bytes,
                                          bytes->data + output->position, end - output->position, &count, error);
  output->written_bytes += count;
  output->position += count;
  output->bytes += count;
  return code;
}

enum weir_code wr_directory_output_write(struct wr_directory_output *output, const struct wr_directory_text *text,
                                         bool ends, struct weir_error *error) {
  const size_t cut_count = text->cuts.length / sizeof(uint64_t);
  output->may_go_on = true;
  for (; output->next_cut < cut_count; output->next_cut++) {
    uint64_t end;
    memcpy(&end, text->cuts.data + output->next_cut * sizeof end, sizeof end);
    WR_TRY(write_to(output, &text->bytes, (size_t)end, error));
    WR_TRY(end_file(output, error));
  }
  WR_TRY(write_to(output, &text->bytes, text->bytes.length, error));
  output->position = output->next_cut = 0;
  if (!ends) return WEIR_OK;
  WR_TRY(end_file(output, error));
  output->may_go_on = false;
  return output->file_count == 0 ? WEIR_OK : output->files->sync_folder(output->files, output->folder, error);
}

void wr_directory_output_abandon(struct wr_directory_output *output) {
  if (output->file != NULL) output->files->close(output->files, output->file, NULL);
  output->file = NULL;
}
