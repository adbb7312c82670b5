/* connectors/deadletter/deadletter.c: see deadletter.h.
 *
 *   claim       marker {mine, end}; end stays, or is the present size of the file where there was no marker; then the
 * file is cut to it commit N    marker read: already N, or not mine: no change. Else: file cut to `end`, lines of N
 * behind it, fsync, then marker {mine, N, new end}
 *
 * What always holds: the file up to the marker's `end` is durable before a marker says so, and is never written again;
 * what is behind it belongs to nobody. So a crash anywhere leaves the old marker, and the next commit of N writes the
 * same bytes at the same place, or the new marker, and the next commit of N changes nothing. A marker whose publish had
 * an unknown outcome is published again before an answer is built on it: what a failed fsync of a folder left behind
 * may be seen now and be gone after a power cut.
 *
 * All functions run inside calls, one at a time.
 */
#include "connectors/deadletter/deadletter.h"

#include "connectors/deadletter/dead_letter_marker.h"
#include "connectors/bad_records.h"
#include "connectors/target_marker.h"
#include "formats/json/json_encoder.h"
#include "operators/epoch_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_BYTES = 256 * 1024 };

struct dead_letter {
  struct wr_target target;
  struct wr_target_context context;
  const char *path;
  char *marker_path;
  char *folder;
  bool uncertain; /* the last publish may or may not be durable */
  struct wr_json_encoder *encoder;
  struct wr_bytes lines; /* of the chunk that is being made */
};

static struct dead_letter *self_of(struct wr_target *target) {
  return (struct dead_letter *)target;
}

/* ---- the marker ---- */

static enum weir_code load(struct dead_letter *self, struct wr_dead_letter_marker *out_marker,
                           struct weir_error *error) {
  *out_marker = (struct wr_dead_letter_marker){0};
  return wr_file_marker_load(&wr_dead_letter_marker_kind, &self->context, self->marker_path, &out_marker->marker,
                             error);
}

static enum weir_code publish(struct dead_letter *self, const struct wr_dead_letter_marker *marker,
                              struct weir_error *error) {
  self->uncertain = true;
  WR_TRY(wr_file_marker_publish(&wr_dead_letter_marker_kind, &self->context, self->folder, self->marker_path,
                                &marker->marker, error));
  self->uncertain = false;
  return WEIR_OK;
}

/* Size of the dead-letter file; 0 where there is none. */
static enum weir_code file_size(const struct dead_letter *self, uint64_t *out_bytes, struct weir_error *error) {
  struct wr_files *files = self->context.seams->files;
  struct wr_file_info info = {0};
  enum weir_code code = files->stat(files, self->path, &info, error);
  *out_bytes = code == WEIR_OK ? info.size_bytes : 0;
  if (code == WEIR_OK && info.folder)
    return WR_FAIL(error, WEIR_NOT_FOUND, "the dead-letter file %s is a folder; give the path of a file", self->path);
  return code == WEIR_NOT_FOUND ? WEIR_OK : code;
}

/* The marker as the job must see it: one that speaks of lines that are not there any more counts for nothing. */
static enum weir_code look(struct dead_letter *self, struct wr_dead_letter_marker *out_marker, uint64_t *out_size,
                           struct weir_error *error) {
  WR_TRY(load(self, out_marker, error));
  WR_TRY(file_size(self, out_size, error));
  if (out_marker->marker.present && *out_size < out_marker->end_bytes) *out_marker = (struct wr_dead_letter_marker){0};
  return WEIR_OK;
}

/* ---- connect, read_marker, claim ---- */

static enum weir_code connect(struct wr_target *target, struct weir_error *error) {
  struct dead_letter *self = self_of(target);
  struct wr_files *files = self->context.seams->files;
  struct wr_file_info info;
  uint64_t size;
  enum weir_code code = files->stat(files, self->folder, &info, error);
  if (code == WEIR_NOT_FOUND || (code == WEIR_OK && !info.folder))
    return WR_FAIL(error, WEIR_NOT_FOUND, "cannot open the dead-letter file %s: there is no folder %s; make it first",
                   self->path, self->folder);
  if (code != WEIR_OK) return code;
  return file_size(self, &size, error);
}

static enum weir_code read_marker(struct wr_target *target, struct wr_marker *out_marker, struct weir_error *error) {
  struct dead_letter *self = self_of(target);
  struct wr_dead_letter_marker marker;
  uint64_t size;
  *out_marker = (struct wr_marker){.present = false};
  WR_TRY(look(self, &marker, &size, error));
  *out_marker = marker.marker;
  return WEIR_OK;
}

/* Makes the file where it is missing, cuts what is behind `end_bytes`, and makes both durable. */
static enum weir_code cut(struct dead_letter *self, uint64_t end_bytes, struct weir_error *error) {
  struct wr_files *files = self->context.seams->files;
  struct wr_file *file = NULL;
  struct wr_file_info info;
  WR_TRY(files->open(files, self->path, WR_FILE_WRITE, &file, error));
  enum weir_code code = files->info(files, file, &info, error);
  if (code == WEIR_OK && info.size_bytes > end_bytes) code = files->truncate(files, file, end_bytes, error);
  if (code == WEIR_OK) code = files->sync(files, file, error);
  enum weir_code close_code = files->close(files, file, code == WEIR_OK ? error : NULL);
  if (code == WEIR_OK) code = close_code;
  return code == WEIR_OK ? files->sync_folder(files, self->folder, error) : code;
}

