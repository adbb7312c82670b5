/* connectors/kafka/kafka_known.h: the partitions that an enumerator knows: judged against what the brokers say, handed
 * out as splits, joined by new ones. No I/O and no clock.
 *
 * The order of a look's answer: the topic and every known partition are judged; while one that was restored is in doubt
 * or has no leader, nothing goes on (it is not known whether its position is good). When all were judged good they are
 * *released*: stops fixed (bounded, and none is fixed yet) or dropped (not bounded), and handed out. Only then new
 * partitions are admitted, each at its earliest record; one without a leader waits for the next answer. A bounded job's
 * partitions are those of its first bounded answer, which needs a leader for each; where stops are there already,
 * nothing new is admitted. After the release only topic and partitions' existence are judged here; positions are the
 * readers' then.
 */
#ifndef WR_CONNECTORS_KAFKA_KNOWN_H
#define WR_CONNECTORS_KAFKA_KNOWN_H

#include "connectors/kafka/kafka_judge.h"
#include "connectors/kafka/kafka_split.h"
#include "runtime/source.h"

struct wr_kafka_known_partition {
  bool is_known, has_stop, ended;
  int64_t position, stop; /* as restored or admitted */
  uint64_t records;
  struct wr_kafka_doubt doubt;
  struct wr_split split; /* waits to be taken; bytes NULL: it does not */
};

/* What keeps an answer from being good. */
enum wr_kafka_wait { WR_KAFKA_WAIT_NONE, WR_KAFKA_WAIT_LEADER, WR_KAFKA_WAIT_DOUBT };

struct wr_kafka_known {
  struct wr_memory *memory;
  const struct wr_kafka_connection *connection; /* its uid is the source's; borrowed, as `topic` */
  const char *topic;
  bool bounded;
  char cluster[WR_KAFKA_CLUSTER_BYTES_MAX + 1]; /* "": not known yet */
  struct wr_kafka_known_partition *partitions;  /* by number; some are not known */
  uint32_t count;
  uint32_t next; /* none before it waits to be taken */
  bool released, has_stops;
  struct wr_kafka_doubt topic_doubt;
  /* of the last answer */
  enum wr_kafka_wait wait;
  enum wr_kafka_fault fault; /* DOUBT: which */
  int32_t wait_partition;    /* -1: it is about the topic */
};

void wr_kafka_known_deinit(struct wr_kafka_known *known);
/* A restored split. FOREIGN: of another topic or cluster. CORRUPT: a partition twice. NO_MEMORY. */
enum weir_code wr_kafka_known_add(struct wr_kafka_known *known, const struct wr_kafka_split *split,
                                  struct weir_error *error);
/* An answer. Errors are permanent. With a doubt *wake_at_ns is lowered to when to ask again. */
enum weir_code wr_kafka_known_judge(struct wr_kafka_known *known, const struct wr_kafka_topic *topic, uint64_t now_ns,
                                    uint64_t *wake_at_ns, struct weir_error *error);
/* The next split to hand out (moved); false: none. */
bool wr_kafka_known_take(struct wr_kafka_known *known, struct wr_split *out_split);
bool wr_kafka_known_all_taken(const struct wr_kafka_known *known);

#endif
