/* tests/test_fault_loops.c: every allocation, every file operation, each failing once and for ever, each a crash point.
 *
 * A history (sim/sim_fault_run.h) is lived again and again, with the fault at the first point, the second, and so on,
 * until a run passes in which the point was not reached. `--share` says how many of the points are tried: `quick` (what
 * runs without arguments) a few percent, evenly spread, from a place that the seed gives; `test` all of the important
 * kinds; `deep` all. Points are shared out to processes; a process that dies names the point it died of, and the rest
 * goes on. A failure prints the command that repeats the one run.
 *
 *   test_fault_loops [--share quick|test|deep] [--processes P] [--loop NAME [--n N [--again M]]] [--trace] [--verbose]
 *
 * The seed of the history is always the same unless WEIR_TEST_SEED gives another. */
#include "api/api_int.h"
#include "sim/sim_disk.h"
#include "sim/sim_fault_run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
  PROCESSES_MAX = 16,
  FAILURES_MAX = 8,     /* of one loop: after so many it is given up */
  RUN_SECONDS_MAX = 60, /* of one run: after it, it hangs */
};

enum share_size { SHARE_QUICK, SHARE_TEST, SHARE_DEEP, SHARE_COUNT };
static const char *const share_texts[] = {"quick", "test", "deep"};

struct arguments {
  uint64_t seed, n, again, processes;
  enum share_size share;
  const char *loop; /* NULL: all */
  bool trace, verbose;
};

static const struct history {
  const char *name;
  struct sim_point base;
} histories[] = {{"pv", {.job = SIM_JOB_PV}},
                 {"seen", {.job = SIM_JOB_SEEN}},
                 {"folder", {.job = SIM_JOB_SEEN, .directory = true}},
                 {"topic-pv", {.job = SIM_JOB_PV, .topic = true}},
                 {"topic-seen", {.job = SIM_JOB_SEEN, .topic = true}},
                 {"to-topic-pv", {.job = SIM_JOB_PV, .to_topic = true}},
                 {"to-topic-seen", {.job = SIM_JOB_SEEN, .to_topic = true}},
                 {"to-server-pv", {.job = SIM_JOB_PV, .to_server = true}},
                 {"to-server-seen", {.job = SIM_JOB_SEEN, .to_server = true}}};
enum { HISTORIES = sizeof histories / sizeof histories[0] };

/* One loop: a kind of point in the history of a job; with `step`, each is followed by a crash some operations later. */
struct loop {
  char name[48];
  struct sim_point base; /* job and kind */
  uint64_t stride;       /* every so-many-th point */
  uint64_t step, limit;  /* behind it every so-many-th operation, up to the limit (0: to the end); 0: no crash */
};

/* Every so-many-th point, by share, for pv and for seen. */
static const uint64_t strides[SIM_POINT_COUNT][2][SHARE_COUNT] = {
    [SIM_POINT_MEMORY_ONCE] = {{97, 3, 1}, {197, 5, 1}},   [SIM_POINT_MEMORY_EVER] = {{97, 5, 1}, {197, 11, 1}},
    [SIM_POINT_SQLITE_ONCE] = {{197, 3, 1}, {397, 17, 1}}, [SIM_POINT_SQLITE_EVER] = {{397, 7, 1}, {797, 23, 1}},
    [SIM_POINT_IO_ONCE] = {{61, 1, 1}, {97, 1, 1}},        [SIM_POINT_IO_EVER] = {{61, 1, 1}, {97, 3, 1}},
    [SIM_POINT_SPACE_ONCE] = {{61, 1, 1}, {97, 3, 1}},     [SIM_POINT_SPACE_EVER] = {{97, 1, 1}, {97, 5, 1}},
    [SIM_POINT_KILL_BEFORE] = {{61, 1, 1}, {61, 1, 1}},    [SIM_POINT_KILL_AFTER] = {{61, 1, 1}, {61, 1, 1}},
    [SIM_POINT_POWER_BEFORE] = {{61, 1, 1}, {61, 1, 1}},   [SIM_POINT_POWER_AFTER] = {{61, 1, 1}, {61, 1, 1}},
};

