/* os/thread.c: pthreads behind thread.h. */
#include "os/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *thread_main(void *argument) {
  struct wr_thread *thread = argument;
  pthread_setname_np(pthread_self(), thread->name);
  thread->run(thread->argument);
  return NULL;
}

enum weir_code wr_thread_start(struct wr_thread *thread, const char *name, void (*run)(void *argument), void *argument,
                               struct weir_error *error) {
  thread->run = run;
  thread->argument = argument;
  snprintf(thread->name, sizeof thread->name, "%s", name);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* The new thread inherits it. */
  int number = pthread_create(&thread->handle, NULL, thread_main, thread);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (number == 0) return WEIR_OK;
  char buffer[128];
  return WR_FAIL(error, WEIR_NO_MEMORY, "cannot start the thread %s: %s (see ulimit -u and the memory left)", name,
                 strerror_r(number, buffer, sizeof buffer));
}

void wr_thread_join(struct wr_thread *thread) {
  WR_ASSERT(pthread_join(thread->handle, NULL) == 0);
}

int wr_core_count(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
  /* More cores than the set has bits for. */
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int)count : 1;
}
