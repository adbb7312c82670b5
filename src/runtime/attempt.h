/* runtime/attempt.h: the channels and tasks of one start of a job. The master's; built at DEPLOY, freed after TEARDOWN.
 *
 * Subtask i of every vertex goes to worker i modulo the workers, so that a forward path stays on one core.
 */
#ifndef WR_RUNTIME_ATTEMPT_H
#define WR_RUNTIME_ATTEMPT_H

#include "runtime/task.h"

struct wr_attempt {
  struct wr_memory *memory;
  const struct wr_graph *graph;
  const struct wr_plan *plan;
  struct wr_channel **channels;
  uint32_t channel_count;
  struct wr_task **tasks; /* plan->task_count */
  uint32_t task_count;    /* made so far */
  bool attached;          /* the workers have them */
};

struct wr_attempt_options {
  struct wr_task_options task; /* vertex, task_index, subtask and waker are filled per task */
  const struct wr_host *host;
};

/* Makes everything; nothing runs yet. On failure nothing is left. */
enum weir_code wr_attempt_init(struct wr_attempt *attempt, struct wr_memory *memory, const struct wr_graph *graph,
                               const struct wr_plan *plan, const struct wr_attempt_options *options,
                               struct weir_error *error);
/* Gives the tasks to the workers. */
void wr_attempt_attach(struct wr_attempt *attempt, const struct wr_host *host);
/* All tasks have been detached (or never attached). */
bool wr_attempt_is_detached(const struct wr_attempt *attempt);
void wr_attempt_deinit(struct wr_attempt *attempt);

/* Posts a copy of the message to one task; NO_MEMORY. The split (if any) is moved. */
enum weir_code wr_attempt_post(struct wr_attempt *attempt, uint32_t task, enum wr_task_message_kind kind, uint64_t id,
                               struct wr_split *split, struct weir_error *error);
/* To all tasks, or only to sources. */
enum weir_code wr_attempt_post_all(struct wr_attempt *attempt, bool only_sources, enum wr_task_message_kind kind,
                                   uint64_t id, struct weir_error *error);
/* Ends all tasks, also when there is no memory left. Once. */
void wr_attempt_cancel(struct wr_attempt *attempt);
/* The node at the head of the vertex of a task, and the task's subtask. */
const struct wr_node *wr_attempt_head(const struct wr_attempt *attempt, uint32_t task, uint32_t *out_subtask);

#endif
