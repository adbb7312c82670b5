/* cli/demo.h: the parts of `weir demo`: demo.c is the command, demo_kills.c kills jobs, demo_mysql.c shows a plain sink
 * beside one that commits with its checkpoints, demo_child.c is a running job, demo_log.c makes the log and counts it
 * without the engine, demo_topic.c brings it into a Kafka topic, demo_judge.c compares tables with it, demo_process.c
 * starts programs. One thread. */
#ifndef WR_CLI_DEMO_H
#define WR_CLI_DEMO_H

#include "base/limits.h"
#include "base/random.h"
#include "os/posix_clock.h"
#include "os/posix_files.h"

#include <sys/types.h>

enum { DEMO_PARTITIONS = 2, DEMO_APPS = 100 * 1000, DEMO_RECORD_BYTES = 64, DEMO_NUMBER_BYTES = 32 };

/* What everything here shares. */
struct demo {
  struct wr_heap_memory heap;
  struct wr_posix_files posix;
  struct wr_files *files;
  struct wr_clock clock;
  struct wr_random random;
  uint64_t seed;
  uint64_t records; /* of the whole log */
  uint32_t kills;   /* that are wanted of each job */
  bool keep;        /* the temporary folder */
  bool is_terminal; /* there is somebody to see a progress line */
  bool progress_is_shown;
  uint64_t progress_ns;             /* when it last changed */
  bool is_stopped;                  /* by a signal */
  char programs[WR_PATH_BYTES_MAX]; /* the folder of pv and seen */
  struct demo_broker *broker;       /* running; NULL: jobs read files */
  char folder[WR_PATH_BYTES_MAX];   /* temporary; empty: not made yet */
};

/* A line of output. */
__attribute__((format(printf, 2, 3))) void demo_say(struct demo *demo, const char *format, ...);
/* The one line that changes; nothing where there is no terminal. */
__attribute__((format(printf, 2, 3))) void demo_progress(struct demo *demo, const char *format, ...);
/* "12,345,678", in `text`. */
const char *demo_number(char text[DEMO_NUMBER_BYTES], uint64_t number);
/* Sleeps a few milliseconds; false when the user wants to stop. */
bool demo_tick(struct demo *demo);
uint64_t demo_now_ns(struct demo *demo);
__attribute__((format(printf, 3, 4))) void demo_path(char *path, size_t size, const char *format, ...);

/* ---- programs ---- */

/* Starts a program, whose path is the first word; NULL ends the words. It reads `input` (-1: nothing), and all it
 * prints goes to the end of the file `log`. No signal is blocked in it, and Ctrl-C does not reach it. */
enum weir_code demo_spawn(const char *const *words, int input, const char *log, pid_t *out_process,
                          struct weir_error *error);
/* Has it ended? Waits for it with `wait`. *out_exit_code: -1: killed. */
bool demo_has_ended(pid_t process, bool wait, int *out_exit_code);

/* ---- the log ---- */

/* A log of two partition files that grows. The same seed gives the same bytes, so a shorter log is the beginning of a
 * longer one. */
struct demo_log {
  struct demo *demo;
  char folder[WR_PATH_BYTES_MAX];
  char source[WR_PATH_BYTES_MAX + 64]; /* what jobs are given: the folder, or the topic's address */
  struct demo_topic *topic;            /* that has what the files have; NULL: none */
  uint64_t records, written;           /* of both partitions */
  struct demo_partition {
    struct wr_file *file;
    struct wr_random random;
    uint64_t written; /* records */
  } partitions[DEMO_PARTITIONS];
  char *buffer;
};

/* What a straight count over the files gives. */
struct demo_truth {
  uint64_t records;
  bool is_of_topic;                    /* partitions are called "0", not "p0.ndjson" */
  uint32_t *counts;                    /* per app */
  uint32_t *apps[DEMO_PARTITIONS];     /* of each record, by its position */
  uint64_t positions[DEMO_PARTITIONS]; /* records of the partition */
};

enum weir_code demo_log_init(struct demo_log *log, struct demo *demo, const char *name, uint64_t records,
                             struct weir_error *error);
