/* state/test_state.h: what the tests of keyed state share: a store over files in memory, calls that run at once, and a
 * snapshot taken whole. One thread. */
#ifndef WR_STATE_TEST_STATE_H
#define WR_STATE_TEST_STATE_H

#include "base/random.h"
#include "base/test.h"
#include "base/test_memory.h"
#include "state/state.h"
#include "state/timers.h"

enum { TEST_FILES_MAX = 20000 };

struct wr_file {
  char *name; /* NULL: removed */
  uint8_t *data;
  size_t length, capacity;
};

struct test_world {
  struct test_memory memory;    /* of the engine under test */
  struct wr_heap_memory beyond; /* of what outlives it */
  struct wr_memory *used;       /* the one that the seams give */
  struct wr_seams seams;
  struct wr_files files;
  struct wr_calls calls;
  struct wr_clock clock;
  struct wr_waker waker;
  struct wr_store store;
  struct wr_file file[TEST_FILES_MAX];
  uint32_t file_count;
};

static inline struct wr_file *test_world_find(struct wr_files *files, const char *path) {
  struct test_world *world = (struct test_world *)((char *)files - offsetof(struct test_world, files));
  for (uint32_t i = world->file_count; i-- > 0;)
    if (world->file[i].name != NULL && strcmp(world->file[i].name, path) == 0) return &world->file[i];
  return NULL;
}

static inline enum weir_code test_world_open(struct wr_files *files, const char *path, enum wr_file_mode mode,
                                             struct wr_file **out_file, struct weir_error *error) {
  struct test_world *world = (struct test_world *)((char *)files - offsetof(struct test_world, files));
  *out_file = test_world_find(files, path);
  if (mode == WR_FILE_READ) return *out_file != NULL ? WEIR_OK : WR_FAIL(error, WEIR_NOT_FOUND, "no file %s", path);
  WR_ASSERT(*out_file == NULL && world->file_count < TEST_FILES_MAX);
  *out_file = &world->file[world->file_count++];
  **out_file = (struct wr_file){.name = strdup(path)};
  return WEIR_OK;
}
static inline enum weir_code test_world_close(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  (void)files, (void)file, (void)error;
  return WEIR_OK;
}
static inline enum weir_code test_world_read(struct wr_files *files, struct wr_file *file, uint64_t offset, void *data,
                                             size_t length, size_t *out_length, struct weir_error *error) {
  (void)files, (void)error;
  size_t left = offset < file->length ? file->length - (size_t)offset : 0;
  *out_length = length < left ? length : left;
  memcpy(data, file->data + offset, *out_length);
  return WEIR_OK;
}
static inline enum weir_code test_world_write(struct wr_files *files, struct wr_file *file, uint64_t offset,
                                              const void *data, size_t length, size_t *out_length,
                                              struct weir_error *error) {
  (void)files, (void)error;
  if (offset + length > file->capacity) {
    file->capacity = (size_t)(offset + length) * 2;
    file->data = realloc(file->data, file->capacity);
  }
  memcpy(file->data + offset, data, length);
  if (file->length < offset + length) file->length = (size_t)offset + length;
  *out_length = length;
  return WEIR_OK;
}
static inline enum weir_code test_world_sync(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  (void)files, (void)file, (void)error;
  return WEIR_OK;
}
static inline enum weir_code test_world_info(struct wr_files *files, struct wr_file *file,
                                             struct wr_file_info *out_info, struct weir_error *error) {
  (void)files, (void)error;
  *out_info = (struct wr_file_info){.size_bytes = file->length};
  return WEIR_OK;
}
static inline enum weir_code test_world_remove(struct wr_files *files, const char *path, struct weir_error *error) {
  (void)error;
  struct wr_file *file = test_world_find(files, path);
  if (file == NULL) return WEIR_OK;
  free(file->name);
  free(file->data);
  *file = (struct wr_file){0};
  return WEIR_OK;
}
static inline void test_world_submit(struct wr_calls *calls, struct wr_call *call) {
  (void)calls;
  call->run(call);
  wr_call_finish(call);
}
static inline void test_world_wake(struct wr_waker *waker) {
  (void)waker;
}

static inline struct test_world *test_world_new(void) {
  struct test_world *world = calloc(1, sizeof *world);
  test_memory_init(&world->memory);
  wr_heap_memory_init(&world->beyond, 0);
  world->used = &world->memory.memory;
  world->files.open = test_world_open;
  world->files.close = test_world_close;
  world->files.read = test_world_read;
  world->files.write = test_world_write;
  world->files.sync = test_world_sync;
  world->files.info = test_world_info;
  world->files.remove = test_world_remove;
  world->calls.submit = test_world_submit;
  world->waker.wake = test_world_wake;
  world->seams = (struct wr_seams){.memory = world->used, .files = &world->files, .calls = &world->calls};
  world->store.seams = &world->seams;
  world->store.folder = "job";
  return world;
}

