/* connectors/kafka/kafka_producer.h: what the Kafka sink asks of a Kafka client. The seam between the sink and
 * librdkafka, or the simulated broker; the twin of kafka_client.h, which has the source's.
 *
 * A producer writes whole epochs: one transaction each, with the epoch's rows and a marker in it. All its functions
 * block and run inside calls, one at a time. It has one transactional id for its whole life, the same at every start of
 * the job, so that whoever calls `fence` last is the only one who can write.
 *
 * The marker is the committed offset of partition 0 of the sink's topic in a consumer group of the sink's own, without
 * members: offset = checkpoint id, metadata = what the sink writes there. It commits with the rows, or not at all.
 *
 * Answers. An error that is transient leaves the outcome as the function says; after WR_KAFKA_OPEN the caller cannot
 * know whether a commit happened: it closes the producer, opens another, fences, and reads the marker. FENCED: another
 * has called `fence` since.
 */
#ifndef WR_CONNECTORS_KAFKA_PRODUCER_H
#define WR_CONNECTORS_KAFKA_PRODUCER_H

#include "connectors/kafka/kafka_client.h"

enum { WR_KAFKA_METADATA_BYTES_MAX = 255 };

/* One message. A value NULL is a tombstone. Borrowed until `flush` has answered. */
struct wr_kafka_message {
  const uint8_t *key, *value;
  size_t key_length, value_length;
};

struct wr_kafka_group_marker {
  bool present;
  int64_t offset;
  char metadata[WR_KAFKA_METADATA_BYTES_MAX + 1];
};

enum wr_kafka_outcome {
  WR_KAFKA_DONE,
  WR_KAFKA_ABORTED, /* it did not happen and will not: begin again */
  WR_KAFKA_OPEN,    /* it may have happened, or may yet: close, open, fence, read the marker */
};

/* What the topic is like, for the checks before the first row. */
struct wr_kafka_target_topic {
  enum wr_kafka_answer answer; /* NO_TOPIC, NOT_ALLOWED: the rest is empty */
  char reason[256];
  char cluster[64];
  uint32_t partition_count;
  int64_t message_bytes_max; /* the topic's max.message.bytes; -1: it could not be asked */
};

struct wr_kafka_producer;
struct wr_kafka_producer_vtable {
  /* Asks the brokers for the topic. Changes nothing. Transient when nobody answers within timeout_ms. */
  enum weir_code (*look)(struct wr_kafka_producer *producer, uint32_t timeout_ms,
                         struct wr_kafka_target_topic *out_topic, struct weir_error *error);
  /* init_transactions: ends what a dead producer of this id has left open, and shuts every older one out. Once in a
   * producer's life, before the first transaction. DENIED: no right to the transactional id; INVALID: the brokers do
   * not allow its time-out; transient else. */
  enum weir_code (*fence)(struct wr_kafka_producer *producer, uint32_t timeout_ms, struct weir_error *error);
  /* The marker, as of all transactions that are decided; an undecided one that touches it is waited for (transient when
   * it stays so for timeout_ms). */
  enum weir_code (*read_marker)(struct wr_kafka_producer *producer, uint32_t timeout_ms,
                                struct wr_kafka_group_marker *out_marker, struct weir_error *error);
  /* A transaction: begin, write any number of times, then commit or abort. `begin` is local. */
  enum weir_code (*begin)(struct wr_kafka_producer *producer, struct weir_error *error);
  /* Takes the messages into the client's queue, waiting for room; order is kept within a key. CONSTRAINT: a message
   * that the client or a broker refuses for good (*out_bad is its index); FENCED; transient else. Errors of earlier
   * messages show here too, or at the commit. The messages may be reused after it: they are copied. */
  enum weir_code (*write)(struct wr_kafka_producer *producer, const struct wr_kafka_message *messages, uint32_t count,
                          uint32_t *out_bad, struct weir_error *error);
  /* Waits for all messages to be delivered, adds the marker, commits. With an error *out_outcome says what is known of
   * it; without one it is DONE. CONSTRAINT and FENCED as in `write`. */
  enum weir_code (*commit)(struct wr_kafka_producer *producer, const struct wr_kafka_group_marker *marker,
                           uint32_t timeout_ms, enum wr_kafka_outcome *out_outcome, struct weir_error *error);
  /* As far as it goes; a transaction that cannot be aborted is ended by the next fence. */
  void (*abort)(struct wr_kafka_producer *producer, uint32_t timeout_ms);
  /* Outside of transactions, at-least-once: messages go out as they come; returns when all are delivered. */
  enum weir_code (*flush)(struct wr_kafka_producer *producer, uint32_t timeout_ms, struct weir_error *error);
  /* Blocks for so long. */
  void (*wait)(struct wr_kafka_producer *producer, uint32_t wait_ms);
  /* In bounded time, also when nobody answers. And free it. */
  void (*close)(struct wr_kafka_producer *producer);
};
struct wr_kafka_producer {
  const struct wr_kafka_producer_vtable *vtable;
};

struct wr_kafka_producer_options {
  struct wr_kafka_connection connection;
  const char *topic;
  const char *transactional_id; /* NULL: no transactions */
  const char *marker_group;
  uint32_t transaction_timeout_ms;
};

/* Immutable; outlives the jobs that use it. */
struct wr_kafka_producer_driver {
  /* Does not block. INVALID as in struct wr_kafka_driver. Any thread. */
  enum weir_code (*check)(const struct wr_kafka_producer_driver *driver,
                          const struct wr_kafka_producer_options *options, struct weir_error *error);
  /* Blocks; inside a call. Connects in the background. */
  enum weir_code (*open)(const struct wr_kafka_producer_driver *driver, const struct wr_kafka_producer_options *options,
                         struct wr_seams *seams, struct wr_memory *memory, struct wr_kafka_producer **out_producer,
                         struct weir_error *error);
};

#endif
