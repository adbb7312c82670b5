/* connectors/kafka/kafka_client.h: what the Kafka source asks of a Kafka client. The one seam between the source and
 * librdkafka (kafka_rdkafka.h), or the simulated broker.
 *
 * A *driver* makes two kinds of clients. An *admin* answers questions about a topic; all its functions block and run
 * inside a call. A *consumer* fetches the records of partitions, each from an offset that it is told; its open and
 * close block and run inside a call, all else returns at once and belongs to one thread, the task's. What the client
 * does on threads of its own it announces by waking the waker; nothing else of the engine is touched from there.
 *
 * Who decides what: a client reports what brokers said, and tries again by itself what can be tried again (a broker
 * that is away, a leader that moved, a time-out). It never believes: "no such topic", "no such partition", "the offset
 * is out of range", "not allowed" are answers of a kind (enum wr_kafka_answer) that the source judges (kafka_judge.h).
 *
 * A client is a thing outside of the engine's memory; the driver adopts it (os/seams.h, calls), so that it is released
 * when an engine is dropped as a whole.
 */
#ifndef WR_CONNECTORS_KAFKA_CLIENT_H
#define WR_CONNECTORS_KAFKA_CLIENT_H

#include "os/seams.h"

/* A setting of librdkafka's, by its name there. Values may be secrets: they are never logged. */
struct wr_kafka_setting {
  const char *key, *value;
};

/* Where to connect, borrowed for the time of the call that gets it. */
struct wr_kafka_connection {
  const char *servers; /* "host:port", or several with commas between */
  const struct wr_kafka_setting *settings;
  uint32_t setting_count;
  const char *group; /* the consumer group that offsets are shown to; settings may name another (group.id) */
  const char *uid;   /* of the source, for messages */
};

/* What brokers said of a topic or partition. */
enum wr_kafka_answer {
  WR_KAFKA_FINE,
  WR_KAFKA_NO_TOPIC,     /* there is no such topic */
  WR_KAFKA_NO_PARTITION, /* the topic is there, this partition is not */
  WR_KAFKA_OUT_OF_RANGE, /* the offset is not between the first and the end of the partition */
  WR_KAFKA_NOT_ALLOWED,  /* no rights to the topic, or who we are was not accepted */
};

/* ---- admin: blocking, inside a call ---- */

struct wr_kafka_partition {
  int32_t partition;
  bool has_leader; /* else low and high are not known */
  int64_t low;     /* the offset of the earliest record that is kept */
  int64_t high;    /* the high watermark: the offset that the next record will get, whatever transactions are open */
};

struct wr_kafka_topic {
  enum wr_kafka_answer answer;           /* FINE, NO_TOPIC or NOT_ALLOWED; but for FINE the rest is empty */
  char reason[256];                      /* NOT_ALLOWED: the broker's words */
  char cluster[64];                      /* the cluster's id; "" where the broker gives none */
  struct wr_kafka_partition *partitions; /* ascending, without holes; memory of the caller's `memory` */
  uint32_t partition_count;
};

struct wr_kafka_admin;
struct wr_kafka_admin_vtable {
  /* Asks for the topic, all its partitions, their leaders and ranges. A transient error when nobody answered, or not
   * all of it could be had, within timeout_ms; its sentence has what the client knows of the reason. A partition whose
   * leader is away or did not answer has no leader here; that alone is no error. */
  enum weir_code (*look)(struct wr_kafka_admin *admin, const char *topic, uint32_t timeout_ms, struct wr_memory *memory,
                         struct wr_kafka_topic *out_topic, struct weir_error *error);
  void (*close)(struct wr_kafka_admin *admin); /* and free it */
};
struct wr_kafka_admin {
  const struct wr_kafka_admin_vtable *vtable;
};
static inline void wr_kafka_topic_deinit(struct wr_kafka_topic *topic, struct wr_memory *memory) {
  wr_free(memory, topic->partitions);
  topic->partitions = NULL;
}

/* ---- consumer ---- */

