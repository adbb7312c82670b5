/* connectors/kafka/kafka_notice.h: when something that lasts is worth a log line: when it begins, when it becomes
 * something else, every 10 s while it stays, and when it is over. Pure. */
#ifndef WR_CONNECTORS_KAFKA_NOTICE_H
#define WR_CONNECTORS_KAFKA_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

enum { WR_KAFKA_NOTICE_EVERY_MS = 10000 };

/* Zeroed: nothing was said. */
struct wr_kafka_notice {
  int kind; /* of what was said last; 0: all is well */
  uint64_t said_ns;
};

/* True: a line is due about `kind`, which is how it is now. */
static inline bool wr_kafka_notice_is_due(struct wr_kafka_notice *notice, int kind, uint64_t now_ns) {
  bool stays = notice->kind == kind;
  if (stays && (kind == 0 || now_ns - notice->said_ns < WR_KAFKA_NOTICE_EVERY_MS * 1000000ull)) return false;
  *notice = (struct wr_kafka_notice){.kind = kind, .said_ns = now_ns};
  return true;
}

/* The next of a series of delays: 100 ms, twice as long each time, at most `most_ms`. 0 begins the series. */
static inline uint64_t wr_kafka_next_delay_ns(uint64_t delay_ns, uint64_t most_ms) {
  uint64_t next_ns = delay_ns == 0 ? 100 * 1000000ull : delay_ns * 2, most_ns = most_ms * 1000000;
  return next_ns < most_ns ? next_ns : most_ns;
}

enum { WR_KAFKA_DELAY_MOST_MS = 10000 };

#endif
