/* connectors/sql/sql_server.h: where a server is and who asks it: the options of an SQL sink, read and checked.
 *
 * Names of options are those of Flink's JDBC connector where it has them. A password is in a file or in the
 * environment, never an option itself, and in no message.
 */
#ifndef WR_CONNECTORS_SQL_SQL_SERVER_H
#define WR_CONNECTORS_SQL_SQL_SERVER_H

#include "connectors/connector_options.h"
#include "connectors/sql/sql_target.h"

enum wr_sql_option {
  WR_SQL_URL,
  WR_SQL_TABLE,
  WR_SQL_USER,
  WR_SQL_PASSWORD_FILE,
  WR_SQL_PASSWORD_ENV,
  WR_SQL_MARKER_TABLE,
  WR_SQL_TIMEOUT,
  WR_SQL_FLUSH_INTERVAL,
  WR_SQL_FAILURE_HANDLER,
  WR_SQL_SSL_MODE,
  WR_SQL_SSL_ROOT,
  WR_SQL_SSL_CERT,
  WR_SQL_SSL_KEY,
  WR_SQL_OPTION_COUNT
};
extern const struct wr_connector_option wr_sql_options[WR_SQL_OPTION_COUNT];

enum wr_sql_ssl { WR_SQL_SSL_PREFER, WR_SQL_SSL_DISABLE, WR_SQL_SSL_REQUIRE, WR_SQL_SSL_VERIFY };

struct wr_sql_server {
  char *host, *user, *database; /* user NULL: none was given */
  uint16_t port;
  const char *table, *marker_table;
  const char *password_file, *password_env; /* NULL: not given */
  int64_t timeout_ms;
  int64_t flush_interval_ms; /* of a plain sink */
  bool leaves_out;           /* failure-handler = dead-letter */
  enum wr_sql_ssl ssl;
  const char *ssl_root, *ssl_cert, *ssl_key; /* NULL: not given */
  char *where;                               /* "table pv in postgresql://app@db:5432/out" */
};

/* From the values of wr_sql_options, whose texts are borrowed. `schemes` are the words that a URL may begin with:
 * "postgresql|postgres". The three texts that are made are blocks of `memory`; on an error none is left. INVALID. */
enum weir_code wr_sql_server_init(struct wr_sql_server *server, struct wr_memory *memory,
                                  const struct wr_connector_value *values, const char *schemes, uint16_t default_port,
                                  struct weir_error *error);
void wr_sql_server_deinit(struct wr_sql_server *server, struct wr_memory *memory);
/* The password, with a zero behind it, of a file (its first line) or the environment; `fallback_env` is asked where no
 * option says either. *out_has false: none. Reads a file: only inside a call. DENIED, NOT_FOUND, INVALID. */
enum weir_code wr_sql_server_password(const struct wr_sql_server *server, struct wr_seams *seams,
                                      struct wr_memory *memory, const char *fallback_env, char *out_password,
                                      bool *out_has, struct weir_error *error);

#endif
