/* Tests of checkpoint/commit: the machine, the comparison case by case, the stored form. */
#include "checkpoint/commit.h"

#include "base/random.h"
#include "base/test.h"
#include "base/test_memory.h"

static struct test_memory memory;
static const struct wr_commit_limits limits = {.epochs_max = 8, .bytes_max = 1000};

/* A part with its handle in a file; its length counts as the part's bytes. */
static struct wr_part file_part(uint64_t prepared_for, uint32_t subtask, uint64_t length) {
  struct wr_part part = {.prepared_for = prepared_for, .subtask = subtask, .row_count = length / 2};
  snprintf(part.handle.file, sizeof part.handle.file, "d-1-%" PRIu64, prepared_for * 100 + subtask);
  part.handle.offset = 100;
  part.handle.length = length;
  part.handle.digest = (struct wr_digest){prepared_for, subtask};
  return part;
}

static struct wr_part inline_part(uint64_t prepared_for, uint32_t subtask, const char *text) {
  struct wr_part part = {.prepared_for = prepared_for, .subtask = subtask, .row_count = 1};
  part.handle.length = strlen(text);
  part.handle.digest = wr_digest_of(text, strlen(text));
  part.handle.inline_bytes = wr_copy_bytes(&memory.memory, text, strlen(text), WR_MEMORY_SINK);
  if (part.handle.inline_bytes == NULL) abort();
  return part;
}

static struct wr_commit *make(struct wr_commit_snapshot *snapshot, uint64_t marker) {
  struct wr_commit *commit = NULL;
  if (wr_commit_new(&memory.memory, &limits, snapshot, marker, &commit, NULL) != WEIR_OK) abort();
  return commit;
}

static struct wr_commit *make_empty(void) {
  test_memory_init(&memory);
  return make(NULL, 0);
}

static void add(struct wr_commit *commit, uint64_t prepared_for, uint32_t subtask, uint64_t length) {
  struct wr_part part = file_part(prepared_for, subtask, length);
  if (wr_commit_part(commit, &part, NULL) != WEIR_OK) abort();
}

static void barrier(struct wr_commit *commit, uint64_t id) {
  if (wr_commit_barrier(commit, id, NULL) != WEIR_OK) abort();
}

/* The id of the epoch to commit now, which then is being committed; 0: none. */
static uint64_t begin(struct wr_commit *commit) {
  const struct wr_epoch *epoch = wr_commit_begin_next(commit);
  return epoch == NULL ? 0 : epoch->checkpoint_id;
}

static void free_all(struct wr_commit *commit) {
  wr_commit_free(commit);
  CHECK_INT(memory.living_count, 0);
}

TEST(epochs_commit_in_order_one_at_a_time) {
  struct wr_commit *commit = make_empty();
  add(commit, 1, 0, 10);
  add(commit, 1, 1, 20);
  barrier(commit, 1);
  add(commit, 2, 0, 30);
  barrier(commit, 2);
  CHECK_INT(begin(commit), 0); /* nothing has completed */
  CHECK(wr_commit_is_settled(commit));
  wr_commit_completed(commit, 2); /* the word of 1 may never come */
  CHECK_INT(wr_commit_waiting_epochs(commit), 2);
  CHECK(!wr_commit_is_settled(commit));
  const struct wr_epoch *epoch = wr_commit_begin_next(commit);
  CHECK_INT(epoch->checkpoint_id, 1);
  CHECK_INT(epoch->part_count, 2);
  CHECK_INT(epoch->bytes, 30);
  CHECK_INT(epoch->parts[1].subtask, 1);
  CHECK_INT(begin(commit), 0); /* one at a time */
  wr_commit_completed(commit, 1);
  CHECK_INT(wr_commit_last_committed(commit), 0);
  wr_commit_acknowledged(commit, 1);
  CHECK_INT(wr_commit_last_committed(commit), 1);
  CHECK_INT(begin(commit), 2);
  wr_commit_retry(commit, 2);
  CHECK_INT(begin(commit), 2); /* again */
  wr_commit_acknowledged(commit, 2);
  CHECK(wr_commit_is_settled(commit));
  CHECK_INT(wr_commit_pending_epochs(commit), 0);
  free_all(commit);
}

