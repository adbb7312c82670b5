/* connectors/dead_rows.h: the rows of one epoch that a sink's target did not take, as a file of their own.
 *
 *   FOLDER/dead-letter.<uid of the sink>.<checkpoint id>.ndjson, one line a row:
 *   {"sink":"pv","checkpoint":7,"op":"+I","error":"...","row":{"app_id":"x","pv":3}}
 *
 * Each try of a commit gathers anew, and publishes before the target's transaction is ended: what is published is
 * durable, whole, and what this try leaves out, and replaces what an earlier try left out. So the file of an epoch that
 * is committed names exactly the rows that it has not brought, whichever try it was; one of an epoch that is not
 * committed yet says nothing. A try that leaves nothing out removes the file of an earlier one, and whoever has claimed
 * the target those of epochs that are not committed: where a checkpoint was lost nobody tries its epoch again, while
 * the marker goes past it. Nobody deletes them else.
 *
 * All functions but init and deinit block; inside a call, one thread at a time.
 */
#ifndef WR_CONNECTORS_DEAD_ROWS_H
#define WR_CONNECTORS_DEAD_ROWS_H

#include "base/bytes.h"
#include "runtime/sink.h"

struct wr_json_encoder;

struct wr_dead_rows {
  const struct wr_target_context *context;
  struct wr_json_encoder *encoder;
  uint64_t checkpoint_id;
  uint64_t count;       /* rows of this try */
  char *path, *partial; /* of the epoch; the second has ".tmp" behind it: a claim removes what a kill left of it */
  struct wr_file *file; /* `partial`, where more was put than fits into memory; NULL: not open */
  uint64_t offset;      /* where `lines` goes */
  bool has_partial;     /* `partial` may be there */
  bool is_uncertain;    /* the folder was changed, and that was not made durable yet */
  struct wr_bytes lines;
};

/* `context` is borrowed. */
enum weir_code wr_dead_rows_init(struct wr_dead_rows *rows, const struct wr_target_context *context,
                                 struct weir_error *error);
/* Fine after a failed init and when all is zero. */
void wr_dead_rows_deinit(struct wr_dead_rows *rows);
/* Nobody who came before can commit any more: removes the files of this run's epochs after `checkpoint`, and all that
 * are not whole. Needs no init. */
enum weir_code wr_dead_rows_clean(const struct wr_target_context *context, uint64_t checkpoint,
                                  struct weir_error *error);
/* A try begins; each is ended. */
void wr_dead_rows_begin(struct wr_dead_rows *rows, uint64_t checkpoint_id);
/* One row, and why it was not taken. */
enum weir_code wr_dead_rows_put(struct wr_dead_rows *rows, const struct wr_batch *batch, uint32_t row, const char *why,
                                struct weir_error *error);
/* After it the target may be told to commit. On an error it may or may not have been published: end, and begin again.
 */
enum weir_code wr_dead_rows_publish(struct wr_dead_rows *rows, struct weir_error *error);
/* A try ends: forgets its rows, and what was written of a file that is not published. Fine when all is zero. */
void wr_dead_rows_end(struct wr_dead_rows *rows);

#endif
