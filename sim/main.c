/* sim/main.c: the simulator as a program: runs seeds, counts faults and events, prints how to replay a failing one.
 *
 *   sim --seeds N [--seed FIRST] [--processes P] [--minimum-of-each-kind M]     N seeds from FIRST (default: the clock)
 *   sim --seed S [--trace] [--verbose]                                     one seed
 *   ... --to-topic                                                         the rows of all go to a topic
 *
 * One seed in a hundred is run twice: its trace must be the same. With --stop-at-first all processes end at the first
 * seed that fails in any of them. Ends with "N passed, N failed". */
#include "sim/sim_run.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct arguments {
  uint64_t seed, seeds, processes, minimum;
  bool has_seed, trace, verbose, stop_at_first, to_topic;
};

/* What the processes of one run share. */
struct shared {
  _Atomic uint64_t begun; /* seeds */
  atomic_bool failed;     /* a seed of any process */
};

struct totals {
  uint64_t passed, failed, violations_shown;
  uint64_t faults[SIM_FAULT_COUNT];
  uint64_t events[SIM_EVENT_COUNT];
  uint64_t records, file_operations, steps;
};

enum { EVERY_HOW_MANY_TWICE = 100, FAILURES_MAX = 20 };

static void add(struct totals *totals, const struct sim_run_report *report) {
  for (int i = 0; i < SIM_FAULT_COUNT; i++)
    totals->faults[i] += report->faults[i];
  for (int i = 0; i < SIM_EVENT_COUNT; i++)
    totals->events[i] += report->events[i];
  totals->records += report->records;
  totals->file_operations += report->file_operations;
  totals->steps += report->steps;
}

static void run_seed(const struct arguments *arguments, uint64_t seed, struct totals *totals) {
  struct sim_run_options options = {.seed = seed,
                                    .trace = arguments->trace ? stdout : NULL,
                                    .verbose = arguments->verbose,
                                    .to_topic = arguments->to_topic};
  struct sim_run_report report, again;
  bool good = sim_run(&options, &report);
  if (good && seed % EVERY_HOW_MANY_TWICE == 0) {
    good = sim_run(&options, &again);
    if (good && again.trace_hash != report.trace_hash) {
      snprintf(report.violation, sizeof report.violation, "the same seed gave another trace");
      good = false;
    }
  }
  add(totals, &report);
  *(good ? &totals->passed : &totals->failed) += 1;
  if (!good)
    fprintf(stderr, "seed %" PRIu64 ": %s\n  replay: build/release/sim --seed %" PRIu64 " --verbose%s\n", seed,
            report.violation, seed, arguments->to_topic ? " --to-topic" : "");
}

static struct totals run_share(const struct arguments *arguments, struct shared *shared, uint64_t share) {
  struct totals totals = {0};
  for (uint64_t i = share; i < arguments->seeds && totals.failed < FAILURES_MAX; i += arguments->processes) {
    if (arguments->stop_at_first && atomic_load(&shared->failed)) break;
    atomic_fetch_add(&shared->begun, 1);
    run_seed(arguments, arguments->seed + i, &totals);
    if (totals.failed != 0) atomic_store(&shared->failed, true);
  }
  return totals;
}

static struct shared *make_shared(void) {
  void *memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  return memory;
}

/* Until all have ended; what they wrote waits in their pipes. */
static void wait_for_all(struct shared *shared) {
  int status;
  while (wait(&status) > 0)
    if (status != 0) atomic_store(&shared->failed, true);
}

