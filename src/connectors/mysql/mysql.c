/* connectors/mysql/mysql.c: see mysql.h.
 *
 *   weir_commits(job varchar(255), sink varchar(128), incarnation binary(16), start bigint, checkpoint bigint,
 *                PRIMARY KEY (job, sink))
 *
 * Locking reads and updates see what is committed, whatever the snapshot; so the marker is never an old one.
 */
#include "connectors/mysql/mysql.h"

#include "connectors/mysql/mysql_rows.h"
#include "connectors/mysql/mysql_table.h"
#include "connectors/sql/sql_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLUMN_BYTES = 64 * 4 + 1 }; /* of a name of 64 characters */

struct mysql {
  struct wr_sql_driver driver;
  const struct wr_sql_config *config;
  const struct wr_target_context *context;
  struct wr_mysql_session session;
  struct wr_sql_table table;
  uint32_t *columns; /* by field: its number in `table` */
  struct wr_mysql_rows rows;
  struct wr_bytes sql; /* of the statement that runs */
  struct wr_sql_nulls nulls;
};

static struct mysql *mysql_of(struct wr_sql_driver *driver) {
  return (struct mysql *)driver;
}

/* ---- connect ---- */

static enum wr_sql_outcome connect_driver(struct wr_sql_driver *driver, struct weir_error *error) {
  struct mysql *mysql = mysql_of(driver);
  bool has_markers = false;
  enum wr_sql_outcome outcome = wr_mysql_open(&mysql->session, error);
  if (outcome == WR_SQL_DONE)
    outcome = wr_mysql_read_table(&mysql->session, mysql->config, mysql->context->schema, &mysql->table, error);
  if (outcome == WR_SQL_DONE) outcome = wr_mysql_look_for_markers(&mysql->session, &has_markers, error);
  if (outcome != WR_SQL_DONE) return outcome;
  enum weir_code code = wr_sql_table_check(&mysql->table, mysql->config, mysql->context->schema, mysql->columns, error);
  if (code == WEIR_OK) wr_sql_nulls_note(&mysql->nulls, &mysql->table, mysql->context->schema, mysql->columns);
  return code == WEIR_OK ? WR_SQL_DONE : WR_SQL_FAILED;
}

/* ---- statements about the marker ---- */

__attribute__((format(printf, 2, 3))) static void put(struct mysql *mysql, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  wr_sql_put(&mysql->sql, text);
}

/* `before`, then the table of markers. */
static void begin_statement(struct mysql *mysql, const char *before) {
  wr_bytes_clear(&mysql->sql);
  wr_sql_put(&mysql->sql, before);
  wr_sql_put_table(&mysql->sql, mysql->session.server->marker_table, '`');
}

static void put_incarnation(struct mysql *mysql, const struct wr_marker *marker) {
  put(mysql, "x'");
  for (size_t i = 0; i < WR_INCARNATION_BYTES; i++)
    put(mysql, "%02x", marker->incarnation[i]);
  put(mysql, "'");
}

static void put_names(struct mysql *mysql, const char *between) {
  wr_mysql_put_text(&mysql->sql, mysql->context->job_name, strlen(mysql->context->job_name));
  put(mysql, "%s", between);
  wr_mysql_put_text(&mysql->sql, mysql->context->uid, strlen(mysql->context->uid));
}

static void put_where(struct mysql *mysql) {
  put(mysql, " WHERE `job` = ");
  put_names(mysql, " AND `sink` = ");
}

static enum wr_sql_outcome run_statement(struct mysql *mysql, const char *doing, MYSQL_RES **out_result,
                                         uint64_t *out_rows, struct weir_error *error) {
  if (wr_bytes_check(&mysql->sql, error) != WEIR_OK) return WR_SQL_FAILED;
  return wr_mysql_run(&mysql->session, mysql->sql.data, mysql->sql.length, doing, out_result, out_rows, error);
}

/* ---- the marker ---- */

