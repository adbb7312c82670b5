/* cli/demo.c: weir demo. Shows what weir promises, and checks every number that it shows. */
#include "cli/demo.h"

#include "base/option_values.h"
#include "cli/cli.h"
#include "os/signals.h"
#include "sim/article.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
  RECORDS_DEFAULT = 10 * 1000 * 1000,
  KILLS_DEFAULT = 5,
  TICK_NS = 5 * 1000 * 1000,
  PROGRESS_NS = 100 * 1000 * 1000,
  NUMBER_DIGITS_MAX = 20
};
static const uint64_t article_seed = 1;

/* ---- what the parts share ---- */

static void clear_progress(struct demo *demo) {
  if (demo->progress_is_shown) fputs("\r\033[K", stderr);
  demo->progress_is_shown = false;
}

void demo_say(struct demo *demo, const char *format, ...) {
  va_list arguments;
  clear_progress(demo);
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
  fflush(stdout);
}

void demo_progress(struct demo *demo, const char *format, ...) {
  va_list arguments;
  uint64_t now_ns = demo_now_ns(demo);
  if (!demo->is_terminal || (demo->progress_is_shown && now_ns - demo->progress_ns < PROGRESS_NS)) return;
  demo->progress_ns = now_ns;
  fputs("\r\033[K", stderr);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fflush(stderr);
  demo->progress_is_shown = true;
}

const char *demo_number(char text[DEMO_NUMBER_BYTES], uint64_t number) {
  char digits[NUMBER_DIGITS_MAX + 1];
  int length = snprintf(digits, sizeof digits, "%" PRIu64, number), at = 0;
  for (int i = 0; i < length; i++) {
    if (i != 0 && (length - i) % 3 == 0) text[at++] = ',';
    text[at++] = digits[i];
  }
  text[at] = 0;
  return text;
}

bool demo_tick(struct demo *demo) {
  if (wr_signals_wait(TICK_NS) != 0) demo->is_stopped = true;
  return !demo->is_stopped;
}

uint64_t demo_now_ns(struct demo *demo) {
  return demo->clock.monotonic_ns(&demo->clock);
}

void demo_path(char *path, size_t size, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(path, size, format, arguments);
  va_end(arguments);
  WR_ASSERT(length >= 0 && (size_t)length < size);
}

/* ---- the temporary folder ---- */

/* Measured, with room to spare: the log, and what its jobs write. Those that write to a server have a log of some
 * minutes at 2,000 records a second. */
static uint64_t needed_bytes(const struct demo *demo, bool has_kills) {
  if (!has_kills) return 128 * 1024 * 1024;
  return demo->records * (DEMO_RECORD_BYTES + DEMO_RECORD_BYTES / 4) + 384 * 1024 * 1024;
}

static enum weir_code make_folder(struct demo *demo, bool has_kills, struct weir_error *error) {
  const char *parent = getenv("TMPDIR");
  struct statvfs disk;
  if (parent == NULL || parent[0] == 0) parent = "/tmp";
  if (strlen(parent) > WR_PATH_BYTES_MAX / 2) return WR_FAIL(error, WEIR_INVALID, "TMPDIR is too long");
  uint64_t needed_mb = needed_bytes(demo, has_kills) >> 20;
  if (statvfs(parent, &disk) == 0 && (disk.f_bavail * disk.f_frsize) >> 20 < needed_mb)
    return WR_FAIL(error, WEIR_NO_SPACE,
                   "%" PRIu64 " MB are needed in %s, and only %" PRIu64 " are free; set TMPDIR to another folder, or "
                   "show less with --records",
                   needed_mb, parent, (uint64_t)(disk.f_bavail * disk.f_frsize) >> 20);
  demo_path(demo->folder, sizeof demo->folder, "%s/weir-demo-%" PRIx64 "-%d", parent, demo->seed, (int)getpid());
  enum weir_code code = demo->files->make_folder(demo->files, demo->folder, error);
  if (code == WEIR_OK)
    demo_say(demo, "Working in %s, which takes up to %" PRIu64 " MB and is %s.", demo->folder, needed_mb,
             demo->keep ? "kept" : "removed at the end");
  else
    demo->folder[0] = 0;
  return code;
}

static void remove_tree(struct demo *demo, const char *path) {
  struct wr_name_list list = {0};
  struct wr_files *files = demo->files;
  if (files->list(files, path, &demo->heap.memory, &list, NULL) != WEIR_OK) return;
  for (size_t i = 0; i < list.count; i++) {
    char below[WR_PATH_BYTES_MAX];
    struct wr_file_info info;
    demo_path(below, sizeof below, "%s/%s", path, list.names[i]);
    if (files->stat(files, below, &info, NULL) != WEIR_OK) continue;
    if (info.folder)
      remove_tree(demo, below);
    else
      files->remove(files, below, NULL);
  }
  wr_name_list_deinit(&list, &demo->heap.memory);
  files->remove_folder(files, path, NULL);
}

