/* checkpoint/test_folder.c: opening, locking, identity, checkpoints, clean-up, on real files; every operation and every
 * allocation failing; the golden folder. Crashes are in test_folder_crash.c. */
#include "base/random.h"
#include "base/test.h"
#include "checkpoint/identity.h"
#include "checkpoint/test_sample.h"
#include "store/test_files.h"

static void put_file(struct test_files *test, const char *folder, const char *name, const void *data, size_t length) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder[0] != 0 ? folder : test->folder, name);
  FILE *out = fopen(path, "wb");
  WR_ASSERT(out != NULL && fwrite(data, 1, length, out) == length && fclose(out) == 0);
}

static uint8_t *get_file(const char *folder, const char *name, size_t *out_length) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *in = fopen(path, "rb");
  *out_length = 0;
  if (in == NULL) return NULL;
  uint8_t *data = malloc(1 << 20);
  WR_ASSERT(data != NULL);
  *out_length = fread(data, 1, 1 << 20, in);
  fclose(in);
  return data;
}

static bool has_file(struct test_files *test, const char *name) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", test->folder, name);
  return access(path, F_OK) == 0;
}

static void flip(struct test_files *test, const char *name, size_t at) {
  size_t length;
  uint8_t *data = get_file(test->folder, name, &length);
  WR_ASSERT(data != NULL && at < length);
  data[at] ^= 4;
  put_file(test, "", name, data, length);
  free(data);
}

static struct wr_identity identity_of(uint64_t start_number) {
  struct wr_identity identity = {
      .job_name = "pv", .start_number = start_number, .checkpoint_id_limit = 1025, .in_doubt = true};
  for (uint8_t i = 0; i < WR_INCARNATION_BYTES; i++)
    identity.incarnation[i] = (uint8_t)(16 + i);
  return identity;
}

/* A data file made by an upload, so that it is as the engine makes it. */
static struct wr_handle upload(struct test_files *test, uint64_t start_number, uint64_t serial, enum wr_blob_kind kind,
                               size_t length) {
  struct wr_store store = {.seams = &test->seams, .folder = test->folder, .start_number = start_number};
  for (uint8_t i = 0; i < WR_INCARNATION_BYTES; i++)
    store.incarnation[i] = (uint8_t)(16 + i);
  atomic_store(&store.next_file_serial, serial);
  struct wr_upload_options options = {.kind = kind, .uid = kind == WR_BLOB_STATE ? "count" : "sink", .subtask = 1};
  struct wr_upload *upload = NULL;
  struct wr_handle handle = {0};
  uint64_t wake_at = UINT64_MAX;
  WR_ASSERT(wr_upload_new(&store, &options, &test->waker, &upload, NULL) == WEIR_OK);
  uint8_t *data = malloc(length);
  WR_ASSERT(data != NULL);
  for (size_t i = 0; i < length; i++)
    data[i] = (uint8_t)(i / 1000 + serial);
  WR_ASSERT(wr_upload_append(upload, data, length, NULL) == WEIR_OK);
  free(data);
  wr_upload_finish(upload);
  while (wr_upload_step(upload, 0, &wake_at) != WR_UPLOAD_DONE)
    WR_ASSERT(test_files_run_calls(test) == 1);
  wr_upload_take_handle(upload, &handle);
  wr_upload_free(upload);
  return handle;
}

/* chk-`id` with its two data files, serials 2 * id and 2 * id + 1 of start 7. */
static enum wr_publish_outcome publish(struct test_files *test, struct wr_folder *folder, uint64_t id,
                                       struct weir_error *error) {
  struct wr_metadata metadata;
  sample_metadata(&test->below_memory.memory, id, upload(test, 7, 2 * id, WR_BLOB_STATE, 30000),
                  upload(test, 7, 2 * id + 1, WR_BLOB_EPOCH, 25000), &metadata);
  enum wr_publish_outcome outcome = wr_folder_publish_checkpoint(folder, &metadata, true, error);
  wr_metadata_deinit(&test->below_memory.memory, &metadata);
  return outcome;
}

static enum weir_code open_it(struct test_files *test, struct wr_folder **out_folder, struct weir_error *error) {
  return wr_folder_open(&test->files, &test->memory.memory, test->folder, false, out_folder, error);
}

