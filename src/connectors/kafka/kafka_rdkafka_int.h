/* connectors/kafka/kafka_rdkafka_int.h: the parts of the driver over librdkafka, for kafka_rdkafka*.c and their test.
 *
 *   kafka_rdkafka.c           the driver: its three functions
 *   kafka_rdkafka_library.c   the library, loaded when it is asked for
 *   kafka_rdkafka_settings.c  settings into librdkafka's configuration; which are secrets, which are weir's own
 *   kafka_rdkafka_trouble.c   what librdkafka says of brokers: what is a "no", what passes by itself
 *   kafka_rdkafka_admin.c     a topic's partitions and their ranges
 *   kafka_rdkafka_consumer.c  records
 *   kafka_rdkafka_producer.c  the sink's driver: transactions, and the marker
 *   kafka_rdkafka_write.c     its messages, and what became of them
 */
#ifndef WR_CONNECTORS_KAFKA_RDKAFKA_INT_H
#define WR_CONNECTORS_KAFKA_RDKAFKA_INT_H

#include "connectors/kafka/kafka_producer.h"

#include <librdkafka/rdkafka.h>

/* ---- the library ---- */

/* Every function of librdkafka's that is used, without its rd_kafka_. */
#define WR_RDKAFKA_FUNCTIONS(X)                                                                                        \
  X(version)                                                                                                           \
  X(version_str)                                                                                                       \
  X(conf_get)                                                                                                          \
  X(conf_new)                                                                                                          \
  X(conf_destroy)                                                                                                      \
  X(conf_set)                                                                                                          \
  X(conf_dump)                                                                                                         \
  X(conf_dump_free)                                                                                                    \
  X(conf_set_opaque)                                                                                                   \
  X(conf_set_error_cb)                                                                                                 \
  X(conf_set_log_cb)                                                                                                   \
  X(log_print)                                                                                                         \
  X(new)                                                                                                               \
  X(destroy_flags)                                                                                                     \
  X(last_error)                                                                                                        \
  X(err2str)                                                                                                           \
  X(poll)                                                                                                              \
  X(mem_free)                                                                                                          \
  X(topic_new)                                                                                                         \
  X(topic_destroy)                                                                                                     \
  X(metadata)                                                                                                          \
  X(metadata_destroy)                                                                                                  \
  X(clusterid)                                                                                                         \
  X(offsets_for_times)                                                                                                 \
  X(query_watermark_offsets)                                                                                           \
  X(get_watermark_offsets)                                                                                             \
  X(topic_partition_list_new)                                                                                          \
  X(topic_partition_list_add)                                                                                          \
  X(topic_partition_list_destroy)                                                                                      \
  X(incremental_assign)                                                                                                \
  X(incremental_unassign)                                                                                              \
  X(error_code)                                                                                                        \
  X(error_string)                                                                                                      \
  X(error_destroy)                                                                                                     \
  X(queue_new)                                                                                                         \
  X(queue_get_main)                                                                                                    \
  X(queue_get_partition)                                                                                               \
  X(queue_forward)                                                                                                     \
  X(queue_cb_event_enable)                                                                                             \
  X(queue_poll)                                                                                                        \
  X(queue_destroy)                                                                                                     \
  X(consume_batch_queue)                                                                                               \
  X(message_destroy)                                                                                                   \
  X(message_errstr)                                                                                                    \
  X(commit_queue)                                                                                                      \
  X(event_type)                                                                                                        \
  X(event_error)                                                                                                       \
  X(event_topic_partition_list)                                                                                        \
  X(event_destroy)                                                                                                     \
  X(event_DescribeConfigs_result)                                                                                      \
  X(DescribeConfigs)                                                                                                   \
  X(DescribeConfigs_result_resources)                                                                                  \
  X(ConfigResource_new)                                                                                                \
  X(ConfigResource_destroy)                                                                                            \
  X(ConfigResource_error)                                                                                              \
  X(ConfigResource_configs)                                                                                            \
  X(ConfigEntry_name)                                                                                                  \
  X(ConfigEntry_value)                                                                                                 \
  X(conf_set_dr_msg_cb)                                                                                                \
  X(produce)                                                                                                           \
  X(flush)                                                                                                             \
  X(purge)                                                                                                             \
  X(init_transactions)                                                                                                 \
  X(begin_transaction)                                                                                                 \
  X(send_offsets_to_transaction)                                                                                       \
  X(commit_transaction)                                                                                                \
  X(abort_transaction)                                                                                                 \
  X(consumer_group_metadata_new)                                                                                       \
  X(consumer_group_metadata_destroy)                                                                                   \
  X(committed)                                                                                                         \
  X(fatal_error)                                                                                                       \
  X(error_is_fatal)                                                                                                    \
  X(error_txn_requires_abort)