/* The same for the loops with a crash behind each point: two crashes; an operation that fails, then a crash while what
 * it has left behind is being set right. */
static const struct {
  enum sim_point_kind kind;
  uint64_t strides[2][SHARE_COUNT], steps[SHARE_COUNT], limit;
} pairs[] = {
    {SIM_POINT_KILL_BEFORE, {{397, 61, 5}, {397, 97, 5}}, {97, 11, 5}, 0},
    {SIM_POINT_KILL_AFTER, {{397, 61, 5}, {397, 97, 5}}, {97, 11, 5}, 0},
    {SIM_POINT_POWER_BEFORE, {{397, 61, 5}, {397, 97, 5}}, {97, 11, 5}, 0},
    {SIM_POINT_POWER_AFTER, {{397, 61, 5}, {397, 97, 5}}, {97, 11, 5}, 0},
    {SIM_POINT_IO_ONCE, {{197, 6, 1}, {197, 6, 1}}, {41, 31, 3}, 150},
};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

/* The same where the log is a topic, or the rows go to one or to an SQL server: the client's allocations, its
 * operations, and what hangs on them. */
static const struct {
  enum sim_point_kind kind;
  uint64_t strides[2][SHARE_COUNT];
} topics[] = {
    {SIM_POINT_MEMORY_ONCE, {{97, 5, 1}, {197, 13, 1}}}, {SIM_POINT_MEMORY_EVER, {{97, 5, 1}, {197, 13, 1}}},
    {SIM_POINT_IO_ONCE, {{61, 3, 1}, {97, 5, 1}}},       {SIM_POINT_KILL_BEFORE, {{61, 3, 1}, {97, 5, 1}}},
    {SIM_POINT_KILL_AFTER, {{61, 3, 1}, {97, 5, 1}}},
};
enum { TOPICS = sizeof topics / sizeof topics[0] };

/* What a process tells its parent; in memory that they share. */
struct share {
  struct sim_point at; /* being run */
  uint64_t next_n;     /* where to go on after it died */
  uint64_t runs, reached, ended, failed, last_n;
  uint64_t faults[SIM_FAULT_COUNT];
  uint64_t lives, restarts, checkpoints, checkpoints_failed, epochs;
};

static void print_replay(const struct arguments *arguments, const struct loop *loop, struct sim_point point) {
  printf("  WEIR_TEST_SEED=%" PRIu64 " test_fault_loops --loop %s --n %" PRIu64, arguments->seed, loop->name, point.n);
  if (point.again != 0) printf(" --again %" PRIu64, point.again);
  printf(" --verbose\n");
  fflush(stdout);
}

/* True when the point was reached, the second one too where there is one. */
static bool run_point(const struct arguments *arguments, const struct loop *loop, struct sim_point point,
                      struct share *share) {
  share->at = point;
  alarm(RUN_SECONDS_MAX);
  struct sim_fault_report report;
  bool passed = sim_fault_run(arguments->seed, point, arguments->trace ? stdout : NULL, arguments->verbose, &report);
  alarm(0);
  share->runs++;
  share->reached += report.reached;
  share->ended += report.ended;
  share->lives += report.lives;
  share->restarts += report.restarts;
  share->checkpoints += report.checkpoints;
  share->checkpoints_failed += report.checkpoints_failed;
  share->epochs += report.epochs;
  for (int i = 0; i < SIM_FAULT_COUNT; i++)
    share->faults[i] += report.faults[i];
  if (report.reached && point.n > share->last_n) share->last_n = point.n;
  if (!passed) {
    share->failed++;
    printf("FAILED: %s\n", report.violation);
    print_replay(arguments, loop, point);
  }
  return report.reached && (point.again == 0 || report.reached_again);
}

