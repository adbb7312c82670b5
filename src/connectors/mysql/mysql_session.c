/* connectors/mysql/mysql_session.c: see mysql_session.h. Every error's sentence ends with "(error 1062)". */
#include "connectors/mysql/mysql_session.h"

#include "connectors/secret.h"
#include "os/library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nothing that a dead process left behind holds a lock for longer than 60 s. */
static const char *const session_settings[] = {
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', "
    "autocommit = 1, innodb_lock_wait_timeout = 10, lock_wait_timeout = 10, wait_timeout = 30, net_read_timeout = 30, "
    "net_write_timeout = 30, foreign_key_checks = 1, unique_checks = 1"};
/* MariaDB has these, MySQL does not. */
static const char *const more_settings[] = {"SET SESSION max_statement_time = 30",
                                            "SET SESSION idle_transaction_timeout = 20"};

/* ---- errors ---- */

/* CONSTRAINT is about values; a statement that no rows at all would make right is NOT_FOUND, for the table is not what
 * it was when the job looked at it. */
static enum weir_code code_of(unsigned number) {
  static const struct {
    unsigned number;
    enum weir_code code;
  } codes[] = {{1045, WEIR_DENIED},    {1044, WEIR_DENIED},    {1142, WEIR_DENIED},    {1143, WEIR_DENIED},
               {1227, WEIR_DENIED},    {1698, WEIR_DENIED},    {1049, WEIR_NOT_FOUND}, {1146, WEIR_NOT_FOUND},
               {1040, WEIR_BUSY},      {1203, WEIR_BUSY},      {1205, WEIR_BUSY},      {1213, WEIR_BUSY},
               {1290, WEIR_BUSY},      {1836, WEIR_BUSY},      {1226, WEIR_BUSY},      {1114, WEIR_NO_SPACE},
               {1021, WEIR_NO_SPACE},  {3675, WEIR_NO_SPACE},  {1969, WEIR_TIMEOUT},   {3024, WEIR_TIMEOUT},
               {1317, WEIR_TIMEOUT},   {1030, WEIR_IO},        {1180, WEIR_IO},        {1053, WEIR_IO},
               {1927, WEIR_IO},        {4031, WEIR_IO},        {1158, WEIR_IO},        {1159, WEIR_IO},
               {1160, WEIR_IO},        {1161, WEIR_IO},        {1184, WEIR_IO},        {1152, WEIR_IO},
               {1054, WEIR_NOT_FOUND}, {1136, WEIR_NOT_FOUND}, {1364, WEIR_NOT_FOUND}, {1356, WEIR_NOT_FOUND}};
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
    if (codes[i].number == number) return codes[i].code;
  return number >= 2000 && number < 3000 ? WEIR_IO : WEIR_CONSTRAINT;
}

static enum wr_sql_outcome failed(struct wr_mysql_session *session, const char *doing, struct weir_error *error) {
  unsigned number = session->my.mysql_errno(session->connection);
  enum weir_code code = code_of(number);
  session->last_error = number;
  WR_FAIL(error, code, "%s: cannot %s: %s (error %u)", session->server->where, doing,
          session->my.mysql_error(session->connection), number);
  return code == WEIR_IO ? WR_SQL_GONE : WR_SQL_FAILED;
}

/* ---- opening ---- */

static enum weir_code load(struct wr_mysql_session *session, struct weir_error *error) {
  static const char *const names[] = {
#define WR_LIBMARIADB_NAME(name) #name,
      WR_LIBMARIADB_FUNCTIONS(WR_LIBMARIADB_NAME)
#undef WR_LIBMARIADB_NAME
  };
  _Static_assert(sizeof session->my == sizeof names, "a pointer for each name");
  if (session->is_loaded) return WEIR_OK;
  WR_TRY(wr_library_load("libmariadb.so.3", "libmariadb3", names, sizeof names / sizeof names[0], &session->my, error));
  session->is_loaded = true;
  return WEIR_OK;
}

