/* checkpoint/barriers.h: what a task does with the barriers of its input channels. Pure: no I/O, clock or threads.
 *
 * One machine serves both modes over all input channels of a task (Flink: SingleCheckpointBarrierHandler and
 * CheckpointBarrierTracker; rules in section "Barriers" of ARCHITECTURE.md):
 *
 *   exactly-once   a channel whose barrier N came is held until all have brought N; then the snapshot, then all go on.
 *                  A newer barrier aborts the pending N. A cancelled N releases the channels.
 *   at-least-once  no channel is held for alignment; N is snapshotted when the last channel brought it. Up to 50 ids
 *                  can be pending; a completed one drops all older ones silently, a 51st gives up the oldest.
 *
 * Two rules of weir's own, in both modes: a channel marked `always_aligned` (sink to committer) is held as in
 * exactly-once; and an end of input that comes on a channel after barrier N is held until snapshot N was taken or given
 * up (the channel is held), so that `end_input` has run before N in all subtasks or in none. Channels never close: an
 * end of input is an item like others, and barriers go on coming after it.
 *
 * A channel that brings N will bring no lower id any more: pending lower ids that it has not brought are given up, so
 * that nothing waits for what can not come. While a snapshot is being taken every channel is held.
 *
 * Every event answers with at most one decision, and the caller acts on it before the next event; an event that gives
 * up several checkpoints has more to say, in ascending order (wr_barriers_more). One thread.
 */
#ifndef WR_CHECKPOINT_BARRIERS_H
#define WR_CHECKPOINT_BARRIERS_H

#include "base/error.h"
#include "base/memory.h"

enum wr_mode { WR_EXACTLY_ONCE, WR_AT_LEAST_ONCE };

enum { WR_PENDING_BARRIERS_MAX = 50 };

enum wr_barrier_decision_kind {
  WR_BARRIER_NOTHING,   /* go on (the channel may be held now: see wr_barriers_is_held) */
  WR_BARRIER_SNAPSHOT,  /* take snapshot `id`, then call wr_barriers_snapshot_taken: channels are released by that */
  WR_BARRIER_CANCELLED, /* checkpoint `id` is given up: forward a cancel marker, decline it; channels are released */
};
struct wr_barrier_decision {
  enum wr_barrier_decision_kind kind;
  uint64_t id;
};

struct wr_barriers;

/* `always_aligned` has one byte per channel, or is NULL. Ids up to `last_id` count as over. */
enum weir_code wr_barriers_new(struct wr_memory *memory, enum wr_mode mode, uint32_t channel_count,
                               const uint8_t *always_aligned, uint64_t last_id, struct wr_barriers **out_barriers,
                               struct weir_error *error);
void wr_barriers_free(struct wr_memory *memory, struct wr_barriers *barriers);

/* Barrier `id` was read from `channel`, which is not held. A barrier newer than the pending one aborts that: then the
 * decision is CANCELLED for the old id, and `wr_barriers_more` is asked for what the new barrier itself decides. */
struct wr_barrier_decision wr_barriers_barrier(struct wr_barriers *barriers, uint32_t channel, uint64_t id);
/* What is left to decide after a CANCELLED; to be asked until it is NOTHING, before anything else is read. */
struct wr_barrier_decision wr_barriers_more(struct wr_barriers *barriers);
/* A cancel marker for `id` was read from `channel`, which is not held. All pending ids up to it are given up. */
struct wr_barrier_decision wr_barriers_cancel(struct wr_barriers *barriers, uint32_t channel, uint64_t id);
/* The coordinator said (not through a channel) that `id` is aborted. CANCELLED when it is pending here. When nothing of
 * it has come yet, the first barrier of it is answered with CANCELLED, so that a cancel marker goes downstream at its
 * place in the stream, and the others are swallowed. NOTHING when it is over here. */
struct wr_barrier_decision wr_barriers_aborted(struct wr_barriers *barriers, uint64_t id);
/* The snapshot the last decision asked for was taken. */
void wr_barriers_snapshot_taken(struct wr_barriers *barriers, uint64_t id);

/* The channel must not be read now; whatever is next in it waits. */
bool wr_barriers_is_held(const struct wr_barriers *barriers, uint32_t channel);
/* An end of input is next on `channel`: may it be taken now? If not it stays in the channel until this is true. */
bool wr_barriers_may_end(const struct wr_barriers *barriers, uint32_t channel);
/* A barrier is pending (some channels brought it, some have not): for the metric of alignment. */
bool wr_barriers_is_aligning(const struct wr_barriers *barriers);

#endif
