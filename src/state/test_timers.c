/* state/test_timers.c: timers against a naive list, at random; their order; restore at another parallelism. */
#include "state/test_state.h"

static const struct weir_field name_key[] = {{.name = "name", .type = WEIR_TYPE_STRING, .nullable = true}};
static const struct weir_schema name_key_schema = {.fields = name_key, .field_count = 1};

struct timer_job {
  struct wr_backend *backend;
  struct wr_timers *timers;
};

static bool start(struct test_world *world, uint32_t subtask, uint32_t parallelism, struct timer_job *out_job) {
  const struct wr_backend_options options = test_options(world, subtask, parallelism, 16);
  if (wr_backend_new(&options, &out_job->backend, NULL) != WEIR_OK) return false;
  return wr_timers_new(out_job->backend, world->used, "timers", &name_key_schema, &out_job->timers, NULL) == WEIR_OK;
}

static void stop(struct timer_job *job) {
  wr_timers_free(job->timers);
  wr_backend_free(job->backend);
}

static struct wr_key key_of(const char *text) {
  return (struct wr_key){.bytes = (const uint8_t *)text, .length = (uint32_t)strlen(text)};
}

TEST(order) {
  struct test_world *world = test_world_new();
  struct timer_job job;
  CHECK(start(world, 0, 1, &job));
  CHECK(wr_timers_next_time(job.timers) == INT64_MAX);
  const struct {
    int64_t time;
    const char *key;
  } given[] = {{5, "b"}, {5, "abcdefgh2"}, {-7, "z"}, {5, "abcdefgh1"}, {5, ""}, {9, "a"}, {5, "abcdefgh"}, {5, "b"}},
    expected[] = {{-7, "z"}, {5, NULL}, {5, ""}, {5, "abcdefgh"}, {5, "abcdefgh1"}, {5, "abcdefgh2"}, {5, "b"}};
  for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
    struct wr_key key = key_of(given[i].key);
    CHECK_INT(wr_timers_register(job.timers, given[i].time, &key, NULL), WEIR_OK);
  }
  const struct wr_key null_key = {.is_null = true};
  CHECK_INT(wr_timers_register(job.timers, 5, &null_key, NULL), WEIR_OK);
  CHECK_INT(wr_timers_count(job.timers), 8);
  CHECK_INT(wr_timers_next_time(job.timers), -7);
  for (uint32_t at = 0; at < 7;) {
    struct wr_timer due[3];
    uint32_t count;
    CHECK_INT(wr_timers_take_due(job.timers, 8, due, 3, &count, NULL), WEIR_OK);
    CHECK(count > 0);
    for (uint32_t i = 0; i < count; i++, at++) {
      CHECK_INT(due[i].time_ms, expected[at].time);
      CHECK(due[i].key.is_null == (expected[at].key == NULL));
      struct wr_key key = key_of(expected[at].key == NULL ? "" : expected[at].key);
      CHECK(due[i].key.length == key.length && memcmp(due[i].key.bytes, key.bytes, key.length) == 0);
    }
  }
  CHECK_INT(wr_timers_next_time(job.timers), 9);
  CHECK_INT(wr_backend_row_count(job.backend), 1);
  stop(&job);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

enum { TIMES = 40, NAMES = 60, SUBTASKS = 3 };

/* set[time][name]: registered. Names are of different lengths; some share their first eight bytes. */
struct timer_model {
  bool set[TIMES][NAMES];
  uint64_t count;
};

static struct wr_key name_of(uint32_t number, char *buffer) {
  int length = snprintf(buffer, 64, number % 3 == 0 ? "%02u" : "the same start %02u", number);
  return (struct wr_key){.bytes = (const uint8_t *)buffer, .length = (uint32_t)length};
}

static uint32_t owner_of(const struct wr_key *key, uint32_t parallelism) {
  return wr_key_group_subtask(wr_key_group(wr_hash_key(key->bytes, key->length), 16), parallelism, 16);
}

static bool change(struct timer_job *jobs, uint32_t parallelism, struct timer_model *model, struct wr_random *random) {
  uint32_t time = (uint32_t)wr_random_below(random, TIMES), name = (uint32_t)wr_random_below(random, NAMES);
  char buffer[64];
  struct wr_key key = name_of(name, buffer);
  struct timer_job *job = &jobs[owner_of(&key, parallelism)];
  bool sets = wr_random_one_in(random, 2);
  model->count += sets && !model->set[time][name];
  model->count -= !sets && model->set[time][name];
  model->set[time][name] = sets;
  return (sets ? wr_timers_register(job->timers, time, &key, NULL) : wr_timers_delete(job->timers, time, &key, NULL)) ==
         WEIR_OK;
}

