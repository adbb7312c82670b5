/* connectors/sqlite/sqlite_database.c: see sqlite_database.h. The connection's mutex is off: its one user at a time is
 * the target's one call at a time. */
#include "connectors/sqlite/sqlite_database.h"

#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BUSY_TIMEOUT_MS = 250 }; /* short: the committer tries again, and says so */

/* ---- errors ---- */

static enum weir_code code_of(int result, int reason) {
  switch (result & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
  case SQLITE_PROTOCOL:
    return WEIR_BUSY;
  case SQLITE_FULL:
    return WEIR_NO_SPACE;
  case SQLITE_NOMEM:
    return WEIR_NO_MEMORY;
  case SQLITE_IOERR:
    return result == SQLITE_IOERR_NOMEM ? WEIR_NO_MEMORY : WEIR_IO;
  case SQLITE_CANTOPEN: /* of the file, its log or its index */
    return reason == EACCES || reason == EPERM || reason == EROFS ? WEIR_DENIED : WEIR_IO;
  case SQLITE_READONLY:
    return result == SQLITE_READONLY_DBMOVED ? WEIR_REFUSED : WEIR_DENIED;
  case SQLITE_PERM:
  case SQLITE_AUTH:
    return WEIR_DENIED;
  case SQLITE_NOTADB:
    return WEIR_NOT_FOUND;
  default: /* constraints, types, a table that is not as it should be, a damaged database */
    return WEIR_CONSTRAINT;
  }
}

enum weir_code wr_sqlite_fail(const struct wr_sqlite_database *database, int result, const char *doing,
                              struct weir_error *error) {
  if ((result & 0xff) == SQLITE_NOTADB)
    return WR_FAIL(error, WEIR_NOT_FOUND,
                   "%s is not an SQLite database; give the sink another path, or move that file away", database->path);
  sqlite3 *connection = database->connection;
  const char *text = connection == NULL ? sqlite3_errstr(result) : sqlite3_errmsg(connection);
  enum weir_code code = code_of(result, connection == NULL ? 0 : sqlite3_system_errno(connection));
  return WR_FAIL(error, code, "the sink's database %s: cannot %s: %s (SQLite error %d)", database->path, doing, text,
                 result);
}

/* ---- opening ---- */

static void release(void *handle) {
  sqlite3 *connection = handle;
  sqlite3_stmt *statement;
  while ((statement = sqlite3_next_stmt(connection, NULL)) != NULL)
    sqlite3_finalize(statement);
  sqlite3_close_v2(connection);
}

void wr_sqlite_close(struct wr_sqlite_database *database) {
  if (database->connection == NULL) return;
  database->seams->calls->disown(database->seams->calls, database->connection);
  release(database->connection);
  database->connection = NULL;
}

static enum weir_code check_folder(const struct wr_sqlite_database *database, struct weir_error *error) {
  char folder[WR_PATH_BYTES_MAX];
  const char *slash = strrchr(database->path, '/');
  size_t length = slash == NULL ? 0 : (size_t)(slash - database->path);
  if (length >= sizeof folder) return WR_FAIL(error, WEIR_INVALID, "the path of the sink's database is too long");
  memcpy(folder, database->path, length);
  folder[length] = 0;
  const char *name = length != 0 ? folder : slash == NULL ? "." : "/";
  struct wr_file_info info;
  struct wr_files *files = database->seams->files;
  enum weir_code code = files->stat(files, name, &info, error);
  if (code == WEIR_NOT_FOUND || (code == WEIR_OK && !info.folder))
    return WR_FAIL(error, WEIR_NOT_FOUND, "cannot open the sink's database %s: there is no folder %s; make it first",
                   database->path, name);
  return code;
}

static enum weir_code check_no_folder(const struct wr_sqlite_database *database, struct weir_error *error) {
  struct wr_file_info info;
  struct wr_files *files = database->seams->files;
  enum weir_code code = files->stat(files, database->path, &info, error);
  if (code == WEIR_NOT_FOUND) return WEIR_OK;
  if (code == WEIR_OK && (info.folder || info.special))
    return WR_FAIL(error, WEIR_NOT_FOUND, "the sink's database %s is a %s; give the path of a file", database->path,
                   info.folder ? "folder" : "pipe or a device");
  return code;
}

static enum weir_code identify(struct wr_sqlite_database *database, struct weir_error *error) {
  if (database->identity_known) return wr_sqlite_check_identity(database, error);
  struct wr_file_info info;
  struct wr_files *files = database->seams->files;
  WR_TRY(files->stat(files, database->path, &info, error));
  database->identity_known = true;
  database->device = info.device;
  database->inode = info.inode;
  return WEIR_OK;
}

/* Reads the file for the first time, so that a file that is no database is found now. Changes nothing in it. */
static enum weir_code look_inside(struct wr_sqlite_database *database, struct weir_error *error) {
  bool has = false;
  WR_TRY(wr_sqlite_has_table(database, "weir_marker", &has, error));
  if (sqlite3_db_readonly(database->connection, "main") == 1)
    return WR_FAIL(error, WEIR_DENIED, "the sink's database %s can be read, but not written to", database->path);
  WR_TRY(wr_sqlite_execute(database, "PRAGMA synchronous=FULL", error));
  WR_TRY(wr_sqlite_execute(database, "PRAGMA wal_autocheckpoint=8192", error));
  return identify(database, error);
}

