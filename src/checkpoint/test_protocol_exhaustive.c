/* The three pure machines, played through in every order of events within small scopes, and beyond those at random.
 *
 * Each machine lives in an arena, a run of bytes at a fixed place: saving and restoring those bytes is an exact copy of
 * the machine, so a depth-first walk goes through all orders and takes each step back. Beside each machine runs a model
 * that knows only what was fed in; it says what the machine may and must answer. A violation prints the events that led
 * to it and ends the test.
 */
#include "checkpoint/barriers.h"
#include "checkpoint/commit.h"
#include "checkpoint/coordinator.h"

#include "base/random.h"
#include "base/test.h"

#include <stdarg.h>

/* ---- the arena ---- */

enum { ARENA_BYTES = 64 * 1024, DEPTH_MAX = 40, PATH_MAX_BYTES = 4096 };

struct arena {
  struct wr_memory memory;
  size_t used;
  _Alignas(16) uint8_t bytes[ARENA_BYTES];
};
static struct arena arena;

static void *arena_allocate(struct wr_memory *memory, size_t size, enum wr_memory_tag tag) {
  (void)memory, (void)tag;
  size_t block = (size + 31) / 16 * 16; /* 16 bytes for the size, then whole sixteens */
  if (block > ARENA_BYTES - arena.used) abort();
  uint8_t *start = arena.bytes + arena.used;
  memcpy(start, &size, sizeof size);
  arena.used += block;
  return start + 16;
}

static void arena_release(struct wr_memory *memory, void *block) {
  (void)memory;
  size_t size;
  memcpy(&size, (uint8_t *)block - 16, sizeof size);
  memset(block, 0xee, size); /* so that whoever still uses it is seen */
}

static void *arena_resize(struct wr_memory *memory, void *block, size_t size) {
  size_t before;
  memcpy(&before, (uint8_t *)block - 16, sizeof before);
  void *moved = arena_allocate(memory, size, WR_MEMORY_ENGINE);
  memcpy(moved, block, before < size ? before : size);
  arena_release(memory, block);
  return moved;
}

static void arena_reset(void) {
  arena.memory = (struct wr_memory){.allocate = arena_allocate, .resize = arena_resize, .release = arena_release};
  arena.used = 0;
}

/* A copy of the arena for each depth of the walk. */
static struct {
  size_t used;
  uint8_t bytes[ARENA_BYTES];
} saved[DEPTH_MAX];

static void save(uint32_t depth) {
  if (depth >= DEPTH_MAX) abort();
  saved[depth].used = arena.used;
  memcpy(saved[depth].bytes, arena.bytes, arena.used);
}

static void restore(uint32_t depth) {
  arena.used = saved[depth].used;
  memcpy(arena.bytes, saved[depth].bytes, arena.used);
}

/* The events so far, as words, for the message of a violation. */
static char path[PATH_MAX_BYTES];
static size_t path_length;

static size_t path_add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static size_t path_add(const char *format, ...) {
  size_t before = path_length;
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(path + path_length, sizeof path - path_length, format, arguments);
  va_end(arguments);
  if (length < 0 || (size_t)length >= sizeof path - path_length) abort();
  path_length += (size_t)length;
  return before;
}

static void path_cut(size_t length) {
  path_length = length;
  path[length] = 0;
}

/* A rule was broken: ends the walk (every level looks at test_failed). */
#define VIOLATION(...)                                                                                                 \
  do {                                                                                                                 \
    if (!test_failed) {                                                                                                \
      fprintf(stderr, "after %s:\n", path);                                                                            \
      TEST_FAIL(__VA_ARGS__);                                                                                          \
    }                                                                                                                  \
    return;                                                                                                            \
  } while (0)
#define MUST(condition, ...)                                                                                           \
  do {                                                                                                                 \
    if (!(condition)) VIOLATION(__VA_ARGS__);                                                                          \
  } while (0)

static void print_count(const char *what, uint64_t interleavings, uint64_t events) {
  printf("%s: %" PRIu64 " interleavings, %" PRIu64 " events\n", what, interleavings, events);
}

/* ---- barriers ----
 *
 * Each channel brings a script: D data, 1 2 barriers, C K cancel markers of 1 and 2, E end of input. A last, pretended
 * channel is the coordinator: it aborts 1 or 2 at any time, or nothing. */

enum { CHANNELS_MAX = 3, IDS = 3 /* 1 and 2 */, SCRIPT_MAX = 6, SCRIPTS_MAX = 2000 };

struct script {
  char items[SCRIPT_MAX + 1];
  uint32_t length;
};

struct barrier_model {
  uint8_t position[CHANNELS_MAX + 1];
  uint8_t reached[CHANNELS_MAX];      /* the highest id that the channel brought, as a barrier or as a cancel marker */
  uint8_t brought[IDS];               /* bit per channel: its barrier came, when it was not over */
  bool begun[IDS];                    /* some barrier of it came when it was not over */
  bool aborted[IDS];                  /* by the coordinator, before it was begun */
  bool snapshot[IDS], cancelled[IDS]; /* what the machine decided */
};

static struct {
  struct wr_barriers *barriers;
  enum wr_mode mode;
  uint32_t channels;
  uint8_t aligned[CHANNELS_MAX];
  const struct script *scripts[CHANNELS_MAX + 1];
  struct barrier_model model;
  uint64_t interleavings, events, snapshots, cancels;
} bar;

/* It can not be snapshotted any more, or was. */
static bool is_over(const struct barrier_model *model, uint32_t id) {
  if (model->snapshot[id] || model->cancelled[id]) return true;
  for (uint32_t later = id + 1; later < IDS; later++)
    if (model->snapshot[later]) return true;
  for (uint32_t c = 0; c < bar.channels; c++)
    if (model->reached[c] > id && (model->brought[id] >> c & 1) == 0) return true;
  return false;
}

/* Must the channel wait, where it is held at all? */
static bool waits(const struct barrier_model *model, uint32_t channel) {
  for (uint32_t id = 1; id < IDS; id++)
    if ((model->brought[id] >> channel & 1) != 0 && !is_over(model, id)) return true;
  return false;
}

/* Exactly the channels that must wait are held. */
static void check_held(void) {
  for (uint32_t c = 0; c < bar.channels; c++) {
    bool must_wait = waits(&bar.model, c);
    bool aligned = bar.mode == WR_EXACTLY_ONCE || bar.aligned[c] != 0;
    MUST(wr_barriers_is_held(bar.barriers, c) == (aligned && must_wait), "channel %u: held is %d", c,
         wr_barriers_is_held(bar.barriers, c));
    MUST(wr_barriers_may_end(bar.barriers, c) == !must_wait, "channel %u: may_end is %d", c,
         wr_barriers_may_end(bar.barriers, c));
  }
  bool aligning = false;
  for (uint32_t id = 1; id < IDS; id++)
    aligning = aligning || (bar.model.brought[id] != 0 && !is_over(&bar.model, id));
  MUST(wr_barriers_is_aligning(bar.barriers) == aligning, "is_aligning is %d", !aligning);
}

