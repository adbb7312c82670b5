/* sim/sim_fault_run.c: see sim_fault_run.h. The counting memory of SQLite is a static: SQLite has one for the process.
 */
#include "sim/sim_fault_run.h"

#include "base/hash.h"
#include "checkpoint/check.h"
#include "sim/sim_run_int.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum {
  STEPS_MAX = 100 * 1000, /* of one life; a healthy one takes a few thousand */
  FAILED_LIVES_MAX = 2,   /* the one with the fault, and one that was stopped in vain */
};
static const uint64_t ms_ns = 1000 * 1000;
static const uint64_t first_ms = 40, second_ms = 25; /* how long the first two lives are */
static const uint64_t patience_ms = 150;             /* for ever: so long after the fault the job is cancelled */

enum stage { STAGE_FIRST, STAGE_SECOND, STAGE_LAST, STAGE_AGAIN, STAGE_OVER };

static const struct {
  const char *text;
  enum sim_point_domain domain;
  bool ever;
} points[] = {
#define POINT_ROW(name, text, domain, ever) {text, SIM_DOMAIN_##domain, ever},
    SIM_POINTS(POINT_ROW)
#undef POINT_ROW
};

const char *sim_point_text(enum sim_point_kind kind) {
  return points[kind].text;
}

enum sim_point_kind sim_point_of(const char *text) {
  int kind = 0;
  while (kind < SIM_POINT_COUNT && strcmp(points[kind].text, text) != 0)
    kind++;
  return (enum sim_point_kind)kind;
}

/* ---- SQLite's memory ---- */

static struct sqlite_memory {
  sqlite3_mem_methods real;
  uint64_t allocations, fail_at, failures;
  bool ever;
} sqlite_memory;

static bool sqlite_allocation_fails(void) {
  sqlite_memory.allocations++;
  bool fails =
      sqlite_memory.fail_at != 0 && (sqlite_memory.allocations == sqlite_memory.fail_at ||
                                     (sqlite_memory.ever && sqlite_memory.allocations > sqlite_memory.fail_at));
  sqlite_memory.failures += fails;
  return fails;
}

static void *sqlite_allocate(int bytes) {
  return sqlite_allocation_fails() ? NULL : sqlite_memory.real.xMalloc(bytes);
}

static void *sqlite_resize(void *block, int bytes) {
  return sqlite_allocation_fails() ? NULL : sqlite_memory.real.xRealloc(block, bytes);
}

void sim_fault_run_init(void) {
  WR_ASSERT(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory.real) == SQLITE_OK);
  sqlite3_mem_methods counting = sqlite_memory.real;
  counting.xMalloc = sqlite_allocate;
  counting.xRealloc = sqlite_resize;
  WR_ASSERT(sqlite3_config(SQLITE_CONFIG_MALLOC, &counting) == SQLITE_OK);
  WR_ASSERT(sqlite3_initialize() == SQLITE_OK);
}

/* ---- the fault ---- */

struct history {
  struct sim_run run; /* first: what the oracles look at */
  struct sim_run_options run_options;
  struct sim_run_report run_report;
  struct sim_point point;
  struct sim_fault_report *report;
  enum stage stage;
  uint64_t failed_lives;
  int64_t sqlite_bytes;  /* that SQLite holds while nobody uses it */
  uint64_t crash_at;     /* the value of the operation counter at which the next crash falls; 0: none */
  uint64_t reached_ns;   /* when the fault was first seen to have happened; 0: it has not */
  bool first_crash_done; /* of a point of domain CRASH */
  bool healed;           /* a fault for ever was taken back */
  bool cancelled;        /* this life was */
};

static enum sim_point_domain domain_of(const struct history *h) {
  return points[h->point.kind].domain;
}

/* Is the next ordered crash the one of `again`? */
static bool is_again(const struct history *h) {
  return domain_of(h) != SIM_DOMAIN_CRASH || h->first_crash_done;
}

static void order_crash(struct history *h) {
  uint64_t done = sim_disk_operations(h->run.world);
  if (h->crash_at <= done) return;
  bool before = h->point.kind == SIM_POINT_KILL_BEFORE || h->point.kind == SIM_POINT_POWER_BEFORE;
  if (is_again(h)) before = before != ((h->point.again & 1) != 0); /* by turns */
  sim_disk_crash_at(h->run.world, h->crash_at - done, before ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER);
}

