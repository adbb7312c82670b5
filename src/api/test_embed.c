/* api/test_embed.c: jobs inside a program: built, run, watched, read from outside, stopped; and what is wrong with a
 * graph. Real threads; a job without a folder keeps nothing behind. */
#include "api/api_int.h"

#include "base/test.h"
#include "base/test_memory.h"

#include <dirent.h>
#include <unistd.h>

enum { KEYS = 1000 };

static const struct weir_field row_fields[] = {{"app", WEIR_TYPE_STRING, false}};
static const struct weir_schema row_schema = {row_fields, 1};

static struct weir_job_builder *make_count(uint64_t row_count, uint64_t rows_per_second) {
  struct weir_job_builder *builder = NULL;
  if (weir_job_builder_new("embedded", &builder, NULL) != WEIR_OK) abort();
  const struct weir_generator_options rows = {.size = sizeof rows,
                                              .schema = &row_schema,
                                              .key_count = KEYS,
                                              .row_count = row_count,
                                              .rows_per_second = rows_per_second,
                                              .split_count = 3};
  struct weir_stream *counts =
      weir_count(weir_key_by(weir_generator_source(builder, "rows", &rows), "app"), "count", "n");
  weir_blackhole_sink(counts, "out");
  return builder;
}

static struct weir_options *make_options(const char *name, const char *value) {
  struct weir_options *options = NULL;
  if (weir_options_new(&options, NULL) != WEIR_OK || weir_options_set(options, "parallelism", "2", NULL) != WEIR_OK ||
      weir_options_set(options, "checkpoint-interval", "50ms", NULL) != WEIR_OK ||
      weir_options_set(options, name, value, NULL) != WEIR_OK)
    abort();
  return options;
}

/* Folders of jobs without one that stand in TMPDIR. */
static uint32_t folders_left(const char *parent) {
  uint32_t count = 0;
  DIR *folder = opendir(parent);
  for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
    count += strncmp(entry->d_name, "weir-", 5) == 0;
  if (folder != NULL) closedir(folder);
  return count;
}

struct seen {
  uint64_t rows, sum;
  char key[32];
};

static void see_rows(void *argument, const struct weir_batch *batch) {
  struct seen *seen = argument;
  for (uint32_t row = 0; row < weir_batch_row_count(batch); row++) {
    size_t length = 0;
    const char *key = weir_batch_bytes(batch, 0, row, &length);
    snprintf(seen->key, sizeof seen->key, "%.*s", (int)length, key);
    seen->sum += (uint64_t)weir_batch_bigint(batch, 1, row);
    seen->rows++;
  }
}

static struct weir_value key_value(const char *text) {
  struct weir_value value = {.type = WEIR_TYPE_STRING};
  value.as.bytes.data = text;
  value.as.bytes.length = strlen(text);
  return value;
}

/* Waits until at least `rows` are counted. */
static bool wait_for_rows(struct weir_job *job, uint64_t rows) {
  for (int i = 0; i < 4000; i++) {
    struct seen seen = {0};
    enum weir_code code = weir_job_read_state(job, "count", "count", NULL, 0, see_rows, &seen, NULL);
    if (code != WEIR_OK && code != WEIR_BUSY) return false;
    if (seen.sum >= rows) return true;
    if (weir_job_wait(job, 5)) return false;
  }
  return false;
}

