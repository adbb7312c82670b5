/* connectors/kafka/kafka_rdkafka_producer.c: the sink's driver over librdkafka: the topic, transactions, the marker
 * (kafka_rdkafka_int.h). The messages are kafka_rdkafka_write.c's.
 *
 * There are two handles. The one that looks, a consumer in the marker's group, is open from the beginning: it asks for
 * the topic and its limits, and reads the marker. The one that writes is made when it is needed, for how large its
 * batches may be depends on the topic: a broker refuses a batch as a whole, with all the messages in it that are small
 * enough.
 *
 * A fresh handle asks for the topic's metadata before anything else; otherwise its first message would wait a second
 * for them. */
#include "connectors/kafka/kafka_rdkafka_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  BATCH_BYTES_MAX = 1000000,
  LIMIT_BYTES_MIN = 1000,
  LIMIT_BYTES_MAX = 1000000000,
  MAKE_MS = 5000,
  LOOK_MS_MAX = 100
};

static struct wr_rdkafka_producer *producer_of(struct wr_kafka_producer *producer) {
  return (struct wr_rdkafka_producer *)producer;
}

static uint64_t now_ms(const struct wr_rdkafka_producer *producer) {
  struct wr_clock *clock = producer->looker.seams->clock;
  return clock->monotonic_ns(clock) / 1000000;
}

static int left_ms(const struct wr_rdkafka_producer *producer, uint64_t deadline_ms) {
  uint64_t now = now_ms(producer);
  return now < deadline_ms ? (int)(deadline_ms - now) : 0;
}

/* ---- what librdkafka says ---- */

static enum weir_code code_of(rd_kafka_resp_err_t code) {
  switch ((int)code) {
  case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
  case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
  case RD_KAFKA_RESP_ERR__FENCED:
    return WEIR_FENCED;
  case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    return WEIR_DENIED;
  case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    return WEIR_INVALID;
  case RD_KAFKA_RESP_ERR__TIMED_OUT:
    return WEIR_TIMEOUT;
  default:
    return WEIR_IO;
  }
}

enum weir_code wr_rdkafka_producer_fail(struct wr_rdkafka_producer *producer, rd_kafka_resp_err_t code,
                                        const char *what, const char *words, struct weir_error *error) {
  struct wr_rdkafka_client *client = &producer->client;
  char clean[300], fatal[300] = "";
  wr_rdkafka_copy_words(clean, sizeof clean, words);
  rd_kafka_resp_err_t cause = client->library.fatal_error(client->handle, fatal, sizeof fatal);
  enum weir_code answer = code_of(cause != RD_KAFKA_RESP_ERR_NO_ERROR ? cause : code);
  bool no_answer = answer == WEIR_TIMEOUT && client->trouble.reason[0] != 0;
  return WR_FAIL(error, answer, "kafka %s, topic %s: %s: %s%s%s", client->servers, producer->topic, what, clean,
                 no_answer ? "; " : "", no_answer ? client->trouble.reason : "");
}

/* Takes the error over. What became of a message says more than what became of its transaction. */
static enum weir_code fail(struct wr_rdkafka_producer *producer, rd_kafka_error_t *why, const char *what,
                           struct weir_error *error) {
  const struct wr_rdkafka *library = &producer->client.library;
  library->poll(producer->client.handle, 0);
  enum weir_code code = wr_rdkafka_producer_check(producer, NULL, error);
  if (code == WEIR_OK)
    code = wr_rdkafka_producer_fail(producer, library->error_code(why), what, library->error_string(why), error);
  library->error_destroy(why);
  return code;
}

/* ---- the topic ---- */

static int64_t limit_in(const struct wr_rdkafka *library, rd_kafka_event_t *event) {
  size_t count = 0, entry_count = 0;
  const rd_kafka_DescribeConfigs_result_t *result = library->event_DescribeConfigs_result(event);
  if (library->event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR || result == NULL) return -1;
  const rd_kafka_ConfigResource_t **found = library->DescribeConfigs_result_resources(result, &count);
  if (count != 1 || library->ConfigResource_error(found[0]) != RD_KAFKA_RESP_ERR_NO_ERROR) return -1;
  const rd_kafka_ConfigEntry_t **entries = library->ConfigResource_configs(found[0], &entry_count);
  for (size_t i = 0; i < entry_count; i++) {
    const char *value = library->ConfigEntry_value(entries[i]);
    if (value == NULL || strcmp(library->ConfigEntry_name(entries[i]), "max.message.bytes") != 0) continue;
    int64_t limit = strtoll(value, NULL, 10);
    return limit > 0 ? limit : -1;
  }
  return -1;
}

