/* connectors/files/file_reader_lines.c: from a slot's text to rows. See file_reader.h.
 *
 * How far the text belongs to the split: without a stop, to its last newline; what is behind waits for its own. With a
 * stop, to the end of the record that holds the byte before the stop: its newline, or the end of the file. That end is
 * searched for only once the stop lies in the text.
 *
 * What always holds: after every function, split.position and split.record say exactly which record the next row will
 * be of, and `at` stands on its first byte.
 */
#include "connectors/bad_records.h"
#include "connectors/files/file_reader.h"

#include <inttypes.h>
#include <stdio.h>

enum { WINDOW_BYTES = 256 * 1024 };

/* What of the text may be taken now. */
struct extent {
  size_t length; /* from slot->at */
  bool is_final; /* the file ends behind it, and its last line counts without a newline */
};

/* Where in the file slot->at is. */
static uint64_t at_offset(const struct wr_reader_slot *slot) {
  return slot->file->split.position + slot->file->skipped_bytes;
}

static enum weir_code find_extent(const struct wr_reader_slot *slot, struct extent *out_extent,
                                  struct weir_error *error) {
  const struct wr_file_split *split = &slot->file->split;
  size_t length = slot->end - slot->at;
  uint64_t begin = at_offset(slot);
  *out_extent = (struct extent){.length = length};
  if (!split->has_stop) return WEIR_OK;
  if (begin + length < split->stop)
    return slot->at_end ? wr_file_split_shrank(slot->file->path, begin + length, split->stop, error) : WEIR_OK;
  size_t last = split->stop - 1 > begin ? (size_t)(split->stop - 1 - begin) : 0;
  const uint8_t *text = slot->text + slot->at;
  const uint8_t *newline = length > last ? memchr(text + last, '\n', length - last) : NULL;
  if (newline != NULL) out_extent->length = (size_t)(newline + 1 - text);
  out_extent->is_final = newline == NULL && slot->at_end;
  return WEIR_OK;
}

/* `bytes` were taken, `lines` of them. */
static void advance(struct wr_files_reader *reader, struct wr_reader_slot *slot, size_t bytes, uint32_t lines) {
  slot->at += bytes;
  slot->file->split.position += bytes;
  slot->file->split.record += lines;
  atomic_fetch_add_explicit(&reader->op.context->metrics->bytes_in, bytes, memory_order_relaxed);
  atomic_fetch_add_explicit(&reader->op.context->metrics->source_records, lines, memory_order_relaxed);
}

/* ---- bad records ---- */

static struct wr_bad_record bad_at(const struct wr_reader_file *file) {
  return (struct wr_bad_record){.position = (int64_t)file->split.record,
                                .byte_position = (int64_t)file->split.position};
}

static enum weir_code handle_bad(struct wr_files_reader *reader, const struct wr_reader_file *file,
                                 const struct wr_bad_record *bad, struct weir_error *error) {
  if (reader->config->on_error == WR_FILES_SKIP)
    return wr_bad_record_put(&reader->built.dead_letters, reader->op.context, file->split.name, bad, error);
  char start[WR_EXCERPT_BYTES];
  wr_bad_record_excerpt(bad, start);
  return WR_FAIL(error, WEIR_BAD_RECORD, "%s: record %" PRId64 " (byte %" PRId64 "%s: %s", file->path, bad->position,
                 bad->byte_position, bad->sentence, start);
}

/* The record at slot->at is bad; `window` bytes of text begin there. */
static enum weir_code take_bad(struct wr_files_reader *reader, struct wr_reader_slot *slot, struct wr_json_lines *lines,
                               const struct wr_json_fault *fault, struct weir_error *error) {
  struct wr_bad_record bad = bad_at(slot->file);
  wr_excerpt(lines->text, fault->record_bytes, WR_EXCERPT_SOURCE_BYTES, bad.start);
  wr_bad_record_describe(&bad, fault);
  if (reader->config->on_error == WR_FILES_FAIL) {
    char sentence[sizeof bad.sentence];
    snprintf(sentence, sizeof sentence, ", at byte %" PRIu32 " of the record): %.200s", fault->position, bad.sentence);
    memcpy(bad.sentence, sentence, sizeof sentence);
  }
  WR_TRY(handle_bad(reader, slot->file, &bad, error));
  size_t before = lines->length;
  lines->line_count = 0;
  WR_ASSERT(wr_json_skip_line(lines));
  advance(reader, slot, before - lines->length, 1);
  return WEIR_OK;
}

