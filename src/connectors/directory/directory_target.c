/* connectors/directory/directory_target.c: the folder sink's target (directory.h).
 *
 *   claim     marker {mine, checkpoint, manifest if there is one}; what the manifest names is finished; then what other
 *             tries have staged is removed
 *   commit N  marker read: not mine: no change. N already: what its manifest names is finished. Else:
 *             1. N's files are staged: written, synced, and PATH/.weir synced
 *             2. marker {mine, N, manifest of N}
 *             3. each staged file is renamed to its final name, in order; PATH is synced
 *             4. marker {mine, N}
 *   finishing is 3 and 4, after the marker has been published again where its last publish had an unknown outcome
 *
 * Step 2 decides: before it nothing of N has a final name; after it N counts as committed, whoever goes on (also a
 * start that was told to begin anew finishes what a manifest names). What always holds:
 *
 *   - A manifest is durable before the first rename. So a crash within step 3 never leads to step 1 of the same epoch
 *     again: rows have one name, for ever.
 *   - A staged file that the manifest names and that is gone was renamed: it is not made again, for somebody may have
 *     taken it away since. Nothing else removes a staged file while a manifest names it.
 *   - The renames are durable before step 4 says that there is nothing to finish: a rename is lost as a whole in a
 * power cut, then the staged file is there again, and so is the manifest.
 *   - Step 1 never writes into a file that stands: names hold the start number that wrote them, and what another try of
 *     the same start left is removed first. So a run that was taken over cannot change what its successor renames.
 *
 * A crash in step 1 leaves files that nobody names; the next claim removes them. In step 2: the old marker (step 1
 * again) or the new one (finishing). In step 3: finishing. In step 4: finishing, which finds nothing to do. Between a
 * rename and the sync of PATH a file can be seen that a power cut takes back; it comes again under the same name, with
 * the same content. So a reader that needs more than that syncs PATH before it takes a file away, or remembers names.
 *
 * Fences: claim and commit hold a lock on PATH/.weir/<sink>.lock, from reading the marker to the last publish. A run
 * with an older start number finds a marker that is not its own. In memory is only `floor`: the newest checkpoint that
 * was seen committed; a marker below it was put back from a copy.
 *
 * All functions run inside calls, one at a time.
 */
#include "connectors/directory/directory.h"

#include "base/hash.h"
#include "connectors/directory/directory_stage.h"
#include "connectors/target_marker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct directory {
  struct wr_target target;
  struct wr_target_context context;
  const struct wr_directory_config *config;
  char *folder; /* PATH/.weir */
  char *marker_path;
  char *lock_path;
  uint64_t floor;
  bool is_uncertain; /* the last publish may or may not be durable */
  struct wr_directory_stage stage;
};

static struct directory *self_of(struct wr_target *target) {
  return (struct directory *)target;
}

/* ---- the marker ---- */

static enum weir_code load(struct directory *self, struct wr_directory_marker *out_marker, struct weir_error *error) {
  *out_marker = (struct wr_directory_marker){0};
  return wr_file_marker_load(&wr_directory_marker_kind, &self->context, self->marker_path, &out_marker->marker, error);
}

static enum weir_code publish(struct directory *self, const struct wr_directory_marker *marker,
                              struct weir_error *error) {
  self->is_uncertain = true;
  WR_TRY(wr_file_marker_publish(&wr_directory_marker_kind, &self->context, self->folder, self->marker_path,
                                &marker->marker, error));
  self->is_uncertain = false;
  return WEIR_OK;
}

/* Renames one file, unless that was done before. */
static enum weir_code rename_part(struct directory *self, const struct wr_directory_manifest *manifest, uint32_t number,
                                  struct weir_error *error) {
  struct wr_files *files = self->context.seams->files;
  struct wr_file_info info;
  char staged[WR_PATH_BYTES_MAX], final[WR_PATH_BYTES_MAX];
  WR_TRY(wr_directory_staged_path(manifest, self->folder, number, staged, error));
  WR_TRY(wr_directory_final_path(manifest, self->config->path, number, final, error));
  enum weir_code code = files->rename(files, staged, final, error);
  if (code != WEIR_NOT_FOUND) return code;
  struct weir_error reason;
  enum weir_code stat_code = files->stat(files, staged, &info, &reason);
  if (stat_code == WEIR_NOT_FOUND) return WEIR_OK;
  if (stat_code == WEIR_OK) return code; /* it is the folder that is gone */
  if (error != NULL) *error = reason;
  return stat_code;
}

/* Steps 3 and 4 for what the marker's manifest names. */
static enum weir_code finish(struct directory *self, struct wr_directory_marker *marker, struct weir_error *error) {
  struct wr_files *files = self->context.seams->files;
  if (self->is_uncertain) WR_TRY(publish(self, marker, error));
  if (!marker->is_pending) return WEIR_OK;
  for (uint32_t i = 0; i < marker->manifest.part_count; i++)
    WR_TRY(rename_part(self, &marker->manifest, i, error));
  WR_TRY(files->sync_folder(files, self->config->path, error));
  marker->is_pending = false;
  return publish(self, marker, error);
}

