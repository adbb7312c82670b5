/* Tests of os/file.c and os/posix_files.c: the codes of the table, and every way a publish can go wrong. */
#include "base/test.h"
#include "os/posix_files.h"

#include <sys/stat.h>
#include <unistd.h>

/* A folder of its own, the POSIX table, and around it a table in which the operation number `fail_at` fails. */
struct world {
  struct wr_files files; /* the failing table */
  struct wr_heap_memory heap;
  struct wr_posix_files posix;
  char folder[64];
  char path[80], temporary[88]; /* of the published file */
  int operations;               /* done so far */
  int fail_at;                  /* this operation fails; -1: none */
  enum weir_code fail_code;     /* with this */
  bool fail_after;              /* having done its work all the same */
  size_t write_at_most;         /* a write takes no more than this at once */
  const char *failed;           /* the name of the operation that failed */
};

static bool fails(struct world *world, const char *name, struct weir_error *error) {
  if (world->operations++ != world->fail_at) return false;
  world->failed = name;
  (void)WR_FAIL(error, world->fail_code, "%s fails", name);
  return true;
}

static enum weir_code broken_open(struct wr_files *files, const char *path, enum wr_file_mode mode,
                                  struct wr_file **out_file, struct weir_error *error) {
  struct world *world = (struct world *)files;
  if (fails(world, "open", error)) return world->fail_code;
  return world->posix.files.open(&world->posix.files, path, mode, out_file, error);
}

static enum weir_code broken_close(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  struct world *world = (struct world *)files;
  enum weir_code code = world->posix.files.close(&world->posix.files, file, error);
  return fails(world, "close", error) ? world->fail_code : code;
}

static enum weir_code broken_write(struct wr_files *files, struct wr_file *file, uint64_t offset, const void *data,
                                   size_t length, size_t *out_length, struct weir_error *error) {
  struct world *world = (struct world *)files;
  if (fails(world, "write", error)) return world->fail_code;
  if (world->write_at_most != 0 && length > world->write_at_most) length = world->write_at_most;
  return world->posix.files.write(&world->posix.files, file, offset, data, length, out_length, error);
}

static enum weir_code broken_sync(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  struct world *world = (struct world *)files;
  if (fails(world, "sync", error)) return world->fail_code;
  return world->posix.files.sync(&world->posix.files, file, error);
}

static enum weir_code broken_rename(struct wr_files *files, const char *from, const char *to,
                                    struct weir_error *error) {
  struct world *world = (struct world *)files;
  if (fails(world, "rename", error)) {
    if (world->fail_after) world->posix.files.rename(&world->posix.files, from, to, NULL);
    return world->fail_code;
  }
  return world->posix.files.rename(&world->posix.files, from, to, error);
}

static enum weir_code broken_remove(struct wr_files *files, const char *path, struct weir_error *error) {
  struct world *world = (struct world *)files;
  if (fails(world, "remove", error)) return world->fail_code;
  return world->posix.files.remove(&world->posix.files, path, error);
}

static enum weir_code broken_sync_folder(struct wr_files *files, const char *path, struct weir_error *error) {
  struct world *world = (struct world *)files;
  if (fails(world, "sync_folder", error)) return world->fail_code;
  return world->posix.files.sync_folder(&world->posix.files, path, error);
}

static void world_init(struct world *world) {
  *world = (struct world){.fail_at = -1};
  wr_heap_memory_init(&world->heap, 0);
  wr_posix_files_init(&world->posix, &world->heap.memory);
  world->files = world->posix.files;
  world->files.open = broken_open;
  world->files.close = broken_close;
  world->files.write = broken_write;
  world->files.sync = broken_sync;
  world->files.rename = broken_rename;
  world->files.remove = broken_remove;
  world->files.sync_folder = broken_sync_folder;
  snprintf(world->folder, sizeof world->folder, "/tmp/weir-test-file-XXXXXX");
  if (mkdtemp(world->folder) == NULL) abort();
  snprintf(world->path, sizeof world->path, "%s/file", world->folder);
  snprintf(world->temporary, sizeof world->temporary, "%s.tmp", world->path);
}

static void world_deinit(struct world *world) {
  unlink(world->path);
  unlink(world->temporary);
  if (rmdir(world->folder) != 0) TEST_FAIL("%s is not empty at the end", world->folder);
  CHECK_INT(world->heap.total_bytes, 0);
}

