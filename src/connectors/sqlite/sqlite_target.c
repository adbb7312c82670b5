/* connectors/sqlite/sqlite_target.c: see sqlite_target.h.
 *
 * The marker, one row per (job, sink), in the same database as the rows, so that one transaction moves both:
 *
 *   weir_marker(job TEXT, sink TEXT, incarnation BLOB, start INTEGER, checkpoint INTEGER, PRIMARY KEY(job, sink))
 *
 *   claim      one transaction: tables, then start = mine where the row is still as it was seen (or INSERT)
 *   commit N   one transaction: UPDATE ... SET checkpoint = N WHERE incarnation and start are mine AND checkpoint < N,
 *              first of all; then the rows. No row updated: one SELECT in the same transaction says why. Never the
 *              other way round: between a SELECT and the rows that it lets through, a later start could claim.
 *
 * An answer that got lost (COMMIT failed, but may have happened) is settled by the next try, which finds the marker
 * moved, or not. All functions run inside calls, one at a time. Statements live as long as the connection.
 */
#include "connectors/sqlite/sqlite_target.h"

#include "connectors/sqlite/sqlite_table.h"
#include "connectors/target_marker.h"
#include "connectors/upsert_fold.h"
#include "operators/epoch_rows.h"

#include <inttypes.h>

const struct wr_connector_option wr_sqlite_options[WR_SQLITE_OPTION_COUNT] = {
    [WR_SQLITE_PATH] = {.key = "path",
                        .type = WR_CONNECTOR_TEXT,
                        .help = "the file of the database; made where it is missing, its folder must be there"},
    [WR_SQLITE_TABLE] = {.key = "table-name", .type = WR_CONNECTOR_TEXT, .help = "the table; made where it is missing"},
};

struct sqlite_target {
  struct wr_target target;
  struct wr_target_context context;
  const struct wr_sqlite_config *config;
  struct wr_sqlite_database database;
  struct wr_sqlite_table table;
  sqlite3_stmt *move_marker; /* NULL: not prepared on this connection */
  sqlite3_stmt *read_marker;
  struct wr_upsert_fold fold; /* empty between two commits */
};

static struct sqlite_target *target_of(struct wr_target *target) {
  return (struct sqlite_target *)target;
}

/* ---- connection ---- */

static void close_target(struct wr_target *target) {
  struct sqlite_target *sqlite = target_of(target);
  wr_sqlite_close(&sqlite->database);
  wr_sqlite_table_forget(&sqlite->table);
  sqlite->move_marker = NULL;
  sqlite->read_marker = NULL;
}

static enum weir_code connect(struct wr_target *target, struct weir_error *error) {
  close_target(target);
  return wr_sqlite_open(&target_of(target)->database, error);
}

/* ---- the marker ---- */

static const char marker_table[] =
    "CREATE TABLE IF NOT EXISTS weir_marker(job TEXT, sink TEXT, incarnation BLOB, start INTEGER, "
    "checkpoint INTEGER, PRIMARY KEY(job, sink))";
static const char marker_read[] = "SELECT incarnation, start, checkpoint FROM weir_marker WHERE job = ?1 AND sink = ?2";
static const char marker_move[] = "UPDATE weir_marker SET checkpoint = ?5 WHERE job = ?1 AND sink = ?2 "
                                  "AND incarnation = ?3 AND start = ?4 AND checkpoint < ?5";
static const char marker_insert[] =
    "INSERT INTO weir_marker(job, sink, incarnation, start, checkpoint) VALUES (?1, ?2, ?3, ?4, ?5)";
static const char marker_claim[] =
    "UPDATE weir_marker SET incarnation = ?3, start = ?4, checkpoint = ?5 WHERE job = ?1 AND sink = ?2 "
    "AND incarnation = ?6 AND start = ?7 AND checkpoint = ?8";

