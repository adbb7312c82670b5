/* sim/sim_run.c: draws a history from a seed and lives it. The oracles are in sim_oracle.c. See sim_run.h. */
#include "sim/sim_run_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
  LIVES_MAX = 9,
  OTHER_JOB_ONE_IN = 8,
  STEPS_MAX_PER_LIFE = 400 * 1000,
  STEPS_MAX_LAST = 4 * 1000 * 1000,
};
static const uint64_t ms_ns = 1000 * 1000;

const char *sim_event_text(enum sim_event event) {
  static const char *const texts[] = {
#define EVENT_TEXT(name, text) text,
      SIM_EVENTS(EVENT_TEXT)
#undef EVENT_TEXT
  };
  return texts[event];
}

void sim_violation(struct sim_run *run, const char *format, ...) {
  if (run->report->violation[0] != 0) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(run->report->violation, sizeof run->report->violation, format, arguments);
  va_end(arguments);
}

/* ---- what is drawn ---- */

/* The job, and where its rows go. */
static void draw_kind(struct sim_run *run) {
  run->ends_max = 1;
  run->kind = one_in(run, 2) ? SIM_JOB_PV : SIM_JOB_SEEN;
  if (one_in(run, OTHER_JOB_ONE_IN))
    run->kind = one_in(run, 3) && !run->options->to_topic ? SIM_JOB_PLAIN : SIM_JOB_HELD;
  if (run->kind == SIM_JOB_HELD) run->report->events[SIM_EVENT_HELD_JOB]++;
  if (run->kind == SIM_JOB_PLAIN) {
    run->plain = (struct sim_plain){.run = run, .fails_one_in = one_in(run, 2) ? 5 + (uint32_t)below(run, 50) : 0};
    return;
  }
  run->directory = one_in(run, 3) && !run->options->to_topic;
  if (run->options->to_topic || (!run->directory && one_in(run, 3))) sim_sink_topic_draw(run);
  if (!run->directory && run->sink_topic.kafka == NULL && one_in(run, 2)) sim_sink_sql_draw(run);
}

static void draw_log(struct sim_run *run) {
  struct sim_log_options log = {.seed = wr_random_next(&run->random),
                                .folder = "/log",
                                .partitions = 1 + (uint32_t)below(run, SIM_LOG_PARTITIONS_MAX),
                                .apps = 1 + (uint32_t)below(run, SIM_LOG_APPS_MAX),
                                .lines = (uint32_t)below(run, one_in(run, 4) ? 6000 : 800),
                                .bad_lines = one_in(run, 3),
                                .all_at_once = one_in(run, 4),
                                .whole_lines = one_in(run, 3),
                                .app_bytes = one_in(run, 3) ? (uint32_t)below(run, SIM_LOG_APP_BYTES_MAX + 1) : 0,
                                .duration_ns = (50 + below(run, 1500)) * ms_ns};
  run->dead_letter = log.bad_lines;
  if (run->kind >= SIM_JOB_HELD) log.lines %= 400;
  if (below(run, 5) < 2 && run->kind != SIM_JOB_PLAIN) sim_run_kafka_draw(run, &log);
  bool leaves_out = run->sink_sql.sql != NULL && run->kind != SIM_JOB_HELD && one_in(run, 2);
  if (leaves_out) log.lines %= 300; /* a row that is not taken costs many statements */
  sim_log_init(&run->log, &log);
  if (leaves_out) sim_left_out_draw(run);
  /* A record that is cut short at the stop would be a bad one. */
  run->bounded_growth = log.whole_lines && !log.all_at_once && one_in(run, 2);
  run->bounded_from = (uint32_t)below(run, run->kafka == NULL ? LIVES_MAX : LIVES_MAX / 2);
}

