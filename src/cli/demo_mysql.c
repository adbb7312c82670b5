/* cli/demo_mysql.c: weir demo mysql. Two jobs write the same rows into a table of a MySQL or MariaDB server, and both
 * are killed six commits after a checkpoint: one whose sink commits by the clock, and one that commits with its
 * checkpoints.
 *
 * The server is one that tools/servers/mariadb.sh started; its own client, which knows nothing of weir, is asked what
 * is in the table. Each ends when the log has been read to its end, by a second run. One thread. */
#include "cli/demo.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHES = 6, RATE = 2000, ASK_NS = 20 * 1000 * 1000, GROW_NS = 10 * 1000 * 1000, NS_PER_MS = 1000 * 1000 };
/* A job that is not where it should be by then does not come there. */
static const uint64_t PATIENCE_INTERVALS = 10;

struct case_times {
  const char *checkpoint, *commit; /* as options */
  uint64_t checkpoint_ms, commit_ms;
};
static const struct case_times scaled = {"6s", "500ms", 6000, 500}, full = {"1min", "5s", 60000, 5000};

struct mysql_demo {
  struct demo *demo;
  const char *server; /* its folder */
  char port[16], password_file[WR_PATH_BYTES_MAX], sink[WR_PATH_BYTES_MAX];
  const struct case_times *times;
};

/* What a run gave. */
struct outcome {
  uint64_t records;             /* of the log */
  uint64_t in_checkpoint;       /* the records before the checkpoint that the second run began with */
  uint64_t rows_at_kill;        /* in the table */
  uint32_t batches;             /* commits that were seen since */
  uint64_t totals[BATCHES];     /* rows in the table after each */
  uint64_t rows, rows_distinct; /* at the end */
};

/* ---- the server's own client ---- */

/* The numbers of the one row that a statement gives; 0 of them where it gives none. */
static enum weir_code ask(const struct mysql_demo *mysql, const char *statement, uint64_t *out_numbers, int count,
                          struct weir_error *error) {
  char command[2 * WR_PATH_BYTES_MAX + 512], line[256] = {0};
  demo_path(command, sizeof command,
            "MYSQL_PWD=$(cat '%s') exec mariadb --no-defaults --batch --skip-column-names -h 127.0.0.1 -P %s -u weir "
            "out -e '%s' 2>/dev/null",
            mysql->password_file, mysql->port, statement);
  FILE *answer = popen(command, "r");
  if (answer == NULL) return WR_FAIL(error, WEIR_IO, "the program mariadb cannot be started");
  char *at = fgets(line, sizeof line, answer);
  for (int i = 0; i < count; i++)
    out_numbers[i] = at == NULL ? 0 : strtoull(at, &at, 10);
  if (pclose(answer) == 0) return WEIR_OK;
  return WR_FAIL(error, WEIR_IO, "the server in %s did not answer: %s", mysql->server, statement);
}

static enum weir_code read_server(struct mysql_demo *mysql, struct weir_error *error) {
  struct wr_memory *memory = &mysql->demo->heap.memory;
  char path[WR_PATH_BYTES_MAX];
  uint8_t *text = NULL;
  size_t length = 0;
  if (strlen(mysql->server) > WR_PATH_BYTES_MAX / 2 || strchr(mysql->server, '\'') != NULL)
    return WR_FAIL(error, WEIR_INVALID, "the path of the server's folder is too long, or has a quote in it");
  demo_path(path, sizeof path, "%s/port", mysql->server);
  WR_TRY(wr_file_load(mysql->demo->files, path, sizeof mysql->port - 1, memory, WR_MEMORY_USER, &text, &length, error));
  demo_path(mysql->port, sizeof mysql->port, "%lu", strtoul((const char *)text, NULL, 10));
  wr_free(memory, text);
  demo_path(mysql->password_file, sizeof mysql->password_file, "%s/password", mysql->server);
  demo_path(mysql->sink, sizeof mysql->sink, "mysql://weir@127.0.0.1:%s/out", mysql->port);
  uint64_t one = 0;
  return ask(mysql, "SELECT 1", &one, 1, error);
}

/* ---- a run ---- */

