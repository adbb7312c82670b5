/* connectors/kafka/kafka_reader_commits.c: the offsets that are shown to the consumer group. See kafka_reader.h.
 *
 * The positions at a barrier are remembered by its checkpoint's id, and shown when that has completed. Nothing of weir
 * reads them: they are for those who watch a group's lag.
 */
#include "connectors/kafka/kafka_reader.h"

static void drop_first(struct wr_kafka_reader *reader, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    wr_free(reader->op.context->memory, reader->commits[i].places);
  reader->commit_count -= count;
  memmove(reader->commits, reader->commits + count, reader->commit_count * sizeof *reader->commits);
}

enum weir_code wr_kafka_reader_keep_offsets(struct wr_kafka_reader *reader, uint64_t checkpoint_id,
                                            struct weir_error *error) {
  if (reader->count == 0) return WEIR_OK;
  struct wr_kafka_place *places =
      wr_alloc(reader->op.context->memory, reader->count * sizeof *places, WR_MEMORY_SOURCE);
  if (places == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the offsets of %u partitions", reader->count);
  for (uint32_t i = 0; i < reader->count; i++)
    places[i] = (struct wr_kafka_place){.partition = reader->readings[i]->split.partition,
                                        .offset = reader->readings[i]->split.position};
  if (reader->commit_count == WR_KAFKA_COMMITS_MAX) drop_first(reader, 1);
  reader->commits[reader->commit_count++] =
      (struct wr_kafka_commit){.checkpoint_id = checkpoint_id, .places = places, .count = reader->count};
  return WEIR_OK;
}

void wr_kafka_reader_forget_offsets(struct wr_kafka_reader *reader, uint64_t checkpoint_id, bool older_too) {
  uint32_t at = 0;
  while (at < reader->commit_count && reader->commits[at].checkpoint_id < checkpoint_id)
    at++;
  bool found = at < reader->commit_count && reader->commits[at].checkpoint_id == checkpoint_id;
  if (older_too) {
    drop_first(reader, at + (found ? 1 : 0));
  } else if (found) {
    wr_free(reader->op.context->memory, reader->commits[at].places);
    reader->commit_count--;
    memmove(reader->commits + at, reader->commits + at + 1, (reader->commit_count - at) * sizeof *reader->commits);
  }
}

void wr_kafka_reader_commit(struct wr_kafka_reader *reader, uint64_t checkpoint_id) {
  for (uint32_t i = 0; i < reader->commit_count && reader->consumer != NULL; i++) {
    const struct wr_kafka_commit *commit = &reader->commits[i];
    if (commit->checkpoint_id != checkpoint_id) continue;
    wr_kafka_reader_count_commits(reader);
    /* Partitions are never given back, so those of the commit are the first of the present ones. */
    for (uint32_t k = 0; k < commit->count; k++)
      reader->readings[k]->sent_offset = commit->places[k].offset;
    reader->consumer->vtable->commit(reader->consumer, commit->places, commit->count);
  }
  wr_kafka_reader_forget_offsets(reader, checkpoint_id, true);
}

void wr_kafka_reader_count_commits(struct wr_kafka_reader *reader) {
  struct wr_task_metrics *metrics = reader->op.context->metrics;
  struct wr_kafka_committed committed = {.succeeded = 0};
  if (!reader->consumer->vtable->committed(reader->consumer, &committed)) return;
  atomic_fetch_add_explicit(&metrics->commits_succeeded, committed.succeeded, memory_order_relaxed);
  atomic_fetch_add_explicit(&metrics->commits_failed, committed.failed, memory_order_relaxed);
  /* A client may make one commit of several, so the newest that it was given counts. */
  for (uint32_t i = 0; i < reader->count && committed.succeeded > 0 && committed.failed == 0; i++)
    atomic_store_explicit(&reader->readings[i]->metrics.committed_offset, reader->readings[i]->sent_offset,
                          memory_order_relaxed);
  if (wr_kafka_notice_is_due(&reader->commit_notice, committed.failed == 0 ? 0 : 1, reader->op.context->now_ns) &&
      committed.failed != 0)
    wr_log_write(reader->op.context->seams->log, WR_LOG_WARN,
                 "source %s: offsets could not be shown to group %s: %.200s; the job does not need them",
                 reader->op.context->uid, reader->connection.group, committed.reason);
}
