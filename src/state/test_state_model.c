/* state/test_state_model.c: keyed state against a naive model, at random.
 *
 * A job of one to four subtasks keeps three states in four namespaces. Random changes go to the backends and to the
 * model, an array of every key that can be. Checkpoints freeze all subtasks and copy the model; their slices are
 * written between further changes. A checkpoint is completed, aborted or left open, with notices that get lost, and the
 * job is thrown away now and then and restored, at the same or another parallelism: what it then holds must be the
 * copy.
 */
#include "state/test_state.h"

enum {
  STATES = 3,
  SPACES = 4,
  KEYS = 600,
  SUBTASKS_MAX = 4,
  MAX_PARALLELISM = 16,
  NO_TEXT = UINT32_MAX,
};

struct model_row {
  bool lives;
  bool text_is_null;
  int64_t number;
  uint32_t text_length;
  uint32_t text_seed;
};
typedef struct model_row model_rows[STATES][SPACES][KEYS];

struct checkpoint {
  model_rows rows;
  uint32_t parallelism;
  struct wr_handle *handles[SUBTASKS_MAX];
  uint32_t handle_counts[SUBTASKS_MAX];
};

struct job {
  struct test_world *world;
  struct wr_random random;
  uint32_t parallelism;
  struct wr_backend *backends[SUBTASKS_MAX];
  struct wr_state *states[SUBTASKS_MAX][STATES];
  struct wr_upload *uploads[SUBTASKS_MAX]; /* NULL: written */
  bool is_running;                         /* a checkpoint */
  uint64_t checkpoint_id;
  model_rows rows;
  struct checkpoint pending, completed;
  bool has_completed;
  uint32_t handle_counts[SUBTASKS_MAX]; /* of the last checkpoint that was uploaded */
  uint64_t restores, deltas, cumulatives, bases;
};

static const struct weir_field string_key[] = {{.name = "name", .type = WEIR_TYPE_STRING, .nullable = true}};
static const struct weir_field pair_key[] = {{.name = "a", .type = WEIR_TYPE_INT},
                                             {.name = "b", .type = WEIR_TYPE_STRING}};
static const struct weir_field value0[] = {{.name = "number", .type = WEIR_TYPE_BIGINT},
                                           {.name = "text", .type = WEIR_TYPE_STRING, .nullable = true}};
static const struct weir_field value1[] = {{.name = "flag", .type = WEIR_TYPE_BOOLEAN},
                                           {.name = "number", .type = WEIR_TYPE_BIGINT},
                                           {.name = "unused", .type = WEIR_TYPE_INT},
                                           {.name = "text", .type = WEIR_TYPE_BYTES},
                                           {.name = "at", .type = WEIR_TYPE_TIMESTAMP}};
static const struct weir_schema keys[STATES] = {{.fields = test_bigint_key, .field_count = 1},
                                                {.fields = string_key, .field_count = 1},
                                                {.fields = pair_key, .field_count = 2}};
static const struct weir_schema values[STATES] = {{.fields = value0, .field_count = 2},
                                                  {.fields = value1, .field_count = 5},
                                                  {.fields = test_count_value, .field_count = 1}};
static const char *const names[STATES] = {"numbers", "names", "pairs"};
static const uint32_t number_field[STATES] = {0, 1, 0}, text_field[STATES] = {1, 3, NO_TEXT};

/* ---- keys and values ---- */

struct key_buffer {
  uint8_t bytes[2200];
};

/* The canonical key number `number` of a state: short, long and NULL ones. */
static struct wr_key make_key(uint32_t state, uint32_t number, struct key_buffer *buffer) {
  uint8_t *to = buffer->bytes;
  uint32_t length = number % 7 == 0 ? 100 + number % 1900 : number % 20;
  if (state == 0) {
    int64_t key = (int64_t)number * 1000003 - 50;
    memcpy(to, &key, 8);
    return (struct wr_key){.bytes = to, .length = 8};
  }
  if (state == 2) {
    to[0] = 1;
    memcpy(to + 1, &number, 4);
    to[5] = 1;
    memcpy(to + 6, &length, 4);
    memset(to + 10, 'x', length);
    return (struct wr_key){.bytes = to, .length = 10 + length};
  }
  if (number == 1) return (struct wr_key){.bytes = to, .is_null = true};
  if (number == 0) return (struct wr_key){.bytes = to}; /* the empty string */
  if (length < 4) length = 4;
  memset(to, 'k', length);
  memcpy(to, &number, 4);
  return (struct wr_key){.bytes = to, .length = length};
}

