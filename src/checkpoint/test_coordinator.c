/* Tests of checkpoint/coordinator: Flink's own cases (CheckpointCoordinatorTest, CheckpointRequestDeciderTest,
 * CheckpointFailureManagerTest), and weir's rules. Time is in plain numbers; the interval is 100. Expected actions are
 * text: "T5p" trigger 5 periodic (r requested, f final), "P5" publish, "C5" complete, "S5" subsume, "A5:timeout" abort,
 * "R1024" reserve ids, "X5" restart, "W5" warn. */
#include "checkpoint/coordinator.h"

#include "base/test.h"

enum { ATTEMPT = 7, INTERVAL = 100, TIMEOUT = 1000 };

static struct wr_heap_memory heap;
static struct wr_coordinator_options options;
static struct wr_coordinator *coordinator;

static void make_restored(const uint64_t *completed, uint32_t count) {
  wr_heap_memory_init(&heap, 0);
  if (wr_coordinator_new(&heap.memory, &options, completed, count, &coordinator, NULL) != WEIR_OK) abort();
}

/* `tasks` tasks, the first id is 1, started at time 0. Tests change `options` first where they want others. */
static void set_options(uint32_t tasks) {
  options = (struct wr_coordinator_options){.interval_ns = INTERVAL,
                                            .timeout_ns = TIMEOUT,
                                            .retained = 1,
                                            .max_in_flight = 1,
                                            .task_count = tasks,
                                            .attempt = ATTEMPT,
                                            .next_id = 1,
                                            .id_limit = 1000};
}

static void make(void) {
  make_restored(NULL, 0);
  wr_coordinator_start(coordinator, 0);
}

static void drop(void) {
  wr_coordinator_free(&heap.memory, coordinator);
  CHECK_INT(heap.total_bytes, 0);
}

static const char *abort_word(enum wr_abort_reason reason) {
  static const char *const words[] = {"timeout", "declined", "cancelled", "subsumed", "metadata", "shutdown"};
  return words[reason];
}

/* All actions that wait. */
static const char *actions(void) {
  static char text[1024];
  text[0] = 0;
  struct wr_coordinator_action action;
  while (wr_coordinator_next_action(coordinator, &action)) {
    size_t used = strlen(text);
    char *out = text + used;
    size_t size = sizeof text - used;
    const char *gap = used == 0 ? "" : " ";
    switch (action.kind) {
    case WR_COORDINATOR_TRIGGER:
      snprintf(out, size, "%sT%" PRIu64 "%c", gap, action.id, "prf"[action.reason]);
      break;
    case WR_COORDINATOR_PUBLISH:
      snprintf(out, size, "%sP%" PRIu64, gap, action.id);
      break;
    case WR_COORDINATOR_COMPLETE:
      snprintf(out, size, "%sC%" PRIu64, gap, action.id);
      break;
    case WR_COORDINATOR_SUBSUME:
      snprintf(out, size, "%sS%" PRIu64, gap, action.id);
      break;
    case WR_COORDINATOR_ABORT:
      snprintf(out, size, "%sA%" PRIu64 ":%s", gap, action.id, abort_word(action.abort_reason));
      break;
    case WR_COORDINATOR_RESERVE_IDS:
      snprintf(out, size, "%sR%" PRIu64, gap, action.id);
      break;
    case WR_COORDINATOR_RESTART:
      snprintf(out, size, "%sX%" PRIu64, gap, action.id);
      break;
    case WR_COORDINATOR_WARN_FAILING:
      snprintf(out, size, "%sW%" PRIu64 ":%s", gap, action.id, abort_word(action.abort_reason));
      break;
    }
  }
  return text;
}

static const char *tick(uint64_t now) {
  wr_coordinator_tick(coordinator, now);
  return actions();
}

static enum wr_ack_result acknowledge(uint64_t id, uint32_t task, uint64_t now) {
  return wr_coordinator_acknowledge(coordinator, ATTEMPT, id, task, now);
}

/* All tasks acknowledge `id`, and it is published. */
static const char *run_through(uint64_t id, uint64_t now) {
  for (uint32_t task = 0; task < options.task_count; task++)
    if (acknowledge(id, task, now) != WR_ACK_ACCEPTED) abort();
  actions();
  wr_coordinator_published(coordinator, id, WR_PUBLISH_DURABLE, now);
  return actions();
}

