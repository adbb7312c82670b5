/* The master in the simulated world, with a source and a target of the test's own. */
#include "runtime/job_int.h"
#include "runtime/test_small_job.h"

static const uint64_t FOREVER = UINT64_MAX;

/* ---- what the log said ---- */

struct heard {
  uint64_t ids[4096]; /* checkpoints that completed or failed, in order */
  uint32_t id_count;
  uint32_t errors; /* lines at level ERROR */
};

static void hear(void *context, enum wr_log_level level, const char *text) {
  struct heard *heard = context;
  if (level == WR_LOG_ERROR) heard->errors++;
  const char *at = strstr(text, "checkpoint ");
  if (at == NULL || (strstr(at, " completed in") == NULL && strstr(at, " failed: ") == NULL)) return;
  if (heard->id_count < sizeof heard->ids / sizeof heard->ids[0])
    heard->ids[heard->id_count++] = strtoull(at + strlen("checkpoint "), NULL, 10);
}

/* Opening anything whose path begins so fails, always. */
static void break_files(struct small_job *small, const char *prefix) {
  struct sim_fault_plan *plan = sim_world_faults(small->world);
  plan->rule_count = 1;
  plan->rules[0] = (struct sim_fault_rule){.one_in = {[SIM_FAULT_OPEN_ERROR] = 1}};
  snprintf(plan->rules[0].prefix, sizeof plan->rules[0].prefix, "%s", prefix);
}

static void mend_files(struct small_job *small) {
  sim_world_faults(small->world)->rule_count = 0;
}

/* ---- ends ---- */

TEST(a_bounded_job_finishes_once) {
  struct small_job small;
  struct weir_error error;
  bool already = true;
  small_init(&small, test_seed(), 500);
  small_start(&small, 1);
  CHECK_INT(small_end(&small, &already, &error), WEIR_OK);
  CHECK(!already);
  CHECK_INT(small.rows, 500);
  uint64_t start_number = small.marker.start_number;
  small_start(&small, 2);
  CHECK_INT(small_end(&small, &already, &error), WEIR_OK);
  CHECK(already);
  CHECK_INT(small.rows, 500);
  CHECK_INT(small.marker.start_number, start_number);
  small_deinit(&small);
}

TEST(a_stop_leaves_nothing_in_doubt) {
  struct small_job small;
  struct weir_error error;
  small_init(&small, test_seed(), FOREVER);
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_RUN));
  small_run_ms(&small, 200);
  wr_job_stop(small.job);
  CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
  CHECK(small.rows > 0);
  uint64_t rows = small.rows;
  small_start(&small, 2);
  CHECK(small_reach(&small, WR_JOB_RUN));
  struct wr_job_status status;
  wr_job_read_status(small.job, &status);
  CHECK(status.restored_checkpoint != 0);
  CHECK_INT(small.rows, rows); /* nothing waited */
  small_run_ms(&small, 200);
  wr_job_stop(small.job);
  CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
  CHECK(small.rows > rows);
  small_deinit(&small);
}

/* The target forgot the marker while the job was stopped: it goes on, and commits nothing again; also when the first
 * claim fails, and when the process dies before any claim has succeeded. */
TEST(a_marker_that_was_forgotten_after_a_stop) {
  for (int fails = 0; fails < 3; fails++) {
    struct small_job small;
    struct weir_error error;
    small_init(&small, test_seed(), FOREVER);
    small.forgets = true;
    small_start(&small, 1);
    CHECK(small_reach(&small, WR_JOB_RUN));
    small_run_ms(&small, 200);
    wr_job_stop(small.job);
    CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
    uint64_t rows = small.rows, checkpoint = small.marker.checkpoint_id;
    CHECK(rows > 0);
    small.marker = (struct wr_marker){.present = false};
    small.claim = (struct small_fault){.code = WEIR_IO, .times = fails < 2 ? fails : 1000};
    small_start(&small, 2);
    if (fails == 2) {
      small_run_ms(&small, 200);
      small_kill(&small);
      CHECK(small.claim.times < 1000);
      small.claim.times = 0;
      small_start(&small, 2);
    }
    CHECK(small_reach(&small, WR_JOB_RUN));
    CHECK_INT(small.rows, rows);
    CHECK(small.marker.present && small.marker.checkpoint_id >= checkpoint);
    small_run_ms(&small, 200);
    small_kill(&small);
    small_start(&small, 3); /* and from now on it must be there */
    CHECK(small_reach(&small, WR_JOB_RUN));
    small_kill(&small);
    small.marker = (struct wr_marker){.present = false};
    small_start(&small, 4);
    CHECK_INT(small_end(&small, NULL, &error), WEIR_REFUSED);
    CHECK(strstr(error.message, "offsets.retention.minutes") != NULL);
    small_deinit(&small);
  }
}

