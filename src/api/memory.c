/* api/memory.c: memory for handles, and errors of users' programs. A handle holds its own heap, so the block that holds
 * the handle comes from a heap of the moment: blocks know their length, and no other accounting is kept for them. */
#include "api/api_int.h"

#include <stdarg.h>
#include <stdio.h>

void *wr_api_block_new(size_t bytes) {
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 0);
  return wr_alloc_zeroed(&heap.memory, 1, bytes, WR_MEMORY_ENGINE);
}

void wr_api_block_free(void *block) {
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 0);
  wr_free(&heap.memory, block);
}

enum weir_code weir_fail(struct weir_error *error, enum weir_code code, const char *format, ...) {
  char message[WEIR_ERROR_MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return wr_error_raise(error, code, "", 0, "%s", message);
}

const char *weir_version(void) {
  return WEIR_VERSION;
}