TEST(periodic_life) {
  set_options(2);
  make_restored(NULL, 0);
  CHECK_STRING(tick(5000), ""); /* not started */
  CHECK(wr_coordinator_wake_at(coordinator) == UINT64_MAX);
  wr_coordinator_start(coordinator, 5000);
  CHECK_STRING(tick(5099), "");
  CHECK_INT(wr_coordinator_wake_at(coordinator), 5100);
  CHECK_STRING(tick(5100), "T1p");
  CHECK_INT(wr_coordinator_wake_at(coordinator), 6100); /* the timeout */
  CHECK_STRING(tick(5300), "");                         /* one in flight */
  CHECK_INT(acknowledge(1, 1, 5301), WR_ACK_ACCEPTED);
  CHECK_STRING(actions(), "");
  CHECK_INT(acknowledge(1, 0, 5302), WR_ACK_ACCEPTED);
  CHECK_STRING(actions(), "P1");
  CHECK(wr_coordinator_is_publishing(coordinator));
  CHECK(wr_coordinator_wake_at(coordinator) == UINT64_MAX);
  CHECK_INT(wr_coordinator_latest_completed(coordinator), 0);
  wr_coordinator_published(coordinator, 1, WR_PUBLISH_DURABLE, 5310);
  CHECK_STRING(actions(), "C1");
  CHECK(!wr_coordinator_is_publishing(coordinator));
  CHECK_INT(wr_coordinator_latest_completed(coordinator), 1);
  CHECK_STRING(tick(5310), "T2p"); /* long due */
  CHECK_STRING(run_through(2, 5320), "C2 S1");
  CHECK_INT(wr_coordinator_wake_at(coordinator), 5410);
  drop();
}

/* B1: what a late acknowledgement names is discarded. */
TEST(timeout_then_late_acknowledgement) {
  set_options(2);
  make();
  CHECK_STRING(tick(100), "T1p");
  CHECK_INT(acknowledge(1, 0, 200), WR_ACK_ACCEPTED);
  CHECK_STRING(tick(1099), "");
  CHECK_STRING(tick(1100), "A1:timeout T2p");
  CHECK_INT(acknowledge(1, 1, 1101), WR_ACK_LATE);
  CHECK_INT(acknowledge(1, 0, 1101), WR_ACK_LATE);
  CHECK_INT(acknowledge(99, 0, 1101), WR_ACK_LATE); /* never triggered */
  CHECK_STRING(actions(), "");
  CHECK_STRING(run_through(2, 1200), "C2");
  drop();
}

TEST(timeout_does_not_stop_a_publish) {
  set_options(1);
  make();
  CHECK_STRING(tick(100), "T1p");
  acknowledge(1, 0, 101);
  CHECK_STRING(actions(), "P1");
  CHECK_STRING(tick(5000), "");
  wr_coordinator_decline(coordinator, ATTEMPT, 1, 0, WR_ABORT_DECLINED, 5000); /* nor does a decline */
  CHECK_STRING(actions(), "");
  wr_coordinator_published(coordinator, 1, WR_PUBLISH_DURABLE, 5001);
  CHECK_STRING(actions(), "C1");
  drop();
}

/* B2, B3: several in flight; a newer one that completes ends the older ones. */
TEST(newer_subsumes_older) {
  set_options(2);
  options.max_in_flight = 3;
  make();
  CHECK_STRING(tick(100), "T1p");
  CHECK_STRING(tick(200), "T2p");
  CHECK_STRING(tick(300), "T3p");
  CHECK_STRING(tick(400), "");
  acknowledge(1, 0, 401);
  CHECK_STRING(run_through(2, 402), "C2 A1:subsumed");
  CHECK_INT(acknowledge(1, 1, 403), WR_ACK_LATE);
  CHECK_INT(wr_coordinator_failures_in_a_row(coordinator), 0);
  CHECK_STRING(run_through(3, 404), "C3 S2");
  drop();
}

