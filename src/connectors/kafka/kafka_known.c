/* connectors/kafka/kafka_known.c: see kafka_known.h. */
#include "connectors/kafka/kafka_known.h"

#include <inttypes.h>
#include <stdio.h>

void wr_kafka_known_deinit(struct wr_kafka_known *known) {
  for (uint32_t i = 0; i < known->count; i++)
    wr_free(known->memory, known->partitions[i].split.bytes);
  wr_free(known->memory, known->partitions);
  known->partitions = NULL;
  known->count = 0;
}

/* Places for partitions 0 to count - 1. */
static enum weir_code reserve(struct wr_kafka_known *known, uint32_t count, struct weir_error *error) {
  if (count <= known->count) return WEIR_OK;
  if (count > WR_PARTITIONS_MAX)
    return WR_FAIL(error, WEIR_LIMIT, "source %s: topic %s has %" PRIu32 " partitions; at most %d are read",
                   known->connection->uid, known->topic, count, WR_PARTITIONS_MAX);
  void *moved = wr_resize(known->memory, known->partitions, count * sizeof *known->partitions, WR_MEMORY_SOURCE);
  if (moved == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %" PRIu32 " partitions of topic %s", count, known->topic);
  known->partitions = moved;
  memset(known->partitions + known->count, 0, (count - known->count) * sizeof *known->partitions);
  known->count = count;
  return WEIR_OK;
}

/* ---- whose they are ---- */

static enum weir_code fail_cluster(const struct wr_kafka_known *known, const char *other, struct weir_error *error) {
  return WR_FAIL(error, WEIR_FOREIGN,
                 "source %s: the brokers at %s are cluster %s, but topic %s was read in cluster %s; offsets of one "
                 "cluster mean nothing in another: connect to the old one, or start over with --fresh",
                 known->connection->uid, known->connection->servers, other, known->topic, known->cluster);
}

/* Brokers that name no cluster are not compared. */
static enum weir_code compare_cluster(struct wr_kafka_known *known, const char *cluster, struct weir_error *error) {
  if (cluster[0] == 0) return WEIR_OK;
  if (known->cluster[0] == 0) snprintf(known->cluster, sizeof known->cluster, "%s", cluster);
  return strcmp(known->cluster, cluster) == 0 ? WEIR_OK : fail_cluster(known, cluster, error);
}

enum weir_code wr_kafka_known_add(struct wr_kafka_known *known, const struct wr_kafka_split *split,
                                  struct weir_error *error) {
  if (strcmp(split->topic, known->topic) != 0)
    return WR_FAIL(error, WEIR_FOREIGN,
                   "source %s: this job has read topic %s up to now, not %s; name that topic again, or start over "
                   "with --fresh",
                   known->connection->uid, split->topic, known->topic);
  if (split->cluster[0] != 0 && known->cluster[0] != 0 && strcmp(split->cluster, known->cluster) != 0)
    return WR_FAIL(error, WEIR_CORRUPT, "source %s: its stored partitions are of two clusters, %s and %s",
                   known->connection->uid, known->cluster, split->cluster);
  WR_TRY(compare_cluster(known, split->cluster, error));
  WR_TRY(reserve(known, (uint32_t)split->partition + 1, error));
  struct wr_kafka_known_partition *partition = &known->partitions[split->partition];
  if (partition->is_known)
    return WR_FAIL(error, WEIR_CORRUPT, "source %s: partition %" PRId32 " of topic %s is a split twice",
                   known->connection->uid, split->partition, known->topic);
  *partition = (struct wr_kafka_known_partition){.is_known = true,
                                                 .has_stop = split->has_stop,
                                                 .ended = split->ended,
                                                 .position = split->position,
                                                 .stop = split->stop,
                                                 .records = split->records};
  if (split->has_stop) known->has_stops = true;
  return WEIR_OK;
}

/* ---- judging ---- */

static void wait_for(struct wr_kafka_known *known, enum wr_kafka_wait wait, enum wr_kafka_fault fault,
                     int32_t partition) {
  if (known->wait == WR_KAFKA_WAIT_DOUBT) return; /* a doubt says more than a leader that is away */
  known->wait = wait;
  known->fault = fault;
  known->wait_partition = partition;
}

/* A partition for the sentence about a topic; -1: none is known. */
static int32_t first_known(const struct wr_kafka_known *known) {
  for (uint32_t i = 0; i < known->count; i++)
    if (known->partitions[i].is_known) return (int32_t)i;
  return -1;
}

static enum weir_code judge_topic(struct wr_kafka_known *known, const struct wr_kafka_topic *topic, uint64_t now_ns,
                                  uint64_t *wake_at_ns, struct weir_error *error) {
  enum wr_kafka_fault fault = WR_KAFKA_FAULT_NONE;
  if (topic->answer != WR_KAFKA_FINE)
    fault = topic->answer == WR_KAFKA_NOT_ALLOWED ? WR_KAFKA_FORBIDDEN : WR_KAFKA_TOPIC_MISSING;
  if (wr_kafka_doubt_see(&known->topic_doubt, fault, now_ns, wake_at_ns)) {
    int32_t partition = first_known(known);
    int64_t position = partition < 0 ? 0 : known->partitions[partition].position;
    return wr_kafka_fault_fail(fault, known->connection, known->topic, topic, partition, position, error);
  }
  if (fault != WR_KAFKA_FAULT_NONE) wait_for(known, WR_KAFKA_WAIT_DOUBT, fault, -1);
  return WEIR_OK;
}

/* What the answer says of one known partition. */
static enum wr_kafka_fault fault_of(const struct wr_kafka_known *known, const struct wr_kafka_topic *topic,
                                    uint32_t index, bool *out_known) {
  const struct wr_kafka_known_partition *partition = &known->partitions[index];
  enum wr_kafka_fault fault = wr_kafka_fault_of(topic, (int32_t)index, partition->position, out_known);
  if (fault == WR_KAFKA_PARTITION_MISSING) return fault;
  if (known->released) {
    *out_known = true;
    return WR_KAFKA_FAULT_NONE;
  }
  /* Nothing is read any more of a partition whose end was reached: retention may go on there. */
  bool is_over = known->bounded && partition->has_stop && partition->position >= partition->stop;
  return fault == WR_KAFKA_START_ABOVE && is_over ? WR_KAFKA_FAULT_NONE : fault;
}

static enum weir_code judge_partition(struct wr_kafka_known *known, const struct wr_kafka_topic *topic, uint32_t index,
                                      uint64_t now_ns, uint64_t *wake_at_ns, struct weir_error *error) {
  struct wr_kafka_known_partition *partition = &known->partitions[index];
  bool is_known = false;
  enum wr_kafka_fault fault = fault_of(known, topic, index, &is_known);
  if (!is_known) {
    wait_for(known, WR_KAFKA_WAIT_LEADER, WR_KAFKA_FAULT_NONE, (int32_t)index);
    return WEIR_OK;
  }
  if (wr_kafka_doubt_see(&partition->doubt, fault, now_ns, wake_at_ns))
    return wr_kafka_fault_fail(fault, known->connection, known->topic, topic, (int32_t)index, partition->position,
                               error);
  if (fault != WR_KAFKA_FAULT_NONE) wait_for(known, WR_KAFKA_WAIT_DOUBT, fault, (int32_t)index);
  return WEIR_OK;
}

/* ---- handing out ---- */

static enum weir_code put_out(struct wr_kafka_known *known, uint32_t index, struct weir_error *error) {
  struct wr_kafka_known_partition *partition = &known->partitions[index];
  struct wr_kafka_split split = {.partition = (int32_t)index,
                                 .position = partition->position,
                                 .records = partition->records,
                                 .has_stop = partition->has_stop,
                                 .ended = partition->ended,
                                 .stop = partition->stop};
  snprintf(split.topic, sizeof split.topic, "%s", known->topic);
  snprintf(split.cluster, sizeof split.cluster, "%s", known->cluster);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, known->memory, WR_MEMORY_SOURCE);
  wr_kafka_split_put(&bytes, &split);
  enum weir_code code = wr_bytes_check(&bytes, error);
  if (code == WEIR_OK) partition->split.bytes = wr_bytes_take(&bytes, &partition->split.length);
  wr_bytes_deinit(&bytes);
  if (known->next > index) known->next = index;
  return code;
}

