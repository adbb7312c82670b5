/* connectors/kafka/kafka_target.c: see kafka_target.h.
 *
 * The marker is {offset = checkpoint id, metadata = "weir 1 INCARNATION START"} in the sink's group: see
 * kafka_producer.h. Everything hangs on two facts of the brokers: of all producers with one transactional id only the
 * last that was fenced in can commit, and the marker commits with the rows.
 *
 *   connect      opens a producer and looks at the topic
 *   read_marker  fence, then read: from here on no older producer can change what was read
 *   claim        one transaction with the marker alone: start = mine
 *   commit N     one transaction: the rows, and the marker {N, mine}
 *
 * After an answer that leaves the outcome open the producer is closed. The next call opens another, fences, and so ends
 * what was open, and reads the marker, which says what happened: whether the epoch is out, and who holds the target. A
 * broker's FENCED alone ends nothing, for an older run that comes back for a moment can fence a younger one, and then
 * finds the younger one's marker; it is the marker's start number that decides who goes on.
 *
 * The transactional id, which is the group too, is PREFIX-JOB-SINK. Where job or sink has a '-' in its name, other
 * names could lead to the same, so there it is PREFIX:JOB:SINK; names have no ':'. A job that earlier versions have
 * begun goes on with the first form: a marker in that group, where the second has none, says that there is such a job.
 * A producer of the first form is fenced for that look; if it is another job's, that one fences anew and goes on.
 *
 * What always holds: `marker` is what the brokers hold while `is_fenced`. All functions run inside calls, one at a
 * time.
 */
#include "connectors/kafka/kafka_target.h"

#include "connectors/kafka/kafka_messages.h"
#include "connectors/kafka/kafka_sink_look.h"
#include "connectors/target_marker.h"
#include "operators/epoch_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ID_BYTES_MAX = 600, WHERE_BYTES = 512 };
static const char format_word[] = "weir 1";

struct kafka_target {
  struct wr_target target;
  struct wr_target_context context;
  const struct wr_kafka_sink_config *config;
  char exact_id[ID_BYTES_MAX], older_id[ID_BYTES_MAX]; /* of the two forms; "": there is no second */
  const char *id;                                      /* one of them: of the producer, and the group */
  bool is_settled;                                     /* which one */
  char where[WHERE_BYTES];                             /* the target, for messages */
  struct wr_kafka_producer *producer;                  /* NULL: closed */
  bool is_fenced; /* this producer was fenced in, and `marker` read, after it was opened */
  struct wr_marker marker;
  uint64_t known_id;                 /* of the checkpoint that this start knows to be out */
  struct wr_kafka_messages messages; /* of the epoch that is being written */
};

static struct kafka_target *target_of(struct wr_target *target) {
  return (struct kafka_target *)target;
}

/* ---- the marker as text ---- */

static void put_marker(const struct wr_marker *marker, struct wr_kafka_group_marker *out) {
  char incarnation[WR_INCARNATION_BYTES * 2 + 1];
  for (int i = 0; i < WR_INCARNATION_BYTES; i++)
    snprintf(incarnation + i * 2, 3, "%02x", marker->incarnation[i]);
  *out = (struct wr_kafka_group_marker){.present = true, .offset = (int64_t)marker->checkpoint_id};
  snprintf(out->metadata, sizeof out->metadata, "%s %s %" PRIu64, format_word, incarnation, marker->start_number);
}

static int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* False: it is none of ours. */
static bool read_text(const struct wr_kafka_group_marker *group, struct wr_marker *out_marker) {
  const char *at = group->metadata;
  size_t word = sizeof format_word - 1;
  *out_marker = (struct wr_marker){.present = true, .checkpoint_id = (uint64_t)group->offset};
  if (group->offset < 0 || strncmp(at, format_word, word) != 0 || at[word] != ' ') return false;
  at += word + 1;
  for (int i = 0; i < WR_INCARNATION_BYTES; i++, at += 2) {
    int high = hex_digit(at[0]), low = high < 0 ? -1 : hex_digit(at[1]);
    if (low < 0) return false;
    out_marker->incarnation[i] = (uint8_t)(high * 16 + low);
  }
  if (*at++ != ' ' || *at == 0) return false;
  for (; *at >= '0' && *at <= '9'; at++) {
    if (out_marker->start_number > (UINT64_MAX - 9) / 10) return false;
    out_marker->start_number = out_marker->start_number * 10 + (uint64_t)(*at - '0');
  }
  return *at == 0;
}

/* ---- connection ---- */

static void close_target(struct wr_target *target) {
  struct kafka_target *kafka = target_of(target);
  if (kafka->producer != NULL) kafka->producer->vtable->close(kafka->producer);
  kafka->producer = NULL;
  kafka->is_fenced = false;
}

