/* sim/sim_files.c: `struct wr_files` over the model: the life of one file operation of the engine.
 *
 *   begin    hands over for the operation's latency; counts it; ordered crash (before), error, faults
 *   effect   the model is changed, or what the fault leaves of it
 *   finish   trace, order monitor, ordered crash (after)
 *
 * Of a killed generation every operation fails in begin, without effect. Of the harness (outside of coroutines, or
 * direct) begin and finish do nothing. One thread. */
#include "sim/sim_internal.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEAD_OPERATIONS_MAX = 1000000 };

struct operation {
  enum sim_operation_kind kind;
  const char *path, *path_to;
  const struct wr_file *file; /* of an operation on an open file */
  uint64_t offset, length;
  const struct sim_fault_rule *rule; /* NULL: none fits */
  bool live;                         /* the engine's: traced and counted */
  bool dead;                         /* a killed generation's: has no effect */
};

static const struct {
  const char *text;
  enum sim_fault fault;
  uint32_t low_us, high_us; /* latency */
} kinds[] = {
    [SIM_OPERATION_OPEN] = {"open", SIM_FAULT_OPEN_ERROR, 10, 100},
    [SIM_OPERATION_CREATE] = {"create", SIM_FAULT_OPEN_ERROR, 10, 100},
    [SIM_OPERATION_CLOSE] = {"close", SIM_FAULT_CLOSE_ERROR, 5, 30},
    [SIM_OPERATION_READ] = {"read", SIM_FAULT_READ_ERROR, 5, 200},
    [SIM_OPERATION_WRITE] = {"write", SIM_FAULT_WRITE_ERROR, 5, 200},
    [SIM_OPERATION_SYNC] = {"sync", SIM_FAULT_SYNC_ERROR, 300, 8000},
    [SIM_OPERATION_TRUNCATE] = {"truncate", SIM_FAULT_TRUNCATE_ERROR, 10, 200},
    [SIM_OPERATION_INFO] = {"info", SIM_FAULT_INFO_ERROR, 1, 10},
    [SIM_OPERATION_LOCK] = {"lock", SIM_FAULT_LOCK_ERROR, 1, 10},
    [SIM_OPERATION_STAT] = {"stat", SIM_FAULT_INFO_ERROR, 5, 50},
    [SIM_OPERATION_RENAME] = {"rename", SIM_FAULT_RENAME_ERROR, 10, 200},
    [SIM_OPERATION_REMOVE] = {"remove", SIM_FAULT_REMOVE_ERROR, 10, 200},
    [SIM_OPERATION_REMOVE_FOLDER] = {"remove folder", SIM_FAULT_REMOVE_ERROR, 10, 200},
    [SIM_OPERATION_MAKE_FOLDER] = {"make folder", SIM_FAULT_MAKE_FOLDER_ERROR, 10, 200},
    [SIM_OPERATION_SYNC_FOLDER] = {"sync folder", SIM_FAULT_SYNC_FOLDER_ERROR, 300, 8000},
    [SIM_OPERATION_LIST] = {"list", SIM_FAULT_LIST_ERROR, 10, 500},
};

const char *sim_operation_text(enum sim_operation_kind kind) {
  return kinds[kind].text;
}

/* ---- begin and finish ---- */

static enum weir_code fails(const struct operation *operation, enum weir_code code, const char *reason,
                            struct weir_error *error) {
  return WR_FAIL(error, code, "cannot %s %s: %s", kinds[operation->kind].text, operation->path, reason);
}

static enum weir_code fails_dead(struct sim_world *world, struct operation *operation, struct weir_error *error) {
  operation->live = false;
  operation->dead = true;
  WR_ASSERT(++world->dead_operations < DEAD_OPERATIONS_MAX); /* a killed call goes on for ever */
  return fails(operation, WEIR_IO, "Input/output error (the process was killed)", error);
}

static const struct sim_fault_rule *rule_of(const struct sim_world *world, const char *path) {
  for (size_t i = 0; i < world->plan.rule_count; i++) {
    const struct sim_fault_rule *rule = &world->plan.rules[i];
    if (strncmp(path, rule->prefix, strlen(rule->prefix)) == 0) return rule;
  }
  return NULL;
}