TEST(one_publish_at_a_time_and_ascending) {
  set_options(1);
  options.max_in_flight = 3;
  make();
  tick(100), tick(200), tick(300);
  acknowledge(2, 0, 301);
  CHECK_STRING(actions(), "P2");
  acknowledge(3, 0, 302);
  acknowledge(1, 0, 303);
  CHECK_STRING(actions(), "");
  CHECK_STRING(tick(5000), ""); /* all acknowledged: no timeout counts */
  wr_coordinator_published(coordinator, 2, WR_PUBLISH_DURABLE, 5001);
  CHECK_STRING(actions(), "C2 A1:subsumed P3");
  wr_coordinator_published(coordinator, 3, WR_PUBLISH_FAILED, 5002);
  CHECK_STRING(actions(), "A3:metadata");
  drop();
}

/* B4: from the end of one, complete or not, to the next periodic one; forced ones do not wait. */
TEST(min_pause) {
  set_options(1);
  options.min_pause_ns = 50;
  make();
  CHECK_STRING(tick(100), "T1p");
  CHECK_STRING(run_through(1, 180), "C1");
  CHECK_INT(wr_coordinator_wake_at(coordinator), 230);
  CHECK_STRING(tick(229), "");
  CHECK_STRING(tick(230), "T2p");
  wr_coordinator_decline(coordinator, ATTEMPT, 2, 0, WR_ABORT_DECLINED, 329);
  CHECK_STRING(tick(331), "A2:declined");
  CHECK_STRING(tick(378), "");
  CHECK_STRING(tick(379), "T3p");
  CHECK_STRING(run_through(3, 400), "C3 S1");
  wr_coordinator_request(coordinator, WR_CHECKPOINT_REQUESTED);
  CHECK_STRING(tick(401), "T4r");
  drop();
}

/* B5. */
TEST(decline_duplicate_and_unknown) {
  set_options(3);
  make();
  CHECK_STRING(tick(100), "T1p");
  CHECK_INT(acknowledge(1, 0, 101), WR_ACK_ACCEPTED);
  CHECK_INT(acknowledge(1, 0, 102), WR_ACK_DUPLICATE);
  CHECK_INT(acknowledge(1, 3, 102), WR_ACK_LATE); /* no such task */
  CHECK_INT(wr_coordinator_acknowledge(coordinator, ATTEMPT - 1, 1, 1, 103), WR_ACK_STALE);
  wr_coordinator_decline(coordinator, ATTEMPT, 9, 1, WR_ABORT_DECLINED, 103);
  wr_coordinator_decline(coordinator, ATTEMPT - 1, 1, 1, WR_ABORT_DECLINED, 103);
  wr_coordinator_decline(coordinator, ATTEMPT, 1, 3, WR_ABORT_DECLINED, 103);
  CHECK_STRING(actions(), "");
  wr_coordinator_decline(coordinator, ATTEMPT, 1, 1, WR_ABORT_CANCELLED, 104);
  CHECK_STRING(actions(), "A1:cancelled");
  wr_coordinator_decline(coordinator, ATTEMPT, 1, 2, WR_ABORT_CANCELLED, 105);
  CHECK_STRING(actions(), "");
  CHECK_INT(acknowledge(1, 2, 106), WR_ACK_LATE);
  CHECK_STRING(tick(200), "T2p");
  CHECK_STRING(run_through(2, 201), "C2");
  CHECK_INT(acknowledge(2, 1, 202), WR_ACK_DUPLICATE); /* what it names is in use: never "discard" */
  wr_coordinator_decline(coordinator, ATTEMPT, 2, 1, WR_ABORT_DECLINED, 203);
  CHECK_STRING(actions(), "");
  drop();
}

/* B6: a failed checkpoint never fails the job; each third in a row is worth an error line. */
TEST(failures_in_a_row) {
  set_options(1);
  make();
  uint64_t now = 0;
  for (uint64_t id = 1; id <= 7; id++) {
    tick(now += 100);
    if (id == 3) { /* says nothing of its own: not counted */
      wr_coordinator_decline(coordinator, ATTEMPT, id, 0, WR_ABORT_CANCELLED, now);
      CHECK_STRING(actions(), "A3:cancelled");
      continue;
    }
    wr_coordinator_decline(coordinator, ATTEMPT, id, 0, WR_ABORT_DECLINED, now);
    CHECK_STRING(actions(), id == 1   ? "A1:declined"
                            : id == 2 ? "A2:declined"
                            : id == 4 ? "A4:declined W4:declined"
                            : id == 5 ? "A5:declined"
                            : id == 6 ? "A6:declined"
                                      : "A7:declined W7:declined");
  }
  CHECK_INT(wr_coordinator_failures_in_a_row(coordinator), 6);
  tick(now += 100);
  CHECK_STRING(run_through(8, now), "C8");
  CHECK_INT(wr_coordinator_failures_in_a_row(coordinator), 0);
  drop();
}

