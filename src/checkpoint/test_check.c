/* checkpoint/test_check.c: what `weir check` says of a sound folder, of each kind of damage, and reading rows back. */
#include "base/test.h"
#include "checkpoint/check.h"
#include "checkpoint/test_sample.h"
#include "state/state.h"
#include "store/test_files.h"

static const struct weir_field key_fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema key_schema = {key_fields, 1};
static const struct weir_field value_fields[] = {
    {"count", WEIR_TYPE_BIGINT, false}, {"last", WEIR_TYPE_STRING, true}, {"mean", WEIR_TYPE_DOUBLE, false}};
static const struct weir_schema value_schema = {value_fields, 3};

static void drive(struct test_files *test, struct wr_upload *upload, struct wr_handle *out_handle) {
  uint64_t wake_at = UINT64_MAX;
  wr_upload_finish(upload);
  while (wr_upload_step(upload, 0, &wake_at) != WR_UPLOAD_DONE)
    WR_ASSERT(test_files_run_calls(test) == 1);
  wr_upload_take_handle(upload, out_handle);
  wr_upload_free(upload);
}

/* `rows` keys app0, app1 ... with counts 1000, 1001 ...; key groups 64 to 128 as subtask 1 of 2 has them (keys of other
 * groups are left out). Base only. */
static struct wr_handle make_state(struct test_files *test, struct wr_store *store, int rows) {
  struct wr_memory *memory = &test->memory.memory;
  struct wr_backend_options options = {.memory = memory, .range = {64, 128}, .max_parallelism = 128};
  struct wr_backend *backend = NULL;
  struct wr_state *state = NULL;
  struct wr_state_descriptor descriptor = {.name = "counts", .key = &key_schema, .value = &value_schema};
  WR_ASSERT(wr_backend_new(&options, &backend, NULL) == WEIR_OK);
  WR_ASSERT(wr_backend_register(backend, &descriptor, &state, NULL) == WEIR_OK);
  struct wr_table *table = wr_state_table(state, 0);
  for (int i = 0; i < rows; i++) {
    char text[32];
    struct wr_key key = {.bytes = (const uint8_t *)text, .length = (uint32_t)snprintf(text, sizeof text, "app%d", i)};
    if (wr_key_group(wr_hash_key(key.bytes, key.length), 128) < 64) continue;
    WR_ASSERT(wr_table_prepare(table, &key, 1, WR_ACCESS_WRITE, NULL) == WR_PREPARE_READY);
    uint8_t *value = wr_table_rows(table)[0];
    int64_t count = 1000 + i;
    double mean = 0.5;
    memcpy(value + wr_state_value_offset(state, 0), &count, 8);
    memcpy(value + wr_state_value_offset(state, 2), &mean, 8);
    wr_value_set_null(table, value, 1, i % 2 == 0);
    if (i % 2 == 1) WR_ASSERT(wr_value_set_bytes(table, value, 1, "a\nb", 3, NULL) == WEIR_OK);
  }
  WR_ASSERT(wr_backend_freeze(backend, 41, true, NULL) == WEIR_OK);
  struct wr_upload_options upload_options = {.kind = WR_BLOB_STATE, .uid = "count", .subtask = 1};
  struct wr_upload *upload = NULL;
  WR_ASSERT(wr_upload_new(store, &upload_options, &test->waker, &upload, NULL) == WEIR_OK);
  while (wr_backend_snapshot_step(backend, upload, 1 << 16, NULL) < WR_SNAPSHOT_WRITTEN) {
    uint64_t wake_at = UINT64_MAX;
    wr_upload_step(upload, 0, &wake_at);
    test_files_run_calls(test);
    wr_upload_step(upload, 0, &wake_at);
  }
  struct wr_handle handle;
  drive(test, upload, &handle);
  wr_backend_free(backend);
  return handle;
}

static struct wr_handle make_epoch(struct test_files *test, struct wr_store *store) {
  struct wr_upload_options options = {.kind = WR_BLOB_EPOCH, .uid = "sink"};
  struct wr_upload *upload = NULL;
  uint8_t data[25000] = {1};
  struct wr_handle handle;
  WR_ASSERT(wr_upload_new(store, &options, &test->waker, &upload, NULL) == WEIR_OK);
  WR_ASSERT(wr_upload_append(upload, data, sizeof data, NULL) == WEIR_OK);
  drive(test, upload, &handle);
  return handle;
}