/* Rule 1: N failed: epoch N stays and is carried until it is acknowledged. */
TEST(epoch_of_a_failed_checkpoint_is_carried) {
  struct wr_commit *commit = make_empty();
  add(commit, 1, 0, 10);
  barrier(commit, 1);
  add(commit, 2, 0, 10);
  barrier(commit, 2);
  struct wr_commit_snapshot view = wr_commit_snapshot_view(commit);
  CHECK_INT(view.epoch_count, 2);
  CHECK_INT(view.epochs[0].checkpoint_id, 1);
  wr_commit_completed(commit, 2);
  CHECK_INT(begin(commit), 1);
  barrier(commit, 3); /* nothing came: no epoch */
  view = wr_commit_snapshot_view(commit);
  CHECK_INT(view.epoch_count, 2); /* the one being committed too */
  CHECK_INT(view.last_committed, 0);
  wr_commit_acknowledged(commit, 1);
  view = wr_commit_snapshot_view(commit);
  CHECK_INT(view.epoch_count, 1);
  CHECK_INT(view.last_committed, 1);
  CHECK_INT(begin(commit), 2);
  free_all(commit);
}

/* Rule 8: parts that come after their checkpoint was aborted go with the next. */
TEST(late_parts_go_with_the_next_epoch) {
  struct wr_commit *commit = make_empty();
  add(commit, 1, 0, 10);
  add(commit, 1, 1, 10); /* barrier 1 never came here */
  add(commit, 2, 0, 10);
  barrier(commit, 2);
  wr_commit_completed(commit, 2);
  const struct wr_epoch *epoch = wr_commit_begin_next(commit);
  CHECK_INT(epoch->checkpoint_id, 2);
  CHECK_INT(epoch->part_count, 3);
  CHECK_INT(epoch->parts[0].prepared_for, 1);
  free_all(commit);
}

TEST(parts_after_the_barrier_wait_for_the_next) {
  struct wr_commit *commit = make_empty();
  barrier(commit, 1);
  add(commit, 2, 0, 10);
  wr_commit_completed(commit, 1);
  CHECK_INT(begin(commit), 0);
  CHECK_INT(wr_commit_snapshot_view(commit).epoch_count, 0);
  barrier(commit, 2);
  CHECK_INT(begin(commit), 0);
  wr_commit_completed(commit, 2);
  CHECK_INT(begin(commit), 2);
  free_all(commit);
}

/* The epoch that the caller holds does not move when barriers add epochs meanwhile. */
TEST(a_running_commit_is_not_disturbed) {
  struct wr_commit *commit = make_empty();
  add(commit, 1, 0, 10);
  barrier(commit, 1);
  wr_commit_completed(commit, 1);
  const struct wr_epoch *epoch = wr_commit_begin_next(commit);
  for (uint64_t id = 2; id < 100; id++) {
    add(commit, id, 0, 10);
    barrier(commit, id);
  }
  CHECK_INT(epoch->checkpoint_id, 1);
  CHECK_INT(epoch->parts[0].handle.length, 10);
  wr_commit_acknowledged(commit, 1);
  wr_commit_completed(commit, 99);
  for (uint64_t id = 2; id < 100; id++) {
    CHECK_INT(begin(commit), id);
    wr_commit_acknowledged(commit, id);
  }
  free_all(commit);
}

/* Rule 2: what counts is completed and not acknowledged. */
TEST(limits_count_completed_epochs_only) {
  struct wr_commit *commit = make_empty();
  for (uint64_t id = 1; id <= 20; id++) {
    add(commit, id, 0, 10);
    barrier(commit, id);
  }
  CHECK(!wr_commit_is_over_limit(commit));
  CHECK_INT(wr_commit_pending_epochs(commit), 20);
  wr_commit_completed(commit, 8);
  CHECK(!wr_commit_is_over_limit(commit));
  wr_commit_completed(commit, 9);
  CHECK(wr_commit_is_over_limit(commit));
  CHECK_INT(begin(commit), 1);
  CHECK(wr_commit_is_over_limit(commit)); /* until acknowledged */
  wr_commit_acknowledged(commit, 1);
  CHECK(!wr_commit_is_over_limit(commit));
  add(commit, 21, 0, 1000);
  barrier(commit, 21);
  CHECK(!wr_commit_is_over_limit(commit));
  for (uint64_t id = 2; id <= 20; id++) {
    wr_commit_completed(commit, id);
    CHECK_INT(begin(commit), id);
    wr_commit_acknowledged(commit, id);
  }
  wr_commit_completed(commit, 21);
  CHECK(!wr_commit_is_over_limit(commit)); /* 1000 is not above 1000 */
  add(commit, 22, 0, 1);
  barrier(commit, 22);
  wr_commit_completed(commit, 22);
  CHECK(wr_commit_is_over_limit(commit));
  free_all(commit);
}

