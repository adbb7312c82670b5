/* bench/kafka_client.c: what reading a topic costs without anything of weir behind it. Usage: kafka_client --servers
 * HOST:PORT --topic TOPIC [KEY=VALUE...]; without a broker to go to it measures nothing.
 *
 *   kafka_driver  all records of all partitions through weir's driver (views, a queue per partition), to their ends
 *   kafka_plain   the same topic by librdkafka's plain loop over one common queue (rd_kafka_consume_batch_queue), with
 *                 its own defaults
 *
 * Rows per CPU second of all threads of this process, and per second of time: where the second is far below the first,
 * the client waits for the broker. Both add up the lengths of all values; they must agree. */
#include "bench/kafka_plain.h"
#include "os/park.h"
#include "os/posix_seams.h"

enum { RUNS = 3, SETTINGS_MAX = 16 };

static struct kafka_totals run_driver(const struct wr_kafka_connection *connection, const char *topic,
                                      const struct wr_kafka_topic *found, struct wr_seams *seams) {
  const struct wr_kafka_driver *driver = wr_kafka_rdkafka();
  struct weir_error error;
  struct wr_parker parker;
  wr_parker_init(&parker);
  struct wr_kafka_consumer *consumer = NULL;
  if (driver->open_consumer(driver, connection, topic, seams, seams->memory, &parker.waker, &consumer, &error) !=
      WEIR_OK)
    bench_fail(error.message);
  for (uint32_t i = 0; i < found->partition_count; i++)
    if (consumer->vtable->assign(consumer, (int32_t)i, found->partitions[i].low, &error) != WEIR_OK)
      bench_fail(error.message);
  struct kafka_totals totals = {0};
  for (uint32_t ended = 0; ended < found->partition_count;) {
    bool any = false;
    for (uint32_t i = 0; i < found->partition_count; i++) {
      struct wr_kafka_fetch fetch;
      if (!consumer->vtable->take(consumer, (int32_t)i, 4096, &fetch)) continue;
      any = true;
      if (fetch.answer != WR_KAFKA_FINE) bench_fail(fetch.reason);
      totals.records += fetch.count;
      for (uint32_t j = 0; j < fetch.count; j++)
        totals.bytes += fetch.records[j].value_length;
      ended += fetch.at_end;
      consumer->vtable->release(consumer);
    }
    if (!any) wr_parker_wait(&parker, WR_PARK_FOREVER);
  }
  consumer->vtable->close(consumer);
  return totals;
}

static struct kafka_totals measure(bool plain, const struct wr_kafka_connection *connection, const char *topic,
                                   const struct wr_kafka_topic *found, struct wr_seams *seams) {
  struct bench_runs per_cpu = {0}, per_second = {0};
  struct kafka_totals totals = {0};
  for (int run = 0; run < RUNS; run++) {
    double cpu = bench_cpu_s(), now = bench_now_s();
    totals = plain ? kafka_plain(connection, topic, found) : run_driver(connection, topic, found, seams);
    bench_add(&per_cpu, (double)totals.records / (bench_cpu_s() - cpu) / 1e6);
    bench_add(&per_second, (double)totals.records / (bench_now_s() - now) / 1e6);
  }
  bench_row_best(plain ? "kafka_plain" : "kafka_driver", &per_cpu, BENCH_HIGHER, "M_rows/s");
  bench_row_best(plain ? "kafka_plain_time" : "kafka_driver_time", &per_second, BENCH_HIGHER, "M_rows/s");
  return totals;
}

int main(int argc, char **argv) {
  struct wr_kafka_setting settings[SETTINGS_MAX];
  struct wr_kafka_connection connection = {.settings = settings, .group = "bench", .uid = "bench"};
  const char *topic = NULL;
  for (int i = 1; i < argc; i++) {
    char *equals = strchr(argv[i], '=');
    if (strcmp(argv[i], "--servers") == 0 && i + 1 < argc) {
      connection.servers = argv[++i];
    } else if (strcmp(argv[i], "--topic") == 0 && i + 1 < argc) {
      topic = argv[++i];
    } else if (equals != NULL && connection.setting_count < SETTINGS_MAX) {
      *equals = 0;
      settings[connection.setting_count++] = (struct wr_kafka_setting){.key = argv[i], .value = equals + 1};
    }
  }
  if (connection.servers == NULL || topic == NULL) {
    printf("# nothing measured: kafka_client --servers HOST:PORT --topic TOPIC [KEY=VALUE...]\n");
    return 0;
  }
  struct wr_posix_seams posix;
  struct weir_error error;
  if (wr_posix_seams_init(&posix, 0, WR_LOG_ERROR, &error) != WEIR_OK) bench_fail(error.message);
  bench_print_machine();
  struct wr_kafka_topic found = kafka_look(&connection, topic, &posix.seams);
  struct kafka_totals driver = measure(false, &connection, topic, &found, &posix.seams);
  bench_row("kafka_driver_peak", bench_peak_bytes() / 1e6, "MB");
  struct kafka_totals plain = measure(true, &connection, topic, &found, &posix.seams);
  bench_row("kafka_record_bytes", (double)plain.bytes / (double)plain.records, "bytes");
  if (driver.records != plain.records || driver.bytes != plain.bytes) bench_fail("the two read different records");
  wr_kafka_topic_deinit(&found, posix.seams.memory);
  wr_posix_seams_deinit(&posix);
  return 0;
}
