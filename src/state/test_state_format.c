/* state/test_state_format.c: the bytes of snapshots are what they were: a base and a delta of a small fixed state, kept
 * here in hexadecimal for each format. What is written must be the last format's bytes, and all must be readable,
 * whatever becomes of the code. A new format gets new bytes beside these, which stay. */
#include "state/test_state.h"

/* clang-format off */
static const struct golden {
  const char *base, *delta;
} goldens[] = {
  {
#include "state/test_golden_v1_base.inc"
  ,
#include "state/test_golden_v1_delta.inc"
  },
  {
#include "state/test_golden_v2_base.inc"
  ,
#include "state/test_golden_v2_delta.inc"
  },
};
enum { FORMATS = sizeof goldens / sizeof goldens[0] };
/* clang-format on */

static const struct weir_field name_key[] = {{.name = "name", .type = WEIR_TYPE_STRING, .nullable = true}};
static const struct weir_field text_value[] = {{.name = "flag", .type = WEIR_TYPE_BOOLEAN},
                                               {.name = "at", .type = WEIR_TYPE_TIMESTAMP},
                                               {.name = "text", .type = WEIR_TYPE_STRING, .nullable = true}};
static const struct weir_schema name_key_schema = {.fields = name_key, .field_count = 1};
static const struct weir_schema text_value_schema = {.fields = text_value, .field_count = 3};

struct small_job {
  struct wr_backend *backend;
  struct wr_state *counts, *texts;
  struct wr_timers *timers;
};

static bool start(struct test_world *world, struct small_job *job) {
  const struct wr_backend_options options = test_options(world, 0, 1, 128);
  const struct wr_state_descriptor counts = {
      .name = "counts", .key = &test_bigint_key_schema, .value = &test_count_value_schema};
  const struct wr_state_descriptor texts = {
      .name = "texts", .key = &name_key_schema, .value = &text_value_schema, .time_to_live_ms = 60000};
  return wr_backend_new(&options, &job->backend, NULL) == WEIR_OK &&
         wr_backend_register(job->backend, &counts, &job->counts, NULL) == WEIR_OK &&
         wr_backend_register(job->backend, &texts, &job->texts, NULL) == WEIR_OK &&
         wr_timers_new(job->backend, world->used, "timers", &name_key_schema, &job->timers, NULL) == WEIR_OK;
}

static void stop(struct small_job *job) {
  wr_timers_free(job->timers);
  wr_backend_free(job->backend);
}

static bool set_count(struct small_job *job, int64_t name_space, int64_t key, int64_t count) {
  struct wr_table *table = wr_state_table(job->counts, name_space);
  if (wr_table_prepare_bigints(table, &key, 1, WR_ACCESS_WRITE, NULL) != WR_PREPARE_READY) return false;
  *(int64_t *)wr_table_rows(table)[0] = count;
  return true;
}

static bool set_text(struct small_job *job, const char *name, const char *text) {
  struct wr_table *table = wr_state_table(job->texts, 0);
  struct wr_key key = {.bytes = (const uint8_t *)(name == NULL ? "" : name), .is_null = name == NULL};
  key.length = (uint32_t)strlen((const char *)key.bytes);
  if (wr_table_prepare(table, &key, 1, WR_ACCESS_WRITE, NULL) != WR_PREPARE_READY) return false;
  uint8_t *value = wr_table_rows(table)[0];
  const struct weir_timestamp at = {.milliseconds = 1700000000000, .nanoseconds = 123};
  value[0] = 1;
  memcpy(value + wr_state_value_offset(job->texts, 1), &at, sizeof at);
  wr_value_set_null(table, value, 2, text == NULL);
  return wr_value_set_bytes(table, value, 2, text, text == NULL ? 0 : strlen(text), NULL) == WEIR_OK;
}

static bool delete_count(struct small_job *job, int64_t name_space, int64_t key) {
  if (!set_count(job, name_space, key, 0)) return false;
  wr_table_delete(wr_state_table(job->counts, name_space), 0);
  return true;
}

static bool first_half(struct small_job *job) {
  const struct wr_key key = {.bytes = (const uint8_t *)"app1", .length = 4}, null_key = {.is_null = true};
  bool is_done = set_count(job, -1, 42, 8) && set_count(job, 7, 1, 1);
  for (int64_t i = 0; i < 6; i++)
    is_done = is_done && set_count(job, 0, i * 1000000007, i);
  return is_done && set_text(job, NULL, NULL) && set_text(job, "", "short") && set_text(job, "app1", "") &&
         set_text(job, "a name longer than twelve bytes", "a text longer than twelve bytes") &&
         wr_timers_register(job->timers, 1000, &key, NULL) == WEIR_OK &&
         wr_timers_register(job->timers, -5, &null_key, NULL) == WEIR_OK;
}

static bool second_half(struct small_job *job) {
  return set_count(job, 0, 2000000014, 77) && delete_count(job, 0, 0) && set_count(job, -1, 42, 9) &&
         wr_state_drop(job->counts, 7, NULL) == WEIR_OK && set_count(job, 7, 2, 2) &&
         set_text(job, "app1", "a text that became longer");
}

