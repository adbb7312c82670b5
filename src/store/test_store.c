/* store/test_store.c: handles, uploads and the blob reader; faults at every file operation, damage at every bit. */
#include "base/random.h"
#include "base/test.h"
#include "os/posix_seams.h"
#include "store/blob.h"
#include "store/test_files.h"

static void store_init(struct wr_store *store, struct test_files *test) {
  *store = (struct wr_store){.seams = &test->seams, .folder = test->folder, .start_number = 7};
  memset(store->incarnation, 0xab, sizeof store->incarnation);
}

static uint8_t *pattern(size_t length, uint64_t seed) {
  uint8_t *data = malloc(length + 8);
  WR_ASSERT(data != NULL);
  struct wr_random random = wr_random_of(seed);
  for (size_t i = 0; i < length; i += 8) {
    uint64_t word = wr_random_next(&random);
    memcpy(data + i, &word, 8);
  }
  return data;
}

static const struct wr_upload_options state_options = {.kind = WR_BLOB_STATE, .uid = "count", .subtask = 3};
static const struct wr_upload_options epoch_options = {
    .kind = WR_BLOB_EPOCH, .uid = "sink", .subtask = 1, .wait_for_space = true};

/* Appends all in pieces of `piece` and drives the upload to its end; time passes while it waits for space. */
static enum wr_upload_state drive(struct test_files *test, struct wr_upload *upload, const uint8_t *data, size_t length,
                                  size_t piece, struct weir_error *error) {
  size_t done = 0;
  for (int turns = 0; turns < 100000; turns++) {
    uint64_t wake_at = UINT64_MAX;
    enum wr_upload_state state = wr_upload_step(upload, test->now_ns, &wake_at);
    if (state == WR_UPLOAD_DONE || state == WR_UPLOAD_FAILED) return state;
    if (state == WR_UPLOAD_OPEN && done < length) {
      size_t count = length - done < piece ? length - done : piece;
      if (wr_upload_append(upload, data + done, count, error) != WEIR_OK) return WR_UPLOAD_FAILED;
      done += count;
    } else if (state == WR_UPLOAD_NO_SPACE && wake_at != UINT64_MAX) {
      test->now_ns = wake_at;
    } else if (test->submitted_count > 0) {
      test_files_run_calls(test);
    }
    if (done == length) wr_upload_finish(upload);
  }
  return WR_UPLOAD_OPEN;
}

static enum weir_code write_one(struct test_files *test, struct wr_store *store,
                                const struct wr_upload_options *options, const uint8_t *data, size_t length,
                                size_t piece, struct wr_handle *out_handle, struct weir_error *error) {
  struct wr_upload *upload = NULL;
  WR_TRY(wr_upload_new(store, options, &test->waker, &upload, error));
  enum wr_upload_state state = drive(test, upload, data, length, piece, error);
  enum weir_code code = WEIR_OK;
  test_files_run_calls(test);
  if (state == WR_UPLOAD_DONE) {
    wr_upload_take_handle(upload, out_handle);
  } else if (state == WR_UPLOAD_FAILED && error->code == WEIR_OK) {
    *error = *wr_upload_error(upload);
  }
  if (state != WR_UPLOAD_DONE) code = error->code;
  WR_ASSERT(state == WR_UPLOAD_DONE || code != WEIR_OK);
  wr_upload_free(upload);
  return code;
}

static bool reads_back(struct wr_store *store, const struct wr_handle *handle, const uint8_t *data, size_t length) {
  struct weir_error error = {0};
  uint8_t *read = NULL;
  size_t read_length = 0;
  if (wr_blob_load(store, handle, SIZE_MAX, &read, &read_length, &error) != WEIR_OK) {
    fprintf(stderr, "%s\n", error.message);
    return false;
  }
  bool same = read_length == length && (length == 0 || memcmp(read, data, length) == 0);
  wr_free(store->seams->memory, read);
  return same && wr_blob_verify(store, handle, &error) == WEIR_OK;
}

