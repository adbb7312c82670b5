/* sim/sim_kafka_consumer.c: the consumer of the simulated cluster. What comes to it comes by events; each carries a
 * *ticket* (consumer, partition, assignment), and one whose consumer or assignment is gone is dropped. What has come of
 * a partition is a range of offsets; records are copied out of the topic when they are taken. */
#include "sim/sim_kafka_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t ms_ns = 1000 * 1000;
static const uint64_t missing_again_ns = 10ULL * 1000 * 1000 * 1000; /* between two looks for a missing partition */

static struct sim_kafka_consumer *self_of(struct wr_kafka_consumer *consumer) {
  return (struct sim_kafka_consumer *)consumer;
}

/* ---- tickets ---- */

enum ticket_kind { TICKET_FETCH, TICKET_END_AGAIN, TICKET_COMMIT };

struct sim_kafka_ticket {
  struct sim_kafka *kafka;
  struct sim_kafka_ticket *next, **place; /* all of the cluster */
  enum ticket_kind kind;
  uint64_t consumer, assignment;
  uint32_t partition, count;
  struct wr_kafka_place places[SIM_KAFKA_PARTITIONS_MAX]; /* COMMIT */
};

static void run_ticket(void *context);

static void drop_ticket(struct sim_kafka_ticket *ticket) {
  *ticket->place = ticket->next;
  if (ticket->next != NULL) ticket->next->place = ticket->place;
  free(ticket);
}

void sim_kafka_drop_tickets(struct sim_kafka *kafka) {
  while (kafka->tickets != NULL)
    drop_ticket(kafka->tickets);
}

static void send(struct sim_kafka_consumer *consumer, struct sim_kafka_ticket ticket, uint64_t delay_ns) {
  struct sim_kafka *kafka = consumer->kafka;
  struct sim_kafka_ticket *sent = sim_host_alloc(sizeof *sent);
  *sent = ticket;
  sent->kafka = kafka;
  sent->next = kafka->tickets;
  sent->place = &kafka->tickets;
  if (sent->next != NULL) sent->next->place = &sent->next;
  kafka->tickets = sent;
  sent->consumer = consumer->serial;
  sim_world_schedule(kafka->world, kafka->world->now_ns + delay_ns, run_ticket, sent);
}

static void send_fetch(struct sim_kafka_consumer *consumer, uint32_t p, uint64_t delay_ns) {
  struct sim_kafka_fetching *fetching = consumer->fetching[p];
  fetching->state = SIM_FETCH_UNDER_WAY;
  send(consumer, (struct sim_kafka_ticket){.kind = TICKET_FETCH, .partition = p, .assignment = fetching->serial},
       delay_ns);
}

static void wake(struct sim_kafka_consumer *consumer) {
  consumer->waker->wake(consumer->waker);
}

void sim_kafka_stir(struct sim_kafka *kafka, uint32_t p) {
  for (struct sim_kafka_consumer *consumer = kafka->consumers; consumer != NULL; consumer = consumer->next) {
    struct sim_kafka_fetching *fetching = consumer->fetching[p];
    if (fetching == NULL || !fetching->assigned || fetching->state != SIM_FETCH_AT_END) continue;
    send_fetch(consumer, p, sim_kafka_latency_ns(kafka));
  }
}

void sim_kafka_trouble(struct sim_kafka *kafka) {
  for (struct sim_kafka_consumer *consumer = kafka->consumers; consumer != NULL; consumer = consumer->next) {
    consumer->trouble = true;
    wake(consumer);
  }
}

/* ---- a fetch ---- */

static void stop_fetching(struct sim_kafka_consumer *consumer, uint32_t p, enum wr_kafka_answer answer, bool wrong) {
  consumer->fetching[p]->answer = answer;
  consumer->fetching[p]->wrong = wrong;
  sim_world_trace(consumer->kafka->world, "kafka fetch of %u: answer %d", p, (int)answer);
  wake(consumer);
}