static void draw_rule(struct sim_run *run, struct sim_fault_rule *rule, const char *prefix, bool is_log) {
  memset(rule, 0, sizeof *rule);
  snprintf(rule->prefix, sizeof rule->prefix, "%s", prefix);
  if (one_in(run, 3)) return; /* this path behaves */
  uint32_t rate = 20 + (uint32_t)below(run, 400);
  for (int fault = 0; fault <= SIM_FAULT_SLOW_SYNC; fault++) {
    if (fault == SIM_FAULT_NO_SPACE && is_log) continue;
    /* Operations that are rare fail more often, so that each kind is met. */
    bool rare = fault == SIM_FAULT_LOCK_ERROR || fault == SIM_FAULT_RENAME_ERROR || fault == SIM_FAULT_REMOVE_ERROR ||
                fault == SIM_FAULT_MAKE_FOLDER_ERROR;
    uint32_t often = fault == SIM_FAULT_TRUNCATE_ERROR ? 48 : rare ? 16 : 1;
    if (one_in(run, 2)) rule->one_in[fault] = often == 1 ? rate : 1 + rate / often;
  }
}

static void draw_faults(struct sim_run *run) {
  struct sim_fault_plan *plan = sim_world_faults(run->world);
  plan->slow_ns_max = (20 + below(run, 3000)) * ms_ns;
  plan->slow_sync_ns_max = (200 + below(run, 5000)) * ms_ns;
  plan->no_space_ns_max = (1 + below(run, 2000)) * ms_ns;
  plan->rule_count = 0;
  if (!one_in(run, 3)) { /* else kills alone */
    draw_rule(run, &plan->rules[0], "/state", false);
    draw_rule(run, &plan->rules[1], "/out", false);
    draw_rule(run, &plan->rules[2], "/log", true);
    plan->rule_count = 3;
  }
  if (run->kafka != NULL) sim_run_kafka_draw_faults(run);
  if (run->sink_topic.kafka != NULL) sim_sink_topic_draw_faults(run);
  if (run->sink_sql.sql != NULL) sim_sink_sql_draw_faults(run);
}

static void draw_job(struct sim_run *run) {
  struct wr_job_options *options = &run->job_options;
  wr_job_options_default(options);
  options->name = sim_job_name(run->kind);
  snprintf(run->folder, sizeof run->folder, "/state/%s", options->name);
  options->folder = run->folder;
  options->mode = one_in(run, 5) ? WR_AT_LEAST_ONCE : WR_EXACTLY_ONCE;
  if (run->options->mode != NULL) options->mode = *run->options->mode;
  options->checkpoint_interval_ms = 2 + below(run, one_in(run, 3) ? 300 : 40);
  if (run->topic.misleads) options->checkpoint_interval_ms += 200; /* a doubt takes 10 s */
  run->checkpoint_interval_ms = options->checkpoint_interval_ms;
  options->checkpoint_min_pause_ms = one_in(run, 4) ? below(run, 20) : 0;
  options->checkpoint_timeout_ms = one_in(run, 3) ? 5 + below(run, one_in(run, 2) ? 40 : 200) : 60000;
  options->checkpoints_retained = 1 + (uint32_t)below(run, 3);
  options->restart_delay_initial_ms = 1 + below(run, 50);
  options->restart_delay_max_ms = 200;
  options->state_wait_one_in = one_in(run, 3) ? 2 + (uint32_t)below(run, 20) : 0;
  if (options->state_wait_one_in != 0) run->report->events[SIM_EVENT_STATE_WAIT]++;
  if (one_in(run, 3)) {
    run->limits = (struct wr_commit_limits){.epochs_max = 1, .bytes_max = 1};
    run->report->events[SIM_EVENT_LIMIT_ONE]++;
  }
}

/* ---- one life ---- */

enum life_end { LIFE_KILL, LIFE_OPERATION, LIFE_STOP, LIFE_FINISH };

