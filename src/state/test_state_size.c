/* state/test_state_size.c: keyed state at size: what it weighs, how fast it is, and the longest that anything in it
 * keeps its caller waiting. Prints figures; asserts only what cannot depend on the machine's load. */
#include "state/test_state.h"

#if defined(__SANITIZE_ADDRESS__)
enum { MANY = 1000000 };
#else
enum { MANY = 10000000 };
#endif
enum { BATCH = WR_BATCH_ROWS_MAX, SLICE_BYTES = 256 * 1024 };

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double ms_since(uint64_t start) {
  return (double)(now_ns() - start) / 1e6;
}

/* The thread's own time: what others do on the machine does not count as a stall of ours. */
static uint64_t own_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct longest {
  double prepare_ms, step_ms, freeze_ms;
};

static void note(double *longest, uint64_t own_start) {
  double ms = (double)(own_ns() - own_start) / 1e6;
  if (*longest < ms) *longest = ms;
}

/* Adds 1 to the counts of a batch of random keys below `keys`. */
static bool count_batch(struct wr_table *table, struct wr_random *random, uint64_t keys, struct longest *longest) {
  int64_t list[BATCH];
  for (uint32_t i = 0; i < BATCH; i++)
    list[i] = (int64_t)wr_random_below(random, keys);
  uint64_t start = own_ns();
  if (wr_table_prepare_bigints(table, list, BATCH, WR_ACCESS_WRITE, NULL) != WR_PREPARE_READY) return false;
  note(&longest->prepare_ms, start);
  void *const *rows = wr_table_rows(table);
  for (uint32_t i = 0; i < BATCH; i++)
    *(int64_t *)rows[i] += 1;
  return true;
}

static bool fill(struct wr_table *table, uint64_t count, struct longest *longest) {
  for (uint64_t first = 0; first < count; first += BATCH) {
    int64_t list[BATCH];
    uint32_t n = count - first < BATCH ? (uint32_t)(count - first) : BATCH;
    for (uint32_t i = 0; i < n; i++)
      list[i] = (int64_t)(first + i);
    uint64_t start = own_ns();
    if (wr_table_prepare_bigints(table, list, n, WR_ACCESS_WRITE, NULL) != WR_PREPARE_READY) return false;
    note(&longest->prepare_ms, start);
    for (uint32_t i = 0; i < n; i++)
      *(int64_t *)wr_table_rows(table)[i] = list[i];
  }
  return true;
}

/* A snapshot with two batches of changes between any two slices. */
static bool snapshot_between(struct test_world *world, struct wr_backend *backend, struct wr_table *table, uint64_t id,
                             uint32_t batches, struct longest *longest, uint64_t *out_bytes) {
  struct wr_random random = wr_random_of(id);
  struct wr_handle handle;
  uint64_t start = own_ns();
  if (wr_backend_freeze(backend, id, false, NULL) != WEIR_OK) return false;
  note(&longest->freeze_ms, start);
  struct wr_upload *upload = test_upload_new(world, NULL);
  enum wr_snapshot_progress progress;
  do {
    uint64_t wake = UINT64_MAX;
    while (wr_upload_step(upload, 0, &wake) == WR_UPLOAD_FULL) {
    }
    start = own_ns();
    progress = wr_backend_snapshot_step(backend, upload, SLICE_BYTES, NULL);
    note(&longest->step_ms, start);
    for (uint32_t i = 0; i < batches; i++)
      if (!count_batch(table, &random, MANY, longest)) return false;
  } while (progress < WR_SNAPSHOT_WRITTEN);
  if (progress != WR_SNAPSHOT_WRITTEN || !test_upload_end(upload, &handle)) return false;
  *out_bytes = handle.length;
  wr_backend_snapshot_uploaded(backend, id, &handle);
  wr_backend_completed(backend, id);
  return true;
}

static bool print_restore(struct test_world *world, const struct wr_backend *backend, uint64_t rows) {
  struct wr_backend_chain chain = {.range = {0, 128}};
  chain.handles = wr_backend_chain(backend, &chain.count);
  struct wr_state *state;
  struct wr_backend *other = test_count_backend(world, 0, 1, &state);
  uint64_t start = now_ns(), dropped, left = 0;
  struct weir_error error;
  bool is_restored = wr_backend_restore(other, &world->store, &chain, 1, false, &dropped, &error) == WEIR_OK;
  printf("restore of %" PRIu64 " rows (%u snapshots): %.0f ms\n", rows, chain.count, ms_since(start));
  left = wr_backend_row_count(other);
  wr_backend_free(other);
  return is_restored && left == rows;
}

