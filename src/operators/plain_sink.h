/* operators/plain_sink.h: the unsafe sink: rows go into a target and are committed there by the clock, whatever the
 * checkpoints do. At-least-once: rows that were committed after the checkpoint of a restart come again.
 *
 * One per subtask. It gathers rows, and at each tick of its clock hands what it has to the target, in a call; a tick
 * comes earlier where so much is gathered that no more is taken (which is all that it holds: as much again is on its
 * way out). It commits nothing because a barrier comes: the barrier waits for the next tick, so that no row before a
 * checkpoint is lost. The end of the input is a tick. A transient failure is tried again with the same rows, of which
 * the target may have taken some.
 *
 * A connector gives a target; nothing here knows what is behind it.
 */
#ifndef WR_OPERATORS_PLAIN_SINK_H
#define WR_OPERATORS_PLAIN_SINK_H

#include "runtime/graph.h"
#include "runtime/sink.h"

/* All but free block and run inside a call, one at a time. Errors by class as of a two-phase target. */
struct wr_plain_target;
struct wr_plain_target_vtable {
  /* Checks that the target can be written to as far as reading tells. */
  enum weir_code (*connect)(struct wr_plain_target *target, struct weir_error *error);
  /* Writes the rows of all batches, in order, and commits them; opens a connection where there is none. */
  enum weir_code (*write)(struct wr_plain_target *target, struct wr_batch *const *batches, uint32_t count,
                          struct weir_error *error);
  void (*close)(struct wr_plain_target *target); /* the connection only; fine when there is none */
  void (*free)(struct wr_plain_target *target);
};
struct wr_plain_target {
  const struct wr_plain_target_vtable *vtable;
};

typedef enum weir_code wr_new_plain_target(void *config, const struct wr_target_context *context,
                                           struct wr_plain_target **out_target, struct weir_error *error);

/* Outlives the job, with all it points to. */
struct wr_plain_sink_config {
  const char *where; /* in the log: "table pv in postgresql://app@db:5432/out" */
  uint64_t interval_ns;
  uint32_t rows_max; /* gathered; 0: a default */
  void *target_config;
  /* `context` lives as long as the target. Its job_name is the sink's uid. */
  wr_new_plain_target *new_target;
};

/* INVALID when the uid is missing or too long, or the interval is 0. */
enum weir_code wr_plain_sink_node(const char *uid, const struct weir_schema *schema, uint32_t parallelism,
                                  const struct wr_plain_sink_config *config, struct wr_node *out_node,
                                  struct weir_error *error);
enum weir_code wr_plain_sink_new(const struct wr_plain_sink_config *config, struct wr_operator_context *context,
                                 struct wr_operator **out_operator, struct weir_error *error);

#endif
