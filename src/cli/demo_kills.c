/* cli/demo_kills.c: weir demo kills. A log grows while a job reads it; the job is killed at random moments and started
 * again by the same command, until enough kills have cost it something; then its table is compared with the files.
 *
 * A kill counts when the next run went on from a completed checkpoint and had to read records again. How far a killed
 * run had read is known from its last report, at most 50 ms before its death: so "at least". */
#include "cli/demo.h"

#include <inttypes.h>
#include <stdio.h>

enum {
  GROW_SECONDS = 12,
  TAIL_SECONDS = 2,
  PATIENCE_SECONDS = 60,
  PATIENCE_SECONDS_PER_KILL = 10,
  RECORDS_PER_SECOND_MIN = 50 * 1000,
  LIFE_MS_MIN = 250,
  LIFE_MS_MAX = 1750,
  BROKER_KILLS_MAX = 2, /* for each job */
  LIVES_PER_BROKER_KILL = 3
};
static const uint64_t second_ns = 1000 * 1000 * 1000, ms_ns = 1000 * 1000;

struct chase {
  struct demo *demo;
  struct demo_log *log;
  struct demo_child child;
  uint32_t kills;    /* all */
  uint32_t counted;  /* of them */
  double due;        /* records that should have been written by now */
  uint64_t grown_ns; /* when it was computed */
  uint64_t begun_ns;
  /* the last kill, until the next run has said where it goes on */
  bool is_open;
  uint32_t open_kill; /* its number */
  bool broker_is_away;
  uint32_t broker_kills; /* for this job */
  double life_s;
  uint64_t read_to;
};

static bool fail(struct demo *demo, const struct weir_error *error) {
  demo_say(demo, "WRONG: %s", error->message);
  return false;
}

/* ---- one life ---- */

/* The log grows evenly, and ever slower at its end while kills are still wanted, so that it does not end before. */
static bool grow(struct chase *chase) {
  struct weir_error error;
  uint64_t now_ns = demo_now_ns(chase->demo);
  double passed_s = (double)(now_ns - chase->grown_ns) / (double)second_ns;
  double rate = (double)chase->log->records / GROW_SECONDS;
  double left = (double)chase->log->records - chase->due;
  chase->due += passed_s * (left / TAIL_SECONDS < rate ? left / TAIL_SECONDS : rate);
  chase->grown_ns = now_ns;
  if (demo_log_grow(chase->log, (uint64_t)chase->due, &error) == WEIR_OK) return true;
  return fail(chase->demo, &error);
}

static void tell_header(struct demo *demo) {
  demo_say(demo, "  kill   after  had read, at least   goes on from  at record  read again, at least  recovery took");
}

static void tell_kill(struct chase *chase) {
  const struct demo_child *child = &chase->child;
  char read_to[DEMO_NUMBER_BYTES], stored[DEMO_NUMBER_BYTES], again[DEMO_NUMBER_BYTES];
  chase->is_open = false;
  if (child->restored == 0) {
    demo_say(chase->demo, "  %4u  %4.2f s  before any checkpoint: it begins anew; not counted", chase->open_kill,
             chase->life_s);
    return;
  }
  uint64_t repeated = chase->read_to > child->restored_records ? chase->read_to - child->restored_records : 0;
  if (repeated != 0) chase->counted++;
  demo_say(chase->demo, "  %4u  %4.2f s  %18s  chk-%-9" PRIu64 " %10s  %20s  %10.1f ms%s", chase->open_kill,
           chase->life_s, demo_number(read_to, chase->read_to), child->restored,
           demo_number(stored, child->restored_records), demo_number(again, repeated), child->restored_ms,
           repeated == 0 ? "; not counted" : "");
}

static bool child_failed(struct chase *chase) {
  demo_say(chase->demo, "WRONG: %s has ended by itself with exit code %d", chase->child.name, chase->child.exit_code);
  demo_child_show_log(&chase->child);
  return false;
}

static void show(struct chase *chase, const char *what) {
  char read[DEMO_NUMBER_BYTES], written[DEMO_NUMBER_BYTES];
  demo_progress(chase->demo, "  %s: %s of %s records read, %u of %u kills", what,
                demo_number(read, chase->child.records), demo_number(written, chase->log->written), chase->counted,
                chase->demo->kills);
}

/* In a few lives the broker is killed too, a while after the job has begun. False: something is wrong. */
static bool kill_broker_too(struct chase *chase, uint64_t life_ns) {
  struct demo *demo = chase->demo;
  struct weir_error error;
  double away_s = 0;
  if (demo->broker == NULL) return true;
  if (demo_broker_look(demo->broker, &chase->broker_is_away, &away_s, &error) != WEIR_OK) return fail(demo, &error);
  if (away_s != 0)
    demo_say(demo, "        the broker was killed, too; it answered again after %.1f s, and the job read on", away_s);
  bool is_time = chase->child.began && demo_now_ns(demo) > chase->child.started_ns + life_ns / 2;
  bool is_turn = chase->broker_kills < BROKER_KILLS_MAX && chase->kills > chase->broker_kills * LIVES_PER_BROKER_KILL;
  if (chase->broker_is_away || !is_time || !is_turn) return true;
  if (demo_broker_kill(demo->broker, &error) != WEIR_OK) return fail(demo, &error);
  chase->broker_is_away = true;
  chase->broker_kills++;
  return true;
}

