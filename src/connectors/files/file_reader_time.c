/* connectors/files/file_reader_time.c: watermarks and idleness. See file_reader.h.
 *
 * Each file has its own youngest event time; the subtask's watermark is the lowest of the files that are not idle and
 * not at their end, less the out-of-orderness, less 1. A file that has given no record yet holds it back. Sent only
 * when all rows that it speaks of were emitted.
 */
#include "connectors/files/file_reader.h"

static int64_t youngest(const struct wr_batch *batch, uint32_t field, uint32_t first, uint32_t count, int64_t so_far) {
  const struct wr_column *column = &batch->columns[field];
  bool is_timestamp = batch->schema->fields[field].type == WEIR_TYPE_TIMESTAMP;
  for (uint32_t row = first; row < first + count; row++) {
    if (wr_column_is_null(column, row)) continue;
    int64_t time = is_timestamp ? ((const struct weir_timestamp *)column->values)[row].milliseconds
                                : wr_column_bigints(column)[row];
    if (time > so_far) so_far = time;
  }
  return so_far;
}

void wr_reader_saw_rows(struct wr_files_reader *reader, struct wr_reader_file *file, uint32_t first, uint32_t count) {
  if (!reader->has_event_time) return;
  file->event_time_ms =
      youngest(reader->rows.batch, (uint32_t)reader->config->event_time_field, first, count, file->event_time_ms);
  file->last_record_ns = reader->op.context->now_ns;
}

static int64_t watermark_of(const struct wr_files_reader *reader, const struct wr_reader_file *file) {
  int64_t behind = reader->config->out_of_orderness_ms + 1;
  return file->event_time_ms < INT64_MIN + behind ? INT64_MIN : file->event_time_ms - behind;
}

/* The lowest watermark of the files that count; false: none does. *wake_at_ns: when the next becomes idle. */
static bool lowest(const struct wr_files_reader *reader, uint64_t *wake_at_ns, int64_t *out_lowest) {
  uint64_t timeout_ns = reader->config->idle_timeout_ms * 1000000, now_ns = reader->op.context->now_ns;
  bool any = false;
  *out_lowest = INT64_MAX;
  for (uint32_t i = 0; i < reader->file_count; i++) {
    const struct wr_reader_file *file = reader->files[i];
    if (file->state == WR_FILE_ENDED) continue;
    if (timeout_ns != 0) {
      uint64_t idle_at_ns = file->last_record_ns + timeout_ns;
      if (now_ns >= idle_at_ns) continue;
      if (*wake_at_ns > idle_at_ns) *wake_at_ns = idle_at_ns;
    }
    int64_t watermark = watermark_of(reader, file);
    if (watermark < *out_lowest) *out_lowest = watermark;
    any = true;
  }
  return any;
}

enum weir_code wr_reader_tell_time(struct wr_files_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                                   struct weir_error *error) {
  if (!reader->has_event_time) return WEIR_OK;
  struct wr_output *output = reader->op.context->output;
  int64_t watermark;
  bool active = lowest(reader, wake_at_ns, &watermark);
  if (active == reader->is_idle) {
    WR_TRY(wr_output_idle(output, !active, error));
    reader->is_idle = !active;
    *out_made = true;
  }
  if (!active || watermark <= reader->watermark_ms) return WEIR_OK;
  reader->watermark_ms = watermark;
  *out_made = true;
  return wr_output_watermark(output, watermark, error);
}
