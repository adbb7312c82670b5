/* runtime/job.c: the master's phases. See job.h for the list and what each means.
 *
 * One step does a bounded piece of work and never blocks. In every phase but TEARDOWN an error goes to wr_job_fail,
 * which decides by its class: restart (TEARDOWN, DELAY, OPEN) or end (TEARDOWN, OVER). TEARDOWN waits for everything
 * that was begun: the tasks, their calls, the enumerators' calls, the folder's call; only then is R chosen again.
 */
#include "runtime/job_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const uint64_t healthy_ns_to_reset = 3600ull * 1000 * 1000 * 1000;

void wr_job_options_default(struct wr_job_options *options) {
  *options = (struct wr_job_options){.parallelism = 1,
                                     .mode = WR_EXACTLY_ONCE,
                                     .checkpoint_interval_ms = 1000,
                                     .checkpoint_timeout_ms = 600000,
                                     .checkpoints_retained = 2,
                                     .restart_delay_initial_ms = 1000,
                                     .restart_delay_max_ms = 60000,
                                     .stop_timeout_ms = 30000};
}

const char *wr_job_phase_text(enum wr_job_phase phase) {
  static const char *const texts[] = {"open",   "claim", "deploy",   "settle", "run",
                                      "finish", "stop",  "teardown", "delay",  "over"};
  return texts[phase];
}

void wr_job_log(struct wr_job *job, enum wr_log_level level, const char *format, ...) {
  char text[1536];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  wr_log_write(job->seams->log, level, "job '%s': %s", job->options.name, text);
}

void wr_job_enter(struct wr_job *job, enum wr_job_phase phase) {
  job->phase = phase;
}

static void begin_teardown(struct wr_job *job) {
  if (job->coordinator != NULL) wr_coordinator_stop(job->coordinator);
  job->reset_done = false;
  wr_job_enter(job, WR_JOB_TEARDOWN);
}

void wr_job_fail(struct wr_job *job, const struct weir_error *error) {
  bool transient = weir_code_is_transient(error->code) && !atomic_load(&job->cancel_requested);
  uint64_t now_ns = job->seams->clock->monotonic_ns(job->seams->clock);
  if (job->healthy_since_ns != 0 && now_ns - job->healthy_since_ns > healthy_ns_to_reset)
    job->delay_ms = job->options.restart_delay_initial_ms;
  if (transient && !atomic_load(&job->stop_requested)) {
    wr_job_log(job, WR_LOG_WARN, "%s; the job restarts in %" PRIu64 " ms", error->message, job->delay_ms);
    job->restart = true;
    job->last_failure = *error;
  } else {
    job->restart = false;
    if (job->result.code == WEIR_OK) job->result = *error;
  }
  begin_teardown(job);
}

/* ---- calls of a start ---- */

static struct wr_job *job_of_call(struct wr_call *call) {
  return (struct wr_job *)((char *)call - offsetof(struct wr_job, call));
}

static void run_open(struct wr_call *call) {
  struct wr_job *job = job_of_call(call);
  job->call_code = wr_recovery_open(&job->recovery, &job->call_error);
}

static void run_verify(struct wr_call *call) {
  struct wr_verify_lane *lane = (struct wr_verify_lane *)((char *)call - offsetof(struct wr_verify_lane, call));
  lane->code = wr_recovery_verify(lane->recovery, &lane->error);
}

static void run_compare(struct wr_call *call) {
  struct wr_job *job = job_of_call(call);
  job->call_code = wr_recovery_compare(&job->recovery, &job->call_error);
}

static void run_claim(struct wr_call *call) {
  struct wr_job *job = job_of_call(call);
  job->call_code = wr_recovery_claim(&job->recovery, &job->call_error);
}

static void run_reset(struct wr_call *call) {
  struct wr_job *job = job_of_call(call);
  if (job->restart)
    wr_recovery_reset(&job->recovery);
  else
    wr_recovery_deinit(&job->recovery);
  job->call_code = WEIR_OK;
}

