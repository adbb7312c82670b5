/* tests/points_job.c: the job of examples/seen.c, which kills or stops itself at a named point. Driven by points.py.
 *
 *   points_job --at PHASE:POINT:N[:stop] [options of a job]
 *
 * At the N-th passing of POINT in PHASE the process is gone by SIGKILL; with `stop` it waits there. A phase is
 * `recovery`, from the start to the moment when a source is about to read for the first time, or `run`, after that.
 *
 * The points lie on the seams that the engine has anyway; nothing in it knows of them:
 *
 *   stage-begun, staged   a folder of files: a writer has begun a staged file; the names of an epoch's are durable
 *   before-prepare    a sink's writer is told that a barrier closes its epoch
 *   prepared          the committer's part of the snapshot is made: all parts of the epoch are in it
 *   before-durable    the checkpoint's metadata is written and not yet renamed;  renamed: renamed and not yet synced
 *   durable           synced;  notify: the committer is told so
 *   claim-X, commit-X where the target stands in claim() or commit():
 *     entered, returned   at the call's first and last moment
 *     begun, marker, half, rows   a transaction is open; the marker has moved in it; half of the rows, all are in it
 *     asked, sent, answered       the request to commit is about to be sent; is sent; its answer is there and not read
 *     writing, written, synced    SQLite: its log is being written, is written, is on disk
 *     shown-one, shown            a folder of files: the first file has its final name, all have. There `sent` is the
 *                                 rename of the manifest, and `answered` that it is durable
 *   sources           a source is about to read for the first time
 *
 * A database server's and a broker's requests are seen where their libraries call send and sendmsg, which this program
 * puts its own in front of; so are SQLite's writes. It says on standard output, a line each:
 *
 *   sources N         as above; N records are before the restored positions. It waits for "go" on standard input
 *   begin ID ROWS     commit() of an epoch was called;  done ID ROWS: it has answered (already ID: it was in)
 *   at POINT          it is killed, or waits for "go"
 *   status ...        at a change, and when asked by "look": waiting epochs, failed and completed checkpoints, records
 *   failed            the checkpoint that "fail" has asked for has met an error of its file
 */
#include "api/api_int.h"
#include "connectors/kafka/kafka_rdkafka.h"
#include "connectors/kafka/kafka_target.h"
#include "connectors/sql/sql_target.h"
#include "os/posix_seams.h"
#include "runtime/threads.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOK_MS = 5, ANSWER_MS = 20000, API_OFFSET_COMMIT = 28, API_END_TRANSACTION = 26 };

/* What is asked for, and how often it was passed. */
static struct {
  char phase[16], point[40];
  uint64_t nth;
  bool stops;
  _Atomic uint64_t passed;
} at;

static sem_t go;
static atomic_bool are_sources_reading, fails_next_checkpoint;
static struct wr_job *job;

/* Where the target stands, for the thread that called it and for those of a library; the counts are of this call. */
static _Thread_local const char *inside;
static _Atomic(const char *) inside_anywhere;
static _Thread_local bool is_asking; /* the request to commit goes out, on this thread */
static _Thread_local bool is_publishing;
static uint64_t epoch_rows, inserted_rows, files_shown, renamed_markers;

/* ---- points ---- */

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (length < 0 || write(STDOUT_FILENO, line, (size_t)length) != length) abort();
}

static void wait_for_go(void) {
  while (sem_wait(&go) != 0) {
  }
}

static void pass(const char *point) {
  const char *phase = atomic_load(&are_sources_reading) ? "run" : "recovery";
  if (strcmp(at.point, point) != 0 || strcmp(at.phase, phase) != 0) return;
  if (atomic_fetch_add(&at.passed, 1) + 1 != at.nth) return;
  say("at %s\n", point);
  if (at.stops) {
    wait_for_go();
    return;
  }
  kill(getpid(), SIGKILL);
  for (;;)
    pause();
}

static void pass_in(const char *call, const char *point) {
  char name[64];
  if (call == NULL) return;
  snprintf(name, sizeof name, "%s-%s", call, point);
  pass(name);
}

static void pass_here(const char *point) {
  pass_in(inside, point);
}

static void enter(const char *call) {
  inserted_rows = files_shown = renamed_markers = 0;
  inside = call;
  atomic_store(&inside_anywhere, call);
  pass_here("entered");
}