/* A folder with JOB of start 7 and checkpoints 1 to `count`. */
static struct wr_folder *make_job(struct test_files *test, uint64_t count) {
  struct wr_folder *folder = NULL;
  WR_ASSERT(open_it(test, &folder, NULL) == WEIR_OK);
  struct wr_identity identity = identity_of(7);
  WR_ASSERT(wr_folder_publish_identity(folder, &identity, NULL) == WR_PUBLISH_DURABLE);
  for (uint64_t id = 1; id <= count; id++)
    WR_ASSERT(publish(test, folder, id, NULL) == WR_PUBLISH_DURABLE);
  return folder;
}

TEST(opens_and_locks) {
  struct test_files test;
  test_files_init(&test);
  char path[128];
  snprintf(path, sizeof path, "%s/a/b//job/", test.folder);
  struct wr_folder *folder = NULL, *second = NULL;
  struct weir_error error = {0};
  CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, path, true, &folder, &error), WEIR_NOT_FOUND);
  CHECK(!has_file(&test, "a"));
  CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, path, false, &folder, &error), WEIR_OK);
  snprintf(path, sizeof path, "%s/a/b//job", test.folder);
  CHECK_STRING(wr_folder_path(folder), path);
  CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, path, false, &second, &error), WEIR_IN_USE);
  char expected[512];
  snprintf(expected, sizeof expected,
           "the folder %s is in use by another process (lock held on %s/LOCK); stop it first, or give another --state",
           path, path);
  CHECK_STRING(error.message, expected);
  CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, path, true, &second, &error), WEIR_OK);
  wr_folder_close(second);
  struct wr_identity identity;
  bool exists = true;
  CHECK_INT(wr_folder_read_identity(folder, &identity, &exists, &error), WEIR_OK);
  CHECK(!exists);
  uint64_t *ids;
  uint32_t count = 1;
  CHECK_INT(wr_folder_list_checkpoints(folder, &ids, &count, &error), WEIR_OK);
  CHECK_INT(count, 0);
  wr_free(&test.memory.memory, ids);
  wr_folder_close(folder);
  CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, path, false, &folder, &error), WEIR_OK);
  wr_folder_close(folder);
  CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, "", false, &folder, &error), WEIR_INVALID);
  CHECK_INT(test.memory.living_count, 0);
  CHECK_INT(test.open_files, 0);
  test_files_deinit(&test);
}

TEST(foreign) {
  struct test_files test;
  test_files_init(&test);
  struct wr_folder *folder = NULL;
  struct weir_error error = {0};
  put_file(&test, "", "LOCK", "", 0);
  put_file(&test, "", "notes.txt", "x", 1);
  for (int read_only = 0; read_only < 2; read_only++) {
    CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, test.folder, read_only != 0, &folder, &error),
              WEIR_FOREIGN);
    CHECK(strstr(error.message, "it holds notes.txt and no JOB") != NULL);
  }
  char path[128];
  snprintf(path, sizeof path, "%s/notes.txt", test.folder);
  CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, path, false, &folder, &error), WEIR_FOREIGN);
  CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, path, true, &folder, &error), WEIR_FOREIGN);
  /* Something of somebody else's in a folder of ours does not matter. */
  struct wr_identity identity = identity_of(7);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &test.memory.memory, WR_MEMORY_ENGINE);
  CHECK_INT(wr_identity_encode(&bytes, &identity, &error), WEIR_OK);
  put_file(&test, "", "JOB", bytes.data, bytes.length);
  wr_bytes_deinit(&bytes);
  CHECK_INT(open_it(&test, &folder, &error), WEIR_OK);
  wr_folder_close(folder);
  CHECK(has_file(&test, "notes.txt"));
  CHECK_INT(test.memory.living_count, 0);
  test_files_deinit(&test);
}

TEST(temporaries) {
  struct test_files test;
  test_files_init(&test);
  wr_folder_close(make_job(&test, 1));
  put_file(&test, "", "JOB.tmp", "x", 1);
  put_file(&test, "", "chk-2.tmp", "x", 1);
  put_file(&test, "", "mine.tmp", "x", 1);
  put_file(&test, "", "chk-x.tmp", "x", 1);
  struct wr_folder *folder = NULL;
  CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, test.folder, true, &folder, NULL), WEIR_OK);
  CHECK(has_file(&test, "JOB.tmp") && has_file(&test, "chk-2.tmp"));
  wr_folder_close(folder);
  CHECK_INT(open_it(&test, &folder, NULL), WEIR_OK);
  CHECK(!has_file(&test, "JOB.tmp") && !has_file(&test, "chk-2.tmp"));
  CHECK(has_file(&test, "mine.tmp") && has_file(&test, "chk-x.tmp") && has_file(&test, "chk-1"));
  wr_folder_close(folder);
  test_files_deinit(&test);
}

