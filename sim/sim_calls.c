/* sim/sim_calls.c: calls on coroutines, and the kill; declared in sim_world.h and sim_internal.h.
 *
 * A coroutine is a stack of 512 KiB with a page before it that may not be touched, and a ucontext. The world resumes
 * coroutines; they hand over to the world, never to each other. A coroutine that has done its job waits for the next
 * one; all end with the world. AddressSanitizer is told of every switch. One thread. */
#include "sim/sim_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SIM_ASAN 1
#endif
#ifdef SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_BYTES = 512 * 1024, GUARD_BYTES = 4096 };

/* Work for a coroutine: a call of the engine, or a function of the harness. */
struct sim_job {
  struct wr_call *call; /* NULL: */
  void (*run)(void *context);
  void *context;
  bool *done; /* of a function: set at its end; NULL: nobody asks any more */
  uint64_t serial;
  struct sim_job *next;
};

enum step { GOES_ON, JOB_DONE };

struct sim_coroutine {
  struct sim_world *world;
  struct sim_coroutine *next; /* all coroutines of the world */
  struct sim_job *job;        /* NULL: waits for one */
  uint64_t generation;        /* of its job */
  enum step step;             /* said when it hands over */
  bool begun;                 /* its job has */
  bool quit;                  /* told to end */
  ucontext_t context, world_context;
  unsigned char *stack; /* the guard page, then the stack */
  void *fake_stack, *world_fake_stack;
  const void *world_bottom;
  size_t world_bytes;
};

/* ---- switching ---- */

static void switch_to_coroutine(struct sim_world *world, struct sim_coroutine *coroutine) {
  WR_ASSERT(world->current == NULL);
  world->current = coroutine;
#ifdef SIM_ASAN
  __sanitizer_start_switch_fiber(&coroutine->world_fake_stack, coroutine->stack + GUARD_BYTES, STACK_BYTES);
#endif
  WR_ASSERT(swapcontext(&coroutine->world_context, &coroutine->context) == 0);
#ifdef SIM_ASAN
  __sanitizer_finish_switch_fiber(coroutine->world_fake_stack, NULL, NULL);
#endif
  world->current = NULL;
}

static void switch_to_world(struct sim_coroutine *coroutine) {
#ifdef SIM_ASAN
  __sanitizer_start_switch_fiber(coroutine->quit ? NULL : &coroutine->fake_stack, coroutine->world_bottom,
                                 coroutine->world_bytes);
#endif
  WR_ASSERT(swapcontext(&coroutine->context, &coroutine->world_context) == 0);
#ifdef SIM_ASAN
  __sanitizer_finish_switch_fiber(coroutine->fake_stack, &coroutine->world_bottom, &coroutine->world_bytes);
#endif
}

static void coroutine_main(unsigned low, unsigned high) {
  struct sim_coroutine *coroutine = (struct sim_coroutine *)((uintptr_t)high << 32 | low);
#ifdef SIM_ASAN
  __sanitizer_finish_switch_fiber(NULL, &coroutine->world_bottom, &coroutine->world_bytes);
#endif
  while (!coroutine->quit) {
    struct sim_job *job = coroutine->job;
    coroutine->begun = true;
    if (job->call != NULL)
      job->call->run(job->call);
    else
      job->run(job->context);
    coroutine->step = JOB_DONE;
    switch_to_world(coroutine);
  }
  switch_to_world(coroutine);
}

static struct sim_coroutine *coroutine_new(struct sim_world *world) {
  struct sim_coroutine *coroutine = sim_host_alloc(sizeof *coroutine);
  coroutine->world = world;
  coroutine->stack =
      mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  WR_ASSERT(coroutine->stack != MAP_FAILED && mprotect(coroutine->stack, GUARD_BYTES, PROT_NONE) == 0);
  WR_ASSERT(getcontext(&coroutine->context) == 0);
  coroutine->context.uc_stack.ss_sp = coroutine->stack + GUARD_BYTES;
  coroutine->context.uc_stack.ss_size = STACK_BYTES;
  coroutine->context.uc_link = NULL;
  uintptr_t address = (uintptr_t)coroutine;
  makecontext(&coroutine->context, (void (*)(void))coroutine_main, 2, (unsigned)address, (unsigned)(address >> 32));
  coroutine->context.uc_stack.ss_size = 0; /* else AddressSanitizer wipes what it knows of the stack at each switch */
  coroutine->next = world->coroutines;
  world->coroutines = coroutine;
  return coroutine;
}

