/* sim/article_world.c: the hands of the scripted examples. See article_int.h. */
#include "sim/article_int.h"

#include "checkpoint/check.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 2 * 1000 * 1000, LINE_BYTES = 64 };
static const uint64_t ms_ns = 1000 * 1000;
static const char folder[] = "/state/pv", database_path[] = "/out/t.db";

/* ---- words ---- */

void article_say(struct article *article, const char *format, ...) {
  if (article->out == NULL || article->failed) return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(article->out, format, arguments);
  va_end(arguments);
}

void article_fail(struct article *article, const char *format, ...) {
  if (article->failed) return;
  article->failed = true;
  article->report->wrong++;
  if (article->out == NULL) return;
  va_list arguments;
  va_start(arguments, format);
  fputs("  WRONG: ", article->out);
  vfprintf(article->out, format, arguments);
  fputc('\n', article->out);
  va_end(arguments);
}

void article_expect(struct article *article, const char *what, uint64_t found, uint64_t expected) {
  if (article->failed) return;
  if (found != expected) article->report->wrong++;
  article_say(article, "    %-52s %7" PRIu64 "%s", what, found, found == expected ? "\n" : "   WRONG: ");
  if (found != expected) article_say(article, "it should be %" PRIu64 "\n", expected);
}

/* ---- the world ---- */

void article_init(struct article *article, FILE *out, uint64_t seed, struct sim_article_report *report) {
  struct weir_error error = {.code = WEIR_OK};
  memset(article, 0, sizeof *article);
  memset(report, 0, sizeof *report);
  article->out = out;
  article->seed = seed;
  article->report = report;
  article->world = sim_world_new(&(struct sim_world_options){.seed = seed});
  WR_ASSERT(article->world != NULL);
  sim_disk_make_folders(article->world, "/log");
  sim_disk_make_folders(article->world, "/out");
  sim_disk_make_folders(article->world, "/state");
  struct sim_job_options graph = {.kind = SIM_JOB_PV, .log_folder = "/log", .database = database_path};
  if (!sim_job_graph_init(&article->graph, &graph, &error))
    article_fail(article, "the job cannot be built: %s", error.message);
  wr_job_options_default(&article->options);
  article->options.name = "pv";
  article->options.folder = folder;
  article->options.checkpoint_interval_ms = 24ull * 3600 * 1000; /* only those that are asked for */
}

void article_deinit(struct article *article) {
  if (article->job != NULL) article_kill(article);
  if (!sim_job_graph_deinit(&article->graph)) article_fail(article, "memory of the graph was left");
  sim_world_free(article->world);
}

void article_views(struct article *article, const char *partition, uint64_t first, uint64_t second) {
  char path[LINE_BYTES], line[LINE_BYTES];
  uint64_t total = first + second;
  snprintf(path, sizeof path, "/log/%s", partition);
  if (!sim_disk_exists(article->world, path)) sim_disk_write(article->world, path, "", 0);
  for (uint64_t i = 0; i < total; i++) {
    bool is_first = (i + 1) * first / total != i * first / total;
    int length = snprintf(line, sizeof line, "{\"app_id\":\"%s\"}\n", article->apps[is_first ? 0 : 1]);
    sim_disk_append(article->world, path, line, (size_t)length);
  }
  article->report->log[0] += first;
  article->report->log[1] += second;
}

/* ---- the job ---- */

void article_start(struct article *article) {
  struct weir_error error = {.code = WEIR_OK};
  if (article->failed) return;
  sim_host_init(&article->host, article->world, 2, article->seed ^ sim_world_generation(article->world));
  if (wr_job_new(article->graph.graph, &article->options, sim_world_seams(article->world), &article->host.host,
                 &article->job, &error) != WEIR_OK) {
    article->job = NULL;
    article_fail(article, "the job cannot be started: %s", error.message);
    return;
  }
  wr_job_start(article->job);
}

static struct wr_job_status status_of(struct article *article) {
  struct wr_job_status status = {.phase = WR_JOB_OVER};
  if (article->job != NULL) wr_job_read_status(article->job, &status);
  return status;
}

/* False: it is over or hangs, and that was not foreseen. */
static bool step(struct article *article, uint64_t until_ns) {
  struct weir_error error = {.code = WEIR_OK};
  if (article->failed || article->job == NULL) return false;
  if (wr_job_is_over(article->job)) {
    (void)wr_job_result(article->job, NULL, &error);
    article_fail(article, "the job has ended: %s", error.message);
    return false;
  }
  if (sim_host_step(&article->host, until_ns)) return true;
  if (until_ns == UINT64_MAX)
    article_fail(article, "the job hangs in phase %s", wr_job_phase_text(status_of(article).phase));
  else
    sim_world_advance_to(article->world, until_ns);
  return !article->failed;
}

