/* connectors/kafka/test_kafka_fake.h: a Kafka of one topic for tests: a table of records that the test fills, and
 * faults that it orders. Consumers give what lies there at once. Several threads may have clients, while nothing is
 * changed or ordered. */
#ifndef WR_CONNECTORS_KAFKA_TEST_KAFKA_FAKE_H
#define WR_CONNECTORS_KAFKA_TEST_KAFKA_FAKE_H

#include "connectors/kafka/kafka_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_PARTITIONS = 4, FAKE_RECORDS = 4000, FAKE_TAKE = 64 };

static const char fake_hole[] = "hole", fake_tombstone[] = "tombstone";

struct fake_partition {
  const char *values[FAKE_RECORDS]; /* by offset; copies, or one of the two above */
  int64_t low, high;
  int64_t open; /* the first open transaction; -1: none is */
  bool no_leader;
  int lies;        /* so many fetches answer `lie` */
  bool was_denied; /* the last fetch that was answered said "not allowed" */
  enum wr_kafka_answer lie;
};

struct fake {
  struct wr_kafka_driver driver;
  struct fake_partition partitions[FAKE_PARTITIONS];
  uint32_t partition_count;
  const char *cluster;
  bool no_topic;
  const char *denied; /* the topic may not be looked at; NULL: it may */
  bool is_away;       /* nobody answers looks */
  int open_failures;  /* so many opens fail, transiently */
  bool is_early;      /* a fetch begins up to three offsets before the one that was asked for */
  bool commits_fail;
  const char *trouble; /* told once */
  enum wr_kafka_answer trouble_answer;
  int64_t committed[FAKE_PARTITIONS];
  _Atomic uint32_t commits, looks, assigns;
  _Atomic int open_clients; /* clients are opened in calls, on real threads at the same time */
};

struct fake_admin {
  struct wr_kafka_admin base;
  struct fake *fake;
  struct wr_memory *memory;
};

struct fake_consumer {
  struct wr_kafka_consumer base;
  struct fake *fake;
  struct wr_memory *memory;
  struct {
    bool assigned;
    int64_t position, told_end;
  } parts[FAKE_PARTITIONS];
  struct wr_kafka_record records[FAKE_TAKE];
  bool held;
  uint32_t answered;
};

/* ---- what lies there ---- */

static inline void fake_append(struct fake *fake, int partition, const char *value) {
  struct fake_partition *to = &fake->partitions[partition];
  WR_ASSERT(to->high < FAKE_RECORDS);
  bool is_mark = value == fake_hole || value == fake_tombstone;
  to->values[to->high++] = is_mark ? value : strdup(value);
}

static inline void fake_deinit(struct fake *fake) {
  WR_ASSERT(fake->open_clients == 0);
  for (int p = 0; p < FAKE_PARTITIONS; p++)
    for (int i = 0; i < FAKE_RECORDS; i++) {
      const char *value = fake->partitions[p].values[i];
      if (value != fake_hole && value != fake_tombstone) free((char *)value);
    }
}

static inline int64_t fake_end(const struct fake_partition *partition) {
  return partition->open >= 0 && partition->open < partition->high ? partition->open : partition->high;
}

/* ---- admin ---- */

