/* connectors/files/file_reader_slots.c: which files are read now. See file_reader.h.
 *
 * A file is read in a slot: two buffers, one being turned into rows while the other is read into. There are few slots,
 * so memory and open files are bounded whatever the number of files; files that have more wait in a queue, and give
 * their slot to the next after a turn. A slot keeps its file open after the file has left, for it comes back most
 * often.
 *
 * What always holds: at most one call per slot; a file is in at most one slot; a slot's text begins, at `at`, at the
 * byte split.position (or, in a record that is skipped, skipped_bytes behind it).
 */
#include "connectors/files/file_reader.h"

static const uint64_t TURN_BYTES = 8ull * 1024 * 1024;
static const uint64_t LOOK_DELAY_FIRST_NS = 10ull * 1000 * 1000, LOOK_DELAY_FEW_NS = 25ull * 1000 * 1000,
                      LOOK_DELAY_PER_FILE_NS = 200ull * 1000, LOOK_DELAY_WATCHED_NS = 250ull * 1000 * 1000;

/* ---- the queue ---- */

void wr_reader_queue(struct wr_files_reader *reader, struct wr_reader_file *file) {
  file->state = WR_FILE_QUEUED;
  file->next_queued = NULL;
  if (reader->last_queued != NULL)
    reader->last_queued->next_queued = file;
  else
    reader->first_queued = file;
  reader->last_queued = file;
}

static struct wr_reader_file *unqueue(struct wr_files_reader *reader) {
  struct wr_reader_file *file = reader->first_queued;
  reader->first_queued = file->next_queued;
  if (reader->first_queued == NULL) reader->last_queued = NULL;
  return file;
}

/* ---- tails ---- */

void wr_reader_roll(uint8_t *tail, uint32_t *count, const uint8_t *bytes, size_t length) {
  if (length >= WR_FILE_DIGEST_BYTES) {
    memcpy(tail, bytes + length - WR_FILE_DIGEST_BYTES, WR_FILE_DIGEST_BYTES);
    *count = WR_FILE_DIGEST_BYTES;
    return;
  }
  size_t kept = *count;
  if (kept > WR_FILE_DIGEST_BYTES - length) kept = WR_FILE_DIGEST_BYTES - length;
  memmove(tail, tail + (*count - kept), kept);
  if (length > 0) memcpy(tail + kept, bytes, length);
  *count = (uint32_t)(kept + length);
}

/* What was taken of the text goes into the file's tail. */
static void roll_taken(struct wr_reader_slot *slot) {
  struct wr_reader_file *file = slot->file;
  if (slot->text == NULL || slot->from == slot->at) return;
  if (file->skipped_bytes > 0)
    wr_reader_roll(file->skipped_tail, &file->skipped_tail_count, slot->text + slot->from, slot->at - slot->from);
  else
    wr_reader_roll(file->tail, &file->tail_count, slot->text + slot->from, slot->at - slot->from);
  slot->from = slot->at;
}

static const struct wr_reader_slot *slot_of(const struct wr_files_reader *reader, const struct wr_reader_file *file) {
  for (unsigned i = 0; i < WR_READER_SLOTS; i++)
    if (reader->slots[i].file == file) return &reader->slots[i];
  return NULL;
}

struct wr_file_split wr_reader_split(const struct wr_files_reader *reader, const struct wr_reader_file *file) {
  struct wr_file_split split = file->split;
  if (!file->was_opened) return split;
  uint8_t tail[WR_FILE_DIGEST_BYTES];
  uint32_t count = file->tail_count;
  memcpy(tail, file->tail, count);
  const struct wr_reader_slot *slot = slot_of(reader, file);
  if (slot != NULL && slot->text != NULL && file->skipped_bytes == 0)
    wr_reader_roll(tail, &count, slot->text + slot->from, slot->at - slot->from);
  WR_ASSERT(count == wr_file_split_tail_count(&split));
  split.tail = wr_digest_of(tail, count);
  return split;
}

/* ---- slots ---- */

static void drop_text(struct wr_files_reader *reader, struct wr_reader_slot *slot) {
  wr_free(reader->op.context->memory, slot->joined);
  slot->joined = slot->text = NULL;
  slot->from = slot->at = slot->end = 0;
}

static void drop_skipped(struct wr_files_reader *reader, struct wr_reader_file *file) {
  wr_free(reader->op.context->memory, file->skipped_tail);
  wr_free(reader->op.context->memory, file->skipped_start);
  file->skipped_tail = NULL;
  file->skipped_start = NULL;
  file->skipped_bytes = 0;
}