/* ---- a stop or a cancel at any moment ---- */

static void interrupted(uint64_t seed, bool stop) {
  for (uint64_t steps = 0; steps < 400; steps += 1 + steps / 40) {
    struct small_job small;
    struct weir_error error = {.code = WEIR_OK};
    small_init(&small, seed + steps, 300);
    small_start(&small, seed);
    for (uint64_t i = 0; i < steps && small_step_once(&small); i++) {
    }
    if (stop)
      wr_job_stop(small.job);
    else
      wr_job_cancel(small.job);
    enum weir_code code = small_end(&small, NULL, &error);
    if (code != WEIR_OK && (stop || code != WEIR_CANCELLED)) TEST_FAIL("after %d steps: %s", (int)steps, error.message);
    small_start(&small, seed + 1);
    code = small_end(&small, NULL, &error);
    if (code != WEIR_OK) TEST_FAIL("after %d steps, again: %s", (int)steps, error.message);
    CHECK_INT(small.rows, 300);
    small_deinit(&small);
    CHECK_PASSED();
  }
}

TEST(a_stop_at_any_step) {
  interrupted(test_seed(), true);
}

TEST(a_cancel_at_any_step) {
  interrupted(test_seed(), false);
}

/* ---- stops that cannot end well ---- */

/* Stops now; the job must end by `code` about stop_timeout_ms later. */
static void ends_in_time(struct small_job *small, enum weir_code code) {
  struct weir_error error;
  uint64_t before_ns = sim_world_now_ns(small->world);
  wr_job_stop(small->job);
  CHECK_INT(small_end(small, NULL, &error), code);
  uint64_t took_ms = (sim_world_now_ns(small->world) - before_ns) / 1000000;
  if (took_ms < small->options.stop_timeout_ms - 1 || took_ms > small->options.stop_timeout_ms + 500)
    TEST_FAIL("it took %d ms: %s", (int)took_ms, error.message);
}

/* A source that waits for its broker: nothing was read, so nothing is to be kept, and nobody is kept waiting. */
TEST(a_stop_while_the_sources_are_not_ready) {
  struct small_job small;
  struct weir_error error;
  small_init(&small, test_seed(), FOREVER);
  small.never_ready = true;
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_DEPLOY));
  small_run_ms(&small, 20000);
  CHECK_INT(small_phase(&small), WR_JOB_DEPLOY);
  uint64_t before_ns = sim_world_now_ns(small.world);
  wr_job_stop(small.job);
  CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
  CHECK(sim_world_now_ns(small.world) - before_ns < 500ull * 1000 * 1000);
  small.never_ready = false;
  small_start(&small, 2);
  CHECK(small_reach(&small, WR_JOB_RUN));
  small_kill(&small);
  small_deinit(&small);
}

/* The same with epochs of R that nobody takes: those are what a stop waits for. */
TEST(a_stop_while_the_job_cannot_start) {
  struct small_job small;
  small_init(&small, test_seed(), FOREVER);
  small.commit = (struct small_fault){WEIR_BUSY, -1};
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_RUN));
  small_run_ms(&small, 200);
  small_kill(&small);
  small.never_ready = true;
  small_start(&small, 2);
  CHECK(small_reach(&small, WR_JOB_DEPLOY));
  small_run_ms(&small, 20000);
  CHECK_INT(small_phase(&small), WR_JOB_DEPLOY);
  ends_in_time(&small, WEIR_CHECKPOINT_FAILED);
  small_deinit(&small);
}

TEST(a_stop_while_the_restored_cannot_be_committed) {
  struct small_job small;
  small_init(&small, test_seed(), FOREVER);
  small.commit = (struct small_fault){WEIR_BUSY, -1};
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_RUN));
  small_run_ms(&small, 200);
  small_kill(&small);
  small_start(&small, 2);
  CHECK(small_reach(&small, WR_JOB_SETTLE));
  small_run_ms(&small, 20000); /* longer than the limit of a stop: that counts from the stop */
  CHECK_INT(small_phase(&small), WR_JOB_SETTLE);
  ends_in_time(&small, WEIR_COMMIT_WAITS);
  small_deinit(&small);
}

