/* Tests of the simulated world's calls, time, kills, trace and memory. */
#include "base/test.h"
#include "sim/sim_disk.h"

enum { WRITERS = 6, WRITES = 20 };

/* A call that appends to a file of its own, and its waker. */
struct writer {
  struct wr_call call;
  struct wr_waker waker;
  struct wr_files *files;
  struct wr_calls *calls;
  char path[32];
  enum weir_code code;
  uint64_t wakes;
  uint64_t steps; /* writes that came back */
};

static void writer_wake(struct wr_waker *waker) {
  struct writer *writer = (struct writer *)((char *)waker - offsetof(struct writer, waker));
  writer->wakes++;
}

static void writer_run(struct wr_call *call) {
  struct writer *writer = (struct writer *)call;
  struct wr_file *file;
  writer->code = writer->files->open(writer->files, writer->path, WR_FILE_WRITE, &file, NULL);
  if (writer->code != WEIR_OK) return;
  for (uint64_t i = 0; i < WRITES && writer->code == WEIR_OK; i++) {
    writer->code = wr_file_write_all(writer->files, file, i * 8, &i, sizeof i, NULL, NULL);
    writer->steps += writer->code == WEIR_OK;
  }
  if (writer->code == WEIR_OK) writer->code = writer->files->sync(writer->files, file, NULL);
  enum weir_code code = writer->files->close(writer->files, file, NULL);
  if (writer->code == WEIR_OK) writer->code = code;
}

static void writers_submit(struct sim_world *world, struct writer *writers) {
  struct wr_seams *seams = sim_world_seams(world);
  for (int i = 0; i < WRITERS; i++) {
    writers[i] = (struct writer){
        .call = {.run = writer_run, .waker = &writers[i].waker}, .waker = {.wake = writer_wake}, .files = seams->files};
    snprintf(writers[i].path, sizeof writers[i].path, "/writer-%d", i);
    wr_call_submit(seams->calls, &writers[i].call);
  }
}

static uint64_t run_all(uint64_t seed, uint32_t threads, bool faults, uint64_t *out_steps_mixed) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = seed, .threads = threads});
  if (faults) {
    struct sim_fault_plan *plan = sim_world_faults(world);
    plan->rule_count = 1;
    snprintf(plan->rules[0].prefix, sizeof plan->rules[0].prefix, "/");
    for (int kind = 0; kind <= SIM_FAULT_SLOW_SYNC; kind++)
      plan->rules[0].one_in[kind] = 20;
  }
  struct writer writers[WRITERS];
  writers_submit(world, writers);
  uint64_t mixed = 0;
  while (sim_world_advance(world)) {
    uint64_t under_way = 0;
    for (int i = 0; i < WRITERS; i++)
      under_way += writers[i].steps > 0 && writers[i].steps < WRITES;
    mixed += under_way > 1;
  }
  for (int i = 0; i < WRITERS; i++) {
    if (!wr_call_take_done(&writers[i].call) || writers[i].wakes != 1) test_failed = true;
    if (!faults && writers[i].code != WEIR_OK) test_failed = true;
  }
  uint64_t hash = sim_world_trace_hash(world);
  if (sim_world_calls_in_flight(world) != 0 || sim_disk_open_files(world) != 0) test_failed = true;
  sim_world_free(world);
  *out_steps_mixed = mixed;
  return hash;
}

TEST(calls_interleave) {
  uint64_t mixed = 0;
  run_all(1, 0, false, &mixed);
  CHECK(mixed > 100);
  run_all(1, 1, false, &mixed);
  CHECK_INT(mixed, 0); /* one thread: one after the other */
  CHECK_PASSED();
}

TEST(same_seed_same_trace) {
  uint64_t seed = test_seed(), mixed = 0;
  for (int faults = 0; faults < 2; faults++) {
    for (uint64_t i = 0; i < 20; i++) {
      uint64_t first = run_all(seed + i, 3, faults, &mixed);
      uint64_t second = run_all(seed + i, 3, faults, &mixed);
      uint64_t other = run_all(seed + i + 1000, 3, faults, &mixed);
      CHECK(first == second);
      CHECK(first != other);
    }
  }
  CHECK_PASSED();
}