static void set_options(const struct wr_mysql_session *session) {
  const struct wr_sql_server *server = session->server;
  const struct wr_libmariadb *my = &session->my;
  char name[160];
  unsigned seconds = (unsigned)((server->timeout_ms + 999) / 1000), protocol = MYSQL_PROTOCOL_TCP, none = 0;
  my_bool yes = 1, must = server->ssl >= WR_SQL_SSL_REQUIRE, verifies = server->ssl == WR_SQL_SSL_VERIFY;
  snprintf(name, sizeof name, "weir %s", session->job_name);
  my->mysql_options(session->connection, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
  my->mysql_options(session->connection, MYSQL_OPT_READ_TIMEOUT, &seconds);
  my->mysql_options(session->connection, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
  my->mysql_options(session->connection, MYSQL_OPT_PROTOCOL, &protocol);
  my->mysql_options(session->connection, MYSQL_OPT_LOCAL_INFILE, &none);
  my->mysql_options(session->connection, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  my->mysql_options4(session->connection, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", name);
  if (must) my->mysql_options(session->connection, MYSQL_OPT_SSL_ENFORCE, &yes);
  my->mysql_options(session->connection, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verifies);
  if (server->ssl_root != NULL) my->mysql_options(session->connection, MYSQL_OPT_SSL_CA, server->ssl_root);
  if (server->ssl_cert != NULL) my->mysql_options(session->connection, MYSQL_OPT_SSL_CERT, server->ssl_cert);
  if (server->ssl_key != NULL) my->mysql_options(session->connection, MYSQL_OPT_SSL_KEY, server->ssl_key);
}

/* Is it about certificates, and no connection that broke? */
static bool is_unfit(const char *said) {
  static const char *const words[] = {"ertificate", "SSL is required", "does not support", "No such file"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if (strstr(said, words[i]) != NULL) return true;
  return false;
}

static enum wr_sql_outcome start(struct wr_mysql_session *session, const char *password, struct weir_error *error) {
  const struct wr_sql_server *server = session->server;
  session->connection = session->my.mysql_init(NULL);
  if (session->connection == NULL) {
    WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a connection");
    return WR_SQL_GONE;
  }
  set_options(session);
  /* CLIENT_FOUND_ROWS: an UPDATE counts the rows that it found, also where they were so before. */
  if (session->my.mysql_real_connect(session->connection, server->host, server->user, password, server->database,
                                     server->port, NULL, CLIENT_FOUND_ROWS) != NULL)
    return WR_SQL_DONE;
  failed(session, "connect", error);
  if (session->last_error == WR_MYSQL_NO_TLS && is_unfit(session->my.mysql_error(session->connection)))
    WR_FAIL(error, WEIR_DENIED, "%s: cannot connect as ssl-mode and the certificates given ask for: %s (error %u)",
            server->where, session->my.mysql_error(session->connection), session->last_error);
  return WR_SQL_GONE;
}

static enum wr_sql_outcome set_up(struct wr_mysql_session *session, struct weir_error *error) {
  static const char limits[] = "SELECT @@max_allowed_packet";
  enum wr_sql_outcome outcome = WR_SQL_DONE;
  for (size_t i = 0; i < sizeof session_settings / sizeof session_settings[0] && outcome == WR_SQL_DONE; i++)
    outcome = wr_mysql_run(session, session_settings[i], strlen(session_settings[i]), "set up the session", NULL, NULL,
                           error);
  for (size_t i = 0; i < sizeof more_settings / sizeof more_settings[0] && outcome == WR_SQL_DONE; i++) {
    outcome =
        wr_mysql_run(session, more_settings[i], strlen(more_settings[i]), "set up the session", NULL, NULL, error);
    if (outcome == WR_SQL_FAILED) outcome = WR_SQL_DONE;
  }
  MYSQL_RES *result = NULL;
  if (outcome == WR_SQL_DONE)
    outcome = wr_mysql_run(session, limits, sizeof limits - 1, "read the server's limits", &result, NULL, error);
  if (outcome != WR_SQL_DONE) return outcome;
  MYSQL_ROW row = session->my.mysql_fetch_row(result);
  session->packet_bytes_max = row == NULL || row[0] == NULL ? 1024 * 1024 : (size_t)strtoull(row[0], NULL, 10);
  session->my.mysql_free_result(result);
  return WR_SQL_DONE;
}

enum wr_sql_outcome wr_mysql_open(struct wr_mysql_session *session, struct weir_error *error) {
  WR_ASSERT(session->connection == NULL);
  char password[WR_SECRET_BYTES_MAX];
  bool has = false;
  if (load(session, error) != WEIR_OK) return WR_SQL_GONE;
  enum weir_code code =
      wr_sql_server_password(session->server, session->seams, session->memory, "MYSQL_PWD", password, &has, error);
  if (code != WEIR_OK) return WR_SQL_GONE;
  enum wr_sql_outcome outcome = start(session, has ? password : NULL, error);
  wr_secret_forget(password);
  return outcome == WR_SQL_DONE ? set_up(session, error) : outcome;
}

void wr_mysql_close(struct wr_mysql_session *session) {
  if (session->connection == NULL) return;
  session->my.mysql_close(session->connection);
  session->connection = NULL;
}

/* ---- statements ---- */

enum wr_sql_outcome wr_mysql_run(struct wr_mysql_session *session, const void *sql, size_t length, const char *doing,
                                 MYSQL_RES **out_result, uint64_t *out_rows, struct weir_error *error) {
  const struct wr_libmariadb *my = &session->my;
  session->last_error = 0;
  if (my->mysql_real_query(session->connection, sql, (unsigned long)length) != 0) return failed(session, doing, error);
  MYSQL_RES *result = my->mysql_store_result(session->connection);
  if (result == NULL && my->mysql_field_count(session->connection) != 0) return failed(session, doing, error);
  if (out_rows != NULL) *out_rows = my->mysql_affected_rows(session->connection);
  if (out_result != NULL)
    *out_result = result;
  else if (result != NULL)
    my->mysql_free_result(result);
  return WR_SQL_DONE;
}

void wr_mysql_put_text(struct wr_bytes *sql, const char *text, size_t length) {
  wr_bytes_put_u8(sql, '\'');
  for (const char *end = text + length; text < end;) {
    const char *quote = memchr(text, '\'', (size_t)(end - text));
    const char *stop = quote == NULL ? end : quote + 1;
    wr_bytes_put(sql, text, (size_t)(stop - text));
    if (quote != NULL) wr_bytes_put_u8(sql, '\'');
    text = stop;
  }
  wr_bytes_put_u8(sql, '\'');
}
