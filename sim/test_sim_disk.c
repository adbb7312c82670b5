/* Tests of the simulated disk: what was synced survives any power cut, what was not may not, a publish is all or
 * nothing at every operation, and faults do what they say. */
#include "base/test.h"
#include "sim/sim_disk.h"

/* ---- a random model test against a tiny reference ---- */

enum { NAMES = 6, FILE_BYTES = 3000, OPERATIONS = 40 };

/* What the test itself knows of one file: its bytes, and which of them are as they were at the last fsync. */
struct reference_file {
  uint8_t bytes[FILE_BYTES];
  size_t size;
  bool clean[FILE_BYTES]; /* not written since the last fsync */
  bool size_clean;        /* neither grown nor cut since */
};

struct reference {
  struct wr_files *files;
  struct wr_random *random;
  struct reference_file pool[OPERATIONS + 1];
  int pool_count;
  int names[NAMES];       /* index in the pool; -1: none */
  bool name_clean[NAMES]; /* not changed since the last fsync of the folder */
};

static void name_path(int name, char out[32]) {
  snprintf(out, 32, "/data/name-%d", name);
}

static void random_write(struct reference *reference, int name) {
  struct wr_random *random = reference->random;
  char path[32];
  name_path(name, path);
  if (reference->names[name] < 0) {
    reference->names[name] = reference->pool_count++;
    reference->name_clean[name] = false;
    reference->pool[reference->names[name]].size_clean = true; /* empty, as it would be without any of its writes */
  }
  struct reference_file *file = &reference->pool[reference->names[name]];
  size_t offset = wr_random_below(random, FILE_BYTES - 1);
  size_t length = 1 + wr_random_below(random, FILE_BYTES - offset - 1);
  uint8_t data[FILE_BYTES];
  for (size_t i = 0; i < length; i++)
    data[i] = (uint8_t)(1 + wr_random_below(random, 255));
  struct wr_file *open;
  WR_ASSERT(reference->files->open(reference->files, path, WR_FILE_WRITE, &open, NULL) == WEIR_OK);
  WR_ASSERT(wr_file_write_all(reference->files, open, offset, data, length, NULL, NULL) == WEIR_OK);
  WR_ASSERT(reference->files->close(reference->files, open, NULL) == WEIR_OK);
  memcpy(file->bytes + offset, data, length);
  memset(file->clean + offset, 0, length);
  if (offset + length > file->size) {
    memset(file->clean + file->size, 0, offset + length - file->size);
    file->size = offset + length;
    file->size_clean = false;
  }
}

static void random_sync(struct reference *reference, int name) {
  char path[32];
  name_path(name, path);
  struct wr_file *open;
  WR_ASSERT(reference->files->open(reference->files, path, WR_FILE_WRITE, &open, NULL) == WEIR_OK);
  WR_ASSERT(reference->files->sync(reference->files, open, NULL) == WEIR_OK);
  WR_ASSERT(reference->files->close(reference->files, open, NULL) == WEIR_OK);
  struct reference_file *file = &reference->pool[reference->names[name]];
  memset(file->clean, 1, file->size);
  file->size_clean = true;
}

static void random_rename(struct reference *reference, int from, int to) {
  char from_path[32], to_path[32];
  name_path(from, from_path);
  name_path(to, to_path);
  WR_ASSERT(reference->files->rename(reference->files, from_path, to_path, NULL) == WEIR_OK);
  if (from == to) return;
  reference->names[to] = reference->names[from];
  reference->names[from] = -1;
  reference->name_clean[from] = reference->name_clean[to] = false;
}

