/* connectors/kafka/kafka_enumerator.c: looks at the topic, again and again for as long as the job runs, bounded or not.
 *
 * A look is a call; what its answer means is decided in kafka_known.c. When nobody answers it asks again, with a delay
 * that grows to 10 s, and says so in the log; that alone never fails the attempt, so a broker that is away is waited
 * for. Between submit and done `admin`, `topic`, `code` and `call_error` are the call's; all else is the master's
 * thread's.
 */
#include "connectors/kafka/kafka_enumerator.h"

#include "connectors/kafka/kafka_known.h"
#include "connectors/kafka/kafka_notice.h"

struct kafka_enumerator {
  struct wr_enumerator base;
  struct wr_enumerator_context context;
  const struct wr_kafka_config *config;
  struct wr_kafka_connection connection;
  struct wr_kafka_known known;
  struct wr_kafka_notice notice;
  uint64_t next_ns, delay_ns; /* when to look again; of the looks that brought nothing good */
  struct wr_call call;
  bool running; /* submitted, and its answer not yet taken */
  bool closing; /* the call closes the admin */
  struct wr_kafka_admin *admin;
  struct wr_kafka_topic topic;
  enum weir_code code;
  struct weir_error call_error;
};

static struct kafka_enumerator *self_of(struct wr_enumerator *enumerator) {
  return (struct kafka_enumerator *)enumerator;
}

/* ---- the call ---- */

static enum weir_code look(struct kafka_enumerator *self) {
  const struct wr_kafka_driver *driver = self->config->driver;
  if (self->admin == NULL)
    WR_TRY(driver->open_admin(driver, &self->connection, self->context.seams, self->context.memory, &self->admin,
                              &self->call_error));
  return self->admin->vtable->look(self->admin, self->config->topic, WR_KAFKA_LOOK_TIMEOUT_MS, self->context.memory,
                                   &self->topic, &self->call_error);
}

static void run_call(struct wr_call *call) {
  struct kafka_enumerator *self = (struct kafka_enumerator *)((char *)call - offsetof(struct kafka_enumerator, call));
  if (self->closing) {
    self->admin->vtable->close(self->admin);
    self->admin = NULL;
  } else {
    self->code = look(self);
  }
}

/* ---- answers ---- */

/* Kinds of notices. */
enum { ALL_IS_WELL, NOBODY_ANSWERS, WAITS_FOR_LEADER, IN_DOUBT };

static void tell_well(struct kafka_enumerator *self, uint64_t now_ns) {
  if (wr_kafka_notice_is_due(&self->notice, ALL_IS_WELL, now_ns))
    wr_log_write(self->context.seams->log, WR_LOG_INFO, "source %s: topic %s is there again", self->context.uid,
                 self->config->topic);
}

static void tell_nobody(struct kafka_enumerator *self, uint64_t now_ns) {
  if (wr_kafka_notice_is_due(&self->notice, NOBODY_ANSWERS, now_ns))
    wr_log_write(self->context.seams->log, WR_LOG_WARN,
                 "source %s: no answer about topic %s from %s: %.600s; asking on", self->context.uid,
                 self->config->topic, self->connection.servers, self->call_error.message);
}

static void tell_waiting(struct kafka_enumerator *self, uint64_t now_ns) {
  const struct wr_kafka_known *known = &self->known;
  bool doubt = known->wait == WR_KAFKA_WAIT_DOUBT;
  int kind = doubt ? IN_DOUBT + (int)known->fault : WAITS_FOR_LEADER;
  if (!wr_kafka_notice_is_due(&self->notice, kind, now_ns)) return;
  struct wr_log *log = self->context.seams->log;
  if (!doubt)
    wr_log_write(log, WR_LOG_WARN, "source %s: topic %s, partition %d has no leader; it is waited for",
                 self->context.uid, self->config->topic, known->wait_partition);
  else if (known->wait_partition < 0)
    wr_log_write(log, WR_LOG_WARN, "source %s: topic %s: %s, says a broker; asking again before it is believed",
                 self->context.uid, self->config->topic, wr_kafka_fault_text(known->fault));
  else
    wr_log_write(log, WR_LOG_WARN,
                 "source %s: topic %s, partition %d: %s, says a broker; asking again before it is believed",
                 self->context.uid, self->config->topic, known->wait_partition, wr_kafka_fault_text(known->fault));
}

static uint64_t interval_ms(const struct kafka_enumerator *self) {
  uint64_t interval = self->config->discovery_interval_ms;
  return interval == 0 ? WR_KAFKA_DISCOVERY_INTERVAL_MS : interval;
}