/* Epochs 2, 3 and 5 are carried, 1 was acknowledged. */
static struct wr_commit_snapshot sample(void) {
  struct wr_commit_snapshot snapshot = {.last_committed = 1, .epoch_count = 3};
  snapshot.epochs = wr_alloc_zeroed(&memory.memory, 3, sizeof *snapshot.epochs, WR_MEMORY_SINK);
  static const uint64_t ids[] = {2, 3, 5};
  for (int e = 0; e < 3; e++) {
    struct wr_epoch *epoch = &snapshot.epochs[e];
    epoch->checkpoint_id = ids[e];
    epoch->part_count = 2;
    epoch->parts = wr_alloc_zeroed(&memory.memory, 2, sizeof *epoch->parts, WR_MEMORY_SINK);
    epoch->parts[0] = file_part(ids[e], 0, 100);
    epoch->parts[1] = inline_part(ids[e] - 1, 255, "four");
    epoch->bytes = 104;
  }
  return snapshot;
}

TEST(restored_epochs_are_committable) {
  test_memory_init(&memory);
  struct wr_commit_snapshot snapshot = sample();
  struct wr_commit *commit = make(&snapshot, 1);
  CHECK_INT(snapshot.epoch_count, 0); /* moved */
  CHECK_INT(wr_commit_waiting_epochs(commit), 3);
  CHECK_INT(begin(commit), 2);
  CHECK_INT(wr_commit_last_committed(commit), 1);
  free_all(commit);

  snapshot = sample();
  commit = make(&snapshot, 3); /* the marker says that 2 and 3 are in the target */
  CHECK_INT(wr_commit_last_committed(commit), 3);
  CHECK_INT(wr_commit_snapshot_view(commit).epoch_count, 1);
  add(commit, 6, 0, 10);
  barrier(commit, 6);
  CHECK_INT(begin(commit), 5);
  wr_commit_acknowledged(commit, 5);
  CHECK(wr_commit_is_settled(commit));
  CHECK_INT(begin(commit), 0); /* 6 has not completed */
  free_all(commit);

  snapshot = sample();
  commit = make(&snapshot, 5);
  CHECK(wr_commit_is_settled(commit));
  CHECK_INT(wr_commit_pending_epochs(commit), 0);
  free_all(commit);

  snapshot = sample();
  commit = make(&snapshot, 0); /* a new incarnation's marker says nothing */
  CHECK_INT(wr_commit_last_committed(commit), 1);
  CHECK_INT(begin(commit), 2);
  free_all(commit);
}

TEST(stored_form) {
  test_memory_init(&memory);
  struct wr_commit_snapshot snapshot = sample(), again;
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &memory.memory, WR_MEMORY_ENGINE);
  wr_commit_snapshot_put(&bytes, &snapshot);
  CHECK_INT(bytes.data[0], 1); /* last_committed, little-endian */
  CHECK_INT(bytes.data[8], 3); /* epochs */
  CHECK_INT(bytes.data[12], 2);
  CHECK_INT(bytes.data[20], 2); /* parts of the first */
  struct wr_reader reader = wr_reader_of(bytes.data, bytes.length);
  CHECK_INT(wr_commit_snapshot_read(&reader, &memory.memory, &again, NULL), WEIR_OK);
  CHECK_INT(reader.position, bytes.length);
  CHECK_INT(again.last_committed, 1);
  CHECK_INT(again.epoch_count, 3);
  for (uint32_t e = 0; e < 3; e++) {
    CHECK_INT(again.epochs[e].checkpoint_id, snapshot.epochs[e].checkpoint_id);
    CHECK_INT(again.epochs[e].bytes, 104);
    CHECK_INT(again.epochs[e].part_count, 2);
    const struct wr_part *part = &again.epochs[e].parts[1];
    CHECK_INT(part->prepared_for, snapshot.epochs[e].checkpoint_id - 1);
    CHECK_INT(part->subtask, 255);
    CHECK_INT(part->row_count, 1);
    CHECK(memcmp(part->handle.inline_bytes, "four", 4) == 0);
    CHECK_STRING(again.epochs[e].parts[0].handle.file, snapshot.epochs[e].parts[0].handle.file);
  }
  struct wr_bytes bytes_again;
  wr_bytes_init(&bytes_again, &memory.memory, WR_MEMORY_ENGINE);
  wr_commit_snapshot_put(&bytes_again, &again);
  CHECK_INT(bytes_again.length, bytes.length);
  CHECK(memcmp(bytes_again.data, bytes.data, bytes.length) == 0);
  wr_bytes_deinit(&bytes);
  wr_bytes_deinit(&bytes_again);
  wr_commit_snapshot_deinit(&memory.memory, &snapshot);
  wr_commit_snapshot_deinit(&memory.memory, &again);
  CHECK_INT(memory.living_count, 0);
}