static bool put_and_read(struct wr_memory *memory, const struct wr_handle *handle) {
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, memory, WR_MEMORY_ENGINE);
  wr_handle_put(&bytes, handle);
  bool good = true;
  struct wr_handle back;
  struct wr_reader reader = wr_reader_of(bytes.data, bytes.length);
  good = wr_handle_read(&reader, memory, &back, NULL) == WEIR_OK && reader.position == bytes.length &&
         strcmp(back.file, handle->file) == 0 && back.length == handle->length && back.offset == handle->offset &&
         back.digest.low == handle->digest.low && back.digest.high == handle->digest.high &&
         (handle->inline_bytes == NULL) == (back.inline_bytes == NULL);
  if (good && back.inline_bytes != NULL) good = memcmp(back.inline_bytes, handle->inline_bytes, back.length) == 0;
  wr_handle_deinit(memory, &back);
  for (size_t length = 0; length < bytes.length; length++) {
    reader = wr_reader_of(bytes.data, length);
    good = good && wr_handle_read(&reader, memory, &back, NULL) == WEIR_CORRUPT;
  }
  wr_bytes_deinit(&bytes);
  return good;
}

/* Lengths around every border, in pieces of many sizes. */
TEST(round_trip) {
  struct test_files test;
  test_files_init(&test);
  struct wr_store store;
  store_init(&store, &test);
  const size_t block = WR_BLOCK_BYTES_MAX, small = WR_INLINE_STATE_BYTES_MAX;
  const size_t lengths[] = {0,         1,         small - 1,     small,         block - 1,      block,
                            block + 1, 2 * block, 3 * block - 1, 3 * block + 1, 4 * block + 99, 9 * block};
  const size_t pieces[] = {997, 64 * 1024, block, 5 * block + 1};
  uint8_t *data = pattern(9 * block, 1);
  for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
      struct wr_handle handle = {0};
      struct weir_error error = {0};
      test.write_limit = p == 1 ? 5000 : 0;
      CHECK_INT(write_one(&test, &store, p % 2 == 0 ? &state_options : &epoch_options, data, lengths[l], pieces[p],
                          &handle, &error),
                WEIR_OK);
      CHECK_INT(handle.length, lengths[l]);
      CHECK(handle.digest.low == wr_digest_of(data, lengths[l]).low);
      CHECK_INT(handle.file[0] == 0, lengths[l] < small);
      CHECK(reads_back(&store, &handle, data, lengths[l]));
      CHECK(put_and_read(&test.memory.memory, &handle));
      struct wr_handle copy;
      CHECK_INT(wr_handle_copy(&test.memory.memory, &handle, &copy, &error), WEIR_OK);
      CHECK(reads_back(&store, &copy, data, lengths[l]));
      wr_handle_deinit(&test.memory.memory, &copy);
      wr_handle_deinit(&test.memory.memory, &handle);
    }
  }
  CHECK_INT(atomic_load(&store.next_file_serial), 9 * 4);
  CHECK_INT(test.memory.living_count, 0);
  CHECK_INT(test.open_files, 0);
  free(data);
  test_files_deinit(&test);
}