/* The share of points of process `p`. */
static void run_share(const struct arguments *arguments, const struct loop *loop, uint64_t p, struct share *share) {
  if (share->next_n == 0) share->next_n = 1 + arguments->seed % loop->stride + p * loop->stride;
  while (share->failed < FAILURES_MAX) {
    struct sim_point point = loop->base;
    point.n = share->next_n;
    share->next_n += loop->stride * arguments->processes;
    if (loop->step == 0) {
      if (!run_point(arguments, loop, point, share)) break;
      continue;
    }
    bool reached_again = true;
    for (point.again = 1 + point.n % loop->step;
         reached_again && share->failed < FAILURES_MAX && (loop->limit == 0 || point.again <= loop->limit);
         point.again += loop->step)
      reached_again = run_point(arguments, loop, point, share);
    if (share->last_n < point.n) break;
  }
}

static void died(const struct arguments *arguments, const struct loop *loop, int status, struct share *share) {
  share->failed++;
  share->runs++;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
    printf("FAILED: the run did not end in %d s\n", RUN_SECONDS_MAX);
  else if (WIFSIGNALED(status))
    printf("FAILED: the process died of %s\n", strsignal(WTERMSIG(status)));
  else
    printf("FAILED: the process ended with code %d\n", WEXITSTATUS(status));
  print_replay(arguments, loop, share->at);
}

static pid_t start_share(const struct arguments *arguments, const struct loop *loop, uint64_t p, struct share *share) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid != 0) return pid;
  run_share(arguments, loop, p, share);
  fflush(stdout);
  _exit(0);
}

static void print_loop(const struct loop *loop, const struct share *sum, double seconds) {
  printf("%-28s %5" PRIu64 " runs, %5" PRIu64 " hit their point (one in %" PRIu64 " of %" PRIu64, loop->name, sum->runs,
         sum->reached, loop->stride, sum->last_n);
  if (loop->step != 0) printf(", then one in %" PRIu64, loop->step);
  printf("), %" PRIu64 " ended the job, %" PRIu64 " restarts, %" PRIu64 " failed, %.1f s\n", sum->ended, sum->restarts,
         sum->failed, seconds);
  fflush(stdout);
}

static double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add_share(struct share *sum, const struct share *share) {
  sum->runs += share->runs;
  sum->reached += share->reached;
  sum->ended += share->ended;
  sum->failed += share->failed;
  sum->lives += share->lives;
  sum->restarts += share->restarts;
  sum->checkpoints += share->checkpoints;
  sum->checkpoints_failed += share->checkpoints_failed;
  sum->epochs += share->epochs;
  if (share->last_n > sum->last_n) sum->last_n = share->last_n;
  for (int i = 0; i < SIM_FAULT_COUNT; i++)
    sum->faults[i] += share->faults[i];
}

static void run_loop(const struct arguments *arguments, const struct loop *loop, struct share *total) {
  double begin = now_seconds();
  struct share *shares =
      mmap(NULL, PROCESSES_MAX * sizeof *shares, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shares == MAP_FAILED) abort();
  pid_t pids[PROCESSES_MAX] = {0};
  for (uint64_t p = 0; p < arguments->processes; p++)
    pids[p] = start_share(arguments, loop, p, &shares[p]);
  int status;
  for (pid_t pid; (pid = wait(&status)) > 0;) {
    for (uint64_t p = 0; p < arguments->processes; p++) {
      if (pids[p] != pid || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) continue;
      died(arguments, loop, status, &shares[p]);
      pids[p] = start_share(arguments, loop, p, &shares[p]);
    }
  }
  struct share sum = {0};
  for (uint64_t p = 0; p < arguments->processes; p++)
    add_share(&sum, &shares[p]);
  print_loop(loop, &sum, now_seconds() - begin);
  add_share(total, &sum);
  munmap(shares, PROCESSES_MAX * sizeof *shares);
}