/* Binds job, sink, and (where `marker` is given) incarnation, start, checkpoint. */
static int bind_marker(const struct sqlite_target *sqlite, sqlite3_stmt *statement, const struct wr_marker *marker) {
  int result = sqlite3_bind_text(statement, 1, sqlite->context.job_name, -1, SQLITE_STATIC);
  if (result == SQLITE_OK) result = sqlite3_bind_text(statement, 2, sqlite->context.uid, -1, SQLITE_STATIC);
  if (result != SQLITE_OK || marker == NULL) return result;
  result = sqlite3_bind_blob(statement, 3, marker->incarnation, WR_INCARNATION_BYTES, SQLITE_TRANSIENT);
  if (result == SQLITE_OK) result = sqlite3_bind_int64(statement, 4, (int64_t)marker->start_number);
  if (result == SQLITE_OK) result = sqlite3_bind_int64(statement, 5, (int64_t)marker->checkpoint_id);
  return result;
}

static enum weir_code marker_of_row(const struct sqlite_target *sqlite, sqlite3_stmt *statement,
                                    struct wr_marker *out_marker, struct weir_error *error) {
  const void *incarnation = sqlite3_column_blob(statement, 0);
  int64_t start = sqlite3_column_int64(statement, 1), checkpoint = sqlite3_column_int64(statement, 2);
  if (incarnation == NULL || sqlite3_column_bytes(statement, 0) != WR_INCARNATION_BYTES || start < 0 || checkpoint < 0)
    return WR_FAIL(error, WEIR_CONSTRAINT,
                   "the row of job \"%s\", sink \"%s\" in table weir_marker of %s was not written by weir; the table "
                   "belongs to weir and must not be changed by others",
                   sqlite->context.job_name, sqlite->context.uid, sqlite->config->path);
  *out_marker =
      (struct wr_marker){.present = true, .start_number = (uint64_t)start, .checkpoint_id = (uint64_t)checkpoint};
  memcpy(out_marker->incarnation, incarnation, WR_INCARNATION_BYTES);
  return WEIR_OK;
}

/* Reads the row, with a statement that is prepared. */
static enum weir_code select_marker(const struct sqlite_target *sqlite, sqlite3_stmt *statement,
                                    struct wr_marker *out_marker, struct weir_error *error) {
  *out_marker = (struct wr_marker){.present = false};
  int result = bind_marker(sqlite, statement, NULL);
  if (result == SQLITE_OK) result = sqlite3_step(statement);
  enum weir_code code = WEIR_OK;
  if (result == SQLITE_ROW)
    code = marker_of_row(sqlite, statement, out_marker, error);
  else if (result != SQLITE_DONE)
    code = wr_sqlite_fail(&sqlite->database, result, "read the job's marker", error);
  sqlite3_reset(statement);
  return code;
}

static enum weir_code read_marker(struct wr_target *target, struct wr_marker *out_marker, struct weir_error *error) {
  struct sqlite_target *sqlite = target_of(target);
  *out_marker = (struct wr_marker){.present = false};
  bool has = false;
  WR_TRY(wr_sqlite_has_table(&sqlite->database, "weir_marker", &has, error));
  if (!has) return WEIR_OK;
  sqlite3_stmt *statement = NULL;
  WR_TRY(wr_sqlite_prepare(&sqlite->database, marker_read, "read the job's marker", &statement, error));
  enum weir_code code = select_marker(sqlite, statement, out_marker, error);
  sqlite3_finalize(statement);
  return code;
}

/* ---- claim ---- */

/* One run of a marker's statement; *out_changed: rows. */
static enum weir_code change_marker(struct sqlite_target *sqlite, const char *sql, const struct wr_marker *mine,
                                    const struct wr_marker *seen, int *out_changed, struct weir_error *error) {
  static const char doing[] = "claim the job's marker";
  sqlite3_stmt *statement = NULL;
  WR_TRY(wr_sqlite_prepare(&sqlite->database, sql, doing, &statement, error));
  int result = bind_marker(sqlite, statement, mine);
  if (result == SQLITE_OK && seen->present) {
    result = sqlite3_bind_blob(statement, 6, seen->incarnation, WR_INCARNATION_BYTES, SQLITE_STATIC);
    if (result == SQLITE_OK) result = sqlite3_bind_int64(statement, 7, (int64_t)seen->start_number);
    if (result == SQLITE_OK) result = sqlite3_bind_int64(statement, 8, (int64_t)seen->checkpoint_id);
  }
  enum weir_code code = result == SQLITE_OK ? wr_sqlite_run(&sqlite->database, statement, doing, error)
                                            : wr_sqlite_fail(&sqlite->database, result, doing, error);
  *out_changed = sqlite3_changes(sqlite->database.connection);
  sqlite3_finalize(statement);
  return code;
}