static inline void test_world_free(struct test_world *world) {
  for (uint32_t i = 0; i < world->file_count; i++) {
    free(world->file[i].name);
    free(world->file[i].data);
  }
  free(world);
}

/* Production's malloc instead of the watchful one. */
static inline void test_world_use_heap(struct test_world *world) {
  world->used = world->seams.memory = &world->beyond.memory;
}

static inline struct wr_backend_options test_options(struct test_world *world, uint32_t subtask, uint32_t parallelism,
                                                     uint32_t max_parallelism) {
  return (struct wr_backend_options){.memory = world->used,
                                     .range = wr_key_group_range_of(subtask, parallelism, max_parallelism),
                                     .max_parallelism = max_parallelism,
                                     .index_seed = 0x1234567 + subtask};
}

/* An upload of one subtask. */
static inline struct wr_upload *test_upload_new(struct test_world *world, struct weir_error *error) {
  const struct wr_upload_options options = {.kind = WR_BLOB_STATE, .uid = "counter"};
  struct wr_upload *upload = NULL;
  return wr_upload_new(&world->store, &options, &world->waker, &upload, error) == WEIR_OK ? upload : NULL;
}

/* Finishes an upload to its handle and frees it; false when it failed. */
static inline bool test_upload_end(struct wr_upload *upload, struct wr_handle *out_handle) {
  uint64_t wake = UINT64_MAX;
  enum wr_upload_state state;
  wr_upload_finish(upload);
  do {
    state = wr_upload_step(upload, 0, &wake);
  } while (state != WR_UPLOAD_DONE && state != WR_UPLOAD_FAILED);
  if (state == WR_UPLOAD_DONE) wr_upload_take_handle(upload, out_handle);
  wr_upload_free(upload);
  return state == WR_UPLOAD_DONE;
}

/* One slice; the upload is stepped until it takes bytes. */
static inline enum wr_snapshot_progress test_slice(struct wr_backend *backend, struct wr_upload *upload, size_t budget,
                                                   struct weir_error *error) {
  uint64_t wake = UINT64_MAX;
  enum wr_upload_state state;
  do {
    state = wr_upload_step(upload, 0, &wake);
  } while (state == WR_UPLOAD_FULL);
  if (state == WR_UPLOAD_FAILED) return WR_SNAPSHOT_FAILED;
  return wr_backend_snapshot_step(backend, upload, budget, error);
}

/* A whole snapshot without anything in between; true when it was uploaded. */
static inline bool test_snapshot(struct test_world *world, struct wr_backend *backend, uint64_t id, bool full,
                                 uint64_t *out_bytes) {
  struct weir_error error;
  struct wr_handle handle;
  if (wr_backend_freeze(backend, id, full, &error) != WEIR_OK) return false;
  struct wr_upload *upload = test_upload_new(world, &error);
  enum wr_snapshot_progress progress = upload == NULL ? WR_SNAPSHOT_FAILED : WR_SNAPSHOT_MORE;
  while (progress < WR_SNAPSHOT_WRITTEN)
    progress = test_slice(backend, upload, 256 * 1024, &error);
  if (progress != WR_SNAPSHOT_WRITTEN) {
    wr_upload_free(upload);
    return false;
  }
  if (!test_upload_end(upload, &handle)) return false;
  if (out_bytes != NULL) *out_bytes = handle.length;
  wr_backend_snapshot_uploaded(backend, id, &handle);
  return true;
}

static const struct weir_field test_bigint_key[] = {{.name = "id", .type = WEIR_TYPE_BIGINT}};
static const struct weir_schema test_bigint_key_schema = {.fields = test_bigint_key, .field_count = 1};
static const struct weir_field test_count_value[] = {{.name = "n", .type = WEIR_TYPE_BIGINT}};
static const struct weir_schema test_count_value_schema = {.fields = test_count_value, .field_count = 1};

/* A backend with one state: BIGINT to BIGINT. */
static inline struct wr_backend *test_count_backend(struct test_world *world, uint32_t subtask, uint32_t parallelism,
                                                    struct wr_state **out_state) {
  const struct wr_backend_options options = test_options(world, subtask, parallelism, 128);
  const struct wr_state_descriptor descriptor = {
      .name = "count", .key = &test_bigint_key_schema, .value = &test_count_value_schema};
  struct wr_backend *backend = NULL;
  struct weir_error error;
  if (wr_backend_new(&options, &backend, &error) != WEIR_OK) return NULL;
  if (wr_backend_register(backend, &descriptor, out_state, &error) == WEIR_OK) return backend;
  wr_backend_free(backend);
  return NULL;
}

#endif
