/* connectors/mysql/mysql_session.h: one connection to a MySQL or MariaDB server, over libmariadb, with limits to
 * silence.
 *
 * libmariadb is loaded when a connection is first opened. The session is in strict mode, in UTC, and without backslash
 * escapes, so that a text is quoted by doubling its quotes. Everything blocks, inside a call; one thread at a time.
 */
#ifndef WR_CONNECTORS_MYSQL_MYSQL_SESSION_H
#define WR_CONNECTORS_MYSQL_MYSQL_SESSION_H

#include "base/bytes.h"
#include "connectors/sql/sql_driver.h"
#include "connectors/sql/sql_server.h"

#include <mysql.h>

#define WR_LIBMARIADB_FUNCTIONS(X)                                                                                     \
  X(mysql_init)                                                                                                        \
  X(mysql_options)                                                                                                     \
  X(mysql_options4)                                                                                                    \
  X(mysql_real_connect)                                                                                                \
  X(mysql_real_query)                                                                                                  \
  X(mysql_store_result)                                                                                                \
  X(mysql_free_result)                                                                                                 \
  X(mysql_fetch_row)                                                                                                   \
  X(mysql_affected_rows)                                                                                               \
  X(mysql_field_count)                                                                                                 \
  X(mysql_errno)                                                                                                       \
  X(mysql_error)                                                                                                       \
  X(mysql_close)

struct wr_libmariadb {
#define WR_LIBMARIADB_POINTER(name) __typeof__(&name) name;
  WR_LIBMARIADB_FUNCTIONS(WR_LIBMARIADB_POINTER)
#undef WR_LIBMARIADB_POINTER
};

/* Errors of the server that the driver itself looks at. */
enum {
  WR_MYSQL_NULL = 1048,
  WR_MYSQL_DUPLICATE = 1062,
  WR_MYSQL_NO_RIGHT = 1142,
  WR_MYSQL_NO_TABLE = 1146,
  WR_MYSQL_NO_TLS = 2026
};

struct wr_mysql_session {
  const struct wr_sql_server *server;
  const char *job_name; /* what the server shows of the session */
  struct wr_seams *seams;
  struct wr_memory *memory;
  struct wr_libmariadb my;
  bool is_loaded;
  MYSQL *connection;       /* NULL: closed */
  size_t packet_bytes_max; /* of a statement; the server's max_allowed_packet */
  unsigned last_error;     /* the server's number of the last failure */
};

enum wr_sql_outcome wr_mysql_open(struct wr_mysql_session *session, struct weir_error *error);
void wr_mysql_close(struct wr_mysql_session *session);
/* Runs one statement. `doing` says what it is, for messages. *out_result (may be NULL) is its rows, to be released with
 * mysql_free_result; *out_rows (may be NULL) how many rows it found. */
enum wr_sql_outcome wr_mysql_run(struct wr_mysql_session *session, const void *sql, size_t length, const char *doing,
                                 MYSQL_RES **out_result, uint64_t *out_rows, struct weir_error *error);
/* A text in quotes. */
void wr_mysql_put_text(struct wr_bytes *sql, const char *text, size_t length);

#endif
