/* connectors/files/test_files_reader.c: the files source against a model: files grow, jobs stop and are restored at
 * another parallelism, and every record comes out once, with its place. Real files, calls run by hand, time is a
 * number. */
#include "base/random.h"
#include "base/test.h"
#include "connectors/files/file_split.h"
#include "connectors/files/files.h"

#define TEST_SOURCE_CONFIG struct wr_files_config
#define TEST_SOURCE_NEW_ENUMERATOR wr_files_enumerator_new
#define TEST_SOURCE_NEW_READER wr_files_reader_new
#include "connectors/test_source.h"

static void job_configure(struct job *job) {
  job->config = (struct wr_files_config){.folder = job->files.folder,
                                         .suffix = ".ndjson",
                                         .schema = &schema,
                                         .partition_field = PARTITION,
                                         .position_field = POSITION,
                                         .on_error = WR_FILES_SKIP,
                                         .event_time_field = WR_FILES_NO_FIELD};
}

static void append_bytes(struct job *job, const char *name, const void *bytes, size_t length) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", job->files.folder, name);
  FILE *file = fopen(path, "ab");
  WR_ASSERT(file != NULL);
  fwrite(bytes, 1, length, file);
  fclose(file);
}
static void append(struct job *job, const char *name, const char *text) {
  append_bytes(job, name, text, strlen(text));
}

/* ---- what it does ---- */

TEST(reads_and_follows) {
  struct job job;
  job_init(&job);
  append(&job, "p0.ndjson", "{\"app_id\":\"a\"}\n\n  \r\n{\"app_id\":\"b\"}\r\n{\"app_id\":");
  append(&job, "notes.txt", "x");
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 200), WEIR_OK);
  CHECK_STRING(came(&job), "p0:0:a p0:3:b");
  append(&job, "p0.ndjson", "\"c\"}");
  CHECK_INT(job_run_for(&job, 200), WEIR_OK);
  CHECK_STRING(came(&job), "p0:0:a p0:3:b");
  append(&job, "p0.ndjson", "\n{\"app_id\":7}\n");
  CHECK_INT(job_run_for(&job, 200), WEIR_OK);
  CHECK_STRING(came(&job), "p0:0:a p0:3:b p0:4:c p0:5!");
  CHECK_STRING(job.output.last_dead_record, "{\"app_id\":7}");
  append(&job, "p1.ndjson", "{\"app_id\":\"z\"}\n");
  CHECK_INT(job_run_for(&job, 1500), WEIR_OK);
  CHECK_STRING(came(&job), "p0:0:a p0:3:b p0:4:c p0:5! p1:0:z");
  CHECK(strstr(job.logged, "these are not read, only files *.ndjson are: notes.txt") != NULL);
  CHECK(strstr(strstr(job.logged, "not read") + 1, "not read") == NULL);
  CHECK_INT(job.metrics[0].records_skipped, 1);
  job_deinit(&job);
}

/* A bounded run: what begins before the stop belongs to it whole; then on without a bound. */
TEST(stops) {
  struct job job;
  job_init(&job);
  append(&job, "p0.ndjson", "{\"app_id\":\"a\"}\n{\"app_id\":\"b\"}"); /* ends without a newline */
  append(&job, "p1.ndjson", "{\"app_id\":\"c\"}\n{\"app");             /* grows before it is read */
  append(&job, "p2.ndjson", "");
  CHECK_INT(job_start(&job, 2, true), WEIR_OK);
  for (int i = 0; i < 2; i++) { /* the scan has run, and nothing was read */
    bool quiet;
    uint64_t wake;
    CHECK_INT(job_step(&job, &quiet, &wake), WEIR_OK);
  }
  append(&job, "p1.ndjson", "_id\":\"d\"}\n{\"app_id\":\"e\"}\n");
  append(&job, "p3.ndjson", "{\"app_id\":\"late\"}\n");
  CHECK_INT(job_run(&job, 100000), WEIR_OK);
  CHECK(job_is_done(&job));
  CHECK_INT(job.output.count, 4);
  job_snapshot(&job);
  job_kill(&job);
  /* Once more bounded: all is read already. */
  CHECK_INT(job_start(&job, 1, true), WEIR_OK);
  CHECK_INT(job_run(&job, 1000), WEIR_OK);
  CHECK(job_is_done(&job));
  CHECK_INT(job.output.count, 4);
  job_kill(&job);
  /* Without: the newline that comes now belongs to record 1 of p0. */
  append(&job, "p0.ndjson", " \n{\"app_id\":\"f\"}\n");
  job.output.count = 0;
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 300), WEIR_OK);
  CHECK_STRING(came(&job), "p0:2:f p1:2:e p3:0:late");
  job_deinit(&job);
}