static void begin_call(struct wr_job *job, void (*run)(struct wr_call *call)) {
  job->call.run = run;
  job->call.waker = job->waker;
  job->call_running = true;
  wr_call_submit(job->seams->calls, &job->call);
}

/* True when the call of this phase has ended well; begins it first. */
static bool call_step(struct wr_job *job, void (*run)(struct wr_call *call), enum weir_code *out_code) {
  *out_code = WEIR_OK;
  if (!job->call_running) {
    begin_call(job, run);
    return false;
  }
  if (!wr_call_take_done(&job->call)) return false;
  job->call_running = false;
  *out_code = job->call_code;
  if (job->call_code != WEIR_OK) job->error = job->call_error;
  return job->call_code == WEIR_OK;
}

/* ---- phases ---- */

static void begin_verify(struct wr_job *job) {
  job->open_stage = job->recovery.file_count == 0 ? WR_OPEN_COMPARE : WR_OPEN_VERIFY;
  for (uint32_t i = 0; i < WR_VERIFY_LANES && i < job->recovery.file_count; i++) {
    struct wr_verify_lane *lane = &job->verify_lanes[i];
    lane->recovery = &job->recovery;
    lane->call.run = run_verify;
    lane->call.waker = job->waker;
    lane->is_running = true;
    wr_call_submit(job->seams->calls, &lane->call);
  }
}

static bool verify_is_over(struct wr_job *job) {
  bool is_over = true;
  for (uint32_t i = 0; i < WR_VERIFY_LANES; i++) {
    struct wr_verify_lane *lane = &job->verify_lanes[i];
    lane->is_running = lane->is_running && !wr_call_take_done(&lane->call);
    is_over = is_over && !lane->is_running;
  }
  return is_over;
}

/* What the lanes found: R stands, or the next older one is looked for, or R could not be read at all. */
static enum weir_code judge_verify(struct wr_job *job) {
  const struct weir_error *damage = NULL;
  for (uint32_t i = 0; i < WR_VERIFY_LANES && i < job->recovery.file_count; i++) {
    const struct wr_verify_lane *lane = &job->verify_lanes[i];
    if (lane->code == WEIR_CORRUPT || lane->code == WEIR_NEWER) {
      damage = &lane->error;
    } else if (lane->code != WEIR_OK) {
      job->error = lane->error;
      return lane->code;
    }
  }
  job->open_stage = damage == NULL ? WR_OPEN_COMPARE : WR_OPEN_FIND;
  if (damage != NULL) wr_recovery_pass_over(&job->recovery, damage);
  return WEIR_OK;
}

static enum weir_code step_open(struct wr_job *job, uint64_t now_ns) {
  if (job->open_since_ns == 0) job->open_since_ns = now_ns;
  enum weir_code code;
  if (job->open_stage == WR_OPEN_VERIFY) {
    if (!verify_is_over(job)) return WEIR_OK;
    WR_TRY(judge_verify(job));
  }
  if (job->open_stage == WR_OPEN_FIND) {
    if (!call_step(job, run_open, &code)) return code;
    if (job->recovery.already_finished) {
      job->already_finished = true;
      job->restart = false;
      begin_teardown(job);
      return WEIR_OK;
    }
    begin_verify(job);
    if (job->open_stage == WR_OPEN_VERIFY) return WEIR_OK;
  }
  if (!call_step(job, run_compare, &code)) return code;
  job->open_stage = WR_OPEN_FIND;
  if (job->recovery.goes_back) return step_open(job, now_ns);
  wr_job_enter(job, WR_JOB_CLAIM);
  return WEIR_OK;
}

static enum weir_code step_claim(struct wr_job *job) {
  enum weir_code code;
  if (!call_step(job, run_claim, &code)) return code;
  job->status.start_number = job->store.start_number;
  wr_job_enter(job, WR_JOB_DEPLOY);
  return wr_job_deploy(job);
}

