/* cli/demo_log.c: the demonstration's log: made fast, grown while jobs read it, and counted without the engine.
 *
 * A record is one line of 64 bytes:
 *   {"app_id":"app01234","ts":1764000000123,"user":123456,"ms":123}
 * App i is the more frequent the smaller i: i = 100,000 u^3 for an even u, so that the first hundred apps (a thousandth
 * of them) have a tenth of all views. Partition p is drawn from seed + p.
 */
#include "cli/demo.h"

#include <stdio.h>
#include <string.h>

enum { CHUNK_RECORDS = 4096, PIECE_BYTES = 1024 * 1024, TS_DIGITS = 13 };
static const uint64_t first_ts = 1764000000000;
static const char record_template[] = "{\"app_id\":\"app00000\",\"ts\":0000000000000,\"user\":000000,\"ms\":000}\n";
enum { APP_AT = 14, TS_AT = 26, USER_AT = 47, MS_AT = 59 };
_Static_assert(sizeof record_template - 1 == DEMO_RECORD_BYTES, "a record has 64 bytes");

/* ---- making ---- */

static void put_digits(char *at, int digits, uint64_t number) {
  for (int i = digits - 1; i >= 0; i--, number /= 10)
    at[i] = (char)('0' + number % 10);
}

static void put_record(char *at, struct demo_partition *partition) {
  uint64_t bits = wr_random_next(&partition->random), more = wr_random_next(&partition->random);
  double even = (double)(bits >> 11) / 9007199254740992.0;
  memcpy(at, record_template, DEMO_RECORD_BYTES);
  put_digits(at + APP_AT, 5, (uint64_t)(even * even * even * DEMO_APPS));
  put_digits(at + TS_AT, TS_DIGITS, first_ts + partition->written / 50);
  put_digits(at + USER_AT, 6, 100000 + more % 900000);
  put_digits(at + MS_AT, 3, 100 + (more >> 32) % 900);
  partition->written++;
}

static void partition_path(const struct demo_log *log, int partition, char *path, size_t size) {
  demo_path(path, size, "%s/p%d.ndjson", log->folder, partition);
}

static enum weir_code open_partitions(struct demo_log *log, struct weir_error *error) {
  struct wr_files *files = log->demo->files;
  WR_TRY(files->make_folder(files, log->folder, error));
  for (int p = 0; p < DEMO_PARTITIONS; p++) {
    char path[WR_PATH_BYTES_MAX];
    partition_path(log, p, path, sizeof path);
    WR_TRY(files->open(files, path, WR_FILE_CREATE_NEW, &log->partitions[p].file, error));
  }
  log->buffer = wr_alloc(&log->demo->heap.memory, CHUNK_RECORDS * DEMO_RECORD_BYTES, WR_MEMORY_USER);
  return log->buffer == NULL ? WR_FAIL(error, WEIR_NO_MEMORY, "no memory for the log") : WEIR_OK;
}

enum weir_code demo_log_init(struct demo_log *log, struct demo *demo, const char *name, uint64_t records,
                             struct weir_error *error) {
  *log = (struct demo_log){.demo = demo, .records = records};
  demo_path(log->folder, sizeof log->folder, "%s/%s", demo->folder, name);
  for (int p = 0; p < DEMO_PARTITIONS; p++)
    log->partitions[p].random = wr_random_of(demo->seed + (uint64_t)p);
  demo_path(log->source, sizeof log->source, "%.*s", WR_PATH_BYTES_MAX - 1, log->folder);
  enum weir_code code = open_partitions(log, error);
  if (code == WEIR_OK && demo->broker != NULL) code = demo_topic_new(log, name, error);
  if (code != WEIR_OK) demo_log_deinit(log);
  return code;
}

void demo_log_deinit(struct demo_log *log) {
  demo_topic_free(log);
  for (int p = 0; p < DEMO_PARTITIONS; p++) {
    if (log->partitions[p].file != NULL) log->demo->files->close(log->demo->files, log->partitions[p].file, NULL);
    log->partitions[p].file = NULL;
  }
  wr_free(&log->demo->heap.memory, log->buffer);
  log->buffer = NULL;
}

static enum weir_code grow_partition(struct demo_log *log, struct demo_partition *partition, uint64_t until,
                                     struct weir_error *error) {
  while (partition->written < until) {
    uint64_t count = until - partition->written < CHUNK_RECORDS ? until - partition->written : CHUNK_RECORDS;
    uint64_t offset = partition->written * DEMO_RECORD_BYTES;
    for (uint64_t i = 0; i < count; i++)
      put_record(log->buffer + i * DEMO_RECORD_BYTES, partition);
    WR_TRY(wr_file_write_all(log->demo->files, partition->file, offset, log->buffer, count * DEMO_RECORD_BYTES, NULL,
                             error));
  }
  return WEIR_OK;
}

