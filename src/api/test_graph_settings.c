/* api/test_graph_settings.c: fields of structs and settings end in one config, by one check: files, generator, SQLite;
 * the options of the command line; no memory. */
#include "api/api_int.h"

#include "api/test_builder.h"
#include "connectors/files/files.h"
#include "connectors/generator/generator.h"
#include "connectors/sqlite/sqlite_target.h"

static const struct weir_field fields[] = {{"app", WEIR_TYPE_STRING, false}};
static const struct weir_schema schema = {fields, 1};

static struct weir_job_builder *new_builder(void) {
  struct weir_job_builder *builder = NULL;
  enum weir_code code = weir_job_builder_new("pv", &builder, NULL);
  WR_ASSERT(code == WEIR_OK);
  return builder;
}

/* The first error of the builder, INVALID, says this; and it is gone. */
static void end_with(struct weir_job_builder *builder, const char *says) {
  struct weir_error error = {.code = WEIR_OK};
  CHECK_INT(weir_job_builder_check(builder, &error), WEIR_INVALID);
  if (strstr(error.message, says) == NULL) TEST_FAIL("\"%s\" does not say \"%s\"", error.message, says);
  if (strstr(error.message, "tomcat") != NULL) TEST_FAIL("\"%s\" shows a secret", error.message);
  weir_job_builder_free(&builder);
}

TEST(files) {
  static const struct weir_setting given[] = {{"path", "/views"},
                                              {"source.monitor-interval", "20s"},
                                              {"scan.watermark.idle-timeout", "3s"},
                                              {"dead-letter.path", "/bad"},
                                              {"json.ignore-parse-errors", "true"}};
  const struct weir_files_options by_settings = {
      .size = sizeof by_settings, .schema = &schema, .settings = given, .setting_count = 5};
  const struct weir_files_options by_fields = {.size = sizeof by_fields,
                                               .schema = &schema,
                                               .folder = "/views",
                                               .idle_timeout_ms = 3000,
                                               .skip_bad_records = true,
                                               .dead_letter = "/bad"};
  for (int turn = 0; turn < 2; turn++) {
    struct weir_job_builder *builder = new_builder();
    const struct weir_stream *views = weir_files_source(builder, "in", turn == 0 ? &by_settings : &by_fields);
    CHECK(views != NULL);
    const struct wr_files_config *config = builder->graph.nodes[views->node].config;
    CHECK_STRING(config->folder, "/views");
    CHECK_INT(config->idle_timeout_ms, 3000);
    CHECK_INT(config->scan_interval_ms, turn == 0 ? 20000 : 1000);
    CHECK_INT(config->on_error, WR_FILES_SKIP);
    CHECK_STRING(builder->dead_letter_path, "/bad");
    weir_job_builder_free(&builder);
  }
}

