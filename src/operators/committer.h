/* operators/committer.h: the second half of every two-phase sink: collects the parts of all writers and commits epochs.
 *
 * Of parallelism 1. It wraps the machine of checkpoint/commit.h: parts in, barrier N makes them epoch N, completion of
 * N makes epochs up to N committable; poll commits them one at a time, in ascending order, through context->target, in
 * a call. A transient failure is tried again with growing delay (100 ms to 10 s), over a new connection where the old
 * one may be broken; anything else ends the attempt with its code. In between it runs the target's
 * errands (runtime/sink.h: settled, refresh). What it stores is the machine's snapshot.
 */
#ifndef WR_OPERATORS_COMMITTER_H
#define WR_OPERATORS_COMMITTER_H

#include "runtime/operator.h"

enum weir_code wr_committer_new(struct wr_operator_context *context, const struct wr_commit_limits *limits,
                                struct wr_operator **out_operator, struct weir_error *error);

#endif
