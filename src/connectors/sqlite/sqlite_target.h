/* connectors/sqlite/sqlite_target.h: a table in an SQLite database as a two-phase sink.
 *
 * UPSERT: the table has a key; each epoch writes the last change of each key (-D deletes). INSERT: one row per +I or
 * +U, into a table with or without a key of its own; -U and -D cannot be said there and are errors.
 *
 * The table is made where missing, as `table(field TYPE, ...)` with PRIMARY KEY in upsert mode; a table that is there
 * must have the fields as columns, and in upsert mode a primary key or unique index over the key. Types: BOOLEAN, INT,
 * BIGINT INTEGER; DOUBLE REAL (NaN, which SQLite does not have, becomes NULL); STRING TEXT; BYTES BLOB; TIMESTAMP TEXT
 * as "2026-01-02 03:04:05.123456789".
 *
 * The database is used in WAL mode with synchronous=FULL. Its marker of this job and sink is a row of table
 * weir_marker.
 */
#ifndef WR_CONNECTORS_SQLITE_SQLITE_TARGET_H
#define WR_CONNECTORS_SQLITE_SQLITE_TARGET_H

#include "connectors/connector_options.h"
#include "operators/sink_nodes.h"

enum wr_sqlite_option { WR_SQLITE_PATH, WR_SQLITE_TABLE, WR_SQLITE_OPTION_COUNT };
extern const struct wr_connector_option wr_sqlite_options[WR_SQLITE_OPTION_COUNT];

enum wr_sqlite_mode { WR_SQLITE_UPSERT, WR_SQLITE_INSERT };

/* Borrowed by the job, with all it points to. */
struct wr_sqlite_config {
  const char *path; /* of the database; its folder must be there */
  const char *table;
  enum wr_sqlite_mode mode;
  const uint32_t *key_fields; /* UPSERT: fields of the schema that are the key */
  uint32_t key_count;
};

/* INVALID: no path, no table, a key where none belongs, or none where one does. */
enum weir_code wr_sqlite_config_check(const struct wr_sqlite_config *config, const struct weir_schema *schema,
                                      struct weir_error *error);
/* By a struct wr_sqlite_config. */
wr_new_target wr_sqlite_target_new;

#endif
