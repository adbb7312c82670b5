/* sim/sim_kafka.c: the topic: partitions, their records, transactions, and what operators do to it. See sim_kafka.h. */
#include "sim/sim_kafka_int.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct sim_kafka_partition *partition_of(struct sim_kafka *kafka, uint32_t partition) {
  WR_ASSERT(partition < kafka->partition_count);
  return &kafka->partitions[partition];
}

/* ---- the cluster ---- */

static enum weir_code check(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                            struct weir_error *error) {
  (void)driver;
  if (connection->servers == NULL || connection->servers[0] == 0)
    return WR_FAIL(error, WEIR_INVALID, "source %s: no servers", connection->uid);
  return WEIR_OK;
}

struct sim_kafka *sim_kafka_new(struct sim_world *world, uint64_t seed, const char *topic) {
  struct sim_kafka *kafka = sim_host_alloc(sizeof *kafka);
  kafka->driver = (struct wr_kafka_driver){
      .check = check, .open_admin = sim_kafka_open_admin, .open_consumer = sim_kafka_open_consumer};
  kafka->world = world;
  kafka->random = wr_random_of(seed);
  snprintf(kafka->topic, sizeof kafka->topic, "%s", topic);
  snprintf(kafka->rule_name, sizeof kafka->rule_name, "kafka:%s", topic);
  return kafka;
}

void sim_kafka_free(struct sim_kafka *kafka) {
  if (kafka == NULL) return;
  WR_ASSERT(sim_kafka_clients(kafka) == 0);
  sim_kafka_drop_tickets(kafka);
  for (uint32_t p = 0; p < kafka->partition_count; p++) {
    free(kafka->partitions[p].entries);
    free(kafka->partitions[p].bytes);
    free(kafka->partitions[p].transactions);
  }
  free(kafka);
}

const struct wr_kafka_driver *sim_kafka_driver(struct sim_kafka *kafka) {
  return &kafka->driver;
}

void sim_kafka_set_watch(struct sim_kafka *kafka, struct sim_kafka_watch watch) {
  kafka->watch = watch;
}

uint32_t sim_kafka_clients(const struct sim_kafka *kafka) {
  uint32_t count = 0;
  for (const struct sim_kafka_admin *admin = kafka->admins; admin != NULL; admin = admin->next)
    count++;
  for (const struct sim_kafka_consumer *consumer = kafka->consumers; consumer != NULL; consumer = consumer->next)
    count++;
  return count;
}

/* ---- producers ---- */

uint32_t sim_kafka_partition_count(const struct sim_kafka *kafka) {
  return kafka->partition_count;
}

void sim_kafka_set_partition_count(struct sim_kafka *kafka, uint32_t count) {
  WR_ASSERT(count <= SIM_KAFKA_PARTITIONS_MAX);
  while (kafka->partition_count < count) {
    struct sim_kafka_partition *partition = &kafka->partitions[kafka->partition_count++];
    partition->shown = -1;
    partition->leader = (uint32_t)wr_random_below(&kafka->random, SIM_KAFKA_BROKERS);
    sim_world_trace(kafka->world, "kafka: partition %u is added", kafka->partition_count - 1);
  }
}

static size_t add_bytes(struct sim_kafka_partition *partition, const void *bytes, size_t length) {
  size_t place = partition->byte_count;
  if (place + length > partition->byte_capacity) {
    partition->byte_capacity = (place + length) * 2;
    partition->bytes = sim_host_resize(partition->bytes, partition->byte_capacity);
  }
  if (length > 0) memcpy(partition->bytes + place, bytes, length);
  partition->byte_count += length;
  return place;
}

static struct sim_kafka_entry *add_entry(struct sim_kafka_partition *partition) {
  if (partition->entry_count == partition->entry_capacity) {
    partition->entry_capacity = partition->entry_capacity == 0 ? 64 : partition->entry_capacity * 2;
    partition->entries = sim_host_resize(partition->entries, partition->entry_capacity * sizeof *partition->entries);
  }
  struct sim_kafka_entry *entry = &partition->entries[partition->entry_count++];
  *entry = (struct sim_kafka_entry){.offset = partition->next++, .transaction = SIM_KAFKA_NO_TRANSACTION};
  return entry;
}

static struct sim_kafka_transaction *transaction_of(struct sim_kafka_partition *partition, int32_t transaction) {
  WR_ASSERT(transaction >= 0 && (size_t)transaction < partition->transaction_count);
  struct sim_kafka_transaction *found = &partition->transactions[transaction];
  WR_ASSERT(found->state == SIM_TRANSACTION_OPEN);
  return found;
}

int64_t sim_kafka_append(struct sim_kafka *kafka, uint32_t p, const struct sim_kafka_message *message) {
  struct sim_kafka_partition *partition = partition_of(kafka, p);
  struct sim_kafka_entry *entry = add_entry(partition);
  entry->timestamp_ms = message->timestamp_ms;
  entry->transaction = message->transaction;
  entry->has_key = message->key != NULL;
  entry->has_value = message->value != NULL;
  entry->key_length = message->key_length;
  entry->value_length = message->value_length;
  entry->key = add_bytes(partition, message->key, message->key_length);
  entry->value = add_bytes(partition, message->value, message->value_length);
  if (message->transaction != SIM_KAFKA_NO_TRANSACTION) {
    struct sim_kafka_transaction *transaction = transaction_of(partition, message->transaction);
    if (transaction->first < 0) transaction->first = entry->offset;
  }
  sim_kafka_stir(kafka, p);
  return entry->offset;
}