/* Takes all decisions of one event; what they may be is checked against the model as it was before and is after it. */
static void take_decisions(struct wr_barrier_decision decision, const struct barrier_model *before,
                           uint32_t cancel_up_to, uint32_t told_of) {
  uint64_t last = 0;
  const uint8_t all = (uint8_t)((1u << bar.channels) - 1);
  for (; decision.kind != WR_BARRIER_NOTHING; decision = wr_barriers_more(bar.barriers)) {
    uint32_t id = (uint32_t)decision.id;
    MUST(id >= 1 && id < IDS && id > last, "a decision for %u comes after one for %" PRIu64, id, last);
    last = id;
    MUST(!is_over(before, id), "%u is decided once more", id);
    if (decision.kind == WR_BARRIER_SNAPSHOT) {
      MUST(bar.model.brought[id] == all && !before->aborted[id], "snapshot %u, but not all channels brought it", id);
      for (uint32_t c = 0; c < bar.channels; c++)
        MUST(wr_barriers_is_held(bar.barriers, c) && !wr_barriers_may_end(bar.barriers, c),
             "channel %u is not held during the snapshot", c);
      wr_barriers_snapshot_taken(bar.barriers, id);
      bar.model.snapshot[id] = true;
      bar.snapshots++;
      break;
    }
    bool passed = before->begun[id] && is_over(&bar.model, id);
    MUST(passed || id <= cancel_up_to || id == told_of, "%u is cancelled for no reason", id);
    bar.model.cancelled[id] = true;
    bar.cancels++;
  }
  MUST(wr_barriers_more(bar.barriers).kind == WR_BARRIER_NOTHING, "something is left to decide");
  for (uint32_t id = 1; id < IDS; id++) {
    bool decided = bar.model.snapshot[id] || bar.model.cancelled[id] || (id + 1 < IDS && bar.model.snapshot[id + 1]);
    MUST(bar.model.snapshot[id] || bar.model.brought[id] != all || decided, "all brought %u: no snapshot", id);
    MUST(!bar.model.begun[id] || !is_over(&bar.model, id) || decided, "%u is over, and nobody was told", id);
    MUST(id > cancel_up_to || is_over(before, id) || decided || (!before->begun[id] && id != cancel_up_to),
         "%u was not cancelled", id);
    MUST(id != told_of || decided, "the abort of %u was not passed on", id);
  }
}

static void read_barrier(uint32_t channel, uint32_t id) {
  struct barrier_model before = bar.model;
  bool over = is_over(&before, id);
  bar.model.reached[channel] = (uint8_t)id;
  uint32_t told_of = 0;
  if (!over && before.aborted[id]) {
    told_of = id;
  } else if (!over) {
    bar.model.begun[id] = true;
    bar.model.brought[id] |= (uint8_t)(1u << channel);
  }
  take_decisions(wr_barriers_barrier(bar.barriers, channel, id), &before, 0, told_of);
}

static void read_cancel(uint32_t channel, uint32_t id) {
  struct barrier_model before = bar.model;
  bar.model.reached[channel] = (uint8_t)id;
  uint32_t up_to = is_over(&before, id) ? 0 : id;
  /* The marker does not count as bringing it, and cancels it: over by decision, not by being passed. */
  take_decisions(wr_barriers_cancel(bar.barriers, channel, id), &before, up_to, 0);
}

static void tell_aborted(uint32_t id) {
  struct barrier_model before = bar.model;
  uint32_t told_of = 0;
  if (before.begun[id] && !is_over(&before, id))
    told_of = id;
  else if (!is_over(&before, id))
    bar.model.aborted[id] = true;
  take_decisions(wr_barriers_aborted(bar.barriers, id), &before, 0, told_of);
}

/* Reads the next item of a channel (or of the coordinator). */
static void read_item(uint32_t channel) {
  char item = bar.scripts[channel]->items[bar.model.position[channel]++];
  bar.events++;
  if (channel == bar.channels) {
    tell_aborted((uint32_t)(item - '0'));
  } else if (item == '1' || item == '2') {
    read_barrier(channel, (uint32_t)(item - '0'));
  } else if (item == 'C' || item == 'K') {
    read_cancel(channel, item == 'C' ? 1 : 2);
  } else {
    bool must_wait = waits(&bar.model, channel);
    bool aligned = bar.mode == WR_EXACTLY_ONCE || bar.aligned[channel] != 0;
    MUST(!must_wait || (item == 'D' && !aligned), "%c of channel %u overtakes a snapshot", item, channel);
  }
  if (!test_failed) check_held();
}

static bool has_item(uint32_t channel) {
  return bar.model.position[channel] < bar.scripts[channel]->length;
}

static bool can_read(uint32_t channel) {
  if (!has_item(channel)) return false;
  if (channel == bar.channels) return true;
  if (wr_barriers_is_held(bar.barriers, channel)) return false;
  char item = bar.scripts[channel]->items[bar.model.position[channel]];
  return item != 'E' || wr_barriers_may_end(bar.barriers, channel);
}

/* Nothing can be read. What is left waits for an id that some channel will not bring, because its script is at its end;
 * once the coordinator aborts that, all goes on to the end. */
static void check_stuck(uint32_t depth) {
  bool pending = false, missing = false;
  for (uint32_t id = 1; id < IDS; id++) {
    if (bar.model.brought[id] == 0 || is_over(&bar.model, id)) continue;
    pending = true;
    for (uint32_t c = 0; c < bar.channels; c++)
      missing = missing || ((bar.model.brought[id] >> c & 1) == 0 && !has_item(c));
  }
  MUST(missing || !pending, "channels wait for each other");
  save(depth);
  struct barrier_model before = bar.model;
  size_t length = path_add(" |");
  for (uint32_t round = 0; round < IDS && !test_failed; round++) {
    if (round > 0 && bar.model.brought[round] != 0 && !is_over(&bar.model, round)) tell_aborted(round);
    for (uint32_t c = 0; c < bar.channels && !test_failed;) {
      if (can_read(c)) {
        read_item(c);
        c = 0;
      } else {
        c++;
      }
    }
  }
  for (uint32_t c = 0; c < bar.channels; c++)
    MUST(!has_item(c), "channel %u waits for ever", c);
  path_cut(length);
  bar.model = before;
  restore(depth);
}

static void walk_barriers(uint32_t depth) {
  bool moved = false;
  for (uint32_t c = 0; c <= bar.channels && !test_failed; c++) {
    if (!can_read(c)) continue;
    moved = true;
    save(depth);
    struct barrier_model before = bar.model;
    size_t length =
        path_add(" %c%c", c == bar.channels ? 'a' : (char)('0' + c), bar.scripts[c]->items[bar.model.position[c]]);
    read_item(c);
    if (!test_failed) walk_barriers(depth + 1);
    path_cut(length);
    bar.model = before;
    restore(depth);
  }
  if (moved || test_failed) return;
  bar.interleavings++;
  check_stuck(depth);
}

/* All scripts of at most `length` items over `alphabet`: each item at most once, ids never descending, no data after
 * the end. */
static uint32_t make_scripts(struct script *scripts, uint32_t count, const char *alphabet, uint32_t length,
                             struct script present) {
  if (count == SCRIPTS_MAX) abort();
  scripts[count++] = present;
  if (present.length == length) return count;
  bool second = strpbrk(present.items, "2K") != NULL;
  for (const char *item = alphabet; *item != 0; item++) {
    if (strchr(present.items, *item) != NULL) continue;
    if ((*item == '1' || *item == 'C') && second) continue;
    if (*item == 'D' && strchr(present.items, 'E') != NULL) continue;
    struct script longer = present;
    longer.items[longer.length++] = *item;
    count = make_scripts(scripts, count, alphabet, length, longer);
  }
  return count;
}

static struct script scripts[SCRIPTS_MAX];
static const struct script aborts[] = {{"", 0}, {"1", 1}, {"2", 1}};

static void play_scripts(enum wr_mode mode, uint32_t channels, uint32_t aligned_channels, uint32_t abort_scripts) {
  bar.mode = mode;
  bar.channels = channels;
  for (uint32_t c = 0; c < channels; c++)
    bar.aligned[c] = c < aligned_channels;
  for (uint32_t a = 0; a < abort_scripts && !test_failed; a++) {
    bar.scripts[channels] = &aborts[a];
    arena_reset();
    memset(&bar.model, 0, sizeof bar.model);
    if (wr_barriers_new(&arena.memory, mode, channels, bar.aligned, 0, &bar.barriers, NULL) != WEIR_OK) abort();
    path_cut(0);
    path_add("%s, %u aligned, scripts", mode == WR_EXACTLY_ONCE ? "exactly-once" : "at-least-once", aligned_channels);
    for (uint32_t c = 0; c < channels; c++)
      path_add(" %s,", bar.scripts[c]->items);
    walk_barriers(0);
  }
}