TEST(names) {
  char name[WR_FILE_NAME_BYTES];
  uint64_t start, serial;
  wr_data_file_name(UINT64_MAX, UINT64_MAX, name);
  CHECK(wr_data_file_parse(name, &start, &serial) && start == UINT64_MAX && serial == UINT64_MAX);
  CHECK(wr_data_file_parse("d-0-10", &start, &serial) && start == 0 && serial == 10);
  const char *bad[] = {"",
                       "d",
                       "d-",
                       "d-1",
                       "d-1-",
                       "d--1",
                       "d-01-1",
                       "d-1-02",
                       "d-1-1 ",
                       "d-1-1.tmp",
                       "D-1-1",
                       "d-1-1-1",
                       "d-18446744073709551616-0",
                       "../d-1-1",
                       "d-1-+1",
                       "d-0x1-1"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    if (wr_data_file_parse(bad[i], &start, &serial)) TEST_FAIL("taken for a data file: \"%s\"", bad[i]);
}

/* The task is told to wait, and woken. Of state more may wait: it would be copied elsewhere meanwhile. */
static void check_back_pressure(const struct wr_upload_options *options, int expected) {
  struct test_files test;
  test_files_init(&test);
  struct wr_store store;
  store_init(&store, &test);
  struct wr_upload *upload = NULL;
  CHECK_INT(wr_upload_new(&store, options, &test.waker, &upload, NULL), WEIR_OK);
  uint8_t *data = pattern(WR_BLOCK_BYTES_MAX, 2);
  uint64_t wake_at = UINT64_MAX;
  int appended = 0;
  while (wr_upload_step(upload, 0, &wake_at) == WR_UPLOAD_OPEN && appended < 1000) {
    CHECK_INT(wr_upload_append(upload, data, WR_BLOCK_BYTES_MAX, NULL), WEIR_OK);
    appended++;
  }
  CHECK_INT(appended, expected);
  CHECK_INT(test.submitted_count, 1);
  CHECK(!wr_upload_is_idle(upload));
  CHECK_INT(wr_upload_step(upload, 0, &wake_at), WR_UPLOAD_FULL);
  CHECK_INT(test.wakes, 0);
  test_files_run_calls(&test);
  CHECK_INT(test.wakes, 1);
  CHECK(wr_upload_is_idle(upload));
  CHECK_INT(wr_upload_step(upload, 0, &wake_at), WR_UPLOAD_OPEN);
  CHECK_INT(test.submitted_count, 1);
  test_files_run_calls(&test);
  CHECK_INT(wake_at, UINT64_MAX);
  /* Given up half way, with its file open. */
  wr_upload_free(upload);
  CHECK_INT(test.open_files, 0);
  CHECK_INT(test.memory.living_count, 0);
  free(data);
  test_files_deinit(&test);
}

TEST(back_pressure) {
  check_back_pressure(&epoch_options, 6);
  check_back_pressure(&state_options, 44 * 3);
}

/* The second of two uploads takes its buffers from the first, and writes what it is given. */
TEST(buffers_are_used_again) {
  struct test_files test;
  test_files_init(&test);
  struct wr_store store;
  store_init(&store, &test);
  struct wr_upload_spare spare = {.count = 0};
  struct wr_upload_options options = state_options;
  options.spare = &spare;
  size_t length = 40 * WR_BLOCK_BYTES_MAX + 5;
  uint8_t *data = pattern(length, 5);
  for (int round = 0; round < 3; round++) {
    struct wr_handle handle = {0};
    struct weir_error error = {0};
    CHECK_INT(write_one(&test, &store, &options, data, length - (size_t)round, 64 * 1024, &handle, &error), WEIR_OK);
    CHECK(reads_back(&store, &handle, data, length - (size_t)round));
    wr_handle_deinit(&test.memory.memory, &handle);
    CHECK(spare.count > 0 && spare.count <= 16);
    CHECK_INT(test.memory.living_count, spare.count);
  }
  wr_upload_spare_deinit(&spare, &test.memory.memory);
  CHECK_INT(test.memory.living_count, 0);
  free(data);
  test_files_deinit(&test);
}

static bool folder_is_empty(struct test_files *test) {
  struct wr_name_list list = {0};
  struct wr_files *below = &test->posix.files;
  bool empty = below->list(below, test->folder, &test->memory.memory, &list, NULL) == WEIR_OK && list.count == 0;
  wr_name_list_deinit(&list, &test->memory.memory);
  return empty;
}

/* Every operation of an upload fails once, or from then on: it never answers DONE with bytes that cannot be read. */
TEST(every_operation_fails) {
  struct test_files test;
  test_files_init(&test);
  struct wr_store store;
  store_init(&store, &test);
  size_t length = 4 * WR_BLOCK_BYTES_MAX + 5;
  uint8_t *data = pattern(length, 3);
  for (int mode = 0; mode < 4; mode++) {
    uint64_t failed = 0;
    for (uint64_t n = 1;; n++) {
      struct wr_handle handle = {0};
      struct weir_error error = {0};
      enum weir_code injected = mode < 2 ? WEIR_IO : WEIR_NO_SPACE;
      test_files_fail(&test, n, mode % 2 == 0 ? 1 : UINT64_MAX, injected, NULL);
      enum weir_code code = write_one(&test, &store, &state_options, data, length, 100000, &handle, &error);
      bool reached = test.operations >= n;
      test_files_fail(&test, 0, 0, WEIR_OK, NULL);
      if (!reached) {
        CHECK_INT(code, WEIR_OK);
        wr_handle_deinit(&test.memory.memory, &handle);
        break;
      }
      CHECK_INT(code, injected);
      CHECK_INT(test.open_files, 0);
      CHECK_INT(test.memory.living_count, 0);
      failed++;
      /* A file that stands is one that could not be removed. */
      if (mode % 2 == 0) CHECK(folder_is_empty(&test));
    }
    CHECK_INT(failed, 6); /* create, header, two pieces, fsync, close */
    test_files_deinit(&test);
    mkdir(test.folder, 0700);
  }
  free(data);
  test_files_deinit(&test);
}

/* An epoch's file waits for space at creation and at writes; fsync and close do not wait. */
TEST(waits_for_space) {
  struct test_files test;
  test_files_init(&test);
  struct wr_store store;
  store_init(&store, &test);
  size_t length = 4 * WR_BLOCK_BYTES_MAX + 5;
  uint8_t *data = pattern(length, 4);
  test.write_limit = 100000; /* some of a piece is written, then the disk is full */
  const char *waits[] = {"create", "write"};
  for (int kind = 0; kind < 2; kind++) {
    for (uint64_t n = 1;; n++) {
      struct wr_handle handle = {0};
      struct weir_error error = {0};
      uint64_t before = test.now_ns;
      test_files_fail(&test, n, 3, WEIR_NO_SPACE, waits[kind]);
      CHECK_INT(write_one(&test, &store, &epoch_options, data, length, 70000, &handle, &error), WEIR_OK);
      bool reached = test.operations >= n;
      test_files_fail(&test, 0, 0, WEIR_OK, NULL);
      CHECK_INT(test.now_ns - before, reached ? 300000000 : 0);
      CHECK(reads_back(&store, &handle, data, length));
      wr_handle_deinit(&test.memory.memory, &handle);
      if (!reached) break;
    }
  }
  const char *never[] = {"sync", "close"};
  for (int kind = 0; kind < 2; kind++) {
    struct wr_handle handle = {0};
    struct weir_error error = {0};
    test_files_fail(&test, 1, 1, WEIR_NO_SPACE, never[kind]);
    CHECK_INT(write_one(&test, &store, &epoch_options, data, length, 70000, &handle, &error), WEIR_NO_SPACE);
    CHECK_INT(test.operations, 1); /* not tried again */
    test_files_fail(&test, 0, 0, WEIR_OK, NULL);
  }
  CHECK_INT(test.memory.living_count, 0);
  CHECK_INT(test.open_files, 0);
  free(data);
  test_files_deinit(&test);
}

TEST(no_memory) {
  struct test_files test;
  test_files_init(&test);
  struct wr_store store;
  store_init(&store, &test);
  size_t lengths[] = {100, 4 * WR_BLOCK_BYTES_MAX + 5};
  uint8_t *data = pattern(lengths[1], 5);
  for (int l = 0; l < 2; l++) {
    uint64_t n = 1;
    for (;; n++) {
      struct wr_handle handle = {0};
      struct weir_error error = {0};
      test_memory_fail_after(&test.memory, n, true);
      enum weir_code code = write_one(&test, &store, &state_options, data, lengths[l], 300000, &handle, &error);
      uint8_t *read = NULL;
      size_t read_length;
      if (code == WEIR_OK) code = wr_blob_load(&store, &handle, SIZE_MAX, &read, &read_length, &error);
      test_memory_fail_after(&test.memory, 0, false);
      wr_free(&test.memory.memory, read);
      wr_handle_deinit(&test.memory.memory, &handle);
      CHECK_INT(test.memory.living_count, 0);
      CHECK_INT(test.open_files, 0);
      if (code == WEIR_OK) break;
      CHECK_INT(code, WEIR_NO_MEMORY);
    }
    CHECK(n > 3);
  }
  free(data);
  test_files_deinit(&test);
}

/* Damages the file under the handle through `change`, and puts it right again. */
static bool damage_is_found(struct test_files *test, struct wr_store *store, const struct wr_handle *handle,
                            const uint8_t *file, size_t length) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", test->folder, handle->file);
  FILE *out = fopen(path, "wb");
  WR_ASSERT(out != NULL && fwrite(file, 1, length, out) == length && fclose(out) == 0);
  struct weir_error error = {0};
  enum weir_code code = wr_blob_verify(store, handle, &error);
  return code == WEIR_CORRUPT && strstr(error.message, handle->file) != NULL && test->open_files == 0;
}