static const char marker_columns[] = " (`job` varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, `sink` "
                                     "varchar(128) CHARACTER SET ascii COLLATE "
                                     "ascii_bin NOT NULL, `incarnation` binary(16) NOT NULL, `start` bigint NOT NULL, "
                                     "`checkpoint` bigint NOT NULL, PRIMARY "
                                     "KEY (`job`, `sink`)) ENGINE = InnoDB";

static enum wr_sql_outcome make_marker_table(struct wr_sql_driver *driver, struct weir_error *error) {
  struct mysql *mysql = mysql_of(driver);
  bool has = false;
  enum wr_sql_outcome outcome = wr_mysql_look_for_markers(&mysql->session, &has, error);
  if (outcome != WR_SQL_DONE || has) return outcome;
  begin_statement(mysql, "CREATE TABLE IF NOT EXISTS ");
  put(mysql, "%s", marker_columns);
  outcome = run_statement(mysql, "make the table of markers", NULL, NULL, error);
  if (outcome == WR_SQL_FAILED && error->code == WEIR_DENIED)
    WR_FAIL(
        error, WEIR_DENIED,
        "%s: the table of markers, %s, is not there and this user may not make it; make it beside the sink's table, "
        "and GRANT SELECT, INSERT, UPDATE ON it to the user: CREATE TABLE %s%s",
        mysql->config->where, mysql->session.server->marker_table, mysql->session.server->marker_table, marker_columns);
  return outcome;
}

