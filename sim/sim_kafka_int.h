/* sim/sim_kafka_int.h: the inside of the simulated cluster, shared by sim_kafka.c (the topic), sim_kafka_broker.c (who
 * answers what, and when), sim_kafka_admin.c and sim_kafka_consumer.c (the clients). Nobody else includes it. */
#ifndef WR_SIM_KAFKA_INT_H
#define WR_SIM_KAFKA_INT_H

#include "sim/sim_internal.h"
#include "sim/sim_kafka.h"
#include "sim/sim_kafka_producer.h"

enum { SIM_KAFKA_BROKERS = 3 };

struct sim_kafka_entry {
  int64_t offset, timestamp_ms;
  int32_t transaction;
  bool marker; /* the end of a transaction; never given out */
  bool has_key, has_value;
  size_t key, key_length, value, value_length; /* places in the partition's bytes */
};

struct sim_kafka_transaction {
  int64_t first; /* offset of its first record; -1: it has none yet */
  enum { SIM_TRANSACTION_OPEN, SIM_TRANSACTION_COMMITTED, SIM_TRANSACTION_ABORTED } state;
};

struct sim_kafka_partition {
  struct sim_kafka_entry *entries; /* by ascending offset */
  size_t entry_count, entry_capacity;
  uint8_t *bytes; /* of keys and values */
  size_t byte_count, byte_capacity;
  struct sim_kafka_transaction *transactions;
  size_t transaction_count, transaction_capacity;
  int64_t low, next;
  int64_t known, shown;
  uint32_t leader; /* a broker */
  uint64_t leaderless_until_ns;
};

struct sim_kafka_admin {
  struct wr_kafka_admin base; /* first */
  struct sim_kafka *kafka;
  struct wr_memory *memory;
  bool misled; /* was given a wrong answer, and no right one since */
  struct sim_kafka_admin *next;
};

/* A partition that a consumer fetches. */
struct sim_kafka_fetching {
  bool assigned, was_assigned;
  bool is_silent;  /* nothing is said while the partition is not there */
  uint64_t serial; /* of the assignment; what is under way for another is dropped */
  int64_t taken;   /* the records below were taken */
  int64_t come;    /* those below have come */
  enum { SIM_FETCH_UNDER_WAY, SIM_FETCH_AT_END, SIM_FETCH_FULL } state;
  bool end_told;     /* at_end is to be told at the next take that empties it */
  int64_t end, high; /* as heard with it */
  uint64_t scale;    /* records a fetch, about */
  enum wr_kafka_answer answer;
  bool wrong;  /* the answer is */
  bool misled; /* a wrong answer was taken, and no right one since */
};

struct sim_kafka_consumer {
  struct wr_kafka_consumer base; /* first */
  struct sim_kafka *kafka;
  struct wr_memory *memory;
  struct wr_waker *waker;
  uint64_t serial; /* among all of the cluster's life */
  bool uncommitted;
  bool has_heard;                                                /* of the topic and the number of its partitions */
  uint32_t room;                                                 /* records that it holds of one partition, at most */
  struct sim_kafka_fetching *fetching[SIM_KAFKA_PARTITIONS_MAX]; /* engine's memory; NULL: never assigned */
  struct wr_kafka_record *records;                               /* given out, with all bytes; host memory */
  uint8_t *bytes;
  size_t bytes_length;
  uint32_t record_count;
  uint32_t succeeded, failed; /* commits; not told yet */
  bool trouble;               /* not told yet */
  struct sim_kafka_consumer *next;
};

/* Of the transactional id: what is open, and the marker. */
struct sim_kafka_coordinator {
  uint64_t epoch; /* of the producer that may write */
  bool is_open;
  bool is_decided;       /* committed, but it takes until commit_at_ns to be seen */
  bool is_hidden;        /* the pending marker has not come yet */
  uint64_t commit_at_ns; /* a commit is under way; 0: none */
  uint64_t timeout_at_ns;
  int32_t transactions[SIM_KAFKA_PARTITIONS_MAX];
  uint32_t message_count;
  struct wr_kafka_group_marker pending, marker;
};