/* Who else is at the target in this life. */
static void draw_others(struct sim_run *run, bool will_stop) {
  uint64_t now_ns = sim_world_now_ns(run->world);
  run->zombie_at_ns = one_in(run, 3) ? now_ns + below(run, 100) * ms_ns : UINT64_MAX;
  run->rival_from_ns = run->rival_until_ns = UINT64_MAX;
  if (!one_in(run, will_stop ? 2 : 5) || sim_histories_live(run)) return;
  run->rival_from_ns = now_ns + below(run, 300) * ms_ns;
  if (run->last_life || one_in(run, 2)) run->rival_until_ns = run->rival_from_ns + below(run, 2000) * ms_ns;
}

static void end_rival(struct sim_run *run) {
  sim_rival_unlock(run->rival);
  run->rival = NULL;
}

static void step_others(struct sim_run *run) {
  uint64_t now_ns = sim_world_now_ns(run->world);
  if (now_ns >= run->rival_from_ns && run->rival == NULL) {
    run->rival_from_ns = UINT64_MAX;
    run->rival = sim_rival_lock(run->world, "/out/t.db");
    if (run->rival != NULL) run->report->events[SIM_EVENT_RIVAL]++;
  }
  if (now_ns >= run->rival_until_ns && run->rival != NULL) end_rival(run);
  if (now_ns < run->zombie_at_ns || run->graph.zombie.memory == NULL) return;
  struct wr_job_status status;
  wr_job_read_status(run->job, &status);
  bool taken_over = status.start_number > run->graph.zombie.store.start_number;
  if (!taken_over || status.phase < WR_JOB_DEPLOY || status.phase > WR_JOB_STOP) return;
  run->zombie_at_ns = UINT64_MAX;
  run->report->events[SIM_EVENT_ZOMBIE]++;
  if (sim_zombie_commit(&run->graph.zombie, 1 + below(run, 2000)))
    sim_violation(run, "start %" PRIu64 " commits although start %" PRIu64 " has taken over",
                  run->graph.zombie.store.start_number, status.start_number);
}

static bool start_life(struct sim_run *run, enum life_end end) {
  struct weir_error error = {.code = WEIR_OK};
  sim_host_init(&run->host, run->world, 1 + (uint32_t)below(run, 3), wr_random_next(&run->random));
  run->host.step_ns_max = 1 + below(run, 100 * 1000);
  if (one_in(run, 3) && (!run->last_life || run->faults_end_ns != 0)) {
    run->host.hold_one_in = 50 + (uint32_t)below(run, 500);
    run->host.hold_ns_max = (1 + below(run, 400)) * ms_ns;
  }
  uint32_t parallelism = 1 + (uint32_t)below(run, 4);
  if (run->job_options.parallelism != parallelism && run->lives != 0) run->report->events[SIM_EVENT_RESCALE]++;
  run->job_options.parallelism = parallelism;
  bool in_growth = run->bounded_growth && run->lives >= run->bounded_from;
  if (in_growth) run->report->events[SIM_EVENT_BOUNDED_GROWTH]++;
  run->job_options.bounded = run->last_life || in_growth || (run->log.options.all_at_once && one_in(run, 2));
  run->job_options.fresh = run->fresh_pending || (!run->last_life && run->lives != 0 && one_in(run, 25));
  run->fresh_pending = run->job_options.fresh;
  run->ends_max += run->was_bounded && !run->job_options.bounded;
  run->was_bounded = run->job_options.bounded;
  if (run->job_options.fresh) {
    run->report->events[SIM_EVENT_FRESH]++;
    sim_disk_remove(run->world, "/out");
    sim_disk_make_folders(run->world, "/out");
    memset(&run->stops, 0, sizeof run->stops);
    sim_histories_forget(run);
    sim_plain_forget(run);
    run->ends_max = 1;
  } else if (!run->last_life && run->lives != 0) {
    sim_tamper_before(run);
  }
  bool may_harm = !run->last_life && run->lives != 0 && !run->job_options.fresh && run->tamper.kind == SIM_TAMPER_NONE;
  if (run->kafka != NULL) sim_run_kafka_new_life(run, may_harm);
  sim_directory_new_life(run, may_harm);
  sim_sink_topic_new_life(run);
  sim_sink_sql_new_life(run);
  sim_left_out_new_life(run);
  draw_others(run, end == LIFE_STOP);
  if (run->kafka != NULL) sim_run_kafka_make_way(run);
  enum weir_code code =
      wr_job_new(run->graph.graph, &run->job_options, sim_world_seams(run->world), &run->host.host, &run->job, &error);
  if (code != WEIR_OK) {
    sim_violation(run, "the job cannot be made: %s", error.message);
    return false;
  }
  sim_oracle_new_life(run);
  wr_job_start(run->job);
  run->lives++;
  run->report->events[SIM_EVENT_LIFE]++;
  return true;
}

