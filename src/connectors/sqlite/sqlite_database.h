/* connectors/sqlite/sqlite_database.h: one connection to one database file: opening, statements, transactions, errors.
 *
 * Everything blocks, inside a call. Known to the calls seam while it is open, so that a dropped engine's connection is
 * closed all the same. One thread at a time.
 */
#ifndef WR_CONNECTORS_SQLITE_SQLITE_DATABASE_H
#define WR_CONNECTORS_SQLITE_SQLITE_DATABASE_H

#include "os/seams.h"

#include <sqlite3.h>

struct wr_sqlite_database {
  struct wr_seams *seams;
  const char *path;
  sqlite3 *connection; /* NULL: closed */
  bool identity_known; /* kept over a reconnect: a job stays with the file that it compared markers with */
  uint64_t device, inode;
};

/* Opens the file, making an empty one where it is missing, and looks whether it can be written to. NOT_FOUND: its
 * folder is missing, or the file is something else than a database; DENIED: no right; REFUSED: another file than
 * before. */
enum weir_code wr_sqlite_open(struct wr_sqlite_database *database, struct weir_error *error);
/* Finalises every statement, rolls back what is open. Fine when closed. */
void wr_sqlite_close(struct wr_sqlite_database *database);
/* REFUSED when the path leads to another file than the one that is open, or to none. */
enum weir_code wr_sqlite_check_identity(struct wr_sqlite_database *database, struct weir_error *error);

/* The error of the last operation: `doing` says what it was, "insert into table x". `result` is what SQLite returned.
 */
__attribute__((cold)) enum weir_code wr_sqlite_fail(const struct wr_sqlite_database *database, int result,
                                                    const char *doing, struct weir_error *error);
enum weir_code wr_sqlite_execute(struct wr_sqlite_database *database, const char *sql, struct weir_error *error);
/* A statement that is used again and again. `doing` as above. */
enum weir_code wr_sqlite_prepare(struct wr_sqlite_database *database, const char *sql, const char *doing,
                                 sqlite3_stmt **out_statement, struct weir_error *error);
/* Runs a statement that gives no rows, and makes it ready for the next time. */
enum weir_code wr_sqlite_run(struct wr_sqlite_database *database, sqlite3_stmt *statement, const char *doing,
                             struct weir_error *error);
enum weir_code wr_sqlite_begin(struct wr_sqlite_database *database, struct weir_error *error);
enum weir_code wr_sqlite_commit(struct wr_sqlite_database *database, struct weir_error *error);
/* Ends an open transaction without effect; nothing to do where none is open. */
void wr_sqlite_roll_back(struct wr_sqlite_database *database);
/* True when there is a table or view of this name. */
enum weir_code wr_sqlite_has_table(struct wr_sqlite_database *database, const char *table, bool *out_has,
                                   struct weir_error *error);

#endif