static enum weir_code marker_of_row(const struct mysql *mysql, MYSQL_ROW row, struct wr_marker *out_marker,
                                    struct weir_error *error) {
  long long start = strtoll(row[1], NULL, 10), checkpoint = strtoll(row[2], NULL, 10);
  if (strlen(row[0]) != (size_t)2 * WR_INCARNATION_BYTES || start < 0 || checkpoint < 0)
    return WR_FAIL(
        error, WEIR_CONSTRAINT,
        "the row of job \"%s\", sink \"%s\" in table %s beside %s was not written by weir; the table belongs "
        "to weir and must not be changed by others",
        mysql->context->job_name, mysql->context->uid, mysql->session.server->marker_table, mysql->config->where);
  *out_marker =
      (struct wr_marker){.present = true, .start_number = (uint64_t)start, .checkpoint_id = (uint64_t)checkpoint};
  for (size_t i = 0; i < WR_INCARNATION_BYTES; i++) {
    const char digits[3] = {row[0][2 * i], row[0][2 * i + 1], 0};
    out_marker->incarnation[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  return WEIR_OK;
}

static enum wr_sql_outcome read_marker(struct wr_sql_driver *driver, struct wr_marker *out_marker,
                                       struct weir_error *error) {
  struct mysql *mysql = mysql_of(driver);
  MYSQL_RES *result = NULL;
  *out_marker = (struct wr_marker){.present = false};
  begin_statement(mysql, "SELECT HEX(`incarnation`), `start`, `checkpoint` FROM ");
  put_where(mysql);
  put(mysql, " FOR UPDATE");
  enum wr_sql_outcome outcome = run_statement(mysql, "read the job's marker", &result, NULL, error);
  /* Of a table that is not there, a user without a right to it is told that he has none. The claim then says so. */
  unsigned number = outcome == WR_SQL_FAILED ? mysql->session.last_error : 0;
  if (number == WR_MYSQL_NO_TABLE || number == WR_MYSQL_NO_RIGHT) return WR_SQL_DONE;
  if (outcome != WR_SQL_DONE) return outcome;
  MYSQL_ROW row = mysql->session.my.mysql_fetch_row(result);
  if (row != NULL && marker_of_row(mysql, row, out_marker, error) != WEIR_OK) outcome = WR_SQL_FAILED;
  mysql->session.my.mysql_free_result(result);
  return outcome;
}

static enum wr_sql_outcome claim(struct wr_sql_driver *driver, const struct wr_marker *seen,
                                 const struct wr_marker *mine, uint64_t *out_rows, struct weir_error *error) {
  struct mysql *mysql = mysql_of(driver);
  begin_statement(mysql, seen->present ? "UPDATE " : "INSERT INTO ");
  if (seen->present) {
    put(mysql, " SET `incarnation` = ");
    put_incarnation(mysql, mine);
    put(mysql, ", `start` = %" PRIu64 ", `checkpoint` = %" PRIu64, mine->start_number, mine->checkpoint_id);
    put_where(mysql);
    put(mysql, " AND `incarnation` = ");
    put_incarnation(mysql, seen);
    put(mysql, " AND `start` = %" PRIu64 " AND `checkpoint` = %" PRIu64, seen->start_number, seen->checkpoint_id);
  } else {
    put(mysql, " (`job`, `sink`, `incarnation`, `start`, `checkpoint`) VALUES (");
    put_names(mysql, ", ");
    put(mysql, ", ");
    put_incarnation(mysql, mine);
    put(mysql, ", %" PRIu64 ", %" PRIu64 ")", mine->start_number, mine->checkpoint_id);
  }
  *out_rows = 0;
  enum wr_sql_outcome outcome = run_statement(mysql, "claim the job's marker", NULL, out_rows, error);
  if (outcome != WR_SQL_FAILED || mysql->session.last_error != WR_MYSQL_DUPLICATE) return outcome;
  *out_rows = 0; /* somebody else's row came first */
  return WR_SQL_DONE;
}

static enum wr_sql_outcome move_marker(struct wr_sql_driver *driver, const struct wr_marker *mine, uint64_t known_id,
                                       uint64_t *out_rows, struct weir_error *error) {
  struct mysql *mysql = mysql_of(driver);
  begin_statement(mysql, "UPDATE ");
  put(mysql, " SET `checkpoint` = %" PRIu64, mine->checkpoint_id);
  put_where(mysql);
  put(mysql, " AND `incarnation` = ");
  put_incarnation(mysql, mine);
  put(mysql, " AND `start` = %" PRIu64 " AND `checkpoint` < %" PRIu64 " AND `checkpoint` >= %" PRIu64,
      mine->start_number, mine->checkpoint_id, known_id);
  *out_rows = 0;
  enum wr_sql_outcome outcome = run_statement(mysql, "move the job's marker", NULL, out_rows, error);
  if (outcome == WR_SQL_FAILED && mysql->session.last_error == WR_MYSQL_NO_TABLE)
    WR_FAIL(
        error, WEIR_REFUSED,
        "the table of markers, %s, beside %s is gone: the database was replaced or emptied while the job runs; start "
        "the job again, it then compares both",
        mysql->session.server->marker_table, mysql->config->where);
  return outcome;
}

/* ---- transactions ---- */

static enum wr_sql_outcome run(struct wr_sql_driver *driver, const char *sql, const char *doing,
                               struct weir_error *error) {
  return wr_mysql_run(&mysql_of(driver)->session, sql, strlen(sql), doing, NULL, NULL, error);
}

static enum wr_sql_outcome begin(struct wr_sql_driver *driver, struct weir_error *error) {
  return run(driver, "START TRANSACTION", "begin a transaction", error);
}

/* The name in "Column 'x' cannot be null", where that was the last failure. False: it was not. */
static bool read_null_column(const struct wr_mysql_session *session, char *out, size_t size) {
  if (session->last_error != WR_MYSQL_NULL) return false;
  const char *said = session->my.mysql_error(session->connection);
  const char *first = strchr(said, '\''), *last = strrchr(said, '\'');
  if (first == NULL || first == last) return false;
  snprintf(out, size, "%.*s", (int)(last - first - 1), first + 1);
  return true;
}

static enum wr_sql_outcome write(struct wr_sql_driver *driver, enum wr_sql_change change, const struct wr_sql_row *rows,
                                 uint32_t count, struct weir_error *error) {
  struct mysql *mysql = mysql_of(driver);
  char column[COLUMN_BYTES];
  mysql->session.last_error = 0;
  enum wr_sql_outcome outcome = wr_mysql_rows_write(&mysql->rows, &mysql->session, change, rows, count, error);
  if (outcome == WR_SQL_FAILED && read_null_column(&mysql->session, column, sizeof column))
    wr_sql_nulls_blames_table(&mysql->nulls, mysql->config, mysql->context->schema, column, error);
  return outcome;
}

static enum wr_sql_outcome set_savepoint(struct wr_sql_driver *driver, struct weir_error *error) {
  return run(driver, "SAVEPOINT weir", "set a savepoint", error);
}

static enum wr_sql_outcome roll_back_to_savepoint(struct wr_sql_driver *driver, struct weir_error *error) {
  return run(driver, "ROLLBACK TO SAVEPOINT weir", "roll back to a savepoint", error);
}

/* An error of COMMIT does not say which of its steps had been done. */
static enum wr_sql_outcome commit(struct wr_sql_driver *driver, struct weir_error *error) {
  if (run(driver, "COMMIT", "commit", error) == WR_SQL_DONE) return WR_SQL_DONE;
  if (!weir_code_is_transient(error->code)) error->code = WEIR_IO;
  return WR_SQL_UNKNOWN;
}

static enum wr_sql_outcome roll_back(struct wr_sql_driver *driver, struct weir_error *error) {
  return run(driver, "ROLLBACK", "roll back", error);
}

/* ---- life ---- */

static void close_driver(struct wr_sql_driver *driver) {
  wr_mysql_close(&mysql_of(driver)->session);
}

static void free_driver(struct wr_sql_driver *driver) {
  struct mysql *mysql = mysql_of(driver);
  wr_sql_table_deinit(&mysql->table);
  wr_bytes_deinit(&mysql->rows.sql);
  wr_bytes_deinit(&mysql->rows.row);
  wr_bytes_deinit(&mysql->sql);
  wr_free(mysql->context->memory, mysql->columns);
  wr_free(mysql->context->memory, mysql);
}

static const struct wr_sql_driver_vtable vtable = {.connect = connect_driver,
                                                   .make_marker_table = make_marker_table,
                                                   .begin = begin,
                                                   .read_marker = read_marker,
                                                   .claim = claim,
                                                   .move_marker = move_marker,
                                                   .write = write,
                                                   .set_savepoint = set_savepoint,
                                                   .roll_back_to_savepoint = roll_back_to_savepoint,
                                                   .commit = commit,
                                                   .roll_back = roll_back,
                                                   .close = close_driver,
                                                   .free = free_driver};

enum weir_code wr_mysql_driver_new(const struct wr_sql_config *config, const struct wr_target_context *context,
                                   struct wr_sql_driver **out_driver, struct weir_error *error) {
  const struct wr_sql_server *server = config->driver_config;
  struct wr_memory *memory = context->memory;
  struct mysql *mysql = wr_alloc_zeroed(memory, 1, sizeof *mysql, WR_MEMORY_SINK);
  uint32_t *columns = wr_alloc_zeroed(memory, context->schema->field_count, sizeof *columns, WR_MEMORY_SINK);
  if (mysql == NULL || columns == NULL) {
    wr_free(memory, mysql);
    wr_free(memory, columns);
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %s", config->where);
  }
  mysql->driver.vtable = &vtable;
  mysql->config = config;
  mysql->context = context;
  mysql->columns = columns;
  mysql->session = (struct wr_mysql_session){
      .server = server, .job_name = context->job_name, .seams = context->seams, .memory = memory};
  mysql->rows = (struct wr_mysql_rows){
      .config = config, .server = server, .schema = context->schema, .table = &mysql->table, .columns = columns};
  wr_sql_table_init(&mysql->table, memory);
  wr_bytes_init(&mysql->rows.sql, memory, WR_MEMORY_SINK);
  wr_bytes_init(&mysql->rows.row, memory, WR_MEMORY_SINK);
  wr_bytes_init(&mysql->sql, memory, WR_MEMORY_SINK);
  *out_driver = &mysql->driver;
  return WEIR_OK;
}