/* pv and seen are built beside this program. */
static enum weir_code find_programs(struct demo *demo, struct weir_error *error) {
  char self[WR_PATH_BYTES_MAX / 2], path[WR_PATH_BYTES_MAX];
  struct wr_file_info info;
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length < 0) return WR_FAIL(error, WEIR_IO, "/proc/self/exe cannot be read");
  self[length] = 0;
  char *slash = strrchr(self, '/');
  if (slash != NULL) *slash = 0;
  demo_path(demo->programs, sizeof demo->programs, "%s/examples", self);
  demo_path(path, sizeof path, "%.*s/pv", (int)sizeof self, demo->programs);
  if (demo->files->stat(demo->files, path, &info, NULL) == WEIR_OK) return WEIR_OK;
  return WR_FAIL(error, WEIR_NOT_FOUND, "%s is not there; `make` builds it", path);
}

/* ---- the parts ---- */

static bool article_part(struct demo *demo) {
  struct sim_article_report report;
  bool good = true;
  demo_say(demo, "The worked examples that explain checkpoints and alignment, lived by the real engine in a simulated\n"
                 "world under a script. An offset is the number of the next record to read.\n");
  demo_say(demo,
           "First example: one partition, two apps. 60,000 views cannot lie in 1,000 records, so 59,000 of them come\n"
           "from an older file that was read to its end before.");
  good = sim_article_first(stdout, article_seed, false, &report) && good;
  demo_say(demo, "\nThe same without alignment (at-least-once): with one partition there is nothing to align.");
  good = sim_article_first(NULL, article_seed, true, &report) && good;
  demo_say(demo,
           "  offset %" PRIu64 ", app1 %" PRIu64 ", app2 %" PRIu64 " in checkpoint 100; %" PRIu64 " and %" PRIu64
           " at the end: the same numbers%s",
           report.positions[0], report.counts[0], report.counts[1], report.table[0], report.table[1],
           report.wrong == 0 ? "" : "; WRONG");
  demo_say(demo,
           "\nSecond example: TaskA0 and TaskA1 read two partitions, TaskB0 counts app0, TaskB1 counts app1. TaskA0\n"
           "is slow: its barrier of checkpoint 100 comes after TaskA1's and after 195 more records of TaskA1, 150\n"
           "of app0 and 45 of app1.");
  demo_say(demo, "\nAligned (exactly-once), and a crash:");
  good = sim_article_second(stdout, article_seed, SIM_ARTICLE_ALIGNED, &report) && good;
  demo_say(demo,
           "\nTaskB1 not aligned, and a crash. (No job of weir aligns in one task and not in another: this one is\n"
           "at-least-once, and the script keeps TaskB0 waiting until both barriers have come, as aligning would.)");
  good = sim_article_second(stdout, article_seed, SIM_ARTICLE_NOT_ALIGNED, &report) && good;
  demo_say(demo, "\nTaskB1 not aligned, and no crash:");
  good = sim_article_second(stdout, article_seed, SIM_ARTICLE_NOT_ALIGNED_NO_CRASH, &report) && good;
  return good;
}

struct arguments {
  bool article, kills, kafka, mysql, is_full;
  const char *server;
};

/* The parts that run jobs. */
static bool jobs_part(struct demo *demo, const struct arguments *arguments, struct demo_summary *out_summary) {
  struct weir_error error;
  bool good = true;
  enum weir_code code = find_programs(demo, &error);
  if (code == WEIR_OK) code = make_folder(demo, arguments->kills, &error);
  if (code == WEIR_OK && arguments->kafka) code = demo_broker_new(demo, &demo->broker, &error);
  if (code == WEIR_OK) {
    if (arguments->kills) good = demo_kills(demo, out_summary);
    if (arguments->mysql) good = demo_mysql(demo, arguments->server, arguments->is_full) && good;
  } else {
    demo_say(demo, "WRONG: %s", error.message);
    good = false;
  }
  clear_progress(demo);
  demo_broker_free(demo->broker);
  demo->broker = NULL;
  if (demo->folder[0] != 0 && !demo->keep) remove_tree(demo, demo->folder);
  return good;
}

/* ---- the command ---- */

static bool usage(const char *text, const char *what) {
  fprintf(stderr, "weir demo: %s%s; weir demo --help tells more\n", text, what);
  return false;
}

static bool parse_number(const char *name, const char *text, int64_t maximum, uint64_t *out) {
  int64_t number = 0;
  if (text == NULL || !wr_parse_number(text, 1, maximum, &number)) return usage(name, " needs a number above 0");
  *out = (uint64_t)number;
  return true;
}

