/* connectors/sql/sql_target.c: see sql_target.h.
 *
 * Always: after a function has returned, no transaction is open. `known_id` is what this start has claimed with or was
 * told that it has committed; the marker of a target that has lost nothing is never below it. All functions run inside
 * calls, one at a time.
 */
#include "connectors/sql/sql_target.h"

#include "connectors/dead_rows.h"
#include "connectors/sql/sql_changes.h"
#include "connectors/sql/sql_row_text.h"
#include "connectors/target_marker.h"
#include "operators/epoch_rows.h"

#include <inttypes.h>
#include <stdio.h>

enum { ROW_TEXT_BYTES = 256 };

struct sql_target {
  struct wr_target target;
  struct wr_plain_target plain; /* the same as a plain sink's: one of the two is handed out */
  struct wr_target_context context;
  const struct wr_sql_config *config;
  struct wr_sql_driver *driver;
  struct wr_sql_changes changes; /* empty between two commits */
  bool is_connected;
  bool is_careful; /* a row that is not taken is looked for */
  uint64_t known_id;
  struct wr_dead_rows dead; /* where the config leaves rows out */
  uint64_t left_out_id;     /* the epoch whose COMMIT was said last, and how many rows it leaves out */
  uint64_t left_out_count;
};

static struct sql_target *target_of(struct wr_target *target) {
  return (struct sql_target *)target;
}

/* ---- outcomes ---- */

static void close_target(struct wr_target *target) {
  struct sql_target *sql = target_of(target);
  sql->driver->vtable->close(sql->driver);
  sql->is_connected = false;
}

/* What an outcome means to the machine: a session that is not good is closed. */
static enum weir_code settle(struct sql_target *sql, enum wr_sql_outcome outcome, const struct weir_error *error) {
  if (outcome == WR_SQL_DONE) return WEIR_OK;
  if (outcome != WR_SQL_FAILED) close_target(&sql->target);
  return error->code;
}

/* Ends a transaction in which something went wrong. `code` stays what it is. */
static enum weir_code roll_back(struct sql_target *sql, enum weir_code code) {
  struct weir_error ignored;
  if (sql->is_connected && sql->driver->vtable->roll_back(sql->driver, &ignored) != WR_SQL_DONE)
    close_target(&sql->target);
  return code;
}

static enum weir_code open_session(struct sql_target *sql, struct weir_error *error) {
  close_target(&sql->target);
  sql->is_connected = true;
  enum wr_sql_outcome outcome = sql->driver->vtable->connect(sql->driver, error);
  if (outcome != WR_SQL_DONE) close_target(&sql->target);
  return outcome == WR_SQL_DONE ? WEIR_OK : error->code;
}

/* Nothing was begun yet: a session that went away while it was not used, between two epochs, is opened again. */
static enum weir_code begin(struct sql_target *sql, struct weir_error *error) {
  if (sql->is_connected) {
    enum wr_sql_outcome outcome = sql->driver->vtable->begin(sql->driver, error);
    if (outcome == WR_SQL_DONE || outcome == WR_SQL_FAILED) return settle(sql, outcome, error);
  }
  WR_TRY(open_session(sql, error));
  return settle(sql, sql->driver->vtable->begin(sql->driver, error), error);
}

static enum weir_code read_in_transaction(struct sql_target *sql, struct wr_marker *out_marker,
                                          struct weir_error *error) {
  *out_marker = (struct wr_marker){.present = false};
  return settle(sql, sql->driver->vtable->read_marker(sql->driver, out_marker, error), error);
}

static enum weir_code commit_transaction(struct sql_target *sql, struct weir_error *error) {
  return settle(sql, sql->driver->vtable->commit(sql->driver, error), error);
}

/* ---- connect, read_marker, claim ---- */

static enum weir_code connect_target(struct wr_target *target, struct weir_error *error) {
  struct weir_error own;
  return open_session(target_of(target), error == NULL ? &own : error);
}

static enum weir_code read_marker(struct wr_target *target, struct wr_marker *out_marker, struct weir_error *error) {
  struct sql_target *sql = target_of(target);
  struct weir_error own;
  if (error == NULL) error = &own;
  WR_TRY(begin(sql, error));
  return roll_back(sql, read_in_transaction(sql, out_marker, error));
}

/* The row is looked at first, which is no "SELECT and then apply": nothing is let through by it, it is locked, and the
 * change itself compares again. */
