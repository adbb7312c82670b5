/* state/test_state_restore.c: incremental snapshots by size; what a restore refuses; damaged bytes; no memory. */
#include "state/test_state.h"

static bool write_keys(struct wr_table *table, int64_t first, int64_t count, int64_t step, int64_t number) {
  if (table == NULL) return false;
  for (int64_t done = 0; done < count;) {
    int64_t keys[WR_BATCH_ROWS_MAX];
    uint32_t n = 0;
    for (; n < WR_BATCH_ROWS_MAX && done < count; n++, done++)
      keys[n] = first + done * step;
    if (wr_table_prepare_bigints(table, keys, n, WR_ACCESS_WRITE, NULL) != WR_PREPARE_READY) return false;
    for (uint32_t i = 0; i < n; i++)
      *(int64_t *)wr_table_rows(table)[i] = number;
  }
  return true;
}

static bool delete_keys(struct wr_table *table, int64_t first, int64_t count) {
  if (table == NULL) return false;
  for (int64_t done = 0; done < count;) {
    int64_t keys[WR_BATCH_ROWS_MAX];
    uint32_t n = 0;
    for (; n < WR_BATCH_ROWS_MAX && done < count; n++, done++)
      keys[n] = first + done;
    if (wr_table_prepare_bigints(table, keys, n, WR_ACCESS_WRITE, NULL) != WR_PREPARE_READY) return false;
    for (uint32_t i = 0; i < n; i++)
      wr_table_delete(table, i);
  }
  return true;
}

static struct wr_backend *restored(struct test_world *world, const struct wr_backend *from,
                                   struct wr_state **out_state) {
  struct wr_backend_chain chain = {.range = {0, 128}};
  chain.handles = wr_backend_chain(from, &chain.count);
  struct wr_backend *backend = test_count_backend(world, 0, 1, out_state);
  struct weir_error error;
  uint64_t dropped;
  if (wr_backend_restore(backend, &world->store, &chain, 1, false, &dropped, &error) == WEIR_OK) return backend;
  fprintf(stderr, "%s\n", error.message);
  wr_backend_free(backend);
  return NULL;
}

static uint32_t chain_count(const struct wr_backend *backend) {
  uint32_t count;
  wr_backend_chain(backend, &count);
  return count;
}

/* 1 M rows, 1 % changed: the delta is under 3 % of a base. */
TEST(incremental) {
  enum { ROWS = 1000000 };
  struct test_world *world = test_world_new();
  test_world_use_heap(world);
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state), *other;
  struct wr_table *table = wr_state_table(state, 0);
  uint64_t base = 0, delta = 0;
  CHECK(write_keys(table, 0, ROWS, 1, 1));
  CHECK(test_snapshot(world, backend, 1, false, &base));
  wr_backend_completed(backend, 1);
  CHECK(write_keys(table, 7, ROWS / 100, 97, 2));
  CHECK(test_snapshot(world, backend, 2, false, &delta));
  wr_backend_completed(backend, 2);
  printf("base %" PRIu64 " bytes, delta of 1 %% of the rows %" PRIu64 " bytes: %.2f %%\n", base, delta,
         100.0 * (double)delta / (double)base);
  CHECK(delta * 100 < base * 3);
  CHECK_INT(chain_count(backend), 2);
  other = restored(world, backend, &state);
  CHECK(other != NULL);
  CHECK_INT(wr_backend_row_count(other), ROWS);
  table = wr_state_table(state, 0);
  int64_t keys[] = {7, 8, 7 + 97, 7 + 97 * (ROWS / 100), ROWS - 1, ROWS};
  const int64_t expected[] = {2, 1, 2, 1, 1, 0};
  CHECK_INT(wr_table_prepare_bigints(table, keys, 6, WR_ACCESS_READ, NULL), WR_PREPARE_READY);
  for (int i = 0; i < 5; i++)
    CHECK_INT(*(int64_t *)wr_table_rows(table)[i], expected[i]);
  CHECK(wr_table_rows(table)[5] == NULL);
  /* The restored one goes on with deltas; nothing changed is nothing written. */
  CHECK(test_snapshot(world, other, 3, false, &delta));
  CHECK_INT(delta, 0);
  CHECK_INT(chain_count(other), 2);
  wr_backend_completed(other, 3);
  CHECK(write_keys(table, 0, 10, 1, 3));
  CHECK(test_snapshot(world, other, 4, false, &delta));
  CHECK(delta < 1000);
  CHECK_INT(chain_count(other), 3);
  wr_backend_free(other);
  wr_backend_free(backend);
  CHECK_INT(world->beyond.total_bytes, 0);
  test_world_free(world);
}