/* ---- the lock ---- */

static enum weir_code lock(struct directory *self, struct wr_file **out_file, struct weir_error *error) {
  struct wr_files *files = self->context.seams->files;
  WR_TRY(files->open(files, self->lock_path, WR_FILE_WRITE, out_file, error));
  enum weir_code code = files->lock(files, *out_file, error);
  if (code == WEIR_OK) return WEIR_OK;
  files->close(files, *out_file, NULL);
  *out_file = NULL;
  if (code != WEIR_IN_USE) return code;
  return WR_FAIL(error, WEIR_BUSY, "another run of job \"%s\" is writing to %s (it holds %s)", self->context.job_name,
                 self->config->path, self->lock_path);
}

static void unlock(struct directory *self, struct wr_file *file) {
  /* Nothing was written through it. */
  self->context.seams->files->close(self->context.seams->files, file, NULL);
}

/* ---- connect, read_marker, claim ---- */

static enum weir_code connect(struct wr_target *target, struct weir_error *error) {
  struct directory *self = self_of(target);
  struct wr_files *files = self->context.seams->files;
  struct wr_file_info path, folder;
  WR_TRY(wr_directory_check_path(&self->context, self->config->path, &path, error));
  enum weir_code code = files->stat(files, self->folder, &folder, error);
  if (code == WEIR_NOT_FOUND) return WEIR_OK;
  if (code == WEIR_OK && (!folder.folder || folder.device != path.device))
    return WR_FAIL(error, WEIR_REFUSED,
                   "%s must be a folder on the file system of %s, for files are renamed from one to the other",
                   self->folder, self->config->path);
  return code;
}

static enum weir_code read_marker(struct wr_target *target, struct wr_marker *out_marker, struct weir_error *error) {
  struct directory *self = self_of(target);
  struct wr_directory_marker marker;
  *out_marker = (struct wr_marker){.present = false};
  WR_TRY(load(self, &marker, error));
  *out_marker = marker.marker;
  return WEIR_OK;
}

/* Removes what was staged and is named by no manifest. What cannot be removed now is removed by a later claim. */
static void sweep(struct directory *self, const uint8_t *incarnation) {
  struct wr_files *files = self->context.seams->files;
  struct wr_name_list names = {0};
  char prefix[WR_DIRECTORY_PREFIX_BYTES], path[WR_PATH_BYTES_MAX];
  wr_directory_prefix(self->context.uid, incarnation, prefix);
  if (files->list(files, self->folder, self->context.memory, &names, NULL) != WEIR_OK) return;
  for (size_t i = 0; i < names.count; i++) {
    if (strncmp(names.names[i], prefix, strlen(prefix)) != 0) continue;
    int length = snprintf(path, sizeof path, "%s/%s", self->folder, names.names[i]);
    if (length > 0 && (size_t)length < sizeof path) files->remove(files, path, NULL);
  }
  wr_name_list_deinit(&names, self->context.memory);
}

static enum weir_code claim_locked(struct directory *self, const struct wr_marker *seen, uint64_t checkpoint,
                                   struct weir_error *error) {
  const struct wr_store *store = self->context.store;
  struct wr_directory_marker marker;
  WR_TRY(load(self, &marker, error));
  /* A claim that was made and whose answer got lost is ours. */
  if (!wr_marker_is_mine(&self->context, &marker.marker))
    WR_TRY(wr_marker_check_claim(&self->context, seen, &marker.marker, self->config->path, error));
  const struct wr_marker before = marker.marker;
  marker.marker = wr_marker_mine(&self->context, checkpoint);
  WR_TRY(publish(self, &marker, error));
  WR_TRY(finish(self, &marker, error));
  self->floor = checkpoint;
  sweep(self, store->incarnation);
  if (before.present && memcmp(before.incarnation, store->incarnation, WR_INCARNATION_BYTES) != 0)
    sweep(self, before.incarnation);
  return WEIR_OK;
}

static enum weir_code claim(struct wr_target *target, const struct wr_marker *seen, uint64_t checkpoint,
                            struct weir_error *error) {
  struct directory *self = self_of(target);
  struct wr_files *files = self->context.seams->files;
  struct wr_file *file = NULL;
  WR_TRY(files->make_folder(files, self->folder, error));
  WR_TRY(files->sync_folder(files, self->config->path, error));
  WR_TRY(lock(self, &file, error));
  enum weir_code code = claim_locked(self, seen, checkpoint, error);
  unlock(self, file);
  return code;
}

/* ---- commit ---- */

static enum weir_code commit_new(struct directory *self, const struct wr_epoch *epoch,
                                 struct wr_directory_marker *marker, struct weir_error *error) {
  struct wr_directory_manifest *manifest = &marker->manifest;
  const struct wr_store *store = self->context.store;
  char prefix[WR_DIRECTORY_PREFIX_BYTES];
  wr_directory_prefix(self->context.uid, store->incarnation, prefix);
  *manifest = (struct wr_directory_manifest){.staged_by = store->start_number};
  snprintf(manifest->base, sizeof manifest->base, "%s-%010" PRIu64, prefix, epoch->checkpoint_id);
  snprintf(manifest->suffix, sizeof manifest->suffix, "%s", wr_directory_suffix(self->config));
  WR_TRY(wr_directory_stage_epoch(&self->stage, epoch, manifest, error));
  marker->is_pending = true;
  marker->marker.checkpoint_id = epoch->checkpoint_id;
  WR_TRY(publish(self, marker, error));
  return finish(self, marker, error);
}