/* ---- a record that is too long to be held ---- */

/* The line at slot->at is longer than a record may be and its end is not in the text: it is passed over as it comes. */
static enum weir_code begin_skipping(struct wr_files_reader *reader, struct wr_reader_slot *slot,
                                     struct weir_error *error) {
  struct wr_reader_file *file = slot->file;
  struct wr_memory *memory = reader->op.context->memory;
  struct wr_bad_record bad = bad_at(file);
  wr_excerpt((const char *)slot->text + slot->at, slot->end - slot->at, WR_EXCERPT_SOURCE_BYTES, bad.start);
  if (reader->config->on_error == WR_FILES_FAIL) {
    snprintf(bad.sentence, sizeof bad.sentence, "): too long: longer than %d bytes", WR_RECORD_BYTES_MAX);
    return handle_bad(reader, file, &bad, error);
  }
  wr_reader_roll(file->tail, &file->tail_count, slot->text + slot->from, slot->at - slot->from);
  slot->from = slot->at;
  file->skipped_tail = wr_copy_bytes(memory, file->tail, sizeof file->tail, WR_MEMORY_SOURCE);
  file->skipped_tail_count = file->tail_count;
  file->skipped_start = wr_copy_string(memory, bad.start, WR_MEMORY_SOURCE);
  if (file->skipped_tail == NULL || file->skipped_start == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "%s: out of memory for a bad record", file->path);
  file->skipped_bytes = slot->end - slot->at;
  slot->at = slot->end;
  return WEIR_OK;
}

/* The end of the skipped record is `bytes` behind slot->at. */
static enum weir_code end_skipping(struct wr_files_reader *reader, struct wr_reader_slot *slot, size_t bytes,
                                   struct weir_error *error) {
  struct wr_reader_file *file = slot->file;
  struct wr_memory *memory = reader->op.context->memory;
  struct wr_bad_record bad = bad_at(file);
  snprintf(bad.sentence, sizeof bad.sentence, "too long: longer than %d bytes", WR_RECORD_BYTES_MAX);
  snprintf(bad.start, sizeof bad.start, "%s", file->skipped_start);
  WR_TRY(handle_bad(reader, file, &bad, error));
  slot->at += bytes;
  wr_reader_roll(file->skipped_tail, &file->skipped_tail_count, slot->text + slot->from, slot->at - slot->from);
  slot->from = slot->at;
  memcpy(file->tail, file->skipped_tail, sizeof file->tail);
  file->tail_count = file->skipped_tail_count;
  file->split.position += file->skipped_bytes + bytes;
  file->split.record++;
  atomic_fetch_add_explicit(&reader->op.context->metrics->source_records, 1, memory_order_relaxed);
  file->skipped_bytes = 0;
  wr_free(memory, file->skipped_tail);
  wr_free(memory, file->skipped_start);
  file->skipped_tail = NULL;
  file->skipped_start = NULL;
  return WEIR_OK;
}

static enum weir_code skip_on(struct wr_files_reader *reader, struct wr_reader_slot *slot, const struct extent *extent,
                              bool *out_wants, struct weir_error *error) {
  const uint8_t *text = slot->text + slot->at;
  const uint8_t *newline = extent->length == 0 ? NULL : memchr(text, '\n', extent->length);
  if (newline != NULL) return end_skipping(reader, slot, (size_t)(newline + 1 - text), error);
  if (extent->is_final) {
    slot->file->split.open_line = true;
    return end_skipping(reader, slot, extent->length, error);
  }
  slot->at += extent->length;
  slot->file->skipped_bytes += extent->length;
  *out_wants = true;
  return WEIR_OK;
}