/* Everything deleted, in deltas: restored empty. */
TEST(all_deleted) {
  enum { ROWS = 20000 };
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state), *other;
  struct wr_table *table = wr_state_table(state, 0);
  uint64_t id = 1, most = 0;
  CHECK(test_snapshot(world, backend, id, false, NULL));
  wr_backend_completed(backend, id++);
  CHECK_INT(chain_count(backend), 0); /* there never was a row */
  CHECK(write_keys(table, 0, ROWS, 1, 1));
  CHECK(test_snapshot(world, backend, id, false, NULL));
  wr_backend_completed(backend, id++);
  for (int64_t left = ROWS; left > 0; id++) {
    int64_t count = left < 100 ? left : left / 3;
    CHECK(delete_keys(table, ROWS - left, count));
    left -= count;
    CHECK(test_snapshot(world, backend, id, false, NULL));
    wr_backend_completed(backend, id);
    if (chain_count(backend) > most) most = chain_count(backend);
    other = restored(world, backend, &state);
    CHECK(other != NULL);
    CHECK_INT(wr_backend_row_count(other), left);
    /* Freed places are used again before memory grows. */
    uint64_t before = wr_backend_bytes(other);
    CHECK(left < ROWS / 2 || write_keys(wr_state_table(state, 0), -ROWS, ROWS - left, 1, 1));
    CHECK(left < ROWS / 2 || wr_backend_bytes(other) < before + ROWS * 10);
    wr_backend_free(other);
  }
  CHECK(most > 1);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

/* Deltas add up to half of a base, then comes a base; a chain is never endless. */
TEST(base_again) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state);
  struct wr_table *table = wr_state_table(state, 0);
  uint32_t longest = 0, bases = 0;
  CHECK(write_keys(table, 0, 100000, 1, 1));
  for (uint64_t id = 1; id < 200; id++) {
    int64_t changed = id < 100 ? 10 : 5000;
    CHECK(write_keys(table, (int64_t)id * changed % 100000, changed, 1, (int64_t)id));
    CHECK(test_snapshot(world, backend, id, false, NULL));
    wr_backend_completed(backend, id);
    uint32_t count;
    const struct wr_handle *chain = wr_backend_chain(backend, &count);
    uint64_t deltas = 0;
    for (uint32_t i = 1; i + 1 < count; i++)
      deltas += chain[i].length;
    CHECK(deltas <= chain[0].length / 2);
    if (count > longest) longest = count;
    bases += count == 1;
  }
  CHECK_INT(longest, 64);
  CHECK(bases > 5);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

/* The same rows again and again: what stands on the base holds each about twice at most, and no base is written anew. A
 * table of the base that was dropped stays dropped, and deleted rows stay deleted. */
TEST(same_rows_again) {
  struct test_world *world = test_world_new();
  struct wr_state *state, *other_state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state), *other;
  struct wr_table *table = wr_state_table(state, 0), *made;
  uint64_t longest = 0, delta;
  CHECK(write_keys(table, 0, 20000, 1, 1) && write_keys(wr_state_table(state, 1), 0, 100, 1, 1));
  for (uint64_t id = 1; id < 60; id++) {
    if (id > 1) CHECK(write_keys(table, 0, 1000, 20, (int64_t)id));
    if (id == 3) CHECK(delete_keys(table, 1, 5));
    if (id == 4) CHECK_INT(wr_state_drop(state, 1, NULL), WEIR_OK);
    if (id >= 5) CHECK((made = wr_state_table(state, (int64_t)id)) != NULL && write_keys(made, 0, 10, 1, 1));
    if (id >= 6) CHECK_INT(wr_state_drop(state, (int64_t)id - 1, NULL), WEIR_OK);
    CHECK(test_snapshot(world, backend, id, false, &delta));
    if (id % 7 == 6) { /* the outcome stays unknown, or it fails: the next holds it all */
      if (id % 2 == 0) wr_backend_aborted(backend, id);
      continue;
    }
    wr_backend_completed(backend, id);
    uint32_t count;
    const struct wr_handle *chain = wr_backend_chain(backend, &count);
    CHECK(id == 1 || (count > 1 && chain[0].length > delta * 10));
    longest = count > longest ? count : longest;
    other = restored(world, backend, &other_state);
    CHECK(other != NULL);
    CHECK_INT(wr_backend_row_count(other), id < 3 ? 20100 : id == 3 ? 20095 : id == 4 ? 19995 : 20005);
    int64_t key = 20 * 999;
    CHECK_INT(wr_table_prepare_bigints(wr_state_table(other_state, 0), &key, 1, WR_ACCESS_READ, NULL),
              WR_PREPARE_READY);
    CHECK_INT(*(int64_t *)wr_table_rows(wr_state_table(other_state, 0))[0], (int64_t)id);
    if (id % 3 == 0) { /* goes on from what was restored */
      wr_backend_free(backend);
      backend = other;
      state = other_state;
      table = wr_state_table(state, 0);
    } else {
      wr_backend_free(other);
    }
  }
  CHECK(longest >= 3 && longest <= 4);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

