/* runtime/graph.c: see graph.h. A graph owns deep copies: of every schema (one block each, wr_schema_copy) and of every
 * array of key fields. An addition that fails leaves the graph as it was.
 *
 * What can be said of a node or an edge alone is checked when it is added, so that the caller who named it gets the
 * error; what needs the whole graph (inputs that nothing feeds, cycles) in wr_graph_check; what needs the job's
 * parallelism in wr_plan_new. Built and planned by one thread; afterwards any thread may read it.
 */
#include "runtime/graph.h"

#include "base/limits.h"

#include <stdio.h>

static const char *kind_text(enum wr_node_kind kind) {
  switch (kind) {
  case WR_NODE_SOURCE:
    return "source";
  case WR_NODE_OPERATOR:
    return "operator";
  case WR_NODE_SINK:
    return "sink";
  case WR_NODE_COMMITTER:
    return "committer";
  }
  return "node of unknown kind";
}

void wr_graph_init(struct wr_graph *graph, struct wr_memory *memory) {
  *graph = (struct wr_graph){.memory = memory};
}

static void release_key(struct wr_memory *memory, struct wr_key_fields *key) {
  wr_free(memory, (void *)key->fields);
  *key = (struct wr_key_fields){0};
}

static void release_node(struct wr_memory *memory, struct wr_node *node) {
  for (uint32_t i = 0; i < WR_NODE_PORTS_MAX; i++)
    wr_free(memory, (void *)node->port_schemas[i]);
  for (uint32_t i = 0; i < WR_NODE_INPUTS_MAX; i++)
    wr_free(memory, (void *)node->input_schemas[i]);
  release_key(memory, &node->key);
}

void wr_graph_deinit(struct wr_graph *graph) {
  for (uint32_t i = 0; i < graph->node_count; i++)
    release_node(graph->memory, &graph->nodes[i]);
  for (uint32_t i = 0; i < graph->edge_count; i++)
    release_key(graph->memory, &graph->edges[i].key);
  wr_free(graph->memory, graph->nodes);
  wr_free(graph->memory, graph->edges);
  *graph = (struct wr_graph){0};
}

/* ---- copies ---- */

static enum weir_code no_memory(struct weir_error *error) {
  return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for the job graph");
}

/* Room for one more element of `bytes` in *array. */
static enum weir_code grow(struct wr_memory *memory, void **array, uint32_t count, uint32_t *capacity, size_t bytes,
                           struct weir_error *error) {
  if (count < *capacity) return WEIR_OK;
  uint32_t larger = *capacity == 0 ? 8 : *capacity * 2;
  void *moved = wr_resize(memory, *array, larger * bytes, WR_MEMORY_ENGINE);
  if (moved == NULL) return no_memory(error);
  *array = moved;
  *capacity = larger;
  return WEIR_OK;
}

static bool copy_key(struct wr_memory *memory, const struct wr_key_fields *from, struct wr_key_fields *to) {
  *to = (struct wr_key_fields){0};
  if (from->count == 0) return true;
  to->fields = wr_copy_bytes(memory, from->fields, from->count * sizeof *from->fields, WR_MEMORY_ENGINE);
  if (to->fields == NULL) return false;
  to->count = from->count;
  return true;
}

static bool copy_schemas(struct wr_memory *memory, const struct weir_schema *const *from, uint32_t count,
                         const struct weir_schema **to) {
  for (uint32_t i = 0; i < count; i++)
    if ((to[i] = wr_schema_copy(memory, from[i])) == NULL) return false;
  return true;
}

/* What `to` holds is released when it fails. */
static bool copy_node(struct wr_memory *memory, const struct wr_node *from, struct wr_node *to) {
  *to = *from;
  to->key = (struct wr_key_fields){0};
  memset(to->port_schemas, 0, sizeof to->port_schemas);
  memset(to->input_schemas, 0, sizeof to->input_schemas);
  if (copy_schemas(memory, from->port_schemas, from->port_count, to->port_schemas) &&
      copy_schemas(memory, from->input_schemas, from->input_count, to->input_schemas) &&
      copy_key(memory, &from->key, &to->key))
    return true;
  release_node(memory, to);
  return false;
}

/* ---- nodes ---- */