static void order_fault(struct history *h) {
  bool ever = points[h->point.kind].ever;
  sqlite_memory.fail_at = sqlite_memory.allocations = sqlite_memory.failures = 0;
  if (h->point.n == 0) return;
  switch (domain_of(h)) {
  case SIM_DOMAIN_MEMORY:
    sim_memory_fail_nth(sim_world_memory(h->run.world), h->point.n, ever);
    break;
  case SIM_DOMAIN_SQLITE:
    sqlite_memory.fail_at = h->point.n;
    sqlite_memory.ever = ever;
    break;
  case SIM_DOMAIN_FILES:
    sim_disk_fail_nth(
        h->run.world, h->point.n,
        h->point.kind == SIM_POINT_IO_ONCE || h->point.kind == SIM_POINT_IO_EVER ? WEIR_IO : WEIR_NO_SPACE, ever);
    if (h->point.again != 0) h->crash_at = h->point.n + h->point.again;
    break;
  case SIM_DOMAIN_CRASH:
    h->crash_at = h->point.n;
    break;
  }
}

static bool is_reached(const struct history *h) {
  switch (domain_of(h)) {
  case SIM_DOMAIN_MEMORY:
    return sim_world_memory(h->run.world)->failures != 0;
  case SIM_DOMAIN_SQLITE:
    return sqlite_memory.failures != 0;
  case SIM_DOMAIN_FILES:
    return sim_world_fault_count(h->run.world, SIM_FAULT_ORDERED_ERROR) != 0;
  case SIM_DOMAIN_CRASH:
    return h->first_crash_done;
  }
  return false;
}

static void take_back_fault(struct history *h) {
  sim_memory_fail_nth(sim_world_memory(h->run.world), 0, false);
  sim_disk_fail_nth(h->run.world, 0, WEIR_IO, false);
  sim_disk_crash_at(h->run.world, 0, SIM_CRASH_BEFORE);
  sqlite_memory.fail_at = 0;
}

/* A life ended: what failed for ever is there again. */
static void heal(struct history *h) {
  if (!is_reached(h)) return;
  h->report->reached = true;
  if (points[h->point.kind].ever) take_back_fault(h);
  h->healed = true;
}

/* ---- one life ---- */

static bool is_excused(const struct history *h, enum weir_code code) {
  if (code == WEIR_OK) return true;
  if (!is_reached(h) || h->healed) return false;
  if (h->cancelled && code == WEIR_CANCELLED) return true;
  if (h->stage == STAGE_SECOND &&
      (code == WEIR_CHECKPOINT_FAILED || code == WEIR_COMMIT_WAITS || weir_code_is_transient(code)))
    return true; /* the stop could not end cleanly */
  return code == WEIR_NO_MEMORY && (domain_of(h) == SIM_DOMAIN_MEMORY || domain_of(h) == SIM_DOMAIN_SQLITE);
}

static void check_nothing_left(struct history *h) {
  struct sim_memory *memory = sim_world_memory(h->run.world);
  if (memory->blocks != 0) {
    sim_memory_report(memory, stderr);
    sim_violation(&h->run, "%" PRIu64 " blocks of memory were left after a clean end", memory->blocks);
  }
  if (h->point.topic && sim_kafka_clients(h->run.kafka) != 0)
    sim_violation(&h->run, "%u Kafka clients were left open after a clean end", sim_kafka_clients(h->run.kafka));
  if (h->point.to_topic && sim_kafka_producers(h->run.sink_topic.kafka) != 0)
    sim_violation(&h->run, "a Kafka producer was left open after a clean end");
  if (h->point.to_server && sim_sql_clients(h->run.sink_sql.sql) != 0)
    sim_violation(&h->run, "a session of the SQL server was left open after a clean end");
  if (sim_disk_open_files(h->run.world) != 0)
    sim_violation(&h->run, "%" PRIu64 " files were left open after a clean end", sim_disk_open_files(h->run.world));
  if (sim_world_calls_in_flight(h->run.world) != 0) sim_violation(&h->run, "calls were left after a clean end");
  if (sqlite3_memory_used() != h->sqlite_bytes)
    sim_violation(&h->run, "%" PRId64 " bytes of SQLite's memory were left after a clean end",
                  (int64_t)(sqlite3_memory_used() - h->sqlite_bytes));
}