void article_pass(struct article *article, uint64_t time_ms) {
  uint64_t until_ns = sim_world_now_ns(article->world) + time_ms * ms_ns;
  while (sim_world_now_ns(article->world) < until_ns && step(article, until_ns)) {
  }
}

void article_wait_phase(struct article *article, enum wr_job_phase phase) {
  for (uint32_t i = 0; i < STEPS_MAX && !article->failed; i++) {
    if (status_of(article).phase == phase) return;
    (void)step(article, UINT64_MAX);
  }
  article_fail(article, "the job does not come to phase %s", wr_job_phase_text(phase));
}

struct task_search {
  const char *vertex;
  uint32_t subtask;
  char name[64];
};

/* A vertex is named by its operators, head first: "count..pv.writer[1]". */
static void find_task(void *argument, const char *name, const struct wr_task_metrics *metrics) {
  (void)metrics;
  struct task_search *search = argument;
  char end[16];
  size_t head = strlen(search->vertex), length = strlen(name);
  int tail = snprintf(end, sizeof end, "[%u]", search->subtask);
  bool fits = strncmp(name, search->vertex, head) == 0 && (name[head] == '[' || name[head] == '.') &&
              length > (size_t)tail && strcmp(name + length - (size_t)tail, end) == 0;
  if (fits) snprintf(search->name, sizeof search->name, "%s", name);
}

void article_hold(struct article *article, const char *vertex, uint32_t subtask, bool hold) {
  struct task_search search = {.vertex = vertex, .subtask = subtask};
  if (article->failed) return;
  wr_job_each_task(article->job, find_task, &search);
  if (search.name[0] == 0)
    article_fail(article, "there is no task %s[%u]", vertex, subtask);
  else
    sim_host_hold(&article->host, search.name, hold ? UINT64_MAX : 0);
}

void article_checkpoint(struct article *article, uint64_t id) {
  for (uint32_t i = 0; i < STEPS_MAX && !article->failed; i++) {
    uint64_t completed = status_of(article).latest_checkpoint;
    if (completed >= id) {
      if (completed > id) article_fail(article, "checkpoint %" PRIu64 " came before %" PRIu64, completed, id);
      return;
    }
    wr_job_request_checkpoint(article->job);
    do
      article_pass(article, 5);
    while (!article->failed && i++ < STEPS_MAX && status_of(article).latest_checkpoint == completed);
  }
  article_fail(article, "checkpoint %" PRIu64 " is not completed", id);
}

uint64_t article_position(struct article *article) {
  return status_of(article).source_records;
}

void article_kill(struct article *article) {
  sim_world_kill(article->world, SIM_KILL_PROCESS);
  sim_memory_drop_all(sim_world_memory(article->world));
  article->job = NULL;
}

/* ---- looks ---- */

struct memory_question {
  struct wr_task_question base; /* first */
  struct article *article;
  uint64_t *counts;
  bool answered;
};

static uint32_t app_number(const struct article *article, const void *name, size_t length) {
  for (uint32_t i = 0; i < 2; i++)
    if (strlen(article->apps[i]) == length && memcmp(article->apps[i], name, length) == 0) return i;
  return UINT32_MAX;
}

/* In the task: walks its counts. */
static void answer_memory(struct wr_task_question *base, struct wr_backend *backend) {
  struct memory_question *question = (struct memory_question *)base;
  question->answered = true;
  struct wr_state *state = backend == NULL ? NULL : wr_backend_find(backend, "count");
  struct wr_table *table = state == NULL ? NULL : wr_state_table(state, 0);
  if (table == NULL) {
    article_fail(question->article, "a task has no counts");
    return;
  }
  uint32_t cursor = 0, row_id;
  struct wr_key key;
  const void *value;
  while (wr_table_next(table, &cursor, &row_id, &key, &value)) {
    int64_t count = 0;
    uint32_t app = app_number(question->article, key.bytes, key.length);
    memcpy(&count, (const char *)value + wr_state_value_offset(state, 0), sizeof count);
    if (app != UINT32_MAX)
      question->counts[app] = (uint64_t)count;
    else
      article_fail(question->article, "a task counts an app that is not in the log");
  }
}