static enum wr_publish_outcome publish(struct world *world, const char *text, struct weir_error *error) {
  world->operations = 0;
  world->failed = "";
  return wr_file_publish(&world->files, world->folder, world->path, text, strlen(text), error);
}

static void check_content(struct world *world, const char *path, const char *expected) {
  uint8_t *data = NULL;
  size_t length = 0;
  struct weir_error error;
  enum weir_code code =
      wr_file_load(&world->posix.files, path, 1000, &world->heap.memory, WR_MEMORY_ENGINE, &data, &length, &error);
  if (expected == NULL) {
    CHECK_INT(code, WEIR_NOT_FOUND);
    return;
  }
  if (code != WEIR_OK) TEST_FAIL("%s", error.message);
  CHECK_INT(length, strlen(expected));
  CHECK_STRING((const char *)data, expected);
  wr_free(&world->heap.memory, data);
}

TEST(publish_replaces_whole) {
  struct world world;
  world_init(&world);
  struct weir_error error;
  CHECK_INT(publish(&world, "first, and longer", &error), WR_PUBLISH_DURABLE);
  check_content(&world, world.path, "first, and longer");
  CHECK_PASSED();
  /* One byte at a time, over what a publish that died left behind. */
  FILE *left = fopen(world.temporary, "w");
  CHECK(left != NULL);
  fputs("a longer remainder of an earlier time", left);
  fclose(left);
  world.write_at_most = 1;
  CHECK_INT(publish(&world, "second", &error), WR_PUBLISH_DURABLE);
  check_content(&world, world.path, "second");
  CHECK_PASSED();
  check_content(&world, world.temporary, NULL);
  CHECK_PASSED();
  CHECK_INT(publish(&world, "", &error), WR_PUBLISH_DURABLE);
  check_content(&world, world.path, "");
  CHECK_PASSED();
  struct stat status;
  CHECK_INT(stat(world.path, &status), 0);
  CHECK_INT(status.st_mode & 0777, 0600);
  world_deinit(&world);
}

/* What must hold after operation `fail_at` of publish failed with `code`. */
static void check_failure(struct world *world, int fail_at, enum weir_code code, bool fail_after) {
  struct weir_error error = {0};
  world->fail_at = -1;
  CHECK_INT(publish(world, "old", &error), WR_PUBLISH_DURABLE);
  world->fail_at = fail_at;
  world->fail_code = code;
  world->fail_after = fail_after;
  enum wr_publish_outcome outcome = publish(world, "new", &error);
  CHECK_INT(error.code, code);
  CHECK(strstr(error.message, world->failed) != NULL);
  bool is_rename = strcmp(world->failed, "rename") == 0;
  bool is_folder = strcmp(world->failed, "sync_folder") == 0;
  bool surely = code == WEIR_DENIED || code == WEIR_NO_SPACE;
  bool unknown = is_folder || (is_rename && !surely);
  if (outcome != (unknown ? WR_PUBLISH_UNKNOWN : WR_PUBLISH_FAILED))
    TEST_FAIL("%s with \"%s\" gives outcome %d", world->failed, weir_code_text(code), (int)outcome);
  check_content(world, world->path, is_folder || (is_rename && fail_after) ? "new" : "old");
  CHECK_PASSED();
  check_content(world, world->temporary, is_rename && unknown && !fail_after ? "new" : NULL);
  CHECK_PASSED();
  CHECK_INT(world->heap.total_bytes, 0);
}

TEST(every_operation_fails_in_turn) {
  static const enum weir_code codes[] = {WEIR_IO, WEIR_NO_SPACE, WEIR_DENIED, WEIR_NOT_FOUND, WEIR_NO_MEMORY};
  struct world world;
  world_init(&world);
  world.write_at_most = 2; /* "new" takes two writes */
  CHECK_INT(publish(&world, "new", NULL), WR_PUBLISH_DURABLE);
  int operations = world.operations;
  CHECK_INT(operations, 7); /* open, write, write, sync, close, rename, sync of the folder */
  for (int fail_at = 0; fail_at < operations; fail_at++)
    for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++) {
      check_failure(&world, fail_at, codes[c], false);
      CHECK_PASSED();
    }
  /* An answer that was lost: the rename says that it failed, and has happened. */
  check_failure(&world, 5, WEIR_IO, true);
  CHECK_PASSED();
  check_failure(&world, 5, WEIR_NOT_FOUND, true);
  CHECK_PASSED();
  world_deinit(&world);
}

