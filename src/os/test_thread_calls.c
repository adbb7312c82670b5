/* Tests of os/thread_calls.c and os/posix_seams.c: every call runs once, blocked calls do not hold up others, deinit
 * waits. */
#include "base/test.h"
#include "os/park.h"
#include "os/posix_seams.h"

#include <unistd.h>

struct counting_call {
  struct wr_call call;
  int ran; /* plain on purpose: done is what orders it */
};

static void count(struct wr_call *call) {
  ((struct counting_call *)call)->ran++;
}

TEST(every_call_once) {
  struct wr_thread_calls pool;
  CHECK_INT(wr_thread_calls_init(&pool, NULL), WEIR_OK);
  struct wr_parker parker;
  wr_parker_init(&parker);
  static struct counting_call calls[500];
  enum { COUNT = sizeof calls / sizeof calls[0], ROUNDS = 10 };
  for (int i = 0; i < COUNT; i++)
    calls[i] = (struct counting_call){.call = {.run = count, .waker = &parker.waker}};
  for (int round = 1; round <= ROUNDS; round++) {
    for (int i = 0; i < COUNT; i++)
      wr_call_submit(&pool.calls, &calls[i].call);
    for (int done = 0; done < COUNT;) {
      wr_parker_wait(&parker, WR_PARK_FOREVER);
      for (int i = 0; i < COUNT; i++)
        done += wr_call_take_done(&calls[i].call);
    }
    for (int i = 0; i < COUNT; i++)
      CHECK_INT(calls[i].ran, round);
  }
  CHECK(pool.thread_count <= WR_CALL_THREADS_MAX);
  wr_thread_calls_deinit(&pool);
}

struct blocking_call {
  struct wr_call call;
  struct wr_parker *gate;
  _Atomic int *started;
};

static void block(struct wr_call *call) {
  struct blocking_call *blocking = (struct blocking_call *)call;
  atomic_fetch_add(blocking->started, 1);
  while (!wr_parker_wait(blocking->gate, WR_PARK_FOREVER)) {
  }
}

/* 31 calls hang; the 32nd thread still does the rest. With all 32 hanging, calls wait, and run once there is a thread.
 */
TEST(blocked_calls_hold_up_nobody) {
  struct wr_thread_calls pool;
  CHECK_INT(wr_thread_calls_init(&pool, NULL), WEIR_OK);
  struct blocking_call blocking[WR_CALL_THREADS_MAX];
  struct wr_parker gates[WR_CALL_THREADS_MAX], parker;
  _Atomic int started = 0;
  wr_parker_init(&parker);
  struct counting_call counting = {.call = {.run = count, .waker = &parker.waker}};
  for (int i = 0; i < WR_CALL_THREADS_MAX; i++) {
    wr_parker_init(&gates[i]);
    blocking[i] = (struct blocking_call){.call = {.run = block}, .gate = &gates[i], .started = &started};
    wr_call_submit(&pool.calls, &counting.call);
    while (!wr_call_take_done(&counting.call))
      CHECK(wr_parker_wait(&parker, 10000000000u));
    CHECK_INT(counting.ran, i + 1);
    wr_call_submit(&pool.calls, &blocking[i].call);
  }
  while (atomic_load(&started) < WR_CALL_THREADS_MAX)
    usleep(1000);
  CHECK_INT(pool.thread_count, WR_CALL_THREADS_MAX);
  wr_call_submit(&pool.calls, &counting.call);
  wr_parker_wait(&parker, 0); /* the wake of the last round */
  CHECK(!wr_parker_wait(&parker, 20000000));
  CHECK(!wr_call_is_idle(&counting.call));
  gates[7].waker.wake(&gates[7].waker);
  CHECK(wr_parker_wait(&parker, 10000000000u));
  CHECK(wr_call_take_done(&counting.call));
  for (int i = 0; i < WR_CALL_THREADS_MAX; i++)
    if (i != 7) gates[i].waker.wake(&gates[i].waker);
  wr_thread_calls_deinit(&pool);
  for (int i = 0; i < WR_CALL_THREADS_MAX; i++)
    CHECK(wr_call_take_done(&blocking[i].call));
}

struct slow_call {
  struct wr_call call;
  bool done;
};

static void slow(struct wr_call *call) {
  usleep(20000);
  ((struct slow_call *)call)->done = true;
}

TEST(deinit_waits) {
  struct wr_thread_calls pool;
  CHECK_INT(wr_thread_calls_init(&pool, NULL), WEIR_OK);
  static struct slow_call calls[100];
  for (int i = 0; i < 100; i++) {
    calls[i].call.run = slow;
    wr_call_submit(&pool.calls, &calls[i].call);
  }
  wr_thread_calls_deinit(&pool);
  for (int i = 0; i < 100; i++)
    CHECK(calls[i].done);
}

TEST(seams_of_a_process) {
  struct wr_posix_seams posix;
  struct weir_error error;
  CHECK_INT(wr_posix_seams_init(&posix, 1000, WR_LOG_INFO, &error), WEIR_OK);
  struct wr_seams *seams = &posix.seams;
  uint64_t first = seams->clock->monotonic_ns(seams->clock);
  CHECK(seams->clock->monotonic_ns(seams->clock) >= first);
  CHECK(seams->clock->wall_ms(seams->clock) > 1700000000000);
  uint64_t random[2][40];
  seams->entropy->fill(seams->entropy, random[0], sizeof random[0]);
  seams->entropy->fill(seams->entropy, random[1], sizeof random[1]);
  CHECK(memcmp(random[0], random[1], sizeof random[0]) != 0);
  CHECK(wr_alloc(seams->memory, 1001, WR_MEMORY_ENGINE) == NULL);
  int pipe_ends[2];
  CHECK_INT(pipe(pipe_ends), 0);
  posix.log.descriptor = pipe_ends[1];
  wr_log_write(seams->log, WR_LOG_DEBUG, "not said");
  wr_log_write(seams->log, WR_LOG_INFO, "checkpoint %d\ncompleted", 7);
  char text[200] = "";
  ssize_t length = read(pipe_ends[0], text, sizeof text - 1);
  CHECK_INT(length, 53);
  CHECK_STRING(text + 23, "Z INFO checkpoint 7?completed\n");
  CHECK(text[4] == '-' && text[10] == 'T' && text[19] == '.');
  char longest[4000];
  memset(longest, 'x', sizeof longest);
  seams->log->line(seams->log, WR_LOG_ERROR, (longest[sizeof longest - 1] = 0, longest));
  CHECK_INT(read(pipe_ends[0], longest, sizeof longest), 2560);
  CHECK_INT(longest[2559], '\n');
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  CHECK(wr_core_count() >= 1);
  wr_posix_seams_deinit(&posix);
}

TEST_MAIN(TEST_CASE(every_call_once), TEST_CASE(blocked_calls_hold_up_nobody), TEST_CASE(deinit_waits),
          TEST_CASE(seams_of_a_process))