static void release_count(void *handle) {
  ++*(uint64_t *)handle;
}

/* Kills at every number of events; nobody dead is woken, nothing dead has an effect, the next generation works. */
TEST(kill_in_flight) {
  for (uint64_t events = 0; events < 140; events++) {
    struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = events, .threads = 3});
    struct wr_seams *seams = sim_world_seams(world);
    uint64_t released = 0, disowned = 0;
    seams->calls->adopt(seams->calls, &released, release_count);
    seams->calls->adopt(seams->calls, &disowned, release_count);
    seams->calls->disown(seams->calls, &disowned);
    struct writer *writers = wr_alloc(seams->memory, WRITERS * sizeof *writers, WR_MEMORY_ENGINE);
    writers_submit(world, writers);
    for (uint64_t i = 0; i < events; i++)
      CHECK(sim_world_advance(world));
    uint64_t sizes[WRITERS], wakes[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
      sizes[i] = sim_disk_size(world, writers[i].path);
      wakes[i] = writers[i].wakes;
    }
    sim_world_kill(world, SIM_KILL_PROCESS);
    CHECK_INT(sim_world_calls_in_flight(world), 0);
    CHECK_INT(sim_disk_open_files(world), 0);
    CHECK_INT(released, 1);
    CHECK_INT(disowned, 0);
    CHECK_INT(sim_world_next_event_ns(world) == UINT64_MAX, 1);
    for (int i = 0; i < WRITERS; i++) {
      CHECK_INT(sim_disk_size(world, writers[i].path), sizes[i]);
      CHECK_INT(writers[i].wakes, wakes[i]);
    }
    CHECK_INT(sim_world_memory(world)->blocks, 1);
    sim_memory_drop_all(sim_world_memory(world));
    CHECK_INT(sim_world_memory(world)->bytes, 0);
    struct writer again[WRITERS];
    writers_submit(world, again);
    while (sim_world_advance(world))
      ;
    for (int i = 0; i < WRITERS; i++)
      CHECK_INT(again[i].code, WEIR_OK);
    sim_world_free(world);
  }
}

static void lock_and_hold(void *context) {
  struct wr_files *files = context;
  struct wr_file *file;
  WR_ASSERT(files->open(files, "/lock", WR_FILE_WRITE, &file, NULL) == WEIR_OK);
  WR_ASSERT(files->lock(files, file, NULL) == WEIR_OK);
}

struct lock_outcome {
  struct wr_files *files;
  enum weir_code code;
};

static void lock_try(void *context) {
  struct lock_outcome *outcome = context;
  struct wr_file *file;
  WR_ASSERT(outcome->files->open(outcome->files, "/lock", WR_FILE_WRITE, &file, NULL) == WEIR_OK);
  outcome->code = outcome->files->lock(outcome->files, file, NULL);
  outcome->files->close(outcome->files, file, NULL);
}

TEST(locks_end_with_the_process) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = 7});
  struct lock_outcome outcome = {.files = sim_world_seams(world)->files};
  CHECK(sim_world_run(world, lock_and_hold, outcome.files));
  CHECK(sim_world_run(world, lock_try, &outcome));
  CHECK_INT(outcome.code, WEIR_IN_USE);
  CHECK_INT(sim_disk_open_files(world), 1);
  sim_world_kill(world, SIM_KILL_POWER);
  CHECK(sim_world_run(world, lock_try, &outcome));
  CHECK_INT(outcome.code, WEIR_OK);
  sim_world_free(world);
}

TEST(ordered_crash_stops_the_world) {
  for (uint64_t n = 1; n <= 1 + WRITES; n++) {
    struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = n, .threads = 1});
    struct writer writers[WRITERS];
    writers_submit(world, writers);
    sim_disk_crash_at(world, n, n % 2 == 0 ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER);
    while (sim_world_advance(world))
      ;
    CHECK(sim_world_crashed(world));
    CHECK_INT(sim_disk_operations(world), n);
    uint64_t writes = n - 1; /* the first operation creates the file */
    CHECK_INT(sim_disk_size(world, "/writer-0"), 8 * (n % 2 == 0 ? writes - 1 : writes));
    sim_world_kill(world, SIM_KILL_PROCESS);
    CHECK(!sim_world_crashed(world));
    sim_world_free(world);
  }
}