static uint32_t owner_of(const struct job *job, const struct wr_key *key) {
  uint32_t group = wr_key_group(wr_hash_key(key->bytes, key->length), MAX_PARALLELISM);
  return wr_key_group_subtask(group, job->parallelism, MAX_PARALLELISM);
}

static void make_text(const struct model_row *row, uint8_t *text) {
  struct wr_random random = wr_random_of(row->text_seed);
  for (uint32_t i = 0; i < row->text_length; i++)
    text[i] = (uint8_t)wr_random_next(&random);
}

static uint8_t text_buffer[70000];

static bool row_is_right(const struct wr_table *table, uint32_t state, const void *value, const struct model_row *row) {
  const struct wr_state *const *unused = NULL;
  (void)unused;
  int64_t number;
  memcpy(&number, (const uint8_t *)value + (state == 1 ? 8 : 0), sizeof number);
  if (number != row->number) return false;
  if (text_field[state] == NO_TEXT) return true;
  if (state == 0 && wr_value_is_null(table, value, 1) != row->text_is_null) return false;
  size_t length = 0;
  const char *text = wr_value_bytes(table, value, text_field[state], &length);
  if (length != row->text_length) return false;
  make_text(row, text_buffer);
  return memcmp(text, text_buffer, length) == 0;
}

/* ---- changes ---- */

static bool change_row(struct job *job, struct wr_table *table, uint32_t state, void *value, struct model_row *row) {
  struct weir_error error;
  row->number = (int64_t)wr_random_next(&job->random);
  memcpy((uint8_t *)value + wr_state_value_offset(job->states[0][state], number_field[state]), &row->number, 8);
  if (text_field[state] == NO_TEXT || !wr_random_one_in(&job->random, 2)) return true;
  static const uint32_t limits[] = {8, 14, 40, 200, 3000, 70000};
  uint32_t pick = (uint32_t)wr_random_below(&job->random, 60);
  row->text_length = (uint32_t)wr_random_below(&job->random, limits[pick < 12    ? pick % 4
                                                                    : pick < 14  ? 4
                                                                    : pick == 14 ? 5
                                                                                 : pick % 3]);
  row->text_seed = (uint32_t)wr_random_next(&job->random);
  make_text(row, text_buffer);
  if (wr_value_set_bytes(table, value, text_field[state], text_buffer, row->text_length, &error) != WEIR_OK)
    return false;
  if (state == 0) {
    row->text_is_null = wr_random_one_in(&job->random, 3);
    wr_value_set_null(table, value, 1, row->text_is_null);
  }
  return true;
}

/* One prepare with up to 40 keys of one table: reads, writes or deletes them. */
static bool access_rows(struct job *job) {
  uint32_t state = (uint32_t)wr_random_below(&job->random, STATES);
  uint32_t space = (uint32_t)wr_random_below(&job->random, SPACES);
  uint32_t subtask = (uint32_t)wr_random_below(&job->random, job->parallelism);
  uint32_t n = 0, want = 1 + (uint32_t)wr_random_below(&job->random, 40),
           what = (uint32_t)wr_random_below(&job->random, 4);
  static struct key_buffer buffers[40];
  struct wr_key list[40];
  uint32_t numbers[40];
  struct weir_error error;
  uint32_t near = (uint32_t)wr_random_below(&job->random, KEYS), width = wr_random_one_in(&job->random, 2) ? KEYS : 20;
  for (uint32_t tries = 0; tries < want; tries++) {
    numbers[n] = (near + (uint32_t)wr_random_below(&job->random, width)) % KEYS;
    list[n] = make_key(state, numbers[n], &buffers[n]);
    if (owner_of(job, &list[n]) == subtask) n++;
  }
  struct wr_table *table = wr_state_table(job->states[subtask][state], (int64_t)space - 1);
  enum wr_access access = what == 0 ? WR_ACCESS_READ : WR_ACCESS_WRITE;
  enum wr_prepare prepared;
  do {
    prepared = wr_table_prepare(table, list, n, access, &error);
  } while (prepared == WR_PREPARE_WAIT);
  if (prepared != WR_PREPARE_READY) return false;
  for (uint32_t i = 0; i < n; i++) {
    struct model_row *row = &job->rows[state][space][numbers[i]];
    void *value = wr_table_rows(table)[i];
    bool is_new = wr_table_row_is_new(table)[i] != 0;
    if (access == WR_ACCESS_READ) {
      if ((value != NULL) != row->lives || is_new) return false;
      if (value != NULL && !row_is_right(table, state, value, row)) return false;
      continue;
    }
    if (value == NULL || is_new == row->lives) return false;
    if (is_new) *row = (struct model_row){.lives = true};
    if (!row_is_right(table, state, value, row) || !change_row(job, table, state, value, row)) return false;
  }
  if (what == 1)
    for (uint32_t i = 0; i < n; i++) {
      wr_table_delete(table, i);
      job->rows[state][space][numbers[i]] = (struct model_row){0};
    }
  return true;
}

