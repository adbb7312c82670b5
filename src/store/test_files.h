/* store/test_files.h: seams for tests over POSIX files in a temporary folder: any file operation can be made to fail,
 * calls run when the test says so, time is a number, the waker counts. One thread. */
#ifndef WR_STORE_TEST_FILES_H
#define WR_STORE_TEST_FILES_H

#include "base/test_memory.h"
#include "os/posix_files.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct test_files {
  struct wr_seams seams;
  struct wr_files files; /* first asks `fails`, then does it */
  struct wr_calls calls;
  struct wr_clock clock;
  struct wr_waker waker;
  struct test_memory memory;
  struct test_memory below_memory; /* of the POSIX table, so that leaks and refusals are told apart */
  struct wr_posix_files posix;
  struct wr_call *submitted[8];
  size_t submitted_count;
  uint64_t now_ns;
  uint64_t wakes;
  uint64_t operations; /* so far */
  uint64_t fail_at;    /* the operation that fails; 0: none */
  uint64_t fail_count; /* how many fail from there on */
  enum weir_code fail_code;
  const char *fail_only; /* only operations of this name count and fail; NULL: all */
  size_t write_limit;    /* a write takes no more bytes at once; 0: any number */
  uint64_t open_files;
  char folder[64];
};

static inline struct test_files *test_files_of(struct wr_files *files) {
  return (struct test_files *)((char *)files - offsetof(struct test_files, files));
}

static inline bool test_files_fails(struct wr_files *files, const char *name) {
  struct test_files *test = test_files_of(files);
  if (test->fail_only != NULL && strcmp(test->fail_only, name) != 0) return false;
  uint64_t n = ++test->operations;
  return test->fail_at != 0 && n >= test->fail_at && n - test->fail_at < test->fail_count;
}

#define TEST_FILES_BELOW struct wr_files *below = &test_files_of(files)->posix.files
#define TEST_FILES_FAIL(name)                                                                                          \
  do {                                                                                                                 \
    if (test_files_fails(files, name))                                                                                 \
      return WR_FAIL(error, test_files_of(files)->fail_code, "cannot %s: made to fail", name);                         \
  } while (0)

static inline enum weir_code test_files_open(struct wr_files *files, const char *path, enum wr_file_mode mode,
                                             struct wr_file **out_file, struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL(mode == WR_FILE_READ ? "open" : "create");
  WR_TRY(below->open(below, path, mode, out_file, error));
  test_files_of(files)->open_files++;
  return WEIR_OK;
}
static inline enum weir_code test_files_close(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  TEST_FILES_BELOW;
  test_files_of(files)->open_files--;
  enum weir_code code = below->close(below, file, error);
  TEST_FILES_FAIL("close");
  return code;
}
static inline enum weir_code test_files_read(struct wr_files *files, struct wr_file *file, uint64_t offset, void *data,
                                             size_t length, size_t *out_length, struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("read");
  return below->read(below, file, offset, data, length, out_length, error);
}
static inline enum weir_code test_files_write(struct wr_files *files, struct wr_file *file, uint64_t offset,
                                              const void *data, size_t length, size_t *out_length,
                                              struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("write");
  size_t limit = test_files_of(files)->write_limit;
  return below->write(below, file, offset, data, limit != 0 && limit < length ? limit : length, out_length, error);
}
static inline enum weir_code test_files_sync(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  (void)file;
  TEST_FILES_FAIL("sync");
  return WEIR_OK; /* nothing here cuts the power, and the tests are quicker for it */
}
static inline enum weir_code test_files_truncate(struct wr_files *files, struct wr_file *file, uint64_t size_bytes,
                                                 struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("truncate");
  return below->truncate(below, file, size_bytes, error);
}
static inline enum weir_code test_files_info(struct wr_files *files, struct wr_file *file,
                                             struct wr_file_info *out_info, struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("info");
  return below->info(below, file, out_info, error);
}
static inline enum weir_code test_files_lock(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("lock");
  return below->lock(below, file, error);
}
static inline enum weir_code test_files_stat(struct wr_files *files, const char *path, struct wr_file_info *out_info,
                                             struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("stat");
  return below->stat(below, path, out_info, error);
}
static inline enum weir_code test_files_rename(struct wr_files *files, const char *from, const char *to,
                                               struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("rename");
  return below->rename(below, from, to, error);
}
static inline enum weir_code test_files_remove(struct wr_files *files, const char *path, struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("remove");
  return below->remove(below, path, error);
}
static inline enum weir_code test_files_remove_folder(struct wr_files *files, const char *path,
                                                      struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("remove folder");
  return below->remove_folder(below, path, error);
}
static inline enum weir_code test_files_make_folder(struct wr_files *files, const char *path,
                                                    struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("make folder");
  return below->make_folder(below, path, error);
}
static inline enum weir_code test_files_sync_folder(struct wr_files *files, const char *path,
                                                    struct weir_error *error) {
  (void)path;
  TEST_FILES_FAIL("sync folder");
  return WEIR_OK;
}
static inline enum weir_code test_files_list(struct wr_files *files, const char *path, struct wr_memory *memory,
                                             struct wr_name_list *out_list, struct weir_error *error) {
  TEST_FILES_BELOW;
  TEST_FILES_FAIL("list");
  return below->list(below, path, memory, out_list, error);
}