static void count_life(struct history *h) {
  struct wr_job_status status;
  wr_job_read_status(h->run.job, &status);
  h->report->restarts += status.restarts;
  h->report->checkpoints += status.checkpoints_completed;
  h->report->checkpoints_failed += status.checkpoints_failed;
  h->report->steps += h->run.host.steps;
}

/* The job is over, or could not be made: on to the next stage, or the same one again. */
static void end_life(struct history *h, enum weir_code code, bool already_finished, const struct weir_error *error) {
  if (h->run_options.verbose)
    fprintf(stderr, "  stage %d is over: %s%s\n", h->stage, code == WEIR_OK ? "done" : "",
            code == WEIR_OK ? "" : error->message);
  if (!is_excused(h, code))
    sim_violation(&h->run, "stage %d ended with an error that the fault does not excuse: %s: %s (%s:%d)", h->stage,
                  weir_code_text(code), error->message, error->file, error->line);
  check_nothing_left(h);
  if (code == WEIR_OK) sim_directory_check_left(&h->run);
  if (code != WEIR_OK && (error->message[0] == 0 || error->code != code))
    sim_violation(&h->run, "stage %d ended with %s and no sentence", h->stage, weir_code_text(code));
  if (code != WEIR_OK) {
    h->report->ended = true;
    h->failed_lives++;
  }
  bool stopped = h->stage == STAGE_SECOND && !h->cancelled && code != WEIR_NO_MEMORY;
  heal(h);
  if (h->failed_lives > FAILED_LIVES_MAX) sim_violation(&h->run, "too many lives failed");
  if (code != WEIR_OK && !stopped) return;
  if (code == WEIR_OK && h->stage == STAGE_FIRST) sim_violation(&h->run, "the first life ended by itself");
  if (code == WEIR_OK && already_finished != (h->stage == STAGE_AGAIN) && !h->report->reached)
    sim_violation(&h->run, "stage %d: the job says finished: %d", h->stage, already_finished);
  h->stage++;
}

static bool start_life(struct history *h) {
  static const uint32_t parallelism[] = {2, 3, 1, 2};
  struct weir_error error = {.code = WEIR_OK};
  struct sim_run *run = &h->run;
  sim_host_init(&run->host, run->world, 2, wr_hash_index_u64(h->run_options.seed, 100 + run->lives));
  run->host.step_ns_max = 40 * 1000;
  run->job_options.parallelism = 1 + (parallelism[h->stage] + run->lives - (uint32_t)h->stage - 1) % 3;
  run->job_options.bounded = h->stage >= STAGE_LAST;
  run->last_life = h->stage >= STAGE_LAST;
  run->lives++;
  h->report->lives++;
  h->cancelled = false;
  h->reached_ns = 0;
  order_crash(h);
  sim_oracle_new_life(run);
  enum weir_code code =
      wr_job_new(run->graph.graph, &run->job_options, sim_world_seams(run->world), &run->host.host, &run->job, &error);
  if (code != WEIR_OK) {
    run->job = NULL;
    end_life(h, code, false, &error);
    return false;
  }
  wr_job_start(run->job);
  return true;
}

static void kill_life(struct history *h, enum sim_kill kill) {
  count_life(h);
  sim_world_kill(h->run.world, kill);
  sim_memory_drop_all(sim_world_memory(h->run.world));
  h->run.job = NULL;
}

/* The world stopped at the ordered operation. */
static void crash(struct history *h) {
  bool again = is_again(h);
  bool power = h->point.kind != SIM_POINT_KILL_BEFORE && h->point.kind != SIM_POINT_KILL_AFTER;
  if (again) power = power != ((h->point.again & 2) != 0); /* by turns */
  h->crash_at = 0;
  if (!again && h->point.again != 0) h->crash_at = sim_disk_operations(h->run.world) + h->point.again;
  h->report->reached_again = again;
  h->first_crash_done = h->report->reached = true;
  kill_life(h, power ? SIM_KILL_POWER : SIM_KILL_PROCESS);
}

