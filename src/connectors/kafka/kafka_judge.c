/* connectors/kafka/kafka_judge.c: see kafka_judge.h. */
#include "connectors/kafka/kafka_judge.h"

#include <inttypes.h>

const char *wr_kafka_fault_text(enum wr_kafka_fault fault) {
  static const char *const texts[] = {[WR_KAFKA_FAULT_NONE] = "nothing is wrong",
                                      [WR_KAFKA_TOPIC_MISSING] = "the topic is missing",
                                      [WR_KAFKA_PARTITION_MISSING] = "the partition is missing",
                                      [WR_KAFKA_END_BELOW] = "the partition ends before the position",
                                      [WR_KAFKA_START_ABOVE] = "the partition begins behind the position",
                                      [WR_KAFKA_FORBIDDEN] = "reading it is not allowed"};
  return texts[fault];
}

bool wr_kafka_doubt_see(struct wr_kafka_doubt *doubt, enum wr_kafka_fault fault, uint64_t now_ns,
                        uint64_t *wake_at_ns) {
  if (fault == WR_KAFKA_FAULT_NONE) {
    doubt->fault = WR_KAFKA_FAULT_NONE;
    return false;
  }
  if (doubt->fault != fault) *doubt = (struct wr_kafka_doubt){.fault = fault, .since_ns = now_ns};
  uint64_t sure_at_ns = doubt->since_ns + WR_KAFKA_SURE_AFTER_MS * 1000000ull;
  if (now_ns >= sure_at_ns) return true;
  if (*wake_at_ns > sure_at_ns) *wake_at_ns = sure_at_ns;
  return false;
}

enum wr_kafka_fault wr_kafka_fault_of(const struct wr_kafka_topic *topic, int32_t partition, int64_t position,
                                      bool *out_known) {
  *out_known = true;
  if (topic->answer == WR_KAFKA_NOT_ALLOWED) return WR_KAFKA_FORBIDDEN;
  if (topic->answer != WR_KAFKA_FINE) return WR_KAFKA_TOPIC_MISSING;
  if (partition < 0 || (uint32_t)partition >= topic->partition_count) return WR_KAFKA_PARTITION_MISSING;
  const struct wr_kafka_partition *found = &topic->partitions[partition];
  WR_ASSERT(found->partition == partition);
  if (!found->has_leader) {
    *out_known = false;
    return WR_KAFKA_FAULT_NONE;
  }
  if (found->high < position) return WR_KAFKA_END_BELOW;
  return found->low > position ? WR_KAFKA_START_ABOVE : WR_KAFKA_FAULT_NONE;
}

enum weir_code wr_kafka_fault_fail(enum wr_kafka_fault fault, const struct wr_kafka_connection *connection,
                                   const char *topic_name, const struct wr_kafka_topic *topic, int32_t partition,
                                   int64_t position, struct weir_error *error) {
  const struct wr_kafka_partition *range = NULL;
  if (partition >= 0 && (uint32_t)partition < topic->partition_count) range = &topic->partitions[partition];
  int64_t low = range == NULL ? -1 : range->low, high = range == NULL ? -1 : range->high;
  switch (fault) {
  case WR_KAFKA_FAULT_NONE:
    break;
  case WR_KAFKA_TOPIC_MISSING:
    return WR_FAIL(error, WEIR_NOT_FOUND,
                   "source %s: there is no topic \"%s\" at %s; create it, or mend the topic's name or the servers%s",
                   connection->uid, topic_name, connection->servers,
                   partition < 0 ? "" : "; if it was deleted for good, start over with --fresh");
  case WR_KAFKA_PARTITION_MISSING:
    return WR_FAIL(error, WEIR_GONE,
                   "source %s: topic %s has no partition %" PRId32 " any more (it has %" PRIu32
                   "), which was read up to offset %" PRId64
                   "; the topic was made again or is another one: put it back, or start over with --fresh",
                   connection->uid, topic_name, partition, topic->partition_count, position);
  case WR_KAFKA_END_BELOW:
    return WR_FAIL(error, WEIR_GONE,
                   "source %s: topic %s, partition %" PRId32 " ends at offset %" PRId64
                   ", but was read up to offset %" PRId64
                   "; it was made again or has lost records: put it back, or start over with --fresh",
                   connection->uid, topic_name, partition, high, position);
  case WR_KAFKA_START_ABOVE:
    return WR_FAIL(error, WEIR_GONE,
                   "source %s: topic %s, partition %" PRId32 " begins at offset %" PRId64 " and ends at %" PRId64
                   ", but was read only up to offset %" PRId64
                   ": the records between were removed (retention) before they were read; keep records for longer "
                   "(retention.ms), and start over with --fresh",
                   connection->uid, topic_name, partition, low, high, position);
  case WR_KAFKA_FORBIDDEN:
    return WR_FAIL(error, WEIR_DENIED,
                   "source %s: the brokers at %s do not let this job read topic %s (%.255s); check its credentials and "
                   "the rights of its user (Read and Describe on the topic)",
                   connection->uid, connection->servers, topic_name,
                   topic->reason[0] == 0 ? "not authorized" : topic->reason);
  }
  return WR_FAIL(error, WEIR_INTERNAL, "source %s: topic %s has no fault", connection->uid, topic_name);
}
