/* connectors/mysql/mysql_rows.h: rows as statements of many rows, as long as the server takes them.
 *
 *   INSERT INTO t (a, b) VALUES (...), (...) [ON DUPLICATE KEY UPDATE b = VALUES(b)]
 *   DELETE FROM t WHERE (a = ...) OR (a = ...)
 */
#ifndef WR_CONNECTORS_MYSQL_MYSQL_ROWS_H
#define WR_CONNECTORS_MYSQL_MYSQL_ROWS_H

#include "connectors/mysql/mysql_session.h"
#include "connectors/sql/sql_table.h"

struct wr_mysql_rows {
  const struct wr_sql_config *config;
  const struct wr_sql_server *server;
  const struct weir_schema *schema;
  const struct wr_sql_table *table;
  const uint32_t *columns; /* by field: its number in `table` */
  struct wr_bytes sql, row;
};

/* Writes all rows, in as many statements as it takes. */
enum wr_sql_outcome wr_mysql_rows_write(struct wr_mysql_rows *rows, struct wr_mysql_session *session,
                                        enum wr_sql_change change, const struct wr_sql_row *all, uint32_t count,
                                        struct weir_error *error);

#endif