static uint8_t *read_file(struct test_files *test, const char *name, size_t *out_length) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", test->folder, name);
  FILE *in = fopen(path, "rb");
  uint8_t *data = malloc(8 << 20);
  WR_ASSERT(in != NULL && data != NULL);
  *out_length = fread(data, 1, 8 << 20, in);
  fclose(in);
  return data;
}

/* Every bit of headers and of the first and last payload bytes, random bits between, every length of cutting. */
TEST(damage) {
  struct test_files test;
  test_files_init(&test);
  struct wr_store store;
  store_init(&store, &test);
  struct wr_random random = wr_random_of(test_seed());
  size_t length = WR_BLOCK_BYTES_MAX + 3000;
  uint8_t *data = pattern(length, 6);
  struct wr_handle handle = {0};
  struct weir_error error = {0};
  CHECK_INT(write_one(&test, &store, &state_options, data, length, 70000, &handle, &error), WEIR_OK);
  size_t file_length = 0;
  uint8_t *file = read_file(&test, handle.file, &file_length);
  CHECK_INT(file_length, wr_handle_file_bytes(&handle));
  size_t last = (size_t)handle.offset + WR_BLOB_BLOCK_HEADER_BYTES + WR_BLOCK_BYTES_MAX;
  for (size_t bit = 0; bit < file_length * 8; bit++) {
    size_t byte = bit / 8;
    bool border = byte < handle.offset + 30 || (byte >= last && byte < last + 30) || byte + 4 > file_length;
    if (!border && !wr_random_one_in(&random, 6000)) continue;
    file[byte] ^= (uint8_t)(1u << (bit % 8));
    if (!damage_is_found(&test, &store, &handle, file, file_length)) TEST_FAIL("bit %zu may be flipped", bit);
    file[byte] ^= (uint8_t)(1u << (bit % 8));
  }
  for (size_t cut = 0; cut < file_length; cut += 1 + wr_random_below(&random, 700))
    CHECK(damage_is_found(&test, &store, &handle, file, cut));
  CHECK(damage_is_found(&test, &store, &handle, file, file_length + 1));
  free(file);
  free(data);
  CHECK_INT(test.memory.living_count, 0);
  test_files_deinit(&test);
}