TEST(barriers_two_channels) {
  memset(&bar, 0, sizeof bar);
  uint32_t count = make_scripts(scripts, 0, "D12CKE", 4, (struct script){.length = 0});
  for (uint32_t i = (uint32_t)(test_seed() % TEST_ONE_IN); i < count; i += TEST_ONE_IN) {
    for (uint32_t j = 0; j < count; j++) {
      if (scripts[i].length + scripts[j].length > 7) continue;
      bar.scripts[0] = &scripts[i];
      bar.scripts[1] = &scripts[j];
      if (j >= i) { /* channels without a mark are alike */
        play_scripts(WR_EXACTLY_ONCE, 2, 0, 3);
        play_scripts(WR_AT_LEAST_ONCE, 2, 0, 3);
      }
      play_scripts(WR_AT_LEAST_ONCE, 2, 1, 1);
      CHECK_PASSED();
    }
  }
  CHECK(bar.snapshots > 0 && bar.cancels > 0);
  print_count("barriers, 2 channels", bar.interleavings, bar.events);
}

TEST(barriers_three_channels) {
  memset(&bar, 0, sizeof bar);
  uint32_t count = make_scripts(scripts, 0, "D12CE", 3, (struct script){.length = 0});
  for (uint32_t i = (uint32_t)(test_seed() % TEST_ONE_IN); i < count; i += TEST_ONE_IN) {
    for (uint32_t j = i; j < count; j++) {
      for (uint32_t k = j; k < count; k++) {
        if (scripts[i].length + scripts[j].length + scripts[k].length > 7) continue;
        bar.scripts[0] = &scripts[i];
        bar.scripts[1] = &scripts[j];
        bar.scripts[2] = &scripts[k];
        play_scripts(WR_EXACTLY_ONCE, 3, 0, 1);
        play_scripts(WR_AT_LEAST_ONCE, 3, 0, 1);
        play_scripts(WR_AT_LEAST_ONCE, 3, 2, 1);
        CHECK_PASSED();
      }
    }
  }
  print_count("barriers, 3 channels", bar.interleavings, bar.events);
}

/* ---- the coordinator ----
 *
 * The job and its tasks are played by the walk: time, acknowledgements (also twice, late, of another attempt),
 * declines, the store's answers, requests, the end of the attempt and the next one. */

enum {
  INTERVAL = 10,
  MIN_PAUSE = 3,
  TIMEOUT = 25,
  BLOCK = 3, /* ids reserved at a time */
  IDS_MAX = 64
};

enum fate { UNUSED, FLYING, PUBLISHING, TOLD_DURABLE, TOLD_FAILED, TOLD_UNKNOWN, COMPLETED, ABORTED, UNKNOWN };

struct coordinator_model {
  uint64_t now, attempt, first_id, last_id, id_limit;
  uint8_t fate[IDS_MAX];
  uint8_t acknowledged[IDS_MAX];
  uint64_t deadline[IDS_MAX];
  uint8_t reason[IDS_MAX];
  uint64_t completed[8];
  uint32_t completed_count;
  uint64_t latest, final, last_end;
  uint64_t final_again, reserve_again; /* not before this time */
  uint32_t failures;
  bool requested, final_wanted, backlog, reserving, stopped, unknown, began;
};

static struct {
  struct wr_coordinator *machine;
  struct wr_coordinator_options options;
  struct coordinator_model model;
  uint64_t attempts_max;
  uint64_t interleavings, events, completes, aborts, restarts;
} cor;

static uint32_t in_flight(void) {
  uint32_t count = 0;
  for (uint64_t id = cor.model.first_id; id <= cor.model.last_id; id++)
    count += cor.model.fate[id] == FLYING || cor.model.fate[id] == PUBLISHING;
  return count;
}

static bool is_publishing(void) {
  for (uint64_t id = cor.model.first_id; id <= cor.model.last_id; id++)
    if (cor.model.fate[id] == PUBLISHING) return true;
  return false;
}

static uint8_t all_tasks(void) {
  return (uint8_t)((1u << cor.options.task_count) - 1);
}

static void begin_attempt(void) {
  struct coordinator_model *model = &cor.model;
  model->attempt++;
  model->first_id = model->id_limit; /* the next block */
  model->id_limit += BLOCK;
  model->last_id = model->first_id - 1;
  model->requested = model->final_wanted = model->backlog = model->reserving = false;
  model->stopped = model->unknown = false;
  model->final = model->final_again = model->reserve_again = 0;
  model->failures = 0;
  struct wr_coordinator_options options = cor.options;
  options.attempt = model->attempt;
  options.next_id = model->first_id;
  options.id_limit = model->id_limit;
  if (wr_coordinator_new(&arena.memory, &options, model->completed, model->completed_count, &cor.machine, NULL) !=
      WEIR_OK)
    abort();
  wr_coordinator_start(cor.machine, model->now);
}

static void check_trigger(const struct wr_coordinator_action *action) {
  struct coordinator_model *model = &cor.model;
  uint64_t id = action->id;
  MUST(!model->stopped && !model->unknown && model->final == 0, "%" PRIu64 " is triggered after the end", id);
  MUST(id == model->last_id + 1 && id < model->id_limit, "id %" PRIu64 " is used, reserved are %" PRIu64 " to %" PRIu64,
       id, model->last_id + 1, model->id_limit);
  MUST(in_flight() < cor.options.max_in_flight, "too many in flight");
  if (action->reason == WR_CHECKPOINT_PERIODIC) {
    MUST(!model->backlog && !model->final_wanted && !model->requested, "a periodic one must not be triggered");
    MUST(!model->began || model->now >= model->last_end + MIN_PAUSE, "a pause is too short");
  } else if (action->reason == WR_CHECKPOINT_REQUESTED) {
    MUST(model->requested, "nobody requested %" PRIu64, id);
  } else {
    MUST(model->final_wanted, "nobody wanted the last checkpoint %" PRIu64, id);
    MUST(model->now >= model->final_again, "the last one is taken again too early");
  }
  model->requested = false;
  model->last_id = id;
  model->fate[id] = FLYING;
  model->acknowledged[id] = 0;
  model->reason[id] = (uint8_t)action->reason;
  model->deadline[id] = model->now + TIMEOUT;
}

static void check_abort(const struct wr_coordinator_action *action) {
  struct coordinator_model *model = &cor.model;
  uint64_t id = action->id;
  uint8_t fate = model->fate[id];
  bool complete = model->acknowledged[id] == all_tasks();
  MUST(action->latest_completed == model->latest, "the abort of %" PRIu64 " names %" PRIu64 " as completed", id,
       action->latest_completed);
  switch (action->abort_reason) {
  case WR_ABORT_TIMEOUT:
    MUST(fate == FLYING && !complete && model->now >= model->deadline[id], "%" PRIu64 " can not time out", id);
    break;
  case WR_ABORT_METADATA:
    MUST(fate == TOLD_FAILED, "the publish of %" PRIu64 " did not fail", id);
    break;
  case WR_ABORT_SUBSUMED:
    MUST(fate == FLYING && model->latest > id, "%" PRIu64 " is not subsumed", id);
    break;
  case WR_ABORT_SHUTDOWN:
    MUST(fate == FLYING && model->stopped, "%" PRIu64 " is shut down", id);
    break;
  default:
    MUST(fate == FLYING && !complete, "%" PRIu64 " can not be declined", id);
    break;
  }
  model->fate[id] = ABORTED;
  model->last_end = model->now;
  model->began = true;
  if (model->reason[id] == WR_CHECKPOINT_FINAL) model->final_again = model->now + INTERVAL;
  if (action->abort_reason == WR_ABORT_TIMEOUT || action->abort_reason == WR_ABORT_DECLINED ||
      action->abort_reason == WR_ABORT_METADATA)
    model->failures++;
  cor.aborts++;
}

static void check_complete(uint64_t id) {
  struct coordinator_model *model = &cor.model;
  MUST(model->fate[id] == TOLD_DURABLE && model->acknowledged[id] == all_tasks(), "%" PRIu64 " is not durable", id);
  MUST(id > model->latest, "%" PRIu64 " completes after %" PRIu64, id, model->latest);
  model->fate[id] = COMPLETED;
  model->latest = id;
  model->failures = 0;
  model->last_end = model->now;
  model->began = true;
  if (model->reason[id] == WR_CHECKPOINT_FINAL) model->final = id;
  model->completed[model->completed_count++] = id;
  cor.completes++;
}