void article_read_memory(struct article *article, uint64_t counts[2]) {
  counts[0] = counts[1] = 0;
  for (uint32_t subtask = 0; subtask < article->options.parallelism && !article->failed; subtask++) {
    struct weir_error error = {.code = WEIR_OK};
    struct memory_question question = {
        .base = {.uid = "count", .answer = answer_memory}, .article = article, .counts = counts};
    if (wr_job_ask(article->job, "count", subtask, &question.base, &error) != WEIR_OK)
      article_fail(article, "the task cannot be asked: %s", error.message);
    while (!question.answered && step(article, UINT64_MAX)) {
    }
  }
}

static void see_split(void *argument, const char *uid, uint32_t subtask, const char *kind, const char *text) {
  (void)uid;
  (void)kind;
  struct article *article = argument;
  const char *record = strstr(text, "record=");
  for (uint32_t i = 0; i < 2; i++) {
    const char *name = article->partitions[i];
    if (name == NULL || record == NULL || strncmp(text, "name=", 5) != 0) continue;
    if (strncmp(text + 5, name, strlen(name)) != 0 || text[5 + strlen(name)] != ' ') continue;
    article->report->positions[i] = strtoull(record + strlen("record="), NULL, 10);
    article->split_tasks[i] = subtask;
  }
}

static void see_row(void *argument, const char *uid, uint32_t subtask, const char *state, int64_t name_space,
                    const char *key, const char *value) {
  (void)uid;
  (void)name_space;
  struct article *article = argument;
  if (strcmp(state, "count") != 0) return;
  article->rows++;
  uint32_t app = strncmp(key, "app_id=", 7) == 0 ? app_number(article, key + 7, strlen(key + 7)) : UINT32_MAX;
  if (app == UINT32_MAX || strncmp(value, "count=", 6) != 0) return;
  article->report->counts[app] = strtoull(value + 6, NULL, 10);
  article->row_tasks[app] = subtask;
}

void article_read_checkpoint(struct article *article) {
  struct weir_error error = {.code = WEIR_OK};
  struct wr_check_visitor visitor = {.split = see_split, .row = see_row, .argument = article, .rows_max = 1000};
  struct wr_heap_memory heap;
  if (article->failed) return;
  wr_heap_memory_init(&heap, 0);
  article->rows = 0;
  struct wr_files *files = sim_world_seams(article->world)->files;
  if (wr_check_checkpoint(files, &heap.memory, folder, ARTICLE_CHECKPOINT, &visitor, &article->report->checkpoint,
                          &error) != WEIR_OK)
    article_fail(article, "chk-%d cannot be read back: %s", ARTICLE_CHECKPOINT, error.message);
  else if (article->rows != 2)
    article_fail(article, "chk-%d holds %" PRIu64 " counts", ARTICLE_CHECKPOINT, article->rows);
}

static void read_table(struct article *article) {
  sqlite3 *database = NULL;
  sqlite3_stmt *rows = NULL;
  uint32_t count = 0;
  if (sqlite3_open_v2(database_path, &database, SQLITE_OPEN_READWRITE, sim_world_seams(article->world)->sqlite_vfs) !=
          SQLITE_OK ||
      sqlite3_prepare_v2(database, "SELECT app_id, pv FROM pv", -1, &rows, NULL) != SQLITE_OK)
    article_fail(article, "the table cannot be read: %s", sqlite3_errmsg(database));
  while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(rows, 0);
    uint32_t app = app_number(article, name, strlen(name));
    if (app != UINT32_MAX) article->report->table[app] = (uint64_t)sqlite3_column_int64(rows, 1);
    count++;
  }
  if (count != 2) article_fail(article, "the table has %u rows", count);
  sqlite3_finalize(rows);
  sqlite3_close(database);
}

void article_end(struct article *article) {
  struct weir_error error = {.code = WEIR_OK};
  if (article->failed) return;
  wr_job_stop(article->job);
  for (uint32_t i = 0; i < STEPS_MAX && !wr_job_is_over(article->job) && step(article, UINT64_MAX); i++) {
  }
  if (article->failed) return;
  if (!wr_job_is_over(article->job)) {
    article_fail(article, "the job does not stop");
    return;
  }
  if (wr_job_result(article->job, NULL, &error) != WEIR_OK)
    article_fail(article, "the job did not stop cleanly: %s", error.message);
  wr_job_free(article->job);
  article->job = NULL;
  if (sim_world_memory(article->world)->blocks != 0) article_fail(article, "memory was left after a clean end");
  read_table(article);
}