static enum weir_code open_producer(struct kafka_target *kafka, struct weir_error *error) {
  const struct wr_kafka_sink_config *config = kafka->config;
  struct wr_kafka_producer_options options = {.connection = config->connection,
                                              .topic = config->topic,
                                              .transactional_id = kafka->id,
                                              .marker_group = kafka->id,
                                              .transaction_timeout_ms = config->transaction_timeout_ms};
  options.connection.uid = kafka->context.uid;
  if (options.transaction_timeout_ms == 0) options.transaction_timeout_ms = WR_KAFKA_TRANSACTION_TIMEOUT_MS;
  return config->driver->open(config->driver, &options, kafka->context.seams, kafka->context.memory, &kafka->producer,
                              error);
}

static enum weir_code connect(struct wr_target *target, struct weir_error *error) {
  struct kafka_target *kafka = target_of(target);
  close_target(target);
  WR_TRY(open_producer(kafka, error));
  return wr_kafka_sink_look(kafka->producer, kafka->config, &kafka->context, error);
}

/* Ends what failed: a transaction, or the way to one. That we were fenced out is for the marker to say: whoever did it
 * may hold the target, or have been about to find that it does not; so it is asked at the next try. */
static enum weir_code give_up(struct kafka_target *kafka, enum weir_code code, enum wr_kafka_outcome outcome,
                              struct weir_error *error) {
  if (outcome == WR_KAFKA_ABORTED && code != WEIR_FENCED)
    kafka->producer->vtable->abort(kafka->producer, WR_KAFKA_ANSWER_TIMEOUT_MS);
  /* A producer that has failed once is not used again: what is wrong with it is not always said. */
  close_target(&kafka->target);
  if (code != WEIR_FENCED) return code;
  return WR_FAIL(error, WEIR_IO, "sink \"%s\": another producer has taken the transactional id %s", kafka->context.uid,
                 kafka->id);
}

static enum weir_code fence_and_read(struct kafka_target *kafka, struct weir_error *error) {
  struct wr_kafka_group_marker group;
  struct wr_kafka_producer *producer = kafka->producer;
  WR_TRY(producer->vtable->fence(producer, WR_KAFKA_ANSWER_TIMEOUT_MS, error));
  WR_TRY(producer->vtable->read_marker(producer, WR_KAFKA_ANSWER_TIMEOUT_MS, &group, error));
  kafka->marker = (struct wr_marker){.present = false};
  if (!group.present || read_text(&group, &kafka->marker)) return WEIR_OK;
  return WR_FAIL(error, WEIR_CONSTRAINT,
                 "sink \"%s\": the committed offset of group %s (offset %" PRId64
                 ", \"%.100s\") was not written by weir; the group belongs to weir and must not be used by others",
                 kafka->context.uid, kafka->id, group.offset, group.metadata);
}

/* Shuts older producers of this id out, and reads what they left. A producer is fenced in once in its life. */
static enum weir_code take_over_by(struct kafka_target *kafka, const char *id, struct weir_error *error) {
  if (kafka->id != id) close_target(&kafka->target);
  kafka->id = id;
  if (kafka->producer == NULL) WR_TRY(open_producer(kafka, error));
  enum weir_code code = fence_and_read(kafka, error);
  kafka->is_fenced = code == WEIR_OK;
  return code == WEIR_OK ? WEIR_OK : give_up(kafka, code, WR_KAFKA_OPEN, error);
}

/* The older form, where a marker is there; else the exact one again, of which `code` says what became of it. Who has no
 * right to one of the two has written by the other. */
static enum weir_code settle_id(struct kafka_target *kafka, enum weir_code code, struct weir_error *error) {
  struct weir_error denied = *error;
  enum weir_code older = take_over_by(kafka, kafka->older_id, error);
  if (older == WEIR_OK && kafka->marker.present) {
    kafka->is_settled = true;
    wr_log_write(
        kafka->context.seams->log, WR_LOG_INFO,
        "sink %s: an earlier version has written by transactional id and group %s, and they are kept; other names "
        "of job and sink can have led to them too: if it was not this job, give the sink another "
        "sink.transactional-id-prefix",
        kafka->context.uid, kafka->older_id);
    return WEIR_OK;
  }
  close_target(&kafka->target);
  kafka->id = kafka->exact_id;
  if (older != WEIR_OK && older != WEIR_DENIED) return older;
  *error = denied;
  if (code != WEIR_OK) return code;
  kafka->is_settled = true;
  return take_over_by(kafka, kafka->exact_id, error);
}