static bool completed_snapshot(struct test_world *world, struct wr_backend *backend, uint64_t id, bool full,
                               uint64_t *out_bytes) {
  bool is_done = test_snapshot(world, backend, id, full, out_bytes);
  wr_backend_completed(backend, id);
  return is_done;
}

/* A cumulative delta holds rows that changed long ago as they were at its freeze; a new base begins the count anew. */
TEST(cumulative_as_frozen) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state), *other;
  struct wr_table *table = wr_state_table(state, 0);
  uint64_t bytes = 0;
  CHECK(write_keys(table, 0, 20000, 1, 1) && completed_snapshot(world, backend, 1, false, NULL));
  for (uint64_t id = 2; id < 4; id++)
    CHECK(write_keys(table, 0, 1000, 1, (int64_t)id) && completed_snapshot(world, backend, id, false, NULL));
  CHECK_INT(chain_count(backend), 3);
  CHECK(write_keys(table, 5000, 1, 1, 4));
  CHECK_INT(wr_backend_freeze(backend, 4, false, NULL), WEIR_OK);
  struct wr_upload *upload = test_upload_new(world, NULL);
  CHECK(write_keys(table, 0, 1000, 1, 5)); /* none of them changed since checkpoint 3 */
  enum wr_snapshot_progress progress = WR_SNAPSHOT_MORE;
  while (progress < WR_SNAPSHOT_WRITTEN)
    progress = test_slice(backend, upload, 5000, NULL);
  struct wr_handle handle;
  CHECK(progress == WR_SNAPSHOT_WRITTEN && test_upload_end(upload, &handle));
  wr_backend_snapshot_uploaded(backend, 4, &handle);
  wr_backend_completed(backend, 4);
  CHECK_INT(chain_count(backend), 2);
  other = restored(world, backend, &state);
  CHECK(other != NULL);
  const int64_t keys[] = {0, 999, 5000};
  table = wr_state_table(state, 0);
  CHECK_INT(wr_table_prepare_bigints(table, keys, 3, WR_ACCESS_READ, NULL), WR_PREPARE_READY);
  for (int i = 0; i < 3; i++)
    CHECK_INT(*(int64_t *)wr_table_rows(table)[i], i < 2 ? 3 : 4);
  wr_backend_free(backend);
  CHECK(completed_snapshot(world, other, 5, true, NULL));
  for (uint64_t id = 6; id < 9; id++)
    CHECK(write_keys(table, 0, 10, 1, (int64_t)id) && completed_snapshot(world, other, id, false, &bytes));
  CHECK(chain_count(other) == 2 && bytes < 1000);
  wr_backend_free(other);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

/* Writes `count` keys from `first` on and takes a slice. */
static enum wr_snapshot_progress write_and_slice(struct wr_table *table, struct wr_backend *backend,
                                                 struct wr_upload *upload, int64_t first, int64_t count) {
  if (!write_keys(table, first, count, 1, 3)) return WR_SNAPSHOT_FAILED;
  return test_slice(backend, upload, 4 * 1024, NULL);
}

/* The pages of a delta wait while many of its rows are saved; not for few, not for long, and not where most are left.
 */
