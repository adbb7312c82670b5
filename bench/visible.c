/* bench/visible.c: from a record in a file to its committed row in an SQLite table, as another connection sees it.
 *
 * An appender writes one record a millisecond into each of two partition files, in single writes; the job is files ->
 * key by -> count -> SQLite, 100 apps, exactly-once, two subtasks where there are two cores; a reader looks every
 * millisecond whether the database has changed and reads the table. Record i is of app i % 100, so the count n of an
 * app says which records are in. A record's time runs from when it was due to be written, so a slow appender hides
 * nothing, until the reader has read its row. Every record must come out once.
 *
 *   visible_100ms_p50 ...   with a checkpoint every 100 ms; then every second
 *   visible_sparse_...      as the first, but a record only every 211 ms: how long the source takes to look
 *   visible_..._checkpoint  how long the last checkpoint took, from the trigger to the durable metadata
 *   visible_bare_publish    what a checkpoint costs at least: write, fsync, rename, fsync of the folder (median)
 *   visible_bare_commit     what a commit costs at least: the rows and a marker in one transaction (median)
 *   visible_100ms_bare_p99  the interval and these two: nearly all of a record's time at the 99th percentile if the job
 *                           itself cost nothing
 */
#include "bench/engine.h"
#include "bench/histogram.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

enum { APPS = 100, FILES = 2, RECORDS_MAX = 60000, BARE_RUNS = 40, SMALL_STATE_BYTES = 8 * 1024 };
static const uint64_t SECOND_NS = 1000000000, MILLISECOND_NS = 1000000;

static const struct weir_field view_fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema view_schema = {view_fields, 1};

static struct {
  char folder[256];
  uint64_t due_ns[RECORDS_MAX]; /* when each record was due; written by the appender before the record */
  _Atomic uint32_t written;
  uint32_t count;  /* records of this run */
  uint64_t gap_ns; /* between two records of a file */
} run;

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

/* ---- the reader ---- */

struct reader {
  sqlite3 *database;
  sqlite3_stmt *version, *rows;
  int last_version;
  uint32_t seen[APPS]; /* records of each app that are visible */
  uint32_t seen_count;
  struct bench_histogram histogram;
};

static void must_sqlite(bool is_good, sqlite3 *database) {
  if (!is_good) bench_fail(sqlite3_errmsg(database));
}

