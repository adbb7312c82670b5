/* connectors/deadletter/test_deadletter.c: the dead-letter target on real files: lines, cuts, and what is refused.
 * (Crashes are in connectors/test_target_crashes.c.) */
#include "base/test.h"
#include "connectors/deadletter/deadletter.h"
#include "connectors/bad_records.h"
#include "operators/test_parts.h"
#include "store/test_files.h"

struct fixture {
  struct test_files files;
  struct wr_store store;
  char path[128], marker_path[160];
  struct wr_dead_letter_config config;
  struct wr_target_context context;
  struct wr_target *target;
  struct weir_error error;
};

static void fixture_init(struct fixture *f) {
  memset(f, 0, sizeof *f);
  test_files_init(&f->files);
  f->store = (struct wr_store){.seams = &f->files.seams, .folder = f->files.folder, .start_number = 1};
  memset(f->store.incarnation, 7, sizeof f->store.incarnation);
  snprintf(f->path, sizeof f->path, "%s/dead.ndjson", f->files.folder);
  snprintf(f->marker_path, sizeof f->marker_path, "%s.weir-marker", f->path);
  f->config.path = f->path;
  f->context = (struct wr_target_context){.seams = &f->files.seams,
                                          .memory = &f->files.memory.memory,
                                          .store = &f->store,
                                          .job_name = "job",
                                          .uid = "dead",
                                          .schema = &wr_dead_letter_schema};
}
static void fixture_stop(struct fixture *f) {
  if (f->target != NULL) f->target->vtable->free(f->target);
  f->target = NULL;
}
static enum weir_code fixture_start(struct fixture *f) {
  struct wr_marker seen;
  fixture_stop(f);
  WR_TRY(wr_dead_letter_target_new(&f->config, &f->context, &f->target, &f->error));
  WR_TRY(f->target->vtable->connect(f->target, &f->error));
  WR_TRY(f->target->vtable->read_marker(f->target, &seen, &f->error));
  return f->target->vtable->claim(f->target, &seen, seen.checkpoint_id, &f->error);
}
static void fixture_deinit(struct fixture *f) {
  fixture_stop(f);
  WR_ASSERT(f->files.memory.living_count == 0 && f->files.open_files == 0);
  test_files_deinit(&f->files);
}

static enum weir_code fixture_commit(struct fixture *f, uint64_t id, const char *record, bool *out_already) {
  struct wr_memory *memory = &f->files.memory.memory;
  struct wr_batch_builder builder;
  const char *texts[] = {"source", "p0.ndjson", "not JSON", record};
  static const uint32_t fields[] = {WR_DEAD_LETTER_SOURCE, WR_DEAD_LETTER_PARTITION, WR_DEAD_LETTER_ERROR,
                                    WR_DEAD_LETTER_RECORD};
  wr_batch_builder_init(&builder, memory, &wr_dead_letter_schema, false);
  WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
  for (unsigned i = 0; i < 4; i++)
    WR_ASSERT(wr_batch_builder_set_bytes(&builder, fields[i], texts[i], strlen(texts[i]), NULL) == WEIR_OK);
  wr_batch_builder_set_bigint(&builder, WR_DEAD_LETTER_POSITION, (int64_t)id);
  wr_batch_builder_set_bigint(&builder, WR_DEAD_LETTER_BYTE_POSITION, 99);
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  struct wr_epoch epoch = test_epoch_of(memory, id, batch);
  enum weir_code code = f->target->vtable->commit(f->target, &epoch, out_already, &f->error);
  test_epoch_deinit(memory, &epoch);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  return code;
}

static const char *content(const char *path) {
  static char text[4096];
  FILE *file = fopen(path, "rb");
  size_t length = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
  if (file != NULL) fclose(file);
  text[length] = 0;
  return file == NULL ? "missing" : text;
}
static void append(const char *path, const char *text) {
  FILE *file = fopen(path, "ab");
  WR_ASSERT(file != NULL);
  fputs(text, file);
  fclose(file);
}

#define LINE(position, record)                                                                                         \
  "{\"source\":\"source\",\"partition\":\"p0.ndjson\",\"position\":" position                                          \
  ",\"byte\":99,\"error\":\"not JSON\",\"record\":\"" record "\"}\n"