TEST(pages_wait_for_saved_rows) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state), *other;
  struct wr_table *table = wr_state_table(state, 0);
  struct wr_handle handle;
  CHECK(write_keys(table, 0, 300000, 1, 1) && completed_snapshot(world, backend, 1, false, NULL));
  CHECK(write_keys(table, 0, 80000, 1, 2));
  CHECK_INT(wr_backend_freeze(backend, 2, false, NULL), WEIR_OK);
  struct wr_upload *upload = test_upload_new(world, NULL);
  CHECK_INT(write_and_slice(table, backend, upload, 79000, 70), WR_SNAPSHOT_MORE); /* of 80,000 */
  CHECK_INT(write_and_slice(table, backend, upload, 78900, 63), WR_SNAPSHOT_MORE);
  CHECK_INT(write_and_slice(table, backend, upload, 299000, 500), WR_SNAPSHOT_MORE); /* not the delta's */
  for (int64_t i = 0; i < 50; i++)
    CHECK_INT(write_and_slice(table, backend, upload, 70000 + i * 100, 100), WR_SNAPSHOT_LATER);
  uint64_t length = wr_upload_length(upload);
  for (int i = 0; i < 15; i++)
    CHECK_INT(test_slice(backend, upload, 4 * 1024, NULL), WR_SNAPSHOT_LATER);
  CHECK_INT(wr_upload_length(upload), length);
  CHECK_INT(test_slice(backend, upload, 4 * 1024, NULL), WR_SNAPSHOT_MORE);
  CHECK(wr_upload_length(upload) > length);
  enum wr_snapshot_progress progress = WR_SNAPSHOT_MORE;
  while (progress < WR_SNAPSHOT_WRITTEN)
    progress = test_slice(backend, upload, 64 * 1024, NULL);
  CHECK(progress == WR_SNAPSHOT_WRITTEN && test_upload_end(upload, &handle));
  wr_backend_snapshot_uploaded(backend, 2, &handle);
  wr_backend_completed(backend, 2);
  other = restored(world, backend, &state);
  CHECK(other != NULL);
  table = wr_state_table(state, 0);
  for (int64_t key = 0; key < 300000; key++) {
    CHECK_INT(wr_table_prepare_bigints(table, &key, 1, WR_ACCESS_READ, NULL), WR_PREPARE_READY);
    CHECK_INT(*(int64_t *)wr_table_rows(table)[0], key < 80000 ? 2 : 1);
  }
  wr_backend_free(backend);
  wr_backend_free(other);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

enum { MANY_ROWS = 150000 };

/* Writes or deletes (number 0) `count` keys, and notes it. */
static bool change(struct wr_table *table, int64_t *model, int64_t first, int64_t count, int64_t step, int64_t number) {
  for (int64_t i = 0; i < count; i++)
    model[first + i * step] = number;
  return number != 0 ? write_keys(table, first, count, step, number) : delete_keys(table, first, count);
}

static uint64_t count_wrong(struct wr_table *table, const int64_t *model) {
  uint32_t cursor = 0, row_id;
  uint64_t wrong = 0, rows = 0;
  struct wr_key key;
  const void *value;
  while (wr_table_next(table, &cursor, &row_id, &key, &value)) {
    int64_t number;
    memcpy(&number, key.bytes, sizeof number);
    wrong += *(const int64_t *)value != model[number];
    rows++;
  }
  for (int64_t i = 0; i < MANY_ROWS; i++)
    rows -= model[i] != 0;
  return wrong + rows;
}

/* Rows of several ranges of row ids change while bases and deltas are written, until chunks of copies are full and used
 * again: what is stored is what was frozen. */
