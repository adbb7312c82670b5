/* bench/kafka_client.c: what reading a topic costs without anything of weir behind it. Usage: kafka_client --servers
 * HOST:PORT --topic TOPIC [KEY=VALUE...]; without a broker to go to it measures nothing.
 *
 *   kafka_driver  all records of all partitions through weir's driver (views, a queue per partition), to their ends
 *   kafka_plain   the same topic by librdkafka's plain loop over one common queue (rd_kafka_consume_batch_queue), with
 *                 its own defaults
 *
 * Rows per CPU second of all threads of this process, and per second of time: where the second is far below the first,
 * the client waits for the broker. Both add up the lengths of all values; they must agree. */
#include "bench/common.h"
#include "connectors/kafka/kafka_rdkafka.h"
#include "connectors/kafka/kafka_rdkafka_int.h"
#include "os/park.h"
#include "os/posix_seams.h"

enum { RUNS = 3, SETTINGS_MAX = 16, FOREVER_MS = 60000 };

struct totals {
  uint64_t records, bytes;
};

static struct wr_kafka_topic look(const struct wr_kafka_connection *connection, const char *topic,
                                  struct wr_seams *seams) {
  const struct wr_kafka_driver *driver = wr_kafka_rdkafka();
  struct weir_error error;
  struct wr_kafka_admin *admin = NULL;
  struct wr_kafka_topic found;
  if (driver->open_admin(driver, connection, seams, seams->memory, &admin, &error) != WEIR_OK)
    bench_fail(error.message);
  if (admin->vtable->look(admin, topic, FOREVER_MS, seams->memory, &found, &error) != WEIR_OK)
    bench_fail(error.message);
  admin->vtable->close(admin);
  if (found.answer != WR_KAFKA_FINE) bench_fail("the topic cannot be read");
  return found;
}

static struct totals run_driver(const struct wr_kafka_connection *connection, const char *topic,
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
  struct totals totals = {0};
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

/* The same settings but for weir's choice of sizes. */
static rd_kafka_t *open_plain(const struct wr_rdkafka *library, const struct wr_kafka_connection *connection) {
  rd_kafka_conf_t *conf = library->conf_new();
  char words[300] = "";
  library->conf_set(conf, "bootstrap.servers", connection->servers, words, sizeof words);
  library->conf_set(conf, "group.id", "plain", words, sizeof words);
  library->conf_set(conf, "enable.auto.commit", "false", words, sizeof words);
  library->conf_set(conf, "enable.partition.eof", "true", words, sizeof words);
  for (uint32_t i = 0; i < connection->setting_count; i++)
    library->conf_set(conf, connection->settings[i].key, connection->settings[i].value, words, sizeof words);
  rd_kafka_t *handle = library->new (RD_KAFKA_CONSUMER, conf, words, sizeof words);
  if (handle == NULL) bench_fail(words);
  return handle;
}

static struct totals run_plain(const struct wr_kafka_connection *connection, const char *topic,
                               const struct wr_kafka_topic *found) {
  enum { BATCH = 4096 };
  static rd_kafka_message_t *messages[BATCH];
  struct wr_rdkafka library;
  struct weir_error error;
  if (wr_rdkafka_load(connection, &library, &error) != WEIR_OK) bench_fail(error.message);
  rd_kafka_t *handle = open_plain(&library, connection);
  rd_kafka_queue_t *queue = library.queue_new(handle);
  rd_kafka_topic_partition_list_t *list = library.topic_partition_list_new((int)found->partition_count);
  for (uint32_t i = 0; i < found->partition_count; i++) {
    library.topic_partition_list_add(list, topic, (int32_t)i)->offset = found->partitions[i].low;
    rd_kafka_queue_t *partition = library.queue_get_partition(handle, topic, (int32_t)i);
    library.queue_forward(partition, queue);
    library.queue_destroy(partition);
  }
  rd_kafka_error_t *failure = library.incremental_assign(handle, list);
  if (failure != NULL) bench_fail(library.error_string(failure));
  library.topic_partition_list_destroy(list);
  struct totals totals = {0};
  for (uint32_t ended = 0; ended < found->partition_count;) {
    ssize_t count = library.consume_batch_queue(queue, 100, messages, BATCH);
    for (ssize_t i = 0; i < count; i++) {
      if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        totals.records++;
        totals.bytes += messages[i]->len;
      } else if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        ended++;
      }
      library.message_destroy(messages[i]);
    }
  }
  library.queue_destroy(queue);
  library.destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  return totals;
}

static struct totals measure(bool plain, const struct wr_kafka_connection *connection, const char *topic,
                             const struct wr_kafka_topic *found, struct wr_seams *seams) {
  struct bench_runs per_cpu = {0}, per_second = {0};
  struct totals totals = {0};
  for (int run = 0; run < RUNS; run++) {
    double cpu = bench_cpu_s(), now = bench_now_s();
    totals = plain ? run_plain(connection, topic, found) : run_driver(connection, topic, found, seams);
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
  struct wr_kafka_topic found = look(&connection, topic, &posix.seams);
  struct totals driver = measure(false, &connection, topic, &found, &posix.seams);
  bench_row("kafka_driver_peak", bench_peak_bytes() / 1e6, "MB");
  struct totals plain = measure(true, &connection, topic, &found, &posix.seams);
  bench_row("kafka_record_bytes", (double)plain.bytes / (double)plain.records, "bytes");
  if (driver.records != plain.records || driver.bytes != plain.bytes) bench_fail("the two read different records");
  wr_kafka_topic_deinit(&found, posix.seams.memory);
  wr_posix_seams_deinit(&posix);
  return 0;
}
