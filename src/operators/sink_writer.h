/* operators/sink_writer.h: the first half of every two-phase sink: it stages the rows of the open epoch.
 *
 * One per subtask, the tail of its task. Rows go into the open epoch's stage (stage.h) as they come. prepare(N) closes
 * the epoch and opens the next at once; poll answers for the closed ones in their order: the part (no part for an epoch
 * without rows), then barrier N. The next operator is the sink's one committer.
 *
 * It takes no rows while its stage is full or waits for room on the disk, and while the committer's backlog is over
 * its limit, unless a barrier may be on its way to it: completing a checkpoint is what makes the backlog smaller.
 *
 * It stores nothing: at a barrier everything before it is in parts, and those are the committer's.
 */
#ifndef WR_OPERATORS_SINK_WRITER_H
#define WR_OPERATORS_SINK_WRITER_H

#include "operators/stage.h"

enum weir_code wr_sink_writer_new(struct wr_operator_context *context, wr_new_stage *new_stage, void *stage_config,
                                  struct wr_operator **out_operator, struct weir_error *error);

#endif
