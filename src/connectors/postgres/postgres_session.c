/* connectors/postgres/postgres_session.c: see postgres_session.h.
 *
 * Every error's sentence ends with "(SQLSTATE 23505)" where the server gave one. */
#include "connectors/postgres/postgres_session.h"

#include "connectors/secret.h"
#include "os/library.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Nothing that a dead process left behind holds a lock for longer than 60 s: a statement ends within 30, an open
 * transaction without one within 20, and a connection whose other end is gone is found out within 25. */
static const char session_settings[] =
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;"
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write');"
    "SET lock_timeout = '10s'; SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '20s';"
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
    "SET TimeZone = 'UTC'; SET bytea_output = 'hex'";

/* ---- errors ---- */

enum weir_code wr_postgres_code(const char *state) {
  static const struct {
    const char *prefix;
    enum weir_code code;
  } codes[] = {
      {"08", WEIR_IO},        {"53100", WEIR_NO_SPACE},  {"53", WEIR_BUSY},      {"57014", WEIR_TIMEOUT},
      {"57P03", WEIR_BUSY},   {"57P04", WEIR_NOT_FOUND}, {"57", WEIR_IO},        {"58", WEIR_IO},
      {"XX", WEIR_IO},        {"55P03", WEIR_BUSY},      {"40", WEIR_BUSY},      {"25006", WEIR_BUSY},
      {"25P03", WEIR_IO},     {"25P02", WEIR_IO},        {"28", WEIR_DENIED},    {"42501", WEIR_DENIED},
      {"3D", WEIR_NOT_FOUND}, {"3F", WEIR_NOT_FOUND},    {"42", WEIR_NOT_FOUND}, {"0A", WEIR_NOT_FOUND},
  };
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
    if (strncmp(state, codes[i].prefix, strlen(codes[i].prefix)) == 0) return codes[i].code;
  return state[0] == 0 ? WEIR_IO : WEIR_CONSTRAINT;
}

const char *wr_postgres_state(const struct weir_error *error) {
  static const char mark[] = "(SQLSTATE ";
  const char *found = strstr(error->message, mark);
  return found == NULL ? "" : found + sizeof mark - 1;
}

/* libpq ends its sentences with a line end, and tells the same of several addresses in several lines. */
static void one_line(const char *text, char *out, size_t size) {
  snprintf(out, size, "%s", text);
  for (char *c = out; *c != 0; c++)
    if (*c == '\n' || *c == '\t') *c = c[1] == 0 || c[1] == '\t' || *c == '\t' ? ' ' : ';';
  for (size_t length = strlen(out); length > 0 && (out[length - 1] == ' ' || out[length - 1] == ';'); length--)
    out[length - 1] = 0;
}

static enum wr_sql_outcome gone(struct wr_postgres_session *session, const char *doing, struct weir_error *error) {
  char text[512];
  one_line(session->pq.PQerrorMessage(session->connection), text, sizeof text);
  WR_FAIL(error, WEIR_IO, "%s: cannot %s: the connection is gone: %s", session->server->where, doing, text);
  return WR_SQL_GONE;
}

static enum wr_sql_outcome silent(const struct wr_postgres_session *session, const char *doing,
                                  struct weir_error *error) {
  WR_FAIL(error, WEIR_TIMEOUT, "%s: cannot %s: the server has said nothing for %lld ms", session->server->where, doing,
          (long long)session->server->timeout_ms);
  return WR_SQL_GONE;
}

static void note_null(struct wr_postgres_session *session, const PGresult *result, const char *state) {
  const char *column = session->pq.PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
  const char *table = session->pq.PQresultErrorField(result, PG_DIAG_TABLE_NAME);
  bool is_null = strcmp(state, "23502") == 0 && column != NULL && table != NULL;
  snprintf(session->null_column, sizeof session->null_column, "%s", is_null ? column : "");
  snprintf(session->null_table, sizeof session->null_table, "%s", is_null ? table : "");
}