/* The topic's max.message.bytes; -1: nobody may know. */
static int64_t ask_limit(struct wr_rdkafka_producer *producer, int timeout_ms) {
  const struct wr_rdkafka *library = &producer->looker.library;
  int64_t limit = -1;
  rd_kafka_ConfigResource_t *resource = library->ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, producer->topic);
  rd_kafka_queue_t *queue = library->queue_new(producer->looker.handle);
  library->DescribeConfigs(producer->looker.handle, &resource, 1, NULL, queue);
  rd_kafka_event_t *event = library->queue_poll(queue, timeout_ms);
  if (event != NULL) {
    limit = limit_in(library, event);
    library->event_destroy(event);
  }
  library->queue_destroy(queue);
  library->ConfigResource_destroy(resource);
  return limit;
}

static enum weir_code look(struct wr_kafka_producer *base, uint32_t timeout_ms, struct wr_kafka_target_topic *out_topic,
                           struct weir_error *error) {
  struct wr_rdkafka_producer *producer = producer_of(base);
  struct wr_rdkafka_client *looker = &producer->looker;
  uint64_t deadline_ms = now_ms(producer) + timeout_ms;
  struct wr_rdkafka_topic topic;
  *out_topic = (struct wr_kafka_target_topic){.message_bytes_max = -1};
  WR_TRY(wr_rdkafka_ask_topic(looker, producer->topic, timeout_ms, &topic, error));
  out_topic->answer = topic.answer;
  memcpy(out_topic->reason, topic.reason, sizeof topic.reason);
  if (topic.answer != WR_KAFKA_FINE) return WEIR_OK;
  out_topic->partition_count = (uint32_t)topic.metadata->topics[0].partition_cnt;
  looker->library.metadata_destroy(topic.metadata);
  wr_rdkafka_copy_cluster(looker, (uint32_t)left_ms(producer, deadline_ms) / 2, out_topic->cluster,
                          sizeof out_topic->cluster);
  producer->limit_bytes = out_topic->message_bytes_max = ask_limit(producer, left_ms(producer, deadline_ms));
  producer->has_looked = true;
  return WEIR_OK;
}

/* ---- the handle that writes ---- */

/* A number, unless the user has given one. */
static enum weir_code set_limit(struct wr_rdkafka_producer *producer, bool is_users, const char *key, int64_t value,
                                struct weir_error *error) {
  char text[32];
  snprintf(text, sizeof text, "%" PRId64, value);
  return is_users ? WEIR_OK : wr_rdkafka_set(&producer->client.library, producer->conf, key, text, error);
}

static enum weir_code set_limits(struct wr_rdkafka_producer *producer, struct weir_error *error) {
  int64_t limit = producer->limit_bytes;
  if (limit < LIMIT_BYTES_MIN) return WEIR_OK;
  if (limit > LIMIT_BYTES_MAX) limit = LIMIT_BYTES_MAX;
  WR_TRY(set_limit(producer, producer->has_own_message_bytes, "message.max.bytes", limit, error));
  return set_limit(producer, producer->has_own_batch_bytes, "batch.size",
                   limit < BATCH_BYTES_MAX ? limit : BATCH_BYTES_MAX, error);
}

enum weir_code wr_rdkafka_producer_make(struct wr_rdkafka_producer *producer, struct weir_error *error) {
  struct wr_rdkafka_client *client = &producer->client;
  struct wr_kafka_target_topic ignored;
  if (client->handle != NULL) return WEIR_OK;
  if (!producer->has_looked) WR_TRY(look(&producer->producer, MAKE_MS, &ignored, error));
  if (producer->conf == NULL)
    return WR_FAIL(error, WEIR_IO, "kafka %s: the client could not be made", producer->looker.servers);
  WR_TRY(set_limits(producer, error));
  rd_kafka_conf_t *conf = producer->conf;
  producer->conf = NULL;
  client->library.conf_set_dr_msg_cb(conf, wr_rdkafka_producer_delivered);
  WR_TRY(wr_rdkafka_client_start(client, RD_KAFKA_PRODUCER, conf, producer->looker.servers, error));
  producer->messages_to = client->library.topic_new(client->handle, producer->topic, NULL);
  if (producer->messages_to == NULL)
    return WR_FAIL(error, WEIR_IO, "kafka %s, topic %s: %s", client->servers, producer->topic,
                   client->library.err2str(client->library.last_error()));
  struct wr_rdkafka_topic topic;
  WR_TRY(wr_rdkafka_ask_topic(client, producer->topic, MAKE_MS, &topic, error));
  if (topic.answer == WR_KAFKA_FINE) client->library.metadata_destroy(topic.metadata);
  return WEIR_OK;
}

