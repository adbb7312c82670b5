/* connectors/postgres/postgres_session.h: one connection to a PostgreSQL server, over libpq, with a limit to its
 * silence.
 *
 * libpq is loaded when a connection is first opened. Its calls are the asynchronous ones, and between them the socket
 * is waited for: a server that says nothing for `timeout_ms` is given up. Everything blocks, inside a call; one thread
 * at a time.
 */
#ifndef WR_CONNECTORS_POSTGRES_POSTGRES_SESSION_H
#define WR_CONNECTORS_POSTGRES_POSTGRES_SESSION_H

#include "connectors/sql/sql_driver.h"
#include "connectors/sql/sql_server.h"

#include <libpq-fe.h>

#define WR_LIBPQ_FUNCTIONS(X)                                                                                          \
  X(PQconnectStartParams)                                                                                              \
  X(PQconnectPoll)                                                                                                     \
  X(PQsetErrorVerbosity)                                                                                               \
  X(PQsetnonblocking)                                                                                                  \
  X(PQsetNoticeProcessor)                                                                                              \
  X(PQstatus)                                                                                                          \
  X(PQsocket)                                                                                                          \
  X(PQserverVersion)                                                                                                   \
  X(PQerrorMessage)                                                                                                    \
  X(PQfinish)                                                                                                          \
  X(PQsendQuery)                                                                                                       \
  X(PQsendQueryParams)                                                                                                 \
  X(PQflush)                                                                                                           \
  X(PQputCopyData)                                                                                                     \
  X(PQputCopyEnd)                                                                                                      \
  X(PQconsumeInput)                                                                                                    \
  X(PQisBusy)                                                                                                          \
  X(PQgetResult)                                                                                                       \
  X(PQresultStatus)                                                                                                    \
  X(PQresultErrorField)                                                                                                \
  X(PQresultErrorMessage)                                                                                              \
  X(PQntuples)                                                                                                         \
  X(PQgetvalue)                                                                                                        \
  X(PQgetisnull)                                                                                                       \
  X(PQcmdStatus)                                                                                                       \
  X(PQcmdTuples)                                                                                                       \
  X(PQclear)

struct wr_libpq {
#define WR_LIBPQ_POINTER(name) __typeof__(&name) name;
  WR_LIBPQ_FUNCTIONS(WR_LIBPQ_POINTER)
#undef WR_LIBPQ_POINTER
};

enum { WR_POSTGRES_NAME_BYTES = 64 }; /* of an identifier, at the most */

struct wr_postgres_session {
  const struct wr_sql_server *server;
  const char *job_name; /* what the server shows of the session */
  struct wr_seams *seams;
  struct wr_memory *memory;
  struct wr_libpq pq;
  bool is_loaded;
  PGconn *connection; /* NULL: closed */
  /* Where the last failure was a NULL in a column that takes none (SQLSTATE 23502): that column, and its table; else
   * "". */
  char null_column[WR_POSTGRES_NAME_BYTES], null_table[WR_POSTGRES_NAME_BYTES];
};

/* Values of $1, $2, ...; texts, or binary where `lengths` is given. */
struct wr_postgres_values {
  int count;
  const char *const *values;
  const int *lengths;   /* NULL: texts */
  const Oid *types;     /* NULL: the server finds them */
  const int *is_binary; /* NULL: texts */
};

enum wr_sql_outcome wr_postgres_open(struct wr_postgres_session *session, struct weir_error *error);
void wr_postgres_close(struct wr_postgres_session *session);
/* Runs one statement, or, without values, several. `doing` says what it is, for messages. *out_result (may be NULL) is
 * the last result, to be released with PQclear. */
enum wr_sql_outcome wr_postgres_run(struct wr_postgres_session *session, const char *sql,
                                    const struct wr_postgres_values *values, const char *doing, PGresult **out_result,
                                    struct weir_error *error);
/* A COPY ... FROM STDIN: begun, given bytes any number of times, ended; `give_up` (NULL: all was given) has the server
 * forget it, which is an error of the server's as any other. A begin that is not DONE has begun nothing; after a put
 * that is not there is no end. What the server says to the bytes is told by the end. */
enum wr_sql_outcome wr_postgres_copy_begin(struct wr_postgres_session *session, const char *sql, const char *doing,
                                           struct weir_error *error);
enum wr_sql_outcome wr_postgres_copy_put(struct wr_postgres_session *session, const void *data, size_t length,
                                         const char *doing, struct weir_error *error);
enum wr_sql_outcome wr_postgres_copy_end(struct wr_postgres_session *session, const char *give_up, const char *doing,
                                         struct weir_error *error);
/* The SQLSTATE in an error's sentence, or "". */
const char *wr_postgres_state(const struct weir_error *error);
/* The class of an SQLSTATE. CONSTRAINT is about values: a statement that no rows at all would make right is NOT_FOUND,
 * for the table is not what it was when the job looked at it. */
enum weir_code wr_postgres_code(const char *state);

#endif
