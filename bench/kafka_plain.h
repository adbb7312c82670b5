/* bench/kafka_plain.h: a topic read by librdkafka and nothing of weir around it, for those who compare with that.
 * Header only. */
#ifndef BENCH_KAFKA_PLAIN_H
#define BENCH_KAFKA_PLAIN_H

#include "bench/common.h"
#include "connectors/kafka/kafka_rdkafka.h"
#include "connectors/kafka/kafka_rdkafka_int.h"
#include "os/seams.h"

enum { KAFKA_LOOK_MS = 60000 };

struct kafka_totals {
  uint64_t records, bytes;
};

static inline struct wr_kafka_topic kafka_look(const struct wr_kafka_connection *connection, const char *topic,
                                               struct wr_seams *seams) {
  const struct wr_kafka_driver *driver = wr_kafka_rdkafka();
  struct weir_error error;
  struct wr_kafka_admin *admin = NULL;
  struct wr_kafka_topic found;
  if (driver->open_admin(driver, connection, seams, seams->memory, &admin, &error) != WEIR_OK)
    bench_fail(error.message);
  if (admin->vtable->look(admin, topic, KAFKA_LOOK_MS, seams->memory, &found, &error) != WEIR_OK)
    bench_fail(error.message);
  admin->vtable->close(admin);
  if (found.answer != WR_KAFKA_FINE) bench_fail("the topic cannot be read");
  return found;
}

/* The same settings but for weir's choice of sizes. */
static inline rd_kafka_t *kafka_plain_open(const struct wr_rdkafka *library,
                                           const struct wr_kafka_connection *connection) {
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

/* A topic's partitions, from their beginning, in one queue. */
struct kafka_reader {
  struct wr_rdkafka library;
  rd_kafka_t *handle;
  rd_kafka_queue_t *queue;
};

static inline struct kafka_reader kafka_reader_open(const struct wr_kafka_connection *connection, const char *topic,
                                                    const struct wr_kafka_topic *found) {
  struct kafka_reader reader;
  struct weir_error error;
  if (wr_rdkafka_load(connection, &reader.library, &error) != WEIR_OK) bench_fail(error.message);
  const struct wr_rdkafka *library = &reader.library;
  reader.handle = kafka_plain_open(library, connection);
  reader.queue = library->queue_new(reader.handle);
  rd_kafka_topic_partition_list_t *list = library->topic_partition_list_new((int)found->partition_count);
  for (uint32_t i = 0; i < found->partition_count; i++) {
    library->topic_partition_list_add(list, topic, (int32_t)i)->offset = found->partitions[i].low;
    rd_kafka_queue_t *partition = library->queue_get_partition(reader.handle, topic, (int32_t)i);
    library->queue_forward(partition, reader.queue);
    library->queue_destroy(partition);
  }
  rd_kafka_error_t *failure = library->incremental_assign(reader.handle, list);
  if (failure != NULL) bench_fail(library->error_string(failure));
  library->topic_partition_list_destroy(list);
  return reader;
}

static inline void kafka_reader_close(struct kafka_reader *reader) {
  reader->library.queue_destroy(reader->queue);
  reader->library.destroy_flags(reader->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static inline struct kafka_totals kafka_plain(const struct wr_kafka_connection *connection, const char *topic,
                                              const struct wr_kafka_topic *found) {
  enum { BATCH = 4096 };
  static rd_kafka_message_t *messages[BATCH];
  struct kafka_reader reader = kafka_reader_open(connection, topic, found);
  struct kafka_totals totals = {0};
  for (uint32_t ended = 0; ended < found->partition_count;) {
    ssize_t count = reader.library.consume_batch_queue(reader.queue, 100, messages, BATCH);
    for (ssize_t i = 0; i < count; i++) {
      if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        totals.records++;
        totals.bytes += messages[i]->len;
      } else if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        ended++;
      }
      reader.library.message_destroy(messages[i]);
    }
  }
  kafka_reader_close(&reader);
  return totals;
}

#endif