/* Nothing was there at the first bounded look, so nothing counts that comes later. */
TEST(stops_of_an_empty_folder) {
  struct job job;
  job_init(&job);
  CHECK_INT(job_start(&job, 2, true), WEIR_OK);
  CHECK_INT(job_run(&job, 1000), WEIR_OK);
  CHECK(job_is_done(&job));
  job_snapshot(&job);
  job_kill(&job);
  append(&job, "p0.ndjson", "{\"app_id\":\"late\"}\n");
  CHECK_INT(job_start(&job, 1, true), WEIR_OK);
  CHECK_INT(job_run(&job, 1000), WEIR_OK);
  CHECK(job_is_done(&job));
  CHECK_INT(job.output.count, 0);
  job_kill(&job);
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 300), WEIR_OK);
  CHECK_STRING(came(&job), "p0:0:late");
  job_deinit(&job);
}

TEST(bad_records_fail) {
  struct job job;
  char expected[512];
  job_init(&job);
  job.config.on_error = WR_FILES_FAIL;
  append(&job, "p0.ndjson", "{\"app_id\":\"a\"}\n{\"app_id\":\"b\" x}\n");
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run(&job, 1000), WEIR_BAD_RECORD);
  snprintf(expected, sizeof expected,
           "%s/p0.ndjson: record 1 (byte 15, at byte 14 of the record): not JSON: ", job.files.folder);
  job.error.message[strlen(expected)] = 0;
  CHECK_STRING(job.error.message, expected);
  CHECK_INT(weir_code_exit(job.error.code), 1);
  job_deinit(&job);
}

/* A record of more than 16 MiB, and one just below, with a snapshot in the middle of it. */
TEST(long_records) {
  enum { LONG = WR_RECORD_BYTES_MAX + 1000 };
  struct job job;
  char *text = malloc(LONG + 100);
  CHECK(text != NULL);
  memset(text, 'x', LONG + 100);
  for (int fails = 0; fails < 2; fails++) {
    job_init(&job);
    job.config.on_error = fails ? WR_FILES_FAIL : WR_FILES_SKIP;
    append(&job, "p0.ndjson", "{\"app_id\":\"a\"}\n");
    if (!fails) {
      append(&job, "p0.ndjson", "{\"app_id\":\"b\",\"more\":\"");
      append_bytes(&job, "p0.ndjson", text, WR_RECORD_BYTES_MAX - 100);
      append(&job, "p0.ndjson", "\"}\n");
    }
    append_bytes(&job, "p0.ndjson", text, LONG);
    append(&job, "p0.ndjson", "\n{\"app_id\":\"c\"}\n");
    append_bytes(&job, "p0.ndjson", text, LONG);
    CHECK_INT(job_start(&job, 1, !fails), WEIR_OK);
    if (fails) {
      CHECK_INT(job_run(&job, 100000), WEIR_BAD_RECORD);
      CHECK(strstr(job.error.message, "record 1 (byte 15") != NULL && strstr(job.error.message, ": xxxxx") != NULL);
      CHECK(strstr(job.error.message, "too long: ") != NULL && strstr(job.error.message, "16777216") != NULL);
      job_deinit(&job);
      continue;
    }
    CHECK_INT(job_run(&job, 60), WEIR_OK);
    for (int i = 0; i < 20 && !job_is_done(&job); i++) {
      job_snapshot(&job);
      job_kill(&job);
      CHECK_INT(job_start(&job, 1, true), WEIR_OK);
      CHECK_INT(job_run(&job, 50 + i * 7), WEIR_OK);
    }
    CHECK_INT(job_run(&job, 100000), WEIR_OK);
    CHECK_STRING(came(&job), "p0:0:a p0:1:b p0:2! p0:3:c p0:4!");
    CHECK_INT(strlen(job.output.last_dead_record), 256);
    job_deinit(&job);
  }
  free(text);
}