TEST(lines) {
  struct fixture f;
  bool already;
  fixture_init(&f);
  append(f.path, "an earlier line\n");
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(fixture_commit(&f, 3, "{\"a\\\x01\x7f h\xc3\xa9", &already), WEIR_OK);
  CHECK(!already);
  CHECK_INT(fixture_commit(&f, 3, "other", &already), WEIR_OK);
  CHECK(already);
  CHECK_INT(fixture_commit(&f, 4, "x", &already), WEIR_OK);
  CHECK_STRING(content(f.path), "an earlier line\n" LINE("3", "{\\\"a\\\\\\u0001\\u007f h\xc3\xa9") LINE("4", "x"));
  fixture_deinit(&f);
}

/* What stands behind the committed end goes, at a commit and at a start. */
TEST(cuts) {
  struct fixture f;
  bool already;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(fixture_commit(&f, 1, "a", &already), WEIR_OK);
  append(f.path,
         "half an epoch that is far longer than the line that is written in its place, so that some of it would stay"
         " .............................................................................................\n");
  CHECK_INT(fixture_commit(&f, 2, "b", &already), WEIR_OK);
  CHECK_STRING(content(f.path), LINE("1", "a") LINE("2", "b"));
  append(f.path, "half an epoch");
  f.store.start_number = 2;
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_STRING(content(f.path), LINE("1", "a") LINE("2", "b"));
  fixture_deinit(&f);
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
  CHECK_INT(fixture_commit(&old, 1, "a", &already), WEIR_FENCED);
  CHECK_INT(fixture_start(&old), WEIR_FENCED);
  CHECK_STRING(content(new.path), "");
  fixture_deinit(&new);
  fixture_deinit(&old);
}

TEST(refusals) {
  struct fixture f;
  struct wr_marker marker;
  bool already;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(fixture_commit(&f, 1, "a", &already), WEIR_OK);
  /* Another job, or another sink. */
  f.context.job_name = "other";
  CHECK_INT(fixture_start(&f), WEIR_FOREIGN);
  CHECK(strstr(f.error.message, "belongs to job \"job\", sink \"dead\"") != NULL);
  f.context.job_name = "job";
  CHECK_INT(fixture_start(&f), WEIR_OK);
  /* Cut while it runs, and seen at a start: the marker counts for nothing. */
  CHECK_INT(truncate(f.path, 3), 0);
  CHECK_INT(fixture_commit(&f, 2, "b", &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "was cut or replaced while the job runs: it has 3 bytes") != NULL);
  CHECK_INT(f.target->vtable->read_marker(f.target, &marker, &f.error), WEIR_OK);
  CHECK(!marker.present);
  CHECK_INT(remove(f.marker_path), 0);
  CHECK_INT(fixture_commit(&f, 2, "b", &already), WEIR_REFUSED);
  /* A damaged marker: every byte counts. */
  CHECK_INT(fixture_start(&f), WEIR_OK);
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
  fixture_stop(&f);
  /* A folder that is not there. */
  snprintf(f.path, sizeof f.path, "%s/nowhere/dead.ndjson", f.files.folder);
  CHECK_INT(fixture_start(&f), WEIR_NOT_FOUND);
  CHECK_INT(weir_code_exit(f.error.code), 4);
  fixture_deinit(&f);
}

TEST(no_memory) {
  bool failed = true;
  for (uint64_t n = 1; failed; n++) {
    struct fixture f;
    bool already;
    fixture_init(&f);
    test_memory_fail_after(&f.files.memory, n, false);
    enum weir_code code = fixture_start(&f);
    failed = f.files.memory.failures > 0;
    test_memory_fail_after(&f.files.memory, 0, false);
    CHECK_INT(code, failed ? WEIR_NO_MEMORY : WEIR_OK);
    CHECK_INT(fixture_start(&f), WEIR_OK);
    CHECK_INT(fixture_commit(&f, 1, "a", &already), WEIR_OK);
    CHECK_STRING(content(f.path), LINE("1", "a"));
    fixture_deinit(&f);
  }
}

TEST_MAIN(TEST_CASE(lines), TEST_CASE(cuts), TEST_CASE(fences), TEST_CASE(refusals), TEST_CASE(no_memory))