/* The sync of a file is never tried again, and its first error is the one that is told, whatever fails after it. */
TEST(first_error_is_told) {
  struct world world;
  world_init(&world);
  struct weir_error error;
  world.fail_at = 2;
  world.fail_code = WEIR_IO;
  CHECK_INT(publish(&world, "x", &error), WR_PUBLISH_FAILED);
  CHECK_STRING(error.message, "sync fails");
  CHECK_INT(world.operations, 5); /* open, write, sync, close, remove */
  world_deinit(&world);
}

TEST(path_too_long) {
  struct world world;
  world_init(&world);
  static char path[5000];
  memset(path, 'a', sizeof path - 1);
  struct weir_error error;
  CHECK_INT(wr_file_publish(&world.files, world.folder, path, "x", 1, &error), WR_PUBLISH_FAILED);
  CHECK_INT(error.code, WEIR_LIMIT);
  CHECK_INT(world.operations, 0);
  world_deinit(&world);
}

TEST(codes_and_messages) {
  struct world world;
  world_init(&world);
  struct wr_files *files = &world.posix.files;
  struct wr_file *file = NULL, *second = NULL;
  struct weir_error error;
  char expected[200];
  CHECK_INT(files->open(files, world.path, WR_FILE_READ, &file, &error), WEIR_NOT_FOUND);
  snprintf(expected, sizeof expected, "cannot open %s: No such file or directory", world.path);
  CHECK_STRING(error.message, expected);
  CHECK_INT(files->open(files, world.path, WR_FILE_CREATE_NEW, &file, &error), WEIR_OK);
  CHECK_INT(files->open(files, world.path, WR_FILE_CREATE_NEW, &second, &error), WEIR_IN_USE);
  CHECK_INT(files->open(files, world.path, WR_FILE_WRITE, &second, &error), WEIR_OK);
  CHECK_INT(files->lock(files, file, &error), WEIR_OK);
  CHECK_INT(files->lock(files, file, &error), WEIR_OK);
  CHECK_INT(files->lock(files, second, &error), WEIR_IN_USE);
  CHECK_INT(files->close(files, file, &error), WEIR_OK);
  CHECK_INT(files->lock(files, second, &error), WEIR_OK);
  CHECK_INT(files->close(files, second, &error), WEIR_OK);
  struct stat status;
  char out[256];
  snprintf(out, sizeof out, "%s.out", world.path);
  mode_t before = umask(022);
  CHECK_INT(files->open(files, out, WR_FILE_CREATE_OUT, &file, &error), WEIR_OK);
  umask(before);
  CHECK_INT(files->open(files, out, WR_FILE_CREATE_OUT, &second, &error), WEIR_IN_USE);
  CHECK_INT(stat(out, &status), 0);
  CHECK_INT(status.st_mode & 0777, 0644);
  CHECK_INT(files->close(files, file, &error), WEIR_OK);
  CHECK_INT(files->remove(files, out, &error), WEIR_OK);
  CHECK_INT(files->open(files, "/dev/full", WR_FILE_WRITE, &file, &error), WEIR_OK);
  size_t written = 99;
  CHECK_INT(wr_file_write_all(files, file, 0, "x", 1, &written, &error), WEIR_NO_SPACE);
  CHECK_INT(written, 0);
  CHECK_STRING(error.message, "cannot write /dev/full: No space left on device");
  CHECK_INT(files->close(files, file, &error), WEIR_OK);
  char below[120];
  snprintf(below, sizeof below, "%s/below", world.path);
  struct wr_file_info info;
  CHECK_INT(files->stat(files, below, &info, &error), WEIR_NOT_FOUND);
  CHECK_INT(files->make_folder(files, world.path, &error), WEIR_IO); /* a file stands there */
  CHECK_INT(files->list(files, below, &world.heap.memory, &(struct wr_name_list){0}, &error), WEIR_NOT_FOUND);
  CHECK_INT(files->remove(files, world.path, &error), WEIR_OK);
  CHECK_INT(mkfifo(world.path, 0600), 0); /* opening it does not wait for its other end */
  CHECK_INT(files->open(files, world.path, WR_FILE_READ, &file, &error), WEIR_NOT_FOUND);
  CHECK_INT(files->stat(files, world.path, &info, &error), WEIR_OK);
  CHECK(info.special && !info.folder);
  world_deinit(&world);
}