/* ---- files that do not stay what they were ---- */

static void path_of(const struct job *job, const char *name, char *out, size_t room) {
  snprintf(out, room, "%s/%s", job->files.folder, name);
}

/* Starts, reads two records, snapshot, kill. */
static void job_with_history(struct job *job) {
  job_init(job);
  append(job, "p0.ndjson", "{\"app_id\":\"a\"}\n{\"app_id\":\"b\"}\n");
  append(job, "p1.ndjson", "{\"app_id\":\"c\"}\n");
  WR_ASSERT(job_start(job, 1, false) == WEIR_OK);
  WR_ASSERT(job_run_for(job, 50) == WEIR_OK);
  WR_ASSERT(job->output.count == 3);
  job_snapshot(job);
}

static enum weir_code restart(struct job *job) {
  job_kill(job);
  WR_TRY(job_start(job, 2, false));
  return job_run_for(job, 3000);
}

/* `change` is made once while the job runs, once between two runs; both times the job must end with this sentence. */
static void must_be_gone(void (*change)(struct job *job), const char *sentence) {
  struct job job;
  for (int live = 0; live < 2; live++) {
    job_with_history(&job);
    if (!live) job_kill(&job);
    change(&job);
    enum weir_code code = live ? job_run_for(&job, 3000) : restart(&job);
    CHECK_INT(code, WEIR_GONE);
    CHECK_INT(weir_code_exit(code), 4);
    if (strstr(job.error.message, sentence) == NULL) CHECK_STRING(job.error.message, sentence);
    job_deinit(&job);
  }
}

static void vanish(struct job *job) {
  char path[256];
  path_of(job, "p0.ndjson", path, sizeof path);
  WR_ASSERT(remove(path) == 0);
}
static void shrink(struct job *job) {
  char path[256];
  path_of(job, "p0.ndjson", path, sizeof path);
  WR_ASSERT(truncate(path, 20) == 0);
}
static void replace(struct job *job) {
  char path[256], other[256];
  path_of(job, "p0.ndjson", path, sizeof path);
  path_of(job, "new", other, sizeof other);
  append(job, "new", "{\"app_id\":\"x\"}\n{\"app_id\":\"y\"}\n{\"app_id\":\"z\"}\n");
  WR_ASSERT(rename(other, path) == 0);
}
static void rewrite(struct job *job) {
  char path[256];
  path_of(job, "p0.ndjson", path, sizeof path);
  FILE *file = fopen(path, "r+b");
  WR_ASSERT(file != NULL);
  fputs("{\"app_id\":\"z\"}", file);
  fclose(file);
}
static void rotate(struct job *job) {
  char path[256], other[256];
  path_of(job, "p0.ndjson", path, sizeof path);
  path_of(job, "p0.ndjson.1", other, sizeof other);
  WR_ASSERT(rename(path, other) == 0);
}
static void rotate_and_begin_anew(struct job *job) {
  rotate(job);
  append(job, "p0.ndjson", "{\"app_id\":\"x\"}\n{\"app_id\":\"y\"}\n{\"app_id\":\"z\"}\n");
}
static void rename_to_partition(struct job *job) {
  char path[256], other[256];
  path_of(job, "p0.ndjson", path, sizeof path);
  path_of(job, "p7.ndjson", other, sizeof other);
  WR_ASSERT(rename(path, other) == 0);
}
static void second_name(struct job *job) {
  char path[256], other[256];
  path_of(job, "p0.ndjson", path, sizeof path);
  path_of(job, "p7.ndjson", other, sizeof other);
  WR_ASSERT(link(path, other) == 0);
}