static enum weir_code fence(struct wr_kafka_producer *base, uint32_t timeout_ms, struct weir_error *error) {
  struct wr_rdkafka_producer *producer = producer_of(base);
  WR_TRY(wr_rdkafka_producer_make(producer, error));
  rd_kafka_error_t *why = producer->client.library.init_transactions(producer->client.handle, (int)timeout_ms);
  return why == NULL ? WEIR_OK : fail(producer, why, "its transactional id cannot be taken", error);
}

/* ---- the marker ---- */

static enum weir_code read_marker(struct wr_kafka_producer *base, uint32_t timeout_ms,
                                  struct wr_kafka_group_marker *out_marker, struct weir_error *error) {
  struct wr_rdkafka_producer *producer = producer_of(base);
  struct wr_rdkafka_client *looker = &producer->looker;
  *out_marker = (struct wr_kafka_group_marker){.present = false};
  rd_kafka_topic_partition_list_t *list = looker->library.topic_partition_list_new(1);
  rd_kafka_topic_partition_t *place = looker->library.topic_partition_list_add(list, producer->topic, 0);
  rd_kafka_resp_err_t result = looker->library.committed(looker->handle, list, (int)timeout_ms);
  looker->library.poll(looker->handle, 0);
  if (result == RD_KAFKA_RESP_ERR_NO_ERROR) result = place->err;
  if (result == RD_KAFKA_RESP_ERR_NO_ERROR && place->offset >= 0) {
    out_marker->present = true;
    out_marker->offset = place->offset;
    /* What does not fit was not written by us, and is no marker when it is cut. */
    snprintf(out_marker->metadata, sizeof out_marker->metadata, "%.*s", (int)place->metadata_size,
             place->metadata == NULL ? "" : (const char *)place->metadata);
  }
  looker->library.topic_partition_list_destroy(list);
  if (result == RD_KAFKA_RESP_ERR_NO_ERROR) return WEIR_OK;
  return WR_FAIL(error, code_of(result), "kafka %s: the offset of group %s cannot be read: %s%s%s", looker->servers,
                 producer->group, looker->library.err2str(result), looker->trouble.reason[0] != 0 ? "; " : "",
                 looker->trouble.reason);
}

static rd_kafka_error_t *send_marker(struct wr_rdkafka_producer *producer, const struct wr_kafka_group_marker *marker,
                                     int timeout_ms) {
  const struct wr_rdkafka *library = &producer->client.library;
  char metadata[WR_KAFKA_METADATA_BYTES_MAX + 1];
  memcpy(metadata, marker->metadata, sizeof metadata);
  rd_kafka_topic_partition_list_t *list = library->topic_partition_list_new(1);
  rd_kafka_topic_partition_t *place = library->topic_partition_list_add(list, producer->topic, 0);
  place->offset = marker->offset;
  place->metadata = metadata; /* librdkafka copies it */
  place->metadata_size = strlen(metadata);
  rd_kafka_consumer_group_metadata_t *group = library->consumer_group_metadata_new(producer->group);
  rd_kafka_error_t *why = library->send_offsets_to_transaction(producer->client.handle, list, group, timeout_ms);
  place->metadata = NULL; /* it is not the list's to free */
  place->metadata_size = 0;
  library->consumer_group_metadata_destroy(group);
  library->topic_partition_list_destroy(list);
  return why;
}

/* ---- transactions ---- */

static enum weir_code begin(struct wr_kafka_producer *base, struct weir_error *error) {
  struct wr_rdkafka_producer *producer = producer_of(base);
  rd_kafka_error_t *why = producer->client.library.begin_transaction(producer->client.handle);
  return why == NULL ? WEIR_OK : fail(producer, why, "a transaction cannot be begun", error);
}

/* How long to wait before the next look: a tenth of what was waited. What is delivered is not told one by one, so
 * librdkafka's flush only looks again every 10 ms, and a small epoch would wait for that. */
static int next_look_ms(const struct wr_rdkafka_producer *producer, uint64_t begin_ms, int left) {
  uint64_t wait_ms = 1 + (now_ms(producer) - begin_ms) / 10;
  int bounded = wait_ms < LOOK_MS_MAX ? (int)wait_ms : LOOK_MS_MAX;
  return bounded < left ? bounded : left;
}