/* Every cut and every flipped bit: an error or some snapshot that obeys the rules; never more. */
TEST(damaged_bytes_are_refused) {
  test_memory_init(&memory);
  struct wr_commit_snapshot snapshot = sample(), again;
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &memory.memory, WR_MEMORY_ENGINE);
  wr_commit_snapshot_put(&bytes, &snapshot);
  struct weir_error error;
  for (size_t length = 0; length < bytes.length; length++) {
    uint8_t *exact = malloc(length + 1); /* so that the sanitizer sees a read past the end */
    memcpy(exact, bytes.data, length);
    uint8_t *moved = realloc(exact, length == 0 ? 1 : length);
    struct wr_reader reader = wr_reader_of(moved, length);
    CHECK_INT(wr_commit_snapshot_read(&reader, &memory.memory, &again, &error), WEIR_CORRUPT);
    free(moved);
  }
  unsigned refused = 0;
  for (size_t bit = 0; bit < bytes.length * 8; bit++) {
    bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    struct wr_reader reader = wr_reader_of(bytes.data, bytes.length);
    enum weir_code code = wr_commit_snapshot_read(&reader, &memory.memory, &again, &error);
    bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    if (code != WEIR_OK) {
      CHECK_INT(code, WEIR_CORRUPT);
      refused++;
      continue;
    }
    uint64_t above = again.last_committed;
    for (uint32_t e = 0; e < again.epoch_count; e++) {
      CHECK(again.epochs[e].checkpoint_id > above);
      above = again.epochs[e].checkpoint_id;
      CHECK(again.epochs[e].part_count > 0);
    }
    wr_commit_snapshot_deinit(&memory.memory, &again);
  }
  CHECK(refused > bytes.length);
  wr_bytes_deinit(&bytes);
  wr_commit_snapshot_deinit(&memory.memory, &snapshot);
  CHECK_INT(memory.living_count, 0);
}

/* A count that can not be is refused before memory is asked for. */
TEST(huge_counts_are_refused) {
  test_memory_init(&memory);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &memory.memory, WR_MEMORY_ENGINE);
  wr_bytes_put_u64(&bytes, 0);
  wr_bytes_put_u32(&bytes, UINT32_MAX);
  for (int i = 0; i < 10; i++)
    wr_bytes_put_u64(&bytes, 1);
  uint64_t before = memory.allocations;
  struct wr_commit_snapshot snapshot;
  struct wr_reader reader = wr_reader_of(bytes.data, bytes.length);
  CHECK_INT(wr_commit_snapshot_read(&reader, &memory.memory, &snapshot, NULL), WEIR_CORRUPT);
  CHECK_INT(memory.allocations, before);
  wr_bytes_deinit(&bytes);
}