static enum weir_code take_over(struct kafka_target *kafka, struct weir_error *error) {
  if (kafka->is_fenced) return WEIR_OK;
  enum weir_code code = take_over_by(kafka, kafka->id, error);
  if (kafka->is_settled || (code != WEIR_OK && code != WEIR_DENIED)) return code;
  if (code == WEIR_DENIED || !kafka->marker.present) return settle_id(kafka, code, error);
  kafka->is_settled = true;
  return WEIR_OK;
}

static enum weir_code read_marker(struct wr_target *target, struct wr_marker *out_marker, struct weir_error *error) {
  struct kafka_target *kafka = target_of(target);
  if (kafka->is_fenced) close_target(target); /* it is asked anew */
  *out_marker = (struct wr_marker){.present = false};
  WR_TRY(take_over(kafka, error));
  *out_marker = kafka->marker;
  return WEIR_OK;
}

/* ---- transactions ---- */

static enum weir_code commit_with(struct kafka_target *kafka, const struct wr_marker *marker,
                                  struct weir_error *error) {
  struct wr_kafka_group_marker group;
  enum wr_kafka_outcome outcome = WR_KAFKA_OPEN;
  put_marker(marker, &group);
  enum weir_code code = kafka->producer->vtable->commit(kafka->producer, &group,
                                                        kafka->config->transaction_timeout_ms == 0
                                                            ? WR_KAFKA_TRANSACTION_TIMEOUT_MS
                                                            : kafka->config->transaction_timeout_ms,
                                                        &outcome, error);
  if (code != WEIR_OK) return give_up(kafka, code, outcome, error);
  kafka->marker = *marker;
  kafka->known_id = marker->checkpoint_id;
  return WEIR_OK;
}

static enum weir_code write_marker(struct kafka_target *kafka, uint64_t checkpoint, struct weir_error *error) {
  struct wr_marker mine = wr_marker_mine(&kafka->context, checkpoint);
  enum weir_code code = kafka->producer->vtable->begin(kafka->producer, error);
  if (code != WEIR_OK) return give_up(kafka, code, WR_KAFKA_ABORTED, error);
  return commit_with(kafka, &mine, error);
}

static enum weir_code claim(struct wr_target *target, const struct wr_marker *seen, uint64_t checkpoint,
                            struct weir_error *error) {
  struct kafka_target *kafka = target_of(target);
  WR_TRY(take_over(kafka, error));
  WR_TRY(wr_marker_check_claim(&kafka->context, seen, &kafka->marker, kafka->where, error));
  return write_marker(kafka, checkpoint, error);
}

/* May what comes after `known_id` be written, up to `checkpoint_id`? *out_already: it is out. */
static enum weir_code check_marker(struct kafka_target *kafka, uint64_t checkpoint_id, bool *out_already,
                                   struct weir_error *error) {
  const struct wr_marker *marker = &kafka->marker;
  bool is_mine = wr_marker_is_mine(&kafka->context, marker);
  *out_already = false;
  if (is_mine && marker->checkpoint_id >= kafka->known_id && marker->checkpoint_id < checkpoint_id) return WEIR_OK;
  return wr_marker_explain(&kafka->context, marker, checkpoint_id, kafka->known_id, kafka->where, out_already, error);
}

static enum weir_code refresh(struct wr_target *target, struct weir_error *error) {
  struct kafka_target *kafka = target_of(target);
  bool already = false;
  WR_TRY(take_over(kafka, error));
  WR_TRY(check_marker(kafka, UINT64_MAX, &already, error));
  return write_marker(kafka, kafka->marker.checkpoint_id, error);
}

/* ---- an epoch ---- */

/* Hands the messages that are made to the producer. */
static enum weir_code write_messages(void *argument, const struct wr_kafka_message *messages, uint32_t count,
                                     uint32_t *out_bad, struct weir_error *error) {
  struct kafka_target *kafka = argument;
  return kafka->producer->vtable->write(kafka->producer, messages, count, out_bad, error);
}

static enum weir_code write_epoch(struct kafka_target *kafka, const struct wr_epoch *epoch, struct weir_error *error) {
  struct wr_epoch_rows rows;
  wr_epoch_rows_init(&rows, kafka->context.store, kafka->context.memory, kafka->context.schema, epoch);
  wr_kafka_messages_clear(&kafka->messages);
  struct wr_batch *batch = NULL;
  enum weir_code code;
  do {
    code = wr_epoch_rows_next(&rows, &batch, error);
    if (code == WEIR_OK && batch != NULL) code = wr_kafka_messages_add(&kafka->messages, batch, error);
    wr_batch_unref(batch);
  } while (code == WEIR_OK && batch != NULL);
  if (code == WEIR_OK) code = wr_kafka_messages_flush(&kafka->messages, error);
  wr_kafka_messages_clear(&kafka->messages);
  wr_epoch_rows_deinit(&rows);
  return code;
}