TEST(many_changes_as_frozen) {
  enum { SNAPSHOTS = 8 };
  static int64_t model[MANY_ROWS], frozen[MANY_ROWS];
  struct test_world *world = test_world_new();
  test_world_use_heap(world);
  struct wr_random random = wr_random_of(test_seed());
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state);
  struct wr_table *table = wr_state_table(state, 0);
  CHECK(change(table, model, 0, MANY_ROWS, 1, 1));
  for (int64_t number = 1; number <= SNAPSHOTS; number++) {
    struct weir_error error;
    struct wr_handle handle;
    CHECK(change(table, model, number * 7000, 8000, 1, number) && change(table, model, number * 9000, 50, 1, 0));
    memcpy(frozen, model, sizeof frozen);
    CHECK_INT(wr_backend_freeze(backend, (uint64_t)number, number == 5, &error), WEIR_OK);
    struct wr_upload *upload = test_upload_new(world, &error);
    while (test_slice(backend, upload, 4 * 1024, &error) < WR_SNAPSHOT_WRITTEN) {
      int64_t first = (int64_t)wr_random_below(&random, MANY_ROWS - 3000);
      CHECK(change(table, model, first, 300, 3, number + 100));
      if (wr_random_one_in(&random, 2)) CHECK(change(table, model, first + 50, 30, 1, 0));
    }
    CHECK(test_upload_end(upload, &handle));
    wr_backend_snapshot_uploaded(backend, (uint64_t)number, &handle);
    wr_backend_completed(backend, (uint64_t)number);
    struct wr_state *other_state;
    struct wr_backend *other = restored(world, backend, &other_state);
    CHECK(other != NULL);
    CHECK_INT(count_wrong(wr_state_table(other_state, 0), frozen), 0);
    wr_backend_free(other);
  }
  wr_backend_free(backend);
  test_world_free(world);
}

/* Rows that die in deltas leave a base that is mostly of the past: a new one is written. */
TEST(base_outlived) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state);
  uint64_t base = 0, later = 0;
  for (int64_t name_space = 0; name_space < 10; name_space++)
    CHECK(write_keys(wr_state_table(state, name_space), 0, 1000, 1, 1));
  CHECK(test_snapshot(world, backend, 1, false, &base));
  wr_backend_completed(backend, 1);
  for (uint64_t id = 2; id < 10; id++) {
    CHECK_INT(wr_state_drop(state, (int64_t)id, NULL), WEIR_OK);
    CHECK(test_snapshot(world, backend, id, false, &later));
    wr_backend_completed(backend, id);
    CHECK(later < 1000 || chain_count(backend) == 1);
    if (chain_count(backend) == 1) break;
  }
  CHECK_INT(wr_backend_row_count(backend), 4000);
  CHECK(later < base / 2);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

/* ---- what does not fit ---- */

static const struct weir_field int_value[] = {{.name = "n", .type = WEIR_TYPE_INT}};
static const struct weir_schema int_value_schema = {.fields = int_value, .field_count = 1};

static struct wr_backend *other_backend(struct test_world *world, const char *name, const struct weir_schema *value,
                                        uint32_t max_parallelism) {
  const struct wr_backend_options options = test_options(world, 0, 1, max_parallelism);
  const struct wr_state_descriptor descriptor = {.name = name, .key = &test_bigint_key_schema, .value = value};
  struct wr_backend *backend;
  struct wr_state *state;
  if (wr_backend_new(&options, &backend, NULL) != WEIR_OK) return NULL;
  return wr_backend_register(backend, &descriptor, &state, NULL) == WEIR_OK ? backend : NULL;
}

static void copy_line(void *argument, const char *text) {
  snprintf(argument, 512, "%s", text);
}