static enum weir_code claim(struct wr_target *target, const struct wr_marker *seen, uint64_t checkpoint,
                            struct weir_error *error) {
  struct dead_letter *self = self_of(target);
  struct wr_dead_letter_marker present;
  uint64_t size;
  WR_TRY(look(self, &present, &size, error));
  /* A claim that was made and whose answer got lost is ours. */
  if (!wr_marker_is_mine(&self->context, &present.marker))
    WR_TRY(wr_marker_check_claim(&self->context, seen, &present.marker, self->path, error));
  struct wr_dead_letter_marker mine = {.marker = wr_marker_mine(&self->context, checkpoint),
                                       .end_bytes = present.marker.present ? present.end_bytes : size};
  WR_TRY(publish(self, &mine, error));
  return cut(self, mine.end_bytes, error);
}

/* ---- lines ---- */

/* The columns of wr_dead_letter_schema as members of a line. */
static const struct weir_schema line_schema = {
    .fields = (const struct weir_field[]){[WR_DEAD_LETTER_SOURCE] = {"source", WEIR_TYPE_STRING, false},
                                          [WR_DEAD_LETTER_PARTITION] = {"partition", WEIR_TYPE_STRING, false},
                                          [WR_DEAD_LETTER_POSITION] = {"position", WEIR_TYPE_BIGINT, false},
                                          [WR_DEAD_LETTER_BYTE_POSITION] = {"byte", WEIR_TYPE_BIGINT, false},
                                          [WR_DEAD_LETTER_ERROR] = {"error", WEIR_TYPE_STRING, false},
                                          [WR_DEAD_LETTER_RECORD] = {"record", WEIR_TYPE_STRING, false}},
    .field_count = 6};

static void put_line(struct dead_letter *self, const struct wr_batch *batch, uint32_t row) {
  wr_json_encode_row(self->encoder, batch, row, &self->lines);
  wr_bytes_put_u8(&self->lines, '\n');
}

/* ---- commit ---- */

/* Writes the chunk at *offset and moves it on. */
static enum weir_code write_chunk(struct dead_letter *self, struct wr_file *file, uint64_t *offset,
                                  struct weir_error *error) {
  WR_TRY(wr_bytes_check(&self->lines, error));
  WR_TRY(
      wr_file_write_all(self->context.seams->files, file, *offset, self->lines.data, self->lines.length, NULL, error));
  *offset += self->lines.length;
  wr_bytes_clear(&self->lines);
  return WEIR_OK;
}

static enum weir_code write_epoch(struct dead_letter *self, struct wr_file *file, struct wr_epoch_rows *rows,
                                  uint64_t *offset, struct weir_error *error) {
  struct wr_batch *batch = NULL;
  wr_bytes_clear(&self->lines);
  for (;;) {
    WR_TRY(wr_epoch_rows_next(rows, &batch, error));
    if (batch == NULL) return write_chunk(self, file, offset, error);
    for (uint32_t i = 0; i < batch->selected_count; i++)
      put_line(self, batch, wr_batch_row(batch, i));
    wr_batch_unref(batch);
    if (self->lines.length >= CHUNK_BYTES || self->lines.failed) WR_TRY(write_chunk(self, file, offset, error));
  }
}

/* The file is open. *end: where it is committed to, then where the epoch ends. */
static enum weir_code write_at(struct dead_letter *self, struct wr_file *file, const struct wr_epoch *epoch,
                               uint64_t *end, struct weir_error *error) {
  struct wr_files *files = self->context.seams->files;
  struct wr_file_info info;
  WR_TRY(files->info(files, file, &info, error));
  if (info.size_bytes < *end)
    return WR_FAIL(error, WEIR_REFUSED,
                   "the dead-letter file %s was cut or replaced while the job runs: it has %" PRIu64 " bytes, %" PRIu64
                   " were committed; put it back",
                   self->path, info.size_bytes, *end);
  if (info.size_bytes > *end) WR_TRY(files->truncate(files, file, *end, error));
  struct wr_epoch_rows rows;
  wr_epoch_rows_init(&rows, self->context.store, self->context.memory, self->context.schema, epoch);
  enum weir_code code = write_epoch(self, file, &rows, end, error);
  wr_epoch_rows_deinit(&rows);
  return code == WEIR_OK ? files->sync(files, file, error) : code;
}

static enum weir_code append(struct dead_letter *self, const struct wr_epoch *epoch, uint64_t *end,
                             struct weir_error *error) {
  struct wr_files *files = self->context.seams->files;
  struct wr_file *file = NULL;
  enum weir_code code = files->open(files, self->path, WR_FILE_WRITE, &file, error);
  if (code != WEIR_OK) return code;
  code = write_at(self, file, epoch, end, error);
  enum weir_code close_code = files->close(files, file, code == WEIR_OK ? error : NULL);
  return code == WEIR_OK ? close_code : code;
}

