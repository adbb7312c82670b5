/* connectors/directory/test_directory.c: the folder sink's stage and target on real files: names, contents, rolling,
 * options, files that are taken away, what is swept, and what is refused. (Crashes are in
 * connectors/test_target_crashes.c.) */
#include "base/test.h"
#include "connectors/directory/test_staged.h"
#include "operators/test_parts.h"
#include "store/test_files.h"

static const struct weir_schema pv_schema = {
    .fields = (const struct weir_field[]){{"app_id", WEIR_TYPE_STRING, true}, {"pv", WEIR_TYPE_BIGINT, false}},
    .field_count = 2};

struct fixture {
  struct test_files files;
  struct wr_entropy entropy;
  uint8_t draws;
  struct wr_store store;
  char path[128], marker_path[256];
  struct wr_directory_config config;
  struct wr_target_context context;
  struct wr_target *target;
  struct wr_log log;
  char last_line[512];
  struct test_stager stagers[2]; /* of both subtasks of the present start */
  struct weir_error error;
};

static void log_line(struct wr_log *log, enum wr_log_level level, const char *text) {
  struct fixture *f = (struct fixture *)((char *)log - offsetof(struct fixture, log));
  (void)level;
  snprintf(f->last_line, sizeof f->last_line, "%s", text);
}

/* Other bytes each time. */
static void count_up(struct wr_entropy *entropy, void *bytes, size_t length) {
  struct fixture *f = (struct fixture *)((char *)entropy - offsetof(struct fixture, entropy));
  memset(bytes, ++f->draws, length);
}

static void fixture_init(struct fixture *f) {
  memset(f, 0, sizeof *f);
  test_files_init(&f->files);
  f->entropy.fill = count_up;
  f->files.seams.entropy = &f->entropy;
  f->log = (struct wr_log){.line = log_line, .level = WR_LOG_DEBUG};
  f->files.seams.log = &f->log;
  f->store =
      (struct wr_store){.seams = &f->files.seams, .folder = f->files.folder, .job_name = "job", .start_number = 1};
  memset(f->store.incarnation, 7, sizeof f->store.incarnation);
  snprintf(f->path, sizeof f->path, "%s", f->files.folder);
  WR_ASSERT(wr_directory_config_read(f->path, "pv", &pv_schema, NULL, 0, &f->config, &f->error) == WEIR_OK);
  f->context = (struct wr_target_context){.seams = &f->files.seams,
                                          .memory = &f->files.memory.memory,
                                          .store = &f->store,
                                          .job_name = "job",
                                          .uid = "pv",
                                          .schema = &pv_schema};
}
static void fixture_stop(struct fixture *f) {
  if (f->target != NULL) f->target->vtable->free(f->target);
  f->target = NULL;
}
static enum weir_code fixture_start(struct fixture *f) {
  struct wr_marker seen;
  fixture_stop(f);
  for (uint32_t i = 0; i < 2; i++)
    test_stager_init(&f->stagers[i], &f->config, &f->store, f->context.memory, &pv_schema, i);
  WR_TRY(wr_directory_target_new(&f->config, &f->context, &f->target, &f->error));
  WR_TRY(f->target->vtable->connect(f->target, &f->error));
  WR_TRY(f->target->vtable->read_marker(f->target, &seen, &f->error));
  return f->target->vtable->claim(f->target, &seen, seen.checkpoint_id, &f->error);
}
static void fixture_deinit(struct fixture *f) {
  fixture_stop(f);
  WR_ASSERT(f->files.memory.living_count == 0 && f->files.open_files == 0);
  test_files_deinit(&f->files);
}

struct row {
  const char *app;
  int64_t pv;
  enum weir_row_kind kind;
};

static struct wr_batch *make_batch(struct wr_memory *memory, const struct row *rows, uint32_t count) {
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, memory, &pv_schema, true);
  for (uint32_t i = 0; i < count; i++) {
    WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
    if (rows[i].app != NULL)
      WR_ASSERT(wr_batch_builder_set_bytes(&builder, 0, rows[i].app, strlen(rows[i].app), NULL) == WEIR_OK);
    wr_batch_builder_set_bigint(&builder, 1, rows[i].pv);
    wr_batch_builder_end_row(&builder, rows[i].kind);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_batch_builder_deinit(&builder);
  return batch;
}

/* A part of the present start. */
static enum weir_code stage_rows(struct fixture *f, uint64_t id, uint32_t subtask, const struct row *rows,
                                 uint32_t count, struct wr_part *out_part) {
  struct wr_batch *batch = make_batch(&f->files.below_memory.memory, rows, count);
  enum weir_code code = test_stage_part(&f->stagers[subtask], id, batch, out_part, &f->error);
  wr_batch_unref(batch);
  return code;
}

static enum weir_code commit_parts(struct fixture *f, uint64_t id, struct wr_part *parts, uint32_t count,
                                   bool *out_already) {
  const struct wr_epoch epoch = {.checkpoint_id = id, .parts = parts, .part_count = count, .completed = true};
  return f->target->vtable->commit(f->target, &epoch, out_already, &f->error);
}

static void drop_part(struct fixture *f, struct wr_part *part) {
  wr_part_deinit(f->context.memory, part);
}

static enum weir_code commit_rows(struct fixture *f, uint64_t id, const struct row *rows, uint32_t count,
                                  bool *out_already) {
  struct wr_part part;
  WR_TRY(stage_rows(f, id, 0, rows, count, &part));
  enum weir_code code = commit_parts(f, id, &part, 1, out_already);
  drop_part(f, &part);
  return code;
}

static enum weir_code settle(struct fixture *f) {
  return f->target->vtable->settled(f->target, &f->error);
}

static enum weir_code commit_one(struct fixture *f, uint64_t id, const char *app, bool *out_already) {
  return commit_rows(f, id, &(struct row){app, (int64_t)id, WEIR_INSERT}, 1, out_already);
}

