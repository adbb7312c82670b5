/* connectors/sqlite/sqlite_table.h: the user's table: made or checked, and the statements that write rows to it.
 *
 * Inside a call, within a transaction of the caller. One thread at a time.
 */
#ifndef WR_CONNECTORS_SQLITE_SQLITE_TABLE_H
#define WR_CONNECTORS_SQLITE_SQLITE_TABLE_H

#include "connectors/sqlite/sqlite_database.h"
#include "connectors/sqlite/sqlite_target.h"
#include "data/batch.h"

enum { WR_SQLITE_ROWS_MAX = 32 }; /* of one statement: what a statement costs by itself is as much as two rows */

struct wr_sqlite_row {
  const struct wr_batch *batch;
  uint32_t row;
};

struct wr_sqlite_table {
  struct wr_sqlite_database *database;
  const struct wr_sqlite_config *config;
  const struct weir_schema *schema;
  struct wr_memory *memory;
  sqlite3_stmt *write; /* INSERT, or the upsert; parameter i + 1 is field i. NULL: not prepared on this connection */
  uint32_t many;       /* rows of `write_many`, as many as its parameters allow; 1: there is none */
  sqlite3_stmt *write_many; /* `write` with so many rows, one behind the other; they have different keys */
  sqlite3_stmt *delete;     /* UPSERT: by key; parameter i + 1 is key field i */
};

/* Makes the table where there is none. CONSTRAINT: there is one with too few columns, or without a key where one is
 * needed. */
enum weir_code wr_sqlite_table_make(struct wr_sqlite_table *table, struct weir_error *error);
/* Prepares the statements, where they are not. */
enum weir_code wr_sqlite_table_prepare(struct wr_sqlite_table *table, struct weir_error *error);
/* The connection was closed, and the statements with it. */
void wr_sqlite_table_forget(struct wr_sqlite_table *table);
/* Writes rows, in this order. */
enum weir_code wr_sqlite_table_write(struct wr_sqlite_table *table, const struct wr_sqlite_row *rows, uint32_t count,
                                     struct weir_error *error);
/* Deletes the row with this key. */
enum weir_code wr_sqlite_table_delete(struct wr_sqlite_table *table, const struct wr_batch *batch, uint32_t row,
                                      struct weir_error *error);

#endif