/* Each share in a process of its own; a process that crashes counts as one failure. */
static struct totals run_processes(const struct arguments *arguments, struct shared *shared) {
  struct totals sum = {0};
  int pipes[64][2];
  for (uint64_t p = 0; p < arguments->processes; p++) {
    if (pipe(pipes[p]) != 0) abort();
    pid_t pid = fork();
    if (pid == 0) {
      struct totals totals = run_share(arguments, shared, p);
      ssize_t written = write(pipes[p][1], &totals, sizeof totals);
      _exit(written == (ssize_t)sizeof totals ? 0 : 1);
    }
    close(pipes[p][1]);
  }
  wait_for_all(shared);
  for (uint64_t p = 0; p < arguments->processes; p++) {
    struct totals totals = {0};
    if (read(pipes[p][0], &totals, sizeof totals) != (ssize_t)sizeof totals) {
      fprintf(stderr,
              "a process of the simulator crashed; its seeds: --seed %" PRIu64 " and every %" PRIu64 "th after\n",
              arguments->seed + p, arguments->processes);
      totals = (struct totals){.failed = 1};
    }
    close(pipes[p][0]);
    sum.passed += totals.passed;
    sum.failed += totals.failed;
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
      sum.faults[i] += totals.faults[i];
    for (int i = 0; i < SIM_EVENT_COUNT; i++)
      sum.events[i] += totals.events[i];
    sum.records += totals.records;
    sum.file_operations += totals.file_operations;
    sum.steps += totals.steps;
  }
  return sum;
}

static void check_minimum(const char *text, uint64_t count, uint64_t minimum, struct totals *totals) {
  printf("  %-46s %10" PRIu64 "%s\n", text, count, count < minimum ? "   TOO FEW" : "");
  if (count < minimum) totals->failed++;
}

static void print_totals(const struct arguments *arguments, struct totals *totals) {
  printf("seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " records, %" PRIu64 " steps, %" PRIu64 " file operations\n",
         arguments->seed, arguments->seed + arguments->seeds - 1, totals->records, totals->steps,
         totals->file_operations);
  for (int i = 0; i < SIM_EVENT_COUNT; i++)
    check_minimum(sim_event_text((enum sim_event)i), totals->events[i],
                  i == SIM_EVENT_TOO_HIGH ? 0 : arguments->minimum, totals); /* an outcome, not a thing that befell */
  for (int i = 0; i < SIM_FAULT_COUNT; i++)
    if (i != SIM_FAULT_ORDERED_ERROR)
      check_minimum(sim_fault_text((enum sim_fault)i), totals->faults[i], arguments->minimum, totals);
}

static bool parse(int argc, char **argv, struct arguments *out) {
  *out = (struct arguments){.seeds = 1, .processes = 1};
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "--trace") == 0)
      out->trace = true;
    else if (strcmp(argv[i], "--verbose") == 0)
      out->verbose = true;
    else if (strcmp(argv[i], "--stop-at-first") == 0)
      out->stop_at_first = true;
    else if (strcmp(argv[i], "--to-topic") == 0)
      out->to_topic = true;
    else if (value == NULL)
      return false;
    else if (strcmp(argv[i], "--seed") == 0)
      out->seed = strtoull(argv[++i], NULL, 0), out->has_seed = true;
    else if (strcmp(argv[i], "--seeds") == 0)
      out->seeds = strtoull(argv[++i], NULL, 0);
    else if (strcmp(argv[i], "--processes") == 0)
      out->processes = strtoull(argv[++i], NULL, 0);
    else if (strcmp(argv[i], "--minimum-of-each-kind") == 0)
      out->minimum = strtoull(argv[++i], NULL, 0);
    else
      return false;
  }
  return out->processes >= 1 && out->processes <= 64;
}

int main(int argc, char **argv) {
  struct arguments arguments;
  if (!parse(argc, argv, &arguments)) {
    fprintf(stderr, "usage: sim [--seeds N] [--seed FIRST] [--processes P] [--minimum-of-each-kind M] "
                    "[--stop-at-first] [--to-topic] [--trace] [--verbose]\n");
    return 2;
  }
  if (!arguments.has_seed) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    arguments.seed = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
  }
  struct shared *shared = make_shared();
  struct totals totals = arguments.processes > 1 ? run_processes(&arguments, shared) : run_share(&arguments, shared, 0);
  if (arguments.stop_at_first)
    printf("%" PRIu64 " seeds were begun\n", atomic_load(&shared->begun));
  else if (!arguments.trace)
    print_totals(&arguments, &totals);
  printf("%" PRIu64 " passed, %" PRIu64 " failed\n", totals.passed, totals.failed);
  return totals.failed != 0;
}
