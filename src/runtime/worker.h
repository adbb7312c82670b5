/* runtime/worker.h: who steps what: steppables (tasks, the job's master), workers, and the host that drives workers.
 *
 * A steppable does a bounded piece of work per step and says whether it made progress and when it wants to be called
 * again. A worker is a list of steppables stepped by one thread; it parks when none has work. The host owns the
 * workers: runtime/threads.h has one thread per worker; the simulator steps all workers on one thread in an order it
 * draws.
 *
 * A steppable is attached by anyone (lock-free list) and detaches itself by answering DONE: the worker then forgets it
 * and, as its last touch, sets `detached` and wakes `owner`.
 */
#ifndef WR_RUNTIME_WORKER_H
#define WR_RUNTIME_WORKER_H

#include "os/seams.h"

enum wr_progress {
  WR_PROGRESS_MADE, /* call again soon */
  WR_PROGRESS_NONE, /* nothing to do before the waker is called or *wake_at_ns comes */
  WR_PROGRESS_DONE  /* never call again */
};

struct wr_steppable {
  /* Lowers *wake_at_ns (monotonic) to the time it wants to be called at the latest. */
  enum wr_progress (*step)(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns);
  const char *name;       /* for the simulator's trace and the dump of a stuck job */
  struct wr_waker *owner; /* woken when detached; may be NULL */
  atomic_bool detached;
  struct wr_steppable *next; /* the worker's own */
};

struct wr_worker {
  struct wr_waker *waker;                  /* wakes this worker; the host's */
  _Atomic(struct wr_steppable *) arrivals; /* attached, not yet taken over (a stack) */
  struct wr_steppable *steppables;         /* in order of arrival */
  uint32_t count;
};

void wr_worker_init(struct wr_worker *worker, struct wr_waker *waker);
/* Any thread. */
void wr_worker_attach(struct wr_worker *worker, struct wr_steppable *steppable);
/* The worker's thread: takes over arrivals, then steps each steppable once. MADE when any made progress. */
enum wr_progress wr_worker_round(struct wr_worker *worker, uint64_t now_ns, uint64_t *wake_at_ns);
/* The worker's thread: takes over arrivals; then steps only the n-th (0 <= n < count). For the simulator. */
enum wr_progress wr_worker_step_one(struct wr_worker *worker, uint32_t n, uint64_t now_ns, uint64_t *wake_at_ns);
void wr_worker_take_arrivals(struct wr_worker *worker);

/* The workers an engine may use. */
struct wr_host {
  struct wr_worker *workers;
  uint32_t worker_count;
};

/* Messages: a lock-free stack that many push and one takes, in order of arrival. */
struct wr_message {
  struct wr_message *next;
};
struct wr_mailbox {
  _Atomic(struct wr_message *) head;
};
/* Any thread; the caller wakes the receiver afterwards. */
void wr_mailbox_push(struct wr_mailbox *mailbox, struct wr_message *message);
/* The receiver: all messages, oldest first, linked by next; NULL: none. */
struct wr_message *wr_mailbox_take(struct wr_mailbox *mailbox);

#endif
