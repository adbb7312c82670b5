/* connectors/kafka/kafka_options.c: see kafka_options.h. */
#include "connectors/kafka/kafka_options.h"

#include "base/option_values.h"
#include "connectors/secret.h"
#include "connectors/source_options.h"

#include <string.h>

#define PROPERTIES "properties."

/* ---- tables ---- */

#define TOPIC_ROW                                                                                                      \
  { .key = "topic", .type = WR_CONNECTOR_TEXT, .help = "the name of the topic, which must be there" }
#define SERVERS_ROW                                                                                                    \
  {                                                                                                                    \
    .key = PROPERTIES "bootstrap.servers", .type = WR_CONNECTOR_TEXT,                                                  \
    .help = "HOST:PORT, or several with commas between; the others of the cluster are found by them"                   \
  }
#define FILE_ROW(secret, whose)                                                                                        \
  {                                                                                                                    \
    .key = PROPERTIES secret "-file", .type = WR_CONNECTOR_TEXT,                                                       \
    .help = "a file whose first line is " whose ", read when a client is opened"                                       \
  }
#define ENV_ROW(secret, whose)                                                                                         \
  { .key = PROPERTIES secret "-env", .type = WR_CONNECTOR_TEXT, .help = "the environment variable that holds " whose }
#define PROPERTIES_ROW                                                                                                 \
  {                                                                                                                    \
    .key = PROPERTIES "*", .type = WR_CONNECTOR_TEXT,                                                                  \
    .help = "what librdkafka has settings for, by its name there; --kafka gives them without \"properties.\""          \
  }
#define USER "the user's password"
#define KEY "that of the private key"

const struct wr_connector_option wr_kafka_options[WR_KAFKA_OPTION_COUNT] = {
    [WR_KAFKA_TOPIC] = TOPIC_ROW,
    [WR_KAFKA_SERVERS] = SERVERS_ROW,
    [WR_KAFKA_FORMAT] = WR_SOURCE_FORMAT_ROW("format", "what the value of a record is"),
    [WR_KAFKA_STARTUP_MODE] = {.key = "scan.startup.mode",
                               .type = WR_CONNECTOR_CHOICE,
                               .default_text = "earliest-offset",
                               .choices = "earliest-offset",
                               .help = "where a first start begins; later ones go on where their checkpoint says"},
    [WR_KAFKA_DISCOVERY_INTERVAL] = {.key = "scan.topic-partition-discovery.interval",
                                     .type = WR_CONNECTOR_DURATION,
                                     .default_text = "5s",
                                     .minimum = 1,
                                     .maximum = 86400000,
                                     .help = "time between two looks for new partitions"},
    [WR_KAFKA_IDLE_TIMEOUT] = WR_SOURCE_IDLE_ROW("a partition"),
    [WR_KAFKA_PASSWORD_FILE] = FILE_ROW("sasl.password", USER),
    [WR_KAFKA_PASSWORD_ENV] = ENV_ROW("sasl.password", USER),
    [WR_KAFKA_KEY_PASSWORD_FILE] = FILE_ROW("ssl.key.password", KEY),
    [WR_KAFKA_KEY_PASSWORD_ENV] = ENV_ROW("ssl.key.password", KEY),
    [WR_KAFKA_PROPERTIES] = PROPERTIES_ROW,
};

const struct wr_connector_option wr_kafka_sink_options[WR_KAFKA_SINK_OPTION_COUNT] = {
    [WR_KAFKA_SINK_TOPIC] = TOPIC_ROW,
    [WR_KAFKA_SINK_SERVERS] = SERVERS_ROW,
    [WR_KAFKA_SINK_PREFIX] = {.key = "sink.transactional-id-prefix",
                              .type = WR_CONNECTOR_TEXT,
                              .default_text = "weir",
                              .help = "beginning of the transactional id and of the marker's group, which both are "
                                      "PREFIX-JOB-SINK, or PREFIX:JOB:SINK where job or sink has a - in its name"},
    [WR_KAFKA_SINK_TRANSACTION_TIMEOUT] = {.key = PROPERTIES "transaction.timeout.ms",
                                           .type = WR_CONNECTOR_NUMBER,
                                           .default_text = "60000",
                                           .minimum = 1000,
                                           .maximum = INT32_MAX,
                                           .help = "milliseconds that a transaction may take; the brokers' "
                                                   "transaction.max.timeout.ms or less"},
    [WR_KAFKA_SINK_KEY_FIELDS] = {.key = "key.fields",
                                  .type = WR_CONNECTOR_TEXT,
                                  .help = "fields of a message's key, with ; between them; where the rows have no key "
                                          "of their own"},
    [WR_KAFKA_SINK_IGNORE_NULL_FIELDS] = {.key = "json.encode.ignore-null-fields",
                                          .type = WR_CONNECTOR_FLAG,
                                          .default_text = "false",
                                          .help = "leave a NULL out of its object"},
    [WR_KAFKA_SINK_FLUSH_INTERVAL] = {.key = "sink.buffer-flush.interval",
                                      .type = WR_CONNECTOR_DURATION,
                                      .default_text = "1s",
                                      .minimum = 1,
                                      .maximum = 3600000,
                                      .help = "how often a plain sink sends what it has; only with --plain"},
    [WR_KAFKA_SINK_PASSWORD_FILE] = FILE_ROW("sasl.password", USER),
    [WR_KAFKA_SINK_PASSWORD_ENV] = ENV_ROW("sasl.password", USER),
    [WR_KAFKA_SINK_KEY_PASSWORD_FILE] = FILE_ROW("ssl.key.password", KEY),
    [WR_KAFKA_SINK_KEY_PASSWORD_ENV] = ENV_ROW("ssl.key.password", KEY),
    [WR_KAFKA_SINK_PROPERTIES] = PROPERTIES_ROW,
};

