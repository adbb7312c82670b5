/* connectors/split_time.c: see split_time.h. */
#include "connectors/split_time.h"

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

void wr_source_time_saw(const struct wr_source_time *time, struct wr_split_time *split, const struct wr_batch *batch,
                        uint32_t first, uint32_t count, uint64_t now_ns) {
  if (time->field < 0) return;
  split->youngest_ms = youngest(batch, (uint32_t)time->field, first, count, split->youngest_ms);
  split->last_record_ns = now_ns;
}

static int64_t watermark_of(const struct wr_source_time *time, const struct wr_split_time *split) {
  int64_t behind = time->out_of_orderness_ms + 1;
  return split->youngest_ms < INT64_MIN + behind ? INT64_MIN : split->youngest_ms - behind;
}

void wr_source_time_begin(struct wr_source_time *time) {
  time->any = false;
  time->lowest_ms = INT64_MAX;
}

void wr_source_time_count(struct wr_source_time *time, const struct wr_split_time *split, uint64_t now_ns,
                          uint64_t *wake_at_ns) {
  if (time->field < 0) return;
  if (time->idle_timeout_ms != 0) {
    uint64_t idle_at_ns = split->last_record_ns + time->idle_timeout_ms * 1000000;
    if (now_ns >= idle_at_ns) return;
    if (*wake_at_ns > idle_at_ns) *wake_at_ns = idle_at_ns;
  }
  int64_t watermark = watermark_of(time, split);
  if (watermark < time->lowest_ms) time->lowest_ms = watermark;
  time->any = true;
}

enum weir_code wr_source_time_tell(struct wr_source_time *time, struct wr_output *output, bool *out_made,
                                   struct weir_error *error) {
  if (time->field < 0) return WEIR_OK;
  if (time->any == time->is_idle) {
    WR_TRY(wr_output_idle(output, !time->any, error));
    time->is_idle = !time->any;
    *out_made = true;
  }
  if (!time->any || time->lowest_ms <= time->watermark_ms) return WEIR_OK;
  time->watermark_ms = time->lowest_ms;
  *out_made = true;
  return wr_output_watermark(output, time->lowest_ms, error);
}
