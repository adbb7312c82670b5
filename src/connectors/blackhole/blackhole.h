/* connectors/blackhole/blackhole.h: a sink that drops every record. Nothing outside, so nothing to promise. */
#ifndef WR_CONNECTORS_BLACKHOLE_BLACKHOLE_H
#define WR_CONNECTORS_BLACKHOLE_BLACKHOLE_H

#include "runtime/graph.h"

/* `schema` is borrowed until the node is in the graph. INVALID: the uid is missing or too long. */
enum weir_code wr_blackhole_node(const char *uid, const struct weir_schema *schema, uint32_t parallelism,
                                 struct wr_node *out_node, struct weir_error *error);

#endif
