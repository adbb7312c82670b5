/* api/job.c: a running job in a program (weir/job.h): seams of production, threads, the job itself.
 *
 * Everything here is the outside of an engine: it waits by looking every few milliseconds, which costs nothing that
 * could be measured and needs no hook inside.
 */
#include "api/job_int.h"

#include "base/limits.h"
#include "os/park.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_NS = 5 * 1000 * 1000 };

/* ---- options ---- */

void wr_job_options_of(const struct weir_options *options, const char *name, struct wr_job_options *out_options) {
  wr_job_options_default(out_options);
  out_options->name = name;
  out_options->parallelism = 0;
  if (options == NULL) return;
  out_options->parallelism = (uint32_t)weir_options_number(options, "parallelism");
  out_options->mode =
      strcmp(weir_options_text(options, "mode"), "exactly-once") == 0 ? WR_EXACTLY_ONCE : WR_AT_LEAST_ONCE;
  out_options->bounded = weir_options_flag(options, "bounded");
  out_options->fresh = weir_options_flag(options, "fresh");
  out_options->accept_duplicates = weir_options_flag(options, "accept-duplicates");
  out_options->accept_loss = weir_options_flag(options, "accept-loss");
  out_options->allow_non_restored = weir_options_flag(options, "allow-non-restored-state");
  out_options->checkpoint_interval_ms = (uint64_t)weir_options_number(options, "checkpoint-interval");
}

static enum weir_code check_options(const struct weir_job_builder *builder, const struct weir_options *options,
                                    struct weir_error *error) {
  if (options == NULL) return WEIR_OK;
  if (weir_options_flag(options, "accept-duplicates") && weir_options_flag(options, "accept-loss"))
    return WR_FAIL(error, WEIR_INVALID, "--accept-duplicates and --accept-loss exclude each other");
  if (builder->has_default_dead_letter && !builder->needs_folder && weir_options_text(options, "state") == NULL)
    return WR_FAIL(error, WEIR_INVALID,
                   "this job has no folder, so skipped records have no place; name a file with --dead-letter");
  return WEIR_OK;
}

/* ---- the folder ---- */

/* A folder of this run alone. It is made with the job's first files, readable by this user only. */
static enum weir_code temporary_folder(struct weir_job *job, struct weir_error *error) {
  uint64_t id = 0;
  job->posix.entropy.fill(&job->posix.entropy, &id, sizeof id);
  const char *parent = getenv("TMPDIR");
  if (parent == NULL || parent[0] == 0) parent = "/tmp";
  int length = snprintf(job->folder, sizeof job->folder, "%s/weir-%016" PRIx64, parent, id);
  if (length < 0 || (size_t)length >= sizeof job->folder)
    return WR_FAIL(error, WEIR_INVALID, "TMPDIR is longer than %d bytes", WR_PATH_BYTES_MAX - 32);
  job->folder_is_temporary = true;
  return WEIR_OK;
}

static enum weir_code choose_folder(struct weir_job *job, const struct weir_job_builder *builder,
                                    const struct weir_options *options, struct weir_error *error) {
  const char *state = options == NULL ? NULL : weir_options_text(options, "state");
  if (state == NULL && !builder->needs_folder) return temporary_folder(job, error);
  int length = state != NULL ? snprintf(job->folder, sizeof job->folder, "%s", state)
                             : snprintf(job->folder, sizeof job->folder, "weir-state/%s", builder->name);
  if (length < 0 || (size_t)length >= sizeof job->folder)
    return WR_FAIL(error, WEIR_INVALID, "the path of the job's folder is longer than %d bytes", WR_PATH_BYTES_MAX - 1);
  return WEIR_OK;
}

static enum weir_code choose_metrics_file(struct weir_job *job, const struct weir_options *options,
                                          struct weir_error *error) {
  const char *path = options == NULL ? NULL : weir_options_text(options, "metrics-file");
  if (path == NULL) return WEIR_OK;
  int length = snprintf(job->metrics_path, sizeof job->metrics_path, "%s", path);
  if (length < 0 || (size_t)length >= sizeof job->metrics_path - sizeof ".tmp")
    return WR_FAIL(error, WEIR_INVALID, "the path of the metrics file is longer than %d bytes", WR_PATH_BYTES_MAX - 8);
  return WEIR_OK;
}

