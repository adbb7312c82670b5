/* checkpoint/metadata.c: the bytes of a completed checkpoint's metadata, file chk-N. Pure; any thread.
 *
 * The frame around it is in frame.c; its magic is "WEIRCHKP", its version 1. Integers are little-endian, a string is a
 * u32 length and its bytes, a handle is as in store/handle.c. The body:
 *
 *   16   incarnation
 *   8    start number
 *   8    checkpoint id, at least 1
 *   8    wall time of the trigger, milliseconds since 1970, two's complement
 *   1    mode: 0 exactly-once, 1 at-least-once
 *   1    bounded: 0 or 1
 *   4    maximum parallelism, 1 to 32768
 *   ...  string job name
 *   4    number of operators, then each, ascending by uid:
 *     ...  string uid
 *     4    parallelism, 1 to 256
 *     4    inputs that have ended: bit i is input i; a source whose splits have all ended: bit 0
 *     4    number of subtasks that stored something, then each, ascending by number:
 *       4    subtask, below the parallelism
 *       4+4  its key groups: first, end
 *       1    has a committer: 0 or 1
 *       4    number of handles of keyed state, then each: base, deltas
 *       4    number of splits, then a handle for each
 *       ...  handle of the operator's own bytes; length 0: none
 *       ...  only with a committer: its snapshot, as in commit.c
 *
 * Decoding trusts nothing: the digest finds accidents, and every count, range and order is checked on top, so that
 * bytes with a right digest and a wrong content are damage too, not undefined behaviour. A count is compared with the
 * bytes that are left before anything is allocated for it.
 */
#include "checkpoint/metadata.h"

#include "checkpoint/frame.h"

#include <inttypes.h>

enum { METADATA_VERSION = 1 };
static const char magic[] = "WEIRCHKP";
/* The least that one element takes in the file. */
enum { HANDLE_BYTES_MIN = 5, SUBTASK_BYTES_MIN = 26, OPERATOR_BYTES_MIN = 17 };

/* ---- release ---- */

static void handles_deinit(struct wr_memory *memory, struct wr_handle *handles, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    wr_handle_deinit(memory, &handles[i]);
  wr_free(memory, handles);
}

void wr_subtask_state_deinit(struct wr_memory *memory, struct wr_subtask_state *state) {
  handles_deinit(memory, state->keyed, state->keyed_count);
  handles_deinit(memory, state->splits, state->split_count);
  wr_handle_deinit(memory, &state->raw);
  if (state->has_commit) wr_commit_snapshot_deinit(memory, &state->commit);
  *state = (struct wr_subtask_state){0};
}

void wr_metadata_deinit(struct wr_memory *memory, struct wr_metadata *metadata) {
  for (uint32_t o = 0; o < metadata->operator_count; o++) {
    struct wr_operator_state *operator= & metadata->operators[o];
    for (uint32_t s = 0; s < operator->subtask_count; s++)
      wr_subtask_state_deinit(memory, &operator->subtasks[s]);
    wr_free(memory, operator->subtasks);
  }
  wr_free(memory, metadata->operators);
  *metadata = (struct wr_metadata){0};
}

/* ---- encode ---- */

static void put_handles(struct wr_bytes *out, const struct wr_handle *handles, uint32_t count) {
  wr_bytes_put_u32(out, count);
  for (uint32_t i = 0; i < count; i++)
    wr_handle_put(out, &handles[i]);
}

static void put_operator(struct wr_bytes *out, const struct wr_operator_state *operator) {
  wr_bytes_put_string(out, operator->uid);
  wr_bytes_put_u32(out, operator->parallelism);
  wr_bytes_put_u32(out, operator->ended_inputs);
  wr_bytes_put_u32(out, operator->subtask_count);
  for (uint32_t s = 0; s < operator->subtask_count; s++) {
    const struct wr_subtask_state *state = &operator->subtasks[s];
    WR_ASSERT(state->subtask < operator->parallelism &&(s == 0 || state[-1].subtask < state->subtask));
    wr_bytes_put_u32(out, state->subtask);
    wr_bytes_put_u32(out, state->range.first);
    wr_bytes_put_u32(out, state->range.end);
    wr_bytes_put_u8(out, state->has_commit);
    put_handles(out, state->keyed, state->keyed_count);
    put_handles(out, state->splits, state->split_count);
    wr_handle_put(out, &state->raw);
    if (state->has_commit) wr_commit_snapshot_put(out, &state->commit);
  }
}