static const char *content(const struct fixture *f, const char *name) {
  static char text[8192];
  char path[512];
  snprintf(path, sizeof path, "%s/%s", f->path, name);
  FILE *file = fopen(path, "rb");
  size_t length = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
  if (file != NULL) fclose(file);
  text[length] = 0;
  return file == NULL ? "missing" : text;
}
static int remove_file(const struct fixture *f, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", f->path, name);
  return remove(path);
}
/* How many files there are whose names begin so. */
static unsigned count_files(const struct fixture *f, const char *folder, const char *prefix) {
  char path[512];
  struct wr_name_list names = {0};
  struct wr_files *files = f->files.seams.files;
  unsigned count = 0;
  snprintf(path, sizeof path, "%s%s", f->path, folder);
  if (files->list(files, path, f->context.memory, &names, NULL) != WEIR_OK) return 0;
  for (size_t i = 0; i < names.count; i++)
    count += strncmp(names.names[i], prefix, strlen(prefix)) == 0;
  wr_name_list_deinit(&names, f->context.memory);
  return count;
}

/* The marker's path, found in the folder. */
static void find_marker(struct fixture *f) {
  char folder[512];
  struct wr_name_list names = {0};
  struct wr_files *files = f->files.seams.files;
  snprintf(folder, sizeof folder, "%s/.weir", f->path);
  WR_ASSERT(files->list(files, folder, f->context.memory, &names, NULL) == WEIR_OK);
  for (size_t i = 0; i < names.count; i++)
    if (strstr(names.names[i], ".marker") != NULL)
      snprintf(f->marker_path, sizeof f->marker_path, "%s/.weir/%.100s", f->path, names.names[i]);
  wr_name_list_deinit(&names, f->context.memory);
}

#define BASE "part-pv-0707070707070707-"

TEST(files) {
  struct fixture f;
  bool already;
  static const struct row rows[] = {{"a\"b", 1, WEIR_INSERT},
                                    {"a\"b", 1, WEIR_UPDATE_BEFORE},
                                    {"a\"b", 2, WEIR_UPDATE_AFTER},
                                    {NULL, 3, WEIR_INSERT}};
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(commit_rows(&f, 3, rows, 4, &already), WEIR_OK);
  CHECK(!already);
  CHECK_STRING(content(&f, BASE "0000000003-0000-0000.ndjson"),
               "{\"app_id\":\"a\\\"b\",\"pv\":1}\n{\"app_id\":\"a\\\"b\",\"pv\":2}\n{\"app_id\":null,\"pv\":3}\n");
  CHECK_INT(commit_one(&f, 3, "other", &already), WEIR_OK);
  CHECK(already);
  CHECK_INT(commit_one(&f, 12, "x", &already), WEIR_OK);
  CHECK_STRING(content(&f, BASE "0000000012-0000-0000.ndjson"), "{\"app_id\":\"x\",\"pv\":12}\n");
  /* Only a -U: no file, but the marker moves. */
  CHECK_INT(commit_rows(&f, 13, &rows[1], 1, &already), WEIR_OK);
  CHECK_INT(count_files(&f, "", "part-"), 2);
  CHECK_INT(commit_rows(&f, 13, rows, 4, &already), WEIR_OK);
  CHECK(already);
  fixture_deinit(&f);
}

/* An epoch has parts of several subtasks and of checkpoints that failed; a part has its names from its staging on.
 * Until the commit nothing is seen, and nothing staged stays behind it. */
TEST(parts) {
  struct fixture f;
  struct wr_part parts[3];
  bool already;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(stage_rows(&f, 4, 1, &(struct row){"a", 1, WEIR_INSERT}, 1, &parts[0]), WEIR_OK);
  CHECK_INT(stage_rows(&f, 5, 1, &(struct row){"b", 1, WEIR_INSERT}, 1, &parts[1]), WEIR_OK);
  CHECK_INT(stage_rows(&f, 5, 0, &(struct row){"c", 1, WEIR_INSERT}, 1, &parts[2]), WEIR_OK);
  CHECK_INT(count_files(&f, "", "part-"), 0);
  CHECK_INT(count_files(&f, "/.weir", "part-"), 3);
  CHECK_INT(commit_parts(&f, 5, parts, 3, &already), WEIR_OK);
  CHECK_STRING(content(&f, BASE "0000000004-0001-0000.ndjson"), "{\"app_id\":\"a\",\"pv\":1}\n");
  CHECK_STRING(content(&f, BASE "0000000005-0001-0000.ndjson"), "{\"app_id\":\"b\",\"pv\":1}\n");
  CHECK_STRING(content(&f, BASE "0000000005-0000-0000.ndjson"), "{\"app_id\":\"c\",\"pv\":1}\n");
  CHECK_INT(count_files(&f, "", "part-"), 3);
  CHECK_INT(count_files(&f, "/.weir", "part-"), 0);
  for (int i = 0; i < 3; i++)
    drop_part(&f, &parts[i]);
  fixture_deinit(&f);
}

/* No file is larger than the limit, but one of a single row that is; files are filled in the order of the rows. */
TEST(rolls_by_size) {
  struct fixture f;
  bool already;
  char app[400], large[2000], name[64];
  struct row rows[11];
  memset(app, 'a', sizeof app - 1);
  app[sizeof app - 1] = 0;
  memset(large, 'b', sizeof large - 1);
  large[sizeof large - 1] = 0;
  for (int i = 0; i < 11; i++)
    rows[i] = (struct row){i == 5 ? large : app, i, WEIR_INSERT};
  for (int has_header = 0; has_header < 2; has_header++) {
    static const int first_of[] = {0, 2, 4, 5, 6, 8, 10, 11};
    fixture_init(&f);
    f.config.file_bytes = 1024;
    f.config.format = has_header ? WR_DIRECTORY_CSV : WR_DIRECTORY_JSON;
    f.config.csv_header = has_header;
    CHECK_INT(fixture_start(&f), WEIR_OK);
    CHECK_INT(commit_rows(&f, 1, rows, 11, &already), WEIR_OK);
    CHECK_INT(count_files(&f, "", "part-"), 7);
    for (int i = 0; i < 7; i++) {
      snprintf(name, sizeof name, BASE "0000000001-0000-%04d.%s", i, has_header ? "csv" : "ndjson");
      const char *text = content(&f, name);
      CHECK(strlen(text) <= 1024 || first_of[i] == 5);
      if (has_header) CHECK(strncmp(text, "app_id,pv\n", 10) == 0);
      for (int row = first_of[i]; row < first_of[i + 1]; row++) {
        char tail[32];
        snprintf(tail, sizeof tail, has_header ? ",%d\n" : "\"pv\":%d}\n", row);
        text = strstr(text, tail);
        CHECK(text != NULL);
        text += strlen(tail);
      }
      CHECK_STRING(text, "");
    }
    fixture_deinit(&f);
  }
}