/* All known partitions were judged good. */
static enum weir_code release(struct wr_kafka_known *known, const struct wr_kafka_topic *topic,
                              struct weir_error *error) {
  for (uint32_t i = 0; i < known->count; i++) {
    struct wr_kafka_known_partition *partition = &known->partitions[i];
    if (!partition->is_known) continue;
    if (known->bounded && !partition->has_stop) partition->stop = topic->partitions[i].high;
    partition->has_stop = known->bounded;
    partition->ended = known->bounded && partition->ended;
    WR_TRY(put_out(known, i, error));
  }
  return WEIR_OK;
}

static enum weir_code admit(struct wr_kafka_known *known, const struct wr_kafka_topic *topic,
                            struct weir_error *error) {
  WR_TRY(reserve(known, topic->partition_count, error));
  for (uint32_t i = 0; i < topic->partition_count; i++) {
    const struct wr_kafka_partition *found = &topic->partitions[i];
    if (known->partitions[i].is_known || !found->has_leader) continue;
    known->partitions[i] = (struct wr_kafka_known_partition){
        .is_known = true, .position = found->low, .has_stop = known->bounded, .stop = known->bounded ? found->high : 0};
    WR_TRY(put_out(known, i, error));
  }
  return WEIR_OK;
}

/* The first partition without a leader; -1: each has one. */
static int32_t without_leader(const struct wr_kafka_topic *topic) {
  for (uint32_t i = 0; i < topic->partition_count; i++)
    if (!topic->partitions[i].has_leader) return (int32_t)i;
  return -1;
}

