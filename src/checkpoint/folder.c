/* checkpoint/folder.c: opening a job's folder, its identity, its checkpoints, moving it aside. See folder.h; clean-up
 * is in folder_cleanup.c.
 *
 * Two things make a start safe wherever an earlier one was cut off. A folder that was made is synced into its parent
 * before anything is made in it, and the parent of the deepest folder that is already there is synced again, for a
 * start may have died between the two. And LOCK is compared with the file that now has that name after it was locked:
 * between our open and our lock another process may have moved the folder aside.
 */
#include "checkpoint/folder_internal.h"

#include "checkpoint/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_ROOM = 64, ASIDE_TRIES = 1000, LOCK_TRIES = 4 };

/* ---- names ---- */

bool wr_checkpoint_name_parse(const char *name, uint64_t *out_id) {
  char file[WR_FILE_NAME_BYTES];
  uint64_t zero;
  /* The number has the form of a data file's. */
  int length = strncmp(name, "chk-", 4) == 0 ? snprintf(file, sizeof file, "d-0-%s", name + 4) : -1;
  return length > 0 && (size_t)length < sizeof file && wr_data_file_parse(file, &zero, out_id);
}

void wr_folder_join(const struct wr_folder *folder, const char *name, char out_path[WR_PATH_BYTES_MAX]) {
  int length = snprintf(out_path, WR_PATH_BYTES_MAX, "%s/%s", folder->path, name);
  WR_ASSERT(length > 0 && length < WR_PATH_BYTES_MAX);
}

void wr_folder_checkpoint_path(const struct wr_folder *folder, uint64_t id, char out_path[WR_PATH_BYTES_MAX]) {
  char name[32];
  snprintf(name, sizeof name, "chk-%" PRIu64, id);
  wr_folder_join(folder, name, out_path);
}

void wr_folder_assert_locked(const struct wr_folder *folder) {
  WR_ASSERT(folder->lock != NULL);
}

/* A file of ours that an interrupted publish left. */
static bool is_temporary(const char *name) {
  char base[WR_FILE_NAME_BYTES];
  size_t length = strlen(name);
  uint64_t id;
  if (length < 4 || length - 4 >= sizeof base || strcmp(name + length - 4, ".tmp") != 0) return false;
  memcpy(base, name, length - 4);
  base[length - 4] = 0;
  return strcmp(base, "JOB") == 0 || wr_checkpoint_name_parse(base, &id);
}

/* A name that only a folder of weir has. LOCK is not one: other programs have such files. */
static bool is_ours(const char *name) {
  uint64_t a, b;
  return strcmp(name, "JOB") == 0 || is_temporary(name) || wr_checkpoint_name_parse(name, &a) ||
         wr_data_file_parse(name, &a, &b);
}

/* ---- open ---- */

/* The parent of path[0..length), without the "/": 0 is the root or, for a relative path, the current folder. */
static size_t parent_length(const char *path, size_t length) {
  while (length > 0 && path[length - 1] != '/')
    length--;
  while (length > 0 && path[length - 1] == '/')
    length--;
  return length;
}

static void parent_of(const char *path, size_t length, char out_parent[WR_PATH_BYTES_MAX]) {
  size_t parent = parent_length(path, length);
  memcpy(out_parent, path, parent);
  out_parent[parent] = 0;
  if (parent == 0) memcpy(out_parent, path[0] == '/' ? "/" : ".", 2);
}

/* Makes path[0..length) in its parent, which is there, and makes it durable. What was made and could not be synced is
 * taken back, so that no later start takes it for durable. */
static enum weir_code make_one(struct wr_files *files, const char *path, const char *parent, struct weir_error *error) {
  WR_TRY(files->make_folder(files, path, error));
  enum weir_code code = files->sync_folder(files, parent, error);
  if (code != WEIR_OK) files->remove_folder(files, path, NULL);
  return code;
}

