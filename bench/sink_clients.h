/* bench/sink_clients.h: rows into each kind of target by its client library and nothing of weir around it. Header only.
 *
 * Each loop connects, writes all rows and returns when they are durable as its target understands that: a producer that
 * is idempotent and waits for all replicas, one COPY, one transaction of many INSERTs of many rows, one transaction of
 * single rows by a prepared statement, one file of lines that are made as they are written. What is not weir's to
 * choose is what the library does by itself.
 */
#ifndef BENCH_SINK_CLIENTS_H
#define BENCH_SINK_CLIENTS_H

#include "bench/common.h"
#include "bench/kafka_plain.h"
#include "bench/sink_rows.h"
#include "os/library.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <mysql.h>
#include <sqlite3.h>
#include <unistd.h>

enum { SINK_CHUNK_BYTES = 256 * 1024 };

/* ---- Kafka ---- */

static inline void sink_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
  (void)handle;
  (void)opaque;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) bench_fail("a plain producer's message was not delivered");
}

static inline rd_kafka_t *sink_kafka_open(const struct wr_rdkafka *library, const char *servers) {
  rd_kafka_conf_t *conf = library->conf_new();
  char words[300] = "";
  library->conf_set(conf, "bootstrap.servers", servers, words, sizeof words);
  library->conf_set(conf, "enable.idempotence", "true", words, sizeof words);
  library->conf_set(conf, "delivery.report.only.error", "true", words, sizeof words);
  library->conf_set_dr_msg_cb(conf, sink_delivered);
  rd_kafka_t *handle = library->new (RD_KAFKA_PRODUCER, conf, words, sizeof words);
  if (handle == NULL) bench_fail(words);
  return handle;
}

/* The key of a message is its app. */
static inline void sink_kafka_produce(const struct wr_rdkafka *library, rd_kafka_t *handle, rd_kafka_topic_t *topic,
                                      const struct sink_row *row) {
  char key[16], value[SINK_ROW_BYTES_MAX];
  size_t key_length = (size_t)(sink_put_number(sink_put(key, "app"), row->app) - key);
  size_t length = (size_t)(sink_put_json(value, row) - value);
  while (library->produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, length, key, key_length, NULL) !=
         0) {
    if (library->last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) bench_fail("a plain producer takes no message");
    library->poll(handle, 10);
  }
}

static inline void sink_kafka(const char *servers, const char *topic_name, const struct sink_rows *rows) {
  const struct wr_kafka_connection connection = {.servers = servers};
  struct wr_rdkafka library;
  struct weir_error error;
  if (wr_rdkafka_load(&connection, &library, &error) != WEIR_OK) bench_fail(error.message);
  rd_kafka_t *handle = sink_kafka_open(&library, servers);
  rd_kafka_topic_t *topic = library.topic_new(handle, topic_name, NULL);
  for (uint32_t i = 0; i < rows->count; i++) {
    sink_kafka_produce(&library, handle, topic, &rows->rows[i]);
    if (i % 1024 == 0) library.poll(handle, 0);
  }
  if (library.flush(handle, 60000) != RD_KAFKA_RESP_ERR_NO_ERROR) bench_fail("a plain producer's messages are stuck");
  library.topic_destroy(topic);
  library.destroy_flags(handle, 0);
}

/* ---- PostgreSQL ---- */

#define SINK_LIBPQ_FUNCTIONS(X)                                                                                        \
  X(PQconnectdb)                                                                                                       \
  X(PQstatus)                                                                                                          \
  X(PQerrorMessage)                                                                                                    \
  X(PQexec)                                                                                                            \
  X(PQresultStatus)                                                                                                    \
  X(PQgetvalue)                                                                                                        \
  X(PQntuples)                                                                                                         \
  X(PQclear)                                                                                                           \
  X(PQputCopyData)                                                                                                     \
  X(PQputCopyEnd)                                                                                                      \
  X(PQgetResult)                                                                                                       \
  X(PQfinish)

struct sink_libpq {
#define SINK_POINTER(name) __typeof__(&name) name;
  SINK_LIBPQ_FUNCTIONS(SINK_POINTER)
  PGconn *connection;
};