struct sim_kafka {
  struct wr_kafka_driver driver; /* first */
  struct sim_world *world;
  struct wr_random random; /* of how the brokers behave without any fault */
  char topic[40], rule_name[48];
  uint32_t partition_count;
  struct sim_kafka_partition partitions[SIM_KAFKA_PARTITIONS_MAX];
  uint64_t away_until_ns[SIM_KAFKA_BROKERS];
  enum sim_kafka_state state;
  uint32_t state_partition;
  int64_t state_offset;
  uint64_t misled_since_ns; /* of the first wrong answer of a doubt that may not be cleared yet; 0: none */
  struct sim_kafka_watch watch;
  struct sim_kafka_admin *admins;
  struct sim_kafka_consumer *consumers;
  struct wr_kafka_producer_driver producer_driver;
  struct sim_kafka_producer *producers;
  struct sim_kafka_coordinator coordinator;
  uint64_t coordinator_away_until_ns; /* it is being moved */
  uint64_t epoch_last;
  size_t message_bytes_max;      /* 0: no limit */
  uint64_t transaction_least_ns; /* a transaction does not time out before */
  sim_kafka_committed *committed;
  void *committed_context;
  uint64_t serial;
  struct sim_kafka_ticket *tickets; /* what is under way; see sim_kafka_consumer.c */
};

/* ---- sim_kafka.c ---- */

/* The first entry at or behind an offset. */
size_t sim_kafka_find(const struct sim_kafka_partition *partition, int64_t offset);
/* May a reader get this entry? */
bool sim_kafka_is_visible(const struct sim_kafka_partition *partition, const struct sim_kafka_entry *entry,
                          bool uncommitted);
/* As the topic is now, in its state. */
uint32_t sim_kafka_count_now(const struct sim_kafka *kafka);
int64_t sim_kafka_low_now(const struct sim_kafka *kafka, uint32_t partition);
int64_t sim_kafka_high_now(const struct sim_kafka *kafka, uint32_t partition);

/* ---- sim_kafka_broker.c ---- */

uint64_t sim_kafka_latency_ns(struct sim_kafka *kafka);
bool sim_kafka_draw(struct sim_kafka *kafka, enum sim_fault fault);
/* Before the engine's operation `what`: counts it, sleeps (in a call). False: it has no effect, since the engine was
 * killed or is about to be, or (*out_ordered) since an error falls on it by order. */
bool sim_kafka_operation(struct sim_kafka *kafka, const char *what, bool *out_ordered);
/* After it took effect: the ordered crash on that side. False as above. */
bool sim_kafka_operation_done(struct sim_kafka *kafka, const char *what);
/* Brokers and leaders go away, by the plan. */
void sim_kafka_weather(struct sim_kafka *kafka, uint32_t partition);
/* When the partition's leader can be asked; 0: now. */
uint64_t sim_kafka_away_until(const struct sim_kafka *kafka, uint32_t partition);
/* When any broker can be asked; 0: now. */
uint64_t sim_kafka_all_away_until(const struct sim_kafka *kafka);
/* May the brokers say something wrong now? */
bool sim_kafka_may_mislead(const struct sim_kafka *kafka);
void sim_kafka_misled(struct sim_kafka *kafka);
/* Somebody was told rightly: when nobody is misled any more, they may begin anew. */
void sim_kafka_told_right(struct sim_kafka *kafka);

/* ---- the clients ---- */

/* In a call: until somebody can be asked. TIMEOUT. */
enum weir_code sim_kafka_reach(struct sim_kafka *kafka, uint64_t timeout_ns, struct weir_error *error);
/* Was any producer given a wrong answer, and no right one since? */
bool sim_kafka_producer_is_misled(const struct sim_kafka *kafka);

enum weir_code sim_kafka_open_admin(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                                    struct wr_seams *seams, struct wr_memory *memory, struct wr_kafka_admin **out_admin,
                                    struct weir_error *error);
enum weir_code sim_kafka_open_consumer(const struct wr_kafka_driver *driver,
                                       const struct wr_kafka_connection *connection, const char *topic,
                                       struct wr_seams *seams, struct wr_memory *memory, struct wr_waker *waker,
                                       struct wr_kafka_consumer **out_consumer, struct weir_error *error);
/* Something was appended, or became stable: who waits for it is told, after a while. */
void sim_kafka_stir(struct sim_kafka *kafka, uint32_t partition);
void sim_kafka_drop_tickets(struct sim_kafka *kafka);
/* No broker answers: the consumers say so. */
void sim_kafka_trouble(struct sim_kafka *kafka);

#endif
