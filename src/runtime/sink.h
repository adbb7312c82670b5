/* runtime/sink.h: a two-phase sink as its connector sees it: a *target* that can be asked, claimed and committed to.
 *
 * The runtime's own operators do the rest for every such sink: the sink writer (operators/sink_writer) stages rows of
 * the open epoch, prepares it at the barrier and sends the part to the one committer (operators/committer), which
 * commits epochs in ascending order after their checkpoint completed.
 *
 * All functions of a target block and run inside a call, never two at once for one target. They are called in this
 * order: connect, read_marker, check_carried (compare: nothing may be changed yet), claim, then commit any number of
 * times, with settled once in between, close.
 *
 * Errors by class: transient (connection, busy, IO) are tried again with growing delay; CONSTRAINT, DENIED, NOT_FOUND
 * and the like are permanent and end the job; FENCED: a higher start number holds the marker.
 */
#ifndef WR_RUNTIME_SINK_H
#define WR_RUNTIME_SINK_H

#include "runtime/operator.h"

struct wr_target_context {
  struct wr_seams *seams;
  struct wr_memory *memory;
  struct wr_store *store; /* to read epochs' files, incarnation and start number */
  const char *job_name;   /* at the incarnation's birth: with the uid the marker's key */
  const char *uid;
  const struct weir_schema *schema; /* of the rows */
  _Atomic uint64_t *rejected_rows;  /* counts the rows that committed epochs left out; NULL: nobody asks */
};

struct wr_target;
struct wr_target_vtable {
  /* Opens the connection and checks that the target can be written to as far as reading tells. Must change nothing that
   * another could see, except making an empty database file. Called again after a transient failure. */
  enum weir_code (*connect)(struct wr_target *target, struct weir_error *error);
  enum weir_code (*read_marker)(struct wr_target *target, struct wr_marker *out_marker, struct weir_error *error);
  /* Only a target beside which parts are staged (operators/stage.h) has it. `seen` is what read_marker gave, and fits
   * the checkpoint, which carries these epochs above it: can they be committed? REFUSED: not all that `incarnation` has
   * staged is there any more; BUSY: the marker has moved since. Changes nothing. */
  enum weir_code (*check_carried)(struct wr_target *target, const struct wr_marker *seen, const uint8_t *incarnation,
                                  const struct wr_epoch *epochs, uint32_t epoch_count, struct weir_error *error);
  /* Makes tables where missing, then sets the marker to {store->incarnation, store->start_number, checkpoint}, in a
   * transaction of its own, by comparing with `seen` (what read_marker gave; not present: INSERT). `checkpoint` is
   * seen's where the incarnation stays, else 0. FENCED when the row is not as seen or holds a higher start number. */
  enum weir_code (*claim)(struct wr_target *target, const struct wr_marker *seen, uint64_t checkpoint,
                          struct weir_error *error);
  /* All parts of one epoch in one transaction that begins with the marker's UPDATE ... WHERE incarnation = mine AND
   * start = mine AND checkpoint < N. *out_already: the marker says it was committed before (then nothing was changed).
   */
  enum weir_code (*commit)(struct wr_target *target, const struct wr_epoch *epoch, bool *out_already,
                           struct weir_error *error);
  /* Only such a target has it: all epochs that this start was given by its checkpoint are committed. What earlier
   * starts have staged is in nobody's handle any more. Called again after a transient failure. */
  enum weir_code (*settled)(struct wr_target *target, struct weir_error *error);
  /* Only a target that may forget its marker by itself after a while (a group's offsets expire) has it: writes the
   * marker anew, as it is. Called once a day while the job runs. For such a target a missing marker is no refusal where
   * the folder records that nothing is in doubt. */
  enum weir_code (*refresh)(struct wr_target *target, struct weir_error *error);
  void (*close)(struct wr_target *target); /* the connection only; connect may follow */
  void (*free)(struct wr_target *target);
};
struct wr_target {
  const struct wr_target_vtable *vtable;
};
/* Makes a sink's target by the sink's own config. `context` lives as long as the target. */
typedef enum weir_code wr_new_target(void *config, const struct wr_target_context *context,
                                     struct wr_target **out_target, struct weir_error *error);

/* The schema of what goes from a sink writer to its committer: one BYTES field, one encoded part (wr_part_put) a row.
 */
extern const struct weir_schema wr_part_schema;

#endif
