/* connectors/files/file_scan.c: see file_scan.h.
 *
 * The order of a scan: list the folder; judge every known file (there, the same or a copy, not smaller than before);
 * only then admit new names, each compared with the identities of all known files, which are those of now. At the first
 * scan stop positions are fixed (bounded, and none is fixed yet) or dropped (not bounded). A bounded job's files are
 * those of its first bounded look: where stops are there already, nothing new is admitted.
 */
#include "connectors/files/file_scan.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_TOLD_MAX = 4096, NAMES_PER_LINE = 8 };

static enum weir_code no_memory(const struct wr_file_scan *scan, struct weir_error *error) {
  return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the files of source %s (%u are known)", scan->uid,
                 scan->known_count);
}

static enum weir_code make_path(const struct wr_file_scan *scan, const char *name, char *out_path,
                                struct weir_error *error) {
  int length = snprintf(out_path, WR_PATH_BYTES_MAX, "%s/%s", scan->config->folder, name);
  if (length > 0 && length < WR_PATH_BYTES_MAX) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "the path of %s in the folder of source %s is longer than %d bytes", name,
                 scan->uid, WR_PATH_BYTES_MAX - 1);
}

/* Room for one more in *array. */
static bool grow(struct wr_memory *memory, void **array, size_t count, size_t capacity, size_t bytes,
                 size_t *out_capacity) {
  *out_capacity = capacity;
  if (count < capacity) return true;
  size_t larger = capacity == 0 ? 16 : capacity * 2;
  void *moved = wr_resize(memory, *array, larger * bytes, WR_MEMORY_SOURCE);
  if (moved == NULL) return false;
  *array = moved;
  *out_capacity = larger;
  return true;
}

/* ---- the known files ---- */

/* Where `name` is, or belongs. */
static uint32_t known_place(const struct wr_file_scan *scan, const char *name, bool *out_there) {
  uint32_t low = 0, high = scan->known_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = strcmp(scan->known[middle]->split.name, name);
    if (order == 0) {
      *out_there = true;
      return middle;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  *out_there = false;
  return low;
}

enum weir_code wr_file_scan_add_known(struct wr_file_scan *scan, struct wr_file_split *split,
                                      struct weir_error *error) {
  bool there = false;
  uint32_t place = known_place(scan, split->name, &there);
  if (there) return WR_FAIL(error, WEIR_CORRUPT, "file %s is a split of source %s twice", split->name, scan->uid);
  if (scan->known_count >= WR_PARTITIONS_MAX)
    return WR_FAIL(error, WEIR_LIMIT, "source %s has more than %d files in %s", scan->uid, WR_PARTITIONS_MAX,
                   scan->config->folder);
  void *known = scan->known;
  size_t capacity;
  bool enough = grow(scan->memory, &known, scan->known_count, scan->known_capacity, sizeof *scan->known, &capacity);
  scan->known = known;
  scan->known_capacity = (uint32_t)capacity;
  struct wr_known_file *file = enough ? wr_alloc_zeroed(scan->memory, 1, sizeof *file, WR_MEMORY_SOURCE) : NULL;
  if (file == NULL) return no_memory(scan, error);
  file->split = *split;
  file->size_seen = split->position;
  *split = (struct wr_file_split){0};
  memmove(scan->known + place + 1, scan->known + place, (scan->known_count - place) * sizeof *scan->known);
  scan->known[place] = file;
  scan->known_count++;
  return WEIR_OK;
}

/* The file of these known ones that has this identity; NULL: none. */
static const struct wr_known_file *find_identity(const struct wr_file_scan *scan, const struct wr_file_info *info) {
  for (uint32_t i = 0; i < scan->known_count; i++)
    if (scan->known[i]->split.inode == info->inode && scan->known[i]->split.device == info->device)
      return scan->known[i];
  return NULL;
}

/* ---- handing out ---- */

static enum weir_code hand_out(struct wr_file_scan *scan, const struct wr_file_split *split, struct weir_error *error) {
  void *found = scan->found;
  size_t capacity;
  bool enough = grow(scan->memory, &found, scan->found_count, scan->found_capacity, sizeof *scan->found, &capacity);
  scan->found = found;
  scan->found_capacity = (uint32_t)capacity;
  if (!enough) return no_memory(scan, error);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, scan->memory, WR_MEMORY_SOURCE);
  wr_file_split_put(&bytes, split);
  enum weir_code code = wr_bytes_check(&bytes, error);
  if (code == WEIR_OK) {
    struct wr_split *out = &scan->found[scan->found_count++];
    out->bytes = wr_bytes_take(&bytes, &out->length);
  }
  wr_bytes_deinit(&bytes);
  return code;
}