/* ---- rolling by time ---- */

/* The rows' letters in the files of an epoch, a space after each file. */
static const char *letters_in(const struct fixture *f, uint64_t id, bool is_csv) {
  static char found[64];
  char name[64];
  size_t length = 0;
  for (int i = 0; i < 30; i++) {
    snprintf(name, sizeof name, BASE "%010d-0000-%04d.%s", (int)id, i, is_csv ? "csv" : "ndjson");
    const char *text = content(f, name);
    if (strcmp(text, "missing") == 0) break;
    for (; *text != 0; text = strchr(text, '\n') + 1)
      found[length++] = is_csv ? text[0] : text[strlen("{\"app_id\":\"")];
    found[length++] = ' ';
  }
  found[length] = 0;
  return found;
}

/* A file has no row that came 100 ms or more after its first; -U do not count. */
TEST(rolls_by_time) {
  static const struct {
    const char *letters;
    int at_ms[6];
    const char *files;
  } cases[] = {{"abc", {7, 7, 106}, "abc "},
               {"abc", {7, 7, 107}, "ab c "},
               {"abcde", {0, 50, 120, 219, 220}, "ab cd e "},
               {"a", {100000}, "a "},
               {"a-bc", {0, 100, 150, 249}, "a bc "},
               {"-ab", {0, 99, 198}, "ab "}};
  for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
    struct fixture f;
    struct wr_part part;
    struct wr_stage *stage;
    bool already, is_csv = i % 2 == 1;
    fixture_init(&f);
    if (is_csv) f.config.format = WR_DIRECTORY_CSV;
    f.config.rollover_ms = 100;
    CHECK_INT(fixture_start(&f), WEIR_OK);
    CHECK_INT(test_stage_open(&f.stagers[0], &stage, &f.error), WEIR_OK);
    for (size_t k = 0; cases[i / 2].letters[k] != 0; k++) {
      char app[2] = {cases[i / 2].letters[k], 0};
      const struct row row = {app, 1, app[0] == '-' ? WEIR_UPDATE_BEFORE : WEIR_INSERT};
      struct wr_batch *batch = make_batch(&f.files.below_memory.memory, &row, 1);
      CHECK_INT(test_stage_put(stage, batch, (uint64_t)cases[i / 2].at_ms[k] * 1000000 + 5, &f.error), WEIR_OK);
      wr_batch_unref(batch);
    }
    CHECK_INT(test_stage_close(&f.stagers[0], stage, 5, &part, &f.error), WEIR_OK);
    CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_OK);
    CHECK_STRING(letters_in(&f, 5, is_csv), cases[i / 2].files);
    drop_part(&f, &part);
    fixture_deinit(&f);
  }
}

TEST(csv) {
  static const struct wr_connector_setting settings[] = {
      {"format", "csv"}, {"csv.header", "true"}, {"csv.field-delimiter", "\\t"}, {"csv.null-literal", "-"}};
  static const struct row rows[] = {{"a\tb", 1, WEIR_INSERT}, {NULL, 2, WEIR_UPDATE_AFTER}};
  struct fixture f;
  bool already;
  fixture_init(&f);
  CHECK_INT(wr_directory_config_read(f.path, "pv", &pv_schema, settings, 4, &f.config, &f.error), WEIR_OK);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(commit_rows(&f, 1, rows, 2, &already), WEIR_OK);
  CHECK_STRING(content(&f, BASE "0000000001-0000-0000.csv"), "app_id\tpv\n\"a\tb\"\t1\n-\t2\n");
  fixture_deinit(&f);
}

/* Each file operation of a commit fails; the first file is taken away as soon as it is seen. It must not come again. */
TEST(taken_away) {
  bool failed = true, was_taken = false;
  for (uint64_t n = 1; failed; n++) {
    struct fixture f;
    struct wr_part part;
    bool already, taken = false;
    static const struct row rows[] = {{"a", 1, WEIR_INSERT}, {"b", 2, WEIR_INSERT}};
    fixture_init(&f);
    f.config.file_bytes = 1;
    CHECK_INT(fixture_start(&f), WEIR_OK);
    CHECK_INT(stage_rows(&f, 5, 0, rows, 2, &part), WEIR_OK);
    f.files.fail_at = f.files.operations + n;
    f.files.fail_count = 1;
    f.files.fail_code = WEIR_IO;
    enum weir_code code = commit_parts(&f, 5, &part, 1, &already);
    failed = f.files.operations >= f.files.fail_at;
    f.files.fail_at = 0;
    if (remove_file(&f, BASE "0000000005-0000-0000.ndjson") == 0) taken = true;
    if (code != WEIR_OK && taken) was_taken = true;
    /* The same start tries again, or the next one does. */
    if (n % 2 == 0) {
      f.store.start_number = 2;
      CHECK_INT(fixture_start(&f), WEIR_OK);
    }
    CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_OK);
    CHECK_STRING(content(&f, BASE "0000000005-0000-0000.ndjson"), taken ? "missing" : "{\"app_id\":\"a\",\"pv\":1}\n");
    CHECK_STRING(content(&f, BASE "0000000005-0000-0001.ndjson"), "{\"app_id\":\"b\",\"pv\":2}\n");
    CHECK_INT(count_files(&f, "/.weir", "part-"), 0);
    drop_part(&f, &part);
    fixture_deinit(&f);
  }
  CHECK(was_taken);
}

/* ---- what is staged ---- */

static struct wr_epoch epoch_of(uint64_t id, struct wr_part *part) {
  return (struct wr_epoch){.checkpoint_id = id, .parts = part, .part_count = 1, .completed = true};
}

static enum weir_code check_carried(struct fixture *f, uint64_t id, struct wr_part *part) {
  const struct wr_epoch epoch = epoch_of(id, part);
  struct wr_marker seen;
  WR_ASSERT(f->target->vtable->read_marker(f->target, &seen, &f->error) == WEIR_OK);
  return f->target->vtable->check_carried(f->target, &seen, f->store.incarnation, &epoch, 1, &f->error);
}

/* A staged file that is gone above the marker was removed by somebody: refused, before anything is changed, as one that
 * has another size is. Below it, it was renamed. */
