/* connectors/kafka/kafka_split.h: a split of the Kafka source: one partition of a topic, and how far it has been read.
 * Pure. */
#ifndef WR_CONNECTORS_KAFKA_SPLIT_H
#define WR_CONNECTORS_KAFKA_SPLIT_H

#include "base/bytes.h"
#include "base/limits.h"

enum { WR_KAFKA_TOPIC_BYTES_MAX = 249, WR_KAFKA_CLUSTER_BYTES_MAX = 63 };

struct wr_kafka_split {
  char topic[WR_KAFKA_TOPIC_BYTES_MAX + 1];
  char cluster[WR_KAFKA_CLUSTER_BYTES_MAX + 1]; /* id of the cluster; "" where it gave none */
  int32_t partition;
  int64_t position; /* offset of the next record to read */
  uint64_t records; /* that were read before it */
  bool has_stop;    /* bounded: the records below `stop` belong to it */
  bool ended;       /* bounded: all of them were read */
  int64_t stop;     /* the high watermark at the first bounded start */
};

void wr_kafka_split_put(struct wr_bytes *out, const struct wr_kafka_split *split);
/* FOREIGN: a split of another connector; NEWER; CORRUPT. */
enum weir_code wr_kafka_split_read(const uint8_t *bytes, size_t length, struct wr_kafka_split *out_split,
                                   struct weir_error *error);

#endif
