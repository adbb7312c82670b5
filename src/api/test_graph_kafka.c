/* api/test_graph_kafka.c: a Kafka source's options and settings, what is wrong with them, and a graph of it without
 * memory. No client is opened. */
#include "api/api_int.h"

#include "base/test.h"
#include "base/test_memory.h"
#include "connectors/kafka/kafka.h"
#include "connectors/kafka/test_kafka_fake.h"

static struct fake fake;

static const struct weir_field row_fields[] = {{"app", WEIR_TYPE_STRING, false}};
static const struct weir_schema row_schema = {row_fields, 1};

static const struct weir_kafka_setting good_settings[] = {{"topic.metadata.refresh.interval.ms", "250"},
                                                          {"group.id", "watchers"}};

static struct weir_kafka_options kafka_options(const struct weir_kafka_setting *settings, uint32_t count) {
  return (struct weir_kafka_options){.size = sizeof(struct weir_kafka_options),
                                     .servers = "a:9092,[::1]:9093",
                                     .topic = "views",
                                     .settings = settings,
                                     .setting_count = count,
                                     .schema = &row_schema};
}

TEST(a_kafka_sources_settings) {
  for (uint32_t count = 0; count < 3; count += 2) {
    struct weir_job_builder *builder = NULL;
    CHECK_INT(weir_job_builder_new("pv", &builder, NULL), WEIR_OK);
    fake_init(&fake, 1);
    const struct weir_kafka_options options = kafka_options(good_settings, count);
    const struct weir_stream *views = wr_kafka_source_with(builder, "in", &options, &fake.driver);
    CHECK(views != NULL);
    const struct wr_kafka_config *config = builder->graph.nodes[views->node].config;
    CHECK_STRING(config->connection.servers, "a:9092,[::1]:9093");
    CHECK_STRING(config->connection.group, count == 0 ? "weir-pv" : "watchers");
    CHECK_INT(config->discovery_interval_ms, count == 0 ? 0 : 250);
    CHECK_INT(config->connection.setting_count, count);
    if (count == 2) CHECK_STRING(config->connection.settings[1].value, "watchers");
    weir_job_builder_free(&builder);
  }
}

TEST(mistakes_of_a_kafka_source) {
  static const struct {
    struct weir_kafka_setting settings[2];
    uint32_t count;
    const char *says;
  } cases[] = {{{{"partition.assignment.strategy", "range"}}, 1, "partitions are dealt out to subtasks by the job"},
               {{{"group.instance.id", "x"}}, 1, "is no member of its group"},
               {{{"a", "1"}, {"a", "2"}}, 2, "the setting a is given twice"},
               {{{"topic.metadata.refresh.interval.ms", "-1"}}, 1, "a whole number of milliseconds"},
               {{{"no.such.setting", "1"}}, 1, "there is no setting no.such.setting"},
               {{{NULL, "1"}}, 1, "a key and a value"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct weir_job_builder *builder = NULL;
    struct weir_error error = {.code = WEIR_OK};
    CHECK_INT(weir_job_builder_new("pv", &builder, NULL), WEIR_OK);
    fake_init(&fake, 1);
    const struct weir_kafka_options options = kafka_options(cases[i].settings, cases[i].count);
    CHECK(wr_kafka_source_with(builder, "in", &options, &fake.driver) == NULL);
    CHECK_INT(weir_job_builder_check(builder, &error), WEIR_INVALID);
    if (strstr(error.message, cases[i].says) == NULL)
      TEST_FAIL("\"%s\" does not say \"%s\"", error.message, cases[i].says);
    weir_job_builder_free(&builder);
  }
}

/* --kafka: no message shows a value, which may be a password. */
TEST(kafka_settings_of_the_command_line) {
  static const struct {
    const char *source, *setting, *says;
  } cases[] = {{"/tmp", "a=b", "--kafka goes with a Kafka topic"},
               {"kafka://a:9092/views", "secret", "--kafka is KEY=VALUE"},
               {"kafka://a:9092/views", "=secret", "--kafka is KEY=VALUE"},
               {"kafka://a:9092/views", "group.instance.id=secret", "the setting group.instance.id cannot be given"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct weir_job_builder *builder = NULL;
    struct weir_options *options = NULL;
    struct weir_error error = {.code = WEIR_OK};
    const struct weir_record_options records = {.size = sizeof records, .schema = &row_schema};
    CHECK_INT(weir_options_new(&options, NULL), WEIR_OK);
    CHECK_INT(weir_options_set(options, "source", cases[i].source, NULL), WEIR_OK);
    CHECK_INT(weir_options_set(options, "kafka", cases[i].setting, NULL), WEIR_OK);
    CHECK_INT(weir_job_builder_new("pv", &builder, NULL), WEIR_OK);
    CHECK(weir_source_of_options(builder, "in", &records, options) == NULL);
    CHECK_INT(weir_job_builder_check(builder, &error), WEIR_INVALID);
    if (strstr(error.message, cases[i].says) == NULL)
      TEST_FAIL("\"%s\" does not say \"%s\"", error.message, cases[i].says);
    CHECK(strstr(error.message, "secret") == NULL);
    weir_job_builder_free(&builder);
    weir_options_free(&options);
  }
}

/* Every allocation of the graph fails once: the builder says so, and nothing stays. */
TEST(a_kafka_source_without_memory) {
  const struct weir_kafka_options options = kafka_options(good_settings, 2);
  const struct wr_graph *graph = NULL;
  bool finished = false;
  uint64_t failures = 0;
  while (!finished) {
    struct test_memory memory;
    struct weir_job_builder builder;
    struct weir_error error = {.code = WEIR_OK};
    test_memory_init(&memory);
    test_memory_fail_after(&memory, failures + 1, false);
    fake_init(&fake, 1);
    CHECK_INT(wr_builder_init(&builder, &memory.memory, "pv", &error), WEIR_OK);
    weir_blackhole_sink(wr_kafka_source_with(&builder, "in", &options, &fake.driver), "out");
    enum weir_code code = wr_builder_finish(&builder, &graph, &error);
    finished = memory.failures == 0;
    CHECK_INT(code, finished ? WEIR_OK : WEIR_NO_MEMORY);
    failures += memory.failures;
    wr_builder_deinit(&builder);
    CHECK_INT(memory.living_count, 0);
  }
  CHECK(failures > 15);
}

TEST_MAIN(TEST_CASE(a_kafka_sources_settings), TEST_CASE(mistakes_of_a_kafka_source),
          TEST_CASE(kafka_settings_of_the_command_line), TEST_CASE(a_kafka_source_without_memory))
