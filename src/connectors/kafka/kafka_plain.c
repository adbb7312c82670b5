/* connectors/kafka/kafka_plain.c: see kafka_plain.h. All functions run inside calls, one at a time. */
#include "connectors/kafka/kafka_plain.h"

#include "connectors/kafka/kafka_messages.h"
#include "connectors/kafka/kafka_sink_look.h"

struct kafka_plain {
  struct wr_plain_target target;
  struct wr_target_context context;
  const struct wr_kafka_sink_config *config;
  struct wr_kafka_producer *producer; /* NULL: closed */
  struct wr_kafka_messages messages;  /* of the tick that is being written */
};

static struct kafka_plain *plain_of(struct wr_plain_target *target) {
  return (struct kafka_plain *)target;
}

static void close_plain(struct wr_plain_target *target) {
  struct kafka_plain *plain = plain_of(target);
  if (plain->producer != NULL) plain->producer->vtable->close(plain->producer);
  plain->producer = NULL;
}

/* The group is asked nothing; a client has one all the same. */
static enum weir_code open_producer(struct kafka_plain *plain, struct weir_error *error) {
  const struct wr_kafka_sink_config *config = plain->config;
  struct wr_kafka_producer_options options = {
      .connection = config->connection, .topic = config->topic, .marker_group = plain->context.uid};
  if (plain->producer != NULL) return WEIR_OK;
  options.connection.uid = plain->context.uid;
  return config->driver->open(config->driver, &options, plain->context.seams, plain->context.memory, &plain->producer,
                              error);
}

static enum weir_code connect(struct wr_plain_target *target, struct weir_error *error) {
  struct kafka_plain *plain = plain_of(target);
  close_plain(target);
  WR_TRY(open_producer(plain, error));
  return wr_kafka_sink_look(plain->producer, plain->config, &plain->context, error);
}

static enum weir_code write_messages(void *argument, const struct wr_kafka_message *messages, uint32_t count,
                                     uint32_t *out_bad, struct weir_error *error) {
  struct kafka_plain *plain = argument;
  return plain->producer->vtable->write(plain->producer, messages, count, out_bad, error);
}

static enum weir_code write_rows(struct kafka_plain *plain, struct wr_batch *const *batches, uint32_t count,
                                 struct weir_error *error) {
  WR_TRY(open_producer(plain, error));
  for (uint32_t i = 0; i < count; i++)
    WR_TRY(wr_kafka_messages_add(&plain->messages, batches[i], error));
  WR_TRY(wr_kafka_messages_flush(&plain->messages, error));
  return plain->producer->vtable->flush(plain->producer, WR_KAFKA_TRANSACTION_TIMEOUT_MS, error);
}

static enum weir_code write(struct wr_plain_target *target, struct wr_batch *const *batches, uint32_t count,
                            struct weir_error *error) {
  struct kafka_plain *plain = plain_of(target);
  enum weir_code code = write_rows(plain, batches, count, error);
  wr_kafka_messages_clear(&plain->messages);
  /* A producer that has failed once is not used again: it would repeat what it could not deliver. */
  if (code != WEIR_OK) close_plain(target);
  return code;
}

static void free_plain(struct wr_plain_target *target) {
  struct kafka_plain *plain = plain_of(target);
  close_plain(target);
  wr_kafka_messages_deinit(&plain->messages);
  wr_free(plain->context.memory, plain);
}

static const struct wr_plain_target_vtable vtable = {
    .connect = connect, .write = write, .close = close_plain, .free = free_plain};

enum weir_code wr_kafka_plain_new(void *target_config, const struct wr_target_context *context,
                                  struct wr_plain_target **out_target, struct weir_error *error) {
  const struct wr_kafka_sink_config *config = target_config;
  *out_target = NULL;
  struct kafka_plain *plain = wr_alloc_zeroed(context->memory, 1, sizeof *plain, WR_MEMORY_SINK);
  if (plain == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for sink %s", context->uid);
  plain->target.vtable = &vtable;
  plain->context = *context;
  plain->config = config;
  wr_kafka_messages_init(&plain->messages, config, &plain->context, write_messages, plain);
  *out_target = &plain->target;
  return WEIR_OK;
}