struct wr_kafka_record {
  int64_t offset;
  const uint8_t *key, *value; /* NULL: there is none; a record without a value is a tombstone */
  size_t key_length, value_length;
};

/* What has come of one partition. Records are in order of offsets, with holes where compaction, control records or
 * aborted transactions were. They are views, valid until `release`. */
struct wr_kafka_fetch {
  const struct wr_kafka_record *records;
  uint32_t count;
  /* True: what could be read was read, up to `end` (behind the records above): the high watermark; or, where only
   * committed records are read, the beginning of the first open transaction. */
  bool at_end;
  int64_t end;
  int64_t high; /* the newest high watermark that the client has heard of, for the lag; -1: none */
  /* But for FINE: fetching of this partition has stopped until it is assigned again. Behind the records above. */
  enum wr_kafka_answer answer;
  char reason[256];
};

struct wr_kafka_place {
  int32_t partition;
  int64_t offset; /* of the next record to read */
};

/* Offsets that were shown to the group, since the last time. */
struct wr_kafka_committed {
  uint32_t succeeded, failed; /* commits */
  char reason[256];           /* of the last that failed */
};

struct wr_kafka_consumer;
struct wr_kafka_consumer_vtable {
  /* Fetches `partition` of the topic from `offset` on; also to begin anew elsewhere: what had come of it before is
   * dropped. NO_MEMORY. Of a partition that is not there a client that has heard of the topic before may say nothing,
   * ever; it is fetched when it is there. Who has to know asks an admin. */
  enum weir_code (*assign)(struct wr_kafka_consumer *consumer, int32_t partition, int64_t offset,
                           struct weir_error *error);
  /* Stops fetching it, and drops what has come. */
  void (*unassign)(struct wr_kafka_consumer *consumer, int32_t partition);
  /* Takes what has come of one partition, at most `limit` records. False: nothing. After true, `release` comes before
   * the next take. Nothing that was not taken is lost; a client that is not asked stops fetching when what it holds
   * reaches its bounds: that is back-pressure. */
  bool (*take)(struct wr_kafka_consumer *consumer, int32_t partition, uint32_t limit, struct wr_kafka_fetch *out_fetch);
  void (*release)(struct wr_kafka_consumer *consumer);
  /* Shows these offsets to the group. Returns at once; what became of it is told by `committed`. */
  void (*commit)(struct wr_kafka_consumer *consumer, const struct wr_kafka_place *places, uint32_t count);
  bool (*committed)(struct wr_kafka_consumer *consumer, struct wr_kafka_committed *out_committed);
  /* A sentence about the client as a whole that was not told before ("no broker answers: ..."), and whether it goes on
   * by itself (all but NOT_ALLOWED). False: there is none. */
  bool (*trouble)(struct wr_kafka_consumer *consumer, enum wr_kafka_answer *out_answer, char *out_sentence,
                  size_t size);
  /* Blocks; inside a call. And free it. */
  void (*close)(struct wr_kafka_consumer *consumer);
};
struct wr_kafka_consumer {
  const struct wr_kafka_consumer_vtable *vtable;
};

/* ---- driver ---- */

/* Immutable; outlives the jobs that use it. */
struct wr_kafka_driver {
  /* Does not block: are these settings good? INVALID with a sentence that names the setting (and, where its name is
   * unknown, the nearest one), or what is missing on this machine. Any thread. */
  enum weir_code (*check)(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                          struct weir_error *error);
  /* Both block; inside a call. They connect in the background: a broker that is away is no error here. The waker is
   * woken when a consumer has something to take, to tell, or to be seen. */
  enum weir_code (*open_admin)(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                               struct wr_seams *seams, struct wr_memory *memory, struct wr_kafka_admin **out_admin,
                               struct weir_error *error);
  enum weir_code (*open_consumer)(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                                  const char *topic, struct wr_seams *seams, struct wr_memory *memory,
                                  struct wr_waker *waker, struct wr_kafka_consumer **out_consumer,
                                  struct weir_error *error);
};

#endif