static uint64_t restored_id(const struct wr_job *job) {
  return job->recovery.has_restored ? job->recovery.restored.checkpoint_id : 0;
}

static enum weir_code step_deploy(struct wr_job *job) {
  if (job->deployed_count != job->plan.task_count || !wr_job_sources_ready(job)) return WEIR_OK;
  wr_job_enter(job, WR_JOB_SETTLE);
  return WEIR_OK;
}

static enum weir_code step_settle(struct wr_job *job, uint64_t now_ns) {
  if (job->settled_count != job->committer_count) return WEIR_OK;
  if (!wr_job_splits_arrived(job)) return WEIR_OK; /* only then is it known where the sources stand */
  wr_job_update_status(job);
  job->status.restored_checkpoint = restored_id(job);
  job->status.latest_checkpoint = restored_id(job);
  job->status.source_records_restored = job->status.source_records;
  job->status.recovery_ns = now_ns - job->open_since_ns;
  job->open_since_ns = 0;
  job->healthy_since_ns = now_ns;
  if (restored_id(job) != 0)
    wr_job_log(
        job, WR_LOG_INFO, "restored checkpoint %" PRIu64 " (%" PRIu64 " records before it) in %.1f ms, start %" PRIu64,
        restored_id(job), job->status.source_records, (double)job->status.recovery_ns / 1e6, job->store.start_number);
  else
    wr_job_log(job, WR_LOG_INFO, "begins from the earliest records, start %" PRIu64, job->store.start_number);
  wr_coordinator_start(job->coordinator, now_ns);
  if (job->needs_first_checkpoint) wr_coordinator_request(job->coordinator, WR_CHECKPOINT_REQUESTED);
  wr_job_enter(job, WR_JOB_RUN);
  return WEIR_OK;
}

static enum weir_code step_run(struct wr_job *job) {
  if (!job->reading && !job->needs_first_checkpoint) {
    job->reading = true;
    WR_TRY(wr_attempt_post_all(&job->attempt, true, WR_TASK_READ, 0, &job->error));
  }
  if (job->ended_count == job->plan.task_count) {
    wr_coordinator_request(job->coordinator, WR_CHECKPOINT_FINAL);
    wr_job_enter(job, WR_JOB_FINISH);
  }
  return WEIR_OK;
}

/* The last checkpoint, its commits, the last record. */
static enum weir_code step_last(struct wr_job *job, bool finished) {
  uint64_t id = wr_coordinator_final_completed(job->coordinator);
  if (id == 0 || !wr_job_is_settled_up_to(job, id)) return WEIR_OK;
  if (!job->folder_marked) {
    if (wr_job_folder_is_idle(job)) wr_job_mark_end(job, finished);
    return WEIR_OK;
  }
  job->folder_marked = false;
  if (job->folder_outcome != WR_PUBLISH_DURABLE) {
    job->error = job->folder_error;
    return job->folder_error.code;
  }
  job->restart = false;
  begin_teardown(job);
  return WEIR_OK;
}

static enum weir_code stop_failed(struct wr_job *job) {
  uint64_t waiting = wr_job_waiting_epochs(job);
  if (job->phase < WR_JOB_SETTLE)
    return WR_FAIL(&job->error, WEIR_CHECKPOINT_FAILED,
                   "the job was still starting (%s) %" PRIu64
                   " ms after it was asked to stop; nothing is lost: the next start goes on from the last completed "
                   "checkpoint",
                   wr_job_phase_text(job->phase), job->options.stop_timeout_ms);
  if (job->phase != WR_JOB_SETTLE && wr_coordinator_final_completed(job->coordinator) == 0)
    return WR_FAIL(&job->error, WEIR_CHECKPOINT_FAILED,
                   "the last checkpoint could not be made within %" PRIu64 " ms (%" PRIu64
                   " epochs wait); nothing is lost: the next start goes on from checkpoint %" PRIu64,
                   job->options.stop_timeout_ms, waiting, wr_coordinator_latest_completed(job->coordinator));
  return WR_FAIL(&job->error, WEIR_COMMIT_WAITS,
                 "%" PRIu64 " epochs wait to be committed and could not be within %" PRIu64
                 " ms; nothing is lost: the next start commits them first",
                 waiting, job->options.stop_timeout_ms);
}

