/* connectors/kafka/kafka_rdkafka_admin.c: a topic's partitions, their leaders and ranges (kafka_rdkafka_int.h).
 *
 * Three questions: the metadata of the one topic (never of all), then the earliest offsets, then the ends, each of all
 * partitions at once. Where one leader does not answer, librdkafka gives nothing for the others either; then each
 * partition is asked alone.
 *
 * A client that was refused is not told so again for half a minute by librdkafka, which keeps back what it has said
 * before; therefore the last trouble stays until somebody answers. */
#include "connectors/kafka/kafka_rdkafka_int.h"

#include <stdio.h>
#include <string.h>

struct rdkafka_admin {
  struct wr_kafka_admin admin;
  struct wr_rdkafka_client client;
};

/* A first short wait shows whether we are refused; a broker that is merely slow has all the rest of the time. */
enum { FIRST_WAIT_MS = 500, ASK_MS_MIN = 50 };
/* As offsets to be looked up, in place of a time (ListOffsets of the protocol). */
enum { EARLIEST = -2, LATEST = -1 };

static uint64_t now_ms(const struct wr_rdkafka_client *client) {
  struct wr_clock *clock = client->seams->clock;
  return clock->monotonic_ns(clock) / 1000000;
}

static int left_ms(const struct wr_rdkafka_client *client, uint64_t deadline_ms) {
  uint64_t now = now_ms(client);
  return now + ASK_MS_MIN < deadline_ms ? (int)(deadline_ms - now) : ASK_MS_MIN;
}

/* ---- metadata ---- */

/* Nobody gave the metadata. */
static enum weir_code fail_unanswered(struct wr_rdkafka_client *client, rd_kafka_resp_err_t result,
                                      struct wr_rdkafka_topic *topic, struct weir_error *error) {
  if (client->trouble.answer == WR_KAFKA_NOT_ALLOWED) {
    topic->answer = WR_KAFKA_NOT_ALLOWED;
    wr_rdkafka_copy_words(topic->reason, sizeof topic->reason, client->trouble.reason);
    return WEIR_OK;
  }
  enum weir_code code = result == RD_KAFKA_RESP_ERR__TIMED_OUT ? WEIR_TIMEOUT : WEIR_IO;
  return WR_FAIL(error, code, "kafka %s: no broker answers: %s", client->servers,
                 client->trouble.reason[0] != 0 ? client->trouble.reason : client->library.err2str(result));
}

static rd_kafka_resp_err_t ask_metadata(struct wr_rdkafka_client *client, rd_kafka_topic_t *topic, uint64_t deadline_ms,
                                        const struct rd_kafka_metadata **out_metadata) {
  int all = left_ms(client, deadline_ms);
  rd_kafka_resp_err_t result =
      client->library.metadata(client->handle, 0, topic, out_metadata, all < FIRST_WAIT_MS ? all : FIRST_WAIT_MS);
  client->library.poll(client->handle, 0);
  if (result == RD_KAFKA_RESP_ERR_NO_ERROR || client->trouble.answer == WR_KAFKA_NOT_ALLOWED) return result;
  result = client->library.metadata(client->handle, 0, topic, out_metadata, left_ms(client, deadline_ms));
  client->library.poll(client->handle, 0);
  return result;
}

static enum weir_code read_answer(struct wr_rdkafka_client *client, struct wr_rdkafka_topic *topic,
                                  struct weir_error *error) {
  if (topic->metadata->topic_cnt != 1)
    return WR_FAIL(error, WEIR_IO, "kafka %s: a broker was asked for one topic and answered for %d", client->servers,
                   topic->metadata->topic_cnt);
  const struct rd_kafka_metadata_topic *found = &topic->metadata->topics[0];
  topic->answer = wr_rdkafka_answer_of(found->err);
  if (topic->answer == WR_KAFKA_NOT_ALLOWED)
    snprintf(topic->reason, sizeof topic->reason, "%s", client->library.err2str(found->err));
  if (topic->answer != WR_KAFKA_FINE) return WEIR_OK;
  if (found->err == RD_KAFKA_RESP_ERR_NO_ERROR && found->partition_cnt > 0) return WEIR_OK;
  return WR_FAIL(error, WEIR_IO, "kafka %s: topic %s: %s", client->servers, found->topic,
                 found->err != RD_KAFKA_RESP_ERR_NO_ERROR ? client->library.err2str(found->err)
                                                          : "it has no partitions yet");
}

