/* connectors/kafka/kafka_rdkafka_int.h: the parts of the driver over librdkafka, for kafka_rdkafka*.c and their test.
 *
 *   kafka_rdkafka.c           the driver: its three functions
 *   kafka_rdkafka_library.c   the library, loaded when it is asked for
 *   kafka_rdkafka_settings.c  settings into librdkafka's configuration; which are secrets, which are weir's own
 *   kafka_rdkafka_trouble.c   what librdkafka says of brokers: what is a "no", what passes by itself
 *   kafka_rdkafka_admin.c     a topic's partitions and their ranges
 *   kafka_rdkafka_consumer.c  records
 */
#ifndef WR_CONNECTORS_KAFKA_RDKAFKA_INT_H
#define WR_CONNECTORS_KAFKA_RDKAFKA_INT_H

#include "connectors/kafka/kafka_client.h"

#include <librdkafka/rdkafka.h>

/* ---- the library ---- */

/* Every function of librdkafka's that is used, without its rd_kafka_. */
#define WR_RDKAFKA_FUNCTIONS(X)                                                                                        \
  X(conf_new)                                                                                                          \
  X(conf_destroy)                                                                                                      \
  X(conf_set)                                                                                                          \
  X(conf_dump)                                                                                                         \
  X(conf_dump_free)                                                                                                    \
  X(conf_set_opaque)                                                                                                   \
  X(conf_set_error_cb)                                                                                                 \
  X(conf_set_log_cb)                                                                                                   \
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
  X(message_timestamp)                                                                                                 \
  X(commit_queue)                                                                                                      \
  X(event_type)                                                                                                        \
  X(event_error)                                                                                                       \
  X(event_topic_partition_list)                                                                                        \
  X(event_destroy)

struct wr_rdkafka {
#define WR_RDKAFKA_FIELD(name) __typeof__(&rd_kafka_##name) name;
  WR_RDKAFKA_FUNCTIONS(WR_RDKAFKA_FIELD)
#undef WR_RDKAFKA_FIELD
};

/* Fills the table from the file named by the setting weir.librdkafka, or the system's librdkafka.so.1. INVALID: it is
 * not there, or lacks a function. Any thread, any number of times: the system keeps one copy loaded, for good. */
enum weir_code wr_rdkafka_load(const struct wr_kafka_connection *connection, struct wr_rdkafka *out_library,
                               struct weir_error *error);

/* ---- settings ---- */

enum wr_rdkafka_kind { WR_RDKAFKA_ADMIN, WR_RDKAFKA_CONSUMER };

/* A configuration of all settings. INVALID: see the driver's `check`. */
enum weir_code wr_rdkafka_configure(const struct wr_rdkafka *library, const struct wr_kafka_connection *connection,
                                    enum wr_rdkafka_kind kind, rd_kafka_conf_t **out_conf, struct weir_error *error);

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
void wr_rdkafka_trouble_note(struct wr_rdkafka_trouble *trouble, rd_kafka_resp_err_t code, const char *reason);
/* Copies librdkafka's words: in one line, cut where a secret could follow. */
void wr_rdkafka_copy_words(char *out, size_t size, const char *words);

/* ---- a client ---- */

/* What both kinds share: librdkafka's handle, which calls `trouble` back. */
struct wr_rdkafka_client {
  struct wr_rdkafka library;
  struct wr_seams *seams;
  struct wr_memory *memory;
  char *servers; /* for messages */
  rd_kafka_t *handle;
  struct wr_rdkafka_trouble trouble;
  struct wr_rdkafka_trouble
      *listener; /* is told what librdkafka says: `trouble`, or that of a partition that is polled */
};

/* `client` is zeroed and stays where it is. On an error there is nothing to close. */
enum weir_code wr_rdkafka_client_open(struct wr_rdkafka_client *client, const struct wr_kafka_connection *connection,
                                      enum wr_rdkafka_kind kind, struct wr_seams *seams, struct wr_memory *memory,
                                      struct weir_error *error);
/* Every queue and message of the handle has been given back before. Does not free the memory of `servers`. */
void wr_rdkafka_client_close(struct wr_rdkafka_client *client);

enum weir_code wr_rdkafka_open_admin(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                                     struct wr_seams *seams, struct wr_memory *memory,
                                     struct wr_kafka_admin **out_admin, struct weir_error *error);
enum weir_code wr_rdkafka_open_consumer(const struct wr_kafka_driver *driver,
                                        const struct wr_kafka_connection *connection, const char *topic,
                                        struct wr_seams *seams, struct wr_memory *memory, struct wr_waker *waker,
                                        struct wr_kafka_consumer **out_consumer, struct weir_error *error);

#endif
