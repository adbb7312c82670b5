/* sim/sim_kafka_producer.c: see sim_kafka_producer.h. What happens by itself (a commit that comes late, a time-out) is
 * brought up to date whenever somebody looks. */
#include "sim/sim_kafka_producer.h"

#include "base/hash.h"
#include "sim/sim_kafka_int.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { WRITE_MS = 10000 };
static const uint64_t ms_ns = 1000 * 1000;

struct sim_kafka_producer {
  struct wr_kafka_producer base; /* first */
  struct sim_kafka *kafka;
  struct wr_memory *memory;
  uint64_t epoch; /* 0: not fenced in */
  uint64_t timeout_ns;
  bool misled;
  struct sim_kafka_producer *next;
};

static struct sim_kafka_producer *self_of(struct wr_kafka_producer *producer) {
  return (struct sim_kafka_producer *)producer;
}

static bool is_at_once(const struct sim_kafka *kafka) {
  return kafka->world->current == NULL || kafka->world->direct != 0;
}

/* ---- the coordinator ---- */

static void end_open(struct sim_kafka *kafka, bool commit) {
  struct sim_kafka_coordinator *c = &kafka->coordinator;
  for (uint32_t p = 0; p < kafka->partition_count; p++)
    if (c->transactions[p] != SIM_KAFKA_NO_TRANSACTION) sim_kafka_end(kafka, p, c->transactions[p], commit);
  sim_world_trace(kafka->world, "kafka: a transaction of %u messages is %s", c->message_count,
                  commit ? "committed" : "aborted");
  c->is_open = c->is_decided = c->is_hidden = false;
  c->commit_at_ns = 0;
  if (!commit || !c->pending.present) return;
  struct wr_kafka_group_marker before = c->marker;
  c->marker = c->pending;
  if (kafka->committed != NULL) kafka->committed(kafka->committed_context, &before, &c->marker, c->message_count);
}

/* What has happened by itself until now. */
static void settle(struct sim_kafka *kafka) {
  struct sim_kafka_coordinator *c = &kafka->coordinator;
  uint64_t now_ns = kafka->world->now_ns;
  if (!c->is_open) return;
  bool comes = c->commit_at_ns != 0 && (c->is_decided || c->commit_at_ns < c->timeout_at_ns);
  if (comes && c->commit_at_ns <= now_ns) {
    end_open(kafka, true);
  } else if (!c->is_decided && c->timeout_at_ns <= now_ns) {
    kafka->world->fault_counts[SIM_FAULT_KAFKA_TRANSACTION_TIMED_OUT]++;
    end_open(kafka, false);
    c->epoch = ++kafka->epoch_last;
  }
}

static void open_transaction(struct sim_kafka_producer *producer) {
  struct sim_kafka_coordinator *c = &producer->kafka->coordinator;
  if (c->is_open) return;
  c->is_open = true;
  c->pending = (struct wr_kafka_group_marker){.present = false};
  c->message_count = 0;
  uint64_t least_ns = producer->kafka->transaction_least_ns;
  c->timeout_at_ns =
      producer->kafka->world->now_ns + (producer->timeout_ns > least_ns ? producer->timeout_ns : least_ns);
  for (int p = 0; p < SIM_KAFKA_PARTITIONS_MAX; p++)
    c->transactions[p] = SIM_KAFKA_NO_TRANSACTION;
}

static void pause(struct sim_kafka *kafka, uint64_t until_ns) {
  if (!is_at_once(kafka) && until_ns > kafka->world->now_ns)
    sim_coroutine_sleep(kafka->world, until_ns - kafka->world->now_ns);
}

