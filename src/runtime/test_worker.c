/* Tests of workers and mailboxes: order of arrival, detaching, progress, and many threads that attach and send. */
#include "base/test.h"
#include "os/park.h"
#include "os/thread.h"
#include "runtime/worker.h"

static char trace[256]; /* the steppables that were stepped, a letter each */

struct letter {
  struct wr_steppable steppable;
  char letter;
  enum wr_progress answer;
  uint64_t wake_at_ns;
};
static enum wr_progress step_letter(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  struct letter *self = (struct letter *)steppable;
  size_t length = strlen(trace);
  trace[length] = self->letter;
  trace[length + 1] = 0;
  if (now_ns + self->wake_at_ns < *wake_at_ns) *wake_at_ns = now_ns + self->wake_at_ns;
  return self->answer;
}
static struct letter letter_of(char letter, enum wr_progress answer) {
  return (struct letter){
      .steppable = {.step = step_letter, .name = "letter"}, .letter = letter, .answer = answer, .wake_at_ns = 1000};
}

struct counting_waker {
  struct wr_waker waker;
  int wakes;
};
static void count_wake(struct wr_waker *waker) {
  ((struct counting_waker *)waker)->wakes++;
}

static enum wr_progress round_of(struct wr_worker *worker, uint64_t *out_wake_at_ns) {
  trace[0] = 0;
  *out_wake_at_ns = UINT64_MAX;
  return wr_worker_round(worker, 5000, out_wake_at_ns);
}

TEST(rounds) {
  struct counting_waker waker = {.waker = {count_wake}}, owner = {.waker = {count_wake}};
  struct wr_worker worker;
  wr_worker_init(&worker, &waker.waker);
  uint64_t wake_at_ns;
  CHECK_INT(round_of(&worker, &wake_at_ns), WR_PROGRESS_NONE);
  CHECK(wake_at_ns == UINT64_MAX);
  struct letter a = letter_of('a', WR_PROGRESS_NONE), b = letter_of('b', WR_PROGRESS_NONE),
                c = letter_of('c', WR_PROGRESS_NONE), d = letter_of('d', WR_PROGRESS_MADE);
  b.wake_at_ns = 10;
  b.steppable.owner = &owner.waker;
  wr_worker_attach(&worker, &a.steppable);
  wr_worker_attach(&worker, &b.steppable);
  wr_worker_attach(&worker, &c.steppable);
  CHECK_INT(waker.wakes, 3);
  CHECK_INT(round_of(&worker, &wake_at_ns), WR_PROGRESS_NONE);
  CHECK_STRING(trace, "abc");
  CHECK_INT(wake_at_ns, 5010); /* the earliest that was asked for */
  wr_worker_attach(&worker, &d.steppable);
  CHECK_INT(round_of(&worker, &wake_at_ns), WR_PROGRESS_MADE);
  CHECK_STRING(trace, "abcd");
  CHECK_INT(worker.count, 4);

  b.answer = WR_PROGRESS_DONE;
  CHECK_INT(round_of(&worker, &wake_at_ns), WR_PROGRESS_MADE);
  CHECK_STRING(trace, "abcd"); /* leaving does not skip the next */
  CHECK(atomic_load(&b.steppable.detached) && !atomic_load(&c.steppable.detached));
  CHECK_INT(owner.wakes, 1);
  a.answer = d.answer = WR_PROGRESS_DONE;
  round_of(&worker, &wake_at_ns);
  CHECK_STRING(trace, "acd");
  round_of(&worker, &wake_at_ns);
  CHECK_STRING(trace, "c");
  b.answer = WR_PROGRESS_NONE; /* and may come back */
  wr_worker_attach(&worker, &b.steppable);
  round_of(&worker, &wake_at_ns);
  CHECK_STRING(trace, "cb");
  CHECK(!atomic_load(&b.steppable.detached));
  c.answer = b.answer = WR_PROGRESS_DONE;
  round_of(&worker, &wake_at_ns);
  CHECK_INT(worker.count, 0);
  CHECK(worker.steppables == NULL);
}

TEST(single_steps) {
  struct counting_waker waker = {.waker = {count_wake}};
  struct wr_worker worker;
  wr_worker_init(&worker, &waker.waker);
  struct letter a = letter_of('a', WR_PROGRESS_NONE), b = letter_of('b', WR_PROGRESS_MADE);
  wr_worker_attach(&worker, &a.steppable);
  wr_worker_attach(&worker, &b.steppable);
  wr_worker_take_arrivals(&worker);
  CHECK_INT(worker.count, 2);
  trace[0] = 0;
  uint64_t wake_at_ns = UINT64_MAX;
  CHECK_INT(wr_worker_step_one(&worker, 1, 0, &wake_at_ns), WR_PROGRESS_MADE);
  CHECK_INT(wr_worker_step_one(&worker, 0, 0, &wake_at_ns), WR_PROGRESS_NONE);
  CHECK_STRING(trace, "ba");
  b.answer = WR_PROGRESS_DONE;
  CHECK_INT(wr_worker_step_one(&worker, 1, 0, &wake_at_ns), WR_PROGRESS_DONE);
  CHECK_INT(worker.count, 1);
  CHECK(atomic_load(&b.steppable.detached));
  a.answer = WR_PROGRESS_DONE;
  CHECK_INT(wr_worker_step_one(&worker, 0, 0, &wake_at_ns), WR_PROGRESS_DONE);
  CHECK_INT(worker.count, 0);
}