struct wr_rdkafka {
#define WR_RDKAFKA_FIELD(name) __typeof__(&rd_kafka_##name) name;
  WR_RDKAFKA_FUNCTIONS(WR_RDKAFKA_FIELD)
#undef WR_RDKAFKA_FIELD
};

/* Fills the table from the file named by the setting weir.librdkafka, or the system's librdkafka.so.1. NOT_FOUND as
 * wr_library_load; INVALID: so with the setting's. Any thread, any number of times: the system keeps one copy loaded,
 * for good. */
enum weir_code wr_rdkafka_load(const struct wr_kafka_connection *connection, struct wr_rdkafka *out_library,
                               struct weir_error *error);

/* ---- settings ---- */

/* MARKER: reads topics and the marker of a sink, whose group is `group` whatever the settings say. */
enum wr_rdkafka_kind { WR_RDKAFKA_ADMIN, WR_RDKAFKA_CONSUMER, WR_RDKAFKA_MARKER, WR_RDKAFKA_PRODUCER };

/* What secrets are read by; without seams they are not read. */
struct wr_rdkafka_world {
  struct wr_seams *seams;
  struct wr_memory *memory;
};

/* A configuration of all settings. INVALID: see the driver's `check`. With seams it blocks; as wr_secret_of_file. */
enum weir_code wr_rdkafka_configure(const struct wr_rdkafka *library, const struct wr_kafka_connection *connection,
                                    enum wr_rdkafka_kind kind, const struct wr_rdkafka_world *world,
                                    rd_kafka_conf_t **out_conf, struct weir_error *error);
/* One more of weir's own, into a configuration. */
enum weir_code wr_rdkafka_set(const struct wr_rdkafka *library, rd_kafka_conf_t *conf, const char *key,
                              const char *value, struct weir_error *error);

/* ---- what librdkafka says of brokers ---- */

/* Of one client; touched by the client's own thread alone, as librdkafka calls back from within its poll. */
struct wr_rdkafka_trouble {
  enum wr_kafka_answer answer; /* of `reason`: NOT_ALLOWED, or FINE: it passes by itself */
  char reason[400];            /* the last thing it said; "" before the first */
  bool told;
};

/* A broker's "no" about a topic or partition; FINE for what is no such thing: librdkafka tries again by itself. */
enum wr_kafka_answer wr_rdkafka_answer_of(rd_kafka_resp_err_t code);
/* The same for an error of the client as a whole, of which `reason` says more. */
enum wr_kafka_answer wr_rdkafka_trouble_of(rd_kafka_resp_err_t code, const char *reason);
/* `remark` goes in front of what is said of a login that was refused; "": there is none. */
void wr_rdkafka_trouble_note(struct wr_rdkafka_trouble *trouble, rd_kafka_resp_err_t code, const char *reason,
                             const char *remark);
/* The remark where the library itself may be why a login by this mechanism is refused; else "". `version` is
 * librdkafka's number, 0x020601ff for 2.6.1. */
void wr_rdkafka_login_remark(int version, const char *version_text, const char *mechanism, char *out, size_t size);
/* Copies librdkafka's words: in one line, cut where a secret could follow. */
void wr_rdkafka_copy_words(char *out, size_t size, const char *words);

/* ---- a client ---- */

/* What both kinds share: librdkafka's handle, which calls `trouble` back. */
struct wr_rdkafka_client {
  struct wr_rdkafka library;
  struct wr_seams *seams;
  struct wr_memory *memory;
  char *servers;          /* for messages */
  char login_remark[160]; /* for refused logins, "" where there is none */
  rd_kafka_t *handle;
  struct wr_rdkafka_trouble trouble;
  struct wr_rdkafka_trouble
      *listener; /* is told what librdkafka says: `trouble`, or that of a partition that is polled */
};

/* `client` is zeroed and stays where it is. On an error there is nothing to close. */
enum weir_code wr_rdkafka_client_open(struct wr_rdkafka_client *client, const struct wr_kafka_connection *connection,
                                      enum wr_rdkafka_kind kind, struct wr_seams *seams, struct wr_memory *memory,
                                      struct weir_error *error);