TEST(files_that_change) {
  must_be_gone(vanish, "p0.ndjson vanished, it had ");
  CHECK_PASSED();
  must_be_gone(shrink, "p0.ndjson shrank: it has 20 bytes, but had 30 before");
  CHECK_PASSED();
  must_be_gone(replace, "p0.ndjson was replaced");
  CHECK_PASSED();
  must_be_gone(rewrite, "p0.ndjson was replaced: its first 30 bytes are not what they were");
  CHECK_PASSED();
  must_be_gone(rotate, "p0.ndjson was renamed to p0.ndjson.1");
  CHECK_PASSED();
  must_be_gone(rotate_and_begin_anew, "p0.ndjson was renamed to p0.ndjson.1");
  CHECK_PASSED();
  must_be_gone(rename_to_partition, "p0.ndjson was renamed to p7.ndjson");
  CHECK_PASSED();
  must_be_gone(second_name, "p7.ndjson is the file that is known as p0.ndjson, under another name");
}

/* The same bytes under another inode are the same file, before a start and while the job runs. */
TEST(a_copy_is_the_same_file) {
  struct job job;
  char path[256], other[256];
  for (int live = 0; live < 2; live++) {
    job_with_history(&job);
    if (!live) job_kill(&job);
    path_of(&job, "p0.ndjson", path, sizeof path);
    path_of(&job, "copy", other, sizeof other);
    append(&job, "copy", "{\"app_id\":\"a\"}\n{\"app_id\":\"b\"}\n{\"app_id\":\"d\"}\n");
    CHECK_INT(rename(other, path), 0);
    if (!live) CHECK_INT(job_start(&job, 1, false), WEIR_OK);
    CHECK_INT(job_run_for(&job, 3000), WEIR_OK);
    CHECK_STRING(came(&job), "p0:0:a p0:1:b p0:2:d p1:0:c");
    append(&job, "p0.ndjson", "{\"app_id\":\"e\"}\n");
    CHECK_INT(job_run_for(&job, 3000), WEIR_OK);
    CHECK_STRING(came(&job), "p0:0:a p0:1:b p0:2:d p0:3:e p1:0:c");
    job_deinit(&job);
  }
}

/* A copy whose first 4 KiB are right, but not what was read last. */
TEST(a_copy_with_another_tail) {
  struct job job;
  char path[256], other[256], line[64];
  for (int right = 0; right < 2; right++) {
    job_init(&job);
    for (int i = 0; i < 1000; i++) {
      snprintf(line, sizeof line, "{\"app_id\":\"a%03d\"}\n", i);
      append(&job, "p0.ndjson", line);
      if (i == 800 && !right) snprintf(line, sizeof line, "{\"app_id\":\"b%03d\"}\n", i);
      append(&job, "copy", line);
    }
    CHECK_INT(job_start(&job, 1, false), WEIR_OK);
    CHECK_INT(job_run_for(&job, 50), WEIR_OK);
    job_snapshot(&job);
    job_kill(&job);
    path_of(&job, "p0.ndjson", path, sizeof path);
    path_of(&job, "copy", other, sizeof other);
    CHECK_INT(rename(other, path), 0);
    CHECK_INT(job_start(&job, 1, false), WEIR_OK);
    CHECK_INT(job_run_for(&job, 50), right ? WEIR_OK : WEIR_GONE);
    if (!right) CHECK(strstr(job.error.message, "the 4096 bytes before byte ") != NULL);
    job_deinit(&job);
  }
}