/* ---- judging ---- */

/* A known file is not there: was it renamed? */
static enum weir_code vanished(const struct wr_file_scan *scan, const struct wr_known_file *file,
                               const struct wr_name_list *names, struct weir_error *error) {
  char path[WR_PATH_BYTES_MAX];
  struct wr_files *files = scan->seams->files;
  for (size_t i = 0; i < names->count; i++) {
    struct wr_file_info info;
    WR_TRY(make_path(scan, names->names[i], path, error));
    if (files->stat(files, path, &info, NULL) != WEIR_OK) continue;
    if (info.device != file->split.device || info.inode != file->split.inode) continue;
    return WR_FAIL(error, WEIR_GONE,
                   "%s/%s was renamed to %s; a file that is being read must keep its name: rename it back",
                   scan->config->folder, file->split.name, names->names[i]);
  }
  return WR_FAIL(error, WEIR_GONE,
                 "%s/%s vanished, it had %" PRIu64
                 " bytes when it was last seen; put it back, or start over with --fresh",
                 scan->config->folder, file->split.name, file->size_seen);
}

/* The name leads to another file than before: GONE, unless it is a copy. */
static enum weir_code check_content(struct wr_file_scan *scan, struct wr_known_file *file, const char *path,
                                    bool with_tail, struct wr_file_info *out_info, struct weir_error *error) {
  struct wr_files *files = scan->seams->files;
  struct wr_file *opened = NULL;
  uint8_t tail[WR_FILE_DIGEST_BYTES];
  WR_TRY(files->open(files, path, WR_FILE_READ, &opened, error));
  enum weir_code code = files->info(files, opened, out_info, error);
  bool other = file->split.device != out_info->device || file->split.inode != out_info->inode;
  if (code == WEIR_OK && out_info->size_bytes < file->size_seen)
    code = wr_file_split_shrank(path, out_info->size_bytes, file->size_seen, error);
  if (code == WEIR_OK) code = wr_file_split_check_head(files, opened, path, &file->split, error);
  if (code == WEIR_OK && (with_tail || other))
    code = wr_file_split_check_tail(files, opened, path, &file->split, tail, error);
  files->close(files, opened, NULL);
  return code;
}

/* Another file under a known name: when the old one is still in the folder, that says more. */
static enum weir_code replaced(const struct wr_file_scan *scan, const struct wr_known_file *file,
                               const struct wr_name_list *names, struct weir_error *error) {
  struct weir_error renamed;
  vanished(scan, file, names, &renamed);
  if (error != NULL && strstr(renamed.message, " was renamed to ") != NULL) *error = renamed;
  return WEIR_GONE;
}

static enum weir_code judge(struct wr_file_scan *scan, struct wr_known_file *file, const struct wr_name_list *names,
                            struct weir_error *error) {
  char path[WR_PATH_BYTES_MAX];
  struct wr_file_info info = {0};
  WR_TRY(make_path(scan, file->split.name, path, error));
  enum weir_code code = check_content(scan, file, path, !scan->first_done, &info, error);
  if (code == WEIR_NOT_FOUND) return vanished(scan, file, names, error);
  bool other = file->split.device != info.device || file->split.inode != info.inode;
  if (code == WEIR_GONE && other) return replaced(scan, file, names, error);
  if (code != WEIR_OK) return code;
  file->split.device = info.device;
  file->split.inode = info.inode;
  file->size_seen = info.size_bytes;
  return WEIR_OK;
}

static void fix_stop(const struct wr_file_scan *scan, struct wr_known_file *file) {
  if (!scan->bounded) {
    file->split.has_stop = file->split.ended = false;
    file->split.stop = 0;
  } else if (!file->split.has_stop) {
    file->split.has_stop = true;
    file->split.stop = file->size_seen;
  }
}

static enum weir_code judge_all(struct wr_file_scan *scan, const struct wr_name_list *names, struct weir_error *error) {
  for (uint32_t i = 0; i < scan->known_count; i++) {
    WR_TRY(judge(scan, scan->known[i], names, error));
    if (scan->first_done) continue;
    fix_stop(scan, scan->known[i]);
    WR_TRY(hand_out(scan, &scan->known[i]->split, error));
  }
  return WEIR_OK;
}

