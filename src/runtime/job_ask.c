/* runtime/job_ask.c: questions from outside to the tasks of a running job. Any thread.
 *
 * A task lives as long as its attempt, and an attempt is made and freed under the status lock. So a message is posted
 * under that lock; a task that is freed before it stepped again answers by freeing its messages.
 */
#include "runtime/job_int.h"

/* The vertex of an operator and the number of its first task; NULL: there is none. */
static const struct wr_vertex *find_vertex(const struct wr_job *job, const char *uid, uint32_t *out_first_task) {
  uint32_t first = 0;
  for (uint32_t v = 0; v < job->plan.vertex_count; v++) {
    const struct wr_vertex *vertex = &job->plan.vertices[v];
    for (uint32_t i = 0; i < vertex->node_count; i++)
      if (strcmp(job->graph->nodes[vertex->nodes[i]].uid, uid) == 0) {
        *out_first_task = first;
        return vertex;
      }
    first += vertex->parallelism;
  }
  return NULL;
}

static void lock(struct wr_job *job) {
  wr_job_lock(job);
}

static void unlock(struct wr_job *job) {
  wr_job_unlock(job);
}

static enum weir_code fail_busy(const struct wr_job *job, struct weir_error *error) {
  return WR_FAIL(error, WEIR_BUSY, "job '%s' does not run at this moment", job->options.name);
}

enum weir_code wr_job_operator_shape(struct wr_job *job, const char *uid, uint32_t *out_parallelism,
                                     uint32_t *out_max_parallelism, struct weir_error *error) {
  uint32_t first = 0;
  const struct wr_vertex *vertex = find_vertex(job, uid, &first);
  if (vertex == NULL) return WR_FAIL(error, WEIR_NOT_FOUND, "job '%s' has no operator '%s'", job->options.name, uid);
  lock(job);
  bool runs = job->has_attempt;
  *out_parallelism = vertex->parallelism;
  if (runs) *out_max_parallelism = job->max_parallelism; /* only then does the master leave it alone */
  unlock(job);
  return runs ? WEIR_OK : fail_busy(job, error);
}

enum weir_code wr_job_ask(struct wr_job *job, const char *uid, uint32_t subtask, struct wr_task_question *question,
                          struct weir_error *error) {
  uint32_t first = 0;
  const struct wr_vertex *vertex = find_vertex(job, uid, &first);
  if (vertex == NULL || subtask >= vertex->parallelism)
    return WR_FAIL(error, WEIR_NOT_FOUND, "job '%s' has no subtask %u of an operator '%s'", job->options.name, subtask,
                   uid);
  struct wr_task_message *message = wr_alloc_zeroed(job->memory, 1, sizeof *message, WR_MEMORY_ENGINE);
  if (message == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory to ask operator '%s'", uid);
  message->kind = WR_TASK_ASK;
  message->question = question;
  lock(job);
  bool runs = job->has_attempt && first + subtask < job->attempt.task_count;
  if (runs) wr_task_post(job->attempt.tasks[first + subtask], message);
  unlock(job);
  if (runs) return WEIR_OK;
  wr_free(job->memory, message);
  return fail_busy(job, error);
}