TEST(staged_file_removed) {
  static const struct row rows[] = {{"a", 1, WEIR_INSERT}, {"b", 2, WEIR_INSERT}};
  struct fixture f;
  struct wr_part part, other;
  struct wr_name_list names = {0};
  bool already;
  char folder[200], path[500], kept[500];
  fixture_init(&f);
  f.config.file_bytes = 1;
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(stage_rows(&f, 5, 0, rows, 2, &part), WEIR_OK);
  snprintf(folder, sizeof folder, "%s/.weir", f.path);
  CHECK_INT(f.files.seams.files->list(f.files.seams.files, folder, f.context.memory, &names, NULL), WEIR_OK);
  for (size_t i = 0; i < names.count; i++) {
    if (strncmp(names.names[i], "part-", 5) != 0) continue;
    snprintf(path, sizeof path, "%s/%.200s", folder, names.names[i]);
    snprintf(kept, sizeof kept, "%s/kept", f.path);
    CHECK_INT(check_carried(&f, 5, &part), WEIR_OK);
    CHECK_INT(rename(path, kept), 0);
    CHECK_INT(check_carried(&f, 5, &part), WEIR_REFUSED);
    CHECK(strstr(f.error.message, names.names[i]) != NULL);
    CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_REFUSED);
    CHECK(strstr(f.error.message, names.names[i]) != NULL);
    CHECK(strstr(f.error.message, " is gone, and the rows of checkpoint 5 in it were not committed yet; put it back") !=
          NULL);
    CHECK_INT(weir_code_exit(f.error.code), 3);
    CHECK_INT(rename(kept, path), 0);
    CHECK_INT(truncate(path, 3), 0);
    CHECK_INT(check_carried(&f, 5, &part), WEIR_REFUSED);
    CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_REFUSED);
    CHECK(strstr(f.error.message, "bytes, not the 44 that were staged for checkpoint 5; put it back") != NULL);
    FILE *file = fopen(path, "w");
    fputs(strstr(path, "-0000.ndjson") != NULL ? "{\"app_id\":\"a\",\"pv\":1}\n" : "{\"app_id\":\"b\",\"pv\":2}\n",
          file);
    fclose(file);
  }
  CHECK_INT(count_files(&f, "", "part-"), 0);
  CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_OK);
  CHECK_INT(count_files(&f, "", "part-"), 2);
  CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_OK);
  CHECK(already);
  /* An older start that was not known to have ended commits while a newer one compares. */
  CHECK_INT(stage_rows(&f, 6, 0, rows, 2, &other), WEIR_OK);
  struct wr_marker seen;
  const struct wr_epoch epoch = epoch_of(6, &other);
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_OK);
  CHECK_INT(commit_parts(&f, 6, &other, 1, &already), WEIR_OK);
  CHECK_INT(f.target->vtable->check_carried(f.target, &seen, f.store.incarnation, &epoch, 1, &f.error), WEIR_BUSY);
  wr_name_list_deinit(&names, f.context.memory);
  drop_part(&f, &other);
  drop_part(&f, &part);
  fixture_deinit(&f);
}

/* Once it was accepted that the target does not fit, there is a new incarnation: of what its parent has staged, the
 * rest is committed, and the log says what is left out. */
TEST(accepted_loss) {
  static const struct row rows[] = {{"a", 1, WEIR_INSERT}, {"b", 2, WEIR_INSERT}};
  struct fixture f;
  struct wr_part parts[2];
  bool already;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(stage_rows(&f, 5, 0, &rows[0], 1, &parts[0]), WEIR_OK);
  CHECK_INT(commit_parts(&f, 5, &parts[0], 1, &already), WEIR_OK);
  CHECK_INT(stage_rows(&f, 6, 0, &rows[1], 1, &parts[1]), WEIR_OK);
  memset(f.store.incarnation, 9, sizeof f.store.incarnation);
  f.store.start_number = 2;
  find_marker(&f);
  CHECK_INT(remove(f.marker_path), 0);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(check_carried(&f, 6, &parts[0]), WEIR_OK);
  CHECK_INT(commit_parts(&f, 6, parts, 2, &already), WEIR_OK);
  CHECK(strstr(f.last_line, "sink pv: what is gone is left out: ") != NULL);
  CHECK_INT(count_files(&f, "", "part-"), 2);
  CHECK_STRING(content(&f, BASE "0000000006-0000-0000.ndjson"), "{\"app_id\":\"b\",\"pv\":2}\n");
  drop_part(&f, &parts[0]);
  drop_part(&f, &parts[1]);
  fixture_deinit(&f);
}

/* What earlier starts have staged is swept once all that was carried is committed; what is another sink's or job's, or
 * this start's, stays. A run that was taken over sweeps nothing. */