/* Waits until what is open is decided; with `any`, also a transaction that nobody has ended yet. */
static enum weir_code wait_decided(struct sim_kafka *kafka, uint32_t timeout_ms, bool any, struct weir_error *error) {
  struct sim_kafka_coordinator *c = &kafka->coordinator;
  uint64_t deadline_ns = kafka->world->now_ns + timeout_ms * ms_ns;
  for (settle(kafka); c->is_open && (c->is_decided || (any && c->pending.present && !c->is_hidden)); settle(kafka)) {
    uint64_t until_ns = c->commit_at_ns != 0 ? c->commit_at_ns : c->timeout_at_ns;
    bool too_late = until_ns > deadline_ns || is_at_once(kafka);
    pause(kafka, too_late ? deadline_ns : until_ns);
    if (sim_is_dead(kafka->world)) return WR_FAIL(error, WEIR_IO, "the process was killed");
    if (too_late) return WR_FAIL(error, WEIR_TIMEOUT, "topic %s: a transaction stays undecided", kafka->topic);
  }
  return WEIR_OK;
}

/* ---- an operation ---- */

static enum weir_code begin_operation(struct sim_kafka *kafka, const char *what, uint32_t timeout_ms,
                                      struct weir_error *error) {
  bool ordered = false;
  if (is_at_once(kafka)) return WEIR_OK;
  if (!sim_kafka_operation(kafka, what, &ordered))
    return WR_FAIL(error, WEIR_IO, "topic %s: %s failed", kafka->topic, what);
  return timeout_ms == 0 ? WEIR_OK : sim_kafka_reach(kafka, timeout_ms * ms_ns, error);
}

static enum weir_code end_operation(struct sim_kafka *kafka, const char *what, struct weir_error *error) {
  if (is_at_once(kafka) || sim_kafka_operation_done(kafka, what)) return WEIR_OK;
  return WR_FAIL(error, WEIR_IO, "topic %s: %s failed", kafka->topic, what);
}

/* A fault of the plan, in a call. */
static bool befalls(struct sim_kafka *kafka, enum sim_fault fault) {
  return !is_at_once(kafka) && sim_kafka_draw(kafka, fault);
}

static uint64_t later_ns(struct sim_kafka *kafka) {
  struct wr_random *random = &kafka->world->fault_random;
  return kafka->world->now_ns + sim_draw_between(random, 1, (wr_random_one_in(random, 2) ? 8 : 400) * ms_ns);
}

/* Just before the brokers get it, or after they have done it. */
static enum weir_code keep_connection(struct sim_kafka *kafka, enum sim_fault fault, struct weir_error *error) {
  if (!befalls(kafka, fault)) return WEIR_OK;
  return WR_FAIL(error, WEIR_IO, "topic %s: %s", kafka->topic, sim_fault_text(fault));
}

/* The coordinator may be on its way to another broker: it is waited for. */
static enum weir_code reach_coordinator(struct sim_kafka *kafka, uint32_t timeout_ms, struct weir_error *error) {
  uint64_t deadline_ns = kafka->world->now_ns + timeout_ms * ms_ns;
  if (befalls(kafka, SIM_FAULT_KAFKA_COORDINATOR_MOVED)) kafka->coordinator_away_until_ns = later_ns(kafka);
  bool too_late = kafka->coordinator_away_until_ns > deadline_ns;
  pause(kafka, too_late ? deadline_ns : kafka->coordinator_away_until_ns);
  if (sim_is_dead(kafka->world)) return WR_FAIL(error, WEIR_IO, "the process was killed");
  return too_late ? WR_FAIL(error, WEIR_TIMEOUT, "topic %s: no coordinator answered", kafka->topic) : WEIR_OK;
}

static enum weir_code check_epoch(struct sim_kafka_producer *producer, struct weir_error *error) {
  struct sim_kafka *kafka = producer->kafka;
  settle(kafka);
  if (producer->epoch == 0) return WR_FAIL(error, WEIR_INVALID, "this producer was not fenced in");
  if (producer->epoch == kafka->coordinator.epoch) return WEIR_OK;
  kafka->world->fault_counts[SIM_FAULT_KAFKA_FENCED]++;
  return WR_FAIL(error, WEIR_FENCED, "there is a newer producer of this id");
}

/* ---- what a producer can do ---- */