/* Makes the folder and those above it where missing. */
static enum weir_code make_folders(struct wr_files *files, const char *path, struct weir_error *error) {
  char current[WR_PATH_BYTES_MAX], parent[WR_PATH_BYTES_MAX];
  size_t length = strlen(path), existing = length;
  for (; existing > 0; existing = parent_length(path, existing)) {
    memcpy(current, path, existing);
    current[existing] = 0;
    struct wr_file_info info;
    enum weir_code code = files->stat(files, current, &info, error);
    if (code == WEIR_OK && !info.folder)
      return WR_FAIL(error, WEIR_FOREIGN, "%s is a file, not the folder of a job; give another --state", current);
    if (code == WEIR_OK) break;
    if (code != WEIR_NOT_FOUND) return code;
  }
  if (existing > 0) {
    /* A start that died may have made it without syncing. Where we may not even read the parent we have not made it. */
    parent_of(path, existing, parent);
    enum weir_code code = files->sync_folder(files, parent, error);
    if (code != WEIR_OK && code != WEIR_DENIED) return code;
  }
  while (existing < length) {
    size_t end = existing;
    while (path[end] == '/')
      end++;
    while (path[end] != 0 && path[end] != '/')
      end++;
    memcpy(current, path, end);
    current[end] = 0;
    parent_of(path, end, parent);
    WR_TRY(make_one(files, current, parent, error));
    existing = end;
  }
  return WEIR_OK;
}

enum weir_code wr_folder_list(struct wr_folder *folder, struct wr_name_list *out_list, struct weir_error *error) {
  return folder->files->list(folder->files, folder->path, folder->memory, out_list, error);
}

/* A folder that is not empty and holds nothing of ours is somebody else's. */
static enum weir_code check_ours(struct wr_folder *folder, struct weir_error *error) {
  struct wr_name_list list = {0};
  WR_TRY(wr_folder_list(folder, &list, error));
  const char *foreign = NULL;
  bool ours = false;
  for (size_t i = 0; i < list.count; i++) {
    if (is_ours(list.names[i])) {
      ours = true;
    } else if (strcmp(list.names[i], "LOCK") != 0) {
      foreign = list.names[i];
    }
  }
  enum weir_code code = WEIR_OK;
  if (foreign != NULL && !ours)
    code =
        WR_FAIL(error, WEIR_FOREIGN,
                "the folder %s is not empty and not the folder of a job (it holds %s and no JOB); give another --state",
                folder->path, foreign);
  wr_name_list_deinit(&list, folder->memory);
  return code;
}

static enum weir_code in_use(const struct wr_folder *folder, const char *path, struct weir_error *error) {
  return WR_FAIL(error, WEIR_IN_USE,
                 "the folder %s is in use by another process (lock held on %s); stop it first, or give another --state",
                 folder->path, path);
}

/* Locks LOCK; *out_same false when the name has become another file meanwhile: then it is closed again. */
static enum weir_code try_lock(struct wr_folder *folder, const char *path, struct wr_file **out_file, bool *out_same,
                               struct weir_error *error) {
  struct wr_files *files = folder->files;
  struct wr_file *file = NULL;
  WR_TRY(files->open(files, path, WR_FILE_WRITE, &file, error));
  struct wr_file_info locked = {0}, named = {0};
  enum weir_code code = files->lock(files, file, error);
  if (code == WEIR_IN_USE) code = in_use(folder, path, error);
  if (code == WEIR_OK) code = files->info(files, file, &locked, error);
  if (code == WEIR_OK) code = files->stat(files, path, &named, error);
  if (code == WEIR_NOT_FOUND) code = WEIR_OK;
  *out_same = code == WEIR_OK && locked.device == named.device && locked.inode == named.inode;
  if (*out_same) {
    *out_file = file;
  } else {
    files->close(files, file, NULL);
  }
  return code;
}

static enum weir_code take_lock(struct wr_folder *folder, struct wr_file **out_file, struct weir_error *error) {
  char path[WR_PATH_BYTES_MAX];
  wr_folder_join(folder, "LOCK", path);
  for (int i = 0; i < LOCK_TRIES; i++) {
    bool same = false;
    WR_TRY(try_lock(folder, path, out_file, &same, error));
    if (same) return WEIR_OK;
  }
  return in_use(folder, path, error);
}