static bool take(struct timer_job *jobs, uint32_t parallelism, struct timer_model *model, struct wr_random *random) {
  struct timer_job *job = &jobs[wr_random_below(random, parallelism)];
  struct wr_timer due[7];
  uint32_t count, limit = 1 + (uint32_t)wr_random_below(random, 7);
  int64_t now = (int64_t)wr_random_below(random, TIMES / 4);
  if (wr_timers_take_due(job->timers, now, due, limit, &count, NULL) != WEIR_OK) return false;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t time = (uint32_t)due[i].time_ms, name = 0;
    for (const uint8_t *digit = due[i].key.bytes + due[i].key.length - 2, *end = digit + 2; digit < end; digit++)
      name = name * 10 + (uint32_t)(*digit - '0');
    if (due[i].time_ms > now || !model->set[time][name]) return false;
    if (i > 0 && due[i - 1].time_ms > due[i].time_ms) return false;
    model->set[time][name] = false;
    model->count--;
  }
  return count == limit || wr_timers_next_time(job->timers) > now;
}

static bool is_right(struct timer_job *jobs, uint32_t parallelism, const struct timer_model *model) {
  uint64_t count = 0;
  int64_t first = INT64_MAX, expected = INT64_MAX;
  for (uint32_t i = 0; i < parallelism; i++) {
    count += wr_timers_count(jobs[i].timers);
    if (wr_timers_next_time(jobs[i].timers) < first) first = wr_timers_next_time(jobs[i].timers);
  }
  for (uint32_t t = TIMES; t-- > 0;)
    for (uint32_t n = 0; n < NAMES; n++)
      if (model->set[t][n]) expected = t;
  return count == model->count && first == expected;
}

TEST(random_with_restores) {
  struct test_world *world = test_world_new();
  struct wr_random random = wr_random_of(test_seed());
  struct timer_model *model = calloc(1, sizeof *model);
  struct timer_job jobs[SUBTASKS], others[SUBTASKS];
  uint32_t parallelism = 1;
  CHECK(start(world, 0, 1, &jobs[0]));
  for (uint64_t round = 1; round <= 40; round++) {
    for (uint32_t i = 0; i < 300; i++) {
      CHECK(wr_random_one_in(&random, 10) ? take(jobs, parallelism, model, &random)
                                          : change(jobs, parallelism, model, &random));
      CHECK(is_right(jobs, parallelism, model));
    }
    uint32_t next = 1 + (uint32_t)wr_random_below(&random, SUBTASKS);
    struct wr_backend_chain chains[SUBTASKS];
    for (uint32_t i = 0; i < parallelism; i++) {
      CHECK(test_snapshot(world, jobs[i].backend, round, false, NULL));
      chains[i].range = wr_key_group_range_of(i, parallelism, 16);
      chains[i].handles = wr_backend_chain(jobs[i].backend, &chains[i].count);
    }
    for (uint32_t i = 0; i < next; i++) {
      uint64_t dropped;
      CHECK(start(world, i, next, &others[i]));
      bool is_same = next == parallelism;
      CHECK_INT(wr_backend_restore(others[i].backend, &world->store, is_same ? &chains[i] : chains,
                                   is_same ? 1 : parallelism, false, &dropped, NULL),
                WEIR_OK);
      CHECK_INT(wr_timers_restored(others[i].timers, NULL), WEIR_OK);
    }
    for (uint32_t i = 0; i < parallelism; i++)
      stop(&jobs[i]);
    memcpy(jobs, others, sizeof jobs);
    parallelism = next;
    CHECK(is_right(jobs, parallelism, model));
  }
  for (uint32_t i = 0; i < parallelism; i++)
    stop(&jobs[i]);
  CHECK_INT(world->memory.living_count, 0);
  free(model);
  test_world_free(world);
}

/* Every allocation fails once; what was taken or registered stays consistent. */
TEST(without_memory) {
  struct test_world *world = test_world_new();
  struct timer_job job;
  CHECK(start(world, 0, 1, &job));
  uint64_t failures = 0;
  for (uint32_t i = 0; i < 3000; i++) {
    char text[32];
    snprintf(text, sizeof text, "a rather long key %u", i);
    struct wr_key key = key_of(text);
    for (uint64_t fail = 1;; fail++) {
      test_memory_fail_after(&world->memory, fail, false);
      enum weir_code code = wr_timers_register(job.timers, i, &key, NULL);
      test_memory_fail_after(&world->memory, 0, false);
      if (code == WEIR_OK) break;
      failures++;
      CHECK_INT(wr_timers_count(job.timers), i);
      CHECK_INT(wr_backend_row_count(job.backend), i);
    }
  }
  CHECK_INT(wr_backend_freeze(job.backend, 1, false, NULL), WEIR_OK); /* so that taking has to copy */
  for (uint32_t taken = 0, count; taken < 3000; taken += count) {
    struct wr_timer due[100];
    enum weir_code code = WEIR_NO_MEMORY;
    for (uint64_t fail = 1; code != WEIR_OK; fail++) {
      test_memory_fail_after(&world->memory, fail, false);
      code = wr_timers_take_due(job.timers, 5000, due, 100, &count, NULL);
      failures += code != WEIR_OK;
    }
    for (uint32_t i = 0; i < count; i++)
      CHECK_INT(due[i].time_ms, taken + i);
  }
  test_memory_fail_after(&world->memory, 0, false);
  CHECK(failures > 30);
  stop(&job);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

TEST_MAIN(TEST_CASE(order), TEST_CASE(random_with_restores), TEST_CASE(without_memory))
