/* The gate over real channels: what comes in which order out of them, in both modes. */
#include "runtime/gate.h"

#include "base/test.h"
#include "base/test_memory.h"
#include "data/batch_builder.h"

enum { CHANNELS_MAX = 3 };

static void wake_nobody(struct wr_waker *waker) {
  (void)waker;
}

struct gate_test {
  struct test_memory memory;
  struct wr_waker waker;
  struct wr_channel *channels[CHANNELS_MAX];
  uint32_t count;
  struct wr_gate gate;
};

static const struct weir_field number_fields[] = {{"n", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema number_schema = {number_fields, 1};

/* `inputs` has one digit per channel: the input that it feeds. `aligned` has one per channel too, or is NULL. */
static void begin(struct gate_test *test, enum wr_mode mode, const char *inputs, const char *aligned) {
  test_memory_init(&test->memory);
  test->waker.wake = wake_nobody;
  test->count = (uint32_t)strlen(inputs);
  uint32_t numbers[CHANNELS_MAX];
  uint8_t always_aligned[CHANNELS_MAX] = {0};
  for (uint32_t i = 0; i < test->count; i++) {
    WR_ASSERT(wr_channel_new(&test->memory.memory, &test->waker, &test->waker, &test->channels[i], NULL) == WEIR_OK);
    numbers[i] = (uint32_t)(inputs[i] - '0');
    always_aligned[i] = aligned != NULL && aligned[i] == '1';
  }
  WR_ASSERT(wr_gate_init(&test->gate, &test->memory.memory, mode, test->count, test->channels, numbers, always_aligned,
                         0, NULL) == WEIR_OK);
}

static void end(struct gate_test *test) {
  wr_gate_deinit(&test->gate);
  for (uint32_t i = 0; i < test->count; i++)
    wr_channel_free(test->channels[i]);
  CHECK_INT(test->memory.living_count, 0);
}

static void push(struct gate_test *test, uint32_t channel, enum wr_item_kind kind, int64_t value) {
  struct wr_item item = {.kind = kind, .value = value};
  WR_ASSERT(wr_channel_push(test->channels[channel], &item));
}

static void push_batch(struct gate_test *test, uint32_t channel, int64_t number) {
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &test->memory.memory, &number_schema, false);
  WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
  wr_batch_builder_set_bigint(&builder, 0, number);
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  struct wr_item item = {.kind = WR_ITEM_BATCH, .batch = wr_batch_builder_take(&builder)};
  wr_batch_builder_deinit(&builder);
  WR_ASSERT(wr_channel_push(test->channels[channel], &item));
}

/* Everything that can be read now, as a line: "7@0" a batch of number 7 of input 0; "w5" a watermark ("w*" the end of
 * time); "idle", "active"; "end0"; "snap4", after which the snapshot is taken; "cancel4"; nothing for NOTHING. */
static const char *read_all(struct gate_test *test) {
  static char line[512];
  size_t length = 0;
  line[0] = 0;
  while (true) {
    struct wr_gate_event event = wr_gate_next(&test->gate);
    char *at = line + length;
    size_t room = sizeof line - length;
    const char *gap = length == 0 ? "" : " ";
    switch (event.kind) {
    case WR_GATE_EMPTY:
      return line;
    case WR_GATE_BATCH:
      snprintf(at, room, "%s%d@%u", gap, (int)wr_column_bigints(&event.batch->columns[0])[0], event.input);
      wr_batch_unref(event.batch);
      break;
    case WR_GATE_WATERMARK:
      if (event.watermark_ms == INT64_MAX)
        snprintf(at, room, "%sw*", gap);
      else
        snprintf(at, room, "%sw%d", gap, (int)event.watermark_ms);
      break;
    case WR_GATE_IDLE:
      snprintf(at, room, "%s%s", gap, event.idle ? "idle" : "active");
      break;
    case WR_GATE_END:
      snprintf(at, room, "%send%u", gap, event.input);
      break;
    case WR_GATE_SNAPSHOT:
      snprintf(at, room, "%ssnap%d", gap, (int)event.id);
      wr_gate_snapshot_taken(&test->gate, event.id);
      break;
    case WR_GATE_CANCELLED:
      snprintf(at, room, "%scancel%d", gap, (int)event.id);
      break;
    case WR_GATE_NOTHING:
      break;
    }
    length += strlen(line + length);
  }
}

/* ---- barriers ---- */

TEST(alignment_holds_what_comes_behind_the_barrier) {
  struct gate_test test = {0};
  begin(&test, WR_EXACTLY_ONCE, "00", NULL);
  push_batch(&test, 0, 1);
  push(&test, 0, WR_ITEM_BARRIER, 4);
  push_batch(&test, 0, 2);
  push_batch(&test, 1, 10);
  CHECK_STRING(read_all(&test), "1@0 10@0");
  CHECK(wr_gate_is_aligning(&test.gate));
  push_batch(&test, 1, 11);
  CHECK_STRING(read_all(&test), "11@0");
  push(&test, 1, WR_ITEM_BARRIER, 4);
  push_batch(&test, 1, 12);
  CHECK_STRING(read_all(&test), "snap4 2@0 12@0");
  CHECK(!wr_gate_is_aligning(&test.gate));
  end(&test);
}

TEST(at_least_once_holds_nothing_but_what_is_always_aligned) {
  struct gate_test test = {0};
  begin(&test, WR_AT_LEAST_ONCE, "00", NULL);
  push(&test, 0, WR_ITEM_BARRIER, 4);
  push_batch(&test, 0, 2);
  CHECK_STRING(read_all(&test), "2@0");
  push(&test, 1, WR_ITEM_BARRIER, 4);
  CHECK_STRING(read_all(&test), "snap4");
  end(&test);
  begin(&test, WR_AT_LEAST_ONCE, "00", "11");
  push(&test, 0, WR_ITEM_BARRIER, 4);
  push_batch(&test, 0, 2);
  CHECK_STRING(read_all(&test), "");
  push(&test, 1, WR_ITEM_BARRIER, 4);
  CHECK_STRING(read_all(&test), "snap4 2@0");
  end(&test);
}

TEST(an_end_behind_a_barrier_waits_for_the_snapshot_in_both_modes) {
  for (int mode = 0; mode < 2; mode++) {
    struct gate_test test = {0};
    begin(&test, mode == 0 ? WR_EXACTLY_ONCE : WR_AT_LEAST_ONCE, "01", NULL);
    push(&test, 0, WR_ITEM_BARRIER, 4);
    push(&test, 0, WR_ITEM_WATERMARK, INT64_MAX);
    push(&test, 0, WR_ITEM_END, 0);
    CHECK_STRING(read_all(&test), "");
    push(&test, 1, WR_ITEM_BARRIER, 4);
    CHECK_STRING(read_all(&test), "snap4 end0");
    push(&test, 0, WR_ITEM_BARRIER, 5); /* they go on coming after the end */
    push(&test, 1, WR_ITEM_BARRIER, 5);
    CHECK_STRING(read_all(&test), "snap5");
    end(&test);
  }
}

TEST(an_abort_releases_and_an_early_one_is_answered_at_the_barrier) {
  struct gate_test test = {0};
  begin(&test, WR_EXACTLY_ONCE, "00", NULL);
  push(&test, 0, WR_ITEM_BARRIER, 4);
  push_batch(&test, 0, 1);
  CHECK_STRING(read_all(&test), "");
  struct wr_gate_event event = wr_gate_aborted(&test.gate, 4);
  CHECK_INT(event.kind, WR_GATE_CANCELLED);
  CHECK_INT(event.id, 4);
  CHECK_STRING(read_all(&test), "1@0");
  push(&test, 1, WR_ITEM_BARRIER, 4); /* the late one is swallowed */
  CHECK_STRING(read_all(&test), "");
  CHECK_INT(wr_gate_aborted(&test.gate, 5).kind, WR_GATE_NOTHING);
  push(&test, 1, WR_ITEM_BARRIER, 5);
  push_batch(&test, 1, 2);
  CHECK_STRING(read_all(&test), "cancel5 2@0");
  push(&test, 0, WR_ITEM_BARRIER, 5);
  push(&test, 0, WR_ITEM_BARRIER, 6);
  push(&test, 1, WR_ITEM_BARRIER, 6);
  CHECK_STRING(read_all(&test), "snap6");
  end(&test);
}

TEST(a_newer_barrier_and_a_cancel_marker_give_the_older_up) {
  struct gate_test test = {0};
  begin(&test, WR_EXACTLY_ONCE, "000", NULL);
  push(&test, 0, WR_ITEM_BARRIER, 4);
  push(&test, 1, WR_ITEM_BARRIER, 5);
  CHECK_STRING(read_all(&test), "cancel4");
  push(&test, 0, WR_ITEM_BARRIER, 5);
  push(&test, 2, WR_ITEM_CANCEL, 5);
  push_batch(&test, 0, 3);
  CHECK_STRING(read_all(&test), "cancel5 3@0");
  end(&test);
}

/* ---- watermarks, idleness, ends ---- */

TEST(the_watermark_is_the_minimum_and_never_falls) {
  struct gate_test test = {0};
  begin(&test, WR_EXACTLY_ONCE, "00", NULL);
  push(&test, 0, WR_ITEM_WATERMARK, 10);
  CHECK_STRING(read_all(&test), "");
  push(&test, 1, WR_ITEM_WATERMARK, 5);
  CHECK_STRING(read_all(&test), "w5");
  push(&test, 1, WR_ITEM_WATERMARK, 3);
  push(&test, 1, WR_ITEM_WATERMARK, 20);
  CHECK_STRING(read_all(&test), "w10");
  end(&test);
}

TEST(an_idle_channel_does_not_count_until_it_goes_on) {
  struct gate_test test = {0};
  begin(&test, WR_EXACTLY_ONCE, "00", NULL);
  push(&test, 0, WR_ITEM_WATERMARK, 10);
  push(&test, 1, WR_ITEM_IDLE, 1);
  CHECK_STRING(read_all(&test), "w10");
  push(&test, 1, WR_ITEM_WATERMARK, 7); /* says nothing while it is idle */
  push(&test, 0, WR_ITEM_WATERMARK, 12);
  CHECK_STRING(read_all(&test), "w12");
  push(&test, 1, WR_ITEM_IDLE, 0);
  CHECK_STRING(read_all(&test), "");
  push(&test, 0, WR_ITEM_WATERMARK, 30);
  CHECK_STRING(read_all(&test), ""); /* channel 1 is behind again: the task stays at 12 */
  push(&test, 1, WR_ITEM_WATERMARK, 15);
  CHECK_STRING(read_all(&test), "w15");
  end(&test);
}

TEST(a_task_is_idle_when_all_its_channels_are) {
  struct gate_test test = {0};
  begin(&test, WR_EXACTLY_ONCE, "00", NULL);
  push(&test, 0, WR_ITEM_WATERMARK, 10);
  push(&test, 1, WR_ITEM_WATERMARK, 100);
  push(&test, 1, WR_ITEM_IDLE, 1);
  CHECK_STRING(read_all(&test), "w10");
  push(&test, 0, WR_ITEM_IDLE, 1);
  CHECK_STRING(read_all(&test), "idle");
  push(&test, 1, WR_ITEM_IDLE, 0); /* it alone counts now, and was far ahead */
  CHECK_STRING(read_all(&test), "active w100");
  end(&test);
}

TEST(an_end_beside_an_idle_channel_is_not_the_end_of_time) {
  struct gate_test test = {0};
  begin(&test, WR_EXACTLY_ONCE, "00", NULL);
  push(&test, 0, WR_ITEM_WATERMARK, 10);
  push(&test, 1, WR_ITEM_WATERMARK, 5);
  push(&test, 1, WR_ITEM_IDLE, 1);
  CHECK_STRING(read_all(&test), "w5 w10");
  push(&test, 0, WR_ITEM_WATERMARK, INT64_MAX);
  push(&test, 0, WR_ITEM_END, 0);
  CHECK_STRING(read_all(&test), "idle");
  push(&test, 1, WR_ITEM_IDLE, 0);
  push(&test, 1, WR_ITEM_WATERMARK, 20);
  push_batch(&test, 1, 21);
  CHECK_STRING(read_all(&test), "active w20 21@0");
  push(&test, 1, WR_ITEM_WATERMARK, INT64_MAX);
  push(&test, 1, WR_ITEM_END, 0);
  CHECK_STRING(read_all(&test), "w* end0");
  end(&test);
}

TEST(each_input_ends_for_itself_and_the_last_after_the_end_of_time) {
  struct gate_test test = {0};
  begin(&test, WR_EXACTLY_ONCE, "001", NULL);
  push(&test, 2, WR_ITEM_WATERMARK, INT64_MAX);
  push(&test, 2, WR_ITEM_END, 0);
  CHECK_STRING(read_all(&test), "end1");
  push(&test, 0, WR_ITEM_WATERMARK, INT64_MAX);
  push(&test, 0, WR_ITEM_END, 0);
  CHECK_STRING(read_all(&test), "");
  push(&test, 1, WR_ITEM_WATERMARK, 9);
  CHECK_STRING(read_all(&test), "w9");
  push(&test, 1, WR_ITEM_END, 0); /* also where nobody said that time has ended */
  CHECK_STRING(read_all(&test), "w* end0");
  end(&test);
}

TEST(an_end_of_all_idle_channels) {
  struct gate_test test = {0};
  begin(&test, WR_EXACTLY_ONCE, "00", NULL);
  push(&test, 0, WR_ITEM_IDLE, 1);
  push(&test, 1, WR_ITEM_IDLE, 1);
  for (uint32_t i = 0; i < 2; i++) {
    push(&test, i, WR_ITEM_WATERMARK, INT64_MAX);
    push(&test, i, WR_ITEM_END, 0);
  }
  CHECK_STRING(read_all(&test), "idle w* end0");
  end(&test);
}

TEST(without_memory) {
  for (uint64_t n = 1;; n++) {
    struct test_memory memory;
    struct wr_waker waker = {.wake = wake_nobody};
    struct wr_channel *channel = NULL;
    test_memory_init(&memory);
    CHECK_INT(wr_channel_new(&memory.memory, &waker, &waker, &channel, NULL), WEIR_OK);
    struct wr_gate gate;
    struct weir_error error = {0};
    const uint32_t input = 0;
    test_memory_fail_after(&memory, n, true);
    enum weir_code code = wr_gate_init(&gate, &memory.memory, WR_EXACTLY_ONCE, 1, &channel, &input, NULL, 0, &error);
    wr_gate_deinit(&gate);
    wr_channel_free(channel);
    CHECK_INT(memory.living_count, 0);
    if (code == WEIR_OK) break;
    CHECK_INT(code, WEIR_NO_MEMORY);
  }
}

TEST_MAIN(TEST_CASE(alignment_holds_what_comes_behind_the_barrier),
          TEST_CASE(at_least_once_holds_nothing_but_what_is_always_aligned),
          TEST_CASE(an_end_behind_a_barrier_waits_for_the_snapshot_in_both_modes),
          TEST_CASE(an_abort_releases_and_an_early_one_is_answered_at_the_barrier),
          TEST_CASE(a_newer_barrier_and_a_cancel_marker_give_the_older_up),
          TEST_CASE(the_watermark_is_the_minimum_and_never_falls),
          TEST_CASE(an_idle_channel_does_not_count_until_it_goes_on),
          TEST_CASE(a_task_is_idle_when_all_its_channels_are),
          TEST_CASE(an_end_beside_an_idle_channel_is_not_the_end_of_time),
          TEST_CASE(each_input_ends_for_itself_and_the_last_after_the_end_of_time),
          TEST_CASE(an_end_of_all_idle_channels), TEST_CASE(without_memory))
