/* Tests of checkpoint/barriers: Flink's own cases by their names (AlignedCheckpointsTest, CheckpointBarrierTrackerTest,
 * SubtaskCheckpointCoordinatorTest), and weir's rules. A script is text, one word an event:
 *   "b0.1" barrier 1 on channel 0   "c2.1" cancel marker 1 on channel 2   "a1" the coordinator aborted 1
 * and expected are the decisions in order: "S1" snapshot, "X1" cancelled. Snapshots are taken at once. */
#include "checkpoint/barriers.h"

#include "base/random.h"
#include "base/test.h"

static struct wr_heap_memory heap;

static struct wr_barriers *make(enum wr_mode mode, uint32_t channels) {
  wr_heap_memory_init(&heap, 0);
  struct wr_barriers *barriers = NULL;
  if (wr_barriers_new(&heap.memory, mode, channels, NULL, 0, &barriers, NULL) != WEIR_OK) abort();
  return barriers;
}

static void note(struct wr_barriers *barriers, struct wr_barrier_decision decision, char *out, size_t size) {
  while (decision.kind != WR_BARRIER_NOTHING) {
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%c%" PRIu64, used == 0 ? "" : " ",
             decision.kind == WR_BARRIER_SNAPSHOT ? 'S' : 'X', decision.id);
    if (decision.kind == WR_BARRIER_SNAPSHOT) {
      wr_barriers_snapshot_taken(barriers, decision.id);
      return;
    }
    decision = wr_barriers_more(barriers);
  }
}

static uint64_t number(const char **text) {
  char *end;
  uint64_t value = strtoull(*text, &end, 10);
  *text = end;
  return value;
}

/* Plays a script. What was decided is in a static buffer. */
static const char *play(struct wr_barriers *barriers, const char *script) {
  static char decided[4096];
  decided[0] = 0;
  while (*script != 0) {
    char event = *script++;
    if (event == ' ') continue;
    uint32_t channel = 0;
    if (event != 'a') {
      channel = (uint32_t)number(&script);
      script++;
    }
    uint64_t id = number(&script);
    struct wr_barrier_decision decision = event == 'b'   ? wr_barriers_barrier(barriers, channel, id)
                                          : event == 'c' ? wr_barriers_cancel(barriers, channel, id)
                                                         : wr_barriers_aborted(barriers, id);
    note(barriers, decision, decided, sizeof decided);
  }
  return decided;
}

/* A new machine, one script, the decisions. */
static void expect(enum wr_mode mode, uint32_t channels, const char *script, const char *decisions) {
  struct wr_barriers *barriers = make(mode, channels);
  CHECK_STRING(play(barriers, script), decisions);
  wr_barriers_free(&heap.memory, barriers);
  CHECK_INT(heap.total_bytes, 0);
}

#define EXPECT(mode, channels, script, decisions)                                                                      \
  do {                                                                                                                 \
    expect(mode, channels, script, decisions);                                                                         \
    CHECK_PASSED();                                                                                                    \
  } while (0)
#define EXPECT_BOTH(channels, script, decisions)                                                                       \
  do {                                                                                                                 \
    EXPECT(WR_EXACTLY_ONCE, channels, script, decisions);                                                              \
    EXPECT(WR_AT_LEAST_ONCE, channels, script, decisions);                                                             \
  } while (0)

TEST(one_channel_needs_no_alignment) {
  EXPECT_BOTH(1, "b0.1 b0.2 b0.5 b0.6", "S1 S2 S5 S6");
  EXPECT_BOTH(1, "b0.1 b0.1 b0.3 b0.2", "S1 S3"); /* obsolete ones are ignored */
  EXPECT_BOTH(1, "c0.1 b0.1 b0.2 c0.2 c0.3 b0.4 c0.2", "X1 S2 X3 S4");
}

TEST(multi_channel_with_barriers) {
  EXPECT_BOTH(3, "b2.1 b1.1 b0.1 b0.2 b1.2 b2.2", "S1 S2");
  struct wr_barriers *barriers = make(WR_EXACTLY_ONCE, 3);
  play(barriers, "b1.1 b2.1");
  CHECK(wr_barriers_is_aligning(barriers));
  CHECK(!wr_barriers_is_held(barriers, 0));
  CHECK(wr_barriers_is_held(barriers, 1));
  CHECK(wr_barriers_is_held(barriers, 2));
  struct wr_barrier_decision decision = wr_barriers_barrier(barriers, 0, 1);
  CHECK_INT(decision.kind, WR_BARRIER_SNAPSHOT);
  CHECK(!wr_barriers_is_aligning(barriers));
  for (uint32_t i = 0; i < 3; i++)
    CHECK(wr_barriers_is_held(barriers, i)); /* until the snapshot is taken */
  wr_barriers_snapshot_taken(barriers, 1);
  for (uint32_t i = 0; i < 3; i++)
    CHECK(!wr_barriers_is_held(barriers, i));
  wr_barriers_free(&heap.memory, barriers);
}

