/* connectors/kafka/kafka_reader_client.c: the reader's clients. See kafka_reader.h.
 *
 * The consumer is opened in a call, when the first partition has come. What a broker says against a partition is judged
 * (kafka_judge.h): an inquiry, a look of an admin in a call of its own, asks again until it is certain or was nothing;
 * then the partition is begun again at its position. Only "not allowed" is asked of the consumer itself, by beginning
 * again, for who may not read a topic may well be allowed to look at it.
 */
#include "connectors/kafka/kafka_reader.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* ---- calls ---- */

static void run_connecting(struct wr_call *call) {
  struct wr_kafka_reader *reader =
      (struct wr_kafka_reader *)((char *)call - offsetof(struct wr_kafka_reader, connecting.call));
  struct wr_kafka_connecting *connecting = &reader->connecting;
  const struct wr_kafka_driver *driver = reader->config->driver;
  const struct wr_operator_context *context = reader->op.context;
  if (!connecting->closing) {
    connecting->code = driver->open_consumer(driver, &reader->connection, reader->config->topic, context->seams,
                                             context->memory, context->waker, &connecting->opened, &connecting->error);
    return;
  }
  if (reader->consumer != NULL) reader->consumer->vtable->close(reader->consumer);
  if (reader->inquiry.admin != NULL) reader->inquiry.admin->vtable->close(reader->inquiry.admin);
  reader->consumer = NULL;
  reader->inquiry.admin = NULL;
}

static enum weir_code look(struct wr_kafka_reader *reader) {
  struct wr_kafka_inquiry *inquiry = &reader->inquiry;
  const struct wr_kafka_driver *driver = reader->config->driver;
  const struct wr_operator_context *context = reader->op.context;
  if (inquiry->admin == NULL)
    WR_TRY(driver->open_admin(driver, &reader->connection, context->seams, context->memory, &inquiry->admin,
                              &inquiry->error));
  return inquiry->admin->vtable->look(inquiry->admin, reader->config->topic, WR_KAFKA_LOOK_TIMEOUT_MS, context->memory,
                                      &inquiry->topic, &inquiry->error);
}

static void run_inquiry(struct wr_call *call) {
  struct wr_kafka_reader *reader =
      (struct wr_kafka_reader *)((char *)call - offsetof(struct wr_kafka_reader, inquiry.call));
  reader->inquiry.code = look(reader);
}

void wr_kafka_reader_init_client(struct wr_kafka_reader *reader) {
  reader->connecting.call.run = run_connecting;
  reader->connecting.call.waker = reader->op.context->waker;
  reader->inquiry.call.run = run_inquiry;
  reader->inquiry.call.waker = reader->op.context->waker;
  reader->inquiry.ask_at_ns = UINT64_MAX;
}

static enum weir_code pass_on(const struct wr_kafka_reader *reader, const struct weir_error *cause,
                              struct weir_error *error) {
  if (error != NULL) *error = *cause;
  (void)wr_error_prefix(error, "source %s", reader->op.context->uid);
  return cause->code;
}

bool wr_kafka_reader_close(struct wr_kafka_reader *reader) {
  struct wr_call *inquiry = &reader->inquiry.call, *connecting = &reader->connecting.call;
  if (!wr_call_is_idle(inquiry) && !wr_call_take_done(inquiry)) return false;
  if (!wr_call_is_idle(connecting)) {
    if (!wr_call_take_done(connecting)) return false;
    if (!reader->connecting.closing && reader->connecting.code == WEIR_OK) reader->consumer = reader->connecting.opened;
  }
  wr_kafka_topic_deinit(&reader->inquiry.topic, reader->op.context->memory);
  if (reader->consumer == NULL && reader->inquiry.admin == NULL) return true;
  wr_kafka_reader_drop_fetch(reader);
  reader->connecting.closing = true;
  wr_call_submit(reader->op.context->seams->calls, connecting);
  return false;
}

/* ---- opening and assigning ---- */

static void tell_client(struct wr_kafka_reader *reader, const char *sentence) {
  if (wr_kafka_notice_is_due(&reader->client_notice, 1, reader->op.context->now_ns))
    wr_log_write(reader->op.context->seams->log, WR_LOG_WARN, "source %s: topic %s: %.600s", reader->op.context->uid,
                 reader->config->topic, sentence);
}

/* Opens the consumer, once there is something to read. */
static enum weir_code open_consumer(struct wr_kafka_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                                    struct weir_error *error) {
  struct wr_kafka_connecting *connecting = &reader->connecting;
  uint64_t now_ns = reader->op.context->now_ns;
  if (connecting->running) {
    if (!wr_call_take_done(&connecting->call)) return WEIR_OK;
    connecting->running = false;
    if (connecting->code == WEIR_OK) {
      reader->consumer = connecting->opened;
      *out_made = true;
      return WEIR_OK;
    }
    if (!weir_code_is_transient(connecting->code)) return pass_on(reader, &connecting->error, error);
    connecting->delay_ns = wr_kafka_next_delay_ns(connecting->delay_ns, WR_KAFKA_DELAY_MOST_MS);
    connecting->open_at_ns = now_ns + connecting->delay_ns;
    tell_client(reader, connecting->error.message);
  }
  if (reader->to_assign_count == 0) return WEIR_OK;
  if (now_ns < connecting->open_at_ns) {
    *wake_at_ns = least(*wake_at_ns, connecting->open_at_ns);
    return WEIR_OK;
  }
  connecting->running = true;
  wr_call_submit(reader->op.context->seams->calls, &connecting->call);
  return WEIR_OK;
}