static void leave(enum weir_code code) {
  if (code == WEIR_OK) pass_here("returned");
  inside = NULL;
  is_asking = false;
  atomic_store(&inside_anywhere, NULL);
}

/* ---- operators ---- */

typedef enum weir_code new_operator_function(void *config, struct wr_operator_context *context,
                                             struct wr_operator **out_operator, struct weir_error *error);
static new_operator_function *new_source, *new_writer, *new_committer;
static struct wr_operator_vtable real_source, real_writer, real_committer, source, writer, committer;

static enum wr_result poll_source(struct wr_operator *op, uint64_t *wake_at_ns) {
  static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&first);
  if (!atomic_load(&are_sources_reading)) {
    struct wr_job_status status;
    pass("sources");
    wr_job_read_status(job, &status);
    say("sources %" PRIu64 "\n", status.source_records_restored);
    wait_for_go();
    atomic_store(&are_sources_reading, true);
  }
  pthread_mutex_unlock(&first);
  return real_source.poll(op, wake_at_ns);
}

static enum weir_code prepare_writer(struct wr_operator *op, uint64_t id, struct weir_error *error) {
  pass("before-prepare");
  return real_writer.prepare(op, id, error);
}

static enum weir_code snapshot_committer(struct wr_operator *op, uint64_t id, struct wr_commit_snapshot *out_commit,
                                         struct weir_error *error) {
  enum weir_code code = real_committer.snapshot_commit(op, id, out_commit, error);
  pass("prepared");
  return code;
}

static void notify_committer(struct wr_operator *op, uint64_t id) {
  pass("notify");
  real_committer.complete(op, id);
}

static enum weir_code make_source(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                                  struct weir_error *error) {
  WR_TRY(new_source(config, context, out_operator, error));
  real_source = *(*out_operator)->vtable;
  source = real_source;
  source.poll = poll_source;
  (*out_operator)->vtable = &source;
  return WEIR_OK;
}

static enum weir_code make_writer(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                                  struct weir_error *error) {
  WR_TRY(new_writer(config, context, out_operator, error));
  real_writer = *(*out_operator)->vtable;
  writer = real_writer;
  writer.prepare = prepare_writer;
  (*out_operator)->vtable = &writer;
  return WEIR_OK;
}

static enum weir_code make_committer(void *config, struct wr_operator_context *context,
                                     struct wr_operator **out_operator, struct weir_error *error) {
  WR_TRY(new_committer(config, context, out_operator, error));
  real_committer = *(*out_operator)->vtable;
  committer = real_committer;
  committer.snapshot_commit = snapshot_committer;
  committer.complete = notify_committer;
  (*out_operator)->vtable = &committer;
  return WEIR_OK;
}

/* ---- the target ---- */

static enum weir_code (*new_target)(void *config, const struct wr_target_context *context,
                                    struct wr_target **out_target, struct weir_error *error);
static struct wr_target_vtable real_target, target;

static enum weir_code claim_target(struct wr_target *self, const struct wr_marker *seen, uint64_t checkpoint,
                                   struct weir_error *error) {
  enter("claim");
  enum weir_code code = real_target.claim(self, seen, checkpoint, error);
  leave(code);
  return code;
}

static enum weir_code commit_target(struct wr_target *self, const struct wr_epoch *epoch, bool *out_already,
                                    struct weir_error *error) {
  epoch_rows = 0;
  for (uint32_t i = 0; i < epoch->part_count; i++)
    epoch_rows += epoch->parts[i].row_count;
  say("begin %" PRIu64 " %" PRIu64 "\n", epoch->checkpoint_id, epoch_rows);
  enter("commit");
  enum weir_code code = real_target.commit(self, epoch, out_already, error);
  if (code == WEIR_OK)
    say("%s %" PRIu64 " %" PRIu64 "\n", *out_already ? "already" : "done", epoch->checkpoint_id, epoch_rows);
  leave(code);
  return code;
}

static enum weir_code make_target(void *config, const struct wr_target_context *context, struct wr_target **out_target,
                                  struct weir_error *error) {
  WR_TRY(new_target(config, context, out_target, error));
  real_target = *(*out_target)->vtable;
  target = real_target;
  target.claim = claim_target;
  target.commit = commit_target;
  (*out_target)->vtable = &target;
  return WEIR_OK;
}

/* ---- a session with a database server ---- */