enum weir_code wr_metadata_encode(struct wr_bytes *out, const struct wr_metadata *metadata, struct weir_error *error) {
  wr_frame_begin(out, magic, METADATA_VERSION);
  wr_bytes_put(out, metadata->incarnation, WR_INCARNATION_BYTES);
  wr_bytes_put_u64(out, metadata->start_number);
  wr_bytes_put_u64(out, metadata->checkpoint_id);
  wr_bytes_put_u64(out, (uint64_t)metadata->time_ms);
  wr_bytes_put_u8(out, (uint8_t)metadata->mode);
  wr_bytes_put_u8(out, metadata->bounded);
  wr_bytes_put_u32(out, metadata->max_parallelism);
  wr_bytes_put_string(out, metadata->job_name);
  wr_bytes_put_u32(out, metadata->operator_count);
  for (uint32_t o = 0; o < metadata->operator_count; o++) {
    const struct wr_operator_state *operator= & metadata->operators[o];
    WR_ASSERT(strcmp(o == 0 ? "" : operator[-1].uid, operator->uid) < 0);
    put_operator(out, operator);
  }
  WR_TRY(wr_frame_end(out, error));
  if (out->length > WR_METADATA_BYTES_MAX)
    return WR_FAIL(error, WEIR_LIMIT, "the metadata of checkpoint %" PRIu64 " has %zu bytes; the limit is %d",
                   metadata->checkpoint_id, out->length, WR_METADATA_BYTES_MAX);
  return WEIR_OK;
}

/* ---- decode ---- */

/* What the decoding functions share. */
struct decoder {
  struct wr_reader *reader;
  struct wr_memory *memory;
  const struct wr_metadata *metadata; /* its fixed part is decoded */
  const char *name;
  struct weir_error *error;
};

static enum weir_code nonsense(const struct decoder *decoder, const char *what) {
  if (decoder->reader->failed)
    return WR_FAIL(decoder->error, WEIR_CORRUPT, "%s is damaged: it ends within %s", decoder->name, what);
  return WR_FAIL(decoder->error, WEIR_CORRUPT, "%s is damaged: %s before byte %zu makes no sense", decoder->name, what,
                 decoder->reader->position);
}

/* `count` zeroed elements that take at least `least` bytes each in what is left. NULL for none, also without an error.
 */
static enum weir_code allocate(const struct decoder *decoder, uint32_t count, size_t least, size_t bytes,
                               const char *what, void **out_elements) {
  *out_elements = NULL;
  if (decoder->reader->failed || count > (decoder->reader->length - decoder->reader->position) / least)
    return nonsense(decoder, what);
  if (count == 0) return WEIR_OK;
  *out_elements = wr_alloc_zeroed(decoder->memory, count, bytes, WR_MEMORY_SNAPSHOT);
  if (*out_elements == NULL)
    return WR_FAIL(decoder->error, WEIR_NO_MEMORY, "out of memory while reading %s", decoder->name);
  return WEIR_OK;
}

static bool read_name(struct wr_reader *reader, char *out_name, size_t limit) {
  size_t length = 0;
  const uint8_t *bytes = wr_read_block(reader, &length);
  if (bytes == NULL || length == 0 || length > limit || memchr(bytes, 0, length) != NULL) return false;
  memcpy(out_name, bytes, length);
  out_name[length] = 0;
  return true;
}

static bool read_flag(struct wr_reader *reader, bool *out_flag) {
  uint8_t value = wr_read_u8(reader);
  *out_flag = value == 1;
  return value <= 1;
}