/* ---- new files ---- */

static enum weir_code read_new(struct wr_file_scan *scan, const char *path, struct wr_file_split *split,
                               struct wr_file_info *out_info, struct weir_error *error) {
  struct wr_files *files = scan->seams->files;
  struct wr_file *opened = NULL;
  WR_TRY(files->open(files, path, WR_FILE_READ, &opened, error));
  enum weir_code code = files->info(files, opened, out_info, error);
  if (code == WEIR_OK) code = wr_file_split_check_head(files, opened, path, split, error);
  files->close(files, opened, NULL);
  return code;
}

static enum weir_code second_name(const struct wr_file_scan *scan, const struct wr_known_file *known, const char *name,
                                  struct weir_error *error) {
  return WR_FAIL(error, WEIR_GONE,
                 "%s/%s is the file that is known as %s, under another name (device %" PRIu64 ", inode %" PRIu64
                 "); its records would be read twice: remove one of the names",
                 scan->config->folder, name, known->split.name, known->split.device, known->split.inode);
}

static enum weir_code admit(struct wr_file_scan *scan, const char *name, struct weir_error *error) {
  char path[WR_PATH_BYTES_MAX];
  struct wr_file_info info = {0};
  struct wr_file_split split = {.head = wr_digest_of("", 0), .tail = wr_digest_of("", 0)};
  WR_TRY(make_path(scan, name, path, error));
  enum weir_code code = read_new(scan, path, &split, &info, error);
  if (code == WEIR_NOT_FOUND) return WEIR_OK; /* gone since the folder was listed */
  if (code != WEIR_OK) return wr_error_prefix(error, "source %s cannot read a file", scan->uid);
  const struct wr_known_file *known = find_identity(scan, &info);
  if (known != NULL) return second_name(scan, known, name, error);
  split.device = info.device;
  split.inode = info.inode;
  split.has_stop = scan->bounded;
  split.stop = scan->bounded ? info.size_bytes : 0;
  split.name = wr_copy_string(scan->memory, name, WR_MEMORY_SOURCE);
  if (split.name == NULL) return no_memory(scan, error);
  code = wr_file_scan_add_known(scan, &split, error);
  if (code != WEIR_OK) {
    wr_file_split_deinit(&split, scan->memory);
    return code;
  }
  bool there;
  struct wr_known_file *file = scan->known[known_place(scan, name, &there)];
  file->size_seen = info.size_bytes;
  return hand_out(scan, &file->split, error);
}

/* ---- other names ---- */

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_told(const struct wr_file_scan *scan, const char *name) {
  if (scan->told.count == 0) return false;
  return bsearch(&name, scan->told.names, scan->told.count, sizeof *scan->told.names, compare_names) != NULL;
}

static enum weir_code remember_told(struct wr_file_scan *scan, const char *name, struct weir_error *error) {
  void *names = scan->told.names;
  bool enough =
      grow(scan->memory, &names, scan->told.count, scan->told_capacity, sizeof *scan->told.names, &scan->told_capacity);
  scan->told.names = names;
  char *copy = enough ? wr_copy_string(scan->memory, name, WR_MEMORY_SOURCE) : NULL;
  if (copy == NULL) return no_memory(scan, error);
  scan->told.names[scan->told.count++] = copy;
  return WEIR_OK;
}

static bool has_suffix(const struct wr_file_scan *scan, const char *name) {
  size_t length = strlen(name), suffix = strlen(scan->config->suffix);
  return length > suffix && strcmp(name + length - suffix, scan->config->suffix) == 0;
}

/* One log line for all names that were not told of before. `others` are those that are not read. */
static enum weir_code tell_others(struct wr_file_scan *scan, char *const *others, size_t count,
                                  struct weir_error *error) {
  char line[NAMES_PER_LINE * 64] = "";
  size_t length = 0, fresh = 0, known = scan->told.count;
  for (size_t i = 0; i < count; i++) {
    struct wr_name_list sorted = {.names = scan->told.names, .count = known};
    struct wr_file_scan before = {.told = sorted};
    if (known >= NAMES_TOLD_MAX || is_told(&before, others[i])) continue;
    WR_TRY(remember_told(scan, others[i], error));
    if (fresh++ >= NAMES_PER_LINE) continue;
    int more = snprintf(line + length, sizeof line - length, "%s%.60s", length == 0 ? "" : ", ", others[i]);
    length += (size_t)more;
  }
  if (fresh == 0) return WEIR_OK;
  qsort(scan->told.names, scan->told.count, sizeof *scan->told.names, compare_names);
  wr_log_write(scan->seams->log, WR_LOG_INFO, "source %s: in %s these are not read, only files *%s are: %s%s",
               scan->uid, scan->config->folder, scan->config->suffix, line,
               fresh > NAMES_PER_LINE ? ", and others" : "");
  return WEIR_OK;
}

