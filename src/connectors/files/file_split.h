/* connectors/files/file_split.h: a split of the files source: one file, and how far it has been read.
 *
 * The identity of a file is its name; device and inode say whether the name still leads to the same file, and the two
 * digests whether another inode is a copy of it. Encoding and decoding are pure; the other functions block, inside a
 * call.
 */
#ifndef WR_CONNECTORS_FILES_FILE_SPLIT_H
#define WR_CONNECTORS_FILES_FILE_SPLIT_H

#include "base/bytes.h"
#include "base/hash.h"
#include "os/seams.h"

enum { WR_FILE_DIGEST_BYTES = 4096 };

struct wr_file_split {
  char *name; /* in the folder; owned */
  uint64_t device, inode;
  uint32_t head_count; /* bytes from the beginning that `head` covers; grows with the file to WR_FILE_DIGEST_BYTES */
  struct wr_digest head;
  struct wr_digest tail; /* of the last min(position, WR_FILE_DIGEST_BYTES) bytes before the position */
  uint64_t position;     /* byte: the beginning of the next record */
  uint64_t record;       /* its number */
  bool has_stop;         /* bounded: records that begin before `stop` belong to it */
  bool ended;            /* bounded: all of them were read */
  bool open_line;        /* the last record read had no newline: what comes up to it is not a record of its own */
  uint64_t stop;
};

void wr_file_split_deinit(struct wr_file_split *split, struct wr_memory *memory);
void wr_file_split_put(struct wr_bytes *out, const struct wr_file_split *split);
/* FOREIGN: a split of another connector; NEWER; CORRUPT. */
enum weir_code wr_file_split_read(const uint8_t *bytes, size_t length, struct wr_memory *memory,
                                  struct wr_file_split *out_split, struct weir_error *error);

static inline uint32_t wr_file_split_tail_count(const struct wr_file_split *split) {
  return split->position < WR_FILE_DIGEST_BYTES ? (uint32_t)split->position : WR_FILE_DIGEST_BYTES;
}

/* Reads the first bytes: GONE when they are not those of the split's digest, else the digest grows as far as the file
 * has grown. `path` is for the messages. */
enum weir_code wr_file_split_check_head(struct wr_files *files, struct wr_file *file, const char *path,
                                        struct wr_file_split *split, struct weir_error *error);
/* Reads the bytes before the position into out_tail (WR_FILE_DIGEST_BYTES): GONE when they are not what they were. */
enum weir_code wr_file_split_check_tail(struct wr_files *files, struct wr_file *file, const char *path,
                                        const struct wr_file_split *split, uint8_t *out_tail, struct weir_error *error);
/* GONE: `path` has `size_bytes`, but `seen_bytes` were there before. */
enum weir_code wr_file_split_shrank(const char *path, uint64_t size_bytes, uint64_t seen_bytes,
                                    struct weir_error *error);

#endif
