/* base/text.c: see text.h. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

void wr_text_append(struct wr_text *text, const char *format, ...) {
  size_t room = text->length < text->size ? text->size - text->length : 0;
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(room == 0 ? NULL : text->buffer + text->length, room, format, arguments);
  va_end(arguments);
  if (length > 0) text->length += (size_t)length;
}
