/* bench/floors.h: what the disk and the memory take for the same bytes, with nothing around it. Header only.
 *
 * The floors under checkpoints and recovery (bench/large_state.c): writing a checkpoint's bytes and fsync, copying them
 * in memory, and reading a job's folder from the first file to the last, all in one thread.
 */
#ifndef BENCH_FLOORS_H
#define BENCH_FLOORS_H

#include "bench/common.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

enum { FLOOR_RUNS = 5, FLOOR_BLOCK_BYTES = 256 * 1024 };

/* Bytes that this process has handed to write so far. */
static inline double floor_bytes_written(void) {
  char text[64];
  bench_file_line("/proc/self/io", "wchar", text, sizeof text);
  return strtod(text, NULL);
}

static inline char *floor_block(size_t bytes) {
  char *block = malloc(bytes);
  if (block == NULL) bench_fail("no memory for a floor");
  memset(block, 0x5a, bytes);
  return block;
}

/* One new file of so many bytes, written and synced: the seconds; *out_cpu_s: the CPU's. */
static inline double floor_write(const char *folder, size_t bytes, double *out_cpu_s) {
  char path[400];
  char *block = floor_block(FLOOR_BLOCK_BYTES);
  snprintf(path, sizeof path, "%s/floor", folder);
  double begin_s = bench_now_s(), cpu_s = bench_cpu_s();
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) bench_fail("a floor cannot be written");
  for (size_t left = bytes; left > 0;) {
    ssize_t done = write(file, block, left < FLOOR_BLOCK_BYTES ? left : FLOOR_BLOCK_BYTES);
    if (done <= 0) bench_fail("a floor cannot be written");
    left -= (size_t)done;
  }
  if (fsync(file) != 0 || close(file) != 0) bench_fail("a floor cannot be synced");
  double seconds = bench_now_s() - begin_s;
  *out_cpu_s = bench_cpu_s() - cpu_s;
  free(block);
  if (unlink(path) != 0) bench_fail("a floor cannot be removed");
  return seconds;
}

/* Copies so many bytes from one place to another: the seconds. */
static inline double floor_copy(size_t bytes) {
  char *from = floor_block(bytes), *to = floor_block(bytes);
  double begin_s = bench_now_s();
  memcpy(to, from, bytes);
  BENCH_KEEP(to);
  double seconds = bench_now_s() - begin_s;
  free(from);
  free(to);
  return seconds;
}

/* Reads every file of a folder: the seconds; *out_bytes: how much that was. */
static inline double floor_read(const char *folder, double *out_bytes) {
  char *block = floor_block(FLOOR_BLOCK_BYTES);
  DIR *entries = opendir(folder);
  if (entries == NULL) bench_fail("the job's folder cannot be read");
  double begin_s = bench_now_s();
  *out_bytes = 0;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (entry->d_type != DT_REG) continue;
    int file = openat(dirfd(entries), entry->d_name, O_RDONLY | O_CLOEXEC);
    ssize_t length = -1;
    while (file >= 0 && (length = read(file, block, FLOOR_BLOCK_BYTES)) > 0)
      *out_bytes += (double)length;
    if (length < 0) bench_fail("a file of the job's folder cannot be read");
    close(file);
  }
  double seconds = bench_now_s() - begin_s;
  closedir(entries);
  free(block);
  return seconds;
}

#endif