static enum wr_kafka_answer true_answer(const struct sim_kafka *kafka, uint32_t p, int64_t offset) {
  if (kafka->state == SIM_KAFKA_TOPIC_GONE) return WR_KAFKA_NO_TOPIC;
  if (kafka->state == SIM_KAFKA_FORBIDDEN) return WR_KAFKA_NOT_ALLOWED;
  if (p >= sim_kafka_count_now(kafka)) return WR_KAFKA_NO_PARTITION;
  bool inside = offset >= sim_kafka_low_now(kafka, p) && offset <= sim_kafka_high_now(kafka, p);
  return inside ? WR_KAFKA_FINE : WR_KAFKA_OUT_OF_RANGE;
}

static enum wr_kafka_answer wrong_answer(struct sim_kafka *kafka) {
  if (kafka->state != SIM_KAFKA_SOUND || !sim_kafka_may_mislead(kafka)) return WR_KAFKA_FINE;
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_WRONG_TOPIC)) return WR_KAFKA_NO_TOPIC;
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_WRONG_PARTITION)) return WR_KAFKA_NO_PARTITION;
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_WRONG_RANGE)) return WR_KAFKA_OUT_OF_RANGE;
  return sim_kafka_draw(kafka, SIM_FAULT_KAFKA_WRONG_RIGHTS) ? WR_KAFKA_NOT_ALLOWED : WR_KAFKA_FINE;
}

/* The end was reached: it is told now, or later, and perhaps once more. */
static void reach_end(struct sim_kafka_consumer *consumer, uint32_t p, int64_t end, int64_t high) {
  struct sim_kafka *kafka = consumer->kafka;
  struct sim_kafka_fetching *fetching = consumer->fetching[p];
  fetching->high = high;
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_END_LATE)) {
    send_fetch(consumer, p, sim_draw_between(&kafka->world->fault_random, ms_ns, 300 * ms_ns));
    return;
  }
  fetching->state = SIM_FETCH_AT_END;
  fetching->end_told = true;
  fetching->end = end;
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_END_AGAIN))
    send(consumer, (struct sim_kafka_ticket){.kind = TICKET_END_AGAIN, .partition = p, .assignment = fetching->serial},
         sim_draw_between(&kafka->world->fault_random, ms_ns, 100 * ms_ns));
  wake(consumer);
}

/* How far a fetch gets: so many entries on, or to the end of what may be read. */
static int64_t fetch_to(struct sim_kafka *kafka, struct sim_kafka_fetching *fetching, uint32_t p, int64_t end) {
  const struct sim_kafka_partition *partition = &kafka->partitions[p];
  uint64_t count = 1 + wr_random_below(&kafka->random, fetching->scale);
  if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_SMALL_FETCH)) count = 1 + wr_random_below(&kafka->random, 2);
  size_t next = sim_kafka_find(partition, fetching->come) + count;
  int64_t to = next < partition->entry_count ? partition->entries[next].offset : end;
  return to < end ? to : end;
}