/* The history itself, twice: it must pass, be the same both times, and have something in it. */
static bool run_plain(const struct arguments *arguments, const struct history *history) {
  struct sim_fault_report report, second = {0};
  struct sim_point nothing = history->base;
  bool passed = sim_fault_run(arguments->seed, nothing, NULL, arguments->verbose, &report) &&
                sim_fault_run(arguments->seed, nothing, NULL, false, &second);
  printf("%s: %" PRIu64 " records, %" PRIu64 " bad ones, %" PRIu64 " lives, %" PRIu64 " checkpoints, %" PRIu64
         " epochs committed, %" PRIu64 " allocations, %" PRIu64 " of SQLite's own, %" PRIu64 " steps\n",
         history->name, report.records, report.bad_records, report.lives, report.checkpoints, report.epochs,
         report.allocations, report.sqlite_allocations, report.steps);
  printf("  %" PRIu64 " file operations:", report.file_operations);
  for (int i = 0; i < SIM_OPERATION_COUNT; i++)
    printf(" %s %" PRIu64, sim_operation_text((enum sim_operation_kind)i), report.operations_of[i]);
  printf("\n");
  if (!passed) printf("FAILED: without any fault: %s%s\n", report.violation, second.violation);
  bool same = report.trace_hash == second.trace_hash;
  if (passed && !same) printf("FAILED: the same history had two traces\n");
  bool enough = report.checkpoints >= 6 && report.epochs >= 6 && report.bad_records != 0;
  if (passed && !enough) printf("FAILED: there is too little in the history\n");
  return passed && same && enough;
}

/* ---- making the graph ---- */

static const struct weir_field fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema schema = {fields, 1};

static struct weir_stream *files_source(struct weir_job_builder *builder) {
  struct weir_files_options files = {.size = sizeof files,
                                     .folder = "/log",
                                     .schema = &schema,
                                     .skip_bad_records = true,
                                     .dead_letter = "/out/dead-letter.ndjson"};
  return weir_files_source(builder, "views", &files);
}

static struct weir_stream *kafka_source(struct weir_job_builder *builder, struct sim_kafka *kafka) {
  static const struct weir_kafka_setting settings[] = {{"group.id", "g"}, {"client.id", "c"}};
  struct weir_kafka_options topic = {.size = sizeof topic,
                                     .servers = "sim:9092",
                                     .topic = "log",
                                     .settings = settings,
                                     .setting_count = 2,
                                     .schema = &schema,
                                     .skip_bad_records = true,
                                     .dead_letter = "/out/dead-letter.ndjson"};
  return wr_kafka_source_with(builder, "views", &topic, sim_kafka_driver(kafka));
}

/* `kafka` NULL: over files. */
static enum weir_code build_graph(struct wr_memory *memory, struct sim_kafka *kafka, struct weir_error *error) {
  static const char *const key[] = {"app_id"};
  struct weir_sqlite_options table = {
      .size = sizeof table, .path = "/out/t.db", .table = "pv", .key_fields = key, .key_field_count = 1};
  struct weir_job_builder builder;
  const struct wr_graph *graph = NULL;
  enum weir_code code = wr_builder_init(&builder, memory, "pv", error);
  if (code != WEIR_OK) return code;
  struct weir_stream *views = kafka == NULL ? files_source(&builder) : kafka_source(&builder, kafka);
  weir_sqlite_sink(weir_count(weir_key_by(views, "app_id"), "count", "pv"), "pv", &table);
  code = wr_builder_finish(&builder, &graph, error);
  wr_builder_deinit(&builder);
  return code;
}