static void check_action(const struct wr_coordinator_action *action) {
  struct coordinator_model *model = &cor.model;
  uint64_t id = action->id;
  switch (action->kind) {
  case WR_COORDINATOR_TRIGGER:
    check_trigger(action);
    break;
  case WR_COORDINATOR_PUBLISH:
    MUST(model->fate[id] == FLYING && model->acknowledged[id] == all_tasks() && !is_publishing(),
         "%" PRIu64 " must not be published now", id);
    model->fate[id] = PUBLISHING;
    break;
  case WR_COORDINATOR_COMPLETE:
    check_complete(id);
    break;
  case WR_COORDINATOR_SUBSUME:
    MUST(model->completed_count > cor.options.retained && id == model->completed[0], "%" PRIu64 " is retained", id);
    model->completed_count--;
    memmove(model->completed, model->completed + 1, model->completed_count * sizeof *model->completed);
    break;
  case WR_COORDINATOR_ABORT:
    check_abort(action);
    break;
  case WR_COORDINATOR_RESERVE_IDS:
    MUST(!model->reserving && id == model->last_id + 1 && id >= model->id_limit && model->now >= model->reserve_again,
         "ids are reserved too early");
    model->reserving = true;
    break;
  case WR_COORDINATOR_RESTART:
    MUST(model->fate[id] == TOLD_UNKNOWN, "the outcome of %" PRIu64 " is known", id);
    model->fate[id] = UNKNOWN;
    model->unknown = true;
    cor.restarts++;
    break;
  case WR_COORDINATOR_WARN_FAILING:
    MUST(model->failures > 0 && model->failures % 3 == 0, "a warning after %u failures", model->failures);
    break;
  }
}

/* After every event the job lets the coordinator tick and takes its actions. */
static void settle_coordinator(void) {
  struct coordinator_model *model = &cor.model;
  wr_coordinator_tick(cor.machine, model->now);
  struct wr_coordinator_action action;
  while (!test_failed && wr_coordinator_next_action(cor.machine, &action))
    check_action(&action);
  if (test_failed) return;
  MUST(model->completed_count <= cor.options.retained, "%u are retained", model->completed_count);
  bool ready = false;
  for (uint64_t id = model->first_id; id <= model->last_id; id++) {
    uint8_t fate = model->fate[id];
    MUST(fate != TOLD_DURABLE && fate != TOLD_FAILED && fate != TOLD_UNKNOWN, "no word of %" PRIu64, id);
    MUST(fate != FLYING || !model->stopped, "%" PRIu64 " flies on after the stop", id);
    MUST(fate != FLYING || id > model->latest, "%" PRIu64 " flies on, and a newer one completed", id);
    if (fate == FLYING && model->acknowledged[id] == all_tasks())
      ready = true;
    else
      MUST(fate != FLYING || model->now < model->deadline[id], "%" PRIu64 " has not timed out", id);
  }
  MUST(!ready || is_publishing() || model->unknown, "nobody publishes");
  bool can_trigger = !model->stopped && !model->unknown && model->final == 0 &&
                     in_flight() < cor.options.max_in_flight && model->last_id + 1 < model->id_limit;
  MUST(!can_trigger || !model->requested, "a request is forgotten");
  bool final_flies = false;
  for (uint64_t id = model->first_id; id <= model->last_id; id++)
    final_flies = final_flies || (model->fate[id] == FLYING && model->reason[id] == WR_CHECKPOINT_FINAL) ||
                  (model->fate[id] == PUBLISHING && model->reason[id] == WR_CHECKPOINT_FINAL);
  bool final_due = model->final_wanted && !final_flies;
  uint64_t wake_at = wr_coordinator_wake_at(cor.machine);
  MUST(!can_trigger || !final_due || model->now < model->final_again, "the last checkpoint is forgotten");
  MUST(!can_trigger || !final_due || wake_at <= model->final_again, "the last checkpoint is not taken again");
  MUST(!can_trigger || model->final_wanted || model->backlog || wake_at <= model->now + INTERVAL,
       "no periodic checkpoint any more");
  bool needs_ids = !model->stopped && !model->unknown && model->final == 0 && model->last_id + 1 == model->id_limit;
  MUST(!needs_ids || model->reserving || wake_at <= model->now + INTERVAL, "no ids are reserved");
  MUST(wr_coordinator_is_publishing(cor.machine) == is_publishing(), "is_publishing is wrong");
  MUST(wr_coordinator_latest_completed(cor.machine) == model->latest, "latest is wrong");
  MUST(wr_coordinator_final_completed(cor.machine) == model->final, "final is wrong");
  MUST(wr_coordinator_failures_in_a_row(cor.machine) == model->failures, "failures are wrong");
  MUST(wr_coordinator_wake_at(cor.machine) > model->now, "it wants to be called again at once, for ever");
}

/* What acknowledging must answer, from what the model knows. */
static enum wr_ack_result expected_answer(uint64_t attempt, uint64_t id, uint32_t task) {
  struct coordinator_model *model = &cor.model;
  if (attempt != model->attempt) return WR_ACK_STALE;
  if (id < model->first_id || id > model->last_id || model->fate[id] == ABORTED) return WR_ACK_LATE;
  if (model->fate[id] != FLYING) return WR_ACK_DUPLICATE;
  return (model->acknowledged[id] >> task & 1) != 0 ? WR_ACK_DUPLICATE : WR_ACK_ACCEPTED;
}

static void acknowledge(uint64_t attempt, uint64_t id, uint32_t task) {
  enum wr_ack_result expected = expected_answer(attempt, id, task);
  enum wr_ack_result answer = wr_coordinator_acknowledge(cor.machine, attempt, id, task, cor.model.now);
  MUST(answer == expected, "acknowledging %" PRIu64 " by %u is answered with %d, not %d", id, task, answer, expected);
  if (answer == WR_ACK_ACCEPTED) cor.model.acknowledged[id] |= (uint8_t)(1u << task);
}

static void publish_answer(enum wr_publish_outcome outcome) {
  static const uint8_t told[] = {TOLD_DURABLE, TOLD_FAILED, TOLD_UNKNOWN};
  for (uint64_t id = cor.model.first_id; id <= cor.model.last_id; id++) {
    if (cor.model.fate[id] != PUBLISHING) continue;
    cor.model.fate[id] = told[outcome];
    wr_coordinator_published(cor.machine, id, outcome, cor.model.now);
    return;
  }
}

enum event {
  WAKE, /* time goes on to wake_at */
  TIME, /* time goes on a little */
  ACK,  /* by the first task that has not, for the newest */
  ACK_LAST_TASK,
  ACK_AGAIN, /* a duplicate of the newest, or of one that is over */
  ACK_OLDER,
  ACK_STALE,
  DECLINE,
  DURABLE,
  FAILED,
  OUTCOME_UNKNOWN,
  RESERVED,
  NOT_RESERVED,
  REQUEST,
  REQUEST_FINAL,
  BACKLOG,
  STOP,
  NEXT_ATTEMPT,
  EVENTS
};
static const char *const event_words[] = {"wake",    "time",    "ack",     "ack-last", "ack-again", "ack-older",
                                          "stale",   "decline", "durable", "failed",   "unknown",   "reserved",
                                          "refused", "request", "final",   "backlog",  "stop",      "attempt"};

static bool can_happen(enum event event) {
  const struct coordinator_model *model = &cor.model;
  bool flying = model->last_id >= model->first_id && model->fate[model->last_id] == FLYING;
  bool over = model->stopped || model->unknown;
  switch (event) {
  case WAKE:
    return wr_coordinator_wake_at(cor.machine) != UINT64_MAX;
  case TIME:
    return !over;
  case ACK:
    return flying && model->acknowledged[model->last_id] != all_tasks();
  case ACK_LAST_TASK:
    return flying && (model->acknowledged[model->last_id] >> (cor.options.task_count - 1) & 1) == 0;
  case ACK_AGAIN:
    return model->last_id >= model->first_id && (model->acknowledged[model->last_id] & 1) != 0;
  case ACK_OLDER:
    return model->last_id > model->first_id;
  case ACK_STALE:
    return model->attempt > 1 && flying;
  case DECLINE:
    return model->last_id >= model->first_id;
  case DURABLE:
  case FAILED:
  case OUTCOME_UNKNOWN:
    return is_publishing();
  case RESERVED:
  case NOT_RESERVED:
    return model->reserving;
  case REQUEST:
    return !over && !model->requested;
  case REQUEST_FINAL:
    return !over && !model->final_wanted;
  case BACKLOG:
    return !over;
  case STOP:
    return !model->stopped;
  case NEXT_ATTEMPT:
    return over && !is_publishing() && model->attempt < cor.attempts_max;
  case EVENTS:
    break;
  }
  return false;
}

