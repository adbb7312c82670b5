/* Tests of the simulated Kafka cluster: what its clients get of it, what it may get wrong, kills. */
#include "base/test.h"
#include "sim/sim_disk.h"
#include "sim/sim_kafka.h"

enum { PARTITIONS = 3, MESSAGES = 300 };
static const uint64_t second_ns = 1000000000;

struct fixture {
  struct sim_world *world;
  struct sim_kafka *kafka;
  struct wr_waker waker;
  uint64_t wakes;
  struct wr_kafka_setting uncommitted;
  struct wr_kafka_connection connection;
  struct wr_kafka_consumer *consumer;
  struct wr_kafka_admin *admin;
  struct wr_kafka_topic topic;
  enum weir_code code;
};

static void wake(struct wr_waker *waker) {
  ((struct fixture *)(void *)((char *)waker - offsetof(struct fixture, waker)))->wakes++;
}

static void open_both(void *context) {
  struct fixture *f = context;
  struct wr_seams *seams = sim_world_seams(f->world);
  const struct wr_kafka_driver *driver = sim_kafka_driver(f->kafka);
  f->code = driver->open_admin(driver, &f->connection, seams, seams->memory, &f->admin, NULL);
  if (f->code == WEIR_OK)
    f->code = driver->open_consumer(driver, &f->connection, "t", seams, seams->memory, &f->waker, &f->consumer, NULL);
}

static void close_both(void *context) {
  struct fixture *f = context;
  f->consumer->vtable->close(f->consumer);
  f->admin->vtable->close(f->admin);
}

static void look(void *context) {
  struct fixture *f = context;
  f->code = f->admin->vtable->look(f->admin, "t", 5000, sim_world_seams(f->world)->memory, &f->topic, NULL);
}

static void begin(struct fixture *f, uint64_t seed, bool uncommitted) {
  *f = (struct fixture){.waker = {.wake = wake}, .uncommitted = {"isolation.level", "read_uncommitted"}};
  f->connection = (struct wr_kafka_connection){
      .servers = "sim", .settings = &f->uncommitted, .setting_count = uncommitted, .group = "g", .uid = "u"};
  f->world = sim_world_new(&(struct sim_world_options){.seed = seed});
  f->kafka = sim_kafka_new(f->world, seed, "t");
  sim_kafka_set_partition_count(f->kafka, PARTITIONS);
  if (!sim_world_run(f->world, open_both, f) || f->code != WEIR_OK) test_failed = true;
}

static void end(struct fixture *f) {
  if (!sim_world_run(f->world, close_both, f)) test_failed = true;
  while (sim_world_advance(f->world))
    ; /* what was under way */
  if (sim_kafka_clients(f->kafka) != 0 || sim_world_memory(f->world)->blocks != 0) test_failed = true;
  sim_kafka_free(f->kafka);
  sim_world_free(f->world);
}

static void all_faults(struct fixture *f, uint32_t one_in, bool wrong) {
  struct sim_fault_plan *plan = sim_world_faults(f->world);
  plan->rule_count = 1;
  plan->away_ns_max = 20 * second_ns;
  snprintf(plan->rules[0].prefix, sizeof plan->rules[0].prefix, "kafka:t");
  for (int kind = SIM_FAULT_KAFKA_BROKER_AWAY; kind <= SIM_FAULT_KAFKA_COMMIT_FAILED; kind++)
    plan->rules[0].one_in[kind] =
        !wrong && kind >= SIM_FAULT_KAFKA_WRONG_TOPIC && kind <= SIM_FAULT_KAFKA_WRONG_RIGHTS ? 0 : one_in;
}

/* ---- what is produced, and who should see it ---- */

struct expected {
  int64_t offsets[MESSAGES];
  uint32_t values[MESSAGES];
  bool aborted[MESSAGES];
  uint32_t count;
};

static int64_t append(struct fixture *f, uint32_t p, uint32_t value, int32_t transaction) {
  struct sim_kafka_message message = {
      .value = &value, .value_length = sizeof value, .timestamp_ms = value, .transaction = transaction};
  return sim_kafka_append(f->kafka, p, &message);
}

struct producer {
  int32_t open[2]; /* one that will commit, one that will abort */
  uint32_t next;
};

