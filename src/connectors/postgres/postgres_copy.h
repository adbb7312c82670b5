/* connectors/postgres/postgres_copy.h: rows that are only inserted, as lines of COPY ... FROM STDIN.
 *
 * A line: the fields with a tab between; \N is NULL; a backslash, tab, line feed and carriage return in a text are
 * escaped by a backslash; BYTES are \x and hexadecimal digits, whose backslash is escaped too. The server reads each
 * field as the column's type reads a text, so no type needs a form of its own. One thread.
 */
#ifndef WR_CONNECTORS_POSTGRES_POSTGRES_COPY_H
#define WR_CONNECTORS_POSTGRES_POSTGRES_COPY_H

#include "connectors/postgres/postgres_rows.h"

/* Appends the line of one row. CONSTRAINT: it has what the column cannot hold. */
enum weir_code wr_postgres_copy_line(struct wr_bytes *out, const struct wr_postgres_rows *rows,
                                     const struct wr_sql_row *at, struct weir_error *error);
/* Writes all rows, in as many statements as it takes; as wr_postgres_rows_write. */
enum wr_sql_outcome wr_postgres_copy_rows(struct wr_postgres_rows *rows, struct wr_postgres_session *session,
                                          const struct wr_sql_row *all, uint32_t count, struct weir_error *error);

#endif
