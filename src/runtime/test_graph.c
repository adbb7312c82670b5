/* Tests of the job graph: what is refused and in which words, what is copied, how chains are made, and want of memory.
 */
#include "base/limits.h"
#include "base/test.h"
#include "base/test_memory.h"
#include "runtime/graph.h"

static const struct weir_field record_fields[] = {
    {"id", WEIR_TYPE_BIGINT, false}, {"name", WEIR_TYPE_STRING, true}, {"other", WEIR_TYPE_BIGINT, true}};
static const struct weir_schema record_schema = {record_fields, 3};
static const struct weir_field narrow_fields[] = {{"id", WEIR_TYPE_INT, false}};
static const struct weir_schema narrow_schema = {narrow_fields, 1};
static const uint32_t id_field[] = {0}, name_field[] = {1}, other_field[] = {2}, id_and_name[] = {0, 1};

/* Never called: a graph only keeps them. */
static enum weir_code new_operator(void *config, struct wr_operator_context *context, struct wr_operator **out,
                                   struct weir_error *error) {
  (void)config, (void)context, (void)out;
  return WR_FAIL(error, WEIR_INTERNAL, "not called");
}
static enum weir_code new_enumerator(void *config, const struct wr_enumerator_context *context,
                                     const struct wr_split *restored, uint32_t count, struct wr_enumerator **out,
                                     struct weir_error *error) {
  (void)config, (void)context, (void)restored, (void)count, (void)out;
  return WR_FAIL(error, WEIR_INTERNAL, "not called");
}
static enum weir_code new_target(void *config, const struct wr_target_context *context, struct wr_target **out,
                                 struct weir_error *error) {
  (void)config, (void)context, (void)out;
  return WR_FAIL(error, WEIR_INTERNAL, "not called");
}

/* A node of the kind, with one input and one output of record_schema where the kind has such. */
static struct wr_node node_of(enum wr_node_kind kind, const char *uid) {
  struct wr_node node = {.kind = kind, .chain = true, .new_operator = new_operator};
  snprintf(node.uid, sizeof node.uid, "%s", uid);
  node.input_count = kind != WR_NODE_SOURCE;
  node.port_count = kind == WR_NODE_SOURCE || kind == WR_NODE_OPERATOR;
  node.input_schemas[0] = node.port_schemas[0] = &record_schema;
  if (kind == WR_NODE_SOURCE) node.new_enumerator = new_enumerator;
  if (kind == WR_NODE_COMMITTER) node.new_target = new_target;
  if (kind == WR_NODE_COMMITTER) node.parallelism = 1;
  return node;
}
static struct wr_edge edge_of(uint32_t from, uint32_t to, enum wr_exchange exchange) {
  struct wr_edge edge = {.from_node = from, .to_node = to, .exchange = exchange};
  if (exchange == WR_EXCHANGE_HASH) edge.key = (struct wr_key_fields){id_field, 1};
  return edge;
}

struct fixture {
  struct test_memory memory;
  struct wr_graph graph;
  struct weir_error error;
};
static void begin(struct fixture *fixture) {
  test_memory_init(&fixture->memory);
  wr_graph_init(&fixture->graph, &fixture->memory.memory);
  memset(&fixture->error, 0, sizeof fixture->error);
}
static void end(struct fixture *fixture) {
  wr_graph_deinit(&fixture->graph);
  CHECK_INT(fixture->memory.living_count, 0);
}
static enum weir_code add(struct fixture *fixture, struct wr_node node) {
  uint32_t index = UINT32_MAX;
  enum weir_code code = wr_graph_add_node(&fixture->graph, &node, &index, &fixture->error);
  return code == WEIR_OK && index != fixture->graph.node_count - 1 ? WEIR_INTERNAL : code;
}
static enum weir_code join(struct fixture *fixture, struct wr_edge edge) {
  return wr_graph_add_edge(&fixture->graph, &edge, &fixture->error);
}
#define CHECK_INVALID(fixture, expression, text)                                                                       \
  do {                                                                                                                 \
    CHECK_INT(expression, WEIR_INVALID);                                                                               \
    CHECK_STRING((fixture).error.message, text);                                                                       \
  } while (0)