TEST(identity_damage) {
  struct test_files test;
  test_files_init(&test);
  struct wr_folder *folder = make_job(&test, 1);
  struct wr_identity identity;
  bool exists = false;
  struct weir_error error = {0};
  CHECK_INT(wr_folder_read_identity(folder, &identity, &exists, &error), WEIR_OK);
  CHECK(exists && identity.start_number == 7 && identity.in_doubt);
  flip(&test, "JOB", 30);
  CHECK_INT(wr_folder_read_identity(folder, &identity, &exists, &error), WEIR_CORRUPT);
  CHECK(!exists && strstr(error.message, "/JOB is damaged") != NULL);
  char long_file[2000] = {0};
  put_file(&test, "", "JOB", long_file, sizeof long_file);
  CHECK_INT(wr_folder_read_identity(folder, &identity, &exists, &error), WEIR_CORRUPT);
  char path[128];
  snprintf(path, sizeof path, "%s/JOB", test.folder);
  remove(path);
  CHECK_INT(wr_folder_read_identity(folder, &identity, &exists, &error), WEIR_CORRUPT);
  CHECK(strstr(error.message, "but its file JOB is missing") != NULL);
  wr_folder_close(folder);
  CHECK_INT(test.memory.living_count, 0);
  test_files_deinit(&test);
}

static uint64_t newest(struct test_files *test, struct wr_folder *folder, uint32_t *out_damaged,
                       struct weir_error *out_damage) {
  struct wr_metadata metadata;
  bool exists;
  if (wr_folder_load_newest(folder, UINT64_MAX, &metadata, &exists, out_damaged, out_damage, NULL) != WEIR_OK)
    return UINT64_MAX;
  uint64_t id = exists ? metadata.checkpoint_id : 0;
  wr_metadata_deinit(&test->memory.memory, &metadata);
  return id;
}

TEST(newest_checkpoint) {
  struct test_files test;
  test_files_init(&test);
  struct wr_folder *folder = make_job(&test, 11);
  uint64_t *ids;
  uint32_t count = 0, damaged = 9;
  struct weir_error error = {0};
  CHECK_INT(wr_folder_list_checkpoints(folder, &ids, &count, &error), WEIR_OK);
  CHECK(count == 11 && ids[1] == 2 && ids[10] == 11);
  wr_free(&test.memory.memory, ids);
  CHECK_INT(newest(&test, folder, &damaged, &error), 11);
  CHECK_INT(damaged, 0);
  flip(&test, "chk-11", 100);
  size_t length;
  uint8_t *data = get_file(test.folder, "d-7-20", &length);
  put_file(&test, "", "d-7-20", data, length - 1);
  CHECK_INT(newest(&test, folder, &damaged, &error), 9);
  CHECK_INT(damaged, 2);
  CHECK(error.code == WEIR_CORRUPT && strstr(error.message, "/chk-11 is damaged") != NULL);
  put_file(&test, "", "d-7-20", data, length);
  free(data);
  CHECK_INT(newest(&test, folder, &damaged, &error), 10);
  /* A checkpoint under another's name is damage too; a folder under its name is. */
  data = get_file(test.folder, "chk-3", &length);
  put_file(&test, "", "chk-12", data, length);
  free(data);
  CHECK_INT(newest(&test, folder, &damaged, &error), 10);
  CHECK_INT(damaged, 2);
  char path[128];
  snprintf(path, sizeof path, "%s/chk-13", test.folder);
  mkdir(path, 0700);
  CHECK_INT(newest(&test, folder, &damaged, &error), 10);
  CHECK_INT(damaged, 3);
  struct wr_metadata metadata;
  CHECK_INT(wr_folder_load_checkpoint(folder, 99, false, &metadata, &error), WEIR_NOT_FOUND);
  CHECK_INT(wr_folder_publish_again(folder, 10, &error), WR_PUBLISH_DURABLE);
  CHECK_INT(newest(&test, folder, &damaged, &error), 10);
  CHECK_INT(wr_folder_publish_again(folder, 11, &error), WR_PUBLISH_FAILED);
  CHECK_INT(error.code, WEIR_CORRUPT);
  wr_folder_close(folder);
  CHECK_INT(test.memory.living_count, 0);
  test_files_deinit(&test);
}

