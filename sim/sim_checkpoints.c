/* sim/sim_checkpoints.c: see sim_checkpoints.h. */
#include "sim/sim_checkpoints.h"

#include "checkpoint/folder.h"
#include "checkpoint/identity.h"
#include "connectors/files/file_split.h"
#include "connectors/kafka/kafka_split.h"
#include "sim/sim_run_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_checkpoint_of(const char *path) {
  const char *name = strrchr(path, '/');
  name = name == NULL ? path : name + 1;
  if (strncmp(name, "chk-", 4) != 0) return 0;
  char *end = NULL;
  uint64_t id = strtoull(name + 4, &end, 10);
  return *end == 0 ? id : 0;
}

bool sim_checkpoint_find(struct sim_run *run, uint64_t below_id, uint64_t *out_id, char out_path[300]) {
  struct wr_name_list names = sim_disk_list(run->world, run->job_options.folder);
  *out_id = 0;
  for (size_t i = 0; i < names.count; i++) {
    uint64_t id = sim_checkpoint_of(names.names[i]);
    if (id < below_id && id > *out_id) *out_id = id;
  }
  sim_disk_list_free(&names);
  snprintf(out_path, 300, "%s/chk-%" PRIu64, run->job_options.folder, *out_id);
  return *out_id != 0;
}

/* Is it of the incarnation that the folder's identity says? */
static bool is_present(struct sim_run *run, const struct wr_metadata *metadata) {
  char path[300];
  struct wr_identity identity;
  size_t length = 0;
  snprintf(path, sizeof path, "%s/JOB", run->job_options.folder);
  uint8_t *data = sim_disk_read(run->world, path, &length);
  bool is_other = data != NULL && wr_identity_decode(data, length, path, &identity, NULL) == WEIR_OK &&
                  memcmp(identity.incarnation, metadata->incarnation, WR_INCARNATION_BYTES) != 0;
  free(data);
  return !is_other;
}

struct file_search {
  struct sim_run *run;
  bool all_there;
};

static void find_file(void *argument, const struct wr_handle *handle) {
  struct file_search *search = argument;
  char path[300];
  snprintf(path, sizeof path, "%s/%s", search->run->job_options.folder, handle->file);
  if (handle->file[0] != 0 && !sim_disk_exists(search->run->world, path)) search->all_there = false;
}

/* Are the files there that it names, and those that it has staged? One that was passed over may have lost some. */
static bool is_whole(struct sim_run *run, const struct wr_metadata *metadata) {
  struct file_search search = {run, true};
  wr_metadata_each_file(metadata, find_file, &search);
  return search.all_there && sim_directory_has_staged(run, metadata);
}

bool sim_checkpoint_load(struct sim_run *run, uint64_t below_id, struct wr_memory *memory,
                         struct wr_metadata *out_metadata, char out_path[300]) {
  uint64_t id = below_id;
  while (sim_checkpoint_find(run, id, &id, out_path)) {
    size_t length = 0;
    uint8_t *data = sim_disk_read(run->world, out_path, &length);
    bool good = data != NULL && wr_metadata_decode(data, length, out_path, memory, out_metadata, NULL) == WEIR_OK;
    free(data);
    if (good && is_present(run, out_metadata) && is_whole(run, out_metadata)) return true;
    if (good) wr_metadata_deinit(memory, out_metadata);
  }
  return false;
}

static void see_file(struct sim_run *run, const struct wr_handle *handle, struct wr_memory *memory,
                     struct sim_place *out_places) {
  struct wr_file_split split;
  if (wr_file_split_read(handle->inline_bytes, handle->length, memory, &split, NULL) != WEIR_OK) return;
  for (uint32_t p = 0; p < run->log.options.partitions; p++)
    if (strcmp(split.name, run->log.partitions[p].name) == 0)
      out_places[p] = (struct sim_place){.is_known = true,
                                         .has_stop = split.has_stop,
                                         .position = (int64_t)split.position,
                                         .stop = (int64_t)split.stop};
  wr_file_split_deinit(&split, memory);
}

static void see_topic(struct sim_run *run, const struct wr_handle *handle, struct sim_place *out_places) {
  struct wr_kafka_split split;
  if (wr_kafka_split_read(handle->inline_bytes, handle->length, &split, NULL) != WEIR_OK) return;
  if ((uint32_t)split.partition >= run->log.options.partitions) return;
  out_places[split.partition] =
      (struct sim_place){.is_known = true, .has_stop = split.has_stop, .position = split.position, .stop = split.stop};
}

void sim_checkpoint_places(struct sim_run *run, const struct wr_metadata *metadata, struct wr_memory *memory,
                           struct sim_place out_places[SIM_LOG_PARTITIONS_MAX]) {
  memset(out_places, 0, SIM_LOG_PARTITIONS_MAX * sizeof *out_places);
  for (uint32_t o = 0; o < metadata->operator_count; o++)
    for (uint32_t s = 0; s < metadata->operators[o].subtask_count; s++) {
      const struct wr_subtask_state *subtask = &metadata->operators[o].subtasks[s];
      for (uint32_t i = 0; i < subtask->split_count; i++) {
        if (run->kafka == NULL)
          see_file(run, &subtask->splits[i], memory, out_places);
        else
          see_topic(run, &subtask->splits[i], out_places);
      }
    }
}

uint64_t sim_checkpoint_read(struct sim_run *run, uint64_t below_id,
                             struct sim_place out_places[SIM_LOG_PARTITIONS_MAX]) {
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 0);
  struct wr_metadata metadata;
  char path[300];
  memset(out_places, 0, SIM_LOG_PARTITIONS_MAX * sizeof *out_places);
  if (!sim_checkpoint_load(run, below_id, &heap.memory, &metadata, path)) return 0;
  sim_checkpoint_places(run, &metadata, &heap.memory, out_places);
  uint64_t id = sim_checkpoint_of(path);
  wr_metadata_deinit(&heap.memory, &metadata);
  return id;
}
