/* connectors/sql/sql_server.c: see sql_server.h. */
#include "connectors/sql/sql_server.h"

#include "base/option_values.h"
#include "connectors/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct wr_connector_option wr_sql_options[WR_SQL_OPTION_COUNT] = {
    [WR_SQL_URL] = {.key = "url",
                    .type = WR_CONNECTOR_TEXT,
                    .help = "the database, as postgresql://USER@HOST:PORT/DATABASE or mysql://USER@HOST:PORT/DATABASE"},
    [WR_SQL_TABLE] = {.key = "table-name",
                      .type = WR_CONNECTOR_TEXT,
                      .help = "the table, as TABLE or SCHEMA.TABLE; it must be there"},
    [WR_SQL_USER] = {.key = "username", .type = WR_CONNECTOR_TEXT, .help = "the user, where the URL has none"},
    [WR_SQL_PASSWORD_FILE] = {.key = "password-file",
                              .type = WR_CONNECTOR_TEXT,
                              .help = "a file whose first line is the password, read again at each connection"},
    [WR_SQL_PASSWORD_ENV] = {.key = "password-env",
                             .type = WR_CONNECTOR_TEXT,
                             .help = "the environment variable that holds the password"},
    [WR_SQL_MARKER_TABLE] = {.key = "sink.marker-table-name",
                             .type = WR_CONNECTOR_TEXT,
                             .default_text = "weir_commits",
                             .help = "the table of the markers, in the same database; made where it is missing"},
    [WR_SQL_TIMEOUT] = {.key = "connection.timeout",
                        .type = WR_CONNECTOR_DURATION,
                        .default_text = "30s",
                        .minimum = 1000,
                        .maximum = 600000,
                        .help = "how long the server may say nothing before the connection is given up"},
    [WR_SQL_FLUSH_INTERVAL] = {.key = "sink.buffer-flush.interval",
                               .type = WR_CONNECTOR_DURATION,
                               .default_text = "5s",
                               .minimum = 1,
                               .maximum = 3600000,
                               .help = "how often a plain sink commits; only with --plain"},
    [WR_SQL_FAILURE_HANDLER] = {.key = "failure-handler",
                                .type = WR_CONNECTOR_CHOICE,
                                .default_text = "fail",
                                .choices = "fail|dead-letter",
                                .help = "a row that the table does not take ends the job, or is left out and goes to "
                                        "dead-letter.SINK.CHECKPOINT.ndjson in the job's folder"},
    [WR_SQL_SSL_MODE] = {.key = "ssl-mode",
                         .type = WR_CONNECTOR_CHOICE,
                         .default_text = "prefer",
                         .choices = "prefer|disable|require|verify-full",
                         .help = "TLS: where the server has it, never, always, or always with its certificate and name "
                                 "verified"},
    [WR_SQL_SSL_ROOT] = {.key = "ssl-root-cert",
                         .type = WR_CONNECTOR_TEXT,
                         .help = "a file with the certificates that vouch for the server's"},
    [WR_SQL_SSL_CERT] = {.key = "ssl-cert", .type = WR_CONNECTOR_TEXT, .help = "a file with the client's certificate"},
    [WR_SQL_SSL_KEY] = {.key = "ssl-key",
                        .type = WR_CONNECTOR_TEXT,
                        .help = "a file with the private key of the client's certificate"},
};

/* ---- the URL ---- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A copy of [from, to) with %41 as A. NULL: no memory, or a % that is none. */
static char *decode(struct wr_memory *memory, const char *from, const char *to) {
  char *text = wr_alloc(memory, (size_t)(to - from) + 1, WR_MEMORY_SINK);
  size_t length = 0;
  for (const char *at = from; text != NULL && at < to; at++) {
    char c = *at;
    if (c == '%') {
      int high = to - at > 2 ? hex_digit(at[1]) : -1, low = to - at > 2 ? hex_digit(at[2]) : -1;
      if (high < 0 || low < 0 || high * 16 + low == 0) {
        wr_free(memory, text);
        return NULL;
      }
      c = (char)(high * 16 + low);
      at += 2;
    }
    text[length++] = c;
  }
  if (text != NULL) text[length] = 0;
  return text;
}

