/* checkpoint/folder_cleanup.c: what may be deleted from a job's folder. See folder.h for the rules.
 *
 * First every retained checkpoint is read and the names of its files are gathered; if one cannot be read nothing is
 * removed, for then nobody knows what it names. A chk-N newer than all retained ones is one that could not be read when
 * the job started: it may yet be mended, or asked for evidence, and nobody knows what it names; until a newer one is
 * retained only what failed checkpoints of this start left is removed. Else superfluous chk-N go and the folder is
 * synced, so that no chk-N can come back after a power cut when its files are gone; then the data files that nobody
 * names. Of the files of the present start these are the ones that a chk-N named which goes now: a file that no
 * completed checkpoint has named yet may be in use, but one that has been named and is no more is needed by nobody
 * (what a later checkpoint still stands on, or a committer still has to commit, is in the newest completed one). One
 * publish or clean-up at a time; inside a call.
 */
#include "checkpoint/folder_internal.h"

#include <inttypes.h>
#include <stdlib.h>

/* A data file by the two numbers of its name. */
struct file_id {
  uint64_t start_number, serial;
};

/* The data files that retained checkpoints name; sorted once complete. */
struct file_set {
  struct wr_bytes ids; /* struct file_id, one after the other */
};

static int compare_file_ids(const void *left, const void *right) {
  const struct file_id *a = left, *b = right;
  if (a->start_number != b->start_number) return a->start_number < b->start_number ? -1 : 1;
  return (a->serial > b->serial) - (a->serial < b->serial);
}

static void add_file(void *argument, const struct wr_handle *handle) {
  struct file_set *set = argument;
  struct file_id id;
  WR_ASSERT(wr_data_file_parse(handle->file, &id.start_number, &id.serial));
  wr_bytes_put(&set->ids, &id, sizeof id);
}

static void sort(struct file_set *set) {
  if (set->ids.length > 0)
    qsort(set->ids.data, set->ids.length / sizeof(struct file_id), sizeof(struct file_id), compare_file_ids);
}

static bool contains(const struct file_set *set, const struct file_id *id) {
  size_t count = set->ids.length / sizeof *id;
  return count > 0 && bsearch(id, set->ids.data, count, sizeof *id, compare_file_ids) != NULL;
}

static enum weir_code gather_named(struct wr_folder *folder, const struct wr_folder_cleanup *cleanup,
                                   struct file_set *named, struct weir_error *error) {
  for (uint32_t i = 0; i < cleanup->retained_count; i++) {
    struct wr_metadata metadata;
    enum weir_code code = wr_folder_load_checkpoint(folder, cleanup->retained[i], false, &metadata, error);
    if (code != WEIR_OK && error != NULL) wr_error_prefix(error, "nothing was removed from %s", folder->path);
    WR_TRY(code);
    wr_metadata_each_file(&metadata, add_file, named);
    wr_metadata_deinit(folder->memory, &metadata);
  }
  sort(named);
  return wr_bytes_check(&named->ids, error);
}

static bool is_retained(const struct wr_folder_cleanup *cleanup, uint64_t id) {
  for (uint32_t i = 0; i < cleanup->retained_count; i++)
    if (cleanup->retained[i] == id) return true;
  return false;
}

static bool has_newer(const struct wr_folder_cleanup *cleanup, const struct wr_name_list *list) {
  uint64_t newest = cleanup->retained_count == 0 ? 0 : cleanup->retained[cleanup->retained_count - 1], id;
  for (size_t i = 0; i < list->count; i++)
    if (wr_checkpoint_name_parse(list->names[i], &id) && id > newest) return true;
  return false;
}

/* With `keep_old` only what was dropped is. */
static bool is_garbage(const struct wr_folder_cleanup *cleanup, const struct file_set *named,
                       const struct file_set *dropped, bool keep_old, const char *name) {
  struct file_id id;
  if (!wr_data_file_parse(name, &id.start_number, &id.serial) || contains(named, &id)) return false;
  if (keep_old) return contains(dropped, &id);
  bool may_be_written = cleanup->present_start != 0 && id.start_number >= cleanup->present_start;
  return !may_be_written || contains(dropped, &id);
}