/* A1: the old one is declined, the new one completes. */
TEST(multi_channel_jumping_over_checkpoint) {
  EXPECT(WR_EXACTLY_ONCE, 3, "b1.1 b2.1 b0.2 b1.2 b2.2", "X1 S2");
  EXPECT(WR_EXACTLY_ONCE, 3, "b1.1 b0.3 b1.2 b2.3 b1.3", "X1 S3");
  EXPECT(WR_AT_LEAST_ONCE, 3, "b1.1 b2.1 b0.2 b1.2 b2.2", "X1 S2");
}

/* A2. */
TEST(missing_cancellation_barriers) {
  /* 1 is cancelled on one channel only; the others bring its barrier after or before that. */
  EXPECT_BOTH(2, "c0.1 b1.1 b0.2 b1.2", "X1 S2");
  EXPECT_BOTH(2, "b1.1 c0.1 b0.2 b1.2", "X1 S2");
  /* 1 never comes on channel 1, neither as barrier nor as cancel marker. */
  EXPECT_BOTH(2, "b0.1 b1.2 b0.2 b0.3 b1.3", "X1 S2 S3");
  EXPECT_BOTH(2, "c0.1 b1.3 b0.3", "X1 S3");
}

TEST(cancel_before_and_after_barrier) {
  EXPECT_BOTH(3, "c0.1 c1.1 c2.1 b0.2 b1.2 b2.2", "X1 S2");
  EXPECT_BOTH(3, "b0.1 b1.1 c2.1 b0.2 b1.2 b2.2", "X1 S2");
  struct wr_barriers *barriers = make(WR_EXACTLY_ONCE, 2);
  play(barriers, "b0.1");
  CHECK(wr_barriers_is_held(barriers, 0));
  CHECK_STRING(play(barriers, "c1.1"), "X1");
  CHECK(!wr_barriers_is_held(barriers, 0)); /* released */
  wr_barriers_free(&heap.memory, barriers);
}

TEST(cancel_of_newer_gives_up_the_pending_one) {
  EXPECT_BOTH(2, "b0.1 c1.2 b1.3 c0.2 b0.3", "X1 X2 S3");
  EXPECT(WR_AT_LEAST_ONCE, 3, "b0.1 b0.2 b0.3 b1.1 c1.3 b2.1 b2.2 b2.3 b1.4 b0.4 b2.4", "X1 X2 X3 S4");
}

TEST(cancellation_ignored_if_subsumed) {
  EXPECT_BOTH(2, "b0.1 b1.2 c0.1 b0.2", "X1 S2");
  EXPECT_BOTH(2, "b0.2 b1.2 c0.1 c1.2 c0.2", "S2");
}

/* A5: the tracker. */
TEST(tracker_late_barriers) {
  EXPECT(WR_AT_LEAST_ONCE, 3,
         "b1.2 b0.2 b2.2 b1.3 b0.3 b1.4 b2.3 b0.4 b2.4 b1.5 b2.5 b0.5 b1.6 b0.6 b1.7 b0.7 b1.8 b2.6 b2.7 b2.8 b0.8",
         "S2 S3 S4 S5 S6 S7 S8");
  struct wr_barriers *barriers = make(WR_AT_LEAST_ONCE, 2);
  play(barriers, "b0.1 b0.2 b0.3");
  CHECK(!wr_barriers_is_held(barriers, 0)); /* never for alignment */
  CHECK(wr_barriers_is_aligning(barriers));
  CHECK_STRING(play(barriers, "b1.1 b1.2 b1.3"), "S1 S2 S3");
  CHECK(!wr_barriers_is_aligning(barriers));
  wr_barriers_free(&heap.memory, barriers);
}

TEST(tracker_skipped_barriers_drop_silently) {
  /* The last channel jumps to 3: that completes 3 and drops 1 and 2 without a word. */
  EXPECT(WR_AT_LEAST_ONCE, 2, "b0.1 b0.2 b0.3 b1.3 b1.4 b0.4", "S3 S4");
}

