/* sim/sim_sql_driver.c: a client of the simulated SQL server: its calls, and how they go wrong; see sim_sql.h. */
#include "sim/sim_sql_int.h"

#include "connectors/target_marker.h"
#include "sim/sim_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ROW_BYTES = SIM_LOG_APP_BYTES_MAX + 200 };

struct sim_sql_client {
  struct wr_sql_driver driver; /* first */
  struct sim_sql *sql;
  const struct wr_sql_config *config;
  const struct wr_target_context *context;
  struct sim_sql_session *session; /* NULL: none */
};

static struct sim_sql_client *client_of(struct wr_sql_driver *driver) {
  return (struct sim_sql_client *)driver;
}

static bool is_at_once(const struct sim_sql *sql) {
  return sql->world->current == NULL || sql->world->direct != 0;
}

static bool befalls(struct sim_sql *sql, enum sim_fault fault) {
  struct sim_world *world = sql->world;
  for (size_t i = 0; !is_at_once(sql) && i < world->plan.rule_count; i++)
    if (strcmp(world->plan.rules[i].prefix, sql->rule_name) == 0)
      return sim_fault_draw(world, &world->plan.rules[i], fault);
  return false;
}

/* From now on, mostly soon. */
static uint64_t within_ns(struct sim_sql *sql, uint64_t max_ns) {
  struct wr_random *random = &sql->world->fault_random;
  return sim_draw_between(random, 1, wr_random_one_in(random, 2) ? max_ns / 8 + 2 : max_ns + 2);
}

/* ---- a call ---- */

/* The connection breaks; the server may not notice for a while. */
static void lose(struct sim_sql_client *client) {
  struct wr_calls *calls = &client->sql->world->calls;
  if (client->session == NULL) return;
  calls->disown(calls, client->session);
  sim_sql_leave(client->session, within_ns(client->sql, client->sql->options.idle_ns));
  client->session = NULL;
}

static enum wr_sql_outcome gone(struct sim_sql_client *client, enum weir_code code, const char *what,
                                struct weir_error *error) {
  WR_FAIL(error, code, "%s: cannot %s: %s", client->config->where, what,
          code == WEIR_TIMEOUT ? "no answer" : "the connection is gone");
  if (!sim_is_dead(client->sql->world)) lose(client);
  return WR_SQL_GONE;
}

/* Has the session ended meanwhile, or its process? */
static bool is_gone(const struct sim_sql_client *client) {
  return client->session == NULL || sim_is_dead(client->sql->world) || client->session->is_over;
}

/* False: it has no effect, since the process was killed, or by order. */
static bool operate(struct sim_sql *sql, const char *what) {
  struct sim_world *world = sql->world;
  if (sim_is_dead(world)) return false;
  uint64_t latency_ns = world->options.fast_disk ? 1000 : sim_draw_between(&sql->random, 20, 2000) * 1000;
  sim_coroutine_sleep(world, latency_ns);
  if (sim_is_dead(world)) return false;
  world->operations++;
  sim_world_trace(world, "sql %s", what);
  if (world->crash_at == world->operations && world->crash_side == SIM_CRASH_BEFORE) {
    sim_world_trace(world, "crash before sql %s", what);
    sim_coroutine_crash(world);
    return false;
  }
  bool fails = world->fail_at != 0 &&
               (world->operations == world->fail_at || (world->fail_for_ever && world->operations > world->fail_at));
  if (!fails) return true;
  world->failed = true;
  world->fault_counts[SIM_FAULT_ORDERED_ERROR]++;
  return false;
}

static void weather(struct sim_sql *sql) {
  uint64_t now_ns = sql->world->now_ns;
  if (befalls(sql, SIM_FAULT_SQL_NO_SPACE)) sql->full_until_ns = now_ns + within_ns(sql, sql->options.away_ns);
  if (befalls(sql, SIM_FAULT_SQL_READ_ONLY)) sql->read_only_until_ns = now_ns + within_ns(sql, sql->options.away_ns);
  if (!befalls(sql, SIM_FAULT_SQL_RESTARTED)) return;
  sim_sql_restart(sql);
  sql->away_until_ns = now_ns + within_ns(sql, sql->options.away_ns);
}