TEST(sweeps) {
  static const struct row row = {"a", 1, WEIR_INSERT};
  static const char *const foreign[] = {"part-pv2-0000000000000000-0707070707070707-1-0000-0-0000.ndjson", "part-pv-",
                                        "other", "part-pv-0707070707070707-0000000001-0000-0000.ndjson"};
  struct fixture f, other;
  struct wr_part carried, aborted, own, others;
  char path[300];
  bool already;
  fixture_init(&f);
  fixture_init(&other);
  memcpy(other.path, f.path, sizeof other.path);
  other.context.job_name = other.store.job_name = "job2";
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(fixture_start(&other), WEIR_OK);
  for (int i = 0; i < 4; i++) {
    snprintf(path, sizeof path, "%s/.weir/%s", f.path, foreign[i]);
    fclose(fopen(path, "w"));
  }
  CHECK_INT(stage_rows(&other, 3, 0, &row, 1, &others), WEIR_OK);
  CHECK_INT(stage_rows(&f, 3, 0, &row, 1, &carried), WEIR_OK);
  CHECK_INT(stage_rows(&f, 4, 1, &row, 1, &aborted), WEIR_OK);
  CHECK_INT(settle(&f), WEIR_OK); /* files of this very start */
  CHECK_INT(count_files(&f, "/.weir", "part-"), 6);
  f.store.start_number = 12;
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(stage_rows(&f, 7, 0, &row, 1, &own), WEIR_OK);
  CHECK_INT(check_carried(&f, 3, &carried), WEIR_OK);
  CHECK_INT(commit_parts(&f, 3, &carried, 1, &already), WEIR_OK);
  CHECK_INT(count_files(&f, "/.weir", "part-"), 6);
  /* Each operation of it fails; it is made again. Whether a file that was only read or locked closes well is not asked.
   */
  for (uint64_t n = 1, done = 1; done >= n; n++) {
    test_files_fail(&f.files, n, 1, WEIR_IO, NULL);
    enum weir_code code = settle(&f);
    CHECK(code == WEIR_OK || code == WEIR_IO);
    done = f.files.operations;
  }
  test_files_fail(&f.files, 0, 0, WEIR_OK, NULL);
  CHECK_INT(settle(&f), WEIR_OK);
  CHECK_INT(count_files(&f, "/.weir", "part-"), 5);
  CHECK_INT(check_carried(&f, 4, &aborted), WEIR_REFUSED);
  CHECK_INT(check_carried(&f, 7, &own), WEIR_OK);
  CHECK_INT(check_carried(&other, 3, &others), WEIR_OK);
  /* Another incarnation of the same job: by then nobody can ask for what is there. */
  memset(f.store.incarnation, 8, sizeof f.store.incarnation);
  f.store.start_number = 1;
  struct wr_target *zombie = f.target;
  f.target = NULL;
  CHECK_INT(fixture_start(&f), WEIR_OK);
  f.store.start_number = 12;
  CHECK_INT(zombie->vtable->settled(zombie, &f.error), WEIR_FENCED);
  CHECK_INT(count_files(&f, "/.weir", "part-"), 5);
  f.store.start_number = 1;
  CHECK_INT(settle(&f), WEIR_OK);
  CHECK_INT(count_files(&f, "/.weir", "part-"), 4);
  for (int i = 0; i < 4; i++) {
    snprintf(path, sizeof path, "%s/.weir/%s", f.path, foreign[i]);
    CHECK_INT(remove(path), 0);
  }
  zombie->vtable->free(zombie);
  drop_part(&f, &carried);
  drop_part(&f, &aborted);
  drop_part(&f, &own);
  drop_part(&other, &others);
  fixture_deinit(&other);
  fixture_deinit(&f);
}

/* A part that is none: rows of an epoch, as an earlier version put them into the job's folder or the checkpoint; one of
 * a later version; one that is cut. */
TEST(foreign_parts) {
  static const struct row row = {"a", 1, WEIR_INSERT};
  struct fixture f;
  struct wr_part part;
  bool already;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  struct wr_batch *batch = make_batch(f.context.memory, &row, 1);
  struct wr_epoch epoch = test_epoch_of(f.context.memory, 5, batch);
  wr_batch_unref(batch);
  CHECK_INT(commit_parts(&f, 5, epoch.parts, 1, &already), WEIR_CORRUPT);
  CHECK(strstr(f.error.message,
               "subtask 0 that was prepared for checkpoint 5 names no staged files: an earlier version") != NULL);
  CHECK_INT(check_carried(&f, 5, epoch.parts), WEIR_CORRUPT);
  test_epoch_deinit(f.context.memory, &epoch);
  part = (struct wr_part){.prepared_for = 5, .handle = {.file = "d-1-0", .offset = 100, .length = 1000}};
  CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_CORRUPT);
  CHECK_INT(stage_rows(&f, 5, 0, &row, 1, &part), WEIR_OK);
  part.handle.inline_bytes[8]++;
  CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_NEWER);
  part.handle.inline_bytes[8]--;
  part.handle.length--;
  CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_CORRUPT);
  part.handle.length++;
  CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_OK);
  drop_part(&f, &part);
  fixture_deinit(&f);
}

/* The file of epoch 5 has so many lines of 999 letters, and numbers from 0 to 199 again and again. */
static void check_long_lines(const struct fixture *f, uint64_t expected) {
  char path[300];
  snprintf(path, sizeof path, "%s/" BASE "0000000005-0000-0000.ndjson", f->path);
  FILE *file = fopen(path, "r");
  CHECK(file != NULL);
  for (uint64_t i = 0; i < expected; i++) {
    char line[1100], tail[32];
    snprintf(tail, sizeof tail, "\",\"pv\":%d}\n", (int)(i % 200));
    CHECK(fgets(line, sizeof line, file) != NULL);
    CHECK(strlen(line) == 11 + 999 + strlen(tail) && strcmp(line + 11 + 999, tail) == 0);
  }
  CHECK_INT(fgetc(file), EOF);
  fclose(file);
}