static enum weir_code bad_url(const char *scheme, const char *why, struct weir_error *error) {
  return WR_FAIL(error, WEIR_INVALID, "the URL of the sink's database %s; it is %s://USER@HOST:PORT/DATABASE", why,
                 scheme);
}

static bool read_port(const char *from, const char *to, uint16_t *out_port) {
  char digits[8] = {0};
  int64_t port = 0;
  if ((size_t)(to - from) >= sizeof digits) return false;
  memcpy(digits, from, (size_t)(to - from));
  if (!wr_parse_number(digits, 1, 65535, &port)) return false;
  *out_port = (uint16_t)port;
  return true;
}

/* The rest of a URL behind "postgresql://". */
static enum weir_code read_place(struct wr_sql_server *server, struct wr_memory *memory, const char *scheme,
                                 const char *place, struct weir_error *error) {
  const char *slash = strchr(place, '/');
  const char *end = slash == NULL ? place + strlen(place) : slash;
  const char *at = memchr(place, '@', (size_t)(end - place));
  if (at != NULL && memchr(place, ':', (size_t)(at - place)) != NULL)
    return bad_url(scheme,
                   "has a password in it, which every user of this machine can read; give the file or the "
                   "environment variable that holds it by password-file or password-env",
                   error);
  if (slash == NULL || slash[1] == 0) return bad_url(scheme, "names no database", error);
  if (strchr(slash, '?') != NULL || strchr(slash + 1, '/') != NULL)
    return bad_url(scheme, "goes on after the database; settings are options of the sink", error);
  const char *host = at == NULL ? place : at + 1;
  const char *host_end = host[0] == '[' ? memchr(host, ']', (size_t)(end - host)) : NULL;
  const char *behind = host_end == NULL ? host : host_end;
  const char *colon = memchr(behind, ':', (size_t)(end - behind));
  if (colon != NULL && !read_port(colon + 1, end, &server->port))
    return bad_url(scheme, "has a port that is none", error);
  if (host_end != NULL) host++;
  const char *stop = host_end != NULL ? host_end : colon != NULL ? colon : end;
  if (stop == host) return bad_url(scheme, "names no host", error);
  server->host = decode(memory, host, stop);
  server->database = decode(memory, slash + 1, slash + strlen(slash));
  if (at != NULL && at > place) server->user = decode(memory, place, at);
  if (server->host == NULL || server->database == NULL || (at != NULL && at > place && server->user == NULL))
    return bad_url(scheme, "cannot be read (a % in it is followed by two hexadecimal digits)", error);
  return WEIR_OK;
}

static enum weir_code read_url(struct wr_sql_server *server, struct wr_memory *memory, const char *url,
                               const char *schemes, struct weir_error *error) {
  char scheme[32];
  const char *rest = strncmp(url, "jdbc:", 5) == 0 ? url + 5 : url;
  const char *colon = strstr(rest, "://");
  size_t length = colon == NULL ? sizeof scheme : (size_t)(colon - rest);
  if (length < sizeof scheme) {
    memcpy(scheme, rest, length);
    scheme[length] = 0;
    if (wr_find_choice(schemes, scheme) >= 0) return read_place(server, memory, scheme, colon + 3, error);
  }
  snprintf(scheme, sizeof scheme, "%.*s", (int)strcspn(schemes, "|"), schemes);
  return bad_url(scheme, "is none", error);
}

/* ---- the server ---- */

void wr_sql_server_deinit(struct wr_sql_server *server, struct wr_memory *memory) {
  wr_free(memory, server->host);
  wr_free(memory, server->user);
  wr_free(memory, server->database);
  wr_free(memory, server->where);
  *server = (struct wr_sql_server){0};
}

