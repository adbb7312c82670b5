/* connectors/kafka/kafka_plain.h: a Kafka topic as a plain sink (operators/plain_sink.h): a producer without
 * transactions, flushed at each tick. At-least-once: what was flushed after the checkpoint of a restart comes again,
 * and readers see every message at once. Rows become messages as with the two-phase sink; the last change of a key is
 * that of a tick, where that sink's is that of a checkpoint.
 *
 * A tick that failed is written anew as a whole, by another producer: nobody knows what of it the brokers have taken.
 */
#ifndef WR_CONNECTORS_KAFKA_PLAIN_H
#define WR_CONNECTORS_KAFKA_PLAIN_H

#include "connectors/kafka/kafka_target.h"
#include "operators/plain_sink.h"

/* By a struct wr_kafka_sink_config. */
wr_new_plain_target wr_kafka_plain_new;

#endif