/* The stage beside a writer: calls that are still to come, back-pressure, and a full disk. */
TEST(stage_waits) {
  struct fixture f;
  struct wr_stage *stage;
  struct wr_part part = {.prepared_for = 5};
  struct row rows[200];
  bool already;
  char text[1000];
  uint64_t wake_ns = UINT64_MAX, now_ns = 0, expected = 0;
  fixture_init(&f);
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = 0;
  for (int i = 0; i < 200; i++)
    rows[i] = (struct row){text, i, WEIR_INSERT};
  CHECK_INT(fixture_start(&f), WEIR_OK);
  f.stagers[0].context.seams = &f.files.seams;
  f.stagers[0].context.waker = &f.files.waker;
  CHECK_INT(test_stage_open(&f.stagers[0], &stage, &f.error), WEIR_OK);
  struct wr_batch *batch = make_batch(&f.files.below_memory.memory, rows, 200);
  while (stage->vtable->step(stage, now_ns, &wake_ns) == WR_UPLOAD_OPEN) {
    CHECK_INT(stage->vtable->append(stage, batch, now_ns, &f.error), WEIR_OK);
    expected += 200;
  }
  CHECK_INT(stage->vtable->step(stage, now_ns, &wake_ns), WR_UPLOAD_FULL);
  CHECK_INT(f.files.submitted_count, 1);
  CHECK(!stage->vtable->is_idle(stage));
  /* There is no room: for the file, then in its midst. */
  test_files_fail(&f.files, 1, 1, WEIR_NO_SPACE, "create");
  CHECK_INT(test_files_run_calls(&f.files), 1);
  CHECK_INT(stage->vtable->step(stage, now_ns, &wake_ns), WR_UPLOAD_NO_SPACE);
  CHECK(stage->vtable->is_idle(stage));
  CHECK_INT(stage->vtable->step(stage, now_ns, &wake_ns), WR_UPLOAD_NO_SPACE);
  CHECK_INT(wake_ns, 100000000);
  f.files.write_limit = 100000;
  test_files_fail(&f.files, 3, 2, WEIR_NO_SPACE, "write");
  for (int i = 0; i < 2; i++) {
    now_ns += 100000000;
    CHECK_INT(stage->vtable->step(stage, now_ns, &wake_ns), WR_UPLOAD_NO_SPACE);
    CHECK_INT(test_files_run_calls(&f.files), 1);
    CHECK_INT(stage->vtable->step(stage, now_ns, &wake_ns), WR_UPLOAD_NO_SPACE);
  }
  now_ns += 100000000;
  stage->vtable->step(stage, now_ns, &wake_ns);
  CHECK_INT(test_files_run_calls(&f.files), 1);
  CHECK_INT(stage->vtable->step(stage, now_ns, &wake_ns), WR_UPLOAD_OPEN);
  CHECK_INT(stage->vtable->append(stage, batch, now_ns, &f.error), WEIR_OK);
  expected += 200;
  stage->vtable->finish(stage);
  for (int i = 0; i < 3; i++) {
    stage->vtable->step(stage, now_ns, &wake_ns);
    test_files_run_calls(&f.files);
  }
  CHECK_INT(stage->vtable->step(stage, now_ns, &wake_ns), WR_UPLOAD_DONE);
  stage->vtable->take_handle(stage, &part.handle);
  CHECK(f.files.wakes > 0);
  stage->vtable->free(stage);
  CHECK_INT(commit_parts(&f, 5, &part, 1, &already), WEIR_OK);
  check_long_lines(&f, expected);
  wr_batch_unref(batch);
  drop_part(&f, &part);
  fixture_deinit(&f);
}

/* Each operation of a stage fails for good: it says so, leaves nothing open, and nothing is seen. */
TEST(stage_fails) {
  static const struct row rows[] = {{"a", 1, WEIR_INSERT}, {"b", 2, WEIR_INSERT}};
  static const enum weir_code codes[] = {WEIR_IO, WEIR_NO_SPACE};
  for (int c = 0; c < 2; c++) {
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
      struct fixture f;
      struct wr_part part;
      fixture_init(&f);
      f.config.file_bytes = 1;
      CHECK_INT(fixture_start(&f), WEIR_OK);
      test_files_fail(&f.files, n, 100, codes[c], NULL);
      enum weir_code code = stage_rows(&f, 5, 0, rows, 2, &part);
      failed = f.files.operations >= n;
      CHECK_INT(code, failed ? codes[c] : WEIR_OK);
      drop_part(&f, &part);
      test_files_fail(&f.files, 0, 0, WEIR_OK, NULL);
      CHECK_INT(count_files(&f, "", "part-"), 0);
      f.store.start_number++;
      CHECK_INT(fixture_start(&f), WEIR_OK);
      CHECK_INT(settle(&f), WEIR_OK);
      CHECK_INT(count_files(&f, "/.weir", "part-"), 0);
      fixture_deinit(&f);
    }
  }
}

TEST(fences) {
  struct fixture old, new;
  bool already;
  fixture_init(&old);
  CHECK_INT(fixture_start(&old), WEIR_OK);
  fixture_init(&new);
  memcpy(new.path, old.path, sizeof new.path);
  new.store.start_number = 2;
  CHECK_INT(fixture_start(&new), WEIR_OK);
  CHECK_INT(commit_one(&old, 1, "a", &already), WEIR_FENCED);
  CHECK_INT(fixture_start(&old), WEIR_FENCED);
  CHECK_INT(count_files(&old, "", "part-"), 0);
  /* While another run is at it, this one waits. */
  struct wr_files *files = new.files.seams.files;
  struct wr_file *file = NULL;
  char path[512];
  find_marker(&new);
  snprintf(path, sizeof path, "%.*s.lock", (int)strlen(new.marker_path) - 7, new.marker_path);
  CHECK_INT(files->open(files, path, WR_FILE_WRITE, &file, NULL), WEIR_OK);
  CHECK_INT(files->lock(files, file, NULL), WEIR_OK);
  CHECK_INT(commit_one(&new, 1, "a", &already), WEIR_BUSY);
  CHECK_INT(fixture_start(&new), WEIR_BUSY);
  CHECK_INT(files->close(files, file, NULL), WEIR_OK);
  CHECK_INT(fixture_start(&new), WEIR_OK);
  CHECK_INT(commit_one(&new, 1, "a", &already), WEIR_OK);
  fixture_deinit(&new);
  fixture_deinit(&old);
}

/* Two jobs with sinks of one uid share a folder. */
TEST(two_jobs) {
  struct fixture a, b;
  bool already;
  fixture_init(&a);
  fixture_init(&b);
  memcpy(b.path, a.path, sizeof b.path);
  b.context.job_name = b.store.job_name = "job2";
  memset(b.store.incarnation, 8, sizeof b.store.incarnation);
  CHECK_INT(fixture_start(&a), WEIR_OK);
  CHECK_INT(fixture_start(&b), WEIR_OK);
  CHECK_INT(commit_one(&a, 1, "a", &already), WEIR_OK);
  CHECK_INT(commit_one(&b, 1, "b", &already), WEIR_OK);
  CHECK_INT(fixture_start(&a), WEIR_OK);
  CHECK_INT(commit_one(&a, 2, "c", &already), WEIR_OK);
  CHECK_INT(count_files(&a, "", "part-pv-"), 3);
  fixture_deinit(&b);
  fixture_deinit(&a);
}

static void copy_file(const char *from, const char *to) {
  char text[4096];
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  WR_ASSERT(in != NULL && out != NULL);
  fwrite(text, 1, fread(text, 1, sizeof text, in), out);
  fclose(in);
  fclose(out);
}