static enum weir_code (*new_driver)(const struct wr_sql_config *config, const struct wr_target_context *context,
                                    struct wr_sql_driver **out_driver, struct weir_error *error);
static struct wr_sql_driver_vtable real_driver, driver;

static enum wr_sql_outcome driver_begin(struct wr_sql_driver *self, struct weir_error *error) {
  enum wr_sql_outcome outcome = real_driver.begin(self, error);
  pass_here("begun");
  return outcome;
}

static enum wr_sql_outcome driver_claim(struct wr_sql_driver *self, const struct wr_marker *seen,
                                        const struct wr_marker *mine, uint64_t *out_rows, struct weir_error *error) {
  enum wr_sql_outcome outcome = real_driver.claim(self, seen, mine, out_rows, error);
  pass_here("marker");
  return outcome;
}

static enum wr_sql_outcome driver_move_marker(struct wr_sql_driver *self, const struct wr_marker *mine,
                                              uint64_t known_id, uint64_t *out_rows, struct weir_error *error) {
  enum wr_sql_outcome outcome = real_driver.move_marker(self, mine, known_id, out_rows, error);
  pass_here("marker");
  return outcome;
}

static enum wr_sql_outcome driver_write(struct wr_sql_driver *self, enum wr_sql_change change,
                                        const struct wr_sql_row *rows, uint32_t count, struct weir_error *error) {
  uint32_t half = count / 2;
  enum wr_sql_outcome outcome = half == 0 ? WR_SQL_DONE : real_driver.write(self, change, rows, half, error);
  if (outcome == WR_SQL_DONE && half != 0) pass_here("half");
  if (outcome == WR_SQL_DONE) outcome = real_driver.write(self, change, rows + half, count - half, error);
  if (outcome == WR_SQL_DONE) pass_here("rows");
  return outcome;
}

static enum wr_sql_outcome driver_commit(struct wr_sql_driver *self, struct weir_error *error) {
  is_asking = true;
  enum wr_sql_outcome outcome = real_driver.commit(self, error);
  is_asking = false;
  return outcome;
}

static enum weir_code make_driver(const struct wr_sql_config *config, const struct wr_target_context *context,
                                  struct wr_sql_driver **out_driver, struct weir_error *error) {
  WR_TRY(new_driver(config, context, out_driver, error));
  real_driver = *(*out_driver)->vtable;
  driver = real_driver;
  driver.begin = driver_begin;
  driver.claim = driver_claim;
  driver.move_marker = driver_move_marker;
  driver.write = driver_write;
  driver.commit = driver_commit;
  (*out_driver)->vtable = &driver;
  return WEIR_OK;
}

/* ---- a producer ---- */

static struct wr_kafka_producer_driver producers;
static struct wr_kafka_producer_vtable real_producer, producer;

static enum weir_code producer_begin(struct wr_kafka_producer *self, struct weir_error *error) {
  enum weir_code code = real_producer.begin(self, error);
  pass_here("begun");
  return code;
}

/* What was written is with the broker before the point is passed. */
static enum weir_code producer_write(struct wr_kafka_producer *self, const struct wr_kafka_message *messages,
                                     uint32_t count, uint32_t *out_bad, struct weir_error *error) {
  uint32_t half = count / 2;
  *out_bad = UINT32_MAX;
  WR_TRY(real_producer.write(self, messages, half, out_bad, error));
  WR_TRY(real_producer.flush(self, ANSWER_MS, error));
  pass_here("half");
  WR_TRY(real_producer.write(self, messages + half, count - half, out_bad, error));
  WR_TRY(real_producer.flush(self, ANSWER_MS, error));
  pass_here("rows");
  return WEIR_OK;
}

static enum weir_code open_producer(const struct wr_kafka_producer_driver *self,
                                    const struct wr_kafka_producer_options *options, struct wr_seams *seams,
                                    struct wr_memory *memory, struct wr_kafka_producer **out_producer,
                                    struct weir_error *error) {
  (void)self;
  const struct wr_kafka_producer_driver *real = wr_kafka_rdkafka_producer();
  WR_TRY(real->open(real, options, seams, memory, out_producer, error));
  real_producer = *(*out_producer)->vtable;
  producer = real_producer;
  producer.begin = producer_begin;
  producer.write = producer_write;
  (*out_producer)->vtable = &producer;
  return WEIR_OK;
}