/* Whole, sound bytes at a wrong place: another file's under this name, another block's in this place, another content
 * with the same lengths; a file that is gone; a file of a later format. */
TEST(misplaced) {
  struct test_files test;
  test_files_init(&test);
  struct wr_store store;
  store_init(&store, &test);
  size_t length = 2 * WR_BLOCK_BYTES_MAX;
  uint8_t *data = pattern(length, 7);
  struct wr_handle one = {0}, two = {0};
  struct weir_error error = {0};
  CHECK_INT(write_one(&test, &store, &state_options, data, length, 70000, &one, &error), WEIR_OK);
  CHECK_INT(write_one(&test, &store, &state_options, data, length, 70000, &two, &error), WEIR_OK);
  CHECK(one.digest.low == two.digest.low && one.digest.high == two.digest.high);
  size_t file_length = 0;
  uint8_t *file_one = read_file(&test, one.file, &file_length), *file_two = read_file(&test, two.file, &file_length);
  CHECK(damage_is_found(&test, &store, &one, file_two, file_length));
  /* The same payload at the same place, but of the other file: only the salt tells. */
  size_t frame = WR_BLOB_BLOCK_HEADER_BYTES + WR_BLOCK_BYTES_MAX;
  uint8_t *mixed = malloc(file_length);
  CHECK(mixed != NULL);
  memcpy(mixed, file_one, file_length);
  memcpy(mixed + one.offset, file_two + two.offset, frame);
  CHECK(damage_is_found(&test, &store, &one, mixed, file_length));
  memcpy(mixed + one.offset, file_one + one.offset + frame, frame);
  CHECK(damage_is_found(&test, &store, &one, mixed, file_length));
  /* A sound file that is not the one the handle means. */
  struct wr_handle other = one;
  other.digest.low ^= 1;
  CHECK(damage_is_found(&test, &store, &other, file_one, file_length));
  memcpy(mixed, file_one, file_length);
  mixed[8] = 2;
  uint64_t checksum = wr_checksum(mixed, (size_t)one.offset - 8);
  memcpy(mixed + one.offset - 8, &checksum, 8);
  CHECK(!damage_is_found(&test, &store, &one, mixed, file_length));
  CHECK_INT(wr_blob_verify(&store, &one, &error), WEIR_NEWER);
  char path[128];
  snprintf(path, sizeof path, "%s/%s", test.folder, one.file);
  remove(path);
  CHECK_INT(wr_blob_verify(&store, &one, &error), WEIR_CORRUPT);
  CHECK(strstr(error.message, "missing") != NULL);
  uint8_t *read = NULL;
  CHECK_INT(wr_blob_load(&store, &two, length - 1, &read, &file_length, &error), WEIR_LIMIT);
  free(file_one);
  free(file_two);
  free(mixed);
  free(data);
  test_files_deinit(&test);
}

