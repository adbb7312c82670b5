/* connectors/kafka/kafka_sink_look.h: what the two-phase and the plain Kafka sink begin with: is the topic there, and
 * may we write to it? Blocks; only inside a call. */
#ifndef WR_CONNECTORS_KAFKA_SINK_LOOK_H
#define WR_CONNECTORS_KAFKA_SINK_LOOK_H

#include "connectors/kafka/kafka_target.h"

/* NOT_FOUND, DENIED: the brokers say so, and say it still WR_KAFKA_SURE_AFTER_MS later. Transient: nobody answers. */
enum weir_code wr_kafka_sink_look(struct wr_kafka_producer *producer, const struct wr_kafka_sink_config *config,
                                  const struct wr_target_context *context, struct weir_error *error);

#endif