static bool drop_space(struct job *job) {
  uint32_t state = (uint32_t)wr_random_below(&job->random, STATES);
  uint32_t space = (uint32_t)wr_random_below(&job->random, SPACES);
  for (uint32_t i = 0; i < job->parallelism; i++)
    if (wr_state_drop(job->states[i][state], (int64_t)space - 1, NULL) != WEIR_OK) return false;
  memset(job->rows[state][space], 0, sizeof job->rows[state][space]);
  return true;
}

/* ---- the whole ---- */

static uint64_t count_rows(model_rows rows) {
  uint64_t count = 0;
  for (uint32_t s = 0; s < STATES; s++)
    for (uint32_t n = 0; n < SPACES; n++)
      for (uint32_t k = 0; k < KEYS; k++)
        count += rows[s][n][k].lives;
  return count;
}

/* Every row of the model is where it belongs, as it should be, and there is no other. */
static bool job_is_right(struct job *job) {
  uint64_t walked = 0, counted = 0;
  for (uint32_t i = 0; i < job->parallelism; i++) {
    counted += wr_backend_row_count(job->backends[i]);
    for (uint32_t s = 0; s < STATES; s++) {
      int64_t cursor = INT64_MIN;
      struct wr_table *table;
      while (wr_state_next_namespace(job->states[i][s], &cursor, &table)) {
        uint32_t row_cursor = 0, row_id, before = 0;
        struct wr_key key;
        const void *value;
        for (uint64_t rows = 0; wr_table_next(table, &row_cursor, &row_id, &key, &value); rows++, walked++) {
          if (rows != 0 && row_id <= before) return false;
          before = row_id;
        }
      }
    }
  }
  uint64_t expected = count_rows(job->rows);
  if (walked != expected || counted != expected) return false;
  for (uint32_t s = 0; s < STATES; s++)
    for (uint32_t n = 0; n < SPACES; n++)
      for (uint32_t k = 0; k < KEYS; k++) {
        struct key_buffer buffer;
        struct wr_key key = make_key(s, k, &buffer);
        struct wr_table *table = wr_state_table(job->states[owner_of(job, &key)][s], (int64_t)n - 1);
        while (wr_table_prepare(table, &key, 1, WR_ACCESS_READ, NULL) != WR_PREPARE_READY) {
        }
        const void *value = wr_table_rows(table)[0];
        const struct model_row *row = &job->rows[s][n][k];
        if ((value != NULL) != row->lives || (value != NULL && !row_is_right(table, s, value, row))) return false;
      }
  return true;
}

static bool start(struct job *job) {
  struct weir_error error;
  for (uint32_t i = 0; i < job->parallelism; i++) {
    struct wr_backend_options options = test_options(job->world, i, job->parallelism, MAX_PARALLELISM);
    options.wait_one_in = 4;
    options.wait_seed = wr_random_next(&job->random);
    if (wr_backend_new(&options, &job->backends[i], &error) != WEIR_OK) return false;
    for (uint32_t s = 0; s < STATES; s++) {
      const struct wr_state_descriptor descriptor = {.name = names[s], .key = &keys[s], .value = &values[s]};
      if (wr_backend_register(job->backends[i], &descriptor, &job->states[i][s], &error) != WEIR_OK) return false;
    }
  }
  return true;
}

