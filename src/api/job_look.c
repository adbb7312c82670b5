/* api/job_look.c: a look at a running job from outside: status and metrics. Any thread. */
#include "api/job_int.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

void weir_job_read_status(struct weir_job *job, struct weir_job_status *out_status) {
  WR_ASSERT(out_status->size == sizeof *out_status);
  struct wr_job_status status;
  bool was_finished = false, is_over = wr_job_is_over(job->job);
  wr_job_read_status(job->job, &status);
  if (is_over) (void)wr_job_result(job->job, &was_finished, NULL);
  *out_status = (struct weir_job_status){.size = sizeof *out_status,
                                         .phase = wr_job_phase_text(status.phase),
                                         .is_over = is_over,
                                         .was_finished = was_finished,
                                         .start_number = status.start_number,
                                         .restored_checkpoint = status.restored_checkpoint,
                                         .latest_checkpoint = status.latest_checkpoint,
                                         .checkpoints_completed = status.checkpoints_completed,
                                         .checkpoints_failed = status.checkpoints_failed,
                                         .restarts = status.restarts,
                                         .source_records = status.source_records,
                                         .source_records_restored = status.source_records_restored,
                                         .records_skipped = status.records_skipped,
                                         .rows_rejected = status.rows_rejected,
                                         .waiting_epochs = status.waiting_epochs,
                                         .last_checkpoint_ns = status.last_checkpoint_ns,
                                         .recovery_ns = status.recovery_ns,
                                         .state_rows = status.state_rows,
                                         .state_bytes = status.state_bytes};
}

/* ---- metrics ---- */

struct metrics_text {
  struct wr_text text;
  uint32_t task_count;
};

static uint64_t load(const _Atomic uint64_t *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

static int64_t load_signed(const _Atomic int64_t *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

/* A number of which -1 says that it is not known. */
static void append_known(struct wr_text *text, const char *name, int64_t number) {
  if (number < 0)
    wr_text_append(text, ",\"%s\":null", name);
  else
    wr_text_append(text, ",\"%s\":%" PRId64, name, number);
}

/* What a source says of its splits, where it does. */
static void append_splits(struct wr_text *text, const struct wr_task_metrics *metrics) {
  const struct wr_split_metrics *first = atomic_load_explicit(&metrics->split_list, memory_order_acquire);
  if (first == NULL) return;
  int64_t pending = 0;
  for (const struct wr_split_metrics *split = first; split != NULL; split = split->next)
    pending += load_signed(&split->lag) > 0 ? load_signed(&split->lag) : 0;
  wr_text_append(text,
                 ",\"pendingRecords\":%" PRId64 ",\"commitsSucceeded\":%" PRIu64 ",\"commitsFailed\":%" PRIu64
                 ",\"partitions\":[",
                 pending, load(&metrics->commits_succeeded), load(&metrics->commits_failed));
  for (const struct wr_split_metrics *split = first; split != NULL; split = split->next) {
    wr_text_append(text, "%s{\"topic\":\"%s\",\"partition\":%d", split == first ? "" : ",", split->topic,
                   split->partition);
    append_known(text, "currentOffset", load_signed(&split->current_offset));
    append_known(text, "committedOffset", load_signed(&split->committed_offset));
    append_known(text, "recordsLag", load_signed(&split->lag));
    wr_text_append(text, "}");
  }
  wr_text_append(text, "]");
}

/* Names are made of uids, so they need no escapes. */
static void append_task(void *argument, const char *name, const struct wr_task_metrics *metrics) {
  struct metrics_text *out = argument;
  struct wr_text *text = &out->text;
  wr_text_append(text, "%s{\"name\":\"%s\"", out->task_count == 0 ? "" : ",", name);
  const struct {
    const char *name;
    const _Atomic uint64_t *counter;
    uint64_t divisor;
  } counters[] = {
      {"numRecordsIn", &metrics->records_in, 1},
      {"numRecordsOut", &metrics->records_out, 1},
      {"numBuffersIn", &metrics->batches_in, 1},
      {"numBytesIn", &metrics->bytes_in, 1},
      {"accumulateBusyTimeMs", &metrics->busy_ns, 1000000},
      {"accumulateIdleTimeMs", &metrics->idle_ns, 1000000},
      {"accumulateBackPressuredTimeMs", &metrics->back_pressured_ns, 1000000},
      {"alignmentTimeMs", &metrics->alignment_ns, 1000000},
      {"snapshotSyncTimeMs", &metrics->snapshot_sync_ns, 1000000},
      {"snapshotAsyncTimeMs", &metrics->snapshot_async_ns, 1000000},
      {"snapshotStallMaxUs", &metrics->snapshot_stall_max_ns, 1000},
      {"sourceRecords", &metrics->source_records, 1},
      {"recordsSkipped", &metrics->records_skipped, 1},
      {"stateRows", &metrics->state_rows, 1},
      {"stateBytes", &metrics->state_bytes, 1},
  };
  for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
    wr_text_append(text, ",\"%s\":%" PRIu64, counters[i].name, load(counters[i].counter) / counters[i].divisor);
  int64_t watermark_ms = atomic_load_explicit(&metrics->watermark_ms, memory_order_relaxed);
  if (watermark_ms == INT64_MIN)
    wr_text_append(text, ",\"currentInputWatermark\":null");
  else
    wr_text_append(text, ",\"currentInputWatermark\":%" PRId64, watermark_ms);
  append_splits(text, metrics);
  wr_text_append(text, "}");
  out->task_count++;
}

size_t weir_job_metrics(struct weir_job *job, char *buffer, size_t size) {
  struct metrics_text out = {.text = {.buffer = buffer, .size = size}};
  struct weir_job_status status = {.size = sizeof status};
  weir_job_read_status(job, &status);
  wr_text_append(&out.text,
                 "{\"job\":\"%s\",\"phase\":\"%s\",\"startNumber\":%" PRIu64 ",\"restoredCheckpoint\":%" PRIu64
                 ",\"lastCheckpoint\":%" PRIu64 ",\"numberOfCompletedCheckpoints\":%" PRIu64
                 ",\"numberOfFailedCheckpoints\":%" PRIu64 ",\"numRestarts\":%" PRIu64,
                 job->name, status.phase, status.start_number, status.restored_checkpoint, status.latest_checkpoint,
                 status.checkpoints_completed, status.checkpoints_failed, status.restarts);
  wr_text_append(&out.text,
                 ",\"sourceRecords\":%" PRIu64 ",\"sourceRecordsRestored\":%" PRIu64 ",\"recordsSkipped\":%" PRIu64
                 ",\"rowsRejected\":%" PRIu64 ",\"waitingEpochs\":%" PRIu64 ",\"lastCheckpointDurationMs\":%" PRIu64
                 ",\"recoveryTimeMs\":%" PRIu64 ",\"stateRows\":%" PRIu64 ",\"stateBytes\":%" PRIu64 ",\"tasks\":[",
                 status.source_records, status.source_records_restored, status.records_skipped, status.rows_rejected,
                 status.waiting_epochs, status.last_checkpoint_ns / 1000000, status.recovery_ns / 1000000,
                 status.state_rows, status.state_bytes);
  wr_job_each_task(job->job, append_task, &out);
  wr_text_append(&out.text, "]}");
  return out.text.length;
}