static void coroutine_free(struct sim_world *world, struct sim_coroutine *coroutine) {
  WR_ASSERT(coroutine->job == NULL);
  coroutine->quit = true;
  switch_to_coroutine(world, coroutine);
#ifdef SIM_ASAN
  __asan_unpoison_memory_region(coroutine->stack + GUARD_BYTES, STACK_BYTES);
#endif
  munmap(coroutine->stack, GUARD_BYTES + STACK_BYTES);
  free(coroutine);
}

/* ---- jobs ---- */

static void job_start(struct sim_world *world, struct sim_job *job) {
  struct sim_coroutine *coroutine = world->coroutines;
  while (coroutine != NULL && coroutine->job != NULL)
    coroutine = coroutine->next;
  if (coroutine == NULL) coroutine = coroutine_new(world);
  coroutine->job = job;
  coroutine->generation = world->generation;
  coroutine->begun = false;
  coroutine->step = GOES_ON;
  world->running++;
  uint64_t delay_ns = world->options.fast_disk ? 1 : sim_draw_between(&world->schedule_random, 500, 50000);
  sim_event_add(world, (struct sim_event){.at_ns = world->now_ns + delay_ns, .coroutine = coroutine});
}

static void job_add(struct sim_world *world, struct sim_job job) {
  struct sim_job *added = sim_host_alloc(sizeof *added);
  *added = job;
  added->serial = ++world->job_serial;
  sim_world_trace(world, "call %" PRIu64 " submitted", added->serial);
  if (world->running < world->options.threads) {
    job_start(world, added);
    return;
  }
  *world->waiting_end = added;
  world->waiting_end = &added->next;
  world->waiting_count++;
}

static struct sim_job *waiting_take(struct sim_world *world) {
  struct sim_job *job = world->waiting;
  if (job == NULL) return NULL;
  world->waiting = job->next;
  if (world->waiting == NULL) world->waiting_end = &world->waiting;
  world->waiting_count--;
  return job;
}

/* Nobody of a killed generation is told of anything. */
static void job_end(struct sim_world *world, struct sim_coroutine *coroutine) {
  struct sim_job *job = coroutine->job;
  bool dead = coroutine->generation != world->generation;
  coroutine->job = NULL;
  world->running--;
  sim_world_trace(world, "call %" PRIu64 " %s", job->serial, dead ? "cut" : "done");
  struct sim_job *next = dead ? NULL : waiting_take(world);
  if (next != NULL) job_start(world, next);
  if (!dead && job->done != NULL) *job->done = true;
  if (!dead && job->call != NULL) wr_call_finish(job->call);
  free(job);
}

void sim_coroutine_resume(struct sim_world *world, struct sim_coroutine *coroutine) {
  switch_to_coroutine(world, coroutine);
  if (coroutine->step == JOB_DONE) job_end(world, coroutine);
}

void sim_coroutine_sleep(struct sim_world *world, uint64_t delay_ns) {
  struct sim_coroutine *coroutine = world->current;
  WR_ASSERT(coroutine != NULL);
  if (sim_is_dead(world)) return;
  sim_event_add(world, (struct sim_event){.at_ns = world->now_ns + delay_ns, .coroutine = coroutine});
  switch_to_world(coroutine);
}

void sim_coroutine_crash(struct sim_world *world) {
  world->crashed = true;
  switch_to_world(world->current);
  WR_ASSERT(sim_is_dead(world));
}

bool sim_is_dead(const struct sim_world *world) {
  if (world->killing) return true;
  return world->current != NULL && world->current->generation != world->generation;
}

/* ---- the table ---- */

static void calls_submit(struct wr_calls *calls, struct wr_call *call) {
  struct sim_world *world = SIM_WORLD_OF(calls, calls);
  if (!sim_is_dead(world)) job_add(world, (struct sim_job){.call = call});
}

