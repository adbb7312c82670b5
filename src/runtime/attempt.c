/* runtime/attempt.c: wires channels between vertices and makes the tasks. See attempt.h. */
#include "runtime/attempt.h"

/* Which vertex a node is in, and whether it is its head. */
static uint32_t vertex_of(const struct wr_plan *plan, uint32_t node) {
  for (uint32_t v = 0; v < plan->vertex_count; v++)
    for (uint32_t i = 0; i < plan->vertices[v].node_count; i++)
      if (plan->vertices[v].nodes[i] == node) return v;
  WR_ASSERT(false);
  return 0;
}

static bool edge_is_inside(const struct wr_plan *plan, const struct wr_edge *edge) {
  return vertex_of(plan, edge->from_node) == vertex_of(plan, edge->to_node);
}

static bool connects(const struct wr_edge *edge, uint32_t from_subtask, uint32_t to_subtask) {
  switch (edge->exchange) {
  case WR_EXCHANGE_FORWARD:
    return from_subtask == to_subtask;
  case WR_EXCHANGE_GATHER:
    return to_subtask == 0;
  case WR_EXCHANGE_HASH:
  case WR_EXCHANGE_REBALANCE:
    break;
  }
  return true;
}

/* Number of the first channel of each edge; channels of an edge are numbered from x to, row by row. */
struct wiring {
  uint32_t *first_channels; /* per edge; UINT32_MAX: inside a vertex */
};

static uint32_t channel_number(const struct wr_attempt *attempt, const struct wiring *wiring, uint32_t edge,
                               uint32_t from_subtask, uint32_t to_subtask) {
  const struct wr_edge *e = &attempt->graph->edges[edge];
  uint32_t to_parallelism = attempt->plan->vertices[vertex_of(attempt->plan, e->to_node)].parallelism;
  return wiring->first_channels[edge] + from_subtask * to_parallelism + to_subtask;
}

static struct wr_waker *waker_of(const struct wr_host *host, uint32_t subtask) {
  return host->workers[subtask % host->worker_count].waker;
}

