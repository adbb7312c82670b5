/* operators/epoch_rows.h: reads back what a sink writer put into an epoch's part: batch after batch, in order.
 *
 * A part's payload is encoded batches (data/wire.h) one after the other; the blocks of the data file cut through them
 * anywhere. Every block is verified as it comes, the digest at the end, so that a damaged file is found before the
 * transaction that applies its rows is ended. Blocks; only inside a call. One thread.
 */
#ifndef WR_OPERATORS_EPOCH_ROWS_H
#define WR_OPERATORS_EPOCH_ROWS_H

#include "checkpoint/commit.h"
#include "data/batch.h"

struct wr_epoch_rows {
  struct wr_store *store;
  struct wr_memory *memory;
  const struct weir_schema *schema;
  const struct wr_epoch *epoch;
  uint32_t next_part;          /* the part after the one that is being read */
  struct wr_blob_reader *blob; /* of the present part; NULL between two */
  struct wr_bytes pending;     /* read, not yet taken as batches */
  size_t pending_taken;        /* of these, how many were */
  uint64_t part_rows;          /* taken from the present part */
};

/* All are borrowed until deinit. */
void wr_epoch_rows_init(struct wr_epoch_rows *rows, struct wr_store *store, struct wr_memory *memory,
                        const struct weir_schema *schema, const struct wr_epoch *epoch);
void wr_epoch_rows_deinit(struct wr_epoch_rows *rows);
/* The next batch, one reference; NULL at the end of the last part, when all of them were found whole. CORRUPT: a part
 * is damaged, or holds another number of rows than it says. */
enum weir_code wr_epoch_rows_next(struct wr_epoch_rows *rows, struct wr_batch **out_batch, struct weir_error *error);

#endif
