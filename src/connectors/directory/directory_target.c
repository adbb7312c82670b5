/* connectors/directory/directory_target.c: the folder sink's target (directory.h).
 *
 * An epoch's files are staged by its writers (directory_stage.c), written, synced and with synced names, before the
 * checkpoint that carries them can complete; the parts say which they are. What is left is to name them:
 *
 *   claim     marker {mine, checkpoint, manifest if there is one}; what the manifest names is finished
 *   commit N  marker read: not mine: no change. N already: what its manifest names is finished. Else:
 *             1. each staged file of N is there, with its size
 *             2. marker {mine, N, manifest of N}
 *             3. each staged file is renamed to its final name, in order; PATH is synced
 *             4. marker {mine, N}
 *   settled   what earlier starts have staged, and is there still, is removed
 *   finishing is 3 and 4, after the marker has been published again where its last publish had an unknown outcome
 *
 * Step 2 decides: before it nothing of N has a final name; after it N counts as committed, whoever goes on (also a
 * start that was told to begin anew finishes what a manifest names). What always holds:
 *
 *   - A manifest is durable before the first rename. So above the marker no staged file has been renamed: one that is
 *     gone there was removed by somebody, and its rows are in no file. A start finds that before it changes anything
 *     (check_carried) and makes them again from an older checkpoint, or is refused; a commit finds it in step 1.
 *   - A staged file that a manifest names and that is gone was renamed: it is not made again, for somebody may have
 *     taken it away since. Nothing else removes a staged file while a manifest names it.
 *   - The renames are durable before step 4 says that there is nothing to finish: a rename is lost as a whole in a
 *     power cut, then the staged file is there again, and so is the manifest.
 *   - A part has its final names from its staging on: they hold the checkpoint that it was prepared for, whose id is
 *     never used twice. So it has one name for ever, whichever epoch carries it in the end.
 *   - Nobody writes into a staged file that another has made (directory_stage.c). So a run that was taken over cannot
 *     change what its successor renames.
 *   - A staged file is removed only by settled, under the lock, by whose start the marker is; and only when an earlier
 *     start has staged it and every epoch that R carried is committed. Nobody will ask for it: R is where all go on
 *     from, and a newer checkpoint that was passed over lacks it from then on, and is passed over again. Files of this
 *     very start stay, for they are of epochs to come.
 *
 * A crash while an epoch is staged, or before its checkpoint completes, leaves files that nobody names; the next start
 * sweeps them when it has settled. In step 1: nothing was changed. In step 2: the old marker (step 1 again) or the new
 * one (finishing). In step 3: finishing. In step 4: finishing, which finds nothing to do. In settled: some are removed;
 * the next start sweeps the rest. Between a rename and the sync of PATH a file can be seen that a power cut takes back;
 * it comes again under the same name, with the same content. So a reader that needs more than that syncs PATH before it
 * takes a file away, or remembers names.
 *
 * A start that was told to go on although the target does not fit (--accept-duplicates) has an incarnation of its own,
 * and R's parts are its parent's: of those, what is gone is left out, and the log says so.
 *
 * Fences: claim, commit and settled hold a lock on PATH/.weir/<sink>.lock, from reading the marker to the last change.
 * A run with an older start number finds a marker that is not its own. In memory is only `floor`: the newest checkpoint
 * that was seen committed; a marker below it was put back from a copy.
 *
 * All functions run inside calls, one at a time.
 */
#include "connectors/directory/directory.h"

#include "connectors/directory/directory_files.h"
#include "connectors/directory/directory_marker.h"
#include "connectors/directory/directory_part.h"
#include "connectors/target_marker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct directory {
  struct wr_target target;
  struct wr_target_context context;
  const struct wr_directory_config *config;
  struct wr_directory_place place;
  char *folder; /* PATH/.weir */
  char *marker_path;
  char *lock_path;
  uint64_t floor;
  bool is_uncertain;                 /* the last publish may or may not be durable */
  struct wr_directory_marker marker; /* as it was loaded last */
};

static struct directory *self_of(struct wr_target *target) {
  return (struct directory *)target;
}

/* ---- the marker ---- */

static enum weir_code load(struct directory *self, struct weir_error *error) {
  struct wr_directory_marker *marker = &self->marker;
  marker->marker = (struct wr_marker){.present = false};
  marker->is_pending = false;
  wr_bytes_clear(&marker->manifest);
  WR_TRY(wr_file_marker_load(&wr_directory_marker_kind, &self->context, self->marker_path, &marker->marker, error));
  return wr_bytes_check(&marker->manifest, error);
}