static void reserve_answer(bool good) {
  if (good)
    cor.model.id_limit += BLOCK;
  else
    cor.model.reserve_again = cor.model.now + INTERVAL;
  cor.model.reserving = false;
  wr_coordinator_reserved(cor.machine, cor.model.id_limit, cor.model.now);
}

/* Something must come of it, and nothing the moment before. */
static void wake(void) {
  uint64_t at = wr_coordinator_wake_at(cor.machine);
  struct wr_coordinator_action action;
  wr_coordinator_tick(cor.machine, at - 1);
  MUST(!wr_coordinator_next_action(cor.machine, &action), "something is done before wake_at");
  cor.model.now = at;
  wr_coordinator_tick(cor.machine, at);
  bool any = false;
  while (!test_failed && wr_coordinator_next_action(cor.machine, &action)) {
    any = true;
    check_action(&action);
  }
  if (!test_failed) MUST(any, "nothing is done at wake_at");
}

/* By a task of this attempt, and by one of the last. */
static void decline(uint64_t id) {
  struct coordinator_model *model = &cor.model;
  bool declined = model->fate[id] == FLYING && model->acknowledged[id] != all_tasks();
  wr_coordinator_decline(cor.machine, model->attempt, id, cor.options.task_count - 1, WR_ABORT_DECLINED, model->now);
  wr_coordinator_decline(cor.machine, model->attempt - 1, id, 0, WR_ABORT_DECLINED, model->now);
  settle_coordinator();
  if (!test_failed && declined) MUST(model->fate[id] == ABORTED, "%" PRIu64 " was declined, and lives", id);
}

static void happen(enum event event) {
  struct coordinator_model *model = &cor.model;
  uint64_t id = model->last_id;
  switch (event) {
  case WAKE:
    wake();
    break;
  case TIME:
    model->now += 4;
    break;
  case ACK:
    acknowledge(model->attempt, id, (uint32_t)__builtin_ctz(~(unsigned)model->acknowledged[id]));
    break;
  case ACK_LAST_TASK:
    acknowledge(model->attempt, id, cor.options.task_count - 1);
    break;
  case ACK_AGAIN:
    acknowledge(model->attempt, id, 0);
    break;
  case ACK_OLDER:
    acknowledge(model->attempt, id - 1, 0);
    break;
  case ACK_STALE:
    acknowledge(model->attempt - 1, id, 0);
    break;
  case DECLINE:
    decline(id);
    break;
  case DURABLE:
    publish_answer(WR_PUBLISH_DURABLE);
    break;
  case FAILED:
    publish_answer(WR_PUBLISH_FAILED);
    break;
  case OUTCOME_UNKNOWN:
    publish_answer(WR_PUBLISH_UNKNOWN);
    break;
  case RESERVED:
    reserve_answer(true);
    break;
  case NOT_RESERVED:
    reserve_answer(false);
    break;
  case REQUEST:
    model->requested = true;
    wr_coordinator_request(cor.machine, WR_CHECKPOINT_REQUESTED);
    break;
  case REQUEST_FINAL:
    model->final_wanted = true;
    wr_coordinator_request(cor.machine, WR_CHECKPOINT_FINAL);
    break;
  case BACKLOG:
    model->backlog = !model->backlog;
    wr_coordinator_set_backlog(cor.machine, model->backlog);
    break;
  case STOP:
    model->stopped = true;
    wr_coordinator_stop(cor.machine);
    break;
  case NEXT_ATTEMPT:
    begin_attempt();
    break;
  case EVENTS:
    break;
  }
  if (!test_failed) settle_coordinator();
}

static void walk_coordinator(uint32_t depth, uint32_t left) {
  if (left == 0) {
    cor.interleavings++;
    return;
  }
  for (enum event event = 0; event < EVENTS && !test_failed; event++) {
    if (!can_happen(event)) continue;
    cor.events++;
    save(depth);
    struct coordinator_model before = cor.model;
    struct wr_coordinator *machine = cor.machine;
    size_t length = path_add(" %s", event_words[event]);
    happen(event);
    if (!test_failed) walk_coordinator(depth + 1, left - 1);
    path_cut(length);
    cor.machine = machine;
    cor.model = before;
    restore(depth);
  }
}

static void begin_coordinator(uint32_t tasks, uint32_t max_in_flight, uint32_t retained) {
  arena_reset();
  memset(&cor.model, 0, sizeof cor.model);
  cor.model.id_limit = 1;
  cor.options = (struct wr_coordinator_options){.interval_ns = INTERVAL,
                                                .min_pause_ns = MIN_PAUSE,
                                                .timeout_ns = TIMEOUT,
                                                .retained = retained,
                                                .max_in_flight = max_in_flight,
                                                .task_count = tasks};
  path_cut(0);
  path_add("%u tasks, %u in flight, %u retained:", tasks, max_in_flight, retained);
  begin_attempt();
}

/* All orders of `depth` events, after `first` have happened. */
static void play_coordinator(uint32_t tasks, uint32_t max_in_flight, uint32_t retained, const enum event *first,
                             uint32_t first_count, uint32_t depth) {
  begin_coordinator(tasks, max_in_flight, retained);
  for (uint32_t i = 0; i < first_count && !test_failed; i++) {
    path_add(" %s", event_words[first[i]]);
    if (!can_happen(first[i])) abort();
    happen(first[i]);
  }
  if (!test_failed) walk_coordinator(0, TEST_ONE_IN == 1 ? depth : depth - 1);
}

#define AFTER(...) (const enum event[]){__VA_ARGS__}, sizeof((const enum event[]){__VA_ARGS__}) / sizeof(enum event)

TEST(coordinator_all_orders) {
  memset(&cor, 0, sizeof cor);
  cor.attempts_max = 3;
  play_coordinator(2, 1, 1, AFTER(WAKE), 7);
  CHECK_PASSED();
  play_coordinator(2, 1, 2, AFTER(WAKE, ACK, ACK, DURABLE, WAKE, ACK), 6);
  CHECK_PASSED();
  play_coordinator(3, 1, 1, AFTER(WAKE, ACK, DECLINE, WAKE, ACK, ACK), 6);
  CHECK_PASSED();
  play_coordinator(2, 2, 1, AFTER(WAKE, ACK, WAKE, ACK), 7);
  CHECK_PASSED();
  play_coordinator(2, 3, 2, AFTER(WAKE, WAKE, ACK, ACK), 6);
  CHECK_PASSED();
  play_coordinator(1, 1, 1, AFTER(REQUEST_FINAL, ACK, OUTCOME_UNKNOWN, NEXT_ATTEMPT), 6);
  CHECK_PASSED();
  CHECK(cor.completes > 0 && cor.aborts > 0 && cor.restarts > 0);
  print_count("coordinator", cor.interleavings, cor.events);
}

