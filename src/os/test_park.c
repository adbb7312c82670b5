/* Tests of os/park.c: no wake is lost, what was written before a wake is seen, time-outs end. */
#include "base/test.h"
#include "os/park.h"
#include "os/thread.h"

#include <sched.h>

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

TEST(wake_before_wait) {
  struct wr_parker parker;
  wr_parker_init(&parker);
  CHECK(!wr_parker_wait(&parker, 0));
  parker.waker.wake(&parker.waker);
  parker.waker.wake(&parker.waker);
  CHECK(wr_parker_wait(&parker, WR_PARK_FOREVER));
  CHECK(!wr_parker_wait(&parker, 0)); /* several wakes are one */
  parker.waker.wake(&parker.waker);
  CHECK(wr_parker_wait(&parker, 0));
}

TEST(timeout_ends) {
  struct wr_parker parker;
  wr_parker_init(&parker);
  uint64_t before = now_ns();
  CHECK(!wr_parker_wait(&parker, 30000000));
  uint64_t took = now_ns() - before;
  CHECK(took >= 30000000);
  CHECK(took < 5000000000u);
}

enum { WAKERS = 3, WRITES = 20000 };

struct mailbox {
  struct wr_parker parker;
  struct {
    _Atomic int written; /* relaxed: the wake is what orders `plain` */
    int plain[WRITES];
    char padding[64];
  } of[WAKERS];
};

struct writer {
  struct wr_thread thread;
  struct mailbox *mailbox;
  int number;
};

static void write_and_wake(void *argument) {
  struct writer *writer = argument;
  struct mailbox *mailbox = writer->mailbox;
  for (int i = 0; i < WRITES; i++) {
    mailbox->of[writer->number].plain[i] = i + 1;
    atomic_store_explicit(&mailbox->of[writer->number].written, i + 1, memory_order_release);
    mailbox->parker.waker.wake(&mailbox->parker.waker);
    if (i % 64 == 0) sched_yield();
  }
}

/* Three writers; the owner parks for ever whenever it has seen all, so one lost wake hangs the test. */
TEST(no_wake_is_lost) {
  static struct mailbox mailbox;
  wr_parker_init(&mailbox.parker);
  struct writer writers[WAKERS];
  for (int i = 0; i < WAKERS; i++) {
    writers[i] = (struct writer){.mailbox = &mailbox, .number = i};
    CHECK_INT(wr_thread_start(&writers[i].thread, "writer", write_and_wake, &writers[i], NULL), WEIR_OK);
  }
  int seen[WAKERS] = {0};
  int total = 0;
  while (total < WAKERS * WRITES) {
    CHECK(wr_parker_wait(&mailbox.parker, WR_PARK_FOREVER));
    for (int i = 0; i < WAKERS; i++)
      for (int until = atomic_load_explicit(&mailbox.of[i].written, memory_order_acquire); seen[i] < until; total++) {
        CHECK_INT(mailbox.of[i].plain[seen[i]], seen[i] + 1);
        seen[i]++;
      }
  }
  for (int i = 0; i < WAKERS; i++)
    wr_thread_join(&writers[i].thread);
}

struct ping {
  struct wr_thread thread;
  struct wr_parker here, there;
  int value; /* plain: handed to and fro by wakes alone */
};

static void answer(void *argument) {
  struct ping *ping = argument;
  for (int i = 0; i < WRITES; i++) {
    wr_parker_wait(&ping->there, WR_PARK_FOREVER);
    ping->value++;
    ping->here.waker.wake(&ping->here.waker);
  }
}

TEST(what_was_written_is_seen) {
  static struct ping ping;
  wr_parker_init(&ping.here);
  wr_parker_init(&ping.there);
  CHECK_INT(wr_thread_start(&ping.thread, "answer", answer, &ping, NULL), WEIR_OK);
  for (int i = 0; i < WRITES; i++) {
    ping.value++;
    ping.there.waker.wake(&ping.there.waker);
    CHECK(wr_parker_wait(&ping.here, i % 2 == 0 ? WR_PARK_FOREVER : 10000000000u));
    CHECK_INT(ping.value, 2 * (i + 1));
  }
  wr_thread_join(&ping.thread);
}

TEST_MAIN(TEST_CASE(wake_before_wait), TEST_CASE(timeout_ends), TEST_CASE(no_wake_is_lost),
          TEST_CASE(what_was_written_is_seen))