static bool is_uid_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static enum weir_code check_uid(const struct wr_graph *graph, const struct wr_node *node, struct weir_error *error) {
  const char *kind = kind_text(node->kind);
  if (node->uid[0] == 0)
    return WR_FAIL(error, WEIR_INVALID, "%s number %u has no uid; give it one, its state is found by it", kind,
                   graph->node_count);
  if (memchr(node->uid, 0, sizeof node->uid) == NULL)
    return WR_FAIL(error, WEIR_INVALID, "the uid of %s '%.32s...' is longer than %d bytes", kind, node->uid,
                   WR_UID_BYTES_MAX);
  for (const char *c = node->uid; *c != 0; c++)
    if (!is_uid_character(*c))
      return WR_FAIL(error, WEIR_INVALID,
                     "byte %d (0x%02x) of uid '%s' is not allowed; a uid is made of A-Z, a-z, 0-9, '.', '_' and '-'",
                     (int)(c - node->uid) + 1, (unsigned)(unsigned char)*c, node->uid);
  for (uint32_t i = 0; i < graph->node_count; i++)
    if (strcmp(graph->nodes[i].uid, node->uid) == 0)
      return WR_FAIL(error, WEIR_INVALID, "uid '%s' is used twice, by the %s and by the %s of this name", node->uid,
                     kind_text(graph->nodes[i].kind), kind);
  return WEIR_OK;
}

static enum weir_code check_schemas(const struct wr_node *node, const struct weir_schema *const *schemas,
                                    uint32_t count, const char *what, struct weir_error *error) {
  for (uint32_t i = 0; i < count; i++) {
    if (schemas[i] == NULL)
      return WR_FAIL(error, WEIR_INVALID, "%s %u of %s '%s' has no schema", what, i, kind_text(node->kind), node->uid);
    if (wr_schema_check(schemas[i], error) != WEIR_OK)
      return wr_error_prefix(error, "%s %u of %s '%s'", what, i, kind_text(node->kind), node->uid);
  }
  return WEIR_OK;
}

static enum weir_code check_shape(const struct wr_node *node, struct weir_error *error) {
  const char *kind = kind_text(node->kind), *uid = node->uid;
  if (node->parallelism > WR_PARALLELISM_MAX)
    return WR_FAIL(error, WEIR_INVALID, "%s '%s' has parallelism %u; at most %d is possible", kind, uid,
                   node->parallelism, WR_PARALLELISM_MAX);
  if (node->port_count > WR_NODE_PORTS_MAX || node->input_count > WR_NODE_INPUTS_MAX)
    return WR_FAIL(error, WEIR_INVALID, "%s '%s' has %u inputs and %u outputs; at most %d and %d are possible", kind,
                   uid, node->input_count, node->port_count, WR_NODE_INPUTS_MAX, WR_NODE_PORTS_MAX);
  if (node->kind == WR_NODE_SOURCE ? node->input_count != 0 : node->input_count == 0)
    return WR_FAIL(error, WEIR_INVALID, "%s '%s' has %u inputs; a source has none, everything else at least one", kind,
                   uid, node->input_count);
  if (node->kind == WR_NODE_SOURCE && node->port_count == 0)
    return WR_FAIL(error, WEIR_INVALID, "source '%s' has no output", uid);
  if (node->kind == WR_NODE_COMMITTER && (node->input_count != 1 || node->parallelism != 1))
    return WR_FAIL(error, WEIR_INVALID, "committer '%s' has %u inputs and parallelism %u; it must have one of each",
                   uid, node->input_count, node->parallelism);
  if (node->new_operator == NULL || (node->kind == WR_NODE_SOURCE && node->new_enumerator == NULL) ||
      (node->kind == WR_NODE_COMMITTER && node->new_target == NULL))
    return WR_FAIL(error, WEIR_INVALID, "%s '%s' lacks a function that makes its %s", kind, uid,
                   node->new_operator == NULL     ? "operator"
                   : node->kind == WR_NODE_SOURCE ? "enumerator"
                                                  : "target");
  return WEIR_OK;
}

static enum weir_code check_key(const struct wr_node *node, const struct wr_key_fields *key,
                                const struct weir_schema *schema, struct weir_error *error) {
  const char *kind = kind_text(node->kind), *uid = node->uid;
  if (key->count > schema->field_count)
    return WR_FAIL(error, WEIR_INVALID, "the key at %s '%s' has %u fields, its records have %u", kind, uid, key->count,
                   schema->field_count);
  for (uint32_t i = 0; i < key->count; i++) {
    if (key->fields[i] >= schema->field_count)
      return WR_FAIL(error, WEIR_INVALID, "the key at %s '%s' names field %u; its records have %u, counted from 0",
                     kind, uid, key->fields[i], schema->field_count);
    for (uint32_t j = 0; j < i; j++)
      if (key->fields[j] == key->fields[i])
        return WR_FAIL(error, WEIR_INVALID, "the key at %s '%s' has field '%s' twice", kind, uid,
                       schema->fields[key->fields[i]].name);
  }
  return WEIR_OK;
}