static enum weir_code assign_all(struct wr_kafka_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                                 struct weir_error *error) {
  for (uint32_t i = 0; i < reader->count && reader->to_assign_count > 0; i++) {
    struct wr_kafka_reading *reading = reader->readings[i];
    if (reading->state != WR_KAFKA_TO_ASSIGN) continue;
    if (reader->op.context->now_ns < reading->assign_at_ns) {
      *wake_at_ns = least(*wake_at_ns, reading->assign_at_ns);
      continue;
    }
    WR_TRY(
        reader->consumer->vtable->assign(reader->consumer, reading->split.partition, reading->split.position, error));
    reading->state = WR_KAFKA_FETCHING;
    reader->to_assign_count--;
    *out_made = true;
  }
  return WEIR_OK;
}

static void assign_again(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading, uint64_t at_ns) {
  reading->state = WR_KAFKA_TO_ASSIGN;
  reading->assign_at_ns = at_ns;
  reader->to_assign_count++;
}

/* ---- doubts ---- */

static void tell_doubt(struct wr_kafka_reader *reader, const struct wr_kafka_reading *reading,
                       enum wr_kafka_fault fault) {
  if (!wr_kafka_notice_is_due(&reader->doubt_notice, (int)fault, reader->op.context->now_ns)) return;
  wr_log_write(reader->op.context->seams->log, WR_LOG_WARN,
               "source %s: topic %s, partition %" PRId32 ", position %" PRId64
               ": %s, says a broker; asking again before it is believed",
               reader->op.context->uid, reader->config->topic, reading->split.partition, reading->split.position,
               wr_kafka_fault_text(fault));
}

/* Not allowed, says the consumer. */
static enum weir_code doubt_rights(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading, const char *reason,
                                   struct weir_error *error) {
  uint64_t again_ns = UINT64_MAX;
  struct wr_kafka_topic topic = {.answer = WR_KAFKA_NOT_ALLOWED};
  snprintf(topic.reason, sizeof topic.reason, "%s", reason);
  if (wr_kafka_doubt_see(&reading->doubt, WR_KAFKA_FORBIDDEN, reader->op.context->now_ns, &again_ns))
    return wr_kafka_fault_fail(WR_KAFKA_FORBIDDEN, &reader->connection, reader->config->topic, &topic,
                               reading->split.partition, reading->split.position, error);
  tell_doubt(reader, reading, WR_KAFKA_FORBIDDEN);
  assign_again(reader, reading, again_ns);
  return WEIR_OK;
}

enum weir_code wr_kafka_reader_doubt(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading,
                                     const struct wr_kafka_fetch *fetch, struct weir_error *error) {
  if (fetch->answer == WR_KAFKA_NOT_ALLOWED) return doubt_rights(reader, reading, fetch->reason, error);
  reading->state = WR_KAFKA_IN_DOUBT;
  reader->in_doubt_count++;
  reader->inquiry.ask_at_ns = least(reader->inquiry.ask_at_ns, reader->op.context->now_ns);
  return WEIR_OK;
}

/* What an inquiry says of one partition in doubt. *out_wake_ns is lowered to when to ask again; *out_unknown: nothing
 * was said. */
static enum weir_code judge(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading, uint64_t *out_wake_ns,
                            bool *out_unknown, struct weir_error *error) {
  const struct wr_kafka_topic *topic = &reader->inquiry.topic;
  const struct wr_kafka_split *split = &reading->split;
  uint64_t now_ns = reader->op.context->now_ns;
  bool known = false;
  enum wr_kafka_fault fault = wr_kafka_fault_of(topic, split->partition, split->position, &known);
  if (!known) {
    *out_unknown = true;
    return WEIR_OK;
  }
  if (wr_kafka_doubt_see(&reading->doubt, fault, now_ns, out_wake_ns))
    return wr_kafka_fault_fail(fault, &reader->connection, reader->config->topic, topic, split->partition,
                               split->position, error);
  if (fault != WR_KAFKA_FAULT_NONE) {
    tell_doubt(reader, reading, fault);
    return WEIR_OK;
  }
  reader->in_doubt_count--;
  assign_again(reader, reading, now_ns + reading->assign_delay_ns);
  reading->assign_delay_ns = wr_kafka_next_delay_ns(reading->assign_delay_ns, WR_KAFKA_DELAY_MOST_MS);
  return WEIR_OK;
}