TEST(a_stop_while_nothing_can_be_committed) {
  struct small_job small;
  small_init(&small, test_seed(), FOREVER);
  small.commit = (struct small_fault){WEIR_BUSY, -1};
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_RUN));
  small_run_ms(&small, 200);
  ends_in_time(&small, WEIR_COMMIT_WAITS);
  small_deinit(&small);
}

TEST(a_stop_while_no_checkpoint_can_be_made) {
  struct small_job small;
  small_init(&small, test_seed(), FOREVER);
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_RUN));
  small_run_ms(&small, 200);
  break_files(&small, "/state/small/chk-");
  ends_in_time(&small, WEIR_CHECKPOINT_FAILED);
  small_deinit(&small);
}

TEST(a_stop_of_a_job_that_cannot_finish) {
  struct small_job small;
  small_init(&small, test_seed(), 50);
  small.commit = (struct small_fault){WEIR_BUSY, -1};
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_FINISH));
  small_run_ms(&small, 1000);
  ends_in_time(&small, WEIR_COMMIT_WAITS);
  small.commit = (struct small_fault){WEIR_OK, 0};
  small_start(&small, 2);
  struct weir_error error;
  CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
  CHECK_INT(small.rows, 50);
  small_deinit(&small);
}

/* ---- restarts ---- */

TEST(delays_grow_and_are_capped) {
  struct small_job small;
  small_init(&small, test_seed(), 50);
  small.connect = (struct small_fault){WEIR_IO, 6};
  small_start(&small, 1);
  static const uint64_t expected_ms[] = {100, 150, 225, 300, 300, 300};
  for (size_t i = 0; i < 6; i++) {
    CHECK(small_reach(&small, WR_JOB_DELAY));
    uint64_t before_ns = sim_world_now_ns(small.world);
    CHECK(small_reach(&small, WR_JOB_OPEN));
    /* The clock was read within the step that began the delay, a little before. */
    uint64_t ms = (sim_world_now_ns(small.world) - before_ns + 999999) / 1000000;
    if (ms < expected_ms[i] || ms > expected_ms[i] * 11 / 10 + 2)
      TEST_FAIL("delay %d took %d ms, not %d", (int)i, (int)ms, (int)expected_ms[i]);
  }
  struct weir_error error;
  CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
  CHECK_INT(small.rows, 50);
  small_deinit(&small);
}

TEST(a_permanent_error_ends_the_job) {
  struct small_job small;
  struct weir_error error;
  small_init(&small, test_seed(), 50);
  small.connect = (struct small_fault){WEIR_DENIED, -1};
  small_start(&small, 1);
  CHECK_INT(small_end(&small, NULL, &error), WEIR_DENIED);
  small.connect = (struct small_fault){WEIR_OK, 0};
  small.commit = (struct small_fault){WEIR_CONSTRAINT, -1};
  small_start(&small, 2);
  CHECK_INT(small_end(&small, NULL, &error), WEIR_CONSTRAINT);
  CHECK_INT(small.rows, 0);
  small_deinit(&small);
}

TEST(a_stop_ends_a_restart_loop) {
  struct small_job small;
  struct weir_error error;
  small_init(&small, test_seed(), 50);
  small.connect = (struct small_fault){WEIR_IO, -1};
  small_start(&small, 1);
  for (int i = 0; i < 3; i++)
    CHECK(small_reach(&small, WR_JOB_OPEN) && small_reach(&small, WR_JOB_DELAY));
  wr_job_stop(small.job);
  CHECK_INT(small_end(&small, NULL, &error), WEIR_CHECKPOINT_FAILED);
  small_start(&small, 2); /* and one that fails while it opens */
  wr_job_stop(small.job);
  CHECK_INT(small_end(&small, NULL, &error), WEIR_IO);
  small_deinit(&small);
}

/* ---- checkpoints that fail ---- */

TEST(failed_checkpoints_leave_the_job_running) {
  struct small_job small;
  struct heard heard = {.errors = 0};
  small_init(&small, test_seed(), FOREVER);
  sim_world_on_log(small.world, hear, &heard);
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_RUN));
  small_run_ms(&small, 200);
  struct wr_job_status before, after;
  wr_job_read_status(small.job, &before);
  break_files(&small, "/state/small/chk-");
  CHECK_INT(heard.errors, 0);
  small_run_ms(&small, 300);
  wr_job_read_status(small.job, &after);
  CHECK(after.phase == WR_JOB_RUN && after.restarts == 0);
  CHECK(after.checkpoints_failed >= before.checkpoints_failed + 3);
  CHECK(after.source_records > before.source_records);
  CHECK(heard.errors >= 1);
  CHECK(heard.errors <= (after.checkpoints_failed - before.checkpoints_failed) / 3);
  mend_files(&small);
  small_run_ms(&small, 200);
  struct weir_error error;
  wr_job_stop(small.job);
  CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
  small_deinit(&small);
}