enum weir_code wr_graph_add_node(struct wr_graph *graph, const struct wr_node *node, uint32_t *out_index,
                                 struct weir_error *error) {
  WR_TRY(check_uid(graph, node, error));
  WR_TRY(check_shape(node, error));
  WR_TRY(check_schemas(node, node->port_schemas, node->port_count, "output", error));
  WR_TRY(check_schemas(node, node->input_schemas, node->input_count, "input", error));
  if (node->key.count != 0) {
    if (node->input_count == 0)
      return WR_FAIL(error, WEIR_INVALID, "source '%s' has a key, but no input whose records could have it", node->uid);
    WR_TRY(check_key(node, &node->key, node->input_schemas[0], error));
  }
  WR_TRY(grow(graph->memory, (void **)&graph->nodes, graph->node_count, &graph->node_capacity, sizeof *graph->nodes,
              error));
  if (!copy_node(graph->memory, node, &graph->nodes[graph->node_count])) return no_memory(error);
  *out_index = graph->node_count++;
  return WEIR_OK;
}

/* ---- edges ---- */

static enum weir_code check_ends(const struct wr_graph *graph, const struct wr_edge *edge, struct weir_error *error) {
  if (edge->from_node >= graph->node_count || edge->to_node >= graph->node_count)
    return WR_FAIL(error, WEIR_INVALID, "an edge goes from node %u to node %u; there are %u nodes, counted from 0",
                   edge->from_node, edge->to_node, graph->node_count);
  const struct wr_node *from = &graph->nodes[edge->from_node], *to = &graph->nodes[edge->to_node];
  if (edge->from_port >= from->port_count)
    return WR_FAIL(error, WEIR_INVALID, "an edge comes from output %u of %s '%s', which has %u, counted from 0",
                   edge->from_port, kind_text(from->kind), from->uid, from->port_count);
  if (edge->to_input >= to->input_count)
    return WR_FAIL(error, WEIR_INVALID, "an edge goes to input %u of %s '%s', which has %u, counted from 0",
                   edge->to_input, kind_text(to->kind), to->uid, to->input_count);
  if (!wr_schema_equal(from->port_schemas[edge->from_port], to->input_schemas[edge->to_input]))
    return WR_FAIL(error, WEIR_INVALID, "output %u of '%s' and input %u of '%s' have different schemas",
                   edge->from_port, from->uid, edge->to_input, to->uid);
  if (to->kind == WR_NODE_COMMITTER && from->kind != WR_NODE_SINK)
    return WR_FAIL(error, WEIR_INVALID, "committer '%s' is fed by %s '%s'; only a sink has parts to commit", to->uid,
                   kind_text(from->kind), from->uid);
  return WEIR_OK;
}

/* `parallelism` is the job's for nodes that name none; 0 where it is not known yet, then such nodes fit anything. */
static enum weir_code check_parallelism(const struct wr_graph *graph, const struct wr_edge *edge, uint32_t parallelism,
                                        struct weir_error *error) {
  const struct wr_node *from = &graph->nodes[edge->from_node], *to = &graph->nodes[edge->to_node];
  uint32_t senders = from->parallelism != 0 ? from->parallelism : parallelism;
  uint32_t receivers = to->parallelism != 0 ? to->parallelism : parallelism;
  if (edge->exchange == WR_EXCHANGE_FORWARD && senders != 0 && receivers != 0 && senders != receivers)
    return WR_FAIL(error, WEIR_INVALID,
                   "'%s' (parallelism %u) forwards to '%s' (parallelism %u); a forward edge needs equal ones",
                   from->uid, senders, to->uid, receivers);
  if (edge->exchange == WR_EXCHANGE_GATHER && receivers > 1)
    return WR_FAIL(error, WEIR_INVALID, "'%s' gathers all records of '%s', but has parallelism %u; it must have 1",
                   to->uid, from->uid, receivers);
  if (edge->exchange == WR_EXCHANGE_REBALANCE && edge->to_input == 0 && to->key.count != 0 && receivers > 1)
    return WR_FAIL(error, WEIR_INVALID, "'%s' has state by key, but its records come round robin from '%s'; use hash",
                   to->uid, from->uid);
  return WEIR_OK;
}

