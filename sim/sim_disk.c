/* sim/sim_disk.c: the harness' own hands on the disk, and its orders; see sim_disk.h.
 *
 * What the harness changes is durable at once: the file is synced before, and the folder after, so un-synced changes of
 * the engine in the same file or folder become durable with it. One thread. */
#include "sim/sim_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- orders ---- */

uint64_t sim_disk_operations(const struct sim_world *world) {
  return world->operations;
}

uint64_t sim_disk_operations_of(const struct sim_world *world, enum sim_operation_kind kind) {
  return world->operations_of[kind];
}

void sim_disk_fail_nth(struct sim_world *world, uint64_t n, enum weir_code code, bool for_ever) {
  world->fail_at = n == 0 ? 0 : world->operations + n;
  world->fail_code = code;
  world->fail_for_ever = for_ever;
  world->failed = false;
}

bool sim_disk_failed(const struct sim_world *world) {
  return world->failed;
}

void sim_disk_crash_at(struct sim_world *world, uint64_t n, enum sim_crash_side side) {
  world->crash_at = n == 0 ? 0 : world->operations + n;
  world->crash_side = side;
}

void sim_disk_set_capacity(struct sim_world *world, uint64_t bytes) {
  world->capacity_bytes = bytes;
}

uint64_t sim_disk_used_bytes(const struct sim_world *world) {
  return sim_model_used_bytes(&world->model);
}

uint64_t sim_disk_open_files(const struct sim_world *world) {
  uint64_t count = 0;
  for (const struct wr_file *file = world->open_files; file != NULL; file = file->next)
    count += file->generation == world->generation;
  return count;
}

void sim_disk_monitor(struct sim_world *world, void (*seen)(void *context, const struct sim_disk_event *event),
                      void *context) {
  world->seen = seen;
  world->seen_context = context;
}

/* ---- looking ---- */

/* Every path of the harness is short enough; one that is not is a mistake of the harness. */
static void fold(const char *path, char out[SIM_PATH_BYTES]) {
  WR_ASSERT(sim_path_fold(path, out));
}

static struct sim_inode *find(struct sim_world *world, const char *path) {
  char folded[SIM_PATH_BYTES];
  fold(path, folded);
  return sim_model_find(&world->model, folded);
}

/* A file that the harness names must be there. */
static struct sim_inode *find_file(struct sim_world *world, const char *path) {
  struct sim_inode *inode = find(world, path);
  WR_ASSERT(inode != NULL && !inode->folder);
  return inode;
}

bool sim_disk_is_durable(struct sim_world *world, const char *path) {
  char folded[SIM_PATH_BYTES];
  fold(path, folded);
  return sim_model_path_is_durable(&world->model, folded);
}

bool sim_disk_exists(struct sim_world *world, const char *path) {
  return find(world, path) != NULL;
}

uint64_t sim_disk_size(struct sim_world *world, const char *path) {
  const struct sim_inode *inode = find(world, path);
  return inode == NULL ? 0 : inode->visible.size;
}

uint64_t sim_disk_inode(struct sim_world *world, const char *path) {
  const struct sim_inode *inode = find(world, path);
  return inode == NULL ? 0 : inode->number;
}

uint8_t *sim_disk_read(struct sim_world *world, const char *path, size_t *out_length) {
  const struct sim_inode *inode = find(world, path);
  *out_length = 0;
  if (inode == NULL || inode->folder) return NULL;
  uint8_t *data = sim_host_alloc(inode->visible.size + 1);
  if (inode->visible.size > 0) memcpy(data, inode->visible.data, inode->visible.size);
  *out_length = inode->visible.size;
  return data;
}

struct wr_name_list sim_disk_list(struct sim_world *world, const char *path) {
  const struct sim_inode *inode = find(world, path);
  struct wr_name_list list = {0};
  if (inode == NULL) return list;
  list.names = sim_host_alloc(inode->entries.count * sizeof *list.names);
  for (; list.count < inode->entries.count; list.count++)
    list.names[list.count] = sim_host_copy(inode->entries.items[list.count].name);
  return list;
}

void sim_disk_list_free(struct wr_name_list *list) {
  for (size_t i = 0; i < list->count; i++)
    free(list->names[i]);
  free(list->names);
  *list = (struct wr_name_list){0};
}

/* ---- changing ---- */

void sim_disk_make_folders(struct sim_world *world, const char *path) {
  char folded[SIM_PATH_BYTES];
  fold(path, folded);
  struct sim_inode *folder = world->model.root;
  for (char *part = folded + 1; *part != 0;) {
    char *end = part + strcspn(part, "/");
    bool last = *end == 0;
    *end = 0;
    struct sim_inode *inner = sim_entries_find(&folder->entries, part);
    if (inner == NULL) {
      inner = sim_model_create(&world->model, folder, part, true);
      sim_model_sync_folder(&world->model, folder);
    }
    WR_ASSERT(inner->folder);
    folder = inner;
    part = last ? end : end + 1;
  }
}

