/* sim/sim_model.c: names, references, files of the durability model; see sim_model.h. Power cuts: sim_power.c. */
#include "sim/sim_model.h"

#include <stdlib.h>
#include <string.h>

void *sim_host_alloc(size_t bytes) {
  void *block = calloc(1, bytes == 0 ? 1 : bytes);
  WR_ASSERT(block != NULL);
  return block;
}

void *sim_host_resize(void *block, size_t bytes) {
  void *moved = realloc(block, bytes == 0 ? 1 : bytes);
  WR_ASSERT(moved != NULL);
  return moved;
}

char *sim_host_copy(const char *string) {
  size_t length = strlen(string) + 1;
  return memcpy(sim_host_alloc(length), string, length);
}

/* ---- entries of a folder ---- */

static size_t entries_place(const struct sim_entries *entries, const char *name) {
  size_t low = 0, high = entries->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (strcmp(entries->items[middle].name, name) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

struct sim_inode *sim_entries_find(const struct sim_entries *entries, const char *name) {
  size_t place = entries_place(entries, name);
  bool there = place < entries->count && strcmp(entries->items[place].name, name) == 0;
  return there ? entries->items[place].inode : NULL;
}

/* Takes a reference; gives back that of an entry that it replaces. */
static void entries_set(struct sim_model *model, struct sim_entries *entries, const char *name,
                        struct sim_inode *inode) {
  sim_inode_ref(inode);
  size_t place = entries_place(entries, name);
  if (place < entries->count && strcmp(entries->items[place].name, name) == 0) {
    sim_inode_unref(model, entries->items[place].inode);
    entries->items[place].inode = inode;
    return;
  }
  if (entries->count == entries->capacity) {
    entries->capacity = entries->capacity == 0 ? 8 : entries->capacity * 2;
    entries->items = sim_host_resize(entries->items, entries->capacity * sizeof *entries->items);
  }
  struct sim_entry *item = entries->items + place;
  memmove(item + 1, item, (entries->count - place) * sizeof *item);
  *item = (struct sim_entry){.name = sim_host_copy(name), .inode = inode};
  entries->count++;
}

static void entries_remove(struct sim_model *model, struct sim_entries *entries, const char *name) {
  size_t place = entries_place(entries, name);
  if (place == entries->count || strcmp(entries->items[place].name, name) != 0) return;
  struct sim_entry item = entries->items[place];
  entries->count--;
  memmove(entries->items + place, entries->items + place + 1, (entries->count - place) * sizeof item);
  free(item.name);
  sim_inode_unref(model, item.inode);
}

static void entries_clear(struct sim_model *model, struct sim_entries *entries) {
  while (entries->count > 0)
    entries_remove(model, entries, entries->items[entries->count - 1].name);
}

/* ---- inodes ---- */

static struct sim_inode *inode_new(struct sim_model *model, bool folder) {
  struct sim_inode *inode = sim_host_alloc(sizeof *inode);
  inode->number = ++model->inode_last;
  inode->folder = folder;
  inode->previous = model->newest;
  if (model->newest != NULL)
    model->newest->next = inode;
  else
    model->oldest = inode;
  model->newest = inode;
  return inode;
}

static void pending_clear(struct sim_inode *inode) {
  for (size_t i = 0; i < inode->pending_count; i++)
    free(inode->pending[i].data);
  inode->pending_count = 0;
}

static void change_free(struct sim_change *change) {
  free(change->removed);
  free(change->added);
}

/* Frees the memory of an inode, not what it refers to. */
static void inode_free(struct sim_inode *inode) {
  pending_clear(inode);
  free(inode->pending);
  free(inode->visible.data);
  free(inode->durable.data);
  for (size_t i = 0; i < inode->entries.count; i++)
    free(inode->entries.items[i].name);
  for (size_t i = 0; i < inode->durable_entries.count; i++)
    free(inode->durable_entries.items[i].name);
  free(inode->entries.items);
  free(inode->durable_entries.items);
  for (size_t i = 0; i < inode->change_count; i++)
    change_free(&inode->changes[i]);
  free(inode->changes);
  free(inode);
}

void sim_inode_ref(struct sim_inode *inode) {
  inode->references++;
}

static void changes_clear(struct sim_model *model, struct sim_inode *folder) {
  for (size_t i = 0; i < folder->change_count; i++) {
    struct sim_inode *inode = folder->changes[i].inode;
    change_free(&folder->changes[i]);
    if (inode != NULL) sim_inode_unref(model, inode);
  }
  folder->change_count = 0;
}

void sim_inode_unref(struct sim_model *model, struct sim_inode *inode) {
  WR_ASSERT(inode->references > 0);
  if (--inode->references > 0) return;
  WR_ASSERT(inode->sqlite == NULL && inode->locker == NULL);
  entries_clear(model, &inode->entries);
  entries_clear(model, &inode->durable_entries);
  changes_clear(model, inode);
  if (inode->previous != NULL)
    inode->previous->next = inode->next;
  else
    model->oldest = inode->next;
  if (inode->next != NULL)
    inode->next->previous = inode->previous;
  else
    model->newest = inode->previous;
  inode_free(inode);
}

void sim_model_init(struct sim_model *model, uint64_t *fault_counts) {
  *model = (struct sim_model){.fault_counts = fault_counts};
  model->root = inode_new(model, true);
  sim_inode_ref(model->root);
}

void sim_model_deinit(struct sim_model *model) {
  for (struct sim_inode *inode = model->oldest, *next; inode != NULL; inode = next) {
    next = inode->next;
    inode_free(inode);
  }
  *model = (struct sim_model){0};
}

/* ---- paths ---- */

bool sim_path_fold(const char *path, char out[SIM_PATH_BYTES]) {
  size_t length = 0;
  while (*path != 0) {
    size_t part = strcspn(path, "/");
    bool skip = part == 0 || (part == 1 && path[0] == '.');
    WR_ASSERT(!(part == 2 && path[0] == '.' && path[1] == '.'));
    if (!skip) {
      if (length + part + 2 > SIM_PATH_BYTES) return false;
      out[length++] = '/';
      memcpy(out + length, path, part);
      length += part;
    }
    path += part;
    path += *path == '/';
  }
  if (length == 0) out[length++] = '/';
  out[length] = 0;
  return true;
}

/* Follows the first `length` bytes of a folded path. */
static struct sim_inode *walk(struct sim_model *model, const char *path, size_t length) {
  struct sim_inode *inode = model->root;
  char name[SIM_PATH_BYTES];
  size_t position = 0;
  while (inode != NULL && position < length) {
    position++; /* the slash */
    size_t part = strcspn(path + position, "/");
    if (part == 0) break;
    if (!inode->folder) return NULL;
    memcpy(name, path + position, part);
    name[part] = 0;
    inode = sim_entries_find(&inode->entries, name);
    position += part;
  }
  return inode;
}

struct sim_inode *sim_model_find(struct sim_model *model, const char *path) {
  return walk(model, path, strlen(path));
}

struct sim_inode *sim_model_parent(struct sim_model *model, const char *path, const char **out_name) {
  const char *slash = strrchr(path, '/');
  WR_ASSERT(slash != NULL);
  *out_name = slash + 1;
  if (slash[1] == 0) return NULL;
  struct sim_inode *folder = walk(model, path, (size_t)(slash - path));
  return folder != NULL && folder->folder ? folder : NULL;
}

bool sim_model_path_is_durable(struct sim_model *model, const char *path) {
  struct sim_inode *inode = sim_model_find(model, path);
  if (inode == NULL || (!inode->folder && !sim_inode_is_durable(inode))) return false;
  char prefix[SIM_PATH_BYTES];
  if (!sim_path_fold(path, prefix)) return false;
  const char *name;
  for (struct sim_inode *folder; (folder = sim_model_parent(model, prefix, &name)) != NULL;) {
    struct sim_inode *entry = sim_entries_find(&folder->entries, name);
    if (entry == NULL || sim_entries_find(&folder->durable_entries, name) != entry) return false;
    for (size_t i = 0; i < folder->change_count; i++) {
      const struct sim_change *change = &folder->changes[i];
      bool same = (change->removed != NULL && strcmp(change->removed, name) == 0) ||
                  (change->added != NULL && strcmp(change->added, name) == 0);
      if (same && !change->forced) return false;
    }
    char *slash = strrchr(prefix, '/');
    slash[slash == prefix] = 0;
  }
  return true;
}

/* ---- changes of folders ---- */

static void change_add(struct sim_inode *folder, struct sim_change change) {
  if (folder->change_count == folder->change_capacity) {
    folder->change_capacity = folder->change_capacity == 0 ? 8 : folder->change_capacity * 2;
    folder->changes = sim_host_resize(folder->changes, folder->change_capacity * sizeof *folder->changes);
  }
  if (change.removed != NULL) change.removed = sim_host_copy(change.removed);
  if (change.added != NULL) change.added = sim_host_copy(change.added);
  if (change.inode != NULL) sim_inode_ref(change.inode);
  folder->changes[folder->change_count++] = change;
}

struct sim_inode *sim_model_create(struct sim_model *model, struct sim_inode *folder, const char *name,
                                   bool is_folder) {
  struct sim_inode *inode = inode_new(model, is_folder);
  change_add(folder, (struct sim_change){.serial = ++model->change_last, .added = (char *)name, .inode = inode});
  entries_set(model, &folder->entries, name, inode);
  inode->links++;
  return inode;
}

void sim_model_remove(struct sim_model *model, struct sim_inode *folder, const char *name) {
  struct sim_inode *inode = sim_entries_find(&folder->entries, name);
  WR_ASSERT(inode != NULL);
  inode->links--;
  change_add(folder, (struct sim_change){.serial = ++model->change_last, .removed = (char *)name});
  entries_remove(model, &folder->entries, name);
}

void sim_model_rename(struct sim_model *model, struct sim_inode *from, const char *from_name, struct sim_inode *to,
                      const char *to_name) {
  struct sim_inode *inode = sim_entries_find(&from->entries, from_name);
  struct sim_inode *replaced = sim_entries_find(&to->entries, to_name);
  WR_ASSERT(inode != NULL);
  if (inode == replaced) return;
  if (replaced != NULL) replaced->links--;
  struct sim_change change = {.serial = ++model->change_last, .rename = true, .removed = (char *)from_name};
  if (from == to) {
    change.added = (char *)to_name;
    change.inode = inode;
    change_add(from, change);
  } else {
    change_add(from, change);
    change.removed = NULL;
    change.added = (char *)to_name;
    change.inode = inode;
    change_add(to, change);
  }
  entries_set(model, &to->entries, to_name, inode);
  entries_remove(model, &from->entries, from_name);
}

/* The other side of each rename out of or into `folder` is durable from now on. */
static void force_other_sides(struct sim_model *model, struct sim_inode *folder) {
  for (struct sim_inode *other = model->oldest; other != NULL; other = other->next) {
    if (other == folder) continue;
    for (size_t i = 0; i < other->change_count; i++) {
      for (size_t j = 0; j < folder->change_count; j++)
        if (folder->changes[j].serial == other->changes[i].serial) other->changes[i].forced = true;
    }
  }
}

void sim_folder_apply(struct sim_model *model, struct sim_inode *folder, const struct sim_change *change) {
  if (change->removed != NULL) entries_remove(model, &folder->durable_entries, change->removed);
  if (change->added != NULL) entries_set(model, &folder->durable_entries, change->added, change->inode);
}

void sim_model_sync_folder(struct sim_model *model, struct sim_inode *folder) {
  force_other_sides(model, folder);
  for (size_t i = 0; i < folder->change_count; i++)
    sim_folder_apply(model, folder, &folder->changes[i]);
  changes_clear(model, folder);
}

/* ---- contents of files ---- */

static void content_resize(struct sim_content *content, uint64_t size) {
  if (size > content->capacity) {
    size_t capacity = content->capacity == 0 ? 256 : content->capacity;
    while (capacity < size)
      capacity *= 2;
    content->data = sim_host_resize(content->data, capacity);
    content->capacity = capacity;
  }
  if (size > content->size) memset(content->data + content->size, 0, size - content->size);
  content->size = size;
}

void sim_content_grow(struct sim_content *content, uint64_t size) {
  if (size > content->size) content_resize(content, size);
}

void sim_content_write(struct sim_content *content, uint64_t offset, const void *data, size_t length) {
  if (length == 0) return;
  sim_content_grow(content, offset + length);
  memcpy(content->data + offset, data, length);
}

void sim_content_apply(struct sim_content *content, const struct sim_pending *pending) {
  if (pending->truncate)
    content_resize(content, pending->offset);
  else
    sim_content_write(content, pending->offset, pending->data, pending->length);
}

static void content_copy(struct sim_content *to, const struct sim_content *from) {
  content_resize(to, 0);
  sim_content_write(to, 0, from->data, from->size);
}

static struct sim_pending *pending_add(struct sim_inode *inode) {
  if (inode->pending_count == inode->pending_capacity) {
    inode->pending_capacity = inode->pending_capacity == 0 ? 8 : inode->pending_capacity * 2;
    inode->pending = sim_host_resize(inode->pending, inode->pending_capacity * sizeof *inode->pending);
  }
  struct sim_pending *pending = &inode->pending[inode->pending_count++];
  *pending = (struct sim_pending){0};
  return pending;
}

void sim_inode_write(struct sim_inode *inode, uint64_t offset, const void *data, size_t length) {
  struct sim_pending *pending = pending_add(inode);
  pending->offset = offset;
  pending->length = length;
  pending->data = sim_host_alloc(length);
  if (length > 0) memcpy(pending->data, data, length);
  sim_content_apply(&inode->visible, pending);
}

void sim_inode_truncate(struct sim_inode *inode, uint64_t size) {
  struct sim_pending *pending = pending_add(inode);
  pending->truncate = true;
  pending->offset = size;
  sim_content_apply(&inode->visible, pending);
}

void sim_inode_sync(struct sim_inode *inode) {
  for (size_t i = 0; i < inode->pending_count; i++)
    sim_content_apply(&inode->durable, &inode->pending[i]);
  pending_clear(inode);
}

void sim_inode_sync_failed(struct sim_model *model, struct sim_inode *inode, struct wr_random *random) {
  uint64_t way = wr_random_below(random, 3); /* nothing, a prefix, or any of them has reached the disk */
  uint64_t prefix = way == 1 ? wr_random_below(random, inode->pending_count + 1) : 0;
  for (size_t i = 0; i < inode->pending_count; i++) {
    bool kept = way == 2 ? wr_random_one_in(random, 2) : i < prefix;
    if (kept)
      sim_content_apply(&inode->durable, &inode->pending[i]);
    else
      model->fault_counts[SIM_FAULT_WRITE_LOST]++;
  }
  pending_clear(inode);
  if (wr_random_one_in(random, 2)) content_copy(&inode->visible, &inode->durable);
}

bool sim_inode_is_durable(const struct sim_inode *inode) {
  return inode->pending_count == 0 && inode->visible.size == inode->durable.size &&
         (inode->visible.size == 0 || memcmp(inode->visible.data, inode->durable.data, inode->visible.size) == 0);
}

uint64_t sim_model_used_bytes(const struct sim_model *model) {
  uint64_t used = 0;
  for (const struct sim_inode *inode = model->oldest; inode != NULL; inode = inode->next)
    if (inode->links + inode->opens > 0) used += inode->visible.size;
  return used;
}

/* ---- what a power cut leaves (see sim_power.c) ---- */

void sim_inode_settle(struct sim_inode *inode) {
  pending_clear(inode);
  content_copy(&inode->visible, &inode->durable);
}

void sim_folder_settle(struct sim_model *model, struct sim_inode *folder) {
  changes_clear(model, folder);
  for (size_t i = 0; i < folder->entries.count; i++)
    folder->entries.items[i].inode->links--;
  struct sim_entries before = folder->entries;
  folder->entries = (struct sim_entries){0};
  for (size_t i = 0; i < folder->durable_entries.count; i++) {
    struct sim_entry *entry = &folder->durable_entries.items[i];
    entries_set(model, &folder->entries, entry->name, entry->inode);
    entry->inode->links++;
  }
  entries_clear(model, &before);
  free(before.items);
}