static void count_life(struct sim_run *run) {
  struct wr_job_status status;
  wr_job_read_status(run->job, &status);
  run->report->events[SIM_EVENT_RESTART] += status.restarts;
  run->report->events[SIM_EVENT_CHECKPOINT] += status.checkpoints_completed;
  run->report->events[SIM_EVENT_CHECKPOINT_FAILED] += status.checkpoints_failed;
  run->report->events[SIM_EVENT_RESTORE] += status.restored_checkpoint != 0;
  run->report->events[SIM_EVENT_HELD] += run->host.holds_made;
  run->report->steps += run->host.steps;
  if (status.start_number != 0) run->fresh_pending = false; /* the new identity is durable */
}

static void after_life(struct sim_run *run, enum wr_job_phase phase) {
  sim_tamper_after(run, phase);
  if (run->kafka != NULL) sim_run_kafka_after_life(run);
  sim_directory_after_life(run);
  sim_sink_topic_after_life(run);
  sim_sink_sql_after_life(run);
  sim_left_out_after_life(run);
  if (run->bounded_growth) sim_stops_look(run);
}

static void kill_life(struct sim_run *run, bool at_operation) {
  struct wr_job_status status;
  wr_job_read_status(run->job, &status);
  run->report->events[at_operation ? SIM_EVENT_KILL_AT_OPERATION : SIM_EVENT_KILL_AT_STEP]++;
  if (status.phase < WR_JOB_RUN) run->report->events[SIM_EVENT_KILL_IN_RECOVERY]++;
  count_life(run);
  enum sim_kill kill = one_in(run, 2) || run->power_goes ? SIM_KILL_POWER : SIM_KILL_PROCESS;
  run->power_goes = false;
  if (run->options->verbose)
    fprintf(stderr, "  killed in phase %s (%s)\n", wr_job_phase_text(status.phase),
            kill == SIM_KILL_POWER ? "power cut" : "process");
  end_rival(run);
  sim_world_kill(run->world, kill);
  sim_memory_drop_all(sim_world_memory(run->world));
  run->job = NULL;
  if (status.phase >= WR_JOB_DEPLOY && status.phase <= WR_JOB_RUN && !sim_identity(run).in_doubt)
    sim_violation(run, "killed while it ran, and the folder says that nothing is in doubt");
  after_life(run, status.phase);
}

/* SQLite's own: an I/O error while it rolls back the transaction that made the database leaves a file of no bytes
 * beside its journal. The next connection takes the journal of an empty file away, and nobody has synced the cut; after
 * a power cut the file is there again, without a beginning. Nothing was ever committed to it: the user moves it away.
 */
static bool sqlite_lost_its_beginning(struct sim_run *run, const struct weir_error *error) {
  uint64_t errors = 0;
  for (int fault = SIM_FAULT_READ_ERROR; fault <= SIM_FAULT_LIST_ERROR; fault++)
    errors += sim_world_fault_count(run->world, (enum sim_fault)fault);
  if (error->code != WEIR_NOT_FOUND || strstr(error->message, "is not an SQLite database") == NULL) return false;
  if (errors == 0 || sim_world_fault_count(run->world, SIM_FAULT_POWER_CUT) == 0) return false;
  if (run->report->events[SIM_EVENT_EPOCH_COMMITTED] != 0) return false;
  sim_disk_remove(run->world, "/out/t.db");
  run->database_moved = true;
  return true;
}