TEST(tracker_interleaved_cancellations) {
  EXPECT(WR_AT_LEAST_ONCE, 3, "b0.1 c1.1 c0.2 b2.1 b1.2 c2.2 b0.3 b1.3 b2.3", "X1 X2 S3");
  EXPECT(WR_AT_LEAST_ONCE, 3, "b0.1 b1.1 b0.2 c2.2 b1.2 b0.3 b1.3 b2.3", "X1 X2 S3");
  /* the first barrier overtakes another channel's cancel marker */
  EXPECT(WR_AT_LEAST_ONCE, 2, "b0.1 c1.1 b1.2 b0.2", "X1 S2");
}

TEST(tracker_holds_fifty_and_gives_up_the_oldest) {
  struct wr_barriers *barriers = make(WR_AT_LEAST_ONCE, 2);
  char script[32];
  for (unsigned id = 1; id <= WR_PENDING_BARRIERS_MAX; id++) {
    snprintf(script, sizeof script, "b0.%u", id);
    CHECK_STRING(play(barriers, script), "");
  }
  CHECK_STRING(play(barriers, "b0.51 b0.52"), "X1 X2");
  CHECK_STRING(play(barriers, "b1.1 b1.2 b1.3 b1.52 b1.53 b0.53"), "S3 S52 S53");
  wr_barriers_free(&heap.memory, barriers);
}

/* C1: an abort before, while and after a checkpoint is here. */
TEST(abort_while_aligning_and_after) {
  EXPECT_BOTH(2, "b0.1 a1 b1.1 b0.2 b1.2", "X1 S2");
  EXPECT_BOTH(2, "b0.1 b1.1 a1 b0.2 b1.2", "S1 S2");
  EXPECT_BOTH(2, "b0.1 a1 a1 c1.1 a1 b0.2 b1.2", "X1 S2");
  /* between the decision and the end of the snapshot */
  struct wr_barriers *barriers = make(WR_EXACTLY_ONCE, 1);
  struct wr_barrier_decision decision = wr_barriers_barrier(barriers, 0, 1);
  CHECK_INT(decision.kind, WR_BARRIER_SNAPSHOT);
  CHECK_STRING(play(barriers, "a1"), "");
  CHECK(wr_barriers_is_held(barriers, 0));
  wr_barriers_snapshot_taken(barriers, 1);
  CHECK(!wr_barriers_is_held(barriers, 0));
  wr_barriers_free(&heap.memory, barriers);
}

TEST(abort_gives_up_that_one_only) {
  EXPECT(WR_AT_LEAST_ONCE, 2, "b0.1 b0.2 b0.3 a2 b1.1 b1.2 b1.3", "X2 S1 S3");
}

/* C2: the marker goes downstream when the barrier comes, once. */
TEST(abort_notification_before_barrier) {
  EXPECT_BOTH(1, "a2 b0.1 b0.2 b0.3", "S1 X2 S3");
  EXPECT_BOTH(3, "a1 b0.1 b1.1 b2.1 b0.2 b1.2 b2.2", "X1 S2");
  EXPECT_BOTH(2, "a1 b0.1 c1.1 b0.2 b1.2", "X1 S2");
  EXPECT_BOTH(2, "a1 c0.1 b1.1 b0.2 b1.2", "X1 S2");
  EXPECT_BOTH(2, "a1 a1 a3 b0.2 b1.2 b0.3 b1.3 b1.4 b0.4", "S2 X3 S4");
  EXPECT_BOTH(2, "b0.1 a2 b1.2 b0.2 b0.3 b1.3", "X1 X2 S3");
  EXPECT_BOTH(2, "a5 b0.7 b1.7 b0.5 a5", "S7"); /* superseded before it came */
}

TEST(abort_notifications_are_remembered_in_bounded_room) {
  struct wr_barriers *barriers = make(WR_EXACTLY_ONCE, 1);
  char script[32];
  for (unsigned id = 200; id > 100; id--) { /* from above: each is lower than all that are remembered */
    snprintf(script, sizeof script, "a%u", id);
    play(barriers, script);
  }
  CHECK_STRING(play(barriers, "b0.1 b0.101 b0.102 b0.150 b0.151 b0.200 b0.201"), "X1 X101 X102 X150 X151 X200 S201");
  wr_barriers_free(&heap.memory, barriers);
  barriers = make(WR_EXACTLY_ONCE, 1);
  for (unsigned id = 101; id <= 160; id++) {
    snprintf(script, sizeof script, "a%u", id);
    play(barriers, script);
  }
  CHECK_STRING(play(barriers, "b0.111 b0.160 b0.161"), "X111 X160 S161");
  wr_barriers_free(&heap.memory, barriers);
}