static enum weir_code look(struct wr_kafka_producer *base, uint32_t timeout_ms, struct wr_kafka_target_topic *out,
                           struct weir_error *error) {
  struct sim_kafka_producer *producer = self_of(base);
  struct sim_kafka *kafka = producer->kafka;
  *out = (struct wr_kafka_target_topic){.answer = WR_KAFKA_FINE};
  WR_TRY(begin_operation(kafka, "producer look", timeout_ms, error));
  WR_TRY(keep_connection(kafka, SIM_FAULT_KAFKA_GONE_AT_LOOK, error));
  bool may_mislead = sim_kafka_may_mislead(kafka);
  if (may_mislead && befalls(kafka, SIM_FAULT_KAFKA_WRONG_TOPIC)) out->answer = WR_KAFKA_NO_TOPIC;
  if (may_mislead && befalls(kafka, SIM_FAULT_KAFKA_WRONG_RIGHTS)) out->answer = WR_KAFKA_NOT_ALLOWED;
  producer->misled = out->answer != WR_KAFKA_FINE;
  if (producer->misled) {
    snprintf(out->reason, sizeof out->reason, "wrongly");
    sim_kafka_misled(kafka);
  } else {
    sim_kafka_told_right(kafka);
    snprintf(out->cluster, sizeof out->cluster, "cluster-of-%s", kafka->topic);
    out->partition_count = kafka->partition_count;
    out->message_bytes_max = kafka->message_bytes_max == 0 ? -1 : (int64_t)kafka->message_bytes_max;
  }
  return end_operation(kafka, "producer look", error);
}

/* The commit of a process that was killed has been on its way since, and comes in at the last moment. */
static void let_late_commit_arrive(struct sim_kafka *kafka) {
  const struct sim_kafka_coordinator *c = &kafka->coordinator;
  if (!c->is_open || !c->is_hidden || is_at_once(kafka)) return;
  if (wr_random_one_in(&kafka->world->fault_random, 2)) end_open(kafka, true);
}

static enum weir_code fence(struct wr_kafka_producer *base, uint32_t timeout_ms, struct weir_error *error) {
  struct sim_kafka_producer *producer = self_of(base);
  struct sim_kafka *kafka = producer->kafka;
  if (producer->epoch != 0) return WR_FAIL(error, WEIR_INVALID, "a producer is fenced in once");
  WR_TRY(begin_operation(kafka, "fence", timeout_ms, error));
  WR_TRY(keep_connection(kafka, SIM_FAULT_KAFKA_GONE_AT_FENCE, error));
  WR_TRY(reach_coordinator(kafka, timeout_ms, error));
  let_late_commit_arrive(kafka);
  WR_TRY(wait_decided(kafka, timeout_ms, false, error));
  if (kafka->coordinator.is_open) end_open(kafka, false);
  kafka->coordinator.epoch = ++kafka->epoch_last;
  WR_TRY(keep_connection(kafka, SIM_FAULT_KAFKA_GONE_AT_FENCE, error));
  producer->epoch = kafka->coordinator.epoch;
  return end_operation(kafka, "fence", error);
}

static enum weir_code read_marker(struct wr_kafka_producer *base, uint32_t timeout_ms,
                                  struct wr_kafka_group_marker *out_marker, struct weir_error *error) {
  struct sim_kafka *kafka = self_of(base)->kafka;
  WR_TRY(begin_operation(kafka, "read marker", timeout_ms, error));
  WR_TRY(keep_connection(kafka, SIM_FAULT_KAFKA_GONE_AT_MARKER, error));
  WR_TRY(reach_coordinator(kafka, timeout_ms, error));
  WR_TRY(wait_decided(kafka, timeout_ms, true, error));
  *out_marker = kafka->coordinator.marker;
  return end_operation(kafka, "read marker", error);
}

static enum weir_code begin(struct wr_kafka_producer *base, struct weir_error *error) {
  return self_of(base)->epoch != 0 ? WEIR_OK : WR_FAIL(error, WEIR_INVALID, "this producer was not fenced in");
}