TEST(bad_folders) {
  struct job job;
  char path[256];
  job_init(&job);
  path_of(&job, "none", path, sizeof path);
  job.config.folder = path;
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run(&job, 10), WEIR_NOT_FOUND);
  CHECK(strstr(job.error.message, "there is no folder ") != NULL);
  job_kill(&job);
  append(&job, "none", "x");
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run(&job, 10), WEIR_NOT_FOUND);
  CHECK(strstr(job.error.message, "is a file; give a folder") != NULL);
  job_kill(&job);
  job.config.folder = job.files.folder;
  test_files_fail(&job.files, 1, 1, WEIR_DENIED, "list");
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run(&job, 10), WEIR_DENIED);
  CHECK(strstr(job.error.message, "source source cannot read its folder: ") != NULL);
  CHECK(!weir_code_is_transient(job.error.code));
  test_files_fail(&job.files, 0, 0, WEIR_OK, NULL);
  job_deinit(&job);
}

TEST(stored_splits) {
  struct wr_file_split split = {.name = (char *)"p0.ndjson",
                                .device = 1,
                                .inode = 2,
                                .head_count = 3,
                                .position = 44,
                                .record = 5,
                                .has_stop = true,
                                .stop = 99,
                                .open_line = true,
                                .head = {6, 7},
                                .tail = {8, 9}};
  struct wr_file_split back;
  struct test_memory memory;
  struct wr_bytes bytes;
  struct weir_error error;
  test_memory_init(&memory);
  wr_bytes_init(&bytes, &memory.memory, WR_MEMORY_ENGINE);
  wr_file_split_put(&bytes, &split);
  CHECK_INT(wr_file_split_read(bytes.data, bytes.length, &memory.memory, &back, &error), WEIR_OK);
  CHECK_STRING(back.name, "p0.ndjson");
  CHECK(back.position == 44 && back.record == 5 && back.has_stop && back.stop == 99 && back.open_line && !back.ended);
  CHECK(back.head.high == 7 && back.tail.low == 8 && back.inode == 2);
  wr_file_split_deinit(&back, &memory.memory);
  for (size_t length = 0; length < bytes.length; length++)
    CHECK(wr_file_split_read(bytes.data, length, &memory.memory, &back, &error) != WEIR_OK);
  bytes.data[4] ^= 1;
  CHECK_INT(wr_file_split_read(bytes.data, bytes.length, &memory.memory, &back, &error), WEIR_FOREIGN);
  wr_bytes_deinit(&bytes);
  CHECK_INT(memory.living_count, 0);
}

/* ---- event time ---- */

static const struct weir_schema timed_schema = {.fields =
                                                    (const struct weir_field[]){{"partition", WEIR_TYPE_STRING, false},
                                                                                {"position", WEIR_TYPE_BIGINT, false},
                                                                                {"app_id", WEIR_TYPE_STRING, false},
                                                                                {"at", WEIR_TYPE_BIGINT, true}},
                                                .field_count = 4};

TEST(watermarks) {
  struct job job;
  job_init(&job);
  job.config.schema = &timed_schema;
  job.config.event_time_field = 3;
  job.config.out_of_orderness_ms = 10;
  job.config.idle_timeout_ms = 500;
  job.output.watermark_ms = -1;
  append(&job, "p0.ndjson", "{\"app_id\":\"a\",\"at\":1000}\n{\"app_id\":\"a\",\"at\":900}\n{\"app_id\":\"a\"}\n");
  append(&job, "p1.ndjson", "");
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 300), WEIR_OK);
  CHECK_INT(job.output.watermark_ms, -1); /* p1 has said nothing yet */
  append(&job, "p1.ndjson", "{\"app_id\":\"a\",\"at\":500}\n");
  CHECK_INT(job_run_for(&job, 150), WEIR_OK);
  CHECK_INT(job.output.watermark_ms, 489);
  CHECK(!job.output.idle);
  append(&job, "p0.ndjson", "{\"app_id\":\"a\",\"at\":3000}\n");
  CHECK_INT(job_run_for(&job, 300), WEIR_OK);
  CHECK_INT(job.output.watermark_ms, 489);
  CHECK_INT(job_run_for(&job, 250), WEIR_OK); /* p1 is idle now, p0 is not yet */
  CHECK_INT(job.output.watermark_ms, 2989);
  CHECK_INT(job_run_for(&job, 500), WEIR_OK);
  CHECK(job.output.idle);
  append(&job, "p1.ndjson", "{\"app_id\":\"a\",\"at\":4000}\n");
  CHECK_INT(job_run_for(&job, 200), WEIR_OK);
  CHECK(!job.output.idle);
  CHECK_INT(job.output.watermark_ms, 3989);
  job_deinit(&job);
}