/* What interrupted publishes left: nobody reads it, and a publish takes its place, so what cannot be removed may stay.
 */
static enum weir_code remove_temporaries(struct wr_folder *folder, struct weir_error *error) {
  struct wr_name_list list = {0};
  WR_TRY(wr_folder_list(folder, &list, error));
  for (size_t i = 0; i < list.count; i++) {
    if (!is_temporary(list.names[i])) continue;
    char path[WR_PATH_BYTES_MAX];
    wr_folder_join(folder, list.names[i], path);
    folder->files->remove(folder->files, path, NULL);
  }
  wr_name_list_deinit(&list, folder->memory);
  return WEIR_OK;
}

static enum weir_code open_for_reading(struct wr_folder *folder, struct weir_error *error) {
  struct wr_file_info info;
  enum weir_code code = folder->files->stat(folder->files, folder->path, &info, error);
  if (code == WEIR_NOT_FOUND) return WR_FAIL(error, WEIR_NOT_FOUND, "there is no folder %s", folder->path);
  WR_TRY(code);
  if (!info.folder) return WR_FAIL(error, WEIR_FOREIGN, "%s is a file, not the folder of a job", folder->path);
  return check_ours(folder, error);
}

static enum weir_code open_for_writing(struct wr_folder *folder, struct weir_error *error) {
  WR_TRY(make_folders(folder->files, folder->path, error));
  WR_TRY(check_ours(folder, error));
  WR_TRY(take_lock(folder, &folder->lock, error));
  return remove_temporaries(folder, error);
}

static enum weir_code folder_new(struct wr_files *files, struct wr_memory *memory, const char *path,
                                 struct wr_folder **out_folder, struct weir_error *error) {
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/')
    length--;
  if (length == 0) return WR_FAIL(error, WEIR_INVALID, "the folder of the job has an empty path");
  if (length + NAME_ROOM >= WR_PATH_BYTES_MAX)
    return WR_FAIL(error, WEIR_LIMIT, "the path of the job's folder has %zu bytes; the limit is %d", length,
                   WR_PATH_BYTES_MAX - NAME_ROOM);
  char parent[WR_PATH_BYTES_MAX];
  parent_of(path, length, parent);
  struct wr_folder *folder = wr_alloc_zeroed(memory, 1, sizeof *folder, WR_MEMORY_ENGINE);
  if (folder == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the folder %s", path);
  folder->files = files;
  folder->memory = memory;
  folder->path = wr_copy_bytes(memory, path, length, WR_MEMORY_ENGINE);
  folder->parent = wr_copy_string(memory, parent, WR_MEMORY_ENGINE);
  if (folder->path == NULL || folder->parent == NULL) {
    wr_folder_close(folder);
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the folder %s", path);
  }
  *out_folder = folder;
  return WEIR_OK;
}

enum weir_code wr_folder_open(struct wr_files *files, struct wr_memory *memory, const char *path, bool read_only,
                              struct wr_folder **out_folder, struct weir_error *error) {
  struct wr_folder *folder = NULL;
  WR_TRY(folder_new(files, memory, path, &folder, error));
  enum weir_code code = read_only ? open_for_reading(folder, error) : open_for_writing(folder, error);
  if (code != WEIR_OK) {
    wr_folder_close(folder);
    return code;
  }
  *out_folder = folder;
  return WEIR_OK;
}

void wr_folder_close(struct wr_folder *folder) {
  if (folder == NULL) return;
  /* LOCK has no content: what its close reports does not matter. */
  if (folder->lock != NULL) folder->files->close(folder->files, folder->lock, NULL);
  wr_free(folder->memory, folder->path);
  wr_free(folder->memory, folder->parent);
  wr_free(folder->memory, folder);
}

const char *wr_folder_path(const struct wr_folder *folder) {
  return folder->path;
}

/* ---- identity ---- */

/* There is no JOB: the folder is new, or it is damaged. */
static enum weir_code check_new(struct wr_folder *folder, struct weir_error *error) {
  struct wr_name_list list = {0};
  WR_TRY(wr_folder_list(folder, &list, error));
  enum weir_code code = WEIR_OK;
  for (size_t i = 0; i < list.count && code == WEIR_OK; i++) {
    if (is_ours(list.names[i]) && !is_temporary(list.names[i]))
      code =
          WR_FAIL(error, WEIR_CORRUPT,
                  "the folder %s is damaged: it holds %s, but its file JOB is missing; bring JOB back from a copy, or "
                  "begin anew with --fresh",
                  folder->path, list.names[i]);
  }
  wr_name_list_deinit(&list, folder->memory);
  return code;
}

enum weir_code wr_folder_read_identity(struct wr_folder *folder, struct wr_identity *out_identity, bool *out_exists,
                                       struct weir_error *error) {
  *out_identity = (struct wr_identity){0};
  *out_exists = false;
  char path[WR_PATH_BYTES_MAX];
  wr_folder_join(folder, "JOB", path);
  uint8_t *data = NULL;
  size_t length = 0;
  enum weir_code code =
      wr_file_load(folder->files, path, WR_IDENTITY_BYTES_MAX, folder->memory, WR_MEMORY_ENGINE, &data, &length, error);
  if (code == WEIR_NOT_FOUND) return check_new(folder, error);
  if (code == WEIR_LIMIT || code == WEIR_INVALID)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: it is no file, or too long to be the identity of a job", path);
  WR_TRY(code);
  code = wr_identity_decode(data, length, path, out_identity, error);
  wr_free(folder->memory, data);
  *out_exists = code == WEIR_OK;
  return code;
}

enum wr_publish_outcome wr_folder_publish_identity(struct wr_folder *folder, const struct wr_identity *identity,
                                                   struct weir_error *error) {
  wr_folder_assert_locked(folder);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, folder->memory, WR_MEMORY_ENGINE);
  enum wr_publish_outcome outcome = WR_PUBLISH_FAILED;
  if (wr_identity_encode(&bytes, identity, error) == WEIR_OK) {
    char path[WR_PATH_BYTES_MAX];
    wr_folder_join(folder, "JOB", path);
    outcome = wr_file_publish(folder->files, folder->path, path, bytes.data, bytes.length, error);
  }
  wr_bytes_deinit(&bytes);
  return outcome;
}

