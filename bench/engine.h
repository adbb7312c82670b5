/* bench/engine.h: a job on the public interface, measured from outside while it runs. Header only. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include "bench/common.h"
#include "weir/weir.h"

#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

enum { BENCH_METRICS_BYTES = 64 * 1024 };

static inline void bench_must(enum weir_code code, const struct weir_error *error) {
  if (code != WEIR_OK) bench_fail(error->message);
}

static inline void bench_sleep_s(double seconds) {
  struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&time, NULL);
}

struct bench_job {
  struct weir_job_builder *builder;
  struct weir_options *options;
  struct weir_job *job;
};

static inline void bench_job_new(struct bench_job *job, const char *name) {
  struct weir_error error;
  *job = (struct bench_job){.builder = NULL};
  bench_must(weir_job_builder_new(name, &job->builder, &error), &error);
  bench_must(weir_options_new(&job->options, &error), &error);
}

/* Sets an option; the value as printf makes it. */
__attribute__((format(printf, 3, 4))) static inline void bench_set(struct bench_job *job, const char *name,
                                                                   const char *format, ...) {
  char value[512];
  struct weir_error error;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(value, sizeof value, format, arguments);
  va_end(arguments);
  bench_must(weir_options_set(job->options, name, value, &error), &error);
}

static inline void bench_job_start(struct bench_job *job) {
  struct weir_error error;
  bench_must(weir_job_start(job->builder, job->options, &job->job, &error), &error);
}

static inline struct weir_job_status bench_status(const struct bench_job *job) {
  struct weir_job_status status = {.size = sizeof status};
  weir_job_read_status(job->job, &status);
  return status;
}

/* Waits for its own end; frees nothing. */
static inline void bench_job_wait(struct bench_job *job) {
  struct weir_error error;
  weir_job_wait(job->job, -1);
  bench_must(weir_job_result(job->job, &error), &error);
}

static inline void bench_job_free(struct bench_job *job) {
  weir_job_free(&job->job);
  weir_job_builder_free(&job->builder);
  weir_options_free(&job->options);
}

/* Stops it with a checkpoint; it must not have failed. */
static inline void bench_job_stop(struct bench_job *job) {
  weir_job_stop(job->job);
  bench_job_wait(job);
  bench_job_free(job);
}

/* Waits until its sources have read `records`, or it is over. */
static inline void bench_wait_records(const struct bench_job *job, uint64_t records) {
  for (struct weir_job_status status = bench_status(job); status.source_records < records && !status.is_over;
       status = bench_status(job))
    bench_sleep_s(0.01);
}

/* What a running job did in a while. */
struct bench_window {
  double wall_s, cpu_s, rows;
};
static inline struct bench_window bench_window(const struct bench_job *job, double seconds) {
  struct bench_window window = {.wall_s = bench_now_s(), .cpu_s = bench_cpu_s()};
  window.rows = (double)bench_status(job).source_records;
  bench_sleep_s(seconds);
  struct weir_job_status status = bench_status(job);
  if (status.is_over) bench_fail("the job ended while it was measured");
  window.rows = (double)status.source_records - window.rows;
  window.wall_s = bench_now_s() - window.wall_s;
  window.cpu_s = bench_cpu_s() - window.cpu_s;
  return window;
}

/* The largest value of a counter among the job's tasks, by its name in the metrics. */
static inline double bench_metric_max(const struct bench_job *job, const char *name) {
  static char text[BENCH_METRICS_BYTES];
  char key[64];
  double largest = 0;
  if (weir_job_metrics(job->job, text, sizeof text) >= sizeof text) bench_fail("the metrics are too long");
  int length = snprintf(key, sizeof key, "\"%s\":", name);
  for (const char *at = strstr(text, key); at != NULL; at = strstr(at + 1, key)) {
    double value = strtod(at + length, NULL);
    if (value > largest) largest = value;
  }
  return largest;
}

/* What the process holds now, in bytes. */
static inline double bench_resident_bytes(void) {
  char pages[64];
  bench_file_line("/proc/self/statm", "", pages, sizeof pages);
  const char *second = strchr(pages, ' ');
  return second == NULL ? 0 : strtod(second, NULL) * (double)sysconf(_SC_PAGESIZE);
}

/* A folder of the benchmark's own below TMPDIR or /tmp, and its end. */
static inline void bench_folder_make(char *out, size_t size) {
  const char *parent = getenv("TMPDIR");
  snprintf(out, size, "%s/weir-bench-XXXXXX", parent != NULL ? parent : "/tmp");
  if (mkdtemp(out) == NULL) bench_fail("no folder can be made in TMPDIR");
}
static inline void bench_folder_remove(const char *folder) {
  char command[600];
  snprintf(command, sizeof command, "rm -rf -- '%s'", folder);
  if (system(command) != 0) fprintf(stderr, "%s is left\n", folder);
}

#endif