/* The statement gets to the server. GONE: it does not. */
static enum wr_sql_outcome ask(struct sim_sql_client *client, const char *what, struct weir_error *error) {
  struct sim_sql *sql = client->sql;
  if (!is_at_once(sql)) {
    if (!operate(sql, what)) return gone(client, WEIR_IO, what, error);
    weather(sql);
  }
  sim_sql_settle(sql);
  if (is_gone(client) || befalls(sql, SIM_FAULT_SQL_GONE)) return gone(client, WEIR_IO, what, error);
  if (!befalls(sql, SIM_FAULT_SQL_SILENT)) return WR_SQL_DONE;
  sim_coroutine_sleep(sql->world, within_ns(sql, sql->options.silent_ns));
  return gone(client, WEIR_TIMEOUT, what, error);
}

/* The answer gets to the client. GONE: it does not. */
static enum wr_sql_outcome answer(struct sim_sql_client *client, const char *what, enum wr_sql_outcome outcome,
                                  struct weir_error *error) {
  struct sim_world *world = client->sql->world;
  if (is_at_once(client->sql) || outcome == WR_SQL_GONE) return outcome;
  if (sim_is_dead(world)) return gone(client, WEIR_IO, what, error);
  if (world->crash_at == world->operations && world->crash_side == SIM_CRASH_AFTER) {
    sim_world_trace(world, "crash after sql %s", what);
    sim_coroutine_crash(world);
    return gone(client, WEIR_IO, what, error);
  }
  if (befalls(client->sql, SIM_FAULT_SQL_ANSWER_LOST)) return gone(client, WEIR_IO, what, error);
  if (!befalls(client->sql, SIM_FAULT_SQL_SLOW)) return outcome;
  sim_coroutine_sleep(world, within_ns(client->sql, client->sql->options.silent_ns));
  return sim_is_dead(world) ? gone(client, WEIR_IO, what, error) : outcome;
}

/* ---- a statement ---- */

/* The server says no to a statement. */
static enum wr_sql_outcome refuse(struct sim_sql_client *client, enum weir_code code, const char *what, const char *why,
                                  struct weir_error *error) {
  WR_FAIL(error, code, "%s: cannot %s: %s", client->config->where, what, why);
  struct sim_sql_session *session = client->session;
  session->is_aborted = session->is_open && client->sql->options.dialect == SIM_SQL_POSTGRES;
  return WR_SQL_FAILED;
}

static enum wr_sql_outcome check(struct sim_sql_client *client, bool writes, const char *what,
                                 struct weir_error *error) {
  const struct sim_sql *sql = client->sql;
  uint64_t now_ns = is_at_once(sql) ? UINT64_MAX : sql->world->now_ns;
  if (client->session->is_aborted) return refuse(client, WEIR_IO, what, "the transaction is aborted", error);
  if (writes && now_ns < sql->read_only_until_ns) return refuse(client, WEIR_BUSY, what, "it is read-only", error);
  if (writes && now_ns < sql->full_until_ns) return refuse(client, WEIR_NO_SPACE, what, "the disk is full", error);
  return WR_SQL_DONE;
}

/* Rolls back all of the transaction, which has ended then (MySQL), or takes nothing more. */
static enum wr_sql_outcome be_victim(struct sim_sql_client *client, const char *what, struct weir_error *error) {
  if (client->sql->options.dialect == SIM_SQL_MYSQL) sim_sql_roll_back(client->session);
  return refuse(client, WEIR_BUSY, what, "deadlock found", error);
}

