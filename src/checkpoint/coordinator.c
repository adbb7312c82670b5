/* checkpoint/coordinator.c: see coordinator.h.
 *
 * How it works. A checkpoint in flight is one `flight`: PENDING until all tasks acknowledged, READY until no other one
 * is being published, PUBLISHING until the store has answered. Events change flights and put actions into a ring;
 * nothing but tick triggers. What could be triggered next, and when, is computed in one place (next_trigger), which
 * tick and wake_at share, so that they cannot disagree.
 *
 * What always holds:
 *   - flights ascend by id; there are at most max_in_flight; at most one is PUBLISHING, so completions ascend too.
 *   - `next_id` only grows and is never given out at or above `id_limit`.
 *   - a flight leaves in exactly one way: COMPLETE, ABORT or RESTART. Only a PUBLISHING one completes.
 *   - the ring never runs over: a trigger is put off while more than ACTIONS_BEFORE_TRIGGER actions wait, and what the
 *     flights can still add is counted in its size.
 *
 * All memory is allocated at creation. One thread.
 */
#include "checkpoint/coordinator.h"

#include <string.h>

enum {
  ABORTED_REMEMBERED = 64,     /* ids whose late acknowledgements are known to be late */
  ACTIONS_BEFORE_TRIGGER = 16, /* more waiting actions than this put off a trigger */
  ACTIONS_PER_FLIGHT = 4,      /* TRIGGER, PUBLISH, COMPLETE or ABORT or RESTART, WARN_FAILING */
  FAILURES_PER_WARNING = 3
};
static const uint64_t retry_without_interval_ns = 1000000000;

enum phase { PENDING, READY, PUBLISHING };

struct flight {
  uint64_t id;
  enum wr_checkpoint_reason reason;
  enum phase phase;
  uint64_t deadline_ns;   /* while PENDING */
  uint32_t missing;       /* tasks that have not acknowledged */
  uint64_t *acknowledged; /* one bit per task */
};

struct wr_coordinator {
  struct wr_coordinator_options options;
  uint32_t word_count;    /* of `acknowledged` */
  struct flight *flights; /* max_in_flight places, ascending by id */
  uint64_t *words;        /* the bits of all flights */
  uint32_t flight_count;
  uint64_t first_id; /* the first that this attempt could use */
  uint64_t next_id, id_limit;
  bool started, stopped;
  bool publish_unknown; /* RESTART was said: nothing is triggered any more */
  bool backlog;
  bool requested; /* at least one REQUESTED waits for its trigger */
  bool final_wanted;
  bool reserving;           /* RESERVE_IDS was said and not yet answered */
  uint64_t now_ns;          /* of the last event */
  uint64_t periodic_due_ns; /* the interval since the last trigger is over */
  uint64_t pause_until_ns;  /* min_pause since the last end is over */
  uint64_t final_due_ns;    /* a final one that failed is taken again */
  uint64_t reserve_due_ns;  /* a failed reservation is asked again */
  uint64_t *completed;      /* retained ones, ascending */
  uint32_t completed_count;
  uint64_t latest_completed, final_completed;
  uint32_t failures_in_a_row;
  uint64_t aborted[ABORTED_REMEMBERED];  /* a ring */
  uint64_t aborted_count;                /* ever */
  struct wr_coordinator_action *actions; /* a ring */
  uint32_t action_first, action_count, action_capacity;
};

const char *wr_abort_reason_text(enum wr_abort_reason reason) {
  switch (reason) {
  case WR_ABORT_TIMEOUT:
    return "it timed out before all tasks had acknowledged";
  case WR_ABORT_DECLINED:
    return "a task could not take its snapshot";
  case WR_ABORT_CANCELLED:
    return "a task met a cancel marker or a newer barrier";
  case WR_ABORT_SUBSUMED:
    return "a newer checkpoint completed";
  case WR_ABORT_METADATA:
    return "its metadata could not be written";
  case WR_ABORT_SHUTDOWN:
    return "the attempt ends";
  }
  return "unknown reason";
}

static uint64_t time_after(uint64_t now_ns, uint64_t duration_ns) {
  return duration_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + duration_ns;
}

static uint64_t retry_ns(const struct wr_coordinator *coordinator) {
  return coordinator->options.interval_ns != 0 ? coordinator->options.interval_ns : retry_without_interval_ns;
}