static bool parse(int argc, char **argv, struct demo *demo, struct arguments *out) {
  uint64_t kills = KILLS_DEFAULT;
  for (int i = 0; i < argc; i++) {
    const char *next = i + 1 < argc ? argv[i + 1] : NULL;
    bool takes_next = true, good = true;
    if (strcmp(argv[i], "--records") == 0)
      good = parse_number(argv[i], next, 1000 * 1000 * 1000, &demo->records);
    else if (strcmp(argv[i], "--kills") == 0)
      good = parse_number(argv[i], next, 1000, &kills);
    else if (strcmp(argv[i], "--seed") == 0)
      good = parse_number(argv[i], next, INT64_MAX, &demo->seed);
    else if (strcmp(argv[i], "--server") == 0 && next != NULL)
      out->server = next;
    else
      takes_next = false;
    if (!good) return false;
    if (takes_next)
      i++;
    else if (strcmp(argv[i], "--keep") == 0)
      demo->keep = true;
    else if (strcmp(argv[i], "article") == 0)
      out->article = true;
    else if (strcmp(argv[i], "kills") == 0)
      out->kills = true;
    else if (strcmp(argv[i], "kafka") == 0)
      out->kills = out->kafka = true;
    else if (strcmp(argv[i], "mysql") == 0)
      out->mysql = true;
    else if (strcmp(argv[i], "--full") == 0)
      out->is_full = true;
    else
      return usage("there is nothing called ", argv[i]);
  }
  if (demo->records < 1000) return usage("--records", " is at least 1000");
  if (out->mysql && out->server == NULL) return usage("mysql", " needs --server DIR; `make demo-mysql` starts one");
  demo->kills = (uint32_t)kills;
  if (!out->article && !out->kills && !out->mysql) out->article = out->kills = true;
  return true;
}

static void init(struct demo *demo) {
  struct wr_entropy entropy;
  *demo = (struct demo){.records = RECORDS_DEFAULT, .is_terminal = wr_stderr_is_terminal()};
  wr_heap_memory_init(&demo->heap, 0);
  wr_posix_files_init(&demo->posix, &demo->heap.memory);
  wr_posix_clock_init(&demo->clock);
  wr_posix_entropy_init(&entropy);
  demo->files = &demo->posix.files;
  entropy.fill(&entropy, &demo->seed, sizeof demo->seed);
  demo->seed = demo->seed % 1000000000 + 1;
}

static void summarise(struct demo *demo, const struct arguments *arguments, bool good,
                      const struct demo_summary *summary, uint64_t begun_ns) {
  char rate[DEMO_NUMBER_BYTES];
  demo_say(demo, "\nIn short, after %.0f s:", (double)(demo_now_ns(demo) - begun_ns) / 1e9);
  if (arguments->article && good)
    demo_say(demo,
             "  the examples: every number as it must be; app1 is 45 too high where it was not aligned and crashed,\n"
             "  exact in the others");
  if (arguments->kills && good)
    demo_say(demo,
             "  pv: %u kills that cost something, seen: %u; rows lost %" PRIu64 ", rows doubled %" PRIu64
             "; %s rows per second",
             summary->pv_kills, summary->seen_kills, summary->lost, summary->doubled,
             demo_number(rate, (uint64_t)summary->records_per_second));
  if (arguments->mysql && good)
    demo_say(demo,
             "  a plain sink doubled exactly the rows that it had committed since the checkpoint; exactly-once, none");
  if (demo->is_stopped)
    demo_say(demo, "  stopped by a signal");
  else if (!good)
    demo_say(demo, "  NOT as it must be: see WRONG above (seed %" PRIu64 ")", demo->seed);
}

static int run(int argc, char **argv) {
  struct demo demo;
  struct arguments arguments = {0};
  struct demo_summary summary = {0};
  struct wr_signals signals;
  init(&demo);
  if (!parse(argc, argv, &demo, &arguments)) return WR_EXIT_USAGE;
  demo.random = wr_random_of(demo.seed);
  uint64_t begun_ns = demo_now_ns(&demo);
  bool good = true;
  wr_signals_block(&signals);
  if (arguments.article) good = article_part(&demo);
  if (arguments.kills || arguments.mysql) good = jobs_part(&demo, &arguments, &summary) && good;
  summarise(&demo, &arguments, good, &summary, begun_ns);
  wr_signals_restore(&signals);
  return good ? 0 : 1;
}

const struct wr_command wr_command_demo = {
    .name = "demo",
    .usage = "[article] [kills] [kafka] [mysql --server DIR] [--full] [--records N] [--kills N] [--seed N] [--keep]",
    .summary = "kills a job again and again, and shows that it counts exactly once",
    .help = "article   the worked examples that explain checkpoints and alignment, in a simulated world\n"
            "kills     real jobs, real files, SIGKILL; about 1 GB in TMPDIR (or /tmp), removed at the end\n"
            "kafka     the same, and the log is a topic of a real Kafka broker, which is started here, and killed too\n"
            "mysql     a sink that commits by the clock beside one that commits with its checkpoints, on a server\n"
            "          that tools/servers/mariadb.sh started in --server DIR (`make demo-mysql` does all of it)\n"
            "Without any: article and kills.\n\n"
            "--records N   in the log (default 10,000,000)\n"
            "--kills N     of each job, that made it read records again (default 5)\n"
            "--seed N      of the log and of the moments of the kills (default: random, printed)\n"
            "--full        mysql: a commit every 5 s and a checkpoint every minute, not every 500 ms and 6 s\n"
            "--keep        keeps the temporary folder\n\n"
            "Exit code: 0 every number was as it must be; 1 one was not; 2 usage.\n",
    .run = run,
};