/* ---- what libraries ask of the system ---- */

static ssize_t (*real_send)(int socket, const void *data, size_t length, int flags);
static ssize_t (*real_sendmsg)(int socket, const struct msghdr *message, int flags);
static ssize_t (*real_pwrite64)(int file, const void *data, size_t length, off64_t offset);
static int (*real_fdatasync)(int file);

static void wait_for_answer(int socket) {
  struct pollfd waits = {.fd = socket, .events = POLLIN};
  if (poll(&waits, 1, ANSWER_MS) < 0) perror("poll");
}

ssize_t send(int socket, const void *data, size_t length, int flags) {
  if (!is_asking) return real_send(socket, data, length, flags);
  is_asking = false;
  pass_here("asked");
  ssize_t sent = real_send(socket, data, length, flags);
  pass_here("sent");
  wait_for_answer(socket);
  pass_here("answered");
  return sent;
}

/* The number of the request that a message to a broker begins with: i32 length, i16 number. */
static int request_of(const struct msghdr *message) {
  uint8_t head[6] = {0};
  size_t length = 0;
  for (size_t i = 0; i < message->msg_iovlen; i++)
    for (size_t k = 0; k < message->msg_iov[i].iov_len && length < sizeof head; k++)
      head[length++] = ((const uint8_t *)message->msg_iov[i].iov_base)[k];
  return length < sizeof head ? -1 : head[4] << 8 | head[5];
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
  const char *call = atomic_load(&inside_anywhere);
  int request = call == NULL ? -1 : request_of(message);
  if (request == API_END_TRANSACTION) pass_in(call, "asked");
  ssize_t sent = real_sendmsg(socket, message, flags);
  if (request == API_END_TRANSACTION) pass_in(call, "sent");
  if (request == API_END_TRANSACTION || request == API_OFFSET_COMMIT) wait_for_answer(socket);
  if (request == API_OFFSET_COMMIT) pass_in(call, "marker");
  if (request == API_END_TRANSACTION) pass_in(call, "answered");
  return sent;
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
  ssize_t written = real_pwrite64(file, data, length, offset);
  if (is_asking) pass_here("writing");
  return written;
}

int fdatasync(int file) {
  if (is_asking) pass_here("written");
  int result = real_fdatasync(file);
  if (is_asking) pass_here("synced");
  return result;
}

static void find(const char *name, void *function) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  memcpy(function, &found, sizeof found);
}

/* ---- SQLite ---- */

/* How many rows an INSERT brings: a parenthesis with parameters for each. */
static uint64_t rows_of(const char *sql) {
  uint64_t count = 0;
  for (const char *row = strstr(sql, "(?"); row != NULL; row = strstr(row + 1, "(?"))
    count++;
  return count;
}

static void inserted(uint64_t rows) {
  uint64_t before = inserted_rows, half = epoch_rows / 2;
  inserted_rows += rows;
  if (before < half && inserted_rows >= half) pass_here("half");
  if (inserted_rows == epoch_rows) pass_here("rows");
}

static void ended(const char *sql) {
  if (strncmp(sql, "BEGIN", 5) == 0) {
    pass_here("begun");
  } else if (strncmp(sql, "COMMIT", 6) == 0) {
    is_asking = false;
    pass_here("answered");
  } else if (strstr(sql, "weir_marker") != NULL) {
    if (strncmp(sql, "UPDATE", 6) == 0 || strncmp(sql, "INSERT", 6) == 0) pass_here("marker");
  } else if (strncmp(sql, "INSERT", 6) == 0) {
    inserted(rows_of(sql));
  }
}

static int trace(unsigned event, void *context, void *statement, void *more) {
  (void)context;
  (void)more;
  const char *sql = sqlite3_sql(statement);
  if (sql == NULL || inside == NULL) return 0;
  if (event == SQLITE_TRACE_PROFILE) {
    ended(sql);
  } else if (strncmp(sql, "COMMIT", 6) == 0) {
    pass_here("asked");
    is_asking = true;
  }
  return 0;
}

static int trace_new(sqlite3 *database, char **message, const void *functions) {
  (void)message;
  (void)functions;
  return sqlite3_trace_v2(database, SQLITE_TRACE_STMT | SQLITE_TRACE_PROFILE, trace, NULL);
}

/* ---- files: the checkpoint's, and those of a folder that is a target ---- */

