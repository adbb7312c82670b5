/* Exchanges over real channels: which rows go where, in which order, and what waits when a channel is full. */
#include "base/test.h"
#include "base/test_memory.h"
#include "runtime/output.h"

enum { TARGETS = 3, GROUPS = 128 };

static void wake_nobody(struct wr_waker *waker) {
  (void)waker;
}

static const struct weir_field pair_fields[] = {{"k", WEIR_TYPE_BIGINT, false}, {"n", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema pair_schema = {pair_fields, 2};
static const uint32_t key_columns[] = {0};

struct output_test {
  struct test_memory memory;
  struct wr_waker waker;
  struct wr_task_metrics metrics;
  struct wr_edge edge;
  struct wr_channel *channels[TARGETS];
  struct wr_output output;
};

static enum weir_code begin(struct output_test *test, enum wr_exchange exchange, uint32_t targets,
                            uint64_t fail_after) {
  *test = (struct output_test){.waker = {wake_nobody}, .edge = {.exchange = exchange, .key = {key_columns, 1}}};
  test_memory_init(&test->memory);
  struct wr_memory *memory = &test->memory.memory;
  for (uint32_t i = 0; i < targets; i++)
    WR_ASSERT(wr_channel_new(memory, &test->waker, &test->waker, &test->channels[i], NULL) == WEIR_OK);
  test_memory_fail_after(&test->memory, fail_after, true);
  WR_TRY(wr_output_init(&test->output, memory, &test->metrics, NULL, 1, NULL));
  return wr_output_set_edge(&test->output, 0, &test->edge, &pair_schema, test->channels, targets, GROUPS, NULL);
}

static void end(struct output_test *test) {
  wr_output_deinit(&test->output);
  for (uint32_t i = 0; i < TARGETS; i++)
    wr_channel_free(test->channels[i]);
  CHECK_INT(test->memory.living_count, 0);
}

/* Rows of key n * 7 % 50, n from `first` on; NULL: no memory. */
static struct wr_batch *pairs(struct output_test *test, int64_t first, int64_t count) {
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &test->memory.memory, &pair_schema, false);
  enum weir_code code = WEIR_OK;
  for (int64_t n = first; n < first + count && code == WEIR_OK; n++) {
    code = wr_batch_builder_begin(&builder, NULL);
    if (code != WEIR_OK) break;
    wr_batch_builder_set_bigint(&builder, 0, n * 7 % 50);
    wr_batch_builder_set_bigint(&builder, 1, n);
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  struct wr_batch *batch = code == WEIR_OK ? wr_batch_builder_take(&builder) : NULL;
  wr_batch_builder_deinit(&builder);
  return batch;
}

/* The subtask that a key belongs to, by its key group. */
static uint32_t target_of(struct output_test *test, const struct wr_batch *batch, uint32_t row, uint32_t targets) {
  static uint64_t hashes[WR_BATCH_ROWS_MAX];
  struct wr_bytes scratch;
  wr_bytes_init(&scratch, &test->memory.memory, WR_MEMORY_ENGINE);
  WR_ASSERT(wr_key_hashes(batch, &test->edge.key, &scratch, hashes, NULL) == WEIR_OK);
  wr_bytes_deinit(&scratch);
  return wr_key_group_subtask((uint32_t)(hashes[row] % GROUPS), targets, GROUPS);
}

TEST(hash_goes_by_key_group_and_keeps_the_order_of_a_key) {
  struct output_test test;
  bool moved = false;
  CHECK_INT(begin(&test, WR_EXCHANGE_HASH, TARGETS, 0), WEIR_OK);
  for (int64_t i = 0; i < 10; i++)
    CHECK_INT(wr_output_emit(&test.output, 0, pairs(&test, i * 100, 100), NULL), WEIR_OK);
  CHECK(wr_output_has_partial(&test.output));
  CHECK(wr_output_drain(&test.output, &moved) && !moved); /* nothing is full yet */
  CHECK_INT(wr_output_watermark(&test.output, 5, NULL), WEIR_OK);
  CHECK(!wr_output_has_partial(&test.output)); /* what is ordered goes behind the rows */
  CHECK(wr_output_drain(&test.output, &moved) && moved);
  int64_t last[50], rows = 0;
  for (int i = 0; i < 50; i++)
    last[i] = -1;
  for (uint32_t t = 0; t < TARGETS; t++) {
    bool watermark = false;
    while (wr_channel_peek(test.channels[t]) != NULL) {
      struct wr_item item = wr_channel_pop(test.channels[t]);
      CHECK(!watermark);
      if (item.kind == WR_ITEM_WATERMARK) watermark = true;
      if (item.kind != WR_ITEM_BATCH) continue;
      for (uint32_t i = 0; i < item.batch->selected_count; i++, rows++) {
        uint32_t row = wr_batch_row(item.batch, i);
        int64_t key = wr_column_bigints(&item.batch->columns[0])[row];
        int64_t n = wr_column_bigints(&item.batch->columns[1])[row];
        CHECK_INT(target_of(&test, item.batch, i, TARGETS), t);
        CHECK(n > last[key]);
        last[key] = n;
      }
      wr_batch_unref(item.batch);
    }
    CHECK(watermark);
  }
  CHECK_INT(rows, 1000);
  end(&test);
}

TEST(rebalance_takes_turns_gather_and_forward_go_to_one) {
  struct output_test test;
  bool moved;
  CHECK_INT(begin(&test, WR_EXCHANGE_REBALANCE, TARGETS, 0), WEIR_OK);
  for (int64_t i = 0; i < 7; i++)
    CHECK_INT(wr_output_emit(&test.output, 0, pairs(&test, i, 1), NULL), WEIR_OK);
  CHECK_INT(wr_output_barrier(&test.output, 4, NULL), WEIR_OK);
  CHECK(wr_output_drain(&test.output, &moved));
  CHECK_INT(wr_channel_length(test.channels[0]), 4);
  CHECK_INT(wr_channel_length(test.channels[1]), 3);
  CHECK_INT(wr_channel_length(test.channels[2]), 3);
  end(&test);
  const enum wr_exchange single[] = {WR_EXCHANGE_GATHER, WR_EXCHANGE_FORWARD, WR_EXCHANGE_HASH};
  for (int e = 0; e < 3; e++) {
    CHECK_INT(begin(&test, single[e], 1, 0), WEIR_OK);
    CHECK_INT(wr_output_emit(&test.output, 0, pairs(&test, 0, 5), NULL), WEIR_OK);
    CHECK_INT(wr_output_emit(&test.output, 1, pairs(&test, 0, 5), NULL), WEIR_OK); /* another port: nobody's */
    CHECK_INT(wr_output_emit(&test.output, 0, NULL, NULL), WEIR_OK);
    CHECK(wr_output_drain(&test.output, &moved));
    CHECK_INT(wr_channel_length(test.channels[0]), 1);
    end(&test);
  }
}

TEST(what_finds_no_room_waits_in_order) {
  struct output_test test;
  bool moved;
  CHECK_INT(begin(&test, WR_EXCHANGE_FORWARD, 1, 0), WEIR_OK);
  for (int64_t i = 0; i < 300; i++)
    CHECK_INT(wr_output_emit(&test.output, 0, pairs(&test, i, 1), NULL), WEIR_OK);
  CHECK(wr_output_is_full(&test.output));
  CHECK(!wr_output_drain(&test.output, &moved));
  CHECK_INT(wr_output_watermark(&test.output, 9, NULL), WEIR_OK);
  CHECK_INT(wr_output_watermark(&test.output, 8, NULL), WEIR_OK); /* lower: no effect */
  CHECK_INT(wr_output_idle(&test.output, false, NULL), WEIR_OK);  /* as it is: no effect */
  int64_t next = 0;
  while (next < 301) {
    struct wr_item item = wr_channel_pop(test.channels[0]);
    if (next < 300)
      CHECK_INT(wr_column_bigints(&item.batch->columns[1])[0], next);
    else
      CHECK(item.kind == WR_ITEM_WATERMARK && item.value == 9);
    next++;
    wr_item_drop(&item);
    (void)wr_output_drain(&test.output, &moved);
  }
  CHECK(wr_channel_peek(test.channels[0]) == NULL && !wr_output_is_full(&test.output));
  end(&test);
}

TEST(without_memory) {
  for (uint64_t n = 1;; n++) {
    struct output_test test;
    enum weir_code code = begin(&test, WR_EXCHANGE_HASH, TARGETS, n);
    for (int64_t i = 0; i < 3 && code == WEIR_OK; i++) {
      struct wr_batch *batch = pairs(&test, i * 50, 50);
      code = batch == NULL ? WEIR_NO_MEMORY : wr_output_emit(&test.output, 0, batch, NULL);
    }
    if (code == WEIR_OK) code = wr_output_watermark(&test.output, 1, NULL);
    end(&test);
    CHECK_PASSED();
    if (code == WEIR_OK) break;
    CHECK_INT(code, WEIR_NO_MEMORY);
  }
}

TEST_MAIN(TEST_CASE(hash_goes_by_key_group_and_keeps_the_order_of_a_key),
          TEST_CASE(rebalance_takes_turns_gather_and_forward_go_to_one), TEST_CASE(what_finds_no_room_waits_in_order),
          TEST_CASE(without_memory))
