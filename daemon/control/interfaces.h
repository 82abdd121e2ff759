/* The varlink interface files, built into the program by embed.py. */
#pragma once

extern const char interface_org_nightjar_scheduler[];
extern const char interface_org_varlink_service[];