/* The error of a callee that does not know the file's name. */
static enum weir_code in_file(const struct decoder *decoder, enum weir_code code) {
  if (code == WEIR_CORRUPT) return wr_error_prefix(decoder->error, "%s is damaged", decoder->name);
  return code;
}

static enum weir_code read_handles(const struct decoder *decoder, const char *what, struct wr_handle **out_handles,
                                   uint32_t *out_count) {
  uint32_t count = wr_read_u32(decoder->reader);
  void *handles;
  WR_TRY(allocate(decoder, count, HANDLE_BYTES_MIN, sizeof(struct wr_handle), what, &handles));
  *out_handles = handles;
  *out_count = count;
  for (uint32_t i = 0; i < count; i++)
    WR_TRY(in_file(decoder, wr_handle_read(decoder->reader, decoder->memory, &(*out_handles)[i], decoder->error)));
  return WEIR_OK;
}

static enum weir_code read_subtask(const struct decoder *decoder, const struct wr_operator_state *operator,
                                   int64_t previous, struct wr_subtask_state *state) {
  struct wr_reader *reader = decoder->reader;
  state->subtask = wr_read_u32(reader);
  state->range.first = wr_read_u32(reader);
  state->range.end = wr_read_u32(reader);
  bool has_commit;
  bool good = read_flag(reader, &has_commit) && !reader->failed;
  if (!good || state->subtask >= operator->parallelism ||(int64_t) state->subtask <= previous ||
      state->range.first > state->range.end || state->range.end > decoder->metadata->max_parallelism)
    return nonsense(decoder, "a subtask");
  WR_TRY(read_handles(decoder, "keyed state", &state->keyed, &state->keyed_count));
  WR_TRY(read_handles(decoder, "the splits", &state->splits, &state->split_count));
  WR_TRY(in_file(decoder, wr_handle_read(reader, decoder->memory, &state->raw, decoder->error)));
  if (!has_commit) return WEIR_OK;
  WR_TRY(in_file(decoder, wr_commit_snapshot_read(reader, decoder->memory, &state->commit, decoder->error)));
  state->has_commit = true;
  return WEIR_OK;
}

static enum weir_code read_operator(const struct decoder *decoder, const char *previous_uid,
                                    struct wr_operator_state *operator) {
  struct wr_reader *reader = decoder->reader;
  bool good = read_name(reader, operator->uid, WR_UID_BYTES_MAX) && strcmp(previous_uid, operator->uid) < 0;
  if (!good) return nonsense(decoder, "an operator's uid");
  operator->parallelism = wr_read_u32(reader);
  operator->ended_inputs = wr_read_u32(reader);
  uint32_t count = wr_read_u32(reader);
  if (operator->parallelism == 0 || operator->parallelism> WR_PARALLELISM_MAX || count> operator->parallelism)
    return nonsense(decoder, "an operator");
  void *subtasks;
  WR_TRY(allocate(decoder, count, SUBTASK_BYTES_MIN, sizeof(struct wr_subtask_state), "an operator", &subtasks));
  operator->subtasks = subtasks;
  operator->subtask_count = count;
  int64_t previous = -1;
  for (uint32_t s = 0; s < count; s++) {
    WR_TRY(read_subtask(decoder, operator, previous, &operator->subtasks[s]));
    previous = operator->subtasks[s].subtask;
  }
  return WEIR_OK;
}