static void random_operations(void *context) {
  struct reference *reference = context;
  int count = 1 + (int)wr_random_below(reference->random, OPERATIONS);
  for (int i = 0; i < count; i++) {
    int name = (int)wr_random_below(reference->random, NAMES), to = (int)wr_random_below(reference->random, NAMES);
    char path[32];
    name_path(name, path);
    bool there = reference->names[name] >= 0;
    switch (wr_random_below(reference->random, 6)) {
    case 0:
      WR_ASSERT(reference->files->sync_folder(reference->files, "/data", NULL) == WEIR_OK);
      memset(reference->name_clean, 1, sizeof reference->name_clean);
      break;
    case 1:
      if (there) random_rename(reference, name, to);
      break;
    case 2:
      if (there) random_sync(reference, name);
      break;
    case 3:
      if (there && wr_random_one_in(reference->random, 3)) {
        WR_ASSERT(reference->files->remove(reference->files, path, NULL) == WEIR_OK);
        reference->names[name] = -1;
        reference->name_clean[name] = false;
      }
      break;
    default:
      random_write(reference, name);
    }
  }
}

struct losses {
  uint64_t names_kept, names_lost, bytes_lost, sizes_lost;
};

/* A name that was not changed since its folder's fsync is as it was; a clean byte too. */
static void check_name(struct sim_world *world, const struct reference *reference, int name, bool power,
                       bool said_durable, struct losses *losses) {
  char path[32];
  name_path(name, path);
  size_t length;
  uint8_t *data = sim_disk_read(world, path, &length);
  bool there = reference->names[name] >= 0;
  if (!power || reference->name_clean[name]) {
    CHECK_INT(data != NULL, there);
  } else {
    *((data != NULL) == there ? &losses->names_kept : &losses->names_lost) += 1;
    CHECK(!said_durable);
  }
  if (there && data != NULL && (!power || reference->name_clean[name])) {
    const struct reference_file *file = &reference->pool[reference->names[name]];
    if (!power || file->size_clean) CHECK_INT(length, file->size);
    losses->sizes_lost += length != file->size;
    bool whole = length == file->size;
    for (size_t i = 0; i < file->size; i++) {
      bool same = i < length && data[i] == file->bytes[i];
      if (!power || file->clean[i]) CHECK(same);
      whole = whole && same;
      losses->bytes_lost += !same;
    }
    if (said_durable) CHECK(whole);
  }
  free(data);
}

static void model_round(uint64_t seed, bool power, struct losses *losses) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = seed, .fast_disk = true});
  static struct reference reference;
  memset(&reference, 0, sizeof reference);
  reference.files = sim_world_seams(world)->files;
  reference.random = sim_world_random(world);
  for (int name = 0; name < NAMES; name++) {
    reference.names[name] = -1;
    reference.name_clean[name] = true;
  }
  sim_disk_make_folders(world, "/data");
  CHECK(sim_world_run(world, random_operations, &reference));
  bool said_durable[NAMES];
  for (int name = 0; name < NAMES; name++) {
    char path[32];
    name_path(name, path);
    said_durable[name] = sim_disk_is_durable(world, path);
  }
  sim_world_kill(world, power ? SIM_KILL_POWER : SIM_KILL_PROCESS);
  for (int name = 0; name < NAMES; name++) {
    check_name(world, &reference, name, power, said_durable[name], losses);
    CHECK_PASSED();
  }
  sim_world_free(world);
}

TEST(synced_survives_power_cuts) {
  uint64_t seed = test_seed();
  struct losses losses = {0};
  for (uint64_t i = 0; i < 3000; i++) {
    model_round(seed + i, true, &losses);
    if (test_failed) TEST_FAIL("round of seed %" PRIu64, seed + i);
  }
  CHECK(losses.names_kept > 100 && losses.names_lost > 100 && losses.bytes_lost > 100 && losses.sizes_lost > 100);
}

TEST(all_survives_process_kills) {
  uint64_t seed = test_seed();
  struct losses losses = {0};
  for (uint64_t i = 0; i < 500; i++) {
    model_round(seed + i, false, &losses);
    if (test_failed) TEST_FAIL("round of seed %" PRIu64, seed + i);
  }
  CHECK_INT(losses.names_lost + losses.bytes_lost + losses.sizes_lost, 0);
}

/* ---- publish ---- */

enum { PUBLISH_BYTES = 5000 };

struct publish {
  struct wr_files *files;
  uint8_t fill;
  enum wr_publish_outcome outcome;
  bool returned;
  struct weir_error error;
};