/* The same with a configuration that is ready, which it takes over; `library`, `seams` and `memory` are set. */
enum weir_code wr_rdkafka_client_start(struct wr_rdkafka_client *client, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                       const char *servers, struct weir_error *error);
/* Every queue and message of the handle has been given back before. Does not free the memory of `servers`. */
void wr_rdkafka_client_close(struct wr_rdkafka_client *client);

/* ---- a topic ---- */

struct wr_rdkafka_topic {
  enum wr_kafka_answer answer;              /* FINE, NO_TOPIC or NOT_ALLOWED */
  char reason[256];                         /* NOT_ALLOWED: the broker's words */
  const struct rd_kafka_metadata *metadata; /* FINE: of the one topic, with at least one partition; the caller's */
};

/* Transient when nobody answers within timeout_ms. */
enum weir_code wr_rdkafka_ask_topic(struct wr_rdkafka_client *client, const char *name, uint32_t timeout_ms,
                                    struct wr_rdkafka_topic *out_topic, struct weir_error *error);
/* The cluster's id; nothing where none is told. */
void wr_rdkafka_copy_cluster(struct wr_rdkafka_client *client, uint32_t timeout_ms, char *out, size_t size);

enum weir_code wr_rdkafka_open_admin(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                                     struct wr_seams *seams, struct wr_memory *memory,
                                     struct wr_kafka_admin **out_admin, struct weir_error *error);
enum weir_code wr_rdkafka_open_consumer(const struct wr_kafka_driver *driver,
                                        const struct wr_kafka_connection *connection, const char *topic,
                                        struct wr_seams *seams, struct wr_memory *memory, struct wr_waker *waker,
                                        struct wr_kafka_consumer **out_consumer, struct weir_error *error);

/* ---- the sink's producer ---- */

/* A message that was not delivered. */
struct wr_rdkafka_undelivered {
  rd_kafka_resp_err_t code; /* NO_ERROR: there is none */
  size_t length;            /* of its value */
  uint64_t serial;
};

/* One thread, as all functions of a producer; librdkafka calls back from within its poll. */
struct wr_rdkafka_producer {
  struct wr_kafka_producer producer; /* first */
  struct wr_rdkafka_client looker;   /* a consumer in the marker's group: the topic, and the marker */
  struct wr_rdkafka_client client;   /* writes; its handle is NULL until it is made */
  rd_kafka_conf_t *conf;             /* of `client`; NULL from the time it is made */
  rd_kafka_topic_t *messages_to;
  char *topic, *group;
  bool has_looked;
  int64_t limit_bytes;                             /* the topic's max.message.bytes; -1: not known */
  bool has_own_message_bytes, has_own_batch_bytes; /* the user has set message.max.bytes, batch.size */
  uint64_t next_serial, batch_serial;              /* of the next message; of the first that `write` has at hand */
  struct wr_rdkafka_undelivered undelivered;
};

/* Makes the handle that writes, if there is none yet. */
enum weir_code wr_rdkafka_producer_make(struct wr_rdkafka_producer *producer, struct weir_error *error);
enum weir_code wr_rdkafka_producer_write(struct wr_kafka_producer *base, const struct wr_kafka_message *messages,
                                         uint32_t count, uint32_t *out_bad, struct weir_error *error);
void wr_rdkafka_producer_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque);
/* An error when a message was not delivered; *out_bad (may be NULL) as in `write`. */
enum weir_code wr_rdkafka_producer_check(struct wr_rdkafka_producer *producer, uint32_t *out_bad,
                                         struct weir_error *error);
/* The error that librdkafka's code stands for, or the one that made the client unusable. */
enum weir_code wr_rdkafka_producer_fail(struct wr_rdkafka_producer *producer, rd_kafka_resp_err_t code,
                                        const char *what, const char *words, struct weir_error *error);

enum weir_code wr_rdkafka_check_producer(const struct wr_kafka_producer_driver *driver,
                                         const struct wr_kafka_producer_options *options, struct weir_error *error);
enum weir_code wr_rdkafka_open_producer(const struct wr_kafka_producer_driver *driver,
                                        const struct wr_kafka_producer_options *options, struct wr_seams *seams,
                                        struct wr_memory *memory, struct wr_kafka_producer **out_producer,
                                        struct weir_error *error);

#endif