static void fetch(struct sim_kafka_consumer *consumer, uint32_t p) {
  struct sim_kafka *kafka = consumer->kafka;
  struct sim_kafka_fetching *fetching = consumer->fetching[p];
  enum wr_kafka_answer answer = true_answer(kafka, p, fetching->come);
  if (p < kafka->partition_count) {
    sim_kafka_weather(kafka, p);
    uint64_t away_ns = sim_kafka_away_until(kafka, p);
    if (away_ns != 0) {
      send_fetch(consumer, p, away_ns - kafka->world->now_ns + sim_kafka_latency_ns(kafka));
      return;
    }
    if (sim_kafka_draw(kafka, SIM_FAULT_KAFKA_LEADER_MOVED)) { /* what was under way is lost */
      kafka->partitions[p].leader = (kafka->partitions[p].leader + 1) % SIM_KAFKA_BROKERS;
      send_fetch(consumer, p, sim_kafka_latency_ns(kafka));
      return;
    }
  }
  if (answer == WR_KAFKA_NO_PARTITION && fetching->is_silent) {
    send_fetch(consumer, p, missing_again_ns);
    return;
  }
  fetching->is_silent = false; /* it is there: its going will be told */
  consumer->has_heard = consumer->has_heard || answer == WR_KAFKA_FINE || answer == WR_KAFKA_NO_PARTITION;
  enum wr_kafka_answer wrong = answer == WR_KAFKA_FINE ? wrong_answer(kafka) : WR_KAFKA_FINE;
  if (answer != WR_KAFKA_FINE || wrong != WR_KAFKA_FINE) {
    stop_fetching(consumer, p, wrong != WR_KAFKA_FINE ? wrong : answer, wrong != WR_KAFKA_FINE);
    return;
  }
  int64_t high = sim_kafka_high_now(kafka, p), stable = sim_kafka_stable(kafka, p);
  int64_t end = consumer->uncommitted || stable > high ? high : stable;
  if (fetching->come < end) {
    int64_t to = fetch_to(kafka, fetching, p, end);
    sim_world_trace(kafka->world, "kafka fetch of %u: %" PRId64 " to %" PRId64, p, fetching->come, to);
    fetching->come = to;
    fetching->high = high;
    fetching->end_told = false;
    wake(consumer);
  }
  if (fetching->come >= end)
    reach_end(consumer, p, fetching->come, high);
  else if (fetching->come - fetching->taken >= (int64_t)consumer->room)
    fetching->state = SIM_FETCH_FULL;
  else
    send_fetch(consumer, p, sim_kafka_latency_ns(kafka));
}

/* ---- showing offsets to the group ---- */

static void arrive_commit(struct sim_kafka_consumer *consumer, const struct sim_kafka_ticket *ticket, bool failed) {
  struct sim_kafka *kafka = consumer->kafka;
  if (failed || sim_kafka_draw(kafka, SIM_FAULT_KAFKA_COMMIT_FAILED) || sim_kafka_all_away_until(kafka) != 0) {
    consumer->failed++;
  } else {
    consumer->succeeded++;
    for (uint32_t i = 0; i < ticket->count; i++)
      kafka->partitions[ticket->places[i].partition].shown = ticket->places[i].offset;
  }
  sim_world_trace(kafka->world, "kafka commit of %u: %u, %u", ticket->count, consumer->succeeded, consumer->failed);
  wake(consumer);
}

static void commit(struct wr_kafka_consumer *base, const struct wr_kafka_place *places, uint32_t count) {
  struct sim_kafka_consumer *consumer = self_of(base);
  struct sim_kafka *kafka = consumer->kafka;
  bool ordered;
  if (!sim_kafka_operation(kafka, "commit", &ordered) && !ordered) return;
  struct sim_kafka_ticket ticket = {.kind = TICKET_COMMIT, .count = count, .assignment = ordered};
  WR_ASSERT(count <= SIM_KAFKA_PARTITIONS_MAX);
  for (uint32_t i = 0; i < count; i++) {
    WR_ASSERT(places[i].partition >= 0 && (uint32_t)places[i].partition < kafka->partition_count);
    ticket.places[i] = places[i];
    if (kafka->watch.shown != NULL)
      kafka->watch.shown(kafka->watch.context, (uint32_t)places[i].partition, places[i].offset);
  }
  send(consumer, ticket, sim_kafka_latency_ns(kafka));
  sim_kafka_operation_done(kafka, "commit");
}

static bool committed(struct wr_kafka_consumer *base, struct wr_kafka_committed *out) {
  struct sim_kafka_consumer *consumer = self_of(base);
  if (consumer->succeeded == 0 && consumer->failed == 0) return false;
  *out = (struct wr_kafka_committed){.succeeded = consumer->succeeded, .failed = consumer->failed};
  if (consumer->failed != 0) snprintf(out->reason, sizeof out->reason, "the group's coordinator is not available");
  consumer->succeeded = consumer->failed = 0;
  return true;
}

/* ---- tickets arrive ---- */

