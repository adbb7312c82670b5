/* runtime/threads.h: the host of production: one thread per worker, parked when its steppables have nothing to do. */
#ifndef WR_RUNTIME_THREADS_H
#define WR_RUNTIME_THREADS_H

#include "runtime/worker.h"

struct wr_threads;

/* Starts `count` workers. `host` is filled and stays valid until free. */
enum weir_code wr_threads_new(struct wr_seams *seams, uint32_t count, struct wr_threads **out_threads,
                              struct wr_host *out_host, struct weir_error *error);
/* Every steppable must be detached. Joins the threads. NULL is fine. */
void wr_threads_free(struct wr_threads *threads);

#endif