static bool same_fields(const struct wr_key_fields *a, const struct wr_key_fields *b) {
  return a->count == b->count && memcmp(a->fields, b->fields, a->count * sizeof *a->fields) == 0;
}

static bool same_key_types(const struct wr_key_fields *a, const struct weir_schema *a_schema,
                           const struct wr_key_fields *b, const struct weir_schema *b_schema) {
  if (a->count != b->count) return false;
  for (uint32_t i = 0; i < a->count; i++)
    if (a_schema->fields[a->fields[i]].type != b_schema->fields[b->fields[i]].type) return false;
  return true;
}

/* Equal keys of all hash edges into one node must have equal bytes, or they would meet in different subtasks. */
static enum weir_code check_hash(const struct wr_graph *graph, const struct wr_edge *edge, struct weir_error *error) {
  const struct wr_node *to = &graph->nodes[edge->to_node];
  const struct weir_schema *schema = to->input_schemas[edge->to_input];
  if (edge->key.count == 0)
    return WR_FAIL(error, WEIR_INVALID, "the hash edge from '%s' to '%s' names no key fields",
                   graph->nodes[edge->from_node].uid, to->uid);
  WR_TRY(check_key(to, &edge->key, schema, error));
  for (uint32_t i = 0; i < graph->edge_count; i++) {
    const struct wr_edge *other = &graph->edges[i];
    if (other->to_node != edge->to_node || other->exchange != WR_EXCHANGE_HASH) continue;
    if (other->to_input == edge->to_input && !same_fields(&other->key, &edge->key))
      return WR_FAIL(error, WEIR_INVALID, "input %u of '%s' is hashed by one key from '%s' and by another from '%s'",
                     edge->to_input, to->uid, graph->nodes[other->from_node].uid, graph->nodes[edge->from_node].uid);
    if (!same_key_types(&other->key, to->input_schemas[other->to_input], &edge->key, schema))
      return WR_FAIL(error, WEIR_INVALID, "the keys of inputs %u and %u of '%s' have different types", other->to_input,
                     edge->to_input, to->uid);
  }
  if (to->key.count == 0) return WEIR_OK;
  if (edge->to_input == 0 ? !same_fields(&to->key, &edge->key)
                          : !same_key_types(&to->key, to->input_schemas[0], &edge->key, schema))
    return WR_FAIL(error, WEIR_INVALID, "'%s' keeps its state by another key than the one its input %u is hashed by",
                   to->uid, edge->to_input);
  return WEIR_OK;
}

enum weir_code wr_graph_add_edge(struct wr_graph *graph, const struct wr_edge *edge, struct weir_error *error) {
  WR_TRY(check_ends(graph, edge, error));
  WR_TRY(check_parallelism(graph, edge, 0, error));
  if (edge->exchange == WR_EXCHANGE_HASH) WR_TRY(check_hash(graph, edge, error));
  WR_TRY(grow(graph->memory, (void **)&graph->edges, graph->edge_count, &graph->edge_capacity, sizeof *graph->edges,
              error));
  struct wr_edge copy = *edge;
  struct wr_node *to = &graph->nodes[edge->to_node];
  const struct wr_key_fields none = {0};
  if (!copy_key(graph->memory, edge->exchange == WR_EXCHANGE_HASH ? &edge->key : &none, &copy.key))
    return no_memory(error);
  bool gives_key = edge->exchange == WR_EXCHANGE_HASH && edge->to_input == 0 && to->key.count == 0;
  if (gives_key && !copy_key(graph->memory, &edge->key, &to->key)) {
    release_key(graph->memory, &copy.key);
    return no_memory(error);
  }
  copy.always_aligned = edge->always_aligned || to->kind == WR_NODE_COMMITTER;
  graph->edges[graph->edge_count++] = copy;
  return WEIR_OK;
}

/* ---- the whole ---- */

static enum weir_code check_inputs(const struct wr_graph *graph, const struct wr_node *node, uint32_t index,
                                   struct weir_error *error) {
  for (uint32_t input = 0; input < node->input_count; input++) {
    bool fed = false;
    for (uint32_t i = 0; i < graph->edge_count; i++)
      fed = fed || (graph->edges[i].to_node == index && graph->edges[i].to_input == input);
    if (fed) continue;
    if (node->input_count == 1)
      return WR_FAIL(error, WEIR_INVALID, "%s '%s' has no input", kind_text(node->kind), node->uid);
    return WR_FAIL(error, WEIR_INVALID, "input %u of %s '%s' is fed by nothing", input, kind_text(node->kind),
                   node->uid);
  }
  return WEIR_OK;
}