TEST(clean_up) {
  struct test_files test;
  test_files_init(&test);
  struct wr_folder *folder = make_job(&test, 4);
  struct weir_error error = {0};
  uint32_t removed = 9;
  uint64_t retained[] = {3, 4};
  upload(&test, 6, 0, WR_BLOB_STATE, 30000);
  upload(&test, 8, 0, WR_BLOB_STATE, 30000);
  struct wr_handle failed = upload(&test, 8, 1, WR_BLOB_STATE, 30000);
  put_file(&test, "", "dead-letter.ndjson", "x", 1);
  struct wr_folder_cleanup cleanup = {
      .retained = retained, .retained_count = 2, .present_start = 8, .drop = &failed, .drop_count = 1};
  /* While one that is retained cannot be read, nothing goes. */
  flip(&test, "chk-3", 60);
  CHECK_INT(wr_folder_clean_up(folder, &cleanup, &removed, &error), WEIR_CORRUPT);
  CHECK(removed == 0 && strstr(error.message, "nothing was removed from") == error.message);
  CHECK(has_file(&test, "chk-1") && has_file(&test, "d-7-2") && has_file(&test, "d-6-0"));
  flip(&test, "chk-3", 60);
  uint64_t missing[] = {4, 5};
  cleanup.retained = missing;
  CHECK_INT(wr_folder_clean_up(folder, &cleanup, &removed, &error), WEIR_NOT_FOUND);
  CHECK(removed == 0 && has_file(&test, "chk-1"));
  cleanup.retained = retained;
  CHECK_INT(wr_folder_clean_up(folder, &cleanup, &removed, &error), WEIR_OK);
  CHECK_INT(removed, 2 + 4 + 2);
  CHECK(!has_file(&test, "chk-1") && !has_file(&test, "chk-2") && !has_file(&test, "d-7-2") &&
        !has_file(&test, "d-7-5"));
  CHECK(!has_file(&test, "d-6-0") && !has_file(&test, "d-8-1") && has_file(&test, "d-8-0"));
  CHECK(has_file(&test, "chk-3") && has_file(&test, "chk-4") && has_file(&test, "d-7-6") && has_file(&test, "d-7-9"));
  CHECK(has_file(&test, "dead-letter.ndjson") && has_file(&test, "JOB") && has_file(&test, "LOCK"));
  /* What a retained checkpoint names stays, also when it is to be dropped. */
  struct wr_handle named = {.file = "d-7-8"};
  cleanup.drop = &named;
  cleanup.present_start = 7;
  CHECK_INT(wr_folder_clean_up(folder, &cleanup, &removed, &error), WEIR_OK);
  CHECK(removed == 0 && has_file(&test, "d-7-8"));
  /* Of the present start goes what a checkpoint named that goes; what nobody has named yet may be in use. */
  upload(&test, 7, 90, WR_BLOB_STATE, 30000);
  uint64_t last[] = {4};
  cleanup = (struct wr_folder_cleanup){.retained = last, .retained_count = 1, .present_start = 7};
  CHECK_INT(wr_folder_clean_up(folder, &cleanup, &removed, &error), WEIR_OK);
  CHECK_INT(removed, 1 + 2);
  CHECK(!has_file(&test, "d-7-6") && !has_file(&test, "d-7-7"));
  CHECK(has_file(&test, "d-7-8") && has_file(&test, "d-7-90"));
  wr_folder_close(folder);
  CHECK_INT(test.memory.living_count, 0);
  test_files_deinit(&test);
}

/* A checkpoint newer than what is retained is one that could not be read: it may yet be mended or asked for evidence.
 * So it stays, with whatever it may name, until a newer one is retained. What failed in this start may go. */