TEST(a_job_is_watched_and_stopped) {
  char parent[] = "/tmp/weir-test-embed-XXXXXX", metrics[65536];
  CHECK(mkdtemp(parent) != NULL && setenv("TMPDIR", parent, 1) == 0);
  struct weir_job_builder *builder = make_count(0, 200000);
  struct weir_options *options = make_options("mode", "exactly-once");
  struct weir_job *job = NULL;
  struct weir_error error;
  CHECK_INT(weir_job_start(builder, options, &job, &error), WEIR_OK);
  weir_options_free(&options);
  CHECK(wait_for_rows(job, 20000));
  CHECK_INT(folders_left(parent), 1);
  CHECK_INT(weir_job_result(job, &error), WEIR_TIMEOUT);

  struct seen all = {0}, one = {0}, none = {0};
  const struct weir_value key = key_value("app17"), no_key = key_value("nobody");
  CHECK_INT(weir_job_read_state(job, "count", "count", NULL, 0, see_rows, &all, &error), WEIR_OK);
  CHECK_INT(all.rows, KEYS);
  CHECK(all.sum > 10000);
  CHECK_INT(weir_job_read_state(job, "count", "count", &key, 1, see_rows, &one, &error), WEIR_OK);
  CHECK_INT(one.rows, 1);
  CHECK_STRING(one.key, "app17");
  CHECK(one.sum > 0 && one.sum < all.sum);
  CHECK_INT(weir_job_read_state(job, "count", "count", &no_key, 1, see_rows, &none, &error), WEIR_OK);
  CHECK_INT(none.rows, 0);
  CHECK_INT(weir_job_read_state(job, "count", "other", NULL, 0, see_rows, &none, &error), WEIR_NOT_FOUND);
  CHECK_INT(weir_job_read_state(job, "rows", "count", NULL, 0, see_rows, &none, &error), WEIR_NOT_FOUND);
  struct weir_value wrong = {.type = WEIR_TYPE_BIGINT};
  CHECK_INT(weir_job_read_state(job, "count", "count", &wrong, 1, see_rows, &none, &error), WEIR_INVALID);
  CHECK(strstr(error.message, "STRING") != NULL);

  size_t length = weir_job_metrics(job, metrics, sizeof metrics);
  CHECK(length == strlen(metrics) && strstr(metrics, "\"numRecordsIn\":") != NULL);
  CHECK(strstr(metrics, "\"phase\":\"") != NULL && metrics[length - 1] == '}');
  weir_job_checkpoint(job);
  weir_job_stop(job);
  CHECK(weir_job_wait(job, 20000));
  CHECK_INT(weir_job_result(job, &error), WEIR_OK);
  struct weir_job_status status = {.size = sizeof status};
  weir_job_read_status(job, &status);
  CHECK(status.is_over && !status.was_finished && status.checkpoints_completed > 0);
  CHECK_INT(weir_job_read_state(job, "count", "count", NULL, 0, see_rows, &none, &error), WEIR_BUSY);
  weir_job_free(&job);
  CHECK(job == NULL);
  CHECK_INT(folders_left(parent), 0);
  weir_job_builder_free(&builder);
  CHECK_INT(rmdir(parent), 0);
}

TEST(a_bounded_job_ends_and_a_running_one_is_freed) {
  struct weir_error error;
  struct weir_job *job = NULL;
  struct weir_job_builder *builder = make_count(100000, 0);
  struct weir_options *options = make_options("bounded", "true");
  CHECK_INT(weir_job_start(builder, options, &job, &error), WEIR_OK);
  CHECK_INT(weir_job_run(job, 0, &error), WEIR_OK);
  weir_job_free(&job);
  weir_job_builder_free(&builder);
  weir_options_free(&options);
  options = make_options("mode", "at-least-once");
  builder = make_count(0, 0);
  CHECK_INT(weir_job_start(builder, options, &job, &error), WEIR_OK);
  CHECK(wait_for_rows(job, 1));
  weir_job_free(&job);
  weir_job_builder_free(&builder);
  weir_options_free(&options);
}

/* ---- an operator of the test's own ---- */

static const struct weir_operator_definition failing = {
    .size = sizeof(struct weir_operator_definition),
    .name = "failing",
    .output = &row_schema,
};

static enum weir_code fail_late(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error) {
  (void)batch;
  return weir_fail(error, WEIR_OPERATOR, "subtask %u of %u gives up", weir_operator_subtask(op),
                   weir_operator_parallelism(op));
}

TEST(an_operators_error_ends_the_job) {
  struct weir_operator_definition definition = failing;
  struct weir_error error;
  struct weir_job *job = NULL;
  struct weir_job_builder *builder = NULL;
  struct weir_options *options = make_options("parallelism", "1");
  const struct weir_generator_options rows = {
      .size = sizeof rows, .schema = &row_schema, .key_count = 1, .row_count = 10};
  definition.process = fail_late;
  CHECK_INT(weir_job_builder_new("failing", &builder, &error), WEIR_OK);
  weir_blackhole_sink(weir_process(weir_generator_source(builder, "rows", &rows), "own", &definition), "out");
  CHECK_INT(weir_job_start(builder, options, &job, &error), WEIR_OK);
  CHECK_INT(weir_job_run(job, 0, &error), WEIR_OPERATOR);
  CHECK(strstr(error.message, "operator 'own': subtask 0 of 1 gives up") != NULL);
  weir_job_free(&job);
  weir_job_builder_free(&builder);
  weir_options_free(&options);
}

/* ---- what is wrong with a graph ---- */

enum mistake { NO_SOURCE, UNKNOWN_KEY, COUNT_WITHOUT_KEY, NO_UID, UID_TWICE, NO_CALLBACK, NO_SIZE, DEAD_END, MISTAKES };