static void produce_one(struct fixture *f, uint32_t p, struct producer *producer, struct expected *expected,
                        struct wr_random *random) {
  if (wr_random_one_in(random, 10)) sim_kafka_skip(f->kafka, p, 1 + (uint32_t)wr_random_below(random, 4));
  uint64_t which = wr_random_below(random, 3);
  if (which < 2 && producer->open[which] < 0) producer->open[which] = sim_kafka_begin(f->kafka, p);
  uint32_t i = expected->count++;
  expected->values[i] = producer->next++;
  expected->aborted[i] = which == 1;
  expected->offsets[i] = append(f, p, expected->values[i], which < 2 ? producer->open[which] : -1);
  for (int w = 0; w < 2; w++) {
    if (producer->open[w] < 0 || !wr_random_one_in(random, 6)) continue;
    sim_kafka_end(f->kafka, p, producer->open[w], w == 0);
    producer->open[w] = -1;
  }
}

static void produce_end(struct fixture *f, uint32_t p, struct producer *producer) {
  for (int w = 0; w < 2; w++)
    if (producer->open[w] >= 0) sim_kafka_end(f->kafka, p, producer->open[w], w == 0);
}

/* ---- a reader without memory of anything ---- */

struct reader {
  struct fixture *f;
  int64_t position[PARTITIONS];
  uint32_t next[PARTITIONS]; /* in `expected` */
  uint64_t wrong;
};

static void take_records(struct reader *reader, uint32_t p, const struct wr_kafka_fetch *fetch,
                         const struct expected *expected, bool uncommitted) {
  for (uint32_t i = 0; i < fetch->count; i++) {
    const struct wr_kafka_record *record = &fetch->records[i];
    while (!uncommitted && reader->next[p] < expected->count && expected->aborted[reader->next[p]])
      reader->next[p]++;
    CHECK(reader->next[p] < expected->count);
    CHECK_INT(record->offset, expected->offsets[reader->next[p]]);
    CHECK_INT(record->value_length, sizeof(uint32_t));
    CHECK(memcmp(record->value, &expected->values[reader->next[p]], sizeof(uint32_t)) == 0);
    CHECK(record->key == NULL);
    reader->next[p]++;
    reader->position[p] = record->offset + 1;
  }
  if (fetch->at_end) {
    CHECK(fetch->end >= reader->position[p]);
    reader->position[p] = fetch->end;
  }
}

static void read_some(struct reader *reader, const struct expected *expected, bool uncommitted) {
  struct wr_kafka_consumer *consumer = reader->f->consumer;
  for (uint32_t p = 0; p < PARTITIONS && !test_failed; p++) {
    struct wr_kafka_fetch fetch;
    if (!consumer->vtable->take(consumer, (int32_t)p, 7, &fetch)) continue;
    enum wr_kafka_answer answer = fetch.answer;
    take_records(reader, p, &fetch, &expected[p], uncommitted);
    consumer->vtable->release(consumer);
    if (answer == WR_KAFKA_FINE) continue;
    reader->wrong++;
    if (consumer->vtable->assign(consumer, (int32_t)p, reader->position[p], NULL) != WEIR_OK) test_failed = true;
  }
}

/* True when the reader is at the end of every partition. */
static bool is_at_end(const struct reader *reader) {
  for (uint32_t p = 0; p < PARTITIONS; p++)
    if (reader->position[p] != sim_kafka_high(reader->f->kafka, p)) return false;
  return true;
}

static void check_all_read(struct reader *reader, const struct expected *expected, bool uncommitted) {
  for (uint32_t p = 0; p < PARTITIONS; p++) {
    while (!uncommitted && reader->next[p] < expected[p].count && expected[p].aborted[reader->next[p]])
      reader->next[p]++;
    CHECK_INT(reader->next[p], expected[p].count);
  }
}