/* In claim's transaction, when the tables are there. The row is looked at first, which is no "SELECT and then apply":
 * nothing is let through by it, and the change itself compares again. */
static enum weir_code claim_marker(struct sqlite_target *sqlite, const struct wr_marker *seen, uint64_t checkpoint,
                                   struct weir_error *error) {
  struct wr_marker present, mine = wr_marker_mine(&sqlite->context, checkpoint);
  WR_TRY(read_marker(&sqlite->target, &present, error));
  /* A claim that was made and whose answer got lost. Start numbers are never used twice, so it is ours. */
  if (wr_marker_is_mine(&sqlite->context, &present)) return WEIR_OK;
  WR_TRY(wr_marker_check_claim(&sqlite->context, seen, &present, sqlite->config->path, error));
  int changed = 0;
  WR_TRY(change_marker(sqlite, seen->present ? marker_claim : marker_insert, &mine, seen, &changed, error));
  return changed == 1 ? WEIR_OK : wr_marker_fenced(&sqlite->context, &present, sqlite->config->path, error);
}

/* Rows with a key go anywhere in the table, and 64 MiB of it stay in memory; those without go behind its last one, and
 * SQLite's own 2 MiB are more than enough. */
static enum weir_code set_cache(struct sqlite_target *sqlite, struct weir_error *error) {
  if (sqlite->config->mode != WR_SQLITE_UPSERT) return WEIR_OK;
  return wr_sqlite_execute(&sqlite->database, "PRAGMA cache_size=-65536", error);
}

static enum weir_code prepare_statements(struct sqlite_target *sqlite, struct weir_error *error) {
  static const char doing[] = "move the job's marker";
  if (sqlite->read_marker == NULL)
    WR_TRY(wr_sqlite_prepare(&sqlite->database, marker_read, doing, &sqlite->read_marker, error));
  if (sqlite->move_marker == NULL)
    WR_TRY(wr_sqlite_prepare(&sqlite->database, marker_move, doing, &sqlite->move_marker, error));
  return wr_sqlite_table_prepare(&sqlite->table, error);
}

static enum weir_code claim_in_transaction(struct sqlite_target *sqlite, const struct wr_marker *seen,
                                           uint64_t checkpoint, struct weir_error *error) {
  WR_TRY(wr_sqlite_execute(&sqlite->database, marker_table, error));
  WR_TRY(claim_marker(sqlite, seen, checkpoint, error));
  WR_TRY(wr_sqlite_table_make(&sqlite->table, error));
  WR_TRY(prepare_statements(sqlite, error));
  return wr_sqlite_commit(&sqlite->database, error);
}

static enum weir_code claim(struct wr_target *target, const struct wr_marker *seen, uint64_t checkpoint,
                            struct weir_error *error) {
  struct sqlite_target *sqlite = target_of(target);
  WR_TRY(wr_sqlite_check_identity(&sqlite->database, error));
  WR_TRY(wr_sqlite_execute(&sqlite->database, "PRAGMA journal_mode=WAL", error));
  WR_TRY(set_cache(sqlite, error));
  WR_TRY(wr_sqlite_begin(&sqlite->database, error));
  enum weir_code code = claim_in_transaction(sqlite, seen, checkpoint, error);
  if (code != WEIR_OK) wr_sqlite_roll_back(&sqlite->database);
  return code;
}

/* ---- commit ---- */

/* The marker did not move: why? */
static enum weir_code explain(struct sqlite_target *sqlite, const struct wr_epoch *epoch, bool *out_already,
                              struct weir_error *error) {
  struct wr_marker marker;
  WR_TRY(select_marker(sqlite, sqlite->read_marker, &marker, error));
  return wr_marker_explain(&sqlite->context, &marker, epoch->checkpoint_id, 0, sqlite->config->path, out_already,
                           error);
}

/* Rows on their way into one statement. */
struct gathered {
  struct wr_sqlite_row rows[WR_SQLITE_ROWS_MAX];
  uint32_t count;
};

static enum weir_code write_gathered(struct sqlite_target *sqlite, struct gathered *gathered,
                                     struct weir_error *error) {
  uint32_t count = gathered->count;
  gathered->count = 0;
  return wr_sqlite_table_write(&sqlite->table, gathered->rows, count, error);
}

