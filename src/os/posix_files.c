/* os/posix_files.c: see posix_files.h and the contract of `struct wr_files` in seams.h.
 *
 * Files are made with mode 0600 and folders with 0700, but for what is handed out: state holds users' records. Every
 * descriptor is close-on-exec. System calls that a signal interrupted are made again, except fsync and close: whether
 * those may be repeated depends on the file system (after a failed fsync Linux drops the dirty pages and reports the
 * loss only once; after a failed close the descriptor is gone), so there an interruption is an error like any other.
 */
#include "os/posix_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE_BACK_BYTES = 8 * 1024 * 1024 };

struct wr_file {
  int descriptor;
  char path[]; /* as it was opened, for messages */
};

static enum weir_code code_of_errno(int number) {
  switch (number) {
  case ENOENT:
  case ENOTDIR: /* A part of the path is a file: what the path names does not exist. */
    return WEIR_NOT_FOUND;
  case EACCES:
  case EPERM:
  case EROFS:
    return WEIR_DENIED;
  case ENOSPC:
  case EDQUOT:
    return WEIR_NO_SPACE;
  case ENOMEM:
    return WEIR_NO_MEMORY;
  default:
    return WEIR_IO;
  }
}

__attribute__((cold)) static enum weir_code fail_as(struct weir_error *error, enum weir_code code, const char *verb,
                                                    const char *path, int number) {
  char buffer[128];
  return WR_FAIL(error, code, "cannot %s %s: %s", verb, path, strerror_r(number, buffer, sizeof buffer));
}

__attribute__((cold)) static enum weir_code fail(struct weir_error *error, const char *verb, const char *path,
                                                 int number) {
  return fail_as(error, code_of_errno(number), verb, path, number);
}

/* O_NONBLOCK is for what is no file after all: opening a pipe would wait for its other end. */
static int open_again(const char *path, int flags, mode_t rights) {
  int descriptor;
  do
    descriptor = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, rights);
  while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

/* A pipe has no offsets to read at, and nothing that could be found again. */
static enum weir_code refuse_pipe(int descriptor, const char *path, struct weir_error *error) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return fail(error, "examine", path, errno);
  if (!S_ISFIFO(status.st_mode)) return WEIR_OK;
  return WR_FAIL(error, WEIR_NOT_FOUND, "%s is no file, but a pipe", path);
}