static enum weir_code allocate_tables(struct wr_memory *memory, struct wr_coordinator *coordinator,
                                      uint32_t completed_count, struct weir_error *error) {
  const struct wr_coordinator_options *options = &coordinator->options;
  size_t places = options->max_in_flight;
  size_t completed_places = (completed_count > options->retained ? completed_count : options->retained) + (size_t)1;
  coordinator->action_capacity =
      (uint32_t)(ACTIONS_BEFORE_TRIGGER + ACTIONS_PER_FLIGHT * (places + 1) + completed_places + 2);
  coordinator->flights = wr_alloc_zeroed(memory, places, sizeof *coordinator->flights, WR_MEMORY_ENGINE);
  coordinator->words =
      wr_alloc_zeroed(memory, places * coordinator->word_count, sizeof *coordinator->words, WR_MEMORY_ENGINE);
  coordinator->completed = wr_alloc_zeroed(memory, completed_places, sizeof *coordinator->completed, WR_MEMORY_ENGINE);
  coordinator->actions =
      wr_alloc_zeroed(memory, coordinator->action_capacity, sizeof *coordinator->actions, WR_MEMORY_ENGINE);
  if (coordinator->flights == NULL || coordinator->words == NULL || coordinator->completed == NULL ||
      coordinator->actions == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the checkpoint coordinator of %u tasks",
                   options->task_count);
  for (size_t i = 0; i < places; i++)
    coordinator->flights[i].acknowledged = coordinator->words + i * coordinator->word_count;
  return WEIR_OK;
}