/* ---- checkpoints ---- */

static int compare_ids(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

enum weir_code wr_folder_list_checkpoints(struct wr_folder *folder, uint64_t **out_ids, uint32_t *out_count,
                                          struct weir_error *error) {
  *out_ids = NULL;
  *out_count = 0;
  struct wr_name_list list = {0};
  WR_TRY(wr_folder_list(folder, &list, error));
  uint64_t *ids = wr_alloc(folder->memory, list.count * sizeof *ids, WR_MEMORY_ENGINE);
  uint32_t count = 0;
  for (size_t i = 0; ids != NULL && i < list.count; i++)
    if (wr_checkpoint_name_parse(list.names[i], &ids[count])) count++;
  wr_name_list_deinit(&list, folder->memory);
  if (ids == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for listing %s", folder->path);
  qsort(ids, count, sizeof *ids, compare_ids);
  *out_ids = ids;
  *out_count = count;
  return WEIR_OK;
}

/* Looks for the files that a checkpoint names, until the first that is not right. */
struct file_check {
  const struct wr_folder *folder;
  const char *checkpoint;
  enum weir_code code;
  struct weir_error *error;
};

static void check_file(void *argument, const struct wr_handle *handle) {
  struct file_check *check = argument;
  if (check->code != WEIR_OK) return;
  char path[WR_PATH_BYTES_MAX];
  wr_folder_join(check->folder, handle->file, path);
  struct wr_file_info info = {0};
  struct wr_files *files = check->folder->files;
  check->code = files->stat(files, path, &info, check->error);
  if (check->code == WEIR_NOT_FOUND) {
    check->code =
        WR_FAIL(check->error, WEIR_CORRUPT, "%s names the file %s, which is missing", check->checkpoint, path);
  } else if (check->code == WEIR_OK && (info.folder || info.size_bytes != wr_handle_file_bytes(handle))) {
    check->code =
        WR_FAIL(check->error, WEIR_CORRUPT, "%s names the file %s with %" PRIu64 " bytes, but it has %" PRIu64,
                check->checkpoint, path, wr_handle_file_bytes(handle), info.size_bytes);
  }
}

static enum weir_code load_bytes(struct wr_folder *folder, const char *path, uint8_t **out_data, size_t *out_length,
                                 struct weir_error *error) {
  enum weir_code code = wr_file_load(folder->files, path, WR_METADATA_BYTES_MAX, folder->memory, WR_MEMORY_SNAPSHOT,
                                     out_data, out_length, error);
  /* weir writes no such file: it is not ours any more. */
  if (code == WEIR_LIMIT || code == WEIR_INVALID)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: it is no file, or too long to be a checkpoint", path);
  return code;
}

enum weir_code wr_folder_load_checkpoint(struct wr_folder *folder, uint64_t id, bool verify_files,
                                         struct wr_metadata *out_metadata, struct weir_error *error) {
  *out_metadata = (struct wr_metadata){0};
  char path[WR_PATH_BYTES_MAX];
  wr_folder_checkpoint_path(folder, id, path);
  uint8_t *data = NULL;
  size_t length = 0;
  WR_TRY(load_bytes(folder, path, &data, &length, error));
  enum weir_code code = wr_metadata_decode(data, length, path, folder->memory, out_metadata, error);
  wr_free(folder->memory, data);
  if (code == WEIR_OK && out_metadata->checkpoint_id != id)
    code = WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: it says that it is checkpoint %" PRIu64, path,
                   out_metadata->checkpoint_id);
  if (code == WEIR_OK && verify_files) {
    struct file_check check = {.folder = folder, .checkpoint = path, .code = WEIR_OK, .error = error};
    wr_metadata_each_file(out_metadata, check_file, &check);
    code = check.code;
  }
  if (code != WEIR_OK) wr_metadata_deinit(folder->memory, out_metadata);
  return code;
}

enum weir_code wr_folder_load_newest(struct wr_folder *folder, uint64_t below_id, struct wr_metadata *out_metadata,
                                     bool *out_exists, uint32_t *out_damaged,
                                     struct weir_error *out_newest_damaged_error, struct weir_error *error) {
  *out_metadata = (struct wr_metadata){0};
  *out_exists = false;
  *out_damaged = 0;
  uint64_t *ids = NULL;
  uint32_t count = 0;
  WR_TRY(wr_folder_list_checkpoints(folder, &ids, &count, error));
  enum weir_code code = WEIR_OK;
  struct weir_error damage;
  while (count > 0 && ids[count - 1] >= below_id)
    count--;
  while (count > 0 && !*out_exists) {
    code = wr_folder_load_checkpoint(folder, ids[--count], true, out_metadata, &damage);
    *out_exists = code == WEIR_OK;
    if (code != WEIR_OK && code != WEIR_CORRUPT && code != WEIR_NEWER) {
      if (error != NULL) *error = damage;
      break;
    }
    if (code != WEIR_OK && (*out_damaged)++ == 0 && out_newest_damaged_error != NULL)
      *out_newest_damaged_error = damage;
    code = WEIR_OK;
  }
  wr_free(folder->memory, ids);
  return code;
}

enum wr_publish_outcome wr_folder_publish_checkpoint(struct wr_folder *folder, const struct wr_metadata *metadata,
                                                     bool sync_folder_first, struct weir_error *error) {
  wr_folder_assert_locked(folder);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, folder->memory, WR_MEMORY_SNAPSHOT);
  enum wr_publish_outcome outcome = WR_PUBLISH_FAILED;
  if (wr_metadata_encode(&bytes, metadata, error) == WEIR_OK) {
    char path[WR_PATH_BYTES_MAX];
    wr_folder_checkpoint_path(folder, metadata->checkpoint_id, path);
    bool synced = !sync_folder_first || folder->files->sync_folder(folder->files, folder->path, error) == WEIR_OK;
    outcome = synced ? wr_file_publish(folder->files, folder->path, path, bytes.data, bytes.length, error)
                     : WR_PUBLISH_UNKNOWN;
  }
  wr_bytes_deinit(&bytes);
  return outcome;
}