static void publish_run(void *context) {
  struct publish *publish = context;
  uint8_t data[PUBLISH_BYTES];
  memset(data, publish->fill, sizeof data);
  publish->outcome = wr_file_publish(publish->files, "/job", "/job/metadata", data, sizeof data, &publish->error);
  publish->returned = true;
}

/* 0: none; the fill of a whole file; 255: anything else. */
static uint8_t published_fill(struct sim_world *world) {
  size_t length;
  uint8_t *data = sim_disk_read(world, "/job/metadata", &length);
  if (data == NULL) return 0;
  uint8_t fill = length == PUBLISH_BYTES ? data[0] : 255;
  for (size_t i = 0; i < length; i++)
    fill = data[i] == fill ? fill : 255;
  free(data);
  return fill;
}

static struct sim_world *publish_world(uint64_t seed, struct publish *publish, bool first) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = seed});
  *publish = (struct publish){.files = sim_world_seams(world)->files, .fill = 1};
  sim_disk_make_folders(world, "/job");
  if (first) {
    WR_ASSERT(sim_world_run(world, publish_run, publish));
    WR_ASSERT(publish->outcome == WR_PUBLISH_DURABLE && sim_disk_is_durable(world, "/job/metadata"));
  }
  publish->fill = 2;
  publish->returned = false;
  return world;
}

TEST(publish_is_all_or_nothing_at_every_crash) {
  uint64_t seed = test_seed(), old = 0, new = 0;
  for (uint64_t round = 0; round < 200; round++) {
    bool more = true;
    for (uint64_t n = 1; more; n++) {
      struct publish publish;
      struct sim_world *world = publish_world(seed + round, &publish, round % 2);
      sim_disk_crash_at(world, n, n + round % 4 < 2 ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER);
      more = !sim_world_run(world, publish_run, &publish);
      if (!more) CHECK(publish.outcome == WR_PUBLISH_DURABLE);
      sim_world_kill(world, round % 8 == 0 ? SIM_KILL_PROCESS : SIM_KILL_POWER);
      uint8_t fill = published_fill(world);
      if (!more) CHECK_INT(fill, 2);
      CHECK(fill == round % 2 || fill == 2);
      *(fill == 2 ? &new : &old) += more;
      sim_world_free(world);
    }
  }
  CHECK(old > 100 && new > 50);
}

/* The order of a publish that forgets the fsync of the file: the harness must be able to find it. */
static void careless_run(void *context) {
  struct publish *publish = context;
  struct wr_files *files = publish->files;
  uint8_t data[PUBLISH_BYTES];
  memset(data, publish->fill, sizeof data);
  struct wr_file *file;
  WR_ASSERT(files->open(files, "/job/metadata.tmp", WR_FILE_CREATE_NEW, &file, NULL) == WEIR_OK);
  WR_ASSERT(wr_file_write_all(files, file, 0, data, sizeof data, NULL, NULL) == WEIR_OK);
  WR_ASSERT(files->close(files, file, NULL) == WEIR_OK);
  WR_ASSERT(files->rename(files, "/job/metadata.tmp", "/job/metadata", NULL) == WEIR_OK);
  WR_ASSERT(files->sync_folder(files, "/job", NULL) == WEIR_OK);
}

TEST(careless_publish_is_found) {
  uint64_t seed = test_seed(), broken = 0;
  for (uint64_t round = 0; round < 100; round++) {
    struct publish publish;
    struct sim_world *world = publish_world(seed + round, &publish, true);
    CHECK(sim_world_run(world, careless_run, &publish));
    CHECK(!sim_disk_is_durable(world, "/job/metadata"));
    sim_world_kill(world, SIM_KILL_POWER);
    uint8_t fill = published_fill(world);
    broken += fill != 1 && fill != 2;
    sim_world_free(world);
  }
  CHECK(broken > 20);
}

