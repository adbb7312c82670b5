/* connectors/split_time.h: watermarks and idleness of a source's splits. One thread, the task's.
 *
 * Each split has its own youngest event time; the subtask's watermark is the lowest of the splits that are not idle and
 * not at their end, less the out-of-orderness, less 1. A split that has given no record yet holds it back. The reader
 * tells of new rows (saw), and now and then, when all rows that it told of were emitted, goes over its splits:
 *
 *   wr_source_time_begin; for each split that has not ended wr_source_time_count; wr_source_time_tell
 */
#ifndef WR_CONNECTORS_SPLIT_TIME_H
#define WR_CONNECTORS_SPLIT_TIME_H

#include "runtime/operator.h"

struct wr_source_time {
  int32_t field; /* of the event time; below 0: there are no watermarks, and none of the functions does anything */
  int64_t out_of_orderness_ms;
  uint64_t idle_timeout_ms; /* 0: a split is never idle */
  bool is_idle;             /* told the output so */
  int64_t watermark_ms;     /* told the output */
  bool any;                 /* of this round: a split counts */
  int64_t lowest_ms;        /* of this round */
};

struct wr_split_time {
  int64_t youngest_ms; /* INT64_MIN: none */
  uint64_t last_record_ns;
};

static inline void wr_source_time_init(struct wr_source_time *time, int32_t field, int64_t out_of_orderness_ms,
                                       uint64_t idle_timeout_ms) {
  *time = (struct wr_source_time){.field = field,
                                  .out_of_orderness_ms = out_of_orderness_ms,
                                  .idle_timeout_ms = idle_timeout_ms,
                                  .watermark_ms = INT64_MIN};
}
static inline struct wr_split_time wr_split_time_of(uint64_t now_ns) {
  return (struct wr_split_time){.youngest_ms = INT64_MIN, .last_record_ns = now_ns};
}

/* Rows [first, first + count) of the batch are new and of this split. */
void wr_source_time_saw(const struct wr_source_time *time, struct wr_split_time *split, const struct wr_batch *batch,
                        uint32_t first, uint32_t count, uint64_t now_ns);
void wr_source_time_begin(struct wr_source_time *time);
/* *wake_at_ns is lowered to when the split becomes idle. */
void wr_source_time_count(struct wr_source_time *time, const struct wr_split_time *split, uint64_t now_ns,
                          uint64_t *wake_at_ns);
/* Sends the watermark, or idleness. *out_made: something was sent. */
enum weir_code wr_source_time_tell(struct wr_source_time *time, struct wr_output *output, bool *out_made,
                                   struct weir_error *error);

#endif