/* What an inquiry says of the client as a whole. */
static enum weir_code judge_client(struct wr_kafka_reader *reader, uint64_t *out_wake_ns, struct weir_error *error) {
  const struct wr_kafka_topic *topic = &reader->inquiry.topic;
  if (reader->client_doubt.fault == WR_KAFKA_FAULT_NONE) return WEIR_OK;
  enum wr_kafka_fault fault = topic->answer == WR_KAFKA_NOT_ALLOWED ? WR_KAFKA_FORBIDDEN : WR_KAFKA_FAULT_NONE;
  if (!wr_kafka_doubt_see(&reader->client_doubt, fault, reader->op.context->now_ns, out_wake_ns)) return WEIR_OK;
  return wr_kafka_fault_fail(fault, &reader->connection, reader->config->topic, topic, -1, 0, error);
}

static enum weir_code take_inquiry(struct wr_kafka_reader *reader, struct weir_error *error) {
  struct wr_kafka_inquiry *inquiry = &reader->inquiry;
  uint64_t now_ns = reader->op.context->now_ns, wake_ns = UINT64_MAX;
  bool unknown = inquiry->code != WEIR_OK;
  inquiry->running = false;
  if (inquiry->code != WEIR_OK && !weir_code_is_transient(inquiry->code))
    return pass_on(reader, &inquiry->error, error);
  if (inquiry->code != WEIR_OK) {
    tell_client(reader, inquiry->error.message);
  } else {
    WR_TRY(judge_client(reader, &wake_ns, error));
    for (uint32_t i = 0; i < reader->count; i++)
      if (reader->readings[i]->state == WR_KAFKA_IN_DOUBT)
        WR_TRY(judge(reader, reader->readings[i], &wake_ns, &unknown, error));
    wr_kafka_topic_deinit(&inquiry->topic, reader->op.context->memory);
  }
  inquiry->delay_ns = unknown ? wr_kafka_next_delay_ns(inquiry->delay_ns, WR_KAFKA_DELAY_MOST_MS) : 0;
  inquiry->ask_at_ns = unknown ? least(wake_ns, now_ns + inquiry->delay_ns) : wake_ns;
  return WEIR_OK;
}

static enum weir_code step_inquiry(struct wr_kafka_reader *reader, uint64_t *wake_at_ns, struct weir_error *error) {
  struct wr_kafka_inquiry *inquiry = &reader->inquiry;
  if (inquiry->running) {
    if (!wr_call_take_done(&inquiry->call)) return WEIR_OK;
    WR_TRY(take_inquiry(reader, error));
  }
  if (reader->in_doubt_count == 0 && reader->client_doubt.fault == WR_KAFKA_FAULT_NONE) {
    inquiry->ask_at_ns = UINT64_MAX;
    return WEIR_OK;
  }
  if (reader->op.context->now_ns < inquiry->ask_at_ns) {
    *wake_at_ns = least(*wake_at_ns, inquiry->ask_at_ns);
    return WEIR_OK;
  }
  inquiry->running = true;
  wr_call_submit(reader->op.context->seams->calls, &inquiry->call);
  return WEIR_OK;
}

/* ---- what the client tells ---- */

static enum weir_code hear_trouble(struct wr_kafka_reader *reader, struct weir_error *error) {
  enum { SENTENCES_PER_POLL = 4 };
  for (int i = 0; i < SENTENCES_PER_POLL; i++) {
    struct wr_kafka_topic topic = {.answer = WR_KAFKA_NOT_ALLOWED};
    enum wr_kafka_answer answer = WR_KAFKA_FINE;
    char sentence[512] = "";
    if (!reader->consumer->vtable->trouble(reader->consumer, &answer, sentence, sizeof sentence)) return WEIR_OK;
    tell_client(reader, sentence);
    if (answer != WR_KAFKA_NOT_ALLOWED) continue;
    snprintf(topic.reason, sizeof topic.reason, "%.255s", sentence);
    if (wr_kafka_doubt_see(&reader->client_doubt, WR_KAFKA_FORBIDDEN, reader->op.context->now_ns,
                           &reader->inquiry.ask_at_ns))
      return wr_kafka_fault_fail(WR_KAFKA_FORBIDDEN, &reader->connection, reader->config->topic, &topic, -1, 0, error);
  }
  return WEIR_OK;
}

enum weir_code wr_kafka_reader_step_client(struct wr_kafka_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                                           struct weir_error *error) {
  if (reader->consumer == NULL) WR_TRY(open_consumer(reader, wake_at_ns, out_made, error));
  if (reader->consumer == NULL) return WEIR_OK;
  WR_TRY(hear_trouble(reader, error));
  wr_kafka_reader_count_commits(reader);
  WR_TRY(step_inquiry(reader, wake_at_ns, error));
  if (reader->to_assign_count > 0) WR_TRY(assign_all(reader, wake_at_ns, out_made, error));
  return WEIR_OK;
}
