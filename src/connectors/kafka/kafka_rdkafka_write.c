/* connectors/kafka/kafka_rdkafka_write.c: messages into librdkafka's queue, and what became of them
 * (kafka_rdkafka_int.h).
 *
 * librdkafka reports only messages that were not delivered. The first of these reports is kept; one that follows from
 * another (the queue was purged, the client had failed) gives way to one with a reason. Each message carries its number
 * in the producer's life, so that a report can be traced back while its batch is still at hand. */
#include "connectors/kafka/kafka_rdkafka_int.h"

#include <stdio.h>
#include <string.h>

enum { ROOM_WAIT_MS = 50 };

static bool follows_from_another(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT ||
         code == RD_KAFKA_RESP_ERR__FATAL;
}

void wr_rdkafka_producer_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
  (void)handle;
  struct wr_rdkafka_producer *producer =
      (struct wr_rdkafka_producer *)((char *)opaque - offsetof(struct wr_rdkafka_producer, client));
  struct wr_rdkafka_undelivered *known = &producer->undelivered;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  if (known->code != RD_KAFKA_RESP_ERR_NO_ERROR &&
      (!follows_from_another(known->code) || follows_from_another(message->err)))
    return;
  *known = (struct wr_rdkafka_undelivered){
      .code = message->err, .length = message->len, .serial = (uint64_t)(uintptr_t)message->_private};
}

/* Of the message itself: it would be refused every time. */
static bool is_refusal(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
         code == RD_KAFKA_RESP_ERR_INVALID_RECORD || code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

enum weir_code wr_rdkafka_producer_check(struct wr_rdkafka_producer *producer, uint32_t *out_bad,
                                         struct weir_error *error) {
  const struct wr_rdkafka_undelivered *known = &producer->undelivered;
  struct wr_rdkafka_client *client = &producer->client;
  const char *words = client->library.err2str(known->code);
  if (known->code == RD_KAFKA_RESP_ERR_NO_ERROR) return WEIR_OK;
  if (!is_refusal(known->code))
    return wr_rdkafka_producer_fail(producer, known->code, "a message could not be delivered", words, error);
  if (out_bad != NULL && known->serial >= producer->batch_serial)
    *out_bad = (uint32_t)(known->serial - producer->batch_serial);
  char limit[64] = "";
  if (producer->limit_bytes > 0)
    snprintf(limit, sizeof limit, " (the topic's max.message.bytes is %lld)", (long long)producer->limit_bytes);
  return WR_FAIL(error, WEIR_CONSTRAINT, "kafka %s, topic %s: a message whose value has %zu bytes is refused: %s%s",
                 client->servers, producer->topic, known->length, words, limit);
}

/* One message, waiting for room. */
static enum weir_code put(struct wr_rdkafka_producer *producer, const struct wr_kafka_message *message,
                          uint32_t *out_bad, struct weir_error *error) {
  const struct wr_rdkafka *library = &producer->client.library;
  for (;;) {
    int result = library->produce(producer->messages_to, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                  (void *)message->value, message->value_length, message->key, message->key_length,
                                  (void *)(uintptr_t)producer->next_serial);
    if (result == 0) break;
    rd_kafka_resp_err_t why = library->last_error();
    if (why == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      library->poll(producer->client.handle, ROOM_WAIT_MS);
      WR_TRY(wr_rdkafka_producer_check(producer, out_bad, error));
      continue;
    }
    producer->undelivered =
        (struct wr_rdkafka_undelivered){.code = why, .length = message->value_length, .serial = producer->next_serial};
    return wr_rdkafka_producer_check(producer, out_bad, error);
  }
  producer->next_serial++;
  return WEIR_OK;
}

enum weir_code wr_rdkafka_producer_write(struct wr_kafka_producer *base, const struct wr_kafka_message *messages,
                                         uint32_t count, uint32_t *out_bad, struct weir_error *error) {
  struct wr_rdkafka_producer *producer = (struct wr_rdkafka_producer *)base;
  *out_bad = UINT32_MAX;
  WR_TRY(wr_rdkafka_producer_make(producer, error));
  producer->batch_serial = producer->next_serial;
  for (uint32_t i = 0; i < count; i++)
    WR_TRY(put(producer, &messages[i], out_bad, error));
  producer->client.library.poll(producer->client.handle, 0);
  return wr_rdkafka_producer_check(producer, out_bad, error);
}