static enum weir_code commit_locked(struct directory *self, const struct wr_epoch *epoch, bool *out_already,
                                    struct weir_error *error) {
  struct wr_directory_marker marker;
  WR_TRY(load(self, &marker, error));
  if (!marker.marker.present)
    return WR_FAIL(error, WEIR_REFUSED, "%s was removed while the job runs; put it back", self->marker_path);
  if (!wr_marker_is_mine(&self->context, &marker.marker))
    return wr_marker_fenced(&self->context, &marker.marker, self->config->path, error);
  if (marker.marker.checkpoint_id < self->floor)
    return WR_FAIL(error, WEIR_REFUSED,
                   "%s was replaced by an older one while the job runs: it says %" PRIu64 ", %" PRIu64
                   " was committed; put the newer one back",
                   self->marker_path, marker.marker.checkpoint_id, self->floor);
  *out_already = marker.marker.checkpoint_id >= epoch->checkpoint_id;
  WR_TRY(finish(self, &marker, error));
  if (!*out_already) WR_TRY(commit_new(self, epoch, &marker, error));
  self->floor = marker.marker.checkpoint_id;
  return WEIR_OK;
}

static enum weir_code commit(struct wr_target *target, const struct wr_epoch *epoch, bool *out_already,
                             struct weir_error *error) {
  struct directory *self = self_of(target);
  struct wr_file *file = NULL;
  *out_already = false;
  enum weir_code code = lock(self, &file, error);
  if (code == WEIR_NOT_FOUND)
    return WR_FAIL(error, WEIR_REFUSED, "%s was removed while the job runs; put it back", self->folder);
  if (code != WEIR_OK) return code;
  code = commit_locked(self, epoch, out_already, error);
  unlock(self, file);
  return code;
}

/* ---- life ---- */

static void close_target(struct wr_target *target) {
  (void)target; /* nothing is open between two calls */
}

static void free_target(struct wr_target *target) {
  struct directory *self = self_of(target);
  wr_directory_stage_deinit(&self->stage);
  wr_free(self->context.memory, self->marker_path);
  wr_free(self->context.memory, self->lock_path);
  wr_free(self->context.memory, self->folder);
  wr_free(self->context.memory, self);
}

static const struct wr_target_vtable vtable = {.connect = connect,
                                               .read_marker = read_marker,
                                               .claim = claim,
                                               .commit = commit,
                                               .close = close_target,
                                               .free = free_target};

static enum weir_code make_path(struct directory *self, char **out_path, const char *name, struct weir_error *error) {
  char path[WR_PATH_BYTES_MAX];
  int length = snprintf(path, sizeof path, "%s/.weir%s", self->config->path, name);
  if (length < 0 || (size_t)length >= sizeof path)
    return WR_FAIL(error, WEIR_INVALID, "the path of the folder %.64s... is too long", self->config->path);
  *out_path = wr_copy_string(self->context.memory, path, WR_MEMORY_SINK);
  if (*out_path != NULL) return WEIR_OK;
  return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the folder sink on %s", self->config->path);
}

/* Marker and lock are named by the sink's uid, and a hash that tells the jobs of one folder apart. */
static enum weir_code make_paths(struct directory *self, struct weir_error *error) {
  char key[WR_NAME_BYTES_MAX + WR_UID_BYTES_MAX + 4], name[WR_UID_BYTES_MAX + 40];
  int length = snprintf(key, sizeof key, "%s/%s", self->context.job_name, self->context.uid);
  WR_ASSERT(length > 0 && (size_t)length < sizeof key);
  uint64_t hash = wr_checksum(key, (size_t)length);
  WR_TRY(make_path(self, &self->folder, "", error));
  snprintf(name, sizeof name, "/%s-%016" PRIx64 ".marker", self->context.uid, hash);
  WR_TRY(make_path(self, &self->marker_path, name, error));
  snprintf(name, sizeof name, "/%s-%016" PRIx64 ".lock", self->context.uid, hash);
  return make_path(self, &self->lock_path, name, error);
}

enum weir_code wr_directory_target_new(void *target_config, const struct wr_target_context *context,
                                       struct wr_target **out_target, struct weir_error *error) {
  const struct wr_directory_config *config = target_config;
  *out_target = NULL;
  struct directory *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SINK);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the folder sink on %s", config->path);
  self->target.vtable = &vtable;
  self->context = *context;
  self->config = config;
  enum weir_code code = wr_directory_stage_init(&self->stage, config, &self->context, NULL, error);
  if (code == WEIR_OK) code = make_paths(self, error);
  self->stage.folder = self->folder;
  if (code != WEIR_OK) {
    free_target(&self->target);
    return code;
  }
  *out_target = &self->target;
  return WEIR_OK;
}