/* Long ones, with what ends an attempt or hinders a checkpoint made rare. */
TEST(coordinator_random_walks) {
  memset(&cor, 0, sizeof cor);
  cor.attempts_max = 4;
  struct wr_random random = wr_random_of(test_seed());
  for (uint32_t walk = 0; walk < 10000 / TEST_ONE_IN; walk++) {
    begin_coordinator(1 + (uint32_t)wr_random_below(&random, 5), 1 + (uint32_t)wr_random_below(&random, 3),
                      1 + (uint32_t)wr_random_below(&random, 3));
    for (uint32_t i = 0; i < 400 && cor.model.id_limit + 2 * BLOCK < IDS_MAX; i++) {
      enum event event = (enum event)wr_random_below(&random, EVENTS);
      bool ends = event == STOP || event == OUTCOME_UNKNOWN || event == REQUEST_FINAL;
      bool hinders = event == DECLINE || event == FAILED || event == BACKLOG || event == NOT_RESERVED;
      if (!can_happen(event) || (ends && !wr_random_one_in(&random, 20))) continue;
      if (hinders && !wr_random_one_in(&random, 5)) continue;
      cor.events++;
      path_add(" %s", event_words[event]);
      happen(event);
      CHECK_PASSED();
    }
  }
  CHECK(cor.completes > 10000 / TEST_ONE_IN);
  printf("coordinator: %" PRIu64 " random events, %" PRIu64 " completed\n", cor.events, cor.completes);
}

/* ---- the committer, a target, and crashes ----
 *
 * One source of numbered rows, one sink, its committer, a store of checkpoints and a target that obeys the marker. A
 * row is a bit. The engine can be killed between any two steps; a transaction that was under way then may still land,
 * or not. What lies in the target is checked after each step, and so is what a restart there would make of it. */

enum { PARTS_MAX = 6, STORED_MAX = 2, ID_BLOCK = 10 };

typedef uint32_t rows; /* a set */

struct stored {
  uint64_t id;
  uint32_t offset; /* of the source: rows below it are before the checkpoint */
  const uint8_t *bytes;
  size_t length;
};

struct transaction {
  uint64_t id; /* of the epoch; 0: none */
  uint64_t start;
  rows mask;
  bool applied;
};

struct target {
  rows mask;
  struct wr_marker marker;
};

struct commit_model {
  bool alive, faulty;
  bool settling; /* what was restored is not yet committed: no source runs, nothing is triggered (rule 7) */
  uint64_t start, next_id;
  uint32_t next_row, sink_first;
  struct {
    uint32_t first, end;
    uint64_t prepared_for;
  } parts[PARTS_MAX]; /* between the sink and the committer */
  uint32_t part_count;
  rows open;       /* at the committer, since its last barrier */
  uint64_t flight; /* the checkpoint in flight; 0: none */
  uint32_t flight_offset;
  struct stored taken;              /* its snapshot, when the barrier has passed the committer */
  struct stored stored[STORED_MAX]; /* durable; ascending */
  uint32_t stored_count;
  struct stored away; /* the last one that could not be read; it can be mended. id 0: none */
  bool is_mended;     /* one was: there may be two histories */
  uint64_t durable;   /* the newest durable id ever */
  uint64_t notice;    /* a completion that the committer has not heard of */
  uint64_t heard;
  struct transaction running, zombie;
  struct target target, target_before; /* before the last commit: a backup */
  uint32_t crashes;
  bool committed_again; /* a restored committer does not believe the marker */
};

static struct {
  struct wr_commit *machine;
  struct commit_model model;
  uint32_t rows_max, crashes_max; /* bounds of the walk */
  uint64_t interleavings, events, recoveries, refusals, commits;
} com;

static const uint8_t com_incarnation[WR_INCARNATION_BYTES] = {7};
static const struct wr_commit_limits com_limits = {.epochs_max = 8, .bytes_max = 1000};

static rows rows_between(uint32_t first, uint32_t end) {
  return (rows)(((UINT64_C(1) << end) - 1) & ~((UINT64_C(1) << first) - 1));
}

static rows rows_of_epoch(const struct wr_epoch *epoch) {
  rows mask = 0;
  for (uint32_t i = 0; i < epoch->part_count; i++) {
    const struct wr_handle *handle = &epoch->parts[i].handle;
    mask |= rows_between(handle->inline_bytes[0], handle->inline_bytes[1]);
  }
  return mask;
}

/* The target's transaction: UPDATE marker SET checkpoint = id WHERE start = mine AND checkpoint < id, then the rows. */
static void apply(struct transaction *transaction) {
  struct target *target = &com.model.target;
  if (target->marker.present && target->marker.start_number == transaction->start &&
      target->marker.checkpoint_id < transaction->id) {
    MUST((target->mask & transaction->mask) == 0, "rows %x of epoch %" PRIu64 " come twice", transaction->mask,
         transaction->id);
    com.model.target_before = *target;
    target->mask |= transaction->mask;
    target->marker.checkpoint_id = transaction->id;
    com.commits++;
  }
  transaction->applied = true;
}

static void begin_commit(void) {
  bool settled = wr_commit_is_settled(com.machine);
  const struct wr_epoch *epoch = wr_commit_begin_next(com.machine);
  MUST((epoch == NULL) == settled, "settled is %d", settled);
  if (epoch == NULL) return;
  MUST(wr_commit_begin_next(com.machine) == NULL, "two epochs are committed at once");
  MUST(epoch->checkpoint_id <= com.model.heard, "epoch %" PRIu64 " is committed, and nobody completed it",
       epoch->checkpoint_id);
  com.model.running =
      (struct transaction){.id = epoch->checkpoint_id, .start = com.model.start, .mask = rows_of_epoch(epoch)};
}

static void acknowledge_commit(void) {
  uint64_t id = com.model.running.id;
  com.model.running.id = 0;
  wr_commit_acknowledged(com.machine, id);
  MUST(wr_commit_last_committed(com.machine) == id, "the committer remembers %" PRIu64 " as committed",
       wr_commit_last_committed(com.machine));
}

/* Everything that the committer would commit now, to the end. */
static void commit_all(void) {
  if (com.model.running.id != 0) {
    if (!com.model.running.applied) apply(&com.model.running);
    acknowledge_commit();
  }
  for (begin_commit(); com.model.running.id != 0 && !test_failed; begin_commit()) {
    apply(&com.model.running);
    acknowledge_commit();
  }
  MUST(wr_commit_is_settled(com.machine) && wr_commit_waiting_epochs(com.machine) == 0, "not settled");
}

/* A start that restores stored[index], or nothing where index is -1. False: it was refused. */
static bool recover(int index) {
  struct commit_model *model = &com.model;
  const struct stored *restored = index < 0 ? NULL : &model->stored[index];
  struct wr_commit_snapshot snapshot = {0};
  if (restored != NULL) {
    struct wr_reader reader = wr_reader_of(restored->bytes, restored->length);
    if (wr_commit_snapshot_read(&reader, &arena.memory, &snapshot, NULL) != WEIR_OK) abort();
  }
  enum wr_compare compare = wr_commit_compare(&model->target.marker, com_incarnation, model->start,
                                              restored == NULL ? 0 : restored->id, restored == NULL ? NULL : &snapshot);
  if (compare != WR_COMPARE_OK) return false;
  uint64_t marker_id = model->target.marker.checkpoint_id;
  model->start++;
  model->target.marker.present = true;
  model->target.marker.start_number = model->start;
  memcpy(model->target.marker.incarnation, com_incarnation, WR_INCARNATION_BYTES);
  if (wr_commit_new(&arena.memory, &com_limits, restored == NULL ? NULL : &snapshot, marker_id, &com.machine, NULL) !=
      WEIR_OK)
    abort();
  struct wr_commit_snapshot view = wr_commit_snapshot_view(com.machine);
  if (view.last_committed < marker_id || (view.epoch_count > 0 && view.epochs[0].checkpoint_id <= marker_id))
    model->committed_again = true;
  model->stored_count = (uint32_t)(index + 1);
  model->next_row = model->sink_first = restored == NULL ? 0 : restored->offset;
  model->heard = restored == NULL ? 0 : restored->id;
  model->next_id += ID_BLOCK;
  model->alive = model->settling = true;
  return true;
}

static void crash(void) {
  struct commit_model *model = &com.model;
  model->alive = false;
  model->crashes++;
  if (model->running.id != 0 && !model->running.applied) model->zombie = model->running;
  model->running.id = 0;
  model->part_count = 0;
  model->open = 0;
  model->flight = model->notice = 0;
}

static bool newer_rows_are_out(int index) {
  uint32_t offset = index < 0 ? 0 : com.model.stored[index].offset;
  return (com.model.target.mask & ~rows_between(0, offset)) != 0;
}