TEST(mistakes_of_files) {
  static const struct {
    const char *folder;
    int64_t idle_timeout_ms;
    struct weir_setting setting;
    const char *says;
  } cases[] = {{NULL, 0, {"format", "json"}, "needs a folder and a schema"},
               {"/views", 0, {"path", "/views"}, "the files source \"in\": option \"path\" is given twice"},
               {"/views", 7, {"scan.watermark.idle-timeout", "7ms"}, "is given twice"},
               {"/views", -7, {"format", "json"}, "from 0 to 31536000000 ms, not \"-7ms\""},
               {"/views", 0, {"formt", "json"}, "did you mean \"format\"?"},
               {"/views", 0, {"dead-leter.path", "x"}, "did you mean \"dead-letter.path\"?"},
               {"/views", 0, {"format", "csv"}, "option \"format\" is json, not \"csv\""},
               {"/views", 0, {"source.monitor-interval", "0s"}, "from 1 to 86400000 ms"},
               {"/views", 0, {"json.ignore-parse-errors", "yes"}, "is true or false"},
               {"/views", 0, {"colour", "red"}, "it has path, format, source.monitor-interval"},
               {"/views", 0, {"format", NULL}, "a setting has a key and a value"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct weir_job_builder *builder = new_builder();
    const struct weir_files_options options = {.size = sizeof options,
                                               .schema = &schema,
                                               .folder = cases[i].folder,
                                               .idle_timeout_ms = cases[i].idle_timeout_ms,
                                               .settings = &cases[i].setting,
                                               .setting_count = 1};
    CHECK(weir_files_source(builder, "in", &options) == NULL);
    end_with(builder, cases[i].says);
  }
}

TEST(generator) {
  static const struct weir_setting given[] = {
      {"number-of-rows", "90"}, {"rows-per-second", "8"}, {"key-count", "7"},   {"key-skew", "true"}, {"seed", "6"},
      {"split-count", "5"},     {"start-time-ms", "-4"},  {"time-step-ns", "3"}};
  const struct weir_generator_options by_settings = {
      .size = sizeof by_settings, .schema = &schema, .settings = given, .setting_count = 8};
  const struct weir_generator_options by_fields = {.size = sizeof by_fields,
                                                   .schema = &schema,
                                                   .row_count = 90,
                                                   .rows_per_second = 8,
                                                   .key_count = 7,
                                                   .is_skewed = true,
                                                   .seed = 6,
                                                   .split_count = 5,
                                                   .start_time_ms = -4,
                                                   .time_step_ns = 3};
  for (int turn = 0; turn < 2; turn++) {
    struct weir_job_builder *builder = new_builder();
    const struct weir_stream *rows = weir_generator_source(builder, "in", turn == 0 ? &by_settings : &by_fields);
    CHECK(rows != NULL);
    const struct wr_generator_config *config = builder->graph.nodes[rows->node].config;
    CHECK(config->row_count == 90 && config->rows_per_second == 8 && config->key_count == 7 && config->is_skewed);
    CHECK(config->seed == 6 && config->split_count == 5 && config->start_time_ms == -4 && config->time_step_ns == 3);
    weir_job_builder_free(&builder);
  }
  struct weir_job_builder *builder = new_builder();
  const struct weir_generator_options none = {.size = sizeof none, .schema = &schema};
  CHECK(weir_generator_source(builder, "in", &none) == NULL);
  end_with(builder, "keys, not 0");
  static const struct weir_setting many[] = {{"split-count", "257"}};
  const struct weir_generator_options splits = {
      .size = sizeof splits, .schema = &schema, .key_count = 1, .settings = many, .setting_count = 1};
  CHECK(weir_generator_source(builder = new_builder(), "in", &splits) == NULL);
  end_with(builder, "from 1 to 256, not \"257\"");
}

static const struct wr_sqlite_config *sqlite(struct weir_job_builder *builder,
                                             const struct weir_sqlite_options *options) {
  const struct weir_generator_options rows = {.size = sizeof rows, .schema = &schema, .key_count = 1};
  weir_sqlite_sink(weir_generator_source(builder, "in", &rows), "out", options);
  for (uint32_t i = 0; builder->error.code == WEIR_OK && i < builder->graph.node_count; i++)
    if (strcmp(builder->graph.nodes[i].uid, "out") == 0)
      return ((struct wr_sink_config *)builder->graph.nodes[i].config)->target_config;
  return NULL;
}

TEST(sqlite_tables) {
  static const struct weir_setting given[] = {{"path", "f.db"}, {"table-name", "t"}, {"tablename", "t"}};
  struct weir_sqlite_options options = {.size = sizeof options, .settings = given, .setting_count = 2};
  struct weir_job_builder *builder = new_builder();
  const struct wr_sqlite_config *config = sqlite(builder, &options);
  CHECK(config != NULL);
  CHECK_STRING(config->path, "f.db");
  CHECK_STRING(config->table, "t");
  weir_job_builder_free(&builder);
  options.path = "g.db";
  CHECK(sqlite(builder = new_builder(), &options) == NULL);
  end_with(builder, "the SQLite sink \"out\": option \"path\" is given twice");
  options.settings = given + 2;
  options.setting_count = 1;
  CHECK(sqlite(builder = new_builder(), &options) == NULL);
  end_with(builder, "did you mean \"table-name\"?");
  options.setting_count = 0;
  CHECK(sqlite(builder = new_builder(), &options) == NULL);
  end_with(builder, "needs the path of a database and a table");
}

/* --source-option and --sink-option; NULL: the graph is good. */
TEST(the_command_line) {
  static const struct {
    const char *option, *text, *says;
  } cases[] = {{"source-option", "scan.watermark.idle-timeout=5s", NULL},
               {"source-option", "scan.watermark.idle-timout=5s", "did you mean \"scan.watermark.idle-timeout\"?"},
               {"source-option", "path=/other", "option \"path\" is given twice"},
               {"source-option", "format", "--source-option is KEY=VALUE, not \"format\""},
               {"source-option", "=tomcat", "--source-option is KEY=VALUE"},
               {"source-option", "properties.sasl.password=tomcat", "by properties.sasl.password-file or"},
               {"sink-option", "table-name=other", NULL},
               {"sink-option", "path=other", "option \"path\" is given twice"},
               {"sink-option", "password=tomcat", "by password-file or password-env"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct weir_options *options = NULL;
    struct weir_job_builder *builder = new_builder();
    const struct weir_record_options records = {.size = sizeof records, .schema = &schema};
    CHECK_INT(weir_options_new(&options, NULL), WEIR_OK);
    CHECK_INT(weir_options_set(options, "source", "/views", NULL), WEIR_OK);
    CHECK_INT(weir_options_set(options, "sink", "sqlite:f.db", NULL), WEIR_OK);
    CHECK_INT(weir_options_set(options, cases[i].option, cases[i].text, NULL), WEIR_OK);
    struct weir_stream *views = weir_source_of_options(builder, "in", &records, options);
    weir_sink_of_options(views, "out", "pv", NULL, 0, options);
    if (cases[i].says == NULL) {
      struct weir_error error;
      CHECK_INT(weir_job_builder_check(builder, &error), WEIR_OK);
      weir_job_builder_free(&builder);
    } else {
      end_with(builder, cases[i].says);
    }
    weir_options_free(&options);
  }
}

static void build_files(struct weir_job_builder *builder, const void *options) {
  const struct weir_sqlite_options table = {.size = sizeof table, .path = "f.db", .table = "t"};
  weir_sqlite_sink(weir_files_source(builder, "in", options), "out", &table);
}

TEST(without_memory) {
  static const struct weir_setting given[] = {{"path", "/views"}, {"json.ignore-parse-errors", "true"}};
  const struct weir_files_options options = {
      .size = sizeof options, .schema = &schema, .settings = given, .setting_count = 2};
  test_builder_without_memory(build_files, &options, 15);
}

TEST_MAIN(TEST_CASE(files), TEST_CASE(mistakes_of_files), TEST_CASE(generator), TEST_CASE(sqlite_tables),
          TEST_CASE(the_command_line), TEST_CASE(without_memory))
