/* operators/sink_writer.h: the first half of every two-phase sink: it puts the rows of the open epoch into a file.
 *
 * One per subtask, the tail of its task. Rows go, encoded, into the open epoch's upload as they come. prepare(N) closes
 * the epoch and opens the next at once; poll answers for the closed ones in their order: the part (no part for an epoch
 * without rows), then barrier N. The next operator is the sink's one committer.
 *
 * It takes no rows while its upload is full or waits for room on the disk, and while the committer's backlog is over
 * its limit, unless a barrier may be on its way to it: completing a checkpoint is what makes the backlog smaller.
 *
 * Where the sink's files are rolled by time, an epoch is divided into intervals, from its beginning on: an empty batch
 * in the upload says that what follows came in another interval than what is before it.
 *
 * It stores nothing: at a barrier everything before it is in parts, and those are the committer's.
 */
#ifndef WR_OPERATORS_SINK_WRITER_H
#define WR_OPERATORS_SINK_WRITER_H

#include "runtime/operator.h"

/* `roll_interval_ns` 0: epochs are not divided. */
enum weir_code wr_sink_writer_new(struct wr_operator_context *context, uint64_t roll_interval_ns,
                                  struct wr_operator **out_operator, struct weir_error *error);

#endif
