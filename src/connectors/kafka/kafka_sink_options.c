/* connectors/kafka/kafka_sink_options.c: the options of the Kafka sink, and its config by them. Pure. */
#include "connectors/kafka/kafka_target.h"

#include <stdio.h>

enum { PREFIX, TRANSACTION_TIMEOUT, KEY_FIELDS, IGNORE_NULL_FIELDS, FLUSH_INTERVAL, OPTION_COUNT };
_Static_assert((int)OPTION_COUNT == (int)WR_KAFKA_SINK_OPTION_COUNT, "the table of the header has another size");

const struct wr_connector_option wr_kafka_sink_options[WR_KAFKA_SINK_OPTION_COUNT] = {
    [PREFIX] = {"sink.transactional-id-prefix", WR_CONNECTOR_TEXT, "weir", 0, 0, NULL, false,
                "beginning of the transactional id and of the marker's group, which both are PREFIX-JOB-SINK"},
    [TRANSACTION_TIMEOUT] = {"properties.transaction.timeout.ms", WR_CONNECTOR_NUMBER, "60000", 1000, INT32_MAX, NULL,
                             false,
                             "milliseconds that a transaction may take; the brokers' transaction.max.timeout.ms or "
                             "less"},
    [KEY_FIELDS] = {"key.fields", WR_CONNECTOR_TEXT, NULL, 0, 0, NULL, false,
                    "fields of a message's key, with ; between them; where the rows have no key of their own"},
    [IGNORE_NULL_FIELDS] = {"json.encode.ignore-null-fields", WR_CONNECTOR_FLAG, "false", 0, 0, NULL, false,
                            "leave a NULL out of its object"},
    [FLUSH_INTERVAL] = {"sink.buffer-flush.interval", WR_CONNECTOR_DURATION, "1s", 1, 3600000, NULL, false,
                        "how often a plain sink sends what it has; only with --plain"},
};

enum weir_code wr_kafka_sink_config_read(const char *uid, const struct wr_connector_setting *settings,
                                         uint32_t setting_count, struct wr_kafka_sink_config *config,
                                         const char **out_key_fields, struct weir_error *error) {
  struct wr_connector_value values[OPTION_COUNT];
  char what[WR_UID_BYTES_MAX + 32];
  snprintf(what, sizeof what, "the Kafka sink \"%s\"", uid);
  WR_TRY(wr_connector_options_read(wr_kafka_sink_options, OPTION_COUNT, settings, setting_count, what, values, error));
  config->transactional_id_prefix = values[PREFIX].text;
  config->transaction_timeout_ms = (uint32_t)values[TRANSACTION_TIMEOUT].number;
  config->ignore_null_fields = values[IGNORE_NULL_FIELDS].number != 0;
  config->flush_interval_ms = values[FLUSH_INTERVAL].number;
  config->has_flush_interval = values[FLUSH_INTERVAL].is_set;
  *out_key_fields = values[KEY_FIELDS].text;
  return WEIR_OK;
}