static void init_child(struct mysql_demo *mysql, struct demo_child *child, const char *source, bool is_plain) {
  demo_child_init(child, mysql->demo, "seen", is_plain ? "-plain" : "-exact", source, mysql->times->checkpoint);
  demo_path(child->sink, sizeof child->sink, "%s", mysql->sink);
  demo_path(child->password, sizeof child->password, "password-file=%s", mysql->password_file);
  child->parallelism = "1";
  if (is_plain) demo_path(child->commit, sizeof child->commit, "sink.buffer-flush.interval=%s", mysql->times->commit);
}

/* Lets the log grow at its rate, and watches the table, until six commits have come after a checkpoint. */
static enum weir_code watch(struct mysql_demo *mysql, struct demo_log *log, struct demo_child *child, bool is_plain,
                            struct outcome *outcome, struct weir_error *error) {
  struct demo *demo = mysql->demo;
  const uint64_t begun_ns = demo_now_ns(demo), end_ns = PATIENCE_INTERVALS * mysql->times->checkpoint_ms * NS_PER_MS;
  const uint64_t half_ns = BATCHES * mysql->times->commit_ms * NS_PER_MS;
  uint64_t asked_ns = 0, checkpoint_ns = 0, checkpoint = 0, before = 0;
  while (demo_tick(demo)) {
    const uint64_t now_ns = demo_now_ns(demo);
    if (now_ns - begun_ns > end_ns) return WR_FAIL(error, WEIR_TIMEOUT, "the job does not come to where it is killed");
    WR_TRY(demo_log_grow(log, (now_ns - begun_ns) / (NS_PER_MS * 1000 / RATE), error));
    if (!demo_child_look(child))
      return WR_FAIL(error, WEIR_IO, "the job ended by itself, exit code %d", child->exit_code);
    if (now_ns - asked_ns < ASK_NS) continue;
    asked_ns = now_ns;
    WR_TRY(ask(mysql, "SELECT count(*) FROM seen", &outcome->rows_at_kill, 1, error));
    if (child->checkpoint != checkpoint) {
      checkpoint = child->checkpoint;
      checkpoint_ns = now_ns;
      outcome->batches = 0;
    } else if (outcome->rows_at_kill != before) {
      if (outcome->batches < BATCHES) outcome->totals[outcome->batches] = outcome->rows_at_kill;
      outcome->batches++;
    }
    before = outcome->rows_at_kill;
    demo_progress(demo, "checkpoint %" PRIu64 ", %" PRIu64 " rows in the table", checkpoint, before);
    /* The first checkpoint comes before the first record. */
    if (checkpoint > 1 && (is_plain ? outcome->batches >= BATCHES : now_ns - checkpoint_ns >= half_ns)) return WEIR_OK;
  }
  return WR_FAIL(error, WEIR_IO, "stopped by a signal");
}

/* The second run reads the log to its end. */
static enum weir_code finish(struct mysql_demo *mysql, struct demo_child *child, struct outcome *outcome,
                             struct weir_error *error) {
  uint64_t numbers[2] = {0};
  WR_TRY(demo_child_start(child, true, error));
  while (demo_child_look(child))
    if (!demo_tick(mysql->demo)) return WR_FAIL(error, WEIR_IO, "stopped by a signal");
  if (child->exit_code != 0) return WR_FAIL(error, WEIR_IO, "the second run ended with exit code %d", child->exit_code);
  outcome->in_checkpoint = child->restored_records;
  WR_TRY(ask(mysql, "SELECT count(*), count(DISTINCT `partition`, position) FROM seen", numbers, 2, error));
  outcome->rows = numbers[0];
  outcome->rows_distinct = numbers[1];
  return WEIR_OK;
}

