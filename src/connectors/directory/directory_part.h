/* connectors/directory/directory_part.h: what a part of the folder sink is: files that one subtask has staged for one
 * epoch; the record of them that its handle holds, and their names. Pure; any thread. */
#ifndef WR_CONNECTORS_DIRECTORY_DIRECTORY_PART_H
#define WR_CONNECTORS_DIRECTORY_DIRECTORY_PART_H

#include "base/limits.h"
#include "checkpoint/commit.h"
#include "connectors/directory/directory.h"

struct wr_directory_part {
  uint64_t prepared_for; /* these two are those of its struct wr_part */
  uint32_t subtask;
  uint8_t incarnation[WR_INCARNATION_BYTES]; /* that staged it */
  uint64_t start_number;
  uint64_t ordinal; /* of the stage, within subtask and start */
  enum wr_directory_format format;
  uint32_t file_count; /* numbered from 0 on */
  uint64_t bytes;      /* in all of them */
};

/* The record, for the handle. */
void wr_directory_record_put(struct wr_bytes *out, const struct wr_directory_part *part);
/* The part of an epoch. CORRUPT: what its handle holds is no such record; NEWER. */
enum weir_code wr_directory_part_of(const struct wr_part *from, struct wr_directory_part *out_part,
                                    struct weir_error *error);
/* A line of a manifest: prepared_for, subtask and the record. The reader has failed where there is none. */
void wr_directory_part_put(struct wr_bytes *out, const struct wr_directory_part *part);
void wr_directory_part_read(struct wr_reader *reader, struct wr_directory_part *out_part);

/* ---- names ---- */

/* Where a sink's files lie. */
struct wr_directory_place {
  const char *path;   /* PATH */
  const char *folder; /* PATH/.weir */
  const char *uid;
  uint64_t hash; /* wr_directory_hash */
};

/* Tells the sinks of one uid of the jobs of one folder apart. */
uint64_t wr_directory_hash(const char *job_name, const char *uid);
/* ".ndjson" or ".csv". */
const char *wr_directory_suffix(enum wr_directory_format format);

/* The paths of a file of a part, in rooms of WR_PATH_BYTES_MAX. LIMIT: they are too long. */
enum weir_code wr_directory_staged_path(const struct wr_directory_place *place, const struct wr_directory_part *part,
                                        uint32_t number, char *out_path, struct weir_error *error);
enum weir_code wr_directory_final_path(const struct wr_directory_place *place, const struct wr_directory_part *part,
                                       uint32_t number, char *out_path, struct weir_error *error);
/* All but the end of them, "-<number><suffix>"; the common one is wr_directory_numbered_path. */
enum weir_code wr_directory_staged_base(const struct wr_directory_place *place, const struct wr_directory_part *part,
                                        char *out_base, struct weir_error *error);
enum weir_code wr_directory_numbered_path(const char *base, uint32_t number, const char *suffix, char *out_path,
                                          struct weir_error *error);
/* LIMIT where snprintf into such a room says `length`. */
enum weir_code wr_directory_check_length(int length, const char *folder, struct weir_error *error);
/* Is this the name of a file that a sink of this place has staged, and another start than this one? */
bool wr_directory_is_left_over(const struct wr_directory_place *place, const uint8_t *incarnation,
                               uint64_t start_number, const char *name);

enum { WR_DIRECTORY_PREFIX_BYTES = WR_UID_BYTES_MAX + 24 };
/* "part-<uid>-<incarnation>", with what every finished file of this sink and incarnation begins. */
void wr_directory_prefix(const char *uid, const uint8_t *incarnation, char out[WR_DIRECTORY_PREFIX_BYTES]);

#endif