/* The sources are not ready (a broker is waited for), so nothing was read since R, and what R carried is committed:
 * there is nothing that a last checkpoint could keep. */
static bool has_nothing_to_keep(const struct wr_job *job) {
  return job->deployed_count == job->plan.task_count && job->settled_count == job->committer_count &&
         !wr_job_sources_ready(job);
}

/* A stop that was asked for: at once while the job waits to restart or for its sources, else by a last checkpoint, as
 * soon as it runs (what was restored is committed first). A job that is about to finish may do so, but has no more time
 * than another.
 */
static enum weir_code check_stop(struct wr_job *job, uint64_t now_ns, uint64_t *wake_at_ns) {
  if (!atomic_load(&job->stop_requested)) return WEIR_OK;
  if (job->stop_since_ns == 0) job->stop_since_ns = now_ns;
  switch (job->phase) {
  case WR_JOB_DELAY:
    job->restart = false;
    WR_FAIL(
        &job->result, WEIR_CHECKPOINT_FAILED,
        "stopped while it waited to restart, without a last checkpoint; nothing is lost: the next start goes on from "
        "the last completed one (the failure was: %.600s)",
        job->last_failure.message);
    begin_teardown(job);
    return WEIR_OK;
  case WR_JOB_RUN:
    WR_TRY(wr_attempt_post_all(&job->attempt, true, WR_TASK_STOP_READING, 0, &job->error));
    wr_coordinator_request(job->coordinator, WR_CHECKPOINT_FINAL);
    wr_job_enter(job, WR_JOB_STOP);
    break;
  case WR_JOB_DEPLOY:
    if (!has_nothing_to_keep(job)) break;
    wr_job_log(job, WR_LOG_INFO, "stopped before its sources were ready; nothing was read since checkpoint %" PRIu64,
               restored_id(job));
    job->restart = false;
    begin_teardown(job);
    return WEIR_OK;
  case WR_JOB_OPEN:
  case WR_JOB_CLAIM:
  case WR_JOB_SETTLE:
  case WR_JOB_FINISH:
  case WR_JOB_STOP:
    break;
  case WR_JOB_TEARDOWN:
  case WR_JOB_OVER:
    return WEIR_OK;
  }
  uint64_t deadline_ns = job->stop_since_ns + job->options.stop_timeout_ms * 1000000u;
  if (now_ns >= deadline_ns) return stop_failed(job);
  if (deadline_ns < *wake_at_ns) *wake_at_ns = deadline_ns;
  return WEIR_OK;
}

/* ---- teardown and delay ---- */

static void after_teardown(struct wr_job *job, uint64_t now_ns) {
  wr_job_free_attempt(job);
  if (!job->restart) {
    wr_job_enter(job, WR_JOB_OVER);
    return;
  }
  job->status.restarts++;
  uint64_t jitter = 0;
  job->seams->entropy->fill(job->seams->entropy, &jitter, sizeof jitter);
  uint64_t spread_ms = job->delay_ms / 10 + 1;
  job->delay_until_ns = now_ns + (job->delay_ms + jitter % spread_ms) * 1000000u;
  job->delay_ms += (job->delay_ms + 1) / 2;
  if (job->delay_ms > job->options.restart_delay_max_ms) job->delay_ms = job->options.restart_delay_max_ms;
  job->healthy_since_ns = 0;
  job->open_since_ns = now_ns;
  wr_job_enter(job, WR_JOB_DELAY);
}

