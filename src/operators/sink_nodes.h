/* operators/sink_nodes.h: the two nodes of a two-phase sink, and the edge between them.
 *
 * A connector gives its target's maker, its limits, and a stage of its own if it has one; the rest is the same for all.
 * The committer carries the sink's uid (what it stores is what there is to find again, and the marker in the target is
 * named after it); the writer's is the uid with ".writer" behind it.
 */
#ifndef WR_OPERATORS_SINK_NODES_H
#define WR_OPERATORS_SINK_NODES_H

#include "operators/stage.h"
#include "runtime/graph.h"
#include "runtime/sink.h"

enum { WR_EPOCHS_WAITING_MAX = 8, WR_EPOCH_BYTES_WAITING_MAX = 256 * 1024 * 1024 };

struct wr_sink_description {
  const char *uid;
  const struct weir_schema *schema; /* of the rows; borrowed until the nodes are in the graph */
  uint32_t parallelism;             /* of the writers; 0: the job's */
  struct wr_commit_limits limits;   /* all 0: the defaults above */
  wr_new_stage *new_stage;          /* NULL: the common one */
  void *stage_config;               /* handed to new_stage; outlives the job */
  struct wr_sink_config *config;    /* filled here; outlives the job */
  void *target_config;              /* handed to new_target; outlives the job */
  wr_new_target *new_target;
};

/* What the two nodes need while the job runs. Not to be touched outside. */
struct wr_sink_config {
  struct wr_commit_limits limits;
  wr_new_stage *new_stage;
  void *stage_config;
  void *target_config;
  wr_new_target *new_target;
};

/* INVALID when the uid is missing or too long. */
enum weir_code wr_sink_nodes(const struct wr_sink_description *sink, struct wr_node *out_writer,
                             struct wr_node *out_committer, struct weir_error *error);
/* Adds both nodes and the edge between them; *out_writer is the node to lead rows to. */
enum weir_code wr_sink_add(struct wr_graph *graph, const struct wr_sink_description *sink, uint32_t *out_writer,
                           struct weir_error *error);

#endif