static void note_time(void *context) {
  struct sim_world **worlds = context;
  sim_world_trace(worlds[0], "noted");
}

TEST(time_and_events) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = 1});
  struct wr_clock *clock = sim_world_seams(world)->clock;
  int64_t wall_ms = clock->wall_ms(clock);
  sim_world_schedule(world, 5000000, note_time, &world);
  sim_world_schedule(world, 3000000, note_time, &world);
  CHECK_INT(sim_world_next_event_ns(world), 3000000);
  CHECK(sim_world_advance_to(world, 4000000));
  CHECK_INT(clock->monotonic_ns(clock), 4000000);
  CHECK_INT(sim_world_trace_lines(world), 1);
  sim_world_kill(world, SIM_KILL_PROCESS);
  CHECK(sim_world_advance(world));
  CHECK_INT(clock->monotonic_ns(clock), 5000000);
  CHECK(!sim_world_advance(world));
  CHECK_INT(clock->wall_ms(clock) - wall_ms, 5);
  sim_world_shift_wall(world, -100);
  CHECK_INT(clock->wall_ms(clock) - wall_ms, -95);
  CHECK_INT(clock->monotonic_ns(clock), 5000000);
  sim_world_free(world);
}

TEST(memory_knows_its_blocks) {
  struct sim_memory memory;
  sim_memory_init(&memory);
  char *first = wr_alloc(&memory.memory, 10, WR_MEMORY_STATE);
  CHECK_INT((unsigned char)first[3], 0xcd);
  memcpy(first, "0123456789", 10);
  first = wr_resize(&memory.memory, first, 20, WR_MEMORY_STATE);
  CHECK(memcmp(first, "0123456789", 10) == 0);
  CHECK_INT(memory.bytes, 20);
  CHECK_INT(memory.memory.tag_bytes[WR_MEMORY_STATE], 20);
  sim_memory_fail_nth(&memory, 2, false);
  char *second = wr_alloc(&memory.memory, 0, WR_MEMORY_SINK);
  CHECK(second != NULL);
  CHECK(wr_resize(&memory.memory, first, 30, WR_MEMORY_STATE) == NULL);
  CHECK_INT(memory.bytes, 20);
  sim_memory_fail_nth(&memory, 1, true);
  CHECK(wr_alloc(&memory.memory, 1, WR_MEMORY_SINK) == NULL);
  CHECK(wr_alloc(&memory.memory, 1, WR_MEMORY_SINK) == NULL);
  CHECK_INT(memory.failures, 3);
  sim_memory_fail_nth(&memory, 0, false);
  wr_free(&memory.memory, second);
  CHECK_INT(memory.blocks, 1);
  FILE *sink = fopen("/dev/null", "w");
  CHECK_INT(sim_memory_report(&memory, sink), 1);
  fclose(sink);
  memory.budget_bytes = 25;
  CHECK(wr_alloc(&memory.memory, 6, WR_MEMORY_SINK) == NULL);
  sim_memory_deinit(&memory);
  CHECK_INT(memory.bytes, 0);
  CHECK_INT(memory.memory.tag_bytes[WR_MEMORY_STATE], 0);
}

static void log_seen(void *context, enum wr_log_level level, const char *text) {
  *(bool *)context = level == WR_LOG_WARN && strcmp(text, "the disk is full") == 0;
}

TEST(log_goes_to_the_trace) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = 1});
  bool seen = false;
  sim_world_on_log(world, log_seen, &seen);
  uint64_t before = sim_world_trace_hash(world);
  wr_log_write(sim_world_seams(world)->log, WR_LOG_WARN, "the disk is %s", "full");
  CHECK(seen);
  CHECK(sim_world_trace_hash(world) != before);
  sim_world_free(world);
}

TEST_MAIN(TEST_CASE(calls_interleave), TEST_CASE(same_seed_same_trace), TEST_CASE(kill_in_flight),
          TEST_CASE(locks_end_with_the_process), TEST_CASE(ordered_crash_stops_the_world), TEST_CASE(time_and_events),
          TEST_CASE(memory_knows_its_blocks), TEST_CASE(log_goes_to_the_trace))