/* Waits until nobody else holds the row; NULL: the marker's. */
static enum wr_sql_outcome lock(struct sim_sql_client *client, const struct sim_sql_row *row, const char *what,
                                struct weir_error *error) {
  struct sim_sql *sql = client->sql;
  uint64_t deadline_ns = sql->world->now_ns + sql->options.lock_ns;
  if (client->session->is_open && befalls(sql, SIM_FAULT_SQL_DEADLOCK)) return be_victim(client, what, error);
  while (sim_sql_holder(client->session, row) != NULL) {
    bool is_late = is_at_once(sql) || sql->world->now_ns >= deadline_ns;
    if (is_late && !is_at_once(sql)) sql->world->fault_counts[SIM_FAULT_SQL_LOCK_TIMEOUT]++;
    if (is_late) return refuse(client, WEIR_BUSY, what, "lock wait time-out", error);
    sim_coroutine_sleep(sql->world, sql->options.lock_ns / 16 + 1);
    sim_sql_settle(sql);
    if (is_gone(client)) return gone(client, WEIR_IO, what, error);
  }
  return WR_SQL_DONE;
}

/* Outside of a transaction each statement is one. */
static void end_statement(struct sim_sql_client *client) {
  if (!client->session->is_open) sim_sql_commit(client->session);
}

/* ---- connect ---- */

/* Its process was killed. */
static void abandon(void *handle) {
  struct sim_sql_session *session = handle;
  sim_sql_leave(session, within_ns(session->sql, session->sql->options.idle_ns));
}

static enum wr_sql_outcome look_at_table(struct sim_sql_client *client, struct weir_error *error) {
  if (!client->sql->has_table) {
    WR_FAIL(error, WEIR_NOT_FOUND, "%s is not there", client->config->where);
    return WR_SQL_FAILED;
  }
  if (!client->sql->is_forbidden) return WR_SQL_DONE;
  WR_FAIL(error, WEIR_DENIED, "%s: this user may not write to it", client->config->where);
  return WR_SQL_FAILED;
}

static enum wr_sql_outcome connect_client(struct wr_sql_driver *driver, struct weir_error *error) {
  static const char what[] = "connect";
  struct sim_sql_client *client = client_of(driver);
  struct sim_sql *sql = client->sql;
  struct wr_calls *calls = client->context->seams->calls;
  if (!is_at_once(sql)) {
    if (!operate(sql, what)) return gone(client, WEIR_IO, what, error);
    weather(sql);
    bool is_away = sql->world->now_ns < sql->away_until_ns;
    if (is_away) sql->world->fault_counts[SIM_FAULT_SQL_TURNED_AWAY]++;
    if (is_away || befalls(sql, SIM_FAULT_SQL_GONE)) return gone(client, WEIR_IO, what, error);
  }
  sim_sql_settle(sql);
  client->session = sim_sql_open_session(sql);
  calls->adopt(calls, client->session, abandon);
  return answer(client, what, look_at_table(client, error), error);
}

static void close_client(struct wr_sql_driver *driver) {
  struct sim_sql_client *client = client_of(driver);
  struct wr_calls *calls = client->context->seams->calls;
  if (client->session == NULL) return;
  if (!sim_is_dead(client->sql->world)) {
    calls->disown(calls, client->session);
    sim_sql_close_session(client->session);
  }
  client->session = NULL;
}

/* ---- the marker ---- */

static enum wr_sql_outcome make_marker_table(struct wr_sql_driver *driver, struct weir_error *error) {
  static const char what[] = "make the table of markers";
  struct sim_sql_client *client = client_of(driver);
  enum wr_sql_outcome outcome = ask(client, what, error);
  if (outcome == WR_SQL_DONE && !client->sql->has_markers) outcome = check(client, true, what, error);
  if (outcome == WR_SQL_DONE) client->sql->has_markers = true;
  return answer(client, what, outcome, error);
}