/* Removes a name of the folder; one that is gone already counts as removed. */
static enum weir_code remove_name(struct wr_folder *folder, const char *name, struct weir_error *error) {
  char path[WR_PATH_BYTES_MAX];
  wr_folder_join(folder, name, path);
  enum weir_code code = folder->files->remove(folder->files, path, error);
  return code == WEIR_NOT_FOUND ? WEIR_OK : code;
}

/* The files of a checkpoint that goes. One that cannot be read keeps the files of this start until the next one. */
static enum weir_code gather_dropped(struct wr_folder *folder, uint64_t id, struct file_set *dropped,
                                     struct weir_error *error) {
  struct wr_metadata metadata;
  struct weir_error ignored;
  if (wr_folder_load_checkpoint(folder, id, false, &metadata, &ignored) != WEIR_OK) return WEIR_OK;
  wr_metadata_each_file(&metadata, add_file, dropped);
  wr_metadata_deinit(folder->memory, &metadata);
  return wr_bytes_check(&dropped->ids, error);
}

static enum weir_code remove_checkpoints(struct wr_folder *folder, const struct wr_folder_cleanup *cleanup,
                                         const struct wr_name_list *list, struct file_set *dropped, uint32_t *removed,
                                         struct weir_error *error) {
  for (size_t i = 0; i < list->count; i++) {
    uint64_t id;
    if (!wr_checkpoint_name_parse(list->names[i], &id) || is_retained(cleanup, id)) continue;
    WR_TRY(gather_dropped(folder, id, dropped, error));
    WR_TRY(remove_name(folder, list->names[i], error));
    (*removed)++;
  }
  return WEIR_OK;
}

static enum weir_code remove_garbage(struct wr_folder *folder, const struct wr_folder_cleanup *cleanup,
                                     const struct wr_name_list *list, const struct file_set *named,
                                     const struct file_set *dropped, bool keep_old, uint32_t *removed,
                                     struct weir_error *error) {
  enum weir_code first = WEIR_OK;
  bool synced = false;
  for (size_t i = 0; i < list->count; i++) {
    if (!is_garbage(cleanup, named, dropped, keep_old, list->names[i])) continue;
    /* Also where this clean-up removed no chk-N: an earlier one may have died before its sync. */
    if (!synced) WR_TRY(folder->files->sync_folder(folder->files, folder->path, error));
    synced = true;
    enum weir_code code = remove_name(folder, list->names[i], first == WEIR_OK ? error : NULL);
    if (code == WEIR_OK) {
      (*removed)++;
    } else if (first == WEIR_OK) {
      first = code;
    }
  }
  return first;
}

static enum weir_code remove_all(struct wr_folder *folder, const struct wr_folder_cleanup *cleanup,
                                 const struct file_set *named, struct file_set *dropped, uint32_t *removed,
                                 struct weir_error *error) {
  struct wr_name_list list = {0};
  WR_TRY(wr_folder_list(folder, &list, error));
  bool keep_old = has_newer(cleanup, &list);
  enum weir_code code = keep_old ? WEIR_OK : remove_checkpoints(folder, cleanup, &list, dropped, removed, error);
  sort(dropped);
  if (code == WEIR_OK) code = remove_garbage(folder, cleanup, &list, named, dropped, keep_old, removed, error);
  wr_name_list_deinit(&list, folder->memory);
  return code;
}

enum weir_code wr_folder_clean_up(struct wr_folder *folder, const struct wr_folder_cleanup *cleanup,
                                  uint32_t *out_removed, struct weir_error *error) {
  wr_folder_assert_locked(folder);
  *out_removed = 0;
  struct file_set named, dropped;
  wr_bytes_init(&named.ids, folder->memory, WR_MEMORY_ENGINE);
  wr_bytes_init(&dropped.ids, folder->memory, WR_MEMORY_ENGINE);
  for (uint32_t i = 0; i < cleanup->drop_count; i++)
    if (cleanup->drop[i].file[0] != 0) add_file(&dropped, &cleanup->drop[i]);
  enum weir_code code = wr_bytes_check(&dropped.ids, error);
  if (code == WEIR_OK) code = gather_named(folder, cleanup, &named, error);
  if (code == WEIR_OK) code = remove_all(folder, cleanup, &named, &dropped, out_removed, error);
  wr_bytes_deinit(&named.ids);
  wr_bytes_deinit(&dropped.ids);
  return code;
}