/* The job is over: was that all right? */
static void end_life(struct sim_run *run, bool stopped) {
  struct weir_error error = {.code = WEIR_OK};
  enum weir_code code = wr_job_result(run->job, NULL, &error);
  count_life(run);
  wr_job_free(run->job);
  run->job = NULL;
  end_rival(run);
  if (run->options->verbose) fprintf(stderr, "  over: %s\n", code == WEIR_OK ? "done" : error.message);
  bool excused =
      stopped && (code == WEIR_CHECKPOINT_FAILED || code == WEIR_COMMIT_WAITS || weir_code_is_transient(code));
  excused = excused || sim_tamper_excuses(run, code) || sim_run_kafka_excuses(run, code) ||
            sim_sink_topic_excuses(run, &error) || sim_sink_sql_excuses(run, code) ||
            sqlite_lost_its_beginning(run, &error);
  if (stopped && run->stop_must_snapshot && code == WEIR_CHECKPOINT_FAILED)
    sim_violation(run, "a stop could not make its last checkpoint, and nothing was in its way: %s", error.message);
  if (stopped && run->stop_while_running && code == WEIR_OK && sim_identity(run).in_doubt)
    sim_violation(run, "stopped cleanly, and the folder says that something is in doubt");
  if (stopped) run->report->events[code == WEIR_OK ? SIM_EVENT_STOP : SIM_EVENT_STOP_FAILED]++;
  if (code != WEIR_OK && !excused)
    sim_violation(run, "the job ended with an error that nobody caused: %s (%s:%d)", error.message, error.file,
                  error.line);
  if (code == WEIR_OK) sim_directory_check_left(run);
  uint64_t living = sim_world_memory(run->world)->blocks;
  if (living != 0) {
    sim_memory_report(sim_world_memory(run->world), stderr);
    sim_violation(run, "%" PRIu64 " blocks of memory were left after a clean end", living);
  }
  if (run->kafka != NULL && sim_kafka_clients(run->kafka) != 0)
    sim_violation(run, "%u Kafka clients were left open after a clean end", sim_kafka_clients(run->kafka));
  if (sim_disk_open_files(run->world) != 0)
    sim_violation(run, "%" PRIu64 " files were left open after a clean end", sim_disk_open_files(run->world));
  after_life(run, WR_JOB_OVER);
}

static void order_crash(struct sim_run *run, enum life_end end) {
  if (end != LIFE_OPERATION || run->topic.must_end || sim_histories_live(run)) return;
  uint64_t n = 1 + below(run, one_in(run, 2) ? 60 : 600);
  sim_disk_crash_at(run->world, n, one_in(run, 2) ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER);
}

/* Writes what is due; returns when there is more to do, at the latest `deadline_ns`. */
static uint64_t grow_log(struct sim_run *run, uint64_t deadline_ns) {
  if (sim_tamper_holds_log(run) || sim_run_kafka_holds_log(run)) return deadline_ns;
  sim_log_grow(&run->log, run->world, run->last_life);
  return sim_log_next_ns(&run->log) < deadline_ns ? sim_log_next_ns(&run->log) : deadline_ns;
}

/* The last life's faults have their end. */
static void calm_down(struct sim_run *run) {
  /* With a time-out that is shorter than an epoch takes, a job would try for ever. */
  if (run->last_life && run->sink_topic.kafka != NULL) sim_kafka_be_patient(run->sink_topic.kafka);
  if (!run->last_life || sim_world_now_ns(run->world) < run->faults_end_ns) return;
  sim_world_faults(run->world)->rule_count = 0;
  run->host.hold_one_in = 0;
}