/* The password is in the environment. */
static inline struct sink_libpq sink_postgres_open(const char *port) {
#define SINK_NAME(name) #name,
  static const char *const names[] = {SINK_LIBPQ_FUNCTIONS(SINK_NAME)};
  struct sink_libpq pq;
  struct weir_error error;
  char words[100];
  if (wr_library_load("libpq.so.5", "libpq5", names, sizeof names / sizeof names[0], &pq, &error) != WEIR_OK)
    bench_fail(error.message);
  snprintf(words, sizeof words, "host=127.0.0.1 port=%s user=weir dbname=out", port);
  pq.connection = pq.PQconnectdb(words);
  if (pq.PQstatus(pq.connection) != CONNECTION_OK) bench_fail(pq.PQerrorMessage(pq.connection));
  return pq;
}

/* Runs a statement; the first value of its first row as a number, 0 without. */
static inline uint64_t sink_postgres_run(const struct sink_libpq *pq, const char *sql) {
  PGresult *result = pq->PQexec(pq->connection, sql);
  ExecStatusType status = pq->PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_COPY_IN)
    bench_fail(pq->PQerrorMessage(pq->connection));
  uint64_t value = pq->PQntuples(result) > 0 ? strtoull(pq->PQgetvalue(result, 0, 0), NULL, 10) : 0;
  pq->PQclear(result);
  return value;
}

static inline void sink_postgres(const char *port, const char *table, const struct sink_rows *rows) {
  static char chunk[SINK_CHUNK_BYTES + SINK_ROW_BYTES_MAX];
  char sql[100], *at = chunk;
  struct sink_libpq pq = sink_postgres_open(port);
  snprintf(sql, sizeof sql, "COPY %s FROM STDIN", table);
  sink_postgres_run(&pq, sql);
  for (uint32_t i = 0; i < rows->count; i++) {
    at = sink_put_row(at, &rows->rows[i], "", "\t", "\t", "\n");
    if (at < chunk + SINK_CHUNK_BYTES && i + 1 < rows->count) continue;
    if (pq.PQputCopyData(pq.connection, chunk, (int)(at - chunk)) != 1) bench_fail(pq.PQerrorMessage(pq.connection));
    at = chunk;
  }
  if (pq.PQputCopyEnd(pq.connection, NULL) != 1) bench_fail(pq.PQerrorMessage(pq.connection));
  for (PGresult *result; (result = pq.PQgetResult(pq.connection)) != NULL; pq.PQclear(result))
    if (pq.PQresultStatus(result) != PGRES_COMMAND_OK) bench_fail(pq.PQerrorMessage(pq.connection));
  pq.PQfinish(pq.connection);
}

/* ---- MariaDB ---- */

#define SINK_LIBMARIADB_FUNCTIONS(X)                                                                                   \
  X(mysql_init)                                                                                                        \
  X(mysql_real_connect)                                                                                                \
  X(mysql_real_query)                                                                                                  \
  X(mysql_store_result)                                                                                                \
  X(mysql_free_result)                                                                                                 \
  X(mysql_fetch_row)                                                                                                   \
  X(mysql_error)                                                                                                       \
  X(mysql_close)

struct sink_libmariadb {
  SINK_LIBMARIADB_FUNCTIONS(SINK_POINTER)
  MYSQL *connection;
};

static inline struct sink_libmariadb sink_mariadb_open(const char *port) {
  static const char *const names[] = {SINK_LIBMARIADB_FUNCTIONS(SINK_NAME)};
  struct sink_libmariadb my;
  struct weir_error error;
  if (wr_library_load("libmariadb.so.3", "libmariadb3", names, sizeof names / sizeof names[0], &my, &error) != WEIR_OK)
    bench_fail(error.message);
  my.connection = my.mysql_init(NULL);
  if (my.mysql_real_connect(my.connection, "127.0.0.1", "weir", getenv("MYSQL_PWD"), "out",
                            (unsigned)strtoul(port, NULL, 10), NULL, 0) == NULL)
    bench_fail(my.mysql_error(my.connection));
  return my;
}

/* As sink_postgres_run. */
static inline uint64_t sink_mariadb_run(const struct sink_libmariadb *my, const char *sql, size_t length) {
  if (my->mysql_real_query(my->connection, sql, length) != 0) bench_fail(my->mysql_error(my->connection));
  MYSQL_RES *result = my->mysql_store_result(my->connection);
  if (result == NULL) return 0;
  MYSQL_ROW row = my->mysql_fetch_row(result);
  uint64_t value = row != NULL && row[0] != NULL ? strtoull(row[0], NULL, 10) : 0;
  my->mysql_free_result(result);
  return value;
}

