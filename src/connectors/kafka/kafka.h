/* connectors/kafka/kafka.h: a Kafka topic as a source.
 *
 * Each partition is a split. A first start reads every partition from its earliest record; partitions that are found
 * later, too; after that positions come from the checkpoint alone. A record's value is one JSON object; its place is
 * its partition's number and its offset, which has holes where compaction, control records and aborted transactions
 * were. Only committed records are read unless the setting isolation.level says otherwise.
 *
 * After a checkpoint has completed its offsets are shown to the consumer group, for monitoring; nothing reads them.
 *
 * Bounded: each partition is read up to the high watermark that it had at the first bounded start; transactions that
 * are open below it are waited for. Known partitions must stay, as the judge (kafka_judge.h) says.
 *
 *   kafka_client.h      the seam: librdkafka, or the simulated broker
 *   kafka_judge.h       when a broker's "no" is believed
 *   kafka_split.h       a partition's position in a checkpoint
 *   kafka_known.h       the partitions that are known, against what brokers say
 *   kafka_enumerator.h  looks which partitions there are
 *   kafka_reader.h      reads those of one subtask
 *
 * Port 0 has the records. With WR_KAFKA_SKIP port 1 has the bad ones (wr_dead_letter_schema).
 */
#ifndef WR_CONNECTORS_KAFKA_H
#define WR_CONNECTORS_KAFKA_H

#include "connectors/kafka/kafka_client.h"
#include "runtime/graph.h"

enum wr_kafka_on_error {
  WR_KAFKA_FAIL, /* a bad record ends the job */
  WR_KAFKA_SKIP  /* it goes to port 1, counted, and the next one is read */
};

enum { WR_KAFKA_NO_FIELD = -1, WR_KAFKA_DISCOVERY_INTERVAL_MS = 5000, WR_KAFKA_LOOK_TIMEOUT_MS = 5000 };

/* Borrowed by the job, with all it points to. Set the three fields to WR_KAFKA_NO_FIELD where there is none. */
struct wr_kafka_config {
  const struct wr_kafka_driver *driver;
  struct wr_kafka_connection connection; /* its `uid` is not looked at: the node's counts */
  const char *topic;
  const struct weir_schema *schema; /* of the records; fields are found in the JSON object by name */
  int32_t partition_field;          /* STRING: gets the partition's number instead */
  int32_t position_field;           /* BIGINT: gets the offset instead */
  enum wr_kafka_on_error on_error;
  int32_t event_time_field;       /* BIGINT (milliseconds) or TIMESTAMP: makes watermarks, per partition */
  int64_t out_of_orderness_ms;    /* how much later than a younger record an older one may come */
  uint64_t idle_timeout_ms;       /* a partition that gives nothing for so long does not hold the watermark back */
  uint64_t discovery_interval_ms; /* between two looks for new partitions; 0: the default */
};

/* The node for the graph. INVALID: a field of the wrong type, no topic, bad settings. `config` outlives the job. */
enum weir_code wr_kafka_source_node(const struct wr_kafka_config *config, const char *uid, uint32_t parallelism,
                                    struct wr_node *out_node, struct weir_error *error);

#endif