static void throw_away(struct job *job) {
  for (uint32_t i = 0; i < job->parallelism; i++) {
    wr_backend_free(job->backends[i]);
    job->backends[i] = NULL;
    wr_upload_free(job->uploads[i]);
    job->uploads[i] = NULL;
  }
  job->is_running = false;
}

static void clear_checkpoint(struct job *job, struct checkpoint *checkpoint) {
  for (uint32_t i = 0; i < SUBTASKS_MAX; i++) {
    for (uint32_t h = 0; h < checkpoint->handle_counts[i]; h++)
      wr_handle_deinit(&job->world->beyond.memory, &checkpoint->handles[i][h]);
    free(checkpoint->handles[i]);
    checkpoint->handles[i] = NULL;
    checkpoint->handle_counts[i] = 0;
  }
}

static bool restore(struct job *job) {
  struct weir_error error = {0};
  throw_away(job);
  if (wr_random_one_in(&job->random, 2)) job->parallelism = 1 + (uint32_t)wr_random_below(&job->random, SUBTASKS_MAX);
  if (!start(job)) return false;
  memset(job->rows, 0, sizeof job->rows);
  if (!job->has_completed) return true;
  struct wr_backend_chain chains[SUBTASKS_MAX];
  const struct checkpoint *from = &job->completed;
  for (uint32_t i = 0; i < from->parallelism; i++)
    chains[i] = (struct wr_backend_chain){.handles = from->handles[i],
                                          .count = from->handle_counts[i],
                                          .range = wr_key_group_range_of(i, from->parallelism, MAX_PARALLELISM)};
  for (uint32_t i = 0; i < job->parallelism; i++) {
    uint64_t dropped = 0;
    bool is_same = from->parallelism == job->parallelism;
    enum weir_code code = wr_backend_restore(job->backends[i], &job->world->store, is_same ? &chains[i] : chains,
                                             is_same ? 1 : from->parallelism, false, &dropped, &error);
    if (code != WEIR_OK || dropped != 0) {
      fprintf(stderr, "restore: %s\n", error.message);
      return false;
    }
  }
  memcpy(job->rows, from->rows, sizeof job->rows);
  job->restores++;
  return job_is_right(job);
}

/* ---- checkpoints ---- */

static bool begin_checkpoint(struct job *job) {
  job->checkpoint_id++;
  bool full = wr_random_one_in(&job->random, 12);
  for (uint32_t i = 0; i < job->parallelism; i++) {
    if (wr_backend_freeze(job->backends[i], job->checkpoint_id, full, NULL) != WEIR_OK) return false;
    job->uploads[i] = test_upload_new(job->world, NULL);
  }
  memcpy(job->pending.rows, job->rows, sizeof job->rows);
  job->pending.parallelism = job->parallelism;
  job->is_running = true;
  return true;
}

static void abort_checkpoint(struct job *job) {
  for (uint32_t i = 0; i < job->parallelism; i++) {
    if (wr_random_one_in(&job->random, 2)) {
      wr_backend_aborted(job->backends[i], job->checkpoint_id);
    } else {
      wr_backend_snapshot_cancel(job->backends[i]);
    }
    wr_upload_free(job->uploads[i]);
    job->uploads[i] = NULL;
  }
  job->is_running = false;
}

static bool keep_chains(struct job *job) {
  clear_checkpoint(job, &job->pending);
  for (uint32_t i = 0; i < job->parallelism; i++) {
    uint32_t count;
    const struct wr_handle *chain = wr_backend_chain(job->backends[i], &count);
    job->pending.handles[i] = calloc(count + 1, sizeof(struct wr_handle));
    for (uint32_t h = 0; h < count; h++)
      if (wr_handle_copy(&job->world->beyond.memory, &chain[h], &job->pending.handles[i][h], NULL) != WEIR_OK)
        return false;
    job->pending.handle_counts[i] = count;
    job->cumulatives += count > 1 && count <= job->handle_counts[i] && chain != NULL;
    job->handle_counts[i] = count;
    *(count > 1 ? &job->deltas : &job->bases) += 1;
  }
  return true;
}