/* ---- the model ---- */

enum { MODEL_FILES = 4, MODEL_LINES = 30000 };
/* What a file holds, line by line, as it should come out. */
struct model_file {
  char name[32];
  uint8_t *kinds; /* per line: 0 a record, 1 blank, 2 bad */
  uint32_t line_count;
  bool open; /* its last line has no newline yet */
};

static void model_append(struct job *job, struct model_file *file, struct wr_random *random, uint32_t lines) {
  struct wr_bytes text;
  char line[1024];
  wr_bytes_init(&text, &job->files.below_memory.memory, WR_MEMORY_ENGINE);
  if (file->open) wr_bytes_put_u8(&text, '\n');
  file->open = false;
  for (uint32_t i = 0; i < lines && file->line_count < MODEL_LINES; i++) {
    uint64_t draw = wr_random_below(random, 100);
    uint8_t kind = draw < 90 ? 0 : draw < 95 ? 1 : 2;
    static const char *const blanks[] = {"", " ", "\r", "\t \r"};
    static const char *const bads[] = {"x", "{", "[]", "{\"app_id\":1}", "{\"other\":\"a\"}", "{\"app_id\":\"\xff\"}"};
    const char *end = wr_random_one_in(random, 4) ? "\r" : "";
    if (kind == 0)
      snprintf(line, sizeof line, "{\"pad\":\"%.*s\",\"app_id\":\"%s-%u\"}%s", (int)wr_random_below(random, 200),
               "................................................................................................"
               "................................................................................................"
               "........",
               file->name, file->line_count, end);
    else
      snprintf(line, sizeof line, "%s", kind == 1 ? blanks[draw % 4] : bads[draw % 6]);
    file->kinds[file->line_count++] = kind;
    wr_bytes_put(&text, line, strlen(line));
    file->open = i + 1 == lines && kind != 1 && wr_random_one_in(random, 2);
    if (!file->open) wr_bytes_put_u8(&text, '\n');
  }
  append_bytes(job, file->name, text.data, text.length);
  wr_bytes_deinit(&text);
}

/* Every line of the model came exactly once, in the order of its file. */
static void model_check(const struct job *job, const struct model_file *file) {
  uint32_t line = 0;
  char app[256];
  for (size_t i = 0; i < job->output.count; i++) {
    const struct place *place = &job->output.places[i];
    if (strcmp(place->partition, file->name) != 0 || place->bad) continue;
    while (line < file->line_count && file->kinds[line] != 0)
      line++;
    CHECK(line < file->line_count);
    CHECK_INT(place->position, line);
    snprintf(app, sizeof app, "%s-%u", file->name, line);
    CHECK_STRING(place->app, app);
    line++;
  }
  while (line < file->line_count && file->kinds[line] != 0)
    line++;
  CHECK_INT(line, file->line_count);
  line = 0;
  for (size_t i = 0; i < job->output.count; i++) {
    const struct place *place = &job->output.places[i];
    if (strcmp(place->partition, file->name) != 0 || !place->bad) continue;
    while (line < file->line_count && file->kinds[line] != 2)
      line++;
    CHECK(line < file->line_count);
    CHECK_INT(place->position, line);
    line++;
  }
  while (line < file->line_count && file->kinds[line] != 2)
    line++;
  CHECK_INT(line, file->line_count);
}