static enum weir_code claim_in_transaction(struct sql_target *sql, const struct wr_marker *seen, uint64_t checkpoint,
                                           struct weir_error *error) {
  struct wr_marker present, mine = wr_marker_mine(&sql->context, checkpoint);
  WR_TRY(read_in_transaction(sql, &present, error));
  /* A claim that was made and whose answer got lost is claimed once more, as it is. */
  if (!wr_marker_is_mine(&sql->context, &present))
    WR_TRY(wr_marker_check_claim(&sql->context, seen, &present, sql->config->where, error));
  uint64_t rows = 0;
  WR_TRY(settle(sql, sql->driver->vtable->claim(sql->driver, &present, &mine, &rows, error), error));
  /* The row that was not there, and could not be locked, was put there meanwhile: whose it is the next comparison says.
   */
  if (rows != 1 && !present.present) return wr_marker_came(&sql->context, sql->config->where, error);
  if (rows != 1) return wr_marker_fenced(&sql->context, &present, sql->config->where, error);
  return commit_transaction(sql, error);
}

static enum weir_code claim(struct wr_target *target, const struct wr_marker *seen, uint64_t checkpoint,
                            struct weir_error *error) {
  struct sql_target *sql = target_of(target);
  struct weir_error own;
  if (error == NULL) error = &own;
  if (!sql->is_connected) WR_TRY(open_session(sql, error));
  WR_TRY(settle(sql, sql->driver->vtable->make_marker_table(sql->driver, error), error));
  WR_TRY(begin(sql, error));
  enum weir_code code = claim_in_transaction(sql, seen, checkpoint, error);
  if (code != WEIR_OK) return roll_back(sql, code);
  sql->known_id = checkpoint;
  return wr_dead_rows_clean(&sql->context, checkpoint, error);
}

/* ---- commit: rows ---- */

/* Names the one row that was not taken. */
static enum weir_code name_row(const struct sql_target *sql, const struct wr_sql_row *row, struct weir_error *error) {
  char text[ROW_TEXT_BYTES];
  wr_sql_row_text(row->batch, row->row, sql->config->key_fields, sql->config->key_count, text, sizeof text);
  return wr_error_prefix(error, "the row with %s is not taken", text);
}

/* Writes rows one half after the other, down to those that are not taken. */
static enum weir_code write_carefully(struct sql_target *sql, enum wr_sql_change change, const struct wr_sql_row *rows,
                                      uint32_t count, struct weir_error *error) {
  const struct wr_sql_driver_vtable *driver = sql->driver->vtable;
  WR_TRY(settle(sql, driver->set_savepoint(sql->driver, error), error));
  enum weir_code code = settle(sql, driver->write(sql->driver, change, rows, count, error), error);
  if (code != WEIR_CONSTRAINT || !sql->is_connected) return code;
  if (count == 1 && !sql->config->leaves_out) return name_row(sql, rows, error);
  if (count == 1) WR_TRY(wr_dead_rows_put(&sql->dead, rows->batch, rows->row, error->message, error));
  WR_TRY(settle(sql, driver->roll_back_to_savepoint(sql->driver, error), error));
  if (count == 1) return WEIR_OK;
  WR_TRY(write_carefully(sql, change, rows, count / 2, error));
  return write_carefully(sql, change, rows + count / 2, count - count / 2, error);
}

static enum weir_code write_changes(struct sql_target *sql, struct weir_error *error) {
  static const enum wr_sql_change order[] = {WR_SQL_DELETE, WR_SQL_WRITE};
  for (size_t i = 0; i < 2; i++) {
    const struct wr_sql_row *rows = NULL;
    uint32_t count = 0;
    WR_TRY(wr_sql_changes_rows(&sql->changes, order[i], &rows, &count, error));
    if (count == 0) continue;
    if (sql->is_careful)
      WR_TRY(write_carefully(sql, order[i], rows, count, error));
    else
      WR_TRY(settle(sql, sql->driver->vtable->write(sql->driver, order[i], rows, count, error), error));
  }
  wr_sql_changes_clear(&sql->changes);
  return WEIR_OK;
}

/* Rows that no statement can say: the fold skips them. */
static enum weir_code leave_out_null_keys(struct sql_target *sql, const struct wr_batch *batch,
                                          struct weir_error *error) {
  for (uint32_t i = 0; i < batch->selected_count; i++) {
    uint32_t row = wr_batch_row(batch, i);
    if (wr_batch_row_kind(batch, row) != WEIR_UPDATE_BEFORE &&
        wr_upsert_fold_has_null_key(&sql->changes.fold, batch, row))
      WR_TRY(wr_dead_rows_put(&sql->dead, batch, row, "it has NULL in its key", error));
  }
  return WEIR_OK;
}

