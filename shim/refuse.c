#include <stdarg.h>
#include "base/memory.h"
#include "shim/refuse.h"

int refuse(char **ret_message, int error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	*ret_message = xvasprintf(format, ap);
	va_end(ap);
	return -error;
}
