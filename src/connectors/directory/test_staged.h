/* connectors/directory/test_staged.h: parts of the folder sink for tests, made by its stage as the sink writer makes
 * them, but with calls that are done at once. One thread; where files may be used. */
#ifndef WR_CONNECTORS_DIRECTORY_TEST_STAGED_H
#define WR_CONNECTORS_DIRECTORY_TEST_STAGED_H

#include "connectors/directory/directory.h"

struct test_stager {
  struct wr_seams seams;
  struct wr_calls calls;
  struct wr_operator_context context;
  void *config;
  uint64_t next_ordinal;
};

static inline void test_stager_submit(struct wr_calls *calls, struct wr_call *call) {
  (void)calls;
  call->run(call);
  wr_call_finish(call);
}

/* The writer of a subtask in a start of the job. The stager stays where it is. */
static inline void test_stager_init(struct test_stager *stager, const struct wr_directory_config *config,
                                    struct wr_store *store, struct wr_memory *memory, const struct weir_schema *schema,
                                    uint32_t subtask) {
  *stager = (struct test_stager){.seams = *store->seams, .config = (void *)config};
  stager->calls.submit = test_stager_submit;
  stager->seams.calls = &stager->calls;
  stager->context = (struct wr_operator_context){.seams = &stager->seams,
                                                 .memory = memory,
                                                 .store = store,
                                                 .uid = "writer",
                                                 .input_schema = schema,
                                                 .subtask = subtask};
}

static inline enum weir_code test_stage_open(struct test_stager *stager, struct wr_stage **out_stage,
                                             struct weir_error *error) {
  return wr_directory_stage_new(stager->config, &stager->context, stager->next_ordinal++, out_stage, error);
}

/* Appends a batch that comes at `now_ns`. A full disk is an error. */
static inline enum weir_code test_stage_put(struct wr_stage *stage, const struct wr_batch *batch, uint64_t now_ns,
                                            struct weir_error *error) {
  uint64_t wake_ns = UINT64_MAX;
  enum wr_upload_state state = stage->vtable->step(stage, now_ns, &wake_ns);
  if (state == WR_UPLOAD_OPEN) return stage->vtable->append(stage, batch, now_ns, error);
  if (state == WR_UPLOAD_NO_SPACE) return WR_FAIL(error, WEIR_NO_SPACE, "the disk is full");
  WR_ASSERT(state == WR_UPLOAD_FAILED);
  *error = *stage->vtable->error(stage);
  return error->code;
}

/* Ends the stage and frees it. OK: its part, prepared for this checkpoint, is there; a full disk is an error. */
static inline enum weir_code test_stage_close(struct test_stager *stager, struct wr_stage *stage, uint64_t id,
                                              struct wr_part *out_part, struct weir_error *error) {
  uint64_t wake_ns = UINT64_MAX;
  enum wr_upload_state state = WR_UPLOAD_CLOSING;
  stage->vtable->finish(stage);
  for (int i = 0; i < 4 && state != WR_UPLOAD_DONE && state != WR_UPLOAD_FAILED; i++)
    state = stage->vtable->step(stage, 0, &wake_ns);
  *out_part = (struct wr_part){.prepared_for = id, .subtask = stager->context.subtask};
  enum weir_code code = WEIR_OK;
  if (state == WR_UPLOAD_DONE) {
    stage->vtable->take_handle(stage, &out_part->handle);
  } else if (state == WR_UPLOAD_FAILED) {
    *error = *stage->vtable->error(stage);
    code = error->code;
  } else {
    code = WR_FAIL(error, WEIR_NO_SPACE, "the disk is full");
  }
  stage->vtable->free(stage);
  return code;
}

/* A part of one batch. */
static inline enum weir_code test_stage_part(struct test_stager *stager, uint64_t id, const struct wr_batch *batch,
                                             struct wr_part *out_part, struct weir_error *error) {
  struct wr_stage *stage = NULL;
  WR_TRY(test_stage_open(stager, &stage, error));
  enum weir_code code = test_stage_put(stage, batch, 0, error);
  if (code == WEIR_OK) return test_stage_close(stager, stage, id, out_part, error);
  stage->vtable->free(stage);
  return code;
}

#endif