TEST(copies) {
  struct fixture f;
  begin(&f);
  struct weir_field own_fields[3];
  memcpy(own_fields, record_fields, sizeof own_fields);
  struct weir_schema own_schema = {own_fields, 3};
  uint32_t own_key[] = {0};
  struct wr_node node = node_of(WR_NODE_OPERATOR, "count");
  node.input_schemas[0] = node.port_schemas[0] = &own_schema;
  struct wr_edge edge = {.to_node = 1, .exchange = WR_EXCHANGE_HASH, .key = {own_key, 1}};
  CHECK_INT(add(&f, node_of(WR_NODE_SOURCE, "in")), WEIR_OK);
  CHECK_INT(add(&f, node), WEIR_OK);
  CHECK_INT(join(&f, edge), WEIR_OK);
  memset(own_fields, 0, sizeof own_fields);
  own_key[0] = 77;
  const struct wr_node *kept = &f.graph.nodes[1];
  CHECK(wr_schema_equal(kept->input_schemas[0], &record_schema));
  CHECK(wr_schema_equal(kept->port_schemas[0], &record_schema));
  CHECK_INT(f.graph.edges[0].key.fields[0], 0);
  CHECK_INT(kept->key.count, 1); /* from the edge */
  CHECK_INT(kept->key.fields[0], 0);
  CHECK_INT(wr_graph_check(&f.graph, &f.error), WEIR_OK);
  end(&f);
}

TEST(uids) {
  struct fixture f;
  begin(&f);
  CHECK_INVALID(f, add(&f, node_of(WR_NODE_SOURCE, "")),
                "source number 0 has no uid; give it one, its state is found by it");
  CHECK_INT(add(&f, node_of(WR_NODE_SOURCE, "Az09._-x")), WEIR_OK);
  CHECK_INVALID(f, add(&f, node_of(WR_NODE_SINK, "Az09._-x")),
                "uid 'Az09._-x' is used twice, by the source and by the sink of this name");
  CHECK_INVALID(f, add(&f, node_of(WR_NODE_SINK, "a/b")),
                "byte 2 (0x2f) of uid 'a/b' is not allowed; a uid is made of A-Z, a-z, 0-9, '.', '_' and '-'");
  CHECK_INT(add(&f, node_of(WR_NODE_SINK, "\xc3\xbc")), WEIR_INVALID);
  struct wr_node node = node_of(WR_NODE_SINK, "");
  memset(node.uid, 'x', WR_UID_BYTES_MAX);
  CHECK_INT(add(&f, node), WEIR_OK);
  memset(node.uid, 'y', sizeof node.uid);
  CHECK_INVALID(f, add(&f, node), "the uid of sink 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy...' is longer than 128 bytes");
  CHECK_INT(f.graph.node_count, 2);
  end(&f);
}

