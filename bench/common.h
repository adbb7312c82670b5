/* bench/common.h: what every benchmark needs: times, the state of the machine, rows of results. Header only.
 *
 * A result is a line `name value unit`, perhaps with a remark after `#`; lines that begin with `#` say where and how it
 * was measured (bench/README.md). Figures of one machine are only comparable within one run on it.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

enum { BENCH_RUNS_MAX = 32 };

static inline double bench_now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* CPU seconds of all threads of this process, user and system. */
static inline double bench_cpu_s(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* The most memory this process has held, in bytes. */
static inline double bench_peak_bytes(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)usage.ru_maxrss * 1024;
}

/* The first line of a file, or of it what follows `prefix` on the first line that begins with it; "?" without. */
static inline void bench_file_line(const char *path, const char *prefix, char *out, size_t size) {
  snprintf(out, size, "?");
  FILE *file = fopen(path, "r");
  if (file == NULL) return;
  char line[512];
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, prefix, strlen(prefix)) != 0) continue;
    const char *text = line + strlen(prefix);
    text += strspn(text, " \t:");
    snprintf(out, size, "%.*s", (int)strcspn(text, "\n"), text);
    break;
  }
  fclose(file);
}

/* Cores this process may use, load average, frequency governor: a figure made on a busy machine shows it. */
static inline void bench_print_machine(void) {
  char model[128], governor[64], load[64];
  bench_file_line("/proc/cpuinfo", "model name", model, sizeof model);
  bench_file_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "", governor, sizeof governor);
  bench_file_line("/proc/loadavg", "", load, sizeof load);
  struct utsname system = {0};
  uname(&system);
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
  printf("# machine: %s, %d cores, load %.14s, governor %s, %s %s\n", model, cores, load, governor, system.sysname,
         system.release);
}

/* A benchmark that cannot go on, or has computed something wrong, ends. */
static inline _Noreturn void bench_fail(const char *what) {
  fflush(stdout);
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static inline void bench_row(const char *name, double value, const char *unit) {
  printf("%s %.6g %s\n", name, value, unit);
  fflush(stdout);
}

/* The same thing measured several times. */
struct bench_runs {
  double values[BENCH_RUNS_MAX];
  uint32_t count;
};
static inline void bench_add(struct bench_runs *runs, double value) {
  if (runs->count < BENCH_RUNS_MAX) runs->values[runs->count++] = value;
}

enum bench_better { BENCH_HIGHER, BENCH_LOWER };

/* The best run, for what disturbs a run only ever makes it worse; the spread is how far the worst lies from it. */
static inline double bench_row_best(const char *name, const struct bench_runs *runs, enum bench_better better,
                                    const char *unit) {
  double best = runs->values[0], worst = runs->values[0];
  for (uint32_t i = 1; i < runs->count; i++) {
    double value = runs->values[i];
    bool is_higher = value > best, is_lower = value < worst;
    if (better == BENCH_LOWER) is_higher = value<best, is_lower = value> worst;
    if (is_higher) best = value;
    if (is_lower) worst = value;
  }
  double spread = best > worst ? best - worst : worst - best;
  printf("%s %.6g %s # best of %u, spread %.1f %%\n", name, best, unit, runs->count, 100 * spread / best);
  fflush(stdout);
  return best;
}

/* The value below which `share` of the sorted values lie. */
static inline int bench_compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static inline double bench_quantile(double *values, size_t count, double share) {
  qsort(values, count, sizeof *values, bench_compare);
  size_t at = (size_t)(share * (double)count);
  return values[at < count ? at : count - 1];
}

/* The compiler must have made `value`. */
#define BENCH_KEEP(value) __asm__ __volatile__("" : : "g"(value) : "memory")

#endif