TEST(folders) {
  struct world world;
  world_init(&world);
  struct wr_files *files = &world.posix.files;
  struct weir_error error;
  struct wr_file_info info;
  char inner[100];
  snprintf(inner, sizeof inner, "%s/inner", world.folder);
  CHECK_INT(files->make_folder(files, inner, &error), WEIR_OK);
  CHECK_INT(files->make_folder(files, inner, &error), WEIR_OK);
  CHECK_INT(files->stat(files, inner, &info, &error), WEIR_OK);
  CHECK(info.folder);
  CHECK_INT(files->sync_folder(files, inner, &error), WEIR_OK);
  CHECK_INT(publish(&world, "x", &error), WR_PUBLISH_DURABLE);
  CHECK_INT(files->remove_folder(files, world.folder, &error), WEIR_IO);
  struct wr_name_list list;
  CHECK_INT(files->list(files, world.folder, &world.heap.memory, &list, &error), WEIR_OK);
  CHECK_INT(list.count, 2);
  bool file_first = strcmp(list.names[0], "file") == 0;
  CHECK_STRING(list.names[!file_first], "file");
  CHECK_STRING(list.names[file_first], "inner");
  wr_name_list_deinit(&list, &world.heap.memory);
  /* Memory that ends in the middle of a list leaves nothing behind. */
  for (uint64_t budget = 1; budget < 140; budget++) {
    world.heap.budget_bytes = budget;
    enum weir_code code = files->list(files, world.folder, &world.heap.memory, &list, &error);
    if (code == WEIR_OK) wr_name_list_deinit(&list, &world.heap.memory);
    if (code != WEIR_OK) CHECK_INT(code, WEIR_NO_MEMORY);
    CHECK_INT(world.heap.total_bytes, 0);
  }
  CHECK_INT(files->remove_folder(files, inner, &error), WEIR_OK);
  CHECK_INT(files->remove_folder(files, inner, &error), WEIR_NOT_FOUND);
  world.heap.budget_bytes = 0;
  world_deinit(&world);
}

TEST(load_and_read) {
  struct world world;
  world_init(&world);
  struct wr_files *files = &world.posix.files;
  struct weir_error error;
  uint8_t *data = NULL;
  size_t length = 0;
  CHECK_INT(publish(&world, "0123456789", &error), WR_PUBLISH_DURABLE);
  struct wr_memory *memory = &world.heap.memory;
  CHECK_INT(wr_file_load(files, world.path, 9, memory, WR_MEMORY_ENGINE, &data, &length, &error), WEIR_LIMIT);
  CHECK_INT(wr_file_load(files, world.folder, 9999, memory, WR_MEMORY_ENGINE, &data, &length, &error), WEIR_INVALID);
  for (world.heap.budget_bytes = 1; world.heap.budget_bytes < 46; world.heap.budget_bytes++) {
    CHECK_INT(wr_file_load(files, world.path, 10, memory, WR_MEMORY_ENGINE, &data, &length, &error), WEIR_NO_MEMORY);
    CHECK_INT(world.heap.total_bytes, 0);
  }
  world.heap.budget_bytes = 0;
  CHECK_INT(wr_file_load(files, world.path, 10, memory, WR_MEMORY_ENGINE, &data, &length, &error), WEIR_OK);
  CHECK_INT(length, 10);
  CHECK_INT(data[10], 0);
  wr_free(memory, data);
  struct wr_file *file = NULL;
  CHECK_INT(files->open(files, world.path, WR_FILE_WRITE, &file, &error), WEIR_OK);
  char bytes[8];
  CHECK_INT(wr_file_read_all(files, file, 4, bytes, 6, &error), WEIR_OK);
  CHECK(memcmp(bytes, "456789", 6) == 0);
  CHECK_INT(wr_file_read_all(files, file, 4, bytes, 7, &error), WEIR_CORRUPT);
  CHECK_STRING(error.message, "the file ends at byte 10, but 7 bytes were expected at byte 4");
  CHECK_INT(files->truncate(files, file, 3, &error), WEIR_OK);
  struct wr_file_info info;
  CHECK_INT(files->info(files, file, &info, &error), WEIR_OK);
  CHECK_INT(info.size_bytes, 3);
  CHECK(!info.folder);
  CHECK_INT(files->close(files, file, &error), WEIR_OK);
  world_deinit(&world);
}

TEST_MAIN(TEST_CASE(publish_replaces_whole), TEST_CASE(every_operation_fails_in_turn), TEST_CASE(first_error_is_told),
          TEST_CASE(path_too_long), TEST_CASE(codes_and_messages), TEST_CASE(folders), TEST_CASE(load_and_read))