static enum weir_code add(struct sql_target *sql, struct wr_batch *batch, struct weir_error *error) {
  if (sql->changes.fold.skips_null_keys) WR_TRY(leave_out_null_keys(sql, batch, error));
  WR_TRY(wr_sql_changes_add(&sql->changes, batch, error));
  return wr_sql_changes_is_full(&sql->changes) ? write_changes(sql, error) : WEIR_OK;
}

static enum weir_code apply(struct sql_target *sql, const struct wr_epoch *epoch, struct weir_error *error) {
  struct wr_epoch_rows rows;
  wr_epoch_rows_init(&rows, sql->context.store, sql->context.memory, sql->context.schema, epoch);
  enum weir_code code = WEIR_OK;
  struct wr_batch *batch = NULL;
  while ((code = wr_epoch_rows_next(&rows, &batch, error)) == WEIR_OK && batch != NULL) {
    code = add(sql, batch, error);
    wr_batch_unref(batch);
    if (code != WEIR_OK) break;
  }
  wr_epoch_rows_deinit(&rows);
  return code == WEIR_OK ? write_changes(sql, error) : code;
}

/* ---- commit: the transaction ---- */

static enum weir_code commit_in_transaction(struct sql_target *sql, const struct wr_epoch *epoch, bool *out_already,
                                            struct weir_error *error) {
  const struct wr_marker mine = wr_marker_mine(&sql->context, epoch->checkpoint_id);
  uint64_t rows = 0;
  WR_TRY(settle(sql, sql->driver->vtable->move_marker(sql->driver, &mine, sql->known_id, &rows, error), error));
  if (rows == 0) {
    struct wr_marker present;
    WR_TRY(read_in_transaction(sql, &present, error));
    return wr_marker_explain(&sql->context, &present, epoch->checkpoint_id, sql->known_id, sql->config->where,
                             out_already, error);
  }
  WR_TRY(apply(sql, epoch, error));
  if (sql->config->leaves_out) WR_TRY(wr_dead_rows_publish(&sql->dead, error));
  sql->left_out_id = epoch->checkpoint_id;
  sql->left_out_count = sql->dead.count;
  return commit_transaction(sql, error);
}

/* The epoch is in, by this try or by the one before it, whose answer was lost. */
static void tell_left_out(struct sql_target *sql, uint64_t id) {
  const struct wr_target_context *context = &sql->context;
  uint64_t count = sql->left_out_id == id ? sql->left_out_count : 0;
  sql->left_out_count = 0;
  if (count == 0) return;
  if (context->rejected_rows != NULL) atomic_fetch_add_explicit(context->rejected_rows, count, memory_order_relaxed);
  wr_log_write(context->seams->log, WR_LOG_WARN,
               "sink %s: epoch %" PRIu64 ": %" PRIu64
               " rows were not taken by %s and are left out; they are in dead-letter.%s.%" PRIu64
               ".ndjson in the job's folder",
               context->uid, id, count, sql->config->where, context->uid, id);
}

static enum weir_code commit_once(struct sql_target *sql, const struct wr_epoch *epoch, bool *out_already,
                                  struct weir_error *error) {
  WR_TRY(begin(sql, error));
  if (sql->config->leaves_out) wr_dead_rows_begin(&sql->dead, epoch->checkpoint_id);
  enum weir_code code = commit_in_transaction(sql, epoch, out_already, error);
  if (code != WEIR_OK || *out_already) code = roll_back(sql, code);
  wr_sql_changes_clear(&sql->changes);
  wr_dead_rows_end(&sql->dead);
  if (code != WEIR_OK) return code;
  sql->known_id = epoch->checkpoint_id > sql->known_id ? epoch->checkpoint_id : sql->known_id;
  tell_left_out(sql, epoch->checkpoint_id);
  return code;
}

static enum weir_code commit(struct wr_target *target, const struct wr_epoch *epoch, bool *out_already,
                             struct weir_error *error) {
  struct sql_target *sql = target_of(target);
  struct weir_error own;
  if (error == NULL) error = &own;
  *out_already = false;
  sql->is_careful = sql->config->leaves_out;
  enum weir_code code = commit_once(sql, epoch, out_already, error);
  if (code != WEIR_CONSTRAINT || sql->is_careful) return code;
  sql->is_careful = true;
  return commit_once(sql, epoch, out_already, error);
}

/* ---- plain: rows without a marker ---- */

static struct sql_target *sql_of_plain(struct wr_plain_target *plain) {
  return (struct sql_target *)((char *)plain - offsetof(struct sql_target, plain));
}

static enum weir_code write_in_transaction(struct sql_target *sql, struct wr_batch *const *batches, uint32_t count,
                                           struct weir_error *error) {
  for (uint32_t i = 0; i < count; i++)
    WR_TRY(add(sql, batches[i], error));
  WR_TRY(write_changes(sql, error));
  return commit_transaction(sql, error);
}