static void append(struct sim_kafka *kafka, const struct wr_kafka_message *message) {
  struct sim_kafka_coordinator *c = &kafka->coordinator;
  uint32_t p = message->key == NULL
                   ? (uint32_t)wr_random_below(&kafka->random, kafka->partition_count)
                   : (uint32_t)(wr_hash_index(message->key, message->key_length, 1) % kafka->partition_count);
  if (c->transactions[p] == SIM_KAFKA_NO_TRANSACTION) c->transactions[p] = sim_kafka_begin(kafka, p);
  const struct sim_kafka_message record = {.key = message->key,
                                           .value = message->value,
                                           .key_length = message->key_length,
                                           .value_length = message->value_length,
                                           .transaction = c->transactions[p]};
  sim_kafka_append(kafka, p, &record);
  c->message_count++;
}

static enum weir_code write(struct wr_kafka_producer *base, const struct wr_kafka_message *messages, uint32_t count,
                            uint32_t *out_bad, struct weir_error *error) {
  struct sim_kafka_producer *producer = self_of(base);
  struct sim_kafka *kafka = producer->kafka;
  WR_TRY(begin_operation(kafka, "write", WRITE_MS, error));
  WR_TRY(keep_connection(kafka, SIM_FAULT_KAFKA_GONE_AT_WRITE, error));
  WR_TRY(wait_decided(kafka, WRITE_MS, false, error));
  WR_TRY(check_epoch(producer, error));
  open_transaction(producer);
  bool is_lost = befalls(kafka, SIM_FAULT_KAFKA_WRITE_LOST);
  uint32_t taken = is_lost ? (uint32_t)wr_random_below(&kafka->world->fault_random, count + 1) : count;
  for (uint32_t i = 0; i < taken; i++) {
    *out_bad = i;
    if (kafka->message_bytes_max != 0 && messages[i].value_length > kafka->message_bytes_max)
      return WR_FAIL(error, WEIR_CONSTRAINT, "it is longer than the topic allows");
    append(kafka, &messages[i]);
  }
  if (is_lost) return WR_FAIL(error, WEIR_IO, "topic %s: messages were not delivered", kafka->topic);
  WR_TRY(keep_connection(kafka, SIM_FAULT_KAFKA_GONE_AT_WRITE, error));
  return end_operation(kafka, "write", error);
}

/* How a commit can go wrong that reached the brokers. OK: it does not. */
static enum weir_code spoil(struct sim_kafka *kafka, enum wr_kafka_outcome *out_outcome, struct weir_error *error) {
  struct sim_kafka_coordinator *c = &kafka->coordinator;
  if (befalls(kafka, SIM_FAULT_KAFKA_COMMIT_ABORTED)) {
    end_open(kafka, false);
    *out_outcome = WR_KAFKA_ABORTED;
    return WR_FAIL(error, WEIR_IO, "topic %s: the transaction was aborted", kafka->topic);
  }
  if (befalls(kafka, SIM_FAULT_KAFKA_COMMIT_NOT_DONE))
    return WR_FAIL(error, WEIR_TIMEOUT, "topic %s: no answer to the commit", kafka->topic);
  if (befalls(kafka, SIM_FAULT_KAFKA_COORDINATOR_MOVED)) { /* it has decided; the next one carries it out */
    c->is_decided = true;
    c->commit_at_ns = kafka->coordinator_away_until_ns = later_ns(kafka);
    return WR_FAIL(error, WEIR_TIMEOUT, "topic %s: the coordinator moved, no answer to the commit", kafka->topic);
  }
  if (befalls(kafka, SIM_FAULT_KAFKA_COMMIT_LATE)) {
    c->commit_at_ns = later_ns(kafka);
    return WR_FAIL(error, WEIR_TIMEOUT, "topic %s: no answer to the commit yet", kafka->topic);
  }
  if (befalls(kafka, SIM_FAULT_KAFKA_COMMIT_UNHEARD)) {
    end_open(kafka, true);
    return WR_FAIL(error, WEIR_TIMEOUT, "topic %s: the answer to the commit was lost", kafka->topic);
  }
  if (befalls(kafka, SIM_FAULT_KAFKA_COMMIT_FENCED)) { /* it was sent again, and somebody had fenced in between */
    end_open(kafka, true);
    c->epoch = ++kafka->epoch_last;
    return WR_FAIL(error, WEIR_FENCED, "there is a newer producer of this id");
  }
  return WEIR_OK;
}