static enum weir_code gather(struct sqlite_target *sqlite, struct gathered *gathered, const struct wr_batch *batch,
                             uint32_t row, struct weir_error *error) {
  gathered->rows[gathered->count++] = (struct wr_sqlite_row){.batch = batch, .row = row};
  return gathered->count == WR_SQLITE_ROWS_MAX ? write_gathered(sqlite, gathered, error) : WEIR_OK;
}

/* Each key occurs once in it, so deletes may go before what is gathered. */
static enum weir_code write_fold(struct sqlite_target *sqlite, struct weir_error *error) {
  struct wr_upsert_fold *fold = &sqlite->fold;
  struct gathered gathered = {.count = 0};
  for (uint32_t i = 0; i < fold->change_count; i++) {
    const struct wr_fold_change *change = &fold->changes[i];
    const struct wr_batch *batch = fold->batches[change->batch];
    if (wr_batch_row_kind(batch, change->row) == WEIR_DELETE)
      WR_TRY(wr_sqlite_table_delete(&sqlite->table, batch, change->row, error));
    else
      WR_TRY(gather(sqlite, &gathered, batch, change->row, error));
  }
  WR_TRY(write_gathered(sqlite, &gathered, error));
  wr_upsert_fold_clear(fold);
  return WEIR_OK;
}

static enum weir_code insert_batch(struct sqlite_target *sqlite, const struct wr_batch *batch,
                                   struct weir_error *error) {
  struct gathered gathered = {.count = 0};
  for (uint32_t i = 0; i < batch->selected_count; i++) {
    uint32_t row = wr_batch_row(batch, i);
    enum weir_row_kind kind = wr_batch_row_kind(batch, row);
    if (kind != WEIR_INSERT && kind != WEIR_UPDATE_AFTER)
      return WR_FAIL(error, WEIR_CONSTRAINT,
                     "table \"%s\" in %s is only inserted into, but a row is to be taken back; give the sink a key",
                     sqlite->config->table, sqlite->config->path);
    WR_TRY(gather(sqlite, &gathered, batch, row, error));
  }
  return write_gathered(sqlite, &gathered, error);
}

static enum weir_code apply_batch(struct sqlite_target *sqlite, struct wr_batch *batch, struct weir_error *error) {
  if (sqlite->config->mode == WR_SQLITE_INSERT) return insert_batch(sqlite, batch, error);
  WR_TRY(wr_upsert_fold_add(&sqlite->fold, batch, error));
  return wr_upsert_fold_is_full(&sqlite->fold) ? write_fold(sqlite, error) : WEIR_OK;
}

static enum weir_code apply(struct sqlite_target *sqlite, const struct wr_epoch *epoch, struct weir_error *error) {
  struct wr_epoch_rows rows;
  wr_epoch_rows_init(&rows, sqlite->context.store, sqlite->context.memory, sqlite->context.schema, epoch);
  enum weir_code code = WEIR_OK;
  struct wr_batch *batch = NULL;
  while ((code = wr_epoch_rows_next(&rows, &batch, error)) == WEIR_OK && batch != NULL) {
    code = apply_batch(sqlite, batch, error);
    wr_batch_unref(batch);
    if (code != WEIR_OK) break;
  }
  wr_epoch_rows_deinit(&rows);
  return code == WEIR_OK ? write_fold(sqlite, error) : code;
}

static enum weir_code commit_in_transaction(struct sqlite_target *sqlite, const struct wr_epoch *epoch,
                                            bool *out_already, struct weir_error *error) {
  static const char doing[] = "move the job's marker";
  WR_TRY(prepare_statements(sqlite, error));
  const struct wr_marker mine = wr_marker_mine(&sqlite->context, epoch->checkpoint_id);
  int result = bind_marker(sqlite, sqlite->move_marker, &mine);
  if (result != SQLITE_OK) return wr_sqlite_fail(&sqlite->database, result, doing, error);
  WR_TRY(wr_sqlite_run(&sqlite->database, sqlite->move_marker, doing, error));
  if (sqlite3_changes(sqlite->database.connection) == 0) return explain(sqlite, epoch, out_already, error);
  WR_TRY(apply(sqlite, epoch, error));
  return wr_sqlite_commit(&sqlite->database, error);
}

