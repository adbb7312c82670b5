/* One task of two chained operators, stepped by hand on one thread: what is called in which order at a barrier, and
 * what messages do that come in between. The operators write down each call. */
#include "base/test.h"
#include "runtime/task.h"
#include "sim/sim_world.h"

struct task_test;

/* What one operator does. */
struct scripted {
  struct task_test *test;
  char name;       /* in the record of calls */
  int waits;       /* before_barrier answers WAIT so often */
  bool polls_emit; /* poll says that it did something */
  void (*at_barrier)(struct task_test *test);
};
struct scripted_operator {
  struct wr_operator base;
  struct scripted *script;
};
struct task_test {
  struct sim_world *world;
  struct wr_graph graph;
  struct wr_vertex vertex;
  struct scripted scripts[2];
  struct wr_store store;
  struct wr_waker waker;
  struct wr_mailbox mailbox;
  struct wr_channel *inputs[2];
  struct wr_task *task;
  char record[512];
};

static const struct weir_field number_fields[] = {{"n", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema number_schema = {number_fields, 1};

static void wake_nobody(struct wr_waker *waker) {
  (void)waker;
}

/* ---- the operators ---- */

static struct scripted *script_of(struct wr_operator *op) {
  return ((struct scripted_operator *)op)->script;
}
static void put(struct wr_operator *op, const char *what, uint64_t id) {
  char *record = script_of(op)->test->record;
  size_t length = strlen(record);
  snprintf(record + length, 512 - length, "%s%c:%s%.0d", length == 0 ? "" : " ", script_of(op)->name, what, (int)id);
}
static enum wr_result scripted_process(struct wr_operator *op, uint32_t input, struct wr_batch *batch, uint64_t *wake) {
  (void)input, (void)batch, (void)wake;
  put(op, "process", 0);
  return WR_RESULT_OK;
}
static enum wr_result scripted_poll(struct wr_operator *op, uint64_t *wake) {
  (void)wake;
  if (!script_of(op)->polls_emit) return WR_RESULT_WAIT;
  put(op, "poll", 0);
  return WR_RESULT_OK;
}
static enum wr_result scripted_before_barrier(struct wr_operator *op, uint64_t id, uint64_t *wake) {
  (void)wake;
  struct scripted *script = script_of(op);
  if (script->waits > 0) {
    script->waits--;
    return WR_RESULT_WAIT;
  }
  put(op, "flush", id);
  if (script->at_barrier != NULL) script->at_barrier(script->test);
  return WR_RESULT_OK;
}
static enum weir_code scripted_snapshot(struct wr_operator *op, uint64_t id, struct wr_bytes *out,
                                        struct weir_error *e) {
  (void)e;
  put(op, "snapshot", id);
  wr_bytes_put_u8(out, 1);
  return WEIR_OK;
}
static void scripted_complete(struct wr_operator *op, uint64_t id) {
  put(op, "complete", id);
}
static void scripted_aborted(struct wr_operator *op, uint64_t id) {
  put(op, "aborted", id);
}
static enum wr_result scripted_end(struct wr_operator *op, uint32_t input, uint64_t *wake) {
  (void)wake;
  put(op, "end", input);
  return WR_RESULT_OK;
}
static enum weir_code refuse_split(struct wr_operator *op, const uint8_t *bytes, size_t length,
                                   struct weir_error *error) {
  (void)op, (void)bytes, (void)length;
  return WR_FAIL(error, WEIR_BAD_RECORD, "no split is wanted");
}
static void scripted_free(struct wr_operator *op) {
  wr_free(op->context->memory, op);
}
static const struct wr_operator_vtable scripted_vtable = {.name = "scripted",
                                                          .process = scripted_process,
                                                          .poll = scripted_poll,
                                                          .before_barrier = scripted_before_barrier,
                                                          .snapshot = scripted_snapshot,
                                                          .complete = scripted_complete,
                                                          .aborted = scripted_aborted,
                                                          .end_input = scripted_end,
                                                          .add_split = refuse_split,
                                                          .free = scripted_free};
static enum weir_code new_scripted(void *config, struct wr_operator_context *context, struct wr_operator **out,
                                   struct weir_error *error) {
  struct scripted_operator *op = wr_alloc_zeroed(context->memory, 1, sizeof *op, WR_MEMORY_ENGINE);
  if (op == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory");
  *op = (struct scripted_operator){.base = {&scripted_vtable, context}, .script = config};
  *out = &op->base;
  return WEIR_OK;
}

/* A graph wants one; a task alone never asks it. */
static enum weir_code no_enumerator(void *config, const struct wr_enumerator_context *context,
                                    const struct wr_split *restored, uint32_t count, struct wr_enumerator **out,
                                    struct weir_error *error) {
  (void)config, (void)context, (void)restored, (void)count, (void)out;
  return WR_FAIL(error, WEIR_INTERNAL, "nobody needs this");
}

/* ---- the task ---- */

/* `inputs` 0: a source. */
static void begin(struct task_test *test, uint32_t inputs) {
  *test = (struct task_test){.scripts = {{.name = 'a'}, {.name = 'b'}}, .waker = {wake_nobody}};
  struct sim_world_options world_options = {.seed = 1};
  test->world = sim_world_new(&world_options);
  struct wr_seams *seams = sim_world_seams(test->world);
  wr_graph_init(&test->graph, seams->memory);
  for (uint32_t i = 0; i < 2; i++) {
    bool source = i == 0 && inputs == 0;
    struct wr_node node = {.kind = source ? WR_NODE_SOURCE : WR_NODE_OPERATOR,
                           .parallelism = 1,
                           .port_count = 1,
                           .port_schemas = {&number_schema},
                           .input_count = source   ? 0
                                          : i == 0 ? inputs
                                                   : 1,
                           .input_schemas = {&number_schema, &number_schema},
                           .chain = true,
                           .config = &test->scripts[i],
                           .new_operator = new_scripted};
    node.uid[0] = test->scripts[i].name;
    test->scripts[i].test = test;
    if (source) node.new_enumerator = no_enumerator;
    WR_ASSERT(wr_graph_add_node(&test->graph, &node, &test->vertex.nodes[i], NULL) == WEIR_OK);
  }
  struct wr_edge edge = {.from_node = 0, .to_node = 1, .exchange = WR_EXCHANGE_FORWARD};
  WR_ASSERT(wr_graph_add_edge(&test->graph, &edge, NULL) == WEIR_OK);
  test->vertex.node_count = 2;
  test->vertex.parallelism = 1;
  uint32_t numbers[2] = {0, 1};
  uint8_t aligned[2] = {0, 0};
  for (uint32_t i = 0; i < inputs; i++)
    WR_ASSERT(wr_channel_new(seams->memory, &test->waker, &test->waker, &test->inputs[i], NULL) == WEIR_OK);
  struct wr_task_wiring wiring = {
      .inputs = test->inputs, .input_numbers = numbers, .always_aligned = aligned, .input_count = inputs};
  test->store = (struct wr_store){.seams = seams, .folder = "/state", .start_number = 1};
  struct wr_task_options options = {.graph = &test->graph,
                                    .vertex = &test->vertex,
                                    .max_parallelism = 128,
                                    .seams = seams,
                                    .store = &test->store,
                                    .waker = &test->waker,
                                    .job_mailbox = &test->mailbox,
                                    .job_waker = &test->waker};
  WR_ASSERT(wr_task_new(&options, &wiring, &test->task, NULL) == WEIR_OK);
}

static enum wr_progress step(struct task_test *test) {
  uint64_t wake_at_ns = UINT64_MAX;
  struct wr_steppable *steppable = wr_task_steppable(test->task);
  return steppable->step(steppable, sim_world_now_ns(test->world), &wake_at_ns);
}

/* Until nothing happens any more, at most `n` steps. */
static void settle(struct task_test *test, int n) {
  while (n-- > 0 && step(test) == WR_PROGRESS_MADE) {
  }
}

static void post(struct task_test *test, enum wr_task_message_kind kind, uint64_t id) {
  struct wr_memory *memory = sim_world_seams(test->world)->memory;
  struct wr_task_message *message = wr_alloc_zeroed(memory, 1, sizeof *message, WR_MEMORY_ENGINE);
  WR_ASSERT(message != NULL);
  message->kind = kind;
  message->id = id;
  wr_task_post(test->task, message);
}

static void push(struct task_test *test, uint32_t input, enum wr_item_kind kind, int64_t value) {
  struct wr_item item = {.kind = kind, .value = value};
  WR_ASSERT(wr_channel_push(test->inputs[input], &item));
}

/* Takes the events: how many of a kind there were, and the mask of the last acknowledgement's first entry. */
static int count_events(struct task_test *test, enum wr_task_event_kind kind, uint32_t *out_ended) {
  int count = 0;
  struct wr_message *message = wr_mailbox_take(&test->mailbox);
  while (message != NULL) {
    struct wr_message *next = message->next;
    struct wr_task_event *event = (struct wr_task_event *)message;
    count += event->kind == kind;
    if (event->kind == WR_EVENT_ACK && out_ended != NULL) *out_ended = event->entries[0].ended_inputs;
    wr_task_event_free(sim_world_seams(test->world)->memory, event);
    message = next;
  }
  return count;
}

static void end(struct task_test *test) {
  (void)count_events(test, WR_EVENT_ACK, NULL);
  wr_task_free(test->task);
  for (uint32_t i = 0; i < 2; i++)
    wr_channel_free(test->inputs[i]);
  wr_graph_deinit(&test->graph);
  CHECK_INT(sim_memory_report(sim_world_memory(test->world), stderr), 0);
  sim_world_free(test->world);
}

/* ---- tests ---- */

TEST(operators_flush_head_to_tail_and_snapshot_tail_to_head) {
  struct task_test test;
  begin(&test, 1);
  push(&test, 0, WR_ITEM_BARRIER, 1);
  settle(&test, 20);
  CHECK_STRING(test.record, "a:flush1 b:flush1 b:snapshot1 a:snapshot1");
  CHECK_INT(count_events(&test, WR_EVENT_ACK, NULL), 1);
  end(&test);
}

/* What an operator that has flushed takes up or sends would be in no snapshot. */
TEST(nobody_is_polled_between_its_flush_and_the_barrier) {
  struct task_test test;
  begin(&test, 1);
  settle(&test, 3);
  test.scripts[0].polls_emit = true;
  test.scripts[1].waits = 3;
  push(&test, 0, WR_ITEM_BARRIER, 1);
  for (int i = 0; i < 5; i++)
    (void)step(&test);
  const char *flush = strstr(test.record, "a:flush1");
  const char *passed = strstr(test.record, "b:snapshot1");
  CHECK(flush != NULL && passed != NULL);
  const char *poll = strstr(flush, "a:poll");
  CHECK(poll == NULL || poll > passed);
  end(&test);
}

TEST(a_completion_counts_before_the_next_barrier) {
  struct task_test test;
  begin(&test, 1);
  push(&test, 0, WR_ITEM_BARRIER, 1);
  settle(&test, 20);
  test.record[0] = 0;
  post(&test, WR_TASK_COMPLETE, 1);
  push(&test, 0, WR_ITEM_BARRIER, 2);
  settle(&test, 20);
  CHECK_STRING(test.record, "b:complete1 a:complete1 a:flush2 b:flush2 b:snapshot2 a:snapshot2");
  end(&test);
}

static void complete_1(struct task_test *test) {
  post(test, WR_TASK_COMPLETE, 1);
}
static void abort_2(struct task_test *test) {
  post(test, WR_TASK_ABORT, 2);
}

TEST(messages_that_come_while_operators_flush_count_too) {
  struct task_test test;
  begin(&test, 1);
  push(&test, 0, WR_ITEM_BARRIER, 1);
  settle(&test, 20);
  test.record[0] = 0;
  test.scripts[1].at_barrier = complete_1;
  push(&test, 0, WR_ITEM_BARRIER, 2);
  settle(&test, 20);
  CHECK_STRING(test.record, "a:flush2 b:flush2 b:complete1 a:complete1 b:snapshot2 a:snapshot2");
  end(&test);
  begin(&test, 1);
  test.scripts[1].at_barrier = abort_2;
  push(&test, 0, WR_ITEM_BARRIER, 2);
  settle(&test, 20);
  CHECK_STRING(test.record, "a:flush2 b:flush2 b:aborted2 a:aborted2");
  CHECK_INT(count_events(&test, WR_EVENT_DECLINE, NULL), 1);
  end(&test);
}

TEST(an_abort_before_the_barrier_and_while_it_aligns) {
  struct task_test test;
  begin(&test, 2);
  settle(&test, 3);
  post(&test, WR_TASK_ABORT, 1);
  settle(&test, 3);
  push(&test, 0, WR_ITEM_BARRIER, 1);
  push(&test, 1, WR_ITEM_BARRIER, 1);
  settle(&test, 20);
  CHECK_STRING(test.record, "b:aborted1 a:aborted1");
  CHECK_INT(count_events(&test, WR_EVENT_DECLINE, NULL), 1);
  push(&test, 0, WR_ITEM_BARRIER, 2);
  settle(&test, 20);
  post(&test, WR_TASK_ABORT, 2);
  settle(&test, 20);
  CHECK_INT(count_events(&test, WR_EVENT_DECLINE, NULL), 1);
  push(&test, 1, WR_ITEM_BARRIER, 2); /* late */
  push(&test, 0, WR_ITEM_BARRIER, 3);
  push(&test, 1, WR_ITEM_BARRIER, 3);
  settle(&test, 20);
  CHECK_INT(count_events(&test, WR_EVENT_ACK, NULL), 1);
  end(&test);
}

TEST(each_input_that_ended_is_recorded) {
  struct task_test test;
  uint32_t ended = 9;
  begin(&test, 2);
  push(&test, 1, WR_ITEM_END, 0);
  for (uint32_t i = 0; i < 2; i++)
    push(&test, i, WR_ITEM_BARRIER, 1);
  settle(&test, 20);
  CHECK_INT(count_events(&test, WR_EVENT_ACK, &ended), 1);
  CHECK_INT(ended, 2);
  CHECK(strstr(test.record, "a:end1") != NULL && strstr(test.record, "b:end") == NULL);
  push(&test, 0, WR_ITEM_END, 0);
  for (uint32_t i = 0; i < 2; i++)
    push(&test, i, WR_ITEM_BARRIER, 2);
  settle(&test, 30);
  CHECK(strstr(test.record, "b:end") != NULL);
  CHECK_INT(count_events(&test, WR_EVENT_ACK, &ended), 1);
  CHECK_INT(ended, 3);
  end(&test);
}

static void fail_and_cancel(struct task_test *test) {
  post(test, WR_TASK_ADD_SPLIT, 0);
  wr_task_cancel(test->task);
}

/* Nobody would cancel it a second time. */
TEST(a_cancel_beside_a_failure_still_ends_the_task) {
  struct task_test test;
  begin(&test, 0);
  settle(&test, 3);
  test.scripts[1].at_barrier = fail_and_cancel;
  post(&test, WR_TASK_TRIGGER, 1);
  enum wr_progress progress = WR_PROGRESS_MADE;
  for (int i = 0; i < 20 && progress != WR_PROGRESS_DONE; i++)
    progress = step(&test);
  CHECK_INT(progress, WR_PROGRESS_DONE);
  end(&test);
}

TEST_MAIN(TEST_CASE(operators_flush_head_to_tail_and_snapshot_tail_to_head),
          TEST_CASE(nobody_is_polled_between_its_flush_and_the_barrier),
          TEST_CASE(a_completion_counts_before_the_next_barrier),
          TEST_CASE(messages_that_come_while_operators_flush_count_too),
          TEST_CASE(an_abort_before_the_barrier_and_while_it_aligns), TEST_CASE(each_input_that_ended_is_recorded),
          TEST_CASE(a_cancel_beside_a_failure_still_ends_the_task))
