/* connectors/sql/sql_driver.h: one session with an SQL server, as the commit machine (sql_target.h) needs it.
 *
 * PostgreSQL, MySQL and MariaDB, the simulator's database and the tests' script stand behind it. A driver does what it
 * is told and says how that ended; what follows from it (another try, a new connection, asking the marker) is the
 * machine's. Everything blocks, inside a call, one thread at a time, and has a time limit of its own, so that a server
 * that says nothing is at last an answer too.
 *
 *   connect  read_marker: begin read_marker roll_back   claim: make_marker_table begin read_marker claim commit
 *   commit: begin move_marker write... commit           (roll_back wherever something FAILED in between)
 */
#ifndef WR_CONNECTORS_SQL_SQL_DRIVER_H
#define WR_CONNECTORS_SQL_SQL_DRIVER_H

#include "data/batch.h"
#include "runtime/sink.h"

enum wr_sql_outcome {
  WR_SQL_DONE,
  WR_SQL_FAILED, /* it was not done, and the session is good: roll back, or try something else */
  WR_SQL_GONE,   /* the session is gone or cannot be trusted; what was open in it is not, or will be, rolled back */
  WR_SQL_UNKNOWN /* commit only: the session is gone, and whether the transaction is in nobody has said */
};

enum wr_sql_mode { WR_SQL_UPSERT, WR_SQL_INSERT };

/* WRITE: an insert, or in upsert mode insert or update by key. */
enum wr_sql_change { WR_SQL_WRITE, WR_SQL_DELETE };

/* One row of a batch that is held while the driver uses it. */
struct wr_sql_row {
  const struct wr_batch *batch;
  uint32_t row;
};

struct wr_sql_driver;

/* Except for close and free, all return an outcome, and fill `error` (never NULL) where it is not DONE: its code is
 * what the committer goes by (transient: BUSY, IO, NO_SPACE, TIMEOUT). */
struct wr_sql_driver_vtable {
  /* Opens a session, with its settings, and looks at the catalogue whether rows can be written at all: the table is
   * there, of a kind that has transactions, its columns take the fields, upsert has its key. Changes nothing. */
  enum wr_sql_outcome (*connect)(struct wr_sql_driver *driver, struct weir_error *error);
  /* Where it is missing; no transaction is open. DENIED: it may not be made; the message has the statement that does.
   */
  enum wr_sql_outcome (*make_marker_table)(struct wr_sql_driver *driver, struct weir_error *error);
  enum wr_sql_outcome (*begin)(struct wr_sql_driver *driver, struct weir_error *error);
  /* The marker's row, locked until the end of the transaction: a transaction of somebody else that has moved it and is
   * about to end is waited for. No table or no row: not present. */
  enum wr_sql_outcome (*read_marker)(struct wr_sql_driver *driver, struct wr_marker *out_marker,
                                     struct weir_error *error);
  /* Sets the row to `mine` where it is as `seen` (not present: INSERT). *out_rows: how many were changed, 0 or 1. */
  enum wr_sql_outcome (*claim)(struct wr_sql_driver *driver, const struct wr_marker *seen, const struct wr_marker *mine,
                               uint64_t *out_rows, struct weir_error *error);
  /* UPDATE ... SET checkpoint = mine's WHERE incarnation and start are mine's AND checkpoint < mine's AND checkpoint >=
   * known_id. *out_rows as above. */
  enum wr_sql_outcome (*move_marker)(struct wr_sql_driver *driver, const struct wr_marker *mine, uint64_t known_id,
                                     uint64_t *out_rows, struct weir_error *error);
  /* All of the rows, in order, in as many statements as it takes. CONSTRAINT: one of them is not taken (by the server,
   * or by the driver, which cannot say it in the server's language); some before it may have been written. */
  enum wr_sql_outcome (*write)(struct wr_sql_driver *driver, enum wr_sql_change change, const struct wr_sql_row *rows,
                               uint32_t count, struct weir_error *error);
  /* A place to come back to within the transaction, and the way back, after which the place still holds. */
  enum wr_sql_outcome (*set_savepoint)(struct wr_sql_driver *driver, struct weir_error *error);
  enum wr_sql_outcome (*roll_back_to_savepoint)(struct wr_sql_driver *driver, struct weir_error *error);
  enum wr_sql_outcome (*commit)(struct wr_sql_driver *driver, struct weir_error *error);
  enum wr_sql_outcome (*roll_back)(struct wr_sql_driver *driver, struct weir_error *error);
  void (*close)(struct wr_sql_driver *driver); /* the session only; fine when there is none */
  void (*free)(struct wr_sql_driver *driver);  /* closed before */
};

struct wr_sql_driver {
  const struct wr_sql_driver_vtable *vtable;
};

#endif
