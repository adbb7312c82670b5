/* bench/start.c: how large the program is, how long it takes to its first row, and what a small job holds and costs.
 *
 * The job is the stateless one of examples/ (seen: a row for each record), as a program of its own: files -> print, its
 * standard output a pipe to here. One record lies in the file when it starts; when that row has come, the others are
 * written, and when all of them have come the job stays idle.
 *
 *   program_size        of weir, as it was built, all that it links statically
 *   first_row           from the fork to the first row, a folder of state made on the way; the best of several
 *   bare_start          the same for a process that does nothing (/bin/true): the floor under it
 *   stateless_resident  the most memory that the process held
 *   idle_cpu            CPU of the job without input, share of one core
 *
 * The programs are looked for beside this one, in .. and ../examples.
 */
#include "bench/engine.h"

#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { RUNS = 7, RECORDS = 200000 };
static const double IDLE_S = 5;

static char programs[400]; /* the folder above this program's */
static char folder[256];

struct child {
  pid_t process;
  int out; /* what it prints */
  double begin_s;
};

static struct child spawn(char *const *arguments) {
  struct child child = {.begin_s = bench_now_s()};
  int ends[2];
  if (pipe(ends) != 0 || (child.process = fork()) < 0) bench_fail("no process can be started");
  if (child.process == 0) {
    int nothing = open("/dev/null", O_WRONLY);
    if (dup2(ends[1], 1) < 0 || dup2(nothing, 2) < 0) _exit(126);
    close(ends[0]);
    execv(arguments[0], arguments);
    _exit(127);
  }
  close(ends[1]);
  child.out = ends[0];
  return child;
}

static void end(struct child *child) {
  int status;
  close(child->out);
  if (waitpid(child->process, &status, 0) != child->process || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    bench_fail("the program has failed");
}

/* Reads until so many lines have come. */
static void read_lines(const struct child *child, uint32_t wanted) {
  static char bytes[65536];
  while (wanted > 0) {
    ssize_t length = read(child->out, bytes, sizeof bytes);
    if (length <= 0) bench_fail("the program ended before all rows had come");
    for (ssize_t i = 0; i < length; i++)
      if (bytes[i] == '\n' && wanted-- == 0) bench_fail("more rows came than there are records");
  }
}

static void write_records(uint32_t count) {
  char path[300];
  snprintf(path, sizeof path, "%s/views/views-0.ndjson", folder);
  FILE *file = fopen(path, "a");
  if (file == NULL) bench_fail("the records cannot be written");
  for (uint32_t i = 0; i < count; i++)
    fprintf(file, "{\"user_id\":%u,\"app_id\":\"app%u\",\"page\":\"/item/%u\"}\n", i, i % 1000, i);
  if (fclose(file) != 0) bench_fail("the records cannot be written");
}

static struct child spawn_seen(void) {
  char program[440], views[300], state[300], path[300];
  char source_option[] = "--source", sink_option[] = "--sink", sink[] = "print", state_option[] = "--state";
  bench_folder_make(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/views", folder);
  if (mkdir(path, 0755) != 0) bench_fail("no folder for the records");
  write_records(1);
  snprintf(program, sizeof program, "%s/examples/seen", programs);
  snprintf(views, sizeof views, "%s/views", folder);
  snprintf(state, sizeof state, "%s/state", folder);
  char *arguments[] = {program, source_option, views, sink_option, sink, state_option, state, NULL};
  return spawn(arguments);
}

/* The most memory it has held, in bytes. */
static double child_peak_bytes(const struct child *child) {
  char path[64], kilobytes[64];
  snprintf(path, sizeof path, "/proc/%d/status", (int)child->process);
  bench_file_line(path, "VmHWM", kilobytes, sizeof kilobytes);
  return strtod(kilobytes, NULL) * 1024;
}

/* CPU seconds of all its threads. */
static double child_cpu_s(const struct child *child) {
  clockid_t clock;
  struct timespec time;
  if (clock_getcpuclockid(child->process, &clock) != 0 || clock_gettime(clock, &time) != 0)
    bench_fail("the program's CPU time cannot be read");
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void measure_job(struct bench_runs *first_rows, bool is_last) {
  struct child child = spawn_seen();
  read_lines(&child, 1);
  bench_add(first_rows, (bench_now_s() - child.begin_s) * 1e3);
  if (is_last) {
    bench_row_best("first_row", first_rows, BENCH_LOWER, "ms");
    write_records(RECORDS);
    read_lines(&child, RECORDS);
    bench_row("stateless_resident", child_peak_bytes(&child) / 1e6, "MB");
    bench_sleep_s(1);
    double cpu_s = child_cpu_s(&child);
    bench_sleep_s(IDLE_S);
    bench_row("idle_cpu", 100 * (child_cpu_s(&child) - cpu_s) / IDLE_S, "%");
  }
  kill(child.process, SIGTERM);
  end(&child);
  bench_folder_remove(folder);
}

static void measure_bare(void) {
  struct bench_runs starts = {.count = 0};
  char program[] = "/bin/true";
  char *arguments[] = {program, NULL};
  for (int i = 0; i < RUNS; i++) {
    struct child child = spawn(arguments);
    end(&child);
    bench_add(&starts, (bench_now_s() - child.begin_s) * 1e3);
  }
  bench_row_best("bare_start", &starts, BENCH_LOWER, "ms");
}

int main(int argc, char **argv) {
  struct bench_runs first_rows = {.count = 0};
  struct stat info;
  char path[440];
  (void)argc;
  bench_print_machine();
  snprintf(programs, sizeof programs, "%s/..", dirname(argv[0]));
  snprintf(path, sizeof path, "%s/weir", programs);
  if (stat(path, &info) != 0) bench_fail("there is no program weir above this one");
  bench_row("program_size", (double)info.st_size / 1e6, "MB");
  for (int i = 0; i < RUNS; i++)
    measure_job(&first_rows, i == RUNS - 1);
  measure_bare();
  return 0;
}