static uint64_t latency_ns(struct sim_world *world, const struct operation *operation) {
  if (world->options.fast_disk) return 1;
  uint64_t delay_ns =
      sim_draw_between(&world->schedule_random, kinds[operation->kind].low_us, kinds[operation->kind].high_us) * 1000;
  if (sim_fault_draw(world, operation->rule, SIM_FAULT_SLOW))
    delay_ns += sim_draw_between(&world->fault_random, 10000000, world->plan.slow_ns_max);
  bool sync = operation->kind == SIM_OPERATION_SYNC || operation->kind == SIM_OPERATION_SYNC_FOLDER;
  if (sync && sim_fault_draw(world, operation->rule, SIM_FAULT_SLOW_SYNC))
    delay_ns += sim_draw_between(&world->fault_random, 100000000, world->plan.slow_sync_ns_max);
  return delay_ns;
}

static enum weir_code ordered_error(struct sim_world *world, const struct operation *operation,
                                    struct weir_error *error) {
  bool fail = world->fail_at != 0 &&
              (world->operations == world->fail_at || (world->fail_for_ever && world->operations > world->fail_at));
  if (!fail) return WEIR_OK;
  world->failed = true;
  world->fault_counts[SIM_FAULT_ORDERED_ERROR]++;
  return fails(operation, world->fail_code,
               world->fail_code == WEIR_NO_SPACE ? "No space left on device" : "Input/output error", error);
}

static enum weir_code begin(struct sim_world *world, struct operation *operation, struct weir_error *error) {
  if (world->direct > 0) return WEIR_OK;
  const struct wr_file *file = operation->file;
  if (sim_is_dead(world) || (file != NULL && file->generation != 0 && file->generation != world->generation))
    return fails_dead(world, operation, error);
  if (world->current == NULL) return WEIR_OK;
  operation->rule = rule_of(world, operation->path);
  sim_coroutine_sleep(world, latency_ns(world, operation));
  if (sim_is_dead(world)) return fails_dead(world, operation, error);
  operation->live = true;
  world->operations++;
  if (world->crash_at == world->operations && world->crash_side == SIM_CRASH_BEFORE) {
    sim_world_trace(world, "crash before %s %s", kinds[operation->kind].text, operation->path);
    sim_coroutine_crash(world);
    return fails_dead(world, operation, error);
  }
  WR_TRY(ordered_error(world, operation, error));
  if (sim_fault_draw(world, operation->rule, kinds[operation->kind].fault))
    return fails(operation, WEIR_IO, "Input/output error", error);
  return WEIR_OK;
}

/* `data`: what was written or read. */
static enum weir_code finish(struct sim_world *world, struct operation *operation, enum weir_code code,
                             const void *data, struct weir_error *error) {
  if (!operation->live) return code;
  world->operations_of[operation->kind]++;
  sim_world_trace(world, "%s %s %s %" PRIu64 " %" PRIu64 " %016" PRIx64 ": %s", kinds[operation->kind].text,
                  operation->path, operation->path_to == NULL ? "-" : operation->path_to, operation->offset,
                  operation->length, data == NULL ? 0 : wr_checksum(data, operation->length), weir_code_text(code));
  if (code == WEIR_OK && world->seen != NULL) {
    struct sim_disk_event event = {.kind = operation->kind,
                                   .path = operation->path,
                                   .path_to = operation->path_to,
                                   .offset = operation->offset,
                                   .length = operation->length,
                                   .data = operation->kind == SIM_OPERATION_WRITE ? data : NULL};
    world->direct++;
    world->seen(world->seen_context, &event);
    world->direct--;
  }
  if (world->crash_at == world->operations && world->crash_side == SIM_CRASH_AFTER) {
    sim_world_trace(world, "crash after %s %s", kinds[operation->kind].text, operation->path);
    sim_coroutine_crash(world);
    return fails_dead(world, operation, error);
  }
  return code;
}

/* Inside a window of a full disk, or at the begin of one. */
static bool no_space(struct sim_world *world, const struct operation *operation) {
  if (!operation->live || operation->rule == NULL || operation->rule->one_in[SIM_FAULT_NO_SPACE] == 0) return false;
  uint64_t *until_ns = &world->no_space_until_ns[operation->rule - world->plan.rules];
  if (*until_ns > world->now_ns) {
    world->fault_counts[SIM_FAULT_NO_SPACE]++;
    return true;
  }
  if (!sim_fault_draw(world, operation->rule, SIM_FAULT_NO_SPACE)) return false;
  *until_ns = world->now_ns + sim_draw_between(&world->fault_random, 1000000, world->plan.no_space_ns_max);
  return true;
}

