/* connectors/postgres/postgres.c: see postgres.h.
 *
 *   weir_commits(job text, sink text, incarnation bytea, start bigint, checkpoint bigint, PRIMARY KEY (job, sink))
 */
#include "connectors/postgres/postgres.h"

#include "connectors/postgres/postgres_rows.h"
#include "connectors/postgres/postgres_table.h"
#include "connectors/sql/sql_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARKER_TEXTS = 3, NUMBER_BYTES = 24, INCARNATION_TEXT_BYTES = 2 + 2 * WR_INCARNATION_BYTES + 1 };

struct postgres {
  struct wr_sql_driver driver;
  const struct wr_sql_config *config;
  const struct wr_target_context *context;
  struct wr_postgres_session session;
  struct wr_sql_table table;
  struct wr_postgres_rows rows;
  struct wr_bytes sql; /* of the statement that runs */
  bool has_savepoint;  /* in the transaction */
  struct wr_sql_nulls nulls;
};

static struct postgres *postgres_of(struct wr_sql_driver *driver) {
  return (struct postgres *)driver;
}

/* ---- connect ---- */

static enum wr_sql_outcome connect_driver(struct wr_sql_driver *driver, struct weir_error *error) {
  struct postgres *postgres = postgres_of(driver);
  bool has_markers = false;
  enum wr_sql_outcome outcome = wr_postgres_open(&postgres->session, error);
  if (outcome == WR_SQL_DONE)
    outcome = wr_postgres_read_table(&postgres->session, postgres->config, postgres->context->schema, &postgres->table,
                                     error);
  if (outcome == WR_SQL_DONE) outcome = wr_postgres_look_for_markers(&postgres->session, &has_markers, error);
  if (outcome != WR_SQL_DONE) return outcome;
  enum weir_code code =
      wr_sql_table_check(&postgres->table, postgres->config, postgres->context->schema, postgres->rows.columns, error);
  if (code == WEIR_OK) code = wr_postgres_rows_prepare(&postgres->rows, error);
  if (code == WEIR_OK)
    wr_sql_nulls_note(&postgres->nulls, &postgres->table, postgres->context->schema, postgres->rows.columns);
  return code == WEIR_OK ? WR_SQL_DONE : WR_SQL_FAILED;
}

/* ---- the marker ---- */

/* A statement of pieces, with the marker's table between the first two. */
static enum wr_sql_outcome run_marker(struct postgres *postgres, const char *before, const char *after,
                                      const struct wr_postgres_values *values, const char *doing, PGresult **out_result,
                                      struct weir_error *error) {
  wr_bytes_clear(&postgres->sql);
  wr_sql_put(&postgres->sql, before);
  wr_sql_put_table(&postgres->sql, postgres->session.server->marker_table, '"');
  wr_sql_put(&postgres->sql, after);
  const char *text = wr_sql_text(&postgres->sql);
  if (text == NULL) {
    WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a statement");
    return WR_SQL_FAILED;
  }
  return wr_postgres_run(&postgres->session, text, values, doing, out_result, error);
}

static const char marker_columns[] =
    " (job text NOT NULL, sink text NOT NULL, incarnation bytea NOT NULL, start bigint "
    "NOT NULL, checkpoint bigint NOT NULL, PRIMARY KEY (job, sink))";

static enum wr_sql_outcome make_marker_table(struct wr_sql_driver *driver, struct weir_error *error) {
  struct postgres *postgres = postgres_of(driver);
  bool has = false;
  enum wr_sql_outcome outcome = wr_postgres_look_for_markers(&postgres->session, &has, error);
  if (outcome != WR_SQL_DONE || has) return outcome;
  outcome = run_marker(postgres, "CREATE TABLE ", marker_columns, NULL, "make the table of markers", NULL, error);
  if (outcome != WR_SQL_FAILED) return outcome;
  /* Somebody else may have made it at the same moment. */
  struct weir_error again;
  if (wr_postgres_look_for_markers(&postgres->session, &has, &again) == WR_SQL_DONE && has) return WR_SQL_DONE;
  if (error->code == WEIR_DENIED)
    WR_FAIL(
        error, WEIR_DENIED,
        "%s: the table of markers, %s, is not there and this user may not make it; make it beside the sink's table, "
        "and GRANT SELECT, INSERT, UPDATE ON it to the user: CREATE TABLE %s%s",
        postgres->config->where, postgres->session.server->marker_table, postgres->session.server->marker_table,
        marker_columns);
  return WR_SQL_FAILED;
}