TEST(nodes_that_are_refused) {
  struct fixture f;
  begin(&f);
  struct wr_node node = node_of(WR_NODE_OPERATOR, "n");
  node.parallelism = WR_PARALLELISM_MAX + 1;
  CHECK_INVALID(f, add(&f, node), "operator 'n' has parallelism 257; at most 256 is possible");
  node = node_of(WR_NODE_OPERATOR, "n");
  node.input_count = WR_NODE_INPUTS_MAX + 1;
  CHECK_INVALID(f, add(&f, node), "operator 'n' has 9 inputs and 1 outputs; at most 8 and 4 are possible");
  node = node_of(WR_NODE_SINK, "n");
  node.input_count = 0;
  CHECK_INVALID(f, add(&f, node), "sink 'n' has 0 inputs; a source has none, everything else at least one");
  node = node_of(WR_NODE_SOURCE, "n");
  node.input_count = 1;
  CHECK_INT(add(&f, node), WEIR_INVALID);
  node = node_of(WR_NODE_SOURCE, "n");
  node.port_count = 0;
  CHECK_INVALID(f, add(&f, node), "source 'n' has no output");
  node = node_of(WR_NODE_COMMITTER, "n");
  node.parallelism = 2;
  CHECK_INVALID(f, add(&f, node), "committer 'n' has 1 inputs and parallelism 2; it must have one of each");
  node = node_of(WR_NODE_SINK, "n");
  node.new_operator = NULL;
  CHECK_INVALID(f, add(&f, node), "sink 'n' lacks a function that makes its operator");
  node = node_of(WR_NODE_SOURCE, "n");
  node.new_enumerator = NULL;
  CHECK_INVALID(f, add(&f, node), "source 'n' lacks a function that makes its enumerator");
  node = node_of(WR_NODE_COMMITTER, "n");
  node.new_target = NULL;
  CHECK_INVALID(f, add(&f, node), "committer 'n' lacks a function that makes its target");
  node = node_of(WR_NODE_OPERATOR, "n");
  node.port_schemas[0] = NULL;
  CHECK_INVALID(f, add(&f, node), "output 0 of operator 'n' has no schema");
  const struct weir_field twice[] = {{"a", WEIR_TYPE_INT, false}, {"a", WEIR_TYPE_INT, false}};
  const struct weir_schema bad = {twice, 2};
  node = node_of(WR_NODE_OPERATOR, "n");
  node.input_schemas[0] = &bad;
  CHECK_INT(add(&f, node), WEIR_INVALID);
  CHECK(strncmp(f.error.message, "input 0 of operator 'n': ", 25) == 0);
  node = node_of(WR_NODE_OPERATOR, "n");
  const uint32_t far[] = {3}, same[] = {1, 1};
  node.key = (struct wr_key_fields){far, 1};
  CHECK_INVALID(f, add(&f, node), "the key at operator 'n' names field 3; its records have 3, counted from 0");
  node.key = (struct wr_key_fields){same, 2};
  CHECK_INVALID(f, add(&f, node), "the key at operator 'n' has field 'name' twice");
  node = node_of(WR_NODE_SOURCE, "n");
  node.key = (struct wr_key_fields){id_field, 1};
  CHECK_INVALID(f, add(&f, node), "source 'n' has a key, but no input whose records could have it");
  CHECK_INT(f.graph.node_count, 0);
  end(&f);
}

TEST(edges_that_are_refused) {
  struct fixture f;
  begin(&f);
  struct wr_node narrow = node_of(WR_NODE_SINK, "narrow"), two = node_of(WR_NODE_SINK, "two"),
                 three = node_of(WR_NODE_SINK, "three");
  narrow.input_schemas[0] = &narrow_schema;
  two.parallelism = 2;
  three.parallelism = 3;
  CHECK_INT(add(&f, node_of(WR_NODE_SOURCE, "in")), WEIR_OK);
  CHECK_INT(add(&f, narrow), WEIR_OK);
  CHECK_INT(add(&f, two), WEIR_OK);
  CHECK_INT(add(&f, three), WEIR_OK);
  CHECK_INT(add(&f, node_of(WR_NODE_COMMITTER, "commit")), WEIR_OK);
  struct wr_node map = node_of(WR_NODE_OPERATOR, "map");
  map.parallelism = 2;
  CHECK_INT(add(&f, map), WEIR_OK);
  CHECK_INVALID(f, join(&f, edge_of(0, 9, WR_EXCHANGE_FORWARD)),
                "an edge goes from node 0 to node 9; there are 6 nodes, counted from 0");
  CHECK_INVALID(f, join(&f, edge_of(2, 5, WR_EXCHANGE_FORWARD)),
                "an edge comes from output 0 of sink 'two', which has 0, counted from 0");
  CHECK_INVALID(f, join(&f, edge_of(0, 0, WR_EXCHANGE_FORWARD)),
                "an edge goes to input 0 of source 'in', which has 0, counted from 0");
  CHECK_INVALID(f, join(&f, edge_of(0, 1, WR_EXCHANGE_FORWARD)),
                "output 0 of 'in' and input 0 of 'narrow' have different schemas");
  CHECK_INVALID(f, join(&f, edge_of(5, 3, WR_EXCHANGE_FORWARD)),
                "'map' (parallelism 2) forwards to 'three' (parallelism 3); a forward edge needs equal ones");
  CHECK_INVALID(f, join(&f, edge_of(0, 3, WR_EXCHANGE_GATHER)),
                "'three' gathers all records of 'in', but has parallelism 3; it must have 1");
  CHECK_INVALID(f, join(&f, edge_of(0, 4, WR_EXCHANGE_GATHER)),
                "committer 'commit' is fed by source 'in'; only a sink has parts to commit");
  struct wr_edge edge = edge_of(0, 2, WR_EXCHANGE_HASH);
  edge.key.count = 0;
  CHECK_INVALID(f, join(&f, edge), "the hash edge from 'in' to 'two' names no key fields");
  const uint32_t far[] = {3};
  edge.key = (struct wr_key_fields){far, 1};
  CHECK_INVALID(f, join(&f, edge), "the key at sink 'two' names field 3; its records have 3, counted from 0");
  CHECK_INT(f.graph.edge_count, 0);
  end(&f);
}

