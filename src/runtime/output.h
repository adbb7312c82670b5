/* runtime/output.h: where an operator's output goes: to the next operator of its chain, or through exchanges to
 * channels.
 *
 * Each operator of a task has one output. Port 0 may be chained: batches then go straight into the queue of the next
 * operator. All other ports have edges: an edge partitions (hash by key group, round robin, one to one, gather) onto
 * its channels. In front of each channel stands an outbox queue that never refuses; the task takes no new input while
 * any outbox holds something, which is how back-pressure travels upstream.
 *
 * Rows of a HASH edge are gathered into one builder per channel; a built batch leaves when it is full, when something
 * ordered (watermark, barrier, end) follows, when its time is up, or when the task finds no more input (the last two by
 * wr_output_flush).
 *
 * One thread: the task's. (wr_output_emit and friends are declared in operator.h.)
 */
#ifndef WR_RUNTIME_OUTPUT_H
#define WR_RUNTIME_OUTPUT_H

#include "runtime/graph.h"
#include "runtime/item_queue.h"

/* One channel of an edge. */
struct wr_output_target {
  struct wr_channel *channel; /* borrowed from the attempt */
  struct wr_item_queue outbox;
  struct wr_batch_builder builder; /* HASH only */
  uint16_t *rows;                  /* HASH only: rows of the batch at hand that go here; WR_BATCH_ROWS_MAX of them */
  uint32_t row_count;
};

struct wr_output_edge {
  const struct wr_edge *edge;
  const struct weir_schema *schema;
  struct wr_output_target *targets;
  uint32_t target_count;
  uint32_t next_target;    /* REBALANCE */
  uint16_t *group_targets; /* HASH: key group -> target */
  uint32_t max_parallelism;
};

struct wr_output {
  struct wr_memory *memory;
  struct wr_item_queue *chained; /* queue of the next operator; NULL: port 0 has edges (or goes nowhere) */
  struct wr_output_edge *edges;
  uint32_t edge_count;
  struct wr_bytes key_scratch;
  uint64_t *hashes; /* WR_BATCH_ROWS_MAX; only with a HASH edge */
  struct wr_task_metrics *metrics;
  int64_t watermark_ms;
  bool idle;
  uint32_t emitted_in_call; /* batches since the task last set it to 0: WAIT after output is a bug */
};

enum weir_code wr_output_init(struct wr_output *output, struct wr_memory *memory, struct wr_task_metrics *metrics,
                              struct wr_item_queue *chained, uint32_t edge_count, struct weir_error *error);
/* Sets edge `index` up. `channels` has `count`, in order of the target's subtasks (FORWARD: one). */
enum weir_code wr_output_set_edge(struct wr_output *output, uint32_t index, const struct wr_edge *edge,
                                  const struct weir_schema *schema, struct wr_channel *const *channels, uint32_t count,
                                  uint32_t max_parallelism, struct weir_error *error);
void wr_output_deinit(struct wr_output *output);

/* Puts an item (no batch) behind all that was emitted, on every edge, not on the chained queue. */
enum weir_code wr_output_broadcast(struct wr_output *output, struct wr_item item, struct weir_error *error);
/* Sends half-built batches on. */
enum weir_code wr_output_flush(struct wr_output *output, struct weir_error *error);
/* Moves what fits from the outboxes to the channels. True when all outboxes are empty. *out_moved: something went. */
bool wr_output_drain(struct wr_output *output, bool *out_moved);
/* Something is half built. */
bool wr_output_has_partial(const struct wr_output *output);

#endif