enum wr_publish_outcome wr_folder_publish_again(struct wr_folder *folder, uint64_t id, struct weir_error *error) {
  wr_folder_assert_locked(folder);
  char path[WR_PATH_BYTES_MAX];
  wr_folder_checkpoint_path(folder, id, path);
  uint8_t *data = NULL;
  size_t length = 0;
  if (load_bytes(folder, path, &data, &length, error) != WEIR_OK) return WR_PUBLISH_FAILED;
  /* Damage must not be made durable over what may still be whole on the disk. */
  struct wr_metadata metadata;
  enum wr_publish_outcome outcome = WR_PUBLISH_FAILED;
  if (wr_metadata_decode(data, length, path, folder->memory, &metadata, error) == WEIR_OK) {
    wr_metadata_deinit(folder->memory, &metadata);
    outcome = wr_file_publish(folder->files, folder->path, path, data, length, error);
  }
  wr_free(folder->memory, data);
  return outcome;
}

/* ---- moving aside ---- */

/* A name beside the folder that is free: `path`.old-<start>, then with -2, -3 ... behind it. */
static enum weir_code find_free_name(struct wr_folder *folder, uint64_t start_number, char out_path[WR_PATH_BYTES_MAX],
                                     struct weir_error *error) {
  for (int i = 1; i <= ASIDE_TRIES; i++) {
    int length = i == 1 ? snprintf(out_path, WR_PATH_BYTES_MAX, "%s.old-%" PRIu64, folder->path, start_number)
                        : snprintf(out_path, WR_PATH_BYTES_MAX, "%s.old-%" PRIu64 "-%d", folder->path, start_number, i);
    WR_ASSERT(length > 0 && length < WR_PATH_BYTES_MAX);
    struct wr_file_info info;
    enum weir_code code = folder->files->stat(folder->files, out_path, &info, error);
    if (code == WEIR_NOT_FOUND) return WEIR_OK;
    WR_TRY(code);
  }
  return WR_FAIL(error, WEIR_LIMIT, "beside %s there are %d folders that were moved aside; remove some", folder->path,
                 ASIDE_TRIES);
}