TEST(keys_of_a_node_agree) {
  struct fixture f;
  begin(&f);
  struct wr_node join_node = node_of(WR_NODE_OPERATOR, "join"), keyed = node_of(WR_NODE_OPERATOR, "keyed");
  join_node.input_count = 2;
  join_node.input_schemas[1] = &record_schema;
  keyed.key = (struct wr_key_fields){id_and_name, 2};
  keyed.parallelism = 2;
  CHECK_INT(add(&f, node_of(WR_NODE_SOURCE, "a")), WEIR_OK);
  CHECK_INT(add(&f, node_of(WR_NODE_SOURCE, "b")), WEIR_OK);
  CHECK_INT(add(&f, join_node), WEIR_OK);
  CHECK_INT(add(&f, keyed), WEIR_OK);
  struct wr_edge second = edge_of(1, 2, WR_EXCHANGE_HASH);
  second.to_input = 1;
  second.key = (struct wr_key_fields){other_field, 1};
  CHECK_INT(join(&f, second), WEIR_OK); /* the second input first: it gives the node no key */
  CHECK_INT(f.graph.nodes[2].key.count, 0);
  struct wr_edge first = edge_of(0, 2, WR_EXCHANGE_HASH);
  first.key = (struct wr_key_fields){name_field, 1};
  CHECK_INVALID(f, join(&f, first), "the keys of inputs 1 and 0 of 'join' have different types");
  CHECK_INT(f.graph.nodes[2].key.count, 0);
  first.key = (struct wr_key_fields){id_field, 1};
  CHECK_INT(join(&f, first), WEIR_OK);
  CHECK_INT(f.graph.nodes[2].key.fields[0], 0);
  first.from_node = 1;
  CHECK_INT(join(&f, first), WEIR_OK); /* a union by the same key */
  first.key = (struct wr_key_fields){other_field, 1};
  CHECK_INVALID(f, join(&f, first), "input 0 of 'join' is hashed by one key from 'a' and by another from 'b'");
  CHECK_INVALID(f, join(&f, edge_of(0, 3, WR_EXCHANGE_HASH)),
                "'keyed' keeps its state by another key than the one its input 0 is hashed by");
  CHECK_INVALID(f, join(&f, edge_of(0, 3, WR_EXCHANGE_REBALANCE)),
                "'keyed' has state by key, but its records come round robin from 'a'; use hash");
  struct wr_edge both = edge_of(0, 3, WR_EXCHANGE_HASH);
  both.key = (struct wr_key_fields){id_and_name, 2};
  CHECK_INT(join(&f, both), WEIR_OK);
  end(&f);
}