static void read_while_produced(struct fixture *f, struct reader *reader, struct wr_random *random, bool uncommitted) {
  static struct expected expected[PARTITIONS];
  struct producer producers[PARTITIONS];
  memset(expected, 0, sizeof expected);
  for (uint32_t p = 0; p < PARTITIONS; p++) {
    producers[p] = (struct producer){.open = {-1, -1}};
    CHECK_INT(f->consumer->vtable->assign(f->consumer, (int32_t)p, 0, NULL), WEIR_OK);
  }
  for (uint32_t step = 0, produced = 0, idle = 0; produced <= MESSAGES || !is_at_end(reader); step++) {
    uint32_t p = (uint32_t)wr_random_below(random, PARTITIONS);
    if (produced < MESSAGES && wr_random_one_in(random, 3)) {
      produce_one(f, p, &producers[p], &expected[p], random);
      produced++;
    } else if (produced == MESSAGES) {
      for (p = 0; p < PARTITIONS; p++)
        produce_end(f, p, &producers[p]);
      produced++;
    }
    idle = sim_world_advance(f->world) || produced <= MESSAGES ? 0 : idle + 1;
    if (idle > MESSAGES) TEST_FAIL("nothing more comes");
    read_some(reader, expected, uncommitted);
    CHECK_PASSED();
    if (step % 50 != 0) continue;
    CHECK(sim_world_run(f->world, look, f));
    wr_kafka_topic_deinit(&f->topic, sim_world_seams(f->world)->memory);
  }
  check_all_read(reader, expected, uncommitted);
}

static uint64_t read_all(uint64_t seed, bool uncommitted, bool faults, uint64_t *out_wrong) {
  struct fixture f;
  begin(&f, seed, uncommitted);
  if (faults) all_faults(&f, 12, true);
  struct wr_random random = wr_random_of(seed);
  struct reader reader = {.f = &f};
  read_while_produced(&f, &reader, &random, uncommitted);
  if (test_failed) fprintf(stderr, "seed %" PRIu64 "\n", seed);
  *out_wrong = reader.wrong;
  uint64_t hash = sim_world_trace_hash(f.world);
  end(&f);
  return hash;
}

TEST(every_committed_record_once_whatever_happens) {
  uint64_t seed = test_seed(), wrong = 0, all_wrong = 0;
  for (uint64_t i = 0; i < 200; i++) {
    uint64_t hash = read_all(seed + i, i % 3 == 0, i % 4 != 0, &wrong);
    all_wrong += wrong;
    CHECK_PASSED();
    if (i % 10 == 0) CHECK(read_all(seed + i, i % 3 == 0, i % 4 != 0, &wrong) == hash);
  }
  CHECK(all_wrong > 50);
}

/* ---- single behaviours ---- */

/* Goes on until the partition has something to take; false: it never has. */
static bool await(struct fixture *f, int32_t p, struct wr_kafka_fetch *out) {
  while (!f->consumer->vtable->take(f->consumer, p, 1000, out))
    if (!sim_world_advance(f->world)) return false;
  return true;
}

TEST(open_transactions_hold_back_readers_of_committed_records) {
  for (int uncommitted = 0; uncommitted < 2; uncommitted++) {
    struct fixture f;
    begin(&f, 5, uncommitted != 0);
    append(&f, 1, 7, SIM_KAFKA_NO_TRANSACTION);
    int32_t transaction = sim_kafka_begin(f.kafka, 1);
    append(&f, 1, 8, transaction);
    append(&f, 1, 9, SIM_KAFKA_NO_TRANSACTION);
    CHECK_INT(sim_kafka_stable(f.kafka, 1), 1);
    CHECK_INT(f.consumer->vtable->assign(f.consumer, 1, 0, NULL), WEIR_OK);
    struct wr_kafka_fetch fetch;
    int64_t at_end = -1;
    uint32_t records = 0;
    while (await(&f, 1, &fetch)) {
      records += fetch.count;
      if (fetch.at_end) at_end = fetch.end;
      if (fetch.at_end) CHECK_INT(fetch.high, 3);
      f.consumer->vtable->release(f.consumer);
    }
    CHECK_INT(records, uncommitted != 0 ? 3 : 1);
    CHECK_INT(at_end, uncommitted != 0 ? 3 : 1);
    sim_kafka_end(f.kafka, 1, transaction, false);
    while (await(&f, 1, &fetch)) {
      records += fetch.count;
      if (fetch.at_end) at_end = fetch.end;
      f.consumer->vtable->release(f.consumer);
    }
    CHECK_INT(records, uncommitted != 0 ? 3 : 2);
    CHECK_INT(at_end, 4); /* behind the marker */
    end(&f);
    CHECK_PASSED();
  }
}

static enum wr_kafka_answer answer_at(struct fixture *f, int32_t p, int64_t offset) {
  struct wr_kafka_fetch fetch;
  if (f->consumer->vtable->assign(f->consumer, p, offset, NULL) != WEIR_OK || !await(f, p, &fetch)) return 99;
  enum wr_kafka_answer answer = fetch.answer;
  f->consumer->vtable->release(f->consumer);
  f->consumer->vtable->unassign(f->consumer, p);
  return answer;
}