TEST(publish_with_every_operation_failing) {
  uint64_t seed = test_seed(), outcomes[3] = {0};
  for (uint64_t round = 0; round < 100; round++) {
    bool more = true;
    for (uint64_t n = 1; more; n++) {
      struct publish publish;
      struct sim_world *world = publish_world(seed + round, &publish, true);
      sim_disk_fail_nth(world, n, round % 3 == 0 ? WEIR_NO_SPACE : WEIR_IO, round % 2);
      CHECK(sim_world_run(world, publish_run, &publish));
      more = sim_disk_failed(world);
      if (!more) CHECK(publish.outcome == WR_PUBLISH_DURABLE);
      if (publish.outcome == WR_PUBLISH_DURABLE) CHECK(sim_disk_is_durable(world, "/job/metadata"));
      if (publish.outcome == WR_PUBLISH_FAILED) CHECK_INT(published_fill(world), 1);
      CHECK_INT(sim_disk_open_files(world), 0);
      sim_world_kill(world, SIM_KILL_POWER);
      uint8_t fill = published_fill(world);
      if (publish.outcome == WR_PUBLISH_FAILED)
        CHECK_INT(fill, 1);
      else if (publish.outcome == WR_PUBLISH_DURABLE)
        CHECK_INT(fill, 2);
      else
        CHECK(fill == 1 || fill == 2);
      outcomes[publish.outcome] += more;
      sim_world_free(world);
    }
  }
  CHECK(outcomes[WR_PUBLISH_FAILED] > 0 && outcomes[WR_PUBLISH_UNKNOWN] > 0);
}

/* ---- faults ---- */

struct sync_twice {
  struct wr_files *files;
  enum weir_code first, second;
};

static void sync_twice_run(void *context) {
  struct sync_twice *twice = context;
  struct wr_files *files = twice->files;
  struct wr_file *file;
  uint8_t data[600];
  memset(data, 9, sizeof data);
  WR_ASSERT(files->open(files, "/job/file", WR_FILE_CREATE_NEW, &file, NULL) == WEIR_OK);
  WR_ASSERT(files->sync_folder(files, "/job", NULL) == WEIR_OK);
  WR_ASSERT(wr_file_write_all(files, file, 0, data, sizeof data, NULL, NULL) == WEIR_OK);
  WR_ASSERT(wr_file_write_all(files, file, 600, data, sizeof data, NULL, NULL) == WEIR_OK);
  twice->first = files->sync(files, file, NULL);
  twice->second = files->sync(files, file, NULL);
  WR_ASSERT(files->close(files, file, NULL) == WEIR_OK);
}

TEST(sync_error_loses_for_good) {
  uint64_t seed = test_seed(), lost = 0, kept_showing = 0;
  for (uint64_t round = 0; round < 100; round++) {
    struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = seed + round});
    struct sync_twice twice = {.files = sim_world_seams(world)->files};
    sim_disk_make_folders(world, "/job");
    sim_disk_fail_nth(world, 5, WEIR_IO, false);
    CHECK(sim_world_run(world, sync_twice_run, &twice));
    CHECK_INT(twice.first, WEIR_IO);
    CHECK_INT(twice.second, WEIR_OK);
    uint64_t shown = sim_disk_size(world, "/job/file");
    bool said_durable = sim_disk_is_durable(world, "/job/file");
    sim_world_kill(world, SIM_KILL_POWER);
    uint64_t size = sim_disk_size(world, "/job/file");
    if (said_durable) CHECK_INT(size, shown);
    lost += size < 1200;
    kept_showing += shown == 1200 && size < 1200;
    sim_world_free(world);
  }
  CHECK(lost > 20 && kept_showing > 10);
}

struct filler {
  struct wr_files *files;
  uint64_t written;
  enum weir_code code;
};

static void fill_run(void *context) {
  struct filler *filler = context;
  struct wr_files *files = filler->files;
  struct wr_file *file;
  uint8_t data[1000] = {1};
  filler->code = files->open(files, "/job/file", WR_FILE_WRITE, &file, NULL);
  if (filler->code != WEIR_OK) return;
  while (filler->code == WEIR_OK && filler->written < 100000) {
    size_t count = 0;
    filler->code = wr_file_write_all(files, file, filler->written, data, sizeof data, &count, NULL);
    filler->written += count;
  }
  files->close(files, file, NULL);
}