TEST(refusals) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct weir_error error;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state), *other;
  CHECK(write_keys(wr_state_table(state, 0), 0, 5000, 1, 1));
  CHECK(write_keys(wr_state_table(state, 9), 0, 10, 1, 1));
  CHECK(test_snapshot(world, backend, 1, false, NULL));
  wr_backend_completed(backend, 1);
  CHECK(delete_keys(wr_state_table(state, 0), 0, 1000));
  CHECK(test_snapshot(world, backend, 2, false, NULL));
  struct wr_backend_chain chain = {.range = {0, 128}};
  chain.handles = wr_backend_chain(backend, &chain.count);
  CHECK_INT(chain.count, 2);
  uint64_t dropped = 0;

  other = other_backend(world, "count", &int_value_schema, 128);
  CHECK_INT(wr_backend_restore(other, &world->store, &chain, 1, true, &dropped, &error), WEIR_INVALID);
  CHECK(strstr(error.message, "the value of state \"count\"") &&
        strstr(error.message, "stored (n BIGINT NOT NULL), now (n INT NOT NULL)"));
  wr_backend_free(other);
  other = other_backend(world, "sum", &test_count_value_schema, 128);
  CHECK_INT(wr_backend_restore(other, &world->store, &chain, 1, false, &dropped, &error), WEIR_INVALID);
  CHECK(strstr(error.message, "\"count\"") && strstr(error.message, "--allow-non-restored-state"));
  wr_backend_free(other);
  other = other_backend(world, "sum", &test_count_value_schema, 128);
  CHECK_INT(wr_backend_restore(other, &world->store, &chain, 1, true, &dropped, &error), WEIR_OK);
  CHECK_INT(dropped, 4010);
  CHECK_INT(chain_count(other), 0); /* what was dropped must not come back with the next checkpoint */
  wr_backend_free(other);
  other = other_backend(world, "count", &test_count_value_schema, 64);
  chain.range.end = 64;
  CHECK_INT(wr_backend_restore(other, &world->store, &chain, 1, true, &dropped, &error), WEIR_CORRUPT);
  wr_backend_free(other);
  other = other_backend(world, "count", &test_count_value_schema, 64);
  chain.range.end = 128;
  CHECK_INT(wr_backend_restore(other, &world->store, &chain, 1, true, &dropped, &error), WEIR_INVALID);
  CHECK(strstr(error.message, "maximum parallelism of 128") != NULL);
  wr_backend_free(other);
  /* A chain without its base, and one with a gap. */
  struct wr_backend_chain part = {.handles = chain.handles + 1, .count = 1, .range = {0, 128}};
  other = other_backend(world, "count", &test_count_value_schema, 128);
  CHECK_INT(wr_backend_restore(other, &world->store, &part, 1, true, &dropped, &error), WEIR_CORRUPT);
  wr_backend_free(other);

  char line[512];
  CHECK_INT(wr_backend_describe(&world->store, &chain, world->used, copy_line, line, &error), WEIR_OK);
  CHECK(strstr(line, "state \"count\": key (id BIGINT NOT NULL), value (n BIGINT NOT NULL), 4010 rows, ") == line);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

/* ---- damage behind the checksums ---- */

static const struct weir_field text_value[] = {{.name = "n", .type = WEIR_TYPE_INT, .nullable = true},
                                               {.name = "text", .type = WEIR_TYPE_STRING}};
static const struct weir_schema text_value_schema = {.fields = text_value, .field_count = 2};
static const struct weir_field text_key[] = {{.name = "name", .type = WEIR_TYPE_STRING}};
static const struct weir_schema text_key_schema = {.fields = text_key, .field_count = 1};

static const struct weir_field number_fields[] = {{.name = "number", .type = WEIR_TYPE_BIGINT}};
static const struct weir_schema number_schema = {.fields = number_fields, .field_count = 1};

/* Texts, which have bytes of their own, and numbers, whose rows are restored the short way. */
static struct wr_backend *text_backend(struct test_world *world, uint32_t subtask, uint32_t parallelism,
                                       struct wr_state **out_state) {
  const struct wr_backend_options options = test_options(world, subtask, parallelism, 16);
  const struct wr_state_descriptor texts = {.name = "texts", .key = &text_key_schema, .value = &text_value_schema};
  const struct wr_state_descriptor numbers = {.name = "numbers", .key = &number_schema, .value = &number_schema};
  struct wr_backend *backend;
  struct wr_state *ignored;
  if (wr_backend_new(&options, &backend, NULL) != WEIR_OK) return NULL;
  if (wr_backend_register(backend, &texts, out_state, NULL) == WEIR_OK &&
      wr_backend_register(backend, &numbers, &ignored, NULL) == WEIR_OK)
    return backend;
  wr_backend_free(backend);
  return NULL;
}

static bool write_texts(struct wr_table *table, uint32_t first, uint32_t count, bool deletes) {
  if (table == NULL) return false;
  for (uint32_t i = first; i < first + count; i++) {
    char text[80];
    int length = snprintf(text, sizeof text, i % 2 ? "%u" : "a key of many bytes, number %u", i);
    struct wr_key key = {.bytes = (const uint8_t *)text, .length = (uint32_t)length};
    if (wr_table_prepare(table, &key, 1, WR_ACCESS_WRITE, NULL) != WR_PREPARE_READY) return false;
    if (deletes) {
      wr_table_delete(table, 0);
    } else if (wr_value_set_bytes(table, wr_table_rows(table)[0], 1, text, (size_t)length - 1 + i % 2, NULL) !=
               WEIR_OK) {
      return false;
    }
  }
  return true;
}