/* ---- the scan ---- */

static enum weir_code list_folder(struct wr_file_scan *scan, struct wr_name_list *out_names, struct weir_error *error) {
  struct wr_files *files = scan->seams->files;
  struct wr_file_info info;
  enum weir_code code = files->stat(files, scan->config->folder, &info, error);
  if (code == WEIR_OK && !info.folder)
    return WR_FAIL(error, WEIR_NOT_FOUND, "%s, the folder of source %s, is a file; give a folder", scan->config->folder,
                   scan->uid);
  if (code == WEIR_OK) code = files->list(files, scan->config->folder, scan->memory, out_names, error);
  if (code == WEIR_NOT_FOUND)
    return WR_FAIL(error, WEIR_NOT_FOUND, "there is no folder %s, which source %s reads", scan->config->folder,
                   scan->uid);
  if (code != WEIR_OK) return wr_error_prefix(error, "source %s cannot read its folder", scan->uid);
  if (out_names->count > 0) qsort(out_names->names, out_names->count, sizeof *out_names->names, compare_names);
  return WEIR_OK;
}

/* Admits what is new; moves the names that are not read to the front of the list: *out_others of them. */
static enum weir_code admit_all(struct wr_file_scan *scan, struct wr_name_list *names, bool admitting,
                                size_t *out_others, struct weir_error *error) {
  struct wr_files *files = scan->seams->files;
  *out_others = 0;
  for (size_t i = 0; i < names->count; i++) {
    char path[WR_PATH_BYTES_MAX], *name = names->names[i];
    struct wr_file_info info = {0};
    bool known = false;
    known_place(scan, name, &known);
    if (known) continue;
    WR_TRY(make_path(scan, name, path, error));
    bool wanted = has_suffix(scan, name);
    if (wanted && files->stat(files, path, &info, NULL) == WEIR_OK) wanted = !info.folder && !info.special;
    if (wanted && admitting) WR_TRY(admit(scan, name, error));
    if (wanted) continue;
    names->names[i] = names->names[*out_others];
    names->names[(*out_others)++] = name;
  }
  return WEIR_OK;
}

static enum weir_code scan_names(struct wr_file_scan *scan, struct wr_name_list *names, struct weir_error *error) {
  bool admitting = !scan->bounded || (!scan->first_done && !scan->stops_are_fixed);
  WR_TRY(judge_all(scan, names, error));
  size_t others = 0;
  WR_TRY(admit_all(scan, names, admitting, &others, error));
  WR_TRY(tell_others(scan, names->names, others, error));
  if (!scan->first_done && scan->known_count == 0)
    wr_log_write(scan->seams->log, WR_LOG_WARN, "source %s: there is no file *%s in %s%s", scan->uid,
                 scan->config->suffix, scan->config->folder, scan->bounded ? "" : " yet");
  scan->first_done = true;
  return WEIR_OK;
}

enum weir_code wr_file_scan_run(struct wr_file_scan *scan, struct weir_error *error) {
  struct wr_name_list names = {0};
  WR_TRY(list_folder(scan, &names, error));
  enum weir_code code = scan_names(scan, &names, error);
  wr_name_list_deinit(&names, scan->memory);
  return code;
}

void wr_file_scan_deinit(struct wr_file_scan *scan) {
  for (uint32_t i = 0; i < scan->known_count; i++) {
    wr_file_split_deinit(&scan->known[i]->split, scan->memory);
    wr_free(scan->memory, scan->known[i]);
  }
  for (uint32_t i = 0; i < scan->found_count; i++)
    wr_free(scan->memory, scan->found[i].bytes);
  wr_free(scan->memory, scan->known);
  wr_free(scan->memory, scan->found);
  wr_name_list_deinit(&scan->told, scan->memory);
  *scan = (struct wr_file_scan){0};
}