/* A database that has lost the marker's table was replaced; said before a statement about it cannot be prepared. */
static enum weir_code check_marker_table(struct sqlite_target *sqlite, struct weir_error *error) {
  bool has = false;
  if (sqlite->move_marker != NULL) return WEIR_OK;
  WR_TRY(wr_sqlite_has_table(&sqlite->database, "weir_marker", &has, error));
  if (has) return WEIR_OK;
  return WR_FAIL(error, WEIR_REFUSED,
                 "%s has no table weir_marker any more: the database was replaced or emptied while the job runs; start "
                 "the job again, it then compares both",
                 sqlite->config->path);
}

static enum weir_code commit(struct wr_target *target, const struct wr_epoch *epoch, bool *out_already,
                             struct weir_error *error) {
  struct sqlite_target *sqlite = target_of(target);
  *out_already = false;
  WR_TRY(wr_sqlite_check_identity(&sqlite->database, error));
  WR_TRY(check_marker_table(sqlite, error));
  WR_TRY(wr_sqlite_begin(&sqlite->database, error));
  enum weir_code code = commit_in_transaction(sqlite, epoch, out_already, error);
  if (code != WEIR_OK || *out_already) wr_sqlite_roll_back(&sqlite->database);
  wr_upsert_fold_clear(&sqlite->fold);
  return code;
}

/* ---- life ---- */

static void free_target(struct wr_target *target) {
  struct sqlite_target *sqlite = target_of(target);
  close_target(target);
  wr_upsert_fold_deinit(&sqlite->fold);
  wr_free(sqlite->context.memory, sqlite);
}

static const struct wr_target_vtable vtable = {.connect = connect,
                                               .read_marker = read_marker,
                                               .claim = claim,
                                               .commit = commit,
                                               .close = close_target,
                                               .free = free_target};

enum weir_code wr_sqlite_config_check(const struct wr_sqlite_config *config, const struct weir_schema *schema,
                                      struct weir_error *error) {
  if (config->path == NULL || config->path[0] == 0)
    return WR_FAIL(error, WEIR_INVALID, "the SQLite sink needs the path of a database: sqlite:FILE");
  if (config->table == NULL || config->table[0] == 0 || strlen(config->table) > WR_NAME_BYTES_MAX)
    return WR_FAIL(error, WEIR_INVALID, "the SQLite sink needs the name of a table, 1 to %d bytes", WR_NAME_BYTES_MAX);
  if (sqlite3_stricmp(config->table, "weir_marker") == 0)
    return WR_FAIL(error, WEIR_INVALID, "table weir_marker is weir's own; give the SQLite sink another one");
  if ((config->mode == WR_SQLITE_UPSERT) != (config->key_count > 0))
    return WR_FAIL(error, WEIR_INVALID, "the SQLite sink for table \"%s\" %s", config->table,
                   config->key_count > 0 ? "only inserts, and has a key" : "updates rows, but has no key");
  for (uint32_t i = 0; i < config->key_count; i++)
    if (config->key_fields[i] >= schema->field_count)
      return WR_FAIL(error, WEIR_INVALID, "the key of table \"%s\" names field %u; rows have %u fields", config->table,
                     config->key_fields[i], schema->field_count);
  return WEIR_OK;
}

enum weir_code wr_sqlite_target_new(void *target_config, const struct wr_target_context *context,
                                    struct wr_target **out_target, struct weir_error *error) {
  const struct wr_sqlite_config *config = target_config;
  *out_target = NULL;
  WR_TRY(wr_sqlite_config_check(config, context->schema, error));
  struct sqlite_target *sqlite = wr_alloc_zeroed(context->memory, 1, sizeof *sqlite, WR_MEMORY_SINK);
  if (sqlite == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for SQLite sink %s", context->uid);
  sqlite->target.vtable = &vtable;
  sqlite->context = *context;
  sqlite->config = config;
  sqlite->database = (struct wr_sqlite_database){.seams = context->seams, .path = config->path};
  sqlite->table = (struct wr_sqlite_table){
      .database = &sqlite->database, .config = config, .schema = context->schema, .memory = context->memory};
  wr_upsert_fold_init(&sqlite->fold, context->memory,
                      (struct wr_key_fields){.fields = config->key_fields, .count = config->key_count});
  *out_target = &sqlite->target;
  return WEIR_OK;
}