TEST(markers) {
  struct fixture f;
  struct wr_marker marker;
  bool already;
  char older[300];
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(commit_one(&f, 1, "a", &already), WEIR_OK);
  find_marker(&f);
  snprintf(older, sizeof older, "%s.old", f.marker_path);
  copy_file(f.marker_path, older);
  CHECK_INT(commit_one(&f, 2, "b", &already), WEIR_OK);
  copy_file(older, f.marker_path);
  CHECK_INT(commit_one(&f, 3, "c", &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "was replaced by an older one while the job runs: it says 1, 2 was committed") != NULL);
  CHECK_INT(remove(f.marker_path), 0);
  CHECK_INT(commit_one(&f, 3, "c", &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "was removed while the job runs") != NULL);
  CHECK_INT(count_files(&f, "", "part-"), 2);
  /* A damaged marker: every byte counts. */
  copy_file(older, f.marker_path);
  struct stat info;
  CHECK_INT(stat(f.marker_path, &info), 0);
  for (long i = 0; i < info.st_size; i++) {
    FILE *file = fopen(f.marker_path, "r+b");
    CHECK(file != NULL);
    fseek(file, i, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, i, SEEK_SET);
    fputc(byte ^ 4, file);
    fclose(file);
    CHECK(f.target->vtable->read_marker(f.target, &marker, &f.error) != WEIR_OK);
    CHECK_INT(weir_code_exit(f.error.code), 3);
    file = fopen(f.marker_path, "r+b");
    fseek(file, i, SEEK_SET);
    fputc(byte, file);
    fclose(file);
  }
  CHECK_INT(truncate(f.marker_path, info.st_size - 1), 0);
  CHECK_INT(f.target->vtable->read_marker(f.target, &marker, &f.error), WEIR_CORRUPT);
  fixture_deinit(&f);
}

TEST(refusals) {
  static const struct row rows[] = {{"a", 1, WEIR_INSERT}, {"b", 2, WEIR_DELETE}};
  struct fixture f;
  bool already;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(commit_rows(&f, 1, rows, 2, &already), WEIR_CONSTRAINT);
  CHECK(strstr(f.error.message, "(the row: {\"app_id\":\"b\",\"pv\":2})") != NULL);
  CHECK_INT(weir_code_exit(f.error.code), 4);
  CHECK_INT(count_files(&f, "", "part-"), 0);
  /* The folder is taken away from under it. */
  struct wr_part part;
  char hidden[200], kept[200];
  snprintf(hidden, sizeof hidden, "%s/.weir", f.path);
  snprintf(kept, sizeof kept, "%s/kept", f.path);
  CHECK_INT(rename(hidden, kept), 0);
  CHECK_INT(stage_rows(&f, 1, 0, rows, 1, &part), WEIR_REFUSED);
  CHECK(strstr(f.error.message, ".weir was removed while the job runs; put it back") != NULL);
  CHECK_INT(rename(kept, hidden), 0);
  CHECK_INT(stage_rows(&f, 2, 0, rows, 1, &part), WEIR_OK);
  for (uint64_t n = 1, done = 1; done >= n; n++) { /* in the midst of a commit */
    test_files_fail(&f.files, n, 100, WEIR_NOT_FOUND, NULL);
    enum weir_code code = commit_parts(&f, 2, &part, 1, &already);
    done = f.files.operations;
    if (code != WEIR_OK) CHECK_INT(code, WEIR_REFUSED);
  }
  test_files_fail(&f.files, 0, 0, WEIR_OK, NULL);
  CHECK_INT(commit_parts(&f, 2, &part, 1, &already), WEIR_OK);
  drop_part(&f, &part);
  /* A folder that is not there, and a file in its place. */
  snprintf(f.path, sizeof f.path, "%s/nowhere", f.files.folder);
  CHECK_INT(fixture_start(&f), WEIR_NOT_FOUND);
  CHECK_INT(weir_code_exit(f.error.code), 4);
  CHECK(strstr(f.error.message, "nowhere: it is not there; make it: mkdir -p '") != NULL);
  fclose(fopen(f.path, "w"));
  CHECK_INT(fixture_start(&f), WEIR_NOT_FOUND);
  CHECK(strstr(f.error.message, "is not a folder") != NULL);
  remove(f.path);
  fixture_deinit(&f);
}