TEST(states_are_told_by_both_clients) {
  static const struct {
    enum sim_kafka_state state;
    enum wr_kafka_answer topic, partition;
    int64_t low, high;
  } rows[] = {{SIM_KAFKA_SOUND, WR_KAFKA_FINE, WR_KAFKA_FINE, 0, 10},
              {SIM_KAFKA_TOPIC_GONE, WR_KAFKA_NO_TOPIC, WR_KAFKA_NO_TOPIC, 0, 0},
              {SIM_KAFKA_PARTITION_GONE, WR_KAFKA_FINE, WR_KAFKA_NO_PARTITION, -1, 0},
              {SIM_KAFKA_FORBIDDEN, WR_KAFKA_NOT_ALLOWED, WR_KAFKA_NOT_ALLOWED, 0, 0},
              {SIM_KAFKA_CUT, WR_KAFKA_FINE, WR_KAFKA_OUT_OF_RANGE, 0, 4},
              {SIM_KAFKA_REMADE, WR_KAFKA_FINE, WR_KAFKA_OUT_OF_RANGE, 0, 4},
              {SIM_KAFKA_RETAINED, WR_KAFKA_FINE, WR_KAFKA_FINE, 4, 10}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct fixture f;
    begin(&f, i, false);
    for (uint32_t n = 0; n < 10; n++)
      append(&f, 2, n, SIM_KAFKA_NO_TRANSACTION);
    bool last = rows[i].state == SIM_KAFKA_PARTITION_GONE;
    sim_kafka_set_state(f.kafka, rows[i].state, 2, 4);
    CHECK(sim_world_run(f.world, look, &f));
    CHECK_INT(f.code, WEIR_OK);
    CHECK_INT(f.topic.answer, rows[i].topic);
    CHECK_INT(f.topic.partition_count, rows[i].topic != WR_KAFKA_FINE ? 0 : last ? 2 : 3);
    if (rows[i].topic == WR_KAFKA_FINE && !last) {
      CHECK_INT(f.topic.partitions[2].low, rows[i].low);
      CHECK_INT(f.topic.partitions[2].high, rows[i].high);
    }
    wr_kafka_topic_deinit(&f.topic, sim_world_seams(f.world)->memory);
    CHECK_INT(answer_at(&f, 2, 5), rows[i].partition);
    sim_kafka_set_state(f.kafka, SIM_KAFKA_SOUND, 0, 0);
    CHECK_INT(answer_at(&f, 2, 5), WR_KAFKA_FINE);
    CHECK_INT(answer_at(&f, 2, 11), WR_KAFKA_OUT_OF_RANGE);
    sim_kafka_set_low(f.kafka, 2, 6);
    CHECK_INT(answer_at(&f, 2, 5), WR_KAFKA_OUT_OF_RANGE);
    end(&f);
    CHECK_PASSED();
  }
}

TEST(missing_partition_is_not_told_of_later) {
  struct fixture f;
  struct wr_kafka_fetch fetch;
  begin(&f, 5, false);
  append(&f, 2, 7, SIM_KAFKA_NO_TRANSACTION);
  sim_kafka_set_state(f.kafka, SIM_KAFKA_PARTITION_GONE, 2, 0);
  CHECK_INT(answer_at(&f, 0, 0), WR_KAFKA_FINE);
  CHECK_INT(f.consumer->vtable->assign(f.consumer, 2, 0, NULL), WEIR_OK);
  sim_world_advance_to(f.world, 60 * second_ns);
  CHECK(!f.consumer->vtable->take(f.consumer, 2, 10, &fetch));
  sim_kafka_set_state(f.kafka, SIM_KAFKA_SOUND, 0, 0);
  CHECK(await(&f, 2, &fetch));
  CHECK_INT(fetch.answer, WR_KAFKA_FINE);
  CHECK_INT(fetch.count, 1);
  f.consumer->vtable->release(f.consumer);
  sim_kafka_set_state(f.kafka, SIM_KAFKA_PARTITION_GONE, 2, 0);
  append(&f, 2, 8, SIM_KAFKA_NO_TRANSACTION);
  CHECK(await(&f, 2, &fetch));
  CHECK_INT(fetch.answer, WR_KAFKA_NO_PARTITION); /* that it goes is told */
  f.consumer->vtable->release(f.consumer);
  end(&f);
}

