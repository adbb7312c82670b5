/* sim/sim_kafka_producer.h: the simulated cluster as the Kafka sink sees it: one transactional id, its transactions,
 * and the marker that they move.
 *
 *   fencing       each fence gives a new epoch, and aborts what was open; producers of older epochs are FENCED
 *   transactions  an open one survives a kill of the engine, until a fence or its time-out; one that timed out shuts
 *                 its producer out
 *   the marker    moves with the transaction that holds it; while one is undecided it cannot be read
 *   the way       the connection can go at each call, before the brokers have got it or after they have done it; the
 *                 coordinator moves, and is waited for, or finishes elsewhere what it had decided
 *   commits       that happened and nobody hears of it, that happen later or never with the outcome open, that are
 *                 aborted, that happened and are answered with FENCED; that take a while to be decided. One that was
 *                 under way at a kill can still come, as from a process that was only slow, unless a fence was first:
 * half of them come just before it
 *
 * Outside of calls, and in sim_world_direct, everything is at once and without faults. One thread.
 */
#ifndef WR_SIM_KAFKA_PRODUCER_H
#define WR_SIM_KAFKA_PRODUCER_H

#include "connectors/kafka/kafka_producer.h"
#include "sim/sim_kafka.h"

const struct wr_kafka_producer_driver *sim_kafka_producer_driver(struct sim_kafka *kafka);
uint32_t sim_kafka_producers(const struct sim_kafka *kafka); /* that are open */

/* A transaction with a marker was committed. NULL: nobody listens. */
typedef void sim_kafka_committed(void *context, const struct wr_kafka_group_marker *before,
                                 const struct wr_kafka_group_marker *now, uint32_t messages);
void sim_kafka_on_commit(struct sim_kafka *kafka, sim_kafka_committed *committed, void *context);
/* From now on no transaction times out before a minute has passed, whatever its producer says. */
void sim_kafka_be_patient(struct sim_kafka *kafka);
/* Longer messages are refused for good; 0: all are taken. */
void sim_kafka_limit_messages(struct sim_kafka *kafka, size_t bytes_max);
/* Is a transaction open now, and not decided? */
bool sim_kafka_has_open(struct sim_kafka *kafka);

/* All records that a reader of committed records gets in the end, partition by partition, in order. */
typedef void sim_kafka_reader(void *context, uint32_t partition, const struct sim_kafka_message *message);
void sim_kafka_read_all(struct sim_kafka *kafka, sim_kafka_reader *reader, void *context);

/* Topic and marker as they are now. */
struct sim_kafka_image *sim_kafka_image_take(struct sim_kafka *kafka);
/* Makes them so again. */
void sim_kafka_image_put(struct sim_kafka *kafka, const struct sim_kafka_image *image);
void sim_kafka_image_free(struct sim_kafka_image *image); /* NULL: nothing */
struct wr_kafka_group_marker sim_kafka_image_marker(const struct sim_kafka_image *image);
struct wr_kafka_group_marker sim_kafka_marker(struct sim_kafka *kafka);
/* Another marker in its place, or none. A long time has passed: what was open is over. Returns the one before. */
struct wr_kafka_group_marker sim_kafka_set_marker(struct sim_kafka *kafka, struct wr_kafka_group_marker marker);
/* No record, no marker. */
void sim_kafka_empty(struct sim_kafka *kafka);

#endif
