/* connectors/mysql/mysql_table.h: what the catalogue of MySQL or MariaDB says about the user's table and the marker's.
 */
#ifndef WR_CONNECTORS_MYSQL_MYSQL_TABLE_H
#define WR_CONNECTORS_MYSQL_MYSQL_TABLE_H

#include "connectors/mysql/mysql_session.h"
#include "connectors/sql/sql_table.h"

/* Fills `table` anew. NOT_FOUND, with the statement that would make it: there is none. CONSTRAINT: it is a view, or of
 * an engine that has no transactions. */
enum wr_sql_outcome wr_mysql_read_table(struct wr_mysql_session *session, const struct wr_sql_config *config,
                                        const struct weir_schema *schema, struct wr_sql_table *table,
                                        struct weir_error *error);
/* Is the table of markers there, and of an engine that has transactions? */
enum wr_sql_outcome wr_mysql_look_for_markers(struct wr_mysql_session *session, bool *out_has,
                                              struct weir_error *error);

#endif
