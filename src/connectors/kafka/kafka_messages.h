/* connectors/kafka/kafka_messages.h: rows as messages, gathered and handed on by the thousand. One thread.
 *
 * Insert: a message for each +I and +U, in order; CONSTRAINT for -U and -D, which a topic without keys cannot say.
 * Upsert: rows are folded to the last change of each key (connectors/upsert_fold.h), handed on when the fold is full or
 * flushed: +I and +U as a message, -D as a tombstone. So within one epoch a key has few messages, in their order.
 */
#ifndef WR_CONNECTORS_KAFKA_MESSAGES_H
#define WR_CONNECTORS_KAFKA_MESSAGES_H

#include "connectors/kafka/kafka_target.h"
#include "connectors/upsert_fold.h"
#include "formats/json/json_encoder.h"

/* As wr_kafka_producer_vtable.write. */
typedef enum weir_code wr_kafka_write(void *argument, const struct wr_kafka_message *messages, uint32_t count,
                                      uint32_t *out_bad, struct weir_error *error);

/* Where in the text a message is. */
struct wr_kafka_message_place {
  size_t key_at, key_length, value_at, value_length;
  bool is_keyless, is_tombstone;
};

struct wr_kafka_messages {
  const struct wr_kafka_sink_config *config;
  const struct wr_target_context *context;
  wr_kafka_write *write;
  void *argument;
  struct wr_upsert_fold fold;
  struct weir_schema *key_schema;                      /* of a key that is a JSON object */
  struct wr_json_encoder *value_encoder, *key_encoder; /* NULL until the first row; a raw key needs none */
  struct wr_bytes text;                                /* keys and values of the messages, one after the other */
  struct wr_kafka_message *messages;                   /* pointers are set when they are handed on */
  struct wr_kafka_message_place *places;               /* of the same messages */
  uint32_t count;
};

/* `config` and `context` are borrowed. */
void wr_kafka_messages_init(struct wr_kafka_messages *messages, const struct wr_kafka_sink_config *config,
                            const struct wr_target_context *context, wr_kafka_write *write, void *argument);
void wr_kafka_messages_deinit(struct wr_kafka_messages *messages);
/* Forgets what was not handed on; keeps the memory. */
void wr_kafka_messages_clear(struct wr_kafka_messages *messages);
enum weir_code wr_kafka_messages_add(struct wr_kafka_messages *messages, struct wr_batch *batch,
                                     struct weir_error *error);
/* Hands on all that is left. */
enum weir_code wr_kafka_messages_flush(struct wr_kafka_messages *messages, struct weir_error *error);

#endif
