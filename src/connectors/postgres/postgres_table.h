/* connectors/postgres/postgres_table.h: what PostgreSQL's catalogue says about the user's table and the marker's. */
#ifndef WR_CONNECTORS_POSTGRES_POSTGRES_TABLE_H
#define WR_CONNECTORS_POSTGRES_POSTGRES_TABLE_H

#include "connectors/postgres/postgres_session.h"
#include "connectors/sql/sql_table.h"

/* Fills `table` anew. NOT_FOUND, with the statement that would make it: there is none. CONSTRAINT: it is a view, a
 * foreign table, or loses its rows in a crash. DENIED: this user may not write to it. */
enum wr_sql_outcome wr_postgres_read_table(struct wr_postgres_session *session, const struct wr_sql_config *config,
                                           const struct weir_schema *schema, struct wr_sql_table *table,
                                           struct weir_error *error);
/* Is the table of markers there, and of a kind that has transactions? */
enum wr_sql_outcome wr_postgres_look_for_markers(struct wr_postgres_session *session, bool *out_has,
                                                 struct weir_error *error);

#endif