/* A chain of a base and two deltas, small enough to be inline. */
static bool make_chain(struct test_world *world, struct wr_backend *backend, struct wr_state *state) {
  struct wr_state *numbers = wr_backend_find(backend, "numbers");
  if (!write_texts(wr_state_table(state, 1), 0, 120, false) || !write_texts(wr_state_table(state, 2), 0, 8, false) ||
      !write_keys(wr_state_table(numbers, 0), 0, 70, 1, 7))
    return false;
  if (!test_snapshot(world, backend, 1, false, NULL)) return false;
  wr_backend_completed(backend, 1);
  if (!write_texts(wr_state_table(state, 1), 10, 6, true) || wr_state_drop(state, 2, NULL) != WEIR_OK ||
      !delete_keys(wr_state_table(numbers, 0), 5, 4))
    return false;
  if (!test_snapshot(world, backend, 2, false, NULL)) return false;
  wr_backend_completed(backend, 2);
  if (!write_texts(wr_state_table(state, 1), 115, 8, false) || !write_texts(wr_state_table(state, 2), 3, 3, false) ||
      !write_keys(wr_state_table(numbers, 0), 68, 5, 1, 8))
    return false;
  return test_snapshot(world, backend, 3, false, NULL);
}

/* Restores it in one of several ways; what matters is that nothing breaks. */
static enum weir_code restore_texts(struct test_world *world, const struct wr_backend_chain *chain, uint32_t way,
                                    uint64_t *out_rows) {
  struct weir_error error = {0};
  uint64_t dropped = 0;
  struct wr_state *state;
  if (way == 2) {
    char line[512];
    return wr_backend_describe(&world->store, chain, world->used, copy_line, line, &error);
  }
  struct wr_backend *backend = text_backend(world, 0, way == 0 ? 1 : 2, &state);
  if (backend == NULL) return WEIR_NO_MEMORY;
  enum weir_code code = wr_backend_restore(backend, &world->store, chain, 1, true, &dropped, &error);
  *out_rows = wr_backend_row_count(backend);
  if (code == WEIR_OK &&
      (!write_texts(wr_state_table(state, 1), 0, 0, false) || wr_state_drop(state, 1, NULL) != WEIR_OK))
    code = WEIR_INTERNAL;
  wr_backend_free(backend);
  return code;
}