/* Lets it run for a random time, or until the last kill that is wanted has been told. False: stop everything. */
static bool live(struct chase *chase) {
  struct demo *demo = chase->demo;
  uint64_t life_ns = (LIFE_MS_MIN + wr_random_below(&demo->random, LIFE_MS_MAX - LIFE_MS_MIN)) * ms_ns;
  uint64_t patience_s = PATIENCE_SECONDS + PATIENCE_SECONDS_PER_KILL * (uint64_t)demo->kills;
  while (demo_now_ns(demo) < chase->child.started_ns + life_ns || chase->broker_is_away) {
    if (!demo_tick(demo) || !grow(chase) || !kill_broker_too(chase, life_ns)) return false;
    if (!demo_child_look(&chase->child)) return child_failed(chase);
    if (chase->child.began && chase->is_open) tell_kill(chase);
    if (chase->counted == demo->kills && !chase->broker_is_away) return true;
    show(chase, "a growing log");
    if (demo_now_ns(demo) > chase->begun_ns + patience_s * second_ns) {
      demo_say(demo, "WRONG: in %" PRIu64 " s only %u kills have made a run read records again", patience_s,
               chase->counted);
      return false;
    }
  }
  return true;
}

static void kill_it(struct chase *chase) {
  uint64_t age_ns = demo_now_ns(chase->demo) - chase->child.started_ns;
  demo_child_kill(&chase->child);
  chase->kills++;
  if (!chase->child.began) {
    demo_say(chase->demo, "  %4u  %4.2f s  while it was starting; not counted", chase->kills,
             (double)age_ns / (double)second_ns);
    return; /* what was open stays open */
  }
  if (chase->is_open) tell_kill(chase);
  chase->is_open = true;
  chase->open_kill = chase->kills;
  chase->life_s = (double)age_ns / (double)second_ns;
  chase->read_to = chase->child.records;
}

/* Ends with the job running. */
static bool kill_again_and_again(struct chase *chase) {
  struct weir_error error;
  while (chase->counted < chase->demo->kills) {
    if (demo_child_start(&chase->child, false, &error) != WEIR_OK) return fail(chase->demo, &error);
    if (!live(chase)) return false;
    if (chase->counted < chase->demo->kills) kill_it(chase);
  }
  return true;
}

/* ---- to the end ---- */

/* A run with --bounded; *out_s is how long the process lived. */
static bool run_to_the_end(struct chase *chase, const char *what, double *out_s) {
  struct weir_error error;
  if (demo_child_start(&chase->child, true, &error) != WEIR_OK) return fail(chase->demo, &error);
  uint64_t patience_s = PATIENCE_SECONDS + chase->log->records / RECORDS_PER_SECOND_MIN;
  while (demo_child_look(&chase->child)) {
    if (!demo_tick(chase->demo)) return false;
    show(chase, what);
    if (demo_now_ns(chase->demo) < chase->child.started_ns + patience_s * second_ns) continue;
    demo_say(chase->demo, "WRONG: %s has not ended after %" PRIu64 " s", chase->child.name, patience_s);
    demo_child_show_log(&chase->child);
    return false;
  }
  *out_s = (double)(demo_now_ns(chase->demo) - chase->child.started_ns) / (double)second_ns;
  return chase->child.exit_code == 0 || child_failed(chase);
}

static bool stop_and_finish(struct chase *chase) {
  struct weir_error error;
  double seconds = 0;
  demo_progress(chase->demo, "  the job is asked to stop");
  demo_child_stop(&chase->child);
  if (chase->child.exit_code != 0) return child_failed(chase);
  if (demo_log_grow(chase->log, chase->log->records, &error) != WEIR_OK) return fail(chase->demo, &error);
  if (!run_to_the_end(chase, "the last run", &seconds)) return false;
  demo_say(
      chase->demo,
      "  %u kills, %u of them counted. Then SIGTERM, on which it took a last checkpoint and ended with exit code 0;\n"
      "  the log was written to its end, and a last run with --bounded read on to it.",
      chase->kills, chase->counted);
  return true;
}

typedef enum weir_code judge_function(struct demo *demo, const char *database, const struct demo_truth *truth,
                                      struct demo_verdict *out_verdict, struct weir_error *error);