/* A node in front of `at` that is left over (waits != 0); every node left over has one. */
static uint32_t node_before(const struct wr_graph *graph, const uint32_t *waits, uint32_t at) {
  uint32_t edge = 0;
  while (graph->edges[edge].to_node != at || waits[graph->edges[edge].from_node] == 0)
    edge++;
  return graph->edges[edge].from_node;
}

/* Names the nodes of one cycle: going back from any node left over ends on one after node_count steps at most. */
static enum weir_code report_cycle(const struct wr_graph *graph, const uint32_t *waits, struct weir_error *error) {
  uint32_t at = 0;
  while (waits[at] == 0)
    at++;
  for (uint32_t i = 0; i < graph->node_count; i++)
    at = node_before(graph, waits, at);
  char text[512];
  size_t length = (size_t)snprintf(text, sizeof text, "'%s'", graph->nodes[at].uid);
  uint32_t next = at;
  do {
    next = node_before(graph, waits, next);
    if (length < sizeof text)
      length += (size_t)snprintf(text + length, sizeof text - length, " <- '%s'", graph->nodes[next].uid);
  } while (next != at);
  return WR_FAIL(error, WEIR_INVALID, "the job graph has a cycle: %s", text);
}

/* Every node after all that feed it, else in the order they were added. `waits` is scratch; both hold node_count. */
static enum weir_code sort(const struct wr_graph *graph, uint32_t *order, uint32_t *waits, struct weir_error *error) {
  memset(waits, 0, graph->node_count * sizeof *waits);
  for (uint32_t i = 0; i < graph->edge_count; i++)
    waits[graph->edges[i].to_node]++;
  uint32_t count = 0;
  for (uint32_t i = 0; i < graph->node_count; i++)
    if (waits[i] == 0) order[count++] = i;
  for (uint32_t done = 0; done < count; done++)
    for (uint32_t i = 0; i < graph->edge_count; i++)
      if (graph->edges[i].from_node == order[done] && --waits[graph->edges[i].to_node] == 0)
        order[count++] = graph->edges[i].to_node;
  return count == graph->node_count ? WEIR_OK : report_cycle(graph, waits, error);
}

/* Checks all but the parallelism; fills order[0..node_count). */
static enum weir_code check_and_sort(const struct wr_graph *graph, uint32_t *order, uint32_t *waits,
                                     struct weir_error *error) {
  uint32_t sources = 0;
  for (uint32_t i = 0; i < graph->node_count; i++) {
    sources += graph->nodes[i].kind == WR_NODE_SOURCE;
    WR_TRY(check_inputs(graph, &graph->nodes[i], i, error));
  }
  if (sources == 0) return WR_FAIL(error, WEIR_INVALID, "the job has no source; there is nothing to run");
  return sort(graph, order, waits, error);
}

enum weir_code wr_graph_check(const struct wr_graph *graph, struct weir_error *error) {
  uint32_t *scratch = wr_alloc(graph->memory, 2 * graph->node_count * sizeof *scratch, WR_MEMORY_ENGINE);
  if (scratch == NULL) return no_memory(error);
  enum weir_code code = check_and_sort(graph, scratch, scratch + graph->node_count, error);
  wr_free(graph->memory, scratch);
  return code;
}

/* ---- chaining ---- */

/* What planning needs for a while; two arrays of node_count. `vertex` is scratch until vertices are made. */
struct planning {
  uint32_t *order;  /* of the nodes, topological */
  uint32_t *vertex; /* of each node, by node */
};

static uint32_t resolved(const struct wr_node *node, uint32_t parallelism) {
  return node->parallelism != 0 ? node->parallelism : parallelism;
}

/* The one edge into `node`; NULL: there are none or several. */
static const struct wr_edge *only_input(const struct wr_graph *graph, uint32_t node) {
  const struct wr_edge *found = NULL;
  for (uint32_t i = 0; i < graph->edge_count; i++) {
    if (graph->edges[i].to_node != node) continue;
    if (found != NULL) return NULL;
    found = &graph->edges[i];
  }
  return found;
}

static bool feeds_only(const struct wr_graph *graph, const struct wr_edge *edge) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < graph->edge_count; i++)
    count += graph->edges[i].from_node == edge->from_node && graph->edges[i].from_port == edge->from_port;
  return count == 1;
}

