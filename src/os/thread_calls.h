/* os/thread_calls.h: the calls seam over a pool of threads.
 *
 * Calls may block for long (a busy database, a slow disk), so the pool grows with them: a call that finds no idle
 * thread gets a new one, up to the limit; beyond it, or where the system gives no more threads, it waits its turn.
 * Calls start in the order of submission. Threads that were started stay until the end. submit: any thread.
 */
#ifndef WR_OS_THREAD_CALLS_H
#define WR_OS_THREAD_CALLS_H

#include "os/seams.h"
#include "os/thread.h"

enum { WR_CALL_THREADS_MAX = 32 };

struct wr_thread_calls {
  struct wr_calls calls;
  pthread_mutex_t lock;         /* of everything below */
  pthread_cond_t changed;       /* the queue or `ending` */
  struct wr_call *first, *last; /* submitted, not yet started */
  size_t queued;                /* calls from `first` on */
  size_t idle;                  /* threads that wait for a call */
  size_t thread_count;          /* of `threads`; they stay until deinit */
  bool ending;                  /* deinit has begun: threads leave once the queue is empty */
  struct wr_thread threads[WR_CALL_THREADS_MAX];
};

/* Starts the first thread; that can fail, submit cannot. */
enum weir_code wr_thread_calls_init(struct wr_thread_calls *pool, struct weir_error *error);
/* Waits for every call that was submitted. Nobody submits any more. */
void wr_thread_calls_deinit(struct wr_thread_calls *pool);

#endif