static bool step_teardown(struct wr_job *job, uint64_t now_ns) {
  if (job->call_running) { /* an OPEN or CLAIM that a cancel overtook, or the reset below */
    if (!wr_call_take_done(&job->call)) return false;
    job->call_running = false;
    if (job->call.run == run_reset) job->reset_done = true;
  }
  if (!verify_is_over(job)) return false;
  job->open_stage = WR_OPEN_FIND;
  if (job->has_attempt && job->attempt.attached && !job->cancel_sent) {
    wr_attempt_cancel(&job->attempt);
    job->cancel_sent = true;
  }
  if (job->has_attempt && !wr_attempt_is_detached(&job->attempt)) return false;
  if (!wr_job_sources_idle(job) || !wr_job_folder_is_idle(job)) return false;
  if (!job->reset_done) {
    begin_call(job, run_reset);
    return true;
  }
  after_teardown(job, now_ns);
  return true;
}

static void handle_events(struct wr_job *job, uint64_t now_ns, bool *out_progress) {
  struct wr_message *message = wr_mailbox_take(&job->mailbox);
  while (message != NULL) {
    struct wr_message *next = message->next;
    struct wr_task_event *event = (struct wr_task_event *)message;
    *out_progress = true;
    job->error.code = WEIR_OK;
    if (wr_job_handle_event(job, event, now_ns) != WEIR_OK) wr_job_fail(job, &job->error);
    wr_task_event_free(job->memory, event);
    message = next;
  }
}

static enum weir_code step_phase(struct wr_job *job, uint64_t now_ns, uint64_t *wake_at_ns, bool *out_progress) {
  bool running = job->phase >= WR_JOB_DEPLOY && job->phase <= WR_JOB_STOP;
  if (running) WR_TRY(wr_job_step_sources(job, now_ns, wake_at_ns, out_progress));
  if (running) WR_TRY(wr_job_step_checkpoints(job, now_ns, wake_at_ns, out_progress));
  if (running) WR_TRY(wr_job_step_folder(job, now_ns, out_progress));
  WR_TRY(check_stop(job, now_ns, wake_at_ns));
  switch (job->phase) {
  case WR_JOB_OPEN:
    return step_open(job, now_ns);
  case WR_JOB_CLAIM:
    return step_claim(job);
  case WR_JOB_DEPLOY:
    return step_deploy(job);
  case WR_JOB_SETTLE:
    return step_settle(job, now_ns);
  case WR_JOB_RUN:
    return step_run(job);
  case WR_JOB_FINISH:
    return step_last(job, true);
  case WR_JOB_STOP:
    return step_last(job, false);
  case WR_JOB_DELAY:
    if (now_ns >= job->delay_until_ns)
      wr_job_enter(job, WR_JOB_OPEN);
    else if (job->delay_until_ns < *wake_at_ns)
      *wake_at_ns = job->delay_until_ns;
    return WEIR_OK;
  case WR_JOB_TEARDOWN:
  case WR_JOB_OVER:
    break;
  }
  return WEIR_OK;
}

static void check_cancel(struct wr_job *job) {
  if (!atomic_load(&job->cancel_requested) || job->phase == WR_JOB_TEARDOWN || job->phase == WR_JOB_OVER) return;
  job->restart = false;
  if (job->result.code == WEIR_OK)
    WR_FAIL(&job->result, WEIR_CANCELLED, "cancelled; the next start goes on from the last completed checkpoint");
  begin_teardown(job);
}

static enum wr_progress job_step(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  struct wr_job *job = (struct wr_job *)steppable;
  bool progress = false;
  enum wr_job_phase before = job->phase;
  handle_events(job, now_ns, &progress);
  check_cancel(job);
  if (job->phase == WR_JOB_TEARDOWN) {
    if (job->folder_job != WR_FOLDER_IDLE) wr_job_step_folder(job, now_ns, &progress);
    progress = step_teardown(job, now_ns) || progress;
  } else {
    job->error.code = WEIR_OK;
    enum weir_code code = step_phase(job, now_ns, wake_at_ns, &progress);
    if (code != WEIR_OK) wr_job_fail(job, &job->error);
  }
  wr_job_update_status(job);
  if (job->phase == WR_JOB_OVER) return WR_PROGRESS_DONE;
  return progress || job->phase != before ? WR_PROGRESS_MADE : WR_PROGRESS_NONE;
}