TEST(whole_graphs_that_are_refused) {
  struct fixture f;
  begin(&f);
  CHECK_INVALID(f, wr_graph_check(&f.graph, &f.error), "the job has no source; there is nothing to run");
  struct wr_node two = node_of(WR_NODE_OPERATOR, "two");
  two.input_count = 2;
  two.input_schemas[1] = &record_schema;
  CHECK_INT(add(&f, node_of(WR_NODE_SOURCE, "in")), WEIR_OK);
  CHECK_INT(add(&f, node_of(WR_NODE_SINK, "out")), WEIR_OK);
  CHECK_INVALID(f, wr_graph_check(&f.graph, &f.error), "sink 'out' has no input");
  CHECK_INT(join(&f, edge_of(0, 1, WR_EXCHANGE_FORWARD)), WEIR_OK);
  CHECK_INT(wr_graph_check(&f.graph, &f.error), WEIR_OK);
  CHECK_INT(add(&f, two), WEIR_OK);
  CHECK_INT(join(&f, edge_of(0, 2, WR_EXCHANGE_REBALANCE)), WEIR_OK);
  CHECK_INVALID(f, wr_graph_check(&f.graph, &f.error), "input 1 of operator 'two' is fed by nothing");
  CHECK_INT(add(&f, node_of(WR_NODE_OPERATOR, "three")), WEIR_OK);
  CHECK_INT(add(&f, node_of(WR_NODE_OPERATOR, "after")), WEIR_OK);
  struct wr_edge back = edge_of(3, 2, WR_EXCHANGE_REBALANCE);
  back.to_input = 1;
  CHECK_INT(join(&f, back), WEIR_OK);
  CHECK_INT(join(&f, edge_of(2, 3, WR_EXCHANGE_REBALANCE)), WEIR_OK);
  CHECK_INT(join(&f, edge_of(3, 4, WR_EXCHANGE_REBALANCE)), WEIR_OK);
  CHECK_INVALID(f, wr_graph_check(&f.graph, &f.error), "the job graph has a cycle: 'three' <- 'two' <- 'three'");
  struct wr_plan plan;
  CHECK_INT(wr_plan_new(&f.graph, f.graph.memory, 1, &plan, &f.error), WEIR_INVALID);
  end(&f);
}

/* ---- plans ---- */

/* "a b|c" and so on: vertices in order, their nodes' uids. */
static void describe(const struct wr_graph *graph, const struct wr_plan *plan, char *text, size_t size) {
  size_t length = 0;
  text[0] = 0;
  for (uint32_t v = 0; v < plan->vertex_count; v++)
    for (uint32_t n = 0; n < plan->vertices[v].node_count && length < size; n++)
      length += (size_t)snprintf(text + length, size - length, "%s%s",
                                 n != 0   ? " "
                                 : v != 0 ? "|"
                                          : "",
                                 graph->nodes[plan->vertices[v].nodes[n]].uid);
}

