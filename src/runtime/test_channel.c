/* Tests of the ring between two tasks: order, room, wake-ups, and two threads that park on it. */
#include "base/limits.h"
#include "base/random.h"
#include "base/test.h"
#include "base/test_memory.h"
#include "os/park.h"
#include "os/thread.h"
#include "runtime/channel.h"

#include <sched.h>

static const struct weir_field fields[] = {{"n", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema schema = {fields, 1};

struct counting_waker {
  struct wr_waker waker;
  int wakes;
};
static void count_wake(struct wr_waker *waker) {
  ((struct counting_waker *)waker)->wakes++;
}

struct fixture {
  struct test_memory memory;
  struct counting_waker producer, consumer;
  struct wr_channel *channel;
};
static void begin(struct fixture *fixture) {
  test_memory_init(&fixture->memory);
  fixture->producer = fixture->consumer = (struct counting_waker){.waker = {count_wake}};
  enum weir_code code = wr_channel_new(&fixture->memory.memory, &fixture->producer.waker, &fixture->consumer.waker,
                                       &fixture->channel, NULL);
  CHECK_INT(code, WEIR_OK);
}
static void end(struct fixture *fixture) {
  wr_channel_free(fixture->channel);
  CHECK_INT(fixture->memory.living_count, 0);
}

static struct wr_item control(enum wr_item_kind kind, int64_t value) {
  return (struct wr_item){.kind = kind, .value = value};
}
/* A batch that says it holds `bytes`. */
static struct wr_item batch_of(struct test_memory *memory, size_t bytes, int64_t value) {
  struct wr_batch *batch = wr_batch_new(&memory->memory, &schema, 1, false);
  ((int64_t *)batch->columns[0].values)[0] = value;
  batch->row_count = batch->selected_count = 1;
  if (bytes != 0) batch->bytes = bytes;
  return (struct wr_item){.kind = WR_ITEM_BATCH, .batch = batch};
}
static bool push_batch(struct fixture *fixture, size_t bytes) {
  struct wr_item item = batch_of(&fixture->memory, bytes, 0);
  if (wr_channel_push(fixture->channel, &item)) return true;
  wr_batch_unref(item.batch);
  return false;
}
static void pop_and_drop(struct fixture *fixture) {
  struct wr_item item = wr_channel_pop(fixture->channel);
  if (item.kind == WR_ITEM_BATCH) wr_batch_unref(item.batch);
}

TEST(order) {
  struct fixture f;
  begin(&f);
  CHECK(wr_channel_peek(f.channel) == NULL);
  for (int64_t round = 0; round < 1000; round++) { /* many times around the ring */
    struct wr_item batch = batch_of(&f.memory, 0, round),
                   items[] = {control(WR_ITEM_WATERMARK, round), batch, control(WR_ITEM_BARRIER, round + 1)};
    for (int i = 0; i < 3; i++)
      CHECK(wr_channel_push(f.channel, &items[i]));
    CHECK_INT(wr_channel_length(f.channel), 3);
    CHECK_INT(wr_channel_bytes(f.channel), batch.batch->bytes);
    CHECK_INT(wr_channel_peek_at(f.channel, 2)->value, round + 1);
    CHECK(wr_channel_peek_at(f.channel, 3) == NULL);
    CHECK_INT(wr_channel_peek(f.channel)->kind, WR_ITEM_WATERMARK);
    CHECK_INT(wr_channel_pop(f.channel).value, round);
    struct wr_item item = wr_channel_pop(f.channel);
    CHECK_INT(item.kind, WR_ITEM_BATCH);
    CHECK(item.batch == batch.batch);
    CHECK_INT(atomic_load(&item.batch->references), 1); /* the reference came along */
    wr_batch_unref(item.batch);
    CHECK_INT(wr_channel_bytes(f.channel), 0);
    item = wr_channel_pop(f.channel);
    CHECK_INT(item.kind, WR_ITEM_BARRIER);
    CHECK_INT(item.value, round + 1);
    CHECK(wr_channel_peek(f.channel) == NULL);
  }
  end(&f);
}

TEST(room_by_items) {
  struct fixture f;
  begin(&f);
  for (int i = 0; i < WR_CHANNEL_ITEMS_MAX; i++)
    CHECK(push_batch(&f, 1));
  CHECK(!push_batch(&f, 1));
  struct wr_item item = control(WR_ITEM_WATERMARK, 7);
  int more = 0; /* control items find room behind the batches, but not for ever */
  while (more < 1000 && wr_channel_push(f.channel, &item))
    more++;
  CHECK_INT(more, 16);
  CHECK_INT(wr_channel_length(f.channel), WR_CHANNEL_ITEMS_MAX + 16);
  CHECK_INT(wr_channel_bytes(f.channel), WR_CHANNEL_ITEMS_MAX);
  for (int i = 0; i < 16; i++) {
    pop_and_drop(&f);
    CHECK(!push_batch(&f, 1));
  }
  CHECK(wr_channel_push(f.channel, &item));
  pop_and_drop(&f);
  CHECK(!push_batch(&f, 1));
  pop_and_drop(&f);
  CHECK(push_batch(&f, 1));
  end(&f); /* and what is left in it is dropped with it */
}

TEST(room_by_bytes) {
  struct fixture f;
  begin(&f);
  CHECK(push_batch(&f, 16 * WR_CHANNEL_BYTES_MAX)); /* into the empty ring whatever it is */
  CHECK(!push_batch(&f, 1));
  struct wr_item item = control(WR_ITEM_BARRIER, 1);
  CHECK(wr_channel_push(f.channel, &item));
  pop_and_drop(&f);
  CHECK(push_batch(&f, WR_CHANNEL_BYTES_MAX)); /* a barrier holds no bytes */
  CHECK(!push_batch(&f, 1));
  pop_and_drop(&f);
  CHECK(!push_batch(&f, 1));
  pop_and_drop(&f);
  CHECK(push_batch(&f, WR_CHANNEL_BYTES_MAX / 2));
  CHECK(push_batch(&f, WR_CHANNEL_BYTES_MAX / 2));
  CHECK(!push_batch(&f, 1));
  end(&f);
}

TEST(wakes_the_consumer_of_an_empty_ring) {
  struct fixture f;
  begin(&f);
  struct wr_item item = control(WR_ITEM_WATERMARK, 1);
  for (int i = 0; i < 5; i++)
    CHECK(wr_channel_push(f.channel, &item));
  CHECK_INT(f.consumer.wakes, 1);
  for (int i = 0; i < 5; i++)
    pop_and_drop(&f);
  CHECK_INT(f.consumer.wakes, 1);
  CHECK(wr_channel_push(f.channel, &item));
  CHECK_INT(f.consumer.wakes, 2);
  CHECK_INT(f.producer.wakes, 0);
  end(&f);
}

TEST(wakes_the_producer_once_half_is_free) {
  struct fixture f;
  begin(&f);
  while (push_batch(&f, 1))
    ;
  for (int i = 0; i < WR_CHANNEL_ITEMS_MAX / 2 - 1; i++)
    pop_and_drop(&f);
  CHECK_INT(f.producer.wakes, 0);
  pop_and_drop(&f);
  CHECK_INT(f.producer.wakes, 1);
  pop_and_drop(&f);
  CHECK_INT(f.producer.wakes, 1);
  CHECK(push_batch(&f, 1)); /* no push failed since: nobody waits */
  pop_and_drop(&f);
  CHECK_INT(f.producer.wakes, 1);
  while (wr_channel_length(f.channel) != 0)
    pop_and_drop(&f);
  CHECK_INT(f.producer.wakes, 1);
  /* By bytes, and where less than half is taken but the next batch is too large. */
  CHECK(push_batch(&f, WR_CHANNEL_BYTES_MAX / 4));
  CHECK(!push_batch(&f, WR_CHANNEL_BYTES_MAX));
  pop_and_drop(&f);
  CHECK_INT(f.producer.wakes, 2);
  end(&f);
}

TEST(no_memory) {
  struct fixture f;
  begin(&f);
  struct weir_error error = {0};
  struct wr_channel *channel = NULL;
  test_memory_fail_after(&f.memory, 1, false);
  CHECK_INT(wr_channel_new(&f.memory.memory, &f.producer.waker, &f.consumer.waker, &channel, &error), WEIR_NO_MEMORY);
  CHECK(channel == NULL && error.message[0] != 0);
  wr_channel_free(NULL);
  end(&f);
}

/* ---- the two races of sleeping, again and again, by threads that spin instead ---- */

/* In each round one thread pushes while the other pops and looks. Nobody sleeps: the wakes are counted, and whoever
 * could do nothing must have been woken. */
struct race {
  struct fixture *fixture;
  _Atomic uint64_t begun, done; /* the round that the consumer may play, and has played */
  uint64_t seed;
  bool found_empty; /* what the consumer saw after its pop */
};

static void wait_turns(uint64_t turns) {
  for (; turns != 0; turns--)
    atomic_signal_fence(memory_order_seq_cst); /* keeps the loop */
}
/* Spins, and gives way now and then, where there are fewer cores than threads. */
static void wait_until(_Atomic uint64_t *counter, uint64_t value) {
  for (uint32_t i = 1; atomic_load_explicit(counter, memory_order_acquire) < value; i++)
    if (i % 2048 == 0) sched_yield();
}
static void race_consume(void *argument) {
  struct race *race = argument;
  struct wr_random random = wr_random_of(race->seed);
  for (uint64_t round = 1;; round++) {
    wait_until(&race->begun, round);
    if (atomic_load(&race->begun) == UINT64_MAX) return;
    wait_turns(wr_random_below(&random, 16));
    (void)wr_channel_pop(race->fixture->channel);
    race->found_empty = wr_channel_peek(race->fixture->channel) == NULL;
    atomic_store_explicit(&race->done, round, memory_order_release);
  }
}

/* Plays rounds for two seconds: `item` is in the ring and popped while it is pushed once more. The producer waits a
 * little longer after a round in which it was first, a little shorter otherwise, so that the two keep meeting. */
static void race_rounds(struct race *race, const struct wr_item *item) {
  struct fixture *f = race->fixture;
  struct wr_random random = wr_random_of(race->seed + 1);
  uint64_t round = 0, first = 0, delay = 100;
  time_t end_s = time(NULL) + 2;
  for (; round % 1024 != 0 || time(NULL) < end_s; round++) {
    CHECK(wr_channel_push(f->channel, item));
    f->consumer.wakes = f->producer.wakes = 0;
    atomic_store_explicit(&race->begun, round + 1, memory_order_release);
    wait_turns(delay + wr_random_below(&random, 16));
    bool pushed = wr_channel_push(f->channel, item);
    wait_until(&race->done, round + 1);
    if (race->found_empty && pushed && f->consumer.wakes == 0) TEST_FAIL("round %" PRIu64 ": item overslept", round);
    if (!pushed && f->producer.wakes == 0) TEST_FAIL("round %" PRIu64 ": room overslept", round);
    bool was_first = !pushed || !race->found_empty;
    first += was_first;
    if (was_first && delay < 2000) delay++;
    if (!was_first && delay > 0) delay--;
    if (pushed) (void)wr_channel_pop(f->channel);
  }
  fprintf(stderr, "%" PRIu64 " rounds, the producer was first in %" PRIu64 "\n", round, first);
}

static void race_with(const struct wr_item *item, struct fixture *f) {
  struct race race = {.fixture = f, .seed = test_seed()};
  struct wr_thread consumer;
  CHECK_INT(wr_thread_start(&consumer, "consumer", race_consume, &race, NULL), WEIR_OK);
  race_rounds(&race, item);
  atomic_store(&race.begun, UINT64_MAX);
  wr_thread_join(&consumer);
}

TEST(race_of_pop_and_push_at_empty) {
  struct fixture f;
  begin(&f);
  struct wr_item item = control(WR_ITEM_WATERMARK, 1);
  race_with(&item, &f);
  CHECK_PASSED();
  end(&f);
}

TEST(race_of_pop_and_push_at_full) {
  struct fixture f;
  begin(&f);
  struct wr_item item = batch_of(&f.memory, WR_CHANNEL_BYTES_MAX, 0);
  race_with(&item, &f);
  CHECK_PASSED();
  wr_batch_unref(item.batch);
  end(&f);
}

/* ---- two threads that park ---- */

/* Each side parks as soon as it can do nothing, without a time-out: a lost wake-up hangs the test. A third thread reads
 * the counters. Every batch is held by a second reference at times, so that either side may be the one to free it. */
struct stress {
  struct test_memory *memory;
  struct wr_channel *channel;
  struct wr_parker producer, consumer;
  uint64_t seed;
  int64_t item_count;
  atomic_bool over;
  const char *failure, *watch_failure; /* the consumer's, the watcher's */
  int64_t received;
  uint64_t parked; /* how often the consumer found nothing */
};

static void stress_produce(void *argument) {
  struct stress *stress = argument;
  struct wr_random random = wr_random_of(stress->seed);
  struct wr_batch *kept = NULL;
  for (int64_t n = 0; n < stress->item_count; n++) {
    struct wr_item item = control(WR_ITEM_WATERMARK, n);
    if (wr_random_one_in(&random, 3)) {
      size_t bytes = wr_random_one_in(&random, 10) ? WR_CHANNEL_BYTES_MAX / 3 : 0;
      item = batch_of(stress->memory, bytes, n);
      if (wr_random_one_in(&random, 4)) {
        wr_batch_unref(kept);
        kept = wr_batch_ref(item.batch);
      }
    }
    while (!wr_channel_push(stress->channel, &item))
      wr_parker_wait(&stress->producer, WR_PARK_FOREVER);
    if (wr_random_one_in(&random, 5000)) wr_parker_wait(&stress->producer, 50000); /* let the ring run dry */
  }
  struct wr_item last = control(WR_ITEM_END, 0);
  while (!wr_channel_push(stress->channel, &last))
    wr_parker_wait(&stress->producer, WR_PARK_FOREVER);
  wr_batch_unref(kept);
}

static const char *stress_check(struct wr_item *item, int64_t expected) {
  if (item->kind == WR_ITEM_WATERMARK) return item->value == expected ? NULL : "a watermark is out of order";
  if (item->kind != WR_ITEM_BATCH) return "an item of a kind that was not sent";
  int64_t value = wr_column_bigints(&item->batch->columns[0])[0];
  wr_batch_unref(item->batch);
  return value == expected ? NULL : "a batch is out of order";
}

static void stress_consume(void *argument) {
  struct stress *stress = argument;
  struct wr_random random = wr_random_of(stress->seed + 1);
  for (;;) {
    const struct wr_item *front = wr_channel_peek(stress->channel);
    if (front == NULL) {
      stress->parked++;
      wr_parker_wait(&stress->consumer, WR_PARK_FOREVER);
      continue;
    }
    if (front->kind == WR_ITEM_END) break;
    struct wr_item item = wr_channel_pop(stress->channel);
    const char *failure = stress_check(&item, stress->received++);
    if (stress->failure == NULL) stress->failure = failure;
    if (wr_random_one_in(&random, 5000)) wr_parker_wait(&stress->consumer, 50000); /* let the ring fill */
  }
}

static void stress_watch(void *argument) {
  struct stress *stress = argument;
  while (!atomic_load(&stress->over)) {
    if (wr_channel_length(stress->channel) > 1u << 20) stress->watch_failure = "the length is negative";
    if (wr_channel_bytes(stress->channel) > 1u << 30) stress->watch_failure = "the bytes are negative";
    struct timespec pause = {.tv_nsec = 100000};
    nanosleep(&pause, NULL);
  }
}

TEST(two_threads) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct stress stress = {.memory = &memory, .seed = test_seed(), .item_count = 2000000};
  const char *text = getenv("WEIR_TEST_ITEMS");
  if (text != NULL) stress.item_count = strtoll(text, NULL, 10);
  wr_parker_init(&stress.producer);
  wr_parker_init(&stress.consumer);
  CHECK_INT(wr_channel_new(&memory.memory, &stress.producer.waker, &stress.consumer.waker, &stress.channel, NULL),
            WEIR_OK);
  struct wr_thread producer, consumer, watcher;
  CHECK_INT(wr_thread_start(&consumer, "consumer", stress_consume, &stress, NULL), WEIR_OK);
  CHECK_INT(wr_thread_start(&producer, "producer", stress_produce, &stress, NULL), WEIR_OK);
  CHECK_INT(wr_thread_start(&watcher, "watcher", stress_watch, &stress, NULL), WEIR_OK);
  wr_thread_join(&producer);
  wr_thread_join(&consumer);
  atomic_store(&stress.over, true);
  wr_thread_join(&watcher);
  if (stress.failure != NULL) TEST_FAIL("%s", stress.failure);
  if (stress.watch_failure != NULL) TEST_FAIL("%s", stress.watch_failure);
  CHECK_INT(stress.received, stress.item_count);
  fprintf(stderr, "the consumer parked %" PRIu64 " times\n", stress.parked);
  wr_channel_free(stress.channel);
  CHECK_INT(memory.living_count, 0);
}

/* Ping-pong: each item is sent into an empty ring to a consumer that is about to park: the narrowest race there is. */
struct ping_pong {
  struct wr_channel *there, *back;
  struct wr_parker near, far;
  int64_t rounds;
};
static void ping_pong_far(void *argument) {
  struct ping_pong *game = argument;
  for (int64_t n = 0; n < game->rounds; n++) {
    while (wr_channel_peek(game->there) == NULL)
      wr_parker_wait(&game->far, WR_PARK_FOREVER);
    struct wr_item item = wr_channel_pop(game->there);
    wr_channel_push(game->back, &item);
  }
}

TEST(ping_pong) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct ping_pong game = {.rounds = 50000};
  wr_parker_init(&game.near);
  wr_parker_init(&game.far);
  CHECK_INT(wr_channel_new(&memory.memory, &game.near.waker, &game.far.waker, &game.there, NULL), WEIR_OK);
  CHECK_INT(wr_channel_new(&memory.memory, &game.far.waker, &game.near.waker, &game.back, NULL), WEIR_OK);
  struct wr_thread far;
  CHECK_INT(wr_thread_start(&far, "far", ping_pong_far, &game, NULL), WEIR_OK);
  for (int64_t n = 0; n < game.rounds; n++) {
    struct wr_item item = control(WR_ITEM_WATERMARK, n);
    CHECK(wr_channel_push(game.there, &item));
    while (wr_channel_peek(game.back) == NULL)
      wr_parker_wait(&game.near, WR_PARK_FOREVER);
    CHECK_INT(wr_channel_pop(game.back).value, n);
  }
  wr_thread_join(&far);
  wr_channel_free(game.there);
  wr_channel_free(game.back);
  CHECK_INT(memory.living_count, 0);
}

TEST_MAIN(TEST_CASE(order), TEST_CASE(room_by_items), TEST_CASE(room_by_bytes),
          TEST_CASE(wakes_the_consumer_of_an_empty_ring), TEST_CASE(wakes_the_producer_once_half_is_free),
          TEST_CASE(no_memory), TEST_CASE(race_of_pop_and_push_at_empty), TEST_CASE(race_of_pop_and_push_at_full),
          TEST_CASE(two_threads), TEST_CASE(ping_pong))
