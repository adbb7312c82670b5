/* runtime/source.h: the two halves of a source: one enumerator per job, one reader (an operator) per subtask.
 *
 * A *split* is a part of the input with a position (a file, a Kafka partition). Its bytes are the connector's own,
 * except that they begin with two blocks of text, the connector's kind and a line for people ("name=p0.ndjson
 * position=12"). Known splits are the union of the readers' states, nothing else: on a restore the enumerator gets all
 * stored splits, judges them against the world, and hands every one of them out again (to be assigned, at any
 * parallelism), and only then what it found new. The enumerator stores nothing.
 *
 * Assignment is the job's: each split to the subtask with the fewest. No checkpoint is triggered before the enumerator
 * is ready, that is, has handed out all restored splits and those of its first look.
 */
#ifndef WR_RUNTIME_SOURCE_H
#define WR_RUNTIME_SOURCE_H

#include "runtime/operator.h"

struct wr_split {
  uint8_t *bytes; /* owned by whoever holds the split; memory of the enumerator's `memory` */
  size_t length;
};

struct wr_enumerator_context {
  struct wr_seams *seams;
  struct wr_memory *memory;
  struct wr_waker *waker; /* of the job's master; for calls */
  const char *uid;
  bool bounded;         /* fix stop positions of splits that have none; false: drop those that are there */
  bool stops_are_fixed; /* bounded, and was so when the restored checkpoint was taken: its splits are all there are */
};

struct wr_enumerator;
struct wr_enumerator_vtable {
  /* Advances. Errors: transient ones restart the attempt. *wake_at_ns may be lowered. */
  enum weir_code (*step)(struct wr_enumerator *enumerator, uint64_t now_ns, uint64_t *wake_at_ns,
                         struct weir_error *error);
  /* Takes the next split to assign (moved out); false: none now. */
  bool (*take_split)(struct wr_enumerator *enumerator, struct wr_split *out_split);
  bool (*is_ready)(const struct wr_enumerator *enumerator);
  /* Bounded (or by nature finite): after what was handed out, no split will come. */
  bool (*is_exhausted)(const struct wr_enumerator *enumerator);
  /* No call runs and nothing outside is open: it can be freed. Asked at a teardown only, again after each wake: an
   * enumerator that has something open begins to close it. */
  bool (*is_idle)(struct wr_enumerator *enumerator);
  void (*free)(struct wr_enumerator *enumerator);
};
struct wr_enumerator {
  const struct wr_enumerator_vtable *vtable;
};

#endif