/* The new, empty folder under the old name, locked. */
static enum weir_code begin_anew(struct wr_folder *folder, struct weir_error *error) {
  WR_TRY(make_one(folder->files, folder->path, folder->parent, error));
  struct wr_file *lock = NULL;
  WR_TRY(take_lock(folder, &lock, error));
  folder->files->close(folder->files, folder->lock, NULL);
  folder->lock = lock;
  return WEIR_OK;
}

enum weir_code wr_folder_move_aside(struct wr_folder *folder, char **out_moved_to, struct weir_error *error) {
  wr_folder_assert_locked(folder);
  struct wr_files *files = folder->files;
  /* Also a folder whose identity cannot be read can be moved aside: then the number is 0. */
  struct wr_identity identity;
  bool exists;
  enum weir_code code = wr_folder_read_identity(folder, &identity, &exists, error);
  if (code != WEIR_OK && code != WEIR_CORRUPT && code != WEIR_NEWER) return code;
  char aside[WR_PATH_BYTES_MAX];
  WR_TRY(find_free_name(folder, identity.start_number, aside, error));
  char *moved_to = wr_copy_string(folder->memory, aside, WR_MEMORY_ENGINE);
  if (moved_to == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory while moving %s aside", folder->path);
  code = files->rename(files, folder->path, aside, error);
  if (code == WEIR_OK) {
    code = files->sync_folder(files, folder->parent, error);
    /* Nothing may be made under a name that the old folder may take back. */
    if (code != WEIR_OK) files->rename(files, aside, folder->path, NULL);
  }
  if (code == WEIR_OK) code = begin_anew(folder, error);
  if (code != WEIR_OK) {
    wr_free(folder->memory, moved_to);
    return code;
  }
  *out_moved_to = moved_to;
  return WEIR_OK;
}
