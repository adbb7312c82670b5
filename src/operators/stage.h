/* operators/stage.h: where the rows of one epoch of one subtask lie from the moment the sink writer takes them until
 * its committer commits them.
 *
 * Two kinds. The common one (wr_rows_stage_new) puts encoded batches into a data file of the job's folder, from which
 * the target reads them when it commits (operators/epoch_rows). A connector whose rows can lie where they will stay
 * brings its own: it stages the final bytes, and the handle holds what its target needs to find them.
 *
 * A stage is one task's and never blocks; the states of a step are those of an upload (store/store.h). Rows that were
 * taken are neither lost nor doubled: whoever cannot write waits, or fails. DONE: all of it is durable, with its names,
 * but for data files of the job's folder, whose names the publishing of the checkpoint makes durable.
 */
#ifndef WR_OPERATORS_STAGE_H
#define WR_OPERATORS_STAGE_H

#include "runtime/operator.h"

struct wr_stage;
struct wr_stage_vtable {
  /* Takes the batch's rows; only while a step says OPEN. The batch is borrowed. */
  enum weir_code (*append)(struct wr_stage *stage, const struct wr_batch *batch, uint64_t now_ns,
                           struct weir_error *error);
  /* Advances it. Call at every step of the owner; *wake_at_ns is lowered to the time of the next try, if any. */
  enum wr_upload_state (*step)(struct wr_stage *stage, uint64_t now_ns, uint64_t *wake_at_ns);
  /* No more rows. */
  void (*finish)(struct wr_stage *stage);
  /* DONE: moves the part's handle out. */
  void (*take_handle)(struct wr_stage *stage, struct wr_handle *out_handle);
  /* FAILED: why. */
  const struct weir_error *(*error)(const struct wr_stage *stage);
  /* No call of it runs: it can be freed. */
  bool (*is_idle)(const struct wr_stage *stage);
  /* What was staged and not taken is left for a later clean-up. */
  void (*free)(struct wr_stage *stage);
};
struct wr_stage {
  const struct wr_stage_vtable *vtable;
  const char *where; /* whose disk it fills, for messages: a folder */
};

/* Makes the stage of a subtask's next epoch, when its first rows are there. `config` is the connector's; no two stages
 * of one subtask and start have the same ordinal. `context` outlives the stage. */
typedef enum weir_code wr_new_stage(void *config, const struct wr_operator_context *context, uint64_t ordinal,
                                    struct wr_stage **out_stage, struct weir_error *error);
/* The common kind; needs no config. */
wr_new_stage wr_rows_stage_new;

#endif