static void hang(struct history *h, const char *how) {
  struct wr_job_status status;
  wr_job_read_status(h->run.job, &status);
  sim_violation(&h->run, "stage %d: %s in phase %s", h->stage, how, wr_job_phase_text(status.phase));
}

/* What is to be done to a living job when its time has come. False: its power was cut. */
static bool on_time(struct history *h, uint64_t now_ns, uint64_t *deadline_ns) {
  if (h->reached_ns == 0 && !h->healed && is_reached(h) && points[h->point.kind].ever) {
    h->reached_ns = now_ns;
    *deadline_ns = now_ns + patience_ms * ms_ns;
  }
  if (now_ns < *deadline_ns) return true;
  *deadline_ns = UINT64_MAX;
  if (h->reached_ns != 0) {
    h->cancelled = true;
    wr_job_cancel(h->run.job);
  } else if (h->stage == STAGE_FIRST) {
    kill_life(h, SIM_KILL_POWER);
    h->stage++;
    return false;
  } else {
    wr_job_stop(h->run.job);
  }
  return true;
}

static void live(struct history *h) {
  static const uint64_t length_ms[] = {first_ms, second_ms};
  struct sim_run *run = &h->run;
  if (!start_life(h)) return;
  uint64_t deadline_ns = UINT64_MAX;
  if (h->stage < STAGE_LAST) deadline_ns = sim_world_now_ns(run->world) + length_ms[h->stage] * ms_ns;
  for (uint64_t step = 0; step < STEPS_MAX && run->report->violation[0] == 0; step++) {
    sim_log_grow(&run->log, run->world, run->last_life);
    sim_directory_step(run);
    uint64_t until_ns = sim_log_next_ns(&run->log) < deadline_ns ? sim_log_next_ns(&run->log) : deadline_ns;
    bool moved = sim_host_step(&run->host, until_ns);
    if (sim_world_crashed(run->world)) {
      crash(h);
      return;
    }
    if (wr_job_is_over(run->job)) {
      struct weir_error error = {.code = WEIR_OK};
      bool already_finished = false;
      enum weir_code code = wr_job_result(run->job, &already_finished, &error);
      count_life(h);
      wr_job_free(run->job);
      run->job = NULL;
      end_life(h, code, already_finished, &error);
      return;
    }
    if (!moved && until_ns == UINT64_MAX) hang(h, "the job hangs");
    if (!moved && until_ns != UINT64_MAX) sim_world_advance_to(run->world, until_ns);
    if (!on_time(h, sim_world_now_ns(run->world), &deadline_ns)) return;
  }
  hang(h, h->cancelled ? "the cancelled job does not end" : "the job does not end");
}

/* ---- the history ---- */

static void make_world(struct history *h, uint64_t seed, FILE *trace) {
  struct sim_world_options world = {.seed = seed, .trace = trace, .fast_disk = true};
  h->run.world = sim_world_new(&world);
  WR_ASSERT(h->run.world != NULL);
  sim_disk_make_folders(h->run.world, "/log");
  sim_disk_make_folders(h->run.world, "/out");
  sim_disk_make_folders(h->run.world, "/state");
  struct sim_log_options log = {.seed = seed,
                                .folder = "/log",
                                .partitions = 2,
                                .apps = SIM_LOG_APPS_MAX,
                                .app_bytes = 750, /* state and epochs too long to lie in the metadata */
                                .lines = 220,
                                .bad_lines = true,
                                .duration_ns = (first_ms + second_ms) * ms_ns};
  if (h->point.topic) {
    log.transactions = true;
    log.open_ns = 5 * ms_ns;
    h->run.topic.discovery_interval_ms = 10;
    sim_run_kafka_make(&h->run, seed, &log);
  }
  if (h->point.to_topic) sim_sink_topic_make(&h->run, seed, 2);
  if (h->point.to_server)
    sim_sink_sql_make(
        &h->run, &(struct sim_sql_options){.seed = seed,
                                           .name = "rows",
                                           .dialect = h->point.job == SIM_JOB_PV ? SIM_SQL_POSTGRES : SIM_SQL_MYSQL,
                                           .lock_ns = 5 * ms_ns,
                                           .idle_ns = 10 * ms_ns,
                                           .silent_ns = 5 * ms_ns,
                                           .away_ns = 5 * ms_ns});
  sim_log_init(&h->run.log, &log);
  h->sqlite_bytes = sqlite3_memory_used();
}