/* What a failed fsync or close does to what is un-synced. */
static void lose_unsynced(struct sim_world *world, const struct operation *operation, const struct wr_file *file) {
  if (operation->dead || file->loses_nothing) return;
  sim_inode_sync_failed(&world->model, file->inode, &world->fault_random);
}

/* ---- open files ---- */

static struct wr_file *file_new(struct sim_world *world, struct sim_inode *inode, const char *path, bool writable) {
  struct wr_file *file = sim_host_alloc(sizeof *file);
  *file = (struct wr_file){.inode = inode, .path = sim_host_copy(path), .writable = writable};
  file->generation = world->direct > 0 ? 0 : world->generation;
  file->next = world->open_files;
  if (file->next != NULL) file->next->previous = file;
  world->open_files = file;
  sim_inode_ref(inode);
  inode->opens++;
  return file;
}

static void file_free(struct sim_world *world, struct wr_file *file) {
  if (file->inode->locker == file) file->inode->locker = NULL;
  file->inode->opens--;
  sim_inode_unref(&world->model, file->inode);
  if (file->previous != NULL)
    file->previous->next = file->next;
  else
    world->open_files = file->next;
  if (file->next != NULL) file->next->previous = file->previous;
  free(file->path);
  free(file);
}

void sim_files_drop(struct sim_world *world, bool all) {
  for (struct wr_file *file = world->open_files, *next; file != NULL; file = next) {
    next = file->next;
    if (all || (file->generation != 0 && file->generation != world->generation)) file_free(world, file);
  }
}

static enum weir_code open_effect(struct sim_world *world, struct operation *operation, enum wr_file_mode mode,
                                  struct wr_file **out_file, struct weir_error *error) {
  const char *name;
  struct sim_inode *folder = sim_model_parent(&world->model, operation->path, &name);
  struct sim_inode *inode = sim_model_find(&world->model, operation->path);
  if (inode != NULL && inode->folder) return fails(operation, WEIR_IO, "Is a directory", error);
  if (inode != NULL && (mode == WR_FILE_CREATE_NEW || mode == WR_FILE_CREATE_OUT))
    return fails(operation, WEIR_IN_USE, "File exists", error);
  if (inode == NULL && (mode == WR_FILE_READ || folder == NULL))
    return fails(operation, WEIR_NOT_FOUND, "No such file or directory", error);
  if (inode == NULL) {
    operation->kind = SIM_OPERATION_CREATE;
    if (no_space(world, operation)) return fails(operation, WEIR_NO_SPACE, "No space left on device", error);
    inode = sim_model_create(&world->model, folder, name, false);
  }
  *out_file = file_new(world, inode, operation->path, mode != WR_FILE_READ);
  return WEIR_OK;
}

static enum weir_code files_open(struct wr_files *files, const char *path, enum wr_file_mode mode,
                                 struct wr_file **out_file, struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  char folded[SIM_PATH_BYTES];
  struct operation operation = {.kind = SIM_OPERATION_OPEN, .path = folded};
  if (!sim_path_fold(path, folded)) return WR_FAIL(error, WEIR_IO, "cannot open %s: File name too long", path);
  *out_file = NULL;
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK) code = open_effect(world, &operation, mode, out_file, error);
  code = finish(world, &operation, code, NULL, error);
  if (code != WEIR_OK) *out_file = NULL; /* a file opened at a crash is dropped with its generation */
  return code;
}

static enum weir_code files_close(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  char path[SIM_PATH_BYTES];
  WR_ASSERT(sim_path_fold(file->path, path));
  struct operation operation = {.kind = SIM_OPERATION_CLOSE, .path = path, .file = file};
  enum weir_code code = begin(world, &operation, error);
  if (code != WEIR_OK) lose_unsynced(world, &operation, file);
  file_free(world, file);
  operation.file = NULL;
  return finish(world, &operation, code, NULL, error);
}