TEST(without_a_taker_fetching_stops) {
  struct fixture f;
  begin(&f, 3, false);
  CHECK_INT(f.consumer->vtable->assign(f.consumer, 0, 0, NULL), WEIR_OK);
  for (uint32_t n = 0; n < 5000; n++)
    append(&f, 0, n, SIM_KAFKA_NO_TRANSACTION);
  while (sim_world_advance(f.world))
    ;
  struct wr_kafka_fetch fetch;
  CHECK(f.consumer->vtable->take(f.consumer, 0, 100000, &fetch));
  CHECK(fetch.count < 2000 && !fetch.at_end);
  uint32_t count = fetch.count;
  f.consumer->vtable->release(f.consumer);
  while (await(&f, 0, &fetch)) {
    count += fetch.count;
    f.consumer->vtable->release(f.consumer);
  }
  CHECK_INT(count, 5000);
  end(&f);
}

TEST(group_gets_offsets_or_says_no) {
  struct fixture f;
  begin(&f, 3, false);
  struct wr_kafka_place places[] = {{0, 3}, {2, 4}};
  struct wr_kafka_committed told;
  for (int fails = 0; fails < 2; fails++) {
    places[0].offset += fails;
    f.consumer->vtable->commit(f.consumer, places, 2);
    CHECK(!f.consumer->vtable->committed(f.consumer, &told));
    while (sim_world_advance(f.world))
      ;
    CHECK(f.consumer->vtable->committed(f.consumer, &told));
    CHECK_INT(told.succeeded, fails == 0);
    CHECK_INT(told.failed, fails != 0);
    CHECK(!f.consumer->vtable->committed(f.consumer, &told));
    CHECK_INT(sim_kafka_shown(f.kafka, 0), 3);
    CHECK_INT(sim_kafka_shown(f.kafka, 1), -1);
    CHECK_INT(sim_kafka_shown(f.kafka, 2), 4);
    all_faults(&f, 1, true);
  }
  sim_world_faults(f.world)->rule_count = 0;
  end(&f);
}

/* ---- wrong answers ---- */

/* An observer that believes as the source does: what was wrong twice, 10 s apart, with nothing else in between. */
struct doubts {
  uint64_t since_ns[PARTITIONS + 1]; /* the topic's is the last; 0: none */
  uint64_t wrong;
};

static bool doubt(struct doubts *doubts, uint32_t which, bool wrong, uint64_t now_ns) {
  doubts->wrong += wrong;
  if (!wrong)
    doubts->since_ns[which] = 0;
  else if (doubts->since_ns[which] == 0)
    doubts->since_ns[which] = now_ns;
  return wrong && now_ns - doubts->since_ns[which] >= 10 * second_ns;
}

static bool look_and_believe(struct fixture *f, struct doubts *doubts) {
  if (!sim_world_run(f->world, look, f) || f->code != WEIR_OK) return false;
  uint64_t now_ns = sim_world_now_ns(f->world);
  bool certain = doubt(doubts, PARTITIONS, f->topic.answer != WR_KAFKA_FINE, now_ns);
  for (uint32_t p = 0; f->topic.answer == WR_KAFKA_FINE && p < PARTITIONS; p++) {
    const struct wr_kafka_partition *partition = &f->topic.partitions[p];
    bool missing = p >= f->topic.partition_count;
    if (!missing && !partition->has_leader) continue;
    certain = certain || doubt(doubts, p, missing || partition->low > 50 || partition->high < 50, now_ns);
  }
  wr_kafka_topic_deinit(&f->topic, sim_world_seams(f->world)->memory);
  return certain;
}

TEST(wrong_answers_do_not_last) {
  uint64_t seed = test_seed();
  struct doubts doubts = {0};
  for (uint64_t i = 0; i < 30; i++) {
    struct fixture f;
    begin(&f, seed + i, false);
    memset(doubts.since_ns, 0, sizeof doubts.since_ns);
    for (uint32_t n = 0; n < 100 * PARTITIONS; n++)
      append(&f, n % PARTITIONS, n, SIM_KAFKA_NO_TRANSACTION);
    for (uint32_t p = 0; p < PARTITIONS; p++)
      sim_kafka_set_known(f.kafka, p, 50);
    all_faults(&f, 2 + (uint32_t)i % 5, true);
    for (int n = 0; n < 200; n++) {
      CHECK(!look_and_believe(&f, &doubts));
      sim_world_advance_to(f.world, sim_world_now_ns(f.world) + (uint64_t)n % 7 * second_ns);
    }
    end(&f);
    CHECK_PASSED();
  }
  CHECK(doubts.wrong > 200);
}

