/* sim/sim_topic.h: the simulated log as what producers write into a topic (sim_kafka.h), line by line.
 *
 * A line becomes a record, alone or in one of a few transactions that are open at a time and end later; an empty line a
 * record with an empty value, or a tombstone. Between them are offsets without a record, and, for readers of committed
 * records, records of transactions that are aborted; for readers of uncommitted ones, lines are aborted too and count.
 * The partition with the number p is there as soon as one of p or above has something. Host memory. One thread.
 */
#ifndef WR_SIM_TOPIC_H
#define WR_SIM_TOPIC_H

#include "sim/sim_kafka.h"

struct sim_log;

enum { SIM_TOPIC_OPEN_MAX = 3 };

struct sim_topic {
  uint32_t lines_done;
  struct sim_topic_transaction {
    bool is_open;
    int32_t transaction;
    uint64_t end_ns;
  } open[SIM_TOPIC_OPEN_MAX]; /* the last is aborted */
};

/* Makes the partitions up to this one. */
void sim_topic_add_partitions(struct sim_log *log, uint32_t partition);
/* Produces the lines of a partition that end at or before byte `to`. */
void sim_topic_produce(struct sim_log *log, uint32_t partition, size_t to);
/* Ends the transactions that are due. */
void sim_topic_end_transactions(struct sim_log *log, uint32_t partition);
/* When the next one is due; UINT64_MAX: none is open. */
uint64_t sim_topic_next_ns(const struct sim_log *log, uint32_t partition);

#endif