enum weir_code demo_log_grow(struct demo_log *log, uint64_t until, struct weir_error *error) {
  if (until > log->records) until = log->records;
  log->written = 0;
  for (uint64_t p = 0; p < DEMO_PARTITIONS; p++) {
    WR_TRY(grow_partition(log, &log->partitions[p], (until + p) / DEMO_PARTITIONS, error));
    log->written += log->partitions[p].written;
  }
  return log->topic == NULL ? WEIR_OK : demo_topic_feed(log, until == log->records, error);
}

/* ---- counting ---- */

uint32_t demo_app_number(const char *name, size_t length) {
  uint32_t number = 0;
  if (length != 8 || memcmp(name, "app", 3) != 0) return UINT32_MAX;
  for (size_t i = 3; i < length; i++) {
    if (name[i] < '0' || name[i] > '9') return UINT32_MAX;
    number = number * 10 + (uint32_t)(name[i] - '0');
  }
  return number < DEMO_APPS ? number : UINT32_MAX;
}

static enum weir_code count_line(struct demo_truth *truth, int p, const char *line, size_t length,
                                 struct weir_error *error) {
  static const char label[] = "\"app_id\":\"";
  const char *at = memmem(line, length, label, sizeof label - 1);
  const char *name = at == NULL ? NULL : at + sizeof label - 1;
  const char *end = name == NULL ? NULL : memchr(name, '"', length - (size_t)(name - line));
  uint32_t app = end == NULL ? UINT32_MAX : demo_app_number(name, (size_t)(end - name));
  if (app == UINT32_MAX)
    return WR_FAIL(error, WEIR_INTERNAL, "partition %d: line %llu of the log is not as it was made", p,
                   (unsigned long long)truth->positions[p]);
  truth->counts[app]++;
  truth->apps[p][truth->positions[p]++] = app;
  truth->records++;
  return WEIR_OK;
}

/* The whole lines of a piece; *out_taken bytes. */
static enum weir_code count_piece(struct demo_truth *truth, int p, const char *text, size_t length, size_t *out_taken,
                                  struct weir_error *error) {
  size_t at = 0;
  for (;;) {
    const char *newline = memchr(text + at, '\n', length - at);
    if (newline == NULL) break;
    size_t line = (size_t)(newline - (text + at));
    WR_TRY(count_line(truth, p, text + at, line, error));
    at += line + 1;
  }
  *out_taken = at;
  return WEIR_OK;
}

static enum weir_code count_partition(struct demo_log *log, struct demo_truth *truth, int p, char *buffer,
                                      struct weir_error *error) {
  struct wr_files *files = log->demo->files;
  struct wr_file *file = log->partitions[p].file;
  struct wr_file_info info;
  WR_TRY(files->info(files, file, &info, error));
  size_t most = (size_t)(info.size_bytes / DEMO_RECORD_BYTES) + 1;
  truth->apps[p] = wr_alloc(&log->demo->heap.memory, most * sizeof *truth->apps[p], WR_MEMORY_USER);
  if (truth->apps[p] == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory to count the log");
  for (uint64_t offset = 0; offset < info.size_bytes;) {
    size_t length = 0, taken = 0;
    WR_TRY(files->read(files, file, offset, buffer, PIECE_BYTES, &length, error));
    WR_TRY(count_piece(truth, p, buffer, length, &taken, error));
    if (taken == 0) return WR_FAIL(error, WEIR_INTERNAL, "partition %d of the log does not end with a line end", p);
    offset += taken;
  }
  return WEIR_OK;
}

enum weir_code demo_log_count(struct demo_log *log, struct demo_truth *out_truth, struct weir_error *error) {
  struct wr_memory *memory = &log->demo->heap.memory;
  *out_truth = (struct demo_truth){.is_of_topic = log->topic != NULL};
  out_truth->counts = wr_alloc_zeroed(memory, DEMO_APPS, sizeof *out_truth->counts, WR_MEMORY_USER);
  char *buffer = wr_alloc(memory, PIECE_BYTES, WR_MEMORY_USER);
  enum weir_code code = WEIR_OK;
  if (out_truth->counts == NULL || buffer == NULL) code = WR_FAIL(error, WEIR_NO_MEMORY, "no memory to count the log");
  for (int p = 0; p < DEMO_PARTITIONS && code == WEIR_OK; p++)
    code = count_partition(log, out_truth, p, buffer, error);
  wr_free(memory, buffer);
  if (code != WEIR_OK) demo_truth_deinit(log->demo, out_truth);
  return code;
}

void demo_truth_deinit(struct demo *demo, struct demo_truth *truth) {
  wr_free(&demo->heap.memory, truth->counts);
  for (int p = 0; p < DEMO_PARTITIONS; p++)
    wr_free(&demo->heap.memory, truth->apps[p]);
  *truth = (struct demo_truth){0};
}