static enum weir_code files_open(struct wr_files *files, const char *path, enum wr_file_mode mode,
                                 struct wr_file **out_file, struct weir_error *error) {
  static const int flags[] = {
      [WR_FILE_READ] = O_RDONLY,
      [WR_FILE_CREATE_NEW] = O_RDWR | O_CREAT | O_EXCL,
      [WR_FILE_CREATE_OUT] = O_RDWR | O_CREAT | O_EXCL,
      [WR_FILE_WRITE] = O_RDWR | O_CREAT,
  };
  struct wr_memory *memory = ((struct wr_posix_files *)files)->memory;
  size_t path_bytes = strlen(path) + 1;
  struct wr_file *file = wr_alloc(memory, sizeof *file + path_bytes, WR_MEMORY_ENGINE);
  if (file == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory while opening %s", path);
  memcpy(file->path, path, path_bytes);
  file->descriptor = open_again(path, flags[mode], mode == WR_FILE_CREATE_OUT ? 0666 : 0600);
  if (file->descriptor < 0) {
    int number = errno;
    wr_free(memory, file);
    bool creates = (flags[mode] & O_EXCL) != 0;
    if (creates && number == EEXIST) return fail_as(error, WEIR_IN_USE, "create", path, number);
    return fail(error, creates ? "create" : "open", path, number);
  }
  enum weir_code code = refuse_pipe(file->descriptor, path, error);
  if (code != WEIR_OK) {
    close(file->descriptor);
    wr_free(memory, file);
    return code;
  }
  *out_file = file;
  return WEIR_OK;
}

static enum weir_code files_close(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  enum weir_code code = WEIR_OK;
  if (close(file->descriptor) != 0) code = fail(error, "close", file->path, errno);
  wr_free(((struct wr_posix_files *)files)->memory, file);
  return code;
}

static enum weir_code files_read(struct wr_files *files, struct wr_file *file, uint64_t offset, void *data,
                                 size_t length, size_t *out_length, struct weir_error *error) {
  (void)files;
  size_t done = 0;
  while (done < length) {
    ssize_t count = pread(file->descriptor, (char *)data + done, length - done, (off_t)(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(error, "read", file->path, errno);
    if (count == 0) break;
    done += (size_t)count;
  }
  *out_length = done;
  return WEIR_OK;
}

/* A large file that nobody has synced yet: the disk begins with what is there, every WRITE_BACK_BYTES, so that the sync
 * at its end does not wait for all of it. Only a hint: what fails here fails there. */
static void begin_write_back(const struct wr_file *file, uint64_t offset, size_t count) {
#ifdef __linux__
  if (offset / WRITE_BACK_BYTES != (offset + count) / WRITE_BACK_BYTES)
    (void)sync_file_range(file->descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
  (void)file, (void)offset, (void)count;
#endif
}

static enum weir_code files_write(struct wr_files *files, struct wr_file *file, uint64_t offset, const void *data,
                                  size_t length, size_t *out_length, struct weir_error *error) {
  (void)files;
  ssize_t count;
  do
    count = pwrite(file->descriptor, data, length, (off_t)offset);
  while (count < 0 && errno == EINTR);
  if (count < 0) return fail(error, "write", file->path, errno);
  /* Nothing written and no reason given: as some file systems say that they are full. */
  if (count == 0 && length != 0) return fail(error, "write", file->path, ENOSPC);
  *out_length = (size_t)count;
  begin_write_back(file, offset, (size_t)count);
  return WEIR_OK;
}

static enum weir_code files_sync(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  (void)files;
  return fsync(file->descriptor) == 0 ? WEIR_OK : fail(error, "sync", file->path, errno);
}

static enum weir_code files_truncate(struct wr_files *files, struct wr_file *file, uint64_t size_bytes,
                                     struct weir_error *error) {
  (void)files;
  int result;
  do
    result = ftruncate(file->descriptor, (off_t)size_bytes);
  while (result != 0 && errno == EINTR);
  return result == 0 ? WEIR_OK : fail(error, "set the size of", file->path, errno);
}

static struct wr_file_info info_of(const struct stat *stat) {
  return (struct wr_file_info){.size_bytes = (uint64_t)stat->st_size,
                               .device = stat->st_dev,
                               .inode = stat->st_ino,
                               .folder = S_ISDIR(stat->st_mode),
                               .special = !S_ISREG(stat->st_mode) && !S_ISDIR(stat->st_mode)};
}

static enum weir_code files_info(struct wr_files *files, struct wr_file *file, struct wr_file_info *out_info,
                                 struct weir_error *error) {
  (void)files;
  struct stat status;
  if (fstat(file->descriptor, &status) != 0) return fail(error, "examine", file->path, errno);
  *out_info = info_of(&status);
  return WEIR_OK;
}

static enum weir_code files_lock(struct wr_files *files, struct wr_file *file, struct weir_error *error) {
  (void)files;
  int result;
  do
    result = flock(file->descriptor, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  if (result == 0) return WEIR_OK;
  if (errno == EWOULDBLOCK) return WR_FAIL(error, WEIR_IN_USE, "cannot lock %s: another process holds it", file->path);
  return fail(error, "lock", file->path, errno);
}

static enum weir_code files_stat(struct wr_files *files, const char *path, struct wr_file_info *out_info,
                                 struct weir_error *error) {
  (void)files;
  struct stat status;
  if (stat(path, &status) != 0) return fail(error, "examine", path, errno);
  *out_info = info_of(&status);
  return WEIR_OK;
}

static enum weir_code files_rename(struct wr_files *files, const char *from, const char *to, struct weir_error *error) {
  (void)files;
  if (rename(from, to) == 0) return WEIR_OK;
  int number = errno;
  char buffer[128];
  return WR_FAIL(error, code_of_errno(number), "cannot rename %s to %s: %s", from, to,
                 strerror_r(number, buffer, sizeof buffer));
}

static enum weir_code files_remove(struct wr_files *files, const char *path, struct weir_error *error) {
  (void)files;
  return unlink(path) == 0 ? WEIR_OK : fail(error, "remove", path, errno);
}

static enum weir_code files_remove_folder(struct wr_files *files, const char *path, struct weir_error *error) {
  (void)files;
  return rmdir(path) == 0 ? WEIR_OK : fail(error, "remove the folder", path, errno);
}

static enum weir_code files_make_folder(struct wr_files *files, const char *path, struct weir_error *error) {
  (void)files;
  if (mkdir(path, 0700) == 0) return WEIR_OK;
  int number = errno;
  struct stat status;
  if (number == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) return WEIR_OK;
  return fail(error, "make the folder", path, number);
}

static enum weir_code files_sync_folder(struct wr_files *files, const char *path, struct weir_error *error) {
  (void)files;
  int descriptor = open_again(path, O_RDONLY | O_DIRECTORY, 0);
  if (descriptor < 0) return fail(error, "open the folder", path, errno);
  enum weir_code code = WEIR_OK;
  if (fsync(descriptor) != 0) code = fail(error, "sync the folder", path, errno);
  /* Nothing was written through this descriptor: its close has nothing to report. */
  close(descriptor);
  return code;
}

/* Adds one name; `capacity` is the room of list->names. */
static bool add_name(struct wr_name_list *list, size_t *capacity, struct wr_memory *memory, const char *name) {
  if (list->count == *capacity) {
    size_t more = *capacity == 0 ? 16 : *capacity * 2;
    char **names = wr_resize(memory, list->names, more * sizeof *names, WR_MEMORY_ENGINE);
    if (names == NULL) return false;
    list->names = names;
    *capacity = more;
  }
  char *copy = wr_copy_string(memory, name, WR_MEMORY_ENGINE);
  if (copy == NULL) return false;
  list->names[list->count++] = copy;
  return true;
}

static enum weir_code read_names(DIR *folder, const char *path, struct wr_memory *memory, struct wr_name_list *list,
                                 struct weir_error *error) {
  size_t capacity = 0;
  for (;;) {
    errno = 0; /* readdir tells its end from its failure by errno alone. */
    struct dirent *entry = readdir(folder);
    if (entry == NULL) return errno == 0 ? WEIR_OK : fail(error, "list the folder", path, errno);
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (!add_name(list, &capacity, memory, entry->d_name))
      return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory while listing %s", path);
  }
}

static enum weir_code files_list(struct wr_files *files, const char *path, struct wr_memory *memory,
                                 struct wr_name_list *out_list, struct weir_error *error) {
  (void)files;
  int descriptor = open_again(path, O_RDONLY | O_DIRECTORY, 0);
  if (descriptor < 0) return fail(error, "open the folder", path, errno);
  DIR *folder = fdopendir(descriptor);
  if (folder == NULL) {
    int number = errno;
    close(descriptor);
    return fail(error, "list the folder", path, number);
  }
  struct wr_name_list list = {0};
  enum weir_code code = read_names(folder, path, memory, &list, error);
  closedir(folder);
  if (code != WEIR_OK) {
    wr_name_list_deinit(&list, memory);
    return code;
  }
  *out_list = list;
  return WEIR_OK;
}

void wr_posix_files_init(struct wr_posix_files *posix, struct wr_memory *memory) {
  *posix = (struct wr_posix_files){
      .files = {.open = files_open,
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
                .list = files_list},
      .memory = memory,
  };
}