/* A folder with chk-41, a state file and an epoch's file (d-7-0, d-7-1) and a file that nobody names. */
static void make_folder(struct test_files *test, int rows, bool in_doubt) {
  struct wr_folder *folder = NULL;
  struct wr_memory *memory = &test->memory.memory;
  WR_ASSERT(wr_folder_open(&test->files, memory, test->folder, false, &folder, NULL) == WEIR_OK);
  struct wr_identity identity = {
      .job_name = "pv", .start_number = 7, .checkpoint_id_limit = 1025, .in_doubt = in_doubt};
  for (uint8_t i = 0; i < WR_INCARNATION_BYTES; i++)
    identity.incarnation[i] = (uint8_t)(16 + i);
  WR_ASSERT(wr_folder_publish_identity(folder, &identity, NULL) == WR_PUBLISH_DURABLE);
  struct wr_store store = {.seams = &test->seams, .folder = test->folder, .start_number = 7};
  struct wr_metadata metadata;
  struct wr_handle keyed = make_state(test, &store, rows);
  sample_metadata(memory, 41, keyed, make_epoch(test, &store), &metadata);
  struct wr_handle unnamed = make_epoch(test, &store);
  WR_ASSERT(wr_folder_publish_checkpoint(folder, &metadata, true, NULL) == WR_PUBLISH_DURABLE);
  wr_metadata_deinit(memory, &metadata);
  wr_handle_deinit(memory, &unnamed);
  wr_folder_close(folder);
}

static void collect(void *argument, const char *text) {
  struct wr_bytes *lines = argument;
  wr_bytes_put(lines, text, strlen(text));
  wr_bytes_put(lines, "\n", 1);
}

/* All lines; for wr_free. */
static char *check_folder(struct test_files *test, enum weir_code *out_code, struct weir_error *error) {
  struct wr_bytes lines;
  wr_bytes_init(&lines, &test->below_memory.memory, WR_MEMORY_ENGINE);
  *out_code = wr_check_folder(&test->files, &test->memory.memory, test->folder, collect, &lines, error);
  wr_bytes_put_u8(&lines, 0);
  return (char *)lines.data;
}

TEST(sound) {
  struct test_files test;
  test_files_init(&test);
  make_folder(&test, 1000, true);
  enum weir_code code;
  struct weir_error error = {0};
  char *lines = check_folder(&test, &code, &error);
  if (getenv("WEIR_TEST_SHOW") != NULL) fprintf(stderr, "%s", lines);
  CHECK_INT(code, WEIR_OK);
  const char *expected[] = {
      "job pv, incarnation 101112131415161718191a1b1c1d1e1f, start 7, running or killed\n",
      "checkpoint 41: taken 2023-11-14 22:13:20.041 UTC by start 7, exactly-once, bounded, 128 key groups\n",
      "  count: parallelism 2\n    subtask 0: 9 bytes of its own\n",
      "    subtask 1: key groups 64 to 127, base and 0 deltas, ",
      "state \"counts\": key (app_id STRING NOT NULL), value (count BIGINT NOT NULL, last STRING, mean DOUBLE NOT "
      "NULL)",
      "  sink-committer: parallelism 1\n    epoch 40 was committed last\n"
      "    epoch 41 waits for its commit: 1 parts, 5 rows, 25000 bytes\n",
      "  source: parallelism 2, its input has ended\n"
      "    subtask 0: split files: name=p0.ndjson position=1234 record=10\n"
      "    subtask 1: split files: name=p1.ndjson position=99 record=1\n",
      "  names 2 data files of ",
      "d-7-2: no checkpoint names it\nsound\n",
  };
  for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
    if (strstr(lines, expected[i]) == NULL) TEST_FAIL("not said: %s\nin: %s", expected[i], lines);
  wr_free(&test.below_memory.memory, lines);
  CHECK_INT(test.memory.living_count, 0);
  CHECK_INT(test.open_files, 0);
  test_files_deinit(&test);
}

static void flip_bit(struct test_files *test, const char *name, long at) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", test->folder, name);
  FILE *file = fopen(path, "r+b");
  WR_ASSERT(file != NULL && fseek(file, at, SEEK_SET) == 0);
  int byte = fgetc(file);
  WR_ASSERT(byte != EOF && fseek(file, at, SEEK_SET) == 0 && fputc(byte ^ 1, file) != EOF && fclose(file) == 0);
}