static enum weir_code publish(struct directory *self, struct weir_error *error) {
  self->is_uncertain = true;
  WR_TRY(wr_file_marker_publish(&wr_directory_marker_kind, &self->context, self->folder, self->marker_path,
                                &self->marker.marker, error));
  self->is_uncertain = false;
  return WEIR_OK;
}

/* ---- finishing ---- */

/* Renames one file, unless that was done before. */
static enum weir_code rename_file(struct directory *self, const struct wr_directory_part *part, uint32_t number,
                                  struct weir_error *error) {
  struct wr_files *files = self->context.seams->files;
  struct wr_file_info info;
  char staged[WR_PATH_BYTES_MAX], final[WR_PATH_BYTES_MAX];
  WR_TRY(wr_directory_staged_path(&self->place, part, number, staged, error));
  WR_TRY(wr_directory_final_path(&self->place, part, number, final, error));
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
static enum weir_code finish(struct directory *self, struct weir_error *error) {
  struct wr_directory_marker *marker = &self->marker;
  struct wr_files *files = self->context.seams->files;
  struct wr_reader reader = wr_reader_of(marker->manifest.data, marker->manifest.length);
  struct wr_directory_part part;
  if (self->is_uncertain) WR_TRY(publish(self, error));
  if (!marker->is_pending) return WEIR_OK;
  while (reader.position < reader.length) {
    wr_directory_part_read(&reader, &part);
    for (uint32_t i = 0; i < part.file_count; i++)
      WR_TRY(rename_file(self, &part, i, error));
  }
  WR_TRY(files->sync_folder(files, self->config->path, error));
  marker->is_pending = false;
  return publish(self, error);
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

/* ---- what is staged ---- */

/* NOT_FOUND: the file is not there; *out_bytes is its size. */
static enum weir_code look_at_staged(struct directory *self, const struct wr_directory_part *part, uint32_t number,
                                     uint64_t *out_bytes, struct weir_error *error) {
  struct wr_files *files = self->context.seams->files;
  struct wr_file_info info;
  char path[WR_PATH_BYTES_MAX];
  WR_TRY(wr_directory_staged_path(&self->place, part, number, path, error));
  enum weir_code code = files->stat(files, path, &info, error);
  if (code == WEIR_NOT_FOUND)
    return WR_FAIL(error, code, "%s is gone, and the rows of checkpoint %" PRIu64 " in it were not committed yet", path,
                   part->prepared_for);
  if (code == WEIR_OK) *out_bytes = info.size_bytes;
  return code;
}

/* REFUSED: not all of the part is there, as it was staged. */
static enum weir_code check_part(struct directory *self, const struct wr_directory_part *part,
                                 struct weir_error *error) {
  uint64_t found_bytes = 0, bytes = 0;
  for (uint32_t i = 0; i < part->file_count; i++) {
    enum weir_code code = look_at_staged(self, part, i, &bytes, error);
    if (code == WEIR_NOT_FOUND) {
      if (error != NULL) error->code = WEIR_REFUSED;
      return WEIR_REFUSED;
    }
    WR_TRY(code);
    found_bytes += bytes;
  }
  if (found_bytes == part->bytes) return WEIR_OK;
  char base[WR_PATH_BYTES_MAX];
  WR_TRY(wr_directory_staged_base(&self->place, part, base, error));
  return WR_FAIL(error, WEIR_REFUSED,
                 "the files %s-* have %" PRIu64 " bytes, not the %" PRIu64 " that were staged for checkpoint %" PRIu64,
                 base, found_bytes, part->bytes, part->prepared_for);
}

static bool is_of(const struct wr_directory_part *part, const uint8_t *incarnation) {
  return memcmp(part->incarnation, incarnation, WR_INCARNATION_BYTES) == 0;
}

static enum weir_code check_own(struct directory *self, const struct wr_directory_part *part,
                                struct weir_error *error) {
  struct weir_error reason;
  enum weir_code code = check_part(self, part, &reason);
  if (code == WEIR_REFUSED)
    return WR_FAIL(error, code, "%s; put it back, or start the job again, which says how to go on without",
                   reason.message);
  if (code != WEIR_OK && error != NULL) *error = reason;
  return code;
}

/* What is left of a part that is not wholly there, and whose loss was accepted, is committed. */
static enum weir_code check_accepted(struct directory *self, const struct wr_directory_part *part,
                                     struct weir_error *error) {
  struct weir_error reason;
  enum weir_code code = check_part(self, part, &reason);
  if (code == WEIR_REFUSED)
    wr_log_write(self->context.seams->log, WR_LOG_WARN, "sink %s: what is gone is left out: %s", self->context.uid,
                 reason.message);
  if (code == WEIR_OK || code == WEIR_REFUSED) return WEIR_OK;
  if (error != NULL) *error = reason;
  return code;
}

/* ---- connect, read_marker, check_carried, claim ---- */

static enum weir_code connect(struct wr_target *target, struct weir_error *error) {
  struct directory *self = self_of(target);
  struct wr_files *files = self->context.seams->files;
  struct wr_file_info path, folder;
  WR_TRY(wr_directory_check_path(files, self->config->path, &path, error));
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
  *out_marker = (struct wr_marker){.present = false};
  WR_TRY(load(self, error));
  *out_marker = self->marker.marker;
  return WEIR_OK;
}

static enum weir_code check_epoch(struct directory *self, const uint8_t *incarnation, const struct wr_epoch *epoch,
                                  struct weir_error *error) {
  for (uint32_t i = 0; i < epoch->part_count; i++) {
    struct wr_directory_part part;
    WR_TRY(wr_directory_part_of(&epoch->parts[i], &part, error));
    if (is_of(&part, incarnation)) WR_TRY(check_part(self, &part, error));
  }
  return WEIR_OK;
}

static enum weir_code check_carried(struct wr_target *target, const struct wr_marker *seen, const uint8_t *incarnation,
                                    const struct wr_epoch *epochs, uint32_t epoch_count, struct weir_error *error) {
  struct directory *self = self_of(target);
  enum weir_code code = WEIR_OK;
  for (uint32_t i = 0; code == WEIR_OK && i < epoch_count; i++)
    code = check_epoch(self, incarnation, &epochs[i], error);
  if (code != WEIR_REFUSED) return code;
  /* An earlier start that has not ended yet may have committed them in this moment. */
  WR_TRY(load(self, error));
  if (!wr_marker_equal(seen, &self->marker.marker)) return wr_marker_came(&self->context, self->config->path, error);
  return code;
}

static enum weir_code claim_locked(struct directory *self, const struct wr_marker *seen, uint64_t checkpoint,
                                   struct weir_error *error) {
  struct wr_marker *marker = &self->marker.marker;
  WR_TRY(load(self, error));
  /* A claim that was made and whose answer got lost is ours. */
  if (!wr_marker_is_mine(&self->context, marker))
    WR_TRY(wr_marker_check_claim(&self->context, seen, marker, self->config->path, error));
  *marker = wr_marker_mine(&self->context, checkpoint);
  WR_TRY(publish(self, error));
  WR_TRY(finish(self, error));
  self->floor = checkpoint;
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

/* Step 1; the manifest. */
static enum weir_code put_manifest(struct directory *self, const struct wr_epoch *epoch, struct weir_error *error) {
  struct wr_directory_marker *marker = &self->marker;
  wr_bytes_clear(&marker->manifest);
  for (uint32_t i = 0; i < epoch->part_count; i++) {
    struct wr_directory_part part;
    WR_TRY(wr_directory_part_of(&epoch->parts[i], &part, error));
    if (part.file_count == 0) continue;
    WR_TRY(is_of(&part, self->context.store->incarnation) ? check_own(self, &part, error)
                                                          : check_accepted(self, &part, error));
    wr_directory_part_put(&marker->manifest, &part);
  }
  marker->is_pending = marker->manifest.length != 0;
  return wr_bytes_check(&marker->manifest, error);
}

static enum weir_code commit_new(struct directory *self, const struct wr_epoch *epoch, struct weir_error *error) {
  WR_TRY(put_manifest(self, epoch, error));
  self->marker.marker.checkpoint_id = epoch->checkpoint_id;
  WR_TRY(publish(self, error));
  return finish(self, error);
}

/* Loads the marker, which must be this start's. */
static enum weir_code load_mine(struct directory *self, struct weir_error *error) {
  const struct wr_marker *marker = &self->marker.marker;
  WR_TRY(load(self, error));
  if (!marker->present)
    return WR_FAIL(error, WEIR_REFUSED, "%s was removed while the job runs; put it back", self->marker_path);
  if (!wr_marker_is_mine(&self->context, marker))
    return wr_marker_fenced(&self->context, marker, self->config->path, error);
  if (marker->checkpoint_id >= self->floor) return WEIR_OK;
  return WR_FAIL(error, WEIR_REFUSED,
                 "%s was replaced by an older one while the job runs: it says %" PRIu64 ", %" PRIu64
                 " was committed; put the newer one back",
                 self->marker_path, marker->checkpoint_id, self->floor);
}

static enum weir_code commit_locked(struct directory *self, const struct wr_epoch *epoch, bool *out_already,
                                    struct weir_error *error) {
  WR_TRY(load_mine(self, error));
  *out_already = self->marker.marker.checkpoint_id >= epoch->checkpoint_id;
  WR_TRY(finish(self, error));
  if (!*out_already) WR_TRY(commit_new(self, epoch, error));
  self->floor = self->marker.marker.checkpoint_id;
  return WEIR_OK;
}

/* What is not found after the claim was taken away with its folder. */
static enum weir_code judge(struct directory *self, enum weir_code code, struct weir_error *error) {
  if (code != WEIR_NOT_FOUND) return code;
  return WR_FAIL(error, WEIR_REFUSED, "%s was removed while the job runs; put it back", self->folder);
}

static enum weir_code commit(struct wr_target *target, const struct wr_epoch *epoch, bool *out_already,
                             struct weir_error *error) {
  struct directory *self = self_of(target);
  struct wr_file *file = NULL;
  *out_already = false;
  WR_TRY(judge(self, lock(self, &file, error), error));
  enum weir_code code = commit_locked(self, epoch, out_already, error);
  unlock(self, file);
  return judge(self, code, error);
}

/* ---- settled ---- */

static enum weir_code sweep(struct directory *self, struct weir_error *error) {
  struct wr_files *files = self->context.seams->files;
  const struct wr_store *store = self->context.store;
  struct wr_name_list names = {0};
  char path[WR_PATH_BYTES_MAX];
  uint32_t removed = 0;
  enum weir_code code = files->list(files, self->folder, self->context.memory, &names, error);
  for (size_t i = 0; i < names.count && code == WEIR_OK; i++) {
    if (!wr_directory_is_left_over(&self->place, store->incarnation, store->start_number, names.names[i])) continue;
    int length = snprintf(path, sizeof path, "%s/%s", self->folder, names.names[i]);
    code = wr_directory_check_length(length, self->folder, error);
    if (code == WEIR_OK) code = files->remove(files, path, error);
    if (code == WEIR_NOT_FOUND) code = WEIR_OK;
    removed++;
  }
  if (code == WEIR_OK && removed != 0) code = files->sync_folder(files, self->folder, error);
  wr_name_list_deinit(&names, self->context.memory);
  return code;
}

static enum weir_code settled_locked(struct directory *self, struct weir_error *error) {
  WR_TRY(load_mine(self, error));
  WR_TRY(finish(self, error));
  return sweep(self, error);
}

static enum weir_code settled(struct wr_target *target, struct weir_error *error) {
  struct directory *self = self_of(target);
  struct wr_file *file = NULL;
  WR_TRY(judge(self, lock(self, &file, error), error));
  enum weir_code code = settled_locked(self, error);
  unlock(self, file);
  return judge(self, code, error);
}

/* ---- life ---- */

static void close_target(struct wr_target *target) {
  (void)target; /* nothing is open between two calls */
}

static void free_target(struct wr_target *target) {
  struct directory *self = self_of(target);
  wr_directory_marker_deinit(&self->marker);
  wr_free(self->context.memory, self->marker_path);
  wr_free(self->context.memory, self->lock_path);
  wr_free(self->context.memory, self->folder);
  wr_free(self->context.memory, self);
}

static const struct wr_target_vtable vtable = {.connect = connect,
                                               .read_marker = read_marker,
                                               .check_carried = check_carried,
                                               .claim = claim,
                                               .commit = commit,
                                               .settled = settled,
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
  char name[WR_UID_BYTES_MAX + 40];
  uint64_t hash = wr_directory_hash(self->context.job_name, self->context.uid);
  WR_TRY(make_path(self, &self->folder, "", error));
  self->place = (struct wr_directory_place){
      .path = self->config->path, .folder = self->folder, .uid = self->context.uid, .hash = hash};
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
  wr_directory_marker_init(&self->marker, context->memory);
  enum weir_code code = make_paths(self, error);
  if (code != WEIR_OK) {
    free_target(&self->target);
    return code;
  }
  *out_target = &self->target;
  return WEIR_OK;
}