/* B7. */
TEST(publish_failed_and_unknown) {
  set_options(1);
  make();
  tick(100);
  acknowledge(1, 0, 101);
  actions();
  wr_coordinator_published(coordinator, 1, WR_PUBLISH_FAILED, 102);
  CHECK_STRING(actions(), "A1:metadata");
  CHECK_INT(acknowledge(1, 0, 103), WR_ACK_LATE);
  CHECK_STRING(tick(200), "T2p");
  acknowledge(2, 0, 201);
  CHECK_STRING(actions(), "P2");
  wr_coordinator_request(coordinator, WR_CHECKPOINT_REQUESTED);
  wr_coordinator_published(coordinator, 2, WR_PUBLISH_UNKNOWN, 202);
  CHECK_STRING(actions(), "X2");
  CHECK_INT(acknowledge(2, 0, 203), WR_ACK_DUPLICATE); /* it may be the one that is restored: nothing is discarded */
  CHECK_STRING(tick(10000), "");                       /* only a restart helps */
  CHECK(wr_coordinator_wake_at(coordinator) == UINT64_MAX);
  CHECK_INT(wr_coordinator_latest_completed(coordinator), 0);
  wr_coordinator_stop(coordinator);
  CHECK_STRING(actions(), "");
  drop();
}

/* B8: FINAL before REQUESTED before PERIODIC. */
TEST(priority_of_requests) {
  set_options(1);
  make();
  CHECK_STRING(tick(100), "T1p");
  wr_coordinator_request(coordinator, WR_CHECKPOINT_REQUESTED);
  wr_coordinator_request(coordinator, WR_CHECKPOINT_REQUESTED);
  CHECK_STRING(tick(150), ""); /* waits for the one in flight */
  CHECK_STRING(run_through(1, 160), "C1");
  CHECK(wr_coordinator_wake_at(coordinator) <= 160);
  CHECK_STRING(tick(201), "T2r"); /* a periodic one is due too */
  CHECK_STRING(run_through(2, 210), "C2 S1");
  CHECK_STRING(tick(300), ""); /* both requests are served; the interval began anew */
  CHECK_STRING(tick(301), "T3p");
  wr_coordinator_request(coordinator, WR_CHECKPOINT_REQUESTED);
  wr_coordinator_request(coordinator, WR_CHECKPOINT_FINAL);
  CHECK_STRING(run_through(3, 302), "C3 S2");
  CHECK_STRING(tick(302), "T4f");
  CHECK_STRING(run_through(4, 303), "C4 S3");
  CHECK_INT(wr_coordinator_final_completed(coordinator), 4);
  wr_coordinator_request(coordinator, WR_CHECKPOINT_REQUESTED);
  CHECK_STRING(tick(9000), ""); /* nothing after the last */
  CHECK(wr_coordinator_wake_at(coordinator) == UINT64_MAX);
  drop();
}

