/* state/find.c: states by name, for whoever reads them from outside. The task's thread. */
#include "state/internal.h"

struct wr_state *wr_backend_find(const struct wr_backend *backend, const char *name) {
  for (uint32_t i = 0; i < backend->state_count; i++)
    if (strcmp(backend->states[i]->name, name) == 0) return backend->states[i];
  return NULL;
}

const struct weir_schema *wr_state_value_schema(const struct wr_state *state) {
  return state->value;
}
