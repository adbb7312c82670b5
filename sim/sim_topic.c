/* sim/sim_topic.c: see sim_topic.h. */
#include "sim/sim_topic.h"

#include "sim/sim_log.h"

#include <stdio.h>
#include <string.h>

static uint64_t now_ns(const struct sim_log *log) {
  struct wr_clock *clock = sim_world_seams(log->options.world)->clock;
  return clock->monotonic_ns(clock);
}

void sim_topic_add_partitions(struct sim_log *log, uint32_t partition) {
  if (sim_kafka_partition_count(log->options.kafka) <= partition)
    sim_kafka_set_partition_count(log->options.kafka, partition + 1);
}

/* An open transaction of this kind, begun where there is none. */
static int32_t transaction_of(struct sim_log *log, uint32_t p, uint32_t which) {
  struct sim_topic_transaction *open = &log->topics[p].open[which];
  if (!open->is_open)
    *open = (struct sim_topic_transaction){.is_open = true,
                                           .transaction = sim_kafka_begin(log->options.kafka, p),
                                           .end_ns = now_ns(log) + wr_random_below(&log->random, log->options.open_ns)};
  return open->transaction;
}

/* What nobody shall see: offsets without a record, a record that is aborted. */
static void produce_noise(struct sim_log *log, uint32_t p) {
  if (wr_random_one_in(&log->random, 25))
    sim_kafka_skip(log->options.kafka, p, 1 + (uint32_t)wr_random_below(&log->random, 5));
  if (!log->options.transactions || log->options.uncommitted || !wr_random_one_in(&log->random, 15)) return;
  char value[64 + SIM_LOG_APP_BYTES_MAX];
  int length = snprintf(value, sizeof value, "{\"app_id\":\"%s\"}", log->apps[0]);
  struct sim_kafka_message ghost = {.value = value,
                                    .value_length = (size_t)length,
                                    .timestamp_ms = -1,
                                    .transaction = transaction_of(log, p, SIM_TOPIC_OPEN_MAX - 1)};
  sim_kafka_append(log->options.kafka, p, &ghost);
}

static void produce_line(struct sim_log *log, uint32_t p, struct sim_line *line, size_t end) {
  const struct sim_partition *partition = &log->partitions[p];
  struct sim_kafka_message message = {.value = partition->text + line->begin,
                                      .value_length = end - line->begin - 1, /* without its newline */
                                      .timestamp_ms = (int64_t)(now_ns(log) / 1000000),
                                      .transaction = SIM_KAFKA_NO_TRANSACTION};
  if (message.value_length == 0 && wr_random_one_in(&log->random, 2)) message.value = NULL;
  if (wr_random_one_in(&log->random, 2)) message.key = "key", message.key_length = wr_random_below(&log->random, 4);
  uint32_t kinds = log->options.uncommitted ? SIM_TOPIC_OPEN_MAX : SIM_TOPIC_OPEN_MAX - 1;
  if (log->options.transactions && wr_random_one_in(&log->random, 2))
    message.transaction = transaction_of(log, p, (uint32_t)wr_random_below(&log->random, kinds));
  line->offset = sim_kafka_append(log->options.kafka, p, &message);
}

void sim_topic_produce(struct sim_log *log, uint32_t p, size_t to) {
  struct sim_partition *partition = &log->partitions[p];
  struct sim_topic *topic = &log->topics[p];
  while (topic->lines_done < partition->line_count) {
    uint32_t next = topic->lines_done + 1;
    size_t end = next < partition->line_count ? partition->lines[next].begin : partition->length;
    if (end > to) break;
    produce_noise(log, p);
    produce_line(log, p, &partition->lines[topic->lines_done++], end);
  }
}

void sim_topic_end_transactions(struct sim_log *log, uint32_t p) {
  for (uint32_t which = 0; which < SIM_TOPIC_OPEN_MAX; which++) {
    struct sim_topic_transaction *open = &log->topics[p].open[which];
    if (!open->is_open || open->end_ns > now_ns(log)) continue;
    open->is_open = false;
    sim_kafka_end(log->options.kafka, p, open->transaction, which != SIM_TOPIC_OPEN_MAX - 1);
  }
}

uint64_t sim_topic_next_ns(const struct sim_log *log, uint32_t p) {
  uint64_t next_ns = UINT64_MAX;
  for (uint32_t which = 0; which < SIM_TOPIC_OPEN_MAX; which++) {
    const struct sim_topic_transaction *open = &log->topics[p].open[which];
    if (open->is_open && open->end_ns < next_ns) next_ns = open->end_ns;
  }
  return next_ns;
}