static enum wr_sql_outcome read_in_server(struct sim_sql_client *client, const char *what, struct wr_marker *out_marker,
                                          struct weir_error *error) {
  struct sim_sql *sql = client->sql;
  bool is_postgres = sql->options.dialect == SIM_SQL_POSTGRES;
  enum wr_sql_outcome outcome = check(client, is_postgres, what, error);
  if (outcome != WR_SQL_DONE) return outcome;
  if (!sql->has_markers) {
    client->session->is_aborted = client->session->is_open && is_postgres;
    return WR_SQL_DONE;
  }
  /* A row that an open transaction has inserted is not seen by PostgreSQL, and waited for by MySQL. */
  if (is_postgres && !sim_sql_marker_seen(client->session).present) return WR_SQL_DONE;
  outcome = lock(client, NULL, what, error);
  if (outcome != WR_SQL_DONE) return outcome;
  *out_marker = sim_sql_marker_seen(client->session);
  client->session->holds_marker = client->session->is_open && out_marker->present;
  return WR_SQL_DONE;
}

static enum wr_sql_outcome read_marker(struct wr_sql_driver *driver, struct wr_marker *out_marker,
                                       struct weir_error *error) {
  static const char what[] = "read the job's marker";
  struct sim_sql_client *client = client_of(driver);
  *out_marker = (struct wr_marker){.present = false};
  enum wr_sql_outcome outcome = ask(client, what, error);
  if (outcome == WR_SQL_DONE) outcome = read_in_server(client, what, out_marker, error);
  return answer(client, what, outcome, error);
}

/* The WHERE of a statement that changes the marker. */
struct condition {
  const struct wr_marker *as; /* it is as this; NULL: */
  const struct wr_marker *of; /* it is of this run, below it, and not below `known_id` */
  uint64_t known_id;
};

static bool fits(const struct condition *condition, const struct wr_marker *marker) {
  if (condition->as != NULL) return wr_marker_equal(condition->as, marker);
  const struct wr_marker *of = condition->of;
  return marker->present && marker->start_number == of->start_number &&
         memcmp(marker->incarnation, of->incarnation, WR_INCARNATION_BYTES) == 0 &&
         marker->checkpoint_id < of->checkpoint_id && marker->checkpoint_id >= condition->known_id;
}

static enum wr_sql_outcome change_in_server(struct sim_sql_client *client, const struct condition *condition,
                                            const struct wr_marker *to, const char *what, uint64_t *out_rows,
                                            struct weir_error *error) {
  struct sim_sql *sql = client->sql;
  struct sim_sql_session *session = client->session;
  enum wr_sql_outcome outcome = check(client, true, what, error);
  if (outcome != WR_SQL_DONE) return outcome;
  if (!sql->has_markers) return refuse(client, WEIR_REFUSED, what, "the table of markers is gone", error);
  struct wr_marker seen = sim_sql_marker_seen(session);
  if (sql->options.dialect == SIM_SQL_POSTGRES && !fits(condition, &seen)) return WR_SQL_DONE;
  outcome = lock(client, NULL, what, error);
  if (outcome != WR_SQL_DONE) return outcome;
  if (!sql->has_markers)
    return refuse(client, WEIR_REFUSED, what, "the table of markers is gone", error); /* meanwhile */
  seen = sim_sql_marker_seen(session);
  if (!fits(condition, &seen)) return WR_SQL_DONE;
  session->holds_marker = session->moves_marker = true;
  session->marker = *to;
  *out_rows = 1;
  end_statement(client);
  return WR_SQL_DONE;
}

static enum wr_sql_outcome change_marker(struct sim_sql_client *client, const struct condition *condition,
                                         const struct wr_marker *to, const char *what, uint64_t *out_rows,
                                         struct weir_error *error) {
  *out_rows = 0;
  enum wr_sql_outcome outcome = ask(client, what, error);
  if (outcome == WR_SQL_DONE) outcome = change_in_server(client, condition, to, what, out_rows, error);
  return answer(client, what, outcome, error);
}

static enum wr_sql_outcome claim(struct wr_sql_driver *driver, const struct wr_marker *seen,
                                 const struct wr_marker *mine, uint64_t *out_rows, struct weir_error *error) {
  const struct condition condition = {.as = seen};
  return change_marker(client_of(driver), &condition, mine, "claim the job's marker", out_rows, error);
}