/* SQLite tries to make the file, then to open it for reading only, and tells of the second failure alone: in a folder
 * that is there, no such file means that it could not be made. */
static enum weir_code open_failed(const struct wr_sqlite_database *database, int result, struct weir_error *error) {
  sqlite3 *connection = database->connection;
  if (connection == NULL || (result & 0xff) != SQLITE_CANTOPEN || sqlite3_system_errno(connection) != ENOENT)
    return wr_sqlite_fail(database, result, "open it", error);
  return WR_FAIL(error, WEIR_DENIED,
                 "the sink's database %s cannot be made; this user needs the right to write in its folder",
                 database->path);
}

enum weir_code wr_sqlite_open(struct wr_sqlite_database *database, struct weir_error *error) {
  WR_ASSERT(database->connection == NULL);
  WR_TRY(check_folder(database, error));
  WR_TRY(check_no_folder(database, error));
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  int result = sqlite3_open_v2(database->path, &database->connection, flags, database->seams->sqlite_vfs);
  if (database->connection != NULL)
    database->seams->calls->adopt(database->seams->calls, database->connection, release);
  enum weir_code code = result == SQLITE_OK ? WEIR_OK : open_failed(database, result, error);
  if (code == WEIR_OK) {
    sqlite3_busy_timeout(database->connection, BUSY_TIMEOUT_MS);
    code = look_inside(database, error);
  }
  if (code != WEIR_OK) wr_sqlite_close(database);
  return code;
}

enum weir_code wr_sqlite_check_identity(struct wr_sqlite_database *database, struct weir_error *error) {
  struct wr_file_info info;
  struct wr_files *files = database->seams->files;
  enum weir_code code = files->stat(files, database->path, &info, error);
  if (code == WEIR_NOT_FOUND)
    return WR_FAIL(error, WEIR_REFUSED,
                   "the sink's database %s was removed while the job runs; put it back and start the job again",
                   database->path);
  if (code != WEIR_OK || (info.device == database->device && info.inode == database->inode)) return code;
  return WR_FAIL(
      error, WEIR_REFUSED,
      "the sink's database %s was replaced while the job runs (it was inode %llu, it is %llu); start the job "
      "again: it compares what the new file holds with its own state",
      database->path, (unsigned long long)database->inode, (unsigned long long)info.inode);
}

/* ---- statements ---- */

enum weir_code wr_sqlite_execute(struct wr_sqlite_database *database, const char *sql, struct weir_error *error) {
  int result = sqlite3_exec(database->connection, sql, NULL, NULL, NULL);
  return result == SQLITE_OK ? WEIR_OK : wr_sqlite_fail(database, result, sql, error);
}

enum weir_code wr_sqlite_prepare(struct wr_sqlite_database *database, const char *sql, const char *doing,
                                 sqlite3_stmt **out_statement, struct weir_error *error) {
  int result = sqlite3_prepare_v3(database->connection, sql, -1, SQLITE_PREPARE_PERSISTENT, out_statement, NULL);
  return result == SQLITE_OK ? WEIR_OK : wr_sqlite_fail(database, result, doing, error);
}

enum weir_code wr_sqlite_run(struct wr_sqlite_database *database, sqlite3_stmt *statement, const char *doing,
                             struct weir_error *error) {
  int result = sqlite3_step(statement);
  enum weir_code code = WEIR_OK;
  if (result != SQLITE_DONE && result != SQLITE_ROW) code = wr_sqlite_fail(database, result, doing, error);
  sqlite3_reset(statement);
  return code;
}

enum weir_code wr_sqlite_begin(struct wr_sqlite_database *database, struct weir_error *error) {
  return wr_sqlite_execute(database, "BEGIN IMMEDIATE", error);
}

enum weir_code wr_sqlite_commit(struct wr_sqlite_database *database, struct weir_error *error) {
  return wr_sqlite_execute(database, "COMMIT", error);
}

void wr_sqlite_roll_back(struct wr_sqlite_database *database) {
  if (database->connection == NULL || sqlite3_get_autocommit(database->connection)) return;
  sqlite3_exec(database->connection, "ROLLBACK", NULL, NULL, NULL);
}

enum weir_code wr_sqlite_has_table(struct wr_sqlite_database *database, const char *table, bool *out_has,
                                   struct weir_error *error) {
  sqlite3_stmt *statement = NULL;
  static const char sql[] = "SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";
  WR_TRY(wr_sqlite_prepare(database, sql, "read the list of tables", &statement, error));
  enum weir_code code = WEIR_OK;
  int result = sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
  if (result == SQLITE_OK) result = sqlite3_step(statement);
  *out_has = result == SQLITE_ROW;
  if (result != SQLITE_ROW && result != SQLITE_DONE)
    code = wr_sqlite_fail(database, result, "read the list of tables", error);
  sqlite3_finalize(statement);
  return code;
}
