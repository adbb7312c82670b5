/* os/thread_calls.c: see thread_calls.h. One lock, one condition; a thread holds no lock while a call runs. */
#include "os/thread_calls.h"

static struct wr_call *take_call(struct wr_thread_calls *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->idle++;
  while (pool->first == NULL && !pool->ending)
    pthread_cond_wait(&pool->changed, &pool->lock);
  pool->idle--;
  struct wr_call *call = pool->first;
  if (call != NULL) {
    pool->first = call->next;
    if (pool->first == NULL) pool->last = NULL;
    pool->queued--;
  }
  pthread_mutex_unlock(&pool->lock);
  return call;
}

static void run_calls(void *argument) {
  struct wr_thread_calls *pool = argument;
  struct wr_call *call;
  while ((call = take_call(pool)) != NULL) {
    call->run(call);
    wr_call_finish(call);
  }
}

/* With the lock held. */
static enum weir_code add_thread(struct wr_thread_calls *pool, struct weir_error *error) {
  WR_TRY(wr_thread_start(&pool->threads[pool->thread_count], "weir-call", run_calls, pool, error));
  pool->thread_count++;
  return WEIR_OK;
}

static void submit(struct wr_calls *calls, struct wr_call *call) {
  struct wr_thread_calls *pool = (struct wr_thread_calls *)calls;
  call->next = NULL;
  pthread_mutex_lock(&pool->lock);
  WR_ASSERT(!pool->ending);
  if (pool->last != NULL)
    pool->last->next = call;
  else
    pool->first = call;
  pool->last = call;
  pool->queued++;
  /* An idle thread that was signalled counts as idle until it runs, and its call as queued, so the comparison holds. A
   * thread that cannot be had is no error: those that are there take the call later. */
  if (pool->queued > pool->idle && pool->thread_count < WR_CALL_THREADS_MAX) (void)add_thread(pool, NULL);
  pthread_cond_signal(&pool->changed);
  pthread_mutex_unlock(&pool->lock);
}

/* Handles are closed by their owners; only a simulated kill leaves one behind. */
static void adopt(struct wr_calls *calls, void *handle, void (*release)(void *handle)) {
  (void)calls;
  (void)handle;
  (void)release;
}

static void disown(struct wr_calls *calls, void *handle) {
  (void)calls;
  (void)handle;
}

enum weir_code wr_thread_calls_init(struct wr_thread_calls *pool, struct weir_error *error) {
  *pool = (struct wr_thread_calls){.calls = {.submit = submit, .adopt = adopt, .disown = disown}};
  WR_ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
  WR_ASSERT(pthread_cond_init(&pool->changed, NULL) == 0);
  pthread_mutex_lock(&pool->lock);
  enum weir_code code = add_thread(pool, error);
  pthread_mutex_unlock(&pool->lock);
  if (code != WEIR_OK) {
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
  }
  return code;
}

void wr_thread_calls_deinit(struct wr_thread_calls *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->ending = true;
  pthread_cond_broadcast(&pool->changed);
  pthread_mutex_unlock(&pool->lock);
  for (size_t i = 0; i < pool->thread_count; i++)
    wr_thread_join(&pool->threads[i]);
  pthread_cond_destroy(&pool->changed);
  pthread_mutex_destroy(&pool->lock);
}
