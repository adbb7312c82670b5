/* connectors/secret.c: see secret.h. */
#include "connectors/secret.h"

#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, size_t length, const char *end) {
  size_t tail = strlen(end);
  return length >= tail && strncmp(text + length - tail, end, tail) == 0;
}

static bool is_word(const char *key, size_t length) {
  static const char *const ends[] = {"password", "secret", "passphrase"};
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
    if (ends_with(key, length, ends[i])) return true;
  return false;
}

bool wr_secret_is_key(const char *key) {
  size_t length = strlen(key);
  return is_word(key, length) || ends_with(key, length, "key.pem");
}

bool wr_secret_is_way(const char *key, size_t *out_length, bool *out_is_file) {
  size_t length = strlen(key);
  *out_is_file = ends_with(key, length, "-file");
  if (!*out_is_file && !ends_with(key, length, "-env")) return false;
  *out_length = length - strlen(*out_is_file ? "-file" : "-env");
  return is_word(key, *out_length);
}

void wr_secret_forget(char *secret) {
  explicit_bzero(secret, WR_SECRET_BYTES_MAX);
}

enum weir_code wr_secret_of_file(const char *path, const char *what, struct wr_seams *seams, struct wr_memory *memory,
                                 char *out, struct weir_error *error) {
  uint8_t *data = NULL;
  size_t length = 0;
  enum weir_code code =
      wr_file_load(seams->files, path, WR_SECRET_BYTES_MAX - 1, memory, WR_MEMORY_SINK, &data, &length, error);
  if (code != WEIR_OK) return wr_error_prefix(error, "%s", what);
  size_t line = strcspn((const char *)data, "\r\n");
  memcpy(out, data, line);
  out[line] = 0;
  explicit_bzero(data, length);
  wr_free(memory, data);
  return WEIR_OK;
}

enum weir_code wr_secret_of_environment(const char *name, const char *what, char *out, struct weir_error *error) {
  const char *text = getenv(name);
  if (text == NULL) return WR_FAIL(error, WEIR_NOT_FOUND, "the environment has no variable %.128s, %s", name, what);
  if (strlen(text) >= WR_SECRET_BYTES_MAX)
    return WR_FAIL(error, WEIR_INVALID, "the password in the environment variable %.128s is longer than %d bytes", name,
                   WR_SECRET_BYTES_MAX - 1);
  memcpy(out, text, strlen(text) + 1);
  return WEIR_OK;
}