static inline void test_files_submit(struct wr_calls *calls, struct wr_call *call) {
  struct test_files *test = (struct test_files *)((char *)calls - offsetof(struct test_files, calls));
  WR_ASSERT(test->submitted_count < 8);
  test->submitted[test->submitted_count++] = call;
}
/* Runs the calls that were submitted; how many. */
static inline size_t test_files_run_calls(struct test_files *test) {
  size_t count = test->submitted_count;
  for (size_t i = 0; i < count; i++) {
    test->submitted[i]->run(test->submitted[i]);
    wr_call_finish(test->submitted[i]);
  }
  test->submitted_count = 0;
  return count;
}
static inline void test_files_wake(struct wr_waker *waker) {
  ((struct test_files *)((char *)waker - offsetof(struct test_files, waker)))->wakes++;
}
static inline uint64_t test_files_now(struct wr_clock *clock) {
  return ((struct test_files *)((char *)clock - offsetof(struct test_files, clock)))->now_ns;
}

/* From now on operation `n` (counted from 1) fails, and `count` - 1 after it. 0: none. */
static inline void test_files_fail(struct test_files *test, uint64_t n, uint64_t count, enum weir_code code,
                                   const char *only) {
  test->operations = 0;
  test->fail_at = n;
  test->fail_count = count;
  test->fail_code = code;
  test->fail_only = only;
}

static inline void test_files_init(struct test_files *test) {
  memset(test, 0, sizeof *test);
  test_memory_init(&test->memory);
  test_memory_init(&test->below_memory);
  wr_posix_files_init(&test->posix, &test->below_memory.memory);
  test->files = (struct wr_files){.open = test_files_open,
                                  .close = test_files_close,
                                  .read = test_files_read,
                                  .write = test_files_write,
                                  .sync = test_files_sync,
                                  .truncate = test_files_truncate,
                                  .info = test_files_info,
                                  .lock = test_files_lock,
                                  .stat = test_files_stat,
                                  .rename = test_files_rename,
                                  .remove = test_files_remove,
                                  .remove_folder = test_files_remove_folder,
                                  .make_folder = test_files_make_folder,
                                  .sync_folder = test_files_sync_folder,
                                  .list = test_files_list};
  test->calls.submit = test_files_submit;
  test->clock.monotonic_ns = test_files_now;
  test->waker.wake = test_files_wake;
  test->seams = (struct wr_seams){
      .memory = &test->memory.memory, .clock = &test->clock, .files = &test->files, .calls = &test->calls};
  snprintf(test->folder, sizeof test->folder, "/tmp/weir-test-XXXXXX");
  WR_ASSERT(mkdtemp(test->folder) != NULL);
}

static inline int test_files_delete(const char *path, const struct stat *info, int kind, struct FTW *place) {
  (void)info;
  (void)kind;
  (void)place;
  return remove(path);
}
/* Removes the folder. The caller has looked for leaks before. */
static inline void test_files_deinit(struct test_files *test) {
  nftw(test->folder, test_files_delete, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