/* A3, weir's way: ends are items, and an end waits for the snapshot of the barrier before it, in both modes. */
TEST(end_waits_for_the_snapshot_before_it) {
  for (enum wr_mode mode = WR_EXACTLY_ONCE; mode <= WR_AT_LEAST_ONCE; mode++) {
    struct wr_barriers *barriers = make(mode, 2);
    CHECK(wr_barriers_may_end(barriers, 0));
    play(barriers, "b0.1");
    CHECK(!wr_barriers_may_end(barriers, 0));
    CHECK(wr_barriers_may_end(barriers, 1)); /* an end before the barrier goes on */
    CHECK_STRING(play(barriers, "b1.1"), "S1");
    CHECK(wr_barriers_may_end(barriers, 0));
    play(barriers, "b1.2");
    CHECK(!wr_barriers_may_end(barriers, 1));
    CHECK_STRING(play(barriers, "c0.2"), "X2"); /* given up */
    CHECK(wr_barriers_may_end(barriers, 1));
    play(barriers, "b1.3 a3");
    CHECK(wr_barriers_may_end(barriers, 1));
    play(barriers, "b0.4");
    CHECK_STRING(play(barriers, "b1.5"), "X4"); /* 4 can not come on channel 1 any more: channel 0 may go on */
    CHECK(wr_barriers_may_end(barriers, 0));
    CHECK(!wr_barriers_may_end(barriers, 1));
    wr_barriers_free(&heap.memory, barriers);
  }
}

TEST(aligned_channels_in_at_least_once) {
  wr_heap_memory_init(&heap, 0);
  struct wr_barriers *barriers;
  const uint8_t aligned[] = {0, 1, 1};
  CHECK_INT(wr_barriers_new(&heap.memory, WR_AT_LEAST_ONCE, 3, aligned, 0, &barriers, NULL), WEIR_OK);
  CHECK_STRING(play(barriers, "b0.1 b1.1"), "");
  CHECK(!wr_barriers_is_held(barriers, 0));
  CHECK(wr_barriers_is_held(barriers, 1));
  CHECK(!wr_barriers_is_held(barriers, 2));
  CHECK_STRING(play(barriers, "b0.2 b2.1"), "S1");
  CHECK(!wr_barriers_is_held(barriers, 1));
  CHECK_STRING(play(barriers, "b1.2 b2.3"), "X2"); /* 2 can not complete: channel 1 must not be held for ever */
  CHECK(!wr_barriers_is_held(barriers, 1));
  CHECK(wr_barriers_is_held(barriers, 2));
  CHECK_STRING(play(barriers, "b1.3 b0.3"), "S3");
  wr_barriers_free(&heap.memory, barriers);
}

TEST(ids_up_to_the_last_one_are_over) {
  wr_heap_memory_init(&heap, 0);
  struct wr_barriers *barriers;
  CHECK_INT(wr_barriers_new(&heap.memory, WR_EXACTLY_ONCE, 2, NULL, 7, &barriers, NULL), WEIR_OK);
  CHECK_STRING(play(barriers, "b0.6 b1.7 c0.7 a5 b0.8 b1.8"), "S8");
  wr_barriers_free(&heap.memory, barriers);
}

TEST(many_channels) {
  for (enum wr_mode mode = WR_EXACTLY_ONCE; mode <= WR_AT_LEAST_ONCE; mode++) {
    struct wr_barriers *barriers = make(mode, 4096);
    for (uint64_t id = 1; id <= 3; id++) {
      for (uint32_t c = 0; c < 4095; c++)
        CHECK_INT(wr_barriers_barrier(barriers, c, id).kind, WR_BARRIER_NOTHING);
      CHECK_INT(wr_barriers_barrier(barriers, 4095, id).kind, WR_BARRIER_SNAPSHOT);
      wr_barriers_snapshot_taken(barriers, id);
    }
    wr_barriers_free(&heap.memory, barriers);
  }
  wr_heap_memory_init(&heap, 100);
  struct wr_barriers *barriers;
  CHECK_INT(wr_barriers_new(&heap.memory, WR_EXACTLY_ONCE, 1, NULL, 0, &barriers, NULL), WEIR_NO_MEMORY);
}

/* A4: soak. Every channel brings barriers 1, 2, 3 ... in order, some as cancel markers, some left out; the coordinator
 * aborts now and then. Ids of decisions only ascend per kind, no id is decided twice, an id that all channels brought
 * and that nothing disturbed is snapshotted. */
struct soak {
  struct wr_barriers *barriers;
  struct wr_random random;
  uint32_t channels;
  uint64_t next[8]; /* per channel: the next id it brings */
  uint8_t decided[4096];
  uint64_t snapshots, cancelled, last_snapshot;
};
enum { SOAK_IDS = 2000 };