static enum weir_code write_once(struct sql_target *sql, struct wr_batch *const *batches, uint32_t count,
                                 struct weir_error *error) {
  WR_TRY(begin(sql, error));
  enum weir_code code = write_in_transaction(sql, batches, count, error);
  wr_sql_changes_clear(&sql->changes);
  return code == WEIR_OK ? code : roll_back(sql, code);
}

static enum weir_code plain_write(struct wr_plain_target *plain, struct wr_batch *const *batches, uint32_t count,
                                  struct weir_error *error) {
  struct sql_target *sql = sql_of_plain(plain);
  sql->is_careful = false;
  enum weir_code code = write_once(sql, batches, count, error);
  if (code != WEIR_CONSTRAINT) return code;
  sql->is_careful = true;
  return write_once(sql, batches, count, error);
}

static enum weir_code plain_connect(struct wr_plain_target *plain, struct weir_error *error) {
  return open_session(sql_of_plain(plain), error);
}

static void plain_close(struct wr_plain_target *plain) {
  close_target(&sql_of_plain(plain)->target);
}

/* ---- life ---- */

static void free_target(struct wr_target *target) {
  struct sql_target *sql = target_of(target);
  close_target(target);
  sql->driver->vtable->free(sql->driver);
  wr_sql_changes_deinit(&sql->changes);
  wr_dead_rows_deinit(&sql->dead);
  wr_free(sql->context.memory, sql);
}

static const struct wr_target_vtable vtable = {.connect = connect_target,
                                               .read_marker = read_marker,
                                               .claim = claim,
                                               .commit = commit,
                                               .close = close_target,
                                               .free = free_target};

enum weir_code wr_sql_config_check(const struct wr_sql_config *config, const struct weir_schema *schema,
                                   struct weir_error *error) {
  if ((config->mode == WR_SQL_UPSERT) != (config->key_count > 0))
    return WR_FAIL(error, WEIR_INVALID, "the sink for %s %s", config->where,
                   config->key_count > 0 ? "only inserts, and has a key" : "updates rows, but has no key");
  for (uint32_t i = 0; i < config->key_count; i++)
    if (config->key_fields[i] >= schema->field_count)
      return WR_FAIL(error, WEIR_INVALID, "the key of %s names field %u; rows have %u fields", config->where,
                     config->key_fields[i], schema->field_count);
  return WEIR_OK;
}

static void plain_free(struct wr_plain_target *plain) {
  free_target(&sql_of_plain(plain)->target);
}

static const struct wr_plain_target_vtable plain_vtable = {
    .connect = plain_connect, .write = plain_write, .close = plain_close, .free = plain_free};

static enum weir_code new_sql(const struct wr_sql_config *config, const struct wr_target_context *context,
                              struct sql_target **out_sql, struct weir_error *error) {
  *out_sql = NULL;
  WR_TRY(wr_sql_config_check(config, context->schema, error));
  struct sql_target *sql = wr_alloc_zeroed(context->memory, 1, sizeof *sql, WR_MEMORY_SINK);
  if (sql == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for sink %s", context->uid);
  sql->target.vtable = &vtable;
  sql->plain.vtable = &plain_vtable;
  sql->context = *context;
  sql->config = config;
  enum weir_code code = config->new_driver(config, &sql->context, &sql->driver, error);
  if (code != WEIR_OK) {
    wr_free(context->memory, sql);
    return code;
  }
  wr_sql_changes_init(&sql->changes, config, context->memory);
  if (config->leaves_out) {
    sql->changes.fold.skips_null_keys = config->mode == WR_SQL_UPSERT;
    code = wr_dead_rows_init(&sql->dead, &sql->context, error);
  }
  if (code == WEIR_OK)
    *out_sql = sql;
  else
    free_target(&sql->target);
  return code;
}

enum weir_code wr_sql_target_new(void *config, const struct wr_target_context *context, struct wr_target **out_target,
                                 struct weir_error *error) {
  struct sql_target *sql = NULL;
  enum weir_code code = new_sql(config, context, &sql, error);
  *out_target = sql == NULL ? NULL : &sql->target;
  return code;
}

enum weir_code wr_sql_plain_new(void *config, const struct wr_target_context *context,
                                struct wr_plain_target **out_target, struct weir_error *error) {
  struct sql_target *sql = NULL;
  enum weir_code code = new_sql(config, context, &sql, error);
  *out_target = sql == NULL ? NULL : &sql->plain;
  return code;
}