static enum wr_sql_outcome failed(struct wr_postgres_session *session, const PGresult *result, const char *doing,
                                  struct weir_error *error) {
  const struct wr_libpq *pq = &session->pq;
  const char *state = pq->PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char *primary = pq->PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char *detail = pq->PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
  if (state == NULL || primary == NULL) return gone(session, doing, error);
  note_null(session, result, state);
  WR_FAIL(error, wr_postgres_code(state), "%s: cannot %s: %s%s%s (SQLSTATE %s)", session->server->where, doing, primary,
          detail == NULL ? "" : ": ", detail == NULL ? "" : detail, state);
  return pq->PQstatus(session->connection) == CONNECTION_OK ? WR_SQL_FAILED : WR_SQL_GONE;
}

/* ---- waiting ---- */

/* False: nothing happened within the limit. */
static bool wait_for(struct wr_postgres_session *session, short events) {
  struct pollfd socket = {.fd = session->pq.PQsocket(session->connection), .events = events};
  int result = 0;
  do
    result = poll(&socket, 1, (int)session->server->timeout_ms);
  while (result < 0 && errno == EINTR);
  return result > 0;
}

/* ---- opening ---- */

static enum weir_code load(struct wr_postgres_session *session, struct weir_error *error) {
  static const char *const names[] = {
#define WR_LIBPQ_NAME(name) #name,
      WR_LIBPQ_FUNCTIONS(WR_LIBPQ_NAME)
#undef WR_LIBPQ_NAME
  };
  _Static_assert(sizeof session->pq == sizeof names, "a pointer for each name");
  if (session->is_loaded) return WEIR_OK;
  WR_TRY(wr_library_load("libpq.so.5", "libpq5", names, sizeof names / sizeof names[0], &session->pq, error));
  session->is_loaded = true;
  return WEIR_OK;
}

static void pass_over_notice(void *context, const char *text) {
  (void)context;
  (void)text;
}

/* A connection that failed has no result to ask; but in verbose sentences the SQLSTATE stands behind the severity:
 * "FATAL:  28P01: password authentication failed ...". Certificates that do not fit are libpq's own finding, and stay
 * so however often it is tried. */
static enum wr_sql_outcome refused(struct wr_postgres_session *session, struct weir_error *error) {
  static const char *const unfit[] = {"certificate", "private key file", "does not support SSL"};
  bool is_unfit = false;
  char text[512], state[6] = "";
  const char *said = session->pq.PQerrorMessage(session->connection);
  const char *severity = strstr(said, "FATAL:  ");
  if (severity != NULL && strlen(severity) > 14 && severity[13] == ':') memcpy(state, severity + 8, 5);
  const char *location = strstr(said, "\nLOCATION:");
  one_line(said, text, sizeof text);
  if (location != NULL && (size_t)(location - said) < sizeof text) text[location - said] = 0;
  for (size_t i = 0; i < sizeof unfit / sizeof unfit[0] && state[0] == 0; i++)
    is_unfit = is_unfit || strstr(text, unfit[i]) != NULL;
  WR_FAIL(error, is_unfit ? WEIR_DENIED : wr_postgres_code(state), "%s: cannot connect%s: %s%s%s%s",
          session->server->where, is_unfit ? " as ssl-mode and the certificates given ask for" : "", text,
          state[0] == 0 ? "" : " (SQLSTATE ", state, state[0] == 0 ? "" : ")");
  return WR_SQL_GONE;
}

static enum wr_sql_outcome finish_opening(struct wr_postgres_session *session, struct weir_error *error) {
  const struct wr_libpq *pq = &session->pq;
  if (pq->PQstatus(session->connection) == CONNECTION_BAD) return refused(session, error);
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (!wait_for(session, state == PGRES_POLLING_WRITING ? POLLOUT : POLLIN)) return silent(session, "connect", error);
    state = pq->PQconnectPoll(session->connection);
    if (state == PGRES_POLLING_FAILED) return refused(session, error);
  }
  pq->PQsetErrorVerbosity(session->connection, PQERRORS_DEFAULT);
  pq->PQsetnonblocking(session->connection, 1);
  return WR_SQL_DONE;
}