static enum weir_code make_where(struct wr_sql_server *server, struct wr_memory *memory, const char *scheme,
                                 struct weir_error *error) {
  static const char form[] = "table %s in %.*s://%s%s%s:%u/%s";
  size_t size = sizeof form + strlen(server->table) + strlen(scheme) + strlen(server->host) +
                (server->user == NULL ? 0 : strlen(server->user)) + strlen(server->database) + 8;
  server->where = wr_alloc(memory, size, WR_MEMORY_SINK);
  if (server->where == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the sink of a database");
  snprintf(server->where, size, form, server->table, (int)strcspn(scheme, "|"), scheme,
           server->user == NULL ? "" : server->user, server->user == NULL ? "" : "@", server->host, server->port,
           server->database);
  return WEIR_OK;
}

static enum weir_code fill(struct wr_sql_server *server, struct wr_memory *memory,
                           const struct wr_connector_value *values, const char *schemes, struct weir_error *error) {
  if (values[WR_SQL_URL].text == NULL)
    return WR_FAIL(error, WEIR_INVALID, "the sink of a database needs the option url");
  if (values[WR_SQL_TABLE].text == NULL || values[WR_SQL_TABLE].text[0] == 0)
    return WR_FAIL(error, WEIR_INVALID, "the sink of a database needs the option table-name");
  WR_TRY(read_url(server, memory, values[WR_SQL_URL].text, schemes, error));
  if (server->user == NULL && values[WR_SQL_USER].text != NULL) {
    server->user = wr_copy_string(memory, values[WR_SQL_USER].text, WR_MEMORY_SINK);
    if (server->user == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the sink of a database");
  }
  if (server->password_file != NULL && server->password_env != NULL)
    return WR_FAIL(error, WEIR_INVALID, "password-file and password-env are both given; give one");
  if (strcmp(server->table, server->marker_table) == 0)
    return WR_FAIL(error, WEIR_INVALID, "table %s is weir's own, of the markers; give the sink another one",
                   server->table);
  return make_where(server, memory, schemes, error);
}

enum weir_code wr_sql_server_init(struct wr_sql_server *server, struct wr_memory *memory,
                                  const struct wr_connector_value *values, const char *schemes, uint16_t default_port,
                                  struct weir_error *error) {
  *server = (struct wr_sql_server){.port = default_port,
                                   .table = values[WR_SQL_TABLE].text,
                                   .marker_table = values[WR_SQL_MARKER_TABLE].text,
                                   .password_file = values[WR_SQL_PASSWORD_FILE].text,
                                   .password_env = values[WR_SQL_PASSWORD_ENV].text,
                                   .timeout_ms = values[WR_SQL_TIMEOUT].number,
                                   .flush_interval_ms = values[WR_SQL_FLUSH_INTERVAL].number,
                                   .leaves_out = values[WR_SQL_FAILURE_HANDLER].number == 1,
                                   .ssl = (enum wr_sql_ssl)values[WR_SQL_SSL_MODE].number,
                                   .ssl_root = values[WR_SQL_SSL_ROOT].text,
                                   .ssl_cert = values[WR_SQL_SSL_CERT].text,
                                   .ssl_key = values[WR_SQL_SSL_KEY].text};
  enum weir_code code = fill(server, memory, values, schemes, error);
  if (code != WEIR_OK) wr_sql_server_deinit(server, memory);
  return code;
}

/* ---- the password ---- */

enum weir_code wr_sql_server_password(const struct wr_sql_server *server, struct wr_seams *seams,
                                      struct wr_memory *memory, const char *fallback_env, char *out_password,
                                      bool *out_has, struct weir_error *error) {
  *out_has = true;
  if (server->password_file != NULL)
    return wr_secret_of_file(server->password_file, "the sink's password-file", seams, memory, out_password, error);
  *out_has = server->password_env != NULL || getenv(fallback_env) != NULL;
  if (!*out_has) return WEIR_OK;
  return wr_secret_of_environment(server->password_env != NULL ? server->password_env : fallback_env,
                                  "the sink's password-env", out_password, error);
}