static enum weir_code files_read(struct wr_files *files, struct wr_file *file, uint64_t offset, void *data,
                                 size_t length, size_t *out_length, struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  struct operation operation = {.kind = SIM_OPERATION_READ, .path = file->path, .file = file, .offset = offset};
  *out_length = 0;
  enum weir_code code = begin(world, &operation, error);
  const struct sim_content *content = &file->inode->visible;
  if (code == WEIR_OK && offset < content->size) {
    size_t left = content->size - offset;
    operation.length = length < left ? length : left;
    if (operation.length > 0) memcpy(data, content->data + offset, operation.length);
    *out_length = operation.length;
  }
  return finish(world, &operation, code, data, error);
}

/* How much of a write the disk takes now; 0: it is full. */
static size_t write_room(struct sim_world *world, const struct operation *operation, const struct sim_inode *inode,
                         size_t length) {
  uint64_t end = operation->offset + length;
  if (end > inode->visible.size && no_space(world, operation)) {
    if (length < 2 || !wr_random_one_in(&world->fault_random, 4)) return 0;
    return 1 + (size_t)wr_random_below(&world->fault_random, length - 1);
  }
  if (end > inode->visible.size && world->capacity_bytes != 0) {
    uint64_t used = sim_model_used_bytes(&world->model);
    uint64_t free_bytes = used < world->capacity_bytes ? world->capacity_bytes - used : 0;
    uint64_t end_max = inode->visible.size + free_bytes;
    if (end > end_max) length = operation->offset < end_max ? (size_t)(end_max - operation->offset) : 0;
  }
  if (operation->live && length > 1 && sim_fault_draw(world, operation->rule, SIM_FAULT_SHORT_WRITE))
    length = 1 + (size_t)wr_random_below(&world->fault_random, length - 1);
  return length;
}

static enum weir_code files_write(struct wr_files *files, struct wr_file *file, uint64_t offset, const void *data,
                                  size_t length, size_t *out_length, struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  struct operation operation = {.kind = SIM_OPERATION_WRITE, .path = file->path, .file = file, .offset = offset};
  WR_ASSERT(file->writable);
  *out_length = 0;
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK && length > 0) {
    operation.length = write_room(world, &operation, file->inode, length);
    if (operation.length == 0)
      code = fails(&operation, WEIR_NO_SPACE, "No space left on device", error);
    else
      sim_inode_write(file->inode, offset, data, operation.length);
  }
  *out_length = operation.length;
  return finish(world, &operation, code, data, error);
}

static enum weir_code files_sync(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  struct operation operation = {.kind = SIM_OPERATION_SYNC, .path = file->path, .file = file};
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK)
    sim_inode_sync(file->inode);
  else
    lose_unsynced(world, &operation, file);
  return finish(world, &operation, code, NULL, error);
}

static enum weir_code files_truncate(struct wr_files *files, struct wr_file *file, uint64_t size_bytes,
                                     struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  struct operation operation = {.kind = SIM_OPERATION_TRUNCATE, .path = file->path, .file = file, .offset = size_bytes};
  WR_ASSERT(file->writable);
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK) sim_inode_truncate(file->inode, size_bytes);
  return finish(world, &operation, code, NULL, error);
}

static void info_fill(const struct sim_inode *inode, struct wr_file_info *out_info) {
  *out_info = (struct wr_file_info){
      .size_bytes = inode->visible.size, .device = 1, .inode = inode->number, .folder = inode->folder};
}

static enum weir_code files_info(struct wr_files *files, struct wr_file *file, struct wr_file_info *out_info,
                                 struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  struct operation operation = {.kind = SIM_OPERATION_INFO, .path = file->path, .file = file};
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK) info_fill(file->inode, out_info);
  return finish(world, &operation, code, NULL, error);
}

static enum weir_code files_lock(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  struct operation operation = {.kind = SIM_OPERATION_LOCK, .path = file->path, .file = file};
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK && file->inode->locker != NULL && file->inode->locker != file)
    code = fails(&operation, WEIR_IN_USE, "another process has locked it", error);
  if (code == WEIR_OK) file->inode->locker = file;
  return finish(world, &operation, code, NULL, error);
}

/* ---- names ---- */