static enum weir_code run_child(struct mysql_demo *mysql, struct demo_log *log, struct demo_child *child, bool is_plain,
                                struct outcome *outcome, struct weir_error *error) {
  uint64_t none = 0;
  char text[2 * WR_PATH_BYTES_MAX];
  WR_TRY(ask(mysql,
             "DROP TABLE IF EXISTS seen, weir_commits; CREATE TABLE seen "
             "(`partition` varchar(64), position bigint, app_id varchar(64))",
             &none, 0, error));
  demo_child_command(child, false, text, sizeof text);
  demo_say(mysql->demo, "  %s", text);
  WR_TRY(demo_child_start(child, false, error));
  enum weir_code code = watch(mysql, log, child, is_plain, outcome, error);
  demo_child_kill(child);
  if (code != WEIR_OK) return code;
  /* The server may have been about to commit. */
  WR_TRY(ask(mysql, "SELECT count(*) FROM seen", &outcome->rows_at_kill, 1, error));
  outcome->records = log->written;
  return finish(mysql, child, outcome, error);
}

static enum weir_code run_case(struct mysql_demo *mysql, bool is_plain, struct outcome *outcome,
                               struct weir_error *error) {
  struct demo_log log;
  struct demo_child child;
  const uint64_t most = PATIENCE_INTERVALS * mysql->times->checkpoint_ms * RATE / 1000;
  WR_TRY(demo_log_init(&log, mysql->demo, is_plain ? "views-plain" : "views-exact", most, error));
  init_child(mysql, &child, log.folder, is_plain);
  enum weir_code code = run_child(mysql, &log, &child, is_plain, outcome, error);
  demo_child_kill(&child);
  if (code != WEIR_OK && !mysql->demo->is_stopped) demo_child_show_log(&child);
  demo_log_deinit(&log);
  return code;
}

/* ---- telling ---- */

static bool tell(struct mysql_demo *mysql, bool is_plain, const struct outcome *outcome) {
  const uint64_t again = outcome->rows_at_kill - outcome->in_checkpoint;
  const uint64_t lost = outcome->records - outcome->rows_distinct, doubled = outcome->rows - outcome->rows_distinct;
  if (is_plain) {
    demo_say(mysql->demo,
             "  killed with SIGKILL after %u commits since the checkpoint, which held %" PRIu64
             " records. The commits:",
             outcome->batches, outcome->in_checkpoint);
    for (uint32_t i = 0; i < outcome->batches && i < BATCHES; i++)
      demo_say(mysql->demo, "    %u: %" PRIu64 " rows%s", i + 1,
               outcome->totals[i] - (i == 0 ? outcome->in_checkpoint : outcome->totals[i - 1]),
               i == 0 ? " (while the checkpoint waited for the commit before, rows waited for this one)" : "");
    demo_say(mysql->demo, "  together %" PRIu64 ", which the next run reads and writes once more:", again);
  } else {
    demo_say(mysql->demo,
             "  killed with SIGKILL as long after a checkpoint; the next run began with %" PRIu64
             " records, and %" PRIu64 " rows\n  were in the table",
             outcome->in_checkpoint, outcome->rows_at_kill);
  }
  bool good = lost == 0 && outcome->rows_distinct <= outcome->records &&
              (is_plain ? doubled == again && doubled > 0 && outcome->batches == BATCHES : doubled == 0);
  demo_say(mysql->demo, "  records %" PRIu64 ", rows lost %" PRIu64 ", rows doubled %" PRIu64 "%s", outcome->records,
           lost, doubled, good ? "" : "; WRONG");
  return good;
}

bool demo_mysql(struct demo *demo, const char *server, bool is_full) {
  struct mysql_demo mysql = {.demo = demo, .server = server, .times = is_full ? &full : &scaled};
  struct weir_error error;
  bool good = true;
  if (read_server(&mysql, &error) != WEIR_OK) {
    demo_say(demo, "WRONG: %s", error.message);
    return false;
  }
  for (int i = 0; i < 2 && good; i++) {
    struct outcome outcome = {0};
    bool is_plain = i == 0;
    if (is_plain)
      demo_say(demo,
               "A plain sink that commits every %s; a checkpoint every %s; %d records a second:", mysql.times->commit,
               mysql.times->checkpoint, RATE);
    else
      demo_say(demo, "\nThe same job, exactly-once: its commits come with its checkpoints:");
    good = run_case(&mysql, is_plain, &outcome, &error) == WEIR_OK;
    if (good)
      good = tell(&mysql, is_plain, &outcome);
    else
      demo_say(demo, "WRONG: %s", error.message);
  }
  return good;
}