/* The vertex that `node` joins, or NULL. */
static struct wr_vertex *chain_for(const struct wr_graph *graph, const struct wr_plan *plan,
                                   const struct planning *planning, uint32_t node) {
  const struct wr_edge *edge = only_input(graph, node);
  if (!graph->nodes[node].chain || graph->nodes[node].kind == WR_NODE_COMMITTER || edge == NULL ||
      edge->exchange != WR_EXCHANGE_FORWARD || edge->from_port != 0 || !feeds_only(graph, edge))
    return NULL;
  struct wr_vertex *vertex = &plan->vertices[planning->vertex[edge->from_node]];
  if (vertex->nodes[vertex->node_count - 1] != edge->from_node || vertex->node_count == WR_CHAIN_MAX) return NULL;
  return graph->nodes[edge->from_node].kind == WR_NODE_SINK ? NULL : vertex;
}

static void make_vertices(const struct wr_graph *graph, uint32_t parallelism, const struct planning *planning,
                          struct wr_plan *plan) {
  for (uint32_t i = 0; i < graph->node_count; i++) {
    uint32_t node = planning->order[i];
    struct wr_vertex *vertex = chain_for(graph, plan, planning, node);
    if (vertex == NULL) {
      vertex = &plan->vertices[plan->vertex_count++];
      vertex->parallelism = resolved(&graph->nodes[node], parallelism);
      plan->task_count += vertex->parallelism;
    }
    vertex->nodes[vertex->node_count++] = node;
    planning->vertex[node] = (uint32_t)(vertex - plan->vertices);
  }
}

/* How many channels lead into one task of `node`. */
static enum weir_code check_channels(const struct wr_graph *graph, uint32_t node, uint32_t parallelism,
                                     struct weir_error *error) {
  uint64_t channels = 0;
  for (uint32_t i = 0; i < graph->edge_count; i++) {
    const struct wr_edge *edge = &graph->edges[i];
    if (edge->to_node != node) continue;
    channels += edge->exchange == WR_EXCHANGE_FORWARD ? 1 : resolved(&graph->nodes[edge->from_node], parallelism);
  }
  if (channels > WR_TASK_INPUTS_MAX)
    return WR_FAIL(error, WEIR_INVALID, "%llu channels lead into each task of '%s'; at most %d are possible",
                   (unsigned long long)channels, graph->nodes[node].uid, WR_TASK_INPUTS_MAX);
  return WEIR_OK;
}

static enum weir_code plan_with(const struct wr_graph *graph, uint32_t parallelism, const struct planning *planning,
                                struct wr_plan *plan, struct weir_error *error) {
  WR_TRY(check_and_sort(graph, planning->order, planning->vertex, error));
  for (uint32_t i = 0; i < graph->edge_count; i++)
    WR_TRY(check_parallelism(graph, &graph->edges[i], parallelism, error));
  for (uint32_t i = 0; i < graph->node_count; i++)
    WR_TRY(check_channels(graph, i, parallelism, error));
  plan->vertices = wr_alloc_zeroed(plan->memory, graph->node_count, sizeof *plan->vertices, WR_MEMORY_ENGINE);
  if (plan->vertices == NULL) return no_memory(error);
  make_vertices(graph, parallelism, planning, plan);
  return WEIR_OK;
}

enum weir_code wr_plan_new(const struct wr_graph *graph, struct wr_memory *memory, uint32_t parallelism,
                           struct wr_plan *out_plan, struct weir_error *error) {
  if (parallelism == 0 || parallelism > WR_PARALLELISM_MAX)
    return WR_FAIL(error, WEIR_INVALID, "the job's parallelism is %u; it must be 1 to %d", parallelism,
                   WR_PARALLELISM_MAX);
  uint32_t *block = wr_alloc(graph->memory, 2 * graph->node_count * sizeof *block, WR_MEMORY_ENGINE);
  if (block == NULL) return no_memory(error);
  struct planning planning = {.order = block, .vertex = block + graph->node_count};
  struct wr_plan plan = {.memory = memory};
  enum weir_code code = plan_with(graph, parallelism, &planning, &plan, error);
  wr_free(graph->memory, block);
  if (code == WEIR_OK) *out_plan = plan;
  return code;
}

void wr_plan_deinit(struct wr_plan *plan) {
  if (plan->memory != NULL) wr_free(plan->memory, plan->vertices);
  *plan = (struct wr_plan){0};
}
