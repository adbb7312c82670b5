/* connectors/sql/sql_target.h: a table on an SQL server as a two-phase sink: the machine that decides.
 *
 * UPSERT: the table has a key; each epoch writes the last change of each key (-D deletes). INSERT: one row per +I or
 * +U, into a table with or without a key; -D and -U cannot be said there and are errors.
 *
 * Rows and marker are in one database and move in one transaction, whose first statement moves the marker. An answer
 * that got lost is never taken for a yes or a no: the session is closed, and the next try's first statement, the same
 * UPDATE of the marker, is the question. It waits for the lock of the lost transaction, if that is still under way, and
 * then finds the marker moved (the epoch is in), or not (it is not). Also compared there is what this run has committed
 * before: a server that went back to an older copy of itself (a replica that lagged behind) is found, and refused.
 *
 * Plain is the same table without a marker (plain_sink.h): a transaction holds the rows of one tick, and an answer that
 * got lost is a failure, so that the rows are written once more.
 *
 * A row that the server does not take is looked for: the epoch is begun again, with savepoints, and its rows are halved
 * until it stands alone; the error names it. Nothing of the epoch is out then. Or (leaves_out) the row goes to a file,
 * which is published before COMMIT is said, and the rest of the epoch stands.
 */
#ifndef WR_CONNECTORS_SQL_SQL_TARGET_H
#define WR_CONNECTORS_SQL_SQL_TARGET_H

#include "connectors/sql/sql_driver.h"
#include "operators/plain_sink.h"
#include "operators/sink_nodes.h"

/* Borrowed by the job, with all it points to. */
struct wr_sql_config {
  const char *where; /* in messages: "table pv in postgresql://app@db:5432/out"; without a password */
  enum wr_sql_mode mode;
  const uint32_t *key_fields; /* UPSERT: fields of the schema that are the key */
  uint32_t key_count;
  bool leaves_out;     /* a row that is not taken goes to a file (connectors/dead_rows.h); not of a plain sink */
  void *driver_config; /* new_driver's own */
  enum weir_code (*new_driver)(const struct wr_sql_config *config, const struct wr_target_context *context,
                               struct wr_sql_driver **out_driver, struct weir_error *error);
};

/* INVALID: a key where none belongs, or none where one does, or of fields that are not there. */
enum weir_code wr_sql_config_check(const struct wr_sql_config *config, const struct weir_schema *schema,
                                   struct weir_error *error);
/* By a struct wr_sql_config. */
wr_new_target wr_sql_target_new;
wr_new_plain_target wr_sql_plain_new;

#endif
