/* tests/test_real_threads.c: jobs on real threads and files, by the public interface alone, for ThreadSanitizer.
 *
 * A life: a thread appends to a log of three files; a job counts it per app into one database and writes down every
 * record's place in another; a third thread looks at the job from outside all the while (status, metrics, state, a
 * checkpoint now and then). The job is started again and again at another parallelism, and stopped, cancelled or freed
 * while it runs; the last run is bounded. Then both tables must say what the log says. Two lives go on at once in one
 * process, and share nothing.
 */
#include "base/random.h"
#include "base/test.h"
#include "weir/weir.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { LIVES = 2, RUNS = 6, FILES = 3, APPS = 50, METRICS_BYTES = 64 * 1024, PATH_BYTES = 200 };

static const struct weir_field fields[] = {
    {"partition", WEIR_TYPE_STRING, false}, {"position", WEIR_TYPE_BIGINT, false}, {"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema schema = {fields, 3};

struct life {
  uint64_t seed;
  struct wr_random random; /* of the thread that starts the jobs */
  char folder[64];
  char log[PATH_BYTES], state[PATH_BYTES], counts[PATH_BYTES], places[PATH_BYTES];
  struct weir_job *job;                /* of the run that goes on */
  atomic_bool written, looked;         /* the writer, the looker shall end */
  int64_t per_app[APPS], lines[FILES]; /* what the writer wrote */
  uint64_t looks;
  char wrong[2048]; /* what went wrong first; empty: nothing */
};

__attribute__((format(printf, 2, 3))) static void fail(struct life *life, const char *format, ...) {
  if (life->wrong[0] != 0) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(life->wrong, sizeof life->wrong, format, arguments);
  va_end(arguments);
}

static void sleep_ms(uint64_t ms) {
  const struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
  nanosleep(&time, NULL);
}

/* ---- the log ---- */

static void append(struct life *life, struct wr_random *random, FILE *const *files) {
  for (int i = 0; i < 20; i++) {
    uint64_t file = wr_random_below(random, FILES), app = wr_random_below(random, APPS);
    fprintf(files[file], "{\"app_id\":\"app%d\",\"n\":%d}\n", (int)app, i);
    life->per_app[app]++;
    life->lines[file]++;
  }
  for (int file = 0; file < FILES; file++)
    fflush(files[file]);
}

static void *write_log(void *argument) {
  struct life *life = argument;
  struct wr_random random = wr_random_of(life->seed + 1000);
  FILE *files[FILES];
  for (int file = 0; file < FILES; file++) {
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/p%d.ndjson", life->log, file);
    files[file] = fopen(path, "w");
    if (files[file] == NULL) abort();
  }
  while (!atomic_load(&life->written)) {
    append(life, &random, files);
    sleep_ms(1);
  }
  for (int file = 0; file < FILES; file++)
    fclose(files[file]);
  return NULL;
}

/* ---- a look from outside ---- */

static void sum_rows(void *argument, const struct weir_batch *batch) {
  int64_t *sum = argument;
  for (uint32_t row = 0; row < weir_batch_row_count(batch); row++)
    *sum += weir_batch_bigint(batch, 1, row);
}

static void look_once(struct life *life, struct wr_random *random, char *metrics) {
  struct weir_job_status status = {.size = sizeof status};
  struct weir_error error;
  int64_t all = 0, one = 0;
  struct weir_value key = {.type = WEIR_TYPE_STRING};
  key.as.bytes.data = "app7";
  key.as.bytes.length = 4;
  weir_job_read_status(life->job, &status);
  if (status.source_records < status.source_records_restored)
    fail(life, "%" PRIu64 " records, fewer than the %" PRIu64 " that were restored", status.source_records,
         status.source_records_restored);
  size_t length = weir_job_metrics(life->job, metrics, METRICS_BYTES);
  if (length < METRICS_BYTES && (length == 0 || metrics[length - 1] != '}')) fail(life, "metrics: %s", metrics);
  enum weir_code code = weir_job_read_state(life->job, "count", "count", &key, 1, sum_rows, &one, &error);
  if (code == WEIR_OK) code = weir_job_read_state(life->job, "count", "count", NULL, 0, sum_rows, &all, &error);
  if (code != WEIR_OK && code != WEIR_BUSY) fail(life, "state cannot be read: %s", error.message);
  if (code == WEIR_OK && all < one) fail(life, "%" PRId64 " views of app7, %" PRId64 " of all apps", one, all);
  if (wr_random_one_in(random, 8)) weir_job_checkpoint(life->job);
  life->looks++;
}

static void *look(void *argument) {
  struct life *life = argument;
  struct wr_random random = wr_random_of(life->seed + 2000);
  char *metrics = malloc(METRICS_BYTES);
  if (metrics == NULL) abort();
  while (!atomic_load(&life->looked)) {
    look_once(life, &random, metrics);
    sleep_ms(3);
  }
  free(metrics);
  return NULL;
}

/* ---- the job ---- */

static struct weir_job_builder *build(const struct life *life) {
  static const char *const keys[] = {"app_id"};
  struct weir_job_builder *builder = NULL;
  const struct weir_files_options files = {.size = sizeof files,
                                           .folder = life->log,
                                           .schema = &schema,
                                           .partition_field = "partition",
                                           .position_field = "position"};
  const struct weir_sqlite_options counts = {
      .size = sizeof counts, .path = life->counts, .table = "pv", .key_fields = keys, .key_field_count = 1};
  const struct weir_sqlite_options places = {.size = sizeof places, .path = life->places, .table = "seen"};
  if (weir_job_builder_new("life", &builder, NULL) != WEIR_OK) abort();
  struct weir_stream *views = weir_files_source(builder, "views", &files);
  weir_sqlite_sink(weir_count(weir_key_by(views, "app_id"), "count", "pv"), "pv", &counts);
  weir_sqlite_sink(views, "seen", &places);
  return builder;
}

static struct weir_options *make_options(struct life *life, bool bounded) {
  static const char *const numbers[] = {"1", "2", "3"};
  static const char *const intervals[] = {"20ms", "50ms", "100ms"};
  struct weir_options *options = NULL;
  if (weir_options_new(&options, NULL) != WEIR_OK || weir_options_set(options, "state", life->state, NULL) != WEIR_OK ||
      weir_options_set(options, "parallelism", numbers[wr_random_below(&life->random, 3)], NULL) != WEIR_OK ||
      weir_options_set(options, "checkpoint-interval", intervals[wr_random_below(&life->random, 3)], NULL) != WEIR_OK ||
      weir_options_set(options, "bounded", bounded ? "true" : "false", NULL) != WEIR_OK)
    abort();
  return options;
}

/* The run's end, by one of three ways; with the looker's end, for nobody may look at a job that is freed. */
static void end_run(struct life *life, pthread_t looker, bool bounded) {
  struct weir_error error = {.code = WEIR_OK};
  uint64_t way = bounded ? 3 : wr_random_below(&life->random, 3);
  enum weir_code expected = way == 1 ? WEIR_CANCELLED : WEIR_OK;
  if (!bounded) sleep_ms(wr_random_below(&life->random, 250));
  if (way == 0) weir_job_stop(life->job);
  if (way == 1) weir_job_cancel(life->job);
  if (way != 2 && !weir_job_wait(life->job, 60000)) fail(life, "no end within a minute");
  atomic_store(&life->looked, true);
  pthread_join(looker, NULL);
  enum weir_code code = way == 2 ? WEIR_OK : weir_job_result(life->job, &error);
  if (code != expected) fail(life, "ended with \"%s\": %s", weir_code_text(code), error.message);
  weir_job_free(&life->job);
}

static void run(struct life *life, bool bounded) {
  struct weir_error error;
  pthread_t looker;
  struct weir_job_builder *builder = build(life);
  struct weir_options *options = make_options(life, bounded);
  enum weir_code code = weir_job_start(builder, options, &life->job, &error);
  weir_options_free(&options);
  if (code == WEIR_OK) {
    atomic_store(&life->looked, false);
    if (pthread_create(&looker, NULL, look, life) != 0) abort();
    end_run(life, looker, bounded);
  } else {
    fail(life, "cannot be started: %s", error.message);
  }
  weir_job_builder_free(&builder);
}

/* ---- the tables ---- */

/* The number that a query gives; -1: it cannot be asked. */
static int64_t ask(const char *path, const char *query, const char *text) {
  sqlite3 *database = NULL;
  sqlite3_stmt *statement = NULL;
  int64_t answer = -1;
  if (sqlite3_open(path, &database) == SQLITE_OK &&
      sqlite3_prepare_v2(database, query, -1, &statement, NULL) == SQLITE_OK &&
      (text == NULL || sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC) == SQLITE_OK) &&
      sqlite3_step(statement) == SQLITE_ROW)
    answer = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return answer;
}

static void compare(struct life *life) {
  char text[32];
  for (int app = 0; app < APPS; app++) {
    snprintf(text, sizeof text, "app%d", app);
    int64_t found = ask(life->counts, "SELECT sum(pv) FROM pv WHERE app_id = ?1", text);
    if (found != life->per_app[app]) fail(life, "%s: %" PRId64 ", expected %" PRId64, text, found, life->per_app[app]);
  }
  for (int file = 0; file < FILES; file++) {
    snprintf(text, sizeof text, "p%d.ndjson", file);
    int64_t rows = ask(life->places, "SELECT count(*) FROM seen WHERE partition = ?1", text);
    int64_t places = ask(life->places, "SELECT count(DISTINCT position) FROM seen WHERE partition = ?1", text);
    if (rows != life->lines[file] || places != rows)
      fail(life, "%s: %" PRId64 " rows of %" PRId64 " places, expected %" PRId64, text, rows, places,
           life->lines[file]);
  }
}

static void *live(void *argument) {
  struct life *life = argument;
  pthread_t writer;
  if (pthread_create(&writer, NULL, write_log, life) != 0) abort();
  for (int i = 0; i < RUNS && life->wrong[0] == 0; i++)
    run(life, false);
  atomic_store(&life->written, true);
  pthread_join(writer, NULL);
  run(life, true);
  if (life->wrong[0] == 0) compare(life);
  return NULL;
}

static void init_life(struct life *life, uint64_t seed) {
  char folder[] = "/tmp/weir-test-threads-XXXXXX";
  if (mkdtemp(folder) == NULL) abort();
  *life = (struct life){.seed = seed, .random = wr_random_of(seed)};
  snprintf(life->folder, sizeof life->folder, "%s", folder);
  snprintf(life->log, PATH_BYTES, "%s/log", folder);
  snprintf(life->state, PATH_BYTES, "%s/state", folder);
  snprintf(life->counts, PATH_BYTES, "%s/counts.db", folder);
  snprintf(life->places, PATH_BYTES, "%s/places.db", folder);
  if (mkdir(life->log, 0700) != 0) abort();
}

TEST(lives_on_real_threads) {
  struct life lives[LIVES];
  pthread_t threads[LIVES];
  uint64_t seed = test_seed();
  for (int i = 0; i < LIVES; i++) {
    init_life(&lives[i], seed + (uint64_t)i);
    if (pthread_create(&threads[i], NULL, live, &lives[i]) != 0) abort();
  }
  for (int i = 0; i < LIVES; i++)
    pthread_join(threads[i], NULL);
  for (int i = 0; i < LIVES; i++) {
    if (lives[i].wrong[0] != 0) TEST_FAIL("life %d in %s: %s", i, lives[i].folder, lives[i].wrong);
    fprintf(stderr, "life %d: %" PRId64 " records in the first file, %" PRIu64 " looks\n", i, lives[i].lines[0],
            lives[i].looks);
    CHECK(lives[i].looks > RUNS && lives[i].lines[0] > 0);
    char command[PATH_BYTES];
    snprintf(command, sizeof command, "rm -rf %s", lives[i].folder);
    CHECK_INT(system(command), 0);
  }
}

TEST_MAIN(TEST_CASE(lives_on_real_threads))