TEST(chains) {
  struct fixture f;
  begin(&f);
  struct wr_node sink = node_of(WR_NODE_SINK, "write");
  sink.port_count = 1;
  /* Added against the stream, so that the order is the plan's own work. */
  CHECK_INT(add(&f, node_of(WR_NODE_COMMITTER, "commit")), WEIR_OK);
  CHECK_INT(add(&f, sink), WEIR_OK);
  CHECK_INT(add(&f, node_of(WR_NODE_OPERATOR, "count")), WEIR_OK);
  CHECK_INT(add(&f, node_of(WR_NODE_OPERATOR, "parse")), WEIR_OK);
  CHECK_INT(add(&f, node_of(WR_NODE_SOURCE, "in")), WEIR_OK);
  CHECK_INT(join(&f, edge_of(1, 0, WR_EXCHANGE_GATHER)), WEIR_OK);
  CHECK_INT(join(&f, edge_of(2, 1, WR_EXCHANGE_FORWARD)), WEIR_OK);
  CHECK_INT(join(&f, edge_of(3, 2, WR_EXCHANGE_HASH)), WEIR_OK);
  CHECK_INT(join(&f, edge_of(4, 3, WR_EXCHANGE_FORWARD)), WEIR_OK);
  CHECK(f.graph.edges[0].always_aligned && !f.graph.edges[1].always_aligned);
  struct wr_plan plan;
  char text[256];
  CHECK_INT(wr_plan_new(&f.graph, f.graph.memory, 3, &plan, &f.error), WEIR_OK);
  describe(&f.graph, &plan, text, sizeof text);
  CHECK_STRING(text, "in parse|count write|commit");
  CHECK_INT(plan.vertices[0].parallelism, 3);
  CHECK_INT(plan.vertices[2].parallelism, 1);
  CHECK_INT(plan.task_count, 7);
  wr_plan_deinit(&plan);
  CHECK_INVALID(f, wr_plan_new(&f.graph, f.graph.memory, 0, &plan, &f.error),
                "the job's parallelism is 0; it must be 1 to 256");
  f.graph.nodes[3].chain = false;
  CHECK_INT(wr_plan_new(&f.graph, f.graph.memory, 3, &plan, &f.error), WEIR_OK);
  describe(&f.graph, &plan, text, sizeof text);
  CHECK_STRING(text, "in|parse|count write|commit");
  wr_plan_deinit(&plan);
  end(&f);
}

TEST(no_chains) {
  struct fixture f;
  begin(&f);
  struct wr_node split = node_of(WR_NODE_OPERATOR, "split"), merge = node_of(WR_NODE_OPERATOR, "merge");
  split.port_count = 2;
  split.port_schemas[1] = &record_schema;
  CHECK_INT(add(&f, node_of(WR_NODE_SOURCE, "a")), WEIR_OK);
  CHECK_INT(add(&f, node_of(WR_NODE_SOURCE, "b")), WEIR_OK);
  CHECK_INT(add(&f, merge), WEIR_OK);
  CHECK_INT(add(&f, split), WEIR_OK);
  CHECK_INT(add(&f, node_of(WR_NODE_SINK, "main")), WEIR_OK);
  CHECK_INT(add(&f, node_of(WR_NODE_SINK, "side")), WEIR_OK);
  CHECK_INT(join(&f, edge_of(0, 2, WR_EXCHANGE_FORWARD)), WEIR_OK); /* two edges into one input */
  CHECK_INT(join(&f, edge_of(1, 2, WR_EXCHANGE_FORWARD)), WEIR_OK);
  CHECK_INT(join(&f, edge_of(2, 3, WR_EXCHANGE_FORWARD)), WEIR_OK);
  CHECK_INT(join(&f, edge_of(3, 4, WR_EXCHANGE_FORWARD)), WEIR_OK);
  struct wr_edge side = edge_of(3, 5, WR_EXCHANGE_FORWARD);
  side.from_port = 1;
  CHECK_INT(join(&f, side), WEIR_OK);
  struct wr_plan plan;
  char text[256];
  CHECK_INT(wr_plan_new(&f.graph, f.graph.memory, 2, &plan, &f.error), WEIR_OK);
  describe(&f.graph, &plan, text, sizeof text);
  CHECK_STRING(text, "a|b|merge split main|side"); /* the side port goes through a channel */
  CHECK_INT(plan.task_count, 8);
  wr_plan_deinit(&plan);
  f.graph.edges[4].from_port = 0; /* the port feeds two */
  CHECK_INT(wr_plan_new(&f.graph, f.graph.memory, 2, &plan, &f.error), WEIR_OK);
  describe(&f.graph, &plan, text, sizeof text);
  CHECK_STRING(text, "a|b|merge split|main|side");
  wr_plan_deinit(&plan);
  end(&f);
}