TEST(damage_behind_the_checksums) {
  struct test_world *world = test_world_new();
  struct wr_random random = wr_random_of(test_seed());
  struct wr_state *state;
  struct wr_backend *backend = text_backend(world, 0, 1, &state);
  CHECK(make_chain(world, backend, state));
  struct wr_backend_chain chain = {.range = {0, 16}};
  chain.handles = wr_backend_chain(backend, &chain.count);
  CHECK_INT(chain.count, 3);
  uint64_t rows, refused = 0, tries = 0;
  CHECK_INT(restore_texts(world, &chain, 0, &rows), WEIR_OK);
  CHECK_INT(rows, 120 - 6 + 3 + 3 + 70 - 4 + 3);
  uint64_t blocks = world->memory.living_count;
  for (uint32_t h = 0; h < 3; h++) {
    struct wr_handle handles[3];
    memcpy(handles, chain.handles, sizeof handles);
    CHECK(handles[h].file[0] == 0);
    size_t length = (size_t)handles[h].length;
    uint8_t *bytes = malloc(length);
    struct wr_backend_chain damaged = {.handles = handles, .count = 3, .range = {0, 16}};
    for (size_t place = 0; place < length; place++)
      for (uint32_t kind = 0; kind < 5; kind++) {
        memcpy(bytes, chain.handles[h].inline_bytes, length);
        handles[h].inline_bytes = bytes;
        handles[h].length = length;
        if (kind == 0) bytes[place] ^= (uint8_t)(1u << wr_random_below(&random, 8));
        if (kind == 1) bytes[place] = (uint8_t)wr_random_next(&random);
        if (kind == 2) bytes[place] = 0xff;
        if (kind == 3) memset(bytes + place, 0xff, length - place < 4 ? length - place : 4);
        if (kind == 4) handles[h].length = place;
        enum weir_code code = restore_texts(world, &damaged, (uint32_t)(place + kind) % 3, &rows);
        CHECK(code == WEIR_OK || code == WEIR_CORRUPT || code == WEIR_INVALID || code == WEIR_NEWER);
        CHECK(kind != 4 || code == WEIR_CORRUPT);
        refused += code != WEIR_OK;
        tries++;
      }
    free(bytes);
  }
  CHECK_INT(world->memory.living_count, blocks);
  printf("%" PRIu64 " damaged chains, %" PRIu64 " refused, the others differ in a value only\n", tries, refused);
  CHECK(refused * 3 > tries);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

/* The record of numbers at the end of the base: its head, then 70 row ids and rows. */
TEST(a_record_of_numbers_is_checked) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = text_backend(world, 0, 1, &state);
  CHECK(make_chain(world, backend, state));
  struct wr_backend_chain chain = {.count = 1, .range = {0, 16}};
  uint32_t count;
  struct wr_handle base = wr_backend_chain(backend, &count)[0];
  chain.handles = &base;
  size_t length = (size_t)base.length, record = length - (9 + 32) - (4 + 70 * (4 + 16));
  uint8_t *bytes = malloc(length);
  static const struct {
    size_t place; /* in the record */
    const char *message;
  } damages[] = {{0, "bytes of no row"}, {4 + 70 * 4 + 33 * 16, "one key twice"}};
  for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
    memcpy(bytes, wr_backend_chain(backend, &count)[0].inline_bytes, length);
    base.inline_bytes = bytes;
    CHECK_INT(bytes[record], 70);
    bytes[record + damages[i].place] ^= 3; /* 70 becomes 69 */
    struct wr_state *other_state;
    struct wr_backend *other = text_backend(world, 0, 1, &other_state);
    struct weir_error error = {0};
    uint64_t dropped;
    CHECK_INT(wr_backend_restore(other, &world->store, &chain, 1, false, &dropped, &error), WEIR_CORRUPT);
    CHECK(strstr(error.message, damages[i].message) != NULL);
    wr_backend_free(other);
  }
  free(bytes);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

/* ---- no memory ---- */

/* A whole life: changes, three snapshots, an abort, a restore at two parallelisms. */
static bool scenario(struct test_world *world) {
  struct wr_state *state;
  struct wr_backend *backend = text_backend(world, 0, 1, &state);
  if (backend == NULL) return false;
  bool is_done = make_chain(world, backend, state);
  struct wr_backend_chain chain = {.range = {0, 16}};
  chain.handles = wr_backend_chain(backend, &chain.count);
  uint64_t rows = 0;
  for (uint32_t way = 0; is_done && way < 3; way++)
    is_done = restore_texts(world, &chain, way, &rows) == WEIR_OK;
  if (is_done) {
    wr_backend_aborted(backend, 3);
    is_done = write_texts(wr_state_table(state, 1), 0, 50, true) &&
              wr_backend_freeze(backend, 4, true, NULL) == WEIR_OK &&
              write_texts(wr_state_table(state, 1), 0, 100, false);
  }
  wr_backend_free(backend);
  return is_done;
}

TEST(every_allocation_fails) {
  struct test_world *world = test_world_new();
  CHECK(scenario(world));
  uint64_t failures = 0;
  bool is_done = false;
  for (uint64_t fail = 1; !is_done; fail++) {
    for (int for_ever = 0; for_ever < 2; for_ever++) {
      test_memory_fail_after(&world->memory, fail, for_ever == 1);
      is_done = scenario(world);
      test_memory_fail_after(&world->memory, 0, false);
      failures += !is_done;
      CHECK_INT(world->memory.living_count, 0);
    }
  }
  printf("%" PRIu64 " times without memory\n", failures);
  CHECK(failures > 300);
  test_world_free(world);
}

TEST_MAIN(TEST_CASE(incremental), TEST_CASE(all_deleted), TEST_CASE(base_again), TEST_CASE(same_rows_again),
          TEST_CASE(cumulative_as_frozen), TEST_CASE(pages_wait_for_saved_rows), TEST_CASE(many_changes_as_frozen),
          TEST_CASE(base_outlived), TEST_CASE(refusals), TEST_CASE(damage_behind_the_checksums),
          TEST_CASE(a_record_of_numbers_is_checked), TEST_CASE(every_allocation_fails))
