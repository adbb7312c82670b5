/* checkpoint/test_sample.h: a checkpoint's metadata for tests: a source with splits, a keyed operator with a base and
 * deltas, a sink with a committer and a waiting epoch. */
#ifndef WR_CHECKPOINT_TEST_SAMPLE_H
#define WR_CHECKPOINT_TEST_SAMPLE_H

#include "checkpoint/metadata.h"

#include <stdio.h>

static inline void *sample_array(struct wr_memory *memory, uint32_t count, size_t bytes) {
  void *array = wr_alloc_zeroed(memory, count, bytes, WR_MEMORY_SNAPSHOT);
  WR_ASSERT(array != NULL);
  return array;
}

static inline struct wr_handle sample_inline(struct wr_memory *memory, const void *bytes, size_t length) {
  struct wr_handle handle;
  WR_ASSERT(wr_handle_of_bytes(memory, bytes, length, &handle, NULL) == WEIR_OK);
  return handle;
}

/* A split as connectors store it: kind, text, then bytes of their own. */
static inline struct wr_handle sample_split(struct wr_memory *memory, const char *kind, const char *text) {
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, memory, WR_MEMORY_SNAPSHOT);
  wr_bytes_put_string(&bytes, kind);
  wr_bytes_put_string(&bytes, text);
  wr_bytes_put(&bytes, "\0\1\2\3", 4);
  struct wr_handle handle = sample_inline(memory, bytes.data, bytes.length);
  wr_bytes_deinit(&bytes);
  return handle;
}

/* A handle of a data file that need not be there. */
static inline struct wr_handle sample_file(uint64_t start_number, uint64_t serial, uint64_t length) {
  struct wr_handle handle = {.offset = 72, .length = length, .digest = {.low = serial * 77, .high = length}};
  wr_data_file_name(start_number, serial, handle.file);
  return handle;
}

static inline void sample_operator(struct wr_memory *memory, struct wr_operator_state *operator, const char * uid,
                                   uint32_t parallelism) {
  snprintf(operator->uid, sizeof operator->uid, "%s", uid);
  operator->parallelism = parallelism;
  operator->subtask_count = parallelism;
  operator->subtasks = sample_array(memory, parallelism, sizeof *operator->subtasks);
  for (uint32_t s = 0; s < parallelism; s++)
    operator->subtasks[s] =(struct wr_subtask_state){.subtask = s, .range = wr_key_group_range_of(s, parallelism, 128)};
}

/* `epoch` and `keyed` are moved in; lengths 0: none. */
static inline void sample_metadata(struct wr_memory *memory, uint64_t id, struct wr_handle keyed,
                                   struct wr_handle epoch, struct wr_metadata *out_metadata) {
  *out_metadata = (struct wr_metadata){.start_number = 7,
                                       .checkpoint_id = id,
                                       .time_ms = 1700000000000 + (int64_t)id,
                                       .max_parallelism = 128,
                                       .bounded = true,
                                       .job_name = "pv",
                                       .operator_count = 3};
  for (uint8_t i = 0; i < WR_INCARNATION_BYTES; i++)
    out_metadata->incarnation[i] = (uint8_t)(16 + i);
  struct wr_operator_state *operators = out_metadata->operators = sample_array(memory, 3, sizeof *operators);
  sample_operator(memory, &operators[0], "count", 2);
  sample_operator(memory, &operators[1], "sink-committer", 1);
  sample_operator(memory, &operators[2], "source", 2);
  if (keyed.length != 0) {
    struct wr_subtask_state *state = &operators[0].subtasks[1];
    state->keyed = sample_array(memory, 1, sizeof *state->keyed);
    state->keyed[0] = keyed;
    state->keyed_count = 1;
  }
  operators[0].subtasks[0].raw = sample_inline(memory, "raw bytes", 9);
  struct wr_commit_snapshot *commit = &operators[1].subtasks[0].commit;
  operators[1].subtasks[0].has_commit = true;
  commit->last_committed = id - 1;
  if (epoch.length != 0) {
    commit->epochs = sample_array(memory, 1, sizeof *commit->epochs);
    commit->epoch_count = 1;
    commit->epochs[0] = (struct wr_epoch){.checkpoint_id = id, .part_count = 1};
    commit->epochs[0].parts = sample_array(memory, 1, sizeof *commit->epochs[0].parts);
    commit->epochs[0].parts[0] = (struct wr_part){.prepared_for = id, .subtask = 1, .row_count = 5, .handle = epoch};
  }
  operators[2].ended_inputs = 1;
  for (uint32_t s = 0; s < 2; s++) {
    struct wr_subtask_state *state = &operators[2].subtasks[s];
    state->splits = sample_array(memory, 1, sizeof *state->splits);
    state->splits[0] = sample_split(
        memory, "files", s == 0 ? "name=p0.ndjson position=1234 record=10" : "name=p1.ndjson position=99 record=1");
    state->split_count = 1;
  }
}

#endif
