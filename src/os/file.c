/* os/file.c: what every user of the file seam needs, over the table alone: the same code runs in the simulator.
 * Declared in seams.h. Blocking, like the table; keeps nothing between calls. */
#include "base/limits.h"
#include "os/seams.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void wr_name_list_deinit(struct wr_name_list *list, struct wr_memory *memory) {
  for (size_t i = 0; i < list->count; i++)
    wr_free(memory, list->names[i]);
  wr_free(memory, list->names);
  *list = (struct wr_name_list){0};
}

enum weir_code wr_file_write_all(struct wr_files *files, struct wr_file *file, uint64_t offset, const void *data,
                                 size_t length, size_t *out_written, struct weir_error *error) {
  enum weir_code code = WEIR_OK;
  size_t done = 0;
  while (done < length && code == WEIR_OK) {
    size_t count = 0;
    code = files->write(files, file, offset + done, (const char *)data + done, length - done, &count, error);
    if (code == WEIR_OK) {
      WR_ASSERT(count > 0 && count <= length - done);
      done += count;
    }
  }
  if (out_written != NULL) *out_written = done;
  return code;
}

enum weir_code wr_file_read_all(struct wr_files *files, struct wr_file *file, uint64_t offset, void *data,
                                size_t length, struct weir_error *error) {
  size_t count = 0;
  WR_TRY(files->read(files, file, offset, data, length, &count, error));
  if (count < length)
    return WR_FAIL(error, WEIR_CORRUPT,
                   "the file ends at byte %" PRIu64 ", but %zu bytes were expected at byte %" PRIu64, offset + count,
                   length, offset);
  return WEIR_OK;
}

static enum weir_code load_open(struct wr_files *files, struct wr_file *file, const char *path, size_t limit,
                                struct wr_memory *memory, enum wr_memory_tag tag, uint8_t **out_data,
                                size_t *out_length, struct weir_error *error) {
  struct wr_file_info info;
  WR_TRY(files->info(files, file, &info, error));
  if (info.folder) return WR_FAIL(error, WEIR_INVALID, "cannot read %s: it is a folder, not a file", path);
  if (info.size_bytes > limit)
    return WR_FAIL(error, WEIR_LIMIT, "%s has %" PRIu64 " bytes; the limit is %zu", path, info.size_bytes, limit);
  size_t length = (size_t)info.size_bytes;
  uint8_t *data = length == SIZE_MAX ? NULL : wr_alloc(memory, length + 1, tag);
  if (data == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory while reading %s (%zu bytes)", path, length);
  enum weir_code code = wr_file_read_all(files, file, 0, data, length, error);
  if (code != WEIR_OK) {
    wr_free(memory, data);
    if (code == WEIR_CORRUPT && error != NULL) wr_error_prefix(error, "%s", path);
    return code;
  }
  data[length] = 0;
  *out_data = data;
  *out_length = length;
  return WEIR_OK;
}

enum weir_code wr_file_load(struct wr_files *files, const char *path, size_t limit, struct wr_memory *memory,
                            enum wr_memory_tag tag, uint8_t **out_data, size_t *out_length, struct weir_error *error) {
  struct wr_file *file = NULL;
  WR_TRY(files->open(files, path, WR_FILE_READ, &file, error));
  enum weir_code code = load_open(files, file, path, limit, memory, tag, out_data, out_length, error);
  /* Nothing was written: a failed close takes nothing away from what was read. */
  files->close(files, file, NULL);
  return code;
}

/* ---- publish ---- */

/* Opens a `temporary` that is new. One that stands there was left by a publish that died: nobody reads it. */
static enum weir_code create_temporary(struct wr_files *files, const char *temporary, struct wr_file **out_file,
                                       struct weir_error *error) {
  enum weir_code code = files->open(files, temporary, WR_FILE_CREATE_NEW, out_file, error);
  if (code != WEIR_IN_USE) return code;
  WR_TRY(files->remove(files, temporary, error));
  return files->open(files, temporary, WR_FILE_CREATE_NEW, out_file, error);
}

/* The file whole and durable under its temporary name, or an error and (as far as possible) no such file. */
static enum weir_code write_temporary(struct wr_files *files, const char *temporary, const void *data, size_t length,
                                      struct weir_error *error) {
  struct wr_file *file = NULL;
  WR_TRY(create_temporary(files, temporary, &file, error));
  enum weir_code code = wr_file_write_all(files, file, 0, data, length, NULL, error);
  if (code == WEIR_OK) code = files->sync(files, file, error);
  /* The first error is the one that is told; a close that fails on its own counts as one. */
  enum weir_code close_code = files->close(files, file, code == WEIR_OK ? error : NULL);
  if (code == WEIR_OK) code = close_code;
  if (code != WEIR_OK) files->remove(files, temporary, NULL);
  return code;
}

/* A rename that reports an error has not happened for sure only where the system refuses before it changes anything: no
 * right, no room for the entry. After anything else (an I/O error half way; "not found" for a file that we have just
 * made, which is what a network file system says when it repeats a rename whose first answer was lost) either name may
 * stand, now or after a crash, and the temporary file is left alone: it may be the only copy. */
static bool rename_surely_failed(enum weir_code code) {
  return code == WEIR_DENIED || code == WEIR_NO_SPACE;
}

enum wr_publish_outcome wr_file_publish(struct wr_files *files, const char *folder, const char *path, const void *data,
                                        size_t length, struct weir_error *error) {
  char temporary[WR_PATH_BYTES_MAX];
  int temporary_length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
  if (temporary_length < 0 || (size_t)temporary_length >= sizeof temporary) {
    (void)WR_FAIL(error, WEIR_LIMIT, "cannot write %s: its path is longer than %zu bytes", path, sizeof temporary - 5);
    return WR_PUBLISH_FAILED;
  }
  if (write_temporary(files, temporary, data, length, error) != WEIR_OK) return WR_PUBLISH_FAILED;
  enum weir_code code = files->rename(files, temporary, path, error);
  if (rename_surely_failed(code)) {
    files->remove(files, temporary, NULL);
    return WR_PUBLISH_FAILED;
  }
  if (code != WEIR_OK || files->sync_folder(files, folder, error) != WEIR_OK) return WR_PUBLISH_UNKNOWN;
  return WR_PUBLISH_DURABLE;
}