enum weir_code wr_rdkafka_ask_topic(struct wr_rdkafka_client *client, const char *name, uint32_t timeout_ms,
                                    struct wr_rdkafka_topic *out_topic, struct weir_error *error) {
  *out_topic = (struct wr_rdkafka_topic){.answer = WR_KAFKA_FINE};
  rd_kafka_topic_t *topic = client->library.topic_new(client->handle, name, NULL);
  if (topic == NULL)
    return WR_FAIL(error, WEIR_INVALID, "topic \"%s\": %s", name,
                   client->library.err2str(client->library.last_error()));
  rd_kafka_resp_err_t result = ask_metadata(client, topic, now_ms(client) + timeout_ms, &out_topic->metadata);
  client->library.topic_destroy(topic);
  if (result != RD_KAFKA_RESP_ERR_NO_ERROR) return fail_unanswered(client, result, out_topic, error);
  client->trouble = (struct wr_rdkafka_trouble){.told = true};
  enum weir_code code = read_answer(client, out_topic, error);
  if (code != WEIR_OK || out_topic->answer != WR_KAFKA_FINE) {
    client->library.metadata_destroy(out_topic->metadata);
    out_topic->metadata = NULL;
  }
  return code;
}

void wr_rdkafka_copy_cluster(struct wr_rdkafka_client *client, uint32_t timeout_ms, char *out, size_t size) {
  char *cluster = client->library.clusterid(client->handle, (int)timeout_ms);
  if (cluster == NULL) return;
  snprintf(out, size, "%s", cluster);
  client->library.mem_free(client->handle, cluster);
}

