/* sim/sim_sql.c: tables, transactions and locks; see sim_sql.h. What happens by itself (a COMMIT that comes late, a
 * session that is cut) is brought up to date whenever somebody looks, in the order of its times. */
#include "sim/sim_sql_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- rows ---- */

static char *copy_text(const char *text) {
  size_t length = strlen(text);
  char *copy = sim_host_alloc(length + 1);
  memcpy(copy, text, length + 1);
  return copy;
}

static bool is_same_row(const struct sim_sql_row *a, const struct sim_sql_row *b) {
  return a->key_length != 0 && a->key_length == b->key_length && memcmp(a->text, b->text, a->key_length) == 0;
}

static void add_row(struct sim_sql_rows *rows, struct sim_sql_row row) {
  if (rows->count == rows->capacity) {
    rows->capacity = rows->capacity == 0 ? 16 : rows->capacity * 2;
    rows->rows = sim_host_resize(rows->rows, rows->capacity * sizeof *rows->rows);
  }
  rows->rows[rows->count++] = row;
}

static void forget_rows(struct sim_sql_rows *rows) {
  for (size_t i = 0; i < rows->count; i++)
    free(rows->rows[i].text);
  free(rows->rows);
  *rows = (struct sim_sql_rows){0};
}

static struct sim_sql_rows copy_rows(const struct sim_sql_rows *rows) {
  struct sim_sql_rows copy = {0};
  for (size_t i = 0; i < rows->count; i++)
    add_row(&copy, (struct sim_sql_row){copy_text(rows->rows[i].text), rows->rows[i].key_length});
  return copy;
}

/* Takes the change's text over. */
static void apply(struct sim_sql_rows *rows, struct sim_sql_change *change) {
  size_t place = change->row.key_length == 0 ? rows->count : 0;
  while (place < rows->count && !is_same_row(&rows->rows[place], &change->row))
    place++;
  if (change->kind == SIM_SQL_PUT && place == rows->count) {
    add_row(rows, change->row);
    return;
  }
  if (place < rows->count) free(rows->rows[place].text);
  if (change->kind == SIM_SQL_PUT) {
    rows->rows[place] = change->row;
    return;
  }
  free(change->row.text);
  if (place < rows->count) rows->rows[place] = rows->rows[--rows->count];
}

/* ---- transactions ---- */

void sim_sql_undo(struct sim_sql_session *session, size_t from) {
  for (size_t i = from; i < session->change_count; i++)
    free(session->changes[i].row.text);
  session->change_count = from < session->change_count ? from : session->change_count;
}

void sim_sql_note_refused(struct sim_sql_session *session, const struct sim_sql_row *row, bool is_refused) {
  struct sim_sql_rows *rows = &session->refused;
  size_t place = 0;
  while (place < rows->count && strcmp(rows->rows[place].text, row->text) != 0)
    place++;
  if (is_refused && place == rows->count) add_row(rows, (struct sim_sql_row){copy_text(row->text), row->key_length});
  if (is_refused || place == rows->count) return;
  free(rows->rows[place].text);
  rows->rows[place] = rows->rows[--rows->count];
}

static void end_transaction(struct sim_sql_session *session) {
  forget_rows(&session->refused);
  session->is_open = session->is_aborted = session->holds_marker = session->moves_marker = false;
  session->has_savepoint = false;
  session->commit_at_ns = 0;
}

void sim_sql_begin(struct sim_sql_session *session) {
  if (session->is_open && session->sql->options.dialect == SIM_SQL_MYSQL) sim_sql_commit(session);
  session->is_open = true;
}

void sim_sql_roll_back(struct sim_sql_session *session) {
  sim_sql_undo(session, 0);
  end_transaction(session);
}

void sim_sql_commit(struct sim_sql_session *session) {
  struct sim_sql *sql = session->sql;
  struct wr_marker before = sql->marker;
  uint32_t rows = 0;
  for (size_t i = 0; i < session->change_count; i++) {
    rows += session->changes[i].kind != SIM_SQL_LOCK;
    if (session->changes[i].kind == SIM_SQL_LOCK)
      free(session->changes[i].row.text);
    else
      apply(&sql->table, &session->changes[i]);
  }
  session->change_count = 0;
  forget_rows(&sql->last_refused);
  sql->last_refused = session->refused;
  session->refused = (struct sim_sql_rows){0};
  bool moves = session->moves_marker;
  if (moves) sql->marker = session->marker;
  end_transaction(session);
  if (rows == 0 && !moves) return;
  sql->commits++;
  sim_world_trace(sql->world, "sql: %u rows are committed, the marker is %" PRIu64 "/%" PRIu64, rows,
                  sql->marker.start_number, sql->marker.checkpoint_id);
  if (sql->committed != NULL) sql->committed(sql->committed_context, &before, &sql->marker, rows);
}

