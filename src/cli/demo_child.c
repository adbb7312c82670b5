/* cli/demo_child.c: a job in a process of its own, as a user would start it. What is known of it is what it says: its
 * log (standard error, into a file) and its metrics file. */
#include "cli/demo.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_BYTES_MAX = 1024 * 1024, COMMAND_WORDS = 32, SHOWN_LINES = 12 };

void demo_child_init(struct demo_child *child, struct demo *demo, const char *name, const char *suffix,
                     const char *source, const char *interval) {
  *child = (struct demo_child){.demo = demo, .name = name, .parallelism = "2"};
  demo_path(child->database, sizeof child->database, "%s/%s%s.db", demo->folder, name, suffix);
  demo_path(child->state, sizeof child->state, "%s/%s%s-state", demo->folder, name, suffix);
  demo_path(child->log, sizeof child->log, "%s/%s%s.log", demo->folder, name, suffix);
  demo_path(child->metrics, sizeof child->metrics, "%s/%s%s-metrics.json", demo->folder, name, suffix);
  demo_path(child->source, sizeof child->source, "%s", source);
  demo_path(child->interval, sizeof child->interval, "%s", interval);
}

/* ---- starting ---- */

struct command {
  char program[WR_PATH_BYTES_MAX + 16], sink[WR_PATH_BYTES_MAX + 16];
  const char *words[COMMAND_WORDS];
};

static void add_words(struct command *command, size_t *count, const char *first, const char *second) {
  WR_ASSERT(*count + 2 < COMMAND_WORDS);
  command->words[(*count)++] = first;
  if (second != NULL) command->words[(*count)++] = second;
  command->words[*count] = NULL;
}

static void make_command(const struct demo_child *child, bool bounded, struct command *command) {
  snprintf(command->program, sizeof command->program, "%s/%s", child->demo->programs, child->name);
  bool is_file = child->sink[0] == 0;
  snprintf(command->sink, sizeof command->sink, "%s%s", is_file ? "sqlite:" : "",
           is_file ? child->database : child->sink);
  const char *words[] = {command->program,   "--source",       child->source,  "--sink",
                         command->sink,      "--state",        child->state,   "--parallelism",
                         child->parallelism, "--mode",         "exactly-once", "--checkpoint-interval",
                         child->interval,    "--metrics-file", child->metrics, NULL};
  _Static_assert(sizeof words / sizeof words[0] <= COMMAND_WORDS, "the words have room");
  memcpy(command->words, words, sizeof words);
  size_t count = sizeof words / sizeof words[0] - 1;
  if (child->password[0] != 0) add_words(command, &count, "--sink-option", child->password);
  if (child->commit[0] != 0) add_words(command, &count, "--sink-option", child->commit);
  if (child->commit[0] != 0) add_words(command, &count, "--plain", NULL);
  if (bounded) add_words(command, &count, "--bounded", NULL);
}

void demo_child_command(const struct demo_child *child, bool bounded, char *text, size_t size) {
  struct command command;
  make_command(child, bounded, &command);
  size_t length = 0;
  text[0] = 0;
  for (int i = 0; command.words[i] != NULL && length < size; i++) {
    int added = snprintf(text + length, size - length, "%s%s", i == 0 ? "" : " ", command.words[i]);
    length += added < 0 ? size : (size_t)added;
  }
}

enum weir_code demo_child_start(struct demo_child *child, bool bounded, struct weir_error *error) {
  struct command command;
  struct wr_files *files = child->demo->files;
  struct wr_file_info info;
  make_command(child, bounded, &command);
  child->began = false;
  child->restored = child->restored_records = child->records = child->checkpoint = 0;
  child->restored_ms = 0;
  child->exit_code = 0;
  if (files->stat(files, child->metrics, &info, NULL) == WEIR_OK) WR_TRY(files->remove(files, child->metrics, error));
  child->started_ns = demo_now_ns(child->demo);
  return demo_spawn(command.words, -1, child->log, &child->process, error);
}

/* ---- looking ---- */

static void read_log_line(struct demo_child *child, const char *line) {
  const char *at = strstr(line, "restored checkpoint ");
  if (strstr(line, "begins from the earliest records") != NULL) child->began = true;
  if (at == NULL) return;
  uint64_t id = 0, records = 0;
  double ms = 0;
  if (sscanf(at, "restored checkpoint %" SCNu64 " (%" SCNu64 " records before it) in %lf ms", &id, &records, &ms) != 3)
    return;
  child->began = true;
  child->restored = id;
  child->restored_records = records;
  child->restored_ms = ms;
  if (child->records < records) child->records = records;
}

/* What is new in the log, as far as lines are whole. */
static void read_log(struct demo_child *child) {
  struct wr_files *files = child->demo->files;
  struct wr_file *file = NULL;
  char text[4096];
  size_t length = 0;
  if (files->open(files, child->log, WR_FILE_READ, &file, NULL) != WEIR_OK) return;
  while (files->read(files, file, child->log_offset, text, sizeof text - 1, &length, NULL) == WEIR_OK && length != 0) {
    text[length] = 0;
    char *line = text, *end;
    while ((end = strchr(line, '\n')) != NULL) {
      *end = 0;
      read_log_line(child, line);
      line = end + 1;
    }
    if (line == text) break;
    child->log_offset += (uint64_t)(line - text);
  }
  files->close(files, file, NULL);
}

static uint64_t metric(const uint8_t *text, const char *label) {
  const char *at = strstr((const char *)text, label);
  return at == NULL ? 0 : strtoull(at + strlen(label), NULL, 10);
}

static void read_metrics(struct demo_child *child) {
  struct wr_memory *memory = &child->demo->heap.memory;
  uint8_t *text = NULL;
  size_t length = 0;
  if (wr_file_load(child->demo->files, child->metrics, LOG_BYTES_MAX, memory, WR_MEMORY_USER, &text, &length, NULL) !=
      WEIR_OK)
    return; /* it has not reported yet */
  uint64_t records = metric(text, "\"sourceRecords\":");
  if (child->began && records > child->records) child->records = records;
  child->checkpoint = metric(text, "\"lastCheckpoint\":");
  wr_free(memory, text);
}

static bool is_over(struct demo_child *child, bool wait) {
  if (child->process == 0) return true;
  if (!demo_has_ended(child->process, wait, &child->exit_code)) return false;
  child->process = 0;
  return true;
}

bool demo_child_look(struct demo_child *child) {
  bool over = is_over(child, false);
  read_log(child);
  read_metrics(child);
  return !over;
}

static void end(struct demo_child *child, int number) {
  if (child->process == 0) return;
  kill(child->process, number);
  (void)is_over(child, true);
  read_log(child);
  read_metrics(child);
}

void demo_child_kill(struct demo_child *child) {
  end(child, SIGKILL);
}

void demo_child_stop(struct demo_child *child) {
  end(child, SIGTERM);
}

void demo_child_show_log(struct demo_child *child) {
  struct wr_memory *memory = &child->demo->heap.memory;
  uint8_t *text = NULL;
  size_t length = 0;
  if (wr_file_load(child->demo->files, child->log, LOG_BYTES_MAX, memory, WR_MEMORY_USER, &text, &length, NULL) !=
      WEIR_OK)
    return;
  size_t from = length;
  for (int lines = 0; from > 0; from--)
    if (text[from - 1] == '\n' && ++lines > SHOWN_LINES) break;
  demo_say(child->demo, "its log ends with:\n%s", (const char *)text + from);
  wr_free(memory, text);
}