void wr_reader_release(struct wr_files_reader *reader, struct wr_reader_slot *slot, enum wr_file_state state) {
  struct wr_reader_file *file = slot->file;
  WR_ASSERT(!slot->reading && !slot->ready);
  roll_taken(slot);
  drop_skipped(reader, file); /* it is begun again at its first byte */
  drop_text(reader, slot);
  file->size_seen = slot->read_offset;
  slot->file = NULL;
  if (state == WR_FILE_QUEUED)
    wr_reader_queue(reader, file);
  else
    file->state = state;
  if (state == WR_FILE_ENDED) reader->ended_count++;
}

/* A slot for `file`: the one that has it open, else a free one, of those best one that has no file open. */
static struct wr_reader_slot *find_slot(struct wr_files_reader *reader, const struct wr_reader_file *file) {
  struct wr_reader_slot *found = NULL;
  for (unsigned i = 0; i < WR_READER_SLOTS; i++) {
    struct wr_reader_slot *slot = &reader->slots[i];
    if (slot->file != NULL || slot->reading) continue;
    if (slot->file_of == file) return slot;
    if (found == NULL || (found->file_of != NULL && slot->file_of == NULL)) found = slot;
  }
  return found;
}

static void submit_read(struct wr_files_reader *reader, struct wr_reader_slot *slot) {
  struct wr_file_input *input = &slot->input;
  struct wr_reader_file *file = slot->file;
  input->open = input->file == NULL || slot->file_of != file || file->reopen;
  file->reopen = false;
  slot->file_of = file;
  input->path = file->path;
  input->split = wr_reader_split(reader, file);
  input->offset = slot->read_offset;
  input->buffer = slot->buffers[1 - slot->current];
  slot->reading = true;
  wr_call_submit(reader->op.context->seams->calls, &input->call);
}

static enum weir_code start(struct wr_files_reader *reader, struct wr_reader_slot *slot, struct weir_error *error) {
  for (unsigned i = 0; i < 2; i++) {
    if (slot->buffers[i] != NULL) continue;
    slot->buffers[i] =
        wr_alloc(reader->op.context->memory, WR_INPUT_HEADROOM_BYTES + WR_INPUT_PIECE_BYTES, WR_MEMORY_SOURCE);
    if (slot->buffers[i] == NULL)
      return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for reading %s", reader->first_queued->path);
  }
  slot->file = unqueue(reader);
  slot->file->state = WR_FILE_ACTIVE;
  slot->at_end = false;
  slot->turn_bytes = 0;
  slot->read_offset = slot->file->split.position;
  submit_read(reader, slot);
  return WEIR_OK;
}

static enum weir_code take_answer(struct wr_reader_slot *slot, struct weir_error *error) {
  struct wr_file_input *input = &slot->input;
  struct wr_reader_file *file = slot->file;
  slot->reading = false;
  if (input->code != WEIR_OK) {
    *error = input->error;
    return input->code;
  }
  file->split.device = input->split.device;
  file->split.inode = input->split.inode;
  file->split.head_count = input->split.head_count;
  file->split.head = input->split.head;
  if (input->open && !file->was_opened) {
    file->tail_count = wr_file_split_tail_count(&file->split);
    memcpy(file->tail, input->tail, file->tail_count);
    file->was_opened = true;
  }
  slot->read_offset += input->length;
  slot->turn_bytes += input->length;
  slot->ready = true;
  return WEIR_OK;
}

/* Read ahead? Not past the end, not past a stop unless somebody asks, not past the turn when others wait. */
static bool wants_ahead(const struct wr_files_reader *reader, const struct wr_reader_slot *slot) {
  if (slot->reading || slot->ready || slot->at_end) return false;
  if (slot->file->split.has_stop && slot->read_offset >= slot->file->split.stop) return false;
  return slot->turn_bytes < TURN_BYTES || reader->first_queued == NULL;
}

enum weir_code wr_reader_step_slots(struct wr_files_reader *reader, bool *out_made, struct weir_error *error) {
  for (unsigned i = 0; i < WR_READER_SLOTS; i++) {
    struct wr_reader_slot *slot = &reader->slots[i];
    if (!slot->reading || !wr_call_take_done(&slot->input.call)) continue;
    WR_TRY(take_answer(slot, error));
    *out_made = true;
  }
  while (reader->first_queued != NULL) {
    struct wr_reader_slot *slot = find_slot(reader, reader->first_queued);
    if (slot == NULL) break;
    WR_TRY(start(reader, slot, error));
    *out_made = true;
  }
  for (unsigned i = 0; i < WR_READER_SLOTS; i++)
    if (reader->slots[i].file != NULL && reader->slots[i].text != NULL && wants_ahead(reader, &reader->slots[i]))
      submit_read(reader, &reader->slots[i]);
  return WEIR_OK;
}