enum weir_code wr_kafka_known_judge(struct wr_kafka_known *known, const struct wr_kafka_topic *topic, uint64_t now_ns,
                                    uint64_t *wake_at_ns, struct weir_error *error) {
  known->wait = WR_KAFKA_WAIT_NONE;
  WR_TRY(judge_topic(known, topic, now_ns, wake_at_ns, error));
  if (topic->answer != WR_KAFKA_FINE) return WEIR_OK;
  WR_TRY(compare_cluster(known, topic->cluster, error));
  for (uint32_t i = 0; i < known->count; i++)
    if (known->partitions[i].is_known) WR_TRY(judge_partition(known, topic, i, now_ns, wake_at_ns, error));
  bool first_bounded = known->bounded && !known->has_stops;
  if (!known->released && first_bounded && without_leader(topic) >= 0)
    wait_for(known, WR_KAFKA_WAIT_LEADER, WR_KAFKA_FAULT_NONE, without_leader(topic));
  if (known->wait != WR_KAFKA_WAIT_NONE) return WEIR_OK;
  if (!known->released) WR_TRY(release(known, topic, error));
  if (!known->bounded || (first_bounded && !known->released)) WR_TRY(admit(known, topic, error));
  known->released = true;
  return WEIR_OK;
}

bool wr_kafka_known_take(struct wr_kafka_known *known, struct wr_split *out_split) {
  for (; known->next < known->count; known->next++) {
    struct wr_kafka_known_partition *partition = &known->partitions[known->next];
    if (partition->split.bytes == NULL) continue;
    *out_split = partition->split;
    partition->split = (struct wr_split){0};
    return true;
  }
  return false;
}

bool wr_kafka_known_all_taken(const struct wr_kafka_known *known) {
  for (uint32_t i = known->next; i < known->count; i++)
    if (known->partitions[i].split.bytes != NULL) return false;
  return true;
}