/* Every allocation fails once: nothing changed, nothing leaks, and the same call works afterwards. */
TEST(no_memory_changes_nothing) {
  test_memory_init(&memory);
  struct wr_commit_snapshot snapshot = sample(), again;
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &memory.memory, WR_MEMORY_ENGINE);
  wr_commit_snapshot_put(&bytes, &snapshot);
  uint64_t living = memory.living_count;
  for (uint64_t n = 1;; n++) {
    test_memory_fail_after(&memory, n, false);
    struct wr_reader reader = wr_reader_of(bytes.data, bytes.length);
    enum weir_code code = wr_commit_snapshot_read(&reader, &memory.memory, &again, NULL);
    test_memory_fail_after(&memory, 0, false);
    if (code == WEIR_OK) break;
    CHECK_INT(code, WEIR_NO_MEMORY);
    CHECK_INT(memory.living_count, living);
  }
  wr_commit_snapshot_deinit(&memory.memory, &again);
  struct wr_commit *commit;
  test_memory_fail_after(&memory, 1, false);
  CHECK_INT(wr_commit_new(&memory.memory, &limits, &snapshot, 1, &commit, NULL), WEIR_NO_MEMORY);
  CHECK_INT(snapshot.epoch_count, 3);
  commit = make(&snapshot, 1);
  for (uint64_t id = 6; id < 40; id++) {
    struct wr_part part = inline_part(id, 0, "rows");
    test_memory_fail_after(&memory, 1, false);
    enum weir_code code = wr_commit_part(commit, &part, NULL);
    test_memory_fail_after(&memory, 0, false);
    CHECK_INT(code, WEIR_NO_MEMORY); /* the first part of an epoch always asks */
    CHECK(part.handle.inline_bytes != NULL);
    CHECK_INT(wr_commit_part(commit, &part, NULL), WEIR_OK);
    CHECK(part.handle.inline_bytes == NULL);
    uint32_t pending = wr_commit_pending_epochs(commit);
    test_memory_fail_after(&memory, 1, false);
    code = wr_commit_barrier(commit, id, NULL);
    test_memory_fail_after(&memory, 0, false);
    if (code == WEIR_NO_MEMORY) {
      CHECK_INT(wr_commit_pending_epochs(commit), pending);
      barrier(commit, id);
    }
    CHECK_INT(wr_commit_pending_epochs(commit), pending + 1);
  }
  wr_bytes_deinit(&bytes);
  free_all(commit);
}

/* ---- the comparison ---- */

static const uint8_t mine[WR_INCARNATION_BYTES] = {1, 2, 3};
static const uint8_t other[WR_INCARNATION_BYTES] = {1, 2, 4};
enum { START = 5 };

/* A set of epochs, none above 9. */
#define EPOCH(id) (1u << (id))

static enum wr_compare compare(const uint8_t *incarnation, uint64_t start, uint64_t id, uint64_t r,
                               uint64_t last_committed, uint32_t carried) {
  struct wr_marker marker = {.present = incarnation != NULL, .start_number = start, .checkpoint_id = id};
  if (incarnation != NULL) memcpy(marker.incarnation, incarnation, sizeof marker.incarnation);
  struct wr_epoch epochs[10] = {0};
  struct wr_commit_snapshot snapshot = {.last_committed = last_committed, .epochs = epochs};
  for (uint64_t e = 0; e < 10; e++)
    if ((carried & EPOCH(e)) != 0) epochs[snapshot.epoch_count++].checkpoint_id = e;
  return wr_commit_compare(&marker, mine, START, r, &snapshot);
}

TEST(compare_fresh) {
  CHECK_INT(compare(NULL, 0, 0, 0, 0, 0), WR_COMPARE_OK);
  CHECK_INT(compare(other, 1, 0, 0, 0, 0), WR_COMPARE_FOREIGN);
  CHECK_INT(compare(other, 1, 9, 0, 0, 0), WR_COMPARE_FOREIGN);
  CHECK_INT(compare(mine, START, 0, 0, 0, 0), WR_COMPARE_OK); /* claimed, killed before the first checkpoint */
  CHECK_INT(compare(mine, START + 1, 0, 0, 0, 0), WR_COMPARE_FENCED);
  CHECK_INT(compare(mine, START, 3, 0, 0, 0), WR_COMPARE_NEWER_OUTPUT);
}