/* False: the point was not reached. */
static bool run_build_point(struct sim_kafka *kafka, uint64_t n, bool ever, struct share *total) {
  struct sim_memory memory;
  struct weir_error error = {.code = WEIR_OK};
  sim_memory_init(&memory);
  sim_memory_fail_nth(&memory, n, ever);
  enum weir_code code = build_graph(&memory.memory, kafka, &error);
  bool reached = memory.failures != 0;
  bool passed = code == (reached ? WEIR_NO_MEMORY : WEIR_OK) && memory.blocks == 0;
  if (!passed)
    printf("FAILED: allocation %" PRIu64 " of making the graph%s fails%s: %s: %s; %" PRIu64 " blocks were left\n", n,
           kafka == NULL ? "" : " of a topic", ever ? " for ever" : "", weir_code_text(code), error.message,
           memory.blocks);
  sim_memory_deinit(&memory);
  total->runs++;
  total->failed += !passed;
  total->reached += reached;
  return reached;
}

/* Every allocation of making the graph fails once, and for ever. */
static void run_build_loop(struct share *total) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = 1});
  struct sim_kafka *kafka = sim_kafka_new(world, 1, "log");
  for (int topic = 0; topic < 2; topic++) {
    uint64_t points = 0;
    bool reached = true;
    for (uint64_t n = 1; reached; n++) {
      reached = run_build_point(topic == 0 ? NULL : kafka, n, false, total);
      points += reached;
      points += run_build_point(topic == 0 ? NULL : kafka, n, true, total);
    }
    printf("%-28s %5" PRIu64 " runs hit their point\n", topic == 0 ? "graph memory" : "topic-graph memory", points);
  }
  sim_kafka_free(kafka);
  sim_world_free(world);
}

/* ---- the program ---- */

static bool parse_share(const char *text, enum share_size *out) {
  for (int i = 0; i < SHARE_COUNT; i++) {
    if (strcmp(text, share_texts[i]) != 0) continue;
    *out = (enum share_size)i;
    return true;
  }
  return false;
}

static bool parse(int argc, char **argv, struct arguments *out) {
  const char *seed = getenv("WEIR_TEST_SEED");
  *out = (struct arguments){.seed = seed == NULL ? 1 : strtoull(seed, NULL, 0), .processes = 1};
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "--trace") == 0)
      out->trace = true;
    else if (strcmp(argv[i], "--verbose") == 0)
      out->verbose = true;
    else if (value == NULL)
      return false;
    else if (strcmp(argv[i], "--share") == 0 && parse_share(value, &out->share))
      i++;
    else if (strcmp(argv[i], "--loop") == 0)
      out->loop = argv[++i];
    else if (strcmp(argv[i], "--n") == 0)
      out->n = strtoull(argv[++i], NULL, 0);
    else if (strcmp(argv[i], "--again") == 0)
      out->again = strtoull(argv[++i], NULL, 0);
    else if (strcmp(argv[i], "--processes") == 0)
      out->processes = strtoull(argv[++i], NULL, 0);
    else
      return false;
  }
  return out->processes >= 1 && out->processes <= PROCESSES_MAX && (out->n == 0 || out->loop != NULL);
}

enum { LOOPS_MAX = 8 * SIM_POINT_COUNT };

static void name_loop(struct loop *loop, const struct history *history, const char *more) {
  snprintf(loop->name, sizeof loop->name, "%s-%s%s", history->name, sim_point_text(loop->base.kind), more);
}

static void make_topic_loops(const struct arguments *arguments, const struct history *history, struct loop *loops,
                             size_t *count) {
  for (int i = 0; i < TOPICS; i++) {
    struct loop *loop = &loops[(*count)++];
    *loop = (struct loop){.base = history->base};
    loop->base.kind = topics[i].kind;
    loop->stride = topics[i].strides[history->base.job != SIM_JOB_PV][arguments->share];
    name_loop(loop, history, "");
  }
}