TEST(final_is_taken_again_after_the_interval) {
  set_options(1);
  make();
  wr_coordinator_request(coordinator, WR_CHECKPOINT_FINAL);
  CHECK_STRING(tick(10), "T1f");
  CHECK_STRING(tick(500), "");
  CHECK_STRING(tick(1010), "A1:timeout");
  CHECK_INT(wr_coordinator_wake_at(coordinator), 1110);
  CHECK_STRING(tick(1109), "");
  CHECK_STRING(tick(1110), "T2f");
  acknowledge(2, 0, 1111);
  actions();
  wr_coordinator_published(coordinator, 2, WR_PUBLISH_FAILED, 1120);
  CHECK_STRING(tick(1120), "A2:metadata");
  wr_coordinator_request(coordinator, WR_CHECKPOINT_REQUESTED); /* meanwhile */
  CHECK_STRING(tick(1130), "T3r");
  CHECK_STRING(run_through(3, 1140), "C3");
  CHECK_INT(wr_coordinator_final_completed(coordinator), 0);
  CHECK_STRING(tick(1220), "T4f");
  CHECK_STRING(run_through(4, 1230), "C4 S3");
  CHECK_INT(wr_coordinator_final_completed(coordinator), 4);
  drop();
  set_options(1);
  options.interval_ns = 0;
  make();
  CHECK_STRING(tick(UINT64_C(5000000000)), ""); /* no periodic ones */
  wr_coordinator_request(coordinator, WR_CHECKPOINT_FINAL);
  CHECK_STRING(tick(UINT64_C(5000000000)), "T1f");
  wr_coordinator_decline(coordinator, ATTEMPT, 1, 0, WR_ABORT_DECLINED, UINT64_C(5000000000));
  CHECK_STRING(tick(UINT64_C(5999999999)), "A1:declined");
  CHECK_STRING(tick(UINT64_C(6000000000)), "T2f");
  drop();
}

TEST(backlog_stops_periodic_ones_only) {
  set_options(1);
  make();
  wr_coordinator_set_backlog(coordinator, true);
  CHECK_STRING(tick(1000), "");
  CHECK(wr_coordinator_wake_at(coordinator) == UINT64_MAX);
  wr_coordinator_request(coordinator, WR_CHECKPOINT_REQUESTED);
  CHECK_STRING(tick(1000), "T1r");
  CHECK_STRING(run_through(1, 1001), "C1");
  wr_coordinator_request(coordinator, WR_CHECKPOINT_FINAL);
  CHECK_STRING(tick(1002), "T2f");
  wr_coordinator_decline(coordinator, ATTEMPT, 2, 0, WR_ABORT_DECLINED, 1003);
  wr_coordinator_set_backlog(coordinator, false);
  CHECK_STRING(tick(1050), "A2:declined");
  drop();
  make();
  wr_coordinator_set_backlog(coordinator, true);
  tick(1000);
  wr_coordinator_set_backlog(coordinator, false);
  CHECK_STRING(tick(1000), "T1p");
  drop();
}

TEST(ids_are_reserved_before_use) {
  set_options(1);
  options.next_id = 11;
  options.id_limit = 12;
  make();
  CHECK_STRING(tick(100), "T11p R12"); /* asked at once, so that the next one need not wait */
  CHECK_STRING(run_through(11, 110), "C11");
  CHECK_STRING(tick(300), "");
  wr_coordinator_reserved(coordinator, 12, 310); /* it failed */
  CHECK_STRING(tick(310), "");
  CHECK_INT(wr_coordinator_wake_at(coordinator), 410);
  CHECK_STRING(tick(410), "R12");
  wr_coordinator_reserved(coordinator, 20, 420);
  CHECK_STRING(tick(420), "T12p");
  CHECK_STRING(run_through(12, 430), "C12 S11");
  drop();
  set_options(1);
  options.next_id = options.id_limit = 5;
  make();
  CHECK_STRING(tick(0), "R5");
  drop();
}

TEST(retained_ones) {
  set_options(1);
  options.retained = 2;
  options.next_id = 10;
  const uint64_t completed[] = {3, 5, 6, 9};
  make_restored(completed, 4);
  CHECK_INT(wr_coordinator_latest_completed(coordinator), 9);
  wr_coordinator_start(coordinator, 0);
  tick(100);
  CHECK_STRING(run_through(10, 101), "C10 S3 S5 S6");
  tick(200);
  CHECK_STRING(run_through(11, 201), "C11 S9");
  tick(300);
  CHECK_STRING(run_through(12, 301), "C12 S10");
  tick(400);
  wr_coordinator_decline(coordinator, ATTEMPT, 13, 0, WR_ABORT_DECLINED, 401);
  struct wr_coordinator_action action;
  CHECK(wr_coordinator_next_action(coordinator, &action));
  CHECK_INT(action.kind, WR_COORDINATOR_ABORT);
  CHECK_INT(action.latest_completed, 12); /* so that a task that missed it can catch up */
  drop();
}