void sim_kafka_skip(struct sim_kafka *kafka, uint32_t p, uint32_t count) {
  partition_of(kafka, p)->next += count;
  sim_kafka_stir(kafka, p);
}

int32_t sim_kafka_begin(struct sim_kafka *kafka, uint32_t p) {
  struct sim_kafka_partition *partition = partition_of(kafka, p);
  if (partition->transaction_count == partition->transaction_capacity) {
    partition->transaction_capacity = partition->transaction_capacity == 0 ? 8 : partition->transaction_capacity * 2;
    partition->transactions =
        sim_host_resize(partition->transactions, partition->transaction_capacity * sizeof *partition->transactions);
  }
  partition->transactions[partition->transaction_count] =
      (struct sim_kafka_transaction){.first = -1, .state = SIM_TRANSACTION_OPEN};
  return (int32_t)partition->transaction_count++;
}

void sim_kafka_end(struct sim_kafka *kafka, uint32_t p, int32_t transaction, bool commit) {
  struct sim_kafka_partition *partition = partition_of(kafka, p);
  transaction_of(partition, transaction)->state = commit ? SIM_TRANSACTION_COMMITTED : SIM_TRANSACTION_ABORTED;
  add_entry(partition)->marker = true;
  sim_kafka_stir(kafka, p);
}

int64_t sim_kafka_low(const struct sim_kafka *kafka, uint32_t partition) {
  return kafka->partitions[partition].low;
}

int64_t sim_kafka_high(const struct sim_kafka *kafka, uint32_t partition) {
  return kafka->partitions[partition].next;
}

int64_t sim_kafka_stable(const struct sim_kafka *kafka, uint32_t partition) {
  const struct sim_kafka_partition *of = &kafka->partitions[partition];
  int64_t stable = of->next;
  for (size_t i = 0; i < of->transaction_count; i++) {
    const struct sim_kafka_transaction *transaction = &of->transactions[i];
    if (transaction->state == SIM_TRANSACTION_OPEN && transaction->first >= 0 && transaction->first < stable)
      stable = transaction->first;
  }
  return stable;
}

int64_t sim_kafka_shown(const struct sim_kafka *kafka, uint32_t partition) {
  return partition < kafka->partition_count ? kafka->partitions[partition].shown : -1;
}

/* ---- operators ---- */

void sim_kafka_set_low(struct sim_kafka *kafka, uint32_t p, int64_t low) {
  struct sim_kafka_partition *partition = partition_of(kafka, p);
  WR_ASSERT(low <= partition->next);
  if (low <= partition->low) return;
  partition->low = low;
  sim_world_trace(kafka->world, "kafka: partition %u begins at %" PRId64, p, low);
}

void sim_kafka_set_known(struct sim_kafka *kafka, uint32_t p, int64_t offset) {
  if (p < kafka->partition_count) kafka->partitions[p].known = offset;
}

void sim_kafka_set_state(struct sim_kafka *kafka, enum sim_kafka_state state, uint32_t partition, int64_t offset) {
  kafka->state = state;
  kafka->state_partition = partition;
  kafka->state_offset = offset;
  sim_world_trace(kafka->world, "kafka: state %d of partition %u at %" PRId64, (int)state, partition, offset);
  for (uint32_t p = 0; p < kafka->partition_count; p++)
    sim_kafka_stir(kafka, p);
}

uint32_t sim_kafka_count_now(const struct sim_kafka *kafka) {
  return kafka->state == SIM_KAFKA_PARTITION_GONE ? kafka->state_partition : kafka->partition_count;
}

int64_t sim_kafka_low_now(const struct sim_kafka *kafka, uint32_t partition) {
  bool here = partition == kafka->state_partition;
  if (here && kafka->state == SIM_KAFKA_RETAINED) return kafka->state_offset;
  if (here && kafka->state == SIM_KAFKA_REMADE) return 0;
  int64_t low = sim_kafka_low(kafka, partition), high = sim_kafka_high_now(kafka, partition);
  return low < high ? low : high;
}

int64_t sim_kafka_high_now(const struct sim_kafka *kafka, uint32_t partition) {
  bool cut = kafka->state == SIM_KAFKA_CUT || kafka->state == SIM_KAFKA_REMADE;
  return cut && partition == kafka->state_partition ? kafka->state_offset : sim_kafka_high(kafka, partition);
}

/* ---- reading ---- */

size_t sim_kafka_find(const struct sim_kafka_partition *partition, int64_t offset) {
  size_t low = 0, high = partition->entry_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (partition->entries[middle].offset < offset)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

bool sim_kafka_is_visible(const struct sim_kafka_partition *partition, const struct sim_kafka_entry *entry,
                          bool uncommitted) {
  if (entry->marker) return false;
  if (uncommitted || entry->transaction == SIM_KAFKA_NO_TRANSACTION) return true;
  return partition->transactions[entry->transaction].state == SIM_TRANSACTION_COMMITTED;
}