void sim_sql_roll_back_to_savepoint(struct sim_sql_session *session) {
  sim_sql_undo(session, session->savepoint);
  session->is_aborted = false;
}

void sim_sql_change(struct sim_sql_session *session, enum sim_sql_kind kind, const struct sim_sql_row *row) {
  if (session->change_count == session->change_capacity) {
    session->change_capacity = session->change_capacity == 0 ? 16 : session->change_capacity * 2;
    session->changes = sim_host_resize(session->changes, session->change_capacity * sizeof *session->changes);
  }
  struct sim_sql_change *change = &session->changes[session->change_count++];
  change->kind = kind;
  change->row = (struct sim_sql_row){copy_text(row->text), row->key_length};
}

struct wr_marker sim_sql_marker_seen(const struct sim_sql_session *session) {
  return session->moves_marker ? session->marker : session->sql->marker;
}

struct sim_sql_session *sim_sql_holder(struct sim_sql_session *session, const struct sim_sql_row *row) {
  for (struct sim_sql_session *other = session->sql->sessions; other != NULL; other = other->next) {
    if (other == session || !other->is_open) continue;
    if (row == NULL && other->holds_marker) return other;
    for (size_t i = 0; row != NULL && i < other->change_count; i++)
      if (is_same_row(&other->changes[i].row, row)) return other;
  }
  return NULL;
}

/* ---- sessions ---- */

struct sim_sql_session *sim_sql_open_session(struct sim_sql *sql) {
  struct sim_sql_session *session = sim_host_alloc(sizeof *session);
  *session = (struct sim_sql_session){.sql = sql, .has_client = true, .next = sql->sessions};
  sql->sessions = session;
  return session;
}

void sim_sql_close_session(struct sim_sql_session *session) {
  struct sim_sql_session **place = &session->sql->sessions;
  while (*place != session)
    place = &(*place)->next;
  *place = session->next;
  sim_sql_undo(session, 0);
  forget_rows(&session->refused);
  free(session->changes);
  free(session);
}

void sim_sql_leave(struct sim_sql_session *session, uint64_t within_ns) {
  session->has_client = false;
  if (!session->is_open || session->is_over) {
    sim_sql_close_session(session);
    return;
  }
  session->end_at_ns = session->sql->world->now_ns + within_ns;
  if (session->commit_at_ns > session->end_at_ns) session->commit_at_ns = 0;
}

static uint64_t next_time_ns(const struct sim_sql_session *session) {
  if (session->has_client) return UINT64_MAX;
  return session->commit_at_ns != 0 ? session->commit_at_ns : session->end_at_ns;
}

void sim_sql_settle(struct sim_sql *sql) {
  for (;;) {
    struct sim_sql_session *first = NULL;
    for (struct sim_sql_session *session = sql->sessions; session != NULL; session = session->next)
      if (first == NULL || next_time_ns(session) < next_time_ns(first)) first = session;
    if (first == NULL || next_time_ns(first) > sql->world->now_ns) return;
    if (first->commit_at_ns != 0) {
      sim_world_trace(sql->world, "sql: a commit comes late");
      sim_sql_commit(first);
    } else {
      sql->world->fault_counts[SIM_FAULT_SQL_CUT]++;
    }
    sim_sql_close_session(first);
  }
}

void sim_sql_restart(struct sim_sql *sql) {
  sim_sql_unlock(sql);
  for (struct sim_sql_session *session = sql->sessions, *next; session != NULL; session = next) {
    next = session->next;
    sim_sql_roll_back(session);
    session->is_over = true;
    if (!session->has_client) sim_sql_close_session(session);
  }
}

/* ---- the harness ---- */

struct sim_sql *sim_sql_new(struct sim_world *world, const struct sim_sql_options *options) {
  struct sim_sql *sql = sim_host_alloc(sizeof *sql);
  *sql =
      (struct sim_sql){.world = world, .options = *options, .random = wr_random_of(options->seed), .has_table = true};
  snprintf(sql->rule_name, sizeof sql->rule_name, "sql:%s", options->name);
  return sql;
}

void sim_sql_free(struct sim_sql *sql) {
  if (sql == NULL) return;
  while (sql->sessions != NULL)
    sim_sql_close_session(sql->sessions);
  forget_rows(&sql->table);
  forget_rows(&sql->last_refused);
  free(sql);
}

