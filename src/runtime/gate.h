/* runtime/gate.h: all input channels of a task: which to read next, barriers, watermarks, ends of input.
 *
 * The gate reads one item at a time, round robin over the channels that may be read, and turns what it reads into
 * events: a batch of an input; the watermark of all inputs rose; all became idle; an input has ended; a snapshot is
 * due; a checkpoint was given up. Barriers go through checkpoint/barriers.h, which decides which channels are held.
 *
 * Watermark of the task = minimum over its channels that are neither idle nor at the end of time. When there is no such
 * channel it stays as it is while one is idle (what comes when that goes on must not be late), else time has ended. It
 * never falls. The task is idle when all channels that have not ended are. One thread: the task's.
 */
#ifndef WR_RUNTIME_GATE_H
#define WR_RUNTIME_GATE_H

#include "checkpoint/barriers.h"
#include "runtime/channel.h"

enum wr_gate_event_kind {
  WR_GATE_EMPTY,     /* nothing can be read now */
  WR_GATE_BATCH,     /* `batch` (one reference, the caller's) of `input` */
  WR_GATE_WATERMARK, /* `watermark_ms` */
  WR_GATE_IDLE,      /* `idle` */
  WR_GATE_END,       /* `input` has ended on all its channels; for the last one the watermark event came before */
  WR_GATE_SNAPSHOT,  /* take snapshot `id`; then wr_gate_snapshot_taken */
  WR_GATE_CANCELLED, /* checkpoint `id` is given up: decline, forward a cancel marker */
  WR_GATE_NOTHING    /* an item was consumed that needs nothing from the task: read on */
};
struct wr_gate_event {
  enum wr_gate_event_kind kind;
  uint32_t input;
  union {
    struct wr_batch *batch;
    int64_t watermark_ms;
    bool idle;
    uint64_t id;
  };
};

struct wr_gate_channel {
  struct wr_channel *channel; /* borrowed from the attempt */
  uint32_t input;
  int64_t watermark_ms;
  bool idle;
  bool ended;
};

struct wr_gate {
  struct wr_memory *memory;
  struct wr_gate_channel *channels;
  uint32_t channel_count;
  uint32_t next;             /* where the round robin goes on */
  uint32_t open_channels[8]; /* per input: channels that have not ended (WR_NODE_INPUTS_MAX) */
  uint32_t open_count;       /* over all */
  int64_t watermark_ms;
  bool idle;
  struct wr_barriers *barriers;
  bool more_to_decide; /* after a CANCELLED: ask wr_barriers_more */
  bool more_to_tell;   /* watermark or idleness may have changed: told before anything else is read */
};

/* `inputs[i]` is the input of channel i; `always_aligned` as in wr_barriers_new. Ids up to `last_id` count as over. */
enum weir_code wr_gate_init(struct wr_gate *gate, struct wr_memory *memory, enum wr_mode mode, uint32_t channel_count,
                            struct wr_channel *const *channels, const uint32_t *inputs, const uint8_t *always_aligned,
                            uint64_t last_id, struct weir_error *error);
void wr_gate_deinit(struct wr_gate *gate);
/* Reads at most one item. */
struct wr_gate_event wr_gate_next(struct wr_gate *gate);
void wr_gate_snapshot_taken(struct wr_gate *gate, uint64_t id);
/* The coordinator gave `id` up. The event is CANCELLED or NOTHING. */
struct wr_gate_event wr_gate_aborted(struct wr_gate *gate, uint64_t id);
bool wr_gate_is_aligning(const struct wr_gate *gate);

#endif