static enum weir_code start(struct wr_postgres_session *session, const char *password, struct weir_error *error) {
  static const char *const ssl_modes[] = {"prefer", "disable", "require", "verify-full"};
  const struct wr_sql_server *server = session->server;
  char port[8], name[160], user_timeout[24];
  snprintf(port, sizeof port, "%u", server->port);
  snprintf(name, sizeof name, "weir %s", session->job_name);
  snprintf(user_timeout, sizeof user_timeout, "%lld", (long long)server->timeout_ms);
  const char *const keywords[] = {"host",
                                  "port",
                                  "dbname",
                                  "user",
                                  "password",
                                  "sslmode",
                                  "sslrootcert",
                                  "sslcert",
                                  "sslkey",
                                  "keepalives",
                                  "keepalives_idle",
                                  "keepalives_interval",
                                  "keepalives_count",
                                  "gssencmode",
                                  "tcp_user_timeout",
                                  "client_encoding",
                                  "application_name",
                                  NULL};
  const char *const values[] = {server->host,
                                port,
                                server->database,
                                server->user,
                                password,
                                ssl_modes[server->ssl],
                                server->ssl_root,
                                server->ssl_cert,
                                server->ssl_key,
                                "1",
                                "10",
                                "5",
                                "3",
                                "disable",
                                user_timeout,
                                "UTF8",
                                name,
                                NULL};
  session->connection = session->pq.PQconnectStartParams(keywords, values, 0);
  if (session->connection == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a connection");
  session->pq.PQsetErrorVerbosity(session->connection, PQERRORS_VERBOSE);
  session->pq.PQsetNoticeProcessor(session->connection, pass_over_notice, NULL);
  return WEIR_OK;
}

enum wr_sql_outcome wr_postgres_open(struct wr_postgres_session *session, struct weir_error *error) {
  WR_ASSERT(session->connection == NULL);
  char password[WR_SECRET_BYTES_MAX];
  bool has = false;
  if (load(session, error) != WEIR_OK) return WR_SQL_GONE;
  enum weir_code code =
      wr_sql_server_password(session->server, session->seams, session->memory, "PGPASSWORD", password, &has, error);
  if (code == WEIR_OK) code = start(session, has ? password : NULL, error);
  wr_secret_forget(password);
  if (code != WEIR_OK) return WR_SQL_GONE;
  enum wr_sql_outcome outcome = finish_opening(session, error);
  if (outcome != WR_SQL_DONE) return outcome;
  if (session->pq.PQserverVersion(session->connection) < 120000) {
    WR_FAIL(error, WEIR_CONSTRAINT, "%s: the server is older than PostgreSQL 12", session->server->where);
    return WR_SQL_GONE;
  }
  outcome = wr_postgres_run(session, session_settings, NULL, "set up the session", NULL, error);
  if (outcome != WR_SQL_DONE || session->pq.PQserverVersion(session->connection) < 140000) return outcome;
  return wr_postgres_run(session, "SET client_connection_check_interval = '5s'", NULL, "set up the session", NULL,
                         error);
}

void wr_postgres_close(struct wr_postgres_session *session) {
  if (session->connection == NULL) return;
  session->pq.PQfinish(session->connection);
  session->connection = NULL;
}

/* ---- statements ---- */

/* Waits until there is room for more to the server, or it has said something. */
static enum wr_sql_outcome make_room(struct wr_postgres_session *session, const char *doing, struct weir_error *error) {
  if (!wait_for(session, POLLIN | POLLOUT)) return silent(session, doing, error);
  return session->pq.PQconsumeInput(session->connection) == 0 ? gone(session, doing, error) : WR_SQL_DONE;
}

static enum wr_sql_outcome flush_all(struct wr_postgres_session *session, const char *doing, struct weir_error *error) {
  int rest;
  while ((rest = session->pq.PQflush(session->connection)) > 0) {
    enum wr_sql_outcome outcome = make_room(session, doing, error);
    if (outcome != WR_SQL_DONE) return outcome;
  }
  return rest < 0 ? gone(session, doing, error) : WR_SQL_DONE;
}

static enum wr_sql_outcome send_all(struct wr_postgres_session *session, const char *sql,
                                    const struct wr_postgres_values *values, const char *doing,
                                    struct weir_error *error) {
  const struct wr_libpq *pq = &session->pq;
  int sent = values == NULL ? pq->PQsendQuery(session->connection, sql)
                            : pq->PQsendQueryParams(session->connection, sql, values->count, values->types,
                                                    values->values, values->lengths, values->is_binary, 0);
  return sent == 0 ? gone(session, doing, error) : flush_all(session, doing, error);
}

/* The next result, NULL at the end. */
static enum wr_sql_outcome next_result(struct wr_postgres_session *session, const char *doing, PGresult **out_result,
                                       struct weir_error *error) {
  const struct wr_libpq *pq = &session->pq;
  *out_result = NULL;
  while (pq->PQisBusy(session->connection)) {
    if (!wait_for(session, POLLIN)) return silent(session, doing, error);
    if (pq->PQconsumeInput(session->connection) == 0) return gone(session, doing, error);
  }
  *out_result = pq->PQgetResult(session->connection);
  return WR_SQL_DONE;
}

/* All results up to the end; the first that is a failure is told. */
static enum wr_sql_outcome read_results(struct wr_postgres_session *session, const char *doing, PGresult **out_result,
                                        struct weir_error *error) {
  const struct wr_libpq *pq = &session->pq;
  enum wr_sql_outcome outcome;
  PGresult *result = NULL, *last = NULL;
  bool has_failed = false;
  while ((outcome = next_result(session, doing, &result, error)) == WR_SQL_DONE && result != NULL) {
    ExecStatusType status = pq->PQresultStatus(result);
    if (!has_failed) {
      pq->PQclear(last);
      last = result;
      has_failed = status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK;
    } else {
      pq->PQclear(result);
    }
  }
  if (outcome == WR_SQL_DONE && last == NULL) outcome = gone(session, doing, error);
  if (outcome == WR_SQL_DONE && has_failed) outcome = failed(session, last, doing, error);
  if (outcome == WR_SQL_DONE && out_result != NULL)
    *out_result = last;
  else
    pq->PQclear(last);
  return outcome;
}

enum wr_sql_outcome wr_postgres_run(struct wr_postgres_session *session, const char *sql,
                                    const struct wr_postgres_values *values, const char *doing, PGresult **out_result,
                                    struct weir_error *error) {
  enum wr_sql_outcome outcome = send_all(session, sql, values, doing, error);
  return outcome == WR_SQL_DONE ? read_results(session, doing, out_result, error) : outcome;
}

/* ---- COPY ---- */

enum wr_sql_outcome wr_postgres_copy_begin(struct wr_postgres_session *session, const char *sql, const char *doing,
                                           struct weir_error *error) {
  const struct wr_libpq *pq = &session->pq;
  PGresult *first = NULL, *ignored = NULL;
  enum wr_sql_outcome outcome = send_all(session, sql, NULL, doing, error);
  if (outcome == WR_SQL_DONE) outcome = next_result(session, doing, &first, error);
  if (outcome != WR_SQL_DONE) return outcome;
  if (first != NULL && pq->PQresultStatus(first) == PGRES_COPY_IN) {
    pq->PQclear(first);
    return WR_SQL_DONE;
  }
  outcome = first == NULL ? gone(session, doing, error) : failed(session, first, doing, error);
  pq->PQclear(first);
  while (outcome == WR_SQL_FAILED && next_result(session, doing, &ignored, error) == WR_SQL_DONE && ignored != NULL)
    pq->PQclear(ignored);
  return outcome;
}

enum wr_sql_outcome wr_postgres_copy_put(struct wr_postgres_session *session, const void *data, size_t length,
                                         const char *doing, struct weir_error *error) {
  int put;
  while ((put = session->pq.PQputCopyData(session->connection, data, (int)length)) == 0) {
    enum wr_sql_outcome outcome = make_room(session, doing, error);
    if (outcome != WR_SQL_DONE) return outcome;
  }
  return put < 0 ? gone(session, doing, error) : WR_SQL_DONE;
}

enum wr_sql_outcome wr_postgres_copy_end(struct wr_postgres_session *session, const char *give_up, const char *doing,
                                         struct weir_error *error) {
  int put;
  enum wr_sql_outcome outcome = WR_SQL_DONE;
  while ((put = session->pq.PQputCopyEnd(session->connection, give_up)) == 0 && outcome == WR_SQL_DONE)
    outcome = make_room(session, doing, error);
  if (put < 0) outcome = gone(session, doing, error);
  if (outcome == WR_SQL_DONE) outcome = flush_all(session, doing, error);
  return outcome == WR_SQL_DONE ? read_results(session, doing, NULL, error) : outcome;
}
