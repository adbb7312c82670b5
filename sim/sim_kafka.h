/* sim/sim_kafka.h: a simulated Kafka cluster with one topic, and a client of it for the engine.
 * (The side of the sink is in sim_kafka_producer.h.)
 *
 * The cluster lives in host memory and outlives every engine. It behaves as brokers do, at their worst:
 *
 *   records       each partition is a list with offsets that only grow; holes where compaction was (sim_kafka_skip),
 *                 where a transaction's marker lies, and, for readers of committed records, where it was aborted
 *   transactions  of other producers, several open at a time in one partition; the last stable offset is the first
 *                 record of the oldest that is open, and readers of committed records come no further
 *   brokers       each partition has its leader on one of a few; a broker, or all of them, or one leader, is away for
 *                 a while; leaders move; an answer comes late or not at all; fetches bring few records; the end of a
 *                 partition is told late, or again, or not until it has moved; of a missing partition a consumer that
 *                 has heard of the topic before says nothing
 *   wrong answers "no such topic", "no such partition", "out of range", "not allowed" that are not true. They never
 *                 last: once one was given to anybody, none is given 6 s after it (the source believes after 10 s),
 *                 until whoever got one has got a right one. And no wrong answer is such that nobody could tell:
 *                 a partition that is not yet known to the job, or of which nothing was read, is never denied.
 *
 * The faults follow the rule of the plan whose prefix is that of "kafka:" and the topic's name. An operation of the
 * engine at this seam is counted as one at the disk is, so that crashes and errors by order fall on it too; a commit
 * and an assignment have no error to give and only count.
 *
 * What the client gives out lies in memory of its own that is wiped and freed at `release`. A client is made in the
 * engine's memory and adopted: a kill releases it, and what was still under way for it is dropped.
 *
 * What it does not do: several topics, replicas that lose what was acknowledged, damaged records, quotas. One thread.
 */
#ifndef WR_SIM_KAFKA_H
#define WR_SIM_KAFKA_H

#include "connectors/kafka/kafka_client.h"
#include "sim/sim_world.h"

enum { SIM_KAFKA_PARTITIONS_MAX = 8, SIM_KAFKA_NO_TRANSACTION = -1 };

struct sim_kafka;

/* What the harness sees of the engine's doings, as they happen; any may be NULL. */
struct sim_kafka_watch {
  /* `first`: by this consumer, of this partition. */
  void (*assigned)(void *context, uint32_t partition, int64_t offset, bool first);
  void (*shown)(void *context, uint32_t partition, int64_t offset); /* to the group */
  void *context;
};

struct sim_kafka *sim_kafka_new(struct sim_world *world, uint64_t seed, const char *topic);
/* After the last advance of the world, before it is freed; no client may be open. */
void sim_kafka_free(struct sim_kafka *kafka);
const struct wr_kafka_driver *sim_kafka_driver(struct sim_kafka *kafka);
void sim_kafka_set_watch(struct sim_kafka *kafka, struct sim_kafka_watch watch);
/* Clients that are open; 0 after a clean end. */
uint32_t sim_kafka_clients(const struct sim_kafka *kafka);

/* ---- what producers do; at once, without faults ---- */

uint32_t sim_kafka_partition_count(const struct sim_kafka *kafka);
/* More only. */
void sim_kafka_set_partition_count(struct sim_kafka *kafka, uint32_t count);
struct sim_kafka_message {
  const void *key, *value; /* NULL: none */
  size_t key_length, value_length;
  int64_t timestamp_ms;
  int32_t transaction; /* or SIM_KAFKA_NO_TRANSACTION */
};
/* Its offset. */
int64_t sim_kafka_append(struct sim_kafka *kafka, uint32_t partition, const struct sim_kafka_message *message);
/* `count` offsets whose records compaction has taken before anybody saw them. */
void sim_kafka_skip(struct sim_kafka *kafka, uint32_t partition, uint32_t count);
/* A transaction in one partition; it is open from its first record on. */
int32_t sim_kafka_begin(struct sim_kafka *kafka, uint32_t partition);
/* Its marker takes an offset. */
void sim_kafka_end(struct sim_kafka *kafka, uint32_t partition, int32_t transaction, bool commit);

int64_t sim_kafka_low(const struct sim_kafka *kafka, uint32_t partition);
int64_t sim_kafka_high(const struct sim_kafka *kafka, uint32_t partition);
int64_t sim_kafka_stable(const struct sim_kafka *kafka, uint32_t partition);
/* The newest offset that was shown to the group; -1: none. */
int64_t sim_kafka_shown(const struct sim_kafka *kafka, uint32_t partition);

/* ---- what operators of the cluster do ---- */

/* Every broker and leader that is away is back. */
void sim_kafka_come_back(struct sim_kafka *kafka);
/* Retention: records below are gone. */
void sim_kafka_set_low(struct sim_kafka *kafka, uint32_t partition, int64_t low);
/* The engine has read the partition at least this far, in whatever checkpoint it comes back from: what wrong answers
 * may speak of. 0: it may not know it. */
void sim_kafka_set_known(struct sim_kafka *kafka, uint32_t partition, int64_t offset);

/* The topic as something that is no fault and stays until it is taken back (NONE). */
enum sim_kafka_state {
  SIM_KAFKA_SOUND,
  SIM_KAFKA_TOPIC_GONE,
  SIM_KAFKA_PARTITION_GONE, /* made again, with partitions 0 to `partition` - 1 */
  SIM_KAFKA_FORBIDDEN,
  SIM_KAFKA_CUT,      /* of `partition` only the records below `offset` are there */
  SIM_KAFKA_REMADE,   /* the same, and they are others */
  SIM_KAFKA_RETAINED, /* of `partition` only the records from `offset` on are there */
};
void sim_kafka_set_state(struct sim_kafka *kafka, enum sim_kafka_state state, uint32_t partition, int64_t offset);

#endif