/* All is uploaded: the checkpoint completes (some may not hear of it), fails, or nobody ever says. */
static bool end_checkpoint(struct job *job) {
  job->is_running = false;
  uint32_t outcome = (uint32_t)wr_random_below(&job->random, 10);
  if (!keep_chains(job)) return false;
  if (outcome == 0) return true;
  for (uint32_t i = 0; i < job->parallelism; i++) {
    if (wr_random_one_in(&job->random, 5)) continue;
    if (outcome < 3) {
      wr_backend_aborted(job->backends[i], job->checkpoint_id);
    } else {
      wr_backend_completed(job->backends[i], job->checkpoint_id);
      if (wr_random_one_in(&job->random, 4)) wr_backend_aborted(job->backends[i], job->checkpoint_id);
    }
    wr_backend_aborted(job->backends[i], job->checkpoint_id - 1);
  }
  if (outcome < 3) return true;
  clear_checkpoint(job, &job->completed);
  job->completed = job->pending;
  memset(job->pending.handles, 0, sizeof job->pending.handles);
  memset(job->pending.handle_counts, 0, sizeof job->pending.handle_counts);
  job->has_completed = true;
  return true;
}

static bool step_checkpoint(struct job *job) {
  uint32_t i = (uint32_t)wr_random_below(&job->random, job->parallelism);
  static const size_t budgets[] = {1, 100, 1000, 5000, 50000};
  if (job->uploads[i] != NULL) {
    size_t budget = budgets[wr_random_below(&job->random, 5)];
    enum wr_snapshot_progress progress = test_slice(job->backends[i], job->uploads[i], budget, NULL);
    if (progress == WR_SNAPSHOT_FAILED) return false;
    if (progress == WR_SNAPSHOT_WRITTEN) {
      struct wr_handle handle;
      if (!test_upload_end(job->uploads[i], &handle)) return false;
      job->uploads[i] = NULL;
      wr_backend_snapshot_uploaded(job->backends[i], job->checkpoint_id, &handle);
    }
  }
  for (uint32_t u = 0; u < job->parallelism; u++)
    if (job->uploads[u] != NULL) return true;
  return end_checkpoint(job);
}

static bool one_step(struct job *job) {
  if (job->is_running) {
    if (wr_random_one_in(&job->random, 600))
      abort_checkpoint(job);
    else if (wr_random_one_in(&job->random, 3))
      return step_checkpoint(job);
  } else if (wr_random_one_in(&job->random, 10)) {
    return begin_checkpoint(job);
  }
  if (wr_random_one_in(&job->random, 500)) return restore(job);
  if (wr_random_one_in(&job->random, 80)) return drop_space(job);
  if (wr_random_one_in(&job->random, 100)) return job_is_right(job);
  return access_rows(job);
}

static bool run_job(uint64_t seed, uint32_t steps, uint64_t *out_cumulatives) {
  struct job *job = calloc(1, sizeof *job);
  job->world = test_world_new();
  job->random = wr_random_of(seed);
  job->parallelism = 1 + (uint32_t)wr_random_below(&job->random, SUBTASKS_MAX);
  bool is_right = start(job);
  for (uint32_t i = 0; is_right && i < steps; i++) {
    is_right = one_step(job);
    if (!is_right) fprintf(stderr, "seed %" PRIu64 ": wrong at step %u\n", seed, i);
  }
  is_right = is_right && job_is_right(job) && restore(job);
  throw_away(job);
  clear_checkpoint(job, &job->pending);
  clear_checkpoint(job, &job->completed);
  if (is_right && job->world->memory.living_count != 0) {
    fprintf(stderr, "seed %" PRIu64 ": %" PRIu64 " blocks leaked\n", seed, job->world->memory.living_count);
    is_right = false;
  }
  if (is_right && (job->deltas == 0 || job->bases == 0) && steps > 2000) is_right = false;
  *out_cumulatives += job->cumulatives;
  test_world_free(job->world);
  free(job);
  return is_right;
}

TEST(model) {
  uint64_t seed = test_seed();
  uint64_t cumulatives = 0;
  for (uint32_t i = 0; i < 12; i++)
    CHECK(run_job(seed + i, 6000, &cumulatives));
  printf("%" PRIu64 " cumulative deltas\n", cumulatives);
  CHECK(cumulatives > 0);
}

TEST_MAIN(TEST_CASE(model))