TEST(mailbox_order) {
  struct wr_mailbox mailbox = {NULL};
  CHECK(wr_mailbox_take(&mailbox) == NULL);
  struct wr_message messages[3];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 3; i++)
      wr_mailbox_push(&mailbox, &messages[i]);
    const struct wr_message *taken = wr_mailbox_take(&mailbox);
    for (int i = 0; i < 3; i++, taken = taken->next)
      CHECK(taken == &messages[i]);
    CHECK(taken == NULL);
    CHECK(wr_mailbox_take(&mailbox) == NULL);
  }
}

/* ---- threads ---- */

enum { SENDERS = 3, SENT_BY_EACH = 200000 };

struct numbered {
  struct wr_message message;
  uint32_t sender, number;
};
struct sender {
  struct wr_thread thread;
  struct wr_mailbox *mailbox;
  struct wr_parker *receiver;
  struct numbered *messages;
  uint32_t number;
};
static void send_all(void *argument) {
  struct sender *self = argument;
  for (uint32_t i = 0; i < SENT_BY_EACH; i++) {
    self->messages[i].sender = self->number;
    self->messages[i].number = i;
    wr_mailbox_push(self->mailbox, &self->messages[i].message);
    self->receiver->waker.wake(&self->receiver->waker);
  }
}

TEST(mailbox_of_many_senders) {
  struct wr_mailbox mailbox = {NULL};
  struct wr_parker receiver;
  wr_parker_init(&receiver);
  static struct sender senders[SENDERS];
  for (uint32_t s = 0; s < SENDERS; s++) {
    senders[s] = (struct sender){.mailbox = &mailbox, .receiver = &receiver, .number = s};
    senders[s].messages = calloc(SENT_BY_EACH, sizeof *senders[s].messages);
    CHECK(senders[s].messages != NULL);
    CHECK_INT(wr_thread_start(&senders[s].thread, "sender", send_all, &senders[s], NULL), WEIR_OK);
  }
  uint32_t next[SENDERS] = {0}, total = 0;
  while (total < SENDERS * SENT_BY_EACH) {
    struct wr_message *message = wr_mailbox_take(&mailbox);
    if (message == NULL) wr_parker_wait(&receiver, WR_PARK_FOREVER);
    for (; message != NULL; message = message->next, total++) {
      const struct numbered *numbered = (struct numbered *)message;
      CHECK_INT(numbered->number, next[numbered->sender]++); /* each sender's own order is kept */
    }
  }
  for (uint32_t s = 0; s < SENDERS; s++) {
    wr_thread_join(&senders[s].thread);
    free(senders[s].messages);
  }
}

/* Each attacher attaches a steppable of its own, waits until it is detached, and uses its memory anew at once: the
 * worker must not touch it after `detached`. */
struct brief {
  struct wr_steppable steppable;
  int steps_left;
};
static enum wr_progress step_brief(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  (void)now_ns, (void)wake_at_ns;
  return --((struct brief *)steppable)->steps_left == 0 ? WR_PROGRESS_DONE : WR_PROGRESS_MADE;
}
struct attacher {
  struct wr_thread thread;
  struct wr_parker parker;
  struct wr_worker *worker;
  atomic_int *running;
};
static void attach_often(void *argument) {
  struct attacher *self = argument;
  for (int i = 0; i < 20000; i++) {
    struct brief *brief = malloc(sizeof *brief);
    if (brief == NULL) abort();
    *brief = (struct brief){.steppable = {.step = step_brief, .name = "brief", .owner = &self->parker.waker},
                            .steps_left = 1 + i % 3};
    wr_worker_attach(self->worker, &brief->steppable);
    while (!atomic_load_explicit(&brief->steppable.detached, memory_order_acquire))
      wr_parker_wait(&self->parker, WR_PARK_FOREVER);
    memset(brief, 0xee, sizeof *brief);
    free(brief);
  }
  atomic_fetch_sub(self->running, 1);
  self->worker->waker->wake(self->worker->waker);
}

TEST(attaching_from_many_threads) {
  struct wr_parker parker;
  wr_parker_init(&parker);
  struct wr_worker worker;
  wr_worker_init(&worker, &parker.waker);
  atomic_int running = SENDERS;
  static struct attacher attachers[SENDERS];
  for (uint32_t i = 0; i < SENDERS; i++) {
    attachers[i] = (struct attacher){.worker = &worker, .running = &running};
    wr_parker_init(&attachers[i].parker);
    CHECK_INT(wr_thread_start(&attachers[i].thread, "attacher", attach_often, &attachers[i], NULL), WEIR_OK);
  }
  while (atomic_load(&running) != 0) {
    uint64_t wake_at_ns = UINT64_MAX;
    if (wr_worker_round(&worker, 0, &wake_at_ns) == WR_PROGRESS_NONE) wr_parker_wait(&parker, WR_PARK_FOREVER);
  }
  for (uint32_t i = 0; i < SENDERS; i++)
    wr_thread_join(&attachers[i].thread);
  CHECK_INT(worker.count, 0);
}

TEST_MAIN(TEST_CASE(rounds), TEST_CASE(single_steps), TEST_CASE(mailbox_order), TEST_CASE(mailbox_of_many_senders),
          TEST_CASE(attaching_from_many_threads))
