/* operators/test_operator.h: one operator under test, driven as a task drives it: a context, a state backend that can
 * answer WAIT, and an output whose items are collected. One thread. */
#ifndef WR_OPERATORS_TEST_OPERATOR_H
#define WR_OPERATORS_TEST_OPERATOR_H

#include "base/limits.h"
#include "base/test.h"
#include "base/test_memory.h"
#include "runtime/output.h"

struct test_operator {
  struct wr_memory *memory;
  struct wr_backend *backend;
  struct wr_task_metrics metrics;
  struct wr_item_queue sent; /* what came out */
  struct wr_output output;
  struct wr_operator_context context;
  struct wr_operator *op;
  uint64_t waits; /* calls that had to wait */
};

static inline bool test_operator_init(struct test_operator *test, struct wr_memory *memory,
                                      const struct weir_schema *input, const struct weir_schema *output,
                                      struct wr_key_fields key, uint32_t wait_one_in, uint64_t seed) {
  *test = (struct test_operator){.memory = memory};
  struct weir_error *error = &test->context.error;
  wr_item_queue_init(&test->sent, memory);
  const struct wr_backend_options options = {
      .memory = memory,
      .range = {.first = 0, .end = WR_KEY_GROUPS_DEFAULT},
      .max_parallelism = WR_KEY_GROUPS_DEFAULT,
      .index_seed = seed,
      .wait_one_in = wait_one_in,
      .wait_seed = seed + 1,
  };
  if (wr_output_init(&test->output, memory, &test->metrics, &test->sent, 0, error) != WEIR_OK) return false;
  if (key.count != 0 && wr_backend_new(&options, &test->backend, error) != WEIR_OK) return false;
  test->context = (struct wr_operator_context){.memory = memory,
                                               .output = &test->output,
                                               .metrics = &test->metrics,
                                               .backend = test->backend,
                                               .uid = "tested",
                                               .input_schema = input,
                                               .output_schema = output,
                                               .key = key,
                                               .parallelism = 1,
                                               .max_parallelism = WR_KEY_GROUPS_DEFAULT,
                                               .watermark_ms = INT64_MIN};
  return true;
}

static inline void test_operator_deinit(struct test_operator *test) {
  if (test->op != NULL) test->op->vtable->free(test->op);
  wr_backend_free(test->backend);
  wr_item_queue_deinit(&test->sent);
  wr_output_deinit(&test->output);
}

/* The call of a result that came with WAIT or MORE comes again. WAIT after output in one call is what a task refuses.
 */
static inline bool test_operator_again(struct test_operator *test, enum wr_result result) {
  if (result == WR_RESULT_WAIT) {
    test->waits++;
    if (test->output.emitted_in_call != 0) {
      fprintf(stderr, "WAIT after output\n");
      abort();
    }
  }
  test->output.emitted_in_call = 0;
  return result == WR_RESULT_WAIT || result == WR_RESULT_MORE;
}

static inline enum wr_result test_operator_process(struct test_operator *test, struct wr_batch *batch) {
  uint64_t wake_at_ns = UINT64_MAX;
  enum wr_result result;
  test->output.emitted_in_call = 0;
  do {
    /* A task polls its operators in each step, also while a call is unfinished. */
    if (test->op->vtable->poll != NULL) test->op->vtable->poll(test->op, &wake_at_ns);
    test->output.emitted_in_call = 0;
    result = test->op->vtable->process(test->op, 0, batch, &wake_at_ns);
  } while (test_operator_again(test, result));
  return result;
}

static inline enum wr_result test_operator_watermark(struct test_operator *test, int64_t watermark_ms) {
  uint64_t wake_at_ns = UINT64_MAX;
  enum wr_result result;
  test->context.watermark_ms = watermark_ms;
  test->output.emitted_in_call = 0;
  do {
    result = test->op->vtable->watermark(test->op, &wake_at_ns);
  } while (test_operator_again(test, result));
  return result;
}

/* The next batch that came out; NULL: there is none. The caller's reference. */
static inline struct wr_batch *test_operator_take(struct test_operator *test) {
  while (test->sent.length != 0) {
    struct wr_queued_item queued = wr_item_queue_pop(&test->sent);
    if (queued.item.kind == WR_ITEM_BATCH) return queued.item.batch;
  }
  return NULL;
}

#endif