static void model_round(uint64_t seed) {
  struct wr_random random = wr_random_of(seed);
  struct model_file files[MODEL_FILES] = {0};
  struct job job;
  job_init(&job);
  for (int i = 0; i < MODEL_FILES; i++) {
    snprintf(files[i].name, sizeof files[i].name, i == 3 ? "a-name-that-is-long-%d.ndjson" : "p%d.ndjson", i);
    files[i].kinds = malloc(MODEL_LINES);
    if (i < 2) model_append(&job, &files[i], &random, 100);
  }
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  uint32_t rounds = 20 + (uint32_t)wr_random_below(&random, 30);
  for (uint32_t round = 0; round < rounds; round++) {
    struct model_file *file = &files[wr_random_below(&random, MODEL_FILES)];
    uint32_t lines = (uint32_t)wr_random_below(&random, wr_random_one_in(&random, 5) ? 5000 : 50);
    if (lines > 0) model_append(&job, file, &random, lines);
    job.output.full = wr_random_one_in(&random, 6);
    CHECK_INT(job_run(&job, (int)wr_random_below(&random, 40)), WEIR_OK);
    job.output.full = false;
    if (wr_random_one_in(&random, 3) && job.enumerator->vtable->is_ready(job.enumerator)) job_snapshot(&job);
    if (!wr_random_one_in(&random, 4)) continue;
    job_kill(&job);
    CHECK_INT(job_start(&job, 1 + (uint32_t)wr_random_below(&random, PARALLELISM_MAX), false), WEIR_OK);
  }
  CHECK_INT(job_run_for(&job, 1500), WEIR_OK);
  job_snapshot(&job);
  job_kill(&job);
  /* The end: bounded, so that last lines without newline count. */
  CHECK_INT(job_start(&job, 2, true), WEIR_OK);
  CHECK_INT(job_run(&job, 1000000), WEIR_OK);
  CHECK(job_is_done(&job));
  for (int i = 0; i < MODEL_FILES; i++) {
    model_check(&job, &files[i]);
    CHECK_PASSED();
    free(files[i].kinds);
  }
  job_deinit(&job);
}

TEST(model) {
  uint64_t seed = test_seed();
  for (uint64_t i = 0; i < 60 / TEST_ONE_IN; i++) {
    model_round(seed + i);
    if (test_failed) fprintf(stderr, "round %d\n", (int)i);
    CHECK_PASSED();
  }
}

/* Every allocation and every file operation of a run fails once: an error comes out, and nothing leaks. */
TEST(failures) {
  for (int mode = 0; mode < 2; mode++) {
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
      struct job job;
      job_init(&job);
      append(&job, "p0.ndjson", "{\"app_id\":\"a\"}\nbad\n{\"app_id\":\"a longer name than a view\"}\n");
      append(&job, "p1.ndjson", "{\"app_id\":\"b\"}");
      if (mode == 0)
        test_memory_fail_after(&job.files.memory, n, false);
      else
        test_files_fail(&job.files, n, 1, WEIR_IO, NULL);
      enum weir_code code = job_start(&job, 2, true);
      if (code == WEIR_OK) code = job_run(&job, 1000);
      failed = mode == 0 ? job.files.memory.failures > 0 : job.files.operations >= n;
      test_memory_fail_after(&job.files.memory, 0, false);
      test_files_fail(&job.files, 0, 0, WEIR_OK, NULL);
      if (code == WEIR_OK) CHECK_INT(job.output.count, 4);
      CHECK(code == WEIR_OK || code == (mode == 0 ? WEIR_NO_MEMORY : WEIR_IO));
      job_deinit(&job);
    }
  }
}

TEST_MAIN(TEST_CASE(reads_and_follows), TEST_CASE(stops), TEST_CASE(stops_of_an_empty_folder),
          TEST_CASE(bad_records_fail), TEST_CASE(long_records), TEST_CASE(files_that_change),
          TEST_CASE(a_copy_is_the_same_file), TEST_CASE(a_copy_with_another_tail), TEST_CASE(bad_folders),
          TEST_CASE(stored_splits), TEST_CASE(watermarks), TEST_CASE(model), TEST_CASE(failures))