static enum weir_code begin_commit(struct sim_kafka_producer *producer, const struct wr_kafka_group_marker *marker,
                                   uint32_t timeout_ms, struct weir_error *error) {
  struct sim_kafka *kafka = producer->kafka;
  struct sim_kafka_coordinator *c = &kafka->coordinator;
  /* Some take long to reach the brokers, so that a kill finds them on their way. */
  if (!is_at_once(kafka) && wr_random_one_in(&kafka->world->fault_random, 2))
    sim_coroutine_sleep(kafka->world, wr_random_below(&kafka->world->fault_random, 60 * ms_ns));
  enum weir_code code = begin_operation(kafka, "commit", timeout_ms, error);
  if (code == WEIR_OK) code = keep_connection(kafka, SIM_FAULT_KAFKA_GONE_AT_COMMIT, error);
  if (code == WEIR_OK) code = reach_coordinator(kafka, timeout_ms, error);
  if (code == WEIR_OK) code = wait_decided(kafka, timeout_ms, false, error);
  if (code == WEIR_OK) code = check_epoch(producer, error);
  bool can_come = sim_is_dead(kafka->world) && c->is_open && producer->epoch == c->epoch && c->commit_at_ns == 0;
  if (can_come && sim_kafka_draw(kafka, SIM_FAULT_KAFKA_COMMIT_OF_KILLED)) {
    c->pending = *marker;
    c->is_hidden = true;
    c->commit_at_ns = later_ns(kafka);
  }
  return code;
}

static enum weir_code commit(struct wr_kafka_producer *base, const struct wr_kafka_group_marker *marker,
                             uint32_t timeout_ms, enum wr_kafka_outcome *out_outcome, struct weir_error *error) {
  struct sim_kafka_producer *producer = self_of(base);
  struct sim_kafka *kafka = producer->kafka;
  struct sim_kafka_coordinator *c = &kafka->coordinator;
  *out_outcome = WR_KAFKA_OPEN;
  WR_TRY(begin_commit(producer, marker, timeout_ms, error));
  open_transaction(producer);
  c->pending = *marker;
  WR_TRY(spoil(kafka, out_outcome, error));
  if (befalls(kafka, SIM_FAULT_KAFKA_UNDECIDED)) {
    c->is_decided = true;
    c->commit_at_ns = later_ns(kafka);
  } else {
    end_open(kafka, true);
  }
  WR_TRY(end_operation(kafka, "commit", error));
  *out_outcome = WR_KAFKA_DONE;
  return WEIR_OK;
}

static void abort_transaction(struct wr_kafka_producer *base, uint32_t timeout_ms) {
  struct sim_kafka_producer *producer = self_of(base);
  struct sim_kafka *kafka = producer->kafka;
  if (begin_operation(kafka, "abort", timeout_ms, NULL) != WEIR_OK) return;
  if (keep_connection(kafka, SIM_FAULT_KAFKA_GONE_AT_ABORT, NULL) != WEIR_OK) return;
  if (reach_coordinator(kafka, timeout_ms, NULL) != WEIR_OK) return;
  settle(kafka);
  if (producer->epoch == kafka->coordinator.epoch && kafka->coordinator.is_open && !kafka->coordinator.is_decided)
    end_open(kafka, false);
  end_operation(kafka, "abort", NULL);
}

static enum weir_code flush(struct wr_kafka_producer *base, uint32_t timeout_ms, struct weir_error *error) {
  return begin_operation(self_of(base)->kafka, "flush", timeout_ms, error);
}

static void wait_a_while(struct wr_kafka_producer *base, uint32_t wait_ms) {
  struct sim_kafka *kafka = self_of(base)->kafka;
  pause(kafka, kafka->world->now_ns + wait_ms * ms_ns);
}

/* ---- its life ---- */

static void release(void *handle) {
  struct sim_kafka_producer *producer = handle;
  struct sim_kafka_producer **place = &producer->kafka->producers;
  while (*place != producer)
    place = &(*place)->next;
  *place = producer->next;
}

