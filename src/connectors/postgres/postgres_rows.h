/* connectors/postgres/postgres_rows.h: rows as the parameters of one statement: an array for each column, in binary;
 * or, where they are only inserted and the table allows it, by COPY (postgres_copy.h).
 *
 *   INSERT INTO t(a, b) SELECT u.c0, u.c1 FROM unnest($1, $2) AS u(c0, c1) [ON CONFLICT (a) DO UPDATE SET ...]
 *   DELETE FROM t USING unnest($1) AS u(c0) WHERE t.a = u.c0
 *
 * An array: u32 dimensions (1), u32 has NULLs, u32 type of its elements, u32 their number, u32 1; then of each element
 * an i32 length (-1: NULL) and its bytes. All big-endian. One thread.
 */
#ifndef WR_CONNECTORS_POSTGRES_POSTGRES_ROWS_H
#define WR_CONNECTORS_POSTGRES_POSTGRES_ROWS_H

#include "base/bytes.h"
#include "connectors/postgres/postgres_session.h"
#include "connectors/sql/sql_table.h"

struct wr_postgres_rows {
  struct wr_memory *memory;
  const struct wr_sql_config *config;
  const struct wr_sql_server *server;
  const struct weir_schema *schema;
  const struct wr_sql_table *table;
  uint32_t *columns;       /* by field: its number in `table` */
  struct wr_bytes *arrays; /* by field */
  bool copies;             /* inserts go by COPY */
  Oid *types;
  const char **values;
  int *lengths, *is_binary;
  struct wr_bytes write_sql, delete_sql; /* made anew when the table was looked at */
};

/* Everything is borrowed; `columns` is filled by wr_sql_table_check before rows are written. */
enum weir_code wr_postgres_rows_init(struct wr_postgres_rows *rows, struct wr_memory *memory,
                                     const struct wr_sql_config *config, const struct wr_sql_server *server,
                                     const struct weir_schema *schema, const struct wr_sql_table *table,
                                     struct weir_error *error);
void wr_postgres_rows_deinit(struct wr_postgres_rows *rows);
/* The statements, for the table as it is now. */
enum weir_code wr_postgres_rows_prepare(struct wr_postgres_rows *rows, struct weir_error *error);
/* CONSTRAINT: more digits than the column keeps; a text with the character NUL. */
enum weir_code wr_postgres_check_time(const struct wr_sql_column *column, struct weir_timestamp time,
                                      struct weir_error *error);
enum weir_code wr_postgres_refuse_nul(const char *name, struct weir_error *error);
/* Writes all rows, in as many statements as it takes. */
enum wr_sql_outcome wr_postgres_rows_write(struct wr_postgres_rows *rows, struct wr_postgres_session *session,
                                           enum wr_sql_change change, const struct wr_sql_row *all, uint32_t count,
                                           struct weir_error *error);

#endif