static inline enum weir_code fake_look(struct wr_kafka_admin *admin, const char *topic, uint32_t timeout_ms,
                                       struct wr_memory *memory, struct wr_kafka_topic *out_topic,
                                       struct weir_error *error) {
  struct fake *fake = ((struct fake_admin *)admin)->fake;
  fake->looks++;
  WR_ASSERT(strcmp(topic, "views") == 0 && timeout_ms > 0);
  *out_topic = (struct wr_kafka_topic){.answer = WR_KAFKA_FINE};
  if (fake->is_away) return WR_FAIL(error, WEIR_TIMEOUT, "no broker answers: Connection refused");
  if (fake->denied != NULL) out_topic->answer = WR_KAFKA_NOT_ALLOWED;
  if (fake->denied != NULL) snprintf(out_topic->reason, sizeof out_topic->reason, "%s", fake->denied);
  if (fake->denied == NULL && fake->no_topic) out_topic->answer = WR_KAFKA_NO_TOPIC;
  if (out_topic->answer != WR_KAFKA_FINE) return WEIR_OK;
  snprintf(out_topic->cluster, sizeof out_topic->cluster, "%s", fake->cluster);
  out_topic->partitions =
      wr_alloc_zeroed(memory, fake->partition_count, sizeof *out_topic->partitions, WR_MEMORY_SOURCE);
  if (out_topic->partitions == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a topic");
  out_topic->partition_count = fake->partition_count;
  for (uint32_t i = 0; i < fake->partition_count; i++) {
    const struct fake_partition *partition = &fake->partitions[i];
    out_topic->partitions[i] =
        (struct wr_kafka_partition){.partition = (int32_t)i, .has_leader = !partition->no_leader};
    if (partition->no_leader) continue;
    out_topic->partitions[i].low = partition->low;
    out_topic->partitions[i].high = partition->high;
  }
  return WEIR_OK;
}

static inline void fake_close_admin(struct wr_kafka_admin *admin) {
  struct fake_admin *self = (struct fake_admin *)admin;
  self->fake->open_clients--;
  wr_free(self->memory, self);
}

static inline enum weir_code fake_open_admin(const struct wr_kafka_driver *driver,
                                             const struct wr_kafka_connection *connection, struct wr_seams *seams,
                                             struct wr_memory *memory, struct wr_kafka_admin **out_admin,
                                             struct weir_error *error) {
  static const struct wr_kafka_admin_vtable vtable = {.look = fake_look, .close = fake_close_admin};
  (void)seams;
  struct fake *fake = (struct fake *)driver;
  WR_ASSERT(connection->uid != NULL);
  if (fake->open_failures > 0 && fake->open_failures--) return WR_FAIL(error, WEIR_IO, "no thread for a client");
  struct fake_admin *self = wr_alloc_zeroed(memory, 1, sizeof *self, WR_MEMORY_SOURCE);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for an admin");
  *self = (struct fake_admin){.base = {.vtable = &vtable}, .fake = fake, .memory = memory};
  fake->open_clients++;
  *out_admin = &self->base;
  return WEIR_OK;
}

/* ---- consumer ---- */

static inline enum weir_code fake_assign(struct wr_kafka_consumer *consumer, int32_t partition, int64_t offset,
                                         struct weir_error *error) {
  struct fake_consumer *self = (struct fake_consumer *)consumer;
  (void)error;
  self->fake->assigns++;
  self->parts[partition].assigned = true;
  int64_t low = self->fake->partitions[partition].low;
  self->parts[partition].position = self->fake->is_early && offset >= low + 3 ? offset - 3 : offset;
  self->parts[partition].told_end = -1;
  return WEIR_OK;
}

static inline void fake_unassign(struct wr_kafka_consumer *consumer, int32_t partition) {
  ((struct fake_consumer *)consumer)->parts[partition].assigned = false;
}

static inline bool fake_no(struct fake_consumer *self, int32_t partition, enum wr_kafka_answer answer,
                           struct wr_kafka_fetch *out_fetch) {
  self->parts[partition].assigned = false;
  self->held = true;
  self->fake->partitions[partition].was_denied = answer == WR_KAFKA_NOT_ALLOWED;
  *out_fetch = (struct wr_kafka_fetch){.answer = answer, .high = -1};
  snprintf(out_fetch->reason, sizeof out_fetch->reason, "the broker said no");
  return true;
}

static inline bool fake_take(struct wr_kafka_consumer *consumer, int32_t partition, uint32_t limit,
                             struct wr_kafka_fetch *out_fetch) {
  struct fake_consumer *self = (struct fake_consumer *)consumer;
  struct fake *fake = self->fake;
  struct fake_partition *from = &fake->partitions[partition];
  WR_ASSERT(!self->held);
  if (!self->parts[partition].assigned) return false;
  if (from->lies > 0 && from->lies--) return fake_no(self, partition, from->lie, out_fetch);
  if (fake->no_topic) return fake_no(self, partition, WR_KAFKA_NO_TOPIC, out_fetch);
  if ((uint32_t)partition >= fake->partition_count) return fake_no(self, partition, WR_KAFKA_NO_PARTITION, out_fetch);
  if (from->no_leader) return false;
  int64_t position = self->parts[partition].position, end = fake_end(from);
  if (position < from->low || position > from->high) return fake_no(self, partition, WR_KAFKA_OUT_OF_RANGE, out_fetch);
  uint32_t count = 0;
  for (; position < end && count < FAKE_TAKE && count < limit; position++) {
    const char *value = from->values[position];
    if (value == fake_hole) continue;
    self->records[count] = (struct wr_kafka_record){.offset = position};
    if (value != fake_tombstone) {
      self->records[count].value = (const uint8_t *)value;
      self->records[count].value_length = strlen(value);
    }
    count++;
  }
  bool at_end = position >= end;
  if (count == 0 && (!at_end || self->parts[partition].told_end == end)) {
    self->parts[partition].position = position;
    return false;
  }
  self->parts[partition].position = position;
  if (at_end) self->parts[partition].told_end = end;
  from->was_denied = false;
  *out_fetch = (struct wr_kafka_fetch){
      .records = self->records, .count = count, .at_end = at_end, .end = at_end ? end : 0, .high = from->high};
  self->held = true;
  return true;
}

static inline void fake_release(struct wr_kafka_consumer *consumer) {
  struct fake_consumer *self = (struct fake_consumer *)consumer;
  WR_ASSERT(self->held);
  self->held = false;
  memset(self->records, 0xee, sizeof self->records); /* nobody may look at them any more */
}

static inline void fake_commit(struct wr_kafka_consumer *consumer, const struct wr_kafka_place *places,
                               uint32_t count) {
  struct fake_consumer *self = (struct fake_consumer *)consumer;
  for (uint32_t i = 0; i < count && !self->fake->commits_fail; i++)
    self->fake->committed[places[i].partition] = places[i].offset;
  self->fake->commits++;
  self->answered++;
}

static inline bool fake_committed(struct wr_kafka_consumer *consumer, struct wr_kafka_committed *out_committed) {
  struct fake_consumer *self = (struct fake_consumer *)consumer;
  if (self->answered == 0) return false;
  *out_committed = (struct wr_kafka_committed){.reason = "the coordinator is away"};
  if (self->fake->commits_fail)
    out_committed->failed = self->answered;
  else
    out_committed->succeeded = self->answered;
  self->answered = 0;
  return true;
}

static inline bool fake_trouble(struct wr_kafka_consumer *consumer, enum wr_kafka_answer *out_answer,
                                char *out_sentence, size_t size) {
  struct fake *fake = ((struct fake_consumer *)consumer)->fake;
  if (fake->trouble == NULL) return false;
  snprintf(out_sentence, size, "%s", fake->trouble);
  *out_answer = fake->trouble_answer;
  fake->trouble = NULL;
  return true;
}

static inline void fake_close_consumer(struct wr_kafka_consumer *consumer) {
  struct fake_consumer *self = (struct fake_consumer *)consumer;
  WR_ASSERT(!self->held);
  self->fake->open_clients--;
  wr_free(self->memory, self);
}

static inline enum weir_code fake_open_consumer(const struct wr_kafka_driver *driver,
                                                const struct wr_kafka_connection *connection, const char *topic,
                                                struct wr_seams *seams, struct wr_memory *memory,
                                                struct wr_waker *waker, struct wr_kafka_consumer **out_consumer,
                                                struct weir_error *error) {
  static const struct wr_kafka_consumer_vtable vtable = {.assign = fake_assign,
                                                         .unassign = fake_unassign,
                                                         .take = fake_take,
                                                         .release = fake_release,
                                                         .commit = fake_commit,
                                                         .committed = fake_committed,
                                                         .trouble = fake_trouble,
                                                         .close = fake_close_consumer};
  struct fake *fake = (struct fake *)driver;
  (void)seams;
  WR_ASSERT(connection->uid != NULL && strcmp(topic, "views") == 0 && waker != NULL);
  if (fake->open_failures > 0 && fake->open_failures--) return WR_FAIL(error, WEIR_IO, "no thread for a client");
  struct fake_consumer *self = wr_alloc_zeroed(memory, 1, sizeof *self, WR_MEMORY_SOURCE);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a consumer");
  self->base.vtable = &vtable;
  self->fake = fake;
  self->memory = memory;
  fake->open_clients++;
  *out_consumer = &self->base;
  return WEIR_OK;
}

static inline enum weir_code fake_check(const struct wr_kafka_driver *driver,
                                        const struct wr_kafka_connection *connection, struct weir_error *error) {
  (void)driver;
  for (uint32_t i = 0; i < connection->setting_count; i++)
    if (strcmp(connection->settings[i].key, "no.such.setting") == 0)
      return WR_FAIL(error, WEIR_INVALID, "there is no setting no.such.setting");
  return WEIR_OK;
}

static inline void fake_init(struct fake *fake, uint32_t partition_count) {
  memset(fake, 0, sizeof *fake);
  fake->driver =
      (struct wr_kafka_driver){.check = fake_check, .open_admin = fake_open_admin, .open_consumer = fake_open_consumer};
  fake->partition_count = partition_count;
  fake->cluster = "c1";
  for (int p = 0; p < FAKE_PARTITIONS; p++) {
    fake->partitions[p].open = -1;
    fake->committed[p] = -1;
  }
}

#endif
