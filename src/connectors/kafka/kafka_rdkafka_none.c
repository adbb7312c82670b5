/* connectors/kafka/kafka_rdkafka_none.c: the driver of a build that had no header of librdkafka. It refuses. */
#include "connectors/kafka/kafka_rdkafka.h"

static enum weir_code refuse(struct weir_error *error) {
  return WR_FAIL(error, WEIR_INVALID,
                 "this weir was built without librdkafka and neither reads nor writes Kafka topics; install its header "
                 "and build again: "
                 "apt-get install librdkafka-dev");
}

static enum weir_code check(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                            struct weir_error *error) {
  (void)driver;
  (void)connection;
  return refuse(error);
}

static enum weir_code open_admin(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                                 struct wr_seams *seams, struct wr_memory *memory, struct wr_kafka_admin **out_admin,
                                 struct weir_error *error) {
  (void)seams;
  (void)memory;
  *out_admin = NULL;
  return check(driver, connection, error);
}

static enum weir_code open_consumer(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                                    const char *topic, struct wr_seams *seams, struct wr_memory *memory,
                                    struct wr_waker *waker, struct wr_kafka_consumer **out_consumer,
                                    struct weir_error *error) {
  (void)topic;
  (void)seams;
  (void)memory;
  (void)waker;
  *out_consumer = NULL;
  return check(driver, connection, error);
}

static const struct wr_kafka_driver driver = {.check = check, .open_admin = open_admin, .open_consumer = open_consumer};

const struct wr_kafka_driver *wr_kafka_rdkafka(void) {
  return &driver;
}

static enum weir_code check_producer(const struct wr_kafka_producer_driver *driver,
                                     const struct wr_kafka_producer_options *options, struct weir_error *error) {
  (void)driver;
  (void)options;
  return refuse(error);
}

static enum weir_code open_producer(const struct wr_kafka_producer_driver *driver,
                                    const struct wr_kafka_producer_options *options, struct wr_seams *seams,
                                    struct wr_memory *memory, struct wr_kafka_producer **out_producer,
                                    struct weir_error *error) {
  (void)seams;
  (void)memory;
  *out_producer = NULL;
  return check_producer(driver, options, error);
}

static const struct wr_kafka_producer_driver producer_driver = {.check = check_producer, .open = open_producer};

const struct wr_kafka_producer_driver *wr_kafka_rdkafka_producer(void) {
  return &producer_driver;
}
