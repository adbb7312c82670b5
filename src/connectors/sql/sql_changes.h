/* connectors/sql/sql_changes.h: rows that are gathered until there are enough for a few large statements. One thread.
 *
 * UPSERT: folded to the last change per key (upsert_fold), and put in the order of the key's first field, which is that
 * of the server's index, so that a page of it is touched once; deletions are written first, so that a value that must
 * be unique can move from one key to another. INSERT: all rows, in order. Holds references to the batches until
 * cleared.
 */
#ifndef WR_CONNECTORS_SQL_SQL_CHANGES_H
#define WR_CONNECTORS_SQL_SQL_CHANGES_H

#include "connectors/sql/sql_target.h"
#include "connectors/upsert_fold.h"

struct wr_sql_changes {
  const struct wr_sql_config *config;
  struct wr_memory *memory;
  struct wr_upsert_fold fold; /* UPSERT */
  struct wr_batch **batches;  /* INSERT: one reference each */
  uint32_t batch_count, batch_capacity;
  size_t batch_bytes;
  struct wr_sql_row *rows; /* INSERT: all; UPSERT: of the change that was asked for last */
  uint32_t row_count, row_capacity;
  struct wr_sql_place *places; /* UPSERT: of each row, while they are put in order */
  uint32_t place_capacity;
};

void wr_sql_changes_init(struct wr_sql_changes *changes, const struct wr_sql_config *config, struct wr_memory *memory);
void wr_sql_changes_deinit(struct wr_sql_changes *changes);
void wr_sql_changes_clear(struct wr_sql_changes *changes);
/* CONSTRAINT: a NULL in a key; a row that takes another back, where rows are only inserted. */
enum weir_code wr_sql_changes_add(struct wr_sql_changes *changes, struct wr_batch *batch, struct weir_error *error);
bool wr_sql_changes_is_full(const struct wr_sql_changes *changes);
/* The rows to write, or to delete; a view until the next call. */
enum weir_code wr_sql_changes_rows(struct wr_sql_changes *changes, enum wr_sql_change change,
                                   const struct wr_sql_row **out_rows, uint32_t *out_count, struct weir_error *error);

#endif