static void close_producer(struct wr_kafka_producer *base) {
  struct sim_kafka_producer *producer = self_of(base);
  struct sim_world *world = producer->kafka->world;
  if (begin_operation(producer->kafka, "close producer", 0, NULL) == WEIR_OK)
    end_operation(producer->kafka, "close producer", NULL);
  world->calls.disown(&world->calls, producer);
  release(producer);
  wr_free(producer->memory, producer);
}

static struct sim_kafka *cluster_of(const struct wr_kafka_producer_driver *driver) {
  return (struct sim_kafka *)(void *)((char *)(uintptr_t)driver - offsetof(struct sim_kafka, producer_driver));
}

static enum weir_code open_producer(const struct wr_kafka_producer_driver *driver,
                                    const struct wr_kafka_producer_options *options, struct wr_seams *seams,
                                    struct wr_memory *memory, struct wr_kafka_producer **out_producer,
                                    struct weir_error *error) {
  static const struct wr_kafka_producer_vtable vtable = {.look = look,
                                                         .fence = fence,
                                                         .read_marker = read_marker,
                                                         .begin = begin,
                                                         .write = write,
                                                         .commit = commit,
                                                         .abort = abort_transaction,
                                                         .flush = flush,
                                                         .wait = wait_a_while,
                                                         .close = close_producer};
  struct sim_kafka *kafka = cluster_of(driver);
  *out_producer = NULL;
  WR_TRY(begin_operation(kafka, "open producer", 0, error));
  WR_TRY(end_operation(kafka, "open producer", error));
  struct sim_kafka_producer *producer = wr_alloc_zeroed(memory, 1, sizeof *producer, WR_MEMORY_SINK);
  if (producer == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a producer");
  producer->base.vtable = &vtable;
  producer->kafka = kafka;
  producer->memory = memory;
  producer->timeout_ns = options->transaction_timeout_ms * ms_ns;
  producer->next = kafka->producers;
  kafka->producers = producer;
  seams->calls->adopt(seams->calls, producer, release);
  *out_producer = &producer->base;
  return WEIR_OK;
}

static enum weir_code check(const struct wr_kafka_producer_driver *driver,
                            const struct wr_kafka_producer_options *options, struct weir_error *error) {
  (void)driver;
  (void)options;
  (void)error;
  return WEIR_OK;
}

const struct wr_kafka_producer_driver *sim_kafka_producer_driver(struct sim_kafka *kafka) {
  kafka->producer_driver = (struct wr_kafka_producer_driver){.check = check, .open = open_producer};
  return &kafka->producer_driver;
}

uint32_t sim_kafka_producers(const struct sim_kafka *kafka) {
  uint32_t count = 0;
  for (const struct sim_kafka_producer *producer = kafka->producers; producer != NULL; producer = producer->next)
    count++;
  return count;
}

bool sim_kafka_producer_is_misled(const struct sim_kafka *kafka) {
  for (const struct sim_kafka_producer *producer = kafka->producers; producer != NULL; producer = producer->next)
    if (producer->misled) return true;
  return false;
}

/* ---- the harness ---- */

void sim_kafka_on_commit(struct sim_kafka *kafka, sim_kafka_committed *committed, void *context) {
  kafka->committed = committed;
  kafka->committed_context = context;
}

void sim_kafka_be_patient(struct sim_kafka *kafka) {
  kafka->transaction_least_ns = 60 * 1000 * ms_ns;
}

void sim_kafka_limit_messages(struct sim_kafka *kafka, size_t bytes_max) {
  kafka->message_bytes_max = bytes_max;
}

struct wr_kafka_group_marker sim_kafka_marker(struct sim_kafka *kafka) {
  settle(kafka);
  return kafka->coordinator.marker;
}

struct wr_kafka_group_marker sim_kafka_set_marker(struct sim_kafka *kafka, struct wr_kafka_group_marker marker) {
  if (kafka->coordinator.is_open) end_open(kafka, kafka->coordinator.is_decided);
  struct wr_kafka_group_marker before = kafka->coordinator.marker;
  kafka->coordinator.epoch = ++kafka->epoch_last;
  kafka->coordinator.marker = marker;
  return before;
}

bool sim_kafka_has_open(struct sim_kafka *kafka) {
  settle(kafka);
  return kafka->coordinator.is_open && !kafka->coordinator.is_decided;
}

void sim_kafka_read_all(struct sim_kafka *kafka, sim_kafka_reader *reader, void *context) {
  settle(kafka);
  if (kafka->coordinator.is_open && kafka->coordinator.is_decided) end_open(kafka, true);
  for (uint32_t p = 0; p < kafka->partition_count; p++) {
    const struct sim_kafka_partition *partition = &kafka->partitions[p];
    int64_t stable = sim_kafka_stable(kafka, p);
    for (size_t i = 0; i < partition->entry_count && partition->entries[i].offset < stable; i++) {
      const struct sim_kafka_entry *entry = &partition->entries[i];
      if (!sim_kafka_is_visible(partition, entry, false)) continue;
      const struct sim_kafka_message message = {.key = entry->has_key ? partition->bytes + entry->key : NULL,
                                                .value = entry->has_value ? partition->bytes + entry->value : NULL,
                                                .key_length = entry->key_length,
                                                .value_length = entry->value_length};
      reader(context, p, &message);
    }
  }
}

/* ---- copies ---- */

struct sim_kafka_image {
  struct sim_kafka_partition partitions[SIM_KAFKA_PARTITIONS_MAX];
  struct sim_kafka_coordinator coordinator;
};

static void *copy_block(const void *block, size_t bytes) {
  void *copy = sim_host_alloc(bytes + 1);
  if (bytes > 0) memcpy(copy, block, bytes);
  return copy;
}

static void copy_partition(const struct sim_kafka_partition *from, struct sim_kafka_partition *to) {
  *to = *from;
  to->entries = copy_block(from->entries, from->entry_count * sizeof *from->entries);
  to->bytes = copy_block(from->bytes, from->byte_count);
  to->transactions = copy_block(from->transactions, from->transaction_count * sizeof *from->transactions);
  to->entry_capacity = to->entry_count;
  to->byte_capacity = to->byte_count;
  to->transaction_capacity = to->transaction_count;
}

static void free_partition(struct sim_kafka_partition *partition) {
  free(partition->entries);
  free(partition->bytes);
  free(partition->transactions);
  partition->entries = NULL;
  partition->bytes = NULL;
  partition->transactions = NULL;
  partition->entry_count = partition->entry_capacity = partition->byte_count = partition->byte_capacity = 0;
  partition->transaction_count = partition->transaction_capacity = 0;
}

struct sim_kafka_image *sim_kafka_image_take(struct sim_kafka *kafka) {
  struct sim_kafka_image *image = sim_host_alloc(sizeof *image);
  settle(kafka);
  for (uint32_t p = 0; p < kafka->partition_count; p++)
    copy_partition(&kafka->partitions[p], &image->partitions[p]);
  image->coordinator = kafka->coordinator;
  return image;
}

void sim_kafka_image_put(struct sim_kafka *kafka, const struct sim_kafka_image *image) {
  for (uint32_t p = 0; p < kafka->partition_count; p++) {
    free_partition(&kafka->partitions[p]);
    copy_partition(&image->partitions[p], &kafka->partitions[p]);
  }
  kafka->coordinator = image->coordinator;
}

struct wr_kafka_group_marker sim_kafka_image_marker(const struct sim_kafka_image *image) {
  return image->coordinator.marker;
}

void sim_kafka_image_free(struct sim_kafka_image *image) {
  if (image == NULL) return;
  for (int p = 0; p < SIM_KAFKA_PARTITIONS_MAX; p++)
    free_partition(&image->partitions[p]);
  free(image);
}

void sim_kafka_empty(struct sim_kafka *kafka) {
  for (uint32_t p = 0; p < kafka->partition_count; p++) {
    free_partition(&kafka->partitions[p]);
    kafka->partitions[p].low = kafka->partitions[p].next = 0;
  }
  kafka->coordinator = (struct sim_kafka_coordinator){.epoch = ++kafka->epoch_last};
}