TEST(clean_up_keeps_newer) {
  struct test_files test;
  test_files_init(&test);
  struct wr_folder *folder = make_job(&test, 3);
  struct weir_error error = {0};
  uint32_t removed = 9;
  uint64_t retained[] = {2}, later[] = {2, 4};
  flip(&test, "chk-3", 60);
  struct wr_handle failed = upload(&test, 8, 1, WR_BLOB_STATE, 30000);
  struct wr_folder_cleanup cleanup = {
      .retained = retained, .retained_count = 1, .present_start = 8, .drop = &failed, .drop_count = 1};
  CHECK_INT(wr_folder_clean_up(folder, &cleanup, &removed, &error), WEIR_OK);
  CHECK_INT(removed, 1);
  CHECK(!has_file(&test, "d-8-1") && has_file(&test, "chk-1") && has_file(&test, "d-7-2"));
  CHECK(has_file(&test, "chk-3") && has_file(&test, "d-7-6") && has_file(&test, "d-7-7"));
  CHECK_INT(publish(&test, folder, 4, &error), WR_PUBLISH_DURABLE);
  cleanup = (struct wr_folder_cleanup){.retained = later, .retained_count = 2, .present_start = 8};
  CHECK_INT(wr_folder_clean_up(folder, &cleanup, &removed, &error), WEIR_OK);
  CHECK_INT(removed, 2 + 4);
  CHECK(!has_file(&test, "chk-1") && !has_file(&test, "chk-3") && !has_file(&test, "d-7-6"));
  wr_folder_close(folder);
  CHECK_INT(test.memory.living_count, 0);
  test_files_deinit(&test);
}

/* The outcome for every operation that fails: FAILED only where nothing was renamed, and the old file is whole. */
TEST(publish_outcomes) {
  struct test_files test;
  test_files_init(&test);
  struct wr_folder *folder = make_job(&test, 1);
  struct wr_metadata metadata;
  struct weir_error error = {0};
  CHECK_INT(wr_folder_load_checkpoint(folder, 1, false, &metadata, &error), WEIR_OK);
  metadata.checkpoint_id = 2;
  const struct {
    const char *operation;
    uint64_t n;
    enum wr_publish_outcome outcome;
  } cases[] = {
      {"sync folder", 1, WR_PUBLISH_UNKNOWN}, {"create", 1, WR_PUBLISH_FAILED},       {"write", 1, WR_PUBLISH_FAILED},
      {"sync", 1, WR_PUBLISH_FAILED},         {"close", 1, WR_PUBLISH_FAILED},        {"rename", 1, WR_PUBLISH_UNKNOWN},
      {"sync folder", 2, WR_PUBLISH_UNKNOWN}, {"sync folder", 3, WR_PUBLISH_DURABLE},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    test_files_fail(&test, cases[i].n, 1, WEIR_IO, cases[i].operation);
    error.message[0] = 0;
    CHECK_INT(wr_folder_publish_checkpoint(folder, &metadata, true, &error), cases[i].outcome);
    CHECK(cases[i].outcome == WR_PUBLISH_DURABLE || error.message[0] != 0);
    if (cases[i].outcome == WR_PUBLISH_FAILED) CHECK(!has_file(&test, "chk-2") && !has_file(&test, "chk-2.tmp"));
  }
  test_files_fail(&test, 0, 0, WEIR_OK, NULL);
  wr_metadata_deinit(&test.memory.memory, &metadata);
  wr_folder_close(folder);
  CHECK_INT(test.memory.living_count, 0);
  test_files_deinit(&test);
}

/* Everything a start and a clean-up do; the codes come out as they are. */
static enum weir_code whole_start(struct test_files *test, struct weir_error *error) {
  struct wr_folder *folder = NULL;
  struct wr_identity identity;
  struct wr_metadata metadata = {0};
  bool exists;
  uint32_t damaged = 0, removed;
  enum weir_code code = open_it(test, &folder, error);
  if (code == WEIR_OK) code = wr_folder_read_identity(folder, &identity, &exists, error);
  if (code == WEIR_OK) code = wr_folder_load_newest(folder, UINT64_MAX, &metadata, &exists, &damaged, NULL, error);
  if (code == WEIR_OK && (!exists || damaged != 0)) code = WEIR_INTERNAL;
  uint64_t id = metadata.checkpoint_id;
  wr_metadata_deinit(&test->memory.memory, &metadata);
  struct wr_folder_cleanup cleanup = {.retained = &id, .retained_count = 1, .present_start = 7};
  if (code == WEIR_OK && wr_folder_publish_again(folder, id, error) != WR_PUBLISH_DURABLE) code = error->code;
  if (code == WEIR_OK) code = wr_folder_clean_up(folder, &cleanup, &removed, error);
  wr_folder_close(folder);
  return code;
}

