/* api/job_int.h: what the files of a running job share: job.c (life), job_run.c (waiting with signals and progress),
 * job_look.c (status, metrics, state). Nobody else includes it. */
#ifndef WR_API_JOB_INT_H
#define WR_API_JOB_INT_H

#include "api/api_int.h"
#include "base/limits.h"
#include "os/posix_seams.h"
#include "runtime/threads.h"

struct weir_job {
  struct wr_posix_seams posix;
  struct wr_threads *threads;
  struct wr_host host;
  struct wr_job *job;
  const char *name;             /* the builder's */
  const struct wr_graph *graph; /* the builder's */
  char folder[WR_PATH_BYTES_MAX];
  bool folder_is_temporary;             /* removed at the end */
  char metrics_path[WR_PATH_BYTES_MAX]; /* where weir_job_run writes the metrics; empty: nowhere */
};

#endif