static struct wr_files real_files;

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), end_length = strlen(end);
  return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static bool is_checkpoint(const char *path) {
  const char *name = strrchr(path, '/');
  return name != NULL && strncmp(name, "/chk-", 5) == 0;
}

static enum weir_code file_open(struct wr_files *files, const char *path, enum wr_file_mode mode,
                                struct wr_file **out_file, struct weir_error *error) {
  if (is_checkpoint(path) && ends_with(path, ".tmp") && atomic_exchange(&fails_next_checkpoint, false)) {
    say("failed\n");
    return WR_FAIL(error, WEIR_IO, "cannot open %s: a fault of the test", path);
  }
  WR_TRY(real_files.open(files, path, mode, out_file, error));
  if (mode == WR_FILE_CREATE_OUT && strstr(path, "/.weir/part-") != NULL) pass("stage-begun");
  return WEIR_OK;
}

static enum weir_code file_rename(struct wr_files *files, const char *from, const char *to, struct weir_error *error) {
  bool checkpoint = is_checkpoint(to), marker = inside != NULL && strstr(to, "/.weir/") != NULL;
  bool shown = inside != NULL && strstr(from, "/.weir/part-") != NULL;
  if (marker) renamed_markers++;
  if (checkpoint) pass("before-durable");
  if (marker && renamed_markers == 1) pass_here("asked");
  WR_TRY(real_files.rename(files, from, to, error));
  is_publishing = checkpoint;
  if (checkpoint) pass("renamed");
  if (marker && renamed_markers == 1) pass_here("sent");
  if (shown && ++files_shown == 1) pass_here("shown-one");
  return WEIR_OK;
}

static enum weir_code file_sync_folder(struct wr_files *files, const char *path, struct weir_error *error) {
  WR_TRY(real_files.sync_folder(files, path, error));
  if (is_publishing) pass("durable");
  is_publishing = false;
  bool own = ends_with(path, "/.weir");
  if (inside == NULL && own) pass("staged");
  if (inside == NULL) return WEIR_OK;
  if (own && renamed_markers == 1 && files_shown == 0) pass_here("answered");
  if (!own && files_shown != 0) pass_here("shown");
  return WEIR_OK;
}

static void put_before_files(struct wr_files *files) {
  real_files = *files;
  files->open = file_open;
  files->rename = file_rename;
  files->sync_folder = file_sync_folder;
}

/* ---- the job ---- */