/* Nothing is read before the first checkpoint, and one that fails is not tried again at once. */
TEST(the_first_checkpoint_is_tried_again_after_the_interval) {
  struct small_job small;
  small_init(&small, test_seed(), 50);
  break_files(&small, "/state/small/chk-");
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_RUN));
  small_run_ms(&small, 1000);
  struct wr_job_status status;
  wr_job_read_status(small.job, &status);
  CHECK_INT(status.source_records, 0);
  CHECK(status.checkpoints_failed >= 3);
  CHECK(status.checkpoints_failed <= 1000 / small.options.checkpoint_interval_ms + 1);
  mend_files(&small);
  struct weir_error error;
  CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
  CHECK_INT(small.rows, 50);
  small_deinit(&small);
}

TEST(ids_are_never_used_twice) {
  struct small_job small;
  struct heard heard = {.errors = 0};
  uint64_t seed = test_seed();
  struct wr_random random = wr_random_of(seed);
  small_init(&small, seed, FOREVER);
  sim_world_on_log(small.world, hear, &heard);
  for (int life = 0; life < 12; life++) {
    if (life % 3 == 1)
      break_files(&small, "/state/small/chk-");
    else
      mend_files(&small);
    small_start(&small, seed + (uint64_t)life);
    small_run_ms(&small, 50 + wr_random_below(&random, 150));
    CHECK(!wr_job_is_over(small.job));
    small_kill(&small);
  }
  mend_files(&small);
  small_start(&small, seed);
  CHECK(small_reach(&small, WR_JOB_RUN));
  /* Some lives are too short for any. */
  for (int i = 0; i < 100 && heard.id_count <= 20; i++)
    small_run_ms(&small, 100);
  CHECK(heard.id_count > 20);
  wr_job_stop(small.job);
  struct weir_error error;
  CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
  for (uint32_t i = 1; i < heard.id_count; i++)
    if (heard.ids[i] <= heard.ids[i - 1]) TEST_FAIL("id %d after %d", (int)heard.ids[i], (int)heard.ids[i - 1]);
  small_deinit(&small);
}

/* A clean-up becomes due while a checkpoint is being published, as when one that was given up leaves a file behind
 * while the clean-up before is slow: the new checkpoint stays. */
TEST(a_clean_up_during_a_publish_leaves_the_newest_checkpoint) {
  struct small_job small;
  uint64_t publishes = 0;
  small_init(&small, test_seed(), FOREVER);
  small_start(&small, 1);
  CHECK(small_reach(&small, WR_JOB_RUN));
  for (int step = 0; step < 20000; step++) {
    CHECK(sim_host_step(&small.host, UINT64_MAX));
    publishes += small.job->folder_job == WR_FOLDER_PUBLISH && !small.job->clean_up_due;
    if (small.job->folder_job == WR_FOLDER_PUBLISH) small.job->clean_up_due = true;
    struct wr_job_status status;
    wr_job_read_status(small.job, &status);
    char path[64];
    snprintf(path, sizeof path, "/state/small/chk-%" PRIu64, status.latest_checkpoint);
    if (status.latest_checkpoint != 0 && !sim_disk_exists(small.world, path)) TEST_FAIL("%s was removed", path);
  }
  CHECK(publishes > 5);
  small_kill(&small);
  small_deinit(&small);
}

/* ---- options that are asked for once ---- */

/* The claim fails after the new incarnation became durable: the restart within the process still knows what was asked.
 */
TEST(fresh_outlasts_a_claim_that_fails) {
  struct small_job small;
  struct weir_error error;
  small_init(&small, test_seed(), 50);
  small_start(&small, 1);
  CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
  small.options.fresh = true;
  small.claim = (struct small_fault){WEIR_IO, 2};
  small_start(&small, 2);
  enum weir_code code = small_end(&small, NULL, &error);
  if (code != WEIR_OK) TEST_FAIL("%s", error.message);
  CHECK_INT(small.rows, 100);
  CHECK(sim_disk_exists(small.world, "/state/small.old-1"));
  CHECK(!sim_disk_exists(small.world, "/state/small.old-2"));
  small_deinit(&small);
}