TEST(limits) {
  struct fixture f;
  begin(&f);
  char uid[16];
  CHECK_INT(add(&f, node_of(WR_NODE_SOURCE, "in")), WEIR_OK);
  for (uint32_t i = 1; i <= 20; i++) {
    snprintf(uid, sizeof uid, "map-%u", i);
    CHECK_INT(add(&f, node_of(WR_NODE_OPERATOR, uid)), WEIR_OK);
    CHECK_INT(join(&f, edge_of(i - 1, i, WR_EXCHANGE_FORWARD)), WEIR_OK);
  }
  struct wr_plan plan;
  CHECK_INT(wr_plan_new(&f.graph, f.graph.memory, 1, &plan, &f.error), WEIR_OK);
  CHECK_INT(plan.vertex_count, 2);
  CHECK_INT(plan.vertices[0].node_count, WR_CHAIN_MAX);
  CHECK_INT(plan.vertices[1].node_count, 21 - WR_CHAIN_MAX);
  wr_plan_deinit(&plan);
  for (uint32_t i = 0; i <= WR_TASK_INPUTS_MAX / WR_PARALLELISM_MAX; i++)
    CHECK_INT(join(&f, edge_of(0, 20, WR_EXCHANGE_REBALANCE)), WEIR_OK);
  CHECK_INVALID(f, wr_plan_new(&f.graph, f.graph.memory, WR_PARALLELISM_MAX, &plan, &f.error),
                "4353 channels lead into each task of 'map-20'; at most 4096 are possible");
  CHECK_INT(wr_plan_new(&f.graph, f.graph.memory, 16, &plan, &f.error), WEIR_OK);
  wr_plan_deinit(&plan);
  f.graph.nodes[5].parallelism = 2; /* 0 beside it is the job's */
  CHECK_INVALID(f, wr_plan_new(&f.graph, f.graph.memory, 3, &plan, &f.error),
                "'map-4' (parallelism 3) forwards to 'map-5' (parallelism 2); a forward edge needs equal ones");
  end(&f);
}

/* Builds and plans; stops at the first failure. */
static enum weir_code build(struct wr_graph *graph, struct wr_plan *plan) {
  uint32_t index;
  for (uint32_t i = 0; i < 12; i++) { /* more than the arrays begin with */
    char uid[8];
    snprintf(uid, sizeof uid, "n%u", i);
    struct wr_node node = node_of(i == 0 ? WR_NODE_SOURCE : WR_NODE_OPERATOR, uid);
    if (i == 1) node.key = (struct wr_key_fields){id_field, 1};
    WR_TRY(wr_graph_add_node(graph, &node, &index, NULL));
    struct wr_edge edge = edge_of(i - 1, i, i < 3 ? WR_EXCHANGE_HASH : WR_EXCHANGE_FORWARD);
    if (i != 0) WR_TRY(wr_graph_add_edge(graph, &edge, NULL));
  }
  WR_TRY(wr_graph_check(graph, NULL));
  return wr_plan_new(graph, graph->memory, 2, plan, NULL);
}

TEST(no_memory) {
  struct test_memory memory;
  test_memory_init(&memory);
  uint64_t n = 0;
  for (enum weir_code code = WEIR_NO_MEMORY; code != WEIR_OK;) {
    struct wr_graph graph;
    struct wr_plan plan = {0};
    wr_graph_init(&graph, &memory.memory);
    test_memory_fail_after(&memory, ++n, false);
    code = build(&graph, &plan);
    CHECK(code == WEIR_OK || code == WEIR_NO_MEMORY);
    wr_plan_deinit(&plan);
    wr_graph_deinit(&graph);
    CHECK_INT(memory.living_count, 0);
  }
  fprintf(stderr, "failed at each of %" PRIu64 " allocations\n", n - 1);
  CHECK(n > 30);
}

TEST_MAIN(TEST_CASE(copies), TEST_CASE(uids), TEST_CASE(nodes_that_are_refused), TEST_CASE(edges_that_are_refused),
          TEST_CASE(keys_of_a_node_agree), TEST_CASE(whole_graphs_that_are_refused), TEST_CASE(chains),
          TEST_CASE(no_chains), TEST_CASE(limits), TEST_CASE(no_memory))
