/* connectors/kafka/kafka_judge.h: when a broker's "no" is believed. Pure.
 *
 * A broker that has just started, or has lost its place in the cluster, can say for a moment that a topic is missing, a
 * partition gone, an offset out of range, a name not accepted. Such an answer ends the job for good, so it is believed
 * only when it was given twice, WR_KAFKA_SURE_AFTER_MS apart, each time with a leader known where it is about a
 * partition, and without another answer in between. No answer at all (nobody is there, no leader) neither confirms nor
 * clears a doubt. One doubt per partition, and one per topic.
 */
#ifndef WR_CONNECTORS_KAFKA_JUDGE_H
#define WR_CONNECTORS_KAFKA_JUDGE_H

#include "connectors/kafka/kafka_client.h"

enum { WR_KAFKA_SURE_AFTER_MS = 10000 };

/* What is wrong with a known partition. */
enum wr_kafka_fault {
  WR_KAFKA_FAULT_NONE,
  WR_KAFKA_TOPIC_MISSING,
  WR_KAFKA_PARTITION_MISSING,
  WR_KAFKA_END_BELOW,   /* the partition's end is below the position: made again, or truncated */
  WR_KAFKA_START_ABOVE, /* its first record is above the position: removed by retention before it was read */
  WR_KAFKA_FORBIDDEN
};

/* Zeroed: none. */
struct wr_kafka_doubt {
  enum wr_kafka_fault fault;
  uint64_t since_ns; /* of the first answer that said so */
};

/* "its topic is missing": what a log line says of a fault that is not certain yet. */
const char *wr_kafka_fault_text(enum wr_kafka_fault fault);

/* One answer: `fault` (or NONE) was seen at now_ns. True: it is certain. False with a doubt: ask again at *wake_at_ns
 * (lowered, as far as it is later). */
bool wr_kafka_doubt_see(struct wr_kafka_doubt *doubt, enum wr_kafka_fault fault, uint64_t now_ns, uint64_t *wake_at_ns);

/* What an admin's answer says of a partition that is read at `position`. *out_known is false when it says nothing (no
 * leader). */
enum wr_kafka_fault wr_kafka_fault_of(const struct wr_kafka_topic *topic, int32_t partition, int64_t position,
                                      bool *out_known);

/* The permanent error of a fault that is certain: NOT_FOUND, GONE or DENIED, with a sentence that names topic,
 * partition, position and range, and says what to do. */
enum weir_code wr_kafka_fault_fail(enum wr_kafka_fault fault, const struct wr_kafka_connection *connection,
                                   const char *topic_name, const struct wr_kafka_topic *topic, int32_t partition,
                                   int64_t position, struct weir_error *error);

#endif