/* What a kill here and a start from stored[index] make of it; for the newest one it must be exactly its rows. */
static void check_restart(uint32_t depth, int index) {
  save(depth);
  struct commit_model before = com.model;
  struct wr_commit *machine = com.machine;
  bool newest = index + 1 == (int)com.model.stored_count;
  if (com.model.alive) crash();
  bool newer_out = newer_rows_are_out(index);
  if (recover(index)) {
    MUST(!com.model.committed_again, "what the marker says is committed would be committed again");
    commit_all();
    uint32_t offset = index < 0 ? 0 : before.stored[index].offset;
    if (!test_failed)
      MUST(com.model.target.mask == rows_between(0, offset), "restored from %d, the target holds %x, not %x", index,
           com.model.target.mask, rows_between(0, offset));
    com.recoveries++;
  } else {
    MUST(com.model.faulty || com.model.is_mended || (!newest && newer_out),
         "a restart from %d is refused for no reason", index);
    com.refusals++;
  }
  com.model = before;
  com.machine = machine;
  restore(depth);
}

/* No row is lost between source and target while the engine lives, and none is in two places but the epoch that is
 * committed and not yet acknowledged. */
static void check_rows(void) {
  const struct commit_model *model = &com.model;
  rows seen = model->open | rows_between(model->sink_first, model->next_row);
  for (uint32_t i = 0; i < model->part_count; i++)
    seen |= rows_between(model->parts[i].first, model->parts[i].end);
  MUST((seen & model->target.mask) == 0 || model->faulty, "rows %x are out before their checkpoint completed",
       seen & model->target.mask);
  struct wr_commit_snapshot view = wr_commit_snapshot_view(com.machine);
  uint64_t last = view.last_committed;
  bool waits_for_commit = view.epoch_count > 0 && view.epochs[0].checkpoint_id <= model->heard;
  MUST(wr_commit_is_settled(com.machine) == !waits_for_commit, "settled is %d", waits_for_commit);
  for (uint32_t i = 0; i < view.epoch_count; i++) {
    const struct wr_epoch *epoch = &view.epochs[i];
    rows mask = rows_of_epoch(epoch);
    MUST(epoch->checkpoint_id > last && mask != 0 && (mask & seen) == 0, "epoch %" PRIu64 " is wrong",
         epoch->checkpoint_id);
    MUST(epoch->completed == (epoch->checkpoint_id <= model->heard), "epoch %" PRIu64 ": completed is %d",
         epoch->checkpoint_id, epoch->completed);
    MUST((mask & model->target.mask) == 0 || epoch->checkpoint_id <= model->target.marker.checkpoint_id,
         "rows of epoch %" PRIu64 " are out too early", epoch->checkpoint_id);
    last = epoch->checkpoint_id;
    seen |= mask;
  }
  rows all = rows_between(0, model->next_row);
  MUST((seen | model->target.mask) == all, "of the rows %x only %x are anywhere", all, seen | model->target.mask);
}

static void check_commit(uint32_t depth) {
  const struct commit_model *model = &com.model;
  uint32_t offset = model->stored_count == 0 ? 0 : model->stored[model->stored_count - 1].offset;
  MUST((model->target.mask & ~rows_between(0, offset)) == 0 || model->is_mended,
       "rows above the newest checkpoint are out: %x", model->target.mask);
  if (model->alive) check_rows();
  static const uint8_t another[WR_INCARNATION_BYTES] = {8};
  MUST(model->faulty || wr_commit_compare(&model->target.marker, another, 9, 0, NULL) == WR_COMPARE_FOREIGN,
       "a start of another incarnation is let in");
  for (int index = (int)model->stored_count - 1; index >= -1 && !test_failed; index--)
    if (!model->faulty || index + 1 == (int)model->stored_count) check_restart(depth, index);
}

enum step {
  ROW,
  TRIGGER,
  PART,
  BARRIER,
  FAIL,
  PUBLISH,
  NOTIFY,
  BEGIN,
  APPLY,
  ANSWER,
  RETRY,
  CRASH,
  ZOMBIE,
  RECOVER,
  RECOVER_OLDER, /* the newest one is damaged */
  MEND,          /* what was damaged is as it was */
  WIPE,          /* the target is replaced by an empty one */
  FORGET,        /* the target loses its marker only (retention) */
  ROLL_BACK,     /* the target is set back to before its last commit */
  STEPS
};
static const char *const step_words[] = {
    "row",   "trigger", "part",   "barrier", "fail",          "publish", "notify", "begin",  "apply",    "answer",
    "retry", "crash",   "zombie", "recover", "recover-older", "mend",    "wipe",   "forget", "roll-back"};

static bool can_step(enum step step) {
  const struct commit_model *model = &com.model;
  bool runs = model->alive && !model->settling;
  switch (step) {
  case ROW:
    return runs && model->next_row < com.rows_max;
  case TRIGGER:
    return runs && model->flight == 0 && model->part_count < PARTS_MAX;
  case PART:
    return model->part_count > 0;
  case BARRIER:
    return model->flight != 0 && model->taken.id != model->flight && model->part_count == 0;
  case FAIL:
    return model->flight != 0;
  case PUBLISH:
    return model->flight != 0 && model->taken.id == model->flight;
  case NOTIFY:
    return model->notice != 0;
  case BEGIN:
    return model->alive && model->running.id == 0 && wr_commit_pending_epochs(com.machine) > 0;
  case APPLY:
    return model->running.id != 0 && !model->running.applied;
  case ANSWER:
    return model->running.id != 0 && model->running.applied;
  case RETRY:
    return model->running.id != 0;
  case CRASH:
    return model->alive && model->crashes < com.crashes_max;
  case ZOMBIE:
    return model->zombie.id != 0;
  case RECOVER:
    return !model->alive;
  case RECOVER_OLDER:
    return !model->alive && !model->faulty && model->stored_count > 0;
  case MEND:
    return !model->alive && !model->faulty && model->away.id != 0;
  case WIPE:
  case FORGET:
    return !model->alive && !model->faulty && model->target.marker.present;
  case ROLL_BACK:
    return !model->alive && !model->faulty && model->target_before.marker.present;
  case STEPS:
    break;
  }
  return false;
}

static void step_trigger(void) {
  struct commit_model *model = &com.model;
  model->flight = model->next_id++;
  model->flight_offset = model->next_row;
  if (model->sink_first == model->next_row) return; /* an empty epoch has no part */
  model->parts[model->part_count].first = model->sink_first;
  model->parts[model->part_count].end = model->next_row;
  model->parts[model->part_count++].prepared_for = model->flight;
  model->sink_first = model->next_row;
}

static void step_part(void) {
  struct commit_model *model = &com.model;
  const uint8_t range[] = {(uint8_t)model->parts[0].first, (uint8_t)model->parts[0].end};
  struct wr_part part = {.prepared_for = model->parts[0].prepared_for, .row_count = range[1] - (uint64_t)range[0]};
  part.handle.length = sizeof range;
  part.handle.inline_bytes = wr_copy_bytes(&arena.memory, range, sizeof range, WR_MEMORY_SINK);
  if (wr_commit_part(com.machine, &part, NULL) != WEIR_OK) abort();
  model->open |= rows_between(range[0], range[1]);
  model->part_count--;
  memmove(model->parts, model->parts + 1, model->part_count * sizeof model->parts[0]);
}

static void step_barrier(void) {
  struct commit_model *model = &com.model;
  if (wr_commit_barrier(com.machine, model->flight, NULL) != WEIR_OK) abort();
  model->open = 0;
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &arena.memory, WR_MEMORY_ENGINE);
  struct wr_commit_snapshot view = wr_commit_snapshot_view(com.machine);
  wr_commit_snapshot_put(&bytes, &view);
  model->taken =
      (struct stored){.id = model->flight, .offset = model->flight_offset, .bytes = bytes.data, .length = bytes.length};
}

static void step_publish(void) {
  struct commit_model *model = &com.model;
  if (model->stored_count == STORED_MAX)
    memmove(model->stored, model->stored + 1, --model->stored_count * sizeof model->stored[0]);
  model->stored[model->stored_count++] = model->taken;
  model->notice = model->durable = model->flight;
  model->flight = 0;
}