static const struct weir_field fields[] = {
    {"partition", WEIR_TYPE_STRING, false}, {"position", WEIR_TYPE_BIGINT, false}, {"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema schema = {fields, 3};

static void build(struct weir_job_builder *builder, const struct weir_options *options) {
  const struct weir_record_options records = {
      .size = sizeof records, .schema = &schema, .partition_field = "partition", .position_field = "position"};
  struct weir_stream *views = weir_source_of_options(builder, "views", &records, options);
  weir_sink_of_options(weir_message_key(views, "app_id"), "seen", "seen", NULL, 0, options);
}

/* Puts the functions above in front of the connector's: the graph is the builder's, and not yet running. */
static void put_before_nodes(const struct wr_graph *graph, const char *sink) {
  for (uint32_t i = 0; i < graph->node_count; i++) {
    struct wr_node *node = &graph->nodes[i];
    if (node->kind == WR_NODE_SOURCE) {
      new_source = node->new_operator;
      node->new_operator = make_source;
    } else if (node->kind == WR_NODE_SINK) {
      new_writer = node->new_operator;
      node->new_operator = make_writer;
    } else if (node->kind == WR_NODE_COMMITTER) {
      new_committer = node->new_operator;
      node->new_operator = make_committer;
      new_target = node->new_target;
      node->new_target = make_target;
      void *config = ((struct wr_sink_config *)node->config)->target_config;
      if (strncmp(sink, "kafka:", 6) == 0) {
        producers = *wr_kafka_rdkafka_producer();
        producers.open = open_producer;
        ((struct wr_kafka_sink_config *)config)->driver = &producers;
      } else if (strstr(sink, "://") != NULL) {
        new_driver = ((struct wr_sql_config *)config)->new_driver;
        ((struct wr_sql_config *)config)->new_driver = make_driver;
      }
    }
  }
}

static void obey(const char *lines) {
  struct wr_job_status status;
  wr_job_read_status(job, &status);
  for (const char *line = lines; line != NULL; line = strchr(line, '\n') == NULL ? NULL : strchr(line, '\n') + 1) {
    if (strncmp(line, "go", 2) == 0) sem_post(&go);
    if (strncmp(line, "fail", 4) == 0) atomic_store(&fails_next_checkpoint, true);
    if (strncmp(line, "look", 4) == 0)
      say("status %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", status.waiting_epochs, status.checkpoints_failed,
          status.checkpoints_completed, status.source_records);
  }
}

/* Until it is over: says what changes, and does what it is told. */
static void attend(void) {
  uint64_t waiting = 0, failed = 0;
  struct pollfd orders = {.fd = STDIN_FILENO, .events = POLLIN};
  while (!wr_job_is_over(job)) {
    char lines[256];
    if (poll(&orders, 1, LOOK_MS) > 0) {
      ssize_t length = read(STDIN_FILENO, lines, sizeof lines - 1);
      if (length <= 0) _exit(3); /* the driver is gone */
      lines[length] = 0;
      obey(lines);
    }
    struct wr_job_status status;
    wr_job_read_status(job, &status);
    if (status.waiting_epochs == waiting && status.checkpoints_failed == failed) continue;
    waiting = status.waiting_epochs;
    failed = status.checkpoints_failed;
    obey("look");
  }
}

static enum weir_code run(const struct weir_options *options, struct wr_posix_seams *posix, struct weir_error *error) {
  struct weir_job_builder *builder = NULL;
  const struct wr_graph *graph = NULL;
  struct wr_threads *threads = NULL;
  struct wr_host host;
  struct wr_job_options job_options;
  WR_TRY(weir_job_builder_new("seen", &builder, error));
  build(builder, options);
  WR_TRY(wr_builder_finish(builder, &graph, error));
  put_before_nodes(graph, weir_options_text(options, "sink"));
  put_before_files(posix->seams.files);
  wr_job_options_of(options, "seen", &job_options);
  job_options.folder = weir_options_text(options, "state");
  WR_TRY(wr_threads_new(&posix->seams, 2, &threads, &host, error));
  WR_TRY(wr_job_new(graph, &job_options, &posix->seams, &host, &job, error));
  wr_job_start(job);
  attend();
  enum weir_code code = wr_job_result(job, NULL, error);
  wr_job_free(job);
  wr_threads_free(threads);
  weir_job_builder_free(&builder);
  return code;
}

static bool read_point(const char *text) {
  char end[8] = "";
  if (text == NULL) return true;
  int found = sscanf(text, "%15[a-z]:%39[a-z-]:%" SCNu64 ":%7s", at.phase, at.point, &at.nth, end);
  at.stops = found == 4;
  return found >= 3 && at.nth != 0 && (!at.stops || strcmp(end, "stop") == 0);
}

int main(int argc, char **argv) {
  static const struct weir_option point = {"at", WEIR_OPTION_TEXT, "PHASE:POINT:N[:stop]", NULL, NULL, "where it ends",
                                           0};
  static struct wr_posix_seams posix;
  struct weir_options *options = NULL;
  struct weir_error error = {.code = WEIR_OK};
  bool help = false;
  find("send", &real_send);
  find("sendmsg", &real_sendmsg);
  find("pwrite64", &real_pwrite64);
  find("fdatasync", &real_fdatasync);
  sem_init(&go, 0, 0);
  sqlite3_auto_extension((void (*)(void))trace_new);
  enum weir_code code = weir_options_new(&options, &error);
  if (code == WEIR_OK) code = weir_options_add(options, &point, &error);
  if (code == WEIR_OK) code = weir_options_parse(options, argc, argv, &help, &error);
  if (code == WEIR_OK && !read_point(weir_options_text(options, "at")))
    code = WR_FAIL(&error, WEIR_INVALID, "--at is PHASE:POINT:N or PHASE:POINT:N:stop");
  if (code == WEIR_OK) code = wr_posix_seams_init(&posix, 0, WR_LOG_INFO, &error);
  if (code == WEIR_OK) {
    code = run(options, &posix, &error);
    wr_posix_seams_deinit(&posix);
  }
  if (code != WEIR_OK) fprintf(stderr, "points_job: %s\n", error.message);
  weir_options_free(&options);
  return weir_code_exit(code);
}