static enum weir_code take_topic(struct kafka_enumerator *self, uint64_t now_ns, struct weir_error *error) {
  uint64_t wake_at_ns = UINT64_MAX, most_ms = interval_ms(self);
  enum weir_code code = wr_kafka_known_judge(&self->known, &self->topic, now_ns, &wake_at_ns, error);
  wr_kafka_topic_deinit(&self->topic, self->context.memory);
  if (code != WEIR_OK) return code;
  if (self->known.wait == WR_KAFKA_WAIT_NONE) {
    self->delay_ns = 0;
    self->next_ns = now_ns + most_ms * 1000000;
    tell_well(self, now_ns);
  } else {
    self->delay_ns =
        wr_kafka_next_delay_ns(self->delay_ns, most_ms < WR_KAFKA_DELAY_MOST_MS ? most_ms : WR_KAFKA_DELAY_MOST_MS);
    self->next_ns = now_ns + self->delay_ns;
    if (self->next_ns > wake_at_ns) self->next_ns = wake_at_ns;
    tell_waiting(self, now_ns);
  }
  return WEIR_OK;
}

static enum weir_code take_answer(struct kafka_enumerator *self, uint64_t now_ns, struct weir_error *error) {
  self->running = false;
  if (self->code == WEIR_OK) return take_topic(self, now_ns, error);
  if (!weir_code_is_transient(self->code)) {
    if (error != NULL) *error = self->call_error;
    return wr_error_prefix(error, "source %s", self->context.uid);
  }
  self->delay_ns = wr_kafka_next_delay_ns(self->delay_ns, WR_KAFKA_DELAY_MOST_MS);
  self->next_ns = now_ns + self->delay_ns;
  tell_nobody(self, now_ns);
  return WEIR_OK;
}

/* ---- the enumerator ---- */

static enum weir_code step(struct wr_enumerator *enumerator, uint64_t now_ns, uint64_t *wake_at_ns,
                           struct weir_error *error) {
  struct kafka_enumerator *self = self_of(enumerator);
  if (self->running) {
    if (!wr_call_take_done(&self->call)) return WEIR_OK;
    WR_TRY(take_answer(self, now_ns, error));
  }
  if (now_ns >= self->next_ns) {
    self->running = true;
    wr_call_submit(self->context.seams->calls, &self->call);
  } else if (*wake_at_ns > self->next_ns) {
    *wake_at_ns = self->next_ns;
  }
  return WEIR_OK;
}

static bool take_split(struct wr_enumerator *enumerator, struct wr_split *out_split) {
  return wr_kafka_known_take(&self_of(enumerator)->known, out_split);
}

static bool is_ready(const struct wr_enumerator *enumerator) {
  const struct wr_kafka_known *known = &((const struct kafka_enumerator *)enumerator)->known;
  return known->released && wr_kafka_known_all_taken(known);
}

static bool is_exhausted(const struct wr_enumerator *enumerator) {
  return ((const struct kafka_enumerator *)enumerator)->context.bounded && is_ready(enumerator);
}

/* Closes the admin, in a call, when nothing else runs. */
static bool is_idle(struct wr_enumerator *enumerator) {
  struct kafka_enumerator *self = self_of(enumerator);
  if (!wr_call_is_idle(&self->call) && !wr_call_take_done(&self->call)) return false;
  self->running = false;
  if (self->admin == NULL) return true;
  self->closing = true;
  wr_call_submit(self->context.seams->calls, &self->call);
  return false;
}

static void free_enumerator(struct wr_enumerator *enumerator) {
  struct kafka_enumerator *self = self_of(enumerator);
  WR_ASSERT(wr_call_is_idle(&self->call) && self->admin == NULL);
  wr_kafka_topic_deinit(&self->topic, self->context.memory);
  wr_kafka_known_deinit(&self->known);
  wr_free(self->context.memory, self);
}

static const struct wr_enumerator_vtable vtable = {.step = step,
                                                   .take_split = take_split,
                                                   .is_ready = is_ready,
                                                   .is_exhausted = is_exhausted,
                                                   .is_idle = is_idle,
                                                   .free = free_enumerator};

static enum weir_code add_restored(struct kafka_enumerator *self, const struct wr_split *restored,
                                   struct weir_error *error) {
  struct wr_kafka_split split;
  enum weir_code code = wr_kafka_split_read(restored->bytes, restored->length, &split, error);
  if (code != WEIR_OK) return wr_error_prefix(error, "source %s", self->context.uid);
  return wr_kafka_known_add(&self->known, &split, error);
}

enum weir_code wr_kafka_enumerator_new(const struct wr_kafka_config *config,
                                       const struct wr_enumerator_context *context, const struct wr_split *restored,
                                       uint32_t restored_count, struct wr_enumerator **out_enumerator,
                                       struct weir_error *error) {
  *out_enumerator = NULL;
  struct kafka_enumerator *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SOURCE);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for source %s", context->uid);
  self->base.vtable = &vtable;
  self->context = *context;
  self->config = config;
  self->connection = config->connection;
  self->connection.uid = context->uid;
  self->known = (struct wr_kafka_known){
      .memory = context->memory, .connection = &self->connection, .topic = config->topic, .bounded = context->bounded};
  self->call.run = run_call;
  self->call.waker = context->waker;
  enum weir_code code = WEIR_OK;
  for (uint32_t i = 0; i < restored_count && code == WEIR_OK; i++)
    code = add_restored(self, &restored[i], error);
  if (code != WEIR_OK) {
    free_enumerator(&self->base);
    return code;
  }
  *out_enumerator = &self->base;
  return WEIR_OK;
}