/* No faults where a checkpoint is written: in the job's folder, and where files are staged beside their target. */
static bool folders_behave(struct sim_run *run) {
  const struct sim_fault_plan *plan = sim_world_faults(run->world);
  size_t rules = plan->rule_count == 0 ? 0 : run->directory ? 2 : 1;
  for (size_t i = 0; i < rules; i++)
    for (int fault = 0; fault < SIM_FAULT_COUNT; fault++)
      if (plan->rules[i].one_in[fault] != 0) return false;
  return true;
}

static void begin_stop(struct sim_run *run) {
  struct wr_job_status status;
  wr_job_read_status(run->job, &status);
  run->stop_while_running = status.phase == WR_JOB_RUN;
  run->stop_must_snapshot =
      status.phase == WR_JOB_RUN && folders_behave(run) && run->job_options.checkpoint_timeout_ms >= 60000;
  wr_job_stop(run->job);
}

/* False: something is wrong for good. */
static bool live(struct sim_run *run, enum life_end end) {
  if (!start_life(run, end)) return false;
  order_crash(run, end);
  uint64_t begin_ns = sim_world_now_ns(run->world);
  uint64_t deadline_ns =
      end == LIFE_FINISH ? UINT64_MAX : begin_ns + (1 + below(run, one_in(run, 3) ? 3000 : 300)) * ms_ns;
  if (sim_histories_live(run) && end != LIFE_FINISH) deadline_ns += 500 * ms_ns;
  if (run->topic.is_long) deadline_ns = begin_ns + sim_run_kafka_life_ns(run);
  uint64_t steps_max = end == LIFE_FINISH ? STEPS_MAX_LAST : STEPS_MAX_PER_LIFE;
  bool stopping = false;
  for (uint64_t step = 0; step < steps_max; step++) {
    sim_oracle_step(run);
    step_others(run);
    sim_plain_step(run);
    sim_directory_step(run);
    sim_sink_topic_step(run);
    sim_sink_sql_step(run);
    sim_left_out_step(run);
    if (run->kafka != NULL) sim_run_kafka_step(run);
    uint64_t until_ns = grow_log(run, deadline_ns);
    calm_down(run);
    if (!sim_host_step(&run->host, until_ns)) {
      if (wr_job_is_over(run->job)) break;
      if (until_ns == UINT64_MAX || stopping) {
        struct wr_job_status status;
        wr_job_read_status(run->job, &status);
        sim_violation(run, "the job hangs in phase %s", wr_job_phase_text(status.phase));
        return false;
      }
      sim_world_advance_to(run->world, until_ns);
    }
    if (run->report->violation[0] != 0) return false;
    if (sim_world_crashed(run->world)) {
      kill_life(run, true);
      return true;
    }
    if (wr_job_is_over(run->job)) break;
    if (sim_world_now_ns(run->world) < deadline_ns) continue;
    if (end != LIFE_STOP) break;
    stopping = true;
    deadline_ns = UINT64_MAX;
    begin_stop(run);
  }
  sim_disk_crash_at(run->world, 0, SIM_CRASH_BEFORE);
  if (wr_job_is_over(run->job)) {
    run->finished = wr_job_result(run->job, NULL, NULL) == WEIR_OK && !stopping;
    end_life(run, stopping);
    return run->report->violation[0] == 0;
  }
  if (end == LIFE_FINISH || stopping) {
    struct wr_job_status status;
    wr_job_read_status(run->job, &status);
    sim_violation(run, "the job does not end: phase %s after %" PRIu64 " steps, %.1f s",
                  wr_job_phase_text(status.phase), run->host.steps,
                  (double)(sim_world_now_ns(run->world) - begin_ns) / 1e9);
    return false;
  }
  kill_life(run, false);
  return true;
}

