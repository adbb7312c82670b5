/* connectors/kafka/kafka_rdkafka.h: librdkafka as the client of the Kafka source.
 *
 * The library is loaded when it is first asked for (librdkafka.so.1, or the file that the setting `weir.librdkafka`
 * names), so that a program that reads no topic neither needs nor pays for it. */
#ifndef WR_CONNECTORS_KAFKA_RDKAFKA_H
#define WR_CONNECTORS_KAFKA_RDKAFKA_H

#include "connectors/kafka/kafka_client.h"

/* The one driver of this process. */
const struct wr_kafka_driver *wr_kafka_rdkafka(void);

#endif