/* ---- settings into a config ---- */

uint32_t wr_kafka_client_settings(const struct wr_connector_option *table, uint32_t table_count,
                                  const struct wr_connector_setting *settings, uint32_t setting_count,
                                  struct wr_kafka_setting *out) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < setting_count; i++) {
    uint32_t row = wr_connector_options_find(table, table_count, settings[i].key);
    const char *key = settings[i].key + sizeof PROPERTIES - 1;
    size_t ignored = 0;
    bool is_file = false;
    if (row == table_count || strncmp(settings[i].key, PROPERTIES, sizeof PROPERTIES - 1) != 0) continue;
    if (strcmp(table[row].key, PROPERTIES "*") == 0 || wr_secret_is_way(key, &ignored, &is_file))
      out[count++] = (struct wr_kafka_setting){.key = key, .value = settings[i].text};
  }
  return count;
}

/* Settings of the client that the source acts on too. */
static enum weir_code heed(const struct wr_kafka_setting *setting, struct wr_kafka_config *config,
                           bool has_discovery_interval, struct weir_error *error) {
  int64_t interval_ms = 0;
  if (strcmp(setting->key, "group.id") == 0) config->connection.group = setting->value;
  if (strcmp(setting->key, "topic.metadata.refresh.interval.ms") != 0) return WEIR_OK;
  if (!wr_parse_number(setting->value, 1, 24ll * 60 * 60 * 1000, &interval_ms))
    return WR_FAIL(error, WEIR_INVALID, "%s is a whole number of milliseconds, from 1 to a day, not \"%.32s\"",
                   setting->key, setting->value);
  if (!has_discovery_interval) config->discovery_interval_ms = (uint64_t)interval_ms;
  return WEIR_OK;
}

enum weir_code wr_kafka_config_read(const struct wr_connector_value *values, const struct wr_kafka_setting *client,
                                    uint32_t client_count, struct wr_kafka_config *out_config,
                                    struct weir_error *error) {
  *out_config = (struct wr_kafka_config){
      .connection = {.servers = values[WR_KAFKA_SERVERS].text, .settings = client, .setting_count = client_count},
      .topic = values[WR_KAFKA_TOPIC].text,
      .idle_timeout_ms = (uint64_t)values[WR_KAFKA_IDLE_TIMEOUT].number,
      .discovery_interval_ms = (uint64_t)values[WR_KAFKA_DISCOVERY_INTERVAL].number};
  for (uint32_t i = 0; i < client_count; i++)
    WR_TRY(heed(&client[i], out_config, values[WR_KAFKA_DISCOVERY_INTERVAL].is_set, error));
  return WEIR_OK;
}

void wr_kafka_sink_config_read(const struct wr_connector_value *values, const struct wr_kafka_setting *client,
                               uint32_t client_count, struct wr_kafka_sink_config *out_config) {
  *out_config = (struct wr_kafka_sink_config){
      .connection = {.servers = values[WR_KAFKA_SINK_SERVERS].text, .settings = client, .setting_count = client_count},
      .topic = values[WR_KAFKA_SINK_TOPIC].text,
      .transactional_id_prefix = values[WR_KAFKA_SINK_PREFIX].text,
      .transaction_timeout_ms = (uint32_t)values[WR_KAFKA_SINK_TRANSACTION_TIMEOUT].number,
      .ignore_null_fields = values[WR_KAFKA_SINK_IGNORE_NULL_FIELDS].number != 0,
      .flush_interval_ms = values[WR_KAFKA_SINK_FLUSH_INTERVAL].number,
      .has_flush_interval = values[WR_KAFKA_SINK_FLUSH_INTERVAL].is_set};
}