static enum weir_code files_stat(struct wr_files *files, const char *path, struct wr_file_info *out_info,
                                 struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  char folded[SIM_PATH_BYTES];
  struct operation operation = {.kind = SIM_OPERATION_STAT, .path = folded};
  if (!sim_path_fold(path, folded)) return WR_FAIL(error, WEIR_IO, "cannot stat %s: File name too long", path);
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK) {
    const struct sim_inode *inode = sim_model_find(&world->model, folded);
    if (inode == NULL)
      code = fails(&operation, WEIR_NOT_FOUND, "No such file or directory", error);
    else
      info_fill(inode, out_info);
  }
  return finish(world, &operation, code, NULL, error);
}

static enum weir_code rename_effect(struct sim_world *world, const struct operation *operation,
                                    struct weir_error *error) {
  const char *from_name, *to_name;
  const char *to = operation->path_to;
  struct sim_inode *from_folder = sim_model_parent(&world->model, operation->path, &from_name);
  struct sim_inode *to_folder = sim_model_parent(&world->model, to, &to_name);
  struct sim_inode *inode = from_folder == NULL ? NULL : sim_entries_find(&from_folder->entries, from_name);
  if (inode == NULL || to_folder == NULL) return fails(operation, WEIR_NOT_FOUND, "No such file or directory", error);
  const struct sim_inode *replaced = sim_entries_find(&to_folder->entries, to_name);
  size_t length = strlen(operation->path);
  if (inode->folder && strncmp(operation->path, to, length) == 0 && to[length] == '/')
    return fails(operation, WEIR_IO, "Invalid argument", error);
  if (replaced != NULL && replaced->folder != inode->folder)
    return fails(operation, WEIR_IO, replaced->folder ? "Is a directory" : "Not a directory", error);
  if (replaced != NULL && replaced != inode && replaced->entries.count > 0)
    return fails(operation, WEIR_IO, "Directory not empty", error);
  sim_model_rename(&world->model, from_folder, from_name, to_folder, to_name);
  return WEIR_OK;
}

static enum weir_code files_rename(struct wr_files *files, const char *from, const char *to, struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  char folded_from[SIM_PATH_BYTES], folded_to[SIM_PATH_BYTES];
  struct operation operation = {.kind = SIM_OPERATION_RENAME, .path = folded_from, .path_to = folded_to};
  if (!sim_path_fold(from, folded_from) || !sim_path_fold(to, folded_to))
    return WR_FAIL(error, WEIR_IO, "cannot rename %s: File name too long", from);
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK) code = rename_effect(world, &operation, error);
  return finish(world, &operation, code, NULL, error);
}

static enum weir_code remove_effect(struct sim_world *world, const struct operation *operation,
                                    struct weir_error *error) {
  const char *name;
  struct sim_inode *folder = sim_model_parent(&world->model, operation->path, &name);
  struct sim_inode *inode = folder == NULL ? NULL : sim_entries_find(&folder->entries, name);
  bool wants_folder = operation->kind == SIM_OPERATION_REMOVE_FOLDER;
  if (inode == NULL) return fails(operation, WEIR_NOT_FOUND, "No such file or directory", error);
  if (inode->folder != wants_folder)
    return fails(operation, WEIR_IO, wants_folder ? "Not a directory" : "Is a directory", error);
  if (inode->entries.count > 0) return fails(operation, WEIR_IO, "Directory not empty", error);
  sim_model_remove(&world->model, folder, name);
  return WEIR_OK;
}

static enum weir_code remove_either(struct wr_files *files, const char *path, enum sim_operation_kind kind,
                                    struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  char folded[SIM_PATH_BYTES];
  struct operation operation = {.kind = kind, .path = folded};
  if (!sim_path_fold(path, folded)) return WR_FAIL(error, WEIR_IO, "cannot remove %s: File name too long", path);
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK) code = remove_effect(world, &operation, error);
  return finish(world, &operation, code, NULL, error);
}

static enum weir_code files_remove(struct wr_files *files, const char *path, struct weir_error *error) {
  return remove_either(files, path, SIM_OPERATION_REMOVE, error);
}

static enum weir_code files_remove_folder(struct wr_files *files, const char *path, struct weir_error *error) {
  return remove_either(files, path, SIM_OPERATION_REMOVE_FOLDER, error);
}