void demo_log_deinit(struct demo_log *log);
/* Grows to `until` records, at most to its end. */
enum weir_code demo_log_grow(struct demo_log *log, uint64_t until, struct weir_error *error);
/* Reads the files that were written, line by line, without the engine. */
enum weir_code demo_log_count(struct demo_log *log, struct demo_truth *out_truth, struct weir_error *error);
void demo_truth_deinit(struct demo *demo, struct demo_truth *truth);
/* The number of "app01234"; UINT32_MAX: it is none. */
uint32_t demo_app_number(const char *name, size_t length);

/* ---- a Kafka broker, and a topic with the same records ---- */

struct demo_broker;
/* Starts a real broker on this machine. */
enum weir_code demo_broker_new(struct demo *demo, struct demo_broker **out_broker, struct weir_error *error);
/* SIGKILL; it is started again in the background. */
enum weir_code demo_broker_kill(struct demo_broker *broker, struct weir_error *error);
/* Is it away still? When it is back for the first time *out_away_s says how long it was away; else 0. An error: it does
 * not start again. */
enum weir_code demo_broker_look(struct demo_broker *broker, bool *out_is_away, double *out_away_s,
                                struct weir_error *error);
void demo_broker_free(struct demo_broker *broker); /* ends it; NULL is fine */

/* A topic called as the log's folder; demo_log_init makes it where the demonstration has a broker. */
enum weir_code demo_topic_new(struct demo_log *log, const char *name, struct weir_error *error);
/* Sends on what the files have and the topic has not, as much as goes without waiting; with `all`, everything, and the
 * broker has it when this returns. */
enum weir_code demo_topic_feed(struct demo_log *log, bool all, struct weir_error *error);
void demo_topic_free(struct demo_log *log);

/* ---- a job in a process of its own ---- */

struct demo_child {
  struct demo *demo;
  const char *name; /* of the program: "pv" */
  char database[WR_PATH_BYTES_MAX], state[WR_PATH_BYTES_MAX], log[WR_PATH_BYTES_MAX], metrics[WR_PATH_BYTES_MAX];
  char source[WR_PATH_BYTES_MAX + 64], interval[16];
  char sink[WR_PATH_BYTES_MAX];          /* empty: the file `database` */
  char password[WR_PATH_BYTES_MAX + 16]; /* an option of the sink; empty: none */
  char commit[64];                       /* an option of a plain sink; empty: it is not plain */
  const char *parallelism;
  pid_t process; /* 0: none */
  int exit_code; /* of the last one; -1: killed */
  uint64_t started_ns;
  uint64_t log_offset; /* read so far */
  /* what its log and metrics have said since the start */
  bool began;          /* it runs: from the beginning, or restored */
  uint64_t checkpoint; /* the newest that it completed; 0: none */
  uint64_t restored;   /* checkpoint; 0: none */
  uint64_t restored_records;
  double restored_ms;
  uint64_t records; /* that it had read by its last report */
};

/* `suffix` keeps several runs of a program apart. */
void demo_child_init(struct demo_child *child, struct demo *demo, const char *name, const char *suffix,
                     const char *source, const char *interval);
void demo_child_command(const struct demo_child *child, bool bounded, char *text, size_t size);
enum weir_code demo_child_start(struct demo_child *child, bool bounded, struct weir_error *error);
/* Looks at its log and metrics; false: it has ended, and exit_code says how. */
bool demo_child_look(struct demo_child *child);
/* SIGKILL or SIGTERM; waits for the end. */
void demo_child_kill(struct demo_child *child);
void demo_child_stop(struct demo_child *child);
/* The last lines of its log. */
void demo_child_show_log(struct demo_child *child);

/* ---- judging ---- */

struct demo_verdict {
  uint64_t rows; /* in the table; pv: the sum of its counts */
  uint64_t lost, doubled, foreign;
};
enum weir_code demo_judge_pv(struct demo *demo, const char *database, const struct demo_truth *truth,
                             struct demo_verdict *out_verdict, struct weir_error *error);
enum weir_code demo_judge_seen(struct demo *demo, const char *database, const struct demo_truth *truth,
                               struct demo_verdict *out_verdict, struct weir_error *error);

/* ---- the two parts: true when everything was as it must be ---- */

struct demo_summary {
  uint32_t pv_kills, seen_kills; /* that made the next run read records again */
  uint64_t lost, doubled;
  double records_per_second;
};
bool demo_kills(struct demo *demo, struct demo_summary *out_summary);
/* `server` is the folder of a server that tools/servers/mariadb.sh started. */
bool demo_mysql(struct demo *demo, const char *server, bool is_full);

#endif