/* ---- kills ---- */

static void look_and_forget(struct wr_call *call) {
  struct looker {
    struct wr_call call;
    struct fixture *f;
  } *looker = (struct looker *)call;
  look(looker->f);
}

/* A look is under way, fetches and a commit too. Nobody dead is woken; the next generation gets everything. */
TEST(kill_releases_clients_at_any_point) {
  for (uint64_t events = 0; events < 60; events++) {
    struct fixture f;
    begin(&f, events, false);
    struct wr_seams *seams = sim_world_seams(f.world);
    for (uint32_t n = 0; n < 100; n++)
      append(&f, 0, n, SIM_KAFKA_NO_TRANSACTION);
    CHECK_INT(f.consumer->vtable->assign(f.consumer, 0, 0, NULL), WEIR_OK);
    struct wr_kafka_place place = {0, 1};
    f.consumer->vtable->commit(f.consumer, &place, 1);
    struct {
      struct wr_call call;
      struct fixture *f;
    } looker = {.call = {.run = look_and_forget}, .f = &f};
    wr_call_submit(seams->calls, &looker.call);
    struct wr_kafka_fetch fetch;
    for (uint64_t i = 0; i < events; i++) {
      sim_world_advance(f.world);
      if (i + 1 == events && f.consumer->vtable->take(f.consumer, 0, 10, &fetch) && i % 2 == 0)
        f.consumer->vtable->release(f.consumer);
    }
    sim_world_kill(f.world, SIM_KILL_PROCESS);
    sim_memory_drop_all(sim_world_memory(f.world));
    CHECK_INT(sim_kafka_clients(f.kafka), 0);
    uint64_t wakes = f.wakes;
    while (sim_world_advance(f.world))
      ;
    CHECK_INT(f.wakes, wakes);
    CHECK(sim_world_run(f.world, open_both, &f));
    CHECK_INT(f.consumer->vtable->assign(f.consumer, 0, 0, NULL), WEIR_OK);
    uint32_t count = 0;
    while (await(&f, 0, &fetch)) {
      count += fetch.count;
      f.consumer->vtable->release(f.consumer);
    }
    CHECK_INT(count, 100);
    end(&f);
    CHECK_PASSED();
  }
}

/* A crash by order stops the world at each kind of operation, before it has an effect and after. */
TEST(ordered_crashes_fall_on_operations_of_clients) {
  for (uint64_t n = 1; n <= 4; n++) {
    struct fixture f;
    begin(&f, n, false);
    append(&f, 0, 1, SIM_KAFKA_NO_TRANSACTION);
    enum sim_crash_side side = n % 2 == 0 ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER;
    sim_disk_crash_at(f.world, (n + 1) / 2, side);
    struct wr_kafka_place place = {0, 1};
    f.consumer->vtable->commit(f.consumer, &place, 1);
    if (n <= 2)
      CHECK(sim_world_crashed(f.world));
    else
      CHECK(!sim_world_run(f.world, look, &f));
    sim_world_kill(f.world, SIM_KILL_PROCESS);
    sim_memory_drop_all(sim_world_memory(f.world));
    CHECK_INT(sim_kafka_clients(f.kafka), 0);
    sim_kafka_free(f.kafka);
    sim_world_free(f.world);
  }
}

TEST_MAIN(TEST_CASE(every_committed_record_once_whatever_happens),
          TEST_CASE(open_transactions_hold_back_readers_of_committed_records),
          TEST_CASE(states_are_told_by_both_clients), TEST_CASE(missing_partition_is_not_told_of_later),
          TEST_CASE(without_a_taker_fetching_stops), TEST_CASE(group_gets_offsets_or_says_no),
          TEST_CASE(wrong_answers_do_not_last), TEST_CASE(kill_releases_clients_at_any_point),
          TEST_CASE(ordered_crashes_fall_on_operations_of_clients))