TEST(stop_aborts_all_but_a_publish) {
  set_options(1);
  options.max_in_flight = 3;
  make();
  tick(100), tick(200), tick(300);
  acknowledge(2, 0, 301);
  acknowledge(3, 0, 301);
  actions();
  wr_coordinator_stop(coordinator);
  CHECK_STRING(actions(), "A1:shutdown A3:shutdown");
  CHECK(wr_coordinator_is_publishing(coordinator));
  CHECK_STRING(tick(5000), "");
  CHECK_INT(acknowledge(1, 0, 5001), WR_ACK_LATE);
  wr_coordinator_published(coordinator, 2, WR_PUBLISH_DURABLE, 5002);
  CHECK_STRING(tick(5003), "C2");
  CHECK(!wr_coordinator_is_publishing(coordinator));
  CHECK_INT(wr_coordinator_latest_completed(coordinator), 2);
  CHECK_INT(wr_coordinator_failures_in_a_row(coordinator), 0);
  drop();
}

TEST(actions_that_nobody_takes_put_off_triggers) {
  set_options(1);
  make();
  uint64_t now = 0;
  for (int i = 0; i < 100; i++) {
    wr_coordinator_tick(coordinator, now += 100);
    wr_coordinator_decline(coordinator, ATTEMPT, (uint64_t)i + 1, 0, WR_ABORT_DECLINED, now);
  }
  const char *first = actions();
  CHECK(strncmp(first, "T1p A1:declined T2p", 19) == 0);
  CHECK(wr_coordinator_wake_at(coordinator) <= now);
  CHECK(tick(now)[0] == 'T');
  drop();
}

TEST(late_ones_of_long_ago_discard_nothing) {
  set_options(1);
  make();
  uint64_t now = 0;
  for (uint64_t id = 1; id <= 200; id++) {
    tick(now += 100);
    wr_coordinator_decline(coordinator, ATTEMPT, id, 0, WR_ABORT_DECLINED, now);
    actions();
  }
  CHECK_INT(acknowledge(200, 0, now), WR_ACK_LATE);
  CHECK_INT(acknowledge(137, 0, now), WR_ACK_LATE);
  CHECK_INT(acknowledge(136, 0, now), WR_ACK_DUPLICATE);
  drop();
}

TEST(many_tasks) {
  set_options(1000);
  make();
  tick(100);
  for (uint32_t task = 1000; task-- > 1;)
    CHECK_INT(acknowledge(1, task, 101), WR_ACK_ACCEPTED);
  CHECK_STRING(actions(), "");
  CHECK_INT(acknowledge(1, 0, 101), WR_ACK_ACCEPTED);
  CHECK_STRING(actions(), "P1");
  drop();
}

TEST(no_memory_at_creation) {
  set_options(3);
  for (uint64_t budget = 1;; budget += 16) {
    wr_heap_memory_init(&heap, budget);
    struct weir_error error;
    enum weir_code code = wr_coordinator_new(&heap.memory, &options, NULL, 0, &coordinator, &error);
    if (code == WEIR_OK) break;
    CHECK_INT(code, WEIR_NO_MEMORY);
    CHECK_INT(heap.total_bytes, 0);
  }
  drop();
}

TEST_MAIN(TEST_CASE(periodic_life), TEST_CASE(timeout_then_late_acknowledgement),
          TEST_CASE(timeout_does_not_stop_a_publish), TEST_CASE(newer_subsumes_older),
          TEST_CASE(one_publish_at_a_time_and_ascending), TEST_CASE(min_pause),
          TEST_CASE(decline_duplicate_and_unknown), TEST_CASE(failures_in_a_row), TEST_CASE(publish_failed_and_unknown),
          TEST_CASE(priority_of_requests), TEST_CASE(final_is_taken_again_after_the_interval),
          TEST_CASE(backlog_stops_periodic_ones_only), TEST_CASE(ids_are_reserved_before_use), TEST_CASE(retained_ones),
          TEST_CASE(stop_aborts_all_but_a_publish), TEST_CASE(actions_that_nobody_takes_put_off_triggers),
          TEST_CASE(late_ones_of_long_ago_discard_nothing), TEST_CASE(many_tasks), TEST_CASE(no_memory_at_creation))