uint32_t sim_sql_clients(const struct sim_sql *sql) {
  uint32_t count = 0;
  for (const struct sim_sql_session *session = sql->sessions; session != NULL; session = session->next)
    count += session->has_client && session != sql->rival;
  return count;
}

void sim_sql_on_commit(struct sim_sql *sql, sim_sql_committed *committed, void *context) {
  sql->committed = committed;
  sql->committed_context = context;
}

uint64_t sim_sql_commits(struct sim_sql *sql) {
  sim_sql_settle(sql);
  return sql->commits;
}

struct wr_marker sim_sql_marker(struct sim_sql *sql) {
  sim_sql_settle(sql);
  return sql->marker;
}

void sim_sql_read_all(struct sim_sql *sql, sim_sql_reader *reader, void *context) {
  for (size_t i = 0; i < sql->table.count; i++)
    reader(context, sql->table.rows[i].text);
}

void sim_sql_read_refused(struct sim_sql *sql, sim_sql_reader *reader, void *context) {
  for (size_t i = 0; i < sql->last_refused.count; i++)
    reader(context, sql->last_refused.rows[i].text);
}

static bool is_used(struct sim_sql *sql) {
  sim_sql_settle(sql);
  for (const struct sim_sql_session *session = sql->sessions; session != NULL; session = session->next)
    if (session->is_open && (session->change_count > 0 || session->holds_marker)) return true;
  return false;
}

bool sim_sql_drop_table(struct sim_sql *sql) {
  if (is_used(sql)) return false;
  sql->has_table = false;
  return true;
}

void sim_sql_restore_table(struct sim_sql *sql) {
  sql->has_table = true;
}

bool sim_sql_drop_markers(struct sim_sql *sql) {
  if (is_used(sql)) return false;
  sql->marker = (struct wr_marker){.present = false};
  sql->has_markers = false;
  return true;
}

bool sim_sql_push_marker(struct sim_sql *sql, uint64_t by) {
  if (is_used(sql) || !sql->marker.present) return false;
  sql->marker.checkpoint_id += by;
  return true;
}

void sim_sql_forbid(struct sim_sql *sql, bool is_forbidden) {
  sql->is_forbidden = is_forbidden;
}

void sim_sql_refuse_rows(struct sim_sql *sql, const char *const *texts, uint32_t count) {
  WR_ASSERT(count <= SIM_SQL_REFUSED_MAX);
  for (uint32_t i = 0; i < count; i++)
    sql->refused[i] = texts[i];
  sql->refused_count = count;
}

bool sim_sql_lock(struct sim_sql *sql, const char *key) {
  sim_sql_settle(sql);
  struct sim_sql_session *rival = sim_sql_open_session(sql);
  struct sim_sql_row row = {(char *)(uintptr_t)key, key == NULL ? 0 : strlen(key)};
  if (sql->rival != NULL || sim_sql_holder(rival, key == NULL ? NULL : &row) != NULL) {
    sim_sql_close_session(rival);
    return false;
  }
  sim_sql_begin(rival);
  rival->holds_marker = key == NULL;
  if (key != NULL) sim_sql_change(rival, SIM_SQL_LOCK, &row);
  sql->rival = rival;
  return true;
}

void sim_sql_unlock(struct sim_sql *sql) {
  if (sql->rival != NULL) sim_sql_close_session(sql->rival);
  sql->rival = NULL;
}

/* ---- copies ---- */

struct sim_sql_image {
  bool has_table, has_markers;
  struct sim_sql_rows table;
  struct wr_marker marker;
};

struct sim_sql_image *sim_sql_image_take(struct sim_sql *sql) {
  struct sim_sql_image *image = sim_host_alloc(sizeof *image);
  sim_sql_settle(sql);
  *image = (struct sim_sql_image){.has_table = sql->has_table,
                                  .has_markers = sql->has_markers,
                                  .table = copy_rows(&sql->table),
                                  .marker = sql->marker};
  return image;
}

void sim_sql_image_put(struct sim_sql *sql, const struct sim_sql_image *image) {
  sim_sql_settle(sql);
  sim_sql_restart(sql);
  forget_rows(&sql->table);
  sql->table = copy_rows(&image->table);
  sql->has_table = image->has_table;
  sql->has_markers = image->has_markers;
  sql->marker = image->marker;
}

void sim_sql_image_free(struct sim_sql_image *image) {
  if (image == NULL) return;
  forget_rows(&image->table);
  free(image);
}

void sim_sql_empty(struct sim_sql *sql) {
  static const struct sim_sql_image nothing = {.has_table = true};
  sim_sql_image_put(sql, &nothing);
}
