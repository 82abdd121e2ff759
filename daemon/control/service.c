/* org.varlink.service: what this service is, and its interfaces. */
#include "daemon/control/methods.h"

#define SERVICE "org.varlink.service"

void method_get_info(struct call *call)
{
	cJSON *info = cJSON_CreateObject();
	json_set_string(info, "vendor", "nightjar");
	json_set_string(info, "product", "nightjard");
	json_set_string(info, "version", NIGHTJAR_VERSION);
	json_set_string(info, "url", "");
	cJSON *interfaces = json_set(info, "interfaces", cJSON_CreateArray());
	for (size_t i = 0; i < n_control_interfaces; i++)
		cJSON_AddItemToArray(interfaces, cJSON_CreateString(control_interfaces[i].name));
	call_reply(call, info);
}

void method_get_interface_description(struct call *call)
{
	const char *wanted = json_string(call->parameters, "interface");
	for (size_t i = 0; i < n_control_interfaces; i++) {
		if (!str_eq(control_interfaces[i].name, wanted))
			continue;
		cJSON *reply = cJSON_CreateObject();
		json_set_string(reply, "description", control_interfaces[i].description);
		return call_reply(call, reply);
	}
	cJSON *what = cJSON_CreateObject();
	json_set_string(what, "interface", wanted);
	call_error(call, SERVICE, "InterfaceNotFound", what);
}