/* The next piece becomes the text, behind what is left of the text now. */
static enum weir_code join_pieces(struct wr_files_reader *reader, struct wr_reader_slot *slot,
                                  struct weir_error *error) {
  size_t rest = slot->end - slot->at, length = slot->input.length;
  uint8_t *piece = slot->buffers[1 - slot->current];
  roll_taken(slot);
  const uint8_t *left = rest == 0 ? NULL : slot->text + slot->at;
  if (rest <= WR_INPUT_HEADROOM_BYTES) {
    size_t begin = WR_INPUT_HEADROOM_BYTES - rest;
    if (rest > 0) memcpy(piece + begin, left, rest);
    drop_text(reader, slot);
    slot->text = piece;
    slot->from = slot->at = begin;
    slot->end = WR_INPUT_HEADROOM_BYTES + length;
    slot->current = 1 - slot->current;
  } else {
    uint8_t *joined = wr_alloc(reader->op.context->memory, rest + length, WR_MEMORY_SOURCE);
    if (joined == NULL)
      return WR_FAIL(error, WEIR_NO_MEMORY, "%s: out of memory for record %llu, which has more than %zu bytes",
                     slot->file->path, (unsigned long long)slot->file->split.record, rest);
    memcpy(joined, left, rest);
    if (length > 0) memcpy(joined + rest, piece + WR_INPUT_HEADROOM_BYTES, length);
    drop_text(reader, slot);
    slot->joined = slot->text = joined;
    slot->end = rest + length;
  }
  slot->ready = false;
  slot->at_end = slot->input.at_end;
  return WEIR_OK;
}

enum weir_code wr_reader_next_text(struct wr_files_reader *reader, struct wr_reader_slot *slot, bool *out_more,
                                   struct weir_error *error) {
  *out_more = false;
  if (slot->ready) {
    *out_more = true;
    return join_pieces(reader, slot, error);
  }
  if (slot->reading) return WEIR_OK;
  if (slot->at_end) {
    wr_reader_release(reader, slot, WR_FILE_LOOKING);
    return WEIR_OK;
  }
  bool turn_is_over = slot->turn_bytes >= TURN_BYTES && reader->first_queued != NULL;
  bool nothing_left = slot->text != NULL && slot->at == slot->end && slot->file->skipped_bytes == 0;
  if (turn_is_over && nothing_left)
    wr_reader_release(reader, slot, WR_FILE_QUEUED);
  else
    submit_read(reader, slot);
  return WEIR_OK;
}

bool wr_reader_is_dry(const struct wr_files_reader *reader) {
  if (reader->first_queued != NULL) return false;
  for (unsigned i = 0; i < WR_READER_SLOTS; i++)
    if (reader->slots[i].file != NULL) return false;
  return true;
}

/* ---- growth ---- */

static void run_look(struct wr_call *call) {
  struct wr_files_reader *reader = (struct wr_files_reader *)((char *)call - offsetof(struct wr_files_reader, look));
  struct wr_files *files = reader->op.context->seams->files;
  struct wr_watches *watches = reader->op.context->seams->watches;
  reader->is_watched = watches != NULL && watches->arm(watches, &reader->watch, reader->config->folder);
  for (uint32_t i = 0; i < reader->look_count; i++) {
    struct wr_reader_file *file = reader->look_files[i];
    file->look_code = files->stat(files, file->path, &file->look_info, &reader->look_error);
    if (file->look_code != WEIR_OK && file->look_code != WEIR_NOT_FOUND) return;
  }
}

void wr_reader_init_look(struct wr_files_reader *reader) {
  reader->look.run = run_look;
  reader->look.waker = reader->op.context->waker;
  reader->watch.waker = reader->op.context->waker;
}

/* Another inode under the name. The enumerator judges it first, for it can tell a file that was renamed from one that
 * was replaced; only what has stood two scans is opened, and compared again. */
static bool may_reopen(struct wr_files_reader *reader, struct wr_reader_file *file) {
  uint64_t now_ns = reader->op.context->now_ns, scan_ms = reader->config->scan_interval_ms;
  if (file->other_since_ns == 0) file->other_since_ns = now_ns;
  return now_ns - file->other_since_ns >= 2 * (scan_ms == 0 ? WR_FILES_SCAN_INTERVAL_MS : scan_ms) * 1000000;
}