/* Where two are there already, the oldest of the three is dropped. */
static void step_mend(void) {
  struct commit_model *model = &com.model;
  struct stored all[STORED_MAX + 1];
  uint32_t count = 0;
  bool is_placed = false;
  for (uint32_t i = 0; i < model->stored_count; i++) {
    if (!is_placed && model->away.id < model->stored[i].id) all[count++] = model->away;
    is_placed = is_placed || model->away.id < model->stored[i].id;
    all[count++] = model->stored[i];
  }
  if (!is_placed) all[count++] = model->away;
  model->stored_count = count < STORED_MAX ? count : STORED_MAX;
  memcpy(model->stored, all + count - model->stored_count, model->stored_count * sizeof all[0]);
  model->away.id = 0;
  model->is_mended = true;
}

static void step_notify(void) {
  struct commit_model *model = &com.model;
  model->heard = model->notice;
  model->notice = 0;
  wr_commit_completed(com.machine, model->heard);
  uint32_t waiting = wr_commit_waiting_epochs(com.machine);
  wr_commit_completed(com.machine, model->heard - 1); /* late news of an older one */
  MUST(wr_commit_waiting_epochs(com.machine) == waiting, "an older completion changed something");
}

/* A target that is exchanged has no transactions under way. */
static void exchange_target(struct target target) {
  com.model.target = target;
  com.model.faulty = true;
  com.model.zombie.id = 0;
}

/* False: the walk ends here (the start was refused). */
static bool take_step(enum step step) {
  struct commit_model *model = &com.model;
  switch (step) {
  case ROW:
    model->next_row++;
    break;
  case TRIGGER:
    step_trigger();
    break;
  case PART:
    step_part();
    break;
  case BARRIER:
    step_barrier();
    break;
  case FAIL:
    model->flight = 0;
    break;
  case PUBLISH:
    step_publish();
    break;
  case NOTIFY:
    step_notify();
    break;
  case BEGIN:
    begin_commit();
    break;
  case APPLY:
    apply(&model->running);
    break;
  case ANSWER:
    acknowledge_commit();
    break;
  case RETRY:
    wr_commit_retry(com.machine, model->running.id);
    model->running.id = 0;
    break;
  case CRASH:
    crash();
    break;
  case ZOMBIE:
    apply(&model->zombie);
    model->zombie.id = 0;
    break;
  case RECOVER:
    if (!recover((int)model->stored_count - 1)) return false;
    break;
  case RECOVER_OLDER:
    model->away = model->stored[model->stored_count - 1];
    if (!recover((int)model->stored_count - 2)) return false;
    break;
  case MEND:
    step_mend();
    break;
  case WIPE:
    exchange_target((struct target){0});
    break;
  case FORGET:
    exchange_target((struct target){.mask = model->target.mask});
    break;
  case ROLL_BACK:
    exchange_target(model->target_before);
    break;
  case STEPS:
    break;
  }
  if (model->alive && wr_commit_is_settled(com.machine)) model->settling = false;
  return true;
}

static void walk_commit(uint32_t depth, uint32_t left) {
  if (left == 0) {
    com.interleavings++;
    return;
  }
  for (enum step step = 0; step < STEPS && !test_failed; step++) {
    if (!can_step(step)) continue;
    com.events++;
    save(depth);
    struct commit_model before = com.model;
    struct wr_commit *machine = com.machine;
    size_t length = path_add(" %s", step_words[step]);
    bool goes_on = take_step(step);
    if (!test_failed && goes_on) check_commit(depth + 1);
    if (!test_failed && goes_on) walk_commit(depth + 1, left - 1);
    path_cut(length);
    com.model = before;
    com.machine = machine;
    restore(depth);
  }
}

static void begin_sink(void) {
  arena_reset();
  memset(&com.model, 0, sizeof com.model);
  com.model.next_id = 1;
  path_cut(0);
  if (!recover(-1)) abort();
  com.model.settling = false; /* nothing to settle */
}

static void play_commit(const enum step *first, uint32_t first_count, uint32_t depth) {
  begin_sink();
  for (uint32_t i = 0; i < first_count && !test_failed; i++) {
    path_add(" %s", step_words[first[i]]);
    if (!can_step(first[i]) || !take_step(first[i])) abort();
    if (!test_failed) check_commit(0);
  }
  if (!test_failed) walk_commit(0, TEST_ONE_IN == 1 ? depth : depth - 1);
}

#define STEPS_FIRST(...) (const enum step[]){__VA_ARGS__}, sizeof((const enum step[]){__VA_ARGS__}) / sizeof(enum step)

TEST(commit_all_orders) {
  memset(&com, 0, sizeof com);
  com.rows_max = 5;
  com.crashes_max = 2;
  play_commit(STEPS_FIRST(ROW), 11);
  CHECK_PASSED();
  play_commit(STEPS_FIRST(ROW, TRIGGER, PART, BARRIER, PUBLISH, ROW), 10);
  CHECK_PASSED();
  play_commit(STEPS_FIRST(ROW, TRIGGER, PART, BARRIER, FAIL, ROW, TRIGGER, PART, BARRIER, PUBLISH), 10);
  CHECK_PASSED();
  play_commit(STEPS_FIRST(ROW, TRIGGER, PART, BARRIER, PUBLISH, ROW, TRIGGER, PART, BARRIER, PUBLISH, NOTIFY, BEGIN),
              10);
  CHECK_PASSED();
  /* Two histories: the second is begun before the first has committed anything, and put away when the first is mended.
   */
  com.crashes_max = 4;
  play_commit(STEPS_FIRST(ROW, TRIGGER, PART, BARRIER, PUBLISH, CRASH, RECOVER_OLDER, ROW, TRIGGER, PART, BARRIER,
                          PUBLISH, CRASH, MEND, RECOVER_OLDER),
              9);
  CHECK_PASSED();
  CHECK(com.recoveries > 0 && com.refusals > 0 && com.commits > 0);
  print_count("commit", com.interleavings, com.events);
  printf("commit: %" PRIu64 " restarts, %" PRIu64 " refused\n", com.recoveries + com.refusals, com.refusals);
}

/* Long ones, with crashes and above all damage made rare. */
TEST(commit_random_walks) {
  memset(&com, 0, sizeof com);
  com.rows_max = 30;
  com.crashes_max = UINT32_MAX;
  struct wr_random random = wr_random_of(test_seed());
  uint64_t crashes = 0, most_epochs = 0;
  for (uint32_t walk = 0; walk < 10000 / TEST_ONE_IN; walk++) {
    begin_sink();
    uint64_t commit_one_in = 1 + wr_random_below(&random, 6); /* a slow target lets epochs pile up */
    for (uint32_t i = 0; i < 600; i++) {
      enum step step = (enum step)wr_random_below(&random, STEPS);
      if (!can_step(step) || (step == CRASH && !wr_random_one_in(&random, 8))) continue;
      if (step > RECOVER && !wr_random_one_in(&random, 20)) continue;
      if (step == BEGIN && !wr_random_one_in(&random, commit_one_in)) continue;
      com.events++;
      path_add(" %s", step_words[step]);
      if (!take_step(step)) break;
      if (!test_failed) check_commit(0);
      CHECK_PASSED();
      if (com.model.alive && wr_commit_pending_epochs(com.machine) > most_epochs)
        most_epochs = wr_commit_pending_epochs(com.machine);
    }
    crashes += com.model.crashes;
  }
  CHECK(crashes > 1000 / TEST_ONE_IN && most_epochs > 4);
  printf("commit: %" PRIu64 " random steps, %" PRIu64 " crashes, up to %" PRIu64 " epochs pending\n", com.events,
         crashes, most_epochs);
}

TEST_MAIN(TEST_CASE(barriers_two_channels), TEST_CASE(barriers_three_channels), TEST_CASE(coordinator_all_orders),
          TEST_CASE(coordinator_random_walks), TEST_CASE(commit_all_orders), TEST_CASE(commit_random_walks))