static bool judge(struct chase *chase, const struct demo_truth *truth, judge_function *judge_table, const char *unit,
                  struct demo_summary *summary) {
  struct weir_error error;
  struct demo_verdict verdict;
  char rows[DEMO_NUMBER_BYTES], records[DEMO_NUMBER_BYTES], lost[DEMO_NUMBER_BYTES], doubled[DEMO_NUMBER_BYTES];
  demo_progress(chase->demo, "  the table is compared with the files");
  if (judge_table(chase->demo, chase->child.database, truth, &verdict, &error) != WEIR_OK)
    return fail(chase->demo, &error);
  summary->lost += verdict.lost;
  summary->doubled += verdict.doubled;
  demo_say(chase->demo, "  the %s %s records, the table has %s %s: rows lost %s, rows doubled %s",
           truth->is_of_topic ? "topic has" : "files have", demo_number(records, truth->records),
           demo_number(rows, verdict.rows), unit, demo_number(lost, verdict.lost),
           demo_number(doubled, verdict.doubled));
  if (verdict.foreign != 0)
    demo_say(chase->demo, "WRONG: %" PRIu64 " rows of the table are not in the files at all", verdict.foreign);
  bool good = verdict.lost == 0 && verdict.doubled == 0 && verdict.foreign == 0 && verdict.rows == truth->records;
  if (!good) demo_say(chase->demo, "WRONG: the table is not what the files say");
  return good;
}

/* ---- the two jobs ---- */

static void begin_chase(struct chase *chase, struct demo *demo, struct demo_log *log, const char *name) {
  char command[3 * WR_PATH_BYTES_MAX];
  *chase = (struct chase){.demo = demo, .log = log, .grown_ns = demo_now_ns(demo), .begun_ns = demo_now_ns(demo)};
  demo_child_init(&chase->child, demo, name, "", log->source, "200ms");
  demo_child_command(&chase->child, false, command, sizeof command);
  demo_say(demo, "  %s", command);
  tell_header(demo);
}

static bool measure_clean_run(struct demo *demo, struct demo_log *log, const struct demo_truth *truth,
                              struct demo_summary *summary) {
  struct chase chase = {.demo = demo, .log = log};
  char records[DEMO_NUMBER_BYTES], rate[DEMO_NUMBER_BYTES];
  double seconds = 0;
  demo_say(demo,
           "\nThe same job once more over the whole log, from nothing and not killed, a checkpoint every second:");
  demo_child_init(&chase.child, demo, "pv", "-clean", log->source, "1s");
  bool good = run_to_the_end(&chase, "a clean run", &seconds);
  if (!good) demo_child_kill(&chase.child);
  if (!good) return false;
  summary->records_per_second = (double)truth->records / seconds;
  demo_say(demo, "  %s records in %.1f s, from the start of the process to the table's last commit: %s rows per second",
           demo_number(records, truth->records), seconds, demo_number(rate, (uint64_t)summary->records_per_second));
  return judge(&chase, truth, demo_judge_pv, "views", summary);
}

static bool chase_and_judge(struct chase *chase, judge_function *judge_table, const char *unit,
                            struct demo_truth *out_truth, struct demo_summary *summary) {
  struct weir_error error;
  bool good = kill_again_and_again(chase) && stop_and_finish(chase);
  if (!good) demo_child_kill(&chase->child);
  if (!good) return false;
  demo_progress(chase->demo, "  the files are counted");
  if (demo_log_count(chase->log, out_truth, &error) != WEIR_OK) return fail(chase->demo, &error);
  return judge(chase, out_truth, judge_table, unit, summary);
}

static bool pv_part(struct demo *demo, struct demo_summary *summary) {
  struct weir_error error;
  struct demo_log log;
  struct demo_truth truth = {0};
  struct chase chase;
  char records[DEMO_NUMBER_BYTES];
  demo_say(demo,
           "\nPage views per app: a log of %d partitions, %s views of up to 100,000 apps, some far more popular than\n"
           "others, that grows while the job counts it into an SQLite table; the job is killed by SIGKILL at random\n"
           "moments and started again by the same command (seed %" PRIu64 "). Each start takes new checkpoint numbers.",
           DEMO_PARTITIONS, demo_number(records, demo->records), demo->seed);
  if (demo_log_init(&log, demo, "views", demo->records, &error) != WEIR_OK) return fail(demo, &error);
  begin_chase(&chase, demo, &log, "pv");
  bool good = chase_and_judge(&chase, demo_judge_pv, "views", &truth, summary) &&
              measure_clean_run(demo, &log, &truth, summary);
  summary->pv_kills = chase.counted;
  demo_truth_deinit(demo, &truth);
  demo_log_deinit(&log);
  return good;
}

static bool seen_part(struct demo *demo, struct demo_summary *summary) {
  struct weir_error error;
  struct demo_log log;
  struct demo_truth truth = {0};
  struct chase chase;
  char records[DEMO_NUMBER_BYTES];
  demo_say(demo,
           "\nEvery record's place: over the first tenth of the log (%s records) a job without state writes one row\n"
           "for each record into a table without a key, where nothing can hide; killed likewise:",
           demo_number(records, demo->records / 10));
  if (demo_log_init(&log, demo, "tenth", demo->records / 10, &error) != WEIR_OK) return fail(demo, &error);
  begin_chase(&chase, demo, &log, "seen");
  bool good = chase_and_judge(&chase, demo_judge_seen, "rows", &truth, summary);
  summary->seen_kills = chase.counted;
  demo_truth_deinit(demo, &truth);
  demo_log_deinit(&log);
  return good;
}

bool demo_kills(struct demo *demo, struct demo_summary *out_summary) {
  *out_summary = (struct demo_summary){0};
  return pv_part(demo, out_summary) && seen_part(demo, out_summary);
}
