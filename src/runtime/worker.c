/* runtime/worker.c: see worker.h. The stacks of arrivals and of messages are the same: many push with a compare and
 * exchange, one takes the whole stack with an exchange and turns it round, so that no node is ever taken alone and none
 * can come back under a pusher's eyes.
 */
#include "runtime/worker.h"

#include "base/error.h"

void wr_worker_init(struct wr_worker *worker, struct wr_waker *waker) {
  worker->waker = waker;
  atomic_init(&worker->arrivals, NULL);
  worker->steppables = NULL;
  worker->count = 0;
}

void wr_worker_attach(struct wr_worker *worker, struct wr_steppable *steppable) {
  atomic_store_explicit(&steppable->detached, false, memory_order_relaxed);
  struct wr_waker *waker = worker->waker;
  struct wr_steppable *head = atomic_load_explicit(&worker->arrivals, memory_order_relaxed);
  do {
    steppable->next = head;
  } while (!atomic_compare_exchange_weak_explicit(&worker->arrivals, &head, steppable, memory_order_release,
                                                  memory_order_relaxed));
  waker->wake(waker);
}

void wr_worker_take_arrivals(struct wr_worker *worker) {
  if (atomic_load_explicit(&worker->arrivals, memory_order_relaxed) == NULL) return;
  struct wr_steppable *newest = atomic_exchange_explicit(&worker->arrivals, NULL, memory_order_acquire);
  struct wr_steppable *oldest = NULL;
  while (newest != NULL) {
    struct wr_steppable *before = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = before;
    worker->count++;
  }
  struct wr_steppable **end = &worker->steppables;
  while (*end != NULL)
    end = &(*end)->next;
  *end = oldest;
}

/* Steps *link; afterwards *link is the next one where it detached itself. */
static enum wr_progress step_link(struct wr_worker *worker, struct wr_steppable **link, uint64_t now_ns,
                                  uint64_t *wake_at_ns) {
  struct wr_steppable *steppable = *link;
  enum wr_progress progress = steppable->step(steppable, now_ns, wake_at_ns);
  if (progress != WR_PROGRESS_DONE) return progress;
  *link = steppable->next;
  worker->count--;
  struct wr_waker *owner = steppable->owner;
  atomic_store_explicit(&steppable->detached, true, memory_order_release);
  if (owner != NULL) owner->wake(owner);
  return progress;
}

enum wr_progress wr_worker_round(struct wr_worker *worker, uint64_t now_ns, uint64_t *wake_at_ns) {
  wr_worker_take_arrivals(worker);
  enum wr_progress result = WR_PROGRESS_NONE;
  for (struct wr_steppable **link = &worker->steppables; *link != NULL;) {
    enum wr_progress progress = step_link(worker, link, now_ns, wake_at_ns);
    if (progress != WR_PROGRESS_NONE) result = WR_PROGRESS_MADE;
    if (progress != WR_PROGRESS_DONE) link = &(*link)->next;
  }
  return result;
}

enum wr_progress wr_worker_step_one(struct wr_worker *worker, uint32_t n, uint64_t now_ns, uint64_t *wake_at_ns) {
  wr_worker_take_arrivals(worker);
  WR_ASSERT(n < worker->count);
  struct wr_steppable **link = &worker->steppables;
  while (n-- != 0)
    link = &(*link)->next;
  return step_link(worker, link, now_ns, wake_at_ns);
}

void wr_mailbox_push(struct wr_mailbox *mailbox, struct wr_message *message) {
  struct wr_message *head = atomic_load_explicit(&mailbox->head, memory_order_relaxed);
  do {
    message->next = head;
  } while (!atomic_compare_exchange_weak_explicit(&mailbox->head, &head, message, memory_order_release,
                                                  memory_order_relaxed));
}

struct wr_message *wr_mailbox_take(struct wr_mailbox *mailbox) {
  if (atomic_load_explicit(&mailbox->head, memory_order_relaxed) == NULL) return NULL;
  struct wr_message *newest = atomic_exchange_explicit(&mailbox->head, NULL, memory_order_acquire);
  struct wr_message *oldest = NULL;
  while (newest != NULL) {
    struct wr_message *before = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = before;
  }
  return oldest;
}