static void calls_adopt(struct wr_calls *calls, void *handle, void (*release)(void *handle)) {
  struct sim_world *world = SIM_WORLD_OF(calls, calls);
  if (world->adopted_count == world->adopted_capacity) {
    world->adopted_capacity = world->adopted_capacity == 0 ? 8 : world->adopted_capacity * 2;
    world->adopted = sim_host_resize(world->adopted, world->adopted_capacity * sizeof *world->adopted);
  }
  world->adopted[world->adopted_count++] = (struct sim_adopted){.handle = handle, .release = release};
}

static void calls_disown(struct wr_calls *calls, void *handle) {
  struct sim_world *world = SIM_WORLD_OF(calls, calls);
  size_t place = 0;
  while (place < world->adopted_count && world->adopted[place].handle != handle)
    place++;
  WR_ASSERT(place < world->adopted_count);
  world->adopted_count--;
  memmove(world->adopted + place, world->adopted + place + 1, (world->adopted_count - place) * sizeof *world->adopted);
}

void sim_calls_init(struct sim_world *world) {
  world->waiting_end = &world->waiting;
  world->calls = (struct wr_calls){.submit = calls_submit, .adopt = calls_adopt, .disown = calls_disown};
}

void sim_calls_deinit(struct sim_world *world) {
  WR_ASSERT(world->adopted_count == 0); /* else a clean end forgot to disown, or there was none and no kill */
  for (struct sim_coroutine *coroutine = world->coroutines, *next; coroutine != NULL; coroutine = next) {
    next = coroutine->next;
    coroutine_free(world, coroutine);
  }
  free(world->adopted);
}

uint64_t sim_world_calls_in_flight(const struct sim_world *world) {
  return world->running + world->waiting_count;
}

bool sim_world_run(struct sim_world *world, void (*run)(void *context), void *context) {
  bool done = false;
  job_add(world, (struct sim_job){.run = run, .context = context, .done = &done});
  while (!done && sim_world_advance(world))
    ;
  WR_ASSERT(done || world->crashed);
  return done;
}

/* ---- the kill ---- */

/* Runs what has begun to its end; what has not begun never begins. */
static void cut_calls(struct sim_world *world) {
  sim_events_drop_coroutines(world);
  for (struct sim_job *job; (job = waiting_take(world)) != NULL;) {
    sim_world_trace(world, "call %" PRIu64 " dropped", job->serial);
    world->fault_counts[SIM_FAULT_CALL_CUT]++;
    free(job);
  }
  for (struct sim_coroutine *coroutine = world->coroutines; coroutine != NULL; coroutine = coroutine->next) {
    if (coroutine->job == NULL) continue;
    world->fault_counts[SIM_FAULT_CALL_CUT]++;
    if (coroutine->begun)
      sim_coroutine_resume(world, coroutine);
    else
      job_end(world, coroutine);
    WR_ASSERT(coroutine->job == NULL); /* a dead coroutine never hands over before its end */
  }
  WR_ASSERT(sim_world_calls_in_flight(world) == 0);
}

void sim_world_kill(struct sim_world *world, enum sim_kill kill) {
  WR_ASSERT(world->current == NULL && world->direct == 0);
  world->fault_counts[kill == SIM_KILL_POWER ? SIM_FAULT_POWER_CUT : SIM_FAULT_PROCESS_KILL]++;
  sim_world_trace(world, "%s of generation %" PRIu64, kill == SIM_KILL_POWER ? "power cut" : "kill", world->generation);
  world->generation++;
  world->crashed = false;
  world->crash_at = 0;
  world->dead_operations = 0;
  world->killing = true;
  cut_calls(world);
  while (world->adopted_count > 0) {
    struct sim_adopted adopted = world->adopted[--world->adopted_count];
    adopted.release(adopted.handle);
  }
  sim_sqlite_forget(world);
  sim_files_drop(world, false);
  world->killing = false;
  if (kill == SIM_KILL_POWER) sim_model_power_cut(&world->model, &world->power_random);
}