/* Damage anywhere is an error that names the file, told once; the rest is told all the same. */
TEST(damage_is_told) {
  struct test_files test;
  test_files_init(&test);
  make_folder(&test, 2000, false);
  const struct {
    const char *name, *also; /* what is said beside the damage */
  } cases[] = {{"JOB", "checkpoint 41: taken"},
               {"chk-41", "d-7-0: no checkpoint that can be read names it"},
               {"d-7-0", "    subtask 1: split files"},
               {"d-7-1", "state \"counts\""}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (long at = 0; at < 90; at += 9) {
      enum weir_code code;
      struct weir_error error = {0};
      flip_bit(&test, cases[i].name, at);
      char *lines = check_folder(&test, &code, &error);
      flip_bit(&test, cases[i].name, at);
      if (code != WEIR_CORRUPT) TEST_FAIL("%s, byte %ld: %s: %s", cases[i].name, at, weir_code_text(code), lines);
      CHECK_INT(weir_code_exit(code), 3);
      CHECK(strstr(error.message, cases[i].name) != NULL);
      const char *told = strstr(lines, "DAMAGED: ");
      CHECK(told != NULL && strstr(told + 1, "DAMAGED: ") == NULL && strstr(told, error.message) != NULL);
      CHECK(strstr(lines, cases[i].also) != NULL && strstr(lines, "\nsound\n") == NULL);
      wr_free(&test.below_memory.memory, lines);
    }
  }
  enum weir_code code;
  struct weir_error error = {0};
  char path[128];
  snprintf(path, sizeof path, "%s/d-7-0", test.folder);
  remove(path);
  char *lines = check_folder(&test, &code, &error);
  CHECK(code == WEIR_CORRUPT && strstr(lines, "/d-7-0 is missing") != NULL);
  wr_free(&test.below_memory.memory, lines);
  CHECK_INT(test.memory.living_count, 0);
  test_files_deinit(&test);
}

struct seen {
  int splits, rows, right;
  char last[256];
};

static void see_split(void *argument, const char *uid, uint32_t subtask, const char *kind, const char *text) {
  struct seen *seen = argument;
  seen->splits++;
  seen->right += strcmp(uid, "source") == 0 && strcmp(kind, "files") == 0 &&
                 strcmp(text, subtask == 0 ? "name=p0.ndjson position=1234 record=10"
                                           : "name=p1.ndjson position=99 record=1") == 0;
}

static void see_row(void *argument, const char *uid, uint32_t subtask, const char *state, int64_t name_space,
                    const char *key, const char *value) {
  struct seen *seen = argument;
  int number = -1;
  char expected[128];
  seen->rows++;
  if (sscanf(key, "app_id=app%d", &number) != 1) return;
  snprintf(expected, sizeof expected, "count=%d, last=%s, mean=0.5", 1000 + number,
           number % 2 == 0 ? "NULL" : "a\\x0ab");
  seen->right += strcmp(value, expected) == 0 && strcmp(uid, "count") == 0 && subtask == 1 &&
                 strcmp(state, "counts") == 0 && name_space == 0;
  snprintf(seen->last, sizeof seen->last, "%s: %s", key, value);
}

TEST(reads_back) {
  struct test_files test;
  test_files_init(&test);
  make_folder(&test, 1000, true);
  struct weir_error error = {0};
  uint64_t id = 0;
  for (int turn = 0; turn < 2; turn++) {
    struct seen seen = {0};
    struct wr_check_visitor visitor = {.split = see_split, .row = see_row, .argument = &seen};
    visitor.rows_max = turn == 0 ? UINT64_MAX : 10;
    CHECK_INT(
        wr_check_checkpoint(&test.files, &test.memory.memory, test.folder, turn == 0 ? 0 : 41, &visitor, &id, &error),
        WEIR_OK);
    CHECK_INT(id, 41);
    CHECK_INT(seen.splits, 2);
    CHECK(turn == 0 ? seen.rows > 400 && seen.rows < 600 : seen.rows == 10);
    if (seen.right != seen.rows + 2) TEST_FAIL("a row is wrong; the last was %s", seen.last);
  }
  struct wr_check_visitor nobody = {0};
  CHECK_INT(wr_check_checkpoint(&test.files, &test.memory.memory, test.folder, 40, &nobody, &id, &error),
            WEIR_NOT_FOUND);
  CHECK_INT(test.memory.living_count, 0);
  test_files_deinit(&test);
}

TEST(no_memory) {
  struct test_files test;
  test_files_init(&test);
  make_folder(&test, 1000, true);
  for (int mode = 0; mode < 2; mode++) {
    uint64_t n = 1, failed = 0;
    for (bool reached = true; reached; n++) {
      uint64_t before = test.memory.failures, id;
      struct seen seen = {0};
      struct wr_check_visitor visitor = {.split = see_split, .row = see_row, .argument = &seen, .rows_max = 100};
      test_memory_fail_after(&test.memory, n, false);
      enum weir_code code;
      struct weir_error error = {0};
      char *lines = NULL;
      if (mode == 0) {
        lines = check_folder(&test, &code, &error);
      } else {
        code = wr_check_checkpoint(&test.files, &test.memory.memory, test.folder, 0, &visitor, &id, &error);
      }
      reached = test.memory.failures > before;
      test_memory_fail_after(&test.memory, 0, false);
      wr_free(&test.below_memory.memory, lines);
      CHECK_INT(code, reached ? WEIR_NO_MEMORY : WEIR_OK);
      CHECK_INT(test.memory.living_count, 0);
      failed += reached;
    }
    CHECK(failed > 20);
  }
  test_files_deinit(&test);
}

TEST_MAIN(TEST_CASE(sound), TEST_CASE(damage_is_told), TEST_CASE(reads_back), TEST_CASE(no_memory))