static void make_mistake(struct weir_job_builder *builder, enum mistake mistake) {
  const struct weir_generator_options rows = {
      .size = mistake == NO_SIZE ? 0 : sizeof rows, .schema = &row_schema, .key_count = 1};
  if (mistake == NO_SOURCE) return;
  struct weir_stream *stream = weir_generator_source(builder, mistake == NO_UID ? "" : "rows", &rows);
  if (mistake == UNKNOWN_KEY) stream = weir_key_by(stream, "nothing");
  if (mistake == COUNT_WITHOUT_KEY) stream = weir_count(stream, "count", "n");
  if (mistake == NO_CALLBACK) stream = weir_process(stream, "own", &failing);
  if (mistake == DEAD_END) {
    static const struct weir_operator_definition silent = {.size = sizeof silent, .process = fail_late};
    stream = weir_process(stream, "own", &silent);
  }
  weir_blackhole_sink(stream, mistake == UID_TWICE ? "rows" : "out");
}

TEST(the_first_mistake_is_reported) {
  static const char *const says[MISTAKES] = {"no source", "no field \"nothing\"",  "weir_key_by", "uid",
                                             "twice",     "no function `process`", "size",        "sends no rows"};
  for (int mistake = 0; mistake < MISTAKES; mistake++) {
    struct weir_job_builder *builder = NULL;
    struct weir_job *job = NULL;
    struct weir_error error;
    CHECK_INT(weir_job_builder_new("wrong", &builder, &error), WEIR_OK);
    make_mistake(builder, (enum mistake)mistake);
    CHECK_INT(weir_job_builder_check(builder, &error), WEIR_INVALID);
    if (strstr(error.message, says[mistake]) == NULL)
      TEST_FAIL("\"%s\" does not say \"%s\"", error.message, says[mistake]);
    CHECK_INT(weir_job_start(builder, NULL, &job, &error), WEIR_INVALID);
    weir_job_builder_free(&builder);
  }
  struct weir_job_builder *builder = NULL;
  CHECK_INT(weir_job_builder_new("a/b", &builder, NULL), WEIR_INVALID);
  CHECK_INT(weir_job_builder_new("", &builder, NULL), WEIR_INVALID);
  CHECK_INT(weir_job_builder_new("..", &builder, NULL), WEIR_INVALID);
}