/* A name that stands already is somebody else's: the upload fails and leaves it alone. */
TEST(name_taken) {
  struct test_files test;
  test_files_init(&test);
  struct wr_store store;
  store_init(&store, &test);
  char path[128];
  snprintf(path, sizeof path, "%s/d-7-0", test.folder);
  FILE *out = fopen(path, "wb");
  CHECK(out != NULL && fputs("mine", out) >= 0 && fclose(out) == 0);
  uint8_t *data = pattern(100000, 8);
  struct wr_handle handle = {0};
  struct weir_error error = {0};
  CHECK_INT(write_one(&test, &store, &state_options, data, 100000, 70000, &handle, &error), WEIR_IN_USE);
  size_t length = 0;
  uint8_t *kept = read_file(&test, "d-7-0", &length);
  CHECK_INT(length, 4);
  free(kept);
  free(data);
  test_files_deinit(&test);
}

/* The bytes of a data file never change: an XXH3-128 of a whole one, from the first version on. */
TEST(golden_bytes) {
  struct test_files test;
  test_files_init(&test);
  struct wr_store store;
  store_init(&store, &test);
  uint8_t *data = pattern(300000, 9);
  struct wr_handle handle = {0};
  struct weir_error error = {0};
  CHECK_INT(write_one(&test, &store, &state_options, data, 300000, 70000, &handle, &error), WEIR_OK);
  CHECK_STRING(handle.file, "d-7-0");
  size_t length = 0;
  uint8_t *file = read_file(&test, handle.file, &length);
  struct wr_digest digest = wr_digest_of(file, length);
  CHECK_INT(length, 300000 + 2 * 24 + 68 + 5);
  CHECK_INT(digest.low, -722320991062364261);
  CHECK_INT(digest.high, 1979310422595682660);
  free(file);
  free(data);
  test_files_deinit(&test);
}

/* Uploads side by side over the production's files and threads: for the thread sanitizer. */
TEST(real_threads) {
  enum { UPLOADS = 6 };
  struct test_files folder;
  test_files_init(&folder);
  struct wr_posix_seams *posix = calloc(1, sizeof *posix);
  struct weir_error error = {0};
  CHECK(posix != NULL);
  CHECK_INT(wr_posix_seams_init(posix, 0, WR_LOG_ERROR, &error), WEIR_OK);
  struct wr_store store = {.seams = &posix->seams, .folder = folder.folder, .start_number = 1};
  size_t length = 5 * WR_BLOCK_BYTES_MAX + 11, done[UPLOADS] = {0};
  uint8_t *data = pattern(length, 10);
  struct wr_upload *uploads[UPLOADS];
  struct wr_handle handles[UPLOADS];
  for (int u = 0; u < UPLOADS; u++)
    CHECK_INT(wr_upload_new(&store, u % 2 == 0 ? &state_options : &epoch_options, NULL, &uploads[u], &error), WEIR_OK);
  for (int open = UPLOADS; open > 0;) {
    for (int u = 0; u < UPLOADS; u++) {
      uint64_t wake_at = UINT64_MAX;
      enum wr_upload_state state = uploads[u] == NULL ? WR_UPLOAD_CLOSING : wr_upload_step(uploads[u], 0, &wake_at);
      if (state == WR_UPLOAD_OPEN && done[u] < length) {
        size_t count = length - done[u] < 90000 ? length - done[u] : 90000;
        CHECK_INT(wr_upload_append(uploads[u], data + done[u], count, &error), WEIR_OK);
        done[u] += count;
        if (done[u] == length) wr_upload_finish(uploads[u]);
      } else if (state == WR_UPLOAD_DONE) {
        wr_upload_take_handle(uploads[u], &handles[u]);
        wr_upload_free(uploads[u]);
        uploads[u] = NULL;
        open--;
      }
      CHECK(state != WR_UPLOAD_FAILED);
    }
  }
  for (int u = 0; u < UPLOADS; u++) {
    CHECK(reads_back(&store, &handles[u], data, length));
    wr_handle_deinit(posix->seams.memory, &handles[u]);
  }
  CHECK_INT(atomic_load(&posix->heap.total_bytes), 0);
  wr_posix_seams_deinit(posix);
  free(posix);
  free(data);
  test_files_deinit(&folder);
}

TEST_MAIN(TEST_CASE(round_trip), TEST_CASE(names), TEST_CASE(back_pressure), TEST_CASE(buffers_are_used_again),
          TEST_CASE(every_operation_fails), TEST_CASE(waits_for_space), TEST_CASE(no_memory), TEST_CASE(damage),
          TEST_CASE(misplaced), TEST_CASE(name_taken), TEST_CASE(golden_bytes), TEST_CASE(real_threads))
