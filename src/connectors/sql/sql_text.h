/* connectors/sql/sql_text.h: SQL as text: quoted names, tables, and the statement that would make a table. Pure.
 *
 * Everything is appended to bytes, whose failure shows in wr_bytes_check. */
#ifndef WR_CONNECTORS_SQL_SQL_TEXT_H
#define WR_CONNECTORS_SQL_SQL_TEXT_H

#include "base/bytes.h"
#include "connectors/sql/sql_target.h"

/* How one kind of server writes things. */
struct wr_sql_dialect {
  char quote;                                   /* around names, doubled inside */
  const char *types[WEIR_TYPE_COUNT];           /* of columns */
  const char *key_string_type, *key_bytes_type; /* of a STRING, BYTES that is in a key */
  const char *after_table;                      /* behind CREATE TABLE x(...) */
};

void wr_sql_put(struct wr_bytes *sql, const char *text);
void wr_sql_put_name(struct wr_bytes *sql, const char *name, char quote);
/* "schema.table" as two names, "table" as one. */
void wr_sql_put_table(struct wr_bytes *sql, const char *table, char quote);
/* Names of fields, with text between; `fields` NULL: the first `count`. */
void wr_sql_put_fields(struct wr_bytes *sql, const struct weir_schema *schema, const uint32_t *fields, uint32_t count,
                       const char *separator, char quote);
bool wr_sql_is_key(const struct wr_sql_config *config, uint32_t field);
/* CREATE TABLE ... that fits the rows. */
void wr_sql_put_create(struct wr_bytes *sql, const char *table, const struct weir_schema *schema,
                       const struct wr_sql_config *config, const struct wr_sql_dialect *dialect);
/* NUL-terminated text, or NULL without memory. Valid until the bytes change. */
const char *wr_sql_text(struct wr_bytes *sql);

#endif
