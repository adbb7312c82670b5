/* connectors/kafka/kafka_sink_look.c: see kafka_sink_look.h. */
#include "connectors/kafka/kafka_sink_look.h"

#include "connectors/kafka/kafka_judge.h"

enum { ASK_AGAIN_MS = 2000 };

enum weir_code wr_kafka_sink_look(struct wr_kafka_producer *producer, const struct wr_kafka_sink_config *config,
                                  const struct wr_target_context *context, struct weir_error *error) {
  struct wr_clock *clock = context->seams->clock;
  struct wr_kafka_doubt doubt = {0};
  for (;;) {
    struct wr_kafka_target_topic topic;
    uint64_t ask_again_ns = UINT64_MAX;
    WR_TRY(producer->vtable->look(producer, WR_KAFKA_ANSWER_TIMEOUT_MS, &topic, error));
    enum wr_kafka_fault fault = topic.answer == WR_KAFKA_FINE       ? WR_KAFKA_FAULT_NONE
                                : topic.answer == WR_KAFKA_NO_TOPIC ? WR_KAFKA_TOPIC_MISSING
                                                                    : WR_KAFKA_FORBIDDEN;
    bool certain = wr_kafka_doubt_see(&doubt, fault, clock->monotonic_ns(clock), &ask_again_ns);
    if (fault == WR_KAFKA_FAULT_NONE) return WEIR_OK;
    if (certain && fault == WR_KAFKA_TOPIC_MISSING)
      return WR_FAIL(error, WEIR_NOT_FOUND,
                     "sink \"%s\": there is no topic %s at %s; make it first (kafka-topics.sh --create --topic %s)",
                     context->uid, config->topic, config->connection.servers, config->topic);
    if (certain)
      return WR_FAIL(error, WEIR_DENIED, "sink \"%s\": %s does not let us write to topic %s: %s", context->uid,
                     config->connection.servers, config->topic, topic.reason);
    producer->vtable->wait(producer, ASK_AGAIN_MS);
  }
}