TEST(option_mistakes) {
  static const struct {
    struct wr_connector_setting settings[2];
    const char *says;
  } cases[] = {
      {{{"format", "parquet"}, {NULL, NULL}}, "the folder sink \"pv\": option \"format\" is json or csv"},
      {{{"sink.rolling-policy.file-size", "1"}, {NULL, NULL}}, "at least 1024 bytes"},
      {{{"csv.header", "true"}, {NULL, NULL}}, "option \"csv.header\" belongs to another format; this one is \"json\""},
      {{{"format", "csv"}, {"json.encode.ignore-null-fields", "true"}}, "belongs to another format"},
      {{{"format", "csv"}, {"csv.field-delimiter", "ab"}}, "\"csv.field-delimiter\" is one ASCII character"},
      {{{"format", "csv"}, {"csv.field-delimiter", "\""}}, "two different characters"},
      {{{"format", "csv"}, {"csv.null-literal", "a,b"}}, "null literal \"a,b\" holds"},
      {{{"sink.rolling-policy.file-siz", "1mb"}, {NULL, NULL}}, "did you mean \"sink.rolling-policy.file-size\"?"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct wr_directory_config config;
    struct weir_error error = {.code = WEIR_OK};
    uint32_t count = cases[i].settings[1].key == NULL ? 1 : 2;
    CHECK_INT(wr_directory_config_read("/out", "pv", &pv_schema, cases[i].settings, count, &config, &error),
              WEIR_INVALID);
    if (strstr(error.message, cases[i].says) == NULL)
      TEST_FAIL("\"%s\" does not say \"%s\"", error.message, cases[i].says);
  }
}

/* ---- the plain sink ---- */

static enum weir_code write_plain(struct fixture *f, struct wr_plain_target *plain, const char *letters) {
  struct wr_memory *memory = &f->files.memory.memory;
  struct wr_batch *batches[8];
  struct wr_batch_builder builder;
  uint32_t count = 0;
  wr_batch_builder_init(&builder, memory, &pv_schema, false);
  for (; letters[count] != 0; count++) {
    WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
    WR_ASSERT(wr_batch_builder_set_bytes(&builder, 0, &letters[count], 1, NULL) == WEIR_OK);
    wr_batch_builder_set_bigint(&builder, 1, 1);
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
    batches[count] = wr_batch_builder_take(&builder);
  }
  enum weir_code code = plain->vtable->write(plain, batches, count, &f->error);
  for (uint32_t i = 0; i < count; i++)
    wr_batch_unref(batches[i]);
  wr_batch_builder_deinit(&builder);
  return code;
}

/* The one file whose name begins and ends so; "missing", "several". */
static const char *only_content(const struct fixture *f, const char *begin, const char *end) {
  struct wr_name_list names = {0};
  struct wr_files *files = f->files.seams.files;
  const char *found = "missing";
  WR_ASSERT(files->list(files, f->path, f->context.memory, &names, NULL) == WEIR_OK);
  for (size_t i = 0; i < names.count; i++) {
    const char *name = names.names[i];
    size_t length = strlen(name), end_length = strlen(end);
    if (strncmp(name, begin, strlen(begin)) != 0 || length < end_length || strcmp(name + length - end_length, end) != 0)
      continue;
    found = strcmp(found, "missing") == 0 ? content(f, name) : "several";
  }
  wr_name_list_deinit(&names, f->context.memory);
  return found;
}

TEST(plain) {
  struct fixture f;
  struct wr_plain_target *plain, *other;
  fixture_init(&f);
  f.config.file_bytes = 50; /* two rows */
  f.store.start_number = 3;
  CHECK_INT(wr_directory_plain_new(&f.config, &f.context, &plain, &f.error), WEIR_OK);
  CHECK_INT(plain->vtable->connect(plain, &f.error), WEIR_OK);
  CHECK_INT(write_plain(&f, plain, "abc"), WEIR_OK);
  CHECK_STRING(only_content(&f, BASE "0000000003-", "-0000000000-0000.ndjson"),
               "{\"app_id\":\"a\",\"pv\":1}\n{\"app_id\":\"b\",\"pv\":1}\n");
  CHECK_STRING(only_content(&f, BASE "0000000003-", "-0000000000-0001.ndjson"), "{\"app_id\":\"c\",\"pv\":1}\n");
  /* Another subtask, with files of its own; nothing is left elsewhere. */
  CHECK_INT(wr_directory_plain_new(&f.config, &f.context, &other, &f.error), WEIR_OK);
  CHECK_INT(write_plain(&f, other, "d"), WEIR_OK);
  CHECK_STRING(only_content(&f, BASE "0000000003-", "-0000000000-0000.ndjson"), "several");
  CHECK_INT(count_files(&f, "", "part-"), 3);
  CHECK_INT(count_files(&f, "", ".weir"), 0);
  other->vtable->free(other);
  /* Each operation fails: the next try writes the same files. */
  bool failed = true;
  char end[40];
  for (unsigned n = 1; failed; n++) {
    f.files.fail_at = f.files.operations + n;
    f.files.fail_count = 1;
    f.files.fail_code = WEIR_IO;
    enum weir_code code = write_plain(&f, plain, "e");
    failed = f.files.operations >= f.files.fail_at;
    f.files.fail_at = 0;
    CHECK_INT(code, failed ? WEIR_IO : WEIR_OK);
    if (failed) CHECK_INT(write_plain(&f, plain, "e"), WEIR_OK);
    snprintf(end, sizeof end, "-%010u-0000.ndjson", n);
    CHECK_STRING(only_content(&f, BASE, end), "{\"app_id\":\"e\",\"pv\":1}\n");
    CHECK_INT(count_files(&f, "", "part-"), 3 + n);
  }
  plain->vtable->close(plain);
  plain->vtable->free(plain);
  snprintf(f.path, sizeof f.path, "%s/nowhere", f.files.folder);
  CHECK_INT(wr_directory_plain_new(&f.config, &f.context, &plain, &f.error), WEIR_OK);
  CHECK_INT(plain->vtable->connect(plain, &f.error), WEIR_NOT_FOUND);
  plain->vtable->free(plain);
  fixture_deinit(&f);
}

/* Every allocation of a life fails once. */
TEST(no_memory) {
  static const struct row rows[] = {{"a", 1, WEIR_INSERT}, {"b", 2, WEIR_INSERT}};
  bool failed = true;
  for (uint64_t n = 1; failed; n++) {
    struct fixture f;
    struct wr_part part = {.prepared_for = 1};
    bool already, staged = false;
    fixture_init(&f);
    f.config.file_bytes = 1;
    test_memory_fail_after(&f.files.memory, n, false);
    enum weir_code code = fixture_start(&f);
    if (code == WEIR_OK) code = settle(&f);
    if (code == WEIR_OK) code = stage_rows(&f, 1, 0, rows, 2, &part);
    staged = code == WEIR_OK;
    if (code == WEIR_OK) code = commit_parts(&f, 1, &part, 1, &already);
    failed = f.files.memory.failures > 0;
    test_memory_fail_after(&f.files.memory, 0, false);
    CHECK_INT(code, failed ? WEIR_NO_MEMORY : WEIR_OK);
    f.store.start_number = 2;
    CHECK_INT(fixture_start(&f), WEIR_OK);
    if (!staged) CHECK_INT(stage_rows(&f, 1, 0, rows, 2, &part), WEIR_OK);
    CHECK_INT(commit_parts(&f, 1, &part, 1, &already), WEIR_OK);
    CHECK_INT(settle(&f), WEIR_OK);
    CHECK_STRING(content(&f, BASE "0000000001-0000-0000.ndjson"), "{\"app_id\":\"a\",\"pv\":1}\n");
    CHECK_STRING(content(&f, BASE "0000000001-0000-0001.ndjson"), "{\"app_id\":\"b\",\"pv\":2}\n");
    CHECK_INT(count_files(&f, "/.weir", ""), 2); /* marker and lock */
    drop_part(&f, &part);
    fixture_deinit(&f);
  }
}

TEST_MAIN(TEST_CASE(files), TEST_CASE(parts), TEST_CASE(rolls_by_size), TEST_CASE(rolls_by_time), TEST_CASE(csv),
          TEST_CASE(taken_away), TEST_CASE(staged_file_removed), TEST_CASE(accepted_loss), TEST_CASE(sweeps),
          TEST_CASE(foreign_parts), TEST_CASE(stage_waits), TEST_CASE(stage_fails), TEST_CASE(fences),
          TEST_CASE(two_jobs), TEST_CASE(markers), TEST_CASE(refusals), TEST_CASE(option_mistakes), TEST_CASE(plain),
          TEST_CASE(no_memory))