/* What the look found about one file. One that is missing is the enumerator's to judge. */
static enum weir_code judge_look(struct wr_files_reader *reader, struct wr_reader_file *file, bool *out_grown,
                                 struct weir_error *error) {
  if (file->look_code == WEIR_NOT_FOUND) return WEIR_OK;
  if (file->look_code != WEIR_OK) {
    *error = reader->look_error;
    return file->look_code;
  }
  const struct wr_file_info *info = &file->look_info;
  if (info->device != file->split.device || info->inode != file->split.inode) {
    if (!may_reopen(reader, file)) return WEIR_OK;
    file->reopen = true;
    file->other_since_ns = 0;
    wr_reader_queue(reader, file);
    *out_grown = true;
    return WEIR_OK;
  }
  file->other_since_ns = 0;
  if (info->size_bytes < file->size_seen)
    return wr_file_split_shrank(file->path, info->size_bytes, file->size_seen, error);
  if (info->size_bytes == file->size_seen) return WEIR_OK;
  wr_reader_queue(reader, file);
  *out_grown = true;
  return WEIR_OK;
}

/* How long nobody looks at the most. A look costs a microsecond or two per file, and some hundred for waking two
 * threads: few files are looked at more often, unless the folder is watched. */
static uint64_t look_limit_ns(const struct wr_files_reader *reader) {
  uint64_t limit_ns = reader->config->poll_interval_ms * 1000000;
  if (limit_ns == 0 && reader->is_watched) return LOOK_DELAY_WATCHED_NS;
  if (limit_ns == 0) limit_ns = WR_FILES_POLL_INTERVAL_MS * 1000000ull;
  uint64_t cheap_ns = reader->look_count * LOOK_DELAY_PER_FILE_NS;
  if (cheap_ns < LOOK_DELAY_FEW_NS) cheap_ns = LOOK_DELAY_FEW_NS;
  return cheap_ns < limit_ns ? cheap_ns : limit_ns;
}

static enum weir_code take_look(struct wr_files_reader *reader, bool *out_made, struct weir_error *error) {
  bool grown = false;
  reader->look_running = false;
  for (uint32_t i = 0; i < reader->look_count; i++)
    WR_TRY(judge_look(reader, reader->look_files[i], &grown, error));
  uint64_t limit_ns = look_limit_ns(reader);
  reader->look_delay_ns = grown || reader->look_delay_ns == 0 ? LOOK_DELAY_FIRST_NS : reader->look_delay_ns * 2;
  if (reader->look_delay_ns > limit_ns) reader->look_delay_ns = limit_ns;
  reader->looked_at_ns = reader->op.context->now_ns;
  reader->look_at_ns = reader->looked_at_ns + reader->look_delay_ns;
  *out_made = *out_made || grown;
  return WEIR_OK;
}

/* Lists the files that are looked at. No look runs. */
static enum weir_code list_looked(struct wr_files_reader *reader, struct weir_error *error) {
  if (reader->look_capacity < reader->file_count) {
    void *larger = wr_resize(reader->op.context->memory, reader->look_files,
                             reader->file_capacity * sizeof *reader->look_files, WR_MEMORY_SOURCE);
    if (larger == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u files", reader->file_count);
    reader->look_files = larger;
    reader->look_capacity = reader->file_capacity;
  }
  reader->look_count = 0;
  for (uint32_t i = 0; i < reader->file_count; i++)
    if (reader->files[i]->state == WR_FILE_LOOKING) reader->look_files[reader->look_count++] = reader->files[i];
  return WEIR_OK;
}

/* When to look again: when its time has come, or, in a folder that was touched, as soon as the last look lies a moment
 * back. */
static uint64_t next_look_ns(const struct wr_files_reader *reader) {
  uint64_t soon_ns = reader->looked_at_ns + LOOK_DELAY_FIRST_NS;
  bool is_touched = atomic_load_explicit(&reader->watch.is_touched, memory_order_acquire);
  return is_touched && soon_ns < reader->look_at_ns ? soon_ns : reader->look_at_ns;
}

enum weir_code wr_reader_look(struct wr_files_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                              struct weir_error *error) {
  if (reader->look_running) {
    if (!wr_call_take_done(&reader->look)) return WEIR_OK;
    WR_TRY(take_look(reader, out_made, error));
  }
  WR_TRY(list_looked(reader, error));
  if (reader->look_count == 0) return WEIR_OK;
  uint64_t next_ns = next_look_ns(reader);
  if (reader->op.context->now_ns < next_ns) {
    if (*wake_at_ns > next_ns) *wake_at_ns = next_ns;
    return WEIR_OK;
  }
  atomic_store_explicit(&reader->watch.is_touched, false, memory_order_relaxed);
  for (uint32_t i = 0; i < reader->look_count; i++)
    reader->look_files[i]->look_code = WEIR_NOT_FOUND; /* not asked, after an error */
  reader->look_running = true;
  wr_call_submit(reader->op.context->seams->calls, &reader->look);
  return WEIR_OK;
}