static enum weir_code commit(struct wr_target *target, const struct wr_epoch *epoch, bool *out_already,
                             struct weir_error *error) {
  struct kafka_target *kafka = target_of(target);
  *out_already = false;
  WR_TRY(take_over(kafka, error));
  WR_TRY(check_marker(kafka, epoch->checkpoint_id, out_already, error));
  if (*out_already) kafka->known_id = kafka->marker.checkpoint_id;
  if (*out_already) return WEIR_OK;
  enum weir_code code = kafka->producer->vtable->begin(kafka->producer, error);
  if (code == WEIR_OK) code = write_epoch(kafka, epoch, error);
  if (code != WEIR_OK) return give_up(kafka, code, WR_KAFKA_ABORTED, error);
  struct wr_marker mine = wr_marker_mine(&kafka->context, epoch->checkpoint_id);
  return commit_with(kafka, &mine, error);
}

/* ---- life ---- */

static void free_target(struct wr_target *target) {
  struct kafka_target *kafka = target_of(target);
  wr_kafka_messages_deinit(&kafka->messages);
  wr_free(kafka->context.memory, kafka);
}

static const struct wr_target_vtable vtable = {.connect = connect,
                                               .read_marker = read_marker,
                                               .claim = claim,
                                               .refresh = refresh,
                                               .commit = commit,
                                               .close = close_target,
                                               .free = free_target};

enum weir_code wr_kafka_sink_check(const struct wr_kafka_sink_config *config, const struct weir_schema *schema,
                                   struct weir_error *error) {
  if (config->topic == NULL || config->topic[0] == 0 || config->connection.servers == NULL)
    return WR_FAIL(error, WEIR_INVALID, "a Kafka sink needs servers and a topic");
  if (config->is_upsert && config->key_count == 0)
    return WR_FAIL(error, WEIR_INVALID, "a Kafka sink that upserts needs the fields of the key");
  for (uint32_t i = 0; i < config->key_count; i++)
    if (config->key_fields[i] >= schema->field_count)
      return WR_FAIL(error, WEIR_INVALID, "key field %u of the Kafka sink is none of its %u fields",
                     config->key_fields[i], schema->field_count);
  const struct wr_kafka_producer_options options = {
      .connection = config->connection, .topic = config->topic, .transactional_id = "check", .marker_group = "check"};
  return config->driver->check(config->driver, &options, error);
}

static enum weir_code make_id(const struct kafka_target *kafka, char between, char *out, struct weir_error *error) {
  const char *prefix = kafka->config->transactional_id_prefix;
  int length = snprintf(out, ID_BYTES_MAX, "%s%c%s%c%s", prefix == NULL ? "weir" : prefix, between,
                        kafka->context.job_name, between, kafka->context.uid);
  if (length >= 0 && length < ID_BYTES_MAX) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "sink \"%s\": its transactional id would be longer than %d bytes",
                 kafka->context.uid, ID_BYTES_MAX - 1);
}

static enum weir_code make_names(struct kafka_target *kafka, struct weir_error *error) {
  bool has_dash = strchr(kafka->context.job_name, '-') != NULL || strchr(kafka->context.uid, '-') != NULL;
  WR_TRY(make_id(kafka, has_dash ? ':' : '-', kafka->exact_id, error));
  if (has_dash) WR_TRY(make_id(kafka, '-', kafka->older_id, error));
  kafka->id = kafka->exact_id;
  kafka->is_settled = !has_dash;
  snprintf(kafka->where, sizeof kafka->where, "topic %.250s at %.200s", kafka->config->topic,
           kafka->config->connection.servers);
  return WEIR_OK;
}

enum weir_code wr_kafka_target_new(void *target_config, const struct wr_target_context *context,
                                   struct wr_target **out_target, struct weir_error *error) {
  const struct wr_kafka_sink_config *config = target_config;
  *out_target = NULL;
  struct kafka_target *kafka = wr_alloc_zeroed(context->memory, 1, sizeof *kafka, WR_MEMORY_SINK);
  if (kafka == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for sink %s", context->uid);
  kafka->target.vtable = &vtable;
  kafka->context = *context;
  kafka->config = config;
  wr_kafka_messages_init(&kafka->messages, config, context, write_messages, kafka);
  enum weir_code code = make_names(kafka, error);
  if (code != WEIR_OK) {
    free_target(&kafka->target);
    return code;
  }
  *out_target = &kafka->target;
  return WEIR_OK;
}