/* No operation or allocation that fails is taken for damage, or for an empty folder, or leaks. */
TEST(failures_are_not_damage) {
  struct test_files test;
  test_files_init(&test);
  for (int mode = 0; mode < 4; mode++) {
    uint64_t n = 1, failures = 0;
    for (bool reached = true; reached; n++) {
      wr_folder_close(make_job(&test, 2));
      struct weir_error error = {0};
      if (mode < 2) test_files_fail(&test, n, mode == 0 ? 1 : UINT64_MAX, WEIR_IO, NULL);
      if (mode >= 2) test_memory_fail_after(&test.memory, n, mode == 3);
      uint64_t refused = test.memory.failures;
      enum weir_code code = whole_start(&test, &error);
      reached = mode < 2 ? test.operations >= n : test.memory.failures > refused;
      test_files_fail(&test, 0, 0, WEIR_OK, NULL);
      test_memory_fail_after(&test.memory, 0, false);
      if (code != WEIR_OK && code != (mode < 2 ? WEIR_IO : WEIR_NO_MEMORY))
        TEST_FAIL("mode %d, failure %" PRIu64 ": %s: %s", mode, n, weir_code_text(code), error.message);
      failures += code != WEIR_OK;
      CHECK_INT(test.memory.living_count, 0);
      CHECK_INT(test.open_files, 0);
      CHECK_INT(whole_start(&test, &error), WEIR_OK);
      test_files_deinit(&test);
      mkdir(test.folder, 0700);
    }
    CHECK(failures > 12);
  }
  test_files_deinit(&test);
}

TEST(moves_aside) {
  struct test_files test;
  test_files_init(&test);
  char path[128], aside[160];
  struct weir_error error = {0};
  struct wr_folder *folder = NULL, *second = NULL;
  snprintf(path, sizeof path, "%s/job", test.folder);
  const char *ends[] = {".old-7", ".old-7-2", ".old-0"};
  for (int i = 0; i < 3; i++) {
    CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, path, false, &folder, &error), WEIR_OK);
    struct wr_identity identity = identity_of(7);
    CHECK_INT(wr_folder_publish_identity(folder, &identity, &error), WR_PUBLISH_DURABLE);
    if (i == 2) put_file(&test, path, "JOB", "damaged", 7);
    char *moved_to = NULL;
    CHECK_INT(wr_folder_move_aside(folder, &moved_to, &error), WEIR_OK);
    snprintf(aside, sizeof aside, "%s%s", path, ends[i]);
    CHECK_STRING(moved_to, aside);
    wr_free(&test.memory.memory, moved_to);
    bool exists = true;
    CHECK_INT(wr_folder_read_identity(folder, &identity, &exists, &error), WEIR_OK);
    CHECK(!exists);
    CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, path, false, &second, &error), WEIR_IN_USE);
    /* The old one is whole and free. */
    CHECK_INT(wr_folder_open(&test.files, &test.memory.memory, aside, false, &second, &error), WEIR_OK);
    CHECK_INT(wr_folder_read_identity(second, &identity, &exists, &error), i == 2 ? WEIR_CORRUPT : WEIR_OK);
    wr_folder_close(second);
    wr_folder_close(folder);
  }
  CHECK_INT(test.memory.living_count, 0);
  CHECK_INT(test.open_files, 0);
  test_files_deinit(&test);
}

/* ---- the golden folder: what the first version wrote is read for ever, and written byte for byte as long as the
 * version is 1. With WEIR_WRITE_GOLDEN=1 the test writes it; do that for a new version's folder only. ---- */

static const char *const golden_files[] = {"JOB", "chk-41", "d-7-82", "d-7-83"};

static void golden_path(char out_path[512]) {
  snprintf(out_path, 512, "%s/tests/golden/v1", WEIR_ROOT);
}