/* Removes what is in a folder that nobody else knows. What cannot be removed stays: the system clears TMPDIR. */
static void remove_temporary(struct weir_job *job) {
  struct wr_files *files = job->posix.seams.files;
  struct wr_memory *memory = job->posix.seams.memory;
  struct wr_name_list list = {0};
  char path[WR_PATH_BYTES_MAX + 256 + 2];
  if (files->list(files, job->folder, memory, &list, NULL) != WEIR_OK) return;
  for (size_t i = 0; i < list.count; i++) {
    int length = snprintf(path, sizeof path, "%s/%s", job->folder, list.names[i]);
    if (length > 0 && (size_t)length < sizeof path) files->remove(files, path, NULL);
  }
  wr_name_list_deinit(&list, memory);
  files->remove_folder(files, job->folder, NULL);
}

/* ---- life ---- */

static enum weir_code start(struct weir_job *job, struct weir_job_builder *builder, const struct weir_options *options,
                            struct weir_error *error) {
  const struct wr_graph *graph = NULL;
  WR_TRY(wr_builder_finish(builder, &graph, error));
  job->graph = graph;
  WR_TRY(check_options(builder, options, error));
  WR_TRY(choose_folder(job, builder, options, error));
  WR_TRY(choose_metrics_file(job, options, error));
  WR_TRY(wr_builder_set_folder(builder, job->folder, error));
  struct wr_job_options job_options;
  wr_job_options_of(options, builder->name, &job_options);
  uint32_t cores = (uint32_t)wr_core_count();
  if (job_options.parallelism == 0) job_options.parallelism = cores < WR_PARALLELISM_MAX ? cores : WR_PARALLELISM_MAX;
  job_options.folder = job->folder;
  /* A job without a folder of its own is always new, also to a dead-letter file that an earlier run wrote to. */
  if (job->folder_is_temporary) job_options.fresh = true;
  WR_TRY(wr_threads_new(&job->posix.seams, cores, &job->threads, &job->host, error));
  WR_TRY(wr_job_new(graph, &job_options, &job->posix.seams, &job->host, &job->job, error));
  wr_job_start(job->job);
  return WEIR_OK;
}

static void release(struct weir_job *job) {
  wr_job_free(job->job);
  wr_threads_free(job->threads);
  if (job->folder_is_temporary) remove_temporary(job);
  wr_posix_seams_deinit(&job->posix);
  wr_api_block_free(job);
}

enum weir_code weir_job_start(struct weir_job_builder *builder, const struct weir_options *options,
                              struct weir_job **out_job, struct weir_error *error) {
  struct weir_job *job = wr_api_block_new(sizeof *job);
  if (job == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for job '%s'", builder->name);
  job->name = builder->name;
  enum weir_code code = wr_posix_seams_init(&job->posix, 0, WR_LOG_INFO, error);
  if (code != WEIR_OK) {
    wr_api_block_free(job);
    return code;
  }
  code = start(job, builder, options, error);
  if (code != WEIR_OK) {
    release(job);
    return code;
  }
  *out_job = job;
  return WEIR_OK;
}

void weir_job_free(struct weir_job **job) {
  if (job == NULL || *job == NULL) return;
  if (!wr_job_is_over((*job)->job)) wr_job_cancel((*job)->job);
  (void)weir_job_wait(*job, -1);
  release(*job);
  *job = NULL;
}

bool weir_job_wait(struct weir_job *job, int64_t timeout_ms) {
  struct wr_clock *clock = job->posix.seams.clock;
  uint64_t started_ns = clock->monotonic_ns(clock);
  struct wr_parker parker;
  wr_parker_init(&parker);
  while (!wr_job_is_over(job->job)) {
    if (timeout_ms >= 0 && (clock->monotonic_ns(clock) - started_ns) / 1000000 >= (uint64_t)timeout_ms) return false;
    (void)wr_parker_wait(&parker, LOOK_NS);
  }
  return true;
}

enum weir_code weir_job_result(struct weir_job *job, struct weir_error *error) {
  if (!wr_job_is_over(job->job)) return WR_FAIL(error, WEIR_TIMEOUT, "the job '%s' is not over yet", job->name);
  return wr_job_result(job->job, NULL, error);
}

void weir_job_stop(struct weir_job *job) {
  wr_job_stop(job->job);
}

void weir_job_cancel(struct weir_job *job) {
  wr_job_cancel(job->job);
}

void weir_job_checkpoint(struct weir_job *job) {
  wr_job_request_checkpoint(job->job);
}