static enum wr_sql_outcome move_marker(struct wr_sql_driver *driver, const struct wr_marker *mine, uint64_t known_id,
                                       uint64_t *out_rows, struct weir_error *error) {
  const struct condition condition = {.of = mine, .known_id = known_id};
  struct wr_marker to = *mine;
  to.present = true;
  return change_marker(client_of(driver), &condition, &to, "move the job's marker", out_rows, error);
}

/* ---- rows ---- */

/* Fields as text, tabs between. */
static struct sim_sql_row row_of(const struct sim_sql_client *client, const struct wr_sql_row *row,
                                 char text[ROW_BYTES], size_t *out_last) {
  const struct weir_schema *schema = client->context->schema;
  struct sim_sql_row result = {.text = text};
  size_t length = 0;
  for (uint32_t f = 0; f < schema->field_count; f++) {
    const struct wr_column *column = &row->batch->columns[f];
    if (f > 0) text[length++] = '\t';
    *out_last = length;
    if (schema->fields[f].type == WEIR_TYPE_BIGINT) {
      length += (size_t)snprintf(text + length, ROW_BYTES - length, "%" PRId64, wr_column_bigints(column)[row->row]);
    } else {
      const struct wr_view *view = &wr_column_views(column)[row->row];
      WR_ASSERT(length + (size_t)view->length + 1 < ROW_BYTES);
      memcpy(text + length, wr_view_bytes(row->batch, view), (size_t)view->length);
      length += (size_t)view->length;
    }
    if (f == 0 && client->config->mode == WR_SQL_UPSERT) result.key_length = length;
  }
  text[length] = 0;
  return result;
}

/* `last` is where its last field begins. */
static bool is_refused(const struct sim_sql *sql, const struct sim_sql_row *row, size_t last) {
  for (uint32_t i = 0; i < sql->refused_count; i++) {
    const char *refused = sql->refused[i];
    size_t length = strlen(refused);
    if (strcmp(row->text + last, refused) == 0) return true;
    if (row->key_length == length && memcmp(row->text, refused, length) == 0) return true;
  }
  return false;
}

static enum wr_sql_outcome write_row(struct sim_sql_client *client, enum wr_sql_change change,
                                     const struct wr_sql_row *row, bool is_alone, const char *what,
                                     struct weir_error *error) {
  char text[ROW_BYTES];
  size_t last = 0;
  struct sim_sql_row made = row_of(client, row, text, &last);
  bool refused = is_refused(client->sql, &made, last);
  if (client->session->is_open && (is_alone || !refused)) sim_sql_note_refused(client->session, &made, refused);
  if (refused) return refuse(client, WEIR_CONSTRAINT, what, "a row breaks a unique index", error);
  if (made.key_length > 0) {
    enum wr_sql_outcome outcome = lock(client, &made, what, error);
    if (outcome != WR_SQL_DONE) return outcome;
  }
  sim_sql_change(client->session, change == WR_SQL_DELETE ? SIM_SQL_TAKE : SIM_SQL_PUT, &made);
  return WR_SQL_DONE;
}

/* One statement: all of its rows, or none. */
static enum wr_sql_outcome write_in_server(struct sim_sql_client *client, enum wr_sql_change change,
                                           const struct wr_sql_row *rows, uint32_t count, const char *what,
                                           struct weir_error *error) {
  enum wr_sql_outcome outcome = check(client, true, what, error);
  if (outcome != WR_SQL_DONE) return outcome;
  if (!client->sql->has_table) return refuse(client, WEIR_NOT_FOUND, what, "there is no such table", error);
  if (client->sql->is_forbidden) return refuse(client, WEIR_DENIED, what, "permission denied", error);
  size_t before = client->session->change_count;
  for (uint32_t i = 0; i < count && outcome == WR_SQL_DONE; i++)
    outcome = write_row(client, change, &rows[i], count == 1, what, error);
  if (outcome == WR_SQL_FAILED) sim_sql_undo(client->session, before);
  if (outcome == WR_SQL_DONE) end_statement(client);
  return outcome;
}