enum weir_code wr_coordinator_new(struct wr_memory *memory, const struct wr_coordinator_options *options,
                                  const uint64_t *completed, uint32_t completed_count,
                                  struct wr_coordinator **out_coordinator, struct weir_error *error) {
  WR_ASSERT(options->retained >= 1 && options->max_in_flight >= 1 && options->task_count >= 1);
  WR_ASSERT(options->next_id >= 1);
  struct wr_coordinator *coordinator = wr_alloc_zeroed(memory, 1, sizeof *coordinator, WR_MEMORY_ENGINE);
  if (coordinator == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the checkpoint coordinator");
  coordinator->options = *options;
  coordinator->word_count = (options->task_count - 1) / 64 + 1;
  coordinator->first_id = coordinator->next_id = options->next_id;
  coordinator->id_limit = options->id_limit;
  enum weir_code code = allocate_tables(memory, coordinator, completed_count, error);
  if (code != WEIR_OK) {
    wr_coordinator_free(memory, coordinator);
    return code;
  }
  for (uint32_t i = 0; i < completed_count; i++) {
    WR_ASSERT(completed[i] > coordinator->latest_completed && completed[i] < options->next_id);
    coordinator->completed[i] = coordinator->latest_completed = completed[i];
  }
  coordinator->completed_count = completed_count;
  *out_coordinator = coordinator;
  return WEIR_OK;
}

void wr_coordinator_free(struct wr_memory *memory, struct wr_coordinator *coordinator) {
  if (coordinator == NULL) return;
  wr_free(memory, coordinator->flights);
  wr_free(memory, coordinator->words);
  wr_free(memory, coordinator->completed);
  wr_free(memory, coordinator->actions);
  wr_free(memory, coordinator);
}

/* ---- small parts ---- */

static struct wr_coordinator_action *add_action(struct wr_coordinator *coordinator,
                                                enum wr_coordinator_action_kind kind, uint64_t id) {
  WR_ASSERT(coordinator->action_count < coordinator->action_capacity);
  uint32_t place = (coordinator->action_first + coordinator->action_count) % coordinator->action_capacity;
  coordinator->action_count++;
  struct wr_coordinator_action *action = &coordinator->actions[place];
  *action = (struct wr_coordinator_action){.kind = kind, .id = id, .latest_completed = coordinator->latest_completed};
  return action;
}

static struct flight *find_flight(struct wr_coordinator *coordinator, uint64_t id) {
  for (uint32_t i = 0; i < coordinator->flight_count; i++)
    if (coordinator->flights[i].id == id) return &coordinator->flights[i];
  return NULL;
}

/* Takes a flight out; its bits go to the place that becomes free. */
static void remove_flight(struct wr_coordinator *coordinator, struct flight *flight) {
  struct flight removed = *flight;
  uint32_t place = (uint32_t)(flight - coordinator->flights);
  coordinator->flight_count--;
  memmove(flight, flight + 1, (coordinator->flight_count - place) * sizeof removed);
  coordinator->flights[coordinator->flight_count] = removed;
}

/* As Flink counts: what one task or the store could not do. What follows from another failure, from a newer checkpoint
 * or from the end of the attempt says nothing of its own. */
static bool counts_as_failure(enum wr_abort_reason reason) {
  return reason == WR_ABORT_TIMEOUT || reason == WR_ABORT_DECLINED || reason == WR_ABORT_METADATA;
}

static void abort_flight(struct wr_coordinator *coordinator, struct flight *flight, enum wr_abort_reason reason) {
  uint64_t id = flight->id;
  add_action(coordinator, WR_COORDINATOR_ABORT, id)->abort_reason = reason;
  coordinator->aborted[coordinator->aborted_count++ % ABORTED_REMEMBERED] = id;
  if (flight->reason == WR_CHECKPOINT_FINAL)
    coordinator->final_due_ns = time_after(coordinator->now_ns, retry_ns(coordinator));
  coordinator->pause_until_ns = time_after(coordinator->now_ns, coordinator->options.min_pause_ns);
  remove_flight(coordinator, flight);
  if (!counts_as_failure(reason)) return;
  coordinator->failures_in_a_row++;
  if (coordinator->failures_in_a_row % FAILURES_PER_WARNING == 0)
    add_action(coordinator, WR_COORDINATOR_WARN_FAILING, id)->abort_reason = reason;
}

/* One publish at a time, the oldest first: so completions ascend. */
static void publish_next(struct wr_coordinator *coordinator) {
  struct flight *ready = NULL;
  for (uint32_t i = 0; i < coordinator->flight_count; i++) {
    if (coordinator->flights[i].phase == PUBLISHING) return;
    if (coordinator->flights[i].phase == READY && ready == NULL) ready = &coordinator->flights[i];
  }
  if (ready == NULL || coordinator->publish_unknown) return;
  ready->phase = PUBLISHING;
  add_action(coordinator, WR_COORDINATOR_PUBLISH, ready->id);
}

static void advance_clock(struct wr_coordinator *coordinator, uint64_t now_ns) {
  if (now_ns > coordinator->now_ns) coordinator->now_ns = now_ns;
}

/* ---- triggering ---- */

/* The earliest time at which a checkpoint could be triggered if no other event comes, and why it would be; UINT64_MAX:
 * none, not by time. Of what is due now FINAL goes before REQUESTED before PERIODIC. */
static uint64_t next_trigger(const struct wr_coordinator *coordinator, enum wr_checkpoint_reason *out_reason) {
  *out_reason = WR_CHECKPOINT_PERIODIC;
  if (!coordinator->started || coordinator->stopped || coordinator->publish_unknown) return UINT64_MAX;
  if (coordinator->final_completed != 0) return UINT64_MAX;
  if (coordinator->flight_count == coordinator->options.max_in_flight) return UINT64_MAX;
  if (coordinator->next_id >= coordinator->id_limit) return UINT64_MAX;
  if (coordinator->action_count > ACTIONS_BEFORE_TRIGGER) return UINT64_MAX;
  uint64_t final_at = UINT64_MAX;
  if (coordinator->final_wanted) {
    final_at = coordinator->final_due_ns;
    for (uint32_t i = 0; i < coordinator->flight_count; i++)
      if (coordinator->flights[i].reason == WR_CHECKPOINT_FINAL) final_at = UINT64_MAX;
  }
  if (coordinator->requested && final_at > coordinator->now_ns) {
    *out_reason = WR_CHECKPOINT_REQUESTED;
    return coordinator->now_ns;
  }
  if (coordinator->final_wanted) {
    *out_reason = WR_CHECKPOINT_FINAL;
    return final_at;
  }
  if (coordinator->options.interval_ns == 0 || coordinator->backlog) return UINT64_MAX;
  return coordinator->periodic_due_ns > coordinator->pause_until_ns ? coordinator->periodic_due_ns
                                                                    : coordinator->pause_until_ns;
}

static void trigger(struct wr_coordinator *coordinator, enum wr_checkpoint_reason reason) {
  struct flight *flight = &coordinator->flights[coordinator->flight_count++];
  flight->id = coordinator->next_id++;
  flight->reason = reason;
  flight->phase = PENDING;
  flight->deadline_ns = time_after(coordinator->now_ns, coordinator->options.timeout_ns);
  flight->missing = coordinator->options.task_count;
  memset(flight->acknowledged, 0, coordinator->word_count * sizeof *flight->acknowledged);
  /* Whatever the reason, it is triggered after every request so far. */
  coordinator->requested = false;
  coordinator->periodic_due_ns = time_after(coordinator->now_ns, coordinator->options.interval_ns);
  add_action(coordinator, WR_COORDINATOR_TRIGGER, flight->id)->reason = reason;
}

/* When ids must be reserved; UINT64_MAX: not now. */
static uint64_t reserve_at(const struct wr_coordinator *coordinator) {
  if (!coordinator->started || coordinator->stopped || coordinator->publish_unknown) return UINT64_MAX;
  if (coordinator->final_completed != 0 || coordinator->reserving) return UINT64_MAX;
  return coordinator->next_id >= coordinator->id_limit ? coordinator->reserve_due_ns : UINT64_MAX;
}

void wr_coordinator_tick(struct wr_coordinator *coordinator, uint64_t now_ns) {
  advance_clock(coordinator, now_ns);
  for (uint32_t i = 0; i < coordinator->flight_count;) {
    struct flight *flight = &coordinator->flights[i];
    if (flight->phase == PENDING && flight->deadline_ns <= coordinator->now_ns)
      abort_flight(coordinator, flight, WR_ABORT_TIMEOUT);
    else
      i++;
  }
  enum wr_checkpoint_reason reason;
  while (next_trigger(coordinator, &reason) <= coordinator->now_ns)
    trigger(coordinator, reason);
  if (reserve_at(coordinator) <= coordinator->now_ns) {
    coordinator->reserving = true;
    add_action(coordinator, WR_COORDINATOR_RESERVE_IDS, coordinator->next_id);
  }
}

uint64_t wr_coordinator_wake_at(const struct wr_coordinator *coordinator) {
  enum wr_checkpoint_reason reason;
  uint64_t at = next_trigger(coordinator, &reason);
  uint64_t reserve = reserve_at(coordinator);
  if (reserve < at) at = reserve;
  for (uint32_t i = 0; i < coordinator->flight_count; i++) {
    const struct flight *flight = &coordinator->flights[i];
    if (flight->phase == PENDING && flight->deadline_ns < at) at = flight->deadline_ns;
  }
  return at;
}

/* ---- the other events ---- */

void wr_coordinator_start(struct wr_coordinator *coordinator, uint64_t now_ns) {
  advance_clock(coordinator, now_ns);
  coordinator->started = true;
  coordinator->periodic_due_ns = time_after(coordinator->now_ns, coordinator->options.interval_ns);
}

void wr_coordinator_request(struct wr_coordinator *coordinator, enum wr_checkpoint_reason reason) {
  WR_ASSERT(reason != WR_CHECKPOINT_PERIODIC);
  if (reason == WR_CHECKPOINT_FINAL)
    coordinator->final_wanted = true;
  else
    coordinator->requested = true;
}

void wr_coordinator_set_backlog(struct wr_coordinator *coordinator, bool backlog) {
  coordinator->backlog = backlog;
}

/* Is an acknowledgement of `id`, which is not in flight, late? Of a completed one it is a duplicate: all tasks had
 * acknowledged, and what it names is in use. Of one that is too long ago to be known nothing is discarded either. */
static bool is_late(const struct wr_coordinator *coordinator, uint64_t id) {
  if (id < coordinator->first_id || id >= coordinator->next_id) return true;
  uint64_t known = coordinator->aborted_count < ABORTED_REMEMBERED ? coordinator->aborted_count : ABORTED_REMEMBERED;
  for (uint64_t i = 0; i < known; i++)
    if (coordinator->aborted[i] == id) return true;
  return false;
}

enum wr_ack_result wr_coordinator_acknowledge(struct wr_coordinator *coordinator, uint64_t attempt, uint64_t id,
                                              uint32_t task, uint64_t now_ns) {
  advance_clock(coordinator, now_ns);
  if (attempt != coordinator->options.attempt) return WR_ACK_STALE;
  if (task >= coordinator->options.task_count) return WR_ACK_LATE;
  struct flight *flight = find_flight(coordinator, id);
  if (flight == NULL) return is_late(coordinator, id) ? WR_ACK_LATE : WR_ACK_DUPLICATE;
  uint64_t bit = UINT64_C(1) << (task % 64);
  if ((flight->acknowledged[task / 64] & bit) != 0) return WR_ACK_DUPLICATE;
  flight->acknowledged[task / 64] |= bit;
  if (--flight->missing == 0) {
    flight->phase = READY;
    publish_next(coordinator);
  }
  return WR_ACK_ACCEPTED;
}

void wr_coordinator_decline(struct wr_coordinator *coordinator, uint64_t attempt, uint64_t id, uint32_t task,
                            enum wr_abort_reason reason, uint64_t now_ns) {
  WR_ASSERT(reason == WR_ABORT_DECLINED || reason == WR_ABORT_CANCELLED);
  advance_clock(coordinator, now_ns);
  if (attempt != coordinator->options.attempt || task >= coordinator->options.task_count) return;
  struct flight *flight = find_flight(coordinator, id);
  if (flight != NULL && flight->phase == PENDING) abort_flight(coordinator, flight, reason);
}

static void complete(struct wr_coordinator *coordinator, struct flight *flight) {
  uint64_t id = flight->id;
  if (flight->reason == WR_CHECKPOINT_FINAL) coordinator->final_completed = id;
  remove_flight(coordinator, flight);
  coordinator->latest_completed = id;
  coordinator->failures_in_a_row = 0;
  coordinator->pause_until_ns = time_after(coordinator->now_ns, coordinator->options.min_pause_ns);
  add_action(coordinator, WR_COORDINATOR_COMPLETE, id);
  while (coordinator->flight_count > 0 && coordinator->flights[0].id < id)
    abort_flight(coordinator, &coordinator->flights[0], WR_ABORT_SUBSUMED);
  coordinator->completed[coordinator->completed_count++] = id;
  uint32_t surplus = 0;
  for (; coordinator->completed_count - surplus > coordinator->options.retained; surplus++)
    add_action(coordinator, WR_COORDINATOR_SUBSUME, coordinator->completed[surplus]);
  coordinator->completed_count -= surplus;
  memmove(coordinator->completed, coordinator->completed + surplus,
          coordinator->completed_count * sizeof *coordinator->completed);
}

void wr_coordinator_published(struct wr_coordinator *coordinator, uint64_t id, enum wr_publish_outcome outcome,
                              uint64_t now_ns) {
  advance_clock(coordinator, now_ns);
  struct flight *flight = find_flight(coordinator, id);
  WR_ASSERT(flight != NULL && flight->phase == PUBLISHING);
  switch (outcome) {
  case WR_PUBLISH_DURABLE:
    complete(coordinator, flight);
    break;
  case WR_PUBLISH_FAILED:
    abort_flight(coordinator, flight, WR_ABORT_METADATA);
    break;
  case WR_PUBLISH_UNKNOWN:
    coordinator->publish_unknown = true;
    remove_flight(coordinator, flight);
    add_action(coordinator, WR_COORDINATOR_RESTART, id);
    break;
  }
  publish_next(coordinator);
}

void wr_coordinator_reserved(struct wr_coordinator *coordinator, uint64_t id_limit, uint64_t now_ns) {
  advance_clock(coordinator, now_ns);
  WR_ASSERT(coordinator->reserving && id_limit >= coordinator->id_limit);
  coordinator->reserving = false;
  if (id_limit == coordinator->id_limit)
    coordinator->reserve_due_ns = time_after(coordinator->now_ns, retry_ns(coordinator));
  coordinator->id_limit = id_limit;
}

void wr_coordinator_stop(struct wr_coordinator *coordinator) {
  coordinator->stopped = true;
  for (uint32_t i = 0; i < coordinator->flight_count;) {
    if (coordinator->flights[i].phase == PUBLISHING)
      i++;
    else
      abort_flight(coordinator, &coordinator->flights[i], WR_ABORT_SHUTDOWN);
  }
}

bool wr_coordinator_next_action(struct wr_coordinator *coordinator, struct wr_coordinator_action *out_action) {
  if (coordinator->action_count == 0) return false;
  *out_action = coordinator->actions[coordinator->action_first];
  coordinator->action_first = (coordinator->action_first + 1) % coordinator->action_capacity;
  coordinator->action_count--;
  return true;
}

/* ---- what it knows ---- */

bool wr_coordinator_is_publishing(const struct wr_coordinator *coordinator) {
  for (uint32_t i = 0; i < coordinator->flight_count; i++)
    if (coordinator->flights[i].phase == PUBLISHING) return true;
  return false;
}

uint64_t wr_coordinator_final_completed(const struct wr_coordinator *coordinator) {
  return coordinator->final_completed;
}

uint64_t wr_coordinator_latest_completed(const struct wr_coordinator *coordinator) {
  return coordinator->latest_completed;
}

uint32_t wr_coordinator_failures_in_a_row(const struct wr_coordinator *coordinator) {
  return coordinator->failures_in_a_row;
}
