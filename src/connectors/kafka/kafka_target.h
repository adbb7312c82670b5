/* connectors/kafka/kafka_target.h: a Kafka topic as a two-phase sink.
 *
 * A row is a message: its value a JSON object with the columns as fields, its key the key fields (one STRING or BYTES
 * field as it is, else a JSON object of them). Upsert: each epoch writes the last change of each key, a deletion as a
 * tombstone. Insert: one message per +I or +U; -U and -D cannot be said there and are errors.
 *
 * An epoch waits in the job's folder until its checkpoint has completed, and then goes out in one transaction together
 * with a marker (kafka_producer.h). So no time-out of a transaction can lose it, readers that read committed records
 * see all of an epoch or nothing, and none of them is held up by a job that is down for longer than until its next
 * start.
 */
#ifndef WR_CONNECTORS_KAFKA_TARGET_H
#define WR_CONNECTORS_KAFKA_TARGET_H

#include "connectors/kafka/kafka_producer.h"
#include "operators/sink_nodes.h"

enum { WR_KAFKA_TRANSACTION_TIMEOUT_MS = 60000, WR_KAFKA_ANSWER_TIMEOUT_MS = 10000 };

/* Borrowed by the job, with all it points to. */
struct wr_kafka_sink_config {
  const struct wr_kafka_producer_driver *driver;
  struct wr_kafka_connection connection; /* its uid is not looked at */
  const char *topic;
  const uint32_t *key_fields; /* of the messages' keys */
  uint32_t key_count;         /* 0: messages have no key; then no upsert */
  bool is_upsert;
  bool ignore_null_fields;             /* a NULL leaves its member out of the JSON object */
  const char *transactional_id_prefix; /* NULL: "weir" */
  uint32_t transaction_timeout_ms;     /* 0: the default */
  int64_t flush_interval_ms;           /* of a plain sink (kafka_plain.h) */
  bool has_flush_interval;             /* it was given */
};

/* INVALID: no topic, no key in upsert mode, bad settings. Asks nobody. */
enum weir_code wr_kafka_sink_check(const struct wr_kafka_sink_config *config, const struct weir_schema *schema,
                                   struct weir_error *error);
/* By a struct wr_kafka_sink_config. */
wr_new_target wr_kafka_target_new;

#endif