static enum wr_sql_outcome write_rows(struct wr_sql_driver *driver, enum wr_sql_change change,
                                      const struct wr_sql_row *rows, uint32_t count, struct weir_error *error) {
  static const char what[] = "write rows";
  struct sim_sql_client *client = client_of(driver);
  enum wr_sql_outcome outcome = WR_SQL_DONE;
  for (uint32_t at = 0, length; at < count && outcome == WR_SQL_DONE; at += length) {
    bool is_all = wr_random_one_in(&client->sql->random, 2);
    length = is_all ? count - at : 1 + (uint32_t)wr_random_below(&client->sql->random, count - at);
    outcome = ask(client, what, error);
    if (outcome == WR_SQL_DONE) outcome = write_in_server(client, change, rows + at, length, what, error);
    outcome = answer(client, what, outcome, error);
  }
  return outcome;
}

/* ---- transactions ---- */

static enum wr_sql_outcome begin(struct wr_sql_driver *driver, struct weir_error *error) {
  static const char what[] = "begin a transaction";
  enum wr_sql_outcome outcome = ask(client_of(driver), what, error);
  if (outcome == WR_SQL_DONE) sim_sql_begin(client_of(driver)->session);
  return answer(client_of(driver), what, outcome, error);
}

static enum wr_sql_outcome set_savepoint(struct wr_sql_driver *driver, struct weir_error *error) {
  static const char what[] = "set a savepoint";
  struct sim_sql_client *client = client_of(driver);
  enum wr_sql_outcome outcome = ask(client, what, error);
  if (outcome == WR_SQL_DONE) outcome = check(client, false, what, error);
  if (outcome == WR_SQL_DONE && client->session->is_open) {
    client->session->has_savepoint = true;
    client->session->savepoint = client->session->change_count;
  }
  return answer(client, what, outcome, error);
}

static enum wr_sql_outcome roll_back_to_savepoint(struct wr_sql_driver *driver, struct weir_error *error) {
  static const char what[] = "roll back to a savepoint";
  struct sim_sql_client *client = client_of(driver);
  enum wr_sql_outcome outcome = ask(client, what, error);
  if (outcome == WR_SQL_DONE && !client->session->has_savepoint)
    outcome = refuse(client, WEIR_CONSTRAINT, what, "there is none", error);
  if (outcome == WR_SQL_DONE) sim_sql_roll_back_to_savepoint(client->session);
  return answer(client, what, outcome, error);
}

static enum wr_sql_outcome roll_back(struct wr_sql_driver *driver, struct weir_error *error) {
  static const char what[] = "roll back";
  enum wr_sql_outcome outcome = ask(client_of(driver), what, error);
  if (outcome == WR_SQL_DONE) sim_sql_roll_back(client_of(driver)->session);
  return answer(client_of(driver), what, outcome, error);
}

/* ---- commit ---- */

/* The server says no to a COMMIT: with a reason, or in a way that says nothing. */
static enum wr_sql_outcome refuse_commit(struct sim_sql_client *client, const char *what, struct weir_error *error) {
  WR_FAIL(error, WEIR_BUSY, "%s: cannot %s: could not serialize", client->config->where, what);
  bool is_mysql = client->sql->options.dialect == SIM_SQL_MYSQL;
  if (is_mysql && wr_random_one_in(&client->sql->world->fault_random, 2))
    sim_sql_commit(client->session);
  else
    sim_sql_roll_back(client->session);
  return is_mysql ? WR_SQL_UNKNOWN : WR_SQL_FAILED;
}

static enum wr_sql_outcome lose_commit(struct sim_sql_client *client, const char *what, struct weir_error *error) {
  gone(client, WEIR_TIMEOUT, what, error);
  return WR_SQL_UNKNOWN;
}

