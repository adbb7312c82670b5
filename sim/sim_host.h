/* sim/sim_host.h: the host of the simulated world: all workers on one thread, in an order that the seed draws.
 *
 * A worker is stepped when it was woken, when its time has come, or when one of its steppables made progress: exactly
 * when a real thread would not be parked, so that a lost wake-up shows as a job that hangs. Among the steppables of all
 * such workers the next one is drawn at random. A step costs a little virtual time. A steppable can be held up for a
 * while (a slow or stuck task): by the plan at random, or by name for a scripted schedule.
 */
#ifndef WR_SIM_HOST_H
#define WR_SIM_HOST_H

#include "runtime/worker.h"
#include "sim/sim_world.h"

enum { SIM_HOST_WORKERS_MAX = 8, SIM_HOST_STEPPABLES_MAX = 256, SIM_HOST_HOLDS_MAX = 16 };

struct sim_host_hold {
  char name[64];     /* of the steppable */
  uint64_t until_ns; /* UINT64_MAX: until it is released */
};

struct sim_host {
  struct wr_host host;
  struct sim_world *world;
  struct wr_random random;
  struct wr_worker workers[SIM_HOST_WORKERS_MAX];
  struct sim_host_waker {
    struct wr_waker waker; /* first */
    bool woken;
  } wakers[SIM_HOST_WORKERS_MAX];
  bool idle[SIM_HOST_WORKERS_MAX]
           [SIM_HOST_STEPPABLES_MAX]; /* answered NONE since the worker last had a reason to look */
  uint64_t wake_at_ns[SIM_HOST_WORKERS_MAX];
  uint64_t step_ns_max; /* a step costs 1 to this many ns; 0: nothing */
  uint32_t hold_one_in; /* a step is followed by a hold of its steppable once in n; 0: never */
  uint64_t hold_ns_max;
  uint64_t holds_made;
  struct sim_host_hold holds[SIM_HOST_HOLDS_MAX];
  uint64_t steps;
};

void sim_host_init(struct sim_host *host, struct sim_world *world, uint32_t workers, uint64_t seed);
/* Holds up every steppable of this name; release by time 0. */
void sim_host_hold(struct sim_host *host, const char *name, uint64_t until_ns);
/* One step of one steppable, or, when none is due, time moves to the next event or wake-up, up to `until_ns`. False
 * when nothing can ever happen any more (no event, no wake-up): the job is over, or it hangs. */
bool sim_host_step(struct sim_host *host, uint64_t until_ns);

#endif