/* Waits for all messages, until one of them could not be delivered: then the others of its transaction may never be. */
static enum weir_code deliver(struct wr_rdkafka_producer *producer, uint64_t deadline_ms, struct weir_error *error) {
  const struct wr_rdkafka *library = &producer->client.library;
  uint64_t begin_ms = now_ms(producer);
  rd_kafka_resp_err_t result;
  int left;
  do {
    left = left_ms(producer, deadline_ms);
    result = library->flush(producer->client.handle, next_look_ms(producer, begin_ms, left));
    WR_TRY(wr_rdkafka_producer_check(producer, NULL, error));
  } while (result == RD_KAFKA_RESP_ERR__TIMED_OUT && left > 0);
  if (result == RD_KAFKA_RESP_ERR_NO_ERROR) return WEIR_OK;
  return wr_rdkafka_producer_fail(producer, result, "not all messages could be delivered", library->err2str(result),
                                  error);
}

/* The marker goes first: its way to the brokers is as long as that of the last messages, and they go together. */
static enum weir_code commit(struct wr_kafka_producer *base, const struct wr_kafka_group_marker *marker,
                             uint32_t timeout_ms, enum wr_kafka_outcome *out_outcome, struct weir_error *error) {
  struct wr_rdkafka_producer *producer = producer_of(base);
  const struct wr_rdkafka *library = &producer->client.library;
  uint64_t deadline_ms = now_ms(producer) + timeout_ms;
  *out_outcome = WR_KAFKA_ABORTED;
  rd_kafka_error_t *why = send_marker(producer, marker, left_ms(producer, deadline_ms));
  if (why != NULL) return fail(producer, why, "the marker cannot be added to the transaction", error);
  WR_TRY(deliver(producer, deadline_ms, error));
  *out_outcome = WR_KAFKA_OPEN;
  why = library->commit_transaction(producer->client.handle, left_ms(producer, deadline_ms));
  if (why == NULL) {
    *out_outcome = WR_KAFKA_DONE;
    return WEIR_OK;
  }
  if (library->error_txn_requires_abort(why)) *out_outcome = WR_KAFKA_ABORTED;
  return fail(producer, why, "a transaction could not be committed", error);
}

static void abort_transaction(struct wr_kafka_producer *base, uint32_t timeout_ms) {
  struct wr_rdkafka_producer *producer = producer_of(base);
  const struct wr_rdkafka *library = &producer->client.library;
  rd_kafka_error_t *why = library->abort_transaction(producer->client.handle, (int)timeout_ms);
  if (why != NULL) library->error_destroy(why);
}

static enum weir_code flush(struct wr_kafka_producer *base, uint32_t timeout_ms, struct weir_error *error) {
  struct wr_rdkafka_producer *producer = producer_of(base);
  return producer->client.handle == NULL ? WEIR_OK : deliver(producer, now_ms(producer) + timeout_ms, error);
}

static void wait(struct wr_kafka_producer *base, uint32_t wait_ms) {
  struct wr_rdkafka_producer *producer = producer_of(base);
  uint64_t deadline_ms = now_ms(producer) + wait_ms;
  for (int left = (int)wait_ms; left > 0; left = left_ms(producer, deadline_ms))
    producer->looker.library.poll(producer->looker.handle, left);
}

/* ---- life ---- */