/* The folder of a path, made where missing. */
static struct sim_inode *folder_of(struct sim_world *world, char folded[SIM_PATH_BYTES], const char **out_name) {
  char *slash = strrchr(folded, '/');
  WR_ASSERT(slash != NULL && slash[1] != 0);
  if (slash != folded) {
    *slash = 0;
    sim_disk_make_folders(world, folded);
    *slash = '/';
  }
  return sim_model_parent(&world->model, folded, out_name);
}

/* The file at `path`, made where missing, with nothing un-synced. */
static struct sim_inode *file_at(struct sim_world *world, const char *path) {
  char folded[SIM_PATH_BYTES];
  fold(path, folded);
  const char *name;
  struct sim_inode *folder = folder_of(world, folded, &name);
  struct sim_inode *inode = sim_entries_find(&folder->entries, name);
  if (inode == NULL) {
    inode = sim_model_create(&world->model, folder, name, false);
    sim_model_sync_folder(&world->model, folder);
  }
  WR_ASSERT(!inode->folder);
  sim_inode_sync(inode);
  return inode;
}

void sim_disk_append(struct sim_world *world, const char *path, const void *data, size_t length) {
  struct sim_inode *inode = file_at(world, path);
  sim_inode_write(inode, inode->visible.size, data, length);
  sim_inode_sync(inode);
}

void sim_disk_write(struct sim_world *world, const char *path, const void *data, size_t length) {
  struct sim_inode *inode = file_at(world, path);
  sim_inode_truncate(inode, 0);
  sim_inode_write(inode, 0, data, length);
  sim_inode_sync(inode);
}

void sim_disk_replace(struct sim_world *world, const char *path, const void *data, size_t length) {
  sim_disk_remove(world, path);
  sim_disk_write(world, path, data, length);
}

static void remove_tree(struct sim_world *world, struct sim_inode *folder, const char *name) {
  struct sim_inode *inode = sim_entries_find(&folder->entries, name);
  while (inode->entries.count > 0)
    remove_tree(world, inode, inode->entries.items[inode->entries.count - 1].name);
  if (inode->folder) sim_model_sync_folder(&world->model, inode);
  sim_model_remove(&world->model, folder, name);
}

bool sim_disk_remove(struct sim_world *world, const char *path) {
  char folded[SIM_PATH_BYTES];
  fold(path, folded);
  const char *name;
  struct sim_inode *folder = sim_model_parent(&world->model, folded, &name);
  if (folder == NULL || sim_entries_find(&folder->entries, name) == NULL) return false;
  remove_tree(world, folder, name);
  sim_model_sync_folder(&world->model, folder);
  return true;
}

bool sim_disk_rename(struct sim_world *world, const char *from, const char *to) {
  char folded_from[SIM_PATH_BYTES], folded_to[SIM_PATH_BYTES];
  fold(from, folded_from);
  fold(to, folded_to);
  const char *from_name, *to_name;
  struct sim_inode *from_folder = sim_model_parent(&world->model, folded_from, &from_name);
  if (from_folder == NULL || sim_entries_find(&from_folder->entries, from_name) == NULL) return false;
  struct sim_inode *to_folder = folder_of(world, folded_to, &to_name);
  sim_model_rename(&world->model, from_folder, from_name, to_folder, to_name);
  sim_model_sync_folder(&world->model, to_folder);
  sim_model_sync_folder(&world->model, from_folder);
  return true;
}

bool sim_disk_copy(struct sim_world *world, const char *from, const char *to) {
  const struct sim_inode *inode = find(world, from);
  if (inode == NULL) return false;
  WR_ASSERT(find(world, to) == NULL);
  if (!inode->folder) {
    sim_disk_write(world, to, inode->visible.data, inode->visible.size);
    return true;
  }
  sim_disk_make_folders(world, to);
  struct wr_name_list list = sim_disk_list(world, from);
  for (size_t i = 0; i < list.count; i++) {
    char inner_from[SIM_PATH_BYTES], inner_to[SIM_PATH_BYTES];
    int from_length = snprintf(inner_from, sizeof inner_from, "%s/%s", from, list.names[i]);
    int to_length = snprintf(inner_to, sizeof inner_to, "%s/%s", to, list.names[i]);
    WR_ASSERT(from_length < SIM_PATH_BYTES && to_length < SIM_PATH_BYTES);
    sim_disk_copy(world, inner_from, inner_to);
  }
  sim_disk_list_free(&list);
  return true;
}

void sim_disk_flip_bit(struct sim_world *world, const char *path, uint64_t bit) {
  struct sim_inode *inode = find_file(world, path);
  WR_ASSERT(bit / 8 < inode->visible.size);
  uint8_t byte = inode->visible.data[bit / 8] ^ (uint8_t)(1u << (bit % 8));
  sim_inode_write(inode, bit / 8, &byte, 1);
  sim_inode_sync(inode);
}

void sim_disk_cut(struct sim_world *world, const char *path, uint64_t size_bytes) {
  struct sim_inode *inode = find_file(world, path);
  sim_inode_truncate(inode, size_bytes);
  sim_inode_sync(inode);
}

void sim_disk_sync_all(struct sim_world *world) {
  for (struct sim_inode *inode = world->model.oldest; inode != NULL; inode = inode->next) {
    if (inode->folder)
      sim_model_sync_folder(&world->model, inode);
    else
      sim_inode_sync(inode);
  }
}