TEST(folder_sink_of_options) {
  static const struct {
    const char *sink, *first, *second, *says; /* says NULL: good */
  } cases[] = {{"dir:/tmp", "format=csv", "csv.null-literal=a=b", NULL},
               {"dir:/tmp", "format=xml", NULL, "the folder sink \"out\": option \"format\" is json or csv"},
               {"dir:/tmp", "formt=csv", NULL, "did you mean \"format\"?"},
               {"dir:/tmp", "format", NULL, "--sink-option is KEY=VALUE, not \"format\""},
               {"dir:/tmp", "=csv", NULL, "--sink-option is KEY=VALUE"},
               {"dir:/tmp", "format=csv", "format=json", "is given twice"},
               {"print", "format=csv", NULL, "--sink-option goes with a folder sink"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct weir_job_builder *builder = NULL;
    struct weir_options *options = make_options("source", "/tmp");
    struct weir_error error = {.code = WEIR_OK};
    const struct weir_record_options records = {.size = sizeof records, .schema = &row_schema};
    CHECK_INT(weir_options_set(options, "sink", cases[i].sink, NULL), WEIR_OK);
    CHECK_INT(weir_options_set(options, "sink-option", cases[i].first, NULL), WEIR_OK);
    if (cases[i].second != NULL) CHECK_INT(weir_options_set(options, "sink-option", cases[i].second, NULL), WEIR_OK);
    CHECK_INT(weir_job_builder_new("options", &builder, &error), WEIR_OK);
    weir_sink_of_options(weir_source_of_options(builder, "in", &records, options), "out", "t", NULL, 0, options);
    enum weir_code code = weir_job_builder_check(builder, &error);
    if (cases[i].says != NULL && strstr(error.message, cases[i].says) == NULL)
      TEST_FAIL("\"%s\" does not say \"%s\"", error.message, cases[i].says);
    CHECK_INT(code, cases[i].says == NULL ? WEIR_OK : WEIR_INVALID);
    weir_job_builder_free(&builder);
    weir_options_free(&options);
  }
}

TEST(sinks_and_sources_of_options) {
  static const struct {
    const char *source, *sink, *says; /* NULL: not set; says NULL: good */
  } cases[] = {{"/tmp", "print", NULL},
               {"/tmp", "blackhole", NULL},
               {"/tmp", "sqlite:x.db", NULL},
               {NULL, "print", "--source"},
               {"/tmp", NULL, "--sink"},
               {"/tmp", "sqlite:", "sqlite:FILE"},
               {"/tmp", "kafka", "sqlite:FILE"},
               {"/tmp", "dir:/tmp", NULL},
               {"/tmp", "dir:", "dir:PATH"},
               {"http://host/views", "print", "a folder of *.ndjson files, or kafka://"},
               {"kafka:host:9092/views", "print", "a Kafka topic is kafka://HOST:PORT[,HOST:PORT...]/TOPIC"},
               {"kafka:///views", "print", "a Kafka topic is kafka://HOST:PORT"},
               {"kafka://host:9092", "print", "names no topic"},
               {"kafka://host:9092/", "print", "names no topic"},
               {"kafka://host/views", "print", "\"host\" is no HOST:PORT; Kafka's port is 9092"},
               {"kafka://a:9092,,b:9092/views", "print", "\"\" is no HOST:PORT"},
               {"kafka://a:9092,b:0/views", "print", "\"b:0\" is no HOST:PORT"},
               {"kafka://a:70000/views", "print", "\"a:70000\" is no HOST:PORT"},
               {"kafka://::1:9092/views", "print", "is no HOST:PORT"},
               {"kafka://[::1]:9092/a/b", "print", "\"a/b\" is no name of a topic"},
               {"kafka://host:9092/views?x", "print", "\"views?x\" is no name of a topic"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct weir_job_builder *builder = NULL;
    struct weir_options *options = make_options("on-error", "fail");
    struct weir_error error = {.code = WEIR_OK};
    const struct weir_record_options records = {.size = sizeof records, .schema = &row_schema};
    if (cases[i].source != NULL) CHECK_INT(weir_options_set(options, "source", cases[i].source, NULL), WEIR_OK);
    if (cases[i].sink != NULL) CHECK_INT(weir_options_set(options, "sink", cases[i].sink, NULL), WEIR_OK);
    CHECK_INT(weir_job_builder_new("options", &builder, &error), WEIR_OK);
    weir_sink_of_options(weir_source_of_options(builder, "in", &records, options), "out", "t", NULL, 0, options);
    enum weir_code code = weir_job_builder_check(builder, &error);
    CHECK_INT(code, cases[i].says == NULL ? WEIR_OK : WEIR_INVALID);
    if (cases[i].says != NULL && strstr(error.message, cases[i].says) == NULL)
      TEST_FAIL("\"%s\" does not say \"%s\"", error.message, cases[i].says);
    weir_job_builder_free(&builder);
    weir_options_free(&options);
  }
}

/* Every allocation of a graph fails once: the builder says so, and nothing stays. */
TEST(a_graph_without_memory) {
  static const struct weir_operator_definition own = {
      .size = sizeof own, .name = "own", .output = &row_schema, .process = fail_late};
  static const char *const key[] = {"app"};
  const struct weir_files_options files = {
      .size = sizeof files, .folder = "views", .schema = &row_schema, .skip_bad_records = true};
  const struct weir_sqlite_options table = {
      .size = sizeof table, .path = "a.db", .table = "t", .key_fields = key, .key_field_count = 1};
  const struct wr_graph *graph = NULL;
  bool finished = false;
  uint64_t failures = 0;
  while (!finished) {
    struct test_memory memory;
    struct weir_job_builder builder;
    struct weir_error error = {.code = WEIR_OK};
    test_memory_init(&memory);
    test_memory_fail_after(&memory, failures + 1, false);
    CHECK_INT(wr_builder_init(&builder, &memory.memory, "pv", &error), WEIR_OK);
    struct weir_stream *views = weir_process(weir_files_source(&builder, "views", &files), "own", &own);
    weir_sqlite_sink(weir_count(weir_key_by(views, "app"), "count", "n"), "table", &table);
    weir_print_sink(weir_rebalance(views), "lines");
    enum weir_code code = wr_builder_finish(&builder, &graph, &error);
    if (code == WEIR_OK) code = wr_builder_set_folder(&builder, "state", &error);
    finished = memory.failures == 0;
    CHECK_INT(code, finished ? WEIR_OK : WEIR_NO_MEMORY);
    failures += memory.failures;
    if (finished) CHECK_STRING(builder.dead_letter_path, "state/dead-letter.ndjson");
    wr_builder_deinit(&builder);
    CHECK_INT(memory.living_count, 0);
  }
  CHECK(failures > 40);
}

TEST_MAIN(TEST_CASE(a_graph_without_memory), TEST_CASE(a_job_is_watched_and_stopped),
          TEST_CASE(a_bounded_job_ends_and_a_running_one_is_freed), TEST_CASE(an_operators_error_ends_the_job),
          TEST_CASE(the_first_mistake_is_reported), TEST_CASE(folder_sink_of_options),
          TEST_CASE(sinks_and_sources_of_options))