/* ---- life ---- */

enum weir_code wr_job_new(const struct wr_graph *graph, const struct wr_job_options *options, struct wr_seams *seams,
                          const struct wr_host *host, struct wr_job **out_job, struct weir_error *error) {
  if (options->checkpoints_retained == 0 || options->checkpoints_retained > WR_RETAINED_MAX / 4)
    return WR_FAIL(error, WEIR_INVALID, "the number of retained checkpoints must be 1 to %d", WR_RETAINED_MAX / 4);
  struct wr_job *job = wr_alloc_zeroed(seams->memory, 1, sizeof *job, WR_MEMORY_ENGINE);
  if (job == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a job");
  job->graph = graph;
  job->options = *options;
  job->seams = seams;
  job->host = host;
  job->memory = seams->memory;
  job->waker = host->workers[0].waker;
  job->steppable = (struct wr_steppable){.step = job_step, .name = "master"};
  job->delay_ms = options->restart_delay_initial_ms;
  atomic_flag_clear(&job->status_lock);
  job->store = (struct wr_store){.seams = seams, .folder = options->folder, .job_name = options->name};
  job->recovery = (struct wr_recovery){.seams = seams,
                                       .rejected_rows = &job->rejected_rows,
                                       .store = &job->store,
                                       .graph = graph,
                                       .folder_path = options->folder,
                                       .job_name = options->name,
                                       .max_parallelism = options->max_parallelism,
                                       .fresh = options->fresh,
                                       .accept_duplicates = options->accept_duplicates,
                                       .accept_loss = options->accept_loss,
                                       .allow_non_restored = options->allow_non_restored,
                                       .bounded = options->bounded};
  enum weir_code code = wr_plan_new(graph, seams->memory, options->parallelism, &job->plan, error);
  if (code != WEIR_OK) {
    wr_free(job->memory, job);
    return code;
  }
  *out_job = job;
  return WEIR_OK;
}

void wr_job_start(struct wr_job *job) {
  wr_worker_attach(&job->host->workers[0], &job->steppable);
}

static void request(struct wr_job *job, atomic_bool *flag) {
  atomic_store(flag, true);
  job->waker->wake(job->waker);
}

void wr_job_stop(struct wr_job *job) {
  request(job, &job->stop_requested);
}

void wr_job_cancel(struct wr_job *job) {
  request(job, &job->cancel_requested);
}

void wr_job_request_checkpoint(struct wr_job *job) {
  request(job, &job->checkpoint_requested);
}

bool wr_job_is_over(const struct wr_job *job) {
  return atomic_load_explicit(&job->steppable.detached, memory_order_acquire);
}

enum weir_code wr_job_result(const struct wr_job *job, bool *out_already_finished, struct weir_error *error) {
  if (out_already_finished != NULL) *out_already_finished = job->already_finished;
  if (error != NULL) *error = job->result;
  return job->result.code;
}

void wr_job_read_status(struct wr_job *job, struct wr_job_status *out_status) {
  wr_job_lock(job);
  *out_status = job->shown;
  wr_job_unlock(job);
}

void wr_job_each_task(struct wr_job *job,
                      void (*each)(void *argument, const char *name, const struct wr_task_metrics *metrics),
                      void *argument) {
  wr_job_lock(job);
  if (job->has_attempt)
    for (uint32_t i = 0; i < job->attempt.task_count; i++)
      each(argument, wr_task_name(job->attempt.tasks[i]), wr_task_metrics(job->attempt.tasks[i]));
  wr_job_unlock(job);
}

void wr_job_free(struct wr_job *job) {
  if (job == NULL) return;
  wr_plan_deinit(&job->plan);
  wr_free(job->memory, job);
}
