/* connectors/kafka/kafka_options.h: the options of a Kafka source and of a Kafka sink, and the part of them that is the
 * client's. Pure.
 *
 * Names are those of Flink's kafka and upsert-kafka connectors. "properties.KEY" is the client's setting KEY, but for
 * the few that have a row of their own.
 */
#ifndef WR_CONNECTORS_KAFKA_OPTIONS_H
#define WR_CONNECTORS_KAFKA_OPTIONS_H

#include "connectors/connector_options.h"
#include "connectors/kafka/kafka.h"
#include "connectors/kafka/kafka_target.h"

enum wr_kafka_option {
  WR_KAFKA_TOPIC,
  WR_KAFKA_SERVERS,
  WR_KAFKA_FORMAT,
  WR_KAFKA_STARTUP_MODE,
  WR_KAFKA_DISCOVERY_INTERVAL,
  WR_KAFKA_IDLE_TIMEOUT,
  WR_KAFKA_PASSWORD_FILE,
  WR_KAFKA_PASSWORD_ENV,
  WR_KAFKA_KEY_PASSWORD_FILE,
  WR_KAFKA_KEY_PASSWORD_ENV,
  WR_KAFKA_PROPERTIES,
  WR_KAFKA_OPTION_COUNT
};
extern const struct wr_connector_option wr_kafka_options[WR_KAFKA_OPTION_COUNT];

enum wr_kafka_sink_option {
  WR_KAFKA_SINK_TOPIC,
  WR_KAFKA_SINK_SERVERS,
  WR_KAFKA_SINK_PREFIX,
  WR_KAFKA_SINK_TRANSACTION_TIMEOUT,
  WR_KAFKA_SINK_KEY_FIELDS,
  WR_KAFKA_SINK_IGNORE_NULL_FIELDS,
  WR_KAFKA_SINK_FLUSH_INTERVAL,
  WR_KAFKA_SINK_PASSWORD_FILE,
  WR_KAFKA_SINK_PASSWORD_ENV,
  WR_KAFKA_SINK_KEY_PASSWORD_FILE,
  WR_KAFKA_SINK_KEY_PASSWORD_ENV,
  WR_KAFKA_SINK_PROPERTIES,
  WR_KAFKA_SINK_OPTION_COUNT
};
extern const struct wr_connector_option wr_kafka_sink_options[WR_KAFKA_SINK_OPTION_COUNT];

/* What the client is given of the settings, in their order, into `out` with room for all of them. Texts are borrowed;
 * the keys are without "properties.". `table` is one of the two above. Returns how many there are. */
uint32_t wr_kafka_client_settings(const struct wr_connector_option *table, uint32_t table_count,
                                  const struct wr_connector_setting *settings, uint32_t setting_count,
                                  struct wr_kafka_setting *out);
/* The parts of the configs that the values of the tables say, and the client's settings, of which the source heeds two;
 * all is borrowed. INVALID: a setting that the source heeds has no value that it can use. */
enum weir_code wr_kafka_config_read(const struct wr_connector_value *values, const struct wr_kafka_setting *client,
                                    uint32_t client_count, struct wr_kafka_config *out_config,
                                    struct weir_error *error);
void wr_kafka_sink_config_read(const struct wr_connector_value *values, const struct wr_kafka_setting *client,
                               uint32_t client_count, struct wr_kafka_sink_config *out_config);

#endif
