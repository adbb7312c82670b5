/* connectors/kafka/kafka_rdkafka.h: librdkafka as the client of the Kafka source and sink.
 *
 * The library is loaded when it is first asked for (librdkafka.so.1, or the file that the setting `weir.librdkafka`
 * names), so that a program that has to do with no topic neither needs nor pays for it. */
#ifndef WR_CONNECTORS_KAFKA_RDKAFKA_H
#define WR_CONNECTORS_KAFKA_RDKAFKA_H

#include "connectors/kafka/kafka_producer.h"

/* The one driver of this process, for sources and for sinks. */
const struct wr_kafka_driver *wr_kafka_rdkafka(void);
const struct wr_kafka_producer_driver *wr_kafka_rdkafka_producer(void);

#endif