static void make_golden(struct test_files *test) {
  struct wr_folder *folder = NULL;
  WR_ASSERT(open_it(test, &folder, NULL) == WEIR_OK);
  struct wr_identity identity = identity_of(7);
  WR_ASSERT(wr_folder_publish_identity(folder, &identity, NULL) == WR_PUBLISH_DURABLE);
  struct wr_metadata metadata;
  sample_metadata(&test->memory.memory, 41, upload(test, 7, 82, WR_BLOB_STATE, 270000),
                  upload(test, 7, 83, WR_BLOB_EPOCH, 25000), &metadata);
  WR_ASSERT(wr_folder_publish_checkpoint(folder, &metadata, true, NULL) == WR_PUBLISH_DURABLE);
  wr_metadata_deinit(&test->memory.memory, &metadata);
  wr_folder_close(folder);
}

TEST(golden_is_written) {
  struct test_files test;
  test_files_init(&test);
  char golden[512];
  golden_path(golden);
  make_golden(&test);
  for (size_t i = 0; i < sizeof golden_files / sizeof golden_files[0]; i++) {
    size_t length, golden_length;
    uint8_t *data = get_file(test.folder, golden_files[i], &length);
    CHECK(data != NULL);
    if (getenv("WEIR_WRITE_GOLDEN") != NULL) put_file(&test, golden, golden_files[i], data, length);
    uint8_t *expected = get_file(golden, golden_files[i], &golden_length);
    CHECK(expected != NULL);
    CHECK_INT(length, golden_length);
    if (memcmp(data, expected, length) != 0) TEST_FAIL("%s/%s is not what this weir writes", golden, golden_files[i]);
    free(data);
    free(expected);
  }
  test_files_deinit(&test);
}

TEST(golden_is_read) {
  struct test_files test;
  test_files_init(&test);
  char golden[512];
  golden_path(golden);
  struct wr_folder *folder = NULL;
  struct wr_identity identity;
  struct wr_metadata metadata;
  struct weir_error error = {0};
  bool exists;
  uint32_t damaged;
  struct wr_memory *memory = &test.memory.memory;
  CHECK_INT(wr_folder_open(&test.files, memory, golden, true, &folder, &error), WEIR_OK);
  CHECK_INT(wr_folder_read_identity(folder, &identity, &exists, &error), WEIR_OK);
  CHECK(exists && identity.start_number == 7 && identity.checkpoint_id_limit == 1025 && identity.incarnation[3] == 19);
  CHECK_STRING(identity.job_name, "pv");
  CHECK_INT(wr_folder_load_newest(folder, UINT64_MAX, &metadata, &exists, &damaged, &error, &error), WEIR_OK);
  CHECK(exists && damaged == 0 && metadata.checkpoint_id == 41 && metadata.bounded &&
        metadata.time_ms == 1700000000041);
  const struct wr_operator_state *count = wr_metadata_find(&metadata, "count");
  CHECK(count != NULL && count->parallelism == 2 && count->subtasks[1].range.end == 128);
  CHECK(memcmp(count->subtasks[0].raw.inline_bytes, "raw bytes", 9) == 0);
  const struct wr_part *part = &wr_metadata_find(&metadata, "sink-committer")->subtasks[0].commit.epochs[0].parts[0];
  CHECK(part->row_count == 5 && part->handle.length == 25000);
  struct wr_store store = {.seams = &test.seams, .folder = golden};
  uint8_t *data = NULL;
  size_t length = 0;
  CHECK_INT(wr_blob_load(&store, &count->subtasks[1].keyed[0], 1 << 20, &data, &length, &error), WEIR_OK);
  CHECK_INT(length, 270000);
  for (size_t i = 0; i < length; i++)
    CHECK(data[i] == (uint8_t)(i / 1000 + 82));
  wr_free(memory, data);
  CHECK_INT(wr_blob_verify(&store, &part->handle, &error), WEIR_OK);
  wr_metadata_deinit(memory, &metadata);
  wr_folder_close(folder);
  CHECK_INT(test.memory.living_count, 0);
  test_files_deinit(&test);
}

TEST_MAIN(TEST_CASE(opens_and_locks), TEST_CASE(foreign), TEST_CASE(temporaries), TEST_CASE(identity_damage),
          TEST_CASE(newest_checkpoint), TEST_CASE(clean_up), TEST_CASE(clean_up_keeps_newer),
          TEST_CASE(publish_outcomes), TEST_CASE(failures_are_not_damage), TEST_CASE(moves_aside),
          TEST_CASE(golden_is_written), TEST_CASE(golden_is_read))