/* The table is there once the job has claimed its target. */
static void reader_open(struct reader *reader, const char *path) {
  memset(reader, 0, sizeof *reader);
  for (int tries = 0; tries < 1000; tries++) {
    bench_sleep_s(0.01);
    if (sqlite3_open_v2(path, &reader->database, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(reader->database, "SELECT app_id, pv FROM pv", -1, &reader->rows, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(reader->database, "PRAGMA data_version", -1, &reader->version, NULL) == SQLITE_OK)
      return;
    sqlite3_close(reader->database);
  }
  bench_fail("the job has made no table");
}

static void reader_close(struct reader *reader) {
  sqlite3_finalize(reader->version);
  sqlite3_finalize(reader->rows);
  sqlite3_close(reader->database);
}

static bool has_changed(struct reader *reader) {
  must_sqlite(sqlite3_step(reader->version) == SQLITE_ROW, reader->database);
  int version = sqlite3_column_int(reader->version, 0);
  sqlite3_reset(reader->version);
  bool changed = version != reader->last_version;
  reader->last_version = version;
  return changed;
}

static void see_app(struct reader *reader, const char *name, uint32_t count, uint64_t seen_ns) {
  unsigned app = name == NULL ? APPS : (unsigned)strtoul(name + 3, NULL, 10);
  if (app >= APPS || count < reader->seen[app] || count > (run.count + APPS - 1) / APPS) bench_fail("a count is wrong");
  for (; reader->seen[app] < count; reader->seen_count++) {
    uint32_t record = reader->seen[app]++ * APPS + app;
    if (record >= run.written) bench_fail("a record was counted twice");
    bench_histogram_add(&reader->histogram, seen_ns - run.due_ns[record]);
  }
}

static void read_table(struct reader *reader) {
  static struct {
    char name[16];
    uint32_t count;
  } rows[APPS];
  int count = 0, result;
  while ((result = sqlite3_step(reader->rows)) == SQLITE_ROW) {
    if (count == APPS) bench_fail("there are more apps than were written");
    snprintf(rows[count].name, sizeof rows[count].name, "%s", (const char *)sqlite3_column_text(reader->rows, 0));
    rows[count++].count = (uint32_t)sqlite3_column_int64(reader->rows, 1);
  }
  must_sqlite(result == SQLITE_DONE, reader->database);
  sqlite3_reset(reader->rows);
  uint64_t seen_ns = now_ns();
  for (int i = 0; i < count; i++)
    see_app(reader, rows[i].name, rows[i].count, seen_ns);
}

/* ---- the job ---- */

static void start(struct bench_job *job, const char *interval) {
  static const char *const keys[] = {"app_id"};
  char views[300];
  snprintf(views, sizeof views, "%s/views", run.folder);
  const struct weir_files_options files = {.size = sizeof files, .folder = views, .schema = &view_schema};
  bench_job_new(job, "pv");
  bench_set(job, "parallelism", "%d", sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1);
  bench_set(job, "state", "%s/state", run.folder);
  bench_set(job, "sink", "sqlite:%s/pv.db", run.folder);
  bench_set(job, "checkpoint-interval", "%s", interval);
  struct weir_stream *counts =
      weir_count(weir_key_by(weir_files_source(job->builder, "views", &files), "app_id"), "count", "pv");
  weir_sink_of_options(counts, "pv", "pv", keys, 1, job->options);
  bench_job_start(job);
}

static void read_all(struct reader *reader, const struct bench_job *job) {
  uint64_t give_up_ns = now_ns() + run.count / FILES * run.gap_ns + 60 * SECOND_NS;
  for (uint64_t due_ns = now_ns(); reader->seen_count < run.count; due_ns += MILLISECOND_NS) {
    sleep_until(due_ns);
    if (has_changed(reader)) read_table(reader);
    if (now_ns() > give_up_ns || bench_status(job).is_over) bench_fail("records did not come out");
  }
}

static void measure(const char *what, const char *interval, uint32_t seconds, uint32_t gap_ms) {
  static struct reader reader;
  struct bench_job job;
  pthread_t appender;
  char name[64], path[300];
  bench_folder_make(run.folder, sizeof run.folder);
  snprintf(path, sizeof path, "%s/views", run.folder);
  if (mkdir(path, 0755) != 0) bench_fail("no folder for the partitions");
  snprintf(path, sizeof path, "%s/pv.db", run.folder);
  run.written = 0;
  run.count = seconds * 1000 / gap_ms * FILES;
  run.gap_ns = gap_ms * MILLISECOND_NS;
  for (int i = 0; i < FILES; i++)
    close(open_partition(i));
  start(&job, interval);
  reader_open(&reader, path);
  if (pthread_create(&appender, NULL, append, NULL) != 0) bench_fail("no thread for the appender");
  read_all(&reader, &job);
  pthread_join(appender, NULL);
  struct weir_job_status status = bench_status(&job);
  if (status.source_records != run.count || status.checkpoints_failed != 0) bench_fail("records or checkpoints failed");
  double checkpoint_ms = (double)status.last_checkpoint_ns / 1e6;
  bench_job_stop(&job);
  reader_close(&reader);
  bench_folder_remove(run.folder);
  snprintf(name, sizeof name, "visible_%s", what);
  bench_histogram_rows(name, &reader.histogram);
  snprintf(name, sizeof name, "visible_%s_checkpoint", what);
  bench_row(name, checkpoint_ms, "ms");
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

int main(void) {
  bench_print_machine();
  bench_histogram_check();
  measure("100ms", "100ms", 15, 1);
  measure("sparse", "100ms", 20, 211);
  measure("1s", "1s", 15, 1);
  bench_row("visible_100ms_bare_p99", 99 + measure_bare(), "ms");
  return 0;
}