static enum wr_sql_outcome commit_in_server(struct sim_sql_client *client, const char *what, struct weir_error *error) {
  struct sim_sql *sql = client->sql;
  struct sim_sql_session *session = client->session;
  if (session->is_aborted) {
    sim_sql_roll_back(session);
    WR_FAIL(error, WEIR_IO, "%s: cannot %s: it was rolled back", client->config->where, what);
    return WR_SQL_FAILED;
  }
  if (befalls(sql, SIM_FAULT_SQL_COMMIT_REFUSED)) return refuse_commit(client, what, error);
  if (befalls(sql, SIM_FAULT_SQL_COMMIT_NOT_DONE)) return lose_commit(client, what, error);
  if (befalls(sql, SIM_FAULT_SQL_COMMIT_LATE)) {
    session->commit_at_ns = sql->world->now_ns + within_ns(sql, sql->options.idle_ns);
    return lose_commit(client, what, error);
  }
  sim_sql_commit(session);
  return befalls(sql, SIM_FAULT_SQL_COMMIT_UNHEARD) ? lose_commit(client, what, error) : WR_SQL_DONE;
}

/* A COMMIT that was sent, whose client was killed before it arrived, or not. */
static void leave_under_way(struct sim_sql_client *client) {
  struct sim_sql *sql = client->sql;
  struct sim_sql_session *session = client->session;
  bool can_come = session != NULL && session->is_open && !session->is_aborted && !session->is_over;
  if (can_come && befalls(sql, SIM_FAULT_SQL_COMMIT_OF_KILLED))
    session->commit_at_ns = sql->world->now_ns + within_ns(sql, sql->options.idle_ns);
}

static enum wr_sql_outcome commit(struct wr_sql_driver *driver, struct weir_error *error) {
  static const char what[] = "commit";
  struct sim_sql_client *client = client_of(driver);
  struct sim_sql *sql = client->sql;
  /* Some take long to get there, so that a kill finds them on their way. */
  if (!is_at_once(sql) && wr_random_one_in(&sql->random, 4))
    sim_coroutine_sleep(sql->world, wr_random_below(&sql->random, sql->options.lock_ns / 4 + 1));
  enum wr_sql_outcome outcome = ask(client, what, error);
  if (outcome == WR_SQL_GONE && sim_is_dead(sql->world)) leave_under_way(client);
  if (outcome == WR_SQL_DONE) outcome = commit_in_server(client, what, error);
  if (outcome == WR_SQL_DONE) outcome = answer(client, what, outcome, error);
  return outcome == WR_SQL_GONE ? WR_SQL_UNKNOWN : outcome;
}

/* ---- its life ---- */

static void free_client(struct wr_sql_driver *driver) {
  wr_free(client_of(driver)->context->memory, client_of(driver));
}

static const struct wr_sql_driver_vtable vtable = {.connect = connect_client,
                                                   .make_marker_table = make_marker_table,
                                                   .begin = begin,
                                                   .read_marker = read_marker,
                                                   .claim = claim,
                                                   .move_marker = move_marker,
                                                   .write = write_rows,
                                                   .set_savepoint = set_savepoint,
                                                   .roll_back_to_savepoint = roll_back_to_savepoint,
                                                   .commit = commit,
                                                   .roll_back = roll_back,
                                                   .close = close_client,
                                                   .free = free_client};

enum weir_code sim_sql_new_driver(const struct wr_sql_config *config, const struct wr_target_context *context,
                                  struct wr_sql_driver **out_driver, struct weir_error *error) {
  *out_driver = NULL;
  struct sim_sql_client *client = wr_alloc_zeroed(context->memory, 1, sizeof *client, WR_MEMORY_SINK);
  if (client == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %s", config->where);
  client->driver.vtable = &vtable;
  client->sql = config->driver_config;
  client->config = config;
  client->context = context;
  *out_driver = &client->driver;
  return WEIR_OK;
}