static enum weir_code commit(struct wr_target *target, const struct wr_epoch *epoch, bool *out_already,
                             struct weir_error *error) {
  struct dead_letter *self = self_of(target);
  struct wr_dead_letter_marker marker;
  *out_already = false;
  WR_TRY(load(self, &marker, error));
  if (!marker.marker.present)
    return WR_FAIL(error, WEIR_REFUSED, "%s was removed while the job runs; put it back", self->marker_path);
  if (!wr_marker_is_mine(&self->context, &marker.marker))
    return wr_marker_fenced(&self->context, &marker.marker, self->path, error);
  if (marker.marker.checkpoint_id >= epoch->checkpoint_id) {
    *out_already = true;
    return self->uncertain ? publish(self, &marker, error) : WEIR_OK;
  }
  WR_TRY(append(self, epoch, &marker.end_bytes, error));
  marker.marker.checkpoint_id = epoch->checkpoint_id;
  return publish(self, &marker, error);
}

/* ---- life ---- */

static void close_target(struct wr_target *target) {
  (void)target; /* nothing is open between two calls */
}

static void free_target(struct wr_target *target) {
  struct dead_letter *self = self_of(target);
  wr_bytes_deinit(&self->lines);
  wr_json_encoder_free(self->encoder);
  wr_free(self->context.memory, self->marker_path);
  wr_free(self->context.memory, self->folder);
  wr_free(self->context.memory, self);
}

static const struct wr_target_vtable vtable = {.connect = connect,
                                               .read_marker = read_marker,
                                               .claim = claim,
                                               .commit = commit,
                                               .close = close_target,
                                               .free = free_target};

static enum weir_code make_paths(struct dead_letter *self, struct weir_error *error) {
  char path[WR_PATH_BYTES_MAX];
  int length = snprintf(path, sizeof path, "%s.weir-marker", self->path);
  if (length < 0 || (size_t)length >= sizeof path)
    return WR_FAIL(error, WEIR_INVALID, "the path of the dead-letter file is too long");
  self->marker_path = wr_copy_string(self->context.memory, path, WR_MEMORY_SINK);
  const char *slash = strrchr(self->path, '/');
  snprintf(path, sizeof path, "%.*s",
           slash == NULL         ? 1
           : slash == self->path ? 1
                                 : (int)(slash - self->path),
           slash == NULL ? "." : self->path);
  self->folder = wr_copy_string(self->context.memory, path, WR_MEMORY_SINK);
  if (self->marker_path != NULL && self->folder != NULL) return WEIR_OK;
  return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for dead-letter file %s", self->path);
}

enum weir_code wr_dead_letter_target_new(void *target_config, const struct wr_target_context *context,
                                         struct wr_target **out_target, struct weir_error *error) {
  const struct wr_dead_letter_config *config = target_config;
  *out_target = NULL;
  struct dead_letter *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SINK);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for dead-letter file %s", config->path);
  self->target.vtable = &vtable;
  self->context = *context;
  self->path = config->path;
  wr_bytes_init(&self->lines, context->memory, WR_MEMORY_SINK);
  enum weir_code code = make_paths(self, error);
  const struct wr_json_encoder_options options = {.ignore_null_fields = false};
  if (code == WEIR_OK) code = wr_json_encoder_new(context->memory, &line_schema, &options, &self->encoder, error);
  if (code != WEIR_OK) {
    free_target(&self->target);
    return code;
  }
  *out_target = &self->target;
  return WEIR_OK;
}

/* ---- options, and the graph ---- */

const struct wr_connector_option wr_dead_letter_options[WR_DEAD_LETTER_OPTION_COUNT] = {
    [WR_DEAD_LETTER_SKIP] = {.key = "json.ignore-parse-errors",
                             .type = WR_CONNECTOR_FLAG,
                             .default_text = "false",
                             .help = "a bad record goes to the dead-letter file and the next one is read; else it ends "
                                     "the job"},
    [WR_DEAD_LETTER_PATH] = {.key = "dead-letter.path",
                             .type = WR_CONNECTOR_TEXT,
                             .help = "that file, one for all sources of a job; without it it is dead-letter.ndjson in "
                                     "the job's folder"},
};

enum weir_code wr_dead_letter_add(struct wr_graph *graph, const char *uid, const struct wr_dead_letter_config *config,
                                  struct wr_sink_config *sink, uint32_t *out_writer, struct weir_error *error) {
  if (config->path == NULL || config->path[0] == 0)
    return WR_FAIL(error, WEIR_INVALID, "records that are skipped need a dead-letter file; name one by --dead-letter");
  const struct wr_sink_description description = {.uid = uid,
                                                  .schema = &wr_dead_letter_schema,
                                                  .parallelism = 1,
                                                  .config = sink,
                                                  .target_config = (void *)config,
                                                  .new_target = wr_dead_letter_target_new};
  return wr_sink_add(graph, &description, out_writer, error);
}