static void soak_decide(struct soak *soak, struct wr_barrier_decision decision) {
  for (; decision.kind != WR_BARRIER_NOTHING; decision = wr_barriers_more(soak->barriers)) {
    if (soak->decided[decision.id] != 0) TEST_FAIL("id %" PRIu64 " was decided twice", decision.id);
    soak->decided[decision.id] = 1;
    if (decision.kind == WR_BARRIER_CANCELLED) {
      soak->cancelled++;
      continue;
    }
    for (uint32_t c = 0; c < soak->channels; c++)
      if (soak->next[c] <= decision.id) TEST_FAIL("snapshot %" PRIu64 " without channel %u", decision.id, c);
    if (decision.id <= soak->last_snapshot) TEST_FAIL("snapshot %" PRIu64 " is late", decision.id);
    soak->last_snapshot = decision.id;
    soak->snapshots++;
    wr_barriers_snapshot_taken(soak->barriers, decision.id);
    return;
  }
}

static void soak_run(enum wr_mode mode, uint64_t seed, bool disturbed) {
  struct soak soak = {.random = wr_random_of(seed)};
  soak.channels = 1 + (uint32_t)wr_random_below(&soak.random, 8);
  soak.barriers = make(mode, soak.channels);
  for (uint32_t c = 0; c < soak.channels; c++)
    soak.next[c] = 1;
  for (uint64_t idle = 0; idle < 1000;) {
    uint32_t channel = (uint32_t)wr_random_below(&soak.random, soak.channels);
    uint64_t id = soak.next[channel];
    if (id > SOAK_IDS || wr_barriers_is_held(soak.barriers, channel)) {
      idle++;
      continue;
    }
    if (mode == WR_AT_LEAST_ONCE && id > 40) { /* keeps channels within the 50 that are remembered */
      uint64_t lowest = UINT64_MAX;
      for (uint32_t c = 0; c < soak.channels; c++)
        lowest = soak.next[c] < lowest ? soak.next[c] : lowest;
      if (id > lowest + 40) continue;
    }
    idle = 0;
    soak.next[channel]++;
    if (disturbed && wr_random_one_in(&soak.random, 40)) continue; /* left out */
    if (disturbed && wr_random_one_in(&soak.random, 40))
      soak_decide(&soak, wr_barriers_cancel(soak.barriers, channel, id));
    else
      soak_decide(&soak, wr_barriers_barrier(soak.barriers, channel, id));
    if (disturbed && wr_random_one_in(&soak.random, 40))
      soak_decide(&soak, wr_barriers_aborted(soak.barriers, id + wr_random_below(&soak.random, 3)));
    CHECK_PASSED();
  }
  for (uint32_t c = 0; c < soak.channels; c++)
    if (mode == WR_AT_LEAST_ONCE) CHECK_INT(soak.next[c], SOAK_IDS + 1);
  if (!disturbed) CHECK_INT(soak.snapshots, SOAK_IDS);
  if (disturbed) CHECK(soak.cancelled > 0);
  wr_barriers_free(&heap.memory, soak.barriers);
}

TEST(random_barriers_soak) {
  uint64_t seed = test_seed();
  for (uint64_t i = 0; i < 40; i++) {
    soak_run(i % 2 == 0 ? WR_EXACTLY_ONCE : WR_AT_LEAST_ONCE, seed + i, i % 4 >= 2);
    CHECK_PASSED();
  }
}

TEST_MAIN(TEST_CASE(one_channel_needs_no_alignment), TEST_CASE(multi_channel_with_barriers),
          TEST_CASE(multi_channel_jumping_over_checkpoint), TEST_CASE(missing_cancellation_barriers),
          TEST_CASE(cancel_before_and_after_barrier), TEST_CASE(cancel_of_newer_gives_up_the_pending_one),
          TEST_CASE(cancellation_ignored_if_subsumed), TEST_CASE(tracker_late_barriers),
          TEST_CASE(tracker_skipped_barriers_drop_silently), TEST_CASE(tracker_interleaved_cancellations),
          TEST_CASE(tracker_holds_fifty_and_gives_up_the_oldest), TEST_CASE(abort_while_aligning_and_after),
          TEST_CASE(abort_gives_up_that_one_only), TEST_CASE(abort_notification_before_barrier),
          TEST_CASE(abort_notifications_are_remembered_in_bounded_room),
          TEST_CASE(end_waits_for_the_snapshot_before_it), TEST_CASE(aligned_channels_in_at_least_once),
          TEST_CASE(ids_up_to_the_last_one_are_over), TEST_CASE(many_channels), TEST_CASE(random_barriers_soak))