static void make_options(struct wr_job_options *options, enum sim_job_kind job) {
  wr_job_options_default(options);
  options->name = sim_job_name(job);
  options->folder = job == SIM_JOB_PV ? "/state/pv" : "/state/seen";
  options->checkpoint_interval_ms = 8;
  options->checkpoints_retained = 2;
  options->restart_delay_initial_ms = 2;
  options->restart_delay_max_ms = 20;
  options->stop_timeout_ms = 100;
}

static void print_line(void *argument, const char *text) {
  if (*(bool *)argument) fprintf(stderr, "  %s\n", text);
}

static void check_folder(struct history *h) {
  struct weir_error error = {.code = WEIR_OK};
  struct wr_seams *seams = sim_world_seams(h->run.world);
  if (wr_check_folder(seams->files, seams->memory, h->run.job_options.folder, print_line, &h->run_options.verbose,
                      &error) != WEIR_OK)
    sim_violation(&h->run, "the folder is not sound: %s", error.message);
}

static void fill_report(struct history *h) {
  struct sim_fault_report *report = h->report;
  report->reached = report->reached || is_reached(h);
  for (int i = 0; i < SIM_FAULT_COUNT; i++)
    report->faults[i] = sim_world_fault_count(h->run.world, (enum sim_fault)i);
  for (int i = 0; i < SIM_OPERATION_COUNT; i++)
    report->operations_of[i] = sim_disk_operations_of(h->run.world, (enum sim_operation_kind)i);
  report->allocations = sim_world_memory(h->run.world)->allocations;
  report->sqlite_allocations = sqlite_memory.allocations;
  report->file_operations = sim_disk_operations(h->run.world);
  report->epochs = h->run_report.events[SIM_EVENT_EPOCH_COMMITTED];
  report->records = h->run.log.records;
  report->bad_records = h->run.log.bad;
  report->trace_hash = sim_world_trace_hash(h->run.world);
  memcpy(report->violation, h->run_report.violation, sizeof report->violation);
}

bool sim_fault_run(uint64_t seed, struct sim_point point, FILE *trace, bool verbose,
                   struct sim_fault_report *out_report) {
  memset(out_report, 0, sizeof *out_report);
  struct history *h = calloc(1, sizeof *h);
  WR_ASSERT(h != NULL);
  h->run_options = (struct sim_run_options){.seed = seed, .trace = trace, .verbose = verbose};
  h->run.options = &h->run_options;
  h->run.report = &h->run_report;
  h->run.kind = point.job;
  h->run.directory = point.directory;
  h->run.take_one_in = 20;
  h->run.dead_letter = true;
  h->run.random = wr_random_of(seed);
  h->point = point;
  h->report = out_report;
  make_world(h, seed, trace);
  make_options(&h->run.job_options, point.job);
  struct weir_error error = {.code = WEIR_OK};
  if (!sim_oracle_init(&h->run, &error)) sim_violation(&h->run, "the graph cannot be made: %s", error.message);
  order_fault(h);
  while (h->stage != STAGE_OVER && h->run_report.violation[0] == 0)
    live(h);
  fill_report(h);
  take_back_fault(h);
  if (h->run_report.violation[0] == 0) check_folder(h);
  if (h->run_report.violation[0] == 0) sim_oracle_judge(&h->run);
  if (h->run.job != NULL || h->run_report.violation[0] != 0) { /* a violation in the middle of a life */
    sim_world_kill(h->run.world, SIM_KILL_PROCESS);
    sim_memory_drop_all(sim_world_memory(h->run.world));
  }
  sim_oracle_deinit(&h->run);
  memcpy(out_report->violation, h->run_report.violation, sizeof out_report->violation);
  sim_log_deinit(&h->run.log);
  sim_kafka_free(h->run.kafka);
  sim_sink_topic_deinit(&h->run);
  sim_sink_sql_deinit(&h->run);
  sim_world_free(h->run.world);
  free(h);
  return out_report->violation[0] == 0;
}
