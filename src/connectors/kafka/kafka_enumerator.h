/* connectors/kafka/kafka_enumerator.h: the enumerator of the Kafka source. One per job. */
#ifndef WR_CONNECTORS_KAFKA_ENUMERATOR_H
#define WR_CONNECTORS_KAFKA_ENUMERATOR_H

#include "connectors/kafka/kafka.h"

enum weir_code wr_kafka_enumerator_new(const struct wr_kafka_config *config,
                                       const struct wr_enumerator_context *context, const struct wr_split *restored,
                                       uint32_t restored_count, struct wr_enumerator **out_enumerator,
                                       struct weir_error *error);

#endif
