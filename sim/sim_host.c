/* sim/sim_host.c: see sim_host.h. One thread. */
#include "sim/sim_host.h"

#include <string.h>

static void wake(struct wr_waker *waker) {
  ((struct sim_host_waker *)waker)->woken = true;
}

void sim_host_init(struct sim_host *host, struct sim_world *world, uint32_t workers, uint64_t seed) {
  WR_ASSERT(workers >= 1 && workers <= SIM_HOST_WORKERS_MAX);
  memset(host, 0, sizeof *host);
  host->world = world;
  host->random = wr_random_of(seed);
  host->host.workers = host->workers;
  host->host.worker_count = workers;
  host->step_ns_max = 50 * 1000;
  for (uint32_t w = 0; w < workers; w++) {
    host->wakers[w].waker.wake = wake;
    host->wakers[w].woken = true;
    host->wake_at_ns[w] = UINT64_MAX;
    wr_worker_init(&host->workers[w], &host->wakers[w].waker);
  }
}

void sim_host_hold(struct sim_host *host, const char *name, uint64_t until_ns) {
  struct sim_host_hold *place = NULL;
  for (size_t i = 0; i < SIM_HOST_HOLDS_MAX; i++) {
    if (strcmp(host->holds[i].name, name) == 0) place = &host->holds[i];
    if (place == NULL && host->holds[i].name[0] == 0) place = &host->holds[i];
  }
  if (place == NULL) return;
  size_t length = strlen(name) < sizeof place->name ? strlen(name) : sizeof place->name - 1;
  memcpy(place->name, name, length);
  place->name[length] = 0;
  place->until_ns = until_ns;
  if (until_ns <= sim_world_now_ns(host->world)) place->name[0] = 0;
}

/* When the steppable may be stepped again; 0: now. */
static uint64_t held_until(struct sim_host *host, const struct wr_steppable *steppable, uint64_t now_ns) {
  for (size_t i = 0; i < SIM_HOST_HOLDS_MAX; i++) {
    if (host->holds[i].name[0] == 0) continue;
    if (host->holds[i].until_ns <= now_ns) {
      host->holds[i].name[0] = 0;
      continue;
    }
    if (strcmp(host->holds[i].name, steppable->name) == 0) return host->holds[i].until_ns;
  }
  return 0;
}

/* A worker that was woken, or whose time has come, looks at all its steppables again. */
static void refresh(struct sim_host *host, uint32_t w, uint64_t now_ns) {
  struct wr_worker *worker = &host->workers[w];
  bool arrived = atomic_load(&worker->arrivals) != NULL;
  if (!host->wakers[w].woken && host->wake_at_ns[w] > now_ns && !arrived) return;
  host->wakers[w].woken = false;
  host->wake_at_ns[w] = UINT64_MAX;
  wr_worker_take_arrivals(worker);
  WR_ASSERT(worker->count <= SIM_HOST_STEPPABLES_MAX);
  memset(host->idle[w], 0, sizeof host->idle[w]);
}

struct candidate {
  uint32_t worker, index;
};

static struct wr_steppable *steppable_at(struct wr_worker *worker, uint32_t index) {
  struct wr_steppable *steppable = worker->steppables;
  while (index-- > 0)
    steppable = steppable->next;
  return steppable;
}

static uint32_t collect(struct sim_host *host, uint64_t now_ns, struct candidate *out, uint64_t *out_next_ns) {
  uint32_t count = 0;
  *out_next_ns = UINT64_MAX;
  for (uint32_t w = 0; w < host->host.worker_count; w++) {
    refresh(host, w, now_ns);
    if (host->wake_at_ns[w] < *out_next_ns) *out_next_ns = host->wake_at_ns[w];
    struct wr_steppable *steppable = host->workers[w].steppables;
    for (uint32_t i = 0; i < host->workers[w].count; i++, steppable = steppable->next) {
      if (host->idle[w][i]) continue;
      uint64_t held_ns = held_until(host, steppable, now_ns);
      if (held_ns == 0)
        out[count++] = (struct candidate){w, i};
      else if (held_ns < *out_next_ns)
        *out_next_ns = held_ns;
    }
  }
  return count;
}

static void step_one(struct sim_host *host, struct candidate chosen, uint64_t now_ns) {
  struct wr_worker *worker = &host->workers[chosen.worker];
  const char *name = steppable_at(worker, chosen.index)->name;
  uint64_t wake_at_ns = UINT64_MAX;
  uint32_t before = worker->count;
  char copy[64];
  size_t length = strlen(name) < sizeof copy ? strlen(name) : sizeof copy - 1;
  memcpy(copy, name, length);
  copy[length] = 0;
  enum wr_progress progress = wr_worker_step_one(worker, chosen.index, now_ns, &wake_at_ns);
  host->steps++;
  if (wake_at_ns < host->wake_at_ns[chosen.worker]) host->wake_at_ns[chosen.worker] = wake_at_ns;
  if (progress == WR_PROGRESS_NONE && worker->count == before)
    host->idle[chosen.worker][chosen.index] = true;
  else
    memset(host->idle[chosen.worker], 0, sizeof host->idle[chosen.worker]);
  if (progress != WR_PROGRESS_DONE && wr_random_one_in(&host->random, host->hold_one_in)) {
    host->holds_made++;
    sim_host_hold(host, copy, now_ns + wr_random_below(&host->random, host->hold_ns_max + 1));
  }
}

bool sim_host_step(struct sim_host *host, uint64_t until_ns) {
  static const uint64_t nothing_ns = UINT64_MAX;
  struct candidate candidates[SIM_HOST_WORKERS_MAX * SIM_HOST_STEPPABLES_MAX];
  uint64_t now_ns = sim_world_now_ns(host->world);
  uint64_t next_ns = nothing_ns;
  uint32_t count = collect(host, now_ns, candidates, &next_ns);
  uint64_t event_ns = sim_world_next_event_ns(host->world);
  if (count != 0) {
    step_one(host, candidates[wr_random_below(&host->random, count)], now_ns);
    if (host->step_ns_max != 0) {
      uint64_t cost_ns = 1 + wr_random_below(&host->random, host->step_ns_max);
      sim_world_advance_to(host->world, now_ns + cost_ns);
    } else if (event_ns <= now_ns) {
      sim_world_advance(host->world);
    }
    return true;
  }
  if (event_ns <= next_ns && event_ns != nothing_ns) {
    if (event_ns > until_ns)
      sim_world_advance_to(host->world, until_ns);
    else
      sim_world_advance(host->world);
    return true;
  }
  if (next_ns == nothing_ns) return false;
  sim_world_advance_to(host->world, next_ns < until_ns ? next_ns : until_ns);
  return true;
}