TEST(a_full_disk_is_full) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = 1});
  struct filler filler = {.files = sim_world_seams(world)->files};
  sim_disk_append(world, "/job/other", "0123456789", 10);
  sim_disk_set_capacity(world, 12345);
  CHECK(sim_world_run(world, fill_run, &filler));
  CHECK_INT(filler.code, WEIR_NO_SPACE);
  CHECK_INT(filler.written, 12345 - 10);
  CHECK_INT(sim_disk_used_bytes(world), 12345);
  sim_disk_remove(world, "/job/other");
  CHECK(sim_world_run(world, fill_run, &filler));
  CHECK_INT(filler.written, 12345);
  sim_disk_set_capacity(world, 0);
  CHECK(sim_world_run(world, fill_run, &filler));
  CHECK_INT(filler.code, WEIR_OK);
  sim_world_free(world);
}

TEST(windows_of_a_full_disk_pass) {
  uint64_t failures = 0, rounds = 0;
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = test_seed()});
  struct sim_fault_plan *plan = sim_world_faults(world);
  plan->rule_count = 1;
  plan->no_space_ns_max = 20000000;
  snprintf(plan->rules[0].prefix, sizeof plan->rules[0].prefix, "/job/");
  plan->rules[0].one_in[SIM_FAULT_NO_SPACE] = 50;
  plan->rules[0].one_in[SIM_FAULT_SHORT_WRITE] = 5;
  struct filler filler = {.files = sim_world_seams(world)->files};
  sim_disk_make_folders(world, "/job");
  do {
    CHECK(sim_world_run(world, fill_run, &filler));
    CHECK(filler.code == WEIR_OK || filler.code == WEIR_NO_SPACE);
    failures += filler.code == WEIR_NO_SPACE;
  } while (filler.code != WEIR_OK && ++rounds < 10000);
  CHECK_INT(filler.code, WEIR_OK);
  CHECK(filler.written >= 100000);
  CHECK(rounds == failures);
  CHECK(sim_world_fault_count(world, SIM_FAULT_SHORT_WRITE) > 0);
  sim_world_free(world);
}

static void touch_all_run(void *context) {
  struct wr_seams *seams = context;
  struct wr_files *files = seams->files;
  struct wr_file *file;
  struct wr_file_info info;
  struct wr_name_list list;
  char byte;
  size_t count;
  for (int i = 0; i < 2000; i++) {
    files->make_folder(files, "/job/folder", NULL);
    if (files->open(files, "/job/folder/file", WR_FILE_WRITE, &file, NULL) == WEIR_OK) {
      files->lock(files, file, NULL);
      files->write(files, file, 0, "ab", 2, &count, NULL);
      files->read(files, file, 0, &byte, 1, &count, NULL);
      files->truncate(files, file, 1, NULL);
      files->info(files, file, &info, NULL);
      files->sync(files, file, NULL);
      files->close(files, file, NULL);
    }
    if (files->list(files, "/job/folder", seams->memory, &list, NULL) == WEIR_OK)
      wr_name_list_deinit(&list, seams->memory);
    files->stat(files, "/job/folder/file", &info, NULL);
    files->rename(files, "/job/folder/file", "/job/folder/other", NULL);
    files->sync_folder(files, "/job/folder", NULL);
    files->remove(files, "/job/folder/other", NULL);
    files->remove_folder(files, "/job/folder", NULL);
  }
}

