/* runtime/graph.h: the job graph: what a job is made of, before it runs. Built by one thread, then immutable.
 *
 * A node is an operator with a uid and a parallelism; an edge says how records go from one node's port to another's
 * input. At the start, nodes joined by forward edges of equal parallelism are chained into one task per subtask. A
 * two-phase sink is two nodes: the writer, and its committer of parallelism 1.
 */
#ifndef WR_RUNTIME_GRAPH_H
#define WR_RUNTIME_GRAPH_H

#include "runtime/operator.h"
#include "runtime/sink.h"
#include "runtime/source.h"

enum wr_node_kind { WR_NODE_SOURCE, WR_NODE_OPERATOR, WR_NODE_SINK, WR_NODE_COMMITTER };

enum wr_exchange {
  WR_EXCHANGE_FORWARD,   /* subtask i to subtask i: equal parallelism */
  WR_EXCHANGE_HASH,      /* by key group */
  WR_EXCHANGE_REBALANCE, /* round robin, batch by batch */
  WR_EXCHANGE_GATHER     /* all to subtask 0 of a node of parallelism 1 */
};

enum { WR_NODE_INPUTS_MAX = 8, WR_NODE_PORTS_MAX = 4 };

struct wr_edge {
  uint32_t from_node, from_port;
  uint32_t to_node, to_input;
  enum wr_exchange exchange;
  struct wr_key_fields key; /* HASH: fields of the sender's port schema; owned by the graph */
  bool always_aligned;      /* writer to committer: the graph sets it there */
};

struct wr_node {
  char uid[WR_UID_BYTES_MAX + 1];
  enum wr_node_kind kind;
  uint32_t parallelism; /* 0: the job's */
  uint32_t port_count;
  const struct weir_schema *port_schemas[WR_NODE_PORTS_MAX]; /* owned by the graph */
  uint32_t input_count;
  const struct weir_schema *input_schemas[WR_NODE_INPUTS_MAX];
  struct wr_key_fields key; /* keyed state over input 0's fields; count 0: none. Set from its HASH edge */
  bool chain;               /* may be chained to its input (default true) */
  bool durable; /* a sink with a target outside, or a source or state worth keeping: the job needs a folder */
  void *config; /* the connector's; outlives the job */
  enum weir_code (*new_operator)(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                                 struct weir_error *error);
  /* SOURCE: splits as stored at R (all subtasks'); they are copied. */
  enum weir_code (*new_enumerator)(void *config, const struct wr_enumerator_context *context,
                                   const struct wr_split *restored, uint32_t restored_count,
                                   struct wr_enumerator **out_enumerator, struct weir_error *error);
  /* COMMITTER: the target, made once per attempt before its tasks; it outlives the operator, which
   * gets it by its context. */
  enum weir_code (*new_target)(void *config, const struct wr_target_context *context, struct wr_target **out_target,
                               struct weir_error *error);
  struct wr_commit_limits commit_limits; /* COMMITTER */
};

struct wr_graph {
  struct wr_memory *memory;
  struct wr_node *nodes;
  uint32_t node_count, node_capacity;
  struct wr_edge *edges;
  uint32_t edge_count, edge_capacity;
};

void wr_graph_init(struct wr_graph *graph, struct wr_memory *memory);
void wr_graph_deinit(struct wr_graph *graph);
/* Copies the node (schemas too); *out_index is its number. INVALID: uid missing, bad or taken. */
enum weir_code wr_graph_add_node(struct wr_graph *graph, const struct wr_node *node, uint32_t *out_index,
                                 struct weir_error *error);
/* Copies the edge. INVALID: schemas differ, forward between different parallelisms, input taken twice by a key ... */
enum weir_code wr_graph_add_edge(struct wr_graph *graph, const struct wr_edge *edge, struct weir_error *error);
/* Checks the whole: at least one source, every input fed, no cycle, limits; INVALID with a sentence. */
enum weir_code wr_graph_check(const struct wr_graph *graph, struct weir_error *error);

/* ---- chaining ---- */

/* A vertex: the nodes of one task per subtask, head first. */
struct wr_vertex {
  uint32_t nodes[WR_CHAIN_MAX];
  uint32_t node_count;
  uint32_t parallelism;
};
struct wr_plan {
  struct wr_memory *memory;
  struct wr_vertex *vertices; /* in topological order */
  uint32_t vertex_count;
  uint32_t task_count; /* sum of parallelisms; tasks are numbered vertex by vertex */
};
/* Resolves parallelism 0 to `parallelism` and chains. A node joins the vertex of its input when it has one input edge,
 * FORWARD, from port 0 of the tail of that vertex, which is no sink, that port feeds nothing else, `chain` is set, it
 * is no committer, and the vertex has room. */
enum weir_code wr_plan_new(const struct wr_graph *graph, struct wr_memory *memory, uint32_t parallelism,
                           struct wr_plan *out_plan, struct weir_error *error);
void wr_plan_deinit(struct wr_plan *plan);

#endif