static void make_file_loops(const struct arguments *arguments, const struct history *history, struct loop *loops,
                            size_t *count) {
  bool is_pv = history->base.job == SIM_JOB_PV;
  for (int kind = 0; kind < SIM_POINT_COUNT; kind++) {
    bool of_sqlite = kind == SIM_POINT_SQLITE_ONCE || kind == SIM_POINT_SQLITE_EVER;
    if (of_sqlite && history->base.directory) continue; /* it is not asked there */
    struct loop *loop = &loops[(*count)++];
    *loop = (struct loop){.base = history->base};
    loop->base.kind = (enum sim_point_kind)kind;
    loop->stride = strides[kind][!is_pv][arguments->share];
    name_loop(loop, history, "");
  }
  for (int i = 0; i < PAIRS; i++) {
    struct loop *loop = &loops[(*count)++];
    *loop = (struct loop){.base = history->base, .limit = pairs[i].limit};
    loop->base.kind = pairs[i].kind;
    loop->stride = pairs[i].strides[!is_pv][arguments->share];
    loop->step = pairs[i].steps[arguments->share];
    name_loop(loop, history, "-then-crash");
  }
}

static size_t make_loops(const struct arguments *arguments, struct loop loops[LOOPS_MAX]) {
  size_t count = 0;
  for (size_t h = 0; h < HISTORIES; h++) {
    if (histories[h].base.topic || histories[h].base.to_topic || histories[h].base.to_server)
      make_topic_loops(arguments, &histories[h], loops, &count);
    else
      make_file_loops(arguments, &histories[h], loops, &count);
  }
  return count;
}

static void print_total(const struct share *total) {
  printf("all: %" PRIu64 " runs, %" PRIu64 " hit their point, %" PRIu64 " lives, %" PRIu64
         " restarts within a process, %" PRIu64 " checkpoints, %" PRIu64 " failed ones, %" PRIu64 " epochs committed\n",
         total->runs, total->reached, total->lives, total->restarts, total->checkpoints, total->checkpoints_failed,
         total->epochs);
  for (int i = 0; i < SIM_FAULT_COUNT; i++)
    if (total->faults[i] != 0) printf("  %-46s %10" PRIu64 "\n", sim_fault_text((enum sim_fault)i), total->faults[i]);
}

/* True when there is a loop of the name that was asked for. */
static bool run_loops(const struct arguments *arguments, struct share *total) {
  struct loop loops[LOOPS_MAX];
  size_t count = make_loops(arguments, loops);
  bool found = arguments->loop == NULL;
  for (size_t i = 0; i < count; i++) {
    if (arguments->loop != NULL && strcmp(arguments->loop, loops[i].name) != 0) continue;
    found = true;
    struct sim_point point = loops[i].base;
    point.n = arguments->n;
    point.again = arguments->again;
    if (arguments->n == 0)
      run_loop(arguments, &loops[i], total);
    else if (!run_point(arguments, &loops[i], point, total))
      printf("the point was not reached\n");
  }
  return found;
}

int main(int argc, char **argv) {
  struct arguments arguments;
  if (!parse(argc, argv, &arguments)) {
    fprintf(stderr, "usage: test_fault_loops [--share quick|test|deep] [--processes P] [--loop NAME [--n N "
                    "[--again M]]] [--trace] [--verbose]\n");
    return 2;
  }
  sim_fault_run_init();
  printf("seed: WEIR_TEST_SEED=%" PRIu64 "\n", arguments.seed);
  struct share total = {0};
  if (arguments.loop == NULL) {
    run_build_loop(&total);
    total.runs += HISTORIES;
    for (size_t h = 0; h < HISTORIES; h++)
      total.failed += !run_plain(&arguments, &histories[h]);
  }
  if (!run_loops(&arguments, &total)) {
    fprintf(stderr, "there is no loop '%s'\n", arguments.loop);
    return 2;
  }
  print_total(&total);
  printf("%" PRIu64 " passed, %" PRIu64 " failed\n", total.runs - total.failed, total.failed);
  return total.failed != 0;
}