TEST(every_kind_of_fault_happens) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = test_seed()});
  struct sim_fault_plan *plan = sim_world_faults(world);
  plan->rule_count = 2;
  snprintf(plan->rules[0].prefix, sizeof plan->rules[0].prefix, "/other");
  snprintf(plan->rules[1].prefix, sizeof plan->rules[1].prefix, "/job/");
  plan->no_space_ns_max = 1000000;
  for (int kind = 0; kind <= SIM_FAULT_SLOW_SYNC; kind++)
    plan->rules[1].one_in[kind] = 15;
  sim_disk_make_folders(world, "/job");
  CHECK(sim_world_run(world, touch_all_run, sim_world_seams(world)));
  CHECK_INT(sim_disk_open_files(world), 0);
  CHECK_INT(sim_world_memory(world)->blocks, 0);
  for (int kind = 0; kind <= SIM_FAULT_SLOW_SYNC; kind++)
    if (sim_world_fault_count(world, (enum sim_fault)kind) < 50)
      TEST_FAIL("%s: %" PRIu64, sim_fault_text((enum sim_fault)kind),
                sim_world_fault_count(world, (enum sim_fault)kind));
  for (int kind = 0; kind < SIM_OPERATION_COUNT; kind++)
    if (sim_disk_operations_of(world, (enum sim_operation_kind)kind) < 50)
      TEST_FAIL("%s is rare", sim_operation_text((enum sim_operation_kind)kind));
  sim_world_free(world);
}

/* ---- names and hands ---- */

TEST(files_outside_of_coroutines_are_direct) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = 1});
  struct wr_files *files = sim_world_seams(world)->files;
  struct wr_file *file, *second;
  struct weir_error error;
  CHECK_INT(files->open(files, "/a/b", WR_FILE_WRITE, &file, &error), WEIR_NOT_FOUND);
  CHECK_INT(files->make_folder(files, "/a/", NULL), WEIR_OK);
  CHECK_INT(files->make_folder(files, "//a", NULL), WEIR_OK);
  CHECK_INT(files->open(files, "/a/b", WR_FILE_READ, &file, &error), WEIR_NOT_FOUND);
  CHECK_STRING(error.message, "cannot open /a/b: No such file or directory");
  CHECK_INT(files->open(files, "/a/b", WR_FILE_CREATE_NEW, &file, &error), WEIR_OK);
  CHECK_INT(files->open(files, "/a/./b", WR_FILE_CREATE_NEW, &second, &error), WEIR_IN_USE);
  CHECK_INT(files->remove_folder(files, "/a", &error), WEIR_IO);
  CHECK_INT(files->remove(files, "/a/b", &error), WEIR_OK);
  CHECK_INT(files->open(files, "/a/b", WR_FILE_WRITE, &second, &error), WEIR_OK);
  struct wr_file_info first_info, second_info;
  CHECK_INT(files->info(files, file, &first_info, NULL), WEIR_OK);
  CHECK_INT(files->info(files, second, &second_info, NULL), WEIR_OK);
  CHECK(first_info.inode != second_info.inode);
  CHECK_INT(files->close(files, file, NULL), WEIR_OK);
  CHECK_INT(files->close(files, second, NULL), WEIR_OK);
  CHECK_INT(files->rename(files, "/a", "/a/c", NULL), WEIR_IO);
  CHECK_INT(files->rename(files, "/a", "/z", NULL), WEIR_OK);
  CHECK(sim_disk_exists(world, "/z/b") && !sim_disk_exists(world, "/a/b"));
  CHECK(!sim_disk_is_durable(world, "/z/b"));
  sim_disk_sync_all(world);
  CHECK(sim_disk_is_durable(world, "/z/b"));
  CHECK_INT(sim_disk_operations(world), 0);
  CHECK_INT(sim_world_now_ns(world), 0);
  sim_world_free(world);
}

TEST(a_rename_between_folders_is_one) {
  uint64_t seed = test_seed(), at_old = 0, at_new = 0;
  for (uint64_t round = 0; round < 300; round++) {
    struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = seed + round});
    struct wr_files *files = sim_world_seams(world)->files;
    sim_disk_write(world, "/a/file", "x", 1);
    sim_disk_make_folders(world, "/b");
    CHECK_INT(files->rename(files, "/a/file", "/b/file", NULL), WEIR_OK);
    if (round % 3 == 0) files->sync_folder(files, "/a", NULL);
    if (round % 3 == 1) files->sync_folder(files, "/b", NULL);
    sim_world_kill(world, SIM_KILL_POWER);
    bool old = sim_disk_exists(world, "/a/file"), new = sim_disk_exists(world, "/b/file");
    CHECK(old != new);
    if (round % 3 != 2) CHECK(new);
    *(new ? &at_new : &at_old) += round % 3 == 2;
    sim_world_free(world);
  }
  CHECK(at_old > 10 && at_new > 10);
}