static enum weir_code make_channels(struct wr_attempt *attempt, struct wiring *wiring, const struct wr_host *host,
                                    struct weir_error *error) {
  const struct wr_plan *plan = attempt->plan;
  uint32_t total = 0;
  for (uint32_t e = 0; e < attempt->graph->edge_count; e++) {
    const struct wr_edge *edge = &attempt->graph->edges[e];
    wiring->first_channels[e] = UINT32_MAX;
    if (edge_is_inside(plan, edge)) continue;
    wiring->first_channels[e] = total;
    total += plan->vertices[vertex_of(plan, edge->from_node)].parallelism *
             plan->vertices[vertex_of(plan, edge->to_node)].parallelism;
  }
  attempt->channels = wr_alloc_zeroed(attempt->memory, total + 1, sizeof *attempt->channels, WR_MEMORY_CHANNEL);
  if (attempt->channels == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u channels", total);
  attempt->channel_count = total;
  for (uint32_t e = 0; e < attempt->graph->edge_count; e++) {
    const struct wr_edge *edge = &attempt->graph->edges[e];
    if (wiring->first_channels[e] == UINT32_MAX) continue;
    uint32_t from = plan->vertices[vertex_of(plan, edge->from_node)].parallelism;
    uint32_t to = plan->vertices[vertex_of(plan, edge->to_node)].parallelism;
    for (uint32_t i = 0; i < from * to; i++)
      if (connects(edge, i / to, i % to))
        WR_TRY(wr_channel_new(attempt->memory, waker_of(host, i / to), waker_of(host, i % to),
                              &attempt->channels[wiring->first_channels[e] + i], error));
  }
  return WEIR_OK;
}

/* Collects the input channels of one task, in order of edges and senders. Returns how many. */
static uint32_t collect_inputs(const struct wr_attempt *attempt, const struct wiring *wiring, uint32_t head,
                               uint32_t subtask, struct wr_task_wiring *out) {
  uint32_t count = 0;
  for (uint32_t e = 0; e < attempt->graph->edge_count; e++) {
    const struct wr_edge *edge = &attempt->graph->edges[e];
    if (edge->to_node != head || wiring->first_channels[e] == UINT32_MAX) continue;
    uint32_t from = attempt->plan->vertices[vertex_of(attempt->plan, edge->from_node)].parallelism;
    for (uint32_t i = 0; i < from; i++) {
      struct wr_channel *channel = attempt->channels[channel_number(attempt, wiring, e, i, subtask)];
      if (channel == NULL) continue;
      if (out != NULL) {
        out->inputs[count] = channel;
        out->input_numbers[count] = edge->to_input;
        out->always_aligned[count] = edge->always_aligned;
      }
      count++;
    }
  }
  return count;
}

static enum weir_code set_edges(struct wr_attempt *attempt, const struct wiring *wiring, const struct wr_vertex *vertex,
                                uint32_t subtask, struct wr_task *task, struct wr_channel **scratch,
                                struct weir_error *error) {
  for (uint32_t e = 0; e < attempt->graph->edge_count; e++) {
    const struct wr_edge *edge = &attempt->graph->edges[e];
    if (wiring->first_channels[e] == UINT32_MAX) continue;
    bool mine = false;
    for (uint32_t i = 0; i < vertex->node_count; i++)
      mine = mine || vertex->nodes[i] == edge->from_node;
    if (!mine) continue;
    uint32_t to = attempt->plan->vertices[vertex_of(attempt->plan, edge->to_node)].parallelism;
    uint32_t count = 0;
    for (uint32_t i = 0; i < to; i++) {
      struct wr_channel *channel = attempt->channels[channel_number(attempt, wiring, e, subtask, i)];
      if (channel != NULL) scratch[count++] = channel;
    }
    WR_TRY(wr_task_set_edge(task, edge, scratch, count, error));
  }
  return WEIR_OK;
}

static enum weir_code make_task(struct wr_attempt *attempt, const struct wiring *wiring,
                                const struct wr_attempt_options *options, uint32_t vertex_index, uint32_t subtask,
                                struct weir_error *error) {
  const struct wr_vertex *vertex = &attempt->plan->vertices[vertex_index];
  uint32_t count = collect_inputs(attempt, wiring, vertex->nodes[0], subtask, NULL);
  struct wr_memory *memory = attempt->memory;
  struct wr_task_wiring inputs = {.input_count = count};
  inputs.inputs = wr_alloc_zeroed(memory, count + 1, sizeof *inputs.inputs, WR_MEMORY_CHANNEL);
  inputs.input_numbers = wr_alloc_zeroed(memory, count + 1, sizeof *inputs.input_numbers, WR_MEMORY_CHANNEL);
  inputs.always_aligned = wr_alloc_zeroed(memory, count + 1, 1, WR_MEMORY_CHANNEL);
  struct wr_channel **scratch = wr_alloc_zeroed(memory, WR_PARALLELISM_MAX, sizeof *scratch, WR_MEMORY_CHANNEL);
  enum weir_code code = WEIR_OK;
  if (inputs.inputs == NULL || inputs.input_numbers == NULL || inputs.always_aligned == NULL || scratch == NULL) {
    code = WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the channels of a task");
    goto out;
  }
  collect_inputs(attempt, wiring, vertex->nodes[0], subtask, &inputs);
  struct wr_task_options task = options->task;
  task.graph = attempt->graph;
  task.vertex = vertex;
  task.task_index = attempt->task_count;
  task.subtask = subtask;
  task.waker = waker_of(options->host, subtask);
  struct wr_task **slot = &attempt->tasks[attempt->task_count];
  WR_TRY_GOTO(code, out, wr_task_new(&task, &inputs, slot, error));
  attempt->task_count++;
  code = set_edges(attempt, wiring, vertex, subtask, *slot, scratch, error);
out:
  wr_free(memory, scratch);
  wr_free(memory, inputs.inputs);
  wr_free(memory, inputs.input_numbers);
  wr_free(memory, inputs.always_aligned);
  return code;
}

enum weir_code wr_attempt_init(struct wr_attempt *attempt, struct wr_memory *memory, const struct wr_graph *graph,
                               const struct wr_plan *plan, const struct wr_attempt_options *options,
                               struct weir_error *error) {
  *attempt = (struct wr_attempt){.memory = memory, .graph = graph, .plan = plan};
  struct wiring wiring = {.first_channels =
                              wr_alloc_zeroed(memory, graph->edge_count + 1, sizeof(uint32_t), WR_MEMORY_CHANNEL)};
  attempt->tasks = wr_alloc_zeroed(memory, plan->task_count, sizeof *attempt->tasks, WR_MEMORY_ENGINE);
  enum weir_code code = WEIR_OK;
  if (wiring.first_channels == NULL || attempt->tasks == NULL) {
    code = WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u tasks", plan->task_count);
    goto out;
  }
  WR_TRY_GOTO(code, out, make_channels(attempt, &wiring, options->host, error));
  for (uint32_t v = 0; v < plan->vertex_count; v++)
    for (uint32_t s = 0; s < plan->vertices[v].parallelism; s++)
      WR_TRY_GOTO(code, out, make_task(attempt, &wiring, options, v, s, error));
out:
  wr_free(memory, wiring.first_channels);
  if (code != WEIR_OK) wr_attempt_deinit(attempt);
  return code;
}

void wr_attempt_attach(struct wr_attempt *attempt, const struct wr_host *host) {
  attempt->attached = true;
  for (uint32_t i = 0; i < attempt->task_count; i++) {
    uint32_t subtask = 0;
    wr_attempt_head(attempt, i, &subtask);
    wr_worker_attach(&host->workers[subtask % host->worker_count], wr_task_steppable(attempt->tasks[i]));
  }
}

bool wr_attempt_is_detached(const struct wr_attempt *attempt) {
  if (!attempt->attached) return true;
  for (uint32_t i = 0; i < attempt->task_count; i++)
    if (!atomic_load_explicit(&wr_task_steppable(attempt->tasks[i])->detached, memory_order_acquire)) return false;
  return true;
}

void wr_attempt_deinit(struct wr_attempt *attempt) {
  if (attempt->memory == NULL) return;
  for (uint32_t i = 0; i < attempt->task_count; i++)
    wr_task_free(attempt->tasks[i]);
  for (uint32_t i = 0; i < attempt->channel_count; i++)
    wr_channel_free(attempt->channels[i]);
  wr_free(attempt->memory, attempt->channels);
  wr_free(attempt->memory, attempt->tasks);
  *attempt = (struct wr_attempt){0};
}

enum weir_code wr_attempt_post(struct wr_attempt *attempt, uint32_t task, enum wr_task_message_kind kind, uint64_t id,
                               struct wr_split *split, struct weir_error *error) {
  struct wr_task_message *message = wr_alloc_zeroed(attempt->memory, 1, sizeof *message, WR_MEMORY_ENGINE);
  if (message == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a message");
  message->kind = kind;
  message->id = id;
  if (split != NULL) {
    message->split = *split;
    *split = (struct wr_split){0};
  }
  wr_task_post(attempt->tasks[task], message);
  return WEIR_OK;
}

enum weir_code wr_attempt_post_all(struct wr_attempt *attempt, bool only_sources, enum wr_task_message_kind kind,
                                   uint64_t id, struct weir_error *error) {
  for (uint32_t i = 0; i < attempt->task_count; i++) {
    if (only_sources && wr_attempt_head(attempt, i, NULL)->kind != WR_NODE_SOURCE) continue;
    WR_TRY(wr_attempt_post(attempt, i, kind, id, NULL, error));
  }
  return WEIR_OK;
}

void wr_attempt_cancel(struct wr_attempt *attempt) {
  for (uint32_t i = 0; i < attempt->task_count; i++)
    wr_task_cancel(attempt->tasks[i]);
}

const struct wr_node *wr_attempt_head(const struct wr_attempt *attempt, uint32_t task, uint32_t *out_subtask) {
  uint32_t vertex = 0;
  uint32_t first = 0;
  while (task >= first + attempt->plan->vertices[vertex].parallelism)
    first += attempt->plan->vertices[vertex++].parallelism;
  if (out_subtask != NULL) *out_subtask = task - first;
  return &attempt->graph->nodes[attempt->plan->vertices[vertex].nodes[0]];
}