static void run_ticket(void *context) {
  struct sim_kafka_ticket *ticket = context;
  struct sim_kafka_consumer *consumer = ticket->kafka->consumers;
  while (consumer != NULL && consumer->serial != ticket->consumer)
    consumer = consumer->next;
  if (consumer != NULL && ticket->kind == TICKET_COMMIT) arrive_commit(consumer, ticket, ticket->assignment != 0);
  struct sim_kafka_fetching *fetching =
      consumer == NULL || ticket->kind == TICKET_COMMIT ? NULL : consumer->fetching[ticket->partition];
  if (fetching != NULL && fetching->assigned && fetching->serial == ticket->assignment) {
    if (ticket->kind == TICKET_FETCH) fetch(consumer, ticket->partition);
    if (ticket->kind == TICKET_END_AGAIN && fetching->state == SIM_FETCH_AT_END) {
      fetching->end_told = true;
      wake(consumer);
    }
  }
  drop_ticket(ticket);
}

/* ---- assigning ---- */

/* librdkafka's logical offsets: the end, the group's. */
static int64_t resolve(const struct sim_kafka *kafka, uint32_t p, int64_t offset) {
  static const int64_t at_end = -1, at_groups = -1000;
  if (offset >= 0 || p >= kafka->partition_count) return offset;
  if (offset == at_end) return sim_kafka_high(kafka, p);
  if (offset == at_groups && sim_kafka_shown(kafka, p) >= 0) return sim_kafka_shown(kafka, p);
  return sim_kafka_low(kafka, p);
}