static bool live_all(struct sim_run *run) {
  uint32_t lives = (uint32_t)below(run, LIVES_MAX);
  for (uint32_t i = 0; (i < lives || sim_histories_wait(run)) && !run->finished; i++) {
    if (one_in(run, 3)) draw_faults(run);
    static const enum life_end ends[] = {LIFE_KILL, LIFE_KILL, LIFE_OPERATION, LIFE_OPERATION, LIFE_STOP};
    if (!live(run, ends[below(run, sizeof ends / sizeof ends[0])])) return false;
  }
  run->last_life = true;
  if (one_in(run, 2)) run->faults_end_ns = sim_world_now_ns(run->world) + below(run, 2000) * ms_ns;
  /* Finished early by a bounded life: that was the whole log, or the life was the last one. */
  run->database_moved = false;
  if (!run->finished && !live(run, LIFE_FINISH)) return false;
  if (run->database_moved && !live(run, LIFE_FINISH)) return false; /* now its way is free */
  if (!run->finished) {
    sim_violation(run, "the last life did not finish the job");
    return false;
  }
  return true;
}

static void judge(struct sim_run *run) {
  if (run->bounded_growth) sim_stops_apply(run);
  if (run->kafka != NULL) sim_run_kafka_apply(run);
  sim_oracle_judge(run);
}

bool sim_run(const struct sim_run_options *options, struct sim_run_report *out_report) {
  memset(out_report, 0, sizeof *out_report);
  struct sim_run *run = calloc(1, sizeof *run);
  WR_ASSERT(run != NULL);
  run->options = options;
  run->report = out_report;
  run->random = wr_random_of(options->seed);
  struct sim_world_options world = {.seed = wr_random_next(&run->random), .trace = options->trace};
  run->world = sim_world_new(&world);
  WR_ASSERT(run->world != NULL);
  sim_disk_make_folders(run->world, "/log");
  sim_disk_make_folders(run->world, "/out");
  sim_disk_make_folders(run->world, "/state");
  sim_disk_make_folders(run->world, "/keep");
  draw_kind(run);
  sim_directory_draw(run);
  draw_log(run);
  draw_job(run);
  draw_faults(run);
  if (options->verbose)
    fprintf(stderr,
            "seed %" PRIu64 ": %s, %s%s%s, %u partitions, %" PRIu64 " records, mode %d, interval %" PRIu64 " ms\n",
            options->seed, sim_job_name(run->kind), run->kafka == NULL ? "files" : "topic",

            run->directory                  ? ", to files"
            : run->sink_topic.kafka != NULL ? ", to a topic"
            : run->sink_sql.sql != NULL     ? ", to an SQL server"
                                            : "",
            run->left_out.is_used ? ", some left out" : "", run->log.options.partitions, run->log.records,
            run->job_options.mode, run->job_options.checkpoint_interval_ms);
  struct weir_error error;
  if (!sim_oracle_init(run, &error))
    sim_violation(run, "the graph cannot be made: %s", error.message);
  else if (live_all(run))
    judge(run);
  out_report->records = run->log.records;
  out_report->file_operations = sim_disk_operations(run->world);
  out_report->trace_hash = sim_world_trace_hash(run->world);
  for (int fault = 0; fault < SIM_FAULT_COUNT; fault++)
    out_report->faults[fault] = sim_world_fault_count(run->world, (enum sim_fault)fault);
  if (run->job != NULL) { /* a violation in the middle of a life */
    end_rival(run);
    sim_world_kill(run->world, SIM_KILL_PROCESS);
    sim_memory_drop_all(sim_world_memory(run->world));
  }
  sim_tamper_deinit(run);
  sim_oracle_deinit(run);
  sim_log_deinit(&run->log);
  sim_kafka_free(run->kafka);
  sim_sink_topic_deinit(run);
  sim_sink_sql_deinit(run);
  sim_left_out_forget(run);
  sim_world_free(run->world);
  free(run);
  return out_report->violation[0] == 0;
}