TEST(hands_of_the_harness) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = 1});
  sim_disk_append(world, "/log/part/0", "abc", 3);
  sim_disk_append(world, "/log/part/0", "def", 3);
  uint64_t inode = sim_disk_inode(world, "/log/part/0");
  sim_disk_write(world, "/log/part/0", "abcdefg", 7);
  CHECK(sim_disk_inode(world, "/log/part/0") == inode);
  CHECK(sim_disk_copy(world, "/log", "/copy"));
  sim_disk_replace(world, "/log/part/0", "hij", 3);
  CHECK(sim_disk_inode(world, "/log/part/0") != inode);
  sim_disk_flip_bit(world, "/copy/part/0", 8);
  sim_disk_cut(world, "/copy/part/0", 3);
  sim_world_kill(world, SIM_KILL_POWER);
  size_t length;
  char *data = (char *)sim_disk_read(world, "/copy/part/0", &length);
  CHECK_STRING(data, "acc");
  free(data);
  CHECK(sim_disk_rename(world, "/copy/part", "/elsewhere/part"));
  CHECK_INT(sim_disk_size(world, "/elsewhere/part/0"), 3);
  sim_disk_append(world, "/log/part/1", "", 0);
  struct wr_name_list list = sim_disk_list(world, "/log/part");
  CHECK_INT(list.count, 2);
  CHECK_STRING(list.names[1], "1");
  sim_disk_list_free(&list);
  CHECK(sim_disk_remove(world, "/log"));
  CHECK(!sim_disk_remove(world, "/log"));
  sim_world_kill(world, SIM_KILL_POWER);
  CHECK(!sim_disk_exists(world, "/log/part/0") && sim_disk_exists(world, "/elsewhere/part/0"));
  sim_world_free(world);
}

struct monitor {
  struct sim_world *world;
  uint64_t seen, renames, durable;
};

static void monitor_seen(void *context, const struct sim_disk_event *event) {
  struct monitor *monitor = context;
  monitor->seen++;
  monitor->renames += event->kind == SIM_OPERATION_RENAME && strcmp(event->path, "/job/metadata.tmp") == 0 &&
                      strcmp(event->path_to, "/job/metadata") == 0;
  if (event->kind == SIM_OPERATION_SYNC_FOLDER)
    monitor->durable += sim_disk_is_durable(monitor->world, "/job/metadata");
  struct wr_file_info info;
  struct wr_files *files = sim_world_seams(monitor->world)->files;
  files->stat(files, "/job", &info, NULL); /* direct: neither hands over nor is seen */
}

TEST(the_monitor_sees_all) {
  struct publish publish;
  struct sim_world *world = publish_world(1, &publish, false);
  struct monitor monitor = {.world = world};
  sim_disk_monitor(world, monitor_seen, &monitor);
  CHECK(sim_world_run(world, publish_run, &publish));
  CHECK_INT(monitor.seen, sim_disk_operations(world));
  CHECK_INT(monitor.renames, 1);
  CHECK_INT(monitor.durable, 1);
  sim_world_free(world);
}

TEST_MAIN(TEST_CASE(synced_survives_power_cuts), TEST_CASE(all_survives_process_kills),
          TEST_CASE(publish_is_all_or_nothing_at_every_crash), TEST_CASE(careless_publish_is_found),
          TEST_CASE(publish_with_every_operation_failing), TEST_CASE(sync_error_loses_for_good),
          TEST_CASE(a_full_disk_is_full), TEST_CASE(windows_of_a_full_disk_pass),
          TEST_CASE(every_kind_of_fault_happens), TEST_CASE(files_outside_of_coroutines_are_direct),
          TEST_CASE(a_rename_between_folders_is_one), TEST_CASE(hands_of_the_harness), TEST_CASE(the_monitor_sees_all))