/* Also when the engine is dropped, whose memory is still there. */
static void release(void *handle) {
  struct wr_rdkafka_producer *producer = handle;
  const struct wr_rdkafka *library = &producer->looker.library;
  if (producer->client.handle != NULL) {
    library->purge(producer->client.handle,
                   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    if (producer->messages_to != NULL) library->topic_destroy(producer->messages_to);
    wr_rdkafka_client_close(&producer->client);
  }
  if (producer->conf != NULL) library->conf_destroy(producer->conf);
  wr_rdkafka_client_close(&producer->looker);
}

static void free_producer(struct wr_rdkafka_producer *producer) {
  struct wr_memory *memory = producer->looker.memory;
  wr_free(memory, producer->topic);
  wr_free(memory, producer->group);
  wr_free(memory, producer->client.servers);
  wr_free(memory, producer->looker.servers);
  wr_free(memory, producer);
}

static void close_producer(struct wr_kafka_producer *base) {
  struct wr_rdkafka_producer *producer = producer_of(base);
  producer->looker.seams->calls->disown(producer->looker.seams->calls, producer);
  release(producer);
  free_producer(producer);
}

static const struct wr_kafka_producer_vtable producer_vtable = {.look = look,
                                                                .fence = fence,
                                                                .read_marker = read_marker,
                                                                .begin = begin,
                                                                .write = wr_rdkafka_producer_write,
                                                                .commit = commit,
                                                                .abort = abort_transaction,
                                                                .flush = flush,
                                                                .wait = wait,
                                                                .close = close_producer};

static enum weir_code configure(const struct wr_rdkafka *library, const struct wr_kafka_producer_options *options,
                                const struct wr_rdkafka_world *world, rd_kafka_conf_t **out_conf,
                                struct weir_error *error) {
  char timeout_ms[32];
  snprintf(timeout_ms, sizeof timeout_ms, "%u", options->transaction_timeout_ms);
  WR_TRY(wr_rdkafka_configure(library, &options->connection, WR_RDKAFKA_PRODUCER, world, out_conf, error));
  enum weir_code code = WEIR_OK;
  if (options->transactional_id != NULL)
    code = wr_rdkafka_set(library, *out_conf, "transactional.id", options->transactional_id, error);
  if (options->transactional_id != NULL && options->transaction_timeout_ms != 0 && code == WEIR_OK)
    code = wr_rdkafka_set(library, *out_conf, "transaction.timeout.ms", timeout_ms, error);
  if (code == WEIR_OK) return WEIR_OK;
  library->conf_destroy(*out_conf);
  *out_conf = NULL;
  return code;
}

static enum weir_code start(struct wr_rdkafka_producer *producer, const struct wr_kafka_producer_options *options,
                            struct wr_seams *seams, struct wr_memory *memory, struct weir_error *error) {
  struct wr_kafka_connection connection = options->connection;
  connection.group = options->marker_group;
  producer->topic = wr_copy_string(memory, options->topic, WR_MEMORY_SINK);
  producer->group = wr_copy_string(memory, options->marker_group, WR_MEMORY_SINK);
  if (producer->topic == NULL || producer->group == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a client of kafka %s", connection.servers);
  for (uint32_t i = 0; i < connection.setting_count; i++) {
    const char *key = connection.settings[i].key;
    if (strcmp(key, "message.max.bytes") == 0) producer->has_own_message_bytes = true;
    if (strcmp(key, "batch.size") == 0) producer->has_own_batch_bytes = true;
  }
  producer->client.seams = seams;
  producer->client.memory = memory;
  WR_TRY(wr_rdkafka_load(&connection, &producer->client.library, error));
  const struct wr_rdkafka_world world = {.seams = seams, .memory = memory};
  WR_TRY(configure(&producer->client.library, options, &world, &producer->conf, error));
  enum weir_code code = wr_rdkafka_client_open(&producer->looker, &connection, WR_RDKAFKA_MARKER, seams, memory, error);
  if (code != WEIR_OK) producer->client.library.conf_destroy(producer->conf);
  return code;
}

enum weir_code wr_rdkafka_open_producer(const struct wr_kafka_producer_driver *driver,
                                        const struct wr_kafka_producer_options *options, struct wr_seams *seams,
                                        struct wr_memory *memory, struct wr_kafka_producer **out_producer,
                                        struct weir_error *error) {
  (void)driver;
  struct wr_rdkafka_producer *producer = wr_alloc_zeroed(memory, 1, sizeof *producer, WR_MEMORY_SINK);
  if (producer == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a client of kafka %s", options->connection.servers);
  producer->producer.vtable = &producer_vtable;
  producer->looker.memory = memory;
  enum weir_code code = start(producer, options, seams, memory, error);
  if (code != WEIR_OK) {
    free_producer(producer);
    return code;
  }
  seams->calls->adopt(seams->calls, producer, release);
  *out_producer = &producer->producer;
  return WEIR_OK;
}

enum weir_code wr_rdkafka_check_producer(const struct wr_kafka_producer_driver *driver,
                                         const struct wr_kafka_producer_options *options, struct weir_error *error) {
  (void)driver;
  struct wr_rdkafka library;
  rd_kafka_conf_t *conf = NULL;
  WR_TRY(wr_rdkafka_load(&options->connection, &library, error));
  const struct wr_rdkafka_world nothing = {.seams = NULL};
  WR_TRY(configure(&library, options, &nothing, &conf, error));
  library.conf_destroy(conf);
  return WEIR_OK;
}
