/* bench/visible.c: from a record in a file to its committed row, as another client of the target sees it.
 *
 * An appender writes one record a millisecond into each of two partition files, in single writes; the job is files ->
 * key by -> count -> the target, 100 apps, exactly-once, two subtasks where there are two cores; a reader looks again
 * and again: whether the SQLite database has changed, and then at its table, every millisecond; at what a consumer of
 * committed records gets from the topic, at once; at the table of the PostgreSQL server every 5 ms. Record i is of app
 * i % 100, so the count n of an app says which records are in. A record's time runs from when it was due to be written,
 * so a slow appender hides nothing, until the reader has read its row. Every record must come out once; the times of
 * the first two seconds do not count, for a broker makes its own log of transactions when it first needs it.
 *
 * With a checkpoint every 100 ms each target has three runs, and the rows are those of the best p99: a server on the
 * same cores, and a host that takes them away, only make it worse.
 *
 *   visible [--kafka HOST:PORT] [--postgres PORT]
 *
 * Servers that are not named are left out; tools/bench.py starts them where they are installed. The topics pv_100ms_1,
 * pv_100ms_2, pv_100ms_3, pv_1s and pv_10s must be there and empty; tables are made.
 *
 *   visible_100ms_p50 ...   SQLite with a checkpoint every 100 ms; visible_kafka_..., visible_postgres_... the others
 *   visible_..._p99_worst   of the run with the worst
 *   visible_1s_..., visible_10s_...   a job for each target at the same time, with a checkpoint every second, every 10
 *   visible_sparse_...      as the first, but a record only every 211 ms: how long the source takes to look
 *   visible_..._checkpoint  how long the last checkpoint took, from the trigger to the durable metadata
 *   visible_bare_publish    what a checkpoint costs at least: write, fsync, rename, fsync of the folder (median)
 *   visible_bare_commit     what a commit to SQLite costs at least: the rows and a marker in one transaction (median)
 *   visible_100ms_bare_p99  the interval and these two: nearly all of a record's time at the 99th percentile if the job
 *                           itself cost nothing
 */
#include "bench/engine.h"
#include "bench/histogram.h"
#include "bench/sink_clients.h"
#include "os/posix_seams.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

enum {
  APPS = 100,
  FILES = 2,
  RECORDS_MAX = 100000,
  BARE_RUNS = 40,
  SMALL_STATE_BYTES = 8 * 1024,
  TARGETS = 3,
  RUNS = 3,
  WARM_UP_S = 2
};
static const uint64_t SECOND_NS = 1000000000, MILLISECOND_NS = 1000000;

static struct {
  char folder[256];
  const char *kafka, *postgres; /* NULL: not there */
  char name[32];                /* of the job, the topic and the table */
  uint64_t due_ns[RECORDS_MAX]; /* when each record was due; written by the appender before the record */
  _Atomic uint32_t written;
  uint32_t count;   /* records of this run */
  uint32_t warm_up; /* of them, those whose times do not count */
  uint64_t gap_ns;  /* between two records of a file */
} run;