TEST(compare_restored) {
  CHECK_INT(compare(mine, START, 4, 7, 4, EPOCH(7)), WR_COMPARE_OK);
  CHECK_INT(compare(mine, START, 7, 7, 4, EPOCH(7)), WR_COMPARE_OK);            /* committed, the answer was lost */
  CHECK_INT(compare(mine, START, 0, 7, 0, EPOCH(6) | EPOCH(7)), WR_COMPARE_OK); /* claimed, nothing committed */
  CHECK_INT(compare(mine, START, 8, 7, 4, EPOCH(7)), WR_COMPARE_NEWER_OUTPUT);
  CHECK_INT(compare(mine, START, 3, 7, 4, EPOCH(7)), WR_COMPARE_LOST);
  CHECK_INT(compare(mine, START, 0, 7, 4, 0), WR_COMPARE_LOST);
  CHECK_INT(compare(mine, START + 1, 7, 7, 4, EPOCH(7)), WR_COMPARE_FENCED);
  CHECK_INT(compare(mine, START + 1, 9, 7, 4, EPOCH(7)), WR_COMPARE_FENCED);
  CHECK_INT(compare(other, 1, 4, 7, 4, EPOCH(7)), WR_COMPARE_OTHER);
  CHECK_INT(compare(other, 1, 0, 7, 0, 0), WR_COMPARE_OTHER);
  CHECK_INT(compare(NULL, 0, 0, 7, 4, 0), WR_COMPARE_LOST);
  CHECK_INT(compare(NULL, 0, 0, 7, 0, EPOCH(7)), WR_COMPARE_LOST); /* in doubt */
  CHECK_INT(compare(NULL, 0, 0, 7, 0, 0), WR_COMPARE_OK);
}

/* No id is given out twice: what is below R and R does not know of, another history has committed. */
TEST(compare_another_history) {
  CHECK_INT(compare(mine, START, 5, 7, 4, EPOCH(7)), WR_COMPARE_OTHER_HISTORY);
  CHECK_INT(compare(mine, START, 6, 7, 4, EPOCH(5) | EPOCH(7)), WR_COMPARE_OTHER_HISTORY);
  CHECK_INT(compare(mine, START, 5, 7, 4, 0), WR_COMPARE_OTHER_HISTORY);
  CHECK_INT(compare(mine, START, 5, 7, 0, 0), WR_COMPARE_OTHER_HISTORY);
  CHECK_INT(compare(mine, START, 5, 7, 4, EPOCH(5) | EPOCH(6)), WR_COMPARE_OK); /* those of failed checkpoints */
  CHECK_INT(compare(mine, START, 6, 7, 4, EPOCH(5) | EPOCH(6)), WR_COMPARE_OK);
  CHECK_INT(compare(mine, START, 7, 7, 4, EPOCH(5) | EPOCH(6)), WR_COMPARE_OK); /* claimed with R's id */
  CHECK_INT(compare(mine, START, 7, 7, 4, 0), WR_COMPARE_OK);
  CHECK_INT(compare(mine, START + 1, 5, 7, 4, 0), WR_COMPARE_FENCED);
}

TEST(compare_sink_not_in_the_checkpoint) {
  struct wr_marker marker = {.present = false};
  CHECK_INT(wr_commit_compare(&marker, mine, START, 7, NULL), WR_COMPARE_OK);
  marker = (struct wr_marker){.present = true, .start_number = START, .checkpoint_id = 0};
  memcpy(marker.incarnation, mine, sizeof mine);
  CHECK_INT(wr_commit_compare(&marker, mine, START, 7, NULL), WR_COMPARE_OK);
  marker.checkpoint_id = 3; /* it was in the job before */
  CHECK_INT(wr_commit_compare(&marker, mine, START, 7, NULL), WR_COMPARE_OK);
  marker.checkpoint_id = 8;
  CHECK_INT(wr_commit_compare(&marker, mine, START, 7, NULL), WR_COMPARE_NEWER_OUTPUT);
  CHECK_INT(wr_commit_compare(&marker, other, START, 7, NULL), WR_COMPARE_OTHER);
}

TEST_MAIN(TEST_CASE(epochs_commit_in_order_one_at_a_time), TEST_CASE(epoch_of_a_failed_checkpoint_is_carried),
          TEST_CASE(late_parts_go_with_the_next_epoch), TEST_CASE(parts_after_the_barrier_wait_for_the_next),
          TEST_CASE(a_running_commit_is_not_disturbed), TEST_CASE(limits_count_completed_epochs_only),
          TEST_CASE(restored_epochs_are_committable), TEST_CASE(stored_form), TEST_CASE(damaged_bytes_are_refused),
          TEST_CASE(huge_counts_are_refused), TEST_CASE(no_memory_changes_nothing), TEST_CASE(compare_fresh),
          TEST_CASE(compare_restored), TEST_CASE(compare_another_history),
          TEST_CASE(compare_sink_not_in_the_checkpoint))
