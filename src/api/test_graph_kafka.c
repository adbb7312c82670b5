/* api/test_graph_kafka.c: a Kafka source's and sink's options and settings, what is wrong with them, and a graph of
 * them without memory. No client is opened. */
#include "api/api_int.h"

#include "api/test_builder.h"
#include "connectors/kafka/kafka.h"
#include "connectors/kafka/kafka_target.h"
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
    CHECK_INT(config->discovery_interval_ms, count == 0 ? 5000 : 250);
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
  } cases[] = {{{{"a", "1"}, {"a", "2"}}, 2, "option \"properties.a\" is given twice"},
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
               {"kafka://a:9092/views", "group.instance.id=secret", "setting group.instance.id is not a user's to set"},
               {"kafka://a:9092/views", "sasl.password=secret", "by sasl.password-file or sasl.password-env"},
               {"kafka://a:9092/views", "ssl.key.password=secret", "every user of this machine can read"},
               {"kafka://a:9092/views", "ssl.key.pem=secret", "the file that holds the key by ssl.key.location"}};
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

/* The same by options alone, and by both. */
TEST(a_kafka_sources_options) {
  static const struct weir_setting given[] = {{"topic", "views"},
                                              {"properties.bootstrap.servers", "a:9092"},
                                              {"scan.topic-partition-discovery.interval", "3s"},
                                              {"properties.topic.metadata.refresh.interval.ms", "250"},
                                              {"scan.watermark.idle-timeout", "7s"},
                                              {"json.ignore-parse-errors", "true"},
                                              {"properties.sasl.password-file", "/run/pw"},
                                              {"format", "json"},
                                              {"scan.startup.mode", "earliest-offset"}};
  struct weir_job_builder *builder = NULL;
  struct weir_kafka_options options = {
      .size = sizeof options, .schema = &row_schema, .options = given, .option_count = 9};
  CHECK_INT(weir_job_builder_new("pv", &builder, NULL), WEIR_OK);
  fake_init(&fake, 1);
  const struct weir_stream *views = wr_kafka_source_with(builder, "in", &options, &fake.driver);
  CHECK(views != NULL && builder->dead_letter_path != NULL);
  const struct wr_kafka_config *config = builder->graph.nodes[views->node].config;
  CHECK_STRING(config->topic, "views");
  CHECK_STRING(config->connection.servers, "a:9092");
  CHECK_INT(config->discovery_interval_ms, 3000);
  CHECK_INT(config->idle_timeout_ms, 7000);
  CHECK_INT(config->on_error, WR_KAFKA_SKIP);
  CHECK_INT(config->connection.setting_count, 2);
  CHECK_STRING(config->connection.settings[0].key, "topic.metadata.refresh.interval.ms");
  CHECK_STRING(config->connection.settings[1].key, "sasl.password-file");
  weir_job_builder_free(&builder);
  static const struct {
    struct weir_setting option;
    const char *says;
  } cases[] = {{{"topic", "other"}, "option \"topic\" is given twice"},
               {{"scan.startup.mod", "x"}, "did you mean \"scan.startup.mode\"?"},
               {{"scan.startup.mode", "latest-offset"}, "is earliest-offset, not \"latest-offset\""},
               {{"format", "avro"}, "option \"format\" is json, not \"avro\""},
               {{"scan.topic-partition-discovery.interval", "0s"}, "from 1 to 86400000 ms"},
               {{"properties.no.such.setting", "1"}, "there is no setting no.such.setting"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct weir_error error = {.code = WEIR_OK};
    options = kafka_options(NULL, 0);
    options.options = &cases[i].option;
    options.option_count = 1;
    CHECK_INT(weir_job_builder_new("pv", &builder, NULL), WEIR_OK);
    CHECK(wr_kafka_source_with(builder, "in", &options, &fake.driver) == NULL);
    CHECK_INT(weir_job_builder_check(builder, &error), WEIR_INVALID);
    if (strstr(error.message, cases[i].says) == NULL)
      TEST_FAIL("\"%s\" does not say \"%s\"", error.message, cases[i].says);
    weir_job_builder_free(&builder);
  }
}

static void build_source(struct weir_job_builder *builder, const void *options) {
  fake_init(&fake, 1);
  weir_blackhole_sink(wr_kafka_source_with(builder, "in", options, &fake.driver), "out");
}

TEST(a_kafka_source_without_memory) {
  const struct weir_kafka_options options = kafka_options(good_settings, 2);
  test_builder_without_memory(build_source, &options, 15);
}

/* ---- the sink ---- */

static enum weir_code check_sink(const struct wr_kafka_producer_driver *driver,
                                 const struct wr_kafka_producer_options *options, struct weir_error *error) {
  (void)driver;
  for (uint32_t i = 0; i < options->connection.setting_count; i++)
    if (strcmp(options->connection.settings[i].key, "acks") == 0)
      return WR_FAIL(error, WEIR_INVALID, "the setting acks cannot be given");
  return WEIR_OK;
}
static const struct wr_kafka_producer_driver sink_driver = {.check = check_sink};

static const struct weir_field pair_fields[] = {{"app", WEIR_TYPE_STRING, false}, {"n", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema pair_schema = {pair_fields, 2};
static const char *const pair_key[] = {"n", "app"};
static const struct weir_kafka_setting client_settings[] = {{"linger.ms", "5"}, {"acks", "1"}, {NULL, "1"}};
static const struct weir_setting sink_settings[] = {{"json.encode.ignore-null-fields", "true"},
                                                    {"key.fields", "n;app"},
                                                    {"key.fields", "n;"},
                                                    {"no.such", "1"},
                                                    {"topic", "counts"},
                                                    {"properties.bootstrap.servers", "a:9092"},
                                                    {"properties.linger.ms", "5"},
                                                    {"properties.transaction.timeout.ms", "5000"}};

/* Rows of the generator into a sink; `message_key` NULL: none. Its config. */
static const struct wr_kafka_sink_config *
make_sink(struct weir_job_builder *builder, const struct weir_kafka_sink_options *options, const char *message_key) {
  const struct weir_generator_options rows = {.size = sizeof rows, .schema = &pair_schema, .key_count = 1};
  struct weir_stream *stream = weir_generator_source(builder, "in", &rows);
  if (message_key != NULL) stream = weir_message_key(stream, message_key);
  wr_kafka_sink_with(stream, "out", options, &sink_driver);
  for (uint32_t i = 0; builder->error.code == WEIR_OK && i < builder->graph.node_count; i++)
    if (strcmp(builder->graph.nodes[i].uid, "out") == 0)
      return ((struct wr_sink_config *)builder->graph.nodes[i].config)->target_config;
  return NULL;
}

static struct weir_kafka_sink_options sink_options(void) {
  return (struct weir_kafka_sink_options){
      .size = sizeof(struct weir_kafka_sink_options), .servers = "a:9092", .topic = "counts"};
}

/* The key: of the rows; by the option; named by the program; none. */
TEST(a_kafka_sinks_key) {
  for (int kind = 0; kind < 4; kind++) {
    struct weir_job_builder *builder = NULL;
    struct weir_kafka_sink_options options = sink_options();
    CHECK_INT(weir_job_builder_new("pv", &builder, NULL), WEIR_OK);
    options.client_settings = client_settings;
    options.client_setting_count = 1;
    options.settings = sink_settings;
    options.setting_count = kind == 1 ? 2 : 1;
    options.is_upsert = kind == 0;
    if (kind == 0) options.key_fields = pair_key;
    if (kind == 0) options.key_field_count = 2;
    const struct wr_kafka_sink_config *config = make_sink(builder, &options, kind < 3 ? "app" : NULL);
    CHECK(config != NULL);
    CHECK_INT(config->key_count, kind < 2 ? 2 : 3 - kind);
    if (kind == 0) CHECK(config->key_fields[0] == 1 && config->key_fields[1] == 0);
    if (kind == 1) CHECK(config->key_fields[0] == 1 && config->key_fields[1] == 0);
    if (kind == 2) CHECK_INT(config->key_fields[0], 0);
    CHECK(config->is_upsert == (kind == 0) && config->ignore_null_fields && config->transaction_timeout_ms == 60000);
    CHECK_STRING(config->topic, "counts");
    CHECK_STRING(config->connection.settings[0].value, "5");
    CHECK_STRING(config->transactional_id_prefix, "weir");
    CHECK(builder->needs_folder);
    weir_job_builder_free(&builder);
  }
}

/* The same by options alone. */
TEST(a_kafka_sinks_options) {
  struct weir_job_builder *builder = NULL;
  const struct weir_kafka_sink_options options = {
      .size = sizeof options, .settings = sink_settings + 4, .setting_count = 4};
  CHECK_INT(weir_job_builder_new("pv", &builder, NULL), WEIR_OK);
  const struct wr_kafka_sink_config *config = make_sink(builder, &options, NULL);
  CHECK(config != NULL);
  CHECK_STRING(config->topic, "counts");
  CHECK_STRING(config->connection.servers, "a:9092");
  CHECK_INT(config->connection.setting_count, 1);
  CHECK_STRING(config->connection.settings[0].key, "linger.ms");
  CHECK_INT(config->transaction_timeout_ms, 5000);
  weir_job_builder_free(&builder);
}

TEST(mistakes_of_a_kafka_sink) {
  static const struct {
    uint32_t client_first, client_count, first, count;
    bool has_topic, is_upsert, is_keyed;
    const char *message_key, *says;
  } cases[] = {{0, 0, 0, 0, false, false, false, NULL, "needs servers and a topic"},
               {1, 1, 0, 0, true, false, false, NULL, "the setting acks cannot be given"},
               {2, 1, 0, 0, true, false, false, NULL, "a key and a value"},
               {0, 0, 3, 1, true, false, false, NULL, "no option \"no.such\""},
               {0, 0, 4, 1, true, false, false, NULL, "option \"topic\" is given twice"},
               {0, 1, 6, 1, true, false, false, NULL, "option \"properties.linger.ms\" is given twice"},
               {0, 0, 2, 1, true, false, false, NULL, "no field"},
               {0, 0, 1, 1, true, true, true, NULL, "leave key.fields out"},
               {0, 0, 0, 0, true, true, false, NULL, "needs the fields of the key"},
               {0, 0, 0, 0, true, false, false, "apq", "no field"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct weir_job_builder *builder = NULL;
    struct weir_error error = {.code = WEIR_OK};
    struct weir_kafka_sink_options options = sink_options();
    CHECK_INT(weir_job_builder_new("pv", &builder, NULL), WEIR_OK);
    if (!cases[i].has_topic) options.topic = NULL;
    options.client_settings = client_settings + cases[i].client_first;
    options.client_setting_count = cases[i].client_count;
    options.settings = sink_settings + cases[i].first;
    options.setting_count = cases[i].count;
    options.is_upsert = cases[i].is_upsert;
    options.key_fields = pair_key;
    options.key_field_count = cases[i].is_keyed ? 2 : 0;
    CHECK(make_sink(builder, &options, cases[i].message_key) == NULL);
    CHECK_INT(weir_job_builder_check(builder, &error), WEIR_INVALID);
    if (strstr(error.message, cases[i].says) == NULL)
      TEST_FAIL("\"%s\" does not say \"%s\"", error.message, cases[i].says);
    weir_job_builder_free(&builder);
  }
}

static void build_sink(struct weir_job_builder *builder, const void *options) {
  make_sink(builder, options, "app");
}

TEST(a_kafka_sink_without_memory) {
  struct weir_kafka_sink_options options = sink_options();
  options.client_settings = client_settings;
  options.client_setting_count = 1;
  options.settings = sink_settings;
  options.setting_count = 2;
  test_builder_without_memory(build_sink, &options, 15);
}

TEST_MAIN(TEST_CASE(a_kafka_sources_settings), TEST_CASE(mistakes_of_a_kafka_source),
          TEST_CASE(kafka_settings_of_the_command_line), TEST_CASE(a_kafka_sources_options),
          TEST_CASE(a_kafka_source_without_memory), TEST_CASE(a_kafka_sinks_key), TEST_CASE(a_kafka_sinks_options),
          TEST_CASE(mistakes_of_a_kafka_sink), TEST_CASE(a_kafka_sink_without_memory))