TEST(accepted_loss_outlasts_a_claim_that_fails) {
  for (int loss = 0; loss < 2; loss++) {
    struct small_job small;
    struct weir_error error;
    small_init(&small, test_seed(), FOREVER);
    small_start(&small, 1);
    CHECK(small_reach(&small, WR_JOB_RUN));
    small_run_ms(&small, 200);
    small_kill(&small);
    CHECK(small.marker.checkpoint_id != 0);
    small.marker.checkpoint_id = 0; /* the target forgot what it had */
    small_start(&small, 2);
    CHECK_INT(small_end(&small, NULL, &error), WEIR_REFUSED);
    small.options.accept_loss = loss == 1;
    small.options.accept_duplicates = loss == 0;
    small.claim = (struct small_fault){WEIR_IO, 2};
    small_start(&small, 3);
    if (!small_reach(&small, WR_JOB_RUN)) TEST_FAIL("it is over before it runs");
    wr_job_stop(small.job);
    CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
    small_deinit(&small);
    CHECK_PASSED();
  }
}

/* The marker fits, but what R carries above it is not beside the target any more: that is asked before anything is
 * changed, and an answer that may be another later is waited for. An older checkpoint may lack nothing. */
TEST(carried_parts_that_are_gone) {
  for (int accept = 0; accept < 4; accept++) {
    struct small_job small;
    struct weir_error error;
    struct wr_job_status status;
    small_init(&small, test_seed(), FOREVER);
    small.commit = (struct small_fault){WEIR_BUSY, -1};
    small_start(&small, 1);
    CHECK(small_reach(&small, WR_JOB_RUN));
    small_run_ms(&small, 300);
    wr_job_read_status(small.job, &status);
    uint64_t start = status.start_number, rows = small.rows;
    CHECK(status.checkpoints_completed > 1);
    uint64_t newest = status.latest_checkpoint;
    small_kill(&small);
    small.commit = (struct small_fault){WEIR_OK, 0};
    small.carried = (struct small_fault){WEIR_REFUSED, -1};
    small_start(&small, 2);
    CHECK_INT(small_end(&small, NULL, &error), WEIR_REFUSED);
    CHECK(strstr(error.message, "the target of sink 'sink' was replaced or has lost data: the target does not want to; "
                                "put it back, or go on without it with --accept-duplicates") != NULL);
    CHECK(small.carried_epochs > 0 && small.rows == rows && small.marker.start_number == start);
    small.options.accept_loss = accept == 1;
    small.options.accept_duplicates = accept == 2;
    small.carried = (struct small_fault){accept == 0 ? WEIR_BUSY : WEIR_REFUSED, accept == 0 ? 2 : 1};
    small_start(&small, 3);
    CHECK(small_reach(&small, WR_JOB_RUN));
    CHECK((small.rows > rows) == (accept != 1));
    wr_job_read_status(small.job, &status);
    CHECK((status.restored_checkpoint == newest) == (accept != 3));
    wr_job_stop(small.job);
    CHECK_INT(small_end(&small, NULL, &error), WEIR_OK);
    small_deinit(&small);
    CHECK_PASSED();
  }
}

TEST_MAIN(TEST_CASE(a_bounded_job_finishes_once), TEST_CASE(a_stop_leaves_nothing_in_doubt),
          TEST_CASE(a_marker_that_was_forgotten_after_a_stop), TEST_CASE(a_stop_at_any_step),
          TEST_CASE(a_cancel_at_any_step), TEST_CASE(a_stop_while_the_sources_are_not_ready),
          TEST_CASE(a_stop_while_the_job_cannot_start), TEST_CASE(a_stop_while_the_restored_cannot_be_committed),
          TEST_CASE(a_stop_while_nothing_can_be_committed), TEST_CASE(a_stop_while_no_checkpoint_can_be_made),
          TEST_CASE(a_stop_of_a_job_that_cannot_finish), TEST_CASE(delays_grow_and_are_capped),
          TEST_CASE(a_permanent_error_ends_the_job), TEST_CASE(a_stop_ends_a_restart_loop),
          TEST_CASE(failed_checkpoints_leave_the_job_running),
          TEST_CASE(the_first_checkpoint_is_tried_again_after_the_interval), TEST_CASE(ids_are_never_used_twice),
          TEST_CASE(a_clean_up_during_a_publish_leaves_the_newest_checkpoint),
          TEST_CASE(fresh_outlasts_a_claim_that_fails), TEST_CASE(accepted_loss_outlasts_a_claim_that_fails),
          TEST_CASE(carried_parts_that_are_gone))
