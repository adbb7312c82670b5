/* os/thread.h: threads. All threads of weir are started here, with every signal blocked, so that signals reach only the
 * program's own thread. */
#ifndef WR_OS_THREAD_H
#define WR_OS_THREAD_H

#include "base/error.h"

#include <pthread.h>

struct wr_thread {
  pthread_t handle;
  void (*run)(void *argument); /* the thread is this call */
  void *argument;              /* the caller's */
  char name[16];               /* as the system's tools show it; cut to 15 characters */
};

/* `thread` stays where it is until wr_thread_join. */
enum weir_code wr_thread_start(struct wr_thread *thread, const char *name, void (*run)(void *argument), void *argument,
                               struct weir_error *error);
/* Waits until `run` has returned; what it wrote is seen after it. */
void wr_thread_join(struct wr_thread *thread);
/* How many cores this process may run on; at least 1. */
int wr_core_count(void);

#endif