static void incarnation_text(const uint8_t *incarnation, char *out_text) {
  int length = snprintf(out_text, INCARNATION_TEXT_BYTES, "\\x");
  for (size_t i = 0; i < WR_INCARNATION_BYTES; i++)
    length += snprintf(out_text + length, (size_t)(INCARNATION_TEXT_BYTES - length), "%02x", incarnation[i]);
}

struct marker_text {
  char incarnation[INCARNATION_TEXT_BYTES], start[NUMBER_BYTES], checkpoint[NUMBER_BYTES];
};

static void marker_text(const struct wr_marker *marker, struct marker_text *out) {
  incarnation_text(marker->incarnation, out->incarnation);
  snprintf(out->start, sizeof out->start, "%" PRIu64, marker->start_number);
  snprintf(out->checkpoint, sizeof out->checkpoint, "%" PRIu64, marker->checkpoint_id);
}

static enum weir_code marker_of_row(const struct postgres *postgres, const PGresult *result,
                                    struct wr_marker *out_marker, struct weir_error *error) {
  const struct wr_libpq *pq = &postgres->session.pq;
  const char *hex = pq->PQgetvalue(result, 0, 0);
  long long start = strtoll(pq->PQgetvalue(result, 0, 1), NULL, 10);
  long long checkpoint = strtoll(pq->PQgetvalue(result, 0, 2), NULL, 10);
  if (strlen(hex) != INCARNATION_TEXT_BYTES - 1 || start < 0 || checkpoint < 0)
    return WR_FAIL(
        error, WEIR_CONSTRAINT,
        "the row of job \"%s\", sink \"%s\" in table %s beside %s was not written by weir; the table belongs "
        "to weir and must not be changed by others",
        postgres->context->job_name, postgres->context->uid, postgres->session.server->marker_table,
        postgres->config->where);
  *out_marker =
      (struct wr_marker){.present = true, .start_number = (uint64_t)start, .checkpoint_id = (uint64_t)checkpoint};
  for (size_t i = 0; i < WR_INCARNATION_BYTES; i++) {
    const char digits[3] = {hex[2 + 2 * i], hex[3 + 2 * i], 0};
    out_marker->incarnation[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  return WEIR_OK;
}

static enum wr_sql_outcome read_marker(struct wr_sql_driver *driver, struct wr_marker *out_marker,
                                       struct weir_error *error) {
  struct postgres *postgres = postgres_of(driver);
  const char *const texts[] = {postgres->context->job_name, postgres->context->uid};
  PGresult *result = NULL;
  *out_marker = (struct wr_marker){.present = false};
  enum wr_sql_outcome outcome =
      run_marker(postgres, "SELECT incarnation, start, checkpoint FROM ", " WHERE job = $1 AND sink = $2 FOR UPDATE",
                 &(struct wr_postgres_values){.count = 2, .values = texts}, "read the job's marker", &result, error);
  if (outcome == WR_SQL_FAILED && strncmp(wr_postgres_state(error), "42P01", 5) == 0) return WR_SQL_DONE;
  if (outcome != WR_SQL_DONE) return outcome;
  enum weir_code code = WEIR_OK;
  if (postgres->session.pq.PQntuples(result) != 0) code = marker_of_row(postgres, result, out_marker, error);
  postgres->session.pq.PQclear(result);
  return code == WEIR_OK ? WR_SQL_DONE : WR_SQL_FAILED;
}

/* A statement that changes the marker; *out_rows: how many rows it found. */
static enum wr_sql_outcome change_marker(struct postgres *postgres, const char *before, const char *after,
                                         const char *const *texts, int count, uint64_t *out_rows,
                                         struct weir_error *error) {
  PGresult *result = NULL;
  *out_rows = 0;
  enum wr_sql_outcome outcome =
      run_marker(postgres, before, after, &(struct wr_postgres_values){.count = count, .values = texts},
                 "change the job's marker", &result, error);
  if (outcome == WR_SQL_FAILED && strncmp(wr_postgres_state(error), "42P01", 5) == 0)
    WR_FAIL(
        error, WEIR_REFUSED,
        "the table of markers, %s, beside %s is gone: the database was replaced or emptied while the job runs; start "
        "the job again, it then compares both",
        postgres->session.server->marker_table, postgres->config->where);
  if (outcome != WR_SQL_DONE) return outcome;
  *out_rows = strtoull(postgres->session.pq.PQcmdTuples(result), NULL, 10);
  postgres->session.pq.PQclear(result);
  return WR_SQL_DONE;
}

static enum wr_sql_outcome claim(struct wr_sql_driver *driver, const struct wr_marker *seen,
                                 const struct wr_marker *mine, uint64_t *out_rows, struct weir_error *error) {
  struct postgres *postgres = postgres_of(driver);
  struct marker_text new, old;
  marker_text(mine, &new);
  marker_text(seen, &old);
  const char *const texts[] = {postgres->context->job_name,
                               postgres->context->uid,
                               new.incarnation,
                               new.start,
                               new.checkpoint,
                               old.incarnation,
                               old.start,
                               old.checkpoint};
  if (!seen->present)
    return change_marker(postgres, "INSERT INTO ",
                         " (job, sink, incarnation, start, checkpoint) VALUES ($1, $2, $3, $4, $5) "
                         "ON CONFLICT (job, sink) DO NOTHING",
                         texts, 5, out_rows, error);
  return change_marker(postgres, "UPDATE ",
                       " SET incarnation = $3, start = $4, checkpoint = $5 WHERE job = $1 AND sink = $2 "
                       "AND incarnation = $6 AND start = $7 AND checkpoint = $8",
                       texts, 8, out_rows, error);
}

static enum wr_sql_outcome move_marker(struct wr_sql_driver *driver, const struct wr_marker *mine, uint64_t known_id,
                                       uint64_t *out_rows, struct weir_error *error) {
  struct postgres *postgres = postgres_of(driver);
  struct marker_text new;
  char known[NUMBER_BYTES];
  marker_text(mine, &new);
  snprintf(known, sizeof known, "%" PRIu64, known_id);
  const char *const texts[] = {
      postgres->context->job_name, postgres->context->uid, new.incarnation, new.start, new.checkpoint, known};
  return change_marker(postgres, "UPDATE ",
                       " SET checkpoint = $5 WHERE job = $1 AND sink = $2 AND incarnation = $3 AND start = $4 "
                       "AND checkpoint < $5 AND checkpoint >= $6",
                       texts, 6, out_rows, error);
}

/* ---- transactions ---- */

static enum wr_sql_outcome run(struct wr_sql_driver *driver, const char *sql, const char *doing,
                               struct weir_error *error) {
  return wr_postgres_run(&postgres_of(driver)->session, sql, NULL, doing, NULL, error);
}

/* Constraints that would wait for the COMMIT are checked with the rows, so that the row can be named. */
static enum wr_sql_outcome begin(struct wr_sql_driver *driver, struct weir_error *error) {
  postgres_of(driver)->has_savepoint = false;
  return run(driver, "BEGIN; SET CONSTRAINTS ALL IMMEDIATE", "begin a transaction", error);
}

/* Is the column that took no NULL one of the sink's table, or of a partition of it? Triggers write to other tables. */
static bool is_of_table(const struct postgres *postgres) {
  const char *table = postgres->session.server->table, *dot = strchr(table, '.');
  return postgres->table.has_partitions || strcmp(postgres->session.null_table, dot == NULL ? table : dot + 1) == 0;
}

static enum wr_sql_outcome write(struct wr_sql_driver *driver, enum wr_sql_change change, const struct wr_sql_row *rows,
                                 uint32_t count, struct weir_error *error) {
  struct postgres *postgres = postgres_of(driver);
  struct wr_postgres_session *session = &postgres->session;
  session->null_column[0] = 0;
  enum wr_sql_outcome outcome = wr_postgres_rows_write(&postgres->rows, session, change, rows, count, error);
  if (outcome == WR_SQL_FAILED && session->null_column[0] != 0 && is_of_table(postgres))
    wr_sql_nulls_blames_table(&postgres->nulls, postgres->config, postgres->context->schema, session->null_column,
                              error);
  return outcome;
}

/* Only the last one is ever gone back to; older ones of the same name would pile up on the server. */
static enum wr_sql_outcome set_savepoint(struct wr_sql_driver *driver, struct weir_error *error) {
  struct postgres *postgres = postgres_of(driver);
  const char *sql = postgres->has_savepoint ? "RELEASE SAVEPOINT weir; SAVEPOINT weir" : "SAVEPOINT weir";
  postgres->has_savepoint = true;
  return run(driver, sql, "set a savepoint", error);
}

static enum wr_sql_outcome roll_back_to_savepoint(struct wr_sql_driver *driver, struct weir_error *error) {
  return run(driver, "ROLLBACK TO SAVEPOINT weir", "roll back to a savepoint", error);
}

static enum wr_sql_outcome commit(struct wr_sql_driver *driver, struct weir_error *error) {
  struct postgres *postgres = postgres_of(driver);
  PGresult *result = NULL;
  enum wr_sql_outcome outcome = wr_postgres_run(&postgres->session, "COMMIT", NULL, "commit", &result, error);
  if (outcome == WR_SQL_GONE) return WR_SQL_UNKNOWN;
  if (outcome == WR_SQL_FAILED) { /* "it is not known", said by the server */
    const char *state = wr_postgres_state(error);
    return strncmp(state, "40003", 5) == 0 || strncmp(state, "08007", 5) == 0 ? WR_SQL_UNKNOWN : outcome;
  }
  bool is_in = strcmp(postgres->session.pq.PQcmdStatus(result), "COMMIT") == 0;
  postgres->session.pq.PQclear(result);
  if (is_in) return WR_SQL_DONE;
  WR_FAIL(error, WEIR_IO, "%s: cannot commit: the server has rolled the transaction back", postgres->config->where);
  return WR_SQL_FAILED;
}

static enum wr_sql_outcome roll_back(struct wr_sql_driver *driver, struct weir_error *error) {
  return run(driver, "ROLLBACK", "roll back", error);
}

/* ---- life ---- */

static void close_driver(struct wr_sql_driver *driver) {
  wr_postgres_close(&postgres_of(driver)->session);
}

static void free_driver(struct wr_sql_driver *driver) {
  struct postgres *postgres = postgres_of(driver);
  wr_sql_table_deinit(&postgres->table);
  wr_postgres_rows_deinit(&postgres->rows);
  wr_bytes_deinit(&postgres->sql);
  wr_free(postgres->context->memory, postgres);
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

enum weir_code wr_postgres_driver_new(const struct wr_sql_config *config, const struct wr_target_context *context,
                                      struct wr_sql_driver **out_driver, struct weir_error *error) {
  const struct wr_sql_server *server = config->driver_config;
  struct postgres *postgres = wr_alloc_zeroed(context->memory, 1, sizeof *postgres, WR_MEMORY_SINK);
  if (postgres == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %s", config->where);
  postgres->driver.vtable = &vtable;
  postgres->config = config;
  postgres->context = context;
  postgres->session = (struct wr_postgres_session){
      .server = server, .job_name = context->job_name, .seams = context->seams, .memory = context->memory};
  wr_sql_table_init(&postgres->table, context->memory);
  wr_bytes_init(&postgres->sql, context->memory, WR_MEMORY_SINK);
  enum weir_code code =
      wr_postgres_rows_init(&postgres->rows, context->memory, config, server, context->schema, &postgres->table, error);
  if (code != WEIR_OK) {
    wr_free(context->memory, postgres);
    return code;
  }
  *out_driver = &postgres->driver;
  return WEIR_OK;
}
