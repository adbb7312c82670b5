/* bench/pv_kafka.c: the pv job over a Kafka topic, beside librdkafka alone on the same topic.
 *
 *   pv_kafka --records | kafka_tool produce HOST:PORT views     writes the records, a line each, for the topic
 *   pv_kafka --kafka HOST:PORT [KEY=VALUE...]                   measures; the topic "views" holds just these records;
 *                                                               settings are of the job's client alone
 *
 * Without a broker to go to it measures nothing; tools/bench.py starts one and fills the topic, where Kafka is
 * installed. Million records per CPU second of all threads of this process, those of librdkafka among them; best of
 * several. The broker is another process, and its time is not counted.
 *
 *   pv_kafka_record_bytes   bytes of a record's value, on average
 *   pv_kafka_plain          librdkafka's plain loop alone over the topic (kafka_plain.h)
 *   pv_kafka_p<n>           topic -> count -> blackhole, exactly-once, a checkpoint every second, from start to end
 *   pv_kafka_p1_time        the same per second of time: where that is far below, the job waits for the broker, or
 * shares the cores with it
 */
#include "bench/engine.h"
#include "bench/kafka_plain.h"
#include "bench/views.h"
#include "os/posix_seams.h"

enum { RUNS = 3, RECORDS = 4000000, SETTINGS_MAX = 16 };

static struct weir_kafka_setting settings[SETTINGS_MAX];
static uint32_t setting_count;

static void write_records(void) {
  char line[VIEW_BYTES_MAX];
  struct wr_random random = wr_random_of(1);
  for (int i = 0; i < RECORDS; i++) {
    size_t length = view_put(line, &random, i);
    if (fwrite(line, 1, length, stdout) != length) bench_fail("the records cannot be written");
  }
  if (fflush(stdout) != 0) bench_fail("the records cannot be written");
}

static void run_pv(const char *servers, const char *topic, int parallelism, struct bench_runs *per_cpu,
                   struct bench_runs *per_second) {
  static const char *const key_fields[] = {"app_id"};
  struct bench_job job;
  struct weir_error error;
  char state[256];
  bench_folder_make(state, sizeof state);
  const struct weir_kafka_options kafka = {.size = sizeof kafka,
                                           .servers = servers,
                                           .topic = topic,
                                           .schema = &view_schema,
                                           .settings = settings,
                                           .setting_count = setting_count};
  bench_job_new(&job, "pv");
  bench_set(&job, "parallelism", "%d", parallelism);
  bench_set(&job, "bounded", "true");
  bench_set(&job, "state", "%s/state", state);
  bench_set(&job, "sink", "blackhole");
  struct weir_stream *views = weir_kafka_source(job.builder, "views", &kafka);
  struct weir_stream *counts = weir_count(weir_key_by(views, "app_id"), "count", "pv");
  weir_sink_of_options(counts, "pv", "pv", key_fields, 1, job.options);
  double cpu_s = bench_cpu_s(), begin_s = bench_now_s();
  bench_job_start(&job);
  weir_job_wait(job.job, -1);
  bench_add(per_cpu, RECORDS / (bench_cpu_s() - cpu_s) / 1e6);
  bench_add(per_second, RECORDS / (bench_now_s() - begin_s) / 1e6);
  bench_must(weir_job_result(job.job, &error), &error);
  if (bench_status(&job).source_records != RECORDS) bench_fail("the job has not read all records, or some twice");
  bench_job_free(&job);
  bench_folder_remove(state);
}

static void run_plain(const struct wr_kafka_connection *connection, const char *topic,
                      const struct wr_kafka_topic *found, struct bench_runs *runs, double *out_record_bytes) {
  double begin_s = bench_cpu_s();
  struct kafka_totals totals = kafka_plain(connection, topic, found);
  bench_add(runs, RECORDS / (bench_cpu_s() - begin_s) / 1e6);
  if (totals.records != RECORDS) bench_fail("the topic does not hold the records of pv_kafka --records, and only them");
  *out_record_bytes = (double)totals.bytes / RECORDS;
}

static void measure(const char *servers, const char *topic) {
  struct bench_runs plain = {.count = 0}, per_cpu[2] = {{.count = 0}, {.count = 0}}, time[2] = {{.count = 0}};
  const struct wr_kafka_connection connection = {.servers = servers, .group = "bench", .uid = "bench"};
  struct wr_posix_seams posix;
  struct weir_error error;
  double record_bytes = 0;
  bench_must(wr_posix_seams_init(&posix, 0, WR_LOG_ERROR, &error), &error);
  bench_print_machine();
  struct wr_kafka_topic found = kafka_look(&connection, topic, &posix.seams);
  for (int run = 0; run < RUNS; run++) {
    run_plain(&connection, topic, &found, &plain, &record_bytes);
    for (int i = 0; i < 2; i++)
      run_pv(servers, topic, i + 1, &per_cpu[i], &time[i]);
  }
  bench_row("pv_kafka_record_bytes", record_bytes, "bytes");
  bench_row_best("pv_kafka_plain", &plain, BENCH_HIGHER, "M_rows/s");
  bench_row_best("pv_kafka_p1", &per_cpu[0], BENCH_HIGHER, "M_rows/s");
  bench_row_best("pv_kafka_p2", &per_cpu[1], BENCH_HIGHER, "M_rows/s");
  bench_row_best("pv_kafka_p1_time", &time[0], BENCH_HIGHER, "M_rows/s");
  wr_kafka_topic_deinit(&found, posix.seams.memory);
  wr_posix_seams_deinit(&posix);
}

int main(int argc, char **argv) {
  const char *servers = NULL;
  for (int i = 1; i < argc; i++) {
    char *equals = strchr(argv[i], '=');
    if (strcmp(argv[i], "--records") == 0) {
      write_records();
      return 0;
    }
    if (strcmp(argv[i], "--kafka") == 0 && i + 1 < argc)
      servers = argv[++i];
    else if (equals != NULL && setting_count < SETTINGS_MAX) {
      *equals = 0;
      settings[setting_count++] = (struct weir_kafka_setting){.key = argv[i], .value = equals + 1};
    } else
      bench_fail("usage: pv_kafka --records | pv_kafka --kafka HOST:PORT [KEY=VALUE...]");
  }
  if (servers == NULL)
    printf("# nothing measured: pv_kafka --kafka HOST:PORT\n");
  else
    measure(servers, "views");
  return 0;
}