static enum weir_code make_folder_effect(struct sim_world *world, const struct operation *operation,
                                         struct weir_error *error) {
  const char *name;
  struct sim_inode *inode = sim_model_find(&world->model, operation->path);
  if (inode != NULL && inode->folder) return WEIR_OK;
  if (inode != NULL) return fails(operation, WEIR_IO, "File exists", error);
  struct sim_inode *folder = sim_model_parent(&world->model, operation->path, &name);
  if (folder == NULL) return fails(operation, WEIR_NOT_FOUND, "No such file or directory", error);
  if (no_space(world, operation)) return fails(operation, WEIR_NO_SPACE, "No space left on device", error);
  sim_model_create(&world->model, folder, name, true);
  return WEIR_OK;
}

static enum weir_code files_make_folder(struct wr_files *files, const char *path, struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  char folded[SIM_PATH_BYTES];
  struct operation operation = {.kind = SIM_OPERATION_MAKE_FOLDER, .path = folded};
  if (!sim_path_fold(path, folded)) return WR_FAIL(error, WEIR_IO, "cannot make folder %s: File name too long", path);
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK) code = make_folder_effect(world, &operation, error);
  return finish(world, &operation, code, NULL, error);
}

static enum weir_code files_sync_folder(struct wr_files *files, const char *path, struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  char folded[SIM_PATH_BYTES];
  struct operation operation = {.kind = SIM_OPERATION_SYNC_FOLDER, .path = folded};
  if (!sim_path_fold(path, folded)) return WR_FAIL(error, WEIR_IO, "cannot sync folder %s: File name too long", path);
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK) {
    struct sim_inode *inode = sim_model_find(&world->model, folded);
    if (inode == NULL || !inode->folder)
      code = fails(&operation, WEIR_NOT_FOUND, "No such directory", error);
    else
      sim_model_sync_folder(&world->model, inode);
  }
  return finish(world, &operation, code, NULL, error);
}

/* In an order of the seed, so that nobody comes to rely on one. */
static enum weir_code list_effect(struct sim_world *world, const struct operation *operation, struct wr_memory *memory,
                                  struct wr_name_list *out_list, struct weir_error *error) {
  const struct sim_inode *inode = sim_model_find(&world->model, operation->path);
  if (inode == NULL || !inode->folder) return fails(operation, WEIR_NOT_FOUND, "No such directory", error);
  size_t count = inode->entries.count;
  out_list->names = wr_alloc_zeroed(memory, count, sizeof *out_list->names, WR_MEMORY_ENGINE);
  if (out_list->names == NULL) return fails(operation, WEIR_NO_MEMORY, "out of memory", error);
  for (size_t i = 0; i < count; i++) {
    char *name = wr_copy_string(memory, inode->entries.items[i].name, WR_MEMORY_ENGINE);
    if (name == NULL) {
      wr_name_list_deinit(out_list, memory);
      return fails(operation, WEIR_NO_MEMORY, "out of memory", error);
    }
    size_t place = (size_t)wr_random_below(&world->schedule_random, i + 1);
    out_list->names[i] = out_list->names[place];
    out_list->names[place] = name;
    out_list->count++;
  }
  return WEIR_OK;
}

static enum weir_code files_list(struct wr_files *files, const char *path, struct wr_memory *memory,
                                 struct wr_name_list *out_list, struct weir_error *error) {
  struct sim_world *world = SIM_WORLD_OF(files, files);
  char folded[SIM_PATH_BYTES];
  struct operation operation = {.kind = SIM_OPERATION_LIST, .path = folded};
  *out_list = (struct wr_name_list){0};
  if (!sim_path_fold(path, folded)) return WR_FAIL(error, WEIR_IO, "cannot list %s: File name too long", path);
  enum weir_code code = begin(world, &operation, error);
  if (code == WEIR_OK) code = list_effect(world, &operation, memory, out_list, error);
  enum weir_code end = finish(world, &operation, code, NULL, error);
  if (end != code) wr_name_list_deinit(out_list, memory);
  return end;
}

void sim_files_init(struct sim_world *world) {
  world->files = (struct wr_files){.open = files_open,
                                   .close = files_close,
                                   .read = files_read,
                                   .write = files_write,
                                   .sync = files_sync,
                                   .truncate = files_truncate,
                                   .info = files_info,
                                   .lock = files_lock,
                                   .stat = files_stat,
                                   .rename = files_rename,
                                   .remove = files_remove,
                                   .remove_folder = files_remove_folder,
                                   .make_folder = files_make_folder,
                                   .sync_folder = files_sync_folder,
                                   .list = files_list};
}
