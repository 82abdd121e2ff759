#include <stdio.h>
#include "core/uuid.h"

void uuid_make(struct core *core, char ret[UUID_TEXT])
{
	uint64_t ms = (uint64_t)(core_now(core) / USEC_MSEC);
	uint64_t a = core->ports.random.next(core->ports.random.self);
	uint64_t b = core->ports.random.next(core->ports.random.self);

	snprintf(ret, UUID_TEXT, "%08llx-%04llx-7%03llx-%04llx-%012llx",
		(unsigned long long)(ms >> 16 & 0xffffffff), (unsigned long long)(ms & 0xffff),
		(unsigned long long)(a & 0xfff), (unsigned long long)(0x8000 | (a >> 12 & 0x3fff)),
		(unsigned long long)(b & 0xffffffffffff));
}
