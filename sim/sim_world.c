/* sim/sim_world.c: time, events, the trace, clock, entropy and log of a world; see sim_world.h.
 *
 * Events are a binary heap by (time, serial); the serial makes the order total. The trace is a chain of hashes: each
 * line is hashed together with the hash before it. Every part that chooses has a stream of random numbers of its own,
 * all from the one seed. One thread. */
#include "sim/sim_internal.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const int64_t WALL_START_MS = 1700000000000;

static const char *const fault_texts[] = {
#define FAULT_TEXT(name, text) text,
    SIM_FAULTS(FAULT_TEXT)
#undef FAULT_TEXT
};

const char *sim_fault_text(enum sim_fault fault) {
  return fault_texts[fault];
}

/* ---- trace ---- */

static void trace_line(struct sim_world *world, const char *format, va_list arguments) {
  char line[sizeof world->trace_hash + SIM_PATH_BYTES + 1024];
  memcpy(line, &world->trace_hash, sizeof world->trace_hash);
  char *text = line + sizeof world->trace_hash;
  size_t room = sizeof line - sizeof world->trace_hash;
  int head = snprintf(text, room, "%" PRIu64 " ", world->now_ns);
  int rest = vsnprintf(text + head, room - (size_t)head, format, arguments);
  WR_ASSERT(head > 0 && rest >= 0);
  size_t length = strlen(text);
  world->trace_hash = wr_hash_key(line, sizeof world->trace_hash + length);
  world->trace_lines++;
  if (world->options.trace != NULL) fprintf(world->options.trace, "%s\n", text);
}

void sim_world_trace(struct sim_world *world, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  trace_line(world, format, arguments);
  va_end(arguments);
}

uint64_t sim_world_trace_hash(const struct sim_world *world) {
  return world->trace_hash;
}

uint64_t sim_world_trace_lines(const struct sim_world *world) {
  return world->trace_lines;
}

/* ---- clock, entropy, log ---- */

static uint64_t clock_monotonic_ns(struct wr_clock *clock) {
  return SIM_WORLD_OF(clock, clock)->now_ns;
}

static int64_t clock_wall_ms(struct wr_clock *clock) {
  const struct sim_world *world = SIM_WORLD_OF(clock, clock);
  return WALL_START_MS + world->wall_shift_ms + (int64_t)(world->now_ns / 1000000);
}

static void entropy_fill(struct wr_entropy *entropy, void *bytes, size_t length) {
  struct sim_world *world = SIM_WORLD_OF(entropy, entropy);
  unsigned char *out = bytes;
  while (length > 0) {
    uint64_t word = wr_random_next(&world->entropy_random);
    size_t part = length < sizeof word ? length : sizeof word;
    memcpy(out, &word, part);
    out += part;
    length -= part;
  }
}

/* A watch that is good for little: it can refuse, and what it tells is made up, or nothing. It is never what a job
 * depends on. */
static bool watch_arm(struct wr_watches *watches, struct wr_watch *watch, const char *folder) {
  struct sim_world *world = SIM_WORLD_OF(watches, watches);
  (void)folder;
  if (wr_random_one_in(&world->watch_random, 4)) atomic_store_explicit(&watch->is_touched, true, memory_order_relaxed);
  return !wr_random_one_in(&world->watch_random, 3);
}

static void watch_drop(struct wr_watches *watches, struct wr_watch *watch) {
  (void)watches;
  (void)watch;
}

static void log_line(struct wr_log *log, enum wr_log_level level, const char *text) {
  struct sim_world *world = SIM_WORLD_OF(log, log);
  sim_world_trace(world, "log %s: %s", wr_log_level_text(level), text);
  if (world->on_log != NULL) world->on_log(world->on_log_context, level, text);
}

void sim_world_on_log(struct sim_world *world, void (*line)(void *context, enum wr_log_level level, const char *text),
                      void *context) {
  world->on_log = line;
  world->on_log_context = context;
}

/* ---- events ---- */

static bool event_before(const struct sim_event *a, const struct sim_event *b) {
  return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->serial < b->serial;
}

static void event_sift_up(struct sim_event *events, size_t place) {
  struct sim_event event = events[place];
  while (place > 0 && event_before(&event, &events[(place - 1) / 2])) {
    events[place] = events[(place - 1) / 2];
    place = (place - 1) / 2;
  }
  events[place] = event;
}

static void event_sift_down(struct sim_event *events, size_t count, size_t place) {
  struct sim_event event = events[place];
  for (size_t child; (child = 2 * place + 1) < count; place = child) {
    child += child + 1 < count && event_before(&events[child + 1], &events[child]);
    if (!event_before(&events[child], &event)) break;
    events[place] = events[child];
  }
  events[place] = event;
}

void sim_event_add(struct sim_world *world, struct sim_event event) {
  if (world->event_count == world->event_capacity) {
    world->event_capacity = world->event_capacity == 0 ? 64 : world->event_capacity * 2;
    world->events = sim_host_resize(world->events, world->event_capacity * sizeof *world->events);
  }
  WR_ASSERT(event.at_ns >= world->now_ns);
  event.serial = ++world->event_serial;
  world->events[world->event_count++] = event;
  event_sift_up(world->events, world->event_count - 1);
}

void sim_events_drop_coroutines(struct sim_world *world) {
  size_t kept = 0;
  for (size_t i = 0; i < world->event_count; i++)
    if (world->events[i].coroutine == NULL) world->events[kept++] = world->events[i];
  world->event_count = kept;
  for (size_t i = 0; i < kept; i++)
    event_sift_up(world->events, i);
}