/* What has come out of one target. */
struct seen {
  uint32_t of_app[APPS]; /* records of each app that are visible */
  uint32_t count;
  struct bench_histogram histogram;
};

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t due_ns) {
  struct timespec due = {.tv_sec = (time_t)(due_ns / SECOND_NS), .tv_nsec = (long)(due_ns % SECOND_NS)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

/* ---- the appender ---- */

static int open_partition(int number) {
  char path[300];
  snprintf(path, sizeof path, "%s/views/views-%d.ndjson", run.folder, number);
  int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) bench_fail("a partition cannot be written");
  return file;
}

static void *append(void *argument) {
  (void)argument;
  int files[FILES];
  for (int i = 0; i < FILES; i++)
    files[i] = open_partition(i);
  uint64_t start_ns = now_ns();
  for (uint32_t i = 0; i < run.count; i++) {
    char record[128];
    run.due_ns[i] = start_ns + i / FILES * run.gap_ns;
    sleep_until(run.due_ns[i]);
    uint32_t app = i % APPS; /* even apps are in file 0, odd ones in file 1: an app's records stay in order */
    int length = snprintf(record, sizeof record, "{\"user_id\":%u,\"app_id\":\"app%u\",\"page\":\"/\"}\n", i, app);
    if (write(files[i % FILES], record, (size_t)length) != length) bench_fail("a record cannot be written");
    run.written = i + 1;
  }
  for (int i = 0; i < FILES; i++)
    close(files[i]);
  return NULL;
}

/* The rows of an app up to its `count`-th have come. */
static void see_app(struct seen *seen, const char *name, uint32_t count, uint64_t seen_ns) {
  unsigned app = name == NULL ? APPS : (unsigned)strtoul(name + 3, NULL, 10);
  if (app >= APPS || count < seen->of_app[app] || count > (run.count + APPS - 1) / APPS) bench_fail("a count is wrong");
  for (; seen->of_app[app] < count; seen->count++) {
    uint32_t record = seen->of_app[app]++ * APPS + app;
    if (record >= run.written) bench_fail("a record was counted twice");
    if (record >= run.warm_up) bench_histogram_add(&seen->histogram, seen_ns - run.due_ns[record]);
  }
}

/* ---- the reader of SQLite ---- */

static struct {
  sqlite3 *database;
  sqlite3_stmt *version, *rows;
  int last_version;
} sqlite;

static void must_sqlite(bool is_good, sqlite3 *database) {
  if (!is_good) bench_fail(sqlite3_errmsg(database));
}

static void sqlite_target(char *out, size_t size) {
  snprintf(out, size, "sqlite:%s/pv.db", run.folder);
}

/* The table is there once the job has claimed its target. */
static void sqlite_open(void) {
  char path[300], select[100];
  snprintf(path, sizeof path, "%s/pv.db", run.folder);
  snprintf(select, sizeof select, "SELECT app_id, pv FROM %s", run.name);
  sqlite.last_version = 0;
  for (int tries = 0; tries < 1000; tries++) {
    bench_sleep_s(0.01);
    if (sqlite3_open_v2(path, &sqlite.database, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(sqlite.database, select, -1, &sqlite.rows, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(sqlite.database, "PRAGMA data_version", -1, &sqlite.version, NULL) == SQLITE_OK)
      return;
    sqlite3_close(sqlite.database);
  }
  bench_fail("the job has made no table");
}

static void sqlite_close(void) {
  sqlite3_finalize(sqlite.version);
  sqlite3_finalize(sqlite.rows);
  sqlite3_close(sqlite.database);
}

static bool has_changed(void) {
  must_sqlite(sqlite3_step(sqlite.version) == SQLITE_ROW, sqlite.database);
  int version = sqlite3_column_int(sqlite.version, 0);
  sqlite3_reset(sqlite.version);
  bool changed = version != sqlite.last_version;
  sqlite.last_version = version;
  return changed;
}

static void sqlite_look(struct seen *seen) {
  static struct {
    char name[16];
    uint32_t count;
  } rows[APPS];
  int count = 0, result;
  if (!has_changed()) return;
  while ((result = sqlite3_step(sqlite.rows)) == SQLITE_ROW) {
    if (count == APPS) bench_fail("there are more apps than were written");
    snprintf(rows[count].name, sizeof rows[count].name, "%s", (const char *)sqlite3_column_text(sqlite.rows, 0));
    rows[count++].count = (uint32_t)sqlite3_column_int64(sqlite.rows, 1);
  }
  must_sqlite(result == SQLITE_DONE, sqlite.database);
  sqlite3_reset(sqlite.rows);
  uint64_t seen_ns = now_ns();
  for (int i = 0; i < count; i++)
    see_app(seen, rows[i].name, rows[i].count, seen_ns);
}

/* ---- the reader of a topic ---- */

static struct kafka_reader kafka;

static void kafka_target(char *out, size_t size) {
  snprintf(out, size, "kafka://%s/%s", run.kafka, run.name);
}

static void kafka_open(void) {
  const struct wr_kafka_connection connection = {.servers = run.kafka, .group = "bench", .uid = "bench"};
  struct wr_posix_seams posix;
  struct weir_error error;
  bench_must(wr_posix_seams_init(&posix, 0, WR_LOG_ERROR, &error), &error);
  struct wr_kafka_topic found = kafka_look(&connection, run.name, &posix.seams);
  kafka = kafka_reader_open(&connection, run.name, &found);
  wr_kafka_topic_deinit(&found, posix.seams.memory);
  wr_posix_seams_deinit(&posix);
}

static void kafka_close(void) {
  kafka_reader_close(&kafka);
}

static void see_message(struct seen *seen, const rd_kafka_message_t *message, uint64_t seen_ns) {
  static const char before[] = "\"pv\":";
  char name[16], value[100];
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) return; /* the end for now */
  snprintf(name, sizeof name, "%.*s", (int)message->key_len, (const char *)message->key);
  snprintf(value, sizeof value, "%.*s", (int)message->len, (const char *)message->payload);
  const char *count = strstr(value, before);
  if (count == NULL) bench_fail("a message is wrong");
  see_app(seen, name, (uint32_t)strtoul(count + sizeof before - 1, NULL, 10), seen_ns);
}

static void kafka_see(struct seen *seen) {
  rd_kafka_message_t *messages[APPS];
  ssize_t count = kafka.library.consume_batch_queue(kafka.queue, 0, messages, APPS);
  uint64_t seen_ns = now_ns();
  for (ssize_t i = 0; i < count; i++) {
    see_message(seen, messages[i], seen_ns);
    kafka.library.message_destroy(messages[i]);
  }
}

/* ---- the reader of PostgreSQL ---- */

static struct {
  struct sink_libpq pq;
  uint32_t looks;
} postgres;

/* The job finds its table. */
static void postgres_target(char *out, size_t size) {
  char sql[200];
  struct sink_libpq pq = sink_postgres_open(run.postgres);
  snprintf(sql, sizeof sql, "CREATE TABLE %s (app_id text PRIMARY KEY, pv bigint)", run.name);
  sink_postgres_run(&pq, sql);
  pq.PQfinish(pq.connection);
  snprintf(out, size, "postgresql://weir@127.0.0.1:%s/out", run.postgres);
}

static void postgres_open(void) {
  postgres.pq = sink_postgres_open(run.postgres);
}

static void postgres_close(void) {
  postgres.pq.PQfinish(postgres.pq.connection);
}

static void postgres_look(struct seen *seen) {
  const struct sink_libpq *pq = &postgres.pq;
  char select[100];
  if (postgres.looks++ % 5 != 0) return;
  snprintf(select, sizeof select, "SELECT app_id, pv FROM %s", run.name);
  PGresult *result = pq->PQexec(pq->connection, select);
  if (pq->PQresultStatus(result) != PGRES_TUPLES_OK) bench_fail(pq->PQerrorMessage(pq->connection));
  uint64_t seen_ns = now_ns();
  for (int i = 0; i < pq->PQntuples(result); i++)
    see_app(seen, pq->PQgetvalue(result, i, 0), (uint32_t)strtoul(pq->PQgetvalue(result, i, 1), NULL, 10), seen_ns);
  pq->PQclear(result);
}

/* ---- the jobs ---- */

struct target {
  const char *name; /* in the rows' names */
  void (*put)(char *out, size_t size);
  void (*open)(void);
  void (*look)(struct seen *seen); /* every millisecond */
  void (*close)(void);
};
static const struct target sqlite_reader = {"", sqlite_target, sqlite_open, sqlite_look, sqlite_close};
static const struct target kafka_topic = {"kafka_", kafka_target, kafka_open, kafka_see, kafka_close};
static const struct target postgres_table = {"postgres_", postgres_target, postgres_open, postgres_look,
                                             postgres_close};

/* A target's job of a run, and what its reader has seen. */
struct side {
  const struct target *target;
  struct bench_job job;
  struct seen seen;
  double checkpoint_ms; /* the last one */
};

static void start(struct side *side, const char *interval) {
  static const char *const keys[] = {"app_id"};
  char views[300], sink[300];
  snprintf(views, sizeof views, "%s/views", run.folder);
  side->target->put(sink, sizeof sink);
  const struct weir_files_options files = {.size = sizeof files, .folder = views, .schema = &view_schema};
  struct bench_job *job = &side->job;
  bench_job_new(job, run.name);
  bench_set(job, "parallelism", "%d", sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1);
  bench_set(job, "state", "%s/%sstate", run.folder, side->target->name);
  bench_set(job, "sink", "%s", sink);
  bench_set(job, "checkpoint-interval", "%s", interval);
  struct weir_stream *counts =
      weir_count(weir_key_by(weir_files_source(job->builder, "views", &files), "app_id"), "count", "pv");
  weir_sink_of_options(counts, "pv", run.name, keys, 1, job->options);
  bench_job_start(job);
  memset(&side->seen, 0, sizeof side->seen);
  side->target->open();
}

/* Looks at all targets until all records have come out of all. */
static void read_all(struct side *sides, uint32_t count) {
  uint64_t give_up_ns = now_ns() + run.count / FILES * run.gap_ns + 60 * SECOND_NS;
  uint32_t complete = 0;
  for (uint64_t due_ns = now_ns(); complete < count; due_ns += MILLISECOND_NS) {
    sleep_until(due_ns);
    complete = 0;
    for (uint32_t i = 0; i < count; i++) {
      if (sides[i].seen.count < run.count) sides[i].target->look(&sides[i].seen);
      complete += sides[i].seen.count == run.count;
      if (bench_status(&sides[i].job).is_over) bench_fail("a job ended");
    }
    if (now_ns() > give_up_ns) bench_fail("records did not come out");
  }
}

static void print(const struct side *side, const char *what, const char *row, double value) {
  char name[64];
  snprintf(name, sizeof name, "visible_%s%s_%s", side->target->name, what, row);
  bench_row(name, value, "ms");
}

static double p99_ms(const struct side *side) {
  return (double)bench_histogram_quantile(&side->seen.histogram, 0.99) / 1e6;
}

static void print_side(const struct side *side, const char *what) {
  const struct bench_histogram *histogram = &side->seen.histogram;
  print(side, what, "p50", (double)bench_histogram_quantile(histogram, 0.5) / 1e6);
  print(side, what, "p99", p99_ms(side));
  print(side, what, "max", (double)histogram->largest / 1e6);
  print(side, what, "checkpoint", side->checkpoint_ms);
}

static void stop(struct side *side) {
  struct weir_job_status status = bench_status(&side->job);
  if (status.source_records != run.count || status.checkpoints_failed != 0) bench_fail("records or checkpoints failed");
  side->target->close();
  bench_job_stop(&side->job);
  side->checkpoint_ms = (double)status.last_checkpoint_ns / 1e6;
}

/* One run, of a name of its own, over the targets of `sides`, `count` of them. */
static void measure(const char *name, const char *interval, uint32_t seconds, uint32_t gap_ms, struct side *sides,
                    uint32_t count) {
  pthread_t appender;
  char path[300];
  bench_folder_make(run.folder, sizeof run.folder);
  snprintf(path, sizeof path, "%s/views", run.folder);
  if (mkdir(path, 0755) != 0) bench_fail("no folder for the partitions");
  snprintf(run.name, sizeof run.name, "pv_%s", name);
  run.written = 0;
  run.warm_up = WARM_UP_S * 1000 / gap_ms * FILES;
  run.count = run.warm_up + seconds * 1000 / gap_ms * FILES;
  run.gap_ns = gap_ms * MILLISECOND_NS;
  if (run.count > RECORDS_MAX) bench_fail("there are too many records");
  for (int i = 0; i < FILES; i++)
    close(open_partition(i));
  for (uint32_t i = 0; i < count; i++)
    start(&sides[i], interval);
  if (pthread_create(&appender, NULL, append, NULL) != 0) bench_fail("no thread for the appender");
  read_all(sides, count);
  pthread_join(appender, NULL);
  for (uint32_t i = 0; i < count; i++)
    stop(&sides[i]);
  bench_folder_remove(run.folder);
}

/* Targets at the same time. */
static void measure_together(const char *what, const char *interval, uint32_t seconds, uint32_t gap_ms,
                             const struct target *const *targets, uint32_t count) {
  static struct side sides[TARGETS];
  for (uint32_t i = 0; i < count; i++)
    sides[i].target = targets[i];
  measure(what, interval, seconds, gap_ms, sides, count);
  for (uint32_t i = 0; i < count; i++)
    print_side(&sides[i], what);
}

/* One target, several times, a checkpoint every 100 ms. */
static void measure_best(const struct target *target) {
  static struct side best, other;
  double worst_ms = 0;
  other.target = target;
  for (int i = 1; i <= RUNS; i++) {
    char name[32];
    snprintf(name, sizeof name, "100ms_%d", i);
    measure(name, "100ms", 10, 1, &other, 1);
    if (i == 1 || p99_ms(&other) < p99_ms(&best)) best = other;
    if (p99_ms(&other) > worst_ms) worst_ms = p99_ms(&other);
  }
  print_side(&best, "100ms");
  print(&best, "100ms", "p99_worst", worst_ms);
}

/* ---- what it costs at least ---- */

static void publish(const char *folder, int number) {
  static const char bytes[SMALL_STATE_BYTES];
  char path[300], name[300];
  snprintf(path, sizeof path, "%s/part", folder);
  snprintf(name, sizeof name, "%s/chk-%d", folder, number);
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), parent = open(folder, O_RDONLY | O_CLOEXEC);
  if (file < 0 || parent < 0 || write(file, bytes, sizeof bytes) != sizeof bytes || fsync(file) != 0 ||
      close(file) != 0 || rename(path, name) != 0 || fsync(parent) != 0 || close(parent) != 0)
    bench_fail("a file cannot be published");
}

static void execute(sqlite3 *database, const char *sql) {
  must_sqlite(sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK, database);
}

static void commit(sqlite3 *database, int number) {
  char sql[200];
  execute(database, "BEGIN IMMEDIATE");
  snprintf(sql, sizeof sql, "UPDATE marker SET checkpoint = %d", number);
  execute(database, sql);
  for (int app = 0; app < APPS; app++) {
    snprintf(sql, sizeof sql, "INSERT INTO pv VALUES('app%d', %d) ON CONFLICT DO UPDATE SET pv = excluded.pv", app,
             number);
    execute(database, sql);
  }
  execute(database, "COMMIT");
}

/* Milliseconds of both together, the median. */
static double measure_bare(void) {
  double publish_ms[BARE_RUNS], commit_ms[BARE_RUNS];
  sqlite3 *database;
  char folder[256], path[300];
  bench_folder_make(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/bare.db", folder);
  if (sqlite3_open(path, &database) != SQLITE_OK) bench_fail("no database");
  execute(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE marker(checkpoint INTEGER);"
                    "INSERT INTO marker VALUES(0); CREATE TABLE pv(app_id TEXT PRIMARY KEY, pv INTEGER)");
  for (int i = 0; i < BARE_RUNS; i++) {
    double begin_s = bench_now_s();
    publish(folder, i);
    double published_s = bench_now_s();
    commit(database, i);
    publish_ms[i] = (published_s - begin_s) * 1e3;
    commit_ms[i] = (bench_now_s() - published_s) * 1e3;
  }
  sqlite3_close(database);
  bench_folder_remove(folder);
  double publish_median = bench_quantile(publish_ms, BARE_RUNS, 0.5);
  double commit_median = bench_quantile(commit_ms, BARE_RUNS, 0.5);
  bench_row("visible_bare_publish", publish_median, "ms");
  bench_row("visible_bare_commit", commit_median, "ms");
  return publish_median + commit_median;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i += 2) {
    if (strcmp(argv[i], "--kafka") == 0 && i + 1 < argc)
      run.kafka = argv[i + 1];
    else if (strcmp(argv[i], "--postgres") == 0 && i + 1 < argc)
      run.postgres = argv[i + 1];
    else
      bench_fail("usage: visible [--kafka HOST:PORT] [--postgres PORT]");
  }
  const struct target *all[TARGETS] = {&sqlite_reader};
  uint32_t count = 1;
  if (run.kafka != NULL) all[count++] = &kafka_topic;
  if (run.postgres != NULL) all[count++] = &postgres_table;
  bench_print_machine();
  bench_histogram_check();
  for (uint32_t i = 0; i < count; i++)
    measure_best(all[i]);
  measure_together("sparse", "100ms", 20, 211, all, 1);
  measure_together("1s", "1s", 12, 1, all, count);
  measure_together("10s", "10s", 32, 1, all, count);
  bench_row("visible_100ms_bare_p99", 99 + measure_bare(), "ms");
  return 0;
}