static bool is_what_it_was(struct small_job *job) {
  static const int64_t keys[] = {0, 1000000007, 2000000014, 3000000021, 4000000028, 5000000035};
  static const int64_t counts[] = {-1, 1, 77, 3, 4, 5};
  struct wr_table *table = wr_state_table(job->counts, 0);
  if (wr_backend_row_count(job->backend) != 5 + 1 + 1 + 4 + 2 || wr_timers_count(job->timers) != 2) return false;
  if (wr_table_prepare_bigints(table, keys, 6, WR_ACCESS_READ, NULL) != WR_PREPARE_READY) return false;
  for (uint32_t i = 0; i < 6; i++) {
    const int64_t *count = wr_table_rows(table)[i];
    if (count == NULL ? counts[i] != -1 : *count != counts[i]) return false;
  }
  const struct wr_key key = {.bytes = (const uint8_t *)"app1", .length = 4};
  table = wr_state_table(job->texts, 0);
  if (wr_table_prepare(table, &key, 1, WR_ACCESS_READ, NULL) != WR_PREPARE_READY) return false;
  size_t length;
  const char *text = wr_value_bytes(table, wr_table_rows(table)[0], 2, &length);
  return length == 25 && memcmp(text, "a text that became longer", 25) == 0 && wr_timers_next_time(job->timers) == -5;
}

static bool is_golden(const struct wr_handle *handle, const char *golden) {
  char *text = malloc((size_t)handle->length * 2 + 1);
  for (size_t i = 0; i < handle->length; i++)
    snprintf(text + 2 * i, 3, "%02x", handle->inline_bytes[i]);
  bool is_equal = strcmp(text, golden) == 0;
  if (!is_equal) fprintf(stderr, "written: %s\n", text);
  free(text);
  return is_equal;
}

static struct wr_handle handle_of(const char *golden, uint8_t *bytes) {
  size_t length = strlen(golden) / 2;
  for (size_t i = 0; i < length; i++) {
    const char digits[] = {golden[2 * i], golden[2 * i + 1], 0};
    bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  return (struct wr_handle){.inline_bytes = bytes, .length = length};
}

TEST(written) {
  struct test_world *world = test_world_new();
  struct small_job job;
  CHECK(start(world, &job) && first_half(&job));
  CHECK(test_snapshot(world, job.backend, 100, false, NULL));
  wr_backend_completed(job.backend, 100);
  CHECK(second_half(&job));
  CHECK(test_snapshot(world, job.backend, 101, false, NULL));
  uint32_t count;
  const struct wr_handle *chain = wr_backend_chain(job.backend, &count);
  CHECK_INT(count, 2);
  bool is_base_golden = is_golden(&chain[0], goldens[FORMATS - 1].base);
  bool is_delta_golden = is_golden(&chain[1], goldens[FORMATS - 1].delta);
  CHECK(is_base_golden && is_delta_golden);
  stop(&job);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

static void check_readable(const struct golden *golden) {
  struct test_world *world = test_world_new();
  struct small_job job;
  static uint8_t base[10000], delta[10000];
  const struct wr_handle handles[] = {handle_of(golden->base, base), handle_of(golden->delta, delta)};
  const struct wr_backend_chain chain = {.handles = handles, .count = 2, .range = {0, 128}};
  struct weir_error error;
  uint64_t dropped;
  CHECK(start(world, &job));
  CHECK_INT(wr_backend_restore(job.backend, &world->store, &chain, 1, false, &dropped, &error), WEIR_OK);
  CHECK_INT(wr_timers_restored(job.timers, NULL), WEIR_OK);
  CHECK(is_what_it_was(&job));
  stop(&job);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

TEST(readable) {
  for (size_t i = 0; i < FORMATS; i++)
    check_readable(&goldens[i]);
}

/* Below their checksums the bytes of the old format may be anything: it is an error or another value, never a crash. */
TEST(old_bytes_that_are_damaged) {
  static uint8_t base[10000], delta[10000];
  const struct wr_handle handles[] = {handle_of(goldens[0].base, base), handle_of(goldens[0].delta, delta)};
  const struct wr_backend_chain chain = {.handles = handles, .count = 2, .range = {0, 128}};
  uint32_t refused = 0, groups_refused = 0;
  for (size_t place = 0; place < handles[0].length + handles[1].length; place++) {
    struct test_world *world = test_world_new();
    struct small_job job;
    struct weir_error error = {.code = WEIR_OK};
    uint64_t dropped;
    uint8_t *byte = place < handles[0].length ? &base[place] : &delta[place - handles[0].length];
    *byte ^= 0x55;
    CHECK(start(world, &job));
    enum weir_code code = wr_backend_restore(job.backend, &world->store, &chain, 1, false, &dropped, &error);
    CHECK(code == WEIR_OK || code == WEIR_CORRUPT || code == WEIR_INVALID || code == WEIR_NEWER);
    refused += code != WEIR_OK;
    groups_refused += code != WEIR_OK && strstr(error.message, "key group") != NULL;
    *byte ^= 0x55;
    stop(&job);
    CHECK_INT(world->memory.living_count, 0);
    test_world_free(world);
  }
  CHECK(refused > handles[0].length && groups_refused > 2 * 20);
}

TEST_MAIN(TEST_CASE(written), TEST_CASE(readable), TEST_CASE(old_bytes_that_are_damaged))