static enum weir_code assign(struct wr_kafka_consumer *base, int32_t partition, int64_t offset,
                             struct weir_error *error) {
  struct sim_kafka_consumer *consumer = self_of(base);
  struct sim_kafka *kafka = consumer->kafka;
  WR_ASSERT(partition >= 0 && partition < SIM_KAFKA_PARTITIONS_MAX);
  uint32_t p = (uint32_t)partition;
  bool ordered;
  if (!sim_kafka_operation(kafka, "assign", &ordered) && !ordered) return WEIR_OK;
  if (consumer->fetching[p] == NULL)
    consumer->fetching[p] = wr_alloc_zeroed(consumer->memory, 1, sizeof *consumer->fetching[p], WR_MEMORY_SOURCE);
  struct sim_kafka_fetching *fetching = consumer->fetching[p];
  if (fetching == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for partition %d", partition);
  bool first = !fetching->was_assigned;
  offset = resolve(kafka, p, offset);
  sim_world_trace(kafka->world, "kafka assign %u at %" PRId64, p, offset);
  *fetching = (struct sim_kafka_fetching){.assigned = true,
                                          .was_assigned = true,
                                          .is_silent = consumer->has_heard,
                                          .misled = fetching->misled,
                                          .serial = ++kafka->serial,
                                          .taken = offset,
                                          .come = offset,
                                          .high = -1,
                                          .scale = 1 + wr_random_below(&kafka->random, 200)};
  if (kafka->watch.assigned != NULL) kafka->watch.assigned(kafka->watch.context, p, offset, first);
  send_fetch(consumer, p, sim_kafka_latency_ns(kafka));
  sim_kafka_operation_done(kafka, "assign");
  return WEIR_OK;
}

static void unassign(struct wr_kafka_consumer *base, int32_t partition) {
  struct sim_kafka_consumer *consumer = self_of(base);
  WR_ASSERT(partition >= 0 && partition < SIM_KAFKA_PARTITIONS_MAX);
  sim_world_trace(consumer->kafka->world, "kafka unassign %d", partition);
  if (consumer->fetching[partition] == NULL) return;
  consumer->fetching[partition]->assigned = false;
  consumer->fetching[partition]->misled = false;
}

/* ---- taking ---- */

/* Copies what may be read of the next `limit` records that have come; returns where they end. */
static int64_t copy_records(struct sim_kafka_consumer *consumer, uint32_t p, uint32_t limit) {
  const struct sim_kafka_partition *partition = &consumer->kafka->partitions[p];
  const struct sim_kafka_fetching *fetching = consumer->fetching[p];
  size_t first = sim_kafka_find(partition, fetching->taken), last = first, bytes = 0;
  uint32_t count = 0;
  for (; last < partition->entry_count && partition->entries[last].offset < fetching->come && count < limit; last++) {
    const struct sim_kafka_entry *entry = &partition->entries[last];
    if (!sim_kafka_is_visible(partition, entry, consumer->uncommitted)) continue;
    count++;
    bytes += entry->key_length + entry->value_length;
  }
  consumer->records = sim_host_alloc((count + 1) * sizeof *consumer->records);
  consumer->bytes = sim_host_alloc(bytes + 1);
  consumer->bytes_length = bytes;
  consumer->record_count = 0;
  uint8_t *at = consumer->bytes;
  for (size_t i = first; i < last; i++) {
    const struct sim_kafka_entry *entry = &partition->entries[i];
    if (!sim_kafka_is_visible(partition, entry, consumer->uncommitted)) continue;
    struct wr_kafka_record *record = &consumer->records[consumer->record_count++];
    *record = (struct wr_kafka_record){.offset = entry->offset};
    record->key = entry->has_key ? at : NULL;
    record->key_length = entry->key_length;
    if (entry->key_length > 0) memcpy(at, partition->bytes + entry->key, entry->key_length);
    at += entry->key_length;
    record->value = entry->has_value ? at : NULL;
    record->value_length = entry->value_length;
    if (entry->value_length > 0) memcpy(at, partition->bytes + entry->value, entry->value_length);
    at += entry->value_length;
  }
  bool all = last == partition->entry_count || partition->entries[last].offset >= fetching->come;
  return all ? fetching->come : partition->entries[last].offset;
}

/* A wrong answer that has lain here too long is not given any more. */
static void drop_stale_answer(struct sim_kafka_consumer *consumer, uint32_t p) {
  struct sim_kafka_fetching *fetching = consumer->fetching[p];
  if (!fetching->wrong || sim_kafka_may_mislead(consumer->kafka)) return;
  fetching->answer = WR_KAFKA_FINE;
  fetching->wrong = false;
  send_fetch(consumer, p, sim_kafka_latency_ns(consumer->kafka));
}

static bool take(struct wr_kafka_consumer *base, int32_t partition, uint32_t limit, struct wr_kafka_fetch *out) {
  struct sim_kafka_consumer *consumer = self_of(base);
  struct sim_kafka *kafka = consumer->kafka;
  WR_ASSERT(partition >= 0 && partition < SIM_KAFKA_PARTITIONS_MAX && consumer->records == NULL && limit > 0);
  uint32_t p = (uint32_t)partition;
  struct sim_kafka_fetching *fetching = consumer->fetching[p];
  if (fetching == NULL || !fetching->assigned) return false;
  drop_stale_answer(consumer, p);
  if (fetching->taken == fetching->come && !fetching->end_told && fetching->answer == WR_KAFKA_FINE) return false;
  *out = (struct wr_kafka_fetch){.high = fetching->high, .answer = WR_KAFKA_FINE};
  fetching->taken = copy_records(consumer, p, limit);
  out->records = consumer->records;
  out->count = consumer->record_count;
  bool empty = fetching->taken == fetching->come;
  if (empty && fetching->end_told) {
    out->at_end = true;
    out->end = fetching->end;
    fetching->end_told = false;
  }
  if (empty && fetching->answer != WR_KAFKA_FINE) {
    out->answer = fetching->answer;
    snprintf(out->reason, sizeof out->reason, "Broker: answer %d", (int)fetching->answer);
    fetching->misled = fetching->wrong;
    if (fetching->wrong) sim_kafka_misled(kafka);
    fetching->assigned = false;
  } else if (fetching->misled) {
    fetching->misled = false;
    sim_kafka_told_right(kafka);
  }
  sim_world_trace(kafka->world, "kafka take of %u: %u to %" PRId64 "%s, answer %d", p, out->count, fetching->taken,
                  out->at_end ? ", the end" : "", (int)out->answer);
  bool resume = fetching->assigned && fetching->state == SIM_FETCH_FULL &&
                fetching->come - fetching->taken < (int64_t)consumer->room;
  if (resume) send_fetch(consumer, p, sim_kafka_latency_ns(kafka));
  return true;
}

static void release_records(struct wr_kafka_consumer *base) {
  struct sim_kafka_consumer *consumer = self_of(base);
  WR_ASSERT(consumer->records != NULL);
  memset(consumer->bytes, 0xdd, consumer->bytes_length);
  memset(consumer->records, 0xdd, consumer->record_count * sizeof *consumer->records);
  free(consumer->bytes);
  free(consumer->records);
  consumer->records = NULL;
  consumer->bytes = NULL;
}

static bool trouble(struct wr_kafka_consumer *base, enum wr_kafka_answer *out_answer, char *out_sentence, size_t size) {
  struct sim_kafka_consumer *consumer = self_of(base);
  if (!consumer->trouble) return false;
  consumer->trouble = false;
  *out_answer = WR_KAFKA_FINE;
  snprintf(out_sentence, size, "no broker answers");
  return true;
}

/* ---- its life ---- */

static void release(void *handle) {
  struct sim_kafka_consumer *consumer = handle;
  struct sim_kafka_consumer **place = &consumer->kafka->consumers;
  while (*place != consumer)
    place = &(*place)->next;
  *place = consumer->next;
  free(consumer->records);
  free(consumer->bytes);
}

static void close_consumer(struct wr_kafka_consumer *base) {
  struct sim_kafka_consumer *consumer = self_of(base);
  struct sim_world *world = consumer->kafka->world;
  bool ordered;
  sim_kafka_operation(consumer->kafka, "close consumer", &ordered);
  sim_kafka_operation_done(consumer->kafka, "close consumer");
  world->calls.disown(&world->calls, consumer);
  release(consumer);
  for (int p = 0; p < SIM_KAFKA_PARTITIONS_MAX; p++)
    wr_free(consumer->memory, consumer->fetching[p]);
  wr_free(consumer->memory, consumer);
}

static bool reads_uncommitted(const struct wr_kafka_connection *connection) {
  for (uint32_t i = 0; i < connection->setting_count; i++)
    if (strcmp(connection->settings[i].key, "isolation.level") == 0)
      return strcmp(connection->settings[i].value, "read_uncommitted") == 0;
  return false;
}

enum weir_code sim_kafka_open_consumer(const struct wr_kafka_driver *driver,
                                       const struct wr_kafka_connection *connection, const char *topic,
                                       struct wr_seams *seams, struct wr_memory *memory, struct wr_waker *waker,
                                       struct wr_kafka_consumer **out_consumer, struct weir_error *error) {
  static const struct wr_kafka_consumer_vtable vtable = {.assign = assign,
                                                         .unassign = unassign,
                                                         .take = take,
                                                         .release = release_records,
                                                         .commit = commit,
                                                         .committed = committed,
                                                         .trouble = trouble,
                                                         .close = close_consumer};
  struct sim_kafka *kafka = (struct sim_kafka *)driver;
  *out_consumer = NULL;
  bool ordered;
  if (!sim_kafka_operation(kafka, "open consumer", &ordered) || !sim_kafka_operation_done(kafka, "open consumer"))
    return WR_FAIL(error, WEIR_IO, "source %s: a client for topic %s could not be made", connection->uid, topic);
  struct sim_kafka_consumer *consumer = wr_alloc_zeroed(memory, 1, sizeof *consumer, WR_MEMORY_SOURCE);
  if (consumer == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "source %s: out of memory for a client", connection->uid);
  consumer->base.vtable = &vtable;
  consumer->kafka = kafka;
  consumer->memory = memory;
  consumer->waker = waker;
  consumer->serial = ++kafka->serial;
  consumer->uncommitted = reads_uncommitted(connection);
  consumer->room = 1 + (uint32_t)wr_random_below(&kafka->random, wr_random_one_in(&kafka->random, 3) ? 4 : 1000);
  consumer->next = kafka->consumers;
  kafka->consumers = consumer;
  seams->calls->adopt(seams->calls, consumer, release);
  *out_consumer = &consumer->base;
  return WEIR_OK;
}
