/* bench/sinks.c: rows into each sink at exactly-once, beside a plain client's loop over the same rows.
 *
 * The seen job: two NDJSON files -> a row (partition, position, app_id) for each record -> the sink in insert mode, a
 * checkpoint every second, two subtasks where there are two cores. A plain client (sink_clients.h) holds the rows in
 * memory. Both run from the first connection to the last durable row. Of servers the time counts, for their own CPU is
 * part of it; they share the machine's cores with their client.
 *
 *   sinks [--kafka HOST:PORT] [--postgres PORT] [--mariadb PORT]
 *
 * Servers that are not named are left out; tools/bench.py starts them where they are installed. The topics "plain" and
 * "seen", of two partitions, must be there and empty; tables are made.
 *
 *   sink_<target>         rows per second of time
 *   sink_<target>_cpu     rows per CPU second of all threads of this process
 *   sink_<target>_plain, sink_<target>_plain_cpu   the same of the plain client
 *   sink_folder_write, sink_folder_write_cpu       the same of writing the lines when all of them are there already
 */
#include "bench/engine.h"
#include "bench/sink_clients.h"
#include "os/posix_seams.h"

#include <dirent.h>
#include <sys/stat.h>

static const struct weir_field seen_fields[] = {
    {"partition", WEIR_TYPE_STRING, false}, {"position", WEIR_TYPE_BIGINT, false}, {"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema seen_schema = {seen_fields, 3};

struct run {
  char folder[256];
  const char *kafka, *postgres, *mariadb; /* NULL: not there */
  struct sink_rows rows;
  char *text; /* of the rows, as a folder of files has them */
  size_t text_bytes;
};

/* ---- the job ---- */

static void run_seen(const struct run *run, const char *sink) {
  struct bench_job job;
  struct weir_error error;
  char views[300];
  snprintf(views, sizeof views, "%s/views", run->folder);
  const struct weir_files_options files = {.size = sizeof files,
                                           .folder = views,
                                           .schema = &seen_schema,
                                           .partition_field = "partition",
                                           .position_field = "position"};
  bench_job_new(&job, "seen");
  bench_set(&job, "parallelism", "%d", sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1);
  bench_set(&job, "bounded", "true");
  bench_set(&job, "state", "%s/state", run->folder);
  bench_set(&job, "sink", "%s", sink);
  struct weir_stream *seen = weir_files_source(job.builder, "views", &files);
  weir_sink_of_options(weir_message_key(seen, "app_id"), "seen", "seen", NULL, 0, job.options);
  bench_job_start(&job);
  weir_job_wait(job.job, -1);
  bench_must(weir_job_result(job.job, &error), &error);
  bench_job_free(&job);
}

/* ---- the targets ---- */

static void plain_kafka(const struct run *run) {
  sink_kafka(run->kafka, "plain", &run->rows);
}
static void weir_into_kafka(const struct run *run) {
  char sink[300];
  snprintf(sink, sizeof sink, "kafka://%s/seen", run->kafka);
  run_seen(run, sink);
}
static uint64_t count_topic(const struct run *run, const char *topic) {
  const struct wr_kafka_connection connection = {.servers = run->kafka, .group = "bench", .uid = "bench"};
  struct wr_posix_seams posix;
  struct weir_error error;
  bench_must(wr_posix_seams_init(&posix, 0, WR_LOG_ERROR, &error), &error);
  struct wr_kafka_topic found = kafka_look(&connection, topic, &posix.seams);
  struct kafka_totals totals = kafka_plain(&connection, topic, &found);
  wr_kafka_topic_deinit(&found, posix.seams.memory);
  wr_posix_seams_deinit(&posix);
  return totals.bytes == run->text_bytes - run->rows.count ? totals.records : 0;
}
static void check_kafka(const struct run *run) {
  if (count_topic(run, "plain") != run->rows.count || count_topic(run, "seen") != run->rows.count)
    bench_fail("a topic does not hold the rows");
}

/* Two tables on a database server: what a count and a sum say of them. */
static void check_table(const struct run *run, uint64_t count, uint64_t sum) {
  uint64_t expected = 0;
  for (uint32_t i = 0; i < run->rows.count; i++)
    expected += run->rows.rows[i].number;
  if (count != run->rows.count || sum != expected) bench_fail("a table does not hold the rows");
}

static void prepare_postgres(const struct run *run) {
  struct sink_libpq pq = sink_postgres_open(run->postgres);
  sink_postgres_run(&pq, "CREATE TABLE plain (partition text, position bigint, app_id text);"
                         "CREATE TABLE seen (partition text, position bigint, app_id text)");
  pq.PQfinish(pq.connection);
}
static void plain_postgres(const struct run *run) {
  sink_postgres(run->postgres, "plain", &run->rows);
}
static void weir_into_postgres(const struct run *run) {
  char sink[100];
  snprintf(sink, sizeof sink, "postgresql://weir@127.0.0.1:%s/out", run->postgres);
  run_seen(run, sink);
}
static void check_postgres(const struct run *run) {
  struct sink_libpq pq = sink_postgres_open(run->postgres);
  check_table(run, sink_postgres_run(&pq, "SELECT count(*) FROM plain"),
              sink_postgres_run(&pq, "SELECT sum(position) FROM plain"));
  check_table(run, sink_postgres_run(&pq, "SELECT count(*) FROM seen"),
              sink_postgres_run(&pq, "SELECT sum(position) FROM seen"));
  pq.PQfinish(pq.connection);
}

static uint64_t ask_mariadb(const struct sink_libmariadb *my, const char *sql) {
  return sink_mariadb_run(my, sql, strlen(sql));
}
static void prepare_mariadb(const struct run *run) {
  struct sink_libmariadb my = sink_mariadb_open(run->mariadb);
  ask_mariadb(&my, "CREATE TABLE plain (`partition` text, position bigint, app_id text)");
  ask_mariadb(&my, "CREATE TABLE seen (`partition` text, position bigint, app_id text)");
  my.mysql_close(my.connection);
}
static void plain_mariadb(const struct run *run) {
  sink_mariadb(run->mariadb, "plain", &run->rows);
}
static void weir_into_mariadb(const struct run *run) {
  char sink[100];
  snprintf(sink, sizeof sink, "mysql://weir@127.0.0.1:%s/out", run->mariadb);
  run_seen(run, sink);
}
static void check_mariadb(const struct run *run) {
  struct sink_libmariadb my = sink_mariadb_open(run->mariadb);
  check_table(run, ask_mariadb(&my, "SELECT count(*) FROM plain"), ask_mariadb(&my, "SELECT sum(position) FROM plain"));
  check_table(run, ask_mariadb(&my, "SELECT count(*) FROM seen"), ask_mariadb(&my, "SELECT sum(position) FROM seen"));
  my.mysql_close(my.connection);
}

static void plain_sqlite(const struct run *run) {
  char path[300];
  snprintf(path, sizeof path, "%s/plain.db", run->folder);
  sink_sqlite(path, &run->rows);
}
static void weir_into_sqlite(const struct run *run) {
  char sink[300];
  snprintf(sink, sizeof sink, "sqlite:%s/seen.db", run->folder);
  run_seen(run, sink);
}
static void check_sqlite(const struct run *run) {
  static const char *const names[] = {"plain", "seen"};
  for (int i = 0; i < 2; i++) {
    char path[300];
    sqlite3 *database;
    sqlite3_stmt *sum;
    snprintf(path, sizeof path, "%s/%s.db", run->folder, names[i]);
    if (sqlite3_open(path, &database) != SQLITE_OK ||
        sqlite3_prepare_v2(database, "SELECT count(*), sum(position) FROM seen", -1, &sum, NULL) != SQLITE_OK ||
        sqlite3_step(sum) != SQLITE_ROW)
      bench_fail(sqlite3_errmsg(database));
    check_table(run, (uint64_t)sqlite3_column_int64(sum, 0), (uint64_t)sqlite3_column_int64(sum, 1));
    sqlite3_finalize(sum);
    sqlite3_close(database);
  }
}

static void prepare_folder(const struct run *run) {
  char path[300];
  snprintf(path, sizeof path, "%s/out", run->folder);
  if (mkdir(path, 0755) != 0) bench_fail("no folder for the files");
}
static void plain_folder(const struct run *run) {
  char path[300];
  snprintf(path, sizeof path, "%s/plain.ndjson", run->folder);
  sink_file(path, &run->rows);
}
static void write_folder(const struct run *run) {
  char path[300];
  snprintf(path, sizeof path, "%s/write.ndjson", run->folder);
  sink_file_of_text(path, run->text, run->text_bytes);
}
static void weir_into_folder(const struct run *run) {
  char sink[300];
  snprintf(sink, sizeof sink, "dir:%s/out", run->folder);
  run_seen(run, sink);
}
static void check_folder(const struct run *run) {
  char path[300];
  size_t bytes = 0;
  snprintf(path, sizeof path, "%s/out", run->folder);
  DIR *entries = opendir(path);
  if (entries == NULL) bench_fail("the folder of files cannot be read");
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    struct stat info;
    if (fstatat(dirfd(entries), entry->d_name, &info, 0) != 0) bench_fail("a file cannot be found");
    if (S_ISREG(info.st_mode)) bytes += (size_t)info.st_size;
  }
  closedir(entries);
  if (bytes != run->text_bytes) bench_fail("the folder does not hold the rows");
}

/* ---- the runs ---- */

struct sink {
  const char *name;
  uint32_t count;                         /* of rows: enough for some seconds */
  void (*prepare)(const struct run *run); /* may be NULL */
  void (*plain)(const struct run *run);
  void (*weir)(const struct run *run);
  void (*check)(const struct run *run);
  void (*write)(const struct run *run); /* the bytes alone; may be NULL */
};

static const struct sink kafka_sink = {"kafka", 4000000, NULL, plain_kafka, weir_into_kafka, check_kafka, NULL};
static const struct sink postgres_sink = {"postgres",     4000000, prepare_postgres, plain_postgres, weir_into_postgres,
                                          check_postgres, NULL};
static const struct sink mariadb_sink = {"mariadb",     1500000, prepare_mariadb, plain_mariadb, weir_into_mariadb,
                                         check_mariadb, NULL};
static const struct sink sqlite_sink = {"sqlite", 6000000, NULL, plain_sqlite, weir_into_sqlite, check_sqlite, NULL};
static const struct sink folder_sink = {"folder",         8000000,      prepare_folder, plain_folder,
                                        weir_into_folder, check_folder, write_folder};

static void make_text(struct run *run) {
  run->text = malloc((size_t)run->rows.count * SINK_ROW_BYTES_MAX);
  if (run->text == NULL) bench_fail("no memory for the text");
  char *at = run->text;
  for (uint32_t i = 0; i < run->rows.count; i++)
    at = sink_put(sink_put_json(at, &run->rows.rows[i]), "\n");
  run->text_bytes = (size_t)(at - run->text);
}

static void time_one(const struct run *run, void (*write_all)(const struct run *), const char *name,
                     const char *ending) {
  char row[64];
  double begin_s = bench_now_s(), cpu_s = bench_cpu_s();
  write_all(run);
  double seconds = bench_now_s() - begin_s;
  cpu_s = bench_cpu_s() - cpu_s;
  snprintf(row, sizeof row, "sink_%s%s", name, ending);
  bench_row(row, run->rows.count / seconds / 1e6, "M_rows/s");
  snprintf(row, sizeof row, "sink_%s%s_cpu", name, ending);
  bench_row(row, run->rows.count / cpu_s / 1e6, "M_rows/s");
}

static void measure(const struct run *given, const struct sink *sink) {
  struct run run = *given;
  char views[300];
  bench_folder_make(run.folder, sizeof run.folder);
  snprintf(views, sizeof views, "%s/views", run.folder);
  if (mkdir(views, 0755) != 0) bench_fail("no folder for the input");
  run.rows = sink_rows_make(run.folder, sink->count);
  make_text(&run);
  sync(); /* else the disk is still busy with the input */
  if (sink->prepare != NULL) sink->prepare(&run);
  time_one(&run, sink->weir, sink->name, "");
  time_one(&run, sink->plain, sink->name, "_plain");
  if (sink->write != NULL) time_one(&run, sink->write, sink->name, "_write");
  sink->check(&run);
  free(run.rows.rows);
  free(run.text);
  bench_folder_remove(run.folder);
}

int main(int argc, char **argv) {
  struct run run = {.kafka = NULL};
  for (int i = 1; i < argc; i += 2) {
    const char **to = strcmp(argv[i], "--kafka") == 0      ? &run.kafka
                      : strcmp(argv[i], "--postgres") == 0 ? &run.postgres
                      : strcmp(argv[i], "--mariadb") == 0  ? &run.mariadb
                                                           : NULL;
    if (to == NULL || i + 1 == argc) bench_fail("usage: sinks [--kafka HOST:PORT] [--postgres PORT] [--mariadb PORT]");
    *to = argv[i + 1];
  }
  bench_print_machine();
  measure(&run, &folder_sink);
  measure(&run, &sqlite_sink);
  if (run.kafka != NULL) measure(&run, &kafka_sink);
  if (run.postgres != NULL) measure(&run, &postgres_sink);
  if (run.mariadb != NULL) measure(&run, &mariadb_sink);
  return 0;
}