bool sim_world_advance(struct sim_world *world) {
  WR_ASSERT(world->current == NULL);
  if (world->crashed || world->event_count == 0) return false;
  struct sim_event event = world->events[0];
  world->events[0] = world->events[--world->event_count];
  if (world->event_count > 0) event_sift_down(world->events, world->event_count, 0);
  if (event.at_ns > world->now_ns) world->now_ns = event.at_ns;
  if (event.coroutine != NULL)
    sim_coroutine_resume(world, event.coroutine);
  else
    event.run(event.context);
  return true;
}

uint64_t sim_world_next_event_ns(const struct sim_world *world) {
  return world->event_count == 0 ? UINT64_MAX : world->events[0].at_ns;
}

bool sim_world_advance_to(struct sim_world *world, uint64_t at_ns) {
  while (!world->crashed && sim_world_next_event_ns(world) <= at_ns && sim_world_advance(world))
    ;
  if (world->crashed) return false;
  if (at_ns > world->now_ns) world->now_ns = at_ns;
  return true;
}

void sim_world_schedule(struct sim_world *world, uint64_t at_ns, void (*run)(void *context), void *context) {
  if (at_ns < world->now_ns) at_ns = world->now_ns;
  sim_event_add(world, (struct sim_event){.at_ns = at_ns, .run = run, .context = context});
}

uint64_t sim_world_now_ns(const struct sim_world *world) {
  return world->now_ns;
}

void sim_world_shift_wall(struct sim_world *world, int64_t by_ms) {
  world->wall_shift_ms += by_ms;
}

/* ---- faults ---- */

uint64_t sim_draw_between(struct wr_random *random, uint64_t low, uint64_t high) {
  return low + (high > low ? wr_random_below(random, high - low + 1) : 0);
}

bool sim_fault_draw(struct sim_world *world, const struct sim_fault_rule *rule, enum sim_fault fault) {
  if (rule == NULL || rule->one_in[fault] == 0) return false;
  if (!wr_random_one_in(&world->fault_random, rule->one_in[fault])) return false;
  world->fault_counts[fault]++;
  return true;
}

struct sim_fault_plan *sim_world_faults(struct sim_world *world) {
  return &world->plan;
}

uint64_t sim_world_fault_count(const struct sim_world *world, enum sim_fault fault) {
  return world->fault_counts[fault];
}

/* ---- the world ---- */

static void tables_init(struct sim_world *world) {
  world->clock = (struct wr_clock){.monotonic_ns = clock_monotonic_ns, .wall_ms = clock_wall_ms};
  world->entropy = (struct wr_entropy){.fill = entropy_fill};
  world->watches = (struct wr_watches){.arm = watch_arm, .drop = watch_drop};
  world->log = (struct wr_log){.line = log_line, .level = WR_LOG_DEBUG};
  sim_memory_init(&world->memory);
  sim_model_init(&world->model, world->fault_counts);
  sim_files_init(world);
  sim_calls_init(world);
  sim_sqlite_init(world);
  world->seams = (struct wr_seams){.memory = &world->memory.memory,
                                   .clock = &world->clock,
                                   .entropy = &world->entropy,
                                   .files = &world->files,
                                   .calls = &world->calls,
                                   .watches = &world->watches,
                                   .log = &world->log,
                                   .sqlite_vfs = world->vfs_name};
}

struct sim_world *sim_world_new(const struct sim_world_options *options) {
  struct sim_world *world = calloc(1, sizeof *world);
  if (world == NULL) return NULL;
  world->options = *options;
  if (world->options.threads == 0) world->options.threads = 8;
  world->generation = 1;
  world->harness_random = wr_random_of(wr_hash_index_u64(options->seed, 1));
  world->schedule_random = wr_random_of(wr_hash_index_u64(options->seed, 2));
  world->fault_random = wr_random_of(wr_hash_index_u64(options->seed, 3));
  world->entropy_random = wr_random_of(wr_hash_index_u64(options->seed, 4));
  world->power_random = wr_random_of(wr_hash_index_u64(options->seed, 5));
  world->watch_random = wr_random_of(wr_hash_index_u64(options->seed, 6));
  world->plan.slow_ns_max = 5000000000u;
  world->plan.slow_sync_ns_max = 30000000000u;
  world->plan.no_space_ns_max = 3000000000u;
  tables_init(world);
  return world;
}

void sim_world_free(struct sim_world *world) {
  WR_ASSERT(world->current == NULL && sim_world_calls_in_flight(world) == 0);
  sim_calls_deinit(world);
  sim_sqlite_deinit(world);
  sim_files_drop(world, true);
  sim_model_deinit(&world->model);
  sim_memory_deinit(&world->memory);
  free(world->events);
  free(world);
}

struct wr_seams *sim_world_seams(struct sim_world *world) {
  return &world->seams;
}

struct sim_memory *sim_world_memory(struct sim_world *world) {
  return &world->memory;
}

struct wr_random *sim_world_random(struct sim_world *world) {
  return &world->harness_random;
}

bool sim_world_crashed(const struct sim_world *world) {
  return world->crashed;
}

uint64_t sim_world_generation(const struct sim_world *world) {
  return world->generation;
}

void sim_world_direct(struct sim_world *world, bool on) {
  WR_ASSERT(on || world->direct > 0);
  world->direct += on ? 1 : (uint64_t)-1;
}