TEST(many_keys) {
  struct test_world *world = test_world_new();
  test_world_use_heap(world);
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state);
  struct wr_table *table = wr_state_table(state, 0);
  struct longest longest = {0};
  uint64_t start = now_ns(), bytes = 0;
  CHECK(fill(table, MANY, &longest));
  double per_key = (double)wr_backend_bytes(backend) / MANY;
  printf("%d keys inserted in %.0f ms, longest prepare %.2f ms, %.1f bytes a key\n", MANY, ms_since(start),
         longest.prepare_ms, per_key);
  CHECK(per_key < 64);
  longest = (struct longest){0};
  CHECK(snapshot_between(world, backend, table, 1, 2, &longest, &bytes));
  printf("base of %.0f MB: longest freeze %.3f ms, step %.2f ms, prepare %.2f ms\n", (double)bytes / 1e6,
         longest.freeze_ms, longest.step_ms, longest.prepare_ms);
  longest = (struct longest){0};
  CHECK(snapshot_between(world, backend, table, 2, 2, &longest, &bytes));
  printf("next, %.0f MB: longest freeze %.3f ms, step %.2f ms, prepare %.2f ms\n", (double)bytes / 1e6,
         longest.freeze_ms, longest.step_ms, longest.prepare_ms);
  CHECK(print_restore(world, backend, MANY));
  wr_backend_free(backend);
  CHECK_INT(world->beyond.total_bytes, 0);
  test_world_free(world);
}

TEST(lookup_speed) {
  enum { KEYS = 100000, ROUNDS = 2000 };
  struct test_world *world = test_world_new();
  test_world_use_heap(world);
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state);
  struct wr_table *table = wr_state_table(state, 0);
  struct longest longest = {0};
  CHECK(fill(table, KEYS, &longest));
  struct wr_random random = wr_random_of(1);
  static int64_t lists[16][BATCH];
  for (uint32_t i = 0; i < 16 * BATCH; i++)
    lists[i / BATCH][i % BATCH] = (int64_t)wr_random_below(&random, KEYS);
  for (int access = WR_ACCESS_READ; access <= WR_ACCESS_WRITE; access++) {
    uint64_t start = now_ns();
    for (uint32_t round = 0; round < ROUNDS; round++) {
      CHECK_INT(wr_table_prepare_bigints(table, lists[round % 16], BATCH, (enum wr_access)access, NULL),
                WR_PREPARE_READY);
      void *const *rows = wr_table_rows(table);
      for (uint32_t i = 0; i < BATCH; i++)
        *(int64_t *)rows[i] += 1;
    }
    double ms = ms_since(start);
    printf("%d BIGINT keys, %s and add: %.1f M rows/s\n", KEYS, access == WR_ACCESS_READ ? "read" : "write",
           (double)ROUNDS * BATCH / ms / 1e3);
  }
  wr_backend_free(backend);
  test_world_free(world);
}

TEST(string_lookup_speed) {
  enum { KEYS = 100000, ROUNDS = 500 };
  static const struct weir_field name_key[] = {{.name = "app_id", .type = WEIR_TYPE_STRING}};
  static const struct weir_schema name_key_schema = {.fields = name_key, .field_count = 1};
  static char texts[8 * BATCH][40];
  static struct wr_key lists[8][BATCH];
  struct test_world *world = test_world_new();
  test_world_use_heap(world);
  for (int is_long = 0; is_long < 2; is_long++) {
    const struct wr_backend_options options = test_options(world, 0, 1, 128);
    const struct wr_state_descriptor descriptor = {
        .name = "count", .key = &name_key_schema, .value = &test_count_value_schema};
    struct wr_backend *backend;
    struct wr_state *state;
    CHECK_INT(wr_backend_new(&options, &backend, NULL), WEIR_OK);
    CHECK_INT(wr_backend_register(backend, &descriptor, &state, NULL), WEIR_OK);
    struct wr_table *table = wr_state_table(state, 0);
    struct wr_random random = wr_random_of(1);
    for (uint32_t i = 0; i < 8 * BATCH; i++) {
      unsigned number = (unsigned)wr_random_below(&random, KEYS);
      int length = snprintf(texts[i], sizeof texts[i], is_long ? "application number %u" : "app%u", number);
      lists[i / BATCH][i % BATCH] = (struct wr_key){.bytes = (const uint8_t *)texts[i], .length = (uint32_t)length};
    }
    uint64_t start = now_ns();
    for (uint32_t round = 0; round < ROUNDS; round++) {
      CHECK_INT(wr_table_prepare(table, lists[round % 8], BATCH, WR_ACCESS_WRITE, NULL), WR_PREPARE_READY);
      for (uint32_t i = 0; i < BATCH; i++)
        *(int64_t *)wr_table_rows(table)[i] += 1;
    }
    printf("%" PRIu64 " STRING keys of %s bytes, write and add: %.1f M rows/s\n", wr_table_row_count(table),
           is_long ? "20 to 24" : "4 to 8", ROUNDS * BATCH / ms_since(start) / 1e3);
    wr_backend_free(backend);
  }
  test_world_free(world);
}

TEST_MAIN(TEST_CASE(many_keys), TEST_CASE(lookup_speed), TEST_CASE(string_lookup_speed))