static inline void sink_mariadb(const char *port, const char *table, const struct sink_rows *rows) {
  static char chunk[SINK_CHUNK_BYTES + SINK_ROW_BYTES_MAX];
  char sql[100], *at = chunk;
  struct sink_libmariadb my = sink_mariadb_open(port);
  snprintf(sql, sizeof sql, "INSERT INTO %s VALUES ", table);
  sink_mariadb_run(&my, "BEGIN", 5);
  for (uint32_t i = 0; i < rows->count; i++) {
    at = at == chunk ? sink_put(at, sql) : sink_put(at, ",");
    at = sink_put_row(at, &rows->rows[i], "('", "',", ",'", "')");
    if (at < chunk + SINK_CHUNK_BYTES && i + 1 < rows->count) continue;
    sink_mariadb_run(&my, chunk, (size_t)(at - chunk));
    at = chunk;
  }
  sink_mariadb_run(&my, "COMMIT", 6);
  my.mysql_close(my.connection);
}

/* ---- SQLite ---- */

static inline void sink_sqlite_run(sqlite3 *database, const char *sql) {
  if (sqlite3_exec(database, sql, NULL, NULL, NULL) != SQLITE_OK) bench_fail(sqlite3_errmsg(database));
}

static inline void sink_sqlite(const char *path, const struct sink_rows *rows) {
  sqlite3 *database;
  sqlite3_stmt *insert;
  char file[32], app[16];
  if (sqlite3_open(path, &database) != SQLITE_OK) bench_fail("no database");
  sink_sqlite_run(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                            "CREATE TABLE seen(partition TEXT, position INTEGER, app_id TEXT); BEGIN IMMEDIATE");
  if (sqlite3_prepare_v2(database, "INSERT INTO seen VALUES(?, ?, ?)", -1, &insert, NULL) != SQLITE_OK)
    bench_fail(sqlite3_errmsg(database));
  for (uint32_t i = 0; i < rows->count; i++) {
    const struct sink_row *row = &rows->rows[i];
    int file_length = (int)(sink_put(sink_put_number(sink_put(file, "views-"), row->file), ".ndjson") - file);
    int app_length = (int)(sink_put_number(sink_put(app, "app"), row->app) - app);
    sqlite3_bind_text(insert, 1, file, file_length, SQLITE_STATIC);
    sqlite3_bind_int64(insert, 2, row->number);
    sqlite3_bind_text(insert, 3, app, app_length, SQLITE_STATIC);
    if (sqlite3_step(insert) != SQLITE_DONE) bench_fail(sqlite3_errmsg(database));
    sqlite3_reset(insert);
  }
  sink_sqlite_run(database, "COMMIT");
  sqlite3_finalize(insert);
  sqlite3_close(database);
}

/* ---- a file ---- */

static inline int sink_file_open(const char *path) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) bench_fail("the file cannot be written");
  return file;
}
static inline void sink_file_write(int file, const char *text, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t done = write(file, text + at, length - at);
    if (done <= 0) bench_fail("the file cannot be written");
    at += (size_t)done;
  }
}
static inline void sink_file_close(int file) {
  if (fsync(file) != 0 || close(file) != 0) bench_fail("the file cannot be synced");
}

static inline void sink_file(const char *path, const struct sink_rows *rows) {
  static char buffer[SINK_CHUNK_BYTES];
  char *at = buffer;
  int file = sink_file_open(path);
  for (uint32_t i = 0; i < rows->count; i++) {
    at = sink_put(sink_put_json(at, &rows->rows[i]), "\n");
    if (buffer + sizeof buffer - at >= SINK_ROW_BYTES_MAX) continue;
    sink_file_write(file, buffer, (size_t)(at - buffer));
    at = buffer;
  }
  sink_file_write(file, buffer, (size_t)(at - buffer));
  sink_file_close(file);
}

/* A text that is ready: what the disk takes. */
static inline void sink_file_of_text(const char *path, const char *text, size_t length) {
  int file = sink_file_open(path);
  for (size_t at = 0; at < length; at += SINK_CHUNK_BYTES)
    sink_file_write(file, text + at, length - at < SINK_CHUNK_BYTES ? length - at : SINK_CHUNK_BYTES);
  sink_file_close(file);
}

#endif