/* ---- rows ---- */

/* How much of the extent is decoded in one go: whole lines, a bounded piece where that is possible. */
static size_t window_of(const struct wr_reader_slot *slot, const struct extent *extent) {
  if (extent->length <= WINDOW_BYTES) return extent->length;
  const char *text = (const char *)slot->text + slot->at;
  const char *newline = memrchr(text, '\n', WINDOW_BYTES);
  return newline == NULL ? extent->length : (size_t)(newline + 1 - text);
}

static enum weir_code decode(struct wr_files_reader *reader, struct wr_reader_slot *slot, const struct extent *extent,
                             bool *out_wants, struct weir_error *error) {
  struct wr_file_split *split = &slot->file->split;
  size_t window = window_of(slot, extent);
  struct wr_json_lines lines = {.text = (const char *)slot->text + slot->at,
                                .length = window,
                                .ends = extent->is_final && window == extent->length,
                                .row_lines = reader->built.places};
  struct wr_json_fault fault;
  struct wr_view name = {0};
  uint32_t first = wr_batch_builder_rows(&reader->built.rows);
  WR_TRY(wr_record_fields_name(&reader->built.fields, &reader->built.rows, split->name, &name, error));
  enum weir_code code = wr_json_decode_lines(reader->built.decoder, &lines, &reader->built.rows, &fault, error);
  if (code != WEIR_OK && code != WEIR_BAD_RECORD) return code;
  uint32_t count = wr_batch_builder_rows(&reader->built.rows) - first;
  size_t taken = window - lines.length;
  if (count > 0) {
    wr_record_fields_fill(&reader->built.fields, &reader->built.rows, &name, (int64_t)split->record,
                          reader->built.places, first, count);
    wr_source_time_saw(&reader->built.time, &slot->file->time, reader->built.rows.batch, first, count,
                       reader->op.context->now_ns);
  }
  if (taken > 0 && lines.ends && lines.length == 0) split->open_line = lines.text[-1] != '\n';
  advance(reader, slot, taken, lines.line_count);
  if (code == WEIR_BAD_RECORD) return take_bad(reader, slot, &lines, &fault, error);
  *out_wants = taken == 0 && !wr_batch_builder_is_full(&reader->built.rows);
  if (*out_wants && !lines.ends && lines.length > WR_RECORD_BYTES_MAX) return begin_skipping(reader, slot, error);
  return WEIR_OK;
}

/* What comes after a record that ended without a newline, up to that newline, is no record if it is white
 * space. */
static void close_open_line(struct wr_files_reader *reader, struct wr_reader_slot *slot, const struct extent *extent,
                            bool *out_wants) {
  const uint8_t *text = slot->text + slot->at;
  size_t count = 0;
  while (count < extent->length && (text[count] == ' ' || text[count] == '\t' || text[count] == '\r'))
    count++;
  if (count < extent->length && text[count] == '\n') {
    slot->file->split.open_line = false;
    advance(reader, slot, count + 1, 0);
  } else if (count < extent->length) {
    slot->file->split.open_line = false;
  } else if (extent->is_final) {
    advance(reader, slot, count, 0);
  } else {
    *out_wants = true;
  }
}

enum weir_code wr_reader_build(struct wr_files_reader *reader, struct wr_reader_slot *slot, bool *out_wants,
                               struct weir_error *error) {
  struct wr_file_split *split = &slot->file->split;
  struct extent extent;
  *out_wants = false;
  WR_TRY(find_extent(slot, &extent, error));
  if (slot->file->skipped_bytes > 0)
    WR_TRY(skip_on(reader, slot, &extent, out_wants, error));
  else if (split->open_line && extent.length > 0)
    close_open_line(reader, slot, &extent, out_wants);
  else if (extent.length > 0)
    WR_TRY(decode(reader, slot, &extent, out_wants, error));
  else
    *out_wants = true;
  if (!split->has_stop || split->position < split->stop) return WEIR_OK;
  *out_wants = false;
  split->ended = true;
  wr_reader_release(reader, slot, WR_FILE_ENDED);
  return WEIR_OK;
}
