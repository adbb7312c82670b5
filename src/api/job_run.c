/* api/job_run.c: waiting for a job in the program's own thread, with signals, a progress line and the metrics file. */
#include "api/job_int.h"

#include "os/park.h"
#include "os/signals.h"

#include <inttypes.h>
#include <stdio.h>

enum { LOOK_NS = 10 * 1000 * 1000, PROGRESS_NS = 500 * 1000 * 1000, METRICS_NS = 50 * 1000 * 1000 };

struct progress {
  bool is_on;
  bool is_shown;
  uint64_t shown_ns;
  uint64_t records; /* when it was last shown */
};

static void show_progress(struct weir_job *job, struct progress *progress, uint64_t now_ns) {
  if (!progress->is_on || now_ns - progress->shown_ns < PROGRESS_NS) return;
  struct wr_job_status status;
  wr_job_read_status(job->job, &status);
  uint64_t passed_ns = now_ns - progress->shown_ns;
  uint64_t new_records = status.source_records > progress->records ? status.source_records - progress->records : 0;
  double rate = progress->is_shown ? (double)new_records * 1e9 / (double)passed_ns : 0;
  fprintf(stderr, "\r\033[K%s: %s, %" PRIu64 " records, %.0f/s, checkpoint %" PRIu64 "\r", job->name,
          wr_job_phase_text(status.phase), status.source_records, rate, status.latest_checkpoint);
  fflush(stderr);
  progress->records = status.source_records;
  progress->shown_ns = now_ns;
  progress->is_shown = true;
}

static void end_progress(const struct progress *progress) {
  if (progress->is_shown) fputs("\r\033[K", stderr);
}

/* ---- the metrics file ---- */

struct metrics_file {
  bool is_on;
  uint64_t written_ns;
};

/* A reader finds the old text or the new one, whole. It is not synced: after a power cut nobody needs it. */
static enum weir_code replace_file(struct wr_files *files, const char *path, const char *text, size_t length,
                                   struct weir_error *error) {
  char temporary[WR_PATH_BYTES_MAX + sizeof ".tmp"];
  struct wr_file *file = NULL;
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  WR_TRY(files->open(files, temporary, WR_FILE_WRITE, &file, error));
  enum weir_code code = files->truncate(files, file, 0, error);
  if (code == WEIR_OK) code = wr_file_write_all(files, file, 0, text, length, NULL, error);
  enum weir_code closed = files->close(files, file, code == WEIR_OK ? error : NULL);
  WR_TRY(code);
  WR_TRY(closed);
  return files->rename(files, temporary, path, error);
}

static void write_metrics(struct weir_job *job, struct metrics_file *metrics, uint64_t now_ns) {
  if (!metrics->is_on || now_ns - metrics->written_ns < METRICS_NS) return;
  metrics->written_ns = now_ns;
  struct wr_memory *memory = job->posix.seams.memory;
  struct weir_error error = {.code = WEIR_OK};
  size_t size = weir_job_metrics(job, NULL, 0) + 1024; /* numbers grow meanwhile, and tasks may come */
  char *text = wr_alloc(memory, size, WR_MEMORY_ENGINE);
  size_t length = text == NULL ? size : weir_job_metrics(job, text, size - 1);
  if (length < size - 1) {
    text[length++] = '\n';
    if (replace_file(job->posix.seams.files, job->metrics_path, text, length, &error) != WEIR_OK) {
      wr_log_write(job->posix.seams.log, WR_LOG_WARN, "the metrics are no longer written: %s", error.message);
      metrics->is_on = false;
    }
  }
  wr_free(memory, text);
}

/* ---- waiting ---- */

/* The first signal stops the job, the second the process. */
static void handle_signal(struct weir_job *job, uint32_t count) {
  if (count > 1) wr_exit_now(1);
  wr_log_write(job->posix.seams.log, WR_LOG_INFO, "stopping with a checkpoint; a second signal ends at once, without");
  weir_job_stop(job);
}

enum weir_code weir_job_run(struct weir_job *job, unsigned flags, struct weir_error *error) {
  struct wr_clock *clock = job->posix.seams.clock;
  bool takes_signals = (flags & WEIR_RUN_SIGNALS) != 0;
  struct progress progress = {.is_on = (flags & WEIR_RUN_PROGRESS) != 0 && wr_stderr_is_terminal(),
                              .shown_ns = clock->monotonic_ns(clock)};
  struct metrics_file metrics = {.is_on = job->metrics_path[0] != 0};
  struct wr_signals signals;
  struct wr_parker parker;
  uint32_t signal_count = 0;
  wr_parker_init(&parker);
  if (takes_signals) wr_signals_block(&signals);
  while (!wr_job_is_over(job->job)) {
    if (!takes_signals)
      (void)wr_parker_wait(&parker, LOOK_NS);
    else if (wr_signals_wait(LOOK_NS) != 0)
      handle_signal(job, ++signal_count);
    show_progress(job, &progress, clock->monotonic_ns(clock));
    write_metrics(job, &metrics, clock->monotonic_ns(clock));
  }
  end_progress(&progress);
  if (takes_signals) wr_signals_restore(&signals);
  return weir_job_result(job, error);
}