static enum weir_code copy_partitions(struct rdkafka_admin *admin, const struct rd_kafka_metadata_topic *found,
                                      struct wr_memory *memory, struct wr_kafka_topic *topic,
                                      struct weir_error *error) {
  uint32_t count = (uint32_t)found->partition_cnt;
  topic->partitions = wr_alloc_zeroed(memory, count, sizeof *topic->partitions, WR_MEMORY_SOURCE);
  if (topic->partitions == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for %u partitions", count);
  topic->partition_count = count;
  for (uint32_t i = 0; i < count; i++)
    topic->partitions[i] = (struct wr_kafka_partition){.partition = (int32_t)i};
  for (uint32_t i = 0; i < count; i++) {
    const struct rd_kafka_metadata_partition *partition = &found->partitions[i];
    if (partition->id < 0 || (uint32_t)partition->id >= count)
      return WR_FAIL(error, WEIR_IO, "kafka %s: the answer about topic %s has %u partitions, but names partition %d",
                     admin->client.servers, found->topic, count, partition->id);
    topic->partitions[partition->id].has_leader = partition->leader >= 0;
  }
  return WEIR_OK;
}

/* ---- ranges ---- */

/* The earliest offset, or the end, of each partition that has a leader. False: librdkafka gave nothing. */
static bool ask_offsets(struct rdkafka_admin *admin, const char *name, int64_t which, int timeout_ms,
                        struct wr_kafka_topic *topic) {
  const struct wr_rdkafka *library = &admin->client.library;
  rd_kafka_topic_partition_list_t *list = library->topic_partition_list_new((int)topic->partition_count);
  for (uint32_t i = 0; i < topic->partition_count; i++)
    if (topic->partitions[i].has_leader) library->topic_partition_list_add(list, name, (int32_t)i)->offset = which;
  bool fine = list->cnt == 0 || library->offsets_for_times(admin->client.handle, list, timeout_ms) == 0;
  for (int i = 0; fine && i < list->cnt; i++)
    fine = list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[i].offset >= 0;
  for (int i = 0; fine && i < list->cnt; i++) {
    struct wr_kafka_partition *partition = &topic->partitions[list->elems[i].partition];
    *(which == EARLIEST ? &partition->low : &partition->high) = list->elems[i].offset;
  }
  library->topic_partition_list_destroy(list);
  return fine;
}

static void ask_each(struct rdkafka_admin *admin, const char *name, uint64_t deadline_ms,
                     struct wr_kafka_topic *topic) {
  for (uint32_t i = 0; i < topic->partition_count; i++) {
    struct wr_kafka_partition *partition = &topic->partitions[i];
    if (!partition->has_leader) continue;
    int timeout_ms = left_ms(&admin->client, deadline_ms) / (int)(topic->partition_count - i);
    rd_kafka_resp_err_t result = admin->client.library.query_watermark_offsets(
        admin->client.handle, name, (int32_t)i, &partition->low, &partition->high,
        timeout_ms > ASK_MS_MIN ? timeout_ms : ASK_MS_MIN);
    if (result == RD_KAFKA_RESP_ERR_NO_ERROR && partition->low >= 0 && partition->high >= 0) continue;
    *partition = (struct wr_kafka_partition){.partition = (int32_t)i};
  }
}

/* ---- the admin ---- */

static enum weir_code look(struct wr_kafka_admin *base, const char *name, uint32_t timeout_ms, struct wr_memory *memory,
                           struct wr_kafka_topic *out_topic, struct weir_error *error) {
  struct rdkafka_admin *admin = (struct rdkafka_admin *)base;
  struct wr_rdkafka_client *client = &admin->client;
  struct wr_rdkafka_topic topic;
  uint64_t deadline_ms = now_ms(client) + timeout_ms;
  *out_topic = (struct wr_kafka_topic){.answer = WR_KAFKA_FINE};
  WR_TRY(wr_rdkafka_ask_topic(client, name, timeout_ms, &topic, error));
  out_topic->answer = topic.answer;
  memcpy(out_topic->reason, topic.reason, sizeof topic.reason);
  if (topic.answer != WR_KAFKA_FINE) return WEIR_OK;
  enum weir_code code = copy_partitions(admin, &topic.metadata->topics[0], memory, out_topic, error);
  client->library.metadata_destroy(topic.metadata);
  if (code != WEIR_OK) {
    wr_kafka_topic_deinit(out_topic, memory);
    return code;
  }
  wr_rdkafka_copy_cluster(client, (uint32_t)left_ms(client, deadline_ms) / 4, out_topic->cluster,
                          sizeof out_topic->cluster);
  if (!ask_offsets(admin, name, EARLIEST, left_ms(client, deadline_ms) / 4, out_topic) ||
      !ask_offsets(admin, name, LATEST, left_ms(client, deadline_ms) / 3, out_topic))
    ask_each(admin, name, deadline_ms, out_topic);
  client->library.poll(client->handle, 0);
  return WEIR_OK;
}

/* Also when the engine is dropped, whose memory is still there. */
static void release(void *handle) {
  struct rdkafka_admin *admin = handle;
  wr_rdkafka_client_close(&admin->client);
}

static void close_admin(struct wr_kafka_admin *base) {
  struct rdkafka_admin *admin = (struct rdkafka_admin *)base;
  struct wr_memory *memory = admin->client.memory;
  admin->client.seams->calls->disown(admin->client.seams->calls, admin);
  release(admin);
  wr_free(memory, admin->client.servers);
  wr_free(memory, admin);
}

static const struct wr_kafka_admin_vtable admin_vtable = {.look = look, .close = close_admin};

enum weir_code wr_rdkafka_open_admin(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                                     struct wr_seams *seams, struct wr_memory *memory,
                                     struct wr_kafka_admin **out_admin, struct weir_error *error) {
  (void)driver;
  struct rdkafka_admin *admin = wr_alloc_zeroed(memory, 1, sizeof *admin, WR_MEMORY_SOURCE);
  if (admin == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a client of kafka %s", connection->servers);
  admin->admin.vtable = &admin_vtable;
  enum weir_code code = wr_rdkafka_client_open(&admin->client, connection, WR_RDKAFKA_ADMIN, seams, memory, error);
  if (code != WEIR_OK) {
    wr_free(memory, admin);
    return code;
  }
  seams->calls->adopt(seams->calls, admin, release);
  *out_admin = &admin->admin;
  return WEIR_OK;
}