static enum weir_code read_fixed(const struct decoder *decoder, struct wr_metadata *metadata) {
  struct wr_reader *reader = decoder->reader;
  const uint8_t *incarnation = wr_read(reader, WR_INCARNATION_BYTES);
  if (incarnation != NULL) memcpy(metadata->incarnation, incarnation, WR_INCARNATION_BYTES);
  metadata->start_number = wr_read_u64(reader);
  metadata->checkpoint_id = wr_read_u64(reader);
  metadata->time_ms = (int64_t)wr_read_u64(reader);
  uint8_t mode = wr_read_u8(reader);
  metadata->mode = mode == 0 ? WR_EXACTLY_ONCE : WR_AT_LEAST_ONCE;
  bool good = read_flag(reader, &metadata->bounded) && mode <= 1 && metadata->checkpoint_id != 0;
  metadata->max_parallelism = wr_read_u32(reader);
  good = good && metadata->max_parallelism >= 1 && metadata->max_parallelism <= WR_KEY_GROUPS_MAX;
  if (!good || reader->failed) return nonsense(decoder, "the beginning");
  return read_name(reader, metadata->job_name, WR_NAME_BYTES_MAX) ? WEIR_OK : nonsense(decoder, "the job's name");
}

static enum weir_code read_body(const struct decoder *decoder, struct wr_metadata *metadata) {
  WR_TRY(read_fixed(decoder, metadata));
  uint32_t count = wr_read_u32(decoder->reader);
  void *operators;
  WR_TRY(allocate(decoder, count, OPERATOR_BYTES_MIN, sizeof(struct wr_operator_state), "the operators", &operators));
  metadata->operators = operators;
  metadata->operator_count = count;
  const char *previous = "";
  for (uint32_t o = 0; o < count; o++) {
    WR_TRY(read_operator(decoder, previous, &metadata->operators[o]));
    previous = metadata->operators[o].uid;
  }
  return decoder->reader->position == decoder->reader->length ? WEIR_OK : nonsense(decoder, "its end");
}

enum weir_code wr_metadata_decode(const uint8_t *data, size_t length, const char *name, struct wr_memory *memory,
                                  struct wr_metadata *out_metadata, struct weir_error *error) {
  struct weir_error unwanted;
  struct wr_reader reader;
  *out_metadata = (struct wr_metadata){0};
  WR_TRY(wr_frame_open(data, length, magic, METADATA_VERSION, name, "a checkpoint", &reader, error));
  struct decoder decoder = {.reader = &reader,
                            .memory = memory,
                            .metadata = out_metadata,
                            .name = name,
                            .error = error != NULL ? error : &unwanted};
  enum weir_code code = read_body(&decoder, out_metadata);
  if (code != WEIR_OK) wr_metadata_deinit(memory, out_metadata);
  return code;
}

/* ---- use ---- */

const struct wr_operator_state *wr_metadata_find(const struct wr_metadata *metadata, const char *uid) {
  for (uint32_t o = 0; o < metadata->operator_count; o++)
    if (strcmp(metadata->operators[o].uid, uid) == 0) return &metadata->operators[o];
  return NULL;
}

/* Whom to call for each file, and with what. */
struct visitor {
  void (*each)(void *argument, const struct wr_handle *handle);
  void *argument;
};

static void visit(const struct visitor *visitor, const struct wr_handle *handles, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (handles[i].file[0] != 0) visitor->each(visitor->argument, &handles[i]);
}

static void visit_subtask(const struct visitor *visitor, const struct wr_subtask_state *state) {
  visit(visitor, state->keyed, state->keyed_count);
  visit(visitor, state->splits, state->split_count);
  visit(visitor, &state->raw, 1);
  if (!state->has_commit) return;
  for (uint32_t e = 0; e < state->commit.epoch_count; e++) {
    const struct wr_epoch *epoch = &state->commit.epochs[e];
    for (uint32_t p = 0; p < epoch->part_count; p++)
      visit(visitor, &epoch->parts[p].handle, 1);
  }
}

void wr_metadata_each_file(const struct wr_metadata *metadata,
                           void (*each)(void *argument, const struct wr_handle *handle), void *argument) {
  struct visitor visitor = {each, argument};
  for (uint32_t o = 0; o < metadata->operator_count; o++)
    for (uint32_t s = 0; s < metadata->operators[o].subtask_count; s++)
      visit_subtask(&visitor, &metadata->operators[o].subtasks[s]);
}
